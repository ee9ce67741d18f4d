//! A task's environment, which the commands that it runs are given.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::edit::Edit;
use crate::error::Error;
use crate::host::{Command, Input};
use crate::param::SECRET_KEY;
use crate::plan::Plan;
use crate::secret::Secret;

/// The plan with it. A secret of the environment must not have come into an argument, which everybody on the host can see.
pub(super) fn with(mut plan: Plan, environment: &BTreeMap<String, Value>) -> Result<Plan, Error> {
    for edit in &mut plan.edits {
        let Edit::Run { command, .. } = edit else { continue };
        add(command, environment);
        for (name, value) in &command.env {
            let Input::Secret(secret) = value else { continue };
            if !secret.expose().is_empty() && command.args.iter().any(|arg| arg.contains(secret.expose())) {
                let reason = format!("${name} is secret, but every user of the host can see arguments while it runs");
                return Err(Error::param("cmd", reason));
            }
        }
    }
    Ok(plan)
}

/// Adds it to a command.
pub(crate) fn add(command: &mut Command, environment: &BTreeMap<String, Value>) {
    for (name, value) in environment {
        let input = match (value.get(SECRET_KEY).and_then(|text| text.as_str()), value.as_str()) {
            (Some(secret), _) => Input::Secret(Secret::new(secret)),
            (None, Some(text)) => Input::Plain(text.into()),
            (None, None) => Input::Plain(value.to_string()),
        };
        command.env.entry(name.clone()).or_insert(input);
    }
}
