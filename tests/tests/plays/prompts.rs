//! `vars_prompt`: who is asked what, and what becomes of the answers.

use insta::assert_snapshot;
use trueup_tests::Case;

const PLAYBOOK: &str = r#"
- hosts: all
  gather_facts: false
  vars: { what: password }
  vars_prompt:
    - name: user
      prompt: The user
      private: false
      default: "{{ 'adm' ~ 'in' }}"
    - { name: word, prompt: "The {{ what }}", confirm: true }
    - { name: raw, private: no, unsafe: yes }
    - { name: lazy, private: no }
    - { name: sure, private: no, default: yes }
  tasks:
    - debug: { msg: "{{ user }} {{ raw }} {{ lazy }} {{ sure }}" }
    - debug: { msg: "{{ word }}" }
"#;

#[test]
fn answers() {
    let case = Case::new(1, PLAYBOOK).asker(|question| {
        Some(match (question.text.as_str(), question.private, question.confirm) {
            ("The user [admin]: ", false, false) => "",
            ("The password: ", true, true) => "hunter2",
            ("raw: ", false, false) => "{{ what }}",
            ("lazy: ", false, false) => "{{ what }}",
            ("sure [True]: ", false, false) => "no",
            other => panic!("nobody should ask {other:?}"),
        })
    });
    let run = case.apply();
    assert!(!format!("{:?}", run.events).contains("hunter2"), "what is typed unseen is a secret");
    assert_snapshot!(run.told(), @r"
    h1 ok debug: admin {{ what }} password no
    h1 ok debug: «redacted»
    ");
}

#[test]
fn an_answer_can_be_hashed() {
    let playbook = r#"
- hosts: all
  gather_facts: false
  vars_prompt:
    - { name: a, encrypt: sha256_crypt, salt: abcdefgh, private: no }
  tasks:
    - debug: { msg: "{{ a }}" }
"#;
    let run = Case::new(1, playbook).asker(|_| Some("secret")).apply();
    // What ansible-core 2.19.14 makes of the same.
    assert_snapshot!(run.told(), @"h1 ok debug: $5$rounds=535000$abcdefgh$QXIhOR7fttJ4bdMfcw7BEvHVCsepCVESzLPmE9hth51");
}

#[test]
fn what_the_command_line_gives_is_not_asked_for() {
    let playbook =
        "- hosts: all\n  gather_facts: false\n  vars_prompt: [{ name: a }]\n  tasks: [{ debug: { var: a } }]\n";
    let case = Case::new(1, playbook).extra("a=given").asker(|question| panic!("{question:?}"));
    assert_snapshot!(case.apply().told(), @"h1 ok debug");
}

#[test]
fn nobody_is_there() {
    let case = Case::new(1, PLAYBOOK).asker(|_| None);
    assert_snapshot!(case.diagnostics(), @r#"
    error: there is no terminal to ask for `word` on
      --> DIR/site.yml:10:7
       |
    10 |     - { name: word, prompt: "The {{ what }}", confirm: true }
       |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    hint: give it with `-e word=…`, or give it a `default`

    error: there is no terminal to ask for `raw` on
      --> DIR/site.yml:11:7
       |
    11 |     - { name: raw, private: no, unsafe: yes }
       |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    hint: give it with `-e raw=…`, or give it a `default`

    error: there is no terminal to ask for `lazy` on
      --> DIR/site.yml:12:7
       |
    12 |     - { name: lazy, private: no }
       |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^
    hint: give it with `-e lazy=…`, or give it a `default`
    "#);
}

#[test]
fn a_list_of_the_tasks_asks_nobody() {
    assert_eq!(Case::new(1, PLAYBOOK).diagnostics(), "");
}

#[test]
fn what_is_wrong_is_said_before_anybody_is_asked() {
    let playbook = r#"
- hosts: all
  vars_prompt:
    - { prompt: x }
    - { name: 1a }
    - { name: a, pivate: no }
    - { name: b, encrypt: rot13 }
    - { name: c, default: [1] }
"#;
    let case = Case::new(1, playbook).asker(|question| panic!("{question:?}"));
    assert_snapshot!(case.diagnostics(), @r"
    error: an item of `vars_prompt` must have the `name` of a variable
     --> DIR/site.yml:4:7
      |
    4 |     - { prompt: x }
      |       ^^^^^^^^^^^^^

    error: `1a` cannot be the name of a variable
     --> DIR/site.yml:5:15
      |
    5 |     - { name: 1a }
      |               ^^
    hint: a variable's name is made of letters, digits and `_`, and does not begin with a digit

    error: unknown keyword `pivate` of an item of `vars_prompt`
     --> DIR/site.yml:6:18
      |
    6 |     - { name: a, pivate: no }
      |                  ^^^^^^
    hint: did you mean `private`?

    error: 'rot13' hashes no passwords: sha512, sha256 or bcrypt (blowfish)
     --> DIR/site.yml:7:27
      |
    7 |     - { name: b, encrypt: rot13 }
      |                           ^^^^^

    error: `default` must be a text, and this is a list
     --> DIR/site.yml:8:27
      |
    8 |     - { name: c, default: [1] }
      |                           ^^^
    ");
}
