//! The east-west gateway has an address, but nothing answers on its port.

use std::sync::Arc;

use meshwhy_parsers::errors::What;
use meshwhy_parsers::event::{Event, Kind};
use meshwhy_parsers::state::State;

use super::tunnel;
use crate::engine::cause::{Cause, Rule, Severity, Verdict};
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
    explains: &[],
    hits: &["gateway-refuses-15008"],
    near_misses: &["gateway-port-black-holed", "ambient-pod-not-captured"],
    rules: &[Rule::after(Kind::Connection, 5, connection)],
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
