//! Lookups that rearrange what they are given: the former `with_…` loops.

use minijinja::Error;
use minijinja::value::{Tuple, Value, ValueKind};

use super::super::call::{fail, items, pairs};
use super::super::filters;
use super::super::python::{mutable, text};
use super::{Lookup, Terms};

pub(super) static ALL: &[Lookup] = &[
    Lookup { name: "items", doc: "The terms, lists in them spread.", options: &[], run: |t| spread(&t.terms) },
    Lookup { name: "list", doc: "The terms.", options: &[], run: |t| Ok(t.terms.clone()) },
    Lookup { name: "flattened", doc: "The items of lists in lists.", options: &[], run: |t| flatten(&t.terms) },
    Lookup { name: "dict", doc: "Keys and values of dictionaries.", options: &[], run: dict },
    Lookup {
        name: "sequence",
        doc: "Numbers in a row.",
        options: &["start", "end", "count", "stride", "format"],
        run: sequence,
    },
    Lookup {
        name: "nested",
        doc: "All combinations of items.",
        options: &[],
        run: |t| {
            let lists = t.terms.iter().map(|term| spread(std::slice::from_ref(term))).collect::<Result<Vec<_>, _>>()?;
            Ok(filters::combine(&lists).into_iter().map(Value::from).collect())
        },
    },
    Lookup {
        name: "cartesian",
        doc: "All combinations of items.",
        options: &[],
        run: |t| {
            let lists = t.terms.iter().map(|term| spread(std::slice::from_ref(term))).collect::<Result<Vec<_>, _>>()?;
            Ok(filters::combine(&lists).into_iter().map(Value::from).collect())
        },
    },
    Lookup { name: "together", doc: "Lists side by side.", options: &[], run: together },
    Lookup {
        name: "indexed_items",
        doc: "Items with their numbers.",
        options: &[],
        run: |t| {
            let pair = |(i, v)| Value::from(Tuple::from([Value::from(i), v]));
            Ok(spread(&t.terms)?.into_iter().enumerate().map(pair).collect())
        },
    },
    Lookup { name: "subelements", doc: "Each item with each of its subelements.", options: &[], run: subelements },
    Lookup {
        name: "random_choice",
        doc: "One item by chance.",
        options: &[],
        run: |t| {
            if t.terms.is_empty() {
                return Ok(Vec::new());
            }
            t.call.state.apply_filter("random", &[Value::from(t.terms.clone())]).map(|v| vec![v])
        },
    },
];

fn is_list(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable)
}

fn spread(terms: &[Value]) -> Result<Vec<Value>, Error> {
    let mut out = Vec::new();
    for term in terms {
        if is_list(term) { out.extend(items(term)??) } else { out.push(term.clone()) }
    }
    Ok(out)
}

fn flatten(terms: &[Value]) -> Result<Vec<Value>, Error> {
    let mut out = Vec::new();
    for term in terms {
        if is_list(term) { out.extend(flatten(&items(term)??)?) } else { out.push(term.clone()) }
    }
    Ok(out)
}

fn dict(t: &mut Terms) -> Result<Vec<Value>, Error> {
    let mut out = Vec::new();
    for term in spread(&t.terms)? {
        if term.kind() != ValueKind::Map {
            return Err(fail(format!("the lookup 'dict' needs a dictionary, not {}", text::type_name(&term))));
        }
        out.extend(pairs(&term)?.into_iter().map(|(k, v)| mutable::dict([("key".into(), k), ("value".into(), v)])));
    }
    Ok(out)
}

fn together(t: &mut Terms) -> Result<Vec<Value>, Error> {
    let lists = t.terms.iter().map(|term| spread(std::slice::from_ref(term))).collect::<Result<Vec<_>, _>>()?;
    if lists.is_empty() {
        return Err(fail("with_together requires at least one element in each list"));
    }
    let len = lists.iter().map(Vec::len).max().unwrap_or(0);
    let row = |i| lists.iter().map(|l: &Vec<Value>| l.get(i).cloned().unwrap_or_else(|| ().into())).collect();
    Ok((0..len).map(row).collect())
}

fn subelements(t: &mut Terms) -> Result<Vec<Value>, Error> {
    let [list, path, rest @ ..] = &*t.terms else {
        return Err(fail("the lookup 'subelements' needs a list and a key"));
    };
    let skip = match rest.first() {
        Some(flags) => text::item(flags, &"skip_missing".into())?.is_true(),
        None => false,
    };
    // The key is taken out of each item, which the filter of that name does not do.
    let bare = |pair: Value| {
        let parts: Vec<Value> = items(&pair)??;
        match (parts.as_slice(), path.as_str()) {
            ([item, sub], Some(key)) if item.kind() == ValueKind::Map && !key.contains('.') => {
                let kept = items(item)??.into_iter().filter(|name| name.as_str() != Some(key));
                let kept: Vec<(Value, Value)> =
                    kept.map(|name| Ok((name.clone(), item.get_item(&name)?))).collect::<Result<_, Error>>()?;
                Ok(Value::from(vec![mutable::dict(kept), sub.clone()]))
            }
            _ => Ok(pair),
        }
    };
    items(&filters::subelements(list, path, skip)?)??.into_iter().map(bare).collect()
}

/// `start=1 end=5 stride=2 format=%02d`, `1-5/2:%02d`, or the same as options.
fn sequence(t: &mut Terms) -> Result<Vec<Value>, Error> {
    let mut settings: Vec<(String, String)> = Vec::new();
    for term in t.texts()? {
        if !term.contains('=') {
            let (range, format) = term.split_once(':').unwrap_or((&term, "%d"));
            let (range, stride) = range.split_once('/').unwrap_or((range, ""));
            let (start, end) = range.split_once('-').unwrap_or(("1", range));
            let given = [("start", start), ("end", end), ("stride", stride), ("format", format)];
            settings.extend(given.iter().filter(|(_, v)| !v.is_empty()).map(|(k, v)| ((*k).into(), (*v).into())));
            continue;
        }
        for setting in term.split_whitespace() {
            let (key, value) =
                setting.split_once('=').ok_or_else(|| fail(format!("'{setting}' is no setting of a sequence")))?;
            settings.push((key.into(), value.into()));
        }
    }
    for name in ["start", "end", "count", "stride", "format"] {
        if t.option(name).is_some() {
            settings.push((name.into(), t.option_str(name, "")?));
        }
    }
    let get = |name: &str| settings.iter().rev().find(|(k, _)| k == name).map(|(_, v)| v.as_str());
    let number = |name: &str| {
        let parse = |v: &str| v.parse::<i64>().map_err(|_| fail(format!("the sequence's '{name}' is no number: {v}")));
        get(name).map(parse).transpose()
    };
    let (start, end) = (number("start")?.unwrap_or(1), number("end")?);
    let stride = number("stride")?.unwrap_or(1);
    let end = match (end, number("count")?) {
        (Some(end), _) => end,
        (None, Some(0)) => return Ok(Vec::new()),
        (None, Some(count)) => start + (count - 1) * stride,
        (None, None) => return Err(fail("a sequence needs an 'end' or a 'count'")),
    };
    if stride == 0 {
        return Ok(Vec::new());
    }
    if stride > 0 && end < start {
        return Err(fail("to count backwards make stride negative"));
    }
    if stride < 0 && end > start {
        return Err(fail("to count forward don't make stride negative"));
    }
    let format = get("format").unwrap_or("%d").to_owned();
    let len = (end - start) / stride + 1;
    (0..len)
        .map(|i| super::super::python::percent::format(&format, &Value::from(start + i * stride)).map(Value::from))
        .collect()
}
