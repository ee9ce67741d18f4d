//! The speculative strategy is linear: whatever the program, it leaves behind, and tells, what a run does in which no host
//! begins a task before all hosts have finished the one before. That run is made here of one run for each task.
//!
//! Hosts write their own files, files that others read in the next task, and each other's (`delegate_to`).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use proptest::prelude::*;
use trueup::event::Status;
use trueup_tests::{Case, Run};

/// A task; numbers pick hosts, files and lines.
#[derive(Clone, Debug)]
enum Op {
    /// Every host adds a line to a file of its own.
    Own { file: usize, line: usize },
    /// One host adds a line to a file that all read.
    Shared { writer: usize, file: usize, line: usize },
    /// One host has another add a line to the other's file.
    Delegated { from: usize, to: usize, file: usize, line: usize },
    /// Every host takes a copy of a shared file, which need not be there.
    Take { file: usize, into: usize },
    /// Every host removes a file of its own.
    Remove { file: usize },
    /// Every host notes, by a command, what is in a shared file; only once.
    Note { file: usize, into: usize },
    /// Every host writes several of its files in a loop.
    Loop { line: usize },
    /// It fails on one host.
    Fail { host: usize, line: usize },
}

/// Few, so that tasks meet.
const FILES: usize = 1;

fn op(hosts: usize) -> impl Strategy<Value = Op> {
    let (host, file, line) = (1..=hosts, 0..FILES, 0..3_usize);
    prop_oneof![
        1 => (file.clone(), line.clone()).prop_map(|(file, line)| Op::Own { file, line }),
        4 => (host.clone(), file.clone(), line.clone()).prop_map(|(writer, file, line)| Op::Shared { writer, file, line }),
        2 => (host.clone(), host, file.clone(), line.clone()).prop_map(|(from, to, file, line)| Op::Delegated {
            from,
            to,
            file,
            line
        }),
        4 => (file.clone(), file.clone()).prop_map(|(file, into)| Op::Take { file, into }),
        1 => file.clone().prop_map(|file| Op::Remove { file }),
        1 => (file.clone(), file).prop_map(|(file, into)| Op::Note { file, into }),
        1 => line.prop_map(|line| Op::Loop { line }),
    ]
}

/// What nobody sees of another.
fn own(hosts: usize) -> impl Strategy<Value = Op> {
    let (file, line) = (0..FILES, 0..3_usize);
    prop_oneof![
        3 => (file.clone(), line.clone()).prop_map(|(file, line)| Op::Own { file, line }),
        1 => file.prop_map(|file| Op::Remove { file }),
        1 => line.clone().prop_map(|line| Op::Loop { line }),
        1 => (1..=hosts, line).prop_map(|(host, line)| Op::Fail { host, line }),
    ]
}

fn program_apart() -> impl Strategy<Value = (usize, Vec<Op>)> {
    (1..=3_usize).prop_flat_map(|hosts| (Just(hosts), prop::collection::vec(own(hosts), 2..10)))
}

fn program() -> impl Strategy<Value = (usize, Vec<Op>)> {
    (1..=3_usize).prop_flat_map(|hosts| (Just(hosts), prop::collection::vec(op(hosts), 2..10)))
}

/// The task, as it stands below `tasks:`.
fn task(number: usize, op: &Op) -> String {
    let mut text = format!("- name: T{number}\n  ignore_errors: true\n");
    let line = |path: String, line: usize| {
        format!("  file_line: {{ path: \"{path}\", line: \"line {line}\", create: true }}\n")
    };
    match op {
        Op::Own { file, line: n } => text += &line(format!("{{{{ d }}}}/f{file}"), *n),
        Op::Shared { writer, file, line: n } => {
            text += &line(format!("DIR/shared/f{file}"), *n);
            let _ = writeln!(text, "  when: inventory_hostname == 'h{writer}'");
        }
        Op::Delegated { from, to, file, line: n } => {
            text += &line(format!("DIR/h{to}/f{file}"), *n);
            let _ = writeln!(text, "  when: inventory_hostname == 'h{from}'\n  delegate_to: h{to}");
        }
        Op::Take { file, into } => {
            let _ = writeln!(
                text,
                "  copy: {{ src: DIR/shared/f{file}, dest: \"{{{{ d }}}}/f{into}\", remote_src: true }}"
            );
        }
        Op::Remove { file } => {
            let _ = writeln!(text, "  file: {{ path: \"{{{{ d }}}}/f{file}\", state: absent }}");
        }
        Op::Note { file, into } => {
            let note = format!("cat DIR/shared/f{file} >{{{{ d }}}}/n{into}");
            let _ = writeln!(text, "  shell: {{ cmd: \"{note}\", creates: \"{{{{ d }}}}/n{into}\" }}");
        }
        Op::Loop { line: n } => {
            text += &line("{{ d }}/f{{ item }}".into(), *n);
            text += "  loop: [0, 1]\n";
        }
        Op::Fail { host, line: n } => {
            text += &line(format!("{{{{ '/dev/null' if inventory_hostname == 'h{host}' else d }}}}/f0"), *n);
        }
    }
    text
}

/// How each task ended on each host, by item.
fn told(run: &Run) -> BTreeMap<(String, String, Option<String>), &'static str> {
    let word = |status: &Status| match status {
        Status::Ok => "ok",
        Status::Changed => "changed",
        Status::Skipped { .. } => "skipped",
        Status::Failed { .. } => "failed",
        Status::Would | Status::Unknown(_) | Status::Unreachable { .. } => "not done",
    };
    run.results()
        .map(|result| ((result.task.name.clone(), result.host.clone(), result.item.clone()), word(&result.status)))
        .collect()
}

/// The files of all hosts, and the shared ones.
fn left(case: &Case, hosts: usize) -> BTreeMap<String, String> {
    let dirs = (1..=hosts).map(|host| format!("h{host}")).chain(["shared".into()]);
    let names = || (0..FILES).flat_map(|n| [format!("f{n}"), format!("n{n}")]);
    let paths = dirs.flat_map(|dir| names().map(move |name| format!("{dir}/{name}")));
    paths.filter(|path| Path::exists(&case.path(path))).map(|path| (path.clone(), case.read(&path))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn speculation_is_linear((hosts, ops) in program()) {
        let case = |tasks: &str| Case::tasks(hosts, tasks).file("shared/f0", "line 0\n");
        agree(hosts, &ops, case)?;
    }

    #[test]
    fn rows_of_hosts_that_are_apart_are_linear((hosts, ops) in program_apart()) {
        agree(hosts, &ops, |tasks| Case::tasks(hosts, tasks).apart())?;
    }
}

/// All at once is as one by one.
fn agree(hosts: usize, ops: &[Op], case: impl Fn(&str) -> Case) -> Result<(), TestCaseError> {
    let tasks: Vec<String> = ops.iter().enumerate().map(|(number, op)| task(number, op)).collect();
    let at_once = case(&tasks.concat());
    let outcome = at_once.apply_only();

    let mut one_by_one = case("[]\n");
    let mut expected = BTreeMap::new();
    for task in &tasks {
        one_by_one = one_by_one.then(task);
        expected.extend(told(&one_by_one.apply_only()));
    }
    prop_assert_eq!(left(&at_once, hosts), left(&one_by_one, hosts));
    prop_assert_eq!(told(&outcome), expected);
    Ok(())
}

#[test]
fn what_one_host_changes_another_sees_in_the_next_task() {
    let ops =
        [Op::Take { file: 0, into: 0 }, Op::Shared { writer: 1, file: 0, line: 1 }, Op::Take { file: 0, into: 0 }];
    let tasks: Vec<String> = ops.iter().enumerate().map(|(number, op)| task(number, op)).collect();
    let case = Case::tasks(2, &tasks.concat()).file("shared/f0", "line 0\n");
    let run = case.apply_only();
    assert_eq!(case.read("h2/f0"), "line 0\nline 1\n", "{}", run.told());
}
