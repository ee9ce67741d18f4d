//! `user`: an account, its groups and its password.

mod key;
mod password;

use std::collections::BTreeSet;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::state::State;
use crate::edit::{Diff, Edit, Reach, Shown};
use crate::facts::{Fact, Group, User};
use crate::host::{Command, Error, Host, Input, Known, Look, known};
use crate::module::Module;
use crate::param::Word;
use crate::plan::{Data, Plan};
use crate::secret::Secret;

use password::{Days, days, is_hash, shadow};

/// An account of this host, there or not. What is not given is chosen by useradd(8), and left alone afterwards.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UserModule {
    /// Login name.
    #[schemars(extend("aliases" = ["user"]))]
    name: Word,
    /// Its number.
    uid: Option<u32>,
    /// The primary group, by name or number. A group of the account's own name, if not given.
    group: Option<Word>,
    /// The other groups that it is in: exactly these, or at least these with `append`.
    groups: Option<Vec<Word>>,
    /// Leave other groups that it is in.
    #[serde(default)]
    append: bool,
    /// Home directory.
    home: Option<Word>,
    /// When `home` changes, move what is in the old one.
    #[serde(default)]
    move_home: bool,
    /// Login shell.
    shell: Option<Word>,
    /// The comment field, usually a person's name.
    comment: Option<Word>,
    /// Make it a system account: with a number from the lower range.
    #[serde(default)]
    system: bool,
    /// Make the home directory when the account is made.
    #[serde(default = "yes")]
    #[schemars(extend("aliases" = ["createhome"]))]
    create_home: bool,
    /// A hash as crypt(3) makes it, not the password itself; `!` or `*` for none that fits.
    password: Option<Secret>,
    /// When the password is set.
    #[serde(default)]
    update_password: When,
    /// Whether it exists.
    #[serde(default)]
    state: State,
    /// With `state: absent`, remove the home directory too.
    #[serde(default)]
    remove: bool,
    /// With `state: absent`, remove it also while it is logged in, and what is its though it lies elsewhere.
    #[serde(default)]
    force: bool,
    /// Let `uid` be one that another account has.
    #[serde(default)]
    non_unique: bool,
    /// What a new home directory is filled with; that of useradd(8) by default, which is /etc/skel.
    skeleton: Option<Word>,
    /// Whether the password is locked, so that nobody can log in by it.
    password_lock: Option<bool>,
    /// When the account expires, in seconds since 1970; negative for never.
    expires: Option<f64>,
    /// Days until the password must be changed; -1 for never.
    password_expire_max: Option<i64>,
    /// Days until the password may be changed again.
    password_expire_min: Option<i64>,
    /// Days before it must be changed on which the account is warned.
    password_expire_warn: Option<i64>,
    /// Days after the password ran out until the account is disabled; -1 for never.
    password_expire_account_disable: Option<i64>,
    /// The umask by which the mode of a new home directory is found.
    umask: Option<Word>,
    /// The lowest number for a new account.
    uid_min: Option<u32>,
    /// The highest.
    uid_max: Option<u32>,
    /// The account's user for SELinux.
    seuser: Option<Word>,
    /// Whether to make an SSH key for the account if it has none.
    #[serde(default)]
    generate_ssh_key: bool,
    /// Of which kind: `rsa` by default.
    ssh_key_type: Option<Word>,
    /// How long, in bits; as ssh-keygen(1) thinks best, if not given.
    ssh_key_bits: Option<u32>,
    /// Where, relative to the home directory: `.ssh/id_KIND` by default.
    ssh_key_file: Option<PathBuf>,
    /// Its comment; `ansible-generated on HOST` by default.
    ssh_key_comment: Option<Word>,
    /// What the private key is sealed with; by default it is not.
    ssh_key_passphrase: Option<Secret>,
    /// Taken for Ansible's sake: accounts are always those of this host's files.
    #[serde(default)]
    #[expect(dead_code, reason = "it is what is done")]
    local: bool,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum When {
    /// Whenever it differs.
    #[default]
    Always,
    /// Only when the account is made.
    OnCreate,
}

/// Supplementary groups.
struct Groups {
    now: BTreeSet<String>,
    wanted: BTreeSet<String>,
}

/// Whether an account is in a group.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Belongs {
    Member,
    Not,
}

fn yes() -> bool {
    true
}

impl Module for UserModule {
    const NAME: &'static str = "user";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let plan = Plan::nothing().returning("name", self.name.0.as_str());
        match (self.state, host.user(&self.name.0)?) {
            (State::Absent, None) => Ok(plan),
            (State::Absent, Some(_)) => {
                Ok(plan.with(self.delete()).returning("force", self.force).returning("remove", self.remove))
            }
            (State::Present, found) => {
                self.check(host)?;
                let mut plan = plan;
                plan.edits.extend(match &found {
                    None => Some(self.add(host)?),
                    Some(user) => self.modify(user, host)?,
                });
                plan.edits.extend(self.set_password(found.is_some(), host)?);
                plan.edits.extend(self.lock(found.is_some(), host)?);
                plan.edits.extend(self.expire(found.is_some(), host)?);
                plan.edits.extend(self.age(found.is_some(), host)?);
                let home = text(self.home.as_ref()).or_else(|| found.as_ref().map(|user| user.home.clone()));
                let keeper = User {
                    name: self.name.0.clone(),
                    gid: found.as_ref().and_then(|user| user.gid),
                    home: home.unwrap_or_else(|| format!("/home/{}", self.name.0)),
                    ..User::default()
                };
                plan.edits.extend(self.make_key(&keeper, host)?);
                Ok(match found {
                    Some(_) => plan.returning("append", self.append).returning("move_home", self.move_home),
                    None => plan.returning("system", self.system).returning("create_home", self.create_home),
                })
            }
        }
    }

    fn aftermath(&self, host: &dyn Host) -> Look<Data> {
        let mut told = Data::from_iter([("state".to_owned(), json!(self.state.word()))]);
        let Some(user) = host.user(&self.name.0)?.filter(|_| self.state == State::Present) else { return Ok(told) };
        let pairs = [
            ("uid", json!(user.uid)),
            ("group", json!(user.gid)),
            ("comment", json!(user.gecos)),
            ("home", json!(user.home)),
            ("shell", json!(user.shell)),
        ];
        told.extend(pairs.map(|(name, value)| (name.to_owned(), value)));
        told.extend(self.groups.as_deref().map(|groups| ("groups".to_owned(), json!(join(groups)))));
        told.extend(self.tell_key(&user, host)?);
        told.extend(self.password.as_ref().map(|_| ("password".to_owned(), json!("NOT_LOGGING_PASSWORD"))));
        Ok(told)
    }

    fn intent(&self) -> Vec<Diff> {
        match self.state {
            State::Present => vec![self.diff("state", Shown::Unknown, "present")],
            State::Absent => vec![self.diff("state", Shown::Unknown, Shown::Absent)],
        }
    }
}

impl UserModule {
    /// That the groups exist, the number is free, and the password is a hash.
    fn check(&self, host: &dyn Host) -> Result<(), Error> {
        let refused = |reason: String, hint: Option<&str>| {
            Err(Error::Refused { subject: format!("user {}", self.name.0), reason, hint: hint.map(Into::into) })
        };
        for Word(group) in self.groups.iter().flatten().chain(&self.group) {
            if known(host.group(group))? == Known::Yes(None) {
                return refused(format!("there is no group `{group}`"), Some("make it with `group` first"));
            }
        }
        if let Some(uid) = self.uid.filter(|_| !self.non_unique) {
            match known(host.user(&uid.to_string()))? {
                Known::Yes(Some(other)) if other.name != self.name.0 => {
                    return refused(format!("the number {uid} belongs to the account {}", other.name), None);
                }
                _ => {}
            }
        }
        match &self.password {
            Some(password) if !is_hash(password.expose()) => refused(
                "`password` is not a hash as crypt(3) makes it".into(),
                Some("hash it: `{{ password | password_hash('sha512', salt) }}`"),
            ),
            _ => Ok(()),
        }
    }

    fn add(&self, host: &dyn Host) -> Result<Edit, Error> {
        let name = &self.name.0;
        // useradd refuses to make a group that is there already.
        let own_group = known(host.group(name))?;
        let group = self.group.clone().or_else(|| matches!(own_group, Known::Yes(Some(_))).then(|| self.name.clone()));
        let mut args = vec![if self.create_home { "--create-home".to_owned() } else { "--no-create-home".into() }];
        args.extend(self.system.then(|| "--system".to_owned()));
        args.extend(self.non_unique.then(|| "--non-unique".to_owned()));
        args.extend(self.skeleton.as_ref().map(|Word(skeleton)| format!("--skel={skeleton}")));
        let limits = [("UID_MIN", self.uid_min), ("UID_MAX", self.uid_max)];
        let limits = limits.into_iter().filter_map(|(name, limit)| Some(format!("--key={name}={}", limit?)));
        args.extend(limits.chain(self.umask.as_ref().map(|Word(umask)| format!("--key=UMASK={umask}"))));
        args.extend(self.seuser.as_ref().map(|Word(user)| format!("--selinux-user={user}")));
        let mut effect = vec![self.diff("state", Shown::Absent, "present")];
        let mut set = |flag: &str, aspect: &str, value: Option<String>| {
            let Some(value) = value else { return };
            args.push(format!("--{flag}={value}"));
            effect.push(self.diff(aspect, Shown::Absent, value));
        };
        set("uid", "uid", self.uid.map(|uid| uid.to_string()));
        set("gid", "group", text(group.as_ref()));
        set("groups", "groups", self.groups.as_deref().filter(|groups| !groups.is_empty()).map(join));
        set("home-dir", "home", text(self.home.as_ref()));
        set("shell", "shell", text(self.shell.as_ref()));
        set("comment", "comment", text(self.comment.as_ref()));
        let user = User {
            name: name.clone(),
            uid: self.uid,
            gid: match &group {
                Some(Word(group)) => gid(group, host)?,
                None => None,
            },
            gecos: text(self.comment.as_ref()).unwrap_or_default(),
            home: text(self.home.as_ref()).unwrap_or_else(|| format!("/home/{name}")),
            shell: text(self.shell.as_ref()).unwrap_or_default(),
        };
        let mut makes = vec![Fact::User(user)];
        if group.is_none() {
            makes.push(Fact::Group(Group { name: name.clone(), gid: None, members: Vec::new() }));
        }
        if let Some(Groups { wanted, .. }) = self.groups_due(host)? {
            makes.extend(self.members_of(&wanted, host, Belongs::Member)?);
        }
        Ok(self.edit("useradd", args, effect, makes))
    }

    fn modify(&self, user: &User, host: &dyn Host) -> Result<Option<Edit>, Error> {
        let mut after = user.clone();
        let mut args = Vec::new();
        let mut effect = Vec::new();
        let mut set = |flag: &str, aspect: &str, before: Shown, wanted: String| {
            args.push(format!("--{flag}={wanted}"));
            effect.push(self.diff(aspect, before, wanted));
        };
        if let Some(uid) = self.uid.filter(|uid| user.uid != Some(*uid)) {
            set("uid", "uid", user.uid.map_or(Shown::Unknown, |uid| uid.to_string().into()), uid.to_string());
            after.uid = Some(uid);
        }
        if let Some(Word(group)) = &self.group {
            let wanted = gid(group, host)?;
            if wanted.is_none() || wanted != user.gid {
                set("gid", "group", group_name(user.gid, host)?, group.clone());
                after.gid = wanted;
            }
        }
        for (flag, aspect, wanted, field) in [
            ("home", "home", &self.home, &mut after.home),
            ("shell", "shell", &self.shell, &mut after.shell),
            ("comment", "comment", &self.comment, &mut after.gecos),
        ] {
            let Some(Word(wanted)) = wanted else { continue };
            if field != wanted {
                set(flag, aspect, field.as_str().into(), wanted.clone());
                field.clone_from(wanted);
            }
        }
        let mut makes = Vec::new();
        if let Some(Groups { now, wanted }) = self.groups_due(host)? {
            let list = |groups: &BTreeSet<String>| groups.iter().cloned().collect::<Vec<_>>().join(",");
            let seen = (!now.is_empty()).then(|| list(&now));
            set("groups", "groups", seen.into(), list(&wanted));
            let left = now.difference(&wanted).cloned().collect();
            makes.extend(self.members_of(&wanted, host, Belongs::Member)?);
            makes.extend(self.members_of(&left, host, Belongs::Not)?);
        }
        if effect.is_empty() {
            return Ok(None);
        }
        if self.non_unique && after.uid != user.uid {
            args.push("--non-unique".into());
        }
        if self.move_home && after.home != user.home {
            args.push("--move-home".into());
        }
        makes.push(Fact::User(after));
        Ok(Some(self.edit("usermod", args, effect, makes)))
    }

    /// The supplementary groups now and as they shall be, where that differs.
    fn groups_due(&self, host: &dyn Host) -> Result<Option<Groups>, Error> {
        let Some(groups) = &self.groups else { return Ok(None) };
        let now = host.memberships(&self.name.0)?;
        let mut wanted = BTreeSet::new();
        for Word(group) in groups {
            // By its name, should it be given by number.
            wanted.insert(match known(host.group(group))? {
                Known::Yes(Some(found)) => found.name,
                _ => group.clone(),
            });
        }
        if self.append {
            wanted.extend(now.iter().cloned());
        }
        Ok((now != wanted).then_some(Groups { now, wanted }))
    }

    /// Groups as they will be, with or without this member.
    fn members_of(&self, groups: &BTreeSet<String>, host: &dyn Host, belongs: Belongs) -> Result<Vec<Fact>, Error> {
        let mut facts = Vec::new();
        for group in groups {
            if let Known::Yes(Some(mut group)) = known(host.group(group))? {
                group.members.retain(|member| *member != self.name.0);
                if belongs == Belongs::Member {
                    group.members.push(self.name.0.clone());
                }
                facts.push(Fact::Group(group));
            }
        }
        Ok(facts)
    }

    /// By chpasswd(8), which reads the hash from its input: arguments can be seen by everybody.
    fn set_password(&self, exists: bool, host: &dyn Host) -> Result<Option<Edit>, Error> {
        let Some(password) = &self.password else { return Ok(None) };
        // The mark of a lock is not a part of the hash where the lock is a matter of its own.
        let hash = |text: &Secret| match self.password_lock {
            Some(_) => text.expose().trim_start_matches('!').to_owned(),
            None => text.expose().to_owned(),
        };
        let same = || Ok::<_, Error>(shadow(&self.name.0, host)?.as_ref().map(hash) == Some(hash(password)));
        if exists && (self.update_password == When::OnCreate || same()?) {
            return Ok(None);
        }
        let line = Secret::new(format!("{}:{}\n", self.name.0, password.expose()));
        let before = if exists { Shown::Redacted } else { Shown::Absent };
        let command = Command { stdin: Some(Input::Secret(line)), ..Command::new("chpasswd", ["--encrypted"]) };
        Ok(Some(Edit::run(command, vec![self.diff("password", before, Shown::Redacted)], Reach::Stated)))
    }

    /// A password is locked by a `!` before its hash (usermod(8)).
    fn lock(&self, exists: bool, host: &dyn Host) -> Result<Option<Edit>, Error> {
        let Some(wanted) = self.password_lock else { return Ok(None) };
        let hash = if exists { shadow(&self.name.0, host)? } else { None };
        let locked = hash.as_ref().is_none_or(|hash| hash.expose().starts_with('!'));
        // A new account has no password that could be locked.
        if wanted == locked || (!exists && self.password.is_none()) {
            return Ok(None);
        }
        let (flag, before, after) = if wanted { ("--lock", "open", "locked") } else { ("--unlock", "locked", "open") };
        let effect = vec![self.diff("password lock", before, after)];
        Ok(Some(self.edit("usermod", vec![flag.into()], effect, Vec::new())))
    }

    /// In days since 1970, as shadow(5) has it.
    fn expire(&self, exists: bool, host: &dyn Host) -> Result<Option<Edit>, Error> {
        let Some(seconds) = self.expires else { return Ok(None) };
        #[expect(clippy::cast_possible_truncation, reason = "a day that far away is never")]
        let wanted = (seconds >= 0.0).then(|| (seconds / 86_400.0).floor() as i64);
        let now = if exists { days(Days::Expiry, &self.name.0, host)? } else { None };
        if wanted == now {
            return Ok(None);
        }
        let day = |day: Option<i64>| day.map_or("never".to_owned(), |day| format!("day {day}"));
        let value = wanted.map(|day| day.to_string()).unwrap_or_default();
        let effect = vec![self.diff("expires", day(now), day(wanted))];
        Ok(Some(self.edit("usermod", vec![format!("--expiredate={value}")], effect, Vec::new())))
    }

    /// How old the password may become, by chage(1).
    fn age(&self, exists: bool, host: &dyn Host) -> Result<Option<Edit>, Error> {
        let (mut args, mut effect) = (Vec::new(), Vec::new());
        for (flag, aspect, wanted, which) in [
            ("--mindays", "least days of the password", self.password_expire_min, Days::Least),
            ("--maxdays", "most days of the password", self.password_expire_max, Days::Most),
            ("--warndays", "days of warning", self.password_expire_warn, Days::Warning),
            ("--inactive", "days until it is disabled", self.password_expire_account_disable, Days::Grace),
        ] {
            let Some(wanted) = wanted else { continue };
            let now = if exists { days(which, &self.name.0, host)? } else { None };
            if now.unwrap_or(-1) != wanted || !exists {
                args.push(format!("{flag}={wanted}"));
                effect.push(self.diff(aspect, now.map(|now| now.to_string()), wanted.to_string()));
            }
        }
        Ok((!args.is_empty()).then(|| self.edit("chage", args, effect, Vec::new())))
    }

    fn delete(&self) -> Edit {
        let effect = vec![self.diff("state", "present", Shown::Absent)];
        let flags = [(self.force, "--force"), (self.remove, "--remove")];
        let args = flags.iter().filter(|(given, _)| *given).map(|(_, flag)| (*flag).to_owned()).collect();
        self.edit("userdel", args, effect, vec![Fact::NoUser(self.name.0.clone())])
    }

    fn diff(&self, aspect: &str, before: impl Into<Shown>, after: impl Into<Shown>) -> Diff {
        Diff::new(format!("user {}", self.name.0), aspect, before, after)
    }

    fn edit(&self, program: &str, mut args: Vec<String>, effect: Vec<Diff>, makes: Vec<Fact>) -> Edit {
        args.extend(["--".into(), self.name.0.clone()]);
        Edit::Run { command: Command::new(program, args), effect, makes, reach: Reach::Stated, progress: None }
    }
}

fn text(word: Option<&Word>) -> Option<String> {
    word.map(|Word(text)| text.clone())
}

fn join(groups: &[Word]) -> String {
    groups.iter().map(|Word(group)| group.as_str()).collect::<Vec<_>>().join(",")
}

/// The number of a group that is given by name or number; `None` where only a run will tell.
fn gid(group: &str, host: &dyn Host) -> Result<Option<u32>, Error> {
    Ok(match known(host.group(group))? {
        Known::Yes(found) => found.and_then(|found| found.gid),
        Known::No(_) => None,
    })
}

fn group_name(gid: Option<u32>, host: &dyn Host) -> Result<Shown, Error> {
    let Some(gid) = gid else { return Ok(Shown::Unknown) };
    Ok(match known(host.group(&gid.to_string()))? {
        Known::Yes(Some(group)) => group.name.into(),
        _ => gid.to_string().into(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fake::Fake;

    #[test]
    fn a_hash_goes_in_over_stdin() {
        let host = Fake::new().answer("getent passwd -- ann", 0, "ann:x:1000:1000::/home/ann:/bin/sh");
        let module: UserModule = serde_json::from_value(json!({"name": "ann", "password": "!"})).unwrap();
        let plan = module.plan(&host).unwrap();
        let [Edit::Run { command, .. }] = &plan.edits[..] else { panic!("{plan:?}") };
        assert_eq!(command.stdin, Some(Input::Secret(Secret::new("ann:!\n"))));
    }
}
