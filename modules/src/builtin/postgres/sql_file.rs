//! `sql_file`: files of SQL that are executed once each, in order.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::change::text;
use super::quote::{identifier, literal};
use crate::builtin::common;
use crate::edit::{Diff, Edit, Reach, Shown, Text};
use crate::host::{Error, Host};
use crate::module::Module;
use crate::plan::Plan;
use crate::sql::SqlArg;

with_connection! {
/// A file of SQL, or a directory of them (migrations), each executed once and recorded in a table of the database with
/// the hash of its content.
///
/// The files of a directory are those that end in `.sql`, ordered by name; numbers in a name count as numbers, so `V10`
/// comes after `V9`. Each is executed in a transaction together with its record: it is done and recorded, or neither. One
/// whose first line is `-- trueup: no transaction` is executed by itself and then recorded; it should hold one statement.
///
/// A file that was executed and has other content now is refused, and so is a new one that belongs before one that was
/// executed. Registers `applied` and `pending`, the names.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::builtin) struct SqlFile {
    /// The file or directory, on the host; a `copy` task brings it there.
    path: PathBuf,
    /// The table of records, as `schema.table`; it is made if there is none.
    #[serde(default = "table")]
    table: String,
    /// Whether a new file may belong before one that was executed.
    #[serde(default)]
    out_of_order: bool,
}
}

fn table() -> String {
    "public.trueup_migrations".into()
}

/// The first line of a file that cannot be executed in a transaction.
const ALONE: &str = "-- trueup: no transaction";

/// A file that is to be executed.
struct Pending {
    name: String,
    path: PathBuf,
    content: String,
    sha256: String,
}

impl Module for SqlFile {
    const NAME: &'static str = "sql_file";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let table = self.quoted_table()?;
        let files = self.files(host)?;
        let recorded = self.recorded(host, &table)?;
        let mut pending = Vec::new();
        for path in &files {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let sha256 = host.sha256(path)?.unwrap_or_default();
            match recorded.as_ref().and_then(|recorded| recorded.get(&name)) {
                Some(seen) if *seen == sha256 => {}
                Some(_) => {
                    return Err(Error::refused(
                        path.display().to_string(),
                        "was executed with another content",
                        "undo the change, and write what is to be changed into a new file",
                    ));
                }
                None => pending.push(Pending { content: read(host, path)?, path: path.clone(), name, sha256 }),
            }
        }
        let last = recorded.iter().flat_map(BTreeMap::keys).max_by(|a, b| by_number(a, b));
        if let (Some(last), false) = (last, self.out_of_order)
            && let Some(late) = pending.iter().find(|one| by_number(&one.name, last) == Ordering::Less)
        {
            return Err(Error::refused(
                late.path.display().to_string(),
                format!("belongs before {last}, which was executed"),
                "give it a later name, or say `out_of_order: true`",
            ));
        }
        Ok(self.planned(&table, recorded.as_ref(), &pending))
    }

    fn intent(&self) -> Vec<Diff> {
        vec![Diff::new(self.path.display().to_string(), "executed", Shown::Unknown, "once")]
    }

    /// Those before the one that failed are recorded by now, so it is the first that is pending.
    fn explain(&self, host: &dyn Host, _error: &Error) -> Option<String> {
        let plan = self.plan(host).ok()?;
        let first = plan.data.get("pending")?.as_array()?.first()?.as_str()?.to_owned();
        Some(format!("in {first}, of which nothing was done, unless it says `{ALONE}`"))
    }
}

impl SqlFile {
    fn quoted_table(&self) -> Result<String, Error> {
        let (schema, table) = self.table.split_once('.').unwrap_or(("public", &self.table));
        Ok(format!("{}.{}", identifier("table", schema)?, identifier("table", table)?))
    }

    fn files(&self, host: &dyn Host) -> Result<Vec<PathBuf>, Error> {
        let (path, now) = common::resolve(host, &self.path)?;
        match now {
            None => Err(Error::refused(
                path.display().to_string(),
                "does not exist",
                "bring it there by a `copy` task before this one",
            )),
            Some(now) if now.is_dir() => {
                let mut files = host.list(&path)?;
                files.retain(|file| file.extension().is_some_and(|extension| extension == "sql"));
                let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                files.sort_by(|a, b| by_number(&name(a), &name(b)));
                Ok(files)
            }
            Some(_) => Ok(vec![path]),
        }
    }

    /// Names and hashes; `None` if there is no table yet.
    fn recorded(&self, host: &dyn Host, table: &str) -> Result<Option<BTreeMap<String, String>>, Error> {
        let at = self.conn();
        let there = host.sql(&at, "SELECT to_regclass($1) IS NOT NULL", &[SqlArg::Text(table.into())])?.rows;
        if there.first().and_then(|row| row.first()) != Some(&true.into()) {
            return Ok(None);
        }
        let rows = host.sql(&at, &format!("SELECT name, sha256 FROM {table} ORDER BY name"), &[])?.rows;
        let pair = |row: &Vec<serde_json::Value>| Some((text(row, 0)?.to_owned(), text(row, 1)?.to_owned()));
        Ok(Some(rows.iter().filter_map(pair).collect()))
    }

    fn planned(&self, table: &str, recorded: Option<&BTreeMap<String, String>>, pending: &[Pending]) -> Plan {
        let mut plan = Plan::nothing();
        let mut edit = |statement: String, autocommit: bool, effect: Vec<Diff>| {
            let (at, reach) = (self.conn(), Reach::Anything);
            plan.edits.push(Edit::Sql { at, statement, args: Vec::new(), autocommit, reach, effect });
        };
        if recorded.is_none() && !pending.is_empty() {
            let statement = format!(
                "CREATE TABLE {table} (name text PRIMARY KEY, sha256 text NOT NULL, executed timestamptz NOT NULL DEFAULT now(), \
                 executed_by text NOT NULL DEFAULT session_user)"
            );
            edit(statement, false, vec![Diff::new(format!("table {}", self.table), "state", Shown::Absent, "present")]);
        }
        for one in pending {
            let record =
                format!("INSERT INTO {table} (name, sha256) VALUES ({}, {})", literal(&one.name), literal(&one.sha256));
            let after = Shown::from(&Text::plain(one.content.as_bytes()));
            let diff = Diff::new(one.path.display().to_string(), "executed", Shown::Absent, after);
            if one.content.lines().next().is_some_and(|line| line.trim_end() == ALONE) {
                edit(one.content.clone(), true, vec![diff]);
                edit(record, false, Vec::new());
            } else {
                // A comment at its end must not swallow the record.
                edit(format!("{}\n;\n{record}", one.content.trim_end()), false, vec![diff]);
            }
        }
        let mut applied: Vec<String> = recorded.into_iter().flat_map(BTreeMap::keys).cloned().collect();
        applied.sort_by(|a, b| by_number(a, b));
        let names: Vec<String> = pending.iter().map(|one| one.name.clone()).collect();
        plan.returning("applied", applied).returning("pending", names)
    }
}

fn read(host: &dyn Host, path: &Path) -> Result<String, Error> {
    let bytes = host.read(path)?.unwrap_or_default();
    let content = String::from_utf8(bytes).map_err(|_| Error::path("execute", path, "it is not UTF-8 text"))?;
    let bare = |line: &str| line.trim_start().starts_with('\\');
    match content.lines().position(bare) {
        // psql's own, which no server knows; it may also be a part of a text, but not often.
        Some(at) => Err(Error::refused(
            format!("{}:{}", path.display(), at + 1),
            "begins with a backslash: a command of psql, not SQL",
            "write SQL; the connection's parameters say where it is executed",
        )),
        None if content.trim().is_empty() => Err(Error::path("execute", path, "it is empty")),
        None => Ok(content),
    }
}

/// By name, with numbers in it as numbers.
fn by_number(a: &str, b: &str) -> Ordering {
    fn key(name: &str) -> Vec<(u64, String)> {
        let mut parts = Vec::new();
        let mut rest = name;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let (number, after) = rest.split_at(digits);
            let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
            parts.push((number.parse().unwrap_or_default(), after[..end].to_owned()));
            rest = &after[end..];
        }
        parts
    }
    key(a).cmp(&key(b)).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count_as_numbers() {
        let mut names =
            ["V10__c.sql", "V9__b.sql", "V1__a.sql", "V1.10.sql", "V1.9.sql", "002_x.sql", "1_y.sql", "10_z.sql"];
        names.sort_by(|a, b| by_number(a, b));
        assert_eq!(
            names,
            ["V1.9.sql", "V1.10.sql", "V1__a.sql", "V9__b.sql", "V10__c.sql", "1_y.sql", "002_x.sql", "10_z.sql"]
        );
    }
}
