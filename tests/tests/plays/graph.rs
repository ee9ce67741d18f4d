//! What comes after what, and that the run heeds it.

use std::path::PathBuf;

use insta::assert_snapshot;
use trueup_tests::Case;

#[test]
fn edges_say_why() {
    let case = Case::new(
        2,
        r#"
- hosts: h1
  gather_facts: false
  vars: { greeting: "{{ found.stdout }} there" }
  handlers:
    - { name: Told, debug: { msg: told } }
  tasks:
    - { name: Find, command: echo hello, register: found, notify: Told }
    - { name: Through a variable, debug: { msg: "{{ greeting }}" } }
    - { name: Nothing to do with it, debug: { msg: hello } }
- hosts: all
  gather_facts: false
  tasks:
    - { name: Of another host, debug: { msg: "{{ hostvars.h1.found.stdout }}" } }
"#,
    );
    assert_snapshot!(case.graph(), @r"
    play h1 (h1)
       0  Find  DIR/site.yml:8:7
       1  Through a variable  DIR/site.yml:9:7
            after 0 Find: data: found
       2  Nothing to do with it  DIR/site.yml:10:7
       3  handler Told  DIR/site.yml:6:7
            after 0 Find: notify
    play all (h1, h2)
       4  Of another host  DIR/site.yml:14:7
            after 0 Find: data: found (of all hosts)
            after 3 Told: barrier
    ");
}

#[test]
fn facts_are_there_for_whoever_reads_them() {
    let case = Case::new(
        2,
        r#"
- hosts: all
  tasks:
    - name: Read
      debug: { msg: "{{ ansible_os_family }} {{ ansible_facts.os_family == ansible_os_family }}" }
    - name: In a condition
      debug: { msg: linux }
      when: ansible_system == 'Linux'
"#,
    );
    assert_snapshot!(case.apply().told(), @r"
    h1 ok Gather facts
    h2 ok Gather facts
    h1 ok Read: Debian True
    h2 ok Read: Debian True
    h1 ok In a condition: linux
    h2 ok In a condition: linux
    ");
}

#[test]
fn whoever_reads_what_one_host_sets_for_all_waits_for_it() {
    let case = Case::tasks(
        2,
        r#"
- { name: Once, set_fact: { answer: "{{ 40 + 2 }}" }, run_once: true }
- { name: Everybody, debug: { msg: "{{ answer }}" } }
- { name: Held off by what is set, debug: { msg: no }, when: "flag" , vars: { flag: "{{ answer | default(0) | int > 100 }}" } }
"#,
    );
    assert_snapshot!(case.apply().told(), @r"
    h1 ok Once
    h1 ok Everybody: 42
    h2 ok Everybody: 42
    h1 skipped Held off by what is set: flag
    h2 skipped Held off by what is set: flag
    ");
}

/// What a user copies must compile.
#[test]
fn every_playbook_compiles() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let password = std::fs::read_to_string(root.join("inventory/lab.vault-password")).unwrap();
    let mut playbooks = 0;
    for entry in std::fs::read_dir(root.join("playbooks")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "yml") {
            assert_eq!(trueup_tests::compile(&path, &root.join("inventory/lab.yml"), password.trim()), "");
            playbooks += 1;
        }
    }
    assert!(playbooks > 0);
}
