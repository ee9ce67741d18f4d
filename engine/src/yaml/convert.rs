//! Nodes to values, and values to and from the `serde_yaml` that carries them outside.

use trueup_modules::secret::{REDACTED, Secret};

use super::node::{Data, Node, Scalar};
use super::scalar::Plain;
use crate::value::{Map, Template, Value};

impl Node {
    /// The value that a variable with this node holds: texts with template syntax become templates unless `!unsafe`
    /// stands above them, and what comes from a vault becomes secret. Booleans and nulls of a vault stay what they are.
    pub fn to_value(&self) -> Value {
        match &self.data {
            Data::Scalar(scalar) => self.scalar_value(scalar),
            Data::Seq(items) => Value::List(items.iter().map(Self::to_value).collect()),
            Data::Map(map) => {
                Value::Map(map.iter().map(|(key, entry)| (key.clone(), entry.value.to_value())).collect())
            }
        }
    }

    fn scalar_value(&self, scalar: &Scalar) -> Value {
        match scalar.resolve() {
            Plain::Null => Value::Null,
            Plain::Bool(b) => Value::Bool(b),
            Plain::Str(text) if self.is_template() => {
                Value::Template(Template { text, span: self.span.clone(), secret: scalar.secret })
            }
            _ if scalar.secret => Value::Secret(Secret::new(scalar.text.clone())),
            Plain::Int(n) => Value::Int(n),
            Plain::Float(n) => Value::Float(n),
            Plain::Str(text) => Value::Str(text),
        }
    }
}

/// For output: secrets are redacted, templates stand as written, what is unknown says why.
pub fn to_yaml(value: &Value) -> serde_yaml::Value {
    use serde_yaml::Value as Yaml;
    match value {
        Value::Null | Value::Omit => Yaml::Null,
        Value::Bool(b) => Yaml::Bool(*b),
        Value::Int(n) => Yaml::Number((*n).into()),
        Value::Float(n) => Yaml::Number((*n).into()),
        Value::Str(text) => Yaml::String(text.clone()),
        Value::Template(template) if template.secret => Yaml::String(REDACTED.to_owned()),
        Value::Template(template) => Yaml::String(template.text.clone()),
        Value::Secret(_) => Yaml::String(REDACTED.to_owned()),
        Value::Unknown(why) => Yaml::String(why.to_string()),
        Value::List(items) => Yaml::Sequence(items.iter().map(to_yaml).collect()),
        Value::Map(map) => {
            Yaml::Mapping(map.iter().map(|(key, value)| (Yaml::String(key.clone()), to_yaml(value))).collect())
        }
    }
}

/// From a result or a decoded file: every text is final. A tag is dropped, a key that is no text is written as YAML.
pub fn from_yaml(value: serde_yaml::Value) -> Value {
    use serde_yaml::Value as Yaml;
    match value {
        Yaml::Null => Value::Null,
        Yaml::Bool(b) => Value::Bool(b),
        Yaml::Number(n) => match (n.as_i64(), n.as_f64()) {
            (Some(n), _) => Value::Int(n),
            (None, Some(float)) if n.is_f64() => Value::Float(float),
            _ => Value::Str(n.to_string()),
        },
        Yaml::String(text) => Value::Str(text),
        Yaml::Sequence(items) => Value::List(items.into_iter().map(from_yaml).collect()),
        Yaml::Mapping(map) => {
            Value::Map(map.into_iter().map(|(key, value)| (key_text(key), from_yaml(value))).collect::<Map>())
        }
        Yaml::Tagged(tagged) => from_yaml(tagged.value),
    }
}

fn key_text(key: serde_yaml::Value) -> String {
    match key {
        serde_yaml::Value::String(text) => text,
        other => serde_yaml::to_string(&other).map(|text| text.trim_end().to_owned()).unwrap_or_default(),
    }
}
