//! The closed set of things that can be done to a host, and how each is shown.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::facts::Fact;
use crate::host::{Command, Kind, Stat};
use crate::sql::{PgConn, SqlArg};
use crate::wait::Wait;

/// One thing to do. Carries what was seen (`before`): the interpreter looks again and refuses if that has changed.
#[derive(Clone, Debug, PartialEq)]
pub enum Edit {
    /// Put a file in place, atomically.
    Write {
        /// Absolute, with symbolic links already resolved.
        path: PathBuf,
        /// The content that was seen; `None` if there was no file.
        before: Option<Text>,
        /// The content to be.
        after: Text,
        /// Permission bits; those of the file that is replaced if `None`, else `0o644` (`0o600` for a secret).
        mode: Option<u32>,
        /// Owner and group; those of the file that is replaced if absent.
        owner: Owner,
    },
    /// Put a file in place, atomically, whose content the controller has: it comes as it is written and is never held
    /// whole, so that its size does not matter.
    Place {
        /// Absolute, with symbolic links already resolved.
        path: PathBuf,
        /// The file that was seen; `None` if there was none.
        before: Option<Stat>,
        /// The content to be.
        after: Blob,
        /// As for [`Edit::Write`].
        mode: Option<u32>,
        /// As for [`Edit::Write`].
        owner: Owner,
    },
    /// Change permission bits.
    Mode {
        /// Of what.
        path: PathBuf,
        /// Seen.
        before: u32,
        /// Wanted.
        after: u32,
    },
    /// Change owner or group.
    Owner {
        /// Of what.
        path: PathBuf,
        /// Seen: names where they have one.
        before: Owner,
        /// Wanted; an absent part stays as it is.
        after: Owner,
    },
    /// Make one directory; its parent exists.
    Dir {
        /// Where.
        path: PathBuf,
        /// Permission bits; `0o755` if `None`.
        mode: Option<u32>,
        /// Owner and group.
        owner: Owner,
    },
    /// Make a symbolic link, replacing one that points elsewhere.
    Link {
        /// Where.
        path: PathBuf,
        /// Where the link seen there pointed; `None` if there was none.
        before: Option<PathBuf>,
        /// Where it shall point, as written.
        after: PathBuf,
    },
    /// Move a file or directory within its filesystem. Nothing may be at `to`.
    Rename {
        /// From.
        from: PathBuf,
        /// To.
        to: PathBuf,
    },
    /// Remove a file, a link, or a directory with all that is in it.
    Remove {
        /// What.
        path: PathBuf,
        /// What was seen there.
        before: Kind,
    },
    /// Run a program. The effect is a claim; planning again after applying catches one that lies.
    Run {
        /// The program.
        command: Command,
        /// What it will have changed. Nothing: see [`Edit::is_upkeep`].
        effect: Vec<Diff>,
        /// What will be true then.
        makes: Vec<Fact>,
        /// Whether that is all that changes.
        reach: Reach,
        /// Reads how far it is from a line that it prints.
        progress: Option<Meter>,
    },
    /// Execute a statement.
    Sql {
        /// Where.
        at: PgConn,
        /// The statement, with `$1` for parameters.
        statement: String,
        /// The parameters.
        args: Vec<SqlArg>,
        /// Outside a transaction block, for statements that cannot run in one.
        autocommit: bool,
        /// Whether it changes only what is in the server; functions can change anything.
        reach: Reach,
        /// What it will have changed.
        effect: Vec<Diff>,
    },
    /// Let time pass until something is so. The only one that changes nothing.
    Wait(Wait),
    /// Remove a file that the program itself keeps on the host. That changes nothing of the host.
    Forget(PathBuf),
}

/// How much of a host a command or statement may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Only what its edit states in `makes`.
    Stated,
    /// What is in a database server: what servers are asked afterwards in a preview is known only conditionally.
    Server,
    /// Anything: what is looked at afterwards in a preview is known only conditionally.
    Anything,
}

/// Programs whose progress we can read from what they print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meter {
    /// `pg_basebackup --progress`: `  7173/23040 kB (31%), 0/1 tablespace`.
    PgBasebackup,
}

impl Meter {
    /// How far the program is, if the line says so.
    pub fn read(self, line: &str) -> Option<Progress> {
        let Self::PgBasebackup = self;
        let (counts, _) = line.trim_start().split_once(" kB")?;
        let (done, total) = counts.split_once('/')?;
        let bytes = |kib: &str| kib.parse::<u64>().ok()?.checked_mul(1024);
        Some(Progress { done: bytes(done)?, total: bytes(total) })
    }
}

/// How far a program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Bytes done.
    pub done: u64,
    /// Bytes in all, where known.
    pub total: Option<u64>,
}

/// Content that the controller has announced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blob {
    /// Its SHA-256 in hexadecimal.
    pub sha256: String,
    /// Its size in bytes.
    pub size: u64,
    /// Whether it must have reached the disk before it takes its place. Not one file of many: the next run would find
    /// what a power failure has taken.
    pub durable: bool,
}

/// The content of a file.
#[derive(Clone, PartialEq, Eq)]
pub struct Text {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Never to be shown; nor is the old content that it replaces.
    pub secret: bool,
}

impl Text {
    /// Content that may be shown.
    pub fn plain(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into(), secret: false }
    }
    /// Content that may not.
    pub fn secret(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into(), secret: true }
    }
}

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.secret {
            f.write_str(crate::secret::REDACTED)
        } else {
            write!(f, "{:?}", String::from_utf8_lossy(&self.bytes))
        }
    }
}

/// An owner and a group, by name or number; an absent one is left as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// A login name or a number.
    pub user: Option<String>,
    /// A group's name or a number.
    pub group: Option<String>,
}

/// One aspect of one thing, before and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diff {
    /// What changes: a path, `package postgresql`, `unit nginx.service`, `role replicator`.
    pub subject: String,
    /// Which side of it: `content`, `mode`, `state`.
    pub aspect: String,
    /// Seen.
    pub before: Shown,
    /// To be.
    pub after: Shown,
}

/// A value as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shown {
    /// There is none.
    Absent,
    /// Not known before an earlier task has run.
    Unknown,
    /// Secret.
    Redacted,
    /// Not text, or too long.
    Opaque {
        /// Its size.
        bytes: u64,
    },
    /// Text.
    Plain(String),
}

/// The longest content that a diff carries: 256 KiB.
pub(crate) const MAX_SHOWN: usize = 256 << 10;

impl From<&Text> for Shown {
    fn from(text: &Text) -> Self {
        if text.secret {
            return Self::Redacted;
        }
        match std::str::from_utf8(&text.bytes) {
            Ok(plain) if plain.len() <= MAX_SHOWN && !plain.contains('\0') => Self::Plain(plain.into()),
            _ => Self::Opaque { bytes: text.bytes.len() as u64 },
        }
    }
}

impl Diff {
    /// A diff of two plain values.
    pub fn new(subject: impl Into<String>, aspect: &str, before: impl Into<Shown>, after: impl Into<Shown>) -> Self {
        Self { subject: subject.into(), aspect: aspect.into(), before: before.into(), after: after.into() }
    }
}

impl From<&str> for Shown {
    fn from(text: &str) -> Self {
        Self::Plain(text.into())
    }
}

impl From<String> for Shown {
    fn from(text: String) -> Self {
        Self::Plain(text)
    }
}

/// `None` is [`Shown::Absent`].
impl<T: Into<Shown>> From<Option<T>> for Shown {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Absent, Into::into)
    }
}

impl Edit {
    /// A program that makes no [`Fact`] and tells of no progress.
    pub fn run(command: Command, effect: Vec<Diff>, reach: Reach) -> Self {
        Self::Run { command, effect, makes: Vec::new(), reach, progress: None }
    }

    /// Whether it is a program that is said to change nothing: one that checks, or that looks again at what it keeps in mind.
    /// Planning again may find it again.
    pub fn is_upkeep(&self) -> bool {
        matches!(self, Self::Run { effect, .. } if effect.is_empty())
    }

    /// What this changes, as it may be shown.
    pub fn diffs(&self) -> Vec<Diff> {
        match self {
            Self::Write { path, before, after, mode, owner } => write_diffs(path, before.as_ref(), after, *mode, owner),
            Self::Place { path, before, after, mode, owner } => {
                let before = before.as_ref().map(|stat| Shown::Opaque { bytes: stat.size });
                content_diffs(path, before, Shown::Opaque { bytes: after.size }, *mode, owner)
            }
            Self::Mode { path, before, after } => vec![Diff::new(show(path), "mode", octal(*before), octal(*after))],
            Self::Owner { path, before, after } => owner_diffs(path, before, after),
            Self::Dir { path, mode, owner } => {
                let mut diffs = vec![Diff::new(show(path), "state", Shown::Absent, "directory")];
                diffs.extend(mode.map(|mode| Diff::new(show(path), "mode", Shown::Absent, octal(mode))));
                diffs.extend(owner_diffs(path, &Owner::default(), owner));
                diffs
            }
            Self::Link { path, before, after } => {
                vec![Diff::new(show(path), "link", before.as_ref().map(show), show(after))]
            }
            Self::Rename { from, to } => vec![Diff::new(show(from), "path", show(from), show(to))],
            Self::Remove { path, before } => vec![Diff::new(show(path), "state", kind(before), Shown::Absent)],
            Self::Run { effect, .. } | Self::Sql { effect, .. } => effect.clone(),
            Self::Wait(_) | Self::Forget(_) => Vec::new(),
        }
    }
}

fn write_diffs(
    path: &std::path::Path,
    before: Option<&Text>,
    after: &Text,
    mode: Option<u32>,
    owner: &Owner,
) -> Vec<Diff> {
    // A secret's old content is secret too.
    let before = before.map(|text| if after.secret { Shown::Redacted } else { Shown::from(text) });
    content_diffs(path, before, Shown::from(after), mode, owner)
}

fn content_diffs(
    path: &std::path::Path,
    before: Option<Shown>,
    after: Shown,
    mode: Option<u32>,
    owner: &Owner,
) -> Vec<Diff> {
    let new = before.is_none();
    let mut diffs = vec![Diff::new(show(path), "content", before, after)];
    if new {
        diffs.extend(mode.map(|mode| Diff::new(show(path), "mode", Shown::Absent, octal(mode))));
        diffs.extend(owner_diffs(path, &Owner::default(), owner));
    }
    diffs
}

fn owner_diffs(path: &std::path::Path, before: &Owner, after: &Owner) -> Vec<Diff> {
    let side = |aspect, before: &Option<String>, after: &Option<String>| {
        let after = after.clone()?;
        Some(Diff::new(show(path), aspect, before.clone(), after))
    };
    [side("owner", &before.user, &after.user), side("group", &before.group, &after.group)]
        .into_iter()
        .flatten()
        .collect()
}

fn show(path: impl AsRef<std::path::Path>) -> String {
    path.as_ref().display().to_string()
}

fn octal(mode: u32) -> String {
    format!("{mode:04o}")
}

fn kind(kind: &Kind) -> &'static str {
    match kind {
        Kind::File => "file",
        Kind::Dir => "directory",
        Kind::Link(_) => "link",
        Kind::Other => "special file",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_of_pg_basebackup() {
        let table = [
            (" 7173/23040 kB (31%), 0/1 tablespace", Some((7173 << 10, Some(23040 << 10)))),
            ("pg_basebackup: checkpoint completed", None),
        ];
        for (line, wanted) in table {
            let read = Meter::PgBasebackup.read(line).map(|progress| (progress.done, progress.total));
            assert_eq!(read, wanted, "{line}");
        }
    }
}
