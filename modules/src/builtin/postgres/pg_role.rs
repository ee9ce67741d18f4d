//! `pg_role`: a role of a PostgreSQL server.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{quote, scram};
use crate::edit::{Diff, Edit, Shown};
use crate::host::{Command, Error, Host};
use crate::module::Module;
use crate::param::nearest;
use crate::plan::Plan;
use crate::secret::Secret;
use crate::sql::SqlArg;

with_connection! {
/// A role: its attributes and its password.
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
    /// Whether there shall be such a role.
    #[serde(default)]
    state: State,
}
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "lowercase")]
enum State {
    /// There is one like this.
    #[default]
    Present,
    /// There is none of that name.
    Absent,
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

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let wanted = self.wanted()?;
        if self.password.as_ref().is_some_and(|password| password.expose().is_empty()) {
            return Err(Error::param("password", "is empty; without it, the password stays as it is"));
        }
        let name = quote::identifier("name", &self.name)?;
        let role = self.look(host)?;
        let (verb, seen) = match (self.state, role) {
            (State::Absent, None) => return Ok(Plan::nothing()),
            (State::Absent, Some(_)) => {
                let effect = vec![Diff::new(self.subject(), "state", "present", Shown::Absent)];
                return Ok(Plan::nothing().with(self.edit(format!("DROP ROLE {name}"), effect)));
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
        if let Some(password) = self.password.as_ref().filter(|wanted| !is_set(stored, wanted)) {
            clauses.push(format!("PASSWORD {}", quote::literal(&verifier(host, password)?)));
            effect.push(Diff::new(
                self.subject(),
                "password",
                stored.map_or(Shown::Absent, |_| Shown::Redacted),
                Shown::Redacted,
            ));
        }
        if effect.is_empty() {
            return Ok(Plan::nothing());
        }
        let with = if clauses.is_empty() { String::new() } else { format!(" WITH {}", clauses.join(" ")) };
        Ok(Plan::nothing().with(self.edit(format!("{verb} ROLE {name}{with}"), effect)))
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
        diffs
    }
}

impl PgRole {
    fn subject(&self) -> String {
        format!("role {}", self.name)
    }

    fn edit(&self, statement: String, effect: Vec<Diff>) -> Edit {
        Edit::Sql { at: self.conn(), statement, args: Vec::new(), autocommit: false, effect }
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
