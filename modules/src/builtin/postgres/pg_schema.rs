//! `pg_schema`: a schema of a database.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::change::{Changes, text};
use super::quote::{identifier, literal};
use crate::builtin::state::State;
use crate::edit::{Diff, Shown};
use crate::host::{Error, Host};
use crate::module::Module;
use crate::plan::Plan;
use crate::sql::SqlArg;

with_connection! {
/// A schema.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::builtin) struct PgSchema {
    /// The schema's name.
    #[schemars(extend("aliases" = ["schema"]))]
    name: String,
    /// The role that owns it. Without it, whoever makes it.
    owner: Option<String>,
    /// A comment; the empty text removes it.
    comment: Option<String>,
    /// Whether there shall be such a schema.
    #[serde(default)]
    state: State,
    /// With `absent`: drop what is in it too. Otherwise that is a reason not to drop it.
    #[serde(default)]
    #[schemars(extend("aliases" = ["cascade_drop"]))]
    cascade: bool,
}
}

const LOOK: &str = "SELECT pg_get_userbyid(n.nspowner), obj_description(n.oid, 'pg_namespace'), \
    (SELECT count(*) FROM pg_catalog.pg_depend d WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = n.oid) \
    FROM pg_catalog.pg_namespace n WHERE n.nspname = $1";

impl Module for PgSchema {
    const NAME: &'static str = "pg_schema";
    const ALIASES: &'static [&'static str] = &["postgresql_schema"];

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let name = identifier("name", &self.name)?;
        let at = self.conn();
        let rows = host.sql(&at, LOOK, &[SqlArg::Text(self.name.clone())])?.rows;
        let row = rows.first();
        let mut changes = Changes::new(at, self.subject());
        match (self.state, row) {
            (State::Absent, None) => return Ok(Plan::nothing()),
            (State::Absent, Some(row)) => {
                let objects = row.get(2).and_then(Value::as_u64).unwrap_or_default();
                let cascade = if self.cascade { " CASCADE" } else { "" };
                let seen = format!("present, {objects} object{} in it", if objects == 1 { "" } else { "s" });
                if objects > 0 && !self.cascade {
                    let hint = "drop them first, or say `cascade: true`";
                    return Err(Error::refused(self.subject(), format!("is not empty: {seen}"), hint));
                }
                changes.set("state", seen, Shown::Absent, format!("DROP SCHEMA {name}{cascade}"));
                return Ok(changes.plan());
            }
            (State::Present, None) => {
                let owner = self.owner.as_ref().map(|owner| identifier("owner", owner)).transpose()?;
                let authorization = owner.map(|owner| format!(" AUTHORIZATION {owner}")).unwrap_or_default();
                changes.make(format!("CREATE SCHEMA {name}{authorization}"), self.made(&Shown::Absent));
            }
            (State::Present, Some(row)) => {
                let seen = text(row, 0).unwrap_or_default();
                if let Some(owner) = self.owner.as_ref().filter(|owner| *owner != seen) {
                    let statement = format!("ALTER SCHEMA {name} OWNER TO {}", identifier("owner", owner)?);
                    changes.set("owner", seen, owner.clone(), statement);
                }
            }
        }
        let seen = row.and_then(|row| text(row, 1));
        if let Some(comment) = self.comment.as_ref().filter(|comment| *comment != seen.unwrap_or_default()) {
            let statement = format!("COMMENT ON SCHEMA {name} IS {}", literal(comment));
            changes.set("comment", seen.map(str::to_owned), comment.clone(), statement);
        }
        Ok(changes.plan())
    }

    fn intent(&self) -> Vec<Diff> {
        match self.state {
            State::Absent => vec![Diff::new(self.subject(), "state", Shown::Unknown, Shown::Absent)],
            State::Present => self.made(&Shown::Unknown),
        }
    }
}

impl PgSchema {
    fn subject(&self) -> String {
        format!("schema {}.{}", self.conn().database, self.name)
    }

    fn made(&self, before: &Shown) -> Vec<Diff> {
        let mut diffs = vec![Diff::new(self.subject(), "state", before.clone(), "present")];
        diffs.extend(self.owner.iter().map(|owner| Diff::new(self.subject(), "owner", before.clone(), owner.clone())));
        diffs
    }
}
