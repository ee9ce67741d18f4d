//! An address with the network that it stands in, as `netaddr` of Python understands one.

use std::net::{Ipv4Addr, Ipv6Addr};

/// An address, and how many bits of it name the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Net {
    pub v6: bool,
    pub value: u128,
    pub prefix: u32,
}

/// A row of [`Net::GLOBAL`]: not reached from everywhere, and what is nevertheless.
type Reach = (&'static [&'static str], &'static [&'static str]);

impl Net {
    /// What the registries of IANA say of IPv4 and IPv6.
    const GLOBAL: [Reach; 2] = [
        (
            &[
                "0.0.0.0/8",
                "10.0.0.0/8",
                "100.64.0.0/10",
                "127.0.0.0/8",
                "169.254.0.0/16",
                "172.16.0.0/12",
                "192.0.0.0/24",
                "192.0.2.0/24",
                "192.168.0.0/16",
                "198.18.0.0/15",
                "198.51.100.0/24",
                "203.0.113.0/24",
                "240.0.0.0/4",
            ],
            &["192.0.0.9/32", "192.0.0.10/32"],
        ),
        (
            &[
                "::/127",
                "::ffff:0:0/96",
                "64:ff9b:1::/48",
                "100::/64",
                "2001::/23",
                "2001:db8::/32",
                "2002::/16",
                "fc00::/7",
                "fe80::/10",
            ],
            &["2001:1::1/128", "2001:1::2/128", "2001:3::/32", "2001:4:112::/48", "2001:20::/28", "2001:30::/28"],
        ),
    ];

    /// Reads `10.0.0.1`, `10.0.0.0/8`, `10.0.0.0/255.0.0.0`, `10.0.0.0/0.255.255.255` and their like.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, rest) = text.split_once('/').map_or((text, None), |(a, rest)| (a, Some(rest)));
        let mut net = Self::address(address)?;
        if let Some(rest) = rest {
            net.prefix = match rest.parse::<u32>() {
                Ok(prefix) => prefix,
                Err(_) => Self::address(rest).filter(|mask| mask.v6 == net.v6)?.bits_of_mask()?,
            };
        }
        (net.prefix <= net.width()).then_some(net)
    }

    fn address(text: &str) -> Option<Self> {
        if let Ok(v4) = text.parse::<Ipv4Addr>() {
            return Some(Self { v6: false, value: u32::from(v4).into(), prefix: 32 });
        }
        text.parse::<Ipv6Addr>().ok().map(|v6| Self { v6: true, value: v6.into(), prefix: 128 })
    }

    /// An address by its number, where it fits.
    pub(super) fn of(v6: bool, value: u128, prefix: u32) -> Option<Self> {
        let net = Self { v6, value, prefix };
        (net.prefix <= net.width() && value <= net.max()).then_some(net)
    }

    fn bits_of_mask(self) -> Option<u32> {
        if self.is_netmask() {
            return Some(self.value.count_ones());
        }
        self.is_hostmask().then(|| self.width() - self.value.count_ones())
    }

    pub(super) fn width(self) -> u32 {
        if self.v6 { 128 } else { 32 }
    }

    fn max(self) -> u128 {
        u128::MAX >> (128 - self.width())
    }

    pub(super) fn hostmask(self) -> u128 {
        self.max().checked_shr(self.prefix).unwrap_or(0)
    }

    pub(super) fn netmask(self) -> u128 {
        self.max() ^ self.hostmask()
    }

    /// The first address.
    pub(super) fn network(self) -> u128 {
        self.value & self.netmask()
    }

    /// The last address.
    pub(super) fn last(self) -> u128 {
        self.value | self.hostmask()
    }

    /// How many addresses beside the first: their number itself may not fit.
    pub(super) fn more(self) -> u128 {
        self.hostmask()
    }

    /// The network without the address.
    pub(super) fn cidr(self) -> Self {
        Self { value: self.network(), ..self }
    }

    /// Whether IPv4 has a last address that reaches all.
    pub(super) fn broadcast(self) -> Option<u128> {
        (self.v6 || self.prefix < 31).then(|| self.last())
    }

    /// The first and the last address that a host can have, where there is more than one address.
    pub(super) fn usable(self) -> Option<(u128, u128)> {
        match self.more() {
            0 => None,
            1 => Some((self.network(), self.last())),
            _ => Some((self.network() + 1, self.last() - 1)),
        }
    }

    pub(super) fn contains(self, other: Self) -> bool {
        self.v6 == other.v6 && self.network() <= other.network() && other.last() <= self.last()
    }

    fn within(self, nets: &[&str]) -> bool {
        let host = Self { prefix: self.width(), ..self };
        nets.iter().filter_map(|net| Self::parse(net)).any(|net| net.contains(host))
    }

    pub(super) fn is_global(self) -> bool {
        let (not, nevertheless) = Self::GLOBAL[usize::from(self.v6)];
        !self.within(not) || self.within(nevertheless)
    }

    pub(super) fn is_loopback(self) -> bool {
        self.within(&["127.0.0.0/8", "::1/128"])
    }

    pub(super) fn is_link_local(self) -> bool {
        self.within(&["169.254.0.0/16", "fe80::/10"])
    }

    pub(super) fn is_multicast(self) -> bool {
        self.within(&["224.0.0.0/4", "ff00::/8"])
    }

    pub(super) fn is_netmask(self) -> bool {
        (self.value ^ self.max()).wrapping_add(1) & (self.value ^ self.max()) == 0
    }

    pub(super) fn is_hostmask(self) -> bool {
        self.value.wrapping_add(1) & self.value == 0
    }

    /// Another address of the same kind, as a text.
    pub(super) fn text_of(self, value: u128) -> String {
        match u32::try_from(value) {
            Ok(low) if !self.v6 => Ipv4Addr::from(low).to_string(),
            // As the C library writes what stands for an address of IPv4.
            Ok(low) if low >> 16 != 0 => format!("::{}", Ipv4Addr::from(low)),
            _ => Ipv6Addr::from(value).to_string(),
        }
    }

    pub(super) fn ip(self) -> String {
        self.text_of(self.value)
    }

    /// The name by which the address is looked up in reverse.
    pub(super) fn reverse(self) -> String {
        if self.v6 {
            let digits: String = format!("{:032x}", self.value).chars().rev().flat_map(|c| [c, '.']).collect();
            return format!("{digits}ip6.arpa.");
        }
        let [a, b, c, d] = Ipv4Addr::from(self.value as u32).octets();
        format!("{d}.{c}.{b}.{a}.in-addr.arpa.")
    }
}

impl std::fmt::Display for Net {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.ip(), self.prefix)
    }
}
