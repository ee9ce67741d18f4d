//! What an outcome means to the playbook: `changed_when`, `failed_when`, what is registered, what is shown.

use serde_json::{Value as Json, json};
use trueup_modules::edit::Diff;
use trueup_modules::host::{Error, Why};
use trueup_modules::wire::{Answer, Outcome, Task};

use super::json::from_object;
use super::lower::{CONDITIONAL, Item, Lower, LowerError, TOO_QUIET, Tries, Work};
use crate::compile::Step;
use crate::event::{Cause, Status};
use crate::template::Truth;
use crate::value::{Map, Value};

/// An item's end.
#[derive(Clone)]
pub(super) struct Judged {
    /// As it is reported.
    pub status: Status,
    /// Whether it changed something, though it may have failed then.
    pub did_change: bool,
    /// What changed.
    pub diffs: Vec<Diff>,
    /// What the module returned, secrets included.
    pub data: serde_json::Map<String, Json>,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// In a preview: it may turn out differently.
    pub conditional: Option<Why>,
    /// Why it could not be rendered.
    pub causes: Vec<Cause>,
    /// What it was to include is not there: that is never ignored, and never counts as made good, as in Ansible.
    pub is_final: bool,
    /// Where what is registered is not what is told.
    registers: Registers,
}

/// What is registered.
#[derive(Clone)]
enum Registers {
    /// What is told.
    Told,
    /// The same, but that it failed, whatever else is made of that.
    Failed,
    /// The same, with facts that have their templates.
    Facts(Map),
    /// Nothing is known yet.
    Unknown(Why),
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

    /// Whether facts are among what is registered.
    pub(super) fn has_facts(&self) -> bool {
        !self.is_unknown() && self.data.contains_key("ansible_facts")
    }

    /// Whether what is registered is not known yet.
    pub(super) fn is_unknown(&self) -> bool {
        matches!(self.registers, Registers::Unknown(_))
    }

    /// What it does is done now, and changes something or does not; unless `changed_when` has said.
    pub(super) fn count_as(&mut self, changed: bool) {
        if changed && self.status == Status::Ok {
            self.status = Status::Changed;
        }
        self.did_change = self.status == Status::Changed;
        self.registers = Registers::Told;
    }

    /// It fails after all.
    pub(super) fn fail(&mut self, error: String) {
        self.status = failed(error, None, None);
        self.registers = Registers::Told;
    }

    /// It fails after all, and nothing makes that good.
    pub(super) fn fail_for_good(&mut self, error: String) {
        self.is_final = true;
        self.fail(error);
    }

    /// What `include_vars` read: told as it is written, and registered with its templates.
    pub(super) fn tell_included(&mut self, found: Map) {
        let told = crate::yaml::to_yaml(&Value::Map(found.clone()));
        self.data.insert("ansible_facts".into(), json!(told));
        self.registers = Registers::Facts(found);
    }

    /// It is not run.
    pub(super) fn skipped(because: &str) -> Self {
        Self::new(Status::Skipped { because: because.into() }, Answer::default())
    }

    /// The host could not be reached, which is ignored.
    pub(super) fn unreachable(reason: &str, hints: &[String]) -> Self {
        let status = Status::Unreachable { reason: reason.into(), hints: hints.to_vec() };
        Self::new(status, Answer::default())
    }

    fn new(status: Status, answer: Answer) -> Self {
        Self {
            did_change: matches!(status, Status::Changed | Status::Would),
            status,
            diffs: answer.diffs,
            data: answer.data,
            warnings: answer.warnings,
            conditional: answer.conditional,
            causes: Vec::new(),
            is_final: false,
            registers: Registers::Told,
        }
    }

    /// What `register` gets: the module's data, and Ansible's `changed`, `failed`, `skipped` and `msg`.
    pub(super) fn result(&self) -> Value {
        if let Registers::Unknown(why) = &self.registers {
            return Value::Unknown(why.clone());
        }
        let mut map: Map = from_object(self.data.clone());
        if let Registers::Facts(facts) = &self.registers {
            map.insert("ansible_facts".into(), Value::Map(facts.clone()));
        }
        let failed = self.failed() || matches!(self.registers, Registers::Failed);
        map.insert("changed".into(), Value::Bool(self.did_change));
        map.insert("failed".into(), Value::Bool(failed));
        if !self.warnings.is_empty() {
            let texts = self.warnings.iter().map(|text| Value::Str(text.clone()));
            map.insert("warnings".into(), Value::List(texts.collect()));
        }
        match &self.status {
            // Then it is the module that says so.
            Status::Skipped { .. } if self.data.contains_key("skipped") => {}
            Status::Skipped { because } if because == TOO_QUIET => {
                map.insert("skipped".into(), Value::Bool(true));
                map.insert("skipped_reason".into(), Value::Str(TOO_QUIET.into()));
                map.shift_remove("failed");
            }
            Status::Skipped { because } => {
                map.insert("skipped".into(), Value::Bool(true));
                map.insert("skip_reason".into(), Value::Str("Conditional result was False".into()));
                let condition = if because == "false" { Value::Bool(false) } else { Value::Str(because.clone()) };
                map.insert("false_condition".into(), condition);
                map.shift_remove("failed");
            }
            Status::Unreachable { reason, .. } => {
                map.insert("unreachable".into(), Value::Bool(true));
                map.insert("msg".into(), Value::Str(reason.clone()));
                map.shift_remove("failed");
            }
            Status::Failed { error, .. } => {
                map.entry("msg".into()).or_insert_with(|| Value::Str(error.clone()));
                map.insert("exception".into(), Value::Str("(traceback unavailable)".into()));
            }
            _ => {}
        }
        Value::Map(map)
    }
}

/// Judges an item. `task` is the name that a preview waits for; `pending` is what it waits for elsewhere.
pub(super) fn judge(
    lower: &Lower<'_>,
    step: &Step,
    item: &Item,
    outcome: Option<Outcome>,
    task: &str,
    pending: Option<&Why>,
) -> Judged {
    // A preview has not run it, whatever `changed_when` makes of that.
    let previewed = matches!(outcome, Some(Outcome::Would(_) | Outcome::Unknown(..)));
    let checked = matches!((&item.work, &outcome), (Work::Task(task), Some(Outcome::Would(_))) if task.check);
    let mut judged = judge_work(lower, step, item, outcome, pending);
    if !checked && (previewed || waits(&judged)) {
        judged.registers = Registers::Unknown(Why { after: task.into() });
    }
    judged
}

fn judge_work(lower: &Lower<'_>, step: &Step, item: &Item, outcome: Option<Outcome>, pending: Option<&Why>) -> Judged {
    match (&item.work, outcome) {
        (Work::Skip(because), _) => Judged::new(Status::Skipped { because: because.clone() }, Answer::default()),
        (Work::Unknown(why), _) => Judged::new(Status::Unknown(why.clone()), Answer::default()),
        (Work::Error(LowerError::Unknown(why)), _) => Judged::new(Status::Unknown(why.clone()), Answer::default()),
        (Work::Error(error), _) => unrendered(lower, step, item, error),
        (Work::Task(_), None) => Judged::new(failed("no answer".into(), None, None), Answer::default()),
        (Work::Task(task), Some(Outcome::Would(answer))) if task.check => {
            let mut end = would_be(step, task, answer);
            tell_diff(lower, step, task, item, &mut end);
            if matches!(end.status, Status::Skipped { .. }) { end } else { conditions(lower, step, item, end) }
        }
        // It has been given up: no condition makes anything else of that.
        (Work::Task(_), Some(outcome @ Outcome::Failed(Error::TimedOut { .. }, _))) => judge_outcome(outcome, pending),
        (Work::Task(task), Some(outcome)) => {
            let mut end = judge_outcome(outcome, pending);
            // As in Ansible, nothing makes anything else of that.
            if matches!(end.status, Status::Skipped { .. }) {
                return end;
            }
            would_not(task, &mut end);
            tell_diff(lower, step, task, item, &mut end);
            tell_more(step, task, item, &mut end);
            let mut end = conditions(lower, step, item, end);
            let in_vain = matches!(item.tries, Tries::InVain(_)) && !end.failed();
            if in_vain && !step.task.failed_when.is_empty() {
                // As in Ansible, where `failed_when` has the last word, but not in what is registered.
                end.registers = Registers::Failed;
            } else if in_vain {
                let until: Vec<&str> = step.task.retry.until.iter().map(|one| one.text.as_str()).collect();
                end.status = failed(format!("it never came to `until`: {}", until.join(" and ")), None, None);
            }
            end
        }
    }
}

/// The end of what cannot be rendered.
fn unrendered(lower: &Lower<'_>, step: &Step, item: &Item, error: &LowerError) -> Judged {
    let data = match error {
        LowerError::Param(error) => error.clone().apart().1,
        LowerError::Wrong(_, Some(msg)) => [("msg".to_owned(), json!(msg))].into_iter().collect(),
        LowerError::Wrong(_, None) => Default::default(),
        _ => error.msg().map(|msg| ("msg".to_owned(), json!(msg))).into_iter().collect(),
    };
    let judged = Judged::new(failed(error.to_string(), error.hint(), None), Answer { data, ..Answer::default() });
    let judged = Judged { causes: error.causes(step), ..judged };
    match error {
        // What the module itself would say: its result, as of any other failure of it.
        LowerError::Param(_) | LowerError::Wrong(..) | LowerError::Value(..) | LowerError::NoFile { .. } => {
            conditions(lower, step, item, judged)
        }
        _ => judged,
    }
}

/// What differs, as the module's result has it.
fn tell_diff(lower: &Lower<'_>, step: &Step, task: &Task, item: &Item, end: &mut Judged) {
    let asked = lower.flag(step, &item.view.clone().shared(), |common| &common.diff).unwrap_or_default();
    super::diffs::register(task, asked, end);
}

/// What Ansible's executor adds to what a module returns.
fn tell_more(step: &Step, task: &Task, item: &Item, end: &mut Judged) {
    if let Tries::So(tries) | Tries::InVain(tries) = item.tries {
        end.data.insert("attempts".into(), json!(tries));
    }
    let assertions = task.params["that"].as_array().filter(|_| step.entry.name == "assert" && end.failed());
    if let Some(failed) = assertions.and_then(|that| that.iter().find(|one| one["holds"] == json!(false))) {
        end.data.insert("assertion".into(), assertion(&failed["expression"]));
        end.data.insert("evaluated_to".into(), json!(false));
        let said = task.params.get("fail_msg").filter(|said| !said.is_null()).cloned();
        end.data.insert("msg".into(), said.unwrap_or_else(|| json!("Assertion failed")));
    }
}

/// An assertion as it was written: one that is nothing but a boolean is one.
fn assertion(expression: &Json) -> Json {
    match expression.as_str() {
        Some("true") => json!(true),
        Some("false") => json!(false),
        _ => expression.clone(),
    }
}

fn judge_outcome(outcome: Outcome, pending: Option<&Why>) -> Judged {
    match outcome {
        Outcome::Ok(answer) if answer.data.get("skipped") == Some(&json!(true)) => {
            let because = ["msg", "skipped_reason"].iter().find_map(|name| answer.data.get(*name)?.as_str());
            Judged::new(Status::Skipped { because: because.unwrap_or_default().into() }, answer)
        }
        Outcome::Ok(answer) => Judged::new(Status::Ok, answer),
        Outcome::Would(answer) => Judged::new(Status::Would, answer),
        Outcome::Changed(answer) => Judged::new(Status::Changed, answer),
        Outcome::Unknown(why, answer) => Judged::new(Status::Unknown(why), answer),
        Outcome::Failed(error, answer) => match pending.filter(|_| may_pass(&error)) {
            // What another host lacks yet may be what this look wanted.
            Some(why) => Judged::new(Status::Unknown(why.clone()), answer),
            None => judge_failure(&error, answer),
        },
    }
}

fn judge_failure(error: &Error, mut answer: Answer) -> Judged {
    if matches!(error, Error::Unanswered { .. }) {
        // They are what is wanted, and nothing has come of it.
        answer.diffs.clear();
    }
    if let Error::Program { reason, .. } = error
        && answer.data.get("rc") == Some(&Json::Null)
    {
        never_ran(&mut answer, reason);
    }
    let ran = matches!(error, Error::Command { .. });
    if let Error::Command { output, .. } = error {
        answer.data.entry("rc").or_insert(json!(output.status));
        answer.data.entry("stdout").or_insert(json!(output.stdout));
        answer.data.entry("stderr").or_insert(json!(output.stderr));
    }
    let explanation = answer.explanation.take();
    let mut judged = Judged::new(failed(error.to_string(), error.hint(), explanation), answer);
    judged.did_change = ran || !judged.diffs.is_empty();
    judged
}

/// What Ansible registers of a command whose program there is not: the system's number, and the line as it was written.
fn never_ran(answer: &mut Answer, reason: &str) {
    const NO_SUCH_FILE: i64 = 2;
    const NOT_PERMITTED: i64 = 13;
    let rc = if reason.contains("denied") { NOT_PERMITTED } else { NO_SUCH_FILE };
    answer.data.insert("rc".into(), json!(rc));
    answer.data.insert("msg".into(), json!("Error executing command."));
    if let Some(Json::Array(words)) = answer.data.get("cmd") {
        let line: Vec<&str> = words.iter().filter_map(Json::as_str).collect();
        answer.data.insert("cmd".into(), json!(line.join(" ")));
    }
}

/// What Ansible says of a program that check mode does not run.
const WOULD_RUN: &str = "Command would have run if not in check mode";

/// What it says there of one that need not run.
fn would_not(task: &Task, end: &mut Judged) {
    if let Some(Json::String(msg)) = end.data.get_mut("msg").filter(|_| task.check)
        && let Some(why) = msg.strip_prefix("Did not run command since ")
    {
        *msg = format!("Would not run command since {why}");
    }
}

/// The end of what is never applied (`check_mode: true`), as it is in Ansible: a change, but a program of which nothing says
/// when it need not run is skipped.
fn would_be(step: &Step, task: &Task, mut answer: Answer) -> Judged {
    const PROGRAMS: [&str; 4] = ["command", "raw", "script", "shell"];
    let guarded = ["creates", "removes"].iter().any(|name| !task.params[*name].is_null());
    if guarded && matches!(step.entry.name, "command" | "shell") {
        answer.data.extend([("rc".to_owned(), json!(0)), ("msg".to_owned(), json!(WOULD_RUN))]);
    }
    if !PROGRAMS.contains(&step.entry.name) || guarded {
        return Judged::new(Status::Changed, answer);
    }
    let skipped = |because: &str, mut answer: Answer, said: &[(&str, Json)]| {
        answer.data.extend(said.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        answer.data.insert("skipped".into(), json!(true));
        Judged::new(Status::Skipped { because: because.into() }, answer)
    };
    let because = match step.entry.name {
        "raw" => return skipped(WOULD_RUN, answer, &[]),
        "script" => {
            let because = "Check mode is not supported for this task.";
            return skipped(because, answer, &[("msg", json!(because))]);
        }
        _ => WOULD_RUN,
    };
    for name in ["stdout", "stderr"] {
        answer.data.insert(name.into(), json!(""));
        answer.data.insert(format!("{name}_lines"), json!([]));
    }
    skipped(because, answer, &[("rc", json!(0)), ("msg", json!(because))])
}

/// Whether another task could make the error go away.
fn may_pass(error: &Error) -> bool {
    !matches!(error, Error::Unsupported(_) | Error::Param { .. } | Error::Refused { .. } | Error::Cancelled)
}

fn failed(error: String, hint: Option<String>, explanation: Option<String>) -> Status {
    Status::Failed { error, hint, explanation, ignored: false }
}

/// `changed_when` and `failed_when`, which see the result under the name that it is registered by.
fn conditions(lower: &Lower<'_>, step: &Step, item: &Item, mut judged: Judged) -> Judged {
    // What a preview has not run can't be held to have failed, even where it never counts as changed.
    let waits = waits(&judged);
    changed_when(lower, step, item, &mut judged);
    // As in Ansible, which evaluates the one after the other until one fails.
    if !waits && !judged.data.contains_key("changed_when_result") {
        failed_when(lower, step, item, &mut judged);
    }
    judged
}

fn waits(judged: &Judged) -> bool {
    matches!(judged.status, Status::Would | Status::Unknown(_))
}

/// Whether it counts as a change, if the task says when.
pub(super) fn changed_when(lower: &Lower<'_>, step: &Step, item: &Item, judged: &mut Judged) {
    let conditions = &step.task.changed_when;
    let constant = conditions.iter().all(|one| matches!(one.text.as_str(), "true" | "false"));
    if conditions.is_empty() || (waits(judged) && !constant) {
        return;
    }
    match lower.all(conditions, &item.view.clone().with(own(step, judged)).shared()) {
        Ok(Truth::Unknown(why)) => judged.status = Status::Unknown(why),
        Ok(truth) => {
            judged.did_change = truth == Truth::Yes;
            match (&judged.status, judged.did_change) {
                (Status::Ok, true) => judged.status = Status::Changed,
                (Status::Changed | Status::Would, false) => judged.status = Status::Ok,
                _ => {}
            }
        }
        Err(error) => {
            judged.data.insert("changed_when_result".into(), json!(conditional(&error)));
            judged.status = failed(error.to_string(), error.hint(), None);
        }
    }
}

fn failed_when(lower: &Lower<'_>, step: &Step, item: &Item, judged: &mut Judged) {
    let conditions = &step.task.failed_when;
    if conditions.is_empty() || waits(judged) {
        return;
    }
    let truth = lower.all(conditions, &item.view.clone().with(own(step, judged)).shared());
    match &truth {
        Ok(Truth::Unknown(_)) => {}
        Ok(truth) => drop(judged.data.insert("failed_when_result".into(), json!(*truth == Truth::Yes))),
        Err(error) => drop(judged.data.insert("failed_when_result".into(), json!(conditional(error)))),
    }
    match truth {
        Ok(Truth::Yes) if !judged.failed() => {
            let text = conditions.iter().map(|one| one.text.as_str()).collect::<Vec<_>>().join(" and ");
            judged.status = failed(format!("failed_when holds: {text}"), None, None);
        }
        Ok(Truth::No) if judged.failed() => {
            // What was wrong can be read all the same.
            if let Status::Failed { error, .. } = &judged.status {
                judged.data.entry("msg").or_insert(json!(error));
            }
            judged.data.insert("failed_when_suppressed_exception".into(), json!("(traceback unavailable)"));
            judged.status = if judged.did_change { Status::Changed } else { Status::Ok };
        }
        Ok(Truth::Unknown(why)) => judged.status = Status::Unknown(why),
        Ok(_) => {}
        Err(error) => judged.status = failed(error.to_string(), error.hint(), None),
    }
}

/// What Ansible registers of a condition that cannot be evaluated.
fn conditional(error: &LowerError) -> String {
    let told = LowerError::Within(CONDITIONAL.to_owned(), Box::new(error.clone()));
    told.words().unwrap_or_else(|| error.to_string())
}

/// The result under its registered name.
pub(super) fn own(step: &Step, judged: &Judged) -> Map {
    step.task.register.iter().map(|name| (name.value.clone(), judged.result())).collect()
}
