//! `module_defaults`: what a module is given where the task itself does not say it.

use trueup_modules::builtin;
use trueup_modules::module::Entry;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::playbook::{Common, Task, plain_name};
use crate::value::Value;

/// Gives a task the defaults for its module. `outer` are the keyword containers around it, the outermost first.
pub(super) fn give<'a>(
    task: &mut Task,
    entry: &Entry,
    outer: impl Iterator<Item = &'a Common>,
    diagnostics: &mut Diagnostics,
) {
    let of = |common: &Common| {
        common
            .module_defaults
            .iter()
            .filter(|(name, _)| is_for(name, entry))
            .map(|(_, entry)| entry.value.clone())
            .next_back()
    };
    let Some(node) = of(&task.common).or_else(|| outer.filter_map(of).last()) else { return };
    match (node.as_map(), node.to_value()) {
        (Some(map), _) => task.args.defaults.clone_from(map),
        (None, Value::Template(template)) => task.args.rendered_defaults = Some(template),
        (None, Value::Null) => {}
        (None, _) => {
            let message = format!("the defaults of a module must be a dictionary, and this is {}", node.describe());
            diagnostics.push(Diagnostic::error(message).at(&node.span));
        }
    }
}

/// The groups of modules that ansible-core itself knows: each stands for what a collection calls its group, and none of those
/// has a module that exists here.
const GROUPS: [&str; 10] = ["acme", "aws", "azure", "cpm", "docker", "gcp", "k8s", "os", "ovirt", "vmware"];

/// What cannot be meant in the `module_defaults` of a play, block or task.
pub(super) fn check(common: &Common, diagnostics: &mut Diagnostics) {
    for (name, entry) in &common.module_defaults {
        if let Some(group) = name.strip_prefix("group/") {
            let own = group.strip_prefix("ansible.builtin.").unwrap_or(group);
            if !GROUPS.contains(&own) {
                let error = Diagnostic::error(format!("there is no group of modules `{group}`")).at(&entry.key);
                diagnostics.push(error.did_you_mean(own, GROUPS).hint("name each module"));
            }
        } else if module(name).is_none() {
            let warning = Diagnostic::warning(format!("there is no module `{name}`: its defaults are for nothing"));
            diagnostics.push(warning.at(&entry.key).did_you_mean(name, builtin::names()));
        }
    }
}

fn is_for(name: &str, entry: &Entry) -> bool {
    module(name).is_some_and(|found| found.name == entry.name)
}

fn module(name: &str) -> Option<&'static Entry> {
    match plain_name(name) {
        // What gathers facts at the head of a play.
        "gather_facts" => builtin::find("setup"),
        name => builtin::find(name),
    }
}
