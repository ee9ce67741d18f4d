//! From playbooks and an inventory to one list of steps: every task with what it inherits, in the order of a linear run.
//!
//! The passes, in order: [`flatten`] takes the plays, of imported playbooks too, and [`list`] makes steps of their roles,
//! blocks, tasks and static imports; [`check`] holds modules, parameters and handler names against what exists; [`facts`]
//! adds `setup` where facts are read; [`data`] finds which step reads what another writes; [`region`] says what comes after
//! what in plays whose hosts do not wait for each other; [`graph`] draws it. The list
//! does not grow with the number of hosts, only with the number of `serial` batches. What `include_tasks` and
//! `include_role` name comes during the run, through the same passes: [`expand`].

pub(crate) mod check;
mod data;
mod defaults;
pub mod expand;
mod facts;
mod flatten;
pub mod graph;
mod handlers;
mod list;
mod project;
mod prompt;
mod reach;
pub mod region;
mod role;
pub mod search;
mod selection;
mod specification;
mod tags;
pub mod vars_files;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use trueup_modules::builtin;
use trueup_modules::module::Entry;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::inventory::Inventory;
use crate::playbook::{Common, Condition, Field, LoopOver, Opt, Play, Playbook, Spanned, Task};
use crate::source::Span;
use crate::value::{Map, Value};
use crate::yaml::{self, Node};

pub use graph::Graph;
pub use list::Around;
pub use project::{Project, SearchPaths};
pub use prompt::{Asker, Question};
pub use region::Region;
pub use role::{Own, Role, RoleVars};
pub use selection::{Idle, PlayDefaults, Selection};
pub use vars_files::VarsFiles;

/// Everything that a run needs to know, apart from what hosts say.
#[derive(Clone, Default)]
pub struct Program {
    /// The plays, one for each batch of `serial`.
    pub plays: Vec<PlayPlan>,
    /// In the order of a linear run.
    pub steps: Vec<Arc<Step>>,
    /// Why one step has to come after another.
    pub graph: Graph,
    /// The plays that are not run in lockstep.
    pub regions: Vec<Region>,
    /// Not all hosts of the plays take part: `--limit`.
    limited: bool,
    /// The names of plays that have no hosts because of that, and of their tasks.
    idle: BTreeSet<String>,
    /// The hosts that needs speak of.
    patterns: region::Patterns,
    /// The hosts of the steps that not all hosts of the play have: those that came by an include.
    pub audiences: Vec<BTreeSet<String>>,
    /// The plays as they are written, also those that no host is in.
    written: Arc<Vec<flatten::Written>>,
    /// What the variables of inventory and plays are made from.
    definitions: Arc<data::Definitions>,
}

impl Program {
    /// The plays as they are written behind one play and before another: their names, and whether they have hosts.
    pub fn between(&self, after: Option<usize>, before: Option<usize>) -> Vec<(String, bool)> {
        let number = |play: usize| self.plays[play].written;
        let first = after.map_or(0, |play| number(play) + 1);
        let end = before.map_or(self.written.len(), number);
        let told = |at: usize| match self.plays.iter().find(|plan| plan.written == at) {
            Some(plan) => (plan.name.clone(), true),
            None => (self.written[at].name(), false),
        };
        (first..end).map(told).collect()
    }

    /// Whether a play is another batch of the same play as written.
    pub fn same_play(&self, play: usize) -> impl Fn(usize) -> bool + '_ {
        move |other| self.plays[other].written == self.plays[play].written
    }

    /// Draws the graph anew, after its steps or what they read have changed.
    fn relate(&mut self) -> Result<(), Diagnostics> {
        self.graph = Graph::of(&self.steps, &[]);
        self.regions = region::regions(self)?;
        self.graph = Graph::of(&self.steps, &self.regions);
        Ok(())
    }
}

/// How the hosts of a play go through its tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// No host begins a task before all have finished the one before.
    #[default]
    Linear,
    /// Each host at its own pace.
    Free,
    /// As what they need allows.
    Graph,
}

impl Strategy {
    /// All names; the first three are ours, `host_pinned` is Ansible's for what `free` is here, `debug` is `linear` with the
    /// debugger.
    pub const NAMES: [&str; 5] = ["linear", "free", "graph", "host_pinned", "debug"];

    /// The strategy of that name.
    pub fn named(name: &str) -> Option<Self> {
        match name.strip_prefix("ansible.builtin.").unwrap_or(name) {
            "linear" | "debug" => Some(Self::Linear),
            "free" | "host_pinned" => Some(Self::Free),
            "graph" => Some(Self::Graph),
            _ => None,
        }
    }
}

impl std::fmt::Display for Strategy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Linear => "linear",
            Self::Free => "free",
            Self::Graph => "graph",
        })
    }
}

/// A play for the hosts of one batch.
#[derive(Clone)]
pub struct PlayPlan {
    /// The play as written.
    pub play: Arc<Play>,
    /// What is shown as its name.
    pub name: String,
    /// Its host patterns, rendered.
    pub patterns: Vec<String>,
    /// All hosts of the play.
    pub all_hosts: Vec<String>,
    /// The hosts of this batch, in order.
    pub hosts: Vec<String>,
    /// Which of the plays as written it is.
    pub(crate) written: usize,
    /// How they go through the tasks.
    pub strategy: Strategy,
    /// `vars_files`.
    pub vars_files: VarsFiles,
    /// Where relative paths start.
    pub dir: PathBuf,
    /// The roles that are used in it, in order; by includes only if they are public.
    pub roles: Vec<Arc<Role>>,
    /// The defaults of its roles, as all its tasks see them.
    pub role_defaults: Arc<Map>,
    /// The same for the roles' own variables.
    pub role_exports: Arc<Map>,
    /// In the order of their definition.
    pub handlers: Vec<handlers::HandlerPlan>,
}

impl PlayPlan {
    fn add_role(&mut self, role: Arc<Role>) {
        if role.public {
            let add = |to: &mut Arc<Map>, from: &Map| {
                Arc::make_mut(to).extend(from.iter().map(|(name, value)| (name.clone(), value.clone())));
            };
            add(&mut self.role_defaults, &role.vars.public_defaults);
            add(&mut self.role_exports, &role.vars.exports);
        }
        self.roles.push(role);
    }
}

/// A task in its place.
#[derive(Clone)]
pub struct Step {
    /// Unique in a program.
    pub id: usize,
    /// Index into [`Program::plays`].
    pub play: usize,
    /// The task as written.
    pub task: Arc<Task>,
    /// Its module.
    pub entry: &'static Entry,
    /// Where it stands.
    pub around: Around,
    /// It runs only on hosts where one of these was notified.
    pub handler: Option<Handler>,
    /// Behind it stand the handlers of this flush.
    pub flush: Option<usize>,
    /// Variables that it sets: `register`, `set_fact`.
    pub writes: BTreeSet<String>,
    /// Words of its own texts, of the file that it renders, and of the definitions of variables among them: whatever
    /// variable it may read is there.
    pub words: BTreeSet<String>,
    /// The same for each of its conditions, those of its blocks first.
    pub when_words: Vec<BTreeSet<String>>,
    /// It is a loop whose items read what the item before registered.
    pub reads_itself: bool,
    /// It looks at files of the controller or runs programs there, which steps before it may have changed.
    pub looks_here: bool,
    /// Handlers that it notifies; templates as written.
    pub notifies: BTreeSet<String>,
    /// One host does it for all (`run_once`).
    pub once: bool,
    /// Why it fails if it is reached: there is no such module, or it has no such parameter.
    pub wrong: Vec<Diagnostic>,
    /// It stands for a task of which only the run knows the module: it says which, and puts the task behind it.
    pub chooses: Option<Arc<Task>>,
}

/// What a handler is notified by.
#[derive(Clone)]
pub struct Handler {
    /// Its position among the play's.
    pub at: usize,
    /// The flush that this step belongs to.
    pub flush: usize,
    /// The flush stands at the end of a section: with `force_handlers`, hosts that failed have it, too.
    pub ends_section: bool,
    /// Its name, and what it listens to.
    pub names: BTreeSet<String>,
    /// The blocks that the flush stands in: a failure is theirs to rescue.
    pub within: Vec<(Arc<BlockInfo>, Section)>,
}

impl PartialEq for Handler {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.flush, self.ends_section, &self.names)
            == (other.at, other.flush, other.ends_section, &other.names)
    }
}

/// A block that steps are in.
pub struct BlockInfo {
    /// Unique in a program.
    pub id: usize,
    /// Whether there is a `rescue`.
    pub has_rescue: bool,
    /// Whether there is an `always`.
    pub has_always: bool,
    /// Whether there is a `rescue` or `always`: a host takes its tasks as they are listed, whatever the strategy.
    pub ordered: bool,
    /// Its conditions.
    pub when: Vec<Condition>,
    /// Its handlers to notify.
    pub notify: Vec<Spanned<Field<String>>>,
    /// Its `delegate_to`.
    pub delegate_to: Opt<String>,
    /// What its tasks inherit.
    pub common: Common,
    /// Variables that are stronger than `set_fact`: those that an include gives.
    pub params: Arc<Map>,
}

impl BlockInfo {
    fn plain(id: usize) -> Self {
        Self {
            id,
            has_rescue: false,
            has_always: false,
            ordered: false,
            when: Vec::new(),
            notify: Vec::new(),
            delegate_to: None,
            common: Common::default(),
            params: Arc::default(),
        }
    }
}

/// The part of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// `block`.
    Block,
    /// `rescue`.
    Rescue,
    /// `always`.
    Always,
}

impl Step {
    fn new(play: usize, task: Arc<Task>, entry: &'static Entry, around: Around) -> Self {
        Self {
            id: 0,
            play,
            task,
            entry,
            around,
            handler: None,
            flush: None,
            writes: BTreeSet::new(),
            words: BTreeSet::new(),
            when_words: Vec::new(),
            reads_itself: false,
            looks_here: false,
            notifies: BTreeSet::new(),
            once: false,
            wrong: Vec::new(),
            chooses: None,
        }
    }

    /// The blocks around it, the outermost first, and the section of each that it is in.
    pub fn blocks(&self) -> &[(Arc<BlockInfo>, Section)] {
        &self.around.blocks
    }

    /// The blocks that a failure may be caught in, the outermost first: those around it, and of a handler before them those
    /// around the flush.
    pub fn catching(&self) -> impl DoubleEndedIterator<Item = &(Arc<BlockInfo>, Section)> {
        let flush = self.handler.as_ref().map_or(self.around.flushed_in.as_slice(), |handler| &handler.within);
        // A role's handler comes after its tasks, and is not in the block that they are.
        let handles = self.handler.is_some() || self.around.in_handler;
        let catches = move |block: &BlockInfo| !handles || block.has_rescue || block.has_always;
        flush.iter().chain(self.blocks()).filter(move |(block, _)| catches(block))
    }

    /// Where the text begins that holds a place of the task's: a parameter's value, a condition.
    pub fn written_at<'s>(&'s self, span: &'s Span) -> &'s Span {
        fn scalar<'n>(node: &'n Node, span: &Span) -> Option<&'n Span> {
            match &node.data {
                yaml::Data::Seq(items) => items.iter().find_map(|item| scalar(item, span)),
                yaml::Data::Map(map) => map.values().find_map(|entry| scalar(&entry.value, span)),
                yaml::Data::Scalar(_) => holds(&node.span, span).then_some(&node.span),
            }
        }
        fn holds(whole: &Span, part: &Span) -> bool {
            whole.path() == part.path() && whole.start <= part.start && part.start <= whole.end
        }
        let task = &self.task;
        let args = task.args.given().map(|(_, entry)| &entry.value).chain(&task.args.free_form);
        let environment = self.blocks().iter().map(|(block, _)| &block.common).chain([&task.common]);
        let environment = environment.flat_map(|common| &common.environment);
        let lists = task.looping.iter().map(|looping| match &looping.over {
            LoopOver::List(node) | LoopOver::Lookup(_, node) => node,
        });
        let vars = task.common.vars.values().map(|entry| &entry.value);
        let found = args.chain(environment).chain(lists).chain(vars).find_map(|node| scalar(node, span));
        let conditions = self.conditions().chain(&task.changed_when).chain(&task.failed_when);
        let condition = || conditions.map(|one| &one.span).find(|whole| holds(whole, span));
        found.or_else(condition).unwrap_or(span)
    }

    /// What a `meta` task says; nothing of any other.
    pub fn meta_action(&self) -> &str {
        let args = &self.task.args;
        let action = args.free_form.as_ref().or(args.params.get("action").map(|entry| &entry.value));
        let scalar = action.filter(|_| self.entry.name == "meta").and_then(Node::as_scalar);
        scalar.map_or("", |scalar| scalar.text.trim())
    }

    /// The module's name as it is reported.
    pub fn module(&self) -> &str {
        if self.is_missing() { &self.task.module.value } else { self.entry.name }
    }

    /// Whether there is no such module. What it comes to if it is reached is a `fail`.
    pub fn is_missing(&self) -> bool {
        self.entry.name == "fail" && builtin::find(&self.task.module.value).is_none()
    }

    /// Whether what comes after it can be told only when its end is known.
    pub fn turns(&self) -> bool {
        matches!(self.entry.name, "include_tasks" | "include_role" | "include_vars" | "meta") || self.adds_hosts()
    }

    /// Whether a part of it is done by the run itself, when its turn comes.
    pub fn is_ours(&self) -> bool {
        matches!(self.entry.name, "fetch" | "reboot" | "wait_for_connection")
    }

    /// Whether other tasks come by it when its turn comes.
    pub fn includes(&self) -> bool {
        matches!(self.entry.name, "include_tasks" | "include_role")
    }

    /// Whether the names of the variables that it sets are known only when it is rendered.
    pub fn sets_what_is_computed(&self) -> bool {
        let args = &self.task.args;
        let computed = args.params.keys().any(|name| crate::template::is_template(name))
            || args.rendered.is_some()
            || args.free_form.is_some();
        self.entry.name == "set_fact" && computed
    }

    /// Whether hosts or groups may be new after it.
    pub fn adds_hosts(&self) -> bool {
        matches!(self.entry.name, "add_host" | "group_by") || self.meta_action() == "refresh_inventory"
    }

    /// Whether it may read a variable. One whose name is computed may be any.
    pub fn may_read(&self, name: &str) -> bool {
        self.words.contains(name) || self.words.contains("vars") || self.words.contains("varnames")
    }

    /// The keyword containers from the play inwards to the task.
    pub fn scopes<'a>(&'a self, program: &'a Program) -> impl DoubleEndedIterator<Item = &'a Common> {
        let play = &program.plays[self.play].play.common;
        let blocks = self.blocks().iter().map(|(block, _)| &block.common);
        std::iter::once(play).chain(blocks).chain(std::iter::once(&self.task.common))
    }

    /// A keyword's value from the innermost that has one.
    pub fn inherited<'a, T>(
        &'a self,
        program: &'a Program,
        keyword: impl Fn(&'a Common) -> &'a Opt<T>,
    ) -> Option<&'a Field<T>> {
        self.scopes(program).rev().find_map(|common| keyword(common).as_ref()).map(|found| &found.value)
    }

    /// The host that acts instead, from the innermost that names one.
    pub fn delegate_to(&self) -> Option<&Field<String>> {
        let blocks = self.blocks().iter().rev().map(|(block, _)| &block.delegate_to);
        std::iter::once(&self.task.delegate_to).chain(blocks).find_map(Option::as_ref).map(|field| &field.value)
    }

    /// Whether the facts that it finds are those of the host that acts, from the innermost that says so; it may be a template.
    pub fn delegate_facts(&self) -> Option<Value> {
        let own = self.task.delegate_facts.as_ref().map(|field| match &field.value {
            Field::Known(known) => Value::Bool(*known),
            Field::Template(template) => Value::Template(template.clone()),
        });
        let blocks = self.blocks().iter().rev().filter_map(|(block, _)| block.common.carried.get("delegate_facts"));
        own.or_else(|| blocks.map(|entry| entry.value.to_value()).next())
    }

    /// Its conditions, those of its blocks first.
    pub fn conditions(&self) -> impl Iterator<Item = &Condition> {
        self.blocks().iter().flat_map(|(block, _)| &block.when).chain(&self.task.when)
    }

    /// Whether nobody has written it: facts are gathered, handlers are flushed.
    pub fn is_made(&self) -> bool {
        self.task.span.path() == std::path::Path::new(facts::MADE)
    }

    /// All its tags.
    pub fn tags(&self) -> BTreeSet<String> {
        self.around.tags.iter().cloned().chain(tags::of(&self.task.common.tags)).collect()
    }

    /// The name that is shown, with its role before it; templates as written.
    pub fn name(&self) -> String {
        self.named(match &self.task.common.name {
            Some(name) => name.value.written().to_owned(),
            None => match (self.entry.name, self.task.args.params.get("name").or(self.task.args.params.get("role"))) {
                ("include_role", Some(role)) => {
                    let name = role.value.as_scalar().map_or("", |scalar| &scalar.text);
                    format!("{} : {name}", self.task.written)
                }
                _ => self.task.written.clone(),
            },
        })
    }

    /// A name of it, with its role before it; but an include stands for the role that it names.
    pub fn named(&self, name: String) -> String {
        match &self.around.role {
            Some(role) if self.entry.name != "include_role" => format!("{} : {name}", role.own.full_name),
            _ => name,
        }
    }
}

/// Compiles playbooks. Look at `diagnostics` before running the result.
pub fn compile(
    playbooks: &[Playbook],
    inventory: &Inventory,
    project: &mut Project,
    selection: &Selection,
    diagnostics: &mut Diagnostics,
) -> Program {
    let mut program = flatten::flatten(playbooks, inventory, project, selection, diagnostics);
    let stage = if selection.fails_late { check::Stage::During } else { check::Stage::Before };
    check::check(&mut program, 0, stage, &project.templar, diagnostics);
    program.definitions = Arc::new(data::definitions(&program, inventory));
    data::annotate(&mut program, 0, usize::MAX);
    facts::gather(&mut program, 0, selection, diagnostics);
    data::annotate(&mut program, 0, usize::MAX);
    program.patterns = region::patterns(&program, inventory, diagnostics);
    if !diagnostics.has_errors()
        && let Err(wrong) = program.relate()
    {
        diagnostics.extend(wrong);
    }
    program
}

/// Compiles the plays from `from` on anew, after hosts or groups have been added: what is before is under way or done.
///
/// # Errors
/// What is wrong with the plays now.
pub fn recompile(
    program: &mut Program,
    from: usize,
    inventory: &Inventory,
    project: &mut Project,
    selection: &Selection,
) -> Result<(), Diagnostics> {
    let mut diagnostics = Diagnostics::new();
    flatten::flatten_from(program, from, inventory, project, selection, &mut diagnostics);
    check::check(program, from, check::Stage::During, &project.templar, &mut diagnostics);
    data::define_more(program, inventory);
    data::annotate(program, 0, usize::MAX);
    facts::gather(program, from, selection, &mut diagnostics);
    data::annotate(program, 0, usize::MAX);
    program.patterns = region::patterns(program, inventory, &mut diagnostics);
    if diagnostics.has_errors() {
        return Err(diagnostics);
    }
    program.relate()
}
