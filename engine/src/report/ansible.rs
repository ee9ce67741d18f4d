//! The output of Ansible's `default` callback, for whoever parses it: banners, a line for each host, the recap.

mod included;
pub mod listing;
pub mod minimal;
pub mod oneline;
mod origin;
pub mod posix;
pub mod python;
mod stats;
pub mod tree;

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};

use serde_json::{Map, Value, json};
use trueup_modules::edit::{Diff, Shown};

use super::{Reporter, not_run};
use crate::event::{Event, Recap, Status, TaskInfo, TaskResult};
use python::{dumps, dumps_indented};
use stats::Stats;

/// The columns of a banner where standard output is no terminal.
const COLUMNS: usize = 79;
/// The fewest stars of a banner.
const STARS: usize = 3;
/// Modules whose result is always shown, and in full.
const TELLING: [&str; 2] = ["debug", "assert"];

/// How much is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verbosity {
    /// How often `-v` was given.
    pub level: u8,
    /// `--diff`.
    pub diffs: bool,
    /// Results are YAML, not JSON.
    pub yaml: bool,
    /// What is skipped is not told of.
    pub hides_skipped: bool,
    /// What is as it should be is not told of.
    pub hides_ok: bool,
    /// What `set_stats` has set is told at the end.
    pub stats: bool,
}

/// Writes what the callback would. Results of a task are held back until it is over, in the order of the hosts.
pub struct Ansible<O> {
    out: O,
    verbosity: Verbosity,
    order: HashMap<String, usize>,
    held: Vec<TaskResult>,
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
    due: Option<String>,
    stats: Stats,
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
            stats: Stats::default(),
        }
    }

    fn line(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.out, "{line}")
    }

    fn banner(&mut self, text: &str) -> io::Result<()> {
        let stars = COLUMNS.saturating_sub(text.chars().count()).max(STARS);
        self.line(&format!("\n{text} {}", "*".repeat(stars)))
    }

    fn task(&mut self, task: &TaskInfo) -> io::Result<()> {
        let prefix = if task.handler { "RUNNING HANDLER" } else { "TASK" };
        // A task that nobody wrote: the facts.
        let name = if task.place.starts_with('<') && task.module == "setup" { "Gathering Facts" } else { &task.name };
        let text = format!("{prefix} [{name}]");
        let stars = COLUMNS.saturating_sub(text.chars().count()).max(STARS);
        let mut banner = format!("\n{text} {}", "*".repeat(stars));
        if self.verbosity.level >= 2 {
            banner.push_str(&format!("\ntask path: {}", origin::path_and_line(&task.place)));
        }
        self.due = Some(banner);
        if !(self.verbosity.hides_ok || self.verbosity.hides_skipped) {
            self.head()?;
        }
        self.shown.clone_from(&task.name);
        std::mem::take(&mut self.early).iter().try_for_each(|line| self.line(line))
    }

    /// Tells the task's banner, if it has not been told.
    fn head(&mut self) -> io::Result<()> {
        match self.due.take() {
            Some(banner) => writeln!(self.out, "{banner}"),
            None => Ok(()),
        }
    }

    fn retrying(&mut self, host: &str, task: &str, left: u64) -> io::Result<()> {
        *self.attempts.entry((host.to_owned(), task.to_owned())).or_default() += 1;
        // Ansible counts the one that is about to begin.
        let line = format!("FAILED - RETRYING: [{host}]: {task} ({} retries left).", left + 1);
        if self.shown == task {
            return self.line(&line);
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
            results.iter().try_for_each(|result| self.result(result))?;
            let skipped = |one: &TaskResult| one.item.is_some() && matches!(one.status, Status::Skipped { .. });
            if results.iter().all(skipped) && !self.verbosity.hides_skipped {
                self.line(&format!("skipping: [{}]", results[0].host))?;
            }
            let ignored = |one: &TaskResult| {
                matches!(one.status, Status::Failed { ignored: true, .. } | Status::Unreachable { .. })
            };
            if results.iter().any(ignored) {
                self.line("...ignoring")?;
            }
        }
        included.iter().try_for_each(|line| {
            self.head()?;
            self.line(line)
        })
    }

    fn result(&mut self, result: &TaskResult) -> io::Result<()> {
        self.stats.add(result);
        let hidden = match result.status {
            Status::Ok => self.verbosity.hides_ok || included::is_include(result),
            Status::Skipped { .. } => self.verbosity.hides_skipped,
            _ => false,
        };
        if hidden {
            return Ok(());
        }
        self.head()?;
        let changed = matches!(result.status, Status::Changed | Status::Would | Status::Unknown(_));
        if self.verbosity.diffs && changed {
            self.diffs(&result.diffs)?;
        }
        if result.task.module == "pause" && !changed && result.item.is_none() {
            self.pausing(&result.data)?;
        }
        if let Some(line) = job(result) {
            self.line(&line)?;
        }
        if let Status::Failed { error, .. } = &result.status
            && *error != crate::event::WITHHELD
        {
            let text = origin::error(&result.task, text_of(&failure(result), "msg"));
            if self.errors.insert(text.clone()) {
                self.line(&text)?;
            }
        }
        let line = match (&result.status, &result.item) {
            (Status::Failed { .. }, Some(item)) => {
                let data = Value::Object(failure(result));
                format!("failed: [{}] (item={}) => {}", label(result), python::label(item), self.dump(&data, result))
            }
            (Status::Failed { .. }, None) => {
                let mut data = failure(result);
                if let Some(attempts) = self.attempts.get(&(result.host.clone(), result.task.name.clone())) {
                    data.insert("attempts".into(), (*attempts).into());
                }
                let data = Value::Object(data);
                format!("fatal: [{}]: FAILED! => {}", label(result), self.dump(&data, result))
            }
            (Status::Unreachable { reason, .. }, item) => {
                let item = item.as_ref().map(|item| format!(" (item={})", python::label(item))).unwrap_or_default();
                format!("fatal: [{}]: UNREACHABLE!{item} => {}", label(result), unreachable(reason))
            }
            // The blank at the end is Ansible's.
            (Status::Skipped { .. }, Some(item)) => {
                let told = self.skipped(result);
                format!("skipping: [{}] => (item={}) {told}", result.host, python::label(item))
            }
            (Status::Skipped { .. }, None) => format!("skipping: [{}]{}", result.host, self.skipped(result)),
            (_, item) => {
                let word = if changed { "changed" } else { "ok" };
                let item = item.as_ref().map(|item| format!(" => (item={})", python::label(item))).unwrap_or_default();
                format!("{word}: [{}]{item}{}", label(result), self.told(result, changed))
            }
        };
        self.line(&line)
    }

    /// The result itself, where it is shown.
    fn told(&self, result: &TaskResult, changed: bool) -> String {
        let telling = TELLING.contains(&result.task.module.as_str());
        let withheld = result.data.contains_key("censored");
        if (withheld || !telling) && self.verbosity.level == 0 {
            return String::new();
        }
        let mut data = result.data.clone();
        for name in ["failed", "skipped", "warnings"] {
            data.shift_remove(name);
        }
        match result.task.module.as_str() {
            "debug" => drop(data.shift_remove("changed")),
            _ => {
                data.insert("changed".into(), changed.into());
                data.extend(result.loop_vars.clone());
            }
        }
        format!(" => {}", self.dump(&Value::Object(data), result))
    }

    /// Why it was skipped, where that is shown.
    fn skipped(&self, result: &TaskResult) -> String {
        let Status::Skipped { because } = &result.status else { return String::new() };
        if self.verbosity.level == 0 {
            return String::new();
        }
        let mut data = result.data.clone();
        data.shift_remove("skipped");
        if data.is_empty() {
            let condition = match because.as_str() {
                "true" | "false" => (because == "true").into(),
                text => Value::from(text),
            };
            data.insert("false_condition".into(), condition);
            if result.task.module != "debug" {
                data.insert("changed".into(), false.into());
                data.insert("skip_reason".into(), "Conditional result was False".into());
            }
        }
        data.extend(result.loop_vars.clone());
        if result.task.module == "debug" {
            data.shift_remove("ansible_loop_var");
        }
        format!(" => {}", self.dump(&Value::Object(data), result))
    }

    fn dump(&self, data: &Value, result: &TaskResult) -> String {
        if self.verbosity.yaml {
            return yaml(data);
        }
        // What could not be rendered never came to the module.
        let unrendered = data["msg"].as_str().is_some_and(|msg| msg.starts_with("Task failed: "));
        if unrendered && self.verbosity.level <= 2 {
            return dumps(data);
        }
        let indented = TELLING.contains(&result.task.module.as_str()) || self.verbosity.level > 2;
        if indented { dumps_indented(data) } else { dumps(data) }
    }

    /// `pause` says so while it does.
    fn pausing(&mut self, data: &Map<String, Value>) -> io::Result<()> {
        match data.get("delta").and_then(Value::as_u64).filter(|seconds| *seconds > 0) {
            Some(seconds) => self.line(&format!("Pausing for {seconds} seconds")),
            None => Ok(()),
        }
    }

    fn diffs(&mut self, diffs: &[Diff]) -> io::Result<()> {
        // Ansible knows diffs of files only.
        for diff in diffs.iter().filter(|diff| diff.subject.starts_with('/')) {
            let text = |shown: &Shown| match shown {
                Shown::Plain(text) if diff.aspect == "content" => Some(text.clone()),
                Shown::Plain(text) => Some(format!("{}: {text}\n", diff.aspect)),
                Shown::Absent => Some(String::new()),
                Shown::Unknown | Shown::Redacted | Shown::Opaque { .. } => None,
            };
            let (Some(before), Some(after)) = (text(&diff.before), text(&diff.after)) else { continue };
            let lines = similar::TextDiff::from_lines(&before, &after);
            let mut unified = lines.unified_diff();
            let headed =
                unified.header(&format!("before: {}", diff.subject), &format!("after: {}", diff.subject)).to_string();
            self.line(&headed)?;
        }
        Ok(())
    }

    fn unreachable(&mut self, host: &str, reason: &str) -> io::Result<()> {
        self.line(&format!("fatal: [{host}]: UNREACHABLE! => {}", unreachable(reason)))
    }

    fn recap(&mut self, recap: &[(String, Recap)]) -> io::Result<()> {
        self.banner("PLAY RECAP")?;
        for (host, recap) in recap {
            let columns = [
                ("ok", recap.ok + recap.unknown),
                ("changed", recap.changed + recap.unknown),
                ("unreachable", recap.unreachable),
                ("failed", recap.failed),
                ("skipped", recap.skipped),
                ("rescued", recap.rescued),
                ("ignored", recap.ignored),
            ];
            let cells: Vec<String> = columns.iter().map(|(name, number)| format!("{name}={number:<4}")).collect();
            self.line(&format!("{host:<26} : {}", cells.join(" ")))?;
        }
        self.line("")?;
        if self.verbosity.stats && !self.stats.is_empty() {
            self.banner("CUSTOM STATS: ")?;
            let lines = self.stats.lines();
            lines.iter().try_for_each(|line| self.line(line))?;
            self.line("")?;
        }
        Ok(())
    }
}

/// What a job came to, in Ansible's words; nothing of those that nobody waits for.
fn job(result: &TaskResult) -> Option<String> {
    let id = result.data.get("ansible_job_id").and_then(Value::as_str)?;
    let over = result.data.get("finished").is_some_and(|finished| *finished == json!(true) || *finished == json!(1));
    if !over || result.task.module == "async_status" {
        return None;
    }
    let word = if matches!(result.status, Status::Failed { .. }) { "FAILED" } else { "OK" };
    Some(format!("ASYNC {word} on {}: jid={id}", result.host))
}

/// A result in YAML, which begins on a line of its own.
fn yaml(data: &Value) -> String {
    let mut data = data.clone();
    for (lines, text) in [("stdout_lines", "stdout"), ("stderr_lines", "stderr")] {
        if data.get(text).is_some() && data.get(lines).is_some() {
            data[lines] = "<omitted>".into();
        }
    }
    let text = crate::template::yaml_of_result(&data);
    let lines: String =
        text.lines().map(|line| if line.is_empty() { "\n".into() } else { format!("    {line}\n") }).collect();
    format!("\n{}", lines.trim_end_matches('\n'))
}

impl<O: Write> Reporter for Ansible<O> {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::RunStarted { hosts, .. } => self.order = hosts.iter().cloned().zip(0..).collect(),
            Event::PlayStarted { play } => {
                self.release()?;
                self.banner(&format!("PLAY [{play}]"))?;
            }
            Event::PlaySkipped { play } => {
                self.release()?;
                self.banner(&format!("PLAY [{play}]"))?;
                self.line("skipping: no hosts matched")?;
            }
            Event::TaskStarted { task } => {
                self.release()?;
                self.task(task)?;
            }
            Event::Result(result) => self.held.push((**result).clone()),
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
                super::print::say(&format!("[ERROR]: {error}\n"));
            }
            Event::RunFinished { recap, .. } => {
                self.release()?;
                if !self.aborted {
                    self.recap(recap)?;
                }
            }
            Event::Warning(text) => super::print::say(&format!("[WARNING]: {text}\n")),
            Event::NotRun { hosts, tasks, .. } => {
                let text = format!("not run on {}, since {}: {}", hosts.join(", "), not_run(event), tasks.join(", "));
                super::print::say(&format!("[WARNING]: {text}\n"));
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

fn unreachable(reason: &str) -> String {
    dumps(&json!({"changed": false, "msg": reason, "unreachable": true}))
}

/// What a failure registers, with Ansible's words where a program failed.
fn failure(result: &TaskResult) -> Map<String, Value> {
    let Status::Failed { error, .. } = &result.status else { return Map::new() };
    if *error == crate::event::WITHHELD {
        return result.data.clone();
    }
    let mut data = result.data.clone();
    for name in ["failed", "skipped", "warnings", "exception"] {
        data.shift_remove(name);
    }
    let ran = data.contains_key("rc") && data.contains_key("stdout");
    data.entry("msg").or_insert_with(|| error.as_str().into());
    if !text_of(&data, "msg").starts_with("Task failed: Finalization") {
        data.insert("changed".into(), (ran || !result.diffs.is_empty()).into());
    }
    data.extend(result.loop_vars.clone());
    data
}

/// A text among what is registered.
fn text_of<'d>(data: &'d Map<String, Value>, name: &str) -> &'d str {
    data.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn label(result: &TaskResult) -> String {
    match &result.delegated_to {
        Some(other) => format!("{} -> {other}", result.host),
        None => result.host.clone(),
    }
}

#[cfg(test)]
mod tests;
