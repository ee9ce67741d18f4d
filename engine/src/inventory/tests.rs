//! What is read, in which order it counts, and what is said about what cannot be read.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use insta::assert_snapshot;

use super::build::Builder;
use super::*;
use crate::diagnostic::{Diagnostics, Paint};
use crate::source::Source;
use crate::vault::VaultPasswords;
use crate::yaml::{self, to_yaml};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/inventory").join(name)
}

/// Reads a text as if a file of this name held it.
fn read(name: &str, text: &str) -> (Inventory, String) {
    let source = Arc::new(Source { path: name.into(), text: text.to_owned() });
    let (mut builder, mut diagnostics) = (Builder::new(), Diagnostics::new());
    if name.ends_with(".yml") {
        let root = yaml::load(&source, &VaultPasswords::none(), &mut diagnostics).expect("it is YAML");
        tree::read(
            &root,
            &source.path,
            Request { sources: &[], playbook_dir: None, vault: &VaultPasswords::none(), manner: Manner::Strict },
            &mut builder,
            &mut diagnostics,
        );
    } else {
        ini::read(&source, Manner::Strict, &mut builder, &mut diagnostics);
    }
    let inventory = builder.finish(&mut diagnostics);
    (inventory, diagnostics.render(Paint::Plain))
}

fn loaded(sources: &[&str], playbook: Option<&Path>) -> Inventory {
    let sources: Vec<String> = sources.iter().map(|source| (*source).to_owned()).collect();
    let mut diagnostics = Diagnostics::new();
    let vault = VaultPasswords::none();
    let inventory = load(
        Request { sources: &sources, playbook_dir: playbook, vault: &vault, manner: Manner::Strict },
        &mut diagnostics,
    );
    assert_eq!(diagnostics.render(Paint::Plain), "");
    inventory
}

fn site() -> Inventory {
    loaded(&[fixture("site/hosts.ini").to_str().expect("UTF-8")], Some(&fixture("playbook")))
}

/// All layers merged, as one would see them.
fn vars(inventory: &Inventory, host: &str) -> String {
    let host = inventory.host(host).expect("the host is there");
    let mut merged = Mapping::new();
    for layer in inventory.layers(host) {
        merged.extend(layer.vars.clone());
    }
    merged.sort_unstable_keys();
    let shown = |(key, entry): (&String, &yaml::Entry)| {
        let value = serde_json::to_string(&to_yaml(&entry.value.to_value())).expect("it is plain data");
        format!("{key}={value}")
    };
    merged.iter().map(shown).collect::<Vec<_>>().join("\n")
}

/// What `ansible-inventory --list` and `--host` of ansible-core 2.19 print for the same directory.
#[test]
fn scripts_and_constructed_groups() {
    let dir = fixture("dynamic");
    let mut diagnostics = Diagnostics::new();
    let vault = VaultPasswords::none();
    let sources = [dir.display().to_string()];
    let inventory = load(
        Request { sources: &sources, playbook_dir: None, vault: &vault, manner: Manner::Strict },
        &mut diagnostics,
    );
    let said = diagnostics.render(Paint::Plain);
    assert_snapshot!(said.replace(&sources[0], "DIR"), @r"
    warning: `DIR/10-script.sh` is run once for each host: it prints no `_meta`
    hint: let `--list` print `_meta: {hostvars: {…}}`, too
    ");
    let mut groups: Vec<String> = inventory
        .groups
        .values()
        .map(|group| {
            let hosts: Vec<&String> = group.hosts.iter().collect();
            let children: Vec<&String> = group.children.keys().collect();
            format!("{} {hosts:?} {children:?}", group.name)
        })
        .collect();
    groups.sort();
    assert_snapshot!(groups.join("\n"), @r#"
    _tier_none ["db1", "db2", "web1"] []
    all [] ["ungrouped", "site", "extra", "primaries", "with_dash", "zones", "x", "y", "_tier_none"]
    db ["db1", "db2"] []
    extra ["web1"] []
    primaries ["db1"] []
    site [] ["db", "web"]
    ungrouped [] []
    web ["web1"] []
    with_dash ["db1", "db2"] []
    x ["db1"] []
    y ["db1"] []
    zone_a ["db1"] []
    zone_b_1 ["web1"] []
    zone_nowhere ["db2"] []
    zones [] ["zone_a", "zone_nowhere", "zone_b_1"]
    "#);
    assert_snapshot!(vars(&inventory, "db1"), @r#"
    big=true
    disks=["x","y"]
    name="primary.a"
    port=5432
    role="primary"
    zone="a"
    "#);
    assert_snapshot!(vars(&inventory, "web1"), @r#"
    big=false
    name="standby.b-1"
    role="standby"
    text="{{ zone }}"
    tier=null
    zone="b-1"
    "#);
}

#[test]
fn what_scripts_and_constructed_groups_get_wrong() {
    let dir = tempfile::tempdir().expect("a directory");
    let script = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("it is written");
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o700)).expect("it is made so");
    };
    script("1", "echo no luck >&2; exit 3");
    script("2", "echo '[]'");
    script("3", "echo '{\"web\": {\"hosts\": \"web1\"}}'");
    script("4", "echo '{'");
    let said = said_when_loading(&[dir.path().display().to_string()]);
    assert_snapshot!(said.replace(&dir.path().display().to_string(), "DIR"), @r#"
    error: failed to use the inventory script `DIR/1`: with --list it ended with exit status: 3 (no luck)

    error: failed to use the inventory script `DIR/2`: with --list it printed JSON that is not an object

    error: failed to use the inventory script `DIR/3`: `hosts` of `web` must be a list of names, not "web1"

    error: failed to use the inventory script `DIR/4`: what it printed with --list is not JSON: EOF while parsing an object at line 2 column 0
    "#);
    let constructed = |text: &str| {
        let path = dir.path().join("c/c.yml");
        std::fs::create_dir_all(dir.path().join("c")).expect("it is made");
        std::fs::write(&path, format!("plugin: constructed\n{text}")).expect("it is written");
        let said = said_when_loading(&["web1,".into(), path.display().to_string()]);
        said.replace(&dir.path().display().to_string(), "DIR")
    };
    assert_snapshot!(constructed("keyed_group: []\n"), @r"
    error: `constructed` has no option `keyed_group`
     --> DIR/c/c.yml:2:1
      |
    2 | keyed_group: []
      | ^^^^^^^^^^^
    hint: did you mean `keyed_groups`?
    ");
    assert_snapshot!(constructed("keyed_groups: [{key: a, prefx: b}]\n"), @r"
    error: a keyed group has no option `prefx`
     --> DIR/c/c.yml:2:25
      |
    2 | keyed_groups: [{key: a, prefx: b}]
      |                         ^^^^^
    hint: did you mean `prefix`?
    ");
    assert_snapshot!(constructed("strict: true\ncompose: {x: nowhere + 1}\n"), @r"
    error: failed to set `x` for host `web1`: 'nowhere' is undefined
     --> DIR/c/c.yml:3:14
      |
    3 | compose: {x: nowhere + 1}
      |              ^^^^^^^
    ");
}

/// What `ansible-inventory --host` of ansible-core 2.19 prints for the same files.
#[test]
fn variables_as_ansible_ranks_them() {
    let site = site();
    assert_snapshot!(vars(&site, "db1"), @r#"
    deep="play_db"
    level="db # kept"
    mode="0644"
    num=5
    same="beta"
    who="play_all"
    zed="play_host"
    "#);
    assert_snapshot!(vars(&site, "web01.x"), @r#"
    ansible_port=2222
    deep="all"
    level="prod"
    name="a b"
    port=80
    tags=["a","b"]
    who="play_all"
    "#);
    assert_snapshot!(vars(&site, "localhost"), @r#"
    ansible_connection="local"
    deep="all"
    who="play_all"
    "#);
}

#[test]
fn layers_have_names() {
    let site = site();
    let layers = site.layers(site.host("db1").expect("it is there"));
    let shown: Vec<String> = layers.iter().map(|layer| format!("{:?} {}", layer.step, layer.of)).collect();
    assert_snapshot!(shown.join("\n"), @r"
    InventoryGroup alpha
    InventoryGroup gamma
    InventoryGroup prod
    InventoryGroup beta
    InventoryGroup db
    GroupVarsAll all
    GroupVarsAll all
    GroupVars db
    GroupVars db
    GroupVars db
    InventoryHost db1
    HostVars db1
    HostVars db1
    ");
    assert!(layers.is_sorted_by_key(|layer| layer.step), "the steps are in the order of precedence");
}

/// What `ansible PATTERN --list-hosts` of ansible-core 2.19 prints for the same file.
#[test]
fn patterns_as_ansible_reads_them() {
    let site = site();
    let table = [
        ("all", "lonely db1 web01.x web02.x web03.x db2"),
        ("web:!web01.x", "web02.x web03.x"),
        ("db:&alpha", "db1"),
        ("!web", "lonely db1 db2"),
        ("&db", "db1 db2"),
        ("prod[0]", "web01.x"),
        ("web[0:1]", "web01.x web02.x"),
        ("web[-1]", "web03.x"),
        ("web[1:]", "web02.x web03.x"),
        ("web[1-2]", "web02.x web03.x"),
        ("~web0[12]", "web01.x web02.x"),
        ("*.x", "web01.x web02.x web03.x"),
        ("web0?.x", "web01.x web02.x web03.x"),
        ("web0[!1].x", "web02.x web03.x"),
        ("localhost", "localhost"),
        ("db*", "db1 db2"),
        ("lonely,db", "lonely db1 db2"),
        ("alpha,beta", "db1"),
        ("ungrouped", "lonely"),
    ];
    for (pattern, want) in table {
        let selection = site.select(pattern, &Span::none());
        assert_eq!(selection.hosts.iter().cloned().collect::<Vec<_>>().join(" "), want, "{pattern}");
        assert!(selection.unmatched.is_empty(), "{pattern}");
    }
}

#[test]
fn patterns_come_from_files_too() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("failed");
    std::fs::write(&file, "db2\n# no\nweb01.x\n").expect("it is written");
    let selection = site().select(&format!("@{}", file.display()), &Span::none());
    assert_eq!(selection.hosts.into_iter().collect::<Vec<_>>(), ["db2", "web01.x"]);
}

fn unmatched(inventory: &Inventory, pattern: &str) -> String {
    let source = Arc::new(Source { path: "p.yml".into(), text: format!("- hosts: {pattern}\n") });
    let selection = inventory.select(pattern, &Span::new(&source, 9, 9 + pattern.len()));
    selection.unmatched.iter().map(|diagnostic| diagnostic.render(Paint::Plain)).collect()
}

#[test]
fn patterns_that_match_nothing() {
    let site = site();
    assert_snapshot!(unmatched(&site, "wbe"), @r"
    warning: no host or group matches `wbe`
     --> p.yml:1:10
      |
    1 | - hosts: wbe
      |          ^^^
    hint: did you mean `web`?
    ");
    assert_snapshot!(unmatched(&site, "web[7]"), @r"
    warning: the host pattern `web[7]` asks for more than the 3 hosts of `web`
     --> p.yml:1:10
      |
    1 | - hosts: web[7]
      |          ^^^^^^
    ");
    assert_snapshot!(unmatched(&site, "~web("), @r"
    warning: the host pattern `~web(` cannot be read: Parsing error at position 9: Opening parenthesis without closing parenthesis
     --> p.yml:1:10
      |
    1 | - hosts: ~web(
      |          ^^^^^
    ");
    assert_snapshot!(unmatched(&read("hosts", "[empty]\n").0, "empty"), @r"
    warning: the group `empty` has no hosts
     --> p.yml:1:10
      |
    1 | - hosts: empty
      |          ^^^^^
    ");
    assert_snapshot!(unmatched(&read("hosts", "").0, "web"), @r"
    warning: no host or group matches `web`
     --> p.yml:1:10
      |
    1 | - hosts: web
      |          ^^^
    hint: the inventory has no hosts: name one with `-i`
    ");
}

#[test]
fn groups_of_hosts() {
    let site = site();
    let host = site.host("db1").expect("it is there");
    assert_eq!(site.group_names(host), ["alpha", "beta", "db", "gamma", "prod"]);
    let ranked: Vec<&str> = site.groups_of(host).iter().map(|group| group.name.as_str()).collect();
    assert_eq!(ranked, ["alpha", "gamma", "prod", "beta", "db"]);
    assert_eq!(host.span.line_col(), (8, 1));
    assert!(host.file.as_ref().is_some_and(|file| file.ends_with("site/hosts.ini")));
}

#[test]
fn yaml_inventories() {
    let text = "all:\n  vars: {a: 1}\n  hosts:\n    top:\n  children:\n    web:\n      hosts:\n        web[1:2]: {port: 80}\n    prod: {children: {web: }, hosts: one}\n";
    let (inventory, said) = read("hosts.yml", text);
    assert_eq!(said, "");
    assert_eq!(inventory.hosts.keys().collect::<Vec<_>>(), ["top", "web1", "web2", "one"]);
    assert_eq!(inventory.hosts_of("prod").into_iter().collect::<Vec<_>>(), ["one", "web1", "web2"]);
    assert_eq!(inventory.hosts_of(UNGROUPED).into_iter().collect::<Vec<_>>(), ["top"]);
    assert_eq!((inventory.groups["prod"].depth, inventory.groups["web"].depth), (1, 2));
    assert_eq!(vars(&inventory, "web2"), "a=1\nport=80");
}

#[test]
fn several_sources_and_lists() {
    let inventory = loaded(&["a,b:2222,", fixture("site/hosts.ini").to_str().expect("UTF-8")], None);
    assert_eq!(inventory.hosts.keys().take(3).collect::<Vec<_>>(), ["a", "b", "lonely"]);
    assert!(vars(&inventory, "b").contains("ansible_port=2222"));
    let directory = loaded(&[fixture("site").to_str().expect("UTF-8")], None);
    assert!(vars(&directory, "db1").contains("zed=\"host\""));
}

#[test]
fn what_ini_cannot_be() {
    assert_snapshot!(read("hosts", "[web:childs]\n").1, @r"
    error: unknown kind `childs` of section `web`
     --> hosts:1:1
      |
    1 | [web:childs]
      | ^^^^^^^^^^^^
    hint: it is `vars`, `children` or `hosts`
    ");
    assert_snapshot!(read("hosts", "[db:vars]\na=1\n").1, @r"
    error: `[db:vars]` names the group `db`, which is declared nowhere
     --> hosts:1:1
      |
    1 | [db:vars]
      | ^^^^^^^^^
    hint: add a section `[db]`, even an empty one
    ");
    assert_snapshot!(read("hosts", "[web]\n[all:children]\nwbe\n").1, @r"
    error: `[all:children]` names the group `wbe`, which is declared nowhere
     --> hosts:3:1
      |
    3 | wbe
      | ^^^
    hint: did you mean `web`?
    hint: add a section `[wbe]`, even an empty one
    ");
    assert_snapshot!(read("hosts", "web port\n").1, @r"
    error: `port` is not `variable=value`
     --> hosts:1:1
      |
    1 | web port
      | ^^^^^^^^
    hint: behind the name of a host stand its variables; a value with blanks must be quoted
    ");
    assert_snapshot!(read("hosts", "web[3:1]\n").1, @r"
    error: `[3:1]` ends before it begins
     --> hosts:1:1
      |
    1 | web[3:1]
      | ^^^^^^^^
    ");
    assert_snapshot!(read("hosts", "web a='x\n").1, @r"
    error: this line is damaged: a quote is not closed
     --> hosts:1:1
      |
    1 | web a='x
      | ^^^^^^^^
    ");
}

#[test]
fn what_ini_cannot_be_either() {
    assert_snapshot!(read("hosts", "[web]\n[web:vars]\nport\n").1, @r"
    error: `port` is not `variable=value`
     --> hosts:3:1
      |
    3 | port
      | ^^^^
    ");
    assert_snapshot!(read("hosts", "all:\n  hosts:\n").1, @r"
    error: `all:` is not the name of a host
     --> hosts:1:1
      |
    1 | all:
      | ^^^^
    hint: if this is a YAML inventory, name the file `….yml`

    error: `hosts:` is not the name of a host
     --> hosts:2:3
      |
    2 |   hosts:
      |   ^^^^^^
    hint: if this is a YAML inventory, name the file `….yml`
    ");
    assert_snapshot!(read("hosts", "[a b]\n").1, @r"
    error: this is not a section
     --> hosts:1:1
      |
    1 | [a b]
      | ^^^^^
    hint: a section is `[group]`, `[group:vars]` or `[group:children]`
    ");
}

#[test]
fn what_yaml_cannot_be() {
    assert_snapshot!(read("hosts.yml", "web:\n  host:\n    a:\n").1, @r"
    error: unknown key `host` of the group `web`
     --> hosts.yml:2:3
      |
    2 |   host:
      |   ^^^^
    hint: did you mean `hosts`?
    hint: a group has `hosts`, `children` and `vars`; other groups stand under `children`, variables under `vars`
    ");
    assert_snapshot!(read("hosts.yml", "web:\n  hosts: [a, b]\n").1, @r"
    error: `hosts` of `web` must be a dictionary, and this is a list
     --> hosts.yml:2:10
      |
    2 |   hosts: [a, b]
      |          ^^^^^^
    ");
    assert_snapshot!(read("hosts.yml", "plugin: aws\n").1, @r"
    error: there is no inventory plugin `aws`
     --> hosts.yml:1:9
      |
    1 | plugin: aws
      |         ^^^
    hint: `constructed` is there; for others, let an executable script print what the plugin would find
    ");
    assert_snapshot!(read("hosts.yml", "web: {hosts: {web: }, vars: {ansible_group_priority: high}}\n").1, @r"
    error: `ansible_group_priority` must be a whole number, and this is the string `high`
     --> hosts.yml:1:54
      |
    1 | web: {hosts: {web: }, vars: {ansible_group_priority: high}}
      |                                                      ^^^^

    warning: `web` is the name of both a group and a host
     --> hosts.yml:1:15
      |
    1 | web: {hosts: {web: }, vars: {ansible_group_priority: high}}
      |               ^^^
    ");
}

#[test]
fn a_cycle_shows_its_way() {
    assert_snapshot!(read("hosts", "[a:children]\nb\n[b:children]\nc\n[c:children]\na\n").1, @r"
    error: the group `a` contains itself: a → b → c → a
     --> hosts:2:1
      |
    2 | b
      | ^ `b` is put into `a` here
     ::: hosts:4:1
      |
    4 | c
      | - `c` is put into `b` here
     ::: hosts:6:1
      |
    6 | a
      | - `a` is put into `c` here
    ");
}

fn said_when_loading(sources: &[String]) -> String {
    let mut diagnostics = Diagnostics::new();
    let vault = VaultPasswords::none();
    load(Request { sources, playbook_dir: None, vault: &vault, manner: Manner::Strict }, &mut diagnostics);
    diagnostics.render(Paint::Plain)
}

#[test]
fn files_that_cannot_be_read() {
    assert_snapshot!(said_when_loading(&["no/such/file".to_owned()]), @r"
    warning: failed to read `no/such/file`: No such file or directory (os error 2)
    hint: name a file, a directory, or hosts with a comma behind each: `-i web1,web2,`
    ");
    let dir = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().expect("it has one")).expect("it is made");
        std::fs::write(path, text).expect("it is written");
    };
    write("hosts", "#!/bin/sh\n");
    write("hosts.yml", "web: {hosts: a}\n");
    write("group_vars/web/one.yml", "- x\n");
    write("group_vars/web.yml", "a: 1\n");
    let said = said_when_loading(&[dir.path().display().to_string()]);
    assert_snapshot!(said.replace(&dir.path().display().to_string(), "DIR"), @r"
    error: failed to use the inventory script `DIR/hosts`: Permission denied (os error 13)

    warning: `DIR/group_vars/web.yml` is not read, because `DIR/group_vars/web` is
    hint: move the file into the directory, or make one of the two

    error: a file of variables must be a dictionary, and this is a list
     --> DIR/group_vars/web/one.yml:1:1
      |
    1 | - x
      | ^^^
    ");
}

proptest::proptest! {
    /// Whatever a file or a pattern holds, there is an inventory and a selection, and what is said can be shown.
    #[test]
    fn no_text_breaks_the_readers(words in proptest::collection::vec(proptest::sample::select(PIECES), 0..30)) {
        let text: String = words.concat();
        let (inventory, _) = read("hosts", &text);
        unmatched(&inventory, &text);
        for host in inventory.hosts.values() {
            inventory.layers(host);
        }
    }
}

/// What INI inventories, patterns and their mistakes are made of.
const PIECES: &[&str] = &[
    "a",
    "b",
    "[",
    "]",
    ":",
    "children",
    "vars",
    "\n",
    "\n[a]\n",
    "\n[b:children]\n",
    "\n[a:vars]\n",
    "=",
    "'",
    "\"",
    "\\",
    "#",
    "ä",
    "1",
    "0",
    "[1:3]",
    "[a:c]",
    "{",
    "}",
    "(",
    ",",
    "!",
    "&",
    "~",
    "*",
    "?",
    "-",
    " ",
    "True",
    ".",
    "e",
    "+",
    "r'",
    "@",
    "\u{feff}",
];
