//! `file_block`: a block of lines between two marks.

use std::path::PathBuf;

use fancy_regex::{Match, Regex};
use schemars::JsonSchema;
use serde::Deserialize;

use super::common::{self, Wanted};
use super::state::State;
use crate::edit::{Diff, Shown, Text};
use crate::host::{Error, Host};
use crate::module::Module;
use crate::param::Content;
use crate::plan::Plan;

with_file_parameters! {
    /// Sees to it that a block of lines is in a file, or is not. Two lines mark it, by which it is found again: a file with
    /// several blocks needs a `marker` for each.
    #[derive(Deserialize, JsonSchema)]
    #[schemars(extend("exclusive" = ["insertbefore|insertafter"]))]
    #[serde(deny_unknown_fields)]
    pub(super) struct FileBlock {
        /// The file, absolute.
        #[schemars(extend("aliases" = ["dest", "destfile", "name"]))]
        path: PathBuf,
        /// The lines. May be secret: then nothing of the file is shown. Without any, the block is removed.
        #[schemars(extend("aliases" = ["content"]))]
        block: Option<Content>,
        /// Whether the block shall be there.
        #[serde(default)]
        state: State,
        /// The marking lines; `{mark}` in it is `marker_begin` or `marker_end`.
        #[serde(default = "marker")]
        marker: String,
        /// What marks the beginning.
        #[serde(default = "begin")]
        marker_begin: String,
        /// What marks the end.
        #[serde(default = "end")]
        marker_end: String,
        /// Add a new block before the last line that matches this regular expression, or at the beginning: `BOF`.
        insertbefore: Option<String>,
        /// Add a new block after the last line that matches this regular expression, or at the end: `EOF`, the default.
        insertafter: Option<String>,
        /// Whether an empty line shall be before the block.
        #[serde(default)]
        prepend_newline: bool,
        /// Whether an empty line shall be after the block.
        #[serde(default)]
        append_newline: bool,
        /// Whether to make the file if there is none.
        #[serde(default)]
        create: bool,
        /// Whether to keep the old content beside the file, as `path.HASH.bak`.
        #[serde(default)]
        backup: bool,
        /// A command that refuses bad content by its status, such as `visudo -cf %s`; `%s` is a file that holds it.
        validate: Option<String>,
    }
}

fn marker() -> String {
    "# {mark} ANSIBLE MANAGED BLOCK".into()
}

fn begin() -> String {
    "BEGIN".into()
}

fn end() -> String {
    "END".into()
}

impl Module for FileBlock {
    const NAME: &'static str = "file_block";
    const ALIASES: &'static [&'static str] = &["blockinfile"];

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let (path, now) = common::resolve(host, &self.path)?;
        let shown = path.display().to_string();
        let before = match &now {
            Some(stat) if stat.is_file() => String::from_utf8(host.read(&path)?.unwrap_or_default())
                .map_err(|_| Error::path("edit", &path, "it is not UTF-8 text"))?,
            Some(stat) => return Err(common::no_regular_file(&self.path, stat)),
            None if self.state == State::Absent => {
                return Ok(Plan::nothing().returning("msg", format!("File {shown} not present")));
            }
            None if self.create => String::new(),
            None => {
                let hint = "make it by an earlier task, or say `create: true`";
                return Err(common::no_file(Error::refused(shown, "does not exist", hint), &self.path));
            }
        };
        let text = self.edited(&before)?;
        let msg = match (&now, text == before) {
            (None, _) => "File created",
            (Some(_), true) => "",
            (Some(_), false) if self.lines().is_empty() => "Block removed",
            (Some(_), false) => "Block inserted",
        };
        let secret = self.block.as_ref().is_some_and(|block| block.0.secret);
        let after = Text { bytes: text.into_bytes(), secret };
        let (attributes, validate) = (self.attributes(), self.validate.as_deref());
        let wanted = Wanted { path, now, after, attributes, backup: self.backup, validate };
        let plan = if wanted.now.is_none() { wanted.plan_below(host)? } else { wanted.plan(host)? };
        Ok(common::edited(plan, msg))
    }

    fn intent(&self) -> Vec<Diff> {
        let block = self.block.as_ref().map_or(Shown::Unknown, |block| Shown::from(&block.0));
        let (before, after) = match self.state {
            State::Present => (Shown::Unknown, block),
            State::Absent => (block, Shown::Absent),
        };
        let diff = Diff::new(self.path.display().to_string(), "block", before, after);
        std::iter::once(diff).chain(self.attributes().intent(&self.path)).collect()
    }

    fn explain(&self, _host: &dyn Host, error: &Error) -> Option<String> {
        common::refused_content(self.validate.as_deref(), error)
    }

    fn lament(&self, error: &Error) -> Option<String> {
        common::unvalidated(self.validate.as_deref(), error)
    }
}

impl FileBlock {
    /// The text with the block in the place of the old one, or where a new one belongs.
    fn edited(&self, text: &str) -> Result<String, Error> {
        let [first, last] = self.marks();
        if first == last {
            return Err(Error::param("marker", "must have `{mark}`, so that the end differs from the beginning"));
        }
        let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
        let find = |lines: &[String], mark: &str| lines.iter().rposition(|line| line == mark);
        let at = match (find(&lines, &first), find(&lines, &last)) {
            (Some(first), Some(last)) => {
                let at = first.min(last);
                lines.drain(at..=first.max(last));
                at
            }
            _ => self.place(&lines)?,
        };
        let block = self.lines();
        let present = self.state == State::Present;
        if let Some(above) = at.checked_sub(1).and_then(|above| lines.get_mut(above)) {
            // Ansible adds it even where it has nothing to add.
            if !above.ends_with('\n') && !block.is_empty() {
                above.push('\n');
            }
        }
        let blank = |line: Option<&String>| line.is_none_or(|line| line == "\n");
        let before = present && self.prepend_newline && !blank(at.checked_sub(1).and_then(|above| lines.get(above)));
        let after = present && self.append_newline && !blank(lines.get(at));
        let newline = |wanted: bool| wanted.then(|| "\n".to_owned());
        let added: Vec<String> = newline(before).into_iter().chain(block).chain(newline(after)).collect();
        lines.splice(at..at, added);
        Ok(lines.concat())
    }

    fn marks(&self) -> [String; 2] {
        [&self.marker_begin, &self.marker_end].map(|mark| format!("{}\n", self.marker.replace("{mark}", mark)))
    }

    /// The block with its marks; nothing if it shall not be there.
    fn lines(&self) -> Vec<String> {
        let block = self.block.as_ref().map_or("", Content::as_str);
        if self.state == State::Absent || block.is_empty() {
            return Vec::new();
        }
        let [first, last] = self.marks();
        let newline = if block.ends_with('\n') { "" } else { "\n" };
        vec![first, format!("{block}{newline}"), last]
    }

    /// Before which line a new block belongs.
    fn place(&self, lines: &[String]) -> Result<usize, Error> {
        let text = lines.concat();
        // As in Ansible, a pattern of several lines is looked for in the whole file, and from the top.
        let whole = |regex: &Regex, edge: fn(&Match<'_>) -> usize| {
            let found = regex.find(&text).ok().flatten()?;
            Some(text[..edge(&found)].matches('\n').count())
        };
        let last = |regex: &Regex, edge: fn(&Match<'_>) -> usize| match several_lines(regex.as_str()) {
            true => whole(regex, edge),
            false => lines.iter().rposition(|line| regex.is_match(line).unwrap_or(false)),
        };
        match (self.insertbefore.as_deref(), self.insertafter.as_deref()) {
            (Some("BOF"), _) => Ok(0),
            (None, None | Some("EOF")) => Ok(lines.len()),
            (Some(before), _) => {
                Ok(last(&common::regex("insertbefore", before)?, |found| found.start()).unwrap_or(lines.len()))
            }
            (None, Some(after)) => Ok(last(&common::regex("insertafter", after)?, |found| found.end())
                .map_or(lines.len(), |at| (at + 1).min(lines.len()))),
        }
    }
}

/// Whether a pattern says by itself that its `^` and `$` are those of lines: then it may match several (`(?m)`).
fn several_lines(pattern: &str) -> bool {
    let flags = pattern.split_once("(?").and_then(|(_, rest)| rest.split_once([')', ':']));
    flags.is_some_and(|(flags, _)| flags.contains('m') && flags.bytes().all(|flag| flag.is_ascii_alphabetic()))
}
