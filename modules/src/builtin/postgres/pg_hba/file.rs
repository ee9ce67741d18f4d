//! The lines of pg_hba.conf, of which those stay as they are that need not change.

use super::rule::{Rule, fields};

/// A line, or several that end in a backslash but for the last.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line {
    /// As written, without the last newline.
    pub(super) raw: String,
    pub(super) meaning: Meaning,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Meaning {
    /// Blank, or a comment.
    Comment,
    Rule(Rule),
    /// Rules that are elsewhere, since PostgreSQL 16.
    Include(Inclusion, String),
    /// What cannot be read, and why.
    Broken(String),
}

/// What is included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inclusion {
    /// `include FILE`.
    File,
    /// `include_if_exists FILE`.
    IfExists,
    /// `include_dir DIRECTORY`: its files `*.conf`, by name.
    Directory,
}

const INCLUSIONS: [(&str, Inclusion); 3] =
    [("include", Inclusion::File), ("include_if_exists", Inclusion::IfExists), ("include_dir", Inclusion::Directory)];

impl Line {
    pub(super) fn rule(&self) -> Option<&Rule> {
        match &self.meaning {
            Meaning::Rule(rule) => Some(rule),
            _ => None,
        }
    }

    /// A line for a rule, with a comment behind it.
    pub(super) fn of(rule: Rule, comment: Option<&str>) -> Self {
        let comment = comment.map(|comment| format!(" # {comment}")).unwrap_or_default();
        Self { raw: rule.render() + &comment, meaning: Meaning::Rule(rule) }
    }
}

pub(super) fn parse(text: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut rest = text.lines();
    while let Some(line) = rest.next() {
        let (mut raw, mut logical) = (line.to_owned(), line.to_owned());
        while let Some(head) = logical.strip_suffix('\\') {
            let Some(next) = rest.next() else { break };
            logical = head.to_owned() + next;
            raw += "\n";
            raw += next;
        }
        lines.push(Line { raw, meaning: meaning(&logical) });
    }
    lines
}

fn meaning(line: &str) -> Meaning {
    let word = line.trim_start();
    if word.is_empty() || word.starts_with('#') {
        return Meaning::Comment;
    }
    let first = word.split_whitespace().next().unwrap_or_default();
    match INCLUSIONS.iter().find(|(name, _)| *name == first) {
        Some((name, kind)) => inclusion(line, name, *kind).unwrap_or_else(Meaning::Broken),
        None => Rule::parse(line).map_or_else(Meaning::Broken, Meaning::Rule),
    }
}

fn inclusion(line: &str, name: &str, kind: Inclusion) -> Result<Meaning, String> {
    match &fields(line)?[..] {
        [_, path] if path.len() == 1 => Ok(Meaning::Include(kind, path[0].text.clone())),
        _ => Err(format!("`{name}` takes one path, and nothing behind it")),
    }
}

pub(super) fn render(lines: &[Line]) -> String {
    lines.iter().map(|line| line.raw.clone() + "\n").collect()
}

/// The number of a line in the file, from 1, as the server counts: that of its first physical line.
pub(super) fn number(lines: &[Line], at: usize) -> usize {
    1 + lines[..at].iter().map(|line| line.raw.matches('\n').count() + 1).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inclusions() {
        let table = [
            ("include more.conf", Meaning::Include(Inclusion::File, "more.conf".into())),
            ("include_dir \"a b\" # why", Meaning::Include(Inclusion::Directory, "a b".into())),
            ("include_if_exists x", Meaning::Include(Inclusion::IfExists, "x".into())),
            ("include", Meaning::Broken("`include` takes one path, and nothing behind it".into())),
            ("include a b", Meaning::Broken("`include` takes one path, and nothing behind it".into())),
        ];
        for (line, wanted) in table {
            assert_eq!(meaning(line), wanted, "{line}");
        }
        assert!(matches!(meaning("includes a"), Meaning::Broken(_)));
    }

    #[test]
    fn lines_are_kept_and_counted() {
        let text = "# head\n\nlocal all all \\\n  peer\ninclude x\nnonsense\nhost all all all md5\n";
        let lines = parse(text);
        assert_eq!(render(&lines), text);
        assert!(matches!(
            lines.iter().map(|line| &line.meaning).collect::<Vec<_>>()[..],
            [
                Meaning::Comment,
                Meaning::Comment,
                Meaning::Rule(_),
                Meaning::Include(Inclusion::File, _),
                Meaning::Broken(_),
                Meaning::Rule(_)
            ]
        ));
        assert_eq!((number(&lines, 2), number(&lines, 3), number(&lines, 5)), (3, 5, 7));
    }
}
