//! What the end-to-end tests share: a playbook and an inventory in a directory of their own, run through the real
//! engine and the real agent on hosts that are all this machine, each with a directory `d` of its own.

pub mod agree;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use tokio::sync::mpsc;
use trueup::compile::{Asker, Question};
use trueup::connect::Agents;
use trueup::diagnostic::{Diagnostics, Paint};
use trueup::event::{Event, Recap, Status, TaskResult};
use trueup::execute::{self, Options, Passwords};
use trueup::report::summary::Verdict;
use trueup::vault::VaultPasswords;
use trueup_modules::secret::Secret;

/// What stands for the case's directory, in its files and in what is told of its runs.
const DIR: &str = "DIR";
/// Events that may wait; the reader is never slower than the run for long.
const BACKLOG: usize = 1024;

/// A playbook, and all that it is run with.
pub struct Case {
    dir: TempDir,
    tags: Vec<String>,
    skip_tags: Vec<String>,
    extra_vars: Vec<String>,
    limit: Option<String>,
    vault: Option<&'static str>,
    asker: Option<Asker>,
    merge_dictionaries: bool,
    apart: bool,
}

impl Case {
    /// A playbook on the hosts `h1`, …, `hN`. `DIR` in any file is the case's directory.
    pub fn new(hosts: usize, playbook: &str) -> Self {
        let case = Self {
            dir: tempfile::tempdir().expect("a temporary directory can be made"),
            tags: Vec::new(),
            skip_tags: Vec::new(),
            extra_vars: Vec::new(),
            limit: None,
            vault: None,
            asker: None,
            merge_dictionaries: false,
            apart: false,
        };
        let mut inventory = String::new();
        for host in (1..=hosts).map(|n| format!("h{n}")) {
            std::fs::create_dir(case.path(&host)).expect("a new directory is empty");
            let _ = writeln!(inventory, "{host} ansible_connection=local d=DIR/{host}");
        }
        case.file("hosts.ini", &inventory).file("site.yml", playbook)
    }

    /// Tasks of one play on all hosts, given as they stand below `tasks:`, without indentation.
    pub fn tasks(hosts: usize, tasks: &str) -> Self {
        Self::new(hosts, &play(tasks))
    }

    /// Other tasks in the place of the playbook; what was done stays.
    #[must_use]
    pub fn then(self, tasks: &str) -> Self {
        self.file("site.yml", &play(tasks))
    }

    /// Adds a file, its path relative to the playbook's directory.
    #[must_use]
    pub fn file(self, path: &str, text: &str) -> Self {
        let path = self.path(path);
        let text = text.replace(DIR, &self.dir.path().display().to_string());
        std::fs::create_dir_all(path.parent().expect("a file is in a directory")).expect("directories can be made");
        std::fs::write(path, text).expect("a file can be written");
        self
    }

    /// `--tags`.
    #[must_use]
    pub fn tag(mut self, tag: &str) -> Self {
        self.tags.push(tag.to_owned());
        self
    }

    /// `--skip-tags`.
    #[must_use]
    pub fn skip_tag(mut self, tag: &str) -> Self {
        self.skip_tags.push(tag.to_owned());
        self
    }

    /// `-e`.
    #[must_use]
    pub fn extra(mut self, vars: &str) -> Self {
        self.extra_vars.push(vars.to_owned());
        self
    }

    /// `--limit`.
    #[must_use]
    pub fn limit(mut self, pattern: &str) -> Self {
        self.limit = Some(pattern.to_owned());
        self
    }

    /// The vault's password.
    #[must_use]
    pub fn vault(mut self, password: &'static str) -> Self {
        self.vault = Some(password);
        self
    }

    /// Who answers what `vars_prompt` asks.
    #[must_use]
    pub fn asker(mut self, asker: impl Fn(&Question) -> Option<&'static str> + Send + Sync + 'static) -> Self {
        self.asker = Some(Arc::new(move |question| Ok(asker(question).map(Secret::new))));
        self
    }

    /// Each host says that it is a machine of its own: nobody sees what another changes.
    #[must_use]
    pub fn apart(mut self) -> Self {
        std::os::unix::fs::symlink(agent(), self.path("apart")).expect("a new directory has no such link");
        self.apart = true;
        self
    }

    /// `hash_behaviour = merge`.
    #[must_use]
    pub fn merging(mut self) -> Self {
        self.merge_dictionaries = true;
        self
    }

    /// A path in the case's directory.
    pub fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// The text of a file in the case's directory.
    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path(path)).unwrap_or_else(|error| format!("({path}: {error})"))
    }

    /// Shows what would change.
    pub fn plan(&self) -> Run {
        self.run(true)
    }

    /// Changes it; and before that holds the preview to its word.
    pub fn apply(&self) -> Run {
        let plan = self.run(true);
        let apply = self.run(false);
        let found = agree::agreement(&plan.events, &apply.events);
        assert!(found.wrong.is_empty(), "the preview was wrong:\n{}", found.wrong.join("\n"));
        apply
    }

    /// Changes it, and does not ask what the preview says.
    pub fn apply_only(&self) -> Run {
        self.run(false)
    }

    /// What is told of the input; empty if it is fine.
    pub fn diagnostics(&self) -> String {
        let mut diagnostics = Diagnostics::new();
        execute::compile(&self.options(true), &mut diagnostics);
        self.neutral(&diagnostics.render(Paint::Plain))
    }

    /// What comes after what, as `trueup graph` shows it.
    pub fn graph(&self) -> String {
        let mut diagnostics = Diagnostics::new();
        let program = execute::compile(&self.options(true), &mut diagnostics);
        let program = program.unwrap_or_else(|| panic!("{}", diagnostics.render(Paint::Plain)));
        self.neutral(&trueup::report::graph::text(program.steps()))
    }

    fn run(&self, preview: bool) -> Run {
        let mut diagnostics = Diagnostics::new();
        let program = execute::compile(&self.options(preview), &mut diagnostics);
        let program = program.unwrap_or_else(|| panic!("{}", diagnostics.render(Paint::Plain)));
        let runtime = tokio::runtime::Runtime::new().expect("threads can be started");
        let events = runtime.block_on(async {
            let (sender, mut receiver) = mpsc::channel(BACKLOG);
            let run = tokio::spawn(execute::run(program, self.options(preview), sender, std::future::pending()));
            let mut events = Vec::new();
            while let Some(event) = receiver.recv().await {
                events.push(event);
            }
            run.await.expect("a run does not panic");
            events
        });
        Run { events, dir: self.dir.path().to_owned() }
    }

    fn options(&self, preview: bool) -> Options {
        let mut vault_passwords = VaultPasswords::none();
        if let Some(password) = self.vault {
            vault_passwords.add(None, &Secret::new(password.to_owned()));
        }
        Options {
            preview,
            limit: self.limit.clone(),
            tags: self.tags.clone(),
            skip_tags: self.skip_tags.clone(),
            extra_vars: self.extra_vars.clone(),
            asker: self.asker.clone(),
            managed: None,
            merge_dictionaries: self.merge_dictionaries,
            agents: Agents { carried: Vec::new(), local: Some(if self.apart { self.path("apart") } else { agent() }) },
            ..options(self.path("site.yml"), &self.path("hosts.ini"), vault_passwords)
        }
    }

    fn neutral(&self, text: &str) -> String {
        neutral(text, self.dir.path())
    }
}

/// What is told of a playbook and an inventory on disk; empty if they are fine.
pub fn compile(playbook: &Path, inventory: &Path, password: &str) -> String {
    let mut vault_passwords = VaultPasswords::none();
    vault_passwords.add(None, &Secret::new(password));
    let mut diagnostics = Diagnostics::new();
    execute::compile(&options(playbook.to_owned(), inventory, vault_passwords), &mut diagnostics);
    diagnostics.render(Paint::Plain)
}

fn options(playbook: PathBuf, inventory: &Path, vault_passwords: VaultPasswords) -> Options {
    Options {
        preview: true,
        paths: trueup::compile::SearchPaths::default(),
        inventories: vec![inventory.display().to_string()],
        playbooks: vec![playbook],
        limit: None,
        tags: Vec::new(),
        skip_tags: Vec::new(),
        extra_vars: Vec::new(),
        vault_passwords,
        forks: 8,
        host_keys: None,
        ssh_config: None,
        user: None,
        private_key: None,
        ask: Passwords::default(),
        become_: false,
        assumed: Default::default(),
        gather_always: false,
        start_at: None,
        force_handlers: false,
        asker: None,
        answers: None,
        debugging: Default::default(),
        step: false,
        verbosity: 0,
        given: None,
        plays: Default::default(),
        manner: Default::default(),
        warns_of_no_hosts: false,
        idle: trueup::compile::Idle::default(),
        fails_late: false,
        managed: None,
        merge_dictionaries: false,
        agents: Agents { carried: Vec::new(), local: Some(agent()) },
    }
}

fn play(tasks: &str) -> String {
    let tasks: String = tasks.trim().lines().map(|line| format!("    {line}\n")).collect();
    format!("- name: Play\n  hosts: all\n  tasks:\n{tasks}")
}

/// What happened.
pub struct Run {
    /// In order.
    pub events: Vec<Event>,
    dir: PathBuf,
}

impl Run {
    /// A line for each result, and for what else a user would want to know: `h1 changed Write it`.
    pub fn told(&self) -> String {
        let mut told = String::new();
        for event in &self.events {
            match event {
                Event::Result(result) => line(&mut told, result),
                Event::Retrying { host, task, left } => drop(writeln!(told, "{host} retries {task}, {left} left")),
                Event::Unreachable { host, reason, .. } => drop(writeln!(told, "{host} unreachable: {reason}")),
                Event::Warning(text) => drop(writeln!(told, "warning: {text}")),
                Event::Aborted { error } => drop(writeln!(told, "aborted: {error}")),
                Event::NotRun { hosts, tasks, needed, on, lost } => {
                    let end = if *lost { "was lost" } else { "failed" };
                    let tasks = tasks.join(", ");
                    for host in hosts {
                        let _ = writeln!(told, "{host} not run: {tasks}; {needed} {end} on {on}");
                    }
                }
                _ => {}
            }
        }
        neutral(&told, &self.dir)
    }

    /// The results, in order.
    pub fn results(&self) -> impl Iterator<Item = &TaskResult> {
        self.events.iter().filter_map(|event| match event {
            Event::Result(result) => Some(result.as_ref()),
            _ => None,
        })
    }

    /// The hosts' lines at the end.
    pub fn recap(&self) -> &[(String, Recap)] {
        self.finished().0
    }

    /// How many batches were sent.
    pub fn batches(&self) -> u64 {
        self.finished().2
    }

    /// What the exit status is made from.
    pub fn verdict(&self) -> Verdict {
        let (recap, cancelled, _) = self.finished();
        let aborted = self.events.iter().any(|event| matches!(event, Event::Aborted { .. }));
        if aborted { Verdict::Aborted } else { Verdict::of(recap, cancelled) }
    }

    /// The directory of its case.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// All that a reporter can ever tell of the run.
    pub fn json(&self) -> String {
        serde_json::to_string(&self.events).expect("events are data")
    }

    fn finished(&self) -> (&[(String, Recap)], bool, u64) {
        match self.events.last() {
            Some(Event::RunFinished { recap, cancelled, batches }) => (recap, *cancelled, *batches),
            other => panic!("a run ends with RunFinished, not with {other:?}"),
        }
    }
}

fn line(told: &mut String, result: &TaskResult) {
    let _ = write!(told, "{}", result.host);
    if let Some(other) = &result.delegated_to {
        let _ = write!(told, "->{other}");
    }
    let (word, why) = match &result.status {
        Status::Ok => ("ok", None),
        Status::Changed => ("changed", None),
        Status::Would => ("would", None),
        Status::Unknown(why) => ("unknown", Some(why.to_string())),
        Status::Skipped { because } => ("skipped", Some(because.clone())),
        Status::Failed { error, ignored: false, .. } => ("failed", Some(error.clone())),
        Status::Failed { error, ignored: true, .. } => ("ignored", Some(error.clone())),
        Status::Unreachable { .. } => ("unreachable", None),
    };
    let handler = if result.task.handler { "handler " } else { "" };
    let _ = write!(told, " {word} {handler}{}", result.task.name);
    if let Some(item) = &result.item {
        let _ = write!(told, " ({item})");
    }
    // A debug's message is what a test looks at variables with.
    let message = result.data.get("msg").filter(|_| result.task.module == "debug");
    let why = why.or_else(|| message.map(|text| text.as_str().map_or_else(|| text.to_string(), str::to_owned)));
    let _ = match why {
        Some(why) => writeln!(told, ": {why}"),
        None => writeln!(told),
    };
}

fn neutral(text: &str, dir: &Path) -> String {
    text.replace(&dir.display().to_string(), DIR)
}

/// The agent's program: built with this package, beside the directory of the running test.
pub fn agent() -> PathBuf {
    let test = std::env::current_exe().expect("a running program has a path");
    let agent = test.parent().and_then(Path::parent).expect("tests are in deps/").join("trueup-test-agent");
    assert!(agent.exists(), "{} is not built; `cargo test -p trueup-tests` builds it", agent.display());
    agent
}
