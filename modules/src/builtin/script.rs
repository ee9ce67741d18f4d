//! `script`: a script of the controller, run on the host.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::command::{self, Run};
use super::common;
use crate::edit::Diff;
use crate::host::{Command, Error, Host, Input};
use crate::interpret::Applied;
use crate::module::Module;
use crate::param::{Word, first_word};
use crate::plan::{Data, Plan};

/// Runs a script of the controller on the host, with its arguments as a shell reads them. Registers `rc`, `stdout`,
/// `stderr` and their lines. The script exists on the host only while it runs, readable by the user that runs it and
/// nobody else. It runs each time, and what it changes can't be previewed, unless `creates` or `removes` says when not.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Script {
    /// The script and its arguments: `setup.sh --all`. It is looked for beside the playbook and in its `files`.
    #[schemars(extend("aliases" = ["_raw_params", "free_form"]))]
    cmd: Word,
    /// Its content; Trueup fills it in from `cmd`.
    #[schemars(extend("internal" = true))]
    sha256: Option<String>,
    /// The program that runs it, such as `python3`; by default the one that its first line names.
    executable: Option<Word>,
    /// A path that the script makes: nothing is run if it exists.
    creates: Option<PathBuf>,
    /// A path that the script removes: nothing is run if it does not exist.
    removes: Option<PathBuf>,
    /// Taken for Ansible's sake: a script that is sealed by its vault is not opened.
    #[serde(default = "common::yes")]
    #[expect(dead_code, reason = "it is not opened")]
    decrypt: bool,
    /// The directory to run in, absolute; that of the connection by default.
    chdir: Option<PathBuf>,
}

/// Keeps the script from standard input in a file while it runs. `$1` is the program to run it with, `$2` the arguments
/// as they were written; a shell reads them, as it does for Ansible.
const RUN: &str = r#"script=$(mktemp) && trap 'rm -f "$script"' EXIT && cat >"$script" && chmod 700 "$script" || exit 1
eval "$1 \"\$script\" $2" </dev/null"#;

impl Module for Script {
    const NAME: &'static str = "script";
    const FREE_FORM: Option<&'static str> = Some("cmd");
    const CONVERGES: bool = false;

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let run =
            Run { creates: self.creates.as_deref(), removes: self.removes.as_deref(), chdir: self.chdir.as_deref() };
        let sha256 = self.sha256.as_deref().ok_or_else(|| Error::param("cmd", "names no script"))?;
        let mut plan = run.plan(host, Command::default(), &self.cmd.0)?;
        if plan.is_empty() {
            let why = match (&self.creates, &self.removes) {
                (Some(path), _) if common::exists(host, path)? => {
                    format!("{} exists, matching creates option", path.display())
                }
                (_, Some(path)) => format!("{} does not exist, matching removes option", path.display()),
                _ => String::new(),
            };
            return Ok(Plan::nothing().returning("skipped", true).returning("msg", why));
        }
        plan.data.clear();
        for edit in &mut plan.edits {
            if let crate::edit::Edit::Run { command, .. } = edit {
                let cwd = command.cwd.take();
                *command = Command { cwd, ..self.command(host.blob(sha256)?)? };
            }
        }
        Ok(plan)
    }

    fn intent(&self) -> Vec<Diff> {
        vec![command::shown(self.cmd.0.as_str())]
    }

    fn report(&self, applied: &Applied) -> Data {
        command::bare(applied)
    }
}

impl Script {
    fn command(&self, script: Vec<u8>) -> Result<Command, Error> {
        let script = String::from_utf8(script).map_err(|_| Error::param("cmd", "the script is not UTF-8 text"))?;
        let executable = self.executable.as_ref().map_or("", |word| &word.0);
        let (_, arguments) = first_word(&self.cmd.0);
        let args = ["-c", RUN, "script", executable, arguments];
        Ok(Command { stdin: Some(Input::Plain(script)), ..Command::new("/bin/sh", args) })
    }
}
