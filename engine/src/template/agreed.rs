//! Expressions and what ansible-core 2.19.14 makes of them. `agreed.tsv` was written by running each there: the
//! expression, a tab, the result as JSON or `error`. Lines that begin with `#` say why we differ.

use std::sync::Arc;

use super::*;
use crate::value::Map;

fn json(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(b) => (*b).into(),
        Value::Int(n) => (*n).into(),
        Value::Float(n) => (*n).into(),
        Value::Str(s) => s.as_str().into(),
        Value::List(list) => list.iter().map(json).collect(),
        Value::Map(map) => map.iter().map(|(k, v)| (k.clone(), json(v))).collect::<serde_json::Map<_, _>>().into(),
        other => panic!("no such result was expected: {other:?}"),
    }
}

fn value(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Number(n) => Value::Int(n.as_i64().expect("whole")),
        serde_json::Value::String(text) if is_template(text) => {
            Value::Template(Template { text: text.clone(), span: Span::none(), secret: false })
        }
        serde_json::Value::String(text) => Value::Str(text.clone()),
        serde_json::Value::Array(list) => Value::List(list.iter().map(value).collect()),
        serde_json::Value::Object(map) => Value::Map(map.iter().map(|(k, v)| (k.clone(), value(v))).collect()),
        other => panic!("not among the variables: {other}"),
    }
}

fn variables() -> Arc<dyn Lookup> {
    let Value::Map(map) = value(&serde_json::json!({
        "s": "hello", "n": 3, "lst": [1, 2, 3], "d": {"a": 1, "b": {"c": 2}}, "tpl": "{{ n + 1 }}",
        "deep": {"x": {"y": "{{ s }}"}},
        "users": [{"name": "amy", "uid": 1001, "groups": ["wheel", "dev"]}, {"name": "bob", "uid": 1002}],
    })) else {
        panic!("a dictionary")
    };
    let map: Map = map;
    Arc::new(MapLookup(map.into_iter().collect()))
}

#[test]
fn expressions_yield_what_they_yield_in_ansible() {
    let (templar, vars) = (Templar::new("."), variables());
    let mut wrong = Vec::new();
    for line in include_str!("agreed.tsv").lines().filter(|l| !l.starts_with('#')) {
        let (expression, expected) = line.split_once('\t').expect("two fields");
        let template = Template { text: format!("{{{{ {expression} }}}}"), span: Span::none(), secret: false };
        let found = match templar.render(&template, &vars) {
            Ok(value) => json(&value).to_string(),
            Err(error) if expected == "error" => {
                assert!(!error.to_string().is_empty());
                continue;
            }
            Err(error) => format!("error: {error}"),
        };
        let same = expected != "error"
            && found.parse::<serde_json::Value>().ok() == expected.parse::<serde_json::Value>().ok();
        if !same {
            wrong.push(format!("{expression}\n    expected {expected}\n    found    {found}"));
        }
    }
    assert!(wrong.is_empty(), "{} expressions differ:\n{}", wrong.len(), wrong.join("\n"));
}
