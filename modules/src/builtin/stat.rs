//! `stat`: what is at a path.

use std::path::{Component, Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::common;
use super::describe::describe;
use crate::attributes;
use crate::digest::Algorithm;
use crate::host::{Command, Error, Host, Kind, Output, Stat};
use crate::module::Module;
use crate::plan::Plan;

/// Looks at a path and registers what is there as `stat`: `exists`, `isreg`, `isdir`, `islnk`, `mode`, `uid`, `gid`,
/// `size`, `mtime`, `checksum` (SHA-1), `lnk_source`, `pw_name`, `gr_name`, `rusr` and so on. Changes nothing.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StatModule {
    /// The path.
    #[schemars(extend("aliases" = ["dest", "name"]))]
    path: PathBuf,
    /// Of a symbolic link, look at what it points to.
    #[serde(default)]
    follow: bool,
    /// Whether to compute a regular file's checksum.
    #[serde(default = "common::yes")]
    get_checksum: bool,
    /// How.
    #[serde(default)]
    #[schemars(extend("aliases" = ["checksum", "checksum_algo"]))]
    checksum_algorithm: Algorithm,
    /// Whether to ask file(1), where the host has it, for `mimetype` and `charset`.
    #[serde(default = "common::yes")]
    #[schemars(extend("aliases" = ["mime", "mime_type", "mime-type"]))]
    get_mime: bool,
    /// Whether to ask lsattr(1), where the host has it, for `attributes`, `attr_flags` and `version`.
    #[serde(default = "common::yes")]
    #[schemars(extend("aliases" = ["attr", "attributes"]))]
    get_attributes: bool,
}

/// As many links as Linux follows (path_resolution(7)).
const MAX_LINKS: usize = 40;

impl Module for StatModule {
    const NAME: &'static str = "stat";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let first = host.stat(&self.path)?;
        let (end, last) = followed(host, &self.path, first.clone())?;
        let Some(stat) = (if self.follow { &last } else { &first }) else {
            return Ok(Plan::nothing().returning("stat", json!({"exists": false})));
        };
        let mut answer = describe(host, &self.path, stat);
        let detail = &stat.detail;
        answer["exists"] = true.into();
        answer["blocks"] = detail.blocks.into();
        answer["block_size"] = detail.block_size.into();
        answer["device_type"] = detail.device.into();
        let access = host.access(&self.path)?;
        for (name, bit) in [("readable", 4), ("writeable", 2), ("executable", 1)] {
            answer[name] = (access & bit != 0).into();
        }
        if let Kind::Link(target) = &stat.kind {
            answer["lnk_source"] = json!(end);
            answer["lnk_target"] = json!(target);
        }
        if stat.is_file() && self.get_checksum && access & 4 != 0 {
            answer["checksum"] = json!(host.digest(&self.path, self.checksum_algorithm)?);
        }
        // What is not there yet has neither.
        if detail.mode != 0 {
            self.programs(host, &mut answer);
        }
        Ok(Plan::nothing().returning("stat", answer))
    }
}

impl StatModule {
    /// What only programs know. Where they are not there or fail, it is not known.
    fn programs(&self, host: &dyn Host, answer: &mut Value) {
        // A program would begin elsewhere.
        let absolute = attributes::absolute(host, &self.path).ok().flatten();
        let path = absolute.as_deref().unwrap_or(&self.path).display().to_string();
        let ask = |program: &str, args: &[&str]| {
            let command = Command::new(program, args.iter().copied().chain([path.as_str()]));
            host.query(&command).ok().filter(Output::success).map(|output| output.stdout)
        };
        if self.get_mime {
            let said = ask("file", &["--mime-type", "--mime-encoding", "--"]).unwrap_or_default();
            let both = said.rsplit_once(':').and_then(|(_, said)| said.split_once(';'));
            let (mimetype, charset) = both.map_or(("unknown", "unknown"), |(mimetype, charset)| {
                (mimetype.trim(), charset.split_once('=').map_or("unknown", |(_, charset)| charset.trim()))
            });
            answer["mimetype"] = mimetype.into();
            answer["charset"] = charset.into();
        }
        if self.get_attributes {
            let said = ask("lsattr", &["-vd", "--"]).unwrap_or_default();
            let mut words = said.split_whitespace();
            let version = words.next();
            let flags = words.next().unwrap_or_default().replace('-', "");
            let named = flags.chars().filter_map(|flag| ATTRIBUTES.iter().find(|(known, _)| *known == flag));
            answer["attributes"] = named.map(|(_, name)| Value::from(*name)).collect();
            answer["version"] = json!(version);
            answer["attr_flags"] = flags.into();
        }
    }
}

/// The letters of chattr(1), by Ansible's names.
const ATTRIBUTES: [(char, &str); 19] = [
    ('A', "noatime"),
    ('a', "append"),
    ('c', "compressed"),
    ('C', "nocow"),
    ('d', "nodump"),
    ('D', "dirsync"),
    ('e', "extents"),
    ('E', "encrypted"),
    ('h', "blocksize"),
    ('i', "immutable"),
    ('I', "indexed"),
    ('j', "journalled"),
    ('N', "inline"),
    ('s', "zero"),
    ('S', "synchronous"),
    ('t', "notail"),
    ('T', "blockroot"),
    ('u', "undelete"),
    ('X', "compressedraw"),
];

/// Where a chain of links ends, and what is there.
fn followed(host: &dyn Host, path: &Path, mut stat: Option<Stat>) -> Result<(PathBuf, Option<Stat>), Error> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        let Some(Stat { kind: Kind::Link(target), .. }) = &stat else { break };
        path = path.parent().unwrap_or(&path).join(target);
        stat = host.stat(&path)?;
    }
    Ok((plain(&path), stat))
}

/// Without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}
