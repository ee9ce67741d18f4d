//! Asking the source, over a replication connection: the replication role may ask nothing else.

use std::path::Path;

use super::conninfo::{self, Pairs};
use crate::host::{Command, Error, Host, Input, Look, Output};
use crate::secret::Secret;

/// The server to be copied, and how to log in to it.
pub(super) struct Source<'a> {
    /// `psql` and `pg_basebackup` are here; `None`: on the path.
    pub(super) bin: Option<&'a Path>,
    /// Everything but the password.
    pub(super) conninfo: Pairs,
    /// Used for asking: the password file may not have been written yet.
    pub(super) password: Option<&'a Secret>,
    pub(super) passfile: Option<&'a Path>,
    /// `10.0.0.1:5432`, for messages.
    pub(super) name: String,
}

/// What `IDENTIFY_SYSTEM` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// All copies of a cluster have the same.
    pub(super) system: String,
    /// Goes up with each promotion.
    pub(super) timeline: u32,
}

/// The answer to the question who the source is.
pub(super) enum Answer {
    /// That one.
    Is(Identity),
    /// It could not be reached; and what was said.
    Away(String),
}

/// A slot on the source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Slot {
    /// There is none of that name.
    Missing,
    /// It keeps WAL.
    Keeps,
    /// It keeps none: it lost what it kept (`max_slot_wal_keep_size`), or was never used.
    Empty,
}

/// How long the source may take to answer, seconds.
const TIMEOUT: &str = "10";

impl Source<'_> {
    /// A program of PostgreSQL's.
    pub(super) fn program(&self, name: &str) -> String {
        program(self.bin, name)
    }

    /// Who the source is.
    pub(super) fn identify(&self, host: &dyn Host) -> Look<Answer> {
        let row = match self.ask(host, "IDENTIFY_SYSTEM")? {
            Ok(row) => row,
            Err(said) => return Ok(Answer::Away(said)),
        };
        match (row.first(), row.get(1).and_then(|timeline| timeline.parse().ok())) {
            (Some(system), Some(timeline)) => Ok(Answer::Is(Identity { system: system.clone(), timeline })),
            _ => Err(Error::Failed(format!("{} did not say who it is: {}", self.name, row.join("|")))),
        }
    }

    /// The slot. PostgreSQL 15 is the first that can say.
    pub(super) fn slot(&self, host: &dyn Host, slot: &str) -> Look<Slot> {
        let row = self.ask(host, &format!("READ_REPLICATION_SLOT \"{slot}\""))?.map_err(Error::Failed)?;
        let keeps = row.get(1).is_some_and(|lsn| !lsn.is_empty());
        match row.first().map(String::as_str) {
            Some("physical") => Ok(if keeps { Slot::Keeps } else { Slot::Empty }),
            None | Some("") => Ok(Slot::Missing),
            Some(kind) => Err(Error::refused(
                format!("slot {slot} on {}", self.name),
                format!("it is a {kind} slot; a standby needs a physical one"),
                "give another name",
            )),
        }
    }

    /// Whether the source encrypts its WAL with that extension.
    pub(super) fn encrypts_wal(&self, host: &dyn Host, extension: &str) -> Look<bool> {
        let command = self.psql(&format!("SHOW \"{extension}.wal_encrypt\""));
        let output = host.query(&self.with_password(command))?;
        let unknown = output.stderr.contains("unrecognized configuration parameter");
        match output.success() || unknown {
            true => Ok(output.stdout.trim() == "on"),
            false => Err(self.refusal(&output)),
        }
    }

    /// How large all databases are together, as `pg_size_pretty` writes it. The replication protocol has no such question, so
    /// it takes a line in pg_hba.conf that lets the role into the database `postgres`; `None` without one.
    pub(super) fn size(&self, host: &dyn Host) -> Look<Option<String>> {
        let question = "SELECT pg_size_pretty(sum(pg_database_size(oid))) FROM pg_database";
        let command = self.with_password(self.connecting(&[("dbname", "postgres")], question));
        match host.query(&command) {
            Ok(output) if output.success() => Ok(Some(output.stdout.trim().to_owned()).filter(|size| !size.is_empty())),
            Err(error @ Error::Unknown(_)) => Err(error),
            _ => Ok(None),
        }
    }

    /// `psql` that executes a command of the replication protocol.
    pub(super) fn psql(&self, command: &str) -> Command {
        self.connecting(&[("replication", "true")], command)
    }

    fn connecting(&self, to: &[(&str, &str)], command: &str) -> Command {
        let mut pairs = self.conninfo.clone();
        let more = to.iter().chain(&[("connect_timeout", TIMEOUT)]);
        pairs.extend(more.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let target = format!("--dbname={}", conninfo::format(&pairs));
        let options = ["--no-psqlrc", "--no-align", "--tuples-only", "--no-password", &target, "--command", command];
        Command::new(self.program("psql"), options)
    }

    fn with_password(&self, mut command: Command) -> Command {
        match (self.password, self.passfile) {
            (Some(password), _) => drop(command.env.insert("PGPASSWORD".into(), Input::Secret(password.clone()))),
            (None, Some(passfile)) => command = command.env("PGPASSFILE", passfile.display().to_string()),
            (None, None) => {}
        }
        command
    }

    /// The answer's columns. The inner error: the source is away.
    fn ask(&self, host: &dyn Host, question: &str) -> Look<Result<Vec<String>, String>> {
        let output = host.query(&self.with_password(self.psql(question)))?;
        if output.success() {
            return Ok(Ok(output.stdout.trim_end_matches('\n').split('|').map(str::to_owned).collect()));
        }
        match is_away(&output) {
            true => Ok(Err(format!("cannot ask {}{}", self.name, output.last_words()))),
            false => Err(self.refusal(&output)),
        }
    }

    fn refusal(&self, output: &Output) -> Error {
        let hint = meaning(&output.stderr).map(Into::into);
        Error::Unanswered { server: self.name.clone(), reason: output.last_words(), hint }
    }
}

/// psql(1) ends with 2 if there is no connection. A server that says why (a wrong password, no line in pg_hba.conf) is not
/// away, unless it says that it has just come or is about to go.
fn is_away(output: &Output) -> bool {
    let passing = ["starting up", "shutting down", "in recovery mode", "not yet accepting connections"];
    let reason = output.stderr.split_once("FATAL:").or_else(|| output.stderr.split_once("ERROR:"));
    output.status == 2 && reason.is_none_or(|(_, reason)| passing.iter().any(|state| reason.contains(state)))
}

/// What can be done about what the source, or `pg_basebackup`, says.
pub(super) fn meaning(said: &str) -> Option<&'static str> {
    let known = [
        (
            "is active for PID",
            "another standby uses the slot, or a copy that was killed left its WAL receiver behind: look for pg_basebackup \
             on this host, and for the PID on the primary",
        ),
        (
            "no pg_hba.conf entry",
            "the primary's pg_hba.conf needs a line `host replication USER ADDRESS scram-sha-256`",
        ),
        ("password authentication failed", "the role has another password on the primary, or there is no such role"),
        ("must be superuser or replication role", "the role needs the attribute REPLICATION"),
        (
            "exists but is not empty",
            "a tablespace would lie where there is something already: map it to a free directory with `tablespaces`",
        ),
        ("all replication slots are in use", "raise max_replication_slots on the primary"),
        ("exceeds max_wal_senders", "raise max_wal_senders on the primary"),
        ("syntax error", "PostgreSQL 15 is the first that can be asked for a slot over a replication connection"),
    ];
    known.iter().find(|(words, _)| said.contains(words)).map(|(_, meaning)| *meaning)
}

pub(super) fn program(bin: Option<&Path>, name: &str) -> String {
    bin.map_or_else(|| name.into(), |bin| bin.join(name).display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_refuses_is_not_away() {
        let table = [
            (2, "psql: error: connection to server at \"db1\", port 5432 failed: Connection refused", true),
            (2, "psql: error: could not translate host name \"db1\" to address", true),
            (2, "psql: error: … failed: FATAL:  the database system is starting up", true),
            (2, "psql: error: … failed: FATAL:  password authentication failed for user \"rep\"", false),
            (2, "psql: error: … failed: FATAL:  no pg_hba.conf entry for replication connection from host", false),
            (1, "ERROR:  syntax error", false),
        ];
        for (status, stderr, away) in table {
            let output = Output { status, stderr: stderr.into(), ..Output::default() };
            assert_eq!(is_away(&output), away, "{stderr}");
        }
    }
}
