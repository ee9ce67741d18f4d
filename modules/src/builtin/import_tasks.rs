//! `import_tasks`: a file of tasks in its place.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::host::{Error, Host};
use crate::module::{Module, Place};
use crate::plan::Plan;

/// Puts the tasks of a file in its place, before anything is run. Its keywords are theirs, too.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ImportTasks {
    /// The file, beside the one that names it; in a role, in its `tasks`.
    file: String,
}

impl Module for ImportTasks {
    const NAME: &'static str = "import_tasks";
    const FREE_FORM: Option<&'static str> = Some("file");
    const PLACE: Place = Place::Controller;

    fn plan(&self, _host: &dyn Host) -> Result<Plan, Error> {
        Ok(Plan::nothing().returning("include", self.file.clone()))
    }
}
