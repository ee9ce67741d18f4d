//! `file`: a directory, a link, an empty file, or nothing at a path; owners and permissions.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::common::{self, Attributes};
use crate::edit::{Diff, Edit, Owner, Reach, Shown, Text};
use crate::host::{Command, Error, Host, Kind, Stat};
use crate::module::Module;
use crate::param::Mode;
use crate::plan::Plan;

/// Sees to it that a path is a directory, a link, a file or nothing, with these owners and permissions.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FileModule {
    /// The path, absolute.
    #[schemars(extend("aliases" = ["dest", "name"]))]
    path: PathBuf,
    /// What it shall be. Without it, what it is: only owners and permissions are set.
    state: Option<State>,
    /// Permission bits.
    mode: Option<Mode>,
    /// The owner, by name or number.
    owner: Option<String>,
    /// The group, by name or number.
    group: Option<String>,
    /// Where a link points.
    src: Option<PathBuf>,
    /// With `state: directory`, whether owners and permissions hold for everything below, too.
    #[serde(default)]
    recurse: bool,
    /// Whether a link may replace a file or an empty directory, and may point to nothing.
    #[serde(default)]
    force: bool,
}

#[derive(Clone, Copy, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum State {
    /// It must exist; only owners and permissions are set.
    File,
    /// A directory; those above it are made too, with the same owners and permissions.
    Directory,
    /// Nothing. A directory is removed with all that is in it.
    Absent,
    /// A symbolic link to `src`.
    Link,
    /// A hard link to `src`.
    Hard,
    /// A file, made empty if there is none. Unlike Ansible's, this leaves the times of one that exists alone.
    Touch,
}

impl Module for FileModule {
    const NAME: &'static str = "file";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let plan = match self.state {
            None if self.recurse => self.directory(host)?,
            None | Some(State::File) => self.existing(host)?,
            Some(State::Directory) => self.directory(host)?,
            Some(State::Absent) => self.absent(host)?,
            Some(State::Link) => self.link(host)?,
            Some(State::Hard) => self.hard(host)?,
            Some(State::Touch) => self.touch(host)?,
        };
        Ok(plan.returning("path", self.path.display().to_string()))
    }

    fn intent(&self) -> Vec<Diff> {
        let path = self.path.display().to_string();
        let state = match self.state {
            Some(State::Directory) => Some(Diff::new(&path, "state", Shown::Unknown, "directory")),
            Some(State::Absent) => Some(Diff::new(&path, "state", Shown::Unknown, Shown::Absent)),
            Some(State::Touch) => Some(Diff::new(&path, "state", Shown::Unknown, "file")),
            Some(State::Link | State::Hard) => {
                let target = self.src.as_ref().map(|src| src.display().to_string());
                Some(Diff::new(&path, "link", Shown::Unknown, target))
            }
            None | Some(State::File) => None,
        };
        state.into_iter().chain(self.attributes().intent(&self.path)).collect()
    }
}

impl FileModule {
    fn attributes(&self) -> Attributes<'_> {
        Attributes { mode: self.mode.as_ref(), owner: self.owner.as_deref(), group: self.group.as_deref() }
    }

    fn existing(&self, host: &dyn Host) -> Result<Plan, Error> {
        let (path, now) = common::resolve(host, &self.path)?;
        match now {
            Some(now) if self.state.is_none() || !now.is_dir() => self.attribute(host, &path, &now),
            Some(_) => Err(self.refused("is a directory, not a file")),
            None => Err(self.refused("does not exist")),
        }
    }

    fn attribute(&self, host: &dyn Host, path: &Path, now: &Stat) -> Result<Plan, Error> {
        Ok(Plan { edits: self.attributes().edits(host, path, now)?, ..Plan::default() })
    }

    fn directory(&self, host: &dyn Host) -> Result<Plan, Error> {
        let (path, now) = common::resolve(host, &self.path)?;
        match now {
            Some(now) if now.is_dir() => {
                let mut plan = self.attribute(host, &path, &now)?;
                if self.recurse {
                    self.below(host, &path, &mut plan)?;
                }
                Ok(plan)
            }
            Some(_) => Err(self.refused("exists and is not a directory")),
            None => self.make_directories(host, &path),
        }
    }

    fn below(&self, host: &dyn Host, directory: &Path, plan: &mut Plan) -> Result<(), Error> {
        for path in host.list(directory)? {
            let Some(now) = host.stat(&path)? else { continue };
            plan.edits.extend(self.attributes().edits(host, &path, &now)?);
            if now.is_dir() {
                self.below(host, &path, plan)?;
            }
        }
        Ok(())
    }

    fn make_directories(&self, host: &dyn Host, path: &Path) -> Result<Plan, Error> {
        let owner = self.attributes().owner(host)?;
        let mode = self.mode.as_ref().map(|mode| mode.over(0o755, &Kind::Dir));
        let mut missing = Vec::new();
        for above in path.ancestors() {
            match host.stat(above)? {
                None => missing.push(above),
                Some(stat) if stat.is_dir() => break,
                Some(_) => {
                    return Err(Error::refused(
                        above.display().to_string(),
                        "is not a directory",
                        "remove it, or choose another path",
                    ));
                }
            }
        }
        let dir = |path: &Path| Edit::Dir { path: path.into(), mode, owner: owner.clone() };
        Ok(Plan { edits: missing.into_iter().rev().map(dir).collect(), ..Plan::default() })
    }

    fn absent(&self, host: &dyn Host) -> Result<Plan, Error> {
        let (path, now) = common::resolve_parent(host, &self.path)?;
        if path.parent().is_none() {
            return Err(self.refused("is the root directory"));
        }
        Ok(now.map_or_else(Plan::nothing, |now| Plan::nothing().with(Edit::Remove { path, before: now.kind })))
    }

    fn link(&self, host: &dyn Host) -> Result<Plan, Error> {
        let src = self.src.clone().ok_or_else(|| Error::param("src", "is missing: where shall the link point?"))?;
        let (path, now) = common::resolve_parent(host, &self.path)?;
        let target = path.parent().unwrap_or(&path).join(&src);
        if !self.force && host.stat(&target)?.is_none() {
            let hint = "make it first, or say `force: true` for a link to nothing";
            return Err(Error::refused(target.display().to_string(), "does not exist", hint));
        }
        let mut plan = Plan::nothing().returning("src", src.display().to_string());
        if self.mode.is_some() {
            plan.warnings.push("a symbolic link has no permissions of its own; `mode` has no effect".into());
        }
        let before = match now {
            Some(Stat { kind: Kind::Link(before), .. }) => Some(before),
            Some(now) => {
                plan.edits.push(self.make_way(host, &path, &now)?);
                None
            }
            None => None,
        };
        if before.as_ref() != Some(&src) {
            plan.edits.push(Edit::Link { path: path.clone(), before, after: src });
        }
        self.own_link(host, &path, plan)
    }

    fn own_link(&self, host: &dyn Host, path: &Path, mut plan: Plan) -> Result<Plan, Error> {
        let attributes = Attributes { mode: None, ..self.attributes() };
        match host.stat(path)?.filter(|now| now.is_link() && plan.is_empty()) {
            Some(now) => plan.edits.extend(attributes.edits(host, path, &now)?),
            // A link that is replaced is a new one, of the agent's user.
            None if self.owner.is_some() || self.group.is_some() => {
                let after = attributes.owner(host)?;
                plan.edits.push(Edit::Owner { path: path.into(), before: Owner::default(), after });
            }
            None => {}
        }
        Ok(plan)
    }

    /// What a link may replace: only with `force`, and never a directory that holds something.
    fn make_way(&self, host: &dyn Host, path: &Path, now: &Stat) -> Result<Edit, Error> {
        if now.is_dir() && !host.list(path)?.is_empty() {
            return Err(self.refused("is a directory that is not empty"));
        }
        if !self.force {
            let hint = "say `force: true` to replace it";
            return Err(Error::refused(path.display().to_string(), "exists and is not a link", hint));
        }
        Ok(Edit::Remove { path: path.into(), before: now.kind.clone() })
    }

    fn hard(&self, host: &dyn Host) -> Result<Plan, Error> {
        let src = self.src.clone().ok_or_else(|| Error::param("src", "is missing: what shall be linked?"))?;
        let (src, source) = common::resolve(host, &src)?;
        let (path, now) = common::resolve_parent(host, &self.path)?;
        let Some(source) = source else {
            return Err(Error::path("link", src, "No such file or directory"));
        };
        let mut plan = Plan::nothing();
        if let Some(now) = now {
            if now.id == source.id {
                return self.attribute(host, &path, &now);
            }
            plan.edits.push(self.make_way(host, &path, &now)?);
        }
        let (from, to) = (src.display().to_string(), path.display().to_string());
        let effect = vec![Diff::new(&to, "link", Shown::Absent, from.as_str())];
        let command = Command::new("ln", ["-T", "--", &from, &to]);
        plan = plan.with(Edit::Run { command, effect, makes: Vec::new(), reach: Reach::Stated, progress: None });
        plan.edits.extend(self.attributes().edits(host, &path, &source)?);
        Ok(plan)
    }

    fn touch(&self, host: &dyn Host) -> Result<Plan, Error> {
        let (path, now) = common::resolve(host, &self.path)?;
        match now {
            Some(now) => self.attribute(host, &path, &now),
            None => {
                let (after, attributes) = (Text::plain(""), self.attributes());
                common::Wanted { path, now, after, attributes, backup: false, validate: None }.plan(host)
            }
        }
    }

    fn refused(&self, reason: &str) -> Error {
        Error::Refused { subject: self.path.display().to_string(), reason: reason.into(), hint: None }
    }
}
