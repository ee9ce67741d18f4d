//! What can go wrong on the way to a host.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::agent_error::AgentError;

/// Why a host could not be reached, or a command not be run on it. Each message finishes "failed to …".
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name has no address.
    #[error("resolve the name {host}: {source}")]
    Resolve {
        /// The name.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// Nothing listens there.
    #[error("connect to {at}: connection refused")]
    Refused {
        /// Host and port.
        at: String,
    },
    /// No answer in time.
    #[error("{doing} {at}: no answer within {} s", after.as_secs_f32())]
    TimedOut {
        /// What was being done: `connect to`, `exchange keys with`.
        doing: &'static str,
        /// Host and port.
        at: String,
        /// The limit.
        after: Duration,
    },
    /// The network says no: no route, network unreachable.
    #[error("connect to {at}: {source}")]
    Network {
        /// Host and port.
        at: String,
        /// What the system said.
        source: io::Error,
    },
    /// The server dropped the connection before the key exchange was done, every time.
    #[error("connect to {at}: the server closed the connection before the key exchange was done ({tries} tries)")]
    Closed {
        /// Host and port.
        at: String,
        /// How often it was tried.
        tries: u32,
    },
    /// The two sides could not agree, or one of them does not speak SSH.
    #[error("exchange keys with {at}: {source}")]
    KeyExchange {
        /// Host and port.
        at: String,
        /// What was wrong.
        source: russh::Error,
    },
    /// The server's key is not acceptable.
    #[error("verify the host key of {at}: {source}")]
    HostKey {
        /// Host and port.
        at: String,
        /// Why not.
        source: Box<HostKeyError>,
    },
    /// A file of known hosts could not be read or written.
    #[error("use the known hosts in {}: {source}", path.display())]
    KnownHosts {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Every way to log in was refused.
    #[error("log in to {at} as {user}: {}{}", Attempt::list(tried), accepts(methods))]
    Auth {
        /// Host and port.
        at: String,
        /// The user.
        user: String,
        /// What was tried, in order.
        tried: Vec<Attempt>,
        /// The methods that the server would still accept.
        methods: Vec<String>,
    },
    /// A host on the way could not be passed.
    #[error("go through {via}: {source}")]
    Jump {
        /// Host and port of the jump host.
        via: String,
        /// What was wrong there.
        source: Box<ConnectError>,
    },
    /// The command that should have been the connection was not.
    #[error("connect to {at} through `{command}`: {reason}")]
    ProxyCommand {
        /// Host and port.
        at: String,
        /// The command, as it was run.
        command: String,
        /// The last that it said, or what the system said.
        reason: String,
    },
    /// The server would not run a command.
    #[error("run a command on {at}: {reason}")]
    Exec {
        /// Host and port, or `this machine`.
        at: String,
        /// Why not.
        reason: String,
    },
    /// The agent does not run there.
    #[error("start the agent on {at}: {source}")]
    Agent {
        /// Host and port, or `this machine`.
        at: String,
        /// Why not.
        source: AgentError,
    },
    /// The connection ended in the middle of something.
    #[error("hear from {at}: the connection was lost")]
    Lost {
        /// Host and port.
        at: String,
    },
}

/// Why a host key was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostKeyError {
    /// No file knows this host.
    #[error("it is not known; the server shows {algorithm} {fingerprint}")]
    Unknown {
        /// The key's algorithm.
        algorithm: String,
        /// `SHA256:…`
        fingerprint: String,
    },
    /// The files know another key of this host.
    #[error(
        "it has CHANGED: {}:{line} has {old_algorithm} {old}, the server shows {algorithm} {fingerprint}. \
         Somebody may be listening in, or the host was set up anew",
        path.display()
    )]
    Changed {
        /// Where the old key is.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// The old key's algorithm.
        old_algorithm: String,
        /// The old key, `SHA256:…`
        old: String,
        /// The shown key's algorithm.
        algorithm: String,
        /// The shown key, `SHA256:…`
        fingerprint: String,
        /// The name to give to `ssh-keygen -R`.
        entry: String,
    },
    /// A line `@revoked` names this very key.
    #[error("it was revoked in {}:{line}: {algorithm} {fingerprint}", path.display())]
    Revoked {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// The key's algorithm.
        algorithm: String,
        /// `SHA256:…`
        fingerprint: String,
    },
    /// The host shows a certificate that does not hold.
    #[error("its certificate does not hold: {reason}")]
    Certificate {
        /// Why.
        reason: String,
    },
}

/// One way to log in, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// `key ~/.ssh/id_ed25519 (SHA256:…)`, `password`
    pub what: String,
    /// `refused`, `needs a passphrase`
    pub outcome: String,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.what, self.outcome)
    }
}

impl Attempt {
    fn list(tried: &[Self]) -> String {
        if tried.is_empty() {
            return "nothing to try: no key, no ssh-agent, no password".to_owned();
        }
        tried.iter().map(Self::to_string).collect::<Vec<_>>().join(", ")
    }
}

fn accepts(methods: &[String]) -> String {
    if methods.is_empty() { String::new() } else { format!("; the server accepts {}", methods.join(", ")) }
}

impl ConnectError {
    /// What the user may do about it, each as an imperative sentence.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::HostKey { source, .. } => source.hints(),
            Self::Jump { source, .. } => source.hints(),
            Self::Agent { source, .. } => source.hints(),
            Self::Closed { .. } => vec![
                "the server's MaxStartups or PerSourcePenalties may be lower than the number of parallel logins: run with fewer forks".to_owned(),
            ],
            Self::Auth { tried, .. } if tried.iter().any(|attempt| attempt.outcome.contains("passphrase")) => {
                vec!["give ansible_ssh_passphrase, or add the key to an ssh-agent".to_owned()]
            }
            Self::Auth { tried, .. } if tried.iter().any(|attempt| attempt.outcome.contains("Too many")) => {
                vec!["set IdentitiesOnly in ~/.ssh/config, or ansible_ssh_private_key_file, to offer fewer keys".to_owned()]
            }
            _ => Vec::new(),
        }
    }
}

impl HostKeyError {
    /// Whether somebody has said that this key must not be trusted any more.
    pub(super) fn is_revocation(&self) -> bool {
        matches!(self, Self::Revoked { .. })
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Unknown { .. } => vec![
                "compare the fingerprint with the host's own (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub), \
                 then run again with --accept-new-host-keys"
                    .to_owned(),
            ],
            Self::Changed { path, entry, .. } => vec![format!(
                "if the host was set up anew: ssh-keygen -f '{}' -R '{entry}', then run again with --accept-new-host-keys",
                path.display()
            )],
            Self::Revoked { .. } | Self::Certificate { .. } => Vec::new(),
        }
    }
}
