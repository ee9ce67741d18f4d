//! `tempfile`: a new temporary file or directory.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::edit::{Diff, Edit, Reach, Shown};
use crate::host::{Command, Error, Host};
use crate::interpret::Applied;
use crate::module::Module;
use crate::plan::{Data, Plan};

/// Makes a temporary file or directory that nobody else can read, and registers its `path`. A new one each time; who
/// needs it no longer removes it by a `file` task that says `state: absent`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Tempfile {
    /// What to make.
    #[serde(default)]
    #[schemars(extend("listed" = ["file", "directory"]))]
    state: State,
    /// The directory to make it in; that of the host for temporary files by default.
    path: Option<PathBuf>,
    /// What its name starts with.
    #[serde(default = "prefix")]
    prefix: String,
    /// What its name ends with.
    #[serde(default)]
    suffix: String,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum State {
    /// A file, `"0600"`.
    #[default]
    File,
    /// A directory, `"0700"`.
    Directory,
}

fn prefix() -> String {
    "ansible.".into()
}

impl Module for Tempfile {
    const NAME: &'static str = "tempfile";
    const CONVERGES: bool = false;

    fn plan(&self, _host: &dyn Host) -> Result<Plan, Error> {
        for (name, part) in [("prefix", &self.prefix), ("suffix", &self.suffix)] {
            if part.contains('/') {
                let error = Error::param(name, format!("`{part}` must not have a `/`; give the directory as `path`"));
                return Err(error.telling("msg", format!("{name} must be a valid file name component, got '{part}'")));
            }
        }
        let mut args = vec![match &self.path {
            Some(path) => format!("--tmpdir={}", path.display()),
            None => "--tmpdir".into(),
        }];
        if self.state == State::Directory {
            args.push("--directory".into());
        }
        args.extend([format!("--suffix={}", self.suffix), "--".into(), format!("{}XXXXXXXX", self.prefix)]);
        let command = Command::new("mktemp", args);
        let (effect, reach) = (self.intent(), Reach::Stated);
        let plan = Plan::nothing().with(Edit::run(command, effect, reach));
        let (state, mode) = self.made();
        Ok(plan.returning("state", state).returning("mode", mode))
    }

    fn intent(&self) -> Vec<Diff> {
        vec![Diff::new("temporary path", "state", Shown::Absent, self.made().0)]
    }

    fn report(&self, applied: &Applied) -> Data {
        let printed = applied.outputs.last().map(|output| output.stdout.trim_end());
        printed.map(|path| ("path".to_owned(), json!(path))).into_iter().collect()
    }
}

impl Tempfile {
    fn made(&self) -> (&'static str, &'static str) {
        match self.state {
            State::File => ("file", "0600"),
            State::Directory => ("directory", "0700"),
        }
    }
}
