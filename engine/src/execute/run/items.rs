//! The items of a loop: where it ends, and what it registers.

use trueup_modules::host::Why;
use trueup_modules::wire::Outcome;

use super::host::Planned;
use crate::compile::Step;
use crate::event::Status;
use crate::execute::judge::{Judged, judge, own};
use crate::execute::lower::{Item, Lower, Work, loops};
use crate::template::{Lookup, Truth};
use crate::value::{Map, Value};

/// Judges a step's items, up to the one after which `break_when` ends the loop: what is beyond is as if it had never been.
pub(super) fn judge_items(
    lower: &Lower<'_>,
    step: &Step,
    planned: &mut Planned,
    name: &str,
    pending: Option<&Why>,
) -> Vec<Judged> {
    let control = step.task.looping.as_ref().map(|looping| &looping.control);
    let break_when = control.map_or(&[][..], |control| &control.break_when);
    let mut all = Vec::new();
    for (item, outcome) in planned.items.iter().zip(&mut planned.outcomes) {
        let mut one = match (&planned.unreachable, &item.work) {
            (Some(lost), Work::Task(_)) if outcome.is_none() => Judged::unreachable(&lost.reason, &lost.hints),
            _ => judge(lower, step, item, outcome.as_mut().map(Outcome::take), name, pending),
        };
        // Whether the loop comes to this item is known when the one before has run.
        let open = |one: &Judged| matches!(one.status, Status::Would | Status::Unknown(_));
        if !break_when.is_empty() && all.iter().any(open) {
            one.conditional.get_or_insert(Why { after: name.into() });
        }
        let vars = || item.view.clone().with(own(step, &one)).shared();
        let breaks = (!break_when.is_empty()).then(|| lower.all(break_when, &vars()));
        let last = matches!(breaks, Some(Ok(Truth::Yes) | Err(_)));
        if let Some(Err(error)) = breaks {
            one.fail(error.to_string());
        }
        all.push(one);
        if last {
            break;
        }
    }
    planned.items.truncate(all.len());
    planned.outcomes.truncate(all.len());
    all
}

/// What the loop gives an item.
pub(super) fn given(step: &Step, item: &Item) -> Map {
    let names = step.task.looping.iter().flat_map(|looping| loops::names(&looping.control));
    names.filter_map(|name| Some((name.to_owned(), item.view.get(name)?.clone()))).collect()
}

/// What a loop registers: `results`, and whether any of them changed or failed.
pub(super) fn looped(step: &Step, planned: &Planned, judged: &[Judged]) -> Value {
    let results: Vec<Value> = judged.iter().map(Judged::result).collect();
    if let Some(unknown) = results.iter().find(|result| matches!(result, Value::Unknown(_))) {
        return unknown.clone();
    }
    let results = planned.items.iter().zip(results).map(|(item, result)| {
        let mut map = match result {
            Value::Map(map) => map,
            _ => Map::new(),
        };
        map.extend(given(step, item));
        Value::Map(map)
    });
    let skipped = judged.iter().all(|one| matches!(one.status, Status::Skipped { .. }));
    let failed = judged.iter().any(Judged::failed);
    let mut map = Map::from_iter([
        ("results".to_owned(), Value::List(results.collect())),
        ("changed".to_owned(), Value::Bool(judged.iter().any(|one| one.did_change))),
        ("skipped".to_owned(), Value::Bool(skipped)),
    ]);
    if failed {
        map.insert("failed".into(), Value::Bool(true));
    }
    let said = match (judged.is_empty(), skipped, failed) {
        (true, ..) => ("skipped_reason", "No items in the list"),
        (_, true, _) => ("msg", "All items skipped"),
        (_, _, true) => ("msg", "One or more items failed"),
        _ => ("msg", "All items completed"),
    };
    map.insert(said.0.into(), Value::Str(said.1.into()));
    if judged.iter().any(|one| matches!(one.status, Status::Unreachable { .. })) {
        map.insert("unreachable".into(), Value::Bool(true));
    }
    Value::Map(map)
}
