//! Where calls go by locality: services that stay local by design, and calls that leave though they need not.

use std::collections::BTreeMap;
use std::sync::Arc;

use meshwhy_parsers::event::Event;
use meshwhy_parsers::state::object::{Body, DestinationRule};

use crate::engine::check::{Check, Item};
use crate::engine::mesh::{Cluster, Endpoint, Mesh};

/// The check.
pub static CHECK: Check = Check {
    id: "locality",
    title: "Where calls go by locality",
    before_linking: false,
    run: |view| {
        let mesh = view.mesh();
        mesh.clusters().flat_map(|cluster| in_cluster(mesh, cluster)).collect()
    },
};

/// What balances a service, as one cluster's proxies show it.
enum Lean {
    /// Endpoints of other clusters wait until the local ones fail.
    Local { far: String, why: String },
    /// Calls leave the region though healthy endpoints are in it.
    Away { near: String, far: String },
}

fn in_cluster(mesh: &Mesh, cluster: &Cluster) -> Vec<Item> {
    let mut items = Vec::new();
    let mut seen: BTreeMap<String, Lean> = BTreeMap::new();
    for proxy in cluster.proxies() {
        let Some((_, node)) = proxy.node().filter(|(_, node)| &*node.kind != "router") else { continue };
        for (host, endpoints) in mesh.held_by_host(cluster, proxy).unwrap_or_default() {
            if let Some(lean) = lean(mesh, &endpoints, &node.locality) {
                seen.entry(host).or_insert(lean);
            }
        }
    }
    for (host, lean) in seen {
        let rule = rule(cluster, &host);
        let object = format!("service {host}");
        let detects = rule.is_some_and(|(_, rule)| rule.outlier_detection);
        items.push(match lean {
            Lean::Local { far, why } if detects => {
                Item::pass(cluster.title(), object, format!("calls stay local by design, {far} takes over when the local endpoints fail: {why}"))
            }
            Lean::Local { far, why } => Item::pass(
                cluster.title(),
                object,
                format!("calls stay local by design; without outlier detection {far} takes over only when no local endpoint is left: {why}"),
            ),
            Lean::Away { near, far } => {
                let why = match rule {
                    _ if mesh_is_off(cluster) => "locality load balancing is off in the mesh config",
                    Some((_, rule)) if rule.locality.as_ref().is_some_and(|locality| !locality.enabled) => {
                        "its DestinationRule turns locality load balancing off"
                    }
                    Some((_, rule)) if rule.outlier_detection => "its proxies hold one priority for all endpoints",
                    _ => "no DestinationRule sets outlierDetection for it, without which istiod orders nothing by locality",
                };
                Item::warn(
                    cluster.title(),
                    object,
                    format!("calls from {near} also go to {far}, though healthy endpoints are near: {why}"),
                    "If the way is too long, give the service a DestinationRule with outlierDetection; if load shall be shared, nothing is to be done.",
                )
            }
        });
    }
    items.extend(kept_local(cluster));
    items.extend(ztunnels(cluster));
    items
}

fn lean(mesh: &Mesh, endpoints: &[Endpoint<'_>], home: &str) -> Option<Lean> {
    let near = endpoints.iter().find(|of| !of.is_remote() && of.is_ready && of.priority == 0)?;
    let far = |of: &&Endpoint<'_>| of.is_remote() && of.is_ready;
    let title = |of: &Endpoint<'_>| match of.leads_to() {
        "" => "the other cluster".to_string(),
        name => mesh.cluster(name).map_or(name, Cluster::title).to_string(),
    };
    if let Some(waiting) = endpoints.iter().filter(far).find(|of| 0 < of.priority) {
        let far = title(waiting);
        let why = format!("{} has priority {}", waiting.address, waiting.priority);
        return Some(Lean::Local { far, why });
    }
    let region = |locality: &str| locality.split('/').next().unwrap_or("").to_string();
    let home = if home.is_empty() { &near.locality } else { home };
    let away =
        endpoints.iter().filter(far).find(|of| !of.locality.is_empty() && region(&of.locality) != region(home))?;
    (!home.is_empty() && region(&near.locality) == region(home))
        .then(|| Lean::Away { near: region(home), far: format!("{} ({})", title(away), region(&away.locality)) })
}

/// The DestinationRule of a host, as its cluster has it.
pub fn rule<'m>(cluster: &'m Cluster, host: &str) -> Option<(&'m Arc<Event>, &'m DestinationRule)> {
    cluster.objects("DestinationRule").find_map(|object| match &object.body {
        Body::DestinationRule(rule) if is_host(&rule.host, &object.namespace, host) => Some((&object.event, &**rule)),
        _ => None,
    })
}

/// Whether a host as a rule in `namespace` writes it is this full host name.
pub fn is_host(written: &str, namespace: &str, host: &str) -> bool {
    if let Some(suffix) = written.strip_prefix('*') {
        return host.ends_with(suffix);
    }
    written == host
        || !written.contains('.')
            && host.strip_prefix(written).is_some_and(|rest| rest.starts_with(&format!(".{namespace}.")))
        || written.contains('.') && host.strip_prefix(written).is_some_and(|rest| rest.starts_with(".svc."))
        || host.strip_prefix(written).is_some_and(|rest| written.ends_with(".svc") && rest.starts_with('.'))
}

fn mesh_is_off(cluster: &Cluster) -> bool {
    cluster.mesh_config().is_some_and(|(_, config)| config.locality_lb == Some(false))
}

/// Services that the mesh config keeps at home.
fn kept_local(cluster: &Cluster) -> Vec<Item> {
    let Some((_, config)) = cluster.mesh_config() else { return Vec::new() };
    let kept = |host: &str| {
        Item::pass(
            cluster.title(),
            format!("service {host}"),
            "stays local by design: serviceSettings of the mesh config make it cluster-local",
        )
    };
    config.cluster_local_hosts.iter().map(|host| kept(host)).collect()
}

/// Services that ztunnel calls elsewhere only when nothing local is left.
fn ztunnels(cluster: &Cluster) -> Vec<Item> {
    let mut hosts: Vec<&str> = cluster
        .ztunnels()
        .flat_map(|(_, dump)| &dump.services)
        .filter(|service| matches!(&*service.lb_mode, "Failover" | "Strict") && 1 < service.endpoints.len())
        .map(|service| &*service.hostname)
        .collect();
    hosts.sort_unstable();
    hosts.dedup();
    let stays = |host: &str| {
        let reason = "calls stay local by design: ztunnel prefers what is near and fails over only when it is gone";
        Item::pass(cluster.title(), format!("service {host}"), reason)
    };
    hosts.into_iter().map(stays).collect()
}

#[cfg(test)]
mod tests {
    use super::{CHECK, is_host};
    use crate::checks::testing::told;

    #[test]
    fn what_the_mesh_config_keeps_at_home_is_said_to_stay() {
        let map = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: istio\n  namespace: istio-system\ndata:\n  mesh: |-\n    \
            serviceSettings:\n    - settings: {clusterLocal: true}\n      hosts: [db.shop.svc.cluster.local]\n";
        let said = told(&CHECK, &[("east", "c.yaml", map)]);
        assert_eq!(said.len(), 1);
        assert!(said[0].starts_with("pass east service db.shop.svc.cluster.local: stays local by design"), "{said:?}");
        let open = map.replace("true", "false");
        assert_eq!(told(&CHECK, &[("east", "c.yaml", &open)]), [""; 0]);
    }

    #[test]
    fn hosts_of_rules_are_those_of_their_namespace() {
        let host = "web.shop.svc.cluster.local";
        assert!(
            ["web", "web.shop", "web.shop.svc", host, "*.shop.svc.cluster.local"]
                .iter()
                .all(|of| is_host(of, "shop", host))
        );
        assert!(!is_host("web", "pay", host) && !is_host("we", "shop", host) && !is_host("web.sho", "shop", host));
    }
}
