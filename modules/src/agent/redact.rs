//! What was secret among what a task was given is not in what it answers.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::error::Error;
use crate::param::SECRET_KEY;
use crate::secret::REDACTED;
use crate::wire::{Answer, Outcome, Task};

/// An outcome in which the secrets that a task was given are replaced.
pub fn without_secrets(outcome: Outcome, task: &Task) -> Outcome {
    scrub(outcome, &secrets(task))
}

/// The secrets that a task was given, longest first.
pub(super) fn secrets(task: &Task) -> Vec<String> {
    let mut found: BTreeSet<String> = task.secrets.iter().cloned().collect();
    collect_secrets(&task.params, &mut found);
    task.environment.values().for_each(|value| collect_secrets(value, &mut found));
    found.extend(task.become_.iter().filter_map(|become_| become_.password.clone()));
    // What is shorter could be a part of anything.
    let mut found: Vec<String> = found.into_iter().filter(|secret| secret.len() >= 3).collect();
    found.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    found
}

/// The secrets that are marked as such in a value.
pub fn collect_secrets(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => match map.get(SECRET_KEY).and_then(|secret| secret.as_str()) {
            Some(secret) => drop(into.insert(secret.to_owned())),
            None => map.values().for_each(|value| collect_secrets(value, into)),
        },
        Value::Array(values) => values.iter().for_each(|value| collect_secrets(value, into)),
        _ => {}
    }
}

/// The last door: a module keeps secrets by type, but a program or a server may repeat one in what it says.
pub(super) fn scrub(outcome: Outcome, secrets: &[String]) -> Outcome {
    fn clean(value: &mut Value, secrets: &[String]) {
        match value {
            Value::String(text) => {
                for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
                    if text.contains(secret.as_str()) {
                        *text = text.replace(secret.as_str(), REDACTED);
                    }
                }
            }
            Value::Array(values) => values.iter_mut().for_each(|value| clean(value, secrets)),
            Value::Object(map) => map.values_mut().for_each(|value| clean(value, secrets)),
            _ => {}
        }
    }
    if secrets.is_empty() {
        return outcome;
    }
    // Over the text, as the wire has it: what would turn outcomes into values and back would be in the agent for this alone.
    let mut value: Value = serde_json::to_vec(&outcome)
        .and_then(|text| serde_json::from_slice(&text))
        .expect("outcomes have only text keys");
    clean(&mut value, secrets);
    // A secret that equals a word of the protocol can't be cleaned away without breaking it; then nothing is shown.
    serde_json::to_vec(&value)
        .and_then(|text| serde_json::from_slice(&text))
        .unwrap_or_else(|_| Outcome::Failed(Error::Failed("the answer is withheld".into()), Answer::default()))
}
