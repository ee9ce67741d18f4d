//! Going through a region: each host as what it needs allows, without waiting for the others.
//!
//! What may begin is for [`crate::schedule`] to say; here it is planned, applied and concluded, with what the lockstep of the other
//! plays uses, too. A host takes one node after the other, and plans as many ahead in one message as have nothing left to
//! wait for. It stops at the first step that has something to do, applies it, and plans on in the same message. So a
//! region in which nothing is to be done costs each host one round trip for each time that it waits for another host, and
//! one.

mod ahead;
mod course;
mod tell;

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::task::JoinSet;
use trueup_modules::host::Why;
use trueup_modules::wire::{Mode, Outcome};

use super::apply::{Lost, Show};
use super::finish::{Finished, finish_step};
use super::host::Planned;
use super::onward::{Onward, is_plain};
use super::{Run, lower_with};
use crate::compile::Step;
use crate::event::Event;
use crate::execute::blocks::Control;
use crate::playbook::Field;
use course::Course;

/// What came of asking a host's agent.
enum Landed {
    Planned(Vec<(u64, Outcome)>),
    Applied { step: (usize, usize), asked: usize, planned: Box<Planned>, batches: u64, outcomes: Vec<(u64, Outcome)> },
}

/// The loss of a host, and what was being applied there.
type Loss = (Lost, Option<Box<Planned>>);

type Flights = JoinSet<(usize, Result<Landed, Loss>)>;

impl Run {
    /// Goes through the next region, if there is one; false if all is done.
    pub(super) async fn region(&mut self) -> bool {
        let Some(region) = self.compiled.regions.get(self.passed) else { return false };
        let mut course = self.course(Arc::new(region.clone()));
        let mut flights = Flights::new();
        self.held = self.preview().then(Vec::new);
        loop {
            while let Some(at) = course.awake.pop_first() {
                self.advance(&mut course, at, &mut flights).await;
            }
            let Some(landed) = flights.join_next().await else { break };
            match landed {
                Ok((at, Ok(landed))) => self.land(&mut course, at, landed).await,
                Ok((at, Err(loss))) => self.lost_in(&mut course, at, loss).await,
                Err(panic) => self.send(Event::Warning(format!("internal error: {panic}"))).await,
            }
            if self.events.is_closed() {
                return false;
            }
        }
        self.release().await;
        self.leave(&course).await;
        true
    }

    /// Takes a host as far as it comes without its agent, and then asks that.
    async fn advance(&mut self, course: &mut Course, at: usize, flights: &mut Flights) {
        let preview = self.preview();
        while !self.hosts[at].gone && !self.hosts[at].flying {
            if let Some(first) = self.hosts[at].planned.front() {
                if first.stop().is_some() {
                    self.fly_to_apply(course, at, flights);
                } else if let Some(planned) = self.hosts[at].planned.pop_front() {
                    self.conclude_in(course, at, planned).await;
                }
                continue;
            }
            self.build_in(course, at);
            let closed = self.close_walked(course, at).await;
            if self.hosts[at].planned.is_empty() && !closed {
                return;
            }
            let tasks = self.wire_tasks(at, 0);
            if tasks.is_empty() {
                continue;
            }
            self.batches += 1;
            let mode = if preview { Mode::Preview } else { Mode::Ask };
            let index = self.hosts[at].asks(0);
            let errand = self.errand(&self.hosts[at].name.clone(), index);
            self.hosts[at].flying = true;
            flights.spawn(async move {
                let answer = errand.batch(mode, Vec::new(), tasks, Show::Nothing).await;
                (at, answer.map(Landed::Planned).map_err(|lost| (lost, None)))
            });
        }
    }

    fn fly_to_apply(&mut self, course: &mut Course, at: usize, flights: &mut Flights) {
        let preview = self.preview();
        let Some(first) = self.hosts[at].planned.front() else { return };
        let step = Arc::clone(&self.steps()[first.step]);
        let plain = !preview && !first.solo && is_plain(&step);
        if plain {
            self.build_in(course, at);
        }
        let onward = if plain { Onward::ask(self.wire_tasks(at, 1)) } else { Onward::default() };
        let Some(mut planned) = self.hosts[at].planned.pop_front() else { return };
        let host = self.hosts[at].name.clone();
        let errands = self.errands(at, &planned);
        let (shared, compiled) = (Arc::clone(&self.shared), Arc::clone(&self.compiled));
        let (blobs, login) = (self.connections.blobs.clone(), self.hosts[at].login().cloned());
        let queue = self.gates.queue(if planned.previews { &[] } else { &planned.gates });
        self.hosts[at].flying = true;
        flights.spawn(async move {
            let _held = queue.pass().await;
            let asked = onward.tasks.len();
            let lower = lower_with(&shared, &compiled, &blobs, login);
            let done = finish_step(&shared, &lower, &errands, &host, &mut planned, onward).await;
            let planned = Box::new(planned);
            let step = (step.play, step.id);
            let landed = match done {
                Ok(Finished { batches, onward, .. }) => {
                    Ok(Landed::Applied { step, asked, planned, batches, outcomes: onward })
                }
                Err(lost) => Err((lost, Some(planned))),
            };
            (at, landed)
        });
    }

    async fn land(&mut self, course: &mut Course, at: usize, landed: Landed) {
        self.hosts[at].flying = false;
        course.awake.insert(at);
        match landed {
            Landed::Planned(outcomes) => self.take(at, outcomes),
            Landed::Applied { step, asked, mut planned, batches, outcomes } => {
                self.batches += batches;
                // Others may have included something meanwhile.
                let now = |one: &Arc<Step>| (one.play, one.id) == step;
                planned.step = self.steps().iter().position(now).unwrap_or(planned.step);
                let index = planned.step;
                self.conclude_in(course, at, *planned).await;
                self.arrive(at, index, asked, outcomes);
            }
        }
    }

    async fn lost_in(&mut self, course: &mut Course, at: usize, (lost, applied): Loss) {
        self.hosts[at].flying = false;
        course.awake.insert(at);
        match self.ignored(at, lost, applied.map(|planned| *planned)) {
            Ok(None) => {}
            Ok(Some(planned)) => self.conclude_in(course, at, planned).await,
            Err((lost, index)) => {
                self.give_up(at, lost, index).await;
                // What was its to do once for all is another's now.
                course.awake.extend(0..self.hosts.len());
                let news = course.schedule.lose(at);
                self.say_skipped(course, news).await;
            }
        }
    }

    /// A step's end on a host.
    async fn conclude_in(&mut self, course: &mut Course, at: usize, planned: Planned) {
        let (index, step) = (planned.step, Arc::clone(&self.steps()[planned.step]));
        let Some(node) = course.region.node_of(index) else { return };
        let key = course.region.nodes[node].key;
        let control = match course.ways[at].current.take() {
            Some((current, _, control)) if current == key => control,
            _ => Control::default(),
        };
        let host = &mut self.hosts[at];
        (host.play, host.control) = (Some(step.play), control);
        let why = course.waits_for(node).cloned();
        let steps = self.steps().len();
        let ended = self.end(at, planned, why).await;
        if let Some(far) = ended.waits {
            course.pending.entry((!far, node)).or_insert(Why { after: ended.name });
        }
        if self.steps().len() != steps {
            self.renew(course).await;
        }
        let behind = course.region.node_of(index).map(|node| &course.region.nodes[node].steps);
        let behind = behind.and_then(|steps| steps.iter().position(|step| *step == index)).map_or(0, |place| place + 1);
        course.ways[at].current = Some((key, behind, self.hosts[at].control.clone()));
        if ended.failed || (ended.notified && !self.preview()) || step.turns() {
            self.hosts[at].planned.clear();
            course.ways[at].walked.clear();
        }
        if ended.failed {
            self.end_play_if_fatal(course, at, &step).await;
        }
        if step.entry.name == "meta" {
            // What it says may concern everybody.
            course.awake.extend(0..self.hosts.len());
        }
        self.close_walked(course, at).await;
    }

    /// `any_errors_fatal`, and `max_fail_percentage`.
    async fn end_play_if_fatal(&mut self, course: &mut Course, at: usize, step: &Step) {
        let fatal = step.inherited(&self.compiled, |common| &common.any_errors_fatal);
        let fatal = matches!(fatal, Some(Field::Known(true)));
        let member = |at: &usize| self.members[step.play].contains(&self.hosts[*at].name);
        let failed: BTreeSet<usize> =
            course.schedule.failed().map(|unit| unit.host).chain([at]).filter(member).collect();
        let over = self.are_too_many(failed.len(), step.play);
        if super::settle::rescues(step) || !(fatal || over) {
            return;
        }
        match over {
            true => self.end_plays_from(step.play),
            false => drop(self.ended_plays.insert(step.play)),
        }
        let region = Arc::clone(&course.region);
        let news = course.schedule.give_up(|unit| over || region.nodes[unit.node].play == step.play);
        self.say_skipped(course, news).await;
    }
}
