//! Content that the controller has: asked for ahead, so that many files cost one round trip, and used as it comes.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::Write;
use std::sync::Mutex;

use super::{Link, lock};
use crate::edit::Edit;
use crate::error::Error;
use crate::host::Look;
use crate::plan::Plan;
use crate::system::Pieces;
use crate::wire::{self, Frame, Reply, Request};

/// Content on its way to one task.
pub(super) struct Contents<'a, W: Write> {
    link: &'a Mutex<Link<W>>,
    /// Hashes that were asked for and not taken yet, in the order in which they come.
    coming: RefCell<VecDeque<String>>,
}

impl<'a, W: Write> Contents<'a, W> {
    /// Nothing is asked for yet.
    pub(super) fn over(link: &'a Mutex<Link<W>>) -> Self {
        Self { link, coming: RefCell::default() }
    }

    /// Asks for contents, which will be taken in this order.
    pub(super) fn ask(&self, wanted: Vec<String>) -> Look<()> {
        if wanted.is_empty() {
            return Ok(());
        }
        let mut link = lock(self.link);
        let lanes = link.lanes.door();
        let asked = wire::send(&mut link.output, &Reply::Fetch { sha256: wanted.clone(), lanes });
        asked.map_err(|error| Error::Failed(format!("cannot fetch content: {error}")))?;
        self.coming.borrow_mut().extend(wanted);
        Ok(())
    }

    /// Asks for what the edits of a plan will take.
    pub(super) fn ask_for(&self, plan: &Plan) -> Look<()> {
        let of = |edit: &Edit| match edit {
            Edit::Place { after, .. } => Some(after.sha256.clone()),
            _ => None,
        };
        self.ask(plan.edits.iter().filter_map(of).collect())
    }

    /// Hands the pieces of some content on. What comes before it is passed over: nobody has taken it.
    pub(super) fn take(&self, sha256: &str, into: impl FnOnce(&mut Pieces<'_>) -> Look<()>) -> Look<()> {
        if !self.coming.borrow().iter().any(|next| next == sha256) {
            self.pass_over(|_| true);
            self.ask(vec![sha256.to_owned()])?;
        }
        self.pass_over(|next| next != sha256);
        self.coming.borrow_mut().pop_front();
        self.receive(sha256, into)
    }

    /// Takes what is left off the wire: the plan was given up.
    pub(super) fn forget(&self) {
        self.pass_over(|_| true);
    }

    fn pass_over(&self, which: impl Fn(&str) -> bool) {
        let next = || self.coming.borrow_mut().pop_front_if(|next| which(next));
        while let Some(sha256) = next() {
            // Whether it came does not matter.
            let _ = self.receive(&sha256, |_| Ok(()));
        }
    }

    fn receive(&self, sha256: &str, into: impl FnOnce(&mut Pieces<'_>) -> Look<()>) -> Look<()> {
        let failed = |reason: &str| Error::Failed(format!("cannot fetch content {sha256}: {reason}"));
        let instead = |message| match message {
            Request::NoBlob { reason, .. } => failed(&reason),
            Request::Cancel => Error::Cancelled,
            Request::Batch(_) | Request::Spread { .. } => failed("a batch came instead"),
        };
        let Link { frames, lanes, .. } = &mut *lock(self.link);
        // The numbers of the lanes that it comes by, and how many of its pieces have come.
        let (mut ways, mut turn) = (Vec::new(), 0);
        let next = || {
            while ways.is_empty() {
                match frames.recv() {
                    Ok(Frame::Message(Request::Spread { lanes: numbers })) => {
                        lanes.gather(&numbers)?;
                        ways = numbers;
                    }
                    frame => return frame.map_err(|_| Error::Cancelled),
                }
            }
            let way = ways[turn % ways.len()];
            turn += 1;
            lanes.receive(way)
        };
        wire::pieces(next, sha256, instead, into)
    }
}
