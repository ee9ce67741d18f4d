//! Files of this machine.

use std::fs;
use std::io::{self, Read, Write};
use std::num::NonZeroU64;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, Advice, AtFlags, CWD, Gid, OFlags, RenameFlags, ResolveFlags, Uid, XattrFlags, openat2};
use sha2::{Digest, Sha256};

use crate::digest::Algorithm;
use crate::edit::Blob;
use crate::host::{Detail, Error, Kind, Look, MAX_READ, Stat};
use crate::preview::hex;
use crate::system::Pieces;

/// Nothing there is an answer, not an error; nor is a path below something that is no directory.
fn absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn found<T>(action: &str, path: &Path, result: io::Result<T>) -> Look<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if absent(&error) => Ok(None),
        Err(error) => Err(Error::path(action, path, reason(&error))),
    }
}

/// The system's words without Rust's ` (os error 2)`.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

fn done<T, E: Into<io::Error>>(action: &str, path: &Path, result: Result<T, E>) -> Look<T> {
    result.map_err(|error| Error::path(action, path, reason(&error.into())))
}

pub(super) fn stat(path: &Path) -> Look<Option<Stat>> {
    let Some(meta) = found("look at", path, fs::symlink_metadata(path))? else { return Ok(None) };
    let kind = match meta.file_type() {
        kind if kind.is_symlink() => Kind::Link(done("read", path, fs::read_link(path))?),
        kind => kind_of(kind),
    };
    Ok(Some(stat_of(&meta, kind)))
}

/// By one look of the kernel's (openat2(2), from Linux 5.6 on) in place of one for each directory on the way.
pub(super) fn straight(path: &Path) -> Option<Stat> {
    let how = OFlags::PATH | OFlags::CLOEXEC;
    let file = openat2(CWD, path, how, rustix::fs::Mode::empty(), ResolveFlags::NO_SYMLINKS).ok()?;
    let meta = fs::File::from(file).metadata().ok()?;
    Some(stat_of(&meta, kind_of(meta.file_type())))
}

/// What kind of thing it is that is no symbolic link.
fn kind_of(kind: fs::FileType) -> Kind {
    match kind {
        kind if kind.is_file() => Kind::File,
        kind if kind.is_dir() => Kind::Dir,
        _ => Kind::Other,
    }
}

fn stat_of(meta: &fs::Metadata, kind: Kind) -> Stat {
    Stat {
        kind,
        mode: meta.mode() & 0o7777,
        uid: Some(meta.uid()),
        gid: Some(meta.gid()),
        size: meta.size(),
        mtime: meta.mtime(),
        id: (meta.dev(), meta.ino()),
        nlink: meta.nlink(),
        detail: Detail {
            times: [
                nanos(meta.atime(), meta.atime_nsec()),
                nanos(meta.mtime(), meta.mtime_nsec()),
                nanos(meta.ctime(), meta.ctime_nsec()),
            ],
            mode: meta.mode(),
            device: meta.rdev(),
            blocks: meta.blocks(),
            block_size: meta.blksize(),
        },
    }
}

/// Exact from 1678 to 2262.
fn nanos(seconds: i64, nanos: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}

pub(super) fn access(path: &Path) -> u8 {
    let may = |access, bits| if rustix::fs::access(path, access).is_ok() { bits } else { 0 };
    // Who may do everything, or read and write, is asked less.
    match may(Access::READ_OK | Access::WRITE_OK, 6) {
        0 => may(Access::READ_OK, 4) | may(Access::WRITE_OK, 2) | may(Access::EXEC_OK, 1),
        both => both | may(Access::EXEC_OK, 1),
    }
}

pub(super) fn read(path: &Path) -> Look<Option<Vec<u8>>> {
    let Some(file) = found("read", path, open(path))? else { return Ok(None) };
    // Its size is what it is likely to have: without, it is read in many small pieces. Those in /proc say that they have none.
    let size = file.metadata().map_or(0, |meta| meta.len()).min(MAX_READ);
    let mut content = Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 1);
    done("read", path, file.take(MAX_READ + 1).read_to_end(&mut content))?;
    if content.len() as u64 > MAX_READ {
        return Err(Error::path("read", path, format!("it is larger than {} MiB", MAX_READ >> 20)));
    }
    Ok(Some(content))
}

/// musl's `open` makes a second system call of each, for kernels that are older than 2.6.23.
fn open(path: &Path) -> io::Result<fs::File> {
    Ok(rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, rustix::fs::Mode::empty())?.into())
}

pub(super) fn digest(path: &Path, algorithm: Algorithm) -> Look<Option<String>> {
    let Some(mut file) = found("read", path, open(path))? else { return Ok(None) };
    let mut hash = algorithm.begin();
    let mut buffer = vec![0; 1 << 17];
    loop {
        match done("read", path, file.read(&mut buffer))? {
            0 => return Ok(Some(hex(&hash.finalize()))),
            n => hash.update(&buffer[..n]),
        }
    }
}

pub(super) fn list(path: &Path) -> Look<Vec<PathBuf>> {
    let entries = done("list", path, fs::read_dir(path))?;
    let mut names = done("list", path, entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>())?;
    names.sort();
    Ok(names)
}

/// A temporary file beside the target, then a rename: readers see the old content or the new, never a part.
pub(super) fn write(path: &Path, content: &[u8], mode: Option<u32>, owner: (Option<u32>, Option<u32>)) -> Look<()> {
    put(path, mode, owner, fs::File::sync_all, &mut |file| done("write", path, file.write_all(content)))
}

/// The same, piece by piece. What came damaged takes no file's place.
pub(super) fn write_pieces(
    path: &Path,
    content: &Blob,
    pieces: &mut Pieces<'_>,
    mode: Option<u32>,
    owner: (Option<u32>, Option<u32>),
) -> Look<()> {
    let settle = if content.durable { fs::File::sync_all } else { |_: &fs::File| Ok(()) };
    put(path, mode, owner, settle, &mut |file| {
        let mut hash = Sha256::new();
        let (mut length, mut begun) = (0, 0);
        loop {
            let piece = pieces()?;
            if piece.is_empty() {
                break;
            }
            hash.update(&piece);
            done("write", path, file.write_all(&piece))?;
            length += piece.len() as u64;
            if content.durable && length - begun >= WRITE_BEHIND {
                begin_to_settle(file, begun, length);
                begun = length;
            }
        }
        match hex(&hash.finalize()) == content.sha256 {
            true => Ok(()),
            false => Err(Error::path("write", path, "what came has another hash")),
        }
    })
}

/// So many bytes the disk is given to write while the next come.
const WRITE_BEHIND: u64 = 2 << 20;

/// Has the disk begin to write what is between two positions, without waiting for it: little is left to wait for at the end.
fn begin_to_settle(file: &fs::File, from: u64, to: u64) {
    // "Not needed" is how posix_fadvise(2) says that: what is not on the disk yet stays in memory. That it can't be had is no
    // loss but of time.
    let _ = rustix::fs::fadvise(file, from, NonZeroU64::new(to - from), Advice::DontNeed);
}

fn put(
    path: &Path,
    mode: Option<u32>,
    owner: (Option<u32>, Option<u32>),
    settle: fn(&fs::File) -> io::Result<()>,
    fill: &mut dyn FnMut(&mut fs::File) -> Look<()>,
) -> Look<()> {
    let old = stat(path)?.filter(Stat::is_file);
    let mode = mode.or(old.as_ref().map(|old| old.mode)).unwrap_or(0o644);
    let uid = owner.0.or(old.as_ref().and_then(|old| old.uid));
    let gid = owner.1.or(old.as_ref().and_then(|old| old.gid));
    let temporary = Temporary::beside(path)?;
    let mut file = done(
        "write",
        path,
        // 0600 until it has its owner: no moment at which others can read it.
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary.path),
    )?;
    fill(&mut file)?;
    chown(path, &temporary.path, uid, gid)?;
    done("write", path, file.set_permissions(fs::Permissions::from_mode(mode)))?;
    if old.is_some() {
        copy_label(path, &temporary.path);
    }
    done("write", path, settle(&file))?;
    done("write", path, fs::rename(&temporary.path, path))?;
    temporary.keep();
    Ok(())
}

/// SELinux keeps a file's context in this attribute; a system without it has none to copy.
fn copy_label(from: &Path, to: &Path) {
    const LABEL: &str = "security.selinux";
    let mut label = [0_u8; 256];
    if let Ok(length) = rustix::fs::getxattr(from, LABEL, &mut label[..]) {
        // A kernel that refuses has a policy that sets the right context by itself.
        let _ = rustix::fs::setxattr(to, LABEL, &label[..length], XattrFlags::empty());
    }
}

/// A path that is removed again unless it is kept.
struct Temporary {
    path: PathBuf,
}

impl Temporary {
    fn beside(path: &Path) -> Look<Self> {
        let name = path.file_name().ok_or_else(|| Error::path("write", path, "it has no name"))?;
        let nanos =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().subsec_nanos();
        let unique = format!(".{}.trueup-{}-{nanos}", name.to_string_lossy(), std::process::id());
        Ok(Self { path: path.with_file_name(unique) })
    }
    fn keep(mut self) {
        self.path = PathBuf::new();
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn chown(shown: &Path, path: &Path, uid: Option<u32>, gid: Option<u32>) -> Look<()> {
    let now = done("look at", shown, fs::symlink_metadata(path))?;
    if uid.is_none_or(|uid| uid == now.uid()) && gid.is_none_or(|gid| gid == now.gid()) {
        return Ok(());
    }
    let uid = uid.map(Uid::from_raw);
    let gid = gid.map(Gid::from_raw);
    done("change the owner of", shown, rustix::fs::chownat(CWD, path, uid, gid, AtFlags::SYMLINK_NOFOLLOW))
}

pub(super) fn set_mode(path: &Path, mode: u32) -> Look<()> {
    match stat(path)? {
        Some(stat) if stat.is_link() => Err(Error::path("change the mode of", path, "it is a symbolic link")),
        _ => done("change the mode of", path, fs::set_permissions(path, fs::Permissions::from_mode(mode))),
    }
}

pub(super) fn set_owner(path: &Path, owner: (Option<u32>, Option<u32>)) -> Look<()> {
    chown(path, path, owner.0, owner.1)
}

pub(super) fn make_dir(path: &Path, mode: u32) -> Look<()> {
    done("make", path, fs::create_dir(path))?;
    set_mode(path, mode)
}

pub(super) fn link(path: &Path, target: &Path) -> Look<()> {
    let temporary = Temporary::beside(path)?;
    done("link", path, std::os::unix::fs::symlink(target, &temporary.path))?;
    done("link", path, fs::rename(&temporary.path, path))?;
    temporary.keep();
    Ok(())
}

pub(super) fn remove(path: &Path) -> Look<()> {
    let is_dir = stat(path)?.is_some_and(|stat| stat.is_dir());
    done("remove", path, if is_dir { fs::remove_dir_all(path) } else { fs::remove_file(path) })
}

/// `RENAME_NOREPLACE`: what is at `to` is never lost.
pub(super) fn rename(from: &Path, to: &Path) -> Look<()> {
    done("rename", from, rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_what_no_link_leads_to_is_straight() {
        let dir = tempfile::tempdir().unwrap();
        let dir = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir(dir.join("sub")).unwrap();
        fs::write(dir.join("sub/file"), "content").unwrap();
        symlink("sub", dir.join("way")).unwrap();
        symlink("file", dir.join("sub/end")).unwrap();
        for path in ["sub", "sub/file", "sub/./file"] {
            assert_eq!(straight(&dir.join(path)), stat(&dir.join(path)).unwrap(), "{path}");
            assert!(straight(&dir.join(path)).is_some(), "{path}");
        }
        for path in ["way", "way/file", "sub/end", "missing", "sub/file/below"] {
            assert_eq!(straight(&dir.join(path)), None, "{path}");
        }
    }
}
