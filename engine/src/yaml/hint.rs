//! What a YAML error probably is: the parser knows what it did not find, the user needs to know what to type.

use std::sync::LazyLock;

use fancy_regex::Regex;

use crate::diagnostic::Diagnostic;
use crate::source::Span;

const QUOTE_TEMPLATE: &str = "a value that begins with `{{` must be quoted: `key: \"{{ variable }}\"`";

static BARE_TEMPLATE: LazyLock<Regex> = LazyLock::new(|| compile(r"^\s*(?:- +)*(?:[^\s#{][^#{]*:\s+|- +)(\{\{)"));
static NO_SPACE: LazyLock<Regex> = LazyLock::new(|| compile(r"^\s*(?:- +)*[A-Za-z_][\w.]*(:)[^\s:/\\]"));
static SECOND_COLON: LazyLock<Regex> =
    LazyLock::new(|| compile(r#"^\s*(?:- +)*[^\s:"']+:\s+([^\s"'][^#]*?:(?:\s.*)?)$"#));
static AFTER_QUOTE: LazyLock<Regex> = LazyLock::new(|| compile(r#":\s+(["'][^"']*["'])\s*[^\s#]"#));

fn compile(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is a constant that the tests compile")
}

/// The parser's error as one of the classic mistakes, if it is one.
pub(super) fn explain(info: &str, at: &Span) -> Diagnostic {
    let lines = Lines::around(at);
    if let Some(tab) = lines.tab() {
        return Diagnostic::error("a tab is used for indentation")
            .at(&tab)
            .hint("YAML is indented with spaces: replace each tab");
    }
    if let Some(template) = lines.find(&BARE_TEMPLATE) {
        return Diagnostic::error("a template is not quoted").at(&template).hint(QUOTE_TEMPLATE);
    }
    if info.contains("mapping values are not allowed")
        && let Some(value) = lines.find(&SECOND_COLON)
    {
        return Diagnostic::error("a value with `: ` in it is not quoted")
            .at(&value)
            .hint("quote the whole value, or begin a new line for the second key");
    }
    if let Some(colon) = lines.find(&NO_SPACE) {
        return Diagnostic::error("a space is missing after `:`").at(&colon).hint("write `key: value`");
    }
    if let Some(quoted) = lines.find(&AFTER_QUOTE) {
        return Diagnostic::error("text stands behind a quoted value")
            .at(&quoted)
            .hint("quote the whole value: `key: '\"a\" and b'`");
    }
    let diagnostic = Diagnostic::error(format!("this is not YAML: {info}")).at(at);
    match general_hint(info) {
        Some(hint) => diagnostic.hint(hint),
        None => diagnostic,
    }
}

fn general_hint(info: &str) -> Option<&'static str> {
    let table = [
        ("unexpected character", "a value that begins with this character must be quoted"),
        ("unknown anchor", "a value that begins with `*` must be quoted, unless it is an alias"),
        ("anchor or alias", "a value that begins with `*` or `&` must be quoted"),
        ("escape", "in double quotes a backslash is written twice; in single quotes it stands for itself"),
        ("illegal placement", "a bracket or a quote above this line is not closed"),
        ("quoted scalar", "a quote is opened and not closed"),
        ("mapping values", "check the indentation of this line against the lines above it"),
        ("expected key", "check the indentation of this line against the lines above it"),
        ("'-' indicator", "check the indentation of this line against the lines above it"),
        ("simple key", "check the indentation of this line, and whether a `:` is missing"),
        ("flow", "a bracket is opened and not closed"),
    ];
    table.iter().find(|(part, _)| info.contains(part)).map(|(_, hint)| *hint)
}

/// A list or a dictionary where a key should be: nearly always a template without quotes.
pub(super) fn complex_key(key: &Span) -> Diagnostic {
    let begin = key.start.saturating_sub(1);
    let outer = key.source.text.get(begin..key.start + 1) == Some("{{");
    if outer {
        let span = Span::new(&key.source, begin, key.end + 1);
        return Diagnostic::error("a template is not quoted").at(&span).hint(QUOTE_TEMPLATE);
    }
    Diagnostic::error("a key must be a text, not a list or a dictionary").at(key)
}

/// The line of an error, the few before it (the parser often notices late), and the one behind it (a continuation).
struct Lines<'s> {
    at: &'s Span,
    starts: Vec<(usize, &'s str)>,
}

impl<'s> Lines<'s> {
    const BACK: usize = 2;

    fn around(at: &'s Span) -> Self {
        let text = at.source.text.as_str();
        let mut starts = Vec::new();
        let mut end = text[at.start..].find('\n').map_or(text.len(), |n| at.start + n);
        for _ in 0..=Self::BACK {
            let start = text[..end].rfind('\n').map_or(0, |n| n + 1);
            starts.push((start, &text[start..end]));
            if start == 0 {
                break;
            }
            end = start - 1;
        }
        if let Some(next) = text[at.start..].find('\n').map(|n| at.start + n + 1) {
            starts.push((next, text[next..].lines().next().unwrap_or("")));
        }
        Self { at, starts }
    }

    /// The first group of the pattern in the nearest line that matches.
    fn find(&self, pattern: &Regex) -> Option<Span> {
        self.starts.iter().find_map(|(start, line)| {
            let group = pattern.captures(line).ok()??.get(1)?;
            Some(Span::new(&self.at.source, start + group.start(), start + group.end()))
        })
    }

    fn tab(&self) -> Option<Span> {
        self.starts.iter().find_map(|(start, line)| {
            let indent = line.len() - line.trim_start().len();
            let tab = line[..indent].find('\t')?;
            Some(Span::new(&self.at.source, start + tab, start + tab + 1))
        })
    }
}
