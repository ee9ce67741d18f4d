//! What an outcome means to the playbook: `changed_when`, `failed_when`, what is registered, what is shown.

use serde_json::{Value as Json, json};
use trueup_modules::edit::Diff;
use trueup_modules::host::{Error, Why};
use trueup_modules::wire::{Answer, Outcome};

use super::json::{from_object, redact};
use super::lower::{Item, Lower, LowerError, Work};
use crate::compile::Step;
use crate::event::Status;
use crate::template::Truth;
use crate::value::{Map, Value};

/// An item's end.
pub(super) struct Judged {
    /// As it is reported.
    pub status: Status,
    /// As it is registered.
    pub result: Value,
    /// What changed.
    pub diffs: Vec<Diff>,
    /// What the module returned.
    pub data: serde_json::Map<String, Json>,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// In a preview: it may turn out differently.
    pub conditional: Option<Why>,
}

impl Judged {
    /// Whether handlers are notified.
    pub(super) fn changed(&self) -> bool {
        matches!(self.status, Status::Changed | Status::Would)
    }

    /// Whether the host has failed, unless it is ignored.
    pub(super) fn failed(&self) -> bool {
        matches!(self.status, Status::Failed { .. })
    }

    /// It fails after all.
    pub(super) fn fail(&mut self, error: String) {
        self.status = failed(error, None, None);
        self.register();
    }

    fn new(status: Status, answer: Answer) -> Self {
        let mut judged = Self {
            result: Value::Null,
            status,
            diffs: answer.diffs,
            data: answer.data,
            warnings: answer.warnings,
            conditional: answer.conditional,
        };
        judged.register();
        judged
    }

    /// What `register` gets: the module's data, and Ansible's `changed`, `failed`, `skipped` and `msg`.
    fn register(&mut self) {
        let mut map: Map = from_object(self.data.clone());
        map.insert("changed".into(), Value::Bool(self.changed()));
        map.insert("failed".into(), Value::Bool(self.failed()));
        match &self.status {
            Status::Skipped { because } => {
                map.insert("skipped".into(), Value::Bool(true));
                map.insert("skip_reason".into(), Value::Str("Conditional result was False".into()));
                map.insert("false_condition".into(), Value::Str(because.clone()));
            }
            Status::Failed { error, .. } => {
                map.entry("msg".into()).or_insert_with(|| Value::Str(error.clone()));
            }
            _ => {}
        }
        self.result = Value::Map(map);
    }
}

/// Judges an item. `task` is the name that a preview waits for; `pending` is what it waits for elsewhere.
pub(super) fn judge(
    lower: &Lower<'_>,
    step: &Step,
    item: &Item,
    outcome: Option<&Outcome>,
    task: &str,
    pending: Option<&Why>,
) -> Judged {
    let judged = match (&item.work, outcome) {
        (Work::Skip(because), _) => Judged::new(Status::Skipped { because: because.clone() }, Answer::default()),
        (Work::Unknown(why), _) => Judged::new(Status::Unknown(why.clone()), Answer::default()),
        (Work::Error(LowerError::Unknown(why)), _) => Judged::new(Status::Unknown(why.clone()), Answer::default()),
        (Work::Error(error), _) => Judged::new(failed(error.to_string(), error.hint(), None), Answer::default()),
        (Work::Task(_), None) => Judged::new(failed("no answer".into(), None, None), Answer::default()),
        (Work::Task(_), Some(outcome)) => conditions(lower, step, item, judge_outcome(outcome, pending)),
    };
    match outcome {
        // A preview has not run it, whatever `changed_when` makes of that.
        Some(Outcome::Would(_) | Outcome::Unknown(..)) => known_later(judged, task),
        _ if matches!(judged.status, Status::Would | Status::Unknown(_)) => known_later(judged, task),
        _ => known_now(judged),
    }
}

fn judge_outcome(outcome: &Outcome, pending: Option<&Why>) -> Judged {
    match (outcome, pending) {
        (Outcome::Ok(answer), _) => Judged::new(Status::Ok, answer.clone()),
        (Outcome::Would(answer), _) => Judged::new(Status::Would, answer.clone()),
        (Outcome::Changed(answer), _) => Judged::new(Status::Changed, answer.clone()),
        (Outcome::Unknown(why, answer), _) => Judged::new(Status::Unknown(why.clone()), answer.clone()),
        // What another host lacks yet may be what this look wanted.
        (Outcome::Failed(error, answer), Some(why)) if may_pass(error) => {
            Judged::new(Status::Unknown(why.clone()), answer.clone())
        }
        (Outcome::Failed(error, answer), _) => {
            let mut answer = answer.clone();
            if matches!(error, Error::Unanswered { .. }) {
                // They are what is wanted, and nothing has come of it.
                answer.diffs.clear();
            }
            if let Error::Command { output, .. } = error {
                answer.data.entry("rc").or_insert(json!(output.status));
                answer.data.entry("stdout").or_insert(json!(output.stdout));
                answer.data.entry("stderr").or_insert(json!(output.stderr));
            }
            let explanation = answer.explanation.clone();
            Judged::new(failed(error.to_string(), error.hint(), explanation), answer)
        }
    }
}

/// Whether another task could make the error go away.
fn may_pass(error: &Error) -> bool {
    !matches!(error, Error::Unsupported(_) | Error::Param { .. } | Error::Refused { .. } | Error::Cancelled)
}

fn failed(error: String, hint: Option<String>, explanation: Option<String>) -> Status {
    Status::Failed { error, hint, explanation, ignored: false }
}

/// `changed_when` and `failed_when`, which see the result under the name that it is registered by. Whether a failure that
/// is none changed something can be told only afterwards.
fn conditions(lower: &Lower<'_>, step: &Step, item: &Item, mut judged: Judged) -> Judged {
    if judged.failed() {
        failed_when(lower, step, item, &mut judged);
        changed_when(lower, step, item, &mut judged);
    } else {
        // What a preview has not run can't be held to have failed, even where it never counts as changed.
        let waits = waits(&judged);
        changed_when(lower, step, item, &mut judged);
        if !waits {
            failed_when(lower, step, item, &mut judged);
        }
    }
    judged
}

fn waits(judged: &Judged) -> bool {
    matches!(judged.status, Status::Would | Status::Unknown(_))
}

fn changed_when(lower: &Lower<'_>, step: &Step, item: &Item, judged: &mut Judged) {
    let conditions = &step.task.changed_when;
    let constant = conditions.iter().all(|one| matches!(one.text.as_str(), "true" | "false"));
    if conditions.is_empty() || judged.failed() || (waits(judged) && !constant) {
        return;
    }
    match lower.all(conditions, &item.view.clone().with(own(step, judged)).shared()) {
        Ok(Truth::Yes) if judged.status == Status::Ok => judged.status = Status::Changed,
        Ok(Truth::No) if judged.changed() => judged.status = Status::Ok,
        Ok(Truth::Unknown(why)) => judged.status = Status::Unknown(why),
        Ok(_) => {}
        Err(error) => judged.status = failed(error.to_string(), error.hint(), None),
    }
    judged.register();
}

fn failed_when(lower: &Lower<'_>, step: &Step, item: &Item, judged: &mut Judged) {
    let conditions = &step.task.failed_when;
    if conditions.is_empty() || waits(judged) {
        return;
    }
    match lower.all(conditions, &item.view.clone().with(own(step, judged)).shared()) {
        Ok(Truth::Yes) if !judged.failed() => {
            let text = conditions.iter().map(|one| one.text.as_str()).collect::<Vec<_>>().join(" and ");
            judged.status = failed(format!("failed_when holds: {text}"), None, None);
        }
        Ok(Truth::No) if judged.failed() => judged.status = Status::Changed,
        Ok(Truth::Unknown(why)) => judged.status = Status::Unknown(why),
        Ok(_) => {}
        Err(error) => judged.status = failed(error.to_string(), error.hint(), None),
    }
    judged.register();
}

/// The result under its registered name.
pub(super) fn own(step: &Step, judged: &Judged) -> Map {
    step.task.register.iter().map(|name| (name.value.clone(), judged.result.clone())).collect()
}

/// What a preview does not run has no result yet.
fn known_later(mut judged: Judged, task: &str) -> Judged {
    judged.result = Value::Unknown(Why { after: task.into() });
    known_now(judged)
}

fn known_now(mut judged: Judged) -> Judged {
    redact_data(&mut judged);
    judged
}

fn redact_data(judged: &mut Judged) {
    judged.data.values_mut().for_each(redact);
}
