//! Regular expressions as Python writes them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use fancy_regex::{Captures, Regex};
use minijinja::Error;
use minijinja::value::Value;

use super::super::call::{Call, Entry, fail};

pub(super) static ALL: &[Entry] = &[
    Entry::new(
        &["regex_replace"],
        &["value", "pattern", "replacement", "ignorecase", "multiline", "count", "mandatory_count"],
        "Replaces what matches.",
        replace,
    ),
    Entry::new(&["regex_search"], &["value", "regex", "*", "**"], "The first match.", search),
    Entry::new(&["regex_findall"], &["value", "regex", "multiline", "ignorecase"], "All matches.", find_all),
    Entry::new(&["regex_escape"], &["value", "re_type"], "Makes a text match itself.", escape),
];

/// Compiles a pattern once. Python's spelling of named groups and of the end of the text is understood.
pub(crate) fn compile(pattern: &str, ignore_case: bool, multi_line: bool) -> Result<Arc<Regex>, Error> {
    static COMPILED: OnceLock<Mutex<HashMap<String, Arc<Regex>>>> = OnceLock::new();
    let flags = match (ignore_case, multi_line) {
        (false, false) => "",
        (true, false) => "(?i)",
        (false, true) => "(?m)",
        (true, true) => "(?im)",
    };
    let whole = format!("{flags}{}", python(pattern, multi_line));
    let mut compiled = COMPILED.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(regex) = compiled.get(&whole) {
        return Ok(Arc::clone(regex));
    }
    let regex = Regex::new(&whole).map_err(|e| fail(format!("'{pattern}' is not a regular expression: {e}")))?;
    let regex = Arc::new(regex);
    compiled.insert(whole, Arc::clone(&regex));
    Ok(regex)
}

/// `\Z` is Python's `\z`, and its `$` also matches before a final newline.
fn python(pattern: &str, multi_line: bool) -> String {
    let (mut out, mut chars, mut in_class) = (String::with_capacity(pattern.len()), pattern.chars(), false);
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('Z') => out.push_str("\\z"),
                Some(next) => out.extend(['\\', next]),
                None => out.push('\\'),
            },
            '$' if !in_class && !multi_line => out.push_str("(?=\\n?\\z)"),
            // A bracket inside a class stands for itself in Python.
            '[' if in_class => out.push_str("\\["),
            '[' => {
                in_class = true;
                out.push('[');
                let rest = chars.as_str();
                let lead = if rest.starts_with('^') { "^" } else { "" };
                out.push_str(lead);
                chars = rest[lead.len()..].chars();
                if chars.as_str().starts_with(']') {
                    chars.next();
                    out.push_str("\\]");
                }
            }
            ']' => {
                in_class = false;
                out.push(']');
            }
            other => out.push(other),
        }
    }
    out
}

fn failed(e: &fancy_regex::Error) -> Error {
    fail(format!("the regular expression gave up: {e}"))
}

/// Python's replacement: `\1`, `\g<1>`, `\g<name>`, `\n`, `\\`.
fn expand(template: &str, groups: &Captures, out: &mut String) -> Result<(), Error> {
    let group = |name: &str| -> Result<&str, Error> {
        let found = match name.parse::<usize>() {
            Ok(i) if i < groups.len() => groups.get(i),
            Ok(i) => return Err(fail(format!("invalid group reference {i}"))),
            Err(_) => groups.name(name),
        };
        Ok(found.map_or("", |m| m.as_str()))
    };
    let mut rest = template;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(name) = rest.strip_prefix("g<") {
            let end = name.find('>').ok_or_else(|| fail("missing >, unterminated name"))?;
            out.push_str(group(&name[..end])?);
            rest = &name[end + 1..];
            continue;
        }
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if digits > 0 {
            out.push_str(group(&rest[..digits.min(2)])?);
            rest = &rest[digits.min(2)..];
            continue;
        }
        let escaped = rest.chars().next();
        match escaped {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('\\') | None => out.push('\\'),
            Some(other) => out.extend(['\\', other]),
        }
        rest = &rest[escaped.map_or(0, char::len_utf8)..];
    }
    out.push_str(rest);
    Ok(())
}

fn replace(c: &mut Call) -> Result<Value, Error> {
    let (text, replacement) = (c.str(0)?, c.str_or(2, "")?);
    let regex = compile(&c.str_or(1, "")?, c.flag(3, false)?, c.flag(4, false)?)?;
    let limit = usize::try_from(c.int_or(5, 0)?).ok().filter(|n| *n > 0).unwrap_or(usize::MAX);
    let (mut out, mut from, mut count) = (String::with_capacity(text.len()), 0, 0);
    for groups in regex.captures_iter(&text).take(limit) {
        let groups = groups.map_err(|e| failed(&e))?;
        let Some(whole) = groups.get(0) else { continue };
        out.push_str(&text[from..whole.start()]);
        expand(&replacement, &groups, &mut out)?;
        from = whole.end();
        count += 1;
    }
    out.push_str(&text[from..]);
    let wanted = c.int_or(6, 0)?;
    if wanted > 0 && wanted != count {
        return Err(fail(format!("'{}' should match {wanted} times, but matches {count} times", c.str(1)?)));
    }
    Ok(Value::from(out))
}

fn search(c: &mut Call) -> Result<Value, Error> {
    let switch = |name: &str| c.named.iter().any(|(k, v)| k == name && v.is_true());
    let regex = compile(&c.str(1)?, switch("ignorecase"), switch("multiline"))?;
    let text = c.str(0)?;
    let Some(groups) = regex.captures(&text).map_err(|e| failed(&e))? else { return Ok(Value::from(())) };
    let value = |m: Option<fancy_regex::Match>| m.map_or_else(|| Value::from(()), |m| Value::from(m.as_str()));
    if c.rest.is_empty() {
        return Ok(value(groups.get(0)));
    }
    let mut out = Vec::new();
    for wanted in &c.rest {
        let wanted = wanted.as_str().unwrap_or_default();
        if let Some(name) = wanted.strip_prefix("\\g<").and_then(|n| n.strip_suffix('>')) {
            out.push(value(name.parse().map_or_else(|_| groups.name(name), |i| groups.get(i))));
        } else if let Some(i) = wanted.strip_prefix('\\').and_then(|n| n.parse().ok()) {
            if i >= groups.len() {
                return Err(fail("no such group"));
            }
            out.push(value(groups.get(i)));
        } else {
            return Err(fail("unknown argument: groups are '\\\\1' or '\\\\g<name>'"));
        }
    }
    Ok(Value::from(out))
}

fn find_all(c: &mut Call) -> Result<Value, Error> {
    let regex = compile(&c.str(1)?, c.flag(3, false)?, c.flag(2, false)?)?;
    let text = c.str(0)?;
    let mut out = Vec::new();
    for groups in regex.captures_iter(&text) {
        let groups = groups.map_err(|e| failed(&e))?;
        let get = |i| groups.get(i).map_or("", |m: fancy_regex::Match| m.as_str());
        out.push(match groups.len() {
            1 => Value::from(get(0)),
            2 => Value::from(get(1)),
            n => (1..n).map(get).map(Value::from).collect(),
        });
    }
    Ok(Value::from(out))
}

fn escape(c: &mut Call) -> Result<Value, Error> {
    let text = c.str(0)?;
    let special = match c.str_or(1, "python")?.as_str() {
        "python" => "\\.^$*+?{}[]|()-&~# \t\n\r\u{b}\u{c}",
        "posix_basic" => "[].^$*\\",
        other => return Err(fail(format!("'{other}' is no kind of regular expression: python or posix_basic"))),
    };
    let escaped =
        |ch: char| if special.contains(ch) { Cow::from(format!("\\{ch}")) } else { Cow::from(ch.to_string()) };
    Ok(Value::from(text.chars().map(escaped).collect::<String>()))
}
