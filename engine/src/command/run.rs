//! `trueup plan` and `trueup apply`: compile, run, and tell.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::{CommandError, ERROR, ask, keys, settings};
use crate::cli::{Apply, Plan, Run};
use crate::compile::{Idle, PlayDefaults, SearchPaths};
use crate::connect::{Agents, HostKeys};
use crate::diagnostic::{Diagnostics, Paint};
use crate::event::Event;
use crate::execute::{self, Options, Passwords, Program};
use crate::report::ansible::tree::Tree;
use crate::report::human::{Detail, Diffs, View};
use crate::report::print::{self, Color};
use crate::report::summary::Verdict;
use crate::report::{self, Format, Reporter};

/// Exit status: pending changes, where they were asked for.
const PENDING: u8 = 3;
/// Exit status: a playbook or inventory is written wrongly. Ansible's for "parser error".
pub(super) const WRONG_INPUT: u8 = 4;
/// Exit status: the run ended without a verdict.
const UNEXPECTED: u8 = 250;

/// How many hosts are worked on at the same time where nothing else is said.
const FORKS: u16 = 50;
/// Events that may wait for a slow terminal before the run waits, too.
const BACKLOG: usize = 1024;

/// Shows what would change.
pub(super) fn plan(args: Plan, color: Color) -> Result<u8, CommandError> {
    let format = format(&args.run, Diffs::Preview, color);
    let options = Options { preview: true, ..options(args.run, color)? };
    Ok(match run(options, format, color.for_errors())? {
        Ending::Verdict(Verdict::Changed) if args.exit_code => PENDING,
        ending => ending.code(),
    })
}

/// Changes it.
pub(super) fn apply(args: Apply, color: Color) -> Result<u8, CommandError> {
    let diffs = if args.diff { Diffs::Always } else { Diffs::Preview };
    let format = format(&args.run, diffs, color);
    let options = Options { step: args.step, ..options(args.run, color)? };
    with(options, format, color.for_errors())
}

fn format(args: &Run, diffs: Diffs, color: Color) -> Format {
    let detail = if args.verbose { Detail::Full } else { Detail::Brief };
    if args.json { Format::Json } else { Format::Human(View { paint: color.for_output(), detail, diffs }) }
}

/// Runs what the options say.
pub(super) fn with(options: Options, format: Format, paint: Paint) -> Result<u8, CommandError> {
    Ok(run(options, format, paint)?.code())
}

/// The same, and each host's result is written to a file of its name in a directory, as `ansible -t` does.
pub(super) fn into_tree(options: Options, format: Format, dir: &Path, paint: Paint) -> Result<u8, CommandError> {
    let failed = |source| CommandError::File { doing: "make the directory", path: dir.to_owned(), source };
    std::fs::create_dir_all(dir).map_err(failed)?;
    let reporter = Tree { dir: dir.to_owned(), inner: report::reporter(format) };
    Ok(run_to(options, Box::new(reporter), paint)?.code())
}

/// Only looks whether what the options name can be read.
pub(super) fn check(options: &Options, paint: Paint) -> u8 {
    compiled(options, paint).err().unwrap_or(0)
}

/// What the options name, compiled; what is wrong with it is said, and the exit status for it is the error: Ansible's is
/// another where something is not there than where it is written wrongly.
pub(super) fn compiled(options: &Options, paint: Paint) -> Result<Program, u8> {
    let mut diagnostics = Diagnostics::new();
    let program = execute::compile(options, &mut diagnostics);
    print::diagnostics(&diagnostics, paint);
    let status = if diagnostics.begin_with_absence() { ERROR } else { WRONG_INPUT };
    program.filter(|_| !diagnostics.has_errors()).ok_or(status)
}

/// What the executor has to know: the command line, and the settings where it is silent.
pub(super) fn options(mut args: Run, color: Color) -> Result<Options, CommandError> {
    let settings = settings::load(color)?;
    settings::fill(&mut args, &settings);
    if args.inventories.is_empty() {
        return Err(CommandError::NoInventory);
    }
    let mut options = executable(args)?;
    settings::assume(&mut options, &settings);
    Ok(options)
}

/// The same without settings. Whoever is to be asked for a password is asked here.
pub(super) fn executable(args: Run) -> Result<Options, CommandError> {
    let reach = args.reach;
    let vault_passwords = keys::passwords(&args.vault)?;
    let ask = Passwords {
        connection: reach.ask_pass.then(|| ask::password("SSH password")).transpose()?,
        become_: reach.ask_become_pass.then(|| ask::password("sudo password")).transpose()?,
    };
    Ok(Options {
        preview: false,
        inventories: args.inventories,
        playbooks: args.playbooks,
        given: None,
        limit: args.limit,
        tags: args.tags,
        skip_tags: args.skip_tags,
        paths: SearchPaths::default(),
        extra_vars: args.extra_vars,
        vault_passwords,
        forks: args.forks.unwrap_or(FORKS).into(),
        host_keys: reach.accept_new_host_keys.then_some(HostKeys::AcceptNew),
        ssh_config: reach.ssh_config,
        user: reach.user,
        private_key: reach.private_key,
        ask,
        become_: reach.become_root,
        agents: Agents::embedded(),
        assumed: Default::default(),
        gather_always: false,
        verbosity: u8::from(args.verbose),
        start_at: args.start_at_task,
        force_handlers: args.force_handlers,
        plays: PlayDefaults::default(),
        manner: Default::default(),
        warns_of_no_hosts: false,
        idle: Idle::default(),
        fails_late: false,
        asker: None,
        answers: None,
        debugging: Default::default(),
        step: false,
        managed: None,
        merge_dictionaries: false,
    })
}

/// How it ended.
enum Ending {
    /// The input is wrong; nothing was run. The exit status for it.
    WrongInput(u8),
    /// The run came to its end, or to Ctrl-C.
    Verdict(Verdict),
    /// The events ended before the run did.
    Lost,
}

impl Ending {
    fn code(&self) -> u8 {
        match self {
            Self::WrongInput(status) => *status,
            Self::Verdict(verdict) => verdict.code(),
            Self::Lost => UNEXPECTED,
        }
    }
}

fn run(options: Options, format: Format, paint: Paint) -> Result<Ending, CommandError> {
    run_to(options, report::reporter(format), paint)
}

fn run_to(mut options: Options, mut reporter: Box<dyn Reporter>, paint: Paint) -> Result<Ending, CommandError> {
    options.asker = Some(Arc::new(ask::question));
    let (answer, answers) = mpsc::channel(1);
    options.answers = Some(answers.into());
    let program = match compiled(&options, paint) {
        Ok(program) => program,
        Err(status) => return Ok(Ending::WrongInput(status)),
    };
    let runtime =
        tokio::runtime::Runtime::new().map_err(|source| CommandError::System { doing: "start threads", source })?;
    let ending = runtime.block_on(watch(program, options, answer, Teller { reporter: reporter.as_mut(), heard: true }));
    if let Ending::Lost = ending {
        print::error("the run ended without a verdict", None, paint);
    }
    Ok(ending)
}

/// Runs, to the end or to a Ctrl-C, and tells what happens.
async fn watch(
    program: Program,
    options: Options,
    answer: mpsc::Sender<Option<String>>,
    mut teller: Teller<'_>,
) -> Ending {
    let (sender, mut events) = mpsc::channel(BACKLOG);
    // On a thread of its own, beside this one that tells.
    let run = tokio::spawn(execute::run(program, options, sender, interrupted()));
    let mut ending = Ending::Lost;
    while let Some(event) = events.recv().await {
        match &event {
            Event::Aborted { .. } => ending = Ending::Verdict(Verdict::Aborted),
            Event::RunFinished { recap, cancelled, .. } if matches!(ending, Ending::Lost) => {
                ending = Ending::Verdict(Verdict::of(recap, *cancelled));
            }
            _ => {}
        }
        teller.tell(|reporter| reporter.event(&event));
        if matches!(event, Event::Question { .. }) {
            listen(answer.clone());
        }
    }
    let _ = run.await;
    teller.tell(|reporter| reporter.end());
    ending
}

/// Waits for a line on a thread of its own, which a Ctrl-C leaves behind.
fn listen(answer: mpsc::Sender<Option<String>>) {
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = io::stdin().read_line(&mut line).ok().filter(|read| *read > 0);
        // Nobody waits for it any more if this fails.
        _ = answer.blocking_send(read.map(|_| line));
    });
}

/// Ready at Ctrl-C; never, where the system cannot say.
async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Tells as long as somebody listens; a run is not broken off because `| head` has seen enough.
struct Teller<'a> {
    reporter: &'a mut dyn Reporter,
    heard: bool,
}

impl Teller<'_> {
    fn tell(&mut self, what: impl FnOnce(&mut dyn Reporter) -> io::Result<()>) {
        if self.heard {
            self.heard = what(self.reporter).is_ok();
        }
    }
}
