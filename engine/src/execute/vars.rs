//! The variables of a host during a run, as templates see them.

use std::sync::Arc;

use indexmap::IndexMap;

use crate::inventory::{Host, Inventory};
use crate::template::Lookup;
use crate::value::{Map, Value};

/// What a host brings, the parts from weak to strong. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct HostVars {
    /// Of the inventory, merged.
    pub inventory: Arc<Map>,
    /// Gathered.
    pub facts: Arc<Map>,
    /// `set_fact` and `register`.
    pub set: Arc<Map>,
    /// `inventory_hostname` and its like.
    pub magic: Arc<Map>,
}

impl HostVars {
    /// The variables that the inventory gives a host.
    pub(super) fn of(inventory: &Inventory, host: &Host) -> Self {
        let mut merged = Map::new();
        for layer in inventory.layers(host) {
            merged.extend(layer.vars.iter().map(|(name, entry)| (name.clone(), entry.value.to_value())));
        }
        let short = host.name.split('.').next().unwrap_or(&host.name);
        let groups = inventory.group_names(host).into_iter().map(text).collect();
        let magic = Map::from_iter([
            ("inventory_hostname".to_owned(), text(&host.name)),
            ("inventory_hostname_short".to_owned(), text(short)),
            ("group_names".to_owned(), Value::List(groups)),
        ]);
        Self { inventory: Arc::new(merged), magic: Arc::new(magic), ..Self::default() }
    }

    /// Keeps gathered facts: each by its name, and all in `ansible_facts` without the prefix.
    pub(super) fn add_facts(&mut self, facts: Map) {
        let mut all = Map::clone(&self.facts);
        let mut bare = match all.shift_remove("ansible_facts") {
            Some(Value::Map(map)) => map,
            _ => Map::new(),
        };
        for (name, value) in facts {
            bare.insert(name.strip_prefix("ansible_").unwrap_or(&name).to_owned(), value.clone());
            all.insert(name, value);
        }
        all.insert("ansible_facts".into(), Value::Map(bare));
        self.facts = Arc::new(all);
    }

    /// Sets a variable as `set_fact` and `register` do.
    pub(super) fn set(&mut self, name: &str, value: Value) {
        Arc::make_mut(&mut self.set).insert(name.into(), value);
    }
}

fn text(text: impl Into<String>) -> Value {
    Value::Str(text.into())
}

/// All hosts' variables at one moment.
#[derive(Clone, Default)]
pub(super) struct Fleet {
    /// By name, in the inventory's order.
    pub hosts: IndexMap<String, HostVars>,
    /// `-e`.
    pub extra: Arc<Map>,
    /// Magic variables that all hosts share: `groups`, `playbook_dir`.
    pub shared: Arc<Map>,
}

/// The variables of one host in one task.
#[derive(Clone)]
pub(super) struct View {
    /// The strongest first.
    layers: Vec<Arc<Map>>,
    fleet: Arc<Fleet>,
}

impl View {
    /// `tasks` are the variables of the task, its blocks and its play, the strongest first (Ansible's "variable
    /// precedence").
    pub(super) fn new(host: &HostVars, fleet: &Arc<Fleet>, magic: &Arc<Map>, tasks: &[Arc<Map>]) -> Self {
        let mut layers = vec![
            Arc::clone(magic),
            Arc::clone(&host.magic),
            Arc::clone(&fleet.shared),
            Arc::clone(&fleet.extra),
            Arc::clone(&host.set),
        ];
        layers.extend(tasks.iter().cloned());
        layers.extend([Arc::clone(&host.facts), Arc::clone(&host.inventory)]);
        layers.retain(|layer| !layer.is_empty());
        Self { layers, fleet: Arc::clone(fleet) }
    }

    /// With variables that are stronger than all others: an item, a result.
    #[must_use]
    pub(super) fn with(mut self, magic: Map) -> Self {
        self.layers.insert(0, Arc::new(magic));
        self
    }

    /// As templates want it.
    pub(super) fn shared(self) -> Arc<dyn Lookup> {
        Arc::new(self)
    }
}

impl Lookup for View {
    fn get(&self, name: &str) -> Option<&Value> {
        self.layers.iter().find_map(|layer| layer.get(name))
    }
    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.layers.iter().flat_map(|layer| layer.keys().cloned()).collect();
        names.sort();
        names.dedup();
        names
    }
    fn has_hosts(&self) -> bool {
        true
    }
    fn hosts(&self) -> Vec<String> {
        self.fleet.hosts.keys().cloned().collect()
    }
    fn host(&self, name: &str) -> Option<Arc<dyn Lookup>> {
        let host = self.fleet.hosts.get(name)?;
        Some(Self::new(host, &self.fleet, &Arc::default(), &[]).shared())
    }
}
