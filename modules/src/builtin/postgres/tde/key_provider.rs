//! `tde_key_provider`: where pg_tde keeps its keys.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Provider, ProviderScope, Tde, meaning, options, pg_tde};
use crate::builtin::state::State;
use crate::edit::{Diff, Edit, Reach, Shown};
use crate::host::{Error, Host};
use crate::module::Module;
use crate::plan::Plan;
use crate::sql::SqlArg;

with_connection! {
/// A provider of keys of pg_tde: a file, a Vault (KV version 2) or a KMIP server.
///
/// One that is there already with the same type and options stays as it is: options are compared as values, never as text,
/// and none is added twice. The server looks at the file, or asks the provider's server, when one is added or changed. Runs on
/// the primary; standbys get the provider with the WAL, but not the files that it names: see `key_consistency`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::builtin) struct TdeKeyProvider {
    /// The provider's name.
    #[schemars(extend("aliases" = ["provider"]))]
    name: String,
    /// Whose it is: the whole server's or a database's.
    #[serde(default)]
    scope: ProviderScope,
    /// What kind of provider; needed unless it shall be absent.
    #[serde(rename = "type")]
    kind: Option<Kind>,
    /// `file`: the file of keys, on the server. It is made if there is none.
    path: Option<String>,
    /// `vault_v2`: the server's URL.
    url: Option<String>,
    /// `vault_v2`: the mount point of the secrets.
    #[schemars(extend("aliases" = ["mount"]))]
    mount_path: Option<String>,
    /// `vault_v2`: the file that holds the token, on the server.
    token_path: Option<String>,
    /// `vault_v2`, `kmip`: the file of the authority that signed the provider's certificate, on the server.
    ca_path: Option<String>,
    /// `vault_v2`: the namespace.
    namespace: Option<String>,
    /// `kmip`: the server.
    kmip_host: Option<String>,
    /// `kmip`: its port.
    #[serde(default = "kmip_port")]
    kmip_port: u16,
    /// `kmip`: the file of the client's certificate, on the server.
    cert_path: Option<String>,
    /// `kmip`: the file of its private key, on the server.
    key_path: Option<String>,
    /// Whether there shall be such a provider.
    #[serde(default)]
    state: State,
    /// The extension: `pg_tde`, or a fork whose functions differ in their prefix.
    #[serde(default = "pg_tde")]
    extension: String,
}
}

fn kmip_port() -> u16 {
    5696
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Kind {
    /// A file, for tests: it is made for one server.
    File,
    /// HashiCorp Vault or OpenBao, secrets engine KV version 2.
    VaultV2,
    /// A server that speaks KMIP.
    Kmip,
}

impl Module for TdeKeyProvider {
    const NAME: &'static str = "tde_key_provider";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let wanted = if self.state == State::Present { Some(self.wanted()?) } else { None };
        let tde = Tde::open(host, self.conn(), &self.extension)?;
        let seen = tde.providers(self.scope)?.into_iter().find(|provider| provider.name == self.name);
        let effect = self.effect(seen.as_ref(), wanted.as_ref());
        if effect.is_empty() {
            return Ok(Plan::nothing());
        }
        tde.may_change(&self.subject())?;
        let scope = self.scope.word();
        let (function, args) = match (&wanted, &seen) {
            (None, _) => (format!("delete_{scope}_key_provider"), Vec::new()),
            (Some(wanted), None) => (format!("add_{scope}_key_provider_{}", options::word(&wanted.kind)), args(wanted)),
            (Some(wanted), Some(_)) => {
                (format!("change_{scope}_key_provider_{}", options::word(&wanted.kind)), args(wanted))
            }
        };
        let args: Vec<SqlArg> = std::iter::once(SqlArg::Text(self.name.clone())).chain(args).collect();
        let marks = (1..=args.len()).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ");
        let statement = format!("SELECT {}", tde.call(&function, &marks));
        // It makes a file, or writes to a vault.
        let (at, reach) = (tde.at(), Reach::Anything);
        Ok(Plan::nothing().with(Edit::Sql { at, statement, args, autocommit: true, reach, effect }))
    }

    fn intent(&self) -> Vec<Diff> {
        let unknown = |diff: Diff| Diff { before: Shown::Unknown, ..diff };
        let wanted = self.wanted().ok().filter(|_| self.state == State::Present);
        match wanted {
            Some(wanted) => self.effect(None, Some(&wanted)).into_iter().map(unknown).collect(),
            None => vec![Diff::new(self.subject(), "type", Shown::Unknown, Shown::Absent)],
        }
    }

    fn explain(&self, _: &dyn Host, error: &Error) -> Option<String> {
        meaning(error)
    }
}

impl TdeKeyProvider {
    fn subject(&self) -> String {
        format!("{} key provider {}", self.scope.word(), self.name)
    }

    /// The provider that there shall be.
    fn wanted(&self) -> Result<Provider, Error> {
        let (kind, needed): (_, &[(&str, &Option<String>)]) = match self.kind {
            None => return Err(Error::param("type", "is needed: file, vault_v2 or kmip")),
            Some(Kind::File) => ("file", &[("path", &self.path)]),
            Some(Kind::VaultV2) => {
                ("vault-v2", &[("url", &self.url), ("mount_path", &self.mount_path), ("token_path", &self.token_path)])
            }
            Some(Kind::Kmip) => (
                "kmip",
                &[
                    ("kmip_host", &self.kmip_host),
                    ("cert_path", &self.cert_path),
                    ("key_path", &self.key_path),
                    ("ca_path", &self.ca_path),
                ],
            ),
        };
        if let Some((name, _)) = needed.iter().find(|(_, value)| value.as_ref().is_none_or(String::is_empty)) {
            return Err(Error::param(name, format!("is needed for a provider of the type `{}`", options::word(kind))));
        }
        let port = self.kmip_port.to_string();
        let value = |option: &str| match option {
            "path" => self.path.clone(),
            "url" => self.url.clone(),
            "mountPath" => self.mount_path.clone(),
            "tokenPath" => self.token_path.clone(),
            "caPath" => self.ca_path.clone(),
            "namespace" => self.namespace.clone(),
            "host" => self.kmip_host.clone(),
            "port" => Some(port.clone()),
            "certPath" => self.cert_path.clone(),
            _ => self.key_path.clone(),
        };
        let set = |name: &&str| Some(((*name).to_owned(), Value::from(value(name).filter(|text| !text.is_empty())?)));
        let options: Map<String, Value> = options::names(kind).iter().filter_map(set).collect();
        Ok(Provider { name: self.name.clone(), kind: kind.into(), options })
    }

    /// What differs.
    fn effect(&self, seen: Option<&Provider>, wanted: Option<&Provider>) -> Vec<Diff> {
        let side = |provider: Option<&Provider>, aspect: &str| match aspect {
            "type" => provider.map(|provider| provider.kind.clone()),
            option => provider.and_then(|provider| options::text(&provider.options, option)),
        };
        let mut aspects = vec!["type"];
        for provider in [wanted, seen.filter(|_| wanted.is_some())].into_iter().flatten() {
            let more = options::names(&provider.kind).iter().filter(|name| !aspects.contains(name));
            aspects.extend(more.collect::<Vec<_>>());
        }
        let differs = |aspect: &&str| side(seen, aspect) != side(wanted, aspect);
        let diff = |aspect| Diff::new(self.subject(), aspect, side(seen, aspect), side(wanted, aspect));
        aspects.into_iter().filter(differs).map(diff).collect()
    }
}

/// The options as the functions take them. A namespace is passed only where there is one: older versions know none.
fn args(wanted: &Provider) -> Vec<SqlArg> {
    let given = options::names(&wanted.kind).iter().map(|name| (*name, options::text(&wanted.options, name)));
    let given = given.filter(|(name, value)| *name != "namespace" || value.is_some());
    given.map(|(_, value)| value.map_or(SqlArg::Null, SqlArg::Text)).collect()
}
