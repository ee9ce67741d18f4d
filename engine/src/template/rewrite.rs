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
//! | `[a.b, (c.d \| f)] \| select('defined')` | `[a\|__get('b'), (c\|__get('d') \| f)] \| …` | the same within brackets and arguments |
//! | `… \| default(x \| f)`, `default(lookup(…))` | `default(x\|__try('f'))`, `default(__lookup(…))` | what is not needed may fail |
//! | `'{{ x }}'` in a condition or lookup | `('{{ x }}'\|__embedded)` | Ansible renders it |
//!
//! Positions in the rewritten text can be traced back, so that errors point into what the user wrote.

mod edits;
mod operand;
mod tolerate;
mod walk;

use self::edits::Edits;
use super::syntax::{segments, tokenize};

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
    /// A bare expression: backslashes escape, as in Python, and `'{{ x }}'` in it is rendered.
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
        edits.plain_blanks(&tokens);
        edits.keep_backslashes(&tokens);
        edits.drive(&tokens);
    }
    edits.apply()
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
            ("a.b['c'] | default(d.e)", "a|__get('b')|__get('c') | default(d|__get('e'))"),
            ("a.0.b is not defined", "a|__get(0)|__get('b') is not defined"),
            ("a.b.items() | list | d([])", "a|__get('b')|__call('items',) | list | d([])"),
            ("f(x)[0] | default(1)", "f(x)|__get(0) | default(1)"),
            ("a[1:].b | default(1)", "a[1:].b | default(1)"),
            ("-a.b | default(1)", "-a.b | default(1)"),
            ("(a.b | f)['c'] | d(e.f)", "(a|__get('b') | f)|__get('c') | d(e|__get('f'))"),
            ("a | d(b | f | g('x'))", "a | d(b | __try('f') | __try('g','x'))"),
            ("a | d(lookup('file', b))", "a | d(__lookup('file', b))"),
            ("[a.b] | select('defined') | f(c.d)", "[a|__get('b')] | select('defined') | f(c|__get('d'))"),
            ("x is version('1', '<') and y is divisibleby 3", "x is version('1', '<') and y is divisibleby 3"),
            ("[1].append(2)", "(([1])|__new).append(2)"),
            ("'{{ x }}' == y", "('{{ x }}'|__embedded) == y"),
            ("a if b < c else d", "a if (b )|__compare('<', c) else d"),
            ("f(a=b % c, *d)", "f(a=(b )|__percent( c), *d)"),
            (r"f('\d\1', 'it\'s')", r"f('\d\1', 'it\'s')"),
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
            ("{{\u{a0}a |\u{a0}f\u{a0}}}", "{{  a |  f  }}"),
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
