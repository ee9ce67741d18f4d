//! YAML as Ansible reads it, with the place of every node.
//!
//! An event parser that knows marks and scalar styles stands in front ([`load`]); what a plain scalar means is YAML
//! 1.1's business ([`scalar`]); [`convert`] turns nodes into values. Nothing here knows what a playbook is.

mod convert;
mod flow;
mod hint;
mod load;
mod mode;
mod node;
mod places;
mod scalar;
mod tag;

pub use convert::{from_yaml, to_yaml};
pub use load::{load, load_all};
pub use node::{Data, Entry, Mapping, Node, Scalar, Style};
pub use scalar::Plain;

#[cfg(test)]
mod tests;
