//! From a source to nodes.

use std::collections::HashMap;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span as Marks, StrInput, Tag};
use trueup_modules::secret::Secret;

use super::flow;
use super::hint;
use super::node::{Data, Entry, Mapping, Node, Scalar, Style};
use super::places::Places;
use super::tag::{self, Tagged};
use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::source::{Source, Span};
use crate::vault::{self, VaultPasswords};

/// How deep nodes may nest, aliases included: more is an attack on the stack.
const MAX_DEPTH: usize = 128;
/// How many nodes aliases may copy in one file: more is an attack on the memory ("billion laughs").
const MAX_COPIES: usize = 100_000;

/// Reads a file that holds one document; an empty file is null. A vault file is opened, and so is every `!vault`
/// value; all that comes from either is marked secret. `None` when there is nothing to go on with; an error then says why.
pub fn load(source: &Arc<Source>, vault: &VaultPasswords, diagnostics: &mut Diagnostics) -> Option<Node> {
    let mut documents = load_all(source, vault, diagnostics)?;
    if let Some(second) = documents.get(1) {
        diagnostics.push(
            Diagnostic::error("this file must hold one YAML document, and another begins here")
                .at(&second.span)
                .hint("remove the `---` line between them"),
        );
        return None;
    }
    Some(documents.pop().unwrap_or_else(|| null(&Span::new(source, 0, 0))))
}

/// Reads a file that holds any number of documents. See [`load`].
pub fn load_all(source: &Arc<Source>, vault: &VaultPasswords, diagnostics: &mut Diagnostics) -> Option<Vec<Node>> {
    let opened;
    let (text, places) = if vault::is_vault(&source.text) {
        let header = Span::new(source, 0, source.text.find('\n').unwrap_or(source.text.len()));
        match vault::decrypt_text(&source.text, vault, &format!("file `{}`", source.path.display())) {
            Ok(secret) => opened = secret,
            Err(error) => {
                diagnostics.push(error.at(&header));
                return None;
            }
        }
        (Secret::expose(&opened), Places::Sealed(header))
    } else {
        (source.text.as_str(), Places::open(source))
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut found = Diagnostics::new();
    let mut read = documents(text, &places, vault, &mut found);
    if read.is_err()
        && let Some(joined) = flow::joined(text)
    {
        found = Diagnostics::new();
        read = documents(&joined, &places, vault, &mut found);
    }
    diagnostics.extend(found);
    match read {
        Ok(documents) => Some(documents),
        Err(fatal) => {
            // The parser stumbles over a bare template that was reported as a key already.
            if !diagnostics.iter().any(|known| same_place(known, &fatal)) {
                diagnostics.push(*fatal);
            }
            None
        }
    }
}

fn documents(
    text: &str,
    places: &Places,
    vault: &VaultPasswords,
    diagnostics: &mut Diagnostics,
) -> Result<Vec<Node>, Fatal> {
    let parser = Parser::new_from_str(text);
    let unended = (!text.ends_with('\n')).then(|| text.chars().count());
    Loader { parser, places, unended, vault, diagnostics, anchors: HashMap::new(), copies: 0 }.documents()
}

fn same_place(a: &Diagnostic, b: &Diagnostic) -> bool {
    let start = |d: &Diagnostic| d.labels.first().map(|(span, _)| span.start);
    a.message == b.message && start(a) == start(b)
}

fn null(span: &Span) -> Node {
    let scalar = Scalar { text: String::new(), style: Style::Plain, secret: false };
    Node { data: Data::Scalar(scalar), span: span.clone(), is_unsafe: false }
}

/// A node that aliases may copy.
struct Anchored {
    node: Node,
    size: usize,
    depth: usize,
}

struct Loader<'t, 'd> {
    parser: Parser<'t, StrInput<'t>>,
    places: &'d Places,
    /// Where the text ends, if that is not behind a line break.
    unended: Option<usize>,
    vault: &'d VaultPasswords,
    diagnostics: &'d mut Diagnostics,
    anchors: HashMap<usize, Anchored>,
    copies: usize,
}

type Fatal = Box<Diagnostic>;

impl<'t> Loader<'t, '_> {
    fn documents(&mut self) -> Result<Vec<Node>, Fatal> {
        let mut documents = Vec::new();
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(documents),
                (Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing, _) => {}
                (event, marks) => documents.push(self.node(event, marks, 0)?),
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'t>, Marks), Fatal> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(Box::new(self.explain(&error))),
            None => Ok((Event::StreamEnd, Marks::default())),
        }
    }

    fn explain(&self, error: &ScanError) -> Diagnostic {
        let at = error.marker();
        match self.places {
            Places::Sealed(header) => {
                Diagnostic::error(format!("the content is not YAML: line {}, column {}", at.line(), at.col() + 1))
                    .at(header)
            }
            Places::Open { .. } => hint::explain(error.info(), &self.places.span(at.index(), at.index() + 1)),
        }
    }

    fn span(&self, marks: Marks) -> Span {
        self.places.span(marks.start.index(), marks.end.index())
    }

    fn node(&mut self, event: Event<'t>, marks: Marks, depth: usize) -> Result<Node, Fatal> {
        let span = self.span(marks);
        if depth > MAX_DEPTH {
            return Err(Box::new(too_deep(&span)));
        }
        let (anchor, node) = match event {
            Event::Alias(id) => return self.alias(id, &span, depth),
            Event::Scalar(text, style, anchor, tag) => {
                let tag = self.tag(tag.as_deref(), &span);
                let text =
                    if self.gained_newline(style, marks) { text.strip_suffix('\n').unwrap_or(&text) } else { &text };
                (anchor, self.scalar(text, style, tag, span))
            }
            Event::SequenceStart(anchor, tag) => {
                let tag = self.tag(tag.as_deref(), &span);
                (anchor, self.sequence(tag, span, depth)?)
            }
            Event::MappingStart(anchor, tag) => {
                let tag = self.tag(tag.as_deref(), &span);
                (anchor, self.mapping(tag, span, depth)?)
            }
            _ => return Err(Box::new(Diagnostic::error("a value is missing here").at(&span))),
        };
        let node = if node.is_unsafe { node.into_unsafe() } else { node };
        if anchor > 0 {
            let (size, depth) = measure(&node);
            self.anchors.insert(anchor, Anchored { node: node.clone(), size, depth });
        }
        Ok(node)
    }

    fn alias(&mut self, id: usize, span: &Span, depth: usize) -> Result<Node, Fatal> {
        let Some(anchored) = self.anchors.get(&id) else {
            return Err(Box::new(Diagnostic::error("this alias stands inside of what it refers to").at(span)));
        };
        self.copies += anchored.size;
        if self.copies > MAX_COPIES {
            let message = format!("the aliases of this file expand to more than {MAX_COPIES} values");
            return Err(Box::new(Diagnostic::error(message).label(span, "this one is too much")));
        }
        if depth + anchored.depth > MAX_DEPTH {
            return Err(Box::new(too_deep(span)));
        }
        Ok(anchored.node.clone())
    }

    /// The parser ends a block at the end of the file with a line break that does not stand there; PyYAML does not.
    fn gained_newline(&self, style: ScalarStyle, marks: Marks) -> bool {
        let is_block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
        is_block && self.unended.is_some_and(|end| marks.end.index() >= end)
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Tagged, span: Span) -> Node {
        let sealed = matches!(self.places, Places::Sealed(_));
        let style = match (style, tag) {
            (ScalarStyle::Plain, Tagged::No | Tagged::Unsafe) => Style::Plain,
            _ => Style::Text,
        };
        let mut scalar = Scalar { text: text.to_owned(), style, secret: sealed };
        match tag {
            Tagged::Plain => scalar.style = Style::Plain,
            Tagged::Vault => {
                scalar.secret = true;
                match vault::decrypt_text(text.trim_start(), self.vault, &format!("the value at {span}")) {
                    Ok(secret) => Secret::expose(&secret).clone_into(&mut scalar.text),
                    // It is opened when somebody reads it, as in Ansible: nobody may.
                    Err(error) => {
                        let error = error.at(&span);
                        (scalar.text, scalar.secret) = (super::node::unopened(&error.message), false);
                        self.diagnostics.push(Diagnostic { severity: Severity::Warning, ..error });
                    }
                }
            }
            Tagged::Binary => match tag::binary(text, &span) {
                Ok(bare) => scalar.text = bare,
                Err(error) => self.diagnostics.push(error),
            },
            Tagged::No | Tagged::Unsafe | Tagged::Text | Tagged::Set | Tagged::Pairs => {}
        }
        Node { data: Data::Scalar(scalar), span, is_unsafe: tag == Tagged::Unsafe }
    }

    fn sequence(&mut self, tag: Tagged, start: Span, depth: usize) -> Result<Node, Fatal> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, marks) => return Ok(self.collection(Data::Seq(items), tag, &start, marks)),
                (event, marks) => items.push(self.node(event, marks, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, tag: Tagged, start: Span, depth: usize) -> Result<Node, Fatal> {
        let mut own = Mapping::new();
        let mut merged = Mapping::new();
        loop {
            let (event, marks) = self.next()?;
            if event == Event::MappingEnd {
                merged.extend(own);
                return Ok(self.collection(Data::Map(merged), tag, &start, marks));
            }
            let is_merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<");
            let key = self.node(event, marks, depth + 1)?;
            let (event, marks) = self.next()?;
            let value = self.node(event, marks, depth + 1)?;
            if is_merge {
                self.merge(&mut merged, value);
            } else {
                self.insert(&mut own, key, value);
            }
        }
    }

    /// The whole collection's span: a block ends where its last value does, not where the next line begins.
    fn collection(&self, data: Data, tag: Tagged, start: &Span, end: Marks) -> Node {
        let last = match &data {
            Data::Seq(items) => items.last().map(|item| item.span.end),
            Data::Map(map) => map.values().map(|entry| entry.value.span.end).max(),
            Data::Scalar(_) => None,
        };
        let end = if end.is_empty() { last.unwrap_or(start.end) } else { self.span(end).end };
        let span = Span::new(&start.source, start.start, end.max(start.end));
        Node { data: tag.shape(data), span, is_unsafe: tag == Tagged::Unsafe }
    }

    /// `<<`: of a list the earlier wins, of several merge keys the later, as in PyYAML.
    fn merge(&mut self, merged: &mut Mapping, value: Node) {
        let sources = match value.data {
            Data::Seq(items) => items.into_iter().rev().collect(),
            _ => vec![value],
        };
        for source in sources {
            match source.data {
                Data::Map(map) => merged.extend(map),
                _ => self.diagnostics.push(
                    Diagnostic::error(format!("`<<` merges dictionaries, and this is {}", source.describe()))
                        .at(&source.span),
                ),
            }
        }
    }

    fn insert(&mut self, map: &mut Mapping, key: Node, value: Node) {
        let Data::Scalar(scalar) = key.data else {
            self.diagnostics.push(hint::complex_key(&key.span));
            return;
        };
        let entry = Entry { key: key.span, value };
        if let Some(first) = map.get(&scalar.text) {
            self.diagnostics.push(
                Diagnostic::warning(format!("the key `{}` is given twice", scalar.text))
                    .told(format!("Found duplicate mapping key '{}'.", scalar.text))
                    .label(&entry.key, "this one wins")
                    .label(&first.key, "this one is ignored"),
            );
        }
        map.insert(scalar.text, entry);
    }

    fn tag(&mut self, tag: Option<&Tag>, span: &Span) -> Tagged {
        let Some(tag) = tag else { return Tagged::No };
        Tagged::of(tag).unwrap_or_else(|| {
            let diagnostic = Diagnostic::error(format!("unknown tag `{tag}`")).at(span);
            self.diagnostics.push(diagnostic.did_you_mean(&tag.to_string(), Tagged::NAMES));
            Tagged::No
        })
    }
}

fn too_deep(span: &Span) -> Diagnostic {
    Diagnostic::error(format!("the values of this file nest deeper than {MAX_DEPTH} levels")).at(span)
}

/// How many nodes a tree has, and how deep it is.
fn measure(node: &Node) -> (usize, usize) {
    let add = |(size, depth): (usize, usize), child: &Node| {
        let (more, deep) = measure(child);
        (size + more, depth.max(deep + 1))
    };
    match &node.data {
        Data::Scalar(_) => (1, 0),
        Data::Seq(items) => items.iter().fold((1, 0), add),
        Data::Map(map) => map.values().map(|entry| &entry.value).fold((1, 0), add),
    }
}
