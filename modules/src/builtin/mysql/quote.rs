//! Names and texts in statements, and texts in what the client prints.

/// A text as a literal.
pub(super) fn literal(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('\'');
    for c in text.chars() {
        match c {
            '\'' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\0' => quoted.push_str("\\0"),
            '\u{1a}' => quoted.push_str("\\Z"),
            c => quoted.push(c),
        }
    }
    quoted.push('\'');
    quoted
}

/// A name of one part; one that is quoted already stays.
pub(super) fn identifier(name: &str) -> String {
    if name.len() > 1 && name.starts_with('`') && name.ends_with('`') {
        return name.to_owned();
    }
    format!("`{}`", name.replace('`', "``"))
}

/// A value as `mysql --batch` prints it.
pub(super) fn unescaped(text: &str) -> Option<String> {
    if text == "NULL" {
        return None;
    }
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        plain.push(match c {
            '\\' => match chars.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some('0') => '\0',
                Some(other) => other,
                None => '\\',
            },
            c => c,
        });
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_names() {
        assert_eq!(literal("it's \\ %\n"), r"'it\'s \\ %\n'");
        assert_eq!(identifier("a`b"), "`a``b`");
        assert_eq!(identifier("`a.b`"), "`a.b`");
        assert_eq!(unescaped(r"a\tb\\n"), Some("a\tb\\n".into()));
        assert_eq!(unescaped("NULL"), None);
    }
}
