//! YAML: read as Ansible reads it, and written as its dumper (PyYAML on libyaml's emitter) lays it out.

mod analysis;
mod emitter;
mod scalars;

use std::sync::Arc;

use minijinja::Error;
use minijinja::value::Value;

use self::emitter::{Emitter, Place};
use super::super::call::{Call, Entry, fail};
use super::super::python::mutable;
use crate::diagnostic::{Diagnostics, Severity};
use crate::source::Source;

pub(super) static ALL: &[Entry] = &[
    Entry::new(&["to_yaml"], &["value", "indent", "sort_keys", "**"], "YAML, inner collections on one line.", |c| {
        write(c, 2, None)
    }),
    Entry::new(&["to_nice_yaml"], &["value", "indent", "sort_keys", "**"], "YAML to read.", |c| {
        write(c, 4, Some(false))
    }),
    Entry::new(&["from_yaml"], &["value"], "Reads YAML.", |c| match c.value(0)?.as_str() {
        Some(text) => {
            let mut all = read(text)?;
            match all.len() {
                0 | 1 => Ok(all.pop().unwrap_or_else(|| Value::from(()))),
                _ => Err(fail("expected a single document in the stream, but found another document")),
            }
        }
        None => c.value(0).cloned(),
    }),
    Entry::new(&["from_yaml_all"], &["value"], "Reads all documents of a YAML text.", |c| {
        let value = c.value(0)?;
        match value.as_str() {
            Some("") => Ok(mutable::list(Vec::new())),
            Some(text) => read(text).map(mutable::list),
            None if value.is_none() => Ok(mutable::list(Vec::new())),
            None => Ok(value.clone()),
        }
    }),
];

/// All documents of a text.
fn read(text: &str) -> Result<Vec<Value>, Error> {
    let source = Arc::new(Source { path: "value".into(), text: text.to_owned() });
    let mut diagnostics = Diagnostics::default();
    let nodes = crate::yaml::load_all(&source, &Default::default(), &mut diagnostics);
    match diagnostics.iter().find(|d| d.severity == Severity::Error) {
        Some(error) => Err(fail(format!("not YAML: {}", error.message))),
        None => Ok(nodes.unwrap_or_default().iter().map(|node| from_value(&node.to_value())).collect()),
    }
}

/// What was read, as minijinja's: templates in it are texts, since nobody vouches for them.
fn from_value(value: &crate::value::Value) -> Value {
    use crate::value::Value as Ours;
    match value {
        Ours::Bool(b) => Value::from(*b),
        Ours::Int(n) => Value::from(*n),
        Ours::Float(n) => Value::from(*n),
        Ours::Str(s) => Value::from(s.as_str()),
        Ours::Template(t) => Value::from(t.text.as_str()),
        Ours::List(list) => mutable::list(list.iter().map(from_value).collect()),
        Ours::Map(map) => mutable::dict(map.iter().map(|(k, v)| (Value::from(k.as_str()), from_value(v)))),
        Ours::Null | Ours::Secret(_) | Ours::Unknown(_) | Ours::Omit => Value::from(()),
    }
}

fn write(c: &mut Call, indent: i64, flow: Option<bool>) -> Result<Value, Error> {
    const KNOWN: [&str; 7] =
        ["default_flow_style", "width", "default_style", "explicit_start", "explicit_end", "allow_unicode", "encoding"];
    if let Some((name, _)) = c.named.iter().find(|(k, _)| !KNOWN.contains(&k.as_str())) {
        return Err(fail(format!("'{}' has no parameter '{name}'; it has: {}", c.name, KNOWN.join(", "))));
    }
    let named = |name: &str| c.named.iter().find(|(k, _)| k == name).map(|(_, v)| v).filter(|v| !v.is_none());
    let flag = |name: &str| named(name).is_some_and(Value::is_true);
    let indent = usize::try_from(c.int_or(1, indent)?).ok().filter(|n| (2..10).contains(n)).unwrap_or(2);
    let width = named("width").and_then(Value::as_i64).map_or(80, |w| match usize::try_from(w) {
        Ok(w) if w > indent * 2 => w,
        Ok(_) => 80,
        Err(_) => usize::MAX,
    });
    let flow = match c.named.iter().find(|(k, _)| k == "default_flow_style") {
        Some((_, v)) if v.is_none() => None,
        Some((_, v)) => Some(v.is_true()),
        None => flow,
    };
    let style = named("default_style").and_then(|v| v.as_str()).and_then(|s| s.chars().next());
    let mut emitter = Emitter {
        indent,
        width,
        style,
        flow,
        sort: c.option(2)?.is_none_or(Value::is_true),
        blocks: false,
        out: String::new(),
        column: 0,
        whitespace: true,
        indention: true,
        flow_level: 0,
    };
    if flag("explicit_start") {
        emitter.put("---");
        emitter.whitespace = false;
        emitter.indention = false;
    }
    emitter.node(c.value(0)?, Place { indent: None, mapping: false, simple_key: false })?;
    if emitter.column > 0 {
        emitter.line_break();
    }
    if flag("explicit_end") {
        emitter.out.push_str("...\n");
    }
    Ok(Value::from(emitter.out))
}

/// A value as Ansible's callbacks print results in YAML.
pub(crate) fn result(value: &serde_json::Value) -> String {
    emitted(value, 4, true)
}

/// A value as PyYAML's `dump` writes it.
pub(crate) fn dump(value: &serde_json::Value) -> String {
    emitted(value, 2, false)
}

fn emitted(value: &serde_json::Value, indent: usize, blocks: bool) -> String {
    let mut emitter = Emitter {
        indent,
        width: 80,
        style: None,
        flow: Some(false),
        sort: true,
        blocks,
        out: String::new(),
        column: 0,
        whitespace: true,
        indention: true,
        flow_level: 0,
    };
    // What came from JSON has nothing that cannot be written.
    _ = emitter.node(&of_json(value), Place { indent: None, mapping: false, simple_key: false });
    if emitter.column > 0 {
        emitter.line_break();
    }
    emitter.out
}

fn of_json(value: &serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match value {
        Json::Null => Value::from(()),
        Json::Bool(flag) => Value::from(*flag),
        Json::Number(number) => match number.as_i64() {
            Some(int) => Value::from(int),
            None => Value::from(number.as_f64().unwrap_or_default()),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => mutable::list(items.iter().map(of_json).collect()),
        Json::Object(map) => mutable::dict(map.iter().map(|(key, value)| (Value::from(key.as_str()), of_json(value)))),
    }
}
