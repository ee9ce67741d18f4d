//! Versions: `is version('1.10', '>=')`.

use std::cmp::Ordering;

use minijinja::Error;
use minijinja::value::Value;

use super::super::call::{Call, Entry, fail};

pub(super) static ALL: &[Entry] = &[Entry::new(
    &["version", "version_compare"],
    &["value", "version", "operator", "strict", "version_type"],
    "It is an earlier or later version.",
    version,
)
.takes_undefined()];

fn version(c: &mut Call) -> Result<Value, Error> {
    let (ours, theirs) = (c.str(0)?, c.str(1)?);
    if ours.is_empty() || theirs.is_empty() {
        return Err(fail("a version must not be empty"));
    }
    let kind = c.str_or(4, if c.flag(3, false)? { "strict" } else { "loose" })?;
    let order = match kind.as_str() {
        "loose" => loose(&ours, &theirs),
        "strict" | "semver" | "semantic" | "pep440" => release(&ours)?.cmp(&release(&theirs)?),
        other => {
            return Err(fail(format!("'{other}' is no kind of version: loose, strict, semver, semantic or pep440")));
        }
    };
    let operator = c.str_or(2, "eq")?;
    Ok(Value::from(match operator.as_str() {
        "==" | "=" | "eq" => order.is_eq(),
        "!=" | "<>" | "ne" => order.is_ne(),
        "<" | "lt" => order.is_lt(),
        "<=" | "le" => order.is_le(),
        ">" | "gt" => order.is_gt(),
        ">=" | "ge" => order.is_ge(),
        other => return Err(fail(format!("'{other}' compares no versions: <, <=, ==, !=, >= or >"))),
    }))
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Word(String),
    Number(u64),
}

/// The numbers and words of a version, as distutils' `LooseVersion` has them; a longer one is later.
fn loose(a: &str, b: &str) -> Ordering {
    let parts = |version: &str| {
        let mut out = Vec::new();
        let mut rest = version;
        while let Some(first) = rest.chars().next() {
            let digit = first.is_ascii_digit();
            let same = |c: char| if digit { c.is_ascii_digit() } else { !c.is_ascii_digit() && c != '.' };
            if first == '.' {
                rest = &rest[1..];
                continue;
            }
            let end = rest.find(|c| !same(c)).unwrap_or(rest.len());
            out.push(rest[..end].parse().map_or_else(|_| Part::Word(rest[..end].to_owned()), Part::Number));
            rest = &rest[end..];
        }
        out
    };
    parts(a).cmp(&parts(b))
}

/// Numbers up to a pre-release, which comes before the release itself; build metadata does not count.
type Release = (Vec<u64>, bool, Vec<PreRelease>);

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum PreRelease {
    Number(u64),
    Word(String),
}

fn release(version: &str) -> Result<Release, Error> {
    let bad = || fail(format!("'{version}' is not a version"));
    let trimmed = version.trim().trim_start_matches('v').split('+').next().unwrap_or_default();
    let end = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
    let numbers = trimmed[..end].trim_end_matches('.').split('.').map(|n| n.parse::<u64>().map_err(|_| bad()));
    let mut numbers = numbers.collect::<Result<Vec<_>, _>>()?;
    while numbers.len() > 1 && numbers.last() == Some(&0) {
        numbers.pop();
    }
    let pre = trimmed[end..].trim_start_matches('-');
    let parts = pre.split('.').filter(|p| !p.is_empty());
    let parts = parts.map(|p| p.parse().map_or_else(|_| PreRelease::Word(p.into()), PreRelease::Number)).collect();
    Ok((numbers, pre.is_empty(), parts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_in_order() {
        for (a, b) in [("1.9", "1.10"), ("15.4", "15.10"), ("1.0", "1.0.1"), ("2.0rc1", "2.0rc2")] {
            assert_eq!(loose(a, b), Ordering::Less, "{a} < {b}");
        }
        for (a, b) in [("1.0.0-alpha", "1.0.0"), ("1.0.0-alpha.1", "1.0.0-beta"), ("1.2.3", "1.10.0")] {
            assert!(release(a).expect("a version") < release(b).expect("a version"), "{a} < {b}");
        }
    }
}
