//! `authorized_key`: who may log in as an account by SSH.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::common::{self, Attributes, Wanted};
use super::state::State;
use crate::edit::{Diff, Edit, Owner, Shown, Text};
use crate::host::{Command, Error, Host, Kind};
use crate::module::Module;
use crate::param::Mode;
use crate::plan::Plan;

/// Public keys in an account's `authorized_keys` (sshd(8)). A key is known by itself: if it is there with other options or
/// another comment, its line is replaced.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AuthorizedKey {
    /// The account.
    user: String,
    /// Public keys, one a line, as in a `.pub` file; options may stand before them. Or where such lines are: a `file://` of the
    /// host, or an address (`https://…`) that its curl(1) asks.
    key: String,
    /// The file; `.ssh/authorized_keys` in the account's home by default.
    path: Option<PathBuf>,
    /// Whether the file's directory is made, and is for the account alone.
    #[serde(default = "common::yes")]
    manage_dir: bool,
    /// Whether the keys are there.
    #[serde(default)]
    state: State,
    /// The options of the keys, in the place of those that stand before them.
    key_options: Option<String>,
    /// Whether all other keys are removed.
    #[serde(default)]
    exclusive: bool,
    /// The comment of the keys, in the place of those that stand behind them.
    comment: Option<String>,
    /// Whether a symbolic link at `path` is followed. Always so, if nobody else can have put it there.
    #[serde(default)]
    #[expect(dead_code, reason = "it is what is done")]
    follow: bool,
    /// Whether the certificate of a server that is asked must be good.
    #[serde(default = "common::yes")]
    validate_certs: bool,
}

/// A line with a key.
#[derive(Clone, Debug, PartialEq)]
struct Key<'a> {
    options: &'a str,
    kind: &'a str,
    key: &'a str,
    comment: &'a str,
}

impl Module for AuthorizedKey {
    const NAME: &'static str = "authorized_key";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let source = self.source(host)?;
        let keys = self.keys(&source)?;
        let Some(user) = host.user(&self.user)? else {
            let error = Error::param("user", format!("there is no user `{}`", self.user));
            let msg = format!("Failed to lookup user {}: \"getpwnam(): name not found: '{}'\"", self.user, self.user);
            return Err(error.telling("msg", msg));
        };
        let file = self.path.clone().unwrap_or_else(|| Path::new(&user.home).join(".ssh/authorized_keys"));
        let (path, now) = common::resolve(host, &file)?;
        let before = common::text(host, &path)?;
        let after = self.edited(&before, &keys);
        let (owner, group) = (user.uid.map(|uid| uid.to_string()), user.gid.map(|gid| gid.to_string()));
        let mut plan = Plan::nothing();
        if self.manage_dir && (self.state == State::Present || now.is_some()) {
            let dir = path.parent().unwrap_or(&path);
            if host.stat(dir)?.is_none() {
                let owner = Owner { user: owner.clone(), group: group.clone() };
                plan.edits.push(Edit::Dir { path: dir.into(), mode: Some(0o700), owner });
            } else if self.path.is_none() {
                let mode = Mode::Bits(0o700);
                let attributes = Attributes {
                    mode: Some(&mode),
                    owner: owner.as_deref(),
                    group: group.as_deref(),
                    ..Attributes::default()
                };
                if let Some(stat) = host.stat(dir)? {
                    plan.edits.extend(attributes.edits(host, dir, &stat)?);
                }
            }
        }
        if after != before {
            let mode = Mode::Bits(0o600);
            let attributes = Attributes {
                mode: now.is_none().then_some(&mode),
                owner: owner.as_deref(),
                group: group.as_deref(),
                ..Attributes::default()
            };
            plan.edits.extend(self.write(host, path, now, after, attributes)?);
        }
        Ok(self.told(plan, &file))
    }

    fn intent(&self) -> Vec<Diff> {
        let keys = Shown::from(self.key.as_str());
        let (before, after) = match self.state {
            State::Present => (Shown::Unknown, keys),
            State::Absent => (keys, Shown::Absent),
        };
        vec![Diff::new(format!("user {}", self.user), "authorized keys", before, after)]
    }
}

impl AuthorizedKey {
    /// The lines with the keys.
    fn source(&self, host: &dyn Host) -> Result<Cow<'_, str>, Error> {
        let key = self.key.as_str();
        if key.starts_with("http") {
            let insecure = (!self.validate_certs).then_some("--insecure");
            let args =
                ["--silent", "--show-error", "--fail", "--location"].into_iter().chain(insecure).chain(["--", key]);
            let command = Command::new("curl", args);
            let output = host.query(&command)?;
            if !output.success() {
                let error = Error::Command { command: command.to_string(), output: Box::new(output) };
                return Err(error.telling("msg", format!("Error getting key from: {key}")));
            }
            return Ok(Cow::Owned(output.stdout));
        }
        let Some(path) = key.strip_prefix("file://").map(Path::new) else { return Ok(Cow::Borrowed(key)) };
        let shown = path.display();
        let (reason, msg) = match host.stat(path)?.map(|stat| stat.kind) {
            None => ("there is no such file", format!("Path to a key file not found: {shown}")),
            Some(Kind::Dir) => {
                ("it is a directory", format!("Path to a key is a directory and must be a file: {shown}"))
            }
            Some(_) => return common::text(host, path).map(Cow::Owned),
        };
        Err(Error::path("read", path, reason).telling("msg", msg))
    }

    fn keys<'a>(&'a self, source: &'a str) -> Result<Vec<Key<'a>>, Error> {
        let lines = source.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let mut keys = Vec::new();
        for line in lines {
            let Some(key) = Key::parse(line) else {
                let error = Error::param("key", format!("`{line}` is no public key: `ssh-ed25519 AAAA… comment`"));
                return Err(error.telling("msg", format!("invalid key specified: {line}")));
            };
            keys.push(Key {
                options: self.key_options.as_deref().unwrap_or(key.options),
                comment: self.comment.as_deref().unwrap_or(key.comment),
                ..key
            });
        }
        Ok(keys)
    }

    /// Lines that are no key stay, and so do the places of keys.
    fn edited(&self, before: &str, keys: &[Key<'_>]) -> String {
        let find = |key: &Key<'_>| keys.iter().find(|wanted| wanted.key == key.key);
        let mut seen = Vec::new();
        let mut lines = Vec::new();
        for line in before.lines() {
            let known = Some(line.trim()).filter(|line| !line.starts_with('#')).and_then(Key::parse);
            let Some(known) = known else {
                lines.push(line.to_owned());
                continue;
            };
            match (find(&known), self.state) {
                (Some(_), State::Absent) => {}
                (Some(wanted), State::Present) if seen.contains(&wanted.key) => {}
                (Some(wanted), State::Present) => {
                    seen.push(wanted.key);
                    lines.push(if known == *wanted { line.to_owned() } else { wanted.line() });
                }
                (None, State::Present) if self.exclusive => {}
                (None, _) => lines.push(line.to_owned()),
            }
        }
        if self.state == State::Present {
            for key in keys {
                if !seen.contains(&key.key) {
                    seen.push(key.key);
                    lines.push(key.line());
                }
            }
        }
        // What has not changed keeps its end as it is.
        if before.lines().eq(lines.iter().map(String::as_str)) {
            return before.to_owned();
        }
        lines.into_iter().map(|line| line + "\n").collect()
    }

    fn write(
        &self,
        host: &dyn Host,
        path: PathBuf,
        now: Option<crate::host::Stat>,
        after: String,
        attributes: Attributes<'_>,
    ) -> Result<Vec<Edit>, Error> {
        let after = Text::plain(after);
        if now.is_none() && self.manage_dir {
            // The directory may come with the edit before.
            let mode = attributes.mode.map(|mode| mode.over(0o600, &crate::host::Kind::File));
            let owner = attributes.owner(host)?;
            return Ok(vec![Edit::Write { path, before: None, after, mode, owner }]);
        }
        Ok(Wanted { path, now, after, attributes, backup: false, validate: None }.plan(host)?.edits)
    }

    fn told(&self, plan: Plan, file: &Path) -> Plan {
        let pairs = [
            ("user", json!(self.user)),
            ("key", json!(self.key)),
            ("keyfile", json!(file)),
            ("path", json!(self.path)),
            ("manage_dir", json!(self.manage_dir)),
            ("state", json!(self.state.word())),
            ("key_options", json!(self.key_options)),
            ("exclusive", json!(self.exclusive)),
            ("comment", json!(self.comment)),
            ("follow", json!(false)),
            ("unique", json!(false)),
            ("validate_certs", json!(true)),
        ];
        pairs.into_iter().fold(plan, |plan, (name, value)| plan.returning(name, value))
    }
}

impl<'a> Key<'a> {
    /// Options, if the line does not begin with a kind; then kind, key and comment.
    fn parse(line: &'a str) -> Option<Self> {
        let is_kind = |word: &str| {
            let starts = ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"];
            starts.iter().any(|start| word.starts_with(start))
        };
        let (first, _) = word(line)?;
        let (options, rest) = if is_kind(first) { ("", line) } else { word(line)? };
        let (kind, rest) = word(rest)?;
        let (key, comment) = word(rest)?;
        let base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
        (is_kind(kind) && key.bytes().all(base64)).then_some(Self { options, kind, key, comment: comment.trim() })
    }

    fn line(&self) -> String {
        let parts = [self.options, self.kind, self.key, self.comment];
        parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(" ")
    }
}

/// The text up to the first blank outside of double quotes, and what is behind it.
fn word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let (mut quoted, mut escaped) = (false, false);
    let end = text.char_indices().find(|(_, c)| {
        let ends = !quoted && c.is_whitespace();
        quoted ^= *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    });
    let end = end.map_or(text.len(), |(at, _)| at);
    (end > 0).then(|| (&text[..end], &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let table = [
            ("ssh-ed25519 AAAA ann@home", Some(("", "ssh-ed25519", "AAAA", "ann@home"))),
            ("ssh-rsa AAAA", Some(("", "ssh-rsa", "AAAA", ""))),
            (
                "no-pty,command=\"echo \\\"a b\\\"\" ssh-rsa AAAA two words",
                Some(("no-pty,command=\"echo \\\"a b\\\"\"", "ssh-rsa", "AAAA", "two words")),
            ),
            ("AAAA ssh-rsa", None),
            ("ssh-rsa", None),
            ("", None),
        ];
        for (line, wanted) in table {
            let key = Key::parse(line).map(|key| (key.options, key.kind, key.key, key.comment));
            assert_eq!(key, wanted, "{line}");
        }
    }
}
