//! `fetch`: files of hosts that come to the controller. Where one goes is told by the playbook and the inventory alone: whatever a
//! host says, nothing is written outside of that.

use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use trueup_modules::digest::Algorithm;
use trueup_modules::edit::{Diff, Shown};
use trueup_modules::error::Error;
use trueup_modules::plan::Data;
use trueup_modules::wire::{Answer, Task};

/// A file that is on its way.
pub(super) struct Fetched {
    /// Where it goes.
    dest: PathBuf,
    /// How large it is on the host, in bytes.
    size: u64,
    /// The bytes of each piece but the last.
    piece: u64,
    /// The hash of its content there.
    sha256: String,
    /// Whether it must have that here.
    validate: bool,
    part: Option<NamedTempFile>,
    hash: Sha256,
    got: u64,
}

/// What is left to do after a host has told of a file.
pub(super) enum Next {
    /// Nothing: it is there, or need not be.
    Done,
    /// It has to come.
    Come(Box<Fetched>),
}

/// Looks whether the controller has the file already, and tells so in the answer.
pub(super) fn compare(task: &Task, answer: &mut Answer) -> Result<Next, Error> {
    let data = &mut answer.data;
    let text = |data: &Data, name: &str| data.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
    // A file that is not there and need not be.
    if !data.contains_key("sha256") {
        return Ok(Next::Done);
    }
    let (sha256, checksum) = (text(data, "sha256"), text(data, "checksum"));
    let [size, piece] = ["size", "piece"].map(|name| data.get(name).and_then(Json::as_u64).unwrap_or_default());
    data.retain(|name, _| name == "file");
    let dest = destination(task, &text(data, "file"))?;
    let now = sums(&dest).map_err(|error| Error::path("read", &dest, error))?;
    data.insert("dest".into(), json!(dest));
    if let Some((sha1, md5, _)) = &now
        && *sha1 == checksum
    {
        data.insert("checksum".into(), json!(sha1));
        data.insert("md5sum".into(), json!(md5));
        return Ok(Next::Done);
    }
    data.remove("file");
    data.insert("checksum".into(), json!(checksum));
    data.insert("remote_checksum".into(), json!(checksum));
    data.insert("remote_md5sum".into(), Json::Null);
    let before = now.map_or(Shown::Absent, |(_, _, bytes)| Shown::Opaque { bytes });
    let subject = format!("{} (here)", dest.display());
    answer.diffs = vec![Diff::new(subject, "content", before, Shown::Opaque { bytes: size })];
    let validate = task.params["validate_checksum"] != false;
    let hash = Sha256::new();
    Ok(Next::Come(Box::new(Fetched { dest, size, piece, sha256, validate, part: None, hash, got: 0 })))
}

impl Fetched {
    /// The number of the piece that is to come next; `None` if all have come.
    pub(super) fn wants(&self) -> Option<u64> {
        let begun = self.part.is_some();
        (!begun || self.got < self.size).then(|| self.got / self.piece.max(1))
    }

    /// Takes the next piece. It goes to a file beside the one that it will be.
    pub(super) fn take(&mut self, data: &Data) -> Result<(), Error> {
        let failed = |dest: &Path, reason: String| Error::path("write", dest, reason);
        let text = data.get("content").and_then(Json::as_str).unwrap_or_default();
        let bytes =
            STANDARD.decode(text).map_err(|error| failed(&self.dest, format!("what came is broken: {error}")))?;
        let left = self.size - self.got;
        if bytes.len() as u64 != left.min(self.piece) {
            return Err(failed(&self.dest, "the host's file has changed meanwhile".into()));
        }
        let part = match &mut self.part {
            Some(part) => part,
            None => self.part.insert(beside(&self.dest).map_err(|error| failed(&self.dest, error.to_string()))?),
        };
        part.write_all(&bytes).map_err(|error| failed(&self.dest, error.to_string()))?;
        self.hash.update(&bytes);
        self.got += bytes.len() as u64;
        Ok(())
    }

    /// Puts the file in place, if it is what the host said that it is. Yields its MD5.
    pub(super) fn finish(self) -> Result<Option<String>, Error> {
        let Self { dest, part: Some(part), hash, sha256, validate, .. } = self else { return Ok(None) };
        let come: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        if validate && come != sha256 {
            let error = Error::path("fetch", &dest, format!("what came has the SHA-256 {come}, and not {sha256}"));
            return Err(error.telling("msg", "checksum mismatch"));
        }
        part.persist(&dest).map_err(|error| Error::path("write", &dest, error.error))?;
        Ok(sums(&dest).ok().flatten().map(|(_, md5, _)| md5))
    }
}

/// As for any file that a program makes: it is for others to read where the process allows that.
fn beside(dest: &Path) -> io::Result<NamedTempFile> {
    use std::os::unix::fs::PermissionsExt;
    let dir = dest.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(dir)?;
    tempfile::Builder::new().prefix(".trueup.").permissions(std::fs::Permissions::from_mode(0o666)).tempfile_in(dir)
}

/// SHA-1, MD5 and size of the controller's file; `None` if there is none.
fn sums(path: &Path) -> io::Result<Option<(String, String, u64)>> {
    match std::fs::read(path) {
        Ok(content) => {
            let [sha1, md5] = [Algorithm::Sha1, Algorithm::Md5].map(|algorithm| algorithm.of(&content));
            Ok(Some((sha1, md5, content.len() as u64)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Where a file goes. `into` is the directory for that host, or, of `flat`, what `dest` says.
fn destination(task: &Task, source: &str) -> Result<PathBuf, Error> {
    let into = task.params["into"].as_str().unwrap_or_default();
    let flat = task.params["flat"] == true;
    let base = || Path::new(source).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let (root, dest) = match (flat, into.ends_with('/')) {
        (true, true) => (normal(Path::new(into)), normal(&Path::new(into).join(base()))),
        (true, false) => (normal(Path::new(into)), normal(Path::new(into))),
        (false, _) => (normal(Path::new(into)), normal(Path::new(&format!("{into}/{source}")))),
    };
    if !dest.starts_with(&root) || ((into.ends_with('/') || !flat) && root == dest) {
        let [root, dest] = [root, dest].map(|path| path.display().to_string());
        let error = Error::refused(source, format!("leads out of {root}, to {dest}"), "give `src` without `..`");
        let msg = format!("Detected directory traversal, expected to be contained in '{root}' but got '{dest}'");
        return Err(error.telling("msg", msg));
    }
    if dest.is_dir() {
        let error = Error::path("write", &dest, "it is a directory: end `dest` in `/` for a file in it");
        let msg = "dest is an existing directory, use a trailing slash if you want to fetch src into that directory";
        return Err(error.telling("msg", msg));
    }
    Ok(dest)
}

/// A path without `.` and `..`, as it is written.
pub(super) fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::Normal(name) => normal.push(name),
            Component::ParentDir => drop(normal.pop()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(params: Json) -> Task {
        serde_json::from_value(json!({"id": 0, "name": "", "module": "fetch", "params": params})).unwrap()
    }

    #[test]
    fn a_file_goes_below_its_directory_whatever_the_host_says() {
        let table = [
            (json!({"into": "/srv/got/web1"}), "/etc/motd", Ok("/srv/got/web1/etc/motd")),
            (json!({"into": "/srv/got/web1"}), "etc//./motd", Ok("/srv/got/web1/etc/motd")),
            (json!({"into": "/srv/got/web1"}), "/a/../etc/motd", Ok("/srv/got/web1/etc/motd")),
            (json!({"into": "/srv/got/", "flat": true}), "/etc/motd", Ok("/srv/got/motd")),
            (json!({"into": "/srv/motd", "flat": true}), "/etc/../../x", Ok("/srv/motd")),
            (json!({"into": "/srv/got/web1"}), "/../../../etc/cron.d/x", Err("/srv/got/web1, to /etc/cron.d/x")),
            (json!({"into": "/srv/got/web1"}), "../web10/x", Err("/srv/got/web1, to /srv/got/web10/x")),
            (json!({"into": "/srv/got/web1"}), "/..", Err("/srv/got/web1, to /srv/got")),
            (json!({"into": "/srv/got/web1"}), "", Err("/srv/got/web1, to /srv/got/web1")),
            (json!({"into": "/srv/got/", "flat": true}), "/etc/..", Err("/srv/got, to /srv/got")),
        ];
        for (params, source, wanted) in table {
            let found = destination(&task(params), source).map_err(|error| error.to_string());
            match wanted {
                Ok(path) => assert_eq!(found, Ok(path.into()), "{source}"),
                Err(way) => {
                    let error = found.unwrap_err();
                    assert_eq!(error, format!("{source}: leads out of {way}"), "{source}");
                }
            }
        }
    }

    #[test]
    fn a_file_comes_in_pieces_and_takes_its_place_whole() {
        let dir = tempfile::tempdir().unwrap();
        let into = dir.path().join("web1").display().to_string();
        let sums = |content: &str| {
            let [sha1, sha256] = [Algorithm::Sha1, Algorithm::Sha256].map(|algorithm| algorithm.of(content.as_bytes()));
            json!({"file": "/etc/a", "size": content.len(), "piece": 4, "checksum": sha1, "sha256": sha256})
        };
        let answer = |data: Json| Answer { data: data.as_object().unwrap().clone(), ..Answer::default() };
        let piece = |text: &str| answer(json!({"content": STANDARD.encode(text)})).data;
        let come = |content: &str| {
            let mut answer = answer(sums(content));
            match compare(&task(json!({"into": into})), &mut answer).unwrap() {
                Next::Come(fetched) => fetched,
                Next::Done => panic!("it is not there"),
            }
        };
        let dest = dir.path().join("web1/etc/a");

        let mut fetched = come("abcdef");
        assert_eq!(fetched.wants(), Some(0));
        fetched.take(&piece("abcd")).unwrap();
        assert_eq!((fetched.wants(), dest.exists()), (Some(1), false));
        fetched.take(&piece("ef")).unwrap();
        assert_eq!(fetched.wants(), None);
        assert_eq!(fetched.finish().unwrap().as_deref(), Some("e80b5017098950fc58aad83c8c14978e"));
        assert_eq!(std::fs::read_to_string(&dest).unwrap(), "abcdef");

        let mut again = answer(sums("abcdef"));
        assert!(matches!(compare(&task(json!({"into": into})), &mut again), Ok(Next::Done)));
        assert_eq!(again.data["md5sum"], "e80b5017098950fc58aad83c8c14978e");

        // Another content than was told of, or less, never takes the place of what is there.
        let mut other = come("ABCD");
        other.take(&piece("abcd")).unwrap();
        let error = other.finish().unwrap_err().to_string();
        assert!(error.contains("what came has the SHA-256 88d4266f"), "{error}");
        let error = come("ABCD").take(&piece("ABCDE")).unwrap_err().to_string();
        assert!(error.ends_with("the host's file has changed meanwhile"), "{error}");
        assert_eq!(std::fs::read_to_string(&dest).unwrap(), "abcdef");
        assert_eq!(std::fs::read_dir(dest.parent().unwrap()).unwrap().count(), 1);

        // An empty one comes, too.
        let mut empty = come("");
        assert_eq!(empty.wants(), Some(0));
        empty.take(&piece("")).unwrap();
        assert_eq!(empty.wants(), None);
        empty.finish().unwrap();
        assert_eq!(std::fs::read_to_string(&dest).unwrap(), "");
    }
}
