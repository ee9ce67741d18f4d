//! What controller and agent say to each other, and how it is framed.
//!
//! A frame is a length (4 bytes, big-endian, of what follows), a kind (1 byte) and a body: JSON for messages, a SHA-256 in
//! hexadecimal and raw bytes for file content. A long message is a length (4 bytes, big-endian, of its JSON) and an LZ4 block:
//! a new connection carries 14 kB in its first round trip, and each task of a batch is like the one before. Every length is
//! checked against [`MAX_FRAME`] before anything is allocated.
//! Before its first frame the agent prints [`PREAMBLE`]; what a shell's startup files print before that is skipped.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::edit::{Diff, Progress};
use crate::error::Error;
use crate::host::{Look, Why};
use crate::plan::Data;
use crate::system::{Pieces, Stream};

/// Precedes the agent's first frame.
pub const PREAMBLE: &[u8] = b"\0TRUEUP1\0";

/// The longest frame: 32 MiB.
pub const MAX_FRAME: usize = 32 << 20;

/// The most content that one blob frame carries: 256 KiB.
pub const BLOB_CHUNK: usize = 256 << 10;

/// How many frames wait for whoever uses them, so that content never piles up in memory.
pub const BLOBS_AHEAD: usize = 8;

const MESSAGE: u8 = b'M';
const BLOB: u8 = b'B';
const PACKED: u8 = b'Z';

/// Messages from so many bytes on are packed.
const LONG: usize = 4 << 10;

/// From the controller.
#[derive(Serialize, Deserialize)]
pub enum Request {
    /// Plan these tasks in order, until one would change something.
    Batch(Batch),
    /// End what is running.
    Cancel,
    /// The controller cannot give the content asked for.
    NoBlob {
        /// Its hash.
        sha256: String,
        /// Why.
        reason: String,
    },
    /// The pieces of the content that comes next do not come here, but on these lanes in turn. See [`Reply::Fetch`].
    Spread {
        /// The lanes' numbers.
        lanes: Vec<usize>,
    },
}

/// Tasks for one host.
#[derive(Serialize, Deserialize)]
pub struct Batch {
    /// Comes back in every reply.
    pub id: u64,
    /// What to do with plans.
    pub mode: Mode,
    /// With [`Mode::Apply`]: how many tasks, from the first on, are due, step by step. After one that failed, the others of
    /// its step are applied, too, since they are items of one loop, and nothing beyond.
    pub due: Vec<usize>,
    /// In order.
    pub tasks: Vec<Task>,
}

/// What becomes of a plan that is not empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// Apply it if it is due; else stop before it. If one that is due has failed, nothing beyond is planned.
    Apply,
    /// Stop before it.
    Ask,
    /// Remember it in the overlay and go on.
    Preview,
}

/// One task with rendered parameters. Has no `Debug`: parameters may hold secrets.
#[derive(Clone, Serialize, Deserialize)]
pub struct Task {
    /// The controller's number for it.
    pub id: u64,
    /// Its name, for "known after".
    pub name: String,
    /// The module, by its own name.
    pub module: String,
    /// Parameters; a secret is `{"$secret": "text"}`.
    pub params: Value,
    /// As whom.
    #[serde(default, rename = "become", skip_serializing_if = "Option::is_none")]
    pub become_: Option<Become>,
    /// Added to the environment of commands; values as in `params`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, Value>,
    /// It is never applied, whatever the batch's mode (`check_mode: true`): what it would do is all that is wanted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub check: bool,
    /// What must not be shown, though it is plain text among the parameters: a module that takes no secret as such was
    /// given one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// Seconds after which its program is ended, and it has failed (`timeout`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
    /// It is started, and goes on by itself (`async`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Job>,
}

/// How a task goes on by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// After so many seconds it is ended, and has failed.
    pub limit: u64,
    /// It is started though there is nothing to do: somebody will ask for it by its name.
    pub always: bool,
}

/// Another user, and how to become that user.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Become {
    /// Login name.
    pub user: String,
    /// sudo's password, exposed: this struct goes nowhere but over the wire.
    pub password: Option<String>,
    /// By what.
    pub method: Method,
    /// The program, where it is not the one that the method is called by (`become_exe`).
    pub exe: Option<String>,
    /// Options for it, with blanks between (`become_flags`).
    pub flags: Option<String>,
}

/// What makes another user of somebody (`become_method`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    /// sudo(8), with a password or without.
    Sudo,
    /// su(1), for root, whom it asks nothing, and for who has a password that it takes from its standard input.
    Su,
    /// doas(1), where it asks for no password.
    Doas,
}

impl Method {
    /// By its name in playbooks.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "sudo" | "ansible.builtin.sudo" | "ansible.legacy.sudo" => Some(Self::Sudo),
            "su" | "ansible.builtin.su" | "ansible.legacy.su" => Some(Self::Su),
            "doas" | "community.general.doas" => Some(Self::Doas),
            _ => None,
        }
    }

    /// What it is called by.
    #[must_use]
    pub fn program(self) -> &'static str {
        match self {
            Self::Sudo => "sudo",
            Self::Su => "su",
            Self::Doas => "doas",
        }
    }
}

/// From the agent.
#[derive(Debug, Serialize, Deserialize)]
pub enum Reply {
    /// The first message.
    Hello {
        /// Must equal the controller's.
        version: String,
        /// Two agents that say the same look at the same files.
        machine: String,
    },
    /// A task came to an end.
    Task {
        /// Its batch.
        batch: u64,
        /// Its number.
        id: u64,
        /// How.
        outcome: Box<Outcome>,
    },
    /// No more is to come of a batch.
    Done {
        /// Which.
        batch: u64,
    },
    /// A running command printed a line.
    Line {
        /// The task.
        id: u64,
        /// Where.
        stream: Stream,
        /// Without its end.
        text: String,
    },
    /// A running command said how far it is.
    Progress {
        /// The task.
        id: u64,
        /// How far.
        progress: Progress,
    },
    /// Contents are needed, one after the other. Each is answered by blob frames or by [`Request::NoBlob`].
    Fetch {
        /// Their hashes.
        sha256: Vec<String>,
        /// By what name lanes find the agent: processes of its program that were started as `lane NAME NUMBER`, and hand on
        /// what they are given. Empty if there can be none.
        lanes: String,
    },
}

/// How a task ended on a host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// Nothing to do.
    Ok(Answer),
    /// There is something to do, and it was not done: it is not due, or this is a preview.
    Would(Answer),
    /// It was done.
    Changed(Answer),
    /// In a preview: it can't be known. The answer's diffs are what the task intends.
    Unknown(Why, Answer),
    /// It failed, perhaps after changing something (the answer's diffs).
    Failed(Error, Answer),
}

impl Outcome {
    /// A failure; what the error tells is among what is registered.
    pub fn failed(error: Error, mut answer: Answer) -> Self {
        let (error, data) = error.apart();
        answer.data.extend(data);
        Self::Failed(error, answer)
    }

    /// The outcome, of which only how it ended stays behind.
    #[must_use]
    pub fn take(&mut self) -> Self {
        let bare = match self {
            Self::Ok(_) => Self::Ok(Answer::default()),
            Self::Would(_) => Self::Would(Answer::default()),
            Self::Changed(_) => Self::Changed(Answer::default()),
            Self::Unknown(why, _) => Self::Unknown(why.clone(), Answer::default()),
            Self::Failed(error, _) => Self::Failed(error.clone(), Answer::default()),
        };
        std::mem::replace(self, bare)
    }
}

/// What a task has to say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Answer {
    /// What it registers.
    #[serde(skip_serializing_if = "Data::is_empty")]
    pub data: Data,
    /// What changed, or would.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub diffs: Vec<Diff>,
    /// What the user should know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// In a preview: it may turn out differently.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conditional: Option<Why>,
    /// After a failure: what the module found out about the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explanation: Option<String>,
}

/// A frame that was received.
#[derive(Debug)]
pub enum Frame<T> {
    /// A message.
    Message(T),
    /// A piece of a file's content; an empty one ends it.
    Blob {
        /// Of which content.
        sha256: String,
        /// The piece.
        bytes: Vec<u8>,
    },
}

/// What is wrong with bytes that should be frames.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The peer announces more than it may.
    #[error("a frame of {0} bytes exceeds the maximum of {MAX_FRAME}")]
    TooLong(usize),
    /// The bytes are no frame.
    #[error("malformed frame: {0}")]
    Malformed(String),
    /// The stream failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A message as a frame.
pub fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    let body = serde_json::to_vec(message).expect("messages have only text keys");
    if body.len() < LONG {
        return frame(MESSAGE, &[&body]);
    }
    let length = u32::try_from(body.len()).expect("no message is longer than 4 GiB");
    frame(PACKED, &[&length.to_be_bytes(), &lz4_flex::block::compress(&body)])
}

/// A piece of content as a frame.
pub fn encode_blob(sha256: &str, bytes: &[u8]) -> Vec<u8> {
    frame(BLOB, &[sha256.as_bytes(), bytes])
}

fn frame(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length = 1 + parts.iter().map(|part| part.len()).sum::<usize>();
    let length = u32::try_from(length).expect("no message is longer than 4 GiB");
    let mut frame = Vec::with_capacity(4 + length as usize);
    frame.extend(length.to_be_bytes());
    frame.push(kind);
    parts.iter().for_each(|part| frame.extend_from_slice(part));
    frame
}

/// The length that a frame's first four bytes announce, if it may be that long.
pub fn frame_length(head: [u8; 4]) -> Result<usize, WireError> {
    match u32::from_be_bytes(head) as usize {
        0 => Err(WireError::Malformed("empty".into())),
        length if length > MAX_FRAME => Err(WireError::TooLong(length)),
        length => Ok(length),
    }
}

/// A frame from what follows the length.
pub fn decode<T: for<'de> Deserialize<'de>>(body: &[u8]) -> Result<Frame<T>, WireError> {
    const SHA256: usize = 64;
    match body.split_first() {
        Some((&MESSAGE, json)) => message(json),
        Some((&PACKED, rest)) => message(&unpack(rest)?),
        Some((&BLOB, rest)) if rest.len() >= SHA256 => {
            let (sha256, bytes) = rest.split_at(SHA256);
            Ok(Frame::Blob { sha256: String::from_utf8_lossy(sha256).into_owned(), bytes: bytes.to_vec() })
        }
        _ => Err(WireError::Malformed("unknown kind".into())),
    }
}

fn message<T: for<'de> Deserialize<'de>>(json: &[u8]) -> Result<Frame<T>, WireError> {
    serde_json::from_slice(json).map(Frame::Message).map_err(|error| WireError::Malformed(error.to_string()))
}

fn unpack(packed: &[u8]) -> Result<Vec<u8>, WireError> {
    let malformed = || WireError::Malformed("not packed".into());
    let (head, block) = packed.split_first_chunk().ok_or_else(malformed)?;
    lz4_flex::block::decompress(block, frame_length(*head)?).map_err(|_| malformed())
}

/// Reads one frame; `None` at the end of the stream between frames.
pub fn receive<T: for<'de> Deserialize<'de>>(from: &mut impl Read) -> Result<Option<Frame<T>>, WireError> {
    let mut head = [0; 4];
    match from.read_exact(&mut head) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let mut body = vec![0; frame_length(head)?];
    from.read_exact(&mut body)?;
    decode(&body).map(Some)
}

/// Hands the pieces of some content to `take`, and takes what it leaves off the wire.
pub(crate) fn pieces<T>(
    mut receive: impl FnMut() -> Look<Frame<T>>,
    wanted: &str,
    instead: impl Fn(T) -> Error,
    take: impl FnOnce(&mut Pieces<'_>) -> Look<()>,
) -> Look<()> {
    let failed = |reason: &str| Error::Failed(format!("cannot fetch content {wanted}: {reason}"));
    let mut ended = false;
    let mut next = || -> Look<Vec<u8>> {
        if ended {
            return Ok(Vec::new());
        }
        let piece = match receive() {
            Ok(Frame::Blob { sha256, bytes }) if sha256 == wanted => Ok(bytes),
            Ok(Frame::Blob { .. }) => Err(failed("other content came instead")),
            Ok(Frame::Message(message)) => Err(instead(message)),
            Err(error) => Err(error),
        };
        ended = piece.as_ref().map_or(true, Vec::is_empty);
        piece
    };
    let taken = take(&mut next);
    while next().is_ok_and(|piece| !piece.is_empty()) {}
    taken
}

/// Writes one message that may wait for the next.
pub fn post<T: Serialize>(to: &mut impl Write, message: &T) -> io::Result<()> {
    to.write_all(&encode(message))
}

/// Writes one message.
pub fn send<T: Serialize>(to: &mut impl Write, message: &T) -> io::Result<()> {
    to.write_all(&encode(message))?;
    to.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_frame_that_is_too_long_is_refused_before_it_is_read() {
        let head = u32::try_from(MAX_FRAME + 1).unwrap().to_be_bytes();
        let error = receive::<Reply>(&mut &head[..]).unwrap_err();
        assert_eq!(error.to_string(), "a frame of 33554433 bytes exceeds the maximum of 33554432");
    }

    #[test]
    fn messages_and_blobs_come_back() {
        let mut bytes = encode(&Reply::Done { batch: 7 });
        bytes.extend(encode_blob(&"a".repeat(64), b"\0content"));
        let mut from = &bytes[..];
        assert!(matches!(receive(&mut from), Ok(Some(Frame::Message(Reply::Done { batch: 7 })))));
        let Ok(Some(Frame::<Reply>::Blob { bytes, .. })) = receive(&mut from) else { panic!("no blob") };
        assert_eq!(bytes, b"\0content");
        assert!(matches!(receive::<Reply>(&mut from), Ok(None)));
    }

    #[test]
    fn long_messages_are_packed_and_come_back() {
        let text = "as the one before, ".repeat(1000);
        let line = Reply::Line { id: 1, stream: Stream::Out, text: text.clone() };
        let bytes = encode(&line);
        assert!(bytes.len() < 500, "{}", bytes.len());
        let Ok(Some(Frame::Message(Reply::Line { text: back, .. }))) = receive(&mut &bytes[..]) else {
            panic!("no line")
        };
        assert_eq!(back, text);
        let huge = frame(PACKED, &[&[0xff; 4], b"x"]);
        let error = receive::<Reply>(&mut &huge[..]).unwrap_err();
        assert_eq!(error.to_string(), "a frame of 4294967295 bytes exceeds the maximum of 33554432");
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = receive::<Request>(&mut &bytes[..]);
            let _ = receive::<Request>(&mut &frame(PACKED, &[&[0, 1, 0, 0], &bytes])[..]);
        }
    }
}
