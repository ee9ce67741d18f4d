//! Statements that bring one object to its desired state, each with what it changes.

use crate::edit::{Diff, Edit, Reach, Shown};
use crate::plan::Plan;
use crate::sql::PgConn;

/// Collects them, in order.
pub(super) struct Changes {
    at: PgConn,
    subject: String,
    edits: Vec<Edit>,
}

impl Changes {
    /// `subject`: `role bob`, `database shop`.
    pub(super) fn new(at: PgConn, subject: impl Into<String>) -> Self {
        Self { at, subject: subject.into(), edits: Vec::new() }
    }

    /// A statement that changes one aspect.
    pub(super) fn set(
        &mut self,
        aspect: &str,
        before: impl Into<Shown>,
        after: impl Into<Shown>,
        statement: impl Into<String>,
    ) {
        let diff = Diff::new(&self.subject, aspect, before, after);
        self.edit(statement.into(), vec![diff], false);
    }

    /// A statement that cannot run in a transaction block.
    pub(super) fn outside(&mut self, statement: impl Into<String>, effect: Vec<Diff>) {
        self.edit(statement.into(), effect, true);
    }

    /// A statement that changes several aspects.
    pub(super) fn make(&mut self, statement: impl Into<String>, effect: Vec<Diff>) {
        self.edit(statement.into(), effect, false);
    }

    fn edit(&mut self, statement: String, effect: Vec<Diff>, autocommit: bool) {
        let (at, reach) = (self.at.clone(), Reach::Server);
        self.edits.push(Edit::Sql { at, statement, args: Vec::new(), autocommit, reach, effect });
    }

    pub(super) fn plan(self) -> Plan {
        Plan { edits: self.edits, ..Plan::default() }
    }
}

/// Whether a text parameter says what is there; one that is not given agrees with anything.
pub(super) fn agrees(wanted: Option<&String>, seen: Option<&str>) -> bool {
    wanted.is_none_or(|wanted| Some(wanted.as_str()) == seen)
}

/// A text of a row, by its place.
pub(super) fn text(row: &[serde_json::Value], at: usize) -> Option<&str> {
    row.get(at).and_then(serde_json::Value::as_str)
}
