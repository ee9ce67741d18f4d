//! `service_facts`: which services there are.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, json};

use crate::host::{Command, Error, Host};
use crate::module::Module;
use crate::plan::Plan;

/// Registers the fact `services`: of each of systemd's services, by its name, its `state` (`running`, `stopped`, `failed`,
/// `inactive` …) and its `status` (`enabled`, `disabled`, `static` …). Changes nothing.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ServiceFacts {}

/// Units that systemd cannot use, by the second word of their lines.
const BROKEN: [&str; 3] = ["not-found", "masked", "failed"];

impl Module for ServiceFacts {
    const NAME: &'static str = "service_facts";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let mut services = Map::new();
        let mut add = |name: &str, state: &str, status: &str| {
            let told = json!({"name": name, "state": state, "status": status, "source": "systemd"});
            services.insert(name.to_owned(), told);
        };
        let units = ask(host, &["list-units", "--no-pager", "--type", "service", "--all", "--plain"])?;
        for line in units.lines() {
            let words: Vec<&str> = line.trim_start_matches('●').split_whitespace().collect();
            let [name, load, active, sub, ..] = words[..] else { continue };
            if !name.ends_with(".service") {
                continue;
            }
            match BROKEN.iter().find(|word| [load, active, sub].contains(word)) {
                Some(broken) => add(name, "stopped", broken),
                None if sub == "running" => add(name, "running", "unknown"),
                None => add(name, "stopped", "unknown"),
            }
        }
        let files = ask(host, &["list-unit-files", "--no-pager", "--type", "service", "--all"])?;
        for line in files.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [name, status, ..] = words[..] else { continue };
            if !name.ends_with(".service") {
                continue;
            }
            match services.get_mut(name) {
                Some(known) if !BROKEN.iter().any(|word| known["status"] == *word) => known["status"] = status.into(),
                Some(_) => {}
                None => {
                    // It knows nothing of templates, such as `autovt@.service`.
                    let show = Command::new("systemctl", ["show", "--property=ActiveState", "--", name]);
                    let shown = host.query(&show)?;
                    let state = shown.stdout.trim().strip_prefix("ActiveState=").filter(|_| shown.success());
                    let state = state.unwrap_or("unknown");
                    let told = json!({"name": name, "state": state, "status": status, "source": "systemd"});
                    services.insert(name.to_owned(), told);
                }
            }
        }
        Ok(Plan::nothing().returning("ansible_facts", json!({ "services": services })))
    }
}

fn ask(host: &dyn Host, args: &[&str]) -> Result<String, Error> {
    let command = Command::new("systemctl", args.iter().copied());
    let output = host.query(&command)?;
    match output.success() {
        true => Ok(output.stdout),
        false => Err(Error::Command { command: command.to_string(), output: Box::new(output) }),
    }
}
