//! `wait_for_connection`: until the host can be reached. Waiting is the engine's part: an agent that hears of it is there.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::host::{Error, Host};
use crate::module::Module;
use crate::plan::Plan;

/// Connects to the host anew, as often as it takes until its agent answers. Changes nothing. Registers `elapsed`, in seconds.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it is the engine that waits")]
pub(super) struct WaitForConnection {
    /// Taken for Ansible's sake: an attempt to connect has the limit that connections have.
    #[serde(default = "five")]
    connect_timeout: u64,
    /// Seconds to wait before the first attempt.
    #[serde(default)]
    delay: u64,
    /// Seconds between two attempts.
    #[serde(default = "one")]
    sleep: u64,
    /// Seconds after which the task fails.
    #[serde(default = "ten_minutes")]
    timeout: u64,
}

fn five() -> u64 {
    5
}

fn one() -> u64 {
    1
}

fn ten_minutes() -> u64 {
    600
}

impl Module for WaitForConnection {
    const NAME: &'static str = "wait_for_connection";

    fn plan(&self, _host: &dyn Host) -> Result<Plan, Error> {
        Ok(Plan::nothing().returning("elapsed", json!(0)))
    }
}
