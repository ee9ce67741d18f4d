//! The program as a whole, on this machine: what it prints, where, and its exit status.

mod debugger;
mod dropin;
mod errors;
mod inventories;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// Runs `trueup` in a directory, with the words of a line as its arguments.
fn trueup(dir: &Path, line: &str) -> Output {
    command(dir, line).output().expect("the program can be started")
}

fn command(dir: &Path, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trueup"));
    command.args(line.split_whitespace()).current_dir(dir).env_remove("NO_COLOR").env("HOME", dir);
    command
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A directory with the files.
fn dir(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text.replace("DIR", dir.path().to_str().unwrap())).unwrap();
    }
    dir
}

const SITE: &str = "\
- name: Here
  hosts: localhost
  tasks:
    - name: A file
      copy:
        dest: DIR/made.conf
        content: |
          port = 1
        mode: \"0640\"
";

#[test]
fn plan_then_apply_then_nothing() {
    let dir = dir(&[("site.yml", SITE)]);
    let made = dir.path().join("made.conf");

    let plan = trueup(dir.path(), "plan --exit-code -i localhost, site.yml");
    assert_eq!(plan.status.code(), Some(3), "{}", err(&plan));
    assert!(out(&plan).contains("+port = 1\n"), "{}", out(&plan));
    assert!(out(&plan).ends_with("Plan: 1 to change on 1 host. Nothing was changed.\n"), "{}", out(&plan));
    assert!(!made.exists());

    let apply = trueup(dir.path(), "apply -i localhost, site.yml");
    assert_eq!(apply.status.code(), Some(0), "{}", err(&apply));
    assert!(out(&apply).contains("localhost                  : ok=1    changed=1 "), "{}", out(&apply));
    assert_eq!(fs::read_to_string(&made).unwrap(), "port = 1\n");

    let again = trueup(dir.path(), "apply -i localhost, site.yml");
    assert!(out(&again).contains(": ok=1    changed=0 "), "{}", out(&again));
    let plan = trueup(dir.path(), "plan --exit-code -i localhost, site.yml");
    assert_eq!(plan.status.code(), Some(0));
    assert!(out(&plan).ends_with("Plan: nothing to change, 1 ok on 1 host. Nothing was changed.\n"), "{}", out(&plan));
}

#[test]
fn a_preview_knows_no_result_of_what_it_does_not_run() {
    let dir = dir(&[(
        "site.yml",
        "\
- hosts: localhost
  tasks:
    - name: Ask
      command: echo 42
      changed_when: false
      register: answer
    - name: Tell
      debug: {msg: '{{ answer.stdout }}'}
",
    )]);
    let plan = trueup(dir.path(), "plan -i localhost, site.yml");
    assert_eq!(plan.status.code(), Some(0), "{}", out(&plan));
    assert!(out(&plan).contains("unknown (known after Ask): localhost"), "{}", out(&plan));
    let apply = trueup(dir.path(), "apply -i localhost, site.yml");
    assert!(out(&apply).contains("msg: 42\n"), "{}", out(&apply));
}

#[test]
fn json_is_one_event_a_line() {
    let dir = dir(&[("site.yml", SITE)]);
    let plan = trueup(dir.path(), "plan --json -i localhost, site.yml");
    let text = out(&plan);
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["Schema"]["version"], 1);
    assert_eq!(lines[1]["RunStarted"]["preview"], true);
    assert!(lines.last().unwrap()["RunFinished"]["recap"].is_array(), "{text}");
}

#[test]
fn colour_is_for_who_asks() {
    let dir = dir(&[("site.yml", SITE)]);
    let plain = trueup(dir.path(), "plan -i localhost, site.yml");
    assert!(!out(&plain).contains('\x1b'), "{}", out(&plain));
    let coloured = trueup(dir.path(), "plan --color always -i localhost, site.yml");
    assert!(out(&coloured).contains("\x1b[32m+port = 1\x1b[0m"), "{}", out(&coloured));
}

#[test]
fn what_is_wrong_is_said_and_is_the_exit_status() {
    let dir = dir(&[
        ("site.yml", SITE),
        ("syntax.yml", "- hosts: [\n"),
        ("keyword.yml", "- hosts: localhost\n  taks: []\n"),
        ("module.yml", "- hosts: localhost\n  tasks:\n    - copi: {dest: /x}\n"),
        ("param.yml", "- hosts: localhost\n  tasks:\n    - copy: {dest: /x, contnt: a}\n"),
        ("fail.yml", "- hosts: localhost\n  tasks:\n    - fail: {msg: enough}\n"),
        ("vault.yml", "- hosts: localhost\n  vars_files: [sealed.yml]\n  tasks: []\n"),
        ("undefined.yml", "- hosts: localhost\n  tasks:\n    - debug: {msg: '{{ nowhere }}'}\n"),
        ("any.yml", "- hosts: all\n  tasks:\n    - stat: {path: /}\n"),
        ("empty", "\n"),
    ]);
    fs::write(dir.path().join("sealed.yml"), "a: 1\n").unwrap();
    fs::write(dir.path().join("right"), "right\n").unwrap();
    fs::write(dir.path().join("wrong"), "wrong\n").unwrap();
    let sealed = trueup(dir.path(), "vault encrypt sealed.yml --vault-password-file right");
    assert_eq!(sealed.status.code(), Some(0), "{}", err(&sealed));

    let table: &[(&str, i32, &[&str])] = &[
        ("plan --bogus -i localhost, site.yml", 5, &["unexpected argument '--bogus'"]),
        ("plan site.yml", 5, &["no inventory was given"]),
        ("plan -i localhost, --forks 0 site.yml", 5, &["invalid value '0'"]),
        ("plan -i localhost, --vault-id prod site.yml", 5, &["does not say where the password is"]),
        ("plan -i localhost, --vault-password-file empty site.yml", 1, &["`empty` holds no password"]),
        ("plan -i localhost, none.yml", 4, &["failed to read `none.yml`"]),
        ("plan -i none, site.yml -l nobody", 1, &["nobody"]),
        ("plan -i localhost, syntax.yml", 4, &["error", "syntax.yml:2:1"]),
        ("plan -i localhost, keyword.yml", 4, &["keyword.yml:2:3", "did you mean `tasks`?"]),
        ("plan -i localhost, module.yml", 4, &["module.yml:3:7", "did you mean `copy`?"]),
        ("plan -i localhost, param.yml", 4, &["param.yml:3:24", "did you mean `content`?"]),
        ("plan -i localhost, vault.yml", 4, &["no vault password was given", "--vault-password-file"]),
        ("plan -i localhost, vault.yml --vault-password-file wrong", 4, &["sealed.yml", "does not open"]),
        ("plan -i localhost, vault.yml --vault-password-file right", 0, &[]),
        ("apply -i localhost, fail.yml", 2, &[]),
        ("apply -i localhost, undefined.yml", 2, &[]),
        ("apply -i far, -e ansible_host=127.0.0.1 -e ansible_port=1 any.yml", 4, &[]),
        ("vault view sealed.yml --vault-password-file wrong", 1, &["vault password `default` does not open"]),
        ("vault view site.yml --vault-password-file right", 1, &["is not a readable vault"]),
        ("modules copi", 1, &["there is no module `copi`", "did you mean `copy`?"]),
        ("--help", 0, &[]),
        ("modules copy", 0, &[]),
    ];
    let mut wrong = Vec::new();
    for (line, code, said) in table {
        let output = trueup(dir.path(), line);
        let told = err(&output);
        if output.status.code() != Some(*code) || said.iter().any(|words| !told.contains(words)) {
            wrong.push(format!("{line}: {} instead of {code} and {said:?}\n{}{told}", output.status, out(&output)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn ctrl_c_says_what_was_done_and_what_was_under_way() {
    let long = "    - name: Long\n      command: sleep 987654\n";
    let dir = dir(&[("site.yml", &format!("{SITE}{long}"))]);
    let mut child = command(dir.path(), "apply --json -i localhost, site.yml").stdout(Stdio::piped()).spawn().unwrap();
    let mut events = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    events.find(|line| line.contains("Running") && line.contains("Long")).unwrap();
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    let end = events.last().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(99));
    assert!(end.contains(r#""cancelled":true"#) && end.contains(r#""changed":1"#), "{end}");
}

#[test]
fn failures_are_results() {
    let dir = dir(&[
        ("fail.yml", "- hosts: localhost\n  tasks:\n    - fail: {msg: enough}\n"),
        ("any.yml", "- hosts: all\n  tasks:\n    - stat: {path: /}\n"),
    ]);
    let failed = trueup(dir.path(), "apply -i localhost, fail.yml");
    assert!(out(&failed).contains("FAILED: localhost\n    enough\n"), "{}", out(&failed));
    let far = trueup(dir.path(), "apply -i far, -e ansible_host=127.0.0.1 -e ansible_port=1 any.yml");
    assert!(
        out(&far).contains("UNREACHABLE far\n    failed to connect to 127.0.0.1:1: connection refused\n"),
        "{}",
        out(&far)
    );
}
