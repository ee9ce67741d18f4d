//! A running command as streams, whatever carries them.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::sync::oneshot;

use super::ConnectError;

/// How much of each stream waits for its reader, in bytes.
pub(super) const PIPE: usize = 256 * 1024;

/// A running command. Its stdin ends when it is shut down or dropped.
pub struct Session {
    /// What the command reads.
    pub stdin: Box<dyn AsyncWrite + Send + Unpin>,
    /// What it writes; unread, it makes the command wait.
    pub stdout: Box<dyn AsyncRead + Send + Unpin>,
    /// What it complains about; unread beyond [`PIPE`] bytes, the rest is dropped, since a complaint must not hold up
    /// the answers.
    pub stderr: Box<dyn AsyncRead + Send + Unpin>,
    /// How it ends.
    pub ending: Ending,
}

/// How a command will have ended.
pub struct Ending {
    told: oneshot::Receiver<Result<Exit, ConnectError>>,
    at: String,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this status.
    Status(u32),
    /// By a signal: its name without `SIG`.
    Signal(String),
}

/// `exit status 1`, `signal KILL`.
impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "exit status {status}"),
            Self::Signal(name) => write!(f, "signal {name}"),
        }
    }
}

/// What a command that ran to its end has said.
#[derive(Debug)]
pub struct Output {
    /// Its stdout.
    pub stdout: Vec<u8>,
    /// Its stderr.
    pub stderr: Vec<u8>,
    /// How it ended.
    pub exit: Exit,
}

impl Ending {
    pub(super) fn new(told: oneshot::Receiver<Result<Exit, ConnectError>>, at: &str) -> Self {
        Self { told, at: at.to_owned() }
    }

    /// The end, if it is known already.
    pub fn known(&mut self) -> Option<Result<Exit, ConnectError>> {
        self.told.try_recv().ok()
    }

    /// Waits for the end. The streams must be read meanwhile, or the command may never get there.
    pub async fn wait(self) -> Result<Exit, ConnectError> {
        match self.told.await {
            Ok(exit) => exit,
            Err(_) => Err(ConnectError::Lost { at: self.at }),
        }
    }
}

impl Session {
    /// Feeds `input` to the command and waits for its end. Of each stream, `limit` bytes are kept.
    pub async fn output(self, input: &[u8], limit: u64) -> Result<Output, ConnectError> {
        let Self { mut stdin, stdout, stderr, ending } = self;
        let feed = async {
            // A command that ends without having read everything is no error here: its exit says what happened.
            let _ = stdin.write_all(input).await;
            let _ = stdin.shutdown().await;
        };
        let (stdout, stderr, ()) = tokio::join!(head(stdout, limit), head(stderr, limit), feed);
        Ok(Output { stdout, stderr, exit: ending.wait().await? })
    }
}

/// The first `limit` bytes of a stream, which is read to its end. A broken stream ends where it broke.
async fn head(stream: impl AsyncRead + Unpin, limit: u64) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut first = stream.take(limit);
    let _ = first.read_to_end(&mut kept).await;
    let _ = tokio::io::copy(&mut first.into_inner(), &mut tokio::io::sink()).await;
    kept
}

/// The writing end of a stream that nobody may be reading: what does not fit is dropped.
pub(super) struct Overflow(pub(super) DuplexStream);

impl Overflow {
    /// Takes what fits of `data`, without waiting.
    pub(super) fn offer(&mut self, mut data: &[u8]) {
        let mut context = Context::from_waker(Waker::noop());
        while !data.is_empty() {
            match Pin::new(&mut self.0).poll_write(&mut context, data) {
                Poll::Ready(Ok(taken)) if taken > 0 => data = &data[taken..],
                _ => return,
            }
        }
    }

    /// Lets the reader see the end.
    pub(super) async fn end(&mut self) {
        // Fails only if there is no reader.
        let _ = self.0.shutdown().await;
    }
}

/// Copies a stream into an [`Overflow`] until it ends.
pub(super) async fn overflow(mut from: impl AsyncRead + Unpin, mut to: Overflow) -> io::Result<()> {
    let mut buffer = vec![0; 8 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        to.offer(&buffer[..read]);
    }
}
