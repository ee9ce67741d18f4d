//! What becomes of connections, before and after.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::file::Line;
use super::rule::Rule;
use super::simulate::{Connection, Decision, decide};
use crate::edit::Diff;
use crate::host::{Error, Host};
use crate::sql::{PgConn, SqlArg};

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

/// The decisions about connections. `at`: the server that is asked for members of roles.
pub(super) fn all<'a>(
    host: &dyn Host,
    at: Option<&PgConn>,
    connections: &'a [Connection],
    before: &[Line],
    after: &[Line],
) -> Result<Vec<Decided<'a>>, Error> {
    let mut decisions = Vec::new();
    for connection in connections {
        let roles = match at.filter(|_| uses_members(before, after)) {
            Some(at) => Some(roles(host, at, &connection.user)?),
            None => None,
        };
        let decided = |lines| decide(lines, connection, roles.as_ref());
        let one = Decided { connection, before: decided(before), after: decided(after) };
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

fn uses_members(before: &[Line], after: &[Line]) -> bool {
    let of_rule = |rule: &Rule| {
        rule.users.iter().any(|name| name.marked('+').is_some())
            || rule.databases.iter().any(|name| name.is_keyword("samerole") || name.is_keyword("samegroup"))
    };
    before.iter().chain(after).filter_map(Line::rule).any(of_rule)
}

/// The roles that a role is a member of, directly or not, and itself. Being a superuser makes nobody a member here.
fn roles(host: &dyn Host, at: &PgConn, user: &str) -> Result<BTreeSet<String>, Error> {
    const MEMBERSHIPS: &str = "WITH RECURSIVE up AS (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = $1 \
        UNION SELECT m.roleid FROM pg_catalog.pg_auth_members m JOIN up ON m.member = up.oid) \
        SELECT rolname FROM pg_catalog.pg_roles JOIN up USING (oid) ORDER BY 1";
    let rows = host.sql(at, MEMBERSHIPS, &[SqlArg::Text(user.into())])?.rows;
    Ok(rows.iter().filter_map(|row| row.first()?.as_str().map(Into::into)).collect())
}
