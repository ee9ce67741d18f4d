//! Which rule decides for a connection: the first that matches.

use std::collections::BTreeSet;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::Deserialize;

use super::file::{Line, Meaning, number};
use super::rule::{Address, Name, Rule, Type, value};

/// A connection as it might come.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Connection {
    /// The database; `replication` for a physical replication connection.
    pub(super) database: String,
    /// The role.
    pub(super) user: String,
    /// The client's address. Without it, the connection comes by the unix socket.
    pub(super) address: Option<IpAddr>,
    /// Whether it uses TLS.
    #[serde(default)]
    pub(super) ssl: bool,
    /// The method that must decide, or `reject` if it must not be let in.
    pub(super) expect: Option<String>,
}

/// What becomes of a connection.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Decision {
    /// A rule decides.
    By { line: usize, rule: Rule },
    /// No rule matches, and the server refuses.
    Nobody,
    /// It depends on something that is not in the file.
    Unsure { line: usize, on: String },
}

impl Decision {
    /// The method, where one is known.
    pub(super) fn method(&self) -> Option<&str> {
        match self {
            Self::By { rule, .. } => Some(&rule.method),
            Self::Nobody => Some("reject"),
            Self::Unsure { .. } => None,
        }
    }

    /// Whether it is the same rule, wherever it stands.
    pub(super) fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::By { rule, .. }, Self::By { rule: other, .. }) => rule == other,
            _ => self == other,
        }
    }
}

impl std::fmt::Display for Decision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::By { line, rule } => write!(f, "line {line}: {}", rule.brief()),
            Self::Nobody => f.write_str("no rule: refused"),
            Self::Unsure { line, on } => write!(f, "not known: line {line} depends on {on}"),
        }
    }
}

/// `replication/rep from 10.0.0.7`.
impl std::fmt::Display for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.database, self.user)?;
        match self.address {
            Some(address) => write!(f, " from {address}{}", if self.ssl { " by TLS" } else { "" }),
            None => f.write_str(" by the socket"),
        }
    }
}

/// The roles that a user is a member of, itself among them; `None` if the server was not asked.
pub(super) type Roles<'a> = Option<&'a BTreeSet<String>>;

pub(super) fn decide(lines: &[Line], connection: &Connection, roles: Roles) -> Decision {
    for (at, line) in lines.iter().enumerate() {
        let verdict = match &line.meaning {
            Meaning::Rule(rule) => matches(rule, connection, roles),
            Meaning::Include => Err("another file".into()),
            Meaning::Comment | Meaning::Broken(_) => Ok(false),
        };
        match (verdict, line.rule()) {
            (Ok(true), Some(rule)) => return Decision::By { line: number(lines, at), rule: rule.clone() },
            (Ok(_), _) => {}
            (Err(on), _) => return Decision::Unsure { line: number(lines, at), on },
        }
    }
    Decision::Nobody
}

/// The error says on what it depends. A "no" of any part is a no, whatever the others depend on.
fn matches(rule: &Rule, connection: &Connection, roles: Roles) -> Result<bool, String> {
    let kind = match (rule.kind, connection.address) {
        (Type::Local, address) => address.is_none(),
        (_, None) | (Type::HostGss, _) => false,
        (Type::HostSsl, _) => connection.ssl,
        (Type::HostNoSsl, _) => !connection.ssl,
        (Type::Host | Type::HostNoGss, _) => true,
    };
    let parts = [
        Ok(kind),
        any(&rule.databases, |name| database(name, connection, roles)),
        any(&rule.users, |name| user(name, connection, roles)),
        rule.address.as_ref().zip(connection.address).map_or(Ok(true), |(address, ip)| from(address, &ip)),
    ];
    if parts.contains(&Ok(false)) {
        return Ok(false);
    }
    parts.into_iter().find(Result::is_err).unwrap_or(Ok(true))
}

fn any(names: &[Name], matches: impl Fn(&Name) -> Result<bool, String>) -> Result<bool, String> {
    let answers: Vec<_> = names.iter().map(matches).collect();
    match answers.contains(&Ok(true)) {
        true => Ok(true),
        false => answers.into_iter().find(Result::is_err).unwrap_or(Ok(false)),
    }
}

fn database(name: &Name, connection: &Connection, roles: Roles) -> Result<bool, String> {
    let Connection { database, user, .. } = connection;
    if database == "replication" {
        return Ok(name.is_keyword("replication"));
    }
    if name.is_keyword("samerole") || name.is_keyword("samegroup") {
        return member(database, roles);
    }
    if let Some(outside) = outside(name) {
        return outside;
    }
    Ok(name.is_keyword("all")
        || name.is_keyword("sameuser") && database == user
        || name.text == *database && !name.is_keyword("replication") && !name.is_keyword("sameuser"))
}

fn user(name: &Name, connection: &Connection, roles: Roles) -> Result<bool, String> {
    if let Some(role) = name.marked('+') {
        return member(role, roles);
    }
    outside(name).unwrap_or(Ok(name.is_keyword("all") || name.text == connection.user))
}

/// What is not in the line itself.
fn outside(name: &Name) -> Option<Result<bool, String>> {
    if name.marked('@').is_some() {
        return Some(Err(format!("the file {}", name.text)));
    }
    name.marked('/').map(|pattern| Err(format!("the pattern {pattern}")))
}

fn member(role: &str, roles: Roles) -> Result<bool, String> {
    roles.map(|roles| roles.contains(role)).ok_or_else(|| format!("the members of {role}"))
}

fn from(address: &Address, ip: &IpAddr) -> Result<bool, String> {
    match address {
        Address::All => Ok(true),
        Address::Net { ip: net, mask } => Ok(net.is_ipv4() == ip.is_ipv4() && value(net) & mask == value(ip) & mask),
        Address::SameHost if ip.is_loopback() => Ok(true),
        Address::SameHost | Address::SameNet => Err("the server's own addresses".into()),
        Address::Name(name) => Err(format!("the name of {ip}, or the address of {name}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtin::postgres::pg_hba::file;
    use serde_json::json;

    #[test]
    fn the_first_match_decides() {
        let lines = file::parse(
            "local all postgres peer\nlocal all +dba md5\nhost replication rep 10.0.0.0/24 scram-sha-256\n\
             host all all 10.0.0.66/32 reject\nhostssl all all 10.0.0.0/8 cert\nhost sameuser all 10.0.0.0/8 md5\n\
             host samerole all 10.0.0.0/8 password\nhost shop all db.example.com trust\n",
        );
        let member: BTreeSet<String> = ["bob", "dba", "shop"].map(str::to_owned).into();
        let table = [
            (json!({"database": "x", "user": "postgres"}), "line 1: local all postgres peer"),
            (json!({"database": "x", "user": "bob"}), "line 2: local all +dba md5"),
            (
                json!({"database": "replication", "user": "rep", "address": "10.0.0.66"}),
                "line 3: host replication rep 10.0.0.0/24 scram-sha-256",
            ),
            (json!({"database": "replication", "user": "bob", "address": "10.0.0.66"}), "no rule: refused"),
            (
                json!({"database": "x", "user": "rep", "address": "10.0.0.66"}),
                "line 4: host all all 10.0.0.66/32 reject",
            ),
            (
                json!({"database": "x", "user": "rep", "address": "10.0.0.9", "ssl": true}),
                "line 5: hostssl all all 10.0.0.0/8 cert",
            ),
            (
                json!({"database": "bob", "user": "bob", "address": "10.0.0.9"}),
                "line 6: host sameuser all 10.0.0.0/8 md5",
            ),
            (
                json!({"database": "shop", "user": "bob", "address": "10.0.0.9"}),
                "line 7: host samerole all 10.0.0.0/8 password",
            ),
            (
                json!({"database": "shop", "user": "bob", "address": "11.0.0.9"}),
                "not known: line 8 depends on the name of 11.0.0.9, or the address of db.example.com",
            ),
            (json!({"database": "x", "user": "bob", "address": "11.0.0.9"}), "no rule: refused"),
        ];
        for (connection, wanted) in table {
            let connection: Connection = serde_json::from_value(connection).unwrap();
            assert_eq!(decide(&lines, &connection, Some(&member)).to_string(), wanted, "{connection}");
        }
        let bob: Connection = serde_json::from_value(json!({"database": "x", "user": "bob"})).unwrap();
        assert_eq!(decide(&lines, &bob, None).to_string(), "not known: line 2 depends on the members of dba");
    }
}
