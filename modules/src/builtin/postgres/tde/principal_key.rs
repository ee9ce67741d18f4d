//! `tde_principal_key`: the keys that all other keys of pg_tde are encrypted with.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{Key, KeyScope, Provider, ProviderScope, Tde, meaning, options, pg_tde};
use crate::builtin::postgres::quote;
use crate::edit::{Diff, Edit, Reach, Shown};
use crate::host::{Error, Host};
use crate::module::Module;
use crate::plan::Plan;
use crate::sql::SqlArg;

with_connection! {
/// A principal key of pg_tde, on the primary.
///
/// If the key is set already, it is only verified: setting it again would be a rotation. Else it is set, and created only if
/// the provider says that there is no such key: creating one that the provider merely fails to read could overwrite it.
/// Another key than the one in use is set only with `rotate: true`. Nothing is changed on a standby, nor while a base backup is
/// taken.
///
/// With a provider of the type `file`, a standby needs the key in its own file before it is set: first a task with
/// `state: created`, then carry the file to the standbys, then a task with `state: set`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::builtin) struct TdePrincipalKey {
    /// The key's name.
    #[schemars(extend("aliases" = ["key"]))]
    name: String,
    /// The provider's name.
    provider: String,
    /// What the key is for.
    #[serde(default = "server")]
    scope: KeyScope,
    /// For a database's key: whose provider it is.
    #[serde(default)]
    provider_scope: ProviderScope,
    /// How far to go.
    #[serde(default)]
    state: State,
    /// Whether another key that is in use may be replaced.
    #[serde(default)]
    rotate: bool,
    /// Whether a key that the provider lacks is created.
    #[serde(default = "yes")]
    create: bool,
    /// The extension: `pg_tde`, or a fork whose functions differ in their prefix.
    #[serde(default = "pg_tde")]
    extension: String,
}
}

fn server() -> KeyScope {
    KeyScope::Server
}

fn yes() -> bool {
    true
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "lowercase")]
enum State {
    /// It is in use.
    #[default]
    Set,
    /// It is in the file of its provider, to be carried to the standbys. Only for a provider of the type `file`: others are
    /// shared by all servers.
    Created,
}

/// Whether a key is in a file: a NUL follows its name there, and precedes all names but the first. Names are compared without
/// regard to case, as the provider does. Answers only that; no key leaves the server.
const IN_FILE: &str = r"SELECT encode(pg_read_binary_file($1), 'escape') ~* ('(^|\\000|\n)' || regexp_replace(encode(convert_to($2, 'UTF8'), 'escape'), '([^[:alnum:]])', '\\\1', 'g') || '(\\000|\t)')";

impl Module for TdePrincipalKey {
    const NAME: &'static str = "tde_principal_key";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        self.sound()?;
        let tde = Tde::open(host, self.conn(), &self.extension)?;
        match self.state {
            State::Created => self.created(&tde),
            State::Set => self.set(&tde),
        }
    }

    fn intent(&self) -> Vec<Diff> {
        vec![Diff::new(self.subject(), self.aspect(), Shown::Unknown, self.wanted().to_string())]
    }

    fn explain(&self, _: &dyn Host, error: &Error) -> Option<String> {
        meaning(error)
    }
}

impl TdePrincipalKey {
    fn sound(&self) -> Result<(), Error> {
        if self.name.is_empty() || self.name.len() > 255 || self.name.contains('\0') {
            return Err(Error::param("name", "must be a name of 1 to 255 bytes"));
        }
        if self.scope != KeyScope::Database && self.provider_scope == ProviderScope::Database {
            let reason = format!("must be `global` for the {}", self.scope.name());
            return Err(Error::param("provider_scope", reason));
        }
        Ok(())
    }

    fn wanted(&self) -> Key {
        Key { name: self.name.clone(), provider: self.provider.clone() }
    }

    fn subject(&self) -> String {
        match (self.state, self.scope) {
            (State::Created, _) => format!("key provider {}", self.provider),
            (State::Set, KeyScope::Database) => format!("key of database {}", self.conn().database),
            (State::Set, scope) => scope.name().into(),
        }
    }

    fn aspect(&self) -> &'static str {
        if self.state == State::Set { "in use" } else { "key" }
    }

    fn created(&self, tde: &Tde) -> Result<Plan, Error> {
        let provider = self.provider(tde)?;
        let Some(file) = options::text(&provider.options, "path").filter(|_| provider.kind == "file") else {
            return Err(Error::refused(
                self.subject(),
                format!("it is of the type {}, which all servers share: there is no file to carry", provider.kind),
                "say `state: set`, which creates the key if there is none",
            ));
        };
        if self.in_file(tde, &file)? {
            return Ok(Plan::nothing());
        }
        tde.may_change(&self.subject())?;
        let create = tde.call(&format!("create_key_using_{}_key_provider", self.provider_scope.word()), "$1, $2");
        let args = [&self.name, &self.provider].map(|text| SqlArg::Text(text.clone())).into();
        let effect = vec![Diff::new(self.subject(), "key", Shown::Absent, self.wanted().to_string())];
        let statement = format!("SELECT {create}");
        let (at, reach) = (tde.at(), Reach::Anything);
        Ok(Plan::nothing().with(Edit::Sql { at, statement, args, autocommit: true, reach, effect }))
    }

    fn set(&self, tde: &Tde) -> Result<Plan, Error> {
        let seen = tde.key(self.scope)?;
        if seen.as_ref() == Some(&self.wanted()) {
            tde.verify(self.scope)?;
            return Ok(Plan::nothing());
        }
        if let Some(other) = seen.as_ref().filter(|_| !self.rotate) {
            return Err(Error::refused(
                self.subject(),
                format!("it is {other}; to set {} would be a rotation", self.wanted()),
                "say `rotate: true` if that is meant",
            ));
        }
        tde.may_change(&self.subject())?;
        let provider = self.provider(tde)?;
        let mut plan = Plan::nothing();
        if let Some(file) = options::text(&provider.options, "path").filter(|_| provider.kind == "file") {
            self.standbys_have_it(tde, &file)?;
        }
        if seen.is_some() {
            plan.warnings.push("take a new full backup after a rotation: an older one may not start".into());
        }
        let effect =
            vec![Diff::new(self.subject(), "in use", seen.map(|key| key.to_string()), self.wanted().to_string())];
        let sql = |statement: String, effect| {
            let (at, reach) = (tde.at(), Reach::Anything);
            Edit::Sql { at, statement, args: Vec::new(), autocommit: true, reach, effect }
        };
        let calls = Calls::new(self, tde);
        if !self.create {
            return Ok(plan.with(sql(format!("SELECT {}", calls.set), effect)));
        }
        plan.stops_at_warnings = true;
        Ok(plan.with(sql(calls.set_if_there(), Vec::new())).with(sql(calls.create_unless_set(), effect)))
    }

    fn provider(&self, tde: &Tde) -> Result<Provider, Error> {
        let all = tde.providers(self.provider_scope)?;
        all.iter().find(|provider| provider.name == self.provider).cloned().ok_or_else(|| {
            let names: Vec<&str> = all.iter().map(|provider| provider.name.as_str()).collect();
            let there =
                if names.is_empty() { "there is none".into() } else { format!("there are {}", names.join(", ")) };
            Error::refused(
                self.subject(),
                format!("there is no {} key provider `{}`", self.provider_scope.word(), self.provider),
                format!("add it with `tde_key_provider`; {there}"),
            )
        })
    }

    /// Whether the key is in the file. The provider would call a key missing whose whole file is.
    fn in_file(&self, tde: &Tde, file: &str) -> Result<bool, Error> {
        let there = tde.sql("SELECT (pg_stat_file($1, true)).size IS NOT NULL", &[file])?;
        if there.rows.first().and_then(|row| row.first()) != Some(&Value::Bool(true)) {
            return Err(Error::refused(
                self.subject(),
                format!(
                    "the file of its provider, {file}, is not there: a key made now would take the place of a lost one"
                ),
                "put the file back; for a server that never had keys, delete the provider and add it again",
            ));
        }
        let found = tde.sql(IN_FILE, &[file, &self.name])?;
        Ok(found.rows.first().and_then(|row| row.first()) == Some(&Value::Bool(true)))
    }

    /// A key that is created and set in one go is not in the files of the standbys, and they stop when they replay it.
    fn standbys_have_it(&self, tde: &Tde, file: &str) -> Result<(), Error> {
        if self.in_file(tde, file)? {
            return Ok(());
        }
        let standbys = tde.sql("SELECT application_name FROM pg_stat_replication", &[])?;
        let names: Vec<&str> = standbys.rows.iter().filter_map(|row| row.first()?.as_str()).collect();
        match names.is_empty() {
            true => Ok(()),
            false => Err(Error::refused(
                self.subject(),
                format!(
                    "the key is not in {file} yet, and standbys follow ({}): they would stop at it",
                    names.join(", ")
                ),
                "first `state: created`, then carry the file to the standbys, then `state: set`",
            )),
        }
    }
}

/// The calls that set a key and make one. A key is created only if the provider says that there is none, and says it without a
/// warning: a KMIP server that is not reached is "no such key" too, with a warning that only the client sees. So it is two
/// statements, and the plan stops between them.
struct Calls {
    key: String,
    set: String,
    create: String,
    info: String,
    provider: String,
}

impl Calls {
    fn new(wanted: &TdePrincipalKey, tde: &Tde) -> Self {
        let (key, provider) = (quote::literal(&wanted.name), quote::literal(&wanted.provider));
        let args = format!("{key}, {provider}");
        let of_provider = format!("{}_key_provider", wanted.provider_scope.word());
        let set = match wanted.scope {
            KeyScope::Server => "set_server_key_using_global_key_provider".to_owned(),
            KeyScope::Default => "set_default_key_using_global_key_provider".to_owned(),
            KeyScope::Database => format!("set_key_using_{of_provider}"),
        };
        Self {
            set: tde.call(&set, &args),
            create: tde.call(&format!("create_key_using_{of_provider}"), &args),
            info: tde.call(&format!("{}_info", wanted.scope.word()), ""),
            key: wanted.name.clone(),
            provider,
        }
    }

    fn set_if_there(&self) -> String {
        let missing = quote::literal(&format!("key \"{}\" does not exist", self.key));
        let set = &self.set;
        let body = format!(
            "BEGIN PERFORM {set}; EXCEPTION WHEN invalid_parameter_value THEN IF SQLERRM <> {missing} THEN RAISE; END IF; END"
        );
        format!("DO {}", quote::literal(&body))
    }

    fn create_unless_set(&self) -> String {
        let Self { set, create, info, provider, .. } = self;
        let key = quote::literal(&self.key);
        let body = format!(
            "BEGIN IF NOT EXISTS (SELECT FROM {info} WHERE key_name = {key} AND provider_name = {provider}) THEN \
             PERFORM {create}; PERFORM {set}; END IF; END"
        );
        format!("DO {}", quote::literal(&body))
    }
}
