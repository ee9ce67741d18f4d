//! The files a run is made from, read once, and places in them.

use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, OnceLock};

use crate::diagnostic::Diagnostic;

/// A file that was read: its name as the user would write it, and its text.
#[derive(PartialEq, Eq)]
pub struct Source {
    /// The path as given by the user or as found beside the file that names it; `<command line>` for `-e`.
    pub path: PathBuf,
    /// The whole text. Of a vault file this is the *encrypted* text, so that no diagnostic can show a secret.
    pub text: String,
}

impl Source {
    /// Reads a file. The error says which file and why.
    pub fn read(path: &Path) -> Result<Arc<Self>, Diagnostic> {
        let failed = |why: String| Diagnostic::error(format!("failed to read `{}`: {why}", path.display()));
        let bytes = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
        let text = String::from_utf8(bytes).map_err(|_| failed("it is not UTF-8 text".to_owned()))?;
        Ok(Arc::new(Self { path: path.to_owned(), text }))
    }
}

/// A path without `.` and `..`, by its text alone (POSIX's pathname resolution without links): `.` if nothing is left.
pub fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if out.file_name().is_some() && !out.ends_with("..") => {
                out.pop();
            }
            Component::ParentDir if out.has_root() => {}
            part => out.push(part),
        }
    }
    if out.as_os_str().is_empty() { PathBuf::from(".") } else { out }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({})", self.path.display())
    }
}

/// A place in a [`Source`]: bytes `start..end`. Cheap to clone; compares equal to every other span, so that values
/// which carry one compare by what they mean.
#[derive(Clone)]
pub struct Span {
    /// The file.
    pub source: Arc<Source>,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// A span in `source`, clamped to its text.
    pub fn new(source: &Arc<Source>, start: usize, end: usize) -> Self {
        let len = source.text.len();
        Self { source: Arc::clone(source), start: start.min(len), end: end.clamp(start.min(len), len) }
    }

    /// The place of something that no file holds: a registered result, a magic variable.
    pub fn none() -> Self {
        static NONE: OnceLock<Arc<Source>> = OnceLock::new();
        let source = NONE.get_or_init(|| Arc::new(Source { path: PathBuf::new(), text: String::new() }));
        Self { source: Arc::clone(source), start: 0, end: 0 }
    }

    /// Whether this is [`Span::none`].
    pub fn is_none(&self) -> bool {
        self.source.path.as_os_str().is_empty()
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.source.path
    }

    /// Line and column of the start, both from 1; the column counts characters.
    pub fn line_col(&self) -> (usize, usize) {
        let before = &self.source.text[..self.source.text.floor_char_boundary(self.start)];
        // Bytes, not characters: a line of a large file is looked for a thousand times.
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let col = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        (line, col)
    }
}

impl PartialEq for Span {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Span {}

/// `file:line:col`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, col) = self.line_col();
        write!(f, "{}:{line}:{col}", self.path().display())
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
