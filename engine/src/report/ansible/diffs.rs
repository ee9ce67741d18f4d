//! `--diff`, as Ansible shows what a task has changed in a file: its content as a unified diff, all else as two dictionaries.

use std::io::{self, Write};

use serde_json::{Map, Value};
use similar::TextDiff;
use trueup_modules::edit::{Diff, Shown};

use super::python::dumps_indented;
use super::{Ansible, color};
use crate::event::TaskResult;

/// Lines of context where nothing else is said.
const CONTEXT: usize = 3;
/// Modules that edit a file, and say of both sides that they are content.
const EDITORS: [&str; 3] = ["file_line", "file_block", "ini_file"];

impl<O: Write> Ansible<O> {
    pub(super) fn diffs(&mut self, result: &TaskResult) -> io::Result<()> {
        let mut subjects: Vec<&str> = result.diffs.iter().map(|diff| diff.subject.as_str()).collect();
        subjects.dedup();
        // Ansible knows diffs of files only.
        for subject in subjects.into_iter().filter(|subject| subject.starts_with('/')) {
            let of_subject = || result.diffs.iter().filter(|diff| diff.subject == subject);
            let sides = of_subject().find_map(|diff| content(result, diff));
            let Some(sides) = sides.or_else(|| attributes(subject, of_subject())) else { continue };
            self.unified(&sides)?;
        }
        Ok(())
    }

    fn unified(&mut self, sides: &Sides) -> io::Result<()> {
        let (before, after) = (ended(&sides.before), ended(&sides.after));
        let (before, after) = (lines_of(&before), lines_of(&after));
        let lines = TextDiff::from_slices(&before, &after);
        let mut unified = lines.unified_diff();
        unified.context_radius(self.verbosity.context.unwrap_or(CONTEXT)).missing_newline_hint(false);
        let text = unified.header(&sides.headers[0], &sides.headers[1]).to_string();
        if text.is_empty() {
            return Ok(());
        }
        for line in text.split_inclusive('\n') {
            let code = match line.as_bytes() {
                [b'+', ..] => color::OK,
                [b'-', ..] => color::FAILED,
                [b'@', b'@', ..] => color::SKIPPED,
                _ => "",
            };
            let plain = code.is_empty() || !self.verbosity.color;
            let line = if plain { line.to_owned() } else { color::lines(line, code) };
            write!(self.out, "{line}")?;
        }
        self.line("")
    }
}

/// What is compared.
struct Sides {
    headers: [String; 2],
    before: String,
    after: String,
}

/// The content of a file, where it may be shown.
fn content(result: &TaskResult, diff: &Diff) -> Option<Sides> {
    let text = |shown: &Shown| match shown {
        Shown::Plain(text) => Some(text.clone()),
        Shown::Absent => Some(String::new()),
        Shown::Unknown | Shown::Redacted | Shown::Opaque { .. } => None,
    };
    let (before, after) = (text(&diff.before).filter(|_| diff.aspect == "content")?, text(&diff.after)?);
    let named = match EDITORS.contains(&result.task.module.as_str()) {
        true => format!("{} (content)", diff.subject),
        false => diff.subject.clone(),
    };
    let source = result.data.get("src").and_then(Value::as_str).filter(|_| result.task.module == "copy");
    let source = source.map(|source| crate::execute::absolute(source.as_ref()));
    let is_new = diff.before == Shown::Absent && !EDITORS.contains(&result.task.module.as_str());
    let headers = [
        if is_new { "before".to_owned() } else { format!("before: {named}") },
        format!("after: {}", source.unwrap_or(named)),
    ];
    Some(Sides { headers, before, after })
}

/// What else of a path is changed.
fn attributes<'d>(subject: &str, diffs: impl Iterator<Item = &'d Diff>) -> Option<Sides> {
    let word = |shown: &Shown| match shown {
        Shown::Plain(text) => Some(text.clone()),
        Shown::Absent => Some("absent".to_owned()),
        Shown::Unknown | Shown::Redacted | Shown::Opaque { .. } => None,
    };
    let diffs: Vec<&Diff> = diffs.collect();
    // What is made has the usual permissions first, and no owner is told.
    let made = diffs.iter().any(|diff| diff.aspect == "state" && diff.before == Shown::Absent);
    let usual = |diff: &Diff| made && (diff.aspect != "mode" || diff.after == Shown::Plain("0755".into()));
    let mut sides = [(); 2].map(|()| Map::from_iter([("path".to_owned(), Value::from(subject))]));
    for diff in diffs.into_iter().filter(|diff| diff.aspect == "state" || !usual(diff)) {
        let (name, before, after) = match (diff.aspect.as_str(), &diff.before, &diff.after) {
            ("link", Shown::Absent, _) => ("state", "absent".to_owned(), "link".to_owned()),
            ("link", before, after) => ("src", word(before)?, word(after)?),
            ("mode", Shown::Absent, after) => ("mode", "0755".to_owned(), word(after)?),
            (name, before, after) => (name, word(before)?, word(after)?),
        };
        sides[0].insert(name.to_owned(), before.into());
        sides[1].insert(name.to_owned(), after.into());
    }
    let [before, after] = sides.map(|side| format!("{}\n", dumps_indented(&Value::Object(side))));
    Some(Sides { headers: ["before".to_owned(), "after".to_owned()], before, after })
}

/// What a text ends with whose last line has no end.
const NO_NEWLINE: &str = "\n\\ No newline at end of file\n";

fn ended(text: &str) -> String {
    match text.is_empty() || text.ends_with('\n') {
        true => text.to_owned(),
        false => format!("{text}{NO_NEWLINE}"),
    }
}

/// The lines of a text without their ends; as in Ansible, the last is one with what says that it has none.
fn lines_of(text: &str) -> Vec<&str> {
    fn lines(text: &str) -> impl Iterator<Item = &str> {
        text.split_inclusive('\n').map(|line| line.strip_suffix('\n').unwrap_or(line))
    }
    let Some(rest) = text.strip_suffix(NO_NEWLINE) else { return lines(text).collect() };
    let last = rest.rfind('\n').map_or(0, |end| end + 1);
    lines(&text[..last]).chain(text[last..].strip_suffix('\n')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Python's `splitlines(True)` and what Ansible adds to it.
    #[test]
    fn a_line_without_an_end() {
        assert_eq!(lines_of(&ended("a\nb")), ["a", "b\n\\ No newline at end of file"]);
        assert_eq!(lines_of(&ended("b")), ["b\n\\ No newline at end of file"]);
        assert_eq!(lines_of(&ended("a\nb\n")), ["a", "b"]);
        assert!(lines_of(&ended("")).is_empty());
    }
}
