//! SCRAM-SHA-256 verifiers: what a server stores instead of a password (RFC 5802, RFC 7677).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use crate::secret::Secret;

/// PostgreSQL's own `scram_iterations`.
const ITERATIONS: u32 = 4096;

/// The verifier of a password, in PostgreSQL's notation: `SCRAM-SHA-256$4096:salt$stored key:server key`.
pub(super) fn verifier(password: &Secret, salt: &[u8]) -> String {
    compute(password, salt, ITERATIONS)
}

/// Whether a role that has `stored` as its password (`pg_authid.rolpassword`) can log in with `wanted`. An md5 hash is
/// never what is wanted. `wanted` may itself be a verifier.
pub(super) fn accepts(stored: &str, wanted: &Secret) -> bool {
    if is_verifier(wanted.expose()) {
        return stored == wanted.expose();
    }
    parse(stored).is_some_and(|(iterations, salt)| compute(wanted, &salt, iterations) == stored)
}

/// Whether a text is a verifier already, so that a server would store it as it is.
pub(super) fn is_verifier(text: &str) -> bool {
    parse(text).is_some()
}

fn parse(verifier: &str) -> Option<(u32, Vec<u8>)> {
    let (head, keys) = verifier.strip_prefix("SCRAM-SHA-256$")?.split_once('$')?;
    let (iterations, salt) = head.split_once(':')?;
    let (stored, server) = keys.split_once(':')?;
    let key = |text: &str| STANDARD.decode(text).is_ok_and(|key| key.len() == 32);
    let iterations = iterations.parse().ok().filter(|iterations| *iterations > 0)?;
    (key(stored) && key(server)).then_some((iterations, STANDARD.decode(salt).ok()?))
}

fn compute(password: &Secret, salt: &[u8], iterations: u32) -> String {
    // As the server does: what SASLprep (RFC 4013) forbids is used as it is.
    let prepared = stringprep::saslprep(password.expose()).unwrap_or_else(|_| password.expose().into());
    let salted = pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(prepared.as_bytes(), salt, iterations);
    let stored_key = Sha256::digest(hmac(&salted, b"Client Key"));
    let server_key = hmac(&salted, b"Server Key");
    let [salt, stored_key, server_key] = [salt, &stored_key, &server_key].map(|bytes| STANDARD.encode(bytes));
    format!("SCRAM-SHA-256${iterations}:{salt}${stored_key}:{server_key}")
}

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the tests of postgres-protocol; the server computes the same.
    const OF_SECRET: &str = "SCRAM-SHA-256$4096:AQIDBAUGBwgJCgsMDQ4PEA==$8rrDg00OqaiWXJ7p+sCgHEIaBSHY89ZJl3mfIsf32oY=:05L1f+yZbiN8O0AnO40Og85NNRhvzTS57naKRWCcsIA=";

    #[test]
    fn the_verifier_of_a_password() {
        let salt: Vec<u8> = (1..=16).collect();
        assert_eq!(verifier(&Secret::new("secret"), &salt), OF_SECRET);
    }

    #[test]
    fn whether_a_stored_password_is_the_one_wanted() {
        let (soft_hyphen, plain) = ("pass\u{ad}word", "password");
        let of_plain = verifier(&Secret::new(plain), b"salt");
        let table = [
            (OF_SECRET, "secret", true),
            (OF_SECRET, "Secret", false),
            (OF_SECRET, OF_SECRET, true),
            (&of_plain, OF_SECRET, false),
            // SASLprep maps a soft hyphen to nothing.
            (&of_plain, soft_hyphen, true),
            ("md54ab2c5d00339c4b2a4e921d2dc4edec7", "secret", false),
            ("SCRAM-SHA-256$0:AQ==$x:y", "secret", false),
            // Half a verifier is a password like any other.
            (&OF_SECRET[..100], &OF_SECRET[..100], false),
            ("secret", "secret", false),
        ];
        for (stored, wanted, accepted) in table {
            assert_eq!(accepts(stored, &Secret::new(wanted)), accepted, "{stored} {wanted}");
        }
    }
}
