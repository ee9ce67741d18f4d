//! What the bootstrap says to a host's shell, and what it hears.
//!
//! The text goes through the user's login shell, whatever that is, inside single quotes: so it is one line, without
//! single quotes, backslashes and exclamation marks, which csh and fish treat in their own ways. Inside is POSIX `sh`.
//! What a script has to say is a line that begins with [`MARK`]; all else is what the shell's rc files print.

use super::agents::{Agent, Agents};

/// Begins each report, wherever on its line it stands.
const MARK: &str = "TRUEUP-BOOT:";

/// What begins every script.
const SAY: &str = "say() { echo \"TRUEUP-BOOT:$*\"; }; ";

/// What an agent that is started does.
pub(super) const SERVE: &str = "serve";

/// Starts the agent where root has it, and goes on otherwise. A shell of its own would cost as much as the agent's start, so this
/// is said to the login shell itself, in words that bash, dash, zsh, ksh, csh and fish have in common; one that has not (`&&` came
/// to fish with 3.0) is told [`start`] alone. Whoever owns the directory may run what is in it; /var/tmp is this machine's own, and
/// only root could let others write there.
pub(super) fn start_at_once(agents: &Agents, remote_tmp: Option<&str>, what: &str) -> String {
    if remote_tmp.is_some() {
        return String::new();
    }
    let d = "/var/tmp/trueup-0";
    let file = |agent: &Agent| format!("{d}/agent-{}", agent.short_hash());
    let start = |agent: &Agent| {
        let others = agents.carried.iter().filter(|other| other.sha256 != agent.sha256);
        let alone: String = others.map(|other| format!("test ! -e {} && ", file(other))).collect();
        let f = file(agent);
        format!("test ! -h {d} && test -O {d} && {alone}test -x {f} && echo {MARK}started {d} && exec {f} {what}; ")
    };
    agents.carried.iter().map(start).collect()
}

/// Sets `u`, the user, and `d`, the agent's directory: a subdirectory of its own, so that a directory that is shared,
/// like /tmp, will do. `check` refuses a directory in which somebody else could have put a file.
const COMMON: &str = concat!(
    "u=$(id -u); b=${1:-/var/tmp}; case $b in \"~/\"*) b=$HOME/${b#??};; esac; d=${b%/}/trueup-$u; ",
    "check() { ",
    "if [ -h \"$d\" ]; then say refused $d it is a symbolic link; exit 3; fi; ",
    "set -- $(LC_ALL=C ls -ldn \"$d\"); ",
    "case $1 in ",
    "d????w*|d???????w*) say refused $d others may write to it; exit 3;; ",
    "d*) ;; ",
    "*) say refused $d it is not a directory; exit 3;; esac; ",
    "[ \"$3\" = \"$u\" ] || { say refused $d it belongs to user $3; exit 3; }; ",
    "}; ",
);

/// Starts the agent to serve. Where it is missing, asks for it, puts it in its place, whole or not at all, and starts it then:
/// a command of its own for each would cost several times what the upload takes. `ahead` is how many bytes are said without
/// waiting for the agent; where it is missing they have to be said again, once it is in its place.
pub(super) fn start(agents: &Agents, remote_tmp: Option<&str>, ahead: usize) -> String {
    wrap(&format!("{}{}say started $d; exec \"$f\" {SERVE}", find(agents, SERVE), place(ahead)), remote_tmp)
}

/// Starts an agent that is there once more, to do `what`, and reports that it is missing otherwise.
pub(super) fn start_beside(agents: &Agents, remote_tmp: Option<&str>, what: &str) -> String {
    wrap(&format!("{}say missing $m", find(agents, what)), remote_tmp)
}

/// Starts the agent if it is there, to do `what`. Otherwise sets `m`, the system, `f`, the agent's file, and `n`, its size.
fn find(agents: &Agents, what: &str) -> String {
    let arm = |agent: &Agent| {
        let Agent { arch, size, .. } = agent;
        format!("\"Linux {arch}\") f=$d/agent-{}; n={size};; ", agent.short_hash())
    };
    let arms: String = agents.carried.iter().map(arm).collect();
    format!(
        "{SAY}{COMMON}m=$(uname -sm); case $m in {arms}*) say missing $m; exit 3;; esac; \
         if [ -e \"$d\" ] || [ -h \"$d\" ]; then check; fi; \
         if [ -x \"$f\" ]; then say started $d; exec \"$f\" {what}; fi; "
    )
}

/// Takes the agent from stdin. Asks for it only when all that was said `ahead` is read, and says when it has arrived: a `head`
/// may read further than it was told to. That nothing is changed on the way is SSH's promise; only the end may be missing. All
/// this stands in a shell of its own, so that the agent's surroundings stay as they were. Agents that nobody has replaced for a
/// month are removed meanwhile.
fn place(ahead: usize) -> String {
    format!(
        "( LC_ALL=C; export LC_ALL; umask 022; t=${{f%/*}}/.${{f##*/}}.$$; \
         give_up() {{ rm -f \"$t\"; say \"$@\"; exit 3; }}; trap \"give_up short\" 1 2 15; \
         c=check; [ -d \"$d\" ] || {{ {{ [ -d \"$b\" ] || mkdir -p \"$b\"; }} && mkdir \"$d\" && c=:; }} || [ -d \"$d\" ] || \
         give_up failed $d; $c; \
         k=\"head -c \"; ${{k}}{ahead} >/dev/null 2>&1 || {{ k=\"dd bs=1 count=\"; ${{k}}{ahead} >/dev/null; }}; \
         say wanted $m; $k$n >\"$t\" || give_up failed $d; \
         [ $(wc -c <\"$t\") -eq $n ] || give_up short; \
         chmod 755 \"$t\" && mv -f \"$t\" \"$f\" || give_up failed $d; [ -x \"$f\" ] || give_up noexec $d; say placed $d; \
         find \"$d\" -type f -name \"*agent-*\" -mtime +30 -exec rm -f {{}} + </dev/null >/dev/null 2>&1 & \
         ) || exit 3; "
    )
}

fn wrap(script: &str, remote_tmp: Option<&str>) -> String {
    format!("exec sh -c '{script}' trueup '{}'", remote_tmp.unwrap_or_default())
}

/// Whether a directory's name can stand between single quotes in every shell.
pub(super) fn is_quotable(directory: &str) -> bool {
    !directory.contains(|c: char| matches!(c, '\'' | '\\' | '!') || c.is_control())
}

/// What a script reports.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Report {
    /// The agent in this directory was started; what it says comes next.
    Started { dir: String },
    /// There is no agent for this system, as `uname -sm` writes it.
    Missing { system: String },
    /// The agent for this system is to be sent now.
    Wanted { system: String },
    /// The directory is not to be trusted.
    Refused { dir: String, reason: String },
    /// A command failed; its stderr says why.
    Failed { dir: String },
    /// The agent arrived with another size or another content.
    Short,
    /// The agent is there and cannot be executed.
    NoExec { dir: String },
    /// The agent is there.
    Placed,
}

/// The last report in what a shell has printed, if its line is complete.
pub(super) fn last_report(output: &[u8]) -> Option<Report> {
    let text = String::from_utf8_lossy(output);
    let (complete, _) = text.rsplit_once('\n')?;
    complete.lines().rev().find_map(|line| report(line.split_once(MARK)?.1.trim_end()))
}

/// The first report that asks for something, and how many bytes there are up to its end.
pub(super) fn first_question(output: &[u8]) -> Option<(Report, usize)> {
    let mut end = 0;
    output.split_inclusive(|byte| *byte == b'\n').find_map(|line| {
        end += line.len();
        match last_report(line)? {
            report @ (Report::Wanted { .. } | Report::Placed) => Some((report, end)),
            _ => None,
        }
    })
}

fn report(text: &str) -> Option<Report> {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let dir = rest.to_owned();
    Some(match word {
        "started" => Report::Started { dir },
        "missing" => Report::Missing { system: rest.to_owned() },
        "wanted" => Report::Wanted { system: rest.to_owned() },
        "refused" => {
            let (dir, reason) = rest
                .split_once(" it ")
                .map(|(dir, reason)| (dir, format!("it {reason}")))
                .or_else(|| rest.split_once(" others ").map(|(dir, reason)| (dir, format!("others {reason}"))))?;
            Report::Refused { dir: dir.to_owned(), reason }
        }
        "failed" => Report::Failed { dir },
        "short" => Report::Short,
        "noexec" => Report::NoExec { dir },
        "placed" => Report::Placed,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_survive_every_login_shell() {
        let agents = Agents { carried: vec![Agent::pack("x86_64", b"abc").unwrap()], local: None };
        for command in [start(&agents, Some("~/tmp"), 7), start_beside(&agents, None, "lane x 1")] {
            let script = command.strip_prefix("exec sh -c '").unwrap();
            let (script, _) = script.split_once("' trueup '").unwrap();
            assert!(!script.contains(['\'', '\\', '\n', '!']), "{script}");
        }
        // csh takes `!` for itself, unless a space follows.
        let at_once = start_at_once(&agents, None, SERVE).replace("! ", "");
        assert!(!at_once.contains(['\'', '"', '\\', '\n', '!', '$', '(', '*', '>']), "{at_once}");
    }

    #[test]
    fn reports() {
        let dir = || "/var/tmp/trueup-0".to_owned();
        for (output, expected) in [
            ("hello\nTRUEUP-BOOT:missing Linux riscv64\n", Some(Report::Missing { system: "Linux riscv64".into() })),
            ("no newline TRUEUP-BOOT:started /var/tmp/trueup-0\n", Some(Report::Started { dir: dir() })),
            ("TRUEUP-BOOT:started /var/tmp/trueup-0", None),
            (
                "TRUEUP-BOOT:refused /var/tmp/trueup-0 it belongs to user 7\r\n",
                Some(Report::Refused { dir: dir(), reason: "it belongs to user 7".into() }),
            ),
            (
                "TRUEUP-BOOT:refused /var/tmp/trueup-0 others may write to it\n",
                Some(Report::Refused { dir: dir(), reason: "others may write to it".into() }),
            ),
            ("TRUEUP-BOOT:placed /var/tmp/trueup-0\nbye\n", Some(Report::Placed)),
            ("Last login: today\n", None),
        ] {
            assert_eq!(last_report(output.as_bytes()), expected, "{output}");
        }
    }

    #[test]
    fn directories_that_can_be_quoted() {
        for (directory, expected) in
            [("/srv/my tmp", true), ("~/x", true), ("/it's", false), ("/a\\b", false), ("/a\nb", false), ("/a!", false)]
        {
            assert_eq!(is_quotable(directory), expected, "{directory:?}");
        }
    }
}
