//! What a task that is not applied has to say.

use super::waits;
use crate::attributes;
use crate::host::{Error, Host, Why};
use crate::module::Planner;
use crate::plan::Plan;
use crate::preview::Preview;
use crate::wire::{Answer, Outcome, Task};

/// Plans, and no more.
pub(super) fn ask(task: &Task, module: &dyn Planner, host: &dyn Host) -> Outcome {
    match module.plan(host) {
        Ok(plan) if waits(task, if task.check { plan.changes() } else { !plan.is_empty() }) => {
            Outcome::Would(if task.check { told(module, &plan, host) } else { answer(&plan) })
        }
        Ok(plan) => Outcome::Ok(told(module, &plan, host)),
        // It asked for content: what is there is not as it shall be.
        Err(Error::Unknown(_)) => Outcome::Would(Answer::default()),
        Err(error) => unplanned(module, host, error),
    }
}

/// It can't be told what is to be done.
pub(super) fn unplanned(module: &dyn Planner, host: &dyn Host, error: Error) -> Outcome {
    let explanation = module.explain(host, &error);
    let mut answer = Answer { explanation, ..Answer::default() };
    let (error, data) = error.apart();
    answer.data = data;
    attributes::tell(host, &mut answer.data);
    Outcome::Failed(error, answer)
}

pub(super) fn answer(plan: &Plan) -> Answer {
    Answer { data: plan.data.clone(), diffs: plan.diffs(), warnings: plan.warnings.clone(), ..Answer::default() }
}

/// With what is there now.
pub(super) fn told(module: &dyn Planner, plan: &Plan, host: &dyn Host) -> Answer {
    let mut answer = answer(plan);
    look_back(module, host, &mut answer);
    answer
}

/// Adds what is told of what is there at the end. The task itself is done: that a look fails is only worth a warning.
pub(super) fn look_back(module: &dyn Planner, host: &dyn Host, answer: &mut Answer) {
    match module.aftermath(host) {
        Ok(data) => answer.data.extend(data),
        Err(Error::Unknown(_)) => {}
        Err(error) => answer.warnings.push(format!("not all return values are known: {error}")),
    }
    attributes::tell(host, &mut answer.data);
}

/// A failure while something is pending, and "not known yet", are the same: only the earlier task's run will tell.
/// What is never going to be done is not pending either.
pub(super) fn preview(pending: &mut Preview, task: &Task, module: &dyn Planner, host: &dyn Host) -> Outcome {
    let view = pending.over(host);
    let planned = module.plan(&view);
    let conditional = view.conditional();
    let unknown = |why: Why| Outcome::Unknown(why, Answer { diffs: module.intent(), ..Answer::default() });
    let (outcome, plan) = match (planned, pending.why()) {
        (Ok(plan), _) => {
            let answer = Answer { conditional, ..told(module, &plan, &view) };
            (if waits(task, plan.changes()) { Outcome::Would(answer) } else { Outcome::Ok(answer) }, Some(plan))
        }
        (Err(Error::Unknown(why)), _) | (Err(_), Some(why)) => (unknown(why), None),
        // With what is wanted: something may be pending where the answer came from.
        (Err(error @ Error::Unanswered { .. }), None) => {
            (Outcome::failed(error, Answer { diffs: module.intent(), ..Answer::default() }), None)
        }
        (Err(error), None) => (unplanned(module, host, error), None),
    };
    match plan {
        _ if task.check => {}
        Some(plan) => pending.record(&task.name, &plan),
        None if matches!(outcome, Outcome::Unknown(..)) => pending.record_unknown(&task.name),
        None => {}
    }
    outcome
}
