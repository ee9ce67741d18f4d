//! A task's parameters, rendered: those that are given, and `module_defaults` for the rest.

use std::sync::Arc;

use serde_json::{Map as JsonMap, Value as Json};

use super::{Lower, LowerError, kind};
use crate::compile::Step;
use crate::execute::json::to_json;
use crate::template::Lookup;
use crate::value::{Map, Template, Value};
use crate::yaml::Node;

impl Lower<'_> {
    pub(super) fn params(&self, step: &Step, vars: &Arc<dyn Lookup>) -> Result<JsonMap<String, Json>, LowerError> {
        let args = &step.task.args;
        let mut params = Map::new();
        if let Some(template) = &args.rendered {
            params.extend(self.dictionary(template, "args", vars)?);
        }
        if let (Some(name), Some(node)) = (step.entry.free_form, &args.free_form) {
            let value =
                self.templar.resolve(&node.to_value(), vars).map_err(|error| of_arg(step, "_raw_params", error))?;
            params.insert(name.into(), value);
        }
        if let (None, Some(node)) = (step.entry.free_form, &args.free_form) {
            match self.templar.resolve(&node.to_value(), vars)? {
                Value::Map(map) => params.extend(map),
                Value::Unknown(why) => return Err(LowerError::Unknown(why)),
                other => {
                    let message =
                        format!("`{}` takes parameters, and this comes to {}", step.task.written, kind(&other));
                    return Err(LowerError::Value(node.span.clone(), message));
                }
            }
        }
        if step.entry.name == "assert" || step.entry.name == "debug" {
            return self.expressions(step, params, vars);
        }
        // What `apply` says is rendered where it is applied.
        let rendered = |name: &&String| !(step.turns() && *name == "apply");
        for (name, entry) in args.params.iter().filter(|(name, _)| rendered(name)) {
            let value = self.param(name, &entry.value, vars).map_err(|error| of_arg(step, name, error))?;
            if value != Value::Omit {
                params.insert(name.clone(), value);
            }
        }
        self.defaults(step, &mut params, vars)?;
        match step.entry.name {
            "template" => self.template(step, &mut params, vars)?,
            "copy" => self.copy(step, &mut params, vars)?,
            "script" => self.script(step, &mut params)?,
            "assemble" => self.assemble(step, &mut params)?,
            "unarchive" => self.unarchive(step, &mut params)?,
            "fetch" => self.fetch(step, &mut params, vars)?,
            "include_vars" => self.include_vars(step, &mut params)?,
            "set_fact" => params = self.named(step, params, vars)?,
            "validate_argument_spec" => self.provided(&mut params, vars)?,
            _ => {}
        }
        params.into_iter().map(|(name, value)| Ok((name, to_json(&value).map_err(LowerError::Unknown)?))).collect()
    }

    fn param(&self, name: &str, node: &Node, vars: &Arc<dyn Lookup>) -> Result<Value, LowerError> {
        match (name, node.file_mode()) {
            ("mode" | "directory_mode", Ok(mode)) if !node.is_template() => Ok(Value::Str(mode)),
            _ => Ok(self.templar.resolve(&node.to_value(), vars)?),
        }
    }

    /// `module_defaults`, for what is not given.
    fn defaults(&self, step: &Step, params: &mut Map, vars: &Arc<dyn Lookup>) -> Result<(), LowerError> {
        let args = &step.task.args;
        if args.defaults.is_empty() && args.rendered_defaults.is_none() {
            return Ok(());
        }
        // What is omitted is given, too.
        let names = params.keys().chain(args.params.keys());
        let given: Vec<String> = names.filter_map(|name| step.entry.canonical(name)).collect();
        let missing = |name: &str| step.entry.canonical(name).is_none_or(|name| !given.contains(&name));
        let mut add = |name: &str, value: Value| {
            if value != Value::Omit {
                params.insert(name.into(), value);
            }
        };
        for (name, entry) in args.defaults.iter().filter(|(name, _)| missing(name)) {
            add(name, self.param(name, &entry.value, vars)?);
        }
        if let Some(template) = &args.rendered_defaults {
            let all = self.dictionary(template, "module_defaults", vars)?;
            all.into_iter().filter(|(name, _)| missing(name)).for_each(|(name, value)| add(&name, value));
        }
        Ok(())
    }

    fn dictionary(&self, template: &Template, keyword: &str, vars: &Arc<dyn Lookup>) -> Result<Map, LowerError> {
        match self.render(template, vars)? {
            Value::Map(map) => Ok(map),
            other => Err(LowerError::Value(
                template.span.clone(),
                format!("`{keyword}` must be a dictionary, and this is {}", kind(&other)),
            )),
        }
    }
}

/// What Ansible says of a parameter that cannot be rendered.
pub(super) fn of_arg(step: &Step, name: &str, error: impl Into<LowerError>) -> LowerError {
    error.into().within(|| {
        let module = &step.task.module.value;
        let module = if module.contains('.') { module.clone() } else { format!("ansible.builtin.{module}") };
        format!("Finalization of task args for '{module}' failed: Error while resolving value for '{name}': ")
    })
}
