//! Filters over each item of a list: `map`, `select`, `selectattr` and their like.

use minijinja::value::{Kwargs, Value};
use minijinja::{Error, State};

use super::super::call::{Call, Entry, fail, fail_told, fail_without};
use super::super::environment::unknown_name;
use super::super::lazy::Context;
use super::super::plugins;
use super::super::python::text;

pub(super) static ALL: &[Entry] = &[
    Entry::new(&["map"], &["value", "*", "**"], "Applies a filter to each item or takes an attribute of it.", map),
    Entry::new(&["select"], &["value", "test", "*", "**"], "The items that pass a test.", |c| select(c, false, true)),
    Entry::new(&["reject"], &["value", "test", "*", "**"], "The items that fail a test.", |c| select(c, false, false)),
    Entry::new(&["selectattr"], &["value", "*", "**"], "The items whose attribute passes a test.", |c| {
        select(c, true, true)
    }),
    Entry::new(&["rejectattr"], &["value", "*", "**"], "The items whose attribute fails a test.", |c| {
        select(c, true, false)
    }),
];

/// The value at a path like `a.b.0`; undefined where a step is missing.
pub(super) fn attribute(value: &Value, path: &Value) -> Result<Value, Error> {
    let Some(path) = path.as_str() else { return text::item(value, path) };
    let mut value = value.clone();
    for step in path.split('.') {
        if value.is_undefined() {
            return Ok(value);
        }
        let key = step.parse::<i64>().map_or_else(|_| Value::from(step), Value::from);
        value = text::item(&value, &key)?;
    }
    Ok(value)
}

/// The items; none of what is empty, whatever it is.
fn list(c: &Call) -> Result<Vec<Value>, Error> {
    if c.value(0)?.is_true() { c.list(0) } else { Ok(Vec::new()) }
}

fn map(c: &mut Call) -> Result<Value, Error> {
    let list = list(c)?;
    let named = |name: &str| c.named.iter().find(|(k, _)| k == name).map(|(_, v)| v.clone());
    if let Some(path) = named("attribute") {
        let ctx = Context::of(c.state)?;
        let missing = |item: &Value| ctx.not_needed(&no_attribute(item, &path));
        let default = named("default");
        return list
            .iter()
            .map(|item| {
                let found = attribute(item, &path)?;
                if !found.is_undefined() {
                    return Ok(found);
                }
                Ok(default.clone().unwrap_or_else(|| missing(item)))
            })
            .collect::<Result<Vec<_>, Error>>()
            .map(Value::from);
    }
    let Some(name) = c.rest.first().and_then(Value::as_str) else {
        return Err(fail("'map' needs the name of a filter or 'attribute='"));
    };
    let filter = name.to_owned();
    if unknown_name(false, &filter).is_some() {
        let message = format!("there is no filter '{filter}'");
        let told = format!("No filter named '{filter}'.");
        return Err(fail_without(plugins::Kind::Filter, &filter, message, told));
    }
    let args = arguments(c, 1);
    each(c.state, list, |state, item| {
        let mut all = vec![item];
        all.extend(args.iter().cloned());
        state.apply_filter(&filter, &all)
    })
}

/// An item without an attribute is what Ansible calls undefined: no filter fails.
fn no_attribute(item: &Value, path: &Value) -> Error {
    let words = format!("object of type '{}' has no attribute '{path}'", text::type_name(item));
    fail_told(words.clone(), words)
}

fn each(
    state: &mut State<'_, '_>,
    list: Vec<Value>,
    mut apply: impl FnMut(&mut State<'_, '_>, Value) -> Result<Value, Error>,
) -> Result<Value, Error> {
    let mut out = Vec::with_capacity(list.len());
    for item in list {
        out.push(apply(state, item)?);
    }
    Ok(Value::from(out))
}

/// The arguments from `skip` on, those by name last, as minijinja passes them.
fn arguments(c: &Call, skip: usize) -> Vec<Value> {
    let mut args: Vec<Value> = c.rest.iter().skip(skip).cloned().collect();
    if !c.named.is_empty() {
        args.push(c.named.iter().cloned().collect::<Kwargs>().into());
    }
    args
}

fn select(c: &mut Call, by_attribute: bool, keep: bool) -> Result<Value, Error> {
    let list = list(c)?;
    let (path, test, skip) = if by_attribute {
        let path =
            c.rest.first().cloned().ok_or_else(|| fail(format!("'{}' needs the name of an attribute", c.name)))?;
        (Some(path), c.rest.get(1).cloned(), 2)
    } else {
        (None, c.option(1)?.cloned(), 0)
    };
    let test = test.as_ref().and_then(Value::as_str).map(str::to_owned);
    if let Some(test) = test.as_ref().filter(|t| unknown_name(true, t).is_some()) {
        let message = format!("there is no test '{test}'");
        let told = format!("No test named '{test}'.");
        return Err(fail_without(plugins::Kind::Test, test, message, told));
    }
    let args = arguments(c, skip);
    let mut out = Vec::new();
    for item in list {
        let subject = path.as_ref().map_or_else(|| Ok(item.clone()), |p| attribute(&item, p))?;
        let holds = match &test {
            None if subject.is_undefined() => {
                return Err(no_attribute(&item, path.as_ref().unwrap_or(&Value::UNDEFINED)));
            }
            None => subject.is_true(),
            Some(test) => {
                let mut all = vec![subject];
                all.extend(args.iter().cloned());
                c.state.perform_test(test, &all)?
            }
        };
        if holds == keep {
            out.push(item);
        }
    }
    Ok(Value::from(out))
}
