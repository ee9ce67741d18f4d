//! A rule as a playbook gives it: a line, or its fields.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::Value;

use super::place::Wanted;
use super::rule::{self, Rule};

/// A rule as a line or as fields.
pub(super) struct Given(pub(super) Fields);

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Fields {
    pub(super) line: Option<String>,
    #[serde(rename = "type", alias = "contype")]
    pub(super) kind: Option<String>,
    #[serde(deserialize_with = "list")]
    pub(super) databases: Vec<String>,
    #[serde(deserialize_with = "list")]
    pub(super) users: Vec<String>,
    #[serde(alias = "source", alias = "src")]
    pub(super) address: Option<String>,
    pub(super) netmask: Option<String>,
    pub(super) method: Option<String>,
    pub(super) options: Option<String>,
    pub(super) comment: Option<String>,
}

/// A list, or a text with commas.
fn list<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::String(text) => Ok(vec![text]),
        list => serde_json::from_value(list).map_err(serde::de::Error::custom),
    }
}

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(line) => Ok(Self(Fields { line: Some(line), ..Fields::default() })),
            fields @ Value::Object(_) => serde_json::from_value(fields).map(Self).map_err(serde::de::Error::custom),
            _ => Err(serde::de::Error::custom("expected a line of pg_hba.conf, or a dictionary of its fields")),
        }
    }
}

impl JsonSchema for Given {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Rule".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({})
    }
}

impl Fields {
    /// What they say. Of a rule that shall be absent, the method need not be given.
    pub(super) fn read(&self, absent: bool) -> Result<Wanted, String> {
        let comment = self.comment.clone().map(|comment| comment.replace('\n', " "));
        if let Some(line) = &self.line {
            if line.trim().contains('\n') {
                return Err("must be one line".into());
            }
            return Ok(Wanted { rule: Rule::parse(line)?, comment });
        }
        let kind = rule::kind(self.kind.as_deref().ok_or("has no `type`")?)?;
        let list = |given: &[String]| match given {
            [] => rule::names("all"),
            given => rule::names(&given.join(",")),
        };
        let given = self.address.as_deref();
        let address = match kind {
            rule::Type::Local => given.map(|_| Err("`local` has no `address`".to_owned())).transpose()?,
            _ => Some(rule::address(given.ok_or("has no `address`")?, self.netmask.as_deref())?),
        };
        let method = match (&self.method, absent) {
            (Some(method), _) => method.clone(),
            // Any; see `without`.
            (None, true) => "reject".into(),
            (None, false) => return Err("has no `method`".into()),
        };
        let options = self.options.as_deref().unwrap_or_default();
        let options = rule::fields(options)?.into_iter().flatten().map(|name| name.text);
        let mut options: Vec<String> = options.collect();
        options.sort();
        let (databases, users) = (list(&self.databases)?, list(&self.users)?);
        Ok(Wanted { rule: Rule { kind, databases, users, address, method, options }.checked()?, comment })
    }
}
