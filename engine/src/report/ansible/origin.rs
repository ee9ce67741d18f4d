//! Where a failed task stands, as ansible-core 2.19 shows it: two lines above it, the line, and a mark.

use std::fmt::Write as _;
use std::path::Path;

use crate::event::{Cause, TaskInfo};
use crate::vault;

/// Modules that Ansible runs on the controller, or whose failure is found there.
const ACTIONS: [&str; 9] =
    ["assemble", "assert", "debug", "fail", "include_vars", "pause", "raw", "script", "set_fact"];
/// Lines shown above the task.
const ABOVE: usize = 2;

/// `[ERROR]: Task failed: …`, and the place; then what has caused it. Ends with an empty line.
pub(super) fn error(task: &TaskInfo, message: &str, causes: &[Cause]) -> String {
    let head = headline(task, message);
    let at = |place: &str| {
        let Some((path, line, column)) = parts(place) else { return String::new() };
        // A file that is no YAML, such as a template, is only named.
        if !matches!(Path::new(&path).extension().and_then(|it| it.to_str()), Some("yml" | "yaml" | "json")) {
            return format!("Origin: {path}\n");
        }
        let text = std::fs::read_to_string(&path).ok().filter(|text| !vault::is_vault(text));
        let lines = text.map(|text| excerpt(&text, line, column)).unwrap_or_default();
        format!("Origin: {path}:{line}:{column}\n{lines}")
    };
    let Some((first, rest)) = causes.split_first() else {
        return format!("[ERROR]: {head}\n{}", at(&task.place));
    };
    let mut out = format!("[ERROR]: {head}\n\n{}\n{}", first.message, at(&task.place));
    for cause in rest {
        _ = write!(out, "\n<<< caused by >>>\n\n{}\n{}", cause.message, at(&cause.place));
        if cause.message.ends_with("Conditionals must have a boolean result.") {
            out.push_str(BROKEN);
        }
    }
    out
}

/// What is said last of a condition that is no boolean.
const BROKEN: &str =
    "\nBroken conditionals can be temporarily allowed with the `ALLOW_BROKEN_CONDITIONALS` configuration option.\n";

/// `Task failed: …`, with who has found that.
fn headline(task: &TaskInfo, message: &str) -> String {
    if message.starts_with("Task failed: ") {
        return message.to_owned();
    }
    if message.is_empty() {
        return "Task failed: Action failed.".to_owned();
    }
    if message.contains("Could not find or access '") {
        return format!("Task failed: {message}");
    }
    let kind = if ACTIONS.contains(&task.module.as_str()) { "Action" } else { "Module" };
    format!("Task failed: {kind} failed: {message}")
}

/// The same for the one task of `ansible`, which stands nowhere: `task` is how Ansible shows it.
pub(super) fn ad_hoc(info: &TaskInfo, message: &str, task: &str) -> String {
    let head = headline(info, message);
    format!("[ERROR]: {head}\nOrigin: <adhoc '{}' task>\n\n{task}\n", info.name)
}

/// `file:line`, the file's path absolute.
pub(super) fn path_and_line(place: &str) -> String {
    parts(place).map_or_else(|| place.to_owned(), |(path, line, _)| format!("{path}:{line}"))
}

fn parts(place: &str) -> Option<(String, usize, usize)> {
    let (rest, column) = place.rsplit_once(':')?;
    let (path, line) = rest.rsplit_once(':')?;
    let path = std::path::absolute(path).ok()?.display().to_string();
    Some((path, line.parse().ok()?, column.parse().ok()?))
}

pub(super) fn excerpt(text: &str, line: usize, column: usize) -> String {
    let first = line.saturating_sub(ABOVE).max(1);
    let width = line.to_string().len();
    let mut out = String::from("\n");
    for (at, text) in text.lines().enumerate().skip(first - 1).take(line + 1 - first) {
        let blank = if text.is_empty() { "" } else { " " };
        _ = writeln!(out, "{:>width$}{blank}{}", at + 1, cut(&text.replace('\t', " ")));
    }
    _ = writeln!(out, "{:width$} {:indent$}^ column {column}", "", "", indent = column.saturating_sub(1));
    out
}

/// A line that is too long is cut off.
fn cut(line: &str) -> std::borrow::Cow<'_, str> {
    const MOST: usize = 120;
    match line.char_indices().nth(MOST) {
        Some(_) => format!("{}...", line.chars().take(MOST - 3).collect::<String>()).into(),
        None => line.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `ansible-playbook` of ansible-core 2.19 printed for the same file.
    #[test]
    fn the_task_is_shown_in_its_place() {
        let text = (1..=8).map(|n| format!("# {n}\n")).collect::<String>() + "\n    - name: Ignored\n      fail:\n";
        assert_eq!(excerpt(&text, 10, 7), "\n 8 # 8\n 9\n10     - name: Ignored\n         ^ column 7\n");
        assert_eq!(excerpt("a\n", 1, 1), "\n1 a\n  ^ column 1\n");
    }
}
