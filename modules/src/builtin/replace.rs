//! `replace`: every match of a pattern in a file.

use std::ops::Range;
use std::path::PathBuf;

use fancy_regex::{Captures, Regex};
use schemars::JsonSchema;
use serde::Deserialize;

use super::common::{self, Wanted};
use crate::edit::{Diff, Shown, Text};
use crate::host::{Error, Host};
use crate::module::Module;
use crate::param::Content;
use crate::plan::Plan;

with_file_parameters! {
    /// Replaces every match of a regular expression in a file. `^` and `$` are the ends of lines. If the pattern matches what
    /// it is replaced by, each run changes the file again: then Trueup warns.
    #[derive(Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    pub(super) struct Replace {
        /// The file, absolute.
        #[schemars(extend("aliases" = ["dest", "destfile", "name"]))]
        path: PathBuf,
        /// The regular expression.
        regexp: String,
        /// What takes the place of a match; `\1` and `\g<name>` are groups of the match. Nothing by default: matches are
        /// removed. May be secret: then nothing of the file is shown.
        replace: Option<Content>,
        /// Replace only after the first match of this regular expression, in which `.` is any character.
        after: Option<String>,
        /// Replace only before the match of this regular expression, in which `.` is any character.
        before: Option<String>,
        /// Whether to keep the old content beside the file, as `path.HASH.bak`.
        #[serde(default)]
        backup: bool,
        /// A command that refuses bad content by its status, such as `visudo -cf %s`; `%s` is a file that holds it.
        validate: Option<String>,
        /// How the file is encoded. Only `utf-8` is known.
        #[serde(default)]
        #[expect(dead_code, reason = "its one value says what is done")]
        encoding: Encoding,
    }
}

/// How a file is encoded.
#[derive(Default, Deserialize, JsonSchema)]
pub(super) enum Encoding {
    /// UTF-8.
    #[default]
    #[serde(rename = "utf-8")]
    Utf8,
}

impl Module for Replace {
    const NAME: &'static str = "replace";
    const CONVERGES: bool = false;

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let (path, now) = common::resolve(host, &self.path)?;
        let shown = path.display().to_string();
        self.escapes()?;
        let Some(stat) = &now else {
            let error = Error::refused(shown, "does not exist", "make it by an earlier task");
            return Err(common::no_file(error, &self.path));
        };
        if !stat.is_file() {
            return Err(common::no_regular_file(&self.path, stat));
        }
        let before = common::text(host, &path)?;
        let Some((text, count)) = self.replaced(&before)? else {
            let msg =
                format!("Pattern for before/after params did not match the given file: {}", self.section_pattern());
            return Ok(Plan::nothing().returning("rc", 0).returning("msg", msg));
        };
        let again = text != before && self.replaced(&text)?.is_some_and(|(again, _)| again != text);
        let msg = if text == before { String::new() } else { format!("{count} replacements made") };
        let secret = self.replace.as_ref().is_some_and(|replace| replace.0.secret);
        let after = Text { bytes: text.into_bytes(), secret };
        let (attributes, validate) = (self.attributes(), self.validate.as_deref());
        let mut plan = Wanted { path, now, after, attributes, backup: self.backup, validate }.plan(host)?;
        if again {
            plan.warnings.push(format!("`{}` matches what it is replaced by: each run changes {shown}", self.regexp));
        }
        Ok(common::edited(plan, &msg).returning("rc", 0))
    }

    fn intent(&self) -> Vec<Diff> {
        let after = self.replace.as_ref().map_or(Shown::Absent, |replace| Shown::from(&replace.0));
        let diff = Diff::new(self.path.display().to_string(), "matches", self.regexp.as_str(), after);
        std::iter::once(diff).chain(self.attributes().intent(&self.path)).collect()
    }

    fn explain(&self, _host: &dyn Host, error: &Error) -> Option<String> {
        common::refused_content(self.validate.as_deref(), error)
    }

    fn lament(&self, error: &Error) -> Option<String> {
        common::unvalidated(self.validate.as_deref(), error)
    }
}

impl Replace {
    /// As in Python, a letter after a backslash that stands for nothing is refused, though nothing may match.
    fn escapes(&self) -> Result<(), Error> {
        let template = self.replace.as_ref().map_or("", Content::as_str);
        let mut letters = template.chars().enumerate();
        while let Some((at, letter)) = letters.find(|(_, letter)| *letter == '\\').and_then(|_| letters.next()) {
            if letter.is_ascii_alphabetic() && !"abfgnrtv".contains(letter) {
                let error = Error::param(
                    "replace",
                    format!("has `\\{letter}`, which stands for nothing; write `\\\\{letter}`"),
                );
                let msg =
                    format!("Unable to process replace due to error: bad escape \\{letter} at position {}", at - 1);
                return Err(error.telling("msg", msg));
            }
        }
        Ok(())
    }

    /// The text with all replaced, and how often; `None` if there is no such section.
    fn replaced(&self, text: &str) -> Result<Option<(String, usize)>, Error> {
        let Some(section) = self.section(text)? else { return Ok(None) };
        let regex = common::regex("regexp", &format!("(?m){}", self.regexp))?;
        let mut result = text[..section.start].to_owned();
        let (mut from, mut count) = (0, 0);
        let part = &text[section.clone()];
        for groups in regex.captures_iter(part) {
            let groups = groups.map_err(|error| Error::param("regexp", format!("gives up: {error}")))?;
            let Some(whole) = groups.get(0) else { continue };
            result.push_str(&part[from..whole.start()]);
            expand(self.replace.as_ref().map_or("", Content::as_str), &groups, &mut result);
            from = whole.end();
            count += 1;
        }
        result.push_str(&part[from..]);
        result.push_str(&text[section.end..]);
        Ok(Some((result, count)))
    }

    fn section(&self, text: &str) -> Result<Option<Range<usize>>, Error> {
        if self.after.is_none() && self.before.is_none() {
            return Ok(Some(0..text.len()));
        }
        let param = if self.after.is_some() { "after" } else { "before" };
        let regex: Regex = common::regex(param, &format!("(?s){}", self.section_pattern()))?;
        let groups = regex.captures(text).map_err(|error| Error::param(param, format!("gives up: {error}")))?;
        Ok(groups.and_then(|groups| groups.name("subsection").map(|section| section.range())))
    }

    fn section_pattern(&self) -> String {
        match (self.after.as_deref(), self.before.as_deref()) {
            (Some(after), Some(before)) => format!("{after}(?P<subsection>.*?){before}"),
            (after, before) => format!("{}(?P<subsection>.*){}", after.unwrap_or(""), before.unwrap_or("")),
        }
    }
}

/// Fills groups in and resolves escapes, as Python's `re.sub` does.
fn expand(template: &str, groups: &Captures<'_>, to: &mut String) {
    let mut rest = template;
    while let Some(at) = rest.find('\\') {
        to.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let named = rest.strip_prefix("g<").and_then(|name| name.split_once('>'));
        let digits = rest.bytes().take(2).take_while(u8::is_ascii_digit).count();
        if let Some((name, after)) = named {
            let group = name.parse().map_or_else(|_| groups.name(name), |number: usize| groups.get(number));
            to.push_str(group.map_or("", |group| group.as_str()));
            rest = after;
        } else if digits > 0 && !rest.starts_with('0') {
            let group = rest[..digits].parse().ok().and_then(|number: usize| groups.get(number));
            to.push_str(group.map_or("", |group| group.as_str()));
            rest = &rest[digits..];
        } else {
            let end = rest.chars().next().map_or(0, char::len_utf8);
            to.push_str(&common::unescape(&format!("\\{}", &rest[..end])));
            rest = &rest[end..];
        }
    }
    to.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_that_stand_for_nothing_are_refused() {
        let table = [(r"\D", true), (r"a\\D\.\1\n", false), (r"\\\z", true), ("\\", false)];
        for (template, refused) in table {
            let replace = serde_json::json!({"path": "/x", "regexp": "a", "replace": template});
            let replace: Replace = serde_json::from_value(replace).unwrap();
            assert_eq!(replace.escapes().is_err(), refused, "{template}");
        }
    }

    #[test]
    fn groups_and_escapes_as_in_python() {
        let regex = Regex::new(r"(?P<name>\w)=(\d)?").unwrap();
        let groups = regex.captures("a=").unwrap().unwrap();
        let table =
            [(r"[\1]", "[a]"), (r"\g<name>\g<1>0", "aa0"), (r"\2|\n", "|\n"), (r"\\1\.", r"\1\."), ("é\\té", "é\té")];
        for (template, wanted) in table {
            let mut expanded = String::new();
            expand(template, &groups, &mut expanded);
            assert_eq!(expanded, wanted, "{template}");
        }
    }
}
