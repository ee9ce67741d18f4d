//! Where a host is with respect to blocks: which sections run after which failure.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::compile::{BlockInfo, Section, Step};

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

/// A block, and where in it a host is.
#[derive(Clone, Copy, Debug)]
struct Place {
    id: usize,
    section: Section,
    has_rescue: bool,
    has_always: bool,
}

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
        !self.failed && step.catching().all(|(block, section)| self.runs(block.id, *section))
    }

    /// The play is over: no block is open any more.
    pub(super) fn finish(&mut self) {
        self.leave_to(Vec::new());
    }

    /// A task failed.
    pub(super) fn fail(&mut self, step: &Step) {
        self.fail_in(places(step).last().copied());
    }

    /// A failure elsewhere is this host's, too (`any_errors_fatal`): it fails where it is, which is the innermost block of that
    /// step whose section it is in.
    pub(super) fn fail_with(&mut self, step: &Step) {
        let path = places(step);
        self.leave_to(path.clone());
        let has_failed = |place: &Place| match (place.section, self.phases.get(&place.id)) {
            (_, None) => false,
            (Section::Block, _) | (_, Some(Phase::Over)) => true,
            (section, Some(phase)) => section == Section::Rescue && *phase == Phase::ForGood,
        };
        if !self.failed && !path.iter().any(has_failed) {
            let inside = path.iter().take_while(|place| self.runs(place.id, place.section)).last().copied();
            self.fail_in(inside);
        }
    }

    /// A failure of `run_once` counts twice for the others, so Ansible has it: once as everybody's, once as that of all. Where
    /// the first leads to a `rescue` or `always`, the second ends that.
    pub(super) fn fail_twice_with(&mut self, step: &Step) {
        let path = places(step);
        self.leave_to(path.clone());
        let inside: Vec<Place> = path.into_iter().take_while(|place| self.runs(place.id, place.section)).collect();
        for place in inside.iter().rev() {
            let (phase, lands) = match place.section {
                Section::Block if place.has_rescue => (Phase::ForGood, true),
                Section::Block | Section::Rescue => (Phase::Over, place.has_always),
                Section::Always => (Phase::Over, false),
            };
            self.phases.insert(place.id, phase);
            if lands {
                return;
            }
        }
        self.failed = true;
    }

    /// `clear_host_errors`: nothing has failed, but what stands before the section that the host is in is behind it.
    pub(super) fn clear(&mut self) {
        self.phases.values_mut().for_each(|phase| *phase = Phase::Block { rescuable: true });
    }

    /// Whether it has failed and nothing is left to run: no `rescue`, and no `always`.
    pub(super) fn is_over(&self) -> bool {
        let mut failing = false;
        for place in self.open.iter().rev() {
            let ahead = place.has_always && place.section != Section::Always;
            failing = match self.phases.get(&place.id) {
                _ if failing && (ahead || place.section == Section::Block && place.has_rescue) => return false,
                _ if failing => true,
                None => false,
                Some(Phase::Block { rescuable: true }) => return self.failed,
                Some(Phase::Block { .. } | Phase::ForGood) if ahead || place.section == Section::Always => {
                    return self.failed;
                }
                Some(_) => true,
            };
        }
        self.failed || failing
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
            let id = open[at].id;
            if self.open.iter().any(|other| other.id == id) {
                continue;
            }
            match self.phases.remove(&id) {
                None | Some(Phase::Block { rescuable: true }) => {}
                Some(_) => self.fail_in(open[..at].last().copied()),
            }
        }
    }

    fn fail_in(&mut self, place: Option<Place>) {
        let Some(Place { id, section, has_rescue: rescuable, .. }) = place else {
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
    let place = |(block, section): &(Arc<BlockInfo>, Section)| Place {
        id: block.id,
        section: *section,
        has_rescue: block.has_rescue,
        has_always: block.has_always,
    };
    step.catching().map(place).collect()
}
