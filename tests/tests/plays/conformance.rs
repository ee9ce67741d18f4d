//! Small playbooks of which ansible-core has told what they do: `tests/conformance`. Each is run with Trueup, and must
//! do the same, task by task. `tests/conformance/oracle` holds the cases against ansible-core itself.

use std::fmt::Write as _;
use std::path::PathBuf;

use trueup::event::{Event, Recap, Status, TaskResult};
use trueup::report::summary::Verdict;
use trueup_tests::{Case, Run};

/// A case of a file.
#[derive(Default)]
struct Written {
    name: String,
    hosts: usize,
    /// It does things in a preview, too: it is not previewed.
    applied_only: bool,
    args: String,
    files: Vec<(String, String)>,
    expect: String,
}

fn cases(text: &str) -> Vec<Written> {
    let mut cases: Vec<Written> = Vec::new();
    let mut section: Option<String> = None;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("=== ") {
            cases.push(Written { name: name.trim().into(), hosts: 1, ..Written::default() });
            section = None;
        } else if let Some(case) = cases.last_mut() {
            match (line.strip_prefix("--- "), &section) {
                (Some(name), _) => {
                    section = Some(name.trim().into());
                    if name.trim() != "expect" {
                        case.files.push((name.trim().into(), String::new()));
                    }
                }
                (None, None) => option(case, line),
                (None, Some(name)) if name == "expect" => drop(writeln!(case.expect, "{line}")),
                (None, Some(_)) => {
                    let file = case.files.last_mut().expect("a section has begun");
                    let _ = writeln!(file.1, "{line}");
                }
            }
        }
    }
    cases
}

fn option(case: &mut Written, line: &str) {
    match line.split_once(':').map(|(key, value)| (key.trim(), value.trim())) {
        Some(("hosts", number)) => case.hosts = number.parse().expect("a number of hosts"),
        Some(("args", args)) => case.args = args.into(),
        Some(("preview", "no")) => case.applied_only = true,
        Some(("differs", _)) | None => {}
        Some((other, _)) => panic!("{}: there is no option `{other}`", case.name),
    }
}

fn prepared(written: &Written) -> Case {
    let site = written.files.iter().find(|(name, _)| name == "site.yml" || name == "tasks").expect("a playbook");
    let text = site.1.trim_matches('\n');
    let playbook = match site.0.as_str() {
        "tasks" => {
            let tasks: String = text.lines().map(|line| format!("    {line}\n")).collect();
            format!("- name: Play\n  hosts: all\n  gather_facts: false\n  tasks:\n{tasks}")
        }
        _ => format!("{text}\n"),
    };
    let mut case = Case::new(written.hosts, &playbook);
    for (name, text) in written.files.iter().filter(|(name, _)| *name != site.0) {
        if let Some((link, target)) = name.split_once(" -> ") {
            std::os::unix::fs::symlink(target, case.path(link)).expect("a new directory has no such link");
            continue;
        }
        case = case.file(name, &format!("{}\n", text.trim_matches('\n')));
    }
    let mut words = shlex(&written.args).into_iter();
    while let Some(word) = words.next() {
        let value = words.next().unwrap_or_else(|| panic!("{}: `{word}` has no value", written.name));
        case = match word.as_str() {
            "-e" => case.extra(&value),
            "--tags" => value.split(',').fold(case, Case::tag),
            "--skip-tags" => value.split(',').fold(case, Case::skip_tag),
            "--limit" => case.limit(&value),
            "--vault-password-file" => {
                let file = written.files.iter().find(|(name, _)| *name == value).expect("a file with the password");
                case.vault(file.1.trim().to_owned().leak())
            }
            other => panic!("{}: there is no argument `{other}`", written.name),
        };
    }
    case
}

/// Words, of which some stand in single or double quotes.
fn shlex(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in text.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// What happened, as the oracle tells it: within a task by host.
fn told(run: &Run) -> String {
    let mut text = String::new();
    let mut batch: Vec<(String, String)> = Vec::new();
    let flush = |batch: &mut Vec<(String, String)>, text: &mut String| {
        batch.sort_by(|a, b| a.0.cmp(&b.0));
        batch.drain(..).for_each(|(_, line)| text.push_str(&line));
    };
    for event in &run.events {
        match event {
            Event::TaskStarted { .. } => flush(&mut batch, &mut text),
            Event::Result(result) if !result.task.place.starts_with("<trueup>") => {
                batch.push((result.host.clone(), line(result)));
            }
            _ => {}
        }
    }
    flush(&mut batch, &mut text);
    let aborted = run.verdict() == Verdict::Aborted;
    for (host, recap) in run.recap().iter().filter(|(_, recap)| !aborted && has_counts(recap)) {
        let Recap { ok, changed, unreachable, failed, skipped, rescued, ignored, .. } = recap;
        let gathered =
            run.results().filter(|result| result.host == *host && result.task.place.starts_with("<trueup>")).count()
                as u64;
        let _ = writeln!(
            text,
            "recap {host} ok={} changed={changed} unreachable={unreachable} failed={failed} skipped={skipped} rescued={rescued} ignored={ignored}",
            ok - gathered
        );
    }
    let _ = writeln!(text, "exit {}", run.verdict().code());
    text.replace(&run.dir().display().to_string(), "DIR")
}

/// Ansible tells of no host on which nothing came to an end.
fn has_counts(recap: &Recap) -> bool {
    let counted = Recap { failed_with_others: 0, cleared: 0, ..*recap };
    counted != Recap::default()
}

fn line(result: &TaskResult) -> String {
    let include = matches!(result.task.module.as_str(), "include_tasks" | "include_role");
    let status = match &result.status {
        Status::Ok => "ok",
        Status::Changed => "changed",
        Status::Skipped { .. } => "skipped",
        Status::Failed { ignored: false, .. } => "failed",
        Status::Failed { ignored: true, .. } => "ignored",
        Status::Unreachable { .. } => "unreachable",
        Status::Would => "would",
        Status::Unknown(_) => "unknown",
    };
    let handler = if result.task.handler && !(include && result.status == Status::Ok) { "handler " } else { "" };
    let name = result.task.name.split("include_role : ").next().filter(|name| name.is_empty());
    let name = name.map_or(result.task.name.as_str(), |_| "include_role");
    let acting = result.delegated_to.as_ref().filter(|_| !matches!(result.status, Status::Skipped { .. }));
    let acting = acting.map(|host| format!("->{host}")).unwrap_or_default();
    let mut line = format!("{}{acting} {status} {handler}{name}", result.host);
    if let Some(item) = result.item.as_ref().filter(|_| !(include && result.status == Status::Ok)) {
        let _ = write!(line, " ({item})");
    }
    let said = match (result.task.module.as_str(), &result.status) {
        (_, Status::Skipped { .. }) => None,
        ("fail", Status::Failed { error, .. }) => Some(error.clone()),
        ("debug", _) => result
            .data
            .get("msg")
            .filter(|msg| !msg.is_null())
            .map(|msg| msg.as_str().map_or_else(|| msg.to_string(), str::to_owned)),
        _ => None,
    };
    if let Some(said) = said {
        let _ = write!(line, ": {said}");
    }
    line + "\n"
}

fn check(file: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("conformance").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let cases = cases(&text);
    assert!(!cases.is_empty(), "{file} has cases");
    let only = std::env::var("CASE").unwrap_or_default();
    let mut wrong = Vec::new();
    for written in cases.iter().filter(|case| case.name.contains(&only)) {
        let case = prepared(written);
        let diagnostics = case.diagnostics();
        let found = match diagnostics.contains("error:") {
            true => format!("{diagnostics}exit 4\n"),
            false if written.applied_only => told(&case.apply_only()),
            false => told(&case.apply()),
        };
        let expected = format!("{}\n", written.expect.trim_matches('\n'));
        if found != expected {
            wrong.push(format!("=== {}\n--- expected\n{expected}--- found\n{found}", written.name));
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases in {file}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// Every keyword of Ansible's plays, blocks, tasks, handlers, roles and loops stands in one of the cases.
#[test]
fn every_keyword_has_a_case() {
    use trueup::playbook::Place;
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("conformance");
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let texts = files.filter(|path| path.extension().is_some_and(|extension| extension == "txt"));
    let text: String = texts.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let stands = |keyword: &str| {
        let before = |at: usize| text[..at].chars().next_back().is_none_or(|c| !c.is_alphanumeric() && c != '_');
        text.match_indices(&format!("{keyword}:")).any(|(at, _)| before(at))
    };
    let places = [Place::Play, Place::Block, Place::Task, Place::Handler, Place::Role, Place::LoopControl];
    let missing: Vec<String> = places
        .into_iter()
        .flat_map(|place| place.keywords().map(move |keyword| (place, keyword)))
        // Two are Trueup's own, and one is the old name of `remote_user`.
        .filter(|(_, keyword)| !["mutex", "needs", "user"].contains(keyword) && !stands(keyword))
        .map(|(place, keyword)| format!("{keyword} of {}", place.noun()))
        .collect();
    assert_eq!(missing, [""; 0]);
}

macro_rules! files {
    ($($name:ident),*) => { $(
        #[test]
        fn $name() {
            check(concat!(stringify!($name), ".txt"));
        }
    )* };
}

files!(
    delegation,
    files,
    inherited,
    notifications,
    precedence,
    results,
    roles,
    includes,
    handlers,
    hosts,
    jobs,
    keywords,
    reached,
    failures,
    fetch,
    tags,
    targets,
    flushes,
    values,
    blocks,
    batches,
    meta,
    parameters,
    patterns
);
