//! The interpreter: the one place where plans become changes.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::edit::{Diff, Edit, Meter, Owner, Progress, Text};
use crate::error::SqlError;
use crate::host::{Command, Error, Kind, Look, Output, Stat};
use crate::plan::Plan;
use crate::sql::Rows;
use crate::sqlstate::SqlState;
use crate::system::{Stream, System};

/// What was done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Applied {
    /// What changed, as it may be shown.
    pub diffs: Vec<Diff>,
    /// What the programs left behind, one for each [`Edit::Run`], in order.
    pub outputs: Vec<Output>,
    /// What the statements returned, one for each [`Edit::Sql`], in order.
    pub rows: Vec<Rows>,
    /// How long it waited.
    pub waited: Duration,
}

/// An edit failed; those before it were made.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// What was done before.
    pub applied: Applied,
    /// What went wrong then.
    pub error: Error,
}

/// What happens while a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening<'a> {
    /// It printed a line.
    Line(Stream, &'a str),
    /// It said how far it is.
    Progress(Progress),
}

/// Performs a plan's edits in order. Each is preceded by another look: [`Error::Raced`] if what it was planned on has
/// changed. Stops at the first that fails.
pub fn apply(plan: &Plan, system: &mut dyn System, on: &mut dyn FnMut(Happening)) -> Result<Applied, Box<Failure>> {
    let mut applied = Applied::default();
    for edit in &plan.edits {
        let done = unchanged(edit, system).and_then(|()| perform(edit, system, &mut applied, on));
        match done.and_then(|()| if plan.stops_at_warnings { unwarned(edit, &applied) } else { Ok(()) }) {
            Ok(()) => applied.diffs.extend(edit.diffs()),
            Err(error) => {
                if plan.all_or_nothing {
                    put_back(plan, system, &mut applied);
                }
                return Err(Box::new(Failure { applied, error }));
            }
        }
    }
    Ok(applied)
}

/// The warnings of a statement, as its failure.
fn unwarned(edit: &Edit, applied: &Applied) -> Look<()> {
    let warnings =
        applied.rows.last().filter(|_| matches!(edit, Edit::Sql { .. })).map(|rows| rows.warnings.as_slice());
    match warnings {
        Some([first, rest @ ..]) => Err(Error::Sql(Box::new(SqlError {
            message: first.clone(),
            sqlstate: Some(SqlState::Warning),
            place: None,
            detail: Some(rest.join("\n")).filter(|rest| !rest.is_empty()),
            hint: None,
        }))),
        _ => Ok(()),
    }
}

/// Puts the files of edits that were made back, the last first. What can't be put back remains among what was done.
fn put_back(plan: &Plan, system: &mut dyn System, applied: &mut Applied) {
    let mut remaining = std::mem::take(&mut applied.diffs);
    for edit in plan.edits.iter().rev() {
        let Edit::Write { path, before, after, .. } = edit else { continue };
        let diffs = edit.diffs();
        let made = !diffs.is_empty() && diffs.iter().all(|diff| remaining.contains(diff));
        let ours = made && system.read(path).is_ok_and(|now| now.as_ref() == Some(&after.bytes));
        let back = match before {
            _ if !ours => continue,
            Some(text) => system.write(path, text, None, &Owner::default()),
            None => system.remove(path),
        };
        if back.is_ok() {
            remaining.retain(|diff| !diffs.contains(diff));
        }
    }
    applied.diffs = remaining;
}

/// Looks again at what an edit was planned on.
fn unchanged(edit: &Edit, system: &dyn System) -> Look<()> {
    let kind = |path: &Path| Ok::<_, Error>(system.stat(path)?.map(|stat| stat.kind));
    let (path, same) = match edit {
        Edit::Write { path, before, .. } => {
            (path, system.read(path)? == before.as_ref().map(|text| text.bytes.clone()))
        }
        Edit::Place { path, before, .. } => {
            let seen = |stat: &Stat| (stat.id, stat.size, stat.mtime);
            (path, system.stat(path)?.as_ref().map(seen) == before.as_ref().map(seen))
        }
        Edit::Mode { path, before, .. } => (path, system.stat(path)?.is_some_and(|stat| stat.mode == *before)),
        Edit::Owner { path, .. } => (path, kind(path)?.is_some()),
        Edit::Dir { path, .. } => (path, kind(path)?.is_none()),
        Edit::Link { path, before, .. } => (path, kind(path)? == before.clone().map(Kind::Link)),
        Edit::Rename { from, to } => (from, kind(from)?.is_some() && kind(to)?.is_none()),
        Edit::Remove { path, before } => (path, kind(path)?.as_ref() == Some(before)),
        Edit::Run { .. } | Edit::Sql { .. } | Edit::Wait(_) | Edit::Forget(_) => return Ok(()),
    };
    if same { Ok(()) } else { Err(Error::Raced { subject: path.display().to_string() }) }
}

fn perform(edit: &Edit, system: &mut dyn System, applied: &mut Applied, on: &mut dyn FnMut(Happening)) -> Look<()> {
    match edit {
        Edit::Write { path, after, mode, owner, before } => {
            system.write(path, after, mode.or_else(|| default_mode(before.as_ref(), after)), owner)
        }
        Edit::Place { path, before, after, mode, owner } => {
            let mode = mode.or(if before.is_some() { None } else { Some(0o644) });
            system.place(path, after, mode, owner)
        }
        Edit::Mode { path, after, .. } => system.set_mode(path, *after),
        Edit::Owner { path, after, .. } => system.set_owner(path, after),
        Edit::Dir { path, mode, owner } => {
            system.make_dir(path, mode.unwrap_or(0o755))?;
            if owner.user.is_some() || owner.group.is_some() { system.set_owner(path, owner) } else { Ok(()) }
        }
        Edit::Link { path, after, .. } => system.link(path, after),
        Edit::Rename { from, to } => system.rename(from, to),
        Edit::Remove { path, .. } => system.remove(path),
        Edit::Run { command, progress, .. } => {
            let output = run(command, *progress, system, on)?;
            let success = output.success();
            applied.outputs.push(output.clone());
            if success {
                Ok(())
            } else {
                Err(Error::Command { command: command.to_string(), output: Box::new(output) })
            }
        }
        Edit::Wait(wait) => {
            let begun = Instant::now();
            let done = wait.perform(system);
            applied.waited += begun.elapsed();
            done
        }
        Edit::Forget(path) => system.remove(path),
        Edit::Sql { at, statement, args, autocommit, .. } => {
            applied.rows.push(system.execute_sql(at, statement, args, *autocommit)?);
            Ok(())
        }
    }
}

/// A new file is for everybody to read, unless it is secret.
fn default_mode(before: Option<&Text>, after: &Text) -> Option<u32> {
    match before {
        Some(_) => None,
        None if after.secret => Some(0o600),
        None => Some(0o644),
    }
}

fn run(
    command: &Command,
    progress: Option<Meter>,
    system: &mut dyn System,
    on: &mut dyn FnMut(Happening),
) -> Look<Output> {
    let secret = command.holds_secret();
    let withhold = secret && !command.answers;
    let mut output = system.run(command, &mut |stream, line| {
        if let Some(step) = progress.and_then(|meter| meter.read(line)) {
            on(Happening::Progress(step));
        } else if !secret {
            on(Happening::Line(stream, line));
        }
    })?;
    if withhold {
        let withheld = |text: &mut String| {
            if !text.is_empty() {
                *text = "(withheld: the command was given a secret)".into();
            }
        };
        withheld(&mut output.stdout);
        withheld(&mut output.stderr);
    }
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edit::Reach;
    use crate::fake::Fake;
    use crate::host::Host;
    use crate::sql::PgConn;

    /// What is planned on the one host is not done on the other.
    #[test]
    fn what_has_changed_meanwhile_is_left_alone() {
        let owner = |user: &str| Owner { user: Some(user.into()), group: None };
        let write = |before: Option<&str>| Edit::Write {
            path: "/f".into(),
            before: before.map(Text::plain),
            after: Text::plain("new"),
            mode: None,
            owner: Owner::default(),
        };
        let empty = Fake::new;
        let file = || Fake::new().file("/f", "old", 0o644);
        let link = || Fake::new().symlink("/f", "/a");
        let dir = || Fake::new().dir("/f", 0o755);
        let rename = || Edit::Rename { from: "/f".into(), to: "/g".into() };
        let relink = || Edit::Link { path: "/f".into(), before: Some("/a".into()), after: "/b".into() };
        let table = [
            (write(None), empty(), file()),
            (write(Some("old")), file(), empty()),
            (write(Some("old")), file(), Fake::new().file("/f", "other", 0o644)),
            (Edit::Mode { path: "/f".into(), before: 0o644, after: 0o600 }, file(), file().file("/f", "old", 0o640)),
            (Edit::Owner { path: "/f".into(), before: owner("0"), after: owner("7") }, file(), empty()),
            (Edit::Dir { path: "/f".into(), mode: None, owner: Owner::default() }, empty(), dir()),
            (Edit::Link { path: "/f".into(), before: None, after: "/b".into() }, empty(), link()),
            (relink(), link(), Fake::new().symlink("/f", "/elsewhere")),
            (rename(), file(), empty()),
            (rename(), file(), file().file("/g", "in the way", 0o644)),
            (Edit::Remove { path: "/f".into(), before: Kind::File }, file(), dir()),
        ];
        for (edit, mut seen, mut other) in table {
            let plan = Plan::nothing().with(edit);
            let before = other.snapshot();
            let failure = apply(&plan, &mut other, &mut |_| {}).unwrap_err();
            assert_eq!(failure.error, Error::Raced { subject: "/f".into() }, "{plan:?}");
            assert_eq!(other.snapshot(), before, "{plan:?}");
            assert!(apply(&plan, &mut seen, &mut |_| {}).is_ok(), "{plan:?}");
        }
    }

    #[test]
    fn a_new_file_is_for_everybody_unless_it_is_secret() {
        for (after, wanted) in [(Text::plain("x"), 0o644), (Text::secret("x"), 0o600)] {
            let mut host = Fake::new();
            let (mode, owner) = (None, Owner::default());
            let plan = Plan::nothing().with(Edit::Write { path: "/f".into(), before: None, after, mode, owner });
            apply(&plan, &mut host, &mut |_| {}).unwrap();
            assert_eq!(host.stat(Path::new("/f")).unwrap().unwrap().mode, wanted);
        }
    }

    #[test]
    fn all_or_nothing() {
        let write = |path: &str, before: Option<&str>| Edit::Write {
            path: path.into(),
            before: before.map(Text::plain),
            after: Text::plain("new"),
            mode: None,
            owner: Owner::default(),
        };
        let refused = Edit::Sql {
            at: PgConn::default(),
            statement: "reload".into(),
            args: Vec::new(),
            autocommit: false,
            reach: Reach::Server,
            effect: Vec::new(),
        };
        let mut plan = Plan::nothing().with(write("/old", Some("old"))).with(write("/made", None)).with(refused);
        for all_or_nothing in [true, false] {
            plan.all_or_nothing = all_or_nothing;
            let mut host = Fake::new().file("/old", "old", 0o640);
            let before = host.snapshot();
            let failure = apply(&plan, &mut host, &mut |_| {}).unwrap_err();
            assert_eq!(host.snapshot() == before, all_or_nothing);
            assert_eq!(failure.applied.diffs.is_empty(), all_or_nothing);
        }
    }
}
