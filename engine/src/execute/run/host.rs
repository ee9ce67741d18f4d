//! A host on its way through the steps.

use std::collections::{BTreeSet, VecDeque};
use std::time::Instant;

use trueup_modules::wire::Outcome;

use crate::event::Recap;
use crate::execute::blocks::Control;
use crate::execute::lower::{Item, Work};

/// A host on its way through the steps.
pub(super) struct HostRun {
    pub(super) name: String,
    pub(super) play: Option<usize>,
    pub(super) control: Control,
    pub(super) notified: BTreeSet<String>,
    pub(super) gone: bool,
    /// Planned and not concluded.
    pub(super) planned: VecDeque<Planned>,
    /// The step after the last that is planned or passed over.
    pub(super) built: usize,
    pub(super) recap: Recap,
    pub(super) login: Option<String>,
}

/// A step on a host, as far as its end is known.
pub(super) struct Planned {
    pub(super) step: usize,
    pub(super) items: Vec<Item>,
    pub(super) outcomes: Vec<Option<Outcome>>,
    /// It is not planned ahead: another host acts, or it is done once for all.
    pub(super) solo: Option<Solo>,
    pub(super) began: Instant,
}

#[derive(Clone)]
pub(super) struct Solo {
    pub(super) acts: Option<String>,
}

impl Planned {
    /// The first item whose end is not known, or not yet reached.
    pub(super) fn stop(&self, preview: bool) -> Option<usize> {
        if self.solo.is_some() {
            return Some(0);
        }
        (0..self.items.len()).find(|at| match (&self.items[*at].work, &self.outcomes[*at]) {
            (Work::Skip(_) | Work::Unknown(_) | Work::Error(_), _) => false,
            (Work::Task(_), None) => true,
            (Work::Task(_), Some(Outcome::Would(_) | Outcome::Failed(..))) => !preview,
            (Work::Task(_), Some(_)) => false,
        })
    }
}

impl HostRun {
    pub(super) fn position(&self, preview: bool) -> usize {
        self.planned.iter().find(|planned| planned.stop(preview).is_some()).map_or(self.built, |planned| planned.step)
    }
    pub(super) fn front(&self) -> usize {
        self.planned.front().map_or(self.built, |planned| planned.step)
    }
    /// Forgets what was planned beyond a step, also which steps were passed over: they may have to run now.
    pub(super) fn forget_after(&mut self, step: usize) {
        self.planned.retain(|planned| planned.step <= step);
        self.built = self.built.min(step + 1);
    }
}

impl HostRun {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            play: None,
            control: Control::default(),
            notified: BTreeSet::new(),
            gone: false,
            planned: VecDeque::new(),
            built: 0,
            recap: Recap::default(),
            login: None,
        }
    }
}
