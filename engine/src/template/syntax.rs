//! Jinja's lexical structure: where expressions and statements begin and end, and their tokens.
//!
//! minijinja does the parsing proper. This is the part that has to be known before: whether a text is a lone
//! expression, and where the rewriting for Python's semantics has to cut.

/// A token of an expression: bytes `start..end` of the text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Token {
    pub kind: Kind,
    pub start: usize,
    pub end: usize,
}

/// What a [`Token`] is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Name,
    Number,
    Str,
    Punct,
}

/// A piece of a template.
#[derive(Debug, PartialEq)]
pub(crate) struct Segment {
    pub kind: SegmentKind,
    /// The piece with its delimiters: bytes of the text.
    pub start: usize,
    pub end: usize,
    /// The tokens between the delimiters; none for data and comments.
    pub tokens: Vec<Token>,
}

/// What a [`Segment`] is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum SegmentKind {
    /// `{{ … }}`.
    Expression,
    /// `{% … %}`, but for `raw`.
    Statement,
    /// `{# … #}` and everything that stands for itself.
    Data,
}

/// Whether a text holds any template syntax at all.
pub fn is_template(text: &str) -> bool {
    text.as_bytes().windows(2).any(|w| w[0] == b'{' && matches!(w[1], b'{' | b'%' | b'#'))
}

/// Splits a template into its pieces; `None` if a delimiter is left open (minijinja will say so, and where).
pub(crate) fn segments(text: &str) -> Option<Vec<Segment>> {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut pos = 0;
    let mut data = 0;
    while pos + 1 < bytes.len() {
        let (kind, close) = match (bytes[pos], bytes[pos + 1]) {
            (b'{', b'{') => (SegmentKind::Expression, "}}"),
            (b'{', b'%') => (SegmentKind::Statement, "%}"),
            (b'{', b'#') => (SegmentKind::Data, "#}"),
            _ => {
                pos += 1;
                continue;
            }
        };
        let start = pos;
        let mut tokens = Vec::new();
        if kind == SegmentKind::Data {
            pos = start + 2 + text[start + 2..].find(close)? + 2;
        } else {
            (tokens, pos) = tokenize(text, skip_sign(bytes, start + 2), Some(close))?;
        }
        let raw = kind == SegmentKind::Statement && tokens.first().is_some_and(|t| &text[t.start..t.end] == "raw");
        if raw {
            pos = end_of_raw(text, pos)?;
        }
        if kind == SegmentKind::Data || raw {
            continue;
        }
        if data < start {
            out.push(Segment { kind: SegmentKind::Data, start: data, end: start, tokens: Vec::new() });
        }
        out.push(Segment { kind, start, end: pos, tokens });
        data = pos;
    }
    if data < text.len() {
        out.push(Segment { kind: SegmentKind::Data, start: data, end: text.len(), tokens: Vec::new() });
    }
    Some(out)
}

/// Skips the sign of whitespace control after an opening delimiter.
fn skip_sign(bytes: &[u8], pos: usize) -> usize {
    if matches!(bytes.get(pos), Some(b'-' | b'+')) { pos + 1 } else { pos }
}

fn end_of_raw(text: &str, from: usize) -> Option<usize> {
    let mut pos = from;
    loop {
        let open = pos + text[pos..].find("{%")?;
        let inner = text[open + 2..].trim_start_matches(['-', '+']).trim_start();
        if let Some(rest) = inner.strip_prefix("endraw") {
            let at = text.len() - rest.len();
            return Some(at + text[at..].find("%}")? + 2);
        }
        pos = open + 2;
    }
}

/// The tokens from `pos` up to `close` (outside of brackets), and the position after it. Without `close`, up to the
/// end of the text. `None` if there is no such end or a string is left open.
pub(crate) fn tokenize(text: &str, mut pos: usize, close: Option<&str>) -> Option<(Vec<Token>, usize)> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let mut depth = 0usize;
    loop {
        pos += text[pos..].len() - text[pos..].trim_start().len();
        if let (Some(close), 0) = (close, depth) {
            let signed = skip_sign(bytes, pos);
            for at in [pos, signed] {
                if text[at..].starts_with(close) {
                    return Some((tokens, at + 2));
                }
            }
        }
        let Some(&byte) = bytes.get(pos) else {
            return if close.is_none() { Some((tokens, pos)) } else { None };
        };
        let (kind, end) = match byte {
            b'\'' | b'"' => (Kind::Str, end_of_string(bytes, pos)?),
            b'0'..=b'9' => (Kind::Number, end_of_number(bytes, pos, tokens.last(), text)),
            b if b == b'_' || b.is_ascii_alphabetic() || b >= 0x80 => (Kind::Name, end_of_name(text, pos)),
            _ => (Kind::Punct, pos + punct_len(&bytes[pos..])),
        };
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        tokens.push(Token { kind, start: pos, end });
        pos = end;
    }
}

fn end_of_string(bytes: &[u8], start: usize) -> Option<usize> {
    let mut pos = start + 1;
    loop {
        match bytes.get(pos)? {
            b'\\' => pos += 2,
            b if *b == bytes[start] => return Some(pos + 1),
            _ => pos += 1,
        }
    }
}

/// A number ends before a dot that follows another dot's index (`a.0.1`) or precedes no digit (`1.foo`).
fn end_of_number(bytes: &[u8], start: usize, before: Option<&Token>, text: &str) -> usize {
    let digits = |mut pos: usize| {
        while bytes.get(pos).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_') {
            pos += 1;
        }
        pos
    };
    let mut pos = digits(start);
    let is_index = before.is_some_and(|t| &text[t.start..t.end] == ".");
    if !is_index && bytes.get(pos) == Some(&b'.') && bytes.get(pos + 1).is_some_and(u8::is_ascii_digit) {
        pos = digits(pos + 1);
    }
    if matches!(bytes[pos - 1], b'e' | b'E') && matches!(bytes.get(pos), Some(b'-' | b'+')) {
        pos = digits(pos + 1);
    }
    pos
}

fn end_of_name(text: &str, start: usize) -> usize {
    let rest = &text[start..];
    start
        + rest
            .find(|c: char| c != '_' && !c.is_alphanumeric())
            .unwrap_or(rest.len())
            .max(rest.chars().next().map_or(1, char::len_utf8))
}

fn punct_len(bytes: &[u8]) -> usize {
    match bytes {
        [b'*', b'*', ..] | [b'/', b'/', ..] | [b'=' | b'!' | b'<' | b'>', b'=', ..] => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_of_a_template() {
        let table: &[(&str, &[&str])] = &[
            ("plain", &["plain"]),
            ("{{ a }}", &["{{ a }}"]),
            ("a {{ {'b': {'c': 1}} }} d", &["a ", "{{ {'b': {'c': 1}} }}", " d"]),
            ("{{ '}}' }}x", &["{{ '}}' }}", "x"]),
            ("{{- a -}}{# {{ no }} #}z", &["{{- a -}}", "{# {{ no }} #}z"]),
            (
                "{% raw %}{{ a }}{% endraw %}{% if b %}c{% endif %}",
                &["{% raw %}{{ a }}{% endraw %}", "{% if b %}", "c", "{% endif %}"],
            ),
            ("{ {x} {{ 'é' ~ ü }}", &["{ {x} ", "{{ 'é' ~ ü }}"]),
            ("a {{\u{a0}b |\u{3000}d }}", &["a ", "{{\u{a0}b |\u{3000}d }}"]),
        ];
        for (text, expected) in table {
            let found: Vec<_> = segments(text).expect("closed").iter().map(|s| &text[s.start..s.end]).collect();
            assert_eq!(&found, expected, "{text}");
        }
        for open in ["{{ a", "{% if", "{# x", "{{ 'a }}", "{% raw %}x"] {
            assert_eq!(segments(open), None, "{open}");
        }
    }

    #[test]
    fn tokens_of_an_expression() {
        let text = "a.0.1 + 1.5e-3**b|f('x\\'y') <= c[-1]";
        let (tokens, _) = tokenize(text, 0, None).expect("closed");
        let found: Vec<_> = tokens.iter().map(|t| &text[t.start..t.end]).collect();
        insta::assert_debug_snapshot!(found.join(" "), @r#""a . 0 . 1 + 1.5e-3 ** b | f ( 'x\\'y' ) <= c [ - 1 ]""#);
    }
}
