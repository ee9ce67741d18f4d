//! What of a table is published: some of its rows, some of its columns (since PostgreSQL 15).

use std::collections::BTreeMap;

use serde_json::Value;

use super::{PgPublication, quoted_table};
use crate::builtin::postgres::change::{Changes, text};
use crate::builtin::postgres::quote::identifier;
use crate::edit::{Diff, Shown};
use crate::host::{Error, Host};
use crate::sql::{PgConn, SqlArg};

/// What of a table is published. Only asked for where a task names rows or columns: older servers have no such thing.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Detail {
    /// Sorted; none: all.
    pub(super) columns: Vec<String>,
    /// An expression; none: all rows.
    pub(super) filter: Option<String>,
}

const DETAILS: &str = "SELECT n.nspname || '.' || c.relname, pg_get_expr(r.prqual, r.prrelid), \
    ARRAY(SELECT a.attname FROM pg_catalog.pg_attribute a WHERE a.attrelid = r.prrelid AND a.attnum = ANY (r.prattrs) ORDER BY 1) \
    FROM pg_catalog.pg_publication_rel r JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid JOIN pg_catalog.pg_class c ON c.oid = r.prrelid \
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE p.pubname = $1 ORDER BY 1";

/// As the server has it, by table.
fn seen(host: &dyn Host, at: &PgConn, name: &str) -> Result<BTreeMap<String, Detail>, Error> {
    let rows = host.sql(at, DETAILS, &[SqlArg::Text(name.into())])?.rows;
    let one = |row: &Vec<Value>| {
        let columns = row.get(2).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        let mut columns: Vec<String> = columns.map(Into::into).collect();
        columns.sort();
        Some((text(row, 0)?.to_owned(), Detail { columns, filter: text(row, 1).map(Into::into) }))
    };
    Ok(rows.iter().filter_map(one).collect())
}

impl PgPublication {
    /// Whether the task says anything about rows or columns.
    pub(super) fn has_details(&self) -> bool {
        !self.rowfilters.is_empty() || !self.columns.is_empty()
    }

    /// As the task wants it for a table; what it does not speak of is as it was.
    pub(super) fn detail(&self, table: &str, was: &Detail) -> Detail {
        let named = |given: &str| super::full(given) == table;
        let columns = self.columns.iter().find(|(given, _)| named(given)).map(|(_, columns)| {
            let mut columns = columns.clone();
            columns.sort();
            columns
        });
        let filter = self.rowfilters.iter().find(|(given, _)| named(given)).map(|(_, filter)| filter.trim().to_owned());
        Detail {
            columns: columns.unwrap_or_else(|| was.columns.clone()),
            filter: filter.map_or_else(|| was.filter.clone(), |filter| Some(filter).filter(|text| !text.is_empty())),
        }
    }

    /// Rows and columns can be named only of tables that are published by name.
    pub(super) fn details_fit(&self) -> Result<(), Error> {
        let tables = self.tables();
        let params =
            [("rowfilters", self.rowfilters.keys().collect::<Vec<_>>()), ("columns", self.columns.keys().collect())];
        for (param, given) in params {
            if let Some(other) = given.into_iter().find(|given| !tables.contains(&super::full(given))) {
                return Err(Error::param(param, format!("names `{other}`, which is not among `tables`")));
            }
        }
        Ok(())
    }

    /// An error if a filter is none, before anything is made.
    pub(super) fn filters_are_sound(&self, host: &dyn Host, at: &PgConn) -> Result<(), Error> {
        for table in self.tables() {
            if let Some(filter) = self.detail(&table, &Detail::default()).filter {
                explained(host, at, &quoted_table(&table)?, &filter)?;
            }
        }
        Ok(())
    }

    /// Like `members`, where rows or columns are named too. What of a table is published can be changed only by naming all
    /// tables anew.
    pub(super) fn detailed(
        &self,
        host: &dyn Host,
        name: &str,
        row: &[Value],
        schemas: &[&str],
        changes: &mut Changes,
    ) -> Result<(), Error> {
        let at = self.conn();
        let all = seen(host, &at, &self.name)?;
        let mut diffs = Vec::new();
        for table in self.tables() {
            let none = Detail::default();
            let was = all.get(&table).unwrap_or(&none);
            let wanted = self.detail(&table, was);
            let list = |columns: &[String]| Shown::from(Some(columns.join(", ")).filter(|list| !list.is_empty()));
            if wanted.columns != was.columns {
                let aspect = format!("columns of {table}");
                diffs.push(Diff::new(self.subject(), &aspect, list(&was.columns), list(&wanted.columns)));
            }
            let same = same_filter(host, &at, &quoted_table(&table)?, wanted.filter.as_ref(), was.filter.as_ref())?;
            if !same {
                let aspect = format!("rows of {table}");
                diffs.push(Diff::new(self.subject(), &aspect, was.filter.clone(), wanted.filter.clone()));
            }
        }
        if diffs.is_empty() {
            return self.members(name, row, schemas, changes);
        }
        let mut others = Changes::new(at, self.subject());
        self.members(name, row, schemas, &mut others)?;
        diffs.extend(others.plan().diffs());
        changes.make(format!("ALTER PUBLICATION {name} SET {}", self.objects(&all)?), diffs);
        Ok(())
    }
}

impl Detail {
    /// `("a", "b") WHERE (a > 1)`, with a space before it, for a statement.
    pub(super) fn clause(&self) -> Result<String, Error> {
        let columns = self.columns.iter().map(|column| identifier("columns", column)).collect::<Result<Vec<_>, _>>()?;
        let columns = if columns.is_empty() { String::new() } else { format!(" ({})", columns.join(", ")) };
        let filter = self.filter.as_ref().map(|filter| format!(" WHERE ({filter})")).unwrap_or_default();
        Ok(columns + &filter)
    }
}

/// Whether two expressions mean the same to the server, which keeps them in its own spelling: it is asked how it would read the
/// table by each. An expression that it can't read is an error before anything is changed.
fn same_filter(
    host: &dyn Host,
    at: &PgConn,
    quoted: &str,
    wanted: Option<&String>,
    seen: Option<&String>,
) -> Result<bool, Error> {
    let read = |filter: Option<&String>| match filter {
        Some(filter) => explained(host, at, quoted, filter).map(Some),
        None => Ok(None),
    };
    Ok(wanted == seen || read(wanted)? == read(seen)?)
}

/// How the server would read the rows: its plan, in which the expression is as it understands it.
fn explained(host: &dyn Host, at: &PgConn, quoted: &str, filter: &str) -> Result<Vec<Vec<Value>>, Error> {
    let query = format!("EXPLAIN (VERBOSE, COSTS OFF) SELECT FROM {quoted} WHERE ({filter})");
    match host.sql(at, &query, &[]) {
        Ok(rows) => Ok(rows.rows),
        Err(Error::Sql(error)) if error.sqlstate.is_some() => {
            Err(Error::param("rowfilters", format!("`{filter}` is no condition on {quoted}: {}", error.message)))
        }
        Err(error) => Err(error),
    }
}
