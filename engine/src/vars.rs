//! Variables from the command line: `-e name=value`.
//!
//! What a host's variables are in a run, and which layer wins, is `execute::vars`.

use std::sync::Arc;

use crate::source::{Source, Span};
use crate::template::is_template;
use crate::value::{Map, Template, Value};

/// Why `name=value …` cannot be read.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum PairError {
    /// A word without `=`.
    #[error("`{0}` is not a variable")]
    NoPair(String),
    /// A quote that is not closed.
    #[error("a quote is left open")]
    OpenQuote,
}

/// Reads `name=value …`. Quotes hold spaces, as in a shell. Values are texts, but that `true` and `false` are meant as
/// booleans; a text with `{{ … }}` is rendered when it is read.
///
/// # Errors
/// Says which word cannot be read.
pub fn pairs(source: &Arc<Source>) -> Result<Map, PairError> {
    let mut map = Map::new();
    for word in words(&source.text)? {
        let (name, value) = word.split_once('=').ok_or_else(|| PairError::NoPair(word.clone()))?;
        map.insert(name.to_owned(), value_of(value, source));
    }
    Ok(map)
}

fn value_of(text: &str, source: &Arc<Source>) -> Value {
    match text {
        "true" | "True" => Value::Bool(true),
        "false" | "False" => Value::Bool(false),
        text if is_template(text) => {
            let start = source.text.find(text).unwrap_or(0);
            let span = Span::new(source, start, start + text.len());
            Value::Template(Template { text: text.to_owned(), span, secret: false })
        }
        text => Value::Str(text.to_owned()),
    }
}

/// Words as a shell splits them, but that `{{ … }}` holds spaces, too.
fn words(text: &str) -> Result<Vec<String>, PairError> {
    let (mut out, mut word, mut quote, mut chars) = (Vec::new(), None::<String>, None, text.chars());
    while let Some(c) = chars.next() {
        let inside = word.as_ref().is_some_and(|w| w.matches("{{").count() > w.matches("}}").count());
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (None, '\'' | '"') if !inside => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (Some('"') | None, '\\') if !inside => word.get_or_insert_default().extend(chars.next()),
            (None, c) if c.is_whitespace() && !inside => out.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err(PairError::OpenQuote);
    }
    out.extend(word);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Map, PairError> {
        pairs(&Arc::new(Source { path: "<command line>".into(), text: text.into() }))
    }

    #[test]
    fn pairs_are_read_as_a_shell_would() {
        let str = |s: &str| Value::Str(s.into());
        let table: &[(&str, &[(&str, Value)])] = &[
            ("a=1 b='x y'", &[("a", str("1")), ("b", str("x y"))]),
            ("url=http://x:5/?a=b", &[("url", str("http://x:5/?a=b"))]),
            ("a= tde=true", &[("a", str("")), ("tde", Value::Bool(true))]),
            (r#"a="q\"r" b=c\ d"#, &[("a", str("q\"r")), ("b", str("c d"))]),
        ];
        for (text, expected) in table {
            let expected: Map = expected.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
            assert_eq!(read(text), Ok(expected), "{text}");
        }
        assert_eq!(read("a=1 b"), Err(PairError::NoPair("b".into())));
        assert_eq!(read("a='1"), Err(PairError::OpenQuote));
        let map = read("a={{ b | default('c d') }}").expect("reads");
        assert!(matches!(&map["a"], Value::Template(t) if t.text == "{{ b | default('c d') }}"));
    }
}
