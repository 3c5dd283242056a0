//! State of a large mesh, always the same: a config dump made from numbers, and the clusters of a sample with one of its
//! services many times over.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};

/// How large the dump is.
pub const DUMP_BYTES: usize = 200 << 20;
/// How many services it has.
pub const SERVICES: usize = 4_000;
/// How many endpoints each of them has.
pub const ENDPOINTS_EACH: usize = 5;

/// A config dump with endpoints (`/config_dump?include_eds`) as Envoy prints it.
pub fn dump() -> Vec<u8> {
    // What the sections of routes and listeners need to reach the size.
    let mut dump = String::with_capacity(DUMP_BYTES + (1 << 20));
    dump.push_str("{\n \"configs\": [\n");
    indent(&mut dump, &bootstrap(), 2);
    dump.push_str(",\n");
    indent(&mut dump, &secrets(), 2);
    dump.push_str(",\n");
    section(&mut dump, "ClustersConfigDump", "dynamic_active_clusters", (0..SERVICES).map(cluster));
    section(&mut dump, "EndpointsConfigDump", "dynamic_endpoint_configs", (0..SERVICES).map(endpoints));
    section(&mut dump, "ListenersConfigDump", "dynamic_listeners", (0..SERVICES / 2).map(listener));
    let end = DUMP_BYTES - 64;
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

/// The secrets of the sample's proxy.
fn secrets() -> String {
    let proxy = Path::new(SAMPLE).join("east/proxies/sample");
    let pod = fs::read_dir(proxy).expect("the sample").next().expect("a pod").expect("readable");
    let dump = fs::read_to_string(pod.path().join("config_dump.json")).expect("the sample");
    let dump: Value = serde_json::from_str(&dump).expect("the sample is JSON");
    let sections = dump["configs"].as_array().expect("sections");
    sections.iter().find(|of| text(&of["@type"]).ends_with("SecretsConfigDump")).expect("secrets").to_string()
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

/// How large a mesh of two clusters is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Services of each cluster, all in both.
    pub services: usize,
    /// Pods of each service in each cluster.
    pub pods_each: usize,
}

/// How its objects are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notation {
    /// `kubectl get -o yaml`
    Yaml,
    /// `kubectl get -o json`
    Json,
}

/// The sample whose service `helloworld` in namespace `sample` runs in both clusters.
const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/samples/state-healthy-multi-primary/input");
/// The clusters, and the second number of their pods' addresses and of their services'.
const CLUSTERS: [(&str, usize, usize); 2] = [("east", 40, 200), ("west", 80, 210)];
/// Namespaces of the services.
const NAMESPACES: usize = 60;

/// Writes the mesh below a folder: the sample, with its service as often as wanted among the objects, in what istiod
/// knows and in what a proxy holds.
pub fn mesh(folder: &Path, size: Size, notation: Notation) -> io::Result<()> {
    for (cluster, (name, ..)) in CLUSTERS.iter().enumerate() {
        copy(&Path::new(SAMPLE).join(name), &folder.join(name), &|file, text| match file {
            "namespaces.yaml" | "services.yaml" | "endpointslices.yaml" | "pods.yaml" => {
                let list = serde_saphyr::from_str(text).expect("the sample is YAML");
                let extension = if notation == Notation::Yaml { ".yaml" } else { ".json" };
                (file.replace(".yaml", extension), objects(list, cluster, size, notation))
            }
            "endpointShardz.json" => (file.to_string(), shards(text, size)),
            "config_dump.json" => (file.to_string(), held(text, cluster, size)),
            _ => (file.to_string(), text.to_string()),
        })?;
    }
    Ok(())
}

/// Copies a folder, each file with the name and text it becomes.
fn copy(from: &Path, to: &Path, becomes: &dyn Fn(&str, &str) -> (String, String)) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() {
            copy(&path, &to.join(name), becomes)?;
        } else {
            let (name, text) = becomes(&name.to_string_lossy(), &fs::read_to_string(&path)?);
            fs::write(to.join(name), text)?;
        }
    }
    Ok(())
}

fn pod_ip(cluster: usize, pod: usize) -> String {
    format!("10.{}.{}.{}", CLUSTERS[cluster].1 + (pod >> 16), pod >> 8 & 255, pod & 255)
}

fn service_ip(cluster: usize, service: usize) -> String {
    format!("10.{}.{}.{}", CLUSTERS[cluster].2, service >> 8, service & 255)
}

/// The numbers of a service's pods.
fn pods(service: usize, size: Size) -> std::ops::Range<usize> {
    service * size.pods_each..(service + 1) * size.pods_each
}

/// What is said of the sample's service, said of another one.
fn renamed(text: &str, service: usize) -> String {
    let namespace = format!("shop-{}", service % NAMESPACES);
    text.replace("helloworld", &format!("cart-{service}")).replace("sample", &namespace)
}

fn renamed_value(value: &Value, service: usize) -> Value {
    serde_json::from_str(&renamed(&value.to_string(), service)).expect("JSON stays JSON")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

/// A list of objects, with those of the sample's service as often as wanted.
fn objects(list: Value, cluster: usize, size: Size, notation: Notation) -> String {
    let items = list["items"].as_array().expect("a list");
    let name = |item: &Value| text(&item["metadata"]["name"]).to_string();
    let is_ours = |item: &&Value| name(item).starts_with("helloworld") || name(item) == "sample";
    let ours = items.iter().find(is_ours).expect("the sample has one");
    let mut texts: Vec<String> = items.iter().map(|item| written(item, notation)).collect();
    match text(&ours["kind"]) {
        "Namespace" => {
            let ours = written(ours, notation);
            texts.extend((0..NAMESPACES).map(|n| ours.replace("sample", &format!("shop-{n}"))));
        }
        "Service" => {
            let (of, known) = (written(ours, notation), text(&ours["spec"]["clusterIP"]));
            let one = |service| renamed(&of.replace(known, &service_ip(cluster, service)), service);
            texts.extend((0..size.services).map(one));
        }
        "Pod" => {
            let (of, known) = (written(ours, notation), text(&ours["status"]["podIP"]));
            for service in 0..size.services {
                let (of, name) = (renamed(&of, service), renamed(&name(ours), service));
                texts.extend(
                    pods(service, size)
                        .map(|pod| of.replace(&name, &format!("{name}-{pod}")).replace(known, &pod_ip(cluster, pod))),
                );
            }
        }
        _ => {
            for service in 0..size.services {
                let mut slice = ours.clone();
                let of = &ours["endpoints"][0];
                let endpoints = pods(service, size).map(|pod| {
                    let mut endpoint = of.clone();
                    endpoint["addresses"] = json!([pod_ip(cluster, pod)]);
                    endpoint["targetRef"]["name"] = json!(format!("{}-{pod}", text(&of["targetRef"]["name"])));
                    endpoint
                });
                slice["endpoints"] = endpoints.collect();
                texts.push(renamed(&written(&slice, notation), service));
            }
        }
    }
    match notation {
        Notation::Yaml => {
            let items: String = texts.iter().map(|item| format!("- {}", item.trim_start())).collect();
            format!("apiVersion: v1\nitems:\n{items}kind: List\nmetadata:\n  resourceVersion: \"\"\n")
        }
        Notation::Json => format!(
            "{{\n    \"apiVersion\": \"v1\",\n    \"items\": [\n{}\n    ],\n    \"kind\": \"List\",\n    \"metadata\": {{\n        \
             \"resourceVersion\": \"\"\n    }}\n}}\n",
            texts.join(",\n")
        ),
    }
}

/// An item of a list, as kubectl writes it.
fn written(item: &Value, notation: Notation) -> String {
    match notation {
        Notation::Yaml => {
            let mut out = String::new();
            yaml(item, 1, &mut out);
            out
        }
        Notation::Json => pretty(item, "    ")
            .lines()
            .map(|line| format!("        {line}\n"))
            .collect::<String>()
            .trim_end()
            .to_string(),
    }
}

fn pretty(value: &Value, indent: &str) -> String {
    let mut out = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(indent.as_bytes());
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, formatter)).expect("memory");
    String::from_utf8(out).expect("JSON is UTF-8")
}

/// Writes what stands behind a key or a dash, as Go's libraries do: lists are as far to the right as their key.
fn yaml(value: &Value, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (at, (key, value)) in fields.iter().enumerate() {
                let space = if at == 0 && out.ends_with("- ") { "" } else { &indent };
                let _ = write!(out, "{space}{key}:");
                match value {
                    Value::Object(fields) if !fields.is_empty() => {
                        out.push('\n');
                        yaml(value, depth + 1, out);
                    }
                    Value::Array(items) if !items.is_empty() => {
                        out.push('\n');
                        for item in items {
                            let _ = write!(out, "{indent}- ");
                            yaml(item, depth + 1, out);
                        }
                    }
                    plain => {
                        out.push(' ');
                        yaml(plain, depth, out);
                    }
                }
            }
        }
        Value::String(text) => {
            let is_word = |c: char| c.is_ascii_alphanumeric() || "-._/:@$()".contains(c);
            let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
                && text.chars().all(is_word)
                && !text.ends_with(':')
                && !matches!(text.as_str(), "true" | "false" | "null");
            let is_address = text.split('.').count() == 4 && text.bytes().all(|c| c.is_ascii_digit() || c == b'.');
            let _ = if is_plain || is_address { writeln!(out, "{text}") } else { writeln!(out, "{value}") };
        }
        other => {
            let _ = writeln!(out, "{other}");
        }
    }
}

/// What istiod knows of all clusters' endpoints.
fn shards(known: &str, size: Size) -> String {
    let mut all: Value = serde_json::from_str(known).expect("the sample is JSON");
    let ours = all["helloworld.sample.svc.cluster.local"].clone();
    for service in 0..size.services {
        let mut of = ours.clone();
        for (cluster, (name, ..)) in CLUSTERS.iter().enumerate() {
            let shard = &mut of["sample"]["Shards"][format!("Kubernetes/{name}")];
            let endpoint = shard[0].clone();
            let endpoints = pods(service, size).map(|pod| {
                let mut endpoint = endpoint.clone();
                endpoint["Addresses"] = json!([pod_ip(cluster, pod)]);
                endpoint
            });
            *shard = endpoints.collect();
        }
        let host = renamed("helloworld.sample.svc.cluster.local", service);
        all[host] = renamed_value(&of, service);
    }
    all.to_string()
}

/// What a proxy holds, where it holds the sample's service: that one, and all the others.
fn held(dump: &str, cluster: usize, size: Size) -> String {
    let mut dump: Value = serde_json::from_str(dump).expect("the sample is JSON");
    for section in dump["configs"].as_array_mut().expect("sections") {
        let lists = ["dynamic_active_clusters", "dynamic_endpoint_configs", "dynamic_route_configs"];
        let Some(list) = lists.into_iter().find(|list| section[*list].is_array()) else { continue };
        let list = section[list].as_array_mut().expect("a list");
        let is_ours = |item: &Value| item.to_string().contains("outbound|5000||helloworld.sample.");
        let Some(at) = list.iter().position(is_ours) else { continue };
        let ours = list[at].clone();
        if let Some(hosts) = list[at]["route_config"]["virtual_hosts"].as_array_mut() {
            let ours = hosts.iter().find(|host| is_ours(host)).expect("its host").clone();
            hosts.extend((0..size.services).map(|service| renamed_value(&ours, service)));
            continue;
        }
        list.extend((0..size.services).map(|service| {
            let mut of = ours.clone();
            if let Some(group) = of["endpoint_config"]["endpoints"].get_mut(0) {
                let endpoint = group["lb_endpoints"][0].clone();
                let endpoints = pods(service, size).map(|pod| {
                    let mut endpoint = endpoint.clone();
                    endpoint["endpoint"]["address"]["socket_address"]["address"] = json!(pod_ip(cluster, pod));
                    endpoint
                });
                group["lb_endpoints"] = endpoints.collect();
            }
            renamed_value(&of, service)
        }));
    }
    pretty(&dump, " ")
}
