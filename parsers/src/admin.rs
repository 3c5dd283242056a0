//! What an Envoy says about itself: its admin endpoints, and what istioctl prints of them.

mod metrics;

use crate::document::{Document, Found};

pub use metrics::{SERIES_MAX, Series, metrics, series};
pub(crate) use metrics::{is_of_istiod, is_prometheus};

/// Reads a document, if it is one of these.
pub fn read(_bytes: &[u8], _found: Found<'_>) -> Option<Result<Document, String>> {
    None
}
