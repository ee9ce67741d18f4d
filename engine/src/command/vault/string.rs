//! `trueup vault encrypt-string`: `!vault` values for a file of variables.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;

use zeroize::Zeroizing;

use super::{CommandError, Key, STDIN, ask, key, put};
use crate::cli::vault::EncryptString;

/// How far Ansible indents the lines of a value.
const INDENT: usize = 10;

/// Prints each text as a sealed value.
pub(super) fn encrypt(args: &EncryptString) -> Result<(), CommandError> {
    let key = key(&args.with)?;
    let texts = texts(args)?;
    let mut out = String::new();
    for (name, text) in &texts {
        if text.is_empty() {
            return Err(CommandError::NoText);
        }
        out.push_str(&value(name.as_deref(), text, &key)?);
    }
    put(args.output.as_deref().unwrap_or(Path::new(STDIN)), out.as_bytes())
}

/// A variable's name, if it has one, and its text.
type Text = (Option<String>, Zeroizing<String>);

/// What is to be sealed, and under which name: asked for, read, given.
fn texts(args: &EncryptString) -> Result<Vec<Text>, CommandError> {
    let mut texts = Vec::new();
    if args.prompt {
        let text = ask::password("text to encrypt")?;
        texts.push((None, Zeroizing::new(text.expose().to_owned())));
    }
    let given: Vec<&String> = args.texts.iter().filter(|text| *text != STDIN).collect();
    let reads = given.len() < args.texts.len() || args.stdin_name.is_some() || (given.is_empty() && !args.prompt);
    if reads {
        let mut text = Zeroizing::new(String::new());
        std::io::stdin()
            .read_to_string(&mut text)
            .map_err(|source| CommandError::System { doing: "read standard input", source })?;
        texts.push((args.stdin_name.clone(), text));
    }
    let names = args.names.iter().cloned().map(Some).chain(std::iter::repeat(None));
    texts.extend(names.zip(given.into_iter().map(|text| Zeroizing::new(text.clone()))));
    Ok(texts)
}

/// `name: !vault |` and the envelope, indented.
fn value(name: Option<&str>, text: &str, key: &Key) -> Result<String, CommandError> {
    let mut out = name.map(|name| format!("{name}: ")).unwrap_or_default();
    out.push_str("!vault |\n");
    for line in key.seal(text.as_bytes())?.lines() {
        // Writing to a string cannot fail.
        _ = writeln!(out, "{:INDENT$}{line}", "");
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use trueup_modules::secret::Secret;

    use super::*;
    use crate::source::Source;
    use crate::value::Value;
    use crate::vault::VaultPasswords;
    use crate::yaml;

    #[test]
    fn a_value_opens_where_it_is_put() {
        let key = Key { id: Some("prod".into()), password: Secret::new("hunter2") };
        let text = value(Some("password"), "s3cret\n", &key).unwrap();
        assert!(text.starts_with("password: !vault |\n          $ANSIBLE_VAULT;1.2;AES256;prod\n          "), "{text}");
        let mut passwords = VaultPasswords::none();
        passwords.add(Some("prod"), &key.password);
        let source = std::sync::Arc::new(Source { path: "vars.yml".into(), text });
        let mut diagnostics = crate::diagnostic::Diagnostics::new();
        let node = yaml::load(&source, &passwords, &mut diagnostics).unwrap();
        assert_eq!(node.as_map().unwrap()["password"].value.to_value(), Value::Secret(Secret::new("s3cret\n")));
    }
}
