//! Asking and telling a PostgreSQL server: the types. [`crate::local`] holds the connection itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::secret::Secret;

/// Where a server is and who we are to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PgConn {
    /// A host name or address, or an absolute path: the directory of a unix socket.
    pub host: String,
    /// TCP port, or the number in the socket's name.
    pub port: u16,
    /// Role; the operating system's user if absent, as libpq does.
    pub user: Option<String>,
    /// For SCRAM or md5.
    pub password: Option<Secret>,
    /// A role to act as, once logged in (`SET ROLE`).
    pub role: Option<String>,
    /// Database.
    pub database: String,
    /// Whether the connection is encrypted, and the server's certificate checked.
    pub sslmode: SslMode,
    /// PEM file of the authorities to trust, or `system` (libpq's `sslrootcert`).
    pub root_cert: Option<String>,
    /// PEM file of our own certificate, where the server asks for one (libpq's `sslcert`).
    pub client_cert: Option<String>,
    /// PEM file of its private key (libpq's `sslkey`).
    pub client_key: Option<String>,
}

/// libpq's `sslmode`, with its meaning (<https://www.postgresql.org/docs/current/libpq-ssl.html>). A unix socket is never
/// encrypted, whatever the mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SslMode {
    /// Never.
    Disable,
    /// If the server refuses what is not encrypted.
    Allow,
    /// If the server can; its certificate is not checked.
    #[default]
    Prefer,
    /// Always. The server's certificate is checked if there is a file of authorities, else not.
    Require,
    /// Always; the certificate must be signed by an authority of the file.
    VerifyCa,
    /// Always; and it must be for the host's name.
    VerifyFull,
}

/// As libpq spells it.
impl std::fmt::Display for SslMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Disable => "disable",
            Self::Allow => "allow",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        })
    }
}

impl Default for PgConn {
    fn default() -> Self {
        Self {
            host: "/var/run/postgresql".into(),
            port: 5432,
            user: None,
            password: None,
            role: None,
            database: "postgres".into(),
            sslmode: SslMode::default(),
            root_cert: None,
            client_cert: None,
            client_key: None,
        }
    }
}

/// `db1:5432/postgres`, for messages.
impl std::fmt::Display for PgConn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}/{}", self.host, self.port, self.database)
    }
}

/// A parameter of a statement (`$1`, `$2`): always sent beside the statement, never pasted into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SqlArg {
    /// SQL's NULL.
    Null,
    /// Text; the server converts it to the parameter's type.
    Text(String),
    /// Text that is never shown.
    Secret(Secret),
}

/// The result of a statement.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rows {
    /// Column names.
    pub columns: Vec<String>,
    /// One list a row: `null`, booleans, numbers, strings; other types as the server's text.
    pub rows: Vec<Vec<serde_json::Value>>,
    /// Rows affected, for a statement that returns none.
    pub affected: u64,
    /// The server's warnings, while it executed the statement.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}
