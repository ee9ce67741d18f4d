//! The text of `-e`.

use std::sync::Arc;

use crate::source::{Source, Span};
use crate::template::is_template;
use crate::value::{Map, Template, Value};

/// Why the text of `-e` cannot be read.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum ExtraError {
    /// A word without `=`.
    #[error("read '{0}' of -e: it is neither name=value nor a dictionary in YAML or JSON")]
    NoPair(String),
    /// A quote that is not closed.
    #[error("read -e: a quote is left open")]
    OpenQuote,
    /// Text that begins like YAML or JSON and is neither.
    #[error("read -e as YAML: {0}")]
    Yaml(String),
    /// YAML or JSON that is no dictionary.
    #[error("read -e: its YAML is not a dictionary")]
    NotDictionary,
}

/// Reads variables given as `name=value …` (the values are texts), or as a dictionary in YAML or JSON.
///
/// # Errors
/// Says which part cannot be read.
pub fn parse_extra(text: &str) -> Result<Map, ExtraError> {
    let source = Arc::new(Source { path: "<command line>".into(), text: text.to_owned() });
    let trimmed = text.trim();
    if trimmed.starts_with(['{', '[', '-'])
        || (trimmed.contains(": ") && !trimmed.contains('='))
        || trimmed.contains(":\n")
    {
        let yaml: serde_yaml::Value = serde_yaml::from_str(text).map_err(|e| ExtraError::Yaml(e.to_string()))?;
        return match from_yaml(&yaml, &source)? {
            Value::Map(map) => Ok(map),
            _ => Err(ExtraError::NotDictionary),
        };
    }
    let mut map = Map::new();
    for word in words(trimmed)? {
        let (name, value) = word.split_once('=').ok_or_else(|| ExtraError::NoPair(word.clone()))?;
        map.insert(name.to_owned(), leaf(value, &source));
    }
    Ok(map)
}

fn leaf(text: &str, source: &Arc<Source>) -> Value {
    if !is_template(text) {
        return Value::Str(text.to_owned());
    }
    let start = source.text.find(text).unwrap_or(0);
    let span = Span::new(source, start, (start + text.len()).min(source.text.len()));
    Value::Template(Template { text: text.to_owned(), span, secret: false })
}

fn from_yaml(yaml: &serde_yaml::Value, source: &Arc<Source>) -> Result<Value, ExtraError> {
    use serde_yaml::Value as Yaml;
    Ok(match yaml {
        Yaml::Null => Value::Null,
        Yaml::Bool(b) => Value::Bool(*b),
        Yaml::Number(n) => n.as_i64().map_or_else(|| Value::Float(n.as_f64().unwrap_or(f64::NAN)), Value::Int),
        Yaml::String(s) => leaf(s, source),
        Yaml::Sequence(list) => Value::List(list.iter().map(|v| from_yaml(v, source)).collect::<Result<_, _>>()?),
        Yaml::Mapping(map) => {
            let key = |k: &Yaml| k.as_str().map(str::to_owned).or_else(|| k.as_i64().map(|n| n.to_string()));
            let pairs = map.iter().map(|(k, v)| Ok((key(k).ok_or(ExtraError::NotDictionary)?, from_yaml(v, source)?)));
            Value::Map(pairs.collect::<Result<_, _>>()?)
        }
        Yaml::Tagged(tagged) => return Err(ExtraError::Yaml(format!("the tag {} is not understood here", tagged.tag))),
    })
}

/// Words as a shell splits them; quotes hold spaces.
fn words(text: &str) -> Result<Vec<String>, ExtraError> {
    let (mut out, mut word, mut quote, mut chars) = (Vec::new(), None::<String>, None, text.chars());
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (Some('"') | None, '\\') => word.get_or_insert_default().extend(chars.next()),
            (None, c) if c.is_whitespace() => out.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err(ExtraError::OpenQuote);
    }
    out.extend(word);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_and_yaml() {
        let str = |s: &str| Value::Str(s.into());
        let table: &[(&str, &[(&str, Value)])] = &[
            ("a=1 b='x y'", &[("a", str("1")), ("b", str("x y"))]),
            ("{\"a\": 1, \"b\": [true]}", &[("a", Value::Int(1)), ("b", Value::List(vec![Value::Bool(true)]))]),
            ("a: 1", &[("a", Value::Int(1))]),
            ("url=http://x:5/?a=b", &[("url", str("http://x:5/?a=b"))]),
            ("a=", &[("a", str(""))]),
        ];
        for (text, expected) in table {
            let expected: Map = expected.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
            assert_eq!(parse_extra(text), Ok(expected), "{text}");
        }
        assert!(matches!(parse_extra("a=1 b"), Err(ExtraError::NoPair(word)) if word == "b"));
        assert_eq!(parse_extra("a='1"), Err(ExtraError::OpenQuote));
        assert_eq!(parse_extra("[1]"), Err(ExtraError::NotDictionary));
        assert!(matches!(&parse_extra("a={{b}}").expect("reads")["a"], Value::Template(t) if t.text == "{{b}}"));
    }
}
