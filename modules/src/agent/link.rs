//! The two directions of the wire, as one agent holds them.

use std::collections::BTreeMap;
use std::io::{BufWriter, Read, Write};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use super::lanes::Lanes;
use crate::local::Cancel;
use crate::wire::{self, Frame, Request};

/// The two directions of the wire.
pub(super) struct Link<W: Write> {
    pub(super) output: BufWriter<W>,
    pub(super) frames: Receiver<Frame<Request>>,
    /// Content that came before the batch that it is for.
    pub(super) pushed: BTreeMap<String, Vec<u8>>,
    /// Further ways for content.
    pub(super) lanes: Lanes,
}

impl<W: Write> Link<W> {
    /// What is too much is left out: it is then asked for.
    pub(super) fn push(&mut self, sha256: String, bytes: &[u8]) {
        if (self.pushed.values().map(Vec::len).sum::<usize>() + bytes.len()) as u64 <= MAX_PUSHED {
            self.pushed.entry(sha256).or_default().extend_from_slice(bytes);
        }
    }
}

/// The most content that the controller sends unasked before a batch: 1 MiB.
pub const MAX_PUSHED: u64 = 1 << 20;

/// Reads frames as they come, so that a cancellation is seen while a task runs.
pub(super) fn listen(mut input: impl Read + Send + 'static, cancel: Cancel) -> Receiver<Frame<Request>> {
    let (sender, frames) = mpsc::sync_channel(wire::BLOBS_AHEAD);
    thread::spawn(move || {
        while let Ok(Some(frame)) = wire::receive(&mut input) {
            // In the order in which they come: what is said after a batch, the end of the input above all, is about that batch,
            // though it may not have begun yet.
            match &frame {
                Frame::Message(Request::Batch(_)) => cancel.reset(),
                Frame::Message(Request::Cancel) => cancel.cancel(),
                _ => {}
            }
            if sender.send(frame).is_err() {
                break;
            }
        }
        cancel.cancel();
    });
    frames
}

pub(super) fn lock<W: Write>(link: &Mutex<Link<W>>) -> MutexGuard<'_, Link<W>> {
    link.lock().unwrap_or_else(PoisonError::into_inner)
}
