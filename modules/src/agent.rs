//! The agent's loop: batches of tasks in, outcomes out.
//!
//! One agent serves a host. Tasks that run as another user reach the machine through a [`Proxy`]; plans, and the overlay of
//! a preview, stay here.

mod apply;
mod contents;
pub(crate) mod environment;
mod lanes;
mod link;
mod linked;
mod machine;
mod plan;
mod redact;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufWriter, Read, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use self::apply::apply;
use self::contents::Contents;
use self::lanes::Lanes;
pub use self::link::MAX_PUSHED;
use self::link::{Link, listen, lock};
use self::linked::Linked;
pub use self::machine::{Machine, Real};
use self::plan::{ask, preview, unplanned};
pub use self::redact::{collect_secrets, without_secrets};
use self::redact::{scrub, secrets};
use crate::builtin;
use crate::expand;
use crate::host::Error;
use crate::job;
use crate::local::{Cancel, Local};
use crate::module::Planner;
use crate::preview::Preview;
use crate::proxy;
use crate::system::System;
use crate::wire::{self, Answer, Batch, Frame, Mode, Outcome, PREAMBLE, Reply, Request, Task, WireError};

/// What the agent's program does: without arguments it serves this machine; `as-user` and `job` are what agents start, `lane`
/// is what the controller starts beside one.
pub fn main(args: &[String]) -> ExitCode {
    let done = match args.split_first() {
        Some((word, [name, number])) if word == "lane" => {
            lanes::serve(name, number.parse().unwrap_or(u8::MAX)).map_err(|error| Some(error.to_string()))
        }
        Some((word, _)) if word == "as-user" => proxy::serve(std::io::stdin(), std::io::stdout()).map_err(|_| None),
        Some((word, args)) if word == "job" => job::run(args).map_err(|error| Some(error.to_string())),
        _ => run(&std::env::current_exe().unwrap_or_default()).map_err(|_| None),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = error.map(|error| writeln!(std::io::stderr(), "{error}"));
            ExitCode::FAILURE
        }
    }
}

/// Serves this machine on standard input and output. `program` is what `sudo` starts for other users.
pub fn run(program: &Path) -> Result<(), WireError> {
    run_as(program, machine::identity())
}

/// The same under another name than this machine's ([`Reply::Hello`]).
pub fn run_as(program: &Path, name: String) -> Result<(), WireError> {
    let local = Local::default();
    let cancel = local.cancel.clone();
    let machine = Real { local, program: program.into(), others: BTreeMap::new() };
    serve(machine, name, &cancel, std::io::stdin(), std::io::stdout())
}

/// Serves a machine until the input ends; whatever runs then is ended.
pub fn serve(
    machine: impl Machine,
    name: String,
    cancel: &Cancel,
    input: impl Read + Send + 'static,
    output: impl Write,
) -> Result<(), WireError> {
    let mut output = BufWriter::with_capacity(REPLIES, output);
    output.write_all(PREAMBLE)?;
    wire::send(&mut output, &Reply::Hello { version: env!("CARGO_PKG_VERSION").into(), machine: name })?;
    let frames = listen(input, cancel.clone());
    let link = Arc::new(Mutex::new(Link { output, frames, pushed: BTreeMap::new(), lanes: Lanes::default() }));
    let mut agent = Agent { machine, link: Arc::clone(&link), preview: Preview::default() };
    loop {
        let next = lock(&link).frames.recv();
        match next {
            Ok(Frame::Message(Request::Batch(batch))) => {
                agent.batch(batch)?;
                lock(&link).pushed.clear();
            }
            Ok(Frame::Blob { sha256, bytes }) => lock(&link).push(sha256, &bytes),
            // Cancel has done its work when it was read; what else comes now answers nothing that was asked.
            Ok(_) => {}
            Err(mpsc::RecvError) => return Ok(()),
        }
    }
}

/// How long what was applied may be kept back to go together with what comes next.
const SOON: Duration = Duration::from_millis(50);

/// Answers of a batch go together, up to so many bytes.
const REPLIES: usize = 64 << 10;

struct Agent<M, W: Write> {
    machine: M,
    link: Arc<Mutex<Link<W>>>,
    preview: Preview,
}

impl<M: Machine, W: Write> Agent<M, W> {
    fn batch(&mut self, batch: Batch) -> Result<(), WireError> {
        let (mut cancelled, mut failed) = (false, false);
        let mut told = Instant::now();
        let ends = batch.due.iter().scan(0, |end, step| {
            *end += step;
            Some(*end)
        });
        let ends: BTreeSet<usize> = ends.collect();
        let due = ends.last().copied().unwrap_or(0);
        for (at, task) in batch.tasks.iter().enumerate() {
            let secrets = secrets(task);
            let outcome = match cancelled {
                true => Outcome::Failed(Error::Cancelled, Answer::default()),
                false => self.task(task, batch.mode, at < due),
            };
            cancelled |= matches!(outcome, Outcome::Failed(Error::Cancelled, _));
            failed |= matches!(outcome, Outcome::Failed(..));
            let waits = matches!(outcome, Outcome::Would(_)) && !task.check;
            let here = at + 1 >= due || (failed && ends.contains(&(at + 1)));
            let stop = batch.mode != Mode::Preview && (waits || failed) && here;
            let outcome = Box::new(scrub(outcome, &secrets));
            let reply = Reply::Task { batch: batch.id, id: task.id, outcome };
            // Answers go together, but what was applied is told soon: the connection may break.
            if at < due && told.elapsed() > SOON {
                wire::send(&mut lock(&self.link).output, &reply)?;
                told = Instant::now();
            } else {
                wire::post(&mut lock(&self.link).output, &reply)?;
            }
            if stop || cancelled {
                break;
            }
        }
        wire::send(&mut lock(&self.link).output, &Reply::Done { batch: batch.id })?;
        Ok(())
    }

    fn task(&mut self, task: &Task, mode: Mode, due: bool) -> Outcome {
        let mut planner = match load(task) {
            Ok(planner) => planner,
            Err(error) => return Outcome::Failed(error, Answer::default()),
        };
        let pending = self.preview.why().filter(|_| mode == Mode::Preview);
        let system = match (self.machine.system(task.become_.as_ref()), pending) {
            (Ok(system), _) => system,
            // The account, or sudo itself, may come with an earlier task.
            (Err(_), Some(why)) => {
                if !task.check {
                    self.preview.record_unknown(&task.name);
                }
                return Outcome::Unknown(why, Answer { diffs: planner.intent(), ..Answer::default() });
            }
            (Err(error), None) => return Outcome::Failed(error, Answer::default()),
        };
        let fetches = mode == Mode::Preview || (mode == Mode::Apply && due);
        let contents = Contents::over(&self.link);
        let mut system = Linked { system, link: &self.link, environment: &task.environment, fetches, contents };
        let expanded = match expand::paths(&system, &task.module, &task.params) {
            Ok(None) => None,
            Ok(Some(params)) => Some(Task { params, ..task.clone() }),
            Err(error) => return Outcome::Failed(error, Answer::default()),
        };
        let task = expanded.as_ref().unwrap_or(task);
        if expanded.is_some() {
            planner = match load(task) {
                Ok(planner) => planner,
                Err(error) => return Outcome::Failed(error, Answer::default()),
            };
        }
        let module = planner.as_ref();
        let pending = &mut self.preview;
        within(task.timeout, &mut system, |system| match (module.relay(system), mode) {
            (Err(error), _) => Outcome::Failed(error, Answer::default()),
            (Ok(Some(outcome)), _) => outcome,
            (_, Mode::Preview) => preview(pending, task, module, system),
            (_, Mode::Apply) if due && !task.check => match task.job {
                Some(job) => match module.plan(system) {
                    Ok(plan) => job::start(task, job, plan.diffs(), system),
                    Err(error) => unplanned(module, system, error),
                },
                None => apply(task.id, module, system),
            },
            (_, Mode::Apply | Mode::Ask) => ask(task, module, system),
        })
    }
}

/// Does a task without a controller: nothing that it would have to send is to be had.
pub(crate) fn alone(task: &Task, system: &mut dyn System) -> Outcome {
    let (_, frames) = mpsc::channel();
    let link = Mutex::new(Link {
        output: BufWriter::new(std::io::sink()),
        frames,
        pushed: BTreeMap::new(),
        lanes: Lanes::default(),
    });
    let contents = Contents::over(&link);
    let mut system = Linked { system, link: &link, environment: &task.environment, fetches: true, contents };
    let outcome = match load(task) {
        Ok(module) => apply(task.id, module.as_ref(), &mut system),
        Err(error) => Outcome::Failed(error, Answer::default()),
    };
    without_secrets(outcome, task)
}

/// Whether there is something to do: also where a job is to be started in any case.
fn waits(task: &Task, changes: bool) -> bool {
    changes || task.job.is_some_and(|job| job.always)
}

/// Has what is done take no longer than that many seconds.
fn within<W: Write>(
    timeout: Option<u64>,
    system: &mut Linked<'_, W>,
    act: impl FnOnce(&mut Linked<'_, W>) -> Outcome,
) -> Outcome {
    let Some(seconds) = timeout.filter(|seconds| *seconds > 0) else { return act(system) };
    let time = Duration::from_secs(seconds);
    let begun = Instant::now();
    let limited = system.limit(Some(time));
    let outcome = limited.map_or_else(|error| Outcome::Failed(error, Answer::default()), |()| act(system));
    let _ = system.limit(None);
    match outcome {
        Outcome::Failed(Error::Cancelled, _) if begun.elapsed() >= time => {
            let data = [("timedout".to_owned(), serde_json::json!({"period": seconds}))];
            Outcome::Failed(
                Error::TimedOut { seconds },
                Answer { data: data.into_iter().collect(), ..Answer::default() },
            )
        }
        outcome => outcome,
    }
}

fn load(task: &Task) -> Result<Box<dyn Planner>, Error> {
    let entry = builtin::find(&task.module)
        .ok_or_else(|| Error::Unsupported(format!("the agent has no module `{}`", task.module)))?;
    // The controller has looked at them before; what is wrong here is wrong between the two.
    entry.take(task.params.clone()).map_err(|error| Error::param(task.module.as_str(), error.to_string()))
}
