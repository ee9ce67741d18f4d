//! Keywords that a task has or inherits, rendered.

use std::sync::Arc;
use std::time::Duration;

use super::{Lower, LowerError, truthy};
use crate::compile::Step;
use crate::playbook::{Common, Field, Opt};
use crate::template::Lookup;
use crate::value::{Template, Value};

impl Lower<'_> {
    /// An inherited keyword, rendered.
    pub(in crate::execute) fn keyword<'s, T: Clone + Into<KeywordValue> + 's>(
        &'s self,
        step: &'s Step,
        vars: &Arc<dyn Lookup>,
        keyword: impl Fn(&'s Common) -> &'s Opt<T>,
    ) -> Result<Option<Value>, LowerError> {
        match step.inherited(self.program, keyword) {
            None => Ok(None),
            Some(Field::Known(known)) => Ok(Some(known.clone().into().0)),
            Some(Field::Template(template)) => self.render(template, vars).map(Some),
        }
    }

    /// A template's value, which must be known.
    pub(in crate::execute) fn render(&self, template: &Template, vars: &Arc<dyn Lookup>) -> Result<Value, LowerError> {
        match self.templar.render(template, vars)? {
            Value::Unknown(why) => Err(LowerError::Unknown(why)),
            value => Ok(value),
        }
    }

    /// A number of seconds; `None` if it comes to none.
    pub(in crate::execute) fn seconds(&self, field: &Field<f64>, vars: &Arc<dyn Lookup>) -> Option<Duration> {
        let seconds = match field {
            Field::Known(seconds) => *seconds,
            Field::Template(template) => match self.render(template, vars).ok()? {
                #[expect(clippy::cast_precision_loss, reason = "seconds")]
                Value::Int(n) => n as f64,
                Value::Float(seconds) => seconds,
                Value::Str(text) => text.trim().parse().ok()?,
                _ => return None,
            },
        };
        Duration::try_from_secs_f64(seconds).ok()
    }

    /// Whether a boolean keyword is on.
    pub(in crate::execute) fn flag<'s>(
        &'s self,
        step: &'s Step,
        vars: &Arc<dyn Lookup>,
        keyword: impl Fn(&'s Common) -> &'s Opt<bool>,
    ) -> Result<bool, LowerError> {
        Ok(self.keyword(step, vars, keyword)?.is_some_and(|value| truthy(&value)))
    }
}

/// What it says of a keyword.
pub(super) fn of_keyword(name: &str, error: impl Into<LowerError>) -> LowerError {
    error.into().within(|| format!("Error processing keyword '{name}': "))
}

/// The value of a keyword that needed no rendering.
pub(in crate::execute) struct KeywordValue(Value);

impl From<bool> for KeywordValue {
    fn from(flag: bool) -> Self {
        Self(Value::Bool(flag))
    }
}

impl From<i64> for KeywordValue {
    fn from(number: i64) -> Self {
        Self(Value::Int(number))
    }
}

impl From<String> for KeywordValue {
    fn from(text: String) -> Self {
        Self(Value::Str(text))
    }
}
