//! `hostname`: what the host is called.

use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::common::{Attributes, Wanted};
use crate::edit::{Diff, Edit, Reach, Shown, Text};
use crate::host::{Command, Error, Host, Look};
use crate::module::Module;
use crate::param::Word;
use crate::plan::{Data, Plan};

/// The host's name, now and after a restart. /etc/hosts is left alone.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Hostname {
    /// The name.
    name: Word,
    /// Taken for Ansible's sake: hostnamectl(1) is used where systemd runs, hostname(1) and /etc/hostname elsewhere.
    #[serde(rename = "use")]
    #[expect(dead_code, reason = "there is nothing to choose")]
    strategy: Option<String>,
}

const FILE: &str = "/etc/hostname";

impl Module for Hostname {
    const NAME: &'static str = "hostname";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let name = &self.name.0;
        let part =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        // hostname(7)
        if name.len() > 64 || name.starts_with('-') || !name.split('.').all(part) {
            return Err(Error::param(
                "name",
                format!("`{name}` is no name for a host: letters, digits, `-` and dots, 64 at most"),
            ));
        }
        let text = |path: &str| -> Result<String, Error> {
            Ok(String::from_utf8_lossy(&host.read(Path::new(path))?.unwrap_or_default()).trim().to_owned())
        };
        let (now, later) = (text("/proc/sys/kernel/hostname")?, text(FILE)?);
        let plan = Plan::nothing().returning("name", name.as_str());
        if now == *name && later == *name {
            return Ok(plan);
        }
        let run = |command: Command, aspect: &str, before: String| {
            Edit::run(command, vec![Diff::new("host", aspect, before, name.as_str())], Reach::Anything)
        };
        if host.stat(Path::new("/run/systemd/system"))?.is_some() {
            let before = if now == *name { later } else { now };
            return Ok(plan.with(run(Command::new("hostnamectl", ["set-hostname", "--", name]), "name", before)));
        }
        let mut edits = Vec::new();
        if later != *name {
            let (path, now) = (Path::new(FILE).to_owned(), host.stat(Path::new(FILE))?);
            let after = Text::plain(format!("{name}\n"));
            let attributes = Attributes::default();
            edits = Wanted { path, now, after, attributes, backup: false, validate: None }.plan(host)?.edits;
        }
        edits.extend((now != *name).then(|| run(Command::new("hostname", ["--", name]), "name", now)));
        Ok(Plan { edits, ..plan })
    }

    fn intent(&self) -> Vec<Diff> {
        vec![Diff::new("host", "name", Shown::Unknown, self.name.0.as_str())]
    }

    fn aftermath(&self, host: &dyn Host) -> Look<Data> {
        let name = &self.name.0;
        let hosts = host.query(&Command::new("getent", ["hosts", "--", name]))?.stdout;
        let names = hosts.lines().next().unwrap_or_default().split_whitespace().skip(1);
        let fqdn = names.clone().find(|one| one.contains('.')).unwrap_or(name);
        let facts = json!({
            "ansible_hostname": name.split('.').next(),
            "ansible_nodename": name,
            "ansible_fqdn": fqdn,
            "ansible_domain": fqdn.split_once('.').map_or("", |(_, domain)| domain),
        });
        Ok(Data::from_iter([("ansible_facts".to_owned(), facts)]))
    }
}
