//! Tasks, handlers and blocks: above all, which of a task's keys is the module.

use super::ast::{Args, Block, Detached, Field, Loop, LoopControl, LoopOver, Retry, Spanned, Step, Task};
use super::freeform;
use super::keyword::Place;
use super::list;
use super::reader::{Reader, place_of, removed, unknown_keyword};
use crate::diagnostic::{Diagnostic, Diagnostics, nearest};
use crate::source::Span;
use crate::value::Value;
use crate::yaml::{Data, Entry, Node};

/// The collections whose modules Trueup's stand for.
const COLLECTIONS: [&str; 6] = [
    "ansible.builtin.",
    "ansible.legacy.",
    "ansible.posix.",
    "community.general.",
    "community.mysql.",
    "community.postgresql.",
];

/// A list of tasks and blocks.
pub(super) fn steps(node: &Node, what: &str, diagnostics: &mut Diagnostics) -> Vec<Step> {
    list(node, what, diagnostics).iter().filter(is_given).filter_map(|item| step(item, diagnostics)).collect()
}

/// A list of handlers, and blocks of them.
pub(super) fn handlers(node: &Node, what: &str, diagnostics: &mut Diagnostics) -> Vec<Step> {
    let handler = |item: &Node, diagnostics: &mut Diagnostics| {
        if item.as_map().is_some_and(|map| map.contains_key("block")) {
            return block_of(item, handlers, diagnostics).map(|block| Step::Block(Box::new(block)));
        }
        task(Place::Handler, item, diagnostics).map(|task| Step::Task(Box::new(task)))
    };
    list(node, what, diagnostics).iter().filter(is_given).filter_map(|item| handler(item, diagnostics)).collect()
}

/// An item that holds nothing is passed over, as Ansible does.
fn is_given(item: &&Node) -> bool {
    !item.is_null()
}

fn step(node: &Node, diagnostics: &mut Diagnostics) -> Option<Step> {
    if let Some(map) = node.as_map() {
        if map.contains_key("block") {
            return block(node, diagnostics).map(|block| Step::Block(Box::new(block)));
        }
        if let Some(entry) = map.get("rescue").or_else(|| map.get("always")) {
            diagnostics.push(
                Diagnostic::error("`rescue` and `always` need a `block` beside them")
                    .at(&entry.key)
                    .hint("indent it as deep as the `block:` it belongs to, without a `-`"),
            );
            return None;
        }
    }
    task(Place::Task, node, diagnostics).map(|task| Step::Task(Box::new(task)))
}

pub(super) fn block(node: &Node, diagnostics: &mut Diagnostics) -> Option<Block> {
    block_of(node, steps, diagnostics)
}

/// A block whose sections are read by `steps`.
fn block_of(
    node: &Node,
    steps: fn(&Node, &str, &mut Diagnostics) -> Vec<Step>,
    diagnostics: &mut Diagnostics,
) -> Option<Block> {
    let mut r = Reader::new(Place::Block, node, diagnostics)?;
    let mut section =
        |key: &str| r.node(key).map(|node| steps(node, &format!("`{key}`"), r.diagnostics)).unwrap_or_default();
    let (block, rescue, always) = (section("block"), section("rescue"), section("always"));
    let mut block = Block {
        block,
        rescue,
        always,
        when: r.conditions("when"),
        notify: r.fields("notify"),
        delegate_to: r.field("delegate_to"),
        common: r.common(),
        span: node.span.clone(),
    };
    r.close(&mut block.common);
    Some(block)
}

fn task(place: Place, node: &Node, diagnostics: &mut Diagnostics) -> Option<Task> {
    let mut r = Reader::new(place, node, diagnostics)?;
    let looping = looping(&mut r);
    let wrong = looping.as_ref().and_then(check_loop).into_iter().collect();
    let local = r.has("local_action");
    let action = r.entry("action").or_else(|| r.entry("local_action"));
    let args = r.node("args");
    let mut task = Task {
        module: Spanned { value: String::new(), span: node.span.clone() },
        written: String::new(),
        args: Args::default(),
        when: r.conditions("when"),
        looping,
        register: r.variable("register"),
        retry: Retry { until: r.conditions("until"), retries: r.field("retries"), delay: r.field("delay") },
        detached: Detached { seconds: r.field("async"), poll: r.field("poll") },
        changed_when: r.conditions("changed_when"),
        failed_when: r.conditions("failed_when"),
        notify: r.fields("notify"),
        listen: if place == Place::Handler { r.fields("listen") } else { Vec::new() },
        delegate_to: r.field("delegate_to"),
        delegate_facts: r.field("delegate_facts"),
        common: r.common(),
        wrong,
        span: node.span.clone(),
    };
    let (unknown, diagnostics) = r.finish(&mut task.common);
    let candidates: Vec<_> = unknown.into_iter().collect();
    let call = match action {
        Some(entry) => {
            diagnostics.extend(candidates.iter().map(|(key, other)| conflict("action", &entry.key, key, &other.key)));
            freeform::action(entry, diagnostics)?
        }
        None => {
            let (key, entry) = module(place, node, &candidates, diagnostics)?;
            freeform::Call {
                written: key.to_owned(),
                span: entry.key.clone(),
                value: Some(&entry.value),
                args: Args::default(),
            }
        }
    };
    task.module = Spanned { value: plain_name(&call.written).to_owned(), span: call.span.clone() };
    diagnostics.extend(not_of_includes(place, &task.module.value, node));
    task.args = freeform::args(&call, &task.module.value, args, diagnostics);
    task.written = call.written;
    if local {
        let span = task.module.span.clone();
        task.delegate_to = Some(Spanned { value: Field::Known("localhost".to_owned()), span });
    }
    Some(task)
}

/// Keywords of an include that Ansible refuses: they would be the include's own, not its tasks'.
fn not_of_includes(place: Place, module: &str, node: &Node) -> Vec<Diagnostic> {
    if !["include_tasks", "include_role"].contains(&module) {
        return Vec::new();
    }
    let allowed = |key: &str| {
        let of_handler = place == Place::Handler && key == "listen";
        of_handler || OF_INCLUDES.contains(&key) || key.starts_with("with_") || !place.has(key)
    };
    let refused = node.as_map().into_iter().flatten().filter(|(key, _)| !allowed(key));
    refused
        .map(|(key, entry)| {
            let error = Diagnostic::error(format!("`{key}` is not a keyword of `{module}`")).at(&entry.key);
            error.hint(format!("to give it to the tasks that are included, write it below `apply:` of `{module}`"))
        })
        .collect()
}

/// Keywords that an include has itself.
const OF_INCLUDES: [&str; 17] = [
    "action",
    "args",
    "collections",
    "debugger",
    "ignore_errors",
    "local_action",
    "loop",
    "loop_control",
    "name",
    "needs",
    "no_log",
    "register",
    "run_once",
    "tags",
    "timeout",
    "vars",
    "when",
];

/// A module's name without the collections that Trueup's modules stand for.
pub fn plain_name(written: &str) -> &str {
    COLLECTIONS.iter().find_map(|collection| written.strip_prefix(collection)).unwrap_or(written)
}

/// The key that is the module: the first that is no keyword, unless it is nearly one and another is not.
fn module<'n>(
    place: Place,
    task: &Node,
    candidates: &[(&'n str, &'n Entry)],
    diagnostics: &mut Diagnostics,
) -> Option<(&'n str, &'n Entry)> {
    let nearly_keyword = |key: &str| place_of(key).is_some() || nearest(key, place.keywords()).is_some();
    let chosen = match candidates {
        [only] => Some(only),
        several => several.iter().find(|(key, _)| !nearly_keyword(key)).or(several.first()),
    };
    let Some(chosen) = chosen else {
        let first = task.as_map().and_then(|map| map.values().next()).map_or(&task.span, |entry| &entry.key);
        let diagnostic = Diagnostic::error(format!("{} must have a module, and this one has none", place.noun()));
        let diagnostic = diagnostic.told("no module/action detected in task.");
        diagnostics.push(diagnostic.at(first).hint("add one, such as `command: …`, beside the keywords"));
        return None;
    };
    let (name, entry) = *chosen;
    for (key, other) in candidates.iter().filter(|(key, _)| *key != name) {
        diagnostics.push(if removed(key).is_some() {
            conflict(name, &entry.key, key, &other.key)
        } else if nearly_keyword(key) {
            unknown_keyword(place, key, &other.key)
        } else if entry.value.is_null() {
            Diagnostic::error(format!("`{key}` is not a keyword of {}", place.noun()))
                .at(&other.key)
                .label(&entry.key, format!("if it is a parameter of `{name}`, it must be indented deeper than this"))
                .hint(format!("indent `{key}` under `{name}:`"))
        } else {
            conflict(name, &entry.key, key, &other.key)
        });
    }
    Some((name, entry))
}

fn conflict(name: &str, first: &Span, key: &str, second: &Span) -> Diagnostic {
    let error = Diagnostic::error(format!("conflicting actions: this task has both `{name}` and `{key}`"))
        .label(second, "not a keyword, so it would be a second module")
        .label(first, "the module");
    if let Some(hint) = removed(key) {
        return error.hint(hint);
    }
    error.hint(format!("make two tasks of them; if `{key}` is a parameter of `{name}`, indent it under `{name}:`"))
}

fn looping(r: &mut Reader<'_, '_>) -> Option<Loop> {
    let control = r.node("loop_control").and_then(|node| loop_control(node, r.diagnostics)).unwrap_or_default();
    let with: Vec<(String, &Entry)> = r.take_with();
    let list = r.entry("loop");
    let mut sources = Vec::new();
    if let Some(entry) = list.filter(|entry| !entry.value.is_null()) {
        sources.push((&entry.key, LoopOver::List(entry.value.clone())));
    }
    for (lookup, entry) in &with {
        if entry.value.is_null() {
            r.diagnostics.push(Diagnostic::error(format!("`with_{lookup}` needs a value")).at(&entry.key));
        }
        let lookup = Spanned { value: lookup.clone(), span: entry.key.clone() };
        sources.push((&entry.key, LoopOver::Lookup(lookup, entry.value.clone())));
    }
    let mut sources = sources.into_iter();
    let (first, over) = sources.next()?;
    for (second, _) in sources {
        r.diagnostics.push(
            Diagnostic::error("a task can have one loop")
                .label(second, "this is a second one")
                .label(first, "the first"),
        );
    }
    Some(Loop { over, control })
}

/// What cannot be a list; its conditions may still say that nobody asks.
fn check_loop(looping: &Loop) -> Option<Diagnostic> {
    let LoopOver::List(node) = &looping.over else { return None };
    let hint = match &node.data {
        Data::Seq(_) => return None,
        Data::Scalar(_) if node.is_template() => return None,
        Data::Scalar(scalar) if super::field::is_variable(&scalar.text) => {
            Some(format!("to loop over the variable, write `loop: \"{{{{ {} }}}}\"`", scalar.text))
        }
        Data::Map(_) => Some("to loop over a dictionary, write `loop: \"{{ … | dict2items }}\"`".to_owned()),
        Data::Scalar(_) => None,
    };
    let error = Diagnostic::error(format!("`loop` must be a list, and this is {}", node.describe())).at(&node.span);
    Some(hint.into_iter().fold(error, Diagnostic::hint))
}

fn loop_control(node: &Node, diagnostics: &mut Diagnostics) -> Option<LoopControl> {
    let mut r = Reader::new(Place::LoopControl, node, diagnostics)?;
    let control = LoopControl {
        loop_var: r.variable_or_template("loop_var"),
        index_var: r.variable_or_template("index_var"),
        label: r.node("label").cloned(),
        pause: r.field("pause"),
        extended: r.field("extended"),
        extended_allitems: r.field("extended_allitems"),
        break_when: r.conditions("break_when"),
    };
    r.close(&mut Default::default());
    Some(control)
}

/// `args: "{{ … }}"`.
pub(super) fn as_template(node: &Node) -> Option<crate::value::Template> {
    match node.to_value() {
        Value::Template(template) => Some(template),
        _ => None,
    }
}
