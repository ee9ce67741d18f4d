//! What a person reads: a fold from events to text. Hosts with the same result share its lines.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::Arc;

use indexmap::{IndexMap, IndexSet};
use trueup_modules::host::Why;

use super::result::{Look, is_message};
use super::text::{count, duration, indent, printable};
use super::{not_run, summary};
use crate::diagnostic::Paint;
use crate::event::{Event, Recap, Status, TaskInfo, TaskResult};

/// How much, and how it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Colours.
    pub paint: Paint,
    /// How much.
    pub detail: Detail,
    /// Which diffs.
    pub diffs: Diffs,
}

/// How much is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// A preview is silent about what is as it should be.
    Brief,
    /// Every result with its data, every connection, every line that a command prints.
    Full,
}

/// When diffs are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Diffs {
    /// In a preview only: who applies has seen it.
    Preview,
    /// Also of what was changed.
    Always,
}

/// Text for the two streams.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Results.
    pub out: String,
    /// What is said on the way.
    pub err: String,
}

/// The fold. Results are held back until their task is over, so that hosts can be put together.
pub struct Human {
    view: View,
    preview: bool,
    /// The order of the hosts in the inventory.
    order: HashMap<String, usize>,
    /// A play of which nothing was shown yet.
    play: Option<String>,
    held: Vec<Arc<TaskResult>>,
    /// What is being applied, by host: for the day when it is interrupted.
    running: BTreeMap<String, String>,
}

/// More hosts than this on a line are counted.
const NAMED: usize = 12;
/// From here on it is worth telling how long a task took, in seconds.
const LONG: f64 = 1.0;

const DIM: &str = "2";
const BOLD: &str = "1";
const RED: &str = "31";
const CYAN: &str = "36";

impl Human {
    /// At the beginning.
    pub fn new(view: View) -> Self {
        Self { view, preview: false, order: HashMap::new(), play: None, held: Vec::new(), running: BTreeMap::new() }
    }

    /// What the event adds to the report.
    pub fn event(&mut self, event: &Event) -> Page {
        let mut page = Page::default();
        if let Event::Running { host, task } = event {
            self.running.insert(host.clone(), task.clone());
            if self.held.first().is_some_and(|held| held.task.name != *task) {
                page.out = self.release();
            }
        }
        match event {
            Event::RunStarted { preview, hosts, .. } => {
                self.preview = *preview;
                self.order = hosts.iter().cloned().zip(0..).collect();
            }
            Event::PlayStarted { play } => {
                page.out = self.release();
                self.play = Some(play.clone());
            }
            Event::TaskStarted { task } if self.held.first().is_some_and(|held| held.task.step != task.step) => {
                page.out = self.release();
            }
            Event::Result(result) => {
                self.running.remove(&result.host);
                if self.held.first().is_some_and(|held| held.task.step != result.task.step) {
                    page.out = self.release();
                }
                self.held.push(Arc::clone(result));
            }
            Event::Unreachable { host, reason, hints } => {
                page.out = self.release();
                self.unreachable(&mut page.out, host, reason, hints);
            }
            Event::Question { text } => {
                page.out = self.release();
                page.err = format!("\n{}", printable(text));
            }
            Event::NotRun { hosts, tasks, .. } => {
                page.out = self.release();
                let mark = self.view.paint.wrap("1;33", "NOT RUN");
                let title = format!("{mark} {}: {}", self.some(hosts), not_run(event));
                _ = writeln!(page.out, "\n{title}");
                page.out.push_str(&indent(&printable(&self.some(tasks)), "    "));
            }
            Event::RunFinished { recap, cancelled, .. } => {
                page.out = self.end();
                page.out.push_str(&self.conclusion(recap, *cancelled));
            }
            aside => page.err = self.aside(aside),
        }
        page
    }

    fn conclusion(&self, recap: &[(String, Recap)], cancelled: bool) -> String {
        let paint = self.view.paint;
        let word = if cancelled { self.cancelled() } else { String::new() };
        match (recap, self.preview) {
            ([], _) if cancelled => word,
            (hosts, true) => format!("{word}\n{}", summary::plan(hosts, paint)),
            (hosts, false) => format!("{word}\n{}", summary::recap(hosts, paint)),
        }
    }

    /// Nobody has seen the end of what was under way: it may be done, half done, or not begun.
    fn cancelled(&self) -> String {
        let mut text = format!("\n{}\n", self.view.paint.wrap(RED, "The run was cancelled."));
        for (host, task) in &self.running {
            let _ = writeln!(text, "  {host}: {} was under way; apply again to see to it", printable(task));
        }
        text
    }

    /// What was held back when no more events come.
    pub fn end(&mut self) -> String {
        self.release()
    }

    /// What is said beside the results.
    fn aside(&self, event: &Event) -> String {
        let paint = self.view.paint;
        let full = self.view.detail == Detail::Full;
        let (mark, text) = match event {
            Event::Warning(text) => (paint.wrap("1;33", "warning:"), text.clone()),
            Event::Aborted { error } => (paint.wrap(RED, "error:"), error.clone()),
            Event::Retrying { host, task, left } => {
                (format!("{host}:"), format!("{task}: failed, {} left", count(*left, "attempt")))
            }
            Event::Connected { host, via } if full => {
                (paint.wrap(DIM, &format!("{host}:")), format!("connected: {via}"))
            }
            Event::Running { host, task } if full => (paint.wrap(DIM, &format!("{host}:")), task.clone()),
            Event::Line { host, text, .. } if full => (paint.wrap(DIM, &format!("{host} |")), text.clone()),
            _ => return String::new(),
        };
        format!("{mark} {}\n", printable(&text))
    }

    fn unreachable(&mut self, out: &mut String, host: &str, reason: &str, hints: &[String]) {
        self.play_header(out);
        let paint = self.view.paint;
        _ = writeln!(out, "\n{} {host}", paint.wrap("1;31", "UNREACHABLE"));
        out.push_str(&indent(&printable(reason), "    "));
        if let Some(task) = self.running.remove(host) {
            out.push_str(&indent(&format!("while `{}` was under way", printable(&task)), "    "));
        }
        hints.iter().for_each(|hint| self.hint(out, hint));
    }

    fn hint(&self, out: &mut String, hint: &str) {
        out.push_str(&indent(&format!("{}: {}", self.view.paint.wrap(CYAN, "hint"), printable(hint)), "    "));
    }

    /// The results held back, hosts with the same one together.
    fn release(&mut self) -> String {
        let held = std::mem::take(&mut self.held);
        let groups = self.groups(held.iter().map(Arc::as_ref).filter(|result| self.is_worth_showing(result)));
        let mut out = String::new();
        let Some(first) = groups.first() else { return out };
        self.play_header(&mut out);
        self.task_header(&mut out, &first.task);
        for group in &groups {
            _ = writeln!(out, "  {}", self.head(group));
            out.push_str(&indent(&group.body, "    "));
        }
        out
    }

    fn play_header(&mut self, out: &mut String) {
        if let Some(play) = self.play.take() {
            _ = writeln!(out, "\n{}", self.view.paint.wrap(BOLD, &format!("PLAY {}", printable(&play))));
        }
    }

    fn task_header(&self, out: &mut String, task: &TaskInfo) {
        let paint = self.view.paint;
        let kind = if task.handler { "HANDLER" } else { "TASK" };
        let title = paint.wrap(BOLD, &format!("{kind} {}", printable(&task.name)));
        _ = writeln!(out, "\n{title}  {}", paint.wrap(DIM, &task.place));
    }

    /// In a preview, what is as it should be is only counted.
    fn is_worth_showing(&self, result: &TaskResult) -> bool {
        let quiet = matches!(result.status, Status::Ok | Status::Skipped { .. });
        let speaks = !result.warnings.is_empty() || is_message(result);
        !self.preview || !quiet || speaks || self.view.detail == Detail::Full
    }

    /// Groups in the order of items and then of hosts, whatever the order of arrival.
    fn groups<'a>(&self, results: impl Iterator<Item = &'a TaskResult>) -> Vec<Group> {
        let mut groups: IndexMap<Likeness, Group> = IndexMap::new();
        let mut items: IndexSet<Option<String>> = IndexSet::new();
        let look = Look { view: self.view, preview: self.preview };
        for result in results {
            items.insert(result.item.clone());
            let (label, body) = (look.label(&result.status), look.body(result));
            let after = result.conditional.as_ref().map(|why| why.after.clone());
            let likeness = (result.item.clone(), label.clone(), body.clone(), after);
            let host = (self.order.get(&result.host).copied().unwrap_or(usize::MAX), host_name(result));
            let group = groups.entry(likeness).or_insert_with(|| Group {
                task: Arc::clone(&result.task),
                item: result.item.clone(),
                label,
                body,
                hosts: Vec::new(),
                conditional: result.conditional.clone(),
                seconds: 0.0,
            });
            group.hosts.push(host);
            group.seconds = group.seconds.max(result.seconds);
        }
        let mut groups: Vec<Group> = groups.into_values().collect();
        groups.iter_mut().for_each(|group| group.hosts.sort());
        groups.sort_by_cached_key(|group| (items.get_index_of(&group.item), group.hosts.first().cloned()));
        groups
    }

    /// `would change: h1, h2  (item)  conditional: known after X`.
    fn head(&self, group: &Group) -> String {
        let paint = self.view.paint;
        let mut head = format!("{}: {}", group.label, self.hosts(&group.hosts));
        if let Some(item) = &group.item {
            _ = write!(head, "  ({})", printable(item));
        }
        if let Some(why) = &group.conditional {
            _ = write!(head, "  {}", paint.wrap(DIM, &format!("conditional: {why}")));
        }
        if !self.preview && group.seconds >= LONG {
            _ = write!(head, "  {}", paint.wrap(DIM, &duration(group.seconds)));
        }
        head
    }

    fn hosts(&self, hosts: &[(usize, String)]) -> String {
        self.some(&hosts.iter().map(|(_, name)| name.clone()).collect::<Vec<_>>())
    }

    /// Names; if there are many, the others are counted.
    fn some(&self, names: &[String]) -> String {
        let named = if self.view.detail == Detail::Full { usize::MAX } else { NAMED };
        let first = names.iter().take(named).map(String::as_str).collect::<Vec<_>>().join(", ");
        match names.len().saturating_sub(named) {
            0 => first,
            more => format!("{first} and {more} more"),
        }
    }
}

/// What hosts on a line have in common: the item, the label, the body, and what it is conditional on.
type Likeness = (Option<String>, String, String, Option<String>);

/// Hosts with the same result.
struct Group {
    task: Arc<TaskInfo>,
    item: Option<String>,
    label: String,
    body: String,
    hosts: Vec<(usize, String)>,
    conditional: Option<Why>,
    seconds: f64,
}

fn host_name(result: &TaskResult) -> String {
    match &result.delegated_to {
        Some(other) => format!("{} -> {other}", result.host),
        None => result.host.clone(),
    }
}

#[cfg(test)]
#[path = "human_tests.rs"]
mod tests;
