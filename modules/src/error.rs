//! What can go wrong on a host.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::host::{Output, Why};
use crate::plan::Data;
use crate::sqlstate::SqlState;

/// Why a look, a plan or an edit did not succeed. Travels from the agent to the controller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Error {
    /// Only in a preview: an earlier task has to run first.
    #[error("{0}")]
    Unknown(Why),
    /// A file or directory could not be looked at or changed.
    #[error("cannot {action} {}: {reason}", path.display())]
    Path {
        /// What was tried, as an infinitive: `read`, `write`.
        action: String,
        /// On what.
        path: PathBuf,
        /// The system's words, or ours.
        reason: String,
    },
    /// A program could not be started.
    #[error("cannot run {program}: {reason}")]
    Program {
        /// Its name or path.
        program: String,
        /// The system's words.
        reason: String,
    },
    /// A program ended with another status than 0.
    #[error("{command} failed with status {}{}", output.status, output.last_words())]
    Command {
        /// The command line, for reading only.
        command: String,
        /// What it left behind.
        output: Box<Output>,
    },
    /// A statement was refused by a database server, or the server could not be reached.
    #[error(transparent)]
    Sql(Box<SqlError>),
    /// A parameter has a value that cannot be meant.
    #[error("parameter `{name}`: {reason}")]
    Param {
        /// The parameter.
        name: String,
        /// What is wrong, and what was expected.
        reason: String,
    },
    /// The module won't touch this: it is not ours, or not what it seems.
    #[error("{subject}: {reason}")]
    Refused {
        /// What is not touched.
        subject: String,
        /// Why.
        reason: String,
        /// What the user can do.
        hint: Option<String>,
    },
    /// A server on another machine does not let us ask it: what a task there is yet to make may be what it lacks.
    #[error("{server}: it refuses to answer{reason}")]
    Unanswered {
        /// Its name or address.
        server: String,
        /// What it said, after a separator.
        reason: String,
        /// What the user can do.
        hint: Option<String>,
    },
    /// What an edit was planned on has changed before it could be made.
    #[error("{subject} changed between planning and applying")]
    Raced {
        /// A path, usually.
        subject: String,
    },
    /// Planning again after applying found something left to do.
    #[error("still not in the desired state after applying: {remaining}")]
    NotConverged {
        /// The subjects of the edits that remain.
        remaining: String,
    },
    /// The host lacks something that the module needs.
    #[error("{0}")]
    Unsupported(String),
    /// With return values that come with it. `msg` among them is what Ansible says in the same case, where playbooks
    /// compare that; people are shown the error itself.
    #[error("{error}")]
    Telling {
        /// What went wrong.
        error: Box<Error>,
        /// What the task registers beside.
        data: Data,
    },
    /// The module says that the task fails (`fail`, `assert`, an expectation).
    #[error("{0}")]
    Failed(String),
    /// The task took longer than it may (`timeout`). The words are Ansible's.
    #[error("Task failed: Timed out after {seconds} second(s).")]
    TimedOut {
        /// How long it may take.
        seconds: u64,
    },
    /// The run was cancelled while the task ran.
    #[error("cancelled")]
    Cancelled,
    /// The other user's agent could not be started or has ended.
    #[error("cannot become {user}: {reason}")]
    Become {
        /// The user.
        user: String,
        /// Why not.
        reason: String,
    },
}

/// What a PostgreSQL server or the connection to it said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}{}{}{}", detail.as_ref().map(|d| format!(": {}", d.replace('\n', "; "))).unwrap_or_default(),
        sqlstate.as_ref().map(|s| format!(" (SQLSTATE {s})")).unwrap_or_default(),
        place.as_ref().map(|p| format!(" at {p}")).unwrap_or_default())]
pub struct SqlError {
    /// The primary message.
    pub message: String,
    /// The server's code; absent if the server was not reached.
    pub sqlstate: Option<SqlState>,
    /// `line:col` in the statement, both from 1.
    pub place: Option<String>,
    /// The server's detail lines, and the warnings that it gave before.
    pub detail: Option<String>,
    /// The server's hint line.
    pub hint: Option<String>,
}

impl Error {
    /// An [`Error::Path`] from an I/O error.
    pub fn path(action: &str, path: impl Into<PathBuf>, reason: impl std::fmt::Display) -> Self {
        Self::Path { action: action.into(), path: path.into(), reason: reason.to_string() }
    }

    /// An [`Error::Refused`].
    pub fn refused(subject: impl Into<String>, reason: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Refused { subject: subject.into(), reason: reason.into(), hint: Some(hint.into()) }
    }

    /// An [`Error::Param`].
    pub fn param(name: &str, reason: impl Into<String>) -> Self {
        Self::Param { name: name.into(), reason: reason.into() }
    }

    /// With a return value, of which `msg` stands in the place of the error's own words.
    #[must_use]
    pub fn telling(self, name: &str, value: impl Into<Value>) -> Self {
        let (error, mut data) = self.apart();
        data.insert(name.into(), value.into());
        Self::Telling { error: Box::new(error), data }
    }

    /// What went wrong, and what is registered beside.
    pub fn apart(self) -> (Self, Data) {
        match self {
            Self::Telling { error, data } => (*error, data),
            error => (error, Data::new()),
        }
    }

    /// The server's code, if a server said this.
    pub fn sqlstate(&self) -> Option<&SqlState> {
        match self {
            Self::Telling { error, .. } => error.sqlstate(),
            Self::Sql(error) => error.sqlstate.as_ref(),
            _ => None,
        }
    }

    /// What the user can do about it, where we know.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Telling { error, .. } => error.hint(),
            Self::Refused { hint, .. } | Self::Unanswered { hint, .. } => hint.clone(),
            Self::Sql(error) => {
                let ours = || error.sqlstate.as_ref().and_then(SqlState::hint).map(Into::into);
                error.hint.clone().or_else(ours)
            }
            Self::NotConverged { .. } => {
                Some("another task or program may be changing it back; run with --diff to see what differs".into())
            }
            Self::Raced { .. } => Some("something else changes it at the same time; run again".into()),
            _ => None,
        }
    }
}
