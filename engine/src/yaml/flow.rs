//! Lists and dictionaries in brackets, and texts in quotes, whose lines are indented less than what they stand in: YAML 1.2 forbids that, PyYAML
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
        let Some((at, what)) = too_far_left(text).filter(|(at, _)| last != Some(*at)) else { break };
        let more = if what == QUOTED { fold(text, at) } else { join(text, at) };
        let Some(more) = more else { break };
        found = Some((more, at));
    }
    found.map(|(text, _)| text)
}

/// What the parser says of a text in quotes.
const QUOTED: &str = "invalid indentation in quoted scalar";

/// Where the parser stumbles over such a line, and over what.
fn too_far_left(text: &str) -> Option<(usize, &'static str)> {
    let error = Parser::new_from_str(text).find_map(Result::err)?;
    let known = [QUOTED, "invalid indentation", "invalid indentation in flow construct"];
    let what = known.into_iter().find(|known| *known == error.info())?;
    Some((error.marker().index(), what))
}

/// The text in quotes that begins at that character, in one line: its lines are folded as YAML does, and what that saves is
/// made up for by blanks behind it.
fn fold(text: &str, at: usize) -> Option<String> {
    let chars: Vec<char> = text.chars().collect();
    let quote = *chars.get(at).filter(|quote| ['"', '\''].contains(quote))?;
    let mut folded = vec![quote];
    let mut here = at + 1;
    loop {
        match (*chars.get(here)?, chars.get(here + 1)) {
            ('\\', Some('\n')) if quote == '"' => here = content(&chars, here + 2),
            ('\\', Some(escaped)) if quote == '"' => {
                folded.extend(['\\', *escaped]);
                here += 2;
            }
            (c, next) if c == quote => {
                folded.push(c);
                here += 1;
                match next {
                    Some(again) if *again == quote && quote == '\'' => folded.push(quote),
                    _ => break,
                }
                here += 1;
            }
            ('\n', _) => {
                while folded.len() > 1 && folded.last().is_some_and(|c| [' ', '\t'].contains(c)) {
                    folded.pop();
                }
                let next = content(&chars, here + 1);
                let breaks = chars[here..next].iter().filter(|c| **c == '\n').count();
                match breaks {
                    1 => folded.push(' '),
                    _ if quote == '\'' => return None,
                    more => (1..more).for_each(|_| folded.extend(['\\', 'n'])),
                }
                here = next;
            }
            (c, _) => {
                folded.push(c);
                here += 1;
            }
        }
    }
    let blanks = (here - at).checked_sub(folded.len())?;
    let all = chars[..at].iter().copied().chain(folded).chain(std::iter::repeat_n(' ', blanks));
    Some(all.chain(chars[here..].iter().copied()).collect())
}

/// Where there is something again.
fn content(chars: &[char], from: usize) -> usize {
    (from..chars.len()).find(|at| ![' ', '\t', '\n'].contains(&chars[*at])).unwrap_or(chars.len())
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
            ("a:\n  b: \"x + \\\n  y\"\nc: 1\n", "a:\n  b: \"x + y\"    \nc: 1\n"),
            ("a:\n  b: 'it''s \n  y'\n", "a:\n  b: 'it''s y'   \n"),
            ("a:\n  b: \"x\n\n  \\\"y\"\n", "a:\n  b: \"x\\n\\\"y\"  \n"),
        ];
        for (text, wanted) in table {
            assert_eq!(joined(text).unwrap_or_default(), wanted, "{text}");
        }
    }
}
