//! How nodes are laid out: libyaml's `emitter.c`, as far as plain values need it; names and rules are the same there.

use minijinja::Error;
use minijinja::value::{Value, ValueKind};

use super::super::super::call::{items, pairs};
use super::super::super::eval::undefined;
use super::analysis::is_break;
use super::scalars::scalar_text;

/// Where a node stands.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// The indentation of the collection around it; none at the root.
    pub indent: Option<usize>,
    /// It is a value of a mapping.
    pub mapping: bool,
    /// It is a key on a line with its value.
    pub simple_key: bool,
}

/// libyaml's `emitter.c`, as far as plain values need it; names and rules are the same there.
pub(super) struct Emitter {
    pub indent: usize,
    pub width: usize,
    pub style: Option<char>,
    pub flow: Option<bool>,
    pub sort: bool,
    /// A text of several lines is a block, without what a block cannot hold.
    pub blocks: bool,
    pub out: String,
    pub column: usize,
    pub whitespace: bool,
    pub indention: bool,
    pub flow_level: usize,
}

impl Emitter {
    pub(super) fn put(&mut self, text: &str) {
        self.out.push_str(text);
        self.column += text.chars().count();
    }

    pub(super) fn line_break(&mut self) {
        self.out.push('\n');
        self.column = 0;
    }

    pub(super) fn write_indent(&mut self, indent: usize) {
        if !self.indention || self.column > indent || (self.column == indent && !self.whitespace) {
            self.line_break();
        }
        while self.column < indent {
            self.put(" ");
        }
        self.whitespace = true;
        self.indention = true;
    }

    pub(super) fn indicator(&mut self, text: &str, need_whitespace: bool, is_whitespace: bool, is_indention: bool) {
        if need_whitespace && !self.whitespace {
            self.put(" ");
        }
        self.put(text);
        self.whitespace = is_whitespace;
        self.indention = self.indention && is_indention;
    }

    pub(super) fn node(&mut self, value: &Value, at: Place) -> Result<(), Error> {
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
}

fn is_collection(value: &Value) -> Result<bool, Error> {
    match value.kind() {
        ValueKind::Undefined => Err(undefined(value)),
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
