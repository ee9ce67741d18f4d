//! `tde_table`: whether a table is encrypted.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{KeyScope, Tde, pg_tde};
use crate::builtin::common;
use crate::edit::{Diff, Edit, Reach, Shown};
use crate::host::{Error, Host};
use crate::module::Module;
use crate::plan::Plan;

with_connection! {
/// A table that is encrypted by pg_tde, or that is not.
///
/// To change that, the server writes the whole table and its indexes anew, and lets nobody else read or write it meanwhile; the
/// preview shows how much that is. Runs on the primary.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::builtin) struct TdeTable {
    /// The table, as in SQL: `orders`, `shop.orders`, `"Odd Name"`.
    #[schemars(extend("aliases" = ["table"]))]
    name: String,
    /// Whether it shall be encrypted.
    #[serde(default = "common::yes")]
    encrypted: bool,
    /// The extension: `pg_tde`, or a fork whose functions differ in their prefix.
    #[serde(default = "pg_tde")]
    extension: String,
}
}

/// A table as it is.
pub(super) struct Table {
    /// Its name, quoted where it must be.
    pub(super) name: String,
    /// `r`: a table, `m`: a materialized view, `p`: a partitioned table.
    kind: String,
    /// Its access method.
    method: String,
    /// Bytes, with indexes and TOAST.
    size: u64,
}

impl Table {
    /// Looks a table up by its name in SQL.
    pub(super) fn look(tde: &Tde, name: &str) -> Result<Self, Error> {
        let query = "SELECT c.oid::regclass::text, c.relkind::text, a.amname::text, pg_total_relation_size(c.oid) FROM pg_class c LEFT JOIN pg_am a ON a.oid = c.relam WHERE c.oid = to_regclass($1)";
        let found = tde.sql(query, &[name])?;
        let Some(row) = found.rows.into_iter().next() else {
            return Err(Error::refused(
                format!("table {name}"),
                format!("there is none in the database {}", tde.at().database),
                "give its schema too, and `db`",
            ));
        };
        let text = |at: usize| row.get(at).and_then(Value::as_str).unwrap_or_default().to_owned();
        let size = row.get(3).and_then(Value::as_u64).unwrap_or_default();
        Ok(Self { name: text(0), kind: text(1), method: text(2), size })
    }

    /// Whether it has content of its own that can be encrypted.
    pub(super) fn holds_rows(&self) -> bool {
        matches!(self.kind.as_str(), "r" | "m")
    }

    pub(super) fn encrypted(&self) -> bool {
        self.method == "tde_heap"
    }
}

impl Module for TdeTable {
    const NAME: &'static str = "tde_table";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let tde = Tde::open(host, self.conn(), &self.extension)?;
        let table = Table::look(&tde, &self.name)?;
        if !table.holds_rows() {
            let reason = match table.kind.as_str() {
                "p" => "it is partitioned, and holds no rows itself",
                _ => "it is no table",
            };
            return Err(Error::refused(self.subject(), reason, "name the tables that hold the rows"));
        }
        if table.encrypted() == self.encrypted {
            return Ok(Plan::nothing());
        }
        if tde.standby {
            return Err(Error::refused(self.subject(), "this server is a standby", "run the task on the primary"));
        }
        if self.encrypted && tde.key(KeyScope::Database)?.or(tde.key(KeyScope::Default)?).is_none() {
            return Err(Error::refused(
                self.subject(),
                "neither the database nor the server has a key for tables",
                "set one with `tde_principal_key` and `scope: default` or `scope: database`; a server key is not enough",
            ));
        }
        let size = common::size(table.size);
        let after = format!("{} (rewrites {size}, and locks the table meanwhile)", word(self.encrypted));
        let effect = vec![Diff::new(self.subject(), "encryption", word(table.encrypted()), after)];
        let method = if self.encrypted { "tde_heap" } else { "heap" };
        let keyword = if table.kind == "m" { "MATERIALIZED VIEW" } else { "TABLE" };
        let statement = format!("ALTER {keyword} {} SET ACCESS METHOD {method}", table.name);
        let (at, reach) = (tde.at(), Reach::Server);
        let edit = Edit::Sql { at, statement, args: Vec::new(), autocommit: false, reach, effect };
        let mut plan = Plan::nothing().returning("bytes", table.size).with(edit);
        if self.encrypted {
            let was = "was in the clear so far: old backups, archived WAL and freed blocks of the disk still hold it";
            plan.warnings.push(format!("{} {was}", self.subject()));
        }
        Ok(plan)
    }

    fn intent(&self) -> Vec<Diff> {
        vec![Diff::new(self.subject(), "encryption", Shown::Unknown, word(self.encrypted))]
    }
}

impl TdeTable {
    fn subject(&self) -> String {
        format!("table {}", self.name)
    }
}

fn word(encrypted: bool) -> &'static str {
    if encrypted { "encrypted" } else { "none" }
}
