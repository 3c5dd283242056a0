//! Kubernetes objects as YAML, JSON and `kubectl describe` print them.

use crate::document::{Document, Found};

/// Reads a document, if it is one of these.
pub fn read(_bytes: &[u8], _found: Found<'_>) -> Option<Result<Document, String>> {
    None
}

/// A table row as the object it shows a part of.
pub fn from_row(_state: &crate::state::State) -> Option<crate::state::object::Object> {
    None
}
