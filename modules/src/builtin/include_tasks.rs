//! `include_tasks`: a file of tasks, when its turn comes.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::host::{Error, Host};
use crate::module::{Module, Place};
use crate::plan::Plan;

/// Runs the tasks of a file, which is read when its turn comes: its name may depend on what is known only then, and it may
/// stand in a loop. Of its keywords the tasks get `vars` only, and what `apply` says.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct IncludeTasks {
    /// The file, beside the one that names it; in a role, in its `tasks`.
    file: String,
    /// Keywords for each of its tasks.
    #[expect(dead_code, reason = "the engine acts on it; here it only is a parameter")]
    apply: Option<Value>,
}

impl Module for IncludeTasks {
    const NAME: &'static str = "include_tasks";
    const FREE_FORM: Option<&'static str> = Some("file");
    const PLACE: Place = Place::Controller;

    fn plan(&self, _host: &dyn Host) -> Result<Plan, Error> {
        Ok(Plan::nothing().returning("include", self.file.clone()))
    }
}
