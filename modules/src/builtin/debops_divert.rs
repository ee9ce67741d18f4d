//! `debops_divert`: a diversion as the collection `debops.debops` has it.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::common;
use super::dpkg_divert::{Diversion, tested};
use super::state::State;
use crate::edit::{Diff, Edit, Reach, Shown};
use crate::host::{Command, Error, Host};
use crate::interpret::Applied;
use crate::module::Module;
use crate::param::Word;
use crate::plan::{Data, Plan};

/// A diversion of dpkg-divert(1) as `debops.debops.dpkg_divert` has it: the file goes along unless `rename` says no, and the
/// place of a local one is `path.dpkg-divert`. Of others, see `dpkg_divert`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DebopsDivert {
    /// The file.
    #[schemars(extend("aliases" = ["name"]))]
    path: PathBuf,
    /// Whether it is diverted.
    #[serde(default)]
    state: State,
    /// The package whose version stays where it is; `LOCAL` is that of no package.
    #[serde(default = "local")]
    package: Word,
    /// Where the others go; `path.dpkg-divert` by default, and `path.distrib` of a package's.
    divert: Option<PathBuf>,
    /// Whether the file that is there goes along, or comes back.
    #[serde(default = "common::yes")]
    rename: bool,
    /// With `state: absent`: whether the file that is in the place of the diverted one is removed.
    #[serde(default)]
    delete: bool,
    /// Whether a diversion to elsewhere, or of another's, is changed.
    #[serde(default)]
    force: bool,
}

fn local() -> Word {
    Word("LOCAL".into())
}

impl Module for DebopsDivert {
    const NAME: &'static str = "debops_divert";
    const ALIASES: &'static [&'static str] = &["debops.debops.dpkg_divert"];

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let now = Diversion::of(host, &self.path)?;
        let command = self.command();
        let output = host.query(&tested(&command))?;
        let path = self.path.display().to_string();
        let effect = |state: State| {
            let (before, after) = match state {
                State::Present => (Shown::from(now.is_there().then_some("elsewhere")), Shown::from(self.target())),
                State::Absent => (Shown::from(self.target()), Shown::Absent),
            };
            vec![Diff::new(format!("diversion of {path}"), "target", before, after)]
        };
        let mut plan = Plan::nothing().returning("cmd", line(&command));
        if output.success() || !self.force || !now.is_there() {
            let is_nothing = ["Leaving", "No diversion"].iter().any(|begin| output.stdout.starts_with(begin));
            if output.success() && is_nothing {
                plan.data.extend(common::said(&output));
                return Ok(plan);
            }
            let own = host.stat(&self.path)?.filter(|_| self.delete && self.state == State::Absent && now.is_there());
            if !output.success() && own.is_none() {
                return Err(Error::Command { command: command.to_string(), output: Box::new(output) });
            }
            plan.edits.extend(own.map(|own| Edit::Remove { path: self.path.clone(), before: own.kind }));
            plan.edits.push(Edit::run(command, effect(self.state), Reach::Anything));
            return Ok(plan);
        }
        let rename = if self.rename { ["--rename"].as_slice() } else { &["--no-rename"] };
        let remove = Command::new("dpkg-divert", rename.iter().copied().chain(["--remove", &path]));
        if self.state == State::Absent {
            let plan = plan.returning("cmd", line(&remove));
            return Ok(plan.with(Edit::run(remove, effect(State::Absent), Reach::Anything)));
        }
        plan.edits.push(Edit::run(remove, Vec::new(), Reach::Stated));
        Ok(plan.with(Edit::run(command, effect(State::Present), Reach::Anything)))
    }

    fn intent(&self) -> Vec<Diff> {
        let after = (self.state == State::Present).then(|| self.target());
        vec![Diff::new(format!("diversion of {}", self.path.display()), "target", Shown::Unknown, after)]
    }

    fn report(&self, applied: &Applied) -> Data {
        applied.outputs.last().map(common::said).unwrap_or_default()
    }
}

impl DebopsDivert {
    fn target(&self) -> String {
        let suffix = if self.package.0 == "LOCAL" { ".dpkg-divert" } else { ".distrib" };
        let path = || format!("{}{suffix}", self.path.display());
        self.divert.as_ref().map_or_else(path, |divert| divert.display().to_string())
    }

    fn command(&self) -> Command {
        let mut args = match self.package.0.as_str() {
            "LOCAL" => vec!["--local".to_owned()],
            package => vec!["--package".to_owned(), package.to_owned()],
        };
        args.extend(["--divert".into(), self.target()]);
        args.push(if self.rename { "--rename" } else { "--no-rename" }.into());
        args.push(if self.state == State::Present { "--add" } else { "--remove" }.into());
        args.push(self.path.display().to_string());
        Command::new("dpkg-divert", args)
    }
}

/// As the collection tells it.
fn line(command: &Command) -> String {
    format!("/usr/bin/env LC_ALL=C /usr/bin/{command}")
}
