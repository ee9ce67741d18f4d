//! Applying a step on the hosts that have stopped at it, and talking to their agents.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::mpsc::Sender;
use tokio::task::JoinSet;
use trueup_modules::wire::{Mode, Outcome, Task as WireTask};

use super::finish::{Finished, finish_step};
use super::host::Planned;
use super::onward::{Onward, Reach};
use super::{Run, lower_with};
use crate::event::Event;
use crate::execute::fleet::{Line, Opener, Route, Slot};
use crate::execute::lower::Item;
use crate::execute::vars::View;
use crate::remote::{Question, RemoteError, Told};

/// How many steps in a row, and how many tasks, were sent along.
type Asked = (usize, usize);

/// What came of applying a step on a host.
type Applied = Result<Finished, Lost>;

/// By host.
type Ended = BTreeMap<usize, (Asked, Planned, Applied)>;

impl Run {
    /// What it takes to run tasks on a host, to be moved into a task of the runtime.
    pub(super) fn errand(&mut self, host: &str, index: usize) -> Errand {
        let route = self.route(host, index);
        Errand {
            host: host.into(),
            slot: self.connections.slot(host, route.as_ref().ok()),
            route,
            opener: self.connections.opener(),
            events: self.events.clone(),
        }
    }

    /// How a host is reached by a step.
    pub(super) fn route(&self, host: &str, index: usize) -> Result<Route, String> {
        let step = &self.steps()[index];
        let vars = self.fleet.get(host).unwrap_or_default();
        let view = View::new(&vars, &self.fleet, &[], &self.scope(step).layers).shared();
        let lower = lower_with(&self.shared, &self.compiled, &self.connections.blobs, None);
        let keywords = lower.connection(step, &view).map_err(|error| error.to_string())?;
        self.connections.route(host, &view, keywords, &self.shared.program.templar, &self.shared.options)
    }

    /// What it takes to run the items of a step, on its host and on all that act in its place.
    pub(super) fn errands(&mut self, at: usize, planned: &Planned) -> Errands {
        let others: BTreeSet<&String> = planned.items.iter().filter_map(|item| item.acts.as_ref()).collect();
        let name = self.hosts[at].name.clone();
        Errands {
            own: self.errand(&name, planned.step),
            others: others.into_iter().map(|other| (other.clone(), self.errand(other, planned.step))).collect(),
        }
    }

    /// Waits for what is being applied.
    async fn gather(&self, applying: &mut JoinSet<(usize, Asked, Planned, Applied)>, ended: &mut Ended) {
        while let Some(applied) = applying.join_next().await {
            match applied {
                Ok((at, asked, planned, result)) => drop(ended.insert(at, (asked, planned, result))),
                Err(panic) => self.send(Event::Warning(format!("internal error: {panic}"))).await,
            }
        }
    }

    /// Applies the step at the frontier on every host that has stopped there, all at the same time.
    pub(super) async fn apply_at(&mut self, frontier: usize) {
        let mut applying = JoinSet::new();
        let mut ended = BTreeMap::new();
        let stops = |planned: &Planned| planned.step == frontier && planned.stop().is_some();
        let due = |at: &usize| self.hosts[*at].planned.front().is_some_and(stops);
        let due: Vec<usize> = (0..self.hosts.len()).filter(due).collect();
        let reach = self.reach(frontier, &due);
        for at in due {
            let onward = if let Reach::All = reach { Onward::default() } else { self.onward(at, frontier, &reach) };
            let Some(planned) = self.hosts[at].planned.pop_front() else { continue };
            let errands = self.errands(at, &planned);
            let (shared, compiled) = (Arc::clone(&self.shared), Arc::clone(&self.compiled));
            let connections = self.connections.blobs.clone();
            let login = self.hosts[at].login().cloned();
            let host = self.hosts[at].name.clone();
            let queue = self.gates.queue(if planned.previews { &[] } else { &planned.gates });
            applying.spawn(async move {
                let _held = queue.pass().await;
                let mut planned = planned;
                let asked = (onward.due.len(), onward.tasks.len());
                let lower = lower_with(&shared, &compiled, &connections, login);
                let done = finish_step(&shared, &lower, &errands, &host, &mut planned, onward).await;
                (at, asked, planned, done)
            });
            // One at a time is one after the other, in the order of the play.
            if self.shared.options.forks == 1 {
                self.gather(&mut applying, &mut ended).await;
            }
        }
        self.gather(&mut applying, &mut ended).await;
        // What is done stays, whatever becomes of another host.
        for (at, ((row, _), _, result)) in &mut ended {
            if let Ok(finished) = result {
                let mut outcomes = std::mem::take(&mut finished.onward).into_iter();
                self.hosts[*at].applied(*row, &mut outcomes.by_ref().map(|(_, outcome)| outcome));
                finished.onward = outcomes.collect();
            }
        }
        self.pace(&reach, ended.values().map(|(_, planned, _)| planned));
        for (at, ((_, asked), planned, result)) in ended {
            match result {
                Ok(Finished { batches, onward, lost }) => {
                    self.batches += batches;
                    self.conclude(at, planned).await;
                    self.arrive(at, frontier, asked, onward);
                    if let Some(lost) = lost {
                        self.lost(at, lost, None).await;
                    }
                }
                Err(lost) => self.lost(at, lost, Some(planned)).await,
            }
        }
        if !self.preview() {
            self.doubt(frontier, &reach);
        }
    }

    /// A host is lost, at a step that was to be applied or at the first that it cannot plan; but a step may ignore that.
    pub(super) async fn lost(&mut self, at: usize, lost: Lost, applied: Option<Planned>) {
        match self.ignored(at, lost, applied) {
            Ok(None) => {}
            Ok(Some(planned)) => drop(self.conclude(at, planned).await),
            Err((lost, index)) => {
                self.fatal_losses.extend(index.filter(|index| self.is_fatal(*index)).map(|index| (at, index)));
                self.give_up(at, lost, index).await;
            }
        }
    }

    /// Notes the loss at the step that ignores it, and yields that if it is to be concluded; or the loss again, with the step
    /// that it happened at.
    pub(super) fn ignored(
        &mut self,
        at: usize,
        lost: Lost,
        applied: Option<Planned>,
    ) -> Result<Option<Planned>, (Lost, Option<usize>)> {
        let planned = &self.hosts[at].planned;
        let step = applied.as_ref().or_else(|| planned.iter().find(|planned| planned.stop().is_some()));
        let index = step.map(|planned| planned.step);
        let Some(index) = index.filter(|index| self.ignores_unreachable(at, *index)) else {
            return Err((lost, index));
        };
        self.hosts[at].forget_after(index);
        match (applied, self.hosts[at].planned.back_mut()) {
            (Some(planned), _) => return Ok(Some(Planned { unreachable: Some(lost), ..planned })),
            (None, Some(planned)) => planned.unreachable = Some(lost),
            (None, None) => {}
        }
        Ok(None)
    }

    /// A host takes no further part. `index` is the step at which it was lost.
    pub(super) async fn give_up(&mut self, at: usize, lost: Lost, index: Option<usize>) {
        let play = index.map(|index| self.steps()[index].play);
        // What was its to do once for all is now another's, who may have passed it over.
        let once =
            self.hosts[at].planned.iter().map(|planned| planned.step).find(|step| self.compiled.steps[*step].once);
        if let Some(once) = once {
            self.hosts.iter_mut().for_each(|host| host.forget_from(once));
        }
        let host = &mut self.hosts[at];
        host.gone = true;
        host.lost_in.extend(play);
        host.recap.unreachable += 1;
        // What it has done is told of yet, each when it is its turn.
        host.forget_from(index.unwrap_or(0));
        host.built = self.compiled.steps.len();
        let (host, Lost { reason, hints, .. }) = (host.name.clone(), lost);
        self.send(Event::Unreachable { host, reason, hints }).await;
    }

    fn ignores_unreachable(&self, at: usize, index: usize) -> bool {
        let vars = self.view(at, index).shared();
        let lower = self.lower(&self.hosts[at]);
        matches!(lower.flag(&self.steps()[index], &vars, |common| &common.ignore_unreachable), Ok(true))
    }
}

/// A host could not be reached, or was lost.
pub(super) struct Lost {
    pub(super) reason: String,
    pub(super) hints: Vec<String>,
    /// What it had answered before, to what it was asked last.
    pub(super) heard: Vec<(u64, Outcome)>,
}

impl Lost {
    fn new(reason: String, hints: Vec<String>) -> Self {
        Self { reason, hints, heard: Vec::new() }
    }
}

/// What it takes to run a step's items, each on the host that acts.
pub(super) struct Errands {
    pub(super) own: Errand,
    others: BTreeMap<String, Errand>,
}

impl Errands {
    pub(super) fn of(&self, item: &Item) -> &Errand {
        item.acts.as_ref().and_then(|other| self.others.get(other)).unwrap_or(&self.own)
    }
}

/// What it takes to run tasks on a host.
pub(super) struct Errand {
    host: String,
    route: Result<Route, String>,
    slot: Slot,
    opener: Opener,
    pub(super) events: Sender<Event>,
}

impl Errand {
    /// Whether the host is this machine, without a connection.
    pub(super) fn is_local(&self) -> bool {
        self.route.as_ref().is_ok_and(Route::is_local)
    }

    /// Ends the connection; what comes next makes another.
    pub(super) async fn hang_up(&self) {
        *self.slot.lock().await = Line::Down;
    }

    pub(super) async fn batch(
        &self,
        mode: Mode,
        due: Vec<usize>,
        tasks: Vec<WireTask>,
        show: Show,
    ) -> Result<Vec<(u64, Outcome)>, Lost> {
        let lost = |error: RemoteError| Lost::new(error.to_string(), error.hints());
        let route = self.route.as_ref().map_err(|reason| Lost::new(reason.clone(), Vec::new()))?;
        let mut slot = self.slot.lock().await;
        let question = Question { mode, due, tasks };
        let (mut remote, asked) = match std::mem::take(&mut *slot) {
            Line::Up(mut remote) => {
                let asked = remote.ask(question).await;
                (remote, asked)
            }
            line => {
                let connection = match line {
                    Line::Early(connection) => connection,
                    _ => self.opener.connect(route).await,
                };
                let connection = connection.map_err(|error| lost(error.into()))?;
                let remote = self.opener.start(connection, route, question).await.map_err(lost)?;
                let _ = self.events.send(Event::Connected { host: self.host.clone(), via: remote.via.clone() }).await;
                (Box::new(remote), Ok(()))
            }
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
        let mut heard = Vec::new();
        let answered = match asked {
            Ok(()) => remote.answers(&mut heard, &mut told).await,
            Err(error) => Err(error),
        };
        match answered {
            Ok(()) => {
                *slot = Line::Up(remote);
                Ok(heard)
            }
            Err(error) => Err(Lost { heard, ..lost(error) }),
        }
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
