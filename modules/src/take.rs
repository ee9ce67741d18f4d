//! How the agent takes a module's parameters.
//!
//! The controller has fitted them ([`crate::fit`]): each has the module's own name and a value of its type, and none that must be
//! there is missing. So they are handed over as a list, in the order of the struct's fields. What serde makes of a struct
//! for a list is half of what it makes of it for a map with names to be found, told apart and missed, and there is one for
//! each module.
//!
//! A field with a second name for serde (`alias`) would stand twice in that order. Names of a parameter are in its schema
//! (`aliases`), and a test holds the two lists against each other.

use std::fmt;
use std::slice;

use serde::de::value::MapDeserializer;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Value};

/// The module with those parameters.
pub(crate) fn take<M: DeserializeOwned>(params: Value) -> Result<M, serde_json::Error> {
    let Value::Object(mut params) = params else { return Err(de::Error::custom("parameters must be a dictionary")) };
    let module = M::deserialize(Fields { params: &mut params })?;
    match params.keys().next() {
        None => Ok(module),
        Some(name) => Err(de::Error::custom(format!("there is no parameter `{name}`"))),
    }
}

struct Fields<'p> {
    params: &'p mut Map<String, Value>,
}

impl<'de> Deserializer<'de> for Fields<'_> {
    type Error = serde_json::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_seq(InOrder { params: self.params, fields: fields.iter() })
    }

    /// Of a module whose parameters have names of the user's.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_map(MapDeserializer::new(std::mem::take(self.params).into_iter()))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// The values of fields in their order.
struct InOrder<'p> {
    params: &'p mut Map<String, Value>,
    fields: slice::Iter<'static, &'static str>,
}

impl<'de> SeqAccess<'de> for InOrder<'_> {
    type Error = serde_json::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Self::Error> {
        let Some(name) = self.fields.next() else { return Ok(None) };
        match self.params.remove(*name) {
            Some(value) => seed.deserialize(value.into_deserializer()).map(Some),
            // An option is nothing then; of others serde takes the default if there is one, and refuses otherwise.
            None => Ok(seed.deserialize(Absent).ok()),
        }
    }
}

/// In the place of a value that is not there.
struct Absent;

/// Why there is nothing that is no option.
#[derive(Debug)]
struct Missing;

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is missing")
    }
}

impl std::error::Error for Missing {}

impl de::Error for Missing {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

impl<'de> Deserializer<'de> for Absent {
    type Error = Missing;

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Missing> {
        visitor.visit_none()
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Missing> {
        Err(Missing)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// The names that serde has for the fields of a module, in their order; none of one whose parameters have the user's names.
#[cfg(test)]
pub(crate) fn fields<M: DeserializeOwned>() -> Vec<&'static str> {
    struct Names<'n>(&'n mut Vec<&'static str>);

    impl<'de> Deserializer<'de> for Names<'_> {
        type Error = Missing;

        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            fields: &'static [&'static str],
            _: V,
        ) -> Result<V::Value, Missing> {
            self.0.extend(fields);
            Err(Missing)
        }

        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Missing> {
            Err(Missing)
        }

        forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
            newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }

    let mut names = Vec::new();
    let _ = M::deserialize(Names(&mut names));
    names
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        path: String,
        mode: Option<u32>,
        #[serde(default = "seven")]
        count: u32,
        #[serde(default)]
        names: Vec<String>,
        value: Option<Value>,
    }

    fn seven() -> u32 {
        7
    }

    #[test]
    fn parameters_are_taken_as_from_a_map() {
        for params in [
            json!({"path": "/a"}),
            json!({"value": {"x": null}, "names": ["b", "a"], "count": 1, "mode": 420, "path": "/a"}),
            json!({"path": "/a", "mode": null, "value": null}),
        ] {
            let wanted: Sample = serde_json::from_value(params.clone()).unwrap();
            assert_eq!(take::<Sample>(params).unwrap(), wanted);
        }
    }

    #[test]
    fn what_the_controller_should_have_refused_is_refused() {
        for (params, reason) in [
            (json!({}), "invalid length 0, expected struct Sample with 5 elements"),
            (json!({"path": 1}), "invalid type: integer `1`, expected a string"),
            (json!({"path": "/a", "mod": 1}), "there is no parameter `mod`"),
            (json!("/a"), "parameters must be a dictionary"),
        ] {
            assert_eq!(take::<Sample>(params).unwrap_err().to_string(), reason);
        }
    }
}
