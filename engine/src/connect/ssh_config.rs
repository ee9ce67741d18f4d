//! `ssh_config`(5): the lines that apply to a host, in order; the first value of an option wins.
//!
//! `Match` blocks other than `Match all` are passed over with a warning: most of their conditions run commands or
//! depend on a canonical name, and guessing would be worse. Our own reader, since the crates for it know neither
//! tokens nor where a line stands, and refuse or drop what they do not know.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::pattern;
use super::resolve::{Surroundings, expand_home};

/// What the files say.
#[derive(Clone, Debug, Default)]
pub struct SshConfig {
    lines: Vec<Line>,
    /// What was passed over, each with its place.
    pub warnings: Vec<String>,
}

/// An option, where it stands, and for which hosts.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) place: Place,
    /// All of these have to match: the `Host` line above, and that above the `Include`.
    only: Vec<Scope>,
    /// In lower case.
    pub(super) keyword: String,
    pub(super) arguments: Vec<String>,
}

/// File and line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// From 1.
    pub line: usize,
}

/// `file:line`.
impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.path.display(), self.line)
    }
}

#[derive(Clone, Debug)]
enum Scope {
    Hosts(Vec<String>),
    Never,
}

/// Why a configuration can't be used. Each message finishes "failed to …".
#[derive(Debug, thiserror::Error)]
pub enum SshConfigError {
    /// A file could not be read.
    #[error("read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A value makes no sense.
    #[error("understand {keyword} {value:?} in {place}")]
    Value {
        /// The option.
        keyword: &'static str,
        /// Its value.
        value: String,
        /// `file:line`, or where else it came from.
        place: String,
    },
    /// An argument of `ansible_ssh_common_args` that is not understood.
    #[error("understand the ssh argument `{argument}` (understood: -F -i -J -l -o -p)")]
    Argument {
        /// The argument.
        argument: String,
    },
    /// Jump hosts that lead back to themselves.
    #[error("find a way to {host}: its ProxyJump leads back to it")]
    Loop {
        /// The host.
        host: String,
    },
}

/// Flags of ssh that don't change where a connection leads or who is trusted.
const IDLE_FLAGS: [&str; 12] = ["-C", "-q", "-v", "-4", "-6", "-a", "-A", "-k", "-T", "-t", "-x", "-X"];

impl SshConfig {
    /// Reads `path` (as `ssh -F`; `none` means nothing), or else the user's file and the system's, if they exist.
    pub fn load(path: Option<&Path>, around: &Surroundings) -> Result<Self, SshConfigError> {
        let mut config = Self::default();
        match path {
            Some(path) if path == Path::new("none") => {}
            Some(path) => config.read(path, &around.home.join(".ssh"), around)?,
            None => {
                for (path, base) in [
                    (around.home.join(".ssh/config"), around.home.join(".ssh")),
                    (PathBuf::from("/etc/ssh/ssh_config"), PathBuf::from("/etc/ssh")),
                ] {
                    if path.exists() {
                        config.read(&path, &base, around)?;
                    }
                }
            }
        }
        Ok(config)
    }

    /// This configuration after the options of a command line (`-o Option=value`, `-J`, `-i`, `-p`, `-l`), which win; with
    /// `-F file`, that file's instead. What only matters to a terminal session, or costs speed, is passed over (`-C`, `-q`);
    /// any other argument is an error, since the connection would not be the one that was meant.
    pub fn with_arguments(&self, arguments: &str, around: &Surroundings) -> Result<Self, SshConfigError> {
        let mut config = Self::default();
        let mut below = None;
        let mut words = words(arguments).into_iter();
        while let Some(word) = words.next() {
            let (flag, attached) = word.split_at(word.char_indices().nth(2).map_or(word.len(), |(at, _)| at));
            let keyword = match flag {
                "-o" => None,
                "-J" => Some("proxyjump"),
                "-i" => Some("identityfile"),
                "-p" => Some("port"),
                "-l" => Some("user"),
                "-F" => None,
                _ if IDLE_FLAGS.contains(&flag) => continue,
                _ => return Err(SshConfigError::Argument { argument: word }),
            };
            let value = if attached.is_empty() { words.next().unwrap_or_default() } else { attached.to_owned() };
            if flag == "-F" {
                below = Some(Self::load(Some(&expand_home(&value, &around.home)), around)?);
                continue;
            }
            let place = Place { path: PathBuf::from("ssh arguments"), line: 1 };
            let option = match keyword {
                Some(keyword) => Some((keyword.to_owned(), vec![value])),
                None => split(&value),
            };
            config.lines.extend(option.map(|(keyword, arguments)| Line {
                place,
                only: Vec::new(),
                keyword,
                arguments,
            }));
        }
        let below = below.as_ref().unwrap_or(self);
        config.lines.extend(below.lines.iter().cloned());
        config.warnings.extend(below.warnings.iter().cloned());
        Ok(config)
    }

    /// The first line of an option for a host; `keyword` is in lower case.
    pub(super) fn first(&self, host: &str, keyword: &str) -> Option<&Line> {
        self.lines.iter().find(|line| line.sets(keyword, host))
    }

    /// The first line of any of several options for a host.
    pub(super) fn first_of(&self, host: &str, keywords: &[&str]) -> Option<&Line> {
        self.lines.iter().find(|line| keywords.iter().any(|keyword| line.sets(keyword, host)))
    }

    /// All lines of an option for a host.
    pub(super) fn all<'a>(&'a self, host: &'a str, keyword: &'a str) -> impl Iterator<Item = &'a Line> {
        self.lines
            .iter()
            .filter(move |line| line.keyword == keyword && line.only.iter().all(|scope| scope.covers(host)))
    }

    fn read(&mut self, path: &Path, base: &Path, around: &Surroundings) -> Result<(), SshConfigError> {
        self.add(path, &Reading { base, around, above: None, path }, &[])
    }

    fn add(&mut self, path: &Path, reading: &Reading<'_>, outer: &[Scope]) -> Result<(), SshConfigError> {
        let text = fs::read(path).map_err(|source| SshConfigError::Read { path: path.to_owned(), source })?;
        let mut only = outer.to_vec();
        for (index, text) in String::from_utf8_lossy(&text).lines().enumerate() {
            let Some((keyword, arguments)) = split(text) else { continue };
            let place = Place { path: path.to_owned(), line: index + 1 };
            match keyword.as_str() {
                "host" => only = [outer, &[Scope::Hosts(arguments)]].concat(),
                "match" if arguments.iter().any(|word| word.eq_ignore_ascii_case("all")) => only = outer.to_vec(),
                "match" => {
                    only = [outer, &[Scope::Never]].concat();
                    self.warnings.push(format!("{place}: this Match block is passed over"));
                }
                "include" => {
                    for path in arguments.iter().flat_map(|pattern| reading.files(pattern)) {
                        if reading.is_open(&path) {
                            self.warnings.push(format!("{place}: this file includes itself"));
                            continue;
                        }
                        self.add(&path, &Reading { path: &path, above: Some(reading), ..*reading }, &only)?;
                    }
                }
                _ => self.lines.push(Line { place, only: only.clone(), keyword, arguments }),
            }
        }
        Ok(())
    }
}

impl Line {
    fn sets(&self, keyword: &str, host: &str) -> bool {
        self.keyword == keyword && self.only.iter().all(|scope| scope.covers(host))
    }
}

impl Scope {
    fn covers(&self, host: &str) -> bool {
        match self {
            Self::Hosts(patterns) => pattern::list_matches(patterns.iter().map(String::as_str), host),
            Self::Never => false,
        }
    }
}

/// A file that is being read.
#[derive(Clone, Copy)]
struct Reading<'a> {
    path: &'a Path,
    /// The file that includes it.
    above: Option<&'a Reading<'a>>,
    /// Where an `Include` looks.
    base: &'a Path,
    around: &'a Surroundings,
}

impl Reading<'_> {
    fn is_open(&self, path: &Path) -> bool {
        self.path == path || self.above.is_some_and(|above| above.is_open(path))
    }

    /// The files that a pattern means, in order. Wildcards are understood in the last part of the path.
    fn files(&self, pattern: &str) -> Vec<PathBuf> {
        let path = self.base.join(expand_home(pattern, &self.around.home));
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.contains(['*', '?']) {
            return if path.exists() { vec![path] } else { Vec::new() };
        }
        let entries = path.parent().and_then(|parent| fs::read_dir(parent).ok()).into_iter().flatten().flatten();
        let mut found: Vec<_> = entries
            .filter(|entry| {
                let entry = entry.file_name().to_string_lossy().into_owned();
                !entry.starts_with('.') && pattern::matches_exactly(&name, &entry)
            })
            .map(|entry| entry.path())
            .collect();
        found.sort();
        found
    }
}

/// A line's keyword, in lower case, and its arguments: `Keyword a "b c"`, `Keyword=a`.
fn split(line: &str) -> Option<(String, Vec<String>)> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let end = line.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(line.len());
    let (keyword, rest) = line.split_at(end);
    let rest = rest.trim_start();
    let (keyword, rest) = (keyword.to_lowercase(), rest.strip_prefix('=').unwrap_or(rest).trim());
    // A command for the shell, quotes and all.
    let whole = keyword == "proxycommand";
    let arguments = if whole { vec![rest.to_owned()] } else { words(rest) };
    Some((keyword, arguments))
}

/// Words as OpenSSH splits them: single and double quotes hold words together, `#` before a word begins a comment.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() && !rest.starts_with('#') {
        let (mut word, mut quote, mut end) = (String::new(), None, rest.len());
        for (at, c) in rest.char_indices() {
            match (c, quote) {
                ('"' | '\'', None) => quote = Some(c),
                (c, Some(open)) if c == open => quote = None,
                (c, None) if c.is_whitespace() => {
                    end = at;
                    break;
                }
                (c, _) => word.push(c),
            }
        }
        words.push(word);
        rest = rest[end..].trim_start();
    }
    words
}
