//! Lists and dictionaries that a template makes and then changes: `{% set _ = found.append(item) %}`.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indexmap::IndexMap;
use minijinja::value::{Enumerator, Object, ObjectRepr, Value};

use super::text;

/// A list.
#[derive(Debug, Default)]
pub(crate) struct List(Mutex<Vec<Value>>);

impl List {
    pub(crate) fn new(items: Vec<Value>) -> Self {
        Self(Mutex::new(items))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Vec<Value>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }
}

impl Object for List {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.lock().get(key.as_usize()?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.len())
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::repr(&Value::from_dyn_object(Arc::clone(self))).map_err(|_| fmt::Error)?)
    }
}

/// A dictionary.
#[derive(Debug, Default)]
pub(crate) struct Dict(Mutex<IndexMap<Value, Value>>);

impl Dict {
    pub(crate) fn new(items: IndexMap<Value, Value>) -> Self {
        Self(Mutex::new(items))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, IndexMap<Value, Value>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }
}

impl Object for Dict {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.lock().get(key).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.lock().keys().cloned().collect())
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::repr(&Value::from_dyn_object(Arc::clone(self))).map_err(|_| fmt::Error)?)
    }
}

/// A list that a template may change.
pub(crate) fn list(items: Vec<Value>) -> Value {
    Value::from_object(List::new(items))
}

/// A dictionary that a template may change.
pub(crate) fn dict(items: impl IntoIterator<Item = (Value, Value)>) -> Value {
    Value::from_object(Dict::new(items.into_iter().collect()))
}
