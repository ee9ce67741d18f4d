//! The flags of a file that chattr(1) sets and lsattr(1) tells.

use std::path::Path;

use crate::edit::{Diff, Edit, Reach, Shown};
use crate::host::{Command, Error, Host};

/// What ext4 does by itself: it is neither asked for nor taken away.
const OWN: char = 'e';

/// What sets those flags on what is there, if it has others. Nothing where the host or the file system knows no flags.
pub(super) fn due(host: &dyn Host, path: &Path, wanted: Option<&str>) -> Result<Option<Edit>, Error> {
    let Some(wanted) = wanted.filter(|wanted| !letters(wanted).1.is_empty()) else { return Ok(None) };
    let shown = path.display().to_string();
    let said = match host.query(&Command::new("lsattr", ["-d", "--", &shown])) {
        Ok(said) if said.success() => said.stdout,
        Ok(_) | Err(Error::Program { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let now = said.split_whitespace().next().unwrap_or_default().replace('-', "");
    let holds = match letters(wanted) {
        ('+', flags) => flags.chars().all(|flag| now.contains(flag)),
        ('-', flags) => !flags.chars().any(|flag| now.contains(flag)),
        (_, flags) => sorted(flags) == sorted(&now),
    };
    Ok((!holds).then(|| change(path, wanted, now.into())))
}

/// What sets them on what is new.
pub(super) fn set(path: &Path, wanted: &str) -> Option<Edit> {
    let (sign, flags) = letters(wanted);
    (!flags.is_empty() && sign != '-').then(|| change(path, wanted, Shown::Unknown))
}

/// As chattr(1) takes them; `None` if there are none.
pub(super) fn wanted(flags: &str) -> Option<String> {
    let (sign, flags) = letters(flags);
    (!flags.is_empty()).then(|| format!("{sign}{flags}"))
}

fn change(path: &Path, wanted: &str, before: Shown) -> Edit {
    let (shown, (sign, flags)) = (path.display().to_string(), letters(wanted));
    let wanted = format!("{sign}{flags}");
    let command = Command::new("chattr", [wanted.as_str(), "--", &shown]);
    Edit::run(command, vec![Diff::new(shown, "attributes", before, wanted)], Reach::Stated)
}

/// Whether they are added, taken away or the only ones; and their letters.
fn letters(wanted: &str) -> (char, &str) {
    let sign = wanted.chars().next().filter(|sign| ['+', '-', '='].contains(sign));
    (sign.unwrap_or('='), wanted.strip_prefix(['+', '-', '=']).unwrap_or(wanted))
}

fn sorted(flags: &str) -> Vec<char> {
    let mut flags: Vec<char> = flags.chars().filter(|flag| *flag != OWN).collect();
    flags.sort_unstable();
    flags
}
