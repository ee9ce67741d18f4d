//! The debugger: where `debugger` or a setting says so, the user is asked what becomes of a task's end on a host.

use std::sync::Arc;

use trueup_modules::error::Error;
use trueup_modules::wire::{Answer, Outcome};

use super::finish::finish_step;
use super::host::Planned;
use super::onward::Onward;
use super::settle::final_value;
use super::{Run, lower_with};
use crate::compile::{self, Step};
use crate::diagnostic::Diagnostics;
use crate::event::{Event, Status};
use crate::execute::json::{redact, shown, to_json};
use crate::execute::judge::Judged;
use crate::execute::lower::{Work, show};
use crate::execute::vars::Over;
use crate::playbook::{DebugWhen, Field};
use crate::report::ansible::python::pretty;
use crate::source::{Source, Span};
use crate::template::{Lookup, TemplateError};
use crate::value::{Map, Value};
use crate::yaml::{self, Mapping};

/// What the debugger's `help` says.
const HELP: &str = "\
p EXPRESSION          show a value: `p task`, `p task.args`, `p task_vars`, `p result`, `p host`, or any variable
task.args['x'] = y    give the task another parameter
task_vars['x'] = y    give the task another variable
update_task (u)       make the task anew from the playbook, with the variables as they are now
redo (r)              run the task again
continue (c)          go on with the next
quit (q)              end the run";

/// What the user wants.
pub(super) enum Next {
    /// The run goes on with this end.
    Continue,
    /// The task is run again.
    Redo,
    /// The run ends.
    Quit,
}

/// What the debugger stands at.
pub(super) struct Stand<'a> {
    pub(super) at: usize,
    pub(super) planned: &'a Planned,
    pub(super) name: &'a str,
    pub(super) judged: &'a [Judged],
}

impl Run {
    /// A line from the user; nothing if nobody answers.
    pub(super) async fn ask(&self, text: String) -> Option<String> {
        let answers = self.shared.options.answers.as_ref()?;
        self.send(Event::Question { text }).await;
        answers.lock().await.recv().await.flatten()
    }

    /// When the debugger asks about a step.
    pub(super) fn debugs(&self, step: &Step, vars: &Arc<dyn Lookup>) -> Option<DebugWhen> {
        self.shared.options.answers.as_ref()?;
        let said = match step.inherited(&self.compiled, |common| &common.debugger) {
            Some(Field::Known(when)) => Some(*when),
            Some(Field::Template(template)) => {
                let word = self.shared.program.templar.render(template, vars).ok()?;
                DebugWhen::named(&show(&word))
            }
            None => None,
        };
        said.or(self.is_debugged(step).then_some(DebugWhen::Failed))
    }

    /// Whether each failure in a step's play asks.
    fn is_debugged(&self, step: &Step) -> bool {
        let strategy = self.compiled.plays[step.play].play.strategy.as_ref().map(|strategy| &strategy.value);
        let named = matches!(strategy, Some(Field::Known(name)) if name.ends_with("debug"));
        named || self.shared.options.debugging.enabled
    }

    /// Whether it asks about this end.
    pub(super) fn asks_about(&self, step: &Step, when: DebugWhen, judged: &[Judged], ignored: bool) -> bool {
        let enabled = self.is_debugged(step);
        let heeded = !ignored || self.shared.options.debugging.ignored_too;
        let failed = judged.iter().any(Judged::failed) && heeded;
        let skipped = !judged.is_empty() && judged.iter().all(|one| matches!(one.status, Status::Skipped { .. }));
        let lost = judged.iter().any(|one| matches!(one.status, Status::Unreachable { .. }));
        match when {
            DebugWhen::Always => true,
            DebugWhen::Never => false,
            DebugWhen::Failed => failed || (lost && enabled),
            DebugWhen::Skipped => skipped || (failed && enabled),
            DebugWhen::Unreachable => lost || (failed && enabled),
        }
    }

    /// Asks until the user wants to go on, to run it again or to end.
    pub(super) async fn debug(&mut self, stand: Stand<'_>, over: &mut Map) -> Next {
        let index = stand.planned.step;
        let written = Arc::clone(&self.steps()[index]);
        let prompt = format!("[{}] TASK: {} (debug)> ", self.hosts[stand.at].name, stand.name);
        let (mut said, mut last) = (String::new(), String::new());
        loop {
            let text = format!("{said}{prompt}");
            let Some(line) = self.ask(text).await else { return Next::Quit };
            // As in Ansible, an empty line is the one before once more.
            let line = if line.trim().is_empty() { last.clone() } else { line.trim().to_owned() };
            last.clone_from(&line);
            let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((&line, ""));
            let answer = match word {
                "" => String::new(),
                "c" | "continue" => return Next::Continue,
                "r" | "redo" => return Next::Redo,
                "q" | "quit" => return Next::Quit,
                "u" | "update_task" => {
                    self.put_step(index, Arc::clone(&written));
                    String::new()
                }
                "h" | "help" | "?" => HELP.to_owned(),
                "p" | "pprint" => self.shows(&stand, over, rest.trim()),
                _ => match assignment(&line) {
                    Some((of, key, value)) => self.assign(&stand, over, of, key, value),
                    None => self.shows(&stand, over, &line),
                },
            };
            said = if answer.is_empty() { answer } else { format!("{answer}\n") };
        }
    }

    /// Runs the step again, as it and its variables are by now.
    pub(super) async fn redo(&mut self, at: usize, planned: &mut Planned, over: &Map) {
        let view = self.view(at, planned.step).with(over.clone());
        *planned = self.plan_with(at, planned.step, view);
        let errands = self.errands(at, planned);
        let (shared, compiled) = (Arc::clone(&self.shared), Arc::clone(&self.compiled));
        let (blobs, login) = (self.connections.blobs.clone(), self.hosts[at].login().cloned());
        let host = self.hosts[at].name.clone();
        let lower = lower_with(&shared, &compiled, &blobs, login);
        match finish_step(&shared, &lower, &errands, &host, planned, Onward::default()).await {
            Ok(finished) => self.batches += finished.batches,
            Err(lost) => {
                for (item, outcome) in planned.items.iter().zip(&mut planned.outcomes) {
                    if matches!(item.work, Work::Task(_)) && outcome.is_none() {
                        *outcome = Some(Outcome::failed(Error::Failed(lost.reason.clone()), Answer::default()));
                    }
                }
            }
        }
    }

    fn shows(&self, stand: &Stand<'_>, over: &Map, expression: &str) -> String {
        match expression {
            "task" => return format!("TASK: {}", stand.name),
            "host" => return self.hosts[stand.at].name.clone(),
            _ => {}
        }
        match self.value_of(stand, over, expression).map(|value| shown(&value)) {
            Ok(Some(value)) => pretty(&value),
            Ok(None) => "***it is not known yet".into(),
            Err(error) => format!("***{error}"),
        }
    }

    /// An expression's value, with what the debugger knows beside the task's variables.
    fn value_of(&self, stand: &Stand<'_>, over: &Map, expression: &str) -> Result<Value, TemplateError> {
        let (step, item) = (&self.steps()[stand.planned.step], stand.planned.items.first());
        let view = item.map_or_else(|| self.view(stand.at, stand.planned.step), |item| item.view.clone());
        let below = view.with(over.clone()).shared();
        let raw =
            step.task.args.free_form.as_ref().map(|node| ("_raw_params".to_owned(), final_value(&node.to_value())));
        let args = step.task.args.given().map(|(name, entry)| (name.clone(), final_value(&entry.value.to_value())));
        let args = args.chain(raw);
        let task = Map::from_iter([
            ("name".to_owned(), Value::Str(stand.name.to_owned())),
            ("action".to_owned(), Value::Str(step.task.written.clone())),
            ("args".to_owned(), Value::Map(args.collect())),
        ]);
        let known = |name: &String| Some((name.clone(), final_value(below.get(name)?)));
        let vars: Map = match expression.contains("task_vars") {
            true => below.names().iter().filter_map(known).collect(),
            false => Map::new(),
        };
        let result = stand.judged.first().map_or(Value::Null, Judged::result);
        let result = Map::from_iter([("_result".to_owned(), result.clone()), ("result".to_owned(), result)]);
        let map = Map::from_iter([
            ("task".to_owned(), Value::Map(task)),
            ("task_vars".to_owned(), Value::Map(vars)),
            ("result".to_owned(), Value::Map(result)),
            ("host".to_owned(), Value::Str(self.hosts[stand.at].name.clone())),
        ]);
        let source = Arc::new(Source { path: "<debugger>".into(), text: expression.to_owned() });
        let vars: Arc<dyn Lookup> = Arc::new(Over { map, below });
        let found =
            self.shared.program.templar.expression(expression, &Span::new(&source, 0, expression.len()), &vars)?;
        self.shared.program.templar.resolve(&found, &vars)
    }

    fn assign(&mut self, stand: &Stand<'_>, over: &mut Map, of: Of, key: &str, expression: &str) -> String {
        let value = match self.value_of(stand, over, expression) {
            Ok(value) => value,
            Err(error) => return format!("***{error}"),
        };
        if of == Of::Vars {
            over.insert(key.to_owned(), value);
            return String::new();
        }
        let Ok(mut json) = to_json(&value) else { return "***it is not known yet".into() };
        redact(&mut json);
        let text = serde_json::json!({ key: json }).to_string();
        let source = Arc::new(Source { path: "<debugger>".into(), text });
        let node = yaml::load(&source, &self.shared.options.vault_passwords, &mut Diagnostics::new());
        if let Some(map) = node.as_ref().and_then(yaml::Node::as_map) {
            self.give(stand.planned.step, map);
        }
        String::new()
    }

    /// Gives a step other parameters.
    fn give(&mut self, index: usize, params: &Mapping) {
        let mut step = Step::clone(&self.steps()[index]);
        let task = Arc::make_mut(&mut step.task);
        task.args.params.extend(params.iter().map(|(name, entry)| (name.clone(), entry.clone())));
        if params.contains_key("_raw_params") {
            task.args.free_form = task.args.params.shift_remove("_raw_params").map(|entry| entry.value);
        }
        step.wrong = Vec::new();
        self.put_step(index, Arc::new(step));
    }

    fn put_step(&mut self, index: usize, step: Arc<Step>) {
        let templar = self.shared.program.templar.clone();
        let program = Arc::make_mut(&mut self.compiled);
        program.steps[index] = step;
        let mut one = [Arc::clone(&program.steps[index])];
        compile::check::included(program, &mut one, &templar);
        let [step] = one;
        program.steps[index] = step;
    }
}

/// What is assigned to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    /// The task's parameters.
    Args,
    /// The task's variables.
    Vars,
}

/// `task.args['x'] = y` or `task_vars['x'] = y`.
fn assignment(line: &str) -> Option<(Of, &str, &str)> {
    let (target, value) = line.split_once('=').filter(|(_, value)| !value.starts_with('='))?;
    let target = target.trim();
    let (of, key) = match (target.strip_prefix("task.args"), target.strip_prefix("task_vars")) {
        (Some(key), _) => (Of::Args, key),
        (_, Some(key)) => (Of::Vars, key),
        _ => return None,
    };
    let key = key.trim().strip_prefix('[')?.strip_suffix(']')?.trim();
    let quoted = |quote| key.strip_prefix(quote)?.strip_suffix(quote);
    Some((of, quoted('\'').or_else(|| quoted('"'))?, value.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments() {
        let table = [
            ("task.args['msg'] = 'x'", Some((true, "msg", "'x'"))),
            ("task_vars[\"a\"]=1 + 2", Some((false, "a", "1 + 2"))),
            ("task.args['x'] == 1", None),
            ("task.args.x = 1", None),
            ("x = 1", None),
        ];
        for (line, wanted) in table {
            let found = assignment(line).map(|(of, key, value)| (of == Of::Args, key, value));
            assert_eq!(found, wanted, "{line}");
        }
    }
}
