//! `debug`: shows a message or a variable.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::host::{Error, Host};
use crate::module::{Module, Place};
use crate::param::SECRET_KEY;
use crate::plan::Plan;
use crate::secret::REDACTED;

/// Shows a message or the value of a variable. Secrets in it are redacted.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Debug {
    /// What to show.
    #[serde(default, deserialize_with = "given")]
    #[schemars(extend("null" = true))]
    msg: Option<Value>,
    /// The name of a variable, or an expression, whose value to show.
    var: Option<String>,
    /// The value; Trueup fills it in from `var`.
    #[schemars(extend("internal" = true))]
    value: Option<Value>,
    /// Shown only if Trueup was called with at least so many `-v`.
    #[serde(default)]
    #[expect(dead_code, reason = "the engine acts on it; here it only is a parameter")]
    verbosity: u32,
}

impl Module for Debug {
    const NAME: &'static str = "debug";
    const PLACE: Place = Place::Controller;

    fn plan(&self, _host: &dyn Host) -> Result<Plan, Error> {
        match (&self.msg, &self.var) {
            (Some(_), Some(_)) => Err(Error::param("var", "there is a `msg` too; give one of them")),
            (None, Some(var)) => Ok(Plan::nothing().returning(var, self.value.as_ref().map(redacted))),
            (msg, None) => {
                let hello = Value::from("Hello world!");
                Ok(Plan::nothing().returning("msg", redacted(msg.as_ref().unwrap_or(&hello))))
            }
        }
    }
}

/// `null` is a message, too.
fn given<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// The value with every secret in it replaced.
pub(super) fn redacted(value: &Value) -> Value {
    match value {
        Value::Object(map) if map.len() == 1 && map.contains_key(SECRET_KEY) => REDACTED.into(),
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), redacted(value))).collect(),
        Value::Array(values) => values.iter().map(redacted).collect(),
        other => other.clone(),
    }
}
