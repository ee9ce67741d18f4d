//! `deb822_repository`: where apt finds packages, and the key that it trusts for them.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::common::{self, Attributes, Wanted};
use super::http::{ASK, PUT, Response};
use super::keys;
use super::state::State;
use crate::edit::{Diff, Edit, Owner, Reach, Shown, Text};
use crate::host::{Command, Error, Host, Kind, Look};
use crate::module::Module;
use crate::param::{Content, Mode};
use crate::plan::Plan;

/// A source of packages in /etc/apt/sources.list.d, in the format deb822 (sources.list(5)), with the key that it is signed by. A
/// key at an address is fetched by curl(1), which the host must have, also in a preview.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Deb822Repository {
    /// Its name, which those of its files are made of.
    name: String,
    /// Whether it is there.
    #[serde(default)]
    #[schemars(extend("listed" = ["present", "absent"]))]
    state: State,
    /// `deb` of packages, `deb-src` of what they are built from.
    #[serde(default = "deb")]
    types: Vec<String>,
    /// Where.
    uris: Option<Vec<String>>,
    /// Releases; or a path that ends in `/`.
    suites: Option<Vec<String>>,
    /// Parts of them, such as `main`.
    components: Option<Vec<String>>,
    /// Architectures.
    architectures: Option<Vec<String>>,
    /// The key: its address, a file of the host, itself, or its fingerprint.
    signed_by: Option<String>,
    /// Whether it is used.
    enabled: Option<bool>,
    /// Whether it is trusted without a signature.
    trusted: Option<bool>,
    /// Whether a package may come from it unsigned that was signed.
    allow_downgrade_to_insecure: Option<bool>,
    /// Whether it may be unsigned.
    allow_insecure: Option<bool>,
    /// Whether its signature may be weak.
    allow_weak: Option<bool>,
    /// Whether lists are fetched by their checksums.
    by_hash: Option<bool>,
    /// Whether the host's clock counts.
    check_date: Option<bool>,
    /// Whether lists that are too old are refused.
    check_valid_until: Option<bool>,
    /// How many seconds it may be ahead.
    date_max_future: Option<i64>,
    /// Where its signed list is.
    inrelease_path: Option<String>,
    /// Languages of descriptions.
    languages: Option<Vec<String>>,
    /// Whether lists are fetched as differences.
    pdiffs: Option<bool>,
    /// What is fetched.
    targets: Option<Vec<String>>,
    /// Permission bits of the file.
    #[serde(default = "readable")]
    mode: Mode,
}

const KEYS: &str = "/etc/apt/keyrings";
const ARMOR: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";

fn deb() -> Vec<String> {
    vec!["deb".into()]
}

fn readable() -> Mode {
    Mode::Bits(0o644)
}

impl Module for Deb822Repository {
    const NAME: &'static str = "deb822_repository";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        if let Some(other) = self.types.iter().find(|kind| !matches!(kind.as_str(), "deb" | "deb-src")) {
            return Err(Error::param("types", format!("there is no type `{other}`: `deb` or `deb-src`")));
        }
        let slug = slug(&self.name);
        let dest = PathBuf::from(format!("/etc/apt/sources.list.d/{slug}.sources"));
        let told = |plan: Plan, repo: Value, key: Value| {
            plan.returning("repo", repo).returning("dest", dest.display().to_string()).returning("key_filename", key)
        };
        if self.state == State::Absent {
            let keys = ["asc", "gpg"].map(|end| PathBuf::from(format!("{KEYS}/{slug}.{end}")));
            let last = keys[1].display().to_string();
            let mut edits = Vec::new();
            for path in [dest.clone()].into_iter().chain(keys) {
                edits.extend(host.stat(&path)?.map(|now| Edit::Remove { path, before: now.kind }));
            }
            return Ok(told(Plan { edits, ..Plan::nothing() }, Value::Null, last.into()));
        }
        let (mut edits, key, signed) = self.key(host, &slug)?;
        let repo = self.repo(signed);
        let (path, now) = common::resolve(host, &dest)?;
        let attributes = Attributes { mode: Some(&self.mode), ..Attributes::default() };
        let after = Text::plain(repo.as_str());
        edits.extend(Wanted { path, now, after, attributes, backup: false, validate: None }.plan(host)?.edits);
        Ok(told(Plan { edits, ..Plan::nothing() }, repo.into(), key.into()))
    }

    fn intent(&self) -> Vec<Diff> {
        let after = if self.state == State::Present { Shown::Unknown } else { Shown::Absent };
        vec![Diff::new(format!("apt's source {}", self.name), "state", Shown::Unknown, after)]
    }
}

impl Deb822Repository {
    /// What has to be done for the key; its file; and what the source says of it.
    fn key(&self, host: &dyn Host, slug: &str) -> Look<(Vec<Edit>, Option<String>, Option<String>)> {
        let Some(given) = &self.signed_by else { return Ok((Vec::new(), None, None)) };
        if given.starts_with('/') && host.stat(Path::new(given))?.is_some_and(|stat| !stat.is_dir()) {
            return Ok((Vec::new(), Some(given.clone()), Some(given.clone())));
        }
        if !given.contains("://") {
            return Ok((Vec::new(), None, Some(given.clone())));
        }
        let url = Content(Text::plain(given.as_str()));
        let ask = |file: &str| {
            let stdin = Some(keys::request(&url, true).config()?);
            Response::read(&host.query(&Command { stdin, ..Command::new("/bin/sh", ["-c", ASK, "deb822", file]) })?)
        };
        let come = ask("")?;
        if !matches!(come.status, 0 | 200) {
            let error = Error::Failed(format!("cannot fetch the key: {}", come.msg));
            return Err(error.telling("msg", format!("Could not fetch signed_by key: {}", come.msg)));
        }
        let mut edits = self.directory(host)?;
        let armored = come.rest.contains(ARMOR);
        let file = PathBuf::from(format!("{KEYS}/{slug}.{}", if armored { "asc" } else { "gpg" }));
        let shown = file.display().to_string();
        if armored {
            let mode = Mode::Bits(0o644);
            let attributes = Attributes { mode: Some(&mode), ..Attributes::default() };
            let after = Text::plain(come.rest);
            let now = host.stat(&file)?;
            let mut plan = match now {
                // Its directory comes with the edit before.
                None => Plan::nothing().with(Edit::Write {
                    path: file,
                    before: None,
                    after,
                    mode: Some(0o644),
                    owner: Owner::default(),
                }),
                now => Wanted { path: file, now, after, attributes, backup: false, validate: None }.plan(host)?,
            };
            edits.append(&mut plan.edits);
        } else if host.stat(&file)?.is_none() || ask(&shown)?.rest.trim() != "same" {
            let before = if host.stat(&file)?.is_some() { Shown::Unknown } else { Shown::Absent };
            let name = format!("{slug}.gpg");
            let args = ["-c", PUT, "deb822", KEYS, &name, " 200 000 ", "0644", "", "", "", "", "--output", &name];
            let stdin = Some(keys::request(&url, true).config()?);
            let command = Command { stdin, answers: true, ..Command::new("/bin/sh", args) };
            let effect = vec![Diff::new(shown.as_str(), "content", before, Shown::Unknown)];
            let makes = vec![crate::facts::Fact::Path(file, Kind::File, 0o644)];
            edits.push(Edit::Run { command, effect, makes, reach: Reach::Stated, progress: None });
        }
        Ok((edits, Some(shown.clone()), Some(shown)))
    }

    fn directory(&self, host: &dyn Host) -> Look<Vec<Edit>> {
        let path = PathBuf::from(KEYS);
        let mode = Mode::Bits(0o755);
        match host.stat(&path)? {
            Some(now) => Attributes { mode: Some(&mode), ..Attributes::default() }.edits(host, &path, &now),
            None => Ok(vec![Edit::Dir { path, mode: Some(0o755), owner: Owner::default() }]),
        }
    }

    /// The source as its file has it: fields in the order of the parameters' names, as Ansible writes them.
    fn repo(&self, signed: Option<String>) -> String {
        let flag = |flag: Option<bool>| flag.map(|flag| if flag { "yes" } else { "no" }.to_owned());
        let list = |list: &Option<Vec<String>>| list.as_ref().map(|list| list.join(" "));
        let fields = [
            ("Allow-Downgrade-To-Insecure", flag(self.allow_downgrade_to_insecure)),
            ("Allow-Insecure", flag(self.allow_insecure)),
            ("Allow-Weak", flag(self.allow_weak)),
            ("Architectures", list(&self.architectures)),
            ("By-Hash", flag(self.by_hash)),
            ("Check-Date", flag(self.check_date)),
            ("Check-Valid-Until", flag(self.check_valid_until)),
            ("Components", list(&self.components)),
            ("Date-Max-Future", self.date_max_future.map(|seconds| seconds.to_string())),
            ("Enabled", flag(self.enabled)),
            ("Inrelease-Path", self.inrelease_path.clone()),
            ("Languages", list(&self.languages)),
            ("X-Repolib-Name", Some(self.name.clone())),
            ("Pdiffs", flag(self.pdiffs)),
            ("Signed-By", signed),
            ("Suites", list(&self.suites)),
            ("Targets", list(&self.targets)),
            ("Trusted", flag(self.trusted)),
            ("Types", Some(self.types.join(" "))),
            ("URIs", list(&self.uris)),
        ];
        let field = |(name, value): (&str, Option<String>)| match value {
            None => String::new(),
            Some(text) if text.contains('\n') => {
                let line = |line: &str| format!("    {}\n", if line.trim().is_empty() { "." } else { line.trim() });
                format!("{name}:\n{}", text.trim().lines().map(line).collect::<String>())
            }
            Some(text) => format!("{name}: {text}\n"),
        };
        fields.into_iter().map(field).collect()
    }
}

/// A name for files: lower case, blanks as `-`, nothing else but letters and digits.
fn slug(name: &str) -> String {
    let mut slug = String::new();
    for c in name.to_lowercase().chars() {
        let joint = c == '_' || c.is_whitespace();
        match c {
            _ if joint && slug.ends_with('\0') => {}
            _ if joint => slug.push('\0'),
            'a'..='z' | '0'..='9' | '-' => slug.push(c),
            _ => {}
        }
    }
    slug.replace('\0', "-")
}
