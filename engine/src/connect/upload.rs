//! The bootstrap: finds the agent on a host by the hash of its content, or uploads it, and starts it.
//!
//! That costs one command, and where the agent is missing, two round trips and the upload more.

use std::ffi::OsString;
use std::io::Cursor;
use std::pin::pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::time::timeout;

use super::agent_error::AgentError;
use super::agents::{Agent, Agents};
use super::script::{self, Report, first_question, last_report};
use super::session::{Output, Session};
use super::{ConnectError, Connection, Exit, Link, local};

/// How much a shell may print before the agent speaks, in bytes.
const NOISE: usize = 64 * 1024;

/// How much of a stream is kept for an error's message, in bytes.
const TAIL: usize = 2 * 1024;

/// How long a shell may take to start the agent.
const PATIENCE: Duration = Duration::from_secs(60);

/// Starts the agent on the other end of `connection`, having uploaded it if need be. The session's stdout begins with
/// the byte after `preamble`, which the agent prints before its first frame. `remote_tmp` is the directory for the
/// agent's own directory; `~/` is the user's home; the default is `/var/tmp`. `first` is said to the agent without
/// waiting for it to greet, which spares a round trip: a script that does not start it reads nothing.
pub async fn start_agent(
    connection: &Connection,
    agents: &Agents,
    preamble: &[u8],
    remote_tmp: Option<&str>,
    first: &[u8],
) -> Result<Session, ConnectError> {
    let failed = |source| ConnectError::Agent { at: connection.at().to_owned(), source };
    if let Link::Local(dir) = &connection.link {
        let session = local::spawn(local_agent(agents).map_err(failed)?, dir)?;
        return match Talk::over(session, preamble).say(first).await? {
            Heard::Agent(session) => Ok(session),
            Heard::End(AgentError::NoShell { exit, said }) => {
                // There is no shell in between.
                Err(failed(AgentError::Died { exit, stderr: said }))
            }
            other => Err(failed(other.error())),
        };
    }
    if let Some(dir) = remote_tmp.filter(|dir| !script::is_quotable(dir)) {
        return Err(failed(AgentError::Unquotable { dir: dir.to_owned() }));
    }
    let at_once = script::start_at_once(agents, remote_tmp, script::SERVE);
    let start = script::start(agents, remote_tmp, first.len());
    let (talk, agent) = match begin(connection, &at_once, &start, preamble, first).await? {
        Heard::Agent(session) => return Ok(session),
        Heard::Report(Report::Wanted { system }, talk) => (talk, pick(agents, &system).map_err(failed)?),
        other => return Err(failed(other.error())),
    };
    tracing::debug!(at = connection.at(), ?agent, "uploading the agent");
    let binary = agent.binary().map_err(AgentError::Unpack).map_err(failed)?;
    let turn = connection.doors.upload().await;
    let talk = match talk.say(binary).await? {
        Heard::Report(Report::Placed, talk) => talk,
        other => return Err(failed(other.error())),
    };
    drop(turn);
    match talk.say(first).await? {
        Heard::Agent(session) => Ok(session),
        other => Err(failed(other.error())),
    }
}

/// Starts the program of an agent that is there once more, on a channel of its own, to do `what`: words of letters, digits and
/// hyphens.
pub async fn start_beside(
    connection: &Connection,
    agents: &Agents,
    preamble: &[u8],
    remote_tmp: Option<&str>,
    what: &str,
) -> Result<Session, ConnectError> {
    let at_once = script::start_at_once(agents, remote_tmp, what);
    let start = script::start_beside(agents, remote_tmp, what);
    match begin(connection, &at_once, &start, preamble, b"").await? {
        Heard::Agent(session) => Ok(session),
        other => Err(ConnectError::Agent { at: connection.at().to_owned(), source: other.error() }),
    }
}

/// Begins a script. `at_once` comes before it, unless the login shell does not know its words.
async fn begin<'a>(
    connection: &Connection,
    at_once: &str,
    script: &str,
    preamble: &'a [u8],
    first: &[u8],
) -> Result<Heard<'a>, ConnectError> {
    let command = format!("{at_once}{script}");
    match Talk::over(connection.exec(&command).await?, preamble).say(first).await? {
        Heard::End(AgentError::NoShell { .. }) if !at_once.is_empty() => {
            Talk::over(connection.exec(script).await?, preamble).say(first).await
        }
        heard => Ok(heard),
    }
}

/// The agent of this machine: a program of its own, or this one.
fn local_agent(agents: &Agents) -> Result<Command, AgentError> {
    let (program, arguments) = match &agents.local {
        Some(path) => (path.clone(), vec![OsString::from("serve")]),
        None => (std::env::current_exe().map_err(AgentError::Unpack)?, vec!["agent".into(), "serve".into()]),
    };
    let mut command = Command::new(program);
    command.args(arguments);
    Ok(command)
}

fn pick<'a>(agents: &'a Agents, system: &str) -> Result<&'a Agent, AgentError> {
    let arch = system.strip_prefix("Linux ");
    arch.and_then(|arch| agents.for_arch(arch)).ok_or_else(|| unavailable(system.to_owned()))
}

/// Why there is no agent for a system.
fn unavailable(system: String) -> AgentError {
    match system.as_str() {
        "Linux x86_64" | "Linux aarch64" => AgentError::NotCarried { system },
        _ => AgentError::Unsupported { system },
    }
}

/// What is said to a script, and what it says.
struct Talk<'a> {
    session: Session,
    /// What the agent begins with.
    preamble: &'a [u8],
    /// All that was heard.
    heard: Vec<u8>,
    /// How much of it has an answer.
    answered: usize,
}

/// What came of something that was said.
enum Heard<'a> {
    /// The agent's preamble; the session begins after it.
    Agent(Session),
    /// The script waits for an answer.
    Report(Report, Talk<'a>),
    /// The end of the command, or of the patience, without the agent having spoken.
    End(AgentError),
}

impl Heard<'_> {
    /// What it means where something else was waited for.
    fn error(self) -> AgentError {
        match self {
            Self::End(error) => error,
            Self::Report(Report::Wanted { system }, _) => unavailable(system),
            Self::Report(..) | Self::Agent(_) => AgentError::Damaged,
        }
    }
}

impl<'a> Talk<'a> {
    fn over(session: Session, preamble: &'a [u8]) -> Self {
        Self { session, preamble, heard: Vec::new(), answered: 0 }
    }

    /// Says something, and listens for the preamble or a report, past whatever the shell prints before.
    async fn say(mut self, text: &[u8]) -> Result<Heard<'a>, ConnectError> {
        match self.meet(text).await {
            Found::Silence => Ok(Heard::End(AgentError::Silent { after: PATIENCE })),
            Found::Noise => {
                let start = tail(&self.heard[..self.heard.len().min(60)]);
                Ok(Heard::End(AgentError::Noise { limit: NOISE, start }))
            }
            Found::Preamble { after } => {
                let mut session = self.session;
                let first = Cursor::new(self.heard.split_off(after));
                session.stdout = Box::new(first.chain(session.stdout));
                Ok(Heard::Agent(session))
            }
            Found::Report(report) => Ok(Heard::Report(report, self)),
            Found::End => {
                let Output { stderr, exit, .. } = self.session.output(b"", u64::MAX).await?;
                Ok(Heard::End(explain(&Output { stdout: self.heard, stderr, exit })))
            }
        }
    }

    /// Speaks and listens at the same time: neither side may wait for the other to have done. That nobody is there to read is
    /// told by what is heard.
    async fn meet(&mut self, text: &[u8]) -> Found {
        let Session { stdin, stdout, .. } = &mut self.session;
        let mut saying = pin!(async {
            let _ = stdin.write_all(text).await;
            let _ = stdin.flush().await;
        });
        let mut finding = pin!(find(stdout, self.preamble, &mut self.heard, &mut self.answered));
        tokio::select! {
            () = &mut saying => timeout(PATIENCE, finding).await.unwrap_or(Found::Silence),
            found = &mut finding => {
                if let Found::Preamble { .. } = found {
                    saying.await;
                }
                found
            }
        }
    }
}

enum Found {
    Preamble { after: usize },
    Report(Report),
    Silence,
    Noise,
    End,
}

/// Listens until there is something to answer, or the agent's preamble. What comes after a report may have come with it.
async fn find(
    stdout: &mut (impl AsyncRead + Unpin),
    preamble: &[u8],
    heard: &mut Vec<u8>,
    answered: &mut usize,
) -> Found {
    let mut buffer = [0; 4096];
    loop {
        if let Some((report, length)) = first_question(&heard[*answered..]) {
            *answered += length;
            return Found::Report(report);
        }
        if let Some(at) = heard.windows(preamble.len()).position(|window| window == preamble) {
            return Found::Preamble { after: at + preamble.len() };
        }
        if heard.len() > NOISE {
            return Found::Noise;
        }
        match stdout.read(&mut buffer).await {
            Ok(0) | Err(_) => return Found::End,
            Ok(read) => heard.extend_from_slice(&buffer[..read]),
        }
    }
}

/// Why a script ended without having done what it is for.
fn explain(output: &Output) -> AgentError {
    let detail = tail(&output.stderr);
    match last_report(&output.stdout) {
        Some(Report::Missing { system } | Report::Wanted { system }) => unavailable(system),
        Some(Report::Refused { dir, reason }) => AgentError::Unsafe { dir, reason },
        Some(Report::Failed { dir }) if is_full(&detail) => AgentError::NoSpace { dir, detail },
        Some(Report::Failed { dir }) => AgentError::Upload { dir, detail },
        Some(Report::Short) => AgentError::Damaged,
        Some(Report::NoExec { dir }) => AgentError::NoExec { dir, detail },
        // A shell that could not `exec` ends with 126 (POSIX, 2.8.2).
        Some(Report::Started { dir }) if output.exit == Exit::Status(126) => AgentError::NoExec { dir, detail },
        Some(Report::Started { .. } | Report::Placed) => AgentError::Died { exit: output.exit.clone(), stderr: detail },
        None => {
            let said = if detail.is_empty() { tail(&output.stdout) } else { detail };
            AgentError::NoShell { exit: output.exit.clone(), said }
        }
    }
}

fn is_full(detail: &str) -> bool {
    ["No space left", "uota exceeded", "File too large"].iter().any(|text| detail.contains(text))
}

/// The end of what was said, fit for a message: no control characters, lines joined.
fn tail(bytes: &[u8]) -> String {
    let end = &bytes[bytes.len().saturating_sub(TAIL)..];
    let text = String::from_utf8_lossy(end);
    let lines = text.lines().map(|line| line.replace(char::is_control, "")).filter(|line| !line.trim().is_empty());
    lines.collect::<Vec<_>>().join("; ")
}
