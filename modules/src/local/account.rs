//! The user that the process runs as.

/// What the machine's list of users says of it.
pub(super) struct Account {
    /// The first of its names.
    pub(super) name: String,
    /// Its home directory.
    pub(super) home: String,
}

/// The user that the process runs as, if the list has it.
pub(super) fn own() -> Option<Account> {
    let uid = uid();
    let passwd = passwd()?;
    let line = passwd.lines().find(|line| field(line, 2) == uid)?;
    Some(Account { name: field(line, 0).to_owned(), home: field(line, 5).to_owned() })
}

/// Whether that is a name of the user that the process runs as.
pub(super) fn is_own(name: &str) -> bool {
    let uid = uid();
    passwd().is_some_and(|passwd| passwd.lines().any(|line| field(line, 0) == name && field(line, 2) == uid))
}

/// From the file that a static binary can read.
fn passwd() -> Option<String> {
    std::fs::read_to_string("/etc/passwd").ok()
}

fn uid() -> String {
    rustix::process::geteuid().as_raw().to_string()
}

fn field(line: &str, n: usize) -> &str {
    line.split(':').nth(n).unwrap_or_default()
}
