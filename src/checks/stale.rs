//! Endpoints that are left of pods which are gone: WorkloadEntries that peering made, and what istiod and proxies hold.

use std::collections::BTreeMap;
use std::sync::Arc;

use meshwhy_parsers::event::Event;
use meshwhy_parsers::state::istiod::Said;
use meshwhy_parsers::state::object::Body;
use meshwhy_parsers::time::Time;

use super::pushed;
use crate::engine::cause::Verdict;
use crate::engine::check::{Check, Item};
use crate::engine::mesh::{Class, Cluster, Mesh};

/// The check.
pub static CHECK: Check = Check {
    id: "stale-endpoints",
    title: "Endpoints of pods that are gone",
    before_linking: false,
    run: |view| {
        let mesh = view.mesh();
        let mut items: Vec<Item> = mesh.clusters().flat_map(|cluster| entries(mesh, cluster)).collect();
        items.extend(left_behind(mesh));
        items
    },
};

/// How much older than the newest time known the pods of a workload must be, for the documents not to be from before and
/// after a rollout.
const SETTLED_S: i64 = 300;

/// Entries of peering: `autogenflat.<cluster>.<namespace>.<pod>.<hash>` carries a pod's own address.
fn entries(mesh: &Mesh, cluster: &Cluster) -> Vec<Item> {
    let mut items = Vec::new();
    let mut well = 0;
    for object in cluster.objects("WorkloadEntry") {
        let Body::WorkloadEntry(entry) = &object.body else { continue };
        let Some(rest) = object.name.strip_prefix("autogenflat.") else { continue };
        let mut parts = rest.split('.');
        let (Some(of), Some(namespace), Some(pod)) = (parts.next(), parts.next(), parts.next()) else { continue };
        // Without the source cluster's documents there is nothing to compare with.
        let Some(source) = mesh.by_id(of) else { continue };
        match mesh.has_address(source, &entry.address, namespace) {
            None => {}
            Some(true) => well += 1,
            Some(false) => {
                let title = object.title();
                let reason = format!("no pod of {} has its address {}", source.title(), entry.address);
                let verdict = Verdict::certain(&format!("{pod}.{namespace} of {}", source.title()))
                    .says("{entry} in {cluster} still stands for {to} at {addr}, which is gone from {source}")
                    .slot("entry", &title)
                    .slot("cluster", cluster.title())
                    .slot("to", format!("pod {pod}.{namespace}"))
                    .slot("addr", &entry.address)
                    .slot("host", &entry.address)
                    .slot("source", source.title())
                    .token(&entry.address)
                    .token(of)
                    .cluster(source.title())
                    .because_quote(
                        &object.event,
                        &format!("spec.address: {}", entry.address),
                        "the entry that peering made for a pod",
                    );
                let verdict = with_pods(verdict, source, namespace, pod);
                items.push(Item::fail(cluster.title(), title, reason, "stale-endpoint", verdict));
            }
        }
    }
    if items.is_empty() && 0 < well {
        let what = format!("{well} of peering, each with the address of a pod that is there");
        items.push(Item::pass(cluster.title(), "WorkloadEntries", what));
    }
    items
}

/// Quotes a pod of the same workload that is there, or that there is none.
fn with_pods(verdict: Verdict, source: &Cluster, namespace: &str, workload: &str) -> Verdict {
    let stem = workload.rsplitn(3, '-').last().unwrap_or(workload);
    let of = source.pods_in(namespace).find(|(object, _)| object.name.starts_with(stem));
    match of {
        Some((object, pod)) => {
            let address = pod.ips.first().map_or("none", |ip| ip);
            let quote = format!("{}: status.podIP: {address}", object.title());
            verdict.because_quote(&object.event, &quote, "a pod of the same workload has another address")
        }
        None => match source.pods().next() {
            Some((object, _)) => {
                let quote = format!("no pod {stem}* in namespace {namespace}");
                verdict.because_quote(&object.event, &quote, "the list of pods has none of that workload")
            }
            None => verdict,
        },
    }
}

/// Stale addresses of one service in one cluster.
struct Left<'m> {
    event: &'m Arc<Event>,
    holder: String,
    namespace: String,
    workload: String,
    addresses: Vec<String>,
    /// What istiod would push to the proxy, and whether the first of them is still among it.
    pushed: Option<(&'m Arc<Event>, bool)>,
    /// Whether istiod has not pushed one of them for so long that no push is on its way.
    is_left: bool,
}

/// What istiods and proxies hold of clusters whose pods are known.
fn left_behind(mesh: &Mesh) -> Vec<Item> {
    // By the cluster that should have it and the service.
    let mut left: BTreeMap<(String, String), Left<'_>> = BTreeMap::new();
    for cluster in mesh.clusters() {
        for document in cluster.istiods().flat_map(|istiod| istiod.documents()) {
            let Said::Shards(shards) = &document.said else { continue };
            for shard in shards.iter().filter(|shard| &*shard.provider == "Kubernetes") {
                let Some(source) = mesh.by_id(&shard.cluster) else { continue };
                for endpoint in shard.endpoints.iter().filter(|endpoint| endpoint.healthy) {
                    for address in &endpoint.addresses {
                        if mesh.has_address(source, address, &endpoint.namespace) != Some(false) {
                            continue;
                        }
                        let key = (source.name.to_string(), shard.host.to_string());
                        let entry = left.entry(key).or_insert_with(|| Left {
                            event: &document.event,
                            holder: format!("istiod of {}", cluster.title()),
                            namespace: endpoint.namespace.to_string(),
                            workload: endpoint.workload.to_string(),
                            addresses: Vec::new(),
                            pushed: None,
                            is_left: false,
                        });
                        push(&mut entry.addresses, address);
                    }
                }
            }
        }
        for proxy in cluster.proxies() {
            let apart = proxy.apart(pushed::SETTLE);
            for (host, endpoints) in mesh.held_by_host(cluster, proxy).unwrap_or_default() {
                for endpoint in endpoints {
                    let Class::Stale { cluster: source } = &endpoint.class else { continue };
                    let entry = left.entry((source.clone(), host.clone())).or_insert_with(|| Left {
                        event: endpoint.event,
                        holder: format!("proxy {} in {}", proxy.name, cluster.title()),
                        namespace: endpoint.namespace.clone(),
                        workload: endpoint.workload.clone(),
                        addresses: Vec::new(),
                        pushed: mesh.pushes(proxy, &host, &endpoint.address),
                        is_left: false,
                    });
                    let mut kept = apart.iter().flat_map(|apart| &apart.kept);
                    entry.is_left |= kept.any(|((_, addr), _)| *addr.host == *endpoint.address);
                    push(&mut entry.addresses, &endpoint.address);
                }
            }
        }
    }
    let now = newest(mesh);
    left.into_iter().filter_map(|((source, host), left)| item(mesh.cluster(&source)?, &host, &left, now)).collect()
}

fn push(addresses: &mut Vec<String>, address: &str) {
    if !addresses.iter().any(|known| known == address) {
        addresses.push(address.to_string());
    }
}

fn item(source: &Cluster, host: &str, left: &Left<'_>, now: Option<Time>) -> Option<Item> {
    let addresses = left.addresses.join(", ");
    let object = format!("endpoints of {host}");
    let reason = format!("{} holds {addresses} for {}, where no pod has that address", left.holder, source.title());
    let pods = source.pods_in(&left.namespace).filter(|(of, _)| of.name.starts_with(&left.workload));
    let newest_pod = pods.filter_map(|(object, _)| object.created).max();
    let is_settled = match (newest_pod, now) {
        (Some(created), Some(now)) => SETTLED_S < now.since(created).as_secs() as i64,
        _ => false,
    } || left.is_left;
    if !is_settled {
        let remedy = "If the documents were saved at different moments of a rollout, nothing is to be done; else restart or resync that istiod.";
        return Some(Item::warn(source.title(), object, reason, remedy));
    }
    let first = left.addresses.first()?;
    let verdict = Verdict::likely(&format!("{host} of {}", source.title()))
        .slot("to", format!("{host} in {}", source.title()))
        .slot("addr", &addresses)
        .slot("host", first)
        .token(first)
        .token(host)
        .cluster(source.title())
        .because_quote(
            left.event,
            &format!("{host}: {addresses}"),
            &format!("{} still holds the address", left.holder),
        );
    let verdict = match left.pushed {
        Some((event, true)) => verdict.because_quote(
            event,
            &format!("{host}: {first}"),
            "istiod would still push it: it has not seen the pod go",
        ),
        Some((event, false)) => verdict.because_quote(
            event,
            &format!("{host}: not {first}"),
            "istiod would not push it any more: the proxy has not taken what it was told",
        ),
        None => verdict,
    };
    let verdict = with_pods(verdict, source, &left.namespace, &left.workload);
    Some(Item::fail(source.title(), object, reason, "stale-endpoint", verdict))
}

/// The newest time that any document carries.
fn newest(mesh: &Mesh) -> Option<Time> {
    mesh.clusters().flat_map(|cluster| cluster.objects("Pod")).filter_map(|object| object.event.at).max()
}

#[cfg(test)]
mod tests {
    use super::CHECK;
    use crate::checks::testing::failed;

    const ENTRY: &str = "apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata:\n  \
        name: autogenflat.west.shop.web-7d4f9c-x2x9q.0a1b2c\n  namespace: istio-system\n  labels: {app: web}\nspec:\n  \
        address: 10.20.0.9\n  network: campus\n  ports: {http: 8080}\n  serviceAccount: web\n";

    fn pods(kind: &str, ip: &str) -> String {
        format!(
            "apiVersion: v1\nkind: {kind}\nitems:\n- apiVersion: v1\n  kind: Pod\n  metadata:\n    \
             name: web-7d4f9c-k8v2m\n    namespace: shop\n    creationTimestamp: '2026-03-01T08:00:00Z'\n  spec:\n    \
             containers: [{{name: web, image: web}}]\n    nodeName: n1\n  status:\n    phase: Running\n    \
             podIP: {ip}\n    podIPs: [{{ip: {ip}}}]\n"
        )
    }

    #[test]
    fn an_entry_of_peering_whose_pod_is_gone_is_stale() {
        let gone = pods("PodList", "10.20.0.31");
        let files = [("east", "e.yaml", ENTRY), ("west", "p.yaml", &*gone)];
        assert_eq!(failed(&CHECK, &files), ["stale-endpoint"]);
        let there = pods("PodList", "10.20.0.9");
        assert_eq!(failed(&CHECK, &[files[0], ("west", "p.yaml", &there)]), [""; 0]);
        assert_eq!(failed(&CHECK, &[files[0]]), [""; 0], "without the source cluster nobody can tell");
    }

    #[test]
    fn a_single_pod_that_was_saved_is_not_all_pods() {
        let text = pods("PodList", "10.20.0.31");
        let single = text.split("items:\n- ").nth(1).unwrap_or_default().replace("\n  ", "\n");
        assert_eq!(failed(&CHECK, &[("east", "e.yaml", ENTRY), ("west", "p.yaml", &single)]), [""; 0]);
    }
}
