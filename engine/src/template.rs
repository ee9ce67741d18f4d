//! Templates and conditions: Ansible's Jinja on minijinja, with Python's semantics.
//!
//! Variables are rendered when they are read, recursively, and at most once per evaluation. Reading a secret makes the
//! result a secret; reading something that is not known before another task has run makes the result unknown. An
//! error points to the expression in the file that holds it, however many variables lie between.

mod about;
mod call;
mod convert;
mod delimiters;
mod environment;
mod error;
mod eval;
mod filters;
mod lazy;
mod lookups;
mod plugins;
mod python;
mod report;
mod rewrite;
mod scope;
mod syntax;
mod tests;

#[cfg(test)]
mod agreed;
#[cfg(test)]
mod spec;

pub(crate) use call::is_missing_attribute;
pub(crate) use filters::{of_prompt as hash_password, yaml_of, yaml_of_result};
pub(crate) use lookups::glob;
pub(crate) use plugins::{Kind as PluginKind, note as of_plugin};

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minijinja::value::ValueKind;
use trueup_modules::secret::Secret;

use crate::source::Span;
use crate::value::{Template, Value, Why};
use crate::vault::VaultPasswords;

pub use about::MANAGED;
pub use delimiters::Delimiters;
pub use environment::Whitespace;
pub use error::{Problem, TemplateError, Via};
pub use lazy::MapLookup;
pub use syntax::is_template;

/// The variables that a template can see.
pub trait Lookup: Send + Sync {
    /// A variable as it is defined: templates in it are rendered by whoever reads it.
    fn get(&self, name: &str) -> Option<&Value>;

    /// The names of all variables.
    fn names(&self) -> Vec<String>;

    /// Whether there are other hosts to look at: whether `hostvars` exists.
    fn has_hosts(&self) -> bool {
        false
    }

    /// The names in `hostvars`.
    fn hosts(&self) -> Vec<String> {
        Vec::new()
    }

    /// The variables of another host.
    fn host(&self, _name: &str) -> Option<Arc<dyn Lookup>> {
        None
    }
}

/// The outcome of a condition.
#[derive(Clone, Debug, PartialEq)]
pub enum Truth {
    /// It holds.
    Yes,
    /// It does not.
    No,
    /// It depends on something that is not known yet.
    Unknown(Why),
}

/// A rendered file.
#[derive(Clone, Debug, PartialEq)]
pub enum Rendered {
    /// Text to show to anybody.
    Plain(String),
    /// Text that holds a secret.
    Secret(Secret),
    /// Not known yet.
    Unknown(Why),
}

/// Renders templates. Cheap to clone; all clones share what they have compiled.
#[derive(Clone)]
pub struct Templar {
    engine: Arc<eval::Engine>,
}

impl Templar {
    /// `basedir` is where lookups search for relative paths after `ansible_search_path`, `role_path` and
    /// `playbook_dir`.
    pub fn new(basedir: impl Into<PathBuf>) -> Self {
        Self::managing(basedir, MANAGED.into())
    }

    /// The same, where `ansible_managed` says something else in files.
    pub fn managing(basedir: impl Into<PathBuf>, managed: String) -> Self {
        Self { engine: Arc::new(eval::Engine::new(basedir.into(), managed)) }
    }

    /// The same, with what opens the sealed files that lookups read.
    pub fn opening(basedir: impl Into<PathBuf>, managed: String, vault: VaultPasswords) -> Self {
        let mut engine = eval::Engine::new(basedir.into(), managed);
        engine.vault = vault;
        Self { engine: Arc::new(engine) }
    }

    fn context(&self, vars: &Arc<dyn Lookup>) -> Evaluation {
        let scope = Arc::new(scope::Scope::new(Arc::clone(&self.engine)));
        Evaluation(Arc::new(lazy::Context { scope, vars: Arc::clone(vars) }))
    }

    /// Renders a text. A lone `{{ expression }}` yields its native value; `omit` yields [`Value::Omit`].
    pub fn render(&self, template: &Template, vars: &Arc<dyn Lookup>) -> Result<Value, TemplateError> {
        let ctx = self.context(vars);
        let result = self.engine.evaluate(template, &ctx);
        finish(&ctx, result, &template.span)
    }

    /// A text for people: what cannot be rendered is said in its place, as Ansible does in the names of tasks. `None` where
    /// the text is more than expressions.
    pub fn render_name(&self, template: &Template, vars: &Arc<dyn Lookup>) -> Option<String> {
        let text = &template.text;
        let segments = syntax::segments(text)?;
        let (mut out, mut wrong) = (String::new(), 0);
        for segment in segments {
            let piece = &text[segment.start..segment.end];
            match segment.kind {
                syntax::SegmentKind::Data => out.push_str(piece),
                syntax::SegmentKind::Statement => return None,
                syntax::SegmentKind::Expression => {
                    // A text of its own, so that the value is not the whole.
                    let piece = Template { text: format!("{piece}{{{{ '' }}}}"), ..template.clone() };
                    match self.render(&piece, vars) {
                        Ok(Value::Str(text)) => out.push_str(&text),
                        Ok(_) => return None,
                        Err(error) => {
                            wrong += 1;
                            out.push_str(&format!("<< error {wrong} - {error} >>"));
                        }
                    }
                }
            }
        }
        Some(out)
    }

    /// Renders all templates in a value, each for itself. Entries of lists and dictionaries that yield
    /// [`Value::Omit`] are dropped.
    pub fn resolve(&self, value: &Value, vars: &Arc<dyn Lookup>) -> Result<Value, TemplateError> {
        match value {
            Value::Template(template) => self.render(template, vars),
            Value::Map(map) => {
                let items = map.iter().map(|(k, v)| Ok((k.clone(), self.resolve(v, vars)?)));
                let items: Result<Vec<_>, _> = items.collect();
                Ok(Value::Map(items?.into_iter().filter(|(_, v)| *v != Value::Omit).collect()))
            }
            Value::List(list) => {
                let items: Result<Vec<_>, _> = list.iter().map(|v| self.resolve(v, vars)).collect();
                Ok(Value::List(items?.into_iter().filter(|v| *v != Value::Omit).collect()))
            }
            plain => Ok(plain.clone()),
        }
    }

    /// Evaluates a bare expression to its value.
    pub fn expression(&self, text: &str, span: &Span, vars: &Arc<dyn Lookup>) -> Result<Value, TemplateError> {
        let ctx = self.context(vars);
        let result = self.engine.expression(text, span, &ctx);
        finish(&ctx, result, span)
    }

    /// Evaluates a condition (`when`, `that`, `until`, `changed_when`). Only booleans are conditions, as in
    /// ansible-core 2.19.
    pub fn condition(&self, text: &str, span: &Span, vars: &Arc<dyn Lookup>) -> Result<Truth, TemplateError> {
        let ctx = self.context(vars);
        let result = self.engine.expression(text, span, &ctx);
        if let Some(why) = ctx.scope.flags().unknown {
            return Ok(Truth::Unknown(why));
        }
        let value = result?;
        match value.kind() {
            ValueKind::Bool if value.is_true() => Ok(Truth::Yes),
            ValueKind::Bool => Ok(Truth::No),
            kind => {
                let name = python::text::type_name(&value);
                let error = TemplateError::new(Problem::NotBoolean(name.into()), span.clone());
                Err(match kind {
                    ValueKind::String => error.hint(format!("make it a boolean: '{} | bool'", text.trim())),
                    ValueKind::Number => error.hint(format!("compare it: '{} != 0'", text.trim())),
                    ValueKind::None => error.hint(format!("compare it: '{} is not none'", text.trim())),
                    _ => error.hint(format!("compare it: '{} | length > 0'", text.trim())),
                })
            }
        }
    }

    /// Renders the text of a whole file, keeping its final newline as it is. `span` is in the file itself.
    pub fn render_file(
        &self,
        text: &str,
        whitespace: Whitespace,
        span: &Span,
        vars: &Arc<dyn Lookup>,
    ) -> Result<Rendered, TemplateError> {
        let ctx = self.context(vars);
        let result = self.engine.file(text, whitespace, span, &ctx);
        let flags = ctx.scope.flags();
        match flags.unknown {
            Some(why) => Ok(Rendered::Unknown(why)),
            None if flags.tainted => Ok(Rendered::Secret(Secret::new(result?))),
            None => Ok(Rendered::Plain(result?)),
        }
    }

    /// The variables of a `template` task's file: what it can read of itself, over all others. `written` is how the task
    /// calls it, `dest` where it goes.
    pub fn about(&self, path: &Path, written: &str, dest: &str, vars: &Arc<dyn Lookup>) -> Arc<dyn Lookup> {
        about::about(vars, &self.engine.managed, path, written, Some(dest))
    }

    /// Checks the syntax of a text, and that its filters and tests exist, without rendering it.
    pub fn check(&self, template: &Template) -> Result<(), TemplateError> {
        self.engine.check(&template.text, &template.span, false)
    }

    /// Checks a bare expression in the same way.
    pub fn check_expression(&self, text: &str, span: &Span) -> Result<(), TemplateError> {
        self.engine.check(text.trim(), span, !is_template(text))
    }

    /// The variables that a template may read. Where attributes follow, the path is given (`hostvars.db1`,
    /// `result.rc`), else the bare name.
    pub fn reads(&self, text: &str) -> BTreeSet<String> {
        self.engine.reads(text, false).into_iter().collect()
    }

    /// The same for a bare expression.
    pub fn reads_expression(&self, text: &str) -> BTreeSet<String> {
        self.engine.reads(text.trim(), !is_template(text)).into_iter().collect()
    }
}

/// What templates can use beside variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `value | NAME`.
    Filter,
    /// `value is NAME`.
    Test,
    /// `lookup('NAME')`.
    Lookup,
}

/// All filters, tests and lookups with a sentence about each: for the manual.
pub fn catalogue() -> impl Iterator<Item = (Kind, &'static str, &'static str)> {
    let names = |kind, entry: &'static call::Entry| entry.names.iter().map(move |name| (kind, *name, entry.doc));
    filters::all()
        .flat_map(move |entry| names(Kind::Filter, entry))
        .chain(tests::all().flat_map(move |entry| names(Kind::Test, entry)))
        .chain(lookups::all().map(|lookup| (Kind::Lookup, lookup.name, lookup.doc)))
}

/// An evaluation under way. What it has rendered refers back to it: its end lets go of that.
struct Evaluation(Arc<lazy::Context>);

impl std::ops::Deref for Evaluation {
    type Target = Arc<lazy::Context>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Drop for Evaluation {
    fn drop(&mut self) {
        self.0.scope.forget();
    }
}

/// Something unknown was read: whatever came of it, the result is not known. Else the result, or why there is none.
fn finish(
    ctx: &Arc<lazy::Context>,
    result: Result<minijinja::Value, TemplateError>,
    span: &Span,
) -> Result<Value, TemplateError> {
    let flags = ctx.scope.flags();
    match flags.unknown {
        Some(why) => Ok(Value::Unknown(why)),
        None => convert::to_value(ctx, &result?, &flags, span),
    }
}
