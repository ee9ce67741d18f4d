//! The variables of a host during a run, as templates see them.

use std::sync::{Arc, LazyLock, PoisonError, RwLock};

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
    /// `include_vars`.
    pub included: Arc<Map>,
    /// `set_fact` and `register`.
    pub set: Arc<Map>,
    /// `inventory_hostname` and its like.
    pub magic: Arc<Map>,
    /// How it is reached, where nothing says it: weaker than all.
    pub assumed: Arc<Map>,
}

impl HostVars {
    /// The variables that the inventory gives a host.
    pub(super) fn of(inventory: &Inventory, host: &Host, merge_dictionaries: bool) -> Self {
        let mut merged = Map::new();
        for layer in inventory.layers(host) {
            let layer = layer.vars.iter().map(|(name, entry)| (name.clone(), entry.value.to_value()));
            match merge_dictionaries {
                true => merge(&mut merged, layer),
                false => merged.extend(layer),
            }
        }
        let short = host.name.split('.').next().unwrap_or(&host.name);
        let groups = inventory.group_names(host).into_iter().map(text).collect();
        let magic = Map::from_iter([
            ("inventory_hostname".to_owned(), text(&host.name)),
            ("inventory_hostname_short".to_owned(), text(short)),
            ("group_names".to_owned(), Value::List(groups)),
        ]);
        let address = ["ansible_host", "ansible_ssh_host"].map(|name| (name.to_owned(), text(&host.name)));
        let assumed = Arc::new(Map::from_iter(address));
        Self { inventory: Arc::new(merged), magic: Arc::new(magic), assumed, ..Self::default() }
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

/// The stronger over the weaker, dictionaries into dictionaries: Ansible's `hash_behaviour = merge`.
fn merge(weaker: &mut Map, stronger: impl IntoIterator<Item = (String, Value)>) {
    for (name, value) in stronger {
        match (weaker.get_mut(&name), value) {
            (Some(Value::Map(below)), Value::Map(above)) => merge(below, above),
            (_, value) => drop(weaker.insert(name, value)),
        }
    }
}

fn text(text: impl Into<String>) -> Value {
    Value::Str(text.into())
}

/// All hosts' variables.
#[derive(Default)]
pub(super) struct Fleet {
    /// By name, in the inventory's order. All views look at these, and so see what has become known since they were made:
    /// a copy for each change would cost as much as there are hosts.
    hosts: RwLock<IndexMap<String, HostVars>>,
    /// `-e`.
    pub extra: Arc<Map>,
    /// Magic variables that all hosts share: `groups`, `playbook_dir`.
    pub shared: Arc<Map>,
    /// Dictionaries are merged into the weaker ones of their name.
    merges: bool,
}

impl Fleet {
    /// As it is at the beginning.
    pub(super) fn new(hosts: IndexMap<String, HostVars>, extra: Arc<Map>, shared: Arc<Map>, merges: bool) -> Self {
        Self { hosts: RwLock::new(hosts), extra, shared, merges }
    }

    /// A host's variables as they are now.
    pub(super) fn get(&self, host: &str) -> Option<HostVars> {
        self.hosts.read().unwrap_or_else(PoisonError::into_inner).get(host).cloned()
    }

    /// Changes a host's variables; nothing for one that there is not.
    pub(super) fn change(&self, host: &str, change: impl FnOnce(&mut HostVars)) {
        self.hosts.write().unwrap_or_else(PoisonError::into_inner).get_mut(host).map(change);
    }

    /// All hosts.
    pub(super) fn names(&self) -> Vec<String> {
        self.hosts.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }
}

/// The variables that a step has from where it stands, by their strength, each the strongest first.
#[derive(Clone, Default)]
pub(super) struct Layers {
    /// Stronger than `set_fact`: parameters of includes and roles.
    pub strong: Vec<Arc<Map>>,
    /// Of the task, its blocks, roles and play.
    pub own: Vec<Arc<Map>>,
    /// Weaker than the inventory: defaults of roles.
    pub weak: Vec<Arc<Map>>,
}

/// The variables of one host in one task.
#[derive(Clone)]
pub(super) struct View {
    /// The strongest first.
    layers: Vec<Arc<Map>>,
    fleet: Arc<Fleet>,
}

impl View {
    /// In the order of Ansible's "variable precedence".
    pub(super) fn new(host: &HostVars, fleet: &Arc<Fleet>, magic: &[Arc<Map>], step: &Layers) -> Self {
        let mut layers = magic.to_vec();
        layers.extend([&host.magic, &fleet.shared, &fleet.extra].map(Arc::clone));
        layers.extend(step.strong.iter().cloned());
        layers.extend([&host.set, &host.included].map(Arc::clone));
        layers.extend(step.own.iter().cloned());
        layers.extend([&host.facts, &host.inventory].map(Arc::clone));
        layers.extend(step.weak.iter().cloned());
        layers.retain(|layer| !layer.is_empty());
        if fleet.merges {
            layers.insert(0, Arc::new(merged(&layers)));
        }
        Self { layers, fleet: Arc::clone(fleet) }
    }

    /// As a task sees its own host: with what is assumed of it, which is weaker than all. Neither other hosts nor connections
    /// see that.
    #[must_use]
    pub(super) fn assuming(mut self, host: &HostVars) -> Self {
        self.layers.push(Arc::clone(&host.assumed));
        self
    }

    /// The variables of a step as another host has them.
    pub(super) fn of(&self, host: &str, step: &Layers) -> Self {
        Self::new(&self.fleet.get(host).unwrap_or_default(), &self.fleet, &[], step)
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

/// The dictionaries that stand in more than one layer; where the strongest is none, it alone counts.
fn merged(layers: &[Arc<Map>]) -> Map {
    let mut all = Map::new();
    for (at, layer) in layers.iter().enumerate() {
        for (name, value) in layer.iter().filter(|(_, value)| matches!(value, Value::Map(_))) {
            let stronger = layers[..at].iter().any(|layer| layer.contains_key(name));
            let weaker = || layers[at + 1..].iter().rev().filter_map(|layer| layer.get(name));
            if stronger || weaker().next().is_none() {
                continue;
            }
            let mut one = Map::new();
            let values = weaker().chain(std::iter::once(value));
            values.for_each(|value| merge(&mut one, [(name.clone(), value.clone())]));
            all.extend(one);
        }
    }
    all
}

impl Lookup for View {
    fn get(&self, name: &str) -> Option<&Value> {
        // Without facts it is empty, not undefined: roles ask whether they have been gathered.
        static NO_FACTS: LazyLock<Value> = LazyLock::new(|| Value::Map(Map::new()));
        let found = self.layers.iter().find_map(|layer| layer.get(name));
        found.or_else(|| (name == "ansible_facts").then_some(&*NO_FACTS))
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
        self.fleet.names()
    }
    fn host(&self, name: &str) -> Option<Arc<dyn Lookup>> {
        let host = self.fleet.get(name)?;
        Some(Self::new(&host, &self.fleet, &[], &Layers::default()).shared())
    }
}

/// Some variables over all others.
pub(super) struct Over {
    pub map: Map,
    pub below: Arc<dyn Lookup>,
}

impl Lookup for Over {
    fn get(&self, name: &str) -> Option<&Value> {
        self.map.get(name).or_else(|| self.below.get(name))
    }
    fn names(&self) -> Vec<String> {
        self.map.keys().cloned().chain(self.below.names()).collect()
    }
    fn has_hosts(&self) -> bool {
        self.below.has_hosts()
    }
    fn hosts(&self) -> Vec<String> {
        self.below.hosts()
    }
    fn host(&self, name: &str) -> Option<Arc<dyn Lookup>> {
        self.below.host(name)
    }
}
