//! `sql_exec`: a statement on a PostgreSQL server.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{self, Deserializer};
use serde_json::{Map, Value, json};

use crate::edit::{Diff, Edit, Reach, Shown};
use crate::host::{Error, Host};
use crate::interpret::Applied;
use crate::module::Module;
use crate::param::{Content, SECRET_KEY};
use crate::plan::{Data, Plan};
use crate::secret::Secret;
use crate::sql::{Rows, SqlArg};

with_connection! {
/// Executes a statement, or asks a question.
///
/// - With `unless`, the statement is executed only if that query does not answer true, and afterwards it must.
/// - With `expect` or `read_only`, the statement only asks: it runs in a read-only transaction, also in a preview, and
///   changes nothing. Rows that differ from `expect` are a failure.
/// - With none of them, the statement is executed on each run.
///
/// Registers `rows` (a list for each row), `query_result` (a dictionary for each row), `rowcount` and `columns`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::builtin) struct SqlExec {
    /// The statement; `$1`, `$2` stand for `args`. Without `args` it may be several, separated by `;`.
    #[schemars(extend("aliases" = ["statement"]))]
    query: Content,
    /// Values for `$1`, `$2`: texts, numbers, booleans, null. They are sent beside the statement, never as a part of it, and
    /// a secret among them is never shown.
    #[serde(default)]
    #[schemars(extend("aliases" = ["positional_args"]))]
    args: Vec<Arg>,
    /// A query, run read-only with as many of `args` as it has `$1`, `$2`. If the first column of its first row is true, there is nothing to do.
    unless: Option<String>,
    /// The rows that must come: a list of lists. A number and its text are equal, and so are `true` and `"t"`. `[]`: no row.
    expect: Option<Vec<Vec<Value>>>,
    /// The statement only asks.
    #[serde(default)]
    read_only: bool,
    /// `false`: outside a transaction block, for what cannot run in one (`CREATE DATABASE`, `VACUUM`) or is not undone with
    /// one (every function of pg_tde).
    #[serde(default = "yes")]
    transaction: bool,
    /// Ansible's way to say `transaction: false`.
    #[serde(default)]
    autocommit: bool,
}
}

fn yes() -> bool {
    true
}

impl Module for SqlExec {
    const NAME: &'static str = "sql_exec";
    const ALIASES: &'static [&'static str] = &["postgresql_query"];

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        if self.asks() {
            return self.ask(host);
        }
        if let Some(unless) = &self.unless
            && self.holds(host, unless)?
        {
            return Ok(Plan::nothing());
        }
        Ok(Plan::nothing().with(Edit::Sql {
            at: self.conn(),
            statement: self.query.as_str().into(),
            args: self.args(),
            autocommit: self.autocommit || !self.transaction,
            reach: Reach::Anything,
            effect: self.intent(),
        }))
    }

    fn converges(&self) -> bool {
        self.asks() || self.unless.is_some()
    }

    fn intent(&self) -> Vec<Diff> {
        match self.asks() {
            true => Vec::new(),
            false => {
                vec![Diff::new(
                    format!("database {}", self.conn()),
                    "statement",
                    Shown::Absent,
                    Shown::from(&self.query.0),
                )]
            }
        }
    }

    fn report(&self, applied: &Applied) -> Data {
        applied.rows.last().map(answer).unwrap_or_default()
    }
}

impl SqlExec {
    fn asks(&self) -> bool {
        self.read_only || self.expect.is_some()
    }

    fn args(&self) -> Vec<SqlArg> {
        self.args.iter().map(|arg| arg.0.clone()).collect()
    }

    fn ask(&self, host: &dyn Host) -> Result<Plan, Error> {
        if self.unless.is_some() {
            return Err(Error::param("unless", "has no meaning for a query that only asks"));
        }
        let rows = host.sql(&self.conn(), self.query.as_str(), &self.args())?;
        match &self.expect {
            Some(wanted) if !same_rows(wanted, &rows.rows) => Err(Error::Failed(difference(wanted, &rows))),
            _ => Ok(Plan { data: answer(&rows), ..Plan::default() }),
        }
    }

    fn holds(&self, host: &dyn Host, unless: &str) -> Result<bool, Error> {
        let mut args = self.args();
        args.truncate(parameters(unless));
        let rows = host.sql(&self.conn(), unless, &args)?;
        match rows.rows.first().and_then(|row| row.first()) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(holds)) => Ok(*holds),
            Some(other) => Err(Error::param("unless", format!("must ask for a boolean; it answers {other}"))),
        }
    }
}

/// The highest number among a statement's `$1`, `$2`: as many parameters it takes. One in a quoted text counts too.
fn parameters(statement: &str) -> usize {
    let number = |rest: &str| rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())].parse().ok();
    statement.split('$').skip(1).filter_map(number).max().unwrap_or(0)
}

fn answer(rows: &Rows) -> Data {
    let named = |row: &Vec<Value>| rows.columns.iter().cloned().zip(row.iter().cloned()).collect::<Map<_, _>>();
    let named: Vec<_> = rows.rows.iter().map(named).collect();
    let count = if rows.columns.is_empty() { rows.affected } else { rows.rows.len() as u64 };
    let entries = [
        ("rows", json!(rows.rows)),
        ("query_result", json!(named)),
        ("rowcount", json!(count)),
        ("columns", json!(rows.columns)),
    ];
    entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn same_rows(wanted: &[Vec<Value>], seen: &[Vec<Value>]) -> bool {
    let same_row = |(wanted, seen): (&Vec<Value>, &Vec<Value>)| {
        wanted.len() == seen.len() && wanted.iter().zip(seen).all(|(wanted, seen)| same(wanted, seen))
    };
    wanted.len() == seen.len() && wanted.iter().zip(seen).all(same_row)
}

/// Whether two values mean the same, for somebody who writes YAML: `1` and `"1"`, `true` and `"t"`.
fn same(wanted: &Value, seen: &Value) -> bool {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match (wanted, seen) {
        (Value::Bool(flag), other) | (other, Value::Bool(flag)) => match text(other).to_lowercase().as_str() {
            "t" | "true" | "yes" | "on" => *flag,
            "f" | "false" | "no" | "off" => !*flag,
            _ => false,
        },
        (Value::Number(number), other) | (other, Value::Number(number)) => {
            text(other) == number.to_string() || other_number(other).is_some_and(|other| number.as_f64() == Some(other))
        }
        _ => wanted == seen,
    }
}

fn other_number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// The most rows of either side that a message shows.
const SHOWN_ROWS: usize = 10;

fn difference(wanted: &[Vec<Value>], seen: &Rows) -> String {
    let cell = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "null".into(),
        other => other.to_string(),
    };
    let side = |sign: char, rows: &[Vec<Value>]| -> String {
        let shown = rows
            .iter()
            .take(SHOWN_ROWS)
            .map(|row| format!("\n  {sign} {}", row.iter().map(cell).collect::<Vec<_>>().join(" | ")));
        let more = rows.len().saturating_sub(SHOWN_ROWS);
        let none = if rows.is_empty() { format!("\n  {sign} (no row)") } else { String::new() };
        let rest = if more > 0 { format!("\n  {sign} and {more} more") } else { String::new() };
        shown.collect::<String>() + &none + &rest
    };
    let head = format!("the rows differ from those expected ({})", seen.columns.join(" | "));
    format!("{head}{}{}", side('-', wanted), side('+', &seen.rows))
}

/// A value for `$1`.
struct Arg(SqlArg);

impl<'de> Deserialize<'de> for Arg {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        if let Some(secret) = value.get(SECRET_KEY).and_then(Value::as_str) {
            return Ok(Self(SqlArg::Secret(Secret::new(secret))));
        }
        match value {
            Value::Null => Ok(Self(SqlArg::Null)),
            Value::String(text) => Ok(Self(SqlArg::Text(text))),
            Value::Bool(_) | Value::Number(_) => Ok(Self(SqlArg::Text(value.to_string()))),
            _ => Err(de::Error::custom("expected a text, a number, a boolean or null")),
        }
    }
}

impl JsonSchema for Arg {
    fn schema_name() -> Cow<'static, str> {
        "Arg".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    #[test]
    fn values_are_compared_as_one_means_them() {
        let table = [
            (json!(1), json!("1"), true),
            (json!(1), json!("1.0"), true),
            (json!("1"), json!(1), true),
            (json!(1), json!(true), false),
            (json!(true), json!("t"), true),
            (json!("no"), json!(false), true),
            (json!("a"), json!("A"), false),
            (json!(null), json!(null), true),
            (json!(null), json!(""), false),
            (json!(["a"]), json!(["a"]), true),
        ];
        for (wanted, seen, equal) in table {
            assert_eq!(same(&wanted, &seen), equal, "{wanted} {seen}");
        }
    }

    #[test]
    fn parameters_are_counted() {
        for (statement, count) in
            [("SELECT 1", 0), ("SELECT $2, $1", 2), ("DO $$ x $$", 0), ("SELECT $11", 11), ("$", 0)]
        {
            assert_eq!(parameters(statement), count, "{statement}");
        }
    }

    #[test]
    fn what_is_sent() {
        let table = [
            (json!({}), false, false),
            (json!({"transaction": false}), true, false),
            (json!({"autocommit": true}), true, false),
            (json!({"unless": "SELECT false"}), false, true),
        ];
        for (params, wanted, converge) in table {
            let mut all = json!({"query": "SELECT $1, $2, $3, $4", "args": ["a", 1, null, {"$secret": "b"}]});
            all.as_object_mut().unwrap().extend(params.as_object().unwrap().clone());
            let module: SqlExec = serde_json::from_value(all).unwrap();
            assert_eq!(module.converges(), converge, "{params}");
            let host = Fake::new().rows("SELECT false", vec![vec![json!(false)]]);
            let plan = module.plan(&host).unwrap();
            let [Edit::Sql { args, autocommit, .. }] = &plan.edits[..] else { panic!("{plan:?}") };
            assert_eq!(*autocommit, wanted, "{params}");
            let text = |text: &str| SqlArg::Text(text.into());
            assert_eq!(args[..], [text("a"), text("1"), SqlArg::Null, SqlArg::Secret(Secret::new("b"))], "{params}");
        }
    }

    #[test]
    fn rows_are_as_many_and_as_long() {
        let rows = |rows: Value| serde_json::from_value::<Vec<Vec<Value>>>(rows).unwrap();
        let table = [
            (json!([[1, 2]]), json!([[1, 2]]), true),
            (json!([[1]]), json!([[1, 2]]), false),
            (json!([[1, 2]]), json!([[1, 3]]), false),
            (json!([[1]]), json!([[1], [1]]), false),
            (json!([[1], [2]]), json!([[1], [3]]), false),
            (json!([]), json!([[1]]), false),
        ];
        for (wanted, seen, same) in table {
            assert_eq!(same_rows(&rows(wanted.clone()), &rows(seen.clone())), same, "{wanted} {seen}");
        }
    }

    #[test]
    fn a_secret_statement_is_not_shown() {
        let module: SqlExec = serde_json::from_value(json!({"query": {"$secret": "SELECT 'x'"}})).unwrap();
        assert_eq!(module.intent()[0].after, Shown::Redacted);
        assert!(!module.converges());
    }
}
