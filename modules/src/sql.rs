//! Asking and telling a PostgreSQL server: the types. [`crate::local`] holds the connection itself.

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
    /// Database.
    pub database: String,
    /// libpq's `sslmode`: `disable`, `prefer`, `require`, `verify-ca`, `verify-full`.
    pub sslmode: String,
    /// PEM file of the authorities to trust (libpq's `sslrootcert`).
    pub root_cert: Option<String>,
}

impl Default for PgConn {
    fn default() -> Self {
        Self {
            host: "/var/run/postgresql".into(),
            port: 5432,
            user: None,
            password: None,
            database: "postgres".into(),
            sslmode: "prefer".into(),
            root_cert: None,
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
}
