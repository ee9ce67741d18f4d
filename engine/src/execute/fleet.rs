//! The hosts' connections.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit};
use tokio::sync::Mutex;
use trueup_modules::builtin;
use trueup_modules::secret::Secret;

use super::Options;
use crate::compile;
use crate::connect::{
    self, Agents, ConnectError, Connection, Doors, HostKeys, SshConfig, Surroundings, Target, Wanted, Way,
};
use crate::remote::{Blobs, Question, Remote, RemoteError};
use crate::template::{Lookup, Templar};
use crate::value::Value;

/// The way to a host's agent.
pub(super) type Slot = Arc<Mutex<Line>>;

/// How far the way to a host's agent is open.
#[derive(Default)]
pub(super) enum Line {
    /// Not at all: it was not needed yet, or was lost.
    #[default]
    Down,
    /// Up to the host, logged in, or not, as it turned out; its agent comes with the first question.
    Early(Result<Connection, ConnectError>),
    /// The agent is there.
    Up(Box<Remote>),
}

impl Line {
    /// What the agent calls the machine, if it is there.
    pub(super) fn machine(&self) -> Option<&str> {
        match self {
            Self::Up(remote) => Some(&remote.machine),
            Self::Down | Self::Early(_) => None,
        }
    }
}

/// Where every agent is kept.
pub(super) struct Connections {
    /// By host, and by how it is reached: another user is another connection.
    slots: HashMap<String, BTreeMap<String, Slot>>,
    config: SshConfig,
    around: Surroundings,
    agents: Arc<Agents>,
    doors: Doors,
    /// Where the first playbook is.
    first: PathBuf,
    /// Files that agents may ask for.
    pub blobs: Blobs,
}

/// What a step says itself of how its host is to be reached: `connection`, `remote_user` and `port`; and where it stands.
#[derive(Default)]
pub(super) struct Keywords {
    /// The playbook's directory, where programs of this machine begin.
    pub dir: PathBuf,
    pub connection: Option<String>,
    pub user: Option<String>,
    pub port: Option<u16>,
}

/// How to reach a host, and as whom.
pub(super) struct Route {
    way: Way,
    remote_tmp: Option<String>,
    /// The login name.
    pub login: Option<String>,
}

impl Route {
    /// Whether it leads to this machine, without a connection.
    pub(super) fn is_local(&self) -> bool {
        matches!(self.way, Way::Local(_))
    }
}

impl Connections {
    /// None is open yet.
    pub(super) fn new(options: &mut Options, program: &compile::Program) -> Result<Self, String> {
        allow_files(program.plays.iter().map(|play| play.hosts.len()).sum());
        let around = Surroundings::of_process();
        let config = SshConfig::load(options.ssh_config.as_deref(), &around).map_err(|error| error.to_string())?;
        let agents = std::mem::take(&mut options.agents);
        let agents = Arc::new(if may_need_postgres(program) { agents.whole() } else { agents.small() });
        Ok(Self {
            slots: HashMap::new(),
            config,
            around,
            agents,
            doors: Doors::new(options.forks),
            first: program.plays.first().map(|plan| plan.dir.clone()).unwrap_or_default(),
            blobs: Blobs::default(),
        })
    }

    /// The slot of a host that is reached by a route; of one that can't be found, any.
    pub(super) fn slot(&mut self, host: &str, route: Option<&Route>) -> Slot {
        let ways = self.slots.entry(host.to_owned()).or_default();
        Arc::clone(ways.entry(route.map(|route| route.way.to_string()).unwrap_or_default()).or_default())
    }

    /// All slots of a host.
    pub(super) fn slots(&self, host: &str) -> impl Iterator<Item = &Slot> {
        self.slots.get(host).into_iter().flat_map(BTreeMap::values)
    }

    /// What `open` needs, to be moved into a task.
    pub(super) fn opener(&self) -> Opener {
        Opener { agents: Arc::clone(&self.agents), doors: self.doors.clone(), blobs: self.blobs.clone() }
    }

    /// Reads a host's connection variables. They are stronger than keywords, and those than the command line.
    pub(super) fn route(
        &self,
        host: &str,
        vars: &Arc<dyn Lookup>,
        keywords: Keywords,
        templar: &Templar,
        options: &Options,
    ) -> Result<Route, String> {
        let read = Reader { vars, templar };
        let remote_tmp = read.text(&["ansible_remote_tmp", "remote_tmp"])?;
        let local = crate::inventory::LOCALHOST.contains(&host) && read.text(&["ansible_host"])?.is_none();
        let connection = read.text(&["ansible_connection"])?;
        let asked = if local { None } else { keywords.connection };
        // In a preview this machine has one agent, which remembers what the playbooks before would have done.
        let dir = if options.preview { self.first.clone() } else { keywords.dir };
        match connection.or(asked).as_deref() {
            Some("local" | "ansible.builtin.local") => {
                return Ok(Route { way: Way::Local(dir), remote_tmp, login: Some(self.around.user.clone()) });
            }
            None if local => {
                return Ok(Route { way: Way::Local(dir), remote_tmp, login: Some(self.around.user.clone()) });
            }
            None | Some("ssh" | "smart" | "paramiko" | "ansible.builtin.ssh") => {}
            Some(other) => return Err(format!("there is no connection `{other}` (ssh, local)")),
        }
        let off = read.text(&["ansible_host_key_checking", "ansible_ssh_host_key_checking"])?;
        let off = off.filter(|checking| matches!(checking.to_lowercase().as_str(), "false" | "no" | "0"));
        let number = |name: &'static [&'static str]| -> Result<Option<u64>, String> {
            let parse = |text: String| text.parse().map_err(|_| format!("{} must be a number, not `{text}`", name[0]));
            read.text(name)?.map(parse).transpose()
        };
        let wanted = Wanted {
            name: host.to_owned(),
            host: read.text(&["ansible_host", "ansible_ssh_host"])?,
            port: number(&["ansible_port", "ansible_ssh_port"])?
                .and_then(|port| u16::try_from(port).ok())
                .or(keywords.port),
            user: read.text(&["ansible_user", "ansible_ssh_user"])?.or(keywords.user).or_else(|| options.user.clone()),
            password: read
                .secret(&["ansible_password", "ansible_ssh_pass", "ansible_ssh_password"])?
                .or_else(|| options.ask.connection.clone()),
            identity_file: read
                .text(&["ansible_ssh_private_key_file", "ansible_private_key_file"])?
                .map(|path| self.home(&path))
                .or_else(|| options.private_key.clone()),
            private_key: read.secret(&["ansible_ssh_private_key"])?,
            passphrase: read.secret(&["ansible_ssh_private_key_passphrase", "ansible_ssh_passphrase"])?,
            host_keys: options.host_keys.or(off.map(|_| HostKeys::Off)),
            connect_timeout: number(&["ansible_ssh_timeout", "ansible_timeout"])?.map(Duration::from_secs),
            retries: number(&["ansible_ssh_retries"])?.and_then(|retries| u32::try_from(retries).ok()),
        };
        let arguments = [read.text(&["ansible_ssh_common_args"])?, read.text(&["ansible_ssh_extra_args"])?];
        let arguments = arguments.into_iter().flatten().collect::<Vec<_>>().join(" ");
        let config = match arguments.is_empty() {
            true => Cow::Borrowed(&self.config),
            false => {
                let config = self.config.with_arguments(&arguments, &self.around);
                Cow::Owned(config.map_err(|error| format!("failed to {error}"))?)
            }
        };
        let target = Target::resolve(&wanted, &config, &self.around).map_err(|error| error.to_string())?;
        Ok(Route { login: Some(target.user.clone()), way: Way::Ssh(Arc::new(target)), remote_tmp })
    }

    fn home(&self, path: &str) -> PathBuf {
        path.strip_prefix("~/").map_or_else(|| path.into(), |rest| self.around.home.join(rest))
    }
}

/// Has the system let us open a file for each host's connection, as far as it may be. Many shells allow 1,024.
fn allow_files(hosts: usize) {
    const OTHERS: u64 = 256;
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let wanted = (hosts as u64 + OTHERS).min(limit.maximum.unwrap_or(u64::MAX));
    if limit.current.is_some_and(|current| current < wanted) {
        // Where it is refused, connecting fails, and says why.
        let _ = rustix::process::setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..limit });
    }
}

/// Whether an agent must have the modules for PostgreSQL. What an include brings is not known before it runs.
fn may_need_postgres(program: &compile::Program) -> bool {
    let may = |name| builtin::is_postgres(name) || matches!(name, "include_tasks" | "include_role");
    program.steps.iter().any(|step| may(step.entry.name))
}

/// Opens connections.
#[derive(Clone)]
pub(super) struct Opener {
    agents: Arc<Agents>,
    doors: Doors,
    blobs: Blobs,
}

impl Opener {
    /// Connects, waiting for its turn.
    pub(super) async fn connect(&self, route: &Route) -> Result<Connection, ConnectError> {
        connect::open(&route.way, &self.doors).await
    }

    /// Starts the agent, and asks it the first question.
    pub(super) async fn start(
        &self,
        connection: Connection,
        route: &Route,
        first: Question,
    ) -> Result<Remote, RemoteError> {
        let tmp = route.remote_tmp.as_deref();
        Remote::start(connection, Arc::clone(&self.agents), tmp, self.blobs.clone(), first).await
    }
}

/// Reads variables that may have several names.
struct Reader<'a> {
    vars: &'a Arc<dyn Lookup>,
    templar: &'a Templar,
}

impl Reader<'_> {
    fn value(&self, names: &[&str]) -> Result<Option<Value>, String> {
        match names.iter().find_map(|name| self.vars.get(name)) {
            None | Some(Value::Null | Value::Omit) => Ok(None),
            Some(value) => self
                .templar
                .resolve(value, self.vars)
                .map(Some)
                .map_err(|error| format!("{error}\n  at {}", error.span)),
        }
    }

    fn text(&self, names: &[&str]) -> Result<Option<String>, String> {
        Ok(self.value(names)?.map(|value| match value {
            Value::Secret(secret) => secret.expose().to_owned(),
            other => super::lower::show(&other),
        }))
    }

    fn secret(&self, names: &[&str]) -> Result<Option<Secret>, String> {
        Ok(self.text(names)?.map(Secret::new))
    }
}
