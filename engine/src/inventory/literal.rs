//! Values in INI inventories: Python literals where they are ones, texts otherwise, as Ansible's
//! `ast.literal_eval` decides.

use indexmap::IndexMap;

use crate::source::Span;
use crate::yaml::{Data, Entry, Mapping, Node, Scalar, Style};

/// Nesting beyond this is a text: nobody writes it, and it would exhaust the stack.
const MAX_DEPTH: usize = 50;

/// The value that a text stands for.
pub(super) fn value(text: &str, span: &Span) -> Node {
    let mut parser = Parser { rest: text.trim_start_matches([' ', '\t']), span, depth: 0 };
    match parser.value() {
        Some(node) if parser.ends() => node,
        _ => Node::text(text, span),
    }
}

struct Parser<'t> {
    rest: &'t str,
    span: &'t Span,
    depth: usize,
}

impl Parser<'_> {
    /// Nothing but blanks and a comment is left.
    fn ends(&mut self) -> bool {
        self.blanks();
        self.rest.is_empty() || self.rest.starts_with('#')
    }

    fn blanks(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn eat(&mut self, token: &str) -> bool {
        self.blanks();
        let found = self.rest.strip_prefix(token);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    fn node(&self, data: Data) -> Node {
        Node { data, span: self.span.clone(), is_unsafe: false }
    }

    fn plain(&self, text: String) -> Node {
        self.node(Data::Scalar(Scalar { text, style: Style::Plain, secret: false }))
    }

    fn value(&mut self) -> Option<Node> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        self.blanks();
        let node = match self.rest.chars().next()? {
            '[' => self.list("[", "]"),
            '(' => self.list("(", ")"),
            '{' => self.braces(),
            '\'' | '"' => self.strings(),
            c if c.is_ascii_digit() || "+-.".contains(c) => self.number(),
            _ => self.word(),
        };
        self.depth -= 1;
        node
    }

    fn word(&mut self) -> Option<Node> {
        let end = self.rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        if matches!(word, "r" | "b" | "u") && rest.starts_with(['\'', '"']) {
            return self.strings();
        }
        let yaml = match word {
            "True" => "true",
            "False" => "false",
            "None" => "null",
            _ => return None,
        };
        self.rest = rest;
        Some(self.plain(yaml.to_owned()))
    }

    fn number(&mut self) -> Option<Node> {
        let (sign, tail) = self.rest.split_at(usize::from(self.rest.starts_with(['+', '-'])));
        let tail = tail.trim_start();
        let mut end = tail.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.').unwrap_or(tail.len());
        if tail[..end].ends_with(['e', 'E']) && !tail.starts_with("0x") && tail[end..].starts_with(['+', '-']) {
            end += 1 + tail[end + 1..].find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len() - end - 1);
        }
        let text = number(&tail[..end])?;
        self.rest = &tail[end..];
        Some(self.plain(if sign == "-" { format!("-{text}") } else { text }))
    }

    /// One or more strings beside each other.
    fn strings(&mut self) -> Option<Node> {
        let mut text = self.string()?;
        self.blanks();
        while self.rest.starts_with(['\'', '"']) {
            text.push_str(&self.string()?);
            self.blanks();
        }
        Some(Node::text(text, self.span))
    }

    fn string(&mut self) -> Option<String> {
        let raw = self.rest.starts_with('r');
        self.rest = self.rest.trim_start_matches(['r', 'b', 'u']);
        let first = self.rest.get(..1)?;
        let triple = first.repeat(3);
        let quote = if self.rest.starts_with(&triple) { triple.as_str() } else { first };
        self.rest = &self.rest[quote.len()..];
        let mut out = String::new();
        loop {
            if let Some(rest) = self.rest.strip_prefix(quote) {
                self.rest = rest;
                return Some(out);
            }
            let c = self.rest.chars().next()?;
            self.rest = &self.rest[c.len_utf8()..];
            match c {
                '\n' if quote.len() == 1 => return None,
                '\\' if raw => {
                    out.push('\\');
                    out.push(self.rest.chars().next()?);
                    self.rest = &self.rest[self.rest.chars().next()?.len_utf8()..];
                }
                '\\' => self.escape(&mut out)?,
                c => out.push(c),
            }
        }
    }

    fn escape(&mut self, out: &mut String) -> Option<()> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        let simple = match c {
            '\\' | '\'' | '"' => Some(c),
            'n' => Some('\n'),
            't' => Some('\t'),
            'r' => Some('\r'),
            'a' => Some('\x07'),
            'b' => Some('\x08'),
            'f' => Some('\x0c'),
            'v' => Some('\x0b'),
            '0' => Some('\0'),
            _ => None,
        };
        let digits = match c {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => 0,
        };
        if digits > 0 {
            let code = u32::from_str_radix(self.rest.get(..digits)?, 16).ok()?;
            self.rest = &self.rest[digits..];
            out.push(char::from_u32(code)?);
        } else if let Some(simple) = simple {
            out.push(simple);
        } else {
            out.extend(['\\', c]);
        }
        Some(())
    }

    fn list(&mut self, open: &str, close: &str) -> Option<Node> {
        self.eat(open);
        let mut items = Vec::new();
        let mut commas = 0;
        while !self.eat(close) {
            items.push(self.value()?);
            if self.eat(",") {
                commas += 1;
            } else if !self.eat(close) {
                return None;
            } else {
                break;
            }
        }
        // `(x)` is x itself.
        if open == "(" && commas == 0 && items.len() == 1 {
            return items.pop();
        }
        Some(self.node(Data::Seq(items)))
    }

    /// A dictionary, or a set, which becomes a list.
    fn braces(&mut self) -> Option<Node> {
        self.eat("{");
        let mut map = Mapping::new();
        let mut set: IndexMap<String, Node> = IndexMap::new();
        while !self.eat("}") {
            let key = self.value()?;
            let name = key.as_scalar()?.text.clone();
            if self.eat(":") {
                let value = self.value()?;
                map.insert(name, Entry { key: self.span.clone(), value });
            } else {
                set.insert(name, key);
            }
            if self.eat(",") {
                continue;
            }
            if !self.eat("}") {
                return None;
            }
            break;
        }
        match (map.is_empty(), set.is_empty()) {
            (_, true) => Some(self.node(Data::Map(map))),
            (true, false) => Some(self.node(Data::Seq(set.into_values().collect()))),
            (false, false) => None,
        }
    }
}

/// A Python number as YAML 1.1 would write it.
fn number(text: &str) -> Option<String> {
    let digits = text.replace('_', "");
    let misplaced = text.starts_with('_') || text.ends_with('_') || text.contains("__");
    if misplaced || digits.is_empty() {
        return None;
    }
    let lower = digits.to_lowercase();
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = lower.strip_prefix(prefix) {
            return i64::from_str_radix(digits, radix).ok().map(|n| n.to_string());
        }
    }
    if digits.bytes().all(|b| b.is_ascii_digit()) {
        // `0644` is no Python number, and so stays a text.
        let octal = digits.len() > 1 && digits.starts_with('0') && digits.bytes().any(|b| b != b'0');
        return if octal { None } else { digits.parse::<i64>().ok().map(|n| n.to_string()) };
    }
    let shaped = digits.bytes().all(|b| b.is_ascii_digit() || b".eE+-".contains(&b));
    let float: f64 = if shaped { digits.parse().ok()? } else { return None };
    let text = format!("{float:?}");
    // YAML 1.1 wants a point and a sign: `1e20` would be a text.
    Some(match text.split_once('e') {
        Some((mantissa, exponent)) => {
            let point = if mantissa.contains('.') { "" } else { ".0" };
            let sign = if exponent.starts_with('-') { "" } else { "+" };
            format!("{mantissa}{point}e{sign}{exponent}")
        }
        None => text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::to_yaml;

    /// The right column was printed by Ansible's INI plugin.
    #[test]
    fn values_as_python_reads_them() {
        let table = [
            ("5", "5"),
            ("-5", "-5"),
            ("--5", r#""--5""#),
            ("1_000", "1000"),
            ("0x1f", "31"),
            ("0o17", "15"),
            ("0644", r#""0644""#),
            ("00", "0"),
            ("1.5", "1.5"),
            ("1e3", "1000.0"),
            ("1e20", "1e+20"),
            ("True", "true"),
            ("true", r#""true""#),
            ("yes", r#""yes""#),
            ("None", "null"),
            ("null", r#""null""#),
            ("'5'", r#""5""#),
            ("\"a\\tb\" 'c'", r#""a\tbc""#),
            ("r'\\d'", r#""\\d""#),
            ("[1, 'a', None,]", r#"[1,"a",null]"#),
            ("(1, 2)", "[1,2]"),
            ("(1)", "1"),
            ("()", "[]"),
            ("{'a': {'b': [1]}}", r#"{"a":{"b":[1]}}"#),
            ("{1, 2}", "[1,2]"),
            ("5 # comment", "5"),
            ("word # comment", r#""word # comment""#),
            ("", r#""""#),
            ("a b", r#""a b""#),
            ("[1, 2", r#""[1, 2""#),
            ("[a, b]", r#""[a, b]""#),
            ("10.0.0.1", r#""10.0.0.1""#),
            ("1.2.3", r#""1.2.3""#),
            ("{{ x }}", r#""{{ x }}""#),
            ("-o A=b", r#""-o A=b""#),
            ("12ab", r#""12ab""#),
        ];
        for (text, want) in table {
            let shown =
                serde_json::to_string(&to_yaml(&value(text, &Span::none()).to_value())).expect("it is plain data");
            assert_eq!(shown, want, "{text}");
        }
        let deep = "[".repeat(10_000);
        assert!(value(&deep, &Span::none()).as_scalar().is_some());
    }
}
