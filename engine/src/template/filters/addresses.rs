//! The filters of `ansible.utils` for addresses and networks: `ipaddr` and its like.

use minijinja::Error;
use minijinja::value::{Value, ValueKind};

use super::super::call::{Call, Entry, fail};
use super::super::python::{mutable, text};
use super::ipaddr::{beside, ipaddr, named, no, nth, of_kind};
use super::net::Net;

pub(super) static ALL: &[Entry] = &[
    Entry::new(
        &["ansible.utils.ipaddr", "ansible.netcommon.ipaddr", "ipaddr"],
        &["value", "query", "version", "alias"],
        "What a query says of addresses and networks; false for what is none.",
        |c| {
            let version = c.option(2)?.and_then(Value::as_i64).filter(|v| *v != 0);
            of_kind(c, version)
        },
    ),
    Entry::new(
        &["ansible.utils.ipv4", "ansible.netcommon.ipv4", "ipv4"],
        &["value", "query"],
        "As `ipaddr`, of IPv4 only.",
        |c| of_kind(c, Some(4)),
    ),
    Entry::new(
        &["ansible.utils.ipv6", "ansible.netcommon.ipv6", "ipv6"],
        &["value", "query"],
        "As `ipaddr`, of IPv6 only.",
        |c| of_kind(c, Some(6)),
    ),
    Entry::new(
        &["ansible.utils.ipwrap", "ansible.netcommon.ipwrap", "ipwrap"],
        &["value", "query"],
        "Addresses of IPv6 in brackets, everything else as it is.",
        wrap,
    ),
    Entry::new(
        &["ansible.utils.ipsubnet", "ansible.netcommon.ipsubnet", "ipsubnet"],
        &["value", "query", "index"],
        "Networks inside of a network.",
        subnet,
    ),
    Entry::new(
        &["ansible.utils.nthhost", "ansible.netcommon.nthhost", "nthhost"],
        &["value", "query"],
        "The address of that number in a network.",
        nth_host,
    ),
    Entry::new(
        &["ansible.utils.next_nth_usable", "ansible.netcommon.next_nth_usable", "next_nth_usable"],
        &["value", "offset"],
        "The address so many further on, where a host can have it.",
        |c| step(c, 1),
    ),
    Entry::new(
        &["ansible.utils.previous_nth_usable", "ansible.netcommon.previous_nth_usable", "previous_nth_usable"],
        &["value", "offset"],
        "The address so many before, where a host can have it.",
        |c| step(c, -1),
    ),
    Entry::new(
        &["ansible.utils.network_in_network", "ansible.netcommon.network_in_network", "network_in_network"],
        &["value", "test"],
        "Whether a network lies in another.",
        |c| inside(c, Bounds::All),
    ),
    Entry::new(
        &["ansible.utils.network_in_usable", "ansible.netcommon.network_in_usable", "network_in_usable"],
        &["value", "test"],
        "Whether a network lies among the addresses of another that hosts can have.",
        |c| inside(c, Bounds::Usable),
    ),
];

fn wrap(c: &mut Call) -> Result<Value, Error> {
    let query = c.str_or(1, "")?;
    let value = c.value(0)?.clone();
    if !matches!(value.kind(), ValueKind::String | ValueKind::Seq | ValueKind::Iterable | ValueKind::Bool) {
        return Err(fail(format!("Unrecognized type <{}> for ipwrap filter <value>", text::type_name(&value))));
    }
    let one = |item: Value| match ipaddr(&item, &query, None) {
        Ok(found) if found.is_true() => ipaddr(&found, "wrap", None).unwrap_or(item),
        _ => item,
    };
    if !matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable) {
        return Ok(one(value));
    }
    Ok(mutable::list(value.try_iter()?.checked().map(|item| item.map(one)).collect::<Result<_, _>>()?))
}

/// The network that a value names: of an address the address itself.
fn network(value: &Value) -> Option<Net> {
    let net = named(value)?.net;
    Some(if net.more() > 0 && net.value != net.network() { net } else { net.cidr() })
}

fn subnet(c: &mut Call) -> Result<Value, Error> {
    let query = c.str_or(1, "")?;
    let Some(net) = network(c.value(0)?).map(Net::cidr) else { return Ok(no()) };
    if query.is_empty() {
        return Ok(Value::from(net.to_string()));
    }
    if let Ok(size) = query.parse::<u32>() {
        let index = c.option(2)?.map(|_| c.int(2)).transpose()?;
        return split(net, size, index.map(i128::from));
    }
    let Some(outer) = network(&Value::from(query.as_str())) else {
        return Err(fail(format!("You must pass a valid subnet or IP address; {query} is invalid")));
    };
    let shared = net.width().saturating_sub(outer.prefix);
    let high = |value: u128| value.checked_shr(shared).unwrap_or(0);
    if high(net.value) != high(outer.value) || net.prefix < outer.prefix {
        return Err(fail(format!("{net} is not in the subnet {}", outer.cidr())));
    }
    let place = net.value.checked_shr(net.width() - net.prefix).unwrap_or(0);
    let bits = net.prefix - outer.prefix;
    Ok(Value::from((place & !u128::MAX.checked_shl(bits).unwrap_or(0)).wrapping_add(1).to_string()))
}

/// How many networks of that size there are inside, or the one of that number; for an address, the networks around it.
fn split(net: Net, size: u32, index: Option<i128>) -> Result<Value, Error> {
    if size > net.width() {
        return Ok(no());
    }
    if net.more() == 0 {
        // The networks around an address, from the widest: of length `size` and on.
        let total = i128::from(net.width());
        let index = index.unwrap_or(0);
        if index > total + 1 - index || index < i128::from(size) - total {
            return Ok(no());
        }
        let count = i128::from(net.width() - size);
        let at = if index < 0 { count + index } else { index };
        if !(0..count).contains(&at) {
            return Err(fail("list index out of range"));
        }
        return Ok(Value::from(Net { prefix: size + at as u32, ..net }.cidr().to_string()));
    }
    let Some(bits) = size.checked_sub(net.prefix) else {
        return match index {
            None => Err(fail(format!("Requested subnet size of {size} is invalid"))),
            // The network around it, by the address that it has here: so Ansible has it.
            Some(0) => Ok(Value::from(Net { prefix: size, ..net }.to_string())),
            Some(_) => Ok(no()),
        };
    };
    let count = 1_i128.checked_shl(bits).filter(|count| *count > 0).unwrap_or(i128::MAX);
    let Some(index) = index else { return Ok(Value::from(count.to_string())) };
    let index = if index < 0 { index + count } else { index };
    if !(0..count).contains(&index) {
        return Ok(no());
    }
    let offset = index.unsigned_abs().checked_shl(net.width() - size).unwrap_or(0);
    Ok(Value::from(Net { value: net.network() + offset, prefix: size, ..net }.to_string()))
}

fn nth_host(c: &mut Call) -> Result<Value, Error> {
    let query = c.str_or(1, "")?;
    let (Some(net), Ok(index)) = (network(c.value(0)?), query.trim().parse::<i128>()) else { return Ok(no()) };
    if index > 0 && index.unsigned_abs() > net.more() {
        return Ok(no());
    }
    nth(net, index)
        .map(|value| Value::from(net.text_of(value)))
        .ok_or_else(|| fail("index out of range for address range size!"))
}

fn step(c: &mut Call, direction: i64) -> Result<Value, Error> {
    let offset = c.int(1)? * direction;
    let Some(net) = network(c.value(0)?) else { return Ok(no()) };
    Ok(Value::from(beside(net, net.value.checked_add_signed(offset.into()))))
}

/// Which addresses of the wider network count.
#[derive(Clone, Copy)]
enum Bounds {
    All,
    Usable,
}

fn inside(c: &mut Call, bounds: Bounds) -> Result<Value, Error> {
    let (Some(outer), Some(inner)) = (network(c.value(0)?), network(c.value(1)?)) else { return Ok(no()) };
    let (outer, inner) = (outer.cidr(), inner.cidr());
    let (first, last) = match bounds {
        Bounds::All => (outer.network(), outer.last()),
        Bounds::Usable => outer.usable().unwrap_or((outer.value, outer.value)),
    };
    Ok(Value::from(outer.v6 == inner.v6 && first <= inner.network() && inner.last() <= last))
}
