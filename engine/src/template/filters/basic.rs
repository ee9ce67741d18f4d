//! Defaults and conversions.

use minijinja::Error;
use minijinja::value::{Value, ValueKind};
use trueup_modules::param;

use super::super::call::{Call, Entry, fail, items};
use super::super::python::{mutable, text};

pub(super) static ALL: &[Entry] = &[
    Entry::new(
        &["default", "d"],
        &["value", "default_value", "boolean"],
        "Another value for one that is undefined.",
        default,
    )
    .takes_undefined(),
    Entry::new(&["mandatory"], &["value", "msg"], "Insists that a value is defined.", mandatory).takes_undefined(),
    Entry::new(&["bool"], &["value"], "True for yes, on, true and 1.", to_bool),
    Entry::new(&["int"], &["value", "default", "base"], "A whole number.", int),
    Entry::new(&["float"], &["value", "default"], "A real number.", float),
    Entry::new(&["string"], &["value"], "A text.", |c| c.str(0).map(Value::from)),
    Entry::new(&["list"], &["value"], "A list that can be changed.", |c| {
        let list = c.list(0)?;
        Ok(list.iter().find(|item| item.is_undefined()).cloned().unwrap_or_else(|| mutable::list(list)))
    }),
    Entry::new(&["length", "count"], &["value"], "The number of items or letters.", length),
    Entry::new(&["ternary"], &["value", "true_val", "false_val", "none_val"], "One of two values.", ternary),
    Entry::new(&["type_debug"], &["value"], "The name of a value's type.", |c| {
        Ok(Value::from(c.raw(0).map_or("UndefinedMarker", text::type_name)))
    })
    .takes_undefined(),
    Entry::new(
        &["safe"],
        &["value"],
        "A text that needs no escapes for HTML: nothing here is escaped by itself.",
        |c| c.str(0).map(Value::from),
    ),
    Entry::new(&["attr"], &["value", "name"], "An attribute.", |c| text::item(c.value(0)?, c.value(1)?)),
    Entry::new(&["undef"], &["value"], "Makes a value undefined.", |_| Ok(Value::UNDEFINED)).takes_undefined(),
    Entry::new(&["pprint"], &["value"], "How Python writes it.", |c| text::repr(c.value(0)?).map(Value::from)),
];

fn default(c: &mut Call) -> Result<Value, Error> {
    let fallback = || c.raw(1).cloned().unwrap_or_else(|| Value::from(""));
    let missing = match c.raw(0) {
        None => true,
        Some(value) if value.is_undefined() => true,
        Some(value) => c.flag(2, false)? && !value.is_true(),
    };
    if missing { Ok(fallback()) } else { c.value(0).cloned() }
}

fn mandatory(c: &mut Call) -> Result<Value, Error> {
    match c.raw(0) {
        Some(value) if !value.is_undefined() => Ok(value.clone()),
        _ => Err(fail(c.str_or(1, "Mandatory variable not defined.")?)),
    }
}

/// Whether a value means yes; `None` if it means neither yes nor no.
pub(crate) fn truth(value: &Value) -> Option<bool> {
    match value.kind() {
        ValueKind::Bool => Some(value.is_true()),
        ValueKind::Number => match f64::try_from(value.clone()).ok()? {
            1.0 => Some(true),
            0.0 => Some(false),
            _ => None,
        },
        ValueKind::String => param::truth(value.as_str()?),
        _ => None,
    }
}

fn to_bool(c: &mut Call) -> Result<Value, Error> {
    let value = c.value(0)?;
    // What means neither counts as no, as in Ansible, which warns. Fewer words count than for a module's parameters.
    let word = value.as_str().map(str::to_lowercase);
    Ok(Value::from(match word.as_deref() {
        Some(word) => matches!(word, "yes" | "on" | "1" | "true"),
        None => truth(value).unwrap_or(false),
    }))
}

fn int(c: &mut Call) -> Result<Value, Error> {
    let value = c.value(0)?;
    let default = || c.option(1).map(|d| d.cloned().unwrap_or_else(|| Value::from(0)));
    let base = u32::try_from(c.int_or(2, 10)?).unwrap_or(10);
    if let Some(s) = value.as_str() {
        let s = s.trim().replace('_', "").to_lowercase();
        let prefix = match base {
            16 => "0x",
            8 => "0o",
            2 => "0b",
            _ => "",
        };
        if !(2..=36).contains(&base) {
            return Err(fail("int() base must be >= 2 and <= 36"));
        }
        let digits = s.strip_prefix(prefix).unwrap_or(&s);
        return match i128::from_str_radix(digits, base) {
            Ok(number) => Ok(Value::from(number)),
            Err(_) => s
                .parse::<f64>()
                .ok()
                .filter(|f| f.is_finite())
                .map_or_else(default, |f| Ok(Value::from(f.trunc() as i128))),
        };
    }
    match value.kind() {
        ValueKind::Number if value.is_integer() => Ok(value.clone()),
        ValueKind::Number => f64::try_from(value.clone()).map(|f| Value::from(f.trunc() as i128)),
        ValueKind::Bool => Ok(Value::from(i64::from(value.is_true()))),
        _ => default(),
    }
}

fn float(c: &mut Call) -> Result<Value, Error> {
    let value = c.value(0)?;
    let number = match value.kind() {
        ValueKind::String => value.as_str().and_then(|s| s.trim().replace('_', "").parse().ok()),
        ValueKind::Number => f64::try_from(value.clone()).ok(),
        ValueKind::Bool => Some(f64::from(u8::from(value.is_true()))),
        _ => None,
    };
    match number {
        Some(number) => Ok(Value::from(number)),
        None => c.option(1).map(|d| d.cloned().unwrap_or_else(|| Value::from(0.0))),
    }
}

fn length(c: &mut Call) -> Result<Value, Error> {
    let value = c.value(0)?;
    match value.len() {
        Some(len) => Ok(Value::from(len)),
        None => {
            let kind = text::type_name(value);
            let counted = items(value).map_err(|_| fail(format!("object of type '{kind}' has no len()")))?;
            Ok(Value::from(counted?.len()))
        }
    }
}

fn ternary(c: &mut Call) -> Result<Value, Error> {
    let value = c.value(0)?;
    let chosen = match (value.is_none(), c.raw(3)) {
        (true, Some(none)) if !none.is_none() => return Ok(none.clone()),
        _ if value.is_true() => 1,
        _ => 2,
    };
    c.value(2)?;
    c.value(chosen).cloned()
}
