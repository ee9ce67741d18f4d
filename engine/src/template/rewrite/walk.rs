//! A walk over the grammar of expressions that leaves the edits of one: the operators, from the weakest to the strongest.

use super::super::syntax::{Kind, Token};
use super::edits::Edits;

/// Bytes `start..end` of the text.
#[derive(Clone, Copy)]
pub(super) struct Range {
    pub start: usize,
    pub end: usize,
}

/// A step of a chain like `a.b['c'].d(e)`.
pub(super) enum Step {
    Attribute { dot: usize, name: Range },
    Item { open: usize, close: usize },
    Call { open: usize, close: usize },
    Slice,
}

/// What becomes of a step that is not there, and of what fails.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
pub(super) enum Lenience {
    /// An error.
    No,
    /// A missing step is undefined: something around it knows what to do then.
    Steps,
    /// A filter or lookup that fails is undefined, too: maybe nobody needs it.
    All,
}

/// Jinja's grammar of expressions, as far as it is needed to know where an operand begins and ends.
pub(super) struct Walk<'e, 't> {
    pub edits: &'e mut Edits<'t>,
    pub tokens: &'e [Token],
    pub pos: usize,
    pub lenience: Lenience,
}

impl<'e, 't> Walk<'e, 't> {
    pub(super) fn new(edits: &'e mut Edits<'t>, tokens: &'e [Token]) -> Self {
        Self { edits, tokens, pos: 0, lenience: Lenience::No }
    }

    /// Expressions with anything between them.
    pub(super) fn row(&mut self) {
        while self.pos < self.tokens.len() {
            let before = self.pos;
            self.ternary();
            if self.pos == before {
                self.pos += 1;
            }
        }
    }

    pub(super) fn peek(&self) -> &str {
        self.tokens.get(self.pos).filter(|t| t.kind != Kind::Str).map_or("", |t| &self.edits.text[t.start..t.end])
    }

    pub(super) fn eat(&mut self, token: &str) -> bool {
        let found = self.peek() == token;
        self.pos += usize::from(found);
        found
    }

    /// The end of the last token that was read.
    pub(super) fn end(&self) -> usize {
        self.pos.checked_sub(1).map_or(0, |i| self.tokens[i].end)
    }

    pub(super) fn here(&self) -> usize {
        self.tokens.get(self.pos).map_or(self.edits.text.len(), |t| t.start)
    }

    pub(super) fn ternary(&mut self) {
        self.or();
        while self.eat("if") {
            self.or();
            if self.eat("else") {
                self.ternary();
            }
        }
    }

    fn or(&mut self) {
        self.not();
        while self.eat("or") || self.eat("and") {
            self.not();
        }
    }

    fn not(&mut self) {
        if self.eat("not") { self.not() } else { self.compare() }
    }

    fn compare(&mut self) {
        let start = self.here();
        self.sum();
        let mut operators = Vec::new();
        loop {
            let at = self.here();
            let next = self.tokens.get(self.pos + 1).map(|t| &self.edits.text[t.start..t.end]);
            let operator = match self.peek() {
                op @ ("<" | "<=" | ">" | ">=" | "==" | "!=" | "in") => op.to_owned(),
                "not" if next == Some("in") => "not in".to_owned(),
                _ => break,
            };
            self.pos += if operator == "not in" { 2 } else { 1 };
            operators.push((operator, at, self.end()));
            self.sum();
        }
        // Equality alone is the same in both languages.
        if operators.iter().all(|(op, ..)| matches!(op.as_str(), "==" | "!=")) && operators.len() < 2 {
            return;
        }
        self.edits.open(start, "(");
        for (i, (operator, at, end)) in operators.iter().enumerate() {
            let lead = if i == 0 { ")|__compare(" } else { "," };
            self.edits.replace(*at, *end, format!("{lead}'{operator}',"));
        }
        self.edits.close(self.end(), ")");
    }

    fn sum(&mut self) {
        let start = self.here();
        self.concat();
        loop {
            let at = self.here();
            if self.eat("-") {
                self.concat();
                self.edits.open(start, "((");
                self.edits.replace(at, at + 1, ")|__minus(");
                self.edits.close(self.end(), "))");
            } else if self.eat("+") {
                self.concat();
                if self.edits.mutates {
                    self.edits.open(start, "((");
                    self.edits.close(self.end(), ")|__new)");
                }
            } else {
                return;
            }
        }
    }

    fn concat(&mut self) {
        let start = self.here();
        self.product();
        let mut first = true;
        while self.peek() == "~" {
            let at = self.here();
            self.edits.replace(at, at + 1, if first { ")|__concat(" } else { "," });
            first = false;
            self.pos += 1;
            self.product();
        }
        if !first {
            self.edits.open(start, "(");
            self.edits.close(self.end(), ")");
        }
    }

    fn product(&mut self) {
        let start = self.here();
        self.power();
        loop {
            let at = self.here();
            if self.eat("%") {
                self.power();
                self.edits.open(start, "(");
                self.edits.replace(at, at + 1, ")|__percent(");
                self.edits.close(self.end(), ")");
            } else if self.eat("*") || self.eat("/") || self.eat("//") {
                self.power();
            } else {
                return;
            }
        }
    }

    fn power(&mut self) {
        self.unary();
        while self.eat("**") {
            self.unary();
        }
    }
}
