//! `timezone`: what time it is where the host is.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::common;
use crate::edit::{Diff, Edit, Reach, Shown};
use crate::host::{Command, Error, Host, Kind};
use crate::module::Module;
use crate::param::Word;
use crate::plan::Plan;

/// The host's time zone (localtime(5)), and what its hardware clock keeps.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Timezone {
    /// The zone, such as `Europe/Berlin`.
    name: Option<Word>,
    /// Whether the hardware clock is set to UTC or to the zone's time.
    #[schemars(extend("aliases" = ["rtc"]))]
    hwclock: Option<Clock>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema, PartialEq, Eq)]
enum Clock {
    /// Universal time.
    #[serde(rename = "UTC")]
    Utc,
    /// The zone's.
    #[serde(rename = "local")]
    Local,
}

const ZONES: &str = "/usr/share/zoneinfo";
const LINK: &str = "/etc/localtime";
/// Debian's, which says the same; other systems have none.
const NAME: &str = "/etc/timezone";

impl Module for Timezone {
    const NAME: &'static str = "timezone";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        if self.name.is_none() && self.hwclock.is_none() {
            let error = Error::param("name", "is missing; give `name` or `hwclock`");
            return Err(error.telling("msg", "one of the following is required: hwclock, name"));
        }
        let mut plan = Plan::nothing();
        if let Some(Word(name)) = &self.name {
            plan.edits = zone(host, name)?;
            if !plan.edits.is_empty() && is_systemd(host)? {
                plan = plan.returning("msg", format!("executed `/usr/bin/timedatectl set-timezone {name}`"));
            }
        }
        if let Some(clock) = self.hwclock {
            plan.edits.extend(hardware(host, clock)?);
        }
        Ok(plan)
    }

    fn intent(&self) -> Vec<Diff> {
        let zone =
            self.name.as_ref().map(|Word(name)| Diff::new(LINK, "link", Shown::Unknown, format!("{ZONES}/{name}")));
        let clock = self.hwclock.map(|clock| diff(Shown::Unknown, clock));
        zone.into_iter().chain(clock).collect()
    }
}

fn zone(host: &dyn Host, name: &str) -> Result<Vec<Edit>, Error> {
    let file = PathBuf::from(format!("{ZONES}/{name}"));
    // Some names are links to others.
    if !common::resolve(host, &file)?.1.is_some_and(|stat| stat.is_file()) {
        let error = Error::param("name", format!("there is no time zone `{name}` ({} is no file)", file.display()));
        return Err(error.telling("msg", format!("Error message:\ngiven timezone \"{name}\" is not available")));
    }
    let mut edits = Vec::new();
    let link = Path::new(LINK);
    let before = match host.stat(link)?.map(|stat| stat.kind) {
        Some(Kind::Link(target)) => Some(target),
        Some(kind) => {
            edits.push(Edit::Remove { path: link.into(), before: kind });
            None
        }
        None => None,
    };
    let is = |target: &PathBuf| target.to_string_lossy().split_once("/zoneinfo/").is_some_and(|(_, now)| now == name);
    if !before.as_ref().is_some_and(is) {
        // As timedatectl(1) writes it, where there is one.
        let after = if is_systemd(host)? { PathBuf::from(format!("..{ZONES}/{name}")) } else { file };
        edits.push(Edit::Link { path: link.into(), before, after });
    }
    let known = Path::new(NAME);
    if host.stat(known)?.is_some() && common::text(host, known)?.trim() != name {
        edits.extend(common::put(host, known, format!("{name}\n"))?.edits);
    }
    Ok(edits)
}

fn is_systemd(host: &dyn Host) -> Result<bool, Error> {
    Ok(host.stat(Path::new("/run/systemd/system"))?.is_some())
}

/// The third line of adjtime(5) says it; without one it is UTC.
fn hardware(host: &dyn Host, wanted: Clock) -> Result<Option<Edit>, Error> {
    let adjusted = common::text(host, Path::new("/etc/adjtime"))?;
    let now = if adjusted.lines().nth(2) == Some("LOCAL") { Clock::Local } else { Clock::Utc };
    if now == wanted {
        return Ok(None);
    }
    let local = wanted == Clock::Local;
    let command = match is_systemd(host)? {
        true => Command::new("timedatectl", ["set-local-rtc", if local { "yes" } else { "no" }]),
        false => Command::new("hwclock", ["--systohc", if local { "--localtime" } else { "--utc" }]),
    };
    Ok(Some(Edit::run(command, vec![diff(now.word(), wanted)], Reach::Stated)))
}

fn diff(before: impl Into<Shown>, after: Clock) -> Diff {
    Diff::new("hardware clock", "time", before, after.word())
}

impl Clock {
    fn word(self) -> &'static str {
        if self == Self::Utc { "UTC" } else { "local" }
    }
}
