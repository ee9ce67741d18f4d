//! `uri`: a request to a server.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::command::Run;
use super::common;
use super::http::{self, ASK, PUT, Request, Response};
use crate::edit::{Diff, Edit, Reach, Shown, Text};
use crate::host::{Command, Error, Host, Input, Kind, Stat};
use crate::interpret::Applied;
use crate::module::Module;
use crate::param::Content;
use crate::plan::{Data, Plan};
use crate::secret::REDACTED;

with_http_parameters! {
    /// A request over HTTP that the host makes, by curl(1), which it must have. Registers `status`, `url`, the headers (`-` as `_`),
    /// `json` where the answer is JSON, and `content` with `return_content`. What only asks (`GET`, `HEAD`, `OPTIONS`) is asked in a
    /// preview, too; what another method comes to can't be previewed.
    #[derive(Deserialize, JsonSchema)]
    #[schemars(extend("exclusive" = ["body|src"]))]
    #[serde(deny_unknown_fields)]
    pub(super) struct Uri {
        /// The address.
        url: Content,
        /// The method.
        #[serde(default = "get")]
        method: String,
        /// What is sent: a text; with `body_format`, a dictionary or a list. May be secret.
        body: Option<Value>,
        /// How it is sent.
        #[serde(default)]
        body_format: Format,
        /// A file of the host that is sent.
        src: Option<PathBuf>,
        /// Whether `src` is on the host: it must be.
        #[serde(default)]
        remote_src: bool,
        /// The statuses of success.
        #[serde(default = "ok")]
        status_code: Vec<String>,
        /// Whether the content is registered.
        #[serde(default)]
        return_content: bool,
        /// A file of the host that the content goes to, or its directory.
        dest: Option<PathBuf>,
        /// A path: nothing is asked if it exists.
        creates: Option<PathBuf>,
        /// A path: nothing is asked if it does not exist.
        removes: Option<PathBuf>,
        /// Whether the server may send the request on to another address.
        #[serde(default)]
        follow_redirects: Follow,
        /// Whether a `dest` that is there is fetched anew without asking the server whether it has changed.
        #[serde(default)]
        force: bool,
        /// After how many seconds without an answer to give up.
        #[serde(default = "thirty")]
        timeout: u64,
        /// A user, for the server.
        #[schemars(extend("aliases" = ["user"]))]
        url_username: Option<String>,
        /// The certificates of authorities that count, on the host.
        ca_path: Option<PathBuf>,
        /// A socket of the host that the server listens on.
        unix_socket: Option<PathBuf>,
    }
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Format {
    /// As it is.
    #[default]
    Raw,
    /// As JSON.
    Json,
    /// As a form of the web has it.
    FormUrlencoded,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Follow {
    /// A request that only asks may be sent on.
    #[default]
    Safe,
    /// The same.
    Urllib2,
    /// The same.
    Yes,
    /// Any may.
    All,
    /// None may.
    None,
    /// The same.
    No,
}

fn get() -> String {
    "GET".into()
}

fn ok() -> Vec<String> {
    vec!["200".into()]
}

fn thirty() -> u64 {
    30
}

impl Module for Uri {
    const NAME: &'static str = "uri";
    const CONVERGES: bool = false;

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let run = Run { creates: self.creates.as_deref(), removes: self.removes.as_deref(), chdir: None };
        let guard = run.plan(host, Command::default(), "")?;
        if guard.is_empty() {
            let stdout = match (&self.creates, &self.removes) {
                (Some(path), _) if common::exists(host, path)? => format!("skipped, since '{}' exists", path.display()),
                (_, path) => {
                    let path = path.as_deref().unwrap_or(Path::new("")).display();
                    format!("skipped, since '{path}' does not exist")
                }
            };
            return Ok(Plan::nothing().returning("stdout_lines", vec![stdout.as_str()]).returning("stdout", stdout));
        }
        let method = self.method.to_uppercase();
        if method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_uppercase()) {
            let error = Error::param("method", format!("`{}` is no method such as GET or POST", self.method));
            return Err(
                error.telling("msg", "Parameter 'method' needs to be a single word in uppercase, like GET or POST.")
            );
        }
        let effect = vec![self.diff(&method)];
        let Some(dest) = &self.dest else {
            let ask = Command::new("/bin/sh", ["-c", ASK, "uri", ""]);
            let command = Command { stdin: Some(self.config(&method, None)?), answers: true, ..ask };
            if !asks(&method) {
                return Ok(Plan::nothing().with(Edit::run(command, effect, Reach::Anything)));
            }
            let response = Response::read(&host.query(&command)?)?;
            self.judge(&response)?;
            return Ok(Plan { data: self.told(&response), ..Plan::nothing() });
        };
        let (file, now) = common::resolve(host, dest)?;
        let into = now.as_ref().is_some_and(Stat::is_dir);
        let newer = now.as_ref().filter(|_| !into && !self.force).map(|_| file.as_path());
        let stdin = Some(self.config(&method, newer)?);
        let (dir, name) = match into {
            true => (file.clone(), http::file_name(self.url.as_str()).to_owned()),
            false => {
                common::has_directory(host, &file)?;
                let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                (file.parent().unwrap_or(Path::new("/")).to_owned(), name)
            }
        };
        let good = format!(" {} ", self.status_code.join(" "));
        let dir = dir.display().to_string();
        let owner = self.attributes().owner(host)?;
        let owner = common::chown(owner.user.as_deref(), owner.group.as_deref());
        let mode = self.mode.as_ref().map_or(0o644, |mode| mode.over(0o644, &Kind::File));
        let mode = format!("{mode:04o}");
        let args = ["-c", PUT, "uri", &dir, &name, &good, &mode, &owner, "", "", "", "--output", &name];
        let command = Command { stdin, answers: true, ..Command::new("/bin/sh", args) };
        let edits = match now.filter(Stat::is_file) {
            Some(now) => self.attributes().edits(host, &file, &now)?,
            None => Vec::new(),
        };
        Ok(Plan { edits, ..Plan::nothing() }.with(Edit::run(command, effect, Reach::Anything)))
    }

    fn intent(&self) -> Vec<Diff> {
        vec![self.diff(&self.method.to_uppercase())]
    }

    fn verdict(&self, applied: &Applied) -> Result<bool, Error> {
        let Some(output) = applied.outputs.last() else { return Ok(true) };
        let response = Response::read(output)?;
        self.judge(&response)?;
        Ok(self.dest.is_some() && (response.status != 304 || applied.diffs.len() > 1))
    }

    fn report(&self, applied: &Applied) -> Data {
        let response = applied.outputs.last().and_then(|output| Response::read(output).ok());
        let mut data = response.as_ref().map(|response| self.told(response)).unwrap_or_default();
        if let (Some(_), Some(response)) = (&self.dest, &response) {
            data.extend(response.rest.lines().nth(1).map(|file| ("path".to_owned(), json!(file))));
        }
        data
    }
}

/// Whether a method only asks (RFC 9110, 9.2.1).
fn asks(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS")
}

impl Uri {
    fn diff(&self, method: &str) -> Diff {
        let url = if self.url.0.secret { Shown::Redacted } else { http::masked(self.url.as_str()).into() };
        Diff::new("request", method, Shown::Absent, url)
    }

    fn config(&self, method: &str, newer: Option<&Path>) -> Result<Input, Error> {
        let mut headers = self.headers.clone();
        let body = self.body()?;
        let kind = match self.body_format {
            Format::Raw => None,
            Format::Json => Some("application/json"),
            Format::FormUrlencoded => Some("application/x-www-form-urlencoded"),
        };
        let has =
            |headers: &BTreeMap<String, Content>| headers.keys().any(|name| name.eq_ignore_ascii_case("content-type"));
        if let Some(kind) = kind.filter(|_| !has(&headers)) {
            headers.insert("Content-Type".into(), Content(Text::plain(kind)));
        }
        let follow = match self.follow_redirects {
            Follow::All => true,
            Follow::None | Follow::No => false,
            Follow::Safe | Follow::Urllib2 | Follow::Yes => matches!(method, "GET" | "HEAD"),
        };
        let mut request = Request { method, headers: Cow::Owned(headers), follow, body, ..self.request(&self.url) };
        request.paths.extend([
            ("cacert", self.ca_path.as_deref()),
            ("unix-socket", self.unix_socket.as_deref()),
            ("time-cond", newer),
            ("upload-file", self.src.as_deref()),
        ]);
        request.config()
    }

    fn body(&self) -> Result<Option<Text>, Error> {
        if self.src.is_some() && !self.remote_src {
            return Err(Error::param(
                "src",
                "must be a file of the host, with `remote_src: true`; `copy` brings it there",
            ));
        }
        let mut secret = false;
        let Some(body) = self.body.as_ref().map(|body| http::exposed(body, &mut secret)) else { return Ok(None) };
        let text = match (self.body_format, body) {
            (_, Value::String(text)) => text,
            (Format::FormUrlencoded, Value::Object(map)) => form(map.iter().map(|(name, value)| (name.clone(), value))),
            (Format::FormUrlencoded, Value::Array(pairs)) => form(pairs.iter().map(|pair| (text(&pair[0]), &pair[1]))),
            (Format::FormUrlencoded | Format::Json | Format::Raw, other) => other.to_string(),
        };
        Ok(Some(Text { bytes: text.into_bytes(), secret }))
    }

    fn told(&self, response: &Response) -> Data {
        let mut data = response.data();
        data.insert("elapsed".into(), 0.into());
        data.insert("redirected".into(), (response.url != self.url.as_str()).into());
        if self.dest.is_some() {
            return data;
        }
        let kind =
            response.headers.iter().find(|(name, _)| name == "content-type").map_or("", |(_, kind)| kind.as_str());
        let kind = kind.split(';').next().unwrap_or_default().trim();
        let sub = kind.rsplit(['/', '+']).next().unwrap_or_default();
        if matches!(sub, "json" | "javascript") {
            data.extend(serde_json::from_str(&response.rest).ok().map(|json: Value| ("json".to_owned(), json)));
        }
        if self.return_content {
            data.insert("content".into(), response.rest.as_str().into());
        } else if response.status >= 300 && self.accepts(response.status) && !data.contains_key("json") {
            data.insert("body".into(), response.rest.as_str().into());
        }
        data
    }

    fn accepts(&self, status: i64) -> bool {
        self.status_code.iter().any(|code| code.trim().parse() == Ok(status))
    }

    fn judge(&self, response: &Response) -> Result<(), Error> {
        if self.accepts(response.status) || (self.dest.is_some() && response.status == 304) {
            return Ok(());
        }
        let wanted = format!("[{}]", self.status_code.join(", "));
        let (status, said) = (response.status, &response.msg);
        let url = if self.url.0.secret { REDACTED.to_owned() } else { http::masked(self.url.as_str()) };
        let text = match status {
            -1 => format!("{url}: {said}"),
            _ => format!("{url} answered {status} and not {}: {said}", self.status_code.join(" or ")),
        };
        let mut data = self.told(response);
        data.insert("msg".into(), format!("Status code was {status} and not {wanted}: {said}").into());
        Err(Error::Telling { error: Box::new(Error::Failed(text)), data })
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Names and values as a form sends them (application/x-www-form-urlencoded); several values of a name one after another.
fn form<'a>(pairs: impl Iterator<Item = (String, &'a Value)>) -> String {
    let mut parts = Vec::new();
    for (name, value) in pairs {
        let values = value.as_array().map_or_else(|| vec![value], |values| values.iter().collect());
        for value in values.into_iter().filter(|value| !value.is_null()) {
            parts.push(format!("{}={}", encoded(&name), encoded(&text(value))));
        }
    }
    parts.join("&")
}

fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b' ' => encoded.push('+'),
            byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => encoded.push(byte.into()),
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let pairs = json!({"a b": "c&d", "n": 1, "list": ["x", "é"], "none": null});
        let pairs = pairs.as_object().unwrap();
        let sent = form(pairs.iter().map(|(name, value)| (name.clone(), value)));
        assert_eq!(sent, "a+b=c%26d&n=1&list=x&list=%C3%A9");
    }
}
