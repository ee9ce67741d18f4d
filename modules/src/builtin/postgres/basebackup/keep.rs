//! A directory that will do: what it says about its primary is brought up to date.

use std::path::PathBuf;

use super::conninfo::{self, Pairs};
use super::passfile::{self, Login};
use super::source::{Identity, Slot, Source};
use super::{BaseBackup, returning, run};
use crate::edit::{Diff, Edit, Owner, Shown, Text};
use crate::host::{Error, Host};
use crate::plan::Plan;

impl BaseBackup {
    /// A standby or a copy of the source: it is told what it needs to know, and the slot is there.
    pub(super) fn keep(
        &self,
        host: &dyn Host,
        source: &Source,
        identity: Option<&Identity>,
        slot: Option<Slot>,
    ) -> Result<Plan, Error> {
        let mut plan = self.settle(host)?;
        let Some(identity) = identity else { return Ok(plan) };
        plan.edits.extend(self.make_slot(source, slot));
        Ok(returning(plan, identity))
    }

    /// The slot on the source, if it is not there or keeps nothing. It keeps WAL from the moment it is made.
    pub(super) fn make_slot(&self, source: &Source, now: Option<Slot>) -> Vec<Edit> {
        let (Some(slot), Some(now)) = (&self.slot, now) else { return Vec::new() };
        let psql = |verb: &str| {
            let command = source.psql(verb);
            match &self.passfile {
                Some(passfile) => command.env("PGPASSFILE", passfile.display().to_string()),
                None => command,
            }
        };
        let diff = |before: Shown, after: Shown| vec![Diff::new(self.slot_subject(slot), "state", before, after)];
        let drop = psql(&format!("DROP_REPLICATION_SLOT \"{slot}\""));
        let make = psql(&format!("CREATE_REPLICATION_SLOT \"{slot}\" PHYSICAL RESERVE_WAL"));
        match now {
            Slot::Keeps => Vec::new(),
            Slot::Missing => vec![run(make, diff(Shown::Absent, "present".into()), None)],
            Slot::Empty => vec![
                run(drop, diff("keeps no WAL".into(), Shown::Absent), None),
                run(make, diff(Shown::Absent, "present".into()), None),
            ],
        }
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

    /// The password file's edit.
    pub(super) fn password_file(&self, host: &dyn Host) -> Result<Option<Edit>, Error> {
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
}
