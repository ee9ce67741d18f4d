//! A file of known hosts, read once for all hosts: in a fleet of 10,000, each would look at 10,000 lines.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// The lines of a file, by the hosts that they name.
pub(super) struct File {
    lines: Vec<String>,
    /// Lines that name hosts plainly, by each name in lower case.
    named: HashMap<String, Vec<usize>>,
    /// Lines with patterns, hashes or markers: they may be about any host.
    others: Vec<usize>,
}

/// What tells that a file has not changed: its size and when it was written.
type Stamp = (u64, Option<SystemTime>);

impl File {
    /// The file as it is now. Read again only if it has changed.
    pub(super) fn of(path: &Path) -> io::Result<Arc<Self>> {
        static FILES: Mutex<BTreeMap<PathBuf, (Stamp, Arc<File>)>> = Mutex::new(BTreeMap::new());
        let meta = fs::metadata(path)?;
        let stamp = (meta.len(), meta.modified().ok());
        let mut files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, file)) = files.get(path).filter(|(known, _)| *known == stamp) {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(Self::parse(&String::from_utf8_lossy(&fs::read(path)?)));
        files.insert(path.to_owned(), (stamp, Arc::clone(&file)));
        Ok(file)
    }

    fn parse(text: &str) -> Self {
        let mut file =
            Self { lines: text.lines().map(str::to_owned).collect(), named: HashMap::new(), others: Vec::new() };
        for (index, line) in file.lines.iter().enumerate() {
            let names = line.split_ascii_whitespace().next().unwrap_or_default();
            if names.contains(['*', '?', '!', '|', '@']) {
                file.others.push(index);
                continue;
            }
            for name in names.split(',') {
                file.named.entry(name.to_lowercase()).or_default().push(index);
            }
        }
        file
    }

    /// The lines that may be about a host with one of these names (in lower case), in order, with their places from 0.
    pub(super) fn lines_about(&self, names: [&String; 2]) -> impl Iterator<Item = (usize, &str)> {
        let named = names.into_iter().filter_map(|name| self.named.get(name)).flatten();
        let places: BTreeSet<usize> = named.chain(&self.others).copied().collect();
        places.into_iter().map(|place| (place, self.lines[place].as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_that_may_be_about_a_host_are_looked_at() {
        let file = File::parse("a,10.0.0.1 k\nb k\n# a comment\n*.net k\n\n[A]:2222 k\n|1|x|y k\nB k\n");
        let about = |name: &str, portless: &str| {
            let names = (name.to_owned(), portless.to_owned());
            file.lines_about([&names.0, &names.1]).map(|(place, _)| place).collect::<Vec<_>>()
        };
        assert_eq!(about("a", "a"), [0, 3, 6]);
        assert_eq!(about("[a]:2222", "a"), [0, 3, 5, 6]);
        assert_eq!(about("10.0.0.1", "10.0.0.1"), [0, 3, 6]);
        assert_eq!(about("b", "b"), [1, 3, 6, 7]);
        assert_eq!(about("c", "c"), [3, 6]);
    }

    #[test]
    fn a_file_that_has_changed_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("known_hosts");
        fs::write(&path, "a k\n").unwrap();
        let lines = || File::of(&path).unwrap().lines.len();
        assert_eq!(lines(), 1);
        fs::write(&path, "a k\nb k\n").unwrap();
        assert_eq!(lines(), 2);
    }
}
