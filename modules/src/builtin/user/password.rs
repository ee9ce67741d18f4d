//! Password hashes, and where the host keeps them.

use std::path::Path;

use crate::host::{Error, Host};
use crate::secret::Secret;

/// The hash in shadow(5).
pub(super) fn shadow(name: &str, host: &dyn Host) -> Result<Option<Secret>, Error> {
    let file = host.read(Path::new("/etc/shadow"))?.unwrap_or_default();
    let text = String::from_utf8_lossy(&file);
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    Ok(line.map(|line| Secret::new(line.split(':').next().unwrap_or_default())))
}

/// A number of shadow(5) that counts days.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Days {
    /// Until the password may be changed again.
    Least = 2,
    /// Until it must be changed.
    Most = 3,
    /// How long before that there are warnings.
    Warning = 4,
    /// How long after that the account still lets in who changes it.
    Grace = 5,
    /// From 1970 until the account expires; `None` for never.
    Expiry = 6,
}

pub(super) fn days(which: Days, name: &str, host: &dyn Host) -> Result<Option<i64>, Error> {
    let file = host.read(Path::new("/etc/shadow"))?.unwrap_or_default();
    let text = String::from_utf8_lossy(&file);
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    Ok(line.and_then(|line| line.split(':').nth(which as usize)?.parse().ok()))
}

/// Whether a text may stand in shadow(5): a hash (`$6$…`, or 13 letters of old), or what no password fits (`!`, `*`).
pub(super) fn is_hash(text: &str) -> bool {
    let old = text.len() == 13 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"./".contains(&byte));
    let marked = text.starts_with(['$', '!', '*']) && !text.contains([':', '\n']);
    old || marked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_stand_in_shadow() {
        let table = [
            ("$6$salt$hash", true),
            ("$y$j9T$salt$hash", true),
            ("!", true),
            ("*", true),
            ("ab3Ju./9fdE2k", true),
            ("", false),
            ("hunter2", false),
            ("$6$salt$hash:0:", false),
            ("!\nroot::0", false),
        ];
        for (text, wanted) in table {
            assert_eq!(is_hash(text), wanted, "{text:?}");
        }
    }
}
