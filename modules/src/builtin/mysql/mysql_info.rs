//! `mysql_info`: what there is to know of a server of MySQL or MariaDB.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Session;
use super::login::{config_file, connect_timeout, localhost, port};
use crate::host::{Error, Host};
use crate::module::Module;
use crate::plan::Plan;

with_login! {
    /// What a server of MySQL or MariaDB tells of itself, by mysql(1), which the host must have.
    #[derive(Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    pub(in crate::builtin) struct MysqlInfo {
        /// What is asked for.
        filter: Vec<Part>,
        /// Whether databases without tables are told of, too.
        #[serde(default)]
        return_empty_dbs: bool,
    }
}

#[derive(Clone, Copy, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Part {
    /// The databases and their sizes in bytes.
    Databases,
    /// The global variables.
    Settings,
    /// What the server counts.
    GlobalStatus,
    /// The version.
    Version,
}

impl Module for MysqlInfo {
    const NAME: &'static str = "mysql_info";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let session = self.given().session(host, false)?;
        let engine = if session.is_mariadb() { "MariaDB" } else { "MySQL" };
        let mut plan = Plan::nothing().returning("server_engine", engine);
        for part in &self.filter {
            let (name, value) = match part {
                Part::Databases => ("databases", self.databases(&session, host)?),
                Part::Settings => ("settings", pairs(&session, "SHOW GLOBAL VARIABLES", host)?),
                Part::GlobalStatus => ("global_status", pairs(&session, "SHOW GLOBAL STATUS", host)?),
                Part::Version => ("version", version(&session.version)),
            };
            plan = plan.returning(name, value);
        }
        Ok(plan)
    }
}

impl MysqlInfo {
    fn databases(&self, session: &Session, host: &dyn Host) -> Result<Value, Error> {
        let sizes = "SELECT table_schema, CAST(SUM(COALESCE(data_length, 0) + COALESCE(index_length, 0)) AS CHAR), \
                     COUNT(table_name) FROM information_schema.TABLES GROUP BY table_schema";
        let mut found = Map::new();
        for row in session.ask(host, sizes)? {
            if let [Some(name), size, tables] = row.as_slice() {
                let number = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<i64>().ok());
                let (size, tables) = (number(size).unwrap_or(0), number(tables).unwrap_or(0));
                found.insert(name.clone(), json!({ "size": size, "tables": tables }));
            }
        }
        if self.return_empty_dbs {
            for row in session.ask(host, "SHOW DATABASES")? {
                let name = row.into_iter().next().flatten().unwrap_or_default();
                found.entry(name).or_insert(json!({ "size": 0, "tables": 0 }));
            }
        }
        Ok(Value::Object(found))
    }
}

/// Names and values; what looks like a number is one.
fn pairs(session: &Session, query: &str, host: &dyn Host) -> Result<Value, Error> {
    let value = |text: Option<String>| {
        let text = text.unwrap_or_default();
        text.parse::<i64>().map_or(json!(text), |number| json!(number))
    };
    let pair = |row: Vec<Option<String>>| {
        let mut row = row.into_iter();
        Some((row.next()??, value(row.next().flatten())))
    };
    Ok(Value::Object(session.ask(host, query)?.into_iter().filter_map(pair).collect()))
}

/// `10.11.6-MariaDB-0+deb12u1` in its parts.
fn version(full: &str) -> Value {
    let (numbers, suffix) = full.split_once('-').unwrap_or((full, ""));
    let mut numbers = numbers.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    json!({ "full": full, "major": next(), "minor": next(), "release": next(), "suffix": suffix })
}
