//! `basebackup`: a standby that is a copy of its primary.
//!
//! - [`directory`]: what is in the place of the data directory, and whether it will do; [`source`]: asking the primary.
//! - [`conninfo`] and [`passfile`]: the two texts that tell the standby where to go.

mod conninfo;
mod directory;
mod passfile;
mod source;

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use self::conninfo::Pairs;
use self::directory::Directory;
use self::passfile::Login;
use self::source::{Answer, Identity, Source};
use crate::edit::{Diff, Edit, Meter, Owner, Reach, Shown, Text};
use crate::host::{Command, Error, Host, Kind};
use crate::module::Module;
use crate::plan::Plan;
use crate::secret::Secret;

/// A data directory that is a copy of a running server, ready to be started as its standby: with `standby.signal`,
/// `primary_conninfo` and `primary_slot_name`. Runs as the user that shall own the files (`become_user: postgres`).
///
/// An absent or empty directory is filled by `pg_basebackup`, beside its place and under another name until it is complete. A
/// copy or a standby of the same server stays, and what it is told about its primary is brought up to date. Anything else
/// (another cluster, a copy that was opened read-write or promoted, half a copy) is refused, unless `replace: aside`. Does not
/// start the server. Its configuration must be in place before the first start: without `shared_preload_libraries`, a standby of
/// a server with pg_tde damages its data.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::builtin) struct BaseBackup {
    /// The data directory, an absolute path. Its parent must exist.
    #[schemars(extend("aliases" = ["path", "dest", "pgdata"]))]
    data_directory: PathBuf,
    /// The server to copy: its name or address.
    #[schemars(extend("aliases" = ["host"]))]
    primary_host: String,
    /// Its port.
    #[serde(default = "default_port")]
    #[schemars(extend("aliases" = ["port"]))]
    primary_port: u16,
    /// A role with the attributes LOGIN and REPLICATION.
    user: String,
    /// Its password. Needs `passfile`.
    password: Option<Secret>,
    /// The file from which the standby reads the password (libpq's format), with mode 0600. Other lines in it stay.
    passfile: Option<PathBuf>,
    /// The replication slot that keeps the standby's WAL on the primary. Made if there is none; PostgreSQL 15 or newer.
    slot: Option<String>,
    /// The name by which the primary knows the standby.
    application_name: Option<String>,
    /// How the WAL is had that is written during the copy.
    #[serde(default)]
    wal_method: WalMethod,
    /// Whether the primary hurries with the checkpoint at which a copy begins.
    #[serde(default)]
    checkpoint: Checkpoint,
    /// The directory of `pg_basebackup`, `pg_controldata` and `psql`; without it, they are looked up on the path.
    pg_bin: Option<PathBuf>,
    /// What happens to a directory that will not do.
    #[serde(default)]
    replace: Replace,
    /// libpq's `sslmode`, for the copy and for the standby.
    #[schemars(extend("aliases" = ["sslmode"]))]
    ssl_mode: Option<String>,
    /// A file with the certificates of the authorities to trust.
    #[schemars(extend("aliases" = ["sslrootcert"]))]
    ca_cert: Option<String>,
}

fn default_port() -> u16 {
    5432
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "lowercase")]
enum WalMethod {
    /// Over a second connection, while the copy runs.
    #[default]
    Stream,
    /// At the end. The primary may have removed it by then, and there can be no slot.
    Fetch,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Checkpoint {
    /// At once.
    #[default]
    Fast,
    /// Spread over `checkpoint_completion_target`.
    Spread,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Replace {
    /// The task fails.
    #[default]
    Never,
    /// It is renamed to `DIRECTORY.aside-1` (or the next free number) once the new copy is complete. Never while it is in use.
    Aside,
}

impl Module for BaseBackup {
    const NAME: &'static str = "basebackup";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        self.sound()?;
        let source = self.source();
        let found = directory::look(host, &self.data_directory, self.pg_bin.as_deref())?;
        // A standby is fine while its primary is away; a copy can only be made of one that answers.
        let answer = source.identify(host)?;
        let identity = match &answer {
            Answer::Is(identity) => Some(identity),
            Answer::Away(_) => None,
        };
        match directory::usable(&found, identity) {
            Ok(true) => {
                let mut plan = self.keep(host, &source, identity)?;
                if let Answer::Away(said) = answer {
                    plan.warnings.push(format!("whether this is a standby of {} was not seen: {said}", source.name));
                }
                Ok(plan)
            }
            Ok(false) => self.copy(host, &source, &answer, &found),
            Err(reason) if self.replace == Replace::Aside => {
                self.idle(host, &reason)?;
                self.copy(host, &source, &answer, &found)
            }
            Err(reason) => Err(Error::refused(
                self.subject(),
                reason,
                "move it away, or say `replace: aside`, which keeps it under another name",
            )),
        }
    }

    fn intent(&self) -> Vec<Diff> {
        let mut diffs =
            vec![Diff::new(self.subject(), "state", Shown::Unknown, format!("standby of {}", self.source().name))];
        diffs.extend(
            self.slot.iter().map(|slot| Diff::new(self.slot_subject(slot), "state", Shown::Unknown, "present")),
        );
        diffs
    }

    fn explain(&self, _: &dyn Host, error: &Error) -> Option<String> {
        let Error::Command { output, .. } = error else { return None };
        let known = [
            (
                "is active for PID",
                "another standby uses the slot, or a copy that was killed left its WAL receiver behind: look for \
                 pg_basebackup on this host, and for the PID on the primary",
            ),
            (
                "no pg_hba.conf entry",
                "the primary's pg_hba.conf needs a line `host replication USER ADDRESS scram-sha-256`",
            ),
            ("all replication slots are in use", "raise max_replication_slots on the primary"),
            ("exceeds max_wal_senders", "raise max_wal_senders on the primary"),
        ];
        known.iter().find(|(said, _)| output.stderr.contains(said)).map(|(_, meaning)| (*meaning).into())
    }
}

impl BaseBackup {
    /// What no schema can say about the parameters.
    fn sound(&self) -> Result<(), Error> {
        let name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if !self.data_directory.is_absolute() || self.data_directory.parent().is_none() {
            return Err(Error::param("data_directory", "must be an absolute path below `/`"));
        }
        if self.password.is_some() && self.passfile.is_none() {
            let reason = "is needed with `password`: else it would stand in the clear in postgresql.auto.conf";
            return Err(Error::param("passfile", reason));
        }
        if let Some(slot) =
            self.slot.as_ref().filter(|slot| slot.is_empty() || slot.len() > 63 || !slot.chars().all(name))
        {
            return Err(Error::param(
                "slot",
                format!("`{slot}` cannot be a slot's name: a-z, 0-9 and _, 63 at the most"),
            ));
        }
        if self.slot.is_some() && self.wal_method == WalMethod::Fetch {
            return Err(Error::param("wal_method", "must be `stream` with a slot"));
        }
        Ok(())
    }

    fn subject(&self) -> String {
        format!("cluster {}", self.data_directory.display())
    }

    fn slot_subject(&self, slot: &str) -> String {
        format!("slot {slot} on {}", self.source().name)
    }

    fn source(&self) -> Source<'_> {
        Source {
            bin: self.pg_bin.as_deref(),
            conninfo: self.conninfo(),
            password: self.password.as_ref(),
            passfile: self.passfile.as_deref(),
            name: format!("{}:{}", self.primary_host, self.primary_port),
        }
    }

    /// How the source is reached; all that is written into `primary_conninfo` but the password file.
    fn conninfo(&self) -> Pairs {
        let given = [
            ("host", Some(self.primary_host.clone())),
            ("port", Some(self.primary_port.to_string())),
            ("user", Some(self.user.clone())),
            ("application_name", self.application_name.clone()),
            ("sslmode", self.ssl_mode.clone()),
            ("sslrootcert", self.ca_cert.clone()),
        ];
        given.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
    }

    /// Nothing may be renamed below a running server.
    fn idle(&self, host: &dyn Host, reason: &str) -> Result<(), Error> {
        match host.stat(&self.data_directory.join("postmaster.pid"))? {
            None => Ok(()),
            Some(_) => Err(Error::refused(
                self.subject(),
                format!("{reason}; and it is in use (there is a postmaster.pid)"),
                "stop the server first",
            )),
        }
    }

    /// The password file's edit.
    fn password_file(&self, host: &dyn Host) -> Result<Option<Edit>, Error> {
        let (Some(path), Some(password)) = (&self.passfile, &self.password) else { return Ok(None) };
        let before = host.read(path)?;
        let text = String::from_utf8_lossy(before.as_deref().unwrap_or_default()).into_owned();
        let login = Login { host: &self.primary_host, port: self.primary_port, user: &self.user };
        if let Some(after) = passfile::with_password(&text, login, password.expose()) {
            let (before, after) = (before.map(Text::secret), Text::secret(after));
            let path = path.clone();
            return Ok(Some(Edit::Write { path, before, after, mode: Some(0o600), owner: Owner::default() }));
        }
        // libpq ignores a password file that others may read.
        let open = host.stat(path)?.filter(|stat| stat.mode & 0o077 != 0);
        Ok(open.map(|stat| Edit::Mode { path: path.clone(), before: stat.mode, after: 0o600 }))
    }

    /// A standby or a copy of the source: it is told what it needs to know, and the slot is there.
    fn keep(&self, host: &dyn Host, source: &Source, identity: Option<&Identity>) -> Result<Plan, Error> {
        let mut plan = self.settle(host)?;
        let Some(identity) = identity else { return Ok(plan) };
        if let Some(slot) = &self.slot
            && !source.has_slot(host, slot)?
        {
            let mut command = source.psql(&format!("CREATE_REPLICATION_SLOT \"{slot}\" PHYSICAL RESERVE_WAL"));
            if let Some(passfile) = &self.passfile {
                command = command.env("PGPASSFILE", passfile.display().to_string());
            }
            let effect = vec![Diff::new(self.slot_subject(slot), "state", Shown::Absent, "present")];
            plan.edits.push(run(command, effect, None));
        }
        Ok(returning(plan, identity))
    }

    /// What stands in the directory about its primary.
    fn settle(&self, host: &dyn Host) -> Result<Plan, Error> {
        let mut plan = Plan::nothing();
        plan.edits.extend(self.password_file(host)?);
        let private = |path: PathBuf, before: Option<Vec<u8>>, after: Text| {
            let secret = after.secret;
            let before = before.map(|bytes| Text { bytes, secret });
            Edit::Write { path, before, after, mode: Some(0o600), owner: Owner::default() }
        };
        let signal = self.data_directory.join("standby.signal");
        if host.stat(&signal)?.is_none() {
            plan.edits.push(private(signal, None, Text::plain("")));
        }
        let path = self.data_directory.join("postgresql.auto.conf");
        let before = host.read(&path)?;
        let text = String::from_utf8_lossy(before.as_deref().unwrap_or_default()).into_owned();
        let after = self.settings(&text);
        if after != text {
            let secret = text.contains("password");
            plan.edits.push(private(path, before, Text { bytes: after.into_bytes(), secret }));
            if host.stat(&self.data_directory.join("postmaster.pid"))?.is_some() {
                plan.warnings.push(format!("{} runs: it sees the new settings when it is reloaded", self.subject()));
            }
        }
        Ok(plan)
    }

    /// `postgresql.auto.conf` as it shall be. What else stands in `primary_conninfo` stays, as `pg_basebackup` wrote it.
    fn settings(&self, text: &str) -> String {
        let mut wanted = self.conninfo();
        wanted.extend(self.passfile.iter().map(|path| ("passfile".to_owned(), path.display().to_string())));
        let now = conninfo::setting(text, "primary_conninfo").and_then(|now| conninfo::parse(&now)).unwrap_or_default();
        // They would win over `host` and `passfile`.
        let wins = |key: &str| key == "hostaddr" || key == "password" && self.passfile.is_some();
        let same = wanted.iter().all(|pair| now.contains(pair)) && !now.iter().any(|(key, _)| wins(key));
        let mut text = text.to_owned();
        if !same {
            let ours = |key: &str| wins(key) || wanted.iter().any(|(own, _)| own == key);
            let kept: Pairs = now.into_iter().filter(|(key, _)| !ours(key)).collect();
            let all: Pairs = wanted.iter().cloned().chain(kept).collect();
            text = conninfo::with_setting(&text, "primary_conninfo", &conninfo::format(&all));
        }
        match &self.slot {
            Some(slot) if conninfo::setting(&text, "primary_slot_name").as_ref() != Some(slot) => {
                conninfo::with_setting(&text, "primary_slot_name", slot)
            }
            _ => text,
        }
    }

    /// A new copy: made beside its place, and renamed when it is complete.
    fn copy(&self, host: &dyn Host, source: &Source, answer: &Answer, found: &Directory) -> Result<Plan, Error> {
        let identity = match answer {
            Answer::Is(identity) => identity,
            Answer::Away(said) => return Err(Error::Failed(said.clone())),
        };
        if host.query(&Command::new("id", ["-u"]))?.stdout.trim() == "0" {
            let reason = "root would own the copy, and PostgreSQL would not start on it";
            return Err(Error::refused(
                self.subject(),
                reason,
                "run the task as the server's user: `become_user: postgres`",
            ));
        }
        let copy = beside(&self.data_directory, "trueup-copy");
        let mut plan = Plan::nothing();
        plan.edits.extend(self.password_file(host)?);
        plan.edits.extend(left_over(host, &copy)?);
        plan.edits.push(self.backup(host, source, identity, &copy)?);
        match found {
            Directory::Absent => {}
            // Unlike removing, this cannot take anything with it that came in the meantime.
            Directory::Empty => {
                let effect = vec![Diff::new(self.subject(), "state", "empty directory", Shown::Absent)];
                plan.edits.push(run(Command::new("rmdir", [self.data_directory.display().to_string()]), effect, None));
            }
            Directory::Other | Directory::Partial | Directory::Cluster(_) => {
                let to = free_aside(host, &self.data_directory)?;
                plan.edits.push(Edit::Rename { from: self.data_directory.clone(), to });
            }
        }
        plan.edits.push(Edit::Rename { from: copy, to: self.data_directory.clone() });
        Ok(returning(plan, identity))
    }

    /// `pg_basebackup`. It writes `standby.signal`, `primary_conninfo` (with the password file, as it is given one) and
    /// `primary_slot_name` itself.
    fn backup(&self, host: &dyn Host, source: &Source, identity: &Identity, to: &Path) -> Result<Edit, Error> {
        let wal_method = match self.wal_method {
            WalMethod::Stream => "stream",
            WalMethod::Fetch => "fetch",
        };
        let checkpoint = match self.checkpoint {
            Checkpoint::Fast => "fast",
            Checkpoint::Spread => "spread",
        };
        let mut args = vec![
            format!("--pgdata={}", to.display()),
            format!("--dbname={}", conninfo::format(&source.conninfo)),
            format!("--wal-method={wal_method}"),
            format!("--checkpoint={checkpoint}"),
        ];
        args.extend(["--no-password", "--write-recovery-conf", "--progress", "--verbose"].map(Into::into));
        let state = format!("copy of {}, system {}", source.name, identity.system);
        let mut effect = vec![Diff::new(self.subject(), "state", Shown::Absent, state)];
        if let Some(slot) = &self.slot {
            args.push(format!("--slot={slot}"));
            if !source.has_slot(host, slot)? {
                args.push("--create-slot".into());
                effect.push(Diff::new(self.slot_subject(slot), "state", Shown::Absent, "present"));
            }
        }
        let mut command = Command::new(source.program("pg_basebackup"), args);
        if let Some(passfile) = &self.passfile {
            command = command.env("PGPASSFILE", passfile.display().to_string());
        }
        Ok(run(command, effect, Some(Meter::PgBasebackup)))
    }
}

fn run(command: Command, effect: Vec<Diff>, progress: Option<Meter>) -> Edit {
    Edit::Run { command, effect, makes: Vec::new(), reach: Reach::Stated, progress }
}

fn returning(plan: Plan, identity: &Identity) -> Plan {
    plan.returning("system_identifier", identity.system.clone()).returning("timeline", identity.timeline)
}

/// `/data/main` → `/data/main.SUFFIX`: on the same filesystem, so that it can be renamed.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(suffix);
    path.with_file_name(name)
}

/// An earlier copy that did not come to its end. Only what never ran is removed, whatever its name.
fn left_over(host: &dyn Host, copy: &Path) -> Result<Option<Edit>, Error> {
    let Some(stat) = host.stat(copy)? else { return Ok(None) };
    let subject = || copy.display().to_string();
    if !stat.is_dir() {
        return Err(Error::refused(subject(), "it is in the place of the copy, and no directory", "move it away"));
    }
    for trace in ["postmaster.pid", "postmaster.opts"] {
        if host.stat(&copy.join(trace))?.is_some() {
            let reason = format!("it is in the place of the copy, but a server ran on it (there is a {trace})");
            return Err(Error::refused(subject(), reason, "move it away"));
        }
    }
    Ok(Some(Edit::Remove { path: copy.into(), before: Kind::Dir }))
}

/// The first free name for what is put aside.
fn free_aside(host: &dyn Host, path: &Path) -> Result<PathBuf, Error> {
    for number in 1_u32.. {
        let aside = beside(path, &format!("aside-{number}"));
        if host.stat(&aside)?.is_none() {
            return Ok(aside);
        }
    }
    Err(Error::refused(path.display().to_string(), "there is no free name to put it aside", "remove old ones"))
}
