//! `apt_key`: a key that apt trusts.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::common;
use super::keys::{self, Source};
use super::state::State;
use crate::edit::{Diff, Edit, Reach, Shown};
use crate::host::{Command, Error, Host, Look};
use crate::module::Module;
use crate::param::Word;
use crate::plan::{Data, Plan};

/// A key in the rings that apt trusts, by apt-key(8) and gpg(1), which the host must have. Debian has no apt-key any more from
/// version 13 on: see `deb822_repository`. A key at an address is fetched to see which it is, also in a preview, unless `id`
/// tells that.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AptKey {
    /// The key's number: 8, 16 or more hexadecimal digits. Without it, that of the key that is given.
    id: Option<Word>,
    /// The key itself.
    data: Option<String>,
    /// A file of the host that has it.
    file: Option<PathBuf>,
    /// Its address.
    url: Option<String>,
    /// A server that has it by its number.
    keyserver: Option<Word>,
    /// The ring, a file in /etc/apt/trusted.gpg.d.
    keyring: Option<PathBuf>,
    /// Whether it is there.
    #[serde(default)]
    state: State,
    /// Whether the server must have a certificate that holds.
    #[serde(default = "common::yes")]
    validate_certs: bool,
}

impl Module for AptKey {
    const NAME: &'static str = "apt_key";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let id = self.id(host)?;
        let before = self.listed(host, id.len())?;
        let there = before.contains(&short(&id, if id.len() == 8 { 8 } else { 16 }).to_owned());
        let plan = Plan::nothing()
            .returning("id", self.id.as_ref().map_or(id.as_str(), |Word(id)| id.as_str()))
            .returning("short_id", short(&id, 8))
            .returning("fp", short(&id, 16))
            .returning("key_id", id.as_str())
            .returning("before", json!(before));
        let edit = match (self.state, there) {
            (State::Present, true) | (State::Absent, false) => return Ok(plan),
            (State::Present, false) => self.add(&id)?,
            (State::Absent, true) => self.command(["del", short(&id, 8)]),
        };
        let (before, after) = match self.state {
            State::Present => (Shown::Absent, Shown::from("trusted")),
            State::Absent => (Shown::from("trusted"), Shown::Absent),
        };
        let diff = Diff::new(format!("key {id} of apt"), "state", before, after);
        Ok(plan.with(Edit::run(edit, vec![diff], Reach::Anything)))
    }

    fn intent(&self) -> Vec<Diff> {
        let id = self.id.as_ref().map(|Word(id)| id.clone());
        let given = || self.source().map(|source| source.meant());
        let subject = format!("key {} of apt", id.or_else(given).unwrap_or_default());
        let after = if self.state == State::Present { Shown::from("trusted") } else { Shown::Absent };
        vec![Diff::new(subject, "state", Shown::Unknown, after)]
    }

    fn aftermath(&self, host: &dyn Host) -> Look<Data> {
        let length = self.id.as_ref().map_or(16, |Word(id)| id.trim_start_matches("0x").len());
        Ok(Data::from_iter([("after".to_owned(), json!(self.listed(host, length)?))]))
    }
}

impl AptKey {
    fn source(&self) -> Option<Source<'_>> {
        let file = self.file.as_deref().map(Source::File);
        let data = || self.data.as_deref().map(Source::Data);
        file.or_else(data).or_else(|| self.url.as_deref().map(|url| Source::Url(url, self.validate_certs)))
    }

    /// The number that it goes by, in upper case.
    fn id(&self, host: &dyn Host) -> Result<String, Error> {
        let given = [self.data.is_some(), self.file.is_some(), self.url.is_some(), self.keyserver.is_some()];
        if given.iter().filter(|given| **given).count() > 1 {
            let error = Error::param("url", "`data`, `file`, `keyserver` and `url` exclude each other");
            return Err(error.telling("msg", "parameters are mutually exclusive: data|file|keyserver|url"));
        }
        let id = match (&self.id, self.source()) {
            (Some(Word(id)), _) => id.clone(),
            (None, _) if self.keyserver.is_some() => {
                let error = Error::param("id", "is missing: which key of the server's?");
                return Err(error.telling("msg", "Missing key_id, required with keyserver."));
            }
            (None, None) => {
                return Err(Error::param("id", "is missing: which key?").telling("msg", "Invalid key_id"));
            }
            (None, Some(source)) => {
                let ids = source.ids(host, "apt_key").map_err(|error| {
                    let meant = source.meant();
                    let msg = match keys::undelivered(&error) {
                        Some(why) => format!("Failed to download key at {meant}: {why}"),
                        None => format!("Unable to extract key from '{meant}'"),
                    };
                    error.telling("msg", msg)
                })?;
                ids.into_iter().next().unwrap_or_default()
            }
        };
        let digits = id.to_uppercase();
        let digits = digits.strip_prefix("0X").unwrap_or(&digits);
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) || !matches!(digits.len(), 8 | 16..) {
            let error = Error::param("id", format!("`{id}` is no number of a key: 8, 16 or more hexadecimal digits"));
            return Err(error.telling("msg", "Invalid key_id").telling("id", id));
        }
        Ok(digits.to_owned())
    }

    fn listed(&self, host: &dyn Host, digits: usize) -> Result<Vec<String>, Error> {
        let command = self.command(["adv", "--list-public-keys", "--keyid-format=long"]);
        let told = common::asked(host, &command).map_err(|error| match error {
            Error::Program { .. } => {
                let reason = "this host has no apt-key: Debian 13 and later have not; see `deb822_repository`";
                Error::Unsupported(reason.into())
            }
            error => error.telling("msg", "Unable to list public keys"),
        })?;
        let wanted = if digits == 8 { 8 } else { 16 };
        Ok(keys::ids(&told).iter().map(|id| short(id, wanted).to_owned()).collect())
    }

    fn add(&self, id: &str) -> Result<Command, Error> {
        if let Some(Word(server)) = &self.keyserver {
            return Ok(self.command(["adv", "--no-tty", "--keyserver", server, "--recv", id]));
        }
        let Some(source) = self.source() else {
            let error = Error::param("url", "is missing: where is the key? Give `url`, `data`, `file` or `keyserver`");
            return Err(error.telling("msg", "No key to add ... how did i get here?!?!"));
        };
        let add = self.command(["add"]);
        let words: Vec<&str> =
            std::iter::once(add.program.as_str()).chain(add.args.iter().map(String::as_str)).collect();
        source.taken("apt_key", &words)
    }

    fn command<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> Command {
        let ring = self.keyring.iter().flat_map(|ring| ["--keyring".to_owned(), ring.display().to_string()]);
        Command::new("apt-key", ring.chain(words.into_iter().map(str::to_owned)))
    }
}

/// The last digits of a key's number.
fn short(id: &str, digits: usize) -> &str {
    &id[id.len().saturating_sub(digits)..]
}
