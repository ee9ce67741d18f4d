//! What `stat` and `find` tell about a path, under Ansible's names.

use std::path::Path;

use serde_json::{Value, json};

use crate::host::{Host, Stat};

/// The permission bits from the least significant on.
const BITS: [&str; 9] = ["xoth", "woth", "roth", "xgrp", "wgrp", "rgrp", "xusr", "wusr", "rusr"];

/// Kind, permissions, owners (names where they have one), size and time.
pub(super) fn describe(host: &dyn Host, path: &Path, stat: &Stat) -> Value {
    let name = |id: Option<u32>, look: &dyn Fn(&str) -> Option<String>| id.and_then(|id| look(&id.to_string()));
    let mut told = json!({
        "path": path,
        "mode": format!("{:04o}", stat.mode),
        "isdir": stat.is_dir(), "isreg": stat.is_file(), "islnk": stat.is_link(),
        "uid": stat.uid, "gid": stat.gid, "size": stat.size, "mtime": stat.mtime,
        "inode": stat.id.1, "dev": stat.id.0, "nlink": stat.nlink,
        "pw_name": name(stat.uid, &|id| Some(host.user(id).ok()??.name)).unwrap_or_default(),
        "gr_name": name(stat.gid, &|id| Some(host.group(id).ok()??.name)).unwrap_or_default(),
        "isuid": stat.mode & 0o4000 != 0, "isgid": stat.mode & 0o2000 != 0,
    });
    for (at, name) in BITS.iter().enumerate() {
        told[*name] = (stat.mode >> at & 1 == 1).into();
    }
    told
}
