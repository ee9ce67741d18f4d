//! Tasks that go on by themselves, and tasks that take too long.

use std::os::unix::fs::PermissionsExt;

use insta::assert_snapshot;
use trueup_tests::Case;

#[test]
fn a_job_goes_on_when_the_agent_is_gone() {
    let case = Case::tasks(
        1,
        r#"
- shell: echo $PPID
  name: The agent
  register: agent
- shell: "sleep 0.5; kill -9 {{ agent.stdout }}; echo done"
  name: Kill it, once it has told of the job
  async: 60
  poll: 1
  register: out
- debug: { msg: "{{ out.stdout }} {{ out.rc }}" }
  name: It has ended
- shell: ls ~/.ansible*/{{ out.ansible_job_id }}
  name: Nothing is left
  failed_when: nothing.rc == 0
  register: nothing
"#,
    );
    assert_snapshot!(case.apply_only().told(), @r"
    h1 changed The agent
    h1 changed Kill it, once it has told of the job
    h1 ok It has ended: done 0
    h1 changed Nothing is left
    ");
}

#[test]
fn a_job_goes_on_when_the_run_is_over() {
    let case = Case::tasks(
        1,
        r#"
- shell: "while ! test -e {{ d }}/go; do sleep 0.1; done; touch {{ d }}/done"
  name: Start
  async: 60
  poll: 0
  environment: { "ANSIBLE_ASYNC_D\u0049R": "{{ d }}/jobs" }
"#,
    );
    assert_snapshot!(case.apply_only().told(), @"h1 changed Start");
    assert!(!case.path("h1/done").exists());
    let mode = std::fs::metadata(case.path("h1/jobs")).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let case = case.file("h1/go", "");
    while !case.path("h1/done").exists() {
        std::thread::yield_now();
    }
}

#[test]
fn what_takes_no_time_is_refused() {
    let told = |keyword: &str| Case::tasks(1, &format!("- command: 'true'\n  {keyword}")).apply().told();
    assert_snapshot!(told("timeout: \"{{ 'soon' }}\""), @r"
    h1 failed command: `timeout` must be a whole number of seconds, and this is soon
      at DIR/site.yml:5:16
    ");
    assert_snapshot!(told("async: -1"), @r"
    h1 failed command: `async` must be a whole number of seconds, and this is -1
      at DIR/site.yml:5:14
    ");
    assert_snapshot!(told("async: 1\n  poll: \"{{ [] }}\""), @r"
    h1 failed command: `poll` must be a whole number of seconds, and this is []
      at DIR/site.yml:6:13
    ");
}
