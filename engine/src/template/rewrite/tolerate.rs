//! Chains that may miss a step: `a.b.c | default(d)`.

use super::walk::{Step, Walk};

impl Walk<'_, '_> {
    /// Rewrites the steps of a chain so that a missing one yields undefined.
    pub(super) fn tolerate(&mut self, steps: &[Step]) {
        if steps.iter().any(|s| matches!(s, Step::Slice)) {
            return;
        }
        for (i, step) in steps.iter().enumerate() {
            match step {
                Step::Attribute { dot, name } => {
                    let text = &self.edits.text[name.start..name.end];
                    let key =
                        if text.starts_with(|c: char| c.is_ascii_digit()) { text.into() } else { format!("'{text}'") };
                    let insert = match steps.get(i + 1) {
                        Some(Step::Call { .. }) => format!("|__call({key},"),
                        _ => format!("|__get({key})"),
                    };
                    self.edits.replace(*dot, name.end, insert);
                }
                Step::Item { open, close } => {
                    self.edits.replace(*open, open + 1, "|__get(");
                    self.edits.replace(*close, close + 1, ")");
                }
                // The call of a method: its opening bracket is part of `__call(` already.
                Step::Call { open, .. } if i > 0 && matches!(steps[i - 1], Step::Attribute { .. }) => {
                    self.edits.replace(*open, open + 1, "");
                }
                Step::Call { open, close } if i > 0 => {
                    self.edits.replace(*open, open + 1, "|__call(none,");
                    self.edits.replace(*close, close + 1, ")");
                }
                Step::Call { .. } | Step::Slice => {}
            }
        }
    }
}
