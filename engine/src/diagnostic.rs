//! What is told about a user's input: errors and warnings with places and hints, rendered in this one file.

use std::fmt::Write as _;

use crate::source::Span;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Nothing may run.
    Error,
    /// Worth saying; the run goes on.
    Warning,
}

/// Whether rendered text carries ANSI colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// No escape sequence at all.
    Plain,
    /// Red errors, yellow warnings, cyan hints.
    Ansi,
}

/// One message. The first label is the place it is about; further labels are places that explain it.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// One lowercase sentence without a full stop.
    pub message: String,
    /// Places, each with a text that may be empty.
    pub labels: Vec<(Span, String)>,
    /// What the user can do about it.
    pub hints: Vec<String>,
    /// It is about something that is not there at all: a file, a role, a host.
    pub absence: bool,
    /// What Ansible says of it, for where Trueup stands in for its programs; empty where Ansible says nothing.
    pub told: Option<String>,
    /// And that it says so without a place.
    pub told_without_place: bool,
}

impl Diagnostic {
    /// An error without a place yet.
    pub fn error(message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            message: message.into(),
            labels: Vec::new(),
            hints: Vec::new(),
            absence: false,
            told: None,
            told_without_place: false,
        }
    }

    /// A warning without a place yet.
    pub fn warning(message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(message) }
    }

    /// An error about something that is not there at all: a file, a role, a host.
    pub fn absent(message: impl Into<String>) -> Self {
        Self { absence: true, ..Self::error(message) }
    }

    /// Adds a place that needs no words.
    #[must_use]
    pub fn at(self, span: &Span) -> Self {
        self.label(span, "")
    }

    /// Adds a place with a text beside the underline.
    #[must_use]
    pub fn label(mut self, span: &Span, text: impl Into<String>) -> Self {
        self.labels.push((span.clone(), text.into()));
        self
    }

    /// Says what Ansible says of it.
    #[must_use]
    pub fn told(self, words: impl Into<String>) -> Self {
        Self { told: Some(words.into()), ..self }
    }

    /// The same, of what Ansible gives no place for.
    #[must_use]
    pub fn told_alone(self, words: impl Into<String>) -> Self {
        Self { told_without_place: true, ..self.told(words) }
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(mut self, text: impl Into<String>) -> Self {
        self.hints.push(text.into());
        self
    }

    /// Adds `did you mean …?` if one of `candidates` is close to `name`.
    #[must_use]
    pub fn did_you_mean<'a>(self, name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Self {
        match nearest(name, candidates) {
            Some(near) => self.hint(format!("did you mean `{near}`?")),
            None => self,
        }
    }

    /// The message as rustc would show it; ends with a newline.
    pub fn render(&self, paint: Paint) -> String {
        let mut out = String::new();
        let (name, color) = match self.severity {
            Severity::Error => ("error", RED),
            Severity::Warning => ("warning", YELLOW),
        };
        let _ = writeln!(out, "{}: {}", paint.wrap(color, name), paint.wrap(BOLD, &self.message));
        let gutter = self.labels.iter().map(|(span, _)| span.line_col().0.to_string().len()).max().unwrap_or(0);
        for (nth, (span, text)) in self.labels.iter().filter(|(span, _)| !span.is_none()).enumerate() {
            let (arrow, mark) = if nth == 0 { ("-->", "^") } else { (":::", "-") };
            let _ = writeln!(out, "{:gutter$}{} {span}", "", paint.wrap(BLUE, arrow));
            Excerpt::of(span).render(&mut out, gutter, &paint.wrap(color, text), mark, paint);
        }
        for hint in &self.hints {
            let _ = writeln!(out, "{}: {hint}", paint.wrap(CYAN, "hint"));
        }
        out
    }
}

/// Diagnostics in the order they were found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    /// Adds an error, or makes one of what was a warning so far.
    pub fn raise(&mut self, error: Diagnostic) {
        let place = |one: &Diagnostic| one.labels.first().map(|(span, _)| span.clone());
        let same = |known: &&mut Diagnostic| known.message == error.message && place(known) == place(&error);
        match self.0.iter_mut().find(same) {
            Some(known) => known.severity = Severity::Error,
            None => self.push(error),
        }
    }

    /// Whether one of them is an error.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|d| d.severity == Severity::Error)
    }

    /// Whether the first error is about something that is not there, rather than about what is written.
    pub fn begin_with_absence(&self) -> bool {
        self.0.iter().find(|d| d.severity == Severity::Error).is_some_and(|d| d.absence)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In the order they were found.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }

    /// Puts them in the order of their places, file by file.
    pub fn sort(&mut self) {
        self.0.sort_by_key(|d| d.labels.first().map(|(span, _)| (span.path().to_owned(), span.start)));
    }

    /// All of them, an empty line between two.
    pub fn render(&self, paint: Paint) -> String {
        self.0.iter().map(|d| d.render(paint)).collect::<Vec<_>>().join("\n")
    }
}

impl Extend<Diagnostic> for Diagnostics {
    fn extend<T: IntoIterator<Item = Diagnostic>>(&mut self, iter: T) {
        self.0.extend(iter);
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// The candidate that `name` was probably meant to be: equal but for case and `-`/`_`, or within one edit per three
/// letters.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let fold = |text: &str| text.to_lowercase().replace('-', "_");
    let wanted = fold(name);
    let length = wanted.chars().count();
    let limit = (length / 3).max(1);
    candidates
        .into_iter()
        // So many letters have to come or go.
        .filter(|candidate| candidate.chars().count().abs_diff(length) <= limit)
        .map(|candidate| (strsim::damerau_levenshtein(&wanted, &fold(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= limit && *distance < candidate.chars().count())
        .min_by(|(near, a), (far, b)| {
            let likeness = |candidate: &str| strsim::jaro_winkler(&wanted, &fold(candidate));
            near.cmp(far).then_with(|| likeness(b).total_cmp(&likeness(a)))
        })
        .map(|(_, candidate)| candidate)
}

const RED: &str = "1;31";
const YELLOW: &str = "1;33";
const CYAN: &str = "36";
const BLUE: &str = "34";
const BOLD: &str = "1";

impl Paint {
    /// The text between the escape sequences of an SGR code such as `1;31`.
    pub(crate) fn wrap(self, code: &str, text: &str) -> String {
        match self {
            Self::Ansi if !text.is_empty() => format!("\x1b[{code}m{text}\x1b[0m"),
            _ => text.to_owned(),
        }
    }
}

/// A source line made fit for a terminal, and where in it the underline goes.
struct Excerpt {
    line: usize,
    text: String,
    pad: usize,
    width: usize,
}

impl Excerpt {
    /// Longer lines are cut to a window around the span.
    const WINDOW: usize = 120;
    /// What remains visible before the span in a line that is cut.
    const CONTEXT: usize = 40;

    fn of(span: &Span) -> Self {
        let (line, col) = span.line_col();
        let text = span.source.text.lines().nth(line - 1).unwrap_or("");
        let chars: Vec<char> = text.chars().collect();
        let skip = if chars.len() > Self::WINDOW { (col - 1).saturating_sub(Self::CONTEXT) } else { 0 };
        let before = expand(&chars[skip.min(chars.len())..(col - 1).min(chars.len())]);
        let marked = span.source.text.get(span.start..span.end).unwrap_or("").lines().next().unwrap_or("");
        let marked: Vec<char> = marked.trim_end().chars().take(Self::WINDOW).collect();
        let shown = expand(&chars[skip.min(chars.len())..(skip + Self::WINDOW).min(chars.len())]);
        let lead = if skip > 0 { "…" } else { "" };
        let tail = if skip + Self::WINDOW < chars.len() { "…" } else { "" };
        Self {
            line,
            text: format!("{lead}{}{tail}", shown.trim_end()),
            pad: before.chars().count() + lead.chars().count(),
            width: expand(&marked).chars().count().max(1),
        }
    }

    fn render(&self, out: &mut String, gutter: usize, label: &str, mark: &str, paint: Paint) {
        let bar = paint.wrap(BLUE, "|");
        let number = paint.wrap(BLUE, &format!("{:gutter$}", self.line));
        let underline = format!("{:pad$}{}", "", mark.repeat(self.width), pad = self.pad);
        let _ = writeln!(out, "{:gutter$} {bar}", "");
        let _ = writeln!(out, "{number} {bar} {}", self.text);
        let _ = writeln!(out, "{:gutter$} {bar} {}", "", format!("{underline} {label}").trim_end());
    }
}

/// Tabs as four blanks, other control characters as a replacement, so that a file cannot drive the terminal.
fn expand(chars: &[char]) -> String {
    chars
        .iter()
        .map(|c| match c {
            '\t' => "    ".to_owned(),
            c if c.is_control() => "\u{fffd}".to_owned(),
            c => c.to_string(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use insta::assert_snapshot;

    use super::*;
    use crate::source::Source;

    fn span(text: &str, part: &str) -> Span {
        let source = Arc::new(Source { path: "play.yml".into(), text: text.to_owned() });
        let start = text.find(part).expect("the part is in the text");
        Span::new(&source, start, start + part.len())
    }

    #[test]
    fn an_error_shows_its_line() {
        let text = "- hosts: all\n  tasks:\n    - service:\n        stat: started\n";
        let shown = Diagnostic::error("unknown parameter `stat` of `service`")
            .label(&span(text, "stat"), "not a parameter")
            .did_you_mean("stat", ["state", "name"])
            .render(Paint::Plain);
        assert_snapshot!(shown, @r"
        error: unknown parameter `stat` of `service`
         --> play.yml:4:9
          |
        4 |         stat: started
          |         ^^^^ not a parameter
        hint: did you mean `state`?
        ");
    }

    #[test]
    fn a_second_label_is_a_second_place() {
        let text = "a: 1\nb: 2\n\n\n\n\n\n\n\na: 3\n";
        let first = span(text, "a: 1");
        let again = Span::new(&first.source, text.len() - 5, text.len() - 4);
        let shown = Diagnostic::warning("the key `a` is given twice")
            .label(&again, "wins")
            .label(&first, "first")
            .render(Paint::Plain);
        assert_snapshot!(shown, @r"
        warning: the key `a` is given twice
          --> play.yml:10:1
           |
        10 | a: 3
           | ^ wins
          ::: play.yml:1:1
           |
         1 | a: 1
           | ---- first
        ");
    }

    #[test]
    fn tabs_keep_the_underline_in_place() {
        let shown = Diagnostic::error("x").at(&span("\tk: v\x1b[2J\n", "v")).render(Paint::Plain);
        assert_snapshot!(shown, @r"
        error: x
         --> play.yml:1:5
          |
        1 |     k: v�[2J
          |        ^
        ");
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let text = format!("k: {}needle{}\n", "x".repeat(300), "y".repeat(300));
        let shown = Diagnostic::error("x").at(&span(&text, "needle")).render(Paint::Plain);
        assert!(shown.lines().all(|line| line.chars().count() < 140), "{shown}");
        assert!(shown.contains("needle") && shown.contains("^^^^^^"));
    }

    #[test]
    fn colours_are_a_parameter() {
        let shown = Diagnostic::error("x").hint("y").render(Paint::Ansi);
        assert_eq!(shown, "\x1b[1;31merror\x1b[0m: \x1b[1mx\x1b[0m\n\x1b[36mhint\x1b[0m: y\n");
    }

    #[test]
    fn nearest_names() {
        let table: &[(&str, &[&str], Option<&str>)] = &[
            ("stat", &["state", "name"], Some("state")),
            ("bcome", &["become", "name"], Some("become")),
            ("Become-User", &["become", "become_user"], Some("become_user")),
            ("wehn", &["when"], Some("when")),
            ("taks", &["tags", "tasks"], Some("tasks")),
            ("x", &["y"], None),
            ("completely", &["different"], None),
        ];
        for (name, candidates, want) in table {
            assert_eq!(nearest(name, candidates.iter().copied()), *want, "{name}");
        }
    }
}
