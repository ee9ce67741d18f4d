//! What is read, and what is said about what cannot be.

use std::sync::Arc;

use insta::assert_snapshot;
use trueup_modules::secret::Secret;

use super::*;
use crate::diagnostic::{Diagnostics, Paint};
use crate::source::Source;
use crate::value::Value;
use crate::vault::VaultPasswords;

fn source(text: &str) -> Arc<Source> {
    Arc::new(Source { path: "f.yml".into(), text: text.to_owned() })
}

fn read(text: &str) -> (Option<Node>, String) {
    let mut diagnostics = Diagnostics::new();
    let node = load(&source(text), &VaultPasswords::none(), &mut diagnostics);
    (node, diagnostics.render(Paint::Plain))
}

fn said(text: &str) -> String {
    read(text).1
}

fn value(text: &str) -> Value {
    let (node, said) = read(text);
    assert_eq!(said, "");
    node.expect("there is a node").to_value()
}

fn json(value: &Value) -> String {
    serde_json::to_string(&to_yaml(value)).expect("it is made of strings and numbers")
}

#[test]
fn documents_as_ansible_reads_them() {
    let table = [
        ("", "null"),
        ("---\n", "null"),
        ("# only a comment\n", "null"),
        ("a: yes\nb: 'yes'\nc: 0644\nd: \"0644\"\n", r#"{"a":true,"b":"yes","c":420,"d":"0644"}"#),
        ("- 1_000\n- ~\n-\n- on\n", "[1000,null,null,true]"),
        ("a: |\n  x\n  y\nb: >-\n  x\n  y\n", r#"{"a":"x\ny\n","b":"x y"}"#),
        ("a: |\n  x", r#"{"a":"x"}"#),
        ("a: >\n  x\n  y\n\n", r#"{"a":"x y\n"}"#),
        ("a: !!str 12\nb: !!int '12'\nc: !!float '1.5'\n", r#"{"a":"12","b":12,"c":1.5}"#),
        ("a: &x {k: 1}\nb: *x\n", r#"{"a":{"k":1},"b":{"k":1}}"#),
        ("a: &x {k: 1, l: 2}\nb:\n  <<: *x\n  l: 3\n  m: 4\n", r#"{"a":{"k":1,"l":2},"b":{"k":1,"l":3,"m":4}}"#),
        ("b:\n  l: 3\n  <<: [{k: 1, l: 2}, {k: 8, n: 9}]\n", r#"{"b":{"k":1,"n":9,"l":3}}"#),
        ("'<<': {k: 1}\n", r#"{"<<":{"k":1}}"#),
        ("1: a\nyes: b\n", r#"{"1":"a","yes":"b"}"#),
        ("{\n\t\"a\": [1,\n\t\t\"x\\/y\"]\n}\n", r#"{"a":[1,"x/y"]}"#),
        ("\u{feff}a: 1\r\nb: 2\r\n", r#"{"a":1,"b":2}"#),
        ("key with spaces: it's\nurl: http://x:80/\n", r#"{"key with spaces":"it's","url":"http://x:80/"}"#),
    ];
    for (text, want) in table {
        assert_eq!(json(&value(text)), want, "{text}");
    }
}

#[test]
fn spans_are_bytes_of_the_source() {
    for text in
        ["k: [ä, \"ö ü\", mark]\nn:\n  - x\n", "\u{feff}k: 1\r\nö: |\r\n  text\r\nm: mark\r\n", "a:\n  mark\nb: 1\n"]
    {
        let (node, said) = read(text);
        assert_eq!(said, "", "{text}");
        let mut found = Vec::new();
        collect(&node.expect("a node"), &mut found);
        assert!(found.contains(&"mark".to_owned()), "{text}: {found:?}");
    }
}

fn collect(node: &Node, found: &mut Vec<String>) {
    found.push(node.span.source.text[node.span.start..node.span.end].to_owned());
    match &node.data {
        Data::Scalar(_) => {}
        Data::Seq(items) => items.iter().for_each(|item| collect(item, found)),
        Data::Map(map) => map.values().for_each(|entry| collect(&entry.value, found)),
    }
}

#[test]
fn a_collection_spans_its_items() {
    let (node, _) = read("a:\n  - x\n  - y: 1\n    z: 2\n\n\nb: 1\n");
    let mut found = Vec::new();
    collect(&node.expect("a node"), &mut found);
    assert_snapshot!(found.join("\n===\n"), @r"
    a:
      - x
      - y: 1
        z: 2


    b: 1
    ===
    - x
      - y: 1
        z: 2
    ===
    x
    ===
    y: 1
        z: 2
    ===
    1
    ===
    2
    ===
    1
    ");
}

#[test]
fn templates_are_told_from_texts() {
    let value = value("a: 'x {{ y }}'\nb: !unsafe 'x {{ y }}'\nc: !unsafe\n  - '{% z %}'\nd: plain\n");
    let Value::Map(map) = value else { panic!("a dictionary") };
    assert!(
        matches!(&map["a"], Value::Template(t) if t.text == "x {{ y }}" && !t.secret && t.span.to_string() == "f.yml:1:4")
    );
    assert_eq!(map["b"], Value::Str("x {{ y }}".into()));
    assert_eq!(map["c"], Value::List(vec![Value::Str("{% z %}".into())]));
    assert_eq!(map["d"], Value::Str("plain".into()));
}

fn vaulted(text: &str, password: &str) -> (Option<Node>, String) {
    let mut vault = VaultPasswords::none();
    vault.add(None, &Secret::new(password));
    let mut diagnostics = Diagnostics::new();
    let node = load(&source(text), &vault, &mut diagnostics);
    (node, diagnostics.render(Paint::Plain))
}

#[test]
fn a_vault_file_is_secret_throughout() {
    let (node, said) = vaulted(include_str!("../../fixtures/vault/vars_1.1.yml"), "correct horse");
    assert_eq!(said, "");
    let node = node.expect("a node");
    assert!(!format!("{node:?}").contains("s3cret"));
    let value = node.to_value();
    let Value::Map(map) = &value else { panic!("a dictionary") };
    assert_eq!(map["db_password"], Value::Secret(Secret::new("s3cret")));
    assert_eq!(map["port"], Value::Secret(Secret::new("5432")));
    assert_eq!(json(&value), r#"{"db_password":"«redacted»","port":"«redacted»"}"#);

    let (node, _) = vaulted(include_str!("../../fixtures/vault/vars_1.2.yml"), "correct horse");
    let Some(Value::Map(map)) = node.map(|node| node.to_value()) else { panic!("a dictionary") };
    assert!(!format!("{map:?}").contains("pg://"));
    assert!(matches!(&map["url"], Value::Template(t) if t.secret && t.span.to_string() == "f.yml:1:1"));
}

#[test]
fn an_inline_vault_is_secret_alone() {
    let text = include_str!("../../fixtures/vault/inline.yml");
    let (node, said) = vaulted(text, "correct horse");
    assert_eq!(said, "");
    let Some(Value::Map(map)) = node.map(|node| node.to_value()) else { panic!("a dictionary") };
    assert_eq!(map["db_password"], Value::Secret(Secret::new("s3cret")));
    assert_eq!(map["plain"], Value::Int(1));
    assert_snapshot!(vaulted(text, "wrong").1, @r"
    warning: vault password `default` does not open the value at f.yml:1:14
     --> f.yml:1:14
      |
    1 | db_password: !vault |
      |              ^^^^^^^^
    hint: check that the password file is the one this vault was made with (a vault can be damaged, too)
    ");
    assert_snapshot!(said_plainly(text), @r"
    warning: no vault password was given, and the value at f.yml:1:14 is encrypted
     --> f.yml:1:14
      |
    1 | db_password: !vault |
      |              ^^^^^^^^
    hint: give it with `--vault-password-file FILE`
    ");
}

fn said_plainly(text: &str) -> String {
    read(text).1
}

#[test]
fn an_error_inside_a_vault_shows_nothing_of_it() {
    let sealed = crate::vault::encrypt(b"a: 1\nb: @canary\n", &Secret::new("p"), None, &[7; 32]);
    let said = vaulted(&sealed, "p").1;
    assert!(!said.contains("canary") && !said.contains('@'), "{said}");
    assert_snapshot!(said, @r"
    error: the content is not YAML: line 2, column 4
     --> f.yml:1:1
      |
    1 | $ANSIBLE_VAULT;1.1;AES256
      | ^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
}

#[test]
fn a_duplicate_key_is_a_warning() {
    let (node, said) = read("a: 1\nb: 2\na: 3\n");
    assert_eq!(json(&node.expect("a node").to_value()), r#"{"a":3,"b":2}"#);
    assert_snapshot!(said, @r"
    warning: the key `a` is given twice
     --> f.yml:3:1
      |
    3 | a: 3
      | ^ this one wins
     ::: f.yml:1:1
      |
    1 | a: 1
      | - this one is ignored
    ");
}

#[test]
fn a_bare_template_is_told_to_be_quoted() {
    assert_snapshot!(said("a:\n  b: {{ x }}\n"), @r#"
    error: a template is not quoted
     --> f.yml:2:6
      |
    2 |   b: {{ x }}
      |      ^^^^^^^
    hint: a value that begins with `{{` must be quoted: `key: "{{ variable }}"`
    "#);
    assert_snapshot!(said("- copy:\n    dest: {{ dir }}/file\n    mode: 1\n"), @r#"
    error: a template is not quoted
     --> f.yml:2:11
      |
    2 |     dest: {{ dir }}/file
      |           ^^^^^^^^^
    hint: a value that begins with `{{` must be quoted: `key: "{{ variable }}"`
    "#);
    assert_snapshot!(said("- {{ x }}\n"), @r#"
    error: a template is not quoted
     --> f.yml:1:3
      |
    1 | - {{ x }}
      |   ^^^^^^^
    hint: a value that begins with `{{` must be quoted: `key: "{{ variable }}"`
    "#);
}

#[test]
fn a_tab_is_pointed_at() {
    assert_snapshot!(said("a:\n\tb: 1\n"), @r"
    error: a tab is used for indentation
     --> f.yml:2:1
      |
    2 |     b: 1
      | ^
    hint: YAML is indented with spaces: replace each tab
    ");
    assert_snapshot!(said("a:\n  b: 1\n\tc: 2\n"), @r"
    error: a tab is used for indentation
     --> f.yml:3:1
      |
    3 |     c: 2
      | ^
    hint: YAML is indented with spaces: replace each tab
    ");
}

#[test]
fn a_second_colon_is_pointed_at() {
    assert_snapshot!(said("a: 1\nmsg: this: that\nb: 2\n"), @r"
    error: a value with `: ` in it is not quoted
     --> f.yml:2:6
      |
    2 | msg: this: that
      |      ^^^^^^^^^^
    hint: quote the whole value, or begin a new line for the second key
    ");
    assert_snapshot!(said("- name: Install: now\n  debug:\n"), @r"
    error: a value with `: ` in it is not quoted
     --> f.yml:1:9
      |
    1 | - name: Install: now
      |         ^^^^^^^^^^^^
    hint: quote the whole value, or begin a new line for the second key
    ");
}

#[test]
fn a_missing_space_is_pointed_at() {
    assert_snapshot!(said("a: 1\nname:x\nb: 2\n"), @r"
    error: a space is missing after `:`
     --> f.yml:2:5
      |
    2 | name:x
      |     ^
    hint: write `key: value`
    ");
}

#[test]
fn quotes_and_brackets() {
    assert_snapshot!(said("a: \"x\" and y\n"), @r#"
    error: text stands behind a quoted value
     --> f.yml:1:4
      |
    1 | a: "x" and y
      |    ^^^
    hint: quote the whole value: `key: '"a" and b'`
    "#);
    assert_snapshot!(said("a: 'x\nb: 2\n"), @r"
    error: this is not YAML: invalid indentation in quoted scalar
     --> f.yml:1:4
      |
    1 | a: 'x
      |    ^
    hint: a quote is opened and not closed
    ");
    assert_snapshot!(said("a: [1, 2\nb: 2\n"), @r"
    error: this is not YAML: illegal placement of ':' indicator
     --> f.yml:2:2
      |
    2 | b: 2
      |  ^
    hint: a bracket or a quote above this line is not closed
    ");
    assert_snapshot!(said("a: @x\n"), @r"
    error: this is not YAML: unexpected character: `@'
     --> f.yml:1:4
      |
    1 | a: @x
      |    ^
    hint: a value that begins with this character must be quoted
    ");
    assert_snapshot!(said("a: *.conf\n"), @r"
    error: this is not YAML: while parsing node, found unknown anchor
     --> f.yml:1:4
      |
    1 | a: *.conf
      |    ^
    hint: a value that begins with `*` must be quoted, unless it is an alias
    ");
    assert_snapshot!(said("a: \"\\d\"\n"), @r#"
    error: this is not YAML: while parsing a quoted scalar, found unknown escape character
     --> f.yml:1:4
      |
    1 | a: "\d"
      |    ^
    hint: in double quotes a backslash is written twice; in single quotes it stands for itself
    "#);
}

#[test]
fn indentation() {
    assert_snapshot!(said("a:\n  b: 1\n c: 2\n"), @r"
    error: this is not YAML: while parsing a block mapping, did not find expected key
     --> f.yml:3:2
      |
    3 |  c: 2
      |  ^
    hint: check the indentation of this line against the lines above it
    ");
    assert_snapshot!(said("- a: 1\n  b: 2\n c: 3\n"), @r"
    error: this is not YAML: while parsing a block collection, did not find expected '-' indicator
     --> f.yml:3:2
      |
    3 |  c: 3
      |  ^
    hint: check the indentation of this line against the lines above it
    ");
}

#[test]
fn keys_tags_and_documents() {
    assert_snapshot!(said("? [a]\n: 1\n"), @r"
    error: a key must be a text, not a list or a dictionary
     --> f.yml:1:3
      |
    1 | ? [a]
      |   ^^^
    ");
    assert_snapshot!(said("a: !valut x\n"), @r"
    error: unknown tag `!valut`
     --> f.yml:1:4
      |
    1 | a: !valut x
      |    ^^^^^^^^
    hint: did you mean `!vault`?
    ");
    assert_snapshot!(said("a: 1\n---\nb: 1\n"), @r"
    error: this file must hold one YAML document, and another begins here
     --> f.yml:3:1
      |
    3 | b: 1
      | ^^^^
    hint: remove the `---` line between them
    ");
    assert_snapshot!(said("a:\n  <<: 1\n"), @r"
    error: `<<` merges dictionaries, and this is the number `1`
     --> f.yml:2:7
      |
    2 |   <<: 1
      |       ^
    ");
}

#[test]
fn a_decimal_mode_is_an_error() {
    let mode = |text: &str| read(text).0.expect("a node").file_mode();
    for (text, want) in
        [("0644", "0644"), ("'644'", "644"), ("u=rw,g=r", "u=rw,g=r"), ("preserve", "preserve"), ("02755", "02755")]
    {
        assert_eq!(mode(text).ok().as_deref(), Some(want), "{text}");
    }
    assert!(mode("yes").is_err() && mode("[a]").is_err() && mode("0x1a4").is_err());
    assert_snapshot!(mode("644").expect_err("it is decimal").render(Paint::Plain), @r#"
    error: the mode `644` is not octal
     --> f.yml:1:1
      |
    1 | 644
      | ^^^
    hint: write `"0644"`: without a 0 in front, YAML reads a decimal number
    "#);
}

proptest::proptest! {
    /// Whatever a file holds, there is a tree or an error, and both can be shown.
    #[test]
    fn no_text_breaks_the_reader(words in proptest::collection::vec(proptest::sample::select(PIECES), 0..40)) {
        let text: String = words.concat();
        let (node, said) = read(&text);
        proptest::prop_assert!(node.is_some() || said.contains("error: "), "{text:?}");
        if let Some(node) = node {
            to_yaml(&node.to_value());
            let mut diagnostics = Diagnostics::new();
            crate::playbook::parse(&source(&text), &VaultPasswords::none(), &mut diagnostics);
            diagnostics.render(Paint::Ansi);
        }
    }
}

/// What YAML, playbooks and their mistakes are made of.
const PIECES: &[&str] = &[
    "a",
    "key",
    ": ",
    ":",
    "- ",
    "\n",
    "\n  ",
    "\n    ",
    "\n- ",
    "\t",
    "{{ x }}",
    "{{",
    "}}",
    "{",
    "}",
    "[",
    "]",
    ",",
    "'",
    "\"",
    "|\n",
    ">-\n",
    "&a ",
    "*a",
    "<<: ",
    "!vault ",
    "!unsafe ",
    "!x ",
    "#",
    "ä",
    "日本",
    "\u{feff}",
    "\r\n",
    "---\n",
    "? ",
    "%",
    "@",
    "0644",
    "hosts: all\n",
    "tasks:\n",
    "block:",
    "$ANSIBLE_VAULT;1.1;AES256\n",
    "name: ",
    "\\",
    "~",
];

#[test]
fn attacks_are_refused() {
    let mut laughs = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (from, to) in "abcdefgh".chars().zip("bcdefghi".chars()) {
        laughs.push_str(&format!("{to}: &{to} [{}]\n", vec![format!("*{from}"); 10].join(", ")));
    }
    assert_snapshot!(said(&laughs), @r"
    error: the aliases of this file expand to more than 100000 values
     --> f.yml:5:36
      |
    5 | e: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d, *d]
      |                                    ^^ this one is too much
    ");
    assert_snapshot!(said("a: &a [*a]\n"), @r"
    error: this alias stands inside of what it refers to
     --> f.yml:1:8
      |
    1 | a: &a [*a]
      |        ^^
    ");
    let deep = format!("a: {}{}\n", "[".repeat(200), "]".repeat(200));
    assert!(said(&deep).starts_with("error: the values of this file nest deeper than 128 levels"), "{}", said(&deep));
    let mut chain = "a: &a [x]\n".to_owned();
    for n in 0..40 {
        let (from, to) = (if n == 0 { "a".into() } else { format!("a{n}") }, format!("a{}", n + 1));
        chain.push_str(&format!("{to}: &{to} [[[[*{from}]]]]\n"));
    }
    assert!(said(&chain).starts_with("error: the values of this file nest deeper than 128 levels"), "{}", said(&chain));
}
