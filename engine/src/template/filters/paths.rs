//! Paths and URLs.

use std::path::{Component, Path, PathBuf};

use minijinja::Error;
use minijinja::value::{Tuple, Value, ValueKind};

use super::super::call::{Call, Entry, fail};
use super::super::python::{methods, mutable, text};
use crate::source;

pub(super) static ALL: &[Entry] = &[
    Entry::new(&["basename"], &["value"], "The last part of a path.", |c| Ok(Value::from(split(&c.text(0)?).1))),
    Entry::new(&["dirname"], &["value"], "A path without its last part.", |c| Ok(Value::from(split(&c.text(0)?).0))),
    Entry::new(&["expanduser"], &["value"], "A path with `~` replaced.", |c| {
        let path = c.text(0)?;
        let home = std::env::var("HOME").unwrap_or_default();
        Ok(match path.strip_prefix('~') {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => Value::from(home + rest),
            _ => Value::from(path),
        })
    }),
    Entry::new(&["expandvars"], &["value"], "A path with `$NAME` replaced.", |c| Ok(Value::from(expand(&c.str(0)?)))),
    Entry::new(&["realpath"], &["value"], "A path without links.", |c| {
        let path = c.str(0)?;
        Ok(Value::from(std::fs::canonicalize(&path).map_or(normal(&path), |p| p.display().to_string())))
    }),
    Entry::new(&["normpath"], &["value"], "A path without `.` and `..`.", |c| Ok(Value::from(normal(&c.text(0)?)))),
    Entry::new(&["relpath"], &["value", "start"], "A path as seen from another.", relative),
    Entry::new(&["splitext"], &["value"], "A path and its extension.", |c| {
        let path = c.text(0)?;
        let name = path.rfind('/').map_or(0, |i| i + 1);
        let lead = path[name..].len() - path[name..].trim_start_matches('.').len();
        let dot = path[name + lead..].rfind('.').map_or(path.len(), |i| name + lead + i);
        Ok(Value::from(Tuple::from([Value::from(&path[..dot]), Value::from(&path[dot..])])))
    }),
    Entry::new(&["path_join"], &["value"], "Joins the parts of a path.", |c| {
        let parts = if c.value(0)?.as_str().is_some() { vec![c.value(0)?.clone()] } else { c.list(0)? };
        let mut path = PathBuf::new();
        if parts.is_empty() {
            return Err(fail("'path_join' needs at least one part"));
        }
        for part in parts {
            let kind = text::type_name(&part);
            path.push(part.as_str().ok_or_else(|| fail(format!("'path_join' joins texts, not {kind}")))?);
        }
        Ok(Value::from(path.display().to_string()))
    }),
    Entry::new(&["commonpath"], &["value"], "The directory that all paths share.", common),
    Entry::new(&["fileglob"], &["value"], "The files on the controller that match a pattern.", |c| {
        super::super::lookups::glob(&c.text(0)?).map(|found| found.into_iter().map(Value::from).collect())
    }),
    Entry::new(&["win_basename"], &["value"], "The last part of a path of Windows.", |c| {
        Ok(Value::from(split_windows(&c.text(0)?).1))
    }),
    Entry::new(&["win_dirname"], &["value"], "A path of Windows without its last part.", |c| {
        Ok(Value::from(split_windows(&c.text(0)?).0))
    }),
    Entry::new(&["win_splitdrive"], &["value"], "The drive and the rest of a path of Windows.", |c| {
        let path = c.text(0)?;
        let (drive, rest) = split_drive(&path);
        Ok(Value::from(Tuple::from([Value::from(drive), Value::from(rest)])))
    }),
    Entry::new(&["urlsplit"], &["value", "query"], "The parts of a URL.", urlsplit),
    Entry::new(&["urlencode"], &["value"], "Text for a URL; of a dictionary its query.", urlencode),
    Entry::new(&["urldecode"], &["value"], "Reads what is encoded for a URL.", |c| {
        let text = c.text(0)?.replace('+', " ");
        let mut bytes = Vec::new();
        let mut rest = text.as_bytes();
        while let [first, tail @ ..] = rest {
            let hex =
                tail.get(..2).and_then(|h| std::str::from_utf8(h).ok()).and_then(|h| u8::from_str_radix(h, 16).ok());
            match hex.filter(|_| *first == b'%') {
                Some(byte) => {
                    bytes.push(byte);
                    rest = &tail[2..];
                }
                None => {
                    bytes.push(*first);
                    rest = tail;
                }
            }
        }
        Ok(Value::from(String::from_utf8_lossy(&bytes).into_owned()))
    }),
];

/// `os.path.split`: the directory without its final slashes, and the rest.
fn split(path: &str) -> (&str, &str) {
    let at = path.rfind('/').map_or(0, |i| i + 1);
    let (head, tail) = path.split_at(at);
    let trimmed = head.trim_end_matches('/');
    (if trimmed.is_empty() { head } else { trimmed }, tail)
}

fn normal(path: &str) -> String {
    let out = source::normal(Path::new(path));
    // POSIX leaves the meaning of two slashes at the beginning open; Python keeps them.
    let double = path.starts_with("//") && !path.starts_with("///");
    format!("{}{}", if double { "/" } else { "" }, out.display())
}

fn relative(c: &mut Call) -> Result<Value, Error> {
    let absolute = |path: String| {
        let cwd = std::env::current_dir().unwrap_or_default();
        PathBuf::from(normal(&cwd.join(path).display().to_string()))
    };
    let (path, start) = (absolute(c.str(0)?), absolute(c.str_or(1, ".")?));
    let shared = path.components().zip(start.components()).take_while(|(a, b)| a == b).count();
    let up = start.components().skip(shared).map(|_| Component::ParentDir);
    let out: PathBuf = up.chain(path.components().skip(shared)).collect();
    Ok(Value::from(if out.as_os_str().is_empty() { ".".into() } else { out.display().to_string() }))
}

fn expand(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let (name, len) = match after.strip_prefix('{').and_then(|a| a.find('}')) {
            Some(end) => (&after[1..=end], end + 2),
            None => {
                let end = after.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(after.len());
                (&after[..end], end)
            }
        };
        match std::env::var(name) {
            Ok(value) if !name.is_empty() => out.push_str(&value),
            _ => out.push_str(&rest[at..=at + len]),
        }
        rest = &after[len..];
    }
    out + rest
}

fn urlsplit(c: &mut Call) -> Result<Value, Error> {
    let url: String = c.text(0)?.trim_start_matches(|c: char| c <= ' ').replace(['\n', '\r', '\t'], "");
    let (rest, fragment) = url.split_once('#').unwrap_or((&url, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let is_scheme = |s: &str| {
        s.starts_with(|c: char| c.is_ascii_alphabetic())
            && s.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    };
    let (scheme, rest) = rest.split_once(':').filter(|(s, _)| is_scheme(s)).unwrap_or(("", rest));
    let (netloc, path) = match rest.strip_prefix("//") {
        Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => ("", rest),
    };
    let (user, host) = netloc.rsplit_once('@').map_or((None, netloc), |(u, h)| (Some(u), h));
    let (username, password) =
        user.map_or((None, None), |u| u.split_once(':').map_or((Some(u), None), |(u, p)| (Some(u), Some(p))));
    let (hostname, port) = match host.strip_prefix('[').and_then(|h| h.split_once(']')) {
        Some((inside, port)) => (inside, port.strip_prefix(':').unwrap_or("")),
        None => host.split_once(':').unwrap_or((host, "")),
    };
    let text = |s: Option<&str>| s.filter(|s| !s.is_empty()).map_or_else(|| Value::from(()), Value::from);
    let parts = [
        ("fragment", Value::from(fragment)),
        ("hostname", text(Some(&hostname.to_lowercase()))),
        ("netloc", Value::from(netloc)),
        ("password", text(password)),
        ("path", Value::from(path)),
        (
            "port",
            if port.is_empty() {
                Value::from(())
            } else {
                port.parse::<u16>().map(Value::from).map_err(|_| bad_port(port))?
            },
        ),
        ("query", Value::from(query)),
        ("scheme", Value::from(scheme.to_lowercase())),
        ("username", text(username)),
    ];
    match c.option(1)? {
        None => Ok(mutable::dict(parts.map(|(k, v)| (Value::from(k), v)))),
        Some(wanted) => {
            let wanted = text::str(wanted)?;
            let found = parts.into_iter().find(|(k, _)| *k == wanted);
            found.map(|(_, v)| v).ok_or_else(|| fail(format!("unknown URL component: {wanted}")))
        }
    }
}

fn bad_port(port: &str) -> Error {
    fail(format!("Port could not be cast to integer value as '{port}'"))
}

fn urlencode(c: &mut Call) -> Result<Value, Error> {
    let encode = |text: &str, keep: &str| {
        text.bytes().fold(String::new(), |out, b| match b {
            b if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) || keep.as_bytes().contains(&b) => {
                out + &char::from(b).to_string()
            }
            b => out + &format!("%{b:02X}"),
        })
    };
    let value = c.value(0)?;
    let all = match value.kind() {
        ValueKind::Map => c.pairs(0)?,
        ValueKind::Seq | ValueKind::Iterable => methods::pair_list(value)?,
        _ => return Ok(Value::from(encode(&c.str(0)?, "/"))),
    };
    let query = |v: &Value| Ok::<_, Error>(encode(&text::str(v)?, " ").replace(' ', "+"));
    let all = all.iter().map(|(k, v)| Ok(format!("{}={}", query(k)?, query(v)?))).collect::<Result<Vec<_>, Error>>()?;
    Ok(Value::from(all.join("&")))
}

/// The longest directory that all paths have (`os.path.commonpath`).
fn common(c: &mut Call) -> Result<Value, Error> {
    let mut paths = Vec::new();
    for path in c.list(0)? {
        let kind = text::type_name(&path);
        paths.push(
            path.as_str().map(str::to_owned).ok_or_else(|| fail(format!("'commonpath' needs texts, not {kind}")))?,
        );
    }
    let Some(first) = paths.first() else { return Err(fail("commonpath() arg is an empty sequence")) };
    let root = first.starts_with('/');
    if paths.iter().any(|p| p.starts_with('/') != root) {
        return Err(fail("Can't mix absolute and relative paths"));
    }
    let parts = |p: &str| p.split('/').filter(|s| !s.is_empty() && *s != ".").map(str::to_owned).collect::<Vec<_>>();
    let mut shared = parts(first);
    for path in &paths[1..] {
        let same = shared.iter().zip(parts(path)).take_while(|(a, b)| *a == b).count();
        shared.truncate(same);
    }
    Ok(Value::from(format!("{}{}", if root { "/" } else { "" }, shared.join("/"))))
}

/// `ntpath.splitdrive`.
fn split_drive(path: &str) -> (&str, &str) {
    let slash = |c: char| c == '/' || c == '\\';
    if path.starts_with(slash) && path[1..].starts_with(slash) && !path[2..].starts_with(slash) {
        let share = path[2..].find(slash).map(|i| i + 2);
        let end = share.and_then(|i| path[i + 1..].find(slash).map(|j| (i + 1 + j, j)));
        return match (share, end) {
            (Some(_), Some((_, 0))) | (None, _) => ("", path),
            (Some(_), Some((at, _))) => path.split_at(at),
            (Some(_), None) => (path, ""),
        };
    }
    if path.chars().nth(1) == Some(':') { path.split_at(path.find(':').unwrap_or(0) + 1) } else { ("", path) }
}

/// `ntpath.split`.
fn split_windows(path: &str) -> (String, &str) {
    let (drive, rest) = split_drive(path);
    let slash = |c: char| c == '/' || c == '\\';
    let (head, tail) = rest.split_at(rest.rfind(slash).map_or(0, |i| i + 1));
    let trimmed = head.trim_end_matches(slash);
    (format!("{drive}{}", if trimmed.is_empty() { head } else { trimmed }), tail)
}
