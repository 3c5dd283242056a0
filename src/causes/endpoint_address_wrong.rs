//! The mesh holds a wrong address for a workload.

use std::sync::Arc;

use meshwhy_parsers::errors::What;
use meshwhy_parsers::event::{Event, Kind};
use meshwhy_parsers::state::State;
use meshwhy_parsers::ztunnel::Connection;

use super::tunnel;
use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::view::View;

/// The cause.
pub static CAUSE: Cause = Cause {
    slug: "endpoint-address-wrong",
    severity: Severity::Error,
    summary: "{to} is registered at {addr}, but pods there send and receive on another interface",
    mechanism: "The mesh takes a workload's address from the pod's status, from a registration or from a WorkloadEntry. Where \
                a pod has a second interface that carries its traffic (a user-defined network, a secondary CNI, a machine \
                with several addresses), the registered address exists but nobody answers on it. The sign is in the line \
                itself: the source address of a local pod is not the one the mesh has for it, so the mesh holds the same \
                kind of wrong address for the destination. It looks like a stale endpoint or a missing route, but the pod \
                is alive and the address does not change.",
    remedy: "Compare the address the mesh holds for {to} with the one the pod uses (`ip addr` in the pod, its EndpointSlices): \
             the mesh must learn the one that carries traffic, or the pod must be moved to the default network.",
    verify: "istioctl ztunnel-config workload | grep {host}",
    explains: &[("stale-endpoint", Within::Token)],
    hits: &["ambient-wrong-interface"],
    near_misses: &["ambient-pod-gone"],
    rules: &[Rule::after(Kind::Connection, 5, connection)],
};

/// Reads a ztunnel connect that found nobody at a pod's address.
pub fn connection(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let (connection, what) = tunnel::outbound(event)?;
    if !matches!(tunnel::connect_fault(what)?, What::NoRoute | What::TimedOut | What::NetworkUnreachable)
        || connection.to_gateway()
        || connection.hbone.is_none()
    {
        return None;
    }
    let verdict = by_source(view, event, connection).or_else(|| by_slices(view, event, connection))?;
    Some(
        verdict
            .slot("to", tunnel::destination(connection))
            .slot("addr", tunnel::dialled(connection))
            .slot("host", tunnel::dialled(connection))
            .token(tunnel::dialled(connection))
            .token(tunnel::destination(connection)),
    )
}

/// The source sends from another address than the mesh has for it.
fn by_source(view: &View<'_>, event: &Arc<Event>, connection: &Connection) -> Option<Verdict> {
    let sends_from = &connection.src.addr.as_ref()?.host;
    let (document, registered) = registered(view, event, connection)?;
    (registered != **sends_from).then(|| {
        Verdict::certain(&tunnel::destination(connection))
            .because(event, "nobody answers at the registered address; the source sends from another interface itself")
            .because_quote(
                document,
                &format!("{} {registered}", connection.src.workload),
                "the mesh has this address for the source, which it does not send from",
            )
    })
}

/// The address the mesh has for the source of a connection.
fn registered<'w>(view: &View<'w>, event: &Arc<Event>, connection: &Connection) -> Option<(&'w Arc<Event>, String)> {
    let source = &connection.src;
    if source.workload.is_empty() {
        return None;
    }
    if let Some((document, dump)) = view.dump_for(event) {
        let workload =
            dump.workloads.iter().find(|known| known.name == source.workload && known.namespace == source.namespace)?;
        // A pod with several registered addresses may send from any of them.
        return match workload.addresses.as_slice() {
            [only] => Some((document, only.to_string())),
            _ => None,
        };
    }
    view.states().find_map(|(document, state)| match state {
        State::Workload { name, address, .. } if *name == source.workload && !address.is_empty() => {
            Some((document, address.to_string()))
        }
        _ => None,
    })
}

/// The service has a second slice with an address from the source's own network, and the dialled one is not from there.
fn by_slices(view: &View<'_>, event: &Arc<Event>, connection: &Connection) -> Option<Verdict> {
    let sends_from = &connection.src.addr.as_ref()?.host;
    let dialled = tunnel::dialled(connection);
    let service = connection.service.split('.').next().filter(|service| !service.is_empty())?;
    let slices = || {
        view.states().filter_map(|(document, state)| match state {
            State::Endpoints { name, addresses, .. }
                if name.strip_prefix(service).is_some_and(|rest| rest.is_empty() || rest.starts_with('-')) =>
            {
                Some((document, addresses))
            }
            _ => None,
        })
    };
    let (registered, _) = slices().find(|(_, addresses)| addresses.iter().any(|address| **address == *dialled))?;
    let (real, address) = slices().find_map(|(document, addresses)| {
        let near = addresses.iter().find(|address| same_half(address, sends_from) && !same_half(address, dialled))?;
        Some((document, near))
    })?;
    (!same_half(sends_from, dialled)).then(|| {
        Verdict::likely(&tunnel::destination(connection))
            .because(event, "nobody answers at the registered address")
            .because(registered, "the mesh dials this address")
            .because_quote(real, address, "the same service has an address on the network the source itself sends from")
    })
}

/// Whether two IPv4 addresses share their first half.
fn same_half(one: &str, other: &str) -> bool {
    let half = |address: &str| {
        address.parse::<std::net::Ipv4Addr>().map(|address| [address.octets()[0], address.octets()[1]]).ok()
    };
    half(one).is_some() && half(one) == half(other)
}
