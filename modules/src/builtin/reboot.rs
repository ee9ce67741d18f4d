//! `reboot`: the host is started anew. Waiting for it is the engine's part.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::edit::{Diff, Edit, Reach, Shown};
use crate::host::{Command, Error, Host};
use crate::interpret::Applied;
use crate::module::Module;
use crate::param::Word;
use crate::plan::{Data, Plan};

/// Starts the host anew, waits until it runs again and can be reached, and goes on by a new connection. Registers `rebooted`
/// and `elapsed`, in seconds. Always changes something. Refuses to start the controller anew.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Reboot {
    /// Seconds until it goes down; shutdown(8) knows whole minutes only.
    #[serde(default)]
    #[schemars(extend("aliases" = ["pre_reboot_delay_sec"]))]
    pre_reboot_delay: i64,
    /// Seconds to wait after it went down, before the first look.
    #[serde(default)]
    #[schemars(extend("aliases" = ["post_reboot_delay_sec"]))]
    #[expect(dead_code, reason = "it is the engine that waits")]
    post_reboot_delay: i64,
    /// Seconds to wait until it is up, and then once more until `test_command` succeeds.
    #[serde(default = "ten_minutes")]
    #[schemars(extend("aliases" = ["reboot_timeout_sec"]))]
    #[expect(dead_code, reason = "it is the engine that waits")]
    reboot_timeout: u64,
    /// Taken for Ansible's sake: an attempt to connect has the limit that connections have.
    #[schemars(extend("aliases" = ["connect_timeout_sec"]))]
    #[expect(dead_code, reason = "an attempt has its own limit")]
    connect_timeout: Option<u64>,
    /// What must succeed on the host for it to count as up.
    #[serde(default = "whoami")]
    #[expect(dead_code, reason = "it is the engine that asks")]
    test_command: Word,
    /// What prints something else after each start.
    #[serde(default = "boot_id")]
    #[expect(dead_code, reason = "it is the engine that asks")]
    boot_time_command: Word,
    /// What users of the host are told.
    #[serde(default = "message")]
    msg: Word,
    /// Where shutdown(8) is looked for.
    #[serde(default = "places")]
    search_paths: Vec<PathBuf>,
    /// What starts the host anew, in the place of shutdown(8).
    reboot_command: Option<Word>,
}

fn ten_minutes() -> u64 {
    600
}

fn whoami() -> Word {
    Word("whoami".into())
}

fn boot_id() -> Word {
    Word("cat /proc/sys/kernel/random/boot_id".into())
}

fn message() -> Word {
    Word("Reboot initiated by Ansible".into())
}

fn places() -> Vec<PathBuf> {
    ["/sbin", "/bin", "/usr/sbin", "/usr/bin", "/usr/local/sbin"].map(PathBuf::from).to_vec()
}

impl Module for Reboot {
    const NAME: &'static str = "reboot";
    const CONVERGES: bool = false;

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let command = self.command(host)?;
        let plan = Plan::nothing().with(Edit::run(command, self.intent(), Reach::Anything));
        Ok(plan.returning("rebooted", true).returning("elapsed", 0))
    }

    fn intent(&self) -> Vec<Diff> {
        vec![Diff::new("host", "boot", "running", Shown::from("started anew"))]
    }

    fn report(&self, applied: &Applied) -> Data {
        let failed = applied.outputs.last().filter(|output| !output.success());
        let said = failed.map(|output| {
            let (stdout, stderr) = (output.stdout.trim(), output.stderr.trim());
            ("msg".to_owned(), json!(format!("Reboot command failed. Error was: '{stdout}, {stderr}'")))
        });
        Data::from_iter([("rebooted".to_owned(), json!(failed.is_none()))].into_iter().chain(said))
    }
}

impl Reboot {
    fn command(&self, host: &dyn Host) -> Result<Command, Error> {
        let line = self.reboot_command.as_ref().map(|Word(line)| line.as_str());
        let (program, rest) = line.map_or(("shutdown", ""), |line| line.split_once(' ').unwrap_or((line, "")));
        let path = if program.starts_with('/') { program.to_owned() } else { self.find(host, program)? };
        if line.is_some() {
            return Ok(Command::new("/bin/sh", ["-c".to_owned(), format!("{path} {rest}").trim_end().to_owned()]));
        }
        let minutes = (self.pre_reboot_delay.max(0) / 60).to_string();
        Ok(Command::new(path, ["-r", &minutes, &self.msg.0]))
    }

    fn find(&self, host: &dyn Host, program: &str) -> Result<String, Error> {
        for dir in &self.search_paths {
            let path = dir.join(program);
            if host.stat(&path)?.is_some() {
                return Ok(path.display().to_string());
            }
        }
        let dirs: Vec<String> = self.search_paths.iter().map(|dir| Path::display(dir).to_string()).collect();
        let error = Error::refused(program, format!("is in none of {}", dirs.join(", ")), "name it by its whole path");
        let listed = dirs.iter().map(|dir| format!("'{dir}'")).collect::<Vec<_>>().join(", ");
        Err(error.telling("msg", format!("Unable to find command \"{program}\" in search paths: [{listed}]")))
    }
}
