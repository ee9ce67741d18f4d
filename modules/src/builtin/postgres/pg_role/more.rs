//! What else a role has: limits, memberships, settings, a comment. Asked for only where a task says something of it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::PgRole;
use crate::builtin::postgres::change::{Changes, text};
use crate::builtin::postgres::pg_setting::{assignment, quoted, same_value};
use crate::builtin::postgres::quote::{identifier, literal};
use crate::edit::{Diff, Shown};
use crate::host::{Error, Host};
use crate::sql::SqlArg;

const LOOK: &str = "SELECT r.rolconnlimit, r.rolvaliduntil::text, \
    coalesce(r.rolvaliduntil, 'infinity') = $2::timestamptz, shobj_description(r.oid, 'pg_authid'), \
    ARRAY(SELECT g.rolname::text FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles g ON g.oid = m.roleid \
          WHERE m.member = r.oid ORDER BY 1), \
    (SELECT s.setconfig FROM pg_catalog.pg_db_role_setting s WHERE s.setrole = r.oid AND s.setdatabase = 0) \
    FROM pg_catalog.pg_roles r WHERE r.rolname = $1";

/// A role as it is.
#[derive(Debug, Default)]
pub(super) struct More {
    limit: Option<i64>,
    until: Option<String>,
    until_agrees: bool,
    comment: Option<String>,
    member_of: Vec<String>,
    settings: BTreeMap<String, String>,
}

impl PgRole {
    fn asks_for_more(&self) -> bool {
        self.connection_limit.is_some()
            || self.valid_until.is_some()
            || self.comment.is_some()
            || !self.member_of.is_empty()
            || self.exclusive
            || !self.settings.is_empty()
    }

    /// Of a role that is there.
    pub(super) fn more(&self, host: &dyn Host) -> Result<More, Error> {
        if !self.asks_for_more() {
            return Ok(More::default());
        }
        let until = self.valid_until.clone().map_or(SqlArg::Null, SqlArg::Text);
        let rows = host.sql(&self.conn(), LOOK, &[SqlArg::Text(self.name.clone()), until])?.rows;
        let Some(row) = rows.first() else { return Ok(More::default()) };
        let list = |at: usize| row.get(at).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        Ok(More {
            limit: row.first().and_then(Value::as_i64),
            until: text(row, 1).map(Into::into),
            until_agrees: row.get(2) == Some(&Value::Bool(true)),
            comment: text(row, 3).map(Into::into),
            member_of: list(4).map(Into::into).collect(),
            settings: list(5)
                .filter_map(|one| one.split_once('='))
                .map(|(n, v)| (n.to_owned(), v.to_owned()))
                .collect(),
        })
    }

    /// Clauses of `CREATE ROLE` and `ALTER ROLE`, and what they change.
    pub(super) fn limits(&self, seen: Option<&More>) -> Vec<(String, Diff)> {
        let mut clauses = Vec::new();
        if let Some(limit) =
            self.connection_limit.filter(|limit| seen.map_or(-1, |seen| seen.limit.unwrap_or(-1)) != *limit)
        {
            let before = seen.and_then(|seen| seen.limit).map(|limit| limit.to_string());
            let diff = Diff::new(self.subject(), "connection limit", before, limit.to_string());
            clauses.push((format!("CONNECTION LIMIT {limit}"), diff));
        }
        let never = |until: &String| until == "infinity";
        let agrees = |until: &String| seen.map_or_else(|| never(until), |seen| seen.until_agrees);
        if let Some(until) = self.valid_until.as_ref().filter(|until| !agrees(until)) {
            let before = seen.and_then(|seen| seen.until.clone());
            let diff = Diff::new(self.subject(), "valid until", before, until.clone());
            clauses.push((format!("VALID UNTIL {}", literal(until)), diff));
        }
        clauses
    }

    /// What takes statements of its own.
    pub(super) fn add_more(&self, name: &str, seen: &More, changes: &mut Changes) -> Result<(), Error> {
        for group in self.member_of.iter().filter(|group| !seen.member_of.contains(group)) {
            let statement = format!("GRANT {} TO {name}", identifier("member_of", group)?);
            changes.set("member of", Shown::Absent, group.clone(), statement);
        }
        for group in seen.member_of.iter().filter(|group| self.exclusive && !self.member_of.contains(group)) {
            let statement = format!("REVOKE {} FROM {name}", identifier("member_of", group)?);
            changes.set("member of", group.clone(), Shown::Absent, statement);
        }
        for (setting, wanted) in &self.settings {
            let now = seen.settings.iter().find(|(name, _)| name.eq_ignore_ascii_case(setting)).map(|(_, value)| value);
            let aspect = format!("setting {setting}");
            match wanted.as_ref().map(|wanted| wanted.text()) {
                Some(wanted) if now.is_none_or(|now| !same_value(setting, now, wanted)) => {
                    let statement = format!("ALTER ROLE {name} SET {}", assignment(setting, wanted)?);
                    changes.set(&aspect, now.cloned(), wanted, statement);
                }
                None if now.is_some() => {
                    let statement = format!("ALTER ROLE {name} RESET {}", quoted(setting)?);
                    changes.set(&aspect, now.cloned(), Shown::Absent, statement);
                }
                _ => {}
            }
        }
        if let Some(comment) =
            self.comment.as_ref().filter(|comment| *comment != seen.comment.as_deref().unwrap_or_default())
        {
            let statement = format!("COMMENT ON ROLE {name} IS {}", literal(comment));
            changes.set("comment", seen.comment.clone(), comment.clone(), statement);
        }
        Ok(())
    }
}
