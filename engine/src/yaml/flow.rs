//! Lists and dictionaries in brackets whose lines are indented less than what they stand in: YAML 1.2 forbids that, PyYAML
//! takes it, and people end such a dictionary with a `}` in the first column.

use saphyr_parser::Parser;

/// How many such lines a file may have.
const MOST: usize = 200;

/// The text with such lines joined to the ones before them, if there are any. Everything stays at its place, counted in
/// characters: a line break becomes a blank, and so does a comment before it.
pub(super) fn joined(text: &str) -> Option<String> {
    let mut found: Option<(String, usize)> = None;
    for _ in 0..MOST {
        let text = found.as_ref().map_or(text, |(text, _)| text);
        let last = found.as_ref().map(|(_, at)| *at);
        match too_far_left(text).filter(|at| last != Some(*at)).and_then(|at| Some((join(text, at)?, at))) {
            Some(more) => found = Some(more),
            None => break,
        }
    }
    found.map(|(text, _)| text)
}

/// Where the parser stumbles over such a line.
fn too_far_left(text: &str) -> Option<usize> {
    let error = Parser::new_from_str(text).find_map(Result::err)?;
    ["invalid indentation", "invalid indentation in flow construct"]
        .contains(&error.info())
        .then(|| error.marker().index())
}

/// The line at that character, joined to the one before it.
fn join(text: &str, at: usize) -> Option<String> {
    let mut chars: Vec<char> = text.chars().collect();
    let end = chars[..at.min(chars.len())].iter().rposition(|c| *c == '\n')?;
    let start = chars[..end].iter().rposition(|c| *c == '\n').map_or(0, |start| start + 1);
    let comment = (start..end).find(|at| chars[*at] == '#' && (*at == start || chars[*at - 1].is_whitespace()));
    chars[comment.unwrap_or(end)..=end].iter_mut().for_each(|c| *c = ' ');
    Some(chars.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_too_far_left_are_joined() {
        let table = [
            ("a:\n  b: {\n  c: 1,\n}\n", "a:\n  b: {   c: 1, }\n"),
            ("a:\n  - [1, # one\n2\n]\n", "a:\n  - [1,       2 ]\n"),
            ("a: {\n  b: 1\n}\n", ""),
            ("a: [1,\n", ""),
        ];
        for (text, wanted) in table {
            assert_eq!(joined(text).unwrap_or_default(), wanted, "{text}");
        }
    }
}
