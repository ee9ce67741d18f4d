//! Services of a host that systemd has not started: scripts in /etc/init.d, links in /etc/rc?.d.
//!
//! Source of the rules: Ansible's `sysvinit` and its `service` for such hosts; what a script's `status` means is in the
//! Linux Standard Base, "Init Script Actions".

use std::path::{Path, PathBuf};

use super::State;
use crate::edit::{Diff, Edit, Reach, Shown};
use crate::host::{Command, Error, Host, Look};
use crate::plan::Plan;

const SCRIPTS: &str = "/etc/init.d";

/// What is wanted of a service.
pub(super) struct Wanted<'a> {
    pub(super) name: &'a str,
    pub(super) state: Option<State>,
    pub(super) enabled: Option<bool>,
    pub(super) arguments: Option<&'a str>,
}

pub(super) fn plan(wanted: &Wanted, host: &dyn Host) -> Result<Plan, Error> {
    let name = wanted.name.strip_suffix(".service").unwrap_or(wanted.name);
    let script = Path::new(SCRIPTS).join(name);
    if host.stat(&script)?.is_none() {
        let error = Error::refused(
            format!("service {name}"),
            "there is no script of that name in /etc/init.d, and systemd has not started this host",
            "install the package that has it",
        );
        return Err(error.telling("msg", format!("Could not find the requested service {}: host", wanted.name)));
    }
    let mut plan = Plan::nothing().returning("name", wanted.name);
    if let Some(enabled) = wanted.enabled
        && enabled != is_enabled(name, host)?
    {
        let word = |on: bool| if on { "enabled" } else { "disabled" };
        let verb = if enabled { "defaults" } else { "disable" };
        let effect = Diff::new(format!("service {name}"), "boot", word(!enabled), word(enabled));
        plan.edits.push(run(Command::new("update-rc.d", [name, verb]), effect, Reach::Stated));
    }
    let Some(state) = wanted.state else { return Ok(plan) };
    let runs = runs(name, host)?;
    let (verbs, after): (&[&str], &str) = match state {
        State::Started if runs => return Ok(plan),
        State::Stopped if !runs => return Ok(plan),
        State::Stopped => (&["stop"], "inactive"),
        State::Started => (&["start"], "active"),
        State::Reloaded if !runs => (&["start"], "active"),
        State::Reloaded => (&["reload"], "reloaded"),
        // Not all scripts know `restart`.
        State::Restarted => (&["stop", "start"], "restarted"),
    };
    let before = Shown::from(if runs { "active" } else { "inactive" });
    let reach = if state == State::Stopped { Reach::Stated } else { Reach::Anything };
    for (at, verb) in verbs.iter().enumerate() {
        let more = wanted.arguments.into_iter().flat_map(str::split_whitespace);
        let command = Command::new(script.to_string_lossy(), std::iter::once(*verb).chain(more));
        let effect = Diff::new(format!("service {name}"), "state", before.clone(), after);
        let mut edit = run(command, effect, reach);
        if at + 1 < verbs.len() {
            // The last one says what comes of it.
            let Edit::Run { effect, .. } = &mut edit else { continue };
            effect.clear();
        }
        plan.edits.push(edit);
    }
    Ok(plan)
}

fn run(command: Command, effect: Diff, reach: Reach) -> Edit {
    Edit::Run { command, effect: vec![effect], makes: Vec::new(), reach, progress: None }
}

/// Whether a runlevel starts it: `/etc/rc2.d/S01cron`.
fn is_enabled(name: &str, host: &dyn Host) -> Look<bool> {
    let level = |path: &PathBuf| {
        let dir = path.file_name().map(|dir| dir.to_string_lossy().into_owned()).unwrap_or_default();
        dir.len() == 5 && dir.starts_with("rc") && dir.ends_with(".d")
    };
    for dir in host.list(Path::new("/etc"))?.into_iter().filter(level) {
        let starts = |path: &PathBuf| {
            let link = path.file_name().map(|link| link.to_string_lossy().into_owned()).unwrap_or_default();
            link.strip_prefix('S').and_then(|rest| rest.get(2..)) == Some(name)
        };
        if host.list(&dir)?.iter().any(starts) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether it runs, by what `service NAME status` prints, which is truer of old scripts than the status it ends with.
fn runs(name: &str, host: &dyn Host) -> Result<bool, Error> {
    let output = host.query(&Command::new("service", [name, "status"]))?;
    let said = output.stdout.to_lowercase().replace(&name.to_lowercase(), "");
    let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if said.matches('\n').count() <= 1 {
        if says(&["stop", "is dead ", "dead but ", "could not access pid file", "inactive"]) {
            return Ok(false);
        }
        if says(&["run", "start", "active"]) && !says(&["not "]) {
            return Ok(true);
        }
    }
    Ok(output.success())
}
