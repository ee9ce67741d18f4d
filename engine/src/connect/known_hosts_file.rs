//! A file of known hosts, read once for all hosts: in a fleet of 10,000, each would look at 10,000 lines.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use base64::prelude::{BASE64_STANDARD, Engine};
use hmac::{Hmac, Mac};
use sha1::Sha1;

/// The lines of a file, by the hosts that they name.
pub(super) struct File {
    lines: Vec<String>,
    /// Lines that name hosts plainly, by each name in lower case.
    named: HashMap<String, Vec<usize>>,
    /// Lines whose one name is hashed (`HashKnownHosts`).
    hashed: Vec<(usize, Hashed)>,
    /// Lines with patterns or markers: they may be about any host.
    others: Vec<usize>,
}

/// A name as `|1|salt|hash`, both in base64: the HMAC-SHA1 of the name, with the salt as its key.
struct Hashed {
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl Hashed {
    fn parse(name: &str) -> Option<Self> {
        let (salt, hash) = name.strip_prefix("|1|")?.split_once('|')?;
        Some(Self { salt: BASE64_STANDARD.decode(salt).ok()?, hash: BASE64_STANDARD.decode(hash).ok()? })
    }

    fn is(&self, name: &str) -> bool {
        let mac = Hmac::<Sha1>::new_from_slice(&self.salt);
        mac.is_ok_and(|mac| mac.chain_update(name).verify_slice(&self.hash).is_ok())
    }
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
        let lines = text.lines().map(str::to_owned).collect();
        let mut file = Self { lines, named: HashMap::new(), hashed: Vec::new(), others: Vec::new() };
        for (index, line) in file.lines.iter().enumerate() {
            let names = line.split_ascii_whitespace().next().unwrap_or_default();
            if let Some(hashed) = Hashed::parse(names) {
                file.hashed.push((index, hashed));
                continue;
            }
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
        // One hash a line and name, but no more than that: its key is read only if it is this host's.
        let is = |hashed: &Hashed| hashed.is(names[0]) || (names[0] != names[1] && hashed.is(names[1]));
        let hashed = self.hashed.iter().filter(|(_, hashed)| is(hashed)).map(|(place, _)| place);
        let places: BTreeSet<usize> = named.chain(hashed).chain(&self.others).copied().collect();
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
    fn a_hashed_name_is_only_its_host() {
        // ssh-keygen -H on `db1 …`, and on `[db1]:2222 …`.
        let [db1, port] = ["db1", "[db1]:2222"].map(|name| {
            let salt = [7; 20];
            let hash = Hmac::<Sha1>::new_from_slice(&salt).unwrap().chain_update(name).finalize().into_bytes();
            format!("|1|{}|{} k\n", BASE64_STANDARD.encode(salt), BASE64_STANDARD.encode(hash))
        });
        let file = File::parse(&[db1, port].concat());
        let about = |names: [&str; 2]| {
            let names = names.map(str::to_owned);
            file.lines_about([&names[0], &names[1]]).map(|(place, _)| place).collect::<Vec<_>>()
        };
        assert_eq!(about(["db1", "db1"]), [0]);
        assert_eq!(about(["[db1]:2222", "db1"]), [0, 1]);
        assert_eq!(about(["db2", "db2"]), [0; 0]);
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
