//! INI inventories.

use std::sync::Arc;

use super::build::Builder;
use super::{Manner, UNGROUPED, literal, range, words};
use crate::diagnostic::{Diagnostic, Diagnostics, nearest};
use crate::source::{Source, Span};
use crate::yaml::{Entry, Mapping, Node};

/// What a section holds.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Hosts,
    Children,
    Vars,
}

/// Adds what a source says; up to the first mistake where that is no reason to stop.
pub(super) fn read(source: &Arc<Source>, manner: Manner, builder: &mut Builder, diagnostics: &mut Diagnostics) {
    let mut reader = Reader { source, manner, builder, diagnostics, declared: Vec::new(), wanted: Vec::new() };
    let (mut group, mut kind) = (UNGROUPED.to_owned(), Kind::Hosts);
    let mut start = 0;
    for line in source.text.split('\n') {
        if manner != Manner::Strict && reader.diagnostics.has_errors() {
            return;
        }
        let text = line.trim();
        let span = reader.within(start, line, text);
        start += line.len() + 1;
        if text.is_empty() || text.starts_with(['#', ';']) {
            continue;
        }
        if text.starts_with('[')
            && let Some(inner) = section(text)
        {
            if let Some((name, which)) = reader.section(inner, &span) {
                (group, kind) = (name, which);
            }
            continue;
        }
        match kind {
            Kind::Hosts => reader.host(text, &group, &span),
            Kind::Children => reader.child(text, &group, &span),
            Kind::Vars => reader.variable(text, &group, &span),
        }
    }
    reader.check_wanted();
}

/// What stands between the brackets of a section's line. A host may begin with `[`, too: `[::1]:22`.
fn section(text: &str) -> Option<&str> {
    let (inner, tail) = text.strip_prefix('[')?.split_once(']')?;
    let tail = tail.trim();
    (tail.is_empty() || tail.starts_with('#')).then_some(inner)
}

struct Reader<'s, 'd> {
    source: &'s Arc<Source>,
    manner: Manner,
    builder: &'d mut Builder,
    diagnostics: &'d mut Diagnostics,
    declared: Vec<String>,
    /// Groups that must be declared somewhere: the section that says so, the group.
    wanted: Vec<(String, String, Span)>,
}

impl Reader<'_, '_> {
    fn within(&self, start: usize, line: &str, part: &str) -> Span {
        let at = start + line.find(part).unwrap_or(0);
        Span::new(self.source, at, at + part.len())
    }

    fn section(&mut self, inner: &str, span: &Span) -> Option<(String, Kind)> {
        let (name, kind) = inner.split_once(':').unwrap_or((inner, "hosts"));
        if name.is_empty() || name.contains(char::is_whitespace) || kind.contains(':') {
            self.diagnostics.push(
                Diagnostic::error("this is not a section")
                    .at(span)
                    .told(format!(
                        "Invalid section entry: '[{inner}]'. Please make sure that there are no spaces in the section entry, and \
                         that there are no other invalid characters"
                    ))
                    .hint("a section is `[group]`, `[group:vars]` or `[group:children]`"),
            );
            return None;
        }
        let which = match kind {
            "hosts" => Kind::Hosts,
            "children" => Kind::Children,
            "vars" => Kind::Vars,
            other => {
                let diagnostic = Diagnostic::error(format!("unknown kind `{other}` of section `{name}`")).at(span);
                let diagnostic = diagnostic.told(format!("Section [{inner}] has unknown type: {other}"));
                self.diagnostics.push(match nearest(other, ["vars", "children", "hosts"]) {
                    Some(near) => diagnostic.hint(format!("did you mean `[{name}:{near}]`?")),
                    None => diagnostic.hint("it is `vars`, `children` or `hosts`"),
                });
                return None;
            }
        };
        if which == Kind::Vars {
            self.wanted.push((format!("[{inner}]"), name.to_owned(), span.clone()));
        } else {
            self.declared.push(name.to_owned());
        }
        self.builder.group(name);
        Some((name.to_owned(), which))
    }

    fn host(&mut self, line: &str, group: &str, span: &Span) {
        let words = match words::split(line) {
            Ok(words) => words,
            Err(why) => {
                let told = format!("Error parsing host definition '{line}': {why}");
                return self.refuse(span, &format!("this line is damaged: {why}"), &told);
            }
        };
        let Some((pattern, assignments)) = words.split_first() else { return };
        if pattern == "---" || pattern.ends_with(':') {
            let diagnostic = Diagnostic::error(format!("`{pattern}` is not the name of a host")).at(span);
            let why = match pattern == "---" {
                true => "'---' is normally a sign this is a YAML file.",
                false => "ending in ':' is not allowed, this character is reserved to provide a port.",
            };
            let diagnostic = diagnostic.told(format!("Invalid host pattern '{pattern}' supplied, {why}"));
            self.diagnostics.push(diagnostic.hint("if this is a YAML inventory, name the file `….yml`"));
            return;
        }
        let (names, port) = match range::expand(pattern) {
            Ok(expanded) => expanded,
            Err(why) => return self.refuse(span, &why, &why),
        };
        let mut vars = Mapping::new();
        if let Some(port) = port {
            vars.insert(
                "ansible_port".to_owned(),
                Entry { key: span.clone(), value: literal::value(&port.to_string(), span) },
            );
        }
        for word in assignments {
            let Some((key, text)) = word.split_once('=') else {
                self.diagnostics.push(
                    Diagnostic::error(format!("`{word}` is not `variable=value`"))
                        .at(span)
                        .told(format!("Expected key=value host variable assignment, got: {word}"))
                        .hint("behind the name of a host stand its variables; a value with blanks must be quoted"),
                );
                continue;
            };
            vars.insert(key.to_owned(), Entry { key: span.clone(), value: literal::value(text, span) });
        }
        if self.manner != Manner::Strict && self.diagnostics.has_errors() {
            return;
        }
        for name in &names {
            self.builder.host(name, group, span, &self.source.path).vars.extend(vars.clone());
        }
    }

    fn child(&mut self, line: &str, group: &str, span: &Span) {
        let name = line.split('#').next().unwrap_or("").trim();
        if name.is_empty() || name.contains([' ', '\t', ':', ']', '=']) {
            let told = format!("Expected group name, got: {line}");
            return self.refuse(span, &format!("`{name}` is not the name of a group"), &told);
        }
        self.wanted.push((format!("[{group}:children]"), name.to_owned(), span.clone()));
        self.builder.child(group, name, span);
    }

    fn variable(&mut self, line: &str, group: &str, span: &Span) {
        let Some((key, text)) = line.split_once('=') else {
            let told = format!("Expected key=value, got: {line}");
            return self.refuse(span, &format!("`{line}` is not `variable=value`"), &told);
        };
        let entry = Entry { key: span.clone(), value: literal::value(text.trim(), span) };
        self.builder.group(group).vars.insert(key.trim().to_owned(), entry);
    }

    fn refuse(&mut self, span: &Span, why: &str, told: &str) {
        self.diagnostics.push(Diagnostic::error(why).at(span).told(told));
    }

    /// `[x:vars]` and the lines of `[x:children]` do not make a group: it must have a section of its own.
    fn check_wanted(&mut self) {
        for (section, name, span) in &self.wanted {
            let known = [super::ALL, UNGROUPED].contains(&name.as_str()) || self.declared.contains(name);
            if known || self.builder.knows(name) {
                continue;
            }
            let diagnostic =
                Diagnostic::error(format!("`{section}` names the group `{name}`, which is declared nowhere")).at(span);
            let told = match section.ends_with(":children]") {
                true => format!("Section {section} includes undefined group '{name}'."),
                false => format!("Section {section} not valid for undefined group '{name}'."),
            };
            let diagnostic = diagnostic.told(told).did_you_mean(name, self.declared.iter().map(String::as_str));
            self.diagnostics.push(diagnostic.hint(format!("add a section `[{name}]`, even an empty one")));
        }
    }
}

/// Whether a text that has no telling name is more likely INI: what YAML makes of it is no dictionary.
pub(super) fn is_likely(root: Option<&Node>) -> bool {
    root.is_none_or(|node| node.as_map().is_none())
}
