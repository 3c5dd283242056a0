//! The checks of `meshwhy check`, in the order in which one failure makes the next meaningless.

#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

pub mod capture;
pub mod cluster_ids;
pub mod environment;
pub mod gateways;
pub mod hbone;
pub mod licence;
pub mod locality;
pub mod modes;
pub mod networks;
pub mod peers;
pub mod pods;
pub mod pushed;
pub mod remote_clusters;
pub mod remote_control_plane;
pub mod remote_secrets;
pub mod replicas;
pub mod services;
pub mod stale;
pub mod tried;
pub mod trust;
pub mod versions;
pub mod waypoints;
pub mod webhooks;

#[cfg(test)]
pub mod testing;

use meshwhy_parsers::state::object::Object;

use crate::engine::cause::Verdict;
use crate::engine::check::Check;
use crate::engine::mesh::Doc;

/// All checks.
pub static ALL: &[&Check] = &[
    &environment::CHECK,
    &licence::CHECK,
    &pods::CHECK,
    &versions::CHECK,
    &cluster_ids::CHECK,
    &remote_secrets::CHECK,
    &remote_clusters::CHECK,
    &replicas::CHECK,
    &remote_control_plane::CHECK,
    &webhooks::CHECK,
    &gateways::CHECK,
    &peers::CHECK,
    &trust::ROOTS,
    &trust::VALIDITY,
    &trust::DOMAINS,
    &networks::CHECK,
    &capture::CHECK,
    &hbone::CHECK,
    &waypoints::CHECK,
    &services::CHECK,
    &locality::CHECK,
    &stale::CHECK,
    &pushed::CHECK,
    &modes::CHECK,
    &tried::CHECK,
];

/// Adds what an object shows as evidence: the whole row of a table, else the field and its value.
fn shown(verdict: Verdict, object: &Doc<Object>, quote: &str, shows: &str) -> Verdict {
    if object.is_row {
        verdict.because(&object.event, shows)
    } else {
        verdict.because_quote(&object.event, quote, shows)
    }
}
