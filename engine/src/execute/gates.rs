//! `throttle` and `mutex`: what lets only so many tasks be applied at the same time, whatever the strategy.
//!
//! They are held while a task is applied, not while it is planned: the agent plans again when it applies, so what is decided
//! then is decided under the lock. Whoever holds several took them in one order, so nobody waits for each other.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::lower::{Lower, LowerError, show};
use crate::compile::Step;
use crate::playbook::{Common, Field};
use crate::template::Lookup;

/// What lets only so many through.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Gate {
    /// `throttle` of a step, by its number: so many hosts.
    Throttle(usize, usize),
    /// `mutex`: one of all that name it, or all that share it.
    Mutex(String, Hold),
}

/// How a lock is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Hold {
    /// By nobody else.
    Alone,
    /// Not together with one who holds it alone.
    Shared,
}

/// How many may share a lock: more than a run has hosts.
const SHARED: u32 = u32::MAX >> 4;

/// All gates of a run.
#[derive(Default)]
pub(super) struct Gates {
    throttles: HashMap<usize, Arc<Semaphore>>,
    locks: HashMap<String, Arc<Semaphore>>,
}

/// Gates on the way to being held, and how many of the places at each.
pub(super) struct Queue(Vec<(Arc<Semaphore>, u32)>);

impl Gates {
    /// A place in the queue at each gate; gates are sorted.
    pub(super) fn queue(&mut self, gates: &[Gate]) -> Queue {
        let new = |places: usize| Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS)));
        let place = |gate: &Gate| match gate {
            Gate::Throttle(step, hosts) => (self.throttles.entry(*step).or_insert_with(|| new(*hosts)).clone(), 1),
            Gate::Mutex(name, hold) => {
                let lock = self.locks.entry(name.clone()).or_insert_with(|| new(SHARED as usize)).clone();
                (lock, if *hold == Hold::Alone { SHARED } else { 1 })
            }
        };
        Queue(gates.iter().map(place).collect())
    }
}

impl Queue {
    /// Waits for all of them, in turn with others who wait. They are let go when the result is dropped.
    pub(super) async fn pass(self) -> Vec<OwnedSemaphorePermit> {
        let mut held = Vec::new();
        for (gate, places) in self.0 {
            // None is ever closed.
            held.extend(gate.acquire_many_owned(places).await.ok());
        }
        held
    }
}

impl Lower<'_> {
    /// The gates of a step: the inner `throttle`, and every `mutex`.
    pub(super) fn gates(&self, step: &Step, vars: &Arc<dyn Lookup>) -> Result<Vec<Gate>, LowerError> {
        let mut gates = Vec::new();
        if let Some(throttle) = self.keyword(step, vars, |common| &common.throttle)? {
            let hosts = show(&throttle).trim().parse::<usize>().map_err(|_| {
                let of = |common: &Common| common.throttle.as_ref().map(|throttle| throttle.span.clone());
                let span = step.scopes(self.program).rev().find_map(of).unwrap_or_else(|| step.task.span.clone());
                LowerError::Value(
                    span,
                    format!("`throttle` must be a number of hosts, and this is {}", show(&throttle)),
                )
            })?;
            // As in Ansible, 0 is no limit.
            gates.extend((hosts > 0).then_some(Gate::Throttle(step.id, hosts)));
        }
        for mutex in step.scopes(self.program).flat_map(|common| &common.mutex) {
            let name = match &mutex.name.value {
                Field::Known(name) => name.clone(),
                Field::Template(template) => show(&self.render(template, vars)?),
            };
            gates.push(Gate::Mutex(name, if mutex.shared { Hold::Shared } else { Hold::Alone }));
        }
        gates.sort();
        // Who holds a lock alone need not share it, too: that comes behind it.
        let name = |gate: &Gate| match gate {
            Gate::Mutex(name, _) => Some(name.clone()),
            Gate::Throttle(..) => None,
        };
        gates.dedup_by(|later, first| name(first).is_some() && name(later) == name(first));
        Ok(gates)
    }
}
