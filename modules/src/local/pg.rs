//! PostgreSQL servers, by the native protocol.

mod connect;
mod tls;

use std::error::Error as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use postgres::error::{DbError, Severity, SqlState};
use postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use postgres::{Client, GenericClient, Row, Statement};
use serde_json::Value;

use self::connect::connect;
use crate::host::{Error, Look};
use crate::sql::{PgConn, Rows, SqlArg};

/// Rows of a query, in a read-only transaction that is rolled back.
pub(super) fn query(at: &PgConn, query: &str, args: &[SqlArg]) -> Look<Rows> {
    let warnings = Warnings::default();
    let mut client = connect(at, &warnings)?;
    warnings.told(query_with(&mut client, query, args))
}

fn query_with(client: &mut Client, query: &str, args: &[SqlArg]) -> Look<Rows> {
    let failed = |error| refused(query, &error);
    let mut transaction = client.build_transaction().read_only(true).start().map_err(failed)?;
    let prepared = transaction.prepare(query).map_err(failed)?;
    run(&mut transaction, query, &prepared, args)
}

/// Executes a statement: in a transaction of its own, or outside one. Without arguments it may be several.
pub(super) fn execute(at: &PgConn, statement: &str, args: &[SqlArg], autocommit: bool) -> Look<Rows> {
    let warnings = Warnings::default();
    let mut client = connect(at, &warnings)?;
    warnings.told(execute_with(&mut client, statement, args, autocommit))
}

fn execute_with(client: &mut Client, statement: &str, args: &[SqlArg], autocommit: bool) -> Look<Rows> {
    let failed = |error| refused(statement, &error);
    let prepared = match client.prepare(statement) {
        Ok(prepared) => Some(prepared),
        // Several statements can't be prepared, which the server calls a syntax error.
        Err(error) if args.is_empty() && error.code() == Some(&SqlState::SYNTAX_ERROR) => None,
        Err(error) => return Err(failed(error)),
    };
    match (prepared, autocommit) {
        (Some(prepared), true) => run(client, statement, &prepared, args),
        (None, true) => client.batch_execute(statement).map(|()| Rows::default()).map_err(failed),
        (prepared, false) => {
            let mut transaction = client.transaction().map_err(failed)?;
            let rows = match prepared {
                Some(prepared) => run(&mut transaction, statement, &prepared, args)?,
                None => transaction.batch_execute(statement).map(|()| Rows::default()).map_err(failed)?,
            };
            transaction.commit().map_err(failed)?;
            Ok(rows)
        }
    }
}

/// What the server warns of during a session. pg_tde says in a warning what its error's message leaves out: that a Vault answered
/// 500, say.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl Warnings {
    fn hear(&self, notice: &DbError) {
        if notice.parsed_severity() == Some(Severity::Warning) {
            self.lock().push(notice.message().to_owned());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer, with what was warned of.
    fn told(&self, answer: Look<Rows>) -> Look<Rows> {
        let warnings = std::mem::take(&mut *self.lock());
        match answer {
            Ok(rows) => Ok(Rows { warnings, ..rows }),
            Err(Error::Sql(mut error)) => {
                let lines: Vec<String> = error.detail.take().into_iter().chain(warnings).collect();
                error.detail = Some(lines.join("\n")).filter(|detail| !detail.is_empty());
                Err(Error::Sql(error))
            }
            Err(other) => Err(other),
        }
    }
}

fn run(client: &mut impl GenericClient, statement: &str, prepared: &Statement, args: &[SqlArg]) -> Look<Rows> {
    let failed = |error| refused(statement, &error);
    let (wanted, given) = (prepared.params().len(), args.len());
    if wanted != given {
        return Err(Error::Failed(format!(
            "the statement has {wanted} parameters ($1 and so on), but {given} are given"
        )));
    }
    let args: Vec<&(dyn ToSql + Sync)> = args.iter().map(|arg| arg as &(dyn ToSql + Sync)).collect();
    if prepared.columns().is_empty() {
        let affected = client.execute(prepared, &args).map_err(failed)?;
        return Ok(Rows { affected, ..Rows::default() });
    }
    let columns = prepared.columns().iter().map(|column| column.name().to_owned()).collect();
    let as_text = match prepared.columns().iter().all(|column| is_known(column.type_())) {
        true => None,
        false => Some(client.prepare(&with_texts(statement, prepared)).map_err(failed)?),
    };
    let cells = |row: &Row| {
        let cell = |at| row.try_get::<_, Option<Cell>>(at).map(|cell| cell.map_or(Value::Null, |cell| cell.0));
        (0..row.len()).map(cell).collect::<Result<Vec<_>, _>>()
    };
    let found = client.query(as_text.as_ref().unwrap_or(prepared), &args).map_err(failed)?;
    let rows = found.iter().map(cells).collect::<Result<Vec<_>, _>>().map_err(failed)?;
    Ok(Rows { columns, affected: rows.len() as u64, rows, ..Rows::default() })
}

/// The same statement, with the server's text for values of types that we can't read. Only what yields tables of such types
/// comes here: `SELECT`, `VALUES`, `… RETURNING`; so it can be a common table expression.
fn with_texts(statement: &str, prepared: &Statement) -> String {
    let columns = prepared.columns();
    let names = (1..=columns.len()).map(|n| format!("c{n}")).collect::<Vec<_>>().join(", ");
    let cast = |(n, column): (usize, &postgres::Column)| match is_known(column.type_()) {
        true => format!("c{n}"),
        // Not `::text`, which writes some types in another way: an address gets its netmask.
        false => format!("CASE WHEN c{n} IS NOT NULL THEN format('%s', c{n}) END"),
    };
    let wanted = (1..).zip(columns).map(cast).collect::<Vec<_>>().join(", ");
    let statement = statement.trim_end().trim_end_matches(';');
    format!("WITH q ({names}) AS (\n{statement}\n) SELECT {wanted} FROM q")
}

fn root(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

fn refused(statement: &str, error: &postgres::Error) -> Error {
    use postgres::error::ErrorPosition;
    let plain = |message| crate::error::SqlError { message, sqlstate: None, place: None, detail: None, hint: None };
    let Some(db) = error.as_db_error() else {
        return Error::Sql(Box::new(plain(error.source().map_or_else(|| error.to_string(), |_| root(error)))));
    };
    let place = match db.position() {
        Some(ErrorPosition::Original(at)) => Some(line_col(statement, *at as usize)),
        _ => None,
    };
    Error::Sql(Box::new(crate::error::SqlError {
        message: db.message().into(),
        sqlstate: Some(db.code().code().to_owned().into()),
        place,
        detail: db.detail().map(Into::into),
        hint: db.hint().map(Into::into),
    }))
}

/// The server counts characters from 1.
fn line_col(statement: &str, at: usize) -> String {
    let before: String = statement.chars().take(at.saturating_sub(1)).collect();
    let line = before.matches('\n').count() + 1;
    let col = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("{line}:{col}")
}

/// Whether [`Cell`] reads values of that type.
fn is_known(kind: &Type) -> bool {
    let by_hand = [
        Type::BOOL,
        Type::INT2,
        Type::INT4,
        Type::INT8,
        Type::OID,
        Type::FLOAT4,
        Type::FLOAT8,
        Type::JSON,
        Type::JSONB,
        Type::VOID,
        Type::CHAR,
        Type::PG_LSN,
        Type::TEXT_ARRAY,
        Type::NAME_ARRAY,
        Type::VARCHAR_ARRAY,
        Type::INT4_ARRAY,
    ];
    by_hand.contains(kind) || <String as FromSql>::accepts(kind)
}

/// A value of any type that we know, as JSON.
struct Cell(Value);

impl<'a> FromSql<'a> for Cell {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(match *kind {
            Type::BOOL => bool::from_sql(kind, raw)?.into(),
            Type::INT2 => i16::from_sql(kind, raw)?.into(),
            Type::INT4 => i32::from_sql(kind, raw)?.into(),
            Type::INT8 => i64::from_sql(kind, raw)?.into(),
            Type::OID => u32::from_sql(kind, raw)?.into(),
            Type::FLOAT4 => f32::from_sql(kind, raw)?.into(),
            Type::FLOAT8 => f64::from_sql(kind, raw)?.into(),
            Type::JSON | Type::JSONB => Value::from_sql(kind, raw)?,
            Type::VOID => "".into(),
            Type::CHAR => String::from_utf8_lossy(raw).into(),
            Type::PG_LSN => {
                let lsn = u64::from_be_bytes(raw.try_into()?);
                format!("{:X}/{:X}", lsn >> 32, lsn & 0xffff_ffff).into()
            }
            Type::TEXT_ARRAY | Type::NAME_ARRAY | Type::VARCHAR_ARRAY => {
                Vec::<Option<String>>::from_sql(kind, raw)?.into()
            }
            Type::INT4_ARRAY => Vec::<i32>::from_sql(kind, raw)?.into(),
            _ if <String as FromSql>::accepts(kind) => String::from_sql(kind, raw)?.into(),
            _ => return Err(format!("a value of type {kind} came as it is").into()),
        }))
    }
    fn accepts(_: &Type) -> bool {
        true
    }
}

/// Parameters travel as text; the server converts them.
impl ToSql for SqlArg {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut postgres::types::private::BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        let _ = kind;
        match self {
            Self::Null => return Ok(IsNull::Yes),
            Self::Text(text) => out.extend_from_slice(text.as_bytes()),
            Self::Secret(secret) => out.extend_from_slice(secret.expose().as_bytes()),
        }
        Ok(IsNull::No)
    }
    fn accepts(_: &Type) -> bool {
        true
    }
    fn encode_format(&self, _: &Type) -> postgres::types::Format {
        postgres::types::Format::Text
    }
    to_sql_checked!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_lines_and_columns() {
        for (at, wanted) in [(1, "1:1"), (8, "1:8"), (10, "2:1"), (12, "2:3")] {
            assert_eq!(line_col("select 1\nfrom", at), wanted);
        }
    }
}
