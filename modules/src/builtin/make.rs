//! `make`: targets of a Makefile.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::common;
use crate::edit::{Diff, Edit, Reach, Shown};
use crate::host::{Command, Error, Host};
use crate::interpret::Applied;
use crate::module::Module;
use crate::param::Word;
use crate::plan::{Data, Plan};

/// Runs make(1) where `make --question` says that something is not up to date. A target that never is (as most that are
/// phony) is made each time.
#[derive(Deserialize, JsonSchema)]
#[schemars(extend("exclusive" = ["target|targets"]))]
#[serde(deny_unknown_fields)]
pub(super) struct Make {
    /// Where.
    chdir: PathBuf,
    /// What is made; the Makefile's first target by default.
    target: Option<Word>,
    /// The same for several.
    targets: Option<Vec<Word>>,
    /// Variables, with their values; one without a value is an option.
    params: Option<BTreeMap<String, Value>>,
    /// The Makefile.
    file: Option<PathBuf>,
    /// How many things are made at the same time.
    jobs: Option<u32>,
    /// The program; `gmake` or else `make` by default.
    make: Option<PathBuf>,
}

impl Module for Make {
    const NAME: &'static str = "make";
    const CONVERGES: bool = false;

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let command = self.command(host)?;
        let mut question = command.clone();
        question.args.push("-q".into());
        let output = host.query(&question)?;
        let given = |word: &Word| word.0.clone();
        let told = [
            ("target", json!(self.target.as_ref().map(given))),
            ("targets", json!(self.targets.as_ref().map(|all| all.iter().map(given).collect::<Vec<_>>()))),
            ("params", json!(self.params)),
            ("chdir", json!(self.chdir)),
            ("file", json!(self.file)),
            ("jobs", json!(self.jobs)),
            ("command", json!(command.to_string())),
        ];
        let plan = told.into_iter().fold(Plan::nothing(), |plan, (name, value)| plan.returning(name, value));
        if output.success() {
            let output =
                crate::host::Output { stdout: trimmed(&output.stdout), stderr: trimmed(&output.stderr), ..output };
            return Ok(Plan { data: plan.data.into_iter().chain(common::said(&output)).collect(), ..Plan::nothing() });
        }
        Ok(plan.with(Edit::run(command, self.intent(), Reach::Anything)))
    }

    fn intent(&self) -> Vec<Diff> {
        let one = self.target.iter().chain(self.targets.iter().flatten()).map(|Word(word)| word.as_str());
        let targets: Vec<&str> = one.collect();
        let subject = format!("make in {}", self.chdir.display());
        let targets = if targets.is_empty() { "the default target".to_owned() } else { targets.join(" ") };
        vec![Diff::new(subject, "target", Shown::Unknown, targets)]
    }

    fn report(&self, applied: &Applied) -> Data {
        let Some(output) = applied.outputs.last().cloned() else { return Data::new() };
        if !output.success() {
            let mut data = common::said(&output);
            data.insert("msg".into(), output.stderr.trim_end().into());
            data.insert("rc".into(), output.status.into());
            return data;
        }
        common::said(&crate::host::Output {
            stdout: trimmed(&output.stdout),
            stderr: trimmed(&output.stderr),
            ..output
        })
    }
}

impl Make {
    fn command(&self, host: &dyn Host) -> Result<Command, Error> {
        let program = match &self.make {
            Some(program) => program.display().to_string(),
            None => match common::whole_path(host, "gmake")? {
                found if found.starts_with('/') => found,
                _ => common::whole_path(host, "make")?,
            },
        };
        let mut args = Vec::new();
        args.extend(self.jobs.iter().flat_map(|jobs| ["-j".to_owned(), jobs.to_string()]));
        args.extend(self.file.iter().flat_map(|file| ["-f".to_owned(), file.display().to_string()]));
        args.extend(self.target.iter().chain(self.targets.iter().flatten()).map(|Word(word)| word.clone()));
        for (name, value) in self.params.iter().flatten() {
            args.push(match value {
                Value::Null => name.clone(),
                Value::String(text) => format!("{name}={text}"),
                Value::Bool(flag) => format!("{name}={}", if *flag { "True" } else { "False" }),
                other => format!("{name}={other}"),
            });
        }
        Ok(Command { cwd: Some(self.chdir.clone()), ..Command::new(program, args) })
    }
}

fn trimmed(text: &str) -> String {
    text.trim_end_matches(['\r', '\n']).to_owned()
}
