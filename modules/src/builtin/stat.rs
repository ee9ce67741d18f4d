//! `stat`: what is at a path.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::describe::describe;
use crate::host::{Error, Host, Kind};
use crate::module::Module;
use crate::plan::Plan;

/// Looks at a path and registers what is there as `stat`: `exists`, `isreg`, `isdir`, `islnk`, `mode`, `uid`, `gid`,
/// `size`, `mtime`, `checksum` (SHA-256), `lnk_source`, `pw_name`, `gr_name`, `rusr` and so on. Changes nothing.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StatModule {
    /// The path.
    #[schemars(extend("aliases" = ["dest", "name"]))]
    path: PathBuf,
    /// Of a symbolic link, look at what it points to.
    #[serde(default)]
    follow: bool,
    /// Whether to compute a regular file's checksum.
    #[serde(default = "yes")]
    get_checksum: bool,
}

fn yes() -> bool {
    true
}

/// As many links as Linux follows (path_resolution(7)).
const MAX_LINKS: usize = 40;

impl Module for StatModule {
    const NAME: &'static str = "stat";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let mut path = self.path.clone();
        let mut found = host.stat(&path)?;
        for _ in 0..MAX_LINKS {
            match &found {
                Some(stat) if self.follow => match &stat.kind {
                    Kind::Link(target) => path = path.parent().unwrap_or(&path).join(target),
                    _ => break,
                },
                _ => break,
            }
            found = host.stat(&path)?;
        }
        let Some(stat) = found else {
            return Ok(Plan::nothing().returning("stat", json!({"exists": false})));
        };
        let mut answer = describe(host, &self.path, &stat);
        answer["exists"] = true.into();
        if let Kind::Link(target) = &stat.kind {
            answer["lnk_source"] = json!(target);
        }
        if stat.is_file() && self.get_checksum {
            answer["checksum"] = json!(host.sha256(&path)?);
        }
        Ok(Plan::nothing().returning("stat", answer))
    }
}
