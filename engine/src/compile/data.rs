//! Which step reads what another writes.
//!
//! A step's words are all identifiers in its own texts, in the template file that it names, and in the definitions of the
//! variables among them. That is more than it reads, never less: an identifier that is computed at run time (`vars[name]`,
//! `lookup('vars', name)`) is caught because then every written variable counts as read.

use std::collections::{BTreeMap, BTreeSet};

use super::check::texts;
use super::facts::is_fact;
use super::flatten::written;
use super::{Program, Step};
use crate::inventory::Inventory;
use crate::playbook::{Field, LoopOver, Opt};
use crate::template::is_template;
use crate::yaml::{Data, Mapping, Node};

/// Fills in what a step writes, reads and notifies.
pub(super) fn annotate(program: &mut Program, inventory: &Inventory) {
    let definitions = definitions(program, inventory);
    for at in 0..program.steps.len() {
        let step = &program.steps[at];
        let mut words = words(program, step);
        let own = own_definitions(program, step);
        close_over(&mut words, [&definitions, &own]);
        // A fact has a variable of its own, and is set with all others.
        if words.iter().any(|word| is_fact(word)) {
            words.insert(FACTS.into());
        }
        let blocks = step.blocks.iter().flat_map(|(block, _)| &block.notify);
        let notifies = step.task.notify.iter().chain(blocks).map(|name| written(&name.value)).collect();
        let once =
            step.entry.once || matches!(step.inherited(program, |common| &common.run_once), Some(Field::Known(true)));
        let writes = writes(step);
        let of_condition = |text: &str| {
            let mut words = BTreeSet::new();
            identifiers(text, &mut words);
            close_over(&mut words, [&definitions, &own]);
            words
        };
        let when_words = step.conditions().map(|condition| of_condition(&condition.text)).collect();
        let step = &mut program.steps[at];
        (step.writes, step.words, step.when_words) = (writes, words, when_words);
        (step.notifies, step.once) = (notifies, once);
    }
}

/// The words of the definitions of variables, by the variables' names.
type Definitions = BTreeMap<String, BTreeSet<String>>;

/// The variable that holds all facts.
const FACTS: &str = "ansible_facts";

/// The words of the definition of each variable that an inventory or a play gives to any host.
fn definitions(program: &Program, inventory: &Inventory) -> Definitions {
    let mut definitions = Definitions::new();
    let mut define = |map: &Mapping| define(map, &mut definitions);
    for host in inventory.hosts.values().chain(std::iter::once(&inventory.implicit)) {
        inventory.layers(host).into_iter().for_each(|layer| define(layer.vars));
    }
    for plan in &program.plays {
        define(&plan.play.common.vars);
        plan.vars_files.iter().filter_map(Node::as_map).for_each(&mut define);
    }
    definitions
}

/// The same for the variables of a task and its blocks.
fn own_definitions(program: &Program, step: &Step) -> Definitions {
    let mut definitions = Definitions::new();
    step.scopes(program).skip(1).for_each(|common| define(&common.vars, &mut definitions));
    definitions
}

fn define(map: &Mapping, definitions: &mut Definitions) {
    for (name, entry) in map {
        let mut texts = Vec::new();
        node(&entry.value, &mut texts);
        let words = definitions.entry(name.clone()).or_default();
        texts.iter().filter(|text| is_template(text)).for_each(|text| identifiers(text, words));
    }
}

fn writes(step: &Step) -> BTreeSet<String> {
    let mut writes: BTreeSet<String> = step.task.register.iter().map(|name| name.value.clone()).collect();
    match step.entry.name {
        "set_fact" => writes.extend(step.task.args.params.keys().filter(|name| *name != "cacheable").cloned()),
        "setup" => drop(writes.insert(FACTS.into())),
        _ => {}
    }
    writes
}

fn words(program: &Program, step: &Step) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    let task = &step.task;
    let mut texts_ = Vec::new();
    let conditions = task.when.iter().chain(&task.changed_when).chain(&task.failed_when).chain(&task.retry.until);
    let blocks = step.blocks.iter().flat_map(|(block, _)| &block.when);
    texts_.extend(conditions.chain(blocks).map(|condition| condition.text.clone()));
    texts_.extend(texts(&task.notify));
    texts_
        .extend([&task.common.name, &task.delegate_to, &task.common.escalation.user].into_iter().filter_map(template));
    task.args.params.values().for_each(|entry| node(&entry.value, &mut texts_));
    task.args.free_form.iter().for_each(|free| node(free, &mut texts_));
    texts_.extend(task.args.rendered.iter().map(|template| template.text.clone()));
    if let Some(looping) = &task.looping {
        let (LoopOver::List(over) | LoopOver::Lookup(_, over)) = &looping.over;
        node(over, &mut texts_);
        looping.control.label.iter().for_each(|label| node(label, &mut texts_));
    }
    for common in step.scopes(program) {
        common.environment.iter().for_each(|environment| node(environment, &mut texts_));
    }
    texts_.extend(template_file(program, step));
    texts_.iter().for_each(|text| identifiers(text, &mut words));
    words
}

/// The text of the file that a `template` task names, if it can be told already.
fn template_file(program: &Program, step: &Step) -> Option<String> {
    let src = step.task.args.params.get("src").filter(|_| step.entry.name == "template")?;
    let name = &src.value.as_scalar()?.text;
    let dir = &program.plays[step.play].dir;
    std::fs::read_to_string(dir.join(name)).or_else(|_| std::fs::read_to_string(dir.join("templates").join(name))).ok()
}

fn template(field: &Opt<String>) -> Option<String> {
    match &field.as_ref()?.value {
        Field::Template(template) => Some(template.text.clone()),
        Field::Known(_) => None,
    }
}

fn node(from: &Node, texts: &mut Vec<String>) {
    match &from.data {
        Data::Seq(items) => items.iter().for_each(|item| node(item, texts)),
        Data::Map(map) => map.values().for_each(|entry| node(&entry.value, texts)),
        Data::Scalar(scalar) => texts.push(scalar.text.clone()),
    }
}

/// Adds the identifiers of a text.
fn identifiers(text: &str, words: &mut BTreeSet<String>) {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    words.extend(text.split(|c| !word(c)).filter(|word| !word.is_empty()).map(str::to_owned));
}

/// Adds to `words` those of the definitions of variables among them, until no more come.
fn close_over(words: &mut BTreeSet<String>, definitions: [&Definitions; 2]) {
    let mut next: Vec<String> = words.iter().cloned().collect();
    while let Some(word) = next.pop() {
        for inner in definitions.iter().filter_map(|known| known.get(&word)).flatten() {
            if words.insert(inner.clone()) {
                next.push(inner.clone());
            }
        }
    }
}
