//! Parameters, handler names and templates, held against what exists, before any host is touched.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use super::{Program, Step, data, defaults, reach};
use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::playbook::{Condition, Field, LoopOver};
use crate::template::{Delimiters, Templar, TemplateError};
use crate::value::Value;
use crate::yaml::{Data, Node};

/// Looks through the steps of the plays from `from` on. What is wrong with a step that is surely run and whose failure is surely
/// one is an error now; any other fails when its turn comes, and of all those one warning tells.
pub(super) fn check(
    program: &mut Program,
    from: usize,
    stage: Stage,
    templar: &Templar,
    diagnostics: &mut Diagnostics,
) {
    for plan in &program.plays[from..] {
        defaults::check(&plan.play.common, diagnostics);
    }
    let mut found: HashMap<(usize, PathBuf), Found> = HashMap::new();
    let mut told = BTreeSet::new();
    let mut later = Vec::new();
    // The plays that a host may have left before their end.
    let mut left = BTreeSet::new();
    for at in 0..program.steps.len() {
        let step = Arc::clone(&program.steps[at]);
        if step.play < from {
            continue;
        }
        let key = (step.task.span.start, step.task.span.path().to_owned());
        // A play with several batches has each of its tasks several times.
        let found = found.entry(key.clone()).or_insert_with(|| problems(program, &step, templar));
        let first = told.insert((key, step.is_missing()));
        if first {
            diagnostics.extend(found.warnings.iter().cloned());
        }
        let sure = stage == Stage::Before && !left.contains(&step.play) && reach::is_sure(program, &step);
        if step.meta_action().starts_with("end_") {
            left.insert(step.play);
        }
        let all = || found.fails.iter().chain(&found.found_later).cloned();
        match (sure, first) {
            (true, true) => all().for_each(|error| diagnostics.raise(error)),
            (true, false) => {}
            (false, first) => {
                later.extend(all().take(usize::from(first)));
                Arc::make_mut(&mut program.steps[at]).wrong.clone_from(&found.fails);
            }
        }
    }
    if stage == Stage::Before && !diagnostics.has_errors() {
        idle_handlers(program, from, diagnostics);
    }
    diagnostics.extend(reach::warning(&later));
    diagnostics.sort();
}

/// When it is looked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Before the run.
    Before,
    /// In the run, when plays have got other hosts: nothing is refused any more.
    During,
}

/// The same for steps that an include brings: the run is under way, so that each fails when its turn comes.
pub(crate) fn included(program: &Program, steps: &mut [Arc<Step>], templar: &Templar) {
    for step in steps {
        let found = problems(program, step, templar);
        if !found.fails.is_empty() {
            Arc::make_mut(step).wrong = found.fails;
        }
    }
}

/// Whether nothing may be given after all: that the module has no such parameter matters where something is.
fn may_be_omitted(value: &Node) -> bool {
    let Some(scalar) = value.as_scalar().filter(|_| value.is_template()) else { return false };
    let mut words = BTreeSet::new();
    data::identifiers(&scalar.text, &mut words);
    words.contains("omit")
}

/// What is wrong with a step.
#[derive(Default)]
struct Found {
    /// It cannot be run.
    fails: Vec<Diagnostic>,
    /// The run finds it by itself where it matters: a template is only rendered when it is needed.
    found_later: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
}

fn problems(program: &Program, step: &Step, templar: &Templar) -> Found {
    let mut fails = Diagnostics::new();
    let mut later = Diagnostics::new();
    fails.extend(step.wrong.iter().cloned());
    if !step.is_missing() {
        params(step, &mut fails);
    }
    defaults::check(&step.task.common, &mut fails);
    for (block, _) in step.blocks() {
        defaults::check(&block.common, &mut fails);
    }
    notified(program, step, &mut fails);
    delimited(step, &mut fails);
    later.extend(step.task.wrong.iter().cloned());
    templates(step, templar, &mut later);
    let (fails, warnings) = fails.into_iter().partition(|one| one.severity == Severity::Error);
    Found { fails, found_later: later.into_iter().collect(), warnings }
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
    let ours = |name: &str| match step.entry.name {
        "template" if name == "newline_sequence" || Delimiters::names().any(|known| known == name) => true,
        "template" | "copy" => matches!(name, "src" | "lstrip_blocks" | "trim_blocks"),
        _ => false,
    };
    let lowered = matches!(step.entry.name, "template" | "copy").then_some("content");
    // What a template gives is known only when it is rendered.
    if args.rendered_defaults.is_some() {
        return;
    }
    let names = args.given().map(|(name, _)| name.as_str()).filter(|name| !ours(name)).chain(free);
    let has_src = args.given().any(|(name, _)| name == "src");
    for problem in step.entry.check_names(names.chain(lowered.filter(|_| has_src))) {
        let written = args.given().find(|(name, _)| **name == problem.param);
        if written.is_some_and(|(_, entry)| may_be_omitted(&entry.value)) {
            continue;
        }
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

/// Conditions in braces, which Ansible will not take for ever.
fn delimited(step: &Step, diagnostics: &mut Diagnostics) {
    const TOLD: &str = "[DEPRECATION WARNING]: Conditionals should not be surrounded by templating delimiters such as {{ }} or \
                        {% %}. This feature will be removed from ansible-core version 2.23.";
    let task = &step.task;
    let more = task.changed_when.iter().chain(&task.failed_when).chain(&task.retry.until);
    for condition in step.conditions().chain(more) {
        let text = condition.text.trim();
        if text.starts_with("{{") && text.ends_with("}}") {
            let warning = Diagnostic::warning("a condition is an expression by itself").told(TOLD).at(&condition.span);
            diagnostics.push(warning.hint("leave the braces out"));
        }
    }
}

/// Handlers of the plays from `from` on that nobody notifies. Those of roles are for whoever uses the role.
fn idle_handlers(program: &Program, from: usize, diagnostics: &mut Diagnostics) {
    let mut told = BTreeSet::new();
    for step in program.steps.iter().filter(|step| step.play >= from && step.around.role.is_none()) {
        let Some(handler) = &step.handler else { continue };
        let of_play = || program.steps.iter().filter(|other| other.play == step.play);
        let named = |other: &Arc<Step>| -> Vec<String> {
            let blocks = other.blocks().iter().flat_map(|(block, _)| texts(&block.notify));
            texts(&other.task.notify).chain(blocks).collect()
        };
        // An include may bring who notifies it, and a template may come to its name.
        let may = |name: &String| handler.names.contains(name) || crate::template::is_template(name);
        if of_play().any(|other| other.includes() || named(other).iter().any(may)) {
            continue;
        }
        let span = step.task.common.name.as_ref().map_or(&step.task.span, |name| &name.span);
        if told.insert((span.path().to_owned(), span.start)) {
            let warning = Diagnostic::warning(format!("nobody notifies the handler `{}`", step.name())).told("");
            diagnostics.push(warning.at(span));
        }
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
            let message = format!("the play has no handler `{name}`: when this is to notify it, the run ends");
            let warning = Diagnostic::warning(message).at(&notify.span);
            diagnostics.push(warning.did_you_mean(name, handlers.iter().map(String::as_str)));
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
    let mut nodes: Vec<&Node> = task.args.given().map(|(_, entry)| &entry.value).chain(&task.args.free_form).collect();
    if let Some(looping) = &task.looping {
        let (LoopOver::List(node) | LoopOver::Lookup(_, node)) = &looping.over;
        nodes.push(node);
    }
    // A variable is rendered where it is read, and nowhere else.
    let read = |name: &str| {
        let texts = conditions.iter().map(|condition| condition.text.as_str());
        texts.chain(nodes.iter().flat_map(|node| scalars(node))).any(|text| text.contains(name))
    };
    let vars: Vec<&Node> =
        task.common.vars.iter().filter(|(name, _)| read(name)).map(|(_, entry)| &entry.value).collect();
    nodes.extend(vars);
    nodes.iter().for_each(|node| check_node(node, templar, &mut found));
    found.into_iter().for_each(|error| diagnostics.push(diagnostic(&error)));
}

fn scalars(node: &Node) -> Vec<&str> {
    match &node.data {
        Data::Seq(items) => items.iter().flat_map(scalars).collect(),
        Data::Map(map) => map.values().flat_map(|entry| scalars(&entry.value)).collect(),
        Data::Scalar(scalar) => vec![&scalar.text],
    }
}

fn check_node(node: &Node, templar: &Templar, found: &mut Vec<TemplateError>) {
    match &node.data {
        Data::Seq(items) => items.iter().for_each(|item| check_node(item, templar, found)),
        Data::Map(map) => map.values().for_each(|entry| check_node(&entry.value, templar, found)),
        Data::Scalar(_) => {
            if let Some(why) = node.unopened() {
                found.push(TemplateError::unopened(why, &node.span));
            } else if let Value::Template(template) = node.to_value() {
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
