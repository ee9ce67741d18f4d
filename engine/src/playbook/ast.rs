//! The tree that a playbook is read into.

use std::sync::Arc;

use indexmap::IndexMap;

use crate::diagnostic::Diagnostic;
use crate::source::{Source, Span};
use crate::value::Template;
use crate::yaml::{self, Mapping, Node};

/// Something and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Spanned<T> {
    /// The thing.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

/// A keyword's value: known when the playbook is read, or a template whose type is checked once it is rendered.
#[derive(Clone, Debug, PartialEq)]
pub enum Field<T> {
    /// As written.
    Known(T),
    /// To be rendered.
    Template(Template),
}

impl Field<String> {
    /// Its text as it is written, rendered or not.
    pub fn written(&self) -> &str {
        match self {
            Self::Known(text) => text,
            Self::Template(template) => &template.text,
        }
    }
}

/// When the debugger asks what becomes of a task's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DebugWhen {
    /// Each time.
    Always,
    /// Never, whatever the settings say.
    Never,
    /// When it failed.
    Failed,
    /// When it was skipped.
    Skipped,
    /// When the host could not be reached.
    Unreachable,
}

impl DebugWhen {
    /// By the keyword's word for it.
    pub fn named(word: &str) -> Option<Self> {
        Some(match word {
            "always" => Self::Always,
            "never" => Self::Never,
            "on_failed" => Self::Failed,
            "on_skipped" => Self::Skipped,
            "on_unreachable" => Self::Unreachable,
            _ => return None,
        })
    }
}

/// A keyword that may be absent.
pub type Opt<T> = Option<Spanned<Field<T>>>;

/// A whole file of plays.
#[derive(Clone, Debug)]
pub struct Playbook {
    /// The file; relative paths start beside it.
    pub source: Arc<Source>,
    /// In the order of the file.
    pub entries: Vec<Entry>,
}

/// What stands at the top of a playbook.
#[derive(Clone, Debug)]
pub enum Entry {
    /// A play.
    Play(Box<Play>),
    /// `import_playbook`.
    Import(Box<ImportPlaybook>),
}

/// `import_playbook: file`.
#[derive(Clone, Debug)]
pub struct ImportPlaybook {
    /// The file.
    pub file: Spanned<Field<String>>,
    /// Conditions that every task of the file gets.
    pub when: Vec<Condition>,
    /// What its plays get.
    pub common: Common,
    /// The whole entry.
    pub span: Span,
}

/// A play: hosts, and what is done on them.
#[derive(Clone, Debug)]
pub struct Play {
    /// Host patterns; several are joined as with `,`.
    pub hosts: Vec<Spanned<Field<String>>>,
    /// `gather_facts`.
    pub gather_facts: Opt<bool>,
    /// Each item is one file, or a list of which the first that exists counts.
    pub vars_files: Vec<Vec<Spanned<Field<String>>>>,
    /// `vars_prompt`.
    pub prompts: Vec<Prompt>,
    /// Run before the roles.
    pub pre_tasks: Vec<Step>,
    /// Run after `pre_tasks`.
    pub roles: Vec<Role>,
    /// Run after the roles.
    pub tasks: Vec<Step>,
    /// Run last.
    pub post_tasks: Vec<Step>,
    /// Run when notified.
    pub handlers: Vec<Step>,
    /// The sizes of the batches; the last one repeats.
    pub serial: Vec<Spanned<Field<Batch>>>,
    /// `linear`, `free`, `graph`, …
    pub strategy: Opt<String>,
    /// `inventory`, `sorted`, …
    pub order: Opt<String>,
    /// Percent of a batch that may fail; more ends the play.
    pub max_fail_percentage: Opt<f64>,
    /// Run the handlers of hosts that failed, too.
    pub force_handlers: Opt<bool>,
    /// What plays, blocks and tasks share.
    pub common: Common,
    /// The whole play.
    pub span: Span,
}

/// An item of `vars_prompt`: a variable that the user is asked for.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// The variable.
    pub name: Spanned<String>,
    /// What is asked; else the variable's name.
    pub text: Opt<String>,
    /// The value if the answer is empty.
    pub default: Option<Node>,
    /// What is typed is not shown; true unless it is said.
    pub private: Opt<bool>,
    /// Ask twice.
    pub confirm: Opt<bool>,
    /// The answer is no template, whatever it looks like.
    pub is_unsafe: Opt<bool>,
    /// The answer is hashed for a user's account, in this way.
    pub encrypt: Opt<String>,
    /// The salt of that; else a random one.
    pub salt: Opt<String>,
    /// How many letters the random one has.
    pub salt_size: Opt<i64>,
    /// The whole item.
    pub span: Span,
}

/// The size of a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Batch {
    /// So many hosts.
    Hosts(u64),
    /// So many percent of the play's hosts.
    Percent(f64),
}

/// A role in a play's `roles`.
#[derive(Clone, Debug)]
pub struct Role {
    /// Its name or path.
    pub name: Spanned<Field<String>>,
    /// Keys that are no keywords: the role's parameters.
    pub params: Mapping,
    /// Conditions that every task of the role gets.
    pub when: Vec<Condition>,
    /// The host that acts instead.
    pub delegate_to: Opt<String>,
    /// What its tasks get.
    pub common: Common,
    /// The whole item.
    pub span: Span,
}

/// An item of a list of tasks.
#[derive(Clone, Debug)]
pub enum Step {
    /// A task or handler.
    Task(Box<Task>),
    /// A block.
    Block(Box<Block>),
}

/// Tasks that share keywords, and what to do when one fails.
#[derive(Clone, Debug)]
pub struct Block {
    /// The tasks.
    pub block: Vec<Step>,
    /// Run when one of them failed.
    pub rescue: Vec<Step>,
    /// Run in any case.
    pub always: Vec<Step>,
    /// All must hold.
    pub when: Vec<Condition>,
    /// Handlers to notify when one of its tasks changed something.
    pub notify: Vec<Spanned<Field<String>>>,
    /// The host that acts instead.
    pub delegate_to: Opt<String>,
    /// What plays, blocks and tasks share.
    pub common: Common,
    /// The whole block.
    pub span: Span,
}

/// A task or a handler.
#[derive(Clone, Debug)]
pub struct Task {
    /// The module's name without the collections that Trueup's modules stand for: `copy` for `ansible.builtin.copy`.
    pub module: Spanned<String>,
    /// The module's name as written.
    pub written: String,
    /// What the module is given.
    pub args: Args,
    /// All must hold.
    pub when: Vec<Condition>,
    /// `loop` or `with_…`.
    pub looping: Option<Loop>,
    /// The variable that gets the result.
    pub register: Option<Spanned<String>>,
    /// `until`, `retries`, `delay`.
    pub retry: Retry,
    /// `async` and `poll`.
    pub detached: Detached,
    /// Whether the task counts as changed. Empty when not given.
    pub changed_when: Vec<Condition>,
    /// Whether the task counts as failed. Empty when not given.
    pub failed_when: Vec<Condition>,
    /// Handlers to notify when it changed something.
    pub notify: Vec<Spanned<Field<String>>>,
    /// Of a handler: further names that notify it.
    pub listen: Vec<Spanned<Field<String>>>,
    /// The host that acts instead.
    pub delegate_to: Opt<String>,
    /// Facts belong to the host that acted.
    pub delegate_facts: Opt<bool>,
    /// What plays, blocks and tasks share.
    pub common: Common,
    /// What is wrong with it, and found in the run if it is reached.
    pub wrong: Vec<Diagnostic>,
    /// The whole task.
    pub span: Span,
}

impl Task {
    /// One without keywords of its own.
    pub fn bare(module: Spanned<String>, args: Args, common: Common, span: Span) -> Self {
        Self {
            written: module.value.clone(),
            module,
            args,
            when: Vec::new(),
            looping: None,
            register: None,
            retry: Retry::default(),
            detached: Detached::default(),
            changed_when: Vec::new(),
            failed_when: Vec::new(),
            notify: Vec::new(),
            listen: Vec::new(),
            delegate_to: None,
            delegate_facts: None,
            common,
            wrong: Vec::new(),
            span,
        }
    }
}

/// What a module is given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Args {
    /// Parameters by name, each with the place of its name.
    pub params: Mapping,
    /// Text that is no `name=value`: a command line, the file of `include_tasks`, a template that yields all parameters.
    pub free_form: Option<Node>,
    /// `args: "{{ … }}"`: parameters that are known once it is rendered; those above win.
    pub rendered: Option<Template>,
    /// Of `module_defaults`: for parameters that are not given.
    pub defaults: Mapping,
    /// The same as a template that yields them.
    pub rendered_defaults: Option<Template>,
}

impl Args {
    /// The parameters by name, and those that only `module_defaults` give.
    pub fn given(&self) -> impl Iterator<Item = (&String, &yaml::Entry)> {
        let missing = self.defaults.iter().filter(|(name, _)| !self.params.contains_key(*name));
        self.params.iter().chain(missing)
    }
}

/// `loop` or `with_…`, and `loop_control`.
#[derive(Clone, Debug)]
pub struct Loop {
    /// What it goes over.
    pub over: LoopOver,
    /// How.
    pub control: LoopControl,
}

/// What a loop goes over.
#[derive(Clone, Debug)]
pub enum LoopOver {
    /// `loop:` a list, or a template that yields one.
    List(Node),
    /// `with_<lookup>:` the lookup's terms.
    Lookup(Spanned<String>, Node),
}

/// `loop_control`.
#[derive(Clone, Debug, Default)]
pub struct LoopControl {
    /// The variable with the item; `item` by default. A template until the task is listed.
    pub loop_var: Option<Spanned<String>>,
    /// The variable with the index from 0. A template until the task is listed.
    pub index_var: Option<Spanned<String>>,
    /// What is shown for an item.
    pub label: Option<Node>,
    /// Seconds between two items.
    pub pause: Opt<f64>,
    /// Whether `ansible_loop` is set.
    pub extended: Opt<bool>,
    /// Whether `ansible_loop.allitems` is set.
    pub extended_allitems: Opt<bool>,
    /// Ends the loop after an item for which all hold.
    pub break_when: Vec<Condition>,
}

/// `until`, `retries` and `delay`. `until` alone means 3 retries; `retries` alone retries on failure.
#[derive(Clone, Debug, Default)]
pub struct Retry {
    /// Tried again until all hold.
    pub until: Vec<Condition>,
    /// How often at most.
    pub retries: Opt<i64>,
    /// Seconds in between; 5 by default.
    pub delay: Opt<f64>,
}

/// `async` and `poll`: the task goes on by itself.
#[derive(Clone, Debug, Default)]
pub struct Detached {
    /// Seconds that it may take; 0 is not to be detached.
    pub seconds: Opt<i64>,
    /// Seconds between two looks whether it has ended; 15 by default, 0 is not to wait for it.
    pub poll: Opt<i64>,
}

/// An expression without braces. `true` and `false` stand for themselves; a text in braces is kept as written.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// The expression.
    pub text: String,
    /// Where it stands.
    pub span: Span,
}

/// Whether and as whom a task acts.
#[derive(Clone, Debug, Default)]
pub struct Become {
    /// `become`.
    pub enabled: Opt<bool>,
    /// `become_user`.
    pub user: Opt<String>,
    /// `become_method`.
    pub method: Opt<String>,
    /// `become_exe`.
    pub exe: Opt<String>,
    /// `become_flags`.
    pub flags: Opt<String>,
}

/// An item of `mutex`: of all tasks that hold a lock of that name, one is applied at a time.
#[derive(Clone, Debug, PartialEq)]
pub struct Mutex {
    /// What the lock stands for.
    pub name: Spanned<Field<String>>,
    /// Held together with others that share it, but not with one that does not.
    pub shared: bool,
}

/// An item of `needs`.
#[derive(Clone, Debug, PartialEq)]
pub struct Need {
    /// What may have the name.
    pub what: Needed,
    /// The name of a task, block or play, as written there.
    pub name: String,
    /// On which hosts it has to be done, as a pattern; on the host itself by default.
    pub hosts: Option<Spanned<String>>,
    /// Where it stands.
    pub span: Span,
}

/// What a [`Need`] names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needed {
    /// A task or block of the play, or else whatever has that name.
    Any,
    /// A task or block.
    Task,
    /// A play.
    Play,
}

/// The keywords that plays, blocks, tasks and roles share, and that the inner inherits from the outer.
#[derive(Clone, Debug, Default)]
pub struct Common {
    /// For people.
    pub name: Opt<String>,
    /// Variables, by name.
    pub vars: Mapping,
    /// Dictionaries, or templates that yield one; the later wins.
    pub environment: Vec<Node>,
    /// For `--tags` and `--skip-tags`; added to those of the outer.
    pub tags: Vec<Spanned<Field<String>>>,
    /// `become…`.
    pub escalation: Become,
    /// The user to connect as.
    pub remote_user: Opt<String>,
    /// The port to connect to.
    pub port: Opt<i64>,
    /// `ssh`, `local`.
    pub connection: Opt<String>,
    /// Parameters and results are not to be shown.
    pub no_log: Opt<bool>,
    /// `true`: never change anything; `false`: change things also in a preview.
    pub check_mode: Opt<bool>,
    /// Whether differences are shown.
    pub diff: Opt<bool>,
    /// A failure is not one.
    pub ignore_errors: Opt<bool>,
    /// An unreachable host stays in the play.
    pub ignore_unreachable: Opt<bool>,
    /// A failure on one host ends the play on all.
    pub any_errors_fatal: Opt<bool>,
    /// Only the first host acts.
    pub run_once: Opt<bool>,
    /// Seconds after which a task has failed.
    pub timeout: Opt<i64>,
    /// What modules are given where a task does not say it, by the modules' names; of a module, the inner's replaces the
    /// outer's.
    pub module_defaults: Mapping,
    /// When the debugger asks what becomes of a task's end.
    pub debugger: Opt<DebugWhen>,
    /// On how many hosts at most a task is applied at the same time.
    pub throttle: Opt<i64>,
    /// Locks, held while a task is applied, whatever the host.
    pub mutex: Vec<Mutex>,
    /// With `strategy: graph`: what has to be done before, in place of all that is listed before.
    pub needs: Option<Vec<Need>>,
    /// Keywords of Ansible that have no field here, as written.
    pub carried: IndexMap<String, yaml::Entry>,
}
