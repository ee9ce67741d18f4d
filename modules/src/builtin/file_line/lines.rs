//! Lines of a text: which match, and the text with one replaced, added or removed. Pure.

use std::borrow::Cow;

use fancy_regex::{Captures, Expander, Regex};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::host::Error;

/// Which of several lines that match is meant.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Pick {
    /// The first.
    First,
    /// The last.
    Last,
    /// Each of them.
    All,
    /// There must not be several.
    Unique,
}

/// What a line must be like.
#[derive(Debug)]
pub(super) enum Pattern<'a> {
    /// Equal to this.
    Whole(&'a str),
    /// Have this in it.
    Part(&'a str),
    /// Match this.
    Regex(Regex),
}

/// Where a line is added.
#[derive(Debug)]
pub(super) enum Anchor {
    /// As the first line.
    Start,
    /// As the last line.
    End,
    /// Before a line that matches; as the last if none does.
    Before(Regex, Pick),
    /// After a line that matches; as the last if none does.
    After(Regex, Pick),
}

/// The text with the line in it: instead of one that matches, else where the anchor says. A line may be several, which are
/// there if they stand one after the other.
pub(super) fn ensure<'t>(
    text: &'t str,
    line: &str,
    pattern: &Pattern<'_>,
    pick: Pick,
    anchor: &Anchor,
) -> Result<Cow<'t, str>, Error> {
    // What is most often found, and most often one of many tasks.
    if matches!((pattern, pick), (Pattern::Whole(whole), Pick::First | Pick::Last) if *whole == line && has(text, line))
    {
        return Ok(Cow::Borrowed(text));
    }
    let mut lines = split(text);
    let chosen = choose(&lines, |line| pattern.matches(line), pick)?;
    let given: Vec<&str> = line.split('\n').map(|line| line.trim_end_matches('\r')).collect();
    let there = lines.windows(given.len()).any(|some| some.iter().zip(&given).all(|(one, given)| one.text == *given));
    // Without the last condition, each run would turn another line that matches into a copy of the line; with it, several
    // lines of which one matches would grow.
    let done = match chosen.is_empty() || given.len() > 1 {
        true => there,
        false => there && pick != Pick::All && !pattern.matches(line)?,
    };
    if done {
        return Ok(Cow::Borrowed(text));
    }
    for at in &chosen {
        lines[*at].text = line;
    }
    if chosen.is_empty() {
        add(&mut lines, line, anchor)?;
    }
    Ok(Cow::Owned(join(&lines)))
}

/// Whether a text has a line that is that.
fn has(text: &str, line: &str) -> bool {
    !line.contains('\n') && text.split_inclusive('\n').any(|whole| Line::new(whole).text == line)
}

/// The text with each chosen line replaced by `template`, in which groups of the pattern are filled in.
pub(super) fn substitute(text: &str, pattern: &Regex, template: &str, pick: Pick) -> Result<String, Error> {
    let lines = split(text);
    let chosen = choose(&lines, |line| Ok(captures(pattern, line)?.is_some()), pick)?;
    let mut result = String::with_capacity(text.len());
    for (at, line) in lines.iter().enumerate() {
        match captures(pattern, line.text)?.filter(|_| chosen.contains(&at)) {
            Some(groups) => result.push_str(&Expander::python().expansion(template, &groups)),
            None => result.push_str(line.text),
        }
        result.push_str(line.end);
    }
    Ok(result)
}

/// The text without the lines that match.
pub(super) fn remove(text: &str, pattern: &Pattern<'_>, pick: Pick) -> Result<String, Error> {
    let mut lines = split(text);
    let chosen = choose(&lines, |line| pattern.matches(line), pick)?;
    let last_end = lines.last().map_or("\n", |line| line.end);
    let mut at = 0..;
    lines.retain(|_| at.next().is_none_or(|at| !chosen.contains(&at)));
    if let Some(last) = lines.last_mut().filter(|_| last_end.is_empty()) {
        last.end = "";
    }
    Ok(join(&lines))
}

/// A line and what ends it: `\n`, `\r\n`, or nothing for the last.
struct Line<'a> {
    text: &'a str,
    end: &'a str,
}

fn split(text: &str) -> Vec<Line<'_>> {
    text.split_inclusive('\n').map(Line::new).collect()
}

impl<'a> Line<'a> {
    fn new(whole: &'a str) -> Self {
        let text = whole.strip_suffix('\n').map_or(whole, |rest| rest.strip_suffix('\r').unwrap_or(rest));
        Self { text, end: &whole[text.len()..] }
    }
}

fn join(lines: &[Line<'_>]) -> String {
    lines.iter().flat_map(|line| [line.text, line.end]).collect()
}

impl Pattern<'_> {
    fn matches(&self, line: &str) -> Result<bool, Error> {
        match self {
            Self::Whole(whole) => Ok(line == *whole),
            Self::Part(part) => Ok(line.contains(part)),
            Self::Regex(regex) => Ok(captures(regex, line)?.is_some()),
        }
    }
}

fn captures<'l>(regex: &Regex, line: &'l str) -> Result<Option<Captures<'l>>, Error> {
    regex.captures(line).map_err(|error| Error::param("regexp", format!("gives up on the line `{line}`: {error}")))
}

/// The indices of the lines that are meant.
fn choose(lines: &[Line<'_>], matches: impl Fn(&str) -> Result<bool, Error>, pick: Pick) -> Result<Vec<usize>, Error> {
    let mut hits = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        if matches(line.text)? {
            hits.push(at);
        }
    }
    match pick {
        Pick::All => {}
        Pick::First => hits.truncate(1),
        Pick::Last => drop(hits.drain(..hits.len().saturating_sub(1))),
        Pick::Unique if hits.len() > 1 => {
            let numbers: Vec<String> = hits.iter().map(|at| (at + 1).to_string()).collect();
            let reason = format!("is `unique`, but the lines {} match", numbers.join(", "));
            return Err(Error::param("match", reason));
        }
        Pick::Unique => {}
    }
    Ok(hits)
}

fn add<'a>(lines: &mut Vec<Line<'a>>, line: &'a str, anchor: &Anchor) -> Result<(), Error> {
    let hit = |lines: &[Line<'_>], regex: &Regex, pick| {
        let hits = choose(lines, |line| Ok(captures(regex, line)?.is_some()), pick)?;
        Ok::<_, Error>(hits.last().copied())
    };
    let at = match anchor {
        Anchor::Start => 0,
        Anchor::End => lines.len(),
        Anchor::Before(regex, pick) => hit(lines, regex, *pick)?.unwrap_or(lines.len()),
        Anchor::After(regex, pick) => hit(lines, regex, *pick)?.map_or(lines.len(), |at| at + 1),
    };
    let end = lines.first().map_or("\n", |line| line.end);
    let end = if end.is_empty() { "\n" } else { end };
    lines.insert(at, Line { text: line, end });
    // What was the last line may have had no end. As in Ansible, the one that is added has.
    if let Some(above) = at.checked_sub(1).and_then(|above| lines.get_mut(above)).filter(|line| line.end.is_empty()) {
        above.end = end;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn regex(pattern: &str) -> Regex {
        Regex::new(pattern).unwrap()
    }

    #[test]
    fn lines_are_ensured() {
        let port = || Pattern::Regex(regex("^#?port="));
        let table = [
            ("", "a", Pattern::Whole("a"), Pick::Last, Anchor::End, "a\n"),
            ("a\nb\n", "a", Pattern::Whole("a"), Pick::Last, Anchor::End, "a\nb\n"),
            ("a", "b", Pattern::Whole("b"), Pick::Last, Anchor::End, "a\nb\n"),
            ("a\n", "b\nc", Pattern::Whole("b\nc"), Pick::Last, Anchor::End, "a\nb\nc\n"),
            ("b\nc\na\n", "b\nc", Pattern::Whole("b\nc"), Pick::Last, Anchor::End, "b\nc\na\n"),
            ("b\na\nc\n", "b\nc", Pattern::Whole("b\nc"), Pick::Last, Anchor::Start, "b\nc\nb\na\nc\n"),
            ("#port=1\n", "port=3\nx", port(), Pick::All, Anchor::End, "port=3\nx\n"),
            ("a\r\n", "b", Pattern::Whole("b"), Pick::Last, Anchor::End, "a\r\nb\r\n"),
            ("a\n", "b", Pattern::Whole("b"), Pick::Last, Anchor::Start, "b\na\n"),
            ("a\nb", "c", Pattern::Whole("c"), Pick::Last, Anchor::After(regex("a"), Pick::Last), "a\nc\nb"),
            ("a\na\n", "c", Pattern::Whole("c"), Pick::Last, Anchor::After(regex("a"), Pick::First), "a\nc\na\n"),
            ("a\na\n", "c", Pattern::Whole("c"), Pick::Last, Anchor::Before(regex("a"), Pick::Last), "a\nc\na\n"),
            ("a\n", "c", Pattern::Whole("c"), Pick::Last, Anchor::Before(regex("x"), Pick::Last), "a\nc\n"),
            ("#port=1\nport=2\n", "port=3", port(), Pick::Last, Anchor::End, "#port=1\nport=3\n"),
            ("#port=1\nport=2", "port=3", port(), Pick::First, Anchor::End, "port=3\nport=2"),
            ("#port=1\nport=2\n", "port=3", port(), Pick::All, Anchor::End, "port=3\nport=3\n"),
            ("#a\n#a\n", "a", Pattern::Part("#a"), Pick::Last, Anchor::End, "#a\na\n"),
            ("#a\na\n", "a", Pattern::Part("#a"), Pick::Last, Anchor::End, "#a\na\n"),
        ];
        for (text, line, pattern, pick, anchor, wanted) in table {
            let once = ensure(text, line, &pattern, pick, &anchor).unwrap();
            assert_eq!(once, wanted, "{line} in {text:?}, {pattern:?} {pick:?} {anchor:?}");
            assert_eq!(ensure(&once, line, &pattern, pick, &anchor).unwrap(), wanted, "again");
        }
    }

    #[test]
    fn lines_are_removed() {
        for (text, wanted) in [("a\nb\na\n", "b\n"), ("b\na", "b"), ("a", ""), ("b", "b")] {
            assert_eq!(remove(text, &Pattern::Whole("a"), Pick::All).unwrap(), wanted, "{text:?}");
        }
    }

    #[test]
    fn groups_are_filled_in() {
        let pattern = regex(r"^(\w+)\s*=\s*(?P<value>\d+)$");
        let replaced = substitute("a = 1\nb\nc=2\r\n", &pattern, r"\1: \g<value>", Pick::All).unwrap();
        assert_eq!(replaced, "a: 1\nb\nc: 2\r\n");
    }

    #[test]
    fn several_are_not_unique() {
        let error = ensure("a\nb\na\n", "c", &Pattern::Part("a"), Pick::Unique, &Anchor::End).unwrap_err();
        assert_eq!(error.to_string(), "parameter `match`: is `unique`, but the lines 1, 3 match");
    }

    proptest! {
        #[test]
        fn once_is_enough(text in "([ab#]{0,2}\r?\n){0,5}[ab#]{0,2}", line in "[ab#]{1,2}", part in "[ab#]", first: bool) {
            let pick = if first { Pick::First } else { Pick::Last };
            for pattern in [Pattern::Whole(&line), Pattern::Part(&part)] {
                for anchor in [Anchor::Start, Anchor::End, Anchor::After(regex("a"), pick), Anchor::Before(regex("b"), pick)] {
                    let once = ensure(&text, &line, &pattern, pick, &anchor).unwrap();
                    prop_assert!(split(&once).iter().any(|one| one.text == line));
                    prop_assert_eq!(&ensure(&once, &line, &pattern, pick, &anchor).unwrap(), &once);
                    prop_assert!(once.ends_with('\n') || !text.ends_with('\n') && !text.is_empty());
                }
            }
        }
    }
}
