//! ztunnel is not running, not connected, or lacks a workload.

use std::sync::Arc;

use meshwhy_parsers::event::{Event, Fact, Kind, Process};
use meshwhy_parsers::ztunnel::ConnectionWhat;

use super::{tables, tunnel};
use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::view::View;

/// The cause.
pub static CAUSE: Cause = Cause {
    slug: "ztunnel-not-ready",
    severity: Severity::Error,
    summary: "ztunnel of {cluster} serves {pod}, but istiod never sent that pod: its traffic is refused",
    mechanism: "A pod reaches ztunnel on two ways: istio-cni hands over its network namespace, istiod sends the workload by \
                xDS. ztunnel waits five seconds for the second; then every connection of the pod is refused before it \
                leaves the node, and calls to it end in a TLS handshake for which there is no certificate. The usual \
                reasons are an xDS stream that is down while pods start, discovery selectors that hide the namespace, a \
                cluster ID or node name that differs between ztunnel and istiod, or a ztunnel that could not start at all. \
                The caller sees a reset or a 503 and looks at the network, which is well.",
    remedy: "Check that ztunnel's xDS stream is up and that istiod knows {pod}: `istioctl ztunnel-config workload`; then \
             discovery selectors, cluster ID and node name.",
    verify: "istioctl ztunnel-config workload --workload-namespace {namespace}",
    explains: &[("ambient-capture-missing", Within::Token)],
    hits: &["ambient-pod-unknown-to-istiod", "ztunnel-cannot-start", "state-joined-pod-refuses-tunnel-ztunnel-down"],
    near_misses: &["ztunnel-xds-reconnects", "ambient-pod-not-captured"],
    rules: &[
        Rule::Mesh(|view| tables::failed_check(view, "(ztunnel)")),
        Rule::Mesh(tables::ztunnel_pods),
        Rule::after(Kind::Connection, 5, connection),
        Rule::after(Kind::Process, 30, process),
    ],
};

/// Reads a connection that ztunnel refused because its own pod is unknown.
pub fn connection(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let (_, what) = tunnel::failed(event)?;
    match what {
        ConnectionWhat::UnknownLocalWorkload(workload) => Some(missing(view, event, workload)),
        ConnectionWhat::Identity(fault) | ConnectionWhat::Signing(fault) => {
            let (_, workload) = fault.text.split_once("workload is unknown: ")?;
            Some(missing(view, event, workload))
        }
        _ => None,
    }
}

/// Reads what ztunnel says about itself.
pub fn process(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Process(process) = &event.fact else { return None };
    let cluster = &event.origin.cluster;
    let ours = event.signature.is_some_and(|name| name.starts_with("ztunnel-"));
    match process {
        Process::WorkloadMissing(workload) => Some(missing(view, event, workload)),
        Process::NotReady(pending) if ours => Some(
            Verdict::likely(&format!("ztunnel of {cluster}"))
                .says("ztunnel of {cluster} is not ready: it waits for {pending}")
                .slot("cluster", cluster)
                .slot("pending", pending)
                .slot("pod", "the pods of that node")
                .because(event, "the readiness answer names what is missing"),
        ),
        Process::Died(reason) if ours => Some(
            Verdict::certain(&format!("ztunnel of {cluster}"))
                .says("ztunnel of {cluster} cannot start: {reason}")
                .slot("cluster", cluster)
                .slot("reason", reason.lines().next().unwrap_or(""))
                .slot("pod", "the pods of that node")
                .because(event, "it ends with this error"),
        ),
        _ => None,
    }
}

/// `<service account>.<namespace> (<pod>)` was handed over, but not sent by istiod.
fn missing(view: &View<'_>, event: &Arc<Event>, workload: &str) -> Verdict {
    let pod = workload.split_once(" (").and_then(|(account, pod)| {
        let (_, namespace) = account.split_once('.')?;
        Some((namespace, pod.trim_end_matches(')')))
    });
    let name = pod.map_or_else(|| workload.to_string(), |(namespace, pod)| format!("{namespace}/{pod}"));
    let cluster = tunnel::own_cluster(view, event);
    let handed_over = view.dump_for(event).filter(|(_, dump)| {
        let listed = dump.pods.iter().any(|(known, _)| **known == name);
        let sent = dump.workloads.iter().any(|workload| format!("{}/{}", workload.namespace, workload.name) == name);
        listed && !sent
    });
    let verdict = match handed_over {
        Some((document, _)) => Verdict::certain(&name)
            .because(event, "ztunnel waited in vain for the pod from istiod")
            .because_quote(document, &format!("workloadState {name}, no such entry in workloads"), "istio-cni handed the pod over, istiod did not send it"),
        None => Verdict::likely(&name)
            .because(event, "ztunnel waited in vain for the pod from istiod")
            .settle_by("istioctl ztunnel-config workload; kubectl get configmap istio -n istio-system -o yaml | grep -A5 discoverySelectors"),
    };
    verdict
        .slot("cluster", &cluster)
        .slot("pod", &name)
        .slot("namespace", pod.map_or("<namespace>", |(namespace, _)| namespace))
        .cluster(&cluster)
        .token(&name)
}
