//! A directory of the controller, with all that is in it, as it shall be on the host.
//!
//! The controller sends a list of what is there. What differs is found out on the host, and only that travels: what can
//! be shown in one answer, all else in one stream, as the edits come to it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::builtin::common::{self, Attributes, Placed, Wanted};
use crate::edit::{Blob, Edit, Owner, Text};
use crate::host::{Error, Host, Kind, Stat};
use crate::param::Mode;
use crate::plan::Plan;

/// How many files a diff shows the content of, at the most: the first that have changed.
const SHOWN_FILES: usize = 20;

/// How long such a file may be, in bytes.
const SHOWN_SIZE: u64 = 16 << 10;

/// A file, a directory, or (with `link`) a symbolic link. Directories come before what is in them.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Leaf {
    /// Below the top.
    path: PathBuf,
    /// Of a file.
    sha256: Option<String>,
    /// Of a file, in bytes.
    size: Option<u64>,
    /// Of a file that shall keep its permission bits.
    mode: Option<u32>,
    /// Where a link points.
    link: Option<PathBuf>,
}

/// A directory as it shall be. What the host has beside is left alone.
pub(super) struct Tree<'a> {
    /// Where; made if it is not there, and so are those above it.
    pub dest: &'a Path,
    /// What is in it.
    pub leaves: &'a [Leaf],
    /// Of files; of directories only the owners.
    pub attributes: Attributes<'a>,
    /// Of directories that are made.
    pub directory_mode: Option<&'a Mode>,
    /// Whether files with other content are replaced.
    pub force: bool,
}

/// A directory of the host.
struct Dir {
    path: PathBuf,
    /// It will be made: there is nothing in it to look at.
    new: bool,
}

/// A file that is not there, or not as it shall be.
struct Due<'a> {
    path: PathBuf,
    now: Option<Stat>,
    content: Blob,
    mode: Option<&'a Mode>,
}

impl Tree<'_> {
    /// Directories first, then files, then links.
    pub(super) fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let mut plan = Plan::nothing();
        let preserved: Vec<Option<Mode>> = self.leaves.iter().map(|leaf| leaf.mode.map(Mode::Bits)).collect();
        let mut dirs = BTreeMap::from([(Path::new(""), self.top(host, &mut plan)?)]);
        let (mut due, mut links) = (Vec::new(), Vec::new());
        for (leaf, preserved) in self.leaves.iter().zip(&preserved) {
            let (mut path, mut now) = place(host, &dirs, &leaf.path)?;
            if leaf.link.is_none() && now.as_ref().is_some_and(Stat::is_link) {
                (path, now) = common::resolve(host, &path)?;
            }
            match (&leaf.link, &leaf.sha256) {
                (Some(target), _) => links.extend(link(path, now, target)?),
                (None, None) => drop(dirs.insert(&leaf.path, self.dir(host, path, now, &mut plan)?)),
                (None, Some(_)) if now.is_some() && !self.force => {}
                (None, Some(sha256)) => {
                    let size = leaf.size.unwrap_or_default();
                    let content = Blob { sha256: sha256.clone(), size, durable: false };
                    due.push(Due { path, now, content, mode: preserved.as_ref().or(self.attributes.mode) });
                }
            }
        }
        self.files(host, due, &mut plan)?;
        plan.edits.extend(links);
        Ok(plan)
    }

    /// The top itself.
    fn top(&self, host: &dyn Host, plan: &mut Plan) -> Result<Dir, Error> {
        let (path, now) = common::resolve(host, self.dest)?;
        let mut missing: Vec<&Path> = Vec::new();
        for above in path.ancestors().skip(1) {
            if host.stat(above)?.is_some() {
                break;
            }
            missing.push(above);
        }
        for above in missing.into_iter().rev() {
            self.dir(host, above.into(), None, plan)?;
        }
        self.dir(host, path, now, plan)
    }

    fn dir(&self, host: &dyn Host, path: PathBuf, now: Option<Stat>, plan: &mut Plan) -> Result<Dir, Error> {
        let Some(now) = now else {
            let mode = self.directory_mode.map(|mode| mode.over(0o755, &Kind::Dir));
            let owner = self.attributes.owner(host)?;
            plan.edits.push(Edit::Dir { path: path.clone(), mode, owner });
            return Ok(Dir { path, new: true });
        };
        match now.is_dir() {
            true => Ok(Dir { path, new: false }),
            false => Err(Error::path("copy a directory to", path, "it is not a directory")),
        }
    }

    /// The first ones with their content, as far as it may be shown; all others by their sizes.
    fn files(&self, host: &dyn Host, due: Vec<Due<'_>>, plan: &mut Plan) -> Result<(), Error> {
        let (mut changed, mut shown) = (Vec::new(), Vec::new());
        for file in due {
            let same = match &file.now {
                Some(now) if !now.is_file() => return Err(Error::path("write", file.path, "it is not a regular file")),
                // Another size is other content: then there is no need to read it.
                Some(now) if now.size == file.content.size => {
                    host.sha256(&file.path)?.as_ref() == Some(&file.content.sha256)
                }
                _ => false,
            };
            match (same, &file.now) {
                (true, Some(now)) => plan.edits.extend(self.of(&file).edits(host, &file.path, now)?),
                _ if shown.len() < SHOWN_FILES && file.content.size <= SHOWN_SIZE => shown.push(file),
                _ => changed.push(file),
            }
        }
        let wanted: Vec<&str> = shown.iter().map(|file| file.content.sha256.as_str()).collect();
        let contents = host.blobs(&wanted)?;
        for (file, bytes) in shown.into_iter().zip(contents) {
            plan.edits.extend(self.written(host, file, Text::plain(bytes))?);
        }
        for file in changed {
            plan.edits.extend(self.placed(host, file)?);
        }
        Ok(())
    }

    fn of<'b>(&'b self, file: &Due<'b>) -> Attributes<'b> {
        Attributes { mode: file.mode, ..self.attributes }
    }

    fn written(&self, host: &dyn Host, file: Due<'_>, after: Text) -> Result<Vec<Edit>, Error> {
        let attributes = self.of(&file);
        if file.now.is_none() {
            let (mode, owner) = self.fresh(host, &file)?;
            return Ok(vec![Edit::Write { path: file.path, before: None, after, mode, owner }]);
        }
        let wanted = Wanted { path: file.path, now: file.now, after, attributes, backup: false, validate: None };
        Ok(wanted.plan(host)?.edits)
    }

    fn placed(&self, host: &dyn Host, file: Due<'_>) -> Result<Vec<Edit>, Error> {
        let attributes = self.of(&file);
        if file.now.is_none() {
            let (mode, owner) = self.fresh(host, &file)?;
            return Ok(vec![Edit::Place { path: file.path, before: None, after: file.content, mode, owner }]);
        }
        let placed = Placed { path: file.path, now: file.now, content: file.content, attributes };
        Ok(placed.plan(host)?.edits)
    }

    /// What a new file gets.
    fn fresh(&self, host: &dyn Host, file: &Due<'_>) -> Result<(Option<u32>, Owner), Error> {
        Ok((file.mode.map(|mode| mode.over(0o644, &Kind::File)), self.attributes.owner(host)?))
    }
}

/// Where something goes, and what is there.
fn place(host: &dyn Host, dirs: &BTreeMap<&Path, Dir>, path: &Path) -> Result<(PathBuf, Option<Stat>), Error> {
    let parent = path.parent().unwrap_or(Path::new(""));
    let (Some(dir), Some(name)) = (dirs.get(parent), path.file_name()) else {
        return Err(Error::Failed(format!("{} comes before its directory", path.display())));
    };
    let path = dir.path.join(name);
    let now = if dir.new { None } else { host.stat(&path)? };
    Ok((path, now))
}

fn link(path: PathBuf, now: Option<Stat>, target: &Path) -> Result<Option<Edit>, Error> {
    let before = match now.map(|now| now.kind) {
        Some(Kind::Link(before)) if before == target => return Ok(None),
        Some(Kind::Link(before)) => Some(before),
        None => None,
        Some(_) => return Err(Error::path("link", path, "something that is no link is there")),
    };
    Ok(Some(Edit::Link { path, before, after: target.into() }))
}
