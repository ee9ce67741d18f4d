//! `apache2_module`: a module of Debian's Apache.

use schemars::JsonSchema;
use serde::Deserialize;

use super::common;
use super::state::State;
use crate::edit::{Diff, Edit, Reach, Shown};
use crate::host::{Command, Error, Host};
use crate::module::Module;
use crate::param::Word;
use crate::plan::Plan;

/// A module of Apache, by a2enmod(8) and a2dismod(8), which Debian has. The server goes on as it is until it is reloaded.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Apache2Module {
    /// Its name, as a2enmod has it.
    name: Word,
    /// What `apache2ctl -M` calls it; by default that follows from the name.
    identifier: Option<Word>,
    /// Whether a module that Debian wants to keep is disabled, too.
    #[serde(default)]
    force: bool,
    /// Whether it is enabled.
    #[serde(default)]
    state: State,
    /// Whether a configuration that is wrong counts as one without the module, rather than as an error.
    #[serde(default)]
    ignore_configcheck: bool,
    /// Whether it is warned of, then, that there is no module for processes.
    #[serde(default = "common::yes")]
    warn_mpm_absent: bool,
}

impl Module for Apache2Module {
    const NAME: &'static str = "apache2_module";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let name = self.name.0.as_str();
        let (program, word) = match self.state {
            State::Present => ("a2enmod", "enabled"),
            State::Absent => ("a2dismod", "disabled"),
        };
        let control = control(host)?;
        if name == "cgi" && self.state == State::Present {
            let told = host.query(&Command::new(control.as_str(), ["-V"]))?;
            let is_threaded =
                |line: &str| line.trim_start().strip_prefix("threaded:").is_some_and(|rest| rest.trim() == "yes");
            if told.stdout.lines().any(is_threaded) {
                let error = Error::refused("module cgi", "the server has threads", "enable `cgid`");
                let msg = "Your MPM seems to be threaded, therefore enabling cgi module is not allowed.";
                return Err(error.telling("msg", msg));
            }
        }
        let plan = Plan::nothing().returning("result", format!("Module {name} {word}"));
        let (is_enabled, warnings) = self.is_enabled(&control, host)?;
        let plan = Plan { warnings, ..plan };
        if is_enabled == (self.state == State::Present) {
            return Ok(plan);
        }
        let path = common::whole_path(host, program)?;
        if !path.starts_with('/') {
            let error = Error::Unsupported(format!("this host has no {program}: it is for Debian's Apache"));
            let msg = format!("{program} not found. Perhaps this system does not use {program} to manage apache");
            return Err(error.telling("msg", msg));
        }
        let force = (self.force && self.state == State::Absent).then_some("-f");
        let command = Command::new(path, force.into_iter().chain([name]));
        let before = if is_enabled { "enabled" } else { "disabled" };
        Ok(plan.with(Edit::run(command, vec![self.diff(before, word)], Reach::Anything)))
    }

    fn lament(&self, error: &Error) -> Option<String> {
        let Error::Command { output, .. } = error else { return None };
        let word = if self.state == State::Present { "enabled" } else { "disabled" };
        Some(format!(
            "Failed to set module {} to {word}:\n{}\nMaybe the module identifier ({}) was guessed incorrectly.Consider setting the \
             \"identifier\" option.",
            self.name.0,
            output.stdout.trim_end(),
            self.identifier()
        ))
    }

    fn intent(&self) -> Vec<Diff> {
        let after = if self.state == State::Present { "enabled" } else { "disabled" };
        vec![self.diff(Shown::Unknown, after)]
    }
}

impl Apache2Module {
    fn diff(&self, before: impl Into<Shown>, after: impl Into<Shown>) -> Diff {
        Diff::new(format!("Apache module {}", self.name.0), "state", before, after)
    }

    /// What `apache2ctl -M` calls it.
    fn identifier(&self) -> String {
        let name = self.name.0.as_str();
        if let Some(Word(given)) = self.identifier.as_ref().filter(|given| !given.0.is_empty()) {
            return given.clone();
        }
        // `php8.2` is `php_module`, `php7.4` is `php7_module`.
        let php = name.strip_prefix("php").and_then(|rest| rest.chars().next()).filter(char::is_ascii_digit);
        match (name, php) {
            (name, _) if name.contains("shib") => "mod_shib".into(),
            (name, _) if name.contains("evasive") => "evasive20_module".into(),
            (name, Some(_)) if name.contains("php8") => "php_module".into(),
            (name, Some(digit)) if name[4..].starts_with('.') => format!("php{digit}_module"),
            (name, _) => format!("{name}_module"),
        }
    }

    fn is_enabled(&self, control: &str, host: &dyn Host) -> Result<(bool, Vec<String>), Error> {
        let ask = Command::new(control, ["-M"]);
        let output = host.query(&ask)?;
        if output.success() {
            return Ok((output.stdout.contains(&format!(" {}", self.identifier())), Vec::new()));
        }
        let msg = format!("Error executing {control}: {}", output.stderr);
        if !self.ignore_configcheck {
            return Err(Error::Command { command: ask.to_string(), output: Box::new(output) }.telling("msg", msg));
        }
        let warning = match output.stderr.contains("AH00534") && self.name.0.contains("mpm_") {
            true if self.warn_mpm_absent => Some(
                "No MPM module loaded! apache2 reload AND other module actions will fail if no MPM module is loaded immediately."
                    .to_owned(),
            ),
            true => None,
            false => Some(msg),
        };
        Ok((false, warning.into_iter().collect()))
    }
}

fn control(host: &dyn Host) -> Result<String, Error> {
    for name in ["apache2ctl", "apachectl"] {
        let path = common::whole_path(host, name)?;
        if path.starts_with('/') {
            return Ok(path);
        }
    }
    let msg = "Neither of apache2ctl nor apachectl found. At least one apache control binary is necessary.";
    Err(Error::Unsupported("this host has no apache2ctl: install Apache by an earlier task".into()).telling("msg", msg))
}
