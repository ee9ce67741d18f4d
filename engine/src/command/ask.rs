//! Asking on the terminal: for passwords, without an echo, and for what `vars_prompt` says.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, IsTerminal, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use trueup_modules::secret::Secret;
use zeroize::Zeroizing;

use super::CommandError;
use crate::compile::Question;

/// Asks once. `what` is how the prompt names it: `vault password`.
pub(super) fn password(what: &str) -> Result<Secret, CommandError> {
    let no_terminal = |_| CommandError::NoTerminal { what: what.to_owned() };
    let mut terminal = OpenOptions::new().read(true).write(true).open("/dev/tty").map_err(no_terminal)?;
    let failed = |source| CommandError::System { doing: "read from the terminal", source };
    answer(&mut terminal, &format!("{what}: "), true).map_err(failed)
}

/// Asks twice, for a password that will be needed again.
pub(super) fn new_password(what: &str) -> Result<Secret, CommandError> {
    let first = password(what)?;
    let again = password(&format!("{what}, again"))?;
    if first == again { Ok(first) } else { Err(CommandError::Mismatch) }
}

/// Asks what `vars_prompt` says, if standard input is a terminal, as Ansible does; else nobody is taken to be there.
pub(super) fn question(question: &Question) -> Result<Option<Secret>, String> {
    if !io::stdin().is_terminal() {
        return Ok(None);
    }
    let failed = |error: io::Error| format!("failed to read from the terminal: {error}");
    let mut terminal = OpenOptions::new().read(true).write(true).open("/dev/tty").map_err(failed)?;
    loop {
        let first = answer(&mut terminal, &question.text, question.private).map_err(failed)?;
        if !question.confirm {
            return Ok(Some(first));
        }
        if first == answer(&mut terminal, &format!("again, {}", question.text), question.private).map_err(failed)? {
            return Ok(Some(first));
        }
        writeln!(terminal, "the two are not the same").map_err(failed)?;
    }
}

/// A line from the terminal, without its end.
fn answer(terminal: &mut File, text: &str, private: bool) -> io::Result<Secret> {
    write!(terminal, "{text}")?;
    let quiet = private.then(|| Quiet::new(terminal)).transpose()?;
    let mut line = Zeroizing::new(String::new());
    if BufReader::new(&*terminal).read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    drop(quiet);
    if private {
        writeln!(terminal)?;
    }
    Ok(Secret::new(line.trim_end_matches(['\n', '\r'])))
}

/// A terminal that does not echo until this is dropped.
struct Quiet<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Quiet<'a> {
    fn new(terminal: &'a File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(terminal, OptionalActions::Flush, &silent)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        // The terminal is gone if this fails, and with it whoever could see an echo.
        _ = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
    }
}
