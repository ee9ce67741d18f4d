//! Lists: order, grouping, combination.

use std::fmt;
use std::sync::Arc;

use minijinja::Error;
use minijinja::value::{Enumerator, Object, ObjectRepr, Tuple, Value, ValueKind};

use super::super::call::{Call, Entry, fail, items};
use super::super::python::operators::order;
use super::super::python::random::Random;
use super::super::python::{mutable, text};
use super::select::attribute;

pub(super) static ALL: &[Entry] = &[
    Entry::new(&["first"], &["value"], "The first item.", |c| Ok(c.list(0)?.first().cloned().unwrap_or_default())),
    Entry::new(&["last"], &["value"], "The last item.", |c| Ok(c.list(0)?.last().cloned().unwrap_or_default())),
    Entry::new(&["join"], &["value", "d", "attribute"], "Joins items to a text.", join),
    Entry::new(&["sort"], &["value", "reverse", "case_sensitive", "attribute"], "Sorts.", sort),
    Entry::new(&["reverse"], &["value"], "Backwards.", reverse),
    Entry::new(&["min"], &["value", "case_sensitive", "attribute"], "The least item.", |c| {
        extreme(c, std::cmp::Ordering::Less)
    }),
    Entry::new(&["max"], &["value", "case_sensitive", "attribute"], "The greatest item.", |c| {
        extreme(c, std::cmp::Ordering::Greater)
    }),
    Entry::new(&["flatten"], &["value", "levels", "skip_nulls"], "Lists in lists become one.", flatten),
    Entry::new(&["batch"], &["value", "linecount", "fill_with"], "Rows of so many items.", batch),
    Entry::new(&["slice"], &["value", "slices", "fill_with"], "So many columns.", slice),
    Entry::new(&["groupby"], &["value", "attribute", "default", "case_sensitive"], "Groups by an attribute.", group_by),
    Entry::new(&["zip"], &["value", "*", "**"], "Pairs up lists.", zip),
    Entry::new(&["zip_longest"], &["value", "*", "**"], "Pairs up lists, filling the short ones.", zip_longest),
    Entry::new(&["product"], &["value", "*", "**"], "All combinations of the items of several lists.", product),
    Entry::new(&["combinations"], &["value", "length"], "All choices of so many items.", combinations),
    Entry::new(&["permutations"], &["value", "length"], "All orders of so many items.", permutations),
    Entry::new(&["shuffle"], &["value", "seed"], "A random order; always the same with the same seed.", shuffle),
    Entry::new(&["random"], &["value", "start", "step", "seed"], "A random item or number.", random),
    Entry::new(&["extract"], &["value", "container", "morekeys"], "Looks the value up in a container.", extract),
];

/// What items are compared by: the attribute, and texts in lower case unless case matters.
fn key(item: &Value, path: Option<&Value>, case: bool) -> Result<Value, Error> {
    let value = path.map_or_else(|| Ok(item.clone()), |p| attribute(item, p))?;
    Ok(match value.as_str() {
        Some(s) if !case => Value::from(s.to_lowercase()),
        _ => value,
    })
}

fn sorted(list: Vec<Value>, path: Option<&Value>, case: bool) -> Result<Vec<(Value, Value)>, Error> {
    let paths: Vec<Value> = match path.and_then(Value::as_str) {
        Some(paths) => paths.split(',').map(Value::from).collect(),
        None => path.cloned().into_iter().collect(),
    };
    let keyed = |item: Value| {
        let key = match &*paths {
            [] => key(&item, None, case)?,
            [path] => key(&item, Some(path), case)?,
            many => many.iter().map(|p| key(&item, Some(p), case)).collect::<Result<Vec<_>, _>>()?.into(),
        };
        Ok::<_, Error>((key, item))
    };
    let mut all = list.into_iter().map(keyed).collect::<Result<Vec<_>, _>>()?;
    let mut failure = None;
    all.sort_by(|a, b| {
        order(&a.0, "<", &b.0).unwrap_or_else(|e| {
            failure.get_or_insert(e);
            std::cmp::Ordering::Equal
        })
    });
    failure.map_or(Ok(all), Err)
}

fn join(c: &mut Call) -> Result<Value, Error> {
    let (separator, path) = (c.str_or(1, "")?, c.option(2)?.cloned());
    let mut out = String::new();
    for (i, item) in c.list(0)?.iter().enumerate() {
        out.push_str(if i == 0 { "" } else { &separator });
        out.push_str(&text::str(&path.as_ref().map_or_else(|| Ok(item.clone()), |p| attribute(item, p))?)?);
    }
    Ok(Value::from(out))
}

fn sort(c: &mut Call) -> Result<Value, Error> {
    let path = c.option(3)?.cloned();
    let mut all = sorted(c.list(0)?, path.as_ref(), c.flag(2, false)?)?;
    if c.flag(1, false)? {
        // Python keeps the order of equals also backwards.
        all.reverse();
        let mut start = 0;
        for i in 1..=all.len() {
            if i == all.len() || all[i].0 != all[start].0 {
                all[start..i].reverse();
                start = i;
            }
        }
    }
    Ok(mutable::list(all.into_iter().map(|(_, item)| item).collect()))
}

fn reverse(c: &mut Call) -> Result<Value, Error> {
    if let Some(s) = c.value(0)?.as_str() {
        return Ok(Value::from(s.chars().rev().collect::<String>()));
    }
    let mut list = c.list(0)?;
    list.reverse();
    Ok(mutable::list(list))
}

fn extreme(c: &mut Call, wanted: std::cmp::Ordering) -> Result<Value, Error> {
    let (path, case) = (c.option(2)?.cloned(), c.flag(1, false)?);
    let mut best: Option<(Value, Value)> = None;
    for item in c.list(0)? {
        let key = key(&item, path.as_ref(), case)?;
        if match &best {
            Some((top, _)) => order(&key, "<", top)? == wanted,
            None => true,
        } {
            best = Some((key, item));
        }
    }
    Ok(best.map(|(_, item)| item).unwrap_or_default())
}

fn is_list(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable)
}

fn flatten(c: &mut Call) -> Result<Value, Error> {
    fn into(out: &mut Vec<Value>, list: Vec<Value>, levels: i64, skip: bool) -> Result<(), Error> {
        for item in list {
            if is_list(&item) && levels != 0 {
                into(out, items(&item)??, levels - 1, skip)?;
            } else if !(skip && (item.is_none() || item.as_str().is_some_and(|s| s == "None" || s == "null"))) {
                out.push(item);
            }
        }
        Ok(())
    }
    let mut out = Vec::new();
    into(&mut out, c.list(0)?, c.int_or(1, -1)?, c.flag(2, true)?)?;
    Ok(mutable::list(out))
}

fn batch(c: &mut Call) -> Result<Value, Error> {
    let size =
        usize::try_from(c.int(1)?).ok().filter(|n| *n > 0).ok_or_else(|| fail("'batch' needs a positive number"))?;
    let fill = c.option(2)?.cloned();
    let rows = c
        .list(0)?
        .chunks(size)
        .map(|row| {
            let mut row = row.to_vec();
            if let Some(fill) = &fill {
                row.resize(size, fill.clone());
            }
            row
        })
        .collect::<Vec<_>>();
    Ok(Value::from(rows))
}

fn slice(c: &mut Call) -> Result<Value, Error> {
    let slices =
        usize::try_from(c.int(1)?).ok().filter(|n| *n > 0).ok_or_else(|| fail("'slice' needs a positive number"))?;
    let (list, fill) = (c.list(0)?, c.option(2)?.cloned());
    let (size, extra) = (list.len() / slices, list.len() % slices);
    let mut out = Vec::new();
    let mut from = 0;
    for i in 0..slices {
        let to = from + size + usize::from(i < extra);
        let mut column = list[from..to].to_vec();
        if let (Some(fill), true) = (&fill, extra > 0 && i >= extra) {
            column.push(fill.clone());
        }
        out.push(column);
        from = to;
    }
    Ok(Value::from(out))
}

fn group_by(c: &mut Call) -> Result<Value, Error> {
    let (path, default) = (c.value(1)?.clone(), c.option(2)?.cloned());
    let case = c.flag(3, false)?;
    let mut all = Vec::new();
    for item in c.list(0)? {
        let found = attribute(&item, &path)?;
        let found = if found.is_undefined() { default.clone().unwrap_or(found) } else { found };
        all.push((key(&found, None, case)?, found, item));
    }
    let mut failure = None;
    all.sort_by(|a, b| {
        order(&a.0, "<", &b.0).unwrap_or_else(|e| {
            failure.get_or_insert(e);
            std::cmp::Ordering::Equal
        })
    });
    if let Some(error) = failure {
        return Err(error);
    }
    let groups = all.chunk_by(|a, b| a.0 == b.0).map(|group| {
        let members: Vec<Value> = group.iter().map(|(.., item)| item.clone()).collect();
        Value::from_object(Group(group[0].1.clone(), mutable::list(members)))
    });
    Ok(groups.collect())
}

/// A group: a tuple whose parts have names, too.
#[derive(Debug)]
struct Group(Value, Value);

impl Object for Group {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match (key.as_str(), key.as_usize()) {
            (Some("grouper"), _) | (_, Some(0)) => Some(self.0.clone()),
            (Some("list"), _) | (_, Some(1)) => Some(self.1.clone()),
            _ => None,
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(2)
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tuple = Value::from(Tuple::from([self.0.clone(), self.1.clone()]));
        f.write_str(&text::repr(&tuple).map_err(|_| fmt::Error)?)
    }
}

fn lists(c: &Call) -> Result<Vec<Vec<Value>>, Error> {
    let mut all = vec![c.list(0)?];
    for more in &c.rest {
        all.push(items(more)??);
    }
    Ok(all)
}

fn tuples(rows: impl Iterator<Item = Vec<Value>>) -> Value {
    rows.map(|row| Value::from(Tuple::from(row))).collect()
}

fn zip(c: &mut Call) -> Result<Value, Error> {
    let all = lists(c)?;
    let strict = c.named.iter().any(|(k, v)| k == "strict" && v.is_true());
    if strict && all.iter().any(|l| l.len() != all[0].len()) {
        return Err(fail("zip() arguments are of different lengths"));
    }
    let len = all.iter().map(Vec::len).min().unwrap_or(0);
    Ok(tuples((0..len).map(|i| all.iter().map(|l| l[i].clone()).collect())))
}

fn zip_longest(c: &mut Call) -> Result<Value, Error> {
    let all = lists(c)?;
    let fill = c.named.iter().find(|(k, _)| k == "fillvalue").map_or_else(|| Value::from(()), |(_, v)| v.clone());
    let len = all.iter().map(Vec::len).max().unwrap_or(0);
    Ok(tuples((0..len).map(|i| all.iter().map(|l| l.get(i).unwrap_or(&fill).clone()).collect())))
}

fn product(c: &mut Call) -> Result<Value, Error> {
    let mut all = lists(c)?;
    if let Some((_, repeat)) = c.named.iter().find(|(k, _)| k == "repeat") {
        let times = repeat.as_usize().ok_or_else(|| fail("'product' needs a number as 'repeat'"))?;
        all = std::iter::repeat_n(all, times).flatten().collect();
    }
    Ok(tuples(combine(&all).into_iter()))
}

/// All rows with one item of each list, the last list turning fastest.
pub(crate) fn combine(lists: &[Vec<Value>]) -> Vec<Vec<Value>> {
    lists.iter().fold(vec![Vec::new()], |rows, list| {
        let extend = |row: &Vec<Value>, item: &Value| [row.as_slice(), std::slice::from_ref(item)].concat();
        rows.iter().flat_map(|row| list.iter().map(move |item| extend(row, item))).collect()
    })
}

fn combinations(c: &mut Call) -> Result<Value, Error> {
    fn choose(list: &[Value], n: usize) -> Vec<Vec<Value>> {
        if n == 0 {
            return vec![Vec::new()];
        }
        let with = |(i, first): (usize, &Value)| {
            let first = first.clone();
            choose(&list[i + 1..], n - 1).into_iter().map(move |mut rest| {
                rest.insert(0, first.clone());
                rest
            })
        };
        list.iter().enumerate().flat_map(with).collect()
    }
    let n = usize::try_from(c.int(1)?).map_err(|_| fail("'combinations' needs a positive number"))?;
    Ok(tuples(choose(&c.list(0)?, n).into_iter()))
}

fn shuffle(c: &mut Call) -> Result<Value, Error> {
    let mut list = c.list(0)?;
    // A seed that is empty or zero counts as none, as in Ansible.
    let mut random = Random::new(c.option(1)?.filter(|seed| seed.is_true()))?;
    for i in (1..list.len()).rev() {
        list.swap(i, random.below(i + 1));
    }
    Ok(mutable::list(list))
}

fn random(c: &mut Call) -> Result<Value, Error> {
    let mut random = Random::new(c.option(3)?)?;
    if c.value(0)?.is_integer() {
        let (start, end, step) = (c.int_or(1, 0)?, c.int(0)?, c.int_or(2, 1)?);
        let step = if step == 0 { 1 } else { step };
        let count = (i128::from(end) - i128::from(start) + i128::from(step) - i128::from(step.signum()))
            .div_euclid(step.into());
        let count = usize::try_from(count).ok().filter(|n| *n > 0);
        let count = count.ok_or_else(|| fail(format!("empty range for randrange() ({start}, {end}, {step})")))?;
        return Ok(Value::from(start + step * i64::try_from(random.below(count)).unwrap_or(0)));
    }
    if c.option(1)?.or(c.option(2)?).is_some() {
        return Err(fail("start and step can only be used with integer values"));
    }
    let list = c.list(0)?;
    if list.is_empty() {
        return Err(fail("Cannot choose from an empty sequence"));
    }
    Ok(list[random.below(list.len())].clone())
}

fn permutations(c: &mut Call) -> Result<Value, Error> {
    fn choose(list: &[Value], n: usize) -> Vec<Vec<Value>> {
        if n == 0 {
            return vec![Vec::new()];
        }
        let with = |i: usize| {
            let rest = [&list[..i], &list[i + 1..]].concat();
            choose(&rest, n - 1).into_iter().map(move |tail| [vec![list[i].clone()], tail].concat())
        };
        (0..list.len()).flat_map(with).collect()
    }
    let list = c.list(0)?;
    let n = match c.option(1)? {
        None => list.len(),
        Some(_) => usize::try_from(c.int(1)?).map_err(|_| fail("'permutations' needs a positive number"))?,
    };
    if n > list.len() {
        return Ok(Value::from(Vec::<Value>::new()));
    }
    // More would fill the memory.
    const MOST: usize = 1_000_000;
    let count =
        (list.len() - n + 1..=list.len()).try_fold(1usize, |all, k| all.checked_mul(k).filter(|all| *all <= MOST));
    count.ok_or_else(|| fail(format!("'permutations' of {} items yields more than {MOST}", list.len())))?;
    Ok(tuples(choose(&list, n).into_iter()))
}

fn extract(c: &mut Call) -> Result<Value, Error> {
    let mut value = text::item(c.value(1)?, c.value(0)?)?;
    let more = match c.option(2)? {
        Some(keys) if is_list(keys) => items(keys)??,
        Some(key) => vec![key.clone()],
        None => Vec::new(),
    };
    for key in &more {
        if value.is_undefined() {
            break;
        }
        value = text::item(&value, key)?;
    }
    Ok(value)
}
