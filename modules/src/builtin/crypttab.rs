//! `crypttab`: an encrypted device that is opened when the host starts.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::common;
use crate::edit::{Diff, Shown};
use crate::host::{Error, Host};
use crate::module::Module;
use crate::param::Word;
use crate::plan::Plan;

/// A line of /etc/crypttab (crypttab(5)). Opens nothing by itself.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Crypttab {
    /// The device's name, with or without `/dev/mapper/`.
    name: Word,
    /// Whether the line is there, or options in it are.
    state: State,
    /// The device below, or `UUID=…`.
    backing_device: Option<Word>,
    /// A file that has the password, or `-` where it is asked for.
    password: Option<Word>,
    /// Options, separated by commas.
    opts: Option<Word>,
    /// The file.
    #[serde(default = "file")]
    path: PathBuf,
}

#[derive(Clone, Copy, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum State {
    /// The line is there.
    Present,
    /// It is not.
    Absent,
    /// These options are among those of the line.
    OptsPresent,
    /// These are not.
    OptsAbsent,
}

fn file() -> PathBuf {
    "/etc/crypttab".into()
}

impl Module for Crypttab {
    const NAME: &'static str = "crypttab";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        self.possible()?;
        let before = common::text(host, &self.path)?;
        let name = self.name.0.trim_start_matches("/dev/mapper/");
        let found = before.lines().position(|line| fields(line).is_some_and(|fields| fields[0] == name));
        let mut lines: Vec<String> = before.lines().map(str::to_owned).collect();
        let (changed, msg) = match found {
            None if matches!(self.state, State::Absent | State::OptsAbsent) => (false, "?"),
            None => {
                if self.backing_device.is_none() {
                    let error = Error::param("backing_device", "is missing: what is the new device on?");
                    return Err(error.telling("msg", "'backing_device' required to add a new entry"));
                }
                lines.push(self.edited(&[name]));
                (true, "added line")
            }
            Some(at) => {
                let old: Vec<&str> = lines[at].split_whitespace().collect();
                let (line, msg) = match self.state {
                    State::Absent => (String::new(), "removed line"),
                    State::Present => (self.edited(&old), "updated line"),
                    State::OptsPresent => (self.edited(&old), "updated options"),
                    State::OptsAbsent => (self.edited(&old), "removed options"),
                };
                let same = line.split_whitespace().eq(old);
                if !same {
                    lines[at] = line;
                }
                (!same, msg)
            }
        };
        let after = if lines.is_empty() { String::new() } else { lines.join("\n") + "\n" };
        let plan = if changed { common::put(host, &self.path, after)? } else { Plan::nothing() };
        let plan =
            plan.returning("msg", msg).returning("name", self.name.0.as_str()).returning("path", json!(self.path));
        let given = |word: &Option<Word>| json!(word.as_ref().map(|Word(word)| word));
        let plan = plan.returning("backing_device", given(&self.backing_device));
        let plan = plan.returning("password", given(&self.password)).returning("opts", given(&self.opts));
        Ok(plan.returning("state", self.state.word()))
    }

    fn intent(&self) -> Vec<Diff> {
        let after = if self.state == State::Absent { Shown::Absent } else { Shown::Unknown };
        vec![Diff::new(format!("encrypted device {}", self.name.0), "line", Shown::Unknown, after)]
    }
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Absent => "absent",
            Self::OptsPresent => "opts_present",
            Self::OptsAbsent => "opts_absent",
        }
    }
}

impl Crypttab {
    fn possible(&self) -> Result<(), Error> {
        let given = [("backing_device", &self.backing_device), ("password", &self.password), ("opts", &self.opts)];
        if self.state != State::Absent && given.iter().all(|(_, value)| value.is_none()) {
            let error = Error::param("opts", "is missing: give `backing_device`, `password` or `opts`");
            return Err(error.telling("msg", "expected one or more of 'backing_device', 'password' or 'opts'"));
        }
        let beside = self.backing_device.is_some() || self.password.is_some();
        if beside && matches!(self.state, State::OptsPresent | State::OptsAbsent) {
            let state = self.state.word();
            let error = Error::param("state", format!("`{state}` is about `opts` alone"));
            let msg = format!("cannot update 'backing_device' or 'password' when state={state}");
            return Err(error.telling("msg", msg));
        }
        for (param, Word(value)) in given.iter().filter_map(|(param, value)| Some((*param, value.as_ref()?))) {
            if value.is_empty() || value.contains([' ', '\t']) {
                let msg = format!("invalid '{param}': contains white space or is empty");
                return Err(Error::param(param, "must be one word").telling("msg", msg));
            }
        }
        Ok(())
    }

    /// A line with what is given in the place of what it has: name, device, password, options.
    fn edited(&self, old: &[&str]) -> String {
        let was = |at: usize| old.get(at).copied();
        let new = |word: &'_ Option<Word>| word.as_ref().map(|Word(word)| word.clone());
        let device = new(&self.backing_device).or(was(1).map(str::to_owned)).unwrap_or_default();
        let password = new(&self.password).or(was(2).map(str::to_owned));
        let opts = match self.state {
            State::Present | State::Absent => new(&self.opts).or(was(3).map(str::to_owned)),
            State::OptsPresent => Some(self.merged(was(3).unwrap_or_default(), true)),
            State::OptsAbsent => Some(self.merged(was(3).unwrap_or_default(), false)),
        };
        // The order of options means nothing.
        let sorted = |opts: &str| {
            let mut all: Vec<String> = opts.split(',').map(str::to_owned).collect();
            all.sort();
            all
        };
        let opts =
            opts.map(|opts| was(3).filter(|was| sorted(was) == sorted(&opts)).map_or(opts.clone(), str::to_owned));
        let opts = opts.filter(|opts| !opts.is_empty());
        let mut line = format!("{} {device}", was(0).unwrap_or_default());
        if password.is_some() || opts.is_some() {
            line.push_str(&format!(" {}", password.as_deref().unwrap_or("none")));
        }
        opts.into_iter().for_each(|opts| line.push_str(&format!(" {opts}")));
        line
    }

    fn merged(&self, was: &str, there: bool) -> String {
        let name = |option: &str| option.split('=').next().unwrap_or_default().to_owned();
        let given = self.opts.as_ref().map_or("", |Word(opts)| opts.as_str());
        let mut all: Vec<String> = was.split(',').filter(|option| !option.is_empty()).map(str::to_owned).collect();
        for option in given.split(',') {
            match all.iter().position(|other| name(other) == name(option)) {
                Some(at) if there => all[at] = option.to_owned(),
                Some(at) => drop(all.remove(at)),
                None if there => all.push(option.to_owned()),
                None => {}
            }
        }
        all.join(",")
    }
}

/// The fields of a line that has any.
fn fields(line: &str) -> Option<Vec<&str>> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    (!line.starts_with('#') && (2..=4).contains(&fields.len())).then_some(fields)
}
