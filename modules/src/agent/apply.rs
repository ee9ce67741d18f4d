//! How a task is applied: planned, done, and planned again.

use std::collections::BTreeSet;
use std::io::Write;

use super::environment;
use super::link::lock;
use super::linked::Linked;
use super::plan::{answer, look_back, told, unplanned};
use crate::attributes;
use crate::edit::Edit;
use crate::host::{Error, Host};
use crate::interpret::{self, Applied, Failure, Happening};
use crate::module::Planner;
use crate::wire::{self, Answer, Outcome, Reply};

/// Plans, applies, and plans again: what is left to do then is an error.
pub(super) fn apply<W: Write>(id: u64, module: &dyn Planner, system: &mut Linked<'_, W>) -> Outcome {
    let plan = match module.plan(system) {
        Ok(plan) if plan.is_empty() => return Outcome::Ok(told(module, &plan, system)),
        Ok(plan) => plan,
        Err(error) => return unplanned(module, system, error),
    };
    let link = system.link;
    let mut tell = |happening: Happening| {
        let reply = match happening {
            Happening::Line(stream, text) => Reply::Line { id, stream, text: text.into() },
            Happening::Progress(progress) => Reply::Progress { id, progress },
        };
        // If the controller is gone, the next reply says so.
        let _ = wire::send(&mut lock(link).output, &reply);
    };
    let mut result = answer(&plan);
    let changes = plan.changes();
    if let Err(error) = system.contents.ask_for(&plan) {
        return Outcome::Failed(error, Answer::default());
    }
    let plan = match environment::with(plan, system.environment) {
        Ok(plan) => plan,
        Err(error) => return Outcome::Failed(error, result),
    };
    let done = interpret::apply(&plan, system, &mut tell);
    system.contents.forget();
    match done {
        Ok(mut applied) => {
            let changes = match module.verdict(&applied) {
                Ok(changed) => changes && changed,
                Err(error) => {
                    applied.diffs.clear();
                    return failed(module, system, &applied, error, result);
                }
            };
            if !changes {
                result.diffs.clear();
            }
            result.data.extend(module.report(&applied));
            look_back(module, system, &mut result);
            result.warnings.extend(applied.rows.iter().flat_map(|rows| rows.warnings.clone()));
            match if plan.repeats { Ok(()) } else { converged(module, system) } {
                Ok(()) if changes => Outcome::Changed(result),
                Ok(()) => Outcome::Ok(result),
                Err(error) => {
                    result.explanation = module.explain(system, &error);
                    Outcome::Failed(error, result)
                }
            }
        }
        Err(failure) => {
            let Failure { applied, error } = *failure;
            failed(module, system, &applied, error, result)
        }
    }
}

fn failed(module: &dyn Planner, host: &dyn Host, applied: &Applied, error: Error, mut result: Answer) -> Outcome {
    result.diffs.clone_from(&applied.diffs);
    result.data.extend(module.report(applied));
    result.explanation = module.explain(host, &error);
    attributes::tell(host, &mut result.data);
    let error = match module.lament(&error) {
        Some(msg) => error.telling("msg", msg),
        None => error,
    };
    Outcome::failed(error, result)
}

fn converged(module: &dyn Planner, host: &dyn Host) -> Result<(), Error> {
    if !module.converges() {
        return Ok(());
    }
    let again = module.plan(host)?;
    if again.repeats || again.edits.iter().all(Edit::is_upkeep) {
        return Ok(());
    }
    let subjects: BTreeSet<String> =
        again.diffs().into_iter().map(|diff| format!("{} ({})", diff.subject, diff.aspect)).collect();
    Err(Error::NotConverged { remaining: subjects.into_iter().collect::<Vec<_>>().join(", ") })
}
