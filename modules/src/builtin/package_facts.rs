//! `package_facts`: what is installed.

use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::host::{Command, Error, Host};
use crate::module::Module;
use crate::plan::Plan;

/// Registers the fact `packages`: of each installed package, by its name, a list of what is installed of it. Changes nothing.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PackageFacts {
    /// Which package managers to ask: `auto`, `apt`, `rpm`, `apk`. The first that the host has answers.
    #[serde(default = "auto")]
    manager: Vec<String>,
    /// Whether the `first` that the host has is asked, or `all` of them.
    #[serde(default)]
    #[schemars(extend("listed" = ["first", "all"]))]
    strategy: Strategy,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Strategy {
    /// One.
    #[default]
    First,
    /// Every one.
    All,
}

fn auto() -> Vec<String> {
    vec!["auto".into()]
}

/// A package manager: its name, other names, its program, how it is asked, and what the fields of its lines are.
struct Manager {
    name: &'static str,
    aliases: &'static [&'static str],
    program: &'static str,
    args: &'static [&'static str],
    fields: &'static [&'static str],
}

const MANAGERS: [Manager; 2] = [
    Manager {
        name: "apt",
        aliases: &[],
        program: "/usr/bin/dpkg-query",
        args: &[
            "--show",
            "--showformat",
            "${Package}\\t${Version}\\t${Architecture}\\t${Section}\\t${db:Status-Status}\\n",
        ],
        fields: &["name", "version", "arch", "category"],
    },
    Manager {
        name: "rpm",
        aliases: &["dnf", "dnf5", "yum", "zypper"],
        program: "/usr/bin/rpm",
        args: &["-qa", "--queryformat", "%{NAME}\\t%{VERSION}\\t%{RELEASE}\\t%{EPOCHNUM}\\t%{ARCH}\\n"],
        fields: &["name", "version", "release", "epoch", "arch"],
    },
];

impl Module for PackageFacts {
    const NAME: &'static str = "package_facts";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let auto = self.manager.iter().any(|name| name == "auto");
        let named = |manager: &&Manager| {
            auto || self.manager.iter().any(|name| name == manager.name || manager.aliases.contains(&name.as_str()))
        };
        let mut packages: Option<Map<String, Value>> = None;
        for manager in MANAGERS.iter().filter(named) {
            if host.stat(Path::new(manager.program))?.is_some()
                && (packages.is_none() || self.strategy == Strategy::All)
            {
                manager.list(host, packages.get_or_insert_default())?;
            }
        }
        let Some(packages) = packages else {
            let asked = self.manager.join(", ");
            let error = Error::Unsupported(format!("the host has none of the package managers asked for: {asked}"));
            let msg = format!(
                "Could not detect a supported package manager from the following list: ['{}'], or the \
                 required Python library is not installed. Check warnings for details.",
                self.manager.join("', '")
            );
            return Err(error.telling("msg", msg));
        };
        Ok(Plan::nothing().returning("ansible_facts", json!({ "packages": packages })))
    }
}

impl Manager {
    fn list(&self, host: &dyn Host, packages: &mut Map<String, Value>) -> Result<(), Error> {
        let command = Command::new(self.program, self.args.iter().copied());
        let output = host.query(&command)?;
        if !output.success() {
            return Err(Error::Command { command: command.to_string(), output: Box::new(output) });
        }
        for line in output.stdout.lines() {
            let values: Vec<&str> = line.split('\t').collect();
            // What is only configured is not installed (dpkg-query(1)).
            if values.len() < self.fields.len()
                || values.get(self.fields.len()).is_some_and(|state| *state != "installed")
            {
                continue;
            }
            let pairs =
                self.fields.iter().zip(&values).map(|(field, value)| ((*field).to_owned(), Value::from(*value)));
            let mut package: Map<String, Value> = pairs.collect();
            package.insert("source".into(), self.name.into());
            if let Some(epoch) = package.get("epoch").and_then(Value::as_str) {
                let epoch = epoch.parse::<u64>().ok().filter(|epoch| *epoch > 0);
                package.insert("epoch".into(), json!(epoch));
            }
            let known = packages.entry(values[0]).or_insert_with(|| json!([]));
            known.as_array_mut().into_iter().for_each(|list| list.push(package.clone().into()));
        }
        Ok(())
    }
}
