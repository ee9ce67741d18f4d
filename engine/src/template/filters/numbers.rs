//! Numbers and sizes.

use minijinja::Error;
use minijinja::value::{Value, ValueKind};

use super::super::call::{Call, Entry, fail, items};
use super::super::python::text;
use super::select::attribute;

pub(super) static ALL: &[Entry] = &[
    Entry::new(&["abs"], &["value"], "Without its sign.", abs),
    Entry::new(&["round"], &["value", "precision", "method"], "Rounded: common, ceil or floor.", round),
    Entry::new(&["sum"], &["value", "attribute", "start"], "The sum of the items.", sum),
    Entry::new(&["pow"], &["value", "exponent"], "A power.", |c| real(float(c, 0)?.powf(float(c, 1)?))),
    Entry::new(&["root"], &["value", "base"], "A root, the square root by default.", |c| {
        let base = if c.option(1)?.is_some() { float(c, 1)? } else { 2.0 };
        if base == 2.0 { real(float(c, 0)?.sqrt()) } else { real(float(c, 0)?.powf(1.0 / base)) }
    }),
    Entry::new(&["log"], &["value", "base"], "A logarithm, the natural one by default.", |c| {
        let number = float(c, 0)?;
        if c.option(1)?.is_none() {
            return real(number.ln());
        }
        match float(c, 1)? {
            10.0 => real(number.log10()),
            base if base <= 0.0 || base == 1.0 => Err(fail("math domain error")),
            base => real(number.ln() / base.ln()),
        }
    }),
    Entry::new(&["human_readable"], &["value", "isbits", "unit"], "A size in words.", human_readable),
    Entry::new(&["human_to_bytes"], &["value", "default_unit", "isbits"], "A size in bytes.", human_to_bytes),
    Entry::new(&["filesizeformat"], &["value", "binary"], "A size in words, in steps of 1000.", filesize),
];

/// The result of a formula that not every number has.
fn real(number: f64) -> Result<Value, Error> {
    if number.is_nan() || number == f64::NEG_INFINITY {
        Err(fail("math domain error"))
    } else {
        Ok(Value::from(number))
    }
}

fn float(c: &Call, i: usize) -> Result<f64, Error> {
    let value = c.value(i)?;
    let number = match value.kind() {
        ValueKind::Bool => Some(f64::from(u8::from(value.is_true()))),
        ValueKind::Number => f64::try_from(value.clone()).ok(),
        _ => None,
    };
    number.ok_or_else(|| fail(format!("'{}' needs a number, not {}", c.name, text::type_name(value))))
}

fn abs(c: &mut Call) -> Result<Value, Error> {
    let value = c.value(0)?;
    if value.kind() == ValueKind::Bool {
        return Ok(Value::from(i64::from(value.is_true())));
    }
    match i128::try_from(value.clone()) {
        Ok(number) if value.is_integer() => Ok(Value::from(number.abs())),
        _ => float(c, 0).map(|f| Value::from(f.abs())),
    }
}

fn round(c: &mut Call) -> Result<Value, Error> {
    let (number, precision) = (float(c, 0)?, c.int_or(1, 0)?);
    let whole = c.value(0)?.is_integer() || c.value(0)?.kind() == ValueKind::Bool;
    if whole && c.str_or(2, "common")? == "common" {
        // Python keeps a whole number whole.
        let number = i128::try_from(c.value(0)?.clone()).unwrap_or(i128::from(c.value(0)?.is_true()));
        let scale = u32::try_from(-precision).ok().and_then(|p| 10i128.checked_pow(p)).unwrap_or(1);
        let (low, rest) = (number.div_euclid(scale), number.rem_euclid(scale));
        let up = rest * 2 > scale || rest * 2 == scale && low % 2 != 0;
        return Ok(Value::from((low + i128::from(up)) * scale));
    }
    let scale = 10f64.powi(i32::try_from(precision).unwrap_or(0));
    let rounded = match c.str_or(2, "common")?.as_str() {
        "common" if precision >= 0 => {
            // The nearest decimal, as Python: formatting rounds half to even on the exact value.
            let places = usize::try_from(precision).unwrap_or(0);
            format!("{number:.places$}").parse().unwrap_or(number)
        }
        "common" => (number * scale).round_ties_even() / scale,
        "ceil" => (number * scale).ceil() / scale,
        "floor" => (number * scale).floor() / scale,
        other => return Err(fail(format!("'{other}' is no way to round: common, ceil or floor"))),
    };
    Ok(Value::from(rounded))
}

fn sum(c: &mut Call) -> Result<Value, Error> {
    let path = c.option(1)?.cloned();
    let mut all = c.option(2)?.cloned().into_iter().collect::<Vec<_>>();
    for item in c.list(0)? {
        all.push(path.as_ref().map_or_else(|| Ok(item.clone()), |p| attribute(&item, p))?);
    }
    if let Some(missing) = all.iter().find(|value| value.is_undefined()) {
        return Ok(missing.clone());
    }
    if all.first().is_some_and(|start| start.kind() == ValueKind::Seq) {
        let lists = all.iter().map(|list| items(list)?).collect::<Result<Vec<_>, _>>()?;
        return Ok(Value::from(lists.concat()));
    }
    let (mut whole, mut real, mut is_real) = (0i64, 0f64, false);
    for value in all {
        match (value.kind(), value.as_i64()) {
            (ValueKind::Bool, Some(n)) | (ValueKind::Number, Some(n)) if !is_float(&value) => {
                whole = whole.checked_add(n).ok_or_else(|| fail("the sum does not fit 64 bits"))?;
            }
            (ValueKind::Number, _) => {
                is_real = true;
                real += f64::try_from(value)?;
            }
            _ => return Err(fail(format!("'sum' needs numbers, not {}", text::type_name(&value)))),
        }
    }
    Ok(if is_real { Value::from(real + whole as f64) } else { Value::from(whole) })
}

fn is_float(value: &Value) -> bool {
    value.kind() == ValueKind::Number && !value.is_integer()
}

const UNITS: [(&str, u32); 9] =
    [("Y", 80), ("Z", 70), ("E", 60), ("P", 50), ("T", 40), ("G", 30), ("M", 20), ("K", 10), ("B", 0)];

fn human_readable(c: &mut Call) -> Result<Value, Error> {
    let (size, bits, unit) = (float(c, 0)?, c.flag(1, false)?, c.str_or(2, "")?.to_uppercase());
    let base = if bits { "bits" } else { "Bytes" };
    for (name, power) in UNITS {
        let limit = 2f64.powi(power as i32);
        if if unit.is_empty() { size >= limit } else { unit.starts_with(name) } {
            let suffix = match (name, bits) {
                ("B", _) => base.to_owned(),
                (name, true) => format!("{name}b"),
                (name, false) => format!("{name}B"),
            };
            return Ok(Value::from(format!("{:.2} {suffix}", size / limit)));
        }
    }
    Ok(Value::from(format!("{size:.2} {base}")))
}

fn human_to_bytes(c: &mut Call) -> Result<Value, Error> {
    let given = c.str(0)?;
    let trimmed = given.trim();
    let end = trimmed.find(|ch: char| !ch.is_ascii_digit() && ch != '.').unwrap_or(trimmed.len());
    let bad = || fail(format!("'{given}' is no size: a number and a unit, like 10M"));
    let number: f64 = trimmed[..end].parse().map_err(|_| bad())?;
    let unit = trimmed[end..].trim();
    let unit = if unit.is_empty() { c.str_or(1, "")? } else { unit.to_owned() };
    let power = match unit.chars().next().map(|u| u.to_ascii_uppercase().to_string()) {
        None => 0,
        Some(first) => UNITS.iter().find(|(name, _)| *name == first).ok_or_else(bad)?.1,
    };
    let rest = unit.get(1..).unwrap_or("").to_lowercase();
    if !matches!(rest.as_str(), "" | "b" | "ib" | "byte" | "bytes" | "yte" | "ytes" | "bit" | "bits" | "it" | "its") {
        return Err(bad());
    }
    let bits = c.flag(2, false)?;
    let letter = unit.chars().nth(1);
    if unit.len() == 2 && letter == Some(if bits { 'B' } else { 'b' })
        || unit.len() > 2 && bits == rest.contains("byte")
    {
        return Err(bad());
    }
    Ok(Value::from((number * 2f64.powi(power as i32)).round_ties_even() as i64))
}

fn filesize(c: &mut Call) -> Result<Value, Error> {
    let text = c.value(0)?.as_str().map(str::to_owned);
    let size = match text {
        Some(text) => {
            text.trim().parse::<f64>().map_err(|_| fail(format!("could not convert string to float: '{text}'")))?
        }
        None => float(c, 0)?,
    };
    let binary = c.flag(1, false)?;
    let base = if binary { 1024.0 } else { 1000.0 };
    if size == 1.0 {
        return Ok(Value::from("1 Byte"));
    }
    if size < base {
        return Ok(Value::from(format!("{} Bytes", size.trunc())));
    }
    let names = if binary {
        ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"]
    } else {
        ["kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"]
    };
    let (mut value, mut name) = (size / base, names[0]);
    for next in &names[1..] {
        if value < base {
            break;
        }
        (value, name) = (value / base, next);
    }
    Ok(Value::from(format!("{value:.1} {name}")))
}
