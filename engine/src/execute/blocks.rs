//! Where a host is with respect to blocks: which sections run after which failure.

use std::collections::BTreeMap;

use crate::compile::{Section, Step};

/// What has failed in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// A task of `block`.
    Block { rescuable: bool },
    /// A task of `rescue` or `always`: no more than `always` is left to run.
    ForGood,
    /// Also `always` has failed.
    Over,
}

/// A block's number, the section that the host is in, and whether there is a `rescue`.
type Place = (usize, Section, bool);

/// A host's position in its blocks.
#[derive(Clone, Debug, Default)]
pub(super) struct Control {
    phases: BTreeMap<usize, Phase>,
    open: Vec<Place>,
    /// A failure that no block is left to catch.
    pub failed: bool,
}

impl Control {
    /// Whether a step's blocks let it run. Call it for each step in order: leaving a block may make a failure final.
    pub(super) fn admits(&mut self, step: &Step) -> bool {
        self.leave_to(places(step));
        !self.failed && step.blocks().iter().all(|(block, section)| self.runs(block.id, *section))
    }

    /// The play is over: no block is open any more.
    pub(super) fn finish(&mut self) {
        self.leave_to(Vec::new());
    }

    /// A task failed.
    pub(super) fn fail(&mut self, step: &Step) {
        self.fail_in(places(step).last().copied());
    }

    fn runs(&self, id: usize, section: Section) -> bool {
        match self.phases.get(&id) {
            None => section != Section::Rescue,
            Some(Phase::Block { .. }) => section != Section::Block,
            Some(Phase::ForGood) => section == Section::Always,
            Some(Phase::Over) => false,
        }
    }

    /// Closes the blocks that are not in `path`, the innermost first; what was not rescued fails the block around it.
    fn leave_to(&mut self, path: Vec<Place>) {
        let open = std::mem::replace(&mut self.open, path);
        for at in (0..open.len()).rev() {
            let (id, ..) = open[at];
            if self.open.iter().any(|(other, ..)| *other == id) {
                continue;
            }
            match self.phases.remove(&id) {
                None | Some(Phase::Block { rescuable: true }) => {}
                Some(_) => self.fail_in(open[..at].last().copied()),
            }
        }
    }

    fn fail_in(&mut self, place: Option<Place>) {
        let Some((id, section, rescuable)) = place else {
            self.failed = true;
            return;
        };
        let phase = match section {
            Section::Block => Phase::Block { rescuable },
            Section::Rescue => Phase::ForGood,
            Section::Always => Phase::Over,
        };
        self.phases.insert(id, phase);
    }
}

fn places(step: &Step) -> Vec<Place> {
    step.blocks().iter().map(|(block, section)| (block.id, *section, block.has_rescue)).collect()
}
