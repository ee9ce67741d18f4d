//! Steps in a row are applied by one message where nobody can tell: how many messages, and that nobody can.

use trueup::report::summary::Verdict;
use trueup_tests::Case;

/// A line in a file of the host's own.
fn line(name: &str, more: &str) -> String {
    format!("- name: {name}\n  file_line: {{ path: \"{{{{ d }}}}/f\", line: {name}, create: true }}\n{more}")
}

fn lines(names: &str) -> String {
    names.split(' ').map(|name| line(name, "")).collect()
}

/// A task that fails on one host, and changes something on the others.
fn fails(host: &str, more: &str) -> String {
    let path = format!("{{{{ (inventory_hostname == '{host}') | ternary('/dev/null/no', d + '/g') }}}}");
    format!("- name: fails\n  file: {{ path: \"{path}\", state: touch }}\n{more}")
}

#[test]
fn rows_of_several_hosts_that_are_apart() {
    let case = Case::tasks(3, &lines("a b c d e")).apart();
    let first = case.apply();
    assert_eq!((first.verdict(), first.batches()), (Verdict::Changed, 3 * 2), "{}", first.told());
    assert_eq!(case.read("h2/f"), "a\nb\nc\nd\ne\n");
    assert_eq!(case.apply().batches(), 3);
}

#[test]
fn hosts_that_are_not_apart_go_in_lockstep_and_are_not_asked_in_between() {
    let case = Case::tasks(2, &lines("a b c d e"));
    let first = case.apply();
    // One to plan, one for each step, and one that finds nothing left.
    assert_eq!((first.verdict(), first.batches()), (Verdict::Changed, 2 * 6), "{}", first.told());
    assert_eq!(case.read("h2/f"), "a\nb\nc\nd\ne\n");
}

#[test]
fn several_take_the_same_file() {
    let copy = |dest: &str| format!("- copy: {{ src: long, dest: \"{{{{ d }}}}/{dest}\" }}\n");
    let all = format!("{}{}{}  loop: [c, d]\n", copy("a"), copy("b"), copy("{{ item }}"));
    let case = Case::tasks(1, &all).file("long", "content\n");
    let run = case.apply();
    assert_eq!((run.verdict(), run.batches()), (Verdict::Changed, 2), "{}", run.told());
    assert!(["a", "b", "c", "d"].iter().all(|name| case.read(&format!("h1/{name}")) == "content\n"));
}

#[test]
fn a_row_ends_behind_a_step_that_fails() {
    let case = Case::tasks(2, &[lines("a b"), fails("h1", ""), lines("c d")].concat()).apart();
    let run = case.apply_only();
    assert_eq!((case.read("h1/f").as_str(), case.read("h2/f").as_str()), ("a\nb\n", "a\nb\nc\nd\n"), "{}", run.told());
    let recap: Vec<_> = run.recap().iter().map(|(_, recap)| (recap.changed, recap.failed)).collect();
    assert_eq!(recap, [(2, 1), (5, 0)]);
}

#[test]
fn what_fails_and_is_ignored_or_rescued_goes_on() {
    let ignored = [line("a", ""), fails("h1", "  ignore_errors: true\n"), lines("b c")].concat();
    let case = Case::tasks(1, &ignored);
    let run = case.apply_only();
    assert_eq!(case.read("h1/f"), "a\nb\nc\n", "{}", run.told());
    let block = [fails("h1", ""), lines("no")].concat();
    let block: String = block.lines().map(|line| format!("    {line}\n")).collect();
    let rescued = format!(
        "{}- block:\n{block}  rescue:\n    - file: {{ path: \"{{{{ d }}}}/r\", state: touch }}\n{}",
        lines("a"),
        lines("b")
    );
    for hosts in [1, 2] {
        let case = Case::tasks(hosts, &rescued).apart();
        let run = case.apply_only();
        assert_eq!(case.read("h1/f"), "a\nb\n", "{}", run.told());
        assert!(case.path("h1/r").exists());
    }
}

#[test]
fn handlers_run_before_what_comes_after_their_flush() {
    let notify = "  notify: now\n";
    let play = |tasks: &str| {
        let tasks: String = tasks.lines().map(|line| format!("    {line}\n")).collect();
        let handler = "    - name: now\n      command: cp {{ d }}/f {{ d }}/seen\n";
        format!("- hosts: all\n  tasks:\n{tasks}  handlers:\n{handler}")
    };
    let tasks = [line("a", notify), line("b", ""), "- meta: flush_handlers\n".into(), line("c", "")].concat();
    for hosts in [1, 2] {
        let case = Case::new(hosts, &play(&tasks)).apart();
        let run = case.apply_only();
        assert_eq!(
            (case.read("h1/seen").as_str(), case.read("h1/f").as_str()),
            ("a\nb\n", "a\nb\nc\n"),
            "{}",
            run.told()
        );
    }
}

#[test]
fn a_failure_that_ends_the_play_for_all_ends_it_where_it_is() {
    for fatal in ["any_errors_fatal: true", "max_fail_percentage: 10"] {
        let tasks = [lines("a"), fails("h2", ""), lines("b c")].concat();
        let tasks: String = tasks.lines().map(|line| format!("    {line}\n")).collect();
        let case = Case::new(2, &format!("- hosts: all\n  {fatal}\n  tasks:\n{tasks}")).apart();
        let run = case.apply_only();
        assert_eq!(case.read("h1/f"), "a\n", "{fatal}:\n{}", run.told());
    }
}

#[test]
fn who_is_left_is_known_to_what_reads_it() {
    let count = "- name: count\n  file_line: { path: \"{{ d }}/f\", line: \"{{ ansible_play_hosts | length }}\", create: true }\n";
    let case = Case::tasks(2, &[lines("a"), fails("h2", ""), count.into()].concat()).apart();
    let run = case.apply_only();
    assert_eq!(case.read("h1/f"), "a\n1\n", "{}", run.told());
}

#[test]
fn a_play_that_one_host_ends_is_ended_for_all() {
    let end = "- meta: end_play\n  when: inventory_hostname == 'h1'\n";
    let case = Case::tasks(2, &[lines("a"), end.into(), lines("b")].concat()).apart();
    let run = case.apply_only();
    assert_eq!(case.read("h2/f"), "a\n", "{}", run.told());
}

#[test]
fn what_the_engine_judges_a_failure_ends_a_row() {
    let failed = line("b", "  failed_when: true\n");
    for hosts in [1, 2] {
        let case = Case::tasks(hosts, &[lines("a"), failed.clone(), lines("c")].concat()).apart();
        let run = case.apply_only();
        assert_eq!(case.read("h1/f"), "a\nb\n", "{}", run.told());
    }
}

#[test]
fn what_may_take_long_is_not_in_a_row() {
    let command = "- command: touch {{ d }}/x\n  args: { creates: \"{{ d }}/x\" }\n".to_owned();
    let case = Case::tasks(1, &[lines("a b"), command, lines("c d")].concat());
    let run = case.apply_only();
    // One to plan, one for the first two, one for the rest, which is planned with them and begins with the command.
    assert_eq!((run.verdict(), run.batches()), (Verdict::Changed, 3), "{}", run.told());
}
