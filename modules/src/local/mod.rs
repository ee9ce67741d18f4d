//! This machine. The one place that touches it.

mod account;
mod command;
mod file;
#[cfg(feature = "postgres")]
mod pg;
#[cfg(not(feature = "postgres"))]
#[path = "no_pg.rs"]
mod pg;

use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::digest::Algorithm;
use crate::edit::{Blob, Owner, Text};
use crate::host::{CONNECT_TIMEOUT, Command, Error, Host, Look, Output, Stat};
use crate::sql::{PgConn, Rows, SqlArg};
use crate::system::{Pieces, Stream, System};

/// Set from another thread to end what runs; or when its time is up.
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    asked: Arc<AtomicBool>,
    deadline: Arc<Mutex<Option<Instant>>>,
}

impl Cancel {
    /// Asks what runs to end.
    pub fn cancel(&self) {
        self.asked.store(true, Ordering::Relaxed);
    }
    /// Whether that was asked, or the time is up.
    pub fn is_cancelled(&self) -> bool {
        self.asked.load(Ordering::Relaxed) || self.is_late()
    }
    /// Whether the time is up.
    pub fn is_late(&self) -> bool {
        self.deadline().is_some_and(|deadline| Instant::now() >= deadline)
    }
    /// What runs from now on must end within that time; `None` lifts the limit.
    pub fn limit(&self, time: Option<Duration>) {
        *self.deadline() = time.and_then(|time| Instant::now().checked_add(time));
    }
    /// Forgets that it was asked, for the next batch.
    pub fn reset(&self) {
        self.asked.store(false, Ordering::Relaxed);
    }
    fn deadline(&self) -> MutexGuard<'_, Option<Instant>> {
        self.deadline.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often a pause looks whether it is cancelled.
const TICK: Duration = Duration::from_millis(50);

/// Puts this process in a session of its own, so that it outlives the connection that it came by.
pub(crate) fn session() -> Look<()> {
    rustix::process::setsid().map(drop).map_err(|error| Error::Failed(format!("cannot begin a session: {error}")))
}

/// Whether the process runs as that user.
pub(crate) fn is_user(name: &str) -> bool {
    account::is_own(name)
}

/// This machine, as the user that the process runs as.
#[derive(Debug, Default)]
pub struct Local {
    /// Ends a running command and its whole process group.
    pub cancel: Cancel,
    written: Option<Written>,
}

/// The last long file that was put in place, as it was then: to look whether it is as it should be need not read it again.
#[derive(Debug)]
struct Written {
    path: PathBuf,
    seen: Seen,
    sha256: String,
}

/// What tells that nobody has touched a file: which it is, its size, and when content and attributes last changed.
type Seen = ((u64, u64), u64, i64, i64);

fn seen(stat: &Stat) -> Seen {
    let [_, mtime, ctime] = stat.detail.times;
    (stat.id, stat.size, mtime, ctime)
}

impl Local {
    /// A machine whose commands that ends.
    pub(crate) fn cancelled_by(cancel: Cancel) -> Self {
        Self { cancel, written: None }
    }
}

impl Host for Local {
    fn stat(&self, path: &Path) -> Look<Option<Stat>> {
        file::stat(path)
    }
    fn straight(&self, path: &Path) -> Look<Option<Stat>> {
        Ok(file::straight(path))
    }
    fn access(&self, path: &Path) -> Look<u8> {
        Ok(file::access(path))
    }
    fn read(&self, path: &Path) -> Look<Option<Vec<u8>>> {
        file::read(path)
    }
    fn digest(&self, path: &Path, algorithm: Algorithm) -> Look<Option<String>> {
        let written = self.written.as_ref().filter(|written| written.path == path && algorithm == Algorithm::Sha256);
        match written {
            Some(written) if file::stat(path)?.is_some_and(|stat| seen(&stat) == written.seen) => {
                Ok(Some(written.sha256.clone()))
            }
            _ => file::digest(path, algorithm),
        }
    }
    fn list(&self, path: &Path) -> Look<Vec<PathBuf>> {
        file::list(path)
    }
    fn query(&self, command: &Command) -> Look<Output> {
        command::run(command, &self.cancel, &mut |_, _| {})
    }
    fn sql(&self, at: &PgConn, query: &str, args: &[SqlArg]) -> Look<Rows> {
        pg::query(at, query, args)
    }
    fn connects(&self, host: &str, port: u16) -> Look<bool> {
        // A name that is not known yet is no better than a port that is not open yet.
        let Ok(addresses) = (host, port).to_socket_addrs() else { return Ok(false) };
        Ok(addresses.into_iter().any(|address| TcpStream::connect_timeout(&address, CONNECT_TIMEOUT).is_ok()))
    }
    fn blob(&self, sha256: &str) -> Look<Vec<u8>> {
        Err(Error::Failed(format!("no content was announced as {sha256}")))
    }
}

impl System for Local {
    fn write(&mut self, path: &Path, content: &Text, mode: Option<u32>, owner: &Owner) -> Look<()> {
        let owner = self.ids(owner)?;
        file::write(path, &content.bytes, mode, owner)
    }
    fn write_pieces(
        &mut self,
        path: &Path,
        content: &Blob,
        pieces: &mut Pieces<'_>,
        mode: Option<u32>,
        owner: &Owner,
    ) -> Look<()> {
        let owner = self.ids(owner)?;
        file::write_pieces(path, content, pieces, mode, owner)?;
        if content.durable {
            let written = |stat: Stat| Written { path: path.into(), seen: seen(&stat), sha256: content.sha256.clone() };
            self.written = file::stat(path)?.map(written);
        }
        Ok(())
    }
    fn set_mode(&mut self, path: &Path, mode: u32) -> Look<()> {
        file::set_mode(path, mode)
    }
    fn set_owner(&mut self, path: &Path, owner: &Owner) -> Look<()> {
        let owner = self.ids(owner)?;
        file::set_owner(path, owner)
    }
    fn make_dir(&mut self, path: &Path, mode: u32) -> Look<()> {
        file::make_dir(path, mode)
    }
    fn link(&mut self, path: &Path, target: &Path) -> Look<()> {
        file::link(path, target)
    }
    fn remove(&mut self, path: &Path) -> Look<()> {
        file::remove(path)
    }
    fn rename(&mut self, from: &Path, to: &Path) -> Look<()> {
        file::rename(from, to)
    }
    fn run(&mut self, command: &Command, line: &mut dyn FnMut(Stream, &str)) -> Look<Output> {
        command::run(command, &self.cancel, line)
    }
    fn pause(&mut self, time: Duration) -> Look<()> {
        let end = Instant::now() + time;
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            if self.cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            thread::sleep(left.min(TICK));
        }
        Ok(())
    }
    fn limit(&mut self, time: Option<Duration>) -> Look<()> {
        self.cancel.limit(time);
        Ok(())
    }
    fn execute_sql(&mut self, at: &PgConn, statement: &str, args: &[SqlArg], autocommit: bool) -> Look<Rows> {
        pg::execute(at, statement, args, autocommit)
    }
}

impl Local {
    /// The numbers of an owner given by names or numbers.
    fn ids(&self, owner: &Owner) -> Look<(Option<u32>, Option<u32>)> {
        let uid = |name: &String| match name.parse() {
            Ok(uid) => Ok(Some(uid)),
            Err(_) => match self.user(name)? {
                Some(user) => Ok(user.uid),
                None => Err(Error::param("owner", format!("there is no user `{name}`"))),
            },
        };
        let gid = |name: &String| match name.parse() {
            Ok(gid) => Ok(Some(gid)),
            Err(_) => match self.group(name)? {
                Some(group) => Ok(group.gid),
                None => Err(Error::param("group", format!("there is no group `{name}`"))),
            },
        };
        let uid = owner.user.as_ref().map(uid).transpose()?.flatten();
        let gid = owner.group.as_ref().map(gid).transpose()?.flatten();
        Ok((uid, gid))
    }
}
