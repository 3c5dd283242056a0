//! The same service is defined differently in two clusters.

use std::sync::Arc;

use meshwhy_parsers::event::{Event, Fact, Kind, Network};

use super::saved;
use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::view::View;

/// The cause.
pub static CAUSE: Cause = Cause {
    slug: "service-differs",
    severity: Severity::Error,
    summary: "the service {service} is defined differently in two clusters, so their endpoints do not merge",
    mechanism: "One service of a mesh is the sum of the Services of the same name in all clusters. istiod takes ports and type from one of them, the \
                local one first; endpoints of a cluster whose ports have other names or numbers fit nothing and are left out, or are \
                called on a port where nothing listens. Only ambient istiods warn; sidecar ones say it at debug level.",
    remedy: "Make the Service {service} the same in every cluster: port names, numbers, protocols and type. First check: kubectl get svc in both, side by side.",
    verify: "kubectl get svc -A -o wide | grep -w {name}",
    explains: &[("no-healthy-upstream", Within::Token), ("upstream-not-listening", Within::Token)],
    hits: &["service-ports-differ", "state-joined-no-endpoint-other-port"],
    near_misses: &[
        "network-without-gateway",
        "state-joined-no-endpoint-hidden",
        "state-joined-no-endpoint-no-secret",
        "state-joined-no-endpoint-not-ready",
    ],
    rules: &[Rule::on(Kind::Network, judge_istiod), Rule::Mesh(judge_tables)],
};

/// Service tables of two clusters that share a name and not one port.
fn judge_tables(view: &View<'_>) -> Vec<Verdict> {
    let services = saved::services(view);
    let mut verdicts = Vec::new();
    for (at, here) in services.iter().enumerate() {
        let differs = |there: &&saved::Service<'_>| {
            here.is_same_elsewhere(there)
                && !here.ports().any(|port| there.ports().any(|other| other == port))
                && there.ports().next().is_some()
        };
        let Some(there) = services.iter().skip(at + 1).find(differs).filter(|_| here.ports().next().is_some()) else {
            continue;
        };
        let subject = format!("{}/{}", here.namespace, here.name);
        verdicts.push(
            Verdict::likely(&subject)
                .slot("service", &subject)
                .slot("name", here.name)
                .token(here.name)
                .because(here.event, "the Service in one cluster")
                .because(there.event, "the Service of the same name in the other has none of its ports"),
        );
    }
    verdicts
}

/// istiod: `ServiceInfo derived from Service/shop/web has mismatched ports`.
fn judge_istiod(_: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Network(Network::ServiceDiffers(service)) = &event.fact else { return None };
    let name = service.rsplit('/').next().unwrap_or(service).split('.').next().unwrap_or(service);
    let verdict =
        if event.text.contains("mismatched ports") { Verdict::certain(service) } else { Verdict::likely(service) };
    Some(
        verdict
            .slot("service", service)
            .slot("name", name)
            .token(service)
            .because(event, "istiod compares the definitions of two clusters and they differ"),
    )
}
