//! What templates do, as tables.

use std::collections::HashMap;
use std::sync::Arc;

use super::*;
use crate::source::Source;
use crate::value::Map;

const VARS: &str = "\
name: web1
count: 3
flag: true
nothing: null
list: [1, 2, 3]
users:
  - {name: amy, uid: 1001, groups: [wheel, dev]}
  - {name: bob, uid: 1002}
db: {host: db1, port: 5432, url: '{{ db.host }}:{{ db.port }}'}
lazy: '{{ count + 1 }}'
broken: '{{ missing_thing }}'
loop_a: '{{ loop_b }}'
loop_b: '{{ loop_a }}'
";

fn value(yaml: &serde_yaml::Value, source: &Arc<Source>) -> Value {
    use serde_yaml::Value as Yaml;
    match yaml {
        Yaml::Bool(b) => Value::Bool(*b),
        Yaml::Number(n) => n.as_i64().map_or_else(|| Value::Float(n.as_f64().expect("a number")), Value::Int),
        Yaml::String(s) if is_template(s) => Value::Template(template_in(s, source)),
        Yaml::String(s) => Value::Str(s.clone()),
        Yaml::Sequence(list) => Value::List(list.iter().map(|v| value(v, source)).collect()),
        Yaml::Mapping(map) => {
            Value::Map(map.iter().map(|(k, v)| (k.as_str().expect("a text").to_owned(), value(v, source))).collect())
        }
        _ => Value::Null,
    }
}

fn template_in(text: &str, source: &Arc<Source>) -> Template {
    let start = source.text.find(text).expect("it stands there");
    Template { text: text.to_owned(), span: Span::new(source, start, start + text.len()), secret: false }
}

fn source(text: &str) -> Arc<Source> {
    Arc::new(Source { path: "play.yml".into(), text: text.to_owned() })
}

fn vars() -> HashMap<String, Value> {
    let source = source(VARS);
    let Value::Map(map) = value(&serde_yaml::from_str(VARS).expect("YAML"), &source) else { panic!("a dictionary") };
    let mut vars: HashMap<_, _> = map.into_iter().collect();
    let secret = |s: &str| Value::Secret(Secret::new(s));
    let why = Why { after: "Install PostgreSQL".into() };
    vars.insert("password".into(), secret("hunter2"));
    vars.insert("pending".into(), Value::Unknown(why));
    vars.insert("safe".into(), Value::Str("{{ not rendered }}".into()));
    let account = [("user".to_owned(), Value::Str("amy".into())), ("password".to_owned(), secret("hunter2"))];
    vars.insert("account".into(), Value::Map(Map::from(account)));
    vars
}

fn lookup() -> Arc<dyn Lookup> {
    Arc::new(MapLookup(vars()))
}

fn render(text: &str) -> Result<Value, TemplateError> {
    let template = Template { text: text.into(), span: Span::new(&source(text), 0, text.len()), secret: false };
    Templar::new(".").render(&template, &lookup())
}

fn text(value: &str) -> Value {
    Value::Str(value.into())
}

#[test]
fn a_lone_expression_keeps_its_type() {
    let table: &[(&str, Value)] = &[
        ("{{ count }}", Value::Int(3)),
        ("{{ count }} ", text("3 ")),
        ("{{ lazy }}", Value::Int(4)),
        ("{{ flag }}", Value::Bool(true)),
        ("a{{ nothing }}b", text("ab")),
        ("{{ nothing }}", Value::Null),
        ("{{ list }}", Value::List(vec![Value::Int(1), Value::Int(2), Value::Int(3)])),
        ("{% if flag %}{{ count }}{% endif %}", Value::Int(3)),
        ("{% if flag %}x{{ count }}{% endif %}", text("x3")),
        ("{{ db.url }}", text("db1:5432")),
        ("{{ safe }}", text("{{ not rendered }}")),
        ("{{ name }}\n", text("web1\n")),
        ("plain", text("plain")),
        ("{{ omit }}", Value::Omit),
        ("{{ missing | default(omit) }}", Value::Omit),
        ("{{ users | map(attribute='name') | join(',') }}", text("amy,bob")),
        ("{{ users[1].name }}-{{ users.0.uid }}", text("bob-1001")),
        ("{{ vars['count'] }}", Value::Int(3)),
        ("{{ lookup('vars', 'lazy') }}", Value::Int(4)),
        ("{{ list | map('string') | ansible.builtin.first }}", text("1")),
    ];
    for (template, expected) in table {
        assert_eq!(render(template).as_ref(), Ok(expected), "{template}");
    }
}

#[test]
fn undefined_is_forgiven_by_default_and_defined_only() {
    let table: &[(&str, Value)] = &[
        ("{{ missing | default('x') }}", text("x")),
        ("{{ missing.a.b | default('x') }}", text("x")),
        ("{{ db.a['b'].c | d('x') }}", text("x")),
        ("{{ db.a.b is defined }}", Value::Bool(false)),
        ("{{ db.host is defined }}", Value::Bool(true)),
        ("{{ broken | default('x') }}", text("x")),
        ("{{ broken is undefined }}", Value::Bool(true)),
        ("{{ missing | upper | default('x') }}", text("x")),
        ("{{ missing.items() | default('x') }}", text("x")),
        ("{{ '' | default('x', true) }}", text("x")),
        ("{{ [] | first | default('x') }}", text("x")),
    ];
    for (template, expected) in table {
        assert_eq!(render(template).as_ref(), Ok(expected), "{template}");
    }
}

/// The error, its place and its hints in one line.
fn complaint(error: &TemplateError) -> String {
    let via: String = error.via.iter().map(|v| format!(" < {} ({})", v.name, v.span)).collect();
    format!("{}: {error}{via} | {}", error.span, error.hints.join("; "))
}

#[test]
fn errors_point_to_the_expression() {
    let found: Vec<String> = [
        "{{ cuont }}",
        "a {{ db.hots }} b",
        "{{ missing.a.b }}",
        "{{ broken }}",
        "{{ 'x' ~ broken }}",
        "{{ loop_a }}",
        "{{ count | uper }}",
        "{{ count is evn }}",
        "{{ 'a' > 1 }}",
        "{{ 1 in '123' }}",
        "{{ name + 1 }}",
        "{{ lookup('fil', 'x') }}",
        "{{ count + }}",
        "{{ name | regex_replace('(', 'x') }}",
        "{{ 'a' if false }}",
        "{{ list.nope() }}",
        "{% for x in missing %}{{ x }}{% endfor %}",
        "{{ password | from_json }}",
    ]
    .iter()
    .map(|template| format!("{template}  =>  {}", complaint(&render(template).expect_err(template))))
    .collect();
    insta::assert_snapshot!(found.join("\n"), @r#"
    {{ cuont }}  =>  play.yml:1:4: 'cuont' is undefined | did you mean 'count'?
    a {{ db.hots }} b  =>  play.yml:1:6: 'db.hots' is undefined | did you mean 'db.host'?
    {{ missing.a.b }}  =>  play.yml:1:4: 'missing' is undefined | define it, or give a value for the case with '| default(…)'
    {{ broken }}  =>  play.yml:11:13: 'missing_thing' is undefined < broken (play.yml:11:10) | define it, or give a value for the case with '| default(…)'
    {{ 'x' ~ broken }}  =>  play.yml:11:13: 'missing_thing' is undefined < broken (play.yml:11:10) | define it, or give a value for the case with '| default(…)'
    {{ loop_a }}  =>  play.yml:12:10: variables are defined by each other: loop_a (play.yml:12:10) -> loop_b (play.yml:13:10) -> loop_a (play.yml:12:10) | 
    {{ count | uper }}  =>  play.yml:1:12: there is no filter 'uper' | did you mean 'upper'?
    {{ count is evn }}  =>  play.yml:1:13: there is no test 'evn' | did you mean 'even'?
    {{ 'a' > 1 }}  =>  play.yml:1:9: '>' not supported between instances of 'str' and 'int' | 
    {{ 1 in '123' }}  =>  play.yml:1:8: 'in <string>' requires string as left operand, not int | 
    {{ name + 1 }}  =>  play.yml:1:4: can only concatenate str (not "int") to str | 
    {{ lookup('fil', 'x') }}  =>  play.yml:1:4: there is no lookup 'fil'; did you mean 'file'? | 
    {{ count + }}  =>  play.yml:1:10: unexpected end of input, expected expression | 
    {{ name | regex_replace('(', 'x') }}  =>  play.yml:1:11: '(' is not a regular expression: Parsing error at position 1: Opening parenthesis without closing parenthesis | 
    {{ 'a' if false }}  =>  play.yml:1:1: the expression yields nothing | an inline 'if' needs an 'else'; 'first' and 'last' need an item
    {{ list.nope() }}  =>  play.yml:1:8: object of type 'list' has no attribute 'nope' | 
    {% for x in missing %}{{ x }}{% endfor %}  =>  play.yml:1:13: 'missing' is undefined | define it, or give a value for the case with '| default(…)'
    {{ password | from_json }}  =>  play.yml:1:15: failed to evaluate '{{ password | from_json }}', which reads a secret: the reason is withheld |
    "#);
}

#[test]
fn secrets_taint_what_is_made_of_them() {
    let secret = |s: &str| Value::Secret(Secret::new(s));
    let table: &[(&str, Value)] = &[
        ("{{ password }}", secret("hunter2")),
        ("pw={{ password }}", secret("pw=hunter2")),
        ("{{ password | length }}", secret("7")),
        ("{{ password == 'x' }}", Value::Bool(false)),
        ("{{ account.user }}", text("amy")),
        ("{{ account.password | upper }}", secret("HUNTER2")),
        ("{{ account }}", vars().remove("account").expect("there")),
        ("{{ [account.user, 1] }}", Value::List(vec![text("amy"), Value::Int(1)])),
        ("{{ password is defined }}", Value::Bool(true)),
        ("{{ flag or password }}", Value::Bool(true)),
    ];
    for (template, expected) in table {
        assert_eq!(render(template).as_ref(), Ok(expected), "{template}");
    }
}

#[test]
fn what_is_not_known_poisons() {
    let unknown = Value::Unknown(Why { after: "Install PostgreSQL".into() });
    for template in [
        "{{ pending }}",
        "x{{ pending.stdout_lines[0] | int + 1 }}",
        "{{ pending | default('x') }}",
        "{{ pending.items() | map('upper') | list }}",
        "{% for x in pending %}{{ x }}{% endfor %}",
        "{{ lookup('file', pending) }}",
        "{{ pending.rc == 0 and missing }}",
    ] {
        assert_eq!(render(template).as_ref(), Ok(&unknown), "{template}");
    }
    assert_eq!(render("{{ flag or pending }}"), Ok(Value::Bool(true)));
}

#[test]
fn conditions_are_booleans() {
    let condition = |text: &str| Templar::new(".").condition(text, &Span::new(&source(text), 0, text.len()), &lookup());
    let table: &[(&str, Truth)] = &[
        ("count == 3", Truth::Yes),
        ("name != 'web1'", Truth::No),
        ("flag and count > 2", Truth::Yes),
        ("not flag", Truth::No),
        ("{{ flag }}", Truth::Yes),
        ("'{{ name }}' == 'web1'", Truth::Yes),
        ("missing is not defined or missing.x", Truth::Yes),
        ("pending is changed", Truth::Unknown(Why { after: "Install PostgreSQL".into() })),
        ("name is match('web\\d') and list is subset([1, 2, 3, 4])", Truth::Yes),
        ("'15.4' is version('15.10', '<')", Truth::Yes),
        (
            "users | selectattr('groups', 'defined') | selectattr('groups', 'contains', 'dev') | list | length == 1",
            Truth::Yes,
        ),
    ];
    for (text, expected) in table {
        assert_eq!(condition(text).as_ref(), Ok(expected), "{text}");
    }
    let refused: Vec<_> = ["name", "count", "nothing", "list"].map(|t| complaint(&condition(t).expect_err(t))).into();
    insta::assert_snapshot!(refused.join("\n"), @r#"
    play.yml:1:1: the condition is str, not a boolean | make it a boolean: 'name | bool'
    play.yml:1:1: the condition is int, not a boolean | compare it: 'count != 0'
    play.yml:1:1: the condition is NoneType, not a boolean | compare it: 'nothing is not none'
    play.yml:1:1: the condition is list, not a boolean | compare it: 'list | length > 0'
    "#);
}

#[test]
fn resolving_drops_what_is_omitted() {
    let yaml = "{a: '{{ name }}', b: '{{ omit }}', c: ['{{ omit }}', '{{ count }}'], d: {e: '{{ db }}'}}";
    let source = source(yaml);
    let value = value(&serde_yaml::from_str(yaml).expect("YAML"), &source);
    let resolved = Templar::new(".").resolve(&value, &lookup()).expect("resolves");
    let Value::Map(map) = resolved else { panic!("a dictionary") };
    assert_eq!(map.keys().collect::<Vec<_>>(), ["a", "c", "d"]);
    assert_eq!(map["c"], Value::List(vec![Value::Int(3)]));
    let Value::Map(d) = &map["d"] else { panic!("a dictionary") };
    let Value::Map(e) = &d["e"] else { panic!("a dictionary") };
    assert_eq!(e["url"], text("db1:5432"));
}

#[test]
fn files_keep_their_last_newline() {
    let templar = Templar::new(".");
    let whitespace = Whitespace::File { trim_blocks: true, lstrip_blocks: false };
    let render = |text: &str| {
        let source = source(text);
        templar.render_file(text, whitespace, &Span::new(&source, 0, text.len()), &lookup())
    };
    let text = "{% for u in users %}\n{{ u.name }}\n{% endfor %}\n";
    assert_eq!(render(text), Ok(Rendered::Plain("amy\nbob\n".into())));
    assert_eq!(render("pw {{ password }}"), Ok(Rendered::Secret(Secret::new("pw hunter2"))));
    assert_eq!(render("{{ count }}"), Ok(Rendered::Plain("3".into())));
    let text = "#jinja2: lstrip_blocks: True\n  {% if flag %}\nx\n  {% endif %}\n";
    assert_eq!(render(text), Ok(Rendered::Plain("x\n".into())));
    let text = "#jinja2: variable_start_string: '[[', variable_end_string: ']]'\n{{ x }} [[ count ]]\n";
    assert_eq!(render(text), Ok(Rendered::Plain("{{ x }} 3\n".into())));
    let told = [
        ("line_prefix: '%'", "Invalid '#jinja2:' override key 'line_prefix'."),
        (r#"trim_blocks: "true""#, "TemplateOverrides.trim_blocks must be <class 'bool'> instead of <class 'str'>"),
        ("trim_blocks: 1", "TemplateOverrides.trim_blocks must be <class 'bool'> instead of <class 'int'>"),
        (
            "variable_start_string: 3",
            "TemplateOverrides.variable_start_string must be <class 'str'> instead of <class 'int'>",
        ),
        ("trim_blocks", "Missing key-value separator `:` in '#jinja2:' override pair 'trim_blocks'."),
        ("trim_blocks: False,", "Empty '#jinja2:' override pair not allowed."),
    ];
    for (line, words) in told {
        let error = render(&format!("#jinja2:{line}\nx\n")).expect_err(line);
        assert_eq!(error.told.as_deref(), Some(format!("Syntax error in template: {words}").as_str()), "{line}");
    }
    assert!(render("#jinja2: trim_blocks: no\nx\n").is_err());
    let error = render("#jinja2: trim_blocks: False\nb {{ missing }}\n").expect_err("undefined");
    assert_eq!(error.span.to_string(), "play.yml:2:6");
    let error = render("a\nb {{ missing }}\n").expect_err("undefined");
    assert_eq!(error.span.to_string(), "play.yml:2:6");
}

#[test]
fn files_include_what_stands_beside_them() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("part.j2"), "user {{ item }} {{ item | regex_replace('(.)', '\\\\1') }}\n")
        .expect("writes");
    std::fs::write(dir.path().join("bad.j2"), "fine\n{{ missing }}\n").expect("writes");
    let render = |text: &str| {
        let source = Arc::new(Source { path: dir.path().join("main.j2"), text: text.to_owned() });
        let whitespace = Whitespace::File { trim_blocks: true, lstrip_blocks: false };
        Templar::new(".").render_file(text, whitespace, &Span::new(&source, 0, text.len()), &lookup())
    };
    let text = "{% for item in ['a', 'b'] %}\n{% include 'part.j2' %}\n{% endfor %}\n";
    // The last newline of what is included goes, as in Ansible, and the one after the statement, too.
    assert_eq!(render(text), Ok(Rendered::Plain("user a auser b b\n".into())));
    let error = render("{% include 'bad.j2' %}").expect_err("undefined");
    assert_eq!(error.span.to_string(), format!("{}:2:4", dir.path().join("bad.j2").display()));
    let error = render("{% include 'nope.j2' %}").expect_err("missing");
    assert!(error.to_string().contains("nope.j2"), "{error}");
}

#[test]
fn lists_and_dictionaries_change_within_a_template() {
    let table: &[(&str, Value)] = &[
        (
            "{% set a = [] %}{% for u in users %}{% set _ = a.append(u.uid) %}{% endfor %}{{ a | sum }}",
            Value::Int(2003),
        ),
        ("{{ list.append(4) }}{{ list | length }}", text("4")),
        ("{% set d = {} %}{% set _ = d.update({'a': 1}) %}{{ d.a }}", Value::Int(1)),
    ];
    for (template, expected) in table {
        assert_eq!(render(template).as_ref(), Ok(expected), "{template}");
    }
}

/// Three hosts with a definition in common, each looked up anew as a real inventory does it.
struct Fleet(Arc<HashMap<String, Value>>, HashMap<String, Value>);

impl Lookup for Fleet {
    fn get(&self, name: &str) -> Option<&Value> {
        self.1.get(name).or_else(|| self.0.get(name))
    }

    fn names(&self) -> Vec<String> {
        self.0.keys().chain(self.1.keys()).cloned().collect()
    }

    fn has_hosts(&self) -> bool {
        true
    }

    fn hosts(&self) -> Vec<String> {
        vec!["h1".into(), "h2".into(), "h3".into()]
    }

    fn host(&self, name: &str) -> Option<Arc<dyn Lookup>> {
        let own = HashMap::from([("ip".to_owned(), text(&format!("ip of {name}")))]);
        self.hosts().contains(&name.to_owned()).then(|| Arc::new(Self(Arc::clone(&self.0), own)) as Arc<dyn Lookup>)
    }
}

#[test]
fn hostvars_are_rendered_with_each_hosts_own_variables() {
    let address = Template { text: "<{{ ip }}>".into(), span: Span::none(), secret: false };
    let shared = Arc::new(HashMap::from([("address".to_owned(), Value::Template(address))]));
    let vars: Arc<dyn Lookup> = Arc::new(Fleet(shared, HashMap::new()));
    let render = |text: &str| {
        Templar::new(".").render(&Template { text: text.into(), span: Span::none(), secret: false }, &vars)
    };
    let table: &[(&str, &str)] = &[
        ("{% for h in hostvars %}{{ hostvars[h].address }}{% endfor %}", "<ip of h1><ip of h2><ip of h3>"),
        ("{{ hostvars | list | map('extract', hostvars, 'address') | join }}", "<ip of h1><ip of h2><ip of h3>"),
        ("{{ hostvars.h9.address | default('none') }}", "none"),
        ("{{ hostvars['h2']['ip'] }}", "ip of h2"),
    ];
    for (template, expected) in table {
        assert_eq!(render(template), Ok(text(expected)), "{template}");
    }
}

#[test]
fn an_evaluation_leaves_nothing_behind() {
    let vars = lookup();
    let template = template_in("{{ db.url ~ list | sum }}", &source("{{ db.url ~ list | sum }}"));
    Templar::new(".").render(&template, &vars).expect("renders");
    assert_eq!(Arc::strong_count(&vars), 1);
}

#[test]
fn reads_name_what_a_text_depends_on() {
    let templar = Templar::new(".");
    let names = |text: &str| templar.reads(text).into_iter().collect::<Vec<_>>().join(" ");
    assert_eq!(names("{{ result.rc }} {{ name | default(other) }}"), "name other result.rc");
    assert_eq!(names("plain"), "");
    let names = templar.reads_expression("hostvars[name].x == 1 and result is changed");
    assert_eq!(names.into_iter().collect::<Vec<_>>().join(" "), "hostvars name result");
}

#[test]
fn the_registries_are_documented_and_free_of_duplicates() {
    let mut seen = std::collections::HashSet::new();
    for (kind, name, doc) in catalogue() {
        assert!(seen.insert((format!("{kind:?}"), name)), "{kind:?} {name} is there twice");
        assert!(doc.ends_with('.') && doc.len() > 4, "{kind:?} {name}: {doc}");
    }
}

#[test]
fn check_finds_what_does_not_exist() {
    let check = |text: &str| {
        let template = Template { text: text.into(), span: Span::new(&source(text), 0, text.len()), secret: false };
        Templar::new(".").check(&template)
    };
    assert_eq!(check("{{ a | default(b) | to_json }}{% if a is defined %}{% endif %}"), Ok(()));
    let found: Vec<_> = ["{{ a | to_jsno }}", "{% if a is definde %}{% endif %}", "{{ a b }}", "{% if %}"]
        .map(|text| complaint(&check(text).expect_err(text)))
        .into();
    insta::assert_snapshot!(found.join("\n"), @r#"
    play.yml:1:8: there is no filter 'to_jsno' | did you mean 'to_json'?
    play.yml:1:12: there is no test 'definde' | did you mean 'defined'?
    play.yml:1:6: unexpected input after expression | 
    play.yml:1:7: unexpected end of block |
    "#);
}

/// Playbooks look for these words in what a task that failed has registered.
#[test]
fn some_reasons_are_worded_as_in_ansible() {
    let table = [
        ("{{ nowhere | mandatory }}", "Mandatory variable not defined."),
        ("{{ nowhere | mandatory('needed') }}", "needed"),
        ("{{ 'http://h' | urlsplit('nope') }}", "unknown URL component: nope"),
        ("{{ query('sequence', 'start=3 end=1') }}", "to count backwards make stride negative"),
        ("{{ 1 | ternary('a') }}", "'ternary' needs one more argument"),
    ];
    for (template, expected) in table {
        let error = render(template).expect_err("it fails");
        assert_eq!(error.to_string(), expected, "{template}");
    }
}

#[test]
fn ansible_managed_is_what_the_setting_says() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.j2");
    std::fs::write(&path, "").expect("writes");
    let templar = Templar::managing(".", "{file} of %Y-%m".into());
    let vars = templar.about(&path, "x/a.j2", "/etc/a", &lookup());
    let read = |text: &str| {
        templar.render(&Template { text: text.into(), span: Span::none(), secret: false }, &vars).expect("renders")
    };
    assert_eq!(read("{{ ansible_managed == 'x/a.j2 of ' ~ template_mtime.strftime('%Y-%m') }}"), Value::Bool(true));
    assert_eq!(read("{{ template_destpath }} {{ template_fullpath }}"), text(&format!("/etc/a {}", path.display())));
}
