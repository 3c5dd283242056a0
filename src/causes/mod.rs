//! The catalogue: every root cause, in the order of `meshwhy causes`.

#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

mod ambient_capture_missing;
mod ambient_path;
mod answers;
mod authz_denied;
mod ca_provider_unavailable;
mod cert_revoked;
mod client_cert_rejected;
mod clock_skew;
pub mod cluster_id_conflict;
mod cni_failure;
mod config_invalid;
mod conntrack_problem;
mod control_link;
pub mod control_plane;
mod crossnetwork_port_blocked;
mod data_path;
mod dataplane_mode_mismatch;
mod dns_failure;
pub mod eastwest_gateway_down;
pub mod eastwest_gateway_misconfigured;
pub mod eastwest_gateway_no_address;
mod endpoint_address_wrong;
pub mod hbone_blocked;
mod injection_missing;
mod iptables_failure;
mod istiod_down;
mod istiod_remote_misaddressed;
mod istiod_remote_missing;
mod istiod_replicas_diverged;
mod istiod_unreachable;
mod jwt_authn_failed;
mod jwt_invalid;
mod known_bug;
mod locality_lb;
mod mtu_blackhole;
pub mod network_label_wrong;
mod networkpolicy_blocked;
mod no_healthy_upstream;
mod node_network_broken;
pub mod peering_disconnected;
mod plaintext_to_mtls_strict;
mod pod_ip_unreachable;
mod policy;
mod port_conflict;
mod probe_blocked;
pub mod remote_api;
mod remote_api_cert_untrusted;
mod remote_api_forbidden;
mod remote_api_unauthorized;
mod remote_api_unreachable;
mod remote_cluster_dark;
mod remote_secret_invalid;
mod remote_secret_missing;
mod requests;
mod resource_exhaustion;
pub mod root_of_trust_mismatch;
mod routing;
mod san_mismatch;
pub mod saved;
mod sds_secret_missing;
mod service_differs;
pub mod service_not_global;
mod stale_endpoint;
mod tables;
mod third_party_jwt_unsupported;
mod transient_recovered;
pub mod trust_domain_mismatch;
pub mod tunnel;
mod unsupported_feature;
pub mod version_skew;
mod wasm_failure;
mod waypoint_unavailable;
mod webhook_cert_untrusted;
mod webhook_stale;
mod webhook_unreachable;
pub mod workload_cert_expired;
mod xds_rejected;
mod ztunnel_not_ready;

use crate::engine::cause::Cause;

/// Every cause, in the order of the catalogue.
pub static ALL: &[&Cause] = &[
    // nothing to fix
    &transient_recovered::CAUSE,
    &answers::CLIENT_DISCONNECTED,
    &answers::FAULT_INJECTED,
    &answers::RATE_LIMITED,
    // control plane reachability and identity
    &istiod_unreachable::CAUSE,
    &istiod_down::CAUSE,
    &istiod_remote_misaddressed::CAUSE,
    &istiod_remote_missing::CAUSE,
    &root_of_trust_mismatch::CAUSE,
    &trust_domain_mismatch::CAUSE,
    &san_mismatch::CAUSE,
    &workload_cert_expired::CAUSE,
    &control_plane::CA_CERT_EXPIRED,
    &clock_skew::CAUSE,
    &ca_provider_unavailable::CAUSE,
    &sds_secret_missing::CAUSE,
    &jwt_invalid::CAUSE,
    &third_party_jwt_unsupported::CAUSE,
    &version_skew::CAUSE,
    &xds_rejected::CAUSE,
    &config_invalid::CAUSE,
    &control_plane::CRD_MISSING,
    &control_plane::RBAC_MISSING,
    &control_plane::KUBE_API_UNREACHABLE,
    &istiod_replicas_diverged::CAUSE,
    &control_plane::ISTIOD_ENV_INCOMPATIBLE,
    &control_plane::LICENSE_INVALID,
    &known_bug::CAUSE,
    &resource_exhaustion::CAUSE,
    &cert_revoked::CAUSE,
    // multicluster: discovery and gateways
    &remote_secret_missing::CAUSE,
    &remote_secret_invalid::CAUSE,
    &remote_api_unreachable::CAUSE,
    &remote_api_unauthorized::CAUSE,
    &remote_api_forbidden::CAUSE,
    &remote_api_cert_untrusted::CAUSE,
    &cluster_id_conflict::CAUSE,
    &peering_disconnected::CAUSE,
    &remote_cluster_dark::CAUSE,
    &service_differs::CAUSE,
    &control_plane::DISCOVERY_SELECTORS,
    &network_label_wrong::CAUSE,
    &pod_ip_unreachable::CAUSE,
    &endpoint_address_wrong::CAUSE,
    &eastwest_gateway_no_address::CAUSE,
    &eastwest_gateway_misconfigured::CAUSE,
    &crossnetwork_port_blocked::CAUSE,
    &stale_endpoint::CAUSE,
    &locality_lb::CAUSE,
    &service_not_global::CAUSE,
    &eastwest_gateway_down::CAUSE,
    &dataplane_mode_mismatch::CAUSE,
    // ambient
    &hbone_blocked::CAUSE,
    &ambient_capture_missing::CAUSE,
    &ztunnel_not_ready::CAUSE,
    &cni_failure::CAUSE,
    &probe_blocked::CAUSE,
    &unsupported_feature::CAUSE,
    &waypoint_unavailable::CAUSE,
    // traffic policy and security policy
    &authz_denied::CAUSE,
    &policy::EXT_AUTHZ_FAILED,
    &jwt_authn_failed::CAUSE,
    &plaintext_to_mtls_strict::CAUSE,
    &policy::PLAINTEXT_TO_TLS_PORT,
    &policy::TLS_TO_PLAINTEXT_PORT,
    &client_cert_rejected::CAUSE,
    &policy::PROTOCOL_MISMATCH,
    &injection_missing::CAUSE,
    &routing::NO_ROUTE,
    &routing::GATEWAY_CONFIG_MISSING,
    &routing::SERVICE_ENTRY_MISSING,
    &routing::EGRESS_BLOCKED,
    &routing::CLUSTER_MISSING,
    &routing::SUBSET_MISMATCH,
    &policy::HEADER_LIMIT_EXCEEDED,
    &networkpolicy_blocked::CAUSE,
    // upstream and data path
    &no_healthy_upstream::CAUSE,
    &data_path::OUTLIER_EJECTED,
    &data_path::CIRCUIT_BREAKER_OVERFLOW,
    &data_path::UPSTREAM_NOT_LISTENING,
    &data_path::UPSTREAM_CONNECT_TIMEOUT,
    &data_path::UPSTREAM_CLOSED_CONNECTION,
    &data_path::UPSTREAM_TIMEOUT,
    &data_path::APP_ERROR,
    &data_path::LISTENER_DRAIN,
    &data_path::PROXY_DRAIN_TOO_SHORT,
    &port_conflict::CAUSE,
    &wasm_failure::CAUSE,
    &iptables_failure::CAUSE,
    // Kubernetes, DNS, network
    &webhook_unreachable::CAUSE,
    &webhook_cert_untrusted::CAUSE,
    &webhook_stale::CAUSE,
    &dns_failure::CAUSE,
    &node_network_broken::CAUSE,
    &mtu_blackhole::CAUSE,
    &conntrack_problem::CAUSE,
];

/// The cause with this slug.
pub fn find(slug: &str) -> Option<&'static Cause> {
    ALL.iter().find(|cause| cause.slug == slug).copied()
}
