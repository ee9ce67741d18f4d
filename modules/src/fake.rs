//! A host in memory, for tests: files, scripted commands, scripted queries.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::digest::Algorithm;
use crate::edit::{Blob, Owner, Text};
use crate::host::{Command, Detail, Error, Host, Kind, Look, Output, Stat};
use crate::preview::hex;
use crate::sql::{PgConn, Rows, SqlArg};
use crate::system::{Pieces, Stream, System};

/// A file, directory or link of a [`Fake`].
#[derive(Clone, Debug, PartialEq)]
struct Node {
    kind: Kind,
    content: Vec<u8>,
    mode: u32,
    owner: Owner,
}

/// What a command does to the host.
type Effect = Arc<dyn Fn(&mut Fake) + Send + Sync>;

/// A host in memory. Commands and queries are answered from what was scripted; an unknown one is an error. A command may
/// be given an effect on the host, so that planning again after applying sees it.
#[derive(Clone, Default)]
pub struct Fake {
    nodes: BTreeMap<PathBuf, Node>,
    answers: BTreeMap<String, Output>,
    effects: BTreeMap<String, Effect>,
    warnings: BTreeMap<String, Vec<String>>,
    rows: BTreeMap<String, Result<Rows, Error>>,
    blobs: BTreeMap<String, Vec<u8>>,
    ports: BTreeSet<(String, u16)>,
    asked: Arc<Mutex<Vec<String>>>,
    /// What was run or executed, as it would be typed.
    pub log: Vec<String>,
}

impl Fake {
    /// An empty host with `/`.
    pub fn new() -> Self {
        Self::default().dir("/", 0o755)
    }

    /// With a directory and its ancestors, all of root.
    #[must_use]
    pub fn dir(mut self, path: impl AsRef<Path>, mode: u32) -> Self {
        for above in path.as_ref().ancestors().skip(1) {
            self.nodes.entry(above.into()).or_insert_with(|| Node::new(Kind::Dir, 0o755));
        }
        self.nodes.insert(path.as_ref().into(), Node::new(Kind::Dir, mode));
        self
    }

    /// With a file, and its directories.
    #[must_use]
    pub fn file(mut self, path: impl AsRef<Path>, content: impl Into<Vec<u8>>, mode: u32) -> Self {
        if let Some(parent) = path.as_ref().parent().filter(|parent| !self.nodes.contains_key(*parent)) {
            self = self.dir(parent, 0o755);
        }
        self.nodes.insert(path.as_ref().into(), Node { content: content.into(), ..Node::new(Kind::File, mode) });
        self
    }

    /// With a symbolic link.
    #[must_use]
    pub fn symlink(mut self, path: impl AsRef<Path>, target: impl AsRef<Path>) -> Self {
        self.nodes.insert(path.as_ref().into(), Node::new(Kind::Link(target.as_ref().into()), 0o777));
        self
    }

    /// With another owner of what is at `path`; numbers as text.
    #[must_use]
    pub fn owned(mut self, path: impl AsRef<Path>, user: &str, group: &str) -> Self {
        if let Some(node) = self.nodes.get_mut(path.as_ref()) {
            node.owner = Owner { user: Some(user.into()), group: Some(group.into()) };
        }
        self
    }

    /// Answers a command, given as it would be typed.
    #[must_use]
    pub fn answer(mut self, command: &str, status: i32, stdout: &str) -> Self {
        self.set_answer(command, status, stdout);
        self
    }

    /// The same, for an effect.
    pub fn set_answer(&mut self, command: &str, status: i32, stdout: &str) {
        let (out, err) = if status == 0 { (stdout, "") } else { ("", stdout) };
        self.answers.insert(command.into(), Output { status, stdout: out.into(), stderr: err.into(), time: None });
    }

    /// What running a command (or executing a statement) does to the host; it then succeeds.
    #[must_use]
    pub fn effect(mut self, command: &str, effect: impl Fn(&mut Self) + Send + Sync + 'static) -> Self {
        self.effects.insert(command.into(), Arc::new(effect));
        self
    }

    /// Answers a query.
    #[must_use]
    pub fn rows(mut self, query: &str, rows: Vec<Vec<serde_json::Value>>) -> Self {
        self.set_rows(query, rows);
        self
    }

    /// The same, for an effect.
    pub fn set_rows(&mut self, query: &str, rows: Vec<Vec<serde_json::Value>>) {
        let columns = (1..=rows.first().map_or(0, Vec::len)).map(|n| format!("c{n}")).collect();
        self.rows.insert(query.into(), Ok(Rows { columns, rows, ..Rows::default() }));
    }

    /// Warns, when a statement has had its effect.
    #[must_use]
    pub fn warning(mut self, statement: &str, warning: &str) -> Self {
        self.warnings.entry(statement.into()).or_default().push(warning.into());
        self
    }

    /// Refuses a query.
    #[must_use]
    pub fn sql_error(mut self, query: &str, error: Error) -> Self {
        self.rows.insert(query.into(), Err(error));
        self
    }

    /// With a port that accepts connections.
    pub fn open_port(&mut self, host: &str, port: u16) {
        self.ports.insert((host.into(), port));
    }

    /// With content that can be fetched; returns its SHA-256.
    pub fn add_blob(&mut self, content: impl Into<Vec<u8>>) -> String {
        let content = content.into();
        let sha256 = hex(&Sha256::digest(&content));
        self.blobs.insert(sha256.clone(), content);
        sha256
    }

    /// Every query so far, with all that it was given; secrets are redacted.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, question: String) {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(question);
    }

    /// The content of a file, for assertions.
    pub fn text(&self, path: impl AsRef<Path>) -> Option<String> {
        self.nodes.get(path.as_ref()).map(|node| String::from_utf8_lossy(&node.content).into_owned())
    }

    /// Every path with kind, mode, owner and content, for comparing two hosts.
    pub fn snapshot(&self) -> BTreeMap<String, String> {
        let show = |node: &Node| {
            let user = node.owner.user.as_deref().unwrap_or("0");
            let group = node.owner.group.as_deref().unwrap_or("0");
            format!("{:?} {:04o} {user}:{group} {:?}", node.kind, node.mode, String::from_utf8_lossy(&node.content))
        };
        self.nodes.iter().map(|(path, node)| (path.display().to_string(), show(node))).collect()
    }

    fn parent_exists(&self, path: &Path) -> Look<()> {
        match path.parent().and_then(|parent| self.nodes.get(parent)) {
            Some(node) if node.kind == Kind::Dir => Ok(()),
            _ => Err(Error::path("write", path, "No such file or directory")),
        }
    }
}

impl Node {
    fn new(kind: Kind, mode: u32) -> Self {
        Self { kind, content: Vec::new(), mode, owner: Owner::default() }
    }
}

/// As a server does: every `$1`, `$2` has its value, and every value its place.
fn bound(query: &str, args: &[SqlArg]) -> Look<()> {
    match (1..).take_while(|number| query.contains(&format!("${number}"))).count() {
        wanted if wanted == args.len() => Ok(()),
        wanted => Err(Error::Failed(format!("{} values for {wanted} parameters: {query}", args.len()))),
    }
}

/// Names are their own numbers here: `www` is whatever 33 is only on a real host.
fn number(name: Option<&String>) -> Option<u32> {
    name.map_or(Some(0), |name| name.parse().ok())
}

impl Host for Fake {
    fn stat(&self, path: &Path) -> Look<Option<Stat>> {
        Ok(self.nodes.get(path).map(|node| Stat {
            kind: node.kind.clone(),
            mode: node.mode,
            uid: number(node.owner.user.as_ref()),
            gid: number(node.owner.group.as_ref()),
            size: node.content.len() as u64,
            mtime: 0,
            id: (1, 1),
            nlink: 1,
            detail: Detail {
                mode: match node.kind {
                    Kind::File => 0o100_000,
                    Kind::Dir => 0o040_000,
                    Kind::Link(_) => 0o120_000,
                    Kind::Other => 0,
                } | node.mode,
                ..Detail::default()
            },
        }))
    }

    fn access(&self, _: &Path) -> Look<u8> {
        Ok(7)
    }
    fn read(&self, path: &Path) -> Look<Option<Vec<u8>>> {
        match self.nodes.get(path) {
            None => Ok(None),
            Some(node) if node.kind == Kind::Dir => Err(Error::path("read", path, "Is a directory")),
            Some(node) => match &node.kind {
                Kind::Link(target) => self.read(&path.parent().unwrap_or(path).join(target)),
                _ => Ok(Some(node.content.clone())),
            },
        }
    }

    fn digest(&self, path: &Path, algorithm: Algorithm) -> Look<Option<String>> {
        Ok(self.read(path)?.map(|content| algorithm.of(&content)))
    }

    fn list(&self, path: &Path) -> Look<Vec<PathBuf>> {
        match self.nodes.get(path) {
            Some(node) if node.kind == Kind::Dir => {
                Ok(self.nodes.keys().filter(|known| known.parent() == Some(path)).cloned().collect())
            }
            _ => Err(Error::path("list", path, "No such file or directory")),
        }
    }

    fn query(&self, command: &Command) -> Look<Output> {
        self.note(format!("{command:?}"));
        let typed = command.to_string();
        self.answers
            .get(&typed)
            .cloned()
            .ok_or_else(|| Error::Program { program: typed, reason: "this fake host has no answer for it".into() })
    }

    fn sql(&self, at: &PgConn, query: &str, args: &[SqlArg]) -> Look<Rows> {
        self.note(format!("{at:?} {query} {args:?}"));
        bound(query, args)?;
        self.rows
            .get(query)
            .cloned()
            .unwrap_or_else(|| Err(Error::Failed(format!("this fake host has no rows for: {query}"))))
    }

    fn connects(&self, host: &str, port: u16) -> Look<bool> {
        Ok(self.ports.contains(&(host.into(), port)))
    }

    fn blob(&self, sha256: &str) -> Look<Vec<u8>> {
        self.blobs.get(sha256).cloned().ok_or_else(|| Error::Failed(format!("no blob {sha256}")))
    }
}

impl System for Fake {
    fn write(&mut self, path: &Path, content: &Text, mode: Option<u32>, owner: &Owner) -> Look<()> {
        self.parent_exists(path)?;
        let node = self.nodes.entry(path.into()).or_insert_with(|| Node::new(Kind::File, 0o644));
        node.content.clone_from(&content.bytes);
        node.mode = mode.unwrap_or(node.mode);
        self.set_owner(path, owner)
    }

    fn write_pieces(
        &mut self,
        path: &Path,
        _: &Blob,
        pieces: &mut Pieces<'_>,
        mode: Option<u32>,
        owner: &Owner,
    ) -> Look<()> {
        let mut bytes = Vec::new();
        loop {
            let piece = pieces()?;
            if piece.is_empty() {
                return self.write(path, &Text::plain(bytes), mode, owner);
            }
            bytes.extend(piece);
        }
    }
    fn set_mode(&mut self, path: &Path, mode: u32) -> Look<()> {
        self.nodes.get_mut(path).ok_or_else(|| Error::path("change", path, "No such file or directory"))?.mode = mode;
        Ok(())
    }

    fn set_owner(&mut self, path: &Path, owner: &Owner) -> Look<()> {
        let node = self.nodes.get_mut(path).ok_or_else(|| Error::path("change", path, "No such file or directory"))?;
        let Owner { user, group } = owner.clone();
        node.owner = Owner { user: user.or(node.owner.user.take()), group: group.or(node.owner.group.take()) };
        Ok(())
    }

    fn make_dir(&mut self, path: &Path, mode: u32) -> Look<()> {
        self.parent_exists(path)?;
        self.nodes.insert(path.into(), Node::new(Kind::Dir, mode));
        Ok(())
    }

    fn link(&mut self, path: &Path, target: &Path) -> Look<()> {
        self.parent_exists(path)?;
        self.nodes.insert(path.into(), Node::new(Kind::Link(target.into()), 0o777));
        Ok(())
    }

    fn remove(&mut self, path: &Path) -> Look<()> {
        self.nodes.retain(|known, _| !known.starts_with(path));
        Ok(())
    }

    fn rename(&mut self, from: &Path, to: &Path) -> Look<()> {
        let moved: Vec<PathBuf> = self.nodes.keys().filter(|known| known.starts_with(from)).cloned().collect();
        for path in moved {
            if let (Some(node), Ok(rest)) = (self.nodes.remove(&path), path.strip_prefix(from)) {
                self.nodes.insert(if rest.as_os_str().is_empty() { to.into() } else { to.join(rest) }, node);
            }
        }
        Ok(())
    }

    fn run(&mut self, command: &Command, line: &mut dyn FnMut(Stream, &str)) -> Look<Output> {
        let typed = command.to_string();
        self.log.push(typed.clone());
        if let Some(effect) = self.effects.get(&typed).cloned() {
            effect(self);
            return Ok(self.answers.get(&typed).cloned().unwrap_or_default());
        }
        let output = self.query(command)?;
        output.stdout.lines().for_each(|text| line(Stream::Out, text));
        Ok(output)
    }

    /// Takes no time; an effect of `pause` is what happens meanwhile.
    fn pause(&mut self, time: Duration) -> Look<()> {
        self.log.push(format!("pause {} s", time.as_secs()));
        if let Some(effect) = self.effects.get("pause").cloned() {
            effect(self);
        }
        Ok(())
    }

    fn execute_sql(&mut self, _: &PgConn, statement: &str, args: &[SqlArg], _: bool) -> Look<Rows> {
        self.log.push(statement.into());
        bound(statement, args)?;
        if let Some(effect) = self.effects.get(statement).cloned() {
            effect(self);
            let warnings = self.warnings.get(statement).cloned().unwrap_or_default();
            return Ok(Rows { affected: 1, warnings, ..Rows::default() });
        }
        self.sql(&PgConn::default(), statement, args)
    }
}
