//! `getent`: what the host's databases of names say.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::common;
use crate::host::{Command, Error, Host};
use crate::module::Module;
use crate::plan::Plan;

/// Asks getent(1) and registers the answer as the fact `getent_DATABASE`: the other fields of each line by its first.
/// Changes nothing.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Getent {
    /// `passwd`, `group`, `hosts`, `services` and so on: those of nsswitch.conf(5).
    database: String,
    /// What to look for. Without it, all that the database lists.
    key: Option<String>,
    /// Which of the database's sources to ask, such as `files`.
    service: Option<String>,
    /// What separates fields: `:` where the database is a file of such, else white space.
    split: Option<String>,
    /// Whether the task fails if there is no such key.
    #[serde(default = "common::yes")]
    fail_key: bool,
}

/// Databases whose lines have colons.
const COLON: [&str; 4] = ["passwd", "shadow", "group", "gshadow"];

impl Module for Getent {
    const NAME: &'static str = "getent";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let service = self.service.iter().flat_map(|service| ["-s", service]);
        let args = service.chain(["--", &self.database]).chain(self.key.as_deref());
        let command = Command::new("getent", args);
        let output = host.query(&command)?;
        let name = format!("getent_{}", self.database);
        let msg = match output.status {
            0 => return Ok(Plan::nothing().returning("ansible_facts", json!({ name: self.lines(&output.stdout) }))),
            1 => "Missing arguments, or database unknown.",
            2 if !self.fail_key => {
                let facts = json!({ name: { self.key.as_deref().unwrap_or_default(): null } });
                return Ok(Plan::nothing().returning("ansible_facts", facts).returning("msg", NOT_FOUND));
            }
            2 => NOT_FOUND,
            3 => "Enumeration not supported on this database.",
            _ => "Unexpected failure!",
        };
        // It has only asked: nothing has run that could have changed anything.
        Err(Error::Failed(format!("{command}: {msg}")).telling("msg", msg))
    }
}

const NOT_FOUND: &str = "One or more supplied key could not be found in the database.";

impl Getent {
    /// Several lines of one key are a list of lists.
    fn lines(&self, text: &str) -> Map<String, Value> {
        let mut found: Map<String, Value> = Map::new();
        let mut seen: Map<String, Value> = Map::new();
        let colon = COLON.contains(&self.database.as_str()).then_some(":");
        for line in text.lines() {
            let mut fields: Vec<&str> = match self.split.as_deref().or(colon) {
                Some(split) if !split.is_empty() => line.split(split).collect(),
                _ => line.split_whitespace().collect(),
            };
            if fields.is_empty() {
                continue;
            }
            let key = fields.remove(0).to_owned();
            match (found.get_mut(&key), seen.contains_key(&key)) {
                (Some(Value::Array(several)), true) => several.push(json!(fields)),
                (Some(first), _) => {
                    *first = json!([first.take(), fields]);
                    seen.insert(key, true.into());
                }
                (None, _) => drop(found.insert(key, json!(fields))),
            }
        }
        found
    }
}
