//! Cluster IDs: whether each cluster has one of its own.

use std::sync::Arc;

use meshwhy_parsers::event::Event;

use super::remote_secrets::api_ca;
use crate::engine::cause::Verdict;
use crate::engine::check::{Check, Item};
use crate::engine::mesh::Cluster;
use crate::engine::view::View;

/// The check.
pub static CHECK: Check =
    Check { id: "cluster-ids", title: "Clusters have IDs of their own", before_linking: true, run };

fn run(view: &View<'_>) -> Vec<Item> {
    let clusters: Vec<&Cluster> = view.mesh().clusters().collect();
    let mut items = Vec::new();
    for (at, one) in clusters.iter().enumerate() {
        let Some(id) = one.id().filter(|_| 1 < clusters.len()) else { continue };
        if clusters.iter().take(at).any(|before| before.id() == Some(id)) {
            continue;
        }
        let namesakes = clusters.iter().skip(at + 1).copied().filter(|other| other.id() == Some(id));
        let mut namesakes = namesakes.filter(|other| view.is_one_mesh(one, other)).peekable();
        if namesakes.peek().is_none() {
            items.push(Item::pass(&one.name, "cluster ID", format!("it is {id}")));
        }
        items.extend(namesakes.map(|other| shared(id, one, other)));
    }
    items
}

/// Two clusters of one ID.
fn shared(id: &str, one: &Cluster, other: &Cluster) -> Item {
    let named = format!("{}, {}", one.name, other.name);
    if let Some(why) = is_one_saved_twice(one, other) {
        let reason = format!("both are {id}, and both are one cluster: {why}");
        return Item::unknown(&named, "cluster ID", reason, "name each cluster once");
    }
    let reason = format!("{} and {} both call themselves {id}", one.name, other.name);
    let mut verdict = Verdict::certain(id)
        .says("two clusters use one cluster ID: {reason}")
        .slot("local", &one.name)
        .slot("reason", &reason)
        .slot("secret", "the remote secret")
        .cluster(&one.name)
        .cluster(&other.name)
        .token(id);
    for cluster in [one, other] {
        if let Some((event, quote)) = id_shown(cluster) {
            verdict = verdict.because_said(event, &quote, "this cluster's own ID");
        }
    }
    Item::fail(&named, "cluster ID", reason, "cluster-id-conflict", verdict)
}

/// What shows that two names stand for one cluster, saved twice: API servers and pods are never shared.
fn is_one_saved_twice(one: &Cluster, other: &Cluster) -> Option<String> {
    if let (Some((object, ca)), Some((_, theirs))) = (api_ca(one), api_ca(other)) {
        let is_same = ca.iter().any(|ca| theirs.iter().any(|their| their.fingerprint == ca.fingerprint));
        return is_same.then(|| format!("{} holds one CA", object.title()));
    }
    let pod = one.istiod_pods().find(|(pod, _)| other.object("Pod", &pod.namespace, &pod.name).is_some());
    let pod = pod.map(|(pod, _)| &*pod.name).or_else(|| {
        let istiod = one
            .istiods()
            .find(|istiod| !istiod.pod.is_empty() && other.istiods().any(|theirs| theirs.pod == istiod.pod))?;
        Some(&*istiod.pod)
    });
    pod.map(|pod| format!("{pod} runs in it"))
}

/// Where a cluster's ID stands.
pub(super) fn id_shown(cluster: &Cluster) -> Option<(&Arc<Event>, String)> {
    let id = cluster.id()?;
    if let Some((object, _)) = cluster.istiod_env("CLUSTER_ID").filter(|(_, own)| *own == id) {
        return Some((&object.event, format!("{}: env CLUSTER_ID={id}", object.title())));
    }
    let rows = cluster.istiods().flat_map(|istiod| istiod.clusters());
    if let Some((event, row)) = rows.into_iter().find(|(_, row)| row.secret.is_empty() && *row.id == *id) {
        return Some((event, format!("cluster {} of no secret: {}", row.id, row.status)));
    }
    let node = cluster.proxies().find_map(|proxy| proxy.node().filter(|(_, node)| *node.cluster == *id))?;
    Some((node.0, format!("CLUSTER_ID: {id}")))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Saved, failed, told};
    use super::*;

    fn istiod(pod: &str, id: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {pod}\n  namespace: istio-system\n  labels: {{app: istiod, istio.io/rev: default}}\n\
             spec:\n  serviceAccountName: istiod\n  containers:\n  - name: discovery\n    image: docker.io/istio/pilot:1.28.1\n    \
             env:\n    - {{name: CLUSTER_ID, value: {id}}}\nstatus: {{phase: Running, podIP: 10.0.0.4}}\n"
        )
    }

    fn two(east: &str, west: &str) -> (Vec<&'static str>, Vec<String>) {
        // One istiod lists the other's cluster: they are one mesh.
        let listed = r#"[{"id":"Kubernetes","secretName":"","syncStatus":"synced"},
            {"id":"west","secretName":"istio-system/istio-remote-secret-west","syncStatus":"synced"}]"#;
        let files: [Saved<'_>; 3] = [
            ("east", "pod.yaml", east),
            ("west", "pod.yaml", west),
            ("east", "istio-system/istiod-1/debug/clusterz.json", &listed.replace("west", "Kubernetes")),
        ];
        (failed(&CHECK, &files), told(&CHECK, &files))
    }

    #[test]
    fn two_clusters_of_one_id_are_in_conflict() {
        let (failed, told) = two(&istiod("istiod-a", "Kubernetes"), &istiod("istiod-b", "Kubernetes"));
        assert_eq!(failed, ["cluster-id-conflict"]);
        let end = "both call themselves Kubernetes [cluster-id-conflict: Kubernetes]";
        assert!(told[0].starts_with("fail east, west cluster ID") && told[0].ends_with(end), "{told:?}");
    }

    #[test]
    fn clusters_of_ids_of_their_own_pass() {
        let (_, told) = two(&istiod("istiod-a", "Kubernetes"), &istiod("istiod-b", "west"));
        assert_eq!(told, ["pass east cluster ID: it is Kubernetes", "pass west cluster ID: it is west"]);
    }

    #[test]
    fn one_cluster_saved_under_two_names_is_not_two() {
        let (failed, told) = two(&istiod("istiod-a", "Kubernetes"), &istiod("istiod-a", "Kubernetes"));
        assert_eq!(failed, [""; 0]);
        assert!(told[0].contains("both are one cluster: istiod-a runs in it"), "{told:?}");
    }
}
