//! `group`: a group of accounts.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::state::State;
use crate::edit::{Diff, Edit, Reach, Shown};
use crate::facts::{Fact, Group};
use crate::host::{Command, Error, Host, Known, Look, known};
use crate::module::Module;
use crate::param::Word;
use crate::plan::{Data, Plan};

/// A group, there or not. Who is in it is a matter of `user`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GroupModule {
    /// Its name.
    name: Word,
    /// Its number. Chosen when the group is made, if not given.
    gid: Option<u32>,
    /// Make it a system group: with a number from the lower range.
    #[serde(default)]
    system: bool,
    /// Whether it exists.
    #[serde(default)]
    state: State,
    /// Let `gid` be one that another group has.
    #[serde(default)]
    non_unique: bool,
    /// The lowest number for a new group.
    gid_min: Option<u32>,
    /// The highest.
    gid_max: Option<u32>,
    /// Taken for Ansible's sake: groups are always those of this host's files.
    #[serde(default)]
    #[expect(dead_code, reason = "it is what is done")]
    local: bool,
    /// With `state: absent`, remove it though it is the primary group of an account.
    #[serde(default)]
    force: bool,
}

impl Module for GroupModule {
    const NAME: &'static str = "group";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let plan = Plan::nothing().returning("name", self.name.0.as_str());
        let planned = match (self.state, host.group(&self.name.0)?) {
            (State::Absent, None) => return Ok(plan),
            (State::Absent, Some(_)) => self.delete(),
            (State::Present, None) => self.add(host)?,
            (State::Present, Some(group)) if self.gid.is_none_or(|gid| group.gid == Some(gid)) => {
                return Ok(plan);
            }
            (State::Present, Some(group)) => self.renumber(group, host)?,
        };
        Ok(plan.with(planned))
    }

    fn aftermath(&self, host: &dyn Host) -> Look<Data> {
        let mut told = Data::from_iter([
            ("state".to_owned(), json!(self.state.word())),
            ("system".to_owned(), json!(self.system)),
        ]);
        let gid = host.group(&self.name.0)?.and_then(|group| group.gid);
        told.extend(gid.map(|gid| ("gid".to_owned(), json!(gid))));
        Ok(told)
    }

    fn intent(&self) -> Vec<Diff> {
        match self.state {
            State::Present => vec![self.diff("state", Shown::Unknown, "present")],
            State::Absent => vec![self.diff("state", Shown::Unknown, Shown::Absent)],
        }
    }
}

impl GroupModule {
    fn add(&self, host: &dyn Host) -> Result<Edit, Error> {
        self.number_is_free(host)?;
        let mut args = Vec::new();
        args.extend(self.system.then(|| "--system".to_owned()));
        args.extend(self.gid.map(|gid| format!("--gid={gid}")));
        args.extend(self.non_unique.then(|| "--non-unique".to_owned()));
        let limits = [("GID_MIN", self.gid_min), ("GID_MAX", self.gid_max)];
        args.extend(limits.into_iter().filter_map(|(name, limit)| Some(format!("--key={name}={}", limit?))));
        let mut effect = vec![self.diff("state", Shown::Absent, "present")];
        effect.extend(self.gid.map(|gid| self.diff("gid", Shown::Absent, gid.to_string())));
        let group = Group { name: self.name.0.clone(), gid: self.gid, members: Vec::new() };
        Ok(self.edit("groupadd", args, effect, Fact::Group(group)))
    }

    fn renumber(&self, group: Group, host: &dyn Host) -> Result<Edit, Error> {
        self.number_is_free(host)?;
        let number = |gid: Option<u32>| gid.map_or(Shown::Unknown, |gid| Shown::Plain(gid.to_string()));
        let effect = vec![self.diff("gid", number(group.gid), number(self.gid))];
        let unchecked = self.non_unique.then(|| "--non-unique".to_owned());
        let args = self.gid.map(|gid| format!("--gid={gid}")).into_iter().chain(unchecked).collect();
        Ok(self.edit("groupmod", args, effect, Fact::Group(Group { gid: self.gid, ..group })))
    }

    fn delete(&self) -> Edit {
        let effect = vec![self.diff("state", "present", Shown::Absent)];
        let args = self.force.then(|| "--force".to_owned()).into_iter().collect();
        self.edit("groupdel", args, effect, Fact::NoGroup(self.name.0.clone()))
    }

    fn number_is_free(&self, host: &dyn Host) -> Result<(), Error> {
        let Some(gid) = self.gid.filter(|_| !self.non_unique) else { return Ok(()) };
        match known(host.group(&gid.to_string()))? {
            Known::Yes(Some(other)) if other.name != self.name.0 => Err(Error::Refused {
                subject: format!("group {}", self.name.0),
                reason: format!("the number {gid} belongs to the group {}", other.name),
                hint: None,
            }),
            _ => Ok(()),
        }
    }

    fn diff(&self, aspect: &str, before: impl Into<Shown>, after: impl Into<Shown>) -> Diff {
        Diff::new(format!("group {}", self.name.0), aspect, before, after)
    }

    fn edit(&self, program: &str, mut args: Vec<String>, effect: Vec<Diff>, makes: Fact) -> Edit {
        args.extend(["--".into(), self.name.0.clone()]);
        Edit::Run {
            command: Command::new(program, args),
            effect,
            makes: vec![makes],
            reach: Reach::Stated,
            progress: None,
        }
    }
}
