//! The output of Ansible's `minimal` callback, which `ansible` uses: a result for each host.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::super::Reporter;
use super::data::{failure, text_of};
use super::origin;
use super::python::dumps_indented;
use crate::event::{Event, Status, TaskResult};

/// Modules whose output is shown as it is.
pub(super) const RAW: [&str; 4] = ["command", "shell", "raw", "script"];

/// Writes what the callback would.
pub struct Minimal<O> {
    out: O,
    /// Of `ansible`: what stands for the place of its one task.
    task: Option<String>,
}

impl<O: Write> Minimal<O> {
    /// At the beginning.
    pub fn new(out: O, task: Option<String>) -> Self {
        Self { out, task }
    }

    fn result(&mut self, result: &TaskResult) -> io::Result<()> {
        let (word, data) = match &result.status {
            Status::Failed { .. } => ("FAILED", failure(result)),
            Status::Skipped { .. } => return writeln!(self.out, "{} | SKIPPED", result.host),
            _ => {
                let (word, mut data) = data_of(result);
                if result.task.module == "debug" {
                    data.shift_remove("changed");
                }
                (word, data)
            }
        };
        if let (Status::Failed { .. }, Some(task)) = (&result.status, &self.task) {
            writeln!(self.out, "{}", origin::ad_hoc(&result.task, text_of(&data, "msg"), task))?;
        }
        let failed = word == "FAILED";
        let raw = RAW.contains(&result.task.module.as_str()) && !data.contains_key("ansible_job_id");
        match data.get("rc").filter(|_| raw) {
            Some(rc) => {
                writeln!(self.out, "{} | {word} | rc={rc} >>", result.host)?;
                let texts = ["stdout", "stderr", "msg"].map(|name| text_of(&data, name));
                writeln!(self.out, "{}", texts.concat())
            }
            None => {
                let mark = if failed { format!("{word}!") } else { word.to_owned() };
                writeln!(self.out, "{} | {mark} => {}", result.host, dumps_indented(&Value::Object(data)))
            }
        }
    }
}

/// The word for what did not fail, and what it registers.
pub(super) fn data_of(result: &TaskResult) -> (&'static str, Map<String, Value>) {
    let changed = matches!(result.status, Status::Changed | Status::Would | Status::Unknown(_));
    let mut data = result.data.clone();
    data.shift_remove("failed");
    data.insert("changed".into(), changed.into());
    (if changed { "CHANGED" } else { "SUCCESS" }, data)
}

impl<O: Write> Reporter for Minimal<O> {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::Result(result) => self.result(result)?,
            Event::Unreachable { host, reason, .. } => {
                let data = json!({"changed": false, "msg": reason, "unreachable": true});
                writeln!(self.out, "{host} | UNREACHABLE! => {}", dumps_indented(&data))?;
            }
            Event::Aborted { error } => super::super::print::say(&format!("[ERROR]: {error}\n")),
            Event::Question { text } => write!(self.out, "{text}")?,
            Event::Warning(text) => super::super::print::say(&format!("[WARNING]: {text}\n")),
            _ => {}
        }
        self.out.flush()
    }

    fn end(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
