//! The graph of a program: its steps, and why one has to come after another.
//!
//! Its size depends on the playbooks, not on the number of hosts. The executor plans a step ahead only when all that its
//! [`Why::Data`] edges come from is concluded.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;

use super::Step;

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
            Self::Data { names, of } => {
                let names = names.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
                let of = if *of == Readers::All { " (of all hosts)" } else { "" };
                write!(f, "data: {names}{of}")
            }
        }
    }
}

/// Steps by their position, and the edges between them. Every edge leads forwards in the listed order, so there is no
/// cycle.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    edges: DiGraph<usize, Why>,
}

impl Graph {
    /// The graph of steps whose words include those of the definitions that they use.
    pub fn of(steps: &[Arc<Step>]) -> Self {
        let mut edges = DiGraph::with_capacity(steps.len(), 2 * steps.len());
        let nodes: Vec<NodeIndex> = (0..steps.len()).map(|step| edges.add_node(step)).collect();
        for (at, pair) in steps.windows(2).enumerate() {
            let why = if pair[0].play == pair[1].play { Why::Order } else { Why::Barrier };
            edges.add_edge(nodes[at], nodes[at + 1], why);
        }
        let mut writers: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (reader, step) in steps.iter().enumerate() {
            for (writer, names) in read(step, &writers) {
                let of =
                    if step.words.contains("hostvars") || steps[writer].once { Readers::All } else { Readers::Itself };
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

/// The steps before that set a variable which this one may read.
fn read(step: &Step, writers: &BTreeMap<&str, Vec<usize>>) -> BTreeMap<usize, BTreeSet<String>> {
    let mut found: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    let computed = step.words.contains("vars") || step.words.contains("varnames");
    for (name, by) in writers.iter().filter(|(name, _)| computed || step.words.contains(**name)) {
        for writer in by {
            found.entry(*writer).or_default().insert((*name).to_owned());
        }
    }
    found
}
