//! Data-plane modes: sidecars cross networks on 15443, ambient on 15008; a gateway of one is no gateway for the other.

use super::shown;
use crate::engine::cause::Verdict;
use crate::engine::check::{Check, Item};
use crate::engine::mesh::{Cluster, Gateway, GatewayKind};

/// The check.
pub static CHECK: Check = Check {
    id: "data-plane-modes",
    title: "Data-plane modes of callers and gateways",
    before_linking: true,
    run: |view| {
        let mesh = view.mesh();
        let mut items = Vec::new();
        for far in mesh.clusters() {
            for near in mesh.clusters().filter(|near| near.name != far.name) {
                items.extend(pair(near, far));
            }
        }
        items
    },
};

/// The port on which sidecars reach a gateway of another network.
pub const SIDECAR: u16 = 15443;
/// The port on which ambient does.
pub const AMBIENT: u16 = 15008;

/// A sidecar of an application, as pods show it: the pod's title.
pub fn sidecar(cluster: &Cluster) -> Option<String> {
    let is_sidecar = |pod: &&meshwhy_parsers::state::object::Pod| {
        1 < pod.containers.len() && pod.containers.iter().any(|container| &*container.name == "istio-proxy")
    };
    cluster.pods().find(|(_, pod)| is_sidecar(pod)).map(|(object, _)| object.title())
}

/// The gateways through which a cluster is reached: none that stands for another one.
pub fn own_gateways(cluster: &Cluster) -> Vec<Gateway<'_>> {
    let mut gateways = cluster.gateways();
    gateways.retain(|gateway| gateway.kind != GatewayKind::Remote && !gateway.ports.is_empty());
    gateways
}

/// Whether callers of one cluster find a gateway of their mode in the other.
fn pair(near: &Cluster, far: &Cluster) -> Option<Item> {
    let of = |cluster: &Cluster| cluster.network().and_then(|(_, network)| network.map(str::to_string));
    // On one network no gateway is needed; where a label is missing, that comes first.
    if of(near)? == of(far)? {
        return None;
    }
    let gateways = own_gateways(far);
    let offers = |port: u16| gateways.iter().any(|gateway| gateway.ports.contains(&port));
    let (has_sidecars, is_ambient) = (sidecar(near), near.is_ambient());
    let pair = format!("{}, {}", near.title(), far.title());
    let (wanted, other, who) = match (&has_sidecars, is_ambient) {
        (Some(pod), _) if offers(AMBIENT) && !offers(SIDECAR) => (SIDECAR, AMBIENT, format!("sidecars ({pod})")),
        (None, true) if offers(SIDECAR) && !offers(AMBIENT) => (AMBIENT, SIDECAR, "ambient".to_string()),
        _ => return None,
    };
    let gateway = gateways.iter().find(|gateway| gateway.ports.contains(&other))?;
    let object = gateway.object.title();
    let reason = format!("offers {other} only, and callers in {} are {who}, which need {wanted}", near.title());
    if has_sidecars.is_some() && is_ambient {
        let remedy =
            format!("Give the gateway the port {wanted} too, or move the rest of {} to ambient.", near.title());
        return Some(Item::warn(&pair, object, reason, remedy));
    }
    let address = gateway.addresses.first().map_or_else(|| gateway.object.name.to_string(), |of| (*of).to_string());
    let ports: Vec<String> = gateway.ports.iter().map(ToString::to_string).collect();
    let verdict = Verdict::certain(&format!("gateway at {address}"))
        .says("callers in {near} are {who} and need port {port}, but the gateway of {far} at {addr} serves only the other data plane's port {has}")
        .slot("near", near.title())
        .slot("far", far.title())
        .slot("who", &who)
        .slot("addr", &address)
        .slot("port", wanted)
        .slot("has", other)
        .token(&address)
        .cluster(near.title())
        .cluster(far.title());
    let quote = format!("ports: {}", ports.join(", "));
    let verdict = shown(verdict, gateway.object, &quote, "the gateway has the other mode's port only");
    let caller = near.pods().find(|(object, _)| has_sidecars.as_deref() == Some(object.title().as_str()));
    let verdict = match caller {
        Some((pod, _)) => shown(verdict, pod, "containers: istio-proxy", "a caller with a sidecar"),
        None => verdict,
    };
    Some(Item::fail(&pair, object, reason, "dataplane-mode-mismatch", verdict))
}

#[cfg(test)]
mod tests {
    use super::CHECK;
    use crate::checks::testing::failed;

    fn cluster(network: &str, container: &str, port: u16) -> String {
        format!(
            "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Namespace\n  metadata:\n    name: istio-system\n    \
             labels: {{topology.istio.io/network: {network}}}\n- apiVersion: v1\n  kind: Service\n  metadata:\n    \
             name: istio-eastwestgateway\n    namespace: istio-system\n    labels: {{istio: eastwestgateway, \
             topology.istio.io/network: {network}}}\n  spec:\n    type: LoadBalancer\n    clusterIP: 10.96.0.4\n    ports: \
             [{{name: status-port, port: 15021}}, {{name: tls, port: {port}}}]\n  status:\n    loadBalancer: \
             {{ingress: [{{ip: 192.0.2.{port_end}}}]}}\n- apiVersion: v1\n  kind: Pod\n  metadata:\n    name: cart-1\n    \
             namespace: shop\n  spec:\n    containers: [{{name: cart, image: cart}}, {{name: {container}, image: x}}]\n  \
             status: {{phase: Running, podIP: 10.1.0.3}}\n",
            port_end = port % 200
        )
    }

    #[test]
    fn sidecars_need_a_gateway_for_sidecars() {
        let near = cluster("net-1", "istio-proxy", 15443);
        let with = |far: &str| failed(&CHECK, &[("east", "a.yaml", &near), ("west", "a.yaml", far)]);
        assert_eq!(with(&cluster("net-2", "logger", 15008)), ["dataplane-mode-mismatch"]);
        assert_eq!(with(&cluster("net-2", "logger", 15443)), [""; 0]);
        assert_eq!(with(&cluster("net-1", "logger", 15008)), [""; 0], "on one network no gateway is needed");
    }

    #[test]
    fn ambient_is_seen_in_a_table_of_pods() {
        let table = |row: &str| {
            format!(
                "$ kubectl get pods -A\nNAMESPACE      NAME            READY   STATUS    RESTARTS   AGE\nistio-system   {row}\n"
            )
        };
        let (near, far) = (cluster("net-1", "logger", 15008), cluster("net-2", "logger", 15443));
        let with = |row: &str| {
            failed(&CHECK, &[("east", "a.yaml", &near), ("east", "pods.txt", &table(row)), ("west", "a.yaml", &far)])
        };
        assert_eq!(with("ztunnel-bzq65   1/1     Running   0          5d"), ["dataplane-mode-mismatch"]);
        assert_eq!(with("my-ztunnel-ui   1/1     Running   0          5d"), [""; 0]);
    }
}
