//! `npm`: packages of Node.js.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::common;
use crate::edit::{Diff, Edit, Reach, Shown};
use crate::host::{Command, Error, Host};
use crate::module::Module;
use crate::param::Word;
use crate::plan::Plan;

/// A package of Node.js, by npm(1), for all users or below a directory; without `name`, all that the directory's `package.json`
/// wants.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Npm {
    /// The package.
    name: Option<Word>,
    /// Where it is installed, unless it is for all users. A directory that is not there is made.
    path: Option<PathBuf>,
    /// Its version; the newest by default.
    version: Option<Word>,
    /// Whether it is for all users.
    #[serde(default, rename = "global")]
    for_all: bool,
    /// The program, and options that go before all others.
    executable: Option<Word>,
    /// Whether scripts of packages are left alone.
    #[serde(default)]
    ignore_scripts: bool,
    /// Whether scripts of packages run as the user that npm runs as.
    #[serde(default)]
    unsafe_perm: bool,
    /// Whether what the lock file says is installed afresh (`npm ci`), always.
    #[serde(default)]
    ci: bool,
    /// Whether what is only for development is left out.
    #[serde(default)]
    production: bool,
    /// Where packages come from.
    registry: Option<Word>,
    /// Whether it is installed, and in the newest version that fits.
    #[serde(default)]
    state: State,
    /// Whether what is optional is left out.
    #[serde(default)]
    no_optional: bool,
    /// Whether no links to its programs are made.
    #[serde(default)]
    no_bin_links: bool,
    /// Whether npm is told to go on where it would not.
    #[serde(default)]
    force: bool,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum State {
    /// Installed.
    #[default]
    Present,
    /// Not installed.
    Absent,
    /// Installed, in the newest version.
    Latest,
}

impl Module for Npm {
    const NAME: &'static str = "npm";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        if self.path.is_none() && !self.for_all {
            let error = Error::param("path", "is missing: where, if not for all users (`global`)?");
            return Err(error.telling("msg", "path must be specified when not using global"));
        }
        if self.state == State::Absent && self.name.is_none() {
            let error = Error::param("name", "is missing: which package?");
            return Err(error.telling("msg", "state is absent but all of the following are missing: name"));
        }
        let program = self.program(host)?;
        let mut edits = Vec::new();
        if let Some(path) = self.path.as_ref().filter(|_| self.state != State::Absent)
            && host.stat(path)?.is_none()
        {
            edits.extend(common::parents(host, &path.join("package"))?);
        }
        let found = if self.ci { Found::default() } else { self.look(&program, host)? };
        let mut act = |verb: &str, before: Shown, after: Shown| {
            let command = self.command(&program, &[verb], true);
            edits.push(Edit::run(command, vec![self.diff(before, after)], Reach::Anything));
        };
        match self.state {
            _ if self.ci => act("ci", Shown::Unknown, "as the lock file says".into()),
            State::Absent if found.version.is_some() => act("uninstall", found.version.into(), Shown::Absent),
            State::Absent => {}
            State::Present | State::Latest => {
                if found.is_missing {
                    act("install", found.version.clone().into(), self.wanted());
                } else if self.state == State::Latest && self.is_outdated(&program, host)? {
                    act("update", found.version.into(), Shown::Unknown);
                }
            }
        }
        Ok(Plan { edits, ..Plan::nothing() })
    }

    fn converges(&self) -> bool {
        !self.ci
    }

    /// What npm complains of.
    fn lament(&self, error: &Error) -> Option<String> {
        match error {
            Error::Command { output, .. } => Some(output.stderr.trim_end().to_owned()),
            _ => None,
        }
    }

    fn intent(&self) -> Vec<Diff> {
        let after = match self.state {
            State::Absent => Shown::Absent,
            _ if self.ci => "as the lock file says".into(),
            _ => self.wanted(),
        };
        vec![self.diff(Shown::Unknown, after)]
    }
}

/// What `npm list` knows.
#[derive(Default)]
struct Found {
    /// The package's version, if it is there in any.
    version: Option<String>,
    /// Whether anything that is wanted is not there.
    is_missing: bool,
}

impl Npm {
    /// The program, and the options that go before all others.
    fn program(&self, host: &dyn Host) -> Result<Vec<String>, Error> {
        if let Some(Word(executable)) = &self.executable {
            return Ok(executable.split_whitespace().map(str::to_owned).collect());
        }
        let found = common::whole_path(host, "npm")?;
        if found.starts_with('/') {
            return Ok(vec![found]);
        }
        let error = Error::Unsupported("this host has no npm: install it by an earlier task".into());
        Err(error.telling("msg", "Failed to find required executable \"npm\" in paths"))
    }

    fn command(&self, program: &[String], verb: &[&str], with_name: bool) -> Command {
        let mut args: Vec<String> = program[1..].to_vec();
        args.extend(verb.iter().map(|&word| word.to_owned()));
        let building = ["install", "update", "ci"].contains(&verb[0]);
        let flags = [
            (self.for_all, "--global"),
            (self.production && building, "--production"),
            (self.ignore_scripts, "--ignore-scripts"),
            (self.unsafe_perm, "--unsafe-perm"),
        ];
        let given = |flags: &[(bool, &str)]| -> Vec<String> {
            flags.iter().filter(|(given, _)| *given).map(|(_, flag)| (*flag).to_owned()).collect()
        };
        args.extend(given(&flags));
        if let Some(Word(name)) = self.name.as_ref().filter(|_| with_name) {
            args.push(match self.version.as_ref().filter(|_| self.state != State::Absent) {
                Some(Word(version)) => format!("{name}@{version}"),
                None => name.clone(),
            });
        }
        args.extend(self.registry.iter().flat_map(|Word(registry)| ["--registry".to_owned(), registry.clone()]));
        let flags =
            [(self.no_optional, "--no-optional"), (self.no_bin_links, "--no-bin-links"), (self.force, "--force")];
        args.extend(given(&flags));
        Command { cwd: self.path.clone(), ..Command::new(program[0].as_str(), args) }
    }

    /// npm ends with a status of failure where anything is missing, and tells of it all the same.
    fn look(&self, program: &[String], host: &dyn Host) -> Result<Found, Error> {
        let missing = Found { version: None, is_missing: true };
        if let Some(path) = &self.path
            && host.stat(path)?.is_none()
        {
            return Ok(missing);
        }
        let command = self.command(program, &["list", "--json", "--long"], false);
        let output = host.query(&command)?;
        let told = if output.stdout.trim().is_empty() { "{}" } else { output.stdout.as_str() };
        let told: Value = serde_json::from_str(told).map_err(|error| {
            Error::Failed(format!("`{command}` printed no JSON: {error}"))
                .telling("msg", format!("Failed to parse NPM output with error {error}"))
        })?;
        let Some(all) = told["dependencies"].as_object() else { return Ok(missing) };
        let good = |one: &Value| ["missing", "invalid"].iter().all(|word| !truthy(&one[*word]));
        let mut is_missing = !all.values().all(good);
        let own = self.name.as_ref().and_then(|Word(name)| all.get(name)).filter(|one| good(one));
        let version = own.map(|one| one["version"].as_str().unwrap_or_default().to_owned());
        is_missing |= match (&self.name, &self.version) {
            (Some(_), Some(Word(wanted))) => version.as_ref() != Some(wanted),
            (Some(_), None) => version.is_none(),
            (None, _) => false,
        };
        Ok(Found { version, is_missing })
    }

    fn is_outdated(&self, program: &[String], host: &dyn Host) -> Result<bool, Error> {
        Ok(!host.query(&self.command(program, &["outdated"], true))?.stdout.trim().is_empty())
    }

    fn wanted(&self) -> Shown {
        match (&self.name, &self.version) {
            (None, _) => "as package.json says".into(),
            (Some(_), Some(Word(version))) => version.as_str().into(),
            (Some(_), None) => Shown::Unknown,
        }
    }

    fn diff(&self, before: impl Into<Shown>, after: impl Into<Shown>) -> Diff {
        let name = self.name.as_ref().map_or("packages", |Word(name)| name.as_str());
        let place = self.path.as_ref().filter(|_| !self.for_all).map(|path| format!(" in {}", path.display()));
        Diff::new(format!("npm {name}{}", place.unwrap_or_default()), "version", before, after)
    }
}

/// npm says in a word or in a text that something is wrong.
fn truthy(value: &Value) -> bool {
    !matches!(value, Value::Null | Value::Bool(false)) && value.as_str() != Some("")
}
