//! What an Envoy says about itself: its admin endpoints, and what istioctl prints of them.
//!
//! `/config_dump` (with and without `include_eds`), `/clusters`, `/listeners`, `/certs`, `/server_info` and `/stats` in
//! all their forms, `istioctl proxy-config <what> -o json|yaml`, and what istiod would send a proxy
//! (`/debug/config_dump?proxyID=`, `/debug/edsz?proxyID=`), which has the same shape.

mod fold;
mod json;
mod metrics;
mod shape;
mod text;
mod yaml;

use std::sync::Arc;

use crate::command;
use crate::document::{self, Document, Found};
use crate::event::Text;
use crate::origin::{self, Role};
use crate::sniff::{self, Format};
use crate::state::State;
use crate::state::proxy::{ProxyEndpoint, ProxyState, ToldBy};
use fold::Fold;
use json::Form;

pub use fold::{DETAILS_BYTES_MAX, ENDPOINTS_MAX, NAME_BYTES_MAX, RESOURCES_MAX, VIRTUAL_HOSTS_MAX};
pub use metrics::{SERIES_MAX, Series, metrics, series};
pub(crate) use metrics::{is_of_istiod, is_prometheus};

/// Reads a document, if it is one of these.
pub fn read(bytes: &[u8], found: Found<'_>) -> Option<Result<Document, String>> {
    let kind = kind(bytes, found)?;
    let is_of_istiod = ["/debug/", "internal-debug", "debug/config_dump?", "debug/edsz"]
        .iter()
        .any(|mark| found.path.contains(mark) || found.command.contains(mark));
    read_as(kind, bytes, found, if is_of_istiod { ToldBy::Istiod } else { ToldBy::Proxy })
}

/// Reads what istiod would send a proxy, where the caller knows that an istiod said it.
pub fn pushed(bytes: &[u8], found: Found<'_>) -> Option<Result<Document, String>> {
    read_as(kind(bytes, found)?, bytes, found, ToldBy::Istiod)
}

/// The endpoint that a row of `istioctl proxy-config endpoint` shows, and the proxy that was asked.
pub fn endpoint_of_row(state: &State) -> Option<(&Text, ProxyEndpoint)> {
    let State::ProxyEndpoint { proxy, addr, status, outlier, cluster, priority } = state else { return None };
    let endpoint = ProxyEndpoint {
        cluster: cluster.clone(),
        addr: addr.clone(),
        health: status.clone(),
        ejected: &**outlier == "FAILED",
        priority: priority.unwrap_or(0),
        ..ProxyEndpoint::default()
    };
    Some((proxy, endpoint))
}

/// Whether the begin of a text shows it to be one of the plain texts, or YAML of istioctl's.
pub(crate) fn is_text(head: &str) -> bool {
    plain(head).is_some()
}

/// What a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Json(Form),
    Yaml,
    Clusters,
    Listeners,
    Stats,
    Prometheus,
}

fn kind(bytes: &[u8], found: Found<'_>) -> Option<Kind> {
    match sniff::format(bytes, found.path) {
        Format::EnvoyDump => Some(Kind::Json(Form::Dump)),
        Format::Document => match bytes.trim_ascii_start().first() {
            Some(b'{') => Some(Kind::Json(Form::One)),
            Some(b'[') => Some(Kind::Json(Form::List)),
            _ => plain(&sniff::whole_lines(bytes)),
        },
        _ => None,
    }
}

fn plain(head: &str) -> Option<Kind> {
    match () {
        () if metrics::is_prometheus(head) => Some(Kind::Prometheus),
        () if metrics::is_stats(head) => Some(Kind::Stats),
        () if text::is_clusters(head) => Some(Kind::Clusters),
        () if text::is_listeners(head) => Some(Kind::Listeners),
        () if sniff::is_envoy_yaml(head) => Some(Kind::Yaml),
        () => None,
    }
}

fn read_as(kind: Kind, bytes: &[u8], found: Found<'_>, told_by: ToldBy) -> Option<Result<Document, String>> {
    let text = document::text(bytes);
    let mut fold = Fold::default();
    fold.state.told_by = told_by;
    let end = match kind {
        Kind::Json(form) => json::read(&text, form, &mut fold),
        Kind::Yaml => yaml::read(&text, &mut fold),
        Kind::Clusters => {
            text::clusters(&text, &mut fold);
            Ok(())
        }
        Kind::Listeners => {
            text::listeners(&text, &mut fold);
            Ok(())
        }
        Kind::Stats => {
            fold.stats(metrics::stats_text(&text));
            Ok(())
        }
        Kind::Prometheus if metrics::is_of_istiod(&text) => return None,
        Kind::Prometheus => {
            fold.stats(series(&text));
            Ok(())
        }
    };
    if let Err(error) = &end {
        if !fold.is_known {
            return Some(Err(format!("looks like what Envoy says of itself, but cannot be read: {error}")));
        }
        fold.state.is_cut = true;
        fold.lose(format!("{error}: what came before was read"));
    }
    fold.is_known.then(|| Ok(document(fold, found)))
}

fn document(fold: Fold, found: Found<'_>) -> Document {
    let (mut state, taken, losses) = fold.finish();
    state.proxy = proxy(&state, found);
    let cluster = state.node.as_ref().map(|node| node.cluster.clone()).unwrap_or_default();
    Document { taken, cluster, losses, ..Document::of(State::Proxy(Arc::new(state))) }
}

/// `<pod>.<namespace>`, as the node, the command or the place tells it.
fn proxy(state: &ProxyState, found: Found<'_>) -> Text {
    if let Some(node) = &state.node {
        let (_, name) = of_node(&node.id);
        if !name.is_empty() {
            return name.into();
        }
        if !node.name.is_empty() {
            return format!("{}.{}", node.name, node.namespace).into();
        }
    }
    if let Some(asked) = asked(found.command).or_else(|| proxy_id(found.command)).or_else(|| proxy_id(found.path)) {
        return asked;
    }
    let place = origin::place(found.path, "");
    // Where an istiod said it, the folders are the istiod's.
    let is_its_own = state.told_by == ToldBy::Proxy && place.role != Role::Istiod;
    match is_its_own && !place.pod.is_empty() && !place.namespace.is_empty() {
        true => format!("{}.{}", place.pod, place.namespace).into(),
        false => Text::default(),
    }
}

/// Type and name of a node id: `sidecar~10.0.0.1~<pod>.<namespace>~<namespace>.svc.cluster.local`.
fn of_node(id: &str) -> (&str, &str) {
    let mut parts = id.split('~');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(kind), Some(_), Some(name)) => (kind, name),
        _ => ("", ""),
    }
}

/// The proxy a command asked: `istioctl proxy-config all <pod>.<namespace>`, `kubectl exec <pod> -n <namespace> -- ...`.
fn asked(command: &str) -> Option<Text> {
    let named = command::proxy(command).or_else(|| exec(command))?;
    let named = named.strip_prefix("pod/").unwrap_or(named);
    match command::namespace(command) {
        _ if !named.contains('/') && named.contains('.') => Some(named.into()),
        namespace => Some(format!("{named}.{}", namespace.unwrap_or("default")).into()),
    }
}

/// The pod of `kubectl exec [options] <pod> [options] -- ...`.
fn exec(command: &str) -> Option<&str> {
    let (front, _) = command.split_once(" -- ")?;
    let mut words = front.split_whitespace().skip_while(|word| *word != "exec").skip(1);
    while let Some(word) = words.next() {
        match word {
            "-i" | "-t" | "-it" | "-ti" | "--stdin" | "--tty" | "-q" | "--quiet" => {}
            option if option.starts_with('-') && !option.contains('=') => drop(words.next()),
            option if option.starts_with('-') => {}
            pod => return Some(pod),
        }
    }
    None
}

/// `proxyID=<pod>.<namespace>` of a question to istiod.
fn proxy_id(text: &str) -> Option<Text> {
    let (_, rest) = text.split_once("proxyID=")?;
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "-._".contains(c))).unwrap_or(rest.len());
    (end > 0).then(|| rest[..end].into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Fact;
    use crate::state::proxy::{HeldSecret, ProxyCluster, ProxyListener, ProxyRoute};

    const DUMP: &str = r#"{
 "configs": [
  {
   "@type": "type.googleapis.com/envoy.admin.v3.BootstrapConfigDump",
   "bootstrap": {
    "node": {
     "id": "sidecar~10.10.0.7~sleep-7656cf8794-x2lqf.sample~sample.svc.cluster.local",
     "cluster": "sleep.sample",
     "metadata": {
      "CLUSTER_ID": "east", "NETWORK": "net-east", "ISTIO_VERSION": "1.27.3", "NAMESPACE": "sample",
      "NAME": "sleep-7656cf8794-x2lqf", "SERVICE_ACCOUNT": "sleep", "MESH_ID": "mesh1", "ANNOTATIONS": {"a": "b"},
      "PROXY_CONFIG": {"discoveryAddress": "istiod.istio-system.svc:15012", "concurrency": 2}, "ENVOY_STATUS_PORT": 15021
     },
     "locality": {"region": "us-east1", "zone": "us-east1-b"},
     "extensions": [{"name": "envoy.filters.http.router", "category": "envoy.filters.http"}]
    },
    "static_resources": {"clusters": [{"name": "xds-grpc", "type": "STATIC"}]}
   },
   "last_updated": "2026-03-02T08:00:00.123Z"
  },
  {
   "@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump",
   "version_info": "2026-03-02T08:00:00Z/41",
   "static_clusters": [
    {"cluster": {"@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster", "name": "xds-grpc", "type": "STATIC",
      "connect_timeout": "1s", "load_assignment": {"cluster_name": "xds-grpc", "endpoints": []}},
     "last_updated": "2026-03-02T08:00:00.200Z"}
   ],
   "dynamic_active_clusters": [
    {
     "version_info": "2026-03-02T08:00:00Z/41",
     "cluster": {
      "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
      "name": "outbound|5000||helloworld.sample.svc.cluster.local",
      "type": "EDS",
      "eds_cluster_config": {"eds_config": {"ads": {}}, "service_name": "outbound|5000||helloworld.sample.svc.cluster.local"},
      "connect_timeout": "10s",
      "circuit_breakers": {"thresholds": [{"max_connections": 4294967295}]},
      "outlier_detection": {"consecutive_5xx": 5},
      "common_lb_config": {},
      "transport_socket_matches": [
       {"name": "tlsMode-istio", "match": {"tlsMode": "istio"}, "transport_socket": {
         "name": "envoy.transport_sockets.tls",
         "typed_config": {"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
          "common_tls_context": {
           "alpn_protocols": ["istio-peer-exchange", "istio"],
           "tls_certificate_sds_secret_configs": [{"name": "default", "sds_config": {}}],
           "combined_validation_context": {
            "default_validation_context": {"match_typed_subject_alt_names": [
              {"san_type": "URI", "matcher": {"exact": "spiffe://cluster.local/ns/sample/sa/default"}}]},
            "validation_context_sds_secret_config": {"name": "ROOTCA"}}},
          "sni": "outbound_.5000_._.helloworld.sample.svc.cluster.local"}}},
       {"name": "tlsMode-disabled", "match": {}, "transport_socket": {"name": "envoy.transport_sockets.raw_buffer"}}
      ]
     },
     "last_updated": "2026-03-02T08:10:00.456Z"
    },
    {
     "cluster": {"name": "outbound|9000||broken.sample.svc.cluster.local", "type": "EDS"},
     "error_state": {"details": "Didn't find a registered implementation for 'x'", "last_update_attempt": "2026-03-02T08:11:00Z"}
    }
   ],
   "dynamic_warming_clusters": [
    {"cluster": {"name": "outbound|7000||slow.sample.svc.cluster.local", "type": "EDS"}}
   ]
  },
  {
   "@type": "type.googleapis.com/envoy.admin.v3.EndpointsConfigDump",
   "dynamic_endpoint_configs": [
    {
     "endpoint_config": {
      "@type": "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
      "cluster_name": "outbound|5000||helloworld.sample.svc.cluster.local",
      "endpoints": [
       {
        "locality": {"region": "us-east1", "zone": "us-east1-b"},
        "lb_endpoints": [
         {"endpoint": {"address": {"socket_address": {"address": "10.10.0.11", "port_value": 5000}}, "health_check_config": {}},
          "health_status": "HEALTHY",
          "metadata": {"filter_metadata": {"envoy.transport_socket_match": {"tlsMode": "istio"},
            "istio": {"workload": "helloworld-v1;sample;helloworld;v1;east"}}},
          "load_balancing_weight": 1},
         {"endpoint": {"address": {"envoy_internal_address": {"server_listener_name": "connect_originate", "endpoint_id": "10.10.0.12:5000"}}},
          "health_status": "UNHEALTHY"}
        ]
       },
       {
        "locality": {"region": "us-west1"},
        "priority": 1,
        "lb_endpoints": [
         {"endpoint": {"address": {"socket_address": {"address": "172.18.255.1", "port_value": "15443"}}},
          "health_status": "HEALTHY",
          "metadata": {"filter_metadata": {"istio": {"workload": ";;;;west"}}}}
        ]
       }
      ],
      "policy": {"overprovisioning_factor": 140}
     }
    }
   ]
  },
  {
   "@type": "type.googleapis.com/envoy.admin.v3.ListenersConfigDump",
   "version_info": "2026-03-02T08:00:00Z/41",
   "static_listeners": [
    {"listener": {"address": {"socket_address": {"address": "0.0.0.0", "port_value": 15021}},
      "filter_chains": [{"filters": [{"name": "envoy.filters.network.http_connection_manager",
        "typed_config": {"stat_prefix": "agent", "route_config": {"virtual_hosts": []}}}]}]}}
   ],
   "dynamic_listeners": [
    {
     "name": "0.0.0.0_15443",
     "active_state": {
      "version_info": "2026-03-02T08:00:00Z/41",
      "listener": {
       "@type": "type.googleapis.com/envoy.config.listener.v3.Listener",
       "name": "0.0.0.0_15443",
       "address": {"socket_address": {"address": "0.0.0.0", "port_value": 15443}},
       "filter_chains": [
        {"filter_chain_match": {"server_names": ["outbound_.5000_._.helloworld.sample.svc.cluster.local"]},
         "filters": [
          {"name": "istio.stats", "typed_config": {"@type": "type.googleapis.com/stats.PluginConfig"}},
          {"name": "envoy.filters.network.tcp_proxy", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
            "stat_prefix": "x", "cluster": "outbound_.5000_._.helloworld.sample.svc.cluster.local"}}]}
       ]
      },
      "last_updated": "2026-03-02T08:10:01Z"
     }
    },
    {
     "name": "10.96.1.1_443",
     "error_state": {"details": "error adding listener: 'x'", "last_update_attempt": "2026-03-02T08:12:00.5Z"}
    },
    {
     "error_state": {"failed_configuration": {"@type": "type.googleapis.com/envoy.config.listener.v3.Listener",
       "name": "10.96.1.1_443"}, "details": "error adding listener: 'x'", "last_update_attempt": "2026-03-02T08:12:00.5Z"}
    },
    {"error_state": {"failed_configuration": {"name": "0.0.0.0_9"}, "details": "no", "last_update_attempt": null}}
   ]
  },
  {
   "@type": "type.googleapis.com/envoy.admin.v3.RoutesConfigDump",
   "dynamic_route_configs": [
    {"route_config": {"name": "5000", "virtual_hosts": [
      {"name": "helloworld.sample.svc.cluster.local:5000", "domains": ["helloworld.sample.svc.cluster.local", "helloworld"],
       "routes": [
        {"match": {"prefix": "/v2"}, "route": {"weighted_clusters": {"clusters": [
          {"name": "outbound|5000|v1|helloworld.sample.svc.cluster.local", "weight": 90},
          {"name": "outbound|5000|v2|helloworld.sample.svc.cluster.local", "weight": 10}]}}},
        {"match": {"prefix": "/"}, "route": {"cluster": "outbound|5000||helloworld.sample.svc.cluster.local"}}]}]}}
   ]
  },
  {
   "@type": "type.googleapis.com/envoy.admin.v3.SecretsConfigDump",
   "dynamic_active_secrets": [
    {"name": "default", "last_updated": "2026-03-02T07:59:59Z", "secret": {"name": "default", "tls_certificate": {
      "certificate_chain": {"inline_bytes": "@CHAIN@"},
      "private_key": {"inline_bytes": "LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0t"}}}},
    {"name": "ROOTCA", "secret": {"name": "ROOTCA", "validation_context": {"trusted_ca": {"inline_bytes": "@ROOT@"}}}}
   ],
   "dynamic_warming_secrets": [
    {"name": "kubernetes://gw-cert", "version_info": "uninitialized", "secret": {"name": "kubernetes://gw-cert"}}
   ]
  }
 ]
}"#;

    fn base64(bytes: &[u8]) -> String {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let digits = |chunk: &[u8]| {
            let three = [chunk[0], chunk.get(1).copied().unwrap_or(0), chunk.get(2).copied().unwrap_or(0)];
            let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
            let text: String = (0..4).map(|at| DIGITS[(bits >> (18 - at * 6) & 63) as usize] as char).collect();
            format!("{}{}", &text[..chunk.len() + 1], "=".repeat(3 - chunk.len()))
        };
        bytes.chunks(3).map(digits).collect()
    }

    /// The dump with certificates of the day.
    fn dump() -> String {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut root = rcgen::CertificateParams::new(Vec::<String>::new()).expect("parameters");
        root.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let root = root.self_signed(&key).expect("a root");
        let mut leaf = rcgen::CertificateParams::new(Vec::<String>::new()).expect("parameters");
        let uri = "spiffe://cluster.local/ns/sample/sa/sleep".try_into().expect("a URI");
        leaf.subject_alt_names.push(rcgen::SanType::URI(uri));
        let leaf = leaf.self_signed(&key).expect("a leaf");
        let chain = format!("{}{}", leaf.pem(), root.pem());
        DUMP.replace("@CHAIN@", &base64(chain.as_bytes())).replace("@ROOT@", &base64(root.pem().as_bytes()))
    }

    fn at(path: &str) -> Found<'_> {
        Found { path, command: "" }
    }

    fn document_of(text: &str, found: Found<'_>) -> Document {
        read(text.as_bytes(), found).expect("known").expect("read")
    }

    fn state_of(document: &Document) -> Arc<ProxyState> {
        let Some((None, Fact::State(state))) = document.facts.first() else { panic!("no state") };
        let State::Proxy(proxy) = &**state else { panic!("no proxy") };
        Arc::clone(proxy)
    }

    fn state(text: &str) -> Arc<ProxyState> {
        state_of(&document_of(text, Found::default()))
    }

    fn said(endpoints: &Option<Vec<ProxyEndpoint>>) -> Vec<String> {
        let of = |endpoint: &ProxyEndpoint| {
            let workload = endpoint
                .workload
                .as_ref()
                .map(|workload| format!(" {}/{}@{}", workload.namespace, workload.name, workload.cluster));
            format!(
                "{} {} {} p{} {}{}{}{}{}",
                endpoint.cluster.split('|').nth(3).unwrap_or(&endpoint.cluster),
                endpoint.addr,
                endpoint.health,
                endpoint.priority,
                endpoint.locality,
                workload.unwrap_or_default(),
                if endpoint.ejected { " ejected" } else { "" },
                endpoint.connect_failures.map_or(String::new(), |count| format!(" failed {count}")),
                endpoint.connects.map_or(String::new(), |count| format!(" of {count}")),
            )
        };
        endpoints.iter().flatten().map(of).collect()
    }

    #[test]
    fn a_dump_is_reduced_to_what_causes_ask() {
        let dump = dump();
        let document = document_of(&dump, Found::default());
        let proxy = state_of(&document);
        assert_eq!(document.losses, [] as [&str; 0]);
        assert_eq!((&*document.cluster, &*proxy.proxy), ("east", "sleep-7656cf8794-x2lqf.sample"));
        assert_eq!(document.taken.map(|at| at.to_string()).as_deref(), Some("2026-03-02T08:12:00.500Z"));
        assert_eq!((proxy.told_by, proxy.is_cut), (ToldBy::Proxy, false));
        let node = proxy.node.as_ref().expect("a node");
        assert_eq!((&*node.kind, &*node.network, &*node.version), ("sidecar", "net-east", "1.27.3"));
        assert_eq!((&*node.namespace, &*node.service_account, &*node.mesh_id), ("sample", "sleep", "mesh1"));
        assert_eq!(
            (&*node.discovery_address, &*node.locality),
            ("istiod.istio-system.svc:15012", "us-east1/us-east1-b")
        );
        assert_eq!(&*node.trust_domain, "cluster.local");
        assert_eq!(
            said(&proxy.endpoints),
            [
                "helloworld.sample.svc.cluster.local 10.10.0.11:5000 HEALTHY p0 us-east1/us-east1-b \
                 sample/helloworld-v1@east",
                "helloworld.sample.svc.cluster.local 10.10.0.12:5000 UNHEALTHY p0 us-east1/us-east1-b",
                "helloworld.sample.svc.cluster.local 172.18.255.1:15443 HEALTHY p1 us-west1 /@west",
            ]
        );
        let clusters = proxy.clusters.as_deref().expect("clusters");
        assert_eq!(
            clusters[1],
            ProxyCluster {
                name: "outbound|5000||helloworld.sample.svc.cluster.local".into(),
                kind: "EDS".into(),
                sans: vec!["spiffe://cluster.local/ns/sample/sa/default".into()],
                tls: "istio".into(),
                // Its endpoints have two priorities.
                locality_lb: true,
                outlier_detection: true,
                warming: false,
            }
        );
        assert_eq!((&*clusters[0].name, &*clusters[0].kind, &*clusters[0].tls), ("xds-grpc", "STATIC", ""));
        assert_eq!((&*clusters[3].name, clusters[3].warming), ("outbound|7000||slow.sample.svc.cluster.local", true));
        let rejected: Vec<(&str, &str)> = proxy.rejected.iter().map(|one| (&*one.kind, &*one.name)).collect();
        let broken = ("cluster", "outbound|9000||broken.sample.svc.cluster.local");
        // The second one is listed twice, once without its name.
        assert_eq!(rejected, [broken, ("listener", "10.96.1.1_443"), ("listener", "0.0.0.0_9")]);
        let listeners = proxy.listeners.as_deref().expect("listeners");
        let sni_dnat = "outbound_.5000_._.helloworld.sample.svc.cluster.local";
        assert_eq!(
            listeners[1],
            ProxyListener {
                name: "0.0.0.0_15443".into(),
                addr: crate::event::Addr { host: "0.0.0.0".into(), port: 15443 },
                sni: vec![sni_dnat.into()],
                clusters: vec![sni_dnat.into()],
                warming: false,
            }
        );
        assert_eq!((listeners.len(), listeners[0].addr.port), (2, 15021));
        assert_eq!(
            proxy.routes.as_deref(),
            Some(
                [ProxyRoute {
                    config: "5000".into(),
                    domains: vec!["helloworld.sample.svc.cluster.local".into(), "helloworld".into()],
                    clusters: vec![
                        "outbound|5000|v1|helloworld.sample.svc.cluster.local".into(),
                        "outbound|5000|v2|helloworld.sample.svc.cluster.local".into(),
                        "outbound|5000||helloworld.sample.svc.cluster.local".into(),
                    ],
                }]
                .as_slice()
            )
        );
        let secrets = proxy.secrets.as_deref().expect("secrets");
        let counts: Vec<(&str, &str, usize)> =
            secrets.iter().map(|secret| (&*secret.name, &*secret.status, secret.certs.len())).collect();
        assert_eq!(counts, [("default", "ACTIVE", 2), ("ROOTCA", "ACTIVE", 1), ("kubernetes://gw-cert", "WARMING", 0)]);
        assert_eq!(secrets[0].certs[1], secrets[1].certs[0]);
        assert!(!format!("{document:?}").contains("UFJJVkFURS") && !format!("{document:?}").contains("PRIVATE"));
    }

    #[test]
    fn istioctls_spelling_and_another_order_of_keys_change_nothing() {
        let dump = dump();
        let mut value: serde_json::Value = serde_json::from_str(&dump).expect("JSON");
        camel(&mut value);
        let camel = value.to_string();
        assert_eq!(state(&camel), state(&dump));
        // `@type` behind what it is the type of.
        let configs = value["configs"].as_array().expect("configs").iter().map(|config| {
            let config = config.as_object().expect("an object");
            let rest = config.iter().filter(|(key, _)| *key != "@type");
            let rest: Vec<String> = rest.map(|(key, value)| format!("\"{key}\":{value}")).collect();
            format!("{{{},\"@type\":{}}}", rest.join(","), config["@type"])
        });
        let late = format!("{{\"configs\":[{}]}}", configs.collect::<Vec<_>>().join(","));
        assert_eq!(state(&late), state(&dump));
    }

    /// Keys as istioctl prints them: metadata keeps its own.
    fn camel(value: &mut serde_json::Value) {
        match value {
            serde_json::Value::Array(items) => items.iter_mut().for_each(camel),
            serde_json::Value::Object(map) => {
                let fields = std::mem::take(map);
                for (key, mut value) in fields {
                    camel(&mut value);
                    let is_own = key.contains('.') || key.chars().next().is_some_and(|c| c.is_ascii_uppercase());
                    let mut words = key.split('_');
                    let first = words.next().unwrap_or("").to_string();
                    let joined = words.fold(first, |joined, word| {
                        let (head, tail) = word.split_at(word.len().min(1));
                        joined + &head.to_ascii_uppercase() + tail
                    });
                    map.insert(if is_own { key } else { joined }, value);
                }
            }
            _ => {}
        }
    }

    #[test]
    fn what_stands_before_a_cut_is_used() {
        let dump = dump();
        let cut = dump.find("\"172.18.255.1\"").expect("the gateway");
        let document = document_of(&dump[..cut], Found::default());
        let proxy = state_of(&document);
        assert!(proxy.is_cut);
        assert_eq!(proxy.clusters.as_ref().map(Vec::len), Some(4));
        // The cluster whose endpoints are cut has none that are certain; it must not look empty.
        assert_eq!(proxy.endpoints, Some(Vec::new()));
        assert_eq!(proxy.listeners, None);
        let line = dump[..cut].lines().count();
        assert!(document.losses[0].starts_with(&format!("line {line}, column ")), "{:?}", document.losses);
        assert!(document.losses[0].ends_with("it ends in the middle: what came before was read"));
        let cut = dump.find("\"10.96.1.1_443\"").expect("the second listener");
        let proxy = state(&dump[..cut]);
        assert_eq!(proxy.listeners.as_ref().map(Vec::len), Some(2));
        assert_eq!(said(&proxy.endpoints).len(), 3);
    }

    #[test]
    fn no_cut_and_no_flipped_byte_panics() {
        let dump = dump();
        for end in (0..dump.len()).step_by(7) {
            read(&dump.as_bytes()[..end], Found::default());
        }
        let mut bytes = dump.into_bytes();
        for at in (0..bytes.len()).step_by(11) {
            let byte = std::mem::replace(&mut bytes[at], b"\"{]\xff0"[at % 5]);
            read(&bytes, Found::default());
            bytes[at] = byte;
        }
    }

    #[test]
    fn an_item_of_another_type_costs_itself_only() {
        let dump = dump().replace("\"priority\": 1,", "\"priority\": {\"secret\": \"hunter2\"},").replace(
            "\"name\": \"5000\", \"virtual_hosts\": [",
            "\"name\": \"5000\", \"virtual_hosts\": \"hunter2\", \"x\": [",
        );
        let document = document_of(&dump, Found::default());
        assert_eq!(
            document.losses,
            [
                "configs[2].dynamic_endpoint_configs[0]: something in it is of another type: not read",
                "configs[4].dynamic_route_configs[0]: something in it is of another type: not read",
            ]
        );
        let proxy = state_of(&document);
        assert!(proxy.is_cut);
        assert_eq!(proxy.clusters.as_ref().map(Vec::len), Some(4));
        assert_eq!(proxy.secrets.as_ref().map(Vec::len), Some(3));
    }

    #[test]
    fn a_private_key_never_leaves_the_parser() {
        for key in [r#""-----BEGIN RSA PRIVATE KEY-----hunter2""#, r#"{"x": "hunter2"}"#, r#"["hunter2"]"#] {
            for place in ["secret", "tls_certificate", "private_key", "certificate_chain"] {
                let secret = match place {
                    "secret" => format!(r#"{{"name": "default", "secret": {key}}}"#),
                    "tls_certificate" => format!(r#"{{"name": "default", "secret": {{"tls_certificate": {key}}}}}"#),
                    place => {
                        format!(r#"{{"name": "default", "secret": {{"tls_certificate": {{"{place}": {key}}}}}}}"#)
                    }
                };
                let text = format!(r#"{{"dynamicActiveSecrets": [{secret}]}}"#);
                let read = format!("{:?}", read(text.as_bytes(), Found::default()));
                assert!(!read.contains("hunter2"), "{read}");
            }
        }
    }

    const CLUSTERS: &str = "\
outbound|5000||helloworld.sample.svc.cluster.local::observability_name::outbound|5000||helloworld.sample.svc.cluster.local;
outbound|5000||helloworld.sample.svc.cluster.local::default_priority::max_connections::4294967295
outbound|5000||helloworld.sample.svc.cluster.local::high_priority::max_retries::3
outbound|5000||helloworld.sample.svc.cluster.local::added_via_api::true
outbound|5000||helloworld.sample.svc.cluster.local::eds_service_name::outbound|5000||helloworld.sample.svc.cluster.local
outbound|5000||helloworld.sample.svc.cluster.local::10.10.0.11:5000::cx_active::0
outbound|5000||helloworld.sample.svc.cluster.local::10.10.0.11:5000::cx_connect_fail::3
outbound|5000||helloworld.sample.svc.cluster.local::10.10.0.11:5000::hostname::
outbound|5000||helloworld.sample.svc.cluster.local::10.10.0.11:5000::health_flags::/failed_outlier_check
outbound|5000||helloworld.sample.svc.cluster.local::10.10.0.11:5000::weight::1
outbound|5000||helloworld.sample.svc.cluster.local::10.10.0.11:5000::region::us-east1
outbound|5000||helloworld.sample.svc.cluster.local::10.10.0.11:5000::zone::us-east1-b
outbound|5000||helloworld.sample.svc.cluster.local::10.10.0.11:5000::sub_zone::
outbound|5000||helloworld.sample.svc.cluster.local::10.10.0.11:5000::canary::false
outbound|5000||helloworld.sample.svc.cluster.local::10.10.0.11:5000::priority::0
outbound|5000||helloworld.sample.svc.cluster.local::10.10.0.11:5000::success_rate::-1
outbound|5000||helloworld.sample.svc.cluster.local::172.18.255.1:15443::cx_connect_fail::0
outbound|5000||helloworld.sample.svc.cluster.local::172.18.255.1:15443::health_flags::/failed_eds_health
outbound|5000||helloworld.sample.svc.cluster.local::172.18.255.1:15443::region::us-west1
outbound|5000||helloworld.sample.svc.cluster.local::172.18.255.1:15443::priority::1
outbound|80||nobody.sample.svc.cluster.local::added_via_api::true
outbound|80||six.sample.svc.cluster.local::[fd00::1]:80::health_flags::healthy
outbound|80||ambient.sample.svc.cluster.local::envoy://connect_originate/10.10.0.12:80::health_flags::healthy
";

    const CLUSTERS_JSON: &str = r#"{
 "cluster_statuses": [
  {"name": "outbound|5000||helloworld.sample.svc.cluster.local", "added_via_api": true,
   "host_statuses": [
    {"address": {"socket_address": {"address": "10.10.0.11", "port_value": 5000}},
     "stats": [{"name": "cx_connect_fail", "value": "3"}, {"name": "rq_total", "value": "9"}, {"type": "GAUGE", "name": "cx_active"}],
     "health_status": {"failed_outlier_check": true, "eds_health_status": "HEALTHY"},
     "weight": 1, "locality": {"region": "us-east1", "zone": "us-east1-b"}},
    {"address": {"socket_address": {"address": "172.18.255.1", "port_value": 15443}},
     "stats": [{"name": "cx_connect_fail"}], "health_status": {"eds_health_status": "UNHEALTHY"},
     "weight": 1, "locality": {"region": "us-west1"}, "priority": 1}
   ],
   "circuit_breakers": {"thresholds": [{"max_connections": 4294967295}]}},
  {"name": "outbound|80||nobody.sample.svc.cluster.local", "added_via_api": true, "circuit_breakers": {"thresholds": []}},
  {"name": "outbound|80||six.sample.svc.cluster.local", "host_statuses": [
    {"address": {"socket_address": {"address": "fd00::1", "port_value": 80}}, "health_status": {"eds_health_status": "HEALTHY"}}]},
  {"name": "outbound|80||ambient.sample.svc.cluster.local", "host_statuses": [
    {"address": {"envoy_internal_address": {"server_listener_name": "connect_originate", "endpoint_id": "10.10.0.12:80"}},
     "health_status": {"eds_health_status": "HEALTHY"}}]}
 ]
}"#;

    #[test]
    fn every_form_of_clusters_says_the_same() {
        let text = state(CLUSTERS);
        assert_eq!(
            said(&text.endpoints),
            [
                "helloworld.sample.svc.cluster.local 10.10.0.11:5000 HEALTHY p0 us-east1/us-east1-b ejected failed 3",
                "helloworld.sample.svc.cluster.local 172.18.255.1:15443 UNHEALTHY p1 us-west1 failed 0",
                "six.sample.svc.cluster.local [fd00::1]:80 HEALTHY p0 ",
                "ambient.sample.svc.cluster.local 10.10.0.12:80 HEALTHY p0 ",
            ]
        );
        let names: Vec<&str> = text.clusters.iter().flatten().map(|cluster| &*cluster.name).collect();
        assert_eq!(names.len(), 4);
        assert_eq!(names[1], "outbound|80||nobody.sample.svc.cluster.local");
        let json = state(CLUSTERS_JSON);
        assert_eq!(json.endpoints, text.endpoints);
        let mut value: serde_json::Value = serde_json::from_str(CLUSTERS_JSON).expect("JSON");
        camel(&mut value);
        let listed = value["clusterStatuses"].to_string();
        assert_eq!(state(&listed).endpoints, text.endpoints);
        let yaml = "- addedViaApi: true\n  circuitBreakers:\n    thresholds:\n    - maxConnections: 4294967295\n  \
                    hostStatuses:\n  - address:\n      socketAddress:\n        address: 10.10.0.11\n        portValue: 5000\n    \
                    healthStatus:\n      edsHealthStatus: HEALTHY\n      failedOutlierCheck: true\n    locality:\n      \
                    region: us-east1\n      zone: us-east1-b\n    stats:\n    - name: cx_connect_fail\n      value: \"3\"\n    \
                    weight: 1\n  name: outbound|5000||helloworld.sample.svc.cluster.local\n";
        assert_eq!(said(&state(yaml).endpoints), said(&text.endpoints)[..1]);
    }

    #[test]
    fn resources_that_istioctl_lists_are_told_by_their_keys() {
        let cluster = r#"[{"name":"outbound|80||a.b.svc.cluster.local","type":"EDS","edsClusterConfig":{"edsConfig":{"ads":{}}},"connectTimeout":"10s"}]"#;
        assert_eq!(state(cluster).clusters.as_ref().map(|all| all[0].kind.clone()), Some("EDS".into()));
        let listener = r#"[{"name":"0.0.0.0_15443","address":{"socketAddress":{"address":"0.0.0.0","portValue":15443}},"filterChains":[{"filterChainMatch":{"serverNames":["a"]}}]}]"#;
        assert_eq!(state(listener).listeners.as_ref().map(|all| all[0].sni.clone()), Some(vec!["a".into()]));
        let route =
            r#"[{"name":"80","virtualHosts":[{"name":"a","domains":["*"],"routes":[{"route":{"cluster":"x"}}]}]}]"#;
        assert_eq!(state(route).routes.as_ref().map(|all| all[0].clusters.clone()), Some(vec!["x".into()]));
        let endpoints = r#"[{"clusterName":"outbound|80||a.b.svc.cluster.local","endpoints":[{"lbEndpoints":[{"endpoint":{"address":{"socketAddress":{"address":"10.0.0.1","portValue":80}}}}]}]}]"#;
        assert_eq!(said(&state(endpoints).endpoints), ["a.b.svc.cluster.local 10.0.0.1:80  p0 "]);
        let bootstrap = r#"{"bootstrap":{"node":{"id":"router~10.0.0.1~gw-1.istio-system~istio-system.svc.cluster.local","metadata":{"ROUTER_MODE":"sni-dnat","CLUSTER_ID":"west","NETWORK":"net-west"}}},"lastUpdated":"2026-03-02T08:00:00Z"}"#;
        let proxy = state(bootstrap);
        let node = proxy.node.as_ref().expect("a node");
        assert_eq!((&*proxy.proxy, &*node.kind, &*node.router_mode), ("gw-1.istio-system", "router", "sni-dnat"));
        let yaml = "dynamicActiveSecrets:\n- lastUpdated: \"2026-03-02T08:00:00Z\"\n  name: default\n  secret:\n    '@type': type.googleapis.com/x\n    name: default\n";
        let held = HeldSecret { name: "default".into(), status: "ACTIVE".into(), ..HeldSecret::default() };
        assert_eq!(state(yaml).secrets, Some(vec![held]));
    }

    #[test]
    fn what_istiod_would_send_is_told_by_istiod() {
        let text = r#"{"configs":[{"@type":"type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment","clusterName":"outbound|5000||helloworld.sample.svc.cluster.local","endpoints":[{"locality":{},"lbEndpoints":[{"endpoint":{"address":{"socketAddress":{"address":"172.18.255.1","portValue":15443}}},"metadata":{"filterMetadata":{"envoy.transport_socket_match":{"tlsMode":"istio"},"istio":{"workload":";;;;west"}}},"loadBalancingWeight":2}],"loadBalancingWeight":2}]}]}"#;
        let path = "bug-report/istio/istio-system/istiod-1/debug/edsz?proxyID=sleep-1.sample";
        let proxy = state_of(&document_of(text, at(path)));
        assert_eq!((proxy.told_by, &*proxy.proxy), (ToldBy::Istiod, "sleep-1.sample"));
        assert_eq!(proxy.endpoints.as_ref().map(|all| all[0].tls_mode.clone()), Some("istio".into()));
        // Without its place: resources without a section are istiod's.
        assert_eq!(state(text).told_by, ToldBy::Istiod);
        let whole = dump().replace("BootstrapConfigDump", "EcdsConfigDump").replace("\"bootstrap\"", "\"nothing\"");
        assert_eq!(state(&whole).told_by, ToldBy::Istiod);
    }

    #[test]
    fn certificates_are_told_once() {
        let text = r#"{
 "certificates": [
  {"ca_cert": [{"path": "\u003cinline\u003e", "serial_number": "00ADE6C290", "subject_alt_names": [],
     "days_until_expiration": "3650", "valid_from": "2026-01-01T00:00:00Z", "expiration_time": "2036-01-01T00:00:00Z"}],
   "cert_chain": [{"path": "\u003cinline\u003e", "serial_number": "7b177c73",
     "subject_alt_names": [{"uri": "spiffe://cluster.local/ns/sample/sa/sleep"}], "days_until_expiration": "0",
     "valid_from": "2026-03-01T00:00:00Z", "expiration_time": "2026-03-02T00:00:00Z"},
     {"path": "\u003cinline\u003e", "serial_number": "ade6c290", "subject_alt_names": []}]},
  {"ca_cert": [{"path": "\u003cinline\u003e", "serial_number": "00ADE6C290", "subject_alt_names": []}],
   "cert_chain": [{"path": "\u003cinline\u003e", "serial_number": "7b177c73",
     "subject_alt_names": [{"uri": "spiffe://cluster.local/ns/sample/sa/sleep"}]}]}
 ]
}"#;
        let proxy = state_of(&document_of(text, at("bug-report/proxies/sample/sleep-1/certs")));
        assert_eq!(&*proxy.proxy, "sleep-1.sample");
        let held: Vec<String> = proxy
            .secrets
            .iter()
            .flatten()
            .map(|one| format!("{} {} {:?} {:?}", one.name, one.serial, one.sans, one.valid.map(|(_, to)| to)))
            .collect();
        assert_eq!(
            held,
            [
                "default 7b177c73 [\"spiffe://cluster.local/ns/sample/sa/sleep\"] Some(2026-03-02T00:00:00.000Z)",
                "ROOTCA ade6c290 [] Some(2036-01-01T00:00:00.000Z)",
            ]
        );
    }

    #[test]
    fn the_small_endpoints_are_read() {
        let server = r#"{"version": "739644f8/1.35.3-dev/Clean/RELEASE/BoringSSL", "state": "LIVE", "uptime_current_epoch": "53185s",
          "uptime_all_epochs": "53185s", "hot_restart_version": "disabled", "command_line_options": {"concurrency": 2},
          "node": {"id": "waypoint~10.0.0.1~waypoint-1.shop~shop.svc.cluster.local", "metadata": {"CLUSTER_ID": "east"}}}"#;
        let document = document_of(server, Found::default());
        let proxy = state_of(&document);
        let info = proxy.server.as_ref().expect("server info");
        assert_eq!((&*info.state, info.uptime_s, &*document.cluster), ("LIVE", 53_185, "east"));
        assert_eq!(&*proxy.proxy, "waypoint-1.shop");
        let text = "virtualInbound::0.0.0.0:15006\nvirtualInbound::[::]:15006\n10.96.0.10_53::10.96.0.10:53\n";
        let json = r#"{"listener_statuses": [
          {"name": "virtualInbound", "local_address": {"socket_address": {"address": "0.0.0.0", "port_value": 15006}},
           "additional_local_addresses": [{"socket_address": {"address": "::", "port_value": 15006}}]},
          {"name": "10.96.0.10_53", "local_address": {"socket_address": {"address": "10.96.0.10", "port_value": 53}}}]}"#;
        assert_eq!(state(text).listeners.as_ref().map(Vec::len), Some(3));
        assert_eq!(state(text).listeners, state(json).listeners);
        let stats = "cluster.xds-grpc.upstream_cx_connect_fail: 4\ncluster.xds-grpc.upstream_cx_total: 9\n";
        let json = r#"{"stats":[{"name":"cluster.xds-grpc.upstream_cx_connect_fail","value":4},{"name":"server.live","value":1}]}"#;
        assert_eq!(state(stats).stats.len(), 1);
        assert_eq!(state(stats).stats, state(json).stats);
        let prometheus = "# TYPE envoy_cluster_upstream_cx_connect_fail counter\n\
                          envoy_cluster_upstream_cx_connect_fail{cluster_name=\"xds-grpc\"} 4\n";
        assert_eq!(state(prometheus).stats, state(stats).stats);
        let of_istiod = "# TYPE pilot_xds gauge\npilot_xds{version=\"1.27.3\"} 4\n";
        assert_eq!(read(of_istiod.as_bytes(), Found::default()), None);
    }

    #[test]
    fn the_proxy_is_named_by_what_was_asked() {
        let named = |path, command| state_of(&document_of(CLUSTERS, Found { path, command })).proxy.to_string();
        assert_eq!(named("", "istioctl --context east proxy-config endpoint sleep-1.sample -o json"), "sleep-1.sample");
        assert_eq!(named("", "istioctl pc ep sleep-1 -n sample"), "sleep-1.sample");
        assert_eq!(
            named("", "kubectl exec -it sleep-1 -n sample -c istio-proxy -- pilot-agent request GET clusters"),
            "sleep-1.sample"
        );
        assert_eq!(named("east/bug-report/proxies/sample/sleep-1/clusters", ""), "sleep-1.sample");
        assert_eq!(named("clusters.txt", ""), "");
    }

    #[test]
    fn other_documents_are_left_to_others() {
        for text in [
            r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"}}"#,
            r#"[{"id":"east","secretName":"","syncStatus":"synced"}]"#,
            r#"{"configs":[{"@type":"type.googleapis.com/istio.workload.Address","workload":{"uid":"x"}}]}"#,
            r#"{"certificates":[{"identity":"spiffe://a/ns/b/sa/c","state":"Available","certChain":[{"pem":""}]}]}"#,
            r#"[{"name":"x","endpoints":[]}]"#,
            "2026-03-02T00:00:00Z\tinfo\tenvoy\tstarting::x\n",
            "NAME   READY\nweb    1/1\n",
            "",
        ] {
            assert_eq!(read(text.as_bytes(), Found::default()), None, "{text}");
        }
    }

    #[test]
    fn many_empty_items_are_nothing() {
        let text = format!(
            "{{\"configs\":[{{\"@type\":\"type.googleapis.com/envoy.admin.v3.EndpointsConfigDump\",\"dynamic_endpoint_configs\":[{{\"endpoint_config\":{{\"cluster_name\":\"a\",\"endpoints\":[{{\"lb_endpoints\":[{}{{}}]}}]}}}}]}}]}}",
            "{},".repeat(300_000)
        );
        let document = document_of(&text, Found::default());
        assert_eq!(state_of(&document).endpoints, Some(Vec::new()));
        let deep = format!(
            "{{\"configs\":[{{\"@type\":\"type.googleapis.com/envoy.x\",\"transport_socket\":{}",
            "{\"typed_config\":{\"transport_socket\":".repeat(50_000)
        );
        assert!(read(deep.as_bytes(), Found::default()).is_some());
    }
}
