//! What the parts of a run cost, each by itself: `cargo bench --package trueup-tests`. Whole runs, beside other tools, are
//! measured by `make bench`.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::json;
use trueup::diagnostic::{Diagnostics, Paint};
use trueup::playbook;
use trueup::report::diff;
use trueup::schedule::sort;
use trueup::source::{Source, Span};
use trueup::template::{Lookup, MapLookup, Templar, Whitespace};
use trueup::value::Value;
use trueup::vault::VaultPasswords;
use trueup_modules::edit::Diff;
use trueup_modules::wire::{self, Batch, Frame, Mode, Request, Task};

/// A play of so many tasks as they come in practice.
fn playbook(tasks: usize) -> String {
    let mut text = "- hosts: all\n  tasks:\n".to_owned();
    for n in 0..tasks {
        let _ = write!(
            text,
            "    - name: Line {n}\n      lineinfile:\n        path: /srv/{n}.conf\n        line: \"port = {{{{ port + {n} }}}}\"\n      \
             when: zone is defined and zone != 'z{n}'\n      register: result_{n}\n"
        );
    }
    text
}

fn parse(c: &mut Criterion) {
    let source = Arc::new(Source { path: "site.yml".into(), text: playbook(300) });
    c.bench_function("parse 300 tasks", |b| {
        b.iter(|| {
            let mut diagnostics = Diagnostics::new();
            let plays = playbook::parse(&source, &VaultPasswords::none(), &mut diagnostics);
            assert!(!diagnostics.has_errors());
            plays
        });
    });
}

fn compile(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("it can be written to");
        path
    };
    let hosts = |n: usize| -> String { (0..n).map(|n| format!("h{n} port={n} zone=a\n")).collect() };
    let site = write("site.yml", &playbook(300));
    for n in [1, 10_000] {
        let inventory = write(&format!("hosts{n}.ini"), &hosts(n));
        c.bench_function(&format!("compile 300 tasks on {n} hosts"), |b| {
            b.iter(|| assert_eq!(trueup_tests::compile(&site, &inventory, "password"), ""));
        });
    }
}

fn template(c: &mut Criterion) {
    let text = "{% for i in range(1000) %}{{ 'even' if i % 2 == 0 else 'odd' }}-{{ port + i }}-{{ name | upper }}\n{% endfor %}";
    let source = Arc::new(Source { path: "t.j2".into(), text: text.into() });
    let span = Span::new(&source, 0, text.len());
    let vars = HashMap::from([("port".to_owned(), Value::Int(1)), ("name".to_owned(), Value::Str("abc".into()))]);
    let vars: Arc<dyn Lookup> = Arc::new(MapLookup(vars));
    let templar = Templar::new(Path::new("."));
    let file = || Whitespace::File { trim_blocks: true, lstrip_blocks: false };
    c.bench_function("template of 1000 rounds", |b| {
        b.iter(|| templar.render_file(black_box(text), file(), &span, &vars).expect("it can be rendered"));
    });
    c.bench_function("condition", |b| {
        b.iter(|| templar.condition(black_box("name == 'abc' and port > 0"), &span, &vars).expect("it holds"));
    });
}

fn schedule(c: &mut Criterion) {
    let edges: Vec<(usize, usize)> = (1..1000).flat_map(|n| [(n / 2, n), (n - 1, n)]).collect();
    c.bench_function("order 1000 tasks", |b| b.iter(|| sort(1000, black_box(&edges)).expect("there is no cycle")));
}

fn diffs(c: &mut Criterion) {
    let text = |changed: &BTreeSet<usize>| -> String {
        (0..2000).map(|n| format!("line {n} = {}\n", if changed.contains(&n) { "new" } else { "old" })).collect()
    };
    let changed =
        Diff::new("/etc/app.conf", "content", text(&BTreeSet::new()), text(&(0..2000).step_by(200).collect()));
    let changed = [changed];
    c.bench_function("diff of 2000 lines", |b| b.iter(|| diff::render(black_box(&changed), None, Paint::Plain)));
}

fn frames(c: &mut Criterion) {
    let task = |id| Task {
        id,
        name: format!("Line {id}"),
        module: "file_line".into(),
        params: json!({"path": "/srv/app.conf", "line": format!("setting_{id} = value")}),
        become_: None,
        environment: Default::default(),
        check: false,
        secrets: Vec::new(),
        timeout: None,
        job: None,
    };
    let batch = Request::Batch(Batch { id: 1, mode: Mode::Ask, due: Vec::new(), tasks: (0..100).map(task).collect() });
    let frame = wire::encode(&batch);
    c.bench_function("encode a batch of 100 tasks", |b| b.iter(|| wire::encode(black_box(&batch))));
    c.bench_function("decode a batch of 100 tasks", |b| {
        b.iter(|| match wire::decode(black_box(&frame[4..])) {
            Ok(Frame::<Request>::Message(request)) => request,
            _ => panic!("it is a message"),
        });
    });
}

criterion_group!(benches, parse, compile, template, schedule, diffs, frames);
criterion_main!(benches);
