//! The JSON of Envoy's admin endpoints and resources, as far as causes ask: what is not named here is skipped unread.
//!
//! `envoyproxy/envoy: api/envoy/admin/v3, api/envoy/config`. Envoy prints `snake_case`, istioctl and istiod `camelCase`.
//! A private key has no field here, so it is never more than bytes that were skipped.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::event::Text;
use crate::time::{self, Time};

/// Items kept of one list; what is more is counted.
pub(super) const ITEMS_MAX: usize = 100_000;

/// A part of a document: a section of a dump, a resource, or the whole answer of an endpoint. Its keys tell which.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Part<'a> {
    #[serde(rename = "@type", borrow)]
    pub kind: Cow<'a, str>,
    pub name: Text,

    // Sections of a dump.
    #[serde(borrow)]
    pub bootstrap: Option<Bootstrap<'a>>,
    #[serde(alias = "staticClusters")]
    pub static_clusters: Option<List<ClusterItem>>,
    #[serde(alias = "dynamicActiveClusters")]
    pub dynamic_active_clusters: Option<List<ClusterItem>>,
    #[serde(alias = "dynamicWarmingClusters")]
    pub dynamic_warming_clusters: Option<List<ClusterItem>>,
    #[serde(alias = "staticListeners", borrow)]
    pub static_listeners: Option<List<ListenerState<'a>>>,
    #[serde(alias = "dynamicListeners", borrow)]
    pub dynamic_listeners: Option<List<DynamicListener<'a>>>,
    #[serde(alias = "staticRouteConfigs")]
    pub static_route_configs: Option<List<RouteItem>>,
    #[serde(alias = "dynamicRouteConfigs")]
    pub dynamic_route_configs: Option<List<RouteItem>>,
    #[serde(alias = "inlineScopedRouteConfigs")]
    pub inline_scoped_route_configs: Option<List<ScopedItem>>,
    #[serde(alias = "dynamicScopedRouteConfigs")]
    pub dynamic_scoped_route_configs: Option<List<ScopedItem>>,
    #[serde(alias = "staticSecrets", borrow)]
    pub static_secrets: Option<List<SecretItem<'a>>>,
    #[serde(alias = "dynamicActiveSecrets", borrow)]
    pub dynamic_active_secrets: Option<List<SecretItem<'a>>>,
    #[serde(alias = "dynamicWarmingSecrets", borrow)]
    pub dynamic_warming_secrets: Option<List<SecretItem<'a>>>,
    #[serde(alias = "staticEndpointConfigs", borrow)]
    pub static_endpoint_configs: Option<List<EndpointItem<'a>>>,
    #[serde(alias = "dynamicEndpointConfigs", borrow)]
    pub dynamic_endpoint_configs: Option<List<EndpointItem<'a>>>,
    #[serde(alias = "ecdsFilters")]
    pub ecds_filters: Option<List<FilterItem>>,

    // One item of a section, as `?resource=` prints it.
    pub cluster: Option<Cluster>,
    #[serde(borrow)]
    pub listener: Option<Listener<'a>>,
    #[serde(alias = "activeState", borrow)]
    pub active_state: Option<ListenerState<'a>>,
    #[serde(alias = "warmingState", borrow)]
    pub warming_state: Option<ListenerState<'a>>,
    #[serde(alias = "routeConfig")]
    pub route_config: Option<RouteConfig>,
    #[serde(alias = "endpointConfig", borrow)]
    pub endpoint_config: Option<Assignment<'a>>,
    #[serde(borrow)]
    pub secret: Option<Secret<'a>>,
    #[serde(alias = "errorState")]
    pub error_state: Option<ErrorState>,

    // A resource: a cluster, ...
    #[serde(rename = "type")]
    pub discovery: Loose,
    #[serde(alias = "clusterType")]
    pub cluster_type: Option<Named>,
    #[serde(alias = "edsClusterConfig")]
    pub eds_cluster_config: Option<IgnoredAny>,
    #[serde(alias = "connectTimeout")]
    pub connect_timeout: Option<IgnoredAny>,
    #[serde(alias = "lbPolicy")]
    pub lb_policy: Option<IgnoredAny>,
    #[serde(alias = "transportSocket")]
    pub transport_socket: Option<Socket>,
    #[serde(alias = "transportSocketMatches")]
    pub transport_socket_matches: Vec<SocketMatch>,
    #[serde(alias = "commonLbConfig")]
    pub common_lb_config: Option<LbConfig>,
    #[serde(alias = "outlierDetection")]
    pub outlier_detection: Option<IgnoredAny>,
    // ... a listener, ...
    #[serde(borrow)]
    pub address: Option<Address<'a>>,
    #[serde(alias = "filterChains")]
    pub filter_chains: Option<List<Chain>>,
    #[serde(alias = "defaultFilterChain")]
    pub default_filter_chain: Option<Chain>,
    #[serde(alias = "listenerFilters")]
    pub listener_filters: Option<IgnoredAny>,
    // ... a route configuration, ...
    #[serde(alias = "virtualHosts")]
    pub virtual_hosts: Option<List<VirtualHost>>,
    #[serde(alias = "validateClusters")]
    pub validate_clusters: Option<IgnoredAny>,
    // ... the endpoints of a cluster, ...
    #[serde(alias = "clusterName")]
    pub cluster_name: Option<Text>,
    #[serde(borrow)]
    pub endpoints: Option<List<LocalityEndpoints<'a>>>,
    // ... a secret.
    #[serde(alias = "tlsCertificate", borrow)]
    pub tls_certificate: Option<TlsCertificate<'a>>,
    #[serde(alias = "validationContext", borrow)]
    pub validation_context: Option<Trusted<'a>>,

    // `/clusters?format=json` and one of its clusters, as `istioctl proxy-config endpoint -o json` lists them.
    #[serde(alias = "clusterStatuses", borrow)]
    pub cluster_statuses: Option<List<ClusterStatus<'a>>>,
    #[serde(alias = "hostStatuses", borrow)]
    pub host_statuses: Option<List<HostStatus<'a>>>,
    #[serde(alias = "addedViaApi")]
    pub added_via_api: Option<IgnoredAny>,
    #[serde(alias = "circuitBreakers")]
    pub circuit_breakers: Option<IgnoredAny>,
    // `/listeners?format=json`
    #[serde(alias = "listenerStatuses", borrow)]
    pub listener_statuses: Option<List<ListenerStatus<'a>>>,
    // `/certs`
    pub certificates: Option<List<HeldCertificates>>,
    // `/stats?format=json`
    #[serde(borrow)]
    pub stats: Option<List<NamedStat<'a>>>,
    // `/server_info`
    pub version: Loose,
    pub state: Loose,
    #[serde(alias = "uptimeCurrentEpoch")]
    pub uptime_current_epoch: Loose,
    #[serde(alias = "hotRestartVersion")]
    pub hot_restart_version: Option<IgnoredAny>,
    #[serde(borrow)]
    pub node: Option<Node<'a>>,

    #[serde(alias = "lastUpdated")]
    pub last_updated: Stamp,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Bootstrap<'a> {
    #[serde(borrow)]
    pub node: Option<Node<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Node<'a> {
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    pub metadata: Metadata,
    #[serde(borrow)]
    pub locality: Locality<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) struct Metadata {
    pub cluster_id: Loose,
    pub network: Loose,
    pub requested_network_view: Loose,
    pub router_mode: Loose,
    pub namespace: Loose,
    pub name: Loose,
    pub istio_version: Loose,
    pub service_account: Loose,
    pub mesh_id: Loose,
    pub proxy_config: ProxyConfig,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ProxyConfig {
    pub discovery_address: Loose,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Locality<'a> {
    #[serde(borrow)]
    pub region: Cow<'a, str>,
    #[serde(borrow)]
    pub zone: Cow<'a, str>,
    #[serde(alias = "subZone", borrow)]
    pub sub_zone: Cow<'a, str>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct ErrorState {
    #[serde(alias = "failedConfiguration")]
    pub failed_configuration: Option<FailedConfiguration>,
    #[serde(alias = "lastUpdateAttempt")]
    pub last_update_attempt: Stamp,
    pub details: Text,
}

/// What was refused, as far as its name goes: of endpoints it is the cluster's.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct FailedConfiguration {
    #[serde(alias = "cluster_name", alias = "clusterName")]
    pub name: Text,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct ClusterItem {
    pub cluster: Cluster,
    #[serde(alias = "lastUpdated")]
    pub last_updated: Stamp,
    #[serde(alias = "errorState")]
    pub error_state: Option<ErrorState>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Cluster {
    pub name: Text,
    #[serde(rename = "type")]
    pub discovery: Loose,
    #[serde(alias = "clusterType")]
    pub cluster_type: Option<Named>,
    #[serde(alias = "transportSocket")]
    pub transport_socket: Option<Socket>,
    #[serde(alias = "transportSocketMatches")]
    pub transport_socket_matches: Vec<SocketMatch>,
    #[serde(alias = "commonLbConfig")]
    pub common_lb_config: Option<LbConfig>,
    #[serde(alias = "outlierDetection")]
    pub outlier_detection: Option<IgnoredAny>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Named {
    pub name: Text,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct LbConfig {
    #[serde(alias = "localityWeightedLbConfig")]
    pub locality_weighted_lb_config: Option<IgnoredAny>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct SocketMatch {
    pub name: Text,
    #[serde(alias = "transportSocket")]
    pub transport_socket: Option<Socket>,
}

/// A transport socket; that of an internal listener holds the real one.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Socket {
    #[serde(alias = "typedConfig")]
    pub typed_config: SocketConfig,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct SocketConfig {
    #[serde(alias = "commonTlsContext")]
    pub common_tls_context: Option<TlsContext>,
    #[serde(alias = "transportSocket")]
    pub transport_socket: Option<Box<Socket>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct TlsContext {
    #[serde(alias = "tlsCertificateSdsSecretConfigs")]
    pub tls_certificate_sds_secret_configs: Vec<Named>,
    #[serde(alias = "validationContext")]
    pub validation_context: Option<Accepted>,
    #[serde(alias = "combinedValidationContext")]
    pub combined_validation_context: Option<Combined>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Combined {
    #[serde(alias = "defaultValidationContext")]
    pub default_validation_context: Accepted,
}

/// Whom a TLS client accepts.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Accepted {
    #[serde(alias = "matchTypedSubjectAltNames")]
    pub match_typed_subject_alt_names: Vec<TypedMatcher>,
    #[serde(alias = "matchSubjectAltNames")]
    pub match_subject_alt_names: Vec<Matcher>,
    #[serde(alias = "verifySubjectAltName")]
    pub verify_subject_alt_name: Vec<Text>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct TypedMatcher {
    pub matcher: Matcher,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Matcher {
    pub exact: Text,
    pub prefix: Text,
    pub suffix: Text,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct DynamicListener<'a> {
    pub name: Text,
    #[serde(alias = "activeState", borrow)]
    pub active_state: Option<ListenerState<'a>>,
    #[serde(alias = "warmingState", borrow)]
    pub warming_state: Option<ListenerState<'a>>,
    #[serde(alias = "errorState")]
    pub error_state: Option<ErrorState>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct ListenerState<'a> {
    #[serde(borrow)]
    pub listener: Listener<'a>,
    #[serde(alias = "lastUpdated")]
    pub last_updated: Stamp,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Listener<'a> {
    pub name: Text,
    #[serde(borrow)]
    pub address: Address<'a>,
    #[serde(alias = "filterChains")]
    pub filter_chains: List<Chain>,
    #[serde(alias = "defaultFilterChain")]
    pub default_filter_chain: Option<Chain>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Chain {
    #[serde(alias = "filterChainMatch")]
    pub filter_chain_match: ChainMatch,
    pub filters: Vec<Filter>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct ChainMatch {
    #[serde(alias = "serverNames")]
    pub server_names: Vec<Text>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Filter {
    #[serde(alias = "typedConfig")]
    pub typed_config: Destination,
}

/// Where a TCP proxy or a route leads.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Destination {
    pub cluster: Loose,
    #[serde(alias = "weightedClusters")]
    pub weighted_clusters: Option<Weighted>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Weighted {
    pub clusters: Vec<Named>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct RouteItem {
    #[serde(alias = "routeConfig")]
    pub route_config: RouteConfig,
    #[serde(alias = "lastUpdated")]
    pub last_updated: Stamp,
    #[serde(alias = "errorState")]
    pub error_state: Option<ErrorState>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct RouteConfig {
    pub name: Text,
    #[serde(alias = "virtualHosts")]
    pub virtual_hosts: List<VirtualHost>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct VirtualHost {
    pub domains: Vec<Text>,
    pub routes: List<Route>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Route {
    pub route: Destination,
}

/// Scoped routes name route configurations that stand in their own section.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct ScopedItem {
    pub name: Text,
    #[serde(alias = "lastUpdated")]
    pub last_updated: Stamp,
    #[serde(alias = "errorState")]
    pub error_state: Option<ErrorState>,
}

/// An extension configuration that came by itself (ECDS).
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct FilterItem {
    #[serde(alias = "ecdsFilter")]
    pub ecds_filter: Named,
    #[serde(alias = "lastUpdated")]
    pub last_updated: Stamp,
    #[serde(alias = "errorState")]
    pub error_state: Option<ErrorState>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct SecretItem<'a> {
    pub name: Text,
    #[serde(borrow)]
    pub secret: Secret<'a>,
    #[serde(alias = "lastUpdated")]
    pub last_updated: Stamp,
    #[serde(alias = "errorState")]
    pub error_state: Option<ErrorState>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Secret<'a> {
    pub name: Text,
    #[serde(alias = "tlsCertificate", borrow)]
    pub tls_certificate: Option<TlsCertificate<'a>>,
    #[serde(alias = "validationContext", borrow)]
    pub validation_context: Option<Trusted<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct TlsCertificate<'a> {
    #[serde(alias = "certificateChain", borrow)]
    pub certificate_chain: Source<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Trusted<'a> {
    #[serde(alias = "trustedCa", borrow)]
    pub trusted_ca: Source<'a>,
    #[serde(alias = "customValidatorConfig", borrow)]
    pub custom_validator_config: CustomValidator<'a>,
}

/// SPIFFE's validator: a bundle for each trust domain.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct CustomValidator<'a> {
    #[serde(alias = "typedConfig", borrow)]
    pub typed_config: Bundles<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Bundles<'a> {
    #[serde(alias = "trustDomains", borrow)]
    pub trust_domains: Vec<Bundle<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Bundle<'a> {
    #[serde(alias = "trustBundle", borrow)]
    pub trust_bundle: Source<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Source<'a> {
    #[serde(alias = "inlineBytes", borrow)]
    pub inline_bytes: Cow<'a, str>,
    #[serde(alias = "inlineString", borrow)]
    pub inline_string: Cow<'a, str>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct EndpointItem<'a> {
    #[serde(alias = "endpointConfig", borrow)]
    pub endpoint_config: Assignment<'a>,
    #[serde(alias = "lastUpdated")]
    pub last_updated: Stamp,
    #[serde(alias = "errorState")]
    pub error_state: Option<ErrorState>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Assignment<'a> {
    #[serde(alias = "clusterName")]
    pub cluster_name: Text,
    #[serde(borrow)]
    pub endpoints: List<LocalityEndpoints<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct LocalityEndpoints<'a> {
    #[serde(borrow)]
    pub locality: Locality<'a>,
    #[serde(alias = "lbEndpoints", borrow)]
    pub lb_endpoints: List<LbEndpoint<'a>>,
    pub priority: Number,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct LbEndpoint<'a> {
    #[serde(borrow)]
    pub endpoint: Endpoint<'a>,
    #[serde(alias = "healthStatus", borrow)]
    pub health_status: Cow<'a, str>,
    #[serde(borrow)]
    pub metadata: EndpointMetadata<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Endpoint<'a> {
    #[serde(borrow)]
    pub address: Address<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Address<'a> {
    #[serde(alias = "socketAddress", borrow)]
    pub socket_address: SocketAddress<'a>,
    #[serde(alias = "envoyInternalAddress", borrow)]
    pub envoy_internal_address: InternalAddress<'a>,
    #[serde(borrow)]
    pub pipe: Pipe<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct SocketAddress<'a> {
    #[serde(borrow)]
    pub address: Cow<'a, str>,
    #[serde(alias = "portValue")]
    pub port_value: Number,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct InternalAddress<'a> {
    #[serde(alias = "endpointId", borrow)]
    pub endpoint_id: Cow<'a, str>,
    #[serde(alias = "serverListenerName", borrow)]
    pub server_listener_name: Cow<'a, str>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Pipe<'a> {
    #[serde(borrow)]
    pub path: Cow<'a, str>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct EndpointMetadata<'a> {
    #[serde(alias = "filterMetadata", borrow)]
    pub filter_metadata: FilterMetadata<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct FilterMetadata<'a> {
    #[serde(rename = "envoy.transport_socket_match", borrow)]
    pub socket_match: TransportMatch<'a>,
    #[serde(borrow)]
    pub istio: IstioMetadata<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct TransportMatch<'a> {
    #[serde(rename = "tlsMode", borrow)]
    pub tls_mode: Cow<'a, str>,
    #[serde(borrow)]
    pub tunnel: Cow<'a, str>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct IstioMetadata<'a> {
    #[serde(borrow)]
    pub workload: Cow<'a, str>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct ClusterStatus<'a> {
    pub name: Text,
    #[serde(alias = "hostStatuses", borrow)]
    pub host_statuses: List<HostStatus<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct HostStatus<'a> {
    #[serde(borrow)]
    pub address: Address<'a>,
    #[serde(borrow)]
    pub stats: List<NamedStat<'a>>,
    #[serde(alias = "healthStatus", borrow)]
    pub health_status: HostHealth<'a>,
    #[serde(borrow)]
    pub locality: Locality<'a>,
    pub priority: Number,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct HostHealth<'a> {
    #[serde(alias = "edsHealthStatus", borrow)]
    pub eds_health_status: Cow<'a, str>,
    #[serde(alias = "failedActiveHealthCheck")]
    pub failed_active_health_check: bool,
    #[serde(alias = "failedOutlierCheck")]
    pub failed_outlier_check: bool,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct NamedStat<'a> {
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    pub value: Number,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct ListenerStatus<'a> {
    pub name: Text,
    #[serde(alias = "localAddress", borrow)]
    pub local_address: Address<'a>,
    #[serde(alias = "additionalLocalAddresses", borrow)]
    pub additional_local_addresses: Vec<Address<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct HeldCertificates {
    #[serde(alias = "caCert")]
    pub ca_cert: Vec<Details>,
    #[serde(alias = "certChain")]
    pub cert_chain: Vec<Details>,
}

/// A certificate as `/certs` describes it.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Details {
    pub path: Text,
    #[serde(alias = "serialNumber")]
    pub serial_number: Text,
    #[serde(alias = "subjectAltNames")]
    pub subject_alt_names: Vec<AltName>,
    #[serde(alias = "validFrom")]
    pub valid_from: Stamp,
    #[serde(alias = "expirationTime")]
    pub expiration_time: Stamp,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct AltName {
    pub uri: Text,
    pub dns: Text,
    #[serde(alias = "ipAddress")]
    pub ip_address: Text,
}

/// What a list holds of an item that says nothing is nothing.
pub(super) trait Item {
    /// Whether nothing of it is worth keeping.
    fn is_blank(&self) -> bool {
        false
    }
}

impl Item for ClusterItem {
    fn is_blank(&self) -> bool {
        self.cluster.name.is_empty() && self.error_state.is_none()
    }
}
impl Item for DynamicListener<'_> {
    fn is_blank(&self) -> bool {
        self.active_state.is_none() && self.warming_state.is_none() && self.error_state.is_none()
    }
}
impl Item for ListenerState<'_> {}
impl Item for Chain {
    fn is_blank(&self) -> bool {
        self.filters.is_empty() && self.filter_chain_match.server_names.is_empty()
    }
}
impl Item for RouteItem {}
impl Item for VirtualHost {
    fn is_blank(&self) -> bool {
        self.domains.is_empty()
    }
}
impl Item for Route {
    fn is_blank(&self) -> bool {
        self.route.cluster.is_empty() && self.route.weighted_clusters.is_none()
    }
}
impl Item for ScopedItem {}
impl Item for FilterItem {}
impl Item for SecretItem<'_> {}
impl Item for EndpointItem<'_> {
    fn is_blank(&self) -> bool {
        self.endpoint_config.cluster_name.is_empty()
    }
}
impl Item for LocalityEndpoints<'_> {
    fn is_blank(&self) -> bool {
        self.lb_endpoints.kept.is_empty() && self.lb_endpoints.cut == 0
    }
}
impl Item for LbEndpoint<'_> {
    fn is_blank(&self) -> bool {
        self.endpoint.address.is_blank()
    }
}
impl Item for ClusterStatus<'_> {
    fn is_blank(&self) -> bool {
        self.name.is_empty()
    }
}
impl Item for HostStatus<'_> {
    fn is_blank(&self) -> bool {
        self.address.is_blank()
    }
}
impl Item for NamedStat<'_> {
    fn is_blank(&self) -> bool {
        self.name.is_empty()
    }
}
impl Item for ListenerStatus<'_> {}
impl Item for HeldCertificates {}

impl Address<'_> {
    fn is_blank(&self) -> bool {
        self.socket_address.address.is_empty()
            && self.envoy_internal_address.endpoint_id.is_empty()
            && self.envoy_internal_address.server_listener_name.is_empty()
            && self.pipe.path.is_empty()
    }
}

/// A list with what is worth keeping of it, at most [`ITEMS_MAX`] items.
pub(super) struct List<T> {
    pub kept: Vec<T>,
    pub cut: usize,
}

impl<T> Default for List<T> {
    fn default() -> List<T> {
        List { kept: Vec::new(), cut: 0 }
    }
}

impl<'de, T: Deserialize<'de> + Item> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<List<T>, D::Error> {
        struct Items<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de> + Item> Visitor<'de> for Items<T> {
            type Value = List<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<List<T>, A::Error> {
                let mut list = List::default();
                while list.kept.len() < ITEMS_MAX {
                    match items.next_element::<T>()? {
                        Some(item) if item.is_blank() => {}
                        Some(item) => list.kept.push(item),
                        None => return Ok(list),
                    }
                }
                while items.next_element::<IgnoredAny>()?.is_some() {
                    list.cut += 1;
                }
                Ok(list)
            }
        }
        deserializer.deserialize_seq(Items(PhantomData))
    }
}

/// A whole number, which protobuf's JSON prints as a text where it has 64 bits.
#[derive(Clone, Copy, Default)]
pub(super) struct Number(pub u64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Number, D::Error> {
        struct Digits;
        impl Visitor<'_> for Digits {
            type Value = Number;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Number, E> {
                Ok(Number(number))
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Number, E> {
                Ok(Number(u64::try_from(number).unwrap_or(0)))
            }
            fn visit_f64<E: Error>(self, number: f64) -> Result<Number, E> {
                Ok(Number(number as u64))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Number, E> {
                Ok(Number(text.parse().unwrap_or(0)))
            }
        }
        deserializer.deserialize_any(Digits)
    }
}

/// A time; what is none is as if it were not there.
#[derive(Clone, Copy, Default)]
pub(super) struct Stamp(pub Option<Time>);

impl<'de> Deserialize<'de> for Stamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Stamp, D::Error> {
        let text = Loose::deserialize(deserializer)?;
        Ok(Stamp(time::rfc3339(text.0.as_bytes()).map(|(at, _)| at)))
    }
}

/// A text, where metadata and extensions of other kinds may have anything in its place, which is as if it were empty.
#[derive(Clone, Default)]
pub(super) struct Loose(pub Text);

impl std::ops::Deref for Loose {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Loose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Loose, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Loose;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Loose, E> {
                Ok(Loose(text.into()))
            }
            fn visit_bool<E: Error>(self, _: bool) -> Result<Loose, E> {
                Ok(Loose::default())
            }
            fn visit_u64<E: Error>(self, _: u64) -> Result<Loose, E> {
                Ok(Loose::default())
            }
            fn visit_i64<E: Error>(self, _: i64) -> Result<Loose, E> {
                Ok(Loose::default())
            }
            fn visit_f64<E: Error>(self, _: f64) -> Result<Loose, E> {
                Ok(Loose::default())
            }
            fn visit_unit<E: Error>(self) -> Result<Loose, E> {
                Ok(Loose::default())
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Loose, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Loose::default())
            }
            fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Loose, A::Error> {
                while items.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Loose::default())
            }
        }
        deserializer.deserialize_any(Any)
    }
}
