//! `validate_argument_spec`: holds variables against a specification.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::host::{Error, Host};
use crate::interpret::Applied;
use crate::module::{Module, Place};
use crate::param::{python_type, truth};
use crate::plan::{Data, Plan};

/// Holds variables against a specification, as a role has one in `meta/argument_specs.yml`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ValidateArgumentSpec {
    /// Of each variable by its name: `type`, `required`, `choices`, `elements`, `options`, `default`.
    argument_spec: Map<String, Value>,
    /// The variables; by default those of the host that the specification names.
    #[serde(default)]
    provided_arguments: Map<String, Value>,
    /// What the specification is of; for messages.
    validate_args_context: Option<Value>,
}

impl Module for ValidateArgumentSpec {
    const NAME: &'static str = "validate_argument_spec";
    const PLACE: Place = Place::Controller;

    fn plan(&self, _host: &dyn Host) -> Result<Plan, Error> {
        let errors = self.errors();
        if errors.is_empty() {
            return Ok(Plan::nothing()
                .returning("msg", "The arg spec validation passed")
                .returning("validate_args_context", self.validate_args_context.clone()));
        }
        Err(Error::Failed(format!("Validation of arguments failed:\n{}", errors.join("\n"))))
    }

    fn report(&self, _applied: &Applied) -> Data {
        let context = self.validate_args_context.clone().unwrap_or_default();
        Data::from_iter([
            ("argument_errors".to_owned(), Value::from(self.errors())),
            ("validate_args_context".to_owned(), context),
        ])
    }
}

impl ValidateArgumentSpec {
    fn errors(&self) -> Vec<String> {
        let mut errors = Vec::new();
        options(&self.argument_spec, &self.provided_arguments, "", &mut errors);
        errors
    }
}

/// Adds what is wrong with the values of `given`, which stand below `path`.
fn options(spec: &Map<String, Value>, given: &Map<String, Value>, path: &str, errors: &mut Vec<String>) {
    let below = |path: &str| if path.is_empty() { String::new() } else { format!(" found in {path}") };
    let missing: Vec<&str> = spec
        .iter()
        .filter(|(name, option)| option["required"] == true && given.get(*name).is_none_or(Value::is_null))
        .map(|(name, _)| name.as_str())
        .collect();
    if !missing.is_empty() {
        errors.push(format!("missing required arguments: {}{}", missing.join(", "), below(path)));
    }
    for (name, value) in given.iter().filter(|(_, value)| !value.is_null()) {
        match spec.get(name) {
            Some(option) => one(name, option, value, path, errors),
            None if path.is_empty() => {}
            None => {
                let known: Vec<&str> = spec.keys().map(String::as_str).collect();
                errors.push(format!("{path}.{name}. Supported parameters include: {}.", known.join(", ")));
            }
        }
    }
}

fn one(name: &str, option: &Value, value: &Value, path: &str, errors: &mut Vec<String>) {
    let wanted = option["type"].as_str().unwrap_or("str");
    if !fits(wanted, value) {
        let within = if path.is_empty() { String::new() } else { format!(" found in '{path}'") };
        errors.push(format!(
            "argument '{name}' is of type {}{within} and we were unable to convert to {wanted}: {}",
            python_type(value),
            why(wanted, value)
        ));
        return;
    }
    if let Some(choices) = option["choices"].as_array().filter(|_| wanted != "list")
        && !choices.iter().any(|choice| text(choice) == text(value))
    {
        let choices: Vec<String> = choices.iter().map(text).collect();
        errors.push(format!("value of {name} must be one of: {}, got: {}", choices.join(", "), text(value)));
    }
    let path = if path.is_empty() { name.to_owned() } else { format!("{path} -> {name}") };
    let items = match value {
        Value::Array(items) => items.clone(),
        Value::String(text) if wanted == "list" => text.split(',').map(Value::from).collect(),
        single => vec![single.clone()],
    };
    if let (Some(elements), "list") = (option["elements"].as_str(), wanted) {
        for item in items.iter().filter(|item| !fits(elements, item)) {
            errors.push(format!(
                "Elements value for option '{name}' is of type {} and we were unable to convert to {elements}: {}",
                python_type(item),
                why(elements, item)
            ));
        }
        if let Some(choices) = option["choices"].as_array() {
            let wrong: Vec<String> =
                items.iter().map(text).filter(|item| !choices.iter().any(|choice| text(choice) == *item)).collect();
            if !wrong.is_empty() {
                let choices: Vec<String> = choices.iter().map(text).collect();
                errors.push(format!(
                    "value of {name} must be one or more of: {}. Got no match for: {}",
                    choices.join(", "),
                    wrong.join(", ")
                ));
            }
        }
    }
    if let Some(inner) = option["options"].as_object() {
        items.iter().filter_map(Value::as_object).for_each(|item| options(inner, item, &path, errors));
    }
}

/// Whether Ansible would convert the value.
fn fits(wanted: &str, value: &Value) -> bool {
    match (wanted, value) {
        ("str" | "path" | "raw" | "json" | "jsonarg" | "bytes" | "bits", _) => true,
        ("bool", Value::Bool(_)) => true,
        ("bool", Value::Number(number)) => matches!(number.as_f64(), Some(0.0 | 1.0)),
        ("bool", Value::String(text)) => truth(text).is_some(),
        ("int", Value::Number(number)) => number.as_f64().is_some_and(|number| number.fract() == 0.0),
        ("int", Value::String(text)) => text.trim().parse::<i64>().is_ok(),
        ("float", Value::Number(_)) => true,
        ("float", Value::String(text)) => text.trim().parse::<f64>().is_ok(),
        ("list", Value::Array(_) | Value::String(_) | Value::Number(_)) => true,
        ("dict", Value::Object(_)) => true,
        ("dict", Value::String(text)) => text.trim_start().starts_with('{') || text.contains('='),
        ("bool" | "int" | "float" | "list" | "dict", _) => false,
        _ => true,
    }
}

/// Ansible's words for it.
fn why(wanted: &str, value: &Value) -> String {
    let shown = match value {
        Value::String(text) => format!("'{text}'"),
        other => other.to_string(),
    };
    match wanted {
        "int" => format!("\"{shown}\" cannot be converted to an int"),
        "float" => format!("\"{shown}\" cannot be converted to a float"),
        "dict" => "dictionary requested, could not parse JSON or key=value".into(),
        "bool" => format!("The value {shown} is not a valid boolean."),
        _ => format!("\"{shown}\" cannot be converted to a {wanted}"),
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
