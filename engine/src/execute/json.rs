//! Values as the wire has them, and back.

use serde_json::{Map as JsonMap, Value as Json, json};
use trueup_modules::param::SECRET_KEY;

use crate::value::{Map, Value, Why};

/// A rendered value for the agent; secrets are marked. What is still unknown is the error.
pub(crate) fn to_json(value: &Value) -> Result<Json, Why> {
    Ok(match value {
        Value::Null | Value::Omit => Json::Null,
        Value::Bool(bool) => json!(bool),
        Value::Int(int) => json!(int),
        Value::Float(float) => json!(float),
        Value::Str(text) => json!(text),
        Value::Template(template) => json!(template.text),
        Value::Secret(secret) => json!({ SECRET_KEY: secret.expose() }),
        Value::Unknown(why) => return Err(why.clone()),
        Value::List(items) => Json::Array(items.iter().map(to_json).collect::<Result<_, _>>()?),
        Value::Map(map) => {
            let entries = map.iter().map(|(key, value)| Ok((key.clone(), to_json(value)?)));
            Json::Object(entries.collect::<Result<JsonMap<_, _>, Why>>()?)
        }
    })
}

/// What a module returned. Its texts are final: they are never templates.
pub(super) fn from_json(json: Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(bool) => Value::Bool(bool),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(int), _) => Value::Int(int),
            (None, float) => Value::Float(float.unwrap_or_default()),
        },
        Json::String(text) => Value::Str(text),
        Json::Array(items) => Value::List(items.into_iter().map(from_json).collect()),
        Json::Object(map) => match map.get(SECRET_KEY).and_then(Json::as_str) {
            Some(secret) if map.len() == 1 => Value::Secret(trueup_modules::secret::Secret::new(secret)),
            _ => Value::Map(from_object(map)),
        },
    }
}

/// The same for a dictionary.
pub(super) fn from_object(map: JsonMap<String, Json>) -> Map {
    map.into_iter().map(|(key, value)| (key, from_json(value))).collect()
}

/// A value as it may be shown, if it is known.
pub(super) fn shown(value: &Value) -> Option<Json> {
    let mut json = to_json(value).ok()?;
    redact(&mut json);
    Some(json)
}

/// What may be shown of returned data: secrets are replaced.
pub(super) fn redact(json: &mut Json) {
    match json {
        Json::Array(items) => items.iter_mut().for_each(redact),
        Json::Object(map) if map.len() == 1 && map.contains_key(SECRET_KEY) => {
            *json = json!(trueup_modules::secret::REDACTED);
        }
        Json::Object(map) => map.values_mut().for_each(redact),
        _ => {}
    }
}
