//! pg_tde, as a module sees it: providers of keys, principal keys, and encrypted tables.
//!
//! - this file: asking the extension; [`options`]: the options of a provider, by its type.
//! - [`key_provider`], [`principal_key`], [`table`], [`verify`], [`consistency`]: the modules.
//!
//! No function of pg_tde is undone by a ROLLBACK, so each call is a statement outside a transaction block.

pub(in crate::builtin) mod consistency;
pub(in crate::builtin) mod key_provider;
mod options;
pub(in crate::builtin) mod principal_key;
pub(in crate::builtin) mod table;
pub(in crate::builtin) mod verify;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::quote;
use crate::host::{Error, Host, Look};
use crate::sql::{PgConn, Rows, SqlArg};

/// For `#[serde(default = …)]`: the extension's own name.
pub(super) fn pg_tde() -> String {
    "pg_tde".into()
}

/// Which list of providers.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(super) enum ProviderScope {
    /// Of the whole server.
    #[default]
    Global,
    /// Of the database that is connected to.
    Database,
}

impl ProviderScope {
    /// As it stands in the names of functions.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::Database => "database",
        }
    }
}

/// Which principal key.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(super) enum KeyScope {
    /// The server's own, for the WAL.
    Server,
    /// What databases without a key of their own take, with their first encrypted table.
    Default,
    /// The key of the database that is connected to.
    Database,
}

impl KeyScope {
    pub(super) const ALL: [Self; 3] = [Self::Server, Self::Default, Self::Database];

    /// As it stands in the names of functions: `server_key`, `default_key`, `key`.
    fn word(self) -> &'static str {
        match self {
            Self::Server => "server_key",
            Self::Default => "default_key",
            Self::Database => "key",
        }
    }

    /// `server key`, for messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Server => "server key",
            Self::Default => "default key",
            Self::Database => "database key",
        }
    }
}

/// A provider of keys.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Provider {
    pub(super) name: String,
    /// `file`, `vault-v2` or `kmip`.
    pub(super) kind: String,
    /// Its options, as the extension keeps them.
    pub(super) options: Map<String, Value>,
}

/// A key that is set: its name, and that of its provider.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) provider: String,
}

/// `server-key in vault`.
impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} in {}", self.name, self.provider)
    }
}

/// The extension in one database.
pub(super) struct Tde<'a> {
    host: &'a dyn Host,
    at: PgConn,
    /// `"public".pg_tde`: what all functions' names begin with.
    prefix: String,
    /// Whether the server is a standby.
    pub(super) standby: bool,
}

const FIND: &str = "SELECT n.nspname::text, pg_is_in_recovery() FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = $1";

impl<'a> Tde<'a> {
    /// The extension, if the database has it.
    pub(super) fn find(host: &'a dyn Host, at: PgConn, extension: &str) -> Look<Option<Self>> {
        if extension.is_empty() || !extension.bytes().all(|c| c.is_ascii_lowercase() || c == b'_') {
            let reason =
                format!("`{extension}` is no extension of this kind: `pg_tde`, or a fork such as `open_pg_tde`");
            return Err(Error::param("extension", reason));
        }
        let found = host.sql(&at, FIND, &[SqlArg::Text(extension.into())])?;
        let Some(row) = found.rows.first() else { return Ok(None) };
        let schema = quote::identifier("extension", row.first().and_then(Value::as_str).unwrap_or_default())?;
        let standby = row.get(1) == Some(&true.into());
        Ok(Some(Self { host, at, prefix: format!("{schema}.{extension}"), standby }))
    }

    /// The extension; an error if the database lacks it.
    pub(super) fn open(host: &'a dyn Host, at: PgConn, extension: &str) -> Result<Self, Error> {
        let subject = format!("database {at}");
        Self::find(host, at, extension)?.ok_or_else(|| {
            Error::refused(
                subject,
                format!("it has no extension {extension}"),
                format!("CREATE EXTENSION {extension} on the primary; a standby gets it from there"),
            )
        })
    }

    /// A call of one of its functions, with the arguments as SQL text.
    pub(super) fn call(&self, function: &str, args: &str) -> String {
        format!("{}_{function}({args})", self.prefix)
    }

    /// Rows of a query.
    pub(super) fn sql(&self, query: &str, args: &[&str]) -> Look<Rows> {
        let args: Vec<SqlArg> = args.iter().map(|arg| SqlArg::Text((*arg).into())).collect();
        self.host.sql(&self.at, query, &args)
    }

    /// Where it is.
    pub(super) fn at(&self) -> PgConn {
        self.at.clone()
    }

    /// All providers of a scope.
    pub(super) fn providers(&self, scope: ProviderScope) -> Look<Vec<Provider>> {
        let list = self.call(&format!("list_all_{}_key_providers", scope.word()), "");
        let found = self.sql(&format!("SELECT name, type, options FROM {list}"), &[])?;
        let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(found
            .rows
            .into_iter()
            .map(|row| Provider {
                name: text(row.first()),
                kind: text(row.get(1)),
                options: row.get(2).and_then(Value::as_object).cloned().unwrap_or_default(),
            })
            .collect())
    }

    /// The key that is set, from the server's memory: no provider is asked. One row of NULLs means that there is none.
    pub(super) fn key(&self, scope: KeyScope) -> Look<Option<Key>> {
        let info = self.call(&format!("{}_info", scope.word()), "");
        let found = self.sql(&format!("SELECT key_name, provider_name FROM {info}"), &[])?;
        let text = |row: &Vec<Value>, at: usize| Some(row.get(at)?.as_str()?.to_owned());
        Ok(found.rows.first().and_then(|row| Some(Key { name: text(row, 0)?, provider: text(row, 1)? })))
    }

    /// Asks the provider for the key that is set: an error if it can't be had, or is another.
    pub(super) fn verify(&self, scope: KeyScope) -> Look<()> {
        let verify = self.call(&format!("verify_{}", scope.word()), "");
        self.sql(&format!("SELECT {verify}"), &[]).map(|_| ())
    }

    /// Refuses what only the primary may do, and what may not happen while a copy is made.
    pub(super) fn may_change(&self, subject: &str) -> Result<(), Error> {
        if self.standby {
            return Err(Error::refused(
                subject,
                "this server is a standby; it would write to the provider all the same, behind the primary's back",
                "run the task on the primary: what it sets reaches the standbys by itself",
            ));
        }
        let copies = self.sql("SELECT pid, phase FROM pg_stat_progress_basebackup", &[])?;
        match copies.rows.first().and_then(|row| row.first()) {
            None => Ok(()),
            Some(pid) => Err(Error::refused(
                subject,
                format!("a base backup is being taken (PID {pid}), and a copy of two keys does not start"),
                "run again when it is complete",
            )),
        }
    }
}

/// What can be done about what pg_tde says.
pub(super) fn meaning(error: &Error) -> Option<String> {
    let Error::Sql(said) = error else { return None };
    let known = [
        // First, as it comes as a warning beside what is said of the key.
        (
            "SSL error",
            "the KMIP server was not reached, or a certificate, a private key or the CA is not as it should be. No key was created",
        ),
        (
            "can only be loaded at server startup",
            "add the extension to shared_preload_libraries and restart the server",
        ),
        (
            "not found in key provider",
            "the provider does not have the key: is its file, or its server's path, the same as on the primary?",
        ),
        (
            "Failed to verify principal key header",
            "the provider has another key under that name; put back the right file. Nothing was changed",
        ),
        // The one that pg_tde says while a provider's server is there but does not answer as it should.
        (
            "failed to retr",
            "the provider has not answered for the key, which says nothing of whether it has it: no key was created, so none is \
             overwritten. Mend the provider (its server, its token), and run again",
        ),
        (
            "for \"vault_token\"",
            "the token's file must be on the server, at that path, for the server's user to read; on each standby too",
        ),
        (
            "KMIP server",
            "the KMIP server was reached, and did not answer as it should. No key was created, so none is doubled",
        ),
        ("Listing secrets", "the token may not list the mount; it must be able to read and list it"),
        (
            "HTTP(S) request to keyring provider",
            "the provider's server was not reached: check its URL and CA. Nothing was changed",
        ),
        ("currently in use", "set other keys first: a key of this provider is in use"),
        (
            "not found in modified key provider",
            "the place that it would point to lacks a key in use; carry it there first",
        ),
    ];
    let said = said.to_string();
    known.iter().find(|(words, _)| said.contains(words)).map(|(_, meaning)| (*meaning).into())
}
