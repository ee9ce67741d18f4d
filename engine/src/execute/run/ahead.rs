//! Planning ahead: what of a host's steps can be planned, and asking for it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use tokio::task::JoinSet;
use trueup_modules::module::Place;
use trueup_modules::wire::{Mode, Outcome, Task as WireTask};

use super::Run;
use super::apply::Show;
use super::host::{HostRun, Planned};
use crate::compile::graph::Readers;
use crate::compile::{Handler, Step};
use crate::event::Event;
use crate::execute::blocks::Control;
use crate::execute::controller;
use crate::execute::lower::{Item, Tries, Work, truthy};
use crate::execute::vars::View;
use crate::playbook::{DebugWhen, Field, Spanned};
use crate::template::Truth;

/// The most steps that are planned by one message; what is beyond comes in the next.
pub(super) const MAX_BATCH: usize = 1000;

/// The fewest: where every step changes something, whatever is planned behind it is planned in vain.
const MIN_BATCH: usize = 32;

impl Run {
    /// Plans, on every host that has nothing planned ahead, all that can be.
    pub(super) async fn plan_ahead(&mut self) {
        let done = self.hosts.iter().map(HostRun::front).min().unwrap_or(0);
        let preview = self.preview();
        let ask = !self.dense;
        let mut asking = JoinSet::new();
        for at in 0..self.hosts.len() {
            if self.hosts[at].planned.iter().any(|planned| planned.stop().is_some()) {
                continue;
            }
            let from = self.hosts[at].planned.len();
            self.build(at, done);
            let tasks = if ask { self.wire_tasks(at, from) } else { Vec::new() };
            if tasks.is_empty() {
                continue;
            }
            self.batches += 1;
            let mode = if preview { Mode::Preview } else { Mode::Ask };
            let index = self.hosts[at].asks(from);
            let work = self.errand(&self.hosts[at].name.clone(), index);
            asking.spawn(async move { (at, work.batch(mode, Vec::new(), tasks, Show::Nothing).await) });
        }
        while let Some(answered) = asking.join_next().await {
            match answered {
                Ok((at, Ok(outcomes))) => self.take(at, outcomes),
                Ok((at, Err(lost))) => self.lost(at, lost, None).await,
                Err(panic) => self.send(Event::Warning(format!("internal error: {panic}"))).await,
            }
        }
    }

    /// The tasks of planned steps that have no outcome yet; a task's number is its place among them.
    pub(super) fn wire_tasks(&self, at: usize, from: usize) -> Vec<WireTask> {
        let mut tasks = Vec::new();
        for planned in self.hosts[at].planned.iter().skip(from).filter(|planned| !planned.solo) {
            for (item, outcome) in planned.items.iter().zip(&planned.outcomes) {
                if let (Work::Task(task), None) = (&item.work, outcome) {
                    tasks.push(WireTask { id: tasks.len() as u64, ..WireTask::clone(task) });
                }
            }
        }
        tasks
    }

    /// Fills in outcomes in order, and forgets what is planned beyond the first step without one.
    pub(super) fn take(&mut self, at: usize, outcomes: Vec<(u64, Outcome)>) {
        let host = &mut self.hosts[at];
        let mut outcomes = outcomes.into_iter();
        'steps: for planned in host.planned.iter_mut().filter(|planned| !planned.solo) {
            for (item, outcome) in planned.items.iter().zip(&mut planned.outcomes) {
                if matches!(item.work, Work::Task(_)) && outcome.is_none() {
                    match outcomes.next() {
                        Some((_, answer)) => *outcome = Some(answer),
                        None => break 'steps,
                    }
                }
            }
        }
        match host.planned.iter().position(|planned| planned.stop().is_some()) {
            Some(stop) => {
                host.planned.truncate(stop + 1);
                host.built = host.planned[stop].step + 1;
                // As it is not known how far it is to the next change: some times as far as it was to this one.
                host.window = (4 * stop).clamp(MIN_BATCH, MAX_BATCH);
            }
            None => host.window = (4 * host.window).min(MAX_BATCH),
        }
    }

    /// Plans a host's steps ahead, until one needs what is not known yet.
    pub(super) fn build(&mut self, at: usize, done: usize) {
        let compiled = Arc::clone(&self.compiled);
        let steps = &compiled.steps;
        // What comes behind an include that was planned while the step before it was applied is not known yet.
        if self.hosts[at].planned.iter().any(|planned| planned.stops(&steps[planned.step])) {
            return;
        }
        let mut control = self.hosts[at].control.clone();
        let mut route = None;
        let bound = self.bound().min(self.acted_upon(at, done));
        while self.hosts[at].built < bound && self.hosts[at].planned.len() < self.hosts[at].window {
            let index = self.hosts[at].built;
            let step = &steps[index];
            if !self.concerns(at, index) {
                self.hosts[at].built += 1;
                continue;
            }
            if self.hosts[at].play != Some(step.play) {
                self.refresh_stale(step.play);
                // Failures and notifications are a play's own: they begin anew when the one before is concluded.
                if self.hosts[at].planned.is_empty() {
                    self.enter(at, step.play);
                    if self.hosts[at].gone {
                        continue;
                    }
                }
                control = Control::default();
            }
            if self.preview() && self.may_be_notified(at, index) {
                return;
            }
            if !self.may_run(at, index, &mut control) {
                self.hosts[at].built += 1;
                continue;
            }
            if self.waits(at, index, done) || self.goes_elsewhere(at, index) {
                return;
            }
            route = self.log_in(at, index).or(route);
            let planned = self.plan_step(at, index);
            // What it sees here, or fails to see, may be what a step before it is about to make.
            if !self.hosts[at].planned.is_empty() && (step.looks_here || planned.fails()) {
                return;
            }
            self.knock(at, &planned, &mut route);
            let stops = planned.stops(step) || (self.dense && planned.stop().is_some());
            self.hosts[at].flushes(step, &planned);
            self.hosts[at].planned.push_back(planned);
            self.hosts[at].built += 1;
            if stops {
                return;
            }
        }
    }

    /// How far a host may plan in a preview before others have: what they would do to it (`delegate_to`) comes before all that
    /// is listed behind. When applying, what another host does to it makes what was planned doubtful, and it is planned again.
    fn acted_upon(&self, at: usize, done: usize) -> usize {
        if !self.preview() {
            return usize::MAX;
        }
        let acts = |step: &Step| match step.delegate_to() {
            None => false,
            Some(Field::Known(host)) => *host == self.hosts[at].name,
            Some(Field::Template(_)) => true,
        };
        let steps = self.steps().iter().enumerate().skip(done);
        steps.filter(|(_, step)| acts(step)).map(|(index, _)| index + 1).next().unwrap_or(usize::MAX)
    }

    /// Whether a step reads what is not concluded yet: on this host, or, through `hostvars`, on any (`done` is the first
    /// step that some host has not concluded). Not if one of its conditions holds it off anyway.
    pub(super) fn waits(&self, at: usize, index: usize, done: usize) -> bool {
        let steps = self.steps();
        let planned = |writer: usize| self.hosts[at].planned.iter().any(|planned| planned.step == writer);
        let pending = self.compiled.graph.reads(index).filter(|(writer, of)| match of {
            Readers::Itself => planned(*writer),
            Readers::All => *writer >= done,
        });
        let names: BTreeSet<&str> = pending.flat_map(|(writer, _)| &steps[writer].writes).map(String::as_str).collect();
        !names.is_empty() && !self.held_off(at, index, &names)
    }

    /// Whether a condition that depends on nothing pending does not hold. Of a loop the items come first: each of them is
    /// passed over by itself, and what they are may be pending.
    pub(super) fn held_off(&self, at: usize, index: usize, pending: &BTreeSet<&str>) -> bool {
        let step = &self.steps()[index];
        if step.task.looping.is_some() {
            return false;
        }
        let lower = self.lower(&self.hosts[at]);
        let view = self.view(at, index).shared();
        step.conditions().zip(&step.when_words).any(|(condition, words)| {
            let known = !words.iter().any(|word| pending.contains(word.as_str()));
            known && matches!(lower.all(std::slice::from_ref(condition), &view), Ok(Truth::No))
        })
    }

    pub(super) fn concerns(&self, at: usize, index: usize) -> bool {
        let host = &self.hosts[at];
        let step = &self.steps()[index];
        let hears = |audience: usize| self.compiled.audiences[audience].contains(&host.name);
        !host.gone
            && !host.failed_in.contains(&step.play)
            && !self.ended_plays.contains(&step.play)
            && self.members[step.play].contains(&host.name)
            && step.around.audience.is_none_or(hears)
    }

    pub(super) fn may_run(&self, at: usize, index: usize, control: &mut Control) -> bool {
        let step = &self.steps()[index];
        let forced = || {
            let play = &self.compiled.plays[step.play].play;
            let forced = matches!(&play.force_handlers, Some(Spanned { value: Field::Known(true), .. }));
            let ends_section = step.handler.as_ref().map_or(step.around.ends_section, |handler| handler.ends_section);
            forced && ends_section
        };
        if !(control.admits(step) || control.failed && forced()) {
            return false;
        }
        let host = &self.hosts[at];
        let unflushed = |handler: &Handler| host.unflushed.contains(&handler.flush);
        if !host.admits(step) || step.handler.as_ref().is_some_and(unflushed) {
            return false;
        }
        let of = |planned: &Planned| {
            let other = &self.steps()[planned.step];
            other.handler.as_ref().filter(|_| other.play == step.play).map(|handler| handler.at)
        };
        // Once it is planned it is not due any more; if what runs before it notifies it again, all is planned anew.
        let planned = |handler: &Handler| host.planned.iter().any(|planned| of(planned) == Some(handler.at));
        let notified = |handler: &Handler| host.is_notified(step.play, handler) && !planned(handler);
        let first = || self.first_alive(step) == Some(host.name.as_str());
        step.handler.as_ref().is_none_or(notified) && (!step.once || first())
    }

    /// Whether a step that is planned and not concluded may notify this handler. When applying, it is planned as if not:
    /// a notification comes with a change, after which all is planned again. A preview plans nothing twice.
    pub(super) fn may_be_notified(&self, at: usize, index: usize) -> bool {
        let steps = self.steps();
        let Some(handler) = &steps[index].handler else { return false };
        let notifies = |planned: &Planned| {
            let step = &steps[planned.step];
            let blocks = step.blocks().iter().flat_map(|(block, _)| &block.notify);
            step.play == steps[index].play
                && step.task.notify.iter().chain(blocks).any(|notify| match &notify.value {
                    Field::Known(name) => handler.names.contains(name),
                    Field::Template(_) => true,
                })
        };
        self.hosts[at].planned.iter().any(notifies)
    }

    /// The host that does a step for all: the first that comes to it. One that has failed goes another way, into `rescue`.
    fn first_alive(&self, step: &Step) -> Option<&str> {
        let play = step.play;
        let order = &self.compiled.plays[play].hosts;
        let comes = |host: &HostRun| host.play != Some(play) || host.control.clone().admits(step);
        let alive = |name: &&String| {
            let lives = |host: &HostRun| !host.gone && !host.ended.contains(&play) && comes(host);
            self.place(name).is_some_and(|at| lives(&self.hosts[at]))
        };
        order.iter().find(alive).map(String::as_str)
    }

    pub(super) fn enter(&mut self, at: usize, play: usize) {
        let host = &mut self.hosts[at];
        host.control.finish();
        // A host that has failed is out, in later plays too.
        host.gone |= host.control.failed;
        if host.control.failed {
            host.failed_in.extend(host.play);
        }
        *host = HostRun {
            play: Some(play),
            gone: host.gone,
            planned: std::mem::take(&mut host.planned),
            built: host.built,
            ended: std::mem::take(&mut host.ended),
            failed_in: std::mem::take(&mut host.failed_in),
            lost_in: std::mem::take(&mut host.lost_in),
            unflushed: std::mem::take(&mut host.unflushed),
            left_roles: std::mem::take(&mut host.left_roles),
            ran: std::mem::take(&mut host.ran),
            notices: std::mem::take(&mut host.notices),
            recap: host.recap,
            window: host.window,
            login: host.login.take(),
            ..HostRun::new(&host.name)
        };
    }

    pub(super) fn plan_step(&self, at: usize, index: usize) -> Planned {
        self.plan_with(at, index, self.view(at, index))
    }

    /// The same with these variables.
    pub(super) fn plan_with(&self, at: usize, index: usize, view: View) -> Planned {
        let step = &self.steps()[index];
        let asks = self.debugs(step, &view.clone().shared()).is_some_and(|when| when != DebugWhen::Never);
        let lower = self.lower(&self.hosts[at]);
        let mut items = lower.items(step, &view).unwrap_or_else(|error| {
            vec![Item { label: None, view: view.clone(), work: error.into(), tries: Tries::Once, acts: None }]
        });
        let compute = |item: &Item| match &item.work {
            Work::Task(task) if step.entry.place == Place::Controller => Some(controller::plan(task)),
            _ => None,
        };
        let mut outcomes: Vec<Option<Outcome>> = items.iter().map(compute).collect();
        let remote =
            items.iter().zip(&outcomes).any(|(item, outcome)| matches!(item.work, Work::Task(_)) && outcome.is_none());
        let previews = match lower.keyword(step, &view.clone().shared(), |common| &common.check_mode) {
            Ok(Some(check)) => truthy(&check),
            // An error is the items', too; meanwhile nothing is applied.
            Err(_) => true,
            Ok(None) => self.preview(),
        };
        let really = self.preview() && !previews;
        let delegated = items.iter().any(|item| item.acts.is_some());
        let paused =
            step.task.looping.as_ref().is_some_and(|looping| looping.control.pause.is_some()) && items.len() > 1;
        let alone = delegated
            || asks
            || step.is_ours()
            || step.once
            || step.reads_itself
            || !step.task.retry.until.is_empty()
            || really;
        let solo = alone && remote || paused && !previews;
        let gates = match lower.gates(step, &view.clone().shared()) {
            Ok(gates) => gates,
            Err(error) => {
                items = vec![Item { label: None, view, work: Work::Error(error), tries: Tries::Once, acts: None }];
                outcomes = vec![None];
                Vec::new()
            }
        };
        Planned {
            step: index,
            items,
            outcomes,
            solo,
            previews,
            gates,
            unreachable: None,
            applied: false,
            asks,
            told: false,
            began: Instant::now(),
        }
    }
}
