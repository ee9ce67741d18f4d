//! `ping`: whether tasks can be run on a host.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::host::{Error, Host};
use crate::module::Module;
use crate::plan::Plan;

/// Answers `pong` as `ping`: the host can be logged in to, and the agent runs there. Changes nothing.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Ping {
    /// What to answer. `crash` makes the task fail, to try what happens then.
    #[serde(default = "pong")]
    data: String,
}

fn pong() -> String {
    "pong".into()
}

impl Module for Ping {
    const NAME: &'static str = "ping";

    fn plan(&self, _host: &dyn Host) -> Result<Plan, Error> {
        match self.data.as_str() {
            "crash" => Err(Error::Failed("boom".into()).telling("msg", "Task failed: Module failed: boom")),
            data => Ok(Plan::nothing().returning("ping", data)),
        }
    }
}
