//! `ansible-inventory`: what an inventory comes to.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::run::WRONG_INPUT;
use super::{CommandError, keys};
use crate::cli::ansible::Inventory as Args;
use crate::diagnostic::{Diagnostics, Paint};
use crate::inventory::{self, ALL, Inventory};
use crate::report::ansible::python::dumps_indented;
use crate::report::print;
use crate::yaml::{Entry, Mapping, to_yaml};

/// Prints it.
pub(super) fn run(args: &Args, paint: Paint) -> Result<u8, CommandError> {
    let vault = keys::passwords(&args.vault)?;
    let mut diagnostics = Diagnostics::new();
    let playbook_dir = args.playbook_dir.as_deref();
    let request = inventory::Request { sources: &args.inventory, playbook_dir, vault: &vault };
    let inventory = inventory::load(request, &mut diagnostics);
    print::diagnostics(&diagnostics, paint);
    if diagnostics.has_errors() {
        return Ok(WRONG_INPUT);
    }
    let text = match (&args.host, args.graph) {
        (Some(host), _) => match inventory.host(host) {
            Some(found) => dumps_indented(&vars(&inventory, found)),
            None => {
                let nearest = crate::diagnostic::nearest(host, inventory.hosts.keys().map(String::as_str));
                return Err(CommandError::NoHost { name: host.clone(), nearest: nearest.map(str::to_owned) });
            }
        },
        (None, true) => graph(&inventory, &args.group, args.vars).trim_end().to_owned(),
        (None, false) => dumps_indented(&list(&inventory)),
    };
    print::data(format!("{text}\n").as_bytes())
        .map_err(|source| CommandError::System { doing: "write to standard output", source })?;
    Ok(0)
}

/// A host's variables as written: templates are not rendered, secrets not shown.
fn vars(inventory: &Inventory, host: &inventory::Host) -> Json {
    let mut merged = Mapping::new();
    for layer in inventory.layers(host) {
        merged.extend(layer.vars.clone());
    }
    json_of(&merged)
}

fn json_of(vars: &Mapping) -> Json {
    let value = |entry: &Entry| serde_json::to_value(to_yaml(&entry.value.to_value())).unwrap_or_default();
    Json::Object(vars.iter().map(|(name, entry)| (name.clone(), value(entry))).collect())
}

/// As an inventory script prints it.
fn list(inventory: &Inventory) -> Json {
    let mut hostvars = Map::new();
    for host in inventory.hosts.values() {
        let vars = vars(inventory, host);
        if vars.as_object().is_some_and(|vars| !vars.is_empty()) {
            hostvars.insert(host.name.clone(), vars);
        }
    }
    let mut all = Map::from_iter([("_meta".to_owned(), json!({"hostvars": hostvars, "profile": "inventory_legacy"}))]);
    for group in inventory.groups.values() {
        let mut parts = Map::new();
        if !group.children.is_empty() {
            parts.insert("children".into(), group.children.keys().cloned().collect::<Vec<_>>().into());
        }
        if !group.hosts.is_empty() && group.name != ALL {
            parts.insert("hosts".into(), group.hosts.iter().cloned().collect::<Vec<_>>().into());
        }
        if !parts.is_empty() {
            all.insert(group.name.clone(), Json::Object(parts));
        }
    }
    Json::Object(all)
}

/// `@all:` and below it what is in it.
fn graph(inventory: &Inventory, group: &str, with_vars: bool) -> String {
    let mut out = String::new();
    branch(inventory, group, 0, with_vars, &mut out);
    out
}

fn branch(inventory: &Inventory, name: &str, depth: usize, with_vars: bool, out: &mut String) {
    let Some(group) = inventory.groups.get(name) else { return };
    out.push_str(&line(depth, &format!("@{name}:")));
    for child in group.children.keys() {
        branch(inventory, child, depth + 1, with_vars, out);
    }
    // A host of no group hangs below `ungrouped` only.
    for host in group.hosts.iter().filter(|_| name != ALL) {
        out.push_str(&line(depth + 1, host));
        let vars = inventory.hosts.get(host).filter(|_| with_vars).map(|host| vars(inventory, host));
        vars.iter().for_each(|vars| leaves(vars, depth + 2, out));
    }
    if with_vars {
        leaves(&json_of(&group.vars), depth + 1, out);
    }
}

fn line(depth: usize, text: &str) -> String {
    match depth {
        0 => format!("{text}\n"),
        depth => format!("{}--{text}\n", "  |".repeat(depth)),
    }
}

/// Variables, sorted.
fn leaves(vars: &Json, depth: usize, out: &mut String) {
    for (name, value) in vars.as_object().into_iter().flatten().collect::<BTreeMap<_, _>>() {
        out.push_str(&line(depth, &format!("{{{name} = {}}}", plain(value))));
    }
}

fn plain(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
