//! Plays in which hosts do not wait for each other: what comes after what there.
//!
//! A play of `strategy: free` or `graph` makes a *region*, several of `graph` one after the other make one together. Its
//! steps are put together to nodes: a task; a block with `rescue` or `always`, whose tasks only make sense in their order;
//! a dynamic include with all that it brings. What a node comes after is decided by these edges, and by nothing else:
//!
//! - *order*: what is listed before it in its play, on the same host, unless `needs` stands in its place;
//! - *needs*: what it names, on the same host or on others. What a block or play needs, each task in it does;
//! - *data*: the task that sets a variable that it reads, on all hosts if it reads `hostvars`;
//! - *handlers* come after all of their play that is listed before, as they do elsewhere: what notifies them may not be all
//!   that they stand behind;
//! - *barrier*: a play comes after the one before it, unless it says what it needs.
//!
//! Dropping the order of a list altogether would be more in the spirit of a graph, and wrong: what a `command` or a query
//! touches nobody knows, so the order in which somebody wrote them down is the only thing there is to go by. GitLab's
//! pipelines have the same rule: stages are an order until a job says `needs`, and `needs: []` means nothing.

mod needs;
mod order;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::{Program, Step, Strategy};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::schedule;

pub(super) use needs::{Patterns, patterns};

/// Consecutive plays in which hosts do not wait for each other.
#[derive(Clone, Debug)]
pub struct Region {
    /// The positions of its steps.
    pub steps: Range<usize>,
    /// Its nodes, each after all that it comes after.
    pub nodes: Vec<Node>,
    /// What comes after what, by positions in `nodes`.
    pub edges: Vec<Edge>,
    /// What depends on a failure is told of; a `free` play has only its order.
    pub graph: bool,
}

/// Steps that a host does one after the other.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it is, also after an include has brought more.
    pub key: Key,
    /// The play that it belongs to.
    pub play: usize,
    /// The positions of its steps.
    pub steps: Vec<usize>,
}

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// Before all of a play.
    Begin(usize),
    /// A task, block or include of a play, by its number.
    Work(usize, usize),
    /// After all of a play.
    End(usize),
}

/// A node comes after another.
#[derive(Clone, Debug)]
pub struct Edge {
    /// The one before.
    pub from: usize,
    /// The one after.
    pub to: usize,
    /// On which hosts the one before has to be done.
    pub of: Of,
    /// It has to have succeeded.
    pub must: bool,
    /// Why.
    pub why: Why,
}

/// On which hosts the one before has to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Of {
    /// On the same host.
    Own,
    /// On all.
    All,
    /// On these.
    Hosts(Arc<BTreeSet<String>>),
}

/// Why a node comes after another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is listed after it.
    Order,
    /// It needs it.
    Needs,
    /// It reads what the other sets.
    Data,
    /// Its play comes after the other's.
    Barrier,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Order => "is listed after",
            Self::Needs => "needs",
            Self::Data => "reads what is set by",
            Self::Barrier => "is in a play after that of",
        })
    }
}

impl Region {
    /// The node that a step is in.
    pub fn node_of(&self, step: usize) -> Option<usize> {
        self.nodes.iter().position(|node| node.steps.contains(&step))
    }

    /// Of each node, which others come before it, however many are in between.
    pub fn before(&self) -> Vec<Vec<bool>> {
        let mut into = vec![Vec::new(); self.nodes.len()];
        self.edges.iter().for_each(|edge| into[edge.to].push(edge.from));
        let mut before: Vec<Vec<bool>> = Vec::with_capacity(self.nodes.len());
        // Nodes are sorted: those before one are known.
        for from in into {
            let mut all = vec![false; self.nodes.len()];
            for node in from {
                all[node] = true;
                all.iter_mut().zip(&before[node]).for_each(|(all, theirs)| *all |= theirs);
            }
            before.push(all);
        }
        before
    }
}

/// The regions of a program whose data edges are known.
///
/// # Errors
/// Needs that name nothing, and circles; all of them.
pub(super) fn regions(program: &Program) -> Result<Vec<Region>, Diagnostics> {
    let mut diagnostics = Diagnostics::new();
    let mut regions = Vec::new();
    let mut from = 0;
    while from < program.steps.len() {
        let strategy = |at: usize| program.plays[program.steps[at].play].strategy;
        let same = |at: &usize| match strategy(from) {
            Strategy::Linear => strategy(*at) == Strategy::Linear,
            Strategy::Free => program.steps[*at].play == program.steps[from].play,
            Strategy::Graph => strategy(*at) == Strategy::Graph,
        };
        let to = (from..program.steps.len()).take_while(same).last().map_or(from, |last| last) + 1;
        if strategy(from) != Strategy::Linear {
            regions.extend(region(program, from..to, &mut diagnostics));
        }
        from = to;
    }
    if diagnostics.has_errors() { Err(diagnostics) } else { Ok(regions) }
}

fn region(program: &Program, steps: Range<usize>, diagnostics: &mut Diagnostics) -> Option<Region> {
    let graph = program.plays[program.steps[steps.start].play].strategy == Strategy::Graph;
    let nodes = nodes(program, &steps);
    let mut edges = order::edges(program, &nodes);
    edges.extend(data(program, &nodes, &steps));
    if graph {
        edges.extend(needs::edges(program, &nodes, &steps, diagnostics));
    }
    if diagnostics.has_errors() {
        return None;
    }
    let pairs: Vec<(usize, usize)> = edges.iter().map(|edge| (edge.from, edge.to)).collect();
    match schedule::sort(nodes.len(), &pairs) {
        Ok(order) => Some(sorted(Region { steps, nodes, edges, graph }, &order)),
        Err(circle) => {
            let circle: Vec<&Edge> = circle.iter().map(|at| &edges[*at]).collect();
            diagnostics.push(circular(program, &nodes, &circle));
            None
        }
    }
}

/// Each play's beginning, its work in the listed order, and its end.
fn nodes(program: &Program, steps: &Range<usize>) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    let mut keys: BTreeMap<usize, usize> = BTreeMap::new();
    let mut found: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    for at in steps.clone() {
        let step = &program.steps[at];
        if nodes.last().is_none_or(|last| last.play != step.play) {
            nodes.extend(nodes.last().map(|last| Node {
                key: Key::End(last.play),
                play: last.play,
                steps: Vec::new(),
            }));
            nodes.push(Node { key: Key::Begin(step.play), play: step.play, steps: Vec::new() });
        }
        let key = key(step, &keys);
        keys.insert(step.id, key);
        let node = *found.entry((step.play, key)).or_insert_with(|| {
            nodes.push(Node { key: Key::Work(step.play, key), play: step.play, steps: Vec::new() });
            nodes.len() - 1
        });
        nodes[node].steps.push(at);
    }
    nodes.extend(nodes.last().map(|last| Node { key: Key::End(last.play), play: last.play, steps: Vec::new() }));
    nodes
}

/// The number of the node that a step is in: that of the include that brought it, of a block that keeps its order, or its own.
fn key(step: &Step, keys: &BTreeMap<usize, usize>) -> usize {
    let include = step.around.includes.first().and_then(|include| keys.get(include).copied());
    include
        .or_else(|| step.blocks().iter().map(|(block, _)| block).find(|block| block.ordered).map(|block| block.id))
        .unwrap_or(step.id)
}

/// Whoever reads comes after whoever sets. On the same host that must have succeeded: else there is nothing to read.
fn data(program: &Program, nodes: &[Node], steps: &Range<usize>) -> Vec<Edge> {
    let node_of: BTreeMap<usize, usize> =
        nodes.iter().enumerate().flat_map(|(at, node)| node.steps.iter().map(move |step| (*step, at))).collect();
    let mut edges = Vec::new();
    for (reader, to) in node_of.range(steps.clone()) {
        for (writer, of) in program.graph.reads(*reader) {
            let Some(from) = node_of.get(&writer).filter(|from| *from != to) else { continue };
            let all = of == super::graph::Readers::All;
            let of = if all { Of::All } else { Of::Own };
            edges.push(Edge { from: *from, to: *to, of, must: !all, why: Why::Data });
        }
    }
    edges
}

fn sorted(region: Region, order: &[usize]) -> Region {
    let mut places = vec![0; order.len()];
    order.iter().enumerate().for_each(|(place, node)| places[*node] = place);
    let mut nodes: Vec<Option<Node>> = region.nodes.into_iter().map(Some).collect();
    let moved = |edge: Edge| Edge { from: places[edge.from], to: places[edge.to], ..edge };
    Region {
        nodes: order.iter().filter_map(|node| nodes[*node].take()).collect(),
        edges: region.edges.into_iter().map(moved).collect(),
        ..region
    }
}

fn circular(program: &Program, nodes: &[Node], circle: &[&Edge]) -> Diagnostic {
    let named = |node: usize| match (nodes[node].key, nodes[node].steps.first()) {
        (Key::Work(..), Some(step)) => format!("`{}`", program.steps[*step].name()),
        _ => format!("the play `{}`", program.plays[nodes[node].play].name),
    };
    let place = |node: usize| match nodes[node].steps.first() {
        Some(step) => &program.steps[*step].task.span,
        None => &program.plays[nodes[node].play].play.span,
    };
    // It is best told from what somebody has written.
    let first = circle.iter().position(|edge| edge.why == Why::Needs).unwrap_or(0);
    let path = circle.iter().cycle().skip(first).take(circle.len()).collect::<Vec<_>>();
    let at = path.first().map_or(0, |edge| edge.to);
    let error = Diagnostic::error("these wait for each other, so none of them could ever begin").at(place(at));
    // What a play's beginning and end stand between is not worth a line.
    path.iter().rev().fold(error, |error, edge| {
        let (from, to) = (place(edge.from), place(edge.to));
        error.hint(format!("{} ({to}) {} {} ({from})", named(edge.to), edge.why, named(edge.from)))
    })
}
