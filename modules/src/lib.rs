//! What Trueup can do to a host.
#![allow(missing_docs, reason = "being laid out")]

pub mod host;
pub mod secret;
