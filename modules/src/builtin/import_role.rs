//! `import_role`: a role in its place.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::host::{Error, Host};
use crate::module::{Module, Place};
use crate::plan::Plan;

/// Puts the tasks of a role in its place, before anything is run. Its keywords are theirs, too.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ImportRole {
    /// The role: a name below `roles`, `namespace.collection.role`, or a path.
    #[schemars(extend("aliases" = ["role"]))]
    name: String,
    /// A file of the role's `tasks` instead of `main`.
    #[expect(dead_code, reason = "the engine acts on it; here it only is a parameter")]
    tasks_from: Option<String>,
    /// A file of the role's `vars` instead of `main`.
    #[expect(dead_code, reason = "the engine acts on it; here it only is a parameter")]
    vars_from: Option<String>,
    /// A file of the role's `defaults` instead of `main`.
    #[expect(dead_code, reason = "the engine acts on it; here it only is a parameter")]
    defaults_from: Option<String>,
    /// A file of the role's `handlers` instead of `main`.
    #[expect(dead_code, reason = "the engine acts on it; here it only is a parameter")]
    handlers_from: Option<String>,
    /// Whether the play's other tasks see the role's variables.
    #[expect(dead_code, reason = "the engine acts on it; here it only is a parameter")]
    public: Option<bool>,
    /// Whether it runs again on a host where it has run.
    #[expect(dead_code, reason = "the engine acts on it; here it only is a parameter")]
    allow_duplicates: Option<bool>,
    /// Whether its variables are held against its argument specification.
    #[expect(dead_code, reason = "the engine acts on it; here it only is a parameter")]
    rolespec_validate: Option<bool>,
}

impl Module for ImportRole {
    const NAME: &'static str = "import_role";
    const PLACE: Place = Place::Controller;

    fn plan(&self, _host: &dyn Host) -> Result<Plan, Error> {
        Ok(Plan::nothing().returning("include", self.name.clone()))
    }
}
