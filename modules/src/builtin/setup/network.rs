//! Names and addresses, from what the kernel shows under /proc/net: `ip` is not on every host.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

use serde_json::{Map, Value, json};

use super::{Facts, text};
use crate::host::{Command, Error, Host, Output};

pub(super) fn facts(host: &dyn Host, facts: &mut Facts) -> Result<(), Error> {
    let routes: Vec<Route> = text(host, "/proc/net/route")?.lines().filter_map(Route::parse).collect();
    let ipv4 = local_addresses(&text(host, "/proc/net/fib_trie")?);
    let ipv6: Vec<(Ipv6Addr, u8, String)> = text(host, "/proc/net/if_inet6")?.lines().filter_map(ipv6).collect();
    let listed = Listed::ask(host);
    let mut interfaces = Vec::new();
    for name in names(host)? {
        let mut interface = interface(host, &name, &routes, &ipv4)?;
        let of_it = ipv6.iter().filter(|(.., device)| *device == name);
        let of_it: Vec<Value> =
            of_it.map(|(address, prefix, _)| json!({"address": address, "prefix": prefix.to_string()})).collect();
        if !of_it.is_empty() {
            interface.insert("ipv6".into(), of_it.into());
        }
        interface.extend(listed.of(&name));
        facts.insert(name.replace(['-', '.', ':'], "_"), interface.into());
        interfaces.push(name);
    }
    let default = routes.iter().filter(|route| route.is_default()).min_by_key(|route| route.metric);
    facts.insert("default_ipv4".into(), default.map_or_else(|| json!({}), |route| default_ipv4(route, facts)));
    facts.insert("interfaces".into(), interfaces.into());
    facts.insert("all_ipv4_addresses".into(), json!(ipv4));
    let global: Vec<&Ipv6Addr> = ipv6.iter().map(|(address, ..)| address).filter(|one| !one.is_loopback()).collect();
    facts.insert("all_ipv6_addresses".into(), json!(global));
    facts.insert("default_ipv6".into(), default_ipv6(&text(host, "/proc/net/ipv6_route")?, facts));
    Ok(())
}

fn names(host: &dyn Host) -> Result<Vec<String>, Error> {
    let dir = Path::new("/sys/class/net");
    if host.stat(dir)?.is_none() {
        return Ok(Vec::new());
    }
    Ok(host.list(dir)?.iter().filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect())
}

fn interface(
    host: &dyn Host,
    name: &str,
    routes: &[Route],
    addresses: &[Ipv4Addr],
) -> Result<Map<String, Value>, Error> {
    let about = |what: &str| text(host, &format!("/sys/class/net/{name}/{what}"));
    let mut facts = Map::new();
    facts.insert("device".into(), name.into());
    facts.insert("active".into(), (about("operstate")? != "down").into());
    let flags = u32::from_str_radix(about("flags")?.trim_start_matches("0x"), 16).unwrap_or_default();
    facts.insert("promisc".into(), (flags & 0x100 != 0).into());
    let there = |what: &str| Ok::<_, Error>(host.stat(Path::new(&format!("/sys/class/net/{name}/{what}")))?.is_some());
    let kind = match about("type")?.as_str() {
        _ if there("bridge")? => "bridge",
        _ if there("bonding")? => "bonding",
        // linux/if_arp.h
        "1" => "ether",
        "32" => "infiniband",
        "512" => "ppp",
        "772" => "loopback",
        "65534" => "tunnel",
        _ => "unknown",
    };
    facts.insert("type".into(), kind.into());
    if let Ok(mtu) = about("mtu")?.parse::<u32>() {
        facts.insert("mtu".into(), mtu.into());
    }
    let mac = about("address")?;
    if !mac.is_empty() && name != "lo" {
        facts.insert("macaddress".into(), mac.into());
    }
    let ipv4 = match name {
        "lo" => Some(json!({"address": "127.0.0.1", "netmask": "255.0.0.0", "network": "127.0.0.0", "prefix": "8"})),
        _ => addresses.iter().find_map(|address| on(*address, name, routes)),
    };
    facts.extend(ipv4.map(|ipv4| ("ipv4".to_owned(), ipv4)));
    Ok(facts)
}

/// An address on the network that an interface reaches without a gateway, if it is one of that.
fn on(address: Ipv4Addr, interface: &str, routes: &[Route]) -> Option<Value> {
    let direct = |route: &&Route| route.gateway.is_unspecified() && !route.is_default();
    let containing = routes.iter().filter(direct).filter(|route| route.contains(address));
    let route = containing.max_by_key(|route| route.prefix()).filter(|route| route.interface == interface)?;
    Some(json!({
        "address": address,
        "netmask": route.mask,
        "network": route.destination,
        "prefix": route.prefix().to_string(),
    }))
}

fn default_ipv4(route: &Route, facts: &Facts) -> Value {
    let of_interface = &facts.get(&route.interface.replace(['-', '.', ':'], "_"));
    let mut default = of_interface.and_then(|facts| facts["ipv4"].as_object().cloned()).unwrap_or_default();
    default.insert("interface".into(), route.interface.as_str().into());
    default.insert("gateway".into(), json!(route.gateway));
    for name in ["macaddress", "mtu", "type"] {
        let value = of_interface.and_then(|facts| facts.get(name));
        default.extend(value.map(|value| (name.to_owned(), value.clone())));
    }
    default.insert("alias".into(), route.interface.as_str().into());
    default.into()
}

/// The same of IPv6, from /proc/net/ipv6_route: destination, prefix, source, prefix, next hop, metric, counts, flags, interface.
fn default_ipv6(routes: &str, facts: &Facts) -> Value {
    let parse = |line: &str| {
        let field: Vec<&str> = line.split_whitespace().collect();
        let [_, "00", _, _, next, metric, _, _, flags, interface] = field[..] else { return None };
        let (gateway, metric) = (u128::from_str_radix(next, 16).ok()?, u32::from_str_radix(metric, 16).ok()?);
        // RTF_GATEWAY
        let through = u32::from_str_radix(flags, 16).ok()? & 2 != 0;
        through.then(|| (metric, Ipv6Addr::from(gateway), interface.to_owned()))
    };
    let Some((_, gateway, interface)) = routes.lines().filter_map(parse).min() else { return json!({}) };
    let about = facts.get(&interface.replace(['-', '.', ':'], "_"));
    let first = about.and_then(|about| about["ipv6"].as_array()).and_then(|list| list.first());
    let mut default = first.and_then(|first| first.as_object().cloned()).unwrap_or_default();
    for name in ["macaddress", "mtu", "type"] {
        let value = about.and_then(|about| about.get(name));
        default.extend(value.map(|value| (name.to_owned(), value.clone())));
    }
    default.insert("interface".into(), interface.into());
    default.insert("gateway".into(), json!(gateway));
    default.into()
}

/// What ip(8) lists, where the host has it: only it knows broadcast addresses, secondary ones and scopes.
struct Listed(String);

impl Listed {
    fn ask(host: &dyn Host) -> Self {
        let answer = host.query(&Command::new("ip", ["-o", "addr", "show"])).ok().filter(Output::success);
        Self(answer.map(|answer| answer.stdout).unwrap_or_default())
    }

    /// `ipv4`, `ipv4_secondaries` and `ipv6` of an interface.
    fn of(&self, name: &str) -> Map<String, Value> {
        let (mut ipv4, mut ipv6) = (Vec::new(), Vec::new());
        for line in self.0.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [_, device, family, address, rest @ ..] = &words[..] else { continue };
            if *device != name {
                continue;
            }
            let after = |word: &str| rest.iter().skip_while(|one| **one != word).nth(1).copied().unwrap_or_default();
            let (address, prefix) = address.split_once('/').unwrap_or((address, "32"));
            match *family {
                "inet" => ipv4.extend(inet(address, prefix, after("brd"))),
                "inet6" => ipv6.push(json!({"address": address, "prefix": prefix, "scope": after("scope")})),
                _ => {}
            }
        }
        let mut told = Map::new();
        let mut ipv4 = ipv4.into_iter();
        told.extend(ipv4.next().map(|first| ("ipv4".to_owned(), first)));
        let others: Vec<Value> = ipv4.collect();
        told.extend((!others.is_empty()).then(|| ("ipv4_secondaries".to_owned(), others.into())));
        told.extend((!ipv6.is_empty()).then(|| ("ipv6".to_owned(), ipv6.into())));
        told
    }
}

fn inet(address: &str, prefix: &str, broadcast: &str) -> Option<Value> {
    let bits: u32 = prefix.parse().ok().filter(|bits| *bits <= 32)?;
    let mask = Ipv4Addr::from(u32::MAX.checked_shl(32 - bits).unwrap_or(0));
    let network = address.parse::<Ipv4Addr>().ok()? & mask;
    Some(json!({
        "address": address, "broadcast": broadcast, "netmask": mask, "network": network, "prefix": prefix,
    }))
}

/// A line of /proc/net/route: numbers are in hexadecimal, as they lie in memory.
#[derive(Debug, PartialEq)]
struct Route {
    interface: String,
    destination: Ipv4Addr,
    gateway: Ipv4Addr,
    metric: u32,
    mask: Ipv4Addr,
}

impl Route {
    fn parse(line: &str) -> Option<Self> {
        let field: Vec<&str> = line.split_whitespace().collect();
        let [interface, destination, gateway, _, _, _, metric, mask, ..] = field[..] else { return None };
        let address = |hex| u32::from_str_radix(hex, 16).ok().map(|number| Ipv4Addr::from(number.to_ne_bytes()));
        Some(Self {
            interface: interface.into(),
            destination: address(destination)?,
            gateway: address(gateway)?,
            metric: metric.parse().ok()?,
            mask: address(mask)?,
        })
    }

    fn is_default(&self) -> bool {
        self.mask.is_unspecified() && self.interface != "*"
    }

    fn contains(&self, address: Ipv4Addr) -> bool {
        address & self.mask == self.destination
    }

    fn prefix(&self) -> u32 {
        u32::from(self.mask).count_ones()
    }
}

/// The host's own addresses, but for the loopback's, from /proc/net/fib_trie: those that precede `/32 host LOCAL`.
fn local_addresses(trie: &str) -> Vec<Ipv4Addr> {
    let mut addresses = Vec::new();
    let mut last = None;
    for line in trie.lines().map(str::trim_start) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse::<Ipv4Addr>().ok();
        } else if line.starts_with("/32 host LOCAL") {
            // Each is in the trie of the main and of the local table.
            addresses.extend(last.filter(|address| !address.is_loopback() && !addresses.contains(address)));
        }
    }
    addresses
}

/// A line of /proc/net/if_inet6: address, index, prefix, scope, flags, interface.
fn ipv6(line: &str) -> Option<(Ipv6Addr, u8, String)> {
    let field: Vec<&str> = line.split_whitespace().collect();
    let [address, _, prefix, _, _, interface] = field[..] else { return None };
    let address = u128::from_str_radix(address, 16).ok()?;
    Some((Ipv6Addr::from(address), u8::from_str_radix(prefix, 16).ok()?, interface.into()))
}
