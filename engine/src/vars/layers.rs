//! The stack of layers.

use std::sync::Arc;

use crate::template::Lookup;
use crate::value::{Map, Value};

/// Where a variable comes from; a later one wins. The order is Ansible's:
/// <https://docs.ansible.com/ansible/latest/playbook_guide/playbooks_variables.html#understanding-variable-precedence>.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// The defaults of roles.
    RoleDefaults,
    /// The inventory's group `all`.
    InventoryAll,
    /// Other groups in the inventory, by depth, priority and name.
    InventoryGroup,
    /// `group_vars/all` beside the inventory.
    InventoryGroupVarsAll,
    /// `group_vars/all` beside the playbook.
    PlaybookGroupVarsAll,
    /// `group_vars/*` beside the inventory.
    InventoryGroupVars,
    /// `group_vars/*` beside the playbook.
    PlaybookGroupVars,
    /// The host's own in the inventory.
    InventoryHost,
    /// `host_vars/*` beside the inventory.
    InventoryHostVars,
    /// `host_vars/*` beside the playbook.
    PlaybookHostVars,
    /// Gathered facts.
    Facts,
    /// The play's `vars` and prompts.
    PlayVars,
    /// The play's `vars_files`.
    VarsFiles,
    /// The `vars` of roles, as other roles and the play see them.
    ExportedRoleVars,
    /// The `vars` of the role the task is in.
    RoleVars,
    /// The `vars` of blocks, outer ones first.
    BlockVars,
    /// The task's `vars`.
    TaskVars,
    /// `include_vars`.
    IncludeVars,
    /// `set_fact` and `register`.
    SetFact,
    /// The parameters of the role the task is in.
    RoleParams,
    /// The `vars` of an include.
    IncludeParams,
    /// `-e`.
    Extra,
    /// The loop's item and what the engine itself says: `inventory_hostname`, `groups`.
    Magic,
}

/// The other hosts' variables: what `hostvars` shows.
pub trait Hosts: Send + Sync {
    /// The names of all hosts.
    fn names(&self) -> Vec<String>;

    /// One host's variables.
    fn vars(&self, host: &str) -> Option<Arc<dyn Lookup>>;
}

/// The variables of one host for one task. Cloning copies pointers.
#[derive(Clone, Default)]
pub struct Layers {
    /// Ascending by layer; within a layer a later map wins.
    stack: Vec<(Layer, Arc<Map>)>,
    hosts: Option<Arc<dyn Hosts>>,
}

impl Layers {
    /// These and one more map, which wins over others of the same layer.
    #[must_use]
    pub fn with(mut self, layer: Layer, map: Arc<Map>) -> Self {
        if !map.is_empty() {
            let at = self.stack.partition_point(|(l, _)| *l <= layer);
            self.stack.insert(at, (layer, map));
        }
        self
    }

    /// These and the other hosts'.
    #[must_use]
    pub fn with_hosts(mut self, hosts: Arc<dyn Hosts>) -> Self {
        self.hosts = Some(hosts);
        self
    }

    /// Sets one variable in a layer, copying that layer's last map if somebody else holds it, too.
    pub fn set(&mut self, layer: Layer, name: impl Into<String>, value: Value) {
        let end = self.stack.partition_point(|(l, _)| *l <= layer);
        match self.stack[..end].last_mut() {
            Some((found, map)) if *found == layer => {
                Arc::make_mut(map).insert(name.into(), value);
            }
            _ => self.stack.insert(end, (layer, Arc::new(Map::from([(name.into(), value)])))),
        }
    }

    /// Drops a layer: facts after `meta: clear_facts`.
    pub fn clear(&mut self, layer: Layer) {
        self.stack.retain(|(l, _)| *l != layer);
    }

    /// Where a variable's value comes from.
    pub fn origin(&self, name: &str) -> Option<Layer> {
        self.stack.iter().rev().find(|(_, map)| map.contains_key(name)).map(|(layer, _)| *layer)
    }
}

impl Lookup for Layers {
    fn get(&self, name: &str) -> Option<&Value> {
        self.stack.iter().rev().find_map(|(_, map)| map.get(name))
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.stack.iter().flat_map(|(_, map)| map.keys().cloned()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    fn has_hosts(&self) -> bool {
        self.hosts.is_some()
    }

    fn hosts(&self) -> Vec<String> {
        self.hosts.as_ref().map_or_else(Vec::new, |h| h.names())
    }

    fn host(&self, name: &str) -> Option<Arc<dyn Lookup>> {
        self.hosts.as_ref()?.vars(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, i64)]) -> Arc<Map> {
        Arc::new(pairs.iter().map(|(k, v)| ((*k).to_owned(), Value::Int(*v))).collect())
    }

    #[test]
    fn a_later_layer_wins_whatever_the_order_of_pushing() {
        let vars = Layers::default()
            .with(Layer::Extra, map(&[("a", 3)]))
            .with(Layer::RoleDefaults, map(&[("a", 1), ("b", 1)]))
            .with(Layer::PlayVars, map(&[("a", 2), ("b", 2)]))
            .with(Layer::RoleDefaults, map(&[("c", 4)]))
            .with(Layer::RoleDefaults, map(&[("c", 5)]));
        assert_eq!(vars.get("a"), Some(&Value::Int(3)));
        assert_eq!(vars.get("b"), Some(&Value::Int(2)));
        assert_eq!(vars.get("c"), Some(&Value::Int(5)));
        assert_eq!(vars.origin("b"), Some(Layer::PlayVars));
        assert_eq!(vars.names(), ["a", "b", "c"]);
    }

    #[test]
    fn setting_leaves_other_holders_alone() {
        let shared = map(&[("a", 1)]);
        let mut vars = Layers::default().with(Layer::SetFact, Arc::clone(&shared));
        let before = vars.clone();
        vars.set(Layer::SetFact, "a", Value::Int(2));
        vars.set(Layer::Facts, "f", Value::Int(7));
        assert_eq!(vars.get("a"), Some(&Value::Int(2)));
        assert_eq!(before.get("a"), Some(&Value::Int(1)));
        vars.clear(Layer::Facts);
        assert_eq!(vars.get("f"), None);
    }
}
