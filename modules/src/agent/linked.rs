//! A host whose announced content comes over the wire.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::contents::Contents;
use super::environment;
use super::link::{Link, lock};
use crate::digest::Algorithm;
use crate::edit::{Blob, Owner, Text};
use crate::host::{Command, Error, Host, Look, Output, Stat, Why};
use crate::preview::hex;
use crate::sql::{PgConn, Rows, SqlArg};
use crate::system::{Pieces, Stream, System};

/// A system whose announced content comes over the wire, and whose queries see the task's environment.
pub(super) struct Linked<'a, W: Write> {
    pub(super) system: &'a mut dyn System,
    pub(super) link: &'a Mutex<Link<W>>,
    pub(super) environment: &'a BTreeMap<String, serde_json::Value>,
    /// Whether content is to be had. Without it, all that can be told is that it would be needed.
    pub(super) fetches: bool,
    pub(super) contents: Contents<'a, W>,
}

impl<W: Write> Linked<'_, W> {
    fn fetch(&self, sha256: &str) -> Look<Vec<u8>> {
        let failed = |reason: String| Error::Failed(format!("cannot fetch content {sha256}: {reason}"));
        let mut content = lock(self.link).pushed.get(sha256).cloned().unwrap_or_default();
        if content.is_empty() {
            self.contents.take(sha256, |pieces| {
                loop {
                    let piece = pieces()?;
                    if piece.is_empty() {
                        return Ok(());
                    }
                    if content.len() + piece.len() > MAX_BLOB {
                        return Err(failed(format!("it is larger than {} MiB", MAX_BLOB >> 20)));
                    }
                    content.extend(piece);
                }
            })?;
        }
        match hex(&Sha256::digest(&content)) == sha256 {
            true => Ok(content),
            false => Err(failed("what came has another hash".into())),
        }
    }
}

/// The largest content that is held in memory: 1 GiB.
const MAX_BLOB: usize = 1 << 30;

impl<W: Write> Host for Linked<'_, W> {
    fn stat(&self, path: &Path) -> Look<Option<Stat>> {
        self.system.stat(path)
    }
    fn straight(&self, path: &Path) -> Look<Option<Stat>> {
        self.system.straight(path)
    }
    fn access(&self, path: &Path) -> Look<u8> {
        self.system.access(path)
    }
    fn read(&self, path: &Path) -> Look<Option<Vec<u8>>> {
        self.system.read(path)
    }
    fn digest(&self, path: &Path, algorithm: Algorithm) -> Look<Option<String>> {
        self.system.digest(path, algorithm)
    }
    fn list(&self, path: &Path) -> Look<Vec<PathBuf>> {
        self.system.list(path)
    }
    fn query(&self, command: &Command) -> Look<Output> {
        let mut command = command.clone();
        environment::add(&mut command, self.environment);
        self.system.query(&command)
    }
    fn sql(&self, at: &PgConn, query: &str, args: &[SqlArg]) -> Look<Rows> {
        self.system.sql(at, query, args)
    }
    fn connects(&self, host: &str, port: u16) -> Look<bool> {
        self.system.connects(host, port)
    }
    fn blob(&self, sha256: &str) -> Look<Vec<u8>> {
        if !self.fetches {
            return Err(Error::Unknown(Why { after: format!("content {sha256}") }));
        }
        self.fetch(sha256)
    }
    fn blobs(&self, sha256: &[&str]) -> Look<Vec<Vec<u8>>> {
        if self.fetches {
            self.contents.ask(sha256.iter().map(|&sha256| sha256.to_owned()).collect())?;
        }
        sha256.iter().map(|sha256| self.blob(sha256)).collect()
    }
}

impl<W: Write> System for Linked<'_, W> {
    fn write(&mut self, path: &Path, content: &Text, mode: Option<u32>, owner: &Owner) -> Look<()> {
        self.system.write(path, content, mode, owner)
    }
    fn write_pieces(
        &mut self,
        path: &Path,
        content: &Blob,
        pieces: &mut Pieces<'_>,
        mode: Option<u32>,
        owner: &Owner,
    ) -> Look<()> {
        self.system.write_pieces(path, content, pieces, mode, owner)
    }
    fn place(&mut self, path: &Path, content: &Blob, mode: Option<u32>, owner: &Owner) -> Look<()> {
        let system = &mut self.system;
        self.contents.take(&content.sha256, |pieces| system.write_pieces(path, content, pieces, mode, owner))
    }
    fn set_mode(&mut self, path: &Path, mode: u32) -> Look<()> {
        self.system.set_mode(path, mode)
    }
    fn set_owner(&mut self, path: &Path, owner: &Owner) -> Look<()> {
        self.system.set_owner(path, owner)
    }
    fn make_dir(&mut self, path: &Path, mode: u32) -> Look<()> {
        self.system.make_dir(path, mode)
    }
    fn link(&mut self, path: &Path, target: &Path) -> Look<()> {
        self.system.link(path, target)
    }
    fn remove(&mut self, path: &Path) -> Look<()> {
        self.system.remove(path)
    }
    fn rename(&mut self, from: &Path, to: &Path) -> Look<()> {
        self.system.rename(from, to)
    }
    fn run(&mut self, command: &Command, line: &mut dyn FnMut(Stream, &str)) -> Look<Output> {
        self.system.run(command, line)
    }
    fn pause(&mut self, time: Duration) -> Look<()> {
        self.system.pause(time)
    }
    fn limit(&mut self, time: Option<Duration>) -> Look<()> {
        self.system.limit(time)
    }
    fn execute_sql(&mut self, at: &PgConn, statement: &str, args: &[SqlArg], autocommit: bool) -> Look<Rows> {
        self.system.execute_sql(at, statement, args, autocommit)
    }
}
