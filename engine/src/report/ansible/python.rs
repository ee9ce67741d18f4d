//! Values as Python prints them: `json.dumps` and `repr`.

use std::fmt::Write as _;

use serde_json::Value;

/// `json.dumps(value, sort_keys=True, ensure_ascii=False)` on one line.
pub(super) fn dumps(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value, None, 0);
    out
}

/// The same with `indent=4`.
pub fn dumps_indented(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value, Some(4), 0);
    out
}

/// The same with `indent=1`, and then on one line.
pub(super) fn dumps_folded(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value, Some(1), 0);
    out.replace('\n', "")
}

/// With `indent=0`, and then on one line: no blanks behind commas.
pub(super) fn dumps_close(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value, Some(0), 0);
    out.replace('\n', "")
}

fn write(out: &mut String, value: &Value, indent: Option<usize>, depth: usize) {
    match value {
        Value::Array(items) if !items.is_empty() => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                separate(out, at, indent, depth + 1);
                write(out, item, indent, depth + 1);
            }
            close(out, ']', indent, depth);
        }
        Value::Object(map) if !map.is_empty() => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            out.push('{');
            for (at, (key, item)) in entries.into_iter().enumerate() {
                separate(out, at, indent, depth + 1);
                _ = write!(out, "{}: ", text(key));
                write(out, item, indent, depth + 1);
            }
            close(out, '}', indent, depth);
        }
        Value::String(plain) => out.push_str(&text(plain)),
        other => out.push_str(&other.to_string()),
    }
}

/// As in JSON; Python escapes DEL, too.
fn text(plain: &str) -> String {
    Value::from(plain).to_string().replace('\u{7f}', "\\u007f")
}

fn separate(out: &mut String, at: usize, indent: Option<usize>, depth: usize) {
    match (at, indent) {
        (0, None) => {}
        (_, None) => out.push_str(", "),
        (at, Some(width)) => {
            out.push_str(if at == 0 { "\n" } else { ",\n" });
            out.extend(std::iter::repeat_n(' ', width * depth));
        }
    }
}

fn close(out: &mut String, end: char, indent: Option<usize>, depth: usize) {
    if let Some(width) = indent {
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', width * depth));
    }
    out.push(end);
}

/// A loop's label as Python's `str` shows the item; the event has it as JSON where it is no text.
pub(super) fn label(item: &str) -> String {
    match serde_json::from_str(item) {
        Ok(Value::String(_)) | Err(_) => item.to_owned(),
        Ok(value) => repr(&value),
    }
}

/// A value as Python's `str` shows it.
pub(crate) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| repr(value), str::to_owned)
}

fn repr(value: &Value) -> String {
    match value {
        Value::Null => "None".into(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => quoted(text),
        Value::Array(items) => format!("[{}]", items.iter().map(repr).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let entries: Vec<_> = map.iter().map(|(key, value)| format!("{}: {}", quoted(key), repr(value))).collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

/// In single quotes, unless there are such in it and no double ones.
fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('\n', "\\n").replace('\t', "\\t").replace('\r', "\\r");
    match (text.contains('\''), text.contains('"')) {
        (true, false) => format!("\"{escaped}\""),
        _ => format!("'{}'", escaped.replace('\'', "\\'")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Checked against Python's own.
    #[test]
    fn as_python_prints() {
        let value = json!({"b": [1, 2.5, {}], "a": "é\n\"", "c": [], "d": {"x": null}});
        assert_eq!(dumps(&value), r#"{"a": "é\n\"", "b": [1, 2.5, {}], "c": [], "d": {"x": null}}"#);
        assert_eq!(dumps_indented(&json!({"b": [1], "a": {}})), "{\n    \"a\": {},\n    \"b\": [\n        1\n    ]\n}");
        let table = [
            (r#"{"a":1,"b":["x",true,null]}"#, "{'a': 1, 'b': ['x', True, None]}"),
            (r#"["it's","a\"'\n"]"#, r#"["it's", 'a"\'\n']"#),
            ("plain", "plain"),
            ("true", "True"),
            ("[not json", "[not json"),
        ];
        for (item, wanted) in table {
            assert_eq!(label(item), wanted, "{item}");
        }
    }
}
