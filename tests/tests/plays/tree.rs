//! `copy` of a directory: what arrives, what travels, and what it costs.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use insta::assert_snapshot;
use trueup::report::summary::Verdict;
use trueup_tests::Case;

/// Eighty small files (some empty, some the same), one that is long, links, a circle, and directories with nothing in them.
fn tree(tasks: &str) -> Case {
    let mut case = Case::tasks(1, tasks).file("app/sub/long", &"0123456789abcdef".repeat(40_000));
    for n in 0..80 {
        case = case.file(&format!("app/many/{n:02}"), &"x".repeat(n % 7));
    }
    fs::create_dir(case.path("app/empty")).unwrap();
    fs::set_permissions(case.path("app/many/01"), fs::Permissions::from_mode(0o755)).unwrap();
    for (link, target) in [("to_file", "many/02"), ("to_dir", "sub"), ("nowhere", "gone"), ("many/up", "..")] {
        symlink(target, case.path("app").join(link)).unwrap();
    }
    case
}

/// All that is below a directory but the eighty, and how many of those are as they shall be.
fn found(case: &Case, at: &str) -> String {
    fn walk(top: &Path, dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            found.push(path.strip_prefix(top).unwrap().to_owned());
            if path.symlink_metadata().unwrap().is_dir() {
                walk(top, &path, found);
            }
        }
    }
    let top = case.path(at);
    let mut paths = Vec::new();
    walk(&top, &top, &mut paths);
    paths.sort();
    let mut same = 0;
    let mut lines = Vec::new();
    for path in paths {
        let number = path.file_name().and_then(|name| name.to_str()?.parse::<usize>().ok());
        let whole = top.join(&path);
        let meta = whole.symlink_metadata().unwrap();
        let is_right = |n: usize| fs::read(&whole).unwrap() == "x".repeat(n % 7).into_bytes();
        if number.is_some_and(|n| n != 1 && is_right(n)) {
            same += 1;
            continue;
        }
        let target = meta.is_symlink().then(|| fs::read_link(&whole).unwrap());
        let size = if meta.is_file() { meta.len() } else { 0 };
        lines.push(match target {
            Some(target) => format!("{} -> {}", path.display(), target.display()),
            None => format!("{} {:04o} {size}", path.display(), meta.permissions().mode() & 0o7777),
        });
    }
    format!("{}\n{same} as they shall be", lines.join("\n"))
}

#[test]
fn what_is_in_it_arrives_and_does_not_travel_again() {
    let case = tree("- copy: { src: app/, dest: \"{{ d }}/new/app\", directory_mode: \"0750\", mode: preserve }\n");
    let first = case.apply();
    // One to plan, one to apply: however many the files are.
    assert_eq!((first.verdict(), first.batches()), (Verdict::Changed, 2), "{}", first.told());
    assert_snapshot!(found(&case, "h1/new"), @r"
    app 0750 0
    app/empty 0750 0
    app/many 0750 0
    app/many/01 0755 1
    app/many/up -> ..
    app/nowhere -> gone
    app/sub 0750 0
    app/sub/long 0644 640000
    app/to_dir 0750 0
    app/to_dir/long 0644 640000
    app/to_file 0644 2
    79 as they shall be
    ");
    let second = case.apply();
    assert_eq!((second.verdict(), second.batches()), (Verdict::Ok, 1));
    let case = case.file("app/many/05", "other").file("h1/new/app/foreign", "stays");
    let third = case.apply();
    let diffs: Vec<_> = third.results().flat_map(|result| &result.diffs).map(|diff| &diff.subject).collect();
    assert_eq!((third.verdict(), diffs.len()), (Verdict::Changed, 1), "{diffs:?}");
    assert_eq!(case.read("h1/new/app/many/05"), "other");
    assert_eq!(case.read("h1/new/app/foreign"), "stays");
}

#[test]
fn without_a_slash_it_is_the_directory_itself_and_links_stay_links_where_told_so() {
    let case = tree("- copy: { src: app, dest: \"{{ d }}\", local_follow: false }\n");
    assert_eq!(case.apply().verdict(), Verdict::Changed);
    assert_snapshot!(found(&case, "h1"), @r"
    app 0755 0
    app/empty 0755 0
    app/many 0755 0
    app/many/01 0644 1
    app/many/up -> ..
    app/nowhere -> gone
    app/sub 0755 0
    app/sub/long 0644 640000
    app/to_dir -> sub
    app/to_file -> many/02
    79 as they shall be
    ");
    assert_eq!(case.apply().verdict(), Verdict::Ok);
}

#[test]
fn what_cannot_be_copied_is_an_error() {
    let case = tree("- copy: { src: app/, dest: \"{{ d }}/sub\" }\n").file("h1/sub/empty", "a file");
    assert_snapshot!(case.apply_only().told(), @"h1 failed copy: cannot copy a directory to DIR/h1/sub/empty: it is not a directory");
}
