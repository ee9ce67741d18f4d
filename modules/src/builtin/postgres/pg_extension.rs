//! `pg_extension`: an extension in a database.

use schemars::JsonSchema;
use serde::Deserialize;

use super::change::{Changes, text};
use super::quote::{identifier, literal};
use crate::builtin::state::State;
use crate::edit::{Diff, Shown};
use crate::host::{Error, Host};
use crate::module::Module;
use crate::param::nearest;
use crate::plan::Plan;
use crate::sql::{PgConn, SqlArg};

with_connection! {
/// An extension. Its files must be on the server already: most come as packages of the operating system, and some want
/// their library in `shared_preload_libraries` (`pg_setting`).
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::builtin) struct PgExtension {
    /// The extension's name.
    #[schemars(extend("aliases" = ["ext"]))]
    name: String,
    /// The version: a number, or `latest` for the one that the server's files make. Without it, any.
    version: Option<String>,
    /// The schema that its objects are in.
    schema: Option<String>,
    /// With `present`: make the extensions that it needs, too. With `absent`: drop what depends on it, too.
    #[serde(default)]
    cascade: bool,
    /// A comment; the empty text removes it.
    comment: Option<String>,
    /// Whether there shall be such an extension.
    #[serde(default)]
    state: State,
}
}

const LOOK: &str = "SELECT e.extversion, n.nspname, a.default_version, obj_description(e.oid, 'pg_extension') \
    FROM pg_catalog.pg_available_extensions a FULL JOIN pg_catalog.pg_extension e ON e.extname = a.name \
    LEFT JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE $1 IN (a.name, e.extname)";

impl Module for PgExtension {
    const NAME: &'static str = "pg_extension";
    const ALIASES: &'static [&'static str] = &["postgresql_ext"];

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let name = identifier("name", &self.name)?;
        let at = self.conn();
        let rows = host.sql(&at, LOOK, &[SqlArg::Text(self.name.clone())])?.rows;
        let row = rows.first().map(Vec::as_slice);
        let of_row = |at: usize| row.and_then(|row| text(row, at));
        let (version, schema, newest) = (of_row(0), of_row(1), of_row(2));
        let wanted = match self.version.as_deref() {
            Some("latest") => newest,
            given => given,
        };
        let cascade = if self.cascade { " CASCADE" } else { "" };
        let mut changes = Changes::new(at.clone(), self.subject());
        match (self.state, version) {
            (State::Absent, None) => return Ok(Plan::nothing()),
            (State::Absent, Some(_)) => {
                changes.set("state", "present", Shown::Absent, format!("DROP EXTENSION {name}{cascade}"));
                return Ok(changes.plan());
            }
            (State::Present, None) if row.is_none() => return Err(self.unavailable(host, &at)),
            (State::Present, None) => {
                let mut statement = format!("CREATE EXTENSION {name}");
                if let Some(schema) = &self.schema {
                    statement += &format!(" SCHEMA {}", identifier("schema", schema)?);
                }
                if let Some(version) = wanted {
                    statement += &format!(" VERSION {}", literal(version));
                }
                changes.make(statement + cascade, self.made(&Shown::Absent, wanted.or(newest)));
            }
            (State::Present, Some(version)) => {
                if let Some(wanted) = wanted.filter(|wanted| *wanted != version) {
                    let statement = format!("ALTER EXTENSION {name} UPDATE TO {}", literal(wanted));
                    changes.set("version", version, wanted, statement);
                }
                if let Some(wanted) = self.schema.as_deref().filter(|wanted| Some(*wanted) != schema) {
                    let statement = format!("ALTER EXTENSION {name} SET SCHEMA {}", identifier("schema", wanted)?);
                    changes.set("schema", schema.map(str::to_owned), wanted, statement);
                }
            }
        }
        // Most extensions come with a comment of their own.
        let seen = version.and(of_row(3));
        if let Some(comment) = self.comment.as_ref().filter(|comment| *comment != seen.unwrap_or_default()) {
            let statement = format!("COMMENT ON EXTENSION {name} IS {}", literal(comment));
            changes.set("comment", seen.map(str::to_owned), comment.clone(), statement);
        }
        Ok(changes.plan())
    }

    fn intent(&self) -> Vec<Diff> {
        match self.state {
            State::Absent => vec![Diff::new(self.subject(), "state", Shown::Unknown, Shown::Absent)],
            State::Present => self.made(&Shown::Unknown, self.version.as_deref()),
        }
    }
}

impl PgExtension {
    fn subject(&self) -> String {
        format!("extension {}.{}", self.conn().database, self.name)
    }

    fn made(&self, before: &Shown, version: Option<&str>) -> Vec<Diff> {
        let aspects = [("state", Some("present")), ("version", version), ("schema", self.schema.as_deref())];
        let diff =
            |(aspect, value): (&str, Option<&str>)| Some(Diff::new(self.subject(), aspect, before.clone(), value?));
        aspects.into_iter().filter_map(diff).collect()
    }

    fn unavailable(&self, host: &dyn Host, at: &PgConn) -> Error {
        let names = host.sql(at, "SELECT name FROM pg_catalog.pg_available_extensions ORDER BY 1", &[]);
        let names = names.map(|rows| rows.rows).unwrap_or_default();
        let near = nearest(&self.name, names.iter().filter_map(|row| text(row, 0)));
        let hint = near
            .map_or_else(|| "install the package that it comes with".into(), |near| format!("did you mean `{near}`?"));
        Error::refused(self.subject(), "is not among the files of this server", hint)
    }
}
