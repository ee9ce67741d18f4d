//! What is in an archive, and what of it is not the same on the host.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::edit::{Diff, Shown};
use crate::host::{Error, Host};

/// The names in an archive, and those that differ.
#[derive(Debug, PartialEq)]
pub(super) struct Listing {
    pub names: Vec<String>,
    pub differing: Vec<Differing>,
}

/// A file that is not as the archive has it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Differing {
    name: String,
    /// What of it; nothing if it is not there.
    aspect: Option<&'static str>,
}

/// How `tar --diff` ends a line, by whose word it is heeded or not, and what it means.
const SAYS: [(&str, &str, Option<&str>); 9] = [
    (": Warning: Cannot readlink: No such file or directory", "", None),
    (": Warning: Cannot stat: No such file or directory", "", None),
    (": Contents differ", "", Some("content")),
    (": Size differs", "", Some("content")),
    (": Symlink differs", "", Some("link")),
    (": File type differs", "", Some("state")),
    (": Mod time differs", "", Some("time")),
    (": Mode differs", "Mode", Some("mode")),
    (": Uid differs", "Uid", Some("owner")),
];

impl Differing {
    pub(super) fn diff(&self, dest: &Path) -> Diff {
        let path = dest.join(&self.name).display().to_string();
        match self.aspect {
            None => Diff::new(path, "state", Shown::Absent, "as in the archive"),
            Some(aspect) => Diff::new(path, aspect, "another", "as in the archive"),
        }
    }
}

impl Listing {
    /// By what `tar --list` and `tar --diff` print.
    pub(super) fn tar(list: &str, diff: &str, heeds: &dyn Fn(&str) -> bool) -> Self {
        let names = list.lines().map(|name| name.trim_start_matches('/').to_owned()).collect();
        let mut differing: Vec<Differing> = Vec::new();
        let group = (": Gid differs", "Gid", Some("group"));
        for line in diff.lines() {
            let line = line.strip_prefix("tar: ").unwrap_or(line);
            let said = SAYS.iter().chain([&group]).find_map(|(end, what, aspect)| {
                let name = line.strip_suffix(end).filter(|name| !name.is_empty() && *name != ":")?;
                heeds(what).then(|| Differing { name: name.to_owned(), aspect: *aspect })
            });
            differing.extend(said.filter(|one| !differing.contains(one)));
        }
        Self { names, differing }
    }

    /// By what `unzip -v` prints: a file is the same if it has that size and that CRC-32.
    pub(super) fn zip(host: &dyn Host, table: &str, dest: &Path, means: &dyn Fn(&str) -> bool) -> Result<Self, Error> {
        let rows = table.lines().skip_while(|line| !line.starts_with("--------")).skip(1);
        let rows = rows.take_while(|line| !line.starts_with("--------"));
        let mut listing = Self { names: Vec::new(), differing: Vec::new() };
        for (name, size, crc) in rows.filter_map(row).filter(|(name, ..)| means(name)) {
            let path = dest.join(name);
            let aspect = match host.stat(&path)? {
                None => Some(None),
                Some(now) if name.ends_with('/') => (!now.is_dir()).then_some(Some("state")),
                Some(now) if !now.is_file() || now.size != size => Some(Some("content")),
                Some(_) => {
                    let same = host.read(&path)?.is_some_and(|bytes| crc32(&bytes) == crc);
                    (!same).then_some(Some("content"))
                }
            };
            listing.differing.extend(aspect.map(|aspect| Differing { name: name.into(), aspect }));
            listing.names.push(name.into());
        }
        Ok(listing)
    }

    /// All that is unpacked, and the directories at the top.
    pub(super) fn paths(&self, dest: &Path) -> Vec<PathBuf> {
        let top = self.names.iter().filter_map(|name| name.split_once('/')).map(|(top, _)| top);
        let all = self.names.iter().map(|name| name.trim_end_matches('/')).chain(top);
        let all: BTreeSet<&str> = all.filter(|name| !matches!(*name, "" | "." | "..")).collect();
        all.into_iter().map(|name| dest.join(name)).collect()
    }
}

/// The name, size and CRC-32 of a line such as `6  Stored  6   0% 2026-11-24 23:10 363a3020  a/b.txt`.
fn row(line: &str) -> Option<(&str, u64, u32)> {
    let mut rest = line;
    let mut words = [""; 7];
    for word in &mut words {
        let (next, after) = rest.trim_start().split_once(' ')?;
        (*word, rest) = (next, after);
    }
    let crc = u32::from_str_radix(words[6], 16).ok()?;
    Some((rest.strip_prefix(' ').unwrap_or(rest), words[0].parse().ok()?, crc))
}

/// As zip has it (ISO 3309).
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        let mixed = crc ^ u32::from(*byte);
        (0..8).fold(mixed, |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tar_says() {
        let diff = "a/b: Mod time differs\na/b: Size differs\na/c: Uid differs\na/d: Mode differs\ntar: a/e: Warning: Cannot stat: No such file or directory\ntar: Removing leading `/' from member names\n";
        let listing = Listing::tar("a/\na/b\n/a/e\n", diff, &|what| what != "Uid");
        assert_eq!(listing.names, ["a/", "a/b", "a/e"]);
        let shown: Vec<_> = listing.differing.iter().map(|one| (one.name.as_str(), one.aspect)).collect();
        assert_eq!(shown, [("a/b", Some("time")), ("a/b", Some("content")), ("a/d", Some("mode")), ("a/e", None)]);
        assert_eq!(listing.paths(Path::new("/x")), ["/x/a", "/x/a/b", "/x/a/e"].map(PathBuf::from));
    }

    #[test]
    fn what_unzip_says() {
        let line = "       9  Defl:N        7  22% 2026-11-24 23:10 cbf43926  a b/c.txt";
        assert_eq!(row(line), Some(("a b/c.txt", 9, 0xcbf4_3926)));
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }
}
