//! The colours of Ansible's programs: each line has its own.

/// What is coloured, by the SGR code that Ansible has for it.
pub(crate) const OK: &str = "0;32";
pub(crate) const CHANGED: &str = "0;33";
pub(crate) const SKIPPED: &str = "0;36";
pub(crate) const FAILED: &str = "0;31";
pub(crate) const UNREACHABLE: &str = "1;31";
pub(crate) const WARNING: &str = "1;35";
pub(crate) const DEBUG: &str = "1;30";

/// Each line of a text between the escape sequences of a colour; what is behind the last newline is a line, too.
pub(crate) fn lines(text: &str, code: &str) -> String {
    text.split('\n').map(|line| format!("\x1b[{code}m{line}\x1b[0m")).collect::<Vec<_>>().join("\n")
}
