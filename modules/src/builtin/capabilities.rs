//! `capabilities`: what a program may do without being root.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::common;
use super::state::State;
use crate::edit::{Diff, Edit, Reach, Shown};
use crate::host::{Command, Error, Host};
use crate::interpret::Applied;
use crate::module::Module;
use crate::param::Word;
use crate::plan::{Data, Plan};

/// A capability (capabilities(7)) of a program's file, by getcap(8) and setcap(8).
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Capabilities {
    /// The file.
    #[schemars(extend("aliases" = ["key"]))]
    path: PathBuf,
    /// The capability with its flags, such as `cap_net_bind_service+ep`. Of one that shall go, the name is enough.
    #[schemars(extend("aliases" = ["cap"]))]
    capability: Word,
    /// Whether the file has it.
    #[serde(default)]
    state: State,
}

/// Name, operator and flags.
type Capability = (String, char, String);

impl Module for Capabilities {
    const NAME: &'static str = "capabilities";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let wanted = self.capability.0.trim().to_lowercase();
        let (name, given) = match parse(&wanted) {
            Some(capability) => (capability.0.clone(), Some(capability)),
            None if self.state == State::Absent => (wanted, None),
            None => {
                let error = Error::param("capability", format!("`{wanted}` has no flags, as in `cap_chown+ep`"));
                return Err(error.telling("msg", "Couldn't find operator (one of: ('=', '-', '+'))"));
            }
        };
        let path = self.path.display().to_string();
        let path = path.trim();
        let command = Command::new("getcap", ["-v", path]);
        let output = host.query(&command)?;
        if !output.success() || !output.stderr.is_empty() || output.stdout.trim_end().ends_with(')') {
            let stderr = output.stderr.clone();
            let error = Error::Command { command: command.to_string(), output: Box::new(output) };
            let msg = format!("Unable to get capabilities of {path}");
            return Err(error.telling("msg", msg).telling("stderr", stderr));
        }
        let now = read(&output.stdout, path);
        let plan = Plan::nothing().returning("state", self.state.word());
        let there = match (&given, self.state) {
            // What was added is told as what is (`=`).
            (Some((name, operator, flags)), State::Present) => now
                .iter()
                .any(|(known, sign, has)| known == name && has == flags && (sign == operator || *operator == '+')),
            _ => now.iter().any(|one| one.0 == name),
        };
        if there == (self.state == State::Present) {
            return Ok(plan);
        }
        let mut after: Vec<Capability> = now.iter().filter(|one| one.0 != name).cloned().collect();
        after.extend(given.filter(|_| self.state == State::Present));
        let shown = |all: &[Capability]| {
            let words: Vec<String> =
                all.iter().map(|(name, operator, flags)| format!("{name}{operator}{flags}")).collect();
            words.join(" ")
        };
        let some = |text: String| Some(text).filter(|text| !text.is_empty());
        let diff = Diff::new(path, "capabilities", some(shown(&now)), some(shown(&after)));
        let set = Command::new("setcap", [shown(&after), path.to_owned()]);
        Ok(plan.returning("msg", "capabilities changed").with(Edit::run(set, vec![diff], Reach::Stated)))
    }

    fn intent(&self) -> Vec<Diff> {
        let after = if self.state == State::Present { Shown::from(self.capability.0.as_str()) } else { Shown::Absent };
        vec![Diff::new(self.path.display().to_string(), "capabilities", Shown::Unknown, after)]
    }

    fn report(&self, applied: &Applied) -> Data {
        applied.outputs.last().map(common::said).unwrap_or_default()
    }
}

fn parse(text: &str) -> Option<Capability> {
    let at = ['=', '-', '+'].into_iter().find_map(|operator| text.find(operator))?;
    Some((text[..at].to_owned(), text[at..].chars().next()?, text[at + 1..].to_owned()))
}

/// `PATH cap_a,cap_b=ep cap_c+p`, and of older ones `PATH = cap_a,cap_b+ep`.
fn read(text: &str, path: &str) -> Vec<Capability> {
    let rest = text.trim().strip_prefix(path).unwrap_or_default().trim_start();
    let rest = rest.strip_prefix("= ").unwrap_or(if rest == "=" { "" } else { rest });
    let mut all = Vec::new();
    for group in rest.to_lowercase().split_whitespace() {
        let Some((names, operator, flags)) = parse(group) else { continue };
        all.extend(names.split(',').map(|name| (name.to_owned(), operator, flags.clone())));
    }
    all
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_getcap_prints() {
        let of = |names: &[&str], operator| -> Vec<super::Capability> {
            names.iter().map(|name| ((*name).to_owned(), operator, "ep".to_owned())).collect()
        };
        for (text, wanted) in [
            ("/bin/a cap_chown,cap_kill=ep\n", of(&["cap_chown", "cap_kill"], '=')),
            ("/bin/a = cap_chown+ep\n", of(&["cap_chown"], '+')),
            ("/bin/a =\n", Vec::new()),
            ("/bin/a\n", Vec::new()),
        ] {
            assert_eq!(super::read(text, "/bin/a"), wanted, "{text}");
        }
    }
}
