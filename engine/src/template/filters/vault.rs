//! Sealing and opening with a password that the template has.

use std::io::Read as _;

use minijinja::Error;
use minijinja::value::Value;
use trueup_modules::secret::Secret;

use super::super::call::{Call, Entry, fail};
use super::super::lazy::Context;
use super::super::python::text;
use crate::vault::{self, VaultPasswords};

const NAMES: &[&str] = &["value", "secret", "salt", "vault_id", "wrap_object"];

pub(super) static ALL: &[Entry] = &[
    Entry::new(&["vault"], NAMES, "Sealed as ansible-vault does.", |c| {
        let (content, secret) = (c.text(0)?.to_owned(), password(c)?);
        let id = c.str_or(3, "filter_default")?;
        let salt = match c.option(2)?.map(text::str).transpose()? {
            Some(given) => given.into_bytes(),
            None => random()?,
        };
        Ok(Value::from(vault::encrypt(content.as_bytes(), &secret, Some(&id), &salt)))
    }),
    Entry::new(&["unvault"], &["value", "secret", "vault_id"], "What is sealed in a vault.", |c| {
        let (sealed, secret) = (c.text(0)?.to_owned(), password(c)?);
        if !vault::is_vault(&sealed) {
            return Ok(Value::from(sealed));
        }
        let id = c.str_or(2, "filter_default")?;
        let mut passwords = VaultPasswords::none();
        passwords.add(Some(&id), &secret);
        let opened = vault::decrypt_text(&sealed, &passwords, "the value").map_err(|error| fail(error.to_string()))?;
        Context::of(c.state)?.scope.taint();
        Ok(Value::from(opened.expose()))
    }),
];

fn password(c: &mut Call) -> Result<Secret, Error> {
    Ok(Secret::new(c.text(1)?))
}

fn random() -> Result<Vec<u8>, Error> {
    let mut salt = vec![0; 32];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut salt))
        .map_err(|error| fail(format!("cannot get random bytes: {error}")))?;
    Ok(salt)
}
