//! `add_host`: a host that the inventory does not name.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::host::{Error, Host};
use crate::module::{Module, Place};
use crate::plan::Plan;

/// Adds a host to the inventory for the rest of the run, once for all hosts: later plays may address it, and it is in `groups`
/// and `hostvars` at once. `name` (or `hostname`, `host`) is the host, perhaps with a port (`db1:2222`); `groups` (or `groupname`,
/// `group`) the groups that it is put into; every other parameter is a variable of the host.
#[derive(Deserialize, JsonSchema)]
#[serde(transparent)]
pub(super) struct AddHost {
    given: Map<String, Value>,
}

/// Parameters that are no variables, as in Ansible: `host` and `group` are both.
const NO_VARIABLES: [&str; 4] = ["name", "hostname", "groupname", "groups"];

impl Module for AddHost {
    const NAME: &'static str = "add_host";
    const PLACE: Place = Place::Controller;
    const ONCE: bool = true;

    fn plan(&self, _host: &dyn Host) -> Result<Plan, Error> {
        let name = ["name", "hostname", "host"].iter().find_map(|key| self.given.get(*key)).and_then(text);
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            let said = "name, host or hostname needs to be provided";
            return Err(Error::Failed(said.into()).telling("msg", format!("Task failed: Action failed: {said}")));
        };
        let (name, port) = split(&name);
        let groups = ["groupname", "groups", "group"].iter().find_map(|key| self.given.get(*key));
        let groups = groups.map_or_else(|| Ok(Vec::new()), names)?;
        let mut vars: Map<String, Value> = self
            .given
            .iter()
            .filter(|(key, _)| !NO_VARIABLES.contains(&key.as_str()))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        vars.extend(port.map(|port| ("ansible_ssh_port".to_owned(), json!(port))));
        Ok(Plan::nothing().returning("add_host", json!({"host_name": name, "groups": groups, "host_vars": vars})))
    }
}

/// A host's name, and the port after it, if there is one.
fn split(name: &str) -> (&str, Option<u16>) {
    match name.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => match port.parse() {
            Ok(port) => (host.trim_start_matches('[').trim_end_matches(']'), Some(port)),
            Err(_) => (name, None),
        },
        _ => (name, None),
    }
}

fn names(groups: &Value) -> Result<Vec<String>, Error> {
    let all: Vec<String> = match groups {
        Value::String(text) => text.split(',').map(|name| name.trim().to_owned()).collect(),
        Value::Array(items) => items.iter().filter_map(text).map(|name| name.trim().to_owned()).collect(),
        Value::Null => Vec::new(),
        _ => {
            let error = Error::param("groups", "must be a list of groups");
            return Err(error.telling("msg", "Task failed: Action failed: Groups must be specified as a list."));
        }
    };
    let mut unique = Vec::new();
    all.into_iter().filter(|name| !name.is_empty()).for_each(|name| {
        if !unique.contains(&name) {
            unique.push(name);
        }
    });
    Ok(unique)
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_have_a_port() {
        let table = [
            ("db1", ("db1", None)),
            ("db1:2222", ("db1", Some(2222))),
            ("db1:x", ("db1:x", None)),
            ("::1", ("::1", None)),
            ("[::1]:22", ("::1", Some(22))),
        ];
        for (name, wanted) in table {
            assert_eq!(split(name), wanted, "{name}");
        }
    }
}
