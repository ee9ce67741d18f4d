//! The tree that a YAML document is read into.

use std::fmt;

use indexmap::IndexMap;
use trueup_modules::param::SECRET_KEY;
use trueup_modules::secret::REDACTED;

use super::scalar::{self, Plain};
use crate::source::Span;
use crate::vault;

/// A value in a YAML document and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What stands there.
    pub data: Data,
    /// Where. In a vault file this is always its first line: the text there is encrypted.
    pub span: Span,
    /// It or what it stands in is tagged `!unsafe`: no text in it is ever a template.
    pub is_unsafe: bool,
}

/// The three shapes of YAML.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// A text, number, boolean or null.
    Scalar(Scalar),
    /// A list.
    Seq(Vec<Node>),
    /// A dictionary; merge keys are already merged.
    Map(Mapping),
}

/// A dictionary in the order of its source.
pub type Mapping = IndexMap<String, Entry>;

/// What stands beside a key.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The place of the key.
    pub key: Span,
    /// The value.
    pub value: Node,
}

/// A scalar as it was written: what it means depends on who reads it (`mode: 0644`).
#[derive(Clone, PartialEq)]
pub struct Scalar {
    /// The text, unquoted and unescaped; of a `!vault` value the decrypted text.
    pub text: String,
    /// How it was written.
    pub style: Style,
    /// It comes from a vault.
    pub secret: bool,
}

/// How a scalar was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Without quotes: YAML 1.1 decides what it is.
    Plain,
    /// Quoted, a block, or tagged `!!str`: always a string.
    Text,
}

/// Without the text of a secret.
impl fmt::Debug for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = if self.secret { REDACTED } else { &self.text };
        f.debug_struct("Scalar").field("text", &text).field("style", &self.style).finish()
    }
}

impl Scalar {
    /// What the scalar means in YAML 1.1.
    pub fn resolve(&self) -> Plain {
        match self.style {
            Style::Plain => scalar::resolve(&self.text),
            Style::Text => Plain::Str(self.text.clone()),
        }
    }

    /// Whether the text holds template syntax.
    pub fn is_template(&self) -> bool {
        ["{{", "{%", "{#"].iter().any(|open| self.text.contains(open))
    }
}

impl Node {
    /// A string at a place; what a reader of another format (INI) makes.
    pub fn text(text: impl Into<String>, span: &Span) -> Self {
        let scalar = Scalar { text: text.into(), style: Style::Text, secret: false };
        Self { data: Data::Scalar(scalar), span: span.clone(), is_unsafe: false }
    }

    /// What a JSON value stands for at a place; `{"$secret": text}` is a secret.
    pub fn from_json(json: &serde_json::Value, span: &Span) -> Self {
        use serde_json::Value as Json;
        let scalar = |text: String, style, secret| Data::Scalar(Scalar { text, style, secret });
        let data = match json {
            Json::String(text) => scalar(text.clone(), Style::Text, false),
            Json::Null | Json::Bool(_) | Json::Number(_) => scalar(json.to_string(), Style::Plain, false),
            Json::Array(items) => Data::Seq(items.iter().map(|item| Self::from_json(item, span)).collect()),
            Json::Object(map) => match map.get(SECRET_KEY).and_then(Json::as_str) {
                Some(secret) if map.len() == 1 => scalar(secret.to_owned(), Style::Text, true),
                _ => {
                    let entry = |value| Entry { key: span.clone(), value: Self::from_json(value, span) };
                    Data::Map(map.iter().map(|(key, value)| (key.clone(), entry(value))).collect())
                }
            },
        };
        Self { data, span: span.clone(), is_unsafe: false }
    }

    /// It and all that stands in it, as if it were tagged `!unsafe`.
    #[must_use]
    pub fn into_unsafe(mut self) -> Self {
        self.is_unsafe = true;
        self.data = match self.data {
            Data::Seq(items) => Data::Seq(items.into_iter().map(Self::into_unsafe).collect()),
            Data::Map(map) => {
                let entry = |entry: Entry| Entry { value: entry.value.into_unsafe(), ..entry };
                Data::Map(map.into_iter().map(|(key, value)| (key, entry(value))).collect())
            }
            scalar => scalar,
        };
        self
    }

    /// The scalar, if it is one.
    pub fn as_scalar(&self) -> Option<&Scalar> {
        match &self.data {
            Data::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// The list, if it is one.
    pub fn as_seq(&self) -> Option<&[Node]> {
        match &self.data {
            Data::Seq(items) => Some(items),
            _ => None,
        }
    }

    /// The dictionary, if it is one.
    pub fn as_map(&self) -> Option<&Mapping> {
        match &self.data {
            Data::Map(map) => Some(map),
            _ => None,
        }
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        self.as_scalar().is_some_and(|scalar| scalar.resolve() == Plain::Null)
    }

    /// Whether it is a text that has to be rendered before it means something.
    pub fn is_template(&self) -> bool {
        !self.is_unsafe && self.as_scalar().is_some_and(Scalar::is_template)
    }

    /// Whether it is a `!vault` value. In a file that is a vault as a whole everything is secret, and keywords must still
    /// be read; a single value that somebody sealed is never taken apart.
    pub fn is_sealed(&self) -> bool {
        self.as_scalar().is_some_and(|scalar| scalar.secret) && !vault::is_vault(&self.span.source.text)
    }

    /// Why it cannot be read, if it is a `!vault` value that has no password.
    pub fn unopened(&self) -> Option<String> {
        let text = &self.as_scalar().filter(|scalar| !scalar.secret)?.text;
        let why = text.strip_prefix(UNOPENED)?.strip_suffix(UNOPENED_END)?;
        Some(why.replace("\\'", "'").replace("\\\\", "\\"))
    }

    /// What it is, for error messages: `a list`, `the string "x"`. Never shows a secret.
    pub fn describe(&self) -> String {
        match &self.data {
            Data::Seq(_) => "a list".to_owned(),
            Data::Map(_) => "a dictionary".to_owned(),
            Data::Scalar(scalar) if scalar.secret => "a secret text".to_owned(),
            Data::Scalar(scalar) => match scalar.resolve() {
                Plain::Null => "null".to_owned(),
                Plain::Bool(b) => format!("the boolean `{b}`"),
                Plain::Int(_) | Plain::Float(_) => format!("the number `{}`", scalar.text),
                Plain::Str(text) => format!("the string `{}`", abbreviate(&text)),
            },
        }
    }
}

/// What stands in the place of a sealed value that cannot be opened: a template that fails when it is read.
pub(super) fn unopened(why: &str) -> String {
    format!("{UNOPENED}{}{UNOPENED_END}", why.replace('\\', "\\\\").replace('\'', "\\'"))
}

const UNOPENED: &str = "{{ __unopened('";
const UNOPENED_END: &str = "') }}";

fn abbreviate(text: &str) -> String {
    let line = text.lines().next().unwrap_or("");
    let short: String = line.chars().take(40).collect();
    if short.len() < text.len() { format!("{short}…") } else { short }
}
