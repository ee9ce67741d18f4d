//! A new copy: made beside its place, and renamed when it is complete.

use std::path::{Path, PathBuf};

use super::directory::Directory;
use super::source::{Answer, Identity, Slot, Source};
use super::{BaseBackup, Checkpoint, Cipher, WalMethod, conninfo, returning, run};
use crate::edit::{Diff, Edit, Meter, Shown};
use crate::host::{Command, Error, Host, Input, Kind, Look};
use crate::plan::Plan;

impl BaseBackup {
    /// A new copy: made beside its place, and renamed when it is complete.
    pub(super) fn copy(
        &self,
        host: &dyn Host,
        source: &Source,
        answer: &Answer,
        found: &Directory,
        slot: Option<Slot>,
    ) -> Result<Plan, Error> {
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
        self.wal_stays_encrypted(host, source)?;
        self.tablespaces_are_free(host)?;
        let copy = self.beside();
        let mut plan = Plan::nothing();
        plan.edits.extend(self.password_file(host)?);
        plan.edits.extend(left_over(host, &copy)?);
        // Before the copy, and not by it (`--create-slot`): between a copy's start and its slot, the checkpoint with which
        // another standby's copy begins could remove the WAL that this one needs.
        plan.edits.extend(self.make_slot(source, slot));
        plan.edits.extend(self.wal_keys(&copy));
        plan.edits.push(self.backup(host, source, identity, &copy)?);
        plan.edits.extend(self.slot_name(&copy));
        plan.edits.extend(self.verification(source, &copy));
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
    fn backup(&self, host: &dyn Host, source: &Source, identity: &Identity, to: &Path) -> Look<Edit> {
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
        args.extend(self.slot.iter().filter(|_| wal_method == "stream").map(|slot| format!("--slot={slot}")));
        args.extend(self.tablespaces.iter().map(|(from, to)| {
            let escaped = |path: &str| path.replace('=', "\\=");
            format!("--tablespace-mapping={}={}", escaped(from), escaped(to))
        }));
        args.extend(self.compress.iter().map(|compress| format!("--compress=server-{compress}")));
        args.extend(self.max_rate.iter().map(|rate| format!("--max-rate={rate}")));
        let cipher = self.encrypt_wal.map(|cipher| match cipher {
            Cipher::Aes128 => "aes_128",
            Cipher::Aes256 => "aes_256",
        });
        args.extend(cipher.map(|cipher| format!("--encrypt-wal={cipher}")));
        let size = source.size(host)?.map_or(Shown::Unknown, Shown::Plain);
        let effect = vec![
            Diff::new(self.subject(), "state", Shown::Absent, self.state()),
            Diff::new(self.subject(), "system", Shown::Absent, identity.system.as_str()),
            Diff::new(self.subject(), "size", Shown::Absent, size),
        ];
        let program = match cipher {
            Some(_) => format!("{}_basebackup", self.extension),
            None => "pg_basebackup".into(),
        };
        let mut command = Command::new(source.program(&program), args);
        if let Some(passfile) = &self.passfile {
            command = command.env("PGPASSFILE", passfile.display().to_string());
        }
        Ok(run(command, effect, Some(Meter::PgBasebackup)))
    }

    /// `pg_basebackup` would notice only when it comes to it, with a part of the copy made.
    fn tablespaces_are_free(&self, host: &dyn Host) -> Result<(), Error> {
        for (from, to) in &self.tablespaces {
            let there = host.stat(to.as_ref())?.is_some();
            if there && !host.list(to.as_ref())?.is_empty() {
                return Err(Error::refused(
                    self.subject(),
                    format!("the directory for the tablespace {from}, {to}, is not empty"),
                    "give it a new directory: what is there may be an earlier standby's",
                ));
            }
        }
        Ok(())
    }

    /// A copy that streams encrypted WAL without being told to encrypt it has it in the clear, and does not start.
    fn wal_stays_encrypted(&self, host: &dyn Host, source: &Source) -> Result<(), Error> {
        let encrypted = source.encrypts_wal(host, &self.extension)?;
        let refused = |reason: &str, hint: &str| Err(Error::refused(self.subject(), reason, hint));
        match (encrypted, self.encrypt_wal, self.wal_method) {
            (true, None, WalMethod::Stream) => refused(
                "the primary encrypts its WAL, and a copy that streams it would hold it in the clear",
                "say `wal_method: fetch`; or `encrypt_wal` with `tde_directory`",
            ),
            (false, Some(_), _) => refused(
                "the primary does not encrypt its WAL",
                "leave `encrypt_wal` out: pg_basebackup is right then, and refuses directories that are not empty",
            ),
            _ => Ok(()),
        }
    }

    /// What `pg_tde_basebackup --encrypt-wal` wants to find in its target. It does not refuse one that is not empty, so it gets
    /// one that we made.
    fn wal_keys(&self, copy: &Path) -> Vec<Edit> {
        let Some(keys) = &self.tde_directory else { return Vec::new() };
        let from = format!("{}/.", keys.display());
        let to = copy.join(&self.extension).display().to_string();
        vec![
            run(Command::new("mkdir", ["--mode=0700".to_owned(), copy.display().to_string()]), Vec::new(), None),
            run(Command::new("cp", ["--recursive".to_owned(), "--preserve=mode".into(), from, to]), Vec::new(), None),
        ]
    }

    /// With `fetch`, `pg_basebackup` takes no slot; the standby uses it all the same, and it keeps the WAL from before the copy.
    fn slot_name(&self, copy: &Path) -> Option<Edit> {
        let slot = self.slot.as_ref().filter(|_| self.wal_method == WalMethod::Fetch)?;
        let file = copy.join("postgresql.auto.conf").display().to_string();
        let stdin = Some(Input::Plain(format!("primary_slot_name = '{slot}'\n")));
        Some(run(Command { stdin, ..Command::new("tee", ["--append".to_owned(), file]) }, Vec::new(), None))
    }

    /// WAL is not looked at where it is encrypted: `pg_waldump` could not read it.
    fn verification(&self, source: &Source, copy: &Path) -> Option<Edit> {
        let mut args = vec!["--quiet".to_owned(), copy.display().to_string()];
        if self.encrypt_wal.is_some() || self.wal_method == WalMethod::Fetch {
            args.insert(0, "--no-parse-wal".into());
        }
        // The keys came before the copy.
        args.extend(self.encrypt_wal.map(|_| format!("--ignore={}", self.extension)));
        self.verify.then(|| run(Command::new(source.program("pg_verifybackup"), args), Vec::new(), None))
    }

    /// Nothing may be renamed below a running server.
    pub(super) fn idle(&self, host: &dyn Host, reason: &str) -> Result<(), Error> {
        match host.stat(&self.data_directory.join("postmaster.pid"))? {
            None => Ok(()),
            Some(_) => Err(Error::refused(
                self.subject(),
                format!("{reason}; and it is in use (there is a postmaster.pid)"),
                "stop the server first",
            )),
        }
    }
}

impl BaseBackup {
    /// Where the copy is made.
    pub(super) fn beside(&self) -> PathBuf {
        beside(&self.data_directory, "trueup-copy")
    }
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
