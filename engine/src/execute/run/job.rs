//! Waiting for a task that goes on by itself (`async` with a `poll`).

use std::time::Duration;

use serde_json::{Value as Json, json};
use trueup_modules::error::Error;
use trueup_modules::wire::{Answer, Mode, Outcome, Task as WireTask};

use super::apply::{Errand, Lost, Show};

/// The name of the job that has been started.
pub(super) fn started(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Changed(answer) => answer.data.get("ansible_job_id").and_then(Json::as_str).map(str::to_owned),
        _ => None,
    }
}

/// Looks whether a job has ended, until it has or its time is up. Being cut off from the host in between is nothing: the job
/// goes on, and the connection is made anew.
pub(super) async fn wait(
    errand: &Errand,
    task: &WireTask,
    id: &str,
    poll: Duration,
    batches: &mut u64,
) -> Result<Outcome, Lost> {
    let limit = task.job.map_or(0, |job| job.limit);
    let mut left = Duration::from_secs(limit);
    loop {
        tokio::time::sleep(poll).await;
        left = left.saturating_sub(poll);
        *batches += 1;
        match look(errand, task, id, "status").await {
            Ok(Some(outcome)) if finished(&outcome) => {
                *batches += 1;
                // What has become of the job is known; that its file could not be removed changes nothing of that.
                let _ = look(errand, task, id, "cleanup").await;
                return Ok(outcome);
            }
            Err(lost) if left.is_zero() => return Err(lost),
            Ok(_) if left.is_zero() => {
                let text = format!("async task did not complete within the requested time - {limit}s");
                return Ok(Outcome::Failed(Error::Failed(text), Answer::default()));
            }
            Ok(_) | Err(_) => {}
        }
    }
}

async fn look(errand: &Errand, task: &WireTask, id: &str, mode: &str) -> Result<Option<Outcome>, Lost> {
    let status = WireTask {
        module: "async_status".into(),
        params: json!({"jid": id, "mode": mode}),
        timeout: None,
        job: None,
        ..task.clone()
    };
    let outcomes = errand.batch(Mode::Apply, vec![1], vec![status], Show::Nothing).await?;
    Ok(outcomes.into_iter().next_back().map(|(_, outcome)| outcome))
}

fn finished(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Ok(answer) | Outcome::Changed(answer) => answer.data.get("finished") == Some(&json!(true)),
        Outcome::Failed(..) => true,
        Outcome::Would(_) | Outcome::Unknown(..) => false,
    }
}
