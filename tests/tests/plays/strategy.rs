//! `strategy: free` and `graph`, `needs`, `mutex` and `throttle`.

use insta::assert_snapshot;
use trueup_tests::Case;

/// Waits for a file that only another host's progress brings; gives up rather than hang.
const WAIT: &str = "timeout 20 sh -c 'until test -e DIR/there; do :; done'";

/// What must not happen twice at the same time.
const ALONE: &str = "mkdir DIR/lock && i=0 && while test $i -lt 20000; do i=$((i+1)); done && rmdir DIR/lock";

#[test]
fn a_free_host_does_not_wait_for_the_others() {
    let case = Case::new(
        2,
        &format!(
            r#"
- hosts: all
  gather_facts: false
  strategy: free
  tasks:
    - {{ name: Slow, shell: "{WAIT}", when: inventory_hostname == 'h1' }}
    - {{ name: Quick, copy: {{ dest: DIR/there, content: x }}, when: inventory_hostname == 'h2' }}
    - {{ name: Last, debug: {{ msg: done }} }}
"#
        ),
    );
    let run = case.apply_only();
    assert_snapshot!(of(&run, "h1"), @r"
    h1 changed Slow
    h1 skipped Quick: inventory_hostname == 'h2'
    h1 ok Last: done
    ");
    assert_snapshot!(of(&run, "h2"), @r"
    h2 skipped Slow: inventory_hostname == 'h1'
    h2 changed Quick
    h2 ok Last: done
    ");
}

/// The lines about a host: those of others come in between as it happens.
fn of(run: &trueup_tests::Run, host: &str) -> String {
    run.told().lines().filter(|line| line.starts_with(host)).collect::<Vec<_>>().join("\n")
}

#[test]
fn plays_that_do_not_need_each_other_overlap() {
    let case = Case::new(
        2,
        &format!(
            r#"
- name: Primary
  hosts: h1
  gather_facts: false
  strategy: graph
  handlers:
    - {{ name: Restart, copy: {{ dest: DIR/restarted, content: x }} }}
  tasks:
    - {{ name: Configure, shell: "{WAIT}", notify: Restart }}
- name: Standby
  hosts: h2
  gather_facts: false
  strategy: graph
  needs: []
  tasks:
    - {{ name: Prepare, copy: {{ dest: DIR/there, content: x }} }}
    - name: Clone
      command: cat DIR/restarted
      needs: {{ play: Primary, hosts: h1 }}
    - {{ name: Start, debug: {{ msg: started }}, needs: Clone }}
"#
        ),
    );
    let run = case.apply_only();
    assert_snapshot!(of(&run, "h1"), @r"
    h1 changed Configure
    h1 changed handler Restart
    ");
    assert_snapshot!(of(&run, "h2"), @r"
    h2 changed Prepare
    h2 changed Clone
    h2 ok Start: started
    ");
    assert_snapshot!(case.graph(), @r"
    play Primary (h1)
       0  Configure  DIR/site.yml:9:7
       1  handler Restart  DIR/site.yml:7:7
            after 0 Configure: notify
    play Standby (h2)
       2  Prepare  DIR/site.yml:16:7
       3  Clone  DIR/site.yml:17:7
            after 1 Restart: needs (on h1)
       4  Start  DIR/site.yml:20:7
            after 3 Clone: needs
    ");
}

#[test]
fn a_failure_skips_what_needs_it_and_nothing_else() {
    let case = Case::new(
        3,
        r#"
- name: Primary
  hosts: h1
  gather_facts: false
  strategy: graph
  tasks:
    - { name: Configure, command: "false" }
    - { name: Listed after it, debug: { msg: no } }
    - { name: Apart, debug: { msg: yes }, needs: [] }
- name: Standbys
  hosts: h2,h3
  gather_facts: false
  strategy: graph
  needs: []
  tasks:
    - { name: Prepare, debug: { msg: prepared } }
    - { name: Clone, debug: { msg: no }, needs: [Prepare, { task: Configure, hosts: h1 }] }
    - { name: Start, debug: { msg: no } }
- name: Later
  hosts: all
  gather_facts: false
  tasks:
    - { name: On whoever is left, debug: { msg: no } }
"#,
    );
    let run = case.apply();
    assert_snapshot!(of(&run, "h1"), @r"
    h1 failed Configure: false failed with status 1
    h1 not run: Listed after it; Configure failed on h1
    h1 ok Apart: true
    ");
    assert_snapshot!(of(&run, "h2"), @r"
    h2 ok Prepare: prepared
    h2 not run: Clone, Start; Configure failed on h1
    ");
    assert_snapshot!(of(&run, "h3"), @r"
    h3 ok Prepare: prepared
    h3 not run: Clone, Start; Configure failed on h1
    ");
    assert_eq!(run.verdict().code(), 2);
}

#[test]
fn blocks_and_includes_keep_their_order() {
    let case = Case::new(
        2,
        r#"
- name: Play
  hosts: all
  gather_facts: false
  strategy: graph
  tasks:
    - name: Last
      debug: { msg: "{{ found.stdout }}" }
      needs: [Try, More]
    - name: Try
      needs: []
      block:
        - { name: Fails, command: "false" }
        - { name: Not reached, debug: { msg: no } }
      rescue:
        - { name: Made good, debug: { msg: "{{ ansible_failed_task.name }}" } }
      always:
        - { name: In any case, debug: { msg: yes } }
    - name: More
      needs: []
      include_tasks: more.yml
"#,
    )
    .file(
        "more.yml",
        "- { name: Find, command: echo found, register: found }\n- { name: Second, debug: { msg: second } }\n",
    );
    let run = case.apply();
    assert_snapshot!(of(&run, "h1"), @r"
    h1 failed Fails: false failed with status 1
    h1 ok Made good: Fails
    h1 ok In any case: true
    h1 ok More
    h1 changed Find
    h1 ok Second: second
    h1 ok Last: found
    ");
    assert_eq!(run.verdict().code(), 0);
}

#[test]
fn what_one_host_does_for_all_is_awaited() {
    let case = Case::new(
        3,
        r#"
- hosts: all
  gather_facts: false
  strategy: graph
  tasks:
    - { name: Once, command: echo 42, register: answer, run_once: true, when: "true" }
    - { name: Everybody, debug: { msg: "{{ answer.stdout }}" } }
    - { name: Fails once, command: "false", run_once: true, needs: [] }
    - { name: Apart, debug: { msg: apart }, needs: [] }
    - { name: Needs it, debug: { msg: no }, needs: Fails once }
"#,
    );
    let run = case.apply();
    assert_snapshot!(of(&run, "h1"), @r"
    h1 changed Once
    h1 failed Fails once: false failed with status 1
    h1 not run: Needs it; Fails once failed on h1
    h1 ok Everybody: 42
    h1 ok Apart: apart
    ");
    assert_snapshot!(of(&run, "h2"), @r"
    h2 ok Apart: apart
    h2 ok Everybody: 42
    h2 not run: Needs it; Fails once failed on h1
    ");
}

#[test]
fn a_graph_that_changes_nothing_costs_a_round_trip_for_each_wait() {
    let case = Case::new(
        2,
        r#"
- name: Primary
  hosts: h1
  gather_facts: false
  strategy: graph
  handlers:
    - { name: Told, debug: { msg: told } }
  tasks:
    - { name: First, copy: { dest: "{{ d }}/a", content: a }, notify: Told }
    - { name: Second, copy: { dest: "{{ d }}/b", content: b } }
- name: Standby
  hosts: h2
  gather_facts: false
  strategy: graph
  needs: []
  tasks:
    - { name: Third, copy: { dest: "{{ d }}/a", content: a } }
    - { name: Fourth, copy: { dest: "{{ d }}/b", content: b }, needs: { play: Primary, hosts: h1 } }
"#,
    );
    case.apply();
    let again = case.apply();
    assert_eq!(again.batches(), 3, "{}", again.told());
}

#[test]
fn of_tasks_with_one_mutex_one_is_applied_at_a_time() {
    for (keyword, strategy) in [("mutex: backup", "linear"), ("mutex: backup", "graph"), ("throttle: 1", "linear")] {
        let case = Case::new(
            4,
            &format!(
                "- hosts: all\n  gather_facts: false\n  strategy: {strategy}\n  tasks:\n    - shell: \"{ALONE}\"\n      {keyword}\n"
            ),
        );
        let run = case.apply_only();
        assert_eq!(run.verdict().code(), 0, "{keyword}, {strategy}:\n{}", run.told());
    }
}

/// What is said of these tasks of a graph.
fn play(tasks: &str) -> String {
    let text = format!("- name: Play\n  hosts: all\n  gather_facts: false\n  strategy: graph\n  tasks:\n{tasks}");
    Case::new(2, &text).diagnostics()
}

/// Those who share a lock wait here for each other; one who holds it alone must find nobody.
#[test]
fn a_shared_mutex_keeps_out_who_holds_it_alone() {
    let both = "timeout 20 sh -c 'until test -e DIR/in-h1 -a -e DIR/in-h2; do :; done'";
    let case = Case::new(
        3,
        &format!(
            r#"
- hosts: all
  gather_facts: false
  strategy: free
  tasks:
    - shell: "touch DIR/in-{{{{ inventory_hostname }}}} && {both} && mkdir DIR/lock-{{{{ inventory_hostname }}}} && i=0 && while test $i -lt 20000; do i=$((i+1)); done && rmdir DIR/lock-{{{{ inventory_hostname }}}}"
      mutex: {{ name: keys, shared: true }}
      when: inventory_hostname != 'h3'
    - shell: "{both}"
      when: inventory_hostname == 'h3'
    - shell: "! ls -d DIR/lock-*"
      mutex: keys
      loop: [1, 2, 3, 4, 5]
      when: inventory_hostname == 'h3'
"#
        ),
    );
    let run = case.apply_only();
    assert_eq!(run.verdict().code(), 0, "{}", run.told());
}

#[test]
fn needs_that_cannot_be_are_errors() {
    assert_snapshot!(play("    - { name: A, ping: , needs: C }\n    - { name: B, ping: , needs: A }\n    - { name: C, ping: }\n"), @r"
    error: these wait for each other, so none of them could ever begin
     --> DIR/site.yml:6:7
      |
    6 |     - { name: A, ping: , needs: C }
      |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    hint: `C` (DIR/site.yml:8:7) is listed after `A` (DIR/site.yml:6:7)
    hint: `A` (DIR/site.yml:6:7) needs `C` (DIR/site.yml:8:7)
    ");
    assert_snapshot!(play("    - { name: Configure, ping: }\n    - { name: B, ping: , needs: Configur }\n"), @r"
    error: there is no task, block or play `Configur` to be needed
     --> DIR/site.yml:7:33
      |
    7 |     - { name: B, ping: , needs: Configur }
      |                                 ^^^^^^^^
    hint: did you mean `Configure`?
    ");
    assert_snapshot!(play("    - { name: A, ping: }\n    - { name: B, ping: , needs: { task: A, host: h1 } }\n"), @r"
    error: unknown key `host` of a need
     --> DIR/site.yml:7:44
      |
    7 |     - { name: B, ping: , needs: { task: A, host: h1 } }
      |                                            ^^^^
    hint: did you mean `hosts`?
    ");
    assert_snapshot!(play("    - { name: A, ping: }\n    - { name: B, ping: , needs: { hosts: h1 } }\n"), @r"
    error: a need must have either `task` or `play`
     --> DIR/site.yml:7:33
      |
    7 |     - { name: B, ping: , needs: { hosts: h1 } }
      |                                 ^^^^^^^^^^^^^
    hint: write a name, `{ task: name, hosts: pattern }` or `{ play: name, hosts: pattern }`
    ");
}

#[test]
fn a_mutex_that_cannot_be_is_an_error() {
    assert_snapshot!(play("    - { ping: , mutex: { nme: keys } }\n"), @r"
    error: unknown key `nme` of `mutex`
     --> DIR/site.yml:6:26
      |
    6 |     - { ping: , mutex: { nme: keys } }
      |                          ^^^
    hint: did you mean `name`?
    ");
    assert_snapshot!(play("    - { ping: , mutex: { shared: true } }\n"), @r"
    error: `mutex` must have a `name`
     --> DIR/site.yml:6:24
      |
    6 |     - { ping: , mutex: { shared: true } }
      |                        ^^^^^^^^^^^^^^^^
    hint: write a name, or `{ name: name, shared: true }`
    ");
    assert_snapshot!(play("    - { ping: , throttle: many }\n"), @r"
    error: `throttle` must be a whole number, and this is the string `many`
     --> DIR/site.yml:6:27
      |
    6 |     - { ping: , throttle: many }
      |                           ^^^^
    ");
}

#[test]
fn needs_in_places_where_they_mean_nothing_are_errors() {
    assert_snapshot!(play("    - { name: A, ping: }\n    - { name: B, ping: , needs: { task: A, hosts: h7 } }\n"), @r"
    error: no host or group matches `h7`
     --> DIR/site.yml:7:51
      |
    7 |     - { name: B, ping: , needs: { task: A, hosts: h7 } }
      |                                                   ^^
    hint: did you mean `h1`?
    ");
    assert_snapshot!(
        play("    - { name: A, ping: }\n    - block: [{ name: B, ping: , needs: A }]\n      always: [{ ping: }]\n"),
        @r"
    error: tasks of a block with `rescue` or `always`, and of what is included, keep their order
     --> DIR/site.yml:7:41
      |
    7 |     - block: [{ name: B, ping: , needs: A }]
      |                                         ^
    hint: write `needs` at the block, or at the task that includes
    "
    );
    let linear = Case::tasks(1, "- { name: A, ping: }\n- { name: B, ping: , needs: A }\n");
    assert_snapshot!(linear.diagnostics(), @r"
    error: `needs` has a meaning only in a play with `strategy: graph`
     --> DIR/site.yml:5:33
      |
    5 |     - { name: B, ping: , needs: A }
      |                                 ^
    hint: with `strategy: linear` tasks come one after the other as they are listed
    ");
    let elsewhere = "- name: One\n  hosts: h1\n  strategy: graph\n  tasks: [{ name: A, ping: }]\n\
                     - name: Two\n  hosts: all\n  strategy: graph\n  tasks: [{ name: B, ping: , needs: A }]\n";
    assert_snapshot!(Case::new(2, elsewhere).diagnostics(), @r"
    error: `A` is not run on h2 of this play
     --> DIR/site.yml:8:37
      |
    8 |   tasks: [{ name: B, ping: , needs: A }]
      |                                     ^
    hint: say on which hosts it has to be done: `{ task: A, hosts: … }`
    ");
    let unknown = "- hosts: all\n  strategy: grph\n  tasks: [{ ping: }]\n";
    assert_snapshot!(Case::new(1, unknown).diagnostics(), @r"
    error: there is no strategy `grph`
     --> DIR/site.yml:2:13
      |
    2 |   strategy: grph
      |             ^^^^
    hint: did you mean `graph`?
    hint: one of linear, free, graph, host_pinned, debug
    ");
}

#[test]
fn a_preview_tells_of_all_hosts_together() {
    let case = Case::new(
        3,
        r#"
- hosts: all
  gather_facts: false
  strategy: graph
  tasks:
    - { name: First, copy: { dest: "{{ d }}/a", content: a } }
    - { name: Second, debug: { msg: "{{ d | basename }}" } }
"#,
    );
    assert_snapshot!(case.plan().told(), @r"
    h1 would First
    h2 would First
    h3 would First
    h1 ok Second: h1
    h2 ok Second: h2
    h3 ok Second: h3
    ");
}

/// Whoever is not there is not waited for.
#[test]
fn a_limit_takes_away_what_is_needed_of_others() {
    let play = |name: &str, hosts: &str, needs: &str| {
        format!(
            "- name: {name}\n  hosts: {hosts}\n  strategy: graph\n  needs: {needs}\n  tasks: [{{ name: In {name}, debug: {{ msg: here }} }}]\n"
        )
    };
    let text = play("One", "h1", "[]")
        + &play("All", "h1,h2", "[]")
        + &play("Two", "h2", "[{ play: One, hosts: h1 }, { play: All, hosts: h1 }, { task: In One, hosts: h1 }]");
    let case = Case::new(2, &text).limit("h2");
    assert_snapshot!(case.diagnostics(), @"");
    assert_snapshot!(case.apply().told(), @r"
    h2 ok In All: here
    h2 ok In Two: here
    ");
}

/// A handler that ran as soon as it was notified would start what is not there yet.
#[test]
fn handlers_run_when_all_else_is_done() {
    let case = Case::new(
        1,
        r#"
- hosts: all
  gather_facts: false
  strategy: graph
  handlers:
    - { name: Restart, command: cat DIR/there }
  tasks:
    - { name: Configure, copy: { dest: DIR/conf, content: x }, notify: Restart }
    - { name: Apart, debug: { msg: apart }, needs: [] }
    - { name: Clone, copy: { dest: DIR/there, content: x }, needs: Apart }
"#,
    );
    assert_snapshot!(case.apply().told(), @r"
    h1 changed Configure
    h1 ok Apart: apart
    h1 changed Clone
    h1 changed handler Restart
    ");
}

/// What is not there is a failure, unless something that comes before, be it on another host, may yet bring it.
#[test]
fn a_preview_waits_for_what_comes_before() {
    let case = Case::new(
        2,
        r#"
- name: Primary
  hosts: h1
  gather_facts: false
  strategy: graph
  tasks:
    - { name: Configure, command: touch DIR/there }
- name: Standby
  hosts: h2
  gather_facts: false
  strategy: graph
  needs: []
  tasks:
    - { name: Apart, slurp: { src: DIR/never }, ignore_errors: true }
    - { name: After it, slurp: { src: DIR/there }, needs: { play: Primary, hosts: h1 } }
"#,
    );
    assert_snapshot!(case.plan().told(), @r"
    h1 would Configure
    h2 ignored Apart: cannot read DIR/never: No such file or directory
    h2 unknown After it: known after Configure
    ");
}

/// The first host is not there, or what it needs has failed: then it is the next one's to do it for all.
#[test]
fn what_is_done_once_is_done_by_whoever_can() {
    let playbook = r#"
- hosts: all
  gather_facts: false
  strategy: graph
  tasks:
    - { name: First, command: "test {{ inventory_hostname }} = h2" }
    - { name: Once, debug: { msg: "{{ inventory_hostname }}" }, run_once: true }
    - { name: Each, debug: { msg: each } }
"#;
    let skipped = Case::new(2, playbook).apply();
    assert_snapshot!(of(&skipped, "h2"), @r"
    h2 changed First
    h2 ok Once: h2
    h2 ok Each: each
    ");
    let lost = Case::new(2, playbook).file("hosts.ini", "h1 ansible_connection=pigeon\nh2 ansible_connection=local\n");
    assert_snapshot!(lost.apply().told(), @r"
    h1 unreachable: there is no connection `pigeon` (ssh, local)
    h2 changed First
    h2 ok Once: h2
    h2 ok Each: each
    ");
}
