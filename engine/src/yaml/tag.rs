//! What the tags of YAML mean.

use base64::Engine as _;
use saphyr_parser::Tag;

use super::node::{Data, Node, Scalar, Style};
use crate::diagnostic::Diagnostic;
use crate::source::Span;

/// What the tag of a node says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tagged {
    No,
    Unsafe,
    Vault,
    Text,
    Plain,
    /// Bytes in base64.
    Binary,
    /// A dictionary whose keys alone count.
    Set,
    /// A list of dictionaries with one key each, which are pairs.
    Pairs,
}

impl Tagged {
    /// The meaning of a tag; `None` if it has none.
    pub(super) fn of(tag: &Tag) -> Option<Self> {
        Some(match (tag.is_yaml_core_schema(), tag.suffix.as_str()) {
            (false, "unsafe") => Self::Unsafe,
            (false, "vault" | "vault-encrypted") => Self::Vault,
            (true, "str" | "timestamp") => Self::Text,
            (true, "int" | "float" | "bool" | "null") => Self::Plain,
            (true, "seq" | "map") => Self::No,
            (true, "binary") => Self::Binary,
            (true, "set") => Self::Set,
            (true, "omap" | "pairs") => Self::Pairs,
            _ => return None,
        })
    }

    /// Those that people know.
    pub(super) const NAMES: [&str; 6] = ["!unsafe", "!vault", "!!str", "!!int", "!!float", "!!bool"];

    /// What a list or a dictionary with this tag is.
    pub(super) fn shape(self, data: Data) -> Data {
        match (self, data) {
            (Self::Set, Data::Map(map)) => {
                Data::Seq(map.into_iter().map(|(key, entry)| plain(key, &entry.key)).collect())
            }
            (Self::Pairs, Data::Seq(items)) => Data::Seq(items.into_iter().map(pair).collect()),
            (_, data) => data,
        }
    }
}

fn plain(text: String, span: &Span) -> Node {
    let scalar = Scalar { text, style: Style::Plain, secret: false };
    Node { data: Data::Scalar(scalar), span: span.clone(), is_unsafe: false }
}

fn pair(item: Node) -> Node {
    match item.data {
        Data::Map(map) if map.len() == 1 => {
            let both = map.into_iter().flat_map(|(key, entry)| [plain(key, &entry.key), entry.value]);
            Node { data: Data::Seq(both.collect()), ..item }
        }
        data => Node { data, ..item },
    }
}

/// The text of `!!binary`. Python would have bytes; here a text is what it has to be.
pub(super) fn binary(text: &str, span: &Span) -> Result<String, Diagnostic> {
    let packed: String = text.split_whitespace().collect();
    let bytes = base64::engine::general_purpose::STANDARD.decode(packed);
    let bytes = bytes.map_err(|error| Diagnostic::error(format!("this is not base64: {error}")).at(span))?;
    let hint = "write it to a file on this machine, and copy that";
    String::from_utf8(bytes).map_err(|_| Diagnostic::error("`!!binary` must hold a text in UTF-8").at(span).hint(hint))
}
