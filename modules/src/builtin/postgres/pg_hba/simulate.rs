//! Which rule decides for a connection: the first that matches.

use std::net::IpAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::outside::{Entry, Outside};
use super::rule::{Address, Name, Rule, Type, value};
use crate::builtin::common;

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

/// Where a rule stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    /// None: in the file itself, and not in one that it includes.
    pub(super) file: Option<PathBuf>,
    pub(super) line: usize,
}

/// `line 3`, `/etc/pg/more.conf line 3`.
impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{} ", file.display())?;
        }
        write!(f, "line {}", self.line)
    }
}

/// What becomes of a connection.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Decision {
    /// A rule decides.
    By { place: Place, rule: Rule },
    /// No rule matches, and the server refuses.
    Nobody,
    /// It depends on something that is not in the file.
    Unsure { place: Place, on: String },
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
            Self::By { place, rule } => write!(f, "{place}: {}", rule.brief()),
            Self::Nobody => f.write_str("no rule: refused"),
            Self::Unsure { place, on } => write!(f, "not known: {place} depends on {on}"),
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

pub(super) fn decide(entries: &[Entry], connection: &Connection, outside: &Outside) -> Decision {
    for entry in entries {
        match entry {
            Entry::Unknown { place, on } => return Decision::Unsure { place: place.clone(), on: on.clone() },
            Entry::Rule { place, rule, names } => match matches(rule, names, connection, outside) {
                Ok(true) => return Decision::By { place: place.clone(), rule: rule.clone() },
                Ok(false) => {}
                Err(on) => return Decision::Unsure { place: place.clone(), on },
            },
        }
    }
    Decision::Nobody
}

/// The error says on what it depends. A "no" of any part is a no, whatever the others depend on.
fn matches(rule: &Rule, names: &[Vec<Name>; 2], connection: &Connection, outside: &Outside) -> Result<bool, String> {
    let kind = match (rule.kind, connection.address) {
        (Type::Local, address) => address.is_none(),
        (_, None) | (Type::HostGss, _) => false,
        (Type::HostSsl, _) => connection.ssl,
        (Type::HostNoSsl, _) => !connection.ssl,
        (Type::Host | Type::HostNoGss, _) => true,
    };
    let [databases, users] = names;
    let parts = [
        Ok(kind),
        any(databases, |name| database(name, connection, outside)),
        any(users, |name| user(name, connection, outside)),
        rule.address.as_ref().zip(connection.address).map_or(Ok(true), |(address, ip)| from(address, &ip, outside)),
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

fn database(name: &Name, connection: &Connection, outside: &Outside) -> Result<bool, String> {
    let Connection { database, user, .. } = connection;
    if database == "replication" {
        return Ok(name.is_keyword("replication"));
    }
    if name.is_keyword("samerole") || name.is_keyword("samegroup") {
        return member(database, outside);
    }
    if let Some(marked) = marked(name, database) {
        return marked;
    }
    Ok(name.is_keyword("all")
        || name.is_keyword("sameuser") && database == user
        || name.text == *database && !name.is_keyword("replication") && !name.is_keyword("sameuser"))
}

fn user(name: &Name, connection: &Connection, outside: &Outside) -> Result<bool, String> {
    if let Some(role) = name.marked('+') {
        return member(role, outside);
    }
    marked(name, &connection.user).unwrap_or(Ok(name.is_keyword("all") || name.text == connection.user))
}

/// A file that could not be read, or a pattern (since PostgreSQL 16), of which the server's kind differs from ours in little.
fn marked(name: &Name, text: &str) -> Option<Result<bool, String>> {
    if let Some(file) = name.marked('@') {
        return Some(Err(format!("the file {file}, which can't be read")));
    }
    let pattern = name.marked('/')?;
    let matched = common::regex("", pattern).ok().and_then(|regex| regex.is_match(text).ok());
    Some(matched.ok_or_else(|| format!("the pattern {pattern}, which the server may read otherwise")))
}

fn member(role: &str, outside: &Outside) -> Result<bool, String> {
    let roles = outside.roles.as_ref();
    roles.map(|roles| roles.contains(role)).ok_or_else(|| format!("the members of {role}: the server was not asked"))
}

fn from(address: &Address, ip: &IpAddr, outside: &Outside) -> Result<bool, String> {
    match address {
        Address::All => Ok(true),
        Address::Net { ip: net, mask } => Ok(net.is_ipv4() == ip.is_ipv4() && value(net) & mask == value(ip) & mask),
        Address::SameHost | Address::SameNet => outside
            .is_near(ip, *address == Address::SameNet)
            .ok_or_else(|| "the server's own addresses: the task does not run where it is".into()),
        Address::Name(name) => {
            Err(format!("what the server's resolver says of {ip} and {name} at the moment of the connection"))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::builtin::postgres::pg_hba::{file, outside};
    use crate::fake::Fake;
    use serde_json::json;

    fn parse(text: &str) -> Vec<Entry> {
        outside::entries(&Fake::new(), Path::new("/etc/pg/pg_hba.conf"), &file::parse(text))
    }

    fn connection(json: serde_json::Value) -> Connection {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn the_first_match_decides() {
        let lines = parse(
            "local all postgres peer\nlocal all +dba md5\nhost replication rep 10.0.0.0/24 scram-sha-256\n\
             host all all 10.0.0.66/32 reject\nhostssl all all 10.0.0.0/8 cert\nhost sameuser all 10.0.0.0/8 md5\n\
             host samerole all 10.0.0.0/8 password\nhost shop all db.example.com trust\n",
        );
        let member = Outside { roles: Some(["bob", "dba", "shop"].map(str::to_owned).into()), networks: None };
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
                "not known: line 8 depends on what the server's resolver says of 11.0.0.9 and db.example.com at the moment of the connection",
            ),
            (json!({"database": "x", "user": "bob", "address": "11.0.0.9"}), "no rule: refused"),
        ];
        for (given, wanted) in table {
            let connection = connection(given);
            assert_eq!(decide(&lines, &connection, &member).to_string(), wanted, "{connection}");
        }
        let bob = connection(json!({"database": "x", "user": "bob"}));
        let unasked = decide(&lines, &bob, &Outside::default()).to_string();
        assert_eq!(unasked, "not known: line 2 depends on the members of dba: the server was not asked");
    }

    #[test]
    fn patterns_networks_and_other_files() {
        let host = Fake::new()
            .dir("/etc/pg", 0o755)
            .dir("/etc/pg/more", 0o755)
            .file("/etc/pg/admins", "ann, # the first\n+dba \"all\"\n@others\n", 0o600)
            .file("/etc/pg/others", "zoe\n", 0o600)
            .file("/etc/pg/more/20.conf", "host late all 10.0.0.0/8 reject\n", 0o600)
            .file("/etc/pg/more/10.conf", "# first\nhost early all 10.0.0.0/8 md5\n", 0o600)
            .file("/etc/pg/more/.30.conf", "host all all all trust\n", 0o600)
            .file("/etc/pg/more/40.txt", "host all all all trust\n", 0o600);
        let text = "host /^shop_\\d+$ @admins 10.0.0.0/8 scram-sha-256\nhost x all samehost trust\nhost x all samenet md5\n\
                    include_dir more\ninclude_if_exists nothing.conf\nhost y \"@admins\" all md5\nhost z @lost all md5\n\
                    host w /\\mwhole all md5\ninclude gone.conf\nhost all all all reject\n";
        let entries = outside::entries(&host, Path::new("/etc/pg/pg_hba.conf"), &file::parse(text));
        let net = ("10.0.0.1".parse().unwrap(), 0xffff_ff00);
        let outside = Outside { roles: Some(["bob".to_owned(), "dba".into()].into()), networks: Some(vec![net]) };
        let table = [
            ("shop_1", "ann", "10.0.0.9", "line 1: host /^shop_\\d+$ @admins 10.0.0.0/8 scram-sha-256"),
            ("shop_1", "zoe", "10.0.0.9", "line 1: host /^shop_\\d+$ @admins 10.0.0.0/8 scram-sha-256"),
            ("shop_1", "bob", "10.0.0.9", "line 1: host /^shop_\\d+$ @admins 10.0.0.0/8 scram-sha-256"),
            ("shop_x", "ann", "10.0.0.9", "not known: line 9 depends on /etc/pg/gone.conf, which is not there"),
            ("x", "ann", "10.0.0.1", "line 2: host x all samehost trust"),
            ("x", "ann", "10.0.0.9", "line 3: host x all samenet md5"),
            ("early", "ann", "10.0.0.9", "/etc/pg/more/10.conf line 2: host early all 10.0.0.0/8 md5"),
            ("late", "ann", "10.0.0.9", "/etc/pg/more/20.conf line 1: host late all 10.0.0.0/8 reject"),
            ("y", "@admins", "10.0.0.9", "line 6: host y \"@admins\" all md5"),
            ("z", "ann", "10.0.0.9", "not known: line 7 depends on the file lost, which can't be read"),
            (
                "w",
                "ann",
                "10.0.0.9",
                "not known: line 8 depends on the pattern \\mwhole, which the server may read otherwise",
            ),
        ];
        for (database, user, address, wanted) in table {
            let connection = connection(json!({"database": database, "user": user, "address": address}));
            assert_eq!(decide(&entries, &connection, &outside).to_string(), wanted, "{connection}");
        }
        let far = connection(json!({"database": "x", "user": "ann", "address": "10.0.0.1"}));
        let unasked = Outside { networks: None, ..outside };
        assert_eq!(
            decide(&entries, &far, &unasked).to_string(),
            "not known: line 2 depends on the server's own addresses: the task does not run where it is"
        );
    }
}
