//! `set_fact`: the names that it sets, and what the items of a loop tell each other.

use std::sync::Arc;

use serde_json::Value as Json;

use super::{Lower, LowerError, Work};
use crate::compile::Step;
use crate::execute::json::from_object;
use crate::playbook::is_variable;
use crate::source::Span;
use crate::template::{Lookup, is_template};
use crate::value::{Map, Template, Value};

/// The variables that an item sets.
pub(super) fn set_by(step: &Step, work: &Work) -> Option<Map> {
    match work {
        Work::Task(task) if step.entry.name == "set_fact" => match &task.params {
            Json::Object(facts) => Some(from_object(facts.clone())),
            _ => None,
        },
        _ => None,
    }
}

impl Lower<'_> {
    /// The names of variables may be templates, too; and they must be names.
    pub(super) fn named(&self, step: &Step, params: Map, vars: &Arc<dyn Lookup>) -> Result<Map, LowerError> {
        let mut named = Map::new();
        for (name, value) in params {
            let span = step.task.args.params.get(&name).map_or(&step.task.span, |entry| &entry.key);
            let name = match is_template(&name) {
                true => {
                    variable(self.render(&Template { text: name, span: span.clone(), secret: false }, vars)?, span)?
                }
                false => variable(Value::Str(name), span)?,
            };
            named.insert(name, value);
        }
        Ok(named)
    }
}

fn variable(name: Value, span: &Span) -> Result<String, LowerError> {
    // In Ansible's words, which say the type of all but texts.
    let shown = match &name {
        Value::Str(text) if is_variable(text) => return Ok(text.clone()),
        Value::Str(text) => format!(" '{text}'"),
        Value::Bool(true) => " 'True'".into(),
        Value::Bool(false) => " 'False'".into(),
        Value::Null => " 'None'".into(),
        Value::Int(number) => format!(" '{number}'"),
        Value::Float(number) => format!(" '{number}'"),
        _ => String::new(),
    };
    let kind = match &name {
        Value::Str(_) => String::new(),
        other => format!(" of type '{}'", other.native_type()),
    };
    Err(LowerError::Value(span.clone(), format!("Invalid variable name{shown}{kind}.")))
}
