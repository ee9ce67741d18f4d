//! A host as it will be after edits that were planned but not made.
//!
//! In a preview, [`Preview`] remembers what the tasks so far would do, and a [`View`] answers a module's looks as if it
//! were done. Three rules decide what is not certain:
//!
//! 1. a look that *fails* while edits are pending is unknown ("known after …"), not a failure;
//! 2. a look that succeeds while a command that may change anything is pending is *conditional*; so is what a database
//!    server says while a statement that changes what is in one is pending;
//! 3. an account or a unit that is not there while such a command is pending is unknown: packages make them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::digest::Algorithm;
use crate::edit::{Blob, Edit, Owner, Reach, Text};
use crate::facts::{self, Fact, Group, Package, Unit, User};
use crate::host::{Command, Detail, Error, Host, Kind, Look, Output, Stat, Why};
use crate::plan::Plan;
use crate::sql::{PgConn, Rows, SqlArg};

/// What is pending on one host.
#[derive(Debug, Default)]
pub struct Preview {
    paths: BTreeMap<PathBuf, Entry>,
    /// The owners given to paths; of one not listed, what it has now or will have from whoever makes it.
    owners: BTreeMap<PathBuf, Owner>,
    /// The content of paths that the controller will have put there.
    placed: BTreeMap<PathBuf, Blob>,
    /// Paths at and below which it is not known what there will be, and after which task it is.
    unread: BTreeMap<PathBuf, Why>,
    facts: Vec<Fact>,
    /// The first task with pending edits.
    first: Option<Why>,
    /// The first task with a command whose effects are not all stated.
    opaque: Option<Why>,
    /// The first task with a statement that changes what is in a server.
    served: Option<Why>,
}

/// What a path will be.
#[derive(Clone, Debug)]
enum Entry {
    Absent,
    /// `None`: as the file is now, whatever that is; only the attributes differ.
    Present {
        kind: Kind,
        content: Option<Text>,
        mode: Option<u32>,
    },
}

impl Preview {
    /// The host as it will be.
    pub fn over<'a>(&'a self, host: &'a dyn Host) -> View<'a> {
        View { preview: self, host, conditional: RefCell::new(None) }
    }

    /// Whether nothing is pending.
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// After which task things will be known that are not known now.
    pub fn why(&self) -> Option<Why> {
        self.opaque.clone().or_else(|| self.first.clone())
    }

    /// Adds what the task `name` would do.
    pub fn record(&mut self, name: &str, plan: &Plan) {
        let why = Why { after: name.into() };
        for edit in plan.edits.iter().filter(|edit| !matches!(edit, Edit::Wait(_) | Edit::Forget(_))) {
            self.first.get_or_insert_with(|| why.clone());
            self.record_edit(edit, &why);
        }
    }

    /// Adds a task of which it is not known what it will do.
    pub fn record_unknown(&mut self, name: &str) {
        let why = Why { after: name.into() };
        self.first.get_or_insert_with(|| why.clone());
        self.opaque.get_or_insert(why);
    }

    fn record_edit(&mut self, edit: &Edit, why: &Why) {
        match edit {
            Edit::Write { path, after, mode, owner, .. } => {
                let mode = mode.or_else(|| self.mode_of(path));
                self.put(path, Kind::File, Some(after.clone()), mode);
                self.own(path, owner);
            }
            Edit::Place { path, after, mode, owner, .. } => {
                let mode = mode.or_else(|| self.mode_of(path));
                self.put(path, Kind::File, None, mode);
                self.unread.remove(path);
                self.placed.insert(path.clone(), after.clone());
                self.own(path, owner);
            }
            Edit::Mode { path, after, .. } => {
                let (kind, content) = match self.paths.remove(path) {
                    Some(Entry::Present { kind, content, .. }) => (kind, content),
                    _ => (Kind::Other, None),
                };
                self.put(path, kind, content, Some(*after));
            }
            Edit::Dir { path, mode, owner } => {
                self.put(path, Kind::Dir, None, Some(mode.unwrap_or(0o755)));
                self.own(path, owner);
            }
            Edit::Link { path, after, .. } => {
                self.put(path, Kind::Link(after.clone()), None, Some(0o777));
                self.owners.remove(path);
                self.placed.remove(path);
                self.unread.remove(path);
            }
            Edit::Rename { from, to } => self.rename(from, to),
            Edit::Remove { path, .. } => {
                self.paths.retain(|known, _| !known.starts_with(path));
                self.owners.retain(|known, _| !known.starts_with(path));
                self.placed.retain(|known, _| !known.starts_with(path));
                self.unread.retain(|known, _| !known.starts_with(path));
                self.paths.insert(path.clone(), Entry::Absent);
            }
            Edit::Run { makes, reach, .. } => {
                for fact in makes {
                    match fact {
                        Fact::Path(path, kind, mode) => {
                            self.placed.remove(path);
                            self.put(path, kind.clone(), None, Some(*mode));
                            self.unread.insert(path.clone(), why.clone());
                        }
                        fact => self.facts.push(fact.clone()),
                    }
                }
                self.reach(*reach, why);
            }
            Edit::Sql { reach, .. } => self.reach(*reach, why),
            Edit::Owner { path, after, .. } => self.own(path, after),
            Edit::Wait(_) | Edit::Forget(_) => {}
        }
    }

    fn reach(&mut self, reach: Reach, why: &Why) {
        let unsure = match reach {
            Reach::Stated => return,
            Reach::Server => &mut self.served,
            Reach::Anything => &mut self.opaque,
        };
        unsure.get_or_insert_with(|| why.clone());
    }

    fn put(&mut self, path: &Path, kind: Kind, content: Option<Text>, mode: Option<u32>) {
        if content.is_some() {
            self.placed.remove(path);
            self.unread.remove(path);
        }
        self.paths.insert(path.into(), Entry::Present { kind, content, mode });
    }

    fn own(&mut self, path: &Path, owner: &Owner) {
        let Owner { user, group } = owner.clone();
        let known = self.owners.entry(path.into()).or_default();
        *known = Owner { user: user.or(known.user.take()), group: group.or(known.group.take()) };
    }

    fn mode_of(&self, path: &Path) -> Option<u32> {
        match self.paths.get(path) {
            Some(Entry::Present { mode, .. }) => *mode,
            _ => None,
        }
    }

    fn rename(&mut self, from: &Path, to: &Path) {
        move_below(&mut self.paths, from, to);
        move_below(&mut self.owners, from, to);
        move_below(&mut self.placed, from, to);
        move_below(&mut self.unread, from, to);
        self.paths.entry(to.into()).or_insert(Entry::Present { kind: Kind::Other, content: None, mode: None });
        self.paths.insert(from.into(), Entry::Absent);
    }

    /// The entry that decides about a path: its own, or that of an ancestor which will be absent or new.
    fn entry(&self, path: &Path) -> Option<&Entry> {
        static ABSENT: Entry = Entry::Absent;
        if let Some(entry) = self.paths.get(path) {
            return Some(entry);
        }
        let gone = path.ancestors().skip(1).any(|above| matches!(self.paths.get(above), Some(Entry::Absent)));
        gone.then_some(&ABSENT)
    }
}

/// Moves what is known of a path, and of those below it, to another.
fn move_below<T>(known: &mut BTreeMap<PathBuf, T>, from: &Path, to: &Path) {
    let moved: Vec<_> = known.keys().filter(|path| path.starts_with(from)).cloned().collect();
    for path in moved {
        if let (Some(what), Ok(rest)) = (known.remove(&path), path.strip_prefix(from)) {
            known.insert(if rest.as_os_str().is_empty() { to.into() } else { to.join(rest) }, what);
        }
    }
}

/// A [`Host`] that answers as if what is pending were done.
pub struct View<'a> {
    preview: &'a Preview,
    host: &'a dyn Host,
    conditional: RefCell<Option<Why>>,
}

impl View<'_> {
    /// Whether an answer given so far may turn out differently, and after which task that is known.
    pub fn conditional(&self) -> Option<Why> {
        self.conditional.borrow().clone()
    }

    /// An answer of the host itself.
    fn of_host<T>(&self, answer: Look<T>) -> Look<T> {
        match answer {
            Ok(answer) => {
                if let Some(why) = &self.preview.opaque {
                    self.conditional.borrow_mut().get_or_insert_with(|| why.clone());
                }
                Ok(answer)
            }
            Err(error) => Err(self.preview.why().map_or(error, Error::Unknown)),
        }
    }

    /// What is asked of the host when an account or unit is not there.
    fn or_unknown<T>(&self, answer: T, missing: impl Fn(&T) -> bool) -> Look<T> {
        match &self.preview.opaque {
            Some(why) if missing(&answer) => Err(Error::Unknown(why.clone())),
            _ => Ok(answer),
        }
    }

    /// What is at a path, but for its pending owner.
    fn unowned_stat(&self, path: &Path) -> Look<Option<Stat>> {
        match self.preview.entry(path) {
            None => {
                self.unread(path.ancestors().skip(1))?;
                self.of_host(self.host.stat(path))
            }
            Some(Entry::Absent) => Ok(None),
            Some(Entry::Present { kind, content, mode }) => {
                let now = self.host.stat(path).ok().flatten();
                let same_kind = now.as_ref().is_some_and(|now| now.kind == *kind || *kind == Kind::Other);
                let base = now.filter(|_| same_kind).unwrap_or(Stat {
                    kind: kind.clone(),
                    mode: if content.as_ref().is_some_and(|text| text.secret) { 0o600 } else { 0o644 },
                    uid: None,
                    gid: None,
                    size: 0,
                    mtime: 0,
                    id: (0, 0),
                    nlink: 1,
                    detail: Detail::default(),
                });
                let placed = self.preview.placed.get(path).map(|blob| blob.size);
                let size = content.as_ref().map(|text| text.bytes.len() as u64).or(placed).unwrap_or(base.size);
                Ok(Some(Stat { mode: mode.unwrap_or(base.mode), size, ..base }))
            }
        }
    }

    /// With the owner that is pending; an account that does not exist yet has no number.
    fn owned(&self, path: &Path, stat: Stat) -> Stat {
        let Some(Owner { user, group }) = self.preview.owners.get(path) else { return stat };
        let id = |name: &String, look: &dyn Fn() -> Option<u32>| name.parse().ok().or_else(look);
        let uid = user.as_ref().map(|name| id(name, &|| self.user(name).ok().flatten()?.uid));
        let gid = group.as_ref().map(|name| id(name, &|| self.group(name).ok().flatten()?.gid));
        Stat { uid: uid.unwrap_or(stat.uid), gid: gid.unwrap_or(stat.gid), ..stat }
    }

    /// What can't be told of a path, since something that will be at it or above it is not known yet.
    fn unread<T>(&self, mut from: impl Iterator<Item = T>) -> Look<()>
    where
        T: AsRef<Path>,
    {
        let why = from.find_map(|path| self.preview.unread.get(path.as_ref()));
        why.map_or(Ok(()), |why| Err(Error::Unknown(why.clone())))
    }

    /// The newest pending fact that answers.
    fn fact<T>(&self, answer: impl Fn(&Fact) -> Option<T>) -> Option<T> {
        self.preview.facts.iter().rev().find_map(answer)
    }
}

impl Host for View<'_> {
    fn stat(&self, path: &Path) -> Look<Option<Stat>> {
        let stat = self.unowned_stat(path)?;
        Ok(stat.map(|stat| self.owned(path, stat)))
    }

    fn straight(&self, path: &Path) -> Look<Option<Stat>> {
        match self.preview.why() {
            None => self.of_host(self.host.straight(path)),
            Some(_) => Ok(None),
        }
    }

    fn access(&self, path: &Path) -> Look<u8> {
        match self.unowned_stat(path)? {
            Some(stat) if stat.detail != Detail::default() => self.of_host(self.host.access(path)),
            _ => Ok(0),
        }
    }

    fn read(&self, path: &Path) -> Look<Option<Vec<u8>>> {
        if let Some(blob) = self.preview.placed.get(path) {
            return self.host.blob(&blob.sha256).map(Some);
        }
        match self.preview.entry(path) {
            Some(Entry::Absent) => Ok(None),
            Some(Entry::Present { content: Some(text), .. }) => Ok(Some(text.bytes.clone())),
            Some(Entry::Present { .. }) | None => {
                self.unread(path.ancestors())?;
                self.of_host(self.host.read(path))
            }
        }
    }

    fn digest(&self, path: &Path, algorithm: Algorithm) -> Look<Option<String>> {
        match self.preview.placed.get(path) {
            Some(blob) if algorithm == Algorithm::Sha256 => return Ok(Some(blob.sha256.clone())),
            Some(blob) => return Ok(Some(algorithm.of(&self.host.blob(&blob.sha256)?))),
            None => {}
        }
        match self.preview.entry(path) {
            Some(Entry::Absent) => Ok(None),
            Some(Entry::Present { content: Some(text), .. }) => Ok(Some(algorithm.of(&text.bytes))),
            Some(Entry::Present { .. }) | None => {
                self.unread(path.ancestors())?;
                self.of_host(self.host.digest(path, algorithm))
            }
        }
    }

    fn list(&self, path: &Path) -> Look<Vec<PathBuf>> {
        self.unread(path.ancestors())?;
        let pending_dir = matches!(self.preview.entry(path), Some(Entry::Present { kind: Kind::Dir, .. }));
        let mut names: BTreeSet<PathBuf> = match self.host.list(path) {
            Ok(names) => self.of_host(Ok(names))?.into_iter().collect(),
            Err(_) if pending_dir => BTreeSet::new(),
            Err(error) => return self.of_host(Err(error)),
        };
        for (known, entry) in self.preview.paths.iter().filter(|(known, _)| known.parent() == Some(path)) {
            match entry {
                Entry::Absent => names.remove(known),
                Entry::Present { .. } => names.insert(known.clone()),
            };
        }
        Ok(names.into_iter().collect())
    }

    fn query(&self, command: &Command) -> Look<Output> {
        self.of_host(self.host.query(command))
    }

    fn sql(&self, at: &PgConn, query: &str, args: &[SqlArg]) -> Look<Rows> {
        let answer = self.of_host(self.host.sql(at, query, args))?;
        if let Some(why) = &self.preview.served {
            self.conditional.borrow_mut().get_or_insert_with(|| why.clone());
        }
        Ok(answer)
    }

    fn connects(&self, host: &str, port: u16) -> Look<bool> {
        self.of_host(self.host.connects(host, port))
    }

    fn blob(&self, sha256: &str) -> Look<Vec<u8>> {
        self.host.blob(sha256)
    }

    fn blobs(&self, sha256: &[&str]) -> Look<Vec<Vec<u8>>> {
        self.host.blobs(sha256)
    }

    fn user(&self, name: &str) -> Look<Option<User>> {
        let pending = self.fact(|fact| match fact {
            Fact::User(user) if user.name == name => Some(Some(user.clone())),
            Fact::NoUser(gone) if gone == name => Some(None),
            _ => None,
        });
        match pending {
            Some(answer) => Ok(answer),
            None => self.or_unknown(facts::user(self, name)?, Option::is_none),
        }
    }

    fn group(&self, name: &str) -> Look<Option<Group>> {
        let pending = self.fact(|fact| match fact {
            Fact::Group(group) if group.name == name => Some(Some(group.clone())),
            Fact::NoGroup(gone) if gone == name => Some(None),
            _ => None,
        });
        match pending {
            Some(answer) => Ok(answer),
            None => self.or_unknown(facts::group(self, name)?, Option::is_none),
        }
    }

    fn memberships(&self, user: &str) -> Look<BTreeSet<String>> {
        let mut groups = facts::memberships(self, user)?;
        for fact in &self.preview.facts {
            match fact {
                Fact::Group(group) if group.members.iter().any(|member| member == user) => {
                    groups.insert(group.name.clone());
                }
                Fact::Group(Group { name, .. }) | Fact::NoGroup(name) => drop(groups.remove(name)),
                Fact::NoUser(gone) if gone == user => groups.clear(),
                _ => {}
            }
        }
        Ok(groups)
    }

    fn packages(&self, names: &[&str]) -> Look<BTreeMap<String, Package>> {
        let mut installed = facts::packages(self, names)?;
        for fact in &self.preview.facts {
            match fact {
                Fact::Package(package) if names.contains(&package.name.as_str()) => {
                    installed.insert(package.name.clone(), package.clone());
                }
                Fact::NoPackage(gone) => drop(installed.remove(gone)),
                _ => {}
            }
        }
        Ok(installed)
    }

    fn unit(&self, name: &str) -> Look<Unit> {
        let pending = self.fact(|fact| match fact {
            Fact::Unit(unit) if unit.name == name => Some(unit.clone()),
            _ => None,
        });
        match pending {
            Some(unit) => Ok(unit),
            None => {
                let unit = facts::unit(self, name)?;
                let written = self.preview.paths.iter().find_map(|(path, entry)| match entry {
                    Entry::Present { content: Some(text), .. } if unit.is_defined_by(path) => Some(text),
                    _ => None,
                });
                match written {
                    Some(text) => Ok(unit.redefined(&text.bytes)),
                    None => self.or_unknown(unit, |unit| unit.load == "not-found"),
                }
            }
        }
    }
}

/// Bytes in lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    #[test]
    fn what_a_program_puts_at_a_path_is_not_known_yet() {
        let host = Fake::new().dir("/src", 0o755).file("/file", "old", 0o600);
        let makes = vec![Fact::Path("/src".into(), Kind::Dir, 0o755), Fact::Path("/file".into(), Kind::File, 0o644)];
        let command = Command::new("git", ["clone"]);
        let run = Edit::Run { command, effect: Vec::new(), makes, reach: Reach::Stated, progress: None };
        let write = Edit::Write {
            path: "/src/own".into(),
            before: None,
            after: Text::plain("mine"),
            mode: None,
            owner: Owner::default(),
        };
        let mut preview = Preview::default();
        preview.record("clone", &Plan::nothing().with(run));
        preview.record("write", &Plan::nothing().with(write));
        let view = preview.over(&host);
        let unknown = |error: Error| error.to_string();
        assert!(view.stat(Path::new("/src")).unwrap().is_some_and(|stat| stat.is_dir()));
        assert!(view.stat(Path::new("/file")).unwrap().is_some_and(|stat| stat.is_file()));
        assert_eq!(view.read(Path::new("/src/own")).unwrap(), Some(b"mine".to_vec()));
        assert_eq!(view.read(Path::new("/file")).map_err(unknown), Err("known after clone".into()));
        assert_eq!(view.stat(Path::new("/src/a/b")).map_err(unknown), Err("known after clone".into()));
        assert_eq!(view.list(Path::new("/src")).map_err(unknown), Err("known after clone".into()));
        assert!(view.conditional().is_none());
    }

    #[test]
    fn what_a_statement_reaches_is_conditional() {
        let host = Fake::new().file("/etc/conf", "x", 0o644).rows("SELECT 1", vec![vec![1.into()]]);
        let table = [(Reach::Stated, false, false), (Reach::Server, false, true), (Reach::Anything, true, true)];
        for (reach, of_files, of_servers) in table {
            let (at, statement) = (PgConn::default(), "CREATE ROLE bob".to_owned());
            let edit = Edit::Sql { at, statement, args: Vec::new(), autocommit: false, reach, effect: Vec::new() };
            let mut preview = Preview::default();
            preview.record("a role", &Plan::nothing().with(edit));
            let view = preview.over(&host);
            view.read(Path::new("/etc/conf")).unwrap();
            assert_eq!(view.conditional().is_some(), of_files, "{reach:?}");
            view.sql(&PgConn::default(), "SELECT 1", &[]).unwrap();
            assert_eq!(view.conditional().is_some(), of_servers, "{reach:?}");
        }
    }
}
