//! JSON.

use minijinja::Error;
use minijinja::value::{Value, ValueKind};

use super::super::call::{Call, Entry, fail, fail_told, items, pairs};
use super::super::python::{mutable, text};

pub(super) static ALL: &[Entry] = &[
    Entry::new(&["to_json"], &["value", "indent", "sort_keys", "ensure_ascii", "**"], "Writes JSON.", |c| {
        json(c, 0, false)
    }),
    Entry::new(&["tojson"], &["value", "indent"], "JSON with sorted keys, safe inside of HTML.", |c| {
        let made = json(c, 0, true)?;
        let text = made.as_str().unwrap_or_default().replace('<', "\\u003c").replace('>', "\\u003e");
        Ok(Value::from(text.replace('&', "\\u0026").replace('\'', "\\u0027")))
    }),
    Entry::new(&["to_nice_json"], &["value", "indent", "sort_keys", "ensure_ascii", "**"], "JSON to read.", |c| {
        json(c, 4, true)
    }),
    Entry::new(&["from_json"], &["value"], "Reads JSON.", |c| from_json(&c.text(0)?)),
];

fn json(c: &mut Call, indent: i64, sort: bool) -> Result<Value, Error> {
    let indent = usize::try_from(c.int_or(1, indent)?).unwrap_or(0);
    let mut style = Json { indent, sort: c.flag(2, sort)?, ascii: c.flag(3, true)?, separators: None };
    if let Some((_, given)) =
        c.named.iter().find(|(k, v)| k == "separators" && !v.is_none()).filter(|_| c.name != "to_nice_json")
    {
        let given = items(given)??.iter().map(text::str).collect::<Result<Vec<_>, _>>()?;
        style.separators = Some(<[String; 2]>::try_from(given).map_err(|_| fail("'separators' are two texts"))?);
    }
    let mut out = String::new();
    style.write(c.value(0)?, 0, &mut out)?;
    Ok(Value::from(out))
}

/// JSON without blanks.
pub(super) fn compact(value: &Value) -> Result<Value, Error> {
    let separators = Some([",".to_owned(), ":".to_owned()]);
    let mut out = String::new();
    Json { indent: 0, sort: false, ascii: true, separators }.write(value, 0, &mut out)?;
    Ok(Value::from(out))
}

/// Writes JSON with the spacing of Python's `json`.
struct Json {
    indent: usize,
    sort: bool,
    ascii: bool,
    /// Between items, and between a key and its value.
    separators: Option<[String; 2]>,
}

impl Json {
    fn write(&self, value: &Value, depth: usize, out: &mut String) -> Result<(), Error> {
        match value.kind() {
            ValueKind::Undefined => return Err(super::super::eval::undefined(value)),
            ValueKind::None => out.push_str("null"),
            ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => out.push_str(&text::number(value)),
            ValueKind::String => self.quote(value.as_str().unwrap_or_default(), out),
            ValueKind::Map => {
                let mut all = pairs(value)?;
                if self.sort {
                    all.sort_by(|a, b| a.0.cmp(&b.0));
                }
                self.row(all.into_iter(), ['{', '}'], depth, out, |(key, item), out| {
                    let key = match key.kind() {
                        ValueKind::None => "null".into(),
                        ValueKind::Bool => if key.is_true() { "true" } else { "false" }.into(),
                        _ => text::str(&key)?,
                    };
                    self.quote(&key, out);
                    out.push_str(self.separators.as_ref().map_or(": ", |s| &s[1]));
                    self.write(&item, depth + 1, out)
                })?;
            }
            ValueKind::Seq | ValueKind::Iterable => {
                self.row(items(value)??.into_iter(), ['[', ']'], depth, out, |item, out| {
                    self.write(&item, depth + 1, out)
                })?;
            }
            _ => return Err(fail(format!("a value of type {} has no JSON", text::type_name(value)))),
        }
        Ok(())
    }

    fn row<T>(
        &self,
        items: impl ExactSizeIterator<Item = T>,
        brackets: [char; 2],
        depth: usize,
        out: &mut String,
        mut item: impl FnMut(T, &mut String) -> Result<(), Error>,
    ) -> Result<(), Error> {
        out.push(brackets[0]);
        let (len, nice) = (items.len(), self.indent > 0);
        let line = |depth: usize, out: &mut String| {
            if nice {
                out.push('\n');
                out.push_str(&" ".repeat(self.indent * depth));
            }
        };
        for (i, each) in items.enumerate() {
            if i > 0 {
                out.push_str(self.separators.as_ref().map_or(if nice { "," } else { ", " }, |s| &s[0]));
            }
            line(depth + 1, out);
            item(each, out)?;
        }
        if len > 0 {
            line(depth, out);
        }
        out.push(brackets[1]);
        Ok(())
    }

    fn quote(&self, text: &str, out: &mut String) {
        out.push('"');
        for c in text.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                c if (c as u32) < 0x20 || (self.ascii && !c.is_ascii()) => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        out.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                c => out.push(c),
            }
        }
        out.push('"');
    }
}

/// Reads JSON.
fn from_json(text: &str) -> Result<Value, Error> {
    serde_json::from_str(text).map(|v| to_mj(&v)).map_err(|e| match as_python(text, &e) {
        Some(told) => fail_told(format!("not JSON: {e}"), told),
        None => fail(format!("not JSON: {e}")),
    })
}

/// What Python's `json` says of it, where it says so of the same place.
fn as_python(text: &str, error: &serde_json::Error) -> Option<String> {
    let message = error.to_string();
    let what = match message.as_str() {
        message if message.starts_with("trailing characters") => "Extra data",
        message if message.starts_with("key must be a string") => "Expecting property name enclosed in double quotes",
        message if message.starts_with("expected value") || message.starts_with("EOF while parsing a value") => {
            "Expecting value"
        }
        _ => return None,
    };
    let before: usize = text.split_inclusive('\n').take(error.line() - 1).map(|line| line.chars().count()).sum();
    // Where nothing is left, it counts what was read.
    let column = error.column() + usize::from(message.starts_with("EOF"));
    Some(format!("{what}: line {} column {column} (char {})", error.line(), before + column - 1))
}

/// A JSON value as minijinja's.
pub(super) fn to_mj(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::from(()),
        serde_json::Value::Bool(b) => Value::from(*b),
        serde_json::Value::Number(n) => match (n.as_i64(), n.as_u64()) {
            (Some(n), _) => Value::from(n),
            (None, Some(n)) => Value::from(n),
            (None, None) => Value::from(n.as_f64().unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(s) => Value::from(s.as_str()),
        serde_json::Value::Array(list) => mutable::list(list.iter().map(to_mj).collect()),
        serde_json::Value::Object(map) => mutable::dict(map.iter().map(|(k, v)| (Value::from(k.as_str()), to_mj(v)))),
    }
}
