//! What a plain scalar means: YAML 1.1, by the very expressions of PyYAML's resolver, which is what Ansible uses.

use std::sync::LazyLock;

use fancy_regex::Regex;

/// A scalar that has been read.
#[derive(Clone, Debug, PartialEq)]
pub enum Plain {
    /// `~`, `null`, nothing.
    Null,
    /// `yes`, `on`, `True`.
    Bool(bool),
    /// `12`, `0644` (octal), `0x1f`, `1_000`, `1:30` (base 60).
    Int(i64),
    /// `1.5`, `.inf`.
    Float(f64),
    /// Anything else. Also dates, which Ansible turns into objects that print the same, and whole numbers that do not
    /// fit 64 bits, which lose nothing as text.
    Str(String),
}

static INT: LazyLock<Regex> = LazyLock::new(|| {
    compile(
        r"^(?:[-+]?0b[0-1_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+)$",
    )
});

static FLOAT: LazyLock<Regex> = LazyLock::new(|| {
    compile(
        r"^(?:[-+]?(?:[0-9][0-9_]*)\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
    )
});

fn compile(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is a constant that the tests compile")
}

/// Reads a plain scalar.
pub(super) fn resolve(text: &str) -> Plain {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Plain::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Plain::Bool(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => return Plain::Bool(false),
        _ => {}
    }
    let numeric = text.starts_with(|c: char| c.is_ascii_digit() || "-+.".contains(c));
    let number = match numeric {
        true if matches(&INT, text) => int(text).map(Plain::Int),
        true if matches(&FLOAT, text) => float(text).map(Plain::Float),
        _ => None,
    };
    number.unwrap_or_else(|| Plain::Str(text.to_owned()))
}

fn matches(regex: &Regex, text: &str) -> bool {
    regex.is_match(text).unwrap_or(false)
}

/// The sign of a number, and the rest of it without underscores.
fn split_sign(text: &str) -> (bool, String) {
    let digits = text.replace('_', "");
    match digits.strip_prefix('-') {
        Some(rest) => (true, rest.to_owned()),
        None => (false, digits.strip_prefix('+').unwrap_or(&digits).to_owned()),
    }
}

fn int(text: &str) -> Option<i64> {
    let (negative, digits) = split_sign(text);
    let magnitude = if let Some(binary) = digits.strip_prefix("0b") {
        i64::from_str_radix(binary, 2).ok()?
    } else if let Some(hex) = digits.strip_prefix("0x") {
        i64::from_str_radix(hex, 16).ok()?
    } else if digits.starts_with('0') {
        i64::from_str_radix(&digits, 8).ok()?
    } else if digits.contains(':') {
        digits.split(':').try_fold(0i64, |sum, part| sum.checked_mul(60)?.checked_add(part.parse().ok()?))?
    } else {
        return if negative { format!("-{digits}").parse().ok() } else { digits.parse().ok() };
    };
    Some(if negative { -magnitude } else { magnitude })
}

fn float(text: &str) -> Option<f64> {
    let (negative, digits) = split_sign(&text.to_lowercase());
    let magnitude = match digits.as_str() {
        ".inf" => f64::INFINITY,
        ".nan" => f64::NAN,
        _ if digits.contains(':') => {
            digits.split(':').try_fold(0f64, |sum, part| Some(sum * 60.0 + part.parse::<f64>().ok()?))?
        }
        _ => digits.parse().ok()?,
    };
    Some(if negative { -magnitude } else { magnitude })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The right column was printed by PyYAML 6.
    #[test]
    fn scalars_as_pyyaml_reads_them() {
        let table: &[(&str, Plain)] = &[
            ("", Plain::Null),
            ("~", Plain::Null),
            ("nUll", Plain::Str("nUll".into())),
            ("yes", Plain::Bool(true)),
            ("On", Plain::Bool(true)),
            ("off", Plain::Bool(false)),
            ("y", Plain::Str("y".into())),
            ("oN", Plain::Str("oN".into())),
            ("0", Plain::Int(0)),
            ("0644", Plain::Int(420)),
            ("644", Plain::Int(644)),
            ("0o644", Plain::Str("0o644".into())),
            ("08", Plain::Str("08".into())),
            ("-07", Plain::Int(-7)),
            ("1_000", Plain::Int(1000)),
            ("0x1F", Plain::Int(31)),
            ("0b101", Plain::Int(5)),
            ("+12", Plain::Int(12)),
            ("1:30", Plain::Int(90)),
            ("-1:30:05", Plain::Int(-5405)),
            ("22:22", Plain::Int(1342)),
            ("01:10", Plain::Str("01:10".into())),
            ("1:60", Plain::Str("1:60".into())),
            ("9223372036854775807", Plain::Int(i64::MAX)),
            ("-9223372036854775808", Plain::Int(i64::MIN)),
            ("9223372036854775808", Plain::Str("9223372036854775808".into())),
            ("1.5", Plain::Float(1.5)),
            ("1.", Plain::Float(1.0)),
            (".5", Plain::Float(0.5)),
            ("-.5", Plain::Str("-.5".into())),
            ("1e5", Plain::Str("1e5".into())),
            ("1.0e5", Plain::Str("1.0e5".into())),
            ("1.0e+5", Plain::Float(1e5)),
            ("6.8523015e+5", Plain::Float(685_230.15)),
            ("190:20:30.15", Plain::Float(685_230.15)),
            ("-.INF", Plain::Float(f64::NEG_INFINITY)),
            ("10.0.0.1", Plain::Str("10.0.0.1".into())),
            ("2026-01-02", Plain::Str("2026-01-02".into())),
            ("-", Plain::Str("-".into())),
            ("=", Plain::Str("=".into())),
        ];
        for (text, want) in table {
            assert_eq!(resolve(text), *want, "{text}");
        }
    }
}
