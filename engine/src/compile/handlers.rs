//! Handlers: which there are in a play, by which names they are notified, and where they are flushed.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::list::{self, Around, Lister, Way};
use super::project::Kind;
use super::{BlockInfo, Handler, PlayPlan, Section, Step};
use crate::diagnostic::Diagnostic;
use crate::playbook::{self, Field, Task};

/// A handler of a play.
#[derive(Clone)]
pub struct HandlerPlan {
    task: Arc<Task>,
    around: Around,
    /// Its name, if it has one that is known.
    name: Option<String>,
    /// The list that it stands in.
    list: usize,
}

impl HandlerPlan {
    /// It has a name, or listens to one, that is not known yet.
    fn is_nameless(&self) -> bool {
        let listens = self.task.listen.iter().any(|topic| matches!(topic.value, Field::Template(_)));
        listens || self.name.is_none() && self.task.common.name.is_some()
    }
}

impl Lister<'_> {
    /// Adds handlers to the play's; those of roles come before the play's own.
    pub(super) fn handlers(&mut self, steps: &[playbook::Step], around: &Around) {
        let list = self.project.number();
        self.handlers_of(list, steps, around);
    }

    fn handlers_of(&mut self, number: usize, steps: &[playbook::Step], around: &Around) {
        for step in steps {
            let task = match step {
                playbook::Step::Task(task) => task,
                // Its `rescue` and `always` are for nothing, as in Ansible: a handler stands for itself.
                playbook::Step::Block(block) => {
                    let info = Arc::new(self.block_info(block, around));
                    self.handlers_of(number, &block.block, &around.clone().within(info, Section::Block));
                    continue;
                }
            };
            if let Some(action @ ("end_role" | "flush_handlers")) = list::meta(task) {
                let error = format!("`meta: {action}` cannot be a handler");
                self.diagnostics.push(Diagnostic::error(error).at(&task.span));
                continue;
            }
            if task.module.value == "import_tasks" {
                self.import_handlers(number, task, around);
                continue;
            }
            let name = task.common.name.as_ref().and_then(|name| match &name.value {
                Field::Known(name) => Some(name.clone()),
                Field::Template(_) => self.static_text(name, Some(around)).ok(),
            });
            let task = Arc::new((**task).clone());
            self.plan.handlers.push(HandlerPlan { task, around: around.clone(), name, list: number });
        }
    }

    fn import_handlers(&mut self, list: usize, task: &Task, around: &Around) {
        let name = task.args.free_form.as_ref().or(task.args.params.get("file").map(|entry| &entry.value));
        let Some(name) = name.and_then(|node| node.as_scalar()) else { return };
        let read = self
            .tasks_file(&name.text, around, Kind::Handlers, Way::Import)
            .and_then(|path| Ok((self.project.steps(&path, Kind::Handlers, self.diagnostics)?, path)));
        match read {
            Ok((steps, path)) => {
                let mut inner = around.clone();
                inner.files.push(path.into());
                self.handlers_of(list, &steps, &inner);
            }
            Err(error) => self.diagnostics.push(error.at(&task.span)),
        }
    }

    /// The flush at the end of a section. An include may have brought handlers that nobody knows of yet.
    pub(super) fn flush_if(&mut self, anything: bool) {
        if !anything {
            return;
        }
        if self.steps.iter().any(|step| step.play == self.play && step.turns() && !step.adds_hosts()) {
            self.steps.extend(marker(self.play, self.project.number()));
        }
        self.flush(true);
    }

    /// A flush: the handlers in the order of their definition, behind the step that asks for it, if one does.
    pub(super) fn flush(&mut self, ends_section: bool) {
        let flush = self.project.number();
        let mut within = Vec::new();
        if let Some(last) = self.steps.last_mut().filter(|last| list::is_flush(&last.task)) {
            Arc::make_mut(last).flush = Some(flush);
            within.clone_from(&last.around.blocks);
        }
        self.flush_from(0, flush, ends_section, &within);
    }

    /// Those of the play's handlers from that position on.
    pub(super) fn flush_from(
        &mut self,
        first: usize,
        flush: usize,
        ends_section: bool,
        within: &[(Arc<BlockInfo>, Section)],
    ) {
        for at in first..self.plan.handlers.len() {
            let HandlerPlan { task, around, .. } = self.plan.handlers[at].clone();
            let names = self.plan.handler_names(at);
            let handler = Handler { at, flush, ends_section, names, within: within.to_vec() };
            self.step(&task, &around, Some(handler));
        }
    }
}

impl PlayPlan {
    /// Whether a handler may notify another that stands before it, so that one more flush has something to do.
    pub(super) fn handlers_notify(&self) -> bool {
        let includes = |task: &Task| matches!(task.module.value.as_str(), "include_tasks" | "include_role");
        self.handlers.iter().any(|handler| !handler.task.notify.is_empty() || includes(&handler.task))
    }

    /// The names that notify a handler: its own, that with its role, and what it listens to. Of handlers with one name
    /// those of the last list count, and of these the first: so Ansible has it.
    pub(super) fn handler_names(&self, at: usize) -> BTreeSet<String> {
        let HandlerPlan { task, around, name, list } = &self.handlers[at];
        let mut names: BTreeSet<String> = task.listen.iter().map(|topic| topic.value.written().to_owned()).collect();
        let Some(name) = name else { return names };
        let role = |one: &HandlerPlan| one.around.role.as_ref().map(|role| role.own.full_name.clone());
        let stronger = |of_role: bool| {
            self.handlers.iter().enumerate().any(|(other_at, other)| {
                let before = if other.list == *list { other_at < at } else { other_at > at };
                before && other.name.as_ref() == Some(name) && (!of_role || role(other) == role(&self.handlers[at]))
            })
        };
        if !stronger(false) {
            names.insert(name.clone());
        }
        if let Some(role) = around.role.as_ref().filter(|_| !stronger(true)) {
            names.insert(format!("{} : {name}", role.own.name));
            names.insert(format!("{} : {name}", role.own.full_name));
        }
        names
    }

    /// The first of several names that notifies none of the handlers. One whose name is a template may have any.
    pub(crate) fn missing_handler(&self, names: &[String]) -> Option<String> {
        if names.is_empty() || self.handlers.iter().any(|handler| handler.is_nameless()) {
            return None;
        }
        let known = self.all_handler_names();
        names.iter().find(|name| !known.contains(*name)).cloned()
    }

    /// All names that notify a handler.
    pub(crate) fn all_handler_names(&self) -> BTreeSet<String> {
        (0..self.handlers.len()).flat_map(|at| self.handler_names(at)).collect()
    }
}

/// A `meta: flush_handlers` that nobody wrote.
fn marker(play: usize, id: usize) -> Option<Arc<Step>> {
    let (task, entry) = super::facts::made("- meta: flush_handlers\n", "meta")?;
    Some(Arc::new(Step { id, ..Step::new(play, task, entry, Around::default()) }))
}

/// A step's handler, if the names that notify it are others now.
pub(super) fn refresh(step: &Step, plan: &PlayPlan) -> Option<Handler> {
    let handler = step.handler.as_ref()?;
    let names = plan.handler_names(handler.at);
    (names != handler.names).then(|| Handler { names, ..handler.clone() })
}
