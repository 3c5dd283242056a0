//! A service or its waypoint is not marked global, or does not exist on the other side.

use std::sync::Arc;

use meshwhy_parsers::event::{Event, Kind};
use meshwhy_parsers::table::label;
use meshwhy_parsers::ztunnel::{ConnectionWhat, Direction};

use super::{saved, tunnel};
use crate::engine::cause::{Cause, Rule, Severity, Verdict};
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
    explains: &[],
    hits: &["gateway-does-not-know-service", "state-joined-tunnel-service-not-global"],
    near_misses: &["gateway-refuses-15008", "ambient-application-refuses", "state-joined-tunnel-service-not-ready"],
    rules: &[Rule::after(Kind::Connection, 5, connection), Rule::Mesh(labels)],
};

const GLOBAL: &str = "istio.io/global";

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
        _ => None,
    }
}
