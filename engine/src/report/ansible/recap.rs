//! The end: a line for each host, and what `set_stats` has set.

use std::io::{self, Write};

use super::{Ansible, color};
use crate::event::Recap;

impl<O: Write> Ansible<O> {
    pub(super) fn recap(&mut self, recap: &[(String, Recap)]) -> io::Result<()> {
        self.banner("PLAY RECAP")?;
        for (host, recap) in recap {
            let columns = [
                ("ok", recap.ok + recap.unknown, color::OK),
                ("changed", recap.changed + recap.unknown, color::CHANGED),
                ("unreachable", recap.unreachable, color::UNREACHABLE),
                ("failed", recap.failed, color::FAILED),
                ("skipped", recap.skipped, color::SKIPPED),
                ("rescued", recap.rescued, color::OK),
                ("ignored", recap.ignored, color::WARNING),
            ];
            let paints = self.verbosity.color;
            let cell = |(name, number, code): &(&str, u64, &str)| {
                let cell = format!("{name}={number:<4}");
                if paints && *number > 0 { color::lines(&cell, code) } else { cell }
            };
            let cells: Vec<String> = columns.iter().map(cell).collect();
            let of_host = match (recap.failed + recap.unreachable, recap.changed) {
                (0, 0) => color::OK,
                (0, _) => color::CHANGED,
                _ => color::FAILED,
            };
            let host = match paints {
                // As wide as the name is beside the escape sequences.
                true => format!("{:<37}", color::lines(host, of_host)),
                false => format!("{host:<26}"),
            };
            self.line(&format!("{host} : {}", cells.join(" ")))?;
        }
        self.line("")?;
        if self.verbosity.stats && !self.stats.is_empty() {
            self.banner("CUSTOM STATS: ")?;
            let lines = self.stats.lines();
            lines.iter().try_for_each(|line| self.line(line))?;
            self.line("")?;
        }
        if self.preview && self.verbosity.marks_checks {
            self.banner("DRY RUN")?;
        }
        Ok(())
    }
}
