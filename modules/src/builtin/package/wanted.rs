//! The packages that are asked for: names, versions, patterns.

use std::collections::BTreeMap;
use std::path::Path;

use crate::builtin::common;
use crate::edit::Shown;
use crate::facts::Package;
use crate::host::{Command, Error, Host, Look};

use super::apt::Change;

/// Which packages came for another's sake, as apt keeps it.
const STATES: &str = "/var/lib/apt/extended_states";

/// A package as it is asked for: `name`, `name=version`, `name=1.2*`, `name>=1.2`.
pub(super) struct Wanted<'a> {
    typed: &'a str,
    pub(super) name: &'a str,
    version: Option<(Compare, &'a str)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Compare {
    Equal,
    AtLeast,
}

impl<'a> Wanted<'a> {
    pub(super) fn parse(typed: &'a str) -> Self {
        let split = |sign: &str, compare| {
            typed.split_once(sign).map(|(name, version)| (name.trim(), (compare, version.trim())))
        };
        let found = split(">=", Compare::AtLeast).or_else(|| split("=", Compare::Equal));
        let (name, version) = found.map_or((typed, None), |(name, version)| (name, Some(version)));
        Self { typed, name, version }
    }

    /// As apt-get takes it.
    pub(super) fn asked(&self) -> &'a str {
        if matches!(self.version, Some((Compare::AtLeast, _))) { self.name } else { self.typed }
    }

    /// What Ansible says where there is none such.
    pub(super) fn none(&self) -> String {
        match self.version {
            Some(_) => format!("no available installation candidate for {}", self.typed),
            None => format!("No package matching '{}' is available", self.name),
        }
    }

    /// Whether the installed one will do.
    pub(super) fn accepts(&self, installed: &Package, host: &dyn Host) -> Result<bool, Error> {
        let (Some((compare, wanted)), Some(version)) = (self.version, &installed.version) else { return Ok(true) };
        if compare == Compare::Equal {
            return matches(wanted, version);
        }
        let ask = Command::new("dpkg", ["--compare-versions", version.as_str(), "ge", wanted]);
        Ok(host.query(&ask)?.success())
    }
}

fn matches(pattern: &str, text: &str) -> Result<bool, Error> {
    if !is_pattern(pattern) {
        return Ok(pattern == text);
    }
    Ok(common::regex("name", &common::glob(pattern))?.is_match(text).unwrap_or(false))
}

fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '[', ']', '!'])
}

/// Puts the names that apt knows in the place of patterns. None at all is an error.
pub(super) fn expand<'a>(names: impl Iterator<Item = &'a str>, host: &dyn Host) -> Result<Vec<String>, Error> {
    let mut expanded = Vec::new();
    let mut known: Option<Vec<String>> = None;
    for name in names {
        let plain = Wanted::parse(name).name;
        if plain.is_empty() {
            let error = Error::param("name", "is empty: a package has a name");
            return Err(error.telling("msg", "No package matching '' is available"));
        }
        if !is_pattern(plain) {
            expanded.push(name.to_owned());
            continue;
        }
        if known.is_none() {
            let output = host.query(&Command::new("apt-cache", ["pkgnames"]))?;
            let mut names: Vec<String> = output.stdout.lines().map(str::to_owned).collect();
            names.sort();
            known = Some(names);
        }
        let before = expanded.len();
        for candidate in known.iter().flatten() {
            if matches(plain, candidate)? {
                expanded.push(candidate.clone());
            }
        }
        if expanded.len() == before {
            let error = Error::refused(
                format!("package {plain}"),
                "apt knows no package whose name matches",
                "refresh the lists with `update_cache: true`, or add the repository that has it",
            );
            return Err(error.telling("msg", format!("No package(s) matching '{plain}' available")));
        }
    }
    Ok(expanded)
}

/// Those of the packages that came for another's sake.
pub(super) fn automatic<'a>(names: impl Iterator<Item = &'a str>, host: &dyn Host) -> Look<Vec<String>> {
    let mut names = names.peekable();
    if names.peek().is_none() {
        return Ok(Vec::new());
    }
    let states = host.read(Path::new(STATES))?.unwrap_or_default();
    let states = String::from_utf8_lossy(&states);
    let automatic: Vec<&str> = states
        .split("\n\n")
        .filter(|entry| entry.lines().any(|line| line == "Auto-Installed: 1"))
        .filter_map(|entry| entry.lines().find_map(|line| line.strip_prefix("Package: ")))
        .collect();
    Ok(names.filter(|name| automatic.contains(name)).map(str::to_owned).collect())
}

/// With the lists refreshed, apt-get may find other versions; the packages named change in any case.
pub(super) fn not_yet_known(
    changes: Vec<Change>,
    due: &[&Wanted],
    installed: &BTreeMap<String, Package>,
) -> Vec<Change> {
    let named = missing(&changes, due, installed, &Shown::Unknown);
    let vague = |change| match change {
        Change { after: Shown::Plain(_), .. } => Change { after: Shown::Unknown, ..change },
        removed => removed,
    };
    changes.into_iter().map(vague).chain(named).collect()
}

/// The packages named that are not among the changes.
pub(super) fn missing(
    changes: &[Change],
    due: &[&Wanted],
    installed: &BTreeMap<String, Package>,
    after: &Shown,
) -> Vec<Change> {
    let named = due.iter().filter(|wanted| !changes.iter().any(|change| change.name == wanted.name));
    let change = |wanted: &&Wanted| {
        let version = |package: &Package| package.version.clone().map_or(Shown::Unknown, Shown::Plain);
        let before = installed.get(wanted.name).map_or(Shown::Absent, version);
        Change { name: wanted.name.into(), before, after: after.clone() }
    };
    named.map(change).collect()
}
