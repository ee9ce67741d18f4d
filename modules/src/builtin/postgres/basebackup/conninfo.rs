//! Connection strings, and the file of settings that holds the standby's.

/// Words of a connection string, as libpq reads it (`host=db1 user='a b'`).
pub(in crate::builtin::postgres) type Pairs = Vec<(String, String)>;

/// A connection string.
pub(in crate::builtin::postgres) fn format(pairs: &[(String, String)]) -> String {
    let word = |(key, value): &(String, String)| {
        let safe = !value.is_empty() && !value.contains(|c: char| c.is_whitespace() || c == '\'' || c == '\\');
        match safe {
            true => format!("{key}={value}"),
            false => format!("{key}='{}'", value.replace('\\', "\\\\").replace('\'', "\\'")),
        }
    };
    pairs.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// The words of a connection string; `None` if it is none.
pub(in crate::builtin::postgres) fn parse(text: &str) -> Option<Pairs> {
    let mut pairs = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=')?;
        let (value, after) = value(after.trim_start())?;
        pairs.push((key.trim().to_owned(), value));
        rest = after.trim_start();
    }
    Some(pairs)
}

/// A value that ends at white space, or at the quote that it began with; and what follows it.
fn value(text: &str) -> Option<(String, &str)> {
    let quoted = text.starts_with('\'');
    let body = if quoted { &text[1..] } else { text };
    let mut value = String::new();
    let mut chars = body.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => value.push(chars.next()?.1),
            '\'' if quoted => return Some((value, &body[at + 1..])),
            c if !quoted && c.is_whitespace() => return Some((value, &body[at..])),
            c => value.push(c),
        }
    }
    (!quoted).then_some((value, ""))
}

/// The last value of a setting in a file such as `postgresql.auto.conf`: of several, the last counts.
pub(super) fn setting(file: &str, name: &str) -> Option<String> {
    file.lines().filter_map(|line| assigned(line, name)).next_back().map(unquoted)
}

/// The file with that setting at its end, and nowhere else.
pub(super) fn with_setting(file: &str, name: &str, value: &str) -> String {
    let kept = file.lines().filter(|line| assigned(line, name).is_none());
    let quoted = value.replace('\\', "\\\\").replace('\'', "''");
    kept.map(str::to_owned).chain([format!("{name} = '{quoted}'")]).map(|line| line + "\n").collect()
}

fn assigned<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let line = line.trim_start();
    let (head, rest) = (line.get(..name.len())?, line.get(name.len()..)?);
    let value = rest.trim_start();
    let ends = rest.starts_with(|c: char| c.is_whitespace() || c == '=');
    (head.eq_ignore_ascii_case(name) && ends).then(|| value.strip_prefix('=').unwrap_or(value).trim_start())
}

/// `'it''s'`, as the server and `pg_basebackup` write it, or a bare word; a comment may follow.
fn unquoted(text: &str) -> String {
    let Some(body) = text.strip_prefix('\'') else {
        return text.split(|c: char| c.is_whitespace() || c == '#').next().unwrap_or_default().into();
    };
    let mut value = String::new();
    let mut chars = body.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\'' if chars.peek() != Some(&'\'') => break,
            '\'' | '\\' => value.extend(chars.next()),
            c => value.push(c),
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_read_as_they_are_written() {
        let table = [
            (vec![("host", "db1"), ("port", "5432")], "host=db1 port=5432"),
            (vec![("user", "a b"), ("x", "")], "user='a b' x=''"),
            (vec![("user", r"it's\")], r"user='it\'s\\'"),
        ];
        for (pairs, text) in table {
            let pairs: Pairs = pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
            assert_eq!(format(&pairs), text);
            assert_eq!(parse(text), Some(pairs), "{text}");
        }
        assert_eq!(parse("user = a  host=b").unwrap(), [("user".into(), "a".into()), ("host".into(), "b".into())]);
        assert_eq!(parse("user='a"), None);
        assert_eq!(parse("nonsense"), None);
    }

    #[test]
    fn of_several_settings_the_last_counts() {
        let file = "# x\nport = 1\nprimary_conninfo = 'host=a'\nPrimary_ConnInfo='user=''b'' x=\\\\' # why\n";
        assert_eq!(setting(file, "primary_conninfo").as_deref(), Some(r"user='b' x=\"));
        assert_eq!(setting(file, "port").as_deref(), Some("1"));
        assert_eq!(setting(file, "primary"), None);
        let changed = with_setting(file, "primary_conninfo", r"user='b' x=\");
        insta::assert_snapshot!(changed, @r"
        # x
        port = 1
        primary_conninfo = 'user=''b'' x=\\'
        ");
    }
}
