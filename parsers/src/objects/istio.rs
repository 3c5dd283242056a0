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
