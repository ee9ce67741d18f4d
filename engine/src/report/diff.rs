//! What changes, as text: content as a unified diff, everything else as `aspect: before → after`.

use std::fmt::Write as _;
use std::time::Duration;

use similar::{ChangeTag, TextDiff};
use trueup_modules::edit::{Diff, Shown};
use trueup_modules::host::Why;
use trueup_modules::secret::REDACTED;

use super::text::{bytes, indent, printable};
use crate::diagnostic::Paint;

const RED: &str = "31";
const GREEN: &str = "32";
const CYAN: &str = "36";
const BOLD: &str = "1";

/// After this long a diff is as short as it has become; two texts of 256 KiB without a common line would take minutes.
const PATIENCE: Duration = Duration::from_millis(500);

/// The diffs, what concerns one subject together. `why` says what has to be done before the unknown is known.
///
/// What is unknown on both sides says nothing, so it is left out if there is anything else to say.
pub fn render(diffs: &[Diff], why: Option<&Why>, paint: Paint) -> String {
    let shower = Shower { why, paint };
    let mut telling: Vec<&Diff> = diffs.iter().filter(|diff| !is_unknown(diff)).collect();
    if telling.is_empty() {
        telling = diffs.iter().collect();
    }
    telling.chunk_by(|a, b| a.subject == b.subject).map(|diffs| shower.subject(diffs)).collect()
}

struct Shower<'a> {
    why: Option<&'a Why>,
    paint: Paint,
}

impl Shower<'_> {
    /// All that changes of one thing. Lines come before content, where they could be taken for a part of it.
    fn subject(&self, diffs: &[&Diff]) -> String {
        let (long, short): (Vec<&Diff>, Vec<&Diff>) = diffs.iter().partition(|diff| is_long(diff));
        let name = self.paint.wrap(BOLD, &printable(&diffs[0].subject));
        let mut out = String::new();
        match short.as_slice() {
            [] => {}
            [diff] => _ = writeln!(out, "{name}  {}", self.line(diff)),
            several => {
                _ = writeln!(out, "{name}");
                several.iter().for_each(|diff| _ = writeln!(out, "  {}", self.line(diff)));
            }
        }
        long.into_iter().for_each(|diff| out.push_str(&self.unified(diff)));
        out
    }

    /// `mode: 0644 → 0600`.
    fn line(&self, diff: &Diff) -> String {
        let aspect = printable(&diff.aspect);
        if is_unknown(diff) {
            return format!("{aspect}: {}", self.unknown());
        }
        let before = match (&diff.before, &diff.after) {
            (Shown::Unknown, Shown::Absent) => "(if any)".to_owned(),
            (before, _) => self.value(before),
        };
        let after = self.value(&diff.after);
        format!("{aspect}: {} → {}", self.paint.wrap(RED, &before), self.paint.wrap(GREEN, &after))
    }

    fn value(&self, shown: &Shown) -> String {
        match shown {
            Shown::Absent => "(absent)".to_owned(),
            Shown::Unknown => self.unknown(),
            Shown::Redacted => REDACTED.to_owned(),
            Shown::Opaque { bytes: size } => format!("({})", bytes(*size)),
            Shown::Plain(text) if text.contains('\n') => format!("({} lines)", text.lines().count()),
            Shown::Plain(text) if text.is_empty() => "(empty)".to_owned(),
            Shown::Plain(text) => printable(text).into_owned(),
        }
    }

    fn unknown(&self) -> String {
        self.why.map_or_else(|| "(known after apply)".to_owned(), |why| printable(&format!("({why})")).into_owned())
    }

    /// A unified diff with the subject on both sides.
    fn unified(&self, diff: &Diff) -> String {
        let mut out = String::new();
        let name = |side: &Shown| {
            let aspect = if diff.aspect == "content" { String::new() } else { format!(" {}", diff.aspect) };
            let state = match side {
                Shown::Absent => " (absent)".to_owned(),
                Shown::Unknown => format!(" {}", self.unknown()),
                _ => String::new(),
            };
            printable(&format!("{}{aspect}{state}", diff.subject)).into_owned()
        };
        _ = writeln!(out, "{}", self.paint.wrap(BOLD, &format!("--- {}", name(&diff.before))));
        _ = writeln!(out, "{}", self.paint.wrap(BOLD, &format!("+++ {}", name(&diff.after))));
        match (&diff.before, &diff.after) {
            (Shown::Unknown, Shown::Plain(after)) => self.whole(&mut out, after),
            (before, after) => self.hunks(&mut out, text(before), text(after)),
        }
        out
    }

    /// A content of which it can't be known what in it is new.
    fn whole(&self, out: &mut String, after: &str) {
        _ = writeln!(out, "{}", self.paint.wrap(CYAN, "@@ all of it @@"));
        out.push_str(&indent(&printable(after), " "));
    }

    fn hunks(&self, out: &mut String, before: &str, after: &str) {
        let diff = TextDiff::configure().timeout(PATIENCE).diff_lines(before, after);
        for hunk in diff.unified_diff().context_radius(3).iter_hunks() {
            _ = writeln!(out, "{}", self.paint.wrap(CYAN, &hunk.header().to_string()));
            for change in hunk.iter_changes() {
                let (sign, color) = match change.tag() {
                    ChangeTag::Delete => ("-", Some(RED)),
                    ChangeTag::Insert => ("+", Some(GREEN)),
                    ChangeTag::Equal => (" ", None),
                };
                let line = format!("{sign}{}", printable(change.value().trim_end_matches('\n')));
                _ = writeln!(out, "{}", color.map_or(line.clone(), |color| self.paint.wrap(color, &line)));
                if change.missing_newline() {
                    _ = writeln!(out, "\\ no newline at the end");
                }
            }
        }
    }
}

/// Whether neither side is known.
fn is_unknown(diff: &Diff) -> bool {
    (&diff.before, &diff.after) == (&Shown::Unknown, &Shown::Unknown)
}

/// Whether this needs more than a line: content that may be shown, or a value of several lines.
fn is_long(diff: &Diff) -> bool {
    let texts = [&diff.before, &diff.after];
    let several = texts.iter().any(|side| matches!(side, Shown::Plain(text) if text.contains('\n')));
    let showable = matches!(
        (&diff.before, &diff.after),
        (Shown::Plain(_) | Shown::Absent, Shown::Plain(_) | Shown::Absent) | (Shown::Unknown, Shown::Plain(_))
    );
    showable && (several || diff.aspect == "content") && texts.iter().any(|side| !text(side).is_empty())
}

fn text(shown: &Shown) -> &str {
    match shown {
        Shown::Plain(text) => text,
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn plain(diffs: &[Diff]) -> String {
        render(diffs, None, Paint::Plain)
    }

    #[test]
    fn small_values_take_a_line() {
        let why = Why { after: "Install PostgreSQL".into() };
        let diffs = [
            Diff::new("package postgresql", "state", Shown::Absent, "installed"),
            Diff::new("/etc/x", "mode", "0644", "0600"),
            Diff::new("/etc/x", "owner", "root", "postgres"),
            Diff::new("/root/.pgpass", "content", Shown::Absent, Shown::Redacted),
            Diff::new("/bin/x", "content", Shown::Opaque { bytes: 5 << 20 }, Shown::Opaque { bytes: 6 << 20 }),
            Diff::new("unit x.service", "active", Shown::Unknown, "active"),
            Diff::new("/empty", "content", Shown::Absent, ""),
            Diff::new("/c", "content", "two\nlines\n", Shown::Unknown),
        ];
        assert_snapshot!(render(&diffs, Some(&why), Paint::Plain), @r"
        package postgresql  state: (absent) → installed
        /etc/x
          mode: 0644 → 0600
          owner: root → postgres
        /root/.pgpass  content: (absent) → «redacted»
        /bin/x  content: (5.0 MiB) → (6.0 MiB)
        unit x.service  active: (known after Install PostgreSQL) → active
        /empty  content: (absent) → (empty)
        /c  content: (2 lines) → (known after Install PostgreSQL)
        ");
    }

    #[test]
    fn what_is_not_known_is_said_only_where_there_is_nothing_else() {
        let why = Why { after: "Install".into() };
        let size = Diff::new("cluster /data", "size", Shown::Unknown, Shown::Unknown);
        let gone = Diff::new("setting x", "value", Shown::Unknown, Shown::Absent);
        assert_snapshot!(render(&[size.clone(), gone], Some(&why), Paint::Plain), @"setting x  value: (if any) → (absent)");
        assert_snapshot!(render(&[size], Some(&why), Paint::Plain), @"cluster /data  size: (known after Install)");
    }

    #[test]
    fn content_is_a_unified_diff() {
        let diffs = [
            Diff::new("/etc/x", "content", "a\nb\nc\nd\ne\n", "a\nb\nc\nd\r\ne"),
            Diff::new("/etc/x", "mode", "0644", "0600"),
            Diff::new("/etc/y", "content", Shown::Absent, "new\n"),
            Diff::new("/etc/z", "content", Shown::Unknown, "evil \x1b[2J\n"),
            Diff::new("/etc/gone", "content", "old\n", Shown::Absent),
        ];
        assert_snapshot!(plain(&diffs), @r"
        /etc/x  mode: 0644 → 0600
        --- /etc/x
        +++ /etc/x
        @@ -1,5 +1,5 @@
         a
         b
         c
        -d
        -e
        +d␍
        +e
        \ no newline at the end
        --- /etc/y (absent)
        +++ /etc/y
        @@ -0,0 +1 @@
        +new
        --- /etc/z (known after apply)
        +++ /etc/z
        @@ all of it @@
         evil ␛[2J
        --- /etc/gone
        +++ /etc/gone (absent)
        @@ -1 +0,0 @@
        -old
        ");
    }

    #[test]
    fn colours_wrap_whole_lines() {
        let shown = render(&[Diff::new("/x", "content", "a\n", "b\n")], None, Paint::Ansi);
        assert!(shown.contains("\x1b[31m-a\x1b[0m\n\x1b[32m+b\x1b[0m\n"), "{shown:?}");
    }
}
