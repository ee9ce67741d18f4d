//! This machine: a command is a child process.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::pin::Pin;
use std::process::{ExitStatus, Stdio};
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::oneshot;

use super::ConnectError;
use super::session::{Ending, Exit, Overflow, PIPE, Session, overflow};

/// Runs a command line through `sh`.
pub(super) fn exec(command: &str, dir: &Path) -> Result<Session, ConnectError> {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command);
    spawn(shell, dir)
}

/// Starts a process in a directory; the empty path is where this one is. It is not killed when its session is dropped: it
/// sees its stdin end, as a remote one does.
pub(super) fn spawn(mut command: Command, dir: &Path) -> Result<Session, ConnectError> {
    if !dir.as_os_str().is_empty() {
        command.current_dir(dir);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| {
        let program = command.as_std().get_program().to_string_lossy();
        ConnectError::Exec { at: "this machine".to_owned(), reason: format!("{program}: {error}") }
    })?;
    let stdin = child.stdin.take().expect("stdin is piped");
    let stdout = child.stdout.take().expect("stdout is piped");
    let complaints = child.stderr.take().expect("stderr is piped");
    let (stderr, keep) = tokio::io::duplex(PIPE);
    tokio::spawn(overflow(complaints, Overflow(keep)));
    let stdin = Stdin(Some(stdin));
    Ok(Session { stdin: Box::new(stdin), stdout: Box::new(stdout), stderr: Box::new(stderr), ending: ending(child) })
}

/// A child's stdin that ends when it is shut down. tokio's ends only when it is dropped.
struct Stdin(Option<ChildStdin>);

impl AsyncWrite for Stdin {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Some(stdin) => Pin::new(stdin).poll_write(cx, data),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.as_mut().map_or(Poll::Ready(Ok(())), |stdin| Pin::new(stdin).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0 = None;
        Poll::Ready(Ok(()))
    }
}

fn ending(mut child: Child) -> Ending {
    let (tell, told) = oneshot::channel();
    tokio::spawn(async move {
        let exit = child
            .wait()
            .await
            .map(exit)
            .map_err(|error| ConnectError::Exec { at: "this machine".to_owned(), reason: error.to_string() });
        // Nobody may be waiting for the end; the child has been reaped all the same.
        let _ = tell.send(exit);
    });
    Ending::new(told, "this machine")
}

fn exit(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Status(code.unsigned_abs()),
        (None, Some(9)) => Exit::Signal("KILL".to_owned()),
        (None, Some(11)) => Exit::Signal("SEGV".to_owned()),
        (None, Some(15)) => Exit::Signal("TERM".to_owned()),
        (None, signal) => Exit::Signal(signal.unwrap_or_default().to_string()),
    }
}
