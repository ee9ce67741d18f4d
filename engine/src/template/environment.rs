//! The minijinja environment: Jinja's syntax with Ansible's filters, tests and functions. It is the same for every
//! run, so each variant of its whitespace rules is built once.

use std::borrow::Cow;
use std::path::Path;
use std::sync::OnceLock;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Value as Mj};
use minijinja::{AutoEscape, Environment, Error, Output, State, UndefinedBehavior};

use crate::source::Span;

use super::call::{Entry, within_plugin};
use super::error::{Problem, TemplateError};
use super::python::{methods, operators, text};
use super::rewrite::{self, Literals};
use super::{filters, lookups, plugins, tests};

/// What becomes of the whitespace around statements.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Whitespace {
    /// A value in a playbook: a newline after a statement goes.
    Inline,
    /// A template file.
    File {
        /// The first newline after a statement goes.
        trim_blocks: bool,
        /// The indentation before a statement goes.
        lstrip_blocks: bool,
    },
}

impl Whitespace {
    pub(crate) fn flags(self) -> (bool, bool) {
        match self {
            Self::Inline => (true, false),
            Self::File { trim_blocks, lstrip_blocks } => (trim_blocks, lstrip_blocks),
        }
    }
}

/// The environment with these rules.
pub(crate) fn get(whitespace: Whitespace) -> &'static Environment<'static> {
    static ENVIRONMENTS: [OnceLock<Environment<'static>>; 4] = [const { OnceLock::new() }; 4];
    let (trim, lstrip) = whitespace.flags();
    ENVIRONMENTS[usize::from(trim) * 2 + usize::from(lstrip)].get_or_init(|| build(trim, lstrip))
}

fn build(trim: bool, lstrip: bool) -> Environment<'static> {
    let mut env = Environment::empty();
    let syntax = SyntaxConfig::builder().trim_blocks(trim).lstrip_blocks(lstrip).build();
    env.set_syntax(syntax.expect("the default delimiters are valid"));
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    // Undefined values remember the expression that made them.
    env.set_debug(true);
    env.set_auto_escape_callback(|_| AutoEscape::None);
    env.set_formatter(emit);
    env.set_unknown_method_callback(methods::call);
    env.set_path_join_callback(|name, parent| Cow::Owned(join(name, parent)));
    env.set_loader(load);
    for entry in filters::all() {
        each_name(entry, |name| {
            let told = told_name(entry, &name);
            env.add_filter(name, plugin("filter", told, run(entry)));
        });
    }
    for entry in operators::ALL {
        each_name(entry, |name| env.add_filter(name, run(entry)));
    }
    for entry in tests::all() {
        each_name(entry, |name| {
            let told = told_name(entry, &name);
            env.add_test(name, plugin("test", told, test(entry)));
        });
    }
    for entry in lookups::FUNCTIONS {
        each_name(entry, |name| env.add_function(name, run(entry)));
    }
    let defaults = Environment::new();
    for (name, value) in defaults.globals().filter(|(name, _)| matches!(*name, "range" | "namespace")) {
        env.add_global(name.to_owned(), value);
    }
    env
}

fn each_name(entry: &'static Entry, mut add: impl FnMut(Cow<'static, str>)) {
    for name in entry.names {
        add(Cow::Borrowed(name));
        // Those of other collections have their own long names.
        if !name.starts_with("__") && !entry.names[0].contains('.') {
            add(Cow::Owned(format!("ansible.builtin.{name}")));
            add(Cow::Owned(format!("ansible.legacy.{name}")));
        }
    }
}

/// By which name Ansible tells of a plugin that fails: those of other collections have but one.
fn told_name(entry: &'static Entry, name: &str) -> String {
    if entry.names[0].contains('.') { entry.names[0].to_owned() } else { name.to_owned() }
}

/// It fails as that plugin.
fn plugin(
    kind: &'static str,
    name: String,
    run: impl Fn(&mut State<'_, '_>, &[Mj], Kwargs) -> Result<Mj, Error> + Send + Sync + 'static,
) -> impl Fn(&mut State<'_, '_>, &[Mj], Kwargs) -> Result<Mj, Error> + Send + Sync + 'static {
    move |state, args, kwargs| run(state, args, kwargs).map_err(|error| within_plugin(kind, &name, error))
}

fn run(
    entry: &'static Entry,
) -> impl Fn(&mut State<'_, '_>, &[Mj], Kwargs) -> Result<Mj, Error> + Send + Sync + 'static {
    move |state, args, kwargs| entry.call(state, args, &kwargs)
}

/// A test of something undefined is an error, unless the test is about that.
fn test(
    entry: &'static Entry,
) -> impl Fn(&mut State<'_, '_>, &[Mj], Kwargs) -> Result<Mj, Error> + Send + Sync + 'static {
    move |state, args, kwargs| {
        let result = entry.call(state, args, &kwargs)?;
        if result.is_undefined() { Err(super::eval::undefined(&result)) } else { Ok(result) }
    }
}

/// What a template has emitted so far, to know whether it was a single value.
#[derive(Default)]
pub(crate) struct Emits {
    count: usize,
    last: Option<Mj>,
}

impl Emits {
    /// The value, if there was just one.
    pub(crate) fn only(&self) -> Option<&Mj> {
        self.last.as_ref().filter(|_| self.count == 1)
    }
}

fn emit(out: &mut Output, state: &mut State, value: &Mj) -> Result<(), Error> {
    let emits = state.get_or_insert_extension(Emits::default());
    emits.count += 1;
    emits.last = (emits.count == 1).then(|| value.clone());
    if let Some(text) = value.as_str() {
        return Ok(out.write_str(text)?);
    }
    Ok(out.write_str(&text::emitted(value)?)?)
}

/// The marker before the name of a template that is a file on disk.
const FILE: char = '\u{1}';
/// The marker before a text from a playbook.
const INLINE: char = '\u{2}';
/// The marker before the text of a file, which is preceded by the directory of the file and another marker.
const TEXT: char = '\u{3}';

/// The name by which the environment finds a text of a playbook.
pub(crate) fn name_of_text(text: &str) -> String {
    format!("{INLINE}{text}")
}

/// The name by which the environment finds the text of a file. What it includes stands beside it.
pub(crate) fn name_of_file(text: &str, path: &Path) -> String {
    let dir = path.parent().unwrap_or(Path::new(""));
    format!("{TEXT}{}{TEXT}{text}", dir.display())
}

fn load(name: &str) -> Result<Option<String>, Error> {
    let rewritten = |text: &str, literals| Some(rewrite::template(text, literals).text);
    if let Some(text) = name.strip_prefix(INLINE) {
        return Ok(rewritten(text, Literals::Inline));
    }
    if let Some((_, text)) = name.strip_prefix(TEXT).and_then(|rest| rest.split_once(TEXT)) {
        return Ok(rewritten(text, Literals::File));
    }
    let Some(path) = name.strip_prefix(FILE) else { return Ok(None) };
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(rewritten(&text, Literals::File)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(super::call::fail(format!("cannot read {path}: {e}"))),
    }
}

/// The path of what a template includes: beside it, or in one of the directories above it or their `templates`, which is
/// where roles and playbooks keep them.
fn join(name: &str, parent: &str) -> String {
    /// From `roles/x/templates/a/b` up to the playbook.
    const LEVELS: usize = 6;
    let dir = match parent.strip_prefix(TEXT).and_then(|rest| rest.split_once(TEXT)) {
        Some((dir, _)) => Path::new(dir),
        None => parent.strip_prefix(FILE).and_then(|path| Path::new(path).parent()).unwrap_or(Path::new("")),
    };
    let above = dir.ancestors().take(LEVELS).flat_map(|dir| [dir.join(name), dir.join("templates").join(name)]);
    let found = above.into_iter().find(|path| path.is_file()).unwrap_or_else(|| dir.join(name));
    format!("{FILE}{}", found.display())
}

/// The path of a template that is a file on disk, by its name.
pub(crate) fn included(name: &str) -> Option<&str> {
    name.strip_prefix(FILE)
}

type Located = Box<dyn Fn(Span) -> TemplateError>;

/// The error for a filter or test that does not exist; `None` if it does.
pub(crate) fn unknown_name(is_test: bool, name: &str) -> Option<Located> {
    let short = name.strip_prefix("ansible.builtin.").or_else(|| name.strip_prefix("ansible.legacy.")).unwrap_or(name);
    let names = |entries: &mut dyn Iterator<Item = &'static Entry>| -> Vec<&'static str> {
        entries.flat_map(|e| e.names.iter().copied()).collect()
    };
    let known = if is_test { names(&mut tests::all()) } else { names(&mut filters::all()) };
    if known.contains(&short) {
        return None;
    }
    let what = if is_test { "test" } else { "filter" };
    let near = closest(short, known.iter().copied()).map(str::to_owned);
    let message = format!("there is no {what} '{name}'");
    let kind = if is_test { plugins::Kind::Test } else { plugins::Kind::Filter };
    let name = name.to_owned();
    Some(Box::new(move |span| {
        if let Some(note) = plugins::note(kind, &name, span.path()) {
            return TemplateError::new(Problem::Syntax(format!("{message}: {note}")), span);
        }
        let mut error = TemplateError::new(Problem::Syntax(message.clone()), span);
        error.told = Some(format!("Syntax error in template: No {what} named '{name}'.").into());
        match &near {
            Some(near) => error.hint(format!("did you mean '{near}'?")),
            None => error,
        }
    }))
}

/// The name most like `wanted`, if one is like it.
pub(crate) fn closest<'n>(wanted: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    names
        .map(|name| (strsim::jaro_winkler(wanted, name), name))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}
