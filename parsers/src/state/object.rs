//! Kubernetes objects, reduced to what causes and checks ask of them.
//!
//! The same structs serve objects (YAML, JSON, `kubectl describe`) and rows of tables: what a table does not show is
//! `None` or empty. Secrets never carry a private key or a token: only what they say about themselves.

use std::collections::BTreeMap;

use crate::cert::Cert;
use crate::event::Text;
use crate::time::Time;

/// Labels, annotations, environment variables: sorted, so that order never reaches an output by chance.
pub type Map = BTreeMap<Text, Text>;

/// A Kubernetes object.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Object {
    /// Kind in the singular: `Service`.
    pub kind: Text,
    /// API group, empty for the core group: it tells Istio's Gateway from the Gateway API's.
    pub group: Text,
    /// Namespace; empty for cluster-wide kinds and where a table has none.
    pub namespace: Text,
    /// Name.
    pub name: Text,
    /// Labels; `None` where the table shows none.
    pub labels: Option<Map>,
    /// Annotations, without kubectl's copy of the whole object.
    pub annotations: Map,
    /// When it was created.
    pub created: Option<Time>,
    /// When its deletion began.
    pub deleted: Option<Time>,
    /// `<kind>/<name>` of its controller; empty where none.
    pub owner: Text,
    /// Its resource version; empty where not shown.
    pub version: Text,
    /// Whether a table row said it, which shows a part only.
    pub is_row: bool,
    /// What its kind says.
    pub body: Body,
}

impl Object {
    /// A label's value, where the object has it.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.as_ref()?.get(key).map(|value| &**value)
    }

    /// An annotation's value, where the object has it.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.get(key).map(|value| &**value)
    }

    /// `Service shop/cart`, `Node n1`: how a person names it.
    pub fn title(&self) -> String {
        match &*self.namespace {
            "" => format!("{} {}", self.kind, self.name),
            namespace => format!("{} {namespace}/{}", self.kind, self.name),
        }
    }
}

/// What an object of a kind says.
#[derive(Clone, Debug, PartialEq, Default)]
pub enum Body {
    /// `v1 Namespace`: its labels say it all.
    Namespace,
    /// `v1 Pod`.
    Pod(Box<Pod>),
    /// `v1 Service`.
    Service(Box<Service>),
    /// `v1 Endpoints` or `discovery.k8s.io EndpointSlice`.
    Endpoints(Endpoints),
    /// `apps Deployment`, `DaemonSet`, `StatefulSet`, `ReplicaSet`.
    Workload(Box<Workload>),
    /// `v1 Node`.
    Node(Node),
    /// `v1 ConfigMap`.
    ConfigMap(Box<ConfigMap>),
    /// `v1 Secret`.
    Secret(Box<Secret>),
    /// `gateway.networking.k8s.io Gateway`.
    Gateway(Box<Gateway>),
    /// `gateway.networking.k8s.io GatewayClass`.
    GatewayClass(GatewayClass),
    /// `networking.istio.io Gateway`.
    IstioGateway(IstioGateway),
    /// `networking.istio.io VirtualService`, and the Gateway API's routes, which say the same.
    VirtualService(VirtualService),
    /// `networking.istio.io DestinationRule`.
    DestinationRule(Box<DestinationRule>),
    /// `networking.istio.io ServiceEntry`.
    ServiceEntry(Box<ServiceEntry>),
    /// `networking.istio.io WorkloadEntry` and the template of a `WorkloadGroup`.
    WorkloadEntry(Box<WorkloadEntry>),
    /// `security.istio.io PeerAuthentication`.
    PeerAuthentication(PeerAuthentication),
    /// `security.istio.io AuthorizationPolicy`.
    AuthorizationPolicy(AuthorizationPolicy),
    /// `networking.istio.io Sidecar`.
    Sidecar(Sidecar),
    /// `networking.istio.io EnvoyFilter`: where each patch applies (`HTTP_FILTER`, `CLUSTER`, ...).
    EnvoyFilter(Vec<Text>),
    /// `networking.k8s.io NetworkPolicy`.
    NetworkPolicy(NetworkPolicy),
    /// `apiextensions.k8s.io CustomResourceDefinition`.
    Crd(Crd),
    /// `admissionregistration.k8s.io MutatingWebhookConfiguration` or `ValidatingWebhookConfiguration`.
    Webhooks(Vec<Webhook>),
    /// A kind of which only the metadata is kept: Telemetry and all others.
    #[default]
    Other,
}

/// A label selector of Kubernetes.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Selector {
    /// `matchLabels`.
    pub labels: Map,
    /// `matchExpressions`: key, operator (`In`, `NotIn`, `Exists`, `DoesNotExist`) and values.
    pub expressions: Vec<(Text, Text, Vec<Text>)>,
}

impl Selector {
    /// Whether it selects what carries these labels; `None` where it uses an operator nobody knows.
    pub fn selects(&self, labels: &Map) -> Option<bool> {
        let mut selects = self.labels.iter().all(|(key, value)| labels.get(key) == Some(value));
        for (key, operator, values) in &self.expressions {
            let value = labels.get(key);
            let is_listed = value.is_some_and(|value| values.contains(value));
            selects &= match &**operator {
                "In" => is_listed,
                "NotIn" => !is_listed,
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => return None,
            };
        }
        Some(selects)
    }
}

/// A condition of a status.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Condition {
    /// Type: `Programmed`, `gloo.solo.io/PeerConnected`.
    pub kind: Text,
    /// `True`, `False`, `Unknown`.
    pub status: Text,
    /// Reason.
    pub reason: Text,
    /// Message.
    pub message: Text,
    /// Last transition.
    pub at: Option<Time>,
}

/// A pod.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Pod {
    /// Node.
    pub node: Text,
    /// Its addresses, the first one first.
    pub ips: Vec<Text>,
    /// `Running`, `Pending`, ... or what the column STATUS shows (`CrashLoopBackOff`).
    pub phase: Text,
    /// Service account.
    pub service_account: Text,
    /// Whether it shares the node's network.
    pub host_network: bool,
    /// How many containers are ready, of how many.
    pub ready: (u32, u32),
    /// Restarts of all containers.
    pub restarts: u32,
    /// Containers and init containers; empty in a table row.
    pub containers: Vec<Container>,
    /// Conditions.
    pub conditions: Vec<Condition>,
}

/// A container of a pod or of a workload's template.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Container {
    /// Name.
    pub name: Text,
    /// Image.
    pub image: Text,
    /// Environment variables with a value of their own.
    pub env: Map,
    /// Arguments.
    pub args: Vec<Text>,
    /// Ports.
    pub ports: Vec<u16>,
    /// Whether it is ready; `None` in a template.
    pub ready: Option<bool>,
    /// Restarts.
    pub restarts: u32,
    /// Why it waits: `CrashLoopBackOff`; empty where it runs.
    pub waiting: Text,
    /// Why it ended last (`OOMKilled`, `Error`), with exit code and time.
    pub ended: Option<(Text, i32, Option<Time>)>,
    /// Whether it is an init container (a native sidecar is one, too).
    pub is_init: bool,
}

/// A service.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Service {
    /// `ClusterIP`, `LoadBalancer`, `NodePort`, `ExternalName`.
    pub kind: Text,
    /// Cluster addresses; `None` for a headless service.
    pub cluster_ips: Vec<Text>,
    /// `spec.externalIPs`.
    pub external_ips: Vec<Text>,
    /// `spec.externalName`; empty where none.
    pub external_name: Text,
    /// Addresses and host names of `status.loadBalancer.ingress`; in a table row the column EXTERNAL-IP.
    pub ingress: Vec<Text>,
    /// Selector; empty where none.
    pub selector: Map,
    /// Ports.
    pub ports: Vec<ServicePort>,
    /// Whether the selector was shown, so that an empty one is empty.
    pub shows_selector: bool,
}

/// A port of a service.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ServicePort {
    /// Name; empty where not shown.
    pub name: Text,
    /// Port.
    pub port: u16,
    /// Target: a number or a name; empty where not shown.
    pub target: Text,
    /// Node port; 0 where none.
    pub node_port: u16,
    /// `TCP`, `UDP`.
    pub protocol: Text,
    /// `appProtocol`; empty where none.
    pub app_protocol: Text,
}

/// The endpoints of a service.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Endpoints {
    /// The service they are of.
    pub service: Text,
    /// Addresses.
    pub addresses: Vec<EndpointAddress>,
    /// Port names and numbers.
    pub ports: Vec<(Text, u16)>,
    /// Whether addresses were left out by the table (`+ 3 more...`).
    pub is_cut: bool,
}

/// An address of a service's endpoints.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct EndpointAddress {
    /// IP address or host name.
    pub host: Text,
    /// Whether it is ready.
    pub ready: bool,
    /// Pod; empty where it is none.
    pub pod: Text,
    /// Node.
    pub node: Text,
}

/// A Deployment, DaemonSet, StatefulSet or ReplicaSet.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Workload {
    /// Wanted pods.
    pub wanted: u32,
    /// Ready pods.
    pub ready: u32,
    /// Selector.
    pub selector: Map,
    /// Labels of its pods.
    pub pod_labels: Map,
    /// Annotations of its pods.
    pub pod_annotations: Map,
    /// Service account of its pods.
    pub service_account: Text,
    /// Containers of its pods; empty in a table row.
    pub containers: Vec<Container>,
    /// Conditions.
    pub conditions: Vec<Condition>,
}

/// A node.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Node {
    /// Whether it is ready.
    pub ready: bool,
    /// `v1.33.1`.
    pub kubelet: Text,
    /// Addresses: type (`InternalIP`, `ExternalIP`, `Hostname`) and value.
    pub addresses: Vec<(Text, Text)>,
    /// Conditions.
    pub conditions: Vec<Condition>,
}

/// A ConfigMap.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ConfigMap {
    /// Its keys.
    pub keys: Vec<Text>,
    /// Key `mesh` of `istio[-<revision>]`, or what `/debug/mesh` says.
    pub mesh: Option<MeshConfig>,
    /// Key `meshNetworks`.
    pub mesh_networks: Vec<MeshNetwork>,
    /// Certificates of the keys that hold some: `root-cert.pem`.
    pub certs: Vec<(Text, Vec<Cert>)>,
    /// Simple values of other keys that causes ask for; each at most 256 bytes.
    pub values: Map,
    /// Keys that should hold something readable and do not, with the reason.
    pub unreadable: Vec<(Text, Text)>,
}

/// Mesh config: the fields that decide about multicluster.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct MeshConfig {
    /// `trustDomain`; empty where it is not set (`cluster.local`).
    pub trust_domain: Text,
    /// `trustDomainAliases`.
    pub trust_domain_aliases: Vec<Text>,
    /// Certificates of `caCertificates[].pem`.
    pub ca_certificates: Vec<Cert>,
    /// `discoverySelectors`: each as printed, compact.
    pub discovery_selectors: Vec<Text>,
    /// `matchLabels` of each discovery selector; `None` where it uses expressions.
    pub discovery_labels: Vec<Option<Map>>,
    /// `serviceSettings[]` that are cluster-local: hosts.
    pub cluster_local_hosts: Vec<Text>,
    /// `serviceScopeConfigs[]` with scope GLOBAL: the services' selector; `None` where it selects namespaces, so that nobody
    /// can tell from a service's labels.
    pub global_services: Vec<Option<Selector>>,
    /// `outboundTrafficPolicy.mode`; empty where not set.
    pub outbound_mode: Text,
    /// `defaultConfig.discoveryAddress`; empty where not set.
    pub discovery_address: Text,
    /// `rootNamespace`; empty where not set.
    pub root_namespace: Text,
    /// `localityLbSetting.enabled`; `None` where not set (on).
    pub locality_lb: Option<bool>,
    /// `defaultConfig.proxyMetadata`.
    pub proxy_metadata: Map,
    /// `enableAutoMtls`; `None` where not set (on).
    pub auto_mtls: Option<bool>,
}

/// A network of meshNetworks.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct MeshNetwork {
    /// Name.
    pub name: Text,
    /// `fromRegistry` of its endpoints.
    pub registries: Vec<Text>,
    /// `fromCidr` of its endpoints.
    pub cidrs: Vec<Text>,
    /// Gateways: address or registry service, and port.
    pub gateways: Vec<(Text, u16)>,
}

/// A Secret: its keys, its certificates, and what its kubeconfigs say. Never a private key, never a token.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Secret {
    /// Type: `Opaque`, `istio.io/ca-root`, ...
    pub kind: Text,
    /// Its keys; empty where only a table row is known.
    pub keys: Vec<Text>,
    /// How many keys it has.
    pub keys_count: u32,
    /// Certificates by key (`ca-cert.pem`, `root-cert.pem`, `cert-chain.pem`, `tls.crt`, `ca.crt`).
    pub certs: Vec<(Text, Vec<Cert>)>,
    /// Kubeconfigs by key, where it is a remote secret.
    pub kubeconfigs: Vec<Kubeconfig>,
    /// Keys that should hold something readable and do not, with the reason.
    pub unreadable: Vec<(Text, Text)>,
}

/// A kubeconfig of a remote secret.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Kubeconfig {
    /// The Secret's key: the cluster ID istiod takes it for.
    pub cluster: Text,
    /// `https://172.18.0.3:6443`; user information in it is left out.
    pub server: Text,
    /// Certificates of `certificate-authority-data`.
    pub ca: Vec<Cert>,
    /// Whether the server's certificate is not checked.
    pub insecure: bool,
    /// `tls-server-name`; empty where none.
    pub tls_server_name: Text,
    /// `proxy-url` without its credentials; empty where none.
    pub proxy_url: Text,
    /// How istiod logs in.
    pub auth: KubeAuth,
    /// What makes it unusable: `current-context names no context`; empty where nothing does.
    pub problem: Text,
}

/// How a kubeconfig logs in.
#[derive(Clone, Debug, PartialEq, Default)]
pub enum KubeAuth {
    /// Nothing is given.
    #[default]
    None,
    /// A token, reduced to its claims; all empty where it is no JWT.
    Token {
        /// `sub`.
        subject: Text,
        /// `iss`.
        issuer: Text,
        /// `iat`.
        issued: Option<Time>,
        /// `exp`; `None` for one that does not expire.
        expires: Option<Time>,
    },
    /// A client certificate.
    Certificate(Vec<Cert>),
    /// An exec plugin, which istiod does not run by default: its command.
    Exec(Text),
    /// Another way: `password`, `auth-provider`.
    Other(Text),
}

/// A Gateway of the Gateway API.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Gateway {
    /// Class.
    pub class: Text,
    /// Listeners.
    pub listeners: Vec<Listener>,
    /// `spec.addresses`.
    pub spec_addresses: Vec<Text>,
    /// `status.addresses`.
    pub addresses: Vec<Text>,
    /// Conditions; in a table row `Programmed` alone.
    pub conditions: Vec<Condition>,
}

/// A listener of a Gateway.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Listener {
    /// Name.
    pub name: Text,
    /// Port.
    pub port: u16,
    /// `HBONE`, `TLS`, `HTTP`, ...
    pub protocol: Text,
    /// Host name; empty where none.
    pub hostname: Text,
    /// `Terminate`, `Passthrough`; empty where none.
    pub tls_mode: Text,
    /// `tls.options`.
    pub options: Map,
    /// Conditions of its status.
    pub conditions: Vec<Condition>,
}

/// A GatewayClass.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct GatewayClass {
    /// Controller.
    pub controller: Text,
    /// Conditions.
    pub conditions: Vec<Condition>,
}

/// A Gateway of Istio.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct IstioGateway {
    /// The pods it configures.
    pub selector: Map,
    /// Servers.
    pub servers: Vec<Server>,
}

/// A server of Istio's Gateway.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Server {
    /// Port.
    pub port: u16,
    /// `TLS`, `HTTP`, ...
    pub protocol: Text,
    /// Hosts.
    pub hosts: Vec<Text>,
    /// `AUTO_PASSTHROUGH`, ...; empty where none.
    pub tls_mode: Text,
    /// `credentialName`; empty where none.
    pub credential: Text,
}

/// A VirtualService or a route of the Gateway API.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct VirtualService {
    /// Hosts.
    pub hosts: Vec<Text>,
    /// Gateways or parents: `<namespace>/<name>` or `mesh`.
    pub gateways: Vec<Text>,
    /// Destinations of all its routes.
    pub destinations: Vec<Destination>,
}

/// A destination of a route.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Destination {
    /// Host as written.
    pub host: Text,
    /// Subset; empty where none.
    pub subset: Text,
    /// Port; 0 where none.
    pub port: u16,
}

/// A DestinationRule.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct DestinationRule {
    /// Host as written.
    pub host: Text,
    /// `ISTIO_MUTUAL`, `DISABLE`, ...; empty where not set.
    pub tls_mode: Text,
    /// Subsets with their labels.
    pub subsets: Vec<(Text, Map)>,
    /// Whether outlier detection is set.
    pub outlier_detection: bool,
    /// Locality settings, where set.
    pub locality: Option<Locality>,
}

/// Locality settings.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Locality {
    /// `enabled`; on where not set.
    pub enabled: bool,
    /// Whether it distributes by weight.
    pub distribute: bool,
    /// `from` and `to` of each fail-over.
    pub failover: Vec<(Text, Text)>,
    /// `failoverPriority` labels.
    pub priority: Vec<Text>,
}

/// A ServiceEntry.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ServiceEntry {
    /// Hosts.
    pub hosts: Vec<Text>,
    /// Addresses, given and assigned (`status.addresses`).
    pub addresses: Vec<Text>,
    /// Ports: number, name and protocol.
    pub ports: Vec<(u16, Text, Text)>,
    /// `MESH_INTERNAL`, `MESH_EXTERNAL`.
    pub location: Text,
    /// `DNS`, `STATIC`, ...
    pub resolution: Text,
    /// Endpoints: address and network.
    pub endpoints: Vec<(Text, Text)>,
    /// Workload selector.
    pub selector: Map,
}

/// A WorkloadEntry, or the template of a WorkloadGroup.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct WorkloadEntry {
    /// Address.
    pub address: Text,
    /// Ports by name.
    pub ports: BTreeMap<Text, u16>,
    /// Network; empty where none.
    pub network: Text,
    /// Locality.
    pub locality: Text,
    /// Service account.
    pub service_account: Text,
    /// Labels of the workload (`spec.labels`).
    pub labels: Map,
}

/// A PeerAuthentication.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct PeerAuthentication {
    /// `STRICT`, `PERMISSIVE`, `DISABLE`; empty where not set.
    pub mode: Text,
    /// The pods it selects; empty for all.
    pub selector: Map,
    /// Modes of single ports.
    pub ports: BTreeMap<u16, Text>,
}

/// An AuthorizationPolicy.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct AuthorizationPolicy {
    /// `ALLOW`, `DENY`, `AUDIT`, `CUSTOM`; empty where not set (`ALLOW`).
    pub action: Text,
    /// The pods it selects; empty for all.
    pub selector: Map,
    /// `targetRefs`: `<kind>/<name>`.
    pub targets: Vec<Text>,
    /// How many rules it has; an ALLOW without any denies everything.
    pub rules: u32,
    /// Principals and namespaces its rules name.
    pub sources: Vec<Text>,
}

/// A Sidecar.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Sidecar {
    /// The pods it selects; empty for all of its namespace.
    pub selector: Map,
    /// Hosts of all egress listeners.
    pub egress_hosts: Vec<Text>,
    /// `outboundTrafficPolicy.mode`; empty where not set.
    pub outbound_mode: Text,
}

/// A NetworkPolicy.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct NetworkPolicy {
    /// The pods it selects; empty for all.
    pub selector: Map,
    /// Whether it limits what comes in.
    pub limits_ingress: bool,
    /// Whether it limits what goes out.
    pub limits_egress: bool,
    /// What may come in: the ports of each rule, as numbers or names; an empty list allows every port.
    pub ingress_ports: Vec<Vec<Text>>,
    /// What may go out: the ports of each rule.
    pub egress_ports: Vec<Vec<Text>>,
}

/// A CustomResourceDefinition.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Crd {
    /// Group.
    pub group: Text,
    /// Kind.
    pub kind: Text,
    /// Served versions.
    pub versions: Vec<Text>,
}

/// A webhook of a configuration.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Webhook {
    /// Name.
    pub name: Text,
    /// URL; empty where it names a service.
    pub url: Text,
    /// `<namespace>/<service>`; empty where it names a URL.
    pub service: Text,
    /// Path.
    pub path: Text,
    /// Port; 443 where not set.
    pub port: u16,
    /// Certificates of its `caBundle`; empty where it has none or an unreadable one.
    pub ca: Vec<Cert>,
    /// Whether a `caBundle` is set at all.
    pub has_ca: bool,
    /// `Fail`, `Ignore`.
    pub failure_policy: Text,
}
