//! Putting an inventory together from what its sources say.

use std::path::{Path, PathBuf};

use indexmap::{IndexMap, IndexSet};

use super::{ALL, Group, Host, Inventory, UNGROUPED};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::source::Span;
use crate::yaml::{Entry, Mapping, Node, Plain};

/// An inventory that sources are still added to.
#[derive(Clone)]
pub(super) struct Builder {
    hosts: IndexMap<String, Host>,
    groups: IndexMap<String, Group>,
}

impl Builder {
    pub(super) fn new() -> Self {
        let mut builder = Self { hosts: IndexMap::new(), groups: IndexMap::new() };
        builder.group(ALL);
        builder.group(UNGROUPED);
        builder.child(ALL, UNGROUPED, &Span::none());
        builder
    }

    /// What was put together before.
    pub(super) fn of(inventory: &Inventory) -> Self {
        Self { hosts: inventory.hosts.clone(), groups: inventory.groups.clone() }
    }

    /// The group with this name, made if need be.
    pub(super) fn group(&mut self, name: &str) -> &mut Group {
        self.groups.entry(name.to_owned()).or_insert_with(|| Group {
            name: name.to_owned(),
            hosts: IndexSet::new(),
            children: IndexMap::new(),
            parents: IndexSet::new(),
            depth: 0,
            priority: 1,
            vars: Mapping::new(),
            files: Vec::new(),
        })
    }

    /// Whether a source before this one declared a group by giving it hosts or groups.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.groups.get(name).is_some_and(|group| !group.hosts.is_empty() || !group.children.is_empty())
    }

    /// The first group whose name is not that of a variable.
    pub(super) fn odd_group(&self) -> Option<&str> {
        let fits = |at: usize, c: char| c.is_ascii_alphabetic() || c == '_' || (at > 0 && c.is_ascii_digit());
        let odd = |name: &&String| !name.chars().enumerate().all(|(at, c)| fits(at, c));
        self.groups.keys().find(odd).map(String::as_str)
    }

    /// Puts a group into a group.
    pub(super) fn child(&mut self, parent: &str, child: &str, span: &Span) {
        self.group(parent).children.entry(child.to_owned()).or_insert_with(|| span.clone());
        self.group(child).parents.insert(parent.to_owned());
    }

    /// Puts a host into a group.
    pub(super) fn host(&mut self, name: &str, group: &str, span: &Span, file: &Path) -> &mut Host {
        self.group(group).hosts.insert(name.to_owned());
        let host = self.hosts.entry(name.to_owned()).or_insert_with(|| Host {
            name: name.to_owned(),
            span: span.clone(),
            file: Some(file.to_owned()),
            groups: IndexSet::new(),
            vars: Mapping::new(),
            files: Vec::new(),
        });
        host.groups.insert(group.to_owned());
        host
    }

    /// Adds variables of a host that is there.
    pub(super) fn vars_of(&mut self, name: &str, vars: Mapping) {
        if let Some(host) = self.hosts.get_mut(name) {
            host.vars.extend(vars);
        }
    }

    /// Ties what hangs loose to `all` and `ungrouped`, and finds how deep each group is.
    pub(super) fn finish(mut self, diagnostics: &mut Diagnostics) -> Inventory {
        self.adopt();
        if let Some(cycle) = self.cycle() {
            diagnostics.push(cycle);
            self.groups.values_mut().for_each(|group| group.children.clear());
            self.groups.values_mut().for_each(|group| group.parents.clear());
            self.adopt();
        }
        self.settle_ungrouped();
        self.deepen(ALL, 0);
        for group in self.groups.values_mut() {
            group.priority = take_priority(group, diagnostics);
            if let Some(host) = self.hosts.get(&group.name) {
                let message = format!("`{}` is the name of both a group and a host", group.name);
                let told = format!("Found both group and host with same name: {}", group.name);
                diagnostics.push(Diagnostic::warning(message).at(&host.span).told_alone(told));
            }
        }
        Inventory {
            hosts: self.hosts,
            groups: self.groups,
            implicit: super::LOCALHOST.map(implicit),
            files: Default::default(),
        }
    }

    /// Puts each group that is in no other into `all`.
    fn adopt(&mut self) {
        let orphan = |group: &&Group| group.name != ALL && group.parents.is_empty();
        let orphans: Vec<String> = self.groups.values().filter(orphan).map(|group| group.name.clone()).collect();
        orphans.iter().for_each(|name| self.child(ALL, name, &Span::none()));
    }

    /// Takes out the links of a cycle, if there is one, and tells of it.
    pub(super) fn untie(&mut self) -> Option<Diagnostic> {
        let (cycle, told) = {
            let cycle = self.cycle_of()?;
            (cycle.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(), self.describe_cycle(&cycle))
        };
        for (at, name) in cycle.iter().enumerate() {
            let child = &cycle[(at + 1) % cycle.len()];
            self.group(name).children.shift_remove(child);
            self.group(child).parents.shift_remove(name);
        }
        Some(told)
    }

    /// Forgets all but the hosts that are in no group: what stays where no source could be read.
    pub(super) fn forget_groups(&mut self) {
        self.groups.retain(|name, _| name == ALL || name == UNGROUPED);
        let ungrouped = self.groups[UNGROUPED].hosts.clone();
        self.hosts.retain(|name, _| ungrouped.contains(name));
        for host in self.hosts.values_mut() {
            host.groups.retain(|group| group == UNGROUPED);
        }
    }

    /// A host is in `ungrouped` if, and only if, no other group but `all` has it.
    fn settle_ungrouped(&mut self) {
        for host in self.hosts.values_mut() {
            let grouped = host.groups.iter().any(|group| group != ALL && group != UNGROUPED);
            let ungrouped = &mut self.groups[UNGROUPED].hosts;
            if grouped {
                host.groups.shift_remove(UNGROUPED);
                ungrouped.shift_remove(&host.name);
            } else {
                host.groups.insert(UNGROUPED.to_owned());
                ungrouped.insert(host.name.clone());
            }
        }
    }

    fn deepen(&mut self, name: &str, depth: usize) {
        let group = &mut self.groups[name];
        if depth > 0 && group.depth >= depth {
            return;
        }
        group.depth = depth;
        let children: Vec<String> = group.children.keys().cloned().collect();
        children.iter().for_each(|child| self.deepen(child, depth + 1));
    }

    fn cycle(&self) -> Option<Diagnostic> {
        self.cycle_of().map(|cycle| self.describe_cycle(&cycle))
    }

    fn cycle_of(&self) -> Option<Vec<&str>> {
        let mut done = IndexSet::new();
        self.groups.keys().find_map(|name| self.walk(name, &mut Vec::new(), &mut done))
    }

    /// Looks for a way from a group back to one on the way to it.
    fn walk<'b>(&'b self, name: &'b str, way: &mut Vec<&'b str>, done: &mut IndexSet<&'b str>) -> Option<Vec<&'b str>> {
        if let Some(at) = way.iter().position(|earlier| *earlier == name) {
            return Some(way[at..].to_vec());
        }
        if done.contains(name) {
            return None;
        }
        way.push(name);
        let found = self.groups.get(name)?.children.keys().find_map(|child| self.walk(child, way, done));
        way.pop();
        done.insert(name);
        found
    }

    fn describe_cycle(&self, cycle: &[&str]) -> Diagnostic {
        let closed: Vec<&str> = cycle.iter().chain(cycle.first()).copied().collect();
        let message = format!("the group `{}` contains itself: {}", closed[0], closed.join(" → "));
        let told = match cycle {
            [_] => "can't add group to itself".to_owned(),
            _ => format!(
                "Adding group '{}' as child to '{}' creates a recursive dependency loop.",
                cycle[0],
                cycle[cycle.len() - 1]
            ),
        };
        closed.windows(2).fold(Diagnostic::error(message).told(told), |diagnostic, link| {
            let span = &self.groups[link[0]].children[link[1]];
            diagnostic.label(span, format!("`{}` is put into `{}` here", link[1], link[0]))
        })
    }
}

/// Takes the priority out of a group's variables, for it is not one of its hosts' variables.
fn take_priority(group: &mut Group, diagnostics: &mut Diagnostics) -> i64 {
    let Some(entry) = group.vars.shift_remove("ansible_group_priority") else { return group.priority };
    let resolved = entry.value.as_scalar().map(crate::yaml::Scalar::resolve);
    let number = match resolved {
        Some(Plain::Int(n)) => Some(n),
        Some(Plain::Str(text)) => text.parse().ok(),
        _ => None,
    };
    number.unwrap_or_else(|| {
        let message =
            format!("`ansible_group_priority` must be a whole number, and this is {}", entry.value.describe());
        diagnostics.push(Diagnostic::error(message).at(&entry.value.span));
        1
    })
}

/// This machine by one of its names: reached without a connection.
fn implicit(name: &str) -> Host {
    let span = Span::none();
    let local = Entry { key: span.clone(), value: Node::text("local", &span) };
    Host {
        name: name.to_owned(),
        file: None::<PathBuf>,
        groups: IndexSet::new(),
        vars: Mapping::from([("ansible_connection".to_owned(), local)]),
        files: Vec::new(),
        span,
    }
}
