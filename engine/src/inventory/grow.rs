//! What a run adds to an inventory: `add_host` and `group_by`.

use std::collections::BTreeSet;
use std::path::Path;

use super::build::Builder;
use super::{ALL, Inventory, vars_files};
use crate::diagnostic::Diagnostics;
use crate::source::Span;

impl Inventory {
    /// Adds a host, or puts one into more groups. True if anything is new.
    ///
    /// # Errors
    /// What is wrong with the groups then, or with files in `group_vars` and `host_vars`.
    pub fn add_host(&mut self, name: &str, groups: &[String]) -> Result<bool, Diagnostics> {
        let known = self.hosts.contains_key(name);
        let news = groups.iter().any(|group| !self.groups.get(group).is_some_and(|group| group.hosts.contains(name)));
        if known && !news {
            return Ok(false);
        }
        self.rebuild(|builder| {
            for group in std::iter::once(ALL).chain(groups.iter().map(String::as_str)) {
                builder.host(name, group, &Span::none(), Path::new(""));
            }
        })
    }

    /// Puts a host into a group, and that into others. True if anything is new.
    ///
    /// # Errors
    /// As for [`Inventory::add_host`].
    pub fn add_to_group(&mut self, host: &str, group: &str, parents: &[String]) -> Result<bool, Diagnostics> {
        let is_in = |parent: &String| self.groups.get(parent).is_some_and(|parent| parent.children.contains_key(group));
        let there = self.groups.get(group).is_some_and(|group| group.hosts.contains(host));
        if there && parents.iter().filter(|parent| *parent != group).all(is_in) {
            return Ok(false);
        }
        self.rebuild(|builder| {
            builder.host(host, group, &Span::none(), Path::new(""));
            for parent in parents.iter().filter(|parent| *parent != group) {
                builder.child(parent, group, &Span::none());
            }
        })
    }

    fn rebuild(&mut self, add: impl FnOnce(&mut Builder)) -> Result<bool, Diagnostics> {
        let known: BTreeSet<String> = self.hosts.keys().chain(self.groups.keys()).cloned().collect();
        let mut builder = Builder::of(self);
        add(&mut builder);
        let mut diagnostics = Diagnostics::new();
        let built = builder.finish(&mut diagnostics);
        if diagnostics.has_errors() {
            return Err(diagnostics);
        }
        (self.hosts, self.groups) = (built.hosts, built.groups);
        vars_files::read(self, &|name| !known.contains(name), &mut diagnostics);
        if diagnostics.has_errors() { Err(diagnostics) } else { Ok(true) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::{Manner, Request};
    use crate::vault::VaultPasswords;

    fn inventory() -> Inventory {
        let vault = VaultPasswords::none();
        let request =
            Request { sources: &["a,b,".to_owned()], playbook_dir: None, vault: &vault, manner: Manner::Strict };
        crate::inventory::load(request, &mut Diagnostics::new())
    }

    fn groups(inventory: &Inventory, host: &str) -> Vec<String> {
        let host = inventory.host(host).expect("it is there");
        inventory.group_names(host).into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn hosts_and_groups_are_added_once() {
        let mut inventory = inventory();
        assert_eq!(inventory.add_host("c", &["x".into(), "y".into()]).ok(), Some(true));
        assert_eq!(inventory.add_host("c", &["x".into()]).ok(), Some(false));
        assert_eq!(inventory.add_host("d", &[]).ok(), Some(true));
        assert_eq!(inventory.add_host("d", &[]).ok(), Some(false));
        assert_eq!(inventory.add_host("a", &["x".into()]).ok(), Some(true));
        assert_eq!(groups(&inventory, "c"), ["x", "y"]);
        assert_eq!(groups(&inventory, "a"), ["x"]);
        assert_eq!(groups(&inventory, "d"), ["ungrouped"]);
        assert_eq!(inventory.hosts_of("x"), ["c", "a"].into());
    }

    #[test]
    fn a_group_gets_parents() {
        let mut inventory = inventory();
        assert_eq!(inventory.add_to_group("a", "x", &["p".into()]).ok(), Some(true));
        assert_eq!(inventory.add_to_group("a", "x", &["p".into()]).ok(), Some(false));
        assert_eq!(inventory.add_to_group("b", "x", &["all".into()]).ok(), Some(true));
        assert_eq!(groups(&inventory, "a"), ["p", "x"]);
        assert_eq!(inventory.hosts_of("p"), ["a", "b"].into());
        assert_eq!(inventory.hosts_of("all"), ["a", "b"].into());
    }
}
