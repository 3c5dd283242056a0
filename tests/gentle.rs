//! How clusters are watched: gently, in the versions they serve, where istiod is; and how what does not work is said.

use std::time::{Duration, Instant};

use meshwhy::inputs::kube::{self, Since, Watched};
use meshwhy::inputs::source::{Feed, LiveLimits, Said, Status};
use meshwhy_parsers::event::Fact;
use meshwhy_parsers::frame::Scan;
use meshwhy_parsers::origin::{Origin, Role, SharedOrigin};
use meshwhy_parsers::state::State;
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use crate::common::kube_api::{Close, Failure, KubeApi, kubeconfig_file, pod};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(30);

/// A cluster that is watched, and what is heard of it.
struct Watching {
    runtime: Runtime,
    said: mpsc::Receiver<Said>,
    wanted: mpsc::Sender<SharedOrigin>,
}

impl Watching {
    fn start(api: &KubeApi) -> Watching {
        let runtime = Runtime::new().expect("a runtime can be built");
        let config = kubeconfig_file(&[api]);
        let connected = kube::connect(Some(config.path().to_path_buf()), &[]);
        let cluster = runtime.block_on(connected).expect("a kubeconfig").clusters.pop().expect("a cluster");
        let (feed, said) = Feed::new(LiveLimits { refused_pause: Duration::from_millis(100), ..LiveLimits::default() });
        let (wanted, asked) = mpsc::channel(8);
        let watched = Watched { since: Since::Lines(10), scan: Scan::Off, also: Vec::new() };
        runtime.spawn(kube::watch(cluster, watched, feed, asked));
        Watching { runtime, said, wanted }
    }

    /// Hears until something is found.
    fn until<T>(&mut self, mut find: impl FnMut(&Said) -> Option<T>) -> T {
        let said = &mut self.said;
        let hear = async {
            loop {
                if let Some(found) = find(&said.recv().await.expect("it goes on")) {
                    return found;
                }
            }
        };
        self.runtime.block_on(async { tokio::time::timeout(LONG, hear).await }).expect("it comes in time")
    }

    /// Hears until a state is told.
    fn until_state(&mut self, mut is_it: impl FnMut(&State) -> bool) {
        self.until(|said| states(said).into_iter().find(|state| is_it(state)).map(|_| ()));
    }

    /// Hears until it is said what does not work, or works again.
    fn until_trouble(&mut self, words: &str) -> String {
        self.until(|said| match said {
            Said::Status(Status::Trouble { what, .. } | Status::Lost { what }) if what.contains(words) => {
                Some(what.clone())
            }
            _ => None,
        })
    }

    /// Has a ztunnel asked.
    fn ask(&self, name: &str) {
        let origin = Origin {
            cluster: "east".into(),
            namespace: "istio-system".into(),
            pod: name.into(),
            container: "istio-proxy".into(),
            file: format!("east/istio-system/{name}/istio-proxy").into(),
            role: Role::Ztunnel,
        };
        self.wanted.blocking_send(SharedOrigin::new(origin)).expect("it goes on");
    }
}

/// The states that something tells.
fn states(said: &Said) -> Vec<&State> {
    let Said::Document(whole) = said else { return Vec::new() };
    let states = whole.events.iter().filter_map(|event| match &event.fact {
        Fact::State(state) => Some(&**state),
        _ => None,
    });
    states.collect()
}

fn ztunnel(name: &str) -> serde_json::Value {
    pod("istio-system", name, &[("app", "ztunnel")], &["istio-proxy"])
}

#[test]
fn a_pod_that_does_not_answer_delays_no_other() {
    let east = KubeApi::start("east");
    for name in ["ztunnel-a", "ztunnel-b"] {
        east.apply(ztunnel(name));
        east.serve("istio-system", name, 15000, |_| (200, "{}".to_string()));
    }
    east.fail("tunnel /config_dump", 1, Failure::Silence);
    let watching = Watching::start(&east);
    watching.ask("ztunnel-a");
    east.wait_for("tunnel /config_dump", 1);
    watching.ask("ztunnel-b");
    let asked = east.wait_for("tunnel /config_dump", 2);
    assert_eq!(asked[1].name.as_deref(), Some("ztunnel-b"));
}

#[test]
fn an_answer_that_is_no_config_dump_is_said() {
    let east = KubeApi::start("east");
    east.apply(ztunnel("ztunnel-a"));
    east.serve("istio-system", "ztunnel-a", 15000, |_| (200, "no dump".to_string()));
    let mut watching = Watching::start(&east);
    watching.ask("ztunnel-a");
    let said = watching.until_trouble("config dump");
    assert_eq!(
        said,
        "east/istio-system/ztunnel-a/config_dump: it answers something that is no config dump: nothing of it is read"
    );
}

#[test]
fn a_gateway_is_asked_without_a_symptom() {
    let east = KubeApi::start("east");
    east.apply(pod("istio-system", "eastwest-1", &[("istio", "eastwestgateway")], &["istio-proxy"]));
    east.serve("istio-system", "eastwest-1", 15000, |_| (200, "{}".to_string()));
    let _watching = Watching::start(&east);
    east.wait_for("tunnel /config_dump", 1);
}

#[test]
fn objects_are_read_in_the_version_that_a_cluster_serves() {
    let east = KubeApi::start("east");
    east.serve_versions("security.istio.io", &["v1beta1"]);
    east.serve_versions("networking.istio.io", &["v1alpha3"]);
    east.uninstall("gateway.networking.k8s.io");
    east.apply(json!({"apiVersion": "security.istio.io/v1beta1", "kind": "PeerAuthentication",
        "metadata": {"namespace": "shop", "name": "strict"}, "spec": {"mtls": {"mode": "STRICT"}}}));
    east.apply(json!({"apiVersion": "networking.istio.io/v1alpha3", "kind": "Gateway",
        "metadata": {"namespace": "istio-system", "name": "cross-network"}, "spec": {"servers": []}}));
    let mut watching = Watching::start(&east);
    let mut left = vec!["strict", "cross-network"];
    watching.until_state(|state| {
        if let State::Object(object) = state {
            left.retain(|name| *name != &*object.name);
        }
        left.is_empty()
    });

    // CRDs may come later than the first look.
    east.apply(json!({"apiVersion": "gateway.networking.k8s.io/v1beta1", "kind": "Gateway",
        "metadata": {"namespace": "istio-system", "name": "eastwest"},
        "spec": {"gatewayClassName": "istio-east-west", "listeners": []}}));
    watching.until_state(|state| matches!(state, State::Object(object) if &*object.name == "eastwest"));
}

#[test]
fn istiods_namespace_is_found_and_nothing_is_missing_in_one_that_is_not_there() {
    let east = KubeApi::start("east");
    east.apply(pod("mesh-control", "istiod-canary-1", &[("app", "istiod")], &["discovery"]));
    east.apply(json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"mesh": "{}"},
        "metadata": {"namespace": "mesh-control", "name": "istio"}}));
    let mut watching = Watching::start(&east);
    let mut listed = Vec::new();
    watching.until_state(|state| {
        if let State::Listed { kind, namespace, .. } = state
            && &**kind == "ConfigMap"
        {
            listed.push(namespace.to_string());
        }
        !listed.is_empty()
    });
    assert_eq!(listed, ["mesh-control"]);
    assert!(!east.asked("list configmaps in istio-system").is_empty(), "it is where most have it");
}

#[test]
fn a_busy_server_is_left_alone_for_as_long_as_it_asks() {
    let east = KubeApi::start("east");
    east.fail("list pods", 1, Failure::Busy { retry_after: 3 });
    let begun = Instant::now();
    let mut watching = Watching::start(&east);
    watching.until_trouble("the API server has too much to do (429)");
    watching.until_trouble("watched again: pods");
    assert!(Duration::from_secs(3) <= begun.elapsed() + Duration::from_millis(100), "{:?}", begun.elapsed());
}

#[test]
fn an_outage_is_said_once_for_all_logs_and_so_is_its_end() {
    let east = KubeApi::start("east");
    let names = ["ztunnel-a", "ztunnel-b", "ztunnel-c"];
    for name in names {
        east.apply(ztunnel(name));
    }
    let mut watching = Watching::start(&east);
    east.wait_for("get pods/log", names.len());
    for name in names {
        east.log("istio-system", name, "istio-proxy", "a line");
    }
    let mut lines = 0;
    watching.until(|said| {
        lines += if let Said::Lines(tapped) = said { tapped.lines.len() } else { 0 };
        (names.len() <= lines).then_some(())
    });
    east.fail("get pods/log", 6, Failure::Status(500));
    assert_eq!(east.cut("get pods/log", Close::Reset), names.len());
    let mut said = Vec::new();
    watching.until(|heard| {
        if let Said::Status(Status::Trouble { what, .. }) = heard
            && what.contains("log")
        {
            said.push(what.clone());
        }
        said.last().is_some_and(|what| what.starts_with("logs followed again")).then_some(())
    });
    assert!(said[0].contains("broke off: connection reset by peer; it is asked for again"), "{said:?}");
    assert!(said.len() <= 4, "once for each reason: {said:?}");
}
