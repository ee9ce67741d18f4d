//! Ansible's vault format, versions 1.1 and 1.2: read and written byte for byte as `ansible-vault` does.
//!
//! An envelope is a header line, then lines of 80 columns of `hex(hex(salt) "\n" hex(hmac) "\n" hex(ciphertext))`.
//! PBKDF2-HMAC-SHA256 (10,000 rounds) makes 80 bytes of a password: an AES-256 key, an HMAC key, and the counter block.
//! The cipher is AES-256-CTR over the text padded as PKCS #7; HMAC-SHA256 over the ciphertext tells a wrong password.

use aes::Aes256;
use aes::cipher::{KeyIvInit, StreamCipher};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use thiserror::Error;
use trueup_modules::secret::Secret;
use zeroize::Zeroizing;

use crate::diagnostic::Diagnostic;
use crate::source::Span;

/// How every vault begins.
const MAGIC: &str = "$ANSIBLE_VAULT";
const CIPHER: &str = "AES256";
const ROUNDS: u32 = 10_000;
/// Also the alignment that PKCS #7 pads to.
const BLOCK: usize = 16;
/// Columns of an envelope's body.
const WIDTH: usize = 80;
/// The label that stands for "no label".
const DEFAULT_ID: &str = "default";

/// Why a vault stays closed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum VaultError {
    /// The text is not an envelope as the format wants it.
    #[error("{name} is not a readable vault: {why}")]
    Format {
        /// The file or value.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// No password at all was given.
    #[error("no vault password was given, and {name} is encrypted{}", label(.id))]
    NoPassword {
        /// The file or value.
        name: String,
        /// The vault id in its header.
        id: Option<String>,
    },
    /// No password that was given fits.
    #[error("{} not open {name}{}", do_or_does(.tried), label(.id))]
    WrongPassword {
        /// The file or value.
        name: String,
        /// The vault id in its header.
        id: Option<String>,
        /// The vault ids whose passwords were tried, in order.
        tried: Vec<String>,
    },
    /// The content had to be text.
    #[error("{name} does not hold UTF-8 text")]
    NotText {
        /// The file or value.
        name: String,
    },
}

fn label(id: &Option<String>) -> String {
    id.as_ref().map(|id| format!(" with vault id `{id}`")).unwrap_or_default()
}

fn do_or_does(tried: &[String]) -> String {
    let ids = tried.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ");
    if tried.len() == 1 { format!("vault password {ids} does") } else { format!("vault passwords {ids} do") }
}

impl VaultError {
    /// The error at its place, with what the user can do about it.
    pub fn at(&self, span: &Span) -> Diagnostic {
        let diagnostic = Diagnostic::error(self.to_string()).at(span);
        match self {
            Self::NoPassword { id, .. } => diagnostic.hint(match id {
                Some(id) => format!("give it with `--vault-id {id}@FILE` or `--vault-password-file FILE`"),
                None => "give it with `--vault-password-file FILE`".to_owned(),
            }),
            Self::WrongPassword { id: Some(id), tried, .. } if !tried.contains(id) => {
                diagnostic.hint(format!("no password was given for vault id `{id}`: add `--vault-id {id}@FILE`"))
            }
            Self::WrongPassword { .. } => diagnostic
                .hint("check that the password file is the one this vault was made with (a vault can be damaged, too)"),
            Self::Format { .. } | Self::NotText { .. } => diagnostic,
        }
    }
}

/// The passwords of a run, by vault id.
#[derive(Clone, Debug, Default)]
pub struct VaultPasswords(Vec<(String, Secret)>, bool);

impl VaultPasswords {
    /// None: every vault stays closed.
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds the password for a vault id (`None`: `default`). What was read from a file or a script is trimmed, as
    /// Ansible does.
    pub fn add(&mut self, id: Option<&str>, password: &Secret) {
        let id = id.unwrap_or(DEFAULT_ID).to_owned();
        self.0.push((id, Secret::new(password.expose().trim())));
    }

    /// The same, and a vault is tried with the passwords of its own id only.
    #[must_use]
    pub fn matching(mut self) -> Self {
        self.1 = true;
        self
    }

    /// Those of the vault id first, then all others: the label in a header is a hint, not a lock, unless somebody wants it so.
    fn candidates<'a>(&'a self, id: Option<&'a str>) -> impl Iterator<Item = &'a (String, Secret)> {
        let id = id.unwrap_or(DEFAULT_ID);
        let (same, other): (Vec<_>, Vec<_>) = self.0.iter().partition(|(own, _)| own == id);
        same.into_iter().chain(other.into_iter().filter(|_| !self.1))
    }
}

/// Whether a text is a vault.
pub fn is_vault(text: &str) -> bool {
    text.starts_with(MAGIC)
}

/// The content of a vault. `name` says in errors what it is: ``file `x.yml` ``.
pub fn decrypt(text: &str, passwords: &VaultPasswords, name: &str) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    open(text, passwords, name).map(|opened| opened.content)
}

/// What was in a vault, and what it can be sealed with again.
pub struct Opened {
    /// The content.
    pub content: Zeroizing<Vec<u8>>,
    /// The vault id in its header.
    pub id: Option<String>,
    /// The password that opened it.
    pub password: Secret,
}

/// As [`decrypt`], with what opened it.
pub fn open(text: &str, passwords: &VaultPasswords, name: &str) -> Result<Opened, VaultError> {
    let format = |why| VaultError::Format { name: name.to_owned(), why };
    let envelope = Envelope::parse(text).map_err(format)?;
    let mut tried = Vec::new();
    for (id, password) in passwords.candidates(envelope.id.as_deref()) {
        if let Some(padded) = envelope.open(password) {
            let content = unpad(padded).ok_or_else(|| format("its padding is damaged"))?;
            return Ok(Opened { content, id: envelope.id.clone(), password: password.clone() });
        }
        tried.push(id.clone());
    }
    let (name, id) = (name.to_owned(), envelope.id);
    Err(if tried.is_empty() {
        VaultError::NoPassword { name, id }
    } else {
        VaultError::WrongPassword { name, id, tried }
    })
}

/// The content of a vault that holds text.
pub fn decrypt_text(text: &str, passwords: &VaultPasswords, name: &str) -> Result<Secret, VaultError> {
    let content = decrypt(text, passwords, name)?;
    let text = std::str::from_utf8(&content).map_err(|_| VaultError::NotText { name: name.to_owned() })?;
    Ok(Secret::new(text))
}

/// Seals a content. `id` goes into the header (format 1.2); `salt` should be 32 random bytes that were never used before.
pub fn encrypt(content: &[u8], password: &Secret, id: Option<&str>, salt: &[u8]) -> String {
    let keys = Keys::derive(password, salt);
    let fill = BLOCK - content.len() % BLOCK;
    let mut text = content.to_vec();
    text.resize(content.len() + fill, u8::try_from(fill).expect("a block is 16 bytes"));
    keys.cipher().apply_keystream(&mut text);
    let mac = keys.mac(&text).finalize().into_bytes();
    let body = to_hex(format!("{}\n{}\n{}", to_hex(salt), to_hex(&mac), to_hex(&text)).as_bytes());

    let mut out = match id.filter(|id| *id != DEFAULT_ID) {
        Some(id) => format!("{MAGIC};1.2;{CIPHER};{id}\n"),
        None => format!("{MAGIC};1.1;{CIPHER}\n"),
    };
    for (at, digit) in body.chars().enumerate() {
        if at > 0 && at % WIDTH == 0 {
            out.push('\n');
        }
        out.push(digit);
    }
    out.push('\n');
    out
}

/// A vault taken apart.
struct Envelope {
    id: Option<String>,
    salt: Vec<u8>,
    mac: Vec<u8>,
    ciphertext: Vec<u8>,
}

impl Envelope {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let (header, body) = text.split_once('\n').ok_or("it has only a header")?;
        let mut fields = header.trim().split(';').map(str::trim);
        let (magic, version, cipher) = (fields.next(), fields.next(), fields.next());
        if magic != Some(MAGIC) {
            return Err("its header does not begin with $ANSIBLE_VAULT");
        }
        if !matches!(version, Some("1.1" | "1.2")) {
            return Err("its format is neither 1.1 nor 1.2");
        }
        if cipher != Some(CIPHER) {
            return Err("its cipher is not AES256");
        }
        let id = fields.next().filter(|id| !id.is_empty()).map(str::to_owned);
        let inner = from_hex(body.split_whitespace().flat_map(str::bytes)).ok_or("its body is not hexadecimal")?;
        let mut parts = inner.splitn(3, |byte| *byte == b'\n').map(|part| from_hex(part.iter().copied()));
        let mut part = || parts.next().flatten().ok_or("its body is damaged");
        Ok(Self { id, salt: part()?, mac: part()?, ciphertext: part()? })
    }

    /// The padded content, if this is the password.
    fn open(&self, password: &Secret) -> Option<Zeroizing<Vec<u8>>> {
        let keys = Keys::derive(password, &self.salt);
        // `verify_slice` compares in constant time.
        keys.mac(&self.ciphertext).verify_slice(&self.mac).ok()?;
        let mut text = Zeroizing::new(self.ciphertext.clone());
        keys.cipher().apply_keystream(&mut text);
        Some(text)
    }
}

/// What a password and a salt make.
struct Keys(Zeroizing<[u8; 80]>);

impl Keys {
    fn derive(password: &Secret, salt: &[u8]) -> Self {
        let mut keys = Zeroizing::new([0; 80]);
        pbkdf2::pbkdf2_hmac::<Sha256>(password.expose().as_bytes(), salt, ROUNDS, keys.as_mut_slice());
        Self(keys)
    }

    fn cipher(&self) -> ctr::Ctr128BE<Aes256> {
        ctr::Ctr128BE::<Aes256>::new_from_slices(&self.0[..32], &self.0[64..]).expect("the slices are 32 and 16 bytes")
    }

    fn mac(&self, ciphertext: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0[32..64]).expect("HMAC takes keys of any length");
        mac.update(ciphertext);
        mac
    }
}

fn unpad(mut padded: Zeroizing<Vec<u8>>) -> Option<Zeroizing<Vec<u8>>> {
    let fill = usize::from(*padded.last()?);
    let content = padded.len().checked_sub(fill)?;
    if !(1..=BLOCK).contains(&fill) || padded[content..].iter().any(|byte| usize::from(*byte) != fill) {
        return None;
    }
    padded.truncate(content);
    Some(padded)
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(digits: impl Iterator<Item = u8>) -> Option<Vec<u8>> {
    let nibbles: Vec<u8> =
        digits.map(|digit| char::from(digit).to_digit(16).and_then(|n| n.try_into().ok())).collect::<Option<_>>()?;
    let pairs = nibbles.chunks_exact(2);
    pairs.remainder().is_empty().then(|| nibbles.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use insta::assert_snapshot;

    use super::*;
    use crate::diagnostic::Paint;
    use crate::source::Source;

    /// Made by `ansible-vault` of ansible-core 2.19; the password is `correct horse`.
    const PLAIN: &str = include_str!("../fixtures/vault/vars_1.1.yml");
    const LABELLED: &str = include_str!("../fixtures/vault/vars_1.2.yml");

    fn passwords(entries: &[(Option<&str>, &str)]) -> VaultPasswords {
        let mut passwords = VaultPasswords::none();
        for (id, password) in entries {
            passwords.add(*id, &Secret::new(*password));
        }
        passwords
    }

    fn error(text: &str, passwords: &VaultPasswords) -> String {
        let source = Arc::new(Source { path: "vault.yml".into(), text: text.to_owned() });
        let span = Span::new(&source, 0, text.find('\n').unwrap_or(text.len()));
        decrypt(text, passwords, "file `vault.yml`").expect_err("it must not open").at(&span).render(Paint::Plain)
    }

    #[test]
    fn opens_what_ansible_sealed() {
        let table: &[(&str, &[u8])] = &[
            (PLAIN, b"db_password: s3cret\nport: 5432\n"),
            (LABELLED, b"db_password: s3cret\nurl: \"pg://{{ host }}/x\"\n"),
            (include_str!("../fixtures/vault/empty"), b""),
            (include_str!("../fixtures/vault/one_block"), b"0123456789abcdef"),
            (include_str!("../fixtures/vault/binary"), b"\xff\xfe\x00"),
        ];
        let passwords = passwords(&[(None, "wrong"), (Some("prod"), " correct horse\n")]);
        for (text, want) in table {
            let content = decrypt(text, &passwords, "it").expect("the password is among those given");
            assert_eq!(content.as_slice(), *want);
        }
    }

    /// With the salt of ansible's own file, the whole envelope must come out byte for byte.
    #[test]
    fn seals_as_ansible_does() {
        for (text, id) in [(PLAIN, None), (LABELLED, Some("prod"))] {
            let salt: [u8; 32] = Envelope::parse(text).expect("valid").salt.try_into().expect("32 bytes");
            let passwords = passwords(&[(id, "correct horse")]);
            let content = decrypt(text, &passwords, "it").expect("opens");
            assert_eq!(encrypt(&content, &Secret::new("correct horse"), id, &salt), text);
        }
    }

    #[test]
    fn a_missing_password_names_the_flag() {
        assert_snapshot!(error(LABELLED, &VaultPasswords::none()), @r"
        error: no vault password was given, and file `vault.yml` is encrypted with vault id `prod`
         --> vault.yml:1:1
          |
        1 | $ANSIBLE_VAULT;1.2;AES256;prod
          | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
        hint: give it with `--vault-id prod@FILE` or `--vault-password-file FILE`
        ");
        assert_snapshot!(error(PLAIN, &VaultPasswords::none()), @r"
        error: no vault password was given, and file `vault.yml` is encrypted
         --> vault.yml:1:1
          |
        1 | $ANSIBLE_VAULT;1.1;AES256
          | ^^^^^^^^^^^^^^^^^^^^^^^^^
        hint: give it with `--vault-password-file FILE`
        ");
    }

    #[test]
    fn a_wrong_password_names_file_and_id() {
        assert_snapshot!(error(LABELLED, &passwords(&[(Some("prod"), "wrong")])), @r"
        error: vault password `prod` does not open file `vault.yml` with vault id `prod`
         --> vault.yml:1:1
          |
        1 | $ANSIBLE_VAULT;1.2;AES256;prod
          | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
        hint: check that the password file is the one this vault was made with (a vault can be damaged, too)
        ");
        assert_snapshot!(error(LABELLED, &passwords(&[(None, "wrong"), (Some("dev"), "bad")])), @r"
        error: vault passwords `default`, `dev` do not open file `vault.yml` with vault id `prod`
         --> vault.yml:1:1
          |
        1 | $ANSIBLE_VAULT;1.2;AES256;prod
          | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
        hint: no password was given for vault id `prod`: add `--vault-id prod@FILE`
        ");
    }

    #[test]
    fn damage_is_told_from_a_wrong_password() {
        let passwords = passwords(&[(None, "correct horse")]);
        let table: &[(&str, &str)] = &[
            ("$ANSIBLE_VAULT;1.1;AES256", "it has only a header"),
            ("$ANSIBLE_VAULT;9.9;AES256\n00", "its format is neither 1.1 nor 1.2"),
            ("$ANSIBLE_VAULT;1.1;AES\n00", "its cipher is not AES256"),
            ("$ANSIBLE_VAULT;1.1;AES256\nxyz", "its body is not hexadecimal"),
            ("$ANSIBLE_VAULT;1.1;AES256\n0", "its body is not hexadecimal"),
            ("$ANSIBLE_VAULT;1.1;AES256\n3030", "its body is damaged"),
        ];
        for (text, why) in table {
            let name = "it".to_owned();
            assert_eq!(decrypt(text, &passwords, "it").err(), Some(VaultError::Format { name, why }), "{text}");
        }
    }

    #[test]
    fn padding_is_checked() {
        let table: &[(&[u8], Option<&[u8]>)] = &[
            (b"abc\x02\x02", Some(b"abc")),
            (b"\x01", Some(b"")),
            (b"", None),
            (b"abc\x00", None),
            (b"abc\x01\x02", None),
            (b"\x03\x03", None),
            (&[17; 17], None),
        ];
        for (padded, want) in table {
            let got = unpad(Zeroizing::new(padded.to_vec()));
            assert_eq!(got.as_ref().map(|content| content.as_slice()), *want, "{padded:?}");
        }
    }
}
