//! Which rules leave nothing for which: the first rule that matches a connection decides, so a rule is never reached
//! if one before it matches all of its connections.

use super::rule::{Address, Name, Rule, Type, value};

/// Whether `a` matches every connection that `b` matches. Where that depends on more than the two lines (members of a
/// role, names of addresses, patterns), the answer is no.
pub(super) fn covers(a: &Rule, b: &Rule) -> bool {
    covers_type(a.kind, b.kind)
        && b.databases.iter().all(|name| a.databases.iter().any(|wide| covers_database(wide, name)))
        && b.users.iter().all(|name| a.users.iter().any(|wide| covers_user(wide, name)))
        && match (&a.address, &b.address) {
            (None, None) => true,
            (Some(a), Some(b)) => covers_address(a, b),
            _ => false,
        }
}

/// The first of `rules` that leaves nothing for `rule`.
pub(super) fn shadow<'a>(mut rules: impl Iterator<Item = &'a Rule>, rule: &Rule) -> Option<&'a Rule> {
    rules.find(|former| covers(former, rule))
}

fn covers_type(a: Type, b: Type) -> bool {
    use Type::{Host, HostGss, HostNoGss, HostNoSsl, HostSsl, Local};
    match a {
        Local => b == Local,
        Host => b != Local,
        // A connection is encrypted by one of the two at the most.
        HostNoSsl => matches!(b, HostNoSsl | HostGss),
        HostNoGss => matches!(b, HostNoGss | HostSsl),
        HostSsl | HostGss => a == b,
    }
}

fn covers_database(a: &Name, b: &Name) -> bool {
    // `all` does not match replication.
    a == b && a.marked('@').is_none()
        || a.is_keyword("all") && !b.is_keyword("replication") && b.marked('@').is_none()
        || a.text == b.text && is_plain_database(a) && is_plain_database(b)
}

fn is_plain_database(name: &Name) -> bool {
    let keyword = ["all", "sameuser", "samerole", "samegroup", "replication"].iter().any(|word| name.is_keyword(word));
    !keyword && ['@', '/', '+'].iter().all(|mark| name.marked(*mark).is_none())
}

fn covers_user(a: &Name, b: &Name) -> bool {
    let plain =
        |name: &Name| !name.is_keyword("all") && ['@', '/', '+'].iter().all(|mark| name.marked(*mark).is_none());
    a.is_keyword("all") || a == b && a.marked('@').is_none() || a.text == b.text && plain(a) && plain(b)
}

fn covers_address(a: &Address, b: &Address) -> bool {
    match (a, b) {
        (Address::All, _) | (Address::SameNet, Address::SameHost) => true,
        (Address::Net { ip: a, mask: wide }, Address::Net { ip: b, mask: narrow }) => {
            a.is_ipv4() == b.is_ipv4() && wide & narrow == *wide && value(a) & wide == value(b) & wide
        }
        (Address::Name(suffix), Address::Name(name)) if suffix.starts_with('.') => name.ends_with(suffix.as_str()),
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_covers_another_or_not() {
        let table = [
            ("host all all 0.0.0.0/0 md5", "host app bob 10.1.2.3/32 trust", true),
            ("host all all 0.0.0.0/0 md5", "host app bob ::1/128 trust", false),
            ("host all all all md5", "hostssl app bob ::1/128 trust", true),
            // `all` is not replication.
            ("host all all all md5", "host replication bob 10.0.0.1/32 trust", false),
            ("host all all all md5", "host \"replication\" bob 10.0.0.1/32 trust", true),
            ("host replication all 10.0.0.0/24 reject", "host replication rep 10.0.0.7/32 md5", true),
            ("host replication all 10.0.0.0/24 reject", "host replication rep 10.0.1.7/32 md5", false),
            ("host replication all 10.0.0.0/24 reject", "host replication,app rep 10.0.0.7/32 md5", false),
            ("host app,other all all md5", "host other all all md5", true),
            ("host app +dba all md5", "host app bob all md5", false),
            ("host app +dba all md5", "host app +dba all md5", true),
            ("host \"app\" all all md5", "host app all all md5", true),
            ("host \"all\" all all md5", "host app all all md5", false),
            ("hostssl all all all md5", "host all all all md5", false),
            ("hostnossl all all all md5", "hostgssenc all all all md5", true),
            ("local all all peer", "local all postgres peer", true),
            ("local all all peer", "host all all all md5", false),
            ("host all all samenet md5", "host all all samehost md5", true),
            ("host all all .example.com md5", "host all all db.example.com md5", true),
            ("host all all db.example.com md5", "host all all .example.com md5", false),
            ("host all @admins all md5", "host all @admins all md5", false),
            ("host sameuser all all md5", "host bob bob all md5", false),
        ];
        for (a, b, wanted) in table {
            let (rule, other) = (Rule::parse(a).unwrap(), Rule::parse(b).unwrap());
            assert_eq!(covers(&rule, &other), wanted, "{a} | {b}");
        }
    }
}
