//! A host's agent as the controller sees it: batches in, outcomes out.

mod lanes;

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use trueup_modules::agent::MAX_PUSHED;
use trueup_modules::edit::Progress;
use trueup_modules::system::Stream;
use trueup_modules::wire::{self, BLOB_CHUNK, Batch, Frame, Mode, Outcome, PREAMBLE, Reply, Request, Task, WireError};

use crate::connect::{self, Agents, ConnectError, Connection, Session};
use lanes::Lanes;

/// The largest file that is sent with the task that puts it in place, in bytes: it is gone before a round trip is over.
const PUSHED: u64 = 64 << 10;

/// Files of the controller by the SHA-256 of their content, for when an agent asks for one.
#[derive(Clone, Default)]
pub struct Blobs(Arc<Mutex<Announced>>);

#[derive(Default)]
struct Announced {
    paths: HashMap<String, (PathBuf, u64)>,
    /// What files were when they were read: size, time of change, hash. Each is read once, not once a host.
    read: HashMap<PathBuf, (u64, SystemTime, String)>,
}

impl Blobs {
    /// Announces a file. Yields the SHA-256 of its content, and its size in bytes.
    pub fn announce(&self, path: &Path) -> io::Result<(String, u64)> {
        let meta = std::fs::metadata(path)?;
        let (size, time) = (meta.len(), meta.modified()?);
        let mut announced = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, _, sha256)) = announced.read.get(path).filter(|(len, at, _)| (*len, *at) == (size, time)) {
            return Ok((sha256.clone(), size));
        }
        let mut hash = Sha256::new();
        io::copy(&mut std::fs::File::open(path)?, &mut hash)?;
        let sha256: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        announced.read.insert(path.into(), (size, time, sha256.clone()));
        announced.paths.insert(sha256.clone(), (path.into(), size));
        Ok((sha256, size))
    }

    fn open(&self, sha256: &str) -> Result<std::fs::File, String> {
        let (path, _) = self.get(sha256).ok_or("it was not announced")?;
        std::fs::File::open(&path).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Where some content is, and how long it is.
    fn get(&self, sha256: &str) -> Option<(PathBuf, u64)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).paths.get(sha256).cloned()
    }
}

/// Reads contents one after the other into frames, and hands those on in runs of at least so many bytes.
fn read_all(blobs: &Blobs, wanted: Vec<String>, run: usize, frames: &mpsc::Sender<Vec<u8>>) -> io::Result<()> {
    let mut together = Vec::new();
    let mut piece = vec![0; BLOB_CHUNK];
    for sha256 in wanted {
        let mut file = match blobs.open(&sha256) {
            Ok(file) => file,
            Err(reason) => {
                together.extend(wire::encode(&Request::NoBlob { sha256, reason }));
                continue;
            }
        };
        loop {
            let length = io::Read::read(&mut file, &mut piece)?;
            let frame = wire::encode_blob(&sha256, &piece[..length]);
            if together.is_empty() {
                together = frame
            } else {
                together.extend(frame)
            }
            // Without a receiver the host is lost, which others say.
            if together.len() >= run && frames.blocking_send(std::mem::take(&mut together)).is_err() {
                return Ok(());
            }
            if length == 0 {
                break;
            }
        }
    }
    if !together.is_empty() {
        let _ = frames.blocking_send(together);
    }
    Ok(())
}

/// Contents that are read while what is before them is sent.
struct Reading {
    frames: mpsc::Receiver<Vec<u8>>,
    done: JoinHandle<io::Result<()>>,
}

impl Reading {
    /// See [`read_all`].
    fn begin(blobs: &Blobs, wanted: Vec<String>, run: usize) -> Self {
        let (sender, frames) = mpsc::channel(1);
        let blobs = blobs.clone();
        Self { frames, done: tokio::task::spawn_blocking(move || read_all(&blobs, wanted, run, &sender)) }
    }

    async fn end(self) -> Result<(), RemoteError> {
        let read = self.done.await.unwrap_or_else(|panic| Err(io::Error::other(panic)));
        Ok(read.map_err(WireError::Io)?)
    }
}

/// Why a host was lost.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// It could not be reached, or its agent not started.
    #[error("failed to {0}")]
    Connect(#[from] ConnectError),
    /// The connection has ended in the middle of something.
    #[error("failed to {0}")]
    Lost(ConnectError),
    /// The agent has ended in the middle of something.
    #[error("the agent has ended ({0})")]
    Ended(String),
    /// It says what it must not.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// It is of another version.
    #[error("the agent is of version {0}, this program of version {own}", own = env!("CARGO_PKG_VERSION"))]
    Version(String),
}

impl RemoteError {
    /// What the user can do.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Connect(error) => error.hints(),
            Self::Ended(_) | Self::Lost(_) => vec!["run again: what was done stays done".into()],
            Self::Wire(_) | Self::Version(_) => Vec::new(),
        }
    }
}

/// What a running task tells.
pub enum Told {
    /// Its command printed a line.
    Line(Stream, String),
    /// It said how far it is.
    Progress(Progress),
}

/// How the agent was started.
#[derive(Clone)]
struct Start {
    agents: Arc<Agents>,
    remote_tmp: Option<String>,
}

/// A running agent. Its connection ends with it.
pub struct Remote {
    session: Session,
    connection: Arc<Connection>,
    start: Start,
    lanes: Lanes,
    batches: u64,
    blobs: Blobs,
    /// Where it is and what was agreed on.
    pub via: String,
    /// Hosts that say the same look at the same files.
    pub machine: String,
}

/// What an agent is asked: tasks, of which the first are due step by step, as [`Batch::due`] says.
pub struct Question {
    /// What becomes of what the tasks would change.
    pub mode: Mode,
    /// How many tasks are due, step by step.
    pub due: Vec<usize>,
    /// The tasks.
    pub tasks: Vec<Task>,
}

impl Question {
    /// As frames, after the small files that the tasks will ask for, which spares them the round trip.
    async fn frames(self, id: u64, blobs: &Blobs) -> Vec<u8> {
        let (mut frames, mut room, mut pushed) = (Vec::new(), MAX_PUSHED, HashSet::new());
        for task in self.tasks.iter().take(self.due.iter().sum()).filter(|_| self.mode == Mode::Apply) {
            // Several may want the same.
            if pushed.insert(task.params["sha256"].as_str()) {
                push(task, blobs, &mut room, &mut frames).await;
            }
        }
        let Self { mode, due, tasks } = self;
        frames.extend(wire::encode(&Request::Batch(Batch { id, mode, due, tasks })));
        frames
    }
}

/// Adds a small file that a task will ask for.
async fn push(task: &Task, blobs: &Blobs, room: &mut u64, frames: &mut Vec<u8>) {
    let (Some(sha256), Some(size)) = (task.params["sha256"].as_str(), task.params["size"].as_u64()) else { return };
    let Some((path, _)) = blobs.get(sha256).filter(|_| size <= PUSHED && size <= *room) else { return };
    // Where it can't be read, or has changed meanwhile, the agent asks for it and is told.
    match tokio::fs::read(&path).await {
        Ok(content) if content.len() as u64 == size && size > 0 => {
            *room -= size;
            frames.extend(wire::encode_blob(sha256, &content));
        }
        _ => {}
    }
}

impl Remote {
    /// Starts the agent, and asks it the first question without waiting for it to greet.
    pub async fn start(
        connection: Connection,
        agents: Arc<Agents>,
        remote_tmp: Option<&str>,
        blobs: Blobs,
        first: Question,
    ) -> Result<Self, RemoteError> {
        let via = format!("{} ({})", connection.at(), connection.negotiated());
        let asked = first.frames(1, &blobs).await;
        let session = connect::start_agent(&connection, &agents, PREAMBLE, remote_tmp, &asked).await?;
        let start = Start { agents, remote_tmp: remote_tmp.map(str::to_owned) };
        let (connection, machine) = (Arc::new(connection), String::new());
        let mut remote = Self { session, connection, start, lanes: Lanes::None, batches: 1, blobs, via, machine };
        match remote.receive().await? {
            Frame::Message(Reply::Hello { version, machine }) if version == env!("CARGO_PKG_VERSION") => {
                remote.machine = machine;
                Ok(remote)
            }
            Frame::Message(Reply::Hello { version, .. }) => Err(RemoteError::Version(version)),
            _ => Err(WireError::Malformed("no greeting".into()).into()),
        }
    }

    /// Asks the next question.
    pub async fn ask(&mut self, question: Question) -> Result<(), RemoteError> {
        self.batches += 1;
        let frames = question.frames(self.batches, &self.blobs).await;
        self.send(&frames).await
    }

    /// Waits for the last of the answers to what was asked. Adds the outcomes to `outcomes` as they come, by the tasks'
    /// numbers, in order.
    pub async fn answers(
        &mut self,
        outcomes: &mut Vec<(u64, Outcome)>,
        told: &mut (dyn FnMut(Told) + Send),
    ) -> Result<(), RemoteError> {
        let id = self.batches;
        loop {
            match self.receive().await? {
                Frame::Message(Reply::Task { batch, id: task, outcome }) if batch == id => {
                    outcomes.push((task, *outcome))
                }
                Frame::Message(Reply::Done { batch }) if batch == id => return Ok(()),
                Frame::Message(Reply::Line { stream, text, .. }) => told(Told::Line(stream, text)),
                Frame::Message(Reply::Progress { progress, .. }) => told(Told::Progress(progress)),
                Frame::Message(Reply::Fetch { sha256, lanes }) => self.give_all(sha256, &lanes).await?,
                _ => return Err(WireError::Malformed("an answer to what was not asked".into()).into()),
            }
        }
    }

    /// Sends contents, one after the other.
    async fn give_all(&mut self, wanted: Vec<String>, door: &str) -> Result<(), RemoteError> {
        let mut near = Vec::new();
        for sha256 in wanted {
            let size = self.blobs.get(&sha256).map_or(0, |(_, size)| size);
            let width = if door.is_empty() { 1 } else { lanes::width(self.connection.trip(), size) };
            if width < 2 {
                near.push(sha256);
                continue;
            }
            self.give(std::mem::take(&mut near)).await?;
            self.lanes.want(&self.connection, &self.start, width, door);
            self.spread(sha256).await?;
        }
        self.give(near).await
    }

    /// Sends contents on the agent's own channel; small files go together, so that each costs no write of its own.
    async fn give(&mut self, wanted: Vec<String>) -> Result<(), RemoteError> {
        if wanted.is_empty() {
            return Ok(());
        }
        let mut reading = Reading::begin(&self.blobs, wanted, BLOB_CHUNK);
        while let Some(frames) = reading.frames.recv().await {
            self.send(&frames).await?;
        }
        reading.end().await
    }

    /// Sends some content: on the agent's own channel until the lanes are open, then piece by piece on one after the other.
    async fn spread(&mut self, sha256: String) -> Result<(), RemoteError> {
        let mut reading = Reading::begin(&self.blobs, vec![sha256], 0);
        // How many pieces have gone by lanes, once they do.
        let mut turn = None;
        while let Some(frame) = reading.frames.recv().await {
            if turn.is_none()
                && let Some(lanes) = self.lanes.open()
            {
                let numbers = lanes.iter().map(|(number, _)| *number).collect();
                self.send(&wire::encode(&Request::Spread { lanes: numbers })).await?;
                turn = Some(0);
            }
            let stdin = match (&mut turn, self.lanes.open()) {
                (Some(turn), Some(lanes)) => {
                    *turn += 1;
                    &mut lanes[*turn % lanes.len()].1.stdin
                }
                _ => &mut self.session.stdin,
            };
            let sent = async {
                stdin.write_all(&frame).await?;
                stdin.flush().await
            };
            if let Err(error) = sent.await {
                return Err(self.ended(error.to_string()).await);
            }
        }
        reading.end().await
    }

    async fn send(&mut self, frame: &[u8]) -> Result<(), RemoteError> {
        let sent = async {
            self.session.stdin.write_all(frame).await?;
            self.session.stdin.flush().await
        };
        match sent.await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.ended(error.to_string()).await),
        }
    }

    async fn receive(&mut self) -> Result<Frame<Reply>, RemoteError> {
        let mut head = [0; 4];
        if let Err(error) = self.session.stdout.read_exact(&mut head).await {
            return Err(self.ended(error.to_string()).await);
        }
        let mut body = vec![0; wire::frame_length(head)?];
        if let Err(error) = self.session.stdout.read_exact(&mut body).await {
            return Err(self.ended(error.to_string()).await);
        }
        Ok(wire::decode(&body)?)
    }

    /// Why the stream ended: the agent's last words, if it had any.
    async fn ended(&mut self, error: String) -> RemoteError {
        let mut said = vec![0; 2048];
        let wait = std::time::Duration::from_millis(200);
        let n = match tokio::time::timeout(wait, self.session.stderr.read(&mut said)).await {
            Ok(Ok(n)) => n,
            _ => 0,
        };
        let said = String::from_utf8_lossy(&said[..n]).trim().to_owned();
        match self.session.ending.known() {
            Some(Err(lost)) if said.is_empty() => RemoteError::Lost(lost),
            _ => RemoteError::Ended(if said.is_empty() { error } else { said }),
        }
    }
}
