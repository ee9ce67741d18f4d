//! `plugin: constructed`: variables and groups computed from the hosts' variables, for all hosts that earlier sources
//! name (the plugin `ansible.builtin.constructed`).

use std::sync::Arc;

use super::build::Builder;
use super::load::Files;
use super::{Inventory, Manner, Request, vars_files};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::execute::json::to_json;
use crate::source::Span;
use crate::template::{Lookup, MapLookup, Templar, TemplateError, Truth};
use crate::value::{Map, Value};
use crate::yaml::{Data, Entry, Mapping, Node, Plain};

const NAMES: [&str; 2] = ["constructed", "ansible.builtin.constructed"];
const OPTIONS: [&str; 8] = [
    "plugin",
    "strict",
    "compose",
    "groups",
    "keyed_groups",
    "leading_separator",
    "use_vars_plugins",
    "use_extra_vars",
];
const KEYED: [&str; 6] = ["key", "prefix", "separator", "parent_group", "default_value", "trailing_separator"];

/// Adds what the document says to all hosts so far.
pub(super) fn read(
    plugin: &Node,
    options: &Mapping,
    request: Request<'_>,
    builder: &mut Builder,
    diagnostics: &mut Diagnostics,
) {
    let name = plugin.as_scalar().map(|scalar| scalar.text.as_str()).unwrap_or_default();
    if !NAMES.contains(&name) {
        let message = format!("there is no inventory plugin `{name}`");
        diagnostics.push(
            Diagnostic::error(message)
                .at(&plugin.span)
                .did_you_mean(name, NAMES)
                .hint("`constructed` is there; for others, let an executable script print what the plugin would find"),
        );
        return;
    }
    for (key, entry) in options.iter().filter(|(key, _)| !OPTIONS.contains(&key.as_str())) {
        let message = format!("`constructed` has no option `{key}`");
        if request.manner == Manner::Strict {
            diagnostics.push(Diagnostic::error(message).at(&entry.key).did_you_mean(key, OPTIONS));
        }
    }
    let flag = |name: &str, default| options.get(name).map_or(default, |entry| is_true(&entry.value));
    let plan = Constructed {
        options,
        templar: Templar::new("."),
        manner: request.manner,
        strict: flag("strict", false),
        leading: flag("leading_separator", true),
    };
    let mut before = builder.clone().finish(&mut Diagnostics::new());
    if flag("use_vars_plugins", false) {
        before.files = Files::of(request);
        vars_files::read(&mut before, &|_| true, diagnostics);
    }
    for host in before.hosts.keys() {
        if let Err(problem) = plan.host(host, &before, builder) {
            return diagnostics.push(*problem);
        }
    }
}

struct Constructed<'a> {
    options: &'a Mapping,
    templar: Templar,
    manner: Manner,
    /// Whether an expression that fails is an error, rather than passed over.
    strict: bool,
    leading: bool,
}

type Outcome<T> = Result<T, Box<Diagnostic>>;

impl Constructed<'_> {
    fn host(&self, name: &str, before: &Inventory, builder: &mut Builder) -> Outcome<()> {
        let mut vars = variables(name, before);
        // None sees what another makes.
        let known = lookup(&vars);
        for (var, entry) in self.section("compose") {
            let text = text(&entry.value);
            if is_no_text(&entry.value) && !self.strict {
                continue;
            }
            let value = self.templar.expression(&text, &entry.value.span, &known);
            if let Some(value) = self.lenient(value, name, &format!("set `{var}`"))? {
                let node = to_json(&value).map(|json| Node::from_json(&json, &entry.value.span));
                let node = node.unwrap_or_else(|_| Node::text(String::new(), &entry.value.span));
                let node = self.made(node, before, name);
                let entry = Entry { key: entry.key.clone(), value: node };
                builder.vars_of(name, Mapping::from_iter([(var.clone(), entry)]));
                vars.insert(var.clone(), value);
            }
        }
        let vars = lookup(&vars);
        for (group, entry) in self.section("groups") {
            let holds = self.templar.condition(&text(&entry.value), &entry.value.span, &vars);
            if self.lenient(holds, name, &format!("decide about group `{group}`"))? == Some(Truth::Yes) {
                builder.host(name, &safe(group), &entry.key, &entry.key.source.path);
            }
        }
        let keyed = self.options.get("keyed_groups").and_then(|entry| entry.value.as_seq()).unwrap_or_default();
        keyed.iter().try_for_each(|node| self.keyed(name, node, &vars, builder))
    }

    /// A text that the host has already may be a template; what was made of it is data, and no text in it is one.
    fn made(&self, node: Node, before: &Inventory, host: &str) -> Node {
        let own = |node: &Node| {
            let same = |entry: &Entry| node.as_scalar().is_some_and(|text| entry.value.as_scalar() == Some(text));
            let host = before.hosts.get(host);
            host.is_some_and(|host| before.layers(host).iter().any(|layer| layer.vars.values().any(same)))
        };
        let data = match node.data {
            Data::Scalar(_) if own(&node) => return node,
            Data::Scalar(_) => return node.into_unsafe(),
            Data::Seq(items) => Data::Seq(items.into_iter().map(|item| self.made(item, before, host)).collect()),
            Data::Map(map) => {
                let entry = |entry: Entry| Entry { value: self.made(entry.value, before, host), ..entry };
                Data::Map(map.into_iter().map(|(key, value)| (key, entry(value))).collect())
            }
        };
        Node { data, span: node.span, is_unsafe: false }
    }

    fn section(&self, name: &str) -> impl Iterator<Item = (&String, &Entry)> {
        self.options.get(name).and_then(|entry| entry.value.as_map()).into_iter().flatten()
    }

    /// An expression that fails is passed over unless `strict`.
    fn lenient<T>(&self, result: Result<T, TemplateError>, host: &str, what: &str) -> Outcome<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(_) if !self.strict => Ok(None),
            Err(error) => {
                let message = format!("failed to {what} for host `{host}`: {error}");
                Err(Box::new(Diagnostic::error(message).at(&error.span)))
            }
        }
    }

    /// One entry of `keyed_groups`.
    fn keyed(&self, host: &str, node: &Node, vars: &Arc<dyn Lookup>, builder: &mut Builder) -> Outcome<()> {
        let problem = |message: String, span: &Span| Box::new(Diagnostic::error(message).at(span));
        let Some(entry) = node.as_map() else {
            return Err(problem(
                format!("a keyed group must be a dictionary, and this is {}", node.describe()),
                &node.span,
            ));
        };
        if let Some((name, unknown)) = entry.iter().find(|(name, _)| !KEYED.contains(&name.as_str())) {
            let message = format!("a keyed group has no option `{name}`");
            return Err(Box::new(Diagnostic::error(message).at(&unknown.key).did_you_mean(name, KEYED)));
        }
        let option = |name: &str| entry.get(name).map(|entry| &entry.value);
        let (default, trailing) = (option("default_value").map(text), option("trailing_separator"));
        if default.is_some() && trailing.is_some() {
            let message = "a keyed group has either `default_value` or `trailing_separator`".to_owned();
            return Err(problem(message, &node.span));
        }
        let Some(key) = option("key") else {
            return match self.manner != Manner::Strict {
                true => Ok(()),
                false => Err(problem("a keyed group needs a `key`".into(), &node.span)),
            };
        };
        if is_no_text(key) && !self.strict {
            return Ok(());
        }
        let value = self.templar.expression(&text(key), &key.span, vars);
        let Some(value) = self.lenient(value, host, "compute a group")? else { return Ok(()) };
        let prefix = option("prefix").map(text).unwrap_or_default();
        let separator = option("separator").map_or_else(|| "_".to_owned(), text);
        let form = Form { separator: &separator, default: default.as_deref(), trailing: trailing.is_none_or(is_true) };
        let Some(names) = form.names(&value) else {
            let message = "a keyed group's key must yield a text, a list or a dictionary".to_owned();
            return Err(problem(message, &key.span));
        };
        if names.is_empty() && self.strict && !matches!(value, Value::List(_) | Value::Map(_)) {
            return Err(problem(format!("the key of a keyed group is empty for host `{host}`"), &key.span));
        }
        let parent = match option("parent_group") {
            Some(parent) => {
                self.lenient(self.templar.resolve(&parent.to_value(), vars), host, "name a parent group")?
            }
            None => None,
        };
        let joint = if prefix.is_empty() && !self.leading { "" } else { &separator };
        for name in names {
            let group = safe(&format!("{prefix}{joint}{name}"));
            builder.host(host, &group, &key.span, &key.span.source.path);
            if let Some(Value::Str(parent)) = &parent {
                builder.child(&safe(parent), &group, &key.span);
            }
        }
        Ok(())
    }
}

/// How a key's value makes names.
struct Form<'a> {
    separator: &'a str,
    /// Stands for an empty value.
    default: Option<&'a str>,
    /// Whether a dictionary's key keeps its separator when the value is empty.
    trailing: bool,
}

impl Form<'_> {
    fn names(&self, key: &Value) -> Option<Vec<String>> {
        let default = || self.default.map(str::to_owned);
        Some(match key {
            empty if is_empty(empty) => default().into_iter().collect(),
            Value::Str(text) => vec![text.clone()],
            Value::List(items) => {
                items.iter().map(|item| default().filter(|_| is_empty(item)).unwrap_or_else(|| show(item))).collect()
            }
            Value::Map(map) => map.iter().map(|(key, value)| self.pair(key, value)).collect(),
            // As in Ansible, what is false makes no group; other things can't be names.
            Value::Bool(false) | Value::Int(0) => Vec::new(),
            _ => return None,
        })
    }

    fn pair(&self, key: &str, value: &Value) -> String {
        match (is_empty(value), self.default) {
            (false, _) => format!("{key}{}{}", self.separator, show(value)),
            (true, Some(default)) => format!("{key}{}{default}", self.separator),
            (true, None) if !self.trailing => key.to_owned(),
            (true, None) => format!("{key}{}{}", self.separator, show(value)),
        }
    }
}

fn is_empty(value: &Value) -> bool {
    matches!(value, Value::Null) || *value == Value::Str(String::new())
}

/// As Python's `str` shows it.
fn show(value: &Value) -> String {
    match value {
        Value::Str(text) => text.clone(),
        Value::Null => "None".into(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        other => to_json(other).map(|json| json.to_string()).unwrap_or_default(),
    }
}

/// A host's variables from the sources so far.
fn variables(name: &str, inventory: &Inventory) -> Map {
    let Some(host) = inventory.hosts.get(name) else { return Map::new() };
    let text = |text: &str| Value::Str(text.to_owned());
    let mut vars = Map::new();
    for layer in inventory.layers(host) {
        vars.extend(layer.vars.iter().map(|(name, entry)| (name.clone(), entry.value.to_value())));
    }
    let groups = inventory.group_names(host).into_iter().map(text).collect();
    vars.insert("inventory_hostname".into(), text(name));
    vars.insert("inventory_hostname_short".into(), text(name.split('.').next().unwrap_or(name)));
    vars.insert("group_names".into(), Value::List(groups));
    vars
}

fn lookup(vars: &Map) -> Arc<dyn Lookup> {
    Arc::new(MapLookup(vars.iter().map(|(name, value)| (name.clone(), value.clone())).collect()))
}

/// A group's name with everything but letters, digits and `_` replaced.
fn safe(name: &str) -> String {
    let fits = |at: usize, c: char| c.is_alphabetic() || c == '_' || (at > 0 && c.is_alphanumeric());
    name.chars().enumerate().map(|(at, c)| if fits(at, c) { c } else { '_' }).collect()
}

fn text(node: &Node) -> String {
    node.as_scalar().filter(|_| !node.is_null()).map(|scalar| scalar.text.clone()).unwrap_or_default()
}

/// Ansible takes texts for expressions, and nothing else.
fn is_no_text(node: &Node) -> bool {
    !matches!(node.as_scalar().map(crate::yaml::Scalar::resolve), Some(Plain::Str(_)))
}

fn is_true(node: &Node) -> bool {
    matches!(node.as_scalar().map(crate::yaml::Scalar::resolve), Some(Plain::Bool(true)))
}
