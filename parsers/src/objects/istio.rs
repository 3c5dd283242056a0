//! What objects of Istio say, and the routes of the Gateway API, which say the same as a VirtualService.

use std::collections::BTreeMap;

use super::body::selector;
use super::field::Field;
use crate::event::Text;
use crate::state::object::{
    AuthorizationPolicy, Body, Destination, DestinationRule, IstioGateway, Locality, PeerAuthentication, Server,
    ServiceEntry, Sidecar, VirtualService, WorkloadEntry,
};

/// What an object of Istio's groups says, in any version.
pub(super) fn body(kind: &str, spec: Field<'_>, status: Field<'_>, namespace: &str) -> Body {
    match kind {
        "Gateway" => Body::IstioGateway(gateway(spec)),
        "VirtualService" => Body::VirtualService(virtual_service(spec, namespace)),
        "DestinationRule" => Body::DestinationRule(Box::new(destination_rule(spec))),
        "ServiceEntry" => Body::ServiceEntry(Box::new(service_entry(spec, status))),
        "WorkloadEntry" => Body::WorkloadEntry(Box::new(workload_entry(spec))),
        "WorkloadGroup" => {
            let mut entry = workload_entry(spec.at("template"));
            // The labels of a group's workloads stand in its metadata template.
            entry.labels.extend(spec.at("metadata").at("labels").map());
            Body::WorkloadEntry(Box::new(entry))
        }
        "PeerAuthentication" => Body::PeerAuthentication(peer_authentication(spec)),
        "AuthorizationPolicy" => Body::AuthorizationPolicy(authorization_policy(spec)),
        "Sidecar" => Body::Sidecar(Sidecar {
            selector: spec.at("workloadSelector").at("labels").map(),
            egress_hosts: spec.at("egress").items().flat_map(|listener| listener.at("hosts").texts()).collect(),
            outbound_mode: spec.at("outboundTrafficPolicy").at("mode").text(),
        }),
        "EnvoyFilter" => {
            Body::EnvoyFilter(spec.at("configPatches").items().map(|patch| patch.at("applyTo").text()).collect())
        }
        _ => Body::Other,
    }
}

fn gateway(spec: Field<'_>) -> IstioGateway {
    let server = |field: Field<'_>| Server {
        port: field.at("port").at("number").number().unwrap_or(0),
        protocol: field.at("port").at("protocol").text(),
        hosts: field.at("hosts").texts(),
        tls_mode: field.at("tls").at("mode").text(),
        credential: field.at("tls").at("credentialName").text(),
    };
    IstioGateway { selector: spec.at("selector").map(), servers: spec.at("servers").items().map(server).collect() }
}

fn virtual_service(spec: Field<'_>, namespace: &str) -> VirtualService {
    let qualified = |gateway: Text| match &*gateway {
        "mesh" => gateway,
        name if name.contains('/') => gateway,
        name => format!("{namespace}/{name}").into(),
    };
    let mut gateways: Vec<Text> = spec.at("gateways").texts().into_iter().map(qualified).collect();
    if gateways.is_empty() {
        // Without gateways it applies to all sidecars.
        gateways.push("mesh".into());
    }
    let mut destinations = Vec::new();
    for route in ["http", "tls", "tcp"].into_iter().flat_map(|protocol| spec.at(protocol).items()) {
        destinations.extend(route.at("route").items().map(|target| destination(target.at("destination"))));
        destinations.extend(Some(route.at("mirror")).filter(|mirror| mirror.is_set()).map(destination));
        destinations.extend(route.at("mirrors").items().map(|mirror| destination(mirror.at("destination"))));
    }
    VirtualService { hosts: spec.at("hosts").texts(), gateways, destinations }
}

fn destination(field: Field<'_>) -> Destination {
    Destination {
        host: field.at("host").text(),
        subset: field.at("subset").text(),
        port: field.at("port").at("number").number().unwrap_or(0),
    }
}

/// A route of the Gateway API. A parent that is a Service stands for its host in the mesh.
pub(super) fn route(spec: Field<'_>, namespace: &str) -> VirtualService {
    let mut route = VirtualService { hosts: spec.at("hostnames").texts(), ..VirtualService::default() };
    for parent in spec.at("parentRefs").items() {
        match parent.at("kind").str() {
            "" | "Gateway" => {
                let of = parent.at("namespace").text();
                let of = if of.is_empty() { namespace } else { &of };
                route.gateways.push(format!("{of}/{}", parent.at("name").text()).into());
            }
            "Service" => {
                route.hosts.push(host(parent));
                route.gateways.push("mesh".into());
            }
            _ => route.gateways.push("mesh".into()),
        }
    }
    let rules = || spec.at("rules").items();
    let filters = rules().flat_map(|rule| rule.at("filters").items());
    let mirrors = filters.map(|filter| filter.at("requestMirror").at("backendRef")).filter(|target| target.is_set());
    for backend in rules().flat_map(|rule| rule.at("backendRefs").items()).chain(mirrors) {
        let port = backend.at("port").number().unwrap_or(0);
        route.destinations.push(Destination { host: host(backend), subset: Text::default(), port });
    }
    route
}

/// The host of a reference: the short name within the route's own namespace, else with the other namespace.
fn host(reference: Field<'_>) -> Text {
    let name = reference.at("name").text();
    match (reference.at("kind").str(), reference.at("namespace").str()) {
        ("Hostname", _) | (_, "") => name,
        (_, namespace) => format!("{name}.{namespace}.svc.cluster.local").into(),
    }
}

fn destination_rule(spec: Field<'_>) -> DestinationRule {
    let policy = spec.at("trafficPolicy");
    let locality = policy.at("loadBalancer").at("localityLbSetting");
    let failover = |field: Field<'_>| (field.at("from").text(), field.at("to").text());
    DestinationRule {
        host: spec.at("host").text(),
        tls_mode: policy.at("tls").at("mode").text(),
        subsets: spec
            .at("subsets")
            .items()
            .map(|subset| (subset.at("name").text(), subset.at("labels").map()))
            .collect(),
        outlier_detection: policy.at("outlierDetection").is_set(),
        locality: locality.is_set().then(|| Locality {
            enabled: locality.at("enabled").flag().unwrap_or(true),
            distribute: locality.at("distribute").items().next().is_some(),
            failover: locality.at("failover").items().map(failover).collect(),
            priority: locality.at("failoverPriority").texts(),
        }),
    }
}

fn service_entry(spec: Field<'_>, status: Field<'_>) -> ServiceEntry {
    let mut addresses = spec.at("addresses").texts();
    for assigned in status.at("addresses").items().map(|address| address.at("value").text()) {
        if !assigned.is_empty() && !addresses.contains(&assigned) {
            addresses.push(assigned);
        }
    }
    let port =
        |port: Field<'_>| Some((port.at("number").number()?, port.at("name").text(), port.at("protocol").text()));
    let endpoint = |endpoint: Field<'_>| (endpoint.at("address").text(), endpoint.at("network").text());
    ServiceEntry {
        hosts: spec.at("hosts").texts(),
        addresses,
        ports: spec.at("ports").items().filter_map(port).collect(),
        location: spec.at("location").text(),
        resolution: spec.at("resolution").text(),
        endpoints: spec.at("endpoints").items().map(endpoint).collect(),
        selector: spec.at("workloadSelector").at("labels").map(),
    }
}

fn workload_entry(spec: Field<'_>) -> WorkloadEntry {
    WorkloadEntry {
        address: spec.at("address").text(),
        ports: spec.at("ports").entries().filter_map(|(name, port)| Some((name.into(), port.number()?))).collect(),
        network: spec.at("network").text(),
        locality: spec.at("locality").text(),
        service_account: spec.at("serviceAccount").text(),
        labels: spec.at("labels").map(),
    }
}

fn peer_authentication(spec: Field<'_>) -> PeerAuthentication {
    let ports = spec.at("portLevelMtls").entries();
    let ports: BTreeMap<u16, Text> =
        ports.filter_map(|(port, mtls)| Some((port.parse().ok()?, mtls.at("mode").text()))).collect();
    PeerAuthentication { mode: spec.at("mtls").at("mode").text(), selector: selector(spec.at("selector")), ports }
}

fn authorization_policy(spec: Field<'_>) -> AuthorizationPolicy {
    let target = |field: Field<'_>| Text::from(format!("{}/{}", field.at("kind").text(), field.at("name").text()));
    let old = Some(spec.at("targetRef")).filter(|target| target.is_set());
    let rules = || spec.at("rules").items();
    let sources = rules().flat_map(|rule| rule.at("from").items()).map(|from| from.at("source"));
    AuthorizationPolicy {
        action: spec.at("action").text(),
        selector: selector(spec.at("selector")),
        targets: spec.at("targetRefs").items().chain(old).map(target).collect(),
        rules: u32::try_from(rules().count()).unwrap_or(u32::MAX),
        sources: sources
            .flat_map(|source| {
                let mut named = source.at("principals").texts();
                named.extend(source.at("namespaces").texts());
                named
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::{object, yaml};

    fn read(kind: &str, spec: &str) -> Body {
        let (group, kind) = kind.split_once(' ').expect("group and kind");
        let text = format!("apiVersion: {group}\nkind: {kind}\nmetadata:\n  name: a\n  namespace: shop\n{spec}");
        let value = yaml::value(&text).expect("valid YAML");
        object(Field::from(&value), ("", "")).expect("an object").0.body
    }

    #[test]
    fn a_cross_network_gateway_is_read_in_every_version() {
        for version in ["v1alpha3", "v1beta1", "v1"] {
            let body = read(
                &format!("networking.istio.io/{version} Gateway"),
                "spec:\n  selector:\n    istio: eastwestgateway\n  servers:\n  - hosts:\n    - '*.local'\n    port:\n      name: tls\n      number: 15443\n      protocol: TLS\n    tls:\n      mode: AUTO_PASSTHROUGH\n",
            );
            let Body::IstioGateway(gateway) = body else { panic!("{body:?}") };
            let server = &gateway.servers[0];
            assert_eq!(
                (server.port, &*server.tls_mode, server.hosts.as_slice()),
                (15443, "AUTO_PASSTHROUGH", ["*.local".into()].as_slice())
            );
        }
    }

    #[test]
    fn a_virtual_service_names_all_its_destinations() {
        let body = read(
            "networking.istio.io/v1 VirtualService",
            "spec:\n  hosts: [cart]\n  gateways: [public, istio-system/edge, mesh]\n  http:\n  - match: [{uri: {prefix: /v2}}]\n    mirror: {host: shadow}\n    route:\n    - destination: {host: cart, subset: v2, port: {number: 80}}\n      weight: 10\n    - destination: {host: cart, subset: v1}\n      weight: 90\n  tls:\n  - match: [{port: 443, sniHosts: [x]}]\n    route: [{destination: {host: edge.example.org}}]\n",
        );
        let Body::VirtualService(service) = body else { panic!("{body:?}") };
        assert_eq!(service.gateways, ["shop/public", "istio-system/edge", "mesh"].map(Text::from));
        let hosts: Vec<_> = service.destinations.iter().map(|to| (&*to.host, &*to.subset, to.port)).collect();
        assert_eq!(hosts, [("cart", "v2", 80), ("cart", "v1", 0), ("shadow", "", 0), ("edge.example.org", "", 0)]);
        let Body::VirtualService(plain) = read("networking.istio.io/v1 VirtualService", "spec: {hosts: [x]}\n") else {
            panic!()
        };
        assert_eq!(plain.gateways, ["mesh".into()]);
    }

    #[test]
    fn a_route_says_the_same_as_a_virtual_service() {
        let body = read(
            "gateway.networking.k8s.io/v1 HTTPRoute",
            "spec:\n  hostnames: [shop.example.org]\n  parentRefs:\n  - name: edge\n    namespace: istio-system\n  - group: \"\"\n    kind: Service\n    name: cart\n  rules:\n  - backendRefs:\n    - name: cart-v2\n      port: 80\n    - {name: cart, namespace: other, port: 80}\n    - {group: networking.istio.io, kind: Hostname, name: cart.mesh.internal, port: 80}\n",
        );
        let Body::VirtualService(route) = body else { panic!("{body:?}") };
        assert_eq!(route.gateways, ["istio-system/edge", "mesh"].map(Text::from));
        assert_eq!(route.hosts, ["shop.example.org", "cart"].map(Text::from));
        let hosts: Vec<_> = route.destinations.iter().map(|to| &*to.host).collect();
        assert_eq!(hosts, ["cart-v2", "cart.other.svc.cluster.local", "cart.mesh.internal"]);
    }

    #[test]
    fn a_destination_rule_says_how_it_spreads_and_encrypts() {
        let body = read(
            "networking.istio.io/v1 DestinationRule",
            "spec:\n  host: cart\n  subsets: [{name: v1, labels: {version: v1}}]\n  trafficPolicy:\n    tls: {mode: DISABLE}\n    outlierDetection: {consecutive5xxErrors: 5}\n    loadBalancer:\n      localityLbSetting:\n        enabled: false\n        failover: [{from: eu, to: us}]\n        failoverPriority: [topology.istio.io/network]\n",
        );
        let Body::DestinationRule(rule) = body else { panic!("{body:?}") };
        assert_eq!((&*rule.tls_mode, rule.outlier_detection, rule.subsets.len()), ("DISABLE", true, 1));
        let locality = rule.locality.expect("locality settings");
        assert_eq!((locality.enabled, locality.distribute, locality.failover.len()), (false, false, 1));
    }

    #[test]
    fn entries_and_groups_of_workloads_are_read() {
        let body = read(
            "networking.istio.io/v1 ServiceEntry",
            "spec:\n  hosts: [db.example.org]\n  addresses: [10.9.9.9]\n  location: MESH_INTERNAL\n  resolution: STATIC\n  ports: [{number: 5432, name: tcp, protocol: TCP}]\n  endpoints: [{address: 172.18.0.9, network: net-east}]\nstatus:\n  addresses:\n  - {host: db.example.org, value: 240.240.0.1}\n",
        );
        let Body::ServiceEntry(entry) = body else { panic!("{body:?}") };
        assert_eq!(entry.addresses, ["10.9.9.9", "240.240.0.1"].map(Text::from));
        assert_eq!((entry.ports[0].0, &*entry.endpoints[0].1), (5432, "net-east"));
        let body = read(
            "networking.istio.io/v1 WorkloadGroup",
            "spec:\n  metadata: {labels: {app: vm}}\n  template: {serviceAccount: vm, network: net-vm, ports: {http: 8080}}\n",
        );
        let Body::WorkloadEntry(group) = body else { panic!("{body:?}") };
        assert_eq!((&*group.network, group.ports.get("http"), group.labels.len()), ("net-vm", Some(&8080), 1));
    }

    #[test]
    fn policies_say_whom_they_select_and_name() {
        let body = read(
            "security.istio.io/v1 PeerAuthentication",
            "spec: {mtls: {mode: STRICT}, portLevelMtls: {8080: {mode: DISABLE}}}\n",
        );
        let Body::PeerAuthentication(peer) = body else { panic!("{body:?}") };
        assert_eq!((&*peer.mode, peer.ports.get(&8080).map(|mode| &**mode)), ("STRICT", Some("DISABLE")));
        let body = read(
            "security.istio.io/v1 AuthorizationPolicy",
            "spec:\n  selector: {matchLabels: {app: cart}}\n  targetRefs: [{kind: Gateway, group: gateway.networking.k8s.io, name: edge}]\n  rules:\n  - from: [{source: {principals: [cluster.local/ns/shop/sa/web], namespaces: [shop]}}]\n  - to: [{operation: {methods: [GET]}}]\n",
        );
        let Body::AuthorizationPolicy(policy) = body else { panic!("{body:?}") };
        assert_eq!(
            (&*policy.action, policy.rules, policy.targets.as_slice()),
            ("", 2, ["Gateway/edge".into()].as_slice())
        );
        assert_eq!(policy.sources, ["cluster.local/ns/shop/sa/web", "shop"].map(Text::from));
        let body = read(
            "networking.istio.io/v1 Sidecar",
            "spec: {workloadSelector: {labels: {app: cart}}, egress: [{hosts: ['./*', 'istio-system/*']}], outboundTrafficPolicy: {mode: REGISTRY_ONLY}}\n",
        );
        let Body::Sidecar(sidecar) = body else { panic!("{body:?}") };
        assert_eq!((sidecar.egress_hosts.len(), &*sidecar.outbound_mode), (2, "REGISTRY_ONLY"));
        let body = read(
            "networking.istio.io/v1alpha3 EnvoyFilter",
            "spec: {configPatches: [{applyTo: HTTP_FILTER, match: {}, patch: {operation: ADD}}, {applyTo: CLUSTER}]}\n",
        );
        assert_eq!(body, Body::EnvoyFilter(vec!["HTTP_FILTER".into(), "CLUSTER".into()]));
        assert_eq!(read("telemetry.istio.io/v1 Telemetry", "spec: {}\n"), Body::Other);
    }
}
