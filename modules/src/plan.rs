//! What a module returns.

use serde_json::{Map, Value};

use crate::edit::{Diff, Edit};

/// What a task registers: the module's return values by name.
pub type Data = Map<String, Value>;

/// The edits that bring a host to the desired state, in order, and what the module has to say. No edits: nothing to do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// To be performed in this order.
    pub edits: Vec<Edit>,
    /// Return values that are known already.
    pub data: Data,
    /// What the user should know, though nothing is wrong.
    pub warnings: Vec<String>,
    /// If an edit fails, put the files that were written before it back as they were.
    pub all_or_nothing: bool,
    /// Planning again finds the same to do: what is started ends by itself.
    pub repeats: bool,
    /// If a server warns while it executes a statement, what follows is not done: the warning is the failure.
    pub stops_at_warnings: bool,
}

impl Plan {
    /// A plan that does nothing.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// Whether applying changes anything, rather than only waits, tidies up, or has a program look again.
    pub fn changes(&self) -> bool {
        self.edits.iter().any(|edit| !edit.is_upkeep() && !matches!(edit, Edit::Wait(_) | Edit::Forget(_)))
    }

    /// Adds an edit.
    #[must_use]
    pub fn with(mut self, edit: Edit) -> Self {
        self.edits.push(edit);
        self
    }

    /// Adds a return value.
    #[must_use]
    pub fn returning(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.data.insert(name.into(), value.into());
        self
    }

    /// All that would change, as it may be shown.
    pub fn diffs(&self) -> Vec<Diff> {
        self.edits.iter().flat_map(Edit::diffs).collect()
    }
}
