//! The playbook: a tree that knows the place of every word.
//!
//! Reading it checks the keywords and the shapes of their values, and reports everything it finds. It does not know
//! which modules there are: parameters stay [`Node`]s, which another pass holds against the module's schema. What a
//! keyword *does* is no business of this module either: those that have no field of their own are carried by name, so
//! that a later pass can say what is not supported yet.

mod ast;
mod field;
mod freeform;
mod keyword;
mod play;
mod reader;
mod task;

use std::sync::Arc;

pub use ast::{
    Args, Batch, Become, Block, Common, Condition, DebugWhen, Detached, Entry, Field, ImportPlaybook, Loop,
    LoopControl, LoopOver, Mutex, Need, Needed, Opt, Play, Playbook, Prompt, Retry, Role, Spanned, Step, Task,
};
pub(crate) use field::{is_variable, not_a_variable};
pub use keyword::Place;
pub use task::plain_name;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::source::Source;
use crate::vault::VaultPasswords;
use crate::yaml::{self, Node};

/// Reads a playbook. Look at `diagnostics` before using it: what could not be read is left out.
pub fn parse(source: &Arc<Source>, vault: &VaultPasswords, diagnostics: &mut Diagnostics) -> Playbook {
    let root = yaml::load(source, vault, diagnostics);
    let is_empty = |root: &Node| root.is_null() || root.as_seq().is_some_and(<[Node]>::is_empty);
    if root.as_ref().is_some_and(is_empty) {
        let error = Diagnostic::error(format!("the playbook {} is empty", source.path.display()));
        let path = crate::execute::absolute(&source.path);
        let told = match root.as_ref().is_some_and(Node::is_null) {
            true => format!("Empty playbook, nothing to do: {path}"),
            false => format!("A playbook must contain at least one play: {path}"),
        };
        let error = error.told_alone(told);
        diagnostics.push(error.hint("a playbook is a list of plays, each with `hosts`"));
    }
    let entries = root.map(|root| play::entries(&root, diagnostics)).unwrap_or_default();
    diagnostics.sort();
    Playbook { source: Arc::clone(source), entries }
}

/// Reads a file of tasks, as `include_tasks` names it.
pub fn parse_tasks(source: &Arc<Source>, vault: &VaultPasswords, diagnostics: &mut Diagnostics) -> Vec<Step> {
    let root = yaml::load(source, vault, diagnostics);
    let steps = root.map(|root| task::steps(&root, "a file of tasks", diagnostics)).unwrap_or_default();
    diagnostics.sort();
    steps
}

/// Reads a file of handlers, as a role has one.
pub fn parse_handlers(source: &Arc<Source>, vault: &VaultPasswords, diagnostics: &mut Diagnostics) -> Vec<Step> {
    let root = yaml::load(source, vault, diagnostics);
    let steps = root.map(|root| task::handlers(&root, "a file of handlers", diagnostics)).unwrap_or_default();
    diagnostics.sort();
    steps
}

/// A role's dependencies, each as an item of a play's `roles`.
pub fn parse_dependencies(node: &Node, diagnostics: &mut Diagnostics) -> Vec<Role> {
    list(node, "`dependencies`", diagnostics).iter().filter_map(|item| play::role(item, diagnostics)).collect()
}

/// The keywords that `apply` gives to all tasks of an include: a block without tasks.
pub fn parse_apply(node: &Node, diagnostics: &mut Diagnostics) -> Block {
    task::block(node, diagnostics).unwrap_or_else(|| Block {
        block: Vec::new(),
        rescue: Vec::new(),
        always: Vec::new(),
        when: Vec::new(),
        notify: Vec::new(),
        delegate_to: None,
        common: Common::default(),
        span: node.span.clone(),
    })
}

/// The items of what must be a list; null is an empty one.
fn list<'n>(node: &'n Node, what: &str, diagnostics: &mut Diagnostics) -> &'n [Node] {
    match node.as_seq() {
        Some(items) => items,
        None => {
            if !node.is_null() {
                let message = format!("{what} must be a list, and this is {}", node.describe());
                diagnostics.push(Diagnostic::error(message).at(&node.span).hint("begin each item with `- `"));
            }
            &[]
        }
    }
}

#[cfg(test)]
mod tests;
