//! `group_by`: puts hosts into groups that their variables name.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::host::{Error, Host};
use crate::module::{Module, Place};
use crate::plan::Plan;

/// Puts each host into a group for the rest of the run; the group is made if there is none. Later plays may address it, and it is in
/// `groups` at once.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GroupBy {
    /// The group's name. Blanks in it become `-`.
    key: String,
    /// The groups that the group is put into; `all` by default.
    #[serde(default)]
    parents: Vec<String>,
}

impl Module for GroupBy {
    const NAME: &'static str = "group_by";
    const PLACE: Place = Place::Controller;

    fn plan(&self, _host: &dyn Host) -> Result<Plan, Error> {
        let safe = |name: &String| name.replace(' ', "-");
        let all = || vec!["all".to_owned()];
        let parents = if self.parents.is_empty() { all() } else { self.parents.iter().map(safe).collect() };
        if self.key.is_empty() {
            return Err(Error::param("key", "must name a group"));
        }
        Ok(Plan::nothing().returning("add_group", safe(&self.key)).returning("parent_groups", json!(parents)))
    }
}
