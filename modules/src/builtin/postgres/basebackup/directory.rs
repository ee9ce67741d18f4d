//! What a data directory holds, seen from outside, and whether a standby can be made of it.

use std::path::Path;

use super::source::{Identity, program};
use crate::host::{Command, Error, Host, Kind, Look};

/// What is in the place of the data directory.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Directory {
    /// Nothing.
    Absent,
    /// A directory with nothing in it.
    Empty,
    /// Files, but not those of a cluster.
    Other,
    /// A base backup that did not come to its end.
    Partial,
    /// A cluster.
    Cluster(Cluster),
}

/// What tells one cluster from another, and where it is in its life.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cluster {
    pub(super) identity: Identity,
    /// `Database cluster state` of pg_controldata(1).
    pub(super) state: String,
    /// `backup_label`: a base backup that was never started. The first start renames it.
    pub(super) fresh: bool,
    /// `backup_label.old`: it was a base backup, or its source was.
    pub(super) copied: bool,
}

/// Looks at the directory.
pub(super) fn look(host: &dyn Host, path: &Path, bin: Option<&Path>) -> Look<Directory> {
    let subject = || format!("cluster {}", path.display());
    match host.stat(path)?.map(|stat| stat.kind) {
        None => return Ok(Directory::Absent),
        Some(Kind::Dir) => {}
        Some(Kind::Link(to)) => {
            let hint = format!("give the path of the directory itself: {}", to.display());
            return Err(Error::refused(subject(), "it is a symbolic link", hint));
        }
        Some(_) => return Err(Error::refused(subject(), "it is not a directory", "move it away")),
    }
    if host.list(path)?.is_empty() {
        return Ok(Directory::Empty);
    }
    let has = |name: &str| Ok::<_, Error>(host.stat(&path.join(name))?.is_some());
    let fresh = has("backup_label")?;
    // The server sends pg_control last, and pg_basebackup writes the manifest after it.
    let begun = fresh || has("backup_manifest.tmp")? || has("pg_wal")?;
    let complete = has("global/pg_control")? && !has("backup_manifest.tmp")? && (!fresh || has("backup_manifest")?);
    match (begun, complete) {
        (_, true) => {}
        (true, false) => return Ok(Directory::Partial),
        (false, false) => return Ok(Directory::Other),
    }
    let command = Command::new(program(bin, "pg_controldata"), [path.display().to_string()]);
    let output = host.query(&command)?;
    let field = |name: &str| {
        let line = output.stdout.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(|value| value.trim().to_owned())
    };
    let timeline = field("Latest checkpoint's TimeLineID").and_then(|timeline| timeline.parse().ok());
    match (field("Database system identifier"), field("Database cluster state"), timeline) {
        (Some(system), Some(state), Some(timeline)) if output.success() => Ok(Directory::Cluster(Cluster {
            identity: Identity { system, timeline },
            state,
            fresh,
            copied: has("backup_label.old")?,
        })),
        _ => Err(Error::Command { command: command.to_string(), output: Box::new(output) }),
    }
}

/// Why a directory can be neither used nor filled; `Ok` tells whether it is a standby already, or can become one when it is
/// started. What only the source could tell is passed over if it is not known.
pub(super) fn usable(directory: &Directory, source: Option<&Identity>) -> Result<bool, String> {
    let cluster = match directory {
        Directory::Absent | Directory::Empty => return Ok(false),
        Directory::Other => return Err("it is not empty, and holds no cluster".into()),
        Directory::Partial => return Err("it is a base backup that did not come to its end".into()),
        Directory::Cluster(cluster) => cluster,
    };
    if let Some(source) = source {
        let (own, theirs) = (&cluster.identity, source);
        if own.system != theirs.system {
            return Err(format!(
                "it is another cluster: its system identifier is {}, that of the source is {}",
                own.system, theirs.system
            ));
        }
        if own.timeline > theirs.timeline {
            return Err(format!(
                "it was promoted: its timeline is {}, and the source is still on {}",
                own.timeline, theirs.timeline
            ));
        }
    }
    match cluster.state.as_str() {
        _ if cluster.fresh => Ok(true),
        "in archive recovery" | "shut down in recovery" => Ok(true),
        state if cluster.copied => Err(format!(
            "it is a copy that was opened read-write (`{state}`), so it has WAL that the source does not have; made a \
             standby, it would look healthy and break later"
        )),
        state => Err(format!("it is a server in its own right, not a standby (`{state}`)")),
    }
}
