//! How a scalar is written: the style that can hold it, quotes, escapes and breaks.

use minijinja::Error;
use minijinja::value::{Value, ValueKind};

use super::super::super::eval::undefined;
use super::super::super::python::text;
use super::analysis::{Analysis, escaped, is_break, is_implicit, is_printable};
use super::emitter::{Emitter, Place};

impl Emitter {
    pub(super) fn scalar(&mut self, value: &Value, at: Place) -> Result<(), Error> {
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

pub(super) fn scalar_text(value: &Value) -> Result<String, Error> {
    Ok(match value.kind() {
        ValueKind::Undefined => return Err(undefined(value)),
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
