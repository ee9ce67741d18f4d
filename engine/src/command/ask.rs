//! Asking for a password on the terminal, without an echo.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use trueup_modules::secret::Secret;
use zeroize::Zeroizing;

use super::CommandError;

/// Asks once. `what` is how the prompt names it: `vault password`.
pub(super) fn password(what: &str) -> Result<Secret, CommandError> {
    let no_terminal = |_| CommandError::NoTerminal { what: what.to_owned() };
    let mut terminal = OpenOptions::new().read(true).write(true).open("/dev/tty").map_err(no_terminal)?;
    let failed = |source| CommandError::System { doing: "read from the terminal", source };
    write!(terminal, "{what}: ").map_err(failed)?;
    let quiet = Quiet::new(&terminal).map_err(failed)?;
    let mut line = Zeroizing::new(String::new());
    BufReader::new(&terminal).read_line(&mut line).map_err(failed)?;
    drop(quiet);
    writeln!(terminal).map_err(failed)?;
    Ok(Secret::new(line.trim_end_matches(['\n', '\r'])))
}

/// Asks twice, for a password that will be needed again.
pub(super) fn new_password(what: &str) -> Result<Secret, CommandError> {
    let first = password(what)?;
    let again = password(&format!("{what}, again"))?;
    if first == again { Ok(first) } else { Err(CommandError::Mismatch) }
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
