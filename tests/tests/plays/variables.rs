//! Where variables come from, which is the stronger, and what never shows.

use insta::assert_snapshot;
use trueup_modules::secret::Secret;
use trueup_tests::Case;

const LAYERS: &str = r#"
- hosts: all
  vars: { play: play, both: play, host: play, extra: play }
  vars_files: [ more.yml ]
  tasks:
    - name: See
      debug: { msg: "{{ all }} {{ group }} {{ host }} {{ play }} {{ both }} {{ file }} {{ extra }} {{ task }}" }
      vars: { task: task, extra: task }
    - set_fact: { both: fact, extra: fact }
      name: Set
    - name: After
      debug: { msg: "{{ both }} {{ extra }} {{ lazy }}" }
"#;

#[test]
fn the_stronger_wins() {
    let case = Case::new(1, LAYERS)
        .file("group_vars/all.yml", "all: all\ngroup: all\nhost: all\nlazy: '<{{ both }}>'\n")
        .file("group_vars/web.yml", "group: web\nhost: web\n")
        .file("host_vars/h1.yml", "host: h1\n")
        .file("more.yml", "file: file\nplay: file\n")
        .file("hosts.ini", "[web]\nh1 ansible_connection=local\n")
        .extra("extra=extra");
    assert_snapshot!(case.apply().told(), @r"
    h1 ok See: all web play file play file extra task
    h1 ok Set
    h1 ok After: fact extra <fact>
    ");
}

#[test]
fn environment() {
    let case = Case::new(
        1,
        r#"
- hosts: all
  environment: { OUTER: play, BOTH: play }
  tasks:
    - name: Ask
      shell: echo $OUTER $BOTH $INNER
      environment: { BOTH: task, INNER: "{{ inventory_hostname }}" }
      register: asked
    - name: Told
      debug: { msg: "{{ asked.stdout }}" }
"#,
    );
    assert_snapshot!(case.apply().told(), @r"
    h1 changed Ask
    h1 ok Told: play task h1
    ");
}

const CANARY: &str = "canary-7f3a";

/// Files and templates that are sealed arrive opened, and as secrets: nothing of them shows.
#[test]
fn sealed_files_are_opened() {
    let seal =
        |text: &str| trueup::vault::encrypt(text.as_bytes(), &Secret::new("open sesame".to_owned()), None, &[7; 32]);
    let case = Case::tasks(
        1,
        r#"
- copy: { src: key, dest: "{{ d }}/key" }
- copy: { src: key, dest: "{{ d }}/as_it_is", decrypt: false }
- template: { src: conf.j2, dest: "{{ d }}/conf" }
- assemble: { src: parts, dest: "{{ d }}/whole", remote_src: false }
  ignore_errors: true
"#,
    )
    .file("files/key", &seal(&format!("{CANARY}\n")))
    .file("templates/conf.j2", &seal(&format!("{CANARY} {{{{ 6 * 7 }}}}\n")))
    .file("files/parts/1", &seal(CANARY))
    .vault("open sesame");
    for run in [case.plan(), case.apply()] {
        assert!(!run.json().to_lowercase().contains(CANARY), "{}", run.json());
    }
    assert_eq!(case.read("h1/key"), format!("{CANARY}\n"));
    assert_eq!(case.read("h1/conf"), format!("{CANARY} 42\n"));
    assert!(case.read("h1/as_it_is").starts_with("$ANSIBLE_VAULT;1.1;AES256\n"));
    let told = case.apply_only().told();
    assert!(told.contains("parts/1 is sealed by ansible-vault: `assemble` takes no such file"), "{told}");
}

#[test]
fn a_secret_never_shows() {
    let sealed = trueup::vault::encrypt(
        format!("password: {CANARY}\n").as_bytes(),
        &Secret::new("open sesame".to_owned()),
        None,
        &[7; 32],
    );
    let case = Case::new(
        1,
        r#"
- hosts: all
  vars_files: [ secret.yml ]
  vars: { derived: "<{{ password }}>" }
  tasks:
    - name: Write it
      copy: { dest: "{{ d }}/secret", content: "password = {{ derived }}\n", mode: "0600" }
    - name: Replace it
      copy: { dest: "{{ d }}/secret", content: "password = {{ derived | upper }}\n", mode: "0600" }
    - name: A line
      file_line: { path: "{{ d }}/secret", line: "again {{ password }}" }
    - name: Say it
      debug: { msg: "it is {{ password }}" }
    - name: Keep it
      set_fact: { kept: "{{ password }}" }
    - name: Read it
      command: cat
      args: { stdin: "{{ password }}" }
      register: out
    - name: Say what was read
      debug: { msg: "{{ out.stdout }}" }
    - name: Print it
      command: sed -n p {{ d }}/secret
      no_log: true
    - name: Fail with it
      fail: { msg: "{{ password }}" }
      ignore_errors: true
    - name: Over secrets
      debug: { msg: "{{ item }}" }
      loop: [ "{{ password }}" ]
    - name: It is there
      command: grep -q {{ 'canary' }} {{ d }}/secret
      changed_when: false
"#,
    )
    .file("secret.yml", &sealed)
    .vault("open sesame");
    for run in [case.plan(), case.apply()] {
        assert!(!run.json().to_lowercase().contains(CANARY), "{}", run.json());
    }
    assert!(case.read("h1/secret").contains(CANARY), "{}", case.read("h1/secret"));
}

#[test]
fn dictionaries_are_merged_where_the_settings_say_so() {
    let playbook = r#"
- hosts: all
  gather_facts: false
  vars: { x: { play: 1, both: { of: play, kept: "{{ 'play' ~ 1 }}" } }, text: { a: 1 } }
  tasks:
    - set_fact: { x: { fact: 3, both: { of: fact } } }
    - debug: { msg: "{{ x }}" }
      vars: { x: { task: 2 }, text: plain }
    - debug: { msg: "{{ text }} {{ hostvars['h1'].x }}" }
      vars: { text: plain }
"#;
    let case = || {
        let case = Case::new(1, playbook).file("group_vars/all.yml", "x: { all: 0, both: { of: all } }");
        case.file("host_vars/h1.yml", "x: { host: 0 }")
    };
    assert_snapshot!(case().merging().apply().told(), @r#"
    h1 ok set_fact
    h1 ok debug: {"all":0,"both":{"of":"fact","kept":"play1"},"host":0,"play":1,"task":2,"fact":3}
    h1 ok debug: plain {'all': 0, 'both': {'of': 'fact'}, 'host': 0, 'fact': 3}
    "#);
    assert_snapshot!(case().apply().told(), @r#"
    h1 ok set_fact
    h1 ok debug: {"fact":3,"both":{"of":"fact"}}
    h1 ok debug: plain {'fact': 3, 'both': {'of': 'fact'}}
    "#);
}
