//! The command line that makes another user of us.

use crate::wire::{Become, Method};

/// What sudo prints on standard error when it wants the password, so that a second question is seen for what it is.
pub(crate) const PROMPT: &str = "trueup-sudo-password:";

/// The words that run `program` as another user, who is told to serve by its argument. Words of `flags` are separated by blanks
/// and take the place of sudo's `-H`; no shell reads them.
pub(crate) fn words(become_: &Become, program: &str) -> Vec<String> {
    let flags = |otherwise: &str| -> Vec<String> {
        become_.flags.as_deref().unwrap_or(otherwise).split_whitespace().map(str::to_owned).collect()
    };
    let mut words = vec![become_.exe.clone().unwrap_or_else(|| become_.method.program().to_owned())];
    let mut push = |more: &[&str]| words.extend(more.iter().map(|word| (*word).to_owned()));
    match become_.method {
        Method::Sudo => {
            push(if become_.password.is_some() { &["-S", "-p", PROMPT] } else { &["-n"] });
            words.extend(flags("-H"));
            words.extend(["-u", &become_.user, "--", program, "as-user"].map(str::to_owned));
        }
        Method::Doas => {
            // It asks on a terminal only, and there is none.
            push(&["-n"]);
            words.extend(flags(""));
            words.extend(["-u", &become_.user, program, "as-user"].map(str::to_owned));
        }
        // The words behind the user's name are the shell's: its `$0` and what follows.
        Method::Su => {
            words.extend(flags(""));
            let shell = ["-s", "/bin/sh", "-c", "exec \"$0\" \"$@\"", &become_.user, program, "as-user"];
            words.extend(shell.map(str::to_owned));
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines() {
        let base = Become { user: "u".into(), password: None, method: Method::Sudo, exe: None, flags: None };
        let password = Some("p".to_owned());
        let flags = Some("-i  -E".to_owned());
        let exe = Some("/opt/x".to_owned());
        let su = "su -s /bin/sh -c exec \"$0\" \"$@\" u /a as-user";
        let table = [
            (base.clone(), "sudo -n -H -u u -- /a as-user"),
            (Become { password, ..base.clone() }, "sudo -S -p trueup-sudo-password: -H -u u -- /a as-user"),
            (Become { flags: flags.clone(), ..base.clone() }, "sudo -n -i -E -u u -- /a as-user"),
            (Become { exe: exe.clone(), ..base.clone() }, "/opt/x -n -H -u u -- /a as-user"),
            (Become { method: Method::Doas, exe, flags, ..base.clone() }, "/opt/x -n -i -E -u u /a as-user"),
            (Become { method: Method::Su, ..base }, su),
        ];
        for (become_, expected) in table {
            assert_eq!(words(&become_, "/a").join(" "), expected);
        }
    }
}
