//! The report where there is no terminal: text as it comes, progress as a line now and then.

use std::collections::HashMap;
use std::io::{self, Write};

use trueup_modules::edit::Progress;

use super::Reporter;
use super::human::{Human, View};
use super::text::bytes;
use crate::event::Event;

/// Writes to two streams.
pub struct Plain<O, E> {
    human: Human,
    steps: Steps,
    out: O,
    err: E,
}

impl<O: Write, E: Write> Plain<O, E> {
    /// Results go to `out`, what is said on the way to `err`.
    pub fn new(view: View, out: O, err: E) -> Self {
        Self { human: Human::new(view), steps: Steps::default(), out, err }
    }
}

impl<O: Write, E: Write> Reporter for Plain<O, E> {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        let page = self.human.event(event);
        self.out.write_all(page.out.as_bytes())?;
        self.err.write_all(page.err.as_bytes())?;
        if let Some(line) = self.steps.event(event) {
            writeln!(self.err, "{line}")?;
        }
        self.out.flush()
    }

    fn end(&mut self) -> io::Result<()> {
        self.out.write_all(self.human.end().as_bytes())?;
        self.out.flush()
    }
}

/// `7.0 MiB of 22.5 MiB (31 %)`, or only what is done.
pub fn progress(progress: Progress) -> String {
    match (percent(progress), progress.total) {
        (Some(percent), Some(total)) => format!("{} of {} ({percent} %)", bytes(progress.done), bytes(total)),
        _ => bytes(progress.done),
    }
}

fn percent(Progress { done, total }: Progress) -> Option<u64> {
    let total = total.filter(|total| *total > 0)?;
    Some((u128::from(done) * 100 / u128::from(total)).min(100) as u64)
}

/// Thins progress out: a line for each tenth, or for each doubling where the whole is not known.
#[derive(Default)]
struct Steps(HashMap<String, u64>);

impl Steps {
    fn event(&mut self, event: &Event) -> Option<String> {
        match event {
            Event::Progress { host, progress: now } => {
                let step = percent(*now).map_or_else(|| u64::from(now.done.checked_ilog2().unwrap_or(0)), |it| it / 10);
                let last = self.0.insert(host.clone(), step);
                (last != Some(step)).then(|| format!("{host}: {}", progress(*now)))
            }
            Event::Running { host, .. } => {
                self.0.remove(host);
                None
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::super::human::{Detail, Diffs};
    use super::*;
    use crate::diagnostic::Paint;

    #[test]
    fn progress_is_thinned_out() {
        let view = View { paint: Paint::Plain, detail: Detail::Brief, diffs: Diffs::Preview };
        let mut err = Vec::new();
        let mut plain = Plain::new(view, io::sink(), &mut err);
        let total = Some(20 << 20);
        let copying = [(0, total), (1 << 20, total), (2 << 20, total), (3 << 20, total), (20 << 20, total)];
        let unsure = [(900, None), (1000, None), (1100, None), (5000, None)];
        plain.event(&Event::Running { host: "h2".into(), task: "Copy".into() }).unwrap();
        for (done, total) in copying.into_iter().chain(unsure) {
            plain.event(&Event::Progress { host: "h2".into(), progress: Progress { done, total } }).unwrap();
        }
        assert_snapshot!(String::from_utf8(err).unwrap(), @r"
        h2: 0 B of 20.0 MiB (0 %)
        h2: 2.0 MiB of 20.0 MiB (10 %)
        h2: 20.0 MiB of 20.0 MiB (100 %)
        h2: 900 B
        h2: 1.1 KiB
        h2: 4.9 KiB
        ");
    }
}
