//! The filters of Jinja and of `ansible.builtin`.

mod basic;
mod data;
mod dicts;
mod hashes;
mod lists;
mod numbers;
mod paths;
mod regex;
mod select;
mod sets;
mod strings;

use super::call::Entry;

pub(crate) use basic::truth;
pub(crate) use dicts::subelements;
pub(crate) use lists::combine;
pub(crate) use regex::{compile, subject};

/// All filters.
pub(crate) fn all() -> impl Iterator<Item = &'static Entry> {
    [
        basic::ALL,
        data::ALL,
        dicts::ALL,
        hashes::ALL,
        lists::ALL,
        numbers::ALL,
        paths::ALL,
        regex::ALL,
        select::ALL,
        sets::ALL,
        strings::ALL,
    ]
    .into_iter()
    .flatten()
}
