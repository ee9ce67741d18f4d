//! `iptables`: a rule of the kernel's packet filter.

mod rule;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::common;
use super::state::State;
use crate::edit::{Diff, Edit, Reach, Shown};
use crate::host::{Command, Error, Host};
use crate::module::Module;
use crate::param::Word;
use crate::plan::Plan;

/// A rule, a chain or the policy of a chain in the running packet filter, by iptables(8). Nothing of it outlives the host's next
/// start.
#[derive(Deserialize, JsonSchema)]
#[schemars(extend("exclusive" = ["set_dscp_mark|set_dscp_mark_class", "flush|policy"]))]
#[serde(deny_unknown_fields)]
pub(super) struct Iptables {
    /// The table.
    #[serde(default)]
    #[schemars(extend("listed" = ["filter", "nat", "mangle", "raw", "security"]))]
    table: Table,
    /// The chain: `INPUT`, `FORWARD`, `OUTPUT`, `PREROUTING`, `POSTROUTING`, or one of your own.
    chain: Option<Word>,
    /// Whether the rule is there.
    #[serde(default)]
    state: State,
    /// Whether a new one is the last or the first.
    #[serde(default)]
    action: Action,
    /// Of which addresses.
    #[serde(default)]
    #[schemars(extend("listed" = ["ipv4", "ipv6", "both"]))]
    ip_version: Version,
    /// With `action: insert`: its number.
    rule_num: Option<Word>,
    /// Seconds to wait for another iptables at work.
    wait: Option<Word>,
    /// The protocol.
    protocol: Option<Word>,
    /// Where packets are from.
    source: Option<Word>,
    /// Where they go.
    destination: Option<Word>,
    /// What matches; their options follow.
    #[serde(default, rename = "match")]
    matches: Vec<Word>,
    /// Flags of TCP.
    tcp_flags: Option<Flags>,
    /// What becomes of them.
    jump: Option<Word>,
    /// With `jump: TEE`: where their copies go.
    gateway: Option<Word>,
    /// What begins a line in the log.
    log_prefix: Option<Word>,
    /// How urgent it is.
    #[schemars(extend("listed" = ["0", "1", "2", "3", "4", "5", "6", "7", "emerg", "alert", "crit", "error", "warning", "notice", "info", "debug"]))]
    log_level: Option<Word>,
    /// Their new destination.
    to_destination: Option<Word>,
    /// Their new source.
    to_source: Option<Word>,
    /// Their new ports.
    to_ports: Option<Word>,
    /// Several ports that they go to.
    #[serde(default)]
    destination_ports: Vec<Word>,
    /// The chain that goes on with them.
    goto: Option<Word>,
    /// Where they come in.
    in_interface: Option<Word>,
    /// Where they go out.
    out_interface: Option<Word>,
    /// Fragments.
    fragment: Option<Word>,
    /// What the rule has counted already.
    set_counters: Option<Word>,
    /// The port that they are from.
    source_port: Option<Word>,
    /// The port that they go to.
    destination_port: Option<Word>,
    /// Their mark for differentiated services.
    set_dscp_mark: Option<Word>,
    /// The same by its class.
    set_dscp_mark_class: Option<Word>,
    /// A comment.
    comment: Option<Word>,
    /// States of connections.
    #[serde(default)]
    ctstate: Vec<Word>,
    /// A range of sources.
    src_range: Option<Word>,
    /// A range of destinations.
    dst_range: Option<Word>,
    /// A set of ipset(8).
    match_set: Option<Word>,
    /// What of a packet is looked up in it.
    #[schemars(extend("listed" = ["src", "dst", "src,dst", "dst,src", "src,src", "dst,dst"]))]
    match_set_flags: Option<Word>,
    /// How many match.
    limit: Option<Word>,
    /// How many at first.
    limit_burst: Option<Word>,
    /// Whose packets.
    uid_owner: Option<Word>,
    /// Of which group.
    gid_owner: Option<Word>,
    /// What they are answered.
    reject_with: Option<Word>,
    /// The type of ICMP.
    icmp_type: Option<Word>,
    /// Packets that begin a connection.
    #[serde(default)]
    syn: Syn,
    /// Whether all rules of the chain, or of the table, go.
    #[serde(default)]
    flush: bool,
    /// What becomes of packets that no rule of the chain is about.
    #[schemars(extend("listed" = ["ACCEPT", "DROP", "QUEUE", "RETURN"]))]
    policy: Option<Word>,
    /// Whether a chain without a rule is made or removed.
    #[serde(default)]
    chain_management: bool,
    /// Taken for Ansible's sake: names are never looked up.
    #[serde(default)]
    #[expect(dead_code, reason = "it is what is done")]
    numeric: bool,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Table {
    /// What passes.
    #[default]
    Filter,
    /// Whose addresses change.
    Nat,
    /// What is changed.
    Mangle,
    /// What is not tracked.
    Raw,
    /// SELinux's.
    Security,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Action {
    /// The last.
    #[default]
    Append,
    /// The first, or with that number.
    Insert,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Version {
    /// IPv4.
    #[default]
    Ipv4,
    /// IPv6.
    Ipv6,
    /// Both.
    Both,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Syn {
    /// All.
    #[default]
    Ignore,
    /// Only these.
    Match,
    /// Only others.
    Negate,
}

/// Flags of TCP: which are looked at, and which of them are set.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Flags {
    /// Those that are looked at.
    flags: Vec<String>,
    /// Those that are set.
    flags_set: Vec<String>,
}

impl Module for Iptables {
    const NAME: &'static str = "iptables";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let chain = self.chain.as_ref().map_or("", |Word(chain)| chain.as_str());
        if chain.is_empty() && !self.flush {
            let error = Error::param("chain", "is missing: which chain?");
            return Err(error.telling("msg", "flush is False but all of the following are missing: chain"));
        }
        if (self.log_prefix.is_some() || self.log_level.is_some())
            && self.jump.as_ref().is_some_and(|jump| jump.0 != "LOG")
        {
            let error = Error::param("jump", "must be `LOG` where something is logged");
            return Err(error.telling("msg", "Logging options can only be used with the LOG jump target."));
        }
        let programs: &[&str] = match self.ip_version {
            Version::Ipv4 => &["iptables"],
            Version::Ipv6 => &["ip6tables"],
            Version::Both => &["iptables", "ip6tables"],
        };
        let told = self.rule(false).join(" ");
        let mut edits = Vec::new();
        for program in programs {
            edits.extend(self.on(host, program, chain)?);
        }
        let version = match self.ip_version {
            Version::Ipv4 => "ipv4",
            Version::Ipv6 => "ipv6",
            Version::Both => "both",
        };
        let pairs = [
            ("ip_version", json!(version)),
            ("table", json!(self.table.word())),
            ("chain", json!(self.chain.as_ref().map(|Word(chain)| chain))),
            ("flush", json!(self.flush)),
            ("rule", json!(told)),
            ("state", json!(self.state.word())),
            ("chain_management", json!(self.chain_management)),
            ("wait", json!(self.wait.as_ref().map(|Word(wait)| wait))),
        ];
        let plan = Plan { edits, ..Plan::nothing() };
        Ok(pairs.into_iter().fold(plan, |plan, (name, value)| plan.returning(name, value)))
    }

    fn intent(&self) -> Vec<Diff> {
        let after = if self.state == State::Present { Shown::from(self.rule(true).join(" ")) } else { Shown::Absent };
        let chain = self.chain.as_ref().map_or("all chains", |Word(chain)| chain.as_str());
        vec![Diff::new(format!("{} of {}", chain, self.table.word()), "rule", Shown::Unknown, after)]
    }

    /// Emptying a chain is done each time.
    fn converges(&self) -> bool {
        !self.flush
    }
}

impl Table {
    fn word(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Nat => "nat",
            Self::Mangle => "mangle",
            Self::Raw => "raw",
            Self::Security => "security",
        }
    }
}

impl Iptables {
    /// What there is to do for one kind of addresses.
    fn on(&self, host: &dyn Host, program: &str, chain: &str) -> Result<Option<Edit>, Error> {
        let present = self.state == State::Present;
        let rule = self.rule(true);
        let command = |verb: &str, number: Option<&str>, more: &[String]| {
            let mut args = vec!["-t".to_owned(), self.table.word().into(), verb.into()];
            args.extend(Some(chain).filter(|chain| !chain.is_empty()).map(str::to_owned));
            args.extend(number.map(str::to_owned));
            args.extend(self.wait.iter().flat_map(|Word(wait)| ["-w".to_owned(), wait.clone()]));
            args.extend(more.iter().cloned());
            Command::new(program, args)
        };
        let subject = format!("{program} {} {chain}", self.table.word());
        let edit = |command: Command, aspect: &str, before: Shown, after: Shown| {
            Some(Edit::run(command, vec![Diff::new(subject.trim_end(), aspect, before, after)], Reach::Stated))
        };
        if self.flush {
            return Ok(edit(command("-F", None, &[]), "rules", Shown::Unknown, Shown::Absent));
        }
        let list = command("-L", None, &["--numeric".to_owned()]);
        if let Some(Word(policy)) = &self.policy {
            let told = common::asked(host, &list)?;
            let now = told
                .lines()
                .next()
                .and_then(|line| line.split_once("(policy "))
                .and_then(|(_, rest)| rest.split([' ', ')']).next());
            let Some(now) = now else {
                let error = Error::refused(subject, "has no policy", "only the chains that are always there have one");
                return Err(error.telling("msg", "Can't detect current policy"));
            };
            if now == policy {
                return Ok(None);
            }
            return Ok(edit(
                command("-P", None, std::slice::from_ref(policy)),
                "policy",
                now.into(),
                policy.as_str().into(),
            ));
        }
        if rule.is_empty() {
            let there = host.query(&list)?.success();
            return Ok(match (there, present) {
                (true, true) | (false, false) => None,
                _ if !self.chain_management => None,
                (false, true) => edit(command("-N", None, &[]), "chain", Shown::Absent, "there".into()),
                (true, false) => edit(command("-X", None, &[]), "chain", "there".into(), Shown::Absent),
            });
        }
        let there = host.query(&command("-C", None, &rule))?.success();
        let shown = Shown::from(rule.join(" "));
        let number = self.rule_num.as_ref().map(|Word(number)| number.as_str());
        Ok(match (there, present, self.action) {
            (true, true, _) | (false, false, _) => None,
            (false, true, Action::Insert) => edit(command("-I", number, &rule), "rule", Shown::Absent, shown),
            (false, true, Action::Append) => edit(command("-A", None, &rule), "rule", Shown::Absent, shown),
            (true, false, _) => edit(command("-D", None, &rule), "rule", shown, Shown::Absent),
        })
    }
}
