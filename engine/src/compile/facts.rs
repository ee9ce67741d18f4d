//! Facts are gathered only where they are read.

use std::collections::BTreeSet;
use std::sync::Arc;

use trueup_modules::builtin;

use super::{Program, Selection, Step};
use crate::diagnostic::Diagnostics;
use crate::playbook::{self, Field, Task};
use crate::source::Source;
use crate::vault::VaultPasswords;

/// Variables that begin with `ansible_` and are not facts: connection variables and magic ones.
const NOT_FACTS: &[&str] = &[
    "host",
    "port",
    "user",
    "password",
    "connection",
    "check_mode",
    "diff_mode",
    "play_name",
    "play_hosts",
    "play_hosts_all",
    "play_batch",
    "loop",
    "loop_var",
    "index_var",
    "version",
    "verbosity",
    "forks",
    "run_tags",
    "skip_tags",
    "inventory_sources",
    "limit",
    "role_names",
    "search_path",
    "failed_task",
    "failed_result",
    "config_file",
];

/// Whether a variable of that name is a fact.
pub(super) fn is_fact(word: &str) -> bool {
    word.strip_prefix("ansible_").is_some_and(|name| {
        !NOT_FACTS.contains(&name)
            && !["ssh_", "become", "host_key", "private_key", "python"].iter().any(|prefix| name.starts_with(prefix))
    })
}

/// Puts a `setup` at the head of each play whose tasks read facts, unless the play says `gather_facts: false` or gathers
/// them itself. One that says `true` gathers them in any case.
pub(super) fn gather(program: &mut Program, selection: &Selection) {
    let Some((task, entry)) = setup() else { return };
    let mut gathered = BTreeSet::new();
    let mut steps: Vec<Step> = Vec::new();
    let reading: BTreeSet<usize> =
        program.steps.iter().filter(|step| step.words.iter().any(|word| is_fact(word))).map(|step| step.play).collect();
    for step in std::mem::take(&mut program.steps) {
        let wish = program.plays[step.play].play.gather_facts.as_ref().map(|wish| &wish.value);
        let wanted = match wish {
            Some(Field::Known(false)) => false,
            _ => selection.gather_always || reading.contains(&step.play),
        };
        if gathered.insert(step.play) && wanted && step.entry.name != "setup" {
            steps.push(Step {
                play: step.play,
                task: Arc::clone(&task),
                entry,
                blocks: Vec::new(),
                handler: None,
                writes: BTreeSet::new(),
                words: BTreeSet::new(),
                when_words: Vec::new(),
                notifies: BTreeSet::new(),
                once: false,
            });
        }
        steps.push(step);
    }
    program.steps = steps;
}

fn setup() -> Option<(Arc<Task>, &'static trueup_modules::module::Entry)> {
    let entry = builtin::find("setup")?;
    let source = Arc::new(Source { path: "<facts>".into(), text: "- name: Gather facts\n  setup: {}\n".into() });
    let mut diagnostics = Diagnostics::new();
    match playbook::parse_tasks(&source, &VaultPasswords::none(), &mut diagnostics).pop() {
        Some(playbook::Step::Task(task)) => Some((Arc::new(*task), entry)),
        _ => None,
    }
}
