//! `set_stats`: numbers of the run.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::common;
use crate::host::{Error, Host};
use crate::module::{Module, Place};
use crate::plan::Plan;

/// Registers values as `ansible_stats`, where programs that read the run's events find them. Changes nothing.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SetStats {
    /// Names and values.
    #[serde(default)]
    data: Map<String, Value>,
    /// Whether they are of the host, not of the run.
    #[serde(default)]
    per_host: bool,
    /// Whether they are added to what is there, not put in its place.
    #[serde(default = "common::yes")]
    aggregate: bool,
}

impl Module for SetStats {
    const NAME: &'static str = "set_stats";
    const PLACE: Place = Place::Controller;

    fn plan(&self, _host: &dyn Host) -> Result<Plan, Error> {
        let stats = json!({"data": self.data, "per_host": self.per_host, "aggregate": self.aggregate});
        Ok(Plan::nothing().returning("ansible_stats", stats))
    }
}
