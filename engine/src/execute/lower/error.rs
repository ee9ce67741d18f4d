//! Why a step cannot be rendered: in words for people, and in those that Ansible registers.

use std::collections::BTreeSet;
use std::path::PathBuf;

use trueup_modules::fit::Problem as Misfit;
use trueup_modules::host::{Error, Why};
use trueup_modules::secret::REDACTED;

use crate::compile::Step;
use crate::diagnostic::Diagnostic;
use crate::event::Cause;
use crate::source::Span;
use crate::template::{Problem, TemplateError, is_missing_attribute};

/// What Ansible puts before the words about a condition.
pub(in crate::execute) const CONDITIONAL: &str = "Error while evaluating conditional: ";

/// Why a step can't be rendered.
#[derive(Clone, Debug, thiserror::Error)]
pub(in crate::execute) enum LowerError {
    /// A template fails.
    #[error("{}", located(.0))]
    Template(#[from] TemplateError),
    /// A keyword or parameter has a value that it can't have.
    #[error("{1}\n  at {0}")]
    Value(Span, String),
    /// A parameter is not what the module wants.
    #[error(transparent)]
    Param(Error),
    /// It was known before the run that this would fail; and what Ansible's module says of it.
    #[error("{}", placed(.0))]
    Wrong(Box<Diagnostic>, Option<String>),
    /// A file of this machine that is not there.
    #[error("{}\n  at {span}", super::no_file(candidates))]
    NoFile {
        /// The module that wants it.
        module: &'static str,
        /// As it is named.
        name: String,
        /// Where it was looked for.
        candidates: Vec<PathBuf>,
        /// Where it is named.
        span: Span,
    },
    /// It depends on a task that a preview does not run.
    #[error("{0}")]
    Unknown(Why),
    /// One of these, and what was being rendered, in Ansible's words.
    #[error("{1}")]
    Within(String, Box<LowerError>),
}

/// Ansible's words for such a file. It looks beside the playbook twice.
fn not_found(module: &str, name: &str, candidates: &[PathBuf]) -> String {
    let twice = candidates.len().saturating_sub(2);
    let again = candidates[twice..].iter().filter(|_| candidates.len() > 1);
    let places: Vec<String> = candidates.iter().chain(again).map(|path| crate::execute::run::absolute(path)).collect();
    let prefix = if module == "copy" { "Unexpected AnsibleActionFail error: " } else { "" };
    let searched = places.join("\n\t");
    format!(
        "{prefix}Could not find or access '{name}'\nSearched in:\n\t{searched} on the Ansible Controller.\nIf you are using a \
         module and expect the file to exist on the remote, see the remote_src option"
    )
}

fn placed(wrong: &Diagnostic) -> String {
    let places: String = wrong.labels.iter().take(1).map(|(span, _)| format!("\n  at {span}")).collect();
    format!("{}{places}", wrong.message)
}

fn located(error: &TemplateError) -> String {
    let via: String = error.via.iter().map(|via| format!("\n  read by `{}` at {}", via.name, via.span)).collect();
    format!("{error}\n  at {}{via}", error.span)
}

impl LowerError {
    /// What is wrong with a parameter, without the secrets among the parameters.
    pub(in crate::execute) fn param(problem: Misfit, secrets: &BTreeSet<String>) -> Self {
        let Misfit { param, reason, hint, msg } = problem;
        let reason = hint.map_or(reason.clone(), |hint| format!("{reason} ({hint})"));
        let hide = |text: String, secret: &String| text.replace(secret.as_str(), REDACTED);
        let hidden = |text: String| secrets.iter().filter(|secret| !secret.is_empty()).fold(text, hide);
        let error = Error::Param { name: param, reason: hidden(reason) };
        Self::Param(msg.into_iter().fold(error, |error, msg| error.telling("msg", hidden(msg))))
    }

    /// Says what was being rendered, unless that is known already.
    pub(in crate::execute) fn within(self, what: impl FnOnce() -> String) -> Self {
        match self {
            Self::Template(_) => Self::Within(what(), Box::new(self)),
            other => other,
        }
    }

    /// What Ansible registers as `msg`; `None` where it has no other words.
    pub(in crate::execute) fn msg(&self) -> Option<String> {
        match self {
            Self::Within(..) | Self::Template(_) => Some(format!("Task failed: {}", self.words()?)),
            Self::NoFile { module, name, candidates, .. } => Some(not_found(module, name, candidates)),
            Self::Value(_, message) => Some(format!("Task failed: {message}")),
            Self::Param(_) | Self::Wrong(..) | Self::Unknown(_) => None,
        }
    }

    /// The words for what is wrong with a template by itself.
    pub(in crate::execute) fn words(&self) -> Option<String> {
        let error = match self {
            Self::Template(error) => error,
            Self::Within(what, inner) if !inner.is_of_condition(what) => {
                return Some(format!("{what}{}", inner.words()?));
            }
            Self::Within(_, inner) => {
                return Some(inner.words()?.replacen("rendering template:", "rendering expression:", 1).replacen(
                    "in template:",
                    "in expression:",
                    1,
                ));
            }
            _ => return None,
        };
        Some(match &error.problem {
            Problem::Undefined(_) | Problem::Failed(_) | Problem::Nothing | Problem::Syntax(_)
                if error.told.is_some() =>
            {
                error.told.as_deref().unwrap_or_default().to_owned()
            }
            Problem::Failed(message) if is_missing_attribute(message) => message.clone(),
            Problem::Failed(message) => format!("Error rendering template: {message}"),
            Problem::Syntax(message) => format!("Syntax error in template: {message}"),
            Problem::Undefined(path) => match path.rsplit_once('.').filter(|_| !path.contains(['(', '['])) {
                // Of what it is an attribute is nearly always a dictionary.
                Some((_, attribute)) => format!("object of type 'dict' has no attribute '{attribute}'"),
                None => format!("'{path}' is undefined"),
            },
            Problem::NotBoolean(kind) => {
                let (path, place) = (super::super::run::absolute(error.span.path()), error.span.to_string());
                let position = place.rsplitn(3, ':').take(2).collect::<Vec<_>>();
                let position = position.into_iter().rev().collect::<Vec<_>>().join(":");
                format!(
                    "Conditional result (True) was derived from value of type '{kind}' at '{path}:{position}'. \
                     Conditionals must have a boolean result."
                )
            }
            other => other.to_string(),
        })
    }

    /// What led to it, in Ansible's words: the task first, then what of it could not be rendered.
    pub(in crate::execute) fn causes(&self, step: &Step) -> Vec<Cause> {
        let head = |message: &str| Cause { message: message.to_owned(), place: String::new() };
        let link = |message: String, span: &Span| Cause { message, place: step.written_at(span).to_string() };
        match self {
            Self::Within(what, inner) => {
                let (Some(words), Some(span)) = (inner.words(), inner.span()) else { return Vec::new() };
                match what.split_once(" failed: ") {
                    Some((task, arg)) => {
                        vec![head(&format!("Task failed: {task} failed.")), link(format!("{arg}{words}"), span)]
                    }
                    None if inner.is_of_condition(what) => {
                        vec![head("Task failed."), link(self.words().unwrap_or(words), span)]
                    }
                    None => vec![head("Task failed."), link(format!("{what}{words}"), span)],
                }
            }
            Self::Template(error) => match self.words() {
                Some(words) => vec![head("Task failed."), link(words, &error.span)],
                None => Vec::new(),
            },
            // `copy` finds that out by itself.
            Self::NoFile { module, name, candidates, .. } if *module != "copy" => {
                vec![head("Task failed."), head(&not_found(module, name, candidates))]
            }
            _ => Vec::new(),
        }
    }

    fn span(&self) -> Option<&Span> {
        match self {
            Self::Template(error) => Some(&error.span),
            Self::Value(span, _) | Self::NoFile { span, .. } => Some(span),
            Self::Within(_, inner) => inner.span(),
            _ => None,
        }
    }

    /// Whether the words about what was being rendered are left out: it says itself that it is about a condition, or it fails
    /// there for a reason of its own, not for want of a variable.
    fn is_of_condition(&self, what: &str) -> bool {
        let Self::Template(error) = self else { return false };
        match &error.problem {
            Problem::NotBoolean(_) => true,
            Problem::Failed(message) => what == CONDITIONAL && !is_missing_attribute(message),
            Problem::Syntax(_) => what == CONDITIONAL,
            _ => false,
        }
    }

    /// What the user can do.
    pub(in crate::execute) fn hint(&self) -> Option<String> {
        match self {
            Self::Template(error) if !error.hints.is_empty() => Some(error.hints.join("; ")),
            Self::Wrong(error, _) if !error.hints.is_empty() => Some(error.hints.join("; ")),
            Self::Within(_, inner) => inner.hint(),
            _ => None,
        }
    }
}
