//! A rule's options, in the order that Ansible gives them in.

use crate::param::Word;

use super::{Iptables, Syn, Version};

/// Collects options; a value with `!` before it turns its meaning around.
struct Options(Vec<String>);

impl Options {
    fn word(&mut self, flag: &str, value: &Option<Word>) {
        if let Some(Word(value)) = value {
            match value.strip_prefix('!') {
                Some(value) => self.0.extend(["!".into(), flag.into(), value.into()]),
                None => self.0.extend([flag.into(), value.clone()]),
            }
        }
    }

    fn list(&mut self, flag: &str, values: &[Word]) {
        if !values.is_empty() {
            let all: Vec<&str> = values.iter().map(|Word(value)| value.as_str()).collect();
            self.0.extend([flag.into(), all.join(",")]);
        }
    }

    fn matching(&mut self, given: bool, name: &str) {
        if given {
            self.0.extend(["-m".into(), name.into()]);
        }
    }
}

impl Iptables {
    /// With `logs`, what logs something jumps there; Ansible tells it without.
    pub(super) fn rule(&self, logs: bool) -> Vec<String> {
        let mut to = Options(Vec::new());
        let has = |name: &str| self.matches.iter().any(|Word(given)| given == name);
        let log = (logs && self.jump.is_none() && (self.log_prefix.is_some() || self.log_level.is_some()))
            .then(|| Word("LOG".into()));
        let jump = self.jump.clone().or(log);
        to.word("-p", &self.protocol);
        to.word("-s", &self.source);
        to.word("-d", &self.destination);
        self.matches.iter().for_each(|name| to.word("-m", &Some(name.clone())));
        if let Some(flags) = &self.tcp_flags {
            to.0.extend(["--tcp-flags".into(), flags.flags.join(","), flags.flags_set.join(",")]);
        }
        to.word("-j", &jump);
        if jump.as_ref().is_some_and(|Word(jump)| jump.eq_ignore_ascii_case("tee")) {
            to.word("--gateway", &self.gateway);
        }
        to.word("--log-prefix", &self.log_prefix);
        to.word("--log-level", &self.log_level);
        to.word("--to-destination", &self.to_destination);
        to.matching(!self.destination_ports.is_empty(), "multiport");
        to.list("--dports", &self.destination_ports);
        to.word("--to-source", &self.to_source);
        to.word("-g", &self.goto);
        to.word("-i", &self.in_interface);
        to.word("-o", &self.out_interface);
        to.word("-f", &self.fragment);
        to.word("-c", &self.set_counters);
        to.word("--source-port", &self.source_port);
        to.word("--destination-port", &self.destination_port);
        to.word("--to-ports", &self.to_ports);
        to.word("--set-dscp", &self.set_dscp_mark);
        to.word("--set-dscp-class", &self.set_dscp_mark_class);
        match self.syn {
            Syn::Ignore => {}
            Syn::Match => to.0.push("--syn".into()),
            Syn::Negate => to.0.extend(["!".into(), "--syn".into()]),
        }
        self.extensions(&mut to, &has);
        if self.jump.is_none() && self.reject_with.is_some() {
            to.0.extend(["-j".into(), "REJECT".into()]);
        }
        to.word("--reject-with", &self.reject_with);
        to.word(if self.ip_version == Version::Ipv6 { "--icmpv6-type" } else { "--icmp-type" }, &self.icmp_type);
        to.matching(self.comment.is_some(), "comment");
        to.word("--comment", &self.comment);
        to.0
    }

    fn extensions(&self, to: &mut Options, has: &dyn Fn(&str) -> bool) {
        if has("conntrack") {
            to.list("--ctstate", &self.ctstate);
        } else if has("state") {
            to.list("--state", &self.ctstate);
        } else {
            to.matching(!self.ctstate.is_empty(), "conntrack");
            to.list("--ctstate", &self.ctstate);
        }
        to.matching(!has("iprange") && (self.src_range.is_some() || self.dst_range.is_some()), "iprange");
        to.word("--src-range", &self.src_range);
        to.word("--dst-range", &self.dst_range);
        to.matching(!has("set") && self.match_set.is_some(), "set");
        to.word("--match-set", &self.match_set);
        if self.match_set.is_some() {
            to.0.extend(self.match_set_flags.iter().map(|Word(flags)| flags.clone()));
        }
        to.matching(self.limit.is_some() || self.limit_burst.is_some(), "limit");
        to.word("--limit", &self.limit);
        to.word("--limit-burst", &self.limit_burst);
        to.matching(self.uid_owner.is_some(), "owner");
        to.word("--uid-owner", &self.uid_owner);
        to.matching(self.gid_owner.is_some(), "owner");
        to.word("--gid-owner", &self.gid_owner);
    }
}
