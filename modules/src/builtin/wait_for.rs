//! `wait_for`: a port or a file that takes a while.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::edit::Edit;
use crate::host::{Error, Host};
use crate::module::Module;
use crate::plan::Plan;
use crate::wait::{Condition, Wait};

/// Waits until a port accepts connections or a file is there, or until they no longer do. Changes nothing, and does not
/// wait in a preview.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WaitFor {
    /// Whose port: a name or an address, as seen from the host.
    #[serde(default = "localhost")]
    host: String,
    /// A TCP port.
    port: Option<u16>,
    /// A path, in the place of a port.
    #[schemars(extend("aliases" = ["dest", "name"]))]
    path: Option<PathBuf>,
    /// What is waited for.
    #[serde(default)]
    state: State,
    /// With `path`: wait until a line of that file matches this regular expression.
    search_regex: Option<String>,
    /// Seconds after which the task fails.
    #[serde(default = "five_minutes")]
    timeout: u64,
    /// Seconds to wait before the first look.
    #[serde(default)]
    delay: u64,
    /// Seconds between two looks.
    #[serde(default = "one")]
    sleep: u64,
    /// What to say if it does not come.
    msg: Option<String>,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum State {
    /// The port accepts connections; the path exists.
    #[default]
    Started,
    /// The same.
    Present,
    /// The port refuses connections; the path does not exist.
    Stopped,
    /// The same.
    Absent,
}

fn localhost() -> String {
    "127.0.0.1".into()
}

fn five_minutes() -> u64 {
    300
}

fn one() -> u64 {
    1
}

impl Module for WaitFor {
    const NAME: &'static str = "wait_for";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let until = self.condition()?;
        let reached = until.holds(host)?;
        if reached && self.delay == 0 {
            return Ok(Plan::nothing());
        }
        let [delay, every, timeout] = [self.delay, self.sleep.max(1), self.timeout].map(Duration::from_secs);
        Ok(Plan::nothing().with(Edit::Wait(Wait { until, delay, every, timeout, message: self.msg.clone() })))
    }

    /// A delay is waited each time.
    fn converges(&self) -> bool {
        self.delay == 0
    }
}

impl WaitFor {
    fn condition(&self) -> Result<Condition, Error> {
        let wanted = matches!(self.state, State::Started | State::Present);
        match (self.port, self.path.clone(), self.search_regex.clone()) {
            (Some(_), Some(_), _) => Err(Error::param("port", "there is a `path` too; give one of them")),
            (None, None, _) => Err(Error::param("port", "is missing; give `port` or `path`")),
            (None, Some(_), Some(_)) if !wanted => Err(Error::param("state", "has no meaning with `search_regex`")),
            (None, Some(path), Some(pattern)) => Ok(Condition::Match { path, pattern }),
            (None, Some(path), None) => Ok(Condition::Path { path, there: wanted }),
            (Some(_), None, Some(_)) => Err(Error::param("search_regex", "needs a `path`")),
            (Some(port), None, None) => Ok(Condition::Port { host: self.host.clone(), port, open: wanted }),
        }
    }
}
