//! What can go wrong between a connection and a running agent.

use std::io;
use std::time::Duration;

use super::Exit;

/// Why the agent does not run on a host. Each message finishes "failed to start the agent on …:".
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The host is none that an agent exists for.
    #[error("it runs {system}; Trueup supports Linux on x86_64 and aarch64")]
    Unsupported {
        /// As `uname -sm` writes it.
        system: String,
    },
    /// There could be an agent, but this program was built without.
    #[error("this build of Trueup carries no agent for {system}")]
    NotCarried {
        /// As `uname -sm` writes it.
        system: String,
    },
    /// The agent that this program carries is broken, or that of this machine cannot be found.
    #[error("unpack the agent: {0}")]
    Unpack(#[source] io::Error),
    /// `remote_tmp` has characters that a shell may stumble over.
    #[error("the directory {dir:?} has a quote, a backslash, an exclamation mark or a control character in its name")]
    Unquotable {
        /// The directory.
        dir: String,
    },
    /// Somebody else could have put a file into the agent's directory.
    #[error("{dir} is not safe to run programs from: {reason}")]
    Unsafe {
        /// The directory.
        dir: String,
        /// Why.
        reason: String,
    },
    /// The disk is full.
    #[error("no space left in {dir}: {detail}")]
    NoSpace {
        /// The directory.
        dir: String,
        /// What the host said.
        detail: String,
    },
    /// The agent could not be written.
    #[error("write the agent to {dir}: {detail}")]
    Upload {
        /// The directory.
        dir: String,
        /// What the host said.
        detail: String,
    },
    /// The agent arrived incomplete.
    #[error("the agent arrived damaged")]
    Damaged,
    /// Programs in that directory cannot be executed.
    #[error("programs in {dir} cannot be executed (is it mounted noexec?){}", after_colon(detail))]
    NoExec {
        /// The directory.
        dir: String,
        /// What the host said; may be empty.
        detail: String,
    },
    /// The agent was started and ended before it said a word.
    #[error("it ended at once: {exit}{}", after_colon(stderr))]
    Died {
        /// How.
        exit: Exit,
        /// The end of what it said; may be empty.
        stderr: String,
    },
    /// What answered is no POSIX shell.
    #[error("the login shell ran no commands: {exit}{}", after_colon(said))]
    NoShell {
        /// How it ended.
        exit: Exit,
        /// The end of what it printed; may be empty.
        said: String,
    },
    /// The shell's rc files print too much.
    #[error("the login shell printed more than {limit} bytes before anything useful; it begins with {start:?}")]
    Noise {
        /// The limit.
        limit: usize,
        /// The beginning.
        start: String,
    },
    /// Nothing came.
    #[error("no answer within {} s", after.as_secs_f32())]
    Silent {
        /// The limit.
        after: Duration,
    },
}

impl AgentError {
    /// What the user may do about it.
    pub(super) fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::NoExec { .. } | Self::NoSpace { .. } | Self::Upload { .. } | Self::Unsafe { .. } => {
                "set ansible_remote_tmp to a directory of the host that has space, allows programs, and that others \
                 cannot write to"
            }
            Self::NotCarried { .. } => {
                "build with both targets installed (rustup target add x86_64-unknown-linux-musl \
                 aarch64-unknown-linux-musl) and without TRUEUP_AGENT=none"
            }
            Self::NoShell { .. } => "the user needs a login shell: see getent passwd on the host",
            Self::Noise { .. } => "rc files should print only to terminals: [ -t 1 ] || return",
            _ => return Vec::new(),
        };
        vec![hint.to_owned()]
    }
}

fn after_colon(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(": {detail}") }
}
