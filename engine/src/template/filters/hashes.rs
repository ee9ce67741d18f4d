//! Digests and encodings.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minijinja::Error;
use minijinja::value::Value;
use sha2::Digest as _;

use super::super::call::{Call, Entry, fail};

pub(super) static ALL: &[Entry] = &[
    Entry::new(&["hash"], &["value", "hashtype"], "A digest in hexadecimal; sha1 by default.", |c| {
        let kind = c.str_or(1, "sha1")?;
        digest(&c.str(0)?, &kind).map(Value::from)
    }),
    Entry::new(&["checksum", "sha1"], &["value"], "The SHA-1 digest.", |c| digest(&c.str(0)?, "sha1").map(Value::from)),
    Entry::new(&["md5"], &["value"], "The MD5 digest.", |c| digest(&c.str(0)?, "md5").map(Value::from)),
    Entry::new(&["b64encode"], &["value", "encoding"], "Encodes in base64.", |c| {
        Ok(Value::from(STANDARD.encode(c.str(0)?)))
    }),
    Entry::new(&["b64decode"], &["value", "encoding"], "Reads base64.", b64decode),
    Entry::new(&["password_hash"], &["value", "*", "**"], "Not supported.", |_| {
        Err(fail("'password_hash' is not supported: give the hash itself, for example from 'mkpasswd'"))
    }),
    Entry::new(&["to_uuid"], &["value", "namespace"], "A UUID made from a text.", to_uuid),
];

fn digest(text: &str, kind: &str) -> Result<String, Error> {
    let hex = |bytes: &[u8]| {
        bytes.iter().fold(String::new(), |mut out, b| {
            write!(out, "{b:02x}").expect("writing to a string succeeds");
            out
        })
    };
    Ok(match kind {
        "sha1" => hex(&sha1(text.as_bytes())),
        "md5" => return Err(fail("md5 is not supported: it is broken; use sha256")),
        "sha224" => hex(&sha2::Sha224::digest(text)),
        "sha256" => hex(&sha2::Sha256::digest(text)),
        "sha384" => hex(&sha2::Sha384::digest(text)),
        "sha512" => hex(&sha2::Sha512::digest(text)),
        other => return Err(fail(format!("'{other}' is no digest: sha1, sha224, sha256, sha384 or sha512"))),
    })
}

/// SHA-1 (RFC 3174): only for names that others have made with it, as UUIDs are; nothing here relies on it.
fn sha1(data: &[u8]) -> [u8; 20] {
    let mut h: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    let mut padded = data.to_vec();
    padded.push(0x80);
    padded.resize(
        padded.len().next_multiple_of(64) + if padded.len() % 64 > 56 || padded.len() % 64 == 0 { 64 } else { 0 },
        0,
    );
    let bits = (data.len() as u64 * 8).to_be_bytes();
    let len = padded.len();
    padded[len - 8..].copy_from_slice(&bits);
    for block in padded.chunks(64) {
        let mut w: Vec<u32> = block.chunks(4).map(|b| b.iter().fold(0, |word, b| word << 8 | u32::from(*b))).collect();
        for i in 16..80 {
            w.push((w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16]).rotate_left(1));
        }
        let [mut a, mut b, mut c, mut d, mut e] = h;
        for (i, word) in w.iter().enumerate() {
            let (f, k) = match i / 20 {
                0 => ((b & c) | (!b & d), 0x5a82_7999),
                1 => (b ^ c ^ d, 0x6ed9_eba1),
                2 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6_u32),
            };
            let next = a.rotate_left(5).wrapping_add(f).wrapping_add(e).wrapping_add(k).wrapping_add(*word);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
        }
        for (sum, part) in h.iter_mut().zip([a, b, c, d, e]) {
            *sum = sum.wrapping_add(part);
        }
    }
    let mut out = [0; 20];
    for (i, word) in h.iter().enumerate() {
        out[i * 4..i * 4 + 4].copy_from_slice(&word.to_be_bytes());
    }
    out
}

fn b64decode(c: &mut Call) -> Result<Value, Error> {
    let text: String = c.str(0)?.split_whitespace().collect();
    let bytes = STANDARD.decode(text).map_err(|e| fail(format!("not base64: {e}")))?;
    String::from_utf8(bytes).map(Value::from).map_err(|_| fail("the decoded bytes are not text"))
}

/// Ansible's own namespace for UUIDs from names (version 5, RFC 9562).
const NAMESPACE: &str = "361E6D51-FAEC-444A-9079-341386DA8E2E";

fn to_uuid(c: &mut Call) -> Result<Value, Error> {
    let namespace = c.str_or(1, NAMESPACE)?.replace('-', "");
    let byte = |i: usize| namespace.get(i * 2..i * 2 + 2).and_then(|h| u8::from_str_radix(h, 16).ok());
    let mut data = (0..16).map(byte).collect::<Option<Vec<u8>>>().ok_or_else(|| fail("the namespace is not a UUID"))?;
    data.extend(c.str(0)?.bytes());
    let mut id = sha1(&data);
    id[6] = id[6] & 0x0f | 0x50;
    id[8] = id[8] & 0x3f | 0x80;
    let hex: String = id[..16].iter().map(|b| format!("{b:02x}")).collect();
    Ok(Value::from([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")))
}
