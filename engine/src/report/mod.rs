//! What is told of a run. A reporter is a fold over [`Event`]s; nothing outside this directory prints.
//!
//! In reading order:
//!
//! - [`human`]: what a person reads, as text; `result`: one result; [`diff`]: what changes; [`summary`]: the end, and the verdict.
//! - [`plain`]: the same on a pipe; [`live`]: the same on a terminal, with what runs now below it.
//! - [`ansible`]: as Ansible's own programs print it. [`json`]: one event a line. [`text`]: foreign text made fit for a terminal.
//! - [`manual`]: what modules do. [`print`]: what the commands that run nothing have to say.
//!
//! Data goes to standard output, all else to standard error. Everything can be read without colour.

pub mod ansible;
pub mod diff;
pub mod graph;
pub mod human;
pub mod json;
pub mod live;
pub mod manual;
pub mod plain;
pub mod print;
mod result;
pub mod summary;
pub mod text;

use std::io::{self, IsTerminal};

use crate::event::Event;
use human::View;

/// Tells a run, event by event.
pub trait Reporter {
    /// Takes the next event. An error means that nobody reads any longer.
    fn event(&mut self, event: &Event) -> io::Result<()>;
    /// The events have ended, though the run may not have.
    fn end(&mut self) -> io::Result<()>;
}

/// Which reporter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// Text; live where standard error is a terminal.
    Human(View),
    /// JSON lines.
    Json,
    /// As `ansible-playbook` prints it.
    Ansible(ansible::Verbosity),
    /// As `ansible` prints it, or a playbook by the callback `minimal`; of `ansible`: how its one task is shown.
    AnsibleMinimal(Option<String>),
    /// A line for each result.
    AnsibleOneLine,
    /// As the callback `ansible.posix.json` prints it.
    AnsibleJson,
}

/// Why tasks are not run: `it needs `Configure` on p1, which failed`.
fn not_run(event: &Event) -> String {
    let Event::NotRun { hosts, needed, on, lost, .. } = event else { return String::new() };
    match (*hosts == [on.clone()], *lost) {
        (true, _) => format!("`{needed}` failed"),
        (false, false) => format!("`{needed}` on {on} is needed, and failed"),
        (false, true) => format!("`{needed}` on {on} is needed, and {on} is unreachable"),
    }
}

/// The reporter on this process's standard output and error.
pub fn reporter(format: Format) -> Box<dyn Reporter> {
    match format {
        Format::Json => Box::new(json::Json::new(io::stdout())),
        Format::Ansible(verbosity) => Box::new(ansible::Ansible::new(io::stdout(), verbosity)),
        Format::AnsibleMinimal(task) => Box::new(ansible::minimal::Minimal::new(io::stdout(), task)),
        Format::AnsibleJson => Box::new(ansible::posix::Posix::new(io::stdout())),
        Format::AnsibleOneLine => Box::new(ansible::oneline::OneLine::new(io::stdout())),
        Format::Human(view) if print::is_capable(io::stderr().is_terminal()) => Box::new(live::Live::new(view)),
        Format::Human(view) => Box::new(plain::Plain::new(view, io::stdout(), io::stderr())),
    }
}
