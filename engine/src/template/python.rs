//! Python's semantics, as far as templates see them.

pub(crate) mod format;
pub(crate) mod methods;
pub(crate) mod mutable;
pub(crate) mod operators;
pub(crate) mod percent;
pub(crate) mod random;
pub(crate) mod text;
pub(crate) mod time;
