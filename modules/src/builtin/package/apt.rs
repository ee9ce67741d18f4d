//! What apt-get says and is told.

use std::path::Path;

use crate::edit::{Diff, Edit, Reach, Shown};
use crate::facts::{Fact, Package};
use crate::host::{Command, Error, Host, Output};

/// Written by the update, as Debian's update-notifier does it: the lists' own times don't change if nothing is new.
const STAMP: &str = "/var/lib/apt/periodic/update-success-stamp";
const LISTS: &str = "/var/lib/apt/lists";

/// What apt-get would do to one package.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Change {
    pub(super) name: String,
    pub(super) before: Shown,
    pub(super) after: Shown,
}

/// Asks apt-get what it would do; the error is what it said instead.
pub(super) fn simulate(command: &Command, host: &dyn Host) -> Result<Result<Vec<Change>, Output>, Error> {
    let mut simulation = command.clone();
    // Else even a simulation leaves /var/log/apt/eipp.log.xz behind (apt.conf(5), Dir::Log::Planner).
    simulation.args.splice(0..0, ["--simulate".into(), "--option=Dir::Log::Planner=/dev/null".into()]);
    let output = host.query(&simulation)?;
    if !output.success() {
        return Ok(Err(output));
    }
    Ok(Ok(output.stdout.lines().filter_map(change).collect()))
}

/// A line of a simulation: `Inst nginx [1.18] (1.22 Debian:12/stable [amd64])`, `Remv nginx [1.18]`, `Purg nginx [1.18]`.
fn change(line: &str) -> Option<Change> {
    let (action, rest) = line.split_once(' ')?;
    let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let before = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let (before, rest) = before.map_or((Shown::Absent, rest), |(before, rest)| (before.into(), rest.trim_start()));
    let after = match action {
        "Inst" => Shown::Plain(rest.strip_prefix('(')?.split([' ', ')']).next()?.to_owned()),
        "Remv" | "Purg" => Shown::Absent,
        _ => return None,
    };
    Some(Change { name: name.into(), before, after })
}

pub(super) fn change_edit(command: Command, changes: &[Change]) -> Edit {
    let diff = |change: &Change| {
        Diff::new(format!("package {}", change.name), "version", change.before.clone(), change.after.clone())
    };
    let fact = |change: &Change| match &change.after {
        Shown::Absent => Fact::NoPackage(change.name.clone()),
        Shown::Plain(version) => Fact::Package(Package { name: change.name.clone(), version: Some(version.clone()) }),
        _ => Fact::Package(Package { name: change.name.clone(), version: None }),
    };
    Edit::Run {
        command,
        effect: changes.iter().map(diff).collect(),
        makes: changes.iter().map(fact).collect(),
        reach: Reach::Anything,
        progress: None,
    }
}

/// Refreshes the lists. A list that can't be fetched is a failure here, which for apt-get it is not by itself.
pub(in crate::builtin) fn update_edit() -> Edit {
    let args = [
        "--quiet".into(),
        "--option=APT::Update::Error-Mode=any".into(),
        "--option=DPkg::Lock::Timeout=120".into(),
        format!("--option=APT::Update::Post-Invoke-Success::=touch {STAMP}"),
        "update".into(),
    ];
    Edit::Run {
        command: Command::new("apt-get", args).env("DEBIAN_FRONTEND", "noninteractive"),
        effect: vec![Diff::new("package lists", "state", "outdated", "refreshed")],
        makes: Vec::new(),
        reach: Reach::Stated,
        progress: None,
    }
}

/// When the lists were last refreshed, in seconds since 1970; `None` if there are none.
pub(super) fn last_update(host: &dyn Host) -> Result<Option<i64>, Error> {
    let lists = Path::new(LISTS);
    let Some(dir) = host.stat(lists)? else { return Ok(None) };
    let is_list = |path: &Path| path.to_string_lossy().ends_with("Release");
    if !host.list(lists)?.iter().any(|path| is_list(path)) {
        return Ok(None);
    }
    let stamp = host.stat(Path::new(STAMP))?.map(|stamp| stamp.mtime);
    Ok(Some(stamp.map_or(dir.mtime, |stamp| stamp.max(dir.mtime))))
}

pub(super) fn refused(command: &Command, output: Output) -> Error {
    let unknown =
        output.stderr.lines().find_map(|line| line.split_once("Unable to locate package ")).map(|(_, name)| name);
    match unknown {
        Some(name) => Error::refused(
            format!("package {name}"),
            "apt knows no package of that name",
            "refresh the lists with `update_cache: true`, or add the repository that has it",
        )
        .telling("msg", format!("No package matching '{name}' is available")),
        None => Error::Command { command: command.to_string(), output: Box::new(output) },
    }
}
