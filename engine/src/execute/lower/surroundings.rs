//! Who a task is done as, how its host is reached, and the environment of what it runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;
use trueup_modules::wire::{Become, Method};

use super::{Lower, LowerError, kind, of_keyword, show, truthy};
use crate::compile::Step;
use crate::execute::fleet::Keywords;
use crate::execute::json::to_json;
use crate::playbook::{Common, Opt};
use crate::template::Lookup;
use crate::value::Value;

impl Lower<'_> {
    /// Whom to become. Variables are stronger than keywords; they are those of the host that acts.
    pub(super) fn escalation(
        &self,
        step: &Step,
        vars: &Arc<dyn Lookup>,
        acting: Option<&Arc<dyn Lookup>>,
    ) -> Result<Option<Become>, LowerError> {
        let of = acting.unwrap_or(vars);
        let variable = |name: &str| of.get(name).map(|value| self.templar.resolve(value, of)).transpose();
        let enabled = match variable("ansible_become")? {
            Some(enabled) => truthy(&enabled),
            None => match self.keyword(step, vars, |common| &common.escalation.enabled)? {
                Some(enabled) => truthy(&enabled),
                None => self.become_all,
            },
        };
        if !enabled {
            return Ok(None);
        }
        let method = match variable("ansible_become_method")? {
            Some(method) => Some(method),
            None => self.keyword(step, vars, |common| &common.escalation.method)?,
        };
        let method = method.map_or_else(|| "sudo".to_owned(), |method| show(&method));
        let Some(method) = Method::named(&method) else {
            let message = format!(
                "there is no way to become another user by `{method}` (`become_method`): only sudo, su and doas"
            );
            return Err(LowerError::Value(step.task.span.clone(), message));
        };
        let text = |name: &str, keyword: for<'s> fn(&'s Common) -> &'s Opt<String>| {
            let value = match variable(name)? {
                Some(value) => Some(value),
                None => self.keyword(step, vars, keyword)?,
            };
            Ok::<_, LowerError>(value.map(|value| show(&value)).filter(|text| !text.is_empty()))
        };
        let exe = text("ansible_become_exe", |common| &common.escalation.exe)?;
        let flags = text("ansible_become_flags", |common| &common.escalation.flags)?;
        let user = match variable("ansible_become_user")? {
            Some(user) => show(&user),
            None => match self.keyword(step, vars, |common| &common.escalation.user)? {
                Some(user) => show(&user),
                None => "root".into(),
            },
        };
        // Who another host's agent runs as, that agent knows.
        if acting.is_none() && self.login.as_ref() == Some(&user) {
            return Ok(None);
        }
        let mut password = self.become_password.as_ref().map(|password| password.expose().to_owned());
        for name in ["ansible_become_password", "ansible_become_pass", "ansible_sudo_pass"] {
            if let Some(value) = variable(name)? {
                password = Some(match value {
                    Value::Secret(secret) => secret.expose().to_owned(),
                    other => show(&other),
                });
                break;
            }
        }
        Ok(Some(Become { user, password, method, exe, flags }))
    }

    /// What a step says itself of how its host is reached.
    pub(in crate::execute) fn connection(&self, step: &Step, vars: &Arc<dyn Lookup>) -> Result<Keywords, LowerError> {
        let text = |value: Option<Value>| value.filter(|value| !matches!(value, Value::Omit | Value::Null));
        let port = text(self.keyword(step, vars, |common| &common.port)?).map(|port| show(&port));
        Ok(Keywords {
            dir: self.program.plays[step.play].dir.clone(),
            connection: text(self.keyword(step, vars, |common| &common.connection)?).map(|name| show(&name)),
            user: text(self.keyword(step, vars, |common| &common.remote_user)?).map(|user| show(&user)),
            port: match port.map(|port| port.parse().map_err(|_| port)) {
                None => None,
                Some(Ok(port)) => Some(port),
                Some(Err(port)) => {
                    let message = format!("`port` must be a number from 1 to 65535, not `{port}`");
                    return Err(LowerError::Value(step.task.span.clone(), message));
                }
            },
        })
    }

    /// While facts are gathered, what is made of the facts about the environment is left out, as in Ansible.
    fn before_facts(&self, step: &Step, written: Value, vars: &Arc<dyn Lookup>) -> Value {
        const OF_ENVIRONMENT: [&str; 3] = ["ansible_env", "ansible_facts.env", "ansible_facts['env']"];
        let of_environment = |value: &Value| match value {
            Value::Template(template) if OF_ENVIRONMENT.iter().any(|fact| template.text.contains(fact)) => {
                self.templar.render(template, vars).is_err()
            }
            _ => false,
        };
        match written {
            Value::Map(map) if step.entry.name == "setup" => {
                Value::Map(map.into_iter().filter(|(_, value)| !of_environment(value)).collect())
            }
            other => other,
        }
    }

    pub(super) fn environment(
        &self,
        step: &Step,
        vars: &Arc<dyn Lookup>,
    ) -> Result<BTreeMap<String, Json>, LowerError> {
        let mut environment = BTreeMap::new();
        for node in step.scopes(self.program).flat_map(|common| &common.environment) {
            let written = self.before_facts(step, node.to_value(), vars);
            let value = self.templar.resolve(&written, vars).map_err(|error| of_keyword("environment", error))?;
            match value {
                Value::Map(map) => {
                    for (name, value) in map {
                        let value = match to_json(&value).map_err(LowerError::Unknown)? {
                            secret @ Json::Object(_) => secret,
                            Json::String(text) => Json::String(text),
                            other => Json::String(other.to_string()),
                        };
                        environment.insert(name, value);
                    }
                }
                Value::Omit => {}
                Value::Unknown(why) => return Err(LowerError::Unknown(why)),
                other => {
                    return Err(LowerError::Value(
                        node.span.clone(),
                        format!("`environment` must be a dictionary, and this is {}", kind(&other)),
                    ));
                }
            }
        }
        Ok(environment)
    }
}
