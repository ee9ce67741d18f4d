//! What an agent without PostgreSQL's protocol has in its place.

use crate::host::{Error, Look};
use crate::sql::{PgConn, Rows, SqlArg};

pub(super) fn query(_: &PgConn, _: &str, _: &[SqlArg]) -> Look<Rows> {
    Err(Error::Unsupported("this agent does not speak to PostgreSQL".into()))
}

pub(super) fn execute(at: &PgConn, statement: &str, args: &[SqlArg], _: bool) -> Look<Rows> {
    query(at, statement, args)
}
