//! `mysql_variables`: a setting of a running server of MySQL or MariaDB.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::login::{config_file, connect_timeout, localhost, port};
use super::quote::{identifier, literal};
use super::{Session, lamented};
use crate::edit::{Diff, Shown};
use crate::host::{Error, Host};
use crate::module::Module;
use crate::param::Word;
use crate::plan::Plan;

with_login! {
    /// A global variable of a server of MySQL or MariaDB, by mysql(1), which the host must have. Without `value` it is only told.
    #[derive(Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    pub(in crate::builtin) struct MysqlVariables {
        /// Its name.
        variable: Word,
        /// What it is to be.
        value: Option<Word>,
        /// Whether that outlives the server's next start, which MySQL 8 and later can see to.
        #[serde(default)]
        mode: Mode,
    }
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Mode {
    /// Until the next start.
    #[default]
    Global,
    /// Now and after it.
    Persist,
    /// Only after it.
    PersistOnly,
}

impl Module for MysqlVariables {
    const NAME: &'static str = "mysql_variables";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let name = self.variable.0.as_str();
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.".contains(&byte)) {
            let error = Error::param("variable", format!("`{name}` cannot be a variable of the server's"));
            return Err(error.telling("msg", format!("invalid variable name \"{name}\"")));
        }
        let session = self.given().session(host, false)?;
        let ask = format!("SHOW VARIABLES WHERE Variable_name = {}", literal(name));
        let Some(now) = session.ask(host, &ask)?.into_iter().next().and_then(|row| row.into_iter().nth(1).flatten())
        else {
            let error = Error::param("variable", format!("the server has no variable `{name}`"));
            return Err(error.telling("msg", format!("Variable not available \"{name}\"")));
        };
        let Some(Word(value)) = &self.value else { return Ok(Plan::nothing().returning("msg", now)) };
        let kept = if self.mode == Mode::Global { None } else { self.persisted(&session, host)? };
        let seen = if self.mode == Mode::PersistOnly { kept.clone().unwrap_or_default() } else { now };
        let wanted = as_shown(value, &seen);
        let is = |seen: &str| same(&wanted, seen);
        let done = match self.mode {
            Mode::Global if is(&seen) => "Variable is already set to requested value.",
            Mode::Persist if is(&seen) && kept.as_deref().is_some_and(is) => {
                "Variable is already set to requested value globallyand stored into mysqld-auto.cnf file."
            }
            Mode::PersistOnly if kept.as_deref().is_some_and(is) => {
                "Variable is already stored into mysqld-auto.cnf with requested value."
            }
            _ => return Ok(self.set(&session, &seen, &wanted)),
        };
        Ok(Plan::nothing().returning("msg", done))
    }

    fn lament(&self, error: &Error) -> Option<String> {
        lamented(error)
    }

    fn intent(&self) -> Vec<Diff> {
        let value = self.value.iter().map(|Word(value)| self.diff(Shown::Unknown, value.as_str()));
        value.collect()
    }
}

impl MysqlVariables {
    fn diff(&self, before: impl Into<Shown>, after: impl Into<Shown>) -> Diff {
        Diff::new(format!("MySQL variable {}", self.variable.0), "value", before, after)
    }

    fn persisted(&self, session: &Session, host: &dyn Host) -> Result<Option<String>, Error> {
        let ask = format!(
            "SELECT VARIABLE_VALUE FROM performance_schema.persisted_variables WHERE VARIABLE_NAME = {}",
            literal(&self.variable.0)
        );
        session.one(host, &ask).map_err(|error| error.telling("msg", "Server version must be 8.0 or greater."))
    }

    fn set(&self, session: &Session, before: &str, wanted: &str) -> Plan {
        let scope = match self.mode {
            Mode::Global => "GLOBAL",
            Mode::Persist => "PERSIST",
            Mode::PersistOnly => "PERSIST_ONLY",
        };
        let head = format!("SET {scope} {} = ", identifier(&self.variable.0));
        let is_number = wanted.parse::<f64>().is_ok();
        let value = if is_number { wanted.to_owned() } else { literal(wanted) };
        let edit = session.edit(&[format!("{head}{value}")], false, vec![self.diff(before, wanted)]);
        Plan::nothing()
            .returning("msg", format!("Variable change succeeded prev_value={before}"))
            .returning("queries", json!([format!("{head}{wanted}")]))
            .with(edit)
    }
}

/// `1` and `on` are what the server calls ON, where it is a switch.
fn as_shown(wanted: &str, seen: &str) -> String {
    let is_switch = ["ON", "OFF"].contains(&seen);
    match wanted {
        "on" | "1" if is_switch => "ON".into(),
        "off" | "0" if is_switch => "OFF".into(),
        wanted => wanted.to_owned(),
    }
}

fn same(a: &str, b: &str) -> bool {
    a == b || matches!((a.parse::<f64>(), b.parse::<f64>()), (Ok(a), Ok(b)) if a.total_cmp(&b).is_eq())
}
