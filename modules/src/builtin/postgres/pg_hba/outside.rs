//! What a rule depends on that is not in its line: other files, members of roles, the server's networks.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};

use super::file::{self, Inclusion, Line, Meaning};
use super::rule::{Address, Name, Rule, fields, mask_of, value};
use super::simulate::Place;
use crate::host::{Error, Host};
use crate::sql::{PgConn, SqlArg};

/// How deep files may include files, as the server has it (`CONF_FILE_MAX_DEPTH`).
const MAX_DEPTH: usize = 10;

/// A rule, or something that would have to be known to tell which rules there are.
pub(super) enum Entry {
    Rule {
        place: Place,
        rule: Rule,
        /// With the names that `@file` stands for, where it could be read.
        names: [Vec<Name>; 2],
    },
    Unknown {
        place: Place,
        on: String,
    },
}

/// What the server knows beside its files.
#[derive(Default)]
pub(super) struct Outside {
    /// The roles that the user is a member of, itself among them; `None` if the server was not asked.
    pub(super) roles: Option<BTreeSet<String>>,
    /// The server's own addresses and their masks; `None` if it is another host, or they can't be read.
    pub(super) networks: Option<Vec<(IpAddr, u128)>>,
}

/// The rules of a file and of those that it includes, in order.
pub(super) fn entries(host: &dyn Host, path: &Path, lines: &[Line]) -> Vec<Entry> {
    let mut found = Vec::new();
    collect(host, path, lines, 0, &mut found);
    found
}

fn collect(host: &dyn Host, path: &Path, lines: &[Line], depth: usize, found: &mut Vec<Entry>) {
    for (at, line) in lines.iter().enumerate() {
        let file = (depth > 0).then(|| path.to_owned());
        let place = Place { file, line: file::number(lines, at) };
        match &line.meaning {
            Meaning::Rule(rule) => {
                let names = [&rule.databases, &rule.users].map(|names| named(host, path, names, 0));
                found.push(Entry::Rule { place, rule: rule.clone(), names });
            }
            Meaning::Include(kind, target) => match included(host, &beside(path, target), *kind, depth) {
                Ok(files) => {
                    for (path, text) in files {
                        collect(host, &path, &file::parse(&text), depth + 1, found);
                    }
                }
                Err(on) => found.push(Entry::Unknown { place, on }),
            },
            Meaning::Comment | Meaning::Broken(_) => {}
        }
    }
}

/// The files meant and their content. The error says what would have to be known.
fn included(host: &dyn Host, path: &Path, kind: Inclusion, depth: usize) -> Result<Vec<(PathBuf, String)>, String> {
    let unread = || format!("{}, which can't be read", path.display());
    if depth >= MAX_DEPTH {
        return Err(format!("{}, and files include each other too deeply", path.display()));
    }
    let paths = match kind {
        Inclusion::Directory => {
            let mut paths = host.list(path).map_err(|_| unread())?;
            paths.retain(|path| {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                name.ends_with(".conf") && !name.starts_with('.')
            });
            paths.sort();
            paths
        }
        Inclusion::File | Inclusion::IfExists => vec![path.to_owned()],
    };
    let mut files = Vec::new();
    for path in paths {
        match text(host, &path) {
            Ok(Some(text)) => files.push((path, text)),
            Ok(None) if kind == Inclusion::IfExists => {}
            Ok(None) => return Err(format!("{}, which is not there", path.display())),
            Err(_) => return Err(format!("{}, which can't be read", path.display())),
        }
    }
    Ok(files)
}

/// The names, those of files in the place of `@file`. A name whose file can't be read stays as it is.
fn named(host: &dyn Host, of: &Path, names: &[Name], depth: usize) -> Vec<Name> {
    let expand = |name: &Name| match name.marked('@') {
        Some(file) if depth < MAX_DEPTH => {
            let path = beside(of, file);
            let Ok(Some(text)) = text(host, &path) else { return vec![name.clone()] };
            let Ok(lines) = text.lines().map(fields).collect::<Result<Vec<_>, _>>() else { return vec![name.clone()] };
            named(host, &path, &lines.into_iter().flatten().flatten().collect::<Vec<_>>(), depth + 1)
        }
        _ => vec![name.clone()],
    };
    names.iter().flat_map(expand).collect()
}

fn text(host: &dyn Host, path: &Path) -> Result<Option<String>, Error> {
    let bytes = host.read(path)?;
    bytes.map(String::from_utf8).transpose().map_err(|_| Error::path("read", path, "it is not UTF-8 text"))
}

/// A path as the server reads it: relative ones begin where the file is that names them.
fn beside(file: &Path, path: &str) -> PathBuf {
    file.parent().unwrap_or(file).join(path)
}

impl Outside {
    /// Asks for what these rules depend on. `at`: the server, if it is up.
    pub(super) fn look(host: &dyn Host, at: Option<&PgConn>, entries: &[&[Entry]], user: &str) -> Result<Self, Error> {
        let any = |test: &dyn Fn(&Rule, &[Vec<Name>; 2]) -> bool| {
            entries.iter().copied().flatten().any(|entry| match entry {
                Entry::Rule { rule, names, .. } => test(rule, names),
                Entry::Unknown { .. } => false,
            })
        };
        let of_roles =
            |name: &Name| name.marked('+').is_some() || name.is_keyword("samerole") || name.is_keyword("samegroup");
        let members = any(&|_, names| names.iter().flatten().any(of_roles));
        let roles = match at.filter(|_| members) {
            Some(at) => Some(roles(host, at, user)?),
            None => None,
        };
        let near = any(&|rule, _| matches!(rule.address, Some(Address::SameHost | Address::SameNet)));
        Ok(Self { roles, networks: at.filter(|at| near && is_here(at)).and_then(|_| networks(host)) })
    }

    /// Whether an address is one of the server's own (`samehost`), or in one of its networks (`samenet`).
    pub(super) fn is_near(&self, ip: &IpAddr, whole: bool) -> Option<bool> {
        let near = |(own, mask): &(IpAddr, u128)| {
            let mask = if whole { *mask } else { u128::MAX };
            own.is_ipv4() == ip.is_ipv4() && value(own) & mask == value(ip) & mask
        };
        Some(self.networks.as_ref()?.iter().any(near))
    }
}

fn is_here(at: &PgConn) -> bool {
    at.host.starts_with('/') || at.host == "localhost" || at.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The roles that a role is a member of, directly or not, and itself. Being a superuser makes nobody a member here.
fn roles(host: &dyn Host, at: &PgConn, user: &str) -> Result<BTreeSet<String>, Error> {
    const MEMBERSHIPS: &str = "WITH RECURSIVE up AS (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = $1 \
        UNION SELECT m.roleid FROM pg_catalog.pg_auth_members m JOIN up ON m.member = up.oid) \
        SELECT rolname FROM pg_catalog.pg_roles JOIN up USING (oid) ORDER BY 1";
    let rows = host.sql(at, MEMBERSHIPS, &[SqlArg::Text(user.into())])?.rows;
    Ok(rows.iter().filter_map(|row| row.first()?.as_str().map(Into::into)).collect())
}

/// From what the kernel shows; `ip` is not on every host.
fn networks(host: &dyn Host) -> Option<Vec<(IpAddr, u128)>> {
    let mut found = ipv4(&text(host, Path::new("/proc/net/fib_trie")).ok()??);
    let six = text(host, Path::new("/proc/net/if_inet6")).ok()?.unwrap_or_default();
    found.extend(six.lines().filter_map(ipv6));
    Some(found)
}

/// Own addresses are `/32 host LOCAL`, the networks that they are in `link UNICAST` (the loopback's: `host LOCAL`).
fn ipv4(trie: &str) -> Vec<(IpAddr, u128)> {
    let mut last = None;
    let (mut own, mut nets) = (BTreeSet::new(), BTreeSet::new());
    for line in trie.lines().map(str::trim_start) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse::<IpAddr>().ok();
        } else if let (Some(at), Some((length, what))) = (last, line.strip_prefix('/').and_then(|l| l.split_once(' ')))
            && let Ok(length) = length.parse()
        {
            match (length, what) {
                (32, "host LOCAL") => drop(own.insert(at)),
                (1.., "host LOCAL" | "link UNICAST") => drop(nets.insert((at, mask_of(&at, length)))),
                _ => {}
            }
        }
    }
    let net = |ip: IpAddr| {
        let of = |(net, mask): &&(IpAddr, u128)| value(net) & mask == value(&ip) & mask;
        (ip, nets.iter().find(of).map_or(u128::MAX, |(_, mask)| *mask))
    };
    own.into_iter().map(net).collect()
}

/// A line of /proc/net/if_inet6: address, index, prefix, and more.
fn ipv6(line: &str) -> Option<(IpAddr, u128)> {
    let mut field = line.split_whitespace();
    let ip = IpAddr::V6(Ipv6Addr::from(u128::from_str_radix(field.next()?, 16).ok()?));
    let length = u32::from_str_radix(field.nth(1)?, 16).ok().filter(|length| *length <= 128)?;
    Some((ip, mask_of(&ip, length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_addresses_and_networks() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.77.0.0\n        /24 link UNICAST\n     |-- 10.77.0.11\n        /32 host LOCAL\n\
                    \x20    |-- 10.77.0.255\n        /32 link BROADCAST\n     |-- 127.0.0.0\n        /8 host LOCAL\n     |-- 127.0.0.1\n        /32 host LOCAL\n";
        let six = [
            "00000000000000000000000000000001 01 80 10 80 lo",
            "fe80000000000000000000fffe000001 02 40 20 80 eth0",
            "?",
        ];
        let networks = ipv4(trie).into_iter().chain(six.into_iter().filter_map(ipv6)).collect();
        let outside = Outside { networks: Some(networks), roles: None };
        let table = [
            ("10.77.0.11", true, true),
            ("10.77.0.12", false, true),
            ("10.78.0.12", false, false),
            ("127.0.0.1", true, true),
            ("127.0.0.9", false, true),
            ("::1", true, true),
            ("fe80::1", false, true),
            ("2001:db8::1", false, false),
        ];
        for (ip, samehost, samenet) in table {
            let near = |whole| outside.is_near(&ip.parse().unwrap(), whole);
            assert_eq!((near(false), near(true)), (Some(samehost), Some(samenet)), "{ip}");
        }
        assert_eq!(Outside::default().is_near(&"::1".parse().unwrap(), true), None);
    }
}
