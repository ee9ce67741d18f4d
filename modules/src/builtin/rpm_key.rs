//! `rpm_key`: a key that rpm trusts.

use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;

use super::common;
use super::keys::{self, Source};
use super::state::State;
use crate::edit::{Diff, Edit, Reach, Shown};
use crate::host::{Command, Error, Host};
use crate::module::Module;
use crate::param::Word;
use crate::plan::Plan;

/// A key in rpm's database, by rpm(8) and gpg(1), which the host must have. A key at an address is fetched to see which it is,
/// also in a preview.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RpmKey {
    /// Its address, a file of the host, or, of one that is there, its number.
    key: Word,
    /// Whether it is there.
    #[serde(default)]
    state: State,
    /// Fingerprints that it must have.
    #[serde(default)]
    fingerprint: Vec<String>,
    /// Whether the server must have a certificate that holds.
    #[serde(default = "common::yes")]
    validate_certs: bool,
}

/// What rpm trusts, as gpg tells it.
const KNOWN: &str = r#"dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT || exit 1
rpm -q gpg-pubkey >/dev/null || exit 0
rpm -q gpg-pubkey --qf '%{description}' | GNUPGHOME=$dir gpg --no-tty --batch --with-colons --fixed-list-mode -"#;

impl Module for RpmKey {
    const NAME: &'static str = "rpm_key";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let key = self.key.0.trim();
        let digits = key.to_uppercase();
        let digits = digits.strip_prefix("0X").unwrap_or(&digits).to_owned();
        let is_id = digits.len() >= 8 && digits.as_bytes()[..8].iter().all(u8::is_ascii_hexdigit);
        let source = match key {
            url if url.contains("://") => Some(Source::Url(url, self.validate_certs)),
            _ if is_id => None,
            path if is_file(host, Path::new(path))? => Some(Source::File(Path::new(path))),
            _ => {
                let error = Error::param("key", format!("`{key}` is no address, no file and no number of a key"));
                return Err(error.telling("msg", format!("Not a valid key {key}")));
            }
        };
        let id = match &source {
            None => digits,
            Some(source) => source.ids(host, "rpm_key")?.into_iter().next().ok_or_else(|| {
                Error::param("key", format!("{} is no public key", source.meant()))
                    .telling("msg", "Unexpected gpg output")
            })?,
        };
        let known = common::asked(host, &Command::new("/bin/sh", ["-c", KNOWN]))?;
        let there = keys::ids(&known).iter().any(|known| known.contains(&id));
        let diff = |before: Shown, after: Shown| vec![Diff::new(format!("key {id} of rpm"), "state", before, after)];
        match (self.state, there, source) {
            (State::Present, true, _) | (State::Absent, false, _) => Ok(Plan::nothing()),
            (State::Absent, true, _) => {
                let name = format!("gpg-pubkey-{}", id[id.len().saturating_sub(8)..].to_lowercase());
                let erase = Command::new("rpm", ["--erase", "--allmatches", &name]);
                Ok(Plan::nothing().with(Edit::run(erase, diff("trusted".into(), Shown::Absent), Reach::Stated)))
            }
            (State::Present, false, None) => {
                let error = Error::param("key", "is not there, and a number is not enough to fetch it");
                Err(error.telling("msg", "When importing a key, a valid file must be given"))
            }
            (State::Present, false, Some(source)) => {
                self.verified(host, &source)?;
                let import = source.taken("rpm_key", &["rpm", "--import"])?;
                Ok(Plan::nothing().with(Edit::run(import, diff(Shown::Absent, "trusted".into()), Reach::Stated)))
            }
        }
    }

    fn intent(&self) -> Vec<Diff> {
        let after = if self.state == State::Present { Shown::from("trusted") } else { Shown::Absent };
        vec![Diff::new(format!("key {} of rpm", self.key.0), "state", Shown::Unknown, after)]
    }
}

fn is_file(host: &dyn Host, path: &Path) -> Result<bool, Error> {
    let is_dir = host.stat(&path.join("."))?.is_some_and(|stat| stat.is_dir());
    Ok(!is_dir && host.stat(path)?.is_some())
}

impl RpmKey {
    fn verified(&self, host: &dyn Host, source: &Source<'_>) -> Result<(), Error> {
        if self.fingerprint.is_empty() {
            return Ok(());
        }
        let found = source.fingerprints(host, "rpm_key")?;
        let wanted: Vec<String> = self.fingerprint.iter().map(|one| one.replace(' ', "").to_uppercase()).collect();
        match wanted.iter().find(|one| !found.contains(one)) {
            None => Ok(()),
            Some(lacks) => {
                let has = found.join(", ");
                Err(Error::param(
                    "fingerprint",
                    format!("`{lacks}` is not that of {}, which has {has}", source.meant()),
                ))
            }
        }
    }
}
