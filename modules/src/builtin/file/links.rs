//! Symbolic and hard links.

use std::path::Path;

use super::super::common::{self, Attributes};
use super::{FileModule, State};
use crate::edit::{Diff, Edit, Owner, Reach, Shown};
use crate::host::{Command, Error, Host, Kind, Stat};
use crate::plan::Plan;

impl FileModule {
    pub(super) fn link(&self, host: &dyn Host) -> Result<Plan, Error> {
        let (path, now) = common::resolve_parent(host, &self.path)?;
        // Without `src`, a link that is there stays as it is.
        let src = match (&self.src, &now) {
            (Some(src), _) => src.clone(),
            (None, Some(Stat { kind: Kind::Link(target), .. })) => target.clone(),
            (None, _) => {
                let error = Error::param("src", "is missing: where shall the link point?");
                return Err(error.telling("msg", "src is required for creating new symlinks"));
            }
        };
        let target = path.parent().unwrap_or(&path).join(&src);
        if !self.force && host.stat(&target)?.is_none() {
            let hint = "make it first, or say `force: true` for a link to nothing";
            let msg = format!(
                "src file does not exist, use 'force=yes' if you really want to create the link: {}",
                target.display()
            );
            let error = Error::refused(target.display().to_string(), "does not exist", hint).telling("msg", msg);
            return Err(error.telling("src", src.display().to_string()));
        }
        let mut plan = self.linked(&src);
        let before = match now {
            Some(Stat { kind: Kind::Link(before), .. }) => Some(before),
            Some(now) => {
                plan.edits.push(self.make_way(host, &path, &now)?);
                None
            }
            None => None,
        };
        let stays = before.as_ref() == Some(&src);
        if !stays {
            plan.edits.push(Edit::Link { path: path.clone(), before, after: src });
        }
        match self.follow {
            true => self.own_target(host, if stays { &path } else { &target }, plan),
            false => self.own_link(host, &path, plan),
        }
    }

    /// Sets owners, permissions and times of what a link points to.
    fn own_target(&self, host: &dyn Host, target: &Path, mut plan: Plan) -> Result<Plan, Error> {
        let times = self.modification_time.is_some() || self.access_time.is_some();
        if self.mode.is_none() && self.owner.is_none() && self.group.is_none() && !times {
            return Ok(plan);
        }
        match common::resolve(host, target)? {
            (path, Some(now)) => {
                plan.edits.extend(self.attributes().edits(host, &path, &now)?);
                plan.edits.extend(self.times().edits(host, &path, Some(&now))?);
            }
            // In Ansible's words.
            (_, None) => plan.warnings.push(
                "Cannot set fs attributes on a non-existent symlink target. follow should be set to False to avoid this."
                    .into(),
            ),
        }
        Ok(plan)
    }

    fn own_link(&self, host: &dyn Host, path: &Path, mut plan: Plan) -> Result<Plan, Error> {
        if self.mode.is_some() {
            plan.warnings.push("a symbolic link has no permissions of its own; `mode` has no effect".into());
        }
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
            let msg = format!("the directory {} is not empty, refusing to convert it", path.display());
            return Err(self.refused("is a directory that is not empty", &msg));
        }
        if !self.force {
            let kind = if now.is_dir() {
                "directory"
            } else if now.nlink > 1 {
                "hard"
            } else {
                "file"
            };
            let msg = match self.state {
                Some(State::Hard) => format!("Cannot link, {kind} exists at destination"),
                _ => format!("refusing to convert from {kind} to symlink for {}", path.display()),
            };
            let hint = "say `force: true` to replace it";
            return Err(
                Error::refused(path.display().to_string(), "exists and is not a link", hint).telling("msg", msg)
            );
        }
        Ok(Edit::Remove { path: path.into(), before: now.kind.clone() })
    }

    pub(super) fn hard(&self, host: &dyn Host) -> Result<Plan, Error> {
        let src = self.src.clone().ok_or_else(|| {
            let error = Error::param("src", "is missing: what shall be linked?");
            error.telling("msg", "src is required for creating new hardlinks")
        })?;
        let written = src.clone();
        let (src, source) = common::resolve(host, &src)?;
        let (path, now) = common::resolve_parent(host, &self.path)?;
        let Some(source) = source else {
            let error = Error::path("link", src, "No such file or directory").telling("msg", "src does not exist");
            return Err(error.telling("src", written.display().to_string()));
        };
        let mut plan = self.linked(&written);
        if let Some(now) = now {
            if now.id == source.id {
                plan.edits = self.attribute(host, &path, &now)?.edits;
                return Ok(plan);
            }
            plan.edits.push(self.make_way(host, &path, &now)?);
        }
        let (from, to) = (src.display().to_string(), path.display().to_string());
        let effect = vec![Diff::new(&to, "link", Shown::Absent, from.as_str())];
        let command = Command::new("ln", ["-T", "--", &from, &to]);
        plan = plan.with(Edit::run(command, effect, Reach::Stated));
        plan.edits.extend(self.attributes().edits(host, &path, &source)?);
        Ok(plan)
    }

    /// What is told of a link.
    pub(super) fn linked(&self, src: &Path) -> Plan {
        Plan::nothing().returning("dest", self.path.display().to_string()).returning("src", src.display().to_string())
    }
}
