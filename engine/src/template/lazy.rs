//! Variables as minijinja sees them: looked up by name, rendered when read, wrapped and never copied.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use minijinja::value::{Enumerator, Object, ObjectRepr, Value as Mj};
use minijinja::{Error, ErrorKind, State};

use crate::source::Span;
use crate::value::{Map, Template, Value};

use super::Lookup;
use super::call::told;
use super::convert::to_value;
use super::error::{Problem, TemplateError, Via};
use super::python::mutable::{Dict, List};
use super::python::{methods, text};
use super::scope::{Key, Outcome, Scope};

/// The name under which a filter finds the [`Context`]: no variable can have it.
const CONTEXT: &str = "\0context";

/// The variables of one host within one evaluation: the root of every template.
pub(crate) struct Context {
    pub scope: Arc<Scope>,
    pub vars: Arc<dyn Lookup>,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("variables")
    }
}

impl Context {
    /// The context that a filter, test or lookup was called in.
    pub(crate) fn of(state: &State) -> Result<Arc<Self>, Error> {
        state
            .lookup(CONTEXT)
            .and_then(|v| v.downcast_object::<Self>())
            .ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "no variables here"))
    }

    /// The same variables with others before them.
    pub(crate) fn overlaid(self: &Arc<Self>, given: &Mj) -> Result<Arc<Self>, Error> {
        let flags = self.scope.flags();
        let found =
            to_value(self, given, &flags, &crate::source::Span::none()).map_err(|e| methods::pass_on(self, e))?;
        let Value::Map(over) = found else {
            return Err(Error::new(ErrorKind::InvalidOperation, "'template_vars' is a dictionary"));
        };
        self.over(Arc::new(Overlay { over, base: Arc::clone(&self.vars) }))
    }

    /// The same evaluation over other variables, which hold these.
    pub(crate) fn over(self: &Arc<Self>, vars: Arc<dyn Lookup>) -> Result<Arc<Self>, Error> {
        let made = || Some(Arc::new(Self { scope: Arc::clone(&self.scope), vars: Arc::clone(&vars) }));
        // Kept to the end of the evaluation like another host's: its address stands for it.
        let name = format!("\0{:p}", Arc::as_ptr(&vars).cast::<()>());
        self.scope.host(&name, made).ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "no variables here"))
    }

    /// A variable's value; `None` if it is undefined.
    pub(crate) fn variable(self: &Arc<Self>, name: &str) -> Option<Mj> {
        if let Some(raw) = self.vars.get(name) {
            return self.read(raw, || Arc::new(Place { parent: None, step: Step::Key(name.into()) }));
        }
        match name {
            "omit" => Some(omit()),
            "vars" => Some(Mj::from_object(AllVariables(Arc::clone(self)))),
            "hostvars" => self.vars.has_hosts().then(|| Mj::from_object(HostVars(Arc::clone(self)))),
            _ => None,
        }
    }

    /// What failed, as long as nobody needs it: something undefined, and why is kept.
    pub(crate) fn not_needed(&self, error: &Error) -> Mj {
        let error = self.scope.take_failure().unwrap_or_else(|| {
            let message = error.detail().unwrap_or("it cannot be evaluated").to_owned();
            let span = self.scope.current_span().unwrap_or_else(Span::none);
            TemplateError { told: told(error).map(Into::into), ..TemplateError::new(Problem::Failed(message), span) }
        });
        self.scope.note_missing(error);
        Mj::UNDEFINED
    }

    /// A raw value as minijinja's: rendered, wrapped or converted; notes what was read.
    pub(crate) fn read(self: &Arc<Self>, raw: &Value, place: impl FnOnce() -> Arc<Place>) -> Option<Mj> {
        Some(match raw {
            Value::Null => Mj::from(()),
            Value::Bool(value) => Mj::from(*value),
            Value::Int(value) => Mj::from(*value),
            Value::Float(value) => Mj::from(*value),
            Value::Str(value) => Mj::from(value.as_str()),
            Value::Secret(secret) => {
                self.scope.taint();
                Mj::from(secret.expose())
            }
            Value::Unknown(why) => {
                self.scope.not_known(why);
                Mj::from_object(NotKnown)
            }
            Value::Omit => omit(),
            Value::Template(template) => return self.render(template, &place()),
            // The same object at each reading, so that a change (`append`) shows at the next.
            Value::List(_) => self.scope.wrap(self.key(raw), || Mj::from_object(LazyList(Lazy::new(self, place())))),
            Value::Map(_) => self.scope.wrap(self.key(raw), || Mj::from_object(LazyMap(Lazy::new(self, place())))),
        })
    }

    fn key<T>(&self, raw: &T) -> Key {
        (Arc::as_ptr(&self.vars).addr(), std::ptr::from_ref(raw).addr())
    }

    fn render(self: &Arc<Self>, template: &Template, place: &Place) -> Option<Mj> {
        let via = Via { name: place.to_string(), span: template.span.clone() };
        match self.scope.render_once(self.key(template), via, || self.scope.engine.evaluate(template, self)) {
            Outcome::Value(value) => Some(value),
            Outcome::Undefined => None,
            Outcome::Failed => Some(Mj::from(Error::new(ErrorKind::InvalidOperation, "a variable cannot be rendered"))),
        }
    }
}

impl Object for Context {
    fn get_value(self: &Arc<Self>, key: &Mj) -> Option<Mj> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, name: &str) -> Option<Mj> {
        if name == CONTEXT {
            return Some(Mj::from_dyn_object(Arc::clone(self)));
        }
        self.variable(name)
    }
}

/// Where a value stands among the variables: `users[0].name`.
#[derive(Debug)]
pub(crate) struct Place {
    parent: Option<Arc<Place>>,
    step: Step,
}

#[derive(Debug)]
enum Step {
    Key(Box<str>),
    Index(usize),
}

impl Place {
    pub(crate) fn key(self: &Arc<Self>, key: &str) -> Arc<Self> {
        Arc::new(Self { parent: Some(Arc::clone(self)), step: Step::Key(key.into()) })
    }

    pub(crate) fn index(self: &Arc<Self>, index: usize) -> Arc<Self> {
        Arc::new(Self { parent: Some(Arc::clone(self)), step: Step::Index(index) })
    }

    fn find<'v>(&self, vars: &'v dyn Lookup) -> Option<&'v Value> {
        match (&self.parent, &self.step) {
            (None, Step::Key(name)) => vars.get(name),
            (None, Step::Index(_)) => None,
            (Some(parent), step) => match (parent.find(vars)?, step) {
                (Value::Map(map), Step::Key(key)) => map.get(&**key),
                (Value::List(list), Step::Index(index)) => list.get(*index),
                _ => None,
            },
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.parent, &self.step) {
            (None, Step::Key(name)) => f.write_str(name),
            (Some(parent), Step::Key(name)) => write!(f, "{parent}.{name}"),
            (Some(parent), Step::Index(index)) => write!(f, "{parent}[{index}]"),
            (None, Step::Index(index)) => write!(f, "[{index}]"),
        }
    }
}

/// A container among the variables, found again by its place at each access, so that nothing is copied. `edited` is the
/// template's own copy, made when the template first changes it (`list.append(…)`).
pub(crate) struct Lazy<E> {
    pub ctx: Arc<Context>,
    pub place: Arc<Place>,
    edited: OnceLock<Arc<E>>,
}

impl<E> Lazy<E> {
    fn new(ctx: &Arc<Context>, place: Arc<Place>) -> Self {
        Self { ctx: Arc::clone(ctx), place, edited: OnceLock::new() }
    }

    /// The value as defined, unless the template has changed it.
    pub(crate) fn raw(&self) -> Option<&Value> {
        if self.edited.get().is_some() { None } else { self.place.find(&*self.ctx.vars) }
    }
}

impl<E> fmt::Debug for Lazy<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.place)
    }
}

/// A list among the variables.
#[derive(Debug)]
pub(crate) struct LazyList(pub Lazy<List>);

impl LazyList {
    fn items(&self) -> &[Value] {
        match self.0.raw() {
            Some(Value::List(items)) => items,
            _ => &[],
        }
    }

    /// Whether a text is among the items, where all those before it are texts, too: `inventory_hostname in groups['all']` is
    /// asked for each of the hosts, and need not make a value of each of their names.
    pub(crate) fn holds(&self, text: &str) -> Option<bool> {
        if self.0.edited.get().is_some() {
            return None;
        }
        for item in self.items() {
            match item {
                Value::Str(item) if item == text => return Some(true),
                Value::Str(_) => {}
                _ => return None,
            }
        }
        Some(false)
    }

    /// The template's own copy.
    pub(crate) fn edit(self: &Arc<Self>) -> Arc<List> {
        let copy = || Arc::new(List::new((0..self.items().len()).map(|i| self.at(i)).collect()));
        Arc::clone(self.0.edited.get_or_init(copy))
    }

    fn at(self: &Arc<Self>, index: usize) -> Mj {
        let read = |raw| self.0.ctx.read(raw, || self.0.place.index(index));
        self.items().get(index).and_then(read).unwrap_or_default()
    }
}

impl Object for LazyList {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Mj) -> Option<Mj> {
        if let Some(edited) = self.0.edited.get() {
            return edited.get_value(key);
        }
        let index = key.as_usize()?;
        self.0.ctx.read(self.items().get(index)?, || self.0.place.index(index))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.0.edited.get().map_or_else(|| self.items().len(), |e| e.len()))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::repr(&Mj::from_dyn_object(Arc::clone(self))).map_err(|_| fmt::Error)?)
    }
}

/// A dictionary among the variables.
#[derive(Debug)]
pub(crate) struct LazyMap(pub Lazy<Dict>);

impl LazyMap {
    fn items(&self) -> Option<&Map> {
        match self.0.raw() {
            Some(Value::Map(items)) => Some(items),
            _ => None,
        }
    }

    /// The template's own copy.
    pub(crate) fn edit(self: &Arc<Self>) -> Arc<Dict> {
        let copy = || {
            let keys = self.items().into_iter().flat_map(Map::keys);
            Arc::new(Dict::new(keys.map(|k| (Mj::from(k.as_str()), self.at(k).unwrap_or_default())).collect()))
        };
        Arc::clone(self.0.edited.get_or_init(copy))
    }

    fn at(self: &Arc<Self>, key: &str) -> Option<Mj> {
        self.0.ctx.read(self.items()?.get(key)?, || self.0.place.key(key))
    }
}

impl Object for LazyMap {
    fn get_value(self: &Arc<Self>, key: &Mj) -> Option<Mj> {
        match key.as_str() {
            Some(key) => self.get_value_by_str(key),
            // YAML's keys became texts when they were read: `ports[80]` means the key `80`.
            None if key.is_integer() => self.get_value_by_str(&key.to_string()),
            None => None,
        }
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Mj> {
        match self.0.edited.get() {
            Some(edited) => edited.get_value(&Mj::from(key)),
            None => self.at(key),
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        match self.0.edited.get() {
            Some(edited) => edited.enumerate(),
            None => {
                Enumerator::Values(self.items().into_iter().flat_map(Map::keys).map(|k| Mj::from(k.as_str())).collect())
            }
        }
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.0.edited.get().map_or_else(|| self.items().map_or(0, Map::len), |e| e.len()))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::repr(&Mj::from_dyn_object(Arc::clone(self))).map_err(|_| fmt::Error)?)
    }
}

/// `vars`: all variables by name.
#[derive(Debug)]
pub(crate) struct AllVariables(pub Arc<Context>);

impl Object for AllVariables {
    fn get_value(self: &Arc<Self>, key: &Mj) -> Option<Mj> {
        self.0.variable(key.as_str()?)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.vars.names().into_iter().map(Mj::from).collect())
    }
}

/// `hostvars`: each host's variables, rendered as that host's.
#[derive(Debug)]
struct HostVars(Arc<Context>);

impl Object for HostVars {
    fn get_value(self: &Arc<Self>, key: &Mj) -> Option<Mj> {
        let host = key.as_str()?;
        let make = || {
            let vars = self.0.vars.host(host)?;
            Some(Arc::new(Context { scope: Arc::clone(&self.0.scope), vars }))
        };
        Some(Mj::from_object(AllVariables(self.0.scope.host(host, make)?)))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.vars.hosts().into_iter().map(Mj::from).collect())
    }
}

/// Something that is not known before a task has run: whatever is done with it yields it again, and the evaluation
/// ends as [`Value::Unknown`] in any case.
#[derive(Debug)]
pub(crate) struct NotKnown;

impl Object for NotKnown {
    fn get_value(self: &Arc<Self>, _: &Mj) -> Option<Mj> {
        Some(Mj::from_dyn_object(Arc::clone(self)))
    }

    fn is_true(self: &Arc<Self>) -> bool {
        false
    }

    fn call(self: &Arc<Self>, _: &mut State<'_, '_>, _: &[Mj]) -> Result<Mj, Error> {
        Ok(Mj::from_dyn_object(Arc::clone(self)))
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, _: &str, _: &[Mj]) -> Result<Mj, Error> {
        Ok(Mj::from_dyn_object(Arc::clone(self)))
    }
}

/// The magic variable `omit`.
#[derive(Debug)]
struct OmitMark;

impl Object for OmitMark {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

fn omit() -> Mj {
    static OMIT: OnceLock<Mj> = OnceLock::new();
    OMIT.get_or_init(|| Mj::from_object(OmitMark)).clone()
}

/// Whether a value is `omit`.
pub(crate) fn is_omit(value: &Mj) -> bool {
    value.downcast_object_ref::<OmitMark>().is_some()
}

/// Variables before others.
pub(super) struct Overlay {
    pub over: Map,
    pub base: Arc<dyn Lookup>,
}

impl Lookup for Overlay {
    fn get(&self, name: &str) -> Option<&Value> {
        self.over.get(name).or_else(|| self.base.get(name))
    }

    fn names(&self) -> Vec<String> {
        let mut names = self.base.names();
        names.extend(self.over.keys().filter(|name| !names.contains(name)).cloned().collect::<Vec<_>>());
        names
    }

    fn has_hosts(&self) -> bool {
        self.base.has_hosts()
    }

    fn hosts(&self) -> Vec<String> {
        self.base.hosts()
    }

    fn host(&self, name: &str) -> Option<Arc<dyn Lookup>> {
        self.base.host(name)
    }
}

/// Variables from a plain map, for `lookup('template', …, template_vars={…})` and tests.
#[derive(Debug, Default)]
pub struct MapLookup(pub HashMap<String, Value>);

impl Lookup for MapLookup {
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }
}
