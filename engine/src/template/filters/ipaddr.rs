//! What `ipaddr` answers: an address or network is read, and a query asks something of it.

use minijinja::Error;
use minijinja::value::{Value, ValueKind};

use super::super::call::{Call, fail};
use super::super::python::{mutable, text};
use super::net::Net;

/// What is said without a network: an address, or one with a length of its own.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Written {
    Address,
    Network,
}

/// A value that names an address: the address, how it was written, and the value as a result.
pub(super) struct Named {
    pub net: Net,
    written: Written,
    value: Value,
}

pub(super) fn no() -> Value {
    Value::from(false)
}

pub(super) fn named(value: &Value) -> Option<Named> {
    if !value.is_true() || value.kind() == ValueKind::Bool {
        return None;
    }
    let text = text::str(value).ok()?;
    if text.bytes().all(|b| b.is_ascii_digit()) {
        let number = text.parse().ok()?;
        let net = Net::of(false, number, 32).or_else(|| Net::of(true, number, 128))?;
        return Some(Named { net, written: Written::Address, value: Value::from(net.to_string()) });
    }
    if let Some(net) = Net::parse(&text) {
        let written = if text.matches('/').count() == 1 { Written::Network } else { Written::Address };
        return Some(Named { net, written, value: value.clone() });
    }
    let (number, prefix) = text.split_once('/')?;
    let (number, prefix) = (number.trim().parse().ok()?, prefix.trim().parse().ok()?);
    let net = Net::of(false, number, prefix).or_else(|| Net::of(true, number, prefix))?;
    Some(Named { net, written: Written::Network, value: Value::from(net.to_string()) })
}

pub(super) fn of_kind(c: &mut Call, version: Option<i64>) -> Result<Value, Error> {
    let query = c.str_or(1, "")?;
    let value = c.value(0)?;
    match value.kind() {
        ValueKind::String | ValueKind::Seq | ValueKind::Iterable | ValueKind::Bool => {}
        ValueKind::Number if value.is_integer() => {}
        _ => return Err(fail(format!("Unrecognized type <{}> for {} filter <value>", text::type_name(value), c.name))),
    }
    ipaddr(value, &query, version)
}

/// The answer to a query; of a list those that are true.
pub(super) fn ipaddr(value: &Value, query: &str, version: Option<i64>) -> Result<Value, Error> {
    if matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable) {
        let mut found = Vec::new();
        for item in value.try_iter()?.checked() {
            let answer = ipaddr(&item?, query, version)?;
            if answer.is_true() {
                found.push(answer);
            }
        }
        return Ok(mutable::list(found));
    }
    let Some(mut named) = named(value) else { return Ok(no()) };
    let digits = text::str(value)?.bytes().all(|b| b.is_ascii_digit());
    if digits && version == Some(6) {
        let Some(net) = Net::of(true, named.net.value, 128) else { return Ok(no()) };
        named = Named { net, value: Value::from(net.to_string()), ..named };
    }
    if version.is_some_and(|wanted| wanted != if named.net.v6 { 6 } else { 4 }) {
        return Ok(no());
    }
    answer(&named, query)
}

/// An address that a network alone does not have.
fn of_network(named: &Named, found: impl FnOnce() -> Option<String>) -> Result<Value, Error> {
    match named.written {
        Written::Address => Err(fail("Not a network address")),
        Written::Network => Ok(Value::from(found())),
    }
}

fn answer(named: &Named, query: &str) -> Result<Value, Error> {
    if let Some(part) = part(named.net, query) {
        return Ok(Value::from(part));
    }
    if let Some(holds) = holds(named, query) {
        return Ok(if holds { named.value.clone() } else { Value::from(()) });
    }
    if let Some(found) = beyond(named, query) {
        return found;
    }
    let net = named.net;
    let alone = named.written == Written::Address;
    Ok(match query {
        "" if alone => Value::from(net.ip()),
        "" => Value::from(net.to_string()),
        "6to4" => six_to_four(named),
        "address/prefix" | "gateway" | "gw" | "host/prefix" | "hostnet" | "router" => {
            let outside = net.more() > 1 && (net.value == net.network() || net.broadcast() == Some(net.value));
            if outside { no() } else { Value::from(net.to_string()) }
        }
        "bool" => Value::from(true),
        "int" if alone => number(net.value),
        "int" => Value::from(format!("{}/{}", net.value, net.prefix)),
        "ipv4" | "v4" if net.v6 => as_v4(net),
        "ipv6" | "v6" if !net.v6 => {
            Value::from(Net { v6: true, value: net.value + 0xffff_0000_0000, prefix: net.prefix + 96 }.to_string())
        }
        "ipv4" | "v4" | "ipv6" | "v6" => named.value.clone(),
        "prefix" => Value::from(net.prefix),
        "size" => net
            .more()
            .checked_add(1)
            .map_or_else(|| Err(fail("so many addresses have no number")), |n| Ok(number(n)))?,
        "size_usable" => number(match net.more() {
            0 => 0,
            1 => 2,
            more => more - 1,
        }),
        "version" => Value::from(if net.v6 { 6 } else { 4 }),
        "wrap" if net.v6 && alone => Value::from(format!("[{}]", net.ip())),
        "wrap" if net.v6 => Value::from(format!("[{}]/{}", net.ip(), net.prefix)),
        "wrap" => named.value.clone(),
        other => return by_range_or_number(named, other),
    })
}

/// A part of a network as a text, or none where there is no such part.
fn part(net: Net, query: &str) -> Option<Option<String>> {
    let lone = net.more() == 0;
    let at_network = net.value == net.network();
    let text = |value: u128| net.text_of(value);
    // An address of a network with others, or of one of two.
    let among = net.more() == 1 || (!lone && !at_network);
    Some(match query {
        "address" | "ip" => (lone || !at_network || net.broadcast().is_none() || net.v6).then(|| net.ip()),
        "broadcast" => (net.more() > 1).then(|| text(net.last())),
        "cidr" => Some(net.to_string()),
        "host" => (lone || !at_network || net.broadcast().is_none()).then(|| net.to_string()),
        "hostmask" | "wildcard" => Some(text(net.hostmask())),
        "ip/prefix" => among.then(|| net.to_string()),
        "ip_netmask" => among.then(|| format!("{} {}", net.ip(), text(net.netmask()))),
        "net" => (!lone && at_network).then(|| net.to_string()),
        "netmask" => Some(text(net.netmask())),
        "network" | "network_id" => Some(text(net.network())),
        "network/prefix" | "subnet" => Some(net.cidr().to_string()),
        "network_netmask" => Some(format!("{} {}", text(net.network()), text(net.netmask()))),
        "network_wildcard" => Some(format!("{} {}", text(net.network()), text(net.hostmask()))),
        "revdns" => Some(net.reverse()),
        "type" => Some(if lone || !at_network { "address" } else { "network" }.to_owned()),
        _ => return None,
    })
}

/// Whether the address is of a kind.
fn holds(named: &Named, query: &str) -> Option<bool> {
    let net = named.net;
    Some(match query {
        "link-local" => net.is_link_local(),
        "lo" | "loopback" => net.is_loopback(),
        "multicast" => net.is_multicast(),
        "unicast" => !net.is_multicast(),
        "private" => !net.is_global(),
        "public" => public(net),
        _ => return None,
    })
}

/// Other addresses of the network, which an address alone does not have.
fn beyond(named: &Named, query: &str) -> Option<Result<Value, Error>> {
    let net = named.net;
    let range = |(first, last)| format!("{}-{}", net.text_of(first), net.text_of(last));
    Some(match query {
        "first_usable" => of_network(named, || net.usable().map(|(first, _)| net.text_of(first))),
        "last_usable" => of_network(named, || net.usable().map(|(_, last)| net.text_of(last))),
        "next_usable" => of_network(named, || beside(net, net.value.checked_add(1))),
        "previous_usable" => of_network(named, || beside(net, net.value.checked_sub(1))),
        "range_usable" => of_network(named, || net.usable().map(range)),
        "peer" => peer(named),
        _ => return None,
    })
}

/// A query that is a network, which the address may lie in, or the number of an address in the network.
fn by_range_or_number(named: &Named, query: &str) -> Result<Value, Error> {
    let net = named.net;
    if !query.bytes().all(|b| b.is_ascii_digit())
        && let Some(range) = self::named(&Value::from(query))
        && ipaddr(&range.value, "network", None)?.is_true()
    {
        let holds = range.net.contains(net);
        return Ok(if holds { named.value.clone() } else { Value::from(()) });
    }
    if query.trim().parse::<f64>().is_err() {
        return Err(fail(format!("ipaddr: unknown filter type: {query}")));
    }
    if net.more() == 0 {
        return Ok(Value::from(if named.written == Written::Address { net.ip() } else { net.to_string() }));
    }
    let found = query.trim().parse().ok().and_then(|index| nth(net, index));
    Ok(found.map_or_else(no, |value| Value::from(format!("{}/{}", net.text_of(value), net.prefix))))
}

/// The address of that number, from the end if it is negative.
pub(super) fn nth(net: Net, index: i128) -> Option<u128> {
    let back = |index: i128| index.unsigned_abs() - 1;
    match index {
        0.. => (index.unsigned_abs() <= net.more()).then(|| net.network() + index.unsigned_abs()),
        _ => (back(index) <= net.more()).then(|| net.last() - back(index)),
    }
}

fn number(value: u128) -> Value {
    u64::try_from(value).map_or_else(|_| Value::from(value), Value::from)
}

pub(super) fn beside(net: Net, other: Option<u128>) -> Option<String> {
    let ((first, last), other) = (net.usable()?, other?);
    (first..=last).contains(&other).then(|| net.text_of(other))
}

fn public(net: Net) -> bool {
    !net.is_multicast() && net.is_global() && !net.is_loopback() && !net.is_netmask() && !net.is_hostmask()
}

fn as_v4(net: Net) -> Value {
    let low = net.value.checked_sub(0xffff_0000_0000).unwrap_or(net.value);
    let found = net.prefix.checked_sub(96).and_then(|prefix| Net::of(false, low, prefix));
    found.map_or_else(no, |found| Value::from(found.to_string()))
}

fn six_to_four(named: &Named) -> Value {
    let net = named.net;
    let lone = net.more() == 0;
    if net.v6 {
        let inside = net.value >> 112 == 0x2002 && (named.written == Written::Address || net.value != net.network());
        return if inside { named.value.clone() } else { no() };
    }
    // Public or private is what every address is that is no multicast and no mask.
    if (!lone && net.value == net.network()) || (!public(net) && net.is_global()) {
        return no();
    }
    let [a, b, c, d] = (net.value as u32).to_be_bytes();
    Value::from(format!("2002:{a:02x}{b:02x}:{c:02x}{d:02x}::1/48"))
}

/// The other end of a link between two.
fn peer(named: &Named) -> Result<Value, Error> {
    let net = named.net;
    if named.written == Written::Address {
        return Err(fail("Not a network address"));
    }
    match (net.more(), net.value % 4) {
        (1, _) => Ok(Value::from(net.text_of(net.value ^ 1))),
        (3, 0) => Err(fail("Network address of /30 has no peer")),
        (3, 3) => Err(fail("Broadcast address of /30 has no peer")),
        (3, _) => Ok(Value::from(net.text_of(net.value ^ 3))),
        _ => Err(fail("Not a point-to-point network")),
    }
}
