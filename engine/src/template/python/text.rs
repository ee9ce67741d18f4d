//! How Python writes values: `str()` and `repr()`.

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind};

use super::super::eval::undefined;
use super::super::lazy::NotKnown;
use super::time::{DateTime, Delta};

/// `str(value)`: a text as it is, everything else as `repr` writes it.
pub(crate) fn str(value: &Value) -> Result<String, Error> {
    if let Some(text) = value.as_str() {
        return Ok(text.to_owned());
    }
    let mut out = String::new();
    repr_into(value, &mut out)?;
    Ok(out)
}

/// What a template prints for a value: nothing for `none`, a tuple as a list.
pub(crate) fn emitted(value: &Value) -> Result<String, Error> {
    if value.is_none() || value.is_undefined() || value.downcast_object_ref::<NotKnown>().is_some() {
        return Ok(String::new());
    }
    if value.is_tuple() {
        return repr(&value.try_iter()?.collect());
    }
    str(value)
}

/// `repr(value)`.
pub(crate) fn repr(value: &Value) -> Result<String, Error> {
    let mut out = String::new();
    repr_into(value, &mut out)?;
    Ok(out)
}

fn repr_into(value: &Value, out: &mut String) -> Result<(), Error> {
    match value.kind() {
        ValueKind::Undefined => return Err(undefined(value)),
        ValueKind::None => out.push_str("None"),
        ValueKind::Bool => out.push_str(if value.is_true() { "True" } else { "False" }),
        ValueKind::Number => out.push_str(&number(value)),
        ValueKind::String => quote_into(value.as_str().unwrap_or_default(), out),
        ValueKind::Map => {
            out.push('{');
            for (i, key) in value.try_iter()?.checked().enumerate() {
                let key = key?;
                out.push_str(if i == 0 { "" } else { ", " });
                repr_into(&key, out)?;
                out.push_str(": ");
                repr_into(&item(value, &key)?, out)?;
            }
            out.push('}');
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let tuple = value.is_tuple();
            out.push(if tuple { '(' } else { '[' });
            let mut count = 0;
            for item in value.try_iter()?.checked() {
                out.push_str(if count == 0 { "" } else { ", " });
                repr_into(&item?, out)?;
                count += 1;
            }
            out.push_str(match (tuple, count) {
                (true, 1) => ",)",
                (true, _) => ")",
                (false, _) => "]",
            });
        }
        ValueKind::Bytes | ValueKind::Plain => out.push_str(&value.to_string()),
        _ => return Err(Error::new(ErrorKind::InvalidOperation, "the value cannot be printed")),
    }
    Ok(())
}

/// `value[key]`, failing where reading the item fails.
pub(crate) fn item(value: &Value, key: &Value) -> Result<Value, Error> {
    let found = value.get_item(key)?;
    if found.kind() == ValueKind::Invalid {
        // Iterating is the one public way to the error inside.
        if let Some(Err(error)) = Value::from(vec![found]).try_iter()?.checked().next() {
            return Err(error);
        }
        return Err(Error::new(ErrorKind::InvalidOperation, "an item cannot be read"));
    }
    Ok(found)
}

/// `str()` of a number.
pub(crate) fn number(value: &Value) -> String {
    if value.is_integer() {
        return value.to_string();
    }
    f64::try_from(value.clone()).map_or_else(|_| value.to_string(), float)
}

/// `str()` of a float: the shortest digits that yield it again, with an exponent below 1e-4 and from 1e16 on.
pub(crate) fn float(value: f64) -> String {
    if value.is_nan() {
        return "nan".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf".into() } else { "-inf".into() };
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if value != 0.0 && !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    let plain = value.to_string();
    if plain.contains('.') { plain } else { plain + ".0" }
}

/// `repr()` of a text: single quotes unless it holds some and no double ones.
fn quote_into(text: &str, out: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            c if c.is_control() && (c as u32) < 0x100 => out.push_str(&format!("\\x{:02x}", c as u32)),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push(quote);
}

/// The name of a value's type, as Python's messages have it.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value.kind() {
        ValueKind::Undefined => "UndefinedMarker",
        ValueKind::None => "NoneType",
        ValueKind::Bool => "bool",
        ValueKind::Number if value.is_integer() => "int",
        ValueKind::Number => "float",
        ValueKind::String => "str",
        ValueKind::Bytes => "bytes",
        ValueKind::Map => "dict",
        ValueKind::Seq if value.is_tuple() => "tuple",
        ValueKind::Seq | ValueKind::Iterable => "list",
        _ if value.downcast_object_ref::<DateTime>().is_some() => "datetime",
        _ if value.downcast_object_ref::<Delta>().is_some() => "timedelta",
        _ => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_print_as_in_python() {
        let table: &[(Value, &str)] = &[
            (Value::from(true), "True"),
            (Value::from(()), "None"),
            (Value::from(1e20), "1e+20"),
            (Value::from(1e16), "1e+16"),
            (Value::from(123_456_789_012_345.0), "123456789012345.0"),
            (Value::from(0.0001), "0.0001"),
            (Value::from(1e-5), "1e-05"),
            (Value::from(-0.0), "-0.0"),
            (Value::from("it's"), "it's"),
            (Value::from(vec!["it's", "q\"'", "a\nb\u{1}"]), r#"["it's", 'q"\'', 'a\nb\x01']"#),
            (Value::from((1, "a")), "(1, 'a')"),
            (Value::from((1,)), "(1,)"),
            (Value::from_pairs([("a", 1.5)]), "{'a': 1.5}"),
        ];
        for (value, expected) in table {
            assert_eq!(&str(value).expect("prints"), expected);
        }
    }
}
