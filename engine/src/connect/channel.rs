//! A command on an SSH channel: one message queue there, three streams and an exit here.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use russh::client::{Handle, Handler, Msg};
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::oneshot;

use super::ConnectError;
use super::flow::{Flow, Flows};
use super::session::{Ending, Exit, Overflow, PIPE, Session};

/// The size of the packets that stdin is cut into: the most that OpenSSH takes.
const PACKET: usize = 32 * 1024;

/// While there is no more to send than that, a channel has no room for more: most never need it, and there may be thousands.
const SMALL: usize = 1024;

/// The stream number of stderr (RFC 4254, 5.2).
const STDERR: u32 = 1;

/// Starts a command, `trip` away as far as is known. That the server refuses to is only known from its session.
pub(super) async fn exec<H: Handler>(
    handle: &Handle<H>,
    flows: &Flows,
    trip: Duration,
    command: &str,
    at: &str,
) -> Result<Session, ConnectError> {
    let refused = |error: russh::Error| match error {
        russh::Error::ChannelOpenFailure(reason) => {
            ConnectError::Exec { at: at.to_owned(), reason: format!("no channel: {}", reason.description()) }
        }
        _ => ConnectError::Lost { at: at.to_owned() },
    };
    let begun = Instant::now();
    let (reads, writes) = handle.channel_open_session().await.map_err(refused)?.split();
    let flow = flows.of(writes.id().into());
    let trip = begun.elapsed().min(trip);
    writes.exec(true, command).await.map_err(refused)?;

    let (fed, stdin) = tokio::io::duplex(PIPE);
    let (stdout, out) = tokio::io::duplex(PIPE);
    let (stderr, err) = tokio::io::duplex(PIPE);
    let (tell, told) = oneshot::channel();
    let ending = Ending::new(told, at);
    let carrier = Carrier { reads, out, err: Overflow(err), tell, at: at.to_owned() };
    let (flows, channel) = (flows.clone(), writes.id().into());
    tokio::spawn(async move {
        carry(carrier, Feeder { writes, flow, trip, told: true }, fed).await;
        flows.ended(channel);
    });
    Ok(Session { stdin: Box::new(stdin), stdout: Box::new(stdout), stderr: Box::new(stderr), ending })
}

/// Carries bytes both ways until the server closes the channel or nobody listens any more.
async fn carry(mut carrier: Carrier, mut feeder: Feeder, fed: DuplexStream) {
    // The feeder never returns, so that it is the command's end that ends this.
    let exit = tokio::select! {
        exit = carrier.hear() => exit,
        never = feeder.feed(fed) => match never {},
    };
    // The server has closed it already, or the connection is gone; then there is nothing to close.
    let _ = feeder.writes.close().await;
    let exit = exit.unwrap_or(Err(ConnectError::Lost { at: carrier.at }));
    // Whoever did not wait for the end does not want to know.
    let _ = carrier.tell.send(exit);
}

/// The sending end of a channel.
struct Feeder {
    writes: ChannelWriteHalf<Msg>,
    flow: Arc<Flow>,
    trip: Duration,
    /// Whether the server tells of what was read, as far as is known.
    told: bool,
}

impl Feeder {
    /// Sends stdin, and its end.
    async fn feed(&mut self, mut fed: DuplexStream) -> Infallible {
        let mut buffer = vec![0; SMALL];
        loop {
            match fed.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(read) if read == buffer.len() => {
                    let whole = std::mem::replace(&mut buffer, vec![0; PACKET]);
                    if self.send(whole).await.is_err() {
                        break;
                    }
                }
                Ok(read) => {
                    if self.send(buffer[..read].to_vec()).await.is_err() {
                        break;
                    }
                    if buffer.len() > SMALL {
                        buffer = vec![0; SMALL];
                    }
                }
            }
        }
        let _ = self.writes.eof().await;
        std::future::pending().await
    }

    async fn send(&mut self, bytes: Vec<u8>) -> Result<(), russh::Error> {
        if self.told
            && let Some(limit) = self.flow.limit(self.trip)
        {
            self.told = self.flow.room(limit).await;
        }
        self.flow.send(bytes.len());
        self.writes.data_bytes(bytes).await
    }
}

/// The receiving end of a channel, and where its messages go.
struct Carrier {
    reads: ChannelReadHalf,
    out: DuplexStream,
    err: Overflow,
    tell: oneshot::Sender<Result<Exit, ConnectError>>,
    at: String,
}

impl Carrier {
    /// Hands out what the server sends, until it closes the channel. `None` if it never said how the command ended.
    async fn hear(&mut self) -> Option<Result<Exit, ConnectError>> {
        let mut exit = None;
        while let Some(message) = self.reads.wait().await {
            match message {
                ChannelMsg::Data { data } => {
                    let unread = self.out.write_all(&data).await.is_err();
                    if unread && self.tell.is_closed() {
                        break;
                    }
                }
                ChannelMsg::ExtendedData { data, ext: STDERR } => self.err.offer(&data),
                ChannelMsg::Eof => {
                    // The end of stdout and stderr; the readers may go on to wait for the exit.
                    let _ = self.out.shutdown().await;
                    self.err.end().await;
                }
                ChannelMsg::ExitStatus { exit_status } => exit = Some(Ok(Exit::Status(exit_status))),
                ChannelMsg::ExitSignal { signal_name, .. } => exit = Some(Ok(Exit::Signal(name(signal_name)))),
                ChannelMsg::Failure => {
                    let reason = "the server does not allow commands".to_owned();
                    exit = Some(Err(ConnectError::Exec { at: self.at.clone(), reason }));
                    break;
                }
                _ => {}
            }
        }
        exit
    }
}

fn name(signal: Sig) -> String {
    match signal {
        Sig::Custom(name) => name,
        signal => format!("{signal:?}"),
    }
}
