//! Texts in other encodings than UTF-8, by the names that Python has for them.

use crate::host::Error;

/// What windows-1252 has between 0x80 and 0x9f, where it differs from latin-1; `\0` for what it has not.
const WINDOWS_1252: [char; 32] = [
    '€', '\0', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\0', 'Ž', '\0', '\0', '‘', '’', '“', '”', '•',
    '–', '—', '˜', '™', 'š', '›', 'œ', '\0', 'ž', 'Ÿ',
];
const BYTE_ORDER_MARK: [u8; 2] = [0xff, 0xfe];

/// The text so encoded; an error about that parameter where the encoding or what to do with a letter is not known.
pub(super) fn encoded(param: &'static str, encoding: &str, text: &str) -> Result<Vec<u8>, Error> {
    let name = encoding.to_ascii_lowercase().replace(['_', ' '], "-");
    let single = |byte: fn(char) -> Option<u8>| {
        let lacks = |letter: char| Error::param(param, format!("{encoding} has no `{letter}`"));
        text.chars().map(|letter| byte(letter).ok_or_else(|| lacks(letter))).collect()
    };
    match name.as_str() {
        "" | "utf-8" | "utf8" => Ok(text.as_bytes().to_vec()),
        "ascii" | "us-ascii" => single(|letter| letter.is_ascii().then_some(letter as u8)),
        "latin-1" | "latin1" | "iso-8859-1" | "iso8859-1" => single(|letter| u8::try_from(u32::from(letter)).ok()),
        "windows-1252" | "cp1252" => single(windows_1252),
        "utf-16" => Ok(BYTE_ORDER_MARK.into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect()),
        "utf-16-le" | "utf-16le" => Ok(text.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        "utf-16-be" | "utf-16be" => Ok(text.encode_utf16().flat_map(u16::to_be_bytes).collect()),
        _ => {
            let known = "utf-8, utf-16, ascii, latin-1 and windows-1252 are known";
            let error = Error::param(param, format!("`{encoding}` is no encoding: {known}"));
            Err(error.telling("msg", format!("LookupError: unknown encoding: {encoding}")))
        }
    }
}

fn windows_1252(letter: char) -> Option<u8> {
    const FIRST: u8 = 0x80;
    let above = WINDOWS_1252.iter().zip(FIRST..).find(|(known, _)| **known == letter).map(|(_, byte)| byte);
    let same = || u8::try_from(u32::from(letter)).ok().filter(|byte| !(FIRST..FIRST + 32).contains(byte));
    above.filter(|_| letter != '\0').or_else(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_python() {
        let table: [(&str, &str, Option<&[u8]>); 9] = [
            ("", "é", Some("é".as_bytes())),
            ("windows-1252", "“é” €", Some(&[0x93, 0xe9, 0x94, b' ', 0x80])),
            ("cp1252", "\u{81}", None),
            ("latin-1", "é", Some(&[0xe9])),
            ("iso-8859-1", "€", None),
            ("ascii", "é", None),
            ("UTF_16", "a", Some(&[0xff, 0xfe, b'a', 0])),
            ("utf-16-be", "a", Some(&[0, b'a'])),
            ("klingon", "a", None),
        ];
        for (encoding, text, wanted) in table {
            assert_eq!(encoded("output_encoding", encoding, text).ok().as_deref(), wanted, "{encoding}");
        }
    }
}
