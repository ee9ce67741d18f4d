//! What a user is told who made a mistake: what is wrong, where, and what to do.

use insta::assert_snapshot;
use trueup_modules::secret::Secret;
use trueup_tests::Case;

const MISTAKES: &str = r#"
- hosts: all
  handler: []
  tasks:
    - name: Keyword
      debug: { msg: x }
      wenn: true
    - name: Module
      servce: { name: x }
    - name: Parameter
      copy: { dst: /x, content: x }
    - name: Type
      file: { path: /x, state: file, mode: 644 }
    - name: Later
      command: sleep 1
      async: 10
    - name: Notify
      debug: { msg: x }
      notify: Restrat
  handlers:
    - name: Restart
      debug: { msg: x }
"#;

#[test]
fn keywords_modules_and_parameters() {
    let case = Case::new(1, MISTAKES);
    assert_snapshot!(case.diagnostics(), @r#"
    error: unknown keyword `handler` of a play
     --> DIR/site.yml:3:3
      |
    3 |   handler: []
      |   ^^^^^^^
    hint: did you mean `handlers`?

    error: conflicting actions: this task has both `debug` and `wenn`
     --> DIR/site.yml:7:7
      |
    7 |       wenn: true
      |       ^^^^ not a keyword, so it would be a second module
     ::: DIR/site.yml:6:7
      |
    6 |       debug: { msg: x }
      |       ----- the module
    hint: make two tasks of them; if `wenn` is a parameter of `debug`, indent it under `debug:`

    error: there is no module `servce`
     --> DIR/site.yml:9:7
      |
    9 |       servce: { name: x }
      |       ^^^^^^
    hint: did you mean `service`?

    error: `copy` has no parameter `dst`
      --> DIR/site.yml:11:15
       |
    11 |       copy: { dst: /x, content: x }
       |               ^^^
    hint: did you mean `dest`?

    error: the mode `644` is not octal
      --> DIR/site.yml:13:44
       |
    13 |       file: { path: /x, state: file, mode: 644 }
       |                                            ^^^
    hint: write `"0644"`: without a 0 in front, YAML reads a decimal number

    warning: the play has no handler `Restrat`: when this is to notify it, the run ends
      --> DIR/site.yml:19:15
       |
    19 |       notify: Restrat
       |               ^^^^^^^
    hint: did you mean `Restart`?
    "#);
}

#[test]
fn files_and_hosts() {
    let case = Case::new(
        1,
        r#"
- hosts: wbe
  vars_files: [ nothing.yml ]
  tasks: []
- hosts: all
  vars_files: [ nothing.yml ]
  tasks:
    - debug: { msg: "{{ 1 + }}" }
"#,
    );
    assert_snapshot!(case.diagnostics(), @r#"
    warning: no host or group matches `wbe`
     --> DIR/site.yml:2:10
      |
    2 | - hosts: wbe
      |          ^^^

    warning: there is no file DIR/nothing.yml
     --> DIR/site.yml:6:17
      |
    6 |   vars_files: [ nothing.yml ]
      |                 ^^^^^^^^^^^
    hint: paths start beside the playbook; Ansible passes it over, and so does this

    error: unexpected end of input, expected expression
     --> DIR/site.yml:8:27
      |
    8 |     - debug: { msg: "{{ 1 + }}" }
      |                           ^
    "#);
}

#[test]
fn no_play_has_a_host() {
    let case = Case::new(1, "- hosts: wbe\n  tasks: []\n- hosts: h1,!h1\n  tasks: []\n");
    assert_snapshot!(case.diagnostics(), @r"
    error: no play has a host to run on
    hint: `trueup plan -i` names the inventory; its hosts and groups are what a pattern can match

    warning: no host or group matches `wbe`
     --> DIR/site.yml:1:10
      |
    1 | - hosts: wbe
      |          ^^^

    warning: no host matches `h1,!h1`
     --> DIR/site.yml:3:10
      |
    3 | - hosts: h1,!h1
      |          ^^^^^^
    ");
}

#[test]
fn yaml() {
    let case = Case::new(1, "- hosts: all\n  tasks:\n    - debug:\n        msg: {{ x }}\n   - debug:\n");
    let bad = Case::new(1, "- hosts: all\n  tasks:\n    - debug:\n        msg: x\n   - debug:\n");
    assert_snapshot!(bad.diagnostics(), @r"
    error: this is not YAML: while parsing a block mapping, did not find expected key
     --> DIR/site.yml:5:4
      |
    5 |    - debug:
      |    ^
    hint: check the indentation of this line against the lines above it
    ");
    assert_snapshot!(case.diagnostics(), @r#"
    error: a template is not quoted
     --> DIR/site.yml:4:14
      |
    4 |         msg: {{ x }}
      |              ^^^^^^^
    hint: a value that begins with `{{` must be quoted: `key: "{{ variable }}"`
    "#);
}

#[test]
fn a_wrong_vault_password() {
    let sealed = trueup::vault::encrypt(b"x: y\n", &Secret::new("right".to_owned()), None, &[7; 32]);
    let play = "- hosts: all\n  vars_files: [ secret.yml ]\n  tasks: []\n";
    let case = Case::new(1, play).file("secret.yml", &sealed);
    assert_snapshot!(case.diagnostics(), @r"
    error: no vault password was given, and file `DIR/secret.yml` is encrypted
     --> DIR/secret.yml:1:1
      |
    1 | $ANSIBLE_VAULT;1.1;AES256
      | ^^^^^^^^^^^^^^^^^^^^^^^^^
    hint: give it with `--vault-password-file FILE`
    ");
    assert_snapshot!(case.vault("wrong").diagnostics(), @r"
    error: vault password `default` does not open file `DIR/secret.yml`
     --> DIR/secret.yml:1:1
      |
    1 | $ANSIBLE_VAULT;1.1;AES256
      | ^^^^^^^^^^^^^^^^^^^^^^^^^
    hint: check that the password file is the one this vault was made with (a vault can be damaged, too)
    ");
}

#[test]
fn at_run_time() {
    let case = Case::tasks(
        1,
        r#"
- name: Undefined
  debug: { msg: "{{ inventory_hostnam }}" }
  ignore_errors: true
- name: Undefined in a condition
  debug: { msg: x }
  when: nothing == 1
  ignore_errors: true
- name: Type
  file: { path: "{{ d }}/x", state: "{{ 'foo' }}" }
  ignore_errors: true
- name: Mode
  file: { path: "{{ d }}", mode: rwx }
  ignore_errors: true
- name: Fails
  command: sh -c 'echo oops >&2; exit 3'
  ignore_errors: true
- name: No program
  command: no-such-program
  ignore_errors: true
"#,
    );
    assert_snapshot!(case.apply().told(), @r#"
    h1 ignored Undefined: 'inventory_hostnam' is undefined
      at DIR/site.yml:5:25
    h1 ignored Undefined in a condition: 'nothing' is undefined
      at DIR/site.yml:9:13
    h1 ignored Type: parameter `state`: must be one of file, directory, absent, link, hard, touch, not `foo`
    h1 ignored Mode: parameter `mode`: `rwx` is not a mode: expected octal digits such as "0644" or clauses such as u=rw,go=r
    h1 ignored Fails: sh -c 'echo oops >&2; exit 3' failed with status 3: oops
    h1 ignored No program: cannot run no-such-program: there is no such program
    "#);
}

#[test]
fn nobody_there() {
    let case = Case::tasks(1, "- command: 'true'").file("hosts.ini", "h1 ansible_connection=carrier_pigeon\n");
    assert_snapshot!(case.apply().told(), @"h1 unreachable: there is no connection `carrier_pigeon` (ssh, local)");
}

#[test]
fn what_is_passed_over_is_said_and_what_cannot_be_meant_refused() {
    let table = [
        ("- debug:\n  debugger: always", ""),
        ("- debug:\n  debugger: never", ""),
        (
            "- include_tasks: i.yml\n  become: false",
            "error: `become` is not a keyword of `include_tasks`\n --> DIR/site.yml:5:7",
        ),
        (
            "- include_role: { name: r }\n  until: x",
            "error: `until` is not a keyword of `include_role`\n --> DIR/site.yml:5:7",
        ),
    ];
    for (tasks, wanted) in table {
        let said = Case::tasks(1, tasks).diagnostics();
        assert!(said.starts_with(wanted) && said.is_empty() == wanted.is_empty(), "{tasks}: {said}");
    }
    let table = [
        ("", "error: the playbook DIR/site.yml is empty\nhint: a playbook is a list of plays"),
        ("- hosts: []\n  tasks: []\n", "error: `hosts` must name hosts, and this names none\n --> DIR/site.yml:1:3"),
    ];
    for (playbook, wanted) in table {
        let said = Case::new(1, playbook).diagnostics();
        assert!(said.starts_with(wanted), "{playbook}: {said}");
    }
}

#[test]
fn module_defaults_that_cannot_be_meant() {
    let defaults = |text: &str| Case::tasks(1, &format!("- debug:\n  module_defaults: {text}")).diagnostics();
    assert_snapshot!(defaults("{ debug: { mgs: x } }"), @r"
    error: `debug` has no parameter `mgs`
     --> DIR/site.yml:5:35
      |
    5 |       module_defaults: { debug: { mgs: x } }
      |                                   ^^^
    hint: did you mean `msg`?
    ");
    assert_snapshot!(defaults("{ debug: [msg] }"), @r"
    error: the defaults of a module must be a dictionary, and this is a list
     --> DIR/site.yml:5:33
      |
    5 |       module_defaults: { debug: [msg] }
      |                                 ^^^^^
    ");
    assert_snapshot!(defaults("[ debug ]"), @r"
    error: `module_defaults` must be a dictionary with modules' names as keys, and this is the string `debug`
     --> DIR/site.yml:5:26
      |
    5 |       module_defaults: [ debug ]
      |                          ^^^^^
    hint: only what stands under a module's name may be a template
    ");
    assert_snapshot!(defaults("{ group/aws: { region: x } }"), @"");
    assert_snapshot!(defaults("{ group/aw: { region: x } }"), @r"
    error: there is no group of modules `aw`
     --> DIR/site.yml:5:26
      |
    5 |       module_defaults: { group/aw: { region: x } }
      |                          ^^^^^^^^
    hint: did you mean `aws`?
    hint: name each module
    ");
    assert_snapshot!(defaults("{ debgu: { msg: x } }"), @r"
    warning: there is no module `debgu`: its defaults are for nothing
     --> DIR/site.yml:5:26
      |
    5 |       module_defaults: { debgu: { msg: x } }
      |                          ^^^^^
    hint: did you mean `debug`?
    ");
}

#[test]
fn diff_false_shows_none() {
    let task = "- copy: { dest: \"{{ d }}/f\", content: text }\n";
    let shown = |more: &str| Case::tasks(1, &format!("{task}{more}")).plan().json().contains("\"aspect\":\"content\"");
    assert!(shown("") && !shown("  diff: false\n"));
}

#[test]
fn what_may_not_be_reached_is_told_in_one_warning() {
    let case = Case::new(
        1,
        "- hosts: all\n  gather_facts: false\n  tasks:\n    - zypper: { name: x }\n      when: ansible_os_family == 'Suse'\n      \
         vars: { ansible_os_family: Debian }\n    - ping: { nope: 1 }\n      ignore_errors: true\n",
    );
    assert_snapshot!(case.diagnostics(), @"warning: 2 tasks cannot run here and fail if they are reached: there is no module `zypper` (DIR/site.yml:4:7); `ping` has no parameter `nope` (DIR/site.yml:7:15)");
    let run = case.plan();
    assert_snapshot!(run.told(), @r"
    h1 skipped zypper: ansible_os_family == 'Suse'
    h1 ignored ping: `ping` has no parameter `nope`
      at DIR/site.yml:7:15
    ");
}

const MISPLACED: &str = r#"
- hosts: all
  tasks:
    - meta: end_role
    - include: x.yml
  handlers:
    - name: Flush
      meta: flush_handlers
    - name: End
      meta: end_role
"#;

#[test]
fn meta_tasks_where_they_cannot_be() {
    assert_snapshot!(Case::new(1, MISPLACED).diagnostics(), @r"
    error: `meta: end_role` stands outside of a role
     --> DIR/site.yml:4:7
      |
    4 |     - meta: end_role
      |       ^^^^^^^^^^^^^^

    error: there is no module `include`
     --> DIR/site.yml:5:7
      |
    5 |     - include: x.yml
      |       ^^^^^^^
    hint: it was removed from Ansible: use `include_tasks` or `import_tasks`

    error: `meta: flush_handlers` cannot be a handler
     --> DIR/site.yml:7:7
      |
    7 |     - name: Flush
      |       ^^^^^^^^^^^

    error: `meta: end_role` cannot be a handler
     --> DIR/site.yml:9:7
      |
    9 |     - name: End
      |       ^^^^^^^^^
    ");
}

#[test]
fn limits_that_name_nothing() {
    let play = "- hosts: all\n  gather_facts: false\n  tasks: []\n";
    let told = |limit: &str| Case::new(1, play).limit(limit).diagnostics();
    assert_snapshot!(told("h1,nope"), @r"
    warning: no host or group matches `nope`
     --> <--limit>:1:1
      |
    1 | h1,nope
      | ^^^^^^^
    ");
    assert_snapshot!(told("nope"), @r"
    error: no host or group matches `nope`
     --> <--limit>:1:1
      |
    1 | nope
      | ^^^^
    ");
    assert_snapshot!(told("localhost"), @r"
    error: `--limit localhost` leaves no hosts
     --> <--limit>:1:1
      |
    1 | localhost
      | ^^^^^^^^^
    ");
}
