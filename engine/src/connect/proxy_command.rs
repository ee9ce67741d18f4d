//! The way to a host through a command of the user's (`ProxyCommand`): its standard streams are the connection.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::process::{Child, ChildStderr, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{ConnectError, Target};

/// How much of what the command says on standard error is kept, for the message if it fails.
const SAID_LIMIT: usize = 4096;
/// How long to wait for the last words of a command that has closed the connection: it may not end for all that.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A command that runs as long as this lives.
pub(super) struct ProxyCommand {
    text: String,
    said: JoinHandle<Vec<u8>>,
    /// Ends with this.
    _child: Child,
}

impl ProxyCommand {
    /// Starts it through the shell, as ssh does: it is the user's own text, from the user's own ssh_config.
    pub(super) fn start(
        text: &str,
        target: &Target,
    ) -> Result<(Self, impl AsyncRead + AsyncWrite + Unpin + Send + use<>), ConnectError> {
        let failed = |reason: String| failed(text, target, &reason);
        let mut child = Command::new("/bin/sh")
            .args(["-c", &format!("exec {text}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(error.to_string()))?;
        let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(failed("it has no standard streams".into()));
        };
        let stream = tokio::io::join(stdout, stdin);
        Ok((Self { text: text.to_owned(), said: tokio::spawn(beginning(stderr)), _child: child }, stream))
    }

    /// What to say when the connection through it did not come about.
    pub(super) async fn explain(self, target: &Target, error: ConnectError) -> ConnectError {
        let ConnectError::Closed { .. } = error else { return error };
        let said = timeout(LAST_WORDS, self.said).await.ok().and_then(Result::ok).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let reason = said.trim().lines().last().unwrap_or("it ended before the key exchange was done");
        failed(&self.text, target, reason)
    }
}

/// The beginning of what a command says; the rest is read, so that it does not block, and dropped.
async fn beginning(mut stderr: ChildStderr) -> Vec<u8> {
    let (mut kept, mut piece) = (Vec::new(), [0; 1024]);
    while let Ok(length @ 1..) = stderr.read(&mut piece).await {
        let room = (SAID_LIMIT - kept.len()).min(length);
        kept.extend_from_slice(&piece[..room]);
    }
    kept
}

fn failed(text: &str, target: &Target, reason: &str) -> ConnectError {
    ConnectError::ProxyCommand { at: target.at(), command: text.to_owned(), reason: reason.to_owned() }
}
