//! A result's line, and what is said before it.

use std::io::{self, Write};

use serde_json::{Map, Value};

use super::data::{failure, job, label, reason, unreachable, yaml};
use super::python::{self, dumps, dumps_indented};
use super::{Ansible, color, included, origin};
use crate::event::{Status, TaskResult};

/// Modules whose result is always shown, and in full.
const TELLING: [&str; 2] = ["debug", "assert"];

impl<O: Write> Ansible<O> {
    pub(super) fn result(&mut self, result: &TaskResult) -> io::Result<()> {
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
            self.diffs(result)?;
        }
        if result.task.module == "pause" && !changed && result.item.is_none() {
            self.pausing(&result.data)?;
        }
        if let Some(line) = job(result) {
            self.painted(&line, color::DEBUG)?;
        }
        self.asides(result)?;
        let line = self.worded(result, changed);
        let code = match &result.status {
            Status::Failed { .. } => color::FAILED,
            Status::Unreachable { .. } => color::UNREACHABLE,
            Status::Skipped { .. } => color::SKIPPED,
            _ if changed => color::CHANGED,
            _ => color::OK,
        };
        match &result.status {
            Status::Failed { .. } | Status::Unreachable { .. } => self.failing(&line, code),
            _ => self.painted(&line, code),
        }
    }

    /// The line of a result.
    fn worded(&self, result: &TaskResult, changed: bool) -> String {
        match (&result.status, &result.item) {
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
        }
    }

    /// What is said before the result itself: warnings, and what went wrong.
    fn asides(&mut self, result: &TaskResult) -> io::Result<()> {
        for warning in &result.warnings {
            let text = format!("[WARNING]: {warning}\n");
            if self.errors.insert(text.clone()) {
                self.out.flush()?;
                super::super::print::say_in(&text, color::WARNING);
            }
        }
        let Status::Failed { error, .. } = &result.status else { return Ok(()) };
        if *error == crate::event::WITHHELD {
            return Ok(());
        }
        let data = failure(result);
        if let Some(reason) = data.get("reason").and_then(Value::as_str).filter(|_| included::includes(result)) {
            let text = format!("[ERROR]: {reason}\n");
            if self.errors.insert(text.clone()) {
                self.out.flush()?;
                super::super::print::say_in(&text, color::FAILED);
            }
            return Ok(());
        }
        let text = origin::error(&result.task, &reason(&data), &result.causes);
        if self.errors.insert(text.clone()) {
            self.failing(&text, color::FAILED)?;
        }
        if self.verbosity.paths && self.verbosity.level < 2 && result.item.is_none() {
            self.task_path(&result.task.place)?;
        }
        Ok(())
    }

    /// The result itself, where it is shown.
    fn told(&self, result: &TaskResult, changed: bool) -> String {
        let quiet = result.task.module == "assert" && !result.data.contains_key("msg");
        let telling = TELLING.contains(&result.task.module.as_str()) && !quiet;
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
}
