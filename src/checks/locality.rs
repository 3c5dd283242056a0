//! Where calls go by locality: services that stay local by design, and calls that leave though they need not.

use std::collections::BTreeMap;

use meshwhy_parsers::state::object::{Body, DestinationRule, Object};

use crate::engine::cause::Verdict;
use crate::engine::check::{Check, Item};
use crate::engine::mesh::{Cluster, Doc, Endpoint, Mesh};

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
            // Nobody orders calls to the control plane and its gateways by locality.
            let is_of_system = host.split('.').nth(1) == Some(cluster.system_namespace());
            if let Some(lean) = lean(mesh, &endpoints, &node.locality).filter(|_| !is_of_system) {
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
            Lean::Away { near, far } => shared(cluster, &host, rule, &near, &far),
        });
    }
    items.extend(kept_local(cluster));
    items.extend(ztunnels(cluster));
    items
}

/// A service whose calls leave their region: as wanted, unless someone set localities for it.
fn shared(
    cluster: &Cluster,
    host: &str,
    rule: Option<(&Doc<Object>, &DestinationRule)>,
    near: &str,
    far: &str,
) -> Item {
    let object = format!("service {host}");
    let leave = format!("calls from {near} also go to {far}");
    let by_design = |why: &str| Item::pass(&cluster.name, &object, format!("{leave} by design: {why}"));
    if mesh_is_off(cluster) {
        return by_design("locality load balancing is off in the mesh config");
    }
    let Some((written, rule)) = rule else { return by_design("nothing asks for an order by locality") };
    if rule.locality.as_ref().is_some_and(|locality| !locality.enabled) {
        return by_design("its DestinationRule turns locality load balancing off");
    }
    if rule.outlier_detection {
        let reason =
            format!("{leave}, though its DestinationRule sets outlierDetection: one priority for all endpoints");
        let remedy = "Compare the localities of the pods' nodes with those of its DestinationRule.";
        return Item::warn(&cluster.name, object, reason, remedy);
    }
    // Weights are used without outlier detection, too.
    let Some(locality) = rule.locality.as_ref().filter(|locality| !locality.distribute) else {
        return by_design("its DestinationRule sets no outlierDetection, without which nothing is ordered by locality");
    };
    let why = "its DestinationRule sets localities and no outlierDetection, without which istiod orders nothing";
    let says = match (locality.failover.first(), locality.priority.first()) {
        (Some((from, to)), _) => format!("localityLbSetting.failover: from {from} to {to}, no outlierDetection"),
        (None, Some(label)) => format!("localityLbSetting.failoverPriority: {label}, no outlierDetection"),
        (None, None) => "localityLbSetting, no outlierDetection".to_string(),
    };
    let verdict = Verdict::certain(host)
        .says("the locality settings of {service} do nothing: {why}")
        .slot("service", host)
        .slot("why", why)
        .token(host)
        .because_object(written, &says, "the rule asks for localities without what they need");
    Item::fail(&cluster.name, object, format!("{leave}: {why}"), "locality-lb", verdict)
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
pub fn rule<'m>(cluster: &'m Cluster, host: &str) -> Option<(&'m Doc<Object>, &'m DestinationRule)> {
    cluster.objects("DestinationRule").find_map(|object| match &object.body {
        Body::DestinationRule(rule) if is_host(&rule.host, &object.namespace, host) => Some((object, &**rule)),
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
    fn calls_that_leave_are_as_wanted_unless_a_rule_sets_localities_in_vain() {
        let node = r#"{"configs":[{"@type":"type.googleapis.com/envoy.admin.v3.BootstrapConfigDump","bootstrap":{"node":{
            "id":"sidecar~10.0.0.9~cart-1.shop~shop.svc.cluster.local","locality":{"region":"r1"},
            "metadata":{"CLUSTER_ID":"west","NAMESPACE":"shop","NAME":"cart-1"}}}}]}"#;
        let host = |address: &str, port: u16, region: &str| {
            format!(
                r#"{{"address":{{"socket_address":{{"address":"{address}","port_value":{port}}}}},
                    "health_status":{{"eds_health_status":"HEALTHY"}},"locality":{{"region":"{region}"}}}}"#
            )
        };
        let clusters = format!(
            r#"{{"cluster_statuses":[{{"name":"outbound|80||web.shop.svc.cluster.local","added_via_api":true,
                "host_statuses":[{},{}]}}]}}"#,
            host("10.0.0.1", 80, "r1"),
            host("192.0.2.7", 15443, "r2")
        );
        let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: web-1, namespace: shop}\nstatus: {phase: Running, podIP: \
            10.0.0.1, podIPs: [{ip: 10.0.0.1}]}\n";
        let gateway = "apiVersion: v1\nkind: Service\nmetadata: {name: istio-eastwestgateway, namespace: istio-system, labels: \
            {topology.istio.io/network: n2}}\nspec: {type: LoadBalancer, ports: [{port: 15443}]}\nstatus: {loadBalancer: \
            {ingress: [{ip: 192.0.2.7}]}}\n";
        let told = |policy: &str| {
            let rule = format!(
                "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: web, namespace: shop}}\nspec: \
                 {{host: web, trafficPolicy: {policy}}}\n"
            );
            let files = [
                ("east", "gateway.yaml", gateway),
                ("west", "pod.yaml", pod),
                ("west", "rule.yaml", &*rule),
                ("west", "proxies/shop/cart-1/config_dump.json", node),
                ("west", "proxies/shop/cart-1/clusters.json", &*clusters),
            ];
            told(&CHECK, &files).concat()
        };
        let set = "loadBalancer: {localityLbSetting: {enabled: true, failover: [{from: r1, to: r2}]}}";
        assert!(told(&format!("{{{set}}}")).contains("[locality-lb: web.shop.svc.cluster.local]"), "{}", told(set));
        assert!(
            told("{tls: {mode: ISTIO_MUTUAL}}").starts_with("pass west"),
            "{}",
            told("{tls: {mode: ISTIO_MUTUAL}}")
        );
        let both = format!("{{{set}, outlierDetection: {{consecutive5xxErrors: 1}}}}");
        assert!(told(&both).starts_with("warn west"), "{}", told(&both));
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
