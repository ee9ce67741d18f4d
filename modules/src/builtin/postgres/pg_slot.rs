//! `pg_slot`: a replication slot of a PostgreSQL server.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::change::{Changes, text};
use super::quote::literal;
use crate::builtin::state::State;
use crate::edit::{Diff, Shown};
use crate::host::{Error, Host};
use crate::module::Module;
use crate::plan::Plan;
use crate::sql::SqlArg;

with_connection! {
/// A replication slot: it keeps the WAL that its consumer has not had yet, without limit unless
/// `max_slot_wal_keep_size` is set.
///
/// One that is there with another type, plugin or database is refused, and so is dropping one that is in use.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::builtin) struct PgSlot {
    /// The slot's name: lower-case letters, digits and underscores.
    #[schemars(extend("aliases" = ["slot_name"]))]
    name: String,
    /// For a standby, or for changes of one database as a plugin writes them.
    #[serde(default, rename = "type")]
    #[schemars(extend("aliases" = ["slot_type"]))]
    kind: Kind,
    /// The plugin of a logical slot: `pgoutput` is what subscriptions use.
    #[schemars(extend("aliases" = ["output_plugin"]))]
    plugin: Option<String>,
    /// Whether a new physical slot keeps WAL at once, and not only from its first use on.
    #[serde(default)]
    #[schemars(extend("aliases" = ["immediately_reserve"]))]
    reserve: bool,
    /// Whether there shall be such a slot.
    #[serde(default)]
    state: State,
}
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// WAL as it is.
    #[default]
    Physical,
    /// Changes of the database that the task connects to.
    Logical,
}

const LOOK: &str = "SELECT slot_type, plugin, database, active_pid, wal_status FROM pg_catalog.pg_replication_slots \
    WHERE slot_name = $1";

/// The most bytes of a slot's name (`NAMEDATALEN` - 1).
const MAX_NAME: usize = 63;

impl Module for PgSlot {
    const NAME: &'static str = "pg_slot";
    const ALIASES: &'static [&'static str] = &["postgresql_slot"];

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        self.check()?;
        let at = self.conn();
        let rows = host.sql(&at, LOOK, &[SqlArg::Text(self.name.clone())])?.rows;
        let mut changes = Changes::new(at, self.subject());
        match (self.state, rows.first()) {
            (State::Absent, None) => {}
            (State::Absent, Some(row)) => {
                if let Some(pid) = row.get(3).and_then(Value::as_i64) {
                    let hint = "stop the standby or subscription that uses it first";
                    return Err(Error::refused(self.subject(), format!("is in use by the process {pid}"), hint));
                }
                let statement = format!("SELECT pg_drop_replication_slot({})", literal(&self.name));
                changes.set("state", text(row, 0).map(str::to_owned), Shown::Absent, statement);
            }
            (State::Present, None) => changes.make(self.create(), self.made(&Shown::Absent)),
            (State::Present, Some(row)) => self.fits(row, &self.conn().database)?,
        }
        Ok(changes.plan())
    }

    fn intent(&self) -> Vec<Diff> {
        match self.state {
            State::Absent => vec![Diff::new(self.subject(), "state", Shown::Unknown, Shown::Absent)],
            State::Present => self.made(&Shown::Unknown),
        }
    }
}

impl PgSlot {
    fn subject(&self) -> String {
        format!("slot {}", self.name)
    }

    fn kind(&self) -> &'static str {
        if self.kind == Kind::Logical { "logical" } else { "physical" }
    }

    fn check(&self) -> Result<(), Error> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if self.name.is_empty() || self.name.len() > MAX_NAME || !self.name.bytes().all(plain) {
            let name = self.name.escape_debug();
            let expected = format!("1 to {MAX_NAME} lower-case letters, digits and underscores");
            return Err(Error::param("name", format!("`{name}` cannot be a slot's name: {expected}")));
        }
        match (self.kind, &self.plugin) {
            _ if self.state == State::Absent => Ok(()),
            (Kind::Logical, None) => {
                Err(Error::param("plugin", "is missing; a logical slot needs one, such as `pgoutput`"))
            }
            (Kind::Physical, Some(_)) => Err(Error::param("plugin", "is for logical slots; say `type: logical`")),
            (Kind::Logical, Some(_)) if self.reserve => {
                Err(Error::param("reserve", "is for physical slots; a logical one always does"))
            }
            _ => Ok(()),
        }
    }

    fn create(&self) -> String {
        let name = literal(&self.name);
        match &self.plugin {
            Some(plugin) => format!("SELECT pg_create_logical_replication_slot({name}, {})", literal(plugin)),
            None => format!("SELECT pg_create_physical_replication_slot({name}, {})", self.reserve),
        }
    }

    fn made(&self, before: &Shown) -> Vec<Diff> {
        let mut diffs = vec![Diff::new(self.subject(), "state", before.clone(), self.kind())];
        diffs.extend(
            self.plugin.iter().map(|plugin| Diff::new(self.subject(), "plugin", before.clone(), plugin.clone())),
        );
        diffs
    }

    /// Refuses a slot that is there and is another, or of no use any more.
    fn fits(&self, row: &[Value], database: &str) -> Result<(), Error> {
        let logical = self.kind == Kind::Logical;
        for (what, seen, wanted) in [
            ("type", text(row, 0), Some(self.kind())),
            ("plugin", text(row, 1), self.plugin.as_deref()),
            ("database", text(row, 2), logical.then_some(database)),
        ] {
            if seen != wanted {
                let show = |one: Option<&str>| one.unwrap_or("none").to_owned();
                return Err(Error::refused(
                    self.subject(),
                    format!("is there with another {what}: {}, not {}", show(seen), show(wanted)),
                    "give another name, or drop it first (`state: absent`), if nobody needs it",
                ));
            }
        }
        if text(row, 4) == Some("lost") {
            return Err(Error::refused(
                self.subject(),
                "has lost WAL that its consumer needs (wal_status is `lost`)",
                "drop it (`state: absent`) and make it anew; its standby or subscriber needs a new copy",
            ));
        }
        Ok(())
    }
}
