//! `include_role`: a role, when its turn comes.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::host::{Error, Host};
use crate::module::{Module, Place};
use crate::plan::Plan;

/// Runs a role, which is read when its turn comes: its name may depend on what is known only then, and it may stand in a loop.
/// Of its keywords the tasks get `vars` only, and what `apply` says.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct IncludeRole {
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
    /// Keywords for each of its tasks.
    #[expect(dead_code, reason = "the engine acts on it; here it only is a parameter")]
    apply: Option<Value>,
}

impl Module for IncludeRole {
    const NAME: &'static str = "include_role";
    const PLACE: Place = Place::Controller;

    fn plan(&self, _host: &dyn Host) -> Result<Plan, Error> {
        Ok(Plan::nothing().returning("include", self.name.clone()))
    }
}
