//! JSON and YAML.

use minijinja::Error;
use minijinja::value::{Value, ValueKind};

use super::super::call::{Call, Entry, fail, items, pairs};
use super::super::python::{mutable, text};

pub(super) static ALL: &[Entry] = &[
    Entry::new(&["to_json"], &["value", "indent", "sort_keys", "ensure_ascii", "**"], "Writes JSON.", |c| {
        json(c, 0, false)
    }),
    Entry::new(&["tojson"], &["value", "indent"], "JSON, Jinja's way.", |c| json(c, 0, false)),
    Entry::new(&["to_nice_json"], &["value", "indent", "sort_keys", "ensure_ascii", "**"], "JSON to read.", |c| {
        json(c, 4, true)
    }),
    Entry::new(&["from_json"], &["value"], "Reads JSON.", |c| from_json(&c.str(0)?)),
    Entry::new(&["to_yaml"], &["value", "indent", "sort_keys", "**"], "YAML, inner collections on one line.", |c| {
        Ok(Value::from(to_yaml(c.value(0)?, false, spaces(c, 2)?, c.flag(2, true)?)?))
    }),
    Entry::new(&["to_nice_yaml"], &["value", "indent", "sort_keys", "**"], "YAML to read.", |c| {
        Ok(Value::from(to_yaml(c.value(0)?, true, spaces(c, 4)?, c.flag(2, true)?)?))
    }),
    Entry::new(&["from_yaml"], &["value"], "Reads YAML.", |c| match c.value(0)?.as_str() {
        Some(text) => yaml_to_mj(text),
        None => c.value(0).cloned(),
    }),
    Entry::new(&["from_yaml_all"], &["value"], "Reads all documents of a YAML text.", |c| {
        use serde::Deserialize as _;
        let bad = |e: serde_yaml::Error| fail(format!("not YAML: {e}"));
        let text = c.str(0)?;
        let all = serde_yaml::Deserializer::from_str(&text)
            .map(|d| serde_yaml::Value::deserialize(d).map_err(bad).and_then(|v| yaml_value(&v)));
        all.collect::<Result<Vec<_>, _>>().map(Value::from)
    }),
];

fn spaces(c: &Call, default: i64) -> Result<usize, Error> {
    usize::try_from(c.int_or(1, default)?).map_err(|_| fail("an indentation is a positive number"))
}

fn json(c: &mut Call, indent: i64, sort: bool) -> Result<Value, Error> {
    let indent = usize::try_from(c.int_or(1, indent)?).unwrap_or(0);
    let style = Json { indent, sort: c.flag(2, sort)?, ascii: c.flag(3, true)? };
    let mut out = String::new();
    style.write(c.value(0)?, 0, &mut out)?;
    Ok(Value::from(out))
}

/// Writes JSON with the spacing of Python's `json`.
struct Json {
    indent: usize,
    sort: bool,
    ascii: bool,
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
                    self.quote(&text::str(&key)?, out);
                    out.push_str(": ");
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
                out.push_str(if nice { "," } else { ", " });
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
    serde_json::from_str(text).map(|v| to_mj(&v)).map_err(|e| fail(format!("not JSON: {e}")))
}

/// A JSON value as minijinja's.
fn to_mj(value: &serde_json::Value) -> Value {
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

/// Reads YAML.
fn yaml_to_mj(text: &str) -> Result<Value, Error> {
    yaml_value(&serde_yaml::from_str(text).map_err(|e| fail(format!("not YAML: {e}")))?)
}

fn yaml_value(value: &serde_yaml::Value) -> Result<Value, Error> {
    use serde_yaml::Value as Yaml;
    Ok(match value {
        Yaml::Null => Value::from(()),
        Yaml::Bool(b) => Value::from(*b),
        Yaml::Number(n) => n.as_i64().map_or_else(|| Value::from(n.as_f64().unwrap_or(f64::NAN)), Value::from),
        Yaml::String(s) => match s.as_str() {
            // YAML 1.1's booleans, which serde_yaml leaves as texts.
            "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Value::from(true),
            "no" | "No" | "NO" | "off" | "Off" | "OFF" => Value::from(false),
            s => Value::from(s),
        },
        Yaml::Sequence(list) => mutable::list(list.iter().map(yaml_value).collect::<Result<_, _>>()?),
        Yaml::Mapping(map) => {
            let pairs = map.iter().map(|(k, v)| Ok((yaml_value(k)?, yaml_value(v)?)));
            mutable::dict(pairs.collect::<Result<Vec<_>, Error>>()?)
        }
        Yaml::Tagged(tagged) => return Err(fail(format!("the tag {} is not understood here", tagged.tag))),
    })
}

/// A value as YAML, in PyYAML's layout. `block`: one item a line; else the innermost collections stay on one line.
fn to_yaml(value: &Value, block: bool, indent: usize, sort: bool) -> Result<String, Error> {
    let mut out = String::new();
    Yaml { block, indent, sort }.node(value, 0, &mut out)?;
    out.push('\n');
    Ok(out)
}

struct Yaml {
    block: bool,
    indent: usize,
    sort: bool,
}

impl Yaml {
    fn is_collection(value: &Value) -> bool {
        matches!(value.kind(), ValueKind::Map | ValueKind::Seq | ValueKind::Iterable)
    }

    fn entries(&self, value: &Value) -> Result<Vec<(Option<Value>, Value)>, Error> {
        if value.kind() != ValueKind::Map {
            return Ok(items(value)??.into_iter().map(|v| (None, v)).collect());
        }
        let mut all = pairs(value)?;
        if self.sort {
            all.sort_by(|a, b| a.0.cmp(&b.0));
        }
        Ok(all.into_iter().map(|(k, v)| (Some(k), v)).collect())
    }

    /// A node that starts where the cursor is; its further lines are indented by `column`.
    fn node(&self, value: &Value, column: usize, out: &mut String) -> Result<(), Error> {
        if !Self::is_collection(value) {
            out.push_str(&scalar(value)?);
            return Ok(());
        }
        if !self.is_block(value)? {
            return self.flow(value, out);
        }
        for (i, (key, item)) in self.entries(value)?.iter().enumerate() {
            if i > 0 {
                out.push('\n');
                out.push_str(&" ".repeat(column));
            }
            match key {
                Some(key) => {
                    out.push_str(&scalar(key)?);
                    out.push(':');
                    self.value_of_key(item, column, out)?;
                }
                None => {
                    let pad = if self.is_block(item)? { self.indent.max(2) } else { 2 };
                    out.push('-');
                    out.push_str(&" ".repeat(pad - 1));
                    self.node(item, column + pad, out)?;
                }
            }
        }
        Ok(())
    }

    /// Whether a value takes lines of its own.
    fn is_block(&self, value: &Value) -> Result<bool, Error> {
        if !Self::is_collection(value) {
            return Ok(false);
        }
        let entries = self.entries(value)?;
        Ok(!entries.is_empty() && (self.block || entries.iter().any(|(_, v)| Self::is_collection(v))))
    }

    fn value_of_key(&self, item: &Value, column: usize, out: &mut String) -> Result<(), Error> {
        if !self.is_block(item)? {
            out.push(' ');
            return self.node(item, column, out);
        }
        // A list under a key is not indented.
        let inner = if item.kind() == ValueKind::Map { column + self.indent } else { column };
        out.push('\n');
        out.push_str(&" ".repeat(inner));
        self.node(item, inner, out)
    }

    fn flow(&self, value: &Value, out: &mut String) -> Result<(), Error> {
        if !Self::is_collection(value) {
            out.push_str(&scalar(value)?);
            return Ok(());
        }
        let map = value.kind() == ValueKind::Map;
        out.push(if map { '{' } else { '[' });
        for (i, (key, item)) in self.entries(value)?.iter().enumerate() {
            out.push_str(if i == 0 { "" } else { ", " });
            if let Some(key) = key {
                out.push_str(&scalar(key)?);
                out.push_str(": ");
            }
            self.flow(item, out)?;
        }
        out.push(if map { '}' } else { ']' });
        Ok(())
    }
}

fn scalar(value: &Value) -> Result<String, Error> {
    Ok(match value.kind() {
        ValueKind::Undefined => return Err(super::super::eval::undefined(value)),
        ValueKind::None => "null".into(),
        ValueKind::Bool => if value.is_true() { "true" } else { "false" }.into(),
        ValueKind::Number => match text::number(value).as_str() {
            "inf" => ".inf".into(),
            "-inf" => "-.inf".into(),
            "nan" => ".nan".into(),
            // YAML 1.1 wants a dot in a float with an exponent.
            n if n.contains('e') && !n.contains('.') => n.replacen('e', ".0e", 1),
            n => n.to_owned(),
        },
        _ => quoted(&text::str(value)?),
    })
}

/// A text as a scalar: plain where YAML would read it back as this text, else in quotes.
fn quoted(text: &str) -> String {
    if text.chars().any(|c| c.is_control() || c == '\u{feff}') {
        return serde_json::Value::from(text).to_string();
    }
    let reserved = matches!(
        text.to_lowercase().as_str(),
        "" | "~" | "null" | "true" | "false" | "yes" | "no" | "on" | "off" | "=" | "<<" | ".inf" | "-.inf" | ".nan"
    );
    let numeric = text.trim_start_matches(['-', '+', '.']).starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_hexdigit() || "+-_.:xoXOT ".contains(c));
    let special = text.starts_with(|c: char| "!&*|>'\"%@`#,[]{}".contains(c))
        || (text.starts_with(['-', '?', ':']) && text[1..].chars().next().is_none_or(|c| c == ' '))
        || text.starts_with("---")
        || text.starts_with("...")
        || text.contains(": ")
        || text.contains(" #")
        || text.ends_with(':')
        || text.contains(|c| "[]{},".contains(c)) && text.contains(|c| "[]{}".contains(c))
        || text != text.trim();
    if reserved || numeric || special { format!("'{}'", text.replace('\'', "''")) } else { text.to_owned() }
}
