//! The loop: plan everything, find the frontier, conclude up to it, apply at it.

mod act;
mod ahead;
mod apply;
mod chain;
mod connection;
mod debugger;
mod finish;
mod grow;
mod host;
mod items;
mod job;
mod limit;
mod onward;
mod ours;
mod region;
mod settle;
mod stepping;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc::Sender;
use trueup_modules::host::Why;

use crate::compile::expand::Include;
use crate::compile::{self, Project, Step, search};
use crate::diagnostic::Paint;
use crate::event::{Event, Recap, TaskInfo, TaskResult};
use crate::execute::fleet::Connections;
use crate::execute::gates::Gates;
use crate::execute::lower::Lower;
use crate::execute::vars::{Fleet, HostVars, Layers, View};
use crate::execute::{Options, Program};
use crate::inventory::Inventory;
use crate::value::{Map, Value};
use host::HostRun;
use stepping::Stepping;

/// Runs a program to its end, or until `stop` is ready: then what is under way is dropped, its connections close, and with
/// them the agents end what they are doing. Every event is sent on `events`; dropping the receiver ends the run at the
/// next event.
pub async fn run(program: Program, mut options: Options, events: Sender<Event>, stop: impl Future<Output = ()>) {
    let connections = match Connections::new(&mut options, &program.compiled) {
        Ok(connections) => connections,
        Err(error) => {
            let _ = events.send(Event::Warning(error)).await;
            let _ = events.send(Event::RunFinished { recap: Vec::new(), cancelled: true, batches: 0 }).await;
            return;
        }
    };
    let mut run = Run::new(Arc::new(Shared { program, options }), connections, events);
    run.start().await;
    let mut stop = std::pin::pin!(stop);
    let cancelled = loop {
        tokio::select! {
            more = run.round() => if !more { break false },
            () = &mut stop => break true,
        }
    };
    let cancelled = cancelled || run.quit;
    run.finish(cancelled).await;
}

/// What does not change during a run.
struct Shared {
    program: Program,
    options: Options,
}

struct Run {
    shared: Arc<Shared>,
    /// What is run; grows by what is included.
    compiled: Arc<compile::Program>,
    project: Project,
    /// What the includes have brought, by their steps' numbers: what was included, and for whom.
    includes: HashMap<usize, Vec<(Include, usize)>>,
    /// Magic variables of each play.
    play_magic: Vec<Arc<Map>>,
    /// The plays that have not begun since hosts failed or came back.
    stale: BTreeSet<usize>,
    connections: Connections,
    events: Sender<Event>,
    hosts: Vec<HostRun>,
    /// Where each host is among them.
    places: HashMap<String, usize>,
    fleet: Arc<Fleet>,
    /// What steps have from where they stand, by their ids: the same for every host.
    scopes: Mutex<HashMap<usize, Arc<Scope>>>,
    members: Vec<HashSet<String>>,
    shown: (Option<usize>, Option<usize>),
    /// What was last told of a step.
    told: Option<Arc<TaskInfo>>,
    /// In a preview: what other hosts' looks may wait for.
    pending: Option<Pending>,
    gates: Gates,
    /// In the preview of a region: results by their steps' plays and numbers, to be told in order.
    held: Option<Vec<((usize, usize), TaskResult)>>,
    /// How many regions are behind.
    passed: usize,
    /// The inventory as it is by now, and what the run has added to it.
    inventory: Arc<Inventory>,
    added: Vec<grow::Added>,
    added_vars: HashMap<String, Map>,
    /// A step that has added something that not everybody has seen yet.
    grown: Option<usize>,
    /// No host plans beyond here yet.
    barrier: Option<usize>,
    batches: u64,
    /// One step after the other has something to do that everybody must see: hosts apply the next without being asked before.
    dense: bool,
    /// Steps with nothing to do have been concluded since something was applied.
    calm: bool,
    ended_plays: BTreeSet<usize>,
    /// Hosts that are lost at a step where each failure is fatal, and the step: the others are not there yet.
    fatal_losses: Vec<(usize, usize)>,
    /// The mistake that ends the run.
    aborted: Option<String>,
    /// The user has ended the run.
    quit: bool,
    stepping: Stepping,
    /// The play of the last frontier.
    play: usize,
}

/// The variables that a step has from where it stands.
struct Scope {
    magic: Arc<Map>,
    layers: Layers,
    /// What it says of how its host is reached ([`connection::of`]).
    connection: Arc<str>,
    /// `file:line:col`.
    place: String,
}

/// A task that has something to do, and that was not run.
struct Pending {
    step: usize,
    why: Why,
    /// Anything may change with it: a package, a service, a command; not only a file.
    far: bool,
}

impl Run {
    fn new(shared: Arc<Shared>, connections: Connections, events: Sender<Event>) -> Self {
        let program = &shared.program;
        let compiled = Arc::clone(&program.compiled);
        let members: Vec<HashSet<String>> =
            compiled.plays.iter().map(|play| play.hosts.iter().cloned().collect()).collect();
        let names: indexmap::IndexSet<&String> = compiled.plays.iter().flat_map(|play| &play.hosts).collect();
        let places = names.iter().enumerate().map(|(at, name)| ((*name).clone(), at)).collect();
        let hosts = names.into_iter().map(|name| HostRun::new(name)).collect();
        let fleet = Arc::new(fleet(&shared));
        let play_magic = compiled.plays.iter().map(|plan| Arc::new(act::play_magic(plan, &|_| true))).collect();
        Self {
            project: program.project.clone(),
            includes: HashMap::new(),
            play_magic,
            stale: BTreeSet::new(),
            compiled,
            connections,
            events,
            hosts,
            places,
            fleet,
            scopes: Mutex::default(),
            members,
            shown: (None, None),
            told: None,
            pending: None,
            gates: Gates::default(),
            held: None,
            passed: 0,
            inventory: Arc::new(program.inventory.clone()),
            added: Vec::new(),
            added_vars: HashMap::new(),
            grown: None,
            barrier: None,
            fatal_losses: Vec::new(),
            batches: 0,
            dense: false,
            calm: false,
            ended_plays: BTreeSet::new(),
            aborted: None,
            quit: false,
            stepping: if shared.options.step { Stepping::Before(0) } else { Stepping::Off },
            play: 0,
            shared,
        }
    }

    fn preview(&self) -> bool {
        self.shared.options.preview
    }

    fn steps(&self) -> &[Arc<Step>] {
        &self.compiled.steps
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

    async fn finish(&mut self, cancelled: bool) {
        // Of a preview that was interrupted: as far as it came.
        self.release().await;
        let aborted = self.aborted.take();
        let whole = !cancelled && aborted.is_none();
        if let Some(error) = aborted {
            self.send(Event::Aborted { error }).await;
        }
        // A run that has lost all its hosts ends where it stands.
        if whole && self.hosts.iter().any(|host| host.recap.failed + host.recap.unreachable == 0) {
            self.pass_over(None).await;
        }
        let mut recap: Vec<(String, Recap)> = Vec::new();
        for host in &mut self.hosts {
            host.control.finish();
            let own = host.recap.failed + host.recap.unreachable;
            host.recap.failed_with_others = u64::from(own == 0 && (host.control.failed || host.gone));
            recap.push((host.name.clone(), host.recap));
        }
        recap.sort_by(|a, b| a.0.cmp(&b.0));
        self.send(Event::RunFinished { recap, cancelled, batches: self.batches }).await;
    }

    /// One round; false when all is done.
    async fn round(&mut self) -> bool {
        if self.is_over() {
            return false;
        }
        if let Err(wrong) = self.settle_growth() {
            self.send(Event::Warning(wrong.render(Paint::Plain).trim_end().to_owned())).await;
            self.abandon();
            return false;
        }
        self.barrier = self.growth();
        if self.stepping != Stepping::Off {
            self.barrier = Some(self.barrier.unwrap_or(usize::MAX).min(self.agreed()));
        }
        self.plan_ahead().await;
        let Some(frontier) = self.hosts.iter().map(HostRun::position).min() else { return false };
        if self.events.is_closed() {
            return false;
        }

        if self.spread_losses(frontier).await || self.conclude_until(frontier).await {
            return true;
        }
        if self.agree(frontier).await {
            return true;
        }
        let bound = self.region_start();
        if frontier >= bound {
            let more = self.hosts.iter().any(|host| host.built < bound || !host.planned.is_empty());
            return more || self.grown.is_some() || self.region().await;
        }
        if !self.end_after_failures(frontier) {
            self.apply_at(frontier).await;
        }
        true
    }

    /// Whether something has ended the run before its end.
    fn is_over(&self) -> bool {
        self.aborted.is_some() || self.quit
    }

    /// How far hosts may plan ahead in lockstep.
    fn bound(&self) -> usize {
        self.barrier.map_or(self.region_start(), |barrier| barrier.min(self.region_start()))
    }

    /// Where the next region begins, or the end: so far, all go in lockstep.
    fn region_start(&self) -> usize {
        self.compiled.regions.get(self.passed).map_or(self.steps().len(), |region| region.steps.start)
    }

    fn lower<'a>(&'a self, host: &HostRun) -> Lower<'a> {
        lower_with(&self.shared, &self.compiled, &self.connections.blobs, host.login().cloned())
    }

    fn view(&self, at: usize, index: usize) -> View {
        let step = &self.steps()[index];
        let host = &self.hosts[at];
        let own = self.fleet.get(&host.name).unwrap_or_default();
        let scope = self.scope(step);
        let magic = [Arc::clone(&scope.magic), Arc::clone(&self.play_magic[step.play])];
        let plan = &self.compiled.plays[step.play];
        if plan.vars_files.chosen.is_empty() {
            return View::new(&own, &self.fleet, &magic, &scope.layers).assuming(&own);
        }
        let layers = self.lower(host).with_chosen(plan, &own, &self.fleet, &magic, &scope.layers);
        View::new(&own, &self.fleet, &magic, &layers).assuming(&own)
    }

    fn scope(&self, step: &Step) -> Arc<Scope> {
        let mut scopes = self.scopes.lock().unwrap_or_else(PoisonError::into_inner);
        let scope = scopes.entry(step.id).or_insert_with(|| {
            let layers = lower_with(&self.shared, &self.compiled, &self.connections.blobs, None).task_vars(step);
            let connection = connection::of(step, &self.compiled, &layers);
            let magic = Arc::new(self.step_magic(step));
            Arc::new(Scope { magic, layers, connection, place: step.task.span.to_string() })
        });
        Arc::clone(scope)
    }

    /// Where a host is among those of the run.
    fn place(&self, host: &str) -> Option<usize> {
        self.places.get(host).copied()
    }

    /// The magic variables that a step has from where it stands.
    fn step_magic(&self, step: &Step) -> Map {
        let text = |text: &str| Value::Str(text.to_owned());
        let path = |path: &std::path::Path| Value::Str(absolute(path));
        let dirs = search::path(step, &self.compiled.plays[step.play]);
        let mut magic = Map::from_iter([(
            "ansible_search_path".to_owned(),
            Value::List(dirs.iter().map(|dir| path(dir)).collect()),
        )]);
        if let Some(role) = &step.around.role {
            magic.insert("role_name".into(), text(&role.own.name));
            magic.insert("ansible_role_name".into(), text(&role.own.full_name));
            magic.insert("role_path".into(), path(&role.own.path));
            let parents = || role.parents.iter().rev();
            if role.by_task && !role.parents.is_empty() {
                let names = parents().map(|parent| text(&parent.full_name)).collect();
                magic.insert("ansible_parent_role_names".into(), Value::List(names));
                let paths = parents().map(|parent| path(&parent.path)).collect();
                magic.insert("ansible_parent_role_paths".into(), Value::List(paths));
            }
            if let Some((collection, _)) = role.own.full_name.rsplit_once('.') {
                magic.insert("ansible_collection_name".into(), text(collection));
            }
        }
        magic
    }
}

pub(crate) fn absolute(path: &std::path::Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.into()).display().to_string()
}

/// The directory that an inventory is, or is in.
fn directory(inventory: &std::path::Path) -> String {
    let parent = inventory.parent().filter(|parent| !parent.as_os_str().is_empty());
    absolute(if inventory.is_dir() { inventory } else { parent.unwrap_or(std::path::Path::new(".")) })
}

fn lower_with<'a>(
    shared: &'a Shared,
    compiled: &'a compile::Program,
    blobs: &'a crate::remote::Blobs,
    login: Option<String>,
) -> Lower<'a> {
    Lower {
        program: compiled,
        templar: &shared.program.templar,
        blobs,
        vault: &shared.options.vault_passwords,
        login,
        become_password: shared.options.ask.become_.clone(),
        become_all: shared.options.become_,
        verbosity: shared.options.verbosity,
    }
}

/// The version of the ansible-core whose language this is.
pub(crate) const FOLLOWED: &str = "2.19.14";

/// `ansible_version`.
fn followed_version() -> Value {
    let number = |number: i64| Value::Int(number);
    Value::Map(Map::from_iter([
        ("full".to_owned(), Value::Str(FOLLOWED.to_owned())),
        ("string".to_owned(), Value::Str(FOLLOWED.to_owned())),
        ("major".to_owned(), number(2)),
        ("minor".to_owned(), number(19)),
        ("revision".to_owned(), number(14)),
    ]))
}

/// What runs Ansible there. Nothing of it runs here, but playbooks hand it on as an interpreter, and run programs by it.
fn python() -> String {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join("python3")).find(|file| file.is_file());
    found.map_or_else(|| "/usr/bin/python3".to_owned(), |file| file.display().to_string())
}

/// All hosts' variables at the beginning.
fn fleet(shared: &Shared) -> Fleet {
    let program = &shared.program;
    let inventory = &program.inventory;
    let merges = shared.options.merge_dictionaries;
    let mut hosts: indexmap::IndexMap<String, HostVars> =
        inventory.hosts.values().map(|host| (host.name.clone(), HostVars::of(inventory, host, merges))).collect();
    for name in program.compiled.plays.iter().flat_map(|play| &play.hosts) {
        if let (false, Some(host)) = (hosts.contains_key(name), inventory.host(name)) {
            hosts.insert(name.clone(), HostVars::of(inventory, host, merges));
        }
    }
    let texts = |texts: &[String]| Value::List(texts.iter().map(|text| Value::Str(text.clone())).collect());
    let (selection, all) = (&program.selection, ["all".to_owned()]);
    let mut magic = Map::from_iter([
        ("groups".to_owned(), inventory.groups_value()),
        ("playbook_dir".to_owned(), Value::Str(absolute(&program.dir))),
        ("ansible_check_mode".to_owned(), Value::Bool(shared.options.preview)),
        ("ansible_diff_mode".to_owned(), Value::Bool(true)),
        ("ansible_version".to_owned(), followed_version()),
        ("ansible_verbosity".to_owned(), Value::Int(shared.options.verbosity.into())),
        ("ansible_forks".to_owned(), Value::Int(i64::try_from(shared.options.forks).unwrap_or(i64::MAX))),
        ("ansible_run_tags".to_owned(), texts(if selection.tags.is_empty() { &all } else { &selection.tags })),
        ("ansible_skip_tags".to_owned(), texts(&selection.skip_tags)),
        ("omit".to_owned(), Value::Omit),
    ]);
    magic.insert("ansible_playbook_python".into(), Value::Str(python()));
    magic.extend(selection.limit.iter().map(|limit| ("ansible_limit".to_owned(), Value::Str(limit.clone()))));
    if let Some(file) = shared.options.inventories.first() {
        let file = std::path::Path::new(file);
        magic.insert("inventory_file".into(), Value::Str(absolute(file)));
        magic.insert("inventory_dir".into(), Value::Str(directory(file)));
    }
    Fleet::new(hosts, Arc::new(program.extra.clone()), Arc::new(magic), merges)
}
