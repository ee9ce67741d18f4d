//! `apt_repository`: where apt takes packages from.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::common::{self, Attributes, Wanted};
use super::package::apt::update_edit;
use super::state::State;
use crate::edit::{Diff, Edit, Shown, Text};
use crate::host::{Error, Host};
use crate::module::Module;
use crate::param::Mode;
use crate::plan::Plan;

/// A line of sources.list(5), such as `deb https://packages.example.org/debian bookworm main`, in any of apt's files. The lists of
/// packages are refreshed when it is new or gone.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AptRepository {
    /// The line. PPAs by their short names are not known: write the line.
    repo: String,
    /// Whether it is there.
    #[serde(default)]
    state: State,
    /// The file under /etc/apt/sources.list.d that a new line goes into, without `.list`; named after the line's address by
    /// default.
    filename: Option<PathBuf>,
    /// Permission bits of a new file.
    mode: Option<Mode>,
    /// Whether the lists of packages are refreshed.
    #[serde(default = "common::yes")]
    #[schemars(extend("aliases" = ["update-cache"]))]
    update_cache: bool,
    /// Taken for Ansible's sake: apt-get tries again by itself.
    #[expect(dead_code, reason = "apt-get does it")]
    update_cache_retries: Option<u32>,
    /// See `update_cache_retries`.
    #[expect(dead_code, reason = "apt-get does it")]
    update_cache_retry_max_delay: Option<u32>,
    /// Taken for Ansible's sake: there is nothing to install first.
    #[serde(default)]
    #[expect(dead_code, reason = "there is nothing to install")]
    install_python_apt: bool,
    /// Taken for Ansible's sake, for PPAs.
    #[serde(default = "common::yes")]
    #[expect(dead_code, reason = "nothing is fetched")]
    validate_certs: bool,
    /// Taken for Ansible's sake, for PPAs.
    #[expect(dead_code, reason = "the line says it")]
    codename: Option<String>,
}

const MAIN: &str = "/etc/apt/sources.list";
const PARTS: &str = "/etc/apt/sources.list.d";

impl Module for AptRepository {
    const NAME: &'static str = "apt_repository";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let Some((true, source)) = parse(&self.repo) else {
            let repo = &self.repo;
            let error =
                Error::param("repo", format!("`{repo}` is no line of sources.list(5): `deb ADDRESS SUITE COMPONENT`"));
            return Err(error.telling("msg", format!("Invalid repository string: {repo}")));
        };
        let plan = match self.state {
            State::Present => self.present(host, &source)?,
            State::Absent => absent(host, &source)?,
        };
        let changes = !plan.is_empty();
        let [added, removed] = [State::Present, State::Absent].map(|state| self.state == state && changes);
        let files = |which: bool| json!(plan.edits.iter().filter(|_| which).filter_map(file).collect::<Vec<_>>());
        let told = [
            ("repo", json!(self.repo)),
            ("state", json!(self.state.word())),
            ("sources_added", files(added)),
            ("sources_removed", files(removed)),
        ];
        let mut plan = told.into_iter().fold(plan, |plan, (name, value)| plan.returning(name, value));
        if changes && self.update_cache {
            plan.edits.push(update_edit());
        }
        Ok(plan)
    }

    fn intent(&self) -> Vec<Diff> {
        let after = if self.state == State::Present { Shown::from(self.repo.as_str()) } else { Shown::Absent };
        vec![Diff::new("apt's sources", "line", Shown::Unknown, after)]
    }
}

impl AptRepository {
    fn present(&self, host: &dyn Host, source: &str) -> Result<Plan, Error> {
        let mut off = None;
        for (path, text) in files(host)? {
            for line in text.lines() {
                match parse(line) {
                    Some((true, found)) if found == source => return Ok(Plan::nothing()),
                    Some((false, found)) if found == source => drop(off.get_or_insert((path.clone(), text.clone()))),
                    _ => {}
                }
            }
        }
        // One that stands there as a comment is taken out of it.
        if let Some((path, text)) = off {
            let on = |line: &str| match parse(line) {
                Some((false, found)) if found == source => source.to_owned(),
                _ => line.to_owned(),
            };
            return rewrite(host, path, text.lines().map(on).collect(), None);
        }
        let name = self.filename.clone().map_or_else(
            || PathBuf::from(suggested(source)),
            |name| {
                let mut name = name.into_os_string();
                name.push(".list");
                name.into()
            },
        );
        let path = Path::new(PARTS).join(name);
        let before = host.read(&path)?.unwrap_or_default();
        let before = String::from_utf8_lossy(&before).into_owned();
        let lines = before.lines().map(str::to_owned).chain([source.to_owned()]).collect();
        rewrite(host, path, lines, self.mode.as_ref())
    }
}

/// A file that is left with nothing goes.
fn absent(host: &dyn Host, source: &str) -> Result<Plan, Error> {
    let mut plan = Plan::nothing();
    for (path, text) in files(host)? {
        let keeps = |line: &&str| !matches!(parse(line), Some((true, found)) if found == source);
        let kept: Vec<String> = text.lines().filter(keeps).map(str::to_owned).collect();
        if kept.len() == text.lines().count() {
            continue;
        }
        if kept.iter().all(|line| line.trim().is_empty()) && path != Path::new(MAIN) {
            let before = crate::host::Kind::File;
            plan.edits.push(Edit::Remove { path, before });
        } else {
            plan.edits.extend(rewrite(host, path, kept, None)?.edits);
        }
    }
    Ok(plan)
}

fn rewrite(host: &dyn Host, path: PathBuf, lines: Vec<String>, mode: Option<&Mode>) -> Result<Plan, Error> {
    let (path, now) = common::resolve(host, &path)?;
    let after = Text::plain(lines.into_iter().map(|line| line + "\n").collect::<String>());
    let attributes = Attributes { mode: mode.filter(|_| now.is_none()), ..Attributes::default() };
    Wanted { path, now, after, attributes, backup: false, validate: None }.plan(host)
}

/// apt's files of lines, and what is in them.
fn files(host: &dyn Host) -> Result<Vec<(PathBuf, String)>, Error> {
    let mut paths = vec![PathBuf::from(MAIN)];
    if host.stat(Path::new(PARTS))?.is_some() {
        paths.extend(
            host.list(Path::new(PARTS))?.into_iter().filter(|path| path.extension().is_some_and(|end| end == "list")),
        );
    }
    let mut files = Vec::new();
    for path in paths {
        if let Some(bytes) = host.read(&path)? {
            files.push((path, String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
    Ok(files)
}

/// Whether a line is in effect, and the line without its comment and with single blanks; `None` if it is no source.
fn parse(line: &str) -> Option<(bool, String)> {
    let line = line.trim();
    let (on, line) = line.strip_prefix('#').map_or((true, line), |line| (false, line));
    let words: Vec<&str> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
    (words.len() > 2 && matches!(words[0], "deb" | "deb-src")).then(|| (on, words.join(" ")))
}

/// Ansible's name for a new file: the address without its scheme and without a password, other letters as `_`.
fn suggested(source: &str) -> String {
    let mut words = source.split_whitespace().skip(1).skip_while(|word| !word.contains("://") && !word.ends_with(']'));
    let address =
        words.find(|word| word.contains("://")).or_else(|| source.split_whitespace().nth(1)).unwrap_or_default();
    let address = address.split_once("://").map_or(address, |(_, rest)| rest);
    let address = address.rsplit_once('@').map_or(address, |(_, rest)| rest);
    let parts = address.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
    format!("{}.list", parts.collect::<Vec<_>>().join("_"))
}

/// The file that an edit is about.
fn file(edit: &Edit) -> Option<String> {
    match edit {
        Edit::Write { path, .. } | Edit::Remove { path, .. } => Some(path.display().to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_names() {
        let table = [
            ("deb  http://a.example/debian  stable main # x", Some((true, "deb http://a.example/debian stable main"))),
            ("# deb-src http://a.example stable main", Some((false, "deb-src http://a.example stable main"))),
            ("# a comment", None),
            ("ppa:a/b", None),
        ];
        for (line, wanted) in table {
            assert_eq!(parse(line).as_ref().map(|(on, text)| (*on, text.as_str())), wanted, "{line}");
        }
        for (source, wanted) in [
            ("deb http://a.example/debian stable main", "a_example_debian.list"),
            ("deb [arch=amd64 signed-by=/k.gpg] https://u:p@b.example:81/x/ ./", "b_example_81_x.list"),
        ] {
            assert_eq!(suggested(source), wanted, "{source}");
        }
    }
}
