//! Text that must never be shown: a password, a key, the content of a vault.
//!
//! The one door is [`Secret::expose`]; whoever reviews for leaks greps for it. A secret has no `Display` and no
//! `Serialize`, its `Debug` is redacted, and its memory is overwritten when it is dropped.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

/// What stands in the place of a secret wherever something is shown.
pub const REDACTED: &str = "«redacted»";

/// A secret text. Equality compares the text.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text; from here on it is redacted everywhere.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself: to hash it, to hand it to a server, to seal it for the agent. Never to show it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_is_redacted() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), REDACTED);
    }
}
