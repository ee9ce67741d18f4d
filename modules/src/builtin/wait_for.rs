//! `wait_for`: a port or a file that takes a while.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::edit::Edit;
use crate::host::{Error, Host, Look};
use crate::interpret::Applied;
use crate::module::Module;
use crate::plan::{Data, Plan};
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
    /// Seconds that one attempt to connect may take. Each has 5.
    #[serde(default = "five")]
    #[expect(dead_code, reason = "an attempt has its own limit")]
    connect_timeout: u64,
    /// With `state: drained`: hosts whose connections do not count.
    exclude_hosts: Option<Vec<String>>,
    /// With `state: drained`: which connections count.
    active_connection_states: Option<Vec<String>>,
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
    /// No connection to the port is left.
    Drained,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Present => "present",
            Self::Stopped => "stopped",
            Self::Absent => "absent",
            Self::Drained => "drained",
        }
    }
}

fn five() -> u64 {
    5
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
        let plan = Plan { data: self.told(), ..Plan::nothing() };
        let Some(until) = until else {
            // As in Ansible, it is time that is waited for, then.
            let (until, time) = (Condition::Path { path: "/".into(), there: true }, Duration::from_secs(self.timeout));
            let delay = time + Duration::from_secs(self.delay);
            return Ok(plan.with(Edit::Wait(Wait { until, delay, every: time, timeout: delay, message: None })));
        };
        let reached = until.holds(host)?;
        if reached && self.delay == 0 {
            return Ok(plan);
        }
        let [delay, every, timeout] = [self.delay, self.sleep.max(1), self.timeout].map(Duration::from_secs);
        Ok(plan.with(Edit::Wait(Wait { until, delay, every, timeout, message: self.msg.clone() })))
    }

    fn report(&self, applied: &Applied) -> Data {
        Data::from_iter([("elapsed".to_owned(), json!(applied.waited.as_secs()))])
    }

    fn aftermath(&self, host: &dyn Host) -> Look<Data> {
        let (Some(path), Some(pattern)) = (&self.path, &self.search_regex) else { return Ok(Data::new()) };
        let regex = super::common::regex("search_regex", &format!("(?m){pattern}"))?;
        let content = host.read(path)?.unwrap_or_default();
        let content = String::from_utf8_lossy(&content);
        let Ok(Some(found)) = regex.captures(&content) else { return Ok(Data::new()) };
        let text = |group: Option<fancy_regex::Match<'_>>| json!(group.map(|group| group.as_str()));
        let groups: Vec<Value> = found.iter().skip(1).map(text).collect();
        let named = regex.capture_names().flatten().map(|name| (name.to_owned(), text(found.name(name))));
        Ok(Data::from_iter([
            ("match_groups".to_owned(), groups.into()),
            ("match_groupdict".to_owned(), named.collect::<Data>().into()),
        ]))
    }

    /// A delay is waited each time.
    fn converges(&self) -> bool {
        self.delay == 0 && (self.port.is_some() || self.path.is_some())
    }
}

impl WaitFor {
    fn told(&self) -> Data {
        let pairs = [
            ("state", json!(self.state.word())),
            ("port", json!(self.port)),
            ("path", json!(self.path)),
            ("search_regex", json!(self.search_regex)),
            ("match_groups", json!([])),
            ("match_groupdict", json!({})),
            ("elapsed", json!(0)),
        ];
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// `None`: nothing but time.
    fn condition(&self) -> Result<Option<Condition>, Error> {
        let said = |error: Error, msg: &str| Err(error.telling("msg", msg).telling("elapsed", 0));
        if self.path.is_some() && matches!(self.state, State::Stopped | State::Drained) {
            let word = self.state.word();
            let msg = format!("state={word} should only be used for checking a port in the wait_for module");
            return said(Error::param("state", format!("`{word}` is for ports; say `absent` of a path")), &msg);
        }
        if self.exclude_hosts.is_some() && self.state != State::Drained {
            let error = Error::param("exclude_hosts", "is for `state: drained`");
            return said(error, "exclude_hosts should only be with state=drained");
        }
        let wanted = matches!(self.state, State::Started | State::Present);
        match (self.port, self.path.clone(), self.search_regex.clone()) {
            (Some(_), Some(_), _) => said(
                Error::param("port", "there is a `path` too; give one of them"),
                "port and path parameter can not both be passed to wait_for",
            ),
            (Some(port), None, _) if self.state == State::Drained => {
                Ok(Some(Condition::Drained { port, exclude: self.addresses()?, states: self.connection_states()? }))
            }
            (None, None, _) => Ok(None),
            (None, Some(_), Some(_)) if !wanted => Err(Error::param("state", "has no meaning with `search_regex`")),
            (None, Some(path), Some(pattern)) => {
                super::common::regex("search_regex", &pattern)
                    .map_err(|error| error.telling("msg", format!("Invalid regular expression: {pattern}")))?;
                Ok(Some(Condition::Match { path, pattern }))
            }
            (None, Some(path), None) => Ok(Some(Condition::Path { path, there: wanted })),
            (Some(_), None, Some(_)) => Err(Error::param("search_regex", "needs a `path`")),
            (Some(port), None, None) => Ok(Some(Condition::Port { host: self.host.clone(), port, open: wanted })),
        }
    }

    fn addresses(&self) -> Result<Vec<IpAddr>, Error> {
        let parse = |text: &String| {
            text.parse().map_err(|_| Error::param("exclude_hosts", format!("`{text}` is no address; give it as one")))
        };
        self.exclude_hosts.iter().flatten().map(parse).collect()
    }

    /// The numbers of the kernel (include/net/tcp_states.h).
    fn connection_states(&self) -> Result<Vec<u8>, Error> {
        const STATES: [&str; 11] = [
            "ESTABLISHED",
            "SYN_SENT",
            "SYN_RECV",
            "FIN_WAIT1",
            "FIN_WAIT2",
            "TIME_WAIT",
            "CLOSE",
            "CLOSE_WAIT",
            "LAST_ACK",
            "LISTEN",
            "CLOSING",
        ];
        let Some(wanted) = &self.active_connection_states else { return Ok(vec![1, 2, 3, 4, 5, 6]) };
        let number = |name: &String| {
            let found = (1..).zip(STATES).find(|(_, state)| state == name).map(|(number, _)| number);
            found.ok_or_else(|| {
                let error = Error::param("active_connection_states", format!("there is no state `{name}`"));
                error.telling("msg", format!("unknown active_connection_state ({name}) defined")).telling("elapsed", 0)
            })
        };
        wanted.iter().map(number).collect()
    }
}
