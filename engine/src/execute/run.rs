//! The loop: plan everything, find the frontier, conclude up to it, apply at it.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc::Sender;
use tokio::task::JoinSet;
use trueup_modules::host::Why;
use trueup_modules::module::Place;
use trueup_modules::wire::{Mode, Outcome, Task as WireTask};

use super::blocks::Control;
use super::fleet::{Connections, Opener, Route, Slot};
use super::judge::{Judged, judge, own};
use super::lower::{Item, Lower, LowerError, Work, show};
use super::vars::{Fleet, HostVars, View};
use super::{Options, Program, controller};
use crate::compile::graph::Readers;
use crate::compile::{Section, Step};
use crate::event::{Event, Recap, Status, TaskInfo, TaskResult};
use crate::playbook::Field;
use crate::remote::{RemoteError, Told};
use crate::template::Truth;
use crate::value::{Map, Value};

/// The most tasks that a batch holds; what is beyond comes in the next.
const MAX_BATCH: usize = 1000;

/// Runs a program to its end. Every event is sent on `events`; dropping the receiver ends the run at the next event.
pub async fn run(program: Program, mut options: Options, events: Sender<Event>) {
    let connections = match Connections::new(&mut options) {
        Ok(connections) => connections,
        Err(error) => {
            let _ = events.send(Event::Warning(error)).await;
            let _ = events.send(Event::RunFinished { recap: Vec::new(), cancelled: true, batches: 0 }).await;
            return;
        }
    };
    let mut run = Run::new(Arc::new(Shared { program, options }), connections, events);
    run.start().await;
    while run.round().await {}
    run.finish().await;
}

/// What does not change during a run.
struct Shared {
    program: Program,
    options: Options,
}

struct Run {
    shared: Arc<Shared>,
    connections: Connections,
    events: Sender<Event>,
    hosts: Vec<HostRun>,
    fleet: Arc<Fleet>,
    members: Vec<HashSet<String>>,
    shown: (Option<usize>, Option<usize>),
    /// In a preview: what other hosts' looks may wait for.
    pending: Option<Pending>,
    batches: u64,
    ended_plays: BTreeSet<usize>,
}

/// A task that has something to do, and that was not run.
struct Pending {
    step: usize,
    why: Why,
    /// Anything may change with it: a package, a service, a command; not only a file.
    far: bool,
}

/// A host on its way through the steps.
struct HostRun {
    name: String,
    play: Option<usize>,
    control: Control,
    notified: BTreeSet<String>,
    gone: bool,
    /// Planned and not concluded.
    planned: VecDeque<Planned>,
    /// The step after the last that is planned or passed over.
    built: usize,
    recap: Recap,
    login: Option<String>,
}

/// A step on a host, as far as its end is known.
struct Planned {
    step: usize,
    items: Vec<Item>,
    outcomes: Vec<Option<Outcome>>,
    /// It is not planned ahead: another host acts, or it is done once for all.
    solo: Option<Solo>,
    began: Instant,
}

#[derive(Clone)]
struct Solo {
    acts: Option<String>,
}

impl Planned {
    /// The first item whose end is not known, or not yet reached.
    fn stop(&self, preview: bool) -> Option<usize> {
        if self.solo.is_some() {
            return Some(0);
        }
        (0..self.items.len()).find(|at| match (&self.items[*at].work, &self.outcomes[*at]) {
            (Work::Skip(_) | Work::Unknown(_) | Work::Error(_), _) => false,
            (Work::Task(_), None) => true,
            (Work::Task(_), Some(Outcome::Would(_) | Outcome::Failed(..))) => !preview,
            (Work::Task(_), Some(_)) => false,
        })
    }
}

impl HostRun {
    fn position(&self, preview: bool) -> usize {
        self.planned.iter().find(|planned| planned.stop(preview).is_some()).map_or(self.built, |planned| planned.step)
    }
    fn front(&self) -> usize {
        self.planned.front().map_or(self.built, |planned| planned.step)
    }
    /// Forgets what was planned beyond a step, also which steps were passed over: they may have to run now.
    fn forget_after(&mut self, step: usize) {
        self.planned.retain(|planned| planned.step <= step);
        self.built = self.built.min(step + 1);
    }
}

impl Run {
    fn new(shared: Arc<Shared>, connections: Connections, events: Sender<Event>) -> Self {
        let program = &shared.program;
        let compiled = &program.compiled;
        let members: Vec<HashSet<String>> =
            compiled.plays.iter().map(|play| play.hosts.iter().cloned().collect()).collect();
        let mut names: Vec<&String> = Vec::new();
        for host in compiled.plays.iter().flat_map(|play| &play.hosts) {
            if !names.contains(&host) {
                names.push(host);
            }
        }
        let hosts = names.into_iter().map(|name| HostRun::new(name)).collect();
        let fleet = Arc::new(fleet(&shared));
        Self {
            connections,
            events,
            hosts,
            fleet,
            members,
            shown: (None, None),
            pending: None,
            batches: 0,
            ended_plays: BTreeSet::new(),
            shared,
        }
    }

    fn preview(&self) -> bool {
        self.shared.options.preview
    }

    fn steps(&self) -> &[Step] {
        &self.shared.program.compiled.steps
    }

    async fn send(&self, event: Event) {
        // Without a receiver there is nobody to tell.
        let _ = self.events.send(event).await;
    }

    async fn start(&mut self) {
        let hosts = self.hosts.iter().map(|host| host.name.clone()).collect();
        let tasks = self.steps().len();
        self.send(Event::RunStarted { preview: self.preview(), tasks, hosts }).await;
    }

    async fn finish(&mut self) {
        let mut recap: Vec<(String, Recap)> = Vec::new();
        for host in &mut self.hosts {
            host.control.finish();
            recap.push((host.name.clone(), host.recap));
        }
        recap.sort_by(|a, b| a.0.cmp(&b.0));
        self.send(Event::RunFinished { recap, cancelled: false, batches: self.batches }).await;
    }

    /// One round; false when all is done.
    async fn round(&mut self) -> bool {
        self.plan_ahead().await;
        let preview = self.preview();
        let Some(frontier) = self.hosts.iter().map(|host| host.position(preview)).min() else { return false };
        let end = self.steps().len();
        if self.events.is_closed() {
            return false;
        }
        if self.conclude_until(frontier).await {
            return true;
        }
        if frontier >= end {
            return self.hosts.iter().any(|host| host.built < end || !host.planned.is_empty());
        }
        self.apply_at(frontier).await;
        true
    }

    /// Plans, on every host that has nothing planned ahead, all that can be.
    async fn plan_ahead(&mut self) {
        let done = self.hosts.iter().map(HostRun::front).min().unwrap_or(0);
        let preview = self.preview();
        let mut asking = JoinSet::new();
        for at in 0..self.hosts.len() {
            if self.hosts[at].planned.iter().any(|planned| planned.stop(preview).is_some()) {
                continue;
            }
            let from = self.hosts[at].planned.len();
            self.build(at, done);
            let tasks = self.wire_tasks(at, from);
            if tasks.is_empty() {
                continue;
            }
            self.batches += 1;
            let mode = if preview { Mode::Preview } else { Mode::Ask };
            let work = self.errand(&self.hosts[at].name.clone());
            asking.spawn(async move { (at, work.batch(mode, tasks, Show::Nothing).await) });
        }
        while let Some(answered) = asking.join_next().await {
            match answered {
                Ok((at, Ok(outcomes))) => self.take(at, outcomes),
                Ok((at, Err(lost))) => self.lost(at, &lost).await,
                Err(panic) => self.send(Event::Warning(format!("internal error: {panic}"))).await,
            }
        }
    }

    /// The tasks of planned steps that have no outcome yet; a task's number is its place among them.
    fn wire_tasks(&self, at: usize, from: usize) -> Vec<WireTask> {
        let mut tasks = Vec::new();
        for planned in self.hosts[at].planned.iter().skip(from).filter(|planned| planned.solo.is_none()) {
            for (item, outcome) in planned.items.iter().zip(&planned.outcomes) {
                if let (Work::Task(task), None) = (&item.work, outcome) {
                    tasks.push(WireTask { id: tasks.len() as u64, ..WireTask::clone(task) });
                }
            }
        }
        tasks
    }

    /// Fills in outcomes in order, and forgets what is planned beyond the first step without one.
    fn take(&mut self, at: usize, outcomes: Vec<(u64, Outcome)>) {
        let preview = self.preview();
        let host = &mut self.hosts[at];
        let mut outcomes = outcomes.into_iter();
        'steps: for planned in host.planned.iter_mut().filter(|planned| planned.solo.is_none()) {
            for (item, outcome) in planned.items.iter().zip(&mut planned.outcomes) {
                if matches!(item.work, Work::Task(_)) && outcome.is_none() {
                    match outcomes.next() {
                        Some((_, answer)) => *outcome = Some(answer),
                        None => break 'steps,
                    }
                }
            }
        }
        if let Some(stop) = host.planned.iter().position(|planned| planned.stop(preview).is_some()) {
            host.planned.truncate(stop + 1);
            host.built = host.planned[stop].step + 1;
        }
    }

    /// Plans a host's steps ahead, until one needs what is not known yet.
    fn build(&mut self, at: usize, done: usize) {
        let shared = Arc::clone(&self.shared);
        let steps = &shared.program.compiled.steps;
        let mut control = self.hosts[at].control.clone();
        while self.hosts[at].built < steps.len() && self.hosts[at].planned.len() < MAX_BATCH {
            let index = self.hosts[at].built;
            let step = &steps[index];
            if !self.concerns(at, index) {
                self.hosts[at].built += 1;
                continue;
            }
            if self.hosts[at].play != Some(step.play) {
                // Failures and notifications are a play's own: they begin anew when the one before is concluded.
                if self.hosts[at].planned.is_empty() {
                    self.enter(at, step.play);
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
            if self.waits(at, index, done) {
                return;
            }
            let planned = self.plan_step(at, index);
            let stops = planned.solo.is_some();
            let fails = planned.items.iter().any(|item| matches!(item.work, Work::Error(_)));
            self.hosts[at].planned.push_back(planned);
            self.hosts[at].built += 1;
            if stops || fails {
                return;
            }
        }
    }

    /// Whether a step reads what is not concluded yet: on this host, or, through `hostvars`, on any (`done` is the first
    /// step that some host has not concluded). Not if one of its conditions holds it off anyway.
    fn waits(&self, at: usize, index: usize, done: usize) -> bool {
        let steps = self.steps();
        let planned = |writer: usize| self.hosts[at].planned.iter().any(|planned| planned.step == writer);
        let pending = self.shared.program.compiled.graph.reads(index).filter(|(writer, of)| match of {
            Readers::Itself => planned(*writer),
            Readers::All => *writer >= done,
        });
        let names: BTreeSet<&str> = pending.flat_map(|(writer, _)| &steps[writer].writes).map(String::as_str).collect();
        !names.is_empty() && !self.held_off(at, index, &names)
    }

    /// Whether a condition that depends on nothing pending does not hold.
    fn held_off(&self, at: usize, index: usize, pending: &BTreeSet<&str>) -> bool {
        let step = &self.steps()[index];
        let lower = self.lower(&self.hosts[at]);
        let view = self.view(at, index).shared();
        step.conditions().zip(&step.when_words).any(|(condition, words)| {
            let known = !words.iter().any(|word| pending.contains(word.as_str()));
            known && matches!(lower.all(std::slice::from_ref(condition), &view), Ok(Truth::No))
        })
    }

    fn concerns(&self, at: usize, index: usize) -> bool {
        let host = &self.hosts[at];
        let step = &self.steps()[index];
        !host.gone && !self.ended_plays.contains(&step.play) && self.members[step.play].contains(&host.name)
    }

    fn may_run(&self, at: usize, index: usize, control: &mut Control) -> bool {
        let step = &self.steps()[index];
        if !control.admits(step) {
            return false;
        }
        let host = &self.hosts[at];
        let same_play = host.play == Some(step.play);
        let notified = |names: &BTreeSet<String>| same_play && names.iter().any(|name| host.notified.contains(name));
        let first = || self.first_alive(step.play) == Some(host.name.as_str());
        step.handler.as_ref().is_none_or(|handler| notified(&handler.names)) && (!step.once || first())
    }

    /// Whether a step that is planned and not concluded may notify this handler. When applying, it is planned as if not:
    /// a notification comes with a change, after which all is planned again. A preview plans nothing twice.
    fn may_be_notified(&self, at: usize, index: usize) -> bool {
        let steps = self.steps();
        let Some(handler) = &steps[index].handler else { return false };
        let notifies = |planned: &Planned| {
            let step = &steps[planned.step];
            let blocks = step.blocks.iter().flat_map(|(block, _)| &block.notify);
            step.play == steps[index].play
                && step.task.notify.iter().chain(blocks).any(|notify| match &notify.value {
                    Field::Known(name) => handler.names.contains(name),
                    Field::Template(_) => true,
                })
        };
        self.hosts[at].planned.iter().any(notifies)
    }

    fn first_alive(&self, play: usize) -> Option<&str> {
        let order = &self.shared.program.compiled.plays[play].hosts;
        let alive =
            |name: &&String| self.hosts.iter().any(|host| &host.name == *name && !host.gone && !host.control.failed);
        order.iter().find(alive).map(String::as_str)
    }

    fn enter(&mut self, at: usize, play: usize) {
        let host = &mut self.hosts[at];
        host.control.finish();
        // A host that has failed is out, in later plays too.
        host.gone |= host.control.failed;
        host.control = Control::default();
        host.notified.clear();
        host.play = Some(play);
    }

    fn plan_step(&self, at: usize, index: usize) -> Planned {
        let step = &self.steps()[index];
        let view = self.view(at, index);
        let lower = self.lower(&self.hosts[at]);
        let items = lower.items(step, &view).unwrap_or_else(|error| {
            let work = match error {
                LowerError::Unknown(why) => Work::Unknown(why),
                error => Work::Error(error),
            };
            vec![Item { label: None, view: view.clone(), work }]
        });
        let acts = match lower.keyword(step, &view.clone().shared(), |_| &step.task.delegate_to) {
            Ok(host) => host.map(|host| show(&host)),
            Err(_) => None,
        };
        let compute = |item: &Item| match &item.work {
            Work::Task(task) if step.entry.place == Place::Controller => Some(controller::plan(task)),
            _ => None,
        };
        let outcomes: Vec<Option<Outcome>> = items.iter().map(compute).collect();
        let remote =
            items.iter().zip(&outcomes).any(|(item, outcome)| matches!(item.work, Work::Task(_)) && outcome.is_none());
        let once = step.once;
        let solo = ((acts.is_some() || once || !step.task.retry.until.is_empty()) && remote).then_some(Solo { acts });
        Planned { step: index, items, outcomes, solo, began: Instant::now() }
    }

    fn lower<'a>(&'a self, host: &HostRun) -> Lower<'a> {
        lower(&self.shared, &self.connections, host.login.clone())
    }

    fn view(&self, at: usize, index: usize) -> View {
        let step = &self.steps()[index];
        let plan = &self.shared.program.compiled.plays[step.play];
        let host = &self.hosts[at];
        let list = |names: &[String]| Value::List(names.iter().map(|name| Value::Str(name.clone())).collect());
        let magic = Map::from_iter([
            ("ansible_play_hosts".to_owned(), list(&plan.all_hosts)),
            ("ansible_play_hosts_all".to_owned(), list(&plan.all_hosts)),
            ("ansible_play_batch".to_owned(), list(&plan.hosts)),
            ("ansible_play_name".to_owned(), Value::Str(plan.name.clone())),
        ]);
        let own = self.fleet.hosts.get(&host.name).cloned().unwrap_or_default();
        View::new(&own, &self.fleet, &Arc::new(magic), &self.lower(host).task_vars(step))
    }

    /// What it takes to run tasks on a host, to be moved into a task of the runtime.
    fn errand(&mut self, host: &str) -> Errand {
        let vars = self.fleet.hosts.get(host).cloned().unwrap_or_default();
        let view = View::new(&vars, &self.fleet, &Arc::default(), &[]).shared();
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

    /// Concludes what is known up to and at the frontier, step by step. True if a failure changed the way ahead.
    async fn conclude_until(&mut self, frontier: usize) -> bool {
        loop {
            let preview = self.preview();
            let ready = |host: &HostRun| {
                let planned = host.planned.front()?;
                (planned.step <= frontier && planned.stop(preview).is_none()).then_some(planned.step)
            };
            let Some(step) = self.hosts.iter().filter_map(ready).min() else { return false };
            let mut turned = false;
            for at in 0..self.hosts.len() {
                if ready(&self.hosts[at]) == Some(step)
                    && let Some(planned) = self.hosts[at].planned.pop_front()
                {
                    turned |= self.conclude(at, planned).await;
                }
            }
            if turned {
                return true;
            }
        }
    }

    /// A step's end on a host: judged, registered, reported. True if it failed or notified, so that what is planned ahead
    /// no longer holds.
    async fn conclude(&mut self, at: usize, planned: Planned) -> bool {
        let shared = Arc::clone(&self.shared);
        let step = &shared.program.compiled.steps[planned.step];
        if self.hosts[at].play != Some(step.play) {
            self.enter(at, step.play);
        }
        let mut control = self.hosts[at].control.clone();
        control.admits(step);
        self.hosts[at].control = control;
        let pending =
            self.pending.as_ref().filter(|pending| pending.step <= planned.step).map(|pending| pending.why.clone());
        let vars = self.view(at, planned.step).shared();
        let name = self.lower(&self.hosts[at]).name(step, &vars);
        let judged: Vec<Judged> = {
            let lower = self.lower(&self.hosts[at]);
            let each = planned.items.iter().zip(&planned.outcomes);
            each.map(|(item, outcome)| {
                judge(&lower, step, item, outcome.as_ref(), &name, pending.as_ref().filter(|_| shared.options.preview))
            })
            .collect()
        };
        self.announce(planned.step, &name).await;
        let notified = self.settle(at, &planned, &name, judged).await;
        let failed = self.hosts[at].control.failed || notified.1;
        if failed {
            // Others, too: one of them may now be the first of those that are left.
            self.hosts.iter_mut().for_each(|host| host.forget_after(planned.step));
        } else if notified.0 && !shared.options.preview {
            self.hosts[at].forget_after(planned.step);
        }
        failed
    }

    /// Registers and reports the items of a step. Yields whether handlers were notified, and whether it failed.
    async fn settle(&mut self, at: usize, planned: &Planned, name: &str, mut judged: Vec<Judged>) -> (bool, bool) {
        let shared = Arc::clone(&self.shared);
        let step = &shared.program.compiled.steps[planned.step];
        let vars = self.view(at, planned.step).shared();
        let (ignore, no_log) = {
            let lower = self.lower(&self.hosts[at]);
            let flag = |result: Result<bool, LowerError>, otherwise: bool| result.unwrap_or(otherwise);
            (
                flag(lower.flag(step, &vars, |common| &common.ignore_errors), false),
                // What can't be told is kept secret.
                flag(lower.flag(step, &vars, |common| &common.no_log), true),
            )
        };
        let mut failed = false;
        for one in &mut judged {
            if let Status::Failed { ignored, .. } = &mut one.status {
                *ignored = ignore;
                failed |= !ignore;
            }
        }
        let changed = judged.iter().any(Judged::changed);
        let waits = judged.iter().any(|one| matches!(one.status, Status::Would | Status::Unknown(_)));
        if self.preview() && waits {
            let far = !matches!(step.entry.name, "file" | "copy" | "template" | "file_line");
            if self.pending.as_ref().is_none_or(|pending| far && !pending.far) {
                self.pending = Some(Pending { step: planned.step, why: Why { after: name.into() }, far });
            }
        }
        self.register(at, step, planned, &judged);
        count(&mut self.hosts[at].recap, &judged, rescues(step));
        let info = self.info(planned.step, name);
        for (item, one) in planned.items.iter().zip(judged) {
            self.report(at, planned, &info, item.label.clone(), one, no_log).await;
        }
        if let Some(handler) = &step.handler {
            self.hosts[at].notified.retain(|name| !handler.names.contains(name));
        }
        let mut notified = false;
        if changed {
            notified = self.notify(at, step, &vars);
        }
        if failed {
            self.hosts[at].control.fail(step);
            self.spread_failure(step, planned.step);
        }
        (notified, failed)
    }

    /// `any_errors_fatal`, and `run_once`, whose failure is everybody's.
    fn spread_failure(&mut self, step: &Step, index: usize) {
        let compiled = &self.shared.program.compiled;
        let fatal = matches!(step.inherited(compiled, |common| &common.any_errors_fatal), Some(Field::Known(true)));
        if (fatal || step.once) && step.blocks.is_empty() {
            self.ended_plays.insert(step.play);
            let play = step.play;
            for host in self.hosts.iter_mut().filter(|host| host.play == Some(play)) {
                host.control.failed = true;
                host.forget_after(index);
            }
        }
    }

    fn notify(&mut self, at: usize, step: &Step, vars: &Arc<dyn crate::template::Lookup>) -> bool {
        let blocks = step.blocks.iter().flat_map(|(block, _)| &block.notify);
        let mut names = Vec::new();
        for field in step.task.notify.iter().chain(blocks) {
            match &field.value {
                Field::Known(name) => names.push(name.clone()),
                Field::Template(template) => match self.lower(&self.hosts[at]).render(template, vars) {
                    Ok(Value::List(list)) => names.extend(list.iter().map(show)),
                    Ok(value) => names.push(show(&value)),
                    Err(_) => {}
                },
            }
        }
        let any = !names.is_empty();
        self.hosts[at].notified.extend(names);
        any
    }

    fn register(&mut self, at: usize, step: &Step, planned: &Planned, judged: &[Judged]) {
        let everybody = step.once;
        let names: Vec<String> = match everybody {
            true => self.shared.program.compiled.plays[step.play].hosts.clone(),
            false => vec![self.hosts[at].name.clone()],
        };
        let result = if step.task.looping.is_some() && !(judged.len() == 1 && planned.items[0].label.is_none()) {
            looped(step, planned, judged)
        } else {
            judged.first().map_or(Value::Null, |one| one.result.clone())
        };
        let fleet = Arc::make_mut(&mut self.fleet);
        for name in names {
            let Some(vars) = fleet.hosts.get_mut(&name) else { continue };
            for one in judged.iter().filter(|one| !one.failed()) {
                if let Value::Map(map) = &one.result {
                    keep_facts(vars, step, map);
                }
            }
            if let Some(register) = &step.task.register {
                vars.set(&register.value, result.clone());
            }
        }
    }

    fn info(&self, index: usize, name: &str) -> TaskInfo {
        let step = &self.steps()[index];
        TaskInfo {
            name: name.into(),
            module: step.entry.name.into(),
            place: step.task.span.to_string(),
            handler: step.handler.is_some(),
            step: index,
        }
    }

    async fn announce(&mut self, index: usize, name: &str) {
        let play = self.steps()[index].play;
        if self.shown.0 != Some(play) {
            self.shown.0 = Some(play);
            let name = self.shared.program.compiled.plays[play].name.clone();
            self.send(Event::PlayStarted { play: name }).await;
        }
        if self.shown.1 != Some(index) {
            self.shown.1 = Some(index);
            self.send(Event::TaskStarted { task: self.info(index, name) }).await;
        }
    }

    async fn report(
        &mut self,
        at: usize,
        planned: &Planned,
        info: &TaskInfo,
        item: Option<String>,
        one: Judged,
        no_log: bool,
    ) {
        let status = match one.status {
            Status::Failed { hint, ignored, .. } if no_log => {
                Status::Failed { error: "the output is withheld (no_log)".into(), hint, explanation: None, ignored }
            }
            status => status,
        };
        let result = TaskResult {
            host: self.hosts[at].name.clone(),
            delegated_to: planned.solo.as_ref().and_then(|solo| solo.acts.clone()),
            task: info.clone(),
            item: item.map(|item| if no_log { "(withheld)".into() } else { item }),
            status,
            diffs: if no_log { Vec::new() } else { one.diffs },
            data: if no_log { serde_json::Map::new() } else { one.data },
            warnings: if no_log { Vec::new() } else { one.warnings },
            conditional: one.conditional,
            seconds: planned.began.elapsed().as_secs_f64(),
        };
        self.send(Event::Result(Box::new(result))).await;
    }

    /// Applies the step at the frontier on every host that has stopped there, all at the same time.
    async fn apply_at(&mut self, frontier: usize) {
        let preview = self.preview();
        let mut applying = JoinSet::new();
        for at in 0..self.hosts.len() {
            let stops = |planned: &Planned| planned.step == frontier && planned.stop(preview).is_some();
            if !self.hosts[at].planned.front().is_some_and(stops) {
                continue;
            }
            let Some(planned) = self.hosts[at].planned.pop_front() else { continue };
            let acts = planned.solo.as_ref().and_then(|solo| solo.acts.clone());
            let errand = self.errand(&acts.unwrap_or_else(|| self.hosts[at].name.clone()));
            let shared = Arc::clone(&self.shared);
            let connections = self.connections.blobs.clone();
            let login = self.hosts[at].login.clone();
            let host = self.hosts[at].name.clone();
            applying.spawn(async move {
                let mut planned = planned;
                let result = finish_step(&shared, &connections, login, &errand, &host, &mut planned).await;
                (at, planned, result)
            });
        }
        let mut ended = BTreeMap::new();
        while let Some(applied) = applying.join_next().await {
            match applied {
                Ok((at, planned, result)) => drop(ended.insert(at, (planned, result))),
                Err(panic) => self.send(Event::Warning(format!("internal error: {panic}"))).await,
            }
        }
        for (at, (mut planned, result)) in ended {
            match result {
                Ok(batches) => {
                    self.batches += batches;
                    let solo = planned.solo.take();
                    planned.solo = solo;
                    self.conclude(at, planned).await;
                }
                Err(lost) => self.lost(at, &lost).await,
            }
        }
        if !preview {
            self.hosts.iter_mut().for_each(|host| host.forget_after(frontier));
        }
    }

    async fn lost(&mut self, at: usize, lost: &Lost) {
        let host = &mut self.hosts[at];
        host.gone = true;
        host.recap.unreachable += 1;
        host.planned.clear();
        host.built = self.shared.program.compiled.steps.len();
        let (host, reason, hints) = (host.name.clone(), lost.reason.clone(), lost.hints.clone());
        self.send(Event::Unreachable { host, reason, hints }).await;
    }
}

impl HostRun {
    fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            play: None,
            control: Control::default(),
            notified: BTreeSet::new(),
            gone: false,
            planned: VecDeque::new(),
            built: 0,
            recap: Recap::default(),
            login: None,
        }
    }
}

fn lower<'a>(shared: &'a Shared, connections: &'a Connections, login: Option<String>) -> Lower<'a> {
    lower_with(shared, &connections.blobs, login)
}

fn lower_with<'a>(shared: &'a Shared, blobs: &'a crate::remote::Blobs, login: Option<String>) -> Lower<'a> {
    Lower {
        program: &shared.program.compiled,
        templar: &shared.program.templar,
        blobs,
        login,
        become_password: shared.options.ask.become_.clone(),
        become_all: shared.options.become_,
    }
}

/// A host could not be reached, or was lost.
struct Lost {
    reason: String,
    hints: Vec<String>,
}

/// What it takes to run tasks on a host.
struct Errand {
    host: String,
    route: Result<Route, String>,
    slot: Slot,
    opener: Opener,
    events: Sender<Event>,
}

impl Errand {
    async fn batch(&self, mode: Mode, tasks: Vec<WireTask>, show: Show) -> Result<Vec<(u64, Outcome)>, Lost> {
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
        let answer = remote.batch(mode, tasks, &mut told).await;
        if answer.is_err() {
            *slot = None;
        }
        answer.map_err(lost)
    }
}

/// Applies what is left of a step's items. Yields how many batches it took.
async fn finish_step(
    shared: &Shared,
    blobs: &crate::remote::Blobs,
    login: Option<String>,
    errand: &Errand,
    host: &str,
    planned: &mut Planned,
) -> Result<u64, Lost> {
    let step = &shared.program.compiled.steps[planned.step];
    let mode = if shared.options.preview { Mode::Preview } else { Mode::Apply };
    let solo = planned.solo.is_some();
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
        let show = shown(&lower_with(shared, blobs, login.clone()), step, &planned.items[at]);
        loop {
            let outcome =
                errand.batch(mode, vec![WireTask::clone(task)], show).await?.pop().map(|(_, outcome)| outcome);
            batches += 1;
            let lower = lower_with(shared, blobs, login.clone());
            let judged = judge(&lower, step, &planned.items[at], outcome.as_ref(), &name, None);
            let again = !shared.options.preview && left.0 > 0 && again(&lower, step, &planned.items[at], &judged);
            let failed = judged.failed();
            planned.outcomes[at] = outcome;
            if !again {
                if failed && !solo && planned.items.len() == 1 {
                    return Ok(batches);
                }
                break;
            }
            left.0 -= 1;
            let _ = errand.events.send(Event::Retrying { host: host.into(), task: name.clone(), left: left.0 }).await;
            tokio::time::sleep(left.1).await;
        }
    }
    Ok(batches)
}

/// What is told of a task while it runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Show {
    /// What it prints, and how far it is.
    Lines,
    /// Nothing: it only looks, or `no_log` says so.
    Nothing,
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

/// Whether a failure in a step leads to a `rescue`, be it of a block further out.
fn rescues(step: &Step) -> bool {
    step.blocks.iter().any(|(block, section)| *section == Section::Block && block.has_rescue)
}

/// Counts a task, as Ansible does: once, however many items it has; a failure that is made good as `rescued` only.
fn count(recap: &mut Recap, judged: &[Judged], rescued: bool) {
    let any = |what: fn(&Status) -> bool| judged.iter().any(|one| what(&one.status));
    if any(|status| matches!(status, Status::Failed { ignored: false, .. })) {
        *(if rescued { &mut recap.rescued } else { &mut recap.failed }) += 1;
    } else if any(|status| matches!(status, Status::Failed { .. })) {
        recap.ok += 1;
        recap.ignored += 1;
    } else if judged.iter().any(Judged::changed) {
        recap.ok += 1;
        recap.changed += 1;
    } else if any(|status| matches!(status, Status::Unknown(_))) {
        recap.unknown += 1;
    } else if judged.iter().all(|one| matches!(one.status, Status::Skipped { .. })) {
        recap.skipped += 1;
    } else {
        recap.ok += 1;
    }
}

/// What a loop registers: `results`, and whether any of them changed or failed.
fn looped(step: &Step, planned: &Planned, judged: &[Judged]) -> Value {
    if let Some(unknown) = judged.iter().map(|one| &one.result).find(|result| matches!(result, Value::Unknown(_))) {
        return unknown.clone();
    }
    let control = step.task.looping.as_ref().and_then(|looping| looping.control.loop_var.as_ref());
    let name = control.map_or("item", |name| &name.value);
    let results = planned.items.iter().zip(judged).map(|(item, one)| {
        let mut map = match &one.result {
            Value::Map(map) => map.clone(),
            _ => Map::new(),
        };
        if let Some(value) = crate::template::Lookup::get(&item.view, name) {
            map.insert(name.into(), value.clone());
        }
        Value::Map(map)
    });
    let skipped = judged.iter().all(|one| matches!(one.status, Status::Skipped { .. }));
    let mut map = Map::from_iter([
        ("results".to_owned(), Value::List(results.collect())),
        ("changed".to_owned(), Value::Bool(judged.iter().any(Judged::changed))),
        ("failed".to_owned(), Value::Bool(judged.iter().any(Judged::failed))),
    ]);
    if skipped {
        map.insert("skipped".into(), Value::Bool(true));
    }
    Value::Map(map)
}

/// Facts that a module returned.
fn keep_facts(vars: &mut HostVars, step: &Step, result: &Map) {
    let Some(Value::Map(facts)) = result.get("ansible_facts") else { return };
    match step.entry.name {
        "set_fact" => facts.iter().for_each(|(name, value)| vars.set(name, value.clone())),
        _ => vars.add_facts(facts.clone()),
    }
}

/// All hosts' variables at the beginning.
fn fleet(shared: &Shared) -> Fleet {
    let program = &shared.program;
    let inventory = &program.inventory;
    let mut hosts: indexmap::IndexMap<String, HostVars> =
        inventory.hosts.values().map(|host| (host.name.clone(), HostVars::of(inventory, host))).collect();
    for name in program.compiled.plays.iter().flat_map(|play| &play.hosts) {
        if let (false, Some(host)) = (hosts.contains_key(name), inventory.host(name)) {
            hosts.insert(name.clone(), HostVars::of(inventory, host));
        }
    }
    let names =
        |names: indexmap::IndexSet<&str>| Value::List(names.into_iter().map(|name| Value::Str(name.into())).collect());
    let groups = inventory.groups.keys().map(|group| (group.clone(), names(inventory.hosts_of(group)))).collect();
    let absolute =
        |path: &std::path::Path| std::path::absolute(path).unwrap_or_else(|_| path.into()).display().to_string();
    let mut magic = Map::from_iter([
        ("groups".to_owned(), Value::Map(groups)),
        ("playbook_dir".to_owned(), Value::Str(absolute(&program.dir))),
        ("ansible_check_mode".to_owned(), Value::Bool(shared.options.preview)),
        ("ansible_diff_mode".to_owned(), Value::Bool(true)),
        ("omit".to_owned(), Value::Omit),
    ]);
    if let Some(file) = shared.options.inventories.first() {
        let file = std::path::Path::new(file);
        magic.insert("inventory_file".into(), Value::Str(absolute(file)));
        magic.insert("inventory_dir".into(), Value::Str(absolute(file.parent().unwrap_or(file))));
    }
    Fleet { hosts, extra: Arc::new(program.extra.clone()), shared: Arc::new(magic) }
}
