//! What `get_url` and `uri` share: a request, which the host's curl(1) makes, and what came of it. The agent itself speaks
//! no HTTP: TLS and its certificates are as large as all else that it does.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::edit::Text;
use crate::error::Error;
use crate::host::{Input, Output};
use crate::param::{Content, Word, as_secret};
use crate::plan::Data;
use crate::secret::Secret;

/// Makes a request and prints what came of it: curl's status, that of HTTP and the address in the end, how many bytes of
/// heads follow, and these. Then the content, or, if `$1` names a file, whether that is the same.
pub(super) const ASK: &str = r#"dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT && cd "$dir" && touch head body || exit 1
answer=$(curl --config - --dump-header head --output body --write-out '%{http_code} %{url_effective}')
printf '%s\n' "$? $answer" "$(wc -c <head)"
cat head
if [ -z "$1" ]; then cat body; elif cmp -s body "$1"; then echo same; else echo new; fi"#;

/// Makes a request and puts the content in place, beside which it is written first. `$1` is the directory and `$2` the name
/// that the file has if the server gives none; `$3` are the statuses of success, ` 200 `; `$4` and `$5` the mode and owner of
/// a new file; `$6` and `$7` the program and the checksum that tell whether the content is what was meant; `$8` whether the
/// old content is kept. What follows says how curl names the file. Prints what `ASK` prints, then what was done, to which
/// file, and the SHA-1 of what came.
pub(super) const PUT: &str = r#"to=$1 name=$2 good=$3 mode=$4 owner=$5 program=$6 wanted=$7 backup=$8; shift 8
dir=$(mktemp -d "$to/.trueup.XXXXXX") && trap 'rm -rf "$dir"' EXIT && mkdir "$dir/new" && cd "$dir/new" && touch ../head || exit 1
answer=$(curl --config - --dump-header ../head --write-out '%{http_code} %{url_effective}' "$@")
code=$?
end() { printf '%s\n' "$code $answer" "$(wc -c <../head)"; cat ../head; printf '%s\n' "$@"; exit 0; }
case "$code$good" in "0"*" ${answer%% *} "*) ;; *) end nothing "$to/$name" ;; esac
given=$(ls -A); name=${given:-$name}; [ -n "$given" ] || touch "./$name"
if [ -n "$program" ]; then sum=$("$program" <"./$name"); [ "${sum%% *}" = "$wanted" ] || end "other ${sum%% *}" "$to/$name"; fi
sum=$(sha1sum <"./$name"); sum=${sum%% *}; file=$to/$name
[ ! -d "$file" ] || { echo "$file is a directory" >&2; exit 1; }
if [ -e "$file" ]; then
  if cmp -s "./$name" "$file"; then end same "$file" "$sum"; fi
  old=$(sha256sum <"$file") && old=$(printf %.12s "$old")
  if [ -n "$backup" ]; then cp -p -- "$file" "$file.$old.bak"; fi
  cp -p -- "$file" ../put && cat "./$name" >../put
else
  cp -- "./$name" ../put && chmod "$mode" ../put && { [ -z "$owner" ] || chown "$owner" ../put; }
fi && mv -f -- ../put "$file" || exit 1
end new "$file" "$sum" "${old:-}""#;

/// What the client calls itself, as Ansible's does.
pub(super) fn agent() -> String {
    "ansible-httpget".into()
}

/// How a request is made.
pub(super) struct Request<'a> {
    pub url: &'a Content,
    pub method: &'a str,
    pub agent: &'a str,
    pub login: Option<(&'a str, Option<&'a Secret>)>,
    pub headers: Cow<'a, BTreeMap<String, Content>>,
    pub validate_certs: bool,
    /// Options of curl that stand for themselves, with their values.
    pub paths: Vec<(&'static str, Option<&'a Path>)>,
    pub use_proxy: bool,
    pub use_netrc: bool,
    /// Seconds without a byte.
    pub timeout: u64,
    /// Names of OpenSSL.
    pub ciphers: &'a [Word],
    /// Log in by Kerberos.
    pub use_gssapi: bool,
    pub follow: bool,
    pub body: Option<Text>,
}

/// A file of curl's configuration, which it reads from standard input: no part of a request is anybody's to see.
struct Config {
    text: String,
    secret: bool,
}

impl Request<'_> {
    pub(super) fn config(&self) -> Result<Input, Error> {
        let mut config = Config { text: "silent\nshow-error\n".into(), secret: self.url.0.secret };
        config.set("url", self.url.as_str());
        config.set("user-agent", self.agent);
        config.set("header", "Connection: close");
        config.set("header", "Accept-Encoding: identity");
        config.set(if self.method == "HEAD" { "head" } else { "request" }, self.method);
        for (name, value) in self.headers.as_ref() {
            config.secret |= value.0.secret;
            // Without a value curl would leave the header out.
            let sign = if value.as_str().is_empty() { ";" } else { ": " };
            config.set("header", &format!("{name}{sign}{}", value.as_str()));
        }
        if let Some((user, password)) = self.login {
            config.secret |= password.is_some();
            config.set("user", &format!("{user}:{}", password.map_or("", Secret::expose)));
        }
        if self.use_gssapi {
            config.flag("negotiate", true);
            // curl asks for a ticket only where there is a user, whoever that is.
            if self.login.is_none() {
                config.set("user", ":");
            }
        }
        if !self.ciphers.is_empty() {
            let names: Vec<&str> = self.ciphers.iter().map(|Word(name)| name.as_str()).collect();
            config.set("ciphers", &names.join(":"));
        }
        for (option, path) in &self.paths {
            if let Some(path) = path {
                config.set(option, &path.display().to_string());
            }
        }
        config.flag("insecure", !self.validate_certs);
        config.flag("netrc-optional", self.use_netrc);
        config.flag("location", self.follow);
        if !self.use_proxy {
            config.set("noproxy", "*");
        }
        let timeout = self.timeout.max(1).to_string();
        for option in ["connect-timeout", "speed-time"] {
            config.set(option, &timeout);
        }
        config.set("speed-limit", "1");
        config.set("max-redirs", "10");
        if let Some(body) = &self.body {
            config.secret |= body.secret;
            let text = std::str::from_utf8(&body.bytes).ok().filter(|text| !text.contains('\0'));
            config.set("data-raw", text.ok_or_else(|| Error::param("body", "is no text"))?);
        }
        Ok(if config.secret { Input::Secret(Secret::new(config.text)) } else { Input::Plain(config.text) })
    }
}

impl Config {
    fn flag(&mut self, option: &str, on: bool) {
        if on {
            self.text.push_str(&format!("{option}\n"));
        }
    }

    /// A value in quotes, as curl(1) has it.
    fn set(&mut self, option: &str, value: &str) {
        // The one flag that is also a method.
        if option == "head" {
            return self.flag(option, true);
        }
        let mut quoted = String::with_capacity(value.len() + 2);
        for c in value.chars() {
            match c {
                '\\' | '"' => quoted.extend(['\\', c]),
                '\n' => quoted.push_str("\\n"),
                '\r' => quoted.push_str("\\r"),
                '\t' => quoted.push_str("\\t"),
                c => quoted.push(c),
            }
        }
        self.text.push_str(&format!("{option} = \"{quoted}\"\n"));
    }
}

/// What came of a request.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Response {
    /// The status of HTTP; 0 of `file:` addresses, -1 if there was no answer.
    pub status: i64,
    /// The address in the end, after redirects.
    pub url: String,
    /// The last head, names in lower case.
    pub headers: Vec<(String, String)>,
    /// What follows it: the content, or what was done.
    pub rest: String,
    /// What the server or curl says, in Ansible's form.
    pub msg: String,
}

impl Response {
    pub(super) fn read(output: &Output) -> Result<Self, Error> {
        let complaint = output.stderr.trim();
        let mut parts = output.stdout.splitn(3, '\n');
        let (first, size, rest) =
            (parts.next().unwrap_or_default(), parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let words: Vec<&str> = first.splitn(3, ' ').collect();
        if words.first() == Some(&"127") {
            let reason = "there is no curl on this host, by which requests are made: install it by an earlier task";
            return Err(Error::Unsupported(reason.into()));
        }
        let ([code, status, url], Ok(size)) = (&words[..], size.trim().parse::<usize>()) else {
            return Err(Error::Failed(format!("cannot make the request{}", output.last_words())));
        };
        let (heads, rest) = rest.split_at_checked(size).unwrap_or((rest, ""));
        let head = heads.trim_end().rsplit("\r\n\r\n").next().unwrap_or_default();
        let (line, fields) = head.split_once("\r\n").unwrap_or((head, ""));
        let field = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_lowercase(), value.trim().to_owned()))
        };
        let headers: Vec<_> = fields.split("\r\n").filter_map(field).collect();
        let length = headers.iter().find(|(name, _)| name == "content-length").map(|(_, value)| value.as_str());
        let status = if *code == "0" { status.parse().unwrap_or(-1) } else { -1 };
        let reason = line.splitn(3, ' ').nth(2).unwrap_or_default();
        let msg = match status {
            -1 => format!("Request failed: {complaint}"),
            0..=299 => format!("OK ({} bytes)", length.unwrap_or("unknown")),
            status => format!("HTTP Error {status}: {reason}"),
        };
        Ok(Self { status, url: (*url).into(), rest: rest.into(), msg, headers })
    }

    /// What is registered of it.
    pub(super) fn data(&self) -> Data {
        let mut data = Data::new();
        for (name, value) in &self.headers {
            data.insert(name.replace('-', "_"), value.as_str().into());
        }
        let cookies = self.headers.iter().filter(|(name, _)| name == "set-cookie");
        let cookies: Data = cookies
            .filter_map(|(_, value)| value.split(';').next()?.split_once('='))
            .map(|(name, value)| (name.trim().to_owned(), json!(value)))
            .collect();
        let line = cookies.iter().map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()));
        data.insert("cookies_string".into(), line.collect::<Vec<_>>().join("; ").into());
        data.insert("cookies".into(), Value::Object(cookies));
        data.insert("status".into(), self.status.into());
        data.insert("url".into(), masked(&self.url).into());
        if let Some(to) = self.headers.iter().find(|(name, _)| name == "location").map(|(_, to)| to) {
            data.insert("location".into(), joined(&self.url, to).into());
        }
        data.insert("msg".into(), self.msg.as_str().into());
        data
    }
}

/// Where an address leads from another one: it may leave out the server, or more.
fn joined(from: &str, to: &str) -> String {
    let Some((scheme, rest)) = from.split_once("://").filter(|_| !to.contains("://")) else { return masked(to) };
    let (server, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let dir = path.split(['?', '#']).next().unwrap_or_default().rsplit_once('/').map_or("", |(dir, _)| dir);
    masked(&match to {
        to if to.starts_with("//") => format!("{scheme}:{to}"),
        to if to.starts_with('/') => format!("{scheme}://{server}{to}"),
        to => format!("{scheme}://{server}{dir}/{to}"),
    })
}

/// An address without the password in it.
pub(super) fn masked(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (server, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    match server.rsplit_once('@').map(|(login, server)| (login.split(':').next().unwrap_or_default(), server)) {
        Some((user, server)) => format!("{scheme}://{user}:********@{server}{path}"),
        None => url.to_owned(),
    }
}

/// The last part of an address's path.
pub(super) fn file_name(url: &str) -> &str {
    let path = url.split_once("://").map_or(url, |(_, rest)| rest.split_once('/').map_or("", |(_, path)| path));
    let path = path.split(['?', '#']).next().unwrap_or_default();
    Some(path.rsplit('/').next().unwrap_or_default()).filter(|name| !name.is_empty()).unwrap_or("index.html")
}

/// A value with the secrets in it as texts, and whether there were any.
pub(super) fn exposed(value: &Value, secret: &mut bool) -> Value {
    match (as_secret(value), value) {
        (Some(text), _) => {
            *secret = true;
            text.into()
        }
        (None, Value::Array(items)) => items.iter().map(|item| exposed(item, secret)).collect(),
        (None, Value::Object(map)) => {
            Value::Object(map.iter().map(|(name, value)| (name.clone(), exposed(value, secret))).collect())
        }
        (None, value) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_whole() {
        let heads = "HTTP/1.1 302 Found\r\nLocation: /b\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nSet-Cookie: a=1; Path=/\r\n\r\n";
        let stdout = format!("0 404 http://x/b\n{}\n{heads}no", heads.len());
        let response = Response::read(&Output { stdout, ..Output::default() }).unwrap();
        assert_eq!((response.status, response.rest.as_str()), (404, "no"));
        assert_eq!(response.msg, "HTTP Error 404: Not Found");
        let data = Value::Object(response.data());
        assert_eq!((&data["content_length"], &data["cookies"]["a"]), (&json!("2"), &json!("1")));

        let failed =
            Output { stdout: "7 000 http://x/\n0\n".into(), stderr: "curl: (7) refused\n".into(), ..Output::default() };
        let response = Response::read(&failed).unwrap();
        assert_eq!((response.status, response.msg.as_str()), (-1, "Request failed: curl: (7) refused"));

        let missing =
            Output { stdout: "127 \n0\n".into(), stderr: "sh: curl: not found\n".into(), ..Output::default() };
        let error = Response::read(&missing).unwrap_err().to_string();
        assert_eq!(error, "there is no curl on this host, by which requests are made: install it by an earlier task");
    }

    #[test]
    fn addresses() {
        for (to, wanted) in [
            ("/b", "http://x.example/b"),
            ("c?d", "http://x.example/a/c?d"),
            ("//y/b", "http://y/b"),
            ("https://y/b", "https://y/b"),
        ] {
            assert_eq!(joined("http://x.example/a/b?e=/f", to), wanted);
        }
        for (url, wanted) in [
            ("https://bob:secret@x.example/a?b@c", "https://bob:********@x.example/a?b@c"),
            ("https://x.example/a@b", "https://x.example/a@b"),
        ] {
            assert_eq!(masked(url), wanted);
        }
        for (url, wanted) in [
            ("http://x/a/b.tgz?c=/d", "b.tgz"),
            ("http://x", "index.html"),
            ("http://x/a/", "index.html"),
            ("file:///tmp/a", "a"),
        ] {
            assert_eq!(file_name(url), wanted, "{url}");
        }
    }
}
