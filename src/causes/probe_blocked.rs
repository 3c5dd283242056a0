//! Kubelet probes fail because of mesh capture or policy.

use std::sync::Arc;

use meshwhy_parsers::event::{Event, Fact, Kind};
use meshwhy_parsers::state::State;
use meshwhy_parsers::ztunnel::{ConnectionWhat, Direction};

use super::{tables, tunnel};
use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::view::View;

/// The cause.
pub static CAUSE: Cause = Cause {
    slug: "probe-blocked",
    severity: Severity::Error,
    summary: "the probes of {pod} are refused by the mesh, not by the application",
    mechanism: "The kubelet probes a pod from the node, in plain text. A sidecar answers for it on rewritten paths; in ambient \
                mode istio-cni rewrites the probes' source address to 169.254.7.127, which ztunnel lets through. Where that \
                does not happen (a CNI that keeps the node's address, a missing ipset entry, probes from a monitoring agent) \
                the probe is one more plain-text call and meets STRICT or an AuthorizationPolicy. Kubernetes then restarts \
                pods that are well, which looks like an application that hangs.",
    remedy: "Check that istio-cni's rule for probes is on the node of {pod} and that nothing rewrites the source address after \
             it; until then exempt the probe port from STRICT.",
    verify: "kubectl describe pod -n {namespace} {name} | grep -A3 Unhealthy",
    explains: &[("plaintext-to-mtls-strict", Within::Token), ("authz-denied", Within::Token)],
    hits: &["ambient-probes-refused", "ambient-probes-unanswered"],
    near_misses: &["ambient-strict-refuses-plaintext", "slow-page-behind-a-probe"],
    rules: &[
        Rule::Mesh(tables::probe_cut),
        Rule::Mesh(tables::probe_unanswered),
        Rule::after(Kind::Connection, 5, connection),
    ],
};

/// Reads an inbound plain-text connection that policy refused, next to a failed probe of the same pod.
pub fn connection(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let (connection, what) = tunnel::inbound(event)?;
    let plain = connection.src.identity.is_empty() && connection.src.workload.is_empty() && connection.hbone.is_none();
    if !plain || !matches!(what, ConnectionWhat::PolicyDenied { .. }) || connection.direction != Direction::Inbound {
        return None;
    }
    let name = &connection.dst.workload;
    let probe = view.events(Kind::State).find(|other| match &other.fact {
        Fact::State(state) => matches!(
            &**state,
            State::KubeEvent { reason, object, message, .. }
                if &**reason == "Unhealthy" && object.rsplit('/').next() == Some(&**name) && message.contains("probe failed")
        ),
        _ => false,
    })?;
    let pod = tunnel::destination(connection);
    Some(
        Verdict::certain(&pod)
            .slot("pod", &pod)
            .slot("namespace", &connection.dst.namespace)
            .slot("name", name)
            .token(&pod)
            .because(probe, "the kubelet's probe fails")
            .because(event, "a plain-text connection from outside the mesh to the same pod was refused by policy"),
    )
}
