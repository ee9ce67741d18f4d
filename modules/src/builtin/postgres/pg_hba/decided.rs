//! What becomes of connections, before and after.

use std::path::Path;

use serde_json::{Value, json};

use super::file::Line;
use super::outside::{Outside, entries};
use super::simulate::{Connection, Decision, decide};
use crate::edit::Diff;
use crate::host::{Error, Host};
use crate::sql::PgConn;

/// What becomes of a connection, before and after.
pub(super) struct Decided<'a> {
    connection: &'a Connection,
    before: Decision,
    after: Decision,
}

pub(super) fn changed(decisions: &[Decided]) -> Vec<Diff> {
    let moved = decisions.iter().filter(|one| !one.before.same(&one.after));
    moved
        .map(|one| {
            let subject = format!("connection {}", one.connection);
            Diff::new(subject, "decided by", one.before.to_string(), one.after.to_string())
        })
        .collect()
}

pub(super) fn report(decisions: &[Decided]) -> Value {
    let one = |one: &Decided| {
        json!({
            "connection": one.connection.to_string(),
            "before": one.before.to_string(),
            "after": one.after.to_string(),
            "method": one.after.method(),
        })
    };
    decisions.iter().map(one).collect()
}

/// The decisions about connections. `at`: the server that is asked for members of roles; `path`: the file of the rules.
pub(super) fn all<'a>(
    host: &dyn Host,
    at: Option<&PgConn>,
    path: &Path,
    connections: &'a [Connection],
    [before, after]: [&[Line]; 2],
) -> Result<Vec<Decided<'a>>, Error> {
    if connections.is_empty() {
        return Ok(Vec::new());
    }
    let [before, after] = [before, after].map(|lines| entries(host, path, lines));
    let mut decisions = Vec::new();
    for connection in connections {
        let outside = Outside::look(host, at, &[&before, &after], &connection.user)?;
        let decided = |entries: &[_]| decide(entries, connection, &outside);
        let one = Decided { connection, before: decided(&before), after: decided(&after) };
        match &connection.expect {
            Some(expect) if one.after.method() != Some(expect) => {
                return Err(Error::refused(
                    format!("connection {connection}"),
                    format!("would not be decided by `{expect}`, but by {}", one.after),
                    "change the rules, their order, or what is expected",
                ));
            }
            _ => decisions.push(one),
        }
    }
    Ok(decisions)
}
