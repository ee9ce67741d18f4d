//! Texts, dates.

use minijinja::Error;
use minijinja::value::Value;

use super::super::call::{Call, Entry, fail};
use super::super::python::time::DateTime;
use super::super::python::{methods, percent, text};

pub(super) static ALL: &[Entry] = &[
    Entry::new(&["upper"], &["value"], "In capitals.", |c| Ok(Value::from(c.str(0)?.to_uppercase()))),
    Entry::new(&["lower"], &["value"], "In small letters.", |c| Ok(Value::from(c.str(0)?.to_lowercase()))),
    Entry::new(&["title"], &["value"], "Each word with a capital.", |c| Ok(Value::from(title(&c.str(0)?)))),
    Entry::new(&["capitalize"], &["value"], "A capital first.", |c| Ok(Value::from(methods::capitalize(&c.str(0)?)))),
    Entry::new(&["trim"], &["value", "chars"], "Without whitespace around it.", trim),
    Entry::new(&["replace"], &["value", "old", "new", "count"], "Replaces a text.", replace),
    Entry::new(&["split"], &["value", "sep", "maxsplit"], "Splits a text.", |c| {
        let sep = c.option(1)?.map(text::str).transpose()?;
        methods::split(&c.text(0)?, sep.as_deref(), usize::try_from(c.int_or(2, -1)?).unwrap_or(usize::MAX))
    }),
    Entry::new(&["splitlines"], &["value"], "The lines.", |c| Ok(c.str(0)?.lines().map(Value::from).collect())),
    Entry::new(&["format"], &["value", "*", "**"], "Formats values like `%`.", format),
    Entry::new(&["indent"], &["value", "width", "first", "blank"], "Indents the lines.", indent),
    Entry::new(&["center"], &["value", "width"], "Centred.", |c| {
        let (text, width) = (c.str(0)?, usize::try_from(c.int_or(1, 80)?).unwrap_or(0));
        Ok(Value::from(format!("{text:^width$}")))
    }),
    Entry::new(&["truncate"], &["value", "length", "killwords", "end", "leeway"], "Shortened.", truncate),
    Entry::new(&["wordcount"], &["value"], "The number of words.", |c| {
        // What Python's `\w+` finds.
        let words = c.str(0)?;
        Ok(Value::from(words.split(|ch: char| ch != '_' && !ch.is_alphanumeric()).filter(|w| !w.is_empty()).count()))
    }),
    Entry::new(
        &["wordwrap"],
        &["value", "width", "break_long_words", "wrapstring", "break_on_hyphens"],
        "In lines of so many letters.",
        wordwrap,
    ),
    Entry::new(&["quote"], &["value"], "Quoted for a shell.", |c| {
        Ok(Value::from(if c.value(0)?.is_none() { "''".into() } else { quote(&c.str(0)?) }))
    }),
    Entry::new(
        &["comment"],
        &[
            "value",
            "style",
            "newline",
            "beginning",
            "prefix",
            "prefix_count",
            "decoration",
            "postfix",
            "postfix_count",
            "end",
        ],
        "As a comment.",
        comment,
    ),
    Entry::new(&["strftime"], &["value", "second", "utc"], "The time, by a format.", strftime),
    Entry::new(&["to_datetime"], &["value", "format"], "A time, read by a format.", |c| {
        DateTime::parse(&c.text(0)?, &c.str_or(1, "%Y-%m-%d %H:%M:%S")?).map(Value::from_object)
    }),
];

/// Jinja's `title` leaves the letter after an apostrophe alone, unlike Python's method.
fn title(text: &str) -> String {
    let parts = text.split_inclusive(|c: char| c.is_whitespace() || "-({[<".contains(c));
    parts.map(methods::capitalize).collect()
}

fn trim(c: &mut Call) -> Result<Value, Error> {
    let text = c.str(0)?;
    Ok(match c.option(1)? {
        None => Value::from(text.trim()),
        Some(set) => {
            let set = text::str(set)?;
            Value::from(text.trim_matches(|ch| set.contains(ch)))
        }
    })
}

fn replace(c: &mut Call) -> Result<Value, Error> {
    let count = usize::try_from(c.int_or(3, -1)?).unwrap_or(usize::MAX);
    Ok(Value::from(c.str(0)?.replacen(&c.str(1)?, &c.str(2)?, count)))
}

fn format(c: &mut Call) -> Result<Value, Error> {
    let template = c.str(0)?;
    let values = if c.named.is_empty() {
        Value::from(minijinja::value::Tuple::from(std::mem::take(&mut c.rest)))
    } else {
        Value::from_pairs(std::mem::take(&mut c.named))
    };
    percent::format(&template, &values).map(Value::from)
}

fn indent(c: &mut Call) -> Result<Value, Error> {
    let pad = match c.option(1)? {
        Some(width) if width.as_str().is_some() => text::str(width)?,
        _ => " ".repeat(usize::try_from(c.int_or(1, 4)?).unwrap_or(0)),
    };
    let (first, blank) = (c.flag(2, false)?, c.flag(3, false)?);
    let indented = |(i, line): (usize, &str)| {
        let wanted = if i == 0 { first } else { blank || !line.is_empty() };
        format!("{}{line}", if wanted { pad.as_str() } else { "" })
    };
    Ok(Value::from(c.text(0)?.split('\n').enumerate().map(indented).collect::<Vec<_>>().join("\n")))
}

fn truncate(c: &mut Call) -> Result<Value, Error> {
    let size = |i, default| c.int_or(i, default).map(|n| usize::try_from(n).unwrap_or(0));
    let (length, end, leeway) = (size(1, 255)?, c.str_or(3, "...")?, size(4, 5)?);
    let room = length
        .checked_sub(end.chars().count())
        .ok_or_else(|| fail(format!("expected length >= {}, got {length}", end.chars().count())))?;
    if c.value(0)?.len().is_some_and(|len| len <= length + leeway) {
        return c.value(0).cloned();
    }
    let text = c.text(0)?;
    let cut: String = text.chars().take(room).collect();
    let cut = if c.flag(2, false)? { &cut } else { cut.rsplit_once(' ').map_or(cut.as_str(), |(words, _)| words) };
    Ok(Value::from(format!("{cut}{end}")))
}

/// Python's `textwrap`, line by line.
fn wordwrap(c: &mut Call) -> Result<Value, Error> {
    let width = usize::try_from(c.int_or(1, 79)?).ok().filter(|w| *w > 0).ok_or_else(|| fail("invalid width"))?;
    let (long, hyphens, newline) = (c.flag(2, true)?, c.flag(4, true)?, c.str_or(3, "\n")?);
    let lines: Vec<String> = c.text(0)?.lines().map(|line| wrap(line, width, long, hyphens).join(&newline)).collect();
    Ok(Value::from(lines.join(&newline)))
}

fn wrap(line: &str, width: usize, long: bool, hyphens: bool) -> Vec<String> {
    let mut chunks: Vec<String> = Vec::new();
    for c in line.chars() {
        let breaks = |last: &String| {
            let space = last.starts_with(char::is_whitespace);
            let hyphen = hyphens && last.len() > 1 && last.ends_with('-') && c.is_alphabetic();
            space != c.is_whitespace() || hyphen && last.chars().rev().nth(1).is_some_and(char::is_alphabetic)
        };
        match chunks.last_mut() {
            Some(last) if !breaks(last) => last.push(c),
            _ => chunks.push(c.to_string()),
        }
    }
    chunks.reverse();
    let len = |s: &str| s.chars().count();
    let mut out: Vec<String> = Vec::new();
    while !chunks.is_empty() {
        let mut row: Vec<String> = Vec::new();
        let mut used = 0;
        if !out.is_empty() && chunks.last().is_some_and(|c| c.trim().is_empty()) {
            chunks.pop();
        }
        while let Some(chunk) = chunks.pop_if(|chunk| used + len(chunk) <= width) {
            used += len(&chunk);
            row.push(chunk);
        }
        if let Some(chunk) = chunks.pop_if(|chunk| len(chunk) > width) {
            let room = if long { width - used } else { 0 };
            let at = chunk.char_indices().nth(room).map_or(chunk.len(), |(i, _)| i);
            if long {
                // Without room it is an empty piece, which keeps Python from dropping the blank before it.
                row.push(chunk[..at].to_owned());
                chunks.push(chunk[at..].to_owned());
            } else if row.is_empty() {
                row.push(chunk);
            } else {
                chunks.push(chunk);
            }
        }
        if row.last().is_some_and(|c| c.trim().is_empty()) {
            row.pop();
        }
        if !row.is_empty() {
            out.push(row.concat());
        }
    }
    out
}

/// `shlex.quote`.
pub(crate) fn quote(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !text.is_empty() && text.chars().all(safe) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\"'\"'"))
    }
}

fn comment(c: &mut Call) -> Result<Value, Error> {
    let style = c.str_or(1, "plain")?;
    let (begin, decoration, end) = match style.as_str() {
        "plain" => ("", "# ", ""),
        "erlang" => ("", "% ", ""),
        "c" => ("", "// ", ""),
        "cblock" => ("/*", " * ", " */"),
        "xml" => ("<!--", " - ", "-->"),
        other => return Err(fail(format!("'{other}' is no style of comment: plain, erlang, c, cblock or xml"))),
    };
    let (newline, begin, end) = (c.str_or(2, "\n")?, c.str_or(3, begin)?, c.str_or(9, end)?);
    let decoration = c.str_or(6, decoration)?;
    let bare = decoration.trim_end();
    let text = c.text(0)?;
    let edge = |name: usize, count: usize| -> Result<(String, usize), Error> {
        let line = c.str_or(name, bare)?;
        let count = usize::try_from(c.int_or(count, 1)?).unwrap_or(0);
        Ok((line, count))
    };
    let (prefix, postfix) = (edge(4, 5)?, edge(7, 8)?);
    let prefix = match prefix.0.as_str() {
        "" => String::new(),
        line if line == newline => newline.repeat(prefix.1),
        line => format!("{line}{newline}").repeat(prefix.1),
    };
    // Also an empty postfix takes a line.
    let postfix = format!("{newline}{}", postfix.0).repeat(postfix.1);
    let body = format!("{decoration}{}", text.replace(&newline, &format!("{newline}{decoration}")));
    // A line without text has no space after its decoration.
    let body = body.replace(&format!("{decoration}{newline}"), &format!("{}{newline}", decoration.trim_end()));
    let begin = if begin.is_empty() { begin } else { format!("{begin}{newline}") };
    let end = if end.is_empty() { end } else { format!("{newline}{end}") };
    Ok(Value::from(format!("{begin}{prefix}{body}{postfix}{end}")))
}

fn strftime(c: &mut Call) -> Result<Value, Error> {
    let second = match c.option(1)? {
        None => jiff::Timestamp::now().as_second(),
        Some(given) => {
            let text = text::str(given)?;
            text.trim().parse::<f64>().map_err(|_| fail(format!("Invalid value for epoch value ({text})")))?.floor()
                as i64
        }
    };
    let at = jiff::Timestamp::from_second(second).map_err(|e| fail(format!("no such time: {e}")))?;
    let zone = if c.flag(2, false)? { jiff::tz::TimeZone::UTC } else { jiff::tz::TimeZone::system() };
    let format = c.str(0)?;
    let text = jiff::fmt::strtime::format(&format, &at.to_zoned(zone)).map_err(|e| fail(format!("'{format}': {e}")))?;
    Ok(Value::from(text))
}
