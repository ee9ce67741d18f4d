//! When a file was read and changed, as it shall be.

use std::path::Path;

use crate::edit::{Diff, Edit, Reach, Shown};
use crate::host::{Command, Error, Host, Stat};

/// How a time is written if nothing is said: `202602030405.06`.
pub(super) fn format() -> String {
    "%Y%m%d%H%M.%S".into()
}

/// `now`, `preserve` or a time, and how that is written.
pub(super) struct Times<'a> {
    /// Of the content.
    pub modification: (String, &'a str),
    /// Of reading.
    pub access: (String, &'a str),
}

impl Times<'_> {
    /// Whether each run changes something.
    pub(super) fn now(&self) -> bool {
        self.modification.0 == "now" || self.access.0 == "now"
    }

    /// What sets those that are not as they shall be. A file that is new has the present time.
    pub(super) fn edits(&self, host: &dyn Host, path: &Path, now: Option<&Stat>) -> Result<Vec<Edit>, Error> {
        let sides = [("modification_time", &self.modification, "-m", 1), ("access_time", &self.access, "-a", 0)];
        let mut edits = Vec::new();
        for (name, (value, format), flag, at) in sides {
            let stamp = match value.as_str() {
                "preserve" => continue,
                "now" if now.is_none() => continue,
                "now" => None,
                time => Some(stamp(name, time, format)?),
            };
            let before = now.map(|now| now.detail.times[at].div_euclid(1_000_000_000));
            if let Some(stamp) = &stamp
                && before == Some(epoch(host, stamp)?)
            {
                continue;
            }
            let subject = path.display().to_string();
            let args = stamp.iter().flat_map(|stamp| ["-d", stamp.as_str()]);
            let args = ["-c", flag].into_iter().chain(args).chain(["--", subject.as_str()]);
            let command = Command::new("touch", args);
            // Of a file that a preview has only pending, the time before is not known: it is never shown.
            let effect = vec![Diff::new(&subject, name, Shown::Absent, value.as_str())];
            edits.push(Edit::Run { command, effect, makes: Vec::new(), reach: Reach::Stated, progress: None });
        }
        Ok(edits)
    }
}

/// Seconds since 1970 of a time in the host's zone.
fn epoch(host: &dyn Host, stamp: &str) -> Result<i64, Error> {
    let command = Command::new("date", ["-d", stamp, "+%s"]);
    let output = host.query(&command)?;
    let number = output.stdout.trim().parse().ok().filter(|_| output.success());
    number.ok_or_else(|| Error::Command { command: command.to_string(), output: Box::new(output) })
}

/// A time as touch(1) and date(1) read it: `2026-02-03 04:05:06`.
fn stamp(param: &str, time: &str, format: &str) -> Result<String, Error> {
    let wrong = || {
        let error = Error::param(param, format!("`{time}` is not written as `{format}`"));
        error.telling("msg", format!("Error while obtaining timestamp for time {time} using format {format}: time data '{time}' does not match format '{format}'"))
    };
    let mut parts = [1970, 1, 1, 0, 0, 0];
    let (mut rest, mut wanted) = (time, format.chars());
    while let Some(c) = wanted.next() {
        if c != '%' {
            rest = rest.strip_prefix(c).ok_or_else(wrong)?;
            continue;
        }
        let (at, width) = match wanted.next() {
            Some('Y') => (0, 4),
            Some('m') => (1, 2),
            Some('d') => (2, 2),
            Some('H') => (3, 2),
            Some('M') => (4, 2),
            Some('S') => (5, 2),
            _ => return Err(Error::param(&format!("{param}_format"), "may have %Y, %m, %d, %H, %M and %S only")),
        };
        let digits = rest.bytes().take(width).take_while(u8::is_ascii_digit).count();
        parts[at] = rest[..digits].parse::<u32>().map_err(|_| wrong())?;
        rest = &rest[digits..];
    }
    let [year, month, day, hour, minute, second] = parts;
    if !rest.is_empty()
        || !(1..=12).contains(&month)
        || !(1..=31).contains(&day)
        || hour > 23
        || minute > 59
        || second > 61
    {
        return Err(wrong());
    }
    Ok(format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_by_their_format() {
        let table = [
            ("202602030405.06", "%Y%m%d%H%M.%S", Some("2026-02-03 04:05:06")),
            ("2026-2-3", "%Y-%m-%d", Some("2026-02-03 00:00:00")),
            ("202602030405", "%Y%m%d%H%M.%S", None),
            ("202613030405.06", "%Y%m%d%H%M.%S", None),
            ("tomorrow", "%Y", None),
            ("2026x", "%Y", None),
            ("2026", "%G", None),
        ];
        for (time, format, wanted) in table {
            assert_eq!(stamp("access_time", time, format).ok().as_deref(), wanted, "{time}");
        }
    }
}
