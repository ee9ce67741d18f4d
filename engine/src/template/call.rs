//! How filters, tests and lookups are declared and get their arguments: by position or by name, as in Python.

use minijinja::value::{Kwargs, Value as Mj, ValueKind};
use minijinja::{Error, ErrorKind, State};

use super::eval::undefined;
use super::lazy::NotKnown;
use super::plugins;
use super::python::text;

/// An entry of a registry.
pub(crate) struct Entry {
    /// The names it goes by; each also as `ansible.builtin.NAME`.
    pub names: &'static [&'static str],
    /// What it does, in a sentence.
    pub doc: &'static str,
    /// The parameters in order. A last `*` takes further positional arguments, `**` further named ones.
    pub params: &'static [&'static str],
    /// What becomes of an undefined first argument.
    pub undefined: Undefined,
    pub run: fn(&mut Call<'_, '_, '_>) -> Result<Mj, Error>,
}

/// What a filter does with an undefined value.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Undefined {
    /// The result is undefined, too: `missing | upper | default('x')`.
    Passes,
    /// It knows what to do.
    Handled,
}

impl Entry {
    pub(crate) const fn new(
        names: &'static [&'static str],
        params: &'static [&'static str],
        doc: &'static str,
        run: fn(&mut Call<'_, '_, '_>) -> Result<Mj, Error>,
    ) -> Self {
        Self { names, doc, params, undefined: Undefined::Passes, run }
    }

    pub(crate) const fn takes_undefined(mut self) -> Self {
        self.undefined = Undefined::Handled;
        self
    }

    /// Calls it.
    pub(crate) fn call(&self, state: &mut State<'_, '_>, args: &[Mj], kwargs: &Kwargs) -> Result<Mj, Error> {
        if let Some(unknown) = args.iter().find(|v| v.downcast_object_ref::<NotKnown>().is_some()) {
            return Ok(unknown.clone());
        }
        let passes = self.undefined == Undefined::Passes;
        if passes && let Some(missing) = args.iter().find(|v| v.is_undefined()) {
            return Ok(missing.clone());
        }
        let mut call = Call {
            state,
            name: self.names[0],
            params: self.params,
            bound: Vec::new(),
            rest: Vec::new(),
            named: Vec::new(),
        };
        self.bind(&mut call, args, kwargs)?;
        let bound = call.bound.iter().flatten();
        if passes && let Some(missing) = bound.chain(call.named.iter().map(|(_, v)| v)).find(|v| v.is_undefined()) {
            return Ok(missing.clone());
        }
        (self.run)(&mut call)
    }

    fn bind(&self, call: &mut Call<'_, '_, '_>, args: &[Mj], kwargs: &Kwargs) -> Result<(), Error> {
        let named = self.params.iter().filter(|p| !p.starts_with('*')).count();
        call.bound = vec![None; named];
        for (i, arg) in args.iter().enumerate() {
            match call.bound.get_mut(i) {
                Some(slot) => *slot = Some(arg.clone()),
                None if self.params.contains(&"*") => call.rest.push(arg.clone()),
                None => {
                    return Err(fail(format!(
                        "'{}' takes at most {named} arguments, got {}",
                        self.names[0],
                        args.len()
                    )));
                }
            }
        }
        for key in kwargs.args() {
            let value: Mj = kwargs.get(key)?;
            match self.params.iter().position(|p| *p == key) {
                Some(i) => call.bound[i] = Some(value),
                None if self.params.contains(&"**") => call.named.push((key.to_owned(), value)),
                None => {
                    let known = self.params.join(", ");
                    return Err(fail(format!("'{}' has no parameter '{key}'; it has: {known}", self.names[0])));
                }
            }
        }
        Ok(())
    }
}

/// A failure with its reason.
pub(crate) fn fail(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

/// A failure with its reason, and what Ansible says of it.
pub(crate) fn fail_told(message: impl Into<String>, told: impl Into<String>) -> Error {
    fail(message).with_source(Told { words: told.into(), wanted: None })
}

/// The same of a plugin that there is not.
pub(crate) fn fail_without(kind: plugins::Kind, name: &str, message: String, told: String) -> Error {
    fail(message).with_source(Told { words: told, wanted: Some((kind, name.to_owned())) })
}

/// What Ansible says of a failure, as the source of our error.
#[derive(Debug)]
pub(crate) struct Told {
    pub words: String,
    /// The plugin that there is not.
    pub wanted: Option<(plugins::Kind, String)>,
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.words)
    }
}

impl std::error::Error for Told {}

/// What Ansible says of this failure, if it was made to be told.
pub(crate) fn told(error: &Error) -> Option<&str> {
    of(error).map(|told| told.words.as_str())
}

/// Whether words are about something that has not what is asked of it: to Ansible that is undefined, and nothing fails.
pub(crate) fn is_missing_attribute(words: &str) -> bool {
    words.starts_with("object of type '") && words.contains("' has no attribute '")
}

/// The failure of a filter or test: Ansible says which one it is, of one in another the inner.
pub(crate) fn within_plugin(kind: &str, name: &str, error: Error) -> Error {
    if error.kind() != ErrorKind::InvalidOperation {
        return error;
    }
    let reason = told(&error).or(error.detail()).unwrap_or_default();
    if is_missing_attribute(reason)
        || ["The filter plugin ", "The test plugin ", "The lookup plugin "]
            .iter()
            .any(|known| reason.starts_with(known))
    {
        return error;
    }
    let name = if name.contains('.') { name.to_owned() } else { format!("ansible.builtin.{name}") };
    let words = format!("The {kind} plugin '{name}' failed: {reason}");
    let wanted = wanted(&error).map(|(kind, name)| (kind, name.to_owned()));
    error.with_source(Told { words, wanted })
}

/// The plugin that it fails for want of.
pub(crate) fn wanted(error: &Error) -> Option<(plugins::Kind, &str)> {
    of(error)?.wanted.as_ref().map(|(kind, name)| (*kind, name.as_str()))
}

fn of(error: &Error) -> Option<&Told> {
    std::error::Error::source(error)?.downcast_ref::<Told>()
}

/// One call: its arguments in the order of the parameters.
pub(crate) struct Call<'c, 's, 'e> {
    pub state: &'c mut State<'s, 'e>,
    pub name: &'static str,
    params: &'static [&'static str],
    bound: Vec<Option<Mj>>,
    /// Positional arguments beyond the parameters.
    pub rest: Vec<Mj>,
    /// Named arguments beyond the parameters.
    pub named: Vec<(String, Mj)>,
}

impl Call<'_, '_, '_> {
    fn bad(&self, i: usize, wanted: &str, found: &Mj) -> Error {
        let what = if i == 0 { "the value".to_owned() } else { format!("argument {i}") };
        fail(format!("'{}' needs {wanted}, but {what} is of type {}", self.name, text::type_name(found)))
    }

    /// An argument as it was given, undefined or not.
    pub(crate) fn raw(&self, i: usize) -> Option<&Mj> {
        self.bound.get(i).and_then(Option::as_ref)
    }

    /// An argument that must be there.
    pub(crate) fn value(&self, i: usize) -> Result<&Mj, Error> {
        match self.raw(i) {
            Some(value) if value.is_undefined() => Err(undefined(value)),
            Some(value) => Ok(value),
            None => {
                let (name, param) = (self.name, self.params.get(i).copied().unwrap_or_default());
                let told = format!("{name}() missing 1 required positional argument: '{param}'");
                Err(fail_told(format!("'{name}' needs one more argument"), told))
            }
        }
    }

    /// An argument that may be left out or `none`.
    pub(crate) fn option(&self, i: usize) -> Result<Option<&Mj>, Error> {
        match self.raw(i) {
            None => Ok(None),
            Some(value) if value.is_none() => Ok(None),
            Some(_) => self.value(i).map(Some),
        }
    }

    /// A text; other values count as what Python prints.
    pub(crate) fn str(&self, i: usize) -> Result<String, Error> {
        text::str(self.value(i)?)
    }

    /// A text, and nothing else.
    pub(crate) fn text(&self, i: usize) -> Result<String, Error> {
        let value = self.value(i)?;
        value.as_str().map(str::to_owned).ok_or_else(|| self.bad(i, "a text", value))
    }

    pub(crate) fn str_or(&self, i: usize, default: &str) -> Result<String, Error> {
        self.option(i)?.map_or_else(|| Ok(default.to_owned()), text::str)
    }

    pub(crate) fn int(&self, i: usize) -> Result<i64, Error> {
        let value = self.value(i)?;
        let whole = || f64::try_from(value.clone()).ok().filter(|f| f.fract() == 0.0);
        value.as_i64().or_else(|| whole().map(|f| f as i64)).ok_or_else(|| self.bad(i, "a whole number", value))
    }

    pub(crate) fn int_or(&self, i: usize, default: i64) -> Result<i64, Error> {
        if self.option(i)?.is_some() { self.int(i) } else { Ok(default) }
    }

    /// A switch, by Python's truth.
    pub(crate) fn flag(&self, i: usize, default: bool) -> Result<bool, Error> {
        Ok(self.option(i)?.map_or(default, Mj::is_true))
    }

    /// The items of a list; of a dictionary its keys, of a text its letters.
    pub(crate) fn list(&self, i: usize) -> Result<Vec<Mj>, Error> {
        let value = self.value(i)?;
        items(value).map_err(|_| {
            let told = format!("'{}' object is not iterable", text::type_name(value));
            self.bad(i, "a list", value).with_source(Told { words: told, wanted: None })
        })?
    }

    /// The pairs of a dictionary.
    pub(crate) fn pairs(&self, i: usize) -> Result<Vec<(Mj, Mj)>, Error> {
        let value = self.value(i)?;
        if value.kind() != ValueKind::Map {
            return Err(self.bad(i, "a dictionary", value));
        }
        pairs(value)
    }
}

/// What a value yields when it is iterated: an error for one that cannot be, and inside for one that fails underway.
pub(crate) fn items(value: &Mj) -> Result<Result<Vec<Mj>, Error>, Error> {
    if value.is_none() {
        return Err(fail("None is not iterable"));
    }
    Ok(value.try_iter()?.checked().collect())
}

/// The pairs of a dictionary.
pub(crate) fn pairs(value: &Mj) -> Result<Vec<(Mj, Mj)>, Error> {
    value.try_iter()?.checked().map(|key| key.and_then(|k| text::item(value, &k).map(|v| (k, v)))).collect()
}
