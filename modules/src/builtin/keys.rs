//! What `apt_key` and `rpm_key` share: a public key that gpg(1) looks at and another program takes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use super::http::{self, Request};
use crate::edit::Text;
use crate::host::{Command, Error, Host, Input};
use crate::param::Content;

/// Has a program take a key: `$1` says where it is from, an `url` that curl is told of by standard input, `data` that is there, or
/// the `file` `$2`. gpg keeps nothing: it has a home of its own.
const TAKE: &str = r#"dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT || exit 1
case "$1" in
  url) curl --config - --fail --output "$dir/key" || exit ;;
  data) cat >"$dir/key" ;;
  file) cp -- "$2" "$dir/key" || exit ;;
esac
shift 2; GNUPGHOME=$dir "$@" "$dir/key""#;

/// What gpg says of keys.
const SHOW: [&str; 5] = ["gpg", "--no-tty", "--batch", "--with-colons", "--fixed-list-mode"];

/// Where a key is from.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    /// An address.
    Url(&'a str, bool),
    /// The key itself.
    Data(&'a str),
    /// A file of the host.
    File(&'a Path),
}

impl Source<'_> {
    /// The program takes the key, as its last argument.
    pub(super) fn taken(&self, name: &str, program: &[&str]) -> Result<Command, Error> {
        let (kind, path, stdin) = match self {
            Self::Url(url, validate) => ("url", String::new(), Some(config(url, *validate)?)),
            Self::Data(text) => ("data", String::new(), Some(Input::Plain((*text).to_owned()))),
            Self::File(path) => ("file", path.display().to_string(), None),
        };
        let args = ["-c", TAKE, name, kind, &path].into_iter().chain(program.iter().copied());
        Ok(Command { stdin, ..Command::new("/bin/sh", args) })
    }

    /// The key's number, or those of several; the first is the key's own.
    pub(super) fn ids(&self, host: &dyn Host, name: &str) -> Result<Vec<String>, Error> {
        let command = self.taken(name, &SHOW)?;
        let output = host.query(&command)?;
        if !output.success() {
            let what = self.meant();
            let shown = format!("gpg of {what}");
            return Err(Error::Command { command: shown, output: Box::new(output) });
        }
        Ok(ids(&output.stdout))
    }

    /// Fingerprints of all keys.
    pub(super) fn fingerprints(&self, host: &dyn Host, name: &str) -> Result<Vec<String>, Error> {
        let import = ["--import", "--import-options", "show-only", "--dry-run"];
        let words: Vec<&str> = SHOW.into_iter().chain(import).collect();
        let told = super::common::asked(host, &self.taken(name, &words)?)?;
        let lines = told.lines().filter(|line| line.starts_with("fpr:"));
        Ok(lines.filter_map(|line| line.split(':').nth(9)).map(str::to_owned).collect())
    }

    /// As Ansible calls it.
    pub(super) fn meant(&self) -> String {
        match self {
            Self::Url(url, _) => http::masked(url),
            Self::Data(_) => "inline data".into(),
            Self::File(path) => path.display().to_string(),
        }
    }
}

/// The numbers of keys in what gpg or apt-key prints: `pub:-:4096:1:NUMBER:…`, or `pub   rsa4096/NUMBER 2019-…`.
pub(super) fn ids(text: &str) -> Vec<String> {
    let keys = text.lines().filter(|line| line.starts_with("pub") || line.starts_with("sub"));
    let id = |line: &str| {
        let spaced = line.split_whitespace().nth(1).and_then(|word| word.split_once('/')).map(|(_, id)| id);
        spaced.or_else(|| line.split(':').nth(4)).map(str::to_owned)
    };
    keys.filter(|line| !line.contains("expired")).filter_map(id).collect()
}

/// Why curl did not get a key, in Ansible's form.
pub(super) fn undelivered(error: &Error) -> Option<String> {
    const REFUSALS: [(&str, &str); 4] =
        [("401", "Unauthorized"), ("403", "Forbidden"), ("404", "Not Found"), ("500", "Internal Server Error")];
    let Error::Command { output, .. } = error else { return None };
    let line = output.stderr.lines().rev().find(|line| line.starts_with("curl: ("))?;
    let refused = line.strip_prefix("curl: (22) ").and_then(|rest| rest.rsplit_once(' '));
    let refusal = refused.and_then(|(_, status)| REFUSALS.iter().find(|(known, _)| *known == status));
    Some(match refusal {
        Some((status, reason)) => format!("HTTP Error {status}: {reason}"),
        None => format!("Request failed: {line}"),
    })
}

/// What tells curl where a file is.
pub(super) fn config(url: &str, validate_certs: bool) -> Result<Input, Error> {
    request(&Content(Text::plain(url)), validate_certs).config()
}

/// A request for a file, with nothing special.
pub(super) fn request(url: &Content, validate_certs: bool) -> Request<'_> {
    Request {
        url,
        method: "GET",
        agent: "ansible-httpget",
        login: None,
        headers: Cow::Owned(BTreeMap::new()),
        validate_certs,
        paths: Vec::new(),
        use_proxy: true,
        use_netrc: true,
        ciphers: &[],
        use_gssapi: false,
        timeout: 10,
        follow: true,
        body: None,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_of_keys() {
        let table = [
            ("pub:-:4096:1:648ACFD622F3D138:1:::-:::scSC:\nfpr:::::::::AB:\nsub:-:4096:1:0E98404D386FA1D9:", 2),
            ("pub   rsa4096/648ACFD622F3D138 2019-07-14 [SC]\nuid  x\n", 1),
            ("pub   rsa4096/648ACFD622F3D138 2019-07-14 [SC] [expired: 2020-01-01]\n", 0),
            ("/etc/apt/trusted.gpg.d/a.gpg\n---\n", 0),
        ];
        for (text, wanted) in table {
            let ids = super::ids(text);
            assert_eq!(ids.len(), wanted, "{text}");
            assert!(ids.first().is_none_or(|id| id == "648ACFD622F3D138"), "{ids:?}");
        }
    }
}
