//! Pod addresses of another cluster are used directly, as configured, and the route between them is missing.

use std::sync::Arc;

use meshwhy_parsers::errors::What;
use meshwhy_parsers::event::{Event, Kind};

use super::{data_path, requests, saved, tunnel};
use crate::engine::cause::{Cause, Rule, Severity, Verdict};
use crate::engine::view::View;

/// The cause.
pub static CAUSE: Cause = Cause {
    slug: "pod-ip-unreachable",
    severity: Severity::Critical,
    summary: "pods of {far} are dialled at their own addresses from {own}, and there is no route to {addr}",
    mechanism: "Clusters that share one network are expected to route pod addresses to each other: istiod hands out the pods' \
                own addresses, and no gateway is involved. If the route is missing on one side (peering of the networks, a \
                route table, overlapping ranges, a CNI that only announces its own nodes), connects to every pod of the \
                other cluster fail while those inside the cluster are well. It looks like a NetworkPolicy or a dead pod; \
                it is the same picture as a wrong network label, and only the intention tells the two apart: if the networks \
                are not meant to be one, the label is the fault.",
    remedy: "If {own} and {far} are meant to be one network, add the missing route for the pod ranges (both ways); if not, give \
             them different network names and gateways.",
    verify: "kubectl debug -it <pod of {own}> --image=busybox -- nc -vz {addr} 15008",
    explains: &[],
    hits: &["ambient-flat-network-no-route", "state-joined-pod-address-flat"],
    near_misses: &[
        "ambient-same-network-name",
        "hbone-port-blocked",
        "external-host-does-not-answer",
        "one-network-label-for-two-clusters",
        "pod-of-another-cluster-among-endpoints",
        "flat-network-one-pod-blocked",
        "state-joined-pod-address-gateway-pending",
        "state-joined-pod-address-no-label",
    ],
    rules: &[
        Rule::Mesh(one_label),
        Rule::after(Kind::Connection, 5, connection),
        Rule::on(Kind::Request, |view, event| requests::judge(view, event, data_path::foreign_pod)),
    ],
};

/// Reads a ztunnel connect to a pod of another cluster on the same network.
pub fn connection(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let (connection, what) = tunnel::outbound(event)?;
    let fault = tunnel::connect_fault(what)?;
    if connection.hbone.is_none()
        || connection.to_gateway()
        || !matches!(fault, What::TimedOut | What::NoRoute | What::NetworkUnreachable)
    {
        return None;
    }
    let address = tunnel::dialled(connection);
    let own = tunnel::own_cluster(view, event);
    let far = tunnel::far_side(view, event, connection);
    if far.is_empty() || far == own {
        return None;
    }
    let no_route = matches!(fault, What::NoRoute | What::NetworkUnreachable);
    let verdict = match view.dump_for(event) {
        Some((document, dump)) => {
            let workload = view.workload_at(dump, address)?;
            let network = tunnel::source_network(dump, connection);
            let one_network = *workload.network == *network && workload.gateway.is_empty();
            if !one_network || tunnel::reaches(view, dump, connection, &workload.cluster) {
                return None;
            }
            let gateways = dump.workloads.iter().any(|workload| workload.uid.starts_with("NetworkGateway/"));
            let flat = !network.is_empty() && !gateways;
            let strength = if flat { Verdict::likely } else { Verdict::possible };
            strength(&tunnel::pair(&own, &far)).because_quote(
                document,
                &tunnel::quote(workload),
                "both clusters carry one network name and no gateway is set up: a flat network",
            )
        }
        None if no_route => Verdict::likely(&tunnel::pair(&own, &far)),
        None => Verdict::possible(&tunnel::pair(&own, &far)),
    };
    Some(
        verdict
            .because(
                event,
                if no_route {
                    "there is no route to the pod of the other cluster"
                } else {
                    "the pod of the other cluster does not answer"
                },
            )
            .slot("own", &own)
            .slot("far", &far)
            .slot("addr", address)
            .token(address)
            .cluster(&far)
            .settle_by(format!("kubectl --context {far} get ns istio-system -L topology.istio.io/network")),
    )
}

/// Two clusters share one network label on purpose, perhaps, and a pod's own address cannot be reached.
pub fn one_label(view: &View<'_>) -> Vec<Verdict> {
    let labels = saved::networks(view);
    let Some((first, network)) = labels.first() else { return Vec::new() };
    let same = labels.iter().find(|(row, other)| row.origin.cluster != first.origin.cluster && other == network);
    let Some((second, _)) = same else { return Vec::new() };
    let held = saved::held(view);
    let dial = saved::failed_dials(view)
        .into_iter()
        .find(|(_, addr)| held.iter().any(|held| held.addr.host == addr.host && !held.is_gateway()));
    let Some((event, addr)) = dial else { return Vec::new() };
    let pair = tunnel::pair(&first.origin.cluster, &second.origin.cluster);
    let gateway = saved::gateways(view).into_iter().next();
    let verdict = Verdict::possible(&pair);
    let verdict = match gateway {
        Some(gateway) => verdict.against(gateway.event, "a gateway is set up, which one network does not need"),
        None => verdict,
    };
    let verdict = verdict
        .slot("pair", &pair)
        .slot("own", &first.origin.cluster)
        .slot("far", &second.origin.cluster)
        .slot("addr", &addr)
        .token(&addr.host)
        .because(event, "a pod's own address does not answer")
        .because(first, "both clusters carry one network label")
        .because(second, "as if pod addresses were routed between them")
        .settle_by(format!("ip route get {}", addr.host));
    vec![verdict]
}
