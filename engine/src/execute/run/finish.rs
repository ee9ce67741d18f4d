//! Applying what is left of a step on one host, item by item or all by one message.

use std::time::Duration;

use trueup_modules::error::Error;
use trueup_modules::module::Place;
use trueup_modules::wire::{Mode, Outcome, Task as WireTask};

use super::apply::{Errand, Errands, Lost, Show};
use super::host::Planned;
use super::onward::{Onward, is_plain};
use super::{Shared, job, ours};
use crate::compile::Step;
use crate::event::Event;
use crate::execute::controller;
use crate::execute::judge::{Judged, judge, own};
use crate::execute::lower::{CONDITIONAL, Item, Lower, LowerError, Tries, Work};
use crate::playbook::Field;
use crate::template::Truth;
use crate::value::Value;

/// What came of applying a step.
#[derive(Default)]
pub(super) struct Finished {
    /// How many batches it took.
    pub(super) batches: u64,
    /// What came of what was sent along.
    pub(super) onward: Vec<(u64, Outcome)>,
    /// The host was lost after the step.
    pub(super) lost: Option<Lost>,
}

/// Applies what is left of a step's items, and sends along what comes next.
pub(super) async fn finish_step(
    shared: &Shared,
    lower: &Lower<'_>,
    errands: &Errands,
    host: &str,
    planned: &mut Planned,
    onward: Onward,
) -> Result<Finished, Lost> {
    let step = &lower.program.steps[planned.step];
    if is_plain(step) && step.entry.place == Place::Host && !planned.solo && !shared.options.preview {
        let hidden = planned.items.iter().any(|item| shown(lower, step, item) == Show::Nothing);
        let show = if hidden { Show::Nothing } else { Show::Lines };
        return apply_whole(&errands.own, host, planned, onward, show).await;
    }
    let mut batches = 0;
    for at in 0..planned.items.len() {
        // Between any two, whatever there is to do for them, as in Ansible.
        if at > 0
            && !planned.previews
            && let Some(time) = pause_of(lower, step, &planned.items[at - 1])
        {
            tokio::time::sleep(time).await;
            planned.items[at] = lower.anew(step, &planned.items[at], &planned.items[at - 1]);
            planned.outcomes[at] = None;
        }
        if step.reads_itself && at > 0 {
            anew(lower, step, planned, at);
        }
        if !planned.is_settled(at) {
            let errand = errands.of(&planned.items[at]);
            batches += finish_item(shared, lower, errand, host, planned, at).await?;
        }
        if breaks(lower, step, planned, at) {
            break;
        }
    }
    Ok(Finished { batches, ..Finished::default() })
}

/// An item that reads what the one before registered: it is rendered when that is known.
fn anew(lower: &Lower<'_>, step: &Step, planned: &mut Planned, at: usize) {
    let before = judge(lower, step, &planned.items[at - 1], planned.outcomes[at - 1].clone(), &step.name(), None);
    let item = &planned.items[at];
    let view = item.view.clone().with(own(step, &before));
    // Where it is run is settled.
    planned.items[at] = Item { acts: item.acts.clone(), ..lower.item(step, view, item.label.clone()) };
    planned.outcomes[at] = None;
}

/// Applies an item, as often as `until` and `retries` say. Yields how many batches it took.
async fn finish_item(
    shared: &Shared,
    lower: &Lower<'_>,
    errand: &Errand,
    host: &str,
    planned: &mut Planned,
    at: usize,
) -> Result<u64, Lost> {
    let step = &lower.program.steps[planned.step];
    let Work::Task(task) = &planned.items[at].work else { return Ok(0) };
    let mode = if shared.options.preview && planned.previews { Mode::Preview } else { Mode::Apply };
    let name = task.name.clone();
    let _ = errand.events.send(Event::Running { host: host.into(), task: name.clone() }).await;
    let mut left = retries(lower, step, &planned.items[at]);
    let most = left.0;
    let task = task.clone();
    let show = shown(lower, step, &planned.items[at]);
    let mut batches = 0;
    loop {
        let outcome = match step.entry.place {
            Place::Controller => Some(controller::plan(&task)),
            Place::Host if step.is_ours() => ours::run(errand, &task, mode, show, &mut batches).await?,
            Place::Host => {
                batches += 1;
                let sent = errand.batch(mode, vec![1], vec![WireTask::clone(&task)], show).await?;
                let outcome = sent.into_iter().next_back().map(|(_, outcome)| outcome);
                match poll_of(lower, step, &planned.items[at]).zip(outcome.as_ref().and_then(job::started)) {
                    Some((poll, id)) => Some(job::wait(errand, &task, &id, poll, &mut batches).await?),
                    None => outcome,
                }
            }
        };
        if most > 0 && !planned.previews {
            planned.items[at].tries = Tries::So(most - left.0 + 1);
        }
        let judged = judge(lower, step, &planned.items[at], outcome.clone(), &name, None);
        planned.outcomes[at] = outcome;
        let given_up = matches!(planned.outcomes[at], Some(Outcome::Failed(Error::TimedOut { .. }, _)));
        if planned.previews || given_up {
            return Ok(batches);
        }
        match again(lower, step, &planned.items[at], &judged) {
            Ok(true) => {}
            Ok(false) => return Ok(batches),
            // Whatever it came to, the question was wrong.
            Err(error) => {
                planned.items[at].work = Work::Error(error.within(|| CONDITIONAL.to_owned()));
                return Ok(batches);
            }
        }
        if left.0 == 0 {
            if most > 0 {
                planned.items[at].tries = Tries::InVain(most);
            }
            return Ok(batches);
        }
        left.0 -= 1;
        let _ = errand.events.send(Event::Retrying { host: host.into(), task: name.clone(), left: left.0 }).await;
        tokio::time::sleep(left.1).await;
    }
}

/// Applies all that is left of a step's items by one message, and sends along what comes next.
async fn apply_whole(
    errand: &Errand,
    host: &str,
    planned: &mut Planned,
    onward: Onward,
    show: Show,
) -> Result<Finished, Lost> {
    let settled = |outcome: &Option<Outcome>| matches!(outcome, Some(Outcome::Ok(_) | Outcome::Changed(_)));
    let each = planned.items.iter().zip(&mut planned.outcomes).filter(|(_, outcome)| !settled(outcome));
    let (tasks, ends): (Vec<_>, Vec<_>) = each
        .filter_map(|(item, outcome)| match &item.work {
            Work::Task(task) => Some((WireTask::clone(task), outcome)),
            _ => None,
        })
        .unzip();
    if let Some(task) = tasks.first() {
        let _ = errand.events.send(Event::Running { host: host.into(), task: task.name.clone() }).await;
    }
    let due = std::iter::once(tasks.len()).chain(onward.due).collect();
    let tasks = tasks.into_iter().chain(onward.tasks).zip(0..).map(|(task, id)| WireTask { id, ..task }).collect();
    let (heard, lost) = match errand.batch(Mode::Apply, due, tasks, show).await {
        Ok(heard) => (heard, None),
        Err(mut lost) if lost.heard.len() >= ends.len() => (std::mem::take(&mut lost.heard), Some(lost)),
        Err(lost) => return Err(lost),
    };
    let mut outcomes = heard.into_iter();
    for (end, (_, outcome)) in ends.into_iter().zip(outcomes.by_ref()) {
        *end = Some(outcome);
    }
    Ok(Finished { batches: 1, onward: outcomes.collect(), lost })
}

/// What can't be told is kept secret.
pub(super) fn shown(lower: &Lower<'_>, step: &Step, item: &Item) -> Show {
    let vars = item.view.clone().shared();
    match lower.flag(step, &vars, |common| &common.no_log) {
        Ok(false) => Show::Lines,
        Ok(true) | Err(_) => Show::Nothing,
    }
}

/// How often a step is tried again, and how long is waited before.
fn retries(lower: &Lower<'_>, step: &Step, item: &Item) -> (u64, Duration) {
    let vars = item.view.clone().shared();
    let number = |field: &Field<i64>| match field {
        Field::Known(n) => Some(*n),
        Field::Template(template) => match lower.render(template, &vars) {
            Ok(Value::Int(n)) => Some(n),
            Ok(Value::Str(text)) => text.parse().ok(),
            _ => None,
        },
    };
    let retry = &step.task.retry;
    let times = match &retry.retries {
        Some(retries) => number(&retries.value).unwrap_or(3),
        None if retry.until.is_empty() => 0,
        None => 3,
    };
    let delay =
        retry.delay.as_ref().and_then(|delay| lower.seconds(&delay.value, &vars)).unwrap_or(Duration::from_secs(5));
    (u64::try_from(times).unwrap_or(0), delay)
}

/// How often a job is looked at, if it is waited for.
fn poll_of(lower: &Lower<'_>, step: &Step, item: &Item) -> Option<Duration> {
    lower.detached(step, &item.view.clone().shared()).ok().flatten()?.1
}

/// `loop_control.pause`.
fn pause_of(lower: &Lower<'_>, step: &Step, item: &Item) -> Option<Duration> {
    let pause = step.task.looping.as_ref()?.control.pause.as_ref()?;
    lower.seconds(&pause.value, &item.view.clone().shared())
}

/// Whether `break_when` ends the loop after an item whose end is known.
fn breaks(lower: &Lower<'_>, step: &Step, planned: &Planned, at: usize) -> bool {
    let when = step.task.looping.as_ref().map(|looping| &looping.control.break_when);
    let Some(when) = when.filter(|when| !when.is_empty()) else { return false };
    let item = &planned.items[at];
    let name = step.name();
    let judged = judge(lower, step, item, planned.outcomes[at].clone(), &name, None);
    matches!(lower.all(when, &item.view.clone().with(own(step, &judged)).shared()), Ok(Truth::Yes))
}

/// Whether an attempt was not the last: `until` does not hold, or without one, it failed.
fn again(lower: &Lower<'_>, step: &Step, item: &Item, judged: &Judged) -> Result<bool, LowerError> {
    if step.task.retry.until.is_empty() {
        return Ok(judged.failed());
    }
    let vars = item.view.clone().with(own(step, judged)).shared();
    Ok(lower.all(&step.task.retry.until, &vars)? != Truth::Yes)
}
