//! What every module tells of the file that it is about, as Ansible's do: a result with a `path`, or else a `dest`, also
//! says what is there now (`add_path_info` of its `basic.py`).

use std::borrow::Cow;
use std::path::Path;

use serde_json::{Value, json};

use crate::facts;
use crate::host::{Host, Kind, Look, Stat};
use crate::plan::Data;

/// As many links as Linux follows (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// Adds `uid`, `gid`, `owner`, `group`, `mode`, `state` and `size` of what is at the path that a result names. A path
/// with nothing at its end adds nothing, and neither does what can't be looked at: the task itself has ended.
pub(crate) fn tell(host: &dyn Host, data: &mut Data) {
    let Some(path) = ["path", "dest"].iter().find_map(|name| data.get(*name)).and_then(Value::as_str) else { return };
    let Ok(Some(path)) = absolute(host, Path::new(path)) else { return };
    if let Ok(Some(told)) = of(host, &path) {
        data.extend(told);
    }
}

/// The path; if it is relative, below the directory that the agent runs in, as Ansible has it: of a connection that is the
/// user's home, here the present one. An agent that another user runs has none of its own.
pub(crate) fn absolute<'a>(host: &dyn Host, path: &'a Path) -> Look<Option<Cow<'a, Path>>> {
    if path.is_absolute() {
        return Ok(Some(path.into()));
    }
    Ok(match host.stat(Path::new("/proc/self/cwd"))?.map(|stat| stat.kind) {
        Some(Kind::Link(cwd)) if cwd != Path::new("/") => Some(cwd.join(path).into()),
        _ => None,
    })
}

fn of(host: &dyn Host, path: &Path) -> Look<Option<Data>> {
    let Some(stat) = host.stat(path)? else { return Ok(None) };
    let Some(end) = followed(host, path, &stat)? else { return Ok(None) };
    let state = match &stat.kind {
        Kind::Link(_) => "link",
        Kind::Dir => "directory",
        _ if end.nlink > 1 => "hard",
        _ => "file",
    };
    let mut told = Data::from_iter([
        ("mode".to_owned(), json!(format!("0{:03o}", stat.mode))),
        ("state".to_owned(), json!(state)),
        ("size".to_owned(), json!(stat.size)),
    ]);
    let mut id = |number: &str, name: &str, id: Option<u32>, known: &dyn Fn(u32) -> Option<String>| {
        // An account that an earlier task will make has no number yet.
        let Some(id) = id else { return };
        told.insert(number.into(), json!(id));
        told.insert(name.into(), known(id).unwrap_or_else(|| id.to_string()).into());
    };
    id("uid", "owner", stat.uid, &|id| facts::user_name(host, id));
    id("gid", "group", stat.gid, &|id| facts::group_name(host, id));
    Ok(Some(told))
}

/// What is at the end of a link.
fn followed(host: &dyn Host, path: &Path, stat: &Stat) -> Look<Option<Stat>> {
    let (mut path, mut stat) = (path.to_owned(), stat.clone());
    for _ in 0..MAX_LINKS {
        let Kind::Link(target) = &stat.kind else { return Ok(Some(stat)) };
        path = path.parent().unwrap_or(&path).join(target);
        let Some(next) = host.stat(&path)? else { return Ok(None) };
        stat = next;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    #[test]
    fn of_a_file_a_directory_and_links() {
        let host = Fake::new()
            .file("/etc/passwd", "root:x:0:0::/root:/bin/sh\nbob:x:7:8::/:/bin/sh\n", 0o644)
            .file("/etc/group", "root:x:0:\nstaff:x:8:\n", 0o644)
            .file("/srv/a", "hello", 0o640)
            .owned("/srv/a", "7", "9")
            .symlink("/srv/link", "a")
            .symlink("/srv/dangling", "nothing")
            .symlink("/proc/self/cwd", "/srv")
            .answer("getent group -- 9", 2, "");
        let table = [
            (
                json!({"path": "/srv/a", "dest": "/elsewhere"}),
                json!({"mode": "0640", "state": "file", "size": 5, "uid": 7, "gid": 9, "owner": "bob", "group": "9"}),
            ),
            (
                json!({"dest": "/srv"}),
                json!({"mode": "0755", "state": "directory", "size": 0, "uid": 0, "gid": 0, "owner": "root", "group": "root"}),
            ),
            (
                json!({"path": "/srv/link"}),
                json!({"mode": "0777", "state": "link", "size": 0, "uid": 0, "gid": 0, "owner": "root", "group": "root"}),
            ),
            (json!({"path": "/srv/dangling"}), json!({})),
            (json!({"path": "/nothing"}), json!({})),
            (json!({"path": "relative"}), json!({})),
            (
                json!({"path": "a"}),
                json!({"mode": "0640", "state": "file", "size": 5, "uid": 7, "gid": 9, "owner": "bob", "group": "9"}),
            ),
            (json!({"msg": "/srv/a"}), json!({})),
        ];
        for (given, wanted) in table {
            let Value::Object(before) = given.clone() else { panic!("{given}") };
            let mut data = before.clone();
            tell(&host, &mut data);
            data.retain(|name, _| !before.contains_key(name));
            assert_eq!(Value::Object(data), wanted, "{given}");
        }
    }
}
