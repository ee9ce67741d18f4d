//! Applying a step on the hosts that have stopped at it, and talking to their agents.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc::Sender;
use tokio::task::JoinSet;
use trueup_modules::module::Place;
use trueup_modules::wire::{Mode, Outcome, Task as WireTask};

use super::host::Planned;
use super::onward::{Reach, is_plain};
use super::{Run, Shared, lower_with};
use crate::compile::Step;
use crate::event::Event;
use crate::execute::controller;
use crate::execute::fleet::{Opener, Route, Slot};
use crate::execute::judge::{Judged, judge, own};
use crate::execute::lower::{Item, Lower, Work};
use crate::execute::vars::{Layers, View};
use crate::playbook::Field;
use crate::remote::{RemoteError, Told};
use crate::template::Truth;
use crate::value::Value;

impl Run {
    /// What it takes to run tasks on a host, to be moved into a task of the runtime.
    pub(super) fn errand(&mut self, host: &str) -> Errand {
        let vars = self.fleet.hosts.get(host).cloned().unwrap_or_default();
        let view = View::new(&vars, &self.fleet, &[], &Layers::default()).shared();
        let route = self.connections.route(host, &view, &self.shared.program.templar, &self.shared.options);
        if let (Ok(route), Some(run)) = (&route, self.hosts.iter_mut().find(|run| run.name == host)) {
            run.login.clone_from(&route.login);
        }
        Errand {
            host: host.into(),
            route,
            slot: self.connections.slot(host),
            opener: self.connections.opener(),
            events: self.events.clone(),
        }
    }

    /// Applies the step at the frontier on every host that has stopped there, all at the same time.
    pub(super) async fn apply_at(&mut self, frontier: usize) {
        let preview = self.preview();
        let mut applying = JoinSet::new();
        let stops = |planned: &Planned| planned.step == frontier && planned.stop(preview).is_some();
        let due = |at: &usize| self.hosts[*at].planned.front().is_some_and(stops);
        let due: Vec<usize> = (0..self.hosts.len()).filter(due).collect();
        let reach = self.reach(frontier, &due);
        for at in due {
            let onward = if let Reach::All = reach { Vec::new() } else { self.onward(at, frontier) };
            let Some(planned) = self.hosts[at].planned.pop_front() else { continue };
            let acts = planned.solo.as_ref().and_then(|solo| solo.acts.clone());
            let errand = self.errand(&acts.unwrap_or_else(|| self.hosts[at].name.clone()));
            let (shared, compiled) = (Arc::clone(&self.shared), Arc::clone(&self.compiled));
            let connections = self.connections.blobs.clone();
            let login = self.hosts[at].login.clone();
            let host = self.hosts[at].name.clone();
            applying.spawn(async move {
                let mut planned = planned;
                let asked = onward.len();
                let lower = lower_with(&shared, &compiled, &connections, login);
                let done = finish_step(&shared, &lower, &errand, &host, &mut planned, onward).await;
                (at, asked, planned, done)
            });
        }
        let mut ended = BTreeMap::new();
        while let Some(applied) = applying.join_next().await {
            match applied {
                Ok((at, asked, planned, result)) => drop(ended.insert(at, (asked, planned, result))),
                Err(panic) => self.send(Event::Warning(format!("internal error: {panic}"))).await,
            }
        }
        for (at, (asked, planned, result)) in ended {
            match result {
                Ok((batches, outcomes)) => {
                    self.batches += batches;
                    self.conclude(at, planned).await;
                    self.arrive(at, frontier, asked, outcomes);
                }
                Err(lost) => self.lost(at, &lost).await,
            }
        }
        if !preview {
            self.doubt(frontier, &reach);
        }
    }

    pub(super) async fn lost(&mut self, at: usize, lost: &Lost) {
        // What was its to do once for all is now another's, who may have passed it over.
        let once =
            self.hosts[at].planned.iter().map(|planned| planned.step).find(|step| self.compiled.steps[*step].once);
        if let Some(once) = once {
            self.hosts.iter_mut().for_each(|host| host.forget_from(once));
        }
        let host = &mut self.hosts[at];
        host.gone = true;
        host.recap.unreachable += 1;
        host.planned.clear();
        host.built = self.compiled.steps.len();
        let (host, reason, hints) = (host.name.clone(), lost.reason.clone(), lost.hints.clone());
        self.send(Event::Unreachable { host, reason, hints }).await;
    }
}

/// A host could not be reached, or was lost.
pub(super) struct Lost {
    pub(super) reason: String,
    pub(super) hints: Vec<String>,
}

/// What it takes to run tasks on a host.
pub(super) struct Errand {
    host: String,
    route: Result<Route, String>,
    slot: Slot,
    opener: Opener,
    events: Sender<Event>,
}

impl Errand {
    pub(super) async fn batch(
        &self,
        mode: Mode,
        due: usize,
        tasks: Vec<WireTask>,
        show: Show,
    ) -> Result<Vec<(u64, Outcome)>, Lost> {
        let lost = |error: RemoteError| Lost { hints: error.hints(), reason: error.to_string() };
        let route = self.route.as_ref().map_err(|reason| Lost { reason: reason.clone(), hints: Vec::new() })?;
        let mut slot = self.slot.lock().await;
        if slot.is_none() {
            let remote = self.opener.open(route).await.map_err(lost)?;
            let _ = self.events.send(Event::Connected { host: self.host.clone(), via: remote.via.clone() }).await;
            *slot = Some(remote);
        }
        let Some(remote) = slot.as_mut() else {
            return Err(Lost { reason: "not connected".into(), hints: Vec::new() });
        };
        let mut told = |told: Told| {
            if show == Show::Nothing {
                return;
            }
            let host = self.host.clone();
            // Only for display: if the reporter can't keep up, some are left out.
            let _ = self.events.try_send(match told {
                Told::Line(stream, text) => Event::Line { host, stream, text },
                Told::Progress(progress) => Event::Progress { host, progress },
            });
        };
        let answer = remote.batch(mode, due, tasks, &mut told).await;
        if answer.is_err() {
            *slot = None;
        }
        answer.map_err(lost)
    }
}

/// What is told of a task while it runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Show {
    /// What it prints, and how far it is.
    Lines,
    /// Nothing: it only looks, or `no_log` says so.
    Nothing,
}

/// Applies what is left of a step's items, and has planned what comes next. Yields how many batches it took, and what came
/// of the plans.
async fn finish_step(
    shared: &Shared,
    lower: &Lower<'_>,
    errand: &Errand,
    host: &str,
    planned: &mut Planned,
    onward: Vec<WireTask>,
) -> Result<(u64, Vec<(u64, Outcome)>), Lost> {
    let step = &lower.program.steps[planned.step];
    let mode = if shared.options.preview { Mode::Preview } else { Mode::Apply };
    let solo = planned.solo.is_some();
    if is_plain(step) && step.entry.place == Place::Host && !solo && !shared.options.preview {
        let hidden = planned.items.iter().any(|item| shown(lower, step, item) == Show::Nothing);
        let show = if hidden { Show::Nothing } else { Show::Lines };
        return Ok((1, apply_whole(errand, host, planned, onward, show).await?));
    }
    let mut batches = 0;
    for at in 0..planned.items.len() {
        let Work::Task(task) = &planned.items[at].work else { continue };
        let settled = matches!(planned.outcomes[at], Some(Outcome::Ok(_) | Outcome::Changed(_) | Outcome::Unknown(..)));
        if settled || (shared.options.preview && planned.outcomes[at].is_some()) {
            continue;
        }
        let name = task.name.clone();
        let _ = errand.events.send(Event::Running { host: host.into(), task: name.clone() }).await;
        let mut left = retries(shared, step, &planned.items[at]);
        let show = shown(lower, step, &planned.items[at]);
        loop {
            let outcome = match step.entry.place {
                Place::Controller => Some(controller::plan(task)),
                Place::Host => {
                    batches += 1;
                    let sent = errand.batch(mode, 1, vec![WireTask::clone(task)], show).await?;
                    sent.into_iter().next_back().map(|(_, outcome)| outcome)
                }
            };
            let judged = judge(lower, step, &planned.items[at], outcome.as_ref(), &name, None);
            let again = !shared.options.preview && left.0 > 0 && again(lower, step, &planned.items[at], &judged);
            let failed = judged.failed();
            planned.outcomes[at] = outcome;
            if !again {
                if failed && !solo && planned.items.len() == 1 {
                    return Ok((batches, Vec::new()));
                }
                break;
            }
            left.0 -= 1;
            let _ = errand.events.send(Event::Retrying { host: host.into(), task: name.clone(), left: left.0 }).await;
            tokio::time::sleep(left.1).await;
        }
    }
    Ok((batches, Vec::new()))
}

/// Applies all that is left of a step's items by one message, and has planned what comes next.
async fn apply_whole(
    errand: &Errand,
    host: &str,
    planned: &mut Planned,
    onward: Vec<WireTask>,
    show: Show,
) -> Result<Vec<(u64, Outcome)>, Lost> {
    let settled = |outcome: &Option<Outcome>| matches!(outcome, Some(Outcome::Ok(_) | Outcome::Changed(_)));
    let each = planned.items.iter().zip(&mut planned.outcomes).filter(|(_, outcome)| !settled(outcome));
    let (tasks, ends): (Vec<_>, Vec<_>) = each
        .filter_map(|(item, outcome)| match &item.work {
            Work::Task(task) => Some((WireTask::clone(task), outcome)),
            _ => None,
        })
        .unzip();
    if let Some(task) = tasks.first() {
        let _ = errand.events.send(Event::Running { host: host.into(), task: task.name.clone() }).await;
    }
    let due = tasks.len();
    let tasks = tasks.into_iter().chain(onward).zip(0..).map(|(task, id)| WireTask { id, ..task }).collect();
    let mut outcomes = errand.batch(Mode::Apply, due, tasks, show).await?.into_iter();
    for (end, (_, outcome)) in ends.into_iter().zip(outcomes.by_ref()) {
        *end = Some(outcome);
    }
    Ok(outcomes.collect())
}

/// What can't be told is kept secret.
fn shown(lower: &Lower<'_>, step: &Step, item: &Item) -> Show {
    let vars = item.view.clone().shared();
    match lower.flag(step, &vars, |common| &common.no_log) {
        Ok(false) => Show::Lines,
        Ok(true) | Err(_) => Show::Nothing,
    }
}

/// How often a step is tried again, and how long is waited before.
fn retries(shared: &Shared, step: &Step, item: &Item) -> (u64, std::time::Duration) {
    let vars = item.view.clone().shared();
    let templar = &shared.program.templar;
    let number = |field: &Field<i64>| match field {
        Field::Known(n) => Some(*n),
        Field::Template(template) => match templar.render(template, &vars) {
            Ok(Value::Int(n)) => Some(n),
            Ok(Value::Str(text)) => text.parse().ok(),
            _ => None,
        },
    };
    let retry = &step.task.retry;
    let times = match &retry.retries {
        Some(retries) => number(&retries.value).unwrap_or(3),
        None if retry.until.is_empty() => 0,
        None => 3,
    };
    let delay = match retry.delay.as_ref().map(|delay| &delay.value) {
        Some(Field::Known(seconds)) => *seconds,
        Some(Field::Template(template)) => match templar.render(template, &vars) {
            #[expect(clippy::cast_precision_loss, reason = "seconds")]
            Ok(Value::Int(n)) => n as f64,
            Ok(Value::Float(seconds)) => seconds,
            _ => 5.0,
        },
        None => 5.0,
    };
    let delay = std::time::Duration::try_from_secs_f64(delay).unwrap_or(std::time::Duration::from_secs(5));
    (u64::try_from(times).unwrap_or(0), delay)
}

/// Whether an attempt was not the last: `until` does not hold, or without one, it failed.
fn again(lower: &Lower<'_>, step: &Step, item: &Item, judged: &Judged) -> bool {
    if step.task.retry.until.is_empty() {
        return judged.failed();
    }
    let vars = item.view.clone().with(own(step, judged)).shared();
    !matches!(lower.all(&step.task.retry.until, &vars), Ok(Truth::Yes))
}
