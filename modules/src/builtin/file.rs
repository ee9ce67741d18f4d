//! `file`: a directory, a link, an empty file, or nothing at a path; owners and permissions.

mod links;
mod times;

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use self::times::Times;
use super::common;
use crate::edit::{Diff, Edit, Shown, Text};
use crate::host::{Error, Host, Kind, Stat};
use crate::module::Module;
use crate::plan::Plan;

with_file_parameters! {
    /// Sees to it that a path is a directory, a link, a file or nothing, with these owners and permissions.
    #[derive(Clone, Deserialize, JsonSchema)]
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
        /// Whether owners, permissions and times of a link are those of what it points to. For files and directories always
        /// so.
        #[serde(default = "common::yes")]
        follow: bool,
        /// Only look whether what is there appears to be no text, as Ansible's own actions ask: registered as
        /// `appears_binary`.
        #[serde(rename = "_diff_peek")]
        #[schemars(extend("internal" = true))]
        peek: Option<bool>,
    }
}

/// How far a file is looked at for what no text has.
const PEEK: usize = 8192;

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
        let path = self.place(host)?;
        let shown = path.display().to_string();
        if self.peek.is_some() {
            let content = host.read(&path).ok().flatten().unwrap_or_default();
            let appears_binary = content.iter().take(PEEK).any(|byte| *byte == 0);
            return Ok(Plan::nothing().returning("path", shown).returning("appears_binary", appears_binary));
        }
        let placed = Self { path, ..self.clone() };
        let plan = placed.of_state(host).map_err(|error| error.telling("path", shown.as_str()))?;
        let named = plan.data.contains_key("path") || plan.data.contains_key("dest");
        Ok(if named { plan } else { plan.returning("path", shown) })
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
    /// The path; below it, under the name of `src`, if it is a directory. As in Ansible, not so of a symbolic link.
    fn place(&self, host: &dyn Host) -> Result<PathBuf, Error> {
        let name = self.src.as_deref().and_then(Path::file_name);
        match name.filter(|_| !matches!(self.state, Some(State::Link | State::Absent))) {
            Some(name) if host.stat(&self.path.join("."))?.is_some_and(|now| now.is_dir()) => Ok(self.path.join(name)),
            _ => Ok(self.path.clone()),
        }
    }

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
        let made = missing.into_iter().rev().flat_map(|path: &Path| {
            let dir = Edit::Dir { path: path.into(), mode, owner: owner.clone() };
            [Some(dir), self.attributes().flags_edit(path)].into_iter().flatten()
        });
        Ok(Plan { edits: made.collect(), ..Plan::default() })
    }

    fn absent(&self, host: &dyn Host) -> Result<Plan, Error> {
        let (path, now) = common::resolve_parent(host, &self.path)?;
        if path.parent().is_none() {
            return Err(self.refused("is the root directory", "rmtree failed: refusing to remove the root directory"));
        }
        let plan = now.map_or_else(Plan::nothing, |now| Plan::nothing().with(Edit::Remove { path, before: now.kind }));
        Ok(plan.returning("state", "absent"))
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

    fn refused(&self, reason: &str, msg: &str) -> Error {
        let subject = self.path.display().to_string();
        Error::Refused { subject, reason: reason.into(), hint: None }.telling("msg", msg)
    }
}
