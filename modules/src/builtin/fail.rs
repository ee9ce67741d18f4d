//! `fail`: fails.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::host::{Error, Host};
use crate::module::{Module, Place};
use crate::plan::Plan;

/// Fails, with a message. Give the task a `when`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Fail {
    /// Why.
    #[serde(default = "requested")]
    msg: String,
}

fn requested() -> String {
    "Failed as requested from task".into()
}

impl Module for Fail {
    const NAME: &'static str = "fail";
    const PLACE: Place = Place::Controller;

    fn plan(&self, _host: &dyn Host) -> Result<Plan, Error> {
        Err(Error::Failed(self.msg.clone()))
    }
}
