//! `meta`: tells the run itself what to do.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::host::{Error, Host};
use crate::module::{Module, Place};
use crate::plan::Plan;

/// Tells the run itself what to do: `flush_handlers`, `noop`, `clear_facts`, `clear_host_errors`, `end_host`, `end_play`,
/// `end_batch`, `end_role`, `refresh_inventory`, `reset_connection`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Meta {
    /// What.
    action: String,
}

impl Module for Meta {
    const NAME: &'static str = "meta";
    const FREE_FORM: Option<&'static str> = Some("action");
    const PLACE: Place = Place::Controller;

    fn plan(&self, _host: &dyn Host) -> Result<Plan, Error> {
        const ACTIONS: [&str; 10] = [
            "clear_facts",
            "clear_host_errors",
            "end_batch",
            "end_host",
            "end_play",
            "end_role",
            "flush_handlers",
            "noop",
            "refresh_inventory",
            "reset_connection",
        ];
        if ACTIONS.contains(&self.action.as_str()) {
            return Ok(Plan::nothing());
        }
        Err(Error::param("action", format!("there is no `{}`; one of {} is expected", self.action, ACTIONS.join(", "))))
    }
}
