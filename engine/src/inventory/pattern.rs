//! Host patterns: `web:&staging:!web3`, `db[0]`, `~web\d+`, `*.example.com`, `@failed.txt`.

use std::path::Path;
use std::sync::LazyLock;

use fancy_regex::Regex;
use indexmap::IndexSet;

use super::{ALL, Inventory, LOCALHOST};
use crate::diagnostic::Diagnostic;
use crate::source::{Source, Span};

/// What a pattern found.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// The names of the hosts, in the order of the pattern, each once.
    pub hosts: IndexSet<String>,
    /// One warning for each part that matches nothing or cannot be read. Whoever needs hosts makes an error of it.
    pub unmatched: Vec<Diagnostic>,
}

impl Inventory {
    /// The hosts of a pattern. First come the parts that add, then those that keep (`&`), then those that remove (`!`);
    /// without one that adds, it begins with all.
    pub fn select(&self, pattern: &str, span: &Span) -> Selection {
        let mut selection = Selection::default();
        let parts = self.parts(pattern, span, &mut selection.unmatched);
        let (modifying, adding): (Vec<_>, Vec<_>) = parts.into_iter().partition(|part| part.starts_with(['&', '!']));
        let adding = if adding.is_empty() && !modifying.is_empty() { vec![ALL.to_owned()] } else { adding };
        for part in &adding {
            selection.hosts.extend(self.matching(part, span, &mut selection.unmatched));
        }
        for part in modifying.iter().filter_map(|part| part.strip_prefix('&')) {
            let kept = self.matching(part, span, &mut selection.unmatched);
            selection.hosts.retain(|host| kept.contains(host));
        }
        for part in modifying.iter().filter_map(|part| part.strip_prefix('!')) {
            let removed = self.matching(part, span, &mut selection.unmatched);
            selection.hosts.retain(|host| !removed.contains(host));
        }
        selection
    }

    /// The parts of a pattern; `@file` stands for the lines of that file.
    fn parts(&self, pattern: &str, span: &Span, unmatched: &mut Vec<Diagnostic>) -> Vec<String> {
        let mut parts = Vec::new();
        for part in split(pattern) {
            let Some(file) = part.strip_prefix('@') else {
                parts.push(part);
                continue;
            };
            match Source::read(Path::new(file)) {
                Ok(source) => {
                    let lines =
                        source.text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
                    parts.extend(lines.flat_map(split));
                }
                Err(error) => unmatched.push(error.at(span)),
            }
        }
        parts
    }

    fn matching(&self, part: &str, span: &Span, unmatched: &mut Vec<Diagnostic>) -> IndexSet<String> {
        // The name of a host counts before everything else.
        if self.hosts.contains_key(part) {
            return IndexSet::from([part.to_owned()]);
        }
        let (base, subscript) = subscript(part);
        let found = match self.named(base) {
            Ok(found) => found,
            Err(why) => {
                unmatched
                    .push(Diagnostic::warning(format!("the host pattern `{part}` cannot be read: {why}")).at(span));
                return IndexSet::new();
            }
        };
        if found.is_empty() {
            if base != ALL {
                unmatched.push(self.nothing(part, base, span));
            }
            return IndexSet::new();
        }
        let total = found.len();
        match subscript {
            None => found,
            Some(subscript) => match subscript.range(total) {
                Some(range) => range.filter_map(|at| found.get_index(at).cloned()).collect(),
                None => {
                    let message = format!("the host pattern `{part}` asks for more than the {total} hosts of `{base}`");
                    unmatched.push(Diagnostic::warning(message).at(span).told(""));
                    IndexSet::new()
                }
            },
        }
    }

    /// Groups that match; and hosts, if no group does or the pattern may mean several.
    fn named(&self, pattern: &str) -> Result<IndexSet<String>, String> {
        let regex = match pattern.strip_prefix('~') {
            Some(regex) => Regex::new(&format!("^(?:{regex})")),
            None => Regex::new(&glob(pattern)),
        }
        .map_err(|error| error.to_string())?;
        let matches = |name: &String| regex.is_match(name).unwrap_or(false);
        let groups: Vec<&String> = self.groups.keys().filter(|name| matches(name)).collect();
        let mut found: IndexSet<String> =
            groups.iter().flat_map(|group| self.hosts_of(group)).map(str::to_owned).collect();
        if groups.is_empty() || pattern.starts_with('~') || pattern.contains(['.', '?', '*', '[']) {
            found.extend(self.hosts.keys().filter(|name| matches(name)).cloned());
        }
        if found.is_empty() && LOCALHOST.contains(&pattern) {
            found.insert(pattern.to_owned());
        }
        Ok(found)
    }

    fn nothing(&self, part: &str, base: &str, span: &Span) -> Diagnostic {
        if let Some(group) = self.groups.get(base) {
            return Diagnostic::warning(format!("the group `{}` has no hosts", group.name)).at(span).told("");
        }
        let names = self.groups.keys().chain(self.hosts.keys()).map(String::as_str);
        let diagnostic =
            Diagnostic::warning(format!("no host or group matches `{part}`")).at(span).did_you_mean(base, names);
        let diagnostic = diagnostic.told_alone(format!("Could not match supplied host pattern, ignoring: {base}"));
        match self.hosts.is_empty() {
            true => diagnostic.hint("the inventory has no hosts: name one with `-i`"),
            false => diagnostic,
        }
    }
}

/// At commas if there are any, else at colons and spaces that stand neither in brackets nor in an IPv6 address.
fn split(pattern: &str) -> Vec<String> {
    let pattern = pattern.trim();
    let parts: Vec<&str> = if pattern.contains(',') {
        pattern.split(',').collect()
    } else if pattern.parse::<std::net::Ipv6Addr>().is_ok() {
        vec![pattern]
    } else {
        let mut depth = 0usize;
        pattern
            .split(|c| {
                match c {
                    '[' => depth += 1,
                    ']' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                (c == ':' || c.is_whitespace()) && depth == 0
            })
            .collect()
    };
    parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

static SUBSCRIPT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(.+)\[(?:(-?[0-9]+)|([0-9]+)[:-]([0-9]*))\]$")
        .expect("the pattern is a constant that the tests compile")
});

/// `[2]`, `[-1]`, `[1:3]` (both ends included), `[1:]`.
#[derive(Clone, Copy)]
enum Subscript {
    One(i64),
    From(usize, Option<usize>),
}

fn subscript(part: &str) -> (&str, Option<Subscript>) {
    let found = if part.starts_with('~') { None } else { SUBSCRIPT.captures(part).ok().flatten() };
    let Some(groups) = found else { return (part, None) };
    let text = |nth: usize| groups.get(nth).map(|group| group.as_str());
    let subscript = match (text(2), text(3)) {
        (Some(one), _) => one.parse().ok().map(Subscript::One),
        (None, Some(from)) => {
            from.parse().ok().map(|from| Subscript::From(from, text(4).and_then(|to| to.parse().ok())))
        }
        (None, None) => None,
    };
    (groups.get(1).map_or(part, |base| base.as_str()), subscript)
}

impl Subscript {
    /// The indices among `total`; `None` if the first is beyond them.
    fn range(self, total: usize) -> Option<std::ops::RangeInclusive<usize>> {
        let (first, last) = match self {
            Self::One(n) => {
                let at = if n < 0 {
                    total.checked_sub(usize::try_from(n.unsigned_abs()).ok()?)?
                } else {
                    usize::try_from(n).ok()?
                };
                (at, at)
            }
            Self::From(first, last) => (first, last.unwrap_or(total - 1).min(total - 1)),
        };
        (first < total).then_some(first..=last)
    }
}

/// Whether a text matches a pattern with `*`, `?` and `[…]`, as Python's `fnmatch` has it.
pub(crate) fn fnmatch(pattern: &str, text: &str) -> bool {
    fancy_regex::Regex::new(&glob(pattern)).is_ok_and(|pattern| pattern.is_match(text).unwrap_or(false))
}

/// As Python's `fnmatch.translate`.
fn glob(pattern: &str) -> String {
    let mut out = String::from("^");
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        match c {
            '*' => out.push_str(".*"),
            '?' => out.push('.'),
            '[' if rest.as_str().contains(']') => {
                let class: String = rest.by_ref().take_while(|c| *c != ']').collect();
                let class = class.replace('\\', "\\\\");
                match class.strip_prefix('!') {
                    Some(not) => out.push_str(&format!("[^{not}]")),
                    None => out.push_str(&format!("[{class}]")),
                }
            }
            c if c.is_alphanumeric() || c == '_' => out.push(c),
            c => out.extend(['\\', c]),
        }
    }
    out + "$"
}
