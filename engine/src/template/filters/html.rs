//! For HTML.

use minijinja::Error;
use minijinja::value::Value;

use super::super::call::{Call, Entry, fail};
use super::super::python::text;

pub(super) static ALL: &[Entry] = &[
    Entry::new(&["escape", "e", "forceescape"], &["value"], "For HTML.", |c| Ok(Value::from(escape(&c.str(0)?)))),
    Entry::new(&["striptags"], &["value"], "Without HTML's tags.", |c| {
        let plain = super::compile("<[^>]*>", false, false)?.replace_all(&c.str(0)?, "").into_owned();
        Ok(Value::from(plain.split_whitespace().collect::<Vec<_>>().join(" ")))
    }),
    Entry::new(&["xmlattr"], &["value", "autospace"], "The attributes of an element.", |c| {
        let mut out = Vec::new();
        for (key, value) in c.pairs(0)?.into_iter().filter(|(_, v)| !v.is_none() && !v.is_undefined()) {
            let key = text::str(&key)?;
            if key.contains(|c: char| c.is_whitespace() || "/>=".contains(c)) {
                return Err(fail(format!("invalid character in attribute name: '{key}'")));
            }
            out.push(format!("{}=\"{}\"", escape(&key), escape(&text::str(&value)?)));
        }
        let space = if c.flag(1, true)? && !out.is_empty() { " " } else { "" };
        Ok(Value::from(format!("{space}{}", out.join(" "))))
    }),
    Entry::new(
        &["urlize"],
        &["value", "trim_url_limit", "nofollow", "target", "rel", "extra_schemes"],
        "Makes links of URLs.",
        urlize,
    ),
];

fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('\'', "&#39;").replace('"', "&#34;")
}

fn urlize(c: &mut Call) -> Result<Value, Error> {
    let limit = c.option(1)?.map(|_| c.int(1)).transpose()?.and_then(|n| usize::try_from(n).ok());
    let mut rel: Vec<String> = c.str_or(4, "")?.split_whitespace().map(str::to_owned).collect();
    if c.flag(2, false)? {
        rel.push("nofollow".into());
    }
    rel.push("noopener".into());
    rel.sort();
    rel.dedup();
    let target =
        c.option(3)?.map(text::str).transpose()?.map_or_else(String::new, |t| format!(" target=\"{}\"", escape(&t)));
    let link = super::compile(
        r"\A(https?://\S+|www\.\S+|[\w.-]+\.(?:com|net|int|edu|gov|org|info|mil)(?:/\S*)?)\z",
        true,
        false,
    )?;
    let mut out = String::new();
    for piece in c.str(0)?.split_inclusive(char::is_whitespace) {
        let word = piece.trim_end();
        let bare = word.trim_start_matches(['(', '<']).trim_end_matches(['.', ',', ')', '>', '\n']);
        let is_link = link.is_match(bare).map_err(|e| fail(format!("the regular expression gave up: {e}")))?;
        if !is_link {
            out.push_str(&escape(piece));
            continue;
        }
        let at = word.find(bare).unwrap_or(0);
        let href = if bare.contains("://") { bare.to_owned() } else { format!("https://{bare}") };
        let shown: String = match limit {
            Some(limit) if bare.chars().count() > limit => bare.chars().take(limit).collect::<String>() + "...",
            _ => bare.to_owned(),
        };
        out.push_str(&escape(&word[..at]));
        out.push_str(&format!(
            "<a href=\"{}\" rel=\"{}\"{target}>{}</a>",
            escape(&href),
            rel.join(" "),
            escape(&shown)
        ));
        out.push_str(&escape(&piece[at + bare.len()..]));
    }
    Ok(Value::from(out))
}
