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

impl Module for SetFact {
    const NAME: &'static str = "set_fact";
    const PLACE: Place = Place::Controller;

    fn plan(&self, _host: &dyn Host) -> Result<Plan, Error> {
        let mut facts = self.facts.clone();
        facts.remove("cacheable");
        if facts.is_empty() {
            return Err(Error::Failed("no variable is given: write `set_fact: {name: value}`".into()));
        }
        Ok(Plan::nothing().returning("ansible_facts", facts))
    }
}
