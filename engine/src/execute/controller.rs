//! Modules that only compute, planned here without a host.

use std::path::{Path, PathBuf};

use trueup_modules::agent::without_secrets;
use trueup_modules::builtin;
use trueup_modules::digest::Algorithm;
use trueup_modules::host::{Command, Error, Host, Look, Output, Stat};
use trueup_modules::sql::{PgConn, Rows, SqlArg};
use trueup_modules::wire::{Answer, Outcome, Task};

/// Plans a task of a controller module.
pub(super) fn plan(task: &Task) -> Outcome {
    let loaded = builtin::find(&task.module)
        .ok_or_else(|| Error::Unsupported(format!("there is no module `{}`", task.module)))
        .and_then(|entry| {
            let params = task.params.clone();
            entry.take(params).map_err(|error| Error::param(task.module.as_str(), error.to_string()))
        });
    let module = match loaded {
        Ok(module) => module,
        Err(error) => return Outcome::Failed(error, Answer::default()),
    };
    let planned = match module.plan(&Nowhere) {
        Ok(plan) => Outcome::Ok(Answer { data: plan.data, warnings: plan.warnings, ..Answer::default() }),
        Err(error) => Outcome::failed(error, Answer { data: module.report(&Default::default()), ..Answer::default() }),
    };
    without_secrets(planned, task)
}

/// No host: a controller module that looks at one is wrong.
struct Nowhere;

fn nowhere<T>() -> Look<T> {
    Err(Error::Unsupported("a module that runs on the controller has no host to look at".into()))
}

impl Host for Nowhere {
    fn stat(&self, _: &Path) -> Look<Option<Stat>> {
        nowhere()
    }
    fn access(&self, _: &Path) -> Look<u8> {
        nowhere()
    }
    fn read(&self, _: &Path) -> Look<Option<Vec<u8>>> {
        nowhere()
    }
    fn digest(&self, _: &Path, _: Algorithm) -> Look<Option<String>> {
        nowhere()
    }
    fn list(&self, _: &Path) -> Look<Vec<PathBuf>> {
        nowhere()
    }
    fn query(&self, _: &Command) -> Look<Output> {
        nowhere()
    }
    fn sql(&self, _: &PgConn, _: &str, _: &[SqlArg]) -> Look<Rows> {
        nowhere()
    }
    fn connects(&self, _: &str, _: u16) -> Look<bool> {
        nowhere()
    }
    fn blob(&self, _: &str) -> Look<Vec<u8>> {
        nowhere()
    }
}
