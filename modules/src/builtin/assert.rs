//! `assert`: fails unless conditions hold.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::host::{Error, Host};
use crate::module::{Module, Place};
use crate::plan::Plan;

/// Fails unless every condition holds.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Assert {
    /// Expressions, as in `when`.
    that: Vec<Condition>,
    /// What to say if one does not hold; names the condition by default.
    #[schemars(extend("aliases" = ["msg"]))]
    fail_msg: Option<String>,
    /// What to say if all hold.
    success_msg: Option<String>,
    /// Whether to say nothing if all hold.
    #[serde(default)]
    quiet: bool,
}

/// An expression that the controller has evaluated.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Condition {
    /// As written.
    expression: String,
    /// Whether it holds.
    holds: bool,
}

impl Module for Assert {
    const NAME: &'static str = "assert";
    const PLACE: Place = Place::Controller;

    fn plan(&self, _host: &dyn Host) -> Result<Plan, Error> {
        if let Some(failed) = self.that.iter().find(|condition| !condition.holds) {
            let message = || format!("assertion failed: {}", failed.expression);
            return Err(Error::Failed(self.fail_msg.clone().unwrap_or_else(message)));
        }
        let message = self.success_msg.as_deref().unwrap_or("All assertions passed");
        Ok(if self.quiet { Plan::nothing() } else { Plan::nothing().returning("msg", message) })
    }
}
