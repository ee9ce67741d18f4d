//! Which names, sizes and ages are meant. Pure.

use fancy_regex::Regex;

use super::super::common;
use crate::host::Error;

/// Names that are taken, and names among them that are not.
pub(super) struct Names {
    patterns: Vec<Regex>,
    excludes: Vec<Regex>,
}

impl Names {
    pub(super) fn new(patterns: &[String], excludes: &[String], use_regex: bool) -> Result<Self, Error> {
        let compile = |param: &str, patterns: &[String]| -> Result<Vec<Regex>, Error> {
            let regex = |pattern: &String| if use_regex { format!("^(?:{pattern})") } else { common::glob(pattern) };
            patterns.iter().map(|pattern| common::regex(param, &regex(pattern))).collect()
        };
        Ok(Self { patterns: compile("patterns", patterns)?, excludes: compile("excludes", excludes)? })
    }

    pub(super) fn take(&self, name: &str) -> Result<bool, Error> {
        let any = |regexes: &[Regex]| -> Result<bool, Error> {
            let matches = |regex: &Regex| regex.is_match(name);
            let mut all = regexes.iter().map(matches);
            let found = all.try_fold(false, |found, one| one.map(|one| found || one));
            found.map_err(|error| Error::param("patterns", format!("gives up on `{name}`: {error}")))
        };
        Ok((self.patterns.is_empty() || any(&self.patterns)?) && !any(&self.excludes)?)
    }
}

/// `10k`: at least so much; `-10k`: at most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Amount(i64);

/// Seconds.
pub(super) const TIMES: [(char, i64); 5] = [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400), ('w', 604_800)];
/// Bytes.
pub(super) const SIZES: [(char, i64); 5] = [('b', 1), ('k', 1 << 10), ('m', 1 << 20), ('g', 1 << 30), ('t', 1 << 40)];

impl Amount {
    pub(super) fn parse(param: &str, text: &str, units: &[(char, i64)]) -> Result<Self, Error> {
        let lower = text.to_lowercase();
        let unit = units.iter().find(|(unit, _)| lower.ends_with(*unit));
        let digits = unit.map_or(lower.as_str(), |(unit, _)| lower.trim_end_matches(*unit));
        let amount = digits.parse::<i64>().ok().and_then(|n| n.checked_mul(unit.map_or(1, |(_, factor)| *factor)));
        let names: Vec<String> = units.iter().map(|(unit, _)| unit.to_string()).collect();
        let expected = || Error::param(param, format!("`{text}` is not a number with a unit ({})", names.join(", ")));
        amount.map(Self).ok_or_else(expected)
    }

    pub(super) fn admits(self, value: i64) -> bool {
        if self.0 >= 0 { value >= self.0 } else { value <= -self.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_fnmatch_has_them() {
        let table = [
            ("*.log", "a.log", true),
            ("*.log", "a.log.1", false),
            ("a?c", "abc", true),
            ("[!a]*", "abc", false),
            ("[]x]", "]", true),
            ("[a-c]1", "b1", true),
            ("[x", "[x", true),
            ("a.c", "abc", false),
        ];
        for (pattern, name, wanted) in table {
            let names = Names::new(&[pattern.into()], &[], false).unwrap();
            assert_eq!(names.take(name).unwrap(), wanted, "{pattern} {name}");
        }
    }

    #[test]
    fn amounts() {
        let table = [("10", 10), ("-2k", -2048), ("1T", 1 << 40)];
        for (text, wanted) in table {
            assert_eq!(Amount::parse("size", text, &SIZES).unwrap(), Amount(wanted), "{text}");
        }
        let error = Amount::parse("age", "5y", &TIMES).unwrap_err();
        assert_eq!(error.to_string(), "parameter `age`: `5y` is not a number with a unit (s, m, h, d, w)");
    }
}
