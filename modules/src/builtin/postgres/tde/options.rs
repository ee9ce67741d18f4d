//! The options of a provider, by its type: names, order and comparison.

use serde_json::{Map, Value};

use super::Provider;

/// The types of providers, and their options in the order in which the functions take them.
const KINDS: [(&str, &str, &[&str]); 3] = [
    ("file", "file", &["path"]),
    ("vault-v2", "vault_v2", &["url", "mountPath", "tokenPath", "caPath", "namespace"]),
    ("kmip", "kmip", &["host", "port", "certPath", "keyPath", "caPath"]),
];

/// The options of a type of providers.
pub(super) fn names(kind: &str) -> &'static [&'static str] {
    KINDS.iter().find(|(name, ..)| *name == kind).map_or(&[], |(.., options)| options)
}

/// How the type is spelt in the names of functions.
pub(super) fn word(kind: &str) -> &str {
    KINDS.iter().find(|(name, ..)| *name == kind).map_or(kind, |(_, word, _)| word)
}

/// An option as text; absent, null and empty are the same.
pub(super) fn text(options: &Map<String, Value>, name: &str) -> Option<String> {
    match options.get(name)? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        other => Some(other.to_string()),
    }
}

/// The files that a provider needs on each server, and what each is.
pub(super) fn files(provider: &Provider) -> Vec<(&'static str, String)> {
    let wanted: &[(&str, &str)] = match provider.kind.as_str() {
        "file" => &[("key file", "path")],
        "vault-v2" => &[("token", "tokenPath"), ("CA", "caPath")],
        "kmip" => &[("certificate", "certPath"), ("private key", "keyPath"), ("CA", "caPath")],
        _ => &[],
    };
    wanted.iter().filter_map(|(what, option)| Some((*what, text(&provider.options, option)?))).collect()
}
