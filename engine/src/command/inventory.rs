//! `ansible-inventory`: what an inventory comes to.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use serde_json::{Map, Value as Json, json};

use super::run::WRONG_INPUT;
use super::{CommandError, keys};
use crate::cli::ansible::Inventory as Args;
use crate::diagnostic::{Diagnostics, Paint};
use crate::execute;
use crate::inventory::{self, ALL, Inventory, Manner};
use crate::report::ansible::python::{self, dumps_indented};
use crate::report::print;
use crate::source::Span;
use crate::template::yaml_of;
use crate::yaml::{Data, Mapping, Node, to_yaml};

/// Prints it.
pub(super) fn run(args: &Args, manner: Manner, paint: Paint) -> Result<u8, CommandError> {
    match [args.list, args.host.is_some(), args.graph].into_iter().filter(|asked| *asked).count() {
        0 => return Err(CommandError::NoAction),
        1 => {}
        _ => return Err(CommandError::ManyActions),
    }
    let vault = keys::passwords(&args.vault)?;
    let mut diagnostics = Diagnostics::new();
    // Variables beside a playbook are those below the current directory where none is named.
    let playbook_dir = Some(args.playbook_dir.as_deref().unwrap_or(Path::new(".")));
    let request = inventory::Request { sources: &args.inventory, playbook_dir, vault: &vault, manner };
    let inventory = inventory::load(request, &mut diagnostics);
    print::diagnostics(&diagnostics, paint);
    if diagnostics.has_errors() {
        return Ok(WRONG_INPUT);
    }
    let extra = execute::extra_vars(&args.extra_vars, &vault, &mut diagnostics);
    if diagnostics.has_errors() {
        print::diagnostics(&diagnostics, paint);
        return Ok(WRONG_INPUT);
    }
    let shown = Shown {
        inventory: &inventory,
        export: args.export,
        limit: limit(&inventory, args),
        marks: !args.yaml && !args.graph,
        extra: extra
            .iter()
            .map(|(name, value)| (name.clone(), serde_json::to_value(to_yaml(value)).unwrap_or_default()))
            .collect(),
    };
    let dump = |json: &Json| match args.yaml {
        true => yaml_of(json).trim_end().to_owned(),
        false => dumps_indented(json),
    };
    let text = match &args.host {
        Some(host) => match inventory.host(host) {
            Some(found) => dump(&shown.vars(found)),
            None => {
                let nearest = crate::diagnostic::nearest(host, inventory.hosts.keys().map(String::as_str));
                return Err(CommandError::NoSuchHost { nearest: nearest.map(str::to_owned) });
            }
        },
        None if args.graph => shown.graph(args.group.as_deref().unwrap_or(ALL), args.vars)?,
        None if args.yaml => dump(&shown.tree()),
        None => dump(&shown.list()),
    };
    let text = format!("{text}\n");
    match &args.output {
        // Without the line's end, as in Ansible.
        Some(path) => std::fs::write(path, text.trim_end_matches('\n')).map_err(|source| CommandError::File {
            doing: "write",
            path: path.clone(),
            source,
        })?,
        None => print::data(text.as_bytes())
            .map_err(|source| CommandError::System { doing: "write to standard output", source })?,
    }
    Ok(0)
}

/// The hosts of `--limit`; all without it.
fn limit(inventory: &Inventory, args: &Args) -> Option<HashSet<String>> {
    let pattern = args.limit.as_ref()?;
    Some(inventory.select(pattern, &Span::none()).hosts.into_iter().collect())
}

/// What is shown of an inventory.
struct Shown<'i> {
    inventory: &'i Inventory,
    /// Each group and host has its own variables only.
    export: bool,
    limit: Option<HashSet<String>>,
    /// Texts that are no templates are marked as such, for who reads it again.
    marks: bool,
    /// What `-e` says, which no host's own variable changes.
    extra: Map<String, Json>,
}

impl Shown<'_> {
    /// A host's variables as written: templates are not rendered, secrets not shown.
    fn vars(&self, host: &inventory::Host) -> Json {
        let mut merged = Mapping::new();
        for layer in self.inventory.layers(host) {
            if !self.export || layer.step >= inventory::Step::InventoryHost {
                merged.extend(layer.vars.clone());
            }
        }
        let mut vars = object(json_of(&merged, self.marks));
        vars.extend(self.extra.clone());
        vars.retain(|name, _| !INTERNAL.contains(&name.as_str()));
        Json::Object(vars)
    }

    /// A group's own, those of its files too.
    fn group_vars(&self, group: &inventory::Group) -> Map<String, Json> {
        let mut merged = group.vars.clone();
        group.files.iter().for_each(|file| merged.extend(file.vars.clone()));
        let mut vars = object(json_of(&merged, self.marks));
        vars.retain(|name, _| !INTERNAL.contains(&name.as_str()));
        if group.priority != 1 {
            vars.insert("ansible_group_priority".into(), group.priority.into());
        }
        vars
    }

    fn has(&self, host: &str) -> bool {
        self.limit.as_ref().is_none_or(|limit| limit.contains(host))
    }

    fn hosts_of<'g>(&'g self, group: &'g inventory::Group) -> impl Iterator<Item = &'g inventory::Host> {
        let names = group.hosts.iter().filter(|name| group.name != ALL && self.has(name));
        names.filter_map(|name| self.inventory.hosts.get(name))
    }

    /// As an inventory script prints it.
    fn list(&self) -> Json {
        let mut hostvars = Map::new();
        for host in self.inventory.hosts.values().filter(|host| self.has(&host.name)) {
            let vars = object(self.vars(host));
            if !vars.is_empty() {
                hostvars.insert(host.name.clone(), Json::Object(vars));
            }
        }
        let meta = json!({"hostvars": hostvars, "profile": "inventory_legacy"});
        let mut all = Map::from_iter([("_meta".to_owned(), meta)]);
        for group in self.inventory.groups.values() {
            let mut parts = Map::new();
            let hosts: Vec<&str> = self.hosts_of(group).map(|host| host.name.as_str()).collect();
            add(&mut parts, "children", group.children.keys().cloned().collect::<Vec<_>>().into());
            add(&mut parts, "hosts", hosts.into());
            if self.export {
                add(&mut parts, "vars", Json::Object(self.group_vars(group)));
            }
            add(&mut all, &group.name, Json::Object(parts));
        }
        Json::Object(all)
    }

    /// As a YAML inventory has it: what has been told of a host or group once is not told again.
    fn tree(&self) -> Json {
        let (mut groups, mut hosts) = (HashSet::new(), HashSet::new());
        Json::Object(self.branch(ALL, &mut groups, &mut hosts))
    }

    fn branch(&self, name: &str, groups: &mut HashSet<String>, hosts: &mut HashSet<String>) -> Map<String, Json> {
        let Some(group) = self.inventory.groups.get(name) else { return Map::new() };
        let mut children = Map::new();
        for child in group.children.keys().filter(|child| *child != ALL) {
            if groups.contains(child) {
                children.insert(child.clone(), json!({}));
            } else {
                children.extend(self.branch(child, groups, hosts));
                groups.insert(child.clone());
            }
        }
        let mut own = Map::new();
        for host in self.hosts_of(group) {
            let vars = if hosts.insert(host.name.clone()) { self.vars(host) } else { json!({}) };
            own.insert(host.name.clone(), vars);
        }
        let mut parts = Map::new();
        add(&mut parts, "children", Json::Object(children));
        add(&mut parts, "hosts", Json::Object(own));
        if self.export {
            add(&mut parts, "vars", Json::Object(self.group_vars(group)));
        }
        let mut told = Map::new();
        add(&mut told, name, Json::Object(parts));
        told
    }

    /// `@all:` and below it what is in it.
    fn graph(&self, group: &str, with_vars: bool) -> Result<String, CommandError> {
        if !self.inventory.groups.contains_key(group) {
            return Err(CommandError::NoSuchGroup);
        }
        let mut out = String::new();
        self.leaf(group, 0, with_vars, &mut out);
        Ok(out.trim_end().to_owned())
    }

    fn leaf(&self, name: &str, depth: usize, with_vars: bool, out: &mut String) {
        let Some(group) = self.inventory.groups.get(name) else { return };
        out.push_str(&line(depth, &format!("@{name}:")));
        for child in group.children.keys() {
            self.leaf(child, depth + 1, with_vars, out);
        }
        // A host of no group hangs below `ungrouped` only.
        for host in group.hosts.iter().filter(|_| name != ALL) {
            out.push_str(&line(depth + 1, host));
            if let Some(host) = self.inventory.hosts.get(host).filter(|_| with_vars) {
                leaves(&object(self.vars(host)), depth + 2, out);
            }
        }
        if with_vars {
            leaves(&self.group_vars(group), depth + 1, out);
        }
    }
}

/// Adds what is not empty.
fn add(to: &mut Map<String, Json>, name: &str, part: Json) {
    let is_empty = part.as_object().is_some_and(Map::is_empty) || part.as_array().is_some_and(Vec::is_empty);
    if !is_empty {
        to.insert(name.to_owned(), part);
    }
}

fn object(json: Json) -> Map<String, Json> {
    match json {
        Json::Object(map) => map,
        _ => Map::new(),
    }
}

/// Variables that are Ansible's own, and so nobody's in an inventory.
const INTERNAL: [&str; 33] = [
    "ansible_async_path",
    "ansible_collection_name",
    "ansible_config_file",
    "ansible_dependent_role_names",
    "ansible_diff_mode",
    "ansible_facts",
    "ansible_forks",
    "ansible_inventory_sources",
    "ansible_limit",
    "ansible_play_batch",
    "ansible_play_hosts",
    "ansible_play_hosts_all",
    "ansible_play_role_names",
    "ansible_playbook_python",
    "ansible_role_name",
    "ansible_role_names",
    "ansible_run_tags",
    "ansible_skip_tags",
    "ansible_verbosity",
    "ansible_version",
    "group_names",
    "groups",
    "hostvars",
    "inventory_dir",
    "inventory_file",
    "inventory_hostname",
    "inventory_hostname_short",
    "play_hosts",
    "playbook_dir",
    "role_name",
    "role_names",
    "role_path",
    "role_uuid",
];

fn json_of(vars: &Mapping, marks: bool) -> Json {
    Json::Object(vars.iter().map(|(name, entry)| (name.clone(), json(&entry.value, marks))).collect())
}

/// A value; a text that is no template stands, where it is to be marked, in a dictionary that says so.
fn json(node: &Node, marks: bool) -> Json {
    match &node.data {
        Data::Seq(items) => items.iter().map(|item| json(item, marks)).collect(),
        Data::Map(map) => json_of(map, marks),
        Data::Scalar(_) => match serde_json::to_value(to_yaml(&node.to_value())).unwrap_or_default() {
            Json::String(text) if marks && node.is_unsafe => json!({ "__ansible_unsafe": text }),
            other => other,
        },
    }
}

fn line(depth: usize, text: &str) -> String {
    match depth {
        0 => format!("{text}\n"),
        depth => format!("{}--{text}\n", "  |".repeat(depth)),
    }
}

/// Variables, sorted, as Python prints them.
fn leaves(vars: &Map<String, Json>, depth: usize, out: &mut String) {
    for (name, value) in vars.iter().collect::<BTreeMap<_, _>>() {
        out.push_str(&line(depth, &format!("{{{name} = {}}}", python::plain(value))));
    }
}
