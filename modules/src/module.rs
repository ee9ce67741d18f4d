//! What a module is, and how it is found and given its parameters.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::edit::Diff;
use crate::error::Error;
#[cfg(feature = "manual")]
use crate::fit::{self, Problem};
use crate::host::{Host, Look};
use crate::interpret::Applied;
use crate::plan::{Data, Plan};
use crate::wire::Outcome;

/// A kind of state that a host can be in. The struct *is* the desired state: fields are parameters, doc comments the
/// manual. Adding one is a file in [`crate::builtin`], a line in the registry there, and fixtures.
pub trait Module: DeserializeOwned + JsonSchema + Send + 'static {
    /// The name in a playbook.
    const NAME: &'static str;
    /// Other names: Ansible's, where it does what that module does.
    const ALIASES: &'static [&'static str] = &[];
    /// The parameter that takes what is written without a name (`command: ls -l`).
    const FREE_FORM: Option<&'static str> = None;
    /// Whether planning again after applying must find nothing to do. False only for `command` and its like.
    const CONVERGES: bool = true;
    /// Whether it runs once for all hosts, as with `run_once` (Ansible's "bypass host loop").
    const ONCE: bool = false;
    /// Where it is planned. On the controller no host is asked and nothing may be edited.
    const PLACE: Place = Place::Host;

    /// Looks, and returns what has to be done. Must not have any effect.
    fn plan(&self, host: &dyn Host) -> Result<Plan, Error>;

    /// How another task has ended that this one tells of: it stands in the place of a plan.
    fn relay(&self, _host: &dyn Host) -> Look<Option<Outcome>> {
        Ok(None)
    }

    /// [`Module::CONVERGES`], for a module where that depends on its parameters.
    fn converges(&self) -> bool {
        Self::CONVERGES
    }

    /// What a preview shows where the host can't be asked yet: the wanted side of what [`Module::plan`] would show.
    fn intent(&self) -> Vec<Diff> {
        Vec::new()
    }

    /// Return values that are known only after applying.
    fn report(&self, _applied: &Applied) -> Data {
        Data::new()
    }

    /// Whether what was done has changed anything, where only the end of it tells; or why it has failed after all.
    fn verdict(&self, _applied: &Applied) -> Result<bool, Error> {
        Ok(true)
    }

    /// Return values that are looked up once the task has come to its end, whether it changed something or not.
    fn aftermath(&self, _host: &dyn Host) -> Look<Data> {
        Ok(Data::new())
    }

    /// Looks for the reason after a look or an edit failed, such as a unit's log.
    fn explain(&self, _host: &dyn Host, _error: &Error) -> Option<String> {
        None
    }

    /// What Ansible registers as `msg` when an edit has failed, where that is not what the error says.
    fn lament(&self, _error: &Error) -> Option<String> {
        None
    }
}

/// Where a module is planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On the host, by the agent.
    Host,
    /// On the controller: it only computes (`debug`, `assert`, `set_fact`).
    Controller,
}

/// A module with its parameters, as the agent sees it. Implemented for every [`Module`].
pub trait Planner: Send {
    /// See [`Module::plan`].
    fn plan(&self, host: &dyn Host) -> Result<Plan, Error>;
    /// See [`Module::relay`].
    fn relay(&self, host: &dyn Host) -> Look<Option<Outcome>>;
    /// See [`Module::converges`].
    fn converges(&self) -> bool;
    /// See [`Module::intent`].
    fn intent(&self) -> Vec<Diff>;
    /// See [`Module::report`].
    fn report(&self, applied: &Applied) -> Data;
    /// See [`Module::verdict`].
    fn verdict(&self, applied: &Applied) -> Result<bool, Error>;
    /// See [`Module::aftermath`].
    fn aftermath(&self, host: &dyn Host) -> Look<Data>;
    /// See [`Module::explain`].
    fn explain(&self, host: &dyn Host, error: &Error) -> Option<String>;
    /// See [`Module::lament`].
    fn lament(&self, error: &Error) -> Option<String>;
}

impl<M: Module> Planner for M {
    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        Module::plan(self, host)
    }
    fn relay(&self, host: &dyn Host) -> Look<Option<Outcome>> {
        Module::relay(self, host)
    }
    fn converges(&self) -> bool {
        Module::converges(self)
    }
    fn intent(&self) -> Vec<Diff> {
        Module::intent(self)
    }
    fn report(&self, applied: &Applied) -> Data {
        Module::report(self, applied)
    }
    fn verdict(&self, applied: &Applied) -> Result<bool, Error> {
        Module::verdict(self, applied)
    }
    fn aftermath(&self, host: &dyn Host) -> Look<Data> {
        Module::aftermath(self, host)
    }
    fn explain(&self, host: &dyn Host, error: &Error) -> Option<String> {
        Module::explain(self, host, error)
    }
    fn lament(&self, error: &Error) -> Option<String> {
        Module::lament(self, error)
    }
}

/// A module in the registry.
#[derive(Debug)]
pub struct Entry {
    /// [`Module::NAME`].
    pub name: &'static str,
    /// [`Module::ALIASES`].
    pub aliases: &'static [&'static str],
    /// [`Module::FREE_FORM`].
    pub free_form: Option<&'static str>,
    /// [`Module::CONVERGES`].
    pub converges: bool,
    /// [`Module::ONCE`].
    pub once: bool,
    /// [`Module::PLACE`].
    pub place: Place,
    /// The agent has no use for it: what is large about modules is their manual.
    #[cfg(feature = "manual")]
    manual: Manual,
    take: Take,
}

type Take = fn(Value) -> Result<Box<dyn Planner>, serde_json::Error>;

/// What the controller knows of a module beyond what the agent does.
#[cfg(feature = "manual")]
#[derive(Debug)]
struct Manual {
    schema: fn() -> Value,
    #[cfg(test)]
    fields: fn() -> Vec<&'static str>,
    read: fn(Value) -> Result<Box<dyn Planner>, Problem>,
}

impl Entry {
    /// The registry's entry for a module.
    pub const fn of<M: Module>() -> Self {
        Self {
            name: M::NAME,
            aliases: M::ALIASES,
            free_form: M::FREE_FORM,
            converges: M::CONVERGES,
            once: M::ONCE,
            place: M::PLACE,
            #[cfg(feature = "manual")]
            manual: Manual {
                schema: schema::<M>,
                #[cfg(test)]
                fields: crate::take::fields::<M>,
                read: read::<M>,
            },
            take: take::<M>,
        }
    }

    /// Takes parameters that [`Entry::fit`] has let through: names are the module's own, values of the right types.
    pub fn take(&self, params: Value) -> Result<Box<dyn Planner>, serde_json::Error> {
        (self.take)(params)
    }
}

#[cfg(feature = "manual")]
impl Entry {
    /// What serde calls its parameters ([`crate::take`]).
    #[cfg(test)]
    pub(crate) fn fields(&self) -> Vec<&'static str> {
        (self.manual.fields)()
    }

    /// The JSON Schema of its parameters; descriptions are the manual.
    pub fn schema(&self) -> Value {
        (self.manual.schema)()
    }

    /// The own name of a parameter that may have several; `None` if there is no such parameter.
    pub fn canonical(&self, name: &str) -> Option<String> {
        fit::canonical(&fit::shape_of(self), name)
    }

    /// What is wrong with the *names* of parameters: unknown ones, with the nearest, and missing ones. Values may
    /// still be templates then.
    pub fn check_names<'a>(&self, given: impl IntoIterator<Item = &'a str>) -> Vec<Problem> {
        fit::check_names(&fit::shape_of(self), self.name, given)
    }

    /// Rendered parameters as the module wants them; or what is wrong with them. Secrets are `{"$secret": "text"}`; see
    /// [`fit`](crate::fit).
    pub fn fit(&self, params: Value) -> Result<Value, Problem> {
        self.fit_as(self.name, params)
    }

    /// The same, of a module that is written by that name: what is wrong is told of it.
    pub fn fit_as(&self, written: &str, params: Value) -> Result<Value, Problem> {
        let shape = fit::shape_of(self);
        let fitted = fit::whole(&shape, written, fit::fit(&shape, written, params)?)?;
        (self.manual.read)(fitted.clone())?;
        Ok(fitted)
    }

    /// [`Entry::fit`] and [`Entry::take`] in one.
    pub fn load(&self, params: Value) -> Result<Box<dyn Planner>, Problem> {
        let refused = |error: serde_json::Error| Problem {
            param: self.name.to_owned(),
            reason: error.to_string(),
            hint: None,
            msg: None,
        };
        self.take(self.fit(params)?).map_err(refused)
    }
}

fn take<M: Module>(params: Value) -> Result<Box<dyn Planner>, serde_json::Error> {
    Ok(Box::new(crate::take::take::<M>(params)?))
}

#[cfg(feature = "manual")]
fn schema<M: Module>() -> Value {
    schemars::schema_for!(M).to_value()
}

#[cfg(feature = "manual")]
fn read<M: Module>(params: Value) -> Result<Box<dyn Planner>, Problem> {
    let module: M = serde_path_to_error::deserialize(params).map_err(|error| Problem {
        param: error.path().to_string(),
        reason: error.inner().to_string(),
        hint: None,
        msg: (error.path().to_string() == "mode").then(|| "mode must be in octal or symbolic form".to_owned()),
    })?;
    Ok(Box::new(module))
}
