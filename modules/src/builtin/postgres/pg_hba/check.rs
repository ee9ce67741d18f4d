//! What a file of rules must not be: with rules that never decide, or with errors.

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

/// Refuses a file that a server would not load. A line that is wrong already must go with this task.
pub(super) fn sound(
    host: &dyn Host,
    at: Option<&PgConn>,
    subject: &str,
    before: &[Line],
    after: &[Line],
) -> Result<(), Error> {
    const ERRORS: &str = "SELECT line_number, error FROM pg_catalog.pg_hba_file_rules \
        WHERE error NOT LIKE '%record cannot match because%' ORDER BY 1";
    let broken: Vec<(usize, String)> = match at {
        Some(at) => {
            let rows = host.sql(at, ERRORS, &[])?.rows;
            let number = |row: &[Value]| row.first().and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
            let text = |row: &[Value]| row.get(1).and_then(Value::as_str).unwrap_or_default().to_owned();
            rows.iter().filter_map(|row| Some((number(row)?, text(row)))).collect()
        }
        None => {
            let why = |(at, line): (usize, &Line)| match &line.meaning {
                Meaning::Broken(why) => Some((number(before, at), why.clone())),
                _ => None,
            };
            before.iter().enumerate().filter_map(why).collect()
        }
    };
    for (wrong, why) in broken {
        let line = (0..before.len()).rfind(|at| number(before, *at) <= wrong).map(|at| &before[at]);
        if line.is_none_or(|line| after.contains(line)) {
            return Err(Error::refused(
                format!("{subject} line {wrong}"),
                why,
                "correct or remove the line: with an error in it the server would keep to the rules that it has",
            ));
        }
    }
    Ok(())
}
