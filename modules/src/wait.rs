//! Waiting until something is so.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
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
    /// Nobody is connected to a TCP port of the host any more.
    Drained {
        /// Its number.
        port: u16,
        /// Peers that do not count.
        exclude: Vec<IpAddr>,
        /// The kernel's numbers of the states that count.
        states: Vec<u8>,
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
            Self::Drained { port, exclude, states } => drained(host, *port, exclude, states),
            Self::Sql { at, query, args, .. } => {
                let rows = host.sql(at, query, args)?.rows;
                Ok(rows.first().and_then(|row| row.first()) == Some(&true.into()))
            }
        }
    }
}

/// By /proc/net/tcp and tcp6 (proc(5)): addresses are in hexadecimal, in words as they lie in memory.
fn drained(host: &dyn Host, port: u16, exclude: &[IpAddr], states: &[u8]) -> Look<bool> {
    for file in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let table = host.read(Path::new(file))?.unwrap_or_default();
        let connected = |line: &str| {
            let field: Vec<&str> = line.split_whitespace().collect();
            let [_, local, remote, state, ..] = field[..] else { return false };
            let at_port = local.rsplit_once(':').is_some_and(|(_, of)| u16::from_str_radix(of, 16) == Ok(port));
            let counts = u8::from_str_radix(state, 16).is_ok_and(|state| states.contains(&state));
            let peer = remote.rsplit_once(':').and_then(|(address, _)| address_of(address));
            at_port && counts && !peer.is_some_and(|peer| exclude.contains(&peer))
        };
        if String::from_utf8_lossy(&table).lines().any(connected) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn address_of(hex: &str) -> Option<IpAddr> {
    let words = (0..hex.len() / 8).map(|at| u32::from_str_radix(hex.get(at * 8..at * 8 + 8)?, 16).ok());
    let bytes: Vec<u8> = words.collect::<Option<Vec<u32>>>()?.into_iter().flat_map(u32::to_ne_bytes).collect();
    match bytes.len() {
        4 => Some(IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        _ => Some(IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?).to_canonical()),
    }
}

/// What Ansible says of one that was waited for in vain.
fn ansible(condition: &Condition) -> Option<String> {
    Some(match condition {
        Condition::Port { host, port, open: true } => format!("Timeout when waiting for {host}:{port}"),
        Condition::Port { host, port, open: false } => format!("Timeout when waiting for {host}:{port} to stop."),
        Condition::Path { path, there: true } => format!("Timeout when waiting for file {}", path.display()),
        Condition::Path { path, there: false } => format!("Timeout when waiting for {} to be absent.", path.display()),
        Condition::Match { path, pattern } => {
            format!("Timeout when waiting for search string {pattern} in {}", path.display())
        }
        Condition::Drained { port, .. } => format!("Timeout when waiting for 127.0.0.1:{port} to drain"),
        Condition::Sql { .. } => return None,
    })
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
            Self::Drained { port, .. } => write!(f, "the connections to port {port} to end"),
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
                let error = Error::Failed(self.message.clone().unwrap_or_else(ours));
                let said = ansible(&self.until).filter(|_| self.message.is_none());
                return Err(said.into_iter().fold(error, |error, said| error.telling("msg", said)));
            }
            system.pause(self.every)?;
            paused += self.every;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    #[test]
    fn a_port_is_drained_when_nobody_who_counts_is_connected() {
        let peer = u32::from_ne_bytes([10, 0, 0, 7]);
        let line = |state: &str| format!("  sl  local_address\n   0: 0100007F:1F90 {peer:08X}:C350 {state} 0\n");
        let excluded = vec![IpAddr::from([10, 0, 0, 7])];
        let table = [
            ("01", vec![], 8080, false),
            ("0A", vec![], 8080, true),
            ("01", vec![], 80, true),
            ("01", excluded, 8080, true),
        ];
        for (state, exclude, port, wanted) in table {
            let host = Fake::new().file("/proc/net/tcp", line(state), 0o444);
            let condition = Condition::Drained { port, exclude, states: vec![1, 2] };
            assert_eq!(condition.holds(&host), Ok(wanted), "{condition:?} {state}");
        }
        assert_eq!(address_of("0000000000000000FFFF0000").map(|a| a.to_string()), None);
    }
}
