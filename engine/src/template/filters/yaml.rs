//! YAML: read as Ansible reads it, and written as its dumper (PyYAML on libyaml's emitter) lays it out.

use std::sync::Arc;

use minijinja::Error;
use minijinja::value::{Value, ValueKind};

use super::super::call::{Call, Entry, fail, items, pairs};
use super::super::python::{mutable, text};
use crate::diagnostic::{Diagnostics, Severity};
use crate::source::Source;

pub(super) static ALL: &[Entry] = &[
    Entry::new(&["to_yaml"], &["value", "indent", "sort_keys", "**"], "YAML, inner collections on one line.", |c| {
        write(c, 2, None)
    }),
    Entry::new(&["to_nice_yaml"], &["value", "indent", "sort_keys", "**"], "YAML to read.", |c| {
        write(c, 4, Some(false))
    }),
    Entry::new(&["from_yaml"], &["value"], "Reads YAML.", |c| match c.value(0)?.as_str() {
        Some(text) => {
            let mut all = read(text)?;
            match all.len() {
                0 | 1 => Ok(all.pop().unwrap_or_else(|| Value::from(()))),
                _ => Err(fail("expected a single document in the stream, but found another document")),
            }
        }
        None => c.value(0).cloned(),
    }),
    Entry::new(&["from_yaml_all"], &["value"], "Reads all documents of a YAML text.", |c| {
        let value = c.value(0)?;
        match value.as_str() {
            Some("") => Ok(mutable::list(Vec::new())),
            Some(text) => read(text).map(mutable::list),
            None if value.is_none() => Ok(mutable::list(Vec::new())),
            None => Ok(value.clone()),
        }
    }),
];

/// All documents of a text.
fn read(text: &str) -> Result<Vec<Value>, Error> {
    let source = Arc::new(Source { path: "value".into(), text: text.to_owned() });
    let mut diagnostics = Diagnostics::default();
    let nodes = crate::yaml::load_all(&source, &Default::default(), &mut diagnostics);
    match diagnostics.iter().find(|d| d.severity == Severity::Error) {
        Some(error) => Err(fail(format!("not YAML: {}", error.message))),
        None => Ok(nodes.unwrap_or_default().iter().map(|node| from_value(&node.to_value())).collect()),
    }
}

/// What was read, as minijinja's: templates in it are texts, since nobody vouches for them.
fn from_value(value: &crate::value::Value) -> Value {
    use crate::value::Value as Ours;
    match value {
        Ours::Bool(b) => Value::from(*b),
        Ours::Int(n) => Value::from(*n),
        Ours::Float(n) => Value::from(*n),
        Ours::Str(s) => Value::from(s.as_str()),
        Ours::Template(t) => Value::from(t.text.as_str()),
        Ours::List(list) => mutable::list(list.iter().map(from_value).collect()),
        Ours::Map(map) => mutable::dict(map.iter().map(|(k, v)| (Value::from(k.as_str()), from_value(v)))),
        Ours::Null | Ours::Secret(_) | Ours::Unknown(_) | Ours::Omit => Value::from(()),
    }
}

fn write(c: &mut Call, indent: i64, flow: Option<bool>) -> Result<Value, Error> {
    const KNOWN: [&str; 7] =
        ["default_flow_style", "width", "default_style", "explicit_start", "explicit_end", "allow_unicode", "encoding"];
    if let Some((name, _)) = c.named.iter().find(|(k, _)| !KNOWN.contains(&k.as_str())) {
        return Err(fail(format!("'{}' has no parameter '{name}'; it has: {}", c.name, KNOWN.join(", "))));
    }
    let named = |name: &str| c.named.iter().find(|(k, _)| k == name).map(|(_, v)| v).filter(|v| !v.is_none());
    let flag = |name: &str| named(name).is_some_and(Value::is_true);
    let indent = usize::try_from(c.int_or(1, indent)?).ok().filter(|n| (2..10).contains(n)).unwrap_or(2);
    let width = named("width").and_then(Value::as_i64).map_or(80, |w| match usize::try_from(w) {
        Ok(w) if w > indent * 2 => w,
        Ok(_) => 80,
        Err(_) => usize::MAX,
    });
    let flow = match c.named.iter().find(|(k, _)| k == "default_flow_style") {
        Some((_, v)) if v.is_none() => None,
        Some((_, v)) => Some(v.is_true()),
        None => flow,
    };
    let style = named("default_style").and_then(|v| v.as_str()).and_then(|s| s.chars().next());
    let mut emitter = Emitter {
        indent,
        width,
        style,
        flow,
        sort: c.option(2)?.is_none_or(Value::is_true),
        blocks: false,
        out: String::new(),
        column: 0,
        whitespace: true,
        indention: true,
        flow_level: 0,
    };
    if flag("explicit_start") {
        emitter.put("---");
        emitter.whitespace = false;
        emitter.indention = false;
    }
    emitter.node(c.value(0)?, Place { indent: None, mapping: false, simple_key: false })?;
    if emitter.column > 0 {
        emitter.line_break();
    }
    if flag("explicit_end") {
        emitter.out.push_str("...\n");
    }
    Ok(Value::from(emitter.out))
}

/// A value as Ansible's callbacks print results in YAML.
pub(crate) fn result(value: &serde_json::Value) -> String {
    emitted(value, 4, true)
}

/// A value as PyYAML's `dump` writes it.
pub(crate) fn dump(value: &serde_json::Value) -> String {
    emitted(value, 2, false)
}

fn emitted(value: &serde_json::Value, indent: usize, blocks: bool) -> String {
    let mut emitter = Emitter {
        indent,
        width: 80,
        style: None,
        flow: Some(false),
        sort: true,
        blocks,
        out: String::new(),
        column: 0,
        whitespace: true,
        indention: true,
        flow_level: 0,
    };
    // What came from JSON has nothing that cannot be written.
    _ = emitter.node(&of_json(value), Place { indent: None, mapping: false, simple_key: false });
    if emitter.column > 0 {
        emitter.line_break();
    }
    emitter.out
}

fn of_json(value: &serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match value {
        Json::Null => Value::from(()),
        Json::Bool(flag) => Value::from(*flag),
        Json::Number(number) => match number.as_i64() {
            Some(int) => Value::from(int),
            None => Value::from(number.as_f64().unwrap_or_default()),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => mutable::list(items.iter().map(of_json).collect()),
        Json::Object(map) => mutable::dict(map.iter().map(|(key, value)| (Value::from(key.as_str()), of_json(value)))),
    }
}

/// A text as a block can hold it: no blanks at the ends of lines, no tabs, nothing that is not printable.
fn for_block(text: &str) -> String {
    let mut out: Vec<String> = Vec::new();
    for line in text.trim_end().split('\n') {
        let mut spread = String::new();
        for c in line.trim_end_matches(' ').chars() {
            match c {
                '\t' => spread.extend(std::iter::repeat_n(' ', 8 - spread.chars().count() % 8)),
                c if is_printable(c) => spread.push(c),
                _ => {}
            }
        }
        out.push(spread);
    }
    out.join("\n")
}

/// Where a node stands.
#[derive(Clone, Copy)]
struct Place {
    /// The indentation of the collection around it; none at the root.
    indent: Option<usize>,
    /// It is a value of a mapping.
    mapping: bool,
    /// It is a key on a line with its value.
    simple_key: bool,
}

/// libyaml's `emitter.c`, as far as plain values need it; names and rules are the same there.
struct Emitter {
    indent: usize,
    width: usize,
    style: Option<char>,
    flow: Option<bool>,
    sort: bool,
    /// A text of several lines is a block, without what a block cannot hold.
    blocks: bool,
    out: String,
    column: usize,
    whitespace: bool,
    indention: bool,
    flow_level: usize,
}

impl Emitter {
    fn put(&mut self, text: &str) {
        self.out.push_str(text);
        self.column += text.chars().count();
    }

    fn line_break(&mut self) {
        self.out.push('\n');
        self.column = 0;
    }

    fn write_indent(&mut self, indent: usize) {
        if !self.indention || self.column > indent || (self.column == indent && !self.whitespace) {
            self.line_break();
        }
        while self.column < indent {
            self.put(" ");
        }
        self.whitespace = true;
        self.indention = true;
    }

    fn indicator(&mut self, text: &str, need_whitespace: bool, is_whitespace: bool, is_indention: bool) {
        if need_whitespace && !self.whitespace {
            self.put(" ");
        }
        self.put(text);
        self.whitespace = is_whitespace;
        self.indention = self.indention && is_indention;
    }

    fn node(&mut self, value: &Value, at: Place) -> Result<(), Error> {
        if !is_collection(value)? {
            return self.scalar(value, at);
        }
        let entries = self.entries(value)?;
        let map = value.kind() == ValueKind::Map;
        let leaves = |(k, v): &(Option<Value>, Value)| {
            Ok::<_, Error>(!is_collection(v)? && k.as_ref().map_or(Ok(true), |k| is_collection(k).map(|c| !c))?)
        };
        let flow = match self.flow {
            Some(flow) => flow,
            // Collections of scalars go on one line; PyYAML counts a scalar with a style of its own as none.
            None => {
                self.style.is_none() && entries.iter().map(leaves).collect::<Result<Vec<_>, _>>()?.iter().all(|l| *l)
            }
        };
        match (self.flow_level > 0 || flow || entries.is_empty(), map) {
            (true, _) => self.flow_collection(&entries, map, at),
            (false, true) => self.block_mapping(&entries, at),
            (false, false) => self.block_sequence(&entries, at),
        }
    }

    fn entries(&self, value: &Value) -> Result<Vec<(Option<Value>, Value)>, Error> {
        if value.kind() != ValueKind::Map {
            return Ok(items(value)??.into_iter().map(|v| (None, v)).collect());
        }
        let mut all = pairs(value)?;
        if self.sort {
            all.sort_by(|a, b| a.0.cmp(&b.0));
        }
        Ok(all.into_iter().map(|(k, v)| (Some(k), v)).collect())
    }

    fn block_sequence(&mut self, entries: &[(Option<Value>, Value)], at: Place) -> Result<(), Error> {
        let indent = match at.indent {
            None => 0,
            // A list under a key is not indented.
            Some(outer) if at.mapping && !self.indention => outer,
            Some(outer) => outer + self.indent,
        };
        for (_, item) in entries {
            self.write_indent(indent);
            self.indicator("-", true, false, true);
            self.node(item, Place { indent: Some(indent), mapping: false, simple_key: false })?;
        }
        Ok(())
    }

    fn block_mapping(&mut self, entries: &[(Option<Value>, Value)], at: Place) -> Result<(), Error> {
        let indent = at.indent.map_or(0, |outer| outer + self.indent);
        let inside = Place { indent: Some(indent), mapping: true, simple_key: false };
        for (key, item) in entries {
            let key = key.as_ref().expect("mappings have keys");
            self.write_indent(indent);
            if simple(key)? {
                self.node(key, Place { simple_key: true, ..inside })?;
                self.indicator(":", false, false, false);
            } else {
                self.indicator("?", true, false, true);
                self.node(key, inside)?;
                self.write_indent(indent);
                self.indicator(":", true, false, true);
            }
            self.node(item, inside)?;
        }
        Ok(())
    }

    fn flow_collection(&mut self, entries: &[(Option<Value>, Value)], map: bool, at: Place) -> Result<(), Error> {
        let indent = at.indent.map_or(self.indent, |outer| outer + self.indent);
        let inside = Place { indent: Some(indent), mapping: map, simple_key: false };
        self.indicator(if map { "{" } else { "[" }, true, true, false);
        self.flow_level += 1;
        for (i, (key, item)) in entries.iter().enumerate() {
            if i > 0 {
                self.indicator(",", false, false, false);
            }
            if self.column > self.width {
                self.write_indent(indent);
            }
            if let Some(key) = key {
                if simple(key)? {
                    self.node(key, Place { simple_key: true, ..inside })?;
                    self.indicator(":", false, false, false);
                } else {
                    self.indicator("?", true, false, false);
                    self.node(key, inside)?;
                    if self.column > self.width {
                        self.write_indent(indent);
                    }
                    self.indicator(":", true, false, false);
                }
            }
            self.node(item, inside)?;
        }
        self.flow_level -= 1;
        self.indicator(if map { "}" } else { "]" }, false, false, false);
        Ok(())
    }

    fn scalar(&mut self, value: &Value, at: Place) -> Result<(), Error> {
        let mut text = scalar_text(value)?;
        let is_str = !matches!(value.kind(), ValueKind::None | ValueKind::Bool | ValueKind::Number);
        let mut style = self.style.unwrap_or(' ');
        if self.blocks && is_str && !at.simple_key && text.contains('\n') {
            text = for_block(&text);
            style = '|';
        }
        let a = Analysis::of(&text);
        if style == ' ' || style == '\'' {
            if at.simple_key && a.multiline {
                style = '"';
            } else if style == ' ' {
                let allowed = if self.flow_level > 0 { a.flow_plain } else { a.block_plain };
                let empty = text.is_empty() && (self.flow_level > 0 || at.simple_key);
                if !allowed || empty || (is_str && is_implicit(&text)?) {
                    style = '\'';
                }
            }
            if style == '\'' && !a.single_quoted {
                style = '"';
            }
        } else if matches!(style, '|' | '>') && (!a.block || self.flow_level > 0 || at.simple_key) {
            style = '"';
        }
        let indent = at.indent.map_or(self.indent, |outer| outer + self.indent);
        let breaks = !at.simple_key;
        match style {
            '\'' => self.single_quoted(&text, breaks, indent),
            '"' => self.double_quoted(&text, breaks, indent),
            '|' | '>' => self.literal(&text, indent),
            _ => self.plain(&text, breaks, indent),
        }
        Ok(())
    }

    fn plain(&mut self, text: &str, allow_breaks: bool, indent: usize) {
        if !self.whitespace && (!text.is_empty() || self.flow_level > 0) {
            self.put(" ");
        }
        let chars: Vec<char> = text.chars().collect();
        let mut spaces = false;
        for (i, c) in chars.iter().enumerate() {
            if *c == ' ' {
                if allow_breaks && !spaces && self.column > self.width && chars.get(i + 1) != Some(&' ') {
                    self.write_indent(indent);
                } else {
                    self.put(" ");
                }
                spaces = true;
            } else {
                self.put(c.encode_utf8(&mut [0; 4]));
                self.indention = false;
                spaces = false;
            }
        }
        self.whitespace = false;
        self.indention = false;
    }

    fn single_quoted(&mut self, text: &str, allow_breaks: bool, indent: usize) {
        self.indicator("'", true, false, false);
        let chars: Vec<char> = text.chars().collect();
        let (mut spaces, mut breaks) = (false, false);
        for (i, c) in chars.iter().enumerate() {
            if *c == ' ' {
                let inside = i > 0 && i + 1 < chars.len() && chars[i + 1] != ' ';
                if allow_breaks && !spaces && self.column > self.width && inside {
                    self.write_indent(indent);
                } else {
                    self.put(" ");
                }
                spaces = true;
            } else if is_break(*c) {
                if !breaks && *c == '\n' {
                    self.line_break();
                }
                self.line_break();
                self.indention = true;
                breaks = true;
            } else {
                if breaks {
                    self.write_indent(indent);
                }
                if *c == '\'' {
                    self.put("'");
                }
                self.put(c.encode_utf8(&mut [0; 4]));
                self.indention = false;
                (spaces, breaks) = (false, false);
            }
        }
        if breaks {
            self.write_indent(indent);
        }
        self.indicator("'", false, false, false);
        self.whitespace = false;
        self.indention = false;
    }

    fn double_quoted(&mut self, text: &str, allow_breaks: bool, indent: usize) {
        self.indicator("\"", true, false, false);
        let chars: Vec<char> = text.chars().collect();
        let mut spaces = false;
        for (i, c) in chars.iter().enumerate() {
            if !is_printable(*c) || is_break(*c) || matches!(c, '"' | '\\' | '\u{feff}') {
                self.put(&escaped(*c));
                spaces = false;
            } else if *c == ' ' {
                if allow_breaks && !spaces && self.column > self.width && i > 0 && i + 1 < chars.len() {
                    self.write_indent(indent);
                    if chars[i + 1] == ' ' {
                        self.put("\\");
                    }
                } else {
                    self.put(" ");
                }
                spaces = true;
            } else {
                self.put(c.encode_utf8(&mut [0; 4]));
                spaces = false;
            }
        }
        self.indicator("\"", false, false, false);
        self.whitespace = false;
        self.indention = false;
    }

    fn literal(&mut self, text: &str, indent: usize) {
        let mut hints = String::from("|");
        if text.starts_with([' ', '\n']) {
            hints.push_str(&self.indent.to_string());
        }
        hints.push_str(match text.strip_suffix('\n') {
            None => "-",
            Some(rest) if rest.is_empty() || rest.ends_with('\n') => "+",
            Some(_) => "",
        });
        self.indicator(&hints, true, false, false);
        self.line_break();
        (self.indention, self.whitespace) = (true, true);
        let mut breaks = true;
        for c in text.chars() {
            if is_break(c) {
                self.line_break();
                self.indention = true;
                breaks = true;
            } else {
                if breaks {
                    self.write_indent(indent);
                }
                self.put(c.encode_utf8(&mut [0; 4]));
                self.indention = false;
                breaks = false;
            }
        }
    }
}

fn is_collection(value: &Value) -> Result<bool, Error> {
    match value.kind() {
        ValueKind::Undefined => Err(super::super::eval::undefined(value)),
        kind => Ok(matches!(kind, ValueKind::Map | ValueKind::Seq | ValueKind::Iterable)),
    }
}

/// Whether a key can stand on one line with its value.
fn simple(key: &Value) -> Result<bool, Error> {
    if is_collection(key)? {
        return Ok(key.len() == Some(0));
    }
    let text = scalar_text(key)?;
    Ok(text.len() <= 128 && !text.contains(is_break))
}

fn scalar_text(value: &Value) -> Result<String, Error> {
    Ok(match value.kind() {
        ValueKind::Undefined => return Err(super::super::eval::undefined(value)),
        ValueKind::None => "null".into(),
        ValueKind::Bool => if value.is_true() { "true" } else { "false" }.into(),
        ValueKind::Number => match text::number(value).as_str() {
            "inf" => ".inf".into(),
            "-inf" => "-.inf".into(),
            "nan" => ".nan".into(),
            // YAML 1.1 wants a dot in a float with an exponent.
            n if n.contains('e') && !n.contains('.') => n.replacen('e', ".0e", 1),
            n => n.to_owned(),
        },
        _ => text::str(value)?,
    })
}

/// Whether YAML 1.1 reads a plain scalar as something else than a text (PyYAML's `resolver.py`).
fn is_implicit(text: &str) -> Result<bool, Error> {
    const PATTERN: &str = concat!(
        r"\A(?:|~|null|Null|NULL|=|<<|!|&|\*",
        r"|yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF",
        r"|[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?",
        r"|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        r"|[-+]?0b[0-1_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+",
        r"|[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}",
        r"(?:\.[0-9]*)?(?:[ \t]*(?:Z|[-+][0-9]{1,2}(?::[0-9]{2})?))?)\z"
    );
    let regex = super::compile(PATTERN, false, false)?;
    regex.is_match(text).map_err(|e| fail(format!("the regular expression gave up: {e}")))
}

fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// libyaml leaves out the tab, and all beyond the basic plane.
fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}

fn escaped(c: char) -> String {
    match c {
        '\0' => "\\0".into(),
        '\u{7}' => "\\a".into(),
        '\u{8}' => "\\b".into(),
        '\t' => "\\t".into(),
        '\n' => "\\n".into(),
        '\u{b}' => "\\v".into(),
        '\u{c}' => "\\f".into(),
        '\r' => "\\r".into(),
        '\u{1b}' => "\\e".into(),
        '"' => "\\\"".into(),
        '\\' => "\\\\".into(),
        '\u{85}' => "\\N".into(),
        '\u{2028}' => "\\L".into(),
        '\u{2029}' => "\\P".into(),
        c if (c as u32) <= 0xff => format!("\\x{:02X}", c as u32),
        c if (c as u32) <= 0xffff => format!("\\u{:04X}", c as u32),
        c => format!("\\U{:08X}", c as u32),
    }
}

/// Which styles can hold a text (`yaml_emitter_analyze_scalar`).
struct Analysis {
    multiline: bool,
    flow_plain: bool,
    block_plain: bool,
    single_quoted: bool,
    block: bool,
}

impl Analysis {
    fn of(text: &str) -> Self {
        if text.is_empty() {
            return Self { multiline: false, flow_plain: false, block_plain: true, single_quoted: true, block: false };
        }
        let chars: Vec<char> = text.chars().collect();
        let blank = |c: Option<&char>| c.is_none_or(|c| matches!(c, ' ' | '\t' | '\0') || is_break(*c));
        let document = text.starts_with("---") || text.starts_with("...");
        let (mut block_indicators, mut flow_indicators) = (document, document);
        let (mut special, mut breaks, mut space_break, mut break_space) = (false, false, false, false);
        for (i, c) in chars.iter().enumerate() {
            let (followed, preceded) = (blank(chars.get(i + 1)), i == 0 || blank(chars.get(i - 1)));
            let (flow, block) = match c {
                '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`'
                    if i == 0 =>
                {
                    (true, true)
                }
                '?' if i == 0 => (true, followed),
                '-' if i == 0 => (followed, followed),
                ',' | '?' | '[' | ']' | '{' | '}' => (true, false),
                ':' => (true, followed),
                '#' => (preceded, preceded),
                _ => (false, false),
            };
            flow_indicators |= flow;
            block_indicators |= block;
            special |= !is_printable(*c) && !is_break(*c);
            breaks |= is_break(*c);
            break_space |= *c == ' ' && i > 0 && is_break(chars[i - 1]);
            space_break |= is_break(*c) && i > 0 && chars[i - 1] == ' ';
        }
        let (first, last) = (chars[0], chars[chars.len() - 1]);
        let edge = |c: char| c == ' ' || is_break(c);
        let plain = !edge(first) && !edge(last) && !break_space && !space_break && !special && !breaks;
        Self {
            multiline: breaks,
            flow_plain: plain && !flow_indicators,
            block_plain: plain && !block_indicators,
            single_quoted: !break_space && !space_break && !special,
            block: last != ' ' && !space_break && !special,
        }
    }
}
