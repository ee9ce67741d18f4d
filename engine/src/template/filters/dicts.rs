//! Dictionaries.

use indexmap::IndexMap;
use minijinja::Error;
use minijinja::value::{Tuple, Value, ValueKind};

use super::super::call::{Call, Entry, fail, items, pairs};
use super::super::python::operators::order;
use super::super::python::{mutable, text};

pub(super) static ALL: &[Entry] = &[
    Entry::new(&["combine"], &["value", "*", "**"], "Merges dictionaries; a later one wins.", combine),
    Entry::new(&["dict2items"], &["value", "key_name", "value_name"], "A list of keys and values.", dict2items),
    Entry::new(&["items2dict"], &["value", "key_name", "value_name"], "A dictionary from keys and values.", items2dict),
    Entry::new(
        &["rekey_on_member"],
        &["value", "key", "duplicates"],
        "A dictionary of dictionaries, by one of their values.",
        rekey,
    ),
    Entry::new(&["items"], &["value"], "The pairs.", |c| {
        Ok(c.pairs(0)?.into_iter().map(|(k, v)| Value::from(Tuple::from([k, v]))).collect())
    }),
    Entry::new(&["dictsort"], &["value", "case_sensitive", "by", "reverse"], "The pairs, sorted.", dictsort),
    Entry::new(
        &["subelements"],
        &["value", "subelements", "skip_missing"],
        "Each item with each of its subelements.",
        |c| {
            let skip = c.flag(2, false)?;
            subelements(c.value(0)?, c.value(1)?, skip)
        },
    ),
];

fn combine(c: &mut Call) -> Result<Value, Error> {
    let named = |name: &str| c.named.iter().find(|(k, _)| k == name).map(|(_, v)| v);
    if let Some((name, _)) = c.named.iter().find(|(k, _)| k != "recursive" && k != "list_merge") {
        return Err(fail(format!("'combine' has no parameter '{name}'; it has: recursive, list_merge")));
    }
    let recursive = named("recursive").is_some_and(Value::is_true);
    let lists = named("list_merge").map_or_else(|| Ok("replace".into()), text::str)?;
    if c.rest.is_empty() && !matches!(c.value(0)?.kind(), ValueKind::Map | ValueKind::Seq | ValueKind::Iterable) {
        // One thing alone is merged with nothing, whatever it is.
        return Ok(if c.value(0)?.is_none() { mutable::dict([]) } else { c.value(0)?.clone() });
    }
    let mut all = Vec::new();
    for value in std::iter::once(c.value(0)?).chain(&c.rest) {
        match value.kind() {
            ValueKind::Map => all.push(value.clone()),
            // A list of dictionaries counts as its items.
            ValueKind::Seq | ValueKind::Iterable => all.extend(items(value)??),
            ValueKind::None => {}
            _ => return Err(fail(format!("'combine' needs dictionaries, not {}", text::type_name(value)))),
        }
    }
    let mut out = IndexMap::new();
    for map in all {
        if map.kind() != ValueKind::Map {
            return Err(fail(format!("'combine' needs dictionaries, not {}", text::type_name(&map))));
        }
        out = merge(out, pairs(&map)?, recursive, &lists)?;
    }
    Ok(mutable::dict(out))
}

fn merge(
    mut base: IndexMap<Value, Value>,
    over: Vec<(Value, Value)>,
    recursive: bool,
    lists: &str,
) -> Result<IndexMap<Value, Value>, Error> {
    for (key, value) in over {
        let merged = match base.get(&key) {
            Some(old) if recursive && old.kind() == ValueKind::Map && value.kind() == ValueKind::Map => {
                mutable::dict(merge(pairs(old)?.into_iter().collect(), pairs(&value)?, recursive, lists)?)
            }
            Some(old) if old.kind() == ValueKind::Seq && value.kind() == ValueKind::Seq => {
                merge_lists(items(old)??, items(&value)??, lists)?
            }
            _ => value,
        };
        base.insert(key, merged);
    }
    Ok(base)
}

fn merge_lists(old: Vec<Value>, new: Vec<Value>, how: &str) -> Result<Value, Error> {
    let without = |a: &[Value], b: &[Value]| a.iter().filter(|v| !b.contains(v)).cloned().collect::<Vec<_>>();
    Ok(Value::from(match how {
        "replace" => new,
        "keep" => old,
        "append" => [old, new].concat(),
        "prepend" => [new, old].concat(),
        "append_rp" => [without(&old, &new), new].concat(),
        "prepend_rp" => {
            let rest = without(&old, &new);
            [new, rest].concat()
        }
        other => {
            return Err(fail(format!(
                "'{other}' is no list_merge: replace, keep, append, prepend, append_rp or prepend_rp"
            )));
        }
    }))
}

fn dict2items(c: &mut Call) -> Result<Value, Error> {
    let (key, value) = (c.str_or(1, "key")?, c.str_or(2, "value")?);
    let row = |(k, v)| mutable::dict([(Value::from(&key), k), (Value::from(&value), v)]);
    Ok(c.pairs(0)?.into_iter().map(row).collect())
}

fn rekey(c: &mut Call) -> Result<Value, Error> {
    let key = c.value(1)?.clone();
    let overwrite = match c.str_or(2, "error")?.as_str() {
        "overwrite" => true,
        "error" => false,
        other => return Err(fail(format!("duplicates parameter to rekey_on_member has unknown value: {other}"))),
    };
    let all = match c.value(0)?.kind() {
        ValueKind::Map => c.pairs(0)?.into_iter().map(|(_, v)| v).collect(),
        ValueKind::Seq | ValueKind::Iterable => c.list(0)?,
        _ => {
            return Err(fail(format!(
                "'rekey_on_member' needs a list or dictionary, not {}",
                text::type_name(c.value(0)?)
            )));
        }
    };
    let mut out: IndexMap<Value, Value> = IndexMap::new();
    for item in all {
        if item.kind() != ValueKind::Map {
            return Err(fail(format!("'rekey_on_member' needs dictionaries in it, not {}", text::type_name(&item))));
        }
        let name = text::item(&item, &key)?;
        if name.is_undefined() {
            return Err(fail(format!("Key {key} was not found")));
        }
        if out.contains_key(&name) && !overwrite {
            return Err(fail(format!("Key {name} is not unique, cannot convert to dict")));
        }
        out.insert(name, item);
    }
    Ok(mutable::dict(out))
}

fn items2dict(c: &mut Call) -> Result<Value, Error> {
    if !matches!(c.value(0)?.kind(), ValueKind::Seq | ValueKind::Iterable) {
        return Err(fail(format!("items2dict requires a list, got {} instead.", text::type_name(c.value(0)?))));
    }
    let (key, value) = (Value::from(c.str_or(1, "key")?), Value::from(c.str_or(2, "value")?));
    let need = |item: &Value, name: &Value| {
        let found = text::item(item, name)?;
        if found.is_undefined() { Err(fail(format!("'items2dict' needs an item with '{name}'"))) } else { Ok(found) }
    };
    let rows = c.list(0)?.iter().map(|i| Ok((need(i, &key)?, need(i, &value)?))).collect::<Result<Vec<_>, Error>>()?;
    Ok(mutable::dict(rows))
}

fn dictsort(c: &mut Call) -> Result<Value, Error> {
    let (case, by) = (c.flag(1, false)?, c.str_or(2, "key")?);
    let by_value = match by.as_str() {
        "key" => false,
        "value" => true,
        _ => return Err(fail("You can only sort by either 'key' or 'value'")),
    };
    let mut all = c.pairs(0)?;
    let mut failure = None;
    let key = |pair: &(Value, Value)| {
        let value = if by_value { &pair.1 } else { &pair.0 };
        value.as_str().filter(|_| !case).map_or_else(|| value.clone(), |s| Value::from(s.to_lowercase()))
    };
    all.sort_by(|a, b| {
        order(&key(a), "<", &key(b)).unwrap_or_else(|e| {
            failure.get_or_insert(e);
            std::cmp::Ordering::Equal
        })
    });
    if let Some(error) = failure {
        return Err(error);
    }
    if c.flag(3, false)? {
        all.reverse();
    }
    Ok(all.into_iter().map(|(k, v)| Value::from(Tuple::from([k, v]))).collect())
}

/// Each item of a list (or value of a dictionary) with each item of a list in it, found by a path.
pub(crate) fn subelements(value: &Value, path: &Value, skip_missing: bool) -> Result<Value, Error> {
    let owners = match value.kind() {
        ValueKind::Map => pairs(value)?.into_iter().map(|(_, v)| v).collect(),
        _ => items(value)??,
    };
    let steps: Vec<Value> = match path.as_str() {
        Some(path) => path.split('.').map(Value::from).collect(),
        None => items(path)??,
    };
    let mut out = Vec::new();
    for owner in owners {
        let mut found = owner.clone();
        for step in &steps {
            found = if found.is_undefined() { found } else { text::item(&found, step)? };
        }
        if found.is_undefined() {
            if skip_missing {
                continue;
            }
            return Err(fail(format!("could not find '{path}' in an item")));
        }
        for item in items(&found)?? {
            out.push(Value::from(Tuple::from([owner.clone(), item])));
        }
    }
    Ok(Value::from(out))
}
