//! The same service in several clusters: is it one service, and may other clusters reach it?

use std::collections::{BTreeMap, BTreeSet};

use meshwhy_parsers::state::object::{Map, Object, Service};

use super::shown;
use crate::engine::cause::Verdict;
use crate::engine::check::{Check, Item};
use crate::engine::mesh::{Cluster, Doc, GATEWAY_NAME, GLOBAL, Mesh};
use crate::engine::view::View;

/// The check.
pub static CHECK: Check = Check {
    id: "services",
    title: "Services that several clusters have",
    before_linking: true,
    run: |view| {
        let mesh = view.mesh();
        let mut items = Vec::new();
        for ((namespace, name), all) in shared(mesh) {
            items.extend(definitions(mesh, &namespace, &name, &all));
            items.extend(reach(mesh, &namespace, &name, &all));
        }
        items.extend(none_global(view));
        items.extend(mesh.clusters().flat_map(|cluster| elsewhere(view, cluster)));
        items.extend(mesh.clusters().flat_map(|cluster| hidden(mesh, cluster)));
        items
    },
};

/// A Service of one cluster.
type Of<'m> = (&'m Cluster, &'m Doc<Object>, &'m Service);

/// The services of applications, by namespace and name, with all clusters that have one.
fn by_name(mesh: &Mesh) -> BTreeMap<(String, String), Vec<Of<'_>>> {
    let mut all: BTreeMap<(String, String), Vec<Of<'_>>> = BTreeMap::new();
    for cluster in mesh.clusters() {
        let gateways: Vec<&str> = cluster.gateways().iter().map(|gateway| &*gateway.object.name).collect();
        for (object, service) in cluster.services() {
            let of_system = object.namespace.starts_with("kube-")
                || *object.namespace == *cluster.system_namespace()
                || &*object.name == "kubernetes";
            // Each cluster has gateways of its own, and they differ as they should.
            let of_gateway = gateways.contains(&&*object.name)
                || object.label(GATEWAY_NAME).is_some()
                || object.label("istio").is_some_and(|role| role.ends_with("gateway"));
            if !of_system && !of_gateway && !object.namespace.is_empty() {
                let key = (object.namespace.to_string(), object.name.to_string());
                all.entry(key).or_default().push((cluster, object, service));
            }
        }
    }
    all
}

fn shared(mesh: &Mesh) -> BTreeMap<(String, String), Vec<Of<'_>>> {
    let mut all = by_name(mesh);
    all.retain(|_, of| 1 < of.len());
    all
}

/// Whether the definitions merge: istiod matches endpoints to a port by the port's name, in ambient by its number.
fn definitions(mesh: &Mesh, namespace: &str, name: &str, all: &[Of<'_>]) -> Vec<Item> {
    let Some((first, others)) = all.split_first() else { return Vec::new() };
    let mut items: Vec<Item> = Vec::new();
    for other in others {
        items.extend(differs(mesh, namespace, name, first, other));
    }
    if items.is_empty() {
        let clusters: Vec<&str> = all.iter().map(|(cluster, ..)| cluster.title()).collect();
        let what = format!("the same ports and type in {}", clusters.join(" and "));
        items.push(Item::pass(&clusters.join(", "), format!("Service {namespace}/{name}"), what));
    }
    items
}

fn differs(mesh: &Mesh, namespace: &str, name: &str, here: &Of<'_>, there: &Of<'_>) -> Option<Item> {
    let ports = |of: &Of<'_>| -> Vec<(u16, String)> {
        of.2.ports.iter().map(|port| (port.port, port.name.to_string())).collect()
    };
    let (ours, theirs) = (ports(here), ports(there));
    let listed = |ports: &[(u16, String)]| {
        let words: Vec<String> = ports
            .iter()
            .map(|(port, name)| if name.is_empty() { port.to_string() } else { format!("{name}:{port}") })
            .collect();
        if words.is_empty() { "none".to_string() } else { words.join(", ") }
    };
    let (one, two) = (here.0.title(), there.0.title());
    let pair = format!("{one}, {two}");
    let object = format!("Service {namespace}/{name}");
    if ours.is_empty() || theirs.is_empty() {
        return None;
    }
    let said = format!("ports {} in {one} and {} in {two}", listed(&ours), listed(&theirs));
    let common: Vec<u16> =
        ours.iter().map(|(port, _)| *port).filter(|port| theirs.iter().any(|(other, _)| other == port)).collect();
    let is_ambient = mesh.clusters().all(Cluster::is_ambient);
    let renamed = |port: &u16| {
        let of = |ports: &[(u16, String)]| {
            ports.iter().find(|(number, _)| number == port).map(|(_, name)| name.clone()).unwrap_or_default()
        };
        // A row of a table shows no names.
        !here.1.is_row && !there.1.is_row && of(&ours) != of(&theirs)
    };
    let is_broken = common.is_empty() || !is_ambient && common.iter().all(renamed);
    if is_broken {
        let subject = format!("{namespace}/{name}");
        let verdict = Verdict::certain(&subject)
            .says("the service {service} is defined differently in {one} and {two}, so their endpoints do not merge: {said}")
            .slot("service", &subject)
            .slot("name", name)
            .slot("one", one)
            .slot("two", two)
            .slot("said", &said)
            .token(name)
            .cluster(one)
            .cluster(two);
        let verdict = shown(verdict, here.1, &quote(&ours), "the Service in one cluster");
        let verdict = shown(
            verdict,
            there.1,
            &quote(&theirs),
            if common.is_empty() {
                "the Service of the same name in the other has none of its ports"
            } else {
                "the Service of the same name in the other calls the same port otherwise, and istiod matches by name"
            },
        );
        return Some(Item::fail(&pair, object, said, "service-differs", verdict));
    }
    let same = "Make the Service the same in every cluster: ports, their names, protocols and type.";
    if common.len() < ours.len().max(theirs.len()) || common.iter().any(renamed) {
        return Some(Item::warn(&pair, object, said, same));
    }
    let is_headless = |of: &Of<'_>| of.2.cluster_ips.iter().any(|ip| &**ip == "None");
    if is_headless(here) != is_headless(there) {
        let (headless, other) = if is_headless(here) { (one, two) } else { (two, one) };
        let reason = format!(
            "headless in {headless} and with an address of its own in {other}: callers are balanced differently"
        );
        return Some(Item::warn(&pair, object, reason, same));
    }
    (here.2.kind != there.2.kind && !here.2.kind.is_empty() && !there.2.kind.is_empty()).then(|| {
        let reason = format!("type {} in {one} and {} in {two}", here.2.kind, there.2.kind);
        Item::warn(&pair, object, reason, same)
    })
}

/// `spec.ports: http 5000, grpc 9000`.
fn quote(ports: &[(u16, String)]) -> String {
    let words: Vec<String> = ports.iter().map(|(port, name)| format!("{name} {port}").trim().to_string()).collect();
    format!("spec.ports: {}", words.join(", "))
}

fn matches(wanted: &Map, labels: &Map) -> bool {
    wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// Whether ambient clusters offer it to each other: on separate networks only global services cross.
fn reach(mesh: &Mesh, namespace: &str, name: &str, all: &[Of<'_>]) -> Vec<Item> {
    let ambient: Vec<&Of<'_>> = all.iter().filter(|(cluster, ..)| cluster.is_ambient()).collect();
    let networks: BTreeSet<&str> =
        ambient.iter().filter_map(|(cluster, ..)| cluster.network().and_then(|(_, network)| network)).collect();
    let open: Vec<&&Of<'_>> =
        ambient.iter().filter(|(cluster, object, _)| cluster.is_global(object) == Some(true)).collect();
    let Some(example) = open.first() else { return Vec::new() };
    let mut items = Vec::new();
    for (cluster, object, _) in ambient.iter().filter(|(cluster, object, _)| cluster.is_global(object) == Some(false)) {
        let title = object.title();
        let reason = format!("not global, while the one of the same name in {} is", example.0.title());
        // Peered control planes publish each cluster's share by itself, and one network needs no label.
        if example.1.label(GLOBAL) != Some("true") || networks.len() < 2 {
            let remedy = "If its endpoints should be called from other clusters, label it the same way.";
            items.push(Item::warn(cluster.title(), title, reason, remedy));
            continue;
        }
        let verdict = not_global(cluster, object, namespace, name);
        let verdict =
            shown(verdict, example.1, "istio.io/global: \"true\"", "while the one of the same name elsewhere does");
        items.push(Item::fail(cluster.title(), title, reason, "service-not-global", verdict));
    }
    for (cluster, object, _) in &open {
        items.extend(waypoint(cluster, object, 1 < networks.len()));
    }
    for cluster in mesh.clusters().filter(|cluster| cluster.is_ambient()) {
        let is_missing = !all.iter().any(|(of, ..)| of.name == cluster.name) && cluster.knows_all("Service", namespace);
        if is_missing && example.1.label(GLOBAL) == Some("true") && 1 < networks.len() {
            items.push(Item::warn(
                cluster.title(),
                format!("Service {namespace}/{name}"),
                format!("does not exist, while it is global in {}: callers here do not find it", example.0.title()),
                "If it is called from here, create the Service (it may select no pod), with istio.io/global=true.",
            ));
        }
    }
    items
}

/// A Service that keeps its endpoints at home, as a verdict.
pub fn not_global(cluster: &Cluster, object: &Doc<Object>, namespace: &str, name: &str) -> Verdict {
    let verdict = Verdict::certain(&format!("{namespace}/{name}"))
        .says("{service} is global elsewhere, but in {network} it lacks the label istio.io/global=true: its endpoints there stay at home, and callers there stay with them")
        .slot("service", name)
        .slot("network", cluster.title())
        .slot("status", "nothing")
        .token(name)
        .cluster(cluster.title());
    shown(
        verdict,
        object,
        "metadata.labels: no istio.io/global",
        "the Service carries labels, and not istio.io/global=true",
    )
}

/// The waypoint of a global service must be global itself, to be found from the other side.
fn waypoint(cluster: &Cluster, object: &Doc<Object>, separate: bool) -> Option<Item> {
    let (namespace, name) = cluster.waypoint_of(object)?;
    let service = cluster.object("Service", namespace, name)?;
    if service.label(GLOBAL) == Some("true") || object.label(GLOBAL) != Some("true") || service.labels.is_none() {
        return None;
    }
    let title = format!("waypoint {namespace}/{name}");
    let reason = format!("not global, while {} that is bound to it is", object.title());
    if !separate {
        let remedy =
            format!("kubectl --context {} label service -n {namespace} {name} istio.io/global=true", cluster.name);
        return Some(Item::warn(cluster.title(), title, reason, remedy));
    }
    let verdict = Verdict::likely(&format!("waypoint {namespace}/{name} of {}", cluster.title()))
        .says("the waypoint {waypoint} of {network} lacks the label istio.io/global=true, while {service} that is bound to it is global: calls from other networks pass it by")
        .slot("waypoint", format!("{namespace}/{name}"))
        .slot("service", object.title())
        .slot("network", cluster.title())
        .slot("status", "nothing")
        .token(name)
        .cluster(cluster.title());
    let verdict =
        shown(verdict, service, "metadata.labels: no istio.io/global", "the waypoint's Service is not global");
    let verdict = shown(verdict, object, "istio.io/global: \"true\"", "the service that is bound to it is");
    Some(Item::fail(cluster.title(), title, reason, "service-not-global", verdict))
}

/// How many services a sentence names.
const NAMED_MAX: usize = 3;

fn listed(names: &[String]) -> String {
    let named: Vec<&str> = names.iter().take(NAMED_MAX).map(String::as_str).collect();
    match names.len().saturating_sub(NAMED_MAX) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

fn network(cluster: &Cluster) -> Option<&str> {
    cluster.network().and_then(|(_, network)| network)
}

/// Ambient clusters that are linked over networks and share services of which not one is global: nothing crosses.
fn none_global(view: &View<'_>) -> Option<Item> {
    let mesh = view.mesh();
    let all = by_name(mesh);
    let ambient =
        |of: &[Of<'_>]| -> bool { of.iter().all(|(cluster, ..)| cluster.is_ambient() && !cluster.is_peered()) };
    let mut kept: Vec<String> = Vec::new();
    let mut example: Option<(&Of<'_>, &Of<'_>)> = None;
    for ((namespace, name), of) in &all {
        if of.iter().any(|(cluster, object, _)| cluster.is_ambient() && cluster.is_global(object) != Some(false)) {
            return None;
        }
        let (Some(here), true) = (of.first(), ambient(of)) else { continue };
        let is_other = |there: &&Of<'_>| {
            network(here.0).zip(network(there.0)).is_some_and(|(one, other)| one != other)
                && view.is_one_mesh(here.0, there.0)
                && [here, *there].iter().all(|of| of.0.own_gateways().next().is_some())
        };
        if let Some(there) = of.iter().find(is_other) {
            kept.push(format!("{namespace}/{name}"));
            example = example.or(Some((here, there)));
        }
    }
    let (here, there) = example?;
    let names = listed(&kept);
    let (one, two) = (here.0.title(), there.0.title());
    let reason = format!("none has istio.io/global=true, so {names} stay at home though the clusters are linked");
    // That anyone means to call across is inferred from the links alone.
    let verdict = Verdict::possible(&format!("services of {one} and {two}"))
        .says("no service of {network} is global, so none is offered to the other: {service} keep their endpoints at home")
        .slot("service", &names)
        .slot("network", format!("{one} and {two}"))
        .slot("status", "nothing");
    let verdict = [here, there].into_iter().fold(verdict, |verdict, (_, object, _)| {
        let quote = format!("{}: metadata.labels: no istio.io/global", object.title());
        shown(verdict, object, &quote, "one of the Services that both clusters have")
    });
    let verdict =
        kept.iter().filter_map(|name| name.rsplit('/').next()).fold(verdict, |verdict, name| verdict.token(name));
    Some(Item::fail(&format!("{}, {}", here.0.name, there.0.name), "Services", reason, "service-not-global", verdict))
}

/// Services that only other clusters have: sidecars know them, and the name server here does not. Most are not called from
/// here, so that it is only told.
fn elsewhere(view: &View<'_>, cluster: &Cluster) -> Option<Item> {
    let captures = cluster.mesh_config().is_some_and(|(_, config)| {
        config.proxy_metadata.get("ISTIO_META_DNS_CAPTURE").is_some_and(|value| &**value == "true")
    });
    if captures || cluster.is_ambient() || cluster.is_peered() {
        return None;
    }
    let all = by_name(view.mesh());
    let is_only_elsewhere = |(namespace, of): (&str, &Vec<Of<'_>>)| {
        of.iter().all(|(other, ..)| other.name != cluster.name && view.is_one_mesh(cluster, other))
            && cluster.knows_all("Service", namespace)
            && cluster.object("Namespace", "", namespace).is_some()
    };
    let names: Vec<String> = all
        .iter()
        .filter(|((namespace, _), of)| is_only_elsewhere((namespace, of)))
        .map(|((namespace, name), _)| format!("{namespace}/{name}"))
        .collect();
    let reason = format!("not here: {}; without DNS capture their names do not resolve here", listed(&names));
    (!names.is_empty()).then(|| Item::pass(&cluster.name, "Services of other clusters", reason))
}

/// Namespaces that the discovery selectors leave out although they belong to the mesh.
fn hidden(mesh: &Mesh, cluster: &Cluster) -> Vec<Item> {
    let Some((event, config)) = cluster.mesh_config().filter(|(_, config)| !config.discovery_selectors.is_empty())
    else {
        return Vec::new();
    };
    // An expression is not evaluated here: it might select any namespace.
    let Some(selectors) = config.discovery_labels.iter().cloned().collect::<Option<Vec<Map>>>() else {
        return Vec::new();
    };
    let mut items = Vec::new();
    for namespace in cluster.objects("Namespace") {
        let Some(labels) = &namespace.labels else { continue };
        if selectors.iter().any(|wanted| matches(wanted, labels)) {
            continue;
        }
        let is_system = *namespace.name == *cluster.system_namespace();
        let in_mesh = ["istio-injection", "istio.io/dataplane-mode", "istio.io/rev"]
            .iter()
            .filter_map(|key| namespace.label(key))
            .any(|value| value != "disabled" && value != "none");
        let network = namespace.label(crate::engine::mesh::NETWORK).is_some();
        if !(in_mesh || is_system && network) {
            continue;
        }
        let is_shared = mesh
            .clusters()
            .filter(|of| of.name != cluster.name)
            .any(|of| of.services().any(|(object, _)| object.namespace == namespace.name));
        let title = cluster.title();
        let reason = format!("no discovery selector matches it, so istiod of {title} does not read it");
        let object = format!("Namespace {}", namespace.name);
        if !is_shared && !is_system {
            let remedy = "Label the namespace as the discovery selectors ask, or take it out of the mesh.";
            items.push(Item::warn(title, object, reason, remedy));
            continue;
        }
        let verdict = Verdict::certain(&format!("{title} {}", namespace.name))
            .slot("cluster", title)
            .slot("reason", format!("namespace {} has none of their labels, but belongs to the mesh", namespace.name))
            .token(&namespace.name)
            .cluster(title)
            .because_quote(
                event,
                &format!("discoverySelectors: {}", config.discovery_selectors.join(" ")),
                "istiod reads only what these select",
            );
        let have: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let verdict =
            shown(verdict, namespace, &format!("labels: {}", have.join(",")), "the namespace carries none of them");
        items.push(Item::fail(title, object, reason, "discovery-selectors", verdict));
    }
    items
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use meshwhy_parsers::event::Kind;

    use super::CHECK;
    use crate::causes::service_not_global;
    use crate::checks::testing::{failed, told, world};
    use crate::engine::view::View;

    fn service(ports: &str, labels: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\n  namespace: shop\n  labels: {{{labels}}}\n  \
             resourceVersion: '4711'\nspec:\n  type: ClusterIP\n  clusterIP: 10.96.0.7\n  clusterIPs: [10.96.0.7]\n  \
             selector: {{app: web}}\n  ports:\n{ports}status:\n  loadBalancer: {{}}\n"
        )
    }

    const HTTP: &str = "  - {name: http, port: 80, protocol: TCP, targetPort: 8080}\n";

    fn ambient(network: &str) -> String {
        format!(
            "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Namespace\n  metadata:\n    name: istio-system\n    \
             labels: {{topology.istio.io/network: {network}}}\n- apiVersion: apps/v1\n  kind: DaemonSet\n  metadata:\n    \
             name: ztunnel\n    namespace: istio-system\n  spec:\n    selector: {{matchLabels: {{app: ztunnel}}}}\n    \
             template: {{metadata: {{labels: {{app: ztunnel}}}}, spec: {{containers: [{{name: istio-proxy, image: ztunnel}}]}}}}\n  \
             status: {{desiredNumberScheduled: 2, numberReady: 2}}\n"
        )
    }

    #[test]
    fn ports_without_a_common_one_do_not_merge() {
        let (east, west) = (service(HTTP, ""), service("  - {name: http, port: 8080, protocol: TCP}\n", ""));
        assert_eq!(failed(&CHECK, &[("east", "s.yaml", &east), ("west", "s.yaml", &west)]), ["service-differs"]);
        let said = told(&CHECK, &[("east", "s.yaml", &east), ("west", "s.yaml", &east)]);
        assert_eq!(said, ["pass east, west Service shop/web: the same ports and type in east and west"]);
        assert_eq!(told(&CHECK, &[("east", "s.yaml", &east)]), [""; 0], "one cluster has nothing to compare with");
    }

    #[test]
    fn a_port_that_sidecars_know_by_another_name_does_not_merge_and_an_extra_port_only_warns() {
        let east = service(HTTP, "");
        let renamed = service("  - {name: web, port: 80, protocol: TCP}\n", "");
        assert_eq!(failed(&CHECK, &[("east", "s.yaml", &east), ("west", "s.yaml", &renamed)]), ["service-differs"]);
        let more = service(&format!("{HTTP}  - {{name: grpc, port: 90, protocol: TCP}}\n"), "");
        let said = told(&CHECK, &[("east", "s.yaml", &east), ("west", "s.yaml", &more)]);
        assert_eq!(said, ["warn east, west Service shop/web: ports http:80 in east and http:80, grpc:90 in west"]);
    }

    #[test]
    fn a_service_that_is_global_on_one_side_only_is_named_on_the_other() {
        let (here, there) = (ambient("net-east"), ambient("net-west"));
        let (open, shut) = (service(HTTP, "istio.io/global: 'true'"), service(HTTP, "app: web"));
        let files = [("east", "a.yaml", &*here), ("west", "a.yaml", &*there), ("east", "s.yaml", &*open)];
        let with = |west: &str| failed(&CHECK, &[files[0], files[1], files[2], ("west", "s.yaml", west)]);
        assert_eq!(with(&shut), ["service-not-global"]);
        assert_eq!(with(&open), [""; 0]);
        let scope = |selector: &str| {
            format!(
                "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: istio\n  namespace: istio-system\ndata:\n  mesh: |-\n    \
                 serviceScopeConfigs:\n    - scope: GLOBAL\n      servicesSelector: {selector}\n"
            )
        };
        let scoped = |selector: &str| {
            let mesh = scope(selector);
            failed(&CHECK, &[files[0], files[1], files[2], ("west", "s.yaml", &shut), ("west", "cm.yaml", &mesh)])
        };
        assert_eq!(scoped("{matchLabels: {app: other}}"), ["service-not-global"]);
        assert_eq!(scoped("{matchLabels: {app: web}}"), [""; 0], "the mesh config opens it");
        let expression =
            |operator: &str| format!("{{matchExpressions: [{{key: app, operator: {operator}, values: [web]}}]}}");
        assert_eq!(scoped(&expression("In")), [""; 0], "the mesh config opens it by an expression");
        assert_eq!(scoped(&expression("NotIn")), ["service-not-global"]);
        assert_eq!(scoped(&expression("Near")), [""; 0], "who knows whether it opens it");
        let one_network = [files[0], ("west", "a.yaml", &*here), files[2], ("west", "s.yaml", &*shut)];
        assert_eq!(failed(&CHECK, &one_network), [""; 0], "on one network pods are called directly");
    }

    /// An ambient cluster on a network of its own, with a gateway and one Service with these labels.
    fn linked(network: &str, other: &str, labels: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{name: istio-system, labels: {{topology.istio.io/network: {network}}}}}\n\
             ---\napiVersion: apps/v1\nkind: DaemonSet\nmetadata: {{name: ztunnel, namespace: istio-system}}\n---\n\
             apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: eastwest, namespace: istio-system, \
             labels: {{topology.istio.io/network: {network}}}}}\nspec: {{gatewayClassName: istio-east-west, listeners: [{{name: \
             mesh, port: 15008, protocol: HBONE}}]}}\n---\napiVersion: v1\nkind: Secret\nmetadata: {{name: \
             istio-remote-secret-{other}, namespace: istio-system, labels: {{istio/multiCluster: \"true\"}}}}\ndata: \
             {{{other}: e30=}}\n---\napiVersion: v1\nkind: Service\nmetadata: {{name: web, namespace: shop, labels: \
             {{{labels}}}}}\nspec: {{ports: [{{port: 80, name: http}}]}}\n"
        )
    }

    #[test]
    fn linked_ambient_clusters_of_which_no_service_is_global_share_nothing() {
        let failed = |labels: &str| {
            let (east, west) = (linked("n1", "west", labels), linked("n2", "east", labels));
            let lines = told(&CHECK, &[("east", "all.yaml", &east), ("west", "all.yaml", &west)]);
            lines.into_iter().filter(|line| line.starts_with("fail")).collect::<Vec<_>>()
        };
        assert_eq!(
            failed("app: web"),
            [
                "fail east, west Services: none has istio.io/global=true, so shop/web stay at home though the clusters are \
              linked [service-not-global: services of east and west]"
            ]
        );
        assert_eq!(failed("app: web, istio.io/global: \"true\""), [""; 0]);
    }

    #[test]
    fn a_service_that_only_another_cluster_has_is_told_and_no_fault() {
        let list = |services: &str| {
            format!(
                "apiVersion: v1\nkind: List\nitems:\n- {{apiVersion: v1, kind: Service, metadata: {{name: web, namespace: shop}}, \
                 spec: {{ports: [{{port: 80}}]}}}}\n- {{apiVersion: v1, kind: Service, metadata: {{name: dns, namespace: \
                 kube-system}}, spec: {{ports: [{{port: 53}}]}}}}\n{services}"
            )
        };
        let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n";
        let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: istio-remote-secret-west, namespace: istio-system, \
            labels: {istio/multiCluster: \"true\"}}\ndata: {west: e30=}\n";
        let cart =
            "- {apiVersion: v1, kind: Service, metadata: {name: cart, namespace: shop}, spec: {ports: [{port: 80}]}}\n";
        let told = |mesh: &str| {
            let files = [
                ("east", "services.yaml", &*list("")),
                ("east", "namespaces.yaml", namespace),
                ("east", "secrets.yaml", secret),
                ("east", "mesh.yaml", mesh),
                ("west", "services.yaml", &*list(cart)),
            ];
            told(&CHECK, &files).into_iter().filter(|line| line.contains("not here")).collect::<Vec<_>>()
        };
        let map = |captures: &str| {
            format!(
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: istio, namespace: istio-system}}\ndata:\n  mesh: |-\n    \
                 defaultConfig:\n      proxyMetadata:\n        ISTIO_META_DNS_CAPTURE: \"{captures}\"\n"
            )
        };
        assert_eq!(
            told(&map("false")),
            [
                "pass east Services of other clusters: not here: shop/cart; without DNS capture their names do not resolve here"
            ]
        );
        assert_eq!(told(&map("true")), [""; 0]);
    }

    fn cart(network: &str, labels: &str) -> String {
        format!(
            "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Namespace\n  metadata:\n    name: istio-system\n    \
             labels: {{topology.istio.io/network: {network}}}\n- apiVersion: v1\n  kind: Service\n  metadata:\n    name: cart\n    \
             namespace: shop\n    labels: {{{labels}}}\n  spec:\n    type: ClusterIP\n    clusterIP: 10.96.7.7\n    \
             clusterIPs: [10.96.7.7]\n    selector: {{app: cart}}\n    ports: [{{name: http, port: 80, protocol: TCP}}]\n"
        )
    }

    fn pods(rows: &str) -> String {
        format!(
            "NAMESPACE      NAME                     READY   STATUS    RESTARTS   AGE\nistio-system   ztunnel-4tv5z            \
             1/1     Running   0          5d\n{rows}"
        )
    }

    const CALLER: &str = "shop           web-5b7d9c6f4-x2x9z      1/1     Running   0          5d\n";
    const READY: &str = "shop           cart-7f9d8b6c5-kq2lm     1/1     Running   0          5d\n";
    const NOT_READY: &str = "shop           cart-7f9d8b6c5-kq2lm     0/1     Running   0          5d\n";
    const NO_ENDPOINT: &str = "2026-02-06T08:29:09.117240Z\twarn\taccess\tconnection failed\tsrc.addr=10.1.0.4:41822 dst.addr=10.96.7.7:80 direction=\"outbound\" error=\"no healthy upstream: 10.96.7.7:80\"\n";

    fn judged((here, there): (&str, &str), labels: &str, network: &str) -> Option<String> {
        let files = [
            ("east", "state.yaml", &*cart("net-1", "app: cart")),
            ("east", "pods.txt", &pods(here)),
            ("west", "state.yaml", &cart(network, labels)),
            ("west", "pods.txt", &pods(there)),
            ("east", "istio-system/ztunnel-1/istio-proxy.log", NO_ENDPOINT),
        ];
        let world = world(&files);
        let view = View::new(&world, true).asking_state(true);
        let event = Arc::clone(view.events(Kind::Connection).next().expect("the line is a connection"));
        service_not_global::connection(&view, &event).map(|verdict| verdict.subject)
    }

    #[test]
    fn pods_of_another_network_do_not_count_where_the_service_is_not_global() {
        let away = (CALLER, READY);
        assert_eq!(judged(away, "app: cart", "net-2").as_deref(), Some("shop/cart"));
        assert_eq!(judged(away, "istio.io/global: 'true'", "net-2"), None);
        assert_eq!(judged(away, "app: cart", "net-1"), None, "on one network no label is needed");
        assert_eq!(judged((NOT_READY, READY), "app: cart", "net-2"), None, "its own pod is not ready");
        assert_eq!(judged((CALLER, NOT_READY), "app: cart", "net-2"), None, "nor could the other side serve");
        assert_eq!(judged(("", READY), "app: cart", "net-2"), None, "its own pods were not saved");
    }
}
