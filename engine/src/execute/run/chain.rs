//! Applying steps in a row by one message, where nobody can tell it from a run that waits after each.
//!
//! Strictly, a host begins a step when all hosts have finished the one before. It need not wait where the steps change only
//! files of each host, and no two hosts look at the same files ([`Reach::Own`]), and no host's end can change what another has
//! to do, or there is no other host ([`Reach::Only`]). So a run with c such changes in a row costs one round trip, not c.
//! The agent stops behind a step that fails, as a strict run would. What is applied is told of when it is its turn.

use super::Run;
use super::finish::shown;
use super::host::Planned;
use super::onward::{Reach, is_near, is_plain};
use crate::compile::Step;
use crate::execute::lower::Work;
use crate::playbook::Field;

/// The most steps in a row. Of a run that is interrupted, so many may have been done and not told of.
const MAX_CHAIN: usize = 100;

impl Run {
    /// How many of the steps that a host has planned behind the first it may apply together with that.
    pub(super) fn chain(&self, at: usize, frontier: usize, reach: &Reach) -> usize {
        let others = match reach {
            Reach::Own => true,
            Reach::Only => false,
            Reach::Alone(_) | Reach::All => return 0,
        };
        let host = &self.hosts[at];
        let Some(first) = host.planned.front().filter(|first| first.step == frontier) else { return 0 };
        let hidden = |planned: &Planned| self.hides(at, planned);
        let mut length = 0;
        let mut before = frontier;
        for next in host.planned.iter().skip(1).take(MAX_CHAIN) {
            let between = (before + 1..next.step).all(|step| !others || self.is_nobodys(frontier, step));
            // Handlers are planned as if nothing had notified them.
            let handles = |step: &Step| step.flush.is_some() || step.handler.is_some();
            let flushed = (before + 1..=next.step).any(|step| handles(&self.steps()[step]));
            let follows = self.follows(frontier, next.step, others) && hidden(first) == hidden(next);
            if !between || flushed || ends_row(&self.steps()[before]) || !follows || !next.is_free() {
                break;
            }
            before = next.step;
            length += 1;
        }
        length
    }

    /// Whether a step may be applied in a row that begins with another.
    fn follows(&self, first: usize, index: usize, others: bool) -> bool {
        let step = &self.steps()[index];
        // A role that has run is not run again: what is used a second time waits for the first to be told of.
        let again = |before: &Step| match (&before.around.role, &step.around.role) {
            (Some(before), Some(role)) => before.key == role.key && before.id != role.id,
            _ => false,
        };
        // Files are written in a moment. What may take longer is announced, and told of as soon as it is done.
        is_plain(step)
            && is_near(step)
            && (!others || self.is_nobodys(first, index))
            && step.play == self.steps()[first].play
            && !step.around.in_handler
            && !self.steps()[first..index].iter().any(|before| again(before))
    }

    /// Whether what a step does on one host, and how it ends there, means nothing to another.
    fn is_nobodys(&self, first: usize, index: usize) -> bool {
        let step = &self.steps()[index];
        let fatal = step.inherited(&self.compiled, |common| &common.any_errors_fatal);
        let limit = &self.compiled.plays[step.play].play.max_fail_percentage;
        // These follow who has failed.
        let reads = ["play_hosts", "ansible_play_hosts", "ansible_play_batch"].iter().any(|name| step.may_read(name));
        let counts = |index: usize| {
            let limit = self.steps()[index].play == step.play && limit.is_some();
            !limit && matches!(fatal, None | Some(Field::Known(false)))
        };
        let here = step.delegate_to().is_none() && !step.once;
        // A step that this host passes over may be for others.
        is_near(step) && here && !reads && counts(first) && counts(index)
    }

    fn hides(&self, at: usize, planned: &Planned) -> bool {
        let lower = self.lower(&self.hosts[at]);
        let step = &self.steps()[planned.step];
        planned.items.iter().any(|item| shown(&lower, step, item) == super::apply::Show::Nothing)
    }
}

/// Whether a step's end is known only when the engine has looked at its result.
fn ends_row(step: &Step) -> bool {
    !step.task.changed_when.is_empty() || !step.task.failed_when.is_empty()
}

impl Planned {
    /// Whether it can be applied without anything but the agent.
    fn is_free(&self) -> bool {
        let fails = self.items.iter().any(|item| matches!(item.work, Work::Error(_)));
        !self.solo && !self.previews && self.gates.is_empty() && !fails && self.unreachable.is_none()
    }
}
