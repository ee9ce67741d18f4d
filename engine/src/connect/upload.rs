//! The bootstrap: finds the agent on a host by the hash of its content, or uploads it, and starts it.
//!
//! A host that has the agent costs one command. One that has not costs three: that it is missing, the upload, the start.

use std::ffi::OsString;
use std::io::Cursor;
use std::pin::pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::time::timeout;

use super::agent_error::AgentError;
use super::agents::{Agent, Agents};
use super::script::{self, Report, last_report};
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
    let at = connection.at();
    let failed = |source| ConnectError::Agent { at: at.to_owned(), source };
    if let Link::Local(dir) = &connection.link {
        let session = local::spawn(local_agent(agents).map_err(failed)?, dir)?;
        return match listen(session, preamble, first).await? {
            Heard::Agent(session) => Ok(session),
            Heard::End { error: AgentError::NoShell { exit, said }, .. } => {
                // There is no shell in between.
                Err(failed(AgentError::Died { exit, stderr: said }))
            }
            Heard::End { error, .. } => Err(failed(error)),
        };
    }
    if let Some(dir) = remote_tmp.filter(|dir| !script::is_quotable(dir)) {
        return Err(failed(AgentError::Unquotable { dir: dir.to_owned() }));
    }
    let start = script::start(agents, remote_tmp, script::SERVE);
    let system = match listen(connection.exec(&start).await?, preamble, first).await? {
        Heard::Agent(session) => return Ok(session),
        Heard::End { report: Some(Report::Missing { system }), .. } => system,
        Heard::End { error, .. } => return Err(failed(error)),
    };
    place(connection, pick(agents, &system).map_err(failed)?, remote_tmp).await?;
    match listen(connection.exec(&start).await?, preamble, first).await? {
        Heard::Agent(session) => Ok(session),
        Heard::End { error, .. } => Err(failed(error)),
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
    let start = script::start(agents, remote_tmp, what);
    match listen(connection.exec(&start).await?, preamble, b"").await? {
        Heard::Agent(session) => Ok(session),
        Heard::End { error, .. } => Err(ConnectError::Agent { at: connection.at().to_owned(), source: error }),
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
    let system = system.to_owned();
    match system.strip_prefix("Linux ") {
        Some(arch @ ("x86_64" | "aarch64")) => agents.for_arch(arch).ok_or(AgentError::NotCarried { system }),
        _ => Err(AgentError::Unsupported { system }),
    }
}

async fn place(connection: &Connection, agent: &Agent, remote_tmp: Option<&str>) -> Result<(), ConnectError> {
    tracing::debug!(at = connection.at(), ?agent, "uploading the agent");
    let failed = |source| ConnectError::Agent { at: connection.at().to_owned(), source };
    let binary = agent.binary().map_err(AgentError::Unpack).map_err(failed)?;
    let _turn = connection.doors.upload().await;
    let session = connection.exec(&script::place(agent, remote_tmp)).await?;
    let limit = u64::try_from(NOISE).unwrap_or(u64::MAX);
    let output = session.output(binary, limit).await?;
    match last_report(&output.stdout) {
        Some(Report::Placed) => Ok(()),
        report => Err(failed(explain(report, &output))),
    }
}

/// What came of a start.
enum Heard {
    /// The agent's preamble; the session begins after it.
    Agent(Session),
    /// The end of the command, without the agent having spoken.
    End { report: Option<Report>, error: AgentError },
}

/// Says what comes first, and reads up to the preamble, past whatever the shell prints before it.
async fn listen(mut session: Session, preamble: &[u8], first: &[u8]) -> Result<Heard, ConnectError> {
    let mut heard = Vec::new();
    let found = timeout(PATIENCE, meet(&mut session, preamble, first, &mut heard)).await;
    let end = |error| Ok(Heard::End { report: None, error });
    match found {
        Err(_) => end(AgentError::Silent { after: PATIENCE }),
        Ok(Found::Noise) => end(AgentError::Noise { limit: NOISE, start: tail(&heard[..heard.len().min(60)]) }),
        Ok(Found::Preamble { after }) => {
            let first = Cursor::new(heard.split_off(after));
            session.stdout = Box::new(first.chain(session.stdout));
            Ok(Heard::Agent(session))
        }
        Ok(Found::End) => {
            let Output { stderr, exit, .. } = session.output(b"", u64::MAX).await?;
            let output = Output { stdout: heard, stderr, exit };
            let report = last_report(&output.stdout);
            let error = explain(last_report(&output.stdout), &output);
            Ok(Heard::End { report, error })
        }
    }
}

enum Found {
    Preamble { after: usize },
    Noise,
    End,
}

/// Speaks and listens at the same time: neither side may wait for the other to have done. That nobody is there to read is
/// told by what is heard.
async fn meet(session: &mut Session, preamble: &[u8], first: &[u8], heard: &mut Vec<u8>) -> Found {
    let Session { stdin, stdout, .. } = session;
    let mut saying = pin!(async {
        let _ = stdin.write_all(first).await;
        let _ = stdin.flush().await;
    });
    let mut finding = pin!(find(stdout, preamble, heard));
    tokio::select! {
        () = &mut saying => finding.await,
        found = &mut finding => {
            if let Found::Preamble { .. } = found {
                saying.await;
            }
            found
        }
    }
}

async fn find(stdout: &mut (impl AsyncRead + Unpin), preamble: &[u8], heard: &mut Vec<u8>) -> Found {
    let mut buffer = [0; 4096];
    loop {
        match stdout.read(&mut buffer).await {
            Ok(0) | Err(_) => return Found::End,
            Ok(read) => heard.extend_from_slice(&buffer[..read]),
        }
        if let Some(at) = heard.windows(preamble.len()).position(|window| window == preamble) {
            return Found::Preamble { after: at + preamble.len() };
        }
        if heard.len() > NOISE {
            return Found::Noise;
        }
    }
}

/// Why a script ended without having done what it is for.
fn explain(report: Option<Report>, output: &Output) -> AgentError {
    let detail = tail(&output.stderr);
    match report {
        Some(Report::Missing { system }) => AgentError::NotCarried { system },
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
