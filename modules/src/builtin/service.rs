//! `service`: whether a systemd unit runs, and whether it starts at boot.

mod sysv;

use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::edit::{Diff, Edit, Reach, Shown};
use crate::facts::{Fact, Unit};
use crate::host::{Command, Error, Host, Look};
use crate::module::Module;
use crate::param::{Word, nearest};
use crate::plan::{Data, Plan};

/// A systemd unit: running or not, started at boot or not, masked or not. On a host that something else has started, a
/// script of `/etc/init.d`: running or not, started at boot or not.
///
/// `restarted` and `reloaded` always act, as in Ansible; use them in handlers. So does `started` for a unit that does its
/// work and ends. When a unit does not come up, the failure
/// shows the end of its log.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Service {
    /// The unit; `.service` is added if there is no suffix. Not needed for `daemon_reload` alone.
    #[schemars(extend("aliases" = ["unit", "service"]))]
    name: Option<Word>,
    /// Whether it runs. As it is, if not given.
    #[schemars(extend("listed" = {"service": ["started", "stopped", "reloaded", "restarted"]}))]
    state: Option<State>,
    /// Whether it starts at boot. As it is, if not given. A `static` unit, which others pull in, counts as enabled.
    enabled: Option<bool>,
    /// Whether it is masked: can't be started by any means.
    masked: Option<bool>,
    /// Have systemd read unit files again first, if any has changed since it read them.
    #[serde(default)]
    #[schemars(extend("aliases" = ["daemon-reload"]))]
    daemon_reload: bool,
    /// Have systemd start afresh itself: always.
    #[serde(default)]
    #[schemars(extend("aliases" = ["daemon-reexec"]))]
    daemon_reexec: bool,
    /// Do not wait until the unit has started or stopped.
    #[serde(default)]
    no_block: bool,
    /// Whether links that stand in the way of `enabled` are replaced.
    #[serde(default)]
    force: bool,
    /// Whose units: only the system's are known.
    #[serde(default)]
    #[expect(dead_code, reason = "its one value says what is done")]
    scope: Scope,
    /// Taken for Ansible's sake: there is systemd or nothing.
    #[serde(rename = "use")]
    #[expect(dead_code, reason = "there is nothing to choose from")]
    backend: Option<Word>,
    /// Taken for Ansible's sake, as `pattern`, `runlevel`, `sleep` and `arguments` are: systemd needs none of them.
    #[expect(dead_code, reason = "systemd needs none")]
    pattern: Option<Word>,
    /// See `pattern`.
    #[expect(dead_code, reason = "systemd needs none")]
    runlevel: Option<Word>,
    /// See `pattern`.
    #[expect(dead_code, reason = "systemd needs none")]
    sleep: Option<u32>,
    /// See `pattern`.
    #[schemars(extend("aliases" = ["args"]))]
    arguments: Option<Word>,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Scope {
    /// Those of the system.
    #[default]
    System,
}

#[derive(Clone, Copy, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum State {
    /// It runs.
    Started,
    /// It does not run.
    Stopped,
    /// Stop it if it runs, then start it: always.
    Restarted,
    /// Have it read its configuration, or start it if it does not run: always.
    Reloaded,
}

impl Module for Service {
    const NAME: &'static str = "service";
    const ALIASES: &'static [&'static str] = &["systemd", "systemd_service"];

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        if host.stat(Path::new("/run/systemd/system"))?.is_none() {
            return self.plan_without(host);
        }
        let Some(name) = self.unit_name() else { return self.plan_reload(host) };
        let given = self.name.as_ref().map_or(name.as_str(), |Word(given)| given);
        let unit = host.unit(&name)?;
        if unit.load == "not-found" {
            return Err(
                not_found(&name, host).telling("msg", format!("Could not find the requested service {given}: host"))
            );
        }
        let flags = [(self.no_block, "--no-block"), (self.force, "--force")];
        let flags = flags.into_iter().filter(|(given, _)| *given).map(|(_, flag)| flag).collect();
        let mut steps = Steps { unit, plan: Plan::nothing(), flags };
        if self.daemon_reexec {
            steps.plan.edits.push(reexec());
        }
        if self.daemon_reload && steps.unit.needs_reload {
            steps.reload();
        }
        if self.masked == Some(false) {
            steps.unmask();
        }
        steps.enable(self.enabled);
        if let Some(state) = self.state {
            steps.plan.repeats = state == State::Started && !steps.runs() && ends_at_once(&name, host);
            steps.run(state);
        }
        if self.masked == Some(true) {
            steps.mask();
        }
        let status = status(&name, host);
        Ok(steps.plan.returning("name", given).returning("status", status))
    }

    fn aftermath(&self, _host: &dyn Host) -> Look<Data> {
        let mut told = Data::new();
        told.extend(self.enabled.map(|enabled| ("enabled".to_owned(), enabled.into())));
        let state = self.state.map(|state| if state == State::Stopped { "stopped" } else { "started" });
        told.extend(state.map(|state| ("state".to_owned(), state.into())));
        Ok(told)
    }

    fn intent(&self) -> Vec<Diff> {
        let Some(name) = self.unit_name() else {
            return Vec::new();
        };
        let wanted = |aspect: &str, after: &str| Diff::new(format!("unit {name}"), aspect, Shown::Unknown, after);
        let state = self.state.map(|state| match state {
            State::Stopped => wanted("state", "inactive"),
            State::Started => wanted("state", "active"),
            State::Restarted => wanted("state", "restarted"),
            State::Reloaded => wanted("state", "reloaded"),
        });
        let enabled = self.enabled.map(|enabled| wanted("boot", if enabled { "enabled" } else { "disabled" }));
        let masked = self.masked.map(|masked| masked.then_some("masked"));
        let masked =
            masked.map(|masked| Diff::new(format!("unit {name}"), "masked", Shown::Unknown, Shown::from(masked)));
        state.into_iter().chain(enabled).chain(masked).collect()
    }

    fn explain(&self, host: &dyn Host, error: &Error) -> Option<String> {
        if !matches!(error, Error::Command { .. } | Error::NotConverged { .. }) {
            return None;
        }
        let name = self.unit_name()?;
        let show = ["show", "--property=ActiveState,SubState,Result,ExecMainStatus", "--", &name];
        let log = ["--unit", &name, "--lines=15", "--no-pager", "--output=cat", "--quiet"];
        let said = [Command::new("systemctl", show), Command::new("journalctl", log)]
            .map(|command| host.query(&command).map(|output| output.stdout.trim_end().to_owned()).unwrap_or_default());
        let said: Vec<String> = said.into_iter().filter(|text| !text.is_empty()).collect();
        (!said.is_empty()).then(|| said.join("\n"))
    }

    /// By the word before the unit, or the last one.
    fn lament(&self, error: &Error) -> Option<String> {
        let Error::Command { command, output } = error else { return None };
        let words = command.strip_prefix("systemctl ")?.split(" -- ").next()?;
        let verb = words.rsplit(' ').next()?;
        let name = self.name.as_ref().map_or("", |Word(name)| name);
        let (out, err) = (&output.stdout, &output.stderr);
        Some(match verb {
            "start" | "stop" | "restart" | "reload" => format!("Unable to {verb} service {name}: {err}"),
            "enable" | "disable" => format!("Unable to {verb} service {name}: {out}{err}"),
            "mask" | "unmask" => format!("Failed to {verb} the service ({name}): {}", err.trim()),
            "daemon-reload" | "daemon-reexec" => format!("failure {} during {verb}: {err}", output.status),
            _ => return None,
        })
    }

    fn converges(&self) -> bool {
        !self.daemon_reexec && !matches!(self.state, Some(State::Restarted | State::Reloaded))
    }
}

impl Service {
    fn unit_name(&self) -> Option<String> {
        const SUFFIXES: [&str; 11] =
            ["service", "socket", "device", "mount", "automount", "swap", "target", "path", "timer", "slice", "scope"];
        let Word(name) = self.name.as_ref()?;
        let suffixed = name.rsplit_once('.').is_some_and(|(_, suffix)| SUFFIXES.contains(&suffix));
        Some(if suffixed { name.clone() } else { format!("{name}.service") })
    }

    /// systemd is not there, or is asleep as in most containers: then scripts are what is left, and units can be enabled.
    fn plan_without(&self, host: &dyn Host) -> Result<Plan, Error> {
        let asleep = host.stat(Path::new("/lib/systemd/systemd"))?.is_some();
        let only_units = self.masked.is_some() || self.daemon_reload || self.daemon_reexec;
        let Some(Word(name)) = self.name.as_ref().filter(|_| !asleep && !only_units) else {
            let error = Error::Unsupported("this host was not started by systemd, which `service` needs".into());
            return Err(error.telling("msg", "Service is in unknown state"));
        };
        let arguments = self.arguments.as_ref().map(|Word(arguments)| arguments.as_str());
        sysv::plan(&sysv::Wanted { name, state: self.state, enabled: self.enabled, arguments }, host)
    }

    /// No unit is named: any whose file has changed since systemd read it is a reason to reload.
    fn plan_reload(&self, host: &dyn Host) -> Result<Plan, Error> {
        if self.daemon_reexec && self.state.is_none() && self.enabled.is_none() && self.masked.is_none() {
            return Ok(Plan::nothing().with(reexec()));
        }
        if !self.daemon_reload || self.state.is_some() || self.enabled.is_some() || self.masked.is_some() {
            return Err(Error::param("name", "missing: which unit?"));
        }
        let command = Command::new("systemctl", ["show", "--property=NeedDaemonReload", "*"]);
        let output = host.query(&command)?;
        if !output.success() {
            return Err(Error::Command { command: command.to_string(), output: Box::new(output) });
        }
        let stale = output.stdout.lines().any(|line| line == "NeedDaemonReload=yes");
        Ok(if stale { Plan::nothing().with(reload_edit(Vec::new())) } else { Plan::nothing() })
    }
}

/// systemd starts itself afresh. That is no change: what it knows stays.
fn reexec() -> Edit {
    Edit::run(Command::new("systemctl", ["daemon-reexec"]), Vec::new(), Reach::Stated)
}

/// The edits so far, and the unit as it will be after them.
struct Steps {
    unit: Unit,
    plan: Plan,
    /// Of each systemctl(1).
    flags: Vec<&'static str>,
}

impl Steps {
    fn reload(&mut self) {
        self.unit.needs_reload = false;
        self.plan.edits.push(reload_edit(vec![Fact::Unit(self.unit.clone())]));
    }

    fn unmask(&mut self) {
        if self.unit.enabled == "masked" || self.unit.load == "masked" {
            let after = Unit { load: "loaded".into(), enabled: "disabled".into(), ..self.unit.clone() };
            self.push("unmask", "masked", "masked", Shown::Absent, Reach::Stated, after);
        }
    }

    fn mask(&mut self) {
        if self.unit.enabled != "masked" {
            let after = Unit { load: "masked".into(), enabled: "masked".into(), ..self.unit.clone() };
            self.push("mask", "masked", Shown::Absent, "masked", Reach::Stated, after);
        }
    }

    /// What is neither enabled nor disabled by links of its own (`static`, `generated`, `indirect`) is left alone.
    fn enable(&mut self, wanted: Option<bool>) {
        let before = self.unit.enabled.clone();
        let on = matches!(before.as_str(), "enabled" | "enabled-runtime" | "alias");
        let off = matches!(before.as_str(), "disabled" | "linked" | "linked-runtime" | "masked" | "");
        let (verb, word) = match wanted {
            // What is enabled until the next start only is not enabled.
            Some(true) if off || before == "enabled-runtime" => ("enable", "enabled"),
            Some(false) if on => ("disable", "disabled"),
            _ => return,
        };
        let seen = if before.is_empty() { Shown::Absent } else { Shown::Plain(before) };
        let after = Unit { enabled: word.into(), ..self.unit.clone() };
        self.push(verb, "boot", seen, word, Reach::Stated, after);
    }

    fn runs(&self) -> bool {
        matches!(self.unit.active.as_str(), "active" | "reloading")
    }

    /// What is on its way (`activating`, `deactivating`) is acted upon all the same: systemctl then waits for the end.
    fn run(&mut self, state: State) {
        let before = self.unit.active.clone();
        let runs = self.runs();
        let rests = matches!(before.as_str(), "inactive" | "failed");
        let (verb, shown, active) = match state {
            State::Started if runs => return,
            State::Stopped if rests => return,
            State::Stopped => ("stop", "inactive", "inactive"),
            State::Reloaded if runs => ("reload", "reloaded", "active"),
            State::Started | State::Reloaded => ("start", "active", "active"),
            State::Restarted => ("restart", "restarted", "active"),
        };
        // What starts may make anything: sockets, databases.
        let reach = if state == State::Stopped { Reach::Stated } else { Reach::Anything };
        // What ends by itself is as it was.
        let active = if self.plan.repeats { before.clone() } else { active.into() };
        let after = Unit { active, ..self.unit.clone() };
        self.push(verb, "state", before, shown, reach, after);
    }

    fn push(
        &mut self,
        verb: &str,
        aspect: &str,
        before: impl Into<Shown>,
        shown: impl Into<Shown>,
        reach: Reach,
        after: Unit,
    ) {
        let name = &self.unit.name;
        self.plan.edits.push(Edit::Run {
            command: Command::new("systemctl", self.flags.iter().copied().chain([verb, "--", name])),
            effect: vec![Diff::new(format!("unit {name}"), aspect, before, shown)],
            makes: vec![Fact::Unit(after.clone())],
            reach,
            progress: None,
        });
        self.unit = after;
    }
}

/// systemd reads its files again: that changes nothing by itself.
fn reload_edit(makes: Vec<Fact>) -> Edit {
    let command = Command::new("systemctl", ["daemon-reload"]);
    Edit::Run { command, effect: Vec::new(), makes, reach: Reach::Stated, progress: None }
}

/// All that systemd says of a unit before anything is done: what Ansible tells in `status`.
fn status(name: &str, host: &dyn Host) -> Data {
    let shown = host.query(&Command::new("systemctl", ["show", "--", name])).map(|output| output.stdout);
    let shown = shown.unwrap_or_default();
    let pairs = shown.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.trim().into())).collect()
}

/// Whether a unit that is started is inactive again once it has done its work; or systemd has left it when it was last
/// started, since a condition of the unit does not hold (systemd.unit(5)): Ansible finds no fault in that.
fn ends_at_once(name: &str, host: &dyn Host) -> bool {
    let properties = "--property=Type,RemainAfterExit,ConditionResult,ConditionTimestampMonotonic";
    let show = Command::new("systemctl", ["show", properties, "--", name]);
    let said = host.query(&show).map(|output| output.stdout).unwrap_or_default();
    let says = |wanted: &str| said.lines().any(|line| line == wanted);
    let left = says("ConditionResult=no") && !says("ConditionTimestampMonotonic=0");
    left || (says("Type=oneshot") && says("RemainAfterExit=no"))
}

fn not_found(name: &str, host: &dyn Host) -> Error {
    let list = ["list-unit-files", "--no-legend", "--no-pager", "--plain"];
    let listed = host.query(&Command::new("systemctl", list)).map(|output| output.stdout).unwrap_or_default();
    let near = nearest(name, listed.lines().filter_map(|line| line.split_whitespace().next()));
    Error::Refused {
        subject: format!("unit {name}"),
        reason: "systemd knows no unit of that name".into(),
        hint: near.map(|near| format!("did you mean `{near}`?")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::builtin;
    use crate::edit::{Owner, Text};
    use crate::fake::Fake;
    use crate::interpret;
    use crate::preview::Preview;

    const SHOW: &str = "systemctl show --property=LoadState,ActiveState,UnitFileState,NeedDaemonReload --";

    fn host(load: &str, active: &str, enabled: &str, reload: &str) -> Fake {
        let shown =
            format!("LoadState={load}\nActiveState={active}\nUnitFileState={enabled}\nNeedDaemonReload={reload}\n");
        Fake::new().dir("/run/systemd/system", 0o755).answer(&format!("{SHOW} web.service"), 0, &shown)
    }

    fn plan(params: Value, host: &Fake) -> Result<Plan, Error> {
        builtin::find("systemd").unwrap().load(params).unwrap().plan(host)
    }

    fn commands(plan: &Plan) -> String {
        let show = |edit: &Edit| match edit {
            Edit::Run { command, .. } => command.to_string().replace("systemctl ", "").replace(" -- web.service", ""),
            other => panic!("only commands are planned, not {other:?}"),
        };
        plan.edits.iter().map(show).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn what_is_done_in_which_state() {
        let table = [
            (json!({"state": "started"}), ["loaded", "inactive", "disabled", "no"], "start"),
            (json!({"state": "started"}), ["loaded", "active", "disabled", "no"], ""),
            (json!({"state": "started"}), ["loaded", "activating", "disabled", "no"], "start"),
            (json!({"state": "started", "enabled": true}), ["loaded", "failed", "disabled", "no"], "enable, start"),
            (json!({"state": "stopped"}), ["loaded", "failed", "disabled", "no"], ""),
            (json!({"state": "stopped", "enabled": false}), ["loaded", "active", "enabled", "no"], "disable, stop"),
            (json!({"state": "restarted"}), ["loaded", "active", "enabled", "no"], "restart"),
            (json!({"state": "reloaded"}), ["loaded", "active", "enabled", "no"], "reload"),
            (json!({"state": "reloaded"}), ["loaded", "inactive", "enabled", "no"], "start"),
            (json!({"enabled": true}), ["loaded", "active", "static", "no"], ""),
            (json!({"daemon_reload": true}), ["loaded", "active", "static", "yes"], "daemon-reload"),
            (json!({"daemon_reload": true}), ["loaded", "active", "static", "no"], ""),
            (json!({"masked": true, "state": "stopped"}), ["loaded", "active", "enabled", "no"], "stop, mask"),
            (
                json!({"masked": false, "enabled": true, "state": "started"}),
                ["masked", "inactive", "masked", "no"],
                "unmask, enable, start",
            ),
        ];
        for (mut params, [load, active, enabled, reload], wanted) in table {
            params["name"] = json!("web");
            let plan = plan(params.clone(), &host(load, active, enabled, reload)).unwrap();
            assert_eq!(commands(&plan), wanted, "{params} {active} {enabled}");
        }
    }

    /// What starts may make anything, so that what is looked at afterwards is known only conditionally.
    #[test]
    fn how_far_it_reaches() {
        for (state, active, wanted) in [
            ("started", "inactive", Reach::Anything),
            ("restarted", "active", Reach::Anything),
            ("reloaded", "active", Reach::Anything),
            ("stopped", "active", Reach::Stated),
        ] {
            let plan = plan(json!({"name": "web", "state": state}), &host("loaded", active, "enabled", "no")).unwrap();
            assert!(matches!(&plan.edits[..], [Edit::Run { reach, .. }] if *reach == wanted), "{plan:?}");
        }
    }

    #[test]
    fn starting_converges() {
        let mut host = host("loaded", "inactive", "enabled", "no").effect("systemctl start -- web.service", |host| {
            host.set_answer(&format!("{SHOW} web.service"), 0, "LoadState=loaded\nActiveState=active\n");
        });
        let params = json!({"name": "web.service", "state": "started"});
        interpret::apply(&plan(params.clone(), &host).unwrap(), &mut host, &mut |_| {}).unwrap();
        assert!(plan(params, &host).unwrap().is_empty());
    }

    #[test]
    fn only_what_always_acts_need_not_converge() {
        for (state, wanted) in [("started", true), ("stopped", true), ("restarted", false), ("reloaded", false)] {
            let params = json!({"name": "web", "state": state});
            assert_eq!(builtin::find("service").unwrap().load(params).unwrap().converges(), wanted, "{state}");
        }
    }

    #[test]
    fn a_preview_knows_units_whose_files_will_be_written() {
        let file = |path: &str| Plan {
            edits: vec![Edit::Write {
                path: path.into(),
                before: None,
                after: Text::plain("[Service]\n[Install]\nWantedBy=multi-user.target\n"),
                mode: None,
                owner: Owner::default(),
            }],
            ..Plan::default()
        };
        let table = [
            ("/etc/systemd/system/web.service", ["not-found", "inactive", "", "no"], "enable, start"),
            ("/etc/systemd/system/web.service", ["loaded", "active", "enabled", "no"], "daemon-reload"),
            ("/etc/systemd/system/web.service.d/limits.conf", ["loaded", "active", "enabled", "no"], "daemon-reload"),
            ("/etc/systemd/system/other.service", ["loaded", "active", "enabled", "no"], ""),
        ];
        for (path, [load, active, enabled, reload], wanted) in table {
            let mut preview = Preview::default();
            preview.record("Write the unit", &file(path));
            let host = host(load, active, enabled, reload);
            let params = json!({"name": "web", "state": "started", "enabled": true, "daemon_reload": true});
            let service = builtin::find("service").unwrap().load(params).unwrap();
            assert_eq!(commands(&service.plan(&preview.over(&host)).unwrap()), wanted, "{path} {load} {active}");
        }
    }

    #[test]
    fn reloading_alone_asks_all_units() {
        let all = "systemctl show --property=NeedDaemonReload '*'";
        for (answer, wanted) in [("NeedDaemonReload=no\n\nNeedDaemonReload=yes\n", "daemon-reload"), ("", "")] {
            let host = host("", "", "", "").answer(all, 0, answer);
            assert_eq!(commands(&plan(json!({"daemon_reload": true}), &host).unwrap()), wanted);
        }
    }

    #[test]
    fn a_missing_unit_is_named_and_the_nearest_one_too() {
        let host = host("not-found", "inactive", "", "no").answer(
            "systemctl list-unit-files --no-legend --no-pager --plain",
            0,
            "cron.service enabled enabled\nweb2.service disabled enabled\n",
        );
        let error = plan(json!({"name": "web", "state": "started"}), &host).unwrap_err();
        assert_eq!(error.to_string(), "unit web.service: systemd knows no unit of that name");
        assert_eq!(error.hint().unwrap(), "did you mean `web2.service`?");
        let error = plan(json!({"name": "web"}), &Fake::new()).unwrap_err();
        let wanted =
            "service web: there is no script of that name in /etc/init.d, and systemd has not started this host";
        assert_eq!(error.to_string(), wanted);
    }
}
