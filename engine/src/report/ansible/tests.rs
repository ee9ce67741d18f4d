//! A run as Ansible's callback prints it; compared with the output of ansible-core 2.19 for the same playbook.

use std::sync::Arc;

use insta::assert_snapshot;
use serde_json::{Value, json};
use trueup_modules::edit::Diff;
use trueup_modules::plan::Data;

use super::*;
use crate::event::Recap;

fn info(name: &str, module: &str, step: usize) -> Arc<TaskInfo> {
    Arc::new(TaskInfo { name: name.into(), module: module.into(), place: "<test>".into(), handler: false, step })
}

fn result(host: &str, task: &Arc<TaskInfo>, status: Status, data: Value) -> TaskResult {
    TaskResult {
        host: host.into(),
        delegated_to: None,
        task: task.clone(),
        item: None,
        loop_vars: serde_json::Map::new(),
        status,
        diffs: Vec::new(),
        data: data.as_object().cloned().unwrap_or_default(),
        warnings: Vec::new(),
        causes: Vec::new(),
        conditional: None,
        seconds: 0.1,
    }
}

fn failed(error: &str, ignored: bool) -> Status {
    Status::Failed { error: error.into(), hint: None, explanation: None, ignored }
}

fn told(events: Vec<Event>) -> String {
    told_with(Verbosity::default(), events)
}

fn told_with(verbosity: Verbosity, events: Vec<Event>) -> String {
    let mut out = Vec::new();
    let mut reporter = Ansible::new(&mut out, verbosity);
    events.iter().for_each(|event| reporter.event(event).unwrap());
    reporter.end().unwrap();
    String::from_utf8(out).unwrap()
}

fn one(result: TaskResult) -> Event {
    Event::Result(result.into())
}

#[test]
fn a_run() {
    let (say, run) = (info("Say", "debug", 0), info("Run", "command", 1));
    let hosts = vec!["h1".to_owned(), "h2".to_owned()];
    let recap = Recap { ok: 2, changed: 1, ..Recap::default() };
    let out = told(vec![
        Event::RunStarted { preview: false, tasks: 2, hosts },
        Event::PlayStarted { play: "First".into() },
        Event::TaskStarted { task: say.clone() },
        one(result("h2", &say, Status::Ok, json!({"msg": {"b": [1, null], "a": "x"}, "changed": false}))),
        one(result("h1", &say, Status::Ok, json!({"msg": "hi", "changed": false}))),
        Event::TaskStarted { task: run.clone() },
        one(result("h1", &run, Status::Changed, json!({"rc": 0}))),
        one(result(
            "h2",
            &run,
            failed("false failed with status 1", true),
            json!({"rc": 1, "stdout": "", "cmd": ["false"], "msg": "non-zero return code"}),
        )),
        Event::Unreachable { host: "h2".into(), reason: "no route".into(), hints: Vec::new() },
        Event::RunFinished { recap: vec![("h1".into(), recap)], cancelled: false, batches: 1 },
    ]);
    assert_snapshot!(out, @r#"
    PLAY [First] *******************************************************************

    TASK [Say] *********************************************************************
    ok: [h1] => {
        "msg": "hi"
    }
    ok: [h2] => {
        "msg": {
            "a": "x",
            "b": [
                1,
                null
            ]
        }
    }

    TASK [Run] *********************************************************************
    changed: [h1]
    [ERROR]: Task failed: Module failed: non-zero return code

    fatal: [h2]: FAILED! => {"changed": true, "cmd": ["false"], "msg": "non-zero return code", "rc": 1, "stdout": ""}
    ...ignoring
    fatal: [h2]: UNREACHABLE! => {"changed": false, "msg": "no route", "unreachable": true}

    PLAY RECAP *********************************************************************
    h1                         : ok=2    changed=1    unreachable=0    failed=0    skipped=0    rescued=0    ignored=0
    "#);
}

#[test]
fn loops_and_retries() {
    let task = info("Loop", "command", 0);
    let item = |item: &str, status| {
        let loop_vars =
            Data::from_iter([("ansible_loop_var", "thing"), ("thing", item)].map(|(n, v)| (n.into(), v.into())));
        TaskResult { item: Some(item.into()), loop_vars, ..result("h1", &task, status, json!({})) }
    };
    let skipped = || Status::Skipped { because: "false".into() };
    let out = told(vec![
        Event::Retrying { host: "h1".into(), task: "Loop".into(), left: 1 },
        Event::TaskStarted { task: task.clone() },
        one(item(r#"{"k":"v","n":null}"#, Status::Changed)),
        one(item("b", failed("no", false))),
        Event::TaskStarted { task: info("Next", "command", 1) },
        one(item("a", skipped())),
        one(item("b", skipped())),
    ]);
    assert_snapshot!(out, @r#"
    TASK [Loop] ********************************************************************
    FAILED - RETRYING: [h1]: Loop (2 retries left).
    changed: [h1] => (item={'k': 'v', 'n': None})
    [ERROR]: Task failed: Module failed: no

    failed: [h1] (item=b) => {"ansible_loop_var": "thing", "changed": false, "msg": "no", "thing": "b"}

    TASK [Next] ********************************************************************
    skipping: [h1] => (item=a) 
    skipping: [h1] => (item=b) 
    skipping: [h1]
    "#);
}

#[test]
fn what_is_withheld_and_what_is_asked_for() {
    let task = info("Secret", "copy", 0);
    let withheld = result(
        "h1",
        &task,
        failed(crate::event::WITHHELD, false),
        json!({"censored": crate::event::CENSORED, "changed": true}),
    );
    let diff = Diff::new("/etc/motd", "content", "a\n", "b\n");
    let changed =
        TaskResult { diffs: vec![diff], ..result("h1", &task, Status::Changed, json!({"dest": "/etc/motd"})) };
    let verbosity = Verbosity { level: 1, diffs: true, ..Verbosity::default() };
    let out = told_with(verbosity, vec![Event::TaskStarted { task }, one(changed), one(withheld)]);
    assert_snapshot!(out, @r#"
    TASK [Secret] ******************************************************************
    --- before: /etc/motd
    +++ after: /etc/motd
    @@ -1 +1 @@
    -a
    +b

    changed: [h1] => {"changed": true, "dest": "/etc/motd"}
    fatal: [h1]: FAILED! => {"censored": "the output has been hidden due to the fact that 'no_log: true' was specified for this result", "changed": true}
    "#);
}

#[test]
fn a_play_without_hosts() {
    let out = told(vec![Event::PlaySkipped { play: "Nobody".into() }]);
    assert_snapshot!(out.trim(), @r"
    PLAY [Nobody] ******************************************************************
    skipping: no hosts matched
    ");
}
