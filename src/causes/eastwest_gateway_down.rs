//! The east-west gateway has an address, but nothing answers on its port.

use std::sync::Arc;

use meshwhy_parsers::access::Flag;
use meshwhy_parsers::errors::What;
use meshwhy_parsers::event::{Event, Fact, Kind};
use meshwhy_parsers::state::State;

use super::{saved, tables, tunnel};
use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::view::View;

/// The cause.
pub static CAUSE: Cause = Cause {
    slug: "eastwest-gateway-down",
    severity: Severity::Critical,
    summary: "the gateway of {network} at {addr} refuses: nothing listens there",
    mechanism: "The address of the remote east-west gateway is right and reachable, but the port is closed: its pods are not \
                ready, the proxy inside has no listener for lack of configuration, or the Service sends the port elsewhere. \
                A refusal comes at once, unlike a firewall's silence. If a service also has local endpoints, only the share \
                of calls that is sent to the other network fails, so that it looks like an unreliable application.",
    remedy: "Look at the gateway pods of {network}: ready? Does the proxy listen on {port}? Does the Service map it?",
    verify: "nc -vz {host} {port}",
    explains: &[
        ("crossnetwork-port-blocked", Within::Token),
        ("upstream-connect-timeout", Within::Token),
        // A load balancer takes the connection and ends it where no pod stands behind it.
        ("eastwest-gateway-misconfigured", Within::Token),
    ],
    hits: &[
        "gateway-refuses-15008",
        "gateway-port-refused",
        "gateway-pod-crashing",
        "state-gateway-has-no-ready-pod",
        "state-joined-15008-refused-no-pod",
        "state-joined-refused-gateway-down",
    ],
    near_misses: &[
        "gateway-port-black-holed",
        "ambient-pod-not-captured",
        "crossnetwork-port-filtered",
        "old-replica-sets-listed",
        "state-services-not-exposed",
        "state-joined-15008-refused-sidecar-gateway",
        "gateway-waits-since-its-token-is-refused",
    ],
    rules: &[
        Rule::Mesh(|view| tables::failed_check(view, "gateway)")),
        Rule::after(Kind::Connection, 5, connection),
        Rule::on(Kind::Request, request),
        Rule::Mesh(probes),
    ],
};

/// Reads a ztunnel connect that a gateway refused.
pub fn connection(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let (connection, what) = tunnel::outbound(event)?;
    let (network, address) = tunnel::gateway(connection)?;
    (tunnel::connect_fault(what)? == &What::Refused).then_some(())?;
    let to = tunnel::dialled_port(connection);
    let unready = view.states().find(|(_, state)| {
        matches!(state, State::Pod { name, ready, containers, .. } if name.contains("eastwest") && ready < containers)
    });
    let subject = tunnel::gateway_subject(connection)?;
    let mut verdict = match unready {
        Some((document, _)) => Verdict::certain(&subject).because(document, "a gateway pod is not ready"),
        None => Verdict::likely(&subject),
    };
    verdict = verdict.because(event, "the gateway's address refused the connection");
    Some(
        verdict
            .slot("network", network)
            .slot("addr", &to)
            .slot("host", address)
            .slot("port", connection.dst.addr.as_ref().map_or(15008, |addr| addr.port))
            .token(address)
            .token(network)
            .token(&connection.service),
    )
}

/// What is broken where state shows it: the gateway of a cluster.
pub fn subject(cluster: &str) -> String {
    format!("{cluster} gateway")
}

/// Fills the slots for a gateway that state shows not to serve.
pub fn listed(verdict: Verdict, cluster: &str, name: &str, why: &str, (host, port): (&str, u16)) -> Verdict {
    verdict
        .says("the east-west gateway {name} of {network} is not serving: {why}")
        .slot("network", cluster)
        .slot("name", name)
        .slot("addr", name)
        .slot("host", host)
        .slot("port", port)
        .slot("why", why)
        .token(name)
}

/// A probe by hand that a gateway's port refused.
pub fn probes(view: &View<'_>) -> Vec<Verdict> {
    let refused = view.states().find_map(|(event, state)| match state {
        State::Probe { addr, fault: Some(fault) }
            if fault.what == What::Refused && saved::CROSS_NETWORK_PORTS.contains(&addr.port) =>
        {
            Some((event, addr))
        }
        _ => None,
    });
    let Some((event, addr)) = refused else { return Vec::new() };
    let gateways = saved::gateways(view);
    let gateway = gateways.iter().find(|gateway| gateway.address() == Some(&addr.host));
    // Port 15008 of a pod is ztunnel's; only an address that is known as a gateway's tells.
    if gateway.is_none() && addr.port != 15443 {
        return Vec::new();
    }
    let network = gateway.map_or("the other cluster", |gateway| gateway.cluster());
    let mut verdict = Verdict::likely(&addr.to_string()).because(event, "the gateway's port refuses");
    if let Some(gateway) = gateway {
        verdict = verdict.because(gateway.event, "the address is the gateway's");
    }
    let verdict = verdict.slot("network", network).slot("addr", addr).slot("host", &addr.host).slot("port", addr.port);
    vec![verdict.token(&addr.host).token(addr)]
}

/// A sidecar's connect to a gateway on 15443 that was refused.
pub fn request(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Request(request) = &event.fact else { return None };
    let addr = request.upstream.as_ref().filter(|addr| addr.port == 15443)?;
    let refused = request.transport.as_ref().is_some_and(|fault| fault.what == What::Refused);
    if !refused || !request.has(&Flag::UpstreamConnectionFailure) {
        return None;
    }
    let unready = saved::pods(view)
        .into_iter()
        .find(|pod| saved::is_east_west(pod.name, "") && !pod.is_ready() && !pod.is_over());
    let mut verdict =
        if unready.is_some() { Verdict::certain(&addr.to_string()) } else { Verdict::likely(&addr.to_string()) };
    verdict = verdict.because(event, "the gateway's address refused the connection");
    if let Some(pod) = unready {
        verdict = verdict.because(pod.event, "a gateway pod is not ready");
    }
    let verdict = verdict
        .slot("network", "the other cluster")
        .slot("addr", addr)
        .slot("host", &addr.host)
        .slot("port", addr.port);
    Some(verdict.token(&addr.host).token(addr))
}
