//! `ini_file`: a setting in a file of sections.

mod lines;

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use self::lines::{Change, Lines};
use super::common::{self, Wanted};
use super::state::State;
use crate::edit::{Diff, Shown, Text};
use crate::host::{Error, Host};
use crate::module::Module;
use crate::param::Content;
use crate::plan::Plan;

with_file_parameters! {
    /// An option of a section (`[section]`, `option = value`), or a whole section. Other lines and comments stay. A line that has
    /// the option as a comment becomes the option.
    #[derive(Deserialize, JsonSchema)]
    #[schemars(extend("exclusive" = ["value|values"]))]
    #[serde(deny_unknown_fields)]
    pub(super) struct IniFile {
        /// The file, absolute.
        #[schemars(extend("aliases" = ["dest"]))]
        path: PathBuf,
        /// The section; without one, what stands before the first.
        section: Option<String>,
        /// Which of several sections of that name: the one that has these options.
        #[serde(default)]
        section_has_values: Vec<Having>,
        /// The option; without one, the section itself.
        option: Option<String>,
        /// Its value. May be secret: then nothing of the file is shown.
        value: Option<Content>,
        /// Its values, where an option may stand there several times.
        values: Option<Vec<Content>>,
        /// Whether it is there.
        #[serde(default)]
        state: State,
        /// Whether other lines of the option go.
        #[serde(default = "common::yes")]
        exclusive: bool,
        /// Whether a new line is written without blanks around `=`.
        #[serde(default)]
        no_extra_spaces: bool,
        /// Whether a line stays that differs only by blanks.
        #[serde(default)]
        ignore_spaces: bool,
        /// Whether the option may stand there without `=` and a value.
        #[serde(default)]
        allow_no_value: bool,
        /// Whether a line that has the option as a comment becomes the option.
        #[serde(default = "common::yes")]
        modify_inactive_option: bool,
        /// Whether a file that is not there is made, and its directory.
        #[serde(default = "common::yes")]
        create: bool,
        /// Whether a symbolic link at `path` is followed. Without it, the file takes the place of the link.
        #[serde(default)]
        follow: bool,
        /// Whether to keep the old content beside the file, as `path.HASH.bak`.
        #[serde(default)]
        backup: bool,
    }
}

/// An option that a section has.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Having {
    /// Its name.
    option: String,
    /// Its value; any by default.
    value: Option<String>,
    /// Values, of which it has one.
    values: Option<Vec<String>>,
}

impl Having {
    fn values(&self) -> &[String] {
        self.value.as_ref().map(std::slice::from_ref).or(self.values.as_deref()).unwrap_or_default()
    }
}

impl Module for IniFile {
    const NAME: &'static str = "ini_file";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let values = self.values()?;
        let (real, there) = common::resolve(host, &self.path)?;
        if there.is_none() && !self.create {
            let path = self.path.display().to_string();
            let msg = format!("Destination {path} does not exist!");
            let error = Error::refused(path, "does not exist", "make it by an earlier task, or say `create: true`");
            return Err(error.telling("msg", msg).telling("rc", 257));
        }
        if let Some(now) = there.as_ref().filter(|now| !now.is_file()) {
            return Err(common::no_regular_file(&self.path, now));
        }
        let before = common::text(host, &real)?;
        let change = self.edited(&before, &values);
        let attributes = self.attributes();
        let mut plan = match change.text {
            None => match &there {
                Some(now) => Plan { edits: attributes.edits(host, &real, now)?, ..Plan::nothing() },
                None => Plan::nothing(),
            },
            Some(text) => {
                let (path, now) = if self.follow { (real, there) } else { common::resolve_parent(host, &self.path)? };
                let (unlink, now) = common::unlinked(&path, now);
                let secret = self.value.iter().chain(self.values.iter().flatten()).any(|value| value.0.secret);
                let after = Text { bytes: text.into_bytes(), secret };
                let wanted = Wanted { path, now, after, attributes, backup: self.backup, validate: None };
                let mut plan = wanted.plan_below(host)?;
                plan.edits.splice(..0, unlink);
                plan
            }
        };
        plan.data.insert("msg".into(), change.said.into());
        Ok(plan.returning("path", self.path.display().to_string()))
    }

    fn intent(&self) -> Vec<Diff> {
        let section = self.section.as_deref().unwrap_or_default();
        let aspect = format!("[{section}] {}", self.option.as_deref().unwrap_or_default());
        let after = match (self.state, &self.value) {
            (State::Absent, _) => Shown::Absent,
            (State::Present, Some(value)) => Shown::from(&value.0),
            (State::Present, None) => Shown::Unknown,
        };
        let diff = Diff::new(self.path.display().to_string(), aspect.trim_end(), Shown::Unknown, after);
        std::iter::once(diff).chain(self.attributes().intent(&self.path)).collect()
    }
}

impl IniFile {
    /// Each once.
    fn values(&self) -> Result<Vec<&str>, Error> {
        let said = |error: Error, msg: &str| Err(error.telling("msg", msg));
        let given = match (&self.value, &self.values) {
            (Some(_), Some(_)) => {
                let error = Error::param("values", "there is a `value` too; give one of them");
                return said(error, "parameters are mutually exclusive: value|values");
            }
            (Some(value), None) => std::slice::from_ref(value),
            (None, values) => values.as_deref().unwrap_or_default(),
        };
        if self.state == State::Present && !self.allow_no_value && given.is_empty() {
            let error = Error::param("value", "is missing: what shall the option be?");
            return said(error, "Parameter 'value(s)' must be defined if state=present and allow_no_value=False.");
        }
        let mut values: Vec<&str> = Vec::new();
        for value in given.iter().map(Content::as_str) {
            if !values.contains(&value) {
                values.push(value);
            }
        }
        Ok(values)
    }

    fn edited(&self, before: &str, values: &[&str]) -> Change {
        let mut lines = Lines::read(before);
        let had = lines.find(self.section.as_deref(), &|section| {
            self.section_has_values.iter().all(|having| lines::has(section, &having.option, having.values()))
        });
        match (self.state, &self.option) {
            (State::Present, option) => {
                lines.ensure(option.as_deref(), values, self);
                if !had {
                    lines.add(self, values);
                }
            }
            (State::Absent, Some(option)) => lines.without(option, values, self.exclusive),
            (State::Absent, None) => lines.drop_section(),
        }
        lines.done()
    }

    fn gives(&self, value: &str) -> bool {
        self.value.iter().chain(self.values.iter().flatten()).any(|given| given.as_str() == value)
    }

    fn separator(&self) -> &'static str {
        if self.no_extra_spaces { "=" } else { " = " }
    }
}
