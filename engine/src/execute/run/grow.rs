//! Hosts and groups that the run itself adds: `add_host`, `group_by`, `meta: refresh_inventory`.
//!
//! They are in `groups` and `hostvars` from the next step on. The plays that are still to come are compiled anew for the hosts
//! that there are then. Until such a step is concluded on all hosts, none plans beyond it.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::Value as Json;

use super::Run;
use super::host::HostRun;
use crate::compile;
use crate::diagnostic::{Diagnostics, Paint};
use crate::execute::json::from_json;
use crate::execute::vars::{Fleet, HostVars};
use crate::inventory;
use crate::value::Map;

/// What was added to the inventory, in order.
#[derive(Clone)]
pub(super) enum Added {
    Host { name: String, groups: Vec<String>, vars: Map },
    Group { host: String, group: String, parents: Vec<String> },
}

impl Run {
    /// Adds what a step came to: its answer, and its parameters, which still have their secrets. True if anything is new.
    pub(super) fn add(
        &mut self,
        at: usize,
        index: usize,
        answer: &serde_json::Map<String, Json>,
        params: &Json,
    ) -> Result<bool, String> {
        let text = |value: &Json| value.as_str().map(str::to_owned);
        let texts = |value: &Json| value.as_array().into_iter().flatten().filter_map(text).collect::<Vec<_>>();
        let added = match answer.get("add_host") {
            Some(host) => {
                let mut vars = Map::new();
                for (name, value) in host["host_vars"].as_object().into_iter().flatten() {
                    let given = params.get(name).unwrap_or(value);
                    vars.insert(name.clone(), from_json(given.clone()));
                }
                let Some(name) = text(&host["host_name"]) else { return Ok(false) };
                Added::Host { name, groups: texts(&host["groups"]), vars }
            }
            None => {
                let Some(group) = answer.get("add_group").and_then(text) else { return Ok(false) };
                let parents = answer.get("parent_groups").map(texts).unwrap_or_default();
                Added::Group { host: self.hosts[at].name.clone(), group, parents }
            }
        };
        let wrong = |diagnostics: Diagnostics| diagnostics.render(Paint::Plain).trim_end().to_owned();
        let news = self.put(&added).map_err(wrong)?;
        self.added.push(added);
        if news {
            self.grown = self.grown.max(Some(index));
        }
        Ok(news)
    }

    fn put(&mut self, added: &Added) -> Result<bool, Diagnostics> {
        let inventory = Arc::make_mut(&mut self.inventory);
        match added {
            Added::Host { name, groups, vars } => {
                let of_group = inventory.add_host(name, groups)?;
                let known = self.added_vars.entry(name.clone()).or_default();
                let news = vars.iter().any(|(name, value)| known.get(name) != Some(value));
                known.extend(vars.iter().map(|(name, value)| (name.clone(), value.clone())));
                Ok(of_group || news)
            }
            // Of a host that is in no inventory (`localhost`) there is nothing to group.
            Added::Group { host, .. } if inventory.host(host).is_none() => Ok(false),
            Added::Group { host, group, parents } => inventory.add_to_group(host, group, parents),
        }
    }

    /// `meta: refresh_inventory`: reads the sources again; what was added stays.
    pub(super) fn refresh_inventory(&mut self, index: usize) -> Result<(), String> {
        let options = &self.shared.options;
        let mut diagnostics = Diagnostics::new();
        let request = inventory::Request {
            sources: &options.inventories,
            playbook_dir: Some(&self.shared.program.dir),
            vault: &options.vault_passwords,
            manner: options.manner,
        };
        let mut inventory = inventory::load(request, &mut diagnostics);
        if diagnostics.has_errors() {
            return Err(diagnostics.render(Paint::Plain).trim_end().to_owned());
        }
        inventory.assume(&options.assumed);
        self.inventory = Arc::new(inventory);
        for added in self.added.clone() {
            self.put(&added).map_err(|diagnostics| diagnostics.render(Paint::Plain).trim_end().to_owned())?;
        }
        self.grown = self.grown.max(Some(index));
        Ok(())
    }

    /// Has everybody see what was added, if anything was.
    pub(super) fn settle_growth(&mut self) -> Result<(), Diagnostics> {
        let Some(index) = self.grown.take() else { return Ok(()) };
        self.refill();
        let region = self.compiled.regions.get(self.passed).filter(|region| region.steps.contains(&index));
        let current = region.map_or(self.steps()[index].play, |region| self.steps()[region.steps.end - 1].play);
        let same = self.compiled.same_play(current);
        let from = (current..self.compiled.plays.len()).find(|play| !same(*play)).unwrap_or(self.compiled.plays.len());
        let first = self.steps().iter().position(|step| step.play >= from).unwrap_or(self.steps().len());
        drop(same);
        let compiled = Arc::make_mut(&mut self.compiled);
        let selection = &self.shared.program.selection;
        compile::recompile(compiled, from, &self.inventory, &mut self.project, selection)?;
        self.members =
            self.compiled.plays.iter().map(|play| play.hosts.iter().cloned().collect::<HashSet<_>>()).collect();
        self.play_magic.truncate(from);
        for play in from..self.compiled.plays.len() {
            self.play_magic.push(Arc::default());
            self.refresh_play(play);
        }
        self.hosts.iter_mut().for_each(|host| host.forget_from(first.max(index + 1)));
        let names: indexmap::IndexSet<String> =
            self.compiled.plays.iter().flat_map(|play| play.hosts.clone()).collect();
        for name in names {
            if !self.hosts.iter().any(|host| host.name == name) {
                self.hosts.push(HostRun { built: first, ..HostRun::new(&name) });
            }
        }
        Ok(())
    }

    /// The plays that are left cannot be run: that fails every host.
    pub(super) fn abandon(&mut self) {
        let end = self.steps().len();
        for host in &mut self.hosts {
            host.recap.failed += 1;
            (host.gone, host.built) = (true, end);
            host.planned.clear();
        }
    }

    /// Gives all hosts the variables and groups that the inventory has for them now.
    fn refill(&mut self) {
        let mut shared = Map::clone(&self.fleet.shared);
        shared.insert("groups".into(), self.inventory.groups_value());
        let named = self.inventory.hosts.keys().cloned();
        let names: indexmap::IndexSet<String> = named.chain(self.fleet.names()).collect();
        let mut hosts = indexmap::IndexMap::new();
        for name in names {
            let mut vars = self.fleet.get(&name).unwrap_or_default();
            if let Some(host) = self.inventory.host(&name) {
                let mut fresh = HostVars::of(&self.inventory, host, self.shared.options.merge_dictionaries);
                if let Some(added) = self.added_vars.get(&name) {
                    let added = added.iter().map(|(name, value)| (name.clone(), value.clone()));
                    Arc::make_mut(&mut fresh.inventory).extend(added);
                }
                (vars.inventory, vars.magic) = (fresh.inventory, fresh.magic);
            }
            hosts.insert(name, vars);
        }
        self.fleet = Arc::new(Fleet::new(
            hosts,
            Arc::clone(&self.fleet.extra),
            Arc::new(shared),
            self.shared.options.merge_dictionaries,
        ));
    }

    /// Behind the next step that may add hosts or groups: so far, hosts may plan ahead.
    pub(super) fn growth(&self) -> Option<usize> {
        let done = self.hosts.iter().map(HostRun::front).min()?;
        let steps = self.steps().get(done..)?;
        steps.iter().position(|step| step.adds_hosts()).map(|ahead| done + ahead + 1)
    }
}
