//! Network labels are missing, wrong or equal where they should differ.

use std::sync::Arc;

use meshwhy_parsers::errors::What;
use meshwhy_parsers::event::{Event, Fact, Kind, Network, Remote, RemoteWhat};
use meshwhy_parsers::state::{State, ZtunnelDump};
use meshwhy_parsers::ztunnel::{Connection, ConnectionWhat};

use super::{saved, tables, tunnel};
use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::view::View;

/// The cause.
pub static CAUSE: Cause = Cause {
    slug: "network-label-wrong",
    severity: Severity::Critical,
    summary: "the network labels of {pair} are wrong: {addr} is dialled as if it were in the same network",
    mechanism: "A proxy dials a pod directly when the pod's entry carries the same network as the caller, and goes \
                through the east-west gateway only when the networks differ. istiod takes the network from the label \
                topology.istio.io/network on istio-system, on the gateway and on pods; ztunnel takes its own from the \
                variable NETWORK. If two clusters that cannot route to each other carry one name, or one of them none \
                at all, the remote pod's own address is dialled and the connect times out: the line then reads \
                \"maybe a NetworkPolicy is blocking HBONE port 15008\", and people search for a policy that does not \
                exist. The gateway in the entry is never used, even if it is right. Where the names differ but no \
                gateway is known for the other one, the same mistake reads \"no valid routing destination\"; where \
                ztunnel's NETWORK is not what istiod calls it, \"no service for target address\".",
    remedy: "{fix}",
    verify: "for c in <contexts>; do kubectl --context $c get ns istio-system -L topology.istio.io/network; done",
    explains: &[
        ("hbone-blocked", Within::Token),
        ("pod-ip-unreachable", Within::Token),
        ("stale-endpoint", Within::Token),
        ("no-healthy-upstream", Within::Token),
        ("upstream-not-listening", Within::File),
        ("upstream-connect-timeout", Within::Token),
    ],
    hits: &[
        "ambient-same-network-name",
        "ambient-no-gateway-for-network",
        "ambient-network-env-differs",
        "system-namespace-without-network",
        "two-clusters-one-network",
        "network-label-missing",
        "one-network-label-for-two-clusters",
        "pod-of-another-cluster-among-endpoints",
        "state-joined-pod-address-no-label",
        "state-joined-auto-address-dialled",
    ],
    near_misses: &[
        "flat-network-one-pod-blocked",
        "hbone-port-blocked",
        "ambient-pod-gone",
        "ambient-flat-network-no-route",
        "network-label-late",
        "gateway-address-pending",
        "state-joined-pod-address-flat",
        "state-joined-pod-address-gateway-pending",
        "state-joined-auto-address-since-corrected",
    ],
    rules: &[
        Rule::Mesh(failed_check),
        Rule::after(Kind::Connection, 5, connection),
        Rule::after(Kind::Network, 30, named_by_istiod),
        Rule::Mesh(endpoints),
    ],
};

/// A section of `istioctl multicluster check` that compares networks.
fn failed_check(view: &View<'_>) -> Vec<Verdict> {
    let failed = tables::failed_check(view, "network config");
    failed.into_iter().map(|verdict| with_pair(verdict, "the clusters that were checked")).collect()
}

/// Reads a failed ztunnel connection.
pub fn connection(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let (connection, what) = tunnel::outbound(event)?;
    match what {
        ConnectionWhat::NoRoutingDestination { uid, .. } => no_gateway(view, event, uid),
        ConnectionWhat::NoServiceForAddress(vip) => own_network_differs(view, event, &vip.host),
        ConnectionWhat::UnknownGateway(gateway) => gateway_elsewhere(view, event, gateway),
        ConnectionWhat::NoHealthyUpstream(vip) => endpoints_without_gateway(view, event, &vip.host),
        what => match tunnel::connect_fault(what)? {
            What::TimedOut | What::NoRoute | What::NetworkUnreachable => dialled_directly(view, event, connection),
            _ => None,
        },
    }
}

/// A pod of another cluster was dialled at its own address.
fn dialled_directly(view: &View<'_>, event: &Arc<Event>, connection: &Connection) -> Option<Verdict> {
    if connection.to_gateway() || tunnel::to_waypoint(connection) {
        return None;
    }
    let address = tunnel::dialled(connection);
    let Some((document, dump)) = view.dump_for(event) else { return without_state(view, event, connection) };
    if connection.hbone.is_none() {
        // A plain connect to a VIP that belongs to another network.
        let (service, network) = tunnel::service_at(dump, address)?;
        let own = tunnel::source_network(dump, connection);
        return (network != own).then(|| {
            named(Verdict::certain(&subject(&dump.cluster, network)), &dump.cluster, network, address)
                .says("{addr} is a service address of network {other}, but ztunnel's own network is another one: it is dialled as a plain unknown address")
                .token(&service.hostname)
                .because(event, "the address is passed through as unknown")
                .because_quote(document, &format!("service {} vips={:?}", service.hostname, service.vips), "the service is known under another network only")
        });
    }
    let workload = view.workload_at(dump, address)?;
    let own = tunnel::source_network(dump, connection);
    if workload.cluster == dump.cluster || workload.cluster.is_empty() || *workload.network != *own {
        return None;
    }
    // Where other pods of that cluster answer directly, the networks are one indeed.
    if tunnel::reaches(view, dump, connection, &workload.cluster) {
        return None;
    }
    let elsewhere = view.dumps().find(|(_, other)| other.cluster == workload.cluster);
    let shown = format!("config clusterId={} network=\"{}\"", dump.cluster, dump.network);
    let verdict = match elsewhere {
        Some((_, other)) if *other.network != *workload.network => {
            Verdict::certain(&subject(&dump.cluster, &workload.cluster))
        }
        _ if !workload.gateway.is_empty() => Verdict::certain(&subject(&dump.cluster, &workload.cluster)),
        _ if own.is_empty() || gateways_known(dump) || class_e(connection) => {
            Verdict::likely(&subject(&dump.cluster, &workload.cluster))
        }
        _ => Verdict::possible(&subject(&dump.cluster, &workload.cluster)).settle_by(format!(
            "kubectl --context {} get ns istio-system -L topology.istio.io/network",
            workload.cluster
        )),
    };
    let gateway_unused = if workload.gateway.is_empty() {
        "the pod belongs to another cluster, yet its entry carries the caller's own network"
    } else {
        "the pod belongs to another cluster and its entry has a gateway, which is not used because the networks are equal"
    };
    let mut verdict = named(verdict, &dump.cluster, &workload.cluster, address)
        .token(&connection.service)
        .because(event, "the pod's own address was dialled, not a gateway")
        .because_quote(document, &tunnel::quote(workload), gateway_unused)
        .because_quote(document, &shown, "the caller's cluster and network");
    if let Some((other_document, other)) = elsewhere.filter(|(_, other)| *other.network != *workload.network) {
        let shown = format!("config clusterId={} network=\"{}\"", other.cluster, other.network);
        verdict = verdict.because_quote(other_document, &shown, "the other cluster calls its own network differently");
    }
    Some(verdict)
}

/// Without state only the address and the names can hint at it.
fn without_state(view: &View<'_>, event: &Arc<Event>, connection: &Connection) -> Option<Verdict> {
    let (own, far) = (tunnel::own_cluster(view, event), &*connection.dst.cluster);
    let other_cluster = !far.is_empty() && !connection.src.cluster.is_empty() && *far != *connection.src.cluster;
    let flat_entry = connection.dst.workload.starts_with("autogenflat");
    connection.hbone.as_ref()?;
    if !class_e(connection) && !flat_entry && !other_cluster {
        return None;
    }
    let shows = match (flat_entry, other_cluster) {
        (true, _) => "the pod address of a peered cluster's entry was dialled, not a gateway",
        (_, true) => "a pod of another cluster was dialled at its own address, not through a gateway",
        _ => "an address of 240.0.0.0/4 was dialled, which is not routed between clusters",
    };
    let far = if far.is_empty() { tunnel::destination(connection) } else { far.to_string() };
    let settle = format!("istioctl ztunnel-config workload -o json | grep -B3 -A12 '{}'", tunnel::dialled(connection));
    Some(
        named(Verdict::possible(&subject(&own, &far)), &own, &far, tunnel::dialled(connection))
            .token(&connection.service)
            .because(event, shows)
            .settle_by(settle),
    )
}

/// An endpoint of another network was picked, and no gateway is known for that network.
fn no_gateway(view: &View<'_>, event: &Arc<Event>, uid: &str) -> Option<Verdict> {
    const SAYS: &str = "no gateway of {other} is known in {own}: its endpoint {addr} is picked and cannot be reached";
    if let Some((document, dump)) = view.dump_for(event) {
        let workload = tunnel::workload_by_uid(dump, uid)?;
        if *workload.network == *dump.network || !workload.gateway.is_empty() {
            return None;
        }
        return Some(
            named(Verdict::certain(&subject(&dump.cluster, &workload.cluster)), &dump.cluster, &workload.cluster, uid)
                .says(SAYS)
                .because(event, "an endpoint was picked that has no way to it")
                .because_quote(document, &tunnel::quote(workload), "it lives on another network and has no gateway")
                .because_quote(document, &format!("config network=\"{}\"", dump.network), "ztunnel's own network"),
        );
    }
    let own = tunnel::own_cluster(view, event);
    let far = uid.split('/').next().unwrap_or("");
    if far.is_empty() || far == own {
        return None;
    }
    Some(
        named(Verdict::likely(&subject(&own, far)), &own, far, uid)
            .says(SAYS)
            .because(event, "an endpoint of another cluster was picked that has no way to it")
            .settle_by("istioctl ztunnel-config workload -o json | grep -A3 networkGateway"),
    )
}

/// The VIP is not known under the network ztunnel believes to be its own.
fn own_network_differs(view: &View<'_>, event: &Arc<Event>, vip: &str) -> Option<Verdict> {
    const SAYS: &str = "ztunnel of {own} believes to be in another network than istiod does: {addr} is unknown there";
    let own = tunnel::own_cluster(view, event);
    let verdict = match view
        .dump_for(event)
        .and_then(|(document, dump)| Some((document, dump, tunnel::service_at(dump, vip)?)))
    {
        Some((document, dump, (service, network))) if *network != *dump.network => {
            Verdict::certain(&subject(&own, network)).slot("other", network).token(&service.hostname).because_quote(
                document,
                &format!("service {} vips={:?}, config network=\"{}\"", service.hostname, service.vips, dump.network),
                "istiod and ztunnel name this network differently",
            )
        }
        _ => Verdict::likely(&subject(&own, "istiod")).slot("other", "istiod"),
    };
    Some(
        with_pair(verdict, &own)
            .says(SAYS)
            .slot("own", &own)
            .slot("addr", vip)
            .token(vip)
            .because(event, "a remote endpoint was chosen, but the service address is not on ztunnel's network"),
    )
}

/// The gateway's address is known, but under another network than the reference says.
fn gateway_elsewhere(view: &View<'_>, event: &Arc<Event>, gateway: &str) -> Option<Verdict> {
    let (wanted, address) = gateway.split_once('/')?;
    let (document, dump) = view.dump_for(event)?;
    let workload = view.workload_at(dump, address).filter(|workload| *workload.network != *wanted)?;
    Some(
        named(Verdict::certain(&subject(wanted, &workload.network)), wanted, &workload.network, address)
            .says("the gateway {addr} is labelled with network {other}, but endpoints refer to it as {own}")
            .because(event, "the gateway an endpoint refers to is unknown under that network")
            .because_quote(document, &tunnel::quote(workload), "the same address carries another network"),
    )
}

/// All endpoints of a VIP live on other networks and none has a gateway.
fn endpoints_without_gateway(view: &View<'_>, event: &Arc<Event>, vip: &str) -> Option<Verdict> {
    let (document, dump) = view.dump_for(event)?;
    let (service, _) = tunnel::service_at(dump, vip)?;
    let workloads: Vec<_> =
        service.endpoints.iter().filter_map(|(uid, _)| tunnel::workload_by_uid(dump, uid)).collect();
    let first = workloads.first()?;
    if !workloads.iter().all(|workload| *workload.network != *dump.network && workload.gateway.is_empty()) {
        return None;
    }
    Some(
        named(
            Verdict::certain(&subject(&dump.cluster, &first.cluster)),
            &dump.cluster,
            &first.cluster,
            &service.hostname,
        )
        .says("no gateway of {other} is known in {own}: the endpoints of {addr} cannot be reached")
        .because(event, "no endpoint of the service can be used")
        .because_quote(
            document,
            &tunnel::quote(first),
            "its endpoint lives on another network and has no gateway",
        ),
    )
}

/// istiod: a cluster without a network, two workloads with one address, an unusable meshNetworks.
fn named_by_istiod(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Network(network) = &event.fact else { return None };
    match network {
        Network::NoLabel(cluster) => {
            let starting = event.text.contains("assigned yet");
            // While a cluster is read for the first time its namespace is not known yet.
            if starting && synced_later(view, event, cluster) {
                return None;
            }
            // Said once or twice and never again: the label was read a moment later.
            let repeats = view.repeats(event);
            if starting && repeats.is_some_and(|known| known.count == 1 || (known.count < 3 && view.stopped(known))) {
                return None;
            }
            let lasts = !starting || view.repeats(event).is_some_and(|known| known.count > 2 && !view.stopped(known));
            let verdict = if lasts { Verdict::certain(cluster) } else { Verdict::possible(cluster) };
            Some(
                named(verdict, cluster, "", "")
                    .says("istio-system of {own} carries no topology.istio.io/network, so istiod leaves its workloads out")
                    .token(cluster)
                    .cluster(cluster)
                    .because(event, "istiod knows no network for the cluster")
                    .settle_by(format!("kubectl --context {cluster} get ns istio-system -L topology.istio.io/network")),
            )
        }
        Network::SharedAddress(whose) => {
            // One workload key from two clusters also fits one cluster ID that is used twice.
            let twice = event.text.contains("Duplicate workloadinfos");
            let verdict = if twice { Verdict::possible(whose) } else { Verdict::likely(whose) };
            Some(
                named(verdict, "two clusters", "", whose)
                    .says(
                        "two workloads share one address on one network ({addr}): two separate networks carry one name",
                    )
                    .because(event, "one address belongs to two workloads of one network")
                    .settle_by("kubectl get ns istio-system -L topology.istio.io/network, in every cluster"),
            )
        }
        Network::MeshNetworksInvalid(text) => Some(
            named(Verdict::likely(text), "meshNetworks", "", "")
                .says("a part of meshNetworks is unusable: {reason}")
                .slot("reason", super::remote_api::shortened(text))
                .because(event, "istiod cannot use a part of meshNetworks"),
        ),
        _ => None,
    }
}

/// Whether the cluster was read after this line, which was then of the start-up.
fn synced_later(view: &View<'_>, complaint: &Arc<Event>, cluster: &str) -> bool {
    let Some(complaint) = view.repeats(complaint) else { return false };
    view.known(Kind::Remote).any(|known| match &known.first.fact {
        Fact::Remote(Remote { cluster: of, what: RemoteWhat::Synced, .. }) => {
            **of == *cluster && known.last_ordinal > complaint.last_ordinal
        }
        _ => false,
    })
}

fn subject(own: &str, other: &str) -> String {
    tunnel::pair(own, other)
}

fn named(verdict: Verdict, own: &str, other: &str, address: &str) -> Verdict {
    let verdict =
        with_pair(verdict, &tunnel::pair(own, other)).slot("own", own).slot("other", other).slot("addr", address);
    let verdict = if address.is_empty() { verdict } else { verdict.token(address) };
    if other.is_empty() { verdict } else { verdict.cluster(other) }
}

/// Fills in whose labels are to be compared.
fn with_pair(verdict: Verdict, pair: &str) -> Verdict {
    verdict.slot("pair", pair).slot(
        "fix",
        format!(
            "Compare the label topology.istio.io/network on namespace istio-system, on the east-west gateway and in \
             ztunnel's NETWORK of {pair}: clusters that cannot route pod addresses to each other need different names, \
             and each name needs a gateway. Then restart istiod or wait for its push."
        ),
    )
}

fn gateways_known(dump: &ZtunnelDump) -> bool {
    dump.workloads.iter().any(|workload| workload.uid.starts_with("NetworkGateway/"))
}

fn class_e(connection: &Connection) -> bool {
    connection.dst.addr.as_ref().is_some_and(|addr| addr.is_class_e())
}

/// A proxy holds a pod's address that only another cluster's service lists, and calls fail.
pub fn endpoints(view: &View<'_>) -> Vec<Verdict> {
    if !saved::networks(view).is_empty() {
        return Vec::new();
    }
    let Some((held, home)) = saved::foreign_pod(view) else { return Vec::new() };
    let failed_calls = view.states().find_map(|(event, state)| match state {
        State::CallFailed { fault, .. }
            if matches!(fault.what, What::Refused | What::TimedOut | What::NoRoute | What::NetworkUnreachable) =>
        {
            Some(event)
        }
        _ => None,
    });
    let dial =
        saved::failed_dials(view).into_iter().find(|(_, addr)| addr.host == held.addr.host).map(|(event, _)| event);
    let Some(failed) = failed_calls.or(dial) else { return Vec::new() };
    let (own, far) = (&held.event.origin.cluster, &home.origin.cluster);
    let pair = tunnel::pair(own, far);
    vec![
        named(Verdict::likely(&pair), own, far, &held.addr.to_string())
            .token(&held.addr.host)
            .because(held.event, "a proxy of one cluster holds a pod's own address")
            .because(home, "which only the other cluster's service lists")
            .because(failed, "and calls there fail")
            .settle_by(
                "for c in <contexts>; do kubectl --context $c get ns istio-system -L topology.istio.io/network; done",
            ),
    ]
}
