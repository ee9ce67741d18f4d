//! The program called by the names of Ansible's. What is expected is what ansible-core 2.19 printed for the same files.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use super::{dir, err, out};

/// Runs the program by another name, which a link in the directory gives it.
pub(super) fn called(dir: &Path, name: &str, line: &str) -> Output {
    program(dir, name, line).output().expect("the program can be started")
}

/// The same, not yet begun.
pub(super) fn program(dir: &Path, name: &str, line: &str) -> Command {
    let link = dir.join(name);
    if !link.exists() {
        symlink(env!("CARGO_BIN_EXE_trueup"), &link).unwrap();
    }
    let mut command = Command::new(link);
    command.args(line.split_whitespace()).current_dir(dir).env("HOME", dir).env_remove("ANSIBLE_CONFIG");
    command
}

const HOSTS: &str =
    "[web]\nh1 ansible_connection=local\n[db]\nh2 ansible_connection=local color=red\n[db:vars]\nport=5\n";

#[test]
fn ansible_playbook() {
    let play = "\
- name: First
  hosts: all
  gather_facts: false
  tasks:
    - name: Say
      debug: {msg: \"hi {{ inventory_hostname }}\"}
    - ping:
    - command: echo {{ item }}
      loop: [a, b]
      changed_when: item == 'a'
    - command: echo x
      when: inventory_hostname == 'h1'
    - name: End
      fail: {msg: enough}
      when: inventory_hostname == 'h2'
";
    let dir = dir(&[("hosts", HOSTS), ("site.yml", play), ("ansible.cfg", "[defaults]\ninventory = hosts\n")]);
    let output = called(dir.path(), "ansible-playbook", "site.yml -f 5 -D");
    assert_eq!(output.status.code(), Some(2), "{}", err(&output));
    let shown = out(&output).replace(&dir.path().display().to_string(), "DIR");
    let lines: Vec<&str> = shown.lines().map(str::trim_end).collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"

    PLAY [First] *******************************************************************

    TASK [Say] *********************************************************************
    ok: [h1] => {
        "msg": "hi h1"
    }
    ok: [h2] => {
        "msg": "hi h2"
    }

    TASK [ping] ********************************************************************
    ok: [h1]
    ok: [h2]

    TASK [command] *****************************************************************
    changed: [h1] => (item=a)
    ok: [h1] => (item=b)
    changed: [h2] => (item=a)
    ok: [h2] => (item=b)

    TASK [command] *****************************************************************
    changed: [h1]
    skipping: [h2]

    TASK [End] *********************************************************************
    skipping: [h1]
    [ERROR]: Task failed: Action failed: enough
    Origin: DIR/site.yml:13:7

    11     - command: echo x
    12       when: inventory_hostname == 'h1'
    13     - name: End
             ^ column 7

    fatal: [h2]: FAILED! => {"changed": false, "msg": "enough"}

    PLAY RECAP *********************************************************************
    h1                         : ok=4    changed=2    unreachable=0    failed=0    skipped=1    rescued=0    ignored=0
    h2                         : ok=3    changed=1    unreachable=0    failed=1    skipped=1    rescued=0    ignored=0
    "#);
    let output = called(dir.path(), "ansible-playbook", "site.yml --limit h1 --syntax-check");
    assert_eq!((output.status.code(), out(&output).as_str()), (Some(0), "\nplaybook: site.yml\n"));
    assert_eq!(called(dir.path(), "ansible-playbook", "site.yml --no-such-option").status.code(), Some(2));
    assert_eq!(called(dir.path(), "ansible-playbook", "nowhere.yml").status.code(), Some(1));
}

#[test]
fn ansible() {
    let dir = dir(&[("hosts", HOSTS)]);
    let output = called(dir.path(), "ansible", "-i hosts all -m ping");
    let pong = |host| format!("{host} | SUCCESS => {{\n    \"changed\": false,\n    \"ping\": \"pong\"\n}}\n");
    assert_eq!(out(&output), pong("h1") + &pong("h2"), "{}", err(&output));
    let output = called(dir.path(), "ansible", "-i hosts web -a hostname.no.such");
    assert_eq!(output.status.code(), Some(2), "{}", err(&output));
    let output = called(dir.path(), "ansible", "-i hosts web -a echo");
    assert_eq!(out(&output), "h1 | CHANGED | rc=0 >>\n\n", "{}", err(&output));
}

#[test]
fn ansible_inventory() {
    let dir = dir(&[("hosts", HOSTS)]);
    let shown = |line: &str| out(&called(dir.path(), "ansible-inventory", line));
    assert_eq!(shown("-i hosts --graph db"), "@db:\n  |--h2\n");
    assert_eq!(
        shown("-i hosts --host h2"),
        "{\n    \"ansible_connection\": \"local\",\n    \"color\": \"red\",\n    \"port\": 5\n}\n"
    );
    insta::assert_snapshot!(shown("-i hosts --list"), @r#"
    {
        "_meta": {
            "hostvars": {
                "h1": {
                    "ansible_connection": "local"
                },
                "h2": {
                    "ansible_connection": "local",
                    "color": "red",
                    "port": 5
                }
            },
            "profile": "inventory_legacy"
        },
        "all": {
            "children": [
                "ungrouped",
                "web",
                "db"
            ]
        },
        "db": {
            "hosts": [
                "h2"
            ]
        },
        "web": {
            "hosts": [
                "h1"
            ]
        }
    }
    "#);
}

#[test]
fn ansible_inventory_in_other_forms() {
    let dir = dir(&[("hosts", HOSTS)]);
    let output = called(dir.path(), "ansible-inventory", "-i hosts --host h3");
    assert_eq!(output.status.code(), Some(5));
    insta::assert_snapshot!(err(&output), @r"
    [ERROR]: You must pass a single valid host to --host parameter
    Hint: did you mean `h1`?
    ");
    let table = [
        ("-i hosts", "No action selected, at least one of --host, --graph or --list needs to be specified."),
        ("-i hosts --list --graph", "Conflicting options used, only one of"),
        ("-i hosts --graph h1", "Pattern must be valid group name when using --graph"),
    ];
    for (args, said) in table {
        let output = called(dir.path(), "ansible-inventory", args);
        assert!(output.status.code() == Some(5) && err(&output).contains(said), "{args}: {}", err(&output));
    }
    insta::assert_snapshot!(out(&called(dir.path(), "ansible-inventory", "-i hosts --list --yaml --limit h2")), @r"
    all:
      children:
        db:
          hosts:
            h2:
              ansible_connection: local
              color: red
              port: 5
    ");
}

/// What ansible-playbook and ansible of ansible-core 2.19 printed for the same files.
#[test]
fn callbacks() {
    let site = "- hosts: h1\n  gather_facts: false\n  tasks:\n    - include_tasks: i.yml\n";
    let cfg = "[defaults]\ncallback_result_format = yaml\ndisplay_skipped_hosts = no\n";
    let tasks = "- debug: { msg: { a: [1, two], b: \"x\\ny\\n\" } }\n- debug:\n  when: false\n";
    let dir = dir(&[("hosts", HOSTS), ("site.yml", site), ("i.yml", tasks), ("ansible.cfg", cfg)]);
    let printed = out(&called(dir.path(), "ansible-playbook", "-i hosts site.yml"));
    let included = format!("included: {}/i.yml for h1\n", std::fs::canonicalize(dir.path()).unwrap().display());
    assert!(printed.contains(&included), "{printed}");
    assert!(printed.contains("ok: [h1] => \n    msg:\n        a:\n        - 1\n        - two\n        b: |-\n            x\n            y\n\n"), "{printed}");
    assert!(!printed.contains("skipping"), "{printed}");
    let told = |args: &str| out(&called(dir.path(), "ansible", args));
    assert_eq!(told("-i hosts h1 -o -m shell -a true"), "h1 | CHANGED | rc=0 | (stdout) \n");
    assert_eq!(told("-i hosts h1 -o -m ping"), "h1 | SUCCESS => {\"changed\": false,\"ping\": \"pong\"}\n");
    assert_eq!(called(dir.path(), "ansible", "-i hosts h1 -m command").status.code(), Some(5));
}

#[test]
fn settings_are_shown_with_their_origin() {
    let dir = dir(&[("ansible.cfg", "[defaults]\nforks = 7\n"), ("trueup.toml", "remote_user = \"admin\"\n")]);
    let shown = out(&called(dir.path(), "ansible-config", "dump --only-changed"));
    insta::assert_snapshot!(shown.replace(&dir.path().display().to_string(), "DIR"), @r"
    CONFIG_FILE() = DIR/ansible.cfg
    DEFAULT_FORKS(DIR/ansible.cfg) = 7
    DEFAULT_REMOTE_USER(DIR/trueup.toml) = admin

    GALAXY_SERVERS:
    ");
    let shown = out(&called(dir.path(), "ansible-config", "dump --only-changed --format json"));
    let parsed: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(parsed[1]["value"], 7, "{shown}");
    let shown = out(&called(dir.path(), "ansible-config", "dump"));
    // As ansible-core 2.19 prints them.
    for line in [
        "ANY_ERRORS_FATAL(default) = False",
        "CALLBACKS_ENABLED(default) = []",
        "DEFAULT_BECOME_USER(default) = root",
        "DEFAULT_PRIVATE_KEY_FILE(default) = None",
        "DEFAULT_TIMEOUT(default) = 10",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    let output = called(dir.path(), "trueup", "config --only-changed");
    insta::assert_snapshot!(out(&output).replace(&dir.path().display().to_string(), "DIR"), @r"
    forks = 7  # DIR/ansible.cfg:2; how many hosts are worked on at the same time
    remote_user = admin  # DIR/trueup.toml:1; the user to log in as
    ");
    std::fs::write(dir.path().join("trueup.toml"), "forks = true\n").unwrap();
    let output = called(dir.path(), "trueup", "config");
    assert_eq!(output.status.code(), Some(4));
    assert!(err(&output).contains("the setting `forks` must be a whole number, not `true`"), "{}", err(&output));
}

#[test]
fn ansible_vault_and_ansible_doc() {
    let dir = dir(&[("pw", "x\n"), ("vars.yml", "a: 1\n"), ("ansible.cfg", "[defaults]\nvault_password_file = pw\n")]);
    assert_eq!(called(dir.path(), "ansible-vault", "encrypt vars.yml").status.code(), Some(0));
    assert_eq!(out(&called(dir.path(), "ansible-vault", "view vars.yml")), "a: 1\n");
    assert!(out(&called(dir.path(), "ansible-doc", "ansible.builtin.blockinfile")).starts_with("file_block"));
    assert!(out(&called(dir.path(), "ansible-doc", "-l")).contains("slurp"));
}

const LISTED: &str = "\
- name: One
  hosts: all
  tags: [p]
  pre_tasks:
    - { name: Pre, ping: }
  roles: [r]
  tasks:
    - { name: A, ping: , tags: [b, a] }
    - block:
        - ping:
        - { name: I, include_tasks: y.yml }
      tags: blk
    - meta: flush_handlers
    - { import_tasks: y.yml, tags: imp }
  handlers: [{ name: H, ping: }]
- hosts: h1:h2
  serial: 1
  tasks: [{ shell: echo }]
";

/// A directory in which [`LISTED`] can be run.
fn listed() -> TempDir {
    dir(&[
        ("hosts", HOSTS),
        ("site.yml", LISTED),
        ("y.yml", "- { name: Y, ping: }\n"),
        ("roles/r/tasks/main.yml", "- { name: R, ping: }\n"),
    ])
}

#[test]
fn what_a_playbook_would_do_is_listed() {
    let dir = listed();
    let output = called(dir.path(), "ansible-playbook", "-i hosts site.yml --list-tasks --list-hosts --list-tags");
    insta::assert_snapshot!(out(&output).replace('\t', " TAB "), @r"
    playbook: site.yml

      play #1 (all): One TAB TAGS: [p]
        pattern: ['all']
        hosts (2):
          h1
          h2
        tasks:
          Pre TAB TAGS: [p]
          r : R TAB TAGS: [p]
          A TAB TAGS: [a, b, p]
          ping TAB TAGS: [blk, p]
          I TAB TAGS: [blk, p]
          meta TAB TAGS: [p]
          Y TAB TAGS: [imp, p]
          TASK TAGS: [a, b, blk, imp, p]

      play #2 (h1:h2): h1:h2 TAB TAGS: []
        pattern: ['h1:h2']
        hosts (2):
          h1
          h2
        tasks:
          shell TAB TAGS: []
          TASK TAGS: []
    ");
}

#[test]
fn plays_that_have_no_host_are_listed_as_well() {
    let site = "\
- name: Nobody
  hosts: nowhere
  roles: [{ role: r, tags: t }]
  tasks:
    - include_role: { name: r }
    - { name: Named, include_role: { name: r } }
";
    let tasks = "- ping:\n- { name: R, ping: }\n";
    let dir = dir(&[("hosts", HOSTS), ("site.yml", site), ("roles/r/tasks/main.yml", tasks)]);
    let output = called(dir.path(), "ansible-playbook", "-i hosts site.yml --list-tasks --list-hosts");
    insta::assert_snapshot!(out(&output).replace('\t', " TAB "), @r"
    playbook: site.yml

      play #1 (nowhere): Nobody TAB TAGS: []
        pattern: ['nowhere']
        hosts (0):
        tasks:
          ping TAB TAGS: [t]
          r : R TAB TAGS: [t]
          include_role TAB TAGS: []
          Named TAB TAGS: []
    ");
}

#[test]
fn a_run_can_start_at_a_task() {
    let dir = listed();
    let output =
        called(dir.path(), "ansible-playbook", "-i hosts site.yml --list-tasks --start-at-task imp* --tags imp,blk");
    insta::assert_snapshot!(err(&output), @r#"
    [ERROR]: No matching task "imp*" found. Note: --start-at-task can only follow static includes.
    What an include brings is not known before its turn comes
    "#);
    let output = called(dir.path(), "ansible-playbook", "-i hosts site.yml --list-tasks --start-at-task I");
    insta::assert_snapshot!(out(&output).replace('\t', " TAB "), @r"
    playbook: site.yml

      play #1 (all): One TAB TAGS: [p]
        tasks:
          I TAB TAGS: [blk, p]
          meta TAB TAGS: [p]
          Y TAB TAGS: [imp, p]

      play #2 (h1:h2): h1:h2 TAB TAGS: []
        tasks:
          shell TAB TAGS: []
    ");
    let output = called(dir.path(), "ansible", "-i hosts h1:h2 --list-hosts");
    insta::assert_snapshot!(out(&output), @r"
    hosts (2):
      h1
      h2
    ");
}

#[test]
fn handlers_can_be_forced() {
    let play = "\
- hosts: h1
  gather_facts: false
  tasks:
    - { command: echo, notify: H }
    - fail:
  handlers: [{ name: H, debug: { msg: handled } }]
";
    let dir = dir(&[("hosts", HOSTS), ("site.yml", play)]);
    assert!(!out(&called(dir.path(), "ansible-playbook", "-i hosts site.yml")).contains("handled"));
    assert!(out(&called(dir.path(), "ansible-playbook", "-i hosts site.yml --force-handlers")).contains("handled"));
}

#[test]
fn what_is_not_there_and_what_is_written_wrongly_end_differently() {
    let task = |task: &str| format!("- {{hosts: h1, gather_facts: false, tasks: [{task}]}}\n");
    let (play, tasks) = (task("{ping: }"), task("{import_tasks: no.yml}"));
    let (role, wrong) = (task("{import_role: {name: no}}"), task("{ping: , nonsense: 1}"));
    let dir = dir(&[
        ("hosts", HOSTS),
        ("site.yml", &play),
        ("tasks.yml", &tasks),
        ("role.yml", &role),
        ("playbook.yml", "- import_playbook: no.yml\n"),
        ("wrong.yml", &wrong),
    ]);
    // As ansible-core 2.19.14 ends.
    let table = [
        ("site.yml", 0),
        ("site.yml --limit nowhere", 1),
        ("site.yml --limit h1:!h1", 1),
        ("tasks.yml", 1),
        ("role.yml", 1),
        ("role.yml --list-tasks", 1),
        ("playbook.yml", 1),
        ("wrong.yml", 4),
    ];
    for (line, status) in table {
        let output = called(dir.path(), "ansible-playbook", &format!("-i hosts {line}"));
        assert_eq!(output.status.code(), Some(status), "{line}: {}", err(&output));
    }
}

#[test]
fn roles_are_found_where_the_settings_say() {
    let play = "- {hosts: h1, roles: [mine]}\n";
    let cfg = "[defaults]\nroles_path = nowhere:elsewhere\n";
    let dir = dir(&[("hosts", HOSTS), ("site.yml", play), ("ansible.cfg", cfg)]);
    let checked = || called(dir.path(), "ansible-playbook", "-i hosts --syntax-check site.yml").status.code();
    assert_eq!(checked(), Some(1), "there is no such role yet");
    let tasks = dir.path().join("elsewhere/mine/tasks");
    std::fs::create_dir_all(&tasks).unwrap();
    std::fs::write(tasks.join("main.yml"), "- ping:\n").unwrap();
    assert_eq!(checked(), Some(0));
}
