//! The edits that a rewriting makes to a text, and how they are applied together.

use super::super::syntax::{Kind, Segment, SegmentKind, Token};
use super::walk::Walk;
use super::{Literals, Named, Rewritten};

/// Methods that change what they are called on.
const MUTATORS: &[&str] = &[
    ".append(",
    ".extend(",
    ".insert(",
    ".pop(",
    ".remove(",
    ".update(",
    ".setdefault(",
    ".sort(",
    ".reverse(",
    ".clear(",
];

/// At one position, what closes comes before what opens, and what opens before what replaces.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Close,
    Open,
    Replace,
}

struct Edit {
    at: usize,
    delete: usize,
    class: Class,
    insert: String,
}

pub(super) struct Edits<'t> {
    pub text: &'t str,
    literals: Literals,
    /// Whether templates in literals are rendered here.
    pub embeds: bool,
    /// Whether lists and dicts are changed somewhere in the text.
    pub mutates: bool,
    edits: Vec<Edit>,
    pub names: Vec<Named>,
}

impl<'t> Edits<'t> {
    pub(super) fn new(text: &'t str, literals: Literals) -> Self {
        Self {
            text,
            literals,
            embeds: literals == Literals::Bare,
            mutates: MUTATORS.iter().any(|m| text.contains(m)),
            edits: Vec::new(),
            names: Vec::new(),
        }
    }

    pub(super) fn segment(&mut self, segment: &Segment) {
        let tokens = &segment.tokens;
        self.plain_blanks(tokens);
        match segment.kind {
            SegmentKind::Data => {}
            SegmentKind::Expression => {
                self.keep_backslashes(tokens);
                self.drive(tokens);
            }
            SegmentKind::Statement => {
                let word = |i: usize| tokens.get(i).map_or("", |t| &self.text[t.start..t.end]);
                let skip = match word(0) {
                    // The targets of a loop are not a comparison with `in`.
                    "for" => {
                        tokens.iter().position(|t| &self.text[t.start..t.end] == "in").map_or(tokens.len(), |i| i + 1)
                    }
                    _ => 1,
                };
                self.drive(tokens.get(skip..).unwrap_or_default());
            }
        }
    }

    /// Walks tokens as a row of expressions with anything between them: edits are local, so that is enough for the
    /// statements, too (`set a = …`, `for … if …`, `with a = …, b = …`).
    pub(super) fn drive(&mut self, tokens: &[Token]) {
        Walk::new(self, tokens).row();
    }

    /// Blanks as ASCII has them in place of others between tokens, such as one that does not break: to Python all are blanks.
    pub(super) fn plain_blanks(&mut self, tokens: &[Token]) {
        let Some(first) = tokens.first() else { return };
        let before = self.text[..first.start].trim_end().len();
        let mut from = before;
        for token in tokens {
            let between = &self.text[from..token.start];
            if !between.is_ascii() && between.trim().is_empty() {
                self.replace(from, token.start, " ".repeat(between.len()));
            }
            from = token.end;
        }
        let after = self.text[from..].len() - self.text[from..].trim_start().len();
        if !self.text[from..from + after].is_ascii() {
            self.replace(from, from + after, " ".repeat(after));
        }
    }

    /// Doubles the backslashes in literals, so that they come out as they stand.
    pub(super) fn keep_backslashes(&mut self, tokens: &[Token]) {
        if self.literals != Literals::Inline {
            return;
        }
        for token in tokens.iter().filter(|t| t.kind == Kind::Str) {
            let literal = &self.text[token.start..token.end];
            for (at, _) in literal.match_indices('\\') {
                let before_quote = literal[at + 1..literal.len() - 1].starts_with(&literal[..1]);
                self.open(token.start + at, if before_quote { "\\\\" } else { "\\" });
            }
        }
    }

    /// Jinja trims the newline after a statement, but not the one after `{% raw %}`; minijinja trims it, too.
    pub(super) fn keep_newlines_of_raw(&mut self) {
        let mut from = 0;
        while let Some(open) = self.text[from..].find("{%").map(|i| from + i) {
            from = open + 2;
            let inside = self.text[from..].trim_start_matches(['-', '+']).trim_start();
            let Some(rest) = inside.strip_prefix("raw").map(str::trim_start).and_then(|r| r.strip_prefix("%}\n"))
            else {
                continue;
            };
            let newline = self.text.len() - rest.len() - 1;
            self.replace(newline, newline + 1, "{% endraw %}{{ \"\\n\" }}{% raw %}");
        }
    }

    /// How much is recorded so far.
    pub(super) fn mark(&self) -> (usize, usize) {
        (self.edits.len(), self.names.len())
    }

    /// Forgets what was recorded since.
    pub(super) fn back(&mut self, (edits, names): (usize, usize)) {
        self.edits.truncate(edits);
        self.names.truncate(names);
    }

    pub(super) fn open(&mut self, at: usize, insert: &str) {
        self.edits.push(Edit { at, delete: 0, class: Class::Open, insert: insert.into() });
    }

    pub(super) fn close(&mut self, at: usize, insert: &str) {
        self.edits.push(Edit { at, delete: 0, class: Class::Close, insert: insert.into() });
    }

    pub(super) fn replace(&mut self, start: usize, end: usize, insert: impl Into<String>) {
        self.edits.push(Edit { at: start, delete: end - start, class: Class::Replace, insert: insert.into() });
    }

    pub(super) fn apply(self) -> Rewritten {
        let Self { text, edits, names, .. } = self;
        let mut order: Vec<usize> = (0..edits.len()).collect();
        // An enclosing expression is recorded after the enclosed ones: its opening has to come first.
        order.sort_by_key(|&i| {
            let seq = if edits[i].class == Class::Open { usize::MAX - i } else { i };
            (edits[i].at, edits[i].class, seq)
        });
        let (mut out, mut anchors, mut from) = (String::with_capacity(text.len() + 16 * edits.len()), Vec::new(), 0);
        for edit in order.into_iter().map(|i| &edits[i]) {
            out.push_str(&text[from..edit.at]);
            anchors.push((out.len(), edit.at));
            out.push_str(&edit.insert);
            from = edit.at + edit.delete;
            anchors.push((out.len(), from));
        }
        out.push_str(&text[from..]);
        Rewritten { text: out, anchors, names }
    }
}
