//! `tde_verify`: the proof that keys resolve and encrypted tables can be read.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::table::Table;
use super::{KeyScope, Tde, meaning, pg_tde};
use crate::host::{Error, Host};
use crate::module::Module;
use crate::plan::Plan;

with_connection! {
/// Proves that the keys of pg_tde can be had, and that encrypted tables are encrypted and can be read. Changes nothing; for
/// primaries and standbys.
///
/// `pg_tde_is_encrypted` proves neither: it is true with the key missing or wrong. So each key that is set is asked of its
/// provider, and a row of each encrypted table is read.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::builtin) struct TdeVerify {
    /// Tables that must be encrypted, as in SQL. Without them, every encrypted table of the database is read.
    tables: Option<Vec<String>>,
    /// Whether to look at the tables' files too: a page there that is a page of PostgreSQL is not encrypted. A standby that once
    /// ran without the extension has such pages, while every function says that all is well.
    #[serde(default)]
    on_disk: bool,
    /// The extension: `pg_tde`, or a fork whose functions differ in their prefix.
    #[serde(default = "pg_tde")]
    extension: String,
}
}

impl Module for TdeVerify {
    const NAME: &'static str = "tde_verify";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let tde = Tde::open(host, self.conn(), &self.extension)?;
        let mut keys = Vec::new();
        let mut wrong = Vec::new();
        for scope in KeyScope::ALL {
            let Some(key) = tde.key(scope)? else { continue };
            if let Err(error) = tde.verify(scope) {
                let meaning = meaning(&error).map(|meaning| format!(" ({meaning})")).unwrap_or_default();
                wrong.push(format!("the {} {key} can't be had: {error}{meaning}", scope.name()));
            }
            keys.push(json!({ "scope": scope.name(), "name": key.name, "provider": key.provider }));
        }
        if keys.is_empty() {
            wrong.push("no principal key is set, so nothing is encrypted".into());
        }
        let mut plan = Plan::nothing();
        let names = match &self.tables {
            Some(names) => names.clone(),
            None => encrypted_tables(&tde)?,
        };
        if names.is_empty() {
            plan.warnings.push(format!("{} has no encrypted table to read: only keys were verified", tde.at()));
        }
        let mut tables = Vec::new();
        for name in &names {
            let table = Table::look(&tde, name)?;
            match self.read(&tde, &table) {
                Ok(rows) => tables.push(json!({ "name": table.name, "has_rows": rows })),
                Err(problem) => wrong.push(format!("the table {} {problem}", table.name)),
            }
        }
        match wrong.is_empty() {
            true => Ok(plan.returning("keys", keys).returning("tables", tables)),
            false => Err(Error::Failed(format!("{}: {}", tde.at(), wrong.join("; ")))),
        }
    }
}

impl TdeVerify {
    /// Reads a row; what is wrong finishes "the table t …".
    fn read(&self, tde: &Tde, table: &Table) -> Result<bool, String> {
        if !table.encrypted() {
            return Err("is not encrypted".into());
        }
        let query = format!("SELECT count(*) > 0 FROM (SELECT ctid FROM ONLY {} LIMIT 1) row", table.name);
        let read = tde.sql(&query, &[]).map_err(|error| format!("can't be read: {error}"))?;
        let first = |rows: &[Vec<Value>]| rows.first().and_then(|row| row.first()) == Some(&Value::Bool(true));
        if self.on_disk {
            let plain =
                tde.sql(PLAIN, &[&table.name]).map_err(|error| format!("has a file that can't be read: {error}"))?;
            if first(&plain.rows) {
                return Err("is in the clear on disk: its first page is a page of PostgreSQL".into());
            }
        }
        Ok(first(&read.rows))
    }
}

/// Whether the first page on disk has the header of a heap page in the clear: its special space at its end, and its size and
/// version, 8192 and 4 (bufpage.h). No row: nothing has been written yet.
const PLAIN: &str = r"SELECT substring(page FROM 17 FOR 4) = '\x00200420'::bytea FROM pg_read_binary_file(pg_relation_filepath($1), 0, 32) page WHERE length(page) = 32";

fn encrypted_tables(tde: &Tde) -> Result<Vec<String>, Error> {
    let query = "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_am a ON a.oid = c.relam WHERE a.amname = 'tde_heap' AND c.relkind IN ('r', 'm') AND c.relpersistence <> 't' ORDER BY 1";
    let found = tde.sql(query, &[])?;
    Ok(found.rows.iter().filter_map(|row| Some(row.first()?.as_str()?.to_owned())).collect())
}
