//! `htpasswd`: a user and a password of a web server's file.

mod hash;

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::common::{self, Wanted};
use super::state::State;
use crate::edit::{Diff, Shown, Text};
use crate::host::{Error, Host};
use crate::module::Module;
use crate::param::Word;
use crate::plan::Plan;
use crate::secret::Secret;

with_file_parameters! {
    /// A user of a file of passwords for Apache or nginx. A password that fits the hash that is there changes nothing.
    #[derive(Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    pub(super) struct Htpasswd {
        /// The file.
        #[schemars(extend("aliases" = ["dest", "destfile"]))]
        path: PathBuf,
        /// The user.
        #[schemars(extend("aliases" = ["username"]))]
        name: Word,
        /// The password.
        password: Option<Secret>,
        /// How it is hashed.
        #[serde(default)]
        #[schemars(extend("aliases" = ["crypt_scheme"]))]
        hash_scheme: Scheme,
        /// Whether the user is there.
        #[serde(default)]
        state: State,
        /// Whether a file that is not there is made, and its directories.
        #[serde(default = "common::yes")]
        create: bool,
    }
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum Scheme {
    /// Apache's own, with MD5.
    #[default]
    #[serde(alias = "portable", alias = "portable_apache_22", alias = "portable_apache_24")]
    #[schemars(extend("enum" = ["apr_md5_crypt", "portable", "portable_apache_22", "portable_apache_24"]))]
    AprMd5Crypt,
    /// `{SHA}`, without a salt.
    LdapSha1,
    /// As it is.
    Plaintext,
    /// SHA-256 of crypt(5), by the host's openssl(1).
    #[serde(rename = "sha256_crypt")]
    Sha256Crypt,
    /// SHA-512 of crypt(5), by the host's openssl(1).
    #[serde(rename = "sha512_crypt")]
    Sha512Crypt,
}

impl Module for Htpasswd {
    const NAME: &'static str = "htpasswd";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let user = self.name.0.as_str();
        if user.is_empty() || user.contains([':', '\n']) {
            return Err(Error::param("name", format!("`{user}` cannot be a user: it is empty, or has a colon in it")));
        }
        let (path, now) = common::resolve(host, &self.path)?;
        let text = common::text(host, &path)?;
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let at = lines.iter().position(|line| line.split(':').next() == Some(user));
        let shown = self.path.display();
        if self.state == State::Absent {
            let kept: Vec<&str> =
                lines.iter().enumerate().filter(|(here, _)| Some(*here) != at).map(|(_, line)| *line).collect();
            let said = if at.is_some() { format!("Remove {user}") } else { format!("{user} not present") };
            if now.is_none() {
                let warnings = vec![format!("{shown} does not exist")];
                return Ok(Plan { warnings, ..Plan::nothing() }.returning("msg", said));
            }
            return self.put(host, path, now, kept.iter().map(|line| format!("{line}\n")).collect(), &said);
        }
        let Some(password) = &self.password else {
            return Err(Error::param("password", "is missing: a user that is there has one"));
        };
        let hash = at.and_then(|at| lines[at].split(':').nth(1));
        if let Some(hash) = hash
            && hash::fits(host, hash, password)?
        {
            let text = lines.iter().map(|line| format!("{line}\n")).collect();
            return self.put(host, path, now, text, &format!("{user} already present"));
        }
        if now.is_none() && !self.create {
            let error = Error::path("edit", &self.path, "there is no such file");
            return Err(error.telling("msg", format!("Destination {shown} does not exist")));
        }
        let line = format!("{user}:{}", hash::made(host, self.hash_scheme, password)?);
        let mut lines: Vec<String> = lines.into_iter().map(str::to_owned).collect();
        match at {
            Some(at) => lines[at] = line,
            None => lines.push(line),
        }
        let said = match now {
            Some(_) => format!("Add/update {user}"),
            None => format!("Created {shown} and added {user}"),
        };
        self.put(host, path, now, lines.iter().map(|line| format!("{line}\n")).collect(), &said)
    }

    fn intent(&self) -> Vec<Diff> {
        let after = if self.state == State::Present { Shown::Redacted } else { Shown::Absent };
        vec![Diff::new(format!("user {} of {}", self.name.0, self.path.display()), "password", Shown::Unknown, after)]
    }
}

impl Htpasswd {
    /// Hashes are no one's to see, but the file need not be for its owner alone: the server reads it.
    fn put(
        &self,
        host: &dyn Host,
        path: PathBuf,
        now: Option<crate::host::Stat>,
        text: String,
        said: &str,
    ) -> Result<Plan, Error> {
        let readable = crate::param::Mode::Bits(0o644);
        let mut attributes = self.attributes();
        if now.is_none() && attributes.mode.is_none() {
            attributes.mode = Some(&readable);
        }
        let wanted = Wanted { path, now, after: Text::secret(text), attributes, backup: false, validate: None };
        let mut plan = wanted.plan_below(host)?;
        // It is a hash, which a server's account must be able to read.
        plan.warnings.clear();
        Ok(common::edited(plan, said).returning("path", self.path.display().to_string()))
    }
}

/// Where the kernel tells of chance.
pub(super) fn chance(host: &dyn Host) -> Result<Vec<u8>, Error> {
    host.read(Path::new("/proc/sys/kernel/random/uuid"))?
        .ok_or_else(|| Error::path("read", "/proc/sys/kernel/random/uuid", "the kernel does not tell of chance"))
}
