//! `fetch`: a file of the host that the controller gets. What is done on the controller is the engine's part.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::common;
use crate::digest::Algorithm;
use crate::host::{Command, Error, Host, Kind, Stat};
use crate::module::Module;
use crate::plan::Plan;

/// How many MiB of a file go at a time.
const PIECE: u64 = 8;

/// Prints a piece of a file as Base64: `$1` is the file, `$2` how many MiB come before it and `$3` how many it has.
const READ: &str = r#"dd if="$1" bs=1048576 skip="$2" count="$3" 2>/dev/null | base64 | tr -d '\n'"#;

/// Copies a file of the host to the controller, atomically, if it has another content there: to `dest/HOST/SRC`, or to `dest`
/// itself with `flat`. The host must have base64(1). Registers `dest`, `checksum` (SHA-1) and `md5sum`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Fetch {
    /// The file of the host.
    src: String,
    /// The controller's directory that it goes to, below a directory of the host's name and those of `src`. Relative to the
    /// playbook.
    #[expect(dead_code, reason = "it is on the controller")]
    dest: Option<String>,
    /// Whether `dest` is the file itself; or, if it ends in `/`, its directory.
    #[serde(default)]
    #[expect(dead_code, reason = "it is about the controller")]
    flat: bool,
    /// Whether a file that is not there is an error.
    #[serde(default = "common::yes")]
    fail_on_missing: bool,
    /// Whether what came is compared with what was sent.
    #[serde(default = "common::yes")]
    #[expect(dead_code, reason = "the controller compares")]
    validate_checksum: bool,
    /// Where it goes; Trueup fills it in from `dest`.
    #[schemars(extend("internal" = true))]
    #[expect(dead_code, reason = "it is on the controller")]
    into: Option<String>,
    /// The piece that is asked for; Trueup asks for one after the other.
    #[schemars(extend("internal" = true))]
    piece: Option<u64>,
}

impl Module for Fetch {
    const NAME: &'static str = "fetch";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let src = Path::new(&self.src);
        if let Some(piece) = self.piece {
            return self.read(host, piece);
        }
        let now = match followed(host, src)? {
            Some(now) if now.is_dir() => {
                return self.missing(Error::path("fetch", src, "it is a directory"), IS_DIRECTORY);
            }
            Some(now) => now,
            None => return self.missing(Error::path("fetch", src, "No such file or directory"), NOT_THERE),
        };
        let sum = |algorithm| host.digest(src, algorithm);
        let Some((sha1, sha256)) = sum(Algorithm::Sha1)?.zip(sum(Algorithm::Sha256)?) else {
            return self.missing(Error::path("fetch", src, "No such file or directory"), NOT_THERE);
        };
        let plan = Plan::nothing().returning("file", self.src.as_str()).returning("size", now.size);
        Ok(plan.returning("checksum", sha1).returning("sha256", sha256).returning("piece", PIECE << 20))
    }
}

const NOT_THERE: &str = "the remote file does not exist, not transferring, ignored";
const IS_DIRECTORY: &str = "remote file is a directory, fetch cannot work on directories";

impl Fetch {
    fn missing(&self, error: Error, msg: &str) -> Result<Plan, Error> {
        if self.fail_on_missing {
            return Err(error.telling("msg", msg).telling("file", self.src.as_str()));
        }
        let more = if msg == IS_DIRECTORY { ", not transferring, ignored" } else { "" };
        Ok(Plan::nothing().returning("msg", format!("{msg}{more}")).returning("file", self.src.as_str()))
    }

    fn read(&self, host: &dyn Host, piece: u64) -> Result<Plan, Error> {
        let skip = piece.saturating_mul(PIECE);
        let args = ["-c", READ, "fetch", &self.src, &skip.to_string(), &PIECE.to_string()];
        let command = Command::new("/bin/sh", args);
        let output = host.query(&command)?;
        if !output.success() {
            let command = format!("base64 of {}", self.src);
            return Err(Error::Command { command, output: Box::new(output) });
        }
        Ok(Plan::nothing().returning("content", json!(output.stdout)))
    }
}

/// What is at the end of a link.
fn followed(host: &dyn Host, path: &Path) -> Result<Option<Stat>, Error> {
    let (mut path, mut now) = (PathBuf::from(path), host.stat(path)?);
    for _ in 0..40 {
        let Some(Stat { kind: Kind::Link(target), .. }) = &now else { break };
        path = path.parent().unwrap_or(Path::new("/")).join(target);
        now = host.stat(&path)?;
    }
    Ok(now)
}
