//! How fast Envoy's `/config_dump?include_eds` of a big mesh is read, against skipping the same bytes as JSON, and how
//! much memory that takes: `cargo bench -p meshwhy-parsers --bench dump`.
//!
//! The dump is made up from numbers, always the same: 200 MiB as Envoy prints them, 4,000 services, 20,000 endpoints.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use meshwhy_parsers::admin;
use meshwhy_parsers::document::Found;
use meshwhy_parsers::event::Fact;
use meshwhy_parsers::state::State;
use serde::de::IgnoredAny;

const BYTES: usize = 200 << 20;
const SERVICES: usize = 4_000;
const ENDPOINTS_EACH: usize = 5;
const ROUNDS: usize = 5;

fn main() {
    let dump = dump();
    println!("dump: {} MiB, {} services, {} endpoints", dump.len() >> 20, SERVICES, SERVICES * ENDPOINTS_EACH);
    let skip = best(|| {
        serde_json::from_slice::<IgnoredAny>(&dump).expect("a dump is JSON");
    });
    let mut said = 0;
    let read = best(|| {
        let document = admin::read(&dump, Found::default()).expect("a dump is known").expect("a dump is read");
        assert!(document.losses.is_empty(), "{:?}", document.losses);
        for (_, fact) in &document.facts {
            if let Fact::State(state) = fact
                && let State::Proxy(proxy) = &**state
            {
                said = proxy.endpoints.as_ref().map_or(0, Vec::len);
            }
        }
    });
    assert_eq!(said, SERVICES * ENDPOINTS_EACH);
    println!("skip: {:.3} s", skip.as_secs_f64());
    println!("read: {:.3} s, {:.2} times as long", read.as_secs_f64(), read.as_secs_f64() / skip.as_secs_f64());
    if let Some(peak) = peak_kib() {
        println!("peak: {} MiB resident, the dump included", peak >> 10);
    }
}

/// The shortest of some rounds: the others waited for something else.
fn best(mut round: impl FnMut()) -> Duration {
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        round();
        best = best.min(begun.elapsed());
    }
    best
}

/// The most memory that was ever resident, where the system tells.
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix("kB")?.trim().parse().ok())
}

fn dump() -> Vec<u8> {
    // What the sections of routes and listeners need to reach the size.
    let mut dump = String::with_capacity(BYTES + (1 << 20));
    dump.push_str("{\n \"configs\": [\n");
    indent(&mut dump, &bootstrap(), 2);
    dump.push_str(",\n");
    section(&mut dump, "ClustersConfigDump", "dynamic_active_clusters", (0..SERVICES).map(cluster));
    section(&mut dump, "EndpointsConfigDump", "dynamic_endpoint_configs", (0..SERVICES).map(endpoints));
    section(&mut dump, "ListenersConfigDump", "dynamic_listeners", (0..SERVICES / 2).map(listener));
    let end = BYTES - 64;
    let mut routes = String::new();
    for port in 0.. {
        let route = route(port);
        if end < dump.len() + routes.len() + route.len() * 3 {
            break;
        }
        if port > 0 {
            routes.push_str(",\n");
        }
        indent(&mut routes, &route, 4);
    }
    let head = "  {\n   \"@type\": \"type.googleapis.com/envoy.admin.v3.RoutesConfigDump\",\n   \"dynamic_route_configs\": [\n";
    let _ = write!(dump, "{head}{routes}\n   ]\n  }}\n ]\n}}\n");
    dump.into_bytes()
}

fn section(dump: &mut String, kind: &str, list: &str, items: impl Iterator<Item = String>) {
    let _ = write!(
        dump,
        "  {{\n   \"@type\": \"type.googleapis.com/envoy.admin.v3.{kind}\",\n   \"version_info\": \"2026-03-02T08:00:00Z/412\",\n   \"{list}\": [\n"
    );
    for (at, item) in items.enumerate() {
        if at > 0 {
            dump.push_str(",\n");
        }
        indent(dump, &item, 4);
    }
    dump.push_str("\n   ]\n  },\n");
}

/// JSON over lines with a blank for each level, as Envoy prints it.
fn indent(into: &mut String, json: &str, depth: usize) {
    let mut depth = depth;
    let mut in_text = false;
    let mut is_escaped = false;
    let line = |into: &mut String, depth: usize| {
        into.push('\n');
        into.extend(std::iter::repeat_n(' ', depth));
    };
    into.extend(std::iter::repeat_n(' ', depth));
    for c in json.chars() {
        if in_text {
            into.push(c);
            in_text = is_escaped || c != '"';
            is_escaped = !is_escaped && c == '\\';
            continue;
        }
        match c {
            '{' | '[' => {
                into.push(c);
                depth += 1;
                line(into, depth);
            }
            '}' | ']' => {
                depth -= 1;
                line(into, depth);
                into.push(c);
            }
            ',' => {
                into.push(c);
                line(into, depth);
            }
            ':' => into.push_str(": "),
            _ => {
                in_text = c == '"';
                into.push(c);
            }
        }
    }
}

fn host(service: usize) -> String {
    format!("cart-{service}.shop-{}.svc.cluster.local", service % 60)
}

fn port(service: usize) -> usize {
    [80, 8080, 9090, 5000, 443][service % 5]
}

fn bootstrap() -> String {
    let extensions: Vec<String> = (0..600)
        .map(|n| format!(r#"{{"name":"envoy.filters.http.kind_{n}","category":"envoy.filters.http","type_urls":["envoy.extensions.filters.http.kind_{n}.v3.Config"]}}"#))
        .collect();
    format!(
        r#"{{"@type":"type.googleapis.com/envoy.admin.v3.BootstrapConfigDump","bootstrap":{{"node":{{"id":"sidecar~10.1.0.7~web-5bcc9697c6-x2lqf.shop-1~shop-1.svc.cluster.local","cluster":"web.shop-1","metadata":{{"CLUSTER_ID":"east","NETWORK":"net-east","ISTIO_VERSION":"1.27.3","NAMESPACE":"shop-1","NAME":"web-5bcc9697c6-x2lqf","SERVICE_ACCOUNT":"web","MESH_ID":"mesh1","PROXY_CONFIG":{{"discoveryAddress":"istiod.istio-system.svc:15012","concurrency":2}}}},"locality":{{"region":"us-east1","zone":"us-east1-b"}},"user_agent_name":"envoy","extensions":[{}]}}}},"last_updated":"2026-03-02T08:00:00.123Z"}}"#,
        extensions.join(",")
    )
}

fn cluster(n: usize) -> String {
    let (host, port) = (host(n), port(n));
    let namespace = n % 60;
    format!(
        r#"{{"version_info":"2026-03-02T08:00:00Z/412","cluster":{{"@type":"type.googleapis.com/envoy.config.cluster.v3.Cluster","name":"outbound|{port}||{host}","type":"EDS","eds_cluster_config":{{"eds_config":{{"ads":{{}},"initial_fetch_timeout":"0s","resource_api_version":"V3"}},"service_name":"outbound|{port}||{host}"}},"connect_timeout":"10s","lb_policy":"LEAST_REQUEST","circuit_breakers":{{"thresholds":[{{"max_connections":4294967295,"max_pending_requests":4294967295,"max_requests":4294967295,"max_retries":4294967295,"track_remaining":true}}]}},"common_lb_config":{{"locality_weighted_lb_config":{{}}}},"outlier_detection":{{"consecutive_5xx":5,"interval":"10s","base_ejection_time":"30s"}},"metadata":{{"filter_metadata":{{"istio":{{"config":"/apis/networking.istio.io/v1alpha3/namespaces/shop-{namespace}/destination-rule/cart-{n}","services":[{{"name":"cart-{n}","namespace":"shop-{namespace}","host":"{host}"}}],"default_original_port":{port}}}}}}},"typed_extension_protocol_options":{{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions":{{"@type":"type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions","use_downstream_protocol_config":{{"http_protocol_options":{{}},"http2_protocol_options":{{}}}}}}}},"filters":[{{"name":"istio.metadata_exchange","typed_config":{{"@type":"type.googleapis.com/udpa.type.v1.TypedStruct","type_url":"type.googleapis.com/envoy.tcp.metadataexchange.config.MetadataExchange","value":{{"enable_discovery":true,"protocol":"istio-peer-exchange"}}}}}}],"transport_socket_matches":[{{"name":"tlsMode-istio","match":{{"tlsMode":"istio"}},"transport_socket":{{"name":"envoy.transport_sockets.tls","typed_config":{{"@type":"type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext","common_tls_context":{{"tls_params":{{"tls_minimum_protocol_version":"TLSv1_2","tls_maximum_protocol_version":"TLSv1_3"}},"alpn_protocols":["istio-peer-exchange","istio"],"tls_certificate_sds_secret_configs":[{{"name":"default","sds_config":{{"api_config_source":{{"api_type":"GRPC","grpc_services":[{{"envoy_grpc":{{"cluster_name":"sds-grpc"}}}}],"set_node_on_first_message_only":true,"transport_api_version":"V3"}},"initial_fetch_timeout":"0s","resource_api_version":"V3"}}}}],"combined_validation_context":{{"default_validation_context":{{"match_typed_subject_alt_names":[{{"san_type":"URI","matcher":{{"exact":"spiffe://cluster.local/ns/shop-{namespace}/sa/cart"}}}},{{"san_type":"URI","matcher":{{"exact":"spiffe://cluster.local/ns/shop-{namespace}/sa/default"}}}}]}},"validation_context_sds_secret_config":{{"name":"ROOTCA","sds_config":{{"api_config_source":{{"api_type":"GRPC","grpc_services":[{{"envoy_grpc":{{"cluster_name":"sds-grpc"}}}}],"set_node_on_first_message_only":true,"transport_api_version":"V3"}},"initial_fetch_timeout":"0s","resource_api_version":"V3"}}}}}}}},"sni":"outbound_.{port}_._.{host}"}}}}}},{{"name":"tlsMode-disabled","match":{{}},"transport_socket":{{"name":"envoy.transport_sockets.raw_buffer","typed_config":{{"@type":"type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"}}}}}}]}},"last_updated":"2026-03-02T08:00:01.456Z"}}"#
    )
}

fn endpoints(n: usize) -> String {
    let (host, port) = (host(n), port(n));
    let namespace = n % 60;
    let endpoint = |at: usize| {
        let number = n * ENDPOINTS_EACH + at;
        let (a, b, c) = (number >> 16 & 255, number >> 8 & 255, number & 255);
        let cluster = if at < 3 { "east" } else { "west" };
        format!(
            r#"{{"locality":{{"region":"us-{cluster}1","zone":"us-{cluster}1-b"}},"lb_endpoints":[{{"endpoint":{{"address":{{"socket_address":{{"address":"10.{a}.{b}.{c}","port_value":8080}}}},"health_check_config":{{}}}},"health_status":"HEALTHY","metadata":{{"filter_metadata":{{"envoy.transport_socket_match":{{"tlsMode":"istio"}},"istio":{{"workload":"cart-{n};shop-{namespace};cart-{n};v1;{cluster}"}}}}}},"load_balancing_weight":1}}],"load_balancing_weight":1,"priority":{}}}"#,
            at / 3
        )
    };
    let all: Vec<String> = (0..ENDPOINTS_EACH).map(endpoint).collect();
    format!(
        r#"{{"endpoint_config":{{"@type":"type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment","cluster_name":"outbound|{port}||{host}","endpoints":[{}],"policy":{{"overprovisioning_factor":140}}}}}}"#,
        all.join(",")
    )
}

fn listener(n: usize) -> String {
    let port = 10_000 + n;
    let filters: Vec<String> = ["grpc_stats", "istio.alpn", "fault", "cors", "istio.stats", "router"]
        .iter()
        .map(|name| format!(r#"{{"name":"envoy.filters.http.{name}","typed_config":{{"@type":"type.googleapis.com/envoy.extensions.filters.http.{name}.v3.Config","emit_filter_state":true,"alpn_override":[{{"upstream_protocol":"HTTP11","alpn_override":["istio-http/1.1","istio","http/1.1"]}}]}}}}"#))
        .collect();
    let filters = filters.join(",");
    format!(
        r#"{{"name":"10.96.{a}.{b}_{port}","active_state":{{"version_info":"2026-03-02T08:00:00Z/412","listener":{{"@type":"type.googleapis.com/envoy.config.listener.v3.Listener","name":"10.96.{a}.{b}_{port}","address":{{"socket_address":{{"address":"10.96.{a}.{b}","port_value":{port}}}}},"filter_chains":[{{"filter_chain_match":{{"transport_protocol":"raw_buffer","application_protocols":["http/1.1","h2c"]}},"filters":[{{"name":"envoy.filters.network.http_connection_manager","typed_config":{{"@type":"type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager","stat_prefix":"outbound_10.96.{a}.{b}_{port};","rds":{{"config_source":{{"ads":{{}},"initial_fetch_timeout":"0s","resource_api_version":"V3"}},"route_config_name":"cart-{n}.shop.svc.cluster.local:{port}"}},"http_filters":[{filters}],"tracing":{{"client_sampling":{{"value":100}},"random_sampling":{{"value":1}},"overall_sampling":{{"value":100}}}},"access_log":[{{"name":"envoy.access_loggers.file","typed_config":{{"@type":"type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog","path":"/dev/stdout","log_format":{{"text_format_source":{{"inline_string":"[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% %RESPONSE_FLAGS%\n"}}}}}}}}],"stream_idle_timeout":"0s","normalize_path":true}}}}]}}],"default_filter_chain":{{"filter_chain_match":{{}},"filters":[{{"name":"envoy.filters.network.tcp_proxy","typed_config":{{"@type":"type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy","stat_prefix":"PassthroughCluster","cluster":"PassthroughCluster"}}}}]}},"traffic_direction":"OUTBOUND","bind_to_port":false}},"last_updated":"2026-03-02T08:00:02.789Z"}}}}"#,
        a = n >> 8 & 255,
        b = n & 255,
    )
}

fn route(at: usize) -> String {
    let hosts: Vec<String> = (0..200).map(|n| virtual_host((at * 200 + n) % SERVICES)).collect();
    format!(
        r#"{{"version_info":"2026-03-02T08:00:00Z/412","route_config":{{"@type":"type.googleapis.com/envoy.config.route.v3.RouteConfiguration","name":"{}","virtual_hosts":[{}],"validate_clusters":false,"ignore_port_in_host_matching":true,"max_direct_response_body_size_bytes":1048576}},"last_updated":"2026-03-02T08:00:03.000Z"}}"#,
        8_000 + at,
        hosts.join(",")
    )
}

fn virtual_host(n: usize) -> String {
    let (host, port) = (host(n), port(n));
    let (namespace, a, b) = (n % 60, n >> 8 & 255, n & 255);
    format!(
        r#"{{"name":"{host}:{port}","domains":["{host}","cart-{n}.shop-{namespace}","cart-{n}.shop-{namespace}.svc","10.96.{a}.{b}"],"routes":[{{"match":{{"prefix":"/","case_sensitive":true}},"route":{{"cluster":"outbound|{port}||{host}","timeout":"0s","retry_policy":{{"retry_on":"connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes","num_retries":2,"retry_host_predicate":[{{"name":"envoy.retry_host_predicates.previous_hosts","typed_config":{{"@type":"type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"}}}}],"host_selection_retry_max_attempts":"5"}},"max_grpc_timeout":"0s"}},"decorator":{{"operation":"{host}:{port}/*"}},"name":"default"}}],"include_request_attempt_count":true}}"#
    )
}
