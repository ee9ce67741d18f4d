//! Errors and warnings about what a person wrote, as ansible-core 2.19 prints them: the words, the place, the lines above it,
//! a mark.

use super::origin;
use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::source::Span;

/// All of them, with where each begins and ends, so that it can have its colour.
pub(crate) fn rendered(diagnostics: &Diagnostics) -> Vec<(Severity, String)> {
    let shown: Vec<&Diagnostic> = diagnostics.iter().filter(|one| one.told.as_deref() != Some("")).collect();
    let about = shown.iter().position(|one| is_deprecation(one)).map(|at| (at, DEPRECATIONS));
    let mut all: Vec<_> = shown.iter().map(|one| (one.severity, render(one))).collect();
    if let Some((at, text)) = about {
        all.insert(at, (Severity::Warning, text.to_owned()));
    }
    all
}

/// What is said before the first of them.
const DEPRECATIONS: &str =
    "[WARNING]: Deprecation warnings can be disabled by setting `deprecation_warnings=False` in ansible.cfg.\n";

fn is_deprecation(diagnostic: &Diagnostic) -> bool {
    diagnostic.told.as_deref().is_some_and(|told| told.starts_with("[DEPRECATION"))
}

fn render(diagnostic: &Diagnostic) -> String {
    let mark = match diagnostic.severity {
        Severity::Error => "[ERROR]",
        Severity::Warning => "[WARNING]",
    };
    let words = diagnostic.told.as_ref().unwrap_or(&diagnostic.message);
    // Some have a mark of their own.
    let mut out = if words.starts_with('[') { format!("{words}\n") } else { format!("{mark}: {words}\n") };
    // Where Ansible has words that need no place it gives none.
    let place = diagnostic.labels.first().filter(|_| !diagnostic.told_without_place).map(|(span, _)| span);
    if let Some(place) = place.filter(|span| !span.is_none()) {
        out.push_str(&at(place));
    }
    for hint in &diagnostic.hints {
        let mut letters = hint.chars();
        let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
        out.push_str(&format!("{first}{}\n", letters.as_str()));
    }
    if !diagnostic.hints.is_empty() {
        out.push('\n');
    }
    out
}

/// `Origin: …` and the lines. Ends with an empty line.
fn at(span: &Span) -> String {
    let (line, column) = span.line_col();
    let path = span.path().to_string_lossy();
    if path.starts_with('<') {
        return String::new();
    }
    let path = crate::execute::absolute(span.path());
    format!("Origin: {path}:{line}:{column}\n{}\n", origin::excerpt(&span.source.text, line, column))
}
