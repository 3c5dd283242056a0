//! What istiod says about the mesh: its debug endpoints, its metrics, and what istioctl prints of them.

use crate::event::{Addr, Text};
use crate::time::Time;

use super::object::{Map, MeshConfig};
use super::proxy::Stat;
use super::{ZtunnelService, ZtunnelWorkload};

/// What one document of an istiod says.
#[derive(Clone, Debug, PartialEq)]
pub struct IstiodState {
    /// The istiod's pod; empty where neither the document nor its place tells.
    pub istiod: Text,
    /// What it says.
    pub said: Said,
}

/// What an istiod says.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// `/debug/clusterz`, `istioctl remote-clusters`.
    Clusters(Vec<RemoteRow>),
    /// `/debug/syncz`, `istioctl proxy-status`.
    Sync(Vec<SyncRow>),
    /// `/debug/connections`, `/debug/adsz`.
    Connections(Vec<Connected>),
    /// `/debug/endpointShardz`, `/debug/endpointz`.
    Shards(Vec<Shard>),
    /// `/debug/registryz`.
    Services(Vec<RegistryService>),
    /// `/debug/networkz`, and the same list of `/debug/pushcontext`: gateways whose address is known.
    NetworkGateways(Vec<NetworkGateway>),
    /// `/debug/pushcontext`: all gateways as configured, host names before they are resolved (1.19+).
    UnresolvedGateways(Vec<NetworkGateway>),
    /// `/debug/mesh`.
    Mesh(Box<MeshConfig>),
    /// `/debug/push_status`.
    PushStatus(Vec<PushProblem>),
    /// `/debug/ambientz`.
    Ambient {
        /// Workloads.
        workloads: Vec<ZtunnelWorkload>,
        /// Services.
        services: Vec<ZtunnelService>,
        /// Policies: `<namespace>/<name>`, action, scope, as a ztunnel dump prints them.
        policies: Vec<(Text, Text, Text)>,
    },
    /// `/debug/instancesz`: which services each connected proxy is an instance of.
    Attached(Vec<AttachedProxy>),
    /// `/debug/ndsz`: what a proxy's DNS would answer.
    Names {
        /// `<pod>.<namespace>`; empty where the command does not tell.
        proxy: Text,
        /// Host names and their addresses.
        table: Vec<(Text, Vec<Text>)>,
    },
    /// `/debug/mcsz`: services exported and imported by the Multi-Cluster Services API.
    Exports(Vec<McsService>),
    /// `/debug/krtz`: collections and whether each is synced.
    Collections(Vec<(Text, bool)>),
    /// `/debug/inject`: the names of its templates.
    Templates(Vec<Text>),
    /// `/version`.
    Version(Text),
    /// `/metrics`.
    Metrics(Vec<Stat>),
}

/// A cluster as istiod's secret controller sees it.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct RemoteRow {
    /// Cluster ID.
    pub id: Text,
    /// `<namespace>/<secret>`; empty for the local cluster.
    pub secret: Text,
    /// `synced`, `syncing`, `timeout`, `closed`.
    pub status: Text,
}

/// What a proxy was sent and acknowledged.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct SyncRow {
    /// `<pod>.<namespace>`.
    pub proxy: Text,
    /// The cluster the proxy claims.
    pub cluster: Text,
    /// Its version.
    pub version: Text,
    /// `sidecar`, `router`, `ztunnel`, `waypoint`; empty where not shown.
    pub kind: Text,
    /// Types that are not in sync: short name (`CDS`) and state (`STALE`, `NOT SENT`, `ERROR`), with the age where shown.
    pub behind: Vec<(Text, Text)>,
    /// The text of the last rejection; empty where none.
    pub last_error: Text,
    /// The istiod it is connected to; empty where not shown.
    pub istiod: Text,
    /// When the oldest push that it has not answered was sent; a push of a moment ago may still be on its way.
    pub waits_since: Option<Time>,
}

/// A client connected to an istiod.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Connected {
    /// `<pod>.<namespace>-<n>`.
    pub id: Text,
    /// Its address.
    pub addr: Addr,
    /// Since when.
    pub at: Option<Time>,
    /// Metadata `CLUSTER_ID`.
    pub cluster: Text,
    /// Metadata `NETWORK`.
    pub network: Text,
    /// Metadata `ISTIO_VERSION`.
    pub version: Text,
    /// Metadata `NODE_NAME`.
    pub node: Text,
    /// Labels.
    pub labels: Map,
}

/// A connected proxy and the services it is an instance of.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct AttachedProxy {
    /// `<pod>.<namespace>`.
    pub proxy: Text,
    /// Host names; empty where istiod found none, as for a proxy that claims another cluster than its pod's.
    pub services: Vec<Text>,
}

/// A service of the Multi-Cluster Services API.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct McsService {
    /// Cluster.
    pub cluster: Text,
    /// Namespace.
    pub namespace: Text,
    /// Name.
    pub name: Text,
    /// Whether the cluster has a ServiceExport for it.
    pub is_exported: bool,
    /// Whether the cluster has a ServiceImport for it.
    pub is_imported: bool,
    /// Its address for the cluster set; empty where none.
    pub vip: Text,
}

/// The endpoints of a service that one registry (a cluster) contributes.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Shard {
    /// Host name of the service.
    pub host: Text,
    /// Namespace.
    pub namespace: Text,
    /// `Kubernetes`, `External`.
    pub provider: Text,
    /// Cluster ID.
    pub cluster: Text,
    /// Endpoints; empty where the shard is.
    pub endpoints: Vec<ShardEndpoint>,
}

/// An endpoint of a shard.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ShardEndpoint {
    /// Addresses.
    pub addresses: Vec<Text>,
    /// Port.
    pub port: u16,
    /// Port name of the service.
    pub port_name: Text,
    /// Network; empty where none is known.
    pub network: Text,
    /// Workload.
    pub workload: Text,
    /// Namespace of the workload.
    pub namespace: Text,
    /// SPIFFE identity.
    pub service_account: Text,
    /// `istio`, `disabled`.
    pub tls_mode: Text,
    /// Whether it is healthy.
    pub healthy: bool,
    /// Locality.
    pub locality: Text,
    /// Node.
    pub node: Text,
    /// Labels.
    pub labels: Map,
}

/// A service merged over clusters.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct RegistryService {
    /// Host name.
    pub host: Text,
    /// Namespace.
    pub namespace: Text,
    /// `Kubernetes`, `External`.
    pub registry: Text,
    /// `ClusterIP`, ...
    pub kind: Text,
    /// Labels.
    pub labels: Map,
    /// Selector.
    pub selector: Map,
    /// Ports: number, name, protocol.
    pub ports: Vec<(u16, Text, Text)>,
    /// Clusters in which the Service exists, with its addresses there.
    pub vips: Vec<(Text, Vec<Text>)>,
    /// External addresses by cluster, for gateways.
    pub external: Vec<(Text, Vec<Text>)>,
    /// `defaultAddress`; 240.0.0.0/4 where istiod assigned it.
    pub default_address: Text,
}

/// A gateway of a network as istiod knows it.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct NetworkGateway {
    /// Network.
    pub network: Text,
    /// Cluster; empty where it comes from meshNetworks.
    pub cluster: Text,
    /// Address.
    pub address: Text,
    /// Port for sidecars; 0 where none.
    pub port: u16,
    /// Port for HBONE; 0 where none.
    pub hbone_port: u16,
}

/// A conflict or gap of the last push.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct PushProblem {
    /// `pilot_eds_no_instances`, ...
    pub metric: Text,
    /// What it is about.
    pub id: Text,
    /// Proxy; empty where none.
    pub proxy: Text,
    /// Message.
    pub message: Text,
}
