//! What a run owes its user: the second changes nothing, the preview told the truth, and batching shows in nothing but
//! the number of round trips.

use std::collections::BTreeMap;
use std::path::Path;

use insta::assert_snapshot;
use trueup::event::Status;
use trueup::report::summary::Verdict;
use trueup_tests::{Case, Run};

const FILES: &str = r#"
- hosts: all
  vars: { port: 5432 }
  tasks:
    - name: Directory
      file: { path: "{{ d }}/etc/app", state: directory, mode: "0750" }
    - name: Copy
      copy: { dest: "{{ d }}/etc/app/motd", content: "hello {{ inventory_hostname }}\n", mode: "0644" }
    - name: Template
      template: { src: app.j2, dest: "{{ d }}/etc/app/app.conf", mode: "0640" }
    - name: Line
      file_line: { path: "{{ d }}/lines", regexp: "^port", line: "port = {{ port + 1 }}" }
    - name: Link
      file: { path: "{{ d }}/current", src: etc/app, state: link }
    - name: Mode
      file: { path: "{{ d }}/lines", mode: "0600" }
    - name: Gone
      file: { path: "{{ d }}/old", state: absent }
"#;

fn files(hosts: usize) -> Case {
    let case = Case::new(hosts, FILES).file("app.j2", "host = {{ inventory_hostname }}\nother = 1\n");
    (1..=hosts).fold(case, |case, host| {
        case.file(&format!("h{host}/old"), "old\n").file(&format!("h{host}/lines"), "a = 1\nport = 1\n")
    })
}

#[test]
fn the_second_run_costs_one_round_trip_per_host() {
    let case = files(3);
    assert_eq!(case.apply().verdict(), Verdict::Changed);
    let second = case.apply();
    assert_eq!((second.verdict(), second.batches()), (Verdict::Ok, 3));
    assert!(second.results().all(|result| result.status == Status::Ok && result.diffs.is_empty()));
}

#[test]
fn changes_in_a_row_cost_one_round_trip() {
    // One to plan, then one for all seven.
    let case = files(1);
    let first = case.apply();
    assert_eq!((first.verdict(), first.batches()), (Verdict::Changed, 1 + 1));
}

#[test]
fn a_long_file_arrives_and_does_not_travel_again() {
    let tasks = "- copy: { src: long, dest: \"{{ d }}/long\", mode: \"0600\" }\n";
    let long = "0123456789abcdef".repeat(100_000);
    let case = Case::tasks(1, tasks).file("long", &long);
    let first = case.apply();
    assert_eq!((first.verdict(), first.batches()), (Verdict::Changed, 2));
    assert!(case.read("h1/long") == long);
    assert_eq!(case.apply().verdict(), Verdict::Ok);
    let changed = long.replace("abc", "cba");
    let case = case.file("long", &changed);
    assert_eq!(case.apply().verdict(), Verdict::Changed);
    assert!(case.read("h1/long") == changed);
    assert_eq!(case.apply().verdict(), Verdict::Ok);
}

fn diffs(run: &Run) -> BTreeMap<(String, String), String> {
    let each = run.results().map(|result| {
        let diffs = serde_json::to_string_pretty(&result.diffs).expect("diffs are data");
        ((result.host.clone(), result.task.name.clone()), diffs)
    });
    each.collect()
}

#[test]
fn the_preview_shows_what_is_then_done() {
    let case = files(2);
    let plan = case.plan();
    assert!(!case.path("h1/etc").exists(), "a preview changes nothing");
    assert_eq!(diffs(&plan), diffs(&case.apply()));
    assert_eq!(plan.verdict(), Verdict::Changed);
    assert_eq!(case.plan().verdict(), Verdict::Ok);
}

#[test]
fn a_preview_does_not_guess() {
    let case = Case::tasks(
        1,
        r#"
- name: Ask
  command: echo out
  register: asked
- name: Depends on it
  debug: { msg: "{{ asked.stdout }}" }
- name: On a condition
  copy: { dest: "{{ d }}/x", content: x }
  when: asked.rc == 0
- name: Does not depend
  debug: { msg: known }
- name: Never changed, fails by its output
  command: echo out
  register: looked
  changed_when: false
  failed_when: looked.stdout != 'out'
- name: Held off anyway
  debug: { msg: never }
  when: [ "false", "asked.rc == 0" ]
"#,
    );
    assert_snapshot!(case.plan().told(), @r"
    h1 would Ask
    h1 unknown Depends on it: known after Ask
    h1 unknown On a condition: known after Ask
    h1 ok Does not depend: known
    h1 ok Never changed, fails by its output
    h1 skipped Held off anyway: false
    ");
}

/// Numbers that look random and are the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// Tasks that read and write a few paths: each host's own, and one that `h1` writes and all read.
fn program(numbers: &mut Numbers) -> Vec<String> {
    let mut task = |n: usize| {
        let shared = numbers.below(3) == 0;
        let path = if shared { "DIR/shared/c" } else { "{{ d }}/a" };
        let (task, reads) = match numbers.below(7) {
            0 | 1 => (format!("copy: {{ dest: '{path}', content: 'v{} ' }}", numbers.below(2)), false),
            2 => (format!("file: {{ path: '{path}', state: absent }}"), false),
            3 => (format!("file: {{ path: '{path}', state: touch }}"), false),
            4 => (format!("shell: 'printf \"%s \" {n}{{{{ inventory_hostname }}}} >> {path}'"), false),
            5 => (format!("shell: 'cat {path} >> {{{{ d }}}}/log 2>/dev/null || true'"), true),
            _ => (format!("command: cp {path} {{{{ d }}}}/copy\n  ignore_errors: true"), true),
        };
        let only = match (shared && !reads, numbers.below(3)) {
            (true, _) => "\n  when: inventory_hostname == 'h1'",
            (false, 0) => "\n  when: inventory_hostname != 'h2'",
            (false, _) => "",
        };
        format!("- name: T{n}\n  {task}{only}")
    };
    (0..8).map(&mut task).collect()
}

/// The files below a directory, with their contents.
fn tree(dir: &Path, found: &mut BTreeMap<String, String>, top: &Path) {
    for entry in std::fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() {
            tree(&entry, found, top);
        } else {
            let text = std::fs::read_to_string(&entry).expect("text");
            found.insert(entry.strip_prefix(top).expect("below").display().to_string(), text);
        }
    }
}

fn trees(case: &Case) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for name in ["h1", "h2", "h3", "shared"] {
        tree(&case.path(name), &mut found, &case.path(""));
    }
    found
}

#[test]
fn batching_does_not_show() {
    for seed in 0..12 {
        let tasks = program(&mut Numbers(seed));
        let shared = |tasks: &str| Case::tasks(3, tasks).file("shared/c", "c");
        let whole = shared(&tasks.join("\n"));
        let run = whole.apply();
        assert!(
            run.results().all(|result| !matches!(result.status, Status::Failed { ignored: false, .. })),
            "{}",
            run.told()
        );
        // One task a run is a linear run by any definition.
        let one_by_one = tasks.iter().fold(shared("[]"), |case, task| {
            let case = case.then(task);
            case.apply();
            case
        });
        assert_eq!(trees(&whole), trees(&one_by_one), "seed {seed}:\n{}\n{}", tasks.join("\n"), run.told());
    }
}

#[test]
fn paths_begin_in_the_home_of_the_user_that_the_task_runs_as() {
    let case = Case::tasks(
        1,
        r#"
- copy: { content: x, dest: "$D/a" }
  environment: { D: "{{ d }}" }
- stat: { path: "~/." }
  register: home
- find: { paths: ["~"], patterns: nothing-of-that-name }
- command: pwd
  args: { chdir: "~" }
  register: here
  changed_when: false
- assert:
    that:
      - home.stat.isdir
      - here.stdout == lookup('env', 'HOME')
"#,
    );
    assert_snapshot!(case.apply().told(), @r"
    h1 changed copy
    h1 ok stat
    h1 ok find
    h1 ok command
    h1 ok assert
    ");
    assert_eq!(case.read("h1/a"), "x");
}
