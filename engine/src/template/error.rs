//! What can go wrong in a template, where, and what to do about it.

use std::fmt;

use crate::diagnostic::Diagnostic;
use crate::source::Span;

/// An error in a template or expression.
///
/// It points into the file that holds the template, also when that template was only rendered because another one
/// reads the variable it defines; `via` then lists the readers, innermost first.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{problem}")]
pub struct TemplateError {
    /// What is wrong.
    pub problem: Problem,
    /// The place of the offending expression.
    pub span: Span,
    /// The variables on the way from the template that was asked for to the one that failed, innermost first.
    pub via: Vec<Via>,
    /// What the user may do about it, each a sentence fragment.
    pub hints: Vec<String>,
    /// What Ansible says of it, where that is not the problem in our words.
    pub told: Option<Box<str>>,
}

/// A variable whose definition was being rendered, and where that definition stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Via {
    /// The variable, with the path to the value inside it: `db.url`, `users[0].name`.
    pub name: String,
    /// Its definition.
    pub span: Span,
}

/// What is wrong with a template.
#[derive(Clone, Debug, PartialEq)]
pub enum Problem {
    /// It cannot be parsed, or names a filter, test or lookup that does not exist.
    Syntax(String),
    /// It uses a variable, key or attribute that does not exist; the name as written.
    Undefined(String),
    /// Its value is nothing at all.
    Nothing,
    /// Variables defined by each other: each in turn, the first one again at the end.
    Cycle(Vec<Via>),
    /// A condition that is neither true nor false; the expression's type, in Python's words.
    NotBoolean(String),
    /// It was evaluated, and that failed.
    Failed(String),
    /// Evaluating it failed after it had read a secret: the reason might quote the secret.
    Withheld(String),
}

impl TemplateError {
    pub(crate) fn new(problem: Problem, span: Span) -> Self {
        Self { problem, span, via: Vec::new(), hints: Vec::new(), told: None }
    }

    /// A sealed value is read that cannot be opened.
    pub(crate) fn unopened(why: String, span: &Span) -> Self {
        let told = Some(why.clone().into());
        Self { told, ..Self::new(Problem::Failed(why), span.clone()) }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Whether it is about a variable that does not exist: what `default` and `is defined` forgive.
    pub fn is_undefined(&self) -> bool {
        matches!(self.problem, Problem::Undefined(_) | Problem::Nothing)
    }
}

/// The place of the expression first, then the definitions on the way to it.
impl From<&TemplateError> for Diagnostic {
    fn from(error: &TemplateError) -> Self {
        let mut diagnostic = Self::error(error.to_string()).at(&error.span);
        for via in &error.via {
            diagnostic = diagnostic.label(&via.span, format!("needed by '{}'", via.name));
        }
        for hint in &error.hints {
            diagnostic = diagnostic.hint(hint);
        }
        diagnostic
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(message) | Self::Failed(message) => f.write_str(message),
            Self::Undefined(name) => write!(f, "'{name}' is undefined"),
            Self::Nothing => f.write_str("the expression yields nothing"),
            Self::Cycle(path) => {
                f.write_str("variables are defined by each other: ")?;
                for (i, step) in path.iter().enumerate() {
                    let arrow = if i == 0 { "" } else { " -> " };
                    write!(f, "{arrow}{} ({})", step.name, step.span)?;
                }
                Ok(())
            }
            Self::NotBoolean(kind) => write!(f, "the condition is {kind}, not a boolean"),
            Self::Withheld(expression) => {
                write!(f, "failed to evaluate '{expression}', which reads a secret: the reason is withheld")
            }
        }
    }
}
