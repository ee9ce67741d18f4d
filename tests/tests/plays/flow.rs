//! Which tasks run: conditions, loops, blocks, handlers, tags, retries, and what becomes of failures.

use insta::assert_snapshot;
use trueup::report::summary::Verdict;
use trueup_tests::Case;

#[test]
fn when() {
    let case = Case::tasks(
        1,
        r#"
- debug: { msg: runs }
  name: Holds
  when: [ "d is defined", "1 < 2" ]
- debug: { msg: never }
  name: Second is false
  when: [ "d is defined", "d == 'x'" ]
- command: echo out
  name: Ask
  register: asked
- debug: { msg: "{{ asked.stdout }}" }
  name: On a result
  when: asked.rc == 0 and asked is changed
- debug: { msg: never }
  name: Not on it
  when: asked is failed
  register: skipped
- debug: { msg: "{{ skipped is skipped }} {{ skipped.false_condition }}" }
  name: Skipped is registered
"#,
    );
    assert_snapshot!(case.apply().told(), @r"
    h1 ok Holds: runs
    h1 skipped Second is false: d == 'x'
    h1 changed Ask
    h1 ok On a result: out
    h1 skipped Not on it: asked is failed
    h1 ok Skipped is registered: True asked is failed
    ");
}

#[test]
fn loops() {
    let case = Case::tasks(
        1,
        r#"
- copy: { dest: "{{ d }}/{{ item }}", content: "{{ item }}" }
  name: Write
  loop: [a, b]
  register: written
- debug: { msg: "{{ written.results | map(attribute='item') | join(',') }} {{ written is changed }}" }
  name: Results
- debug: { msg: "{{ index }} {{ user.name }}" }
  name: Named
  loop: [ { name: ann, id: 1 }, { name: bob, id: 2 } ]
  loop_control: { loop_var: user, index_var: index, label: "{{ user.name }}" }
  when: user.id > 1
  register: named
- debug: { msg: "{{ named.results[1].user.name }} {{ named.results[0] is skipped }}" }
  name: Under the variable's name
- debug: { msg: "{{ item.key }}={{ item.value }}" }
  name: Dict
  loop: "{{ {'x': 1} | dict2items }}"
- debug: { msg: "{{ item }}" }
  name: Nothing
  loop: []
- debug: { msg: "{{ item }}" }
  name: Old style
  with_items: [ [1, 2], 3 ]
"#,
    );
    let run = case.apply();
    assert_snapshot!(run.told(), @r#"
    h1 changed Write (a)
    h1 changed Write (b)
    h1 ok Results: a,b True
    h1 skipped Named (ann): user.id > 1
    h1 ok Named (bob): 1 bob
    h1 ok Under the variable's name: bob True
    h1 ok Dict ({"key":"x","value":1}): x=1
    h1 skipped Nothing: No items in the list
    h1 ok Old style (1): 1
    h1 ok Old style (2): 2
    h1 ok Old style (3): 3
    "#);
    let recap = run.recap()[0].1;
    assert_eq!((recap.ok, recap.changed, recap.skipped), (6, 1, 1), "a task counts once, however many items it has");
}

const HANDLERS: &str = r#"
- name: Handlers
  hosts: all
  handlers:
    - name: First
      debug: { msg: first }
    - name: Second
      debug: { msg: second }
      listen: topic
    - name: Never
      debug: { msg: never }
  tasks:
    - name: Unchanged
      file: { path: "{{ d }}", state: directory }
      notify: Never
    - name: One
      copy: { dest: "{{ d }}/one", content: one }
      notify: [ Second, First ]
    - name: Two
      copy: { dest: "{{ d }}/two", content: two }
      notify: topic
    - name: After
      debug: { msg: before handlers }
"#;

#[test]
fn handlers_run_once_in_their_own_order_and_only_after_a_change() {
    let case = Case::new(1, HANDLERS);
    assert_snapshot!(case.apply().told(), @r"
    h1 ok Unchanged
    h1 changed One
    h1 changed Two
    h1 ok After: before handlers
    h1 ok handler First: first
    h1 ok handler Second: second
    ");
    assert_snapshot!(case.apply().told(), @r"
    h1 ok Unchanged
    h1 ok One
    h1 ok Two
    h1 ok After: before handlers
    ");
}

#[test]
fn flush_handlers() {
    let case = Case::new(
        1,
        r#"
- hosts: all
  handlers:
    - name: Restart
      debug: { msg: restarted }
  tasks:
    - name: One
      copy: { dest: "{{ d }}/one", content: one }
      notify: Restart
    - meta: flush_handlers
    - name: Between
      debug: { msg: between }
    - name: Two
      copy: { dest: "{{ d }}/two", content: two }
      notify: Restart
    - name: Last
      debug: { msg: last }
"#,
    );
    assert_snapshot!(case.apply().told(), @r"
    h1 changed One
    h1 ok handler Restart: restarted
    h1 ok Between: between
    h1 changed Two
    h1 ok Last: last
    h1 ok handler Restart: restarted
    ");
}

#[test]
fn a_preview_shows_handlers_that_would_run() {
    assert_snapshot!(Case::new(1, HANDLERS).plan().told(), @r"
    h1 ok Unchanged
    h1 would One
    h1 would Two
    h1 ok After: before handlers
    h1 ok handler First: first
    h1 ok handler Second: second
    ");
}

#[test]
fn blocks() {
    let case = Case::tasks(
        1,
        r#"
- block:
    - name: Fails
      command: "false"
    - name: Not reached
      debug: { msg: never }
  rescue:
    - name: Rescue
      debug: { msg: rescued }
  always:
    - name: Always
      debug: { msg: always }
- block:
    - block:
        - name: Inner fails
          fail: { msg: inner }
      rescue:
        - name: Rescue fails
          fail: { msg: outer }
      always:
        - name: Inner always
          debug: { msg: always }
  rescue:
    - name: Outer rescue
      debug: { msg: rescued }
- name: Goes on
  debug: { msg: further }
- block:
    - name: Held off
      debug: { msg: never }
  when: false
"#,
    );
    let run = case.apply();
    assert_snapshot!(run.told(), @r"
    h1 failed Fails: false failed with status 1
    h1 ok Rescue: rescued
    h1 ok Always: always
    h1 failed Inner fails: inner
    h1 failed Rescue fails: outer
    h1 ok Inner always: always
    h1 ok Outer rescue: rescued
    h1 ok Goes on: further
    h1 skipped Held off: false
    ");
    assert_eq!((run.recap()[0].1.rescued, run.recap()[0].1.failed, run.verdict()), (3, 0, Verdict::Ok));
}

#[test]
fn a_failure_that_nobody_rescues_ends_the_host() {
    let case = Case::new(
        2,
        r#"
- name: One
  hosts: all
  tasks:
    - name: Fails on h1
      fail: { msg: broken }
      when: inventory_hostname == 'h1'
    - name: Ignored
      fail: { msg: so what }
      ignore_errors: true
    - name: Goes on
      debug: { msg: further }
- name: Two
  hosts: all
  tasks:
    - name: In the next play
      debug: { msg: still }
"#,
    );
    let run = case.apply();
    assert_snapshot!(run.told(), @r"
    h2 skipped Fails on h1: inventory_hostname == 'h1'
    h1 failed Fails on h1: broken
    h2 ignored Ignored: so what
    h2 ok Goes on: further
    h2 ok In the next play: still
    ");
    assert_eq!(run.verdict(), Verdict::Failed);
}

/// Nothing is sent for these tasks, so all of the play is planned before the first is judged.
#[test]
fn what_the_controller_does_turns_the_play_too() {
    let case = Case::new(
        2,
        r#"
- hosts: all
  handlers:
    - name: Handler
      debug: { msg: handled }
  tasks:
    - name: Says so
      debug: { msg: x }
      changed_when: true
      notify: Handler
    - name: Between
      debug: { msg: between }
    - block:
        - name: Fails on h1
          debug: { msg: x }
          failed_when: inventory_hostname == 'h1'
      rescue:
        - name: Rescue
          debug: { msg: rescued }
    - name: Ends h1
      fail: { msg: the end }
      when: inventory_hostname == 'h1'
    - name: Once, by whoever is left
      debug: { msg: once }
      run_once: true
"#,
    );
    assert_snapshot!(case.apply().told(), @r"
    h1 changed Says so: x
    h2 changed Says so: x
    h1 ok Between: between
    h2 ok Between: between
    h1 failed Fails on h1: failed_when holds: inventory_hostname == 'h1'
    h2 ok Fails on h1: x
    h1 ok Rescue: rescued
    h2 skipped Ends h1: inventory_hostname == 'h1'
    h1 failed Ends h1: the end
    h2 ok Once, by whoever is left: once
    h2 ok handler Handler: handled
    ");
}

#[test]
fn failed_when_and_changed_when() {
    let case = Case::tasks(
        1,
        r#"
- name: Only asks
  command: echo asks
  register: asked
  changed_when: false
- name: Changed by its output
  command: echo CHANGED
  register: by
  changed_when: "'CHANGED' in by.stdout"
- name: Fine with status 1
  command: "false"
  register: status
  failed_when: status.rc > 1
  changed_when: false
- name: Fails by its output
  command: echo ERROR
  register: out
  failed_when: "'ERROR' in out.stdout"
  ignore_errors: true
- name: Registered
  debug: { msg: "{{ out is failed }} {{ status.rc }} {{ status is failed }}" }
"#,
    );
    assert_snapshot!(case.apply().told(), @r"
    h1 ok Only asks
    h1 changed Changed by its output
    h1 ok Fine with status 1
    h1 ignored Fails by its output: failed_when holds: 'ERROR' in out.stdout
    h1 ok Registered: True 1 False
    ");
}

#[test]
fn until() {
    let case = Case::tasks(
        1,
        r#"
- name: Third time
  shell: "echo x >> {{ d }}/tries; wc -l < {{ d }}/tries"
  register: tries
  until: tries.stdout | int >= 3
  retries: 5
  delay: 0
- name: Never
  command: "false"
  register: never
  until: never.rc == 0
  retries: 1
  delay: 0
  ignore_errors: true
"#,
    );
    assert_snapshot!(case.apply().told(), @r"
    h1 retries Third time, 4 left
    h1 retries Third time, 3 left
    h1 changed Third time
    h1 retries Never, 0 left
    h1 ignored Never: false failed with status 1
    ");
}

const TAGS: &str = r#"
- hosts: all
  tasks:
    - { name: A, debug: { msg: a }, tags: a }
    - { name: B, debug: { msg: b }, tags: [ b, c ] }
    - { name: None, debug: { msg: none } }
    - { name: Always, debug: { msg: always }, tags: always }
    - { name: Never, debug: { msg: never }, tags: [ never, n ] }
"#;

#[test]
fn tags() {
    let table: [(&[&str], &[&str], &str); 7] = [
        (&[], &[], "A B None Always"),
        (&["a"], &[], "A Always"),
        (&["c"], &["always"], "B"),
        (&[], &["a"], "B None Always"),
        (&["n"], &[], "Always Never"),
        (&["untagged"], &[], "None Always"),
        (&["tagged"], &["b"], "A Always"),
    ];
    for (tags, skip, wanted) in table {
        let case = tags.iter().fold(Case::new(1, TAGS), |case, tag| case.tag(tag));
        let run = skip.iter().fold(case, |case, tag| case.skip_tag(tag)).apply();
        let ran: Vec<&str> = run.results().map(|result| result.task.name.as_str()).collect();
        assert_eq!(ran.join(" "), wanted, "--tags {tags:?} --skip-tags {skip:?}");
    }
}

#[test]
fn a_host_that_failed_is_out_of_later_plays() {
    let case = Case::new(
        2,
        r#"
- name: One
  hosts: all
  tasks:
    - fail: { msg: broken }
      name: Fail
      when: inventory_hostname == 'h1'
- name: Two
  hosts: all
  tasks:
    - debug: { msg: first }
      name: First
    - debug: { msg: second }
      name: Second
"#,
    );
    assert_snapshot!(case.apply().told(), @r"
    h2 skipped Fail: inventory_hostname == 'h1'
    h1 failed Fail: broken
    h2 ok First: first
    h2 ok Second: second
    ");
}

#[test]
fn a_handler_that_has_run_runs_again_only_if_notified_again() {
    let case = Case::new(
        1,
        r#"
- hosts: all
  handlers:
    - name: Handler
      debug: { msg: handled }
  tasks:
    - name: Says so
      debug: { msg: x }
      changed_when: true
      notify: Handler
    - meta: flush_handlers
    - name: Between
      debug: { msg: between }
"#,
    );
    assert_snapshot!(case.apply().told(), @r"
    h1 changed Says so: x
    h1 ok handler Handler: handled
    h1 ok Between: between
    ");
}

#[test]
fn what_is_not_logged_is_not_told() {
    let case = Case::tasks(
        1,
        r#"
- name: Written and printed
  shell: "echo canary > {{ d }}/{{ item }}; echo canary; exit {{ status }}"
  loop: [ canary-file ]
  vars: { status: 3 }
  ignore_errors: true
  no_log: true
- name: Shown in a diff
  copy: { dest: "{{ d }}/plain", content: "canary" }
  no_log: true
- name: In its message
  fail: { msg: canary }
  ignore_errors: true
  no_log: true
- name: In a condition
  debug: { msg: x }
  failed_when: "'canary' != ''"
  ignore_errors: true
  no_log: true
- name: In a warning
  file: { path: "{{ d }}/link", src: plain, state: link, force: true, mode: "0600" }
  no_log: true
"#,
    );
    for run in [case.plan(), case.apply()] {
        assert!(run.results().all(|result| result.warnings.is_empty()), "{}", run.json());
        assert!(!run.json().contains("canary"), "{}", run.json());
    }
    assert_eq!(case.read("h1/plain"), "canary");
}

#[test]
fn all_that_listen_to_a_topic_run() {
    let case = Case::new(
        1,
        r#"
- hosts: all
  handlers:
    - name: First
      copy: { dest: "{{ d }}/first", content: x }
      listen: topic
    - name: Second
      copy: { dest: "{{ d }}/second", content: x }
      listen: topic
  tasks:
    - name: Write
      copy: { dest: "{{ d }}/x", content: x }
      notify: topic
"#,
    );
    assert_snapshot!(case.apply().told(), @r"
    h1 changed Write
    h1 changed handler First
    h1 changed handler Second
    ");
}

#[test]
fn nobody_becomes_who_he_is() {
    // Through sudo it would be told who asked; and many a host that is reached as root has no sudo.
    let case = Case::tasks(
        1,
        r#"
- command: printenv SUDO_USER
  become: true
  become_user: "{{ lookup('pipe', 'id -un') }}"
  register: asked
  changed_when: false
  failed_when: asked.rc != 1
"#,
    );
    assert_snapshot!(case.apply().told(), @"h1 ok command");
}

#[test]
fn a_role_given_by_an_absolute_path_is_called_by_it() {
    let case = Case::new(1, "- hosts: all\n  gather_facts: false\n  roles: [DIR/apart/x]\n")
        .file("apart/x/tasks/main.yml", "- name: Tell\n  assert: { that: \"role_name == 'DIR/apart/x'\" }\n");
    assert_eq!(case.apply_only().told().trim_end(), "h1 ok DIR/apart/x : Tell");
}
