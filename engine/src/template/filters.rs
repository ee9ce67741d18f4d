//! The filters of Jinja, of `ansible.builtin`, and those of other collections that public playbooks use most.

mod addresses;
mod basic;
mod dicts;
mod functions;
mod hashes;
mod html;
mod ipaddr;
mod json;
mod lists;
mod net;
mod numbers;
mod passwords;
mod paths;
mod query;
mod regex;
mod select;
mod sets;
mod strings;
mod vault;
mod yaml;

use super::call::Entry;

pub(crate) use basic::truth;
pub(crate) use dicts::subelements;
pub(crate) use lists::combine;
pub(crate) use passwords::{Settings as HashSettings, hash as hash_password, of_prompt, salt};
pub(crate) use regex::compile;
pub(crate) use yaml::{dump as yaml_of, result as yaml_of_result};

/// All filters.
pub(crate) fn all() -> impl Iterator<Item = &'static Entry> {
    [
        addresses::ALL,
        basic::ALL,
        dicts::ALL,
        hashes::ALL,
        html::ALL,
        json::ALL,
        lists::ALL,
        numbers::ALL,
        passwords::ALL,
        paths::ALL,
        query::ALL,
        regex::ALL,
        select::ALL,
        sets::ALL,
        strings::ALL,
        vault::ALL,
        yaml::ALL,
    ]
    .into_iter()
    .flatten()
}
