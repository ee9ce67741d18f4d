//! Which tasks are surely run, so that what is wrong with one can be told before the run, when nothing has been done yet. Ansible
//! makes most errors of a task that task's failure, and playbooks rely on it: modules that are only there on some
//! systems stand behind a condition, or in a block that has a `rescue`.

use super::{Program, Section, Step};
use crate::diagnostic::Diagnostic;
use crate::playbook::Field;

/// How many of them a warning names.
const NAMED: usize = 5;

/// Whether a step is run wherever the play is, and a failure of it fails the host.
pub(super) fn is_sure(program: &Program, step: &Step) -> bool {
    let conditional = step.conditions().any(|condition| condition.text != "true");
    let on_demand = step.handler.is_some() || step.around.in_handler || !step.around.includes.is_empty();
    let rescued = step.blocks().iter().any(|(block, section)| match section {
        Section::Block => block.has_rescue,
        Section::Rescue => true,
        Section::Always => false,
    });
    let ignored = step.inherited(program, |common| &common.ignore_errors);
    let ignored = ignored.is_some_and(|ignored| *ignored != Field::Known(false));
    !(conditional || on_demand || rescued || ignored) && step.task.failed_when.is_empty()
}

/// The one line about those that are not, each given by what is wrong with it first.
pub(super) fn warning(wrong: &[Diagnostic]) -> Option<Diagnostic> {
    let told = |one: &Diagnostic| match one.labels.first() {
        Some((span, _)) => format!("{} ({span})", one.message),
        None => one.message.clone(),
    };
    let mut names: Vec<String> = wrong.iter().take(NAMED).map(told).collect();
    if wrong.len() > NAMED {
        names.push(format!("and {} more", wrong.len() - NAMED));
    }
    let (tasks, fail) = if wrong.len() == 1 { ("task", "fails if it is") } else { ("tasks", "fail if they are") };
    let message = format!("{} {tasks} cannot run here and {fail} reached: {}", wrong.len(), names.join("; "));
    (!wrong.is_empty()).then(|| Diagnostic::warning(message))
}
