//! A pod's traffic does not go through ztunnel although it should.

use std::sync::Arc;

use meshwhy_parsers::errors::What;
use meshwhy_parsers::event::{Event, Kind};

use super::tunnel;
use crate::engine::cause::{Cause, Rule, Severity, Verdict};
use crate::engine::view::View;

/// The cause.
pub static CAUSE: Cause = Cause {
    slug: "ambient-capture-missing",
    severity: Severity::Error,
    summary: "{to} is listed as an HBONE workload, but nothing listens on 15008 in its pod: it is not captured",
    mechanism: "istiod tells every ztunnel that a pod speaks HBONE as soon as the pod carries the annotation \
                ambient.istio.io/redirection=enabled. The listener on 15008 exists only if istio-cni handed the pod over to \
                the ztunnel of its node. If that step is missing (istio-cni restarted in between, the pod was \
                added by hand, ztunnel of that node was replaced), callers get a refusal at once on 15008 while the \
                application's own port is well. It is easily taken for an application that is down: look at the port, not \
                at the text. A firewall that rejects instead of dropping looks the same.",
    remedy: "Check that {to} appears in `istioctl ztunnel-config connections` of its node's ztunnel; if not, read istio-cni's \
             log there and restart the pod.",
    verify: "kubectl get pod -n {namespace} {pod} -o jsonpath='{.metadata.annotations.ambient\\.istio\\.io/redirection}'",
    explains: &[],
    hits: &["ambient-pod-not-captured", "state-joined-pod-refuses-tunnel-uncaptured"],
    near_misses: &[
        "ambient-application-refuses",
        "gateway-refuses-15008",
        "hbone-port-blocked",
        "state-joined-pod-refuses-tunnel-ztunnel-down",
    ],
    rules: &[Rule::after(Kind::Connection, 5, connection)],
};

/// Reads a refused HBONE connect of ztunnel.
pub fn connection(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let (connection, what) = tunnel::outbound(event)?;
    if connection.hbone.is_none() || connection.to_gateway() || tunnel::to_waypoint(connection) {
        return None;
    }
    (tunnel::connect_fault(what)? == &What::Refused).then_some(())?;
    let to = tunnel::destination(connection);
    let served = |state: &str| {
        view.dumps().find(|(_, dump)| dump.pods.iter().any(|(pod, have)| **pod == to && &**have == state))
    };
    // The ztunnel of its node serves it: then something in front of the pod refuses.
    if served("Up").is_some() {
        return None;
    }
    let node_dump = view.dumps().find_map(|(document, dump)| {
        let workload = view.workload_at(dump, tunnel::dialled(connection))?;
        (!dump.node.is_empty() && workload.node == dump.node && !dump.pods.is_empty())
            .then_some((document, dump, workload))
    });
    let verdict = match node_dump {
        Some((document, dump, workload)) => Verdict::certain(&to)
            .because(event, "port 15008 of the pod refused the connection")
            .because_quote(document, &tunnel::quote(workload), "istiod lists the pod as reachable by HBONE")
            .because_quote(
                document,
                &format!("workloadState: {}", dump.pods.iter().map(|(pod, _)| &**pod).collect::<Vec<_>>().join(", ")),
                "the pods that ztunnel of this node serves: this one is not among them",
            ),
        None => Verdict::likely(&to)
            .because(event, "port 15008 of the pod refused the connection")
            .settle_by(format!("istioctl ztunnel-config connections --node <node of {to}>")),
    };
    Some(
        verdict
            .slot("to", &to)
            .slot("namespace", &connection.dst.namespace)
            .slot("pod", &connection.dst.workload)
            .token(tunnel::dialled(connection))
            .token(&to),
    )
}
