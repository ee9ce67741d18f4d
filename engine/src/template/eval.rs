//! Compiles texts once and evaluates them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use minijinja::value::{Value as Mj, ValueKind};
use minijinja::{Environment, Error, Expression};

use crate::source::Span;
use crate::value::Template;
use crate::vault::VaultPasswords;

use super::delimiters::Delimiters;
use super::environment::{self, Emits, Whitespace};
use super::error::{Problem, TemplateError};
use super::lazy::Context;
use super::python::text;
use super::report::{self, Origin};
use super::rewrite::{self, Literals, Rewritten};
use super::syntax::{SegmentKind, is_template, segments};

/// What all evaluations share: the compiled texts and where files are looked for.
#[derive(Default)]
pub(crate) struct Engine {
    /// Where relative paths start that no role or playbook claims.
    pub basedir: PathBuf,
    /// What `ansible_managed` says in files.
    pub managed: String,
    /// What opens the files that lookups read.
    pub vault: VaultPasswords,
    compiled: RwLock<HashMap<Box<str>, Arc<Compiled>>>,
}

/// A compiled text.
enum Compiled {
    /// No syntax in it.
    Data,
    /// A bare expression, `{{ … }}` around it or not, which starts at byte `at` of the text.
    Expression { expression: Expression<'static, 'static>, rewritten: Rewritten, at: usize, newline: bool },
    /// Anything else: a template of the environment.
    Mixed { name: String, rewritten: Rewritten },
}

impl Engine {
    pub(crate) fn new(basedir: PathBuf, managed: String) -> Self {
        Self { basedir, managed, ..Self::default() }
    }

    /// Renders a text: a lone expression to its value, anything else to text.
    pub(crate) fn evaluate(&self, template: &Template, ctx: &Arc<Context>) -> Result<Mj, TemplateError> {
        if template.secret {
            ctx.scope.taint();
        }
        let compiled = self.compile(&template.text, false, &template.span)?;
        self.run(&compiled, &template.text, &template.span, ctx)
    }

    /// Evaluates a bare expression; the delimiters are allowed around it.
    pub(crate) fn expression(&self, text: &str, span: &Span, ctx: &Arc<Context>) -> Result<Mj, TemplateError> {
        let trimmed = text.trim();
        let delimited = trimmed.starts_with("{{") || trimmed.starts_with("{%");
        let compiled = self.compile(trimmed, !delimited, span)?;
        self.run(&compiled, trimmed, span, ctx)
    }

    /// Checks a text's syntax and the names of its filters and tests.
    pub(crate) fn check(&self, text: &str, span: &Span, bare: bool) -> Result<(), TemplateError> {
        let compiled = self.compile(text, bare, span)?;
        let (rewritten, at) = match &*compiled {
            Compiled::Data => return Ok(()),
            Compiled::Expression { rewritten, at, .. } => (rewritten, *at),
            Compiled::Mixed { rewritten, .. } => (rewritten, 0),
        };
        for named in &rewritten.names {
            let (start, end) = (at + named.start, at + named.end);
            let name: String = text[start..end].chars().filter(|c| !c.is_whitespace()).collect();
            if let Some(error) = environment::unknown_name(named.is_test, &name) {
                return Err(error(Origin { text, span, at: 0, rewritten: None }.place(start, end)));
            }
        }
        Ok(())
    }

    /// The variables a text may read, with the path of attributes where it is plain.
    pub(crate) fn reads(&self, text: &str, bare: bool) -> std::collections::HashSet<String> {
        match self.compile(text, bare, &Span::none()).as_deref() {
            Ok(Compiled::Expression { expression, .. }) => expression.undeclared_variables(true),
            Ok(Compiled::Mixed { name, .. }) => environment::get(Whitespace::Inline)
                .get_template(name)
                .map(|t| t.undeclared_variables(true))
                .unwrap_or_default(),
            Ok(Compiled::Data) | Err(_) => Default::default(),
        }
    }

    fn compile(&self, text: &str, bare: bool, span: &Span) -> Result<Arc<Compiled>, TemplateError> {
        // A bare expression and a template of the same text are different things.
        let key = if bare { format!("\0{text}") } else { String::new() };
        let key: &str = if bare { &key } else { text };
        if let Some(found) = self.compiled.read().unwrap_or_else(PoisonError::into_inner).get(key) {
            return Ok(Arc::clone(found));
        }
        let compiled = Arc::new(if bare {
            expression(text, (0, text.len()), Literals::Bare, false, span)?
        } else {
            template(text, span)?
        });
        self.compiled.write().unwrap_or_else(PoisonError::into_inner).insert(key.into(), Arc::clone(&compiled));
        Ok(compiled)
    }

    fn run(&self, compiled: &Compiled, text: &str, span: &Span, ctx: &Arc<Context>) -> Result<Mj, TemplateError> {
        let root = || Mj::from_dyn_object(Arc::clone(ctx));
        match compiled {
            Compiled::Data => Ok(Mj::from(text)),
            Compiled::Expression { expression, rewritten, at, newline } => {
                let origin = Origin { text, span, at: *at, rewritten: Some(rewritten) };
                let value = expression.eval(root()).map_err(|e| report::error(&e, &origin, ctx))?;
                match value.as_str() {
                    Some(found) if *newline => Ok(Mj::from(as_ended(found.to_owned(), "\n"))),
                    _ if value.is_undefined() => {
                        Err(report::nothing(&origin, &expression.undeclared_variables(true), ctx))
                    }
                    _ => Ok(value),
                }
            }
            Compiled::Mixed { name, rewritten } => {
                let origin = Origin { text, span, at: 0, rewritten: Some(rewritten) };
                let value = self.render(environment::get(Whitespace::Inline), name, ctx);
                let value = value.map_err(|e| report::error(&e, &origin, ctx))?;
                Ok(match value.as_str() {
                    Some(found) if text.ends_with('\n') => Mj::from(as_ended(found.to_owned(), text)),
                    _ => value,
                })
            }
        }
    }

    /// Renders a template of the environment. If all it emits is one value, that is the result, as in Jinja's native
    /// mode: `{% if a %}{{ list }}{% endif %}`; if it emits nothing, none is.
    fn render(&self, env: &'static Environment<'static>, name: &str, ctx: &Arc<Context>) -> Result<Mj, Error> {
        let captured = env.get_template(name)?.render_captured(Mj::from_dyn_object(Arc::clone(ctx)))?;
        if let Some(value) = captured.state().get_extension::<Emits>().and_then(Emits::only)
            && !matches!(value.kind(), ValueKind::String)
            && text::emitted(value)? == captured.output()
        {
            return Ok(value.clone());
        }
        if captured.output().is_empty() && captured.state().get_extension::<Emits>().is_none() {
            return Ok(Mj::from(()));
        }
        Ok(Mj::from(captured.into_output()))
    }

    /// Renders a file's text.
    pub(crate) fn file(
        &self,
        content: &str,
        whitespace: Whitespace,
        span: &Span,
        ctx: &Arc<Context>,
    ) -> Result<String, TemplateError> {
        if !is_template(content) && !content.starts_with(HEADER) {
            return Ok(content.to_owned());
        }
        // Jinja reads every kind of newline as the one that it writes.
        let unix = content.contains('\r').then(|| content.replace("\r\n", "\n").replace('\r', "\n"));
        let content = unix.as_deref().unwrap_or(content);
        let (at, whitespace, delimiters) = header(content, whitespace, span)?;
        let translated = delimiters.map(|d| format!("{}{}", &content[..at], d.translate(&content[at..])));
        let content = translated.as_deref().unwrap_or(content);
        let name = environment::name_of_file(&content[at..], span.path());
        let rewritten = rewrite::template(&content[at..], Literals::File);
        let origin = Origin { text: content, span, at, rewritten: Some(&rewritten) };
        let env = environment::get(whitespace);
        let value = self.render(env, &name, ctx).map_err(|e| report::error(&e, &origin, ctx))?;
        match value.as_str() {
            Some(found) => Ok(as_ended(found.to_owned(), content)),
            // A lone value that is no text has no newline after it.
            None => text::emitted(&value).map_err(|e| report::error(&e, &origin, ctx)),
        }
    }
}

/// What a template yields, ended by as many newlines as the template itself at least. Jinja drops the last one, also of what
/// is included; Ansible makes up for it so.
fn as_ended(mut found: String, template: &str) -> String {
    let newlines = |text: &str| text.len() - text.trim_end_matches('\n').len();
    let missing = newlines(template).saturating_sub(newlines(&found));
    found.extend(std::iter::repeat_n('\n', missing));
    found
}

/// What a setting of [`HEADER`] is given.
enum Setting<'t> {
    Flag(bool),
    Text(&'t str),
}

/// `trim_blocks: False`; values are Python's. The error is Ansible's.
fn setting_of(pair: &str) -> Result<(&str, Setting<'_>), String> {
    if pair.trim().is_empty() {
        return Err("Empty '#jinja2:' override pair not allowed.".into());
    }
    let Some((name, value)) = pair.split_once(':') else {
        return Err(format!("Missing key-value separator `:` in '#jinja2:' override pair '{pair}'."));
    };
    let (name, value) = (name.trim(), value.trim());
    let flags = ["trim_blocks", "lstrip_blocks", "keep_trailing_newline"];
    let is_flag = flags.contains(&name);
    let texts = ["newline_sequence", "line_statement_prefix", "line_comment_prefix"];
    if !is_flag && !texts.contains(&name) && !Delimiters::names().any(|known| known == name) {
        return Err(format!("Invalid '#jinja2:' override key '{name}'."));
    }
    let quoted = ['\'', '"'].into_iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote));
    let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let (setting, kind) = match (value, quoted) {
        ("True", _) => (Setting::Flag(true), "bool"),
        ("False", _) => (Setting::Flag(false), "bool"),
        (_, Some(text)) => (Setting::Text(text), "str"),
        (_, None) if is_number => (Setting::Text(value), "int"),
        _ => return Err(format!("`{value}` is no literal of Python's: True, False or a text in quotes is wanted")),
    };
    let wanted = if is_flag { "bool" } else { "str" };
    if kind != wanted {
        return Err(format!("TemplateOverrides.{name} must be <class '{wanted}'> instead of <class '{kind}'>"));
    }
    Ok((name, setting))
}

/// How the first line of a file begins that sets rules for it.
const HEADER: &str = "#jinja2:";

/// A first line like `#jinja2: trim_blocks: false, lstrip_blocks: true` sets the rules of its file and is not part of
/// what the file yields. Returns where the rest begins.
fn header(
    text: &str,
    given: Whitespace,
    span: &Span,
) -> Result<(usize, Whitespace, Option<Delimiters>), TemplateError> {
    let Some(rest) = text.strip_prefix(HEADER) else { return Ok((0, given, None)) };
    let mut delimiters = Delimiters::default();
    let line = rest.lines().next().unwrap_or_default();
    let (mut trim_blocks, mut lstrip_blocks) = given.flags();
    for setting in line.split(',') {
        let wrong = |message: String| {
            let place = Origin { text, span, at: 0, rewritten: None }.place(0, line.len() + HEADER.len());
            let mut error = TemplateError::new(Problem::Failed(format!("the '#jinja2:' line: {message}")), place);
            error.told = Some(format!("Syntax error in template: {message}").into());
            error
        };
        match setting_of(setting).map_err(wrong)? {
            ("trim_blocks", Setting::Flag(flag)) => trim_blocks = flag,
            ("lstrip_blocks", Setting::Flag(flag)) => lstrip_blocks = flag,
            (name, Setting::Text(value)) if delimiters.set(name, value) => {}
            ("newline_sequence", Setting::Text("\\n")) | ("keep_trailing_newline", Setting::Flag(false)) => {}
            (name, _) => return Err(wrong(format!("Trueup has no other `{name}`"))),
        }
    }
    let at = text.find('\n').map_or(text.len(), |end| end + 1);
    let delimiters = Some(delimiters).filter(|d| *d != Delimiters::default());
    Ok((at, Whitespace::File { trim_blocks, lstrip_blocks }, delimiters))
}

fn expression(
    text: &str,
    (start, end): (usize, usize),
    literals: Literals,
    newline: bool,
    span: &Span,
) -> Result<Compiled, TemplateError> {
    let rewritten = rewrite::expression(&text[start..end], literals);
    let env = environment::get(Whitespace::Inline);
    let expression = env.compile_expression_owned(rewritten.text.clone()).map_err(|e| {
        let origin = Origin { text, span, at: start, rewritten: Some(&rewritten) };
        report::syntax(&e, &origin)
    })?;
    Ok(Compiled::Expression { expression, rewritten, at: start, newline })
}

fn template(text: &str, span: &Span) -> Result<Compiled, TemplateError> {
    if !is_template(text) {
        return Ok(Compiled::Data);
    }
    if let Some((start, end, newline)) = lone(text) {
        return expression(text, (start, end), Literals::Inline, newline, span);
    }
    let rewritten = rewrite::template(text, Literals::Inline);
    let name = environment::name_of_text(text);
    environment::get(Whitespace::Inline)
        .get_template(&name)
        .map_err(|e| report::syntax(&e, &Origin { text, span, at: 0, rewritten: Some(&rewritten) }))?;
    Ok(Compiled::Mixed { name, rewritten })
}

/// The inside of a text that is one expression in delimiters, and whether a newline follows it, which Jinja drops
/// and Ansible gives back to texts only.
fn lone(text: &str) -> Option<(usize, usize, bool)> {
    let pieces = segments(text)?;
    let newline = match &*pieces {
        [_] => false,
        [_, rest] if &text[rest.start..] == "\n" => true,
        _ => return None,
    };
    let first = &pieces[0];
    let inside = first.kind == SegmentKind::Expression && !first.tokens.is_empty();
    inside.then(|| (first.tokens[0].start, first.tokens[first.tokens.len() - 1].end, newline))
}

/// The error of using an undefined value, which knows where it came from.
pub(crate) fn undefined(value: &Mj) -> Error {
    value.get_attr("").err().unwrap_or_else(|| minijinja::ErrorKind::UndefinedError.into())
}
