//! The objects, and what is granted on them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::PgPrivileges;
use super::kind::Kind;
use crate::builtin::postgres::change::text;
use crate::host::{Error, Host};
use crate::sql::SqlArg;

/// An object and what is granted on it.
pub(super) struct Object {
    pub(super) name: String,
    /// As a part of SQL; of future objects, the role that makes them; of columns, their table.
    pub(super) quoted: String,
    /// The column, if it is one.
    pub(super) column: Option<String>,
    /// By role: privilege, and whether it may be handed on.
    pub(super) granted: BTreeMap<String, BTreeMap<String, bool>>,
}

impl PgPrivileges {
    /// The objects that are meant.
    pub(super) fn look(&self, host: &dyn Host) -> Result<Vec<Object>, Error> {
        let at = self.conn();
        let (mut names, all) = (self.objects.clone(), self.objects.iter().any(|name| name == "ALL_IN_SCHEMA"));
        match self.kind {
            Kind::Default => names.iter_mut().for_each(|name| *name = name.to_uppercase()),
            Kind::Database if names.is_empty() => names.push(at.database.clone()),
            // Ansible has colons there, since commas are between objects.
            Kind::Parameter => names.iter_mut().for_each(|name| *name = name.to_lowercase()),
            Kind::Function | Kind::Procedure => names.iter_mut().for_each(|name| *name = name.replace(':', ",")),
            _ => {}
        }
        if names.is_empty() || all && !self.kind.in_schema() {
            return Err(Error::param("objects", format!("is missing: which {}?", self.noun())));
        }
        let schema = self.schema.clone().unwrap_or_else(|| "public".into());
        let list = if all { SqlArg::Null } else { SqlArg::Text(json!(names).to_string()) };
        let mut args = vec![list];
        match self.kind {
            Kind::Default => {
                args.push(self.schema.clone().map_or(SqlArg::Null, SqlArg::Text));
                let creators = (!self.target_roles.is_empty()).then(|| json!(self.target_roles).to_string());
                args.push(creators.map_or(SqlArg::Null, SqlArg::Text));
            }
            kind if kind.in_schema() => args.push(SqlArg::Text(schema.clone())),
            _ => {}
        }
        if !self.columns.is_empty() {
            return self.look_at_columns(host, &names, args);
        }
        let rows = host.sql(&at, &self.kind.query(), &args)?.rows;
        let mut objects: Vec<Object> = rows.iter().map(|row| object(row)).collect();
        if all {
            return Ok(objects);
        }
        for name in &names {
            if !objects.iter().any(|object| is_named(object, name)) {
                let place = if self.kind.in_schema() { format!(" in the schema {schema}") } else { String::new() };
                return Err(Error::param("objects", format!("there is no {} `{name}`{place}", self.noun())));
            }
        }
        objects.retain(|object| names.iter().any(|name| is_named(object, name)));
        Ok(objects)
    }

    fn look_at_columns(&self, host: &dyn Host, names: &[String], mut args: Vec<SqlArg>) -> Result<Vec<Object>, Error> {
        if matches!(args.first(), Some(SqlArg::Null)) {
            return Err(Error::param("objects", "must name the tables that have the `columns`"));
        }
        args.push(SqlArg::Text(json!(self.columns).to_string()));
        let rows = host.sql(&self.conn(), &Kind::columns_query(), &args)?.rows;
        let objects: Vec<Object> = rows.iter().map(|row| object(row)).collect();
        let wanted = names.iter().flat_map(|table| self.columns.iter().map(move |column| format!("{table}.{column}")));
        for name in wanted {
            if !objects.iter().any(|object| object.name == name) {
                let schema = self.schema.as_deref().unwrap_or("public");
                return Err(Error::param("columns", format!("there is no `{name}` in the schema {schema}")));
            }
        }
        Ok(objects)
    }
}

fn object(row: &[Value]) -> Object {
    let mut granted: BTreeMap<String, BTreeMap<String, bool>> = BTreeMap::new();
    for entry in row.get(2).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        let mut parts = entry.splitn(3, ':');
        let (Some(privilege), Some(on), Some(grantee)) = (parts.next(), parts.next(), parts.next()) else { continue };
        granted.entry(grantee.into()).or_default().insert(privilege.into(), on == "true");
    }
    let of_row = |at: usize| text(row, at).unwrap_or_default().to_owned();
    Object { name: of_row(0), quoted: of_row(1), column: text(row, 3).map(Into::into), granted }
}

/// A function may be named without its types.
fn is_named(object: &Object, name: &str) -> bool {
    let plain = |text: &str| text.replace(' ', "");
    object.name == *name
        || plain(&object.name) == plain(name)
        || !name.contains('(') && object.name.split('(').next() == Some(name)
}
