//! Variables in layers: which definition of a name counts.
//!
//! The layers of one host are shared maps, so that thousands of hosts hold one copy of what they have in common, and
//! giving a task its variables is pushing a few pointers.

mod extra;
mod layers;

pub use extra::{ExtraError, parse_extra};
pub use layers::{Hosts, Layer, Layers};
