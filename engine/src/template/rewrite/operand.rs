//! Operands: a primary with its chain of attributes, items and calls, and the filters and tests behind it.

use super::super::syntax::Kind;
use super::Named;
use super::walk::{Lenience, Range, Step, Walk};

impl Walk<'_, '_> {
    pub(super) fn unary(&mut self) {
        let (pos, mark) = (self.pos, self.edits.mark());
        if self.operand() && self.lenience == Lenience::No {
            // Only at its end is it clear that all of it may be undefined: again, then.
            self.pos = pos;
            self.edits.back(mark);
            self.lenience = Lenience::Steps;
            self.operand();
            self.lenience = Lenience::No;
        }
    }

    /// An operand with its chain, filters and tests; whether one of them forgives what is undefined.
    fn operand(&mut self) -> bool {
        let negative = self.peek() == "-";
        let base = self.signed();
        let steps = self.chain();
        let tolerant = self.filters();
        if self.lenience > Lenience::No && !negative && base {
            self.tolerate(&steps);
        }
        tolerant
    }

    /// A primary with optional minus; whether it is one that a chain can be rewritten on.
    fn signed(&mut self) -> bool {
        if self.peek() == "+" {
            // Nothing to minijinja, and to Python only that of a truth it makes a number.
            let at = self.here();
            self.edits.replace(at, at + 1, " ");
            self.pos += 1;
            self.signed();
            self.chain();
            return false;
        }
        if self.eat("-") {
            self.signed();
            self.chain();
            return false;
        }
        self.primary()
    }

    fn primary(&mut self) -> bool {
        let Some(&token) = self.tokens.get(self.pos) else { return false };
        let range = Range { start: token.start, end: token.end };
        match (token.kind, self.peek()) {
            (Kind::Str, _) => {
                self.pos += 1;
                // Literals side by side are one.
                while self.tokens.get(self.pos).is_some_and(|t| t.kind == Kind::Str) {
                    self.pos += 1;
                }
                let body = &self.edits.text[range.start..range.end];
                if self.edits.embeds && body.contains("{{") && body.contains("}}") {
                    self.edits.open(range.start, "(");
                    self.edits.close(range.end, "|__embedded)");
                }
                true
            }
            (Kind::Number | Kind::Name, name) => {
                let calls = self.lenience == Lenience::All && matches!(name, "lookup" | "query" | "q");
                self.pos += 1;
                if calls && self.peek() == "(" {
                    self.edits.open(range.start, "__");
                }
                true
            }
            (_, "(") => {
                self.group(")");
                true
            }
            (_, open @ ("[" | "{")) => {
                self.group(if open == "[" { "]" } else { "}" });
                if self.edits.mutates {
                    self.edits.open(range.start, "((");
                    self.edits.close(self.end(), ")|__new)");
                }
                true
            }
            _ => false,
        }
    }

    /// A bracketed row of expressions, the opening bracket being next; whether it held a colon at its own level.
    fn group(&mut self, close: &str) -> bool {
        self.pos += 1;
        let mut colon = false;
        while self.pos < self.tokens.len() && !self.eat(close) {
            colon |= self.peek() == ":";
            let before = self.pos;
            // `name=value` is an argument, `**more` and `*more` are spreads: the operators are skipped below.
            self.ternary();
            if self.pos == before {
                self.pos += 1;
            }
        }
        colon
    }

    fn chain(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        loop {
            let open = self.here();
            match self.peek() {
                "." => {
                    self.pos += 1;
                    let Some(name) = self.tokens.get(self.pos) else { return steps };
                    let name = Range { start: name.start, end: name.end };
                    self.pos += 1;
                    steps.push(Step::Attribute { dot: open, name });
                }
                "[" => {
                    let colon = self.group("]");
                    let close = self.end() - 1;
                    steps.push(if colon { Step::Slice } else { Step::Item { open, close } });
                }
                "(" => {
                    let before = self.edits.embeds;
                    self.edits.embeds |= self.is_lookup();
                    self.group(")");
                    self.edits.embeds = before;
                    steps.push(Step::Call { open, close: self.end() - 1 });
                }
                _ => return steps,
            }
        }
    }

    /// Whether the opening bracket ahead is that of a lookup: Ansible renders what is given to one.
    fn is_lookup(&self) -> bool {
        let before = self.pos.checked_sub(1).map(|i| self.tokens[i]);
        before.is_some_and(|t| matches!(&self.edits.text[t.start..t.end], "lookup" | "query" | "q"))
    }

    /// The filters and tests after an operand; whether one of them forgives an undefined one.
    fn filters(&mut self) -> bool {
        let mut tolerant = false;
        loop {
            let is_test = match self.peek() {
                "|" => false,
                "is" => true,
                _ => return tolerant,
            };
            self.pos += 1;
            if is_test {
                self.eat("not");
            }
            let range = self.dotted();
            let name = &self.edits.text[range.start..range.end];
            let short = name.rsplit('.').next().unwrap_or_default();
            let default = matches!(short, "default" | "d");
            tolerant |= default || matches!(short, "defined" | "undefined" | "mandatory" | "type_debug");
            tolerant |= matches!(short, "select" | "reject") && self.asks_whether_defined();
            if self.lenience == Lenience::All && !is_test && !default {
                self.attempt(range);
            }
            if self.peek() == "(" {
                let before = self.lenience;
                if default && before > Lenience::No {
                    self.lenience = Lenience::All;
                }
                self.group(")");
                self.lenience = before;
            } else if is_test && self.starts_argument() {
                self.signed();
                self.chain();
            }
        }
    }

    /// Whether `('defined'` or `('undefined'` is ahead.
    fn asks_whether_defined(&self) -> bool {
        let test = self.tokens.get(self.pos + 1).map_or("", |t| &self.edits.text[t.start..t.end]);
        self.peek() == "(" && matches!(test.trim_matches(['\'', '"']), "defined" | "undefined")
    }

    /// Has a filter tried only: it is ahead of its arguments.
    fn attempt(&mut self, name: Range) {
        let text = &self.edits.text[name.start..name.end];
        if self.peek() == "(" {
            let (open, first) = (self.here(), format!("('{text}',"));
            self.edits.replace(name.start, name.end, "__try");
            self.edits.replace(open, open + 1, first);
        } else {
            let whole = format!("__try('{text}')");
            self.edits.replace(name.start, name.end, whole);
        }
    }

    fn dotted(&mut self) -> Range {
        let is_test = self.pos.checked_sub(1).is_some_and(|i| {
            let before = self.tokens[i];
            matches!(&self.edits.text[before.start..before.end], "is" | "not")
        });
        let start = self.here();
        self.pos = (self.pos + 1).min(self.tokens.len());
        while self.peek() == "." {
            self.pos = (self.pos + 2).min(self.tokens.len());
        }
        let end = self.end().max(start);
        self.edits.names.push(Named { is_test, start, end });
        Range { start, end }
    }

    fn starts_argument(&self) -> bool {
        match self.tokens.get(self.pos).map(|t| t.kind) {
            Some(Kind::Str | Kind::Number) => true,
            Some(Kind::Name) => !matches!(self.peek(), "and" | "or" | "else" | "is" | "if" | "in" | "not"),
            Some(Kind::Punct) => matches!(self.peek(), "[" | "{"),
            None => false,
        }
    }
}
