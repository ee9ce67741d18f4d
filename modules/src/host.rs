//! Looking at a host.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::digest::Algorithm;
pub use crate::error::Error;
use crate::facts::{self, Group, Package, Unit, User};
use crate::secret::Secret;
use crate::sql::{PgConn, Rows, SqlArg};

/// What a look answers. In a preview the error may be [`Error::Unknown`]; `?` passes that on, [`known`] takes it apart.
pub type Look<T> = Result<T, Error>;

/// What a module may do: look. Nothing behind these methods changes the host.
pub trait Host {
    /// What is at `path`, of a symbolic link the link itself; `None` if there is nothing.
    fn stat(&self, path: &Path) -> Look<Option<Stat>>;
    /// The same where no symbolic link is on the way nor at its end; `None` where there is one or nothing, or where it takes
    /// more than a look to tell.
    fn straight(&self, path: &Path) -> Look<Option<Stat>> {
        let _ = path;
        Ok(None)
    }
    /// What the user that looks may do with what is at `path` or what that points to: read 4, write 2, execute 1 (access(2)).
    fn access(&self, path: &Path) -> Look<u8>;
    /// The content of the file at `path`, at most [`MAX_READ`] bytes; `None` if there is nothing.
    fn read(&self, path: &Path) -> Look<Option<Vec<u8>>>;
    /// A checksum of the file at `path` in hexadecimal, of any size; `None` if there is nothing.
    fn digest(&self, path: &Path, algorithm: Algorithm) -> Look<Option<String>>;
    /// Its SHA-256.
    fn sha256(&self, path: &Path) -> Look<Option<String>> {
        self.digest(path, Algorithm::Sha256)
    }
    /// The names in a directory, sorted, as whole paths. An absent directory is an error.
    fn list(&self, path: &Path) -> Look<Vec<PathBuf>>;
    /// The output of a command that only asks. A status other than 0 is an answer, not an error.
    fn query(&self, command: &Command) -> Look<Output>;
    /// The rows of a query, run in a read-only transaction.
    fn sql(&self, at: &PgConn, query: &str, args: &[SqlArg]) -> Look<Rows>;
    /// Whether a TCP port accepts a connection within [`CONNECT_TIMEOUT`]. A name that is not known is a "no".
    fn connects(&self, host: &str, port: u16) -> Look<bool>;
    /// The content that the controller announced by its SHA-256, fetched when it is asked for.
    fn blob(&self, sha256: &str) -> Look<Vec<u8>>;
    /// The same for several: all are asked for at once.
    fn blobs(&self, sha256: &[&str]) -> Look<Vec<Vec<u8>>> {
        sha256.iter().map(|sha256| self.blob(sha256)).collect()
    }

    /// The account of that name, by `getent`.
    fn user(&self, name: &str) -> Look<Option<User>> {
        facts::user(self, name)
    }
    /// The group of that name, by `getent`.
    fn group(&self, name: &str) -> Look<Option<Group>> {
        facts::group(self, name)
    }
    /// The groups of /etc/group (group(5)) that list an account as a member: those that usermod(8) can change.
    fn memberships(&self, user: &str) -> Look<BTreeSet<String>> {
        facts::memberships(self, user)
    }
    /// An installed Debian package.
    fn package(&self, name: &str) -> Look<Option<Package>> {
        Ok(self.packages(&[name])?.remove(name))
    }
    /// Those of the named Debian packages that are installed, by the names asked for.
    fn packages(&self, names: &[&str]) -> Look<BTreeMap<String, Package>> {
        facts::packages(self, names)
    }
    /// A systemd unit; one that does not exist has `load: "not-found"`.
    fn unit(&self, name: &str) -> Look<Unit> {
        facts::unit(self, name)
    }
}

/// As a [`Command`]'s program: the one that looks at the host and touches it. It starts and tells of jobs ([`crate::job`]).
pub const OWN_PROGRAM: &str = "trueup-agent";

/// The most that [`Host::read`] returns: 64 MiB. A larger file is an error that says so.
pub const MAX_READ: u64 = 64 << 20;

/// How long [`Host::connects`] waits for an answer: 5 seconds.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// An answer in a preview that may have to wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known<T> {
    /// It is known.
    Yes(T),
    /// It will be known once an earlier task has run.
    No(Why),
}

/// Takes "not known yet" out of a look's errors, for a module that can say more than that.
pub fn known<T>(look: Look<T>) -> Result<Known<T>, Error> {
    match look {
        Ok(answer) => Ok(Known::Yes(answer)),
        Err(Error::Unknown(why)) => Ok(Known::No(why)),
        Err(error) => Err(error),
    }
}

/// Why something can't be known in a preview: the name of the task that has to run first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    /// The task's name, as shown.
    pub after: String,
}

/// `known after Install PostgreSQL`.
impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "known after {}", self.after)
    }
}

/// What kind of thing a path names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link, and where it points, as written.
    Link(PathBuf),
    /// A device, a socket, a pipe.
    Other,
}

/// What `lstat` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stat {
    /// What it is.
    pub kind: Kind,
    /// Permission bits, `0o7777` at the most.
    pub mode: u32,
    /// The owner; `None` in a preview, for an account that does not exist yet.
    pub uid: Option<u32>,
    /// The group; `None` as for `uid`.
    pub gid: Option<u32>,
    /// Bytes.
    pub size: u64,
    /// Modification time, seconds since 1970.
    pub mtime: i64,
    /// Device and inode, which tell one file from another; zeros in a preview.
    pub id: (u64, u64),
    /// Hard links.
    pub nlink: u64,
    /// What only a few ask for; zeros in a preview.
    pub detail: Detail,
}

/// The rest of what `lstat` says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detail {
    /// When it was read, when its content was changed and when anything of it was, in nanoseconds since 1970.
    pub times: [i64; 3],
    /// The whole `st_mode`, which tells what a special file is.
    pub mode: u32,
    /// Of a special file: which device.
    pub device: u64,
    /// Allocated blocks of 512 bytes.
    pub blocks: u64,
    /// The best size for reading, in bytes.
    pub block_size: u64,
}

impl Stat {
    /// A regular file?
    pub fn is_file(&self) -> bool {
        self.kind == Kind::File
    }
    /// A directory?
    pub fn is_dir(&self) -> bool {
        self.kind == Kind::Dir
    }
    /// A symbolic link?
    pub fn is_link(&self) -> bool {
        matches!(self.kind, Kind::Link(_))
    }
}

/// A program and its arguments. Never a shell line; secrets go by `stdin` or `env`, never by `args`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// A path, or a name that is looked up in the usual directories (`/usr/local/sbin` to `/bin`).
    pub program: String,
    /// Arguments.
    pub args: Vec<String>,
    /// What it reads; nothing by default.
    pub stdin: Option<Input>,
    /// Added to the environment, which is otherwise that of the agent with `LC_ALL=C.UTF-8`.
    pub env: BTreeMap<String, Input>,
    /// Where it runs; `/` by default.
    pub cwd: Option<PathBuf>,
    /// Whether what it prints is another's answer, which is wanted though it was given a secret: it is not shown while it
    /// runs, and the secrets of the task are taken out of what is registered.
    pub answers: bool,
}

/// Text that is given to a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Text that may be shown.
    Plain(String),
    /// Text that may not; what the program prints is then withheld too.
    Secret(Secret),
}

impl Input {
    /// The text, to hand it to the program.
    pub fn expose(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Secret(secret) => secret.expose(),
        }
    }
}

impl Command {
    /// `program` with `args`.
    pub fn new<A: Into<String>>(program: impl Into<String>, args: impl IntoIterator<Item = A>) -> Self {
        Self { program: program.into(), args: args.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// With a variable in its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.insert(name.into(), Input::Plain(value.into()));
        self
    }

    /// Whether it is given a secret, so that its output must be withheld.
    pub fn holds_secret(&self) -> bool {
        self.stdin.iter().chain(self.env.values()).any(|input| matches!(input, Input::Secret(_)))
    }
}

/// As one would type it, for reading only: words that need it are quoted.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.program)?;
        for arg in &self.args {
            let safe = !arg.is_empty() && arg.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./=:,@%+".contains(&b));
            if safe { write!(f, " {arg}")? } else { write!(f, " '{}'", arg.replace('\'', "'\\''"))? }
        }
        Ok(())
    }
}

/// What a program left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Its exit status; 128 + n if signal n ended it.
    pub status: i32,
    /// What it printed, invalid UTF-8 replaced.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
    /// When it was started and when it had ended, in nanoseconds since 1970; not known of one that was only scripted.
    #[serde(default)]
    pub time: Option<[i64; 2]>,
}

impl Output {
    /// Status 0?
    pub fn success(&self) -> bool {
        self.status == 0
    }

    /// `: ` and the last lines of what it complained about, or printed; for an error message.
    pub fn last_words(&self) -> String {
        let text = if self.stderr.trim().is_empty() { &self.stdout } else { &self.stderr };
        let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
        let tail = lines[lines.len().saturating_sub(8)..].join("\n  ");
        if tail.is_empty() { tail } else { format!(": {tail}") }
    }
}
