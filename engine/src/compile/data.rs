//! Which step reads what another writes.
//!
//! A step's words are all identifiers in its own texts, in the template file that it names, and in the definitions of the
//! variables among them. That is more than it reads, never less: an identifier that is computed at run time (`vars[name]`,
//! `lookup('vars', name)`) is caught because then every written variable counts as read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::check::texts;
use super::facts::is_fact;
use super::{Program, Role, Step};
use crate::inventory::Inventory;
use crate::playbook::{Field, LoopOver, Opt, Task};
use crate::template::is_template;
use crate::value::{Map, Value};
use crate::yaml::{Data, Mapping, Node};

/// Fills in what the steps of a range write, read and notify.
pub(super) fn annotate(program: &mut Program, from: usize, to: usize) {
    let definitions = Arc::clone(&program.definitions);
    let mut of_roles = BTreeMap::new();
    for at in from..to.min(program.steps.len()) {
        let step = &program.steps[at];
        let of_role = step.around.role.as_ref().map(|role| of_roles.entry(role.id).or_insert_with(|| of_role(role)));
        let nothing = Definitions::new();
        let of_role = of_role.map_or(&nothing, |found| &*found);
        let own = own_definitions(program, step);
        let known = [&*definitions, of_role, &own];
        let mut words = words(program, step);
        close_over(&mut words, &known);
        // A fact has a variable of its own, and is set with all others.
        if words.iter().any(|word| is_fact(word)) {
            words.insert(FACTS.into());
        }
        let blocks = step.blocks().iter().flat_map(|(block, _)| &block.notify);
        let notifies = step.task.notify.iter().chain(blocks).map(|name| name.value.written().to_owned()).collect();
        let once = step.entry.once
            || matches!(step.inherited(program, |common| &common.run_once), Some(Field::Known(true)))
            || META_OF_ALL.contains(&step.meta_action());
        let writes = writes(step);
        let of_condition = |text: &str| {
            let mut words = BTreeSet::new();
            identifiers(text, &mut words);
            close_over(&mut words, &known);
            words
        };
        let when_words: Vec<_> = step.conditions().map(|condition| of_condition(&condition.text)).collect();
        let register = step.task.register.as_ref().filter(|_| step.task.looping.is_some());
        let reads_itself = register.is_some_and(|register| {
            let mut of_args = BTreeSet::new();
            arg_texts(&step.task).iter().for_each(|text| identifiers(text, &mut of_args));
            close_over(&mut of_args, &known);
            when_words.iter().chain([&of_args]).any(|words| words.contains(&register.value))
        });
        let looks_here = looks_here(step, &words);
        let step = Arc::make_mut(&mut program.steps[at]);
        (step.reads_itself, step.looks_here) = (reads_itself, looks_here);
        (step.writes, step.words, step.when_words) = (writes, words, when_words);
        (step.notifies, step.once) = (notifies, once);
    }
}

/// Actions of `meta` that one host does for all.
const META_OF_ALL: [&str; 5] = ["clear_facts", "clear_host_errors", "end_batch", "end_play", "refresh_inventory"];

/// The words of the definitions of variables, by the variables' names.
pub(super) type Definitions = BTreeMap<String, BTreeSet<String>>;

/// The variable that holds all facts.
const FACTS: &str = "ansible_facts";

/// The words of the definition of each variable that an inventory, a play or a role gives to any host.
pub(super) fn definitions(program: &Program, inventory: &Inventory) -> Definitions {
    let mut definitions = Definitions::new();
    for host in inventory.hosts.values().chain(&inventory.implicit) {
        inventory.layers(host).into_iter().for_each(|layer| define(layer.vars, &mut definitions));
    }
    for plan in &program.plays {
        define(&plan.play.common.vars, &mut definitions);
        for (file, words) in plan.vars_files.all() {
            let Some(map) = file.as_map() else { continue };
            define(map, &mut definitions);
            // Who reads what may be in it reads what decides whether it is.
            let read = map.keys().filter(|_| !words.is_empty());
            read.for_each(|name| definitions.entry(name.clone()).or_default().extend(words.iter().cloned()));
        }
        define_values(&plan.role_defaults, &mut definitions);
        define_values(&plan.role_exports, &mut definitions);
    }
    definitions
}

/// Adds what plays and hosts that are new define.
pub(super) fn define_more(program: &mut Program, inventory: &Inventory) {
    let more = definitions(program, inventory);
    let known = Arc::make_mut(&mut program.definitions);
    more.into_iter().for_each(|(name, words)| known.entry(name).or_default().extend(words));
}

/// Adds variables that were read during the run. True if steps may have to be looked at again.
pub(super) fn learn(program: &mut Program, vars: &Map) -> bool {
    let mut found = Definitions::new();
    define_values(vars, &mut found);
    found.retain(|name, words| !words.is_empty() && program.definitions.get(name) != Some(words));
    let news = !found.is_empty();
    let definitions = Arc::make_mut(&mut program.definitions);
    for (name, words) in found {
        definitions.entry(name).or_default().extend(words);
    }
    news
}

fn of_role(role: &Role) -> Definitions {
    let mut definitions = Definitions::new();
    for map in [&role.vars.defaults, &role.vars.vars, &role.vars.params] {
        define_values(map, &mut definitions);
    }
    definitions
}

fn define_values(map: &Map, definitions: &mut Definitions) {
    for (name, value) in map {
        let mut texts = Vec::new();
        value_texts(value, &mut texts);
        let words = definitions.entry(name.clone()).or_default();
        texts.iter().for_each(|text| identifiers(text, words));
    }
}

fn value_texts(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::Template(template) => texts.push(template.text.clone()),
        Value::List(items) => items.iter().for_each(|item| value_texts(item, texts)),
        Value::Map(map) => map.values().for_each(|item| value_texts(item, texts)),
        _ => {}
    }
}

/// The same for the variables of a task and its blocks.
fn own_definitions(program: &Program, step: &Step) -> Definitions {
    let mut definitions = Definitions::new();
    step.scopes(program).skip(1).for_each(|common| define(&common.vars, &mut definitions));
    step.blocks().iter().for_each(|(block, _)| define_values(&block.params, &mut definitions));
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
        "setup" | "hostname" => drop(writes.insert(FACTS.into())),
        "package_facts" => writes.extend([FACTS.to_owned(), "packages".into()]),
        "service_facts" => writes.extend([FACTS.to_owned(), "services".into()]),
        "getent" => {
            let database = step.task.args.params.get("database").and_then(|entry| entry.value.as_scalar());
            writes.insert(FACTS.into());
            writes.extend(database.map(|database| format!("getent_{}", database.text)));
        }
        _ => {}
    }
    writes
}

fn words(program: &Program, step: &Step) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    let task = &step.task;
    let mut texts_ = Vec::new();
    let conditions = task.when.iter().chain(&task.changed_when).chain(&task.failed_when).chain(&task.retry.until);
    let blocks = step.blocks().iter().flat_map(|(block, _)| &block.when);
    texts_.extend(conditions.chain(blocks).map(|condition| condition.text.clone()));
    texts_.extend(texts(&task.notify));
    texts_.extend([&task.common.name, &task.common.escalation.user].into_iter().filter_map(template));
    texts_.extend(step.delegate_to().map(|host| host.written().to_owned()));
    task.args.params.values().chain(task.args.defaults.values()).for_each(|entry| node(&entry.value, &mut texts_));
    task.args.free_form.iter().for_each(|free| node(free, &mut texts_));
    let rendered = task.args.rendered.iter().chain(&task.args.rendered_defaults);
    texts_.extend(rendered.map(|template| template.text.clone()));
    if let Some(looping) = &task.looping {
        let (LoopOver::List(over) | LoopOver::Lookup(_, over)) = &looping.over;
        node(over, &mut texts_);
        texts_.extend(looping.control.break_when.iter().map(|condition| condition.text.clone()));
        let control = &looping.control;
        texts_.extend([&control.extended, &control.extended_allitems].into_iter().filter_map(template));
        texts_.extend(template(&control.pause));
        looping.control.label.iter().for_each(|label| node(label, &mut texts_));
    }
    texts_.extend([&task.retry.retries, &task.detached.seconds, &task.detached.poll].into_iter().filter_map(template));
    texts_.extend(template(&task.retry.delay));
    for common in step.scopes(program) {
        let flags = [&common.check_mode, &common.ignore_errors, &common.ignore_unreachable, &common.no_log];
        texts_.extend(flags.into_iter().filter_map(template));
        texts_.extend([&common.connection, &common.remote_user].into_iter().filter_map(template));
        texts_.extend([&common.port, &common.timeout].into_iter().filter_map(template));
        common.environment.iter().for_each(|environment| node(environment, &mut texts_));
    }
    match template_file(program, step) {
        Read::Text(text) => texts_.push(text),
        Read::Nothing => {}
        // Then it may read any.
        Read::Unknown => texts_.push(format!("vars {FACTS}")),
    }
    texts_.iter().for_each(|text| identifiers(text, &mut words));
    words
}

/// Whether a step looks at the controller: lookups that read files or run programs, tests of paths. By its words, so rather
/// once too often.
fn looks_here(step: &Step, words: &BTreeSet<String>) -> bool {
    const LOOKUPS: [&str; 11] = [
        "csvfile",
        "file",
        "fileglob",
        "first_found",
        "ini",
        "lines",
        "password",
        "pipe",
        "template",
        "unvault",
        "url",
    ];
    const TESTS: [&str; 7] = ["directory", "exists", "file", "is_dir", "is_file", "link", "link_exists"];
    let has = |names: &[&str]| names.iter().any(|name| words.contains(*name));
    let over = step.task.looping.as_ref().map(|looping| &looping.over);
    let loops = matches!(over, Some(LoopOver::Lookup(name, _)) if LOOKUPS.contains(&name.value.as_str()));
    loops || (has(&["lookup", "query", "q"]) && has(&LOOKUPS)) || (has(&["is"]) && has(&TESTS))
}

/// The texts of all parameters.
fn arg_texts(task: &Task) -> Vec<String> {
    let mut texts = Vec::new();
    task.args.params.values().chain(task.args.defaults.values()).for_each(|entry| node(&entry.value, &mut texts));
    task.args.free_form.iter().for_each(|free| node(free, &mut texts));
    let rendered = task.args.rendered.iter().chain(&task.args.rendered_defaults);
    texts.extend(rendered.map(|template| template.text.clone()));
    texts
}

/// What a `template` task reads beside its own words.
enum Read {
    Nothing,
    Text(String),
    Unknown,
}

/// The text of the file that a `template` task names, if it can be told already.
fn template_file(program: &Program, step: &Step) -> Read {
    let Some(src) = step.task.args.params.get("src").filter(|_| step.entry.name == "template") else {
        return Read::Nothing;
    };
    let Some(name) = src.value.as_scalar().filter(|_| !src.value.is_template()) else { return Read::Unknown };
    let candidates = super::search::candidates(step, &program.plays[step.play], "templates", &name.text);
    match candidates.iter().find_map(|path| std::fs::read_to_string(path).ok()) {
        Some(text) if ["include", "import", "extends"].iter().any(|word| text.contains(word)) => Read::Unknown,
        Some(text) => Read::Text(text),
        None => Read::Unknown,
    }
}

fn template<T>(field: &Opt<T>) -> Option<String> {
    match &field.as_ref()?.value {
        Field::Template(template) => Some(template.text.clone()),
        Field::Known(_) => None,
    }
}

pub(super) fn node(from: &Node, texts: &mut Vec<String>) {
    match &from.data {
        Data::Seq(items) => items.iter().for_each(|item| node(item, texts)),
        Data::Map(map) => map.values().for_each(|entry| node(&entry.value, texts)),
        Data::Scalar(scalar) => texts.push(scalar.text.clone()),
    }
}

/// Adds the identifiers of a text.
pub(super) fn identifiers(text: &str, words: &mut BTreeSet<String>) {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    words.extend(text.split(|c| !word(c)).filter(|word| !word.is_empty()).map(str::to_owned));
}

/// Adds to `words` those of the definitions of variables among them, until no more come.
fn close_over(words: &mut BTreeSet<String>, definitions: &[&Definitions]) {
    let mut next: Vec<String> = words.iter().cloned().collect();
    while let Some(word) = next.pop() {
        for inner in definitions.iter().filter_map(|known| known.get(&word)).flatten() {
            if words.insert(inner.clone()) {
                next.push(inner.clone());
            }
        }
    }
}
