//! What the commands that run nothing have to say, and whether it may have colours.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use super::ansible::{self, color};
use crate::diagnostic::{Diagnostics, Paint, Severity};

/// When there are colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Color {
    /// The paint for standard output.
    pub fn for_output(self) -> Paint {
        self.paint(io::stdout().is_terminal())
    }

    /// The paint for standard error.
    pub fn for_errors(self) -> Paint {
        self.paint(io::stderr().is_terminal())
    }

    fn paint(self, terminal: bool) -> Paint {
        let wanted = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        match self {
            Self::Always => Paint::Ansi,
            Self::Auto if wanted && is_capable(terminal) => Paint::Ansi,
            Self::Auto | Self::Never => Paint::Plain,
        }
    }
}

/// Whether a stream is a terminal that knows escape sequences.
pub fn is_capable(terminal: bool) -> bool {
    terminal && env::var_os("TERM").is_some_and(|name| name != "dumb")
}

/// Data, to standard output.
pub fn data(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// Whether what is said here is said in Ansible's form: Trueup was called by the name of one of its programs.
static AS_ANSIBLE: AtomicBool = AtomicBool::new(false);

/// From now on, errors and warnings have the form that Ansible gives them.
pub fn speak_as_ansible() {
    AS_ANSIBLE.store(true, Ordering::Relaxed);
}

/// Errors and warnings about what the user wrote, to standard error.
pub fn diagnostics(diagnostics: &Diagnostics, paint: Paint) {
    if AS_ANSIBLE.load(Ordering::Relaxed) {
        for (severity, text) in ansible::diagnostic::rendered(diagnostics) {
            let code = if severity == Severity::Error { color::FAILED } else { color::WARNING };
            say_in(&text, code);
        }
    } else if !diagnostics.is_empty() {
        say(&diagnostics.render(paint));
    }
}

/// A word to the user in Ansible's form and colours, to standard error.
pub fn say_in(text: &str, code: &str) {
    match ansible_paints() {
        true => say(&format!("{}\n", color::lines(text.trim_end_matches('\n'), code))),
        false => say(text),
    }
}

/// Whether Ansible's programs print colours: on a terminal, unless that is switched off or it is asked for anyway.
pub fn ansible_paints() -> bool {
    let on = |name: &str| env::var(name).is_ok_and(|value| trueup_modules::param::truth(&value) == Some(true));
    let off = || on("ANSIBLE_NOCOLOR") || env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    on("ANSIBLE_FORCE_COLOR") || (!off() && is_capable(io::stdout().is_terminal()))
}

/// An error that has no place in a file, to standard error.
pub fn error(message: &str, hint: Option<&str>, paint: Paint) {
    if AS_ANSIBLE.load(Ordering::Relaxed) {
        let hint = hint.map(|hint| format!("Hint: {hint}\n")).unwrap_or_default();
        return say_in(&format!("[ERROR]: {message}\n{hint}"), color::FAILED);
    }
    let mut text = format!("{}: {message}\n", paint.wrap("1;31", "error"));
    if let Some(hint) = hint {
        text.push_str(&format!("{}: {hint}\n", paint.wrap("36", "hint")));
    }
    say(&text);
}

/// A word to the user, to standard error.
pub fn say(text: &str) {
    // If nobody reads standard error, there is nobody to tell.
    _ = io::stderr().write_all(text.as_bytes());
}
