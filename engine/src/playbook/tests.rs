//! What is read, and what is said about what cannot be.

use insta::assert_snapshot;
use trueup_modules::secret::Secret;

use super::*;
use crate::diagnostic::Paint;
use crate::value::Value;
use crate::vault;

fn read(text: &str) -> (Playbook, String) {
    let source = Arc::new(Source { path: "p.yml".into(), text: text.to_owned() });
    let mut diagnostics = Diagnostics::new();
    let playbook = parse(&source, &VaultPasswords::none(), &mut diagnostics);
    (playbook, diagnostics.render(Paint::Plain))
}

/// What is said about a task in a play.
fn said_of_task(task: &str) -> String {
    let mut text = "- hosts: all\n  tasks:\n".to_owned();
    for (nth, line) in task.lines().enumerate() {
        text.push_str(if nth == 0 { "    - " } else { "      " });
        text.push_str(line);
        text.push('\n');
    }
    let (playbook, said) = read(&text);
    let tasks = playbook.entries.iter().flat_map(|entry| match entry {
        Entry::Play(play) => play.tasks.as_slice(),
        Entry::Import(_) => &[],
    });
    let wrong = tasks.flat_map(|step| match step {
        Step::Task(task) => task.wrong.as_slice(),
        Step::Block(_) => &[],
    });
    wrong.fold(said, |said, wrong| said + &wrong.render(Paint::Plain))
}

fn play(text: &str) -> Play {
    let (mut playbook, said) = read(text);
    assert_eq!(said, "");
    match playbook.entries.remove(0) {
        Entry::Play(play) => *play,
        Entry::Import(_) => panic!("it is a play"),
    }
}

fn task(step: &Step) -> &Task {
    match step {
        Step::Task(task) => task,
        Step::Block(_) => panic!("it is a task"),
    }
}

fn texts(fields: &[Spanned<Field<String>>]) -> Vec<String> {
    let text = |field: &Spanned<Field<String>>| match &field.value {
        Field::Known(text) => text.clone(),
        Field::Template(template) => format!("<{}>", template.text),
    };
    fields.iter().map(text).collect()
}

const FULL: &str = r#"
- name: Database
  hosts: db:!old
  become: yes
  become_user: "{{ admin }}"
  gather_facts: no
  serial: [1, "30%"]
  tags: a, b
  vars: {pg_port: 5432}
  vars_files: [one.yml, [two.yml, three.yml]]
  roles:
    - base
    - {role: pg, version: 1, when: x, tags: [t]}
  tasks:
    - name: Copy
      ansible.builtin.copy: {src: a, dest: /b}
      when:
        - a == 1
        - true
      notify: Restart
      register: result
      until: result is success
      retries: 5
      delay: 0.5
      loop: "{{ things }}"
      loop_control: {loop_var: thing, label: "{{ thing.name }}"}
      changed_when: false
      failed_when: [result.rc > 1]
      async: 10
    - block:
        - command: ls -l /tmp creates=/x
          args: {chdir: /}
      rescue:
        - fail: msg="it is broken"
      always:
        - action: debug msg=done
      when: go
  handlers:
    - name: Restart
      service: name=pg state=restarted
      listen: [db changed]
"#;

#[test]
fn a_play_is_read_whole() {
    let play = play(FULL);
    assert_eq!(texts(&play.hosts), ["db:!old"]);
    assert!(matches!(play.common.escalation.enabled.as_ref().map(|f| &f.value), Some(Field::Known(true))));
    assert!(
        matches!(play.common.escalation.user.as_ref().map(|f| &f.value), Some(Field::Template(t)) if t.text == "{{ admin }}")
    );
    assert!(matches!(play.gather_facts.as_ref().map(|f| &f.value), Some(Field::Known(false))));
    let serial: Vec<_> = play.serial.iter().map(|batch| &batch.value).collect();
    assert_eq!(serial, [&Field::Known(Batch::Hosts(1)), &Field::Known(Batch::Percent(30.0))]);
    assert_eq!(texts(&play.common.tags), ["a", "b"]);
    assert_eq!(play.common.vars["pg_port"].value.to_value(), crate::value::Value::Int(5432));
    assert_eq!(
        play.vars_files.iter().map(|files| texts(files)).collect::<Vec<_>>(),
        [vec!["one.yml"], vec!["two.yml", "three.yml"]]
    );
    assert_eq!(play.roles.len(), 2);
    assert_eq!(play.roles[1].params.keys().collect::<Vec<_>>(), ["version"]);
    assert_eq!(play.roles[1].when[0].text, "x");
}

#[test]
fn a_task_is_read_whole() {
    let play = play(FULL);
    let copy = task(&play.tasks[0]);
    assert_eq!((copy.module.value.as_str(), copy.written.as_str()), ("copy", "ansible.builtin.copy"));
    assert_eq!(copy.module.span.to_string(), "p.yml:16:7");
    assert_eq!(copy.args.params.keys().collect::<Vec<_>>(), ["src", "dest"]);
    assert_eq!(copy.when.iter().map(|c| c.text.as_str()).collect::<Vec<_>>(), ["a == 1", "true"]);
    assert_eq!(texts(&copy.notify), ["Restart"]);
    assert_eq!(copy.register.as_ref().map(|name| name.value.as_str()), Some("result"));
    assert!(matches!(copy.retry.retries.as_ref().map(|f| &f.value), Some(Field::Known(5))));
    assert_eq!(copy.changed_when[0].text, "false");
    assert_eq!(copy.failed_when[0].text, "result.rc > 1");
    let looping = copy.looping.as_ref().expect("it has a loop");
    assert!(matches!(&looping.over, LoopOver::List(node) if node.is_template()));
    assert_eq!(looping.control.loop_var.as_ref().map(|name| name.value.as_str()), Some("thing"));
    assert!(matches!(copy.detached.seconds.as_ref().map(|f| &f.value), Some(Field::Known(10))));
}

#[test]
fn blocks_and_free_forms() {
    let play = play(FULL);
    let Step::Block(block) = &play.tasks[1] else { panic!("it is a block") };
    let command = task(&block.block[0]);
    assert_eq!(command.args.params.keys().collect::<Vec<_>>(), ["chdir", "creates"]);
    let free = command.args.free_form.as_ref().and_then(Node::as_scalar).map(|scalar| scalar.text.as_str());
    assert_eq!(free, Some("ls -l /tmp"));
    let fail = task(&block.rescue[0]);
    assert_eq!(fail.args.params["msg"].value.as_scalar().map(|s| s.text.as_str()), Some("it is broken"));
    let debug = task(&block.always[0]);
    assert_eq!((debug.module.value.as_str(), debug.args.params.len()), ("debug", 1));
    assert_eq!(block.when[0].text, "go");
    assert_eq!(texts(&task(&play.handlers[0]).listen), ["db changed"]);
}

#[test]
fn old_forms_of_actions() {
    let table = [
        ("- local_action: command ls -l", "command", 0, Some("ls -l"), true),
        ("- action: {module: copy, src: a, dest: b}", "copy", 2, None, false),
        ("- action: {module: copy src=a, args: {dest: b}}", "copy", 2, None, false),
        ("- community.postgresql.postgresql_query: {query: x}", "postgresql_query", 1, None, false),
        ("- ansible.posix.sysctl: {name: x}", "sysctl", 1, None, false),
        ("- community.general.ini_file: {path: x}", "ini_file", 1, None, false),
        ("- my.own.thing: {x: 1}", "my.own.thing", 1, None, false),
        ("- include_tasks: other.yml", "include_tasks", 0, Some("other.yml"), false),
        ("- copy: '{{ all }}'", "copy", 0, Some("{{ all }}"), false),
        ("- shell: |\n    cat <<E\n      a  b\n    E\n", "shell", 0, Some("cat <<E\n  a  b\nE\n"), false),
        ("- ping:", "ping", 0, None, false),
    ];
    for (text, module, params, free, local) in table {
        let source = Arc::new(Source { path: "t.yml".into(), text: text.to_owned() });
        let mut diagnostics = Diagnostics::new();
        let steps = parse_tasks(&source, &VaultPasswords::none(), &mut diagnostics);
        assert_eq!(diagnostics.render(Paint::Plain), "", "{text}");
        let task = task(&steps[0]);
        assert_eq!((task.module.value.as_str(), task.args.params.len()), (module, params), "{text}");
        assert_eq!(task.args.free_form.as_ref().and_then(Node::as_scalar).map(|s| s.text.as_str()), free, "{text}");
        assert_eq!(task.delegate_to.is_some(), local, "{text}");
    }
}

/// The lists were printed from the field attributes of ansible-core 2.19.
#[test]
fn every_keyword_of_ansible_is_known() {
    let table = [
        (Place::Play, include_str!("../../fixtures/keywords/play")),
        (Place::Block, include_str!("../../fixtures/keywords/block")),
        (Place::Task, include_str!("../../fixtures/keywords/task")),
        (Place::Handler, include_str!("../../fixtures/keywords/handler")),
        (Place::LoopControl, include_str!("../../fixtures/keywords/loop_control")),
    ];
    for (place, list) in table {
        for keyword in list.split_whitespace() {
            assert!(place.has(keyword), "{keyword} of {}", place.noun());
        }
    }
}

#[test]
fn carried_keywords_keep_their_place() {
    let play = play("- hosts: all\n  fact_path: /x\n  gather_timeout: 3\n  tasks: []\n");
    let carried: Vec<_> = play.common.carried.iter().map(|(key, entry)| format!("{key} {}", entry.key)).collect();
    assert_eq!(carried, ["fact_path p.yml:2:3", "gather_timeout p.yml:3:3"]);
}

#[test]
fn unknown_keywords() {
    assert_snapshot!(read("- hosts: all\n  taks: []\n  become_usr: x\n").1, @r"
    error: unknown keyword `taks` of a play
     --> p.yml:2:3
      |
    2 |   taks: []
      |   ^^^^
    hint: did you mean `tasks`?

    error: unknown keyword `become_usr` of a play
     --> p.yml:3:3
      |
    3 |   become_usr: x
      |   ^^^^^^^^^^
    hint: did you mean `become_user`?
    ");
    assert_snapshot!(read("- hosts: all\n  when: x\n").1, @r"
    error: unknown keyword `when` of a play
     --> p.yml:2:3
      |
    2 |   when: x
      |   ^^^^
    hint: `when` belongs to a task: check the indentation
    ");
    assert_snapshot!(said_of_task("debug: {msg: x}\nwehn: y\n"), @r"
    error: unknown keyword `wehn` of a task
     --> p.yml:4:7
      |
    4 |       wehn: y
      |       ^^^^
    hint: did you mean `when`?
    ");
    assert_snapshot!(said_of_task("nmae: x\ncopy: {src: a}\n"), @r"
    error: unknown keyword `nmae` of a task
     --> p.yml:3:7
      |
    3 |     - nmae: x
      |       ^^^^
    hint: did you mean `name`?
    ");
}

#[test]
fn unknown_keywords_inside_of_tasks() {
    assert_snapshot!(said_of_task("ping:\nlisten: x\n"), @r"
    error: unknown keyword `listen` of a task
     --> p.yml:4:7
      |
    4 |       listen: x
      |       ^^^^^^
    hint: `listen` belongs to a handler: check the indentation
    ");
    assert_snapshot!(said_of_task("block: []\nresuce: []\n"), @r"
    error: unknown keyword `resuce` of a block
     --> p.yml:4:7
      |
    4 |       resuce: []
      |       ^^^^^^
    hint: did you mean `rescue`?
    ");
    assert_snapshot!(said_of_task("ping:\nloop: [1]\nloop_control: {lable: x}\n"), @r"
    error: unknown keyword `lable` of `loop_control`
     --> p.yml:5:22
      |
    5 |       loop_control: {lable: x}
      |                      ^^^^^
    hint: did you mean `label`?
    ");
}

#[test]
fn modules_and_keywords_confused() {
    assert_snapshot!(said_of_task("copy: {src: a}\nshell: ls\n"), @r"
    error: conflicting actions: this task has both `copy` and `shell`
     --> p.yml:4:7
      |
    4 |       shell: ls
      |       ^^^^^ not a keyword, so it would be a second module
     ::: p.yml:3:7
      |
    3 |     - copy: {src: a}
      |       ---- the module
    hint: make two tasks of them; if `shell` is a parameter of `copy`, indent it under `copy:`
    ");
    assert_snapshot!(said_of_task("file:\npath: /x\nstate: directory\n"), @r"
    error: `path` is not a keyword of a task
     --> p.yml:4:7
      |
    4 |       path: /x
      |       ^^^^
     ::: p.yml:3:7
      |
    3 |     - file:
      |       ---- if it is a parameter of `file`, it must be indented deeper than this
    hint: indent `path` under `file:`

    error: `state` is not a keyword of a task
     --> p.yml:5:7
      |
    5 |       state: directory
      |       ^^^^^
     ::: p.yml:3:7
      |
    3 |     - file:
      |       ---- if it is a parameter of `file`, it must be indented deeper than this
    hint: indent `state` under `file:`
    ");
}

#[test]
fn a_task_needs_its_module() {
    assert_snapshot!(said_of_task("name: nothing\nwhen: x\n"), @r"
    error: a task must have a module, and this one has none
     --> p.yml:3:7
      |
    3 |     - name: nothing
      |       ^^^^
    hint: add one, such as `command: …`, beside the keywords
    ");
    assert_snapshot!(said_of_task("rescue: []\n"), @r"
    error: `rescue` and `always` need a `block` beside them
     --> p.yml:3:7
      |
    3 |     - rescue: []
      |       ^^^^^^
    hint: indent it as deep as the `block:` it belongs to, without a `-`
    ");
    assert_snapshot!(read("- name: x\n  debug: {msg: y}\n").1, @r"
    error: a play must name its `hosts`
     --> p.yml:1:3
      |
    1 | - name: x
      |   ^^^^
    hint: this looks like a task with the module `debug`; the tasks of a playbook stand under `tasks:` of a play

    error: unknown keyword `debug` of a play
     --> p.yml:2:3
      |
    2 |   debug: {msg: y}
      |   ^^^^^
    ");
    assert_snapshot!(said_of_task("copy:\n  - src: a\n"), @r"
    error: the parameters of `copy` must be a dictionary, and this is a list
     --> p.yml:4:9
      |
    4 |         - src: a
      |         ^^^^^^^^
    hint: write `parameter: value` lines without `-`
    ");
}

#[test]
fn types_of_values() {
    assert_snapshot!(said_of_task("ping:\nbecome: maybe\nretries: many\nname: [a]\n"), @r"
    error: `become` must be true or false, and this is the string `maybe`
     --> p.yml:4:15
      |
    4 |       become: maybe
      |               ^^^^^

    error: `retries` must be a whole number, and this is the string `many`
     --> p.yml:5:16
      |
    5 |       retries: many
      |                ^^^^

    error: `name` must be a text, and this is a list
     --> p.yml:6:13
      |
    6 |       name: [a]
      |             ^^^
    ");
    assert_snapshot!(said_of_task("ping:\nwhen: {a: b}\nchanged_when: 5\n"), @r"
    error: `when` must be an expression or a list of expressions, and this is a dictionary
     --> p.yml:4:13
      |
    4 |       when: {a: b}
      |             ^^^^^^
    ");
}

#[test]
fn names_of_variables() {
    assert_snapshot!(said_of_task("ping:\nregister: my-result\nvars: [a]\n"), @r"
    error: `my-result` cannot be the name of a variable
     --> p.yml:4:17
      |
    4 |       register: my-result
      |                 ^^^^^^^^^
    hint: a variable's name is made of letters, digits and `_`, and does not begin with a digit

    error: `vars` must be a dictionary, and this is a list
     --> p.yml:5:13
      |
    5 |       vars: [a]
      |             ^^^
    ");
    assert_snapshot!(said_of_task("ping:\nvars: {2fast: 1}\nargs: text\n"), @r"
    error: `2fast` cannot be the name of a variable
     --> p.yml:4:14
      |
    4 |       vars: {2fast: 1}
      |              ^^^^^
    hint: a variable's name is made of letters, digits and `_`, and does not begin with a digit

    error: `args` must be a dictionary, and this is the string `text`
     --> p.yml:5:13
      |
    5 |       args: text
      |             ^^^^
    ");
}

#[test]
fn loops_and_command_lines() {
    assert_snapshot!(said_of_task("ping:\nloop: things\n"), @r#"
    error: `loop` must be a list, and this is the string `things`
     --> p.yml:4:13
      |
    4 |       loop: things
      |             ^^^^^^
    hint: to loop over the variable, write `loop: "{{ things }}"`
    "#);
    assert_snapshot!(said_of_task("ping:\nloop: [1]\nwith_items: [2]\n"), @r"
    error: a task can have one loop
     --> p.yml:5:7
      |
    5 |       with_items: [2]
      |       ^^^^^^^^^^ this is a second one
     ::: p.yml:4:7
      |
    4 |       loop: [1]
      |       ---- the first
    ");
    assert_snapshot!(said_of_task("command: echo 'a\n"), @r"
    error: the parameters of `command` have an opening quote without a closing one
     --> p.yml:3:16
      |
    3 |     - command: echo 'a
      |                ^^^^^^^
    ");
}

#[test]
fn shapes_of_plays() {
    assert_snapshot!(read("- hosts: all\n  serial: some\n  tasks: x\n  handlers: [{block: []}]\n").1, @r"
    error: `serial` must be a number of hosts or a percentage, and this is the string `some`
     --> p.yml:2:11
      |
    2 |   serial: some
      |           ^^^^

    error: `tasks` must be a list, and this is the string `x`
     --> p.yml:3:10
      |
    3 |   tasks: x
      |          ^
    hint: begin each item with `- `
    ");
    assert_snapshot!(read("- hosts: all\n  sudo: true\n  tasks:\n    - x: 1\n      always_run: true\n").1, @r"
    error: unknown keyword `sudo` of a play
     --> p.yml:2:3
      |
    2 |   sudo: true
      |   ^^^^
    hint: it was removed from Ansible: use `become: true`

    error: conflicting actions: this task has both `x` and `always_run`
     --> p.yml:5:7
      |
    5 |       always_run: true
      |       ^^^^^^^^^^ not a keyword, so it would be a second module
     ::: p.yml:4:7
      |
    4 |     - x: 1
      |       - the module
    hint: it was removed from Ansible: `check_mode: false` means the same
    ");
    assert_snapshot!(read("hosts: all\n").1, @r"
    error: a playbook must be a list, and this is a dictionary
     --> p.yml:1:1
      |
    1 | hosts: all
      | ^^^^^^^^^^
    hint: begin each item with `- `
    ");
    assert_snapshot!(read("- all\n").1, @r"
    error: a play must be a dictionary, and this is the string `all`
     --> p.yml:1:3
      |
    1 | - all
      |   ^^^
    ");
}

fn vaulted(text: &str) -> Playbook {
    let mut vault = VaultPasswords::none();
    vault.add(None, &Secret::new("p"));
    let source = Arc::new(Source { path: "p.yml".into(), text: text.to_owned() });
    let mut diagnostics = Diagnostics::new();
    let playbook = parse(&source, &vault, &mut diagnostics);
    assert_eq!(diagnostics.render(Paint::Plain), "");
    playbook
}

#[test]
fn a_playbook_can_be_a_vault() {
    let text = "- hosts: db\n  tasks:\n    - command: psql -c canary chdir=/\n      when: x\n      become_user: pg\n";
    let playbook = vaulted(&vault::encrypt(text.as_bytes(), &Secret::new("p"), None, &[1; 32]));
    let [Entry::Play(play)] = &playbook.entries[..] else { panic!("one play") };
    assert_eq!(texts(&play.hosts), ["db"]);
    let command = task(&play.tasks[0]);
    assert_eq!((command.module.value.as_str(), command.when[0].text.as_str()), ("command", "x"));
    let parts = command.args.params.values().map(|entry| &entry.value).chain(&command.args.free_form);
    assert!(parts.into_iter().all(|part| matches!(part.to_value(), Value::Secret(_))));
}

#[test]
fn a_sealed_keyword_stays_secret() {
    let sealed = vault::encrypt(b"canary", &Secret::new("p"), None, &[2; 32]).replace('\n', "\n      ");
    let playbook = vaulted(&format!("- hosts: db\n  become_user: !vault |\n      {sealed}\n  tasks: []\n"));
    let [Entry::Play(play)] = &playbook.entries[..] else { panic!("one play") };
    let user = play.common.escalation.user.as_ref().expect("it is given");
    assert!(matches!(&user.value, Field::Template(template) if template.secret && template.text == "canary"));
}
