//! `key_consistency`: whether a standby has the files that the primary's key providers name.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{ProviderScope, Tde, options, pg_tde};
use crate::host::{Command, Error, Host, Look};
use crate::module::Module;
use crate::plan::Plan;

with_connection! {
/// The files that the providers of keys need (a Vault's token and CA, KMIP's certificates, a file of keys), compared between the
/// primary and a standby by path, content, owner and mode. Changes nothing.
///
/// On the primary, it asks the server for its providers, looks at their files and registers them as `files`. On a standby, before
/// the first start, `primary: "{{ hostvars['db1'].keys.files }}"` has them compared with those here; the server need not run. A
/// difference is an error that names both. Only SHA-256 sums travel; no key, token or password leaves a host. Runs as a user
/// who may read the files, such as the server's.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::builtin) struct KeyConsistency {
    /// On a standby: `files`, as registered by this module on the primary.
    primary: Option<Vec<KeyFile>>,
    /// On the primary: further files that must be alike.
    #[serde(default)]
    files: Vec<PathBuf>,
    /// The extension: `pg_tde`, or a fork whose functions differ in their prefix.
    #[serde(default = "pg_tde")]
    extension: String,
}
}

/// A file that a provider needs, as it is on one host.
#[derive(Clone, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    /// The host's own name.
    host: String,
    /// The provider; absent for a file that was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<String>,
    /// `token`, `CA`, `key file` …
    what: String,
    /// Where.
    path: PathBuf,
    /// The content's SHA-256; absent if there is no such file.
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    /// The owner's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    /// The group's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    /// Permission bits, octal.
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
}

impl Module for KeyConsistency {
    const NAME: &'static str = "key_consistency";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let name = host.query(&Command::new("uname", ["-n"]))?.stdout.trim().to_owned();
        match &self.primary {
            Some(theirs) => compare(host, &name, theirs),
            None => self.gather(host, &name),
        }
    }
}

impl KeyConsistency {
    fn gather(&self, host: &dyn Host, name: &str) -> Result<Plan, Error> {
        let tde = Tde::open(host, self.conn(), &self.extension)?;
        let mut files = Vec::new();
        for scope in [ProviderScope::Global, ProviderScope::Database] {
            for provider in tde.providers(scope)? {
                for (what, path) in options::files(&provider) {
                    files.push(KeyFile::look(host, name, Some(&provider.name), what, path.into())?);
                }
            }
        }
        for path in &self.files {
            files.push(KeyFile::look(host, name, None, "file", path.clone())?);
        }
        match files.iter().find(|file| file.sha256.is_none()) {
            Some(lost) => Err(Error::refused(
                lost.subject(),
                format!("{name} itself has no such file"),
                "put it back before the server is started again",
            )),
            None => Ok(Plan::nothing().returning("files", json!(files))),
        }
    }
}

fn compare(host: &dyn Host, name: &str, theirs: &[KeyFile]) -> Result<Plan, Error> {
    let mut plan = Plan::nothing();
    let mut differences = Vec::new();
    for file in theirs {
        let ours = KeyFile::look(host, name, file.provider.as_deref(), &file.what, file.path.clone())?;
        differences.extend(file.difference(&ours));
        if file.what == "key file" {
            plan.warnings.push(format!(
                "{} is shared by {} and {name}. pg_tde's documentation: it stores key material in a local file and it is not \
                 designed for shared or concurrent use across multiple servers; it is not recommended in replication setups",
                file.path.display(),
                file.host,
            ));
        }
    }
    match differences.is_empty() {
        true => Ok(plan.returning("compared", theirs.len())),
        false => Err(Error::refused(
            format!("keys of {name}"),
            differences.join("; "),
            "a standby that lacks a key stops at the first change that needs it: make the files alike before it starts",
        )),
    }
}

impl KeyFile {
    fn look(host: &dyn Host, name: &str, provider: Option<&str>, what: &str, path: PathBuf) -> Look<Self> {
        let stat = host.stat(&path)?;
        let owner = match stat.as_ref().and_then(|stat| stat.uid) {
            Some(uid) => Some(host.user(&uid.to_string())?.map_or(uid.to_string(), |user| user.name)),
            None => None,
        };
        let group = match stat.as_ref().and_then(|stat| stat.gid) {
            Some(gid) => Some(host.group(&gid.to_string())?.map_or(gid.to_string(), |group| group.name)),
            None => None,
        };
        let sha256 = if stat.is_some() { host.sha256(&path)? } else { None };
        let mode = stat.map(|stat| format!("{:04o}", stat.mode));
        let (host, provider, what) = (name.to_owned(), provider.map(Into::into), what.to_owned());
        Ok(Self { host, provider, what, path, sha256, owner, group, mode })
    }

    /// `/etc/token (token of vault)`.
    fn subject(&self) -> String {
        let of = self.provider.as_ref().map(|provider| format!(" of {provider}")).unwrap_or_default();
        format!("{} ({}{of})", self.path.display(), self.what)
    }

    /// What differs, if anything does.
    fn difference(&self, ours: &Self) -> Option<String> {
        if ours.sha256.is_none() {
            return Some(format!("{}: {} has it, {} has not", self.subject(), self.host, ours.host));
        }
        let short = |sum: &Option<String>| sum.as_ref().map(|sum| format!("{}…", sum.get(..12).unwrap_or(sum)));
        let aspects = [
            ("SHA-256", short(&self.sha256), short(&ours.sha256), self.sha256 == ours.sha256),
            ("owner", self.owner.clone(), ours.owner.clone(), self.owner == ours.owner),
            ("group", self.group.clone(), ours.group.clone(), self.group == ours.group),
            ("mode", self.mode.clone(), ours.mode.clone(), self.mode == ours.mode),
        ];
        let say = |value: Option<String>| value.unwrap_or_else(|| "unknown".into());
        let words: Vec<String> = aspects
            .into_iter()
            .filter(|(.., same)| !same)
            .map(|(aspect, here, there, _)| {
                format!("{aspect} {} on {}, {} on {}", say(here), self.host, say(there), ours.host)
            })
            .collect();
        (!words.is_empty()).then(|| format!("{}: {}", self.subject(), words.join(", ")))
    }
}
