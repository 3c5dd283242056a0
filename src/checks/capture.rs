//! Pods that ambient should take: does ztunnel serve them?

use meshwhy_parsers::state::object::{Object, Pod};

use super::shown;
use crate::engine::cause::Verdict;
use crate::engine::check::{Check, Item};
use crate::engine::mesh::{Cluster, Doc};
use crate::engine::view::View;

/// See the title.
pub static CHECK: Check =
    Check { id: "capture", title: "Pods that belong to ambient are captured", before_linking: true, run };

/// What istio-cni marks a pod with once ztunnel serves it.
const MARK: &str = "ambient.istio.io/redirection";
const MODE: &str = "istio.io/dataplane-mode";
/// Pods that a finding names one by one.
const NAMED_MAX: usize = 5;

fn run(view: &View<'_>) -> Vec<Item> {
    let ambient = view.mesh().clusters().filter(|cluster| cluster.is_ambient());
    ambient.flat_map(in_cluster).collect()
}

fn in_cluster(cluster: &Cluster) -> Vec<Item> {
    let (captured, left): (Vec<_>, Vec<_>) = cluster
        .pods()
        .filter(|(object, pod)| belongs(cluster, object, pod))
        .partition(|(object, _)| object.annotation(MARK) == Some("enabled"));
    let mut items = Vec::new();
    if !captured.is_empty() {
        items.push(Item::pass(cluster.title(), "pods of ambient", format!("{} captured", captured.len())));
    }
    let left = left.into_iter().filter(|(object, _)| !is_served(cluster, object));
    items.extend(left.take(NAMED_MAX).map(|(object, pod)| missing(cluster, object, pod)));
    items
}

/// Whether labels ask ambient to take a pod that runs and could be taken.
fn belongs(cluster: &Cluster, object: &Doc<Object>, pod: &Pod) -> bool {
    let is_running =
        &*pod.phase == "Running" && object.deleted.is_none() && 0 < pod.ready.1 && pod.ready.0 == pod.ready.1;
    let has_sidecar = pod.containers.iter().any(|container| &*container.name == "istio-proxy");
    cluster.asks_for_ambient(object)
        && is_running
        && !object.is_row
        && !pod.host_network
        && !has_sidecar
        && !pod.containers.is_empty()
}

/// Whether a ztunnel holds the pod, whatever marks it carries.
fn is_served(cluster: &Cluster, object: &Object) -> bool {
    let name = format!("{}/{}", object.namespace, object.name);
    cluster.ztunnels().any(|(_, dump)| dump.pods.iter().any(|(pod, state)| **pod == *name && &**state == "Up"))
}

fn missing(cluster: &Cluster, object: &Doc<Object>, pod: &Pod) -> Item {
    let to = format!("{}/{}", object.namespace, object.name);
    let mut verdict = Verdict::certain(&to)
        .says(
            "{to} belongs to ambient and runs, but istio-cni never gave it to ztunnel: nothing listens on 15008 in it",
        )
        .slot("to", &to)
        .slot("namespace", &object.namespace)
        .slot("pod", &object.name)
        .token(&to)
        .cluster(cluster.title());
    for ip in &pod.ips {
        verdict = verdict.token(ip);
    }
    let quote = match object.annotation(MARK) {
        Some(value) => format!("{MARK}: {value}"),
        None => format!("metadata.annotations: no {MARK}"),
    };
    let verdict = shown(verdict, object, &quote, "the mark of a captured pod is not on it, and it is ready");
    let verdict = match cluster.object("Namespace", "", &object.namespace).filter(|_| object.label(MODE).is_none()) {
        Some(namespace) => shown(verdict, namespace, &format!("{MODE}: ambient"), "its namespace belongs to ambient"),
        None => verdict,
    };
    let reason = format!("runs on {} and is not captured", if pod.node.is_empty() { "its node" } else { &pod.node });
    Item::fail(cluster.title(), object.title(), reason, "ambient-capture-missing", verdict)
}

#[cfg(test)]
mod tests {
    use super::CHECK;
    use crate::checks::testing::{failed, told};

    const ZTUNNEL: &str = "$ kubectl get pods -A\nNAMESPACE      NAME            READY   STATUS    RESTARTS   AGE\n\
                           istio-system   ztunnel-bzq65   1/1     Running   0          5d\n";

    fn shop(mode: &str, annotations: &str, labels: &str, phase: &str, extra: &str) -> String {
        format!(
            "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Namespace\n  metadata:\n    name: shop\n    labels: \
             {{{mode}}}\n- apiVersion: v1\n  kind: Pod\n  metadata:\n    name: cart-1\n    namespace: shop\n    annotations: \
             {{{annotations}}}\n    labels: {{{labels}}}\n  spec:\n    nodeName: node-1\n    {extra}\n    containers: [{{name: \
             cart, image: cart}}]\n  status:\n    phase: {phase}\n    podIP: 10.1.0.3\n    containerStatuses: [{{name: cart, \
             ready: true, restartCount: 0, image: cart, imageID: cart, state: {{running: {{}}}}}}]\n"
        )
    }

    const AMBIENT: &str = "istio.io/dataplane-mode: ambient";

    fn with(text: &str) -> Vec<&'static str> {
        failed(&CHECK, &[("east", "pods.txt", ZTUNNEL), ("east", "shop.yaml", text)])
    }

    #[test]
    fn a_pod_that_istio_cni_never_gave_to_ztunnel_is_named() {
        let left = shop(AMBIENT, "", "app: cart", "Running", "dnsPolicy: ClusterFirst");
        assert_eq!(with(&left), ["ambient-capture-missing"]);
        assert_eq!(
            told(&CHECK, &[("east", "pods.txt", ZTUNNEL), ("east", "shop.yaml", &left)]),
            ["fail east Pod shop/cart-1: runs on node-1 and is not captured [ambient-capture-missing: shop/cart-1]"]
        );
    }

    #[test]
    fn who_is_captured_or_does_not_belong_to_ambient_is_not_blamed() {
        let plain = "dnsPolicy: ClusterFirst";
        let fine = [
            shop(AMBIENT, "ambient.istio.io/redirection: enabled", "app: cart", "Running", plain),
            shop(AMBIENT, "", "istio.io/dataplane-mode: none", "Running", plain),
            shop("team: a", "", "app: cart", "Running", plain),
            shop(AMBIENT, "", "app: cart", "Pending", plain),
            shop(AMBIENT, "", "app: cart", "Running", "hostNetwork: true"),
        ];
        for text in fine {
            assert_eq!(with(&text), [""; 0], "{text}");
        }
        let left = shop(AMBIENT, "", "app: cart", "Running", plain);
        assert_eq!(failed(&CHECK, &[("east", "shop.yaml", &left)]), [""; 0], "no ztunnel runs there");
    }
}
