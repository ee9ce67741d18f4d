//! Going through a region: each host as what it needs allows, without waiting for the others.
//!
//! What may begin is for [`Schedule`] to say; here it is planned, applied and concluded, with what the lockstep of the other
//! plays uses, too. A host takes one node after the other, and plans as many ahead in one message as have nothing left to
//! wait for. It stops at the first step that has something to do, applies it, and plans on in the same message. So a
//! region in which nothing is to be done costs each host one round trip for each time that it waits for another host, and
//! one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::task::JoinSet;
use trueup_modules::wire::{Mode, Outcome};

use super::apply::{Lost, Show};
use super::finish::finish_step;
use super::host::Planned;
use super::onward::is_plain;
use super::{Pending, Run, lower_with};
use crate::compile::region::{Key, Of};
use crate::compile::{Region, Step};
use crate::event::Event;
use crate::execute::blocks::Control;
use crate::playbook::Field;
use crate::schedule::{Edge, News, Node, Schedule, Scope, Unit};

/// A region under way.
pub(super) struct Course {
    region: Arc<Region>,
    schedule: Schedule,
    ways: Vec<Way>,
    /// Nodes with a `run_once` that a host has done for all, and how that ended.
    once: BTreeMap<Key, Result<(), Unit>>,
    /// In a preview: what is to be done.
    pending: Vec<Pending>,
    /// Hosts to look at.
    awake: BTreeSet<usize>,
}

/// A host's way through.
#[derive(Default)]
struct Way {
    /// The node that it is in, how many of its steps are behind, and where it is in their blocks.
    current: Option<(Key, usize, Control)>,
    /// Nodes of which all that there is to plan is planned.
    walked: BTreeSet<usize>,
}

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
        self.leave(&course).await;
        true
    }

    fn course(&self, region: Arc<Region>) -> Course {
        let schedule = Schedule::new(self.schedule_nodes(&region), self.schedule_edges(&region));
        Course {
            schedule,
            ways: self.hosts.iter().map(|_| Way::default()).collect(),
            once: BTreeMap::new(),
            pending: Vec::new(),
            awake: (0..self.hosts.len()).collect(),
            region,
        }
    }

    fn schedule_nodes(&self, region: &Region) -> Vec<Node> {
        let node = |node: &crate::compile::region::Node| {
            let member = |at: &usize| {
                let host = &self.hosts[*at];
                !host.gone
                    && !host.control.failed
                    && !host.failed_in.contains(&node.play)
                    && self.members[node.play].contains(&host.name)
            };
            Node { hosts: (0..self.hosts.len()).filter(member).collect(), works: !node.steps.is_empty() }
        };
        region.nodes.iter().map(node).collect()
    }

    fn schedule_edges(&self, region: &Region) -> Vec<Edge> {
        let scope = |of: &Of| match of {
            Of::Own => Scope::Own,
            Of::All => Scope::All,
            Of::Hosts(names) => {
                Scope::Hosts((0..self.hosts.len()).filter(|at| names.contains(&self.hosts[*at].name)).collect())
            }
        };
        let edges = region.edges.iter();
        edges.map(|edge| Edge { from: edge.from, to: edge.to, scope: scope(&edge.of), must: edge.must }).collect()
    }

    /// Includes have put steps into the list.
    async fn renew(&mut self, course: &mut Course) {
        let Some(region) = self.compiled.regions.get(self.passed).cloned() else { return };
        let before = std::mem::replace(&mut course.region, Arc::new(region));
        let was = |node: usize| before.nodes.iter().position(|old| old.key == course.region.nodes[node].key);
        // Who has failed or was lost meanwhile is still known to the schedule.
        let mut nodes = self.schedule_nodes(&course.region);
        for (at, node) in nodes.iter_mut().enumerate() {
            if let Some(old) = was(at) {
                node.hosts = course.schedule.hosts(old).clone();
            }
        }
        let edges = self.schedule_edges(&course.region);
        let (schedule, news) = course.schedule.renewed(nodes, edges, &was);
        course.schedule = schedule;
        course.ways.iter_mut().for_each(|way| way.walked.clear());
        self.say_skipped(course, news).await;
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
            let errand = self.errand(&self.hosts[at].name.clone());
            self.hosts[at].flying = true;
            flights.spawn(async move {
                let answer = errand.batch(mode, 0, tasks, Show::Nothing).await;
                (at, answer.map(Landed::Planned).map_err(|lost| (lost, None)))
            });
        }
    }

    fn fly_to_apply(&mut self, course: &mut Course, at: usize, flights: &mut Flights) {
        let preview = self.preview();
        let Some(first) = self.hosts[at].planned.front() else { return };
        let step = Arc::clone(&self.steps()[first.step]);
        let plain = !preview && first.solo.is_none() && is_plain(&step);
        if plain {
            self.build_in(course, at);
        }
        let onward = if plain { self.wire_tasks(at, 1) } else { Vec::new() };
        let Some(mut planned) = self.hosts[at].planned.pop_front() else { return };
        let acts = planned.solo.as_ref().and_then(|solo| solo.acts.clone());
        let host = self.hosts[at].name.clone();
        let errand = self.errand(&acts.unwrap_or_else(|| host.clone()));
        let (shared, compiled) = (Arc::clone(&self.shared), Arc::clone(&self.compiled));
        let (blobs, login) = (self.connections.blobs.clone(), self.hosts[at].login.clone());
        let queue = self.gates.queue(if planned.previews { &[] } else { &planned.gates });
        self.hosts[at].flying = true;
        flights.spawn(async move {
            let _held = queue.pass().await;
            let asked = onward.len();
            let lower = lower_with(&shared, &compiled, &blobs, login);
            let done = finish_step(&shared, &lower, &errand, &host, &mut planned, onward).await;
            let planned = Box::new(planned);
            let step = (step.play, step.id);
            let landed = match done {
                Ok((batches, outcomes)) => Ok(Landed::Applied { step, asked, planned, batches, outcomes }),
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
            Err((lost, play)) => {
                self.give_up(at, lost, play).await;
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
        let after = |pending: &&Pending| {
            course
                .region
                .node_of(pending.step)
                .is_some_and(|other| other == node || course.region.comes_after(node, other))
        };
        let waits = |far: bool| course.pending.iter().filter(after).find(|one| one.far == far);
        let why = waits(true).or(waits(false)).map(|pending| pending.why.clone());
        let steps = self.steps().len();
        let ended = self.end(at, planned, why).await;
        if let Some(far) = ended.waits {
            let why = trueup_modules::host::Why { after: ended.name };
            course.pending.push(Pending { step: index, why, far });
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

    /// Plans ahead what of a host's nodes has nothing to wait for.
    fn build_in(&mut self, course: &mut Course, at: usize) {
        let region = Arc::clone(&course.region);
        let current = course.ways[at].current.as_ref().map(|(key, ..)| *key);
        let first = region.nodes.iter().position(|node| Some(node.key) == current);
        let others = (0..region.nodes.len()).filter(|node| Some(*node) != first);
        let mut walked = BTreeSet::new();
        for node in first.into_iter().chain(others) {
            let unit = Unit { node, host: at };
            if !course.schedule.ready(unit, &walked) {
                continue;
            }
            match self.walk(course, unit) {
                Walk::All => drop(walked.insert(node)),
                Walk::Waits => {}
                Walk::Stops => break,
                Walk::Failed => {
                    walked.insert(node);
                    break;
                }
            }
        }
        course.ways[at].walked = walked;
    }

    /// Plans what is left of a node.
    fn walk(&mut self, course: &Course, unit: Unit) -> Walk {
        let at = unit.host;
        let node = &course.region.nodes[unit.node];
        let (from, mut control) = course.begin(unit);
        for index in node.steps[from..].iter().copied() {
            let step = Arc::clone(&self.steps()[index]);
            if let Some(planned) = self.hosts[at].planned.iter().find(|planned| planned.step == index) {
                control.admits(&step);
                if planned.solo.is_some() || step.turns() {
                    return Walk::Stops;
                }
                continue;
            }
            match self.turn(course, unit, index, &mut control) {
                Turn::Passes => continue,
                Turn::Waits => return Walk::Waits,
                Turn::Runs => {}
            }
            if self.preview() && self.may_be_notified(at, index) || self.reads_what_is_planned(at, index) {
                return Walk::Stops;
            }
            let planned = self.plan_step(at, index);
            let stops = planned.stops(&step);
            self.hosts[at].planned.push_back(planned);
            if stops || self.hosts[at].planned.len() >= super::ahead::MAX_BATCH {
                return Walk::Stops;
            }
        }
        control.finish();
        if control.failed { Walk::Failed } else { Walk::All }
    }

    fn turn(&self, course: &Course, unit: Unit, index: usize, control: &mut Control) -> Turn {
        let step = &self.steps()[index];
        if !self.concerns(unit.host, index) {
            return Turn::Passes;
        }
        if step.once {
            let node = &course.region.nodes[unit.node];
            let order = &self.compiled.plays[step.play].hosts;
            let open = |name: &&String| {
                let at = self.hosts.iter().position(|host| host.name == **name);
                at.is_some_and(|host| course.schedule.is_open(Unit { host, ..unit }))
            };
            let mine = order.iter().find(open) == Some(&self.hosts[unit.host].name);
            match course.once.contains_key(&node.key) {
                true => return Turn::Passes,
                false if !mine => return Turn::Waits,
                false => {}
            }
        }
        // In a preview, a handler waits for whatever may notify it.
        if self.preview() && step.handler.is_some() && self.may_be_notified(unit.host, index) {
            return Turn::Runs;
        }
        if self.may_run(unit.host, index, control) { Turn::Runs } else { Turn::Passes }
    }

    /// Whether a step reads what this host sets in a step that is planned and not concluded.
    fn reads_what_is_planned(&self, at: usize, index: usize) -> bool {
        let step = &self.steps()[index];
        // Not by the edges: what needs it may be listed before it.
        let written = self.hosts[at].planned.iter().flat_map(|planned| &self.steps()[planned.step].writes);
        let names: BTreeSet<&str> = written.filter(|name| step.may_read(name)).map(String::as_str).collect();
        !names.is_empty() && !self.held_off(at, index, &names)
    }

    /// Closes the nodes that nothing is left of. True if there was one.
    async fn close_walked(&mut self, course: &mut Course, at: usize) -> bool {
        let mut any = false;
        let walked: Vec<usize> = course.ways[at].walked.iter().copied().collect();
        for node in walked {
            let unit = Unit { node, host: at };
            let planned = |planned: &Planned| course.region.nodes[node].steps.contains(&planned.step);
            let ready = course.schedule.ready(unit, &BTreeSet::new());
            if !ready || self.hosts[at].planned.iter().any(planned) || self.remains(course, unit) {
                continue;
            }
            let key = course.region.nodes[node].key;
            let (_, mut control) = course.begin(unit);
            control.finish();
            let end = if control.failed { Err(unit) } else { Ok(()) };
            let mine = course.ways[at].current.as_ref().is_some_and(|(current, ..)| *current == key);
            if mine {
                course.ways[at].current = None;
            }
            course.ways[at].walked.remove(&node);
            let once = course.region.nodes[node].steps.iter().any(|step| self.steps()[*step].once);
            let end = course.once.get(&key).copied().filter(|_| once && !mine).unwrap_or(end);
            if once && mine {
                course.once.insert(key, end);
                course.awake.extend(0..self.hosts.len());
            }
            if end.is_err() {
                // What was planned beyond it may have counted on it.
                self.hosts[at].planned.clear();
                course.ways[at].walked.clear();
            }
            let news = course.schedule.finish(unit, end);
            self.say_skipped(course, news).await;
            any = true;
        }
        any
    }

    /// Whether anything is left to do, or to wait for, of a node of which nothing is planned.
    fn remains(&self, course: &Course, unit: Unit) -> bool {
        let (from, mut control) = course.begin(unit);
        let left = &course.region.nodes[unit.node].steps[from..];
        left.iter().any(|index| !matches!(self.turn(course, unit, *index, &mut control), Turn::Passes))
    }

    /// Says what will not be run, and why: once for each host and reason.
    async fn say_skipped(&mut self, course: &mut Course, news: News) {
        course.awake.extend(news.woken);
        let mut told: BTreeMap<(usize, Unit), Vec<usize>> = BTreeMap::new();
        // Of what one host does for all, the others are not told.
        for (unit, cause) in news.skipped.into_iter().filter(|(unit, cause)| unit.node != cause.node) {
            told.entry((unit.host, cause)).or_default().push(unit.node);
        }
        for ((at, cause), nodes) in told.into_iter().filter(|_| course.region.graph) {
            let work = |node: &usize| {
                course.region.nodes[*node].steps.iter().filter(|step| self.steps()[**step].handler.is_none())
            };
            let tasks: Vec<String> = nodes.iter().flat_map(work).map(|step| self.steps()[*step].name()).collect();
            if tasks.is_empty() {
                continue;
            }
            self.hosts[at].recap.skipped += tasks.len() as u64;
            let first = course.region.nodes[cause.node].steps.first();
            let lost = self.hosts[cause.host].gone;
            self.send(Event::NotRun {
                host: self.hosts[at].name.clone(),
                tasks,
                needed: first.map_or_else(String::new, |step| self.steps()[*step].name()),
                on: self.hosts[cause.host].name.clone(),
                lost,
            })
            .await;
        }
    }

    /// All have gone through: hosts of which something failed, or was not run because of that, are out.
    async fn leave(&mut self, course: &Course) {
        for unit in course.schedule.left().filter(|unit| !course.region.nodes[unit.node].steps.is_empty()) {
            let step = course.region.nodes[unit.node].steps[0];
            let (task, host) = (self.steps()[step].name(), self.hosts[unit.host].name.clone());
            let text = format!("internal error: `{task}` was never begun on {host}, though nothing held it back");
            self.send(Event::Warning(text)).await;
        }
        let mut failed: BTreeSet<usize> = course.schedule.left().map(|unit| unit.host).collect();
        for unit in course.schedule.failed() {
            failed.insert(unit.host);
            self.hosts[unit.host].failed_in.insert(course.region.nodes[unit.node].play);
        }
        let plays: BTreeSet<usize> = course.region.nodes.iter().map(|node| node.play).collect();
        let member = |run: &Self, play: usize, at: usize| run.members[play].contains(&run.hosts[at].name);
        // Of a play that a failure has ended, all are out.
        let ended = |play: &usize| self.ended_plays.contains(play) && failed.iter().any(|at| member(self, *play, *at));
        let ended: Vec<usize> = plays.iter().copied().filter(ended).collect();
        for at in 0..self.hosts.len() {
            let last = plays.iter().rev().copied().find(|play| member(self, *play, at));
            let out = failed.contains(&at) || ended.iter().any(|play| member(self, *play, at));
            let host = &mut self.hosts[at];
            host.planned.clear();
            host.built = host.built.max(course.region.steps.end);
            if last.is_some() {
                host.play = last;
                host.control = Control::default();
                host.control.failed = out;
            }
        }
        self.passed += 1;
    }
}

/// How far a node could be planned.
enum Walk {
    /// To its end.
    All,
    /// It has failed, and nothing of it is left.
    Failed,
    /// Another host comes first.
    Waits,
    /// To where nothing more can be planned.
    Stops,
}

/// What becomes of a step when it is its turn.
enum Turn {
    Runs,
    Passes,
    Waits,
}

impl Course {
    /// How many of a node's steps are behind, and where its host is in their blocks.
    fn begin(&self, unit: Unit) -> (usize, Control) {
        let key = self.region.nodes[unit.node].key;
        let current = self.ways[unit.host].current.as_ref().filter(|(current, ..)| *current == key);
        current.map_or((0, Control::default()), |(_, behind, control)| (*behind, control.clone()))
    }
}
