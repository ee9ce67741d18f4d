//! Hashes of passwords as Apache's htpasswd(1) has them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use sha1::Sha1;
use sha2::Sha256;

use super::{Scheme, chance};
use crate::host::{Command, Error, Host, Input};
use crate::secret::Secret;

const LETTERS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Whether a password is the one of a hash.
pub(super) fn fits(host: &dyn Host, hash: &str, password: &Secret) -> Result<bool, Error> {
    let given = password.expose();
    let parts: Vec<&str> = hash.split('$').collect();
    Ok(match &parts[..] {
        ["", "apr1", salt, _] => apr1(given.as_bytes(), salt) == hash,
        ["", kind @ ("1" | "5" | "6"), rest @ ..] if !rest.is_empty() => {
            let salt = rest[..rest.len() - 1].join("$");
            openssl(host, kind, &salt, password)? == hash
        }
        ["", "2y" | "2b" | "2a", ..] => {
            let reason = "the hash that is there is of bcrypt, which is not known";
            return Err(Error::refused("password", reason, "remove the user first (`state: absent`)"));
        }
        _ if hash.starts_with("{SHA}") => sha1(given) == hash,
        _ => hash == given,
    })
}

/// A new hash.
pub(super) fn made(host: &dyn Host, scheme: Scheme, password: &Secret) -> Result<String, Error> {
    match scheme {
        Scheme::AprMd5Crypt => Ok(apr1(password.expose().as_bytes(), &salt(host, 8)?)),
        Scheme::LdapSha1 => Ok(sha1(password.expose())),
        Scheme::Plaintext => Ok(password.expose().to_owned()),
        Scheme::Sha256Crypt => openssl(host, "5", &salt(host, 16)?, password),
        Scheme::Sha512Crypt => openssl(host, "6", &salt(host, 16)?, password),
    }
}

fn sha1(password: &str) -> String {
    format!("{{SHA}}{}", STANDARD.encode(Sha1::digest(password)))
}

fn salt(host: &dyn Host, length: usize) -> Result<String, Error> {
    let bytes = Sha256::digest(chance(host)?);
    Ok(bytes.iter().take(length).map(|byte| char::from(LETTERS[usize::from(byte & 63)])).collect())
}

/// crypt(5) by the host's openssl(1), which is told the password by its standard input.
fn openssl(host: &dyn Host, kind: &str, salt: &str, password: &Secret) -> Result<String, Error> {
    let stdin = Some(Input::Secret(Secret::new(format!("{}\n", password.expose()))));
    let args = ["passwd".to_owned(), format!("-{kind}"), "-salt".into(), salt.to_owned(), "-stdin".into()];
    let output = host.query(&Command { stdin, answers: true, ..Command::new("openssl", args) })?;
    match output.success() {
        true => Ok(output.stdout.trim().to_owned()),
        false => Err(Error::Failed("openssl cannot hash the password".into())),
    }
}

/// MD5 of Apache, a thousand times: the algorithm of FreeBSD's crypt with another name
/// (`apr_md5_encode` of the Apache Portable Runtime).
fn apr1(password: &[u8], salt: &str) -> String {
    let salt = salt.as_bytes();
    let inner = Md5::new().chain_update(password).chain_update(salt).chain_update(password).finalize();
    let mut begin = Md5::new().chain_update(password).chain_update(b"$apr1$").chain_update(salt);
    let mut left = password.len();
    while left > 0 {
        begin.update(&inner[..left.min(16)]);
        left = left.saturating_sub(16);
    }
    let mut bits = password.len();
    while bits > 0 {
        begin.update(if bits & 1 == 1 { &[0] } else { &password[..1] });
        bits >>= 1;
    }
    let mut sum = begin.finalize();
    for round in 0..1000 {
        let mut next = Md5::new();
        if round & 1 == 1 {
            next.update(password)
        } else {
            next.update(sum)
        }
        if round % 3 != 0 {
            next.update(salt);
        }
        if round % 7 != 0 {
            next.update(password);
        }
        if round & 1 == 1 {
            next.update(sum)
        } else {
            next.update(password)
        }
        sum = next.finalize();
    }
    let mut text = format!("$apr1${}$", String::from_utf8_lossy(salt));
    let mut letters = |value: u32, count: u32| {
        text.extend((0..count).map(|at| char::from(LETTERS[(value >> (6 * at)) as usize & 63])));
    };
    for [a, b, c] in [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]] {
        letters(u32::from(sum[a]) << 16 | u32::from(sum[b]) << 8 | u32::from(sum[c]), 4);
    }
    letters(u32::from(sum[11]), 2);
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn as_apache_does_it() {
        // By `openssl passwd -apr1 -salt SALT PASSWORD`.
        for (password, salt, wanted) in [
            ("password", "abcdefgh", "$apr1$abcdefgh$FBwExRW4dCc8aL.OvjpIE1"),
            ("a", "./..", "$apr1$./..$7iyrs3qCHT6EkCD46drLX0"),
            ("a longer one than sixteen bytes", "Xy12", "$apr1$Xy12$pu3oVOPsPa.g0bZnlmIdp/"),
            ("ü", "salt", "$apr1$salt$Zvutyc9a3PlcqEWSPmORp0"),
        ] {
            assert_eq!(super::apr1(password.as_bytes(), salt), wanted);
        }
        assert_eq!(super::sha1("password"), "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=");
    }
}
