//! The report on a terminal: results scroll by, and below them stands what runs now.

use std::collections::HashMap;
use std::io::{self, Write};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Reporter;
use super::human::{Human, View};
use super::plain::progress;
use super::text::printable;
use crate::event::Event;

/// Hosts that have a line of their own; a fleet would fill the screen and more.
const MAX_LINES: usize = 12;
/// How often the clocks move.
const TICK: Duration = Duration::from_millis(120);

/// Draws on standard error; results go to standard output.
pub struct Live {
    human: Human,
    screen: MultiProgress,
    /// How far the run is; last on the screen.
    overall: ProgressBar,
    hosts: HashMap<String, HostLine>,
    /// The user is being asked something.
    asks: bool,
}

/// What a host does.
struct HostLine {
    bar: ProgressBar,
    task: String,
}

impl Live {
    /// Draws nothing before the run starts.
    pub fn new(view: View) -> Self {
        let screen = MultiProgress::new();
        let overall = screen.add(ProgressBar::hidden());
        Self { human: Human::new(view), screen, overall, hosts: HashMap::new(), asks: false }
    }

    fn draw(&mut self, event: &Event) {
        match event {
            Event::RunStarted { tasks, .. } => self.start(*tasks),
            Event::TaskStarted { task } => {
                self.overall.set_position(task.step as u64);
                self.overall.set_message(printable(&task.name).into_owned());
            }
            Event::Running { host, task } => self.running(host, task),
            Event::Line { host, text, .. } => self.say(host, printable(text.trim_end()).into_owned()),
            Event::Progress { host, progress: now } => self.say(host, progress(*now)),
            Event::Result(result) => self.clear(&result.host),
            Event::Unreachable { host, .. } => self.clear(host),
            _ => {}
        }
    }

    /// Nothing is drawn while the user is asked something.
    fn give_way(&mut self, asks: bool) {
        if asks {
            // If that fails, nothing is to be seen anyway.
            _ = self.screen.clear();
            self.screen.set_draw_target(ProgressDrawTarget::hidden());
        } else if self.asks {
            self.screen.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.asks = asks;
    }

    fn start(&mut self, tasks: usize) {
        self.screen.remove(&self.overall);
        let bar = ProgressBar::new(tasks as u64)
            .with_style(style("  {bar:24.cyan/dim} {pos}/{len} {elapsed} {wide_msg:.dim}"));
        self.overall = self.screen.add(bar);
        self.overall.enable_steady_tick(TICK);
    }

    fn running(&mut self, host: &str, task: &str) {
        self.clear(host);
        self.overall.set_message(printable(task).into_owned());
        if self.hosts.len() >= MAX_LINES {
            return;
        }
        let bar =
            ProgressBar::new_spinner().with_style(style("  {spinner:.yellow} {prefix:.bold} {elapsed:>4} {wide_msg}"));
        let bar = self.screen.insert_before(&self.overall, bar);
        bar.set_prefix(host.to_owned());
        bar.set_message(printable(task).into_owned());
        bar.enable_steady_tick(TICK);
        self.hosts.insert(host.to_owned(), HostLine { bar, task: printable(task).into_owned() });
    }

    fn say(&self, host: &str, text: String) {
        if let Some(line) = self.hosts.get(host) {
            line.bar.set_message(format!("{}: {text}", line.task));
        }
    }

    fn clear(&mut self, host: &str) {
        if let Some(line) = self.hosts.remove(host) {
            line.bar.finish_and_clear();
            self.screen.remove(&line.bar);
        }
    }

    fn write(&self, out: &str, err: &str) -> io::Result<()> {
        if out.is_empty() && err.is_empty() {
            return Ok(());
        }
        self.screen.suspend(|| {
            io::stdout().write_all(out.as_bytes())?;
            io::stdout().flush()?;
            io::stderr().write_all(err.as_bytes())
        })
    }

    fn close(&mut self) {
        let hosts: Vec<String> = self.hosts.keys().cloned().collect();
        hosts.iter().for_each(|host| self.clear(host));
        self.overall.finish_and_clear();
    }
}

impl Reporter for Live {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        let page = self.human.event(event);
        self.give_way(matches!(event, Event::Question { .. }));
        if matches!(event, Event::RunFinished { .. }) {
            self.close();
        }
        self.draw(event);
        self.write(&page.out, &page.err)
    }

    fn end(&mut self) -> io::Result<()> {
        self.close();
        let rest = self.human.end();
        self.write(&rest, "")
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is written in this file")
}
