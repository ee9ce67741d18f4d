//! `slurp`: the content of a file of the host.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::host::{Error, Host};
use crate::module::Module;
use crate::plan::Plan;

/// Reads a file of the host and registers its `content` in Base64 (read it with `| b64decode`), `source` and
/// `encoding`. Changes nothing. A file of more than 64 MiB is refused.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Slurp {
    /// The file.
    #[schemars(extend("aliases" = ["path"]))]
    src: PathBuf,
}

impl Module for Slurp {
    const NAME: &'static str = "slurp";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let failed = |error: Error, msg: &str| error.telling("msg", format!("{msg}: {}", self.src.display()));
        let bytes = match host.read(&self.src) {
            Err(error @ Error::Path { .. }) => Err(match host.stat(&self.src.join("."))? {
                Some(stat) if stat.is_dir() => failed(error, "Source is a directory and must be a file"),
                _ => failed(error, "File is not readable"),
            }),
            read => read,
        }?;
        let bytes = bytes
            .ok_or_else(|| failed(Error::path("read", &self.src, "No such file or directory"), "File not found"))?;
        let source = self.src.display().to_string();
        let plan = Plan::nothing().returning("content", STANDARD.encode(bytes));
        Ok(plan.returning("source", source).returning("encoding", "base64"))
    }
}
