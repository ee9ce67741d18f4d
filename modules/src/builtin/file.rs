//! `file`: a directory, a link, an empty file, or nothing at a path; owners and permissions.

mod times;

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use self::times::Times;
use super::common::{self, Attributes};
use crate::edit::{Diff, Edit, Owner, Reach, Shown, Text};
use crate::host::{Command, Error, Host, Kind, Stat};
use crate::module::Module;
use crate::plan::Plan;

with_file_parameters! {
    /// Sees to it that a path is a directory, a link, a file or nothing, with these owners and permissions.
    #[derive(Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    pub(super) struct FileModule {
        /// The path, absolute.
        #[schemars(extend("aliases" = ["dest", "name"]))]
        path: PathBuf,
        /// What it shall be. Without it, what it is: only owners and permissions are set.
        state: Option<State>,
        /// Where a link points.
        src: Option<PathBuf>,
        /// With `state: directory`, whether owners and permissions hold for everything below, too.
        #[serde(default)]
        recurse: bool,
        /// Whether a link may replace a file or an empty directory, and may point to nothing.
        #[serde(default)]
        force: bool,
        /// When the content was last changed: `now`, `preserve`, or a time as `modification_time_format` has it, in the host's
        /// zone. `preserve` by default, and `now` with `state: touch`, which then changes something each time.
        modification_time: Option<String>,
        /// How `modification_time` is written, as strptime(3) has it: with `%Y`, `%m`, `%d`, `%H`, `%M`, `%S`.
        #[serde(default = "times::format")]
        modification_time_format: String,
        /// The same for when it was last read.
        access_time: Option<String>,
        /// How `access_time` is written.
        #[serde(default = "times::format")]
        access_time_format: String,
        /// Whether a link that `path` names is followed to what has owners and permissions set. Always so for files and
        /// directories; never for links.
        #[serde(default = "common::yes")]
        #[expect(dead_code, reason = "it is what is done")]
        follow: bool,
    }
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
    /// A file, made empty if there is none; its times are set to now.
    Touch,
}

impl Module for FileModule {
    const NAME: &'static str = "file";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let plan = self.of_state(host).map_err(|error| error.telling("path", self.path.display().to_string()))?;
        let named = plan.data.contains_key("path") || plan.data.contains_key("dest");
        Ok(if named { plan } else { plan.returning("path", self.path.display().to_string()) })
    }

    fn converges(&self) -> bool {
        !self.times().now()
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
    fn of_state(&self, host: &dyn Host) -> Result<Plan, Error> {
        if self.recurse && !matches!(self.state, None | Some(State::Directory)) {
            let error = Error::param("recurse", "is for directories; say `state: directory`");
            return Err(error.telling("msg", "recurse option requires state to be 'directory'"));
        }
        if self.src.is_some() && !matches!(self.state, Some(State::Link | State::Hard)) {
            let error = Error::param("src", "is for links; say `state: link` or `state: hard`");
            return Err(error.telling("msg", "src option requires state to be 'link' or 'hard'"));
        }
        let plan = match self.state {
            None if self.recurse => self.directory(host)?,
            None | Some(State::File) => self.existing(host)?,
            Some(State::Directory) => self.directory(host)?,
            Some(State::Absent) => self.absent(host)?,
            Some(State::Link) => self.link(host)?,
            Some(State::Hard) => self.hard(host)?,
            Some(State::Touch) => self.touch(host)?,
        };
        Ok(plan)
    }

    fn times(&self) -> Times<'_> {
        let default = if self.state == Some(State::Touch) { "now" } else { "preserve" };
        let time = |value: &'_ Option<String>| value.as_deref().unwrap_or(default).to_owned();
        Times {
            modification: (time(&self.modification_time), &self.modification_time_format),
            access: (time(&self.access_time), &self.access_time_format),
        }
    }

    fn existing(&self, host: &dyn Host) -> Result<Plan, Error> {
        let (path, now) = common::resolve(host, &self.path)?;
        match now {
            Some(now) if self.state.is_none() || !now.is_dir() => self.attribute(host, &path, &now),
            Some(_) => Err(self
                .refused(
                    "is a directory, not a file",
                    &format!("file ({}) is directory, cannot continue", path.display()),
                )
                .telling("state", "directory")),
            None => Err(self
                .refused("does not exist", &format!("file ({}) is absent, cannot continue", path.display()))
                .telling("state", "absent")),
        }
    }

    fn attribute(&self, host: &dyn Host, path: &Path, now: &Stat) -> Result<Plan, Error> {
        let mut plan = Plan { edits: self.attributes().edits(host, path, now)?, ..Plan::default() };
        plan.edits.extend(self.times().edits(host, path, Some(now))?);
        // As Ansible has it: without `state`, what is there is told of as what it is; else a link is followed in that, too.
        let link = match host.stat(&self.path)?.map(|stat| stat.kind) {
            Some(Kind::Link(target)) => Some(target),
            _ => None,
        };
        Ok(match (self.state, link) {
            (None, Some(target)) if !self.recurse => Plan { data: self.linked(&target).data, ..plan },
            (None, None) if now.is_file() && now.nlink > 1 => {
                plan.returning("dest", self.path.display().to_string()).returning("src", Value::Null)
            }
            (_, Some(_)) => plan.returning("path", path.display().to_string()),
            (_, None) => plan,
        })
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
            Some(_) => {
                Err(self
                    .refused("exists and is not a directory", &format!("{} already exists as a file", path.display())))
            }
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
                    let above = above.display().to_string();
                    let msg = format!(
                        "There was an issue creating {} as requested: [Errno 20] Not a directory: b'{}'",
                        path.display(),
                        path.display()
                    );
                    return Err(Error::refused(above, "is not a directory", "remove it, or choose another path")
                        .telling("msg", msg));
                }
            }
        }
        let dir = |path: &Path| Edit::Dir { path: path.into(), mode, owner: owner.clone() };
        Ok(Plan { edits: missing.into_iter().rev().map(dir).collect(), ..Plan::default() })
    }

    fn absent(&self, host: &dyn Host) -> Result<Plan, Error> {
        let (path, now) = common::resolve_parent(host, &self.path)?;
        if path.parent().is_none() {
            return Err(self.refused("is the root directory", "rmtree failed: refusing to remove the root directory"));
        }
        let plan = now.map_or_else(Plan::nothing, |now| Plan::nothing().with(Edit::Remove { path, before: now.kind }));
        Ok(plan.returning("state", "absent"))
    }

    fn link(&self, host: &dyn Host) -> Result<Plan, Error> {
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

    fn hard(&self, host: &dyn Host) -> Result<Plan, Error> {
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

    fn touch(&self, host: &dyn Host) -> Result<Plan, Error> {
        let (path, now) = common::resolve(host, &self.path)?;
        let plan = match now {
            Some(now) => self.attribute(host, &path, &now)?,
            None => {
                let (after, attributes) = (Text::plain(""), self.attributes());
                let wanted =
                    common::Wanted { path: path.clone(), now, after, attributes, backup: false, validate: None };
                let mut plan = wanted.plan(host)?;
                plan.edits.extend(self.times().edits(host, &path, None)?);
                plan
            }
        };
        let data = Plan::nothing().returning("dest", self.path.display().to_string()).data;
        Ok(Plan { data, ..plan })
    }

    /// What is told of a link.
    fn linked(&self, src: &Path) -> Plan {
        Plan::nothing().returning("dest", self.path.display().to_string()).returning("src", src.display().to_string())
    }

    fn refused(&self, reason: &str, msg: &str) -> Error {
        let subject = self.path.display().to_string();
        Error::Refused { subject, reason: reason.into(), hint: None }.telling("msg", msg)
    }
}
