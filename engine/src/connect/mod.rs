//! Reaching a host: an SSH connection or a local process, commands on it as streams, and the agent started there.
//!
//! Invariants of absence: nothing in here knows a playbook, a task or a frame; nothing writes to a host except
//! [`upload`], which places the agent; no key of a host is ever accepted unseen, except where [`HostKeys::Off`] says so.

mod agent_error;
mod agents;
mod auth;
mod calls;
mod channel;
mod door;
mod error;
mod flow;
mod known_hosts;
mod known_hosts_file;
mod local;
mod pattern;
mod proxy_command;
mod quickack;
mod resolve;
mod script;
mod session;
mod ssh;
mod ssh_config;
mod upload;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use trueup_modules::secret::Secret;

pub use agent_error::AgentError;
pub use agents::{Agent, Agents};
pub use door::Doors;
pub use error::{Attempt, ConnectError, HostKeyError};
pub use resolve::{Surroundings, Wanted};
pub use session::{Ending, Exit, Output, Session};
pub use ssh_config::{Place, SshConfig, SshConfigError};
pub use upload::{start_agent, start_beside};

/// How to reach a host: what the inventory's connection variables and `~/.ssh/config` say, merged.
#[derive(Clone, Debug)]
pub struct Target {
    /// The host's name in the inventory.
    pub name: String,
    /// The name or address to connect to, and the name under which its key is looked up.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// The user to log in as.
    pub user: String,
    /// For the methods `password` and `keyboard-interactive`.
    pub password: Option<Secret>,
    /// Private keys to try, in this order.
    pub identity_files: Vec<Identity>,
    /// The text of a private key, tried before all others.
    pub private_key: Option<Secret>,
    /// Opens encrypted private keys.
    pub passphrase: Option<Secret>,
    /// The socket of an ssh-agent (`SSH_AUTH_SOCK`).
    pub agent: Option<PathBuf>,
    /// Offer only those keys of the agent that are also among `identity_files` (`IdentitiesOnly`).
    pub identities_only: bool,
    /// Files with the keys of known hosts; a new key is added to the first.
    pub known_hosts: Vec<PathBuf>,
    /// What to do with a host key that no file knows.
    pub host_keys: HostKeys,
    /// The limit of each step: of resolving the name, of connecting to an address, of the key exchange.
    pub connect_timeout: Duration,
    /// How often to ask a silent host whether it is still there (`ServerAliveInterval`); it is lost after
    /// `alive_count` questions without an answer.
    pub alive_interval: Duration,
    /// See there (`ServerAliveCountMax`).
    pub alive_count: usize,
    /// How often to try again when the server drops the connection before the key exchange is done, as an sshd does
    /// that has more logins pending than its `MaxStartups`; not counting when others were on their way in, too.
    pub retries: u32,
    /// Hosts to go through, the first one reached directly (`ProxyJump`).
    pub jumps: Vec<Target>,
    /// A command whose standard streams are the connection (`ProxyCommand`); instead of `jumps`.
    pub proxy_command: Option<String>,
}

impl Target {
    /// A target with the defaults: port 22, no credentials, no known hosts, strict checking.
    pub fn new(host: impl Into<String>, user: impl Into<String>) -> Self {
        let host = host.into();
        Self {
            name: host.clone(),
            host,
            port: 22,
            user: user.into(),
            password: None,
            identity_files: Vec::new(),
            private_key: None,
            passphrase: None,
            agent: None,
            identities_only: false,
            known_hosts: Vec::new(),
            host_keys: HostKeys::Strict,
            connect_timeout: Duration::from_secs(10),
            alive_interval: Duration::from_secs(10),
            alive_count: 3,
            retries: 6,
            jumps: Vec::new(),
            proxy_command: None,
        }
    }

    /// `host:port`, for messages.
    pub fn at(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// A private key in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The file; OpenSSH's own format, PKCS#8 or PKCS#1 PEM.
    pub path: PathBuf,
    /// Somebody asked for this key: that it is missing is worth a word. The default keys just need not exist.
    pub asked_for: bool,
}

/// What to do with a host whose key is not known. A changed key and a revoked one are refused in the first two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HostKeys {
    /// Refuse it (`StrictHostKeyChecking yes`).
    #[default]
    Strict,
    /// Accept it and remember it (`accept-new`).
    AcceptNew,
    /// Accept any key that is not revoked, and remember none (`no`).
    Off,
}

/// The way to a host.
#[derive(Clone, Debug)]
pub enum Way {
    /// This machine, without SSH; programs begin in that directory.
    Local(PathBuf),
    /// Another machine, through SSH.
    Ssh(Arc<Target>),
}

/// `local` and where, or `USER@HOST:PORT`.
impl std::fmt::Display for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Local(dir) => write!(f, "local:{}", dir.display()),
            Self::Ssh(target) => write!(f, "{}@{}:{}", target.user, target.host, target.port),
        }
    }
}

/// A host that commands can be run on. Dropping it ends it, once its last [`Session`] is gone.
pub struct Connection {
    way: Way,
    link: Link,
    negotiated: String,
    doors: Doors,
}

enum Link {
    Local(PathBuf),
    Ssh(Box<ssh::Link>),
}

/// Opens a connection and logs in, in turn with others who use the same `doors`.
pub async fn open(way: &Way, doors: &Doors) -> Result<Connection, ConnectError> {
    let doors = doors.clone();
    let (link, negotiated) = match way {
        Way::Local(dir) => (Link::Local(dir.clone()), "local".to_owned()),
        Way::Ssh(target) => {
            let link = ssh::open(target, &doors).await?;
            let negotiated = link.negotiated();
            (Link::Ssh(Box::new(link)), negotiated)
        }
    };
    Ok(Connection { way: way.clone(), link, negotiated, doors })
}

impl Connection {
    /// Starts a command without a terminal, through the user's login shell as `ssh host command` does.
    pub async fn exec(&self, command: &str) -> Result<Session, ConnectError> {
        match &self.link {
            Link::Local(dir) => local::exec(command, dir),
            Link::Ssh(link) => link.exec(command).await,
        }
    }

    /// Opens another by the same way. `None` where a person may have to touch a key for it.
    pub async fn another(&self) -> Option<Result<Self, ConnectError>> {
        match &self.link {
            Link::Ssh(link) if link.touched => None,
            _ => Some(open(&self.way, &self.doors).await),
        }
    }

    /// About how long a round trip takes: the shortest that was seen.
    pub fn trip(&self) -> Duration {
        match &self.link {
            Link::Local(_) => Duration::ZERO,
            Link::Ssh(link) => link.trip(),
        }
    }

    /// Where it leads, for messages: host and port.
    pub fn at(&self) -> &str {
        match &self.link {
            Link::Local(_) => "this machine",
            Link::Ssh(link) => link.at(),
        }
    }

    /// The algorithms that were agreed on: key exchange, cipher, host key. For `-v`.
    pub fn negotiated(&self) -> &str {
        &self.negotiated
    }
}
