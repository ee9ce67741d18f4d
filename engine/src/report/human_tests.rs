use insta::assert_snapshot;
use serde_json::json;
use trueup_modules::edit::{Diff, Shown};

use super::*;

/// Both streams of a run told on a pipe, standard error's lines behind `! `.
fn told(view: View, events: &[Event]) -> String {
    let mut human = Human::new(view);
    let mut out = String::new();
    for event in events {
        let page = human.event(event);
        out.push_str(&page.out);
        out.push_str(&indent(&page.err, "! "));
    }
    out + &human.end()
}

const BRIEF: View = View { paint: Paint::Plain, detail: Detail::Brief, diffs: Diffs::Preview };
const FULL: View = View { detail: Detail::Full, ..BRIEF };

fn start(preview: bool) -> Event {
    Event::RunStarted { preview, tasks: 3, hosts: ["h1", "h2", "h3"].map(str::to_owned).into() }
}

fn play(name: &str) -> Event {
    Event::PlayStarted { play: name.into() }
}

fn result(step: usize, name: &str, host: &str, status: Status) -> TaskResult {
    TaskResult {
        host: host.into(),
        delegated_to: None,
        task: TaskInfo {
            name: name.into(),
            module: "copy".into(),
            place: format!("site.yml:{}:7", step + 4),
            handler: false,
            step,
        }
        .into(),
        item: None,
        loop_vars: serde_json::Map::new(),
        status,
        diffs: Vec::new(),
        data: serde_json::Map::new(),
        warnings: Vec::new(),
        causes: Vec::new(),
        conditional: None,
        seconds: 0.1,
    }
}

fn event(result: TaskResult) -> Event {
    Event::Result(result.into())
}

fn finish(recaps: &[(&str, Recap)]) -> Event {
    let recap = recaps.iter().map(|(host, recap)| ((*host).to_owned(), *recap)).collect();
    Event::RunFinished { recap, cancelled: false, batches: 1 }
}

fn why(task: &str) -> Why {
    Why { after: task.into() }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a whole preview, as it is read")]
fn a_preview() {
    let create = |host| TaskResult {
        diffs: vec![
            Diff::new("/etc/a.conf", "content", Shown::Absent, "port = 1\n"),
            Diff::new("/etc/a.conf", "mode", Shown::Absent, "0644"),
        ],
        ..result(0, "Configuration", host, Status::Would)
    };
    let edit = TaskResult {
        diffs: vec![Diff::new("/etc/a.conf", "content", "# a\nport = 2\n", "# a\nport = 1\n")],
        ..result(0, "Configuration", "h3", Status::Would)
    };
    let unknown = |host| TaskResult {
        diffs: vec![Diff::new("unit pg.service", "active", Shown::Unknown, "active")],
        ..result(2, "Start", host, Status::Unknown(why("Install PostgreSQL")))
    };
    let secret = TaskResult {
        diffs: vec![Diff::new("/root/.pgpass", "content", Shown::Redacted, Shown::Redacted)],
        conditional: Some(why("Run the script")),
        item: Some("a".into()),
        ..result(3, "Password file", "h1", Status::Would)
    };
    let pending = Recap { ok: 2, changed: 1, unknown: 1, ..Recap::default() };
    let events = [
        start(true),
        play("Make it so"),
        event(edit),
        event(create("h2")),
        event(create("h1")),
        event(result(1, "Nothing to do", "h1", Status::Ok)),
        event(result(1, "Nothing to do", "h2", Status::Skipped { because: "tde".into() })),
        event(unknown("h1")),
        event(unknown("h2")),
        event(TaskResult { host: "h2".into(), conditional: None, ..secret.clone() }),
        event(secret),
        finish(&[("h1", pending), ("h2", pending)]),
    ];
    assert_snapshot!(told(BRIEF, &events), @r"

    PLAY Make it so

    TASK Configuration  site.yml:4:7
      would change: h1, h2
        /etc/a.conf  mode: (absent) → 0644
        --- /etc/a.conf (absent)
        +++ /etc/a.conf
        @@ -0,0 +1 @@
        +port = 1
      would change: h3
        --- /etc/a.conf
        +++ /etc/a.conf
        @@ -1,2 +1,2 @@
         # a
        -port = 2
        +port = 1

    TASK Start  site.yml:6:7
      unknown (known after Install PostgreSQL): h1, h2
        unit pg.service  active: (known after Install PostgreSQL) → active

    TASK Password file  site.yml:7:7
      would change: h1  (a)  conditional: known after Run the script
        /root/.pgpass  content: «redacted» → «redacted»
      would change: h2  (a)
        /root/.pgpass  content: «redacted» → «redacted»

    Plan: 2 to change, 2 known later, 2 ok on 2 hosts. Nothing was changed.
    ");
}

#[test]
fn a_run() {
    let long = TaskResult { seconds: 75.2, ..result(0, "Copy", "h2", Status::Changed) };
    let delegated = TaskResult { delegated_to: Some("h1".into()), ..result(0, "Copy", "h3", Status::Ok) };
    let mut handler = result(1, "Restart", "h2", Status::Changed);
    Arc::make_mut(&mut handler.task).handler = true;
    let mut message = result(2, "Say", "h1", Status::Ok);
    Arc::make_mut(&mut message.task).module = "debug".into();
    message.data.insert("msg".into(), json!("two\nlines"));
    let warned = TaskResult { warnings: vec!["mind the gap".into()], ..result(2, "Say", "h2", Status::Ok) };
    let events = [
        start(false),
        play("First"),
        Event::Retrying { host: "h2".into(), task: "Copy".into(), left: 1 },
        event(delegated),
        event(long),
        event(result(0, "Copy", "h1", Status::Ok)),
        play("Second"),
        event(handler),
        event(message),
        event(warned),
        finish(&[("h1", Recap { ok: 2, ..Recap::default() }), ("h2", Recap { ok: 3, changed: 2, ..Recap::default() })]),
    ];
    assert_snapshot!(told(BRIEF, &events), @r"
    ! h2: Copy: failed, 1 attempt left

    PLAY First

    TASK Copy  site.yml:4:7
      ok: h1, h3 -> h1
      changed: h2  1 min 15 s

    PLAY Second

    HANDLER Restart  site.yml:5:7
      changed: h2

    TASK Say  site.yml:6:7
      ok: h1
        msg:
          two
          lines
      ok: h2
        warning: mind the gap

    PLAY RECAP
    h1                         : ok=2    changed=0    unreachable=0    failed=0    skipped=0    rescued=0    ignored=0
    h2                         : ok=3    changed=2    unreachable=0    failed=0    skipped=0    rescued=0    ignored=0
    ");
}

#[test]
fn failures() {
    let failed = |ignored| Status::Failed {
        error: "systemctl start pg failed with status 1".into(),
        hint: Some("look at the unit's log".into()),
        explanation: Some("FATAL: out of space\nstopped \x1b[2J".into()),
        ignored,
    };
    let unreachable = Event::Unreachable {
        host: "h3".into(),
        reason: "failed to connect to 10.0.0.3:22: connection refused".into(),
        hints: vec!["is sshd running there?".into()],
    };
    let events = [
        start(false),
        play("First"),
        Event::Running { host: "h3".into(), task: "Copy".into() },
        unreachable,
        Event::Running { host: "h1".into(), task: "Start".into() },
        Event::Running { host: "h4".into(), task: "Copy".into() },
        event(result(0, "Start", "h1", failed(false))),
        event(result(0, "Start", "h2", failed(true))),
        Event::Warning("a handler was not run".into()),
        Event::RunFinished { recap: Vec::new(), cancelled: true, batches: 1 },
    ];
    assert_snapshot!(told(BRIEF, &events), @r"

    PLAY First

    UNREACHABLE h3
        failed to connect to 10.0.0.3:22: connection refused
        while `Copy` was under way
        hint: is sshd running there?
    ! warning: a handler was not run

    TASK Start  site.yml:4:7
      FAILED: h1
        systemctl start pg failed with status 1
        | FATAL: out of space
        | stopped ␛[2J
        hint: look at the unit's log
      failed (ignored): h2
        systemctl start pg failed with status 1
        | FATAL: out of space
        | stopped ␛[2J
        hint: look at the unit's log

    The run was cancelled.
      h4: Copy was under way; apply again to see to it
    ");
}

#[test]
fn all_of_it() {
    let mut ok = result(0, "Look", "h1", Status::Ok);
    ok.data.insert("stat".into(), json!({"exists": false}));
    let events = [
        start(true),
        play("First"),
        Event::Connected { host: "h1".into(), via: "10.0.0.1:22".into() },
        Event::Running { host: "h1".into(), task: "Look".into() },
        Event::Line { host: "h1".into(), stream: trueup_modules::system::Stream::Out, text: "a line".into() },
        event(ok),
        event(result(0, "Look", "h2", Status::Skipped { because: "when: tde".into() })),
    ];
    assert_snapshot!(told(FULL, &events), @r#"
    ! h1: connected: 10.0.0.1:22
    ! h1: Look
    ! h1 | a line

    PLAY First

    TASK Look  site.yml:4:7
      ok: h1
        stat: {"exists":false}
      skipped (when: tde): h2
    "#);
}

#[test]
fn many_hosts_are_counted() {
    let mut events = vec![start(false)];
    events.extend((0..30).map(|at| event(result(0, "Look", &format!("n{at:02}"), Status::Ok))));
    assert_snapshot!(told(BRIEF, &events), @r"

    TASK Look  site.yml:4:7
      ok: n00, n01, n02, n03, n04, n05, n06, n07, n08, n09, n10, n11 and 18 more
    ");
}
