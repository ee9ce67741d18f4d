//! Rewrites expressions where minijinja's operators differ from Python's, token by token, before minijinja parses them.
//!
//! | written | becomes | because |
//! |---|---|---|
//! | `a < b`, `a in b` | `(a)\|__compare('<', b)` | Python refuses to order a text and a number |
//! | `a % b` | `(a)\|__percent(b)` | `'%03d' % n` formats |
//! | `a - b` | `((a)\|__minus(b))` | times have differences |
//! | `a ~ b` | `(a)\|__concat(b)` | values print as Python prints them |
//! | `a.b.c \| default(d)`, `a.b.c is defined` | `a\|__get('b')\|__get('c')\|default(d)` | a missing step is undefined, not an error |
//! | `[…]`, `{…}`, `a + b` where the text appends or updates | `(([…])\|__new)` | lists and dicts are mutable |
//! | `'{{ x }}'` in a condition or lookup | `('{{ x }}'\|__embedded)` | Ansible renders it |
//!
//! Positions in the rewritten text can be traced back, so that errors point into what the user wrote.

use super::syntax::{Kind, Segment, SegmentKind, Token, segments, tokenize};

/// A rewritten text.
#[derive(Debug)]
pub(crate) struct Rewritten {
    /// What minijinja gets.
    pub text: String,
    /// Pairs of positions, rewritten and original, ascending; between two of them positions run in parallel.
    anchors: Vec<(usize, usize)>,
    /// The filters and tests it names.
    pub names: Vec<Named>,
}

/// A filter or test that a text uses, and where.
#[derive(Debug, PartialEq)]
pub(crate) struct Named {
    pub is_test: bool,
    pub start: usize,
    pub end: usize,
}

impl Rewritten {
    /// The position in the original for one in the rewritten text.
    pub(crate) fn original(&self, pos: usize) -> usize {
        let after = self.anchors.partition_point(|(new, _)| *new <= pos);
        let Some((new, old)) = after.checked_sub(1).map(|i| self.anchors[i]) else { return pos };
        let limit = self.anchors.get(after).map_or(usize::MAX, |(_, old)| *old);
        (old + (pos - new)).min(limit)
    }
}

/// Where a text comes from: what its literals mean depends on it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Literals {
    /// A value in a playbook: a backslash in `{{ … }}` stands for itself, so that `'\1'` and `'\d'` reach the filters.
    Inline,
    /// A bare expression: the same, and `'{{ x }}'` in it is rendered.
    Bare,
    /// A template file: backslashes escape, as in Python.
    File,
}

/// Rewrites a whole template.
pub(crate) fn template(text: &str, literals: Literals) -> Rewritten {
    let mut edits = Edits::new(text, literals);
    for segment in segments(text).unwrap_or_default() {
        edits.segment(&segment);
    }
    edits.keep_newlines_of_raw();
    edits.apply()
}

/// Rewrites an expression without its delimiters.
pub(crate) fn expression(text: &str, literals: Literals) -> Rewritten {
    let mut edits = Edits::new(text, literals);
    if let Some((tokens, _)) = tokenize(text, 0, None) {
        edits.keep_backslashes(&tokens);
        edits.drive(&tokens);
    }
    edits.apply()
}

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

struct Edits<'t> {
    text: &'t str,
    literals: Literals,
    /// Whether templates in literals are rendered here.
    embeds: bool,
    mutates: bool,
    edits: Vec<Edit>,
    names: Vec<Named>,
}

impl<'t> Edits<'t> {
    fn new(text: &'t str, literals: Literals) -> Self {
        Self {
            text,
            literals,
            embeds: literals == Literals::Bare,
            mutates: MUTATORS.iter().any(|m| text.contains(m)),
            edits: Vec::new(),
            names: Vec::new(),
        }
    }

    fn segment(&mut self, segment: &Segment) {
        let tokens = &segment.tokens;
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
    fn drive(&mut self, tokens: &[Token]) {
        let mut walk = Walk { edits: self, tokens, pos: 0 };
        while walk.pos < tokens.len() {
            let before = walk.pos;
            walk.ternary();
            if walk.pos == before {
                walk.pos += 1;
            }
        }
    }

    /// Doubles the backslashes in literals, so that they come out as they stand.
    fn keep_backslashes(&mut self, tokens: &[Token]) {
        if self.literals == Literals::File {
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
    fn keep_newlines_of_raw(&mut self) {
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

    fn open(&mut self, at: usize, insert: &str) {
        self.edits.push(Edit { at, delete: 0, class: Class::Open, insert: insert.into() });
    }

    fn close(&mut self, at: usize, insert: &str) {
        self.edits.push(Edit { at, delete: 0, class: Class::Close, insert: insert.into() });
    }

    fn replace(&mut self, start: usize, end: usize, insert: impl Into<String>) {
        self.edits.push(Edit { at: start, delete: end - start, class: Class::Replace, insert: insert.into() });
    }

    fn apply(self) -> Rewritten {
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

/// Bytes `start..end` of the text.
#[derive(Clone, Copy)]
struct Range {
    start: usize,
    end: usize,
}

/// A step of a chain like `a.b['c'].d(e)`.
enum Step {
    Attribute { dot: usize, name: Range },
    Item { open: usize, close: usize },
    Call { open: usize, close: usize },
    Slice,
}

/// Jinja's grammar of expressions, as far as it is needed to know where an operand begins and ends.
struct Walk<'e, 't> {
    edits: &'e mut Edits<'t>,
    tokens: &'e [Token],
    pos: usize,
}

impl Walk<'_, '_> {
    fn peek(&self) -> &str {
        self.tokens.get(self.pos).filter(|t| t.kind != Kind::Str).map_or("", |t| &self.edits.text[t.start..t.end])
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.peek() == token;
        self.pos += usize::from(found);
        found
    }

    /// The end of the last token that was read.
    fn end(&self) -> usize {
        self.pos.checked_sub(1).map_or(0, |i| self.tokens[i].end)
    }

    fn here(&self) -> usize {
        self.tokens.get(self.pos).map_or(self.edits.text.len(), |t| t.start)
    }

    fn ternary(&mut self) {
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

    fn unary(&mut self) {
        let negative = self.peek() == "-";
        let base = self.signed();
        let steps = self.chain();
        let tolerant = self.filters();
        if tolerant && !negative && base {
            self.tolerate(&steps);
        }
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
            (Kind::Number | Kind::Name, _) => {
                self.pos += 1;
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
            let name = self.dotted();
            let name = &self.edits.text[name.start..name.end];
            tolerant |= matches!(
                name.rsplit('.').next(),
                Some("default" | "d" | "defined" | "undefined" | "mandatory" | "type_debug")
            );
            if self.peek() == "(" {
                self.group(")");
            } else if is_test && self.starts_argument() {
                self.signed();
                self.chain();
            }
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

    /// Rewrites the steps of a chain so that a missing one yields undefined.
    fn tolerate(&mut self, steps: &[Step]) {
        if steps.iter().any(|s| matches!(s, Step::Slice)) {
            return;
        }
        for (i, step) in steps.iter().enumerate() {
            match step {
                Step::Attribute { dot, name } => {
                    let text = &self.edits.text[name.start..name.end];
                    let key =
                        if text.starts_with(|c: char| c.is_ascii_digit()) { text.into() } else { format!("'{text}'") };
                    let insert = match steps.get(i + 1) {
                        Some(Step::Call { .. }) => format!("|__call({key},"),
                        _ => format!("|__get({key})"),
                    };
                    self.edits.replace(*dot, name.end, insert);
                }
                Step::Item { open, close } => {
                    self.edits.replace(*open, open + 1, "|__get(");
                    self.edits.replace(*close, close + 1, ")");
                }
                // The call of a method: its opening bracket is part of `__call(` already.
                Step::Call { open, .. } if i > 0 && matches!(steps[i - 1], Step::Attribute { .. }) => {
                    self.edits.replace(*open, open + 1, "");
                }
                Step::Call { open, close } if i > 0 => {
                    self.edits.replace(*open, open + 1, "|__call(none,");
                    self.edits.replace(*close, close + 1, ")");
                }
                Step::Call { .. } | Step::Slice => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions() {
        let table: &[(&str, &str)] = &[
            ("a == b", "a == b"),
            ("a < b", "(a )|__compare('<', b)"),
            ("not a.b in c and d", "not (a.b )|__compare('in', c) and d"),
            ("a not in b", "(a )|__compare('not in', b)"),
            ("0 < a <= 3", "(0 )|__compare('<', a ,'<=', 3)"),
            ("'%s' % a % b", "(('%s' )|__percent( a) )|__percent( b)"),
            ("x * y % z + 1", "(x * y )|__percent( z) + 1"),
            ("a ~ b ~ c", "(a )|__concat( b , c)"),
            ("a.b", "a.b"),
            ("a.b['c'] | default(d.e)", "a|__get('b')|__get('c') | default(d.e)"),
            ("a.0.b is not defined", "a|__get(0)|__get('b') is not defined"),
            ("a.b.items() | list | d([])", "a|__get('b')|__call('items',) | list | d([])"),
            ("f(x)[0] | default(1)", "f(x)|__get(0) | default(1)"),
            ("a[1:].b | default(1)", "a[1:].b | default(1)"),
            ("-a.b | default(1)", "-a.b | default(1)"),
            ("x is version('1', '<') and y is divisibleby 3", "x is version('1', '<') and y is divisibleby 3"),
            ("[1].append(2)", "(([1])|__new).append(2)"),
            ("'{{ x }}' == y", "('{{ x }}'|__embedded) == y"),
            ("a if b < c else d", "a if (b )|__compare('<', c) else d"),
            ("f(a=b % c, *d)", "f(a=(b )|__percent( c), *d)"),
            (r"f('\d\1', 'it\'s')", r"f('\\d\\1', 'it\\\'s')"),
            ("{'a': b in c}", "{'a': (b )|__compare('in', c)}"),
        ];
        for (text, expected) in table {
            assert_eq!(&expression(text, Literals::Bare).text, expected, "{text}");
        }
    }

    #[test]
    fn statements() {
        let table: &[(&str, &str)] = &[
            ("{% for k, v in d.items() if v > 1 %}", "{% for k, v in d.items() if (v )|__compare('>', 1) %}"),
            ("{% set x = y.z | default(1) %}", "{% set x = y|__get('z') | default(1) %}"),
            ("{% raw %}a < b{% endraw %} < {{ 1 < 2 }}", "{% raw %}a < b{% endraw %} < {{ (1 )|__compare('<', 2) }}"),
            ("{{ open", "{{ open"),
        ];
        for (text, expected) in table {
            assert_eq!(&template(text, Literals::Inline).text, expected, "{text}");
        }
    }

    #[test]
    fn positions_trace_back() {
        let text = "a.b.c | default(x) ~ missing";
        let rewritten = expression(text, Literals::Bare);
        let at = rewritten.text.find("missing").expect("kept");
        assert_eq!(rewritten.original(at), text.find("missing").expect("there"));
    }
}
