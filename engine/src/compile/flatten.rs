//! Plays, blocks and handlers as one list of steps.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use indexmap::IndexSet;
use trueup_modules::builtin;
use trueup_modules::module::Entry;

use super::{BlockInfo, Graph, Handler, PlayPlan, Program, Section, Step};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::inventory::Inventory;
use crate::playbook::{self, Batch, Block, Field, Play, Playbook, Spanned, Task};
use crate::source::{Source, Span};
use crate::vault::VaultPasswords;
use crate::yaml;

/// What of the playbooks is to run.
#[derive(Default)]
pub struct Selection {
    /// `--limit`, a host pattern.
    pub limit: Option<String>,
    /// `--tags`; empty means all.
    pub tags: Vec<String>,
    /// `--skip-tags`.
    pub skip_tags: Vec<String>,
    /// What opens `vars_files`.
    pub vault: VaultPasswords,
    /// Gather facts though nothing reads them.
    pub gather_always: bool,
}

pub(super) fn flatten(
    playbooks: &[Playbook],
    inventory: &Inventory,
    selection: &Selection,
    diagnostics: &mut Diagnostics,
) -> Program {
    let mut flattener = Flattener { plays: Vec::new(), steps: Vec::new(), blocks: 0, selection, diagnostics };
    for playbook in playbooks {
        let dir = playbook.source.path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        for entry in &playbook.entries {
            match entry {
                playbook::Entry::Play(play) => flattener.play(play, inventory, dir),
                playbook::Entry::Import(import) => flattener.diagnostics.push(
                    Diagnostic::error("`import_playbook` is not supported yet")
                        .at(&import.span)
                        .hint("name both playbooks on the command line"),
                ),
            }
        }
    }
    Program { plays: flattener.plays, steps: flattener.steps, graph: Graph::default() }
}

struct Flattener<'a> {
    plays: Vec<PlayPlan>,
    steps: Vec<Step>,
    blocks: usize,
    selection: &'a Selection,
    diagnostics: &'a mut Diagnostics,
}

/// What a step inherits while the tree is walked.
#[derive(Clone, Default)]
struct Path_ {
    blocks: Vec<(Arc<BlockInfo>, Section)>,
    tags: BTreeSet<String>,
}

impl Flattener<'_> {
    fn play(&mut self, play: &Play, inventory: &Inventory, dir: &Path) {
        if let Some(role) = play.roles.first() {
            self.diagnostics.push(Diagnostic::error("`roles` are not supported yet").at(&role.span));
        }
        let Some(hosts) = self.hosts(play, inventory) else { return };
        let vars_files = self.vars_files(play, dir);
        let play = Arc::new(play.clone());
        let name = match &play.common.name {
            Some(Spanned { value: Field::Known(name), .. }) => name.clone(),
            _ => play.hosts.iter().map(|pattern| written(&pattern.value)).collect::<Vec<_>>().join(","),
        };
        let all_hosts: Vec<String> = hosts.into_iter().collect();
        for hosts in self.batches(&play, &all_hosts) {
            self.plays.push(PlayPlan {
                play: Arc::clone(&play),
                name: name.clone(),
                all_hosts: all_hosts.clone(),
                hosts,
                vars_files: vars_files.clone(),
                dir: dir.into(),
            });
            let path = Path_ { tags: tags(&play.common.tags), ..Path_::default() };
            for section in [&play.pre_tasks, &play.tasks, &play.post_tasks] {
                if !section.is_empty() {
                    self.steps(section, &path);
                    self.handlers(&play, &path);
                }
            }
        }
    }

    fn hosts(&mut self, play: &Play, inventory: &Inventory) -> Option<IndexSet<String>> {
        let pattern = play.hosts.iter().map(|pattern| written(&pattern.value)).collect::<Vec<_>>().join(",");
        let span = play.hosts.first().map_or(&play.span, |pattern| &pattern.span);
        let mut found = inventory.select(&pattern, span);
        if found.hosts.is_empty() {
            let hint = "`trueup plan -i` names the inventory; its hosts and groups are what a pattern can match";
            let unmatched = found.unmatched.into_iter().next();
            let error = unmatched.unwrap_or_else(|| Diagnostic::error(format!("no host matches `{pattern}`")).at(span));
            self.diagnostics.push(Diagnostic { severity: crate::diagnostic::Severity::Error, ..error }.hint(hint));
            return None;
        }
        found.unmatched.into_iter().for_each(|warning| self.diagnostics.push(warning));
        if let Some(limit) = &self.selection.limit {
            let source = Arc::new(Source { path: "<--limit>".into(), text: limit.clone() });
            let limited = inventory.select(limit, &Span::new(&source, 0, limit.len()));
            for unmatched in limited.unmatched {
                self.diagnostics.push(Diagnostic { severity: crate::diagnostic::Severity::Error, ..unmatched });
            }
            found.hosts.retain(|host| limited.hosts.contains(host));
        }
        Some(found.hosts)
    }

    fn vars_files(&mut self, play: &Play, dir: &Path) -> Vec<yaml::Node> {
        let mut nodes = Vec::new();
        for alternatives in &play.vars_files {
            let known = alternatives.iter().filter_map(|file| match &file.value {
                Field::Known(name) => Some((dir.join(name), &file.span)),
                Field::Template(_) => None,
            });
            let known: Vec<_> = known.collect();
            if known.is_empty() {
                let span = alternatives.first().map_or(&play.span, |file| &file.span);
                self.diagnostics.push(Diagnostic::error("templates in `vars_files` are not supported yet").at(span));
                continue;
            }
            match known.iter().find(|(path, _)| path.exists()) {
                Some((path, span)) => match Source::read(path) {
                    Ok(source) => nodes.extend(yaml::load(&source, &self.selection.vault, self.diagnostics)),
                    Err(error) => self.diagnostics.push(error.at(span)),
                },
                None => {
                    let (path, span) = &known[0];
                    let message = format!("there is no file {}", path.display());
                    self.diagnostics.push(Diagnostic::error(message).at(span).hint("paths start beside the playbook"));
                }
            }
        }
        nodes
    }

    /// The hosts of each batch of `serial`; the last size repeats.
    fn batches(&mut self, play: &Play, hosts: &[String]) -> Vec<Vec<String>> {
        let size = |batch: &Spanned<Field<Batch>>| match batch.value {
            Field::Known(Batch::Hosts(n)) => Some(usize::try_from(n).unwrap_or(usize::MAX)),
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "a percentage of a number of hosts is one"
            )]
            Field::Known(Batch::Percent(percent)) => Some((hosts.len() as f64 * percent / 100.0) as usize),
            Field::Template(_) => None,
        };
        let mut sizes = Vec::new();
        for batch in &play.serial {
            match size(batch) {
                Some(n) => sizes.push(n.max(1)),
                None => self
                    .diagnostics
                    .push(Diagnostic::error("templates in `serial` are not supported yet").at(&batch.span)),
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

    fn steps(&mut self, steps: &[playbook::Step], path: &Path_) {
        for step in steps {
            match step {
                playbook::Step::Block(block) => self.block(block, path),
                playbook::Step::Task(task) => self.task(task, path, None),
            }
        }
    }

    fn block(&mut self, block: &Block, path: &Path_) {
        self.blocks += 1;
        let info = Arc::new(BlockInfo {
            id: self.blocks,
            has_rescue: !block.rescue.is_empty(),
            when: block.when.clone(),
            notify: block.notify.clone(),
            delegate_to: block.delegate_to.clone(),
            common: block.common.clone(),
        });
        let sections =
            [(&block.block, Section::Block), (&block.rescue, Section::Rescue), (&block.always, Section::Always)];
        for (steps, section) in sections {
            let mut inner = path.clone();
            inner.blocks.push((Arc::clone(&info), section));
            inner.tags.extend(tags(&block.common.tags));
            self.steps(steps, &inner);
        }
    }

    fn task(&mut self, task: &Task, path: &Path_, handler: Option<Handler>) {
        if task.module.value == "meta" {
            return self.meta(task, path);
        }
        let mut tags_ = path.tags.clone();
        tags_.extend(tags(&task.common.tags));
        if handler.is_none() && !self.selected(&tags_) {
            return;
        }
        let Some(entry) = self.module(task) else { return };
        self.steps.push(Step {
            play: self.plays.len() - 1,
            task: Arc::new(task.clone()),
            entry,
            blocks: path.blocks.clone(),
            handler,
            writes: BTreeSet::new(),
            words: BTreeSet::new(),
            when_words: Vec::new(),
            notifies: BTreeSet::new(),
            once: false,
        });
    }

    fn module(&mut self, task: &Task) -> Option<&'static Entry> {
        let name = task.module.value.as_str();
        let found = builtin::find(name);
        if found.is_none() {
            let later = [
                "include_tasks",
                "import_tasks",
                "include_role",
                "import_role",
                "include_vars",
                "add_host",
                "group_by",
            ];
            let error = Diagnostic::error(match later.contains(&name) {
                true => format!("`{name}` is not supported yet"),
                false => format!("there is no module `{}`", task.written),
            });
            self.diagnostics.push(error.at(&task.module.span).did_you_mean(name, builtin::names()));
        }
        found
    }

    fn meta(&mut self, task: &Task, path: &Path_) {
        let action = task.args.free_form.as_ref().and_then(|node| node.as_scalar()).map(|scalar| scalar.text.as_str());
        match action {
            Some("flush_handlers") => {
                let play = Arc::clone(&self.plays[self.plays.len() - 1].play);
                self.handlers(&play, path);
            }
            Some("noop") => {}
            _ => self.diagnostics.push(
                Diagnostic::error("this `meta` action is not supported yet")
                    .at(&task.module.span)
                    .hint("supported: flush_handlers, noop"),
            ),
        }
    }

    /// A flush: the handlers in the order of their definition; of those with the same name the last.
    fn handlers(&mut self, play: &Play, path: &Path_) {
        let path = Path_ { blocks: Vec::new(), tags: path.tags.clone() };
        let tasks: Vec<&Task> = play.handlers.iter().flat_map(handler_tasks).collect();
        for (at, task) in tasks.iter().enumerate() {
            let name = known_name(task);
            if name.is_some() && tasks[at + 1..].iter().any(|later| known_name(later) == name) {
                continue;
            }
            let listens = task.listen.iter().map(|topic| written(&topic.value));
            let names = name.map(str::to_owned).into_iter().chain(listens).collect();
            self.task(task, &path, Some(Handler { names }));
        }
    }

    /// `--tags` and `--skip-tags`, with Ansible's special tags.
    fn selected(&self, tags: &BTreeSet<String>) -> bool {
        let matches = |wanted: &String| match wanted.as_str() {
            "all" => true,
            "tagged" => !tags.is_empty(),
            "untagged" => tags.is_empty(),
            tag => tags.contains(tag),
        };
        let Selection { tags: wanted, skip_tags, .. } = self.selection;
        let named = wanted.iter().any(|tag| tags.contains(tag));
        let run = match wanted.is_empty() {
            true => !tags.contains("never"),
            false if tags.contains("never") => named,
            false => wanted.iter().any(matches) || tags.contains("always"),
        };
        run && !skip_tags.iter().any(matches)
    }
}

fn handler_tasks(step: &playbook::Step) -> Vec<&Task> {
    match step {
        playbook::Step::Task(task) => vec![task],
        playbook::Step::Block(block) => block.block.iter().flat_map(handler_tasks).collect(),
    }
}

fn known_name(task: &Task) -> Option<&str> {
    match &task.common.name {
        Some(Spanned { value: Field::Known(name), .. }) => Some(name),
        _ => None,
    }
}

/// The text of a keyword, rendered or not.
pub(super) fn written(field: &Field<String>) -> String {
    match field {
        Field::Known(text) => text.clone(),
        Field::Template(template) => template.text.clone(),
    }
}

fn tags(written_tags: &[Spanned<Field<String>>]) -> BTreeSet<String> {
    written_tags
        .iter()
        .flat_map(|tag| written(&tag.value).split(',').map(|tag| tag.trim().to_owned()).collect::<Vec<_>>())
        .collect()
}
