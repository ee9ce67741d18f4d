//! Tasks of which a part is done here: files that come (`fetch`), and connections that are made anew (`reboot`,
//! `wait_for_connection`).

use std::time::Duration;

use serde_json::{Value as Json, json};
use tokio::time::{Instant, sleep, timeout};
use trueup_modules::error::Error;
use trueup_modules::wire::{Answer, Mode, Outcome, Task as WireTask};

use super::apply::{Errand, Lost, Show};
use crate::execute::fetch::{self, Next};

/// The longest pause between two looks whether a host is up again.
const PATIENCE: Duration = Duration::from_secs(12);

/// Does a task of a module that [`Step::is_ours`](crate::compile::Step::is_ours) names, or previews it.
pub(super) async fn run(
    errand: &Errand,
    task: &WireTask,
    mode: Mode,
    show: Show,
    batches: &mut u64,
) -> Result<Option<Outcome>, Lost> {
    match task.module.as_str() {
        "wait_for_connection" if mode == Mode::Apply => return Ok(Some(wait(errand, task).await)),
        "reboot" => return reboot(errand, task, mode, show, batches).await,
        _ => {}
    }
    *batches += 1;
    let outcome = last(errand.batch(mode, vec![1], vec![task.clone()], show).await?);
    match outcome {
        Some(Outcome::Ok(answer)) if task.module == "fetch" => {
            fetch(errand, task, mode, answer, batches).await.map(Some)
        }
        other => Ok(other),
    }
}

fn last(outcomes: Vec<(u64, Outcome)>) -> Option<Outcome> {
    outcomes.into_iter().next_back().map(|(_, outcome)| outcome)
}

/// Has the file come, piece by piece, if the controller has not got it.
async fn fetch(
    errand: &Errand,
    task: &WireTask,
    mode: Mode,
    mut answer: Answer,
    batches: &mut u64,
) -> Result<Outcome, Lost> {
    let mut fetched = match fetch::compare(task, &mut answer) {
        Ok(Next::Done) => return Ok(Outcome::Ok(answer)),
        Ok(Next::Come(_)) if mode != Mode::Apply => return Ok(Outcome::Would(answer)),
        Ok(Next::Come(fetched)) => fetched,
        Err(error) => return Ok(Outcome::failed(error, Answer { diffs: Vec::new(), ..answer })),
    };
    let failed = |error: Error, answer: Answer| Ok(Outcome::failed(error, Answer { diffs: Vec::new(), ..answer }));
    while let Some(piece) = fetched.wants() {
        let mut asked = task.clone();
        asked.params["piece"] = piece.into();
        *batches += 1;
        let taken = match last(errand.batch(Mode::Apply, vec![1], vec![asked], Show::Nothing).await?) {
            Some(Outcome::Ok(piece)) => fetched.take(&piece.data),
            Some(Outcome::Failed(error, _)) => Err(error),
            _ => Err(Error::Failed("the host did not send the file".into())),
        };
        if let Err(error) = taken {
            return failed(error, answer);
        }
    }
    match fetched.finish() {
        Ok(md5) => {
            answer.data.insert("md5sum".into(), json!(md5));
            Ok(Outcome::Changed(answer))
        }
        Err(error) => failed(error, answer),
    }
}

fn seconds(task: &WireTask, name: &str, otherwise: u64) -> Duration {
    Duration::from_secs(task.params[name].as_u64().unwrap_or(otherwise))
}

/// Until the agent answers, by another connection each time.
async fn wait(errand: &Errand, task: &WireTask) -> Outcome {
    let begun = Instant::now();
    sleep(seconds(task, "delay", 0)).await;
    errand.hang_up().await;
    let pause = seconds(task, "sleep", 1);
    let tries = Tries::new(seconds(task, "timeout", 600), pause, pause);
    let answered = patiently(errand, task, tries, |_| true).await;
    let answer = told([("elapsed", json!(begun.elapsed().as_secs()))]);
    match answered {
        Ok(()) => Outcome::Ok(answer),
        Err(reason) => {
            let error = Error::Failed(format!("waited in vain for the connection: {reason}"));
            let error = error.telling("msg", format!("timed out waiting for ping module test: {reason}"));
            Outcome::failed(error, answer)
        }
    }
}

/// Has the host start anew, and waits until it has.
async fn reboot(
    errand: &Errand,
    task: &WireTask,
    mode: Mode,
    show: Show,
    batches: &mut u64,
) -> Result<Option<Outcome>, Lost> {
    if errand.is_local() {
        let error = Error::refused("reboot", "this machine is the controller", "leave it out, or delegate it");
        let msg = "Running reboot with local connection would reboot the control node.";
        return Ok(Some(Outcome::failed(
            error.telling("msg", msg),
            told([("elapsed", json!(0)), ("rebooted", json!(false))]),
        )));
    }
    *batches += 1;
    if mode != Mode::Apply {
        return Ok(last(errand.batch(mode, vec![1], vec![task.clone()], show).await?));
    }
    let text = |name: &str, otherwise: &str| task.params[name].as_str().unwrap_or(otherwise).to_owned();
    let boot = shell(task, text("boot_time_command", "cat /proc/sys/kernel/random/boot_id"));
    let test = shell(task, text("test_command", "whoami"));
    let before = match last(errand.batch(Mode::Apply, vec![1], vec![boot.clone()], Show::Nothing).await?) {
        Some(Outcome::Changed(answer)) => answer.data["stdout"].clone(),
        other => return Ok(other),
    };
    let begun = Instant::now();
    *batches += 1;
    let mut answer = match errand.batch(Mode::Apply, vec![1], vec![task.clone()], show).await.map(last) {
        Ok(Some(Outcome::Changed(answer))) => answer,
        Ok(other) => return Ok(other),
        // It may go down before it has answered.
        Err(_) => Answer { diffs: intent(), ..Answer::default() },
    };
    errand.hang_up().await;
    sleep(seconds(task, "post_reboot_delay", 0)).await;
    let limit = seconds(task, "reboot_timeout", 600);
    let looks = [(boot, before, "last boot time check"), (test, Json::Null, "post-reboot test command")];
    let mut failed = None;
    for (asked, before, meaning) in looks {
        let tries = Tries::new(limit, Duration::from_secs(1), PATIENCE);
        let is_new = |answer: &Answer| answer.data["stdout"] != before && answer.data["stdout"] != "";
        if let Err(reason) = patiently(errand, &asked, tries, is_new).await {
            let waited = limit.as_secs();
            let error = Error::Failed(format!("waited {waited} s in vain for the host to be up again: {reason}"));
            failed = Some(error.telling("msg", format!("Timed out waiting for {meaning} (timeout={waited})")));
            break;
        }
    }
    answer.data.extend(told([("rebooted", json!(true)), ("elapsed", json!(begun.elapsed().as_secs()))]).data);
    Ok(Some(match failed {
        Some(error) => Outcome::failed(error, answer),
        None => Outcome::Changed(answer),
    }))
}

fn intent() -> Vec<trueup_modules::edit::Diff> {
    vec![trueup_modules::edit::Diff::new("host", "boot", "running", "started anew")]
}

/// The same task as a command line.
fn shell(task: &WireTask, line: String) -> WireTask {
    WireTask { module: "shell".into(), params: json!({"cmd": line}), timeout: None, job: None, ..task.clone() }
}

/// Asks once; whatever keeps the answer away is a reason to ask again.
async fn ask(errand: &Errand, task: WireTask) -> Result<Answer, String> {
    match errand.batch(Mode::Apply, vec![1], vec![task], Show::Nothing).await.map(last) {
        Ok(Some(Outcome::Ok(answer) | Outcome::Changed(answer))) => Ok(answer),
        Ok(Some(Outcome::Failed(error, _))) => Err(error.to_string()),
        Ok(_) => Err("the host did not answer".into()),
        Err(lost) => Err(lost.reason),
    }
}

/// Asks until the answer is one that counts, by another connection after each that was not; or yields the last reason.
async fn patiently(
    errand: &Errand,
    task: &WireTask,
    mut tries: Tries,
    counts: impl Fn(&Answer) -> bool + Send,
) -> Result<(), String> {
    let mut reason = String::from("there was no time for an answer");
    loop {
        match tries.attempt(ask(errand, task.clone())).await {
            Some(Ok(answer)) if counts(&answer) => return Ok(()),
            Some(Ok(_)) => reason = "it has not been started anew yet".into(),
            Some(Err(why)) => reason = why,
            None => {}
        }
        errand.hang_up().await;
        if !tries.again().await {
            return Err(reason);
        }
    }
}

/// How long and how often something is tried.
struct Tries {
    until: Instant,
    pause: Duration,
    longest: Duration,
}

impl Tries {
    /// Each pause is twice as long as the one before, up to the longest.
    fn new(limit: Duration, pause: Duration, longest: Duration) -> Self {
        Self { until: Instant::now() + limit, pause, longest }
    }

    /// What comes of an attempt; `None` if it takes longer than there is time.
    async fn attempt<T>(&self, attempt: impl Future<Output = T>) -> Option<T> {
        timeout(self.until.saturating_duration_since(Instant::now()), attempt).await.ok()
    }

    /// Waits for the next attempt; or there is no time for one.
    async fn again(&mut self) -> bool {
        let pause = self.pause;
        self.pause = (2 * pause).min(self.longest);
        if Instant::now() + pause >= self.until {
            return false;
        }
        sleep(pause).await;
        true
    }
}

fn told<const N: usize>(pairs: [(&str, Json); N]) -> Answer {
    let data = pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Answer { data, ..Answer::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn attempts_end_when_time_is_up() {
        let [one, minute] = [1, 60].map(Duration::from_secs);
        let begun = Instant::now();
        let mut tries = Tries::new(minute, one, PATIENCE);
        let mut count = 1;
        while tries.again().await {
            count += 1;
        }
        // After 1 + 2 + 4 + 8 + 12 + 12 + 12 seconds; another 12 would be too late.
        assert_eq!((count, begun.elapsed().as_secs()), (8, 51));

        // One that hangs is given up, too.
        let begun = Instant::now();
        let tries = Tries::new(minute, one, one);
        assert_eq!(tries.attempt(sleep(60 * minute)).await, None);
        assert_eq!(begun.elapsed().as_secs(), 60);
        assert_eq!(Tries::new(minute, one, one).attempt(async { 7 }).await, Some(7));
    }
}
