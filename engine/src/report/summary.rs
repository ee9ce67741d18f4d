//! The end of a run: what a person reads, and the verdict that becomes the exit status.

use std::fmt::Write as _;

use super::text::count;
use crate::diagnostic::Paint;
use crate::event::Recap;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every host is as it should be, and nothing was to be done.
    Ok,
    /// Something was changed; in a preview: something would be, or can't be known yet.
    Changed,
    /// A task failed.
    Failed,
    /// A host could not be reached.
    Unreachable,
    /// It was ended from outside.
    Cancelled,
    /// It was ended by a mistake in the playbook.
    Aborted,
}

impl Verdict {
    /// The verdict on a run; the worst counts.
    pub fn of(recap: &[(String, Recap)], cancelled: bool) -> Self {
        let any = |what: fn(&Recap) -> u64| recap.iter().any(|(_, recap)| what(recap) > 0);
        if cancelled {
            Self::Cancelled
        } else if any(|recap| recap.unreachable.saturating_sub(recap.cleared)) {
            Self::Unreachable
        } else if any(|recap| {
            recap.failed_with_others + (recap.failed + recap.unreachable).saturating_sub(recap.cleared)
        }) {
            Self::Failed
        } else if any(|recap| recap.changed + recap.unknown) {
            Self::Changed
        } else {
            Self::Ok
        }
    }

    /// Ansible's exit status for it.
    pub fn code(self) -> u8 {
        match self {
            Self::Ok | Self::Changed => 0,
            Self::Failed => 2,
            Self::Unreachable => 4,
            Self::Cancelled => 99,
            Self::Aborted => 1,
        }
    }
}

/// `Plan: 12 to change, 5 known later, 20 ok on 3 hosts. Nothing was changed.`
pub fn plan(recap: &[(String, Recap)], paint: Paint) -> String {
    let sum = |what: fn(&Recap) -> u64| recap.iter().map(|(_, recap)| what(recap)).sum::<u64>();
    let (change, unknown) = (sum(|recap| recap.changed), sum(|recap| recap.unknown));
    let mut parts = Vec::new();
    match change {
        0 if unknown == 0 => parts.push("nothing to change".to_owned()),
        _ => parts.push(paint.wrap(YELLOW, &format!("{change} to change"))),
    }
    let mut add = |number: u64, color, what: &str| {
        if number > 0 {
            parts.push(paint.wrap(color, &format!("{number} {what}")));
        }
    };
    add(unknown, CYAN, "known later");
    add(sum(|recap| recap.ok.saturating_sub(recap.changed)), GREEN, "ok");
    add(sum(|recap| recap.skipped), "2", "skipped");
    add(sum(|recap| recap.failed), RED, "failed");
    add(sum(|recap| recap.unreachable), RED, "unreachable");
    let hosts = count(recap.len() as u64, "host");
    let end = match sum(|recap| recap.ran) {
        0 => "Nothing was changed.".to_owned(),
        ran => paint.wrap(RED, &format!("Ran all the same: {} (`check_mode: false`).", count(ran, "task"))),
    };
    format!("Plan: {} on {hosts}. {end}\n", parts.join(", "))
}

/// Ansible's table, column for column, so that whatever reads it goes on reading it.
pub fn recap(recap: &[(String, Recap)], paint: Paint) -> String {
    let mut out = format!("{}\n", paint.wrap("1", "PLAY RECAP"));
    for (host, recap) in recap {
        let color = match recap {
            recap if recap.failed + recap.unreachable > 0 => RED,
            recap if recap.changed > 0 => YELLOW,
            _ => GREEN,
        };
        // Padded before it is coloured: escape sequences have no width.
        _ = write!(out, "{} :", paint.wrap(color, &format!("{host:<26}")));
        for (name, number, color) in columns(recap) {
            let cell = format!("{name}={number:<4}");
            _ = write!(out, " {}", if number > 0 { paint.wrap(color, &cell) } else { cell });
        }
        out.truncate(out.trim_end().len());
        out.push('\n');
    }
    out
}

fn columns(recap: &Recap) -> [(&'static str, u64, &'static str); 7] {
    [
        ("ok", recap.ok, GREEN),
        ("changed", recap.changed, YELLOW),
        ("unreachable", recap.unreachable, RED),
        ("failed", recap.failed, RED),
        ("skipped", recap.skipped, CYAN),
        ("rescued", recap.rescued, YELLOW),
        ("ignored", recap.ignored, YELLOW),
    ]
}

const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const CYAN: &str = "36";

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn hosts(recaps: &[Recap]) -> Vec<(String, Recap)> {
        recaps.iter().enumerate().map(|(at, recap)| (format!("h{}", at + 1), *recap)).collect()
    }

    #[test]
    fn the_worst_decides() {
        let ok = Recap { ok: 3, ..Recap::default() };
        let changed = Recap { ok: 3, changed: 1, ..Recap::default() };
        let unknown = Recap { ok: 3, unknown: 1, ..Recap::default() };
        let failed = Recap { failed: 1, ..Recap::default() };
        let ignored = Recap { ok: 1, ignored: 1, rescued: 1, ..Recap::default() };
        let lost = Recap { unreachable: 1, ..Recap::default() };
        let table: [(&[Recap], bool, Verdict, u8); 8] = [
            (&[], false, Verdict::Ok, 0),
            (&[ok, ignored], false, Verdict::Ok, 0),
            (&[ok, changed], false, Verdict::Changed, 0),
            (&[unknown], false, Verdict::Changed, 0),
            (&[changed, failed], false, Verdict::Failed, 2),
            (&[failed, lost], false, Verdict::Unreachable, 4),
            (&[lost], false, Verdict::Unreachable, 4),
            (&[failed, lost], true, Verdict::Cancelled, 99),
        ];
        for (recaps, cancelled, wanted, code) in table {
            let verdict = Verdict::of(&hosts(recaps), cancelled);
            assert_eq!((verdict, verdict.code()), (wanted, code), "{recaps:?}");
        }
    }

    #[test]
    fn plans() {
        let pending = Recap { ok: 14, changed: 8, unknown: 3, skipped: 1, ..Recap::default() };
        let fine = Recap { ok: 17, ..Recap::default() };
        let bad = Recap { ok: 1, failed: 1, unreachable: 1, ..Recap::default() };
        assert_snapshot!(plan(&hosts(&[pending, fine]), Paint::Plain), @"Plan: 8 to change, 3 known later, 23 ok, 1 skipped on 2 hosts. Nothing was changed.");
        assert_snapshot!(plan(&hosts(&[fine]), Paint::Plain), @"Plan: nothing to change, 17 ok on 1 host. Nothing was changed.");
        assert_snapshot!(plan(&hosts(&[bad]), Paint::Plain), @"Plan: nothing to change, 1 ok, 1 failed, 1 unreachable on 1 host. Nothing was changed.");
    }

    #[test]
    fn the_recap_is_as_ansible_prints_it() {
        let changed = Recap { ok: 12, changed: 3, skipped: 1, ..Recap::default() };
        assert_snapshot!(recap(&hosts(&[changed, Recap { unreachable: 1, ..Recap::default() }]), Paint::Plain), @r"
        PLAY RECAP
        h1                         : ok=12   changed=3    unreachable=0    failed=0    skipped=1    rescued=0    ignored=0
        h2                         : ok=0    changed=0    unreachable=1    failed=0    skipped=0    rescued=0    ignored=0
        ");
    }
}
