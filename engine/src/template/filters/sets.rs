//! Lists as sets. The order of the first list is kept; Ansible's own varies.

use minijinja::Error;
use minijinja::value::Value;

use super::super::call::{Call, Entry};
use super::super::python::mutable;
use super::select::attribute;

pub(super) static ALL: &[Entry] = &[
    Entry::new(&["unique"], &["value", "case_sensitive", "attribute"], "Each item once.", unique),
    Entry::new(&["union"], &["value", "other"], "The items of either list.", |c| {
        let (mut a, b) = (c.list(0)?, c.list(1)?);
        a.extend(b);
        Ok(mutable::list(once(a)))
    }),
    Entry::new(&["intersect"], &["value", "other"], "The items of both lists.", |c| keep(c, true)),
    Entry::new(&["difference"], &["value", "other"], "The items of the first list only.", |c| keep(c, false)),
    Entry::new(&["symmetric_difference"], &["value", "other"], "The items of just one list.", |c| {
        let (a, b) = (c.list(0)?, c.list(1)?);
        let only = |x: &[Value], y: &[Value]| x.iter().filter(|v| !y.contains(v)).cloned().collect::<Vec<_>>();
        Ok(mutable::list(once([only(&a, &b), only(&b, &a)].concat())))
    }),
];

fn once(list: Vec<Value>) -> Vec<Value> {
    let mut out: Vec<Value> = Vec::with_capacity(list.len());
    for item in list {
        if !out.contains(&item) {
            out.push(item);
        }
    }
    out
}

fn keep(c: &mut Call, shared: bool) -> Result<Value, Error> {
    let (a, b) = (c.list(0)?, c.list(1)?);
    Ok(mutable::list(once(a.into_iter().filter(|v| b.contains(v) == shared).collect())))
}

fn unique(c: &mut Call) -> Result<Value, Error> {
    let (case, path) = (c.flag(1, false)?, c.option(2)?.cloned());
    let (mut seen, mut out) = (Vec::new(), Vec::new());
    for item in c.list(0)? {
        let key = path.as_ref().map_or_else(|| Ok(item.clone()), |p| attribute(&item, p))?;
        let key = if case { key } else { key.as_str().map_or_else(|| key.clone(), |s| Value::from(s.to_lowercase())) };
        if !seen.contains(&key) {
            seen.push(key);
            out.push(item);
        }
    }
    Ok(mutable::list(out))
}
