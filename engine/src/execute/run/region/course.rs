//! A region under way: what of it is done, and where each host is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use trueup_modules::host::Why;

use super::super::Run;
use crate::compile::Region;
use crate::compile::region::{self, Key, Of};
use crate::execute::blocks::Control;
use crate::schedule::{Edge, Node, Schedule, Scope, Unit};

/// A region under way.
pub(super) struct Course {
    pub(super) region: Arc<Region>,
    pub(super) schedule: Schedule,
    pub(super) ways: Vec<Way>,
    /// Nodes with a `run_once` that a host has done for all, and how that ended.
    pub(super) once: BTreeMap<Key, Result<(), Unit>>,
    /// Of each node, which come before it.
    pub(super) before: Vec<Vec<bool>>,
    /// In a preview: the nodes that have something to do, those in which it is more than files first.
    pub(super) pending: BTreeMap<(bool, usize), Why>,
    /// Hosts to look at.
    pub(super) awake: BTreeSet<usize>,
}

/// A host's way through.
#[derive(Default)]
pub(super) struct Way {
    /// The node that it is in, how many of its steps are behind, and where it is in their blocks.
    pub(super) current: Option<(Key, usize, Control)>,
    /// Nodes of which all that there is to plan is planned.
    pub(super) walked: BTreeSet<usize>,
}

impl Course {
    /// In a preview: what a node's looks may still depend on, on whatever host.
    pub(super) fn waits_for(&self, node: usize) -> Option<&Why> {
        let comes_before = |other: usize| other == node || self.before[node][other];
        self.pending.iter().find(|((_, other), _)| comes_before(*other)).map(|(_, why)| why)
    }

    /// How many of a node's steps are behind, and where its host is in their blocks.
    pub(super) fn begin(&self, unit: Unit) -> (usize, Control) {
        let key = self.region.nodes[unit.node].key;
        let current = self.ways[unit.host].current.as_ref().filter(|(current, ..)| *current == key);
        current.map_or((0, Control::default()), |(_, behind, control)| (*behind, control.clone()))
    }
}

impl Run {
    pub(super) fn course(&self, region: Arc<Region>) -> Course {
        let schedule = Schedule::new(self.schedule_nodes(&region), self.schedule_edges(&region));
        Course {
            schedule,
            ways: self.hosts.iter().map(|_| Way::default()).collect(),
            once: BTreeMap::new(),
            before: region.before(),
            pending: BTreeMap::new(),
            awake: (0..self.hosts.len()).collect(),
            region,
        }
    }

    fn schedule_nodes(&self, region: &Region) -> Vec<Node> {
        let node = |node: &region::Node| {
            let member = |at: &usize| {
                let host = &self.hosts[*at];
                !host.gone
                    && !host.control.failed
                    && !host.failed_in.contains(&node.play)
                    && self.members[node.play].contains(&host.name)
            };
            Node { hosts: (0..self.hosts.len()).filter(member).collect(), works: !node.steps.is_empty() }
        };
        region.nodes.iter().map(node).collect()
    }

    fn schedule_edges(&self, region: &Region) -> Vec<Edge> {
        let scope = |of: &Of| match of {
            Of::Own => Scope::Own,
            Of::All => Scope::All,
            Of::Hosts(names) => {
                Scope::Hosts((0..self.hosts.len()).filter(|at| names.contains(&self.hosts[*at].name)).collect())
            }
        };
        let edges = region.edges.iter();
        edges.map(|edge| Edge { from: edge.from, to: edge.to, scope: scope(&edge.of), must: edge.must }).collect()
    }

    /// Includes have put steps into the list.
    pub(super) async fn renew(&mut self, course: &mut Course) {
        let Some(region) = self.compiled.regions.get(self.passed).cloned() else { return };
        let before = std::mem::replace(&mut course.region, Arc::new(region));
        let was = |node: usize| before.nodes.iter().position(|old| old.key == course.region.nodes[node].key);
        // Who has failed or was lost meanwhile is still known to the schedule.
        let mut nodes = self.schedule_nodes(&course.region);
        for (at, node) in nodes.iter_mut().enumerate() {
            if let Some(old) = was(at) {
                node.hosts = course.schedule.hosts(old).clone();
            }
        }
        course.before = course.region.before();
        let now = |old: usize| (0..nodes.len()).find(|node| was(*node) == Some(old));
        let pending = std::mem::take(&mut course.pending).into_iter();
        course.pending = pending.filter_map(|((near, node), why)| Some(((near, now(node)?), why))).collect();
        let edges = self.schedule_edges(&course.region);
        let (schedule, news) = course.schedule.renewed(nodes, edges, &was);
        course.schedule = schedule;
        course.ways.iter_mut().for_each(|way| way.walked.clear());
        self.say_skipped(course, news).await;
    }
}
