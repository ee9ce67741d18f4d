//! Where things stand: the parser counts characters, a source counts bytes.

use std::sync::Arc;

use crate::source::{Source, Span};

/// From the parser's positions to spans.
pub(super) enum Places {
    /// Characters count; `bytes[n]` is the offset of the n-th, or `None` for ASCII, where both are the same.
    Open { source: Arc<Source>, bytes: Option<Vec<usize>>, skip: usize },
    /// The text was decrypted: all that may be shown is the vault's header.
    Sealed(Span),
}

impl Places {
    pub(super) fn open(source: &Arc<Source>) -> Self {
        let skip = if source.text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        let text = &source.text[skip..];
        let bytes = (!text.is_ascii()).then(|| text.char_indices().map(|(at, _)| at).collect());
        Self::Open { source: Arc::clone(source), bytes, skip }
    }

    pub(super) fn span(&self, start: usize, end: usize) -> Span {
        match self {
            Self::Sealed(header) => header.clone(),
            Self::Open { source, bytes, skip } => {
                let byte = |index: usize| match bytes {
                    Some(bytes) => skip + bytes.get(index).copied().unwrap_or(source.text.len() - skip),
                    None => skip + index,
                };
                Span::new(source, byte(start), byte(end))
            }
        }
    }
}
