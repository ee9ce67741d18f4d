//! `sysctl`: a setting of the kernel.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::common;
use super::state::State;
use crate::edit::{Diff, Edit, Reach, Shown};
use crate::host::{Command, Error, Host};
use crate::interpret::Applied;
use crate::module::Module;
use crate::param::Word;
use crate::plan::{Data, Plan};

/// A setting of the kernel in a file of sysctl.conf(5), and with `sysctl_set` or `reload` also in the running kernel.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Sysctl {
    /// Its name, such as `vm.swappiness`.
    #[schemars(extend("aliases" = ["key"]))]
    name: Word,
    /// Its value.
    #[schemars(extend("aliases" = ["val"]))]
    value: Option<Word>,
    /// Whether the file has it.
    #[serde(default)]
    state: State,
    /// Whether the file's settings are put into effect (`sysctl -p`) when it has changed.
    #[serde(default = "common::yes")]
    reload: bool,
    /// Whether the running kernel is asked, too, and is given the value if it has another.
    #[serde(default)]
    sysctl_set: bool,
    /// The file. It is made if there is none.
    #[serde(default = "file")]
    sysctl_file: PathBuf,
    /// Whether settings that this kernel does not know are passed over.
    #[serde(default)]
    ignoreerrors: bool,
}

fn file() -> PathBuf {
    "/etc/sysctl.conf".into()
}

impl Module for Sysctl {
    const NAME: &'static str = "sysctl";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let name = self.name.0.trim();
        let named = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'=');
        if !named || name.starts_with('-') || name.split(['.', '/']).any(str::is_empty) {
            return Err(Error::param("name", format!("`{name}` is not the name of a setting")));
        }
        let value = self.value.as_ref().map(|Word(value)| value.split_whitespace().collect::<Vec<_>>().join(" "));
        let value = match (self.state, value) {
            (State::Present, None) => {
                let error = Error::param("value", "is missing: what shall the setting be?");
                return Err(error.telling("msg", "missing parameter: value"));
            }
            (State::Present, Some(value)) => Some(value),
            (State::Absent, _) => None,
        };
        let before = common::text(host, &self.sysctl_file)?;
        let after = edited(&before, name, value.as_deref());
        let mut plan = match before == after {
            true => Plan::nothing(),
            false => common::put(host, &self.sysctl_file, after)?,
        };
        let flags: &[&str] = if self.ignoreerrors { &["-e"] } else { &[] };
        if let Some(value) = value.filter(|_| self.sysctl_set) {
            let running = running(host, name)?;
            if running.as_deref() != Some(value.as_str()) {
                let setting = format!("{name}={value}");
                let args = flags.iter().copied().chain(["-w", &setting]);
                plan.edits.push(self.run(args, "running value", running.into(), value.as_str().into(), Reach::Stated));
            }
        } else if self.reload && !plan.is_empty() {
            let file = self.sysctl_file.display().to_string();
            let args = flags.iter().copied().chain(["-p", &file]);
            plan.edits.push(self.run(args, "file", "as it was".into(), "in effect".into(), Reach::Anything));
        }
        Ok(plan)
    }

    fn report(&self, applied: &Applied) -> Data {
        let Some(failed) = applied.outputs.last().filter(|output| !output.success()) else { return Data::new() };
        let said = match self.sysctl_set {
            true => format!("setting {} failed: ", self.name.0),
            false => "Failed to reload sysctl: ".into(),
        };
        Data::from_iter([("msg".to_owned(), format!("{said}{}{}", failed.stdout, failed.stderr).into())])
    }

    fn intent(&self) -> Vec<Diff> {
        let after = match (self.state, &self.value) {
            (State::Present, Some(Word(value))) => Shown::from(value.as_str()),
            _ => Shown::Absent,
        };
        vec![self.diff("value", Shown::Unknown, after)]
    }
}

impl Sysctl {
    fn diff(&self, aspect: &str, before: Shown, after: Shown) -> Diff {
        Diff::new(format!("setting {}", self.name.0), aspect, before, after)
    }

    fn run<'a>(
        &self,
        args: impl Iterator<Item = &'a str>,
        aspect: &str,
        before: Shown,
        after: Shown,
        reach: Reach,
    ) -> Edit {
        Edit::run(Command::new("sysctl", args), vec![self.diff(aspect, before, after)], reach)
    }
}

/// What the kernel has, from where it shows it; `None` if it knows no such setting.
fn running(host: &dyn Host, name: &str) -> Result<Option<String>, Error> {
    // Dots and slashes are exchanged where the first separator is a slash (sysctl(8)).
    let file: String = match name.find(['.', '/']).map(|at| &name[at..=at]) {
        Some("/") => name.into(),
        _ => name
            .chars()
            .map(|c| {
                if c == '.' {
                    '/'
                } else if c == '/' {
                    '.'
                } else {
                    c
                }
            })
            .collect(),
    };
    let bytes = host.read(&Path::new("/proc/sys").join(file))?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).split_whitespace().collect::<Vec<_>>().join(" ")))
}

/// The file with one line for the setting, in the place of the first that it has, or at the end; or with none.
fn edited(before: &str, name: &str, value: Option<&str>) -> String {
    let is_it = |line: &&str| {
        let line = line.trim_start();
        let setting = line.split_once('=').map(|(key, _)| key.trim().trim_start_matches('-'));
        !line.starts_with(['#', ';']) && setting == Some(name)
    };
    let has = |line: &&str| {
        let now = line.split_once('=').map(|(_, now)| now.split_whitespace().collect::<Vec<_>>().join(" "));
        now.as_deref() == value
    };
    let mine: Vec<&str> = before.lines().filter(is_it).collect();
    if mine.len() == 1 && mine.iter().all(has) {
        return before.to_owned();
    }
    let mut line = value.map(|value| format!("{name}={value}\n"));
    let mut after = String::new();
    for old in before.lines() {
        if is_it(&old) {
            after.extend(line.take());
        } else {
            after.push_str(old);
            after.push('\n');
        }
    }
    after.extend(line);
    if mine.is_empty() && value.is_none() { before.to_owned() } else { after }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_edited() {
        let table = [
            ("", "a.b", Some("1"), "a.b=1\n"),
            ("# a.b=2\nx=1", "a.b", Some("1"), "# a.b=2\nx=1\na.b=1\n"),
            ("a.b = 1\n", "a.b", Some("1"), "a.b = 1\n"),
            ("a.b = 2\nx=1\na.b=3\n", "a.b", Some("1"), "a.b=1\nx=1\n"),
            ("a.b=1\nx=1\n", "a.b", None, "x=1\n"),
            ("x=1", "a.b", None, "x=1"),
            ("net.ports = 1   2\n", "net.ports", Some("1 2"), "net.ports = 1   2\n"),
        ];
        for (before, name, value, wanted) in table {
            assert_eq!(edited(before, name, value), wanted, "{before:?} {value:?}");
        }
    }
}
