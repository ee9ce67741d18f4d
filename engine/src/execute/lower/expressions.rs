//! `assert` and `debug`, whose parameters are expressions: they are evaluated here.

use std::sync::Arc;

use serde_json::{Map as JsonMap, Value as Json, json};

use super::{CONDITIONAL, Lower, LowerError, of_arg, show};
use crate::compile::Step;
use crate::execute::json::to_json;
use crate::source::Span;
use crate::template::{Lookup, Truth};
use crate::value::{Map, Value};
use crate::yaml::{Data, Node};

/// One of the conditions of `that`.
struct Assertion {
    /// As it is reported.
    told: Json,
    text: String,
    span: Span,
    /// It came as a value: it is not what the playbook's author wrote here.
    given: bool,
}

impl Lower<'_> {
    /// What the module needs: of an expression its value, and of a condition whether it holds. `splat` are parameters that
    /// came from one template.
    pub(super) fn expressions(
        &self,
        step: &Step,
        splat: Map,
        vars: &Arc<dyn Lookup>,
    ) -> Result<JsonMap<String, Json>, LowerError> {
        let known = |value: &Value| to_json(value).map_err(LowerError::Unknown);
        let mut params = JsonMap::new();
        for (name, value) in splat {
            match (step.entry.name, name.as_str(), &value) {
                ("assert", "that", value) => {
                    let each = conditions(value, &step.task.span);
                    params.insert(name, self.assertions(each, vars)?);
                }
                ("debug", "var", Value::Str(text)) => {
                    params.insert("value".into(), known(&self.shown(text, &step.task.span, vars)?)?);
                    params.insert(name, json!(text));
                }
                (_, _, Value::Omit) => {}
                _ => drop(params.insert(name, known(&value)?)),
            }
        }
        for (name, entry) in step.task.args.given() {
            let node = &entry.value;
            let value = match (step.entry.name, name.as_str()) {
                ("assert", "that") => self.assertions(self.conditions_of(node, vars), vars)?,
                ("debug", "var") => {
                    let text = node.as_scalar().map(|scalar| scalar.text.clone()).unwrap_or_default();
                    params.insert("value".into(), known(&self.shown(&text, &node.span, vars)?)?);
                    json!(text)
                }
                _ => match self.templar.resolve(&node.to_value(), vars).map_err(|error| of_arg(step, name, error))? {
                    Value::Omit => continue,
                    value => known(&value)?,
                },
            };
            params.insert(name.clone(), value);
        }
        Ok(params)
    }

    /// What `debug` shows of an expression.
    fn shown(&self, text: &str, span: &Span, vars: &Arc<dyn Lookup>) -> Result<Value, LowerError> {
        let value = self.templar.expression(text, span, vars);
        match value.and_then(|value| self.templar.resolve(&value, vars)) {
            // What Ansible shows in its place.
            Err(error) if error.is_undefined() => Ok(Value::Str(format!("<< error 1 - {error} >>"))),
            value => Ok(value?),
        }
    }

    /// The conditions of `that` as it is written: a list, one, or a template that comes to a list.
    fn conditions_of(&self, that: &Node, vars: &Arc<dyn Lookup>) -> Vec<Assertion> {
        let text = |node: &Node| node.as_scalar().map(|scalar| scalar.text.clone()).unwrap_or_default();
        let one = |node: &Node| Assertion {
            told: json!(text(node)),
            text: text(node),
            span: node.span.clone(),
            given: false,
        };
        match &that.data {
            Data::Seq(list) => list.iter().map(one).collect(),
            _ if that.is_template() => match self.templar.resolve(&that.to_value(), vars) {
                Ok(list @ Value::List(_)) => conditions(&list, &that.span),
                _ => vec![one(that)],
            },
            _ => vec![one(that)],
        }
    }

    fn assertions(&self, that: Vec<Assertion>, vars: &Arc<dyn Lookup>) -> Result<Json, LowerError> {
        let mut checked = Vec::new();
        for Assertion { told, text, span, given } in that {
            // A text that came as a value may come from anywhere: it may compare, but not act.
            if given && looks_up(&text) {
                let refused = "Encountered untrusted template or expression.";
                return Err(LowerError::Value(span, refused.into()));
            }
            if text.trim().is_empty() {
                return Err(LowerError::Value(span, "Empty conditional expressions are not allowed.".into()));
            }
            let truth = self.templar.condition(&text, &span, vars);
            let holds = match truth.map_err(|error| LowerError::from(error).within(|| CONDITIONAL.to_owned()))? {
                Truth::Yes => true,
                Truth::No => false,
                Truth::Unknown(why) => return Err(LowerError::Unknown(why)),
            };
            checked.push(json!({"expression": told, "holds": holds}));
            // It has failed by now: the others are not looked at.
            if !holds {
                break;
            }
        }
        Ok(Json::Array(checked))
    }
}

/// The conditions of `that` where it is a value.
fn conditions(that: &Value, span: &Span) -> Vec<Assertion> {
    let one = |value: &Value| {
        let (told, text) = match value {
            Value::Bool(flag) => (json!(flag), flag.to_string()),
            other => (json!(show(other)), show(other)),
        };
        Assertion { told, text, span: span.clone(), given: true }
    };
    match that {
        Value::List(list) => list.iter().map(one).collect(),
        single => vec![one(single)],
    }
}

/// Whether an expression may read files or run programs of the controller.
fn looks_up(text: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| matches!(word, "lookup" | "query" | "q"))
}
