//! istiod asked by xDS: what is pushed becomes documents, is acknowledged as a proxy does it, and survives what ends
//! streams; and what the program makes of it.

use std::collections::{BTreeMap, VecDeque};
use std::io::Write;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{ClusterDiscoveryType, DiscoveryType};
use envoy_types::pb::envoy::config::core::v3::address::Address as Place;
use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
use envoy_types::pb::envoy::config::core::v3::{Address, Node as Told, SocketAddress};
use envoy_types::pb::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use envoy_types::pb::envoy::config::endpoint::v3::{ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints};
use k8s_openapi::jiff::Timestamp;
use meshwhy::inputs::source::{Feed, LiveLimits, Said, Status};
use meshwhy::inputs::xds::{self, Asked, Credentials, Form, Node};
use meshwhy_parsers::event::{Event, Fact};
use meshwhy_parsers::state::State;
use meshwhy_parsers::state::proxy::{ProxyState, ToldBy};
use prost::Message;
use serde_json::json;
use tempfile::NamedTempFile;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::Code;

use crate::common::kube_api::{KubeApi, kubeconfig_file, pod};
use crate::common::meshwhy;
use crate::common::tls::Authority;
use crate::common::wire::Close;
use crate::common::xds_server::{self, ADDRESS, CLUSTER, ENDPOINTS, XdsServer};
use crate::common::{Random, seed};
use crate::live::Running;

/// Longer than anything takes on a busy machine.
const LONG: Duration = Duration::from_secs(30);

const CART: &str = "outbound|80||cart.shop.svc.cluster.local";
const WEB: &str = "outbound|80||web.shop.svc.cluster.local";

/// A cluster whose endpoints are asked for.
fn cluster(name: &str) -> Cluster {
    Cluster {
        name: name.to_string(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Eds as i32)),
        ..Cluster::default()
    }
}

/// The endpoints of a cluster, all on one port.
fn endpoints(name: &str, addresses: &[&str]) -> ClusterLoadAssignment {
    let endpoint = |address: &&str| {
        let socket = SocketAddress {
            address: address.to_string(),
            port_specifier: Some(PortSpecifier::PortValue(8080)),
            ..SocketAddress::default()
        };
        let address = Some(Address { address: Some(Place::SocketAddress(socket)) });
        let endpoint = Endpoint { address, ..Endpoint::default() };
        LbEndpoint { host_identifier: Some(HostIdentifier::Endpoint(endpoint)), ..LbEndpoint::default() }
    };
    let lb_endpoints = addresses.iter().map(endpoint).collect();
    ClusterLoadAssignment {
        cluster_name: name.to_string(),
        endpoints: vec![LocalityLbEndpoints { lb_endpoints, ..LocalityLbEndpoints::default() }],
        ..ClusterLoadAssignment::default()
    }
}

/// An istiod that pushes one endpoint of the cart.
fn istiod(server: XdsServer) -> XdsServer {
    server.set(CLUSTER, CART, &cluster(CART));
    server.set(ENDPOINTS, CART, &endpoints(CART, &["10.10.0.11"]));
    server
}

/// Somebody who asks an istiod, and what is heard of it.
struct Heard {
    heard: mpsc::Receiver<Said>,
    /// What documents said, that was not asked for yet.
    events: VecDeque<Event>,
    troubles: Vec<String>,
    /// Symptoms would come here.
    _wanted: mpsc::Sender<Arc<meshwhy_parsers::origin::Origin>>,
}

impl Heard {
    fn asking(server: &XdsServer, form: Form, credentials: Credentials, node: &str) -> Heard {
        let (feed, heard) = Feed::new(LiveLimits::default());
        let (wanted, named) = mpsc::channel(4);
        let nodes = vec![(None, Node::parse(node).expect("a node"))];
        let address = xds::Address::parse(&server.url()).expect("a URL");
        tokio::spawn(xds::at(address, "east".to_string(), Asked { nodes, credentials, form }, feed, named));
        Heard { heard, events: VecDeque::new(), troubles: Vec::new(), _wanted: wanted }
    }

    async fn next(&mut self) -> Said {
        let troubles = &self.troubles;
        let said = timeout(LONG, self.heard.recv()).await;
        let said =
            said.unwrap_or_else(|_| panic!("nothing is heard any more; troubles: {troubles:#?}")).expect("it runs");
        if let Said::Status(Status::Trouble { what, .. }) = &said {
            self.troubles.push(what.clone());
        }
        said
    }

    /// The next state that is such a one.
    async fn state<T>(&mut self, is: impl Fn(&State) -> Option<T>) -> T {
        loop {
            while let Some(event) = self.events.pop_front() {
                if let Fact::State(state) = &event.fact
                    && let Some(found) = is(state)
                {
                    return found;
                }
            }
            if let Said::Document(whole) = self.next().await {
                self.events.extend(whole.events);
            }
        }
    }

    /// The addresses that would be pushed next.
    async fn pushed(&mut self) -> Vec<String> {
        let proxy = |state: &State| match state {
            State::Proxy(proxy) => Some(Arc::clone(proxy)),
            _ => None,
        };
        let proxy: Arc<ProxyState> = self.state(proxy).await;
        assert_eq!((proxy.told_by, &*proxy.proxy), (ToldBy::Istiod, "sleep-1.sample"));
        proxy.endpoints.iter().flatten().map(|endpoint| endpoint.addr.host.to_string()).collect()
    }

    /// Until this is what would be pushed: what came together need not be told together.
    async fn until_pushed(&mut self, addresses: &[&str]) {
        while self.pushed().await != addresses {}
    }

    /// Waits for a trouble that is such a one.
    async fn trouble(&mut self, text: &str) -> String {
        loop {
            if let Said::Status(Status::Trouble { what, .. }) = self.next().await
                && what.contains(text)
            {
                return what;
            }
        }
    }
}

const SLEEP: &str = "sleep-1.sample,NETWORK=net-1";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pushed_is_known_in_both_forms_and_acknowledged_as_a_proxy_does() {
    for form in [Form::Delta, Form::StateOfTheWorld] {
        let istiod = istiod(XdsServer::plaintext());
        let mut heard = Heard::asking(&istiod, form, Credentials::default(), SLEEP);
        assert_eq!(heard.pushed().await, ["10.10.0.11"], "{form:?}");
        istiod.set(ENDPOINTS, CART, &endpoints(CART, &["10.10.0.12", "10.10.0.13"]));
        assert_eq!(heard.pushed().await, ["10.10.0.12", "10.10.0.13"], "{form:?}");
        istiod.change(|world| {
            world.set(CLUSTER, WEB, &cluster(WEB));
            world.set(ENDPOINTS, WEB, &endpoints(WEB, &["10.10.0.21"]));
        });
        heard.until_pushed(&["10.10.0.12", "10.10.0.13", "10.10.0.21"]).await;
        istiod.remove(CLUSTER, CART);
        heard.until_pushed(&["10.10.0.21"]).await;
        istiod.wait_until_told();
        let asked = istiod.asked();
        let of_stream: Vec<_> = asked.iter().filter(|asked| asked.type_url != ADDRESS).collect();
        let first = of_stream.first().expect("something was asked");
        assert_eq!(first.type_url, CLUSTER, "the names of endpoints come with clusters");
        let node: &Told = first.node.as_ref().expect("the first question says who asks");
        assert_eq!(node.id, "sidecar~10.0.0.1~sleep-1.sample~sample.svc.cluster.local");
        assert!(of_stream.iter().any(|asked| asked.names == [CART] && asked.type_url == ENDPOINTS), "{of_stream:#?}");
        assert!(of_stream.iter().all(|asked| asked.error.is_none()), "nothing is rejected: {of_stream:#?}");
        assert_eq!(heard.troubles, [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_reconnect_a_delta_stream_says_what_it_holds_and_nobody_is_alarmed() {
    let istiod = istiod(XdsServer::plaintext());
    let mut heard = Heard::asking(&istiod, Form::Delta, Credentials::default(), SLEEP);
    assert_eq!(heard.pushed().await, ["10.10.0.11"]);
    istiod.wait_until_told();
    istiod.go_away(Duration::ZERO);
    let is_known = |asked: &xds_server::Asked| asked.type_url == ENDPOINTS && asked.known.contains_key(CART);
    let again = istiod.wait_for("endpoints that are known", 1, is_known);
    assert_eq!(again[0].names, [CART]);
    istiod.set(ENDPOINTS, CART, &endpoints(CART, &["10.10.0.14"]));
    heard.until_pushed(&["10.10.0.14"]).await;
    istiod.cut(Close::Reset);
    istiod.set(ENDPOINTS, CART, &endpoints(CART, &["10.10.0.15"]));
    heard.until_pushed(&["10.10.0.15"]).await;
    assert_eq!(heard.troubles, [""; 0], "istiod ends every stream after a while");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_rejected_and_the_rest_is_kept() {
    let istiod = istiod(XdsServer::plaintext());
    let mut heard = Heard::asking(&istiod, Form::Delta, Credentials::default(), SLEEP);
    assert_eq!(heard.pushed().await, ["10.10.0.11"]);
    // Field 1 of a cluster is its name: here it is a text of which more is promised than there is.
    istiod.set(CLUSTER, WEB, &Raw(vec![0x0a, 0x7f, b'w']));
    istiod.wait_for("a rejection", 1, |asked| asked.refuses(CLUSTER));
    assert!(heard.trouble("cannot be read").await.contains(WEB));
    istiod.set(ENDPOINTS, CART, &endpoints(CART, &["10.10.0.12"]));
    heard.until_pushed(&["10.10.0.12"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_is_told_once_and_comes_again_with_the_token_as_it_is_then() {
    let istiod = istiod(XdsServer::tls());
    // Three streams: as the node, as an observer, and for debug endpoints.
    istiod.refuse(Code::Unauthenticated, "authentication failure", 6);
    let (mut token, mut ca) = (file("first.of-all\n"), file(&istiod.authority().pem()));
    let credentials = Credentials {
        token: Some(token.path().to_path_buf()),
        ca: Some(ca.path().to_path_buf()),
        ..Credentials::default()
    };
    ca.flush().expect("it is written");
    let mut heard = Heard::asking(&istiod, Form::Delta, credentials, SLEEP);
    let said = heard.trouble("what istiod would push to sleep-1.sample is not known").await;
    assert!(said.contains("Unauthenticated"), "{said}");
    std::fs::write(token.path(), "second.one").expect("it can be written");
    token.flush().expect("it is written");
    assert_eq!(heard.pushed().await, ["10.10.0.11"]);
    let so_far = istiod.opened().len();
    istiod.cut(Close::Reset);
    let opened = istiod.wait_for_streams(so_far + 1);
    let shown = |at: usize| opened[at].metadata.get("authorization").cloned().unwrap_or_default();
    assert_eq!(shown(0), "Bearer first.of-all");
    assert!((0..opened.len()).any(|at| shown(at) == "Bearer second.one"), "{opened:#?}");
    let refused = heard.troubles.iter().filter(|said| said.contains("would push to sleep-1.sample")).count();
    assert_eq!(refused, 1, "{:#?}", heard.troubles);
    assert!(heard.troubles.iter().all(|said| !said.contains("first.of-all") && !said.contains("second.one")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_shown_and_another_root_is_not_trusted() {
    let istiod = istiod(XdsServer::tls());
    // Every mesh gives its root the same name.
    let stranger = file(&Authority::of_mesh("cluster.local").pem());
    let of = |ca: &NamedTempFile| Credentials { ca: Some(ca.path().to_path_buf()), ..Credentials::default() };
    let mut heard = Heard::asking(&istiod, Form::Delta, of(&stranger), SLEEP);
    let said = heard.trouble("does not come from the root that is trusted").await;
    assert!(said.contains("hint: --xds-ca"), "{said}");

    let own = istiod.authority().workload("spiffe://cluster.local/ns/sample/sa/sleep");
    let (ca, certificate, key) = (file(&istiod.authority().pem()), file(&own.certificate), file(&own.key));
    let identity = Some((certificate.path().to_path_buf(), key.path().to_path_buf()));
    let mut heard = Heard::asking(&istiod, Form::Delta, Credentials { identity, ..of(&ca) }, SLEEP);
    assert_eq!(heard.pushed().await, ["10.10.0.11"]);
    assert!(istiod.opened().iter().any(|opened| opened.certificate));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_istiod_that_says_nothing_is_told_of_and_heard_when_it_speaks() {
    let istiod = istiod(XdsServer::plaintext());
    istiod.withhold();
    let mut heard = Heard::asking(&istiod, Form::Delta, Credentials::default(), SLEEP);
    heard.trouble("has said nothing").await;
    istiod.answer();
    assert_eq!(heard.pushed().await, ["10.10.0.11"]);
    assert!(heard.troubles.last().is_some_and(|said| said.contains("answers xDS again")), "{:#?}", heard.troubles);
}

#[tokio::test(flavor = "multi_thread")]
async fn workloads_are_known_as_a_ztunnel_is_told_them() {
    let istiod = XdsServer::plaintext();
    // istio/istio: pkg/workloadapi/workload.proto, by its numbers.
    let text = |number: u8, text: &str| [&[number << 3 | 2, text.len() as u8], text.as_bytes()].concat();
    let wide = |number: u16, text: &str| {
        let key = (number << 3 | 2) as u8 | 0x80;
        [&[key, (number >> 4) as u8, text.len() as u8], text.as_bytes()].concat()
    };
    let uid = "east//Pod/shop/cart-1";
    let workload = [text(1, "cart-1"), text(2, "shop"), vec![0x1a, 4, 10, 10, 0, 11], text(4, "net-1"), vec![0x28, 1]];
    let workload = [workload.concat(), wide(18, "east"), wide(20, uid)].concat();
    istiod.set(ADDRESS, uid, &Raw([vec![0x0a, workload.len() as u8], workload].concat()));
    let node = "ztunnel~10.0.0.9~ztunnel-x.istio-system~istio-system.svc.cluster.local";
    let mut heard = Heard::asking(&istiod, Form::StateOfTheWorld, Credentials::default(), node);
    let known = |state: &State| match state {
        State::Istiod(istiod) => match &istiod.said {
            meshwhy_parsers::state::istiod::Said::Ambient { workloads, .. } => workloads.first().cloned(),
            _ => None,
        },
        _ => None,
    };
    let workload = heard.state(known).await;
    assert_eq!((&*workload.uid, &*workload.cluster, &*workload.protocol), (uid, "east", "HBONE"));
    assert_eq!(workload.addresses.iter().map(|address| &**address).collect::<Vec<_>>(), ["10.10.0.11"]);
    assert!(istiod.opened().iter().all(|opened| opened.form == xds_server::Form::Delta), "a ztunnel speaks delta");
}

#[tokio::test(flavor = "multi_thread")]
async fn debug_endpoints_are_asked_by_xds_and_no_answer_is_taken_for_a_question() {
    let istiod = XdsServer::tls();
    let rows = r#"[{"id":"east","secretName":"","syncStatus":"synced"},
        {"id":"west","secretName":"istio-system/istio-remote-secret-west","syncStatus":"timeout"}]"#;
    istiod.set("istio.io/debug", "clusterz", &Raw(rows.as_bytes().to_vec()));
    let ca = file(&istiod.authority().pem());
    let credentials = Credentials { ca: Some(ca.path().to_path_buf()), ..Credentials::default() };
    let mut heard = Heard::asking(&istiod, Form::Delta, credentials, SLEEP);
    let known = |state: &State| match state {
        State::Istiod(istiod) => match &istiod.said {
            meshwhy_parsers::state::istiod::Said::Clusters(rows) => Some(rows.len()),
            _ => None,
        },
        _ => None,
    };
    assert_eq!(heard.state(known).await, 2);
    let asked =
        istiod.asked().into_iter().filter(|asked| asked.type_url == "istio.io/debug" && asked.names == ["clusterz"]);
    assert_eq!(asked.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn over_cuts_delays_and_partings_at_random_the_view_ends_as_what_istiod_would_push() {
    let seed = seed();
    for form in [Form::Delta, Form::StateOfTheWorld] {
        let mut random = Random(seed);
        let istiod = istiod(XdsServer::plaintext());
        let mut heard = Heard::asking(&istiod, form, Credentials::default(), SLEEP);
        assert_eq!(heard.pushed().await, ["10.10.0.11"]);
        let mut expected = BTreeMap::from([(CART.to_string(), "10.10.0.11".to_string())]);
        istiod.cut_at_random(random.next(), 3_000);
        for fault in 0..8 {
            for _ in 0..random.below(6) {
                let name = format!("outbound|{}||web.shop.svc.cluster.local", 8_000 + random.below(9));
                let address = format!("10.10.{fault}.{}", random.below(250));
                istiod.change(|world| match expected.contains_key(&name) && address.ends_with(['1', '2', '3']) {
                    true => {
                        world.remove(CLUSTER, &name);
                        world.remove(ENDPOINTS, &name);
                        expected.remove(&name);
                    }
                    false => {
                        world.set(CLUSTER, &name, &cluster(&name));
                        world.set(ENDPOINTS, &name, &endpoints(&name, &[&address]));
                        expected.insert(name, address);
                    }
                });
            }
            let so_far = istiod.opened().len();
            istiod.delay(Duration::from_millis(random.below(30) as u64));
            match random.below(4) {
                0 => istiod.go_away(Duration::from_millis(random.below(20) as u64)),
                1 => istiod.end_streams(Code::Unavailable, "the server is shutting down"),
                2 => istiod.refuse(Code::Unavailable, "not now", 1),
                _ => {}
            }
            istiod.cut([Close::Notified, Close::Unnotified, Close::Reset][random.below(3)]);
            istiod.wait_for_streams(so_far + 1);
        }
        istiod.delay(Duration::ZERO);
        istiod.cut_no_more();
        // The last change is told after the last fault, however much was told before.
        istiod.set(ENDPOINTS, CART, &endpoints(CART, &["10.10.9.9"]));
        expected.insert(CART.to_string(), "10.10.9.9".to_string());
        let mut expected: Vec<String> = expected.into_values().collect();
        expected.sort();
        loop {
            let mut pushed = heard.pushed().await;
            pushed.sort();
            if pushed == expected {
                break;
            }
            println!("{form:?}, seed {seed}: {} of {} so far", pushed.len(), expected.len());
        }
    }
}

/// What the sidecar of web-1 holds, as its admin port prints it.
fn dump(addresses: &[&str]) -> String {
    let endpoint = |address: &&str| {
        json!({
            "endpoint": {"address": {"socket_address": {"address": address, "port_value": 8080}}},
            "metadata": {"filter_metadata": {"istio": {"workload": "cart;shop;cart;v1;east"}}},
        })
    };
    let endpoints: Vec<_> = addresses.iter().map(endpoint).collect();
    let of = |name: &str| format!("type.googleapis.com/envoy.{name}");
    json!({"configs": [
        {"@type": of("admin.v3.BootstrapConfigDump"), "bootstrap": {"node": {
            "id": "sidecar~10.61.0.8~web-1.shop~shop.svc.cluster.local",
            "metadata": {"CLUSTER_ID": "east", "NAME": "web-1", "NAMESPACE": "shop"}}}},
        {"@type": of("admin.v3.ClustersConfigDump"), "dynamic_active_clusters": [
            {"cluster": {"@type": of("config.cluster.v3.Cluster"), "name": CART, "type": "EDS"}}]},
        {"@type": of("admin.v3.EndpointsConfigDump"), "dynamic_endpoint_configs": [{"endpoint_config": {
            "@type": of("config.endpoint.v3.ClusterLoadAssignment"), "cluster_name": CART,
            "endpoints": [{"lb_endpoints": endpoints}]}}]},
    ]})
    .to_string()
}

#[test]
fn tail_says_that_istiod_does_not_push_any_more_what_a_proxy_still_holds() {
    let east = KubeApi::start("east");
    let runs = |namespace: &str, name: &str, app: &str, container: &str, address: &str| {
        let mut runs = pod(namespace, name, &[("app", app)], &[container]);
        // Long ago: no rollout is under way.
        runs["metadata"]["creationTimestamp"] = json!("2026-03-01T08:00:00Z");
        (runs["status"]["podIP"], runs["status"]["podIPs"]) = (json!(address), json!([{"ip": address}]));
        east.apply(runs);
    };
    runs("shop", "cart-1", "cart", "cart", "10.61.0.9");
    runs("shop", "web-1", "web", "istio-proxy", "10.61.0.8");
    runs("istio-system", "istiod-1", "istiod", "discovery", "10.61.0.2");
    east.serve("shop", "web-1", 15000, |path| match path {
        "/config_dump?include_eds" => (200, dump(&["10.61.0.9", "10.61.0.77"])),
        _ => (404, String::new()),
    });
    east.serve("istio-system", "istiod-1", 15014, |path| match path {
        "/debug/clusterz" => (200, r#"[{"id":"east","secretName":"","syncStatus":"synced"}]"#.to_string()),
        _ => (404, String::new()),
    });
    let istiod = XdsServer::plaintext();
    istiod.set(CLUSTER, CART, &cluster(CART));
    istiod.set(ENDPOINTS, CART, &endpoints(CART, &["10.61.0.9"]));
    let config = kubeconfig_file(&[&east]);
    let mut tail = Running::start(
        meshwhy()
            .args(["tail", "--context=east", "--output=ndjson", "--pods=shop/app=web", "--xds", &istiod.url()])
            .args(["--xds-node", "web-1.shop", "--kubeconfig"])
            .arg(config.path())
            .stderr(Stdio::null()),
    );
    istiod.wait_for("an ACK of endpoints", 1, |asked| asked.accepts(ENDPOINTS));
    east.wait_for("get pods/log", 1);
    let line = format!(
        "[{}] \"GET /cart HTTP/1.1\" 503 UF upstream_reset_before_response_started{{connection_timeout}} - \
         \"delayed_connect_error:_113\" 0 91 3004 - \"-\" \"curl/8.1\" \"4f1c9a52-9d0b-4c61-a4a5-0b1c8d2f7e11\" \
         \"cart.shop\" \"10.61.0.77:8080\" {CART} - 10.96.0.9:80 10.61.0.8:40112 - default",
        Timestamp::now()
    );
    east.log("shop", "web-1", "istio-proxy", line);
    east.wait_for("tunnel /config_dump", 1);
    loop {
        let finding = tail.until("stale-endpoint");
        if finding.contains("10.61.0.77") && finding.contains("istiod would not push it any more") {
            return;
        }
    }
}

/// A message of bytes as they are: debug endpoints answer JSON where a message belongs, and broken ones break.
#[derive(Clone, Debug, Default, PartialEq)]
struct Raw(Vec<u8>);

impl Message for Raw {
    fn encode_raw(&self, buf: &mut impl prost::bytes::BufMut) {
        buf.put_slice(&self.0);
    }

    fn merge_field(
        &mut self,
        _: u32,
        _: prost::encoding::WireType,
        _: &mut impl prost::bytes::Buf,
        _: prost::encoding::DecodeContext,
    ) -> Result<(), prost::DecodeError> {
        unreachable!("it is only written")
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a file can be made");
    file.write_all(text.as_bytes()).expect("it can be written");
    file
}
