//! How the result of a task on a host looks.

use std::fmt::Write as _;

use trueup_modules::host::Why;

use super::diff;
use super::human::{Detail, Diffs, View};
use super::text::{indent, printable};
use crate::event::{Status, TaskResult};

const DIM: &str = "2";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const CYAN: &str = "36";

/// What a look depends on.
#[derive(Clone, Copy)]
pub(super) struct Look {
    pub(super) view: View,
    pub(super) preview: bool,
}

impl Look {
    /// How it ended, in a word or two.
    pub(super) fn label(self, status: &Status) -> String {
        let paint = self.view.paint;
        match status {
            Status::Ok => paint.wrap(GREEN, "ok"),
            Status::Changed => paint.wrap(YELLOW, "changed"),
            Status::Would => paint.wrap(YELLOW, "would change"),
            Status::Unknown(why) => paint.wrap(CYAN, &format!("unknown ({})", printable(&why.to_string()))),
            Status::Skipped { because } => paint.wrap(DIM, &format!("skipped ({})", printable(because))),
            Status::Failed { ignored: true, .. } => paint.wrap(YELLOW, "failed (ignored)"),
            Status::Failed { ignored: false, .. } => paint.wrap("1;31", "FAILED"),
            Status::Unreachable { .. } => paint.wrap(YELLOW, "unreachable (ignored)"),
        }
    }

    /// All below the line with the hosts.
    pub(super) fn body(self, result: &TaskResult) -> String {
        let paint = self.view.paint;
        let mut out = String::new();
        if let Status::Failed { error, hint, explanation, .. } = &result.status {
            _ = writeln!(out, "{}", printable(error));
            if let Some(explanation) = explanation {
                out.push_str(&indent(&printable(explanation), &paint.wrap(DIM, "| ")));
            }
            if let Some(hint) = hint {
                _ = writeln!(out, "{}: {}", paint.wrap(CYAN, "hint"), printable(hint));
            }
        }
        if let Status::Unreachable { reason, hints } = &result.status {
            _ = writeln!(out, "{}", printable(reason));
            for hint in hints {
                _ = writeln!(out, "{}: {}", paint.wrap(CYAN, "hint"), printable(hint));
            }
        }
        if self.preview || self.view.diffs == Diffs::Always {
            out.push_str(&diff::render(&result.diffs, why(result), paint));
        }
        for warning in &result.warnings {
            _ = writeln!(out, "{}: {}", paint.wrap(YELLOW, "warning"), printable(warning));
        }
        if is_message(result) || self.view.detail == Detail::Full {
            result.data.iter().for_each(|(name, value)| datum(&mut out, name, value));
        }
        out
    }
}

/// `debug` is there to be read.
pub(super) fn is_message(result: &TaskResult) -> bool {
    result.task.module == "debug" && !result.data.is_empty()
}

fn why(result: &TaskResult) -> Option<&Why> {
    match &result.status {
        Status::Unknown(why) => Some(why),
        _ => result.conditional.as_ref(),
    }
}

/// `name: value`; a text of several lines below its name.
fn datum(out: &mut String, name: &str, value: &serde_json::Value) {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let text = printable(&text);
    if text.contains('\n') {
        _ = write!(out, "{name}:\n{}", indent(&text, "  "));
    } else {
        _ = writeln!(out, "{name}: {text}");
    }
}
