//! Facts are gathered only where they are read.

use std::collections::BTreeSet;
use std::sync::Arc;

use trueup_modules::builtin;

use super::{Program, Selection, Step, defaults};
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
    "role_name",
    "play_role_names",
    "dependent_role_names",
    "parent_role_names",
    "parent_role_paths",
    "collection_name",
    "included_var_files",
    "job_id",
    "failed_task",
    "failed_result",
    "config_file",
];

/// Whether a variable of that name is a fact.
pub(super) fn is_fact(word: &str) -> bool {
    word.strip_prefix("ansible_").is_some_and(|name| {
        !NOT_FACTS.contains(&name)
            && !["ssh_", "become", "host_key", "private_key", "python_interpreter"]
                .iter()
                .any(|prefix| name.starts_with(prefix))
    })
}

/// Puts a `setup` at the head of each play whose tasks read facts, unless the play says `gather_facts: false` or gathers
/// them itself. One that says `true` gathers them in any case. Plays before `from` are left as they are.
pub(super) fn gather(program: &mut Program, from: usize, selection: &Selection, diagnostics: &mut Diagnostics) {
    let Some((task, entry)) = made("- name: Gather facts\n  setup: {}\n", "setup") else { return };
    let mut gathered = BTreeSet::new();
    let mut steps: Vec<Arc<Step>> = Vec::new();
    // What an include brings is not known yet, and may read facts.
    let includes = |step: &Step| step.turns() && step.entry.name != "meta" && !step.adds_hosts();
    let reads = |step: &&Arc<Step>| includes(step) || step.words.iter().any(|word| is_fact(word));
    let reading: BTreeSet<usize> = program.steps.iter().filter(reads).map(|step| step.play).collect();
    for step in std::mem::take(&mut program.steps) {
        let wish = program.plays[step.play].play.gather_facts.as_ref().map(|wish| &wish.value);
        let wanted = match wish {
            Some(Field::Known(false)) => false,
            None if selection.plays.gather_explicitly => false,
            _ => {
                let chooses = !program.plays[step.play].vars_files.chosen.is_empty();
                selection.gather_always || chooses || reading.contains(&step.play)
            }
        };
        // One that gathers them only under a condition may rely on their being there.
        let itself = step.entry.name == "setup" && step.conditions().next().is_none();
        if step.play >= from && gathered.insert(step.play) && wanted && !itself {
            let mut task = Task::clone(&task);
            let play = &program.plays[step.play].play.common;
            let said = GATHERING.iter().filter_map(|name| play.carried.get_key_value(*name));
            let said = said.filter(|(_, entry)| !entry.value.is_null());
            task.args.params.extend(said.map(|(name, entry)| (name.clone(), entry.clone())));
            defaults::give(&mut task, entry, std::iter::once(play), diagnostics);
            steps.push(Arc::new(Step::new(step.play, Arc::new(task), entry, Default::default())));
        }
        steps.push(step);
    }
    program.steps = steps;
}

/// Keywords of a play that are parameters of its gathering.
const GATHERING: [&str; 3] = ["fact_path", "gather_subset", "gather_timeout"];

/// What stands for the file of what nobody wrote.
pub(super) const MADE: &str = "<trueup>";

/// A task that nobody wrote.
pub(super) fn made(text: &str, module: &str) -> Option<(Arc<Task>, &'static trueup_modules::module::Entry)> {
    let entry = builtin::find(module)?;
    let source = Arc::new(Source { path: MADE.into(), text: text.into() });
    let mut diagnostics = Diagnostics::new();
    match playbook::parse_tasks(&source, &VaultPasswords::none(), &mut diagnostics).pop() {
        Some(playbook::Step::Task(task)) => Some((Arc::new(*task), entry)),
        _ => None,
    }
}
