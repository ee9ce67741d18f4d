//! The output of Ansible's `default` callback, for whoever parses it: banners, a line for each host, the recap.

pub(crate) mod color;
mod data;
pub(crate) mod diagnostic;
mod diffs;
mod included;
mod line;
pub mod listing;
pub mod minimal;
pub mod oneline;
mod origin;
pub mod posix;
pub mod python;
mod recap;
mod stats;
pub mod tree;
mod view;

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};
use std::sync::Arc;

use super::{Reporter, not_run};
use crate::event::{Event, Status, TaskInfo, TaskResult};
use data::unreachable;
use stats::Stats;
pub use view::Verbosity;

/// The fewest stars of a banner.
const STARS: usize = 3;
/// What is said of a run that was ended from outside, or by an answer.
const INTERRUPTED: &str = "User interrupted execution";
/// How `--step` asks.
const STEP: &str = "Perform task: ";

/// Writes what the callback would. Results of a task are held back until it is over, in the order of the hosts.
pub struct Ansible<O> {
    out: O,
    verbosity: Verbosity,
    order: HashMap<String, usize>,
    held: Vec<Arc<TaskResult>>,
    /// The task whose banner is out.
    shown: String,
    /// Attempts that failed before the banner was out, as lines.
    early: Vec<String>,
    /// Failed attempts, by host and task.
    attempts: HashMap<(String, String), u64>,
    /// Errors that were told: Ansible tells the same one only once.
    errors: HashSet<String>,
    /// A mistake in the playbook has ended the run.
    aborted: bool,
    /// The banner of a task of which nothing has been told yet.
    due: Option<(String, String)>,
    /// The run is a preview.
    preview: bool,
    stats: Stats,
    /// The question that is being answered.
    asked: Option<String>,
}

impl<O: Write> Ansible<O> {
    /// At the beginning.
    pub fn new(out: O, verbosity: Verbosity) -> Self {
        let (order, attempts) = (HashMap::new(), HashMap::new());
        Self {
            out,
            verbosity,
            order,
            held: Vec::new(),
            shown: String::new(),
            early: Vec::new(),
            attempts,
            errors: HashSet::new(),
            aborted: false,
            due: None,
            preview: false,
            stats: Stats::default(),
            asked: None,
        }
    }

    fn begin(&mut self, hosts: &[String], preview: bool) -> io::Result<()> {
        self.order = hosts.iter().cloned().zip(0..).collect();
        self.preview = preview;
        if preview && self.verbosity.marks_checks { self.banner("DRY RUN") } else { Ok(()) }
    }

    fn line(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.out, "{line}")
    }

    /// The same in a colour.
    fn painted(&mut self, text: &str, code: &str) -> io::Result<()> {
        match self.verbosity.color {
            true => self.line(&color::lines(text, code)),
            false => self.line(text),
        }
    }

    /// What is told of a failure.
    fn failing(&mut self, text: &str, code: &str) -> io::Result<()> {
        if self.verbosity.fails_aside {
            self.out.flush()?;
            super::print::say_in(&format!("{text}\n"), code);
            return Ok(());
        }
        self.painted(text, code)
    }

    fn banner(&mut self, text: &str) -> io::Result<()> {
        let text = text.trim();
        let mark = if self.preview && self.verbosity.marks_checks { " [CHECK MODE]" } else { "" };
        let marked = text.starts_with("PLAY [") || text.starts_with("TASK [") || text.starts_with("RUNNING HANDLER [");
        let text = if marked { format!("{text}{mark}") } else { text.to_owned() };
        let stars = self.verbosity.columns().saturating_sub(text.chars().count()).max(STARS);
        self.line(&format!("\n{text} {}", "*".repeat(stars)))
    }

    fn task(&mut self, task: &TaskInfo) -> io::Result<()> {
        let prefix = if task.handler { "RUNNING HANDLER" } else { "TASK" };
        // A task that nobody wrote: the facts.
        let name = if task.place.starts_with('<') && task.module == "setup" { "Gathering Facts" } else { &task.name };
        self.due = Some((format!("{prefix} [{name}]"), task.place.clone()));
        if !(self.verbosity.hides_ok || self.verbosity.hides_skipped) {
            self.head()?;
        }
        self.shown.clone_from(&task.name);
        std::mem::take(&mut self.early).iter().try_for_each(|line| self.painted(line, color::DEBUG))
    }

    /// Tells the task's banner, if it has not been told.
    fn head(&mut self) -> io::Result<()> {
        let Some((text, place)) = self.due.take() else { return Ok(()) };
        self.banner(&text)?;
        if self.verbosity.level >= 2 && !place.starts_with('<') {
            self.task_path(&place)?;
        }
        Ok(())
    }

    fn task_path(&mut self, place: &str) -> io::Result<()> {
        self.painted(&format!("task path: {}", origin::path_and_line(place)), color::DEBUG)
    }

    fn retrying(&mut self, host: &str, task: &str, left: u64) -> io::Result<()> {
        *self.attempts.entry((host.to_owned(), task.to_owned())).or_default() += 1;
        // Ansible counts the one that is about to begin.
        let line = format!("FAILED - RETRYING: [{host}]: {task} ({} retries left).", left + 1);
        if self.shown == task {
            return self.painted(&line, color::DEBUG);
        }
        self.early.push(line);
        Ok(())
    }

    /// The results held back: host by host, a loop's items in their order.
    fn release(&mut self) -> io::Result<()> {
        let mut held = std::mem::take(&mut self.held);
        if !held.is_empty() {
            self.shown.clear();
        }
        held.sort_by_key(|result| self.order.get(&result.host).copied().unwrap_or(usize::MAX));
        let included = included::lines(&held);
        for results in held.chunk_by(|a, b| a.host == b.host) {
            if self.verbosity.starts {
                let task = &results[0].task.name;
                self.painted(&format!(" [started TASK: {task} on {}]", results[0].host), color::OK)?;
            }
            results.iter().try_for_each(|result| self.result(result))?;
            let skipped = |one: &Arc<TaskResult>| one.item.is_some() && matches!(one.status, Status::Skipped { .. });
            if results.iter().all(skipped) && !self.verbosity.hides_skipped {
                self.painted(&format!("skipping: [{}]", results[0].host), color::SKIPPED)?;
            }
            let ignored = |one: &Arc<TaskResult>| {
                matches!(one.status, Status::Failed { ignored: true, .. } | Status::Unreachable { .. })
            };
            if results.iter().any(ignored) {
                self.painted("...ignoring", color::SKIPPED)?;
            }
        }
        included.iter().try_for_each(|line| {
            self.head()?;
            self.painted(line, color::SKIPPED)
        })
    }

    fn unreachable(&mut self, host: &str, reason: &str) -> io::Result<()> {
        self.failing(&format!("fatal: [{host}]: UNREACHABLE! => {}", unreachable(reason)), color::UNREACHABLE)
    }
}

impl<O: Write> Reporter for Ansible<O> {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        let asked = self.asked.take();
        if let Some(asked) = asked.as_ref().filter(|asked| asked.starts_with(STEP)) {
            self.banner(asked)?;
        }
        let asking = asked.is_some();
        match event {
            Event::RunStarted { hosts, preview, .. } => self.begin(hosts, *preview)?,
            Event::PlayStarted { play } => {
                self.release()?;
                self.banner(&format!("PLAY [{play}]"))?;
            }
            Event::PlaySkipped { play } => {
                self.release()?;
                self.banner(&format!("PLAY [{play}]"))?;
                self.painted("skipping: no hosts matched", color::SKIPPED)?;
            }
            Event::TaskStarted { task } => {
                self.release()?;
                self.task(task)?;
            }
            Event::Result(result) => self.held.push(Arc::clone(result)),
            Event::Retrying { host, task, left } => {
                self.retrying(host, task, *left)?;
            }
            Event::Unreachable { host, reason, .. } => {
                self.release()?;
                self.unreachable(host, reason)?;
            }
            Event::Aborted { error } => {
                self.release()?;
                self.aborted = true;
                super::print::say_in(&format!("[ERROR]: {error}\n"), color::FAILED);
            }
            Event::RunFinished { recap, cancelled, .. } => {
                self.release()?;
                match *cancelled {
                    true if asking => self.line(INTERRUPTED)?,
                    true => super::print::say_in(&format!("[ERROR]: {INTERRUPTED}\n"), color::FAILED),
                    false if self.aborted => {}
                    false => self.recap(recap)?,
                }
            }
            Event::Question { text } => {
                self.release()?;
                write!(self.out, "{text}")?;
                self.asked = Some(text.clone());
            }
            Event::Warning(text) => super::print::say_in(&format!("[WARNING]: {text}\n"), color::WARNING),
            Event::NotRun { hosts, tasks, .. } => {
                let text = format!("not run on {}, since {}: {}", hosts.join(", "), not_run(event), tasks.join(", "));
                super::print::say_in(&format!("[WARNING]: {text}\n"), color::WARNING);
            }
            Event::Connected { .. } | Event::Running { .. } | Event::Line { .. } | Event::Progress { .. } => {}
        }
        self.out.flush()
    }

    fn end(&mut self) -> io::Result<()> {
        self.release()?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests;
