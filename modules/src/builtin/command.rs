//! `command`: a program with arguments.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::common;
use crate::edit::{Diff, Edit, Reach, Shown};
use crate::expand;
use crate::host::{Command, Error, Host, Input, Output};
use crate::interpret::Applied;
use crate::module::Module;
use crate::param::{Content, Word};
use crate::plan::{Data, Plan};
use crate::secret::Secret;

/// Runs a program: no shell, so no pipes and no wildcards. Registers `rc`, `stdout`, `stderr`, their lines, `cmd`, `msg`,
/// and `start`, `end` (UTC) and `delta`. It runs each time, and what it changes can't be previewed, unless `creates` or `removes` says when not.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CommandModule {
    /// The command line, split into words at blanks; quotes keep a word together. Must not be given a secret.
    #[schemars(extend("aliases" = ["_raw_params"]))]
    cmd: Option<Word>,
    /// The program and its arguments, in the place of `cmd`. Must not be given a secret.
    #[serde(default)]
    argv: Vec<Word>,
    /// Whether `$NAME`, `${NAME}` and a `~` at the beginning of an argument stand for the value on the host.
    #[serde(default = "super::common::yes")]
    expand_argument_vars: bool,
    /// Ignored, as in Ansible: it is `shell` that has a shell.
    executable: Option<String>,
    /// A path that the program makes, which may hold `*`, `?` and `[…]`: nothing is run if it exists.
    creates: Option<PathBuf>,
    /// A path that the program removes: nothing is run if it does not exist.
    removes: Option<PathBuf>,
    /// The directory to run in; by default that of the connection, which is the user's home, or here the present one.
    chdir: Option<PathBuf>,
    /// What the program reads. May be secret: then what it prints is withheld.
    stdin: Option<Content>,
    /// Whether to add a newline to `stdin`.
    #[serde(default = "super::common::yes")]
    stdin_add_newline: bool,
    /// Whether to drop newlines at the end of `stdout` and `stderr`.
    #[serde(default = "super::common::yes")]
    strip_empty_ends: bool,
}

impl Module for CommandModule {
    const NAME: &'static str = "command";
    const FREE_FORM: Option<&'static str> = Some("cmd");
    const CONVERGES: bool = false;

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let words = self.words()?;
        let (program, args) = words.split_first().ok_or_else(missing)?;
        let line = Command::new(program, args).to_string();
        let expanded = if self.expand_argument_vars { expand::all(host, &words)? } else { words.clone() };
        let command = Command { stdin: self.stdin(), ..Command::new(&expanded[0], &expanded[1..]) };
        let plan = self.run().plan(host, command, &line).map_err(|error| error.telling("cmd", words.as_slice()))?;
        let mut plan = plan.returning("cmd", words);
        if let Some(executable) = &self.executable {
            plan.warnings.push(format!("`command` has no shell: `executable: {executable}` is ignored"));
        }
        Ok(plan)
    }

    fn intent(&self) -> Vec<Diff> {
        let words = self.words().unwrap_or_default();
        let line = words.split_first().map(|(program, args)| Command::new(program, args).to_string());
        line.map(shown).into_iter().collect()
    }

    fn report(&self, applied: &Applied) -> Data {
        report(applied, self.strip_empty_ends)
    }
}

impl CommandModule {
    fn words(&self) -> Result<Vec<String>, Error> {
        match (&self.cmd, self.argv.is_empty()) {
            (Some(cmd), true) => {
                split(&cmd.0).ok_or_else(|| Error::param("cmd", format!("a quote is not closed in `{}`", cmd.0)))
            }
            (Some(_), false) => Err(Error::param("argv", "there is a `cmd` too; give one of them")
                .telling("msg", "parameters are mutually exclusive: _raw_params|cmd|argv")),
            (None, _) => Ok(self.argv.iter().map(|word| word.0.clone()).collect()),
        }
    }

    fn stdin(&self) -> Option<Input> {
        self.stdin.as_ref().map(|content| input(content, self.stdin_add_newline))
    }

    fn run(&self) -> Run<'_> {
        Run { creates: self.creates.as_deref(), removes: self.removes.as_deref(), chdir: self.chdir.as_deref() }
    }
}

/// When and where `command` and `shell` run.
pub(super) struct Run<'a> {
    pub creates: Option<&'a Path>,
    pub removes: Option<&'a Path>,
    pub chdir: Option<&'a Path>,
}

impl Run<'_> {
    /// The one edit, or none. `line` is the command as the user wrote it.
    pub(super) fn plan(&self, host: &dyn Host, command: Command, line: &str) -> Result<Plan, Error> {
        // Of the agent itself.
        let cwd = self.chdir.unwrap_or(Path::new("."));
        if self.chdir.is_some() && !host.stat(&cwd.join("."))?.is_some_and(|stat| stat.is_dir()) {
            let error = Error::path("run in", cwd, "it is not a directory");
            let told = output_data(&Output::default(), true).into_iter();
            let error = told.fold(error, |error, (name, value)| error.telling(&name, value)).telling("rc", Value::Null);
            return Err(error.telling("msg", "Unable to change directory before execution.").telling("cmd", line));
        }
        let there = |path: &Path| common::exists(host, &cwd.join(path));
        let skipped = match (self.creates, self.removes) {
            (Some(path), _) if there(path)? => Some((path, "exists")),
            (_, Some(path)) if !there(path)? => Some((path, "does not exist")),
            _ => None,
        };
        if let Some((path, why)) = skipped {
            let path = path.display();
            let stdout = format!("skipped, since {path} {why}");
            let data = output_data(&Output { stdout, ..Output::default() }, true);
            let plan = Plan { data, ..Plan::default() }.returning("cmd", line);
            return Ok(plan.returning("msg", format!("Did not run command since '{path}' {why}")));
        }
        let command = Command { cwd: Some(cwd.into()), ..command };
        let effect = vec![shown(line)];
        let edit = Edit::run(command, effect, Reach::Anything);
        let data = output_data(&Output::default(), true);
        Ok(Plan { data, ..Plan::nothing() }.with(edit).returning("rc", Value::Null).returning("cmd", line))
    }
}

/// No program is named.
fn missing() -> Error {
    Error::param("cmd", "is missing").telling("msg", "one of the following is required: _raw_params, cmd, argv")
}

/// How a command is shown in a preview.
pub(super) fn shown(line: impl Into<Shown>) -> Diff {
    Diff::new("command", "run", Shown::Absent, line)
}

/// What the program reads.
pub(super) fn input(content: &Content, newline: bool) -> Input {
    let text = format!("{}{}", content.as_str(), if newline { "\n" } else { "" });
    if content.0.secret { Input::Secret(Secret::new(text)) } else { Input::Plain(text) }
}

/// What a program that ran left behind, under Ansible's names.
pub(super) fn report(applied: &Applied, strip: bool) -> Data {
    applied.outputs.last().map(|output| output_data(output, strip)).unwrap_or_default()
}

/// The same of `raw` and `script`, which do not know when it was, and say something only of a failure.
pub(super) fn bare(applied: &Applied) -> Data {
    let mut data = report(applied, false);
    data.retain(|name, value| !matches!(name.as_str(), "start" | "end" | "delta") && (name != "msg" || value != ""));
    data
}

fn output_data(output: &Output, strip: bool) -> Data {
    let end = |text: &str| if strip { text.trim_end_matches(['\r', '\n']).to_owned() } else { text.to_owned() };
    let (stdout, stderr) = (end(&output.stdout), end(&output.stderr));
    let time = output.time.map(|[began, ended]| (moment(began), moment(ended), duration(ended - began)));
    let (start, end, delta) =
        time.map_or((None, None, None), |(start, end, delta)| (Some(start), Some(end), Some(delta)));
    let pairs = [
        ("rc", json!(output.status)),
        ("msg", json!(if output.success() { "" } else { "non-zero return code" })),
        ("start", json!(start)),
        ("end", json!(end)),
        ("delta", json!(delta)),
        ("stdout_lines", json!(common::lines(&stdout))),
        ("stderr_lines", json!(common::lines(&stderr))),
        ("stdout", json!(stdout)),
        ("stderr", json!(stderr)),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// As Python prints a time, in UTC: `2026-02-03 04:05:06.000007`. The days of a date after H. Hinnant,
/// "chrono-compatible low-level date algorithms".
pub(super) fn moment(nanos: i64) -> String {
    let seconds = nanos.div_euclid(1_000_000_000);
    let (days, second) = (seconds.div_euclid(86_400) + 719_468, seconds.rem_euclid(86_400));
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let date = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{date:02} {}", clock(second, nanos.rem_euclid(1_000_000_000) / 1000, 2))
}

/// As Python prints a time span: `0:00:01.000002`.
fn duration(nanos: i64) -> String {
    let seconds = nanos / 1_000_000_000;
    let days = match seconds / 86_400 {
        0 => String::new(),
        1 => "1 day, ".into(),
        days => format!("{days} days, "),
    };
    format!("{days}{}", clock(seconds % 86_400, nanos % 1_000_000_000 / 1000, 1))
}

fn clock(seconds: i64, micros: i64, width: usize) -> String {
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let fraction = if micros == 0 { String::new() } else { format!(".{micros:06}") };
    format!("{hour:0width$}:{minute:02}:{second:02}{fraction}")
}

/// Words as a shell splits them: blanks separate, quotes and backslashes keep together. `None`: a quote is not closed.
fn split(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None | Some('"'), '\\') => {
                let next = chars.next()?;
                let word = word.get_or_insert_default();
                // Within double quotes a backslash counts only before these (POSIX shell, 2.2.3).
                if quote.is_some() && !matches!(next, '"' | '\\' | '$' | '`' | '\n') {
                    word.push('\\');
                }
                word.push(next);
            }
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_printed_like_python_does() {
        for (nanos, wanted) in [
            (0, "1970-01-01 00:00:00"),
            (951_782_400_000_007_000, "2000-02-29 00:00:00.000007"),
            (1_735_689_599_500_000_000, "2024-12-31 23:59:59.500000"),
            (-1_000_000_000, "1969-12-31 23:59:59"),
        ] {
            assert_eq!(moment(nanos), wanted);
        }
        for (nanos, wanted) in [
            (0, "0:00:00"),
            (1_000_002_000, "0:00:01.000002"),
            (3_600_000_000_000, "1:00:00"),
            (200_000 * 1_000_000_000, "2 days, 7:33:20"),
        ] {
            assert_eq!(duration(nanos), wanted);
        }
    }

    #[test]
    fn lines_are_split_like_a_shell_does() {
        let table: [(&str, Option<&[&str]>); 7] = [
            ("ls -l  /tmp", Some(&["ls", "-l", "/tmp"])),
            ("echo 'a b' \"c d\"e", Some(&["echo", "a b", "c de"])),
            (r#"echo "a\"b\n" \  ''"#, Some(&["echo", "a\"b\\n", " ", ""])),
            ("printf '%s\\n'", Some(&["printf", "%s\\n"])),
            ("  ", Some(&[])),
            ("echo 'a", None),
            ("echo \\", None),
        ];
        for (line, wanted) in table {
            let words = split(line);
            assert_eq!(
                words.as_ref().map(|words| words.iter().map(String::as_str).collect()),
                wanted.map(<[_]>::to_vec),
                "{line}"
            );
        }
    }
}
