//! Waiting until something is so.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use fancy_regex::Regex;

use crate::host::{Error, Host, Look};
use crate::sql::{PgConn, SqlArg};
use crate::system::System;

/// What can be waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// A TCP port accepts connections, or does not.
    Port {
        /// A name or an address.
        host: String,
        /// Its number.
        port: u16,
        /// Which of the two.
        open: bool,
    },
    /// There is something at a path, or nothing.
    Path {
        /// Where.
        path: PathBuf,
        /// Which of the two.
        there: bool,
    },
    /// A file has a line that matches.
    Match {
        /// The file.
        path: PathBuf,
        /// A regular expression; `^` and `$` are the ends of lines.
        pattern: String,
    },
    /// A query answers true in the first column of its first row.
    Sql {
        /// The server.
        at: Box<PgConn>,
        /// The query.
        query: String,
        /// Its parameters.
        args: Vec<SqlArg>,
        /// What it asks for, as the end of "waited in vain for …".
        meaning: String,
    },
}

impl Condition {
    /// Whether it is so now.
    pub fn holds(&self, host: &dyn Host) -> Look<bool> {
        match self {
            Self::Port { host: name, port, open } => Ok(host.connects(name, *port)? == *open),
            Self::Path { path, there } => Ok(host.stat(path)?.is_some() == *there),
            Self::Match { path, pattern } => {
                let fail = |reason: String| Error::param("search_regex", reason);
                let regex = Regex::new(&format!("(?m){pattern}")).map_err(|error| fail(error.to_string()))?;
                let Some(content) = host.read(path)? else { return Ok(false) };
                regex.is_match(&String::from_utf8_lossy(&content)).map_err(|error| fail(error.to_string()))
            }
            Self::Sql { at, query, args, .. } => {
                let rows = host.sql(at, query, args)?.rows;
                Ok(rows.first().and_then(|row| row.first()) == Some(&true.into()))
            }
        }
    }
}

/// Finishes "waited in vain for …".
impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port { host, port, open: true } => write!(f, "{host}:{port} to accept connections"),
            Self::Port { host, port, open: false } => write!(f, "{host}:{port} to refuse connections"),
            Self::Path { path, there: true } => write!(f, "{} to exist", path.display()),
            Self::Path { path, there: false } => write!(f, "{} to go away", path.display()),
            Self::Match { path, pattern } => write!(f, "`{pattern}` in {}", path.display()),
            Self::Sql { meaning, .. } => f.write_str(meaning),
        }
    }
}

/// A condition, and how long and how often to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// What is waited for.
    pub until: Condition,
    /// Before the first look.
    pub delay: Duration,
    /// Between two looks.
    pub every: Duration,
    /// When to give up, counted from the start.
    pub timeout: Duration,
    /// What to say then, in the place of our words.
    pub message: Option<String>,
}

impl Wait {
    /// Looks until it is so. The pauses are counted as well as the clock is read: a host in memory has no clock.
    pub(crate) fn perform(&self, system: &mut dyn System) -> Look<()> {
        let start = Instant::now();
        let mut paused = self.delay;
        system.pause(self.delay)?;
        while !self.until.holds(system)? {
            if start.elapsed().max(paused) >= self.timeout {
                let ours = || format!("waited {} s in vain for {}", self.timeout.as_secs(), self.until);
                return Err(Error::Failed(self.message.clone().unwrap_or_else(ours)));
            }
            system.pause(self.every)?;
            paused += self.every;
        }
        Ok(())
    }
}
