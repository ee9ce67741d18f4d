//! `file_line`: one line of a file.

use std::borrow::Cow;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::common::{self, Wanted, regex};
use super::state::State;
use crate::edit::{Diff, Shown, Text};
use crate::host::{Error, Host, Stat};
use crate::module::Module;
use crate::param::Content;
use crate::plan::Plan;
use lines::{Anchor, Pattern, Pick};

mod lines;

with_file_parameters! {
    /// Sees to it that a line is in a file, or is not. With `regexp` or `search_string`, a line that matches is replaced; if
    /// none does, and the line is not there yet, it is added where `insertafter` or `insertbefore` say. A line that is there
    /// already is never added again. Owner, permissions and line ends stay.
    #[derive(Deserialize, JsonSchema)]
    #[schemars(extend("exclusive" = ["insertbefore|insertafter", "regexp|search_string", "backrefs|search_string"]))]
    #[serde(deny_unknown_fields)]
    pub(super) struct FileLine {
        /// The file, absolute.
        #[schemars(extend("aliases" = ["dest", "destfile", "name"]))]
        path: PathBuf,
        /// The line; several are added one after the other, unless they stand so already. May be secret: then nothing of the
        /// file is shown. With `state: absent` and a pattern it is not needed.
        #[schemars(extend("aliases" = ["value"]))]
        line: Option<Content>,
        /// A regular expression; what it matches is replaced or removed.
        #[schemars(extend("aliases" = ["regex"]))]
        regexp: Option<String>,
        /// The same, for a text that is part of the line.
        search_string: Option<String>,
        /// Whether the line shall be there. `absent` removes every line that matches.
        #[serde(default)]
        state: State,
        /// Which of several lines that match is meant: `last` by default. With `unique`, several are an error.
        #[serde(rename = "match")]
        pick: Option<Pick>,
        /// Add the line before the line that matches this regular expression, or at the beginning: `BOF`.
        insertbefore: Option<String>,
        /// Add the line after the line that matches this regular expression, or at the end: `EOF`, the default.
        insertafter: Option<String>,
        /// Of several lines that match `insertbefore` or `insertafter`, take the first. `match: first` means that, too.
        #[serde(default)]
        firstmatch: bool,
        /// Whether `line` has references to groups of `regexp`, such as `\1`. Then nothing is added if nothing matches.
        #[serde(default)]
        backrefs: bool,
        /// Whether to make the file if there is none, and the directories above it.
        #[serde(default)]
        create: bool,
        /// Whether to keep the old content beside the file, as `path.HASH.bak`.
        #[serde(default)]
        backup: bool,
        /// A command that refuses bad content by its status, such as `visudo -cf %s`; `%s` is a file that holds it.
        validate: Option<String>,
    }
}

impl Module for FileLine {
    const NAME: &'static str = "file_line";
    const ALIASES: &'static [&'static str] = &["lineinfile"];

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let (path, now) = common::resolve(host, &self.path)?;
        let before = match &now {
            Some(now) => self.content(host, now)?,
            None if self.state == State::Absent => return Ok(Plan::nothing().returning("msg", "file not present")),
            None if self.create => String::new(),
            None => {
                let hint = "make it by an earlier task, or say `create: true`";
                let error = Error::refused(path.display().to_string(), "does not exist", hint);
                let msg = format!("Destination {} does not exist !", self.path.display());
                return Err(error.telling("msg", msg).telling("rc", 257));
            }
        };
        let after = match self.state {
            State::Present => self.present(&before)?,
            State::Absent => self.absent(&before)?.into(),
        };
        let same = matches!(after, Cow::Borrowed(_)) || after == before;
        let count = |text: &str| text.lines().count();
        let removed = if same { 0 } else { count(&before).saturating_sub(count(&after)) };
        let msg = match self.state {
            _ if same => String::new(),
            State::Present if count(&after) > count(&before) => "line added".into(),
            State::Present => "line replaced".into(),
            State::Absent => format!("{removed} line(s) removed"),
        };
        let secret = self.line.as_ref().is_some_and(|line| line.0.secret);
        let after = Text { bytes: after.into_owned().into_bytes(), secret };
        let (attributes, validate) = (self.attributes(), self.validate.as_deref());
        let wanted = Wanted { path, now, after, attributes, backup: self.backup, validate };
        let mut plan = if same { wanted.kept(host)? } else { wanted.plan_below(host)? };
        plan.warnings.extend(self.matches_all());
        // Ansible's name for it in this one module.
        let backup = plan.data.get("backup_file").cloned().unwrap_or_else(|| "".into());
        plan.data.insert("backup".into(), backup);
        let plan = common::edited(plan, &msg);
        Ok(if self.state == State::Absent { plan.returning("found", removed) } else { plan })
    }

    fn intent(&self) -> Vec<Diff> {
        let line = match (&self.line, &self.regexp, &self.search_string) {
            (Some(line), _, _) => Shown::from(&line.0),
            (None, Some(pattern), _) | (None, None, Some(pattern)) => Shown::from(pattern.as_str()),
            (None, None, None) => Shown::Unknown,
        };
        let (before, after) = match self.state {
            State::Present => (Shown::Unknown, line),
            State::Absent => (line, Shown::Absent),
        };
        let diff = Diff::new(self.path.display().to_string(), "line", before, after);
        std::iter::once(diff).chain(self.attributes().intent(&self.path)).collect()
    }

    fn explain(&self, _host: &dyn Host, error: &Error) -> Option<String> {
        common::refused_content(self.validate.as_deref(), error)
    }

    fn lament(&self, error: &Error) -> Option<String> {
        common::unvalidated(self.validate.as_deref(), error)
    }
}

impl FileLine {
    fn content(&self, host: &dyn Host, now: &Stat) -> Result<String, Error> {
        if !now.is_file() {
            return Err(common::no_regular_file(&self.path, now));
        }
        let bytes = host.read(&self.path)?.unwrap_or_default();
        String::from_utf8(bytes).map_err(|_| Error::path("edit", &self.path, "it is not UTF-8 text"))
    }

    fn present<'t>(&self, text: &'t str) -> Result<Cow<'t, str>, Error> {
        let line = self
            .line()
            .ok_or_else(|| Error::param("line", "is missing").telling("msg", "line is required with state=present"))?;
        if self.backrefs {
            let pattern = self.regexp.as_deref().map(|regexp| regex("regexp", regexp)).transpose()?;
            let pattern = pattern.ok_or_else(|| {
                let error = Error::param("regexp", "is missing; `backrefs` refers to its groups");
                error.telling("msg", "regexp is required with backrefs=true")
            })?;
            return lines::substitute(text, &pattern, line, self.pick()).map(Cow::Owned);
        }
        lines::ensure(text, line, &self.pattern()?, self.pick(), &self.anchor()?)
    }

    fn absent(&self, text: &str) -> Result<String, Error> {
        match self.pick {
            None | Some(Pick::All | Pick::Unique) => {
                lines::remove(text, &self.pattern()?, self.pick.unwrap_or(Pick::All))
            }
            Some(Pick::First | Pick::Last) => {
                Err(Error::param("match", "must be `all` or `unique` here: each run would remove one line more"))
            }
        }
    }

    /// In Ansible's words.
    fn matches_all(&self) -> Option<String> {
        let named = [("regular expression", &self.regexp), ("search string", &self.search_string)];
        let (name, _) = named.into_iter().find(|(_, pattern)| pattern.as_deref() == Some(""))?;
        let more = match self.regexp {
            Some(_) => " If this is desired, use '^' to match every line in the file and avoid this warning.",
            None => "",
        };
        Some(format!(
            "The {name} is an empty string, which will match every line in the file. This may have unintended \
             consequences, such as replacing the last line in the file rather than appending.{more}"
        ))
    }

    /// A newline at the end, as YAML's `|` leaves it, is not meant.
    fn line(&self) -> Option<&str> {
        self.line.as_ref().map(|line| line.as_str().trim_end_matches(['\r', '\n']))
    }

    fn pick(&self) -> Pick {
        self.pick.unwrap_or(Pick::Last)
    }

    fn pattern(&self) -> Result<Pattern<'_>, Error> {
        match (&self.regexp, &self.search_string, self.line()) {
            (Some(regexp), _, _) => Ok(Pattern::Regex(regex("regexp", regexp)?)),
            (None, Some(part), _) => Ok(Pattern::Part(part)),
            (None, None, Some(line)) => Ok(Pattern::Whole(line)),
            (None, None, None) => Err(Error::param("line", "is missing; give `line`, `regexp` or `search_string`")
                .telling("msg", "one of line, search_string, or regexp is required with state=absent")),
        }
    }

    fn anchor(&self) -> Result<Anchor, Error> {
        let pick = if self.firstmatch { Pick::First } else { self.pick() };
        match (self.insertbefore.as_deref(), self.insertafter.as_deref()) {
            (Some("BOF"), _) => Ok(Anchor::Start),
            (None, None | Some("EOF")) => Ok(Anchor::End),
            (Some(before), _) => Ok(Anchor::Before(regex("insertbefore", before)?, pick)),
            (None, Some(after)) => Ok(Anchor::After(regex("insertafter", after)?, pick)),
        }
    }
}
