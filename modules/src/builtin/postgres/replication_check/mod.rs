//! `replication_check`: whether a standby follows its primary, as seen from both sides.
//!
//! - this file: the module; [`seen`]: what each side shows; [`verdict`]: what of it is not as it should be.

mod seen;
mod verdict;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use self::seen::{OnPrimary, OnStandby};
use super::tde::pg_tde;
use crate::host::{Error, Host};
use crate::module::Module;
use crate::plan::Plan;

with_connection! {
/// Whether a standby is healthy: the same system, a timeline that is not ahead, in recovery, streaming through its own slot, held
/// there by a process that is no base backup, not ahead of the primary, and with keys that resolve where the database has
/// pg_tde. Changes nothing.
///
/// Each side is asked where it is, so no login between the hosts is needed. On the standby, the module registers what it shows.
/// On the primary, `standby: "{{ hostvars['db2'].half }}"` judges both: it fails with the reasons and a table of what was seen, or
/// registers `table`, `lag_bytes` and `lag_seconds`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::builtin) struct ReplicationCheck {
    /// On the primary: what this module has registered on the standby.
    standby: Option<OnStandby>,
    /// On the primary: the slot that the standby shall use.
    slot: Option<String>,
    /// On the primary: the most bytes of WAL that the standby may lag behind. Without it, any number.
    max_lag_bytes: Option<u64>,
    /// On the primary: the most seconds that the standby may lag behind. Without it, any number.
    max_lag_seconds: Option<f64>,
    /// The extension whose keys are verified where the database has it: `pg_tde`, or a fork.
    #[serde(default = "pg_tde")]
    extension: String,
}
}

impl Module for ReplicationCheck {
    const NAME: &'static str = "replication_check";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let at = self.conn();
        let Some(standby) = &self.standby else {
            let seen = OnStandby::look(host, &at, &self.extension)?;
            return match json!(seen) {
                serde_json::Value::Object(data) => Ok(Plan { data, ..Plan::default() }),
                _ => Ok(Plan::nothing()),
            };
        };
        let slot = self.slot.as_ref().ok_or_else(|| Error::param("slot", "is needed with `standby`"))?;
        let primary = OnPrimary::look(host, &at, slot, &self.extension)?;
        let verdict = verdict::judge(&primary, standby, slot, (self.max_lag_bytes, self.max_lag_seconds));
        match verdict.reasons.is_empty() {
            true => Ok(Plan::nothing()
                .returning("table", verdict.table)
                .returning("lag_bytes", verdict.lag_bytes)
                .returning("lag_seconds", verdict.lag_seconds)),
            false => Err(Error::Failed(format!(
                "the standby is not healthy: {}\n{}",
                verdict.reasons.join("; "),
                verdict.table.join("\n")
            ))),
        }
    }
}
