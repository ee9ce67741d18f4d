//! `json_query` of `community.general`: JMESPath. The crate reads the expression; what it means is here, since the crate's own values
//! forget the order of keys, which Python's dictionaries keep.

use jmespath::ast::{Ast, Comparator};
use minijinja::Error;
use minijinja::value::{Value, ValueKind};

use super::super::call::{Entry, fail, items, pairs};
use super::super::python::{mutable, text};
use super::functions;

pub(super) static ALL: &[Entry] =
    &[Entry::new(&["community.general.json_query", "json_query"], &["value", "expr"], "What a JMESPath finds.", |c| {
        let expression = c.str(1)?;
        let ast = jmespath::parse(&with_literals(&expression))
            .map_err(|e| fail(format!("JMESPathError in json_query filter plugin:\n{e}")))?;
        search(&ast, c.value(0)?)
    })];

/// The expression with a literal that is no JSON (`` `amy` ``) as the text that it stands for, as Python's library has it.
fn with_literals(expression: &str) -> String {
    let mut out = String::new();
    let mut rest = expression;
    while let Some(at) = rest.find(['\'', '"', '`']) {
        let quote = &rest[at..=at];
        let body = &rest[at + 1..];
        let mut escaped = false;
        let end = body.find(|c: char| {
            let ends = !escaped && quote.starts_with(c);
            escaped = c == '\\' && !escaped;
            ends
        });
        let Some(end) = end else { break };
        let literal = body[..end].replace("\\`", "`");
        out.push_str(&rest[..=at]);
        if quote == "`" && serde_json::from_str::<serde_json::Value>(literal.trim_start()).is_err() {
            out.push_str(&format!("\"{}\"", body[..end].trim_start()));
        } else {
            out.push_str(&body[..end]);
        }
        out.push_str(quote);
        rest = &body[end + 1..];
    }
    out + rest
}

/// What has no value.
pub(super) fn none() -> Value {
    Value::from(())
}

/// Whether a value is a list, as a JMESPath has it: a text is none.
pub(super) fn is_list(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable)
}

/// What an expression finds in a value.
pub(super) fn search(ast: &Ast, on: &Value) -> Result<Value, Error> {
    match ast {
        Ast::Identity { .. } => Ok(on.clone()),
        Ast::Field { name, .. } => field(on, name),
        Ast::Index { idx, .. } => index(on, i64::from(*idx)),
        Ast::Literal { value, .. } => {
            let value = serde_json::to_value(value).map_err(|e| fail(e.to_string()))?;
            Ok(super::json::to_mj(&value))
        }
        Ast::Subexpr { lhs, rhs, .. } => search(rhs, &search(lhs, on)?),
        Ast::Or { lhs, rhs, .. } => {
            let left = search(lhs, on)?;
            if truth(&left) { Ok(left) } else { search(rhs, on) }
        }
        Ast::And { lhs, rhs, .. } => {
            let left = search(lhs, on)?;
            if truth(&left) { search(rhs, on) } else { Ok(left) }
        }
        Ast::Not { node, .. } => Ok(Value::from(!truth(&search(node, on)?))),
        Ast::Condition { predicate, then, .. } => {
            if truth(&search(predicate, on)?) {
                search(then, on)
            } else {
                Ok(none())
            }
        }
        Ast::Comparison { comparator, lhs, rhs, .. } => compare(comparator, &search(lhs, on)?, &search(rhs, on)?),
        Ast::MultiList { .. } | Ast::MultiHash { .. } if on.is_none() => Ok(none()),
        Ast::MultiList { elements, .. } => {
            Ok(mutable::list(elements.iter().map(|e| search(e, on)).collect::<Result<_, _>>()?))
        }
        Ast::MultiHash { elements, .. } => {
            let found = elements.iter().map(|e| Ok((Value::from(e.key.as_str()), search(&e.value, on)?)));
            Ok(mutable::dict(found.collect::<Result<Vec<_>, Error>>()?))
        }
        Ast::Projection { lhs, rhs, .. } => project(&search(lhs, on)?, rhs),
        Ast::ObjectValues { node, .. } => {
            let found = search(node, on)?;
            if found.kind() != ValueKind::Map {
                return Ok(none());
            }
            Ok(mutable::list(pairs(&found)?.into_iter().map(|(_, value)| value).collect()))
        }
        Ast::Flatten { node, .. } => flatten(&search(node, on)?),
        Ast::Slice { start, stop, step, .. } => slice(on, *start, *stop, *step),
        Ast::Function { name, args, .. } => functions::call(name, args, on),
        Ast::Expref { .. } => Err(fail("an expression stands where JMESPath has a value")),
    }
}

/// JMESPath's truth: zero is true, what is empty is not.
pub(super) fn truth(value: &Value) -> bool {
    match value.kind() {
        ValueKind::Number => true,
        _ => value.is_true(),
    }
}

fn field(on: &Value, name: &str) -> Result<Value, Error> {
    if on.kind() != ValueKind::Map {
        return Ok(none());
    }
    let found = text::item(on, &Value::from(name))?;
    Ok(if found.is_undefined() { none() } else { found })
}

fn index(on: &Value, at: i64) -> Result<Value, Error> {
    if !is_list(on) {
        return Ok(none());
    }
    let all = items(on)??;
    let place = if at < 0 { at + all.len() as i64 } else { at };
    Ok(usize::try_from(place).ok().and_then(|place| all.get(place).cloned()).unwrap_or_else(none))
}

fn project(found: &Value, rest: &Ast) -> Result<Value, Error> {
    if !is_list(found) {
        return Ok(none());
    }
    let mut out = Vec::new();
    for item in items(found)?? {
        let value = search(rest, &item)?;
        if !value.is_none() {
            out.push(value);
        }
    }
    Ok(mutable::list(out))
}

fn flatten(found: &Value) -> Result<Value, Error> {
    if !is_list(found) {
        return Ok(none());
    }
    let mut out = Vec::new();
    for item in items(found)?? {
        match is_list(&item) {
            true => out.extend(items(&item)??),
            false => out.push(item),
        }
    }
    Ok(mutable::list(out))
}

/// Python's slices of a list; a text has none.
fn slice(on: &Value, start: Option<i32>, stop: Option<i32>, step: i32) -> Result<Value, Error> {
    if !is_list(on) {
        return Ok(none());
    }
    if step == 0 {
        return Err(fail("slice step cannot be zero"));
    }
    let all = items(on)??;
    let (len, step) = (all.len() as i64, i64::from(step));
    let (low, high) = if step > 0 { (0, len) } else { (-1, len - 1) };
    let bound = |at: Option<i32>, otherwise: i64| {
        at.map_or(otherwise, |at| if at < 0 { i64::from(at) + len } else { i64::from(at) }.clamp(low, high))
    };
    let (mut at, end) =
        if step > 0 { (bound(start, 0), bound(stop, len)) } else { (bound(start, len - 1), bound(stop, -1)) };
    let mut out = Vec::new();
    while if step > 0 { at < end } else { at > end } {
        out.extend(usize::try_from(at).ok().and_then(|at| all.get(at).cloned()));
        at += step;
    }
    Ok(mutable::list(out))
}

fn compare(how: &Comparator, left: &Value, right: &Value) -> Result<Value, Error> {
    // True is not 1 here, other than in Python.
    let equal = || (left.kind() == ValueKind::Bool) == (right.kind() == ValueKind::Bool) && left == right;
    let order = match (left.kind(), right.kind()) {
        (ValueKind::Number, ValueKind::Number) | (ValueKind::String, ValueKind::String) => Some(left.cmp(right)),
        _ => None,
    };
    Ok(match how {
        Comparator::Equal => Value::from(equal()),
        Comparator::NotEqual => Value::from(!equal()),
        Comparator::LessThan => Value::from(order.map(|o| o.is_lt())),
        Comparator::LessThanEqual => Value::from(order.map(|o| o.is_le())),
        Comparator::GreaterThan => Value::from(order.map(|o| o.is_gt())),
        Comparator::GreaterThanEqual => Value::from(order.map(|o| o.is_ge())),
    })
}
