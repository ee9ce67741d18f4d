//! What may begin, of work that needs other work: a plain struct, without a clock and without a socket.
//!
//! A *node* is work that is done once on each of its hosts; on one host it is a *unit*. An edge says that a node comes after
//! another: on the same host, on all hosts, or on some. Whoever carries the work out asks which units are [`ready`] and says
//! how each [`finish`]ed; a unit whose need has failed is skipped, and all that needs it in turn. How long anything takes is
//! not known here, so every order that the edges allow is possible.
//!
//! [`ready`]: Schedule::ready
//! [`finish`]: Schedule::finish

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Work that is done on each of its hosts.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it is done.
    pub hosts: BTreeSet<usize>,
    /// There is something to do; a node without is only where edges meet, and done as soon as all before it is.
    pub works: bool,
}

/// One node comes after another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The one before.
    pub from: usize,
    /// The one after.
    pub to: usize,
    /// On which hosts the one before has to be done.
    pub scope: Scope,
    /// It has to have succeeded; else it only has to be over.
    pub must: bool,
}

/// On which hosts the one before has to be done. Hosts that it is not done on at all do not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// On the host that the one after is for.
    Own,
    /// On all.
    All,
    /// On these.
    Hosts(BTreeSet<usize>),
}

/// A node on a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unit {
    /// The node.
    pub node: usize,
    /// The host.
    pub host: usize,
}

/// What a unit's end has brought about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Units that will not be run, each with the one whose failure is the reason.
    pub skipped: Vec<(Unit, Unit)>,
    /// Hosts that may have something to do now.
    pub woken: BTreeSet<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Done,
    /// Failed, or skipped because of that unit.
    Failed(Unit),
}

/// The state of all units.
#[derive(Clone, Debug)]
pub struct Schedule {
    nodes: Vec<Node>,
    edges: Vec<Edge>,
    into: Vec<Vec<usize>>,
    out: Vec<Vec<usize>>,
    states: BTreeMap<Unit, State>,
    /// Of each edge: how many units before it are still open.
    open: Vec<usize>,
}

impl Schedule {
    /// The beginning: nothing is done yet but what there is nothing to do for.
    pub fn new(nodes: Vec<Node>, edges: Vec<Edge>) -> Self {
        Self::resumed(nodes, edges, |_| None).0
    }

    /// The same work in another shape: nodes or edges have been added. `was` says which of the `before` a node was.
    pub fn renewed(&self, nodes: Vec<Node>, edges: Vec<Edge>, was: &dyn Fn(usize) -> Option<usize>) -> (Self, News) {
        let count = nodes.len();
        let is = |old: usize| (0..count).find(|new| was(*new) == Some(old)).unwrap_or(usize::MAX);
        let now = |unit: Unit| Unit { node: is(unit.node), ..unit };
        let state = |unit: Unit| {
            let before = self.states.get(&Unit { node: was(unit.node)?, ..unit })?;
            Some(match before {
                State::Failed(cause) => State::Failed(now(*cause)),
                other => *other,
            })
        };
        Self::resumed(nodes, edges, state)
    }

    fn resumed(nodes: Vec<Node>, edges: Vec<Edge>, was: impl Fn(Unit) -> Option<State>) -> (Self, News) {
        let (mut into, mut out) = (vec![Vec::new(); nodes.len()], vec![Vec::new(); nodes.len()]);
        for (at, edge) in edges.iter().enumerate() {
            into[edge.to].push(at);
            out[edge.from].push(at);
        }
        let units = nodes
            .iter()
            .enumerate()
            .flat_map(|(node, one)| one.hosts.iter().map(move |host| Unit { node, host: *host }));
        let states: BTreeMap<Unit, State> = units.map(|unit| (unit, was(unit).unwrap_or(State::Open))).collect();
        let counts = |edge: &Edge| {
            let open = |host: &&usize| states.get(&Unit { node: edge.from, host: **host }) == Some(&State::Open);
            let within = |host: &&usize| edge.scope.has(**host);
            nodes[edge.from].hosts.iter().filter(within).filter(open).count()
        };
        let open = edges.iter().map(counts).collect();
        let mut schedule = Self { nodes, edges, into, out, states, open };
        let ready = |unit: &Unit| schedule.ready(*unit, &BTreeSet::new());
        let (works, free): (Vec<Unit>, Vec<Unit>) =
            schedule.states.keys().copied().filter(ready).partition(|unit| schedule.nodes[unit.node].works);
        let mut news = schedule.close(free.into_iter().map(|unit| (unit, State::Done)).collect());
        news.woken.extend(works.into_iter().map(|unit| unit.host));
        (schedule, news)
    }

    /// Whether all that a unit needs is done, `ahead` included: nodes that this host will have done by then.
    pub fn ready(&self, unit: Unit, ahead: &BTreeSet<usize>) -> bool {
        self.is_open(unit)
            && self.into[unit.node].iter().all(|at| {
                let edge = &self.edges[*at];
                match edge.scope {
                    Scope::Own => ahead.contains(&edge.from) || !self.is_open(Unit { node: edge.from, ..unit }),
                    Scope::All | Scope::Hosts(_) => self.open[*at] == 0,
                }
            })
    }

    /// Whether a unit is neither over nor given up.
    pub fn is_open(&self, unit: Unit) -> bool {
        self.states.get(&unit) == Some(&State::Open)
    }

    /// Where a node is done.
    pub fn hosts(&self, node: usize) -> &BTreeSet<usize> {
        &self.nodes[node].hosts
    }

    /// The units that have failed, or were skipped because something has.
    pub fn failed(&self) -> impl Iterator<Item = Unit> + '_ {
        self.states.iter().filter(|(_, state)| matches!(state, State::Failed(_))).map(|(unit, _)| *unit)
    }

    /// The units that are not over.
    pub fn left(&self) -> impl Iterator<Item = Unit> + '_ {
        self.states.iter().filter(|(_, state)| **state == State::Open).map(|(unit, _)| *unit)
    }

    /// A unit is over; an error says which unit's failure is the reason, mostly its own.
    pub fn finish(&mut self, unit: Unit, end: Result<(), Unit>) -> News {
        self.close([(unit, end.map_or_else(State::Failed, |()| State::Done))].into())
    }

    /// A host takes no further part: what it has not done has failed, for whoever needs it.
    pub fn lose(&mut self, host: usize) -> News {
        self.close(self.left().filter(|unit| unit.host == host).map(|unit| (unit, State::Failed(unit))).collect())
    }

    /// Some units are not run any more, and nobody's failure is the reason.
    pub fn give_up(&mut self, which: impl Fn(Unit) -> bool) -> News {
        self.close(self.left().filter(|unit| which(*unit)).map(|unit| (unit, State::Done)).collect())
    }

    /// Closes units, and whatever that closes in turn, the first first.
    fn close(&mut self, mut closing: VecDeque<(Unit, State)>) -> News {
        let mut news = News::default();
        while let Some((unit, state)) = closing.pop_front() {
            if !self.is_open(unit) {
                continue;
            }
            self.states.insert(unit, state);
            let cause = match state {
                State::Failed(cause) => Some(cause),
                State::Open | State::Done => None,
            };
            if let Some(cause) = cause.filter(|cause| *cause != unit && self.nodes[unit.node].works) {
                news.skipped.push((unit, cause));
            }
            let mut after = self.after(unit, cause.is_some());
            // What must have succeeded comes first: of two edges between the same nodes it is the one that counts.
            after.sort_by_key(|(_, must)| !must);
            for (after, must) in after {
                match cause.filter(|_| must) {
                    Some(cause) => closing.push_back((after, State::Failed(cause))),
                    None if !self.ready(after, &BTreeSet::new()) => {}
                    None if self.nodes[after.node].works => drop(news.woken.insert(after.host)),
                    None => closing.push_back((after, State::Done)),
                }
            }
        }
        news
    }

    /// Those that may be concerned by a unit's end, and whether they need it to have succeeded.
    fn after(&mut self, unit: Unit, failed: bool) -> Vec<(Unit, bool)> {
        let mut found = Vec::new();
        for at in &self.out[unit.node] {
            let edge = &self.edges[*at];
            if !edge.scope.has(unit.host) {
                continue;
            }
            self.open[*at] -= 1;
            let all = self.open[*at] == 0 || (edge.must && failed);
            let hosts = self.nodes[edge.to].hosts.iter().copied();
            let concerned = hosts.filter(|host| if edge.scope == Scope::Own { *host == unit.host } else { all });
            found.extend(concerned.map(|host| (Unit { node: edge.to, host }, edge.must)));
        }
        found
    }
}

impl Scope {
    fn has(&self, host: usize) -> bool {
        match self {
            Self::Own | Self::All => true,
            Self::Hosts(hosts) => hosts.contains(&host),
        }
    }
}

impl News {
    /// Adds what something else has brought about.
    pub fn extend(&mut self, other: Self) {
        self.skipped.extend(other.skipped);
        self.woken.extend(other.woken);
    }
}

/// The nodes in an order in which each comes after those before it: the given one, where the edges leave a choice.
///
/// # Errors
/// A circle: edges, of which each begins where the one before ends, and the first where the last ends.
pub fn sort(nodes: usize, edges: &[(usize, usize)]) -> Result<Vec<usize>, Vec<usize>> {
    let mut before = vec![0_usize; nodes];
    edges.iter().for_each(|(_, to)| before[*to] += 1);
    let mut free: BTreeSet<usize> = (0..nodes).filter(|node| before[*node] == 0).collect();
    let mut sorted = Vec::with_capacity(nodes);
    let mut out = vec![Vec::new(); nodes];
    edges.iter().for_each(|(from, to)| out[*from].push(*to));
    while let Some(node) = free.pop_first() {
        sorted.push(node);
        for to in &out[node] {
            before[*to] -= 1;
            if before[*to] == 0 {
                free.insert(*to);
            }
        }
    }
    let Some(mut node) = (0..nodes).find(|node| before[*node] > 0) else { return Ok(sorted) };
    // Each node that is left has one before it that is left, too: going back, one comes again.
    let (mut path, mut seen) = (Vec::new(), BTreeMap::new());
    while !seen.contains_key(&node) {
        seen.insert(node, path.len());
        let left = |(from, to): &(usize, usize)| *to == node && before[*from] > 0;
        let Some(edge) = edges.iter().position(left) else { break };
        path.push(edge);
        node = edges[edge].0;
    }
    let mut circle = path.split_off(seen.get(&node).copied().unwrap_or(0));
    circle.reverse();
    Err(circle)
}

#[cfg(test)]
mod tests;
