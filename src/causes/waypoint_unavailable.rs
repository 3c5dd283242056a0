//! The waypoint a service or workload is bound to does not exist, has no ready pod, or refuses.

use std::sync::Arc;

use meshwhy_parsers::errors::What;
use meshwhy_parsers::event::{Event, Kind};
use meshwhy_parsers::ztunnel::ConnectionWhat;

use super::tunnel;
use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::view::View;

/// The cause.
pub static CAUSE: Cause = Cause {
    slug: "waypoint-unavailable",
    severity: Severity::Error,
    summary: "the waypoint {waypoint} that {to} is bound to is not available",
    mechanism: "A service or namespace labelled istio.io/use-waypoint is reached only through its waypoint: ztunnel opens the \
                tunnel to the waypoint's pod and never to the application directly, and it does not fall back. If the waypoint's \
                Service or Gateway was deleted, has no ready pod, or was never made because the label names one that does not \
                exist, every call to every service bound to it fails, while the applications are well. The line names the \
                waypoint's pod as destination and the service's address as the tunnel's target.",
    remedy: "Check the Gateway {waypoint} and its pods; if it is gone for good, remove the label istio.io/use-waypoint from what \
             is bound to it.",
    verify: "istioctl waypoint list -A; kubectl get pods -A -l gateway.networking.k8s.io/gateway-class-name=istio-waypoint",
    explains: &[("no-healthy-upstream", Within::Token)],
    hits: &["ambient-waypoint-missing", "ambient-waypoint-refuses", "state-joined-waypoint-not-there"],
    near_misses: &["ambient-pod-not-captured", "ambient-service-without-endpoints", "state-joined-waypoint-made-since"],
    rules: &[Rule::after(Kind::Connection, 5, connection)],
};

/// Reads a ztunnel connection whose waypoint could not be used.
pub fn connection(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let (connection, what) = tunnel::outbound(event)?;
    let to = match &*connection.service {
        "" => connection.dst.addr.as_ref().map(|addr| addr.host.to_string()).unwrap_or_default(),
        service => service.to_string(),
    };
    let bound = |name: &str| if to.is_empty() { name.to_string() } else { to.clone() };
    let verdict = match what {
        ConnectionWhat::UnknownWaypoint(waypoint) => {
            let name = waypoint.rsplit('/').next().unwrap_or(waypoint);
            Verdict::certain(name)
                .slot("waypoint", name)
                .slot("to", bound("a service"))
                .token(name)
                .because(event, "ztunnel knows no such waypoint")
        }
        ConnectionWhat::NoHealthyUpstream(vip) => {
            let (document, dump) = view.dump_for(event)?;
            let (service, _) = tunnel::service_at(dump, &vip.host)?;
            // Either the waypoint itself was dialled, or the service is bound to one without endpoints.
            let waypoint = dump.services.iter().find(|candidate| {
                !service.waypoint.is_empty()
                    && service.waypoint.rsplit('/').next() == Some(&*candidate.hostname)
                    && candidate.endpoints.is_empty()
            })?;
            Verdict::certain(&waypoint.hostname)
                .slot("waypoint", &waypoint.hostname)
                .slot("to", &service.hostname)
                .token(&waypoint.hostname)
                .token(&service.hostname)
                .because(event, "no endpoint can be used")
                .because_quote(
                    document,
                    &format!(
                        "service {} waypoint={}; service {} endpoints={{}}",
                        service.hostname, service.waypoint, waypoint.hostname
                    ),
                    "the waypoint it is bound to has no pod",
                )
        }
        ConnectionWhat::HttpStatus(404 | 503) if tunnel::to_waypoint(connection) => {
            let name = tunnel::destination(connection);
            Verdict::likely(&name)
                .says("the waypoint {waypoint} takes the tunnel but does not serve {to}")
                .slot("waypoint", &name)
                .slot("to", bound("the service"))
                .token(&name)
                .because(event, "the waypoint refused the target")
                .settle_by(
                    "istioctl proxy-config listener <waypoint pod>; istioctl proxy-config endpoint <waypoint pod>",
                )
        }
        what => {
            let fault = tunnel::connect_fault(what)?;
            if !tunnel::to_waypoint(connection) || !matches!(fault, What::Refused | What::TimedOut | What::NoRoute) {
                return None;
            }
            let name = tunnel::destination(connection);
            Verdict::likely(&name)
                .slot("waypoint", &name)
                .slot("to", bound("the service"))
                .token(&name)
                .because(event, "the tunnel's far end is a waypoint (the target is another address), and it does not take the connection")
        }
    };
    Some(verdict.token(tunnel::dialled(connection)))
}
