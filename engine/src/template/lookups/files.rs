//! Lookups of files on the controller.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use minijinja::Error;
use minijinja::value::{Value, ValueKind};

use super::super::about::about;
use super::super::call::{fail, fail_told, items};
use super::super::delimiters::Delimiters;
use super::super::environment::Whitespace;
use super::super::lazy::Context;
use super::super::python::{methods, text};
use super::{Lookup, Terms};
use crate::source::{Source, Span};
use crate::vault;

pub(super) static ALL: &[Lookup] = &[
    Lookup { name: "file", doc: "The content of files.", options: &["lstrip", "rstrip"], run: file },
    Lookup {
        name: "unvault",
        doc: "The content of files as it is; of those that are sealed, what is in them.",
        options: &[],
        run: unvault,
    },
    Lookup {
        name: "template",
        doc: "Rendered template files.",
        options: &[
            "template_vars",
            "trim_blocks",
            "lstrip_blocks",
            "convert_data",
            "jinja2_native",
            "variable_start_string",
            "variable_end_string",
            "comment_start_string",
            "comment_end_string",
        ],
        run: template,
    },
    Lookup { name: "fileglob", doc: "Files that match a pattern.", options: &[], run: fileglob },
    Lookup {
        name: "first_found",
        doc: "The first of several files that exists.",
        options: &["files", "paths", "skip", "_subdir"],
        run: first_found,
    },
    Lookup {
        name: "ini",
        doc: "A value in an INI file.",
        options: &["file", "section", "default", "type", "re", "allow_no_value", "encoding", "case_sensitive"],
        run: ini,
    },
    Lookup {
        name: "csvfile",
        doc: "A field in a CSV file.",
        options: &["file", "delimiter", "col", "default", "keycol", "encoding"],
        run: csv,
    },
];

/// The directories that relative paths are looked up in, best first.
fn directories(ctx: &Arc<Context>) -> Result<Vec<PathBuf>, Error> {
    let mut out = Vec::new();
    if let Some(search) = ctx.variable("ansible_search_path") {
        for dir in items(&search)?? {
            out.push(PathBuf::from(text::str(&dir)?));
        }
    }
    for name in ["role_path", "playbook_dir"] {
        if let Some(dir) = ctx.variable(name) {
            out.push(PathBuf::from(text::str(&dir)?));
        }
    }
    out.push(ctx.scope.engine.basedir.clone());
    Ok(out)
}

/// Finds a file, below `kind` (`files`, `templates`) first.
fn find(ctx: &Arc<Context>, kind: &str, name: &str) -> Result<Option<PathBuf>, Error> {
    let name = match name.strip_prefix("~/") {
        Some(rest) => Path::new(&std::env::var("HOME").unwrap_or_default()).join(rest),
        None => PathBuf::from(name),
    };
    // What is in a role's `tasks` is looked for in the role, too.
    let above = |dir: &PathBuf| {
        let in_role = dir.ends_with("tasks").then(|| dir.parent()).flatten();
        in_role.map(|role| role.join(kind).join(&name))
    };
    let places = directories(ctx)?
        .into_iter()
        .flat_map(|dir| above(&dir).into_iter().chain([dir.join(kind).join(&name), dir.join(&name)]));
    Ok(places.into_iter().find(|path| path.exists()))
}

fn need(ctx: &Arc<Context>, kind: &str, name: &str) -> Result<PathBuf, Error> {
    find(ctx, kind, name)?.ok_or_else(|| {
        let dirs = directories(ctx).unwrap_or_default();
        let dirs: Vec<_> = dirs.iter().map(|d| d.display().to_string()).collect();
        let theirs = match kind {
            "templates" => format!("the template file {name} could not be found for the lookup"),
            _ => format!("Unable to access the file '{name}': File not found. Use -vvvvv to see paths searched."),
        };
        fail_told(format!("there is no file '{name}' in {}", dirs.join(", ")), theirs)
    })
}

/// A file's content; of one that is sealed, what is in it.
fn read(ctx: &Arc<Context>, path: &Path) -> Result<String, Error> {
    let content = read_as(path, "utf-8")?;
    if !vault::is_vault(&content) {
        return Ok(content);
    }
    let name = format!("file `{}`", path.display());
    let opened = vault::decrypt_text(&content, &ctx.scope.engine.vault, &name).map_err(|e| fail(e.to_string()))?;
    ctx.scope.taint();
    Ok(opened.expose().to_owned())
}

/// A file's text as it is, in UTF-8 or one of the encodings in which each byte is a letter.
fn read_as(path: &Path, encoding: &str) -> Result<String, Error> {
    let wrong = |why: String| fail(format!("cannot read {}: {why}", path.display()));
    let bytes = std::fs::read(path).map_err(|e| wrong(e.to_string()))?;
    let name: String = encoding.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    let letters = |other: &dyn Fn(u8) -> char| bytes.iter().map(|byte| other(*byte)).collect();
    match name.as_str() {
        "utf8" | "ascii" | "usascii" => String::from_utf8(bytes).map_err(|_| wrong("it is not text in UTF-8".into())),
        "latin1" | "iso88591" => Ok(letters(&char::from)),
        "iso885915" | "latin9" => Ok(letters(&latin9)),
        _ => Err(wrong(format!("the encoding {encoding} is not known here"))),
    }
}

/// ISO 8859-15 has eight letters that ISO 8859-1, and so the beginning of Unicode, has not.
fn latin9(byte: u8) -> char {
    match byte {
        0xa4 => '€',
        0xa6 => 'Š',
        0xa8 => 'š',
        0xb4 => 'Ž',
        0xb8 => 'ž',
        0xbc => 'Œ',
        0xbd => 'œ',
        0xbe => 'Ÿ',
        other => other.into(),
    }
}

fn unvault(t: &mut Terms) -> Result<Vec<Value>, Error> {
    let ctx = Context::of(t.call.state)?;
    let mut out = Vec::new();
    for name in t.texts()? {
        out.push(Value::from(read(&ctx, &need(&ctx, "files", &name)?)?));
    }
    Ok(out)
}

fn file(t: &mut Terms) -> Result<Vec<Value>, Error> {
    let ctx = Context::of(t.call.state)?;
    let (left, right) = (t.option("lstrip").is_some_and(Value::is_true), t.option("rstrip").is_none_or(Value::is_true));
    let mut out = Vec::new();
    for name in t.texts()? {
        let content = read(&ctx, &need(&ctx, "files", &name)?)?;
        let content = if right { content.trim_end() } else { &content };
        out.push(Value::from(if left { content.trim_start() } else { content }));
    }
    Ok(out)
}

fn template(t: &mut Terms) -> Result<Vec<Value>, Error> {
    let ctx = Context::of(t.call.state)?;
    let ctx = match t.option("template_vars").filter(|given| given.is_true()) {
        None => ctx,
        Some(given) => ctx.overlaid(given)?,
    };
    let switch = |name: &str, default| t.option(name).map_or(default, Value::is_true);
    let whitespace =
        Whitespace::File { trim_blocks: switch("trim_blocks", true), lstrip_blocks: switch("lstrip_blocks", false) };
    let mut delimiters = Delimiters::default();
    for name in Delimiters::names().filter(|name| t.option(name).is_some()) {
        delimiters.set(name, &t.option_str(name, "")?);
    }
    let mut out = Vec::new();
    for name in t.texts()? {
        let path = need(&ctx, "templates", &name)?;
        let content = delimiters.translate(&read(&ctx, &path)?);
        let ctx = ctx.over(about(&ctx.vars, &ctx.scope.engine.managed, &path, &name, None))?;
        let source = Arc::new(Source { path, text: content.clone() });
        let rendered = ctx.scope.engine.file(&content, whitespace, &Span::new(&source, 0, content.len()), &ctx);
        let rendered = rendered.map_err(|e| methods::pass_on(&ctx, e))?;
        // A template that writes nothing at all comes to nothing, and one that writes an empty text to that.
        let writes = content.contains("{{");
        out.push(if rendered.is_empty() && !writes { Value::from(()) } else { Value::from(rendered) });
    }
    Ok(out)
}

fn fileglob(t: &mut Terms) -> Result<Vec<Value>, Error> {
    let ctx = Context::of(t.call.state)?;
    let mut out = Vec::new();
    for pattern in t.texts()? {
        let path = Path::new(&pattern);
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let parent = path.parent().unwrap_or(Path::new(""));
        let places = directories(&ctx)?.into_iter().flat_map(|dir| [dir.join("files").join(parent), dir.join(parent)]);
        let fits = |p: &PathBuf| p.file_name().is_some_and(|n| wildcard(&name, &n.to_string_lossy()));
        for dir in places.filter(|dir| dir.is_dir()) {
            let entries = std::fs::read_dir(&dir).map_err(|e| fail(format!("cannot list {}: {e}", dir.display())))?;
            let files = entries.filter_map(Result::ok).map(|e| e.path()).filter(|p| p.is_file());
            let mut found: Vec<_> = files.filter(fits).map(|p| p.display().to_string()).collect();
            found.sort();
            // A directory that is named is the one; else each is looked through until files fit.
            let ends = !found.is_empty() || !parent.as_os_str().is_empty();
            out.extend(found.into_iter().map(Value::from));
            if ends {
                break;
            }
        }
    }
    Ok(out)
}

/// The files that fit a pattern, whose directories may hold wildcards, too; in no order in Python, sorted here.
pub(crate) fn glob(pattern: &str) -> Result<Vec<String>, Error> {
    let (root, rest) = pattern.strip_prefix('/').map_or(("", pattern), |rest| ("/", rest));
    let mut found = vec![PathBuf::from(root)];
    for part in rest.split('/').filter(|p| !p.is_empty()) {
        let mut next = Vec::new();
        for dir in &found {
            if !part.contains(['*', '?', '[']) {
                next.extend(Some(dir.join(part)).filter(|p| p.exists()));
                continue;
            }
            let here = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
            let Ok(entries) = std::fs::read_dir(here) else { continue };
            let names = entries.filter_map(Result::ok).map(|e| e.file_name().to_string_lossy().into_owned());
            let fits = |n: &String| wildcard(part, n) && (part.starts_with('.') || !n.starts_with('.'));
            next.extend(names.filter(fits).map(|n| dir.join(n)));
        }
        found = next;
    }
    let mut files: Vec<String> = found.iter().filter(|p| p.is_file()).map(|p| p.display().to_string()).collect();
    files.sort();
    Ok(files)
}

/// Whether a name fits a pattern of `*`, `?` and other letters.
fn wildcard(pattern: &str, name: &str) -> bool {
    match pattern.chars().next() {
        None => name.is_empty(),
        Some('*') => {
            let rest = &pattern[1..];
            (0..=name.len()).filter(|i| name.is_char_boundary(*i)).any(|i| wildcard(rest, &name[i..]))
        }
        Some(first) => {
            let mut chars = name.chars();
            chars.next().is_some_and(|c| first == '?' || first == c)
                && wildcard(&pattern[first.len_utf8()..], chars.as_str())
        }
    }
}

/// Files are given as terms, or as dictionaries with `files` and `paths`.
fn first_found(t: &mut Terms) -> Result<Vec<Value>, Error> {
    let ctx = Context::of(t.call.state)?;
    let list = |value: Value| -> Result<Vec<String>, Error> {
        if value.is_undefined() || value.is_none() {
            return Ok(Vec::new());
        }
        match value.as_str() {
            Some(one) => Ok(one.split([',', ';']).map(|s| s.trim().to_owned()).collect()),
            None => items(&value)??.iter().map(text::str).collect(),
        }
    };
    let mut skip = t.option("skip").is_some_and(Value::is_true);
    let mut candidates = Vec::new();
    let mut add = |files: Vec<String>, paths: &[String]| {
        for file in files {
            if paths.is_empty() {
                candidates.push(file.clone());
            }
            candidates.extend(paths.iter().map(|p| format!("{p}/{file}")));
        }
    };
    let option = |name: &str| t.option(name).cloned().map_or_else(|| Ok(Vec::new()), &list);
    let paths = option("paths")?;
    add(option("files")?, &paths);
    let mut terms = Vec::new();
    for term in &t.terms {
        if term.kind() == ValueKind::Seq { terms.extend(items(term)??) } else { terms.push(term.clone()) }
    }
    for term in terms {
        if term.kind() == ValueKind::Map {
            let own = |name: &str| text::item(&term, &Value::from(name)).and_then(&list);
            let skips = text::item(&term, &Value::from("skip"))?;
            skip |= !skips.is_undefined() && skips.is_true();
            add(own("files")?, &own("paths")?);
        } else {
            add(list(term)?, &paths);
        }
    }
    // In `with_first_found` the task says in which directory of a role files of its kind are; else it is none of them.
    let folder = t.option_str("_subdir", "")?;
    for name in &candidates {
        if let Some(path) = find(&ctx, &folder, name)? {
            return Ok(vec![Value::from(path.display().to_string())]);
        }
    }
    if skip {
        return Ok(Vec::new());
    }
    let ours = format!("none of these files exists: {}", candidates.join(", "));
    Err(fail_told(ours, "No file was found when using first_found."))
}

fn ini(t: &mut Terms) -> Result<Vec<Value>, Error> {
    if t.option("re").is_some_and(Value::is_true) {
        return Err(fail("the option 're' of the lookup 'ini' is not supported"));
    }
    options_of_terms(t, &["file", "section", "type", "default", "encoding"])?;
    let ctx = Context::of(t.call.state)?;
    let properties = t.option_str("type", "ini")? == "properties";
    let path = need(&ctx, "files", &t.option_str("file", "ansible.ini")?)?;
    let content = read_as(&path, &t.option_str("encoding", "utf-8")?)?;
    let wanted_section = t.option_str("section", if properties { "" } else { "global" })?;
    let mut section = String::new();
    let mut entries = Vec::new();
    for line in content.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with(['#', ';'])) {
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            name.clone_into(&mut section);
        } else if let Some((key, value)) = line.split_once(['=', ':']).filter(|_| section == wanted_section) {
            entries.push((key.trim().to_lowercase(), value.trim().to_owned()));
        }
    }
    let default = t.option("default").cloned().unwrap_or_else(|| Value::from(""));
    let read = |key: &String| {
        let found = entries.iter().rev().find(|(k, _)| *k == key.to_lowercase());
        found.map_or_else(|| default.clone(), |(_, v)| Value::from(v.as_str()))
    };
    Ok(t.texts()?.iter().map(read).collect())
}

/// The old form: `key file=a.csv delimiter=,`. Options among the terms become options.
fn options_of_terms(t: &mut Terms, known: &[&'static str]) -> Result<(), Error> {
    let mut terms = Vec::new();
    for term in t.texts()? {
        let mut key = Vec::new();
        for word in term.split_whitespace() {
            match word.split_once('=').and_then(|(name, value)| Some((known.iter().find(|one| **one == name)?, value)))
            {
                Some((name, value)) => t.call.named.push(((*name).into(), Value::from(value))),
                None => key.push(word),
            }
        }
        // Without options, it is as it is written, blanks and all.
        terms.push(Value::from(if key.len() == term.split_whitespace().count() { term } else { key.join(" ") }));
    }
    t.terms = terms;
    Ok(())
}

fn csv(t: &mut Terms) -> Result<Vec<Value>, Error> {
    options_of_terms(t, &["file", "delimiter", "col", "keycol", "default", "encoding"])?;
    let ctx = Context::of(t.call.state)?;
    let path = need(&ctx, "files", &t.option_str("file", "ansible.csv")?)?;
    let content = read_as(&path, &t.option_str("encoding", "utf-8")?)?;
    let delimiter = match t.option_str("delimiter", "TAB")?.as_str() {
        "TAB" | "\\t" | "t" => '\t',
        other => other.chars().next().unwrap_or('\t'),
    };
    let column = |name: &str, default: &str| {
        let given = t.option_str(name, default)?;
        given.parse::<usize>().map_err(|_| fail(format!("'{name}' is the number of a column, not '{given}'")))
    };
    let (key, col) = (column("keycol", "0")?, column("col", "1")?);
    let rows: Vec<Vec<String>> = content.lines().map(|line| fields(line, delimiter)).collect();
    let default = t.option("default").cloned();
    let find = |wanted: &String| rows.iter().find(|row| row.get(key) == Some(wanted)).and_then(|row| row.get(col));
    Ok(t.texts()?.iter().filter_map(|wanted| find(wanted).map(Value::from).or_else(|| default.clone())).collect())
}

/// The fields of a line; quotes hold delimiters, doubled quotes are quotes (RFC 4180).
fn fields(line: &str, delimiter: char) -> Vec<String> {
    let (mut out, mut quoted, mut chars) = (vec![String::new()], false, line.chars().peekable());
    while let Some(c) = chars.next() {
        let field = out.last_mut().expect("starts with one field");
        match c {
            '"' if quoted && chars.next_if_eq(&'"').is_some() => field.push('"'),
            '"' => quoted = !quoted,
            c if c == delimiter && !quoted => out.push(String::new()),
            c => field.push(c),
        }
    }
    out
}
