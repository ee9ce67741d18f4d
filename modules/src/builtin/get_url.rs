//! `get_url`: a file that is fetched from a server.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::common;
use super::http::{self, ASK, PUT, Response};
use crate::digest::Algorithm;
use crate::edit::{Diff, Edit, Owner, Reach, Shown, Text};
use crate::facts::Fact;
use crate::host::{Command, Error, Host, Input, Kind, Look, Stat};
use crate::interpret::Applied;
use crate::module::Module;
use crate::param::Content;
use crate::plan::{Data, Plan};

with_http_parameters! {
    /// A file that the host fetches over HTTP, HTTPS or FTP and puts in place atomically; the host must have curl(1). With a
    /// `checksum`, a file that has it is not fetched again. Without one the server is asked whether it has changed, also in a
    /// preview; what a new file will hold can't be previewed.
    #[derive(Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    pub(super) struct GetUrl {
        /// The address.
        url: Content,
        /// Where, absolute. If it is a directory, the file goes into it under the name that the server or the address gives it.
        dest: PathBuf,
        /// What the content must be, as `ALGORITHM:HEX`, such as `sha256:b5bb9d…`; or `ALGORITHM:URL` of a file that tells it.
        checksum: Option<String>,
        /// Whether a file that is there is fetched anew without asking the server whether it has changed.
        #[serde(default)]
        #[schemars(extend("aliases" = ["thirsty"]))]
        force: bool,
        /// After how many seconds without an answer to give up.
        #[serde(default = "ten")]
        timeout: u64,
        /// A user, for the server.
        #[schemars(extend("aliases" = ["username"]))]
        url_username: Option<String>,
        /// Taken for Ansible's sake: the file is written beside `dest` first.
        #[expect(dead_code, reason = "there is only one place from which it can be put in place atomically")]
        tmp_dest: Option<PathBuf>,
        /// Whether to keep the old content beside the file, as `dest.HASH.bak`.
        #[serde(default)]
        backup: bool,
    }
}

fn ten() -> u64 {
    10
}

impl Module for GetUrl {
    const NAME: &'static str = "get_url";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let (dest, now) = common::resolve(host, &self.dest)?;
        let into = now.as_ref().is_some_and(Stat::is_dir) || self.dest.as_os_str().as_encoded_bytes().ends_with(b"/");
        let plan = Plan::nothing()
            .returning("dest", dest.display().to_string())
            .returning("url", http::masked(self.url.as_str()))
            .returning("checksum_dest", Value::Null)
            .returning("checksum_src", Value::Null)
            .returning("elapsed", 0);
        let checksum = self.checksum(host)?;
        if let (Some(now), false) = (&now, into)
            && let Some(msg) = self.stays(host, &dest, checksum.as_ref())?
        {
            let edits = self.attributes().edits(host, &dest, now)?;
            return Ok(Plan { edits, ..plan }.returning("msg", msg));
        }
        let now = now.filter(|_| !into);
        let file = if into { dest.join(http::file_name(self.url.as_str())) } else { dest.clone() };
        let edits = self.fetched(host, file, now.as_ref(), into, checksum.as_ref())?;
        let had = if now.is_some() { host.digest(&dest, Algorithm::Sha1)? } else { None };
        Ok(Plan { edits, ..plan }.returning("checksum_dest", had))
    }

    fn intent(&self) -> Vec<Diff> {
        let content = Diff::new(self.dest.display().to_string(), "content", Shown::Unknown, Shown::Unknown);
        std::iter::once(content).chain(self.attributes().intent(&self.dest)).collect()
    }

    /// What a server sends may be another each time.
    fn converges(&self) -> bool {
        self.checksum.is_some() && !self.force
    }

    fn verdict(&self, applied: &Applied) -> Result<bool, Error> {
        let Some(output) = applied.outputs.last() else { return Ok(true) };
        let response = Response::read(output)?;
        match response.rest.lines().next().and_then(|line| line.split(' ').next()) {
            Some("new") => Ok(true),
            Some("same") => Ok(applied.diffs.iter().any(|diff| diff.aspect != "content")),
            Some("nothing") if response.status == 304 => Ok(false),
            Some("nothing") => Err(self.failed(&response)),
            Some(_) => {
                let sum = response.rest.split_whitespace().nth(1).unwrap_or_default();
                let wanted = self.checksum.as_deref().unwrap_or_default();
                let error = Error::param("checksum", format!("`{wanted}` is not that of what came, which has {sum}"));
                let wanted = wanted.split_once(':').map_or("", |(_, wanted)| wanted);
                Err(error.telling(
                    "msg",
                    format!("The checksum for {} did not match {wanted}; it was {sum}.", self.dest.display()),
                ))
            }
            None => Err(self.failed(&response)),
        }
    }

    fn report(&self, applied: &Applied) -> Data {
        let Some(Ok(response)) = applied.outputs.last().map(Response::read) else { return Data::new() };
        let mut lines = response.rest.lines().skip(1);
        let mut data = Data::from_iter([
            ("status_code".to_owned(), Some(response.status).filter(|status| *status > 0).into()),
            ("msg".to_owned(), response.msg.into()),
            ("url".to_owned(), http::masked(&response.url).into()),
        ]);
        if let Some(file) = lines.next() {
            data.insert("dest".into(), file.into());
            data.extend(lines.next().map(|sum| ("checksum_src".to_owned(), sum.into())));
            let old = lines.next().filter(|old| self.backup && !old.is_empty());
            data.extend(old.map(|old| ("backup_file".to_owned(), format!("{file}.{old}.bak").into())));
        }
        data
    }

    fn aftermath(&self, host: &dyn Host) -> Look<Data> {
        let md5 = if self.dest.as_os_str().is_empty() {
            None
        } else {
            host.digest(&self.dest, Algorithm::Md5).ok().flatten()
        };
        Ok(md5.map(|md5| ("md5sum".to_owned(), md5.into())).into_iter().collect())
    }
}

impl GetUrl {
    /// What asks for the file, if the server has a newer one.
    fn config(&self, url: &Content, newer: Option<&Path>) -> Result<Input, Error> {
        let mut request = self.request(url);
        request.paths.push(("time-cond", newer));
        request.config()
    }

    fn ask(&self, host: &dyn Host, url: &Content, file: Option<&Path>) -> Result<Response, Error> {
        let config = self.config(url, file)?;
        let file = file.map(|file| file.display().to_string()).unwrap_or_default();
        let ask = Command { stdin: Some(config), ..Command::new("/bin/sh", ["-c", ASK, "get_url", &file]) };
        Response::read(&host.query(&ask)?)
    }

    /// Why a file that is there need not be fetched: it has the checksum, or the server has no other.
    fn stays(
        &self,
        host: &dyn Host,
        dest: &Path,
        checksum: Option<&(Algorithm, String)>,
    ) -> Result<Option<&'static str>, Error> {
        match checksum {
            _ if self.force => Ok(None),
            Some((algorithm, wanted)) => {
                let same = host.digest(dest, *algorithm)?.as_ref() == Some(wanted);
                Ok(same.then_some("file already exists"))
            }
            None => {
                let response = self.ask(host, &self.url, Some(dest))?;
                match response.status {
                    304 => Ok(Some("HTTP Error 304: Not Modified")),
                    0 | 200 | 226 => Ok((response.rest.trim() == "same").then_some("OK")),
                    _ => Err(self.failed(&response)),
                }
            }
        }
    }

    /// The one program, and what is changed of a file that is there. In a directory it is the server that names the file.
    fn fetched(
        &self,
        host: &dyn Host,
        file: PathBuf,
        now: Option<&Stat>,
        into: bool,
        checksum: Option<&(Algorithm, String)>,
    ) -> Result<Vec<Edit>, Error> {
        if now.is_some_and(|now| !now.is_file()) {
            return Err(Error::path("write", file, "it is not a regular file"));
        }
        common::has_directory(host, &file).map_err(|error| {
            let dir = file.parent().unwrap_or(&file).display();
            error
                .telling("msg", format!("Destination {dir} does not exist"))
                .telling("dest", file.display().to_string())
        })?;
        let owner = self.attributes().owner(host)?;
        let mode = self.mode.as_ref().map_or(0o644, |mode| mode.over(0o644, &Kind::File));
        let command = self.command(&file, mode, &owner, into, checksum)?;
        let subject = match into {
            true => format!("{}/ (the server names the file)", file.parent().unwrap_or(&file).display()),
            false => file.display().to_string(),
        };
        let diff = |aspect: &str, after: Shown| Diff::new(subject.as_str(), aspect, Shown::Absent, after);
        let mut edits = Vec::new();
        let mut effect = Vec::new();
        match now {
            Some(now) => {
                edits = self.attributes().edits(host, &file, now)?;
                let before = Shown::Opaque { bytes: now.size };
                effect.push(Diff { before, ..diff("content", Shown::Unknown) });
            }
            None => {
                effect.push(diff("content", Shown::Unknown));
                effect.extend(self.mode.as_ref().map(|_| diff("mode", format!("{mode:04o}").into())));
                effect.extend(owner.user.map(|user| diff("owner", user.into())));
                effect.extend(owner.group.map(|group| diff("group", group.into())));
            }
        }
        let (makes, reach) = match into {
            true => (Vec::new(), Reach::Anything),
            false => (vec![Fact::Path(file, Kind::File, now.map_or(mode, |now| now.mode))], Reach::Stated),
        };
        edits.push(Edit::Run { command, effect, makes, reach, progress: None });
        Ok(edits)
    }

    fn command(
        &self,
        file: &Path,
        mode: u32,
        owner: &Owner,
        into: bool,
        checksum: Option<&(Algorithm, String)>,
    ) -> Result<Command, Error> {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (program, sum) =
            checksum.map_or((String::new(), ""), |(algorithm, sum)| (program(*algorithm), sum.as_str()));
        let args = [
            "-c".to_owned(),
            PUT.into(),
            "get_url".into(),
            file.parent().unwrap_or(Path::new("/")).display().to_string(),
            name.clone(),
            " 200 000 226 ".into(),
            format!("{mode:04o}"),
            common::chown(owner.user.as_deref(), owner.group.as_deref()),
            program,
            sum.into(),
            if self.backup { "backup".into() } else { String::new() },
        ];
        let naming = match into {
            true => ["--remote-name", "--remote-header-name"].map(str::to_owned),
            false => ["--output".to_owned(), name],
        };
        let stdin = Some(self.config(&self.url, None)?);
        Ok(Command { stdin, answers: true, ..Command::new("/bin/sh", args.into_iter().chain(naming)) })
    }

    fn failed(&self, response: &Response) -> Error {
        let error = Error::Failed(format!("cannot fetch {}: {}", http::masked(self.url.as_str()), response.msg));
        let (msg, status) = if response.status == -1 {
            (response.msg.as_str(), None)
        } else {
            ("Request failed", Some(response.status))
        };
        let error = error.telling("msg", msg).telling("dest", self.dest.display().to_string()).telling("elapsed", 0);
        let error = error.telling("url", http::masked(self.url.as_str()));
        status.map_or(error.clone(), |status| {
            error.telling("status_code", status).telling("response", response.msg.as_str())
        })
    }

    /// The algorithm and the checksum in hexadecimal, which may have to be asked for.
    fn checksum(&self, host: &dyn Host) -> Result<Option<(Algorithm, String)>, Error> {
        let Some(text) = self.checksum.as_deref().filter(|text| !text.is_empty()) else { return Ok(None) };
        let Some((algorithm, sum)) = text.split_once(':') else {
            let error = Error::param("checksum", format!("`{text}` is not of the form ALGORITHM:CHECKSUM"));
            return Err(error.telling("msg", "The checksum parameter has to be in format <algorithm>:<checksum>"));
        };
        let known: Result<Algorithm, _> = serde_json::from_value(algorithm.to_lowercase().into());
        let Ok(known) = known else {
            return Err(Error::param(
                "checksum",
                format!("there is no algorithm `{algorithm}`: md5, sha1, sha224, sha256, sha384, sha512"),
            ));
        };
        let asked = ["http", "https", "ftp", "file"].iter().any(|scheme| sum.starts_with(&format!("{scheme}://")));
        let sum = if asked { self.listed(host, sum)? } else { sum.to_owned() };
        let sum: String = sum.chars().filter(|c| c.is_ascii_alphanumeric()).collect::<String>().to_lowercase();
        if sum.is_empty() || !sum.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let error = Error::param("checksum", format!("`{text}` is not hexadecimal"));
            return Err(error.telling("msg", "The checksum format is invalid"));
        }
        Ok(Some((known, sum)))
    }

    /// The checksum of the file in a list of checksums, as GNU's or BSD's programs print them.
    fn listed(&self, host: &dyn Host, list: &str) -> Result<String, Error> {
        let list = Content(Text { bytes: list.into(), secret: self.url.0.secret });
        let response = self.ask(host, &list, None)?;
        if !matches!(response.status, 0 | 200 | 226) {
            return Err(self.failed(&response));
        }
        let name = http::file_name(self.url.as_str());
        listed(&response.rest, name).ok_or_else(|| {
            let list = http::masked(list.as_str());
            let error = Error::param("checksum", format!("{list} has none of `{name}`"));
            error.telling("msg", format!("Unable to find a checksum for file '{name}' in '{list}'"))
        })
    }
}

fn listed(text: &str, name: &str) -> Option<String> {
    let mut words = text.split_whitespace();
    if let (Some(only), None) = (words.next(), words.next()) {
        return Some(only.into());
    }
    text.lines().find_map(|line| {
        let bsd = line.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')'));
        let bsd = bsd.and_then(|(path, sum)| Some((path, sum.trim_start().strip_prefix('=')?.trim())));
        let gnu = || {
            line.split_once(char::is_whitespace)
                .map(|(sum, path)| (path.trim_start().trim_start_matches(['*', '.', '/']), sum))
        };
        let (path, sum) = bsd.or_else(gnu)?;
        (path == name).then(|| sum.to_owned())
    })
}

/// The program of coreutils that computes it.
fn program(algorithm: Algorithm) -> String {
    format!("{}sum", format!("{algorithm:?}").to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_checksums() {
        for (text, wanted) in [
            ("abc\n", Some("abc")),
            ("111  x\nabc  ./a.tgz\n", Some("abc")),
            ("111 *a.tgz.asc\nabc *a.tgz\n", Some("abc")),
            ("SHA256 (x) = 111\nSHA256 (a.tgz) = abc\n", Some("abc")),
            ("111 x\n", None),
        ] {
            assert_eq!(listed(text, "a.tgz").as_deref(), wanted, "{text}");
        }
        assert_eq!(program(Algorithm::Sha256), "sha256sum");
    }
}
