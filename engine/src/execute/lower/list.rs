//! The list that a loop goes over.

use std::sync::Arc;

use super::{Lower, LowerError, kind};
use crate::execute::vars::Over;
use crate::playbook::{LoopOver, Spanned};
use crate::template::{Lookup, Problem};
use crate::value::{Map, Value};
use crate::yaml::Node;

impl Lower<'_> {
    pub(super) fn list(&self, over: &LoopOver, module: &str, vars: &Arc<dyn Lookup>) -> Result<Vec<Value>, LowerError> {
        let (node, flatten) = match over {
            LoopOver::List(node) => (node, false),
            LoopOver::Lookup(name, node) if name.value == "items" => (node, true),
            LoopOver::Lookup(name, node) => return self.looked_up(name, node, module, vars),
        };
        match self.templar.resolve(&node.to_value(), vars)? {
            Value::List(items) if flatten => Ok(items
                .into_iter()
                .flat_map(|item| match item {
                    Value::List(inner) => inner,
                    single => vec![single],
                })
                .collect()),
            Value::List(items) => Ok(items),
            Value::Unknown(why) => Err(LowerError::Unknown(why)),
            other if flatten => Ok(vec![other]),
            other => {
                Err(LowerError::Value(node.span.clone(), format!("`loop` needs a list, and this is {}", kind(&other))))
            }
        }
    }

    /// The terms of `with_first_found`, of which those that read what is not defined are passed over.
    fn defined(&self, terms: Value, vars: &Arc<dyn Lookup>) -> Option<Value> {
        let defined = |value: Value| self.defined(value, vars);
        Some(match terms {
            Value::List(items) => Value::List(items.into_iter().filter_map(defined).collect()),
            Value::Map(map) => {
                Value::Map(map.into_iter().filter_map(|(key, value)| Some((key, defined(value)?))).collect())
            }
            Value::Template(template) => match self.templar.render(&template, vars) {
                Ok(value) => value,
                Err(error) if matches!(error.problem, Problem::Undefined(_)) => return None,
                // It is told of where all is rendered.
                Err(_) => Value::Template(template),
            },
            known => known,
        })
    }

    /// `with_<lookup>`: what the lookup makes of its terms.
    fn looked_up(
        &self,
        name: &Spanned<String>,
        node: &Node,
        module: &str,
        vars: &Arc<dyn Lookup>,
    ) -> Result<Vec<Value>, LowerError> {
        const TERMS: &str = "ansible_loop_terms";
        let mut terms = node.to_value();
        if name.value.rsplit('.').next() == Some("first_found") {
            terms = self.defined(terms, vars).unwrap_or(Value::List(Vec::new()));
        }
        let terms = match self.templar.resolve(&terms, vars)? {
            Value::Unknown(why) => return Err(LowerError::Unknown(why)),
            Value::List(terms) => terms,
            term => vec![term],
        };
        let given: String = (0..terms.len()).map(|at| format!(", {TERMS}[{at}]")).collect();
        let folder = match name.value.rsplit('.').next() {
            Some("first_found") => format!(", _subdir='{}'", folder(module)),
            _ => String::new(),
        };
        let call = format!("query('{}'{given}{folder})", name.value);
        let terms = Map::from_iter([(TERMS.to_owned(), Value::List(terms))]);
        let vars: Arc<dyn Lookup> = Arc::new(Over { map: terms, below: Arc::clone(vars) });
        match self.templar.expression(&call, &name.span, &vars)? {
            Value::List(items) => Ok(items),
            Value::Unknown(why) => Err(LowerError::Unknown(why)),
            other => Ok(vec![other]),
        }
    }
}

/// In which directory of a role a module's files are, for `with_first_found`.
fn folder(module: &str) -> &'static str {
    match module {
        module if module.contains("template") => "templates",
        module if module.contains("var") => "vars",
        _ => "files",
    }
}
