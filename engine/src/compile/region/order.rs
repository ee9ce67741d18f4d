//! The edges that nobody writes: the order of lists, handlers, and one play after another.

use std::collections::BTreeMap;

use super::{Edge, Key, Node, Of, Why};
use crate::compile::{Program, Step};
use crate::playbook::{Field, Spanned};

/// A list of which the order counts: a play's, or that of a block that has `needs` of its own.
#[derive(Default)]
struct List {
    /// The last that came after all before it.
    last: Option<usize>,
    /// Those since then that did not.
    loose: Vec<usize>,
}

impl List {
    /// What comes before the next.
    fn all(&self) -> impl Iterator<Item = usize> + '_ {
        self.last.iter().chain(&self.loose).copied()
    }
}

pub(super) fn edges(program: &Program, nodes: &[Node]) -> Vec<Edge> {
    let mut edges = Vec::new();
    let mut lists: BTreeMap<(usize, usize), List> = BTreeMap::new();
    let mut begin = 0;
    for (at, node) in nodes.iter().enumerate() {
        let edge = |from: usize, why: Why| Edge { from, to: at, of: Of::Own, must: true, why };
        match node.key {
            Key::Begin(_) => {
                begin = at;
                if at > 0 && program.plays[node.play].play.common.needs.is_none() {
                    edges.push(Edge { of: Of::All, must: false, ..edge(at - 1, Why::Barrier) });
                    edges.push(edge(at - 1, Why::Barrier));
                }
                continue;
            }
            Key::End(_) => {
                edges.extend((begin..at).map(|from| edge(from, Why::Order)));
                continue;
            }
            Key::Work(..) => edges.push(edge(begin, Why::Order)),
        }
        let Some(step) = node.steps.first().map(|step| &program.steps[*step]) else { continue };
        if step.handler.is_some() {
            let list = lists.entry((node.play, 0)).or_default();
            let must = !forced(program, step);
            edges.extend(list.all().map(|from| Edge { must, ..edge(from, Why::Order) }));
            list.loose.push(at);
            continue;
        }
        let (own, mut within) = released(step, node);
        // The innermost list is the one whose order counts.
        if !own && let Some(list) = within.pop() {
            let list = lists.entry((node.play, list)).or_default();
            edges.extend(list.all().map(|from| edge(from, Why::Order)));
            *list = List { last: Some(at), loose: Vec::new() };
        }
        within.into_iter().for_each(|list| lists.entry((node.play, list)).or_default().loose.push(at));
    }
    edges
}

/// Whether a node has `needs` of its own, and the lists that it is in: the play's (0), and those of blocks with `needs`.
fn released(step: &Step, node: &Node) -> (bool, Vec<usize>) {
    let mut within = vec![0];
    for (block, _) in step.blocks() {
        let itself = matches!(node.key, Key::Work(_, key) if key == block.id);
        match (itself, block.common.needs.is_some()) {
            // A block that is one node.
            (true, own) => return (own, within),
            (false, true) => within.push(block.id),
            (false, false) => {}
        }
    }
    (step.task.common.needs.is_some(), within)
}

/// With `force_handlers` the handlers at the end of a section run though something has failed.
fn forced(program: &Program, step: &Step) -> bool {
    let forced = &program.plays[step.play].play.force_handlers;
    matches!(forced, Some(Spanned { value: Field::Known(true), .. }))
        && step.handler.as_ref().is_some_and(|handler| handler.ends_section)
}
