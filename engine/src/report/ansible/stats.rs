//! What `set_stats` has set over a run.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::python;
use crate::event::TaskResult;

/// Of the whole run, and of each host.
#[derive(Default)]
pub(super) struct Stats {
    run: Map<String, Value>,
    hosts: BTreeMap<String, Map<String, Value>>,
}

impl Stats {
    pub(super) fn add(&mut self, result: &TaskResult) {
        let Some(stats) = result.data.get("ansible_stats") else { return };
        let own = stats["per_host"] == true;
        let into = if own { self.hosts.entry(result.host.clone()).or_default() } else { &mut self.run };
        for (name, value) in stats["data"].as_object().into_iter().flatten() {
            let value = match into.get(name).filter(|_| stats["aggregate"] != false) {
                Some(known) => sum(known, value),
                None => value.clone(),
            };
            into.insert(name.clone(), value);
        }
    }

    /// Of the run, and by host.
    pub(super) fn parts(&self) -> [Value; 2] {
        [json!(self.run), json!(self.hosts)]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.run.is_empty() && self.hosts.is_empty()
    }

    pub(super) fn lines(&self) -> Vec<String> {
        let dump = |map: &Map<String, Value>| python::dumps_folded(&Value::Object(map.clone()));
        let mut lines: Vec<String> = self.hosts.iter().map(|(host, own)| format!("\t{host}: {}", dump(own))).collect();
        if !self.run.is_empty() {
            lines.push(format!("\n\tRUN: {}", dump(&self.run)));
        }
        lines
    }
}

/// As Python's `+`, and dictionaries merged; of values of two kinds the first stays.
fn sum(known: &Value, more: &Value) -> Value {
    match (known, more) {
        (Value::Object(known), Value::Object(more)) => {
            let mut all = known.clone();
            all.extend(more.clone());
            Value::Object(all)
        }
        (Value::Array(known), Value::Array(more)) => known.iter().chain(more).cloned().collect(),
        (Value::String(known), Value::String(more)) => format!("{known}{more}").into(),
        (Value::Number(known), Value::Number(more)) => match (known.as_i64(), more.as_i64()) {
            (Some(known), Some(more)) => known.saturating_add(more).into(),
            _ => (known.as_f64().unwrap_or_default() + more.as_f64().unwrap_or_default()).into(),
        },
        _ => known.clone(),
    }
}
