//! `seboolean`: a switch of SELinux's policy.

use schemars::JsonSchema;
use serde::Deserialize;

use super::common;
use crate::edit::{Diff, Edit, Reach, Shown};
use crate::host::{Command, Error, Host};
use crate::module::Module;
use crate::param::Word;
use crate::plan::Plan;

/// A boolean of SELinux, by getsebool(8) and setsebool(8). A host without SELinux is an error, as it is for Ansible.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Seboolean {
    /// Its name, such as `httpd_can_network_connect`.
    name: Word,
    /// What it is.
    state: bool,
    /// Whether that outlives the host's next start.
    #[serde(default)]
    persistent: bool,
    /// Must not be set: setsebool(8) does nothing where SELinux is off.
    #[serde(default)]
    ignore_selinux_state: bool,
}

impl Module for Seboolean {
    const NAME: &'static str = "seboolean";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let (name, word) = (&self.name.0, if self.state { "on" } else { "off" });
        if !enabled(host)? || self.ignore_selinux_state {
            let error = Error::Unsupported("SELinux is disabled on this host".into());
            return Err(error.telling("msg", "SELinux is disabled on this host."));
        }
        let plan = Plan::nothing()
            .returning("name", name.as_str())
            .returning("persistent", self.persistent)
            .returning("state", self.state);
        let told = common::asked(host, &Command::new("getsebool", ["--", name]))
            .map_err(|error| error.telling("msg", format!("SELinux boolean {name} does not exist.")))?;
        let mut now = told.trim().rsplit(' ').next().unwrap_or_default().to_owned();
        if self.persistent && now == word {
            // The policy may say otherwise of the next start: `name (on , off) description`.
            let list = common::asked(host, &Command::new("semanage", ["boolean", "--list", "--noheading"]))?;
            let line = list.lines().find(|line| line.split_whitespace().next() == Some(name));
            let kept = line.and_then(|line| line.split(['(', ')', ',']).nth(2)).map_or(word, str::trim);
            kept.clone_into(&mut now);
        }
        if now == word {
            return Ok(plan);
        }
        let flags: &[&str] = if self.persistent { &["-P"] } else { &[] };
        let set = Command::new("setsebool", flags.iter().copied().chain([name, word]));
        let diff = Diff::new(format!("SELinux boolean {name}"), "value", now, word);
        Ok(plan.with(Edit::run(set, vec![diff], Reach::Stated)))
    }

    fn intent(&self) -> Vec<Diff> {
        let after = if self.state { "on" } else { "off" };
        vec![Diff::new(format!("SELinux boolean {}", self.name.0), "value", Shown::Unknown, after)]
    }
}

/// Whether the kernel has SELinux at work: then its filesystem is there.
pub(super) fn enabled(host: &dyn Host) -> Result<bool, Error> {
    Ok(host.stat(std::path::Path::new("/sys/fs/selinux/enforce"))?.is_some())
}
