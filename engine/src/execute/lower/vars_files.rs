//! Which of the files of `vars_files` a host has.

use std::path::Path;
use std::sync::Arc;

use super::{Lower, mapping, show};
use crate::compile::PlayPlan;
use crate::compile::vars_files::{Chosen, places};
use crate::diagnostic::Diagnostics;
use crate::execute::vars::{Fleet, HostVars, Layers, View};
use crate::playbook::Field;
use crate::source::Source;
use crate::template::Lookup;
use crate::value::Map;
use crate::yaml::{self, Node};

impl Lower<'_> {
    /// What a step has from where it stands, with the files that this host chooses. As in Ansible, their names see what is
    /// weaker than they are, and not what was set or registered.
    pub(in crate::execute) fn with_chosen(
        &self,
        plan: &PlayPlan,
        host: &HostVars,
        fleet: &Arc<Fleet>,
        magic: &[Arc<Map>],
        layers: &Layers,
    ) -> Layers {
        let mut layers = layers.clone();
        let seen = HostVars { set: Arc::default(), included: Arc::default(), ..host.clone() };
        let own = layers.own.last().cloned().into_iter().collect();
        let weaker = Layers { strong: Vec::new(), own, weak: layers.weak.clone() };
        let vars = View::new(&seen, fleet, magic, &weaker).shared();
        // The variables of the play stand last, and above them the files, the weakest first.
        for (number, item) in plan.vars_files.chosen.iter().enumerate() {
            let below = 1 + item.above + number;
            let found = self.choose(item, plan, &vars).unwrap_or_default();
            layers.own.insert(layers.own.len().saturating_sub(below), found);
        }
        layers
    }

    /// The first file that is there; none if a name reads what is not defined.
    fn choose(&self, item: &Chosen, plan: &PlayPlan, vars: &Arc<dyn Lookup>) -> Option<Arc<Map>> {
        for name in &item.names {
            let name = match &name.value {
                Field::Known(name) => name.clone(),
                Field::Template(template) => show(&self.render(template, vars).ok()?),
            };
            let found = places(&plan.dir, &name);
            let candidate = |place| item.candidates.iter().find(|(path, _)| path == place);
            if let Some((_, node)) = found.iter().find_map(candidate) {
                return node.as_map().map(|map| Arc::new(mapping(map)));
            }
            // A name that comes from elsewhere whole, or by way of another variable, could not be foreseen.
            if let Some(node) = found.iter().filter(|place| place.is_file()).find_map(|place| self.read(place)) {
                return node.as_map().map(|map| Arc::new(mapping(map)));
            }
        }
        None
    }

    fn read(&self, path: &Path) -> Option<Node> {
        let source = Source::read(path).ok()?;
        yaml::load(&source, self.vault, &mut Diagnostics::new())
    }
}
