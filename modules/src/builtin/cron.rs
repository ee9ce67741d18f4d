//! `cron`: a job or a variable of a crontab.

mod table;

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use self::table::Table;
use super::common::{self, Attributes, Wanted};
use super::state::State;
use crate::edit::{Diff, Edit, Reach, Shown, Text};
use crate::host::{Command, Error, Host, Input};
use crate::module::Module;
use crate::param::{Mode, Word};
use crate::plan::Plan;

/// A job of an account's crontab, or of a file in /etc/cron.d with `cron_file`. A comment with its name stands before it, by
/// which it is found again. With `env` it is a variable of the crontab. Registers `jobs` and `envs`, the names of all.
#[derive(Deserialize, JsonSchema)]
#[schemars(extend("exclusive" = ["insertafter|insertbefore"]))]
#[serde(deny_unknown_fields)]
pub(super) struct Cron {
    /// What the job is found again by; with `env`, the variable's name.
    name: Word,
    /// The command; with `env`, the variable's value. Must not be given a secret.
    #[schemars(extend("aliases" = ["value"]))]
    job: Option<Word>,
    /// Whether it is there.
    #[serde(default)]
    #[schemars(extend("listed" = ["present", "absent"]))]
    state: State,
    /// Whose crontab; that of the user that the task runs as by default. With `cron_file`: as whom the job runs.
    user: Option<Word>,
    /// A file of /etc/cron.d, or an absolute path, in the place of a crontab.
    cron_file: Option<PathBuf>,
    /// Minute, as crontab(5) has it.
    #[serde(default = "any")]
    minute: Word,
    /// Hour.
    #[serde(default = "any")]
    hour: Word,
    /// Day of the month.
    #[serde(default = "any")]
    #[schemars(extend("aliases" = ["dom"]))]
    day: Word,
    /// Month.
    #[serde(default = "any")]
    month: Word,
    /// Day of the week; Sunday is 0.
    #[serde(default = "any")]
    #[schemars(extend("aliases" = ["dow"]))]
    weekday: Word,
    /// A name for when, in the place of the five.
    #[schemars(extend("listed" = ["reboot", "yearly", "annually", "monthly", "weekly", "daily", "hourly"]))]
    special_time: Option<Special>,
    /// Whether the job stands there as a comment only.
    #[serde(default)]
    disabled: bool,
    /// Whether it is a variable.
    #[serde(default)]
    env: bool,
    /// With `env`: the variable after which a new one is added, which is otherwise the first line.
    insertafter: Option<String>,
    /// With `env`: the variable before which it is.
    insertbefore: Option<String>,
    /// Whether to keep the old content of a `cron_file` beside it, as `NAME.HASH.bak`.
    #[serde(default)]
    backup: bool,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Special {
    /// When the host has started.
    Reboot,
    /// On the first of January.
    Yearly,
    /// The same.
    Annually,
    /// On the first of a month.
    Monthly,
    /// On Sundays.
    Weekly,
    /// At midnight.
    Daily,
    /// At the full hour.
    Hourly,
}

fn any() -> Word {
    Word("*".into())
}

impl Module for Cron {
    const NAME: &'static str = "cron";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        self.check()?;
        match &self.cron_file {
            Some(file) => self.in_file(host, &Path::new("/etc/cron.d").join(file)),
            None => self.in_crontab(host),
        }
    }

    fn intent(&self) -> Vec<Diff> {
        let after = match (self.state, &self.job) {
            (State::Present, Some(Word(job))) => Shown::from(job.as_str()),
            _ => Shown::Absent,
        };
        vec![Diff::new(format!("cron {}", self.name.0), "job", Shown::Unknown, after)]
    }
}

impl Cron {
    fn check(&self) -> Result<(), Error> {
        let said = |param: &str, reason: &str, msg: &str| Err(Error::param(param, reason).telling("msg", msg));
        let times = [&self.minute, &self.hour, &self.day, &self.month, &self.weekday];
        if self.special_time.is_some() && times.iter().any(|Word(time)| time != "*") {
            let msg = "You cannot combine special_time with any of the time or day/date parameters.";
            return said("special_time", "stands in the place of minute, hour, day, month and weekday", msg);
        }
        if self.cron_file.as_deref() == Some(Path::new("/etc/crontab")) {
            let msg = "Will not manage /etc/crontab via cron_file, see documentation.";
            return said("cron_file", "must be a file of its own, not /etc/crontab", msg);
        }
        if self.env && self.name.0.contains(' ') {
            return said("name", "is a variable's: it has no blanks", "Invalid name for environment variable");
        }
        if self.state == State::Absent {
            return Ok(());
        }
        if self.cron_file.is_some() && self.user.is_none() {
            let msg = "To use cron_file=... parameter you must specify user=... as well";
            return said("user", "is missing: a job of a `cron_file` says who runs it", msg);
        }
        match &self.job {
            None => said("job", "is missing", "You must specify 'job' to install a new cron job or variable"),
            Some(Word(job)) if job.trim_matches(['\r', '\n']).contains(['\r', '\n']) => {
                said("job", "must be one line", "Job should not contain line breaks")
            }
            Some(_) if !self.env && (self.insertafter.is_some() || self.insertbefore.is_some()) => {
                let msg = "Insertafter and insertbefore parameters are valid only with env=yes";
                said("insertafter", "is for `env: true`", msg)
            }
            Some(_) => Ok(()),
        }
    }

    /// The table as it shall be.
    fn edited(&self, before: &str) -> Result<Table, Error> {
        let mut table = Table::read(before);
        let (name, job) = (&self.name.0, self.job.as_ref().map_or("", |Word(job)| job.trim_matches(['\r', '\n'])));
        match (self.env, self.state) {
            (true, State::Absent) => table.remove_variable(name),
            (true, State::Present) => {
                let after = self.insertafter.as_deref().map(|name| (name, 1));
                let near = after.or(self.insertbefore.as_deref().map(|name| (name, 0)));
                table.set_variable(name, job, near).map_err(|name| {
                    let error = Error::param("insertafter", format!("there is no variable `{name}`"));
                    error.telling("msg", format!("Variable named '{name}' not found."))
                })?;
            }
            (false, State::Absent) => table.remove_job(name),
            (false, State::Present) => table.set_job(name, &self.line(job)),
        }
        Ok(table)
    }

    fn line(&self, job: &str) -> String {
        let off = if self.disabled { "#" } else { "" };
        let user = self.user.as_ref().filter(|_| self.cron_file.is_some()).map(|Word(user)| format!("{user} "));
        let user = user.unwrap_or_default();
        let when = match self.special_time {
            Some(special) => format!("@{}", special.word()),
            None => [&self.minute, &self.hour, &self.day, &self.month, &self.weekday]
                .map(|Word(time)| time.as_str())
                .join(" "),
        };
        format!("{off}{when} {user}{job}")
    }

    fn in_file(&self, host: &dyn Host, file: &Path) -> Result<Plan, Error> {
        let (path, now) = common::resolve(host, file)?;
        let before = common::text(host, &path)?;
        let table = self.edited(&before)?;
        let after = table.text();
        let given = self.cron_file.as_ref().map(|file| file.display().to_string()).unwrap_or_default();
        if self.state == State::Absent && !self.env && table.is_empty() {
            let gone = now.filter(|_| table.changed).map(|now| Edit::Remove { path, before: now.kind });
            let plan = Plan { edits: gone.into_iter().collect(), ..Plan::nothing() };
            return Ok(plan.returning("cron_file", given).returning("state", "absent"));
        }
        let mode = Mode::Bits(0o644);
        let attributes = Attributes { mode: now.is_none().then_some(&mode), ..Attributes::default() };
        let plan = match after == before {
            true => Plan::nothing(),
            false => {
                let after = Text::plain(after);
                Wanted { path, now, after, attributes, backup: self.backup, validate: None }.plan(host)?
            }
        };
        let plan = plan.returning("jobs", json!(table.jobs())).returning("envs", json!(table.variables()));
        Ok(plan.returning("cron_file", given))
    }

    fn in_crontab(&self, host: &dyn Host) -> Result<Plan, Error> {
        let user: Vec<&str> = self.user.iter().flat_map(|Word(user)| ["-u", user.as_str()]).collect();
        let list = Command::new("crontab", user.iter().copied().chain(["-l"]));
        let output = host.query(&list)?;
        // Status 1: there is none yet (crontab(1)). Of an account that does not exist it is 1, too.
        let before = match output.status {
            0 => output.stdout,
            1 if output.stderr.contains("no crontab") => String::new(),
            _ => {
                let error = Error::Command { command: list.to_string(), output: Box::new(output) };
                return Err(error.telling("msg", "Unable to read crontab"));
            }
        };
        let table = self.edited(&before)?;
        let after = table.text();
        let plan = match after == before {
            true => Plan::nothing(),
            false => {
                let subject =
                    self.user.as_ref().map_or("crontab".to_owned(), |Word(user)| format!("crontab of {user}"));
                let seen = if before.is_empty() { Shown::Absent } else { Shown::from(before.as_str()) };
                let effect = vec![Diff::new(subject, "content", seen, after.as_str())];
                let args = user.iter().copied().chain(["-"]);
                let command = Command { stdin: Some(Input::Plain(after)), ..Command::new("crontab", args) };
                Plan::nothing().with(Edit::run(command, effect, Reach::Stated))
            }
        };
        Ok(plan.returning("jobs", json!(table.jobs())).returning("envs", json!(table.variables())))
    }
}

impl Special {
    fn word(self) -> &'static str {
        match self {
            Self::Reboot => "reboot",
            Self::Yearly => "yearly",
            Self::Annually => "annually",
            Self::Monthly => "monthly",
            Self::Weekly => "weekly",
            Self::Daily => "daily",
            Self::Hourly => "hourly",
        }
    }
}
