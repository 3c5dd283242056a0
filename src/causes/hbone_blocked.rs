//! HBONE (15008) between nodes or pods is blocked.

use std::sync::Arc;

use meshwhy_parsers::errors::What;
use meshwhy_parsers::event::{Event, Kind};
use meshwhy_parsers::ztunnel::Connection;

use super::{data_path, requests, tables, tunnel};
use crate::engine::cause::{Cause, Rule, Severity, Verdict};
use crate::engine::view::View;

/// The cause.
pub static CAUSE: Cause = Cause {
    slug: "hbone-blocked",
    severity: Severity::Error,
    summary: "HBONE to {to} ({addr}) is blocked: port 15008 gets no answer",
    mechanism: "In ambient mode every call between pods becomes one to port 15008 of the destination pod. A NetworkPolicy \
                written for the application's port, a security group between nodes or a CNI rule that knows nothing of \
                15008 drops or rejects exactly these packets: plain calls worked before the namespace joined the mesh, \
                and the application itself is well. A drop shows as a time-out after 10 seconds, a reject as a refusal \
                at once. The same text is printed when the address itself is wrong (a pod of another cluster dialled \
                directly, a pod that is gone), so the address has to be looked up first.",
    remedy: "List the NetworkPolicies that select {to} and allow TCP 15008 in; then check security groups and the node \
             of that pod.",
    verify: "kubectl get networkpolicy -n {namespace} -o yaml",
    explains: &[],
    hits: &[
        "hbone-port-blocked",
        "flat-network-one-pod-blocked",
        "hbone-dropped-by-policy",
        "state-flat-hbone-filtered",
    ],
    near_misses: &[
        "ambient-same-network-name",
        "ambient-pod-gone",
        "ambient-pod-not-captured",
        "gateway-port-black-holed",
        "state-stale-flat-entries",
        "state-joined-auto-address-dialled",
        "state-joined-auto-address-since-corrected",
    ],
    rules: &[
        Rule::Mesh(tables::hbone_dropped),
        Rule::after(Kind::Connection, 5, connection),
        Rule::on(Kind::Request, |view, event| requests::judge(view, event, data_path::tunnel_fails)),
        Rule::after(Kind::Handshake, 30, tunnel_went_silent),
    ],
};

/// Reads a failed ztunnel connection.
pub fn connection(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let (connection, what) = tunnel::outbound(event)?;
    if connection.hbone.is_none() || connection.to_gateway() {
        return None;
    }
    match tunnel::connect_fault(what)? {
        What::TimedOut => timed_out(view, event, connection),
        What::Refused => refused(view, event, connection),
        _ => None,
    }
}

fn timed_out(view: &View<'_>, event: &Arc<Event>, connection: &Connection) -> Option<Verdict> {
    let to = tunnel::destination(connection);
    let Some((document, dump)) = view.dump_for(event) else {
        let far = &connection.dst.cluster;
        let elsewhere = !far.is_empty() && !connection.src.cluster.is_empty() && *far != connection.src.cluster;
        let doubtful = elsewhere || connection.dst.addr.as_ref().is_some_and(|addr| addr.is_class_e());
        let verdict = if doubtful {
            Verdict::possible(&to)
                .settle_by(format!("istioctl ztunnel-config workload | grep {}", tunnel::dialled(connection)))
        } else {
            Verdict::likely(&to)
        };
        return Some(named(verdict, connection).because(event, "connecting to port 15008 of the pod timed out"));
    };
    let Some(workload) = view.workload_at(dump, tunnel::dialled(connection)) else {
        return Some(
            named(Verdict::possible(&to), connection)
                .because(event, "connecting to port 15008 timed out")
                .settle_by(format!("kubectl get pods -A -o wide | grep {}", tunnel::dialled(connection))),
        );
    };
    // A pod of another cluster that is dialled directly is a question of networks first, unless others there answer.
    let elsewhere = workload.cluster != dump.cluster && !workload.cluster.is_empty();
    let verdict = match elsewhere && !tunnel::reaches(view, dump, connection, &workload.cluster) {
        true => Verdict::possible(&to).settle_by(format!("nc -vz {} 15008", tunnel::dialled(connection))),
        false => Verdict::likely(&to),
    };
    Some(named(verdict, connection).because(event, "connecting to port 15008 of the pod timed out").because_quote(
        document,
        &tunnel::quote(workload),
        "the pod is known at this address",
    ))
}

/// A refusal is mostly a pod without capture; a rule that rejects looks the same.
fn refused(view: &View<'_>, event: &Arc<Event>, connection: &Connection) -> Option<Verdict> {
    let to = tunnel::destination(connection);
    let captured = view.dumps().find(|(_, dump)| dump.pods.iter().any(|(pod, state)| **pod == *to && &**state == "Up"));
    let verdict = match captured {
        Some((document, _)) => Verdict::likely(&to)
            .says("HBONE to {to} ({addr}) is rejected although the pod is captured")
            .because_quote(document, &format!("workloadState {to} Up"), "ztunnel on that node serves the pod"),
        None => {
            Verdict::possible(&to).settle_by(format!("kubectl get networkpolicy -n {} -o yaml", namespace(connection)))
        }
    };
    Some(named(verdict, connection).because(event, "port 15008 of the pod refused the connection"))
}

/// `HBONE ping timeout/error`: open tunnels went silent. Single ones come from a node that went away.
fn tunnel_went_silent(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    if event.signature != Some("ztunnel-ping-timeout") {
        return None;
    }
    let count = view
        .known(Kind::Handshake)
        .filter(|known| known.first.signature == event.signature && known.first.origin.file == event.origin.file)
        .map(|known| known.count)
        .sum::<u64>();
    (count >= 3).then(|| {
        Verdict::possible("open tunnels")
            .says("open HBONE tunnels of {cluster} went silent {count} times: something between the nodes drops them")
            .slot("cluster", &event.origin.cluster)
            .slot("count", count)
            .slot("to", "the nodes these tunnels lead to")
            .slot("namespace", "<namespace>")
            .because(event, "the tunnel's ping got no answer for 20 seconds")
            .settle_by("kubectl get nodes; kubectl get pods -n istio-system -l app=ztunnel -o wide")
    })
}

fn namespace(connection: &Connection) -> &str {
    if connection.dst.namespace.is_empty() { "<namespace>" } else { &connection.dst.namespace }
}

fn named(verdict: Verdict, connection: &Connection) -> Verdict {
    let (to, addr) = (tunnel::destination(connection), tunnel::dialled_port(connection));
    verdict
        .slot("to", if to == addr { "a pod of unknown name" } else { &to })
        .slot("addr", addr)
        .slot("namespace", namespace(connection))
        .token(tunnel::dialled(connection))
        .token(&to)
}
