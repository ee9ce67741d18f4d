//! Jobs: tasks that go on by themselves, also when the connection and the agent are gone (`async`).
//!
//! The agent starts its own program anew, as the user that the task runs as: `job start`, with the task on standard input.
//! That starts `job run` in a session of its own, answers with the job's name, and ends. What becomes of the job is in a file
//! of its user, by the job's name, in `~/.ansible_async` or what `ANSIBLE_ASYNC_DIR` says: first that it has started, at its
//! end how it ended. The directory and the files are nobody else's to read.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{self, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::agent;
use crate::edit::{Diff, Owner, Text};
use crate::error::Error;
use crate::host::{Command, Host, Input, Look, OWN_PROGRAM};
use crate::local::{Local, session};
use crate::plan::Data;
use crate::secret::Secret;
use crate::system::System;
use crate::wire::{Answer, Job, Outcome, Task};

/// The most that a job may be told to do: 32 MiB, as over the wire.
const MAX_TASK: u64 = 32 << 20;

/// How long after its time is up a job that does not end is given up.
const GRACE: Duration = Duration::from_secs(10);

/// What a job's file says.
#[derive(Serialize, Deserialize)]
struct Report {
    /// Its name.
    ansible_job_id: String,
    /// How it ended.
    outcome: Option<Outcome>,
}

/// Starts a task, of which this is what it has to do, as a job.
pub fn start(task: &Task, job: Job, diffs: Vec<Diff>, system: &mut dyn System) -> Outcome {
    let alone = Task { job: None, become_: None, ..task.clone() };
    let text = serde_json::to_string(&alone).expect("tasks have only text keys");
    let mut command =
        Command { stdin: Some(Input::Secret(Secret::new(text))), ..own(&["start", &job.limit.to_string()]) };
    agent::environment::add(&mut command, &task.environment);
    let started = answered(system.run(&command, &mut |_, _| {})).and_then(|id| Ok((file(&id, system)?, id)));
    match started {
        Ok((file, id)) => {
            let data = [
                ("ansible_job_id", json!(id)),
                ("results_file", json!(file)),
                ("started", json!(true)),
                ("finished", json!(false)),
            ];
            Outcome::Changed(Answer { data: named(data), diffs, ..Answer::default() })
        }
        Err(error) => Outcome::Failed(error, Answer::default()),
    }
}

/// What has become of a job: how it ended, or that it has not.
pub fn status(id: &str, host: &dyn Host) -> Outcome {
    let path = match file(id, host) {
        Ok(path) => path,
        Err(error) => return Outcome::Failed(error, Answer::default()),
    };
    let told = |finished: bool| {
        let empty =
            [("stdout", json!("")), ("stderr", json!("")), ("stdout_lines", json!([])), ("stderr_lines", json!([]))];
        let known = [
            ("ansible_job_id", json!(id)),
            ("results_file", json!(path)),
            ("started", json!(true)),
            ("finished", json!(finished)),
        ];
        named(empty.into_iter().chain(known))
    };
    let report = match host.read(&path) {
        Ok(Some(text)) => serde_json::from_slice::<Report>(&text),
        Ok(None) => {
            let answer = Answer { data: told(true), ..Answer::default() };
            return Outcome::Failed(Error::Failed("could not find job".into()), answer);
        }
        Err(error) => return Outcome::Failed(error, Answer::default()),
    };
    match report {
        Ok(Report { outcome: None, .. }) => Outcome::Ok(Answer { data: told(false), ..Answer::default() }),
        Ok(Report { outcome: Some(outcome), .. }) => with(outcome, told(true)),
        Err(error) => {
            let reason = format!("Could not parse job output: {error}");
            Outcome::Failed(Error::Failed(reason), Answer { data: told(true), ..Answer::default() })
        }
    }
}

/// The file of a job.
pub fn file(id: &str, host: &dyn Host) -> Look<PathBuf> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '_' || c == '-';
    if id.is_empty() || id.starts_with('.') || !id.chars().all(plain) {
        return Err(Error::param("jid", format!("`{id}` is not the name of a job")));
    }
    Ok(Path::new(&answered(host.query(&own(&["dir"])))?).join(id))
}

/// What the program does when it is started with `job`: one of `dir`, `start LIMIT` and `run LIMIT PREFIX`.
///
/// # Errors
/// Why a job could not be started, or not be begun.
pub fn run(args: &[String]) -> Result<(), Error> {
    let limit = |text: &str| text.parse().map_err(|_| Error::param("limit", "must be a number of seconds"));
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["dir"] => say(&directory().display().to_string()),
        ["start", seconds] => start_here(limit(seconds)?),
        ["run", seconds, prefix] => run_here(limit(seconds)?, prefix),
        _ => Err(Error::Unsupported("`job` takes `dir`, `start LIMIT` or `run LIMIT PREFIX`".into())),
    }
}

fn start_here(limit: u64) -> Result<(), Error> {
    let failed = |error: std::io::Error| Error::Failed(format!("cannot start a job: {error}"));
    let task = read_task()?;
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let prefix = format!("j{:012}", since.as_nanos() % 1_000_000_000_000);
    let program = std::env::current_exe().map_err(failed)?;
    let mut command = process::Command::new(program);
    command.args(["job", "run", &limit.to_string(), &prefix]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().map_err(failed)?;
    if let Some(mut to) = child.stdin.take() {
        to.write_all(&task).map_err(failed)?;
    }
    let mut line = String::new();
    if let Some(from) = child.stdout.take() {
        BufReader::new(from).read_line(&mut line).map_err(failed)?;
    }
    match line.trim() {
        "" => Err(Error::Failed("cannot start a job: it has ended at once".into())),
        id if id.starts_with(&prefix) => say(id),
        reason => Err(Error::Failed(reason.into())),
    }
}

/// The job itself. Whoever waits for its first line knows then that it is on its own.
fn run_here(limit: u64, prefix: &str) -> Result<(), Error> {
    session()?;
    let id = format!("{prefix}.{}", process::id());
    let begun = read_task().and_then(|task| Ok((task, begin(&id)?)));
    let (task, path) = match begun {
        Ok(begun) => begun,
        Err(error) => return say(&error.to_string()),
    };
    say(&id)?;
    let late = path.clone();
    let late_id = id.clone();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(limit) + GRACE);
        let _ = write(&late, &late_id, Some(exceeded()));
        process::exit(1);
    });
    let mut local = Local::default();
    local.limit(Some(Duration::from_secs(limit)))?;
    let outcome = match serde_json::from_slice::<Task>(&task) {
        Ok(task) => agent::alone(&task, &mut local),
        Err(error) => Outcome::Failed(Error::Failed(format!("the task cannot be read: {error}")), Answer::default()),
    };
    let late = local.cancel.is_late() && matches!(outcome, Outcome::Failed(Error::Cancelled, _));
    write(&path, &id, Some(if late { exceeded() } else { outcome }))
}

fn exceeded() -> Outcome {
    Outcome::Failed(Error::Failed("Timeout exceeded".into()), Answer::default())
}

/// The first that is written of a job.
fn begin(id: &str) -> Result<PathBuf, Error> {
    let dir = directory();
    let mut local = Local::default();
    for above in dir.ancestors().collect::<Vec<_>>().into_iter().rev() {
        if local.stat(above)?.is_none() {
            local.make_dir(above, 0o700)?;
        }
    }
    let path = dir.join(id);
    write(&path, id, None)?;
    Ok(path)
}

fn write(path: &Path, id: &str, outcome: Option<Outcome>) -> Result<(), Error> {
    let report = Report { ansible_job_id: id.into(), outcome };
    let text = serde_json::to_vec(&report).expect("reports have only text keys");
    Local::default().write(path, &Text::secret(text), Some(0o600), &Owner::default())
}

fn directory() -> PathBuf {
    let home = || std::env::var_os("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from);
    match std::env::var("ANSIBLE_ASYNC_DIR") {
        Ok(dir) if !dir.is_empty() => {
            dir.strip_prefix("~/").map_or_else(|| dir.clone().into(), |rest| home().join(rest))
        }
        _ => home().join(".ansible_async"),
    }
}

fn read_task() -> Result<Vec<u8>, Error> {
    let mut task = Vec::new();
    let read = std::io::stdin().take(MAX_TASK).read_to_end(&mut task);
    read.map_err(|error| Error::Failed(format!("the task cannot be read: {error}")))?;
    Ok(task)
}

fn say(text: &str) -> Result<(), Error> {
    let mut out = std::io::stdout();
    let said = writeln!(out, "{text}").and_then(|()| out.flush());
    said.map_err(|error| Error::Failed(error.to_string()))
}

fn own(args: &[&str]) -> Command {
    let args = std::iter::once("job").chain(args.iter().copied());
    // What a job runs begins where it would without one.
    Command { cwd: Some(".".into()), ..Command::new(OWN_PROGRAM, args.collect::<Vec<_>>()) }
}

/// What the program said, if it did well.
fn answered(output: Look<crate::host::Output>) -> Look<String> {
    let output = output?;
    match output.success() {
        true => Ok(output.stdout.trim().to_owned()),
        false => Err(Error::Failed(format!("cannot reach the jobs of this user{}", output.last_words()))),
    }
}

/// An outcome with what is known of the job; what the task itself returned counts more, but for what was withheld.
fn with(outcome: Outcome, known: Data) -> Outcome {
    let add = |mut answer: Answer| {
        for (name, value) in known {
            answer.data.entry(name).or_insert(value);
        }
        answer
    };
    match outcome {
        Outcome::Ok(answer) => Outcome::Ok(add(answer)),
        Outcome::Would(answer) => Outcome::Would(add(answer)),
        Outcome::Changed(answer) => Outcome::Changed(add(answer)),
        Outcome::Unknown(why, answer) => Outcome::Unknown(why, add(answer)),
        Outcome::Failed(error, answer) => Outcome::Failed(error, add(answer)),
    }
}

fn named<'a>(pairs: impl IntoIterator<Item = (&'a str, serde_json::Value)>) -> Data {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    fn told(report: Option<&str>) -> Outcome {
        let host = Fake::new().answer("trueup-agent job dir", 0, "/home/u/jobs\n");
        let host = match report {
            Some(text) => host.file("/home/u/jobs/j1.2", text, 0o600),
            None => host,
        };
        status("j1.2", &host)
    }

    /// What a job comes to is told as it would have been without it.
    #[test]
    fn a_job_is_told_of() {
        let answer = r#"{"data": {"rc": 3, "stdout": "out"}, "diffs": [], "warnings": [], "conditional": null, "explanation": null}"#;
        let ended = |how: &str, what: &str| format!(r#"{{"ansible_job_id": "j1.2", "outcome": {{"{how}": {what}}}}}"#);
        let table = [
            (Some(r#"{"ansible_job_id": "j1.2", "outcome": null}"#.to_owned()), "ok", false, ""),
            (Some(ended("Changed", answer)), "changed", true, "out"),
            (Some(ended("Failed", &format!(r#"[{{"Failed": "no"}}, {answer}]"#))), "failed: no", true, "out"),
            (None, "failed: could not find job", true, ""),
            (
                Some("{".into()),
                "failed: Could not parse job output: EOF while parsing an object at line 1 column 1",
                true,
                "",
            ),
        ];
        for (report, how, finished, stdout) in table {
            let (found, answer) = match told(report.as_deref()) {
                Outcome::Ok(answer) => ("ok".to_owned(), answer),
                Outcome::Changed(answer) => ("changed".to_owned(), answer),
                Outcome::Failed(error, answer) => (format!("failed: {error}"), answer),
                other => panic!("{other:?}"),
            };
            assert_eq!(found, how, "{report:?}");
            assert_eq!(answer.data["finished"], json!(finished), "{report:?}");
            assert_eq!(answer.data["stdout"], json!(stdout), "{report:?}");
            assert_eq!(answer.data["results_file"], json!("/home/u/jobs/j1.2"));
        }
    }

    #[test]
    fn a_job_has_a_plain_name() {
        for name in ["", ".", "..", "../x", "a/b", ".hidden", "a b"] {
            assert!(matches!(file(name, &Fake::new()), Err(Error::Param { .. })), "{name}");
        }
    }
}
