//! Texts, dates.

use minijinja::Error;
use minijinja::value::Value;

use super::super::call::{Call, Entry, fail};
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
        methods::split(&c.str(0)?, sep.as_deref(), usize::try_from(c.int_or(2, -1)?).unwrap_or(usize::MAX))
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
        Ok(Value::from(c.str(0)?.split_whitespace().count()))
    }),
    Entry::new(&["wordwrap"], &["value", "width"], "In lines of so many letters.", wordwrap),
    Entry::new(&["escape", "e", "forceescape"], &["value"], "For HTML.", |c| {
        let text = c.str(0)?.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        Ok(Value::from(text.replace('\'', "&#39;").replace('"', "&#34;")))
    }),
    Entry::new(&["striptags"], &["value"], "Without HTML's tags.", |c| {
        let plain = super::compile("<[^>]*>", false, false)?.replace_all(&c.str(0)?, "").into_owned();
        Ok(Value::from(plain.split_whitespace().collect::<Vec<_>>().join(" ")))
    }),
    Entry::new(&["quote"], &["value"], "Quoted for a shell.", |c| Ok(Value::from(quote(&c.str(0)?)))),
    Entry::new(
        &["comment"],
        &["value", "style", "decoration", "prefix", "prefix_count", "postfix", "postfix_count"],
        "As a comment.",
        comment,
    ),
    Entry::new(&["strftime"], &["value", "second", "utc"], "The time, by a format.", strftime),
    Entry::new(&["to_datetime"], &["value", "format"], "Not supported.", |_| {
        Err(fail("'to_datetime' is not supported: compare times as texts in ISO 8601"))
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
    Ok(Value::from(c.str(0)?.split('\n').enumerate().map(indented).collect::<Vec<_>>().join("\n")))
}

fn truncate(c: &mut Call) -> Result<Value, Error> {
    let size = |i, default| c.int_or(i, default).map(|n| usize::try_from(n).unwrap_or(0));
    let (text, length, end, leeway) = (c.str(0)?, size(1, 255)?, c.str_or(3, "...")?, size(4, 5)?);
    if text.chars().count() <= length + leeway {
        return Ok(Value::from(text));
    }
    let room = length.checked_sub(end.chars().count()).ok_or_else(|| fail("'truncate' needs room for its end"))?;
    let cut: String = text.chars().take(room).collect();
    let cut = if c.flag(2, false)? { &cut } else { cut.rsplit_once(' ').map_or(cut.as_str(), |(words, _)| words) };
    Ok(Value::from(format!("{cut}{end}")))
}

fn wordwrap(c: &mut Call) -> Result<Value, Error> {
    let width = usize::try_from(c.int_or(1, 79)?).unwrap_or(79).max(1);
    let (text, mut out) = (c.str(0)?, Vec::new());
    for line in text.lines() {
        let mut row = String::new();
        for word in line.split_whitespace() {
            if !row.is_empty() && row.chars().count() + 1 + word.chars().count() > width {
                out.push(std::mem::take(&mut row));
            }
            row.push_str(if row.is_empty() { "" } else { " " });
            row.push_str(word);
        }
        out.push(row);
    }
    Ok(Value::from(out.join("\n")))
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
    let decoration = c.str_or(2, decoration)?;
    let bare = decoration.trim_end();
    let edge = |name: usize, count: usize| -> Result<Vec<String>, Error> {
        let line = c.str_or(name, bare)?;
        Ok(vec![line.trim_end().to_owned(); usize::try_from(c.int_or(count, 1)?).unwrap_or(0)])
    };
    let mut lines: Vec<String> = Vec::new();
    lines.extend((!begin.is_empty()).then(|| begin.to_owned()));
    lines.extend(edge(3, 4)?);
    lines.extend(c.str(0)?.split('\n').map(|line| format!("{decoration}{line}").trim_end().to_owned()));
    lines.extend(edge(5, 6)?);
    lines.extend((!end.is_empty()).then(|| end.to_owned()));
    Ok(Value::from(lines.join("\n")))
}

fn strftime(c: &mut Call) -> Result<Value, Error> {
    let second = match c.option(1)? {
        None => jiff::Timestamp::now().as_second(),
        Some(_) => c.int(1)?,
    };
    let at = jiff::Timestamp::from_second(second).map_err(|e| fail(format!("no such time: {e}")))?;
    let zone = if c.flag(2, false)? { jiff::tz::TimeZone::UTC } else { jiff::tz::TimeZone::system() };
    let format = c.str(0)?;
    let text = jiff::fmt::strtime::format(&format, &at.to_zoned(zone)).map_err(|e| fail(format!("'{format}': {e}")))?;
    Ok(Value::from(text))
}
