//! `$NAME`, `${NAME}` and `~` in paths, and in the arguments of `command`, as Ansible reads them (Python's `expanduser` and
//! `expandvars`).

use std::collections::BTreeMap;

use serde_json::Value;

use crate::host::{Command, Error, Host};

/// The parameters that are paths on the host, whatever the module: those that Ansible types so.
const PATHS: [&str; 21] = [
    "ca_path",
    "chdir",
    "client_cert",
    "client_key",
    "creates",
    "cron_file",
    "dest",
    "fact_path",
    "home",
    "key_file",
    "keyring",
    "path",
    "paths",
    "removes",
    "reposdir",
    "src",
    "ssh_key_file",
    "tmp_dest",
    "unix_socket",
    "virtualenv",
    "virtualenv_command",
];
/// Those of which other modules have others.
const PATHS_OF: [(&str, &str); 4] =
    [("apt_key", "file"), ("git", "executable"), ("pip", "executable"), ("user", "shell")];

/// Parameters with their paths expanded as the user that the task runs as has it; `None` if there is nothing to expand.
pub(crate) fn paths(host: &dyn Host, module: &str, params: &Value) -> Result<Option<Value>, Error> {
    let is_path = |name: &str| PATHS.contains(&name) || PATHS_OF.contains(&(module, name));
    // Nearly always there is nothing to expand.
    let plain = |(name, value): (&String, &Value)| !is_path(name) || !any_expands(value);
    if params.as_object().is_none_or(|params| params.iter().all(plain)) {
        return Ok(None);
    }
    let mut params = params.clone();
    let paths = params.as_object_mut().into_iter().flatten().filter(|(name, _)| is_path(name));
    let mut words: Vec<&mut String> = paths.flat_map(|(_, value)| texts(value)).filter(|word| expands(word)).collect();
    let written: Vec<String> = words.iter().map(|word| (**word).clone()).collect();
    words.iter_mut().zip(all(host, &written)?).for_each(|(word, expanded)| **word = expanded);
    Ok(Some(params))
}

/// A text, or those of a list.
fn texts(value: &mut Value) -> Vec<&mut String> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter_mut().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

/// Whether a text is to be expanded, or one of a list.
fn any_expands(value: &Value) -> bool {
    match value {
        Value::String(text) => expands(text),
        Value::Array(items) => items.iter().any(any_expands),
        _ => false,
    }
}

fn expands(word: &str) -> bool {
    word.contains('$') || word.starts_with('~')
}

/// The words with the host's values in them. What has none stays as it is written.
pub(crate) fn all(host: &dyn Host, words: &[String]) -> Result<Vec<String>, Error> {
    // Asking costs a process.
    if !words.iter().any(|word| expands(word)) {
        return Ok(words.to_vec());
    }
    let answer = host.query(&Command { cwd: Some(".".into()), ..Command::new("env", ["-0"]) })?.stdout;
    let env: BTreeMap<&str, &str> = answer.split('\0').filter_map(|entry| entry.split_once('=')).collect();
    words.iter().map(|word| Ok(variables(&home(host, word, &env)?, &env))).collect()
}

fn home(host: &dyn Host, word: &str, env: &BTreeMap<&str, &str>) -> Result<String, Error> {
    let Some(rest) = word.strip_prefix('~') else { return Ok(word.to_owned()) };
    let (user, below) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let home = match user {
        "" => env.get("HOME").map(|home| (*home).to_owned()),
        user => host.user(user)?.map(|user| user.home),
    };
    Ok(home.map_or_else(|| word.to_owned(), |home| format!("{}{below}", home.trim_end_matches('/'))))
}

fn variables(word: &str, env: &BTreeMap<&str, &str>) -> String {
    let mut expanded = String::with_capacity(word.len());
    let mut rest = word;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        rest = &rest[at..];
        let after = &rest[1..];
        let (name, length) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some((name, _)) => (name, name.len() + 3),
            None => {
                let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
                (&after[..end], end + 1)
            }
        };
        expanded.push_str(env.get(name).copied().unwrap_or(&rest[..length]));
        rest = &rest[length..];
    }
    expanded + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    #[test]
    fn paths_are_those_that_ansible_types_so() {
        let host = Fake::new().answer("env -0", 0, "HOME=/root\0");
        let params = serde_json::json!({"shell": "~/sh", "home": "~/b", "comment": "~/c"});
        for (module, shell) in [("user", "/root/sh"), ("other", "~/sh")] {
            let expanded = paths(&host, module, &params).unwrap().unwrap();
            assert_eq!(expanded, serde_json::json!({"shell": shell, "home": "/root/b", "comment": "~/c"}), "{module}");
        }
        assert_eq!(paths(&host, "user", &serde_json::json!({"comment": "~"})).unwrap(), None);
    }

    #[test]
    fn words_are_expanded_like_python_does() {
        let host = Fake::new()
            .answer("env -0", 0, "HOME=/home/ann\0NAME=x y\0EMPTY=\0")
            .answer("getent passwd -- bob", 0, "bob:x:1:1::/srv/bob/:/bin/sh\n")
            .answer("getent passwd -- nobody-such", 2, "");
        let table = [
            ("$NAME", "x y"),
            ("a${NAME}b$NAME-", "ax yb x y-".replace("b x", "bx").as_str()),
            ("$EMPTY$NOTHING${NOTHING}", "$NOTHING${NOTHING}"),
            ("100$", "100$"),
            ("${NAME", "${NAME"),
            ("~", "/home/ann"),
            ("~/a", "/home/ann/a"),
            ("~bob/a", "/srv/bob/a"),
            ("~nobody-such/a", "~nobody-such/a"),
            ("a~", "a~"),
        ]
        .map(|(word, wanted)| (word.to_owned(), wanted.to_owned()));
        for (word, wanted) in table {
            assert_eq!(all(&host, std::slice::from_ref(&word)).unwrap(), [wanted], "{word}");
        }
    }
}
