//! Resources for an Envoy in istiod's manner: its names, its filters, its two access log formats.

use std::collections::HashMap;
use std::net::SocketAddr;

use envoy_types::pb::envoy::config::accesslog::v3::{AccessLog, access_log};
use envoy_types::pb::envoy::config::cluster::v3::{Cluster, cluster};
use envoy_types::pb::envoy::config::core::v3::{
    Address, AggregatedConfigSource, ApiVersion, ConfigSource, DataSource, SocketAddress, SubstitutionFormatString,
    TrafficDirection, TransportSocket, address, config_source, data_source, socket_address, substitution_format_string,
    transport_socket,
};
use envoy_types::pb::envoy::config::endpoint::v3::{
    ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints, lb_endpoint,
};
use envoy_types::pb::envoy::config::listener::v3::{Filter, FilterChain, Listener, filter};
use envoy_types::pb::envoy::config::rbac::v3::{Permission, Policy, Principal, Rbac, permission, principal, rbac};
use envoy_types::pb::envoy::config::route::v3::{
    Route, RouteAction, RouteConfiguration, RouteMatch, VirtualHost, route, route_action, route_match,
};
use envoy_types::pb::envoy::extensions::access_loggers::file::v3::{FileAccessLog, file_access_log};
use envoy_types::pb::envoy::extensions::filters::http::rbac::v3 as http_rbac;
use envoy_types::pb::envoy::extensions::filters::http::router::v3::Router;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, HttpFilter, Rds, http_connection_manager, http_filter,
};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{
    CertificateValidationContext, CommonTlsContext, DownstreamTlsContext, SdsSecretConfig, Secret,
    SubjectAltNameMatcher, TlsCertificate, UpstreamTlsContext, common_tls_context, secret, subject_alt_name_matcher,
};
use envoy_types::pb::envoy::r#type::matcher::v3::{PathMatcher, StringMatcher, path_matcher, string_matcher};
use envoy_types::pb::google::protobuf::{Any, BoolValue, Duration, Struct, Value, value};
use prost::Name;

use crate::common::tls::{Authority, Identity};

/// How access lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessFormat {
    /// Istio's default.
    Text,
    /// `accessLogEncoding: JSON`.
    Json,
}

/// Istio's fields, in the order of its text format (`istio/istio: pilot/pkg/model/telemetry_logging.go`).
const TEXT: &str = "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% \
    %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% \"%UPSTREAM_TRANSPORT_FAILURE_REASON%\" \
    %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \
    \"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\" %UPSTREAM_CLUSTER_RAW% \
    %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% \
    %ROUTE_NAME%\n";

/// The same with Istio's keys.
const JSON: [(&str, &str); 23] = [
    ("start_time", "%START_TIME%"),
    ("route_name", "%ROUTE_NAME%"),
    ("method", "%REQ(:METHOD)%"),
    ("path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"),
    ("protocol", "%PROTOCOL%"),
    ("response_code", "%RESPONSE_CODE%"),
    ("response_flags", "%RESPONSE_FLAGS%"),
    ("response_code_details", "%RESPONSE_CODE_DETAILS%"),
    ("connection_termination_details", "%CONNECTION_TERMINATION_DETAILS%"),
    ("bytes_received", "%BYTES_RECEIVED%"),
    ("bytes_sent", "%BYTES_SENT%"),
    ("duration", "%DURATION%"),
    ("upstream_service_time", "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"),
    ("x_forwarded_for", "%REQ(X-FORWARDED-FOR)%"),
    ("user_agent", "%REQ(USER-AGENT)%"),
    ("request_id", "%REQ(X-REQUEST-ID)%"),
    ("authority", "%REQ(:AUTHORITY)%"),
    ("upstream_host", "%UPSTREAM_HOST%"),
    ("upstream_cluster", "%UPSTREAM_CLUSTER_RAW%"),
    ("upstream_local_address", "%UPSTREAM_LOCAL_ADDRESS%"),
    ("downstream_local_address", "%DOWNSTREAM_LOCAL_ADDRESS%"),
    ("downstream_remote_address", "%DOWNSTREAM_REMOTE_ADDRESS%"),
    ("upstream_transport_failure_reason", "%UPSTREAM_TRANSPORT_FAILURE_REASON%"),
];

fn any<M: Name>(message: &M) -> Any {
    Any { type_url: M::type_url(), value: message.encode_to_vec() }
}

/// From the server that told it everything else.
fn ads() -> Option<ConfigSource> {
    let from_ads = config_source::ConfigSourceSpecifier::Ads(AggregatedConfigSource {});
    Some(ConfigSource {
        resource_api_version: ApiVersion::V3 as i32,
        config_source_specifier: Some(from_ads),
        ..ConfigSource::default()
    })
}

fn place(address: SocketAddr) -> Option<Address> {
    Some(Address {
        address: Some(address::Address::SocketAddress(SocketAddress {
            address: address.ip().to_string(),
            port_specifier: Some(socket_address::PortSpecifier::PortValue(address.port().into())),
            ..SocketAddress::default()
        })),
    })
}

fn inline(text: &str) -> Option<DataSource> {
    Some(DataSource {
        specifier: Some(data_source::Specifier::InlineString(text.to_string())),
        ..DataSource::default()
    })
}

/// A cluster whose endpoints come from the server.
pub fn cluster(name: &str) -> Cluster {
    Cluster {
        name: name.to_string(),
        connect_timeout: Some(Duration { seconds: 10, nanos: 0 }),
        eds_cluster_config: Some(cluster::EdsClusterConfig { eds_config: ads(), service_name: name.to_string() }),
        cluster_discovery_type: Some(cluster::ClusterDiscoveryType::Type(cluster::DiscoveryType::Eds as i32)),
        ..Cluster::default()
    }
}

/// The same with Istio's mutual TLS: the server must have this identity.
pub fn secured_cluster(name: &str, sni: &str, spiffe: &str) -> Cluster {
    let tls = UpstreamTlsContext {
        sni: sni.to_string(),
        common_tls_context: Some(mutual_tls(&["istio-peer-exchange", "istio"], Some(spiffe))),
        ..UpstreamTlsContext::default()
    };
    Cluster { transport_socket: transport_socket(&tls), ..cluster(name) }
}

/// The endpoints of a cluster.
pub fn endpoints(cluster: &str, addresses: &[SocketAddr]) -> ClusterLoadAssignment {
    let endpoint = |address: &SocketAddr| LbEndpoint {
        host_identifier: Some(lb_endpoint::HostIdentifier::Endpoint(Endpoint {
            address: place(*address),
            ..Endpoint::default()
        })),
        ..LbEndpoint::default()
    };
    ClusterLoadAssignment {
        cluster_name: cluster.to_string(),
        endpoints: vec![LocalityLbEndpoints {
            lb_endpoints: addresses.iter().map(endpoint).collect(),
            ..LocalityLbEndpoints::default()
        }],
        ..ClusterLoadAssignment::default()
    }
}

/// Routes of a port: hosts with the clusters that serve them.
pub fn routes(name: &str, hosts: &[(&str, &str)]) -> RouteConfiguration {
    RouteConfiguration {
        name: name.to_string(),
        virtual_hosts: hosts.iter().map(|(host, cluster)| virtual_host(host, &[host], cluster)).collect(),
        ..RouteConfiguration::default()
    }
}

fn virtual_host(name: &str, domains: &[&str], cluster: &str) -> VirtualHost {
    let action = RouteAction {
        cluster_specifier: Some(route_action::ClusterSpecifier::Cluster(cluster.to_string())),
        ..RouteAction::default()
    };
    VirtualHost {
        name: name.to_string(),
        domains: domains.iter().map(|domain| domain.to_string()).collect(),
        routes: vec![Route {
            name: "default".to_string(),
            r#match: Some(RouteMatch {
                path_specifier: Some(route_match::PathSpecifier::Prefix("/".to_string())),
                ..RouteMatch::default()
            }),
            action: Some(route::Action::Route(action)),
            ..Route::default()
        }],
        ..VirtualHost::default()
    }
}

/// A listener for what the application calls; its routes come from the server under the same name.
pub fn outbound_listener(name: &str, routes: &str, format: AccessFormat) -> Listener {
    let rds = Rds { config_source: ads(), route_config_name: routes.to_string() };
    let routes = http_connection_manager::RouteSpecifier::Rds(rds);
    let chain = FilterChain { filters: vec![http(name, routes, &[], format)], ..FilterChain::default() };
    listener(name, TrafficDirection::Outbound, chain)
}

/// A listener for what calls the application over mutual TLS, behind a policy that denies a path: name and path.
pub fn inbound_listener(cluster: &str, deny: Option<(&str, &str)>, format: AccessFormat) -> Listener {
    let routes = RouteConfiguration {
        name: cluster.to_string(),
        virtual_hosts: vec![virtual_host("inbound|http", &["*"], cluster)],
        ..RouteConfiguration::default()
    };
    let routes = http_connection_manager::RouteSpecifier::RouteConfig(routes);
    let policy = deny.map(|(policy, path)| ("envoy.filters.http.rbac", any(&denial(policy, path))));
    let tls = DownstreamTlsContext {
        common_tls_context: Some(mutual_tls(&["istio-peer-exchange", "h2", "http/1.1"], None)),
        require_client_certificate: Some(BoolValue { value: true }),
        ..DownstreamTlsContext::default()
    };
    let chain = FilterChain {
        name: "0.0.0.0_8080".to_string(),
        filters: vec![http("inbound_0.0.0.0_8080;", routes, &policy.into_iter().collect::<Vec<_>>(), format)],
        transport_socket: transport_socket(&tls),
        ..FilterChain::default()
    };
    listener("virtualInbound", TrafficDirection::Inbound, chain)
}

fn listener(name: &str, direction: TrafficDirection, chain: FilterChain) -> Listener {
    Listener {
        name: name.to_string(),
        address: place(SocketAddr::from(([127, 0, 0, 1], 0))),
        traffic_direction: direction as i32,
        filter_chains: vec![chain],
        ..Listener::default()
    }
}

/// A listener that every Envoy refuses: nothing may follow the filter that ends a chain.
pub fn bad_listener(name: &str, format: AccessFormat) -> Listener {
    let mut listener = outbound_listener(name, name, format);
    for chain in &mut listener.filter_chains {
        let twice = chain.filters.clone();
        chain.filters.extend(twice);
    }
    listener
}

fn http(
    name: &str,
    routes: http_connection_manager::RouteSpecifier,
    filters: &[(&str, Any)],
    format: AccessFormat,
) -> Filter {
    let router = ("envoy.filters.http.router", any(&Router::default()));
    let filters = filters.iter().chain([&router]).map(|(name, config)| HttpFilter {
        name: name.to_string(),
        config_type: Some(http_filter::ConfigType::TypedConfig(config.clone())),
        ..HttpFilter::default()
    });
    let manager = HttpConnectionManager {
        stat_prefix: name.to_string(),
        http_filters: filters.collect(),
        route_specifier: Some(routes),
        access_log: vec![access_log(format)],
        ..HttpConnectionManager::default()
    };
    Filter {
        name: "envoy.filters.network.http_connection_manager".to_string(),
        config_type: Some(filter::ConfigType::TypedConfig(any(&manager))),
    }
}

fn access_log(format: AccessFormat) -> AccessLog {
    let text = |text: &str| Value { kind: Some(value::Kind::StringValue(text.to_string())) };
    let format = match format {
        AccessFormat::Text => substitution_format_string::Format::TextFormatSource(inline(TEXT).unwrap_or_default()),
        AccessFormat::Json => {
            let mut fields: HashMap<_, _> = JSON.iter().map(|(key, from)| (key.to_string(), text(from))).collect();
            fields.insert("requested_server_name".to_string(), text("%REQUESTED_SERVER_NAME%"));
            substitution_format_string::Format::JsonFormat(Struct { fields })
        }
    };
    let file = FileAccessLog {
        path: "/dev/stdout".to_string(),
        access_log_format: Some(file_access_log::AccessLogFormat::LogFormat(SubstitutionFormatString {
            format: Some(format),
            ..SubstitutionFormatString::default()
        })),
    };
    AccessLog {
        name: "envoy.access_loggers.file".to_string(),
        config_type: Some(access_log::ConfigType::TypedConfig(any(&file))),
        ..AccessLog::default()
    }
}

/// A policy as istiod writes an AuthorizationPolicy (`istio/istio: pilot/pkg/security/authz/builder/builder.go`).
fn denial(policy: &str, path: &str) -> http_rbac::Rbac {
    let matcher = StringMatcher {
        match_pattern: Some(string_matcher::MatchPattern::Exact(path.to_string())),
        ..StringMatcher::default()
    };
    let path = permission::Rule::UrlPath(PathMatcher { rule: Some(path_matcher::Rule::Path(matcher)) });
    let either = permission::Rule::OrRules(permission::Set { rules: vec![Permission { rule: Some(path) }] });
    let all = permission::Rule::AndRules(permission::Set { rules: vec![Permission { rule: Some(either) }] });
    let anybody = Principal { identifier: Some(principal::Identifier::Any(true)) };
    let everybody = principal::Identifier::AndIds(principal::Set { ids: vec![anybody] });
    let denied = Policy {
        permissions: vec![Permission { rule: Some(all) }],
        principals: vec![Principal { identifier: Some(everybody) }],
        ..Policy::default()
    };
    let rules = Rbac {
        action: rbac::Action::Deny as i32,
        policies: HashMap::from([(policy.to_string(), denied)]),
        ..Rbac::default()
    };
    let shadow_rules_stat_prefix = "istio_dry_run_allow_".to_string();
    http_rbac::Rbac { rules: Some(rules), shadow_rules_stat_prefix, ..http_rbac::Rbac::default() }
}

fn transport_socket(tls: &impl Name) -> Option<TransportSocket> {
    Some(TransportSocket {
        name: "envoy.transport_sockets.tls".to_string(),
        config_type: Some(transport_socket::ConfigType::TypedConfig(any(tls))),
    })
}

/// Certificate and root come as secrets, as a proxy's agent gives them; the peer has this identity.
fn mutual_tls(protocols: &[&str], spiffe: Option<&str>) -> CommonTlsContext {
    let secret = |name: &str| SdsSecretConfig { name: name.to_string(), sds_config: ads() };
    let names = spiffe.map(|spiffe| SubjectAltNameMatcher {
        san_type: subject_alt_name_matcher::SanType::Uri as i32,
        matcher: Some(StringMatcher {
            match_pattern: Some(string_matcher::MatchPattern::Exact(spiffe.to_string())),
            ..StringMatcher::default()
        }),
        ..SubjectAltNameMatcher::default()
    });
    let combined = common_tls_context::CombinedCertificateValidationContext {
        default_validation_context: Some(CertificateValidationContext {
            match_typed_subject_alt_names: names.into_iter().collect(),
            ..CertificateValidationContext::default()
        }),
        validation_context_sds_secret_config: Some(secret("ROOTCA")),
        ..common_tls_context::CombinedCertificateValidationContext::default()
    };
    CommonTlsContext {
        alpn_protocols: protocols.iter().map(|protocol| protocol.to_string()).collect(),
        tls_certificate_sds_secret_configs: vec![secret("default")],
        validation_context_type: Some(common_tls_context::ValidationContextType::CombinedValidationContext(combined)),
        ..CommonTlsContext::default()
    }
}

/// The secret `default`: a workload's certificate and key.
pub fn certificate_secret(identity: &Identity) -> Secret {
    let pair = TlsCertificate {
        certificate_chain: inline(&identity.certificate),
        private_key: inline(&identity.key),
        ..TlsCertificate::default()
    };
    Secret { name: "default".to_string(), r#type: Some(secret::Type::TlsCertificate(pair)) }
}

/// The secret `ROOTCA`: whom the workload trusts.
pub fn root_secret(authority: &Authority) -> Secret {
    let root = CertificateValidationContext {
        trusted_ca: inline(&authority.pem()),
        ..CertificateValidationContext::default()
    };
    Secret { name: "ROOTCA".to_string(), r#type: Some(secret::Type::ValidationContext(root)) }
}
