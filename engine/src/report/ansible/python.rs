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

/// `pprint.pformat(value)`: broken into lines where it is wider than a terminal of old.
pub(crate) fn pretty(value: &Value) -> String {
    let mut out = String::new();
    pretty_at(&mut out, value, 0, 0, 1);
    out
}

/// How wide that is.
const WIDTH: usize = 80;

/// `indent` columns are taken before it, and `after` behind it.
fn pretty_at(out: &mut String, value: &Value, indent: usize, after: usize, level: usize) {
    let whole = repr(&sorted(value));
    if whole.chars().count() <= WIDTH.saturating_sub(indent + after) {
        out.push_str(&whole);
        return;
    }
    let line = format!(",\n{}", " ".repeat(indent + 1));
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            let last = entries.len() - 1;
            out.push('{');
            for (at, (key, item)) in entries.into_iter().enumerate() {
                out.push_str(if at == 0 { "" } else { &line });
                let key = format!("{}: ", quoted(key));
                out.push_str(&key);
                let after = if at == last { after + 1 } else { 1 };
                pretty_at(out, item, indent + 1 + key.chars().count(), after, level + 1);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { &line });
                let after = if at + 1 == items.len() { after + 1 } else { 1 };
                pretty_at(out, item, indent + 1, after, level + 1);
            }
            out.push(']');
        }
        Value::String(text) => out.push_str(&broken(text, indent, after, level)),
        _ => out.push_str(&whole),
    }
}

/// A long text as several short ones, broken at its lines and words.
fn broken(text: &str, indent: usize, after: usize, level: usize) -> String {
    let (indent, after) = if level == 1 { (indent + 1, after + 1) } else { (indent, after) };
    let room = WIDTH.saturating_sub(indent);
    let mut chunks = Vec::new();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    for (at, line) in lines.iter().enumerate() {
        let last = at + 1 == lines.len();
        if quoted(line).chars().count() <= room - if last { after.min(room) } else { 0 } {
            chunks.push(quoted(line));
            continue;
        }
        let mut current = String::new();
        let words = words(line);
        for (nth, word) in words.iter().enumerate() {
            let room = room - if last && nth + 1 == words.len() { after.min(room) } else { 0 };
            let longer = format!("{current}{word}");
            if quoted(&longer).chars().count() > room && !current.is_empty() {
                chunks.push(quoted(&current));
                current = (*word).to_owned();
            } else {
                current = longer;
            }
        }
        chunks.push(quoted(&current));
    }
    let joined = chunks.join(&format!("\n{}", " ".repeat(indent)));
    if level == 1 && chunks.len() > 1 { format!("({joined})") } else { joined }
}

/// Words, each with the blanks behind it.
fn words(line: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = line;
    while !rest.is_empty() {
        let word = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let end = rest[word..].find(|c: char| !c.is_whitespace()).map_or(rest.len(), |blanks| word + blanks);
        let (one, more) = rest.split_at(end);
        words.push(one);
        rest = more;
    }
    words
}

/// With the keys of dictionaries in their order.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(sorted).collect(),
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().map(|(key, item)| (key.clone(), sorted(item))).collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(entries.into_iter().collect())
        }
        other => other.clone(),
    }
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
        let long = json!({"k": ["a b c d e f g h i j k l m n o p q r s t u v w x y z a b c d e f g h i j k l m", 1]});
        assert_eq!(
            pretty(&long),
            "{'k': ['a b c d e f g h i j k l m n o p q r s t u v w x y z a b c d e f g h i '\n       'j k l m',\n       1]}"
        );
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
