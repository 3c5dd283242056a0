//! The pilot-agent's lines in a proxy's log.

use crate::signature::Signature;

/// The known messages.
pub static SIGNATURES: &[Signature] = &[];
