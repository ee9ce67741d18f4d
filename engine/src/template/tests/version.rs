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
    let strict = c.option(3)?.map(Value::is_true);
    if strict.is_some() && c.option(4)?.is_some() {
        return Err(fail("Cannot specify both 'strict' and 'version_type'"));
    }
    let kind = c.str_or(4, if strict == Some(true) { "strict" } else { "loose" })?;
    let order = match kind.as_str() {
        "loose" => loose(&ours, &theirs)?,
        "strict" => strictly(&ours)?.cmp(&strictly(&theirs)?),
        "semver" | "semantic" => semantic(&ours)?.cmp(&semantic(&theirs)?),
        "pep440" => pep440(&ours)?.cmp(&pep440(&theirs)?),
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

#[derive(Debug)]
enum Part {
    Word(String),
    Number(u64),
}

/// The numbers and words of a version, as distutils' `LooseVersion` has them; a longer one is later. A number and a word
/// at the same place cannot be compared, as there.
fn loose(a: &str, b: &str) -> Result<Ordering, Error> {
    let parts = |version: &str| {
        let mut out = Vec::new();
        let mut rest = version;
        while let Some(first) = rest.chars().next() {
            if first == '.' {
                rest = &rest[1..];
                continue;
            }
            // Numbers, words of small letters, and whatever stands between them.
            let class = |c: char| {
                if c.is_ascii_digit() {
                    0
                } else if c.is_ascii_lowercase() {
                    1
                } else {
                    2
                }
            };
            let end = rest.find(|c| c == '.' || class(c) != class(first)).unwrap_or(rest.len());
            out.push(rest[..end].parse().map_or_else(|_| Part::Word(rest[..end].to_owned()), Part::Number));
            rest = &rest[end..];
        }
        out
    };
    let (a, b) = (parts(a), parts(b));
    for (x, y) in a.iter().zip(&b) {
        let order = match (x, y) {
            (Part::Number(x), Part::Number(y)) => x.cmp(y),
            (Part::Word(x), Part::Word(y)) => x.cmp(y),
            (Part::Number(_), _) => return Err(fail(uncomparable("int", "str"))),
            (Part::Word(_), _) => return Err(fail(uncomparable("str", "int"))),
        };
        if order.is_ne() {
            return Ok(order);
        }
    }
    Ok(a.len().cmp(&b.len()))
}

fn uncomparable(a: &str, b: &str) -> String {
    format!("Version comparison failed: '<' not supported between instances of '{a}' and '{b}'")
}

fn groups<'v>(pattern: &str, version: &'v str) -> Result<fancy_regex::Captures<'v>, Error> {
    let bad = || fail(format!("Version comparison failed: '{version}' is not a version"));
    let regex = super::super::filters::compile(pattern, true, false)?;
    regex.captures(version).ok().flatten().ok_or_else(bad)
}

fn number(groups: &fancy_regex::Captures, name: &str) -> u64 {
    groups.name(name).and_then(|m| m.as_str().parse().ok()).unwrap_or(0)
}

/// distutils' `StrictVersion`: two or three numbers, and maybe `a` or `b` with one more.
fn strictly(version: &str) -> Result<([u64; 3], bool, String, u64), Error> {
    let found = groups(r"\A(?P<a>\d+)\.(?P<b>\d+)(?:\.(?P<c>\d+))?(?:(?P<pre>[ab])(?P<n>\d+))?\z", version)?;
    let pre = found.name("pre").map_or("", |m| m.as_str()).to_owned();
    let numbers = [number(&found, "a"), number(&found, "b"), number(&found, "c")];
    Ok((numbers, pre.is_empty(), pre, number(&found, "n")))
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum PreRelease {
    Number(u64),
    Word(String),
}

/// A version of semver.org: three numbers, and maybe a pre-release; build metadata does not count.
fn semantic(version: &str) -> Result<([u64; 3], bool, Vec<PreRelease>), Error> {
    let pattern =
        r"\A(?P<a>0|[1-9]\d*)\.(?P<b>0|[1-9]\d*)\.(?P<c>0|[1-9]\d*)(?:-(?P<pre>[0-9a-z.-]+))?(?:\+[0-9a-z.-]+)?\z";
    let found = groups(pattern, version)?;
    let numbers = [number(&found, "a"), number(&found, "b"), number(&found, "c")];
    let pre = found.name("pre").map_or("", |m| m.as_str());
    let parts = pre.split('.').filter(|p| !p.is_empty());
    let parts = parts.map(|p| p.parse().map_or_else(|_| PreRelease::Word(p.into()), PreRelease::Number)).collect();
    Ok((numbers, pre.is_empty(), parts))
}

/// Where a phase stands: an alpha before a beta before a candidate; without one, before all if it is a development release.
type Phase = (i8, u64);

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Pep440 {
    epoch: u64,
    numbers: Vec<u64>,
    pre: Phase,
    post: Phase,
    dev: Phase,
    local: Vec<(bool, u64, String)>,
}

/// A version of PEP 440, with its order.
fn pep440(version: &str) -> Result<Pep440, Error> {
    let pattern = concat!(
        r"\A\s*v?(?:(?P<epoch>\d+)!)?(?P<release>\d+(?:\.\d+)*)",
        r"(?P<pre>[-_.]?(?P<phase>alpha|a|beta|b|preview|pre|c|rc)[-_.]?(?P<pren>\d+)?)?",
        r"(?P<post>-(?P<postn1>\d+)|[-_.]?(?:post|rev|r)[-_.]?(?P<postn2>\d+)?)?",
        r"(?P<dev>[-_.]?dev[-_.]?(?P<devn>\d+)?)?(?:\+(?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?\s*\z"
    );
    let found = groups(pattern, version)?;
    let mut numbers: Vec<u64> =
        found.name("release").map_or("", |m| m.as_str()).split('.').map(|n| n.parse().unwrap_or(u64::MAX)).collect();
    while numbers.len() > 1 && numbers.last() == Some(&0) {
        numbers.pop();
    }
    let there = |name: &str| found.name(name).is_some();
    let phase = found.name("phase").map(|m| m.as_str().to_lowercase());
    let pre = match phase.as_deref() {
        Some("a" | "alpha") => (0, number(&found, "pren")),
        Some("b" | "beta") => (1, number(&found, "pren")),
        Some(_) => (2, number(&found, "pren")),
        None if !there("post") && there("dev") => (-1, 0),
        None => (3, 0),
    };
    let post = if there("post") { (1, number(&found, "postn1").max(number(&found, "postn2"))) } else { (0, 0) };
    let dev = if there("dev") { (0, number(&found, "devn")) } else { (1, 0) };
    let local = found.name("local").map_or("", |m| m.as_str()).to_lowercase();
    let part = |p: &str| p.parse().map_or_else(|_| (false, 0, p.to_owned()), |n| (true, n, String::new()));
    let local = local.split(['-', '_', '.']).filter(|p| !p.is_empty()).map(part).collect();
    Ok(Pep440 { epoch: number(&found, "epoch"), numbers, pre, post, dev, local })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_in_order() {
        for (a, b) in [("1.9", "1.10"), ("15.4", "15.10"), ("1.0", "1.0.1"), ("2.0rc1", "2.0rc2")] {
            assert_eq!(loose(a, b).expect("comparable"), Ordering::Less, "{a} < {b}");
        }
        for (a, b) in [("1.0.0-alpha", "1.0.0"), ("1.0.0-alpha.1", "1.0.0-beta"), ("1.2.3", "1.10.0")] {
            assert!(semantic(a).expect("a version") < semantic(b).expect("a version"), "{a} < {b}");
        }
    }
}
