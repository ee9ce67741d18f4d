//! `find`: the files below a directory that are like this.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{common, describe};
use crate::digest::Algorithm;
use crate::host::{Command, Error, Host, Kind, Stat};
use crate::module::Module;
use crate::param::Mode;
use crate::plan::Plan;
use filter::{Amount, Names};

mod content;
mod filter;

/// Looks for files and registers them as `files`, each with its `path`, `mode`, `uid`, `gid`, `size`, `mtime` and so
/// on; `matched` and `examined` are numbers. Changes nothing.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Find {
    /// The directories to look in.
    #[schemars(extend("aliases" = ["name", "path"]))]
    paths: Vec<PathBuf>,
    /// Names, one of which a file must have: with `*`, `?` and `[…]`, or regular expressions with `use_regex`.
    #[serde(default)]
    #[schemars(extend("aliases" = ["pattern"]))]
    patterns: Vec<String>,
    /// The same for files that are left out.
    #[serde(default)]
    #[schemars(extend("aliases" = ["exclude"]))]
    excludes: Vec<String>,
    /// Whether `patterns` and `excludes` are regular expressions, which must match from the beginning of a name.
    #[serde(default)]
    use_regex: bool,
    /// A regular expression that must match a line of the file from its beginning.
    contains: Option<String>,
    /// Whether `contains` may match anywhere in the file, also across lines.
    #[serde(default)]
    read_whole_file: bool,
    /// What to look for.
    #[serde(default)]
    file_type: FileType,
    /// The least age, such as `30`, `90s`, `5m`, `2h`, `3d`, `4w`; with a minus the greatest.
    age: Option<String>,
    /// Which time the age counts from.
    #[serde(default)]
    age_stamp: Stamp,
    /// The least size, such as `100`, `10k`, `5m`, `1g`, `1t`; with a minus the greatest.
    size: Option<String>,
    /// Permission bits that a file must have.
    mode: Option<Mode>,
    /// Whether it must have just these bits, rather than any of them.
    #[serde(default = "common::yes")]
    exact_mode: bool,
    /// Whether to look in directories below, too.
    #[serde(default)]
    recurse: bool,
    /// How deep; 1 is the directory itself. Without it, all the way.
    depth: Option<usize>,
    /// Whether to take files whose name starts with a dot.
    #[serde(default)]
    hidden: bool,
    /// Whether to look in directories that links point to.
    #[serde(default)]
    follow: bool,
    /// Whether to compute the `checksum` of files.
    #[serde(default)]
    get_checksum: bool,
    /// How.
    #[serde(default)]
    #[schemars(extend("aliases" = ["checksum", "checksum_algo"]))]
    checksum_algorithm: Algorithm,
    /// How files are encoded that `contains` is looked for in: `utf-8` by default, or what iconv(1) of the host knows.
    encoding: Option<String>,
    /// Stop after so many.
    limit: Option<usize>,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum FileType {
    /// Anything.
    Any,
    /// Directories.
    Directory,
    /// Regular files.
    #[default]
    File,
    /// Symbolic links.
    Link,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Stamp {
    /// The last change of the content.
    #[default]
    Mtime,
    /// The last change of anything of it.
    Ctime,
    /// When it was read last.
    Atime,
}

/// As deep as a path can be: PATH_MAX / 2. What links in a circle make of it ends there.
const MAX_DEPTH: usize = 2048;

impl Module for Find {
    const NAME: &'static str = "find";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let mut search = Search::new(self, host)?;
        for path in &self.paths {
            let is_dir = match host.stat(path)? {
                Some(stat) if stat.is_dir() => true,
                Some(stat) if stat.is_link() => points_to_dir(host, path)?,
                _ => false,
            };
            if !is_dir {
                search.skip(path, format!("'{}' is not a directory", path.display()));
                continue;
            }
            match search.below(path, 1) {
                // As in Ansible, what can't be read ends the search below this path.
                Err(Error::Path { reason, .. }) => search.skip(path, reason),
                done => done?,
            }
        }
        Ok(search.answer())
    }
}

/// A search under way.
struct Search<'a> {
    find: &'a Find,
    host: &'a dyn Host,
    names: Names,
    contains: Option<fancy_regex::Regex>,
    size: Option<Amount>,
    age: Option<Amount>,
    /// Seconds since 1970; 0 if no age is asked for.
    now: i64,
    files: Vec<Value>,
    examined: usize,
    skipped: Map<String, Value>,
    warnings: Vec<String>,
}

impl<'a> Search<'a> {
    fn new(find: &'a Find, host: &'a dyn Host) -> Result<Self, Error> {
        if find.limit == Some(0) {
            let error = Error::param("limit", "cannot be 0; leave it out for no limit");
            return Err(error.telling("msg", "limit cannot be 0 (use None for unlimited)"));
        }
        let flags = if find.read_whole_file { "" } else { "(?m)^" };
        let contains =
            find.contains.as_ref().map(|pattern| common::regex("contains", &format!("{flags}(?:{pattern})")));
        let amount = |name, text: &Option<String>, units| text.as_deref().map(|text| Amount::parse(name, text, units));
        let age = amount("age", &find.age, &filter::TIMES).transpose()?;
        Ok(Self {
            find,
            host,
            names: Names::new(&find.patterns, &find.excludes, find.use_regex)?,
            contains: contains.transpose()?,
            size: amount("size", &find.size, &filter::SIZES).transpose()?,
            now: if age.is_some() { clock(host)? } else { 0 },
            age,
            files: Vec::new(),
            examined: 0,
            skipped: Map::new(),
            warnings: Vec::new(),
        })
    }

    fn full(&self) -> bool {
        self.find.limit.is_some_and(|limit| self.files.len() >= limit)
    }

    /// A directory's own files first, then what is below.
    fn below(&mut self, dir: &Path, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Ok(());
        }
        let paths = match self.host.list(dir) {
            Ok(paths) => paths,
            Err(Error::Path { reason, .. }) => {
                self.skipped.insert(dir.display().to_string(), reason.into());
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        self.examined += paths.len();
        // As in Ansible, which counts what is just below, too.
        if self.find.depth.is_some_and(|deepest| depth > deepest) {
            return Ok(());
        }
        let mut dirs = Vec::new();
        for path in paths {
            // It may have gone meanwhile.
            let Some(stat) = self.host.stat(&path)? else { continue };
            if !self.full() && self.takes(&path, &stat)? {
                let described = self.describe(&path, &stat)?;
                self.files.push(described);
            }
            if stat.is_dir() || (self.find.follow && stat.is_link() && points_to_dir(self.host, &path)?) {
                dirs.push(path);
            }
        }
        for dir in dirs {
            if self.find.recurse && !self.full() {
                self.below(&dir, depth + 1)?;
            }
        }
        Ok(())
    }

    fn takes(&self, path: &Path, stat: &Stat) -> Result<bool, Error> {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let of_type = match self.find.file_type {
            FileType::Any => true,
            FileType::Directory => stat.is_dir(),
            FileType::File => stat.is_file(),
            FileType::Link => stat.is_link(),
        };
        let size = i64::try_from(stat.size).unwrap_or(i64::MAX);
        let cheap = of_type
            && (self.find.hidden || !name.starts_with('.'))
            && self.names.take(&name)?
            && self.age.is_none_or(|age| age.admits(self.now - self.stamp(stat)))
            && (!stat.is_file() || self.size.is_none_or(|least| least.admits(size)))
            && self.has_mode(stat);
        Ok(cheap && self.has_content(path)?)
    }

    /// Seconds since 1970.
    fn stamp(&self, stat: &Stat) -> i64 {
        let at = match self.find.age_stamp {
            Stamp::Mtime => return stat.mtime,
            Stamp::Ctime => 2,
            Stamp::Atime => 0,
        };
        stat.detail.times[at].div_euclid(1_000_000_000)
    }

    fn has_mode(&self, stat: &Stat) -> bool {
        let wanted = self.find.mode.as_ref().map(|mode| mode.over(0, &stat.kind));
        wanted.is_none_or(|bits| if self.find.exact_mode { stat.mode == bits } else { stat.mode & bits != 0 })
    }

    /// As in Ansible, asked only of files when files are looked for.
    fn has_content(&self, path: &Path) -> Result<bool, Error> {
        match &self.contains {
            Some(regex) if self.find.file_type == FileType::File => {
                let content = content::text(self.host, path, self.find.encoding.as_deref())?;
                // In Python, `$` stands before a newline at the end, too.
                let cut = content.strip_suffix('\n').filter(|_| self.find.read_whole_file);
                let found = regex.is_match(&content).and_then(|found| match cut {
                    Some(cut) if !found => regex.is_match(cut),
                    _ => Ok(found),
                });
                found.map_err(|error| Error::param("contains", format!("gives up on {}: {error}", path.display())))
            }
            _ => Ok(true),
        }
    }

    fn describe(&self, path: &Path, stat: &Stat) -> Result<Value, Error> {
        let mut file = describe::describe(self.host, path, stat);
        if stat.is_file() && self.find.get_checksum {
            file["checksum"] = json!(self.host.digest(path, self.find.checksum_algorithm)?);
        }
        Ok(file)
    }

    fn skip(&mut self, path: &Path, why: String) {
        self.warnings.push(format!("skipped {}: {why}", path.display()));
        self.skipped.insert(path.display().to_string(), why.into());
    }

    fn answer(self) -> Plan {
        let msg = match (self.warnings.is_empty(), self.full()) {
            (false, _) => "Not all paths examined, check warnings for details",
            (true, true) => "Limit of matches reached",
            (true, false) => "All paths examined",
        };
        let plan = Plan { warnings: self.warnings, ..Plan::default() };
        let plan = plan.returning("matched", self.files.len()).returning("files", self.files).returning("msg", msg);
        plan.returning("examined", self.examined).returning("skipped_paths", self.skipped)
    }
}

fn points_to_dir(host: &dyn Host, path: &Path) -> Result<bool, Error> {
    Ok(matches!(host.stat(&path.join("."))?, Some(Stat { kind: Kind::Dir, .. })))
}

fn clock(host: &dyn Host) -> Result<i64, Error> {
    let date = Command::new("date", ["+%s"]);
    let output = host.query(&date)?;
    match output.stdout.trim().parse() {
        Ok(now) => Ok(now),
        Err(_) => Err(Error::Command { command: date.to_string(), output: Box::new(output) }),
    }
}
