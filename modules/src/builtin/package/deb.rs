//! A package from a file.

use crate::edit::Shown;
use crate::host::{Command, Error, Host, Output};
use crate::plan::Plan;

use super::Packages;
use crate::builtin::common::said;

use super::apt::{Change, change_edit, refused, simulate};

impl Packages {
    /// A file with a package: the version that it has is there, or it is installed.
    pub(super) fn plan_file(&self, plan: Plan, file: &str, host: &dyn Host) -> Result<Plan, Error> {
        if file.contains("://") {
            let reason = "a URL is not fetched: name a file of the host, which `get_url` can bring there";
            return Err(Error::param("deb", reason));
        }
        let show = Command::new("dpkg-deb", ["--show", "--showformat=${Package}\\t${Version}", "--", file]);
        let output = host.query(&show)?;
        let Some((name, version)) = output.stdout.split_once('\t').filter(|_| output.success()) else {
            let msg = format!("Unable to install package: {}", output.stderr.trim());
            return Err(Error::Command { command: show.to_string(), output: Box::new(output) }.telling("msg", msg));
        };
        let there = host.packages(&[name])?.get(name).and_then(|package| package.version.clone());
        if there.as_deref() == Some(version) {
            let nothing = said(&Output::default());
            return Ok(Plan { data: nothing, ..plan });
        }
        let mut asked = file.to_owned();
        if !asked.contains('/') {
            asked.insert_str(0, "./");
        }
        let mut command = self.apt_get("install", std::iter::once(asked.as_str()));
        let mut changes = match simulate(&command, host)? {
            Ok(found) => found.changes,
            Err(output) => return Err(refused(&command, &[], output)),
        };
        if changes.iter().all(|change| change.name != name) {
            let before = there.map_or(Shown::Absent, Shown::Plain);
            changes.push(Change { name: name.into(), before, after: version.into() });
        }
        if changes.iter().all(|change| change.name == name) {
            // Nothing comes along: dpkg is enough, as in Ansible.
            let options = self.dpkg_options().map(|option| format!("--{option}"));
            command.program = "dpkg".into();
            command.args = options.chain(["--install".into(), "--".into(), asked]).collect();
        }
        let mut plan = plan;
        self.guarded(&mut plan, change_edit(command, &changes), host)?;
        Ok(plan)
    }
}
