//! Saved state as facts: rows of kubectl and istioctl tables, answers of commands run by hand, dumps.

pub mod istiod;
pub mod object;
pub mod proxy;

use std::sync::Arc;

use crate::cert::Cert;
use crate::errors::Fault;
use crate::event::{Addr, Text};
use crate::time::Time;
use istiod::IstiodState;
use object::Object;
use proxy::ProxyState;

/// State as a document or a table row says it. The cluster is the event origin's, or the context of the command.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// ztunnel's `/config_dump`.
    Ztunnel(ZtunnelDump),
    /// A Kubernetes object.
    Object(Arc<Object>),
    /// A Kubernetes object is gone.
    Gone(Arc<Object>),
    /// All objects of a kind were listed: what is not among them does not exist.
    Listed {
        /// Kind in the singular.
        kind: Text,
        /// API group; empty for the core group.
        group: Text,
        /// The namespace; empty for all.
        namespace: Text,
    },
    /// What an Envoy says about itself, or istiod about it.
    Proxy(Arc<ProxyState>),
    /// What an istiod says.
    Istiod(Arc<IstiodState>),
    /// Certificates of a file or an output: `root-cert.pem`, `openssl x509`.
    Certs {
        /// What they are, as the file or the command names them: `root-cert.pem`.
        name: Text,
        /// The certificates in their order.
        certs: Vec<Cert>,
    },
    /// A row of `istioctl remote-clusters` or `/debug/clusterz`.
    RemoteCluster {
        /// Cluster ID.
        name: Text,
        /// `<namespace>/<secret>`; empty for the local cluster.
        secret: Text,
        /// `synced`, `syncing`, `timeout`, `closed`.
        status: Text,
        /// The istiod asked.
        istiod: Text,
    },
    /// A Secret row with its labels.
    Secret {
        /// Namespace; empty where the table has none.
        namespace: Text,
        /// Name.
        name: Text,
        /// `k=v,...` as printed; empty where the table has none.
        labels: Text,
    },
    /// A Service row.
    Service {
        /// Namespace; empty where the table has none.
        namespace: Text,
        /// Name.
        name: Text,
        /// `LoadBalancer`, `ClusterIP`, ...
        kind: Text,
        /// `<pending>`, an address, a host name, `<none>`.
        external: Text,
        /// `15021:32650/TCP,15443:31116/TCP`.
        ports: Text,
        /// `k=v,...`; empty where the table has none.
        labels: Text,
    },
    /// A Namespace row with its network label.
    NamespaceNetwork {
        /// Namespace.
        namespace: Text,
        /// `topology.istio.io/network`; empty where it has none.
        network: Text,
        /// `k=v,...` as printed; empty where the table has none.
        labels: Text,
    },
    /// A Pod row.
    Pod {
        /// Namespace; empty where the table has none.
        namespace: Text,
        /// Name.
        name: Text,
        /// Ready containers.
        ready: u32,
        /// Containers.
        containers: u32,
        /// `Running`, `CrashLoopBackOff`, `Pending`, ...
        status: Text,
        /// Restarts.
        restarts: u32,
        /// Pod IP; empty where the table has none.
        ip: Text,
    },
    /// An Endpoints or EndpointSlice row.
    Endpoints {
        /// Namespace; empty where the table has none.
        namespace: Text,
        /// Name of the object (for slices with a suffix).
        name: Text,
        /// Addresses; empty for `<none>`.
        addresses: Vec<Text>,
    },
    /// A row of `istioctl proxy-config endpoint`.
    ProxyEndpoint {
        /// The proxy asked, where the command names it.
        proxy: Text,
        /// Address.
        addr: Addr,
        /// `HEALTHY`, `UNHEALTHY`, ...
        status: Text,
        /// `OK`, `FAILED`.
        outlier: Text,
        /// `outbound|5000||helloworld.sample.svc.cluster.local`.
        cluster: Text,
        /// Locality priority where the answer shows it.
        priority: Option<u32>,
    },
    /// A row of `istioctl ztunnel-config workload`, or a pod's address as an object prints it.
    Workload {
        /// Namespace.
        namespace: Text,
        /// Pod or workload name.
        name: Text,
        /// Address.
        address: Text,
        /// `HBONE`, `TCP`; empty where not shown.
        protocol: Text,
    },
    /// A row of `istioctl ztunnel-config service`.
    ServiceEndpoints {
        /// Namespace.
        namespace: Text,
        /// Name.
        name: Text,
        /// Its addresses; empty where it has none.
        vips: Vec<Text>,
        /// The waypoint's name; empty where it has none.
        waypoint: Text,
        /// Healthy endpoints of all endpoints; `None` before 1.24, which does not show them.
        endpoints: Option<(u32, u32)>,
    },
    /// A row of `istioctl ztunnel-config policy`.
    ZtunnelPolicy {
        /// Namespace.
        namespace: Text,
        /// Name.
        name: Text,
        /// `Allow`, `Deny`.
        action: Text,
        /// `Global`, `Namespace`, `WorkloadSelector`.
        scope: Text,
    },
    /// A Gateway row (Gateway API).
    Gateway {
        /// Namespace; empty where the table has none.
        namespace: Text,
        /// Name.
        name: Text,
        /// Class.
        class: Text,
        /// Address; empty where none.
        address: Text,
        /// `True`, `False`, `Unknown`; empty where not shown.
        programmed: Text,
    },
    /// An Event of Kubernetes.
    KubeEvent {
        /// `Warning`, `Normal`.
        kind: Text,
        /// `FailedCreate`, `Unhealthy`, ...
        reason: Text,
        /// `pod/x`, `replicaset/y`.
        object: Text,
        /// Message.
        message: Text,
    },
    /// A TCP probe by hand (`nc -vz`, `curl -v` connect, `telnet`).
    Probe {
        /// Where it went.
        addr: Addr,
        /// Why it failed; `None` where it connected.
        fault: Option<Fault>,
    },
    /// A call by hand was answered: by which version or instance, as printed.
    Answered {
        /// `v1`, a host name, a status line.
        by: Text,
        /// Who called whom, as far as the command above tells.
        call: Call,
    },
    /// A call by hand failed.
    CallFailed {
        /// Why.
        fault: Fault,
        /// Who called whom, as far as the command above tells.
        call: Call,
    },
    /// A listening socket (`ss`, `netstat`).
    Listening {
        /// Local address: `0.0.0.0:8001`, `127.0.0.1:8080`, `[::]:80`.
        addr: Addr,
    },
    /// A DestinationRule's locality setting, as printed by a command.
    LocalityLb {
        /// Whether locality load balancing is on.
        enabled: bool,
        /// Whether outlier detection is set.
        outlier_detection: bool,
    },
    /// A check of another tool (`istioctl analyze`, `multicluster check`): its verdict and text.
    Check {
        /// Whether it passed.
        passed: bool,
        /// Which check: `Peers Check`, `IST0170`; empty where it has no name.
        name: Text,
        /// What it is about: `Service shop/cart`, with the cluster in front where told (`west: Service shop/cart`); empty
        /// where it names nothing.
        object: Text,
        /// Text.
        text: Text,
    },
    /// A section of `istioctl multicluster check --verbose`.
    MulticlusterCheck(Box<CheckSection>),
    /// The networks istiod knows gateways for are listed and this one is among them; empty for an empty list.
    NetworkGateway {
        /// Network; empty where the list is empty.
        network: Text,
    },
    /// How many of a Deployment, ReplicaSet, DaemonSet or StatefulSet are ready.
    Replicas {
        /// Namespace; empty where the table has none.
        namespace: Text,
        /// Name.
        name: Text,
        /// Ready.
        ready: u32,
        /// Wanted.
        wanted: u32,
    },
    /// A Node row.
    Node {
        /// Name.
        name: Text,
        /// `Ready`, `NotReady`, `Ready,SchedulingDisabled`.
        status: Text,
        /// Kubernetes version; empty where not shown.
        version: Text,
    },
    /// A row of `istioctl proxy-status`.
    ProxyStatus {
        /// `<pod>.<namespace>`.
        proxy: Text,
        /// The cluster the proxy claims; empty where not shown.
        cluster: Text,
        /// Its version; empty where not shown.
        version: Text,
        /// Types that are not in sync: the column and its cell (`CDS`, `STALE (14m)`).
        behind: Vec<(Text, Text)>,
    },
    /// A version as a tool printed it.
    Version {
        /// `client`, `control plane`, `data plane`, `kubernetes`, or a component's name.
        component: Text,
        /// Each version printed for it.
        versions: Vec<Text>,
    },
    /// A certificate a proxy holds, as `proxy-config secret` and `ztunnel-config certificate` list it.
    ProxySecret {
        /// `default`, `ROOTCA`, a SPIFFE identity.
        name: Text,
        /// `ACTIVE`, `WARMING`, `Available`, ...
        status: Text,
        /// `Leaf`, `Intermediate`, `Root`; `Cert Chain`, `CA`; empty where not shown.
        kind: Text,
        /// The column `VALID CERT`; `None` where it says nothing.
        valid: Option<bool>,
        /// Serial number, lower-case hexadecimal; empty where not shown.
        serial: Text,
        /// Valid from.
        not_before: Option<Time>,
        /// Valid to.
        not_after: Option<Time>,
    },
    /// A mutating or validating webhook configuration.
    WebhookConfig {
        /// Name.
        name: Text,
    },
    /// A rule of the packet filter that drops or rejects (`iptables-save`, `iptables -L`, `nft list`).
    PacketFilter {
        /// The rule as printed.
        rule: Text,
        /// How many packets it took, where counted.
        packets: Option<u64>,
    },
    /// A kernel setting or counter (`sysctl`).
    KernelSetting {
        /// `net.netfilter.nf_conntrack_count`, ...
        key: Text,
        /// Value.
        value: u64,
    },
    /// A packet was too big for the path: `Frag needed and DF set`, `message too long`.
    PathMtu {
        /// The MTU named; 0 where none is.
        mtu: u32,
    },
    /// What was asked for does not exist.
    Missing {
        /// Resource type in the plural: `endpoints`, `secrets`; as the command names it where only that is known.
        kind: Text,
        /// Namespace; empty where not named.
        namespace: Text,
        /// Name; empty where a list is empty.
        name: Text,
    },
    /// A NetworkPolicy row.
    NetworkPolicy {
        /// Namespace; empty where the table has none.
        namespace: Text,
        /// Name.
        name: Text,
        /// The pods it selects, as printed.
        selector: Text,
    },
    /// A row of a table whose columns no cause asks for.
    Row,
}

/// A call by hand, from its command: `kubectl exec -n shop deploy/web -c web -- curl cart:8080`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Call {
    /// Namespace of the caller.
    pub namespace: Text,
    /// The caller as the command names it: a pod, `deploy/web`, or the selector that found it (`app=web`).
    pub from: Text,
    /// Container of the caller.
    pub container: Text,
    /// What was called: `helloworld.sample:5000/hello`.
    pub to: Text,
}

/// A section of `istioctl multicluster check --verbose`: what it looked at. Its verdicts are [`State::Check`]s, too.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct CheckSection {
    /// The cluster it is about, as the command names it; empty where one alone was checked or all are compared.
    pub cluster: Text,
    /// `Peers Check`, `Pod Check (istiod)`.
    pub name: Text,
    /// How it ended: whether it passed, and the text behind the mark and the name.
    pub verdicts: Vec<(bool, Text)>,
    /// Gateways and peers, each with what is said of it.
    pub items: Vec<CheckItem>,
    /// Root certificates by cluster: SHA-256, lower-case hexadecimal.
    pub roots: Vec<(Text, Text)>,
    /// Workload entries whose pods are gone.
    pub stale: Vec<StaleEntry>,
    /// Other details as `name: value`: networks, environment variables.
    pub details: Vec<(Text, Text)>,
}

/// A gateway or a peer of a check.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct CheckItem {
    /// `Gateway` or `Cluster` (a peer).
    pub kind: Text,
    /// The gateway's name, or the peer's network.
    pub name: Text,
    /// Addresses.
    pub addresses: Vec<Text>,
    /// Conditions: `gloo.solo.io/PeerConnected` and `True`.
    pub conditions: Vec<(Text, Text)>,
    /// `programmed`, `not programmed`, `connected`, `disconnected`; empty where not shown.
    pub status: Text,
}

/// A workload entry of one cluster that stands for a pod of another which is gone.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct StaleEntry {
    /// The cluster that has the entry.
    pub cluster: Text,
    /// `<namespace>/<name>` of the entry.
    pub entry: Text,
    /// `<namespace>/<name>` of the pod.
    pub pod: Text,
    /// The cluster the pod is missing from.
    pub source: Text,
}

/// What causes ask of a ztunnel's config dump, or of one list of it.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ZtunnelDump {
    /// Which parts it has; the others are empty because nobody asked for them.
    pub parts: ZtunnelParts,
    /// `config.network`; empty for the default network.
    pub network: Text,
    /// `config.clusterId`.
    pub cluster: Text,
    /// `config.localNode`.
    pub node: Text,
    /// `config.xdsAddress`: the istiod it asks, `https://istiod.istio-system.svc:15012`.
    pub xds_address: Text,
    /// `version.istioVersion`.
    pub version: Text,
    /// Workloads.
    pub workloads: Vec<ZtunnelWorkload>,
    /// Services.
    pub services: Vec<ZtunnelService>,
    /// `stagedServices`: `<namespace>/<hostname>` of services whose endpoints came and which did not.
    pub awaited: Vec<Text>,
    /// Certificates.
    pub certificates: Vec<ZtunnelCertificate>,
    /// Policies: `<namespace>/<name>`, action, scope.
    pub policies: Vec<(Text, Text, Text)>,
    /// Pods handed over by the CNI: `<namespace>/<pod>` and state.
    pub pods: Vec<(Text, Text)>,
}

/// Which parts of a dump are there and whole: what is absent from such a part does not exist for the ztunnel. A list
/// that was asked for with a filter is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ZtunnelParts {
    /// Workloads.
    pub workloads: bool,
    /// Services.
    pub services: bool,
    /// Policies.
    pub policies: bool,
    /// Certificates.
    pub certificates: bool,
    /// Pods handed over by the CNI.
    pub pods: bool,
    /// Its own network, cluster and node.
    pub config: bool,
}

impl ZtunnelParts {
    /// Whether it is a dump, not one list of it.
    pub fn is_whole(&self) -> bool {
        self.workloads && self.services && self.policies && self.certificates
    }
}

/// A workload of the dump.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ZtunnelWorkload {
    /// xDS uid.
    pub uid: Text,
    /// Name.
    pub name: Text,
    /// Namespace.
    pub namespace: Text,
    /// Addresses; empty where it is reached through a gateway or host name only.
    pub addresses: Vec<Text>,
    /// Host name; empty where none.
    pub hostname: Text,
    /// Network; empty for the default network.
    pub network: Text,
    /// Its gateway's destination (`<network>/<ip>` or `<namespace>/<host>`); empty where none.
    pub gateway: Text,
    /// Waypoint destination; empty where none.
    pub waypoint: Text,
    /// `HBONE` or `TCP`.
    pub protocol: Text,
    /// Cluster.
    pub cluster: Text,
    /// Node; empty where unknown.
    pub node: Text,
    /// `Healthy` or `Unhealthy`.
    pub status: Text,
    /// Trust domain; empty where it is the mesh's own.
    pub trust_domain: Text,
    /// Service account.
    pub service_account: Text,
    /// Whether it shares its node's address and is never found by it.
    pub on_host: bool,
    /// `<namespace>/<name>` of the policies that select it.
    pub policies: Vec<Text>,
}

/// A service of the dump.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ZtunnelService {
    /// Host name.
    pub hostname: Text,
    /// Namespace.
    pub namespace: Text,
    /// `<network>/<ip>` each.
    pub vips: Vec<Text>,
    /// Service ports.
    pub ports: Vec<u16>,
    /// Endpoint workload uids with their status.
    pub endpoints: Vec<(Text, Text)>,
    /// Accepted identities.
    pub sans: Vec<Text>,
    /// Waypoint destination; empty where none.
    pub waypoint: Text,
    /// Load-balancing mode; empty where none.
    pub lb_mode: Text,
}

/// A certificate of the dump.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ZtunnelCertificate {
    /// SPIFFE identity.
    pub identity: Text,
    /// `Available`, `Initializing`, `Unavailable: ...`.
    pub state: Text,
    /// Leaf validity.
    pub valid: Option<(Time, Time)>,
    /// SHA-256 fingerprints of the root certificates, hexadecimal.
    pub roots: Vec<Text>,
    /// The leaf and the intermediate certificates above it.
    pub chain: Vec<Cert>,
    /// The root certificates.
    pub root_certs: Vec<Cert>,
}
