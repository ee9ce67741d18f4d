//! `ufw`: the host's firewall, as ufw(8) manages it.

use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::common;
use crate::edit::{Diff, Edit, Reach, Shown};
use crate::host::{Command, Error, Host, Look};
use crate::module::Module;
use crate::param::Word;
use crate::plan::{Data, Plan};

/// The firewall ufw: whether it is on, what it does with packets that no rule is about, and a rule. What a rule would change,
/// `ufw --dry-run` tells beforehand.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Ufw {
    /// Whether it is on, and at each start of the host; or is read anew, or emptied, each time.
    state: Option<State>,
    /// What becomes of packets that no rule is about.
    #[schemars(extend("aliases" = ["policy"]))]
    default: Option<Policy>,
    /// What is logged.
    logging: Option<Word>,
    /// What becomes of packets that the rule is about.
    rule: Option<Rule>,
    /// Which way they go: `in` or `out` of a rule; `incoming`, `outgoing` or `routed` of `default`.
    direction: Option<Word>,
    /// Whether the rule goes.
    #[serde(default)]
    delete: bool,
    /// Whether it is about packets that only pass.
    #[serde(default)]
    route: bool,
    /// The number of a new rule.
    insert: Option<i64>,
    /// What its number is counted from. Only `zero` is known.
    #[serde(default)]
    #[expect(dead_code, reason = "its one value says what is done")]
    insert_relative_to: Counted,
    /// The interface.
    #[schemars(extend("aliases" = ["if"]))]
    interface: Option<Word>,
    /// The interface that they come in by.
    #[schemars(extend("aliases" = ["if_in"]))]
    interface_in: Option<Word>,
    /// The interface that they go out by.
    #[schemars(extend("aliases" = ["if_out"]))]
    interface_out: Option<Word>,
    /// Whether new connections are logged.
    #[serde(default)]
    log: bool,
    /// Where they are from.
    #[serde(default = "any")]
    #[schemars(extend("aliases" = ["from", "src"]))]
    from_ip: Word,
    /// From which port.
    from_port: Option<Word>,
    /// Where they go.
    #[serde(default = "any")]
    #[schemars(extend("aliases" = ["dest", "to"]))]
    to_ip: Word,
    /// To which port.
    #[schemars(extend("aliases" = ["port"]))]
    to_port: Option<Word>,
    /// The protocol.
    #[schemars(extend("aliases" = ["protocol"]))]
    proto: Option<Word>,
    /// A profile of /etc/ufw/applications.d, in the place of ports.
    #[schemars(extend("aliases" = ["app"]))]
    name: Option<Word>,
    /// A comment.
    comment: Option<Word>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum State {
    /// It is on.
    Enabled,
    /// It is off.
    Disabled,
    /// It reads its rules anew.
    Reloaded,
    /// It is off, and has no rules.
    Reset,
}

#[derive(Clone, Copy, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Policy {
    /// They pass.
    Allow,
    /// They vanish.
    Deny,
    /// They are sent back.
    Reject,
}

#[derive(Clone, Copy, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Rule {
    /// They pass.
    Allow,
    /// They vanish.
    Deny,
    /// They pass unless there are many.
    Limit,
    /// They are sent back.
    Reject,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Counted {
    /// From the first rule.
    #[default]
    Zero,
}

fn any() -> Word {
    Word("any".into())
}

/// Where ufw keeps rules.
const RULES: [&str; 6] = [
    "/lib/ufw/user.rules",
    "/lib/ufw/user6.rules",
    "/etc/ufw/user.rules",
    "/etc/ufw/user6.rules",
    "/var/lib/ufw/user.rules",
    "/var/lib/ufw/user6.rules",
];

impl Module for Ufw {
    const NAME: &'static str = "ufw";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        self.possible()?;
        let status = common::asked(host, &ufw(&["status", "verbose"]))?;
        let program = common::whole_path(host, "ufw")?;
        let mut edits = Vec::new();
        let mut lines = vec![format!("{program} status verbose"), grep(host)?];
        // In Ansible's order: what it is told, not what it is given.
        let steps = [
            self.state.map(|state| self.state_step(state, &status)),
            self.default.map(|policy| self.default_step(host, policy, &status)).transpose()?,
            self.rule.map(|rule| self.rule_step(host, rule)).transpose()?,
            self.logging.as_ref().map(|Word(level)| logging_step(host, level, &status)).transpose()?,
        ];
        for (command, diff) in steps.into_iter().flatten() {
            if self.rule.is_some() && command.args.iter().any(|word| word == "from") {
                lines.push(format!("{program} --version"));
            }
            lines.push(line(&program, &command));
            if let Some(diff) = diff {
                edits.push(Edit::run(command, vec![diff], Reach::Stated));
            }
        }
        lines.push(format!("{program} status verbose"));
        if !matches!(self.state, Some(State::Reloaded | State::Reset)) {
            lines.push(grep(host)?);
        }
        let plan = Plan { edits, ..Plan::nothing() };
        Ok(plan.returning("commands", json!(lines)).returning("msg", status.trim_end()))
    }

    fn intent(&self) -> Vec<Diff> {
        let rule = self.rule.map(|rule| Diff::new("firewall ufw", "rule", Shown::Unknown, self.words(rule).join(" ")));
        let state = self.state.map(|state| Diff::new("firewall ufw", "state", Shown::Unknown, state.word()));
        let default = self.default.map(|policy| Diff::new("firewall ufw", "default", Shown::Unknown, policy.word()));
        rule.into_iter().chain(state).chain(default).collect()
    }

    fn aftermath(&self, host: &dyn Host) -> Look<Data> {
        let status = common::asked(host, &ufw(&["status", "verbose"]))?;
        Ok(Data::from_iter([("msg".to_owned(), json!(status.trim_end()))]))
    }

    fn converges(&self) -> bool {
        !matches!(self.state, Some(State::Reloaded | State::Reset))
    }
}

type Step = (Command, Option<Diff>);

impl Ufw {
    fn possible(&self) -> Result<(), Error> {
        let said = |param: &str, reason: &str, msg: &str| Err(Error::param(param, reason).telling("msg", msg));
        if self.state.is_none() && self.default.is_none() && self.rule.is_none() && self.logging.is_none() {
            let msg = "one of the following is required: state, default, rule, logging";
            return said("rule", "is missing: give `state`, `default`, `rule` or `logging`", msg);
        }
        let direction = self.direction.as_ref().map(|Word(direction)| direction.as_str());
        if self.interface.is_some() && direction.is_none() {
            let msg = "missing parameter(s) required by 'interface': direction";
            return said("direction", "is missing: which way by that interface?", msg);
        }
        if direction.is_some() && (self.interface_in.is_some() || self.interface_out.is_some()) {
            let msg = "parameters are mutually exclusive: direction|interface_in";
            return said("direction", "is told by `interface_in` and `interface_out` already", msg);
        }
        if self.default.is_some() && !matches!(direction, None | Some("incoming" | "outgoing" | "routed")) {
            let msg = "For default, direction must be one of \"outgoing\", \"incoming\" and \"routed\", or direction must not be specified.";
            return said("direction", "is `incoming`, `outgoing` or `routed` with `default`", msg);
        }
        if self.rule.is_some() && self.default.is_none() && !matches!(direction, None | Some("in" | "out")) {
            let msg = "For rules, direction must be one of \"in\" and \"out\", or direction must not be specified.";
            return said("direction", "is `in` or `out` with `rule`", msg);
        }
        if !self.route && self.interface_in.is_some() && self.interface_out.is_some() {
            let msg = "Only route rules can combine interface_in and interface_out";
            return said("interface_out", "goes with `interface_in` only if `route` is set", msg);
        }
        Ok(())
    }

    fn state_step(&self, state: State, status: &str) -> Step {
        // "active" is in "inactive", too.
        let on = status.contains(" active");
        let due = match state {
            State::Enabled => !on,
            State::Disabled => on,
            State::Reloaded | State::Reset => true,
        };
        let verb = match state {
            State::Enabled => "enable",
            State::Disabled => "disable",
            State::Reloaded => "reload",
            State::Reset => "reset",
        };
        let before = if on { "enabled" } else { "disabled" };
        (ufw(&["-f", verb]), due.then(|| Diff::new("firewall ufw", "state", before, state.word())))
    }

    fn default_step(&self, host: &dyn Host, policy: Policy, status: &str) -> Result<Step, Error> {
        let direction = self.direction.as_ref().map_or("incoming", |Word(direction)| direction.as_str());
        let line = status.lines().find_map(|line| line.strip_prefix("Default: "));
        let mark = format!("({direction})");
        let now = line.and_then(|line| line.split(", ").find(|part| part.contains(&mark))?.split(' ').next());
        let kept = kept(host, "/etc/default/ufw", &format!("DEFAULT_{}_POLICY", chain(direction)))?;
        let now = now.or(kept.as_deref().map(|target| match target {
            "ACCEPT" => "allow",
            "REJECT" => "reject",
            _ => "deny",
        }));
        let due = now.is_none_or(|now| now != policy.word() && now != "disabled");
        let mut words = vec!["default", policy.word()];
        words.extend(self.direction.as_ref().map(|Word(direction)| direction.as_str()));
        let diff =
            || Diff::new("firewall ufw", &format!("default of {direction}"), now.map(str::to_owned), policy.word());
        Ok((ufw(&words), due.then(diff)))
    }

    fn rule_step(&self, host: &dyn Host, rule: Rule) -> Result<Step, Error> {
        let words = self.words(rule);
        let all: Vec<&str> = words.iter().map(String::as_str).collect();
        let dry: Vec<&str> = std::iter::once("--dry-run").chain(all.iter().copied()).collect();
        let told = common::asked(host, &ufw(&dry))?;
        let skipped =
            !told.is_empty() && told.lines().all(|line| line.contains("Skipping") || line.contains("Could not delete"));
        let mut now = String::new();
        for file in RULES {
            let text = common::text(host, Path::new(file))?;
            text.lines().filter(|line| is_rule(line)).for_each(|line| now.push_str(&format!("{line}\n")));
        }
        let family = [&self.from_ip.0, &self.to_ip.0].into_iter().find_map(|ip| family(ip));
        // It prints the rules of one family only, if the addresses are of one.
        let of = |text: &str| -> String {
            let lines = text.lines().filter(|line| is_rule(line));
            let lines = lines.filter(|line| family.is_none() || family_of_rule(line) == family);
            lines.map(|line| format!("{line}\n")).collect()
        };
        let due = !skipped && of(&told) != of(&now);
        let (before, after) = match self.delete {
            true => (Shown::from(words.join(" ")), Shown::Absent),
            false => (Shown::Absent, Shown::from(words.join(" "))),
        };
        Ok((ufw(&all), due.then(|| Diff::new("firewall ufw", "rule", before, after))))
    }

    /// `[route] [delete | insert N] RULE [in|out on INTERFACE] [log] [from …] [to …] [proto …] [app …] [comment …]`.
    fn words(&self, rule: Rule) -> Vec<String> {
        let mut words: Vec<String> = Vec::new();
        let mut add = |given: &[&str]| words.extend(given.iter().map(|word| (*word).to_owned()));
        if self.route {
            add(&["route"]);
        }
        if self.delete {
            add(&["delete"]);
        } else if let Some(number) = self.insert {
            add(&["insert", &number.to_string()]);
        }
        add(&[rule.word()]);
        if let Some(Word(direction)) = &self.direction {
            add(&[direction]);
        }
        let interfaces = [
            (&["on"][..], &self.interface),
            (&["in", "on"], &self.interface_in),
            (&["out", "on"], &self.interface_out),
        ];
        for (before, name) in interfaces.into_iter().filter_map(|(before, name)| Some((before, name.as_ref()?))) {
            add(before);
            add(&[&name.0]);
        }
        if self.log {
            add(&["log"]);
        }
        let (from, to) = (Some(&self.from_ip), Some(&self.to_ip));
        let pairs = [
            ("from", from),
            ("port", self.from_port.as_ref()),
            ("to", to),
            ("port", self.to_port.as_ref()),
            ("proto", self.proto.as_ref()),
            ("app", self.name.as_ref()),
            ("comment", self.comment.as_ref()),
        ];
        for (key, Word(value)) in pairs.into_iter().filter_map(|(key, value)| Some((key, value?))) {
            add(&[key, value]);
        }
        words
    }
}

/// What a file of shell variables says, where the status tells nothing: it does not while the firewall is off.
fn kept(host: &dyn Host, file: &str, name: &str) -> Result<Option<String>, Error> {
    let text = common::text(host, Path::new(file))?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    Ok(value.map(|value| value.trim_matches(['"', ' ']).to_owned()))
}

fn chain(direction: &str) -> &'static str {
    match direction {
        "outgoing" => "OUTPUT",
        "routed" => "FORWARD",
        _ => "INPUT",
    }
}

fn logging_step(host: &dyn Host, level: &str, status: &str) -> Result<Step, Error> {
    let told = status.lines().find_map(|line| line.strip_prefix("Logging: ")).map(str::to_owned);
    let kept = kept(host, "/etc/ufw/ufw.conf", "LOGLEVEL")?;
    let line = told.or_else(|| kept.map(|level| if level == "off" { level } else { format!("on ({level})") }));
    let line = line.as_deref().unwrap_or_default();
    let (on, rest) = line.split_once(' ').unwrap_or((line, ""));
    let now = rest.trim_matches(['(', ')']);
    let due = match level {
        "off" => on != "off",
        "on" => on != "on",
        level => on != "on" || now != level,
    };
    Ok((ufw(&["logging", level]), due.then(|| Diff::new("firewall ufw", "logging", line, level))))
}

fn ufw(words: &[&str]) -> Command {
    Command::new("ufw", words.iter().copied())
}

/// As Ansible tells it, which gives it to a shell.
fn line(program: &str, command: &Command) -> String {
    let mut line = program.to_owned();
    let mut quoted = false;
    for word in &command.args {
        line.push_str(&if quoted { format!(" '{word}'") } else { format!(" {word}") });
        quoted = matches!(word.as_str(), "app" | "comment");
    }
    line
}

fn grep(host: &dyn Host) -> Result<String, Error> {
    Ok(format!("{} -h '^### tuple' {}", common::whole_path(host, "grep")?, RULES.join(" ")))
}

fn is_rule(line: &str) -> bool {
    line.starts_with("### tuple")
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

fn family(address: &str) -> Option<Family> {
    let first = address.split('/').next().unwrap_or_default();
    match first.parse() {
        Ok(std::net::IpAddr::V4(_)) => Some(Family::V4),
        Ok(std::net::IpAddr::V6(_)) => Some(Family::V6),
        Err(_) => None,
    }
}

fn family_of_rule(line: &str) -> Option<Family> {
    line.split_whitespace().find_map(family)
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
            Self::Reloaded => "reloaded",
            Self::Reset => "reset",
        }
    }
}

impl Policy {
    fn word(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Reject => "reject",
        }
    }
}

impl Rule {
    fn word(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Limit => "limit",
            Self::Reject => "reject",
        }
    }
}
