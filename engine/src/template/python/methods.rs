//! The methods of Python's texts, lists and dictionaries.

use std::sync::Arc;

use minijinja::value::{Kwargs, Tuple, Value, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State};

use super::super::call::{fail, items, pairs};
use super::super::error::TemplateError;
use super::super::lazy::{Context, LazyList, LazyMap};
use super::mutable::{Dict, List};
use super::text;

/// Calls a method; [`ErrorKind::UnknownMethod`] if the type has none of that name.
pub(crate) fn call(_: &mut State, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    let (args, kwargs): (&[Value], Kwargs) = from_args(args)?;
    let args = Args { method, args, kwargs };
    match value.kind() {
        ValueKind::String => string(value.as_str().unwrap_or_default(), &args),
        ValueKind::Map => dict(value, &args),
        ValueKind::Seq | ValueKind::Iterable => list(value, &args),
        ValueKind::Number => number(value, &args),
        _ => Err(ErrorKind::UnknownMethod.into()),
    }
}

/// Ends the evaluation with an error that has its place; what is returned only unwinds minijinja.
pub(crate) fn pass_on(ctx: &Arc<Context>, error: TemplateError) -> Error {
    ctx.scope.fail(error);
    fail("a nested template cannot be rendered")
}

struct Args<'a> {
    method: &'a str,
    args: &'a [Value],
    kwargs: Kwargs,
}

impl Args<'_> {
    fn opt(&self, i: usize, name: &str) -> Option<Value> {
        let named = || self.kwargs.get::<Option<Value>>(name).ok().flatten();
        self.args.get(i).cloned().or_else(named).filter(|v| !v.is_none())
    }

    fn get(&self, i: usize, name: &str) -> Result<Value, Error> {
        self.args
            .get(i)
            .cloned()
            .or_else(|| self.opt(i, name))
            .ok_or_else(|| fail(format!("'{}()' needs one more argument", self.method)))
    }

    fn str(&self, i: usize, name: &str) -> Result<String, Error> {
        let value = self.get(i, name)?;
        let kind = text::type_name(&value);
        value.as_str().map(str::to_owned).ok_or_else(|| fail(format!("'{}()' needs a text, not {kind}", self.method)))
    }

    fn size(&self, i: usize, name: &str) -> Result<usize, Error> {
        self.get(i, name)?.as_usize().ok_or_else(|| fail(format!("'{}()' needs a whole number", self.method)))
    }

    fn count(&self, i: usize, name: &str) -> usize {
        self.opt(i, name).and_then(|v| v.as_usize()).unwrap_or(usize::MAX)
    }

    /// The fill character of `ljust` and its like.
    fn fill(&self) -> String {
        self.opt(1, "fillchar").and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_else(|| " ".into())
    }
}

fn number(value: &Value, a: &Args) -> Result<Value, Error> {
    match (a.method, i128::try_from(value.clone()), f64::try_from(value.clone())) {
        ("bit_length", Ok(n), _) if value.is_integer() => Ok(Value::from(128 - n.unsigned_abs().leading_zeros())),
        ("is_integer", _, Ok(f)) if !value.is_integer() => Ok(Value::from(f.fract() == 0.0)),
        _ => Err(ErrorKind::UnknownMethod.into()),
    }
}

fn string(s: &str, a: &Args) -> Result<Value, Error> {
    let trim_set = a.opt(0, "chars").and_then(|v| v.as_str().map(str::to_owned));
    let in_set = |c: char| trim_set.as_ref().map_or_else(|| c.is_whitespace(), |set| set.contains(c));
    Ok(match a.method {
        "upper" => s.to_uppercase().into(),
        "lower" | "casefold" => s.to_lowercase().into(),
        "title" => title(s).into(),
        "capitalize" => capitalize(s).into(),
        "swapcase" => s.chars().flat_map(swap).collect::<String>().into(),
        "strip" => s.trim_matches(in_set).into(),
        "lstrip" => s.trim_start_matches(in_set).into(),
        "rstrip" => s.trim_end_matches(in_set).into(),
        "removeprefix" => s.strip_prefix(a.str(0, "prefix")?.as_str()).unwrap_or(s).into(),
        "removesuffix" => s.strip_suffix(a.str(0, "suffix")?.as_str()).unwrap_or(s).into(),
        "startswith" => {
            let (from, to) = bounds(s, a);
            any_of(&a.get(0, "prefix")?, |p| s[from..to].starts_with(p))?
        }
        "endswith" => {
            let (from, to) = bounds(s, a);
            any_of(&a.get(0, "suffix")?, |p| s[from..to].ends_with(p))?
        }
        "split" => split(s, a.opt(0, "sep").as_ref().and_then(Value::as_str), a.count(1, "maxsplit"))?,
        "rsplit" => rsplit(s, a.opt(0, "sep").as_ref().and_then(Value::as_str), a.count(1, "maxsplit")),
        "splitlines" if a.opt(0, "keepends").is_some_and(|v| v.is_true()) => {
            super::mutable::list(s.split_inclusive('\n').map(Value::from).collect())
        }
        "splitlines" => super::mutable::list(s.lines().map(Value::from).collect()),
        "partition" => partition(s, s.find(a.str(0, "sep")?.as_str()), a.str(0, "sep")?.len(), true),
        "rpartition" => partition(s, s.rfind(a.str(0, "sep")?.as_str()), a.str(0, "sep")?.len(), false),
        "replace" => s.replacen(&a.str(0, "old")?, &a.str(1, "new")?, a.count(2, "count")).into(),
        "join" => join(s, &a.get(0, "iterable")?)?,
        "find" | "index" | "rfind" | "rindex" | "count" => return search(s, a),
        "ljust" | "rjust" | "center" => justify(s, a)?.into(),
        "zfill" => zfill(s, a.size(0, "width")?).into(),
        "expandtabs" => {
            s.replace('\t', &" ".repeat(a.opt(0, "tabsize").and_then(|v| v.as_usize()).unwrap_or(8))).into()
        }
        name if name.starts_with("is") => return is(s, name),
        "translate" => translate(s, &a.get(0, "table")?)?.into(),
        "format" => super::format::format(s, a.args, &a.kwargs)?.into(),
        "format_map" => {
            let named: Kwargs = pairs(&a.get(0, "mapping")?)?.into_iter().map(|(k, v)| (k.to_string(), v)).collect();
            super::format::format(s, &[], &named)?.into()
        }
        "encode" | "decode" => s.into(),
        _ => return Err(ErrorKind::UnknownMethod.into()),
    })
}

/// The methods that tell what letters a text has.
fn is(s: &str, name: &str) -> Result<Value, Error> {
    let all = |test: fn(char) -> bool| Value::from(!s.is_empty() && s.chars().all(test));
    Ok(match name {
        "isnumeric" => all(char::is_numeric),
        "isdigit" => all(|c| c.is_ascii_digit() || c.is_numeric() && !c.is_alphabetic() && !"½¼¾⅓⅔".contains(c)),
        "isdecimal" => all(|c| c.is_ascii_digit() || c.is_numeric() && !c.is_alphabetic() && !"½¼¾⅓⅔²³¹".contains(c)),
        "isascii" => s.is_ascii().into(),
        "isprintable" => s.chars().all(|c| !c.is_control() && (c == ' ' || !c.is_whitespace())).into(),
        "isidentifier" => {
            let name = |c: char| c == '_' || c.is_alphanumeric();
            (s.chars().all(name) && s.starts_with(|c: char| name(c) && !c.is_numeric())).into()
        }
        "istitle" => (s.chars().any(char::is_alphabetic) && title(s) == s).into(),
        "isalpha" => all(char::is_alphabetic),
        "isalnum" => all(char::is_alphanumeric),
        "isspace" => all(char::is_whitespace),
        "isupper" => Value::from(s.chars().any(char::is_uppercase) && !s.chars().any(char::is_lowercase)),
        "islower" => Value::from(s.chars().any(char::is_lowercase) && !s.chars().any(char::is_uppercase)),
        _ => return Err(ErrorKind::UnknownMethod.into()),
    })
}

/// The bytes between the positions that `find` and its like may be given.
fn bounds(s: &str, a: &Args) -> (usize, usize) {
    let len = i64::try_from(s.chars().count()).unwrap_or(i64::MAX);
    let byte = |n: i64| {
        let n = usize::try_from(if n < 0 { (n + len).max(0) } else { n }).unwrap_or(0);
        s.char_indices().nth(n).map_or(s.len(), |(i, _)| i)
    };
    let from = a.opt(1, "start").and_then(|v| v.as_i64()).map_or(0, byte);
    let to = a.opt(2, "end").and_then(|v| v.as_i64()).map_or(s.len(), byte);
    (from, to.max(from))
}

fn search(s: &str, a: &Args) -> Result<Value, Error> {
    let (from, to) = bounds(s, a);
    let (part, sub) = (&s[from..to], a.str(0, "sub")?);
    if a.method == "count" {
        return Ok(part.matches(&sub).count().into());
    }
    let found = if a.method.starts_with('r') { part.rfind(&sub) } else { part.find(&sub) };
    if found.is_none() && a.method.ends_with("index") {
        return Err(fail("substring not found"));
    }
    Ok(at(s, found.map(|i| i + from)).into())
}

fn translate(s: &str, table: &Value) -> Result<String, Error> {
    let mut out = String::new();
    for c in s.chars() {
        let found = text::item(table, &Value::from(c as u32))?;
        match (found.is_undefined(), found.is_none(), found.as_i64()) {
            (true, ..) => out.push(c),
            (_, true, _) => {}
            (_, _, Some(code)) => out.extend(u32::try_from(code).ok().and_then(char::from_u32)),
            _ => out.push_str(&text::str(&found)?),
        }
    }
    Ok(out)
}

fn swap(c: char) -> Vec<char> {
    if c.is_uppercase() { c.to_lowercase().collect() } else { c.to_uppercase().collect() }
}

/// `str.title()`: a letter is a capital unless another letter precedes it.
pub(crate) fn title(s: &str) -> String {
    let mut inside = false;
    let mut out = String::with_capacity(s.len());
    for c in s.chars() {
        if inside {
            out.extend(c.to_lowercase())
        } else {
            out.extend(c.to_uppercase())
        }
        inside = c.is_alphabetic();
    }
    out
}

/// `str.capitalize()`.
pub(crate) fn capitalize(s: &str) -> String {
    let mut chars = s.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().chain(chars.as_str().to_lowercase().chars()).collect())
}

fn any_of(pattern: &Value, test: impl Fn(&str) -> bool) -> Result<Value, Error> {
    if let Some(pattern) = pattern.as_str() {
        return Ok(Value::from(test(pattern)));
    }
    if !pattern.is_tuple() {
        return Err(fail(format!("first arg must be str or a tuple of str, not {}", text::type_name(pattern))));
    }
    Ok(Value::from(items(pattern)??.iter().any(|p| p.as_str().is_some_and(&test))))
}

/// `str.split()`; without a separator at runs of whitespace.
pub(crate) fn split(s: &str, sep: Option<&str>, max: usize) -> Result<Value, Error> {
    match sep {
        Some("") => Err(fail("empty separator")),
        Some(sep) => Ok(s.splitn(max.saturating_add(1), sep).map(Value::from).collect()),
        None => {
            let (mut out, mut rest) = (Vec::new(), s.trim_start());
            while !rest.is_empty() && out.len() < max {
                let (word, tail) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
                out.push(Value::from(word));
                rest = tail.trim_start();
            }
            if !rest.is_empty() {
                out.push(Value::from(rest));
            }
            Ok(super::mutable::list(out))
        }
    }
}

fn rsplit(s: &str, sep: Option<&str>, max: usize) -> Value {
    let mut parts: Vec<Value> = match sep {
        Some(sep) => s.rsplitn(max.saturating_add(1), sep).map(Value::from).collect(),
        None => {
            let (mut out, mut rest) = (Vec::new(), s.trim_end());
            while !rest.is_empty() && out.len() < max {
                let (head, word) = rest.rsplit_once(char::is_whitespace).unwrap_or(("", rest));
                out.push(Value::from(word));
                rest = head.trim_end();
            }
            if !rest.is_empty() {
                out.push(Value::from(rest));
            }
            out
        }
    };
    parts.reverse();
    Value::from(parts)
}

fn partition(s: &str, found: Option<usize>, len: usize, first: bool) -> Value {
    let parts = match (found, first) {
        (Some(i), _) => [&s[..i], &s[i..i + len], &s[i + len..]],
        (None, true) => [s, "", ""],
        (None, false) => ["", "", s],
    };
    Value::from(Tuple::from(parts.map(Value::from)))
}

fn join(sep: &str, parts: &Value) -> Result<Value, Error> {
    let mut out = String::new();
    for (i, part) in items(parts)??.iter().enumerate() {
        let kind = text::type_name(part);
        out.push_str(if i == 0 { "" } else { sep });
        out.push_str(
            part.as_str().ok_or_else(|| fail(format!("sequence item {i}: expected str instance, {kind} found")))?,
        );
    }
    Ok(Value::from(out))
}

/// A byte position as Python counts: in characters, -1 for none.
fn at(s: &str, found: Option<usize>) -> i64 {
    found.map_or(-1, |i| i64::try_from(s[..i].chars().count()).unwrap_or(i64::MAX))
}

fn justify(s: &str, a: &Args) -> Result<String, Error> {
    let missing = a.size(0, "width")?.saturating_sub(s.chars().count());
    let fill = |n: usize| a.fill().repeat(n);
    Ok(match a.method {
        "ljust" => format!("{s}{}", fill(missing)),
        "rjust" => format!("{}{s}", fill(missing)),
        // Where the halves differ, the left one is longer if the width is odd.
        _ => {
            let left = missing / 2 + (missing & a.size(0, "width")? & 1);
            format!("{}{s}{}", fill(left), fill(missing - left))
        }
    })
}

fn zfill(s: &str, width: usize) -> String {
    let (sign, digits) = s.split_at(usize::from(s.starts_with(['-', '+'])));
    format!("{sign}{}{digits}", "0".repeat(width.saturating_sub(s.chars().count())))
}

fn dict(value: &Value, a: &Args) -> Result<Value, Error> {
    let found = |key: &Value| value.as_object().and_then(|o| o.get_value(key));
    match a.method {
        "keys" => return Ok(pairs_keys(value)?.into()),
        "values" => return Ok(pairs(value)?.into_iter().map(|(_, v)| v).collect()),
        "items" => return Ok(pairs(value)?.into_iter().map(|(k, v)| Value::from(Tuple::from([k, v]))).collect()),
        "get" => {
            return Ok(found(&a.get(0, "key")?).unwrap_or_else(|| a.opt(1, "default").unwrap_or_else(|| ().into())));
        }
        "copy" => return Ok(super::mutable::dict(pairs(value)?)),
        _ => {}
    }
    if !matches!(a.method, "update" | "pop" | "setdefault" | "clear" | "popitem") {
        return Err(ErrorKind::UnknownMethod.into());
    }
    let editable = value.downcast_object::<Dict>();
    let editable = editable.or_else(|| value.downcast_object::<LazyMap>().map(|m| m.edit()));
    let editable = editable.ok_or_else(|| fail("only a dictionary that the template made can be changed"))?;
    let more = if a.method == "update" { updates(a)? } else { Vec::new() };
    let mut map = editable.lock();
    Ok(match a.method {
        "update" => {
            map.extend(more);
            ().into()
        }
        "pop" => match (map.shift_remove(&a.get(0, "key")?), a.args.get(1)) {
            (Some(found), _) => found,
            (None, Some(default)) => default.clone(),
            (None, None) => return Err(fail(format!("KeyError: {}", text::repr(&a.get(0, "key")?)?))),
        },
        "setdefault" => map.entry(a.get(0, "key")?).or_insert(a.opt(1, "default").unwrap_or_else(|| ().into())).clone(),
        "clear" => {
            map.clear();
            ().into()
        }
        _ => map.pop().map(|(k, v)| Value::from(Tuple::from([k, v]))).ok_or_else(|| fail("dictionary is empty"))?,
    })
}

fn pairs_keys(value: &Value) -> Result<Vec<Value>, Error> {
    value.try_iter()?.checked().collect()
}

fn updates(a: &Args) -> Result<Vec<(Value, Value)>, Error> {
    let mut more = match a.args.first() {
        Some(map) if map.kind() == ValueKind::Map => pairs(map)?,
        Some(list) => pair_list(list)?,
        None => Vec::new(),
    };
    for key in a.kwargs.args() {
        more.push((Value::from(key), a.kwargs.get(key)?));
    }
    Ok(more)
}

/// A list of pairs as pairs.
pub(crate) fn pair_list(list: &Value) -> Result<Vec<(Value, Value)>, Error> {
    items(list)??
        .iter()
        .map(|pair| match <[Value; 2]>::try_from(items(pair)??) {
            Ok([key, value]) => Ok((key, value)),
            Err(_) => Err(fail("a list of pairs is needed")),
        })
        .collect()
}

fn list(value: &Value, a: &Args) -> Result<Value, Error> {
    let position = |item: &Value| -> Result<Option<usize>, Error> { Ok(items(value)??.iter().position(|v| v == item)) };
    match a.method {
        "index" => {
            let from = a.opt(1, "start").and_then(|v| v.as_usize()).unwrap_or(0);
            let wanted = a.get(0, "value")?;
            let found = items(value)??.iter().enumerate().skip(from).find(|(_, v)| **v == wanted).map(|(i, _)| i);
            return found.map(Value::from).ok_or_else(|| {
                let shown = super::text::repr(&wanted).unwrap_or_default();
                fail(format!("{shown} is not in list"))
            });
        }
        "count" => {
            let wanted = a.get(0, "value")?;
            return Ok(items(value)??.iter().filter(|v| **v == wanted).count().into());
        }
        "copy" => return Ok(super::mutable::list(items(value)??)),
        _ => {}
    }
    if !matches!(a.method, "append" | "extend" | "insert" | "pop" | "remove" | "sort" | "reverse" | "clear") {
        return Err(ErrorKind::UnknownMethod.into());
    }
    let editable = value.downcast_object::<List>();
    let editable = editable.or_else(|| value.downcast_object::<LazyList>().map(|l| l.edit()));
    let editable =
        editable.ok_or_else(|| fail("only a list that the template made can be changed: '| list' makes one"))?;
    let found = if a.method == "remove" { position(&a.get(0, "value")?)? } else { None };
    let more = if a.method == "extend" { items(&a.get(0, "iterable")?)?? } else { Vec::new() };
    let mut list = editable.lock();
    match a.method {
        "append" => list.push(a.get(0, "object")?),
        "extend" => list.extend(more),
        "insert" => {
            let at = a.size(0, "index")?.min(list.len());
            list.insert(at, a.get(1, "object")?);
        }
        "pop" => {
            let last = list.len().checked_sub(1).ok_or_else(|| fail("pop from empty list"))?;
            let at = a
                .opt(0, "index")
                .and_then(|v| v.as_i64())
                .map_or(Some(last), |i| usize::try_from(if i < 0 { i + list.len() as i64 } else { i }).ok());
            return at.filter(|i| *i <= last).map(|i| list.remove(i)).ok_or_else(|| fail("pop index out of range"));
        }
        "remove" => drop(list.remove(found.ok_or_else(|| fail("the value is not in the list"))?)),
        "sort" => list.sort(),
        "reverse" => list.reverse(),
        _ => list.clear(),
    }
    Ok(().into())
}
