//! What apt-get says and is told.

use std::path::Path;

use crate::builtin::common::said;
use crate::edit::{Diff, Edit, Reach, Shown};
use crate::facts::{Fact, Package};
use crate::host::{Command, Error, Host, Output};

use super::wanted::Wanted;

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

/// What apt-get says that it would do.
#[derive(Default)]
pub(super) struct Simulated {
    pub(super) changes: Vec<Change>,
    pub(super) output: Output,
}

/// Asks apt-get what it would do; the error is what it said instead.
pub(super) fn simulate(command: &Command, host: &dyn Host) -> Result<Result<Simulated, Output>, Error> {
    let mut simulation = command.clone();
    // Else even a simulation leaves /var/log/apt/eipp.log.xz behind (apt.conf(5), Dir::Log::Planner).
    simulation.args.splice(0..0, ["--simulate".into(), "--option=Dir::Log::Planner=/dev/null".into()]);
    let output = host.query(&simulation)?;
    if !output.success() {
        return Ok(Err(output));
    }
    Ok(Ok(Simulated { changes: output.stdout.lines().filter_map(change).collect(), output }))
}

/// A line of a simulation: `Inst nginx [1.18] (1.22 Debian:12/stable [amd64])`, `Remv nginx [1.18]`, `Purg nginx [1.18]`,
/// `Del nginx 1.18 [60 kB]` of an archive.
fn change(line: &str) -> Option<Change> {
    let (action, rest) = line.split_once(' ')?;
    if action == "Del" {
        let (name, rest) = rest.split_once(' ')?;
        let version = rest.split(' ').next()?;
        return Some(Change { name: format!("archive {name}"), before: version.into(), after: Shown::Absent });
    }
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

fn is_archive(change: &Change) -> bool {
    change.name.starts_with("archive ")
}

pub(super) fn change_edit(command: Command, changes: &[Change]) -> Edit {
    let diff = |change: &Change| {
        let name = &change.name;
        let subject = if is_archive(change) { name.clone() } else { format!("package {name}") };
        Diff::new(subject, "version", change.before.clone(), change.after.clone())
    };
    let fact = |change: &Change| match &change.after {
        Shown::Absent => Fact::NoPackage(change.name.clone()),
        Shown::Plain(version) => Fact::Package(Package { name: change.name.clone(), version: Some(version.clone()) }),
        _ => Fact::Package(Package { name: change.name.clone(), version: None }),
    };
    Edit::Run {
        command,
        effect: changes.iter().map(diff).collect(),
        makes: changes.iter().filter(|change| !is_archive(change)).map(fact).collect(),
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

/// How [`summary`] begins where there was nothing to do.
pub(super) const IDLE: &str = "0 upgraded, 0 newly installed, 0 to remove";

/// The line in which apt-get says how much it does: `1 upgraded, 2 newly installed, 0 to remove and 3 not upgraded.`
pub(super) fn summary(output: &Output) -> Option<&str> {
    output.stdout.lines().find(|line| line.contains(" upgraded, ") && line.contains(" newly installed, "))
}

/// Of `apt-get update`: whether any list was fetched, rather than found to be the newest. `None` of any other program.
pub(super) fn fetched_lists(output: &Output) -> Option<bool> {
    let mut answers =
        output.stdout.lines().filter(|line| ["Hit:", "Get:", "Ign:"].contains(&line.get(..4).unwrap_or("")));
    let first = answers.next()?;
    let names = [" Packages", " Sources", " Translation-", " Contents-", " Components-"];
    let is_list = |line: &str| {
        // Of a directory of this machine, what says which lists there are is fetched each time.
        let of_all = line.contains(" InRelease") && !line.contains(" file:");
        line.starts_with("Get:") && (of_all || names.iter().any(|name| line.contains(name)))
    };
    Some(is_list(first) || answers.any(is_list))
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

/// What Ansible says is of the first package named that can't be had.
pub(super) fn refused(command: &Command, due: &[&Wanted], output: Output) -> Error {
    let says = |name: &str| {
        let forms = [
            format!("Unable to locate package {name}"),
            format!("Package '{name}' has no installation candidate"),
            format!("for '{name}' was not found"),
        ];
        output.stderr.lines().any(|line| forms.iter().any(|form| line.ends_with(form.as_str())))
    };
    let Some(unknown) = due.iter().find(|wanted| says(wanted.name)) else {
        let told = said(&output);
        let error = Error::Command { command: command.to_string(), output: Box::new(output) };
        return told.into_iter().fold(error, |error, (name, value)| error.telling(&name, value));
    };
    Error::refused(
        format!("package {}", unknown.name),
        if unknown.asked() == unknown.name {
            "apt knows no package of that name"
        } else {
            "apt knows no such version of it"
        },
        "refresh the lists with `update_cache: true`, or add the repository that has it",
    )
    .telling("msg", unknown.none())
}
