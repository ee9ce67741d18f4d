//! Whether a preview told the truth: what it said, held against what the run that followed did.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use trueup::event::{Event, Status, TaskResult};
use trueup_modules::builtin;
use trueup_modules::edit::{Diff, Shown};

/// What a preview and the run after it have in common.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Agreement {
    /// Results that the preview was certain of, and that came as it said.
    pub certain: usize,
    /// Results that it called conditional or unknown, which may come out in any way that it allowed for.
    pub open: usize,
    /// Where it was wrong, a sentence each.
    pub wrong: Vec<String>,
}

/// A result's place: the task's, the host, the loop's item, and which of those with the same label. The step's number is
/// another where the preview does not know what an include brings.
type Key<'a> = (&'a str, &'a str, Option<&'a str>, usize);

/// Compares the events of a preview with those of the run after it, on the same hosts in the same state.
pub fn agreement(plan: &[Event], apply: &[Event]) -> Agreement {
    let (planned, applied) = (results(plan), results(apply));
    let lost = |host: &str| {
        apply.iter().any(|event| matches!(event, Event::Unreachable { host: gone, .. } if gone.as_str() == host))
    };
    let mut found = Agreement::default();
    for (key, plan) in &planned {
        let because = match applied.get(key) {
            Some(apply) => differs(plan, apply),
            // A loop over what was not known yet.
            None if matches!(plan.status, Status::Unknown(_)) && looped(plan, &applied) => None,
            // The same, and a condition passes over its items, whatever they are.
            None if matches!(plan.status, Status::Skipped { .. }) && passed_over(plan, &applied) => None,
            // A loop that `break_when` ended before this item.
            None if plan.conditional.is_some() && plan.item.is_some() => None,
            None if lost(&plan.host) || ended_early(plan, &applied) => None,
            None => Some("never came".to_owned()),
        };
        match because {
            Some(because) => found.wrong.push(sentence(plan, &because)),
            None if is_open(plan) => found.open += 1,
            None => found.certain += 1,
        }
    }
    for (_, apply) in applied.iter().filter(|(key, _)| !planned.contains_key(*key)) {
        let hidden = planned.values().any(|plan| hides(plan, apply));
        if matches!(apply.status, Status::Changed) && !hidden {
            found.wrong.push(sentence(apply, "changed something, and the preview did not have it"));
        }
    }
    found
}

fn results(events: &[Event]) -> BTreeMap<Key<'_>, &TaskResult> {
    let mut all = BTreeMap::new();
    for event in events {
        let Event::Result(result) = event else { continue };
        let key = |n| (result.task.place.as_str(), result.host.as_str(), result.item.as_deref(), n);
        let n = (0..).find(|n| !all.contains_key(&key(*n))).unwrap_or_default();
        all.insert(key(n), result.as_ref());
    }
    all
}

/// What became of a task on a host, item by item.
fn of_task<'a>(plan: &TaskResult, applied: &'a BTreeMap<Key<'_>, &TaskResult>) -> impl Iterator<Item = &'a TaskResult> {
    let (place, host) = (plan.task.place.clone(), plan.host.clone());
    applied.values().copied().filter(move |result| result.task.place == place && result.host == host)
}

/// Whether a task came out as a loop.
fn looped(plan: &TaskResult, applied: &BTreeMap<Key<'_>, &TaskResult>) -> bool {
    of_task(plan, applied).any(|result| result.item.is_some())
}

/// Whether a task came out as a loop of which no item was due.
fn passed_over(plan: &TaskResult, applied: &BTreeMap<Key<'_>, &TaskResult>) -> bool {
    looped(plan, applied) && of_task(plan, applied).all(|result| matches!(result.status, Status::Skipped { .. }))
}

/// The preview did not claim to know.
fn is_open(plan: &TaskResult) -> bool {
    plan.conditional.is_some() || matches!(plan.status, Status::Unknown(_)) || ran(plan)
}

/// What ran in the preview (`check_mode: false`) has changed the host: the run after it finds another.
fn ran(plan: &TaskResult) -> bool {
    matches!(plan.status, Status::Changed)
}

/// After a failure of a host its later tasks do not run, and the preview cannot know which command will fail.
fn ended_early(plan: &TaskResult, applied: &BTreeMap<Key<'_>, &TaskResult>) -> bool {
    let failed = |result: &TaskResult| matches!(result.status, Status::Failed { ignored: false, .. });
    applied.values().any(|result| failed(result) && result.task.step <= plan.task.step)
}

/// A result that the preview said it did not know hides the items of the same task, and what a failure would set off.
fn hides(plan: &TaskResult, apply: &TaskResult) -> bool {
    is_open(plan) && (plan.host == apply.host && plan.task.step <= apply.task.step)
}

fn differs(plan: &TaskResult, apply: &TaskResult) -> Option<String> {
    if plan.conditional.is_some() || ran(plan) {
        return None;
    }
    match (&plan.status, &apply.status) {
        (Status::Unknown(_), _) => unforeseen(&plan.diffs, &apply.diffs),
        (Status::Would, Status::Changed) if same(&plan.diffs, &apply.diffs) => None,
        (Status::Would, Status::Changed) => Some(format!("showed {:?}, and did {:?}", plan.diffs, apply.diffs)),
        // Whether a command will succeed is not claimed, only that it would run.
        (Status::Would, Status::Failed { .. }) if is_command(plan) => None,
        (Status::Ok, Status::Ok)
        | (Status::Skipped { .. }, Status::Skipped { .. })
        | (Status::Failed { .. }, Status::Failed { .. })
        | (Status::Unreachable { .. }, Status::Unreachable { .. }) => None,
        (said, came) => Some(format!("said {said:?}, and came out as {came:?}")),
    }
}

fn is_command(plan: &TaskResult) -> bool {
    builtin::find(&plan.task.module).is_some_and(|module| !module.converges)
}

fn same(planned: &[Diff], applied: &[Diff]) -> bool {
    planned.len() == applied.len() && planned.iter().zip(applied).all(|(plan, apply)| foresees(plan, apply))
}

fn foresees(plan: &Diff, apply: &Diff) -> bool {
    let fits = |said: &Shown, came: &Shown| *said == Shown::Unknown || said == came;
    let same_place = (&plan.subject, &plan.aspect) == (&apply.subject, &apply.aspect);
    same_place && fits(&plan.before, &apply.before) && fits(&plan.after, &apply.after)
}

/// A preview that shows what is meant shows all of it; less may turn out to be needed, but nothing else.
fn unforeseen(planned: &[Diff], applied: &[Diff]) -> Option<String> {
    // The mode of a file whose line was announced, the version of a package: of one subject it may be told in more ways.
    let announced = |plan: &Diff, apply: &Diff| plan.subject == apply.subject && plan.aspect != apply.aspect;
    let surprise =
        applied.iter().find(|apply| !planned.iter().any(|plan| foresees(plan, apply) || announced(plan, apply)));
    let surprise = surprise.filter(|_| !planned.is_empty())?;
    Some(format!("meant {planned:?}, and did {surprise:?}"))
}

fn sentence(result: &TaskResult, because: &str) -> String {
    let mut text = format!("{} on {}", result.task.name, result.host);
    if let Some(item) = &result.item {
        let _ = write!(text, " ({item})");
    }
    let _ = write!(text, ": {because}");
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use trueup_modules::host::Why;

    fn event(host: &str, module: &str, status: Status, mode: Option<&str>) -> Event {
        let shown = |mode: &str| Shown::Plain(mode.to_owned());
        let diff = mode.map(|mode| Diff {
            subject: "/f".into(),
            aspect: "mode".into(),
            before: Shown::Absent,
            after: if mode == "?" { Shown::Unknown } else { shown(mode) },
        });
        let task = serde_json::json!({"name": "T", "module": module, "place": "", "handler": false, "step": 0});
        Event::Result(Arc::new(TaskResult {
            host: host.into(),
            delegated_to: None,
            task: serde_json::from_value(task).expect("a task"),
            item: None,
            loop_vars: serde_json::Map::new(),
            status,
            diffs: diff.into_iter().collect(),
            data: serde_json::Map::new(),
            warnings: Vec::new(),
            causes: Vec::new(),
            conditional: None,
            seconds: 0.0,
        }))
    }

    #[test]
    fn what_agrees_and_what_does_not() {
        let unknown = || Status::Unknown(Why { after: "A".into() });
        let failed = || Status::Failed { error: "e".into(), hint: None, explanation: None, ignored: false };
        let table = [
            ((Status::Ok, None), (Status::Ok, None), (1, 0, 0)),
            ((Status::Ok, None), (Status::Changed, Some("0600")), (0, 0, 1)),
            ((Status::Would, Some("0600")), (Status::Changed, Some("0600")), (1, 0, 0)),
            ((Status::Would, Some("0600")), (Status::Changed, Some("0644")), (0, 0, 1)),
            ((Status::Would, Some("?")), (Status::Changed, Some("0644")), (1, 0, 0)),
            ((Status::Would, Some("0600")), (Status::Ok, None), (0, 0, 1)),
            ((Status::Would, Some("0600")), (failed(), None), (0, 0, 1)),
            ((unknown(), None), (Status::Changed, Some("0600")), (0, 1, 0)),
            ((unknown(), Some("0600")), (Status::Ok, None), (0, 1, 0)),
            ((unknown(), Some("0600")), (Status::Changed, Some("0644")), (0, 0, 1)),
            ((Status::Skipped { because: "w".into() }, None), (Status::Changed, Some("0600")), (0, 0, 1)),
        ];
        for ((said, plan), (came, apply), wanted) in table {
            let row = format!("{said:?} {plan:?}, {came:?} {apply:?}");
            let found = agreement(&[event("h", "file", said, plan)], &[event("h", "file", came, apply)]);
            assert_eq!((found.certain, found.open, found.wrong.len()), wanted, "{row}: {:?}", found.wrong);
        }
    }

    #[test]
    fn a_command_may_fail_and_what_comes_unannounced_is_wrong() {
        let failed = Status::Failed { error: "e".into(), hint: None, explanation: None, ignored: false };
        let plan = [event("h", "command", Status::Would, None)];
        assert!(agreement(&plan, &[event("h", "command", failed, None)]).wrong.is_empty());
        assert_eq!(agreement(&plan, &[]).wrong, ["T on h: never came"]);
        let other = [event("h", "command", Status::Changed, None), event("i", "file", Status::Changed, None)];
        assert_eq!(agreement(&plan, &other).wrong, ["T on i: changed something, and the preview did not have it"]);
    }
}
