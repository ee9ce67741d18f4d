//! The lines of postgresql.conf and its like: `name = value # comment`.

/// A line that sets something.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Setting {
    /// Which line, from 0.
    line: usize,
    name: String,
    pub(super) value: String,
    /// With its `#`.
    comment: Option<String>,
}

/// The last line that sets `name`: it wins over those before it.
pub(super) fn find(text: &str, name: &str) -> Option<Setting> {
    let settings = text.lines().enumerate().filter_map(|(line, text)| parse(line, text));
    settings.filter(|setting| setting.name.eq_ignore_ascii_case(name)).last()
}

/// The text with `name` set. The line that sets it is replaced; else the new one goes behind the last that sets it in a
/// comment, as the file that comes with PostgreSQL has them; else to the end.
pub(super) fn set(text: &str, name: &str, value: &str) -> String {
    let assignment = format!("{name} = {}", quote(value));
    let mut lines: Vec<String> = text.lines().map(Into::into).collect();
    match find(text, name) {
        Some(old) => {
            let comment = old.comment.map(|comment| format!("\t\t\t{comment}")).unwrap_or_default();
            lines[old.line] = assignment + &comment;
        }
        None => {
            let commented = |line: &String| {
                let bare =
                    line.trim_start().strip_prefix('#')?.strip_prefix(|c| c != ' ').map(|_| &line.trim_start()[1..])?;
                parse(0, bare).filter(|setting| setting.name.eq_ignore_ascii_case(name))
            };
            let at = lines.iter().rposition(|line| commented(line).is_some()).map_or(lines.len(), |at| at + 1);
            lines.insert(at, assignment);
        }
    }
    joined(lines)
}

/// The text without any line that sets `name`.
pub(super) fn unset(text: &str, name: &str) -> String {
    let keep = |line: &&str| !parse(0, line).is_some_and(|setting| setting.name.eq_ignore_ascii_case(name));
    joined(text.lines().filter(keep).map(Into::into).collect())
}

fn joined(lines: Vec<String>) -> String {
    lines.into_iter().map(|line| line + "\n").collect()
}

fn parse(line: usize, text: &str) -> Option<Setting> {
    let text = text.trim_start();
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && !"_.$".contains(c))?;
    let (name, rest) = text.split_at(end);
    if name.is_empty() {
        return None;
    }
    let spaced = rest.trim_start();
    let rest = spaced.strip_prefix('=').unwrap_or(spaced).trim_start();
    let (value, rest) = match rest.strip_prefix('\'') {
        Some(quoted) => unquote(quoted)?,
        None => {
            let end = rest.find(|c: char| c.is_whitespace() || c == '#').unwrap_or(rest.len());
            (rest[..end].to_owned(), &rest[end..])
        }
    };
    let comment = rest.find('#').map(|at| rest[at..].trim_end().to_owned());
    Some(Setting { line, name: name.into(), value, comment })
}

/// The text up to the closing quote, and what is behind that. Two quotes are one; a backslash works as in C.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\'' if chars.next_if(|(_, next)| *next == '\'').is_some() => value.push('\''),
            '\'' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                other => other,
            }),
            c => value.push(c),
        }
    }
    None
}

fn quote(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.".contains(c);
    match value.starts_with(|c: char| c.is_ascii_alphanumeric()) && value.chars().all(plain) {
        true => value.into(),
        false => format!("'{}'", value.replace('\\', "\\\\").replace('\'', "''").replace('\n', "\\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# head\n#port = 5432\t\t# (change requires restart)\nwork_mem = 4MB # per sort\nWORK_MEM 8MB\n\
                        a.b = 'it''s \\\\ here' # c\nshared_buffers=128MB\n# port is above\n";

    #[test]
    fn values_are_read_as_the_server_reads_them() {
        for (name, value) in [
            ("work_mem", Some("8MB")),
            ("A.B", Some("it's \\ here")),
            ("shared_buffers", Some("128MB")),
            ("port", None),
            ("head", None),
        ] {
            assert_eq!(find(FILE, name).map(|setting| setting.value).as_deref(), value, "{name}");
        }
    }

    #[test]
    fn a_value_that_is_written_is_read_again() {
        for value in ["1GB", "a, b", "it's", "c:\\x", "", "*", "host=h password='a b'", "two\nlines", "0.5", "-1"] {
            for name in ["port", "work_mem", "new.one"] {
                let text = set(FILE, name, value);
                assert_eq!(find(&text, name).unwrap().value, value, "{text}");
                assert_eq!(set(&text, name, value), text);
                assert_eq!(find(&unset(&text, name), name), None);
            }
        }
    }

    #[test]
    fn a_line_goes_where_one_would_look_for_it() {
        assert!(set(FILE, "port", "5433").contains("restart)\nport = 5433\nwork_mem"));
        assert!(set(FILE, "work_mem", "1MB").contains("# per sort\nwork_mem = 1MB\na.b"));
        assert!(set(FILE, "a.b", "x").contains("\na.b = x\t\t\t# c\n"));
        assert!(set(FILE, "new", "x").ends_with("is above\nnew = x\n"));
    }
}
