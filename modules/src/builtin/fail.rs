//! `fail`: fails.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::debug::redacted;
use crate::host::{Error, Host};
use crate::module::{Module, Place};
use crate::plan::Plan;

/// Fails, with a message. Give the task a `when`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Fail {
    /// Why; a text, or any other value.
    #[serde(default = "requested")]
    msg: Value,
}

fn requested() -> Value {
    "Failed as requested from task".into()
}

impl Module for Fail {
    const NAME: &'static str = "fail";
    const PLACE: Place = Place::Controller;

    fn plan(&self, _host: &dyn Host) -> Result<Plan, Error> {
        Err(match redacted(&self.msg) {
            Value::String(msg) => Error::Failed(msg),
            msg => Error::Failed(msg.to_string()).telling("msg", msg),
        })
    }
}
