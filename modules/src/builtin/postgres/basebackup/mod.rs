//! `basebackup`: a standby that is a copy of its primary.
//!
//! - [`directory`]: what is in the place of the data directory, and whether it will do; [`source`]: asking the primary.
//! - [`copy`]: making a new one; [`keep`]: bringing one up to date.
//! - [`conninfo`] and [`passfile`]: the two texts that tell the standby where to go.

pub(super) mod conninfo;
mod copy;
mod directory;
mod keep;
mod passfile;
mod source;

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use self::conninfo::Pairs;
use self::directory::Directory;
use self::source::{Answer, Identity, Slot, Source};
use super::tde::pg_tde;
use crate::edit::{Diff, Edit, Meter, Reach, Shown};
use crate::host::{Command, Error, Host};
use crate::module::Module;
use crate::plan::Plan;
use crate::secret::Secret;
use crate::sql::SslMode;

/// A data directory that is a copy of a running server, ready to be started as its standby: with `standby.signal`,
/// `primary_conninfo` and `primary_slot_name`. Runs as the user that shall own the files (`become_user: postgres`).
///
/// Where the primary encrypts its WAL (`pg_tde.wal_encrypt`), say `encrypt_wal`, or `wal_method: fetch`: a copy that streams the WAL
/// otherwise holds it in the clear, and does not start.
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
    /// Whether a standby is copied anew, though it may do; with `replace: aside`. A copy that was not started yet stays. For a
    /// standby whose WAL is gone from the primary: where its slot says so, this is not needed.
    #[serde(default)]
    anew: bool,
    /// Tablespaces: their directories on the primary, and where each shall be here (absent or empty).
    #[serde(default)]
    tablespaces: BTreeMap<String, String>,
    /// How the server compresses what travels: `gzip`, `lz4` or `zstd`, with a level if need be (`zstd:3`).
    compress: Option<String>,
    /// The most that travels a second: a number of KiB, or with `M` of MiB. Without it, as fast as it goes.
    max_rate: Option<String>,
    /// Whether `pg_verifybackup` checks the copy before it takes its place.
    #[serde(default)]
    verify: bool,
    /// The cipher of a primary that encrypts its WAL: the copy is made by `pg_tde_basebackup --encrypt-wal`. Needs `tde_directory`.
    encrypt_wal: Option<Cipher>,
    /// With `encrypt_wal`: a copy of the primary's `pg_tde` directory, on this host. It holds the keys of the WAL, encrypted.
    tde_directory: Option<PathBuf>,
    /// The extension: `pg_tde`, or a fork whose programs and settings differ in their prefix.
    #[serde(default = "pg_tde")]
    extension: String,
    /// libpq's `sslmode`, for the copy and for the standby.
    #[schemars(extend("aliases" = ["sslmode"]))]
    ssl_mode: Option<SslMode>,
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
    /// At the end. Without a slot, the primary may have removed it by then.
    Fetch,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Cipher {
    /// AES with a key of 128 bits.
    #[serde(rename = "aes_128")]
    Aes128,
    /// AES with a key of 256 bits.
    #[serde(rename = "aes_256")]
    Aes256,
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
        let slot = match (&self.slot, identity) {
            (Some(slot), Some(_)) => Some(source.slot(host, slot)?),
            _ => None,
        };
        let usable = directory::usable(&found, identity).and_then(|usable| self.still_usable(usable, &found, slot));
        match usable {
            Ok(true) => {
                let mut plan = self.keep(host, &source, identity, slot)?;
                if let Answer::Away(said) = answer {
                    plan.warnings.push(format!("whether this is a standby of {} was not seen: {said}", source.name));
                }
                Ok(plan)
            }
            Ok(false) => self.copy(host, &source, &answer, &found, slot),
            Err(reason) if self.replace == Replace::Aside => {
                self.idle(host, &reason)?;
                self.copy(host, &source, &answer, &found, slot)
            }
            Err(reason) => Err(Error::refused(
                self.subject(),
                reason,
                "move it away, or say `replace: aside`, which keeps it under another name",
            )),
        }
    }

    fn intent(&self) -> Vec<Diff> {
        let unknown = |subject: String, aspect, after| Diff::new(subject, aspect, Shown::Unknown, after);
        let mut diffs = Vec::new();
        if let (Some(path), Some(_)) = (&self.passfile, &self.password) {
            diffs.push(unknown(path.display().to_string(), "content", Shown::Redacted));
        }
        if let Some(slot) = &self.slot {
            diffs.push(unknown(self.slot_subject(slot), "state", Shown::Plain("present".into())));
        }
        diffs.push(unknown(self.subject(), "state", Shown::Plain(self.state())));
        diffs.push(unknown(self.subject(), "size", Shown::Unknown));
        let (copy, place) = (self.beside().display().to_string(), self.data_directory.display().to_string());
        diffs.push(unknown(copy, "path", Shown::Plain(place)));
        diffs
    }

    fn explain(&self, _: &dyn Host, error: &Error) -> Option<String> {
        let Error::Command { output, .. } = error else { return None };
        source::meaning(&output.stderr).map(Into::into)
    }
}

impl BaseBackup {
    /// What the cluster will be.
    fn state(&self) -> String {
        format!("standby of {}", self.source().name)
    }

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
        if self.encrypt_wal.is_some() != self.tde_directory.is_some() {
            return Err(Error::param("tde_directory", "is needed with `encrypt_wal`, and has no meaning without it"));
        }
        if self.encrypt_wal.is_some() && self.wal_method == WalMethod::Fetch {
            return Err(Error::param(
                "encrypt_wal",
                "has no meaning with `wal_method: fetch`: that WAL comes as it is",
            ));
        }
        if self.anew && self.replace == Replace::Never {
            return Err(Error::param("anew", "needs `replace: aside`: no directory is removed"));
        }
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
        if let Some(rate) = &self.max_rate
            && !digits(rate.strip_suffix(['k', 'M']).unwrap_or(rate))
        {
            return Err(Error::param("max_rate", format!("`{rate}` is no rate: KiB a second, or MiB such as `32M`")));
        }
        if let Some(compress) = &self.compress {
            let (method, level) = compress.split_once(':').unwrap_or((compress, "1"));
            if !matches!(method, "gzip" | "lz4" | "zstd") || !digits(level) {
                let reason = format!("`{compress}` is none: gzip, lz4 or zstd, with a level such as `zstd:3`");
                return Err(Error::param("compress", reason));
            }
        }
        Ok(())
    }

    /// A standby that would do is not enough if the WAL that it needs is gone.
    fn still_usable(&self, usable: bool, found: &Directory, slot: Option<Slot>) -> Result<bool, String> {
        let ran = matches!(found, Directory::Cluster(cluster) if !cluster.fresh);
        match slot {
            Some(Slot::Empty) if usable && ran => Err(format!(
                "the slot {} on {} no longer keeps the WAL that it needs, so it must be copied anew",
                self.slot.as_deref().unwrap_or_default(),
                self.source().name
            )),
            _ if usable && ran && self.anew => Err("it is to be copied anew".into()),
            _ => Ok(usable),
        }
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
            ("sslmode", self.ssl_mode.map(|mode| mode.to_string())),
            ("sslrootcert", self.ca_cert.clone()),
        ];
        given.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
    }
}

fn run(command: Command, effect: Vec<Diff>, progress: Option<Meter>) -> Edit {
    Edit::Run { command, effect, makes: Vec::new(), reach: Reach::Stated, progress }
}

fn returning(plan: Plan, identity: &Identity) -> Plan {
    plan.returning("system_identifier", identity.system.clone()).returning("timeline", identity.timeline)
}
