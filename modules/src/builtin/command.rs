//! `command`: a program with arguments.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::edit::{Diff, Edit, Reach, Shown};
use crate::host::{Command, Error, Host, Input, Output};
use crate::interpret::Applied;
use crate::module::Module;
use crate::param::{Content, Word};
use crate::plan::{Data, Plan};
use crate::secret::Secret;

/// Runs a program: no shell, so no pipes, no variables, no wildcards. Registers `rc`, `stdout`, `stderr`, their lines,
/// and `cmd`. It runs each time, and what it changes can't be previewed, unless `creates` or `removes` says when not.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CommandModule {
    /// The command line, split into words at blanks; quotes keep a word together. Must not be given a secret.
    #[schemars(extend("aliases" = ["_raw_params"]))]
    cmd: Option<Word>,
    /// The program and its arguments, in the place of `cmd`. Must not be given a secret.
    #[serde(default)]
    argv: Vec<Word>,
    /// A path that the program makes: nothing is run if it exists.
    creates: Option<PathBuf>,
    /// A path that the program removes: nothing is run if it does not exist.
    removes: Option<PathBuf>,
    /// The directory to run in; `/` by default.
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
        let (program, args) = words.split_first().ok_or_else(|| Error::param("cmd", "is missing"))?;
        let command = Command { stdin: self.stdin(), ..Command::new(program, args) };
        let line = command.to_string();
        Ok(self.run().plan(host, command, &line)?.returning("cmd", words))
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
            (Some(_), false) => Err(Error::param("argv", "there is a `cmd` too; give one of them")),
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
        let there =
            |path: &Path| host.stat(&self.chdir.unwrap_or(Path::new("/")).join(path)).map(|stat| stat.is_some());
        let skipped = match (self.creates, self.removes) {
            (Some(path), _) if there(path)? => Some(format!("skipped, since {} exists", path.display())),
            (_, Some(path)) if !there(path)? => Some(format!("skipped, since {} does not exist", path.display())),
            _ => None,
        };
        if let Some(stdout) = skipped {
            let data = output_data(&Output { stdout, ..Output::default() }, true);
            return Ok(Plan { data, ..Plan::default() }.returning("cmd", line));
        }
        let command = Command { cwd: self.chdir.map(Into::into), ..command };
        let effect = vec![shown(line)];
        let edit = Edit::Run { command, effect, makes: Vec::new(), reach: Reach::Anything, progress: None };
        Ok(Plan::nothing().with(edit).returning("cmd", line))
    }
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

fn output_data(output: &Output, strip: bool) -> Data {
    let end = |text: &str| if strip { text.trim_end_matches(['\r', '\n']).to_owned() } else { text.to_owned() };
    let (stdout, stderr) = (end(&output.stdout), end(&output.stderr));
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let pairs = [
        ("rc", json!(output.status)),
        ("stdout_lines", json!(lines(&stdout))),
        ("stderr_lines", json!(lines(&stderr))),
        ("stdout", json!(stdout)),
        ("stderr", json!(stderr)),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
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
