//! What one evaluation knows: which variables it is in the middle of, what it has rendered already, and whether it has
//! read a secret or something unknown.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::source::Span;
use crate::value::Why;

use super::error::{Problem, TemplateError, Via};
use super::eval::Engine;
use super::lazy::Context;

/// What was read on the way to a value, and decides what becomes of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flags {
    /// A secret: the value is one, too.
    pub tainted: bool,
    /// Something that is not known yet: neither is the value.
    pub unknown: Option<Why>,
}

impl Flags {
    fn merge(&mut self, other: &Self) {
        self.tainted |= other.tainted;
        if self.unknown.is_none() {
            self.unknown.clone_from(&other.unknown);
        }
    }
}

/// A template is identified by the variables it is rendered with and the place of its definition in memory: both live
/// and stay unchanged as long as the evaluation.
pub(crate) type Key = (usize, usize);

/// The outcome of rendering a variable's definition.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Value(minijinja::Value),
    /// The definition uses something undefined, which makes the variable itself undefined.
    Undefined,
    /// The evaluation has failed; the scope holds the error.
    Failed,
}

#[derive(Default)]
struct State {
    flags: Flags,
    rendered: HashMap<Key, (Outcome, Flags)>,
    hosts: HashMap<String, Arc<Context>>,
    wrapped: HashMap<Key, minijinja::Value>,
    stack: Vec<(Key, Via)>,
    failure: Option<TemplateError>,
    undefined: HashMap<String, TemplateError>,
    missing: Option<TemplateError>,
}

/// One evaluation.
pub(crate) struct Scope {
    pub engine: Arc<Engine>,
    state: Mutex<State>,
}

impl Scope {
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        Self { engine, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn taint(&self) {
        self.state().flags.tainted = true;
    }

    pub(crate) fn not_known(&self, why: &Why) {
        self.state().flags.merge(&Flags { tainted: false, unknown: Some(why.clone()) });
    }

    pub(crate) fn flags(&self) -> Flags {
        self.state().flags.clone()
    }

    /// Runs `read` and says what it alone has read; the evaluation's own flags stay as they were.
    pub(crate) fn apart<T>(&self, read: impl FnOnce() -> T) -> (T, Flags) {
        let before = std::mem::take(&mut self.state().flags);
        let value = read();
        let flags = std::mem::replace(&mut self.state().flags, before);
        (value, flags)
    }

    /// Another host's variables. They are kept to the end of the evaluation: a [`Key`] holds an address, and that must
    /// not come to mean something else.
    pub(crate) fn host(&self, name: &str, make: impl FnOnce() -> Option<Arc<Context>>) -> Option<Arc<Context>> {
        if let Some(found) = self.state().hosts.get(name) {
            return Some(Arc::clone(found));
        }
        let made = make()?;
        self.state().hosts.insert(name.to_owned(), Arc::clone(&made));
        Some(made)
    }

    /// The object that stands for a container, made at the first reading.
    pub(crate) fn wrap(&self, key: Key, make: impl FnOnce() -> minijinja::Value) -> minijinja::Value {
        self.state().wrapped.entry(key).or_insert_with(make).clone()
    }

    /// Renders the definition of `via` once; a second time yields the same.
    pub(crate) fn render_once(
        &self,
        key: Key,
        via: Via,
        render: impl FnOnce() -> Result<minijinja::Value, TemplateError>,
    ) -> Outcome {
        let mut state = self.state();
        if let Some((outcome, flags)) = state.rendered.get(&key).cloned() {
            state.flags.merge(&flags);
            return outcome;
        }
        if let Some(start) = state.stack.iter().position(|(k, _)| *k == key) {
            let mut path: Vec<Via> = state.stack[start..].iter().map(|(_, via)| via.clone()).collect();
            path.push(via.clone());
            state.failure.get_or_insert_with(|| TemplateError::new(Problem::Cycle(path), via.span));
            return Outcome::Failed;
        }
        state.stack.push((key, via.clone()));
        drop(state);
        let (result, flags) = self.apart(render);
        let mut state = self.state();
        state.stack.pop();
        state.flags.merge(&flags);
        let outcome = match result {
            Ok(value) => Outcome::Value(value),
            Err(mut error) => {
                if !matches!(error.problem, Problem::Cycle(_)) {
                    error.via.push(via.clone());
                }
                if error.is_undefined() {
                    state.missing = Some(error.clone());
                    state.undefined.insert(via.name, error);
                    Outcome::Undefined
                } else {
                    state.failure.get_or_insert(error);
                    Outcome::Failed
                }
            }
        };
        state.rendered.insert(key, (outcome.clone(), flags));
        outcome
    }

    /// Why the variable `name` counts as undefined though it has a definition.
    pub(crate) fn why_undefined(&self, name: &str) -> Option<TemplateError> {
        self.state().undefined.get(name).cloned()
    }

    /// Why the last value that has no name of its own is undefined.
    pub(crate) fn why_missing(&self) -> Option<TemplateError> {
        self.state().missing.clone()
    }

    /// Notes that.
    pub(crate) fn note_missing(&self, why: TemplateError) {
        self.state().missing = Some(why);
    }

    /// Ends the evaluation with an error that knows its place already.
    pub(crate) fn fail(&self, error: TemplateError) {
        self.state().failure.get_or_insert(error);
    }

    /// The error that ended the evaluation, if it happened in the definition of a variable.
    pub(crate) fn take_failure(&self) -> Option<TemplateError> {
        self.state().failure.take()
    }

    /// Drops all values that were rendered.
    pub(crate) fn forget(&self) {
        let state = std::mem::take(&mut *self.state());
        drop(state);
    }

    /// The innermost definition being rendered.
    pub(crate) fn current_span(&self) -> Option<Span> {
        self.state().stack.last().map(|(_, via)| via.span.clone())
    }
}
