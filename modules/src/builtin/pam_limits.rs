//! `pam_limits`: what a login may use.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::common::{self, Attributes, Wanted};
use crate::edit::{Diff, Shown, Text};
use crate::host::{Error, Host};
use crate::module::Module;
use crate::plan::Plan;

/// A line of limits.conf(5): how much of something a user, a group or everybody may use.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PamLimits {
    /// Whom it limits: a user, `@group`, `*`.
    domain: String,
    /// Whether it can be exceeded up to the other one.
    limit_type: Type,
    /// What is limited, such as `nofile`.
    limit_item: String,
    /// The limit: a number, `unlimited`, `infinity` or `-1`.
    value: String,
    /// Whether a higher limit that is there stays.
    #[serde(default)]
    use_max: bool,
    /// Whether a lower limit that is there stays.
    #[serde(default)]
    use_min: bool,
    /// Whether to keep the old content beside the file, as `dest.HASH.bak`.
    #[serde(default)]
    backup: bool,
    /// The file. It is made if there is none.
    #[serde(default = "file")]
    dest: PathBuf,
    /// A comment behind a new line.
    #[serde(default)]
    comment: String,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
enum Type {
    /// What holds at first.
    #[serde(rename = "soft")]
    Soft,
    /// What can't be exceeded.
    #[serde(rename = "hard")]
    Hard,
    /// Both.
    #[serde(rename = "-")]
    Both,
}

const ITEMS: [&str; 19] = [
    "as",
    "chroot",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "maxlogins",
    "maxsyslogins",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "priority",
    "rss",
    "rtprio",
    "sigpending",
    "stack",
];

fn file() -> PathBuf {
    "/etc/security/limits.conf".into()
}

impl Module for PamLimits {
    const NAME: &'static str = "pam_limits";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        self.check()?;
        let (path, now) = common::resolve(host, &self.dest)?;
        let (after, msg) = self.edited(&common::text(host, &path)?)?;
        let (after, attributes) = (Text::plain(after), Attributes::default());
        let plan = Wanted { path, now, after, attributes, backup: self.backup, validate: None }.plan(host)?;
        Ok(plan.returning("msg", msg))
    }

    fn intent(&self) -> Vec<Diff> {
        let subject = format!("limit {} of {}", self.limit_item, self.domain);
        vec![Diff::new(subject, self.limit_type.word(), Shown::Unknown, self.value.as_str())]
    }
}

impl PamLimits {
    fn check(&self) -> Result<(), Error> {
        if !ITEMS.contains(&self.limit_item.as_str()) {
            let (item, all) = (&self.limit_item, ITEMS.join(", "));
            let error = Error::param("limit_item", format!("there is no `{item}`; it is one of {all}"));
            return Err(error.telling("msg", format!("value of limit_item must be one of: {all}, got: {item}")));
        }
        if self.use_max && self.use_min {
            let error = Error::param("use_min", "there is `use_max` too; give one of them");
            return Err(error.telling("msg", "Cannot use use_min and use_max at the same time."));
        }
        valid(&self.limit_item, &self.value)
    }

    /// The file with the limit, and the line that says it.
    fn edited(&self, before: &str) -> Result<(String, String), Error> {
        let (mut after, mut said, mut comment) = (String::new(), None, self.comment.clone());
        for line in before.split_inclusive('\n') {
            let (text, note) = line.split_once('#').unwrap_or((line, ""));
            let words: Vec<&str> = text.split_whitespace().collect();
            if !line.starts_with('#') && !words.is_empty() && comment.is_empty() {
                comment = note.trim_end_matches('\n').to_owned();
            }
            let mut line = line.to_owned();
            if let [domain, kind, item, now] = words[..]
                && (domain, kind, item) == (self.domain.as_str(), self.limit_type.word(), self.limit_item.as_str())
            {
                let wanted = self.chosen(now)?;
                if wanted != now {
                    line = self.line(&wanted, &comment);
                }
                said = Some(line.clone());
            }
            after.push_str(&line);
        }
        let said = said.unwrap_or_else(|| {
            let line = self.line(&self.value, &comment);
            if !after.is_empty() && !after.ends_with('\n') {
                after.push('\n');
            }
            after.push_str(&line);
            line
        });
        Ok((after, said))
    }

    fn line(&self, value: &str, comment: &str) -> String {
        let comment = if comment.is_empty() { String::new() } else { format!("\t#{comment}") };
        format!("{}\t{}\t{}\t{value}{comment}\n", self.domain, self.limit_type.word(), self.limit_item)
    }

    /// Which of the two limits it shall be.
    fn chosen(&self, now: &str) -> Result<String, Error> {
        let size = |value: &str| -> Result<i64, Error> {
            let signed = matches!(self.limit_item.as_str(), "nice" | "priority");
            if unlimited(value) && !signed {
                Ok(i64::MAX)
            } else {
                value.parse().map_err(|_| invalid(&self.limit_item, value))
            }
        };
        let keeps = match (self.use_max, self.use_min) {
            (true, _) => size(now)? >= size(&self.value)?,
            (_, true) => size(now)? <= size(&self.value)?,
            _ => false,
        };
        Ok(if keeps { now } else { &self.value }.to_owned())
    }
}

fn unlimited(value: &str) -> bool {
    matches!(value, "unlimited" | "infinity" | "-1")
}

fn valid(item: &str, value: &str) -> Result<(), Error> {
    let valid = match item {
        "nice" | "priority" => value.parse().is_ok_and(|level: i64| (-20..=19).contains(&level)),
        _ => unlimited(value) || (!value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit())),
    };
    if valid { Ok(()) } else { Err(invalid(item, value)) }
}

fn invalid(item: &str, value: &str) -> Error {
    let (wanted, ansible) = match item {
        "nice" | "priority" => ("from -20 to 19", "Value must be a number in the range -20 to 19 inclusive."),
        _ => (
            "a number, `unlimited`, `infinity` or `-1`",
            "Value must either be 'unlimited', 'infinity' or -1, all of which indicate no limit, or a limit of 0 or larger.",
        ),
    };
    let manual = "Refer to the limits.conf(5) manual pages for more details.";
    Error::param("value", format!("`{value}` is no limit of `{item}`: {wanted}"))
        .telling("msg", format!(" Value of '{value}' for item '{item}' is invalid. {ansible} {manual}"))
}

impl Type {
    fn word(self) -> &'static str {
        match self {
            Self::Soft => "soft",
            Self::Hard => "hard",
            Self::Both => "-",
        }
    }
}
