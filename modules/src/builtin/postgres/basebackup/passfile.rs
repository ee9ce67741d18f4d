//! libpq's password file: lines of `host:port:database:user:password`, the first that matches counts.

/// What a line is for. Its database is `*`, which covers replication.
#[derive(Clone, Copy)]
pub(super) struct Login<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) user: &'a str,
}

/// The file with a line for the login at its head; `None` if the first line that matches has that password already.
pub(super) fn with_password(file: &str, login: Login, password: &str) -> Option<String> {
    let port = login.port.to_string();
    let wanted = [login.host, &port, "*", login.user];
    let asked = [login.host, &port, "replication", login.user];
    let matching =
        |fields: &&Vec<String>| fields.iter().zip(asked).all(|(field, asked)| field == "*" || field == asked);
    let lines: Vec<Vec<String>> = file.lines().filter_map(fields).collect();
    if lines.iter().find(matching).is_some_and(|fields| fields[4] == password) {
        return None;
    }
    let ours = |line: &&str| fields(line).is_some_and(|fields| fields[..4] == wanted);
    let head = wanted.map(|field| if field == "*" { field.into() } else { escaped(field) }).join(":");
    let kept = file.lines().filter(|line| !ours(line));
    let all = std::iter::once(format!("{head}:{}", escaped(password))).chain(kept.map(str::to_owned));
    Some(all.map(|line| line + "\n").collect())
}

/// The five fields of a line; `None` for a comment and for what is no such line.
fn fields(line: &str) -> Option<Vec<String>> {
    if line.starts_with('#') {
        return None;
    }
    let mut fields = vec![String::new()];
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (c, fields.len()) {
            (':', 1..=4) => fields.push(String::new()),
            ('\\', _) => fields.last_mut()?.extend(chars.next()),
            (c, _) => fields.last_mut()?.push(c),
        }
    }
    (fields.len() == 5).then_some(fields)
}

fn escaped(field: &str) -> String {
    field.replace('\\', "\\\\").replace(':', "\\:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_matches_counts() {
        let login = Login { host: "10.0.0.1", port: 5432, user: "rep" };
        let line = "10.0.0.1:5432:*:rep:s3cret\n";
        let table = [
            ("", Some(line.to_owned())),
            (line, None),
            ("# ours\n*:*:*:rep:s3cret\n", None),
            ("10.0.0.1:5432:replication:rep:s3cret\n", None),
            ("*:*:*:rep:other\n", Some(format!("{line}*:*:*:rep:other\n"))),
            ("10.0.0.1:5432:*:rep:old\nh:1:d:u:p\n", Some(format!("{line}h:1:d:u:p\n"))),
            ("h:5432:*:rep:s3cret", Some(format!("{line}h:5432:*:rep:s3cret\n"))),
        ];
        for (file, wanted) in table {
            assert_eq!(with_password(file, login, "s3cret"), wanted, "{file}");
        }
    }

    #[test]
    fn colons_and_backslashes_are_escaped() {
        let login = Login { host: "fe80::1", port: 5432, user: "rep" };
        let file = with_password("", login, r"a:b\c").unwrap();
        assert_eq!(file, "fe80\\:\\:1:5432:*:rep:a\\:b\\\\c\n");
        assert_eq!(with_password(&file, login, r"a:b\c"), None);
        assert_eq!(with_password("fe80\\:\\:1:5432:*:rep:a:b\\\\c\n", login, r"a:b\c"), None);
    }
}
