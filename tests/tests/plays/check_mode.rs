//! `check_mode` of a task, in a preview and out of it.

use insta::assert_snapshot;
use trueup::event::Status;
use trueup_tests::Case;

const LOOKS: &str = r#"
- copy: { dest: "{{ d }}/never", content: x }
  name: Never written
  check_mode: true
- copy: { dest: "{{ d }}/never", content: x }
  name: Not written by it
  check_mode: true
- command: cat {{ d }}/there
  name: Really run
  check_mode: false
  changed_when: false
  register: out
- debug: { msg: "{{ out.stdout }}" }
  name: Known in a preview
- copy: { dest: "{{ d }}/now", content: x }
  name: Really written
  check_mode: false
- copy: { dest: "{{ d }}/later", content: x }
  name: Written later
"#;

#[test]
fn a_preview_runs_what_is_to_run_all_the_same() {
    let case = Case::tasks(1, LOOKS).file("h1/there", "text");
    let plan = case.plan();
    assert_snapshot!(plan.told(), @r"
    h1 would Never written
    h1 would Not written by it
    h1 ok Really run
    h1 ok Known in a preview: text
    h1 changed Really written
    h1 would Written later
    ");
    let marked = plan.results().filter(|result| !result.warnings.is_empty());
    let marked: Vec<_> = marked.map(|result| (result.task.name.as_str(), result.warnings[0].as_str())).collect();
    let told = "it ran, though this is a preview (`check_mode: false`)";
    assert_eq!(marked, [("Really run", told), ("Really written", told)]);
    assert_eq!(plan.recap()[0].1.ran, 2);
    assert_eq!(case.read("h1/now"), "x");
    assert!(!case.path("h1/never").exists() && !case.path("h1/later").exists());
}

#[test]
fn a_run_does_not_do_what_is_only_to_be_looked_at() {
    let case = Case::tasks(1, LOOKS).file("h1/there", "text");
    let apply = case.apply_only();
    assert_snapshot!(apply.told(), @r"
    h1 changed Never written
    h1 changed Not written by it
    h1 ok Really run
    h1 ok Known in a preview: text
    h1 changed Really written
    h1 changed Written later
    ");
    assert!(case.path("h1/later").exists() && !case.path("h1/never").exists());
    assert_eq!(apply.recap()[0].1.ran, 0);
    let again = case.apply_only();
    let first = again.results().next().map(|result| result.status.clone());
    assert_eq!(first, Some(Status::Changed), "it would still be written");
}

#[test]
fn a_run_that_changes_nothing_is_one_round_trip_for_all_that() {
    let task = "- copy: { dest: \"{{ d }}/f\", content: x }\n  check_mode: true\n";
    let case = Case::tasks(1, &format!("{task}{task}- stat: {{ path: / }}\n"));
    assert_eq!(case.apply().batches(), 1);
}

#[test]
fn facts_that_are_not_known_yet_are_not_undefined() {
    let case = Case::tasks(
        1,
        r#"
- command: echo root
  register: name
- getent: { database: passwd, key: "{{ name.stdout }}" }
- set_fact: { "word": "{{ item }}" }
  loop: "{{ name.stdout_lines }}"
- debug: { msg: "{{ getent_passwd.root[4] }} {{ ansible_facts.getent_passwd.root[4] }} {{ word }}" }
"#,
    );
    assert_snapshot!(case.plan().told(), @r"
    h1 ok Gather facts
    h1 would command
    h1 unknown getent: known after command
    h1 unknown set_fact: known after command
    h1 unknown debug: known after getent
    ");
    assert_snapshot!(case.apply().told(), @r"
    h1 ok Gather facts
    h1 changed command
    h1 ok getent
    h1 ok set_fact (root)
    h1 ok debug: /root /root root
    ");
}

/// Programs of this machine begin where each playbook is; yet in a preview there is one agent, which remembers.
#[test]
fn a_preview_remembers_playbooks_of_other_directories() {
    let first = "- hosts: all\n  gather_facts: false\n  tasks:\n    - copy: { dest: \"{{ d }}/f\", content: x }\n      name: Write\n";
    let more = "- hosts: all\n  gather_facts: false\n  tasks:\n    - copy: { dest: \"{{ d }}/f\", content: x }\n      name: Written\n";
    let case = Case::new(1, &format!("{first}- import_playbook: below/more.yml\n")).file("below/more.yml", more);
    assert_snapshot!(case.plan().told(), @r"
    h1 would Write
    h1 ok Written
    ");
}
