//! What asks the user in a run: the debugger and `--step`. What is expected is what ansible-core 2.19 printed for the same files
//! and answers, but for what stands in `task.args` and how errors in expressions are told.

use std::io::Write as _;
use std::path::Path;
use std::process::{Output, Stdio};

use super::{dir, dropin::program, err, out};

const SITE: &str = "\
- hosts: h1
  gather_facts: false
  vars: { word: wrong }
  tasks:
    - name: Say
      command: \"test {{ word }} = right\"
      debugger: on_failed
    - command: \"test {{ word }} = wrong\"
";

/// Runs `ansible-playbook` and types these lines.
fn answered(dir: &Path, line: &str, answers: &str) -> Output {
    let mut command = program(dir, "ansible-playbook", line);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(answers.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// What stands behind the prompt, answer by answer.
fn told(output: &Output) -> Vec<String> {
    let text = out(output);
    text.split("[h1] TASK: Say (debug)> ").skip(1).map(|part| part.trim_end().to_owned()).collect()
}

#[test]
fn a_failed_task_is_looked_at_mended_and_run_again() {
    let dir = dir(&[("hosts", "h1 ansible_connection=local\n"), ("site.yml", SITE)]);
    let answers = "\
p task
p task.args
p task_vars['word']
p result._result.rc + 1
p host
p nonsense
task_vars['word'] = 'right'
u
r
";
    let output = answered(dir.path(), "-i hosts site.yml", answers);
    let told = told(&output);
    let (looked, rest) = told.split_at(told.len() - 3);
    assert_eq!(
        looked,
        ["TASK: Say", "{'_raw_params': 'test {{ word }} = right'}", "'wrong'", "2", "h1", "***'nonsense' is undefined"],
        "{}",
        err(&output)
    );
    assert_eq!(rest[..2], ["", ""]);
    // The variable is the task's alone: the next one has its own.
    assert!(rest[2].starts_with("changed: [h1]\n\nTASK [command] ***"), "{rest:?}");
    assert!(out(&output).contains("h1                         : ok=2    changed=2    unreachable=0    failed=0 "));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_parameter_can_be_given_anew() {
    let dir = dir(&[("hosts", "h1 ansible_connection=local\n"), ("site.yml", SITE)]);
    let output = answered(dir.path(), "-i hosts site.yml", "task.args['_raw_params'] = 'true'\nr\n");
    assert_eq!((output.status.code(), told(&output).len()), (Some(0), 2), "{}", out(&output));
    // `c` leaves it failed; without an answer the run ends as with `q`.
    let output = answered(dir.path(), "-i hosts site.yml", "c\n");
    assert_eq!(output.status.code(), Some(2), "{}", out(&output));
    assert!(out(&output).contains("failed=1"), "{}", out(&output));
    for answers in ["q\n", ""] {
        let output = answered(dir.path(), "-i hosts site.yml", answers);
        assert_eq!((output.status.code(), told(&output)), (Some(99), vec!["User interrupted execution".to_owned()]));
    }
}

#[test]
fn when_it_asks() {
    let task = |more: &str| format!("- hosts: h1\n  gather_facts: false\n  tasks:\n    - name: Say\n      {more}\n");
    let table = [
        ("command: \"false\"\n      debugger: never", "", 2),
        ("command: \"false\"\n      debugger: on_skipped", "", 2),
        ("command: \"true\"\n      when: false\n      debugger: on_skipped", "", 99),
        ("command: \"true\"\n      debugger: always", "", 99),
        ("command: \"true\"\n      debugger: on_failed", "", 0),
        ("command: \"false\"\n      ignore_errors: true\n      debugger: on_failed", "", 0),
        ("command: \"false\"", "ANSIBLE_ENABLE_TASK_DEBUGGER", 99),
        ("command: \"false\"\n      debugger: never", "ANSIBLE_ENABLE_TASK_DEBUGGER", 99),
    ];
    for (text, variable, status) in table {
        let dir = dir(&[("hosts", "h1 ansible_connection=local\n"), ("site.yml", &task(text))]);
        let mut command = program(dir.path(), "ansible-playbook", "-i hosts site.yml");
        if !variable.is_empty() {
            command.env(variable, "1");
        }
        let output = command.stdin(Stdio::null()).output().unwrap();
        let status = if text.ends_with("never") { 2 } else { status };
        assert_eq!(output.status.code(), Some(status), "{text}: {}", out(&output));
    }
    let dir =
        dir(&[("hosts", "h1 ansible_connection=local\n"), ("site.yml", &task("debug:\n      debugger: onfailed"))]);
    let output = answered(dir.path(), "-i hosts site.yml", "");
    assert_eq!(output.status.code(), Some(4));
    assert!(err(&output).contains("`debugger` must be `always`, `never`, `on_failed`,"), "{}", err(&output));
}

#[test]
fn tasks_step_by_step() {
    let dir = dir(&[("hosts", "h1 ansible_connection=local\n"), ("site.yml", SITE)]);
    let output = answered(dir.path(), "-i hosts site.yml --step", "n\ny\n");
    insta::assert_snapshot!(out(&output).replace(" \n", "_\n"), @r"

    PLAY [h1] **********************************************************************
    Perform task: TASK: Say (N)o/(y)es/(c)ontinue:_
    Perform task: TASK: Say (N)o/(y)es/(c)ontinue: *********************************
    Perform task: TASK: command (N)o/(y)es/(c)ontinue:_
    Perform task: TASK: command (N)o/(y)es/(c)ontinue: *****************************

    TASK [command] *****************************************************************
    changed: [h1]

    PLAY RECAP *********************************************************************
    h1                         : ok=1    changed=1    unreachable=0    failed=0    skipped=0    rescued=0    ignored=0  _
    ");
    let output = answered(dir.path(), "-i hosts site.yml --step", "c\nc\n");
    assert_eq!(out(&output).matches("Perform task: ").count(), 2, "{}", out(&output));
}
