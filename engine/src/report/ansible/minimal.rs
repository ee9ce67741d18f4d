//! The output of Ansible's `minimal` callback, which `ansible` uses: a result for each host.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::super::Reporter;
use super::python::dumps_indented;
use super::{failure, text_of};
use crate::event::{Event, Status, TaskResult};

/// Modules whose output is shown as it is.
const RAW: [&str; 4] = ["command", "shell", "raw", "script"];

/// Writes what the callback would.
pub struct Minimal<O> {
    out: O,
}

impl<O: Write> Minimal<O> {
    /// At the beginning.
    pub fn new(out: O) -> Self {
        Self { out }
    }

    fn result(&mut self, result: &TaskResult) -> io::Result<()> {
        let (word, data) = match &result.status {
            Status::Failed { .. } => ("FAILED", failure(result)),
            Status::Skipped { .. } => return writeln!(self.out, "{} | SKIPPED", result.host),
            status => {
                let changed = matches!(status, Status::Changed | Status::Would | Status::Unknown(_));
                let mut data = result.data.clone();
                data.shift_remove("failed");
                if result.task.module != "debug" {
                    data.insert("changed".into(), changed.into());
                }
                (if changed { "CHANGED" } else { "SUCCESS" }, data)
            }
        };
        let failed = word == "FAILED";
        match data.get("rc").filter(|_| RAW.contains(&result.task.module.as_str())) {
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

impl<O: Write> Reporter for Minimal<O> {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::Result(result) => self.result(result)?,
            Event::Unreachable { host, reason, .. } => {
                let data = json!({"changed": false, "msg": reason, "unreachable": true});
                writeln!(self.out, "{host} | UNREACHABLE! => {}", dumps_indented(&data))?;
            }
            Event::Warning(text) => super::super::print::say(&format!("[WARNING]: {text}\n")),
            _ => {}
        }
        self.out.flush()
    }

    fn end(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
