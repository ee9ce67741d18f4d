//! `pg_role`: a role of a PostgreSQL server.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::change::Changes;
use super::pg_setting::Scalar;
use super::{quote, scram};
use crate::builtin::state::State;
use crate::edit::{Diff, Shown};
use crate::host::{Command, Error, Host};
use crate::module::Module;
use crate::param::nearest;
use crate::plan::Plan;
use crate::secret::Secret;
use crate::sql::SqlArg;

mod more;

with_connection! {
/// A role: its attributes, password, limits, memberships and settings.
///
/// The password never reaches the server: a SCRAM-SHA-256 verifier is computed on the host and sent in its place, so that
/// neither the statement nor the server's log holds it. Whether the role has that password already is seen by computing
/// the verifier anew with the stored salt, which needs a superuser. A role whose password is stored as md5 gets a verifier.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::builtin) struct PgRole {
    /// The role's name.
    #[schemars(extend("aliases" = ["role", "user"]))]
    name: String,
    /// The password, or a verifier that begins with `SCRAM-SHA-256$`. Without it, the password stays as it is.
    password: Option<Secret>,
    /// Attributes that the role shall have: `LOGIN`, `REPLICATION`, `SUPERUSER`, `CREATEDB`, `CREATEROLE`, `INHERIT`,
    /// `BYPASSRLS`; with `NO` before it, one that it shall not have. Others stay as they are; a new role has `INHERIT` only.
    #[serde(default)]
    #[schemars(extend("aliases" = ["role_attr", "role_attr_flags"]))]
    attributes: Vec<String>,
    /// Roles that it shall be a member of. Other memberships stay, unless `exclusive` is said.
    #[serde(default)]
    #[schemars(extend("aliases" = ["groups"]))]
    member_of: Vec<String>,
    /// Whether it shall be a member of no other roles than `member_of`.
    #[serde(default)]
    exclusive: bool,
    /// The most connections at a time; -1 for no limit.
    #[schemars(extend("aliases" = ["conn_limit"]))]
    connection_limit: Option<i64>,
    /// When the password ceases to be valid: a date and time as PostgreSQL reads it, or `infinity`.
    #[schemars(extend("aliases" = ["expires"]))]
    valid_until: Option<String>,
    /// Settings that its sessions begin with, by name; `null` removes one.
    #[serde(default)]
    #[schemars(extend("aliases" = ["configuration"]))]
    settings: BTreeMap<String, Option<Scalar>>,
    /// A comment; the empty text removes it.
    comment: Option<String>,
    /// Taken for Ansible's sake: since PostgreSQL 10 no password is kept as it is, so `false` is an error.
    #[serde(default = "crate::builtin::common::yes")]
    encrypted: bool,
    /// Whether the password of a role that is there stays as it is.
    #[serde(default)]
    no_password_changes: bool,
    /// Whether there shall be such a role.
    #[serde(default)]
    state: State,
}
}

/// Attributes, and the columns of `pg_roles` that tell them, in the order in which [`PgRole::look`] asks.
const ATTRIBUTES: [(&str, &str); 7] = [
    ("SUPERUSER", "rolsuper"),
    ("INHERIT", "rolinherit"),
    ("CREATEROLE", "rolcreaterole"),
    ("CREATEDB", "rolcreatedb"),
    ("LOGIN", "rolcanlogin"),
    ("REPLICATION", "rolreplication"),
    ("BYPASSRLS", "rolbypassrls"),
];

/// A role as it is.
#[derive(Debug, Default)]
struct Role {
    attributes: Vec<&'static str>,
    stored: Option<Secret>,
}

impl Module for PgRole {
    const NAME: &'static str = "pg_role";
    const ALIASES: &'static [&'static str] = &["postgresql_user"];

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let wanted = self.wanted()?;
        if !self.encrypted {
            return Err(Error::param("encrypted", "must be true: since PostgreSQL 10 no password is kept as it is"));
        }
        if self.password.as_ref().is_some_and(|password| password.expose().is_empty()) {
            return Err(Error::param("password", "is empty; without it, the password stays as it is"));
        }
        let name = quote::identifier("name", &self.name)?;
        let role = self.look(host)?;
        let mut changes = Changes::new(self.conn(), self.subject());
        let (verb, seen) = match (self.state, role) {
            (State::Absent, None) => return Ok(Plan::nothing()),
            (State::Absent, Some(_)) => {
                changes.set("state", "present", Shown::Absent, format!("DROP ROLE {name}"));
                return Ok(changes.plan());
            }
            (State::Present, None) => ("CREATE", None),
            (State::Present, Some(role)) => ("ALTER", Some(role)),
        };
        let mut clauses: Vec<String> = Vec::new();
        let mut effect = Vec::new();
        if seen.is_none() {
            effect.push(Diff::new(self.subject(), "state", Shown::Absent, "present"));
        }
        let now = seen.as_ref().map_or(&["INHERIT"][..], |role| &role.attributes);
        for (attribute, on) in wanted.into_iter().filter(|(attribute, on)| now.contains(attribute) != *on) {
            clauses.push(clause(attribute, on));
            effect.push(Diff::new(self.subject(), "attribute", clause(attribute, !on), clause(attribute, on)));
        }
        let stored = seen.as_ref().and_then(|role| role.stored.as_ref());
        let may = seen.is_none() || !self.no_password_changes;
        if let Some(password) = self.password.as_ref().filter(|wanted| may && !is_set(stored, wanted)) {
            clauses.push(format!("PASSWORD {}", quote::literal(&verifier(host, password)?)));
            let before = stored.map_or(Shown::Absent, |_| Shown::Redacted);
            effect.push(Diff::new(self.subject(), "password", before, Shown::Redacted));
        }
        let more = seen.as_ref().map(|_| self.more(host)).transpose()?;
        for (clause, diff) in self.limits(more.as_ref()) {
            clauses.push(clause);
            effect.push(diff);
        }
        if !effect.is_empty() {
            let with = if clauses.is_empty() { String::new() } else { format!(" WITH {}", clauses.join(" ")) };
            changes.make(format!("{verb} ROLE {name}{with}"), effect);
        }
        self.add_more(&name, &more.unwrap_or_default(), &mut changes)?;
        Ok(changes.plan())
    }

    fn intent(&self) -> Vec<Diff> {
        if self.state == State::Absent {
            return vec![Diff::new(self.subject(), "state", Shown::Unknown, Shown::Absent)];
        }
        let mut diffs = vec![Diff::new(self.subject(), "state", Shown::Unknown, "present")];
        let attributes = self.wanted().unwrap_or_default();
        diffs.extend(
            attributes
                .iter()
                .map(|(attribute, on)| Diff::new(self.subject(), "attribute", Shown::Unknown, clause(attribute, *on))),
        );
        diffs.extend(
            self.password.iter().map(|_| Diff::new(self.subject(), "password", Shown::Unknown, Shown::Redacted)),
        );
        diffs.extend(self.limits(None).into_iter().map(|(_, diff)| Diff { before: Shown::Unknown, ..diff }));
        let member = |role: &String| Diff::new(self.subject(), "member of", Shown::Unknown, role.clone());
        diffs.extend(self.member_of.iter().map(member));
        diffs
    }
}

impl PgRole {
    fn subject(&self) -> String {
        format!("role {}", self.name)
    }

    /// The attributes asked for, and whether the role shall have them.
    fn wanted(&self) -> Result<Vec<(&'static str, bool)>, Error> {
        let known = |name: &str| ATTRIBUTES.iter().map(|(attribute, _)| *attribute).find(|known| *known == name);
        let read = |given: &String| {
            let upper = given.trim().to_uppercase();
            let found = known(&upper).map(|on| (on, true));
            found.or_else(|| Some((known(upper.strip_prefix("NO")?)?, false))).ok_or_else(|| {
                let near = nearest(&upper, ATTRIBUTES.map(|(attribute, _)| attribute));
                let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                Error::param("attributes", format!("there is no attribute `{given}`{hint}"))
            })
        };
        self.attributes.iter().map(read).collect()
    }

    /// `pg_authid` has the passwords, and only superusers may read it: it is asked for only if that matters.
    fn look(&self, host: &dyn Host) -> Result<Option<Role>, Error> {
        let columns = ATTRIBUTES.map(|(_, column)| column).join(", ");
        let (password, table) = match self.password {
            Some(_) => ("rolpassword", "pg_authid"),
            None => ("NULL::text", "pg_roles"),
        };
        let query = format!("SELECT {columns}, {password} FROM pg_catalog.{table} WHERE rolname = $1");
        let found = host.sql(&self.conn(), &query, &[SqlArg::Text(self.name.clone())])?;
        Ok(found.rows.into_iter().next().map(|row| Role {
            attributes: ATTRIBUTES
                .iter()
                .zip(&row)
                .filter(|(_, has)| **has == Value::Bool(true))
                .map(|((name, _), _)| *name)
                .collect(),
            stored: row.last().and_then(Value::as_str).map(Secret::new),
        }))
    }
}

fn clause(attribute: &str, on: bool) -> String {
    if on { attribute.into() } else { format!("NO{attribute}") }
}

fn is_set(stored: Option<&Secret>, wanted: &Secret) -> bool {
    stored.is_some_and(|stored| scram::accepts(stored.expose(), wanted))
}

/// What is sent for a password. The salt is the one thing in a plan that differs each time; it is never shown, and
/// planning again looks at the salt that was stored.
fn verifier(host: &dyn Host, password: &Secret) -> Result<String, Error> {
    if scram::is_verifier(password.expose()) {
        return Ok(password.expose().into());
    }
    let command = Command::new("od", ["-An", "-N16", "-tx1", "/dev/urandom"]);
    let output = host.query(&command)?;
    let bytes: Vec<u8> =
        output.stdout.split_whitespace().filter_map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
    match bytes.len() {
        16 => Ok(scram::verifier(password, &bytes)),
        _ => Err(Error::Command { command: command.to_string(), output: Box::new(output) }),
    }
}
