//! The functions of JMESPath.

use jmespath::ast::Ast;
use minijinja::Error;
use minijinja::value::{Value, ValueKind};

use super::super::call::{fail, items, pairs};
use super::super::python::mutable;
use super::query::{is_list, none, search};

/// Calls a function on what its arguments find.
pub(super) fn call(name: &str, args: &[Ast], on: &Value) -> Result<Value, Error> {
    if matches!(name, "map" | "sort_by" | "min_by" | "max_by") {
        return by_expression(name, args, on);
    }
    let found = args.iter().map(|arg| search(arg, on)).collect::<Result<Vec<_>, _>>()?;
    let wanted = match name {
        "not_null" | "merge" => found.len().max(1),
        "contains" | "ends_with" | "starts_with" | "join" => 2,
        _ => 1,
    };
    if found.len() != wanted {
        return Err(fail(format!("Expected {wanted} arguments for function {name}(), received {}", found.len())));
    }
    let arg = &found[0];
    match name {
        "not_null" => Ok(found.into_iter().find(|value| !value.is_none()).unwrap_or_else(none)),
        "merge" => merge(&found),
        "contains" => contains(arg, &found[1]),
        "ends_with" => Ok(Value::from(words(name, arg)?.ends_with(&words(name, &found[1])?))),
        "starts_with" => Ok(Value::from(words(name, arg)?.starts_with(&words(name, &found[1])?))),
        "join" => {
            let all = list(name, &found[1])?.iter().map(|one| words(name, one)).collect::<Result<Vec<_>, _>>()?;
            Ok(Value::from(all.join(&words(name, arg)?)))
        }
        "to_array" if is_list(arg) => Ok(arg.clone()),
        "to_array" => Ok(mutable::list(vec![arg.clone()])),
        "to_string" if arg.as_str().is_some() => Ok(arg.clone()),
        "to_string" => super::json::compact(arg),
        "to_number" => Ok(to_number(arg)),
        "type" => Ok(Value::from(kind(arg))),
        "length" => length(arg),
        "reverse" => reverse(arg),
        "keys" => Ok(mutable::list(object(name, arg)?.into_iter().map(|(key, _)| key).collect())),
        "values" => Ok(mutable::list(object(name, arg)?.into_iter().map(|(_, value)| value).collect())),
        "abs" | "ceil" | "floor" => rounded(name, arg),
        "sort" => {
            let mut all = alike(name, arg)?;
            all.sort();
            Ok(mutable::list(all))
        }
        "max" => Ok(alike(name, arg)?.into_iter().max().unwrap_or_else(none)),
        "min" => Ok(alike(name, arg)?.into_iter().min().unwrap_or_else(none)),
        "sum" | "avg" => total(name, arg),
        _ => Err(fail(format!("Unknown function: {name}()"))),
    }
}

/// Those that take an expression, and apply it to each item of a list.
fn by_expression(name: &str, args: &[Ast], on: &Value) -> Result<Value, Error> {
    let (list_at, expression_at) = if name == "map" { (1, 0) } else { (0, 1) };
    let [_, _] = args else { return Err(fail(format!("{name}() takes 2 arguments, received {}", args.len()))) };
    let Ast::Expref { ast, .. } = &args[expression_at] else {
        return Err(fail(format!("{name}() needs an expression that begins with &")));
    };
    let all = list(name, &search(&args[list_at], on)?)?;
    let found = all.iter().map(|item| search(ast, item)).collect::<Result<Vec<_>, _>>()?;
    if name == "map" {
        return Ok(mutable::list(found));
    }
    sortable(name, &found)?;
    let mut sorted: Vec<(Value, Value)> = found.into_iter().zip(all).collect();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    let item = |pair: Option<&(Value, Value)>| pair.map_or_else(none, |(_, item)| item.clone());
    Ok(match name {
        "min_by" => item(sorted.first()),
        // The first of those that are as great.
        "max_by" => {
            let greatest = sorted.last().map(|(key, _)| key.clone());
            item(sorted.iter().find(|(key, _)| Some(key) == greatest.as_ref()))
        }
        _ => mutable::list(sorted.into_iter().map(|(_, item)| item).collect()),
    })
}

fn wrong(name: &str, wanted: &str, found: &Value) -> Error {
    fail(format!(
        "In function {name}(), invalid type for value: expected one of: {wanted}, received: \"{}\"",
        kind(found)
    ))
}

fn kind(value: &Value) -> &'static str {
    match value.kind() {
        ValueKind::Bool => "boolean",
        ValueKind::Number => "number",
        ValueKind::Map => "object",
        ValueKind::None | ValueKind::Undefined => "null",
        ValueKind::Seq | ValueKind::Iterable => "array",
        _ => "string",
    }
}

fn words(name: &str, value: &Value) -> Result<String, Error> {
    value.as_str().map(str::to_owned).ok_or_else(|| wrong(name, "string", value))
}

fn list(name: &str, value: &Value) -> Result<Vec<Value>, Error> {
    if is_list(value) { items(value)? } else { Err(wrong(name, "array", value)) }
}

fn object(name: &str, value: &Value) -> Result<Vec<(Value, Value)>, Error> {
    if value.kind() == ValueKind::Map { pairs(value) } else { Err(wrong(name, "object", value)) }
}

/// Numbers or texts, of one kind.
fn alike(name: &str, value: &Value) -> Result<Vec<Value>, Error> {
    let all = list(name, value)?;
    sortable(name, &all).map(|()| all)
}

fn sortable(name: &str, all: &[Value]) -> Result<(), Error> {
    let first = all.first().map_or("string", kind);
    match all.iter().find(|value| kind(value) != first || !matches!(first, "string" | "number")) {
        Some(other) => Err(wrong(name, "string, number", other)),
        None => Ok(()),
    }
}

fn merge(all: &[Value]) -> Result<Value, Error> {
    let mut out = indexmap::IndexMap::new();
    for one in all {
        out.extend(object("merge", one)?);
    }
    Ok(mutable::dict(out))
}

fn contains(subject: &Value, wanted: &Value) -> Result<Value, Error> {
    match subject.as_str() {
        Some(subject) => Ok(Value::from(subject.contains(&words("contains", wanted)?))),
        None => Ok(Value::from(list("contains", subject)?.contains(wanted))),
    }
}

fn length(value: &Value) -> Result<Value, Error> {
    Ok(Value::from(match value.as_str() {
        Some(text) => text.chars().count(),
        None if value.kind() == ValueKind::Map => pairs(value)?.len(),
        None => list("length", value)?.len(),
    }))
}

fn reverse(value: &Value) -> Result<Value, Error> {
    Ok(match value.as_str() {
        Some(text) => Value::from(text.chars().rev().collect::<String>()),
        None => mutable::list(list("reverse", value)?.into_iter().rev().collect()),
    })
}

fn to_number(value: &Value) -> Value {
    let Some(text) = value.as_str() else {
        return if value.kind() == ValueKind::Number { value.clone() } else { none() };
    };
    let whole = text.trim().parse::<i64>().map(Value::from);
    whole.or_else(|_| text.trim().parse::<f64>().map(Value::from)).unwrap_or_else(|_| none())
}

fn float(name: &str, value: &Value) -> Result<f64, Error> {
    match value.kind() {
        ValueKind::Number => f64::try_from(value.clone()),
        _ => Err(wrong(name, "number", value)),
    }
}

fn rounded(name: &str, value: &Value) -> Result<Value, Error> {
    let number = float(name, value)?;
    Ok(match (name, value.as_i64()) {
        ("abs", Some(whole)) => Value::from(whole.abs()),
        ("abs", None) => Value::from(number.abs()),
        (_, Some(whole)) => Value::from(whole),
        ("ceil", None) => Value::from(number.ceil() as i64),
        (_, None) => Value::from(number.floor() as i64),
    })
}

fn total(name: &str, value: &Value) -> Result<Value, Error> {
    let all = list(name, value)?;
    let sum = all.iter().map(|one| float(name, one)).sum::<Result<f64, _>>()?;
    let whole = all.iter().map(Value::as_i64).try_fold(0_i64, |sum, one| sum.checked_add(one?));
    Ok(match (name, whole) {
        ("avg", _) if all.is_empty() => none(),
        ("avg", _) => Value::from(sum / all.len() as f64),
        (_, Some(whole)) => Value::from(whole),
        (_, None) => Value::from(sum),
    })
}
