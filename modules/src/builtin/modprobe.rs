//! `modprobe`: a module of the kernel.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::common;
use super::state::State;
use crate::edit::{Diff, Edit, Reach, Shown};
use crate::host::{Command, Error, Host};
use crate::module::Module;
use crate::param::Word;
use crate::plan::Plan;

/// A module of the kernel that is loaded or not, now and, with `persistent`, when the host starts.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Modprobe {
    /// Its name, such as `br_netfilter`.
    name: Word,
    /// Whether it is loaded.
    #[serde(default)]
    state: State,
    /// Its parameters, as `NAME=VALUE`, separated by blanks.
    #[serde(default = "none")]
    params: Word,
    /// Whether files of /etc/modules-load.d and /etc/modprobe.d have it loaded, with these parameters, at each start.
    #[serde(default)]
    persistent: Persistent,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Persistent {
    /// The files are left alone.
    #[default]
    Disabled,
    /// They name it.
    Present,
    /// None of them does: lines that do become comments.
    Absent,
}

const LOAD: &str = "/etc/modules-load.d";
const OPTIONS: &str = "/etc/modprobe.d";

fn none() -> Word {
    Word(String::new())
}

impl Module for Modprobe {
    const NAME: &'static str = "modprobe";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let name = &self.name.0;
        let mut edits: Vec<Edit> = self.now(host)?.into_iter().collect();
        match self.persistent {
            Persistent::Disabled => {}
            Persistent::Present => edits.extend(self.kept(host)?),
            Persistent::Absent => {
                for dir in [LOAD, OPTIONS] {
                    edits.extend(self.without(host, dir, None)?);
                }
            }
        }
        let plan = Plan { edits, ..Plan::nothing() }.returning("name", name.as_str());
        Ok(plan.returning("params", self.params.0.as_str()).returning("state", self.state.word()))
    }

    fn intent(&self) -> Vec<Diff> {
        let after = if self.state == State::Present { Shown::from("loaded") } else { Shown::Absent };
        vec![self.diff(Shown::Unknown, after)]
    }
}

impl Modprobe {
    fn diff(&self, before: impl Into<Shown>, after: impl Into<Shown>) -> Diff {
        Diff::new(format!("kernel module {}", self.name.0), "state", before, after)
    }

    /// What the running kernel needs. `modprobe --dry-run` knows whether it can be had.
    fn now(&self, host: &dyn Host) -> Result<Option<Edit>, Error> {
        let params = self.params.0.split_whitespace();
        let (args, diff): (Vec<&str>, Diff) = match (self.state, self.is_loaded(host)?) {
            (State::Present, false) => {
                ([self.name.0.as_str()].into_iter().chain(params).collect(), self.diff(Shown::Absent, "loaded"))
            }
            (State::Absent, true) => (vec!["-r", &self.name.0], self.diff("loaded", Shown::Absent)),
            _ => return Ok(None),
        };
        let trial = Command::new("modprobe", ["--dry-run"].into_iter().chain(args.iter().copied()));
        let output = host.query(&trial)?;
        if !output.success() {
            let said = output.stderr.clone();
            let error = Error::Command { command: trial.to_string(), output: Box::new(output) };
            let error = error.telling("msg", said).telling("name", self.name.0.as_str());
            return Err(error.telling("params", self.params.0.as_str()).telling("state", self.state.word()));
        }
        Ok(Some(Edit::run(Command::new("modprobe", args), vec![diff], Reach::Stated)))
    }

    /// Loaded, or a part of the kernel itself.
    fn is_loaded(&self, host: &dyn Host) -> Result<bool, Error> {
        let lines =
            |path: &Path| Ok::<_, Error>(common::text(host, path)?.lines().map(str::to_owned).collect::<Vec<_>>());
        let loaded = format!("{} ", self.name.0.replace('-', "_"));
        if lines(Path::new("/proc/modules"))?.iter().any(|line| line.starts_with(&loaded)) {
            return Ok(true);
        }
        let release = common::text(host, Path::new("/proc/sys/kernel/osrelease"))?;
        let file = format!("/{}.ko", self.name.0);
        let builtin = lines(&Path::new("/lib/modules").join(release.trim()).join("modules.builtin"))?;
        Ok(builtin.iter().any(|line| line.trim_end().ends_with(&file)))
    }

    /// The files name it, and have these parameters and no others.
    fn kept(&self, host: &dyn Host) -> Result<Vec<Edit>, Error> {
        let name = &self.name.0;
        let mut edits = Vec::new();
        if !files(host, LOAD)?.iter().any(|(_, text)| text.lines().any(|line| self.names(line))) {
            edits.extend(common::put(host, &file(LOAD, name), format!("{name}\n"))?.edits);
        }
        let all = files(host, OPTIONS)?;
        let mut set: Vec<&str> =
            all.iter().flat_map(|(_, text)| text.lines()).filter_map(|line| self.option(line)).collect();
        let mut wanted: Vec<&str> = self.params.0.split_whitespace().collect();
        for list in [&mut set, &mut wanted] {
            list.sort_unstable();
            list.dedup();
        }
        if set != wanted {
            let own = file(OPTIONS, name);
            let lines = self.params.0.split_whitespace().map(|param| format!("options {name} {param}\n"));
            edits.extend(self.without(host, OPTIONS, Some(&own))?);
            edits.extend(common::put(host, &own, lines.collect::<String>())?.edits);
        }
        Ok(edits)
    }

    /// Every line that is about it as a comment, but for those of a file that is written anew.
    fn without(&self, host: &dyn Host, dir: &str, but: Option<&Path>) -> Result<Vec<Edit>, Error> {
        let mut edits = Vec::new();
        for (path, text) in files(host, dir)? {
            let about = |line: &str| if dir == LOAD { self.names(line) } else { self.option(line).is_some() };
            if but == Some(&path) || !text.lines().any(about) {
                continue;
            }
            let lines = text.lines().map(|line| format!("{}{line}\n", if about(line) { "#" } else { "" }));
            edits.extend(common::put(host, &path, lines.collect::<String>())?.edits);
        }
        Ok(edits)
    }

    fn names(&self, line: &str) -> bool {
        uncommented(line) == self.name.0
    }

    /// The parameter that an `options` line of it sets.
    fn option<'a>(&self, line: &'a str) -> Option<&'a str> {
        let words: Vec<&str> = uncommented(line).split(' ').collect();
        match words[..] {
            ["options", name, param] if name == self.name.0 && param.contains('=') => Some(param),
            _ => None,
        }
    }
}

fn uncommented(line: &str) -> &str {
    line.split(['#', ';']).next().unwrap_or_default().trim_matches(' ')
}

fn file(dir: &str, name: &str) -> PathBuf {
    Path::new(dir).join(format!("{name}.conf"))
}

fn files(host: &dyn Host, dir: &str) -> Result<Vec<(PathBuf, String)>, Error> {
    let mut files = Vec::new();
    if host.stat(Path::new(dir))?.is_some_and(|stat| stat.is_dir()) {
        for path in host.list(Path::new(dir))? {
            if host.stat(&path)?.is_some_and(|stat| stat.is_file()) {
                let text = common::text(host, &path)?;
                files.push((path, text));
            }
        }
    }
    Ok(files)
}
