//! File modes: the one parameter whose meaning depends on how its digits were written.

use super::node::{Node, Scalar, Style};
use super::scalar::Plain;
use crate::diagnostic::Diagnostic;

impl Node {
    /// A file mode as text: `0644`, `"644"` and `u=rw,g=r` as written; a template or a special word, too. A bare `644`
    /// is an error, because YAML makes the decimal number of it that nobody means (Ansible then sets `1204`).
    pub fn file_mode(&self) -> Result<String, Diagnostic> {
        let wrong = |why: String| Diagnostic::error(why).at(&self.span);
        let Some(scalar) = self.as_scalar() else {
            return Err(wrong(format!("a mode must be a text, and this is {}", self.describe())));
        };
        match (scalar.style, scalar.resolve()) {
            (Style::Plain, Plain::Int(n)) if !is_octal(scalar) => Err(wrong(format!("the mode `{n}` is not octal"))
                .hint(format!("write `\"0{}\"`: without a 0 in front, YAML reads a decimal number", scalar.text))),
            (Style::Plain, Plain::Null | Plain::Bool(_) | Plain::Float(_)) => {
                Err(wrong(format!("a mode must be a text, and this is {}", self.describe())))
            }
            _ => Ok(scalar.text.clone()),
        }
    }
}

fn is_octal(scalar: &Scalar) -> bool {
    scalar.text.starts_with('0') && scalar.text.bytes().all(|byte| (b'0'..=b'7').contains(&byte))
}
