//! `pg_publication`: which changes of a database can be subscribed to.
//!
//! [`detail`]: which rows and columns of a table.

mod detail;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::builtin::postgres::change::{Changes, text};
use crate::builtin::postgres::quote::{identifier, literal};
use crate::builtin::state::State;
use crate::edit::{Diff, Shown};
use crate::host::{Error, Host};
use crate::module::Module;
use crate::param::nearest;
use crate::plan::Plan;
use crate::sql::SqlArg;
use detail::Detail;

with_connection! {
/// A publication of some tables, of all in some schemas, or of all in the database.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::builtin) struct PgPublication {
    /// The publication's name.
    name: String,
    /// The tables, as `schema.table`; without a schema, `public` is meant. Others are taken out. Without `tables` and
    /// `schemas`, all tables of the database are published, also those to come.
    #[serde(default)]
    tables: Vec<String>,
    /// Schemas of which all tables are published, also those to come (PostgreSQL 15).
    #[serde(default)]
    #[schemars(extend("aliases" = ["tables_in_schema"]))]
    schemas: Vec<String>,
    /// Of some of the tables: which rows are published, as a condition in SQL (PostgreSQL 15): `{sales.items: price > 10}`. The empty
    /// text is for all rows. Of tables that are not named here, that stays as it is.
    #[serde(default)]
    rowfilters: BTreeMap<String, String>,
    /// Of some of the tables: which columns are published (PostgreSQL 15). An empty list is for all of them.
    #[serde(default)]
    columns: BTreeMap<String, Vec<String>>,
    /// What is published: some of `insert`, `update`, `delete`, `truncate`. Without it, all of them in a new publication.
    #[serde(default)]
    publish: Vec<String>,
    /// Whether changes of a partition are published as those of the whole table.
    via_root: Option<bool>,
    /// Ansible's way to give `publish` and `publish_via_partition_root`.
    #[serde(default)]
    parameters: BTreeMap<String, Value>,
    /// The role that owns it.
    owner: Option<String>,
    /// A comment; the empty text removes it.
    comment: Option<String>,
    /// Whether there shall be such a publication.
    #[serde(default)]
    state: State,
    /// With `absent`: drop what depends on it, too.
    #[serde(default)]
    cascade: bool,
}
}

const LOOK: &str = "SELECT p.puballtables, concat_ws(', ', CASE WHEN p.pubinsert THEN 'insert' END, CASE WHEN p.pubupdate \
    THEN 'update' END, CASE WHEN p.pubdelete THEN 'delete' END, CASE WHEN p.pubtruncate THEN 'truncate' END), p.pubviaroot, \
    pg_get_userbyid(p.pubowner), obj_description(p.oid, 'pg_publication'), \
    ARRAY(SELECT n.nspname || '.' || c.relname FROM pg_catalog.pg_publication_rel r JOIN pg_catalog.pg_class c ON c.oid = r.prrelid \
          JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE r.prpubid = p.oid ORDER BY 1) \
    FROM pg_catalog.pg_publication p WHERE p.pubname = $1";

/// Only asked where a task names schemas: older servers have no such table.
const SCHEMAS: &str = "SELECT n.nspname FROM pg_catalog.pg_publication_namespace s JOIN pg_catalog.pg_namespace n ON n.oid = s.pnnspid \
    JOIN pg_catalog.pg_publication p ON p.oid = s.pnpubid WHERE p.pubname = $1 ORDER BY 1";

const OPERATIONS: [&str; 4] = ["insert", "update", "delete", "truncate"];

impl Module for PgPublication {
    const NAME: &'static str = "pg_publication";
    const ALIASES: &'static [&'static str] = &["postgresql_publication"];

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let name = identifier("name", &self.name)?;
        let options = self.options()?;
        self.details_fit()?;
        let at = self.conn();
        let args = [SqlArg::Text(self.name.clone())];
        let rows = host.sql(&at, LOOK, &args)?.rows;
        let mut changes = Changes::new(at.clone(), self.subject());
        match (self.state, rows.first()) {
            (State::Absent, None) => return Ok(Plan::nothing()),
            (State::Absent, Some(_)) => {
                let cascade = if self.cascade { " CASCADE" } else { "" };
                changes.set("state", "present", Shown::Absent, format!("DROP PUBLICATION {name}{cascade}"));
                return Ok(changes.plan());
            }
            (State::Present, None) => {
                let with: Vec<String> = options.iter().map(|(option, value)| format!("{option} = '{value}'")).collect();
                let with = if with.is_empty() { String::new() } else { format!(" WITH ({})", with.join(", ")) };
                self.filters_are_sound(host, &at)?;
                let statement = format!("CREATE PUBLICATION {name} FOR {}{with}", self.objects(&BTreeMap::new())?);
                changes.make(statement, self.made(&Shown::Absent, &options));
            }
            (State::Present, Some(row)) => {
                let schemas = if self.schemas.is_empty() { Vec::new() } else { host.sql(&at, SCHEMAS, &args)?.rows };
                let schemas: Vec<&str> = schemas.iter().filter_map(|row| text(row, 0)).collect();
                match self.has_details() && !self.all() && row.first() != Some(&Value::Bool(true)) {
                    true => self.detailed(host, &name, row, &schemas, &mut changes)?,
                    false => self.members(&name, row, &schemas, &mut changes)?,
                }
                for (option, wanted) in &options {
                    let seen = match *option {
                        "publish" => text(row, 1).unwrap_or_default().to_owned(),
                        _ => row.get(2).map(ToString::to_string).unwrap_or_default(),
                    };
                    if seen != *wanted {
                        let statement = format!("ALTER PUBLICATION {name} SET ({option} = '{wanted}')");
                        changes.set(option, seen, wanted.clone(), statement);
                    }
                }
            }
        }
        let of_row = |at: usize| rows.first().and_then(|row| text(row, at));
        if let Some(owner) = self.owner.as_ref().filter(|owner| of_row(3) != Some(owner)) {
            let statement = format!("ALTER PUBLICATION {name} OWNER TO {}", identifier("owner", owner)?);
            changes.set("owner", of_row(3).map(str::to_owned), owner.clone(), statement);
        }
        if let Some(comment) = self.comment.as_ref().filter(|comment| *comment != of_row(4).unwrap_or_default()) {
            let statement = format!("COMMENT ON PUBLICATION {name} IS {}", literal(comment));
            changes.set("comment", of_row(4).map(str::to_owned), comment.clone(), statement);
        }
        Ok(changes.plan())
    }

    fn intent(&self) -> Vec<Diff> {
        match self.state {
            State::Absent => vec![Diff::new(self.subject(), "state", Shown::Unknown, Shown::Absent)],
            State::Present => self.made(&Shown::Unknown, &self.options().unwrap_or_default()),
        }
    }
}

impl PgPublication {
    fn subject(&self) -> String {
        format!("publication {}.{}", self.conn().database, self.name)
    }

    fn all(&self) -> bool {
        self.tables.is_empty() && self.schemas.is_empty()
    }

    /// Each as `schema.table`.
    fn tables(&self) -> Vec<String> {
        self.tables.iter().map(|table| full(table)).collect()
    }

    /// The options given, in the server's order and spelling.
    fn options(&self) -> Result<Vec<(&'static str, String)>, Error> {
        let (mut publish, mut via_root) = (self.publish.clone(), self.via_root);
        for (name, value) in &self.parameters {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_lowercase);
            match name.as_str() {
                "publish" => publish = text.split(',').map(|one| one.trim().to_owned()).collect(),
                "publish_via_partition_root" => via_root = Some(matches!(text.as_str(), "true" | "on" | "yes" | "1")),
                other => {
                    return Err(Error::param(
                        "parameters",
                        format!("there is no parameter `{other}`; there are publish and publish_via_partition_root"),
                    ));
                }
            }
        }
        for one in &publish {
            if !OPERATIONS.contains(&one.to_lowercase().as_str()) {
                let near = nearest(one, OPERATIONS).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                return Err(Error::param("publish", format!("`{one}` is none of {}{near}", OPERATIONS.join(", "))));
            }
        }
        let ordered: Vec<&str> =
            OPERATIONS.into_iter().filter(|one| publish.iter().any(|given| given.eq_ignore_ascii_case(one))).collect();
        let publish = (!ordered.is_empty()).then(|| ("publish", ordered.join(", ")));
        Ok(publish.into_iter().chain(via_root.map(|on| ("publish_via_partition_root", on.to_string()))).collect())
    }

    /// `seen`: what of each table is published now, where that is known.
    fn objects(&self, seen: &BTreeMap<String, Detail>) -> Result<String, Error> {
        if self.all() {
            return Ok("ALL TABLES".into());
        }
        let none = Detail::default();
        let table = |table: &String| {
            let detail = self.detail(table, seen.get(table).unwrap_or(&none)).clause()?;
            Ok(format!("TABLE {}{detail}", quoted_table(table)?))
        };
        let tables = self.tables().iter().map(table).collect::<Vec<_>>();
        let schemas =
            self.schemas.iter().map(|schema| Ok(format!("TABLES IN SCHEMA {}", identifier("schemas", schema)?)));
        let objects: Vec<String> = tables.into_iter().chain(schemas).collect::<Result<_, Error>>()?;
        Ok(objects.join(", "))
    }

    fn made(&self, before: &Shown, options: &[(&'static str, String)]) -> Vec<Diff> {
        let diff = |aspect: &str, after: String| Diff::new(self.subject(), aspect, before.clone(), after);
        let mut diffs = vec![diff("state", "present".into())];
        diffs.extend(self.all().then(|| diff("tables", "all".into())));
        diffs.extend(self.tables().into_iter().map(|table| diff("table", table)));
        for table in self.tables() {
            let Detail { columns, filter } = self.detail(&table, &Detail::default());
            diffs.extend((!columns.is_empty()).then(|| diff(&format!("columns of {table}"), columns.join(", "))));
            diffs.extend(filter.map(|filter| diff(&format!("rows of {table}"), filter)));
        }
        diffs.extend(self.schemas.iter().map(|schema| diff("tables in schema", schema.clone())));
        diffs.extend(options.iter().map(|(option, value)| diff(option, value.clone())));
        diffs
    }

    /// Adds and takes out tables and schemas.
    fn members(&self, name: &str, row: &[Value], schemas: &[&str], changes: &mut Changes) -> Result<(), Error> {
        let all = row.first() == Some(&Value::Bool(true));
        if all != self.all() {
            let (seen, wanted) = if all { ("all tables", "some") } else { ("some tables", "all") };
            let hint = "drop it first (`state: absent`); its subscribers have to refresh afterwards";
            return Err(Error::refused(
                self.subject(),
                format!("publishes {seen}, and {wanted} cannot be made of that"),
                hint,
            ));
        }
        let seen: Vec<&str> =
            row.get(5).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let tables = self.tables();
        for table in tables.iter().filter(|table| !seen.contains(&table.as_str())) {
            let statement = format!("ALTER PUBLICATION {name} ADD TABLE {}", quoted_table(table)?);
            changes.set("table", Shown::Absent, table.clone(), statement);
        }
        for table in seen.iter().filter(|table| !tables.iter().any(|wanted| wanted == *table)) {
            let statement = format!("ALTER PUBLICATION {name} DROP TABLE {}", quoted_table(table)?);
            changes.set("table", *table, Shown::Absent, statement);
        }
        for schema in self.schemas.iter().filter(|schema| !schemas.contains(&schema.as_str())) {
            let statement = format!("ALTER PUBLICATION {name} ADD TABLES IN SCHEMA {}", identifier("schemas", schema)?);
            changes.set("tables in schema", Shown::Absent, schema.clone(), statement);
        }
        for schema in schemas.iter().filter(|schema| !self.schemas.iter().any(|wanted| wanted == *schema)) {
            let statement =
                format!("ALTER PUBLICATION {name} DROP TABLES IN SCHEMA {}", identifier("schemas", schema)?);
            changes.set("tables in schema", *schema, Shown::Absent, statement);
        }
        Ok(())
    }
}

/// `schema.table`; without a schema, `public` is meant.
fn full(table: &str) -> String {
    if table.contains('.') { table.into() } else { format!("public.{table}") }
}

fn quoted_table(table: &str) -> Result<String, Error> {
    let (schema, table) = table.split_once('.').unwrap_or(("public", table));
    Ok(format!("{}.{}", identifier("tables", schema)?, identifier("tables", table)?))
}
