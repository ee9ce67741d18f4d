//! Texts and what ansible-core 2.19.14 makes of them. The tables of `agreed/` were written by running each there:
//! `tests/conformance/expressions` says what is in them, and does it again. Lines that begin with `#` say why we differ.

use std::path::Path;
use std::sync::Arc;

use super::*;

fn json(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(b) => (*b).into(),
        Value::Int(n) => (*n).into(),
        Value::Float(n) if n.is_finite() => (*n).into(),
        Value::Float(n) => n.to_string().to_lowercase().into(),
        Value::Str(s) => s.as_str().into(),
        Value::List(list) => list.iter().map(json).collect(),
        Value::Map(map) => map.iter().map(|(k, v)| (k.clone(), json(v))).collect::<serde_json::Map<_, _>>().into(),
        Value::Omit => "<omit>".into(),
        other => panic!("no such result was expected: {other:?}"),
    }
}

fn value(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(b) => Value::Bool(*b),
        serde_json::Value::Number(n) => {
            n.as_i64().map_or_else(|| Value::Float(n.as_f64().expect("a number")), Value::Int)
        }
        serde_json::Value::String(text) if is_template(text) => {
            Value::Template(Template { text: text.clone(), span: Span::none(), secret: false })
        }
        serde_json::Value::String(text) => Value::Str(text.clone()),
        serde_json::Value::Array(list) => Value::List(list.iter().map(value).collect()),
        serde_json::Value::Object(map) => Value::Map(map.iter().map(|(k, v)| (k.clone(), value(v))).collect()),
    }
}

fn tables() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/template/agreed")
}

fn variables() -> Arc<dyn Lookup> {
    let text = std::fs::read_to_string(tables().join("variables.json")).expect("a file");
    let Value::Map(map) = value(&text.parse().expect("JSON")) else { panic!("a dictionary") };
    Arc::new(MapLookup(map.into_iter().collect()))
}

/// What we make of a text: JSON as in the tables, or the error.
fn evaluate(templar: &Templar, kind: &str, text: &str) -> Result<serde_json::Value, TemplateError> {
    let vars = variables();
    let inside = || serde_json::from_str::<String>(text).expect("a text as JSON");
    let template = |text| Template { text, span: Span::none(), secret: false };
    match kind {
        "expressions" => templar.render(&template(format!("{{{{ {text} }}}}")), &vars).map(|value| json(&value)),
        "inline" => templar.render(&template(inside()), &vars).map(|value| json(&value)),
        "conditions" => templar.condition(&inside(), &Span::none(), &vars).map(|truth| (truth == Truth::Yes).into()),
        "files" => {
            let whitespace = Whitespace::File { trim_blocks: true, lstrip_blocks: false };
            templar.render_file(&inside(), whitespace, &Span::none(), &vars).map(|rendered| match rendered {
                Rendered::Plain(text) => text.into(),
                other => panic!("no such result was expected: {other:?}"),
            })
        }
        other => panic!("there are no tables of {other}"),
    }
}

#[test]
fn texts_yield_what_they_yield_in_ansible() {
    let templar = Templar::new(".");
    let (mut wrong, mut count) = (Vec::new(), 0);
    let mut paths: Vec<_> = std::fs::read_dir(tables()).expect("tables").map(|e| e.expect("an entry").path()).collect();
    paths.sort();
    for path in paths.iter().filter(|p| p.extension().is_some_and(|e| e == "tsv")) {
        let stem = path.file_stem().and_then(|s| s.to_str()).expect("a name");
        let kind = stem.split('-').next().unwrap_or(stem);
        let table = std::fs::read_to_string(path).expect("a table");
        for line in table.lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
            count += 1;
            let (text, expected) = line.split_once('\t').expect("two fields");
            let found = match evaluate(&templar, kind, text) {
                Ok(found) if expected != "error" && found == expected.parse::<serde_json::Value>().expect("JSON") => {
                    continue;
                }
                Ok(found) => found.to_string(),
                Err(error) if expected == "error" => {
                    assert!(!error.to_string().is_empty());
                    continue;
                }
                Err(error) => format!("error: {error}"),
            };
            wrong.push(format!("{stem}: {text}\n    expected {expected}\n    found    {found}"));
        }
    }
    assert!(count > 400, "only {count} texts were read");
    assert!(wrong.is_empty(), "{} of {count} texts differ:\n{}", wrong.len(), wrong.join("\n"));
}
