//! Types for parameters that are ambiguous, and how they are read.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{self, Deserializer};
use serde_json::Value;

use crate::edit::Text;
use crate::secret::Secret;

/// The key that marks a secret among rendered parameters: `{"$secret": "text"}`.
pub const SECRET_KEY: &str = "$secret";

pub(crate) fn as_secret(value: &Value) -> Option<&str> {
    value.as_object().filter(|map| map.len() == 1)?.get(SECRET_KEY)?.as_str()
}

pub(crate) fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(true) => "`true`".into(),
        Value::Bool(false) => "`false`".into(),
        Value::Number(number) => format!("`{number}`"),
        Value::String(text) => format!("`{text}`"),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "a dictionary".into(),
    }
}

/// The type of a value as Python names it, for Ansible's words.
pub(crate) fn python_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    }
}

/// What a word says where true or false is wanted, or `None` if it says neither: the words are those of Ansible's
/// `parsing/convert_bool.py`, in any case.
#[must_use]
pub fn truth(word: &str) -> Option<bool> {
    match word.trim().to_lowercase().as_str() {
        "y" | "yes" | "on" | "1" | "true" | "t" => Some(true),
        "n" | "no" | "off" | "0" | "false" | "f" => Some(false),
        _ => None,
    }
}

/// The candidate that a mistyped name most probably means.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let score = |candidate: &'a str| (strsim::damerau_levenshtein(name, candidate), candidate);
    let (distance, candidate) = candidates.into_iter().map(score).min()?;
    (distance <= 1 + name.chars().count() / 4 && distance < candidate.chars().count()).then_some(candidate)
}

/// Permission bits: `"0644"`, or symbolic as chmod(1) has it (`u=rw,go=r`), which is applied to the present bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Octal.
    Bits(u32),
    /// Symbolic clauses, checked.
    Symbolic(String),
}

impl Mode {
    /// The bits that a file shall have which has `now`; `dir` matters for `X`.
    pub fn over(&self, now: u32, kind: &crate::host::Kind) -> u32 {
        match self {
            Self::Bits(bits) => *bits,
            Self::Symbolic(clauses) => {
                let dir = *kind == crate::host::Kind::Dir;
                clauses.split(',').fold(now, |bits, clause| symbolic(clause, bits, dir).unwrap_or(bits))
            }
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return match u32::from_str_radix(text, 8) {
                Ok(bits) if bits <= 0o7777 => Ok(Self::Bits(bits)),
                _ => Err(format!("`{text}` is not an octal mode such as \"0644\"")),
            };
        }
        match text.split(',').all(|clause| symbolic(clause, 0, false).is_some()) {
            true => Ok(Self::Symbolic(text.into())),
            false => Err(format!(
                "`{text}` is not a mode: expected octal digits such as \"0644\" or clauses such as u=rw,go=r"
            )),
        }
    }
}

/// One clause of chmod(1): `u+x`, `go=`, `a=rX`.
fn symbolic(clause: &str, bits: u32, dir: bool) -> Option<u32> {
    let at = clause.find(['+', '-', '='])?;
    let (who, rest) = clause.split_at(at);
    let shifts: Vec<u32> = match who {
        "" | "a" => vec![6, 3, 0],
        who => who
            .chars()
            .map(|c| match c {
                'u' => Some(6),
                'g' => Some(3),
                'o' => Some(0),
                _ => None,
            })
            .collect::<Option<_>>()?,
    };
    let (operator, perms) = rest.split_at(1);
    let mut mask = 0;
    for perm in perms.chars() {
        for shift in &shifts {
            mask |= match perm {
                'r' => 4 << shift,
                'w' => 2 << shift,
                'x' => 1 << shift,
                'X' if dir || bits & 0o111 != 0 => 1 << shift,
                'X' => 0,
                's' if *shift == 6 => 0o4000,
                's' if *shift == 3 => 0o2000,
                's' => 0,
                't' => 0o1000,
                _ => return None,
            };
        }
    }
    let all: u32 = shifts.iter().map(|shift| 7 << shift).sum();
    Some(match operator {
        "+" => bits | mask,
        "-" => bits & !mask,
        _ => bits & !all | mask,
    })
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Self::parse(&text).map_err(de::Error::custom),
            Value::Number(number) => from_number(&number).map_err(de::Error::custom),
            other => Err(de::Error::custom(format!("expected a mode such as \"0644\", not {}", describe(&other)))),
        }
    }
}

/// A number comes from a variable that was written `0644` in YAML 1.1 (420), or from a decimal by accident (644). The
/// latter would set bits that nobody wants: without read permission for the owner, or with a sticky bit where not
/// everybody may write.
fn from_number(number: &serde_json::Number) -> Result<Mode, String> {
    match number.as_u64().and_then(|bits| u32::try_from(bits).ok()) {
        Some(bits) if bits & 0o400 != 0 && bits <= 0o7777 && (bits & 0o1000 == 0 || bits & 0o777 == 0o777) => {
            Ok(Mode::Bits(bits))
        }
        _ => Err(format!("{number} is a decimal number, not a mode; write \"0{number}\" with quotes")),
    }
}

impl JsonSchema for Mode {
    fn schema_name() -> Cow<'static, str> {
        "Mode".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({})
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        match (as_secret(&value), &value) {
            (Some(text), _) => Ok(Self::new(text)),
            (None, Value::String(text)) => Ok(Self::new(text.as_str())),
            (None, Value::Number(number)) => Ok(Self::new(number.to_string())),
            (None, _) => Err(de::Error::custom("expected a text")),
        }
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "secret": true })
    }
}

/// A text that may be secret or not: the content of a file, a line in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content(pub Text);

impl Content {
    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0.bytes).unwrap_or_default()
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        match (as_secret(&value), value.as_str()) {
            (Some(secret), _) => Ok(Self(Text::secret(secret.as_bytes()))),
            (None, Some(text)) => Ok(Self(Text::plain(text.as_bytes()))),
            (None, None) => Err(de::Error::custom(format!("expected a text, not {}", describe(&value)))),
        }
    }
}

impl JsonSchema for Content {
    fn schema_name() -> Cow<'static, str> {
        "Content".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "secret": true })
    }
}

/// The first word of a command line, which quotes may keep together, and what follows it.
pub fn first_word(line: &str) -> (&str, &str) {
    let line = line.trim_start();
    let quoted = line.strip_prefix(['\'', '"']).and_then(|rest| rest.split_once(&line[..1]));
    quoted.or_else(|| line.split_once(char::is_whitespace)).unwrap_or((line, ""))
}

/// A word of a command line. Refuses secrets: every user of a host can read other processes' arguments.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Word(pub String);

impl JsonSchema for Word {
    fn schema_name() -> Cow<'static, str> {
        "Word".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "public": true })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::host::Kind;

    #[test]
    fn first_words() {
        for (line, wanted) in [
            (" a.sh --all x", ("a.sh", "--all x")),
            ("'a b/c.sh' x", ("a b/c.sh", " x")),
            ("\"a b\"", ("a b", "")),
            ("'a", ("'a", "")),
            ("", ("", "")),
        ] {
            assert_eq!(first_word(line), wanted, "{line}");
        }
    }

    #[test]
    fn modes() {
        let file = Kind::File;
        let table = [
            (json!("0644"), 0, 0o644),
            (json!("644"), 0, 0o644),
            (json!(420), 0, 0o644),
            (json!(1528), 0, 0o2770),
            (json!(1023), 0, 0o1777),
            (json!("u=rw,go=r"), 0o777, 0o644),
            (json!("+x"), 0o644, 0o755),
            (json!("a=rX"), 0o700, 0o555),
            (json!("o-rwx"), 0o777, 0o770),
        ];
        for (given, now, wanted) in table {
            let mode: Mode = serde_json::from_value(given.clone()).unwrap();
            assert_eq!(mode.over(now, &file), wanted, "{given}");
        }
        for (given, wanted) in [
            (json!(644), "644 is a decimal number, not a mode; write \"0644\" with quotes"),
            (json!(777), "777 is a decimal number, not a mode; write \"0777\" with quotes"),
            (json!("0999"), "`0999` is not an octal mode such as \"0644\""),
            (json!("rw"), "`rw` is not a mode: expected octal digits such as \"0644\" or clauses such as u=rw,go=r"),
        ] {
            assert_eq!(serde_json::from_value::<Mode>(given).unwrap_err().to_string(), wanted);
        }
    }
}
