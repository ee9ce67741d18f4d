//! The `state` of a thing that is there or is not.

use schemars::JsonSchema;
use serde::Deserialize;

/// What most modules mean by `state`.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// It is there, as described.
    #[default]
    Present,
    /// It is not there.
    Absent,
}

impl State {
    /// As it is written.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Absent => "absent",
        }
    }
}
