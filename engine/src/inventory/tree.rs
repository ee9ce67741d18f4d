//! YAML inventories: groups with `hosts`, `children` and `vars`.

use std::path::Path;

use super::build::Builder;
use super::{Manner, Request, constructed, literal, range};
use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::source::Span;
use crate::value::Value;
use crate::yaml::{Entry, Mapping, Node};

const SECTIONS: [&str; 3] = ["hosts", "children", "vars"];

/// Adds what a document says.
pub(super) fn read(
    root: &Node,
    file: &Path,
    request: Request<'_>,
    builder: &mut Builder,
    diagnostics: &mut Diagnostics,
) {
    if let Some((plugin, options)) = root.as_map().and_then(|map| Some((map.get("plugin")?, map))) {
        return constructed::read(&plugin.value, options, request, builder, diagnostics);
    }
    let mut reader = Reader { file, manner: request.manner, builder, diagnostics };
    let Some(groups) = reader.map(root, INVENTORY) else { return };
    for (name, entry) in groups {
        reader.group(name, entry);
    }
}

struct Reader<'d> {
    file: &'d Path,
    manner: Manner,
    builder: &'d mut Builder,
    diagnostics: &'d mut Diagnostics,
}

impl Reader<'_> {
    fn map<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n Mapping> {
        let map = node.as_map();
        if map.is_none() && !node.is_null() {
            let message = format!("{what} must be a dictionary, and this is {}", node.describe());
            self.diagnostics.push(Diagnostic::error(message).at(&node.span).told(told(what, node)));
        }
        map
    }

    fn group(&mut self, name: &str, entry: &Entry) {
        self.builder.group(name);
        let Some(sections) = self.map(&entry.value, &format!("the group `{name}`")) else { return };
        for (key, section) in sections {
            match key.as_str() {
                "hosts" => self.hosts(name, &section.value),
                "children" => self.children(name, &section.value),
                "vars" => self.vars(name, &section.value),
                _ => self.diagnostics.push(unknown(name, key, section, self.manner)),
            }
        }
    }

    fn vars(&mut self, group: &str, node: &Node) {
        if let Some(vars) = self.map(node, &format!("`vars` of `{group}`")) {
            self.builder.group(group).vars.extend(vars.clone());
        }
    }

    fn children(&mut self, group: &str, node: &Node) {
        // One name may stand for a dictionary.
        if let Some(name) = node.as_scalar().filter(|_| !node.is_null()) {
            return self.builder.child(group, &name.text, &node.span);
        }
        let Some(children) = self.map(node, &format!("`children` of `{group}`")) else { return };
        for (child, entry) in children {
            self.group(child, entry);
            self.builder.child(group, child, &entry.key);
        }
    }

    fn hosts(&mut self, group: &str, node: &Node) {
        if let Some(name) = node.as_scalar().filter(|_| !node.is_null()) {
            return self.host(group, &name.text, &node.span, Mapping::new());
        }
        let Some(hosts) = self.map(node, &format!("`hosts` of `{group}`")) else { return };
        for (pattern, entry) in hosts {
            let vars = self.map(&entry.value, &format!("the host `{pattern}`")).cloned().unwrap_or_default();
            self.host(group, pattern, &entry.key, vars);
        }
    }

    fn host(&mut self, group: &str, pattern: &str, span: &Span, vars: Mapping) {
        let (names, port) = match range::expand(pattern) {
            Ok(expanded) => expanded,
            Err(why) => return self.diagnostics.push(Diagnostic::error(why).at(span)),
        };
        for name in &names {
            let host = self.builder.host(name, group, span, self.file);
            if let Some(port) = port {
                let value = literal::value(&port.to_string(), span);
                host.vars.insert("ansible_port".to_owned(), Entry { key: span.clone(), value });
            }
            host.vars.extend(vars.clone());
        }
    }
}

const INVENTORY: &str = "an inventory";

/// What Ansible says of what should be a dictionary.
fn told(what: &str, node: &Node) -> String {
    let class = class(node);
    let what: Vec<&str> = what.split('`').collect();
    match what[..] {
        [_, section @ ("hosts" | "children" | "vars"), _, group, _] => format!(
            "Invalid \"{section}\" entry for \"{group}\" group, requires a dictionary, found \"{class}\" instead."
        ),
        _ if what[0] == INVENTORY => {
            format!("YAML inventory has invalid structure, it should be a dictionary, got: {class}")
        }
        _ => format!("Invalid data from file, expected dictionary and got:\n\n{}", node.describe()),
    }
}

/// Where it is no reason to stop, Ansible passes it over with a word, or with none where it is empty.
fn unknown(group: &str, key: &str, section: &Entry, manner: Manner) -> Diagnostic {
    let (value, severity) =
        (&section.value, if manner == Manner::Strict { Severity::Error } else { Severity::Warning });
    let told = match value.as_map() {
        _ if value.is_null() => String::new(),
        Some(_) => format!(
            "Skipping unexpected key ({key}) in group ({group}), only \"vars\", \"children\" and \"hosts\" are valid"
        ),
        None => format!("Skipping key ({key}) in group ({group}) as it is not a mapping, it is a {}", class(value)),
    };
    let diagnostic = Diagnostic::error(format!("unknown key `{key}` of the group `{group}`"))
        .at(&section.key)
        .told_alone(told)
        .did_you_mean(key, SECTIONS)
        .hint(
            "a group has `hosts`, `children` and `vars`; other groups stand under `children`, variables under `vars`",
        );
    Diagnostic { severity, hints: if manner == Manner::Strict { diagnostic.hints } else { Vec::new() }, ..diagnostic }
}

/// What Python calls the class of what stands there.
fn class(node: &Node) -> String {
    let name = match node.to_value() {
        Value::List(_) => "List",
        Value::Int(_) => "Int",
        Value::Float(_) => "Float",
        Value::Bool(_) => return "<class 'bool'>".to_owned(),
        _ => "Str",
    };
    format!("<class 'ansible.module_utils._internal._datatag._AnsibleTagged{name}'>")
}
