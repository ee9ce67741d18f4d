//! Names and texts as parts of SQL, for statements that take no parameters (`CREATE ROLE`).

use crate::host::Error;

/// The most bytes of a name that a server keeps (`NAMEDATALEN` - 1); of a longer one it would silently drop the rest.
const MAX_NAME: usize = 63;

/// A name as a quoted identifier. `param` is the parameter that it came in.
pub(super) fn identifier(param: &str, name: &str) -> Result<String, Error> {
    if name.is_empty() || name.len() > MAX_NAME || name.contains('\0') {
        return Err(Error::param(param, format!("`{}` cannot be a name: 1 to {MAX_NAME} bytes", name.escape_debug())));
    }
    Ok(format!("\"{}\"", name.replace('"', "\"\"")))
}

/// A text as a literal, whatever `standard_conforming_strings` is, as libpq's `PQescapeLiteral` has it.
pub(super) fn literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    match text.contains('\\') {
        true => format!(" E'{}'", doubled.replace('\\', "\\\\")),
        false => format!("'{doubled}'"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers() {
        let (longest, long) = ("x".repeat(63), "x".repeat(64));
        assert!(identifier("name", &longest).is_ok());
        let table = [
            ("a", Some(r#""a""#)),
            ("A b", Some(r#""A b""#)),
            (r#"a"; --"#, Some(r#""a""; --""#)),
            ("", None),
            (&long, None),
            ("a\0", None),
        ];
        for (name, wanted) in table {
            assert_eq!(identifier("name", name).ok().as_deref(), wanted, "{name}");
        }
    }

    #[test]
    fn literals() {
        for (text, wanted) in [("a", "'a'"), ("it's", "'it''s'"), (r"\'", r" E'\\'''"), ("", "''")] {
            assert_eq!(literal(text), wanted, "{text}");
        }
    }
}
