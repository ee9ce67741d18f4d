//! `copy`: a file with given content, or a directory with all that is in it.

mod tree;

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Deserialize;

use self::tree::{Leaf, Tree};
use super::common::{self, Placed, Wanted};
use crate::digest::Algorithm;
use crate::edit::{Blob, Diff, Edit, MAX_SHOWN, Shown, Text};
use crate::host::{Error, Host};
use crate::module::Module;
use crate::param::{Content, Mode};
use crate::plan::Plan;

with_file_parameters! {
    /// Puts a file in place, atomically: a file of the controller, or text from the playbook. Its directory must exist.
    /// Owner and permissions of a file that is replaced stay unless they are given.
    ///
    /// A directory of the controller is copied with all that is in it; what else is in `dest` stays. With `src: dir` it becomes
    /// `dest/dir`, with `src: dir/` what is in it goes to `dest`. Only files with other content travel.
    ///
    /// `mode: preserve` takes the permission bits of the controller's file.
    #[derive(Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    pub(super) struct Copy {
        /// Where, absolute. If it ends in `/` or is a directory, the file goes into it under its own name.
        dest: PathBuf,
        /// The text. May be secret: then neither it nor what it replaces is shown.
        content: Option<Content>,
        /// How `content` is written: what is no text, such as a file of keys, travels as base64.
        #[serde(default)]
        encoding: Encoding,
        /// A file or directory of the controller; with `remote_src`, a file of the host.
        src: Option<PathBuf>,
        /// Whether `src` is on the host already.
        #[serde(default)]
        remote_src: bool,
        /// The SHA-256 of the file's content, in hexadecimal; Trueup fills it in from `src`.
        #[schemars(extend("internal" = true))]
        sha256: Option<String>,
        /// Its size in bytes; filled in from `src`.
        #[schemars(extend("internal" = true))]
        size: Option<u64>,
        /// Its name, for a `dest` that is a directory; filled in from `src`.
        #[schemars(extend("internal" = true))]
        name: Option<String>,
        /// What is in the directory that `src` names; filled in.
        #[schemars(extend("internal" = true))]
        tree: Option<Vec<Leaf>>,
        /// Whether a symbolic link in a directory of the controller is copied as what it points to, not as a link.
        #[serde(default = "common::yes")]
        #[expect(dead_code, reason = "the controller follows links, or not, when it looks what is in the directory")]
        local_follow: bool,
        /// Permission bits of directories that are made on the way; `"0755"` without them.
        directory_mode: Option<Mode>,
        /// Whether to keep the old content beside the file, as `dest.HASH.bak`.
        #[serde(default)]
        backup: bool,
        /// A command that refuses bad content by its status, such as `visudo -cf %s`; `%s` is a file that holds it.
        validate: Option<String>,
        /// Whether a file with other content is replaced.
        #[serde(default = "common::yes")]
        #[schemars(extend("aliases" = ["thirsty"]))]
        force: bool,
        /// Whether a symbolic link at `dest` is followed. Without it, the file takes the place of the link.
        #[serde(default)]
        follow: bool,
        /// The SHA-1 that the content must have, in hexadecimal.
        checksum: Option<String>,
        /// Whether a file of the controller that is encrypted by Ansible's vault is decrypted first; it is a secret then.
        #[serde(default = "common::yes")]
        #[expect(dead_code, reason = "the controller decrypts it")]
        decrypt: bool,
    }
}

/// What takes a link away comes first.
fn after_unlink(unlink: Option<Edit>, mut plan: Plan) -> Plan {
    plan.edits.splice(..0, unlink);
    plan
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    /// As it is.
    #[default]
    Text,
    /// Base64 (RFC 4648); white space in it does not count.
    Base64,
}

/// Where the content comes from.
enum Source<'a> {
    Text(Text),
    Blob(&'a str),
    Remote(&'a PathBuf),
}

impl Module for Copy {
    const NAME: &'static str = "copy";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        if let Some(leaves) = &self.tree {
            return self.directory(leaves)?.plan(host).map(|plan| {
                plan.returning("dest", format!("{}/", self.dest.display().to_string().trim_end_matches('/')))
            });
        }
        let source = self.source()?;
        let (path, now) = common::destination(host, &self.dest, self.follow, &|| self.file_name())?;
        let dest = path.display().to_string();
        if now.is_some() && !self.force {
            let plan = Plan::nothing().returning("dest", dest);
            return Ok(match &self.src {
                Some(src) => plan.returning("src", src.display().to_string()),
                None => plan,
            });
        }
        let (unlink, now) = common::unlinked(&path, now);
        let after = match source {
            Source::Text(text) => text,
            Source::Remote(src) => {
                let bytes = host.read(src)?;
                Text::plain(bytes.ok_or_else(|| {
                    let error = Error::path("read", src, "No such file or directory");
                    error.telling("msg", format!("Source {} not found", src.display()))
                })?)
            }
            // What is too long to be shown need not be held.
            Source::Blob(sha256) if self.is_long() => {
                let size = self.size.unwrap_or_default();
                let content = Blob { sha256: sha256.into(), size, durable: true };
                let plan = Placed { path, now, content, attributes: self.attributes() }.plan(host)?;
                return Ok(after_unlink(unlink, plan).returning("dest", dest).returning("size", size));
            }
            // What is there already need not travel.
            Source::Blob(sha256) if host.sha256(&path)?.as_deref() == Some(sha256) => {
                Text::plain(host.read(&path)?.unwrap_or_default())
            }
            Source::Blob(sha256) => Text::plain(host.blob(sha256)?),
        };
        if let Some(checksum) = self.checksum.as_ref().filter(|sum| **sum != Algorithm::Sha1.of(&after.bytes)) {
            let error = Error::param("checksum", format!("`{checksum}` is not the SHA-1 of what is copied"));
            let msg = "Copied file does not match the expected checksum. Transfer failed.";
            return Err(error.telling("msg", msg).telling("expected_checksum", checksum.as_str()));
        }
        let (attributes, validate) = (self.attributes(), self.validate.as_deref());
        let content = after.clone();
        let plan = Wanted { path, now, after, attributes, backup: self.backup, validate }.plan(host)?;
        let plan = common::told(after_unlink(unlink, plan), &dest, &content);
        Ok(match &self.src {
            Some(src) => plan.returning("src", src.display().to_string()),
            None => plan,
        })
    }

    fn intent(&self) -> Vec<Diff> {
        let after = match (&self.content, self.size) {
            (Some(content), _) => self.decoded(content).map_or(Shown::Unknown, |text| Shown::from(&text)),
            (None, Some(bytes)) => Shown::Opaque { bytes },
            (None, None) => Shown::Unknown,
        };
        let content = Diff::new(self.dest.display().to_string(), "content", Shown::Unknown, after);
        std::iter::once(content).chain(self.attributes().intent(&self.dest)).collect()
    }

    fn explain(&self, _host: &dyn Host, error: &Error) -> Option<String> {
        common::refused_content(self.validate.as_deref(), error)
    }

    fn lament(&self, error: &Error) -> Option<String> {
        common::unvalidated(self.validate.as_deref(), error).map(|_| "failed to validate".to_owned())
    }
}

impl Copy {
    fn source(&self) -> Result<Source<'_>, Error> {
        match (&self.content, &self.sha256, &self.src) {
            (Some(content), None, None) => Ok(Source::Text(self.decoded(content)?)),
            (None, Some(sha256), _) => Ok(Source::Blob(sha256)),
            (None, None, Some(src)) if self.remote_src => Ok(Source::Remote(src)),
            (Some(_), _, _) => Err(Error::param("content", "there is a `src` too; give one of them")
                .telling("msg", "src and content are mutually exclusive")),
            (None, None, _) => Err(Error::param("content", "is missing; give `content` or `src`")
                .telling("msg", "src (or content) is required")),
        }
    }

    fn directory<'a>(&'a self, leaves: &'a [Leaf]) -> Result<Tree<'a>, Error> {
        let of_one_file =
            [("content", self.content.is_some()), ("backup", self.backup), ("validate", self.validate.is_some())];
        if let Some((name, _)) = of_one_file.iter().find(|(_, given)| *given) {
            return Err(Error::param(name, "is for one file, and `src` is a directory"));
        }
        let (attributes, directory_mode) = (self.attributes(), self.directory_mode.as_ref());
        Ok(Tree { dest: &self.dest, leaves, attributes, directory_mode, force: self.force })
    }

    fn decoded(&self, content: &Content) -> Result<Text, Error> {
        match self.encoding {
            Encoding::Text => Ok(content.0.clone()),
            Encoding::Base64 => {
                let packed: Vec<u8> = content.0.bytes.iter().copied().filter(|c| !c.is_ascii_whitespace()).collect();
                // What is wrong with it would tell a part of it.
                let bytes = STANDARD.decode(packed).map_err(|_| Error::param("content", "is not base64"))?;
                Ok(Text { bytes, secret: content.0.secret })
            }
        }
    }

    /// Content that goes from the wire to the disk, piece by piece. A command that judges it, and a copy of the old
    /// content, need it whole.
    fn is_long(&self) -> bool {
        self.size.is_some_and(|size| size > MAX_SHOWN as u64) && self.validate.is_none() && !self.backup
    }

    fn file_name(&self) -> Result<PathBuf, Error> {
        let of_src = self.src.as_ref().and_then(|src| src.file_name()).map(PathBuf::from);
        self.name.as_ref().map(PathBuf::from).or(of_src).ok_or_else(|| {
            let error = Error::param("dest", format!("{} is a directory; name a file in it", self.dest.display()));
            error.telling("msg", "can not use content with a dir as dest")
        })
    }
}
