//! Values as people and keywords take them: as a text, as a truth, as a kind.

use trueup_modules::secret::REDACTED;

use crate::execute::json::shown;
use crate::value::{Map, Value};

/// The variables of a dictionary in a playbook.
pub(in crate::execute) fn mapping(map: &crate::yaml::Mapping) -> Map {
    map.iter().map(|(name, entry)| (name.clone(), entry.value.to_value())).collect()
}

/// As Ansible reads a boolean keyword from a template.
pub(in crate::execute) fn truthy(value: &Value) -> bool {
    match value {
        Value::Bool(flag) => *flag,
        Value::Int(int) => *int != 0,
        Value::Str(text) => trueup_modules::param::truth(text) == Some(true),
        _ => false,
    }
}

/// A value as text, for labels and names. A secret is not shown.
pub(in crate::execute) fn show(value: &Value) -> String {
    match value {
        Value::Str(text) => text.clone(),
        Value::Secret(_) => REDACTED.into(),
        Value::Unknown(why) => format!("({why})"),
        other => shown(other).unwrap_or_default().to_string(),
    }
}

pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Int(_) | Value::Float(_) => "a number",
        Value::Str(_) | Value::Template(_) => "a text",
        Value::Secret(_) => "a secret",
        Value::Unknown(_) => "not known yet",
        Value::Omit => "omitted",
        Value::List(_) => "a list",
        Value::Map(_) => "a dictionary",
    }
}
