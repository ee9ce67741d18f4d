//! Plays, those of imported playbooks too: their hosts and batches, their files of variables, and the order of their
//! sections.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexSet;

use super::list::{Around, Lister};
use super::project::Project;
use super::prompt::{self, Asker};
use super::role::Wanted;
use super::{BlockInfo, PlayPlan, Program, Section, Step, Strategy, VarsFiles, tags};
use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::inventory::{Inventory, fnmatch};
use crate::playbook::{self, Batch, Condition, Field, ImportPlaybook, Play, Playbook, Spanned};
use crate::source::{Source, Span};
use crate::value::{Map, Value};
use crate::vault::VaultPasswords;
use crate::yaml;

/// What of the playbooks is to run.
#[derive(Clone, Default)]
pub struct Selection {
    /// `--limit`, a host pattern.
    pub limit: Option<String>,
    /// `--tags`; empty means all.
    pub tags: Vec<String>,
    /// `--skip-tags`.
    pub skip_tags: Vec<String>,
    /// What opens `vars_files` and imported playbooks.
    pub vault: VaultPasswords,
    /// Gather facts though nothing reads them.
    pub gather_always: bool,
    /// `--start-at-task`: the name of the first task, or a pattern for it.
    pub start_at: Option<String>,
    /// `--force-handlers`: what plays mean that do not say it.
    pub force_handlers: bool,
    /// What plays mean that do not say it.
    pub plays: PlayDefaults,
    /// That no play has a host is no mistake.
    pub may_be_idle: bool,
    /// What is wrong with a task fails it when its turn comes.
    pub fails_late: bool,
    /// Whom to ask for the variables of `vars_prompt`; without, they have their defaults.
    pub asker: Option<Asker>,
}

/// What settings say for plays that do not say it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlayDefaults {
    /// Facts are gathered only where a play asks for it (`gathering = explicit`).
    pub gather_explicitly: bool,
    /// A failure on one host ends the play on all.
    pub any_errors_fatal: bool,
}

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
    playbooks.iter().for_each(|playbook| flattener.playbook(playbook, &Imported::default()));
    flattener.some_host();
    let Flattener { plays, mut steps, written, idle, .. } = flattener;
    if let Some(first) = &selection.start_at {
        match steps.iter().position(|step| is_named(step, first)) {
            Some(at) => drop(steps.drain(..at)),
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
            return error(format!("there is no playbook {}", path.display()));
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
        let Some(hosts) = self.hosts(play) else { return };
        let vars_files = if hosts.is_empty() { VarsFiles::default() } else { self.vars_files(play, dir) };
        let name = match &play.common.name {
            Some(Spanned { value: Field::Known(name), .. }) => name.clone(),
            Some(name) => self.text(play, name).unwrap_or_else(|_| name.value.written().to_owned()),
            None => written.name(),
        };
        let mut all_hosts: Vec<String> = hosts.into_iter().collect();
        self.order(play, &mut all_hosts);
        let strategy = self.strategy(play);
        if all_hosts.is_empty() {
            self.idle.insert(name.clone());
            [&play.pre_tasks, &play.tasks, &play.post_tasks].into_iter().for_each(|list| names(list, &mut self.idle));
        }
        for hosts in self.batches(play, &all_hosts) {
            let plan = PlayPlan {
                play: Arc::clone(play),
                name: name.clone(),
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

    /// What `hosts` may read: it has the inventory beside.
    fn vars_of_hosts(&self, play: &Play) -> Map {
        let mut vars = self.vars(play);
        vars.entry("groups".into()).or_insert_with(|| self.inventory.groups_value());
        if let Some(limit) = &self.selection.limit {
            vars.entry("ansible_limit".into()).or_insert_with(|| Value::Str(limit.clone()));
        }
        vars
    }

    fn hosts(&mut self, play: &Play) -> Option<IndexSet<String>> {
        let mut patterns = Vec::new();
        for pattern in &play.hosts {
            match self.project.texts(&pattern.value, || self.vars_of_hosts(play)) {
                Ok(texts) => patterns.extend(texts),
                Err(error) => {
                    self.diagnostics.push(error);
                    return None;
                }
            }
        }
        let inventory = self.inventory;
        let pattern = patterns.join(",");
        let span = play.hosts.first().map_or(&play.span, |pattern| &pattern.span);
        let mut found = inventory.select(&pattern, span);
        // Such a play is passed over, as Ansible does: sites write plays for groups that not every inventory has.
        if found.hosts.is_empty() && self.may_come() {
            return Some(found.hosts);
        }
        if found.hosts.is_empty() {
            self.unheard_of |= !patterns.iter().all(|pattern| inventory.groups.contains_key(pattern));
        }
        if found.hosts.is_empty() && found.unmatched.is_empty() {
            self.diagnostics.push(Diagnostic::warning(format!("no host matches `{pattern}`")).at(span));
        }
        found.unmatched.into_iter().for_each(|warning| self.diagnostics.push(warning));
        if let Some(limit) = &self.selection.limit {
            let source = Arc::new(Source { path: "<--limit>".into(), text: limit.clone() });
            let limited = inventory.select(limit, &Span::new(&source, 0, limit.len()));
            for unmatched in limited.unmatched {
                self.diagnostics.push(Diagnostic { severity: Severity::Error, ..unmatched });
            }
            found.hosts.retain(|host| limited.hosts.contains(host));
        }
        Some(found.hosts)
    }

    /// Where no play has a host since the inventory has not what they ask for, that is a mistake of who runs them.
    fn some_host(&mut self) {
        if self.plays.is_empty() && !self.selection.may_be_idle && self.selection.limit.is_none() && self.unheard_of {
            let hint = "`trueup plan -i` names the inventory; its hosts and groups are what a pattern can match";
            self.diagnostics.push(Diagnostic::error("no play has a host to run on").hint(hint));
        }
    }

    /// Whether the plays before may add hosts and groups that nobody knows of yet.
    fn may_come(&self) -> bool {
        let open = |step: &Arc<Step>| step.adds_hosts() || matches!(step.entry.name, "include_tasks" | "include_role");
        self.steps.iter().any(open)
    }

    fn strategy(&mut self, play: &Play) -> Strategy {
        let Some(strategy) = &play.strategy else { return Strategy::Linear };
        let named = self.text(play, strategy).and_then(|name| {
            Strategy::named(&name).ok_or_else(|| {
                let error = Diagnostic::error(format!("there is no strategy `{name}`")).at(&strategy.span);
                error.did_you_mean(&name, Strategy::NAMES).hint(format!("one of {}", Strategy::NAMES.join(", ")))
            })
        });
        named.unwrap_or_else(|error| {
            self.diagnostics.push(error);
            Strategy::Linear
        })
    }

    /// `order`: of the hosts among themselves.
    fn order(&mut self, play: &Play, hosts: &mut [String]) {
        let Some(order) = &play.order else { return };
        match self.text(play, order).as_deref() {
            Ok("inventory") => {}
            Ok("sorted") => hosts.sort(),
            Ok("reverse_sorted") => {
                hosts.sort();
                hosts.reverse();
            }
            Ok("reverse_inventory") => hosts.reverse(),
            Ok("shuffle") => shuffle(hosts),
            Ok(other) => {
                const ORDERS: [&str; 5] = ["inventory", "sorted", "reverse_sorted", "reverse_inventory", "shuffle"];
                let error = Diagnostic::error(format!("there is no order `{other}`")).at(&order.span);
                self.diagnostics.push(error.did_you_mean(other, ORDERS).hint(format!("one of {}", ORDERS.join(", "))));
            }
            Err(error) => self.diagnostics.push(error.clone()),
        }
    }

    /// The hosts of each batch of `serial`; the last size repeats.
    fn batches(&mut self, play: &Play, hosts: &[String]) -> Vec<Vec<String>> {
        let size = |batch: Batch| match batch {
            Batch::Hosts(n) => usize::try_from(n).unwrap_or(usize::MAX),
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "a percentage of a number of hosts is one"
            )]
            Batch::Percent(percent) => (hosts.len() as f64 * percent / 100.0) as usize,
        };
        let mut sizes = Vec::new();
        for batch in &play.serial {
            match self.batch(play, batch) {
                Ok(batch) => sizes.extend(batch.map(|batch| size(batch).max(1))),
                Err(error) => self.diagnostics.push(error),
            }
        }
        let mut rest = hosts;
        let mut batches = Vec::new();
        while !rest.is_empty() {
            let size = sizes.get(batches.len()).or(sizes.last()).copied().unwrap_or(rest.len()).min(rest.len());
            let (batch, after) = rest.split_at(size);
            batches.push(batch.to_vec());
            rest = after;
        }
        batches
    }

    /// `None` where it is omitted.
    fn batch(&self, play: &Play, batch: &Spanned<Field<Batch>>) -> Result<Option<Batch>, Diagnostic> {
        let template = match &batch.value {
            Field::Known(batch) => return Ok(Some(*batch)),
            Field::Template(template) => template,
        };
        let mut vars = self.vars(play);
        vars.insert("omit".to_owned(), Value::Omit);
        let Some(text) = self.project.optional_text(template, vars)? else { return Ok(None) };
        let read = match text.trim().strip_suffix('%') {
            Some(percent) => percent.trim().parse().ok().map(Batch::Percent),
            None => text.trim().parse().ok().map(Batch::Hosts),
        };
        read.map(Some).ok_or_else(|| {
            let message = format!("`serial` must be a number of hosts or a percentage, and this comes to `{text}`");
            Diagnostic::error(message).at(&batch.span)
        })
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

/// Any order is as good as another: that of the hashes of the names, under keys that no two runs share.
fn shuffle(hosts: &mut [String]) {
    use std::hash::BuildHasher;
    let random = std::collections::hash_map::RandomState::new();
    hosts.sort_by_key(|host| random.hash_one(host));
}
