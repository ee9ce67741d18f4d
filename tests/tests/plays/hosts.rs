//! Several hosts: their order, who acts for whom, and what they know of each other.

use insta::assert_snapshot;
use trueup::event::Event;
use trueup::report::summary::Verdict;
use trueup_tests::Case;

#[test]
fn run_once_is_registered_everywhere() {
    let case = Case::tasks(
        3,
        r#"
- name: Once
  command: echo {{ inventory_hostname }}
  register: once
  run_once: true
- name: Everywhere
  debug: { msg: "{{ once.stdout }}" }
"#,
    );
    assert_snapshot!(case.apply().told(), @r"
    h1 changed Once
    h1 ok Everywhere: h1
    h2 ok Everywhere: h1
    h3 ok Everywhere: h1
    ");
}

#[test]
fn another_host_acts() {
    let case = Case::tasks(
        2,
        r#"
- name: For me
  copy: { dest: "{{ hostvars.h1.d }}/for-{{ inventory_hostname }}", content: "{{ inventory_hostname }}" }
  delegate_to: h1
- name: Mine
  stat: { path: "{{ d }}/for-{{ inventory_hostname }}" }
  register: mine
- name: Whose
  debug: { msg: "{{ mine.stat.exists }}" }
- name: Registered
  set_fact: { mark: "{{ inventory_hostname }}!" }
- name: Of the other
  debug: { msg: "{{ hostvars.h1.mark }} {{ hostvars.h2.mark }}" }
"#,
    );
    assert_snapshot!(case.apply().told(), @r"
    h1 changed For me
    h2->h1 changed For me
    h1 ok Mine
    h2 ok Mine
    h1 ok Whose: true
    h2 ok Whose: false
    h1 ok Registered
    h2 ok Registered
    h1 ok Of the other: h1! h2!
    h2 ok Of the other: h1! h2!
    ");
}

#[test]
fn serial_batches_one_after_the_other() {
    let case = Case::new(
        3,
        r#"
- hosts: all
  serial: [ 1, 2 ]
  handlers:
    - name: Handler
      debug: { msg: "{{ ansible_play_batch | join(',') }}" }
  tasks:
    - name: Write
      copy: { dest: "{{ d }}/x", content: x }
      notify: Handler
    - name: Look
      debug: { msg: look }
"#,
    );
    assert_snapshot!(case.apply().told(), @r"
    h1 changed Write
    h1 ok Look: look
    h1 ok handler Handler: h1
    h2 changed Write
    h3 changed Write
    h2 ok Look: look
    h3 ok Look: look
    h2 ok handler Handler: h2,h3
    h3 ok handler Handler: h2,h3
    ");
}

#[test]
fn limit() {
    let case = Case::tasks(3, "- { name: Here, debug: { msg: here } }").limit("all:!h2");
    assert_snapshot!(case.apply().told(), @r"
    h1 ok Here: here
    h3 ok Here: here
    ");
}

#[test]
fn no_host_is_ahead_of_a_change() {
    let case = Case::tasks(
        3,
        r#"
- name: Join
  shell: "echo {{ inventory_hostname }} >> DIR/joined"
- name: Count
  command: wc -l DIR/joined
  register: count
  changed_when: false
- name: Counted
  debug: { msg: "{{ count.stdout.split()[0] }}" }
"#,
    );
    assert_snapshot!(case.apply().told(), @r"
    h1 changed Join
    h2 changed Join
    h3 changed Join
    h1 ok Count
    h2 ok Count
    h3 ok Count
    h1 ok Counted: 3
    h2 ok Counted: 3
    h3 ok Counted: 3
    ");
}

#[test]
fn an_agent_that_is_killed_is_a_host_that_is_lost() {
    let case = Case::tasks(
        2,
        r#"
- name: Kills its agent
  shell: kill -9 $PPID
  when: inventory_hostname == 'h1'
- name: After
  debug: { msg: x }
"#,
    );
    let run = case.apply();
    assert_snapshot!(run.told(), @r"
    h2 skipped Kills its agent: inventory_hostname == 'h1'
    h1 unreachable: the agent has ended (early eof)
    h2 ok After: x
    ");
    assert_eq!(run.verdict(), Verdict::Unreachable);
}

/// A standby's copy, from a source whose `psql` is a script that is refused.
const REFUSED: &str = r#"
- name: The role
  command: "true"
  when: inventory_hostname == 'h1' and pending
- name: The copy
  basebackup: { data_directory: DIR/data, primary_host: db1, user: rep, pg_bin: DIR/bin }
  when: inventory_hostname == 'h2'
"#;

fn refused(pending: bool) -> Case {
    use std::os::unix::fs::PermissionsExt;
    let psql = "#!/bin/sh\necho 'psql: error: FATAL:  password authentication failed for user \"rep\"' >&2\nexit 2\n";
    let case = Case::tasks(2, REFUSED).extra(&format!("{{pending: {pending}}}")).file("bin/psql", psql);
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(case.path("bin/psql"), executable).expect("our own file");
    case
}

#[test]
fn what_another_host_refuses_may_be_pending_there() {
    let run = refused(true).plan();
    assert_snapshot!(run.told(), @r"
    h1 would The role
    h2 skipped The role: inventory_hostname == 'h1' and pending
    h1 skipped The copy: inventory_hostname == 'h2'
    h2 unknown The copy: known after The role
    ");
    let copy = run.results().last().expect("there are results");
    let wanted = trueup_modules::edit::Shown::from("standby of db1:5432");
    assert!(copy.diffs.iter().any(|diff| diff.after == wanted), "{:?}", copy.diffs);
}

#[test]
fn what_another_host_refuses_fails_if_nothing_is_pending() {
    let run = refused(false).plan();
    assert_snapshot!(run.told(), @r#"
    h1 skipped The role: inventory_hostname == 'h1' and pending
    h2 skipped The role: inventory_hostname == 'h1' and pending
    h1 skipped The copy: inventory_hostname == 'h2'
    h2 failed The copy: db1:5432: it refuses to answer: psql: error: FATAL:  password authentication failed for user "rep"
    "#);
    assert!(run.results().all(|result| result.diffs.is_empty()));
}

#[test]
fn a_failure_that_is_everybodys_ends_the_play() {
    for keyword in ["any_errors_fatal: true", "run_once: true"] {
        let case = Case::new(
            2,
            &format!(
                r#"
- hosts: all
  tasks:
    - name: Fails
      fail: {{ msg: broken }}
      when: inventory_hostname == 'h1'
      {keyword}
    - name: Not any more
      debug: {{ msg: further }}
"#
            ),
        );
        let run = case.apply();
        assert!(run.told().contains("h1 failed Fails: broken"), "{keyword}: {}", run.told());
        assert!(!run.told().contains("Not any more"), "{keyword}: {}", run.told());
        assert_eq!(run.verdict(), Verdict::Failed, "{keyword}");
    }
}

#[test]
fn a_preview_of_what_another_host_does_or_one_does_for_all_changes_nothing() {
    let case = Case::tasks(
        2,
        r#"
- name: Once
  copy: { dest: "{{ d }}/once", content: x }
  run_once: true
- name: For me
  copy: { dest: "{{ hostvars.h2.d }}/for-{{ inventory_hostname }}", content: x }
  delegate_to: h2
- name: Until
  copy: { dest: "{{ d }}/until", content: x }
  register: done
  until: done is changed
"#,
    );
    assert_snapshot!(case.plan().told(), @r"
    h1 would Once
    h2 would For me
    h1->h2 would For me
    h1 would Until
    h2 would Until
    ");
    for path in ["h1/once", "h2/for-h1", "h2/for-h2", "h1/until", "h2/until"] {
        assert!(!case.path(path).exists(), "{path}");
    }
}

#[test]
fn what_no_other_host_can_mend_fails_also_in_a_preview() {
    let case = Case::tasks(
        2,
        r#"
- name: Pending
  command: "true"
  when: inventory_hostname == 'h1'
- name: Wrong
  sql_exec: { query: SELECT 1, unless: SELECT true, read_only: true }
  when: inventory_hostname == 'h2'
"#,
    );
    assert_snapshot!(case.plan().told(), @r"
    h1 would Pending
    h2 skipped Pending: inventory_hostname == 'h1'
    h1 skipped Wrong: inventory_hostname == 'h2'
    h2 failed Wrong: parameter `unless`: has no meaning for a query that only asks
    ");
}

#[test]
fn what_a_lost_host_was_to_do_once_another_does() {
    let case = Case::new(
        2,
        "- hosts: all\n  gather_facts: false\n  tasks:\n    - command: \"true\"\n      changed_when: false\n    - name: Once\n      command: \"true\"\n      run_once: true\n",
    )
    .file("hosts.ini", "h1 ansible_host=127.0.0.1 ansible_port=1\nh2 ansible_connection=local\n");
    let run = case.apply();
    let told = run.told();
    assert!(told.contains("h2 changed Once") && told.contains("h1 unreachable"), "{told}");
}

#[test]
fn plays_in_which_nothing_is_to_do_are_told_in_their_places() {
    let case = Case::new(
        1,
        "- { name: A, hosts: nobody }\n- { name: B, hosts: all, gather_facts: false }\n\
         - { name: C, hosts: all, gather_facts: false, tasks: [{ debug: }] }\n- { name: D, hosts: nobody }\n",
    );
    let told = |event: &Event| match event {
        Event::PlayStarted { play } => Some(play.clone()),
        Event::PlaySkipped { play } => Some(format!("not {play}")),
        Event::Result(_) => Some("result".into()),
        _ => None,
    };
    let plays: Vec<String> = case.apply().events.iter().filter_map(told).collect();
    assert_eq!(plays, ["not A", "B", "C", "result", "not D"]);
}

#[test]
fn a_preview_knows_what_another_host_does_here_before() {
    let case = Case::tasks(
        2,
        r#"
- name: Made by the other
  copy: { dest: "{{ hostvars.h2.d }}/made", content: "one\n" }
  delegate_to: h2
  when: inventory_hostname == 'h1'
- name: Own, behind it
  lineinfile: { path: "{{ d }}/made", line: two }
  when: inventory_hostname == 'h2'
- name: Made by whom a template names
  copy: { dest: "{{ hostvars[item].d }}/also", content: "one\n" }
  delegate_to: "{{ item }}"
  loop: [h2]
  when: inventory_hostname == 'h1'
- name: Own, behind that
  lineinfile: { path: "{{ d }}/also", line: two }
  when: inventory_hostname == 'h2'
"#,
    );
    let told = case.plan().told();
    let told: Vec<&str> = told.lines().filter(|line| !line.contains("skipped")).collect();
    assert_eq!(
        told,
        [
            "h1->h2 would Made by the other",
            "h2 would Own, behind it",
            "h1->h2 would Made by whom a template names (h2)",
            "h2 would Own, behind that",
        ]
    );
    assert!(!case.path("h2/made").exists());
    case.apply();
    assert_eq!(case.read("h2/also"), "one\ntwo\n");
}

/// Hosts of an inventory that says nothing of how they are reached.
fn bare(playbook: &str) -> Case {
    Case::new(0, playbook).file("hosts.ini", "h1\nh2 ansible_connection=local\n")
}

#[test]
fn a_play_and_a_task_say_how_their_host_is_reached() {
    let case = bare(
        r#"
- hosts: h1
  gather_facts: false
  connection: local
  remote_user: nobody-here
  port: 1
  tasks:
    - { name: By the play, command: echo x }
- hosts: h1
  gather_facts: false
  tasks:
    - { name: By the task, command: echo x, connection: "{{ way }}", vars: { way: local } }
    - { name: By a variable of the task, command: echo x, vars: { ansible_connection: local } }
    - block:
        - { name: By the block, command: echo x }
      connection: local
- hosts: h1
  gather_facts: false
  vars: { ansible_connection: local }
  tasks:
    - { name: A variable is stronger, command: echo x, connection: ssh }
"#,
    );
    assert_eq!(
        case.apply_only().told(),
        "h1 changed By the play\nh1 changed By the task\nh1 changed By a variable of the task\nh1 changed By the block\n\
         h1 changed A variable is stronger\n"
    );
}

#[test]
fn a_connection_that_there_is_not_and_a_way_to_become_that_there_is_not() {
    let case = bare("- hosts: h1\n  gather_facts: false\n  connection: carrier pigeon\n  tasks: [ping: ]\n");
    assert!(case.apply_only().json().contains("there is no connection `carrier pigeon` (ssh, local)"));
    let case = bare("- hosts: h2\n  gather_facts: false\n  become: true\n  become_method: runas\n  tasks: [ping: ]\n");
    let told = case.apply_only().told();
    assert!(
        told.contains("there is no way to become another user by `runas` (`become_method`): only sudo, su and doas"),
        "{told}"
    );
}

#[test]
fn a_variable_that_forbids_to_become_another_user_is_stronger_than_the_keyword() {
    let case = bare(
        r#"
- hosts: h2
  gather_facts: false
  become: true
  become_user: nobody-here
  vars: { ansible_become: false }
  tasks:
    - { name: As oneself, command: echo x }
"#,
    );
    assert_eq!(case.apply_only().told(), "h2 changed As oneself\n");
}

#[test]
fn a_play_names_the_port_and_a_variable_of_the_host_is_stronger() {
    let port = |inventory: &str| {
        let play = "- hosts: h1\n  gather_facts: false\n  port: 1\n  tasks: [ping: ]\n";
        let case = Case::new(0, play).file("hosts.ini", inventory);
        case.apply_only().json()
    };
    let told = port("h1 ansible_host=127.0.0.1\n");
    assert!(told.contains("127.0.0.1:1: "), "{told}");
    let told = port("h1 ansible_host=127.0.0.1 ansible_port=2\n");
    assert!(told.contains("127.0.0.1:2: "), "{told}");
}
