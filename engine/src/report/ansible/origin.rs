//! Where a failed task stands, as ansible-core 2.19 shows it: two lines above it, the line, and a mark.

use std::fmt::Write as _;

use crate::event::TaskInfo;
use crate::vault;

/// Modules that Ansible runs on the controller, or whose failure is found there.
const ACTIONS: [&str; 8] = ["assemble", "assert", "debug", "fail", "pause", "raw", "script", "set_fact"];
/// Lines shown above the task.
const ABOVE: usize = 2;

/// `[ERROR]: Task failed: …`, and the place. Ends with an empty line.
pub(super) fn error(task: &TaskInfo, message: &str) -> String {
    if let Some((path, line, column)) = parts(&task.place).filter(|_| message.starts_with("Task failed: ")) {
        let mut out = format!("[ERROR]: {message}\n\nTask failed.\nOrigin: {path}:{line}:{column}\n");
        let text = std::fs::read_to_string(&path).ok().filter(|text| !vault::is_vault(text));
        out.extend(text.map(|text| lines(&text, line, column)));
        return out;
    }
    let kind = if ACTIONS.contains(&task.module.as_str()) { "Action" } else { "Module" };
    let mut out = format!("[ERROR]: Task failed: {kind} failed: {message}\n");
    if let Some((path, line, column)) = parts(&task.place) {
        _ = writeln!(out, "Origin: {path}:{line}:{column}");
        if let Ok(text) = std::fs::read_to_string(&path)
            && !vault::is_vault(&text)
        {
            out.push_str(&lines(&text, line, column));
        }
    }
    out
}

/// The same for the one task of `ansible`, which stands nowhere: `task` is how Ansible shows it.
pub(super) fn ad_hoc(info: &TaskInfo, message: &str, task: &str) -> String {
    let kind = if ACTIONS.contains(&info.module.as_str()) { "Action" } else { "Module" };
    let head = match message.starts_with("Task failed: ") {
        true => message.to_owned(),
        false => format!("Task failed: {kind} failed: {message}"),
    };
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

fn lines(text: &str, line: usize, column: usize) -> String {
    let first = line.saturating_sub(ABOVE).max(1);
    let width = line.to_string().len();
    let mut out = String::from("\n");
    for (at, text) in text.lines().enumerate().skip(first - 1).take(line + 1 - first) {
        _ = writeln!(out, "{:>width$}{}{}", at + 1, if text.is_empty() { "" } else { " " }, text.replace('\t', " "));
    }
    _ = writeln!(out, "{:width$} {:indent$}^ column {column}", "", "", indent = column.saturating_sub(1));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `ansible-playbook` of ansible-core 2.19 printed for the same file.
    #[test]
    fn the_task_is_shown_in_its_place() {
        let text = (1..=8).map(|n| format!("# {n}\n")).collect::<String>() + "\n    - name: Ignored\n      fail:\n";
        assert_eq!(lines(&text, 10, 7), "\n 8 # 8\n 9\n10     - name: Ignored\n         ^ column 7\n");
        assert_eq!(lines("a\n", 1, 1), "\n1 a\n  ^ column 1\n");
    }
}
