//! The catalogue: every root cause, in the order of `meshwhy causes`.

#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

mod transient_recovered;

use crate::engine::cause::Cause;

/// Every cause, in the order of the catalogue.
pub static ALL: &[&Cause] = &[
    // nothing to fix
    &transient_recovered::CAUSE,
    // control plane reachability and identity
    // multicluster: discovery and gateways
    // ambient
    // traffic policy and security policy
    // upstream and data path
    // Kubernetes, DNS, network
];

/// The cause with this slug.
pub fn find(slug: &str) -> Option<&'static Cause> {
    ALL.iter().find(|cause| cause.slug == slug).copied()
}
