//! Envoy's application log.

use crate::signature::Signature;

/// The known messages.
pub static SIGNATURES: &[Signature] = &[];
