//! The operators that the rewriting turns into filters, with Python's rules.

use std::cmp::Ordering;

use minijinja::Error;
use minijinja::value::{Value, ValueKind};

use super::super::call::{Call, Entry, fail, items};
use super::super::eval::undefined;
use super::super::lazy::{Context, LazyList};
use super::mutable;
use super::{methods, percent, text, time};
use crate::value::Template;

/// See the table in `rewrite`.
pub(crate) static ALL: &[Entry] = &[
    Entry::new(&["__compare"], &["left", "*"], "Comparisons, chained or not.", compare).takes_undefined(),
    Entry::new(&["__percent"], &["left", "right"], "Remainder or formatting.", remainder).takes_undefined(),
    Entry::new(&["__minus"], &["left", "right"], "Difference.", minus).takes_undefined(),
    Entry::new(&["__concat"], &["left", "*"], "Joins texts.", concat).takes_undefined(),
    Entry::new(&["__get"], &["value", "key"], "An item or attribute; undefined if there is none.", get)
        .takes_undefined(),
    Entry::new(&["__call"], &["value", "method", "*", "**"], "Calls a method.", call),
    Entry::new(&["__try"], &["value", "filter", "*", "**"], "A filter that may fail.", attempt),
    Entry::new(&["__new"], &["value"], "A literal that can be changed.", new),
    Entry::new(&["__embedded"], &["text"], "Renders a template inside of a literal.", embedded),
];

fn compare(call: &mut Call) -> Result<Value, Error> {
    let mut left = call.raw(0).cloned().unwrap_or_default();
    for pair in call.rest.chunks(2) {
        let [operator, right] = pair else { return Err(fail("a comparison lacks its right side")) };
        // Nothing is looked for in what is empty, so nothing is found to be undefined.
        let idle = matches!(operator.as_str(), Some("in" | "not in"))
            && matches!(right.kind(), ValueKind::Seq | ValueKind::Iterable)
            && right.len() == Some(0);
        if let Some(missing) = [right, &left].into_iter().find(|v| v.is_undefined() && !idle) {
            return Err(undefined(missing));
        }
        if !holds(&left, operator.as_str().unwrap_or_default(), right)? {
            return Ok(Value::from(false));
        }
        left = right.clone();
    }
    Ok(Value::from(true))
}

fn holds(left: &Value, operator: &str, right: &Value) -> Result<bool, Error> {
    Ok(match operator {
        "==" => left == right,
        "!=" => left != right,
        "in" => contains(right, left)?,
        "not in" => !contains(right, left)?,
        "<" => order(left, operator, right)? == Ordering::Less,
        "<=" => order(left, operator, right)? != Ordering::Greater,
        ">" => order(left, operator, right)? == Ordering::Greater,
        _ => order(left, operator, right)? != Ordering::Less,
    })
}

/// Orders two values; an error where Python has no order.
pub(crate) fn order(left: &Value, operator: &str, right: &Value) -> Result<Ordering, Error> {
    let class = |v: &Value| match v.kind() {
        ValueKind::Bool | ValueKind::Number => 1,
        ValueKind::String => 2,
        ValueKind::Seq | ValueKind::Iterable if v.is_tuple() => 3,
        ValueKind::Seq | ValueKind::Iterable => 4,
        ValueKind::Plain if v.downcast_object_ref::<time::DateTime>().is_some() => 1,
        ValueKind::Plain if v.downcast_object_ref::<time::Delta>().is_some() => 2,
        _ => 0,
    };
    if class(left) != class(right) || class(left) == 0 {
        let (a, b) = (text::type_name(left), text::type_name(right));
        return Err(fail(format!("'{operator}' not supported between instances of '{a}' and '{b}'")));
    }
    if class(left) < 3 {
        return Ok(left.cmp(right));
    }
    let (a, b) = (items(left)??, items(right)??);
    for (x, y) in a.iter().zip(&b) {
        if x != y {
            return order(x, operator, y);
        }
    }
    Ok(a.len().cmp(&b.len()))
}

/// `value in container`.
pub(crate) fn contains(container: &Value, value: &Value) -> Result<bool, Error> {
    match container.kind() {
        ValueKind::String => match value.as_str() {
            Some(part) => Ok(container.as_str().unwrap_or_default().contains(part)),
            None => Err(fail(format!("'in <string>' requires string as left operand, not {}", text::type_name(value)))),
        },
        ValueKind::Map => Ok(container.as_object().is_some_and(|o| o.get_value(value).is_some())),
        ValueKind::Seq | ValueKind::Iterable => {
            let list = container.downcast_object_ref::<LazyList>();
            if let Some(found) = list.zip(value.as_str()).and_then(|(list, text)| list.holds(text)) {
                return Ok(found);
            }
            for item in container.try_iter()?.checked() {
                let item = item?;
                if item.is_undefined() {
                    return Err(undefined(&item));
                }
                if item == *value {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        ValueKind::Undefined => Err(undefined(container)),
        _ => Err(fail(format!("argument of type '{}' is not iterable", text::type_name(container)))),
    }
}

fn remainder(call: &mut Call) -> Result<Value, Error> {
    let (left, right) = (call.value(0)?, call.value(1)?);
    if let Some(format) = left.as_str() {
        return percent::format(format, right).map(Value::from);
    }
    let zero = || fail("integer modulo by zero");
    let number = |v: &Value| matches!(v.kind(), ValueKind::Number | ValueKind::Bool);
    let whole = |v: &Value| if v.kind() == ValueKind::Bool { Value::from(i64::from(v.is_true())) } else { v.clone() };
    let (left, right) = (&whole(left), &whole(right));
    if !number(left) || !number(right) {
        let (a, b) = (text::type_name(left), text::type_name(right));
        return Err(fail(format!("unsupported operand type(s) for %: '{a}' and '{b}'")));
    }
    let exact = |v: &Value| i128::try_from(v.clone()).ok().filter(|_| v.is_integer());
    if let (Some(a), Some(b)) = (exact(left), exact(right)) {
        let rest = a.checked_rem(b).ok_or_else(zero)?;
        return Ok(Value::from(if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest }));
    }
    let (a, b) = (f64::try_from(left.clone())?, f64::try_from(right.clone())?);
    if b == 0.0 {
        return Err(zero());
    }
    let rest = a % b;
    Ok(Value::from(if rest != 0.0 && (rest < 0.0) != (b < 0.0) { rest + b } else { rest }))
}

fn minus(call: &mut Call) -> Result<Value, Error> {
    let (left, right) = (call.value(0)?, call.value(1)?);
    let whole = |v: &Value| match v.kind() {
        ValueKind::Bool => Some(i128::from(v.is_true())),
        ValueKind::Number if v.is_integer() => i128::try_from(v.clone()).ok(),
        _ => None,
    };
    if let (Some(a), Some(b)) = (whole(left), whole(right)) {
        return a.checked_sub(b).map(Value::from).ok_or_else(|| fail("the difference does not fit 128 bits"));
    }
    if let Some(difference) = time::minus(left, right) {
        return difference;
    }
    let real = |v: &Value| match v.kind() {
        ValueKind::Bool => Some(f64::from(u8::from(v.is_true()))),
        ValueKind::Number => f64::try_from(v.clone()).ok(),
        _ => None,
    };
    match (real(left), real(right)) {
        (Some(a), Some(b)) => Ok(Value::from(a - b)),
        _ => {
            let (a, b) = (text::type_name(left), text::type_name(right));
            Err(fail(format!("unsupported operand type(s) for -: '{a}' and '{b}'")))
        }
    }
}

fn concat(call: &mut Call) -> Result<Value, Error> {
    let mut out = call.str(0)?;
    for part in &call.rest {
        if part.is_undefined() {
            return Err(undefined(part));
        }
        out.push_str(&text::str(part)?);
    }
    Ok(Value::from(out))
}

fn get(call: &mut Call) -> Result<Value, Error> {
    match call.raw(0) {
        Some(missing) if missing.is_undefined() => Ok(missing.clone()),
        // An undefined key is an error even where an undefined item is none.
        _ => text::item(call.value(0)?, call.value(1)?),
    }
}

fn call(call: &mut Call) -> Result<Value, Error> {
    let value = call.value(0)?.clone();
    let method = call.value(1)?.clone();
    let mut args = std::mem::take(&mut call.rest);
    if !call.named.is_empty() {
        let kwargs: minijinja::value::Kwargs = std::mem::take(&mut call.named).into_iter().collect();
        args.push(kwargs.into());
    }
    match method.as_str() {
        Some(method) => value.call_method(call.state, method, &args),
        None => value.call(call.state, &args),
    }
}

/// What the filter yields; undefined where it fails, which is an error only if somebody needs the value.
fn attempt(call: &mut Call) -> Result<Value, Error> {
    let (value, filter) = (call.value(0)?.clone(), call.text(1)?);
    let mut args = vec![value];
    args.append(&mut call.rest);
    if !call.named.is_empty() {
        args.push(std::mem::take(&mut call.named).into_iter().collect::<minijinja::value::Kwargs>().into());
    }
    let found = call.state.apply_filter(&filter, &args);
    found.or_else(|error| Context::of(call.state).map(|ctx| ctx.not_needed(&error)))
}

fn new(call: &mut Call) -> Result<Value, Error> {
    let value = call.value(0)?;
    Ok(match value.kind() {
        ValueKind::Map => mutable::dict(super::super::call::pairs(value)?),
        ValueKind::Seq | ValueKind::Iterable if !value.is_tuple() => mutable::list(items(value)??),
        _ => value.clone(),
    })
}

fn embedded(call: &mut Call) -> Result<Value, Error> {
    let ctx = Context::of(call.state)?;
    let span = ctx.scope.current_span().unwrap_or_else(crate::source::Span::none);
    let template = Template { text: call.str(0)?, span, secret: false };
    ctx.scope.engine.evaluate(&template, &ctx).map_err(|e| methods::pass_on(&ctx, e))
}
