//! `dpkg_divert`: where a package's version of a file goes instead.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::common;
use super::state::State;
use crate::edit::{Diff, Edit, Reach, Shown};
use crate::host::{Command, Error, Host, Look};
use crate::interpret::Applied;
use crate::module::Module;
use crate::param::Word;
use crate::plan::{Data, Plan};

/// A diversion of dpkg-divert(1): a package's version of a file is installed elsewhere. Registers `diversion`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DpkgDivert {
    /// The file.
    path: PathBuf,
    /// Whether it is diverted.
    #[serde(default)]
    state: State,
    /// The package whose version stays where it is; that of no package by default.
    holder: Option<Word>,
    /// Where the others go; `path.distrib` by default.
    divert: Option<PathBuf>,
    /// Whether the file that is there goes along, or comes back.
    #[serde(default)]
    rename: bool,
    /// Whether a file that is in the way is removed.
    #[serde(default)]
    force: bool,
}

/// What dpkg knows of a file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Diversion {
    path: String,
    /// The holder, and where it goes.
    to: Option<(String, String)>,
}

impl Module for DpkgDivert {
    const NAME: &'static str = "dpkg_divert";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let before = Diversion::of(host, &self.path)?;
        let program = common::whole_path(host, "dpkg-divert")?;
        let wanted = Diversion { to: self.wanted(), ..before.clone() };
        let command = self.command(self.rename, &wanted);
        let line = |command: &Command| command.to_string().replacen("dpkg-divert", &program, 1);
        let effect = vec![before.diff(&wanted)];
        if before == wanted {
            let messages = [common::asked(host, &tested(&command))?.trim_end().to_owned()];
            let plan = Plan::nothing().returning("commands", json!([line(&command)]));
            return Ok(plan.returning("messages", json!(messages)).returning("diversion", before.told()));
        }
        let mut plan = Plan::nothing().returning("diversion", wanted.told());
        match (&before.to, &wanted.to) {
            // dpkg-divert changes none: it goes and comes again.
            (Some((_, old)), Some((_, new))) => {
                let remove = Command::new("dpkg-divert", ["--no-rename", "--remove", &before.path]);
                let add = self.command(false, &wanted);
                plan = plan.returning("commands", json!([line(&remove), line(&self.command(false, &wanted))]));
                plan.edits.push(Edit::run(remove, Vec::new(), Reach::Stated));
                plan.edits.push(Edit::run(add, effect, Reach::Anything));
                let there = |path: &str| Ok::<_, Error>(host.stat(Path::new(path))?.is_some());
                if old != new && there(old)? && !there(new)? {
                    plan.edits.push(Edit::Rename { from: old.into(), to: new.into() });
                }
            }
            _ => {
                plan = plan.returning("commands", json!([line(&command)]));
                plan.edits.extend(self.room(host, &before, &wanted, &command)?);
                plan.edits.push(Edit::run(command, effect, Reach::Anything));
            }
        }
        Ok(plan)
    }

    fn intent(&self) -> Vec<Diff> {
        let after = self.wanted().map(|(_, divert)| divert);
        vec![Diff::new(format!("diversion of {}", self.path.display()), "target", Shown::Unknown, after)]
    }

    fn report(&self, applied: &Applied) -> Data {
        if applied.outputs.is_empty() {
            return Data::new();
        }
        let messages: Vec<&str> = applied.outputs.iter().map(|output| output.stdout.trim_end()).collect();
        Data::from_iter([("messages".to_owned(), json!(messages))])
    }

    fn aftermath(&self, host: &dyn Host) -> Look<Data> {
        Ok(Data::from_iter([("diversion".to_owned(), Diversion::of(host, &self.path)?.told())]))
    }
}

impl DpkgDivert {
    fn wanted(&self) -> Option<(String, String)> {
        let holder = self.holder.as_ref().map_or("LOCAL", |Word(holder)| holder.as_str());
        let divert = self.divert.clone().unwrap_or_else(|| {
            let mut path = self.path.clone().into_os_string();
            path.push(".distrib");
            path.into()
        });
        (self.state == State::Present).then(|| (holder.to_owned(), divert.display().to_string()))
    }

    fn command(&self, rename: bool, wanted: &Diversion) -> Command {
        let mut args = vec![if rename { "--rename" } else { "--no-rename" }.to_owned()];
        match &wanted.to {
            None => args.push("--remove".into()),
            Some((holder, divert)) => {
                match holder.as_str() {
                    "LOCAL" => args.push("--local".into()),
                    holder => args.extend(["--package".into(), holder.into()]),
                }
                if self.divert.is_some() {
                    args.extend(["--divert".into(), divert.clone()]);
                }
                args.push("--add".into());
            }
        }
        args.push(wanted.path.clone());
        Command::new("dpkg-divert", args)
    }

    /// A file that is in the way goes, with `force`.
    fn room(
        &self,
        host: &dyn Host,
        before: &Diversion,
        wanted: &Diversion,
        command: &Command,
    ) -> Result<Option<Edit>, Error> {
        let output = host.query(&tested(command))?;
        if output.success() {
            return Ok(None);
        }
        let target = wanted.to.as_ref().or(before.to.as_ref()).map(|(_, divert)| PathBuf::from(divert));
        let (path, target) = (self.path.clone(), target.unwrap_or_default());
        let there = |path: &Path| host.stat(path);
        let told = |error: Error, msg: &str| {
            let stderr = output.stderr.clone();
            error.telling("msg", msg).telling("rc", output.status).telling("stderr", stderr)
        };
        let (Some(own), Some(other), true) = (there(&path)?, there(&target)?, self.rename) else {
            let error = Error::Command { command: command.to_string(), output: Box::new(output.clone()) };
            return Err(told(error, "Unexpected error while changing state of the diversion."));
        };
        if !self.force {
            let reason = format!("both it and {} exist, and `rename` would lose one", target.display());
            let error = Error::refused(path.display().to_string(), reason, "say `force: true` to lose it");
            return Err(told(error, "Set 'force' param to True to force renaming of files."));
        }
        let (path, before) = if wanted.to.is_some() { (target, other.kind) } else { (path, own.kind) };
        Ok(Some(Edit::Remove { path, before }))
    }
}

/// The same, with nothing done.
pub(super) fn tested(command: &Command) -> Command {
    let mut command = command.clone();
    command.args.insert(0, "--test".into());
    command
}

impl Diversion {
    pub(super) fn of(host: &dyn Host, path: &Path) -> Result<Self, Error> {
        let path = path.display().to_string();
        let ask = |what: &str| common::asked(host, &Command::new("dpkg-divert", [what, &path]));
        let holder = ask("--listpackage")?.trim_end().to_owned();
        let to = match holder.is_empty() {
            true => None,
            false => Some((holder, ask("--truename")?.trim_end().to_owned())),
        };
        Ok(Self { path, to })
    }

    pub(super) fn is_there(&self) -> bool {
        self.to.is_some()
    }

    fn diff(&self, wanted: &Self) -> Diff {
        let shown = |to: &Option<(String, String)>| to.as_ref().map(|(holder, divert)| format!("{divert} ({holder})"));
        Diff::new(format!("diversion of {}", self.path), "target", shown(&self.to), shown(&wanted.to))
    }

    fn told(&self) -> Value {
        let (holder, divert) = self.to.clone().unzip();
        let state = if self.is_there() { "present" } else { "absent" };
        json!({"path": self.path, "state": state, "divert": divert, "holder": holder})
    }
}
