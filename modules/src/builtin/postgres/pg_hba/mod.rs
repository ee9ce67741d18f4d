//! `pg_hba`: who may connect to a PostgreSQL server, and how.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::reload::{Reached, Server, reach, unreached};
use crate::builtin::common::{self, Attributes, Wanted as File};
use crate::builtin::state::State;
use crate::edit::{Diff, Shown, Text};
use crate::host::{Error, Host, Stat};
use crate::module::Module;
use crate::plan::Plan;
use check::{reachable, sound};
use file::Line;
use given::{Fields, Given};
use place::{Anchors, Pattern, Wanted};
use rule::Rule;
use simulate::Connection;

mod check;
mod cover;
mod decided;
mod file;
mod given;
mod outside;
mod place;
mod rule;
mod simulate;

with_connection! {
/// Rules of pg_hba.conf.
///
/// The first rule that matches a connection decides, so the place of a rule is part of what it means. A rule that is not
/// there yet goes before the first one that would leave nothing for it, else to the end; one that is there stays where it
/// is, if it decides there. Lines that need not change stay as they are, comments too. A rule that would never decide,
/// because a former one matches all of its connections and treats them otherwise, is refused: ours, or one that ours
/// would leave nothing for.
///
/// The server reads the file again only if it finds no error in it (`pg_hba_file_rules`); otherwise the file is put back
/// as it was. Where no server listens, and `path` is given, only the file is written.
///
/// Registers `rules` (the whole file's), and `decisions`: what becomes of each of `connections`, before and after.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::builtin) struct PgHba {
    /// The file. Without it, the server is asked for its `hba_file`.
    #[schemars(extend("aliases" = ["dest"]))]
    path: Option<PathBuf>,
    /// One rule, as a line of the file: `host replication rep 10.0.0.7/32 scram-sha-256`. Or give its fields below.
    rule: Option<Given>,
    /// Rules in this order, each as a line, or as a dictionary of the fields below.
    #[serde(default)]
    rules: Vec<Given>,
    /// Whether there shall be no other rules than `rules`.
    #[serde(default)]
    #[schemars(extend("aliases" = ["overwrite"]))]
    exclusive: bool,
    /// Before the first rule that begins with these fields: `host replication`. `*` is any value, alone any rule.
    before: Option<String>,
    /// After the last rule that begins with these fields.
    after: Option<String>,
    /// `local`, `host`, `hostssl`, `hostnossl`, `hostgssenc` or `hostnogssenc`.
    #[serde(rename = "type")]
    #[schemars(extend("aliases" = ["contype"]))]
    kind: Option<String>,
    /// Names, or `all`, `sameuser`, `samerole`, `replication`; with commas between them. A name in `"…"` is no keyword.
    #[serde(default)]
    databases: Vec<String>,
    /// Roles, or `all`; `+role` stands for its members.
    #[serde(default)]
    users: Vec<String>,
    /// An address with a length (`10.0.0.0/8`), one host, a name, `all`, `samehost` or `samenet`.
    #[schemars(extend("aliases" = ["source", "src"]))]
    address: Option<String>,
    /// The mask of an address that has no length.
    netmask: Option<String>,
    /// How the client proves who it is: `scram-sha-256`, `peer`, `cert`, `reject` …
    method: Option<String>,
    /// Options of the method, as `name=value`.
    options: Option<String>,
    /// A comment behind the rule.
    comment: Option<String>,
    /// Whether the rules shall be there. `absent` removes those for the same connections; with a method, only if it is
    /// that one.
    #[serde(default)]
    state: State,
    /// Connections of which the preview says which rule decides for them, before and after. Included files, `@file`,
    /// `+role`, patterns, `samehost` and `samenet` are looked up; rules for host names are not, as that is for the server's
    /// resolver to say.
    #[serde(default)]
    connections: Vec<Connection>,
    /// Whether to make the file if there is none.
    #[serde(default)]
    create: bool,
    /// Whether to keep the old content beside the file, as `path.HASH.bak`.
    #[serde(default)]
    backup: bool,
}
}

impl Module for PgHba {
    const NAME: &'static str = "pg_hba";
    const ALIASES: &'static [&'static str] = &["postgresql_pg_hba"];

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let wanted = self.wanted()?;
        let anchors = self.anchors()?;
        let at = self.conn();
        let reached = reach(host, &at)?;
        let path = match (&self.path, &reached) {
            (Some(path), _) => path.clone(),
            (None, Reached::Up(server)) => server.hba_file.clone(),
            (None, Reached::Away(_) | Reached::Later) => return Err(unreached(host, &at)),
        };
        let (path, now) = common::resolve(host, &path)?;
        let before = file::parse(&self.content(host, &path, now.as_ref())?);
        let after = match self.state {
            State::Present if self.exclusive => place::only(&before, &wanted),
            State::Present => {
                place::arrange(before.clone(), &wanted, &anchors).map_err(|e| Error::param("before", e))?
            }
            State::Absent => self.without(&before, &wanted),
        };
        let subject = path.display().to_string();
        reachable(&subject, &before, &after, &wanted)?;
        let server = match &reached {
            Reached::Up(server) => Some(server).filter(|server| reads(host, server, &path)),
            Reached::Away(_) | Reached::Later => None,
        };
        sound(host, server.map(|server| (&at, server.hba_file.as_path())), &subject, &before, &after)?;
        let decisions = decided::all(host, server.map(|_| &at), &path, &self.connections, [&before, &after])?;

        let stale = now.as_ref().zip(server).is_some_and(|(now, server)| now.mtime > server.loaded());
        let mut plan = self.write(host, path, now, &before, &after)?;
        if let Some(server) = server.filter(|_| stale || plan.changes()) {
            let effect = if plan.changes() {
                decided::changed(&decisions)
            } else {
                vec![Diff::new(&subject, "loaded", "no", "yes")]
            };
            plan.edits.extend(server.reload(&at, effect));
        }
        match &reached {
            Reached::Away(reason) if plan.changes() => {
                plan.warnings.push(format!("{reason}; {subject} is read when it starts"))
            }
            Reached::Up(server)
                if !reads(host, server, &self.path.clone().unwrap_or_default()) && self.path.is_some() =>
            {
                plan.warnings.push(format!("the server reads {}, not {subject}", server.hba_file.display()));
            }
            _ => {}
        }
        let rules: Vec<String> = after.iter().filter_map(Line::rule).map(Rule::brief).collect();
        Ok(plan.returning("rules", rules).returning("decisions", decided::report(&decisions)))
    }

    fn intent(&self) -> Vec<Diff> {
        let subject = self.path.as_ref().map_or_else(|| "pg_hba.conf".into(), |path| path.display().to_string());
        let shown = |one: &Wanted| match self.state {
            State::Present => Diff::new(&subject, "rule", Shown::Unknown, one.rule.brief()),
            State::Absent => Diff::new(&subject, "rule", one.rule.brief(), Shown::Absent),
        };
        let decided = |connection: &Connection| {
            Diff::new(format!("connection {connection}"), "decided by", Shown::Unknown, Shown::Unknown)
        };
        let wanted = self.wanted().unwrap_or_default();
        wanted.iter().map(shown).chain(self.connections.iter().map(decided)).collect()
    }

    fn explain(&self, _host: &dyn Host, error: &Error) -> Option<String> {
        (error.sqlstate() == Some(&crate::sqlstate::SqlState::ConfigFile)).then(|| {
            "the server refuses the new rules; the file was put back as it was, and the old rules are in force".into()
        })
    }
}

/// Whether that is the file that the server reads.
fn reads(host: &dyn Host, server: &Server, path: &std::path::Path) -> bool {
    *path == server.hba_file || common::resolve(host, &server.hba_file).is_ok_and(|(resolved, _)| resolved == *path)
}

impl PgHba {
    fn wanted(&self) -> Result<Vec<Wanted>, Error> {
        let own = Fields {
            line: None,
            kind: self.kind.clone(),
            databases: self.databases.clone(),
            users: self.users.clone(),
            address: self.address.clone(),
            netmask: self.netmask.clone(),
            method: self.method.clone(),
            options: self.options.clone(),
            comment: self.comment.clone(),
        };
        let fields = own.kind.is_some() || !own.databases.is_empty() || !own.users.is_empty() || own.address.is_some();
        let given = usize::from(fields) + usize::from(self.rule.is_some()) + usize::from(!self.rules.is_empty());
        if given > 1 {
            return Err(Error::param("rule", "give `rule`, or `rules`, or a rule's fields: one of the three"));
        }
        if given == 0 && self.connections.is_empty() {
            return Err(Error::param(
                "rule",
                "is missing; give `rule`, `rules`, or a rule's `type`, `databases`, `users`, `address`, `method`",
            ));
        }
        if self.exclusive && (self.rules.is_empty() || self.state == State::Absent) {
            return Err(Error::param("exclusive", "wants `rules` to be all that are there"));
        }
        let absent = self.state == State::Absent;
        let one = |fields: &Fields, param: &str| fields.read(absent).map_err(|reason| Error::param(param, reason));
        let own = fields.then(|| one(&own, "rule"));
        let rule = self.rule.iter().map(|given| one(&given.0, "rule"));
        let rules = self.rules.iter().enumerate().map(|(at, given)| one(&given.0, &format!("rules[{at}]")));
        own.into_iter().chain(rule).chain(rules).collect()
    }

    fn anchors(&self) -> Result<Anchors, Error> {
        let pattern = |param: &str, text: &Option<String>| {
            text.as_deref().map(Pattern::parse).transpose().map_err(|reason| Error::param(param, reason))
        };
        if self.exclusive && (self.before.is_some() || self.after.is_some()) {
            return Err(Error::param("exclusive", "leaves no other rule to be before or after"));
        }
        Ok(Anchors { before: pattern("before", &self.before)?, after: pattern("after", &self.after)? })
    }

    fn content(&self, host: &dyn Host, path: &std::path::Path, now: Option<&Stat>) -> Result<String, Error> {
        match now {
            None if self.create || self.state == State::Absent => return Ok(String::new()),
            None => {
                return Err(Error::refused(
                    path.display().to_string(),
                    "does not exist",
                    "make the cluster first, or say `create: true`",
                ));
            }
            Some(now) if !now.is_file() => return Err(Error::path("edit", path, "it is not a regular file")),
            Some(_) => {}
        }
        let bytes = host.read(path)?.unwrap_or_default();
        String::from_utf8(bytes).map_err(|_| Error::path("edit", path, "it is not UTF-8 text"))
    }

    fn without(&self, lines: &[Line], wanted: &[Wanted]) -> Vec<Line> {
        let any_method = self.method.is_none() && self.kind.is_some();
        let meant = |rule: &Rule| {
            wanted.iter().any(|one| one.rule.same_connections(rule) && (any_method || one.rule.same_answer(rule)))
        };
        lines.iter().filter(|line| !line.rule().is_some_and(meant)).cloned().collect()
    }

    fn write(
        &self,
        host: &dyn Host,
        path: PathBuf,
        now: Option<Stat>,
        before: &[Line],
        after: &[Line],
    ) -> Result<Plan, Error> {
        // Not written for its last newline only.
        if before == after && (now.is_some() || self.state == State::Absent) {
            return Ok(Plan::nothing());
        }
        let secret = before.iter().chain(after).filter_map(Line::rule).any(Rule::is_secret);
        let after = Text { bytes: file::render(after).into_bytes(), secret };
        let attributes = Attributes::default();
        let plan = File { path, now, after, attributes, backup: self.backup, validate: None }.plan(host)?;
        Ok(Plan { all_or_nothing: true, ..plan })
    }
}
