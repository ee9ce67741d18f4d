//! The inventory: hosts, groups, and the variables that either brings.
//!
//! [`load`] reads sources (YAML, INI, JSON of executable scripts, lists of names, directories of these) and the `group_vars` and `host_vars` beside
//! them; [`Inventory::select`] finds the hosts of a pattern; [`Inventory::layers`] yields a host's variables in the order
//! of Ansible's precedence. Values stay nodes with their places until the variables are needed.

mod build;
mod constructed;
mod grow;
mod ini;
mod literal;
mod load;
mod pattern;
mod range;
mod script;
mod tree;
mod vars_files;
mod words;

use std::path::PathBuf;

use indexmap::{IndexMap, IndexSet};

pub use load::{Manner, Request, load};
pub use pattern::Selection;
pub(crate) use pattern::fnmatch;

use crate::source::Span;
use crate::value::Value;
use crate::yaml::{Entry, Mapping, Node};

/// Names of this machine, which need not be in an inventory.
pub const LOCALHOST: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
/// The group of all hosts.
pub const ALL: &str = "all";
/// The group of the hosts that are in no other.
pub const UNGROUPED: &str = "ungrouped";

/// All hosts and groups.
#[derive(Clone, Debug)]
pub struct Inventory {
    /// In the order in which they were first named.
    pub hosts: IndexMap<String, Host>,
    /// In the order in which they were first named; `all` and `ungrouped` come first.
    pub groups: IndexMap<String, Group>,
    /// This machine by each of its names, where no source names it; it is in no group, yet has the variables of `all`.
    pub implicit: [Host; LOCALHOST.len()],
    /// Where `group_vars` and `host_vars` are, for what is added later.
    files: load::Files,
}

/// A host.
#[derive(Clone, Debug)]
pub struct Host {
    /// Its name in the inventory.
    pub name: String,
    /// Where it was first named.
    pub span: Span,
    /// The source that first named it: `inventory_file`. `None` for the implicit one.
    pub file: Option<PathBuf>,
    /// The groups that list it, without their parents.
    pub groups: IndexSet<String>,
    /// What the sources say about it.
    pub vars: Mapping,
    /// What files in `host_vars` say about it, the stronger later.
    pub files: Vec<VarsFile>,
}

/// A group.
#[derive(Clone, Debug)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// The hosts that it lists itself.
    pub hosts: IndexSet<String>,
    /// The groups in it, and where that is said.
    pub children: IndexMap<String, Span>,
    /// The groups that it is in.
    pub parents: IndexSet<String>,
    /// The longest way to it from `all`, which has 0: the deeper wins.
    pub depth: usize,
    /// `ansible_group_priority`: among groups of one depth the greater wins.
    pub priority: i64,
    /// What the sources say about it.
    pub vars: Mapping,
    /// What files in `group_vars` say about it, the stronger later.
    pub files: Vec<VarsFile>,
}

/// The variables of one file in `group_vars` or `host_vars`.
#[derive(Clone, Debug)]
pub struct VarsFile {
    /// Whose directory it is in.
    pub beside: Beside,
    /// The file.
    pub path: PathBuf,
    /// What it says.
    pub vars: Mapping,
}

/// Whose `group_vars` or `host_vars` a file is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Beside {
    /// The n-th inventory source's.
    Inventory(usize),
    /// The playbook's, which is stronger.
    Playbook,
}

/// Variables of a host that come from one place, and the step of Ansible's precedence they stand on.
#[derive(Clone, Copy, Debug)]
pub struct Layer<'i> {
    /// The step. All of these are below facts.
    pub step: Step,
    /// The group or host.
    pub of: &'i str,
    /// The variables.
    pub vars: &'i Mapping,
}

/// The steps of precedence that the inventory fills, the weaker first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// `all`, in a source.
    InventoryAll,
    /// Another group, in a source.
    InventoryGroup,
    /// `group_vars/all`.
    GroupVarsAll,
    /// Another file in `group_vars`.
    GroupVars,
    /// The host, in a source.
    InventoryHost,
    /// `host_vars`.
    HostVars,
}

impl Inventory {
    /// Gives all hosts variables that are weaker than whatever a source or file says.
    pub fn assume(&mut self, vars: &IndexMap<String, String>) {
        let span = Span::none();
        for (name, value) in vars {
            let entry = || Entry { key: span.clone(), value: Node::text(value, &span) };
            if let Some(all) = self.groups.get_mut(ALL) {
                all.vars.entry(name.clone()).or_insert_with(entry);
            }
        }
    }

    /// A host by name; the names of this machine always have one.
    pub fn host(&self, name: &str) -> Option<&Host> {
        self.hosts.get(name).or_else(|| self.implicit.iter().find(|host| host.name == name))
    }

    /// The magic variable `groups`.
    pub fn groups_value(&self) -> Value {
        let hosts = |group: &String| {
            Value::List(self.hosts_of(group).into_iter().map(|name| Value::Str(name.into())).collect())
        };
        Value::Map(self.groups.keys().map(|group| (group.clone(), hosts(group))).collect())
    }

    /// The hosts of a group and of the groups in it, as Ansible orders them: level by level.
    pub fn hosts_of(&self, group: &str) -> IndexSet<&str> {
        let mut found = IndexSet::new();
        let mut seen = IndexSet::from([group]);
        let mut next = 0;
        while let Some(group) = seen.get_index(next).and_then(|name| self.groups.get(*name)) {
            found.extend(group.hosts.iter().map(String::as_str));
            seen.extend(group.children.keys().map(String::as_str));
            next += 1;
        }
        found
    }

    /// The groups of a host and their parents without `all`, the weaker first: by depth, priority, name.
    pub fn groups_of(&self, host: &Host) -> Vec<&Group> {
        let mut names: IndexSet<&str> = host.groups.iter().map(String::as_str).collect();
        let mut next = 0;
        while let Some(group) = names.get_index(next).and_then(|name| self.groups.get(*name)) {
            names.extend(group.parents.iter().map(String::as_str));
            next += 1;
        }
        names.shift_remove(ALL);
        let mut groups: Vec<&Group> = names.iter().filter_map(|name| self.groups.get(*name)).collect();
        groups.sort_by_key(|group| (group.depth, group.priority, &group.name));
        groups
    }

    /// The magic variable `group_names`: sorted, without `all`.
    pub fn group_names(&self, host: &Host) -> Vec<&str> {
        let mut names: Vec<&str> = self.groups_of(host).iter().map(|group| group.name.as_str()).collect();
        names.sort_unstable();
        names
    }

    /// A host's variables, the weaker first.
    pub fn layers<'i>(&'i self, host: &'i Host) -> Vec<Layer<'i>> {
        let mut groups: Vec<&Group> = self.groups.get(ALL).into_iter().collect();
        groups.extend(self.groups_of(host));
        let mut layers = Vec::new();
        for group in &groups {
            let step = if group.name == ALL { Step::InventoryAll } else { Step::InventoryGroup };
            layers.push(Layer { step, of: &group.name, vars: &group.vars });
        }
        let mut files: Vec<_> =
            groups.iter().flat_map(|group| group.files.iter().map(move |file| (*group, file))).collect();
        // Stable: within one directory the order of the groups holds.
        files.sort_by_key(|(group, file)| (group.name != ALL, file.beside));
        for (group, file) in files {
            let step = if group.name == ALL { Step::GroupVarsAll } else { Step::GroupVars };
            layers.push(Layer { step, of: &group.name, vars: &file.vars });
        }
        layers.push(Layer { step: Step::InventoryHost, of: &host.name, vars: &host.vars });
        layers.extend(host.files.iter().map(|file| Layer { step: Step::HostVars, of: &host.name, vars: &file.vars }));
        layers.retain(|layer| !layer.vars.is_empty());
        layers
    }
}

#[cfg(test)]
mod tests;
