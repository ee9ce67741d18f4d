//! Parameters, handler names and templates, held against what exists, before any host is touched.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Program, Step, defaults};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::playbook::{Common, Condition, Field, LoopOver};
use crate::source::Span;
use crate::template::{Templar, TemplateError};
use crate::value::Value;
use crate::yaml::{Data, Node};

/// Keywords of Ansible that change what a playbook does and that are not built yet: to pass over one would be a lie.
const NOT_YET: [&str; 1] = ["debugger"];

pub(super) fn check(program: &Program, templar: &Templar, diagnostics: &mut Diagnostics) {
    let mut seen = BTreeSet::new();
    for plan in &program.plays {
        not_yet(&plan.play.common, diagnostics);
    }
    let seen = |step: &&Arc<Step>| seen.insert((step.task.span.start, step.task.span.path().to_owned()));
    // A play with several batches has each of its tasks several times.
    let once: Vec<Arc<Step>> = program.steps.iter().filter(seen).cloned().collect();
    steps(program, &once, templar, diagnostics);
    diagnostics.sort();
}

/// The same for steps of which some are not in the program yet.
pub(super) fn steps(program: &Program, steps: &[Arc<Step>], templar: &Templar, diagnostics: &mut Diagnostics) {
    for step in steps {
        params(step, diagnostics);
        notified(program, step, diagnostics);
        not_yet(&step.task.common, diagnostics);
        for (block, _) in step.blocks() {
            not_yet(&block.common, diagnostics);
        }
        templates(step, templar, diagnostics);
    }
}

fn not_yet(common: &Common, diagnostics: &mut Diagnostics) {
    for (name, entry) in common.carried.iter().filter(|(name, _)| NOT_YET.contains(&name.as_str())) {
        refuse(name, Some(&entry.key), diagnostics);
    }
    defaults::check(common, diagnostics);
}

fn refuse(name: &str, place: Option<&Span>, diagnostics: &mut Diagnostics) {
    let Some(place) = place else { return };
    diagnostics.push(Diagnostic::error(format!("keyword `{name}` is not supported yet")).at(place));
}

fn params(step: &Step, diagnostics: &mut Diagnostics) {
    // `args: "{{ … }}"` may hold any; then the agent says what is wrong.
    if step.task.args.rendered.is_some() {
        return;
    }
    let args = &step.task.args;
    let free = args.free_form.as_ref().and(step.entry.free_form);
    if let (Some(node), None) = (&args.free_form, step.entry.free_form) {
        if !node.is_template() {
            let message = format!("`{}` takes parameters, not a text", step.entry.name);
            diagnostics
                .push(Diagnostic::error(message).at(&node.span).hint("write each parameter as `name: value` below it"));
        }
        return;
    }
    // These are rendered away before the module sees them.
    let ours =
        |name: &str| matches!((step.entry.name, name), ("template" | "copy", "src" | "lstrip_blocks" | "trim_blocks"));
    let lowered = matches!(step.entry.name, "template" | "copy").then_some("content");
    // What a template gives is known only when it is rendered.
    if args.rendered_defaults.is_some() {
        return;
    }
    let names = args.given().map(|(name, _)| name.as_str()).filter(|name| !ours(name)).chain(free);
    let has_src = args.given().any(|(name, _)| name == "src");
    for problem in step.entry.check_names(names.chain(lowered.filter(|_| has_src))) {
        let written = args.given().find(|(name, _)| **name == problem.param);
        let span = written.map_or(&step.task.module.span, |(_, entry)| &entry.key);
        let error = Diagnostic::error(problem.reason).at(span);
        diagnostics.push(problem.hint.into_iter().fold(error, Diagnostic::hint));
    }
    let mode = args.given().find(|(name, entry)| *name == "mode" && !entry.value.is_template());
    if let Some((_, mode)) = mode
        && let Err(error) = mode.value.file_mode()
    {
        diagnostics.push(error);
    }
}

fn notified(program: &Program, step: &Step, diagnostics: &mut Diagnostics) {
    // An include may bring more handlers.
    if program.steps.iter().any(|other| other.play == step.play && other.turns() && !other.adds_hosts()) {
        return;
    }
    let handlers = program.plays[step.play].all_handler_names();
    let blocks = step.blocks().iter().flat_map(|(block, _)| &block.notify);
    for notify in step.task.notify.iter().chain(blocks) {
        if let Field::Known(name) = &notify.value
            && !handlers.contains(name)
        {
            let error = Diagnostic::error(format!("the play has no handler `{name}`")).at(&notify.span);
            diagnostics.push(error.did_you_mean(name, handlers.iter().map(String::as_str)));
        }
    }
}

fn templates(step: &Step, templar: &Templar, diagnostics: &mut Diagnostics) {
    let task = &step.task;
    let mut found: Vec<TemplateError> = Vec::new();
    let blocks = step.blocks().iter().flat_map(|(block, _)| &block.when);
    let conditions: Vec<&Condition> = task
        .when
        .iter()
        .chain(blocks)
        .chain(&task.changed_when)
        .chain(&task.failed_when)
        .chain(&task.retry.until)
        .chain(task.looping.iter().flat_map(|looping| &looping.control.break_when))
        .collect();
    found.extend(
        conditions.iter().filter_map(|condition| templar.check_expression(&condition.text, &condition.span).err()),
    );
    let mut nodes: Vec<&Node> =
        task.args.given().map(|(_, entry)| entry).chain(task.common.vars.values()).map(|entry| &entry.value).collect();
    if let Some(looping) = &task.looping {
        let (LoopOver::List(node) | LoopOver::Lookup(_, node)) = &looping.over;
        nodes.push(node);
    }
    nodes.iter().for_each(|node| check_node(node, templar, &mut found));
    found.into_iter().for_each(|error| diagnostics.push(diagnostic(&error)));
}

fn check_node(node: &Node, templar: &Templar, found: &mut Vec<TemplateError>) {
    match &node.data {
        Data::Seq(items) => items.iter().for_each(|item| check_node(item, templar, found)),
        Data::Map(map) => map.values().for_each(|entry| check_node(&entry.value, templar, found)),
        Data::Scalar(_) => {
            if let Value::Template(template) = node.to_value() {
                found.extend(templar.check(&template).err());
            }
        }
    }
}

/// The text of each field, for the words of a step.
pub(super) fn texts(fields: &[crate::playbook::Spanned<Field<String>>]) -> impl Iterator<Item = String> + '_ {
    fields.iter().map(|field| field.value.written().to_owned())
}

/// A template's error as a diagnostic.
fn diagnostic(error: &TemplateError) -> Diagnostic {
    let told = Diagnostic::error(error.to_string()).at(&error.span);
    error.hints.iter().cloned().fold(told, Diagnostic::hint)
}
