//! What `stat` and `find` tell about a path, under Ansible's names.

use std::path::Path;

use serde_json::{Value, json};

use crate::facts;
use crate::host::{Host, Stat};

/// The permission bits from the least significant on.
const BITS: [&str; 9] = ["xoth", "woth", "roth", "xgrp", "wgrp", "rgrp", "xusr", "wusr", "rusr"];

/// Kind, permissions, owners (names where they have one), size and time.
pub(super) fn describe(host: &dyn Host, path: &Path, stat: &Stat) -> Value {
    let is = |format: u32| stat.detail.mode & 0o170_000 == format;
    // Exact to some hundred nanoseconds, as Python's are.
    #[expect(clippy::cast_precision_loss, reason = "as in Python")]
    let time = |at: usize| stat.detail.times[at] as f64 / 1e9;
    let mut told = json!({
        "path": path,
        "mode": format!("{:04o}", stat.mode),
        "isdir": stat.is_dir(), "isreg": stat.is_file(), "islnk": stat.is_link(),
        "ischr": is(0o020_000), "isblk": is(0o060_000), "isfifo": is(0o010_000), "issock": is(0o140_000),
        "uid": stat.uid, "gid": stat.gid, "size": stat.size,
        "atime": time(0), "mtime": time(1), "ctime": time(2),
        "inode": stat.id.1, "dev": stat.id.0, "nlink": stat.nlink,
        "pw_name": stat.uid.and_then(|id| facts::user_name(host, id)).unwrap_or_default(),
        "gr_name": stat.gid.and_then(|id| facts::group_name(host, id)).unwrap_or_default(),
        "isuid": stat.mode & 0o4000 != 0, "isgid": stat.mode & 0o2000 != 0,
    });
    for (at, name) in BITS.iter().enumerate() {
        told[*name] = (stat.mode >> at & 1 == 1).into();
    }
    told
}
