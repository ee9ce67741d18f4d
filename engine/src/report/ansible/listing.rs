//! `--list-hosts`, `--list-tasks` and `--list-tags`, as `ansible-playbook` prints them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use crate::compile::{PlayPlan, Program, Section, Step};

/// What is listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// `--list-hosts`.
    pub hosts: bool,
    /// `--list-tasks`.
    pub tasks: bool,
    /// `--list-tags`.
    pub tags: bool,
}

/// The plays of a playbook. A play with several batches is one.
pub fn playbook(program: &Program, wanted: Listing) -> String {
    let mut text = String::new();
    let mut number = 0;
    let mut before: Option<&PlayPlan> = None;
    for (at, plan) in program.plays.iter().enumerate() {
        if before.replace(plan).is_some_and(|before| Arc::ptr_eq(&before.play, &plan.play)) {
            continue;
        }
        number += 1;
        let steps = || program.steps.iter().filter(|step| step.play == at && is_listed(step));
        let pattern = &plan.patterns;
        let tags: Vec<String> = plan.play.common.tags.iter().map(|field| field.value.written().to_owned()).collect();
        // Writing to a text does not fail.
        let _ = writeln!(text, "\n  play #{number} ({}): {}\tTAGS: [{}]", pattern.join(","), plan.name, tags.join(","));
        if wanted.hosts {
            let quoted: Vec<String> = pattern.iter().map(|pattern| format!("'{pattern}'")).collect();
            let _ = writeln!(text, "    pattern: [{}]", quoted.join(", "));
            let _ = writeln!(text, "    hosts ({}):", plan.all_hosts.len());
            text.extend(plan.all_hosts.iter().map(|host| format!("      {host}\n")));
        }
        if wanted.tasks {
            text.push_str("    tasks:\n");
            for step in steps() {
                let _ = writeln!(text, "      {}\tTAGS: [{}]", named(step), list(&step.tags()));
            }
        }
        if wanted.tags {
            let all: BTreeSet<String> = steps().flat_map(|step| step.tags()).collect();
            let _ = writeln!(text, "      TASK TAGS: [{}]", list(&all));
        }
    }
    text
}

/// The hosts of the one play that `ansible` makes.
pub fn hosts(program: &Program) -> String {
    let hosts: Vec<&String> = program.plays.iter().flat_map(|plan| &plan.hosts).collect();
    let names: String = hosts.iter().map(|host| format!("    {host}\n")).collect();
    format!("  hosts ({}):\n{names}", hosts.len())
}

/// Somebody has written it, and it is no handler; what a `rescue` or `always` holds is not listed, as in Ansible.
fn is_listed(step: &Step) -> bool {
    let of_block = |(_, section): &(_, Section)| *section == Section::Block;
    step.handler.is_none() && !step.is_made() && step.blocks().iter().all(of_block)
}

/// One without a name is listed by its module alone.
fn named(step: &Step) -> String {
    if step.task.common.name.is_some() { step.name() } else { step.task.written.clone() }
}

fn list(tags: &BTreeSet<String>) -> String {
    tags.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}
