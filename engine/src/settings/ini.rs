//! `ansible.cfg`, as Python's configparser reads it for Ansible.

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) section: String,
    pub(super) key: String,
    pub(super) value: String,
    /// From 1.
    pub(super) number: usize,
}

/// The assignments in a text. `Err`: the number of a line that is none, and what is wrong with it.
///
/// `#` and `;` begin a comment on a line of its own, `;` after a blank anywhere; what is indented goes on with the value
/// above it.
pub(super) fn read(text: &str) -> Result<Vec<Line>, (usize, String)> {
    let mut lines: Vec<Line> = Vec::new();
    let mut section: Option<String> = None;
    for (at, whole) in text.lines().enumerate() {
        let number = at + 1;
        let line = without_comment(whole).trim_end();
        let bare = line.trim_start();
        if bare.is_empty() {
            continue;
        }
        if let (true, Some(last)) = (bare.len() < line.len(), lines.last_mut()) {
            last.value = format!("{}\n{bare}", last.value);
        } else if let Some(name) = bare.strip_prefix('[') {
            let name = name.strip_suffix(']').ok_or((number, format!("`{bare}` lacks the closing `]`")))?;
            section = Some(name.to_owned());
        } else {
            let section = section.clone().ok_or((number, format!("`{bare}` stands before the first `[section]`")))?;
            let assigned = bare.split_once(['=', ':']);
            let (key, value) = assigned.ok_or((number, format!("`{bare}` is not `key = value`")))?;
            let (key, value) = (key.trim().to_lowercase(), value.trim().to_owned());
            lines.push(Line { section, key, value, number });
        }
    }
    Ok(lines)
}

fn without_comment(line: &str) -> &str {
    if line.trim_start().starts_with(['#', ';']) {
        return "";
    }
    let inline = line.char_indices().find(|(at, c)| *c == ';' && line[..*at].ends_with(char::is_whitespace));
    inline.map_or(line, |(at, _)| &line[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compared with Python's `ConfigParser(inline_comment_prefixes=(';',))`.
    #[test]
    fn as_configparser_reads() {
        let text = "# c\n[defaults]\nForks = 5 ; five\nuser: a;b\n  more\n\n; x\n[ssh_connection]\nretries=2\n";
        let lines: Vec<String> = read(text)
            .unwrap()
            .iter()
            .map(|line| format!("{}.{}={:?}@{}", line.section, line.key, line.value, line.number))
            .collect();
        assert_eq!(
            lines,
            ["defaults.forks=\"5\"@3", "defaults.user=\"a;b\\nmore\"@4", "ssh_connection.retries=\"2\"@9"]
        );
        let table = [
            ("forks = 5\n", (1, "`forks = 5` stands before the first `[section]`")),
            ("[a]\nforks\n", (2, "`forks` is not `key = value`")),
            ("[a\n", (1, "`[a` lacks the closing `]`")),
        ];
        for (text, (number, why)) in table {
            assert_eq!(read(text), Err((number, why.to_owned())), "{text}");
        }
    }
}
