//! The tests of Jinja and of `ansible.builtin`: what may follow `is`.

mod results;
mod values;
mod version;

use super::call::Entry;

/// All tests.
pub(crate) fn all() -> impl Iterator<Item = &'static Entry> {
    [results::ALL, values::ALL, version::ALL].into_iter().flatten()
}
