//! Privileges: as parameters write them, as the server tells them, and what leads from the one to the other.

use crate::builtin::common;
use crate::host::Error;

/// The privileges on each object, in the order in which they were found: `` `shop`.* `` and `SELECT`, `INSERT`.
pub(super) type Grants = Vec<(String, Vec<String>)>;

/// What the server tells of a `GRANT`: privileges, object, and what stands behind the account.
const TOLD: &str = r#"^GRANT (.+) ON (.+) TO (['`"]).*\3@(['`"]).*\4( IDENTIFIED BY PASSWORD (['`"]).+\6)? ?(.*)$"#;

/// Roles are of no concern here.
const OF_ROLES: &str = r#"^(GRANT (.+) TO (['`"]).*|SET DEFAULT ROLE (.+) FOR (['`"]).*)$"#;

/// Reads `SHOW GRANTS`.
pub(super) fn told(lines: &[String]) -> Result<Grants, Error> {
    let (grant, role) = (common::regex("priv", TOLD)?, common::regex("priv", OF_ROLES)?);
    let mut grants = Grants::new();
    for line in lines {
        let Ok(Some(found)) = grant.captures(line) else {
            if role.is_match(line).unwrap_or(false) {
                continue;
            }
            let msg = format!("unable to parse the MySQL grant string: {line}");
            return Err(Error::Failed(msg.clone()).telling("msg", msg));
        };
        let part = |at| found.get(at).map_or("", |part| part.as_str());
        let mut privileges = apart(part(1));
        if part(7).contains("WITH GRANT OPTION") {
            privileges.push("GRANT".into());
        }
        match grants.iter_mut().find(|(object, _)| object == part(2)) {
            Some((_, known)) => known.extend(privileges),
            None => grants.push((part(2).to_owned(), privileges)),
        }
    }
    Ok(grants)
}

/// Reads `shop.*:SELECT,INSERT/*.*:USAGE`. `quote` is what the server puts around names.
pub(super) fn wanted(text: &str, quote: char, keeps_case: bool, with_usage: bool) -> Result<Grants, Error> {
    let mut grants = Grants::new();
    for item in text.trim().split('/') {
        let Some((object, privileges)) = item.trim().rsplit_once(':') else {
            return Err(Error::param("priv", format!("`{item}` is not like `database.table:PRIVILEGE`")));
        };
        let (kind, object) = match object.split_once(' ') {
            Some((kind @ ("FUNCTION" | "PROCEDURE"), rest)) => (format!("{kind} "), rest),
            _ => (String::new(), object),
        };
        let side = |side: &str| match side.trim_matches('`') {
            "*" => side.to_owned(),
            bare => format!("{quote}{bare}{quote}"),
        };
        let object = match object.rsplit_once('.') {
            Some((database, table)) => format!("{kind}{}.{}", side(database), side(table)),
            None => format!("{kind}{}", side(object)),
        };
        let columns = privileges.contains('(');
        let privileges = if keeps_case && columns { privileges.to_owned() } else { privileges.to_uppercase() };
        let privileges = apart(&privileges);
        match grants.iter_mut().find(|(known, _)| *known == object) {
            Some((_, known)) => *known = privileges,
            None => grants.push((object, privileges)),
        }
    }
    if with_usage && !grants.iter().any(|(object, _)| object == "*.*") {
        grants.push(("*.*".into(), vec!["USAGE".into()]));
    }
    Ok(grants)
}

/// Splits at commas that are not in brackets; the columns in them are sorted, without quotes.
fn apart(privileges: &str) -> Vec<String> {
    let mut depth = 0_usize;
    let parts = privileges.split(|c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    });
    let named = |part: &str| match part.trim().split_once('(') {
        Some((name, columns)) => {
            let mut columns: Vec<&str> =
                columns.trim_end_matches(')').split(',').map(|column| column.trim().trim_matches('`')).collect();
            columns.sort_unstable();
            format!("{} ({})", name.trim(), columns.join(", "))
        }
        None if part.trim() == "ALL PRIVILEGES" => "ALL".to_owned(),
        None => part.trim().to_owned(),
    };
    parts.map(named).filter(|part| !part.is_empty()).collect()
}

/// What is done beside what is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// What is not wanted is taken away.
    Exactly,
    /// What is there stays.
    Append,
    /// What is given is taken away, and nothing is granted.
    Subtract,
}

/// A statement, and what Ansible says of it.
pub(super) struct Step {
    pub object: String,
    pub statements: Vec<String>,
    pub told: String,
}

/// What leads from the privileges of an account to those that are wanted.
pub(super) fn steps(account: &str, now: &Grants, wanted: &Grants, how: How) -> Vec<Step> {
    let of = |grants: &Grants, object: &str| {
        grants.iter().find(|(known, _)| known == object).map(|(_, privileges)| privileges.clone())
    };
    let mut steps = Vec::new();
    let mut may_grant = false;
    for (object, privileges) in now.iter().filter(|_| how == How::Exactly) {
        may_grant |= privileges.iter().any(|privilege| privilege == "GRANT");
        let keeps = account.starts_with("'root'@") || privileges.iter().any(|privilege| privilege == "PROXY");
        if of(wanted, object).is_none() && !keeps {
            let statements = revoke(account, object, privileges, may_grant);
            steps.push(Step { object: object.clone(), statements, told: "Privileges updated".into() });
        }
    }
    for (object, privileges) in wanted.iter().filter(|_| how != How::Subtract) {
        if of(now, object).is_none() {
            let statements = vec![grant(account, object, privileges)];
            steps.push(Step { object: object.clone(), statements, told: "New privileges granted".into() });
        }
    }
    for (object, wanted) in wanted {
        let Some(now) = of(now, object).map(|now| whole(object, now, wanted)) else { continue };
        let lacking = |there: &[String], from: &[String]| -> Vec<String> {
            from.iter().filter(|privilege| !there.contains(privilege)).cloned().collect()
        };
        let (mut granted, mut revoked) = match how {
            How::Append => (lacking(&now, wanted), Vec::new()),
            How::Subtract => (Vec::new(), wanted.iter().filter(|one| now.contains(one)).cloned().collect()),
            How::Exactly => (lacking(&now, wanted), lacking(wanted, &now)),
        };
        let is = |list: &[String], word: &str| list.iter().any(|privilege| privilege == word);
        if how == How::Exactly && is(&granted, "ALL") {
            revoked.retain(|privilege| ["GRANT", "PROXY"].contains(&privilege.as_str()));
        }
        let without_option = is(&revoked, "GRANT") && (how != How::Exactly || !is(&granted, "GRANT"));
        if granted == ["GRANT"] {
            granted.push("USAGE".into());
        }
        // `USAGE` is what is there where there is nothing else: it cannot be taken away.
        if (granted.is_empty() || granted == ["USAGE"]) && (revoked.is_empty() || revoked == ["USAGE"]) {
            continue;
        }
        let mut statements = Vec::new();
        if !revoked.is_empty() {
            statements.extend(revoke(account, object, &revoked, without_option));
        }
        if !granted.is_empty() {
            statements.push(grant(account, object, &granted));
        }
        let list = |list: &[String]| {
            let quoted: Vec<String> = list.iter().map(|privilege| format!("'{privilege}'")).collect();
            format!("[{}]", quoted.join(", "))
        };
        let told = format!("Privileges updated: granted {}, revoked {}", list(&granted), list(&revoked));
        steps.push(Step { object: object.clone(), statements, told });
    }
    steps
}

/// MySQL 8 tells `ALL` of a whole server as the list of what it is.
fn whole(object: &str, now: Vec<String>, wanted: &[String]) -> Vec<String> {
    let has = |word: &str| now.iter().any(|privilege| privilege == word);
    let all = ["SELECT", "SHUTDOWN", "CREATE USER", "RELOAD", "SUPER"].iter().all(|word| has(word));
    if object != "*.*" || !all || !wanted.iter().any(|privilege| privilege == "ALL") {
        return now;
    }
    let option = has("GRANT").then(|| "GRANT".to_owned());
    std::iter::once("ALL".to_owned()).chain(option).collect()
}

fn words(privileges: &[String]) -> String {
    let words: Vec<&str> = privileges.iter().map(String::as_str).filter(|word| *word != "GRANT").collect();
    words.join(",")
}

pub(super) fn grant(account: &str, object: &str, privileges: &[String]) -> String {
    let option = if privileges.iter().any(|privilege| privilege == "GRANT") { " WITH GRANT OPTION" } else { "" };
    format!("GRANT {} ON {object} TO {account}{option}", words(privileges))
}

fn revoke(account: &str, object: &str, privileges: &[String], option: bool) -> Vec<String> {
    let mut statements = Vec::new();
    if option {
        statements.push(format!("REVOKE GRANT OPTION ON {object} FROM {account}"));
    }
    let words = words(privileges);
    let is_nothing = words.is_empty() || option && words == "USAGE";
    if !is_nothing {
        statements.push(format!("REVOKE {words} ON {object} FROM {account}"));
    }
    statements.push("FLUSH PRIVILEGES".into());
    statements
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: &str = "'amy'@'localhost'";

    fn from(lines: &[&str]) -> Grants {
        told(&lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    fn statements(now: &[&str], text: &str, how: How) -> Vec<String> {
        let wanted = wanted(text, '`', false, how != How::Subtract).unwrap();
        steps(ACCOUNT, &from(now), &wanted, how).into_iter().flat_map(|step| step.statements).collect()
    }

    #[test]
    fn grants_are_read() {
        let grants = from(&[
            "GRANT USAGE ON *.* TO `amy`@`localhost` IDENTIFIED BY PASSWORD '*AB'",
            "GRANT SELECT (`b`, `a`), INSERT ON `shop`.`items` TO `amy`@`localhost` WITH GRANT OPTION",
            "GRANT ALL PRIVILEGES ON `shop`.* TO `amy`@`localhost`",
            "GRANT `dba` TO `amy`@`localhost`",
        ]);
        let strings = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            grants,
            [
                ("*.*".to_owned(), strings(&["USAGE"])),
                ("`shop`.`items`".to_owned(), strings(&["SELECT (a, b)", "INSERT", "GRANT"])),
                ("`shop`.*".to_owned(), strings(&["ALL"])),
            ]
        );
        assert!(told(&["GRANT nonsense".to_owned()]).is_err());
    }

    #[test]
    fn what_is_wanted_is_what_is_told() {
        let usage = "GRANT USAGE ON *.* TO `amy`@`localhost`";
        let all = "GRANT ALL PRIVILEGES ON `shop`.* TO `amy`@`localhost`";
        let table: &[(&[&str], &str, How, &[&str])] = &[
            (&[usage, all], "shop.*:ALL", How::Exactly, &[]),
            (&[usage], "shop.*:ALL", How::Exactly, &["GRANT ALL ON `shop`.* TO 'amy'@'localhost'"]),
            (
                &[usage, all],
                "shop.*:SELECT",
                How::Exactly,
                &[
                    "REVOKE ALL ON `shop`.* FROM 'amy'@'localhost'",
                    "FLUSH PRIVILEGES",
                    "GRANT SELECT ON `shop`.* TO 'amy'@'localhost'",
                ],
            ),
            (
                &[usage, all],
                "*.*:USAGE",
                How::Exactly,
                &["REVOKE ALL ON `shop`.* FROM 'amy'@'localhost'", "FLUSH PRIVILEGES"],
            ),
            (&[usage], "*.*:ALL,GRANT", How::Exactly, &["GRANT ALL ON *.* TO 'amy'@'localhost' WITH GRANT OPTION"]),
            (&[usage, all], "other.*:SELECT", How::Append, &["GRANT SELECT ON `other`.* TO 'amy'@'localhost'"]),
            (
                &[usage, "GRANT SELECT, INSERT ON `shop`.* TO `amy`@`localhost`"],
                "shop.*:INSERT",
                How::Subtract,
                &["REVOKE INSERT ON `shop`.* FROM 'amy'@'localhost'", "FLUSH PRIVILEGES"],
            ),
        ];
        for (now, text, how, wanted) in table {
            assert_eq!(&statements(now, text, *how), wanted, "{text}");
        }
    }
}
