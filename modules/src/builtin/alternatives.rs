//! `alternatives`: which of several programs a common name means.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::common;
use crate::edit::{Diff, Edit, Reach, Shown};
use crate::host::{Command, Error, Host};
use crate::module::Module;
use crate::param::Word;
use crate::plan::Plan;

/// One of the alternatives behind a name, by Debian's update-alternatives(1): that it is known, and that it is chosen.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Alternatives {
    /// The common name, such as `editor`.
    name: Word,
    /// The program that it shall mean, absolute.
    path: PathBuf,
    /// Where the common name stands, such as `/usr/bin/editor`. Needed if the name is new.
    link: Option<PathBuf>,
    /// Which wins where none is chosen: the highest. A new one has 50 by default.
    priority: Option<i64>,
    /// Whether it is known and chosen.
    #[serde(default)]
    state: State,
    /// Names that follow it, such as its manual page's.
    #[schemars(extend("aliases" = ["slaves"]))]
    subcommands: Option<Vec<Follower>>,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum State {
    /// Known, and chosen.
    #[default]
    Selected,
    /// Known.
    Present,
    /// Known, and the name goes to the one with the highest priority.
    Auto,
    /// Not known.
    Absent,
}

/// A name that follows another.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq, PartialOrd, Ord)]
#[serde(deny_unknown_fields)]
struct Follower {
    /// Its own common name.
    name: String,
    /// Where that stands.
    link: PathBuf,
    /// What it shall mean.
    path: PathBuf,
}

/// What is known of a name.
#[derive(Debug, Default, PartialEq)]
struct Group {
    link: Option<String>,
    manual: bool,
    value: Option<String>,
    choices: Vec<Choice>,
}

#[derive(Debug, Default, PartialEq)]
struct Choice {
    path: String,
    priority: i64,
    followers: Vec<Follower>,
}

impl Module for Alternatives {
    const NAME: &'static str = "alternatives";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let name = self.name.0.as_str();
        // Status 2: there is no such name.
        let group = Group::read(&host.query(&Command::new("update-alternatives", ["--query", name]))?.stdout);
        let path = self.path.display().to_string();
        let now = group.choices.iter().find(|choice| choice.path == path);
        let (mut edits, mut said) = (Vec::new(), Vec::new());
        let mut act = |args: Vec<&str>, diff: Diff, msg: String| {
            edits.push(Edit::run(Command::new("update-alternatives", args), vec![diff], Reach::Stated));
            said.push(msg);
        };
        let priority = self.priority.or(now.map(|now| now.priority)).unwrap_or(50);
        if self.state == State::Absent {
            if now.is_some() {
                let msg = format!("Remove alternative '{path}' from '{name}'.");
                act(
                    vec!["--remove", name, &path],
                    self.diff("priority", Some(priority.to_string()), Shown::Absent),
                    msg,
                );
            }
        } else {
            if now.is_none_or(|now| self.differs(now)) {
                let args = self.install(host, &group, now, priority)?;
                let before = now.map(|now| now.shown());
                let wanted = Choice { path: path.clone(), priority, followers: self.followers(now) };
                let msg = format!("Install alternative '{path}' for '{name}'.");
                act(args.iter().map(String::as_str).collect(), self.diff("priority", before, wanted.shown()), msg);
            }
            let value = Shown::from(group.value.clone());
            if self.state == State::Selected && group.value.as_deref() != Some(&path) {
                let msg = format!("Set alternative '{path}' for '{name}'.");
                let diff = Diff::new(format!("alternative {name}"), "chosen", value, path.as_str());
                act(vec!["--set", name, &path], diff, msg);
            } else if self.state == State::Auto && group.manual {
                let diff = Diff::new(format!("alternative {name}"), "chosen", "by hand", "by priority");
                act(vec!["--auto", name], diff, format!("Set alternative to auto for '{name}'."));
            }
        }
        Ok(Plan { edits, ..Plan::nothing() }.returning("msg", said.join(" ")))
    }

    fn intent(&self) -> Vec<Diff> {
        let after = match self.state {
            State::Absent => Shown::Absent,
            _ => self.priority.map_or(Shown::Unknown, |priority| priority.to_string().into()),
        };
        vec![self.diff("priority", Shown::Unknown, after)]
    }
}

impl Alternatives {
    fn diff(&self, aspect: &str, before: impl Into<Shown>, after: impl Into<Shown>) -> Diff {
        Diff::new(format!("alternative {} {}", self.name.0, self.path.display()), aspect, before, after)
    }

    fn followers(&self, now: Option<&Choice>) -> Vec<Follower> {
        self.subcommands.clone().or(now.map(|now| now.followers.clone())).unwrap_or_default()
    }

    fn differs(&self, now: &Choice) -> bool {
        let sorted = |followers: &[Follower]| {
            let mut all = followers.to_vec();
            all.sort();
            all
        };
        self.priority.is_some_and(|wanted| wanted != now.priority)
            || self.subcommands.as_ref().is_some_and(|wanted| sorted(wanted) != sorted(&now.followers))
    }

    fn install(
        &self,
        host: &dyn Host,
        group: &Group,
        now: Option<&Choice>,
        priority: i64,
    ) -> Result<Vec<String>, Error> {
        let path = self.path.display().to_string();
        if common::resolve(host, &self.path)?.1.is_none() {
            let error = Error::refused(path.as_str(), "does not exist", "install it by an earlier task");
            return Err(error.telling("msg", format!("Specified path {path} does not exist")));
        }
        let link = self.link.as_ref().map(|link| link.display().to_string()).or(group.link.clone());
        let Some(link) = link else {
            let error =
                Error::param("link", format!("is missing: `{}` is a new name; where shall it stand?", self.name.0));
            let msg = "Needed to install the alternative, but unable to do so as we are missing the link";
            return Err(error.telling("msg", msg));
        };
        let mut args = vec!["--install".to_owned(), link, self.name.0.clone(), path, priority.to_string()];
        for Follower { name, link, path } in self.followers(now) {
            args.extend(["--slave".into(), link.display().to_string(), name, path.display().to_string()]);
        }
        Ok(args)
    }
}

impl Choice {
    fn shown(&self) -> String {
        let followers = self.followers.iter().map(|one| format!(", {} {}", one.name, one.path.display()));
        format!("{}{}", self.priority, followers.collect::<String>())
    }
}

impl Group {
    /// What `--query` prints: fields of the name, then a paragraph for each alternative.
    fn read(text: &str) -> Self {
        let mut group = Self::default();
        let mut links: Vec<(&str, &str)> = Vec::new();
        for line in text.lines() {
            let at = group.choices.last_mut();
            match (line.split_once(": "), at) {
                (Some(("Link", link)), None) => group.link = Some(link.into()),
                (Some(("Status", status)), None) => group.manual = status == "manual",
                (Some(("Value", "none")), None) => {}
                (Some(("Value", value)), None) => group.value = Some(value.into()),
                (Some(("Alternative", path)), _) => {
                    group.choices.push(Choice { path: path.into(), ..Choice::default() })
                }
                (Some(("Priority", priority)), Some(choice)) => choice.priority = priority.parse().unwrap_or_default(),
                (_, at) => match (line.strip_prefix(' ').and_then(|line| line.split_once(' ')), at) {
                    (Some(pair), None) => links.push(pair),
                    (Some((name, path)), Some(choice)) => {
                        let link = links.iter().find(|(known, _)| *known == name).map_or("", |(_, link)| link);
                        let link = Path::new(link).into();
                        choice.followers.push(Follower { name: name.into(), link, path: path.into() });
                    }
                    (None, _) => {}
                },
            }
        }
        group
    }
}
