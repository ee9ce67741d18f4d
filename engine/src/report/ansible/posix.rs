//! The output of the callback `ansible.posix.json`: one document at the end, for programs.

use std::collections::HashMap;
use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::super::Reporter;
use super::data::failure;
use super::minimal::data_of;
use super::origin::path_and_line;
use super::python::dumps_indented;
use super::stats::Stats;
use crate::event::{Event, Recap, Status, TaskInfo, TaskResult};

/// Gathers what the callback would, and writes it when the run is over.
pub struct Posix<O> {
    out: O,
    plays: Vec<Value>,
    /// The tasks of the last play by their steps: their places among its `tasks`.
    tasks: HashMap<usize, usize>,
    stats: Stats,
}

impl<O: Write> Posix<O> {
    /// At the beginning.
    pub fn new(out: O) -> Self {
        Self { out, plays: Vec::new(), tasks: HashMap::new(), stats: Stats::default() }
    }

    fn play(&mut self, name: &str) {
        self.tasks.clear();
        let id = format!("play-{}", self.plays.len());
        self.plays.push(json!({
            "play": {"name": name, "id": id, "duration": {"start": now()}},
            "tasks": [],
        }));
    }

    /// The task's entry, made if there is none.
    fn task(&mut self, task: &TaskInfo) -> Option<&mut Value> {
        let number = self.plays.len();
        let tasks = self.plays.last_mut()?["tasks"].as_array_mut()?;
        let at = *self.tasks.entry(task.step).or_insert_with(|| {
            tasks.push(json!({
                "task": {
                    "name": task.name, "id": format!("task-{number}-{}", task.step), "path": path_and_line(&task.place),
                    "duration": {"start": now()},
                },
                "hosts": {},
            }));
            tasks.len() - 1
        });
        tasks.get_mut(at)
    }

    fn result(&mut self, result: &TaskResult) {
        self.stats.add(result);
        let (mut data, mark) = match &result.status {
            Status::Failed { .. } => (failure(result), Some("failed")),
            Status::Unreachable { reason, .. } => {
                (Map::from_iter([("msg".to_owned(), reason.as_str().into())]), Some("unreachable"))
            }
            Status::Skipped { because } => {
                let mut data = data_of(result).1;
                data.insert("false_condition".into(), because.as_str().into());
                data.insert("skip_reason".into(), "Conditional result was False".into());
                (data, Some("skipped"))
            }
            _ => (data_of(result).1, None),
        };
        data.extend(mark.map(|mark| (mark.to_owned(), true.into())));
        let Some(task) = self.task(&result.task) else { return };
        let end = now();
        task["task"]["duration"]["end"] = end.clone();
        let host = &mut task["hosts"][result.host.as_str()];
        match &result.item {
            None => *host = Value::Object(data),
            Some(_) => {
                data.extend(result.loop_vars.clone());
                add(host, data, mark);
            }
        }
        host["action"] = result.task.module.as_str().into();
        if let Some(play) = self.plays.last_mut() {
            play["play"]["duration"]["end"] = end;
        }
    }

    fn finish(&mut self, recap: &[(String, Recap)]) -> io::Result<()> {
        let counts = |recap: &Recap| {
            json!({
                "ok": recap.ok, "changed": recap.changed, "unreachable": recap.unreachable, "failures": recap.failed,
                "skipped": recap.skipped, "rescued": recap.rescued, "ignored": recap.ignored,
            })
        };
        let stats: Map<String, Value> = recap.iter().map(|(host, recap)| (host.clone(), counts(recap))).collect();
        let [run, hosts] = self.stats.parts();
        let all = json!({
            "plays": std::mem::take(&mut self.plays), "stats": stats, "custom_stats": hosts, "global_custom_stats": run,
        });
        writeln!(self.out, "{}", dumps_indented(&all))
    }
}

/// Adds an item's result to those of its loop.
fn add(host: &mut Value, data: Map<String, Value>, mark: Option<&str>) {
    if host.is_null() {
        *host = json!({"results": [], "changed": false, "msg": "All items completed"});
    }
    if data.get("changed") == Some(&true.into()) {
        host["changed"] = true.into();
    }
    if mark == Some("failed") {
        (host["failed"], host["msg"]) = (true.into(), "One or more items failed".into());
    }
    if let Some(results) = host["results"].as_array_mut() {
        results.push(Value::Object(data));
    }
}

fn now() -> Value {
    jiff::Timestamp::now().to_string().into()
}

impl<O: Write> Reporter for Posix<O> {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::PlayStarted { play } | Event::PlaySkipped { play } => self.play(play),
            Event::TaskStarted { task } => drop(self.task(task)),
            Event::Result(result) => self.result(result),
            Event::Question { text } => write!(self.out, "{text}")?,
            Event::Warning(text) => super::super::print::say(&format!("[WARNING]: {text}\n")),
            Event::Aborted { error } => super::super::print::say(&format!("[ERROR]: {error}\n")),
            Event::RunFinished { recap, .. } => self.finish(recap)?,
            _ => {}
        }
        self.out.flush()
    }

    fn end(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
