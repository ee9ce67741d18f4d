//! The graph of a program: its steps, and why one has to come after another.
//!
//! Its size depends on the playbooks, not on the number of hosts. The executor plans a step ahead only when all that its
//! [`Why::Data`] edges come from is concluded.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;

use super::region::{self, Key, Node, Of};
use super::{Region, Step};

/// Why a step comes after another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is listed after it, in the same play.
    Order,
    /// Its play comes after the other's.
    Barrier,
    /// It reads what the other sets.
    Data {
        /// The variables.
        names: BTreeSet<String>,
        /// Of which hosts.
        of: Readers,
    },
    /// It is a handler that the other notifies.
    Notify,
    /// It, or its play, says that it needs the other, or the other's play.
    Needs {
        /// On which hosts; on the same without.
        on: Option<Vec<String>>,
    },
}

/// Whose variables are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// The host's own.
    Itself,
    /// Any host's: through `hostvars`, or because one host sets them for all (`run_once`).
    All,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Order => f.write_str("order"),
            Self::Barrier => f.write_str("barrier"),
            Self::Notify => f.write_str("notify"),
            Self::Needs { on: None } => f.write_str("needs"),
            Self::Needs { on: Some(hosts) } => write!(f, "needs (on {})", hosts.join(", ")),
            Self::Data { names, of } => {
                let names = names.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
                let of = if *of == Readers::All { " (of all hosts)" } else { "" };
                write!(f, "data: {names}{of}")
            }
        }
    }
}

/// Steps by their position, and the edges between them. There is no cycle: a need that would make one is an error.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    edges: DiGraph<usize, Why>,
}

impl Graph {
    /// The graph of steps whose words include those of the definitions that they use.
    pub fn of(steps: &[Arc<Step>], regions: &[Region]) -> Self {
        let mut edges = DiGraph::with_capacity(steps.len(), 2 * steps.len());
        let nodes: Vec<NodeIndex> = (0..steps.len()).map(|step| edges.add_node(step)).collect();
        let freed =
            |at: usize| regions.iter().any(|region| region.steps.contains(&at) && region.steps.contains(&(at + 1)));
        for (at, pair) in steps.windows(2).enumerate().filter(|(at, _)| !freed(*at)) {
            let why = if pair[0].play == pair[1].play { Why::Order } else { Why::Barrier };
            edges.add_edge(nodes[at], nodes[at + 1], why);
        }
        for (before, after, why) in regions.iter().flat_map(between) {
            edges.add_edge(nodes[before], nodes[after], why);
        }
        let mut writers: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (reader, step) in steps.iter().enumerate() {
            for (writer, names) in read(step, &writers) {
                let everybodys = steps[writer].once || steps[writer].delegate_facts().is_some();
                let of = if step.words.contains("hostvars") || everybodys { Readers::All } else { Readers::Itself };
                edges.add_edge(nodes[writer], nodes[reader], Why::Data { names, of });
            }
            if let Some(handler) = &step.handler {
                let notifies = |other: &&usize| {
                    let other = &steps[**other];
                    other.play == step.play && other.notifies.iter().any(|name| handler.names.contains(name))
                };
                for notifier in (0..reader).collect::<Vec<_>>().iter().filter(notifies) {
                    edges.add_edge(nodes[*notifier], nodes[reader], Why::Notify);
                }
            }
            step.writes.iter().for_each(|name| writers.entry(name).or_default().push(reader));
        }
        Self { edges }
    }

    /// The steps that set what a step reads, and whose variables those are.
    pub fn reads(&self, step: usize) -> impl Iterator<Item = (usize, Readers)> + '_ {
        let incoming = self.edges.edges_directed(NodeIndex::new(step), petgraph::Direction::Incoming);
        incoming.filter_map(|edge| match edge.weight() {
            Why::Data { of, .. } => Some((self.edges[edge.source()], *of)),
            _ => None,
        })
    }

    /// What leads to each step, in the listed order.
    pub fn causes(&self, step: usize) -> Vec<(usize, &Why)> {
        let incoming = self.edges.edges_directed(NodeIndex::new(step), petgraph::Direction::Incoming);
        let mut causes: Vec<_> = incoming.map(|edge| (self.edges[edge.source()], edge.weight())).collect();
        causes.sort_by_key(|(cause, _)| *cause);
        causes
    }
}

/// The edges of a region between steps; those that lead to or from a play as a whole, from its last and to its first.
fn between(region: &Region) -> impl Iterator<Item = (usize, usize, Why)> + '_ {
    let of_play = |node: &Node| {
        let mut steps = region.nodes.iter().filter(|other| other.play == node.play).flat_map(|node| node.steps.clone());
        let first = steps.next()?;
        let (first, last) = steps.fold((first, first), |(first, last), step| (first.min(step), last.max(step)));
        Some(if matches!(node.key, Key::Begin(_)) { first } else { last })
    };
    let first = move |node: &Node| node.steps.first().copied().or_else(|| of_play(node));
    let last = move |node: &Node| node.steps.last().copied().or_else(|| of_play(node));
    region.edges.iter().filter_map(move |edge| {
        let (from, to) = (&region.nodes[edge.from], &region.nodes[edge.to]);
        let why = match (edge.why, &edge.of) {
            // Drawn from the steps themselves.
            (region::Why::Data, _) => return None,
            (region::Why::Barrier, Of::Own) => return None,
            (region::Why::Barrier, _) => Why::Barrier,
            (region::Why::Needs, Of::Hosts(hosts)) => Why::Needs { on: Some(hosts.iter().cloned().collect()) },
            (region::Why::Needs, _) => Why::Needs { on: None },
            (region::Why::Order, _) if from.steps.is_empty() || to.steps.is_empty() => return None,
            (region::Why::Order, _) => Why::Order,
        };
        Some((last(from)?, first(to)?, why))
    })
}

/// The steps before that set a variable which this one may read.
fn read(step: &Step, writers: &BTreeMap<&str, Vec<usize>>) -> BTreeMap<usize, BTreeSet<String>> {
    let mut found: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    for (name, by) in writers.iter().filter(|(name, _)| step.may_read(name)) {
        for writer in by {
            found.entry(*writer).or_default().insert((*name).to_owned());
        }
    }
    found
}
