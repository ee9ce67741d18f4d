//! `assemble`: one file from fragments.

use std::path::{Path, PathBuf};

use fancy_regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;

use super::common::{self, Wanted};
use crate::digest::Algorithm;
use crate::edit::{Diff, Shown, Text};
use crate::host::{Error, Host};
use crate::module::Module;
use crate::plan::Plan;

with_file_parameters! {
    /// Puts a file together from the files of a directory, in the order of their names, and puts it in place atomically.
    #[derive(Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    pub(super) struct Assemble {
        /// The directory of fragments: of the host; without `remote_src`, of the controller.
        src: PathBuf,
        /// Where, absolute. Its directory must exist.
        dest: PathBuf,
        /// Whether `src` is on the host already.
        #[serde(default = "common::yes")]
        remote_src: bool,
        /// The fragments; Trueup fills them in from `src`.
        #[schemars(extend("internal" = true))]
        fragments: Option<Vec<Fragment>>,
        /// A line between two fragments; `\n`, `\t` and `\\` are what they are in C.
        delimiter: Option<String>,
        /// Take only files whose name this regular expression matches somewhere.
        regexp: Option<String>,
        /// Whether to leave out files whose name starts with a dot.
        #[serde(default)]
        ignore_hidden: bool,
        /// Whether to keep the old content beside the file, as `dest.HASH.bak`.
        #[serde(default)]
        backup: bool,
        /// A command that refuses bad content by its status, such as `visudo -cf %s`; `%s` is a file that holds it.
        validate: Option<String>,
        /// Whether a fragment of the controller that is sealed by Ansible's vault is an error, rather than taken as it is.
        #[serde(default = "common::yes")]
        #[expect(dead_code, reason = "the controller heeds it")]
        decrypt: bool,
    }
}

/// A file of the directory.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Fragment {
    /// Its name, without the directory.
    name: String,
    /// The SHA-256 of its content, in hexadecimal.
    sha256: String,
}

impl Module for Assemble {
    const NAME: &'static str = "assemble";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let (path, now) = common::resolve(host, &self.dest)?;
        let after = Text::plain(self.joined(&self.contents(host)?));
        let (attributes, validate) = (self.attributes(), self.validate.as_deref());
        let content = after.clone();
        let plan = Wanted { path, now, after, attributes, backup: self.backup, validate }.plan(host)?;
        let shown = |path: &Path| path.display().to_string();
        let mut plan = common::told(plan, &shown(&self.dest), &content);
        if self.remote_src {
            // Then it is Ansible's module that tells, the same whether the file is new or not.
            plan = plan.returning("md5sum", Algorithm::Md5.of(&content.bytes));
        }
        Ok(plan.returning("src", shown(&self.src)).returning("msg", "OK"))
    }

    fn intent(&self) -> Vec<Diff> {
        let content = Diff::new(self.dest.display().to_string(), "content", Shown::Unknown, Shown::Unknown);
        std::iter::once(content).chain(self.attributes().intent(&self.dest)).collect()
    }

    fn explain(&self, _host: &dyn Host, error: &Error) -> Option<String> {
        common::refused_content(self.validate.as_deref(), error)
    }

    fn lament(&self, error: &Error) -> Option<String> {
        common::unvalidated(self.validate.as_deref(), error)
    }
}

impl Assemble {
    /// The contents of the fragments that are meant, in order.
    fn contents(&self, host: &dyn Host) -> Result<Vec<Vec<u8>>, Error> {
        let regex = self.regexp.as_deref().map(|pattern| common::regex("regexp", pattern)).transpose()?;
        let meant = |name: &str| self.is_meant(name, regex.as_ref());
        let mut contents = Vec::new();
        if let Some(fragments) = &self.fragments {
            for fragment in fragments {
                if meant(&fragment.name)? {
                    contents.push(host.blob(&fragment.sha256)?);
                }
            }
            return Ok(contents);
        }
        if !self.remote_src {
            return Err(Error::param("src", "names no directory of the controller"));
        }
        let missing = |what: &str, msg: &str| {
            let error = Error::path("assemble", &self.src, what);
            error.telling("msg", format!("Source ({}) {msg}", self.src.display()))
        };
        match host.stat(&self.src.join("."))? {
            Some(stat) if stat.is_dir() => {}
            None if host.stat(&self.src)?.is_none() => {
                return Err(missing("No such file or directory", "does not exist"));
            }
            _ => return Err(missing("it is not a directory", "is not a directory")),
        }
        for path in host.list(&self.src)? {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let (target, stat) = common::resolve(host, &path)?;
            if stat.is_some_and(|stat| stat.is_file()) && meant(&name)? {
                contents.push(host.read(&target)?.unwrap_or_default());
            }
        }
        Ok(contents)
    }

    fn is_meant(&self, name: &str, regex: Option<&Regex>) -> Result<bool, Error> {
        let hidden = self.ignore_hidden && name.starts_with('.');
        let matches = |regex: &Regex| regex.is_match(name).map_err(|error| Error::param("regexp", error.to_string()));
        Ok(!hidden && regex.map_or(Ok(true), matches)?)
    }

    /// A fragment starts on a new line; so does what follows the delimiter.
    fn joined(&self, contents: &[Vec<u8>]) -> Vec<u8> {
        let mut joined = Vec::new();
        let end_line = |joined: &mut Vec<u8>| joined.extend((joined.last() != Some(&b'\n')).then_some(b'\n'));
        for (at, content) in contents.iter().enumerate() {
            if at > 0 {
                // As in Ansible, an empty fragment is an empty line: it does not end with a newline.
                if !contents[at - 1].ends_with(b"\n") {
                    joined.push(b'\n');
                }
                if let Some(delimiter) = self.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty()) {
                    joined.extend(common::unescape(delimiter).into_bytes());
                    end_line(&mut joined);
                }
            }
            joined.extend(content);
        }
        joined
    }
}
