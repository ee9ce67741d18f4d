//! `--tags` and `--skip-tags`.

use std::collections::BTreeSet;

use super::Selection;
use crate::playbook::{Field, Spanned};

/// The tags that a keyword gives.
pub(super) fn of(written_tags: &[Spanned<Field<String>>]) -> BTreeSet<String> {
    let split = |tag: &Spanned<Field<String>>| -> Vec<String> {
        tag.value.written().split(',').map(|tag| tag.trim().to_owned()).collect()
    };
    written_tags.iter().flat_map(split).filter(|tag| !tag.is_empty()).collect()
}

/// Whether what has these tags is to run; with Ansible's special tags.
pub(super) fn selected(selection: &Selection, tags: &BTreeSet<String>) -> bool {
    let matches = |wanted: &String| match wanted.as_str() {
        "all" => true,
        "tagged" => !tags.is_empty(),
        "untagged" => tags.is_empty(),
        tag => tags.contains(tag),
    };
    let Selection { tags: wanted, skip_tags, .. } = selection;
    let named = wanted.iter().any(|tag| tags.contains(tag));
    let run = match wanted.is_empty() {
        true => !tags.contains("never"),
        false if tags.contains("never") => named,
        false => wanted.iter().any(matches) || tags.contains("always"),
    };
    run && !skip_tags.iter().any(matches)
}
