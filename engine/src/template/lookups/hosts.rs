//! The lookup of hosts: `inventory_hostnames`.

use minijinja::Error;
use minijinja::value::Value;

use super::super::lazy::Context;
use super::super::python::text;
use super::{Lookup, Terms};
use crate::inventory::fnmatch;

pub(super) static ALL: &[Lookup] = &[Lookup {
    name: "inventory_hostnames",
    doc: "The hosts of a host pattern.",
    options: &[],
    run: inventory_hostnames,
}];

/// As in Ansible, the first parts may be groups or hosts, then come those that keep (`&`) and those that remove (`!`).
fn inventory_hostnames(t: &mut Terms) -> Result<Vec<Value>, Error> {
    let ctx = Context::of(t.call.state)?;
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    if let Some(found) = ctx.variable("groups") {
        for name in found.try_iter()? {
            let hosts = found.get_item(&name)?.try_iter()?.map(|host| text::str(&host)).collect::<Result<_, _>>()?;
            groups.push((text::str(&name)?, hosts));
        }
    }
    let all = groups.iter().find(|(name, _)| name == "all").map(|(_, hosts)| hosts.clone()).unwrap_or_default();
    let matching = |pattern: &str| -> Vec<String> {
        let of_groups = groups.iter().filter(|(name, _)| fnmatch(pattern, name)).flat_map(|(_, hosts)| hosts);
        let named = all.iter().filter(|host| fnmatch(pattern, host));
        of_groups.chain(named).cloned().collect()
    };
    let parts: Vec<String> = t.texts()?.iter().flat_map(|term| parts(term)).collect();
    let mut found: Vec<String> = Vec::new();
    for part in parts.iter().filter(|part| !part.starts_with(['&', '!'])) {
        let news: Vec<String> = matching(part).into_iter().filter(|host| !found.contains(host)).collect();
        for host in news {
            if !found.contains(&host) {
                found.push(host);
            }
        }
    }
    for part in &parts {
        match (part.strip_prefix('&'), part.strip_prefix('!')) {
            (Some(kept), _) => found.retain(|host| matching(kept).contains(host)),
            (_, Some(removed)) => found.retain(|host| !matching(removed).contains(host)),
            _ => {}
        }
    }
    Ok(found.into_iter().map(Value::from).collect())
}

fn parts(pattern: &str) -> Vec<String> {
    pattern.split([':', ',']).map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}
