//! Touching a host. Only the interpreter calls these; no module ever holds a [`System`].

use std::path::Path;
use std::time::Duration;

use crate::edit::{Blob, Owner, Text};
use crate::host::{Command, Host, Look, Output};
use crate::sql::{PgConn, Rows, SqlArg};

/// What the interpreter may do.
pub trait System: Host {
    /// Puts a file in place atomically: a temporary file beside it, permissions, owner, security label, sync, rename.
    /// What is not given is taken from the file that is replaced.
    fn write(&mut self, path: &Path, content: &Text, mode: Option<u32>, owner: &Owner) -> Look<()>;
    /// The same with content that comes in pieces, the last one empty; none of it is kept if its hash is another.
    fn write_pieces(
        &mut self,
        path: &Path,
        content: &Blob,
        pieces: &mut Pieces<'_>,
        mode: Option<u32>,
        owner: &Owner,
    ) -> Look<()>;
    /// The same with content that the controller announced.
    fn place(&mut self, path: &Path, content: &Blob, mode: Option<u32>, owner: &Owner) -> Look<()> {
        let mut whole = Some(self.blob(&content.sha256)?);
        self.write_pieces(path, content, &mut || Ok(whole.take().unwrap_or_default()), mode, owner)
    }
    /// Sets permission bits; of a link's target never.
    fn set_mode(&mut self, path: &Path, mode: u32) -> Look<()>;
    /// Sets owner and group, of a link the link's own.
    fn set_owner(&mut self, path: &Path, owner: &Owner) -> Look<()>;
    /// Makes one directory.
    fn make_dir(&mut self, path: &Path, mode: u32) -> Look<()>;
    /// Makes a symbolic link, atomically in the place of another.
    fn link(&mut self, path: &Path, target: &Path) -> Look<()>;
    /// Removes a file, a link, or a whole directory.
    fn remove(&mut self, path: &Path) -> Look<()>;
    /// Renames; fails if there is something at `to`.
    fn rename(&mut self, from: &Path, to: &Path) -> Look<()>;
    /// Runs a program in a process group of its own, handing on each line that it prints (ended by `\n` or `\r`).
    fn run(&mut self, command: &Command, line: &mut dyn FnMut(Stream, &str)) -> Look<Output>;
    /// Lets time pass; ends early if the task is cancelled.
    fn pause(&mut self, time: Duration) -> Look<()>;
    /// What is done from now on must end within that time, else it is [`Error::Cancelled`](crate::error::Error::Cancelled);
    /// `None` lifts the limit. Only programs and pauses are held to it.
    fn limit(&mut self, _time: Option<Duration>) -> Look<()> {
        Ok(())
    }
    /// Executes a statement, in a transaction unless `autocommit`.
    fn execute_sql(&mut self, at: &PgConn, statement: &str, args: &[SqlArg], autocommit: bool) -> Look<Rows>;
}

/// Yields the next piece of some content; an empty one is the end.
pub type Pieces<'a> = dyn FnMut() -> Look<Vec<u8>> + 'a;

/// Where a line was printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}
