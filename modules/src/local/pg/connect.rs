//! A connection to a server, encrypted or not as libpq's `sslmode` has it.

use std::time::Duration;

use postgres::config::SslMode as Negotiate;
use postgres::error::SqlState;
use postgres::{Client, Config, NoTls};

use super::super::account;
use super::{Warnings, refused, root, tls};
use crate::error::SqlError;
use crate::host::{Error, Look};
use crate::sql::{PgConn, SslMode};

/// How long a server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Tries what the mode allows, in libpq's order: the second way only if the server has no rule for the first.
pub(super) fn connect(at: &PgConn, warnings: &Warnings) -> Look<Client> {
    let ways: &[Negotiate] = match at.sslmode {
        _ if at.host.starts_with('/') => &[Negotiate::Disable],
        SslMode::Disable => &[Negotiate::Disable],
        SslMode::Allow => &[Negotiate::Disable, Negotiate::Require],
        SslMode::Prefer => &[Negotiate::Prefer, Negotiate::Disable],
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => &[Negotiate::Require],
    };
    let mut first = None;
    for way in ways {
        match connect_by(at, *way, warnings)? {
            Ok(client) => return Ok(client),
            Err(error) if error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION) => {
                first.get_or_insert(error);
            }
            Err(error) => return Err(explained(at, &first.unwrap_or(error))),
        }
    }
    Err(first.map_or_else(|| Error::Unsupported("there is no way to connect".into()), |error| explained(at, &error)))
}

fn connect_by(at: &PgConn, way: Negotiate, warnings: &Warnings) -> Look<Result<Client, postgres::Error>> {
    let mut config = config(at)?;
    let warnings = warnings.clone();
    config.notice_callback(move |notice| warnings.hear(&notice));
    config.ssl_mode(way);
    Ok(match way {
        Negotiate::Disable => config.connect(NoTls),
        _ => config.connect(tls::connector(at)?),
    })
}

fn config(at: &PgConn) -> Look<Config> {
    let mut config = Config::new();
    config.host(&at.host).port(at.port).dbname(&at.database).connect_timeout(CONNECT_TIMEOUT);
    config.application_name("trueup");
    // As libpq does: the operating system's user is the default.
    let own = || rustix::process::geteuid().as_raw().to_string();
    match &at.user {
        Some(user) => config.user(user),
        None => config.user(&account::own().map_or_else(own, |account| account.name)),
    };
    if let Some(role) = &at.role {
        // In options, spaces and backslashes are escaped.
        config.options(&format!("-c role={}", role.replace('\\', "\\\\").replace(' ', "\\ ")));
    }
    if let Some(password) = &at.password {
        config.password(password.expose());
    }
    Ok(config)
}

fn explained(at: &PgConn, error: &postgres::Error) -> Error {
    match error.as_db_error() {
        Some(_) => refused("", error),
        None => Error::Sql(Box::new(SqlError {
            message: format!("cannot connect to {at}: {}", root(error)),
            sqlstate: None,
            place: None,
            detail: None,
            hint: tls::hint(error).map(Into::into),
        })),
    }
}
