//! `pg_setting`: settings of a PostgreSQL server.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::quote;
use super::reload::{Reached, reach, unreached};
use crate::builtin::common::{self, Attributes, Wanted as File};
use crate::builtin::state::State;
use crate::edit::{Diff, Edit, Reach, Shown, Text};
use crate::host::{Error, Host, Stat};
use crate::module::Module;
use crate::param::{Mode, SECRET_KEY};
use crate::plan::Plan;
use crate::sqlstate::SqlState;
use seen::Seen;
use step::{Place, Step};

mod conf;
mod seen;
mod step;
mod value;

with_connection! {
/// Settings of a server: by `ALTER SYSTEM`, or with `path` in postgresql.conf or a file that it includes.
///
/// Values are compared by what they mean: `1GB` is `1048576kB`. They are checked against what the server says that they
/// may be (`pg_settings`). What takes effect at a reload is reloaded and waited for; a restart is never made here, but said:
/// register the result and restart `when: RESULT.restart_required`, which stays true until that is done.
///
/// Where no server listens, `path` is written all the same: settings that must be in place before the first start. There
/// they are compared as texts, sizes and times.
///
/// Registers `restart_required`, `pending_restart` (names), and `settings`: for each its `value`, `running`, `context`, and
/// `takes`: `restart`, `reload`, `nothing`, or `unknown` where the server does not know the setting yet.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::builtin) struct PgSetting {
    /// One setting; or give `settings`.
    #[schemars(extend("aliases" = ["param", "setting"]))]
    name: Option<String>,
    /// Its value: a text, a number, a boolean, or a list of names. May be secret, where there is a `path`.
    value: Option<Scalar>,
    /// Several, by name. `null` is for one that shall not be set.
    #[serde(default)]
    settings: BTreeMap<String, Option<Scalar>>,
    /// What becomes of a list of names that is there: `add` to it, `remove` from it, or `exact`. Without it, libraries to
    /// preload are added, and all other lists are as given.
    list: Option<Combine>,
    /// The file to write to; it is made if there is none. Without it, `ALTER SYSTEM` is used.
    #[schemars(extend("aliases" = ["dest"]))]
    path: Option<PathBuf>,
    /// Whether it shall be set. `absent`: not by `ALTER SYSTEM`, or not in that file.
    #[serde(default)]
    state: State,
    /// Ansible's way to say `state: absent`.
    #[serde(default)]
    reset: bool,
    /// Permission bits of the file.
    mode: Option<Mode>,
    /// The file's owner, by name or number.
    owner: Option<String>,
    /// The file's group, by name or number.
    group: Option<String>,
    /// Whether to keep the file's old content beside it, as `path.HASH.bak`.
    #[serde(default)]
    backup: bool,
}
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Combine {
    /// Those that are not there yet are added.
    Add,
    /// Those that are there are removed.
    Remove,
    /// The list is as given.
    Exact,
}

/// A value, as PostgreSQL would have it written.
#[derive(Clone, Debug)]
pub(super) struct Scalar {
    text: String,
    secret: bool,
}

impl Scalar {
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        fn text(value: &Value) -> Option<String> {
            match value {
                Value::String(text) => Some(text.clone()),
                Value::Number(number) => Some(number.to_string()),
                Value::Bool(on) => Some(if *on { "on" } else { "off" }.into()),
                Value::Array(items) => {
                    items.iter().map(text).collect::<Option<Vec<_>>>().map(|items| value::join(&items))
                }
                Value::Null | Value::Object(_) => None,
            }
        }
        let value = Value::deserialize(deserializer)?;
        if let Some(secret) = value.get(SECRET_KEY).and_then(Value::as_str) {
            return Ok(Self { text: secret.into(), secret: true });
        }
        let expected = "expected a text, a number, a boolean or a list of names";
        text(&value).map(|text| Self { text, secret: false }).ok_or_else(|| serde::de::Error::custom(expected))
    }
}

impl JsonSchema for Scalar {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Scalar".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({})
    }
}

impl Module for PgSetting {
    const NAME: &'static str = "pg_setting";
    const ALIASES: &'static [&'static str] = &["postgresql_set", "postgresql_alter_system"];

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let wanted = self.wanted()?;
        let at = self.conn();
        let reached = reach(host, &at)?;
        if self.path.is_none() && !matches!(reached, Reached::Up(_)) {
            return Err(unreached(host, &at));
        }
        let names: Vec<&str> = wanted.iter().map(|(name, _)| name.as_str()).collect();
        let mut seen = match &reached {
            Reached::Up(_) => seen::look(host, &at, &names)?,
            Reached::Away(_) | Reached::Later => BTreeMap::new(),
        };
        let file = self.path.as_ref().map(|path| read(host, path)).transpose()?;
        let place = file.as_ref().map_or(Place::System, |(path, _, text)| Place::File(path, text));
        let mut steps = Vec::new();
        for (name, given) in &wanted {
            let seen = seen.remove(&name.to_lowercase()).unwrap_or_else(|| Seen::unasked(name));
            if seen.context == "internal" {
                return Err(Error::refused(
                    format!("setting {name}"),
                    "is fixed",
                    "it is decided when PostgreSQL is built or the cluster is made",
                ));
            }
            steps.push(Step::new(host, name, *given, self.list, seen, place)?);
        }
        let plan = match &file {
            None => Plan {
                edits: steps
                    .iter()
                    .filter(|step| !step.holds)
                    .map(|step| self.alter(step))
                    .collect::<Result<_, _>>()?,
                ..Plan::default()
            },
            Some((path, now, text)) => self.write(host, path, now.clone(), text, &steps)?,
        };
        if let (Reached::Up(_), Some((path, now, _))) = (&reached, &file) {
            is_read(host, path, now.as_ref(), &steps)?;
        }
        Ok(report(&steps, self.loaded(plan, &reached, file.as_ref().map(|(path, ..)| path.as_path()), &steps)))
    }

    fn intent(&self) -> Vec<Diff> {
        let shown = |(name, given): (String, Option<&Scalar>)| {
            let after = match given {
                Some(given) if given.secret => Shown::Redacted,
                given => given.map(|given| given.text.clone()).into(),
            };
            Diff::new(format!("setting {name}"), "value", Shown::Unknown, after)
        };
        let content = |path: &PathBuf| Diff::new(path.display().to_string(), "content", Shown::Unknown, Shown::Unknown);
        let settings = self.wanted().unwrap_or_default().into_iter().map(shown);
        self.path.iter().map(content).chain(settings).collect()
    }

    fn explain(&self, _host: &dyn Host, error: &Error) -> Option<String> {
        let put_back = self.path.is_some() && error.sqlstate() == Some(&SqlState::ConfigFile);
        put_back.then(|| "the server refuses its configuration; the file was put back as it was".into())
    }
}

/// `"name" = 'value'` for `SET`; the names of a list each in quotes of their own, or they would be one name.
pub(super) fn assignment(name: &str, wanted: &str) -> Result<String, Error> {
    let value = match value::is_list(&name.to_lowercase()) {
        true => value::items(wanted).iter().map(|item| quote::literal(item)).collect::<Vec<_>>().join(", "),
        false => quote::literal(wanted),
    };
    Ok(format!("{} = {value}", quoted(name)?))
}

pub(super) fn quoted(name: &str) -> Result<String, Error> {
    let parts = name.split('.').map(|part| quote::identifier("name", part));
    Ok(parts.collect::<Result<Vec<_>, _>>()?.join("."))
}

/// What a file of settings says of one.
pub(super) fn configured(text: &str, name: &str) -> Option<String> {
    conf::find(text, name).map(|setting| setting.value)
}

/// Whether two values mean the same, as far as that can be said without a server.
pub(super) fn same_value(name: &str, a: &str, b: &str) -> bool {
    Seen::unasked(&name.to_lowercase()).kind.same(a, b)
}

/// A file's true path, what is there, and its text.
fn read(host: &dyn Host, path: &Path) -> Result<(PathBuf, Option<Stat>, String), Error> {
    let (path, now) = common::resolve(host, path)?;
    if now.as_ref().is_some_and(|now| !now.is_file()) {
        return Err(Error::path("edit", &path, "it is not a regular file"));
    }
    let bytes = if now.is_some() { host.read(&path)?.unwrap_or_default() } else { Vec::new() };
    let text = String::from_utf8(bytes).map_err(|_| Error::path("edit", &path, "it is not UTF-8 text"))?;
    Ok((path, now, text))
}

/// Refuses a file that the server does not read: what is in it has no effect.
fn is_read(host: &dyn Host, path: &Path, now: Option<&Stat>, steps: &[Step]) -> Result<(), Error> {
    let unread = |step: &&Step| {
        step.holds
            && step.wanted.is_some()
            && now.is_some()
            && !step.seen.entries.iter().any(|entry| entry.is_in(host, path))
    };
    // A list that has its names from elsewhere is not in the file.
    let written = |step: &&Step| {
        host.read(path)
            .ok()
            .flatten()
            .is_some_and(|text| conf::find(&String::from_utf8_lossy(&text), &step.name).is_some())
    };
    match steps.iter().find(|step| unread(step) && written(step)) {
        None => Ok(()),
        Some(step) => Err(Error::refused(
            path.display().to_string(),
            format!("sets {}, but the server does not read it", step.name),
            "name postgresql.conf or a file that it includes (`include_dir`); SELECT DISTINCT sourcefile FROM pg_file_settings lists them",
        )),
    }
}

fn report(steps: &[Step], mut plan: Plan) -> Plan {
    let names = |which: &dyn Fn(&Step) -> bool| -> Vec<&str> {
        steps.iter().filter(|step| which(step)).map(|step| step.name.as_str()).collect()
    };
    let restart = names(&|step| step.restart);
    if !restart.is_empty() {
        plan.warnings.push(format!("in force only after a restart of the server: {}", restart.join(", ")));
    }
    for name in names(&|step| step.fixed) {
        plan.warnings.push(format!("{name} is set on the server's command line, which wins over its files"));
    }
    let pending = names(&|step| step.seen.pending);
    let shown = |step: &Step, value: &Option<String>| if step.secret { Value::Null } else { json!(value) };
    let one = |step: &Step| {
        let value = json!({
            "value": shown(step, &step.wanted),
            "running": shown(step, &step.seen.shown),
            "context": step.seen.context,
            "takes": step.takes(),
        });
        (step.name.clone(), value)
    };
    let settings: Map<String, Value> = steps.iter().map(one).collect();
    let required = !restart.is_empty();
    let pending: Value = pending.into();
    plan.returning("restart_required", required).returning("pending_restart", pending).returning("settings", settings)
}

impl PgSetting {
    fn wanted(&self) -> Result<Vec<(String, Option<&Scalar>)>, Error> {
        let absent = self.reset || self.state == State::Absent;
        let mut wanted: Vec<(String, Option<&Scalar>)> =
            self.settings.iter().map(|(name, value)| (name.clone(), value.as_ref().filter(|_| !absent))).collect();
        match (&self.name, &self.value) {
            (Some(name), Some(value)) => wanted.push((name.clone(), Some(value).filter(|_| !absent))),
            (Some(name), None) if absent => wanted.push((name.clone(), None)),
            (Some(_), None) => return Err(Error::param("value", "is missing; with `state: absent` it is not needed")),
            (None, Some(_)) => return Err(Error::param("name", "is missing")),
            (None, None) => {}
        }
        let odd = |name: &str| {
            name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.$".contains(&byte))
        };
        match wanted.iter().find(|(name, _)| odd(name)) {
            Some((name, _)) => {
                Err(Error::param("name", format!("`{}` cannot be a setting's name", name.escape_debug())))
            }
            None if wanted.is_empty() => {
                Err(Error::param("name", "is missing; give `name` and `value`, or `settings`"))
            }
            None => Ok(wanted),
        }
    }

    fn alter(&self, step: &Step) -> Result<Edit, Error> {
        if step.secret {
            return Err(Error::refused(
                format!("setting {}", step.name),
                "is secret, and the text of an ALTER SYSTEM can end up in the server's log",
                "give a `path`, and `mode: \"0600\"` if the file is a new one",
            ));
        }
        let statement = match &step.wanted {
            // The empty list would be written as a list of one empty name.
            Some(wanted) if !step.seen.kind.list || !value::items(wanted).is_empty() => {
                format!("ALTER SYSTEM SET {}", assignment(&step.name, wanted)?)
            }
            Some(_) | None => format!("ALTER SYSTEM RESET {}", quoted(&step.name)?),
        };
        let (at, reach) = (self.conn(), Reach::Server);
        Ok(Edit::Sql { at, statement, args: Vec::new(), autocommit: true, reach, effect: vec![step.diff()] })
    }

    fn write(
        &self,
        host: &dyn Host,
        path: &Path,
        now: Option<Stat>,
        text: &str,
        steps: &[Step],
    ) -> Result<Plan, Error> {
        let after = steps.iter().filter(|step| !step.holds).fold(text.to_owned(), |text, step| match &step.wanted {
            Some(value) => conf::set(&text, &step.name, value),
            None => conf::unset(&text, &step.name),
        });
        if now.is_none() && after.is_empty() {
            return Ok(Plan::nothing());
        }
        let secret = steps.iter().any(|step| step.secret);
        let after = Text { bytes: after.into_bytes(), secret };
        let attributes = Attributes {
            mode: self.mode.as_ref(),
            owner: self.owner.as_deref(),
            group: self.group.as_deref(),
            ..Attributes::default()
        };
        let file = File { path: path.into(), now, after, attributes, backup: self.backup, validate: None };
        Ok(Plan { all_or_nothing: true, ..file.plan(host)? })
    }

    /// Fails if what was written would not be in force: the server does not read the file, or another line after it. Only
    /// the server knows in which order it reads them. The file has a true path, and the name that was given.
    fn decides(&self, given: &Path, file: Option<&Path>, steps: &[Step]) -> Edit {
        let written = steps.iter().filter(|step| !step.holds);
        let row = |step: &Step| {
            let wanted = step.wanted.as_ref()?;
            // A secret is in no statement.
            let value = if step.secret { "NULL".into() } else { quote::literal(wanted) };
            Some(format!("({}, {value})", quote::literal(&step.name.to_lowercase())))
        };
        let rows = written.filter_map(row).collect::<Vec<_>>();
        let rows = if rows.is_empty() { "(NULL, NULL)".into() } else { rows.join(", ") };
        let paths = [Some(given), file].into_iter().flatten().map(|path| quote::literal(&path.display().to_string()));
        let paths = paths.collect::<Vec<_>>().join(", ");
        let statement = format!(
            "DO $check$
DECLARE
    problems text;
BEGIN
    SELECT string_agg(CASE WHEN f.sourcefile IS NULL THEN format('the server reads no file that sets %s', w.name)
                      ELSE format('%s line %s sets it too, and is read later', f.sourcefile, f.sourceline) END, '; ') INTO problems
      FROM (VALUES {rows}) AS w (name, value)
      LEFT JOIN LATERAL (SELECT * FROM pg_file_settings s WHERE lower(s.name) = w.name ORDER BY s.seqno DESC LIMIT 1) f ON true
     WHERE w.name IS NOT NULL AND NOT coalesce(f.sourcefile = ANY (ARRAY[{paths}]), false) AND f.setting IS DISTINCT FROM w.value;
    IF problems IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'config_file_error', MESSAGE = problems;
    END IF;
END $check$"
        );
        let (at, reach) = (self.conn(), Reach::Stated);
        Edit::Sql { at, statement, args: Vec::new(), autocommit: false, reach, effect: Vec::new() }
    }

    /// With a reload behind it, where a server runs that has to know.
    fn loaded(&self, mut plan: Plan, reached: &Reached, file: Option<&Path>, steps: &[Step]) -> Plan {
        let changes = steps.iter().any(|step| !step.holds);
        match reached {
            Reached::Up(server) => {
                let effect: Vec<Diff> = match (changes, &self.path) {
                    // `ALTER SYSTEM` says it itself.
                    (true, None) => Vec::new(),
                    (true, Some(_)) => steps.iter().filter(|step| !step.holds).map(Step::diff).collect(),
                    (false, _) => steps.iter().filter(|step| !step.loaded).map(Step::load_diff).collect(),
                };
                if let Some(path) = self.path.as_ref().filter(|_| changes) {
                    plan.edits.push(self.decides(path, file, steps));
                }
                if changes || !effect.is_empty() {
                    plan.edits.extend(server.reload(&self.conn(), effect));
                }
            }
            Reached::Away(reason) if changes => {
                plan.warnings.push(format!("{reason}; what is written is in force when it starts"));
            }
            Reached::Away(_) | Reached::Later => {}
        }
        plan
    }
}
