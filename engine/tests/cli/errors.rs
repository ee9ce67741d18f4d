//! What is told of what a person wrote wrongly: by `trueup` with the line, a mark and a hint, and under the names of Ansible's
//! programs in their form.

use super::{dir, dropin::called, err, out, trueup};

const HOSTS: &str = "h1 ansible_connection=local\n";

/// What `trueup plan` says of tasks, given without their indentation.
fn told(tasks: &str) -> String {
    let tasks: String = tasks.lines().map(|line| format!("    {line}\n")).collect();
    let site = format!("- hosts: h1\n  gather_facts: false\n  tasks:\n{tasks}");
    let dir = dir(&[("hosts", HOSTS), ("site.yml", &site)]);
    err(&trueup(dir.path(), "plan -i hosts site.yml"))
}

#[test]
fn braces_around_a_condition() {
    insta::assert_snapshot!(told("- ping:\n  when: \"{{ true }}\""), @r#"
    warning: a condition is an expression by itself
     --> site.yml:5:13
      |
    5 |       when: "{{ true }}"
      |             ^^^^^^^^^^^^
    hint: leave the braces out
    "#);
}

#[test]
fn a_variable_with_the_name_of_a_keyword() {
    insta::assert_snapshot!(told("- ping:\n  vars: { hosts: 1, mutex: 2 }"), @r"
    warning: the variable `hosts` has the name of a keyword
     --> site.yml:5:15
      |
    5 |       vars: { hosts: 1, mutex: 2 }
      |               ^^^^^
    ");
}

#[test]
fn templates_that_have_no_end() {
    insta::assert_snapshot!(told("- debug: {msg: \"{{ 1 \"}"), @r#"
    error: unexpected end of input, expected end of variable block
     --> site.yml:4:24
      |
    4 |     - debug: {msg: "{{ 1 "}
      |                        ^
    hint: a `{{` is not closed by `}}`
    "#);
    assert!(
        told("- debug: {msg: \"{% if true %}a\"}").contains("hint: a `{% if %}`, `{% for %}` or the like has no end")
    );
    assert!(told("- debug: {msg: \"{% endif %}\"}").contains("hint: nothing is open that it could end"));
}

#[test]
fn keywords_of_long_ago_are_told_with_what_took_their_place_beside_a_module_without_parameters_too() {
    insta::assert_snapshot!(told("- ping:\n  sudo: yes"), @r"
    error: conflicting actions: this task has both `ping` and `sudo`
     --> site.yml:5:7
      |
    5 |       sudo: yes
      |       ^^^^ not a keyword, so it would be a second module
     ::: site.yml:4:7
      |
    4 |     - ping:
      |       ---- the module
    hint: it was removed from Ansible: use `become: true`
    ");
}

#[test]
fn handlers_that_nobody_notifies() {
    let site = "\
- hosts: h1
  gather_facts: false
  tasks:
    - command: echo
      notify: [Heard, loud]
  handlers:
    - { name: Heard, ping: }
    - { name: Listens, listen: loud, ping: }
    - name: Alone
      ping:
";
    let dir = dir(&[("hosts", HOSTS), ("site.yml", site)]);
    insta::assert_snapshot!(err(&trueup(dir.path(), "plan -i hosts site.yml")), @r"
    warning: nobody notifies the handler `Alone`
     --> site.yml:9:13
      |
    9 |     - name: Alone
      |             ^^^^^
    ");
    // Ansible says nothing of it.
    let output = called(dir.path(), "ansible-playbook", "-i hosts site.yml");
    assert_eq!((output.status.code(), err(&output).as_str()), (Some(0), ""));
}

#[test]
fn what_is_wrong_with_the_inventory_is_said_alone() {
    let dir =
        dir(&[("hosts", "[web:children]\nnope\n"), ("site.yml", "- hosts: h1\n  tasks: [{ping: }]\n- tasks: []\n")]);
    insta::assert_snapshot!(err(&trueup(dir.path(), "plan -i hosts site.yml")), @r"
    error: `[web:children]` names the group `nope`, which is declared nowhere
     --> hosts:2:1
      |
    2 | nope
      | ^^^^
    hint: add a section `[nope]`, even an empty one

    error: a play must name its `hosts`
     --> site.yml:3:3
      |
    3 | - tasks: []
      |   ^^^^^
    ");
}

/// Words and form are ansible-core's; the hints are ours.
#[test]
fn as_ansible_tells_it() {
    let table = [
        (
            "- hosts: h1\n  gatherfacts: no\n",
            "[ERROR]: 'gatherfacts' is not a valid attribute for a Play\nOrigin: DIR/site.yml:2:3\n\n1 - hosts: h1\n2   gatherfacts: no\n    ^ column 3\n\nDid you mean `gather_facts`?\n\n",
        ),
        (
            "- hosts: h1\n  tasks:\n    - nomodule: {}\n",
            "[ERROR]: couldn't resolve module/action 'nomodule'. This often indicates a misspelling, missing collection, or incorrect module path.\nOrigin: DIR/site.yml:3:7\n\n1 - hosts: h1\n2   tasks:\n3     - nomodule: {}\n        ^ column 7\n\n",
        ),
        (
            "- hosts: h1\n  tasks:\n    - name: only\n",
            "[ERROR]: no module/action detected in task.\nOrigin: DIR/site.yml:3:7\n",
        ),
        ("[]\n", "[ERROR]: A playbook must contain at least one play: DIR/site.yml\n"),
        ("", "[ERROR]: Empty playbook, nothing to do: DIR/site.yml\n"),
        ("- hosts: nope\n  tasks: []\n", "[WARNING]: Could not match supplied host pattern, ignoring: nope\n"),
        (
            "- hosts: h1\n  gather_facts: no\n  roles: [nope]\n",
            "[ERROR]: the role 'nope' was not found in DIR/roles:DIR/.ansible/roles:/usr/share/ansible/roles:/etc/ansible/roles:DIR\nOrigin: DIR/site.yml:3:11\n",
        ),
        (
            "- hosts: h1\n  gather_facts: no\n  tasks:\n    - debug: {msg: x}\n      when: \"{{ true }}\"\n",
            "[WARNING]: Deprecation warnings can be disabled by setting `deprecation_warnings=False` in ansible.cfg.\n[DEPRECATION WARNING]: Conditionals should not be surrounded by templating delimiters such as {{ }} or {% %}. This feature will be removed from ansible-core version 2.23.\nOrigin: DIR/site.yml:5:13\n",
        ),
    ];
    for (site, wanted) in table {
        let dir = dir(&[("hosts", HOSTS), ("site.yml", site)]);
        let told = err(&called(dir.path(), "ansible-playbook", "-i hosts site.yml"));
        let place = std::fs::canonicalize(dir.path()).unwrap().display().to_string();
        let told = told.replace(&place, "DIR").replace(&dir.path().display().to_string(), "DIR");
        assert!(told.starts_with(wanted), "{told}\n--- instead of\n{wanted}");
    }
}

#[test]
fn programs_that_are_not_here_and_their_versions() {
    let dir = dir(&[("hosts", HOSTS)]);
    for name in ["ansible-galaxy", "ansible-pull", "ansible-console", "ansible-test"] {
        let output = called(dir.path(), name, "install x");
        assert_eq!(output.status.code(), Some(1), "{name}");
        assert!(err(&output).starts_with(&format!("[ERROR]: Trueup has no {name}\nHint: ")), "{}", err(&output));
    }
    for name in ["ansible", "ansible-playbook", "ansible-inventory", "ansible-vault", "ansible-config", "ansible-doc"] {
        let told = out(&called(dir.path(), name, "--version"));
        assert!(told.starts_with(&format!("{name} [core 2.19.14]\n  config file = None\n")), "{told}");
        assert!(told.contains("trueup version = "), "{told}");
    }
}

/// What led to a failure is told link by link, as ansible-core 2.19 tells it.
#[test]
fn what_a_failure_comes_from() {
    let site = "\
- name: P
  hosts: h1
  gather_facts: false
  tasks:
    - debug: {msg: \"{{ nope }}\"}
";
    let dir = dir(&[("hosts", HOSTS), ("site.yml", site)]);
    let told = out(&called(dir.path(), "ansible-playbook", "-i hosts site.yml"));
    let place = std::fs::canonicalize(dir.path()).unwrap().display().to_string();
    let told = told.replace(&place, "DIR").replace(&dir.path().display().to_string(), "DIR");
    insta::assert_snapshot!(told.split("PLAY RECAP").next().unwrap().trim_end(), @r#"

    PLAY [P] ***********************************************************************

    TASK [debug] *******************************************************************
    [ERROR]: Task failed: Finalization of task args for 'ansible.builtin.debug' failed: Error while resolving value for 'msg': 'nope' is undefined

    Task failed: Finalization of task args for 'ansible.builtin.debug' failed.
    Origin: DIR/site.yml:5:7

    3   gather_facts: false
    4   tasks:
    5     - debug: {msg: "{{ nope }}"}
            ^ column 7

    <<< caused by >>>

    Error while resolving value for 'msg': 'nope' is undefined
    Origin: DIR/site.yml:5:20

    3   gather_facts: false
    4   tasks:
    5     - debug: {msg: "{{ nope }}"}
                         ^ column 20

    fatal: [h1]: FAILED! => {"msg": "Task failed: Finalization of task args for 'ansible.builtin.debug' failed: Error while resolving value for 'msg': 'nope' is undefined"}
    "#);
}
