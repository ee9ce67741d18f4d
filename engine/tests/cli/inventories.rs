//! Inventories of every form, as ansible-core 2.19 reads them: `tests/conformance/inventories.txt`, which
//! `tests/conformance/inventories` has written.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;

use super::dropin::program;

/// Files, and what a program prints of them.
struct Case<'t> {
    name: &'t str,
    files: Vec<(&'t str, String)>,
    runs: Vec<(&'t str, String)>,
}

fn cases(text: &str) -> Vec<Case<'_>> {
    let mut cases: Vec<Case<'_>> = Vec::new();
    let mut into: Option<usize> = None;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("=== ") {
            cases.push(Case { name, files: Vec::new(), runs: Vec::new() });
            into = None;
            continue;
        }
        let Some(case) = cases.last_mut() else { continue };
        if let Some(name) = line.strip_prefix("--- file ") {
            case.files.push((name, String::new()));
            into = Some(0);
        } else if let Some(call) = line.strip_prefix("--- run ") {
            case.runs.push((call, String::new()));
            into = Some(1);
        } else {
            let section = match into {
                Some(0) => case.files.last_mut(),
                Some(_) => case.runs.last_mut(),
                None => None,
            };
            section.into_iter().for_each(|(_, text)| *text += &format!("{line}\n"));
        }
    }
    cases
}

/// What is printed, JSON in one line, and the exit status where it is not 0.
fn said(dir: &Path, call: &str) -> String {
    let words: Vec<String> = serde_json::from_str(call).expect("a call is a list of words");
    let mut command = program(dir, &words[0], "");
    let output = command.args(&words[1..]).output().expect("the program can be started");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let text = match serde_json::from_str::<Value>(&text) {
        Ok(json) => format!("{json}\n"),
        Err(_) => text,
    };
    match output.status.code() {
        Some(0) => text,
        code => format!("{text}exit {}\n", code.unwrap_or(-1)),
    }
}

fn fails(case: &Case<'_>) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in &case.files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        if name.ends_with(".sh") {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
    let mut found = Vec::new();
    for (call, expected) in &case.runs {
        let said = said(dir.path(), call);
        let json = |text: &str| serde_json::from_str::<Value>(text).ok();
        let same = said == *expected || (json(&said).is_some() && json(&said) == json(expected));
        if !same {
            found.push(format!("{}: {call}\n  ansible: {expected}\n  trueup:  {said}", case.name));
        }
    }
    found
}

#[test]
fn as_ansible_reads_them() {
    let text = include_str!("../../../tests/conformance/inventories.txt");
    let cases = cases(text);
    assert!(cases.len() > 300 && cases.iter().all(|case| !case.runs.is_empty()), "{} cases", cases.len());
    let (left, right) = cases.split_at(cases.len() / 2);
    let found: Vec<String> = std::thread::scope(|scope| {
        let halves = [left, right].map(|half| scope.spawn(move || half.iter().flat_map(fails).collect::<Vec<_>>()));
        halves.into_iter().flat_map(|half| half.join().expect("no case panics")).collect()
    });
    assert!(found.is_empty(), "{} differ:\n{}", found.len(), found.join("\n"));
}
