//! `include_vars`: variables from files, when its turn comes.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::host::{Error, Host};
use crate::module::{Module, Place};
use crate::plan::Plan;

/// Reads variables from a file, or from all files of a directory, for the rest of the run.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct IncludeVars {
    /// The file, in a role in its `vars`.
    #[expect(dead_code, reason = "the engine acts on it; here it only is a parameter")]
    file: Option<String>,
    /// A directory, instead of one file.
    #[expect(dead_code, reason = "the engine acts on it; here it only is a parameter")]
    dir: Option<String>,
    /// A variable that gets all that is read, instead of one for each key.
    #[expect(dead_code, reason = "the engine acts on it; here it only is a parameter")]
    name: Option<String>,
    /// How deep to go into the directory; 0 is all the way.
    #[serde(default)]
    #[expect(dead_code, reason = "the engine acts on it; here it only is a parameter")]
    depth: u32,
    /// Of a directory: only files whose names match this regular expression.
    #[expect(dead_code, reason = "the engine acts on it; here it only is a parameter")]
    files_matching: Option<String>,
    /// Of a directory: files to pass over, by name or regular expression.
    #[serde(default)]
    #[expect(dead_code, reason = "the engine acts on it; here it only is a parameter")]
    ignore_files: Vec<String>,
    /// Of a directory: the endings that files may have; `yaml`, `yml` and `json` by default.
    #[serde(default)]
    #[expect(dead_code, reason = "the engine acts on it; here it only is a parameter")]
    extensions: Vec<String>,
    /// Of a directory: pass over other files, instead of failing.
    #[serde(default)]
    #[expect(dead_code, reason = "the engine acts on it; here it only is a parameter")]
    ignore_unknown_extensions: bool,
    /// `replace` or `merge`: what becomes of a dictionary that is there already.
    #[expect(dead_code, reason = "the engine acts on it; here it only is a parameter")]
    hash_behaviour: Option<String>,
    /// The files; Trueup fills it in.
    #[schemars(extend("internal" = true))]
    #[serde(default)]
    #[expect(dead_code, reason = "the engine acts on it; here it only is a parameter")]
    files: Vec<String>,
    /// Where they really are; Trueup fills it in.
    #[schemars(extend("internal" = true))]
    #[serde(default)]
    told: Vec<String>,
}

impl Module for IncludeVars {
    const NAME: &'static str = "include_vars";
    const FREE_FORM: Option<&'static str> = Some("file");
    const PLACE: Place = Place::Controller;

    /// What the files hold is told by the engine, which reads them.
    fn plan(&self, _host: &dyn Host) -> Result<Plan, Error> {
        Ok(Plan::nothing().returning("ansible_included_var_files", Value::from(self.told.clone())))
    }
}
