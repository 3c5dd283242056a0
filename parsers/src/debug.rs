//! What an istiod says about the mesh: its debug endpoints, its metrics, and what istioctl prints of them.

mod mesh;

use crate::document::{Document, Found};

pub use mesh::mesh_config;

/// Reads a document, if it is one of these.
pub fn read(_bytes: &[u8], _found: Found<'_>) -> Option<Result<Document, String>> {
    None
}
