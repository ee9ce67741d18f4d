//! The edges that `needs` stands for.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use super::{Edge, Key, Node, Of, Why};
use crate::compile::{PlayPlan, Program, Step, Strategy};
use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::inventory::Inventory;
use crate::playbook::{Common, Need, Needed};

/// The hosts of the patterns that needs have.
pub(in crate::compile) type Patterns = BTreeMap<String, Arc<BTreeSet<String>>>;

/// Looks up the patterns of all needs, and refuses `needs` where the strategy has no use for it.
pub(in crate::compile) fn patterns(
    program: &Program,
    inventory: &Inventory,
    diagnostics: &mut Diagnostics,
) -> Patterns {
    let mut found = Patterns::new();
    let plays = program.plays.iter().map(|plan| (plan.strategy, &plan.play.common));
    let steps = program.steps.iter().flat_map(|step| {
        let strategy = program.plays[step.play].strategy;
        let blocks = step.blocks().iter().map(|(block, _)| &block.common);
        blocks.chain([&step.task.common]).map(move |common| (strategy, common))
    });
    let mut seen = BTreeSet::new();
    for (strategy, common) in plays.chain(steps) {
        for need in common.needs.iter().flatten() {
            if !seen.insert((need.span.path().to_owned(), need.span.start)) {
                continue;
            }
            if strategy != Strategy::Graph {
                let message = "`needs` has a meaning only in a play with `strategy: graph`";
                let hint = format!("with `strategy: {strategy}` tasks come one after the other as they are listed");
                diagnostics.push(Diagnostic::error(message).at(&need.span).hint(hint));
            }
            let Some(pattern) = &need.hosts else { continue };
            let selected = inventory.select(&pattern.value, &pattern.span);
            if let (true, Some(error)) = (selected.hosts.is_empty(), selected.unmatched.into_iter().next()) {
                diagnostics.push(Diagnostic { severity: Severity::Error, ..error });
            }
            found.insert(pattern.value.clone(), Arc::new(selected.hosts.into_iter().collect()));
        }
    }
    found
}

pub(super) fn edges(
    program: &Program,
    nodes: &[Node],
    steps: &Range<usize>,
    diagnostics: &mut Diagnostics,
) -> Vec<Edge> {
    let mut edges = Vec::new();
    let mut told = BTreeSet::new();
    for (to, node) in nodes.iter().enumerate() {
        let (needs, misplaced) = needs(program, node);
        let mut tell = |need: &Need, error: Diagnostic| {
            if told.insert((need.span.path().to_owned(), need.span.start)) {
                diagnostics.push(error);
            }
        };
        misplaced.into_iter().for_each(|need| tell(need, in_order(need)));
        for need in needs {
            match found(program, nodes, steps, node, need) {
                Ok((from, of)) => {
                    let edge = |from: usize| Edge { from, to, of: of.clone(), must: true, why: Why::Needs };
                    edges.extend(from.into_iter().map(edge));
                }
                Err(error) => tell(need, error),
            }
        }
    }
    edges
}

/// What a node needs: what its blocks do, and what its task does, if it is one. Then the needs of tasks within it, which have
/// no place there.
fn needs<'a>(program: &'a Program, node: &Node) -> (Vec<&'a Need>, Vec<&'a Need>) {
    if let Key::Begin(play) = node.key {
        return (program.plays[play].play.common.needs.iter().flatten().collect(), Vec::new());
    }
    let (mut found, mut misplaced) = (Vec::new(), Vec::new());
    let Some(first) = node.steps.first() else { return (found, misplaced) };
    let of = |common: &'a Common| common.needs.iter().flatten();
    let outside = program.steps[*first].blocks().len();
    for (at, step) in node.steps.iter().map(|step| &program.steps[*step]).enumerate() {
        let ordered = step.blocks().iter().position(|(block, _)| block.ordered);
        let depth = ordered.map_or(step.blocks().len(), |depth| depth + 1).min(outside);
        let (around, inside) = step.blocks().split_at(depth.min(step.blocks().len()));
        if at == 0 {
            found.extend(around.iter().flat_map(|(block, _)| of(&block.common)));
        }
        let own = of(&step.task.common);
        match (at, ordered) {
            (0, None) => found.extend(own),
            _ => misplaced.extend(inside.iter().flat_map(|(block, _)| of(&block.common)).chain(own)),
        }
    }
    (found, misplaced)
}

fn in_order(need: &Need) -> Diagnostic {
    Diagnostic::error("tasks of a block with `rescue` or `always`, and of what is included, keep their order")
        .at(&need.span)
        .hint("write `needs` at the block, or at the task that includes")
}

/// The nodes that a need names, and on which hosts they have to be done.
fn found(
    program: &Program,
    nodes: &[Node],
    steps: &Range<usize>,
    node: &Node,
    need: &Need,
) -> Result<(Vec<usize>, Of), Diagnostic> {
    let plan = &program.plays[node.play];
    let (targets, plays) = targets(program, nodes, steps, node, need)?;
    if plays.is_empty() {
        // `--limit` has left nobody to wait for.
        return Ok((targets, Of::Own));
    }
    let hosts: BTreeSet<&String> = plays.iter().flat_map(|play| &program.plays[*play].hosts).collect();
    let error = |text: String| Err(Diagnostic::error(text).at(&need.span));
    let Some(pattern) = &need.hosts else {
        let missing: Vec<&str> = plan.hosts.iter().filter(|host| !hosts.contains(host)).map(String::as_str).collect();
        if missing.is_empty() {
            return Ok((targets, Of::Own));
        }
        let key = if need.what == Needed::Play { "play" } else { "task" };
        return error(format!("`{}` is not run on {} of this play", need.name, shortened(&missing))).map_err(|error| {
            error.hint(format!("say on which hosts it has to be done: `{{ {key}: {}, hosts: … }}`", need.name))
        });
    };
    let meant = program.patterns.get(&pattern.value).cloned().unwrap_or_default();
    if !meant.iter().any(|host| hosts.contains(host)) && !program.limited {
        let ran = shortened(&hosts.iter().map(|host| host.as_str()).collect::<Vec<_>>());
        return error(format!("`{}` is run on no host of `{}`", need.name, pattern.value))
            .map_err(|error| error.hint(format!("it is run on {ran}")));
    }
    Ok((targets, Of::Hosts(meant)))
}

/// The nodes of that name, and the plays that they belong to.
fn targets(
    program: &Program,
    nodes: &[Node],
    steps: &Range<usize>,
    node: &Node,
    need: &Need,
) -> Result<(Vec<usize>, BTreeSet<usize>), Diagnostic> {
    let is = |step: &Step| step.handler.is_none() && names(step).any(|name| name == need.name);
    let play_is = |play: &PlayPlan| play.name == need.name;
    let tasks = |own: bool| -> Vec<usize> {
        let of = |at: &usize| (nodes[*at].play == node.play) == own;
        let named = |at: &usize| nodes[*at].steps.iter().any(|step| is(&program.steps[*step]));
        (0..nodes.len()).filter(of).filter(named).filter(|at| nodes[*at].key != node.key).collect()
    };
    let ends = || -> Vec<usize> {
        let named = |node: &Node| matches!(node.key, Key::End(play) if play_is(&program.plays[play]));
        nodes.iter().enumerate().filter(|(_, node)| named(node)).map(|(at, _)| at).collect()
    };
    let found = match need.what {
        Needed::Play => ends(),
        Needed::Task => [tasks(true), tasks(false)].into_iter().find(|found| !found.is_empty()).unwrap_or_default(),
        Needed::Any => {
            let (elsewhere, ends) = (tasks(false), ends());
            match tasks(true) {
                found if !found.is_empty() => found,
                _ if !elsewhere.is_empty() && !ends.is_empty() => {
                    return Err(Diagnostic::error(format!("`{}` is the name of a play and of a task", need.name))
                        .at(&need.span)
                        .hint(format!("write `{{ play: {0} }}` or `{{ task: {0} }}`", need.name)));
                }
                _ => [elsewhere, ends].concat(),
            }
        }
    };
    if !found.is_empty() {
        let plays = found.iter().map(|at| nodes[*at].play).collect();
        return Ok((found, plays));
    }
    if node.steps.iter().any(|step| is(&program.steps[*step])) {
        let error = Diagnostic::error(format!("`{}` needs itself", need.name)).at(&need.span);
        return Err(error.hint("not even on another host: a task begins on each host as soon as it can"));
    }
    // What is over before the region begins needs no edge, but its hosts are held against the pattern as well.
    let before = program.steps[..steps.start].iter();
    let named = |step: &&Arc<Step>| match need.what {
        Needed::Task => is(step),
        Needed::Play => play_is(&program.plays[step.play]),
        Needed::Any => is(step) || play_is(&program.plays[step.play]),
    };
    let plays: BTreeSet<usize> = before.filter(named).map(|step| step.play).collect();
    match plays.is_empty() && !program.idle.contains(&need.name) {
        true => Err(unknown(program, steps, need)),
        false => Ok((Vec::new(), plays)),
    }
}

fn unknown(program: &Program, steps: &Range<usize>, need: &Need) -> Diagnostic {
    let tasks = || program.steps[..steps.end].iter().filter(|step| step.handler.is_none()).flat_map(|step| names(step));
    let plays = || program.plays.iter().map(|plan| plan.name.as_str());
    let (kind, known): (&str, Vec<&str>) = match need.what {
        Needed::Any => ("task, block or play", tasks().chain(plays()).collect()),
        Needed::Task => ("task or block", tasks().collect()),
        Needed::Play => ("play", plays().collect()),
    };
    let error = Diagnostic::error(format!("there is no {kind} `{}` to be needed", need.name)).at(&need.span);
    let later = program.steps[steps.end..].iter().any(|step| names(step).any(|name| name == need.name));
    match later {
        true => error.hint("it is in a play that comes later and is not of this graph"),
        false => error.did_you_mean(&need.name, known),
    }
}

/// The names by which a step can be needed: its own, and those of its blocks.
fn names(step: &Step) -> impl Iterator<Item = &str> {
    let own = std::iter::once(&step.task.common);
    let named = own.chain(step.blocks().iter().map(|(block, _)| &block.common));
    named.filter_map(|common| common.name.as_ref()).map(|name| name.value.written())
}

/// A few of several names.
fn shortened(names: &[&str]) -> String {
    match names {
        [first, second, third, _, rest @ ..] => {
            format!("{first}, {second}, {third} and {} more", rest.len() + 1)
        }
        _ => names.join(", "),
    }
}
