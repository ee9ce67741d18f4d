//! `mysql_user`: accounts of MySQL or MariaDB.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use sha1::{Digest, Sha1};

use super::grants::{self, How};
use super::login::{config_file, connect_timeout, localhost, port};
use super::quote::literal;
use super::{Given, Session, lamented};
use crate::builtin::state::State;
use crate::edit::{Diff, Edit, Shown};
use crate::host::{Error, Host};
use crate::module::Module;
use crate::param::Word;
use crate::plan::Plan;
use crate::preview::hex;
use crate::secret::Secret;

with_login! {
    /// An account of a server of MySQL or MariaDB, by mysql(1), which the host must have: its password, its privileges, or that it
    /// is gone. A password is never on a command line.
    #[derive(Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    pub(in crate::builtin) struct MysqlUser {
        /// The user's name.
        #[schemars(extend("aliases" = ["user"]))]
        name: Word,
        /// The password. For a new account without one, there is none.
        password: Option<Secret>,
        /// Whether `password` is its hash, as `mysql_native_password` has it.
        #[serde(default)]
        encrypted: bool,
        /// From where the user comes; `%` is anywhere.
        #[serde(default = "localhost")]
        host: Word,
        /// Whether all accounts of that name are meant, from wherever.
        #[serde(default)]
        host_all: bool,
        /// Whether it is there.
        #[serde(default)]
        state: State,
        /// The privileges, as `database.table:PRIVILEGE,PRIVILEGE`, several with `/` between, or as a dictionary.
        #[serde(rename = "priv")]
        privileges: Option<Value>,
        /// Whether other privileges stay.
        #[serde(default)]
        append_privs: bool,
        /// Whether these privileges are taken away.
        #[serde(default)]
        subtract_privs: bool,
        /// What is required of the connection: `SSL`, `X509`, or values of `CIPHER`, `ISSUER`, `SUBJECT`.
        tls_requires: Option<BTreeMap<String, Value>>,
        /// Whether the password of an account that is there is changed.
        #[serde(default)]
        update_password: UpdatePassword,
        /// How the user is authenticated, if not by a password: `unix_socket`, `ed25519`, …
        plugin: Option<String>,
        /// What the plugin keeps of a password.
        plugin_hash_string: Option<Secret>,
        /// What the plugin is given; whether that is so already is not to be told, so that it is set each time.
        plugin_auth_string: Option<Secret>,
        /// Limits, such as `MAX_USER_CONNECTIONS: 10`.
        resource_limits: Option<BTreeMap<String, u64>>,
        /// Whether the account is locked.
        locked: Option<bool>,
        /// Whether `root` without a password is tried first.
        #[serde(default)]
        check_implicit_admin: bool,
        /// Whether names of columns are as written, rather than in upper case.
        column_case_sensitive: Option<bool>,
        /// Whether the binary log tells of the change.
        #[serde(default = "crate::builtin::common::yes")]
        sql_log_bin: bool,
    }
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum UpdatePassword {
    /// If it is another one.
    #[default]
    Always,
    /// Only of a new account.
    OnCreate,
}

const UPPER: &str = "Option column_case_sensitive is not provided. The default is now false, so the column's name will be uppercased. \
                     The default will be changed to true in community.mysql 4.0.0.";

/// What is to be done, and what is told of it.
#[derive(Default)]
struct Doing {
    statements: Vec<String>,
    effect: Vec<Diff>,
    msg: Option<String>,
    with_password: bool,
}

impl Doing {
    fn set(&mut self, diff: Diff, statements: impl IntoIterator<Item = String>, msg: impl Into<String>) {
        self.effect.push(diff);
        self.statements.extend(statements);
        self.msg = Some(msg.into());
    }
}

impl Module for MysqlUser {
    const NAME: &'static str = "mysql_user";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        if self.append_privs && self.subtract_privs {
            let error = Error::param("append_privs", "`append_privs` and `subtract_privs` exclude each other");
            return Err(error.telling("msg", "parameters are mutually exclusive: append_privs|subtract_privs"));
        }
        let session = Given { names_file: false, ..self.given() }.session(host, self.check_implicit_admin)?;
        let warnings = self.column_case_sensitive.is_none().then(|| UPPER.to_owned()).into_iter().collect();
        let plan = Plan { warnings, ..Plan::nothing() }.returning("user", self.name.0.as_str());
        let from = self.places(&session, host)?;
        let mut doing = Doing::default();
        let mut attributes = Value::Null;
        match (self.state, from.is_empty()) {
            (State::Absent, true) => doing.msg = Some("User doesn't exist".into()),
            (State::Absent, false) => {
                let drop = |place: &String| format!("DROP USER {}", self.account(place));
                let gone = self.diff("state", "present", Shown::Absent);
                doing.set(gone, from.iter().map(drop), "User deleted");
            }
            (State::Present, true) => self.add(&mut doing, &session, host)?,
            (State::Present, false) => {
                doing.msg = Some("User unchanged".into());
                for place in &from {
                    self.change(&mut doing, &session, place, host)?;
                }
                attributes = if session.is_mariadb() { json!({}) } else { Value::Null };
            }
        }
        let plan = plan
            .returning("msg", doing.msg.take().unwrap_or_default())
            .returning("password_changed", doing.with_password)
            .returning("attributes", attributes);
        Ok(match doing.statements.is_empty() {
            true => plan,
            false => plan.with(self.edit(&session, doing)),
        })
    }

    /// With its own password changed, the account that is logged in may not be let in again.
    fn converges(&self) -> bool {
        let own = self.login_user.as_ref().is_none_or(|user| user.0 == self.name.0);
        self.plugin_auth_string.is_none() && !(self.password.is_some() && (own || self.check_implicit_admin))
    }

    fn lament(&self, error: &Error) -> Option<String> {
        lamented(error)
    }

    fn intent(&self) -> Vec<Diff> {
        let after = if self.state == State::Absent { Shown::Absent } else { "present".into() };
        vec![self.diff("state", Shown::Unknown, after)]
    }
}

impl MysqlUser {
    fn diff(&self, aspect: &str, before: impl Into<Shown>, after: impl Into<Shown>) -> Diff {
        let place = if self.host_all { "*" } else { self.host.0.as_str() };
        Diff::new(format!("MySQL user {}@{place}", self.name.0), aspect, before, after)
    }

    fn account(&self, place: &str) -> String {
        format!("{}@{}", literal(&self.name.0), literal(place))
    }

    fn edit(&self, session: &Session, doing: Doing) -> Edit {
        let quiet = (!self.sql_log_bin).then(|| "SET SQL_LOG_BIN=0".to_owned());
        let statements: Vec<String> = quiet.into_iter().chain(doing.statements).collect();
        let is_secret =
            self.password.is_some() || self.plugin_hash_string.is_some() || self.plugin_auth_string.is_some();
        session.edit(&statements, is_secret, doing.effect)
    }

    /// Where the accounts of that name are from.
    fn places(&self, session: &Session, host: &dyn Host) -> Result<Vec<String>, Error> {
        let place = self.host.0.to_lowercase();
        let of = if self.host_all { String::new() } else { format!(" AND host = {}", literal(&place)) };
        let rows =
            session.ask(host, &format!("SELECT host FROM mysql.user WHERE user = {}{of}", literal(&self.name.0)))?;
        Ok(rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect())
    }

    /// The old way of accounts, in which the server hashes.
    fn is_old(session: &Session) -> bool {
        if session.is_mariadb() { session.is_before(10, 2) } else { session.is_before(5, 7) }
    }

    /// What `mysql_native_password` keeps of the password; and nothing where there is none.
    fn hashed(&self) -> Result<Option<String>, Error> {
        let Some(password) = self.password.as_ref().map(Secret::expose).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        if !self.encrypted {
            let twice = Sha1::digest(Sha1::digest(password.as_bytes()));
            return Ok(Some(format!("*{}", hex(&twice).to_uppercase())));
        }
        let digits = password.strip_prefix('*').filter(|digits| digits.len() == 40);
        if digits.is_none_or(|digits| !digits.bytes().all(|byte| byte.is_ascii_hexdigit())) {
            let error = Error::param("password", "is no hash: `*` and forty hexadecimal digits");
            return Err(error.telling(
                "msg",
                "encrypted was specified however it does not appear to be a valid hash expecting: *SHA1(SHA1(your_password))",
            ));
        }
        Ok(Some(password.to_owned()))
    }

    /// How it is authenticated; `None` if nothing is said of that.
    fn identified(&self, session: &Session) -> Result<Option<String>, Error> {
        if let Some(hash) = self.hashed()? {
            return Ok(Some(match Self::is_old(session) {
                true => format!("IDENTIFIED BY PASSWORD {}", literal(&hash)),
                false => format!("IDENTIFIED WITH mysql_native_password AS {}", literal(&hash)),
            }));
        }
        let Some(plugin) = &self.plugin else { return Ok(None) };
        if !plugin.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(Error::param("plugin", format!("`{plugin}` cannot be a plugin of the server's")));
        }
        let given = |secret: &Option<Secret>| secret.as_ref().map(|secret| literal(secret.expose()));
        let with = match (given(&self.plugin_hash_string), given(&self.plugin_auth_string)) {
            (Some(hash), _) => format!(" AS {hash}"),
            (None, Some(text)) if plugin == "pam" => format!(" USING {text}"),
            (None, Some(text)) if plugin == "ed25519" => format!(" USING PASSWORD({text})"),
            (None, Some(text)) => format!(" BY {text}"),
            (None, None) => String::new(),
        };
        Ok(Some(format!("IDENTIFIED WITH {plugin}{with}")))
    }

    fn add(&self, doing: &mut Doing, session: &Session, host: &dyn Host) -> Result<(), Error> {
        if self.host_all {
            let error = Error::param("host_all", "a new account is from one place");
            return Err(error.telling("msg", "host_all parameter cannot be used when adding a user"));
        }
        let account = self.account(&self.host.0.to_lowercase());
        let by = self.identified(session)?.map(|by| format!(" {by}")).unwrap_or_default();
        let tls = self.required().filter(|_| !Self::is_old(session)).map(|what| format!(" REQUIRE {what}"));
        let create = format!("CREATE USER {account}{by}{}", tls.unwrap_or_default());
        doing.set(self.diff("state", Shown::Absent, "present"), [create], "User added");
        doing.with_password = true;
        let wanted = if self.subtract_privs { None } else { self.wanted(session, host)? };
        for (object, privileges) in wanted.into_iter().flatten() {
            let diff = self.diff(&format!("privileges on {object}"), Shown::Absent, privileges.join(", "));
            doing.set(diff, [grants::grant(&account, &object, &privileges)], "User added");
        }
        if self.locked == Some(true) {
            doing.statements.push(format!("ALTER USER {account} ACCOUNT LOCK"));
        }
        if let Some(limits) = &self.resource_limits {
            doing.statements.push(limited(&account, limits.iter()));
        }
        Ok(())
    }

    fn change(&self, doing: &mut Doing, session: &Session, place: &str, host: &dyn Host) -> Result<(), Error> {
        let account = self.account(place);
        if self.update_password == UpdatePassword::Always {
            self.authenticate(doing, session, place, host)?;
        }
        if let Some(wanted) = self.wanted(session, host)? {
            let rows = session.ask(host, &format!("SHOW GRANTS FOR {account}"))?;
            let lines: Vec<String> = rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect();
            let now = grants::told(&lines)?;
            let how = match (self.append_privs, self.subtract_privs) {
                (true, _) => How::Append,
                (_, true) => How::Subtract,
                _ => How::Exactly,
            };
            let shown = |grants: &grants::Grants, object: &str| {
                let found = grants.iter().find(|(known, _)| known == object);
                found.map_or(Shown::Absent, |(_, privileges)| privileges.join(", ").into())
            };
            for step in grants::steps(&account, &now, &wanted, how) {
                let after = if how == How::Subtract { Shown::Absent } else { shown(&wanted, &step.object) };
                let diff = self.diff(&format!("privileges on {}", step.object), shown(&now, &step.object), after);
                doing.set(diff, step.statements, step.told);
            }
        }
        self.lock(doing, session, &account, host)?;
        self.require(doing, session, place, host)?;
        self.limit(doing, session, place, host)
    }

    fn authenticate(&self, doing: &mut Doing, session: &Session, place: &str, host: &dyn Host) -> Result<(), Error> {
        let Some(by) = self.identified(session)? else { return Ok(()) };
        let old = session.is_mariadb() || Self::is_old(session);
        let columns = if old {
            "COALESCE(NULLIF(Password, ''), NULLIF(authentication_string, ''))"
        } else {
            "authentication_string"
        };
        let of = format!("WHERE user = {} AND host = {}", literal(&self.name.0), literal(place));
        let row = session.ask(host, &format!("SELECT {columns}, plugin FROM mysql.user {of}"))?.into_iter().next();
        let [kept, plugin] = <[Option<String>; 2]>::try_from(row.unwrap_or_default()).unwrap_or_default();
        let hash = self.hashed()?;
        let same = match &hash {
            Some(hash) => kept.as_ref() == Some(hash),
            None => {
                let kept_is = |secret: &Secret| kept.as_deref() == Some(secret.expose());
                plugin == self.plugin
                    && self.plugin_hash_string.as_ref().is_none_or(kept_is)
                    && self.plugin_auth_string.as_ref().is_none_or(kept_is)
            }
        };
        if same {
            return Ok(());
        }
        let account = self.account(place);
        let (statement, msg) = match (&hash, Self::is_old(session)) {
            (Some(hash), true) => {
                (format!("SET PASSWORD FOR {account} = {}", literal(hash)), "Password updated (old style)")
            }
            (Some(_), false) => (format!("ALTER USER {account} {by}"), "Password updated (new style)"),
            // Ansible says nothing of that.
            (None, _) => (format!("ALTER USER {account} {by}"), "User unchanged"),
        };
        doing.set(self.diff("password", Shown::Redacted, Shown::Redacted), [statement], msg);
        doing.with_password = true;
        Ok(())
    }

    fn wanted(&self, session: &Session, host: &dyn Host) -> Result<Option<grants::Grants>, Error> {
        let text = match &self.privileges {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(text)) => text.clone(),
            Some(Value::Object(map)) => {
                let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                let items: Vec<String> =
                    map.iter().map(|(object, value)| format!("{object}:{}", word(value))).collect();
                items.join("/")
            }
            Some(_) => return Err(Error::param("priv", "is neither a text nor a dictionary")),
        };
        let mode = session.one(host, "SELECT @@sql_mode")?.unwrap_or_default();
        let quote = if mode.contains("ANSI") { '"' } else { '`' };
        grants::wanted(&text, quote, self.column_case_sensitive == Some(true), !self.subtract_privs).map(Some)
    }

    fn lock(&self, doing: &mut Doing, session: &Session, account: &str, host: &dyn Host) -> Result<(), Error> {
        let Some(locked) = self.locked else { return Ok(()) };
        let told = session.one(host, &format!("SHOW CREATE USER {account}"))?.unwrap_or_default();
        if told.contains("ACCOUNT LOCK") != locked {
            let (verb, msg) = if locked { ("LOCK", "User locked") } else { ("UNLOCK", "User unlocked") };
            doing.set(
                self.diff("locked", (!locked).to_string(), locked.to_string()),
                [format!("ALTER USER {account} ACCOUNT {verb}")],
                msg,
            );
        }
        Ok(())
    }

    /// What stands behind `REQUIRE`.
    fn required(&self) -> Option<String> {
        let given = self.tls_requires.as_ref().filter(|given| !given.is_empty())?;
        let value = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let of = |name: &str| {
            let found = given.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
            Some(format!("{name} {}", literal(&value(found.1))))
        };
        let detailed: Vec<String> = ["CIPHER", "ISSUER", "SUBJECT"].into_iter().filter_map(of).collect();
        Some(match detailed.is_empty() {
            false => detailed.join(" AND "),
            true if given.keys().any(|key| key.eq_ignore_ascii_case("X509")) => "X509".into(),
            true => "SSL".into(),
        })
    }

    fn require(&self, doing: &mut Doing, session: &Session, place: &str, host: &dyn Host) -> Result<(), Error> {
        if Self::is_old(session) {
            return Ok(());
        }
        let ask = format!(
            "SELECT ssl_type, CONVERT(ssl_cipher USING utf8), CONVERT(x509_issuer USING utf8), CONVERT(x509_subject USING utf8) \
             FROM mysql.user WHERE user = {} AND host = {}",
            literal(&self.name.0),
            literal(place)
        );
        let row = session.ask(host, &ask)?.into_iter().next().unwrap_or_default();
        let part = |at: usize| row.get(at).cloned().flatten().filter(|text| !text.is_empty());
        let named = ["CIPHER", "ISSUER", "SUBJECT"].into_iter().enumerate();
        let detailed: Vec<String> =
            named.filter_map(|(at, name)| Some(format!("{name} {}", literal(&part(at + 1)?)))).collect();
        let now = match (part(0).as_deref(), detailed.is_empty()) {
            (_, false) => Some(detailed.join(" AND ")),
            (Some("ANY"), true) => Some("SSL".into()),
            (Some("X509"), true) => Some("X509".into()),
            _ => None,
        };
        let wanted = self.required();
        if now != wanted {
            let shown = |what: &Option<String>| what.as_deref().map_or(Shown::Absent, Shown::from);
            let statement =
                format!("ALTER USER {} REQUIRE {}", self.account(place), wanted.as_deref().unwrap_or("NONE"));
            doing.set(self.diff("TLS", shown(&now), shown(&wanted)), [statement], "TLS requires updated");
        }
        Ok(())
    }

    fn limit(&self, doing: &mut Doing, session: &Session, place: &str, host: &dyn Host) -> Result<(), Error> {
        let Some(limits) = &self.resource_limits else { return Ok(()) };
        const COLUMNS: [(&str, &str); 5] = [
            ("MAX_QUERIES_PER_HOUR", "max_questions"),
            ("MAX_UPDATES_PER_HOUR", "max_updates"),
            ("MAX_CONNECTIONS_PER_HOUR", "max_connections"),
            ("MAX_USER_CONNECTIONS", "max_user_connections"),
            ("MAX_STATEMENT_TIME", "max_statement_time"),
        ];
        let mut due = Vec::new();
        for (name, wanted) in limits {
            let Some((_, column)) = COLUMNS.iter().find(|(known, _)| known == name) else {
                let error = Error::param("resource_limits", format!("there is no limit `{name}`"));
                return Err(error.telling("msg", format!("resource_limits: key '{name}' is unsupported.")));
            };
            let (user, place) = (literal(&self.name.0), literal(place));
            let ask = format!("SELECT {column} FROM mysql.user WHERE user = {user} AND host = {place}");
            let now = session.one(host, &ask)?.unwrap_or_default();
            if now.parse::<f64>().ok().map(f64::to_bits) != wanted.to_string().parse::<f64>().ok().map(f64::to_bits) {
                doing.effect.push(self.diff(name, now, wanted.to_string()));
                due.push((name, wanted));
            }
        }
        if !due.is_empty() {
            doing.statements.push(limited(&self.account(place), due.into_iter()));
        }
        Ok(())
    }
}

fn limited<'a>(account: &str, limits: impl Iterator<Item = (&'a String, &'a u64)>) -> String {
    let limits: Vec<String> = limits.map(|(name, wanted)| format!("{name} {wanted}")).collect();
    format!("ALTER USER {account} WITH {}", limits.join(" "))
}
