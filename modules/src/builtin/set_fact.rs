//! `set_fact`: sets variables of a host.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::host::{Error, Host};
use crate::module::{Module, Place};
use crate::plan::Plan;

/// Sets variables of a host for the rest of the run: every parameter is one, under its name.
/// `cacheable` is accepted for Ansible's sake and means nothing: there is no cache of facts.
#[derive(Deserialize, JsonSchema)]
#[serde(transparent)]
pub(super) struct SetFact {
    facts: Map<String, Value>,
}

fn is_name(name: &str) -> bool {
    let starts = name.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_');
    starts && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

impl Module for SetFact {
    const NAME: &'static str = "set_fact";
    const PLACE: Place = Place::Controller;

    fn plan(&self, _host: &dyn Host) -> Result<Plan, Error> {
        let mut facts = self.facts.clone();
        facts.remove("cacheable");
        if facts.is_empty() {
            let error = Error::Failed("no variable is given: write `set_fact: {name: value}`".into());
            let msg = "No key/value pairs provided, at least one is required for this action to succeed";
            return Err(error.telling("msg", msg));
        }
        if let Some(name) = facts.keys().find(|name| !is_name(name)) {
            let error = Error::param(
                name.as_str(),
                "cannot be the name of a variable: it has other letters than those, digits and `_`",
            );
            return Err(error.telling("msg", format!("Task failed: Invalid variable name '{name}'.")));
        }
        Ok(Plan::nothing().returning("ansible_facts", facts))
    }
}
