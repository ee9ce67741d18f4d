//! Telling a server to read its configuration again, safely.
//!
//! `pg_reload_conf()` answers true whatever is in the files: with a broken line of pg_hba.conf the old rules stay in force.
//! So the server is first asked what it thinks of the files, and afterwards it is waited for: a reload takes effect some
//! time after the function has returned.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::edit::{Diff, Edit, Reach};
use crate::host::{Error, Host, Known, known};
use crate::sql::{PgConn, SqlArg};
use crate::wait::{Condition, Wait};

/// How long a server may take to read its configuration again.
const TIMEOUT: Duration = Duration::from_secs(30);

const ABOUT: &str = "SELECT current_setting('hba_file'), extract(epoch FROM pg_conf_load_time())::text";

/// Says what is wrong with the files, as an error; else reloads. Two things are told that hinder no reload: a rule for a
/// kind of connection that the server does not take, and a setting that waits for a restart.
const RELOAD: &str = "DO $$
DECLARE
    problems text;
BEGIN
    SELECT string_agg(problem, '; ') INTO problems FROM (
        SELECT format('line %s of pg_hba.conf: %s', line_number, error)
          FROM pg_hba_file_rules WHERE error NOT LIKE '%record cannot match because%'
        UNION ALL
        SELECT format('%s line %s: %s %s', f.sourcefile, f.sourceline, f.name, f.error)
          FROM pg_file_settings f LEFT JOIN pg_settings s ON lower(s.name) = lower(f.name)
         WHERE f.error IS NOT NULL
           AND NOT (f.error = 'setting could not be applied' AND s.context IS NOT DISTINCT FROM 'postmaster')
           AND f.error NOT LIKE 'parameter % cannot be changed without restarting the server'
    ) AS found (problem);
    IF problems IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'config_file_error', MESSAGE = problems;
    END IF;
    PERFORM pg_reload_conf();
END $$";

/// A server's file of rules, and when it has read its files.
pub(super) struct Server {
    pub(super) hba_file: PathBuf,
    /// Seconds since 1970 with a fraction, as the server writes them.
    loaded: String,
}

/// Whether a server answers.
pub(super) enum Reached {
    Up(Server),
    /// There is none that listens: why.
    Away(String),
    /// In a preview: an earlier task has to run first.
    Later,
}

/// Asks a server for them. One that listens and refuses us is an error.
pub(super) fn reach(host: &dyn Host, at: &PgConn) -> Result<Reached, Error> {
    let rows = match known(host.sql(at, ABOUT, &[])) {
        Ok(Known::Yes(rows)) => rows.rows,
        Ok(Known::No(_)) => return Ok(Reached::Later),
        Err(Error::Sql(error)) if error.sqlstate.is_none() => return Ok(Reached::Away(error.to_string())),
        Err(error) => return Err(error),
    };
    let text = |at: usize| rows.first().and_then(|row| row.get(at)).and_then(Value::as_str).unwrap_or_default();
    Ok(Reached::Up(Server { hba_file: text(0).into(), loaded: text(1).into() }))
}

/// Asks again, for the reason why nothing came.
pub(super) fn unreached(host: &dyn Host, at: &PgConn) -> Error {
    let asked = host.sql(at, "SELECT 1", &[]).err();
    asked.unwrap_or_else(|| Error::param("path", "is missing, and no server could be asked for it"))
}

impl Server {
    /// The whole second in which the server has read its files.
    pub(super) fn loaded(&self) -> i64 {
        self.loaded.split('.').next().and_then(|whole| whole.parse().ok()).unwrap_or(i64::MAX)
    }

    /// Reloads if the files are sound, and waits until it is done.
    pub(super) fn reload(&self, at: &PgConn, effect: Vec<Diff>) -> [Edit; 2] {
        let (statement, reach) = (RELOAD.into(), Reach::Server);
        let reload = Edit::Sql { at: at.clone(), statement, args: Vec::new(), autocommit: false, reach, effect };
        let until = Condition::Sql {
            at: Box::new(at.clone()),
            query: "SELECT extract(epoch FROM pg_conf_load_time())::text <> $1".into(),
            args: vec![SqlArg::Text(self.loaded.clone())],
            meaning: "the server to read its configuration again; its log says why it does not".into(),
        };
        let every = Duration::from_millis(50);
        [reload, Edit::Wait(Wait { until, delay: Duration::ZERO, every, timeout: TIMEOUT, message: None })]
    }
}
