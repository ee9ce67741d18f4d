//! A host on its way through the steps.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Instant;

use std::sync::Arc;

use trueup_modules::wire::Outcome;

use super::ahead::MAX_BATCH;
use super::apply::Lost;
use crate::compile::{Handler, Role, Step};
use crate::event::Recap;
use crate::execute::blocks::Control;
use crate::execute::gates::Gate;
use crate::execute::lower::{Item, Work};

/// A host on its way through the steps.
pub(super) struct HostRun {
    pub(super) name: String,
    pub(super) play: Option<usize>,
    pub(super) control: Control,
    /// What was notified in each play.
    pub(super) notices: BTreeMap<usize, Notices>,
    /// Its agent has been asked something and has not answered yet, while other hosts go on.
    pub(super) flying: bool,
    /// The plays in which it takes no further step, though it has not failed.
    pub(super) ended: BTreeSet<usize>,
    /// The plays in which it has failed.
    pub(super) failed_in: BTreeSet<usize>,
    /// The plays in which it could not be reached.
    pub(super) lost_in: BTreeSet<usize>,
    /// Flushes whose condition does not hold here.
    pub(super) unflushed: BTreeSet<usize>,
    /// Roles that it has left before their end.
    pub(super) left_roles: BTreeSet<usize>,
    /// By play and [`crate::compile::Role::key`], which use of a role it was that ran here.
    pub(super) ran: HashMap<(usize, String), usize>,
    pub(super) gone: bool,
    /// Planned and not concluded.
    pub(super) planned: VecDeque<Planned>,
    /// The step after the last that is planned or passed over.
    pub(super) built: usize,
    /// How many steps are planned ahead by one message.
    pub(super) window: usize,
    pub(super) recap: Recap,
    /// Whom the steps of a connection log in as ([`super::Scope::connection`]).
    pub(super) login: Option<(Arc<str>, Option<String>)>,
}

/// What was notified on a host in a play.
#[derive(Default)]
pub(super) struct Notices {
    /// The names that were notified, and when: the last notification's number.
    notified: BTreeMap<String, u64>,
    /// The handlers that ran, and which notification was the last before.
    handled: BTreeMap<usize, u64>,
    /// Notifications so far.
    notifications: u64,
}

impl Notices {
    /// These names are notified.
    pub(super) fn notify(&mut self, names: Vec<String>) {
        self.notifications += 1;
        self.notified.extend(names.into_iter().map(|name| (name, self.notifications)));
    }
    /// A handler has run.
    pub(super) fn handle(&mut self, handler: &Handler) {
        self.handled.insert(handler.at, self.notifications);
    }
    /// Whether one of a handler's names was notified since it last ran.
    pub(super) fn has(&self, handler: &Handler) -> bool {
        let last = self.handled.get(&handler.at).copied().unwrap_or(0);
        handler.names.iter().any(|name| self.notified.get(name).is_some_and(|number| *number > last))
    }
}

/// A step on a host, as far as its end is known.
pub(super) struct Planned {
    pub(super) step: usize,
    pub(super) items: Vec<Item>,
    pub(super) outcomes: Vec<Option<Outcome>>,
    /// It is not planned ahead: another host acts, or it is done once for all.
    pub(super) solo: bool,
    /// Nothing is applied: the run is a preview, or `check_mode` makes the step one.
    pub(super) previews: bool,
    /// The host was not to be reached, and that is ignored.
    pub(super) unreachable: Option<Lost>,
    /// It has been applied, ahead of its turn to be told of.
    pub(super) applied: bool,
    /// Nothing is planned beyond it: the user is asked about its end.
    pub(super) asks: bool,
    /// Its end has been told.
    pub(super) told: bool,
    /// What is held while it is applied.
    pub(super) gates: Vec<Gate>,
    pub(super) began: Instant,
}

impl Planned {
    /// The first item whose end is not known, or not yet reached.
    pub(super) fn stop(&self) -> Option<usize> {
        if self.unreachable.is_some() || self.applied {
            return None;
        }
        if self.solo {
            return Some(0);
        }
        (0..self.items.len()).find(|at| match (&self.items[*at].work, &self.outcomes[*at]) {
            (Work::Skip(_) | Work::Unknown(_) | Work::Error(_), _) => false,
            (Work::Task(_), None) => true,
            (Work::Task(_), Some(Outcome::Would(_) | Outcome::Failed(..))) => !self.previews,
            (Work::Task(_), Some(_)) => false,
        })
    }
}

impl Planned {
    /// Whether nothing can be planned beyond it before it is concluded.
    pub(super) fn stops(&self, step: &Step) -> bool {
        let works = self.items.iter().any(|item| matches!(item.work, Work::Task(_)));
        self.solo || self.asks || ((step.turns() || step.sets_what_is_computed()) && works) || self.fails()
    }

    /// Whether an item cannot be rendered.
    pub(super) fn fails(&self) -> bool {
        self.items.iter().any(|item| matches!(item.work, Work::Error(_)))
    }

    /// Whether it asks nothing of any host.
    pub(super) fn is_idle(&self) -> bool {
        !self.items.iter().any(|item| matches!(item.work, Work::Task(_)))
    }

    /// Whether the host's agent has had a word in it.
    pub(super) fn asked(&self) -> bool {
        !self.applied && self.outcomes.iter().any(Option::is_some)
    }

    /// The tasks whose end is not known.
    pub(super) fn open(&self) -> impl Iterator<Item = usize> {
        (0..self.items.len()).filter(|at| matches!(self.items[*at].work, Work::Task(_)) && self.outcomes[*at].is_none())
    }

    /// Whether nothing is left to do for an item.
    pub(super) fn is_settled(&self, at: usize) -> bool {
        match (&self.items[at].work, &self.outcomes[at]) {
            (Work::Task(_), None) => false,
            (Work::Task(_), Some(outcome)) => {
                self.previews || matches!(outcome, Outcome::Ok(_) | Outcome::Changed(_) | Outcome::Unknown(..))
            }
            _ => true,
        }
    }

    /// Whether something was really run.
    pub(super) fn ran(&self) -> bool {
        let run = |outcome: &Outcome| matches!(outcome, Outcome::Changed(_) | Outcome::Failed(..));
        !self.previews && self.solo && self.outcomes.iter().flatten().any(run)
    }
}

impl HostRun {
    /// Whether it has failed for good, as far as it is concluded.
    pub(super) fn has_failed(&self) -> bool {
        let mut control = self.control.clone();
        control.finish();
        control.failed
    }
    pub(super) fn position(&self) -> usize {
        self.planned.iter().find(|planned| planned.stop().is_some()).map_or(self.built, |planned| planned.step)
    }
    /// Of a planned `meta: flush_handlers`: whether it flushes here.
    pub(super) fn flushes(&mut self, step: &Step, planned: &Planned) {
        let Some(flush) = step.flush else { return };
        if planned.items.iter().all(|item| matches!(item.work, Work::Skip(_))) {
            self.unflushed.insert(flush);
        } else {
            self.unflushed.remove(&flush);
        }
    }
    /// Whether a play's handler was notified since it last ran.
    pub(super) fn is_notified(&self, play: usize, handler: &Handler) -> bool {
        self.notices.get(&play).is_some_and(|notices| notices.has(handler))
    }
    /// Whether its way through roles lets it take a step.
    pub(super) fn admits(&self, step: &Step) -> bool {
        let ended = self.ended.contains(&step.play);
        let Some(role) = &step.around.role else { return !ended };
        let which = |role: &Role| self.ran.get(&(step.play, role.key.clone())).copied();
        let ran = |role: &Role| !role.allow_duplicates && which(role).is_some_and(|id| id != role.id);
        // What it has notified there is handled all the same, by whichever use of the role has the handler.
        let handles = step.handler.is_some() || step.around.in_handler;
        !ended && (handles || !self.left_roles.contains(&role.id) && !ran(role))
    }
    /// Steps were put in at a position.
    pub(super) fn make_room(&mut self, position: usize, count: usize) {
        self.planned.iter_mut().filter(|planned| planned.step >= position).for_each(|planned| planned.step += count);
        if self.built > position {
            self.built += count;
        }
    }
    /// The first of its planned steps have been applied, as far as there are outcomes.
    pub(super) fn applied(&mut self, steps: usize, outcomes: &mut impl Iterator<Item = Outcome>) {
        for planned in self.planned.iter_mut().take(steps) {
            let open: Vec<usize> = planned.open().collect();
            for at in open.iter().copied() {
                let Some(outcome) = outcomes.next() else { return };
                planned.outcomes[at] = Some(outcome);
            }
            planned.applied = !open.is_empty();
        }
    }
    /// Who it is logged in as.
    pub(super) fn login(&self) -> Option<&String> {
        self.login.as_ref().and_then(|(_, user)| user.as_ref())
    }
    /// The first step planned, from a position on, that asks its agent something.
    pub(super) fn asks(&self, from: usize) -> usize {
        let planned = || self.planned.iter().skip(from);
        let asking = planned().find(|planned| !planned.is_idle()).or_else(|| planned().next());
        asking.map_or(self.built, |planned| planned.step)
    }
    pub(super) fn front(&self) -> usize {
        self.planned.front().map_or(self.built, |planned| planned.step)
    }
    /// Forgets what was planned from a step on.
    pub(super) fn forget_from(&mut self, step: usize) {
        if self.flying {
            return;
        }
        // What is done can't be forgotten, nor what was found on the way there.
        let done = self.planned.iter().rposition(|planned| planned.applied);
        let done = done.map_or(0, |last| self.planned[last].step + 1);
        self.planned.retain(|planned| planned.step < step.max(done));
        self.built = self.built.min(step.max(done));
    }
    /// Forgets what was planned beyond a step, also which steps were passed over: they may have to run now.
    pub(super) fn forget_after(&mut self, step: usize) {
        self.forget_from(step + 1);
    }
}

impl HostRun {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            play: None,
            control: Control::default(),
            notices: BTreeMap::new(),
            flying: false,
            ended: BTreeSet::new(),
            failed_in: BTreeSet::new(),
            lost_in: BTreeSet::new(),
            unflushed: BTreeSet::new(),
            left_roles: BTreeSet::new(),
            ran: HashMap::new(),
            gone: false,
            planned: VecDeque::new(),
            built: 0,
            window: MAX_BATCH,
            recap: Recap::default(),
            login: None,
        }
    }
}
