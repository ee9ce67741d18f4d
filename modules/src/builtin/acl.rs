//! `acl`: what other users and groups may do with a file.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::common;
use crate::edit::{Diff, Edit, Reach, Shown};
use crate::host::{Command, Error, Host, Look};
use crate::module::Module;
use crate::param::Word;
use crate::plan::{Data, Plan};

/// An entry of a file's access control list (acl(5)), by getfacl(1) and setfacl(1), which the host must have. Registers the list
/// as `acl`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Acl {
    /// The file.
    #[schemars(extend("aliases" = ["name"]))]
    path: PathBuf,
    /// Whether the entry is there; `query` only asks.
    #[serde(default)]
    state: State,
    /// Whom the entry is about.
    etype: Option<Kind>,
    /// Which user or group.
    #[serde(default = "nobody")]
    entity: Word,
    /// What they may: `r`, `w`, `x` and `X`.
    permissions: Option<Word>,
    /// The entry as setfacl(1) has it, in the place of these three.
    entry: Option<Word>,
    /// Whether it is an entry of what will be made in the directory.
    #[serde(default)]
    default: bool,
    /// Whether it is for all below the directory, too.
    #[serde(default)]
    #[schemars(extend("aliases" = ["recurse"]))]
    recursive: bool,
    /// Whether symbolic links are followed.
    #[serde(default = "common::yes")]
    follow: bool,
    /// Whether the mask is computed anew, which limits what entries allow.
    #[serde(default)]
    recalculate_mask: Recalculate,
    /// Must not be set: lists of NFSv4 are not known.
    #[serde(default)]
    use_nfsv4_acls: bool,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum State {
    /// It is not there.
    Absent,
    /// It is.
    Present,
    /// Nothing is done.
    #[default]
    Query,
}

#[derive(Clone, Copy, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// A group.
    Group,
    /// The mask.
    Mask,
    /// All others.
    Other,
    /// A user.
    User,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Recalculate {
    /// As setfacl(1) does it.
    #[default]
    Default,
    /// It is.
    #[serde(rename = "mask")]
    Always,
    /// It is not.
    #[serde(rename = "no_mask")]
    Never,
}

fn nobody() -> Word {
    Word(String::new())
}

impl Module for Acl {
    const NAME: &'static str = "acl";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        self.possible()?;
        if host.stat(&self.path.join("."))?.is_none() && common::resolve(host, &self.path)?.1.is_none() {
            let error = Error::path("look at", &self.path, "No such file or directory");
            return Err(error.telling("msg", "Path not found or not accessible."));
        }
        let plan = Plan::nothing().returning("acl", json!(self.listed(host)?));
        if self.state == State::Query {
            return Ok(plan.returning("msg", "current acl"));
        }
        let (default, entry) = self.entry()?;
        let command = self.command(default, &entry);
        let mut test = command.clone();
        test.args.insert(0, "--test".into());
        let told = common::asked(host, &test)?;
        let word = if self.state == State::Present { "present" } else { "absent" };
        let plan = plan.returning("msg", format!("{entry} is {word}"));
        if told.lines().filter(|line| !line.starts_with('#')).all(|line| line.trim().ends_with("*,*")) {
            return Ok(plan);
        }
        let after = (self.state == State::Present).then_some(entry.as_str());
        let diff = Diff::new(self.path.display().to_string(), "access control list", Shown::Unknown, after);
        Ok(plan.with(Edit::run(command, vec![diff], Reach::Stated)))
    }

    fn intent(&self) -> Vec<Diff> {
        let entry = self.entry().map(|(_, entry)| entry).unwrap_or_default();
        let after = if self.state == State::Present { Shown::from(entry) } else { Shown::Absent };
        let diff = Diff::new(self.path.display().to_string(), "access control list", Shown::Unknown, after);
        if self.state == State::Query { Vec::new() } else { vec![diff] }
    }

    fn aftermath(&self, host: &dyn Host) -> Look<Data> {
        Ok(Data::from_iter([("acl".to_owned(), json!(self.listed(host)?))]))
    }
}

impl Acl {
    fn possible(&self) -> Result<(), Error> {
        let said = |param: &str, reason: &str, msg: &str| Err(Error::param(param, reason).telling("msg", msg));
        if self.use_nfsv4_acls {
            return Err(Error::param("use_nfsv4_acls", "lists of NFSv4 are not known"));
        }
        let entry = self.entry.as_ref().map(|Word(entry)| entry.matches(':').count());
        match (self.state, entry) {
            (State::Query, _) if self.recursive => {
                said("recursive", "is not for `state: query`", "'recursive' MUST NOT be set when 'state=query'.")
            }
            (State::Query, Some(_)) => {
                said("entry", "is not for `state: query`", "'entry' MUST NOT be set when 'state=query'.")
            }
            (_, Some(_)) if self.etype.is_some() || !self.entity.0.is_empty() || self.permissions.is_some() => said(
                "entry",
                "stands in the place of `etype`, `entity` and `permissions`",
                "'entry' MUST NOT be set when 'entity', 'etype' or 'permissions' are set.",
            ),
            (State::Present, Some(0 | 1 | 4..)) => said(
                "entry",
                "has 3 or 4 parts, as `user:ann:rwx` or `default:user:ann:rwx`",
                "'entry' MUST have 3 or 4 sections divided by ':' when 'state=present'.",
            ),
            (State::Absent, Some(0 | 3..)) => said(
                "entry",
                "has 2 or 3 parts, as `user:ann` or `default:user:ann`",
                "'entry' MUST have 2 or 3 sections divided by ':' when 'state=absent'.",
            ),
            (State::Absent, None) if self.permissions.is_some() => said(
                "permissions",
                "is not for `state: absent`: the whole entry goes",
                "'permissions' MUST NOT be set when 'state=absent'.",
            ),
            (State::Absent, None) if self.entity.0.is_empty() => {
                said("entity", "is missing: whose entry goes?", "'entity' MUST be set when 'state=absent'.")
            }
            (State::Present, None) if self.etype.is_none() => said(
                "etype",
                "is missing: `user`, `group`, `mask` or `other`",
                "'etype' MUST be set when 'state=present'.",
            ),
            (State::Absent, None) if self.etype.is_none() => said(
                "etype",
                "is missing: `user`, `group`, `mask` or `other`",
                "'etype' MUST be set when 'state=absent'.",
            ),
            _ => Ok(()),
        }
    }

    /// Whether it is a default, and the entry as setfacl(1) takes it.
    fn entry(&self) -> Result<(bool, String), Error> {
        let whole = |kind: &str, entity: &str, permissions: Option<&str>| match permissions {
            Some(permissions) if self.state == State::Present && !permissions.is_empty() => {
                format!("{kind}:{entity}:{permissions}")
            }
            _ => format!("{kind}:{entity}"),
        };
        let Some(Word(entry)) = &self.entry else {
            let kind = match self.etype {
                Some(Kind::Group) => "group",
                Some(Kind::Mask) => "mask",
                Some(Kind::Other) => "other",
                Some(Kind::User) | None => "user",
            };
            let permissions = self.permissions.as_ref().map(|Word(permissions)| permissions.as_str());
            return Ok((self.default, whole(kind, &self.entity.0, permissions)));
        };
        let lower = entry.to_lowercase();
        let default = lower.starts_with('d');
        let mut parts = entry.split(':').skip(usize::from(default));
        let [kind, entity, permissions] = [parts.next(), parts.next(), parts.next()];
        let kind = match kind.unwrap_or_default().to_lowercase().chars().next() {
            Some('u') => "user",
            Some('g') => "group",
            Some('m') => "mask",
            Some('o') => "other",
            _ => return Err(Error::param("entry", format!("`{entry}` is about no user, group, mask or other"))),
        };
        Ok((default || self.default, whole(kind, entity.unwrap_or_default(), permissions)))
    }

    fn command(&self, default: bool, entry: &str) -> Command {
        let mut args = Vec::new();
        args.extend(default.then_some("-d"));
        args.extend([if self.state == State::Present { "-m" } else { "-x" }, entry]);
        args.extend(self.recursive.then_some("--recursive"));
        args.extend(match self.recalculate_mask {
            Recalculate::Default => None,
            Recalculate::Always => Some("--mask"),
            Recalculate::Never => Some("--no-mask"),
        });
        args.extend((!self.follow).then_some("--physical"));
        let path = self.path.display().to_string();
        Command::new("setfacl", args.into_iter().chain([path.as_str()]))
    }

    fn listed(&self, host: &dyn Host) -> Result<Vec<String>, Error> {
        let path = self.path.display().to_string();
        let default =
            self.default || self.entry.as_ref().is_some_and(|Word(entry)| entry.to_lowercase().starts_with('d'));
        let flags = [(default, "-d"), (true, "--absolute-names"), (true, "--omit-header")];
        let more = [(self.recursive, "--recursive"), (!self.follow, "--physical")];
        let flags = flags.into_iter().chain(more).filter(|(given, _)| *given).map(|(_, flag)| flag);
        let told = common::asked(host, &Command::new("getfacl", flags.chain([path.as_str()])))?;
        let lines = told.lines().map(str::trim).filter(|line| !line.starts_with('#'));
        let mut lines: Vec<String> = lines.map(str::to_owned).collect();
        if lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        Ok(lines)
    }
}
