//! `pg_database`: a database of a PostgreSQL server.
//!
//! [`locale`]: who knows its locale, and which it is.

mod locale;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::builtin::postgres::change::{Changes, agrees, text};
use crate::builtin::postgres::quote::{identifier, literal};
use crate::builtin::state::State;
use crate::edit::{Diff, Edit, Shown};
use crate::host::{Error, Host};
use crate::module::Module;
use crate::plan::Plan;
use crate::sql::SqlArg;
use locale::Provider;

with_connection! {
/// A database. Its encoding and locale are decided when it is made: another one is refused, never made anew.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::builtin) struct PgDatabase {
    /// The database's name.
    name: String,
    /// The role that owns it. Without it, whoever makes it.
    owner: Option<String>,
    /// The encoding, such as `UTF8`.
    encoding: Option<String>,
    /// The locale for sorting and for kinds of characters; `lc_collate` and `lc_ctype` in one.
    locale: Option<String>,
    /// The locale for sorting.
    lc_collate: Option<String>,
    /// The locale for kinds of characters.
    lc_ctype: Option<String>,
    /// Who knows locales: `libc`, `icu` (PostgreSQL 15) or `builtin` (PostgreSQL 17).
    locale_provider: Option<Provider>,
    /// The locale of ICU: `en-US`, `und-u-ks-level2`. Implies `locale_provider: icu`.
    icu_locale: Option<String>,
    /// Rules of collation on top of ICU's (PostgreSQL 16).
    icu_rules: Option<String>,
    /// The builtin locale: `C`, `C.UTF-8`, `PG_UNICODE_FAST`. Implies `locale_provider: builtin`.
    builtin_locale: Option<String>,
    /// The database that it is a copy of. Without it, `template0` where an encoding or locale is given, else `template1`.
    template: Option<String>,
    /// The tablespace. Moving a database that is there copies it, and needs it to be unused.
    tablespace: Option<String>,
    /// The most connections at a time; -1 for no limit.
    #[schemars(extend("aliases" = ["conn_limit"]))]
    connection_limit: Option<i64>,
    /// Whether anybody may connect to it.
    allow_connections: Option<bool>,
    /// Whether every role that may make databases may copy it.
    is_template: Option<bool>,
    /// A comment; the empty text removes it.
    comment: Option<String>,
    /// Whether there shall be such a database.
    #[serde(default)]
    state: State,
    /// With `absent`: end the sessions that use it. Otherwise they are a reason not to drop it.
    #[serde(default)]
    force: bool,
}
}

const LOOK: &str = "SELECT pg_get_userbyid(d.datdba), pg_encoding_to_char(d.encoding), d.datcollate, d.datctype, d.datconnlimit, \
    t.spcname, d.datallowconn, d.datistemplate, shobj_description(d.oid, 'pg_database'), \
    (SELECT count(*) FROM pg_catalog.pg_stat_activity a WHERE a.datid = d.oid) \
    FROM pg_catalog.pg_database d JOIN pg_catalog.pg_tablespace t ON t.oid = d.dattablespace WHERE d.datname = $1";

impl Module for PgDatabase {
    const NAME: &'static str = "pg_database";
    const ALIASES: &'static [&'static str] = &["postgresql_db"];

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let name = identifier("name", &self.name)?;
        self.provider_is_sound()?;
        let at = self.conn();
        if at.database == self.name && self.state == State::Absent {
            return Err(Error::param("db", "names the database that shall be dropped; name another to connect to"));
        }
        let rows = host.sql(&at, LOOK, &[SqlArg::Text(self.name.clone())])?.rows;
        let mut changes = Changes::new(at, self.subject());
        match (self.state, rows.first()) {
            (State::Absent, None) => {}
            (State::Absent, Some(row)) => self.drop(&name, row, &mut changes)?,
            (State::Present, None) => changes.outside(self.create(&name)?, self.intent_over(&Shown::Absent)),
            (State::Present, Some(row)) => {
                self.fixed(row)?;
                self.provider_is_fixed(host)?;
                self.alter(&name, row, &mut changes)?;
            }
        }
        if let (State::Present, Some(comment)) = (self.state, &self.comment) {
            let seen = rows.first().and_then(|row| text(row, 8));
            if comment != seen.unwrap_or_default() {
                let statement = format!("COMMENT ON DATABASE {name} IS {}", literal(comment));
                changes.set("comment", seen.map(str::to_owned), comment.clone(), statement);
            }
        }
        let plan = changes.plan();
        let statement = |edit: &Edit| match edit {
            Edit::Sql { statement, .. } => Some(statement.clone()),
            _ => None,
        };
        let executed: Vec<String> = plan.edits.iter().filter_map(statement).collect();
        Ok(plan.returning("db", self.name.as_str()).returning("executed_commands", executed))
    }

    fn intent(&self) -> Vec<Diff> {
        match self.state {
            State::Absent => vec![Diff::new(self.subject(), "state", Shown::Unknown, Shown::Absent)],
            State::Present => self.intent_over(&Shown::Unknown),
        }
    }
}

impl PgDatabase {
    fn subject(&self) -> String {
        format!("database {}", self.name)
    }

    /// What is made of nothing.
    fn intent_over(&self, before: &Shown) -> Vec<Diff> {
        let flag = |flag: Option<bool>| flag.map(|on| on.to_string());
        let aspects = [
            ("state", Some("present".to_owned())),
            ("owner", self.owner.clone()),
            ("encoding", self.encoding.clone()),
            ("locale", self.locale.clone()),
            ("lc_collate", self.lc_collate.clone()),
            ("lc_ctype", self.lc_ctype.clone()),
            ("locale provider", self.provider().map(|provider| provider.word().to_owned())),
            ("icu locale", self.icu_locale.clone()),
            ("icu rules", self.icu_rules.clone()),
            ("builtin locale", self.builtin_locale.clone()),
            ("template", self.template.clone()),
            ("tablespace", self.tablespace.clone()),
            ("connection limit", self.connection_limit.map(|limit| limit.to_string())),
            ("allow connections", flag(self.allow_connections)),
            ("is template", flag(self.is_template)),
        ];
        let diff =
            |(aspect, value): (&str, Option<String>)| Some(Diff::new(self.subject(), aspect, before.clone(), value?));
        aspects.into_iter().filter_map(diff).collect()
    }

    fn create(&self, name: &str) -> Result<String, Error> {
        let mut statement = format!("CREATE DATABASE {name}");
        let locales = [&self.encoding, &self.locale, &self.lc_collate, &self.lc_ctype];
        let of_its_own = self.provider().is_some() || locales.iter().any(|one| one.is_some());
        let template = self.template.clone().or_else(|| of_its_own.then(|| "template0".to_owned()));
        for (clause, param, value) in [
            ("OWNER", "owner", &self.owner),
            ("TEMPLATE", "template", &template),
            ("TABLESPACE", "tablespace", &self.tablespace),
        ] {
            if let Some(value) = value {
                statement += &format!(" {clause} {}", identifier(param, value)?);
            }
        }
        for (clause, value) in [
            ("ENCODING", &self.encoding),
            ("LOCALE", &self.locale),
            ("LC_COLLATE", &self.lc_collate),
            ("LC_CTYPE", &self.lc_ctype),
            ("ICU_LOCALE", &self.icu_locale),
            ("ICU_RULES", &self.icu_rules),
            ("BUILTIN_LOCALE", &self.builtin_locale),
        ] {
            if let Some(value) = value {
                statement += &format!(" {clause} {}", literal(value));
            }
        }
        if let Some(provider) = self.provider() {
            statement += &format!(" LOCALE_PROVIDER {}", provider.word());
        }
        for (clause, value) in self.options() {
            statement += &format!(" {clause} {value}");
        }
        Ok(statement)
    }

    /// What `CREATE` and `ALTER` have in common.
    fn options(&self) -> Vec<(&'static str, String)> {
        let options = [
            ("CONNECTION LIMIT", self.connection_limit.map(|limit| limit.to_string())),
            ("ALLOW_CONNECTIONS", self.allow_connections.map(|on| on.to_string())),
            ("IS_TEMPLATE", self.is_template.map(|on| on.to_string())),
        ];
        options.into_iter().filter_map(|(clause, value)| Some((clause, value?))).collect()
    }

    fn decided(&self, what: &str, seen: &str, wanted: &str) -> Error {
        Error::refused(
            self.subject(),
            format!("has the {what} {seen}, not {wanted}"),
            "it is decided when a database is made: dump it, drop it, and make it anew",
        )
    }

    /// Refuses what cannot be changed.
    fn fixed(&self, row: &[Value]) -> Result<(), Error> {
        let (collate, ctype) =
            (self.lc_collate.as_ref().or(self.locale.as_ref()), self.lc_ctype.as_ref().or(self.locale.as_ref()));
        for (what, wanted, seen, plain) in [
            ("encoding", self.encoding.as_ref(), text(row, 1), encoding as fn(&str) -> String),
            ("lc_collate", collate, text(row, 2), locale),
            ("lc_ctype", ctype, text(row, 3), locale),
        ] {
            let seen = seen.unwrap_or_default();
            if let Some(wanted) = wanted.filter(|wanted| plain(wanted) != plain(seen)) {
                return Err(self.decided(what, seen, wanted));
            }
        }
        Ok(())
    }

    fn alter(&self, name: &str, row: &[Value], changes: &mut Changes) -> Result<(), Error> {
        for (clause, aspect, wanted, at) in
            [("OWNER TO", "owner", &self.owner, 0), ("SET TABLESPACE", "tablespace", &self.tablespace, 5)]
        {
            let seen = text(row, at);
            if let Some(wanted) = wanted.as_ref().filter(|wanted| !agrees(Some(wanted), seen)) {
                let statement = format!("ALTER DATABASE {name} {clause} {}", identifier(aspect, wanted)?);
                let diff = Diff::new(self.subject(), aspect, seen.map(str::to_owned), wanted.clone());
                // Moving to another tablespace cannot run in a transaction block.
                changes.outside(statement, vec![diff]);
            }
        }
        for (clause, wanted) in self.options() {
            let (aspect, at) = match clause {
                "CONNECTION LIMIT" => ("connection limit", 4),
                "ALLOW_CONNECTIONS" => ("allow connections", 6),
                _ => ("is template", 7),
            };
            let seen = row.get(at).map(ToString::to_string).unwrap_or_default();
            if seen != wanted {
                changes.set(aspect, seen, wanted.clone(), format!("ALTER DATABASE {name} WITH {clause} {wanted}"));
            }
        }
        Ok(())
    }

    fn drop(&self, name: &str, row: &[Value], changes: &mut Changes) -> Result<(), Error> {
        let sessions = row.get(9).and_then(Value::as_i64).unwrap_or_default();
        if sessions > 0 && !self.force {
            return Err(Error::refused(
                self.subject(),
                format!("is in use by {sessions} session{}", if sessions == 1 { "" } else { "s" }),
                "end them first, or say `force: true`",
            ));
        }
        let force = if self.force { " WITH (FORCE)" } else { "" };
        let diff = Diff::new(self.subject(), "state", "present", Shown::Absent);
        changes.outside(format!("DROP DATABASE {name}{force}"), vec![diff]);
        Ok(())
    }
}

/// `UTF-8` is `UTF8`.
fn encoding(name: &str) -> String {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_uppercase();
    if plain == "UNICODE" { "UTF8".into() } else { plain }
}

/// `en_US.UTF-8` is `en_US.utf8`.
fn locale(name: &str) -> String {
    match name.split_once('.') {
        Some((language, codeset)) => format!("{language}.{}", codeset.to_lowercase().replace('-', "")),
        None => name.into(),
    }
}
