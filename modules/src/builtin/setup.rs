//! `setup`: what kind of host this is.

mod network;
mod platform;
mod python;
mod system;

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::host::{Error, Host};
use crate::module::Module;
use crate::plan::Plan;

/// Facts about the host, as `ansible_facts`: its distribution, names, addresses, memory, clock. Changes nothing. A play that
/// reads a fact gathers them by itself.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Setup {
    /// What to gather: `all`, `min`, `hardware`, `network`, `virtual`; with `!`, what to leave out. `!all` leaves the
    /// minimum. What is smaller than these, such as `distribution`, is in the minimum.
    #[serde(default)]
    gather_subset: Vec<String>,
    /// Return only facts whose names match one of these patterns (`*`, `?`), with or without `ansible_`.
    #[serde(default)]
    filter: Vec<String>,
    /// Where the host's administrator keeps facts of their own, in `*.fact` files: `ansible_local`.
    #[serde(default = "fact_path")]
    fact_path: PathBuf,
    /// How many seconds what may take long has: asking a file system for its size.
    #[serde(default = "gather_timeout")]
    gather_timeout: u32,
}

fn fact_path() -> PathBuf {
    "/etc/ansible/facts.d".into()
}

fn gather_timeout() -> u32 {
    10
}

/// Facts by their names, without `ansible_`.
type Facts = Map<String, Value>;

impl Module for Setup {
    const NAME: &'static str = "setup";
    const ALIASES: &'static [&'static str] = &["gather_facts"];

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let mut facts = Facts::new();
        platform::identity(host, &mut facts)?;
        platform::distribution(host, &mut facts)?;
        platform::clock(host, &mut facts)?;
        python::facts(host, &mut facts)?;
        system::user(host, &mut facts)?;
        system::settings(host, &mut facts)?;
        let mut warnings = Vec::new();
        facts.insert("local".into(), system::local(host, &self.fact_path, &mut warnings)?);
        if self.wants("hardware") {
            platform::hardware(host, &mut facts)?;
            system::mounts(host, self.gather_timeout, &mut facts)?;
        }
        if self.wants("hardware") || self.wants("virtual") {
            system::firmware(host, &mut facts)?;
        }
        if self.wants("network") {
            network::facts(host, &mut facts)?;
        }
        let named = facts.into_iter().filter(|(name, _)| self.passes(name));
        let mut named: Facts = named.map(|(name, value)| (format!("ansible_{name}"), value)).collect();
        let subset = if self.gather_subset.is_empty() { vec!["all".to_owned()] } else { self.gather_subset.clone() };
        // What is filtered is just what was asked for.
        if self.filter.is_empty() {
            named.insert("gather_subset".into(), json!(subset));
            named.insert("module_setup".into(), true.into());
        }
        Ok(Plan { warnings, ..Plan::nothing() }.returning("ansible_facts", named))
    }
}

impl Setup {
    /// What is named alone is gathered alone; what is excluded is not.
    fn wants(&self, subset: &str) -> bool {
        let has = |name: &str| self.gather_subset.iter().any(|listed| listed == name);
        let named = has(subset) || has("all");
        let excluded = has(&format!("!{subset}")) || (has("!all") && !has(subset));
        let others = self.gather_subset.iter().any(|listed| !listed.starts_with('!'));
        !excluded && (named || !others)
    }

    fn passes(&self, name: &str) -> bool {
        let matches = |pattern: &String| matches(pattern.strip_prefix("ansible_").unwrap_or(pattern), name);
        self.filter.is_empty() || self.filter.iter().any(matches)
    }
}

/// Shell-like matching with `*` and `?`.
fn matches(pattern: &str, text: &str) -> bool {
    let (mut chars, mut rest) = (pattern.chars(), text.chars());
    match (chars.next(), rest.next()) {
        (None, None) => true,
        (Some('*'), _) if matches(chars.as_str(), text) => true,
        (Some('*'), Some(_)) => matches(pattern, rest.as_str()),
        (Some('?'), Some(_)) => matches(chars.as_str(), rest.as_str()),
        (Some(wanted), Some(found)) if wanted == found => matches(chars.as_str(), rest.as_str()),
        _ => false,
    }
}

/// A file as text; empty if it is not there.
fn text(host: &dyn Host, path: &str) -> Result<String, Error> {
    let bytes = host.read(std::path::Path::new(path))?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subsets() {
        let table: [(&[&str], bool, bool); 7] = [
            (&[], true, true),
            (&["all"], true, true),
            (&["min"], false, false),
            (&["network"], true, false),
            (&["!hardware"], true, false),
            (&["!all"], false, false),
            (&["!all", "hardware"], false, true),
        ];
        for (subset, network, hardware) in table {
            let setup = Setup {
                gather_subset: subset.iter().map(|s| (*s).into()).collect(),
                filter: Vec::new(),
                fact_path: fact_path(),
                gather_timeout: gather_timeout(),
            };
            assert_eq!((setup.wants("network"), setup.wants("hardware")), (network, hardware), "{subset:?}");
        }
    }

    #[test]
    fn patterns() {
        for (pattern, text, wanted) in [
            ("hostname", "hostname", true),
            ("host*", "hostname", true),
            ("*_mb", "memtotal_mb", true),
            ("*_mb", "memtotal", false),
            ("?dn", "fqdn", false),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, text), wanted, "{pattern} {text}");
        }
    }
}
