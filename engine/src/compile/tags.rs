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

/// Whether what has these tags is to run; with Ansible's special tags, as `Taggable.evaluate_tags` has them.
pub(super) fn selected(selection: &Selection, tags: &BTreeSet<String>) -> bool {
    let has = |tag: &str| tags.contains(tag);
    let any_of = |wanted: &[String]| {
        wanted.iter().any(|tag| has(tag)) || tags.is_empty() && wanted.iter().any(|tag| tag == "untagged")
    };
    let named = |wanted: &[String], special: &str| wanted.iter().any(|tag| tag == special);
    let Selection { tags: wanted, skip_tags: skipped, .. } = selection;
    let all = wanted.is_empty() || named(wanted, "all");
    let tagged = named(wanted, "tagged") && !tags.is_empty();
    let run = has("always") || any_of(wanted) || ((all || tagged) && !has("never"));
    let skip = match named(skipped, "all") {
        true => !has("always") || named(skipped, "always"),
        false => any_of(skipped) || named(skipped, "tagged") && !tags.is_empty(),
    };
    run && !skip
}
