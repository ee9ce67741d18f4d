//! What happens during a run, as owned values that every reporter folds over.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use trueup_modules::edit::{Diff, Progress};
use trueup_modules::host::Why;
use trueup_modules::plan::Data;
use trueup_modules::system::Stream;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// A run begins.
    RunStarted {
        /// Nothing will be changed.
        preview: bool,
        /// How many tasks there are, handlers included.
        tasks: usize,
        /// The hosts that any play addresses.
        hosts: Vec<String>,
    },
    /// The first result of a play is about to come.
    PlayStarted {
        /// Its name, or its host pattern.
        play: String,
    },
    /// A play is passed over: it has no hosts.
    PlaySkipped {
        /// Its name, or its host pattern.
        play: String,
    },
    /// The first result of a task is about to come.
    TaskStarted {
        /// What it is.
        task: Arc<TaskInfo>,
    },
    /// A host's agent answers.
    Connected {
        /// The host.
        host: String,
        /// Where it is, and what was agreed on.
        via: String,
    },
    /// A task is being applied on a host.
    Running {
        /// The host.
        host: String,
        /// The task's name.
        task: String,
    },
    /// A running command printed a line.
    Line {
        /// The host.
        host: String,
        /// Where.
        stream: Stream,
        /// The line.
        text: String,
    },
    /// A running command said how far it is.
    Progress {
        /// The host.
        host: String,
        /// How far.
        progress: Progress,
    },
    /// An attempt failed and another is to come.
    Retrying {
        /// The host.
        host: String,
        /// The task's name.
        task: String,
        /// Attempts left.
        left: u64,
    },
    /// A task came to its end on a host.
    Result(Arc<TaskResult>),
    /// Tasks are not run, because what they need has failed; it is not told again of each of them.
    NotRun {
        /// The hosts.
        hosts: Vec<String>,
        /// The tasks' names.
        tasks: Vec<String>,
        /// The name of the task that failed.
        needed: String,
        /// On which host.
        on: String,
        /// That host was lost.
        lost: bool,
    },
    /// A host could not be reached, or was lost.
    Unreachable {
        /// The host.
        host: String,
        /// Why.
        reason: String,
        /// What the user can do.
        hints: Vec<String>,
    },
    /// The run waits for a line from the user: what is to be shown before it, without an end of line.
    Question {
        /// What is asked.
        text: String,
    },
    /// Something the user should know.
    Warning(String),
    /// The run ends here, through a mistake in the playbook.
    Aborted {
        /// What is wrong.
        error: String,
    },
    /// The run is over.
    RunFinished {
        /// Per host, sorted by name.
        recap: Vec<(String, Recap)>,
        /// It was ended from outside.
        cancelled: bool,
        /// Round trips, for those who measure: batches sent to all hosts.
        batches: u64,
    },
}

/// What a task is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskInfo {
    /// Its name, or its module.
    pub name: String,
    /// The module.
    pub module: String,
    /// `file:line:col`.
    pub place: String,
    /// It runs because it was notified.
    pub handler: bool,
    /// Its position in the run, from 0.
    pub step: usize,
}

/// How a task ended on a host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskResult {
    /// The host that it was for.
    pub host: String,
    /// The host that acted, if another.
    pub delegated_to: Option<String>,
    /// The task.
    pub task: Arc<TaskInfo>,
    /// The loop's label for the item.
    pub item: Option<String>,
    /// What the loop gives the item: its variable, `ansible_loop_var`, its index; empty with `no_log`.
    #[serde(default, skip_serializing_if = "Data::is_empty")]
    pub loop_vars: Data,
    /// How it ended.
    pub status: Status,
    /// What changed, or would; empty with `no_log`.
    pub diffs: Vec<Diff>,
    /// What it registers; with `no_log` only `changed`, and `censored`, which says so.
    pub data: Data,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// Of a task that could not be rendered: in Ansible's words what led to that, the task itself first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    /// In a preview: it may turn out differently.
    pub conditional: Option<Why>,
    /// Seconds since it was begun.
    pub seconds: f64,
}

/// A link in the chain that led to a failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// In Ansible's words.
    pub message: String,
    /// `file:line:col`.
    pub place: String,
}

/// The error of a task that failed under `no_log`.
pub const WITHHELD: &str = "the output is withheld (no_log)";

/// The label of an item, where its loop is under `no_log`: Ansible's words.
pub const UNNAMED: &str = "(censored due to no_log)";

/// What is told under `no_log` in the place of what is registered: Ansible's words, too.
pub const CENSORED: &str =
    "the output has been hidden due to the fact that 'no_log: true' was specified for this result";

/// The end of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Status {
    /// Nothing to do.
    Ok,
    /// It changed something.
    Changed,
    /// In a preview: it would change something.
    Would,
    /// In a preview: it can't be known.
    Unknown(Why),
    /// It was not run.
    Skipped {
        /// The condition that did not hold, or another reason.
        because: String,
    },
    /// It failed.
    Failed {
        /// What went wrong.
        error: String,
        /// What the user can do.
        hint: Option<String>,
        /// What the module found out about the reason, such as a unit's log.
        explanation: Option<String>,
        /// `ignore_errors`.
        ignored: bool,
    },
    /// The host could not be reached, and goes on all the same (`ignore_unreachable`).
    Unreachable {
        /// Why.
        reason: String,
        /// What the user can do.
        hints: Vec<String>,
    },
}

/// A host's line at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recap {
    /// Tasks that ended well, changed ones among them.
    pub ok: u64,
    /// Tasks that changed something, or would.
    pub changed: u64,
    /// The host could not be reached.
    pub unreachable: u64,
    /// Tasks that failed.
    pub failed: u64,
    /// Tasks that were not run.
    pub skipped: u64,
    /// Failures that a `rescue` made good.
    pub rescued: u64,
    /// Failures that were ignored.
    pub ignored: u64,
    /// 1 if it was failed by another's failure (`run_once`, `any_errors_fatal`) and by none of its own.
    #[serde(default)]
    pub failed_with_others: u64,
    /// Failures that `meta: clear_host_errors` has forgiven.
    #[serde(default)]
    pub cleared: u64,
    /// In a preview: tasks of which it can't be known.
    pub unknown: u64,
    /// In a preview: tasks that ran all the same (`check_mode: false`).
    #[serde(default)]
    pub ran: u64,
}
