//! Hashes of passwords, as `crypt(3)` writes them and `passlib` makes them.

use base64::Engine as _;
use minijinja::Error;
use minijinja::value::Value;
use sha_crypt::{Sha256Params, Sha512Params};

use super::super::call::{Entry, fail};
use super::super::python::random::Random;
use super::super::python::text;

pub(super) static ALL: &[Entry] = &[Entry::new(
    &["password_hash"],
    &["value", "hashtype", "salt", "salt_size", "rounds", "ident"],
    "The hash of a password, for a user's account; a random salt unless one is given.",
    |c| {
        let option = |i: usize| c.option(i)?.map(text::str).transpose();
        let rounds = c.option(4)?.map(|_| c.int(4)).transpose()?;
        let size = c.option(3)?.map(|_| c.int(3)).transpose()?.and_then(|n| usize::try_from(n).ok());
        let kind = c.str_or(1, "sha512")?;
        hash(&c.str(0)?, &kind, &Settings { salt: option(2)?, size, rounds, ident: option(5)? }).map(Value::from)
    },
)];

/// The letters of salts, in the order of their values.
const LETTERS: &str = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// What a hash depends on beside the password.
#[derive(Default)]
pub(crate) struct Settings {
    pub salt: Option<String>,
    pub size: Option<usize>,
    pub rounds: Option<i64>,
    pub ident: Option<String>,
}

/// A random salt of the length that a kind of hash has.
pub(crate) fn salt(kind: &str, size: Option<usize>) -> Result<String, Error> {
    let len = match kind {
        "blowfish" | "bcrypt" => 22,
        _ => size.unwrap_or(if kind.starts_with("md5") { 8 } else { 16 }),
    };
    let mut random = Random::new(None)?;
    Ok((0..len.min(22)).map(|_| char::from(LETTERS.as_bytes()[random.below(64)])).collect())
}

/// Hashes a password.
pub(crate) fn hash(password: &str, kind: &str, settings: &Settings) -> Result<String, Error> {
    let salt = match settings.salt.as_deref() {
        Some("") | None => salt(kind, settings.size)?,
        Some(given) => given.to_owned(),
    };
    if !salt.chars().all(|c| LETTERS.contains(c)) {
        return Err(fail("a salt is made of letters, digits, '.' and '/'"));
    }
    let rounds = |default: i64| usize::try_from(settings.rounds.unwrap_or(default)).unwrap_or(0);
    let failed = || fail("could not hash the secret: the salt or the number of rounds is out of range");
    match kind {
        "sha512" | "sha512_crypt" => {
            let rounds = rounds(656_000);
            let params = Sha512Params::new(rounds).map_err(|_| failed())?;
            let made =
                sha_crypt::sha512_crypt_b64(password.as_bytes(), short(&salt)?, &params).map_err(|_| failed())?;
            Ok(crypt('6', rounds, &salt, &made))
        }
        "sha256" | "sha256_crypt" => {
            let rounds = rounds(535_000);
            let params = Sha256Params::new(rounds).map_err(|_| failed())?;
            let made =
                sha_crypt::sha256_crypt_b64(password.as_bytes(), short(&salt)?, &params).map_err(|_| failed())?;
            Ok(crypt('5', rounds, &salt, &made))
        }
        "blowfish" | "bcrypt" => {
            let cost = u32::try_from(rounds(12)).map_err(|_| failed())?;
            let alphabet = base64::alphabet::BCRYPT;
            let lenient = base64::engine::GeneralPurposeConfig::new()
                .with_encode_padding(false)
                .with_decode_padding_mode(base64::engine::DecodePaddingMode::RequireNone)
                .with_decode_allow_trailing_bits(true);
            let bytes = base64::engine::GeneralPurpose::new(&alphabet, lenient).decode(&salt).map_err(|_| failed())?;
            let bytes: [u8; 16] = bytes.try_into().map_err(|_| fail("a salt for bcrypt has 22 letters"))?;
            let parts = bcrypt::hash_with_salt(password, cost, bytes).map_err(|_| failed())?;
            let version = match settings.ident.as_deref() {
                None | Some("2b") => bcrypt::Version::TwoB,
                Some("2a") => bcrypt::Version::TwoA,
                Some("2y") => bcrypt::Version::TwoY,
                Some(other) => return Err(fail(format!("'{other}' is no version of bcrypt: 2a, 2b or 2y"))),
            };
            Ok(parts.format_for_version(version))
        }
        "md5" | "md5_crypt" => Err(fail("'md5' hides no password any more: use sha512, sha256 or bcrypt")),
        other => Err(fail(format!("'{other}' hashes no passwords: sha512, sha256 or bcrypt (blowfish)"))),
    }
}

/// The hash of what somebody has typed; or why there is none.
pub(crate) fn of_prompt(
    password: &str,
    kind: &str,
    salt: Option<String>,
    size: Option<usize>,
) -> Result<String, String> {
    let settings = Settings { salt, size, ..Settings::default() };
    hash(password, kind, &settings).map_err(|error| error.detail().unwrap_or("it cannot be hashed").to_owned())
}

fn short(salt: &str) -> Result<&[u8], Error> {
    if salt.len() > 16 { Err(fail("a salt has at most 16 letters")) } else { Ok(salt.as_bytes()) }
}

/// `$6$rounds=…$salt$hash`; 5000 rounds are not written.
fn crypt(id: char, rounds: usize, salt: &str, made: &str) -> String {
    if rounds == 5000 { format!("${id}${salt}${made}") } else { format!("${id}$rounds={rounds}${salt}${made}") }
}
