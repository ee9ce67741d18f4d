//! `copy` of a directory: the list of what is in it, from which an agent tells what differs.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{Lower, LowerError, truthy};
use crate::remote::Blobs;
use crate::source::Span;
use crate::value::{Map, Value};

impl Lower<'_> {
    /// `written` is `src` as the playbook has it: with a slash at its end, what is in the directory is copied, else the
    /// directory itself.
    pub(super) fn tree(&self, params: &mut Map, dir: &Path, written: &str, span: &Span) -> Result<(), LowerError> {
        let follow = params.get("local_follow").is_none_or(truthy);
        let preserve = params.get("mode").is_some_and(|mode| *mode == Value::Str("preserve".into()));
        if preserve {
            params.shift_remove("mode");
        }
        let name = params.shift_remove("name").filter(|_| !written.ends_with('/'));
        let mut walk = Walk { blobs: self.blobs, follow, preserve, leaves: Vec::new() };
        let base = match name {
            Some(Value::Str(name)) => {
                walk.push(Path::new(&name), []);
                PathBuf::from(name)
            }
            _ => PathBuf::new(),
        };
        let walked = fs::metadata(dir)
            .map_err(|error| failed(dir, &error))
            .and_then(|top| walk.directory(dir, &base, &mut vec![id(&top)]));
        walked.map_err(|reason| LowerError::Value(span.clone(), reason))?;
        params.insert("tree".into(), Value::List(walk.leaves));
        Ok(())
    }
}

/// A walk through a directory: what it has found so far, each directory before what is in it.
struct Walk<'a> {
    blobs: &'a Blobs,
    /// Whether links are followed.
    follow: bool,
    /// Whether files keep their permission bits.
    preserve: bool,
    leaves: Vec<Value>,
}

impl Walk<'_> {
    /// `above` are the directories that the walk is in: a link to one of them is a circle.
    fn directory(&mut self, dir: &Path, base: &Path, above: &mut Vec<(u64, u64)>) -> Result<(), String> {
        let listed = fs::read_dir(dir).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
        let mut paths: Vec<PathBuf> = listed.map_err(|error| failed(dir, &error))?;
        paths.sort();
        for path in paths {
            let at = base.join(path.file_name().unwrap_or_default());
            let own = fs::symlink_metadata(&path).map_err(|error| failed(&path, &error))?;
            // A link that leads nowhere is a link.
            let target = fs::metadata(&path).ok().filter(|_| self.follow || !own.is_symlink());
            match target {
                Some(meta) if meta.is_dir() && !above.contains(&id(&meta)) => {
                    self.push(&at, []);
                    above.push(id(&meta));
                    self.directory(&path, &at, above)?;
                    above.pop();
                }
                Some(meta) if meta.is_file() => self.file(&path, &at, &meta)?,
                Some(_) if !own.is_symlink() => {
                    return Err(format!("cannot copy {}: it is no file, directory or link", path.display()));
                }
                _ => {
                    let target = fs::read_link(&path).map_err(|error| failed(&path, &error))?;
                    self.push(&at, [("link", text(&target)?)]);
                }
            }
            text(&at)?;
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, at: &Path, meta: &Metadata) -> Result<(), String> {
        let (sha256, size) = self.blobs.announce(path).map_err(|error| failed(path, &error))?;
        let size = ("size", Value::Int(i64::try_from(size).unwrap_or(i64::MAX)));
        let bits = i64::from(meta.permissions().mode() & 0o7777);
        let mode = self.preserve.then_some(("mode", Value::Int(bits)));
        self.push(at, [("sha256", Value::Str(sha256)), size].into_iter().chain(mode));
        Ok(())
    }

    fn push(&mut self, at: &Path, more: impl IntoIterator<Item = (&'static str, Value)>) {
        let path = ("path", Value::Str(at.to_string_lossy().into_owned()));
        let leaf = std::iter::once(path).chain(more).map(|(name, value)| (name.to_owned(), value));
        self.leaves.push(Value::Map(leaf.collect()));
    }
}

fn id(meta: &Metadata) -> (u64, u64) {
    (meta.dev(), meta.ino())
}

/// Names travel as text.
fn text(path: &Path) -> Result<Value, String> {
    let name = path.to_str().ok_or_else(|| format!("cannot copy {}: its name is not UTF-8", path.display()))?;
    Ok(Value::Str(name.to_owned()))
}

fn failed(path: &Path, error: &io::Error) -> String {
    format!("cannot read {}: {error}", path.display())
}
