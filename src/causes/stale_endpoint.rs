//! Endpoints of a removed pod or cluster stay in the proxies.

use std::sync::Arc;

use meshwhy_parsers::errors::What;
use meshwhy_parsers::event::{Event, Fact, Kind, Remote, RemoteWhat};
use meshwhy_parsers::state::State;
use meshwhy_parsers::ztunnel::{Connection, ConnectionWhat};

use super::remote_api::is_removed;
use super::{saved, tables, tunnel};
use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::view::View;

/// The cause.
pub static CAUSE: Cause = Cause {
    slug: "stale-endpoint",
    severity: Severity::Error,
    summary: "{to} is still called at {addr}, where that pod no longer is",
    mechanism: "A pod or a whole cluster is gone, but its address is still among the endpoints a proxy holds: the local istiod \
                lost its watch on that cluster, a WorkloadEntry made by hand or by peering was left behind, or the push is \
                late. Nobody answers at the address, so that the node says \"no route to host\" after about three seconds \
                (the address is not resolved on the link any more), or a time-out; if the address was given to another pod, \
                that one answers with its own identity, or ztunnel with \"ip mismatch\". The share of failing calls equals \
                the share of stale endpoints, and a retry often works.",
    remedy: "Compare {addr} with the pods of its cluster. If it is gone: is istiod's link to that cluster up, are there \
             leftover WorkloadEntries? Restarting istiod hides the fault, it does not mend it.",
    verify: "kubectl get pods -A -o wide --field-selector status.podIP={host}",
    explains: &[("upstream-connect-timeout", Within::Token), ("hbone-blocked", Within::Token)],
    hits: &[
        "ambient-pod-gone",
        "ambient-address-reused",
        "removed-cluster-stays-in-proxies",
        "state-stale-flat-entries",
    ],
    near_misses: &[
        "hbone-port-blocked",
        "ambient-wrong-interface",
        "ambient-same-network-name",
        "state-flat-hbone-filtered",
    ],
    rules: &[
        Rule::Mesh(|view| tables::failed_check(view, "stale workload")),
        Rule::after(Kind::Connection, 5, connection),
        Rule::Mesh(removals_unfinished),
    ],
};

fn removals_unfinished(view: &View<'_>) -> Vec<Verdict> {
    view.known(Kind::Remote).filter_map(|known| removal_unfinished(view, &known.first)).collect()
}

/// istiod removed a cluster and could not take its services away.
fn removal_unfinished(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Remote(Remote { cluster, what: RemoteWhat::CleanupFailed, .. }) = &event.fact else { return None };
    if !is_removed(view, event, cluster) {
        return None;
    }
    let held = saved::held(view);
    let dial = saved::failed_dials(view).into_iter().find(|(_, addr)| held.iter().any(|held| held.addr == addr));
    let mut verdict = match &dial {
        Some((call, addr)) => Verdict::likely(cluster)
            .because(call, "an address that the proxy still holds does not answer")
            .slot("addr", addr)
            .slot("host", &addr.host)
            .token(&addr.host)
            .token(addr),
        None => Verdict::possible(cluster)
            .slot("addr", "its addresses")
            .slot("host", "<address>")
            .settle_by("istioctl proxy-config endpoint <pod> (look for addresses of the removed cluster)"),
    };
    verdict = verdict.because(event, "istiod could not take the removed cluster's services away");
    Some(
        verdict
            .says("endpoints of the removed cluster {to} stay in the proxies: {addr} is still called")
            .slot("to", &**cluster)
            .token(cluster)
            .cluster(cluster),
    )
}

/// Reads a failed ztunnel connection.
pub fn connection(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let (connection, what) = tunnel::failed(event)?;
    let verdict = match what {
        ConnectionWhat::IpMismatch { local, requested } => {
            return Some(
                Verdict::likely(&format!("address {requested}"))
                    .says("callers still use {host} for a pod that now has {local}: the address was given to another pod, or is translated on the way")
                    .slot("to", tunnel::destination(connection))
                    .slot("addr", requested)
                    .slot("host", requested)
                    .slot("local", local)
                    .token(requested)
                    .because(event, "the tunnel was opened for another address than this pod's"),
            );
        }
        ConnectionWhat::HttpStatus(400) if !connection.to_gateway() && connection.hbone.is_some() => {
            let address = connection.hbone.as_ref().map_or("", |hbone| &hbone.host);
            Verdict::likely(&format!("address {address}"))
                .says("{addr} answered for {to}, but does not own the address the tunnel was opened for")
                .because(event, "the far ztunnel refused the tunnel as not meant for its pod")
        }
        what => connect_failed(view, event, connection, tunnel::connect_fault(what)?)?,
    };
    Some(
        verdict
            .slot("to", tunnel::destination(connection))
            .slot("addr", tunnel::dialled_port(connection))
            .slot("host", tunnel::dialled(connection))
            .token(tunnel::dialled(connection))
            .token(tunnel::destination(connection)),
    )
}

fn connect_failed(view: &View<'_>, event: &Arc<Event>, connection: &Connection, fault: &What) -> Option<Verdict> {
    if connection.to_gateway() || connection.hbone.is_none() {
        return None;
    }
    let address = tunnel::dialled(connection);
    let subject = tunnel::destination(connection);
    if let Some((document, pod, ip)) = pod_row(view, connection) {
        // The list of pods is newer than the entry: the pod has another address.
        return (ip != address).then(|| {
            Verdict::certain(&subject).because(event, "the pod does not answer at this address").because_quote(
                document,
                &format!("{pod} {ip}"),
                "the pod has another address now",
            )
        });
    }
    let known = view.dump_for(event).map(|(document, dump)| (document, dump, view.workload_at(dump, address)));
    match (known, fault) {
        (Some((document, dump, None)), What::TimedOut | What::NoRoute | What::Refused) => {
            Some(Verdict::likely(&subject).because(event, "the address does not answer").because_quote(
                document,
                &format!("{} workloads, none with address {address}", dump.workloads.len()),
                "istiod no longer lists the address",
            ))
        }
        // A pod of another cluster on the same network is a question of routes and networks.
        (Some((_, dump, Some(workload))), What::NoRoute)
            if !workload.cluster.is_empty() && workload.cluster != dump.cluster =>
        {
            None
        }
        (_, What::NoRoute)
            if connection.src.cluster != connection.dst.cluster && !connection.dst.cluster.is_empty() =>
        {
            None
        }
        (_, What::NoRoute) => Some(
            Verdict::likely(&subject)
                .because(event, "no host answers for the address: the pod is gone or its node is cut off")
                .settle_by(format!("kubectl get pods -A -o wide | grep -w {address}")),
        ),
        _ => None,
    }
}

/// The row of a pod list that names the destination, with its address.
fn pod_row<'w>(view: &View<'w>, connection: &Connection) -> Option<(&'w Arc<Event>, &'w str, &'w str)> {
    view.states().find_map(|(document, state)| match state {
        State::Pod { name, ip, .. } if **name == *connection.dst.workload && !ip.is_empty() => {
            Some((document, &**name, &**ip))
        }
        _ => None,
    })
}
