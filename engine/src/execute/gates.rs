//! `throttle` and `mutex`: what lets only so many tasks be applied at the same time, whatever the strategy.
//!
//! They are held while a task is applied, not while it is planned: the agent plans again when it applies, so what is decided
//! then is decided under the lock. Whoever holds several took them in one order, so nobody waits for each other.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::lower::{Lower, LowerError, show};
use crate::compile::Step;
use crate::playbook::{Common, Field, Spanned};
use crate::template::Lookup;

/// What lets only so many through.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Gate {
    /// `throttle` of a step, by its number: so many hosts.
    Throttle(usize, usize),
    /// `mutex`: one of all that name it.
    Mutex(String),
}

/// All gates of a run.
#[derive(Default)]
pub(super) struct Gates(HashMap<Gate, Arc<Semaphore>>);

/// Gates on the way to being held.
pub(super) struct Queue(Vec<Arc<Semaphore>>);

impl Gates {
    /// A place in the queue at each gate; gates are sorted.
    pub(super) fn queue(&mut self, gates: &[Gate]) -> Queue {
        let places = |gate: &Gate| match gate {
            Gate::Throttle(_, hosts) => (*hosts).min(Semaphore::MAX_PERMITS),
            Gate::Mutex(_) => 1,
        };
        let gate = |gate: &Gate| {
            let semaphore = self.0.entry(gate.clone()).or_insert_with(|| Arc::new(Semaphore::new(places(gate))));
            Arc::clone(semaphore)
        };
        Queue(gates.iter().map(gate).collect())
    }
}

impl Queue {
    /// Waits for all of them. They are let go when the result is dropped.
    pub(super) async fn pass(self) -> Vec<OwnedSemaphorePermit> {
        let mut held = Vec::new();
        for gate in self.0 {
            // None is ever closed.
            held.extend(gate.acquire_owned().await.ok());
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
        for Spanned { value, .. } in step.scopes(self.program).flat_map(|common| &common.mutex) {
            gates.push(Gate::Mutex(match value {
                Field::Known(name) => name.clone(),
                Field::Template(template) => show(&self.render(template, vars)?),
            }));
        }
        gates.sort();
        gates.dedup();
        Ok(gates)
    }
}
