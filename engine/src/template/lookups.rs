//! `lookup('name', …)`, `query` and `q`: values from outside of the variables, found on the controller.

mod collections;
mod files;
mod hosts;
mod password;
mod values;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use minijinja::value::{Object, Value as Mj, ValueKind};
use minijinja::{Error, ErrorKind, State};

use super::call::{Call, Entry, Told, Undefined, fail, fail_without, told};
use super::environment::closest;
use super::lazy::Context;
use super::plugins;
use super::python::time::DateTime;
use super::python::{mutable, text};

pub(crate) use files::glob;

/// A lookup: from its terms and options to a list of values.
pub(crate) struct Lookup {
    pub name: &'static str,
    pub doc: &'static str,
    pub options: &'static [&'static str],
    pub run: fn(&mut Terms<'_, '_, '_, '_>) -> Result<Vec<Mj>, Error>,
}

/// What a lookup is called with.
pub(crate) struct Terms<'a, 'c, 's, 'e> {
    pub call: &'a mut Call<'c, 's, 'e>,
    pub terms: Vec<Mj>,
}

impl Terms<'_, '_, '_, '_> {
    /// An option by name.
    pub(crate) fn option(&self, name: &str) -> Option<&Mj> {
        self.call.named.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// An option's text.
    pub(crate) fn option_str(&self, name: &str, default: &str) -> Result<String, Error> {
        self.option(name).map_or_else(|| Ok(default.to_owned()), text::str)
    }

    /// The terms as texts; a list counts as its items.
    pub(crate) fn texts(&self) -> Result<Vec<String>, Error> {
        let mut out = Vec::new();
        for term in &self.terms {
            if matches!(term.kind(), ValueKind::Seq | ValueKind::Iterable) {
                for item in term.try_iter()?.checked() {
                    out.push(text::str(&item?)?);
                }
            } else {
                out.push(text::str(term)?);
            }
        }
        Ok(out)
    }
}

/// The functions a template can call. `undef()` and `now()` are rare, but part of the language.
pub(crate) static FUNCTIONS: &[Entry] = &[
    Entry::new(&["lookup"], &["name", "*", "**"], "Looks something up; several values are joined.", |c| run(c, false))
        .takes_undefined(),
    Entry::new(&["query", "q"], &["name", "*", "**"], "Looks something up, as a list.", |c| run(c, true))
        .takes_undefined(),
    // Where the value may not be needed, a lookup may fail.
    Entry::new(&["__lookup"], &["name", "*", "**"], "A lookup that may fail.", |c| attempt(c, false)).takes_undefined(),
    Entry::new(&["__query", "__q"], &["name", "*", "**"], "The same, as a list.", |c| attempt(c, true))
        .takes_undefined(),
    Entry::new(&["dict"], &["value", "**"], "Makes a dictionary.", dict),
    // Stands where a sealed value is that cannot be opened.
    Entry::new(&["__unopened"], &["why"], "Fails, and says why.", |c| Err(fail(c.str(0)?))),
    Entry::new(&["cycler"], &["*"], "Its items in turn.", |c| {
        let items = std::mem::take(&mut c.rest);
        if items.is_empty() {
            return Err(fail("at least one item has to be provided"));
        }
        Ok(Mj::from_object(Cycler { items, next: AtomicUsize::new(0) }))
    }),
    Entry::new(&["joiner"], &["sep"], "Nothing first, then a separator.", |c| {
        Ok(Mj::from_object(Joiner { separator: c.str_or(0, ", ")?, called: AtomicBool::new(false) }))
    }),
    Entry::new(&["now"], &["utc", "fmt"], "The time.", now),
    Entry {
        undefined: Undefined::Handled,
        ..Entry::new(&["undef"], &["hint"], "Something undefined.", |_| Ok(Mj::UNDEFINED))
    },
];

/// All lookups.
pub(crate) fn all() -> impl Iterator<Item = &'static Lookup> {
    [collections::ALL, files::ALL, hosts::ALL, password::ALL, values::ALL].into_iter().flatten()
}

fn attempt(c: &mut Call, as_list: bool) -> Result<Mj, Error> {
    run(c, as_list).or_else(|error| Context::of(c.state).map(|ctx| ctx.not_needed(&error)))
}

fn run(c: &mut Call, as_list: bool) -> Result<Mj, Error> {
    let name = c.str(0)?;
    let short = name.strip_prefix("ansible.builtin.").or_else(|| name.strip_prefix("ansible.legacy.")).unwrap_or(&name);
    let Some(lookup) = all().find(|l| l.name == short) else {
        let near = closest(short, all().map(|l| l.name)).map_or_else(String::new, |n| format!("; did you mean '{n}'?"));
        let (message, told) =
            (format!("there is no lookup '{name}'{near}"), format!("The lookup plugin '{name}' was not found."));
        return Err(fail_without(plugins::Kind::Lookup, &name, message, told));
    };
    let as_list = as_list || take(c, "wantlist").is_some_and(|v| v.is_true());
    let errors = take(c, "errors").map_or_else(|| Ok("strict".into()), |v| text::str(&v))?;
    if !matches!(errors.as_str(), "strict" | "warn" | "ignore") {
        return Err(fail(format!("'{errors}' is no way to handle errors: strict, warn or ignore")));
    }
    let known = |key: &String| lookup.options.contains(&key.as_str()) || lookup.options.contains(&"*");
    if let Some((option, _)) = c.named.iter().find(|(key, _)| !known(key)) {
        let options = if lookup.options.is_empty() { "none".into() } else { lookup.options.join(", ") };
        return Err(fail(format!("the lookup '{name}' has no option '{option}'; it has: {options}")));
    }
    let terms = std::mem::take(&mut c.rest);
    if let Some(term) = terms.iter().find(|t| t.is_undefined()) {
        return Ok(term.clone());
    }
    let found = match (lookup.run)(&mut Terms { call: c, terms }) {
        Ok(found) => found,
        Err(_) if errors != "strict" => return Ok(if as_list { mutable::list(Vec::new()) } else { Mj::from(()) }),
        Err(error) => return Err(within(&name, error)),
    };
    if as_list {
        return Ok(mutable::list(found));
    }
    match <[Mj; 1]>::try_from(found) {
        Err(none) if none.is_empty() => Ok(mutable::list(none)),
        Ok([one]) => Ok(one),
        // Ansible joins texts with commas and gives a list otherwise.
        Err(many) if many.iter().all(|v| v.as_str().is_some()) => {
            Ok(Mj::from(many.iter().filter_map(Mj::as_str).collect::<Vec<_>>().join(",")))
        }
        Err(many) => Ok(mutable::list(many)),
    }
}

/// Of a lookup that fails Ansible says which one it is, unless it is a variable that is missing.
fn within(name: &str, error: Error) -> Error {
    if error.kind() != ErrorKind::InvalidOperation || name.ends_with("vars") {
        return error;
    }
    let reason = told(&error).or(error.detail()).unwrap_or_default();
    let told = Told { words: format!("The lookup plugin '{name}' failed: {reason}"), wanted: None };
    error.with_source(told)
}

fn take(c: &mut Call, name: &str) -> Option<Mj> {
    let at = c.named.iter().position(|(key, _)| key == name)?;
    Some(c.named.remove(at).1)
}

fn dict(c: &mut Call) -> Result<Mj, Error> {
    let mut all = match c.option(0)? {
        None => Vec::new(),
        Some(map) if map.kind() == ValueKind::Map => c.pairs(0)?,
        Some(list) => super::python::methods::pair_list(list)?,
    };
    all.extend(std::mem::take(&mut c.named).into_iter().map(|(k, v)| (Mj::from(k), v)));
    Ok(mutable::dict(all))
}

fn now(c: &mut Call) -> Result<Mj, Error> {
    let zone = if c.flag(0, false)? { jiff::tz::TimeZone::UTC } else { jiff::tz::TimeZone::system() };
    let time = DateTime(jiff::Timestamp::now().to_zoned(zone).datetime());
    match c.option(1)? {
        Some(format) => time.strftime(&text::str(format)?).map(Mj::from),
        None => Ok(Mj::from_object(time)),
    }
}

/// Functions that hand out one value after the other: `cycler('a', 'b')`, `joiner(', ')`.
#[derive(Debug)]
struct Cycler {
    items: Vec<Mj>,
    next: AtomicUsize,
}

impl Object for Cycler {
    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Mj> {
        (key == "current").then(|| self.items[self.next.load(Ordering::Relaxed) % self.items.len()].clone())
    }

    fn get_value(self: &Arc<Self>, key: &Mj) -> Option<Mj> {
        self.get_value_by_str(key.as_str()?)
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, name: &str, _: &[Mj]) -> Result<Mj, Error> {
        match name {
            "next" => Ok(self.items[self.next.fetch_add(1, Ordering::Relaxed) % self.items.len()].clone()),
            "reset" => {
                self.next.store(0, Ordering::Relaxed);
                Ok(Mj::from(()))
            }
            _ => Err(minijinja::ErrorKind::UnknownMethod.into()),
        }
    }
}

/// Nothing at the first call, the separator at the others.
#[derive(Debug)]
struct Joiner {
    separator: String,
    called: AtomicBool,
}

impl Object for Joiner {
    fn call(self: &Arc<Self>, _: &mut State<'_, '_>, _: &[Mj]) -> Result<Mj, Error> {
        Ok(Mj::from(if self.called.swap(true, Ordering::Relaxed) { self.separator.as_str() } else { "" }))
    }
}
