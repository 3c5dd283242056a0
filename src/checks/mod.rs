//! The checks of `meshwhy check`, in the order in which one failure makes the next meaningless.

#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

#[cfg(test)]
pub mod testing;

use crate::engine::check::Check;

/// All checks.
pub static ALL: &[&Check] = &[];
