//! Tests of any values.

use minijinja::Error;
use minijinja::value::{Value, ValueKind};

use super::super::call::{Call, Entry, fail, items};
use super::super::environment::unknown_name;
use super::super::eval;
use super::super::filters::{compile, truth};
use super::super::python::operators::{contains, order};

pub(super) static ALL: &[Entry] = &[
    Entry::new(&["defined"], &["value"], "It is defined.", |c| Ok(Value::from(!undefined(c)))).takes_undefined(),
    Entry::new(&["undefined"], &["value"], "It is not defined.", |c| Ok(Value::from(undefined(c)))).takes_undefined(),
    Entry::new(&["none"], &["value"], "It is none.", |c| c.value(0).map(|v| Value::from(v.is_none())))
        .takes_undefined(),
    Entry::new(&["string"], &["value"], "It is a text.", |c| {
        c.value(0).map(|v| Value::from(v.kind() == ValueKind::String))
    })
    .takes_undefined(),
    Entry::new(&["number"], &["value"], "It is a number.", |c| {
        c.value(0).map(|v| Value::from(matches!(v.kind(), ValueKind::Number | ValueKind::Bool)))
    })
    .takes_undefined(),
    Entry::new(&["integer", "int"], &["value"], "It is a whole number.", |c| {
        c.value(0).map(|v| Value::from(Value::is_integer(v)))
    })
    .takes_undefined(),
    Entry::new(&["float"], &["value"], "It is a real number.", |c| {
        c.value(0).map(|v| Value::from(v.kind() == ValueKind::Number && !v.is_integer()))
    })
    .takes_undefined(),
    Entry::new(&["boolean"], &["value"], "It is true or false.", |c| {
        c.value(0).map(|v| Value::from(v.kind() == ValueKind::Bool))
    })
    .takes_undefined(),
    Entry::new(&["true"], &["value"], "It is true.", |c| {
        c.value(0).map(|v| Value::from(v.kind() == ValueKind::Bool && v.is_true()))
    })
    .takes_undefined(),
    Entry::new(&["false"], &["value"], "It is false.", |c| {
        c.value(0).map(|v| Value::from(v.kind() == ValueKind::Bool && !v.is_true()))
    })
    .takes_undefined(),
    Entry::new(&["mapping"], &["value"], "It is a dictionary.", |c| {
        c.value(0).map(|v| Value::from(v.kind() == ValueKind::Map))
    })
    .takes_undefined(),
    Entry::new(&["sequence"], &["value"], "It is a list, a dictionary or a text.", |c| {
        c.value(0).map(|v| Value::from(is_iterable(v)))
    })
    .takes_undefined(),
    Entry::new(&["iterable"], &["value"], "It can be iterated.", |c| c.value(0).map(|v| Value::from(is_iterable(v))))
        .takes_undefined(),
    Entry::new(&["callable"], &["value"], "It can be called.", |c| {
        c.value(0).map(|v| Value::from(v.kind() == ValueKind::Plain))
    })
    .takes_undefined(),
    Entry::new(&["lower"], &["value"], "It is in small letters.", |c| {
        c.value(0).map(|v| Value::from(cased(v, |s| s == s.to_lowercase() && s != s.to_uppercase())))
    })
    .takes_undefined(),
    Entry::new(&["upper"], &["value"], "It is in capitals.", |c| {
        c.value(0).map(|v| Value::from(cased(v, |s| s == s.to_uppercase() && s != s.to_lowercase())))
    })
    .takes_undefined(),
    Entry::new(&["vault_encrypted"], &["value"], "It is the text of a vault.", |c| {
        c.value(0).map(|v| Value::from(v.as_str().is_some_and(|s| s.starts_with("$ANSIBLE_VAULT;"))))
    })
    .takes_undefined(),
    Entry::new(&["nan", "isnan"], &["value"], "It is not a number.", |c| {
        c.value(0).map(|v| Value::from(f64::try_from(v.clone()).is_ok_and(f64::is_nan)))
    })
    .takes_undefined(),
    Entry::new(&["truthy"], &["value", "convert_bool"], "Python counts it as true.", |c| truthy(c).map(Value::from))
        .takes_undefined(),
    Entry::new(&["falsy"], &["value", "convert_bool"], "Python counts it as false.", |c| {
        truthy(c).map(|b| Value::from(!b))
    })
    .takes_undefined(),
    Entry::new(&["even"], &["value"], "It is even.", |c| Ok(Value::from(modulo(c, 2.0)? == 0.0))).takes_undefined(),
    Entry::new(&["odd"], &["value"], "It is odd.", |c| Ok(Value::from(modulo(c, 2.0)? == 1.0))).takes_undefined(),
    Entry::new(&["divisibleby"], &["value", "num"], "It can be divided evenly.", |c| {
        let by = f64::try_from(c.value(1)?.clone())?;
        if by == 0.0 { Err(fail("division by zero")) } else { Ok(Value::from(modulo(c, by)? == 0.0)) }
    })
    .takes_undefined(),
    Entry::new(&["eq", "equalto", "=="], &["value", "other"], "They are equal.", |c| {
        Ok(Value::from(c.value(0)? == c.value(1)?))
    })
    .takes_undefined(),
    Entry::new(&["ne", "!="], &["value", "other"], "They differ.", |c| Ok(Value::from(c.value(0)? != c.value(1)?)))
        .takes_undefined(),
    Entry::new(&["sameas"], &["value", "other"], "They are the same.", |c| {
        Ok(Value::from(c.value(0)?.kind() == c.value(1)?.kind() && c.value(0)? == c.value(1)?))
    })
    .takes_undefined(),
    Entry::new(&["lt", "lessthan", "<"], &["value", "other"], "It is less.", |c| compare(c, "<", |o| o.is_lt()))
        .takes_undefined(),
    Entry::new(&["le", "<="], &["value", "other"], "It is not greater.", |c| compare(c, "<=", |o| o.is_le()))
        .takes_undefined(),
    Entry::new(&["gt", "greaterthan", ">"], &["value", "other"], "It is greater.", |c| compare(c, ">", |o| o.is_gt()))
        .takes_undefined(),
    Entry::new(&["ge", ">="], &["value", "other"], "It is not less.", |c| compare(c, ">=", |o| o.is_ge()))
        .takes_undefined(),
    Entry::new(&["in"], &["value", "container"], "A container holds it.", |c| {
        contains(c.value(1)?, c.value(0)?).map(Value::from)
    })
    .takes_undefined(),
    Entry::new(&["contains"], &["value", "item"], "It holds an item.", |c| {
        contains(c.value(0)?, c.value(1)?).map(Value::from)
    })
    .takes_undefined(),
    Entry::new(&["subset", "issubset"], &["value", "other"], "The other list holds all its items.", |c| {
        subset(c, 0, 1)
    })
    .takes_undefined(),
    Entry::new(&["superset", "issuperset"], &["value", "other"], "It holds all items of the other list.", |c| {
        subset(c, 1, 0)
    })
    .takes_undefined(),
    Entry::new(&["any"], &["value"], "One item is true.", |c| truths(c, |truth| truth).map(Value::from))
        .takes_undefined(),
    Entry::new(&["all"], &["value"], "All items are true.", |c| {
        truths(c, |truth| !truth).map(|found| Value::from(!found))
    })
    .takes_undefined(),
    Entry::new(&["match"], &["value", "pattern", "ignorecase", "multiline"], "Its start matches.", |c| {
        matches(c, 2, 3, |p| format!("\\A(?:{p})"))
    })
    .takes_undefined(),
    Entry::new(&["search"], &["value", "pattern", "ignorecase", "multiline"], "A part of it matches.", |c| {
        matches(c, 2, 3, str::to_owned)
    })
    .takes_undefined(),
    Entry::new(&["regex"], &["value", "pattern", "ignorecase", "multiline", "match_type"], "It matches.", |c| {
        let kind = c.str_or(4, "search")?;
        matches(c, 2, 3, |p| match kind.as_str() {
            "match" => format!("\\A(?:{p})"),
            "fullmatch" => format!("\\A(?:{p})\\z"),
            _ => p.to_owned(),
        })
    })
    .takes_undefined(),
    Entry::new(&["uri"], &["value", "schemes"], "It is a URI.", |c| Ok(Value::from(uri(c)?.is_some())))
        .takes_undefined(),
    Entry::new(&["url"], &["value", "schemes"], "It is a URL: a URI with a scheme and a host.", |c| {
        Ok(Value::from(uri(c)?.is_some_and(|(scheme, host)| !scheme.is_empty() && host)))
    })
    .takes_undefined(),
    Entry::new(&["urn"], &["value"], "It is a URN.", |c| {
        Ok(Value::from(uri(c)?.is_some_and(|(scheme, host)| scheme == "urn" && !host)))
    })
    .takes_undefined(),
    Entry::new(&["escaped"], &["value"], "It is marked as escaped: nothing here is.", |c| {
        c.value(0).map(|_| Value::from(false))
    })
    .takes_undefined(),
    Entry::new(&["filter"], &["value"], "There is such a filter.", |c| {
        Ok(Value::from(unknown_name(false, &c.str(0)?).is_none()))
    })
    .takes_undefined(),
    Entry::new(&["test"], &["value"], "There is such a test.", |c| {
        Ok(Value::from(unknown_name(true, &c.str(0)?).is_none()))
    })
    .takes_undefined(),
];

/// The scheme of a URI and whether it names a host; nothing if its scheme is none of those that are allowed.
/// Whether one of the items has such a truth; those behind it are not looked at.
fn truths(c: &Call, wanted: fn(bool) -> bool) -> Result<bool, Error> {
    for item in c.list(0)? {
        if item.is_undefined() {
            return Err(eval::undefined(&item));
        }
        if wanted(item.is_true()) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn uri(c: &Call) -> Result<Option<(String, bool)>, Error> {
    let value = c.value(0)?;
    let text = match value.as_str() {
        Some(text) => text.to_owned(),
        None if value.is_true() => return Ok(None),
        None => String::new(),
    };
    let is_scheme = |s: &str| {
        s.starts_with(|c: char| c.is_ascii_alphabetic())
            && s.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    };
    let (scheme, rest) = text.split_once(':').filter(|(s, _)| is_scheme(s)).unwrap_or(("", &text));
    let host = rest.strip_prefix("//").is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', '?', '#']));
    let found = Some((scheme.to_lowercase(), host));
    match c.option(1)? {
        None => Ok(found),
        Some(allowed) => Ok(found.filter(|(s, _)| contains(allowed, &Value::from(s.as_str())).unwrap_or(false))),
    }
}

fn undefined(c: &Call) -> bool {
    c.raw(0).is_none_or(Value::is_undefined)
}

fn modulo(c: &Call, by: f64) -> Result<f64, Error> {
    let value = c.value(0)?;
    if let (true, Ok(whole)) = (value.is_integer() && by.fract() == 0.0, i128::try_from(value.clone())) {
        return Ok(whole.rem_euclid(by as i128) as f64);
    }
    match value.kind() {
        ValueKind::Number => Ok(f64::try_from(value.clone())?.rem_euclid(by)),
        ValueKind::Bool => Ok(f64::from(u8::from(value.is_true())).rem_euclid(by)),
        _ => c.int(0).map(|n| n as f64),
    }
}

fn is_iterable(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable | ValueKind::Map | ValueKind::String)
}

fn cased(value: &Value, test: fn(&str) -> bool) -> bool {
    super::super::python::text::str(value).is_ok_and(|s| test(&s))
}

fn truthy(c: &Call) -> Result<bool, Error> {
    let value = c.value(0)?;
    Ok(if c.flag(1, false)? { truth(value).unwrap_or_else(|| value.is_true()) } else { value.is_true() })
}

fn compare(c: &Call, operator: &str, holds: fn(std::cmp::Ordering) -> bool) -> Result<Value, Error> {
    order(c.value(0)?, operator, c.value(1)?).map(|o| Value::from(holds(o)))
}

fn subset(c: &Call, small: usize, large: usize) -> Result<Value, Error> {
    let large = items(c.value(large)?)??;
    Ok(Value::from(c.list(small)?.iter().all(|item| large.contains(item))))
}

fn matches(c: &Call, ignore: usize, multi: usize, shape: impl Fn(&str) -> String) -> Result<Value, Error> {
    let regex = compile(&shape(&c.str(1)?), c.flag(ignore, false)?, c.flag(multi, false)?)?;
    let found = regex.is_match(&c.str(0)?);
    found.map(Value::from).map_err(|e| fail(format!("the regular expression gave up: {e}")))
}
