//! What an Envoy says about itself, and what istiod would send it: one shape for both, whatever document it comes from.

use crate::cert::Cert;
use crate::event::{Addr, Text};
use crate::time::Time;

/// What one document says about a proxy. A document carries a part: what it does not say is `None`.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ProxyState {
    /// `<pod>.<namespace>`; empty where neither the document nor its place tells.
    pub proxy: Text,
    /// Who says it.
    pub told_by: ToldBy,
    /// The node, as the bootstrap carries it.
    pub node: Option<ProxyNode>,
    /// Clusters.
    pub clusters: Option<Vec<ProxyCluster>>,
    /// Endpoints of all clusters.
    pub endpoints: Option<Vec<ProxyEndpoint>>,
    /// Listeners.
    pub listeners: Option<Vec<ProxyListener>>,
    /// Virtual hosts of all routes.
    pub routes: Option<Vec<ProxyRoute>>,
    /// Certificates it holds.
    pub secrets: Option<Vec<HeldSecret>>,
    /// `/server_info`.
    pub server: Option<ServerInfo>,
    /// Counters and gauges that causes ask for; empty where the document has none.
    pub stats: Vec<Stat>,
    /// Resources the proxy rejected.
    pub rejected: Vec<Rejected>,
    /// Whether a part of the document was lost: what is not in it may still be there.
    pub is_cut: bool,
}

/// Who says what a proxy's configuration is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum ToldBy {
    /// The proxy: what it holds.
    #[default]
    Proxy,
    /// istiod: what it would send now.
    Istiod,
}

/// A proxy's node.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ProxyNode {
    /// `sidecar~10.0.0.1~pod.ns~ns.svc.cluster.local`.
    pub id: Text,
    /// `sidecar`, `router`, `waypoint`.
    pub kind: Text,
    /// Metadata `CLUSTER_ID`.
    pub cluster: Text,
    /// Metadata `NETWORK`.
    pub network: Text,
    /// Metadata `REQUESTED_NETWORK_VIEW`.
    pub network_view: Text,
    /// Metadata `ROUTER_MODE`.
    pub router_mode: Text,
    /// Metadata `NAMESPACE`.
    pub namespace: Text,
    /// Metadata `NAME`: the pod.
    pub name: Text,
    /// Metadata `ISTIO_VERSION`.
    pub version: Text,
    /// Metadata `SERVICE_ACCOUNT`.
    pub service_account: Text,
    /// Metadata `MESH_ID`.
    pub mesh_id: Text,
    /// Region, zone and sub-zone with slashes.
    pub locality: Text,
    /// Where its control plane is: `istiod.istio-system.svc:15012`.
    pub discovery_address: Text,
    /// The trust domain of its configuration; empty where not shown.
    pub trust_domain: Text,
}

/// A cluster of a proxy.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ProxyCluster {
    /// `outbound|5000|v1|helloworld.sample.svc.cluster.local`.
    pub name: Text,
    /// `EDS`, `STRICT_DNS`, `ORIGINAL_DST`, ...; empty where only the name is known (`/clusters`), and nothing below.
    pub kind: Text,
    /// Names its certificate check accepts.
    pub sans: Vec<Text>,
    /// The TLS mode of its transport socket or of the match `tlsMode-istio`: `istio` where mTLS is offered; empty else.
    pub tls: Text,
    /// Whether locality weights or priorities are in use.
    pub locality_lb: bool,
    /// Whether outlier detection is set.
    pub outlier_detection: bool,
    /// Whether it is not in use yet, since its endpoints or certificates have not come.
    pub warming: bool,
}

/// An endpoint of a proxy's cluster.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ProxyEndpoint {
    /// The cluster it belongs to.
    pub cluster: Text,
    /// Its address; for ambient's internal listeners the address it stands for.
    pub addr: Addr,
    /// `HEALTHY`, `UNHEALTHY`, `DRAINING`, ...; empty where not shown.
    pub health: Text,
    /// Whether outlier detection has put it aside.
    pub ejected: bool,
    /// Priority.
    pub priority: u32,
    /// Region, zone and sub-zone with slashes.
    pub locality: Text,
    /// The workload, where its metadata names it.
    pub workload: Option<EndpointWorkload>,
    /// `istio`, `disabled`; empty where not shown.
    pub tls_mode: Text,
    /// How many connections to it failed; `None` where not shown.
    pub connect_failures: Option<u64>,
    /// How many connections to it were tried; `None` where not shown.
    pub connects: Option<u64>,
}

/// The workload of an endpoint: `metadata.filterMetadata.istio.workload`.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct EndpointWorkload {
    /// Workload.
    pub name: Text,
    /// Namespace.
    pub namespace: Text,
    /// Cluster.
    pub cluster: Text,
}

/// A listener of a proxy.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ProxyListener {
    /// Name.
    pub name: Text,
    /// Where it listens.
    pub addr: Addr,
    /// SNI names its filter chains match, for gateways.
    pub sni: Vec<Text>,
    /// Clusters its TCP chains lead to.
    pub clusters: Vec<Text>,
    /// Whether it does not listen yet, since its routes or certificates have not come.
    pub warming: bool,
}

/// A virtual host of a proxy's routes.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ProxyRoute {
    /// Route configuration: `5000`, `http.80`.
    pub config: Text,
    /// Domains.
    pub domains: Vec<Text>,
    /// Clusters its routes lead to.
    pub clusters: Vec<Text>,
}

/// A certificate a proxy holds.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct HeldSecret {
    /// `default`, `ROOTCA`, `kubernetes://...`.
    pub name: Text,
    /// `ACTIVE`, `WARMING`; empty where not shown.
    pub status: Text,
    /// The chain, the leaf first; or the roots.
    pub certs: Vec<Cert>,
    /// Validity, where only that is known (`/certs` and tables).
    pub valid: Option<(Time, Time)>,
    /// Serial number in lower-case hexadecimal, where only that is known; empty else.
    pub serial: Text,
    /// Subject alternative names, where only they are known.
    pub sans: Vec<Text>,
}

/// `/server_info`.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ServerInfo {
    /// `LIVE`, `DRAINING`, `INITIALIZING`.
    pub state: Text,
    /// Envoy's version.
    pub version: Text,
    /// Seconds since it started.
    pub uptime_s: u64,
}

/// A counter or gauge.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Stat {
    /// Name without labels: `cluster.upstream_cx_connect_fail`, `controller_sync_errors_total`.
    pub name: Text,
    /// Labels or name parts that tell series apart: `cluster_name`, `type`, ...
    pub labels: Vec<(Text, Text)>,
    /// Value.
    pub value: f64,
}

/// A resource a proxy rejected.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Rejected {
    /// `cluster`, `listener`, `route`, `endpoint`, `secret`.
    pub kind: Text,
    /// Resource.
    pub name: Text,
    /// Envoy's words.
    pub details: Text,
    /// When.
    pub at: Option<Time>,
}
