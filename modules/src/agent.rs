//! The agent's loop: batches of tasks in, outcomes out.
//!
//! One agent serves a host. Tasks that run as another user reach the machine through a [`Proxy`]; plans, and the overlay of
//! a preview, stay here.

mod contents;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use self::contents::Contents;
use crate::attributes;
use crate::builtin;
use crate::digest::Algorithm;
use crate::edit::{Blob, Edit};
use crate::expand;
use crate::host::{Command, Error, Host, Input, Look, Output, Stat, Why};
use crate::interpret::{self, Applied, Failure, Happening};
use crate::job;
use crate::local::{self, Cancel, Local};
use crate::module::Planner;
use crate::param::SECRET_KEY;
use crate::plan::Plan;
use crate::preview::{Preview, hex};
use crate::proxy::{self, Proxy};
use crate::secret::{REDACTED, Secret};
use crate::sql::{PgConn, Rows, SqlArg};
use crate::system::{Pieces, System};
use crate::wire::{self, Answer, Batch, Become, Frame, Mode, Outcome, PREAMBLE, Reply, Request, Task, WireError};

/// What runs on this side of the wire: the machine, or another one for tests.
pub trait Machine {
    /// The host as that user; `None` is the user that the agent runs as.
    fn system(&mut self, become_: Option<&Become>) -> Result<&mut dyn System, Error>;
}

/// This machine, with a child for each other user that tasks run as.
pub struct Real {
    local: Local,
    program: PathBuf,
    others: BTreeMap<String, Proxy>,
}

impl Machine for Real {
    fn system(&mut self, become_: Option<&Become>) -> Result<&mut dyn System, Error> {
        // As in Ansible, nobody has to become who he is: root needs no sudo, which a small host may not have.
        let Some(become_) = become_.filter(|become_| !local::is_user(&become_.user)) else {
            return Ok(&mut self.local);
        };
        if !self.others.contains_key(&become_.user) {
            let proxy = Proxy::start(&self.program, become_)?;
            self.others.insert(become_.user.clone(), proxy);
        }
        match self.others.get_mut(&become_.user) {
            Some(proxy) => Ok(proxy),
            None => Ok(&mut self.local),
        }
    }
}

/// What the agent's program does: without arguments it serves this machine; `as-user` and `job` are what agents start.
pub fn main(args: &[String]) -> ExitCode {
    let done = match args.split_first() {
        Some((word, _)) if word == "as-user" => proxy::serve(std::io::stdin(), std::io::stdout()).map_err(|_| None),
        Some((word, args)) if word == "job" => job::run(args).map_err(Some),
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
    run_as(program, identity())
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
    let link = Arc::new(Mutex::new(Link { output, frames, pushed: BTreeMap::new() }));
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

/// Reads frames as they come, so that a cancellation is seen while a task runs.
fn listen(mut input: impl Read + Send + 'static, cancel: Cancel) -> Receiver<Frame<Request>> {
    let (sender, frames) = mpsc::sync_channel(wire::BLOBS_AHEAD);
    thread::spawn(move || {
        while let Ok(Some(frame)) = wire::receive(&mut input) {
            // In the order in which they come: what is said after a batch, the end of the input above all, is about that batch,
            // though it may not have begun yet.
            match &frame {
                Frame::Message(Request::Batch(_)) => cancel.reset(),
                Frame::Message(Request::Cancel) => cancel.cancel(),
                _ => {}
            }
            if sender.send(frame).is_err() {
                break;
            }
        }
        cancel.cancel();
    });
    frames
}

/// How long what was applied may be kept back to go together with what comes next.
const SOON: Duration = Duration::from_millis(50);

/// Answers of a batch go together, up to so many bytes.
const REPLIES: usize = 64 << 10;

/// The most content that the controller sends unasked before a batch: 1 MiB.
pub const MAX_PUSHED: u64 = 1 << 20;

/// The two directions of the wire.
struct Link<W: Write> {
    output: BufWriter<W>,
    frames: Receiver<Frame<Request>>,
    /// Content that came before the batch that it is for.
    pushed: BTreeMap<String, Vec<u8>>,
}

impl<W: Write> Link<W> {
    /// What is too much is left out: it is then asked for.
    fn push(&mut self, sha256: String, bytes: &[u8]) {
        if (self.pushed.values().map(Vec::len).sum::<usize>() + bytes.len()) as u64 <= MAX_PUSHED {
            self.pushed.entry(sha256).or_default().extend_from_slice(bytes);
        }
    }
}

/// What tells this machine's files from those of another: which kernel runs, and which directory is `/`.
fn identity() -> String {
    use std::os::unix::fs::MetadataExt;
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let root = std::fs::metadata("/").map(|meta| (meta.dev(), meta.ino())).unwrap_or_default();
    format!("{} {}:{}", boot.trim(), root.0, root.1)
}

fn lock<W: Write>(link: &Mutex<Link<W>>) -> std::sync::MutexGuard<'_, Link<W>> {
    link.lock().unwrap_or_else(PoisonError::into_inner)
}

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
        let expanded = match expand::paths(&system, &task.params) {
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
    let link = Mutex::new(Link { output: BufWriter::new(std::io::sink()), frames, pushed: BTreeMap::new() });
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

/// Plans, and no more.
fn ask(task: &Task, module: &dyn Planner, host: &dyn Host) -> Outcome {
    match module.plan(host) {
        Ok(plan) if waits(task, if task.check { plan.changes() } else { !plan.is_empty() }) => {
            Outcome::Would(if task.check { told(module, &plan, host) } else { answer(&plan) })
        }
        Ok(plan) => Outcome::Ok(told(module, &plan, host)),
        // It asked for content: what is there is not as it shall be.
        Err(Error::Unknown(_)) => Outcome::Would(Answer::default()),
        Err(error) => unplanned(module, host, error),
    }
}

/// It can't be told what is to be done.
fn unplanned(module: &dyn Planner, host: &dyn Host, error: Error) -> Outcome {
    let explanation = module.explain(host, &error);
    let mut answer = Answer { explanation, ..Answer::default() };
    let (error, data) = error.apart();
    answer.data = data;
    attributes::tell(host, &mut answer.data);
    Outcome::Failed(error, answer)
}

fn load(task: &Task) -> Result<Box<dyn Planner>, Error> {
    let entry = builtin::find(&task.module)
        .ok_or_else(|| Error::Unsupported(format!("the agent has no module `{}`", task.module)))?;
    // The controller has looked at them before; what is wrong here is wrong between the two.
    entry.take(task.params.clone()).map_err(|error| Error::param(task.module.as_str(), error.to_string()))
}

fn answer(plan: &Plan) -> Answer {
    Answer { data: plan.data.clone(), diffs: plan.diffs(), warnings: plan.warnings.clone(), ..Answer::default() }
}

/// With what is there now.
fn told(module: &dyn Planner, plan: &Plan, host: &dyn Host) -> Answer {
    let mut answer = answer(plan);
    look_back(module, host, &mut answer);
    answer
}

/// Adds what is told of what is there at the end. The task itself is done: that a look fails is only worth a warning.
fn look_back(module: &dyn Planner, host: &dyn Host, answer: &mut Answer) {
    match module.aftermath(host) {
        Ok(data) => answer.data.extend(data),
        Err(Error::Unknown(_)) => {}
        Err(error) => answer.warnings.push(format!("not all return values are known: {error}")),
    }
    attributes::tell(host, &mut answer.data);
}

/// A failure while something is pending, and "not known yet", are the same: only the earlier task's run will tell.
/// What is never going to be done is not pending either.
fn preview(pending: &mut Preview, task: &Task, module: &dyn Planner, host: &dyn Host) -> Outcome {
    let view = pending.over(host);
    let planned = module.plan(&view);
    let conditional = view.conditional();
    let unknown = |why: Why| Outcome::Unknown(why, Answer { diffs: module.intent(), ..Answer::default() });
    let (outcome, plan) = match (planned, pending.why()) {
        (Ok(plan), _) => {
            let answer = Answer { conditional, ..told(module, &plan, &view) };
            (if waits(task, plan.changes()) { Outcome::Would(answer) } else { Outcome::Ok(answer) }, Some(plan))
        }
        (Err(Error::Unknown(why)), _) | (Err(_), Some(why)) => (unknown(why), None),
        // With what is wanted: something may be pending where the answer came from.
        (Err(error @ Error::Unanswered { .. }), None) => {
            (Outcome::failed(error, Answer { diffs: module.intent(), ..Answer::default() }), None)
        }
        (Err(error), None) => (unplanned(module, host, error), None),
    };
    match plan {
        _ if task.check => {}
        Some(plan) => pending.record(&task.name, &plan),
        None if matches!(outcome, Outcome::Unknown(..)) => pending.record_unknown(&task.name),
        None => {}
    }
    outcome
}

/// Plans, applies, and plans again: what is left to do then is an error.
fn apply<W: Write>(id: u64, module: &dyn Planner, system: &mut Linked<'_, W>) -> Outcome {
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
    let plan = match with_environment(plan, system.environment) {
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

/// A secret of the environment must not have come into an argument, which everybody on the host can see.
fn with_environment(mut plan: Plan, environment: &BTreeMap<String, serde_json::Value>) -> Result<Plan, Error> {
    for edit in &mut plan.edits {
        let Edit::Run { command, .. } = edit else { continue };
        add_environment(command, environment);
        for (name, value) in &command.env {
            let Input::Secret(secret) = value else { continue };
            if !secret.expose().is_empty() && command.args.iter().any(|arg| arg.contains(secret.expose())) {
                let reason = format!("${name} is secret, but every user of the host can see arguments while it runs");
                return Err(Error::param("cmd", reason));
            }
        }
    }
    Ok(plan)
}

pub(crate) fn add_environment(command: &mut Command, environment: &BTreeMap<String, serde_json::Value>) {
    for (name, value) in environment {
        let input = match (value.get(SECRET_KEY).and_then(|text| text.as_str()), value.as_str()) {
            (Some(secret), _) => Input::Secret(Secret::new(secret)),
            (None, Some(text)) => Input::Plain(text.into()),
            (None, None) => Input::Plain(value.to_string()),
        };
        command.env.entry(name.clone()).or_insert(input);
    }
}

/// A system whose announced content comes over the wire, and whose queries see the task's environment.
struct Linked<'a, W: Write> {
    system: &'a mut dyn System,
    link: &'a Mutex<Link<W>>,
    environment: &'a BTreeMap<String, serde_json::Value>,
    /// Whether content is to be had. Without it, all that can be told is that it would be needed.
    fetches: bool,
    contents: Contents<'a, W>,
}

impl<W: Write> Linked<'_, W> {
    fn fetch(&self, sha256: &str) -> Look<Vec<u8>> {
        let failed = |reason: String| Error::Failed(format!("cannot fetch content {sha256}: {reason}"));
        let mut content = lock(self.link).pushed.get(sha256).cloned().unwrap_or_default();
        if content.is_empty() {
            self.contents.take(sha256, |pieces| {
                loop {
                    let piece = pieces()?;
                    if piece.is_empty() {
                        return Ok(());
                    }
                    if content.len() + piece.len() > MAX_BLOB {
                        return Err(failed(format!("it is larger than {} MiB", MAX_BLOB >> 20)));
                    }
                    content.extend(piece);
                }
            })?;
        }
        match hex(&Sha256::digest(&content)) == sha256 {
            true => Ok(content),
            false => Err(failed("what came has another hash".into())),
        }
    }
}

/// The largest content that is held in memory: 1 GiB.
const MAX_BLOB: usize = 1 << 30;

impl<W: Write> Host for Linked<'_, W> {
    fn stat(&self, path: &Path) -> Look<Option<Stat>> {
        self.system.stat(path)
    }
    fn read(&self, path: &Path) -> Look<Option<Vec<u8>>> {
        self.system.read(path)
    }
    fn digest(&self, path: &Path, algorithm: Algorithm) -> Look<Option<String>> {
        self.system.digest(path, algorithm)
    }
    fn list(&self, path: &Path) -> Look<Vec<PathBuf>> {
        self.system.list(path)
    }
    fn query(&self, command: &Command) -> Look<Output> {
        let mut command = command.clone();
        add_environment(&mut command, self.environment);
        self.system.query(&command)
    }
    fn sql(&self, at: &PgConn, query: &str, args: &[SqlArg]) -> Look<Rows> {
        self.system.sql(at, query, args)
    }
    fn connects(&self, host: &str, port: u16) -> Look<bool> {
        self.system.connects(host, port)
    }
    fn blob(&self, sha256: &str) -> Look<Vec<u8>> {
        if !self.fetches {
            return Err(Error::Unknown(Why { after: format!("content {sha256}") }));
        }
        self.fetch(sha256)
    }
    fn blobs(&self, sha256: &[&str]) -> Look<Vec<Vec<u8>>> {
        if self.fetches {
            self.contents.ask(sha256.iter().map(|&sha256| sha256.to_owned()).collect())?;
        }
        sha256.iter().map(|sha256| self.blob(sha256)).collect()
    }
}

impl<W: Write> System for Linked<'_, W> {
    fn write(
        &mut self,
        path: &Path,
        content: &crate::edit::Text,
        mode: Option<u32>,
        owner: &crate::edit::Owner,
    ) -> Look<()> {
        self.system.write(path, content, mode, owner)
    }
    fn write_pieces(
        &mut self,
        path: &Path,
        content: &Blob,
        pieces: &mut Pieces<'_>,
        mode: Option<u32>,
        owner: &crate::edit::Owner,
    ) -> Look<()> {
        self.system.write_pieces(path, content, pieces, mode, owner)
    }
    fn place(&mut self, path: &Path, content: &Blob, mode: Option<u32>, owner: &crate::edit::Owner) -> Look<()> {
        let system = &mut self.system;
        self.contents.take(&content.sha256, |pieces| system.write_pieces(path, content, pieces, mode, owner))
    }
    fn set_mode(&mut self, path: &Path, mode: u32) -> Look<()> {
        self.system.set_mode(path, mode)
    }
    fn set_owner(&mut self, path: &Path, owner: &crate::edit::Owner) -> Look<()> {
        self.system.set_owner(path, owner)
    }
    fn make_dir(&mut self, path: &Path, mode: u32) -> Look<()> {
        self.system.make_dir(path, mode)
    }
    fn link(&mut self, path: &Path, target: &Path) -> Look<()> {
        self.system.link(path, target)
    }
    fn remove(&mut self, path: &Path) -> Look<()> {
        self.system.remove(path)
    }
    fn rename(&mut self, from: &Path, to: &Path) -> Look<()> {
        self.system.rename(from, to)
    }
    fn run(&mut self, command: &Command, line: &mut dyn FnMut(crate::system::Stream, &str)) -> Look<Output> {
        self.system.run(command, line)
    }
    fn pause(&mut self, time: Duration) -> Look<()> {
        self.system.pause(time)
    }
    fn limit(&mut self, time: Option<Duration>) -> Look<()> {
        self.system.limit(time)
    }
    fn execute_sql(&mut self, at: &PgConn, statement: &str, args: &[SqlArg], autocommit: bool) -> Look<Rows> {
        self.system.execute_sql(at, statement, args, autocommit)
    }
}

/// An outcome in which the secrets that a task was given are replaced.
pub fn without_secrets(outcome: Outcome, task: &Task) -> Outcome {
    scrub(outcome, &secrets(task))
}

/// The secrets that a task was given, longest first.
fn secrets(task: &Task) -> Vec<String> {
    let mut found: BTreeSet<String> = task.secrets.iter().cloned().collect();
    collect_secrets(&task.params, &mut found);
    task.environment.values().for_each(|value| collect_secrets(value, &mut found));
    found.extend(task.become_.iter().filter_map(|become_| become_.password.clone()));
    // What is shorter could be a part of anything.
    let mut found: Vec<String> = found.into_iter().filter(|secret| secret.len() >= 3).collect();
    found.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    found
}

/// The secrets that are marked as such in a value.
pub fn collect_secrets(value: &serde_json::Value, into: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(map) => match map.get(SECRET_KEY).and_then(|secret| secret.as_str()) {
            Some(secret) => drop(into.insert(secret.to_owned())),
            None => map.values().for_each(|value| collect_secrets(value, into)),
        },
        serde_json::Value::Array(values) => values.iter().for_each(|value| collect_secrets(value, into)),
        _ => {}
    }
}

/// The last door: a module keeps secrets by type, but a program or a server may repeat one in what it says.
fn scrub(outcome: Outcome, secrets: &[String]) -> Outcome {
    fn clean(value: &mut serde_json::Value, secrets: &[String]) {
        match value {
            serde_json::Value::String(text) => {
                for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
                    if text.contains(secret.as_str()) {
                        *text = text.replace(secret.as_str(), REDACTED);
                    }
                }
            }
            serde_json::Value::Array(values) => values.iter_mut().for_each(|value| clean(value, secrets)),
            serde_json::Value::Object(map) => map.values_mut().for_each(|value| clean(value, secrets)),
            _ => {}
        }
    }
    if secrets.is_empty() {
        return outcome;
    }
    let mut value = serde_json::to_value(&outcome).expect("outcomes have only text keys");
    clean(&mut value, secrets);
    // A secret that equals a word of the protocol can't be cleaned away without breaking it; then nothing is shown.
    serde_json::from_value(value)
        .unwrap_or_else(|_| Outcome::Failed(Error::Failed("the answer is withheld".into()), Answer::default()))
}
