//! `known_hosts`: the keys by which SSH knows hosts.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use sha1::{Digest, Sha1};

use super::common;
use super::state::State;
use crate::edit::{Diff, Shown};
use crate::expand;
use crate::host::{Error, Host};
use crate::module::Module;
use crate::plan::Plan;

/// A host's key in a `known_hosts` file (sshd(8)). Another key of that host and of the same type is replaced. With
/// `state: absent` and no `key`, all keys of the host go.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KnownHosts {
    /// The host: a name or an address, `[name]:port` for another port than 22.
    #[schemars(extend("aliases" = ["host"]))]
    name: String,
    /// The line: `NAME ssh-ed25519 AAAA…`.
    key: Option<String>,
    /// The file; `.ssh/known_hosts` in the home of the user that the task runs as by default.
    path: Option<PathBuf>,
    /// Whether the host's name is written as a hash.
    #[serde(default)]
    hash_host: bool,
    /// Whether the key is there.
    #[serde(default)]
    state: State,
}

/// A line of the file.
struct Line<'a> {
    marker: Option<&'a str>,
    hosts: &'a str,
    kind: &'a str,
    key: &'a str,
}

impl Module for KnownHosts {
    const NAME: &'static str = "known_hosts";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let name = self.name.to_lowercase();
        let wanted = self.wanted(&name)?;
        let path = match &self.path {
            Some(path) => path.clone(),
            None => expand::all(host, &["~/.ssh/known_hosts".to_owned()])?.remove(0).into(),
        };
        let (real, now) = common::resolve(host, &path)?;
        let before = common::text(host, &real)?;
        let after = self.edited(&before, &name, wanted.as_deref());
        let diff = json!({
            "before_header": if now.is_some() { json!(path) } else { json!("/dev/null") },
            "after_header": path,
            "before": before,
            "after": after,
        });
        let plan = if after == before { Plan::nothing() } else { common::put(host, &path, after)? };
        let told = [
            ("name", json!(self.name)),
            ("key", json!(self.key)),
            ("path", json!(path)),
            ("hash_host", json!(self.hash_host)),
            ("state", json!(self.state.word())),
            ("diff", diff),
        ];
        Ok(told.into_iter().fold(plan, |plan, (name, value)| plan.returning(name, value)))
    }

    fn intent(&self) -> Vec<Diff> {
        let key = Shown::from(self.key.as_deref().map(str::trim));
        let (before, after) = match self.state {
            State::Present => (Shown::Unknown, key),
            State::Absent => (key, Shown::Absent),
        };
        vec![Diff::new(format!("known host {}", self.name), "key", before, after)]
    }
}

impl KnownHosts {
    /// The line to be, with its end.
    fn wanted(&self, name: &str) -> Result<Option<String>, Error> {
        let Some(key) = self.key.as_deref().map(str::trim).filter(|key| !key.is_empty()) else {
            return match self.state {
                State::Absent => Ok(None),
                State::Present => {
                    let error = Error::param("key", "is missing: which key does the host have?");
                    Err(error.telling("msg", "No key specified when adding a host"))
                }
            };
        };
        if name.contains(',') {
            let error = Error::param("name", "must be one name, without commas");
            let msg = "Comma separated list of names is not supported. Please pass a single name to lookup in the known_hosts file.";
            return Err(error.telling("msg", msg));
        }
        let line = Line::parse(key).filter(|line| self.hash_host || line.names(name));
        let Some(line) = line else {
            let error = Error::param("key", format!("is no line for `{name}`: `{name} ssh-ed25519 AAAA…`"));
            return Err(error.telling("msg", "Host parameter does not match hashed host field in supplied key"));
        };
        if !self.hash_host {
            return Ok(Some(format!("{key}\n")));
        }
        // Made from the key, so that it is the same whenever it is planned.
        let salt = Sha1::digest(format!("{name} {}", line.key));
        let marker = line.marker.map(|marker| format!("{marker} ")).unwrap_or_default();
        let hashed = format!("|1|{}|{}", STANDARD.encode(salt), STANDARD.encode(hmac(&salt, name)));
        Ok(Some(format!("{marker}{hashed} {} {}\n", line.kind, line.key)))
    }

    fn edited(&self, before: &str, name: &str, wanted: Option<&str>) -> String {
        let new = wanted.and_then(Line::parse);
        fn of_host<'a>(line: &'a str, name: &str) -> Option<Line<'a>> {
            Line::parse(line).filter(|line| line.names(name))
        }
        let same = |line: &Line<'_>| new.as_ref().is_some_and(|new| new.is(line));
        let keeps = |line: &str| match (of_host(line, name), &new, self.state) {
            (None, ..) => true,
            (Some(_), None, _) => false,
            (Some(line), Some(new), State::Absent) => !new.has_key_of(&line),
            (Some(line), Some(new), State::Present) => line.marker.is_some() || line.kind != new.kind,
        };
        if self.state == State::Present && before.lines().filter_map(|line| of_host(line, name)).any(|line| same(&line))
        {
            return before.to_owned();
        }
        let mut after: String = before.split_inclusive('\n').filter(|line| keeps(line)).collect();
        if let (State::Present, Some(line)) = (self.state, wanted) {
            if !after.is_empty() && !after.ends_with('\n') {
                after.push('\n');
            }
            after.push_str(line);
        }
        after
    }
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let line = line.trim();
        let marked = line.starts_with('@').then(|| line.split_once(char::is_whitespace)).flatten();
        let (marker, rest) = marked.map_or((None, line), |(marker, rest)| (Some(marker), rest));
        let mut words = rest.split_whitespace();
        let (hosts, kind, key) = (words.next()?, words.next()?, words.next()?);
        (!line.starts_with('#')).then_some(Self { marker, hosts, kind, key })
    }

    /// Whether it is about a host, as SSH reads it.
    fn names(&self, name: &str) -> bool {
        if let Some((salt, hash)) = self.hosts.strip_prefix("|1|").and_then(|rest| rest.split_once('|')) {
            let decoded = STANDARD.decode(salt).ok().zip(STANDARD.decode(hash).ok());
            return decoded.is_some_and(|(salt, hash)| hmac(&salt, name) == hash);
        }
        let mut named = false;
        for pattern in self.hosts.split(',').map(str::to_lowercase) {
            match pattern.strip_prefix('!') {
                Some(not) if wild(not.as_bytes(), name.as_bytes()) => return false,
                Some(_) => {}
                None => named |= wild(pattern.as_bytes(), name.as_bytes()),
            }
        }
        named
    }

    /// The same key. A name that is a hash is not compared: both were found to be the host's.
    fn is(&self, other: &Self) -> bool {
        let hashed = |line: &Self| line.hosts.starts_with("|1|");
        let alike = (hashed(self) && hashed(other)) || self.hosts == other.hosts;
        alike && self.has_key_of(other)
    }

    /// The same key, however the host is written.
    fn has_key_of(&self, other: &Self) -> bool {
        (self.marker, self.kind, self.key) == (other.marker, other.kind, other.key)
    }
}

/// `*` and `?` as in ssh_config(5).
fn wild(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => (0..=name.len()).any(|at| wild(rest, &name[at..])),
        (Some((b'?', rest)), Some((_, left))) => wild(rest, left),
        (Some((one, rest)), Some((other, left))) => one == other && wild(rest, left),
        _ => false,
    }
}

/// HMAC-SHA1 (RFC 2104) with a key of no more than a block.
fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let pad = |byte: u8| {
        let mut block = [byte; 64];
        block.iter_mut().zip(key).for_each(|(pad, key)| *pad ^= key);
        Sha1::new().chain_update(block)
    };
    let inner = pad(0x36).chain_update(text).finalize();
    pad(0x5c).chain_update(inner).finalize().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_named_as_ssh_has_it() {
        // The hash is what `ssh-keygen -H` made.
        let hashed = "|1|F1E1KeoE/eEWhi10WpGv4OdiO6Y=|3988QV0VE8wmZL7suNrYQLITLCg= ssh-rsa AAAA";
        for (line, name, wanted) in [
            ("a.example,10.0.0.1 ssh-ed25519 AAAA", "10.0.0.1", true),
            ("A.example ssh-ed25519 AAAA me@there", "a.example", true),
            ("*.example,!b.example ssh-ed25519 AAAA", "b.example", false),
            ("*.example,!b.example ssh-ed25519 AAAA", "c.example", true),
            ("@revoked a?c ssh-ed25519 AAAA", "abc", true),
            ("[a]:2222 ssh-ed25519 AAAA", "a", false),
            (hashed, "192.168.1.61", true),
            (hashed, "192.168.1.62", false),
        ] {
            assert_eq!(Line::parse(line).unwrap().names(name), wanted, "{line} {name}");
        }
        for none in ["", "# a b c", "a ssh-rsa"] {
            assert!(Line::parse(none).is_none(), "{none}");
        }
    }
}
