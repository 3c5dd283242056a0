//! The Kubernetes API of the tests, driven by the client that the program uses, by the program, and by a genuine `kubectl`.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::pin::Pin;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use futures::{AsyncBufRead, AsyncReadExt, Stream, StreamExt};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ApiResource, DynamicObject, ListParams, LogParams, PostParams, WatchEvent, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::GroupVersionKind;
use kube::runtime::watcher::{self, Event, InitialListStrategy};
use kube::{Api, Client, Config, Error, ResourceExt};
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyPair};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::common::kube_api::{Asked, Close, Failure, KubeApi, kubeconfig, kubeconfig_file, pod};
use crate::common::{Random, base64, meshwhy, peers, seed};

/// Nothing here takes so long unless it is broken.
const LONG: Duration = Duration::from_secs(10);

/// Nothing that a program prints comes later, on a machine that has much else to do.
const PRINTED_WITHIN: Duration = Duration::from_secs(60);

/// Long enough for what must not come.
const SHORT: Duration = Duration::from_millis(100);

/// A client of a context of a kubeconfig, that does not try again by itself.
async fn client(text: &str, context: Option<&str>) -> Client {
    let options = KubeConfigOptions { context: context.map(str::to_string), ..KubeConfigOptions::default() };
    let parsed = Kubeconfig::from_yaml(text).expect("the kubeconfig is in form");
    let mut config = Config::from_custom_kubeconfig(parsed, &options).await.expect("it has the context");
    config.default_retry = false;
    Client::try_from(config).expect("its certificates are in form")
}

/// A cluster with a gateway's pod, and a client of its pods.
async fn cluster() -> (KubeApi, Api<Pod>) {
    let api = KubeApi::start("east");
    api.apply(pod("istio-system", "gateway-1", &[("app", "gateway")], &["istio-proxy"]));
    let pods = Api::namespaced(client(&api.kubeconfig(), None).await, "istio-system");
    (api, pods)
}

/// The code of the Status that refused a request; 0 where the connection failed.
fn code<T>(result: kube::Result<T>) -> u16 {
    match result {
        Ok(_) => 200,
        Err(Error::Api(status)) => status.code,
        Err(_) => 0,
    }
}

type Events = Pin<Box<dyn Stream<Item = kube::Result<WatchEvent<Pod>>> + Send>>;

async fn watch(pods: &Api<Pod>, version: &str) -> Events {
    pods.watch(&WatchParams::default().labels("app=gateway"), version).await.expect("it is answered").boxed()
}

/// The next event of a watch in a few words.
async fn next(events: &mut Events) -> String {
    match timeout(LONG, events.next()).await.expect("it is told soon") {
        None => "end".to_string(),
        Some(Err(_)) => "broken".to_string(),
        Some(Ok(WatchEvent::Added(pod))) => format!("added {}", pod.name_any()),
        Some(Ok(WatchEvent::Modified(pod))) => format!("modified {}", pod.name_any()),
        Some(Ok(WatchEvent::Deleted(pod))) => format!("deleted {}", pod.name_any()),
        Some(Ok(WatchEvent::Bookmark(mark))) => format!("bookmark {}", mark.metadata.resource_version),
        Some(Ok(WatchEvent::Error(status))) => format!("error {} {}", status.code, status.reason),
    }
}

/// A log that is being read.
struct Reading(Pin<Box<dyn AsyncBufRead + Send>>);

/// How what was read came to its end.
#[derive(Debug, PartialEq)]
enum End {
    InOrder,
    Broken,
}

impl Reading {
    async fn of(pods: &Api<Pod>, params: LogParams) -> Reading {
        Reading(Box::pin(pods.log_stream("gateway-1", &params).await.expect("it is answered")))
    }

    /// Reads until this has come.
    async fn until(&mut self, text: &str) -> String {
        let mut read = String::new();
        while !read.contains(text) {
            let mut byte = [0];
            let length = timeout(LONG, self.0.read(&mut byte)).await.expect("it comes soon").expect("it holds");
            assert_eq!(length, 1, "it ended after {read:?}");
            read.push(char::from(byte[0]));
        }
        read
    }

    /// Reads to the end, which a cut makes early.
    async fn rest(&mut self) -> (String, End) {
        let mut bytes = Vec::new();
        let read = timeout(LONG, self.0.read_to_end(&mut bytes)).await.expect("it ends soon");
        let end = if read.is_ok() { End::InOrder } else { End::Broken };
        (String::from_utf8(bytes).expect("we printed text"), end)
    }
}

fn following() -> LogParams {
    LogParams { follow: true, ..LogParams::default() }
}

#[tokio::test]
async fn lists_are_paged_selected_and_told_in_the_version_asked_for() {
    let api = KubeApi::start("east");
    for number in 0..5 {
        let app = if number % 2 == 0 { "web" } else { "db" };
        api.apply(pod("sample", &format!("pod-{number}"), &[("app", app)], &["app"]));
    }
    api.apply(json!({
        "apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
        "metadata": {"namespace": "sample", "name": "remote"}, "spec": {"hosts": ["db.example"]},
    }));
    api.apply(json!({
        "apiVersion": "multicluster.x-k8s.io/v1alpha1", "kind": "ServiceExport",
        "metadata": {"namespace": "sample", "name": "web"},
    }));
    let client = client(&api.kubeconfig(), None).await;
    let pods: Api<Pod> = Api::all(client.clone());
    let names = async |params: ListParams| -> Vec<String> {
        let list = pods.list(&params).await.expect("it is answered");
        list.items.iter().map(ResourceExt::name_any).collect()
    };

    let first = pods.list(&ListParams::default().limit(3)).await.expect("it is answered");
    assert_eq!((first.items.len(), first.metadata.remaining_item_count), (3, Some(2)));
    let token = first.metadata.continue_.expect("there is more");
    assert_eq!(names(ListParams::default().limit(3).continue_token(&token)).await, ["pod-3", "pod-4"]);
    assert_eq!(names(ListParams::default().labels("app in (db, cache)")).await, ["pod-1", "pod-3"]);
    assert_eq!(names(ListParams::default().labels("app!=db,app")).await, ["pod-0", "pod-2", "pod-4"]);
    assert_eq!(names(ListParams::default().fields("metadata.name=pod-2")).await, ["pod-2"]);
    assert_eq!(code(pods.list(&ListParams::default().fields("spec.colour=red")).await), 400);
    assert_eq!(names(ListParams::default().limit(1)).await, ["pod-0"]);
    api.delete("Pod", "sample", "pod-0");
    api.compact();
    assert_eq!(code(pods.list(&ListParams::default().continue_token(&token)).await), 410);

    let custom = async |group: &str, version: &str, kind: &str| -> kube::Result<Vec<String>> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        let list = Api::<DynamicObject>::all_with(client.clone(), &resource).list(&ListParams::default()).await?;
        Ok(list.items.iter().map(|item| item.types.clone().expect("it says its kind").api_version).collect())
    };
    let entries = custom("networking.istio.io", "v1alpha3", "ServiceEntry").await;
    assert_eq!(entries.expect("it is served"), ["networking.istio.io/v1alpha3"]);
    assert_eq!(custom("multicluster.x-k8s.io", "v1alpha1", "ServiceExport").await.expect("it is served").len(), 1);
    api.uninstall("networking.istio.io");
    assert_eq!(code(custom("networking.istio.io", "v1alpha3", "ServiceEntry").await), 404);

    let metadata = pods.list_metadata(&ListParams::default()).await.expect("it is answered");
    assert_eq!(metadata.items.len(), 4);
    assert_eq!(client.apiserver_version().await.expect("it is answered").minor, "33");
    assert_eq!(api.asked("list pods everywhere").len(), 9);
    assert_eq!(api.asked("list serviceentries.networking.istio.io").len(), 2);
}

#[tokio::test]
async fn a_watch_tells_what_changes_until_its_history_is_gone() {
    let (api, pods) = cluster().await;
    let list = pods.list(&ListParams::default()).await.expect("it is answered");
    let version = list.metadata.resource_version.expect("lists say theirs");
    let mut events = watch(&pods, &version).await;
    api.apply(pod("istio-system", "gateway-2", &[("app", "gateway")], &["istio-proxy"]));
    assert_eq!(next(&mut events).await, "added gateway-2");
    api.apply(pod("istio-system", "istiod-1", &[("app", "istiod")], &["discovery"]));
    api.apply(pod("sample", "gateway-3", &[("app", "gateway")], &["istio-proxy"]));
    api.apply(pod("istio-system", "gateway-1", &[("app", "gateway"), ("new", "")], &["istio-proxy"]));
    assert_eq!(next(&mut events).await, "modified gateway-1");
    // What ceases to be selected is gone for this watch.
    api.apply(pod("istio-system", "gateway-1", &[("app", "other")], &["istio-proxy"]));
    assert_eq!(next(&mut events).await, "deleted gateway-1");
    api.delete("pods", "istio-system", "gateway-2");
    assert_eq!(next(&mut events).await, "deleted gateway-2");
    api.bookmark();
    let mark = next(&mut events).await;
    let mark = mark.strip_prefix("bookmark ").expect("it is one");

    assert_eq!(api.cut("watch pods", Close::Unnotified), 1);
    // The client takes a connection that ends too early for the end of the watch.
    assert_eq!(next(&mut events).await, "end");
    let newest = api.apply(pod("istio-system", "gateway-4", &[("app", "gateway")], &["istio-proxy"]));
    let mut resumed = watch(&pods, mark).await;
    assert_eq!(next(&mut resumed).await, "added gateway-4");
    api.compact();
    assert_eq!(next(&mut watch(&pods, &version).await).await, "error 410 Expired");
    assert_eq!(next(&mut watch(&pods, "0").await).await, "added gateway-4");
    api.expire_watches();
    assert_eq!(next(&mut resumed).await, "error 410 Expired");
    assert_eq!(next(&mut resumed).await, "end");

    let ending = WatchParams::default().timeout(1);
    let mut ending = pods.watch(&ending, &newest.to_string()).await.expect("it is answered").boxed();
    assert_eq!(next(&mut ending).await, format!("bookmark {newest}"));
    assert_eq!(next(&mut ending).await, "end");
    let asked = api.asked("watch pods in istio-system");
    assert!(asked.iter().all(|asked| asked.is_set("allowWatchBookmarks")), "{asked:?}");
}

#[tokio::test]
async fn a_watcher_lists_anew_when_its_history_is_gone() {
    for strategy in [InitialListStrategy::ListWatch, InitialListStrategy::StreamingList] {
        let (api, pods) = cluster().await;
        api.apply(pod("istio-system", "gateway-2", &[("app", "gateway")], &["istio-proxy"]));
        let config = watcher::Config { initial_list_strategy: strategy, ..watcher::Config::default() }.page_size(1);
        let mut events = watcher::watcher(pods, config).boxed();
        let mut until = async |last: &str| {
            let mut told = Vec::new();
            while told.last().is_none_or(|told| told != last) {
                told.push(match timeout(LONG, events.next()).await.expect("it is told soon").expect("it goes on") {
                    Err(_) => "error".to_string(),
                    Ok(Event::Init) => "init".to_string(),
                    Ok(Event::InitDone) => "done".to_string(),
                    Ok(Event::InitApply(pod) | Event::Apply(pod)) => pod.name_any(),
                    Ok(Event::Delete(pod)) => format!("no {}", pod.name_any()),
                });
            }
            told
        };
        assert_eq!(until("done").await, ["init", "gateway-1", "gateway-2", "done"]);
        api.delete("Pod", "istio-system", "gateway-1");
        assert_eq!(until("no gateway-1").await, ["no gateway-1"]);
        api.fail("watch pods", 1, Failure::Status(503));
        assert_eq!(api.cut("watch pods", Close::Reset), 1);
        assert_eq!(until("error").await, ["error"]);
        api.delete("Pod", "istio-system", "gateway-2");
        api.apply(pod("istio-system", "gateway-3", &[("app", "gateway")], &["istio-proxy"]));
        api.compact();
        let mut told = until("done").await;
        told.retain(|told| told != "error");
        assert_eq!(told, ["init", "gateway-3", "done"]);
    }
}

#[tokio::test]
async fn logs_are_followed_from_a_time_on_until_the_container_ends() {
    let (api, pods) = cluster().await;
    let place = ("istio-system", "gateway-1", "istio-proxy");
    let log = |line: &str| api.log(place.0, place.1, place.2, line);
    api.log_at(place.0, place.1, place.2, "2026-03-01T10:00:00.25Z", "first");
    api.log_at(place.0, place.1, place.2, "2026-03-01T10:00:01.5Z", "second");
    let since = "2026-03-01T10:00:01Z".parse().expect("a time");
    let params = LogParams { since_time: Some(since), timestamps: true, ..following() };
    let mut reading = Reading::of(&pods, params).await;
    assert_eq!(reading.until("\n").await, "2026-03-01T10:00:01.500000000Z second\n");
    api.log_part(place.0, place.1, place.2, "thi");
    assert!(reading.until("thi").await.ends_with("Z thi"));
    api.log_part(place.0, place.1, place.2, "rd\n");
    assert_eq!(reading.until("\n").await, "rd\n");

    let tail = LogParams { tail_lines: Some(2), limit_bytes: Some(9), ..LogParams::default() };
    assert_eq!(Reading::of(&pods, tail).await.rest().await, ("second\nth".to_string(), End::InOrder));
    api.rotate_log(place.0, place.1, place.2);
    log("fourth");
    assert_eq!(pods.logs("gateway-1", &LogParams::default()).await.expect("it is answered"), "fourth\n");
    assert!(reading.until("\n").await.ends_with("Z fourth\n"));
    let recent = LogParams { since_seconds: Some(60), container: Some(place.2.to_string()), ..LogParams::default() };
    assert_eq!(pods.logs("gateway-1", &recent).await.expect("it is answered"), "fourth\n");

    let previous = LogParams { previous: true, ..LogParams::default() };
    assert_eq!(code(pods.logs("gateway-1", &previous).await), 400);
    api.restart_container(place.0, place.1, place.2);
    assert_eq!(reading.rest().await, (String::new(), End::InOrder));
    log("fifth");
    assert_eq!(pods.logs("gateway-1", &previous).await.expect("it is answered"), "fourth\n");
    let status = pods.get("gateway-1").await.expect("it is there").status.and_then(|status| status.container_statuses);
    assert_eq!(status.expect("it has containers")[0].restart_count, 1);

    let mut reading = Reading::of(&pods, following()).await;
    api.delete("Pod", place.0, place.1);
    assert_eq!(reading.rest().await, ("fifth\n".to_string(), End::InOrder));
    assert_eq!(code(pods.logs("gateway-1", &LogParams::default()).await), 404);
    assert_eq!(api.asked("get pods/log")[0].value("sinceTime"), "2026-03-01T10:00:01Z");
}

#[tokio::test]
async fn a_log_that_is_not_there_yet_is_refused_with_the_reason() {
    let (api, pods) = cluster().await;
    let refused = async || match pods.logs("gateway-2", &LogParams::default()).await {
        Err(Error::Api(status)) => format!("{} {}", status.code, status.message),
        other => panic!("{other:?}"),
    };
    assert_eq!(refused().await, "404 pods \"gateway-2\" not found");
    let mut new = pod("istio-system", "gateway-2", &[], &["istio-proxy"]);
    new["spec"]["nodeName"] = "".into();
    api.apply(new.clone());
    assert_eq!(pods.logs("gateway-2", &following()).await.expect("it is answered"), "");
    new["spec"]["nodeName"] = "node-1".into();
    new["spec"]["initContainers"] = json!([{"name": "istio-init"}]);
    let waiting = |reason: &str| json!([{"name": "istio-proxy", "state": {"waiting": {"reason": reason}}}]);
    for (reason, said) in [("PodInitializing", "PodInitializing"), ("ErrImagePull", "image can't be pulled")] {
        new["status"]["containerStatuses"] = waiting(reason);
        api.apply(new.clone());
        let waits = format!("container \"istio-proxy\" in pod \"gateway-2\" is waiting to start: {said}");
        assert_eq!(refused().await, format!("400 {waits}"));
    }
    new["spec"]["containers"] = json!([{"name": "istio-proxy"}, {"name": "agent"}]);
    api.apply(new);
    let choose = "a container name must be specified for pod gateway-2, choose one of: [istio-init istio-proxy agent]";
    assert_eq!(refused().await, format!("400 {choose}"));
}

#[tokio::test]
async fn a_token_can_be_revoked_replaced_and_limited() {
    let (east, pods) = cluster().await;
    let west = KubeApi::start("west");
    west.apply(pod("istio-system", "istiod-1", &[], &["discovery"]));
    let both = kubeconfig(&[&east, &west]);
    let western: Api<Pod> = Api::all(client(&both, Some("west")).await);
    assert_eq!(western.list(&ListParams::default()).await.expect("it is answered").items[0].name_any(), "istiod-1");

    east.forbid("list pods everywhere");
    east.forbid("get pods/log in istio-system");
    let list = pods.list(&ListParams::default()).await;
    assert_eq!(code(list), 200);
    let all: Api<Pod> = Api::all(client(&both, None).await);
    let Err(Error::Api(status)) = all.list(&ListParams::default()).await else { panic!("it is forbidden") };
    assert_eq!((status.code, status.reason.as_str()), (403, "Forbidden"));
    assert!(
        status.message.ends_with("cannot list resource \"pods\" in API group \"\" at the cluster scope"),
        "{status:?}"
    );
    assert_eq!(code(pods.logs("gateway-1", &LogParams::default()).await), 403);

    let reviews: Api<SelfSubjectAccessReview> = Api::all(client(&both, None).await);
    let may = async |namespace: Option<&str>| {
        let attributes = ResourceAttributes {
            verb: Some("list".to_string()),
            resource: Some("pods".to_string()),
            namespace: namespace.map(str::to_string),
            ..ResourceAttributes::default()
        };
        let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
        let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
        let answer = reviews.create(&PostParams::default(), &review).await.expect("it is answered");
        answer.status.expect("it is decided").allowed
    };
    assert_eq!((may(None).await, may(Some("istio-system")).await), (false, true));
    east.permit("list pods everywhere");
    assert!(may(None).await);

    east.revoke_token();
    assert_eq!(code(pods.list(&ListParams::default()).await), 401);
    assert_eq!(code(western.list(&ListParams::default()).await), 200);
    east.rotate_token();
    assert_eq!(code(pods.list(&ListParams::default()).await), 401);
    let renewed: Api<Pod> = Api::all(client(&east.kubeconfig(), None).await);
    assert_eq!(code(renewed.list(&ListParams::default()).await), 200);
}

/// Asks through a forwarded port by hand; `None` where the port cannot be used, with the reason.
async fn ask_through(pods: &Api<Pod>, port: u16, path: &str) -> Result<String, String> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut forwarder = pods.portforward("gateway-1", &[port]).await.map_err(|error| error.to_string())?;
    let mut stream = forwarder.take_stream(port).expect("it was asked for");
    let refused = forwarder.take_error(port).expect("it was asked for");
    let mut text = String::new();
    let asking = async {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("the forwarder takes it");
        stream.read_to_string(&mut text).await.expect("it is text");
    };
    let refusal = tokio::select! {
        biased;
        refusal = refused => refusal,
        () = asking => None,
        () = tokio::time::sleep(LONG) => panic!("no answer"),
    };
    refusal.map_or(Ok(text), Err)
}

#[tokio::test]
async fn a_port_of_a_pod_is_forwarded_to_its_handler() {
    let (api, pods) = cluster().await;
    let body = "x".repeat(100_000);
    let served = body.clone();
    api.serve("istio-system", "gateway-1", 15000, move |path| match path {
        "/config_dump?include_eds" => (200, format!("{{\"configs\":\"{served}\"}}")),
        _ => (404, "no such endpoint".to_string()),
    });
    let answer = ask_through(&pods, 15000, "/config_dump?include_eds").await.expect("it is answered");
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with(&format!("{body}\"}}")), "{}", answer.len());
    assert!(ask_through(&pods, 15000, "/stats").await.expect("it is answered").starts_with("HTTP/1.1 404"));
    api.fail("tunnel /stats", 1, Failure::Status(503));
    assert!(ask_through(&pods, 15000, "/stats").await.expect("it is answered").starts_with("HTTP/1.1 503"));
    api.fail("tunnel /stats", 1, Failure::Cut { after: 7, close: Close::Unnotified });
    assert!(ask_through(&pods, 15000, "/stats").await.expect("it begins").ends_with("no such\r\n"));
    let refused = ask_through(&pods, 15020, "/").await.expect_err("nothing listens");
    assert!(refused.contains("connection refused"), "{refused}");
    api.forbid("* pods/portforward");
    ask_through(&pods, 15000, "/stats").await.expect_err("it is forbidden");
    let asked = api.asked("tunnel * in istio-system");
    let statuses: Vec<Option<u16>> = asked.iter().map(|asked| asked.status).collect();
    assert_eq!(statuses, [Some(200), Some(404), Some(503), Some(404)]);
    assert!(asked.iter().all(|asked| asked.method == "GET"), "{asked:?}");
}

#[tokio::test]
async fn a_log_is_cut_in_the_middle_of_a_line_in_every_way() {
    let (api, pods) = cluster().await;
    let log = |line: &str| api.log("istio-system", "gateway-1", "istio-proxy", line);
    log("a line that is whole");
    log("a line that is cut");
    for close in [Close::Notified, Close::Unnotified, Close::Reset] {
        api.fail("get pods/log", 1, Failure::Cut { after: 25, close });
        let mut reading = Reading::of(&pods, following()).await;
        assert_eq!(reading.rest().await, ("a line that is whole\na li".to_string(), End::Broken), "{close:?}");
        let mut reading = Reading::of(&pods, following()).await;
        reading.until("cut\n").await;
        assert_eq!(api.cut("get pods/log", close), 1);
        assert_eq!(reading.rest().await, (String::new(), End::Broken), "{close:?}");
    }

    let seed = seed();
    let mut random = Random(seed);
    let lines: Vec<String> = (0..100).map(|number| format!("{number} {}", "x".repeat(random.below(50)))).collect();
    api.restart_container("istio-system", "gateway-1", "istio-proxy");
    lines.iter().for_each(|line| log(line));
    let whole = lines.join("\n") + "\n";
    api.cut_at_random(seed, 2_000);
    let mut cuts = 0;
    for _ in 0..20 {
        // A cut may also come before the answer.
        let Ok(stream) = pods.log_stream("gateway-1", &LogParams::default()).await else {
            cuts += 1;
            continue;
        };
        let (read, end) = Reading(Box::pin(stream)).rest().await;
        assert!(whole.starts_with(&read), "seed {seed}: {read}");
        cuts += usize::from(end == End::Broken);
    }
    assert!((1..20).contains(&cuts), "seed {seed}: {cuts} cuts");
    api.cut_no_more();
    // With connections of its own: those that are open are still to break.
    let pods = Api::namespaced(client(&api.kubeconfig(), None).await, "istio-system");
    assert_eq!(Reading::of(&pods, LogParams::default()).await.rest().await, (whole, End::InOrder));
}

#[tokio::test]
async fn a_server_fails_falls_silent_and_goes_away_as_ordered() {
    let (api, pods) = cluster().await;
    let list = async || timeout(LONG, pods.list(&ListParams::default())).await.expect("it is answered");
    api.fail("list pods", 2, Failure::Status(503));
    api.fail("list *", 1, Failure::Busy { retry_after: 1 });
    api.fail("* *", 1, Failure::Status(401));
    let codes = [code(list().await), code(list().await), code(list().await), code(list().await), code(list().await)];
    assert_eq!(codes, [503, 503, 429, 401, 200]);

    api.fail("list pods", 1, Failure::Silence);
    timeout(SHORT, pods.list(&ListParams::default())).await.expect_err("it is not answered");
    let mut events = watch(&pods, "0").await;
    assert_eq!(next(&mut events).await, "added gateway-1");
    api.silence();
    api.delete("Pod", "istio-system", "gateway-1");
    timeout(SHORT, events.next()).await.map(drop).expect_err("nothing is told");
    timeout(SHORT, pods.list(&ListParams::default())).await.expect_err("it is not answered");
    api.speak();
    assert_eq!(next(&mut events).await, "deleted gateway-1");
    assert_eq!(code(list().await), 200);

    api.stop(Close::Reset);
    assert_eq!(next(&mut events).await, "broken");
    assert_eq!(code(list().await), 0);
    api.restart();
    assert_eq!(code(list().await), 200);
    assert!(api.wait_for("list pods", 8).iter().filter(|asked| asked.status == Some(200)).count() >= 3);
}

/// A program that prints lines, and runs until it ends or is dropped.
pub struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    /// Starts it.
    pub fn start(command: &mut Command) -> Running {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let printed = BufReader::new(child.stdout.take().expect("it was asked for")).lines();
        let (to, lines) = mpsc::channel();
        // Apart, so that a line that never comes fails the test instead of holding it.
        thread::spawn(move || printed.map_while(Result::ok).try_for_each(|line| to.send(line)));
        Running { child, lines }
    }

    fn line(&mut self) -> String {
        self.lines.recv_timeout(PRINTED_WITHIN).expect("there is one more line")
    }

    /// Reads until a line holds this.
    pub fn until(&mut self, text: &str) -> String {
        self.up_to(text).pop().expect("it ends with that line")
    }

    /// Reads up to the first line that holds this; gives all of them.
    pub fn up_to(&mut self, text: &str) -> Vec<String> {
        let mut read = Vec::new();
        while !read.last().is_some_and(|line: &String| line.contains(text)) {
            match self.lines.recv_timeout(PRINTED_WITHIN) {
                Ok(line) => read.push(line),
                Err(why) => panic!("no line holds {text:?} ({why}):\n{}", read.join("\n")),
            }
        }
        read
    }

    /// Ends it as a person does; gives what it says then.
    pub fn interrupt(&mut self) -> Vec<String> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().expect("it can be told").success());
        self.rest()
    }

    /// What it says until it ends by itself.
    pub fn rest(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.lines.recv_timeout(PRINTED_WITHIN).ok()).collect()
    }

    /// What it reads, where it was started so; its end is the end of that.
    pub fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().expect("it was asked for, and once")
    }

    /// Its exit code, once it has ended.
    pub fn code(&mut self) -> Option<i32> {
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program, watching two clusters. What it says of troubles is not heard.
fn tail(kubeconfig: &Path) -> Running {
    let args = ["tail", "--context=east", "--context=west", "--output=ndjson", "--kubeconfig"];
    Running::start(meshwhy().args(args).arg(kubeconfig).stderr(Stdio::null()))
}

#[test]
fn tail_asks_a_proxy_that_fails_for_its_dump_while_another_cluster_does_not_answer() {
    let (east, west) = (KubeApi::start("east"), KubeApi::start("west"));
    west.stop(Close::Reset);
    east.apply(pod("istio-system", "ztunnel-x", &[("app", "ztunnel")], &["istio-proxy"]));
    east.serve("istio-system", "ztunnel-x", 15000, |_| (200, "{}".to_string()));
    let config = kubeconfig_file(&[&east, &west]);
    let mut tail = tail(config.path());
    east.wait_for("get pods/log", 1);
    assert!(east.asked("tunnel /config_dump").is_empty(), "a proxy in order is left alone");
    let line = format!(
        "{:.6}\terror\taccess\tconnection complete\tsrc.addr=10.61.0.8:40112 src.workload=\"web-1\" src.namespace=\"shop\" \
         src.identity=\"spiffe://cluster.local/ns/shop/sa/web\" dst.addr=240.240.0.3:15008 dst.hbone_addr=240.240.0.3:9080 \
         dst.service=\"cart.shop.svc.cluster.local\" direction=\"outbound\" bytes_sent=0 bytes_recv=0 duration=\"10001ms\" \
         error=\"connection timed out, maybe a NetworkPolicy is blocking HBONE port 15008: deadline has elapsed\"",
        Timestamp::now()
    );
    east.log("istio-system", "ztunnel-x", "istio-proxy", line);
    let finding = tail.until(r#""type":"finding""#);
    assert!(finding.contains("240.240.0.3"), "{finding}");
    east.wait_for("tunnel /config_dump", 1);
}

#[test]
fn tail_names_what_one_of_two_clusters_says_over_cuts_and_only_reads() {
    let (east, west) = (KubeApi::start("east"), KubeApi::start("west"));
    for api in [&east, &west] {
        api.apply(pod("istio-system", "istiod-1", &[("app", "istiod")], &["discovery"]));
        api.serve("istio-system", "istiod-1", 15014, |_| (200, "{}".to_string()));
    }
    let log = |level: &str, said: &str| {
        let line = format!("{:.6}\t{level}\t{said}", Timestamp::now());
        east.log("istio-system", "istiod-1", "discovery", line);
    };
    let config = kubeconfig_file(&[&east, &west]);
    let mut tail = tail(config.path());
    east.wait_for("get pods/log", 1);
    log("error", "remote cluster west failed to sync after 30s");
    east.fail("get pods/log", 1, Failure::Status(500));
    assert_eq!(east.cut("get pods/log", Close::Reset), 1);
    east.wait_for("get pods/log", 3);
    log(
        "error",
        "watch error in cluster west: failed to list *v1.Pod: Get \"https://10.64.3.2:443/api/v1/pods?limit=500\": \
         dial tcp 10.64.3.2:443: i/o timeout",
    );
    // What the first line alone lets guess may be said before.
    let finding = tail.until("10.64.3.2:443");
    assert!(finding.contains("remote-api-unreachable"), "{finding}");

    let reads =
        |asked: &Asked| asked.method == "GET" && ["get", "list", "watch", "tunnel"].contains(&asked.verb.as_str());
    for api in [&east, &west] {
        let asked = api.asked("* *");
        assert!(asked.iter().all(reads), "{asked:?}");
    }
}

/// A root of its own, under the name that all of Istio's have.
fn root() -> String {
    let mut root = CertificateParams::default();
    root.distinguished_name = DistinguishedName::new();
    root.distinguished_name.push(DnType::OrganizationName, "cluster.local");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    root.self_signed(&KeyPair::generate().expect("a key")).expect("a certificate").pem()
}

#[test]
fn tail_names_what_state_alone_shows_and_says_when_it_is_repaired() {
    let (east, west) = (KubeApi::start("east"), KubeApi::start("west"));
    let hands_out = |api: &KubeApi, root: &str| {
        api.apply(json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"root-cert.pem": root},
            "metadata": {"name": "istio-ca-root-cert", "namespace": "istio-system"}}));
    };
    let (ours, theirs) = (root(), root());
    hands_out(&east, &ours);
    hands_out(&west, &theirs);
    let access = base64(kubeconfig(&[&west]).as_bytes());
    east.apply(json!({"apiVersion": "v1", "kind": "Secret", "data": {"west": access}, "metadata": {
        "name": "istio-remote-secret-west", "namespace": "istio-system", "labels": {"istio/multiCluster": "true"}}}));
    let config = kubeconfig_file(&[&east, &west]);
    let mut tail = tail(config.path());
    let opened = tail.until("root-of-trust-mismatch");
    assert!(opened.contains(r#""stage":"opened""#), "{opened}");
    assert!(!opened.contains(&west.token()), "no token is printed");
    hands_out(&west, &ours);
    let resolved = tail.until("root-of-trust-mismatch");
    assert!(resolved.contains(r#""stage":"resolved""#), "{resolved}");
}

#[test]
fn tail_reads_every_line_of_many_that_come_at_once() {
    let east = KubeApi::start("east");
    for name in ["istiod-1", "istiod-2"] {
        east.apply(pod("istio-system", name, &[("app", "istiod")], &["discovery"]));
    }
    let config = kubeconfig_file(&[&east]);
    let args = ["tail", "--output=ndjson", "--kubeconfig"];
    let mut tail = Running::start(meshwhy().args(args).arg(config.path()).stderr(Stdio::null()));
    east.wait_for("get pods/log", 2);
    let push = format!("{:.6}\tinfo\tads\tPush Status: {{}}", Timestamp::now());
    let line = |number: usize| ("istio-system", ["istiod-1", "istiod-2"][number % 2], "discovery", push.as_bytes());
    east.log_together((0..4_000).map(line));
    let rejected = format!(
        "{:.6}\twarn\tads\tADS:CDS: ACK ERROR web-1.shop-12 Internal:Error adding/updating cluster(s) store: no such filter",
        Timestamp::now()
    );
    east.log_together([("istio-system", "istiod-1", "discovery", rejected.as_bytes())]);
    tail.until("xds-rejected");
    let pid = tail.child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().expect("it can be told").success());
    let summary = tail.until(r#""type":"summary""#);
    // What the other one printed may still be under way.
    let lines: u64 = serde_json::from_str::<Value>(&summary).expect("a record")["lines"].as_u64().expect("a number");
    assert!((2_001..=4_001).contains(&lines), "{summary}");
}

#[test]
fn tail_follows_a_file_over_its_replacement_and_ends_with_a_summary_when_interrupted() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let place = folder.path().join("east/istio-system/istiod-1");
    fs::create_dir_all(&place).expect("folders can be made");
    let path = place.join("discovery.log");
    let say = |said: &str| {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(&path).expect("it can be written");
        writeln!(file, "{:.6}\terror\twatch error in cluster {said}", Timestamp::now()).expect("it can be written");
    };
    say("west: failed to list *v1.Pod: Get \"https://10.64.3.2:443/api/v1/pods?limit=500\": dial tcp 10.64.3.2:443: \
         i/o timeout");
    let mut tail = Running::start(meshwhy().args(["tail", "--output=ndjson"]).arg(folder.path()));
    let finding = tail.until("remote-api-unreachable");
    assert!(finding.contains(r#""clusters":["east""#), "{finding}");
    fs::rename(&path, place.join("discovery.log.1")).expect("it can be renamed");
    say("north: failed to list *v1.Pod: Get \"https://10.65.3.2:443/api/v1/pods?limit=500\": tls: failed to verify \
         certificate: x509: certificate signed by unknown authority");
    tail.until("remote-api-cert-untrusted");

    let pid = tail.child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().expect("it can be told").success());
    let summary = tail.until(r#""type":"summary""#);
    assert!(summary.contains(r#""lines":2"#), "no line is read twice after a rename: {summary}");
    assert_eq!(tail.child.wait().expect("it ends").code(), Some(1), "findings are open");
}

#[test]
fn a_genuine_kubectl_is_served() {
    let Some(program) = peers::kubectl() else { return };
    let (east, west) = (KubeApi::start("east"), KubeApi::start("west"));
    west.apply(pod("sample", "web-1", &[("app", "web")], &["app"]));
    west.log("sample", "web-1", "app", "one");
    let (config, home) = (kubeconfig_file(&[&east, &west]), tempfile::tempdir().expect("a folder can be made"));
    let kubectl = |args: &[&str]| {
        let mut command = Command::new(&program);
        command.arg(format!("--kubeconfig={}", config.path().display()));
        command.arg(format!("--cache-dir={}", home.path().display()));
        Running::start(command.args(["--context=west", "--namespace=sample"]).args(args))
    };
    let names = ["get", "pods", "-o", "name"];
    assert_eq!(kubectl(&names).line(), "pod/web-1");

    let mut watch = kubectl(&["get", "pods", "--selector=app=web", "--watch", "--output-watch-events", "-o", "name"]);
    let mut log = kubectl(&["logs", "--follow", "web-1"]);
    assert_eq!(log.line(), "one");
    assert!(watch.line().contains("web-1"));
    west.log("sample", "web-1", "app", "two");
    assert_eq!(log.line(), "two");
    west.delete("Pod", "sample", "web-1");
    assert!(watch.line().contains("web-1"));
    assert!(log.lines.recv_timeout(PRINTED_WITHIN).is_err(), "the log ended with its pod");
    assert!(
        kubectl(&["get", "--ignore-not-found", "serviceentries,gateways.gateway.networking.k8s.io"])
            .child
            .wait()
            .expect("it ends")
            .success()
    );
    assert!(!west.asked("get pods/log in sample").is_empty() && east.asked("* *").is_empty());
}
