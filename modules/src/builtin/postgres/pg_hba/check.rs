//! What a file of rules must not be: with rules that never decide, or with errors.

use std::path::Path;

use serde_json::Value;

use super::file::{Line, Meaning, number};
use super::place::{self, Wanted};
use super::rule::Rule;
use crate::host::{Error, Host};
use crate::sql::PgConn;

/// Refuses rules that would never decide.
pub(super) fn reachable(subject: &str, before: &[Line], after: &[Line], wanted: &[Wanted]) -> Result<(), Error> {
    let Some(place::Shadowed { rule, by }) = place::shadowed(before, after, wanted) else { return Ok(()) };
    let line = |rule: &Rule| after.iter().position(|line| line.rule() == Some(rule)).map_or(0, |at| number(after, at));
    Err(Error::refused(
        subject,
        format!(
            "the rule `{}` would never decide: line {} matches all of its connections first: `{}`",
            rule.brief(),
            line(by),
            by.brief()
        ),
        "change their order (`before` and `after` name a place), or remove one of them",
    ))
}

/// What is wrong with a line.
struct Broken {
    /// The file, if it is one that is included.
    elsewhere: Option<String>,
    line: usize,
    why: String,
}

/// Refuses a file that a server would not load. A line that is wrong already must go with this task. `server`: how to ask it, and
/// what it calls the file.
pub(super) fn sound(
    host: &dyn Host,
    server: Option<(&PgConn, &Path)>,
    subject: &str,
    before: &[Line],
    after: &[Line],
) -> Result<(), Error> {
    let all = match server {
        Some((at, file)) => errors(host, at, file)?,
        None => before.iter().enumerate().filter_map(|(at, line)| broken(before, at, line)).collect(),
    };
    for Broken { elsewhere, line, why } in all {
        let ours = (0..before.len()).rfind(|at| number(before, *at) <= line).map(|at| &before[at]);
        if elsewhere.is_some() || ours.is_none_or(|ours| after.contains(ours)) {
            return Err(Error::refused(
                format!("{} line {line}", elsewhere.as_deref().unwrap_or(subject)),
                why,
                "correct or remove the line: with an error in it the server would keep to the rules that it has",
            ));
        }
    }
    Ok(())
}

fn broken(lines: &[Line], at: usize, line: &Line) -> Option<Broken> {
    match &line.meaning {
        Meaning::Broken(why) => Some(Broken { elsewhere: None, line: number(lines, at), why: why.clone() }),
        _ => None,
    }
}

/// What the server says of the files that it would read now. `file_name` came with PostgreSQL 16, and with it inclusion.
fn errors(host: &dyn Host, at: &PgConn, file: &Path) -> Result<Vec<Broken>, Error> {
    const ERRORS: &str = "SELECT line_number, error, to_jsonb(r) ->> 'file_name' FROM pg_catalog.pg_hba_file_rules r \
        WHERE error NOT LIKE '%record cannot match because%' ORDER BY 1";
    let rows = host.sql(at, ERRORS, &[])?.rows;
    let one = |row: &Vec<Value>| {
        let text = |at: usize| row.get(at).and_then(Value::as_str).map(str::to_owned);
        let line = row.first().and_then(Value::as_u64).and_then(|line| usize::try_from(line).ok())?;
        Some(Broken {
            elsewhere: text(2).filter(|name| Path::new(name) != file),
            line,
            why: text(1).unwrap_or_default(),
        })
    };
    Ok(rows.iter().filter_map(one).collect())
}
