//! How long a task may take, and whether it goes on by itself.

use std::sync::Arc;
use std::time::Duration;

use trueup_modules::module::Place;
use trueup_modules::wire::Job;

use super::{Lower, LowerError};
use crate::compile::Step;
use crate::diagnostic::Diagnostic;
use crate::playbook::{Field, Opt};
use crate::template::Lookup;
use crate::value::Value;

/// How often a job is looked at, if nothing else is said.
const POLL: i64 = 15;

/// Modules of the host that cannot be a job: what they do begins on the controller.
const ATTACHED: [&str; 10] =
    ["assemble", "copy", "fetch", "pause", "raw", "reboot", "script", "template", "unarchive", "wait_for_connection"];

impl Lower<'_> {
    /// `timeout`, in seconds; `None` if there is no limit.
    pub(super) fn timeout(&self, step: &Step, vars: &Arc<dyn Lookup>) -> Result<Option<u64>, LowerError> {
        let common = step.scopes(self.program).rev().find(|common| common.timeout.is_some());
        let Some(common) = common else { return Ok(None) };
        self.whole(&common.timeout, "timeout", 0, vars).map(|seconds| Some(seconds).filter(|seconds| *seconds > 0))
    }

    /// `async` and `poll`: the job, and how often it is looked at; `None` if nobody waits for it.
    pub(in crate::execute) fn detached(
        &self,
        step: &Step,
        vars: &Arc<dyn Lookup>,
    ) -> Result<Option<(Job, Option<Duration>)>, LowerError> {
        let detached = &step.task.detached;
        let limit = self.whole(&detached.seconds, "async", 0, vars)?;
        if limit == 0 {
            return Ok(None);
        }
        if step.entry.place == Place::Controller || ATTACHED.contains(&step.entry.name) {
            let message = format!("This action ({}) does not support async.", step.entry.name);
            let wrong = Diagnostic::error(message.as_str()).at(&step.task.module.span);
            return Err(LowerError::Wrong(Box::new(wrong), Some(message)));
        }
        let poll = self.whole(&detached.poll, "poll", POLL, vars)?;
        let poll = Some(Duration::from_secs(poll)).filter(|poll| !poll.is_zero());
        Ok(Some((Job { limit, always: poll.is_none() }, poll)))
    }

    /// A number of seconds, none of them negative.
    fn whole(&self, field: &Opt<i64>, name: &str, otherwise: i64, vars: &Arc<dyn Lookup>) -> Result<u64, LowerError> {
        let Some(field) = field else { return Ok(u64::try_from(otherwise).unwrap_or_default()) };
        let value = match &field.value {
            Field::Known(number) => Value::Int(*number),
            Field::Template(template) => self.render(template, vars)?,
        };
        let number = match &value {
            Value::Int(number) => Some(*number),
            Value::Str(text) => text.trim().parse().ok(),
            Value::Omit | Value::Null => Some(otherwise),
            _ => None,
        };
        number.and_then(|number| u64::try_from(number).ok()).ok_or_else(|| {
            let message = format!("`{name}` must be a whole number of seconds, and this is {}", super::show(&value));
            LowerError::Value(field.span.clone(), message)
        })
    }
}
