//! From playbooks and an inventory to one list of steps: every task with what it inherits, in the order of a linear run.
//!
//! The passes, in order: [`flatten`] makes steps of plays, blocks and handlers; [`check`] holds modules, parameters and
//! handler names against what exists; [`facts`] adds `setup` where facts are read; [`data`] finds which step reads what
//! another writes; [`graph`] draws it. The list does not grow with the number of hosts, only with the number of `serial` batches.

mod check;
mod data;
mod facts;
mod flatten;
pub mod graph;

use std::collections::BTreeSet;
use std::sync::Arc;

use trueup_modules::module::Entry;

use crate::diagnostic::Diagnostics;
use crate::inventory::Inventory;
use crate::playbook::{Common, Condition, Field, Opt, Play, Playbook, Spanned, Task};
use crate::template::Templar;
use crate::yaml::Node;

pub use flatten::Selection;
pub use graph::Graph;

/// Everything that a run needs to know, apart from what hosts say.
pub struct Program {
    /// The plays, one for each batch of `serial`.
    pub plays: Vec<PlayPlan>,
    /// In the order of a linear run.
    pub steps: Vec<Step>,
    /// Why one step has to come after another.
    pub graph: Graph,
}

/// A play for the hosts of one batch.
pub struct PlayPlan {
    /// The play as written.
    pub play: Arc<Play>,
    /// What is shown as its name.
    pub name: String,
    /// All hosts of the play.
    pub all_hosts: Vec<String>,
    /// The hosts of this batch, in order.
    pub hosts: Vec<String>,
    /// `vars_files`, read; the later is stronger.
    pub vars_files: Vec<Node>,
    /// Where relative paths start.
    pub dir: std::path::PathBuf,
}

/// A task in its place.
pub struct Step {
    /// Index into [`Program::plays`].
    pub play: usize,
    /// The task as written.
    pub task: Arc<Task>,
    /// Its module.
    pub entry: &'static Entry,
    /// The blocks around it, the outermost first, and the section of each that it is in.
    pub blocks: Vec<(Arc<BlockInfo>, Section)>,
    /// It runs only on hosts where one of these was notified.
    pub handler: Option<Handler>,
    /// Variables that it sets: `register`, `set_fact`.
    pub writes: BTreeSet<String>,
    /// Words of its own texts, of the file that it renders, and of the definitions of variables among them: whatever
    /// variable it may read is there.
    pub words: BTreeSet<String>,
    /// The same for each of its conditions, those of its blocks first.
    pub when_words: Vec<BTreeSet<String>>,
    /// Handlers that it notifies; templates as written.
    pub notifies: BTreeSet<String>,
    /// One host does it for all (`run_once`).
    pub once: bool,
}

/// What a handler is notified by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handler {
    /// Its name, and what it listens to.
    pub names: BTreeSet<String>,
}

/// A block that steps are in.
pub struct BlockInfo {
    /// Unique in a program.
    pub id: usize,
    /// Whether there is a `rescue`.
    pub has_rescue: bool,
    /// Its conditions.
    pub when: Vec<Condition>,
    /// Its handlers to notify.
    pub notify: Vec<Spanned<Field<String>>>,
    /// Its `delegate_to`.
    pub delegate_to: Opt<String>,
    /// What its tasks inherit.
    pub common: Common,
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
    /// The keyword containers from the play inwards to the task.
    pub fn scopes<'a>(&'a self, program: &'a Program) -> impl DoubleEndedIterator<Item = &'a Common> {
        let play = &program.plays[self.play].play.common;
        let blocks = self.blocks.iter().map(|(block, _)| &block.common);
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

    /// Its conditions, those of its blocks first.
    pub fn conditions(&self) -> impl Iterator<Item = &Condition> {
        self.blocks.iter().flat_map(|(block, _)| &block.when).chain(&self.task.when)
    }

    /// The name that is shown when it needs no rendering; the module's otherwise.
    pub fn name(&self) -> String {
        match &self.task.common.name {
            Some(Spanned { value: Field::Known(name), .. }) => name.clone(),
            Some(Spanned { value: Field::Template(template), .. }) => template.text.clone(),
            None => self.task.written.clone(),
        }
    }
}

/// Compiles playbooks. Look at `diagnostics` before running the result.
pub fn compile(
    playbooks: &[Playbook],
    inventory: &Inventory,
    templar: &Templar,
    selection: &Selection,
    diagnostics: &mut Diagnostics,
) -> Program {
    let mut program = flatten::flatten(playbooks, inventory, selection, diagnostics);
    check::check(&program, templar, diagnostics);
    data::annotate(&mut program, inventory);
    facts::gather(&mut program, selection);
    data::annotate(&mut program, inventory);
    program.graph = Graph::of(&program.steps);
    program
}
