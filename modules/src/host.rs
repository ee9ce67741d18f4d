//! Looking at a host.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why something can't be known in a preview: the name of the task that has to run first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    /// The task's name, as shown.
    pub after: String,
}

/// `known after Install PostgreSQL`.
impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "known after {}", self.after)
    }
}
