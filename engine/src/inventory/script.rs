//! Executable inventories: a program that prints groups and hosts as JSON.
//!
//! `--list` prints them all; the variables of hosts are in `_meta.hostvars`, or `--host NAME` prints those of one (the
//! "developing dynamic inventory" page of Ansible's manual).

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Map as Json, Value};

use super::build::Builder;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::source::{Source, Span};
use crate::yaml::{Data, Entry, Mapping, Node};

/// Whether a file is a program rather than a text.
pub(super) fn is_script(path: &Path, text: &str) -> bool {
    let executable = path.metadata().is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0);
    executable || text.starts_with("#!")
}

/// Runs it, and adds what it says.
pub(super) fn read(path: &Path, builder: &mut Builder, diagnostics: &mut Diagnostics) {
    let script = Script { path, span: Span::new(&source(path), 0, 0) };
    if let Err(why) = script.read(builder, diagnostics) {
        diagnostics.push(Diagnostic::error(format!("failed to use the inventory script `{}`: {why}", path.display())));
    }
}

/// What is shown as the place of all that a script says.
fn source(path: &Path) -> std::sync::Arc<Source> {
    let path = PathBuf::from(format!("<output of {}>", path.display()));
    std::sync::Arc::new(Source { path, text: String::new() })
}

struct Script<'a> {
    path: &'a Path,
    span: Span,
}

impl Script<'_> {
    fn read(&self, builder: &mut Builder, diagnostics: &mut Diagnostics) -> Result<(), String> {
        let groups = self.ask(&["--list"])?;
        let mut hosts = Vec::new();
        for (name, group) in &groups {
            if name != "_meta" {
                self.group(name, group, builder, &mut hosts)?;
            }
        }
        let meta = groups.get("_meta").map(|meta| &meta["hostvars"]);
        let known = meta.map(|vars| object("_meta.hostvars", vars)).transpose()?;
        if known.is_none() && !hosts.is_empty() {
            let message = format!("`{}` is run once for each host: it prints no `_meta`", self.path.display());
            diagnostics.push(Diagnostic::warning(message).hint("let `--list` print `_meta: {hostvars: {…}}`, too"));
        }
        for host in hosts {
            let vars = match known {
                Some(known) => known.get(&host).cloned().unwrap_or_default(),
                None => Value::Object(self.ask(&["--host", &host])?),
            };
            if !vars.is_null() {
                let vars = self.mapping(object(&format!("the variables of `{host}`"), &vars)?);
                builder.vars_of(&host, vars);
            }
        }
        Ok(())
    }

    /// What it prints, an object.
    fn ask(&self, args: &[&str]) -> Result<Json<String, Value>, String> {
        // A bare name would be looked up in PATH.
        let program = std::fs::canonicalize(self.path).map_err(|error| error.to_string())?;
        let output =
            Command::new(program).args(args).stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.trim().lines().last().map(|line| format!(" ({line})")).unwrap_or_default();
        let call = args.join(" ");
        if !output.status.success() {
            return Err(format!("with {call} it ended with {}{said}", output.status));
        }
        if args[0] == "--host" && output.stdout.trim_ascii().is_empty() {
            return Ok(Json::new());
        }
        match serde_json::from_slice(&output.stdout) {
            Ok(Value::Object(found)) => Ok(found),
            Ok(_) => Err(format!("with {call} it printed JSON that is not an object{said}")),
            Err(error) => Err(format!("what it printed with {call} is not JSON: {error}{said}")),
        }
    }

    fn group(&self, name: &str, group: &Value, builder: &mut Builder, hosts: &mut Vec<String>) -> Result<(), String> {
        builder.group(name);
        // The older forms: a list of hosts, or the variables of the one host that has the group's name.
        let alone = Value::Array(vec![name.into()]);
        let (members, vars, children) = match group {
            Value::Object(parts) if ["hosts", "vars", "children"].iter().any(|part| parts.contains_key(*part)) => {
                (&group["hosts"], &group["vars"], &group["children"])
            }
            Value::Object(_) => (&alone, group, &Value::Null),
            list => (list, &Value::Null, &Value::Null),
        };
        for host in texts(&format!("`hosts` of `{name}`"), members)? {
            builder.host(host, name, &self.span, self.path);
            if !hosts.iter().any(|known| known == host) {
                hosts.push(host.to_owned());
            }
        }
        if !vars.is_null() {
            let vars = self.mapping(object(&format!("`vars` of `{name}`"), vars)?);
            builder.group(name).vars.extend(vars);
        }
        for child in texts(&format!("`children` of `{name}`"), children)? {
            builder.child(name, child, &self.span);
        }
        Ok(())
    }

    fn mapping(&self, vars: &Json<String, Value>) -> Mapping {
        let entry = |value| Entry { key: self.span.clone(), value: node(value, &self.span) };
        vars.iter().map(|(name, value)| (name.clone(), entry(value))).collect()
    }
}

/// A value; `__ansible_unsafe` marks a text that is no template, as `ansible-inventory --list` writes it.
fn node(value: &Value, span: &Span) -> Node {
    match value {
        Value::Array(items) => {
            let data = Data::Seq(items.iter().map(|item| node(item, span)).collect());
            Node { data, ..Node::text(String::new(), span) }
        }
        Value::Object(map) => match map.get("__ansible_unsafe").and_then(Value::as_str) {
            Some(text) if map.len() == 1 => Node::text(text, span).into_unsafe(),
            _ => {
                let entry = |value| Entry { key: span.clone(), value: node(value, span) };
                let data = Data::Map(map.iter().map(|(key, value)| (key.clone(), entry(value))).collect());
                Node { data, ..Node::text(String::new(), span) }
            }
        },
        other => Node::from_json(other, span),
    }
}

fn object<'v>(what: &str, value: &'v Value) -> Result<&'v Json<String, Value>, String> {
    value.as_object().ok_or_else(|| format!("{what} must be an object, not {value}"))
}

fn texts<'v>(what: &str, value: &'v Value) -> Result<Vec<&'v str>, String> {
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Array(items) => items
            .iter()
            .map(|item| item.as_str().ok_or_else(|| format!("{what} must be a list of names, and {item} is none")))
            .collect(),
        other => Err(format!("{what} must be a list of names, not {other}")),
    }
}
