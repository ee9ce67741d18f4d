//! `selinux`: whether SELinux is at work, and with which policy.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{common, seboolean};
use crate::edit::{Diff, Edit, Reach, Shown};
use crate::host::{Command, Error, Host};
use crate::module::Module;
use crate::param::Word;
use crate::plan::Plan;

/// SELinux's mode and policy: as /etc/selinux/config has it for the next start and, between `enforcing` and `permissive`, at
/// once. Registers `reboot_required`, where only a start makes it so.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Selinux {
    /// The policy, such as `targeted`. Not needed with `state: disabled`.
    policy: Option<Word>,
    /// The mode.
    state: State,
    /// The file.
    #[serde(default = "file")]
    #[schemars(extend("aliases" = ["conf", "file"]))]
    configfile: PathBuf,
    /// Must not be set: the kernel's own parameters are left alone.
    #[serde(default)]
    update_kernel_param: bool,
}

#[derive(Clone, Copy, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum State {
    /// It is off.
    Disabled,
    /// It forbids.
    Enforcing,
    /// It only tells.
    Permissive,
}

fn file() -> PathBuf {
    "/etc/selinux/config".into()
}

impl Module for Selinux {
    const NAME: &'static str = "selinux";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        if self.update_kernel_param {
            return Err(Error::param("update_kernel_param", "is not known: the kernel's parameters are left alone"));
        }
        if host.stat(&self.configfile)?.is_none() {
            let shown = self.configfile.display();
            let error = Error::path("edit", &self.configfile, "there is no such file: is SELinux installed?");
            let msg = format!("Unable to find file {shown}");
            return Err(error.telling("msg", msg).telling(
                "details",
                "Please install SELinux-policy package, if this package is not installed previously.",
            ));
        }
        let before = common::text(host, &self.configfile)?;
        let has = |key: &str| {
            let line = before.lines().rev().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            line.map(|value| value.trim().to_owned())
        };
        let policy = self.policy.as_ref().map(|Word(policy)| policy.clone()).or_else(|| has("SELINUXTYPE"));
        let Some(policy) =
            policy.filter(|policy| self.policy.is_some() || self.state == State::Disabled || !policy.is_empty())
        else {
            let error = Error::param("policy", "is missing: which policy?");
            return Err(error.telling("msg", "Policy is required if state is not 'disabled'"));
        };
        let word = self.state.word();
        let after = set(&set(&before, "SELINUX", word), "SELINUXTYPE", &policy);
        let mut plan = if after == before { Plan::nothing() } else { common::put(host, &self.configfile, after)? };
        let mut said = Vec::new();
        let enabled = seboolean::enabled(host)?;
        let running = String::from_utf8(host.read(Path::new("/sys/fs/selinux/enforce"))?.unwrap_or_default());
        let running = match (enabled, running.unwrap_or_default().trim()) {
            (false, _) => "disabled",
            (true, "1") => "enforcing",
            (true, _) => "permissive",
        };
        if let Some(had) = has("SELINUX").filter(|had| had != word) {
            said.push(format!("Config SELinux state changed from '{had}' to '{word}'"));
        }
        let reboot = running != word && (running == "disabled" || word == "disabled");
        if running != word && !reboot {
            let diff = Diff::new("SELinux", "mode", running, word);
            let set = Command::new("setenforce", [if self.state == State::Enforcing { "1" } else { "0" }]);
            plan.edits.push(Edit::run(set, vec![diff], Reach::Stated));
            said.insert(0, format!("SELinux state changed from '{running}' to '{word}'"));
        }
        if reboot {
            said.push("Reboot is required to set SELinux state to '".to_owned() + word + "'");
        }
        let plan = plan.returning("msg", said.join(", ")).returning("policy", policy).returning("state", word);
        let shown = self.configfile.display().to_string();
        Ok(plan.returning("configfile", shown).returning("reboot_required", reboot))
    }

    fn intent(&self) -> Vec<Diff> {
        vec![Diff::new("SELinux", "mode", Shown::Unknown, self.state.word())]
    }
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Enforcing => "enforcing",
            Self::Permissive => "permissive",
        }
    }
}

/// A file with that line in the place of the one that it has, or at its end.
fn set(text: &str, key: &str, value: &str) -> String {
    let is_it = |line: &str| line.strip_prefix(key).is_some_and(|rest| rest.starts_with('='));
    let new = format!("{key}={value}");
    let line = |line: &str| if is_it(line) { new.clone() } else { line.to_owned() };
    let mut lines: Vec<String> = text.lines().map(line).collect();
    if !text.lines().any(is_it) {
        lines.push(new.clone());
    }
    lines.into_iter().map(|line| line + "\n").collect()
}
