//! What has to be done about one setting.

use std::path::Path;

use super::conf;
use super::seen::Seen;
use super::value::{adds_up, items, join};
use super::{Combine, Scalar};
use crate::edit::{Diff, Shown};
use crate::host::{Error, Host};

/// A setting as it is and shall be.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) name: String,
    /// `None`: as if it had never been set.
    pub(super) wanted: Option<String>,
    /// Whether the files say so already.
    pub(super) holds: bool,
    /// Whether the server has read them.
    pub(super) loaded: bool,
    /// Whether the value is in force only after a restart.
    pub(super) restart: bool,
    /// Whether another value is in force because of the command line.
    pub(super) fixed: bool,
    pub(super) secret: bool,
    before: Option<String>,
    pub(super) seen: Seen,
}

/// Where the setting is to be written.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    /// By `ALTER SYSTEM`.
    System,
    /// Into a file with this text.
    File(&'a Path, &'a str),
}

impl Step {
    pub(super) fn new(
        host: &dyn Host,
        name: &str,
        given: Option<&Scalar>,
        combine: Option<Combine>,
        seen: Seen,
        place: Place,
    ) -> Result<Self, Error> {
        let here = match place {
            Place::File(_, text) => conf::find(text, name).map(|setting| setting.value),
            Place::System => seen.entries.iter().rfind(|entry| entry.is_auto()).map(|entry| entry.value.clone()),
        };
        let base = seen.configured().map(Into::into).or_else(|| here.clone()).unwrap_or_default();
        let wanted = given.map(|given| combined(name, given, combine, &base));
        let kind = &seen.kind;
        if let Some(wanted) = &wanted {
            kind.check(wanted).map_err(|reason| Error::param("value", format!("of `{name}` {reason}")))?;
        }
        let same = |value: Option<&str>| match (&wanted, value) {
            (Some(wanted), Some(value)) => kind.same(wanted, value),
            (wanted, value) => wanted.is_none() && value.is_none(),
        };
        let only_here = given.is_none() || matches!(place, Place::File(..)) && !is_combined(name, combine);
        let holds = if only_here || here.is_some() { same(here.as_deref()) } else { same(seen.configured()) };
        if let Place::File(path, _) = place {
            not_overruled(host, name, &seen, path, holds, &same)?;
        }
        // What is in force once this is done and loaded.
        let others = seen.entries.iter().rfind(|entry| match place {
            Place::System => !entry.is_auto(),
            Place::File(path, _) => !entry.is_in(host, path),
        });
        let next = wanted.clone().or_else(|| others.map(|entry| entry.value.clone())).or_else(|| seen.boot.clone());
        let agrees = match (&next, &seen.running) {
            (Some(next), Some(running)) => kind.same(next, running),
            _ => true,
        };
        // What a database, a role or this session has of its own says nothing about the files.
        let of_files = matches!(seen.source.as_str(), "default" | "configuration file");
        Ok(Self {
            name: name.into(),
            holds,
            loaded: agrees || seen.context == "postmaster" || !of_files,
            restart: !agrees && seen.context == "postmaster",
            fixed: !agrees && seen.source == "command line",
            secret: given.is_some_and(|given| given.secret),
            before: here.or_else(|| seen.winner().map(|entry| entry.value.clone())).or_else(|| seen.shown.clone()),
            wanted,
            seen,
        })
    }

    /// `restart`, `reload`, `nothing`; or that the server does not know the setting yet.
    pub(super) fn takes(&self) -> &'static str {
        match (self.seen.context.as_str(), self.restart, self.holds && self.loaded) {
            (_, true, _) => "restart",
            (_, _, true) => "nothing",
            ("", ..) => "unknown",
            ("postmaster", ..) => "nothing",
            _ => "reload",
        }
    }

    pub(super) fn diff(&self) -> Diff {
        let shown = |value: &Option<String>| match value {
            Some(_) if self.secret => Shown::Redacted,
            value => Shown::from(value.clone()),
        };
        let aspect = match self.takes() {
            "restart" => "value (takes a restart)",
            "reload" => "value (takes a reload)",
            _ => "value",
        };
        Diff::new(format!("setting {}", self.name), aspect, shown(&self.before), shown(&self.wanted))
    }

    /// A value that the files hold, and the server has not read.
    pub(super) fn load_diff(&self) -> Diff {
        let running = if self.secret { Shown::Redacted } else { self.seen.shown.clone().into() };
        let wanted = if self.secret { Shown::Redacted } else { self.wanted.clone().into() };
        Diff::new(format!("setting {}", self.name), "in force", running, wanted)
    }
}

fn is_combined(name: &str, combine: Option<Combine>) -> bool {
    combine.map_or(adds_up(name), |combine| combine != Combine::Exact)
}

/// What is asked for, with what is there where it is a list that is added to or taken from.
fn combined(name: &str, given: &Scalar, combine: Option<Combine>, base: &str) -> String {
    let (mut list, given_items) = (items(base), items(&given.text));
    match combine.unwrap_or(if adds_up(name) { Combine::Add } else { Combine::Exact }) {
        Combine::Exact => return given.text.clone(),
        Combine::Add => {
            for item in given_items {
                if !list.contains(&item) {
                    list.push(item);
                }
            }
        }
        Combine::Remove => list.retain(|item| !given_items.contains(item)),
    }
    join(&list)
}

/// Refuses a file whose line would not decide.
fn not_overruled(
    host: &dyn Host,
    name: &str,
    seen: &Seen,
    path: &Path,
    holds: bool,
    same: &dyn Fn(Option<&str>) -> bool,
) -> Result<(), Error> {
    let Some(winner) = seen.winner().filter(|winner| !winner.is_in(host, path)) else { return Ok(()) };
    if same(None) || same(Some(&winner.value)) || !(winner.is_auto() || holds) {
        return Ok(());
    }
    let hint = match winner.is_auto() {
        true => "remove it there by a `pg_setting` task without `path` that says `state: absent`",
        false => "set it there, or in a file that is read later",
    };
    Err(Error::refused(
        format!("setting {name}"),
        format!(
            "{} line {} sets it too, and is read later than {}",
            winner.file.display(),
            winner.line,
            path.display()
        ),
        hint,
    ))
}
