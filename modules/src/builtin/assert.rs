//! `assert`: fails unless conditions hold.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

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
    fail_msg: Option<Value>,
    /// What to say if all hold.
    success_msg: Option<Value>,
    /// Whether to say nothing if all hold.
    #[serde(default)]
    #[expect(dead_code, reason = "it is for Ansible's output; what is registered is the same")]
    quiet: bool,
}

/// An expression that the controller has evaluated.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Condition {
    /// As written; a boolean is one.
    expression: Value,
    /// Whether it holds.
    holds: bool,
}

fn failed_words(expression: &Value) -> String {
    format!("assertion failed: {}", text(expression))
}

/// A text, or a line for each of a list.
fn text(msg: &Value) -> String {
    match msg {
        Value::String(text) => text.clone(),
        Value::Array(lines) => lines.iter().map(text).collect::<Vec<_>>().join("\n"),
        other => other.to_string(),
    }
}

impl Module for Assert {
    const NAME: &'static str = "assert";
    const PLACE: Place = Place::Controller;

    fn plan(&self, _host: &dyn Host) -> Result<Plan, Error> {
        if let Some(failed) = self.that.iter().find(|condition| !condition.holds) {
            let said = || failed_words(&failed.expression);
            let shown = self.fail_msg.as_ref().map_or_else(said, text);
            let msg = self.fail_msg.clone().unwrap_or_else(|| "Assertion failed".into());
            let error = Error::Failed(shown).telling("msg", msg).telling("evaluated_to", false);
            return Err(error.telling("assertion", failed.expression.clone()));
        }
        let message = self.success_msg.clone().unwrap_or_else(|| "All assertions passed".into());
        Ok(Plan::nothing().returning("msg", message))
    }
}
