//! A service or its waypoint is not marked global, or does not exist on the other side.

use std::sync::Arc;

use meshwhy_parsers::event::{Addr, Event, Kind};
use meshwhy_parsers::state::object::Pod;
use meshwhy_parsers::table::label;
use meshwhy_parsers::ztunnel::{ConnectionWhat, Direction};

use super::{saved, tunnel};
use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::mesh::{Cluster, GLOBAL};
use crate::engine::view::View;

/// The cause.
pub static CAUSE: Cause = Cause {
    slug: "service-not-global",
    severity: Severity::Error,
    summary: "{service} is not offered by {network}: its gateway answered {status}",
    mechanism: "Across networks ztunnel names the service, not a pod: the CONNECT says <host>:<port> to the remote gateway. \
                That gateway serves only services that are marked istio.io/global=true there and have a Service of that \
                name and namespace with endpoints. Otherwise it answers 404 (no route) or 503 (no endpoint), or the remote \
                ztunnel prints \"no service or workload for hostname\". The tunnel, the certificates and the gateway are \
                all well, which is why other services through the same gateway work.",
    remedy: "In the cluster behind {network}: does {service} exist with the same name, namespace and port, does it have \
             endpoints, and does it (and its waypoint) carry the label istio.io/global=true?",
    verify: "kubectl --context <remote> get service -A -l istio.io/global=true",
    explains: &[("no-healthy-upstream", Within::Token)],
    hits: &["gateway-does-not-know-service", "state-joined-tunnel-service-not-global"],
    near_misses: &["gateway-refuses-15008", "ambient-application-refuses", "state-joined-tunnel-service-not-ready"],
    rules: &[Rule::after(Kind::Connection, 5, connection), Rule::Mesh(labels)],
};

/// Service tables with labels: one cluster offers the service to all, the other keeps it to itself.
fn labels(view: &View<'_>) -> Vec<Verdict> {
    let services = saved::services(view);
    let mut verdicts = Vec::new();
    for here in services.iter().filter(|service| label(service.labels, GLOBAL) == Some("true")) {
        let kept = |there: &&saved::Service<'_>| {
            here.is_same_elsewhere(there) && there.labels.contains('=') && label(there.labels, GLOBAL) != Some("true")
        };
        let Some(there) = services.iter().find(kept) else { continue };
        let cluster = &there.event.origin.cluster;
        verdicts.push(
            Verdict::likely(&format!("{}/{}", here.namespace, here.name))
                .says("{service} is global in one cluster, but in {network} it lacks the label istio.io/global=true: its endpoints there stay at home")
                .slot("service", here.name)
                .slot("network", cluster)
                .token(here.name)
                .cluster(cluster)
                .because(there.event, "the Service carries labels, and not istio.io/global=true")
                .because(here.event, "while the one of the same name elsewhere does"),
        );
    }
    verdicts
}

/// Reads a gateway's answer to a ztunnel, and the far ztunnel's own line.
pub fn connection(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let (connection, what) = tunnel::failed(event)?;
    match (connection.direction, what) {
        (Direction::Outbound, ConnectionWhat::HttpStatus(status @ (404 | 503))) => {
            let (network, address) = tunnel::gateway(connection)?;
            let host = connection.hbone.as_ref().map_or(&*connection.service, |hbone| &hbone.host);
            let host = if connection.service.is_empty() { host } else { &connection.service };
            let far = view.events(Kind::Connection).find(|other| {
                tunnel::inbound(other).is_some_and(|(_, what)| {
                    matches!(what, ConnectionWhat::NoServiceForHost(named) if named.split(':').next() == Some(host))
                })
            });
            let verdict = match far {
                Some(far) => Verdict::certain(host).because(far, "the far ztunnel does not know the service"),
                None => Verdict::likely(host).settle_by(format!(
                    "kubectl --context <remote> get service -A --field-selector metadata.name={} --show-labels",
                    host.split('.').next().unwrap_or(host)
                )),
            };
            Some(
                verdict
                    .because(event, "the gateway took the tunnel and refused the service")
                    .slot("service", host)
                    .slot("network", network)
                    .slot("status", status)
                    .token(host)
                    .token(address),
            )
        }
        (_, ConnectionWhat::NoServiceForHost(named)) => {
            let host = named.split(':').next().unwrap_or(named);
            Some(
                Verdict::certain(host)
                    .says("{service} is called from another network, but {network} has no such service")
                    .because(event, "a request from another network names a service that is unknown here")
                    .slot("service", host)
                    .slot("network", tunnel::own_cluster(view, event))
                    .slot("status", 503)
                    .token(host),
            )
        }
        (Direction::Outbound, ConnectionWhat::NoHealthyUpstream(vip)) => kept_elsewhere(view, event, vip),
        _ => None,
    }
}

/// A service of ambient without a pod here, whose ready pods are on another network and whose Service there is not global.
fn kept_elsewhere(view: &View<'_>, event: &Arc<Event>, vip: &Addr) -> Option<Verdict> {
    let near = view.mesh().by_id(&tunnel::own_cluster(view, event))?;
    let (object, service) = near.services().find(|(_, service)| service.cluster_ips.contains(&vip.host))?;
    let is_offered = service.ports.iter().any(|port| port.port == vip.port);
    // One of its own pods that is not ready would be reason enough.
    let is_told = near.knows_all("Pod", &object.namespace) || near.pods_in(&object.namespace).next().is_some();
    if !is_offered || !is_told || !near.pods_behind(object, service).is_empty() {
        return None;
    }
    let network = |cluster: &Cluster| cluster.network().and_then(|(_, network)| network.map(str::to_string));
    let own = network(near)?;
    let is_apart = |far: &&Cluster| far.is_ambient() && network(far).is_some_and(|network| network != own);
    let (far, there, (pod, state)) = view.others(near).filter(is_apart).find_map(|far| {
        let there = far.object("Service", &object.namespace, &object.name)?;
        let of = far.services().find(|(of, _)| of.namespace == there.namespace && of.name == there.name)?.1;
        let is_ready = |pod: &(_, &Pod)| 0 < pod.1.ready.1 && pod.1.ready.0 == pod.1.ready.1;
        let ready = far.pods_behind(there, of).into_iter().find(is_ready)?;
        (far.is_global(there) == Some(false)).then_some((far, there, ready))
    })?;
    let host = format!("{}.{}.svc.cluster.local", object.name, object.namespace);
    let (ready, of) = state.ready;
    Some(
        Verdict::likely(&format!("{}/{}", object.namespace, object.name))
            .says("{service} has no pod in {near}, and those in {network} do not count: there it is not global, so they stay in their own network")
            .slot("service", &host)
            .slot("near", near.title())
            .slot("network", far.title())
            .slot("status", "nothing")
            .token(&object.name)
            .token(&host)
            .token(&vip.host)
            .cluster(near.title())
            .cluster(far.title())
            .because(event, "the service's address is known, and none of its endpoints can be used")
            .because_object(there, "metadata.labels: no istio.io/global", "the Service on the other network is not global")
            .because_object(pod, &format!("{ready} of {of} containers ready"), "a pod of it there could serve"),
    )
}
