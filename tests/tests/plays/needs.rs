//! `strategy: graph` on random programs: each task writes down what all that it comes after has written. Whatever the order
//! that hosts and tasks happened to take, the files must be those that the needs say, and no others.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use proptest::prelude::*;
use trueup_tests::Case;

/// A task of the one play.
#[derive(Clone, Debug)]
struct Task {
    /// What it needs: tasks by their place in the list, on a host or, without, on the same. Without needs, all listed before.
    needs: Option<Vec<(usize, Option<usize>)>>,
    /// The host that it fails on.
    fails_on: Option<usize>,
    /// A mutex that it holds.
    mutex: bool,
}

fn program() -> impl Strategy<Value = (usize, Vec<Task>)> {
    let drawn = (1..=3_usize, 2..=7_usize).prop_flat_map(|(hosts, count)| {
        let need = (0..count, prop::option::of(1..=hosts));
        let task = (
            prop::option::weighted(0.7, prop::collection::vec(need, 0..4)),
            prop::option::weighted(0.1, 1..=hosts),
            any::<bool>(),
        );
        let task = task.prop_map(|(needs, fails_on, mutex)| Task { needs, fails_on, mutex });
        let ranks = prop::collection::vec(any::<u32>(), count);
        (Just(hosts), prop::collection::vec(task, count), ranks, prop::bool::weighted(0.1))
    });
    drawn.prop_map(|(hosts, tasks, ranks, wild)| (hosts, if wild { tasks } else { possible(tasks, &ranks) }))
}

/// The same without circles: each needs only what is of a lower rank, wherever that is listed.
fn possible(mut tasks: Vec<Task>, ranks: &[u32]) -> Vec<Task> {
    let lower = |at: usize, other: usize| (ranks[other], other) < (ranks[at], at);
    for (at, task) in tasks.iter_mut().enumerate() {
        match &mut task.needs {
            Some(needs) => needs.retain(|(other, _)| lower(at, *other)),
            None if (0..at).all(|other| lower(at, other)) => {}
            None => task.needs = Some(Vec::new()),
        }
    }
    tasks
}

/// What a task comes after: tasks on hosts, none meaning the same.
fn before(tasks: &[Task], at: usize) -> Vec<(usize, Option<usize>)> {
    tasks[at].needs.clone().unwrap_or_else(|| (0..at).map(|other| (other, None)).collect())
}

/// Whether anything comes after itself.
fn is_circular(tasks: &[Task]) -> bool {
    let mut done = vec![false; tasks.len()];
    for _ in tasks {
        for at in 0..tasks.len() {
            done[at] |= before(tasks, at).iter().all(|(other, _)| done[*other]);
        }
    }
    done.contains(&false)
}

fn playbook(tasks: &[Task]) -> String {
    let mut text = "- hosts: all\n  gather_facts: false\n  strategy: graph\n  tasks:\n".to_owned();
    for (at, task) in tasks.iter().enumerate() {
        let files: Vec<String> = before(tasks, at)
            .iter()
            .map(|(other, host)| match host {
                Some(host) => format!("DIR/h{host}/T{other}"),
                None => format!("{{{{ d }}}}/T{other}"),
            })
            .collect();
        let own = format!("{{{{ d }}}}/T{at}");
        let _ = writeln!(text, "    - name: T{at}");
        let fails =
            task.fails_on.map_or(String::new(), |host| format!("test {{{{ inventory_hostname }}}} != h{host} && "));
        // Written whole, so that nobody reads half of it.
        let write =
            format!("cat /dev/null {} >{own}.new && echo T{at} >>{own}.new && mv {own}.new {own}", files.join(" "));
        let _ = writeln!(text, "      shell: {{ cmd: \"{fails}{write}\", creates: \"{own}\" }}");
        if let Some(needs) = &task.needs {
            let need = |(other, host): &(usize, Option<usize>)| match host {
                Some(host) => format!("{{ task: T{other}, hosts: h{host} }}"),
                None => format!("T{other}"),
            };
            let _ = writeln!(text, "      needs: [{}]", needs.iter().map(need).collect::<Vec<_>>().join(", "));
        }
        if task.mutex {
            text += "      mutex: one\n";
        }
    }
    text
}

/// What each task leaves on each host; nothing if it fails or is not run.
fn expected(hosts: usize, tasks: &[Task]) -> BTreeMap<(usize, usize), Option<String>> {
    let mut left: BTreeMap<(usize, usize), Option<String>> = BTreeMap::new();
    while left.len() < hosts * tasks.len() {
        for (at, host) in (0..tasks.len()).flat_map(|at| (1..=hosts).map(move |host| (at, host))) {
            let needed: Vec<(usize, usize)> =
                before(tasks, at).iter().map(|(other, on)| (*other, on.unwrap_or(host))).collect();
            if let Some(read) = needed.iter().map(|unit| left.get(unit).cloned()).collect::<Option<Vec<_>>>() {
                let runs = tasks[at].fails_on != Some(host);
                let read = read.into_iter().collect::<Option<String>>().filter(|_| runs);
                left.insert((at, host), read.map(|read| format!("{read}T{at}\n")));
            }
        }
    }
    left
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_run_ends_as_the_needs_say((hosts, tasks) in program()) {
        let case = Case::new(hosts, &playbook(&tasks));
        if is_circular(&tasks) {
            let told = case.diagnostics();
            prop_assert!(told.contains("wait for each other") || told.contains("needs itself"), "{told}");
            return Ok(());
        }
        prop_assert_eq!(case.diagnostics(), "");
        let run = case.apply_only();
        let mut failures = 0;
        for ((at, host), text) in expected(hosts, &tasks) {
            let path = format!("h{host}/T{at}");
            match text {
                Some(text) => prop_assert_eq!(case.read(&path), text, "{}", run.told()),
                None => prop_assert!(!case.path(&path).exists(), "{path}:\n{}", run.told()),
            }
            let told = run.results().filter(|result| result.host == format!("h{host}") && result.task.name == format!("T{at}"));
            failures += told.filter(|result| matches!(result.status, trueup::event::Status::Failed { .. })).count();
        }
        // No more than those that fail by themselves.
        let own = tasks.iter().filter(|task| task.fails_on.is_some()).count();
        prop_assert!(failures <= own, "{}", run.told());
        if own == 0 {
            let again = case.apply_only();
            prop_assert!(again.results().all(|result| matches!(result.status, trueup::event::Status::Ok)), "{}", again.told());
        }
    }
}
