//! The output of Ansible's `oneline` callback: a line for each result (`ansible -o`).

use std::io::{self, Write};

use serde_json::{Map, Value};

use super::super::Reporter;
use super::data::{failure, text_of};
use super::minimal::{RAW, data_of};
use super::python::dumps_close;
use crate::event::{Event, Status, TaskResult};

/// Writes what the callback would.
pub struct OneLine<O> {
    out: O,
}

impl<O: Write> OneLine<O> {
    /// At the beginning.
    pub fn new(out: O) -> Self {
        Self { out }
    }

    fn result(&mut self, result: &TaskResult) -> io::Result<()> {
        let host = &result.host;
        let raw = RAW.contains(&result.task.module.as_str());
        match &result.status {
            Status::Skipped { .. } => writeln!(self.out, "{host} | SKIPPED"),
            Status::Failed { .. } => {
                let data = failure(result);
                if raw {
                    self.program(host, "FAILED", &data)?;
                } else {
                    const TOLD: &str = "An exception occurred during task execution. To see the full traceback, use -vvv. \
                                        The error was: (traceback unavailable)";
                    writeln!(self.out, "{TOLD}")?;
                }
                writeln!(self.out, "{host} | FAILED! => {}", dumps_close(&Value::Object(data)))
            }
            _ => {
                let (word, data) = data_of(result);
                if raw && !data.contains_key("ansible_job_id") {
                    return self.program(host, word, &data);
                }
                writeln!(self.out, "{host} | {word} => {}", dumps_close(&Value::Object(data)))
            }
        }
    }

    /// The result of a program.
    fn program(&mut self, host: &str, word: &str, data: &Map<String, Value>) -> io::Result<()> {
        let folded = |name: &str| text_of(data, name).replace('\n', "\\n").replace('\r', "\\r");
        let rc = data.get("rc").map_or_else(|| "-1".to_owned(), Value::to_string);
        let stderr = match folded("stderr") {
            text if text.is_empty() => String::new(),
            text => format!(" (stderr) {text}"),
        };
        writeln!(self.out, "{host} | {word} | rc={rc} | (stdout) {}{stderr}", folded("stdout"))
    }
}

impl<O: Write> Reporter for OneLine<O> {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::Result(result) => self.result(result)?,
            Event::Unreachable { host, reason, .. } => writeln!(self.out, "{host} | UNREACHABLE!: {reason}")?,
            Event::Question { text } => write!(self.out, "{text}")?,
            Event::Warning(text) => super::super::print::say(&format!("[WARNING]: {text}\n")),
            Event::Aborted { error } => super::super::print::say(&format!("[ERROR]: {error}\n")),
            _ => {}
        }
        self.out.flush()
    }

    fn end(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
