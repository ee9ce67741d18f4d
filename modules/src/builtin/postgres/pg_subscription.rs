//! `pg_subscription`: changes of another database, applied in this one.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::basebackup::conninfo;
use super::change::{Changes, text};
use super::quote::{identifier, literal};
use crate::edit::{Diff, Shown};
use crate::host::{Error, Host};
use crate::module::Module;
use crate::param::Word;
use crate::plan::Plan;
use crate::sql::SqlArg;

with_connection! {
/// A subscription to publications of another server.
///
/// The connection holds no password: it would be kept readable in the catalog and in dumps, and would reach the server's
/// log. Give `passfile=PATH`, a file that only the server's user can read, or let pg_hba.conf say otherwise.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::builtin) struct PgSubscription {
    /// The subscription's name.
    name: String,
    /// How to reach the publisher: `host=db1 dbname=shop user=rep passfile=/var/lib/postgresql/.pgpass`.
    connection: Option<Word>,
    /// The same, by name.
    #[serde(default)]
    connparams: BTreeMap<String, Word>,
    /// The publications.
    #[serde(default)]
    publications: Vec<String>,
    /// Whether it applies changes.
    enabled: Option<bool>,
    /// Options of `CREATE SUBSCRIPTION`, such as `copy_data`, `create_slot`, `slot_name`, `binary`. They are for a new
    /// subscription; of one that is there, `enabled` and `slot_name` are looked at.
    #[serde(default)]
    #[schemars(extend("aliases" = ["subsparams"]))]
    parameters: BTreeMap<String, Value>,
    /// The role that owns it.
    owner: Option<String>,
    /// A comment; the empty text removes it.
    comment: Option<String>,
    /// Whether there shall be such a subscription; `refresh`: and it shall look, each time, for tables that its publications have got
    /// or lost meanwhile. With the parameter `copy_data: false`, what new ones hold already is not copied.
    #[serde(default)]
    state: State,
    /// With `absent`: drop what depends on it, too.
    #[serde(default)]
    cascade: bool,
}
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "lowercase")]
enum State {
    /// It is there.
    #[default]
    Present,
    /// It is there, and looks for tables.
    Refresh,
    /// It is not.
    Absent,
}

/// A role that is no superuser may not see the connection.
const LOOK: &str = "SELECT s.subenabled, s.subconninfo, s.subslotname, s.subpublications, pg_get_userbyid(s.subowner), \
    obj_description(s.oid, 'pg_subscription') FROM pg_catalog.pg_subscription s \
    WHERE s.subname = $1 AND s.subdbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())";

impl Module for PgSubscription {
    const NAME: &'static str = "pg_subscription";
    const ALIASES: &'static [&'static str] = &["postgresql_subscription"];

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let name = identifier("name", &self.name)?;
        let connection = self.connection()?;
        let at = self.conn();
        let rows = host.sql(&at, LOOK, &[SqlArg::Text(self.name.clone())])?.rows;
        let mut changes = Changes::new(at, self.subject());
        match (self.state, rows.first()) {
            (State::Absent, None) => return Ok(Plan::nothing()),
            (State::Absent, Some(_)) => {
                let cascade = if self.cascade { " CASCADE" } else { "" };
                let diff = Diff::new(self.subject(), "state", "present", Shown::Absent);
                // It drops its slot on the publisher, which cannot be undone.
                changes.outside(format!("DROP SUBSCRIPTION {name}{cascade}"), vec![diff]);
                return Ok(changes.plan());
            }
            (State::Present | State::Refresh, None) => {
                let diffs = self.made(&Shown::Absent, connection.as_deref());
                changes.outside(self.create(&name, connection.as_deref())?, diffs);
            }
            (State::Present | State::Refresh, Some(row)) => {
                let refreshed = self.alter(&name, row, connection.as_deref(), &mut changes)?;
                if self.state == State::Refresh && !refreshed {
                    self.refresh(&name, row, &mut changes)?;
                }
            }
        }
        let of_row = |at: usize| rows.first().and_then(|row| text(row, at));
        if let Some(owner) = self.owner.as_ref().filter(|owner| of_row(4) != Some(owner)) {
            let statement = format!("ALTER SUBSCRIPTION {name} OWNER TO {}", identifier("owner", owner)?);
            changes.set("owner", of_row(4).map(str::to_owned), owner.clone(), statement);
        }
        if let Some(comment) = self.comment.as_ref().filter(|comment| *comment != of_row(5).unwrap_or_default()) {
            let statement = format!("COMMENT ON SUBSCRIPTION {name} IS {}", literal(comment));
            changes.set("comment", of_row(5).map(str::to_owned), comment.clone(), statement);
        }
        Ok(changes.plan())
    }

    fn converges(&self) -> bool {
        self.state != State::Refresh
    }

    fn intent(&self) -> Vec<Diff> {
        match self.state {
            State::Absent => vec![Diff::new(self.subject(), "state", Shown::Unknown, Shown::Absent)],
            State::Present | State::Refresh => {
                self.made(&Shown::Unknown, self.connection().unwrap_or_default().as_deref())
            }
        }
    }
}

impl PgSubscription {
    /// Has it look for tables.
    fn refresh(&self, name: &str, row: &[Value], changes: &mut Changes) -> Result<(), Error> {
        let on = self.wants_enabled().unwrap_or(row.first() == Some(&Value::Bool(true)));
        if !on {
            let hint = "say `enabled: true`; when it is enabled, it can be refreshed";
            return Err(Error::refused(self.subject(), "is disabled, and does not look for tables", hint));
        }
        let copy = self.parameters.get("copy_data").and_then(Value::as_bool);
        let with = copy.map(|copy| format!(" WITH (copy_data = {copy})")).unwrap_or_default();
        let diff = Diff::new(self.subject(), "tables", Shown::Absent, "refreshed");
        changes.outside(format!("ALTER SUBSCRIPTION {name} REFRESH PUBLICATION{with}"), vec![diff]);
        Ok(())
    }

    fn subject(&self) -> String {
        format!("subscription {}.{}", self.conn().database, self.name)
    }

    fn connection(&self) -> Result<Option<String>, Error> {
        let pairs = match (&self.connection, self.connparams.is_empty()) {
            (Some(_), false) => {
                return Err(Error::param("connparams", "there is a `connection` too; give one of them"));
            }
            (None, true) => return Ok(None),
            (Some(text), true) => conninfo::parse(&text.0).ok_or_else(|| {
                Error::param("connection", "is not a list of `name=value`; a value with spaces needs quotes")
            })?,
            (None, false) => self.connparams.iter().map(|(name, value)| (name.clone(), value.0.clone())).collect(),
        };
        match pairs.iter().any(|(name, _)| name == "password") {
            true => Err(Error::param(
                "connection",
                "holds a password, which the server would keep and show; give `passfile=PATH`",
            )),
            false => Ok(Some(conninfo::format(&pairs))),
        }
    }

    fn options(&self) -> Result<Vec<String>, Error> {
        let enabled = self.enabled.map(|on| ("enabled".to_owned(), Value::Bool(on)));
        let option = |(name, value): (String, Value)| {
            if !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
                return Err(Error::param(
                    "parameters",
                    format!("`{}` cannot be an option's name", name.escape_debug()),
                ));
            }
            let value = value.as_str().map_or_else(|| value.to_string(), Into::into);
            // NONE is a keyword here.
            let value = if value.eq_ignore_ascii_case("none") { "NONE".into() } else { literal(&value) };
            Ok(format!("{name} = {value}"))
        };
        self.parameters.clone().into_iter().chain(enabled).map(option).collect()
    }

    fn create(&self, name: &str, connection: Option<&str>) -> Result<String, Error> {
        let connection = connection.ok_or_else(|| Error::param("connection", "is missing"))?;
        if self.publications.is_empty() {
            return Err(Error::param("publications", "is missing"));
        }
        let options = self.options()?;
        let with = if options.is_empty() { String::new() } else { format!(" WITH ({})", options.join(", ")) };
        let (connection, publications) = (literal(connection), self.quoted_publications()?);
        Ok(format!("CREATE SUBSCRIPTION {name} CONNECTION {connection} PUBLICATION {publications}{with}"))
    }

    fn quoted_publications(&self) -> Result<String, Error> {
        let quoted = self.publications.iter().map(|one| identifier("publications", one));
        Ok(quoted.collect::<Result<Vec<_>, _>>()?.join(", "))
    }

    fn wants_enabled(&self) -> Option<bool> {
        self.enabled.or_else(|| self.parameters.get("enabled").and_then(Value::as_bool))
    }

    /// Whether it looks for tables by what is changed.
    fn alter(&self, name: &str, row: &[Value], connection: Option<&str>, changes: &mut Changes) -> Result<bool, Error> {
        let seen_slot = text(row, 2);
        if let Some(slot) =
            self.parameters.get("slot_name").and_then(Value::as_str).filter(|slot| Some(*slot) != seen_slot)
        {
            let seen = seen_slot.unwrap_or("none");
            let hint = "disable it and set its slot by hand; a wrong slot loses changes or applies them twice";
            return Err(Error::refused(self.subject(), format!("uses the slot {seen}, not {slot}"), hint));
        }
        let seen = text(row, 1);
        let sorted = |text: &str| {
            let mut pairs = conninfo::parse(text)?;
            pairs.sort();
            Some(pairs)
        };
        if let Some(wanted) = connection.filter(|wanted| seen.and_then(sorted) != sorted(wanted)) {
            let before = seen.and_then(conninfo::parse).map(|mut pairs| {
                pairs.retain(|(name, _)| name != "password");
                conninfo::format(&pairs)
            });
            changes.set(
                "connection",
                before,
                wanted,
                format!("ALTER SUBSCRIPTION {name} CONNECTION {}", literal(wanted)),
            );
        }
        let mut seen: Vec<&str> =
            row.get(3).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let mut wanted: Vec<&str> = self.publications.iter().map(String::as_str).collect();
        seen.sort_unstable();
        wanted.sort_unstable();
        let on = row.first() == Some(&Value::Bool(true));
        let mut refreshed = false;
        if !wanted.is_empty() && seen != wanted {
            refreshed = on;
            // A subscription that is disabled cannot refresh what it copies.
            let refresh = if on { "" } else { " WITH (refresh = false)" };
            let publications = self.quoted_publications()?;
            let diff = Diff::new(self.subject(), "publications", seen.join(", "), wanted.join(", "));
            changes.outside(format!("ALTER SUBSCRIPTION {name} SET PUBLICATION {publications}{refresh}"), vec![diff]);
        }
        if let Some(wanted) = self.wants_enabled().filter(|wanted| *wanted != on) {
            let verb = if wanted { "ENABLE" } else { "DISABLE" };
            changes.set("enabled", on.to_string(), wanted.to_string(), format!("ALTER SUBSCRIPTION {name} {verb}"));
        }
        Ok(refreshed)
    }

    fn made(&self, before: &Shown, connection: Option<&str>) -> Vec<Diff> {
        let aspects = [
            ("state", Some("present".to_owned())),
            ("connection", connection.map(Into::into)),
            ("publications", Some(self.publications.join(", ")).filter(|list| !list.is_empty())),
            ("enabled", self.wants_enabled().map(|on| on.to_string())),
        ];
        let diff =
            |(aspect, value): (&str, Option<String>)| Some(Diff::new(self.subject(), aspect, before.clone(), value?));
        aspects.into_iter().filter_map(diff).collect()
    }
}
