//! The xDS server of the tests, driven by a plain gRPC client: what it says in both forms, and how it fails.

use std::collections::BTreeMap;
use std::time::Duration;

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use envoy_types::pb::google::rpc;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataValue;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status, Streaming};

use crate::common::tls::Authority;
use crate::common::wire::Close;
use crate::common::xds_server::{ADDRESS, AUTHORIZATION, CLUSTER, ENDPOINTS, Form, XdsServer};
use crate::common::{Random, seed};

/// Longer than anything takes on a busy machine.
const LONG: Duration = Duration::from_secs(10);

/// A stream of the client: where it asks, and what it is told.
struct Talk<Q, A> {
    ask: mpsc::Sender<Q>,
    answers: Streaming<A>,
}

impl<Q, A> Talk<Q, A> {
    async fn ask(&self, request: Q) {
        self.ask.send(request).await.expect("the stream is open");
    }

    async fn told(&mut self) -> Result<Option<A>, Status> {
        timeout(LONG, self.answers.message()).await.expect("an answer or an end comes in time")
    }

    async fn answer(&mut self) -> A {
        self.told().await.expect("the stream is well").expect("the stream is open")
    }
}

async fn plain(server: &XdsServer) -> Channel {
    Endpoint::from_shared(server.url()).expect("a URL").connect().await.expect("it listens")
}

async fn secured(server: &XdsServer, root: &Authority, own: Option<&Authority>) -> Result<Channel, String> {
    let mut tls =
        ClientTlsConfig::new().ca_certificate(Certificate::from_pem(root.pem())).domain_name("istiod.istio-system.svc");
    if let Some(own) = own {
        let workload = own.workload("spiffe://cluster.local/ns/istio-system/sa/meshwhy");
        tls = tls.identity(Identity::from_pem(workload.certificate, workload.key));
    }
    let endpoint = Endpoint::from_shared(server.url()).expect("a URL").tls_config(tls).expect("they are well formed");
    endpoint.connect().await.map_err(|error| format!("{error:?}"))
}

async fn sotw(channel: Channel) -> Result<Talk<DiscoveryRequest, DiscoveryResponse>, Status> {
    let (ask, asked) = mpsc::channel(16);
    let mut client = AggregatedDiscoveryServiceClient::new(channel);
    let call = client.stream_aggregated_resources(ReceiverStream::new(asked));
    let answers = timeout(LONG, call).await.expect("it is answered in time")?.into_inner();
    Ok(Talk { ask, answers })
}

async fn delta(channel: Channel) -> Result<Talk<DeltaDiscoveryRequest, DeltaDiscoveryResponse>, Status> {
    let (ask, asked) = mpsc::channel(16);
    let mut request = Request::new(ReceiverStream::new(asked));
    request.metadata_mut().insert("authorization", MetadataValue::from_static("Bearer a-token"));
    let mut client = AggregatedDiscoveryServiceClient::new(channel);
    let answers = timeout(LONG, client.delta_aggregated_resources(request)).await.expect("it is answered in time")?;
    Ok(Talk { ask, answers: answers.into_inner() })
}

fn cluster(name: &str) -> Cluster {
    Cluster { name: name.to_string(), ..Cluster::default() }
}

fn subscribe(type_url: &str, names: &[&str]) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        type_url: type_url.to_string(),
        resource_names_subscribe: names.iter().map(|name| name.to_string()).collect(),
        ..DeltaDiscoveryRequest::default()
    }
}

fn acknowledge(response: &DeltaDiscoveryResponse) -> DeltaDiscoveryRequest {
    let (type_url, response_nonce) = (response.type_url.clone(), response.nonce.clone());
    DeltaDiscoveryRequest { type_url, response_nonce, ..DeltaDiscoveryRequest::default() }
}

fn names(response: &DeltaDiscoveryResponse) -> Vec<&str> {
    response.resources.iter().map(|resource| resource.name.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn state_of_the_world_is_sent_whole_on_every_change_and_a_refused_one_once() {
    let server = XdsServer::plaintext();
    server.set(CLUSTER, "a", &cluster("a"));
    let mut talk = sotw(plain(&server).await).await.expect("nobody refuses it");
    let node = Node { id: "sidecar~10.0.0.1~web-1.sample~sample.svc.cluster.local".to_string(), ..Node::default() };
    let first = DiscoveryRequest { node: Some(node), type_url: CLUSTER.to_string(), ..DiscoveryRequest::default() };
    talk.ask(first.clone()).await;
    let one = talk.answer().await;
    assert_eq!((one.resources.len(), one.type_url.as_str()), (1, CLUSTER));

    server.set(CLUSTER, "b", &cluster("b"));
    let two = talk.answer().await;
    assert_eq!(two.resources.len(), 2);
    assert!(one.version_info != two.version_info && one.nonce != two.nonce);

    let refusal = rpc::Status { code: Code::InvalidArgument as i32, message: "b is bad".to_string(), details: vec![] };
    let nack = DiscoveryRequest {
        response_nonce: two.nonce.clone(),
        version_info: one.version_info.clone(),
        error_detail: Some(refusal),
        ..first.clone()
    };
    talk.ask(nack).await;
    let refused = server.wait_for("a NACK", 1, |asked| asked.refuses(CLUSTER)).remove(0);
    assert_eq!(refused.error, Some((Code::InvalidArgument as i32, "b is bad".to_string())));
    assert_eq!((refused.form, refused.version), (Form::Sotw, one.version_info));
    assert_eq!(refused.node.map(|node| node.id), first.node.map(|node| node.id));

    server.remove(CLUSTER, "b");
    let three = talk.answer().await;
    assert_eq!(three.resources.len(), 1, "nothing was sent between the refusal and the change");
    let ack = DiscoveryRequest {
        type_url: CLUSTER.to_string(),
        response_nonce: three.nonce.clone(),
        version_info: three.version_info.clone(),
        ..DiscoveryRequest::default()
    };
    talk.ask(ack).await;
    server.wait_for("an ACK", 1, |asked| asked.accepts(CLUSTER));
    server.wait_until_told();
}

#[tokio::test(flavor = "multi_thread")]
async fn state_of_the_world_follows_the_names_that_are_asked_for() {
    let server = XdsServer::plaintext();
    for name in ["a", "b"] {
        let endpoints = ClusterLoadAssignment { cluster_name: name.to_string(), ..ClusterLoadAssignment::default() };
        server.set(ENDPOINTS, name, &endpoints);
    }
    let mut talk = sotw(plain(&server).await).await.expect("nobody refuses it");
    let ask = |names: &[&str], nonce: &str| DiscoveryRequest {
        type_url: ENDPOINTS.to_string(),
        resource_names: names.iter().map(|name| name.to_string()).collect(),
        response_nonce: nonce.to_string(),
        ..DiscoveryRequest::default()
    };
    talk.ask(ask(&["a"], "")).await;
    let one = talk.answer().await;
    assert_eq!(one.resources.len(), 1);
    talk.ask(ask(&["a", "b"], &one.nonce)).await;
    let two = talk.answer().await;
    assert_eq!(two.resources.len(), 2);
    talk.ask(ask(&["a"], "a nonce of before")).await;
    let stale = server.wait_for("what answers an older response", 1, |asked| asked.nonce == "a nonce of before");
    assert_eq!(stale[0].names, ["a"]);
    talk.ask(ask(&["b"], &two.nonce)).await;
    assert_eq!(talk.answer().await.resources.len(), 1, "what answers an older response changes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn delta_tells_what_changed_and_what_is_gone() {
    let server = XdsServer::plaintext();
    server.change(|changes| {
        changes.set(CLUSTER, "a", &cluster("a"));
        changes.set(CLUSTER, "b", &cluster("b"));
    });
    let mut talk = delta(plain(&server).await).await.expect("nobody refuses it");
    talk.ask(subscribe(CLUSTER, &[])).await;
    let all = talk.answer().await;
    assert_eq!(names(&all), ["a", "b"]);
    talk.ask(acknowledge(&all)).await;

    server.change(|changes| {
        changes.set(CLUSTER, "c", &cluster("c"));
        changes.remove(CLUSTER, "a");
    });
    let change = talk.answer().await;
    assert_eq!((names(&change), change.removed_resources.as_slice()), (vec!["c"], ["a".to_string()].as_slice()));
    talk.ask(acknowledge(&change)).await;
    server.wait_until_told();
    let opened = server.opened();
    assert_eq!(opened[0].metadata.get("authorization").map(String::as_str), Some("Bearer a-token"));
    assert_eq!((opened[0].form, opened[0].certificate, opened[0].refused), (Form::Delta, false, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn delta_sends_a_client_that_comes_back_only_what_it_missed() {
    let server = XdsServer::plaintext();
    for name in ["same", "changed", "gone"] {
        server.set(CLUSTER, name, &cluster(name));
    }
    let mut talk = delta(plain(&server).await).await.expect("nobody refuses it");
    talk.ask(subscribe(CLUSTER, &["*"])).await;
    let all = talk.answer().await;
    let versions = all.resources.iter().map(|resource| (resource.name.clone(), resource.version.clone()));
    let known = versions.collect::<BTreeMap<_, _>>();
    drop(talk);

    server.change(|changes| {
        changes.set(CLUSTER, "changed", &cluster("changed"));
        changes.remove(CLUSTER, "gone");
    });
    let mut talk = delta(plain(&server).await).await.expect("nobody refuses it");
    let initial_resource_versions = known.clone().into_iter().collect();
    talk.ask(DeltaDiscoveryRequest { initial_resource_versions, ..subscribe(CLUSTER, &["*"]) }).await;
    let missed = talk.answer().await;
    assert_eq!(
        (names(&missed), missed.removed_resources.as_slice()),
        (vec!["changed"], ["gone".to_string()].as_slice())
    );
    let brought = server.wait_for("a client that came back", 1, |asked| !asked.known.is_empty()).remove(0);
    assert_eq!((brought.stream, brought.known), (1, known));
}

#[tokio::test(flavor = "multi_thread")]
async fn delta_answers_names_asked_for_once_more_whether_they_exist_or_not() {
    let server = XdsServer::plaintext();
    server.set(ENDPOINTS, "a", &ClusterLoadAssignment::default());
    server.set(ENDPOINTS, "b", &ClusterLoadAssignment::default());
    let mut talk = delta(plain(&server).await).await.expect("nobody refuses it");
    talk.ask(subscribe(ENDPOINTS, &["a", "none"])).await;
    let one = talk.answer().await;
    assert_eq!((names(&one), one.removed_resources.as_slice()), (vec!["a"], ["none".to_string()].as_slice()));
    talk.ask(DeltaDiscoveryRequest { resource_names_subscribe: vec!["a".to_string()], ..acknowledge(&one) }).await;
    assert_eq!(names(&talk.answer().await), ["a"]);

    let unsubscribed = vec!["a".to_string()];
    talk.ask(DeltaDiscoveryRequest { resource_names_unsubscribe: unsubscribed, ..subscribe(ENDPOINTS, &["b"]) }).await;
    assert_eq!(names(&talk.answer().await), ["b"]);
    server.set(ENDPOINTS, "a", &ClusterLoadAssignment::default());
    server.set(ENDPOINTS, "b", &ClusterLoadAssignment::default());
    assert_eq!(names(&talk.answer().await), ["b"], "nobody is told what he wants no more");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_a_client_is_known_by_its_certificate_and_refuses_an_unknown_authority() {
    let server = XdsServer::tls();
    let other = Authority::of_mesh("cluster.local");
    let channel = secured(&server, server.authority(), None).await.expect("the authority is the server's");
    delta(channel).await.expect("a certificate is not required");
    let channel = secured(&server, server.authority(), Some(server.authority())).await.expect("it is known");
    delta(channel).await.expect("nobody refuses it");
    let shown = server.opened().iter().map(|opened| opened.certificate).collect::<Vec<_>>();
    assert_eq!(shown, [false, true]);

    let error = secured(&server, &other, None).await.expect_err("the authority is not the server's");
    assert!(error.contains("InvalidSignature") || error.contains("BadSignature"), "{error}");
    server.present(&other.server("istiod", &["istiod.istio-system.svc"]));
    secured(&server, server.authority(), None).await.expect_err("the server shows a certificate of another authority");
    server.present(&server.authority().server("istiod", &["istiod.elsewhere.svc"]));
    let error = secured(&server, server.authority(), None).await.expect_err("the server shows another name");
    assert!(error.contains("NotValidForName"), "{error}");
    server.present_own();
    secured(&server, server.authority(), None).await.expect("all is well again");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_refused_ended_told_to_leave_and_cut_as_ordered() {
    let server = XdsServer::plaintext();
    let channel = plain(&server).await;
    server.refuse(Code::Unauthenticated, "authentication failure", 1);
    server.refuse(Code::PermissionDenied, "not yours", 1);
    let refused = delta(channel.clone()).await.err().expect("refused");
    assert_eq!((refused.code(), refused.message()), (Code::Unauthenticated, "authentication failure"));
    assert_eq!(delta(channel.clone()).await.err().expect("refused").code(), Code::PermissionDenied);
    assert_eq!(server.wait_for_streams(2).iter().filter(|opened| opened.refused).count(), 2);

    let mut talk = delta(channel.clone()).await.expect("only two were to be refused");
    server.end_streams(Code::Unavailable, "server is shutting down");
    assert_eq!(talk.told().await.expect_err("ended").code(), Code::Unavailable);

    let mut talk = delta(channel).await.expect("the connection is well");
    server.go_away(Duration::from_millis(1));
    assert!(!matches!(talk.told().await, Ok(Some(_))), "the connection is closed");
    for close in [Close::Notified, Close::Unnotified, Close::Reset] {
        let mut talk = delta(plain(&server).await).await.expect("new connections are served");
        assert!(server.cut(close) >= 1);
        assert!(!matches!(talk.told().await, Ok(Some(_))), "it is cut: {close:?}");
    }
    server.stop(Close::Reset);
    Endpoint::from_shared(server.url()).expect("a URL").connect().await.expect_err("nobody listens");
    server.restart();
    delta(plain(&server).await).await.expect("it is back");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_withheld_delayed_and_silenced_as_ordered() {
    let server = XdsServer::plaintext();
    server.set(CLUSTER, "a", &cluster("a"));
    server.withhold();
    let mut talk = delta(plain(&server).await).await.expect("nobody refuses it");
    talk.ask(subscribe(CLUSTER, &[])).await;
    server.wait_for("a request", 1, |asked| asked.type_url == CLUSTER);
    let held = Duration::from_millis(100);
    timeout(held, talk.answers.message()).await.expect_err("nothing is answered");
    server.answer();
    assert_eq!(names(&talk.answer().await), ["a"]);

    server.silence();
    server.set(CLUSTER, "b", &cluster("b"));
    timeout(held, talk.answers.message()).await.expect_err("not a byte comes");
    server.speak();
    assert_eq!(names(&talk.answer().await), ["b"]);

    server.delay(held);
    let began = std::time::Instant::now();
    server.set(CLUSTER, "c", &cluster("c"));
    assert_eq!(names(&talk.answer().await), ["c"]);
    assert!(began.elapsed() >= held);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_comes_back_after_every_cut_ends_with_what_the_server_has() {
    let server = XdsServer::plaintext();
    let mut random = Random(seed());
    for number in 0..200 {
        server.set(ADDRESS, &format!("east//Pod/sample/web-{number}"), &cluster("any message will do"));
    }
    server.set(AUTHORIZATION, "sample/deny-all", &cluster("another type"));
    server.cut_at_random(random.next(), 4000);
    let mut has = BTreeMap::new();
    let take = |has: &mut BTreeMap<String, String>, told: DeltaDiscoveryResponse| {
        has.retain(|name, _| !told.removed_resources.contains(name));
        has.extend(told.resources.into_iter().map(|resource| (resource.name, resource.version)));
    };
    for round in 0..30 {
        let Ok(channel) = Endpoint::from_shared(server.url()).expect("a URL").connect().await else { continue };
        let Ok(mut talk) = delta(channel).await else { continue };
        talk.ask(subscribe_knowing(&has)).await;
        if round % 2 == 0 {
            server.set(ADDRESS, &format!("east//Pod/sample/web-{}", random.below(300)), &cluster("changed"));
            let last = server.resources(ADDRESS).into_keys().next_back().expect("there are many");
            server.remove(ADDRESS, &last);
        }
        while let Ok(Ok(Some(told))) = timeout(Duration::from_millis(50), talk.answers.message()).await {
            take(&mut has, told);
        }
    }
    server.cut_no_more();
    let names = server.resources(ADDRESS).into_keys().collect::<Vec<_>>();
    let mut talk = delta(plain(&server).await).await.expect("nothing is cut any more");
    talk.ask(subscribe_knowing(&has)).await;
    take(&mut has, talk.answer().await);
    assert_eq!(has.into_keys().collect::<Vec<_>>(), names);
    assert!(server.asked().iter().all(|asked| asked.type_url == ADDRESS && asked.unsubscribed.is_empty()));
    assert!(server.opened().len() > 2, "no connection was cut");
}

fn subscribe_knowing(has: &BTreeMap<String, String>) -> DeltaDiscoveryRequest {
    let initial_resource_versions = has.clone().into_iter().collect();
    DeltaDiscoveryRequest { initial_resource_versions, ..subscribe(ADDRESS, &["*"]) }
}
