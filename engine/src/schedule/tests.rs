//! Random work, finished in random orders: what must hold whatever the order.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{Edge, News, Node, Schedule, Scope, Unit, sort};

/// Work, and what chance decides: which unit that is ready ends next, and whether it fails.
#[derive(Clone, Debug)]
struct Plan {
    nodes: Vec<Node>,
    edges: Vec<Edge>,
    /// Each picks among what is ready.
    picks: Vec<usize>,
    /// Nodes that fail, on hosts.
    failing: BTreeSet<(usize, usize)>,
}

fn plan(failures: usize) -> impl Strategy<Value = Plan> {
    (2..9_usize, 1..4_usize).prop_flat_map(move |(count, hosts)| {
        let host = 0..hosts;
        let node = (prop::collection::btree_set(host.clone(), 1..=hosts), prop::bool::weighted(0.8));
        let scope = prop_oneof![
            2 => Just(Scope::Own),
            1 => Just(Scope::All),
            1 => prop::collection::btree_set(host.clone(), 1..=hosts).prop_map(Scope::Hosts),
        ];
        let edge = (0..count, 0..count, scope, any::<bool>());
        (
            prop::collection::vec(node, count),
            prop::collection::vec(edge, 0..2 * count),
            prop::collection::vec(0..100_usize, count * hosts),
            prop::collection::btree_set((0..count, host), 0..=failures),
        )
            .prop_map(|(nodes, edges, picks, failing)| Plan {
                nodes: nodes.into_iter().map(|(hosts, works)| Node { hosts, works }).collect(),
                // Forwards, so that there is no circle.
                edges: edges
                    .into_iter()
                    .filter(|(a, b, ..)| a != b)
                    .map(|(a, b, scope, must)| Edge { from: a.min(b), to: a.max(b), scope, must })
                    .collect(),
                picks,
                failing,
            })
    })
}

/// What was done, in order, and what was not.
struct Course {
    done: Vec<(Unit, bool)>,
    skipped: Vec<(Unit, Unit)>,
    schedule: Schedule,
}

/// Carries a plan out, asking only hosts that were woken: one that is not told of work would never begin it.
fn carry_out(plan: &Plan) -> Course {
    let schedule = Schedule::new(plan.nodes.clone(), plan.edges.clone());
    let mut course = Course { done: Vec::new(), skipped: Vec::new(), schedule };
    let mut awake: BTreeSet<usize> = plan.nodes.iter().flat_map(|node| node.hosts.clone()).collect();
    let mut open: Vec<Unit> = Vec::new();
    for pick in plan.picks.iter().cycle().take(10 * plan.picks.len()) {
        for host in std::mem::take(&mut awake) {
            let units = (0..plan.nodes.len()).map(|node| Unit { node, host });
            let ready =
                units.filter(|unit| plan.nodes[unit.node].works && course.schedule.ready(*unit, &BTreeSet::new()));
            ready.for_each(|unit| {
                if !open.contains(&unit) {
                    open.push(unit)
                }
            });
        }
        if open.is_empty() {
            break;
        }
        let unit = open.remove(pick % open.len());
        let fails = plan.failing.contains(&(unit.node, unit.host));
        let News { skipped, woken } = course.schedule.finish(unit, if fails { Err(unit) } else { Ok(()) });
        course.done.push((unit, !fails));
        course.skipped.extend(skipped);
        awake.extend(woken);
    }
    course
}

/// The units that a unit comes straight after, and whether those must succeed; through nodes that nothing is done for.
fn before(plan: &Plan, unit: Unit) -> Vec<(Unit, bool)> {
    let mut found = Vec::new();
    for edge in plan.edges.iter().filter(|edge| edge.to == unit.node) {
        for host in &plan.nodes[edge.from].hosts {
            let counts = match &edge.scope {
                Scope::Own => *host == unit.host,
                Scope::All => true,
                Scope::Hosts(hosts) => hosts.contains(host),
            };
            if counts {
                found.push((Unit { node: edge.from, host: *host }, edge.must));
            }
        }
    }
    found
}

/// Whether each unit comes to be done: not if it fails, or if one that it must have succeeded does not. That does not depend
/// on any order.
fn expected(plan: &Plan) -> BTreeMap<Unit, bool> {
    let mut ends: BTreeMap<Unit, bool> = BTreeMap::new();
    for node in 0..plan.nodes.len() {
        for host in &plan.nodes[node].hosts {
            let unit = Unit { node, host: *host };
            let held = before(plan, unit).iter().any(|(other, must)| *must && !ends[other]);
            let fails = plan.nodes[node].works && plan.failing.contains(&(node, *host));
            ends.insert(unit, !held && !fails);
        }
    }
    ends
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_runs_before_what_it_needs(plan in plan(2)) {
        let course = carry_out(&plan);
        let over: BTreeMap<Unit, usize> = course.done.iter().enumerate().map(|(at, (unit, _))| (*unit, at)).collect();
        let ends = expected(&plan);
        for (unit, at) in &over {
            for (other, must) in before(&plan, *unit) {
                if plan.nodes[other.node].works && ends[&other] {
                    prop_assert!(over.get(&other).is_some_and(|earlier| earlier < at), "{unit:?} ran before {other:?}");
                }
                prop_assert!(!must || ends[&other], "{unit:?} ran though {other:?} had failed");
            }
        }
    }

    #[test]
    fn a_failure_skips_exactly_its_dependants_and_says_so_once(plan in plan(3)) {
        let course = carry_out(&plan);
        let ends = expected(&plan);
        let ran: BTreeSet<Unit> = course.done.iter().map(|(unit, _)| *unit).collect();
        let works = |unit: &&Unit| plan.nodes[unit.node].works;
        let fails = |unit: &Unit| plan.failing.contains(&(unit.node, unit.host));
        for unit in ends.keys().filter(works) {
            let told = course.skipped.iter().filter(|(skipped, _)| skipped == unit).count();
            prop_assert_eq!(ran.contains(unit), told == 0, "{:?} ran, or it is said why not, once", unit);
            prop_assert!(told <= 1, "{unit:?} is told {told} times");
            let held = before(&plan, *unit).iter().any(|(other, must)| *must && !ends[other]);
            prop_assert_eq!(told == 1, held, "{:?}", unit);
        }
        for (_, cause) in &course.skipped {
            prop_assert!(ran.contains(cause) && fails(cause), "the reason is a failure, not what was skipped itself");
        }
    }

    #[test]
    fn nothing_is_left_waiting(plan in plan(3)) {
        let course = carry_out(&plan);
        prop_assert_eq!(course.schedule.left().collect::<Vec<_>>(), []);
    }

    /// Each unit writes a number of its own, made from those of the units that it comes after.
    #[test]
    fn every_order_ends_in_the_same_state(plan in plan(0), other in prop::collection::vec(0..100_usize, 32)) {
        let state = |plan: &Plan| {
            let mut written: BTreeMap<Unit, u64> = BTreeMap::new();
            for (unit, _) in carry_out(plan).done {
                let read = before(plan, unit).iter().map(|(other, _)| written.get(other).copied().unwrap_or(0)).sum::<u64>();
                written.insert(unit, read.wrapping_mul(31) + (unit.node * 7 + unit.host) as u64 + 1);
            }
            written
        };
        prop_assert_eq!(state(&plan), state(&Plan { picks: other, ..plan.clone() }));
    }

    /// What has been said of units holds, also after more work has come in between.
    #[test]
    fn more_work_forgets_nothing(plan in plan(2), split in 1..8_usize) {
        let mut schedule = Schedule::new(plan.nodes.clone(), plan.edges.clone());
        let ready: Vec<Unit> = schedule.left().filter(|unit| schedule.ready(*unit, &BTreeSet::new())).collect();
        for unit in &ready {
            let fails = plan.failing.contains(&(unit.node, unit.host));
            schedule.finish(*unit, if fails { Err(*unit) } else { Ok(()) });
        }
        let split = split.min(plan.nodes.len() - 1);
        let moved = |node: usize| if node < split { node } else { node + 1 };
        let mut nodes = plan.nodes.clone();
        nodes.insert(split, Node { hosts: BTreeSet::from([0]), works: true });
        let edges = plan.edges.iter().map(|edge| Edge { from: moved(edge.from), to: moved(edge.to), ..edge.clone() }).collect();
        let was = |node: usize| match node {
            _ if node == split => None,
            _ if node > split => Some(node - 1),
            _ => Some(node),
        };
        let left: BTreeSet<Unit> = schedule.left().map(|unit| Unit { node: moved(unit.node), ..unit }).collect();
        let (renewed, _) = schedule.renewed(nodes, edges, &was);
        let now: BTreeSet<Unit> = renewed.left().filter(|unit| unit.node != split).collect();
        prop_assert_eq!(now, left);
        let failed: BTreeSet<Unit> = schedule.failed().map(|unit| Unit { node: moved(unit.node), ..unit }).collect();
        prop_assert_eq!(renewed.failed().collect::<BTreeSet<_>>(), failed);
    }

    #[test]
    fn sorting_heeds_every_edge_or_shows_a_circle(
        count in 1..12_usize,
        edges in prop::collection::vec((0..12_usize, 0..12_usize), 0..24),
    ) {
        let edges: Vec<(usize, usize)> = edges.into_iter().filter(|(a, b)| a.max(b) < &count).collect();
        match sort(count, &edges) {
            Ok(order) => {
                let place = |node: usize| order.iter().position(|other| *other == node);
                prop_assert_eq!(order.len(), count);
                prop_assert!(edges.iter().all(|(from, to)| place(*from) < place(*to)));
            }
            Err(circle) => {
                let ends: Vec<(usize, usize)> = circle.iter().map(|at| edges[*at]).collect();
                prop_assert!(!ends.is_empty());
                prop_assert_eq!(ends[0].0, ends[ends.len() - 1].1);
                prop_assert!(ends.windows(2).all(|pair| pair[0].1 == pair[1].0), "{ends:?}");
            }
        }
    }
}

#[test]
fn the_listed_order_stays_where_nothing_says_otherwise() {
    assert_eq!(sort(5, &[(3, 1)]).unwrap(), [0, 2, 3, 1, 4]);
}

#[test]
fn a_lost_host_takes_whoever_needs_it_along() {
    let both = BTreeSet::from([0, 1]);
    let node = |hosts: &BTreeSet<usize>| Node { hosts: hosts.clone(), works: true };
    let edge = |from: usize, to: usize, scope: Scope| Edge { from, to, scope, must: true };
    let nodes = vec![node(&both), node(&both), node(&both)];
    let edges = vec![edge(0, 1, Scope::Own), edge(1, 2, Scope::Hosts([0].into()))];
    let mut schedule = Schedule::new(nodes, edges);
    let news = schedule.lose(0);
    let unit = |node: usize, host: usize| Unit { node, host };
    assert_eq!(news.skipped, [(unit(2, 1), unit(1, 0))]);
    assert_eq!(schedule.left().collect::<Vec<_>>(), [unit(0, 1), unit(1, 1)]);
}

/// The end of a play and the beginning of the next have both: one on all hosts, whatever their end, and one on the same.
#[test]
fn of_two_edges_the_one_that_must_have_succeeded_counts() {
    let node = |works: bool| Node { hosts: BTreeSet::from([0]), works };
    let edge = |from: usize, to: usize, scope: Scope, must: bool| Edge { from, to, scope, must };
    let edges = vec![edge(0, 1, Scope::All, false), edge(0, 1, Scope::Own, true), edge(1, 2, Scope::Own, true)];
    let mut schedule = Schedule::new(vec![node(true), node(false), node(true)], edges);
    let unit = |node: usize| Unit { node, host: 0 };
    let news = schedule.finish(unit(0), Err(unit(0)));
    assert_eq!(news.skipped, [(unit(2), unit(0))]);
    assert_eq!(schedule.left().collect::<Vec<_>>(), []);
}
