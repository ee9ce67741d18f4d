//! `pause`: lets time pass.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::edit::Edit;
use crate::host::{Error, Host};
use crate::interpret::Applied;
use crate::module::Module;
use crate::plan::{Data, Plan};
use crate::wait::{Condition, Wait};

/// Lets time pass, once for all hosts. Changes nothing, and does not wait in a preview. With neither `seconds` nor
/// `minutes` it would wait for a key; a run that nobody watches goes on at once, as Ansible's does, and so does Trueup.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Pause {
    /// How long, in seconds; at least one.
    seconds: Option<f64>,
    /// How long, in minutes.
    minutes: Option<f64>,
    /// What to ask. Nothing is read: see above.
    prompt: Option<String>,
    /// Accepted for Ansible's sake: whether to show what is typed.
    #[serde(default = "super::common::yes")]
    echo: bool,
}

impl Module for Pause {
    const NAME: &'static str = "pause";
    const ONCE: bool = true;
    const CONVERGES: bool = false;

    fn plan(&self, _host: &dyn Host) -> Result<Plan, Error> {
        let mut plan = Plan { data: self.answer(0), ..Plan::default() };
        match self.duration()? {
            Some(time) => {
                // The root directory exists, so that the time given is all that is waited.
                let until = Condition::Path { path: PathBuf::from("/"), there: true };
                plan = plan.with(Edit::Wait(Wait { until, delay: time, every: time, timeout: time, message: None }));
            }
            None => {
                let asked = self.prompt.as_ref().map(|prompt| format!(" to `{prompt}`")).unwrap_or_default();
                plan.warnings.push(format!("not waiting for an answer{asked}: give `seconds` to wait"));
            }
        }
        Ok(plan)
    }

    fn report(&self, _applied: &Applied) -> Data {
        let time = self.duration().ok().flatten().unwrap_or_default();
        self.answer(time.as_secs())
    }
}

impl Pause {
    /// As in Ansible, fractions are cut off, and less than a second is one.
    fn duration(&self) -> Result<Option<Duration>, Error> {
        let seconds = match (self.seconds, self.minutes) {
            (Some(_), Some(_)) => return Err(Error::param("minutes", "there are `seconds` too; give one of them")),
            (Some(seconds), None) => seconds.trunc(),
            (None, Some(minutes)) => minutes.trunc() * 60.0,
            (None, None) => return Ok(None),
        };
        Duration::try_from_secs_f64(seconds.max(1.0))
            .map(Some)
            .map_err(|error| Error::param("seconds", error.to_string()))
    }

    fn answer(&self, seconds: u64) -> Data {
        let (unit, amount) = match self.minutes {
            Some(_) => ("minutes", seconds as f64 / 60.0),
            None => ("seconds", seconds as f64),
        };
        let pairs = [
            ("rc", json!(0)),
            ("stderr", json!("")),
            ("stdout", json!(format!("Paused for {amount:?} {unit}"))),
            ("delta", json!(seconds)),
            ("echo", json!(self.echo)),
            ("user_input", json!("")),
        ];
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}
