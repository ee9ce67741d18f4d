//! `shell`: a line of shell.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::command::{self, Run};
use crate::edit::Diff;
use crate::host::{Command, Error, Host};
use crate::interpret::Applied;
use crate::module::Module;
use crate::param::{Content, Word};
use crate::plan::{Data, Plan};

/// Runs a line of shell. Registers `rc`, `stdout`, `stderr`, their lines, `cmd`, `msg`, and `start`, `end` (UTC) and
/// `delta`. It runs each time, and what it
/// changes can't be previewed, unless `creates` or `removes` says when not.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Shell {
    /// The line. Must not be given a secret: hand one over by `stdin` or the task's `environment`.
    #[schemars(extend("aliases" = ["_raw_params"]))]
    cmd: Word,
    /// The shell.
    #[serde(default = "sh")]
    executable: String,
    /// A path that the line makes: nothing is run if it exists.
    creates: Option<PathBuf>,
    /// A path that the line removes: nothing is run if it does not exist.
    removes: Option<PathBuf>,
    /// The directory to run in; by default that of the connection, which is the user's home, or here the present one.
    chdir: Option<PathBuf>,
    /// What the line reads. May be secret: then what it prints is withheld.
    stdin: Option<Content>,
    /// Whether to add a newline to `stdin`.
    #[serde(default = "super::common::yes")]
    stdin_add_newline: bool,
    /// Whether to drop newlines at the end of `stdout` and `stderr`.
    #[serde(default = "super::common::yes")]
    strip_empty_ends: bool,
}

pub(super) fn sh() -> String {
    "/bin/sh".into()
}

impl Module for Shell {
    const NAME: &'static str = "shell";
    const FREE_FORM: Option<&'static str> = Some("cmd");
    const CONVERGES: bool = false;

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let stdin = self.stdin.as_ref().map(|content| command::input(content, self.stdin_add_newline));
        let command = Command { stdin, ..Command::new(&self.executable, ["-c", &self.cmd.0]) };
        let run =
            Run { creates: self.creates.as_deref(), removes: self.removes.as_deref(), chdir: self.chdir.as_deref() };
        run.plan(host, command, &self.cmd.0)
    }

    fn intent(&self) -> Vec<Diff> {
        vec![command::shown(self.cmd.0.as_str())]
    }

    fn report(&self, applied: &Applied) -> Data {
        command::report(applied, self.strip_empty_ends)
    }
}
