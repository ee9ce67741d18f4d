//! The words of a host line in an INI inventory, as Python's `shlex.split(line, comments=True)` finds them.

/// Splits at blanks outside of quotes; quotes and backslashes are taken away, `#` begins a comment.
pub(super) fn split(line: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '#' => break,
            c if c.is_whitespace() => words.extend(word.take()),
            '\\' => word.get_or_insert_default().push(chars.next().ok_or("it ends with a backslash")?),
            '\'' | '"' => quoted(c, &mut chars, word.get_or_insert_default())?,
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

/// Up to the closing quote. Within double quotes a backslash stands before `"` and itself.
fn quoted(quote: char, chars: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), &'static str> {
    const OPEN: &str = "a quote is not closed";
    loop {
        match chars.next().ok_or(OPEN)? {
            c if c == quote => return Ok(()),
            '\\' if quote == '"' => {
                let next = chars.next().ok_or(OPEN)?;
                if next != '"' && next != '\\' {
                    word.push('\\');
                }
                word.push(next);
            }
            c => word.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The right column was printed by Python's `shlex`.
    #[test]
    fn words_as_shlex_finds_them() {
        let table: &[(&str, &[&str])] = &[
            ("web a=1 b=two", &["web", "a=1", "b=two"]),
            ("web a='x y' b=\"it's\" # no", &["web", "a=x y", "b=it's"]),
            ("web a=x#y", &["web", "a=x"]),
            (r#"web a="[\"x\"]" b='\n' c="\n" d=\ "#, &["web", "a=[\"x\"]", r"b=\n", r"c=\n", "d= "]),
            ("web a=''", &["web", "a="]),
            ("  ", &[]),
        ];
        for (line, want) in table {
            assert_eq!(split(line).expect("it is balanced"), *want, "{line}");
        }
        assert!(split("web a='x").is_err());
    }
}
