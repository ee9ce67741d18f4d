//! Plays, those of imported playbooks too: what an import gives them, and the order of their sections.
//! Their hosts are found in [`hosts`].

mod hosts;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::list::{Around, Lister};
use super::project::Project;
use super::prompt;
use super::role::Wanted;
use super::selection::{Idle, Selection};
use super::{BlockInfo, PlayPlan, Program, Section, Step, VarsFiles, search, tags};
use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::inventory::{Inventory, fnmatch};
use crate::playbook::{self, Condition, Field, ImportPlaybook, Play, Playbook, Spanned};
use crate::source::{Source, Span};
use crate::value::Map;
use crate::yaml;

pub(super) fn flatten(
    playbooks: &[Playbook],
    inventory: &Inventory,
    project: &mut Project,
    selection: &Selection,
    diagnostics: &mut Diagnostics,
) -> Program {
    let mut flattener = Flattener {
        plays: Vec::new(),
        steps: Vec::new(),
        idle: BTreeSet::new(),
        written: Vec::new(),
        unheard_of: false,
        project,
        inventory,
        selection,
        diagnostics,
    };
    flattener.limit();
    playbooks.iter().for_each(|playbook| flattener.playbook(playbook, &Imported::default()));
    flattener.some_host();
    let Flattener { plays, mut steps, written, idle, .. } = flattener;
    if let Some(first) = &selection.start_at {
        match steps.iter().position(|step| is_named(step, first)) {
            Some(at) => drop(steps.drain(..at)),
            // There it is told, and nothing is run.
            None if selection.idle != Idle::Mistaken => {
                steps.clear();
                diagnostics.push(Diagnostic { severity: Severity::Warning, ..no_start(first, &[]) });
            }
            None => diagnostics.push(no_start(first, &steps)),
        }
    }
    let limited = selection.limit.is_some();
    Program { plays, steps, idle, limited, written: Arc::new(written), ..Program::default() }
}

/// A play as written, with what its import gives it.
pub(super) struct Written {
    play: Arc<Play>,
    imported: Imported,
    dir: PathBuf,
}

impl Written {
    /// Its name, or its host pattern, as it is written.
    pub(super) fn name(&self) -> String {
        match &self.play.common.name {
            Some(name) => name.value.written().to_owned(),
            None => self.play.hosts.iter().map(|pattern| pattern.value.written()).collect::<Vec<_>>().join(","),
        }
    }
}

/// Takes the plays from one on anew, for the hosts that are there now: the plan at `from` and those behind it are replaced.
pub(super) fn flatten_from(
    program: &mut Program,
    from: usize,
    inventory: &Inventory,
    project: &mut Project,
    selection: &Selection,
    diagnostics: &mut Diagnostics,
) {
    let first = from.checked_sub(1).map_or(0, |last| program.plays[last].written + 1);
    let kept = program.steps.iter().position(|step| step.play >= from).unwrap_or(program.steps.len());
    program.plays.truncate(from);
    program.steps.truncate(kept);
    let mut flattener = Flattener {
        plays: std::mem::take(&mut program.plays),
        steps: std::mem::take(&mut program.steps),
        // What was idle among the plays that stay is so still.
        idle: std::mem::take(&mut program.idle),
        written: Vec::new(),
        unheard_of: false,
        project,
        inventory,
        selection,
        diagnostics,
    };
    for (number, written) in program.written.iter().enumerate().skip(first) {
        flattener.written_play(number, written);
    }
    (program.plays, program.steps, program.idle) = (flattener.plays, flattener.steps, flattener.idle);
}

/// Whether a task has that name, with or without its role's before it.
fn is_named(step: &Step, pattern: &str) -> bool {
    let own = step.task.common.name.as_ref().map(|name| name.value.written().to_owned());
    let is = |name: &str| name == pattern || fnmatch(pattern, name);
    step.handler.is_none() && (is(&step.name()) || own.is_some_and(|own| is(&own)))
}

fn no_start(pattern: &str, steps: &[Arc<Step>]) -> Diagnostic {
    let source = Arc::new(Source { path: "<--start-at-task>".into(), text: pattern.to_owned() });
    let names: Vec<String> = steps.iter().filter(|step| step.handler.is_none()).map(|step| step.name()).collect();
    Diagnostic::error(format!("there is no task `{pattern}` to start at"))
        .told_alone(format!(
            "[ERROR]: No matching task \"{pattern}\" found. Note: --start-at-task can only follow static includes."
        ))
        .at(&Span::new(&source, 0, pattern.len()))
        .did_you_mean(pattern, names.iter().map(String::as_str))
        .hint("what an include brings is not known before its turn comes")
}

pub(super) struct Flattener<'a> {
    plays: Vec<PlayPlan>,
    steps: Vec<Arc<Step>>,
    idle: BTreeSet<String>,
    written: Vec<Written>,
    /// A play asks for hosts or groups that the inventory does not know.
    unheard_of: bool,
    project: &'a mut Project,
    pub(super) inventory: &'a Inventory,
    pub(super) selection: &'a Selection,
    pub(super) diagnostics: &'a mut Diagnostics,
}

/// What an imported playbook's plays get from `import_playbook`.
#[derive(Clone, Default)]
struct Imported {
    when: Vec<Condition>,
    vars: yaml::Mapping,
    tags: Vec<Spanned<Field<String>>>,
    /// How deep in imports.
    depth: usize,
}

/// Deeper, imports are taken to go in a circle.
const MAX_IMPORTS: usize = 50;

impl Flattener<'_> {
    fn playbook(&mut self, playbook: &Playbook, imported: &Imported) {
        let dir = playbook.source.path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        for entry in &playbook.entries {
            match entry {
                playbook::Entry::Play(play) => self.play(play, imported, dir),
                playbook::Entry::Import(import) => {
                    if let Err(error) = self.import(import, imported, dir) {
                        self.diagnostics.push(error);
                    }
                }
            }
        }
    }

    fn import(&mut self, import: &ImportPlaybook, imported: &Imported, dir: &Path) -> Result<(), Diagnostic> {
        let name = self.project.keyword(&import.file.value, || self.project.known(&import.common.vars))?;
        let error = |text: String| Err(Diagnostic::error(text).at(&import.file.span));
        if imported.depth >= MAX_IMPORTS {
            return error(format!("playbooks import each other: `{name}` is more than {MAX_IMPORTS} imports deep"));
        }
        let path = dir.join(&name);
        if !path.is_file() {
            let absent = Diagnostic::absent(format!("there is no playbook {}", path.display()));
            return Err(absent.told_alone(search::in_vain(&path)).at(&import.file.span));
        }
        let source = Source::read(&path).map_err(|error| error.at(&import.file.span))?;
        let inner = playbook::parse(&source, &self.selection.vault, self.diagnostics);
        // The outer wins, as in Ansible.
        let mut vars = import.common.vars.clone();
        vars.extend(imported.vars.clone());
        let next = Imported {
            when: imported.when.iter().chain(&import.when).cloned().collect(),
            vars,
            tags: imported.tags.iter().chain(&import.common.tags).cloned().collect(),
            depth: imported.depth + 1,
        };
        self.playbook(&inner, &next);
        Ok(())
    }

    fn play(&mut self, play: &Play, imported: &Imported, dir: &Path) {
        let mut play = play.clone();
        play.common.vars.extend(imported.vars.clone());
        play.common.tags.extend(imported.tags.clone());
        let mut tags = std::mem::take(&mut play.common.tags);
        self.project.tags(&mut tags, || self.vars(&play));
        play.common.tags = tags;
        if self.selection.force_handlers && play.force_handlers.is_none() {
            play.force_handlers = Some(Spanned { value: Field::Known(true), span: play.span.clone() });
        }
        if self.selection.plays.any_errors_fatal && play.common.any_errors_fatal.is_none() {
            play.common.any_errors_fatal = Some(Spanned { value: Field::Known(true), span: play.span.clone() });
        }
        // Nobody wants to be asked, and then told of a mistake.
        let asker = self.selection.asker.as_ref().filter(|_| !self.diagnostics.has_errors());
        prompt::ask(&mut play, self.project, asker, self.diagnostics);
        let written = Written { play: Arc::new(play), imported: imported.clone(), dir: dir.into() };
        self.written_play(self.written.len(), &written);
        self.written.push(written);
    }

    fn written_play(&mut self, number: usize, written: &Written) {
        let Written { play, imported, dir } = written;
        let Some((hosts, patterns)) = self.hosts(play) else { return };
        let vars_files = if hosts.is_empty() { VarsFiles::default() } else { self.vars_files(play, dir) };
        let name = match &play.common.name {
            Some(Spanned { value: Field::Known(name), .. }) => name.clone(),
            Some(name) => self.text(play, name).unwrap_or_else(|_| name.value.written().to_owned()),
            None => patterns.join(","),
        };
        let all_hosts: Vec<String> = hosts.into_iter().collect();
        // The batches are in the play's own order; what it knows of its hosts is in the inventory's, as in Ansible.
        let mut ordered = all_hosts.clone();
        self.order(play, &mut ordered);
        let strategy = self.strategy(play);
        if all_hosts.is_empty() {
            self.idle.insert(name.clone());
            [&play.pre_tasks, &play.tasks, &play.post_tasks].into_iter().for_each(|list| names(list, &mut self.idle));
        }
        for hosts in self.batches(play, &ordered) {
            let plan = PlayPlan {
                play: Arc::clone(play),
                name: name.clone(),
                patterns: patterns.clone(),
                all_hosts: all_hosts.clone(),
                hosts,
                written: number,
                strategy,
                vars_files: vars_files.clone(),
                dir: dir.clone(),
                roles: Vec::new(),
                role_defaults: Arc::default(),
                role_exports: Arc::default(),
                handlers: Vec::new(),
            };
            self.sections(plan, imported);
        }
    }

    /// `pre_tasks`, roles and `tasks`, `post_tasks`; handlers are flushed after each.
    fn sections(&mut self, mut plan: PlayPlan, imported: &Imported) {
        let play = Arc::clone(&plan.play);
        let mut lister = Lister {
            project: self.project,
            selection: self.selection,
            diagnostics: self.diagnostics,
            plan: &mut plan,
            play: self.plays.len(),
            steps: std::mem::take(&mut self.steps),
        };
        let mut around = Around { tags: tags::of(&play.common.tags), ..Around::default() };
        if !imported.when.is_empty() {
            let number = lister.project.number();
            let block = BlockInfo { when: imported.when.clone(), ..BlockInfo::plain(number) };
            around = around.within(Arc::new(block), Section::Block);
        }
        let mut roles = Vec::new();
        for item in &play.roles {
            let loaded = lister.static_text(&item.name, None).and_then(|name| {
                let collections = lister.collections(&around);
                lister.load_role(Wanted::item(item, name), &[], &collections)
            });
            match loaded {
                Ok(role) => roles.push(role),
                Err(error) => lister.diagnostics.push(error),
            }
        }
        roles.iter().for_each(|role| lister.add_role(role, &around));
        // Those of the play itself are not under the conditions of an import.
        let own = Around { tags: around.tags.clone(), ..Around::default() };
        lister.handlers(&play.handlers, &own);
        lister.list(&play.pre_tasks, &around);
        lister.flush_if(!play.pre_tasks.is_empty());
        roles.iter().for_each(|role| lister.role(role, &around));
        lister.list(&play.tasks, &around);
        lister.flush_if(!play.tasks.is_empty() || !roles.is_empty());
        lister.list(&play.post_tasks, &around);
        let more = lister.plan.handlers_notify();
        lister.flush_if(more || !play.post_tasks.is_empty());
        self.steps = std::mem::take(&mut lister.steps);
        self.plays.push(plan);
    }

    /// A keyword of the play, rendered before any host is known.
    pub(super) fn text(&self, play: &Play, field: &Spanned<Field<String>>) -> Result<String, Diagnostic> {
        self.project.keyword(&field.value, || self.vars(play))
    }

    fn vars(&self, play: &Play) -> Map {
        self.project.known(&play.common.vars)
    }
}

/// The names of tasks and blocks.
fn names(steps: &[playbook::Step], found: &mut BTreeSet<String>) {
    for step in steps {
        let common = match step {
            playbook::Step::Task(task) => &task.common,
            playbook::Step::Block(block) => {
                [&block.block, &block.rescue, &block.always].into_iter().for_each(|list| names(list, found));
                &block.common
            }
        };
        found.extend(common.name.as_ref().map(|name| name.value.written().to_owned()));
    }
}
