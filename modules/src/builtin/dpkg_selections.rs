//! `dpkg_selections`: what dpkg is to do with a package.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::edit::{Diff, Edit, Reach, Shown};
use crate::host::{Command, Error, Host, Input};
use crate::module::Module;
use crate::param::Word;
use crate::plan::Plan;

/// What is to become of a Debian package, by dpkg(1): that it is held at its version, say. Nothing is installed or removed
/// by that.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DpkgSelections {
    /// The package, which dpkg must know.
    name: Word,
    /// What is to become of it.
    #[schemars(extend("listed" = ["install", "hold", "deinstall", "purge"]))]
    selection: Selection,
}

#[derive(Clone, Copy, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Selection {
    /// It is installed.
    Install,
    /// It stays at its version.
    Hold,
    /// It is removed, but for its settings.
    Deinstall,
    /// It is removed.
    Purge,
}

impl Module for DpkgSelections {
    const NAME: &'static str = "dpkg_selections";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let (name, wanted) = (self.name.0.as_str(), self.selection.word());
        let ask = Command::new("dpkg", ["--get-selections", "--", name]);
        let output = host.query(&ask)?;
        if output.stderr.contains("no packages found matching") {
            let msg = match output.success() {
                true => format!("Failed to find package '{name}' to perform selection '{wanted}'."),
                false => output.stderr.trim_end().to_owned(),
            };
            return Err(Error::param("name", format!("dpkg knows no package `{name}`")).telling("msg", msg));
        }
        if !output.success() {
            return Err(Error::Command { command: ask.to_string(), output: Box::new(output) });
        }
        let now = output.stdout.split_whitespace().nth(1).unwrap_or("not present");
        let plan = Plan::nothing().returning("before", now).returning("after", wanted);
        if now == wanted {
            return Ok(plan);
        }
        let stdin = Some(Input::Plain(format!("{name} {wanted}")));
        let command = Command { stdin, ..Command::new("dpkg", ["--set-selections"]) };
        Ok(plan.with(Edit::run(command, vec![self.diff(now)], Reach::Stated)))
    }

    fn intent(&self) -> Vec<Diff> {
        vec![self.diff(Shown::Unknown)]
    }
}

impl DpkgSelections {
    fn diff(&self, before: impl Into<Shown>) -> Diff {
        Diff::new(format!("package {}", self.name.0), "selection", before, self.selection.word())
    }
}

impl Selection {
    fn word(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::Hold => "hold",
            Self::Deinstall => "deinstall",
            Self::Purge => "purge",
        }
    }
}
