//! `raw`: a line for the login shell, nothing added.

use schemars::JsonSchema;
use serde::Deserialize;

use super::command::{self, Run};
use crate::edit::Diff;
use crate::host::{Command, Error, Host};
use crate::interpret::Applied;
use crate::module::Module;
use crate::param::Word;
use crate::plan::{Data, Plan};

/// Runs a line of shell and registers `rc`, `stdout`, `stderr` and their lines as they come. Ansible has it for hosts
/// without Python; Trueup needs none anywhere, so this is `shell` without its parameters. It runs each time, and what it
/// changes can't be previewed.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    /// The line. Must not be given a secret.
    #[schemars(extend("aliases" = ["_raw_params", "free_form"]))]
    cmd: Word,
    /// The shell.
    #[serde(default = "super::shell::sh")]
    executable: String,
}

impl Module for Raw {
    const NAME: &'static str = "raw";
    const FREE_FORM: Option<&'static str> = Some("cmd");
    const CONVERGES: bool = false;

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let command = Command::new(&self.executable, ["-c", &self.cmd.0]);
        let mut plan = Run { creates: None, removes: None, chdir: None }.plan(host, command, &self.cmd.0)?;
        plan.data.clear();
        Ok(plan)
    }

    fn intent(&self) -> Vec<Diff> {
        vec![command::shown(self.cmd.0.as_str())]
    }

    fn report(&self, applied: &Applied) -> Data {
        command::bare(applied)
    }
}
