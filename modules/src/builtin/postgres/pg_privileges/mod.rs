//! `pg_privileges`: what roles may do with objects.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Deserialize;

use super::change::{Changes, text};
use super::quote::identifier;
use crate::builtin::common;
use crate::builtin::state::State;
use crate::edit::{Diff, Shown};
use crate::host::{Error, Host};
use crate::module::Module;
use crate::param::nearest;
use crate::plan::Plan;
use crate::sql::SqlArg;
use kind::Kind;
use seen::Object;

mod kind;
mod seen;

with_connection! {
/// Privileges of roles on objects: granted, or taken away. Those that the task does not name stay.
///
/// What counts is what is granted to the role itself, not what it has as a member of another or because everybody has it.
/// In a diff, `SELECT*` is a privilege that the role may hand on.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::builtin) struct PgPrivileges {
    /// The kind of the objects.
    #[serde(default, rename = "type")]
    kind: Kind,
    /// The objects; `ALL_IN_SCHEMA` for all of that kind in `schema`. Of databases, the one connected to is the default.
    #[serde(default)]
    #[schemars(extend("aliases" = ["objs", "obj"]))]
    objects: Vec<String>,
    /// Of tables: the columns that the privileges are on (`SELECT`, `INSERT`, `UPDATE`, `REFERENCES`), instead of the whole tables.
    /// What is granted on a table is not looked at then, though it holds for all of its columns.
    #[serde(default)]
    columns: Vec<String>,
    /// The schema that they are in. The default is `public`; of future objects, any schema.
    schema: Option<String>,
    /// The privileges: `SELECT`, `USAGE`, … or `ALL`.
    #[schemars(extend("aliases" = ["privs", "priv"]))]
    privileges: Vec<String>,
    /// The roles; `PUBLIC` is everybody.
    #[schemars(extend("aliases" = ["role"]))]
    roles: Vec<String>,
    /// Of future objects: the roles that will make them. The default is the role that the task logs in as.
    #[serde(default)]
    target_roles: Vec<String>,
    /// Whether the roles may hand the privileges on. Without it, that stays as it is. With `absent` and `true`, only
    /// that is taken away.
    #[schemars(extend("aliases" = ["admin_option"]))]
    grant_option: Option<bool>,
    /// Whether the roles shall have them.
    #[serde(default)]
    state: State,
    /// Whether a role that there is not is an error; else it is passed over with a warning.
    #[serde(default = "common::yes")]
    fail_on_role: bool,
}
}

/// Those that can be granted on a column.
const COLUMN_PRIVILEGES: [&str; 4] = ["INSERT", "REFERENCES", "SELECT", "UPDATE"];

/// What one statement does; it is made once for all objects that need the same.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Step {
    verb: &'static str,
    role: String,
    privileges: Vec<String>,
}

impl Module for PgPrivileges {
    const NAME: &'static str = "pg_privileges";
    const ALIASES: &'static [&'static str] = &["postgresql_privs"];

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let wanted = self.privileges(host)?;
        let (roles, warnings) = self.those_that_exist(host)?;
        let objects = self.look(host)?;
        let mut steps: BTreeMap<(Step, String), Vec<(&Object, Diff)>> = BTreeMap::new();
        for object in &objects {
            for role in &roles {
                let none = BTreeMap::new();
                let seen = object.granted.get(&canonical(role)).unwrap_or(&none);
                for step in self.steps(role, &wanted, seen) {
                    let diff = self.diff(object, &step, seen);
                    let apart = self.kind == Kind::Default || object.column.is_some();
                    let of = if apart { object.quoted.clone() } else { String::new() };
                    steps.entry((step, of)).or_default().push((object, diff));
                }
            }
        }
        let mut changes = Changes::new(self.conn(), "");
        for ((step, of), objects) in steps {
            let (objects, diffs): (Vec<&Object>, Vec<Diff>) = objects.into_iter().unzip();
            match self.kind {
                Kind::Default => {
                    for (object, diff) in objects.into_iter().zip(diffs) {
                        changes.make(self.future(&step, &of, object)?, vec![diff]);
                    }
                }
                _ => changes.make(self.statement(&step, &objects)?, diffs),
            }
        }
        Ok(Plan { warnings, ..changes.plan() })
    }

    fn intent(&self) -> Vec<Diff> {
        let shown = |role: &String| {
            let aspect = format!("privileges of {role}");
            let after = if self.state == State::Present { self.privileges.join(", ").into() } else { Shown::Absent };
            Diff::new(format!("{} {}", self.noun(), self.objects.join(", ")), &aspect, Shown::Unknown, after)
        };
        self.roles.iter().map(shown).collect()
    }
}

impl PgPrivileges {
    fn noun(&self) -> String {
        self.kind.keyword().to_lowercase()
    }

    /// The privileges meant, as the server calls them: it is asked for those that there are.
    fn privileges(&self, host: &dyn Host) -> Result<BTreeSet<String>, Error> {
        const ALL: &str =
            "SELECT privilege_type FROM aclexplode(acldefault($1::text::\"char\", 10)) WHERE grantee = 10 ORDER BY 1";
        if !self.columns.is_empty() && self.kind != Kind::Table {
            return Err(Error::param("columns", format!("a {} has none", self.noun())));
        }
        let code = self.kind.code(&self.objects.first().map(|object| object.to_uppercase()).unwrap_or_default());
        let rows = host.sql(&self.conn(), ALL, &[SqlArg::Text(code.to_string())])?.rows;
        let there = rows.iter().filter_map(|row| text(row, 0).map(Into::into));
        let of_columns = |name: &String| self.columns.is_empty() || COLUMN_PRIVILEGES.contains(&name.as_str());
        let all: BTreeSet<String> = there.filter(of_columns).collect();
        let mut wanted = BTreeSet::new();
        for given in &self.privileges {
            match given.to_uppercase().as_str() {
                "ALL" | "ALL PRIVILEGES" => wanted.extend(all.iter().cloned()),
                "TEMP" => drop(wanted.insert("TEMPORARY".into())),
                name if all.contains(name) => drop(wanted.insert(name.into())),
                name => {
                    let near =
                        nearest(name, all.iter().map(String::as_str)).map(|near| format!("; did you mean `{near}`?"));
                    let known = || format!("; there are {}", all.iter().cloned().collect::<Vec<_>>().join(", "));
                    let noun = if self.columns.is_empty() { self.noun() } else { "column".into() };
                    let reason = format!("a {noun} has no privilege `{given}`{}", near.unwrap_or_else(known));
                    return Err(Error::param("privileges", reason));
                }
            }
        }
        match wanted.is_empty() || self.roles.is_empty() {
            true => Err(Error::param("privileges", "and `roles` must not be empty")),
            false => Ok(wanted),
        }
    }

    /// In a preview, an earlier task may yet make a role that is not there; that is the caller's to know.
    /// The roles, and what there is to say of those that are passed over.
    fn those_that_exist(&self, host: &dyn Host) -> Result<(Vec<&String>, Vec<String>), Error> {
        const ROLES: &str = "SELECT rolname FROM pg_catalog.pg_roles ORDER BY 1";
        let rows = host.sql(&self.conn(), ROLES, &[])?.rows;
        let there: BTreeSet<&str> = rows.iter().filter_map(|row| text(row, 0)).collect();
        let missing = |param, role: &String| {
            let near = nearest(role, there.iter().copied()).map(|near| format!("; did you mean `{near}`?"));
            let error = Error::param(param, format!("there is no role `{role}`{}", near.unwrap_or_default()));
            error.telling("msg", format!("Role '{role}' does not exist"))
        };
        let (found, lacking): (Vec<_>, Vec<_>) =
            self.roles.iter().partition(|role| there.contains(role.as_str()) || is_public(role));
        if let (Some(role), true) = (lacking.first(), self.fail_on_role) {
            return Err(missing("roles", role));
        }
        if let Some(role) = self.target_roles.iter().find(|role| !there.contains(role.as_str())) {
            return Err(missing("target_roles", role));
        }
        let mut warnings: Vec<String> =
            lacking.iter().map(|role| format!("Role '{role}' does not exist, pass it")).collect();
        if found.is_empty() {
            warnings.push("No valid roles provided, nothing to do".into());
        }
        Ok((found, warnings))
    }

    fn steps(&self, role: &str, wanted: &BTreeSet<String>, seen: &BTreeMap<String, bool>) -> Vec<Step> {
        let which = |test: &dyn Fn(Option<&bool>) -> bool| -> Vec<String> {
            wanted.iter().filter(|privilege| test(seen.get(*privilege))).cloned().collect()
        };
        let step = |verb, privileges| Step { verb, role: role.into(), privileges };
        let steps = match (self.state, self.grant_option) {
            (State::Present, Some(true)) => vec![step("GRANT OPTION", which(&|seen| seen != Some(&true)))],
            (State::Present, Some(false)) => vec![
                step("GRANT", which(&|seen| seen.is_none())),
                step("REVOKE OPTION", which(&|seen| seen == Some(&true))),
            ],
            (State::Present, None) => vec![step("GRANT", which(&|seen| seen.is_none()))],
            (State::Absent, Some(true)) => vec![step("REVOKE OPTION", which(&|seen| seen == Some(&true)))],
            (State::Absent, _) => vec![step("REVOKE", which(&|seen| seen.is_some()))],
        };
        steps.into_iter().filter(|step| !step.privileges.is_empty()).collect()
    }

    fn diff(&self, object: &Object, step: &Step, seen: &BTreeMap<String, bool>) -> Diff {
        let mut after = seen.clone();
        for privilege in &step.privileges {
            match step.verb {
                "GRANT" => drop(after.insert(privilege.clone(), false)),
                "GRANT OPTION" => drop(after.insert(privilege.clone(), true)),
                "REVOKE OPTION" => drop(after.insert(privilege.clone(), false)),
                _ => drop(after.remove(privilege)),
            }
        }
        let show = |granted: &BTreeMap<String, bool>| {
            let one = |(privilege, on): (&String, &bool)| format!("{privilege}{}", if *on { "*" } else { "" });
            let list = granted.iter().map(one).collect::<Vec<_>>().join(", ");
            (!list.is_empty()).then_some(list)
        };
        let subject = match (self.kind, &self.schema) {
            (Kind::Default, None) => format!("future {} of {}", object.name.to_lowercase(), object.quoted),
            (Kind::Default, Some(schema)) => {
                format!("future {} of {} in {schema}", object.name.to_lowercase(), object.quoted)
            }
            _ => match &object.column {
                Some(column) => format!("column {}.{column}", object.quoted),
                None => format!("{} {}", self.noun(), object.quoted),
            },
        };
        Diff::new(subject, &format!("privileges of {}", step.role), show(seen), show(&after))
    }

    /// For all objects in one.
    fn statement(&self, step: &Step, objects: &[&Object]) -> Result<String, Error> {
        let columns = objects.iter().filter_map(|object| object.column.as_ref());
        let columns = columns.map(|column| identifier("columns", column)).collect::<Result<Vec<_>, _>>()?;
        let (head, tail) = step.clauses(&columns)?;
        // Columns of one table come together.
        let objects = match (columns.is_empty(), objects) {
            (false, [table, ..]) => table.quoted.clone(),
            _ => objects.iter().map(|object| object.quoted.as_str()).collect::<Vec<_>>().join(", "),
        };
        Ok(format!("{head} ON {} {objects} {tail}", self.kind.keyword()))
    }

    /// For objects that `creator` will make.
    fn future(&self, step: &Step, creator: &str, object: &Object) -> Result<String, Error> {
        let (head, tail) = step.clauses(&[])?;
        let schema = self.schema.as_ref().map(|schema| identifier("schema", schema)).transpose()?;
        let schema = schema.map(|schema| format!(" IN SCHEMA {schema}")).unwrap_or_default();
        Ok(format!("ALTER DEFAULT PRIVILEGES FOR ROLE {creator}{schema} {head} ON {} {tail}", object.name))
    }
}

impl Step {
    /// What is before `ON`, and what is behind the objects. `columns`: those that it is about, quoted.
    fn clauses(&self, columns: &[String]) -> Result<(String, String), Error> {
        let role = if is_public(&self.role) { "PUBLIC".to_owned() } else { identifier("roles", &self.role)? };
        let of = if columns.is_empty() { String::new() } else { format!(" ({})", columns.join(", ")) };
        let privileges =
            self.privileges.iter().map(|privilege| format!("{privilege}{of}")).collect::<Vec<_>>().join(", ");
        Ok(match self.verb {
            "GRANT" => (format!("GRANT {privileges}"), format!("TO {role}")),
            "GRANT OPTION" => (format!("GRANT {privileges}"), format!("TO {role} WITH GRANT OPTION")),
            "REVOKE OPTION" => (format!("REVOKE GRANT OPTION FOR {privileges}"), format!("FROM {role}")),
            _ => (format!("REVOKE {privileges}"), format!("FROM {role}")),
        })
    }
}

fn is_public(role: &str) -> bool {
    role.eq_ignore_ascii_case("public")
}

/// A role as [`Kind::query`] writes it.
fn canonical(role: &str) -> String {
    if is_public(role) { "public".into() } else { format!("role:{role}") }
}
