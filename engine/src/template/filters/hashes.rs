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
        let text = c.str(0)?;
        Ok(Value::from(match encoding(c)? {
            Encoding::Utf8 => STANDARD.encode(text),
            Encoding::Utf16(order) => STANDARD.encode(text.encode_utf16().flat_map(order.1).collect::<Vec<u8>>()),
        }))
    }),
    Entry::new(&["b64decode"], &["value", "encoding"], "Reads base64.", b64decode),
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
        "sha1" => hex(&sha1::Sha1::digest(text)),
        "md5" => hex(&<md5::Md5 as md5::Digest>::digest(text)),
        "sha224" => hex(&sha2::Sha224::digest(text)),
        "sha256" => hex(&sha2::Sha256::digest(text)),
        "sha384" => hex(&sha2::Sha384::digest(text)),
        "sha512" => hex(&sha2::Sha512::digest(text)),
        other => return Err(fail(format!("'{other}' is no digest: md5, sha1, sha224, sha256, sha384 or sha512"))),
    })
}

type ByteOrder = (fn([u8; 2]) -> u16, fn(u16) -> [u8; 2]);

/// How letters are bytes.
enum Encoding {
    Utf8,
    Utf16(ByteOrder),
}

fn encoding(c: &Call) -> Result<Encoding, Error> {
    Ok(match c.str_or(1, "utf-8")?.to_lowercase().replace('_', "-").as_str() {
        "utf-8" | "utf8" | "ascii" | "us-ascii" => Encoding::Utf8,
        "utf-16-le" | "utf-16le" => Encoding::Utf16((u16::from_le_bytes, u16::to_le_bytes)),
        "utf-16-be" | "utf-16be" => Encoding::Utf16((u16::from_be_bytes, u16::to_be_bytes)),
        other => return Err(fail(format!("the encoding '{other}' is not known here: utf-8, utf-16-le or utf-16-be"))),
    })
}

fn b64decode(c: &mut Call) -> Result<Value, Error> {
    // What is no letter of base64 is passed over, as Python does.
    let text = c.str(0)?.replace(|ch: char| !ch.is_ascii_alphanumeric() && !"+/=".contains(ch), "");
    let lenient = base64::engine::GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
    let engine = base64::engine::GeneralPurpose::new(&base64::alphabet::STANDARD, lenient);
    let bytes = engine.decode(text).map_err(|e| fail(format!("not base64: {e}")))?;
    let decoded = match encoding(c)? {
        Encoding::Utf8 => String::from_utf8(bytes).ok(),
        Encoding::Utf16(order) => {
            String::from_utf16(&bytes.chunks_exact(2).map(|b| order.0([b[0], b[1]])).collect::<Vec<_>>()).ok()
        }
    };
    decoded.map(Value::from).ok_or_else(|| fail("the decoded bytes are not text"))
}

/// Ansible's own namespace for UUIDs from names (version 5, RFC 9562).
const NAMESPACE: &str = "361E6D51-FAEC-444A-9079-341386DA8E2E";

fn to_uuid(c: &mut Call) -> Result<Value, Error> {
    let namespace = c.str_or(1, NAMESPACE)?.replace('-', "");
    let byte = |i: usize| namespace.get(i * 2..i * 2 + 2).and_then(|h| u8::from_str_radix(h, 16).ok());
    let mut data = (0..16).map(byte).collect::<Option<Vec<u8>>>().ok_or_else(|| fail("the namespace is not a UUID"))?;
    data.extend(c.str(0)?.bytes());
    let mut id = sha1::Sha1::digest(&data);
    id[6] = id[6] & 0x0f | 0x50;
    id[8] = id[8] & 0x3f | 0x80;
    let hex: String = id[..16].iter().map(|b| format!("{b:02x}")).collect();
    Ok(Value::from([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")))
}
