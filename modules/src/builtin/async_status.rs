//! `async_status`: what has become of a job.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::edit::Edit;
use crate::host::{Error, Host, Look};
use crate::job;
use crate::module::Module;
use crate::plan::Plan;
use crate::wire::Outcome;

/// Tells what has become of a task with `async`: `finished` says whether it has ended, and then its own return values are
/// there, too, and this task has changed something or failed as that has. It must run as the same user as the job.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AsyncStatus {
    /// The job's name: `ansible_job_id` of the task that started it.
    jid: String,
    /// `status`, or `cleanup` to remove the file that says what has become of it.
    #[serde(default)]
    mode: Mode,
}

#[derive(Default, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Status,
    Cleanup,
}

impl Module for AsyncStatus {
    const NAME: &'static str = "async_status";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let path = job::file(&self.jid, host)?;
        let nothing =
            [("stdout", json!("")), ("stderr", json!("")), ("stdout_lines", json!([])), ("stderr_lines", json!([]))];
        let mut plan = Plan::nothing().returning("ansible_job_id", self.jid.clone());
        plan.data.extend(nothing.map(|(name, value)| (name.to_owned(), value)));
        plan = plan
            .returning("started", false)
            .returning("finished", false)
            .returning("erased", path.display().to_string());
        match host.stat(&path)? {
            Some(_) => Ok(plan.with(Edit::Forget(path))),
            None => Ok(plan),
        }
    }

    fn relay(&self, host: &dyn Host) -> Look<Option<Outcome>> {
        Ok((self.mode == Mode::Status).then(|| job::status(&self.jid, host)))
    }
}
