//! From minijinja's errors to ours: the place in the user's file, the reason in plain words, what to do.

use std::collections::HashSet;
use std::error::Error as _;
use std::sync::Arc;

use minijinja::{Error, ErrorKind};

use crate::source::{Source, Span};
use crate::value::Value;

use super::call::{told, wanted};
use super::environment;
use super::error::{Problem, TemplateError, Via};
use super::lazy::Context;
use super::plugins;
use super::rewrite::{self, Literals, Rewritten};

/// A text that was compiled: `at` is where the compiled part starts in it.
pub(crate) struct Origin<'a> {
    pub text: &'a str,
    pub span: &'a Span,
    pub at: usize,
    pub rewritten: Option<&'a Rewritten>,
}

impl Origin<'_> {
    /// The bytes of the text that an error is about.
    fn range(&self, error: &Error) -> (usize, usize) {
        let Some(range) = error.range() else { return (self.at, self.text.len()) };
        let trace = |pos| self.at + self.rewritten.map_or(pos, |r| r.original(pos));
        let end = trace(range.end).min(self.text.len());
        (trace(range.start).min(end), end)
    }

    /// Bytes of the text as a place in the user's file. A scalar's quotes and indentation are not part of its text: if
    /// the file does not read the same, the place of the scalar has to do.
    pub(crate) fn place(&self, start: usize, end: usize) -> Span {
        let source = &self.span.source;
        let rest = source.text.get(self.span.start..).unwrap_or_default();
        for skip in 0..2 {
            if rest.get(skip..).is_some_and(|r| !self.text.is_empty() && r.starts_with(self.text)) {
                let base = self.span.start + skip;
                return Span::new(source, base + start, base + end);
            }
        }
        let within = source.text.get(self.span.start..self.span.end).unwrap_or_default();
        match self.text.get(start..end).filter(|s| !s.is_empty()).and_then(|piece| within.find(piece)) {
            Some(offset) => Span::new(source, self.span.start + offset, self.span.start + offset + end - start),
            None => self.span.clone(),
        }
    }

    fn snippet(&self, start: usize, end: usize) -> &str {
        self.text.get(start..end).unwrap_or(self.text).trim()
    }
}

/// An error of parsing.
pub(crate) fn syntax(error: &Error, origin: &Origin) -> TemplateError {
    let (start, end) = origin.range(error);
    let message = error.detail().unwrap_or("the template cannot be parsed").to_owned();
    let hint = syntax_hint(&message);
    let error = TemplateError::new(Problem::Syntax(message), origin.place(start, end));
    hint.into_iter().fold(error, TemplateError::hint)
}

/// An expression whose value is nothing at all: what it names is undefined. `reads` are the variables in it.
pub(crate) fn nothing(origin: &Origin, reads: &HashSet<String>, ctx: &Arc<Context>) -> TemplateError {
    let text = origin.rewritten.map_or(origin.text, |r| &r.text).trim();
    if steps(text).is_some() {
        let start = origin.at;
        return undefined(text, origin, start, origin.text.len(), ctx);
    }
    if let Some(why) = ctx.scope.why_missing() {
        return why;
    }
    if let Some(name) = first_missing(text, reads, ctx) {
        return undefined(name, origin, origin.at, origin.text.len(), ctx);
    }
    let mut error = TemplateError::new(Problem::Nothing, origin.span.clone());
    error.told = attribute_of(text).or_else(|| nothing_of(text)).map(String::into_boxed_str);
    error.hint("an inline 'if' needs an 'else'; 'first' and 'last' need an item")
}

/// What Ansible says of an expression that yields nothing: its last step tells why.
fn nothing_of(text: &str) -> Option<String> {
    let text = text.trim();
    if let Some((_, filter)) = text.rsplit_once('|') {
        let what = match filter.trim() {
            "first" => "first",
            "last" => "last",
            "min" | "max" => "aggregated",
            _ => return None,
        };
        return Some(format!("No {what} item, sequence was empty."));
    }
    None
}

/// The same of `(…).name`: what is in the brackets is there, and has no such attribute.
fn attribute_of(text: &str) -> Option<String> {
    let (before, attribute) = text.trim().rsplit_once('.')?;
    let is_name = attribute.chars().all(|c| c.is_alphanumeric() || c == '_');
    (before.ends_with(')') && is_name).then(|| format!("object of type 'dict' has no attribute '{attribute}'"))
}

/// An error of evaluating.
pub(crate) fn error(error: &Error, origin: &Origin, ctx: &Arc<Context>) -> TemplateError {
    if let Some(failure) = ctx.scope.take_failure() {
        return failure;
    }
    // An error inside of an included file is the source of the one that says so.
    let innermost = innermost(error);
    if let Some(path) = innermost.name().and_then(environment::included) {
        return inside(path, innermost, origin, ctx);
    }
    located_at(innermost, origin.range(error), origin, ctx)
}

/// The error with its place in `origin`, the text that it happened in.
fn located(error: &Error, origin: &Origin, ctx: &Arc<Context>) -> TemplateError {
    located_at(error, origin.range(error), origin, ctx)
}

fn located_at(innermost: &Error, (start, end): (usize, usize), origin: &Origin, ctx: &Arc<Context>) -> TemplateError {
    if let Some(name) = undefined_name(innermost) {
        return undefined(&name, origin, start, end, ctx);
    }
    let place = origin.place(start, end);
    let message = innermost.detail().unwrap_or("the template cannot be rendered").to_owned();
    match innermost.kind() {
        ErrorKind::SyntaxError => {
            let hint = syntax_hint(&message);
            hint.into_iter().fold(TemplateError::new(Problem::Syntax(message), place), TemplateError::hint)
        }
        ErrorKind::UnknownFilter | ErrorKind::UnknownTest => {
            let name = message.split_whitespace().nth(1).unwrap_or_default();
            let is_test = innermost.kind() == ErrorKind::UnknownTest;
            match environment::unknown_name(is_test, name) {
                Some(error) => error(place),
                None => TemplateError::new(Problem::Syntax(message), place),
            }
        }
        ErrorKind::UnknownFunction => {
            let name = message.split_whitespace().next().unwrap_or_default().to_owned();
            undefined(&name, origin, start, end, ctx)
        }
        _ if ctx.scope.flags().tainted => TemplateError::new(Problem::Withheld(origin.text.trim().to_owned()), place),
        ErrorKind::UndefinedError => ctx
            .scope
            .why_missing()
            .unwrap_or_else(|| TemplateError::new(Problem::Undefined(origin.snippet(start, end).to_owned()), place)),
        _ => {
            let message = in_python(&message).unwrap_or(message);
            let note = wanted(innermost).and_then(|(kind, name)| plugins::note(kind, name, place.path()));
            let noted = |text: &str| note.as_ref().map_or(text.to_owned(), |note| format!("{text}: {note}"));
            let mut error = TemplateError::new(Problem::Failed(noted(&message)), place);
            error.told = told(innermost).map(|told| noted(told).into());
            error
        }
    }
}

/// What Python says where minijinja says it otherwise.
fn in_python(message: &str) -> Option<String> {
    let class = |kind: &str| match kind {
        "string" => "str",
        "number" => "int",
        "sequence" => "list",
        "map" => "dict",
        "none" => "NoneType",
        _ => "object",
    };
    if let Some(rest) = message.strip_prefix("tried to use ") {
        let (operator, kinds) = rest.split_once(" operator on unsupported types ")?;
        let (left, right) = kinds.split_once(" and ")?;
        let (left, right) = (class(left), class(right));
        return Some(match (operator, left) {
            ("+", "str" | "list") => format!("can only concatenate {left} (not \"{right}\") to {left}"),
            _ => format!("unsupported operand type(s) for {operator}: '{left}' and '{right}'"),
        });
    }
    if let Some((kind, method)) = message.split_once(" has no method named ") {
        return Some(format!("object of type '{}' has no attribute '{method}'", class(kind)));
    }
    if let Some(kind) = message.strip_prefix("value of type ").and_then(|rest| rest.strip_suffix(" is not callable")) {
        return Some(format!("'{}' object is not callable", class(kind)));
    }
    if let Some(kind) = message.strip_suffix(" is not iterable").filter(|kind| class(kind) != "object") {
        return Some(format!("'{}' object is not iterable", class(kind)));
    }
    (message.starts_with("unable to calculate") && message.ends_with("/ 0")).then(|| "division by zero".to_owned())
}

/// What is probably missing.
fn syntax_hint(message: &str) -> Option<&'static str> {
    let table = [
        ("expected end of variable block", "a `{{` is not closed by `}}`"),
        ("unexpected end of input, expected end of block", "a `{% if %}`, `{% for %}` or the like has no end"),
        ("unknown statement end", "nothing is open that it could end"),
    ];
    table.iter().find(|(part, _)| message.contains(part)).map(|(_, hint)| *hint)
}

/// An error inside of an included file: its place is in there.
fn inside(path: &str, innermost: &Error, origin: &Origin, ctx: &Arc<Context>) -> TemplateError {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let source = Arc::new(Source { path: path.into(), text: text.clone() });
    let rewritten = rewrite::template(&text, Literals::File);
    let span = Span::new(&source, 0, text.len());
    let there = Origin { text: &text, span: &span, at: 0, rewritten: Some(&rewritten) };
    let mut found = located(innermost, &there, ctx);
    found.via.push(Via { name: "include".into(), span: origin.span.clone() });
    found
}

fn innermost(error: &Error) -> &Error {
    let inner = error.source().and_then(|source| source.downcast_ref::<Error>());
    inner.map_or(error, innermost)
}

/// minijinja says "`foo.bar` is undefined", alone or in brackets after another reason.
fn undefined_name(error: &Error) -> Option<String> {
    let detail = error.detail()?;
    let end = detail.find("` is undefined")?;
    let start = detail[..end].rfind('`')? + 1;
    let name = &detail[start..end];
    (error.kind() == ErrorKind::UndefinedError || detail.contains("(`")).then(|| name.to_owned())
}

fn undefined(name: &str, origin: &Origin, start: usize, end: usize, ctx: &Arc<Context>) -> TemplateError {
    if let Some(error) = ctx.scope.why_undefined(name) {
        return error;
    }
    if name.contains('(')
        && let Some(error) = ctx.scope.why_missing()
    {
        return error;
    }
    let found = origin
        .text
        .get(start..end)
        .and_then(|s| s.find(name))
        .or_else(|| origin.text.find(name).map(|i| i.wrapping_sub(start)));
    let place = match found {
        Some(offset) => {
            let at = start.wrapping_add(offset);
            origin.place(at, at + name.len())
        }
        None => origin.place(start, end),
    };
    // minijinja writes `(...)[...]` for what it has no name for.
    let name = if name.starts_with("(...)") { origin.snippet(start, end) } else { name };
    let mut error = TemplateError::new(Problem::Undefined(name.to_owned()), place);
    let empty = || name.rsplit_once(").").and_then(|(before, _)| nothing_of(before));
    error.told = missing(name, ctx).or_else(empty).map(String::into_boxed_str);
    match nearest(name, ctx) {
        Some(near) => error.hint(format!("did you mean '{near}'?")),
        None => error.hint("define it, or give a value for the case with '| default(…)'"),
    }
}

/// The variable that is missing first, of those that nothing in the text makes up for.
fn first_missing<'r>(text: &str, reads: &'r HashSet<String>, ctx: &Arc<Context>) -> Option<&'r str> {
    let needed = |name: &str| {
        let at = text.find(name)?;
        let behind = text[at + name.len()..].trim_start();
        let behind = behind.strip_prefix('|').map(str::trim_start).unwrap_or_default();
        let made_up = ["default", "d("].iter().any(|filter| behind.starts_with(filter));
        (!made_up && missing(name, ctx).is_some()).then_some(at)
    };
    let found = reads.iter().filter_map(|name| Some((needed(name)?, name)));
    found.min().map(|(_, name)| name.as_str())
}

/// What Ansible says of a path: which step of it is missing, and in what.
fn missing(name: &str, ctx: &Arc<Context>) -> Option<String> {
    let mut steps = steps(name)?.into_iter();
    let Step::Name(first) = steps.next()? else { return None };
    let no_attribute = |kind: &str, name: &str| Some(format!("object of type '{kind}' has no attribute '{name}'"));
    let of_host;
    let mut value = match first {
        "vars" => match steps.next()? {
            Step::Name(name) => match ctx.vars.get(name) {
                Some(value) => value,
                None => return no_attribute("dict", name),
            },
            Step::Number(_) => return None,
        },
        "hostvars" => {
            let Step::Name(host) = steps.next()? else { return None };
            let Some(found) = ctx.vars.host(host) else { return Some(format!("hostvars['{host}']")) };
            of_host = found;
            match steps.next()? {
                Step::Name(name) => match of_host.get(name) {
                    Some(value) => value,
                    None => return no_attribute("HostVarsVars", name),
                },
                Step::Number(_) => return None,
            }
        }
        first => match ctx.vars.get(first) {
            Some(value) => value,
            None => return Some(format!("'{first}' is undefined")),
        },
    };
    for step in steps {
        let found = match (value, &step) {
            // What it comes to is not known here.
            (Value::Template(_), _) => return None,
            (Value::Map(map), Step::Name(name)) => map.get(*name),
            (Value::List(list), Step::Number(at)) => list.get(*at),
            _ => None,
        };
        let Some(found) = found else {
            let step = match step {
                Step::Name(name) => format!("'{name}'"),
                Step::Number(at) => at.to_string(),
            };
            return Some(format!("object of type '{}' has no attribute {step}", value.native_type()));
        };
        value = found;
    }
    None
}

/// A step into a value.
enum Step<'a> {
    Name(&'a str),
    Number(usize),
}

/// The steps of `a.b['c'][0]`; `None` if it is any other expression.
fn steps(text: &str) -> Option<Vec<Step<'_>>> {
    let word = |text: &str| text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let mut rest = text;
    let mut steps = Vec::new();
    loop {
        let (step, behind) = if let Some(inner) = rest.strip_prefix('[') {
            let (inner, behind) = inner.split_once(']')?;
            let quoted = ['\'', '"'].into_iter().find_map(|quote| inner.strip_prefix(quote)?.strip_suffix(quote));
            let step = quoted.map(Step::Name).or_else(|| inner.parse().ok().map(Step::Number))?;
            (step, behind)
        } else {
            let name = if steps.is_empty() { rest } else { rest.strip_prefix('.')? };
            let (name, behind) = name.split_at(word(name));
            (Step::Name(name).filled()?, behind)
        };
        steps.push(step);
        rest = behind;
        if rest.is_empty() {
            return Some(steps);
        }
    }
}

impl Step<'_> {
    fn filled(self) -> Option<Self> {
        match self {
            Self::Name("") => None,
            step => Some(step),
        }
    }
}

/// The defined name that is most like an undefined one: a variable, or a key of the dictionary it is looked up in.
fn nearest(name: &str, ctx: &Arc<Context>) -> Option<String> {
    if !is_path(name) {
        return None;
    }
    let Some((parent, last)) = name.rsplit_once('.') else {
        return environment::closest(name, ctx.vars.names().iter().map(String::as_str)).map(str::to_owned);
    };
    let mut steps = parent.split('.');
    let mut value = ctx.vars.get(steps.next()?)?;
    for step in steps {
        let Value::Map(map) = value else { return None };
        value = map.get(step)?;
    }
    let Value::Map(map) = value else { return None };
    environment::closest(last, map.keys().map(String::as_str)).map(|near| format!("{parent}.{near}"))
}

fn is_path(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '.')
}
