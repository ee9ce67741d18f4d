//! Going on while a step is applied: what a host has to do next is planned in the same round trip, where nobody else can
//! make that plan wrong meanwhile.
//!
//! Strictly, a host plans its next task when all hosts have finished the one before. Two things are known not to matter:
//!
//! - Only one host applies. What it plans after its own change is what a strict run would have found, since nobody else
//!   changes anything; what the others have planned is forgotten.
//! - The step changes nothing but files of each host ([`NEAR`]), and no two hosts look at the same files: each agent says
//!   which machine it is on. Then nobody's change is seen by another, and all plans hold. Files on a filesystem that hosts
//!   share over the network are not seen as such; a strict run writes those from several hosts at once, too.

use std::collections::HashSet;

use trueup_modules::module::Place;
use trueup_modules::wire::{Outcome, Task as WireTask};

use super::Run;
use super::host::{HostRun, Planned};
use crate::compile::Step;

/// Modules that change files of the host that they run on, and nothing else.
const NEAR: [&str; 4] = ["copy", "file", "file_line", "template"];

/// What is sent along with a step that is applied.
#[derive(Default)]
pub(super) struct Onward {
    /// Of each of the next steps that are applied in the same go, how many tasks it has.
    pub(super) due: Vec<usize>,
    /// Their tasks, and those that are only planned.
    pub(super) tasks: Vec<WireTask>,
}

impl Onward {
    /// Only to be planned.
    pub(super) fn ask(tasks: Vec<WireTask>) -> Self {
        Self { due: Vec::new(), tasks }
    }
}

/// Who may go on past a step that is being applied.
pub(super) enum Reach {
    /// Its change is seen by nobody else: everybody keeps what is planned.
    Own,
    /// As before, and there is nobody else.
    Only,
    /// One host applies it: it goes on, the others plan again.
    Alone(usize),
    /// Everybody plans again.
    All,
}

/// Whether a step's change stays on its host, as far as the module goes.
pub(super) fn is_near(step: &Step) -> bool {
    NEAR.contains(&step.entry.name)
}

/// Whether a step is applied by one message: not on another host, not tried again, not item
/// by item, not by a job, not here.
pub(super) fn is_plain(step: &Step) -> bool {
    let retry = &step.task.retry;
    let control = step.task.looping.as_ref().map(|looping| &looping.control);
    let at_once = control.is_none_or(|control| control.pause.is_none() && control.break_when.is_empty());
    let tried_once = retry.until.is_empty() && retry.retries.is_none();
    let attached = step.task.detached.seconds.is_none();
    let apart = step.once || step.reads_itself || step.is_ours();
    step.entry.place == Place::Host && !apart && tried_once && at_once && attached
}

impl Run {
    /// How far the change of a step reaches that these hosts are about to apply.
    pub(super) fn reach(&mut self, frontier: usize, hosts: &[usize]) -> Reach {
        let step = &self.steps()[frontier];
        let solo = |at: &usize| self.hosts[*at].planned.front().is_none_or(|planned| planned.solo);
        if self.preview() || !is_plain(step) || hosts.iter().any(solo) {
            return Reach::All;
        }
        let near = is_near(step);
        match hosts {
            _ if self.hosts.iter().filter(|host| !host.gone).count() == 1 => Reach::Only,
            _ if near && self.apart() => Reach::Own,
            [alone] => Reach::Alone(*alone),
            _ => Reach::All,
        }
    }

    /// Whether no two hosts look at the same files. Of one that is not connected that is not known, but it may have nothing to do.
    fn apart(&self) -> bool {
        let mut seen = HashSet::new();
        let bound = self.bound();
        let done = |host: &HostRun| host.gone || (host.built >= bound && host.planned.iter().all(Planned::is_idle));
        let hosts: Vec<(String, bool)> = self.hosts.iter().map(|host| (host.name.clone(), done(host))).collect();
        hosts.iter().all(|(name, done)| {
            let mut machines = Vec::new();
            for slot in self.connections.slots(name) {
                match slot.try_lock().as_deref() {
                    Ok(line) => machines.extend(line.machine().map(str::to_owned)),
                    Err(_) => return false,
                }
            }
            machines.dedup();
            if machines.is_empty() { *done } else { machines.into_iter().all(|machine| seen.insert(machine)) }
        })
    }

    /// What a host is to do after the step that it applies.
    pub(super) fn onward(&mut self, at: usize, frontier: usize, reach: &Reach) -> Onward {
        self.build(at, frontier);
        let row = self.hosts[at].planned.iter().skip(1).take(self.chain(at, frontier, reach));
        Onward { due: row.map(|planned| planned.open().count()).collect(), tasks: self.wire_tasks(at, 1) }
    }

    /// Takes what a host has done and planned after applying a step, unless that step's end has changed the way ahead.
    pub(super) fn arrive(&mut self, at: usize, frontier: usize, asked: usize, outcomes: Vec<(u64, Outcome)>) {
        match self.hosts[at].planned.is_empty() {
            true => {}
            // It failed, and that is ignored: nothing was planned.
            false if outcomes.is_empty() && asked > 0 => self.hosts[at].forget_after(frontier),
            false => self.take(at, outcomes),
        }
    }

    /// Whether to ask hosts what there is to do, after steps have been applied. Where one change comes right after the other, and
    /// nothing can be planned beyond any, asking first would only double the round trips.
    pub(super) fn pace<'a>(&mut self, reach: &Reach, mut applied: impl Iterator<Item = &'a Planned>) {
        let calm = std::mem::take(&mut self.calm);
        let changed =
            applied.any(|planned| planned.outcomes.iter().any(|end| matches!(end, Some(Outcome::Changed(_)))));
        self.dense = matches!(reach, Reach::All) && !self.preview() && changed && (self.dense || !calm);
    }

    /// Forgets what a change has made doubtful.
    pub(super) fn doubt(&mut self, frontier: usize, reach: &Reach) {
        for at in 0..self.hosts.len() {
            let holds = match reach {
                Reach::Own | Reach::Only => true,
                Reach::Alone(alone) => *alone == at,
                Reach::All => false,
            };
            if !holds {
                self.hosts[at].forget_after(frontier);
            }
        }
    }
}
