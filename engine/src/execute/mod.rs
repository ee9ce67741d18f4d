//! Running a program: the speculative linear strategy.
//!
//! `linear` means what Ansible means: no host begins a task before all hosts have finished the one before. But a task that
//! changes nothing imposes no order. So every host gets the tasks that it has left as one batch to *plan*, and answers `ok`
//! until the first that would change something. Up to the earliest such task over all hosts (the frontier), everything is
//! as a strictly linear run would have found it, and final. At the frontier the task is applied, and what was planned
//! beyond it is forgotten, unless nobody's change can be seen by another (`run::onward`): then each host plans on in the same
//! message. A run that changes nothing costs one round trip per host, one with c changing tasks c + 1.

mod blocks;
mod controller;
mod diffs;
mod fetch;
mod fleet;
mod gates;
mod include_vars;
pub(crate) mod json;
mod judge;
mod lower;
mod run;
mod vars;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use trueup_modules::secret::Secret;

use crate::compile::{self, Project, SearchPaths, Selection};
use crate::connect::{Agents, HostKeys, SshConfig, Surroundings};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::inventory::{self, Inventory};
use crate::playbook;
use crate::source::{Source, Span};
use crate::template::{self, Templar};
use crate::value::Map;
use crate::vault::VaultPasswords;
use crate::yaml;

pub use run::run;
pub(crate) use run::{FOLLOWED, absolute};

/// What the command line says.
pub struct Options {
    /// Show what would be done, and do nothing.
    pub preview: bool,
    /// `-i`, the later adds to the earlier.
    pub inventories: Vec<String>,
    /// Playbooks, run one after the other.
    pub playbooks: Vec<PathBuf>,
    /// A playbook that is in no file, run before them; relative paths start beside the path that it has.
    pub given: Option<Arc<Source>>,
    /// `--limit`.
    pub limit: Option<String>,
    /// `--tags`.
    pub tags: Vec<String>,
    /// `--skip-tags`.
    pub skip_tags: Vec<String>,
    /// Where roles and collections are.
    pub paths: SearchPaths,
    /// `-e`: each `k=v …`, JSON or YAML, or `@file`.
    pub extra_vars: Vec<String>,
    /// What opens vaults.
    pub vault_passwords: VaultPasswords,
    /// How many hosts are worked on at the same time.
    pub forks: usize,
    /// How host keys are checked; strictly by default.
    pub host_keys: Option<HostKeys>,
    /// As `ssh -F`.
    pub ssh_config: Option<PathBuf>,
    /// Login name where the inventory has none.
    pub user: Option<String>,
    /// Private key where the inventory has none.
    pub private_key: Option<PathBuf>,
    /// Passwords that were asked for.
    pub ask: Passwords,
    /// `-b`: become root where nothing else is said.
    pub become_: bool,
    /// The agents at hand.
    pub agents: Agents,
    /// Variables of all hosts that are weaker than whatever the inventory says: what settings stand for.
    pub assumed: indexmap::IndexMap<String, String>,
    /// Gather facts as Ansible does, though nothing reads them.
    pub gather_always: bool,
    /// How often `-v` was given: what a `debug` with `verbosity` asks.
    pub verbosity: u8,
    /// `--start-at-task`.
    pub start_at: Option<String>,
    /// `--force-handlers`.
    pub force_handlers: bool,
    /// What plays mean that do not say it: where the settings speak of it.
    pub plays: compile::PlayDefaults,
    /// What becomes of inventories that cannot be read.
    pub manner: inventory::Manner,
    /// Whether it is told that an inventory has no hosts at all.
    pub warns_of_no_hosts: bool,
    /// What becomes of plays without hosts.
    pub idle: compile::Idle,
    /// What is wrong with a task fails it when its turn comes, and stops nothing before the run.
    pub fails_late: bool,
    /// Whom to ask for the variables of `vars_prompt`; without, they have their defaults.
    pub asker: Option<compile::Asker>,
    /// Answers to questions in the run ([`Question`](crate::event::Event::Question)); without, nobody is there to be asked.
    pub answers: Option<Answers>,
    /// When the debugger asks, beside what the playbook says.
    pub debugging: Debugging,
    /// `--step`: ask before each task.
    pub step: bool,
    /// What `ansible_managed` says in the files of `template`; Ansible's words if not given.
    pub managed: Option<String>,
    /// A variable's dictionary is merged into the weaker ones of its name, and does not take their place.
    pub merge_dictionaries: bool,
}

/// Where the answers to [`Question`](crate::event::Event::Question)s come from: a line each, or nothing where nobody answers.
pub type Answers = tokio::sync::Mutex<tokio::sync::mpsc::Receiver<Option<String>>>;

/// What the settings say of the debugger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Debugging {
    /// Each failure asks (`enable_task_debugger`).
    pub enabled: bool,
    /// Those that are ignored do, too (`task_debugger_ignore_errors`).
    pub ignored_too: bool,
}

/// Passwords that were typed.
#[derive(Default)]
pub struct Passwords {
    /// For SSH.
    pub connection: Option<Secret>,
    /// For sudo.
    pub become_: Option<Secret>,
}

/// What [`compile`] makes and [`run`] takes.
pub struct Program {
    compiled: Arc<compile::Program>,
    project: Project,
    selection: Selection,
    inventory: Inventory,
    templar: Templar,
    extra: Map,
    dir: PathBuf,
}

impl Program {
    /// The steps, and the graph of what comes after what.
    pub fn steps(&self) -> &compile::Program {
        &self.compiled
    }

    /// The hosts and groups.
    pub fn inventory(&self) -> &inventory::Inventory {
        &self.inventory
    }
}

/// Reads and compiles what the options name. `None`, or errors among the diagnostics: nothing may run.
pub fn compile(options: &Options, diagnostics: &mut Diagnostics) -> Option<Program> {
    let mut playbooks = Vec::new();
    if let Some(source) = &options.given {
        playbooks.push(playbook::parse(source, &options.vault_passwords, diagnostics));
    }
    for path in &options.playbooks {
        match Source::read(path) {
            Ok(source) => playbooks.push(playbook::parse(&source, &options.vault_passwords, diagnostics)),
            Err(error) => diagnostics.push(error),
        }
    }
    let first = options.given.as_ref().map(|source| &source.path).or(options.playbooks.first());
    let dir = first.and_then(|path| path.parent()).unwrap_or(Path::new(""));
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let request = inventory::Request {
        sources: &options.inventories,
        playbook_dir: Some(dir),
        vault: &options.vault_passwords,
        manner: options.manner,
    };
    let mut inventory = inventory::load(request, diagnostics);
    if options.warns_of_no_hosts && inventory.hosts.is_empty() {
        let told = "provided hosts list is empty, only localhost is available. Note that the implicit localhost does not match 'all'";
        let message = "the inventory has no hosts: there is only this machine, `localhost`, which `all` does not mean";
        diagnostics.push(Diagnostic::warning(message).told_alone(told));
    }
    inventory.assume(&options.assumed);
    let extra = extra_vars(&options.extra_vars, &options.vault_passwords, diagnostics);
    let managed = options.managed.clone().unwrap_or_else(|| template::MANAGED.into());
    let templar = Templar::opening(dir, managed, options.vault_passwords.clone());
    let selection = Selection {
        limit: options.limit.clone(),
        tags: options.tags.clone(),
        skip_tags: options.skip_tags.clone(),
        vault: options.vault_passwords.clone(),
        gather_always: options.gather_always,
        start_at: options.start_at.clone(),
        force_handlers: options.force_handlers,
        plays: options.plays,
        idle: options.idle,
        fails_late: options.fails_late,
        asker: options.asker.clone(),
    };
    match SshConfig::load(options.ssh_config.as_deref(), &Surroundings::of_process()) {
        Ok(config) => config.warnings.iter().for_each(|text| diagnostics.push(Diagnostic::warning(text))),
        Err(error) => diagnostics.push(Diagnostic::error(format!("failed to {error}"))),
    }
    let vault = options.vault_passwords.clone();
    let mut project = Project::new(options.paths.clone(), templar.clone(), Arc::new(extra.clone()), vault);
    let compiled = Arc::new(compile::compile(&playbooks, &inventory, &mut project, &selection, diagnostics));
    (!diagnostics.has_errors()).then(|| Program {
        compiled,
        project,
        selection,
        inventory,
        templar,
        extra,
        dir: dir.into(),
    })
}

/// `-e`, each in the three forms that Ansible takes.
pub(crate) fn extra_vars(given: &[String], vault: &VaultPasswords, diagnostics: &mut Diagnostics) -> Map {
    let mut extra = Map::new();
    for text in given {
        let source = match text.strip_prefix('@') {
            Some(path) => match Source::read(Path::new(path)) {
                Ok(source) => source,
                Err(error) => {
                    diagnostics.push(error);
                    continue;
                }
            },
            None => Arc::new(Source { path: "<command line>".into(), text: text.clone() }),
        };
        if text.starts_with(['@', '{', '[']) || text.contains(": ") {
            match yaml::load(&source, vault, diagnostics).as_ref().and_then(yaml::Node::as_map) {
                Some(map) => extra.extend(lower::mapping(map)),
                None => diagnostics
                    .push(Diagnostic::error("extra variables must be a dictionary").at(&Span::new(&source, 0, 1))),
            }
            continue;
        }
        match crate::vars::pairs(&source) {
            Ok(pairs) => extra.extend(pairs),
            Err(error) => diagnostics.push(
                Diagnostic::error(error.to_string())
                    .at(&Span::new(&source, 0, text.len()))
                    .hint("write -e name=value, -e '{\"name\": value}' or -e @file.yml"),
            ),
        }
    }
    extra
}
