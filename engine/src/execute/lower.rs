//! From a step and a host's variables to what is to be done: rendered parameters, item by item.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value as Json;
use trueup_modules::agent;
use trueup_modules::host::Why;
use trueup_modules::wire::Task as WireTask;

use super::vars::{Layers, View};
use crate::compile::{Program, Step};
use crate::playbook::{Common, Condition, Field};
use crate::remote::Blobs;
use crate::template::{Lookup, Templar, Truth};
use crate::value::{Map, Value};
use crate::vault::VaultPasswords;
use crate::yaml::Node;

mod error;
mod expressions;
mod facts;
mod files;
mod keywords;
mod limits;
mod list;
pub(super) mod loops;
mod params;
mod sources;
mod surroundings;
mod tree;
mod vars_files;
mod words;

pub(super) use error::{CONDITIONAL, LowerError};
use keywords::of_keyword;
use params::of_arg;
pub(super) use sources::no_file;
use words::kind;
pub(super) use words::{mapping, show, truthy};

/// Why such a `debug` is skipped, in Ansible's words.
pub(super) const TOO_QUIET: &str = "Verbosity threshold not met.";

/// Renders for one host.
pub(super) struct Lower<'a> {
    /// What is run.
    pub program: &'a Program,
    /// Renders.
    pub templar: &'a Templar,
    /// Takes files that an agent may ask for.
    pub blobs: &'a Blobs,
    /// What opens files that ansible-vault has sealed.
    pub vault: &'a VaultPasswords,
    /// The user that the host's agent runs as, where known: becoming that user is nothing.
    pub login: Option<String>,
    /// sudo's password, from the command line.
    pub become_password: Option<trueup_modules::secret::Secret>,
    /// `-b`.
    pub become_all: bool,
    /// How often `-v` was given.
    pub verbosity: u8,
}

/// One item of a step, or the step itself where there is no loop.
pub(super) struct Item {
    /// What is shown for it.
    pub label: Option<String>,
    /// Its variables.
    pub view: View,
    /// What it comes to.
    pub work: Work,
    /// How often it has been tried.
    pub tries: Tries,
    /// The host that acts instead (`delegate_to`).
    pub acts: Option<String>,
}

/// How often something was tried that may be tried again: by `until` and `retries`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tries {
    /// It is tried once.
    #[default]
    Once,
    /// So often so far.
    So(u64),
    /// So often, and never as it should be.
    InVain(u64),
}

/// What an item comes to.
pub(super) enum Work {
    /// A condition does not hold.
    Skip(String),
    /// In a preview: unknown.
    Unknown(Why),
    /// A task for an agent, or for the controller.
    Task(Box<WireTask>),
    /// It can't be rendered.
    Error(LowerError),
}

/// In a preview, what can't be known yet is no error.
impl From<LowerError> for Work {
    fn from(error: LowerError) -> Self {
        match error {
            LowerError::Unknown(why) => Self::Unknown(why),
            error => Self::Error(error),
        }
    }
}

impl Lower<'_> {
    /// The variables that a step has from where it stands.
    pub(super) fn task_vars(&self, step: &Step) -> Layers {
        let plan = &self.program.plays[step.play];
        let of = |common: &Common| Arc::new(mapping(&common.vars));
        let role = step.around.role.as_ref().map(|role| &role.vars);
        let mut own: Vec<Arc<Map>> = step.scopes(self.program).skip(1).map(of).collect();
        own.reverse();
        own.extend(role.map(|vars| Arc::clone(&vars.vars)));
        own.push(Arc::clone(&plan.role_exports));
        own.extend(plan.vars_files.read.iter().rev().filter_map(Node::as_map).map(|map| Arc::new(mapping(map))));
        own.push(of(&plan.play.common));
        let mut strong: Vec<Arc<Map>> =
            step.blocks().iter().rev().map(|(block, _)| Arc::clone(&block.params)).collect();
        strong.extend(role.map(|vars| Arc::clone(&vars.params)));
        let defaults = role.map(|vars| Arc::clone(&vars.defaults));
        let weak = defaults.into_iter().chain([Arc::clone(&plan.role_defaults)]).collect();
        Layers { strong, own, weak }
    }

    /// An item as it is now that the one before it is done, and time has passed.
    pub(in crate::execute) fn anew(&self, step: &Step, item: &Item, before: &Item) -> Item {
        let view = match facts::set_by(step, &before.work) {
            Some(facts) => item.view.clone().with(facts),
            None => item.view.clone(),
        };
        Item { acts: item.acts.clone(), ..self.item(step, view, item.label.clone()) }
    }

    /// The items of a step, each with its conditions applied.
    pub(super) fn items(&self, step: &Step, view: &View) -> Result<Vec<Item>, LowerError> {
        let vars = view.clone().shared();
        let Some(looping) = &step.task.looping else {
            return Ok(vec![self.item(step, view.clone(), None)]);
        };
        // A condition that holds the step off altogether must not need the loop's list.
        let list = match self.list(&looping.over, step.entry.name, &vars) {
            Ok(list) => list,
            Err(error) => match self.holds(step, &vars) {
                Ok(Some(because)) => {
                    return Ok(vec![Item {
                        label: None,
                        view: view.clone(),
                        work: Work::Skip(because),
                        tries: Tries::Once,
                        acts: None,
                    }]);
                }
                _ => return Err(error),
            },
        };
        let control = &looping.control;
        let extended = self.extended(control, &vars)?;
        let mut items = Vec::new();
        let mut before = view.clone();
        for (at, value) in list.iter().enumerate() {
            let magic = loops::magic(control, &list, at, extended);
            let view = before.clone().with(magic);
            let label = match &control.label {
                Some(label) => self.templar.resolve(&label.to_value(), &view.clone().shared())?,
                None => value.clone(),
            };
            let item = self.item(step, view, Some(show(&label)));
            // What one item sets, the next ones read, whatever else has that name.
            if let Some(facts) = facts::set_by(step, &item.work) {
                before = before.with(facts);
            }
            items.push(item);
        }
        Ok(items)
    }

    pub(super) fn item(&self, step: &Step, view: View, label: Option<String>) -> Item {
        let vars = view.clone().shared();
        // As in Ansible, who acts is asked before whether anybody does.
        let (acts, wrong) = match self.delegate(step, &vars) {
            Ok(acts) => (acts, None),
            Err(error) => (None, Some(error)),
        };
        let work = match wrong.map_or_else(|| self.holds(step, &vars), Err) {
            Ok(Some(because)) => Work::Skip(because),
            Ok(None) => match self.task(step, &vars, acts.as_ref().map(|host| self.acting(step, &view, host))) {
                Ok(task) if self.is_too_quiet(&task) => Work::Skip(TOO_QUIET.to_owned()),
                Ok(task) => Work::Task(Box::new(task)),
                Err(error) => error.into(),
            },
            Err(error) => error.into(),
        };
        Item { label, view, work, tries: Tries::Once, acts }
    }

    /// The host that acts instead of this one; of several `delegate_to` the innermost counts.
    fn delegate(&self, step: &Step, vars: &Arc<dyn Lookup>) -> Result<Option<String>, LowerError> {
        let host = match step.delegate_to() {
            None => return Ok(None),
            Some(Field::Known(host)) => host.clone(),
            Some(Field::Template(template)) => match self.render(template, vars)? {
                Value::Omit => return Ok(None),
                host if host == Value::Null || show(&host).is_empty() => {
                    let message = "`delegate_to` must name a host, and this comes to nothing (`omit` would be allowed)";
                    return Err(LowerError::Value(template.span.clone(), message.into()));
                }
                host => show(&host),
            },
        };
        let own = vars.get("inventory_hostname").map(show);
        Ok(Some(host).filter(|host| !host.is_empty() && own.as_ref() != Some(host)))
    }

    /// What the host that acts has of a step's variables.
    fn acting(&self, step: &Step, view: &View, host: &str) -> Arc<dyn Lookup> {
        view.of(host, &self.task_vars(step)).shared()
    }

    /// A `debug` that more `-v` would show.
    fn is_too_quiet(&self, task: &WireTask) -> bool {
        task.module == "debug" && task.params["verbosity"].as_u64().is_some_and(|wanted| wanted > self.verbosity.into())
    }

    /// The first condition that does not hold.
    fn holds(&self, step: &Step, vars: &Arc<dyn Lookup>) -> Result<Option<String>, LowerError> {
        let blocks = step.blocks().iter().flat_map(|(block, _)| &block.when);
        for condition in blocks.chain(&step.task.when) {
            let truth = self.templar.condition(&condition.text, &condition.span, vars);
            match truth.map_err(|error| LowerError::from(error).within(|| CONDITIONAL.to_owned()))? {
                Truth::Yes => {}
                Truth::No => return Ok(Some(condition.text.clone())),
                Truth::Unknown(why) => return Err(LowerError::Unknown(why)),
            }
        }
        Ok(None)
    }

    /// Whether all conditions hold; an empty list does.
    pub(super) fn all(&self, conditions: &[Condition], vars: &Arc<dyn Lookup>) -> Result<Truth, LowerError> {
        for condition in conditions {
            match self.templar.condition(&condition.text, &condition.span, vars)? {
                Truth::Yes => {}
                other => return Ok(other),
            }
        }
        Ok(Truth::Yes)
    }

    fn task(
        &self,
        step: &Step,
        vars: &Arc<dyn Lookup>,
        acting: Option<Arc<dyn Lookup>>,
    ) -> Result<WireTask, LowerError> {
        if let Some(wrong) = step.wrong.first() {
            let fit = || Some(step.entry.fit_as(&step.task.module.value, Json::Object(self.params(step, vars).ok()?)));
            let problem = if step.is_missing() { None } else { fit().and_then(Result::err) };
            let msg = problem.and_then(|problem| problem.msg);
            return Err(LowerError::Wrong(Box::new(wrong.clone()), msg));
        }
        // Whether it can be a job at all comes before the files that it is about.
        let job = self.detached(step, vars)?.map(|(job, _)| job);
        let given = Json::Object(self.params(step, vars)?);
        let mut secrets = BTreeSet::new();
        agent::collect_secrets(&given, &mut secrets);
        let params = step
            .entry
            .fit_as(&step.task.module.value, given)
            .map_err(|problem| LowerError::param(problem, &secrets))?;
        Ok(WireTask {
            id: 0,
            secrets: secrets.into_iter().collect(),
            name: self.name(step, vars),
            module: step.entry.name.into(),
            params,
            become_: self.escalation(step, vars, acting.as_ref())?,
            environment: self.environment(step, vars)?,
            check: self.flag(step, vars, |common| &common.check_mode)?,
            timeout: self.timeout(step, vars)?,
            job,
        })
    }

    /// The task's name for people; as written where it can't be rendered.
    pub(super) fn name(&self, step: &Step, vars: &Arc<dyn Lookup>) -> String {
        match step.task.common.name.as_ref().map(|name| &name.value) {
            Some(Field::Template(template)) => match self.templar.render(template, vars) {
                Ok(value @ (Value::Str(_) | Value::Int(_))) => step.named(show(&value)),
                Err(_) => self.templar.render_name(template, vars).map_or_else(|| step.name(), |name| step.named(name)),
                Ok(_) => step.name(),
            },
            _ => step.name(),
        }
    }
}
