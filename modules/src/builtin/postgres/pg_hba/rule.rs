//! One rule of pg_hba.conf: what a line says, and how it is written.
//!
//! After the server's `hba.c` and its documentation, "The pg_hba.conf File".

use std::net::IpAddr;

use crate::secret::REDACTED;

/// How a connection comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Local,
    Host,
    HostSsl,
    HostNoSsl,
    HostGss,
    HostNoGss,
}

const TYPES: [(&str, Type); 6] = [
    ("local", Type::Local),
    ("host", Type::Host),
    ("hostssl", Type::HostSsl),
    ("hostnossl", Type::HostNoSsl),
    ("hostgssenc", Type::HostGss),
    ("hostnogssenc", Type::HostNoGss),
];

/// The methods of PostgreSQL 12 to 18.
pub(super) const METHODS: [&str; 15] = [
    "bsd",
    "cert",
    "gss",
    "ident",
    "ldap",
    "md5",
    "oauth",
    "pam",
    "password",
    "peer",
    "radius",
    "reject",
    "scram-sha-256",
    "sspi",
    "trust",
];

/// Options whose values are secret.
const SECRET_OPTIONS: [&str; 2] = ["ldapbindpasswd", "radiussecrets"];

/// A name in a list; one in quotes is never a keyword.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) text: String,
    pub(super) quoted: bool,
}

impl Name {
    pub(super) fn is_keyword(&self, keyword: &str) -> bool {
        !self.quoted && self.text == keyword
    }

    /// What begins like that without quotes: `+role`, `@file`, `/pattern`.
    pub(super) fn marked(&self, mark: char) -> Option<&str> {
        if self.quoted { None } else { self.text.strip_prefix(mark) }
    }
}

/// Where connections come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    All,
    SameHost,
    SameNet,
    /// Addresses that agree with `ip` where `mask` has ones.
    Net {
        ip: IpAddr,
        mask: u128,
    },
    /// A name, or with a dot before it all names that end so.
    Name(String),
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) kind: Type,
    pub(super) databases: Vec<Name>,
    pub(super) users: Vec<Name>,
    /// None for `local`.
    pub(super) address: Option<Address>,
    pub(super) method: String,
    /// `name=value`, sorted: their order means nothing.
    pub(super) options: Vec<String>,
}

impl Rule {
    /// Reads a line without its comment. The error says what was expected.
    pub(super) fn parse(line: &str) -> Result<Self, String> {
        let mut fields = fields(line)?.into_iter();
        let mut next = |what: &str| fields.next().ok_or_else(|| format!("`{}` has no {what}", line.trim()));
        let kind = one(next("type")?)?.text;
        let kind = self::kind(&kind)?;
        let databases = next("database")?;
        let users = next("user")?;
        let address = match kind {
            Type::Local => None,
            _ => {
                let address = one(next("address")?)?;
                let bare = !address.quoted && address.text.parse::<IpAddr>().is_ok();
                // A bare address needs its mask in the field behind it.
                let mask = if bare { Some(one(next("netmask, or /LENGTH behind the address")?)?.text) } else { None };
                Some(parse_address(&address, mask.as_deref())?)
            }
        };
        let method = one(next("method")?)?.text;
        let mut options = fields.map(|field| one(field).map(|name| name.text)).collect::<Result<Vec<_>, _>>()?;
        options.sort();
        Self { kind, databases, users, address, method, options }.checked()
    }

    /// What the server would refuse.
    pub(super) fn checked(self) -> Result<Self, String> {
        if !METHODS.contains(&self.method.as_str()) {
            let near = crate::param::nearest(&self.method, METHODS);
            let hint = near.map_or_else(
                || format!("; there are {}", METHODS.join(", ")),
                |near| format!("; did you mean `{near}`?"),
            );
            return Err(format!("there is no method `{}`{hint}", self.method));
        }
        let local = self.kind == Type::Local;
        match self.method.as_str() {
            "peer" if !local => Err("`peer` is for `local` only".into()),
            "cert" if self.kind != Type::HostSsl => Err("`cert` is for `hostssl` only".into()),
            "gss" | "sspi" | "ident" if local => Err(format!("`{}` is not for `local`", self.method)),
            _ if local != self.address.is_none() => {
                Err("a rule has an address if, and only if, it is not `local`".into())
            }
            _ => Ok(self),
        }
    }

    /// For which connections it is, without what it does with them.
    pub(super) fn same_connections(&self, other: &Self) -> bool {
        let sorted = |names: &[Name]| {
            let mut names = names.to_vec();
            names.sort();
            names
        };
        self.kind == other.kind
            && self.address == other.address
            && sorted(&self.databases) == sorted(&other.databases)
            && sorted(&self.users) == sorted(&other.users)
    }

    /// Whether it does the same with a connection.
    pub(super) fn same_answer(&self, other: &Self) -> bool {
        (&self.method, &self.options) == (&other.method, &other.options)
    }

    /// In columns, as the file has them that comes with PostgreSQL.
    pub(super) fn render(&self) -> String {
        let list = |names: &[Name]| names.iter().map(render_name).collect::<Vec<_>>().join(",");
        let kind = TYPES.iter().find(|(_, kind)| *kind == self.kind).map_or("host", |(name, _)| name);
        let address = self.address.as_ref().map(ToString::to_string).unwrap_or_default();
        let (databases, users) = (list(&self.databases), list(&self.users));
        let mut line = format!("{kind:<7} {databases:<15} {users:<15} {address:<23} {}", self.method);
        for option in &self.options {
            line += " ";
            line += &quoted_if_needed(option);
        }
        line
    }

    /// In one line for a message, without its passwords.
    pub(super) fn brief(&self) -> String {
        let hide = |option: &String| match option.split_once('=') {
            Some((name, _)) if SECRET_OPTIONS.contains(&name) => format!("{name}={REDACTED}"),
            _ => option.clone(),
        };
        let shown = Self { options: self.options.iter().map(hide).collect(), ..self.clone() };
        shown.render().split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Whether it holds a password.
    pub(super) fn is_secret(&self) -> bool {
        self.options.iter().any(|option| option.split_once('=').is_some_and(|(name, _)| SECRET_OPTIONS.contains(&name)))
    }
}

pub(super) fn kind(text: &str) -> Result<Type, String> {
    TYPES.iter().find(|(name, _)| *name == text).map(|(_, kind)| *kind).ok_or_else(|| {
        let near = crate::param::nearest(text, TYPES.map(|(name, _)| name));
        let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        format!("there is no type `{text}`{hint}")
    })
}

/// The databases or users of one parameter.
pub(super) fn names(text: &str) -> Result<Vec<Name>, String> {
    match &fields(text)?[..] {
        [names] => Ok(names.clone()),
        _ => Err(format!("`{text}` is not one list of names: put commas between them, and quotes around spaces")),
    }
}

/// `10.0.0.0/8`, a bare address with or without a mask (without: that host alone), a keyword, or a name.
pub(super) fn address(text: &str, mask: Option<&str>) -> Result<Address, String> {
    let name = one(names(text)?)?;
    match name.text.parse::<IpAddr>() {
        Ok(ip) if mask.is_none() => Ok(Address::Net { ip, mask: mask_of(&ip, bits(&ip)) }),
        _ => parse_address(&name, mask),
    }
}

fn parse_address(address: &Name, mask: Option<&str>) -> Result<Address, String> {
    for (keyword, meaning) in [("all", Address::All), ("samehost", Address::SameHost), ("samenet", Address::SameNet)] {
        if address.is_keyword(keyword) {
            return Ok(meaning);
        }
    }
    let text = &address.text;
    let (ip, length) = text.split_once('/').map_or((text.as_str(), None), |(ip, length)| (ip, Some(length)));
    let Ok(ip) = ip.parse::<IpAddr>() else {
        let numeric = text.bytes().all(|byte| byte.is_ascii_digit() || b"./".contains(&byte)) || text.contains(':');
        return match numeric || length.is_some() || text.is_empty() {
            true => Err(format!("`{text}` is no address, such as 10.0.0.0/8 or ::1/128")),
            false => Ok(Address::Name(text.to_lowercase())),
        };
    };
    let wrong = |what: &str| format!("`{what}` is no netmask of {ip}");
    let mask = match (length, mask) {
        (Some(length), None) => {
            let length = length.parse().ok().filter(|length| *length <= bits(&ip)).ok_or_else(|| wrong(length))?;
            mask_of(&ip, length)
        }
        (None, Some(mask)) => match (ip, mask.parse::<IpAddr>(), mask.parse::<u32>()) {
            (IpAddr::V4(_), Ok(IpAddr::V4(mask)), _) => u128::from(mask.to_bits()),
            (IpAddr::V6(_), Ok(IpAddr::V6(mask)), _) => mask.to_bits(),
            (_, _, Ok(length)) if length <= bits(&ip) => mask_of(&ip, length),
            _ => return Err(wrong(mask)),
        },
        (Some(_), Some(mask)) => return Err(format!("`{text}` has its length already, and `{mask}` comes on top")),
        (None, None) => return Err(format!("`{text}` needs a netmask or a length")),
    };
    Ok(Address::Net { ip, mask })
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::SameHost => f.write_str("samehost"),
            Self::SameNet => f.write_str("samenet"),
            Self::Name(name) => f.write_str(name),
            Self::Net { ip, mask } => {
                let length = mask.count_ones();
                match (mask_of(ip, length) == *mask, ip) {
                    (true, _) => write!(f, "{ip}/{length}"),
                    (false, IpAddr::V4(_)) => write!(f, "{ip} {}", std::net::Ipv4Addr::from_bits(*mask as u32)),
                    (false, IpAddr::V6(_)) => write!(f, "{ip} {}", std::net::Ipv6Addr::from_bits(*mask)),
                }
            }
        }
    }
}

pub(super) fn value(ip: &IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

fn bits(ip: &IpAddr) -> u32 {
    if ip.is_ipv4() { 32 } else { 128 }
}

pub(super) fn mask_of(ip: &IpAddr, length: u32) -> u128 {
    let ones = if length == 0 { 0 } else { u128::MAX << (128 - length) };
    if ip.is_ipv4() { ones >> 96 } else { ones }
}

fn one(mut field: Vec<Name>) -> Result<Name, String> {
    match field.len() {
        1 => Ok(field.remove(0)),
        _ => Err(format!(
            "`{}` is a list where one value belongs",
            field.iter().map(|n| n.text.as_str()).collect::<Vec<_>>().join(",")
        )),
    }
}

/// The fields of a line, each a list of names; a comment ends it.
pub(super) fn fields(line: &str) -> Result<Vec<Vec<Name>>, String> {
    let mut fields: Vec<Vec<Name>> = Vec::new();
    let mut rest = line.chars().peekable();
    let mut continues = false;
    loop {
        while rest.next_if(|c| c.is_whitespace() || *c == ',').is_some() {}
        if rest.peek().is_none_or(|c| *c == '#') {
            return Ok(fields);
        }
        let (mut text, mut quoted, mut inside, mut comma) = (String::new(), false, false, false);
        while let Some(c) = rest.next_if(|c| inside || !c.is_whitespace() && *c != '#') {
            match c {
                // Within quotes, two of them are one.
                '"' if inside && rest.next_if_eq(&'"').is_some() => text.push('"'),
                '"' => {
                    quoted |= text.is_empty() && !inside;
                    inside = !inside;
                }
                ',' if !inside => {
                    comma = true;
                    break;
                }
                c => text.push(c),
            }
        }
        if inside {
            return Err(format!("a quote in `{}` is not closed", line.trim()));
        }
        let name = Name { text, quoted };
        match fields.last_mut().filter(|_| continues) {
            Some(field) => field.push(name),
            None => fields.push(vec![name]),
        }
        continues = comma;
    }
}

fn render_name(name: &Name) -> String {
    let odd = name.text.is_empty() || name.text.contains(|c: char| c.is_whitespace() || "\",#".contains(c));
    if name.quoted || odd { format!("\"{}\"", name.text.replace('"', "\"\"")) } else { name.text.clone() }
}

fn quoted_if_needed(option: &str) -> String {
    let odd = option.contains(|c: char| c.is_whitespace() || "\",#".contains(c));
    match option.split_once('=').filter(|_| odd) {
        Some((name, value)) => format!("{name}=\"{}\"", value.replace('"', "\"\"")),
        None => option.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_the_server_reads_them() {
        let table = [
            ("local all all peer", "local all all peer"),
            ("host\tall, app  \"a b\",+dba 10.0.0.0/8 md5 # why", "host all,app \"a b\",+dba 10.0.0.0/8 md5"),
            ("host all all 10.0.0.0 255.0.0.0 trust", "host all all 10.0.0.0/8 trust"),
            ("host all all 10.0.0.0 255.0.255.0 trust", "host all all 10.0.0.0 255.0.255.0 trust"),
            (
                "hostssl all all ::/0 cert map=x clientcert=verify-full",
                "hostssl all all ::/0 cert clientcert=verify-full map=x",
            ),
            ("host \"all\" all Db.Example.COM scram-sha-256", "host \"all\" all db.example.com scram-sha-256"),
            ("host all all all ldap ldapprefix=\"cn=a b\"", "host all all all ldap ldapprefix=\"cn=a b\""),
        ];
        for (line, wanted) in table {
            let rule = Rule::parse(line).unwrap();
            assert_eq!(rule.brief(), wanted, "{line}");
            assert_eq!(Rule::parse(&rule.render()), Ok(rule), "{line}");
        }
    }

    #[test]
    fn what_the_server_would_refuse_is_refused() {
        let table = [
            ("hots all all all md5", "there is no type `hots`; did you mean `host`?"),
            ("host all all all", "`host all all all` has no method"),
            ("host all all 10.0.0.1 md5", "`md5` is no netmask of 10.0.0.1"),
            ("host all all 10.0.0.1/33 md5", "`33` is no netmask of 10.0.0.1"),
            ("host all all 10.0.0/8 md5", "`10.0.0/8` is no address, such as 10.0.0.0/8 or ::1/128"),
            (
                "host all all all scram",
                "there is no method `scram`; there are bsd, cert, gss, ident, ldap, md5, oauth, pam, password, peer, radius, reject, scram-sha-256, sspi, trust",
            ),
            ("host all all all scram-sha-265", "there is no method `scram-sha-265`; did you mean `scram-sha-256`?"),
            ("host all all all peer", "`peer` is for `local` only"),
            ("local all \"all peer", "a quote in `local all \"all peer` is not closed"),
            ("local all all peer,md5", "`peer,md5` is a list where one value belongs"),
        ];
        for (line, wanted) in table {
            assert_eq!(Rule::parse(line).unwrap_err(), wanted);
        }
    }
}
