//! What somebody tried by hand, held against state: who answered calls in a loop, calls between pods outside the mesh,
//! roots that were compared. It proves no cause by itself, but makes others more or less likely.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use meshwhy_parsers::errors::What;
use meshwhy_parsers::event::{Event, Fact, Kind, Trust};
use meshwhy_parsers::state::object::{Object, Pod};
use meshwhy_parsers::state::{Call, State};

use crate::engine::check::{Check, Item};
use crate::engine::mesh::{Cluster, Doc, Mesh};
use crate::engine::view::View;

/// See the title.
pub static CHECK: Check = Check { id: "tried-by-hand", title: "What was tried by hand", before_linking: true, run };

/// So many answers of one cluster alone are no chance: with two equal clusters one loop in 128 would end so.
const ANSWERS_MIN: u64 = 7;

/// Causes that keep the endpoints of another cluster from a caller, who then hears its own cluster alone.
const DARK: [&str; 12] = [
    "cluster-id-conflict",
    "discovery-selectors",
    "istiod-replicas-diverged",
    "locality-lb",
    "network-label-wrong",
    "peering-disconnected",
    "remote-api-cert-untrusted",
    "remote-api-unauthorized",
    "remote-api-unreachable",
    "remote-secret-invalid",
    "remote-secret-missing",
    "service-not-global",
];

/// Causes that stop every call from one cluster to the other.
const WALLS: [&str; 7] = [
    "crossnetwork-port-blocked",
    "eastwest-gateway-down",
    "eastwest-gateway-misconfigured",
    "eastwest-gateway-no-address",
    "remote-secret-missing",
    "root-of-trust-mismatch",
    "trust-domain-mismatch",
];

/// Causes that only what is in the mesh can meet.
const OF_MESH: [&str; 12] = [
    "ambient-capture-missing",
    "authz-denied",
    "dataplane-mode-mismatch",
    "eastwest-gateway-down",
    "eastwest-gateway-misconfigured",
    "eastwest-gateway-no-address",
    "hbone-blocked",
    "network-label-wrong",
    "plaintext-to-mtls-strict",
    "root-of-trust-mismatch",
    "stale-endpoint",
    "trust-domain-mismatch",
];

/// Causes below the mesh.
const BELOW: [&str; 4] =
    ["networkpolicy-blocked", "node-network-broken", "pod-ip-unreachable", "upstream-connect-timeout"];

fn run(view: &View<'_>) -> Vec<Item> {
    let mut items = answers(view);
    items.extend(outside(view));
    items.extend(roots(view));
    for item in &mut items {
        item.is_tried = true;
    }
    items
}

/// Who answered a service's calls in a caller's cluster.
#[derive(Default)]
struct Answers<'w> {
    /// By cluster whose pods answered: how often, and the first answer.
    by: BTreeMap<&'w str, (u64, Option<&'w Arc<Event>>)>,
    /// Whether an answer came from a pod that no document shows.
    has_unknown: bool,
}

fn answers(view: &View<'_>) -> Vec<Item> {
    // By cluster of the caller, namespace and name of the service.
    let mut loops: BTreeMap<(&str, String, String), Answers<'_>> = BTreeMap::new();
    for known in view.known(Kind::State) {
        let Fact::State(state) = &known.first.fact else { continue };
        let State::Answered { by, call } = &**state else { continue };
        // The sample service says its version and its pod.
        let told = by.split_once(' ').filter(|_| known.first.signature == Some("hello-answer"));
        let Some(((_, pod), (namespace, name))) = told.zip(service_of(call)) else { continue };
        let answers = loops.entry((&*known.first.origin.cluster, namespace, name)).or_default();
        let is_home = |cluster: &&Cluster| cluster.pods().any(|(object, _)| *object.name == *pod);
        match view.mesh().clusters().find(is_home) {
            Some(home) => {
                let (count, first) = answers.by.entry(&*home.name).or_default();
                *count += known.count;
                first.get_or_insert(&known.first);
            }
            None => answers.has_unknown = true,
        }
    }
    let mut items = Vec::new();
    for ((from, namespace, name), answers) in loops {
        let Some(caller) = view.mesh().cluster(from) else { continue };
        let service = format!("calls to {name}.{namespace} in {}", caller.title());
        for other in view.others(caller) {
            let pair = format!("{from}, {}", other.name);
            let title = other.title();
            if let Some((count, Some(first))) = answers.by.get(&*other.name) {
                let reason = format!("{count} of {} answers came from pods of {title}", answers.count());
                let item = Item::pass(&pair, &service, reason);
                let shows = format!("a pod of {title} answered a call made in {}", caller.title());
                items.push(WALLS.iter().fold(item, |item, slug| item.refuting(slug, first, &first.text, &shows)));
                continue;
            }
            let only_own = answers.by.get(from).filter(|_| !answers.has_unknown && answers.by.len() == 1);
            let Some((count, Some(first))) = only_own.filter(|(count, _)| ANSWERS_MIN <= *count) else { continue };
            if !serves(other, &namespace, &name) {
                continue;
            }
            let reason = format!("all {count} answers came from pods of {} itself, none from {title}", caller.title());
            let how = format!("istioctl --context {from} proxy-config endpoints <caller> | grep {name}");
            let shows = format!("all {count} answers by hand came from {} itself, none from {title}", caller.title());
            let item = Item::unknown(&pair, &service, reason, how);
            items.push(DARK.iter().fold(item, |item, slug| item.confirming(slug, first, &first.text, &shows)));
        }
    }
    items
}

impl Answers<'_> {
    fn count(&self) -> u64 {
        self.by.values().map(|(count, _)| count).sum()
    }
}

/// Whether a cluster has the service with a pod behind it that is ready.
fn serves(cluster: &Cluster, namespace: &str, name: &str) -> bool {
    let has_endpoint = || {
        let mut endpoints = cluster.endpoints_of(namespace, name);
        endpoints.any(|(_, of)| of.addresses.iter().any(|address| address.ready))
    };
    let is_ready = |pod: &Pod| &*pod.phase == "Running" && pod.ready.0 == pod.ready.1;
    cluster.object("Service", namespace, name).is_some()
        && (has_endpoint() || behind(cluster, namespace, name).any(|(_, pod)| is_ready(pod)))
}

/// The pods that a service selects.
fn behind<'m>(
    cluster: &'m Cluster,
    namespace: &'m str,
    name: &'m str,
) -> impl Iterator<Item = (&'m Doc<Object>, &'m Pod)> {
    let service = cluster.services().find(|(object, _)| *object.namespace == *namespace && *object.name == *name);
    let selector = service.map(|(_, service)| &service.selector).filter(|selector| !selector.is_empty());
    cluster.pods().filter(move |(object, _)| {
        *object.namespace == *namespace
            && selector.is_some_and(|all| all.iter().all(|(key, value)| object.label(key) == Some(value)))
    })
}

/// Namespace and name of the service that was called; `None` for an address or a host outside.
fn service_of(call: &Call) -> Option<(String, String)> {
    let host = host_of(call);
    let mut parts = host.split('.');
    let name = parts.next().filter(|name| !name.is_empty())?;
    let namespace = parts.next().unwrap_or(&call.namespace);
    let is_service = parts.next().is_none_or(|part| part == "svc") && host.parse::<std::net::IpAddr>().is_err();
    (is_service && !namespace.is_empty()).then(|| (namespace.to_string(), name.to_string()))
}

/// The host of what was called: `helloworld.sample` of `helloworld.sample:5000/hello`.
fn host_of(call: &Call) -> &str {
    let host = call.to.split('/').next().unwrap_or("");
    match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or(v6),
        None => host.split(':').next().unwrap_or(host),
    }
}

/// Calls between pods that are both outside the mesh: where they fail too, the mesh is not what fails.
fn outside(view: &View<'_>) -> Vec<Item> {
    let mut items = Vec::new();
    let mut seen = BTreeSet::new();
    for (event, state) in view.states() {
        let (State::Answered { call, .. } | State::CallFailed { call, .. }) = state else { continue };
        let Some(caller) = view.mesh().cluster(&event.origin.cluster) else { continue };
        if from_outside(caller, call) != Some(true) {
            continue;
        }
        let Some(server) = server_outside(view, caller, call) else { continue };
        let pair = match server.name == caller.name {
            true => caller.name.to_string(),
            false => format!("{}, {}", caller.name, server.name),
        };
        let what = format!("call of {} from {}", host_of(call), call.from);
        if !seen.insert((pair.clone(), what.clone(), matches!(state, State::CallFailed { .. }))) {
            continue;
        }
        let item = match state {
            State::CallFailed { fault, .. } => match fault.what {
                What::TimedOut | What::NoRoute | What::NetworkUnreachable | What::Refused | What::Cut => {
                    let reason = "it fails, and neither end is in the mesh: the cause is not Istio";
                    let remedy = "Look below the mesh: pod network, routes between nodes, firewalls, NetworkPolicies, the application.";
                    let item = Item::warn(&pair, what, reason, remedy);
                    let against = "the same fails between pods without a proxy, so the cause is not Istio";
                    let item = OF_MESH.iter().fold(item, |item, slug| item.refuting(slug, event, &event.text, against));
                    let below: &[&'static str] = match fault.what {
                        What::Refused | What::Cut => &["upstream-not-listening"],
                        _ => &BELOW,
                    };
                    let shows = "pods without a proxy cannot reach each other either: the cause is not Istio";
                    below.iter().fold(item, |item, slug| item.confirming(slug, event, &event.text, shows))
                }
                _ => continue,
            },
            _ => {
                let item = Item::pass(&pair, what, "it is answered, and neither end is in the mesh");
                let shows = "pods without a proxy reach each other";
                BELOW.iter().fold(item, |item, slug| item.refuting(slug, event, &event.text, shows))
            }
        };
        items.push(item);
    }
    items
}

/// Whether the caller is known to be outside the mesh.
fn from_outside(cluster: &Cluster, call: &Call) -> Option<bool> {
    let from = &*call.from;
    let is_named = |object: &Object| match (from.split_once('/'), from.split_once('=')) {
        (Some((kind, name)), _) => {
            let rest = object.name.strip_prefix(name);
            (kind.starts_with("po") && *object.name == *name) || rest.is_some_and(|rest| rest.starts_with('-'))
        }
        (None, Some((key, value))) => object.label(key) == Some(value),
        (None, None) => *object.name == *from,
    };
    let is_its = |object: &Object| call.namespace.is_empty() || object.namespace == call.namespace;
    let mut found =
        cluster.pods().filter(|(object, _)| is_its(object) && !from.is_empty() && is_named(object)).peekable();
    found.peek()?;
    found.map(|(object, pod)| is_outside(cluster, object, pod)).reduce(|one, other| Some(one? && other?))?
}

/// The cluster of the server, where all pods behind what was called are outside the mesh, and where a pod network of
/// their own need not carry the call: within a cluster, or between clusters that share a network.
fn server_outside<'w>(view: &View<'w>, caller: &'w Cluster, call: &Call) -> Option<&'w Cluster> {
    let mesh: &'w Mesh = view.mesh();
    if let Some((namespace, name)) = service_of(call) {
        // Outside the mesh a service's name leads to its own cluster alone.
        let mut pods = behind(caller, &namespace, &name).peekable();
        pods.peek()?;
        return pods.all(|(object, pod)| is_outside(caller, object, pod) == Some(true)).then_some(caller);
    }
    let address = host_of(call);
    let (cluster, object, pod) = mesh.clusters().find_map(|cluster| {
        let found = cluster.pods().find(|(_, pod)| pod.ips.iter().any(|ip| **ip == *address));
        found.map(|(object, pod)| (cluster, object, pod))
    })?;
    let network = |cluster: &'w Cluster| cluster.network().and_then(|(_, network)| network);
    let is_reachable = cluster.name == caller.name || network(cluster).is_some() && network(cluster) == network(caller);
    (is_reachable && is_outside(cluster, object, pod) == Some(true)).then_some(cluster)
}

/// Whether a pod has neither a sidecar nor ztunnel in its way; `None` where what was saved does not show it.
fn is_outside(cluster: &Cluster, object: &Object, pod: &Pod) -> Option<bool> {
    const MODE: &str = "istio.io/dataplane-mode";
    let has_sidecar = match &pod.containers[..] {
        // A row counts containers: one alone is the application's.
        [] if pod.ready.1 == 1 => false,
        [] => return None,
        containers => containers.iter().any(|container| &*container.name == "istio-proxy"),
    };
    let namespace = cluster.object("Namespace", "", &object.namespace);
    let is_captured = object.annotation("ambient.istio.io/redirection") == Some("enabled")
        || object.label(MODE) == Some("ambient")
        || namespace.is_some_and(|namespace| namespace.label(MODE) == Some("ambient"));
    if has_sidecar || is_captured {
        return Some(false);
    }
    (namespace.is_some() || !cluster.is_ambient()).then_some(true)
}

/// Roots that somebody compared.
fn roots(view: &View<'_>) -> Vec<Item> {
    const SLUG: &str = "root-of-trust-mismatch";
    let mesh = view.mesh();
    let named =
        |name: &str| mesh.cluster(name).or_else(|| mesh.by_id(name)).map_or(name.to_string(), |of| of.name.to_string());
    let mut sums: BTreeMap<&str, String> = BTreeMap::new();
    let mut items = Vec::new();
    let mut seen = BTreeSet::new();
    for event in view.events(Kind::Trust) {
        match &event.fact {
            Fact::Trust(Trust::RootsCompared { one, other, same }) => {
                let pair = format!("{}, {}", named(one), named(other));
                if !seen.insert(pair.clone()) {
                    continue;
                }
                items.push(match same {
                    true => Item::pass(&pair, "roots", "they were compared and are the same").refuting(
                        SLUG,
                        event,
                        &event.text,
                        "somebody compared the roots: they are the same",
                    ),
                    false => {
                        let remedy =
                            "Compare fingerprint by fingerprint: two files may differ and still hold a root in common.";
                        Item::warn(&pair, "roots", "they were compared and differ", remedy).confirming(
                            SLUG,
                            event,
                            &event.text,
                            "somebody compared the roots: they differ",
                        )
                    }
                });
            }
            Fact::Trust(Trust::RootDigest { cluster, digest }) if !cluster.contains(", ") => {
                let name = named(cluster);
                match sums.get(&**digest) {
                    Some(other) if *other != name && seen.insert(format!("{other}, {name}")) => {
                        let item = Item::pass(&format!("{other}, {name}"), "roots", "their sums are the same");
                        items.push(item.refuting(SLUG, event, &event.text, "the roots of both clusters have this sum"));
                    }
                    Some(_) => {}
                    None => _ = sums.insert(digest, name),
                }
            }
            _ => {}
        }
    }
    items
}

#[cfg(test)]
mod tests {
    use super::CHECK;
    use crate::checks::testing::{run, told};
    use crate::engine::check::Speaks;

    /// A cluster with the sample service, as its objects are saved: its version, its pod network, a sidecar or none.
    fn cluster(version: &str, net: u8, sidecar: &str) -> String {
        let ready = if sidecar.is_empty() { "" } else { ", {name: istio-proxy, ready: true}" };
        format!(
            "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Namespace\n  metadata:\n    name: istio-system\n    \
             labels: {{topology.istio.io/network: flat}}\n- apiVersion: v1\n  kind: Namespace\n  metadata:\n    \
             name: sample\n    labels: {{kubernetes.io/metadata.name: sample}}\n- apiVersion: v1\n  kind: Service\n  \
             metadata:\n    name: helloworld\n    namespace: sample\n    labels: {{app: helloworld}}\n  spec:\n    \
             clusterIP: 10.9{net}.0.7\n    ports: [{{name: http, port: 5000}}]\n    selector: {{app: helloworld}}\n- \
             apiVersion: v1\n  kind: Pod\n  metadata:\n    name: helloworld-{version}-aa-1\n    namespace: sample\n    \
             labels: {{app: helloworld, version: {version}}}\n  spec:\n    containers: [{{name: helloworld, image: x}}{sidecar}]\n  \
             status:\n    phase: Running\n    podIP: 10.{net}.0.9\n    containerStatuses: [{{name: helloworld, ready: true}}{ready}]\n- \
             apiVersion: v1\n  kind: Pod\n  metadata:\n    name: sleep-bb-1\n    namespace: sample\n    labels: {{app: \
             sleep}}\n  spec:\n    containers: [{{name: sleep, image: x}}{sidecar}]\n  status: {{phase: Running, podIP: \
             10.{net}.0.4}}\n"
        )
    }

    const SIDECAR: &str = ", {name: istio-proxy, image: y}";

    fn asked(call: &str, answers: &str) -> String {
        format!("$ kubectl exec -n sample -c sleep sleep-bb-1 -- curl -s {call}\n{answers}")
    }

    /// Whether an item speaks for (`+`) or against (`-`) a cause.
    fn weight(east: &str, west: &str, session: &str, slug: &str) -> Vec<char> {
        // istiod of east reads west, so that the two are one mesh.
        let log = "2026-11-21T03:38:13.842000Z\tinfo\tAdding cluster\tcluster=west secret=istio-system/istio-remote-secret-west\n";
        let files = [
            ("east", "a.yaml", east),
            ("west", "a.yaml", west),
            ("east", "istio-system/istiod-1/discovery.log", log),
            ("east", "session.txt", session),
        ];
        let items = run(&CHECK, &files);
        let weights = items.iter().flat_map(|item| &item.weighs).filter(|weight| weight.slug == slug);
        weights.map(|weight| if weight.speaks == Speaks::For { '+' } else { '-' }).collect()
    }

    #[test]
    fn a_loop_that_only_its_own_cluster_answers_speaks_for_what_hides_the_other() {
        let (east, west) = (cluster("v1", 1, SIDECAR), cluster("v2", 2, SIDECAR));
        let own = "Hello version: v1, instance: helloworld-v1-aa-1\n";
        let far = "Hello version: v2, instance: helloworld-v2-aa-1\n";
        let of =
            |answers: &str| weight(&east, &west, &asked("helloworld:5000/hello", answers), "remote-secret-missing");
        assert_eq!(of(&own.repeat(10)), ['+']);
        assert_eq!(of(&own.repeat(3)), [' '; 0], "three answers are chance");
        assert_eq!(of(&(own.repeat(9) + far)), ['-'], "a pod of the other cluster answered");
        let stranger = "Hello version: v3, instance: helloworld-v3-zz-9\n";
        assert_eq!(of(&(own.repeat(9) + stranger)), [' '; 0], "who knows where that pod runs");
    }

    #[test]
    fn a_loop_says_nothing_of_a_cluster_that_does_not_serve() {
        let west = cluster("v2", 2, SIDECAR).replace("app: helloworld, version", "app: other, version");
        let answers = "Hello version: v1, instance: helloworld-v1-aa-1\n".repeat(10);
        let session = asked("helloworld:5000/hello", &answers);
        assert_eq!(weight(&cluster("v1", 1, SIDECAR), &west, &session, "remote-secret-missing"), [' '; 0]);
    }

    #[test]
    fn a_call_that_fails_outside_the_mesh_too_is_not_the_meshs_fault() {
        let (east, west) = (cluster("v1", 1, ""), cluster("v2", 2, ""));
        let failed = "curl: (28) Failed to connect to 10.2.0.9 port 5000 after 5001 ms: Timeout was reached\n";
        let of = |east: &str, west: &str, to: &str, answer: &str, slug| weight(east, west, &asked(to, answer), slug);
        assert_eq!(of(&east, &west, "10.2.0.9:5000", failed, "network-label-wrong"), ['-']);
        assert_eq!(of(&east, &west, "10.2.0.9:5000", failed, "pod-ip-unreachable"), ['+']);
        assert_eq!(of(&east, &west, "helloworld:5000", failed, "hbone-blocked"), ['-']);
        let served = "Hello version: v1, instance: helloworld-v1-aa-1\n";
        assert_eq!(of(&east, &west, "helloworld:5000", served, "node-network-broken"), ['-']);
        let meshed = cluster("v2", 2, SIDECAR);
        assert_eq!(
            of(&east, &meshed, "10.2.0.9:5000", failed, "pod-ip-unreachable"),
            [' '; 0],
            "the server is in the mesh"
        );
        let apart = west.replace("network: flat", "network: other");
        assert_eq!(of(&east, &apart, "10.2.0.9:5000", failed, "pod-ip-unreachable"), [' '; 0], "networks may be apart");
        let ambient =
            west.replace("metadata.name: sample}", "metadata.name: sample, istio.io/dataplane-mode: ambient}");
        assert_eq!(
            of(&east, &ambient, "10.2.0.9:5000", failed, "pod-ip-unreachable"),
            [' '; 0],
            "ztunnel is in its way"
        );
    }

    #[test]
    fn compared_roots_speak_for_or_against_a_mismatch() {
        let of = |session: &str| {
            let (east, west) = (cluster("v1", 1, ""), cluster("v2", 2, ""));
            let told =
                told(&CHECK, &[("east", "a.yaml", &east), ("west", "a.yaml", &west), ("east", "s.txt", session)]);
            let weight = weight(&east, &west, session, "root-of-trust-mismatch");
            (told, weight)
        };
        let (told, weights) = of("Files east/root-cert.pem and west/root-cert.pem differ\n");
        assert_eq!(
            (&*told, &*weights),
            (&["warn east, west roots: they were compared and differ".to_string()][..], &['+'][..])
        );
        let (told, weights) = of("Files east/root-cert.pem and west/root-cert.pem are identical\n");
        assert_eq!(
            (&*told, &*weights),
            (&["pass east, west roots: they were compared and are the same".to_string()][..], &['-'][..])
        );
        let sum = "1f0c6a7be21a40cf7b7f3c86a10ce4e0b8d2c43a97f15e0a6d85f04b1c2d9e33";
        let sums = format!("$ sha256sum */root-cert.pem\n{sum}  east/root-cert.pem\n{sum}  west/root-cert.pem\n");
        let (told, weights) = of(&sums);
        assert_eq!(
            (&*told, &*weights),
            (&["pass east, west roots: their sums are the same".to_string()][..], &['-'][..])
        );
    }
}
