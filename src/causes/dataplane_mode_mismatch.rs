//! A sidecar client meets an ambient-only gateway or waypoint, or the reverse (15443 against 15008).

use std::sync::Arc;

use meshwhy_parsers::access::Request;
use meshwhy_parsers::errors::What;
use meshwhy_parsers::event::{Addr, Event, Fact, Kind};
use meshwhy_parsers::state::State;
use meshwhy_parsers::ztunnel::{Connection, ConnectionWhat};

use super::{saved, tunnel};
use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::view::View;

/// The cause.
pub static CAUSE: Cause = Cause {
    slug: "dataplane-mode-mismatch",
    severity: Severity::Critical,
    summary: "{addr} is dialled on port {port}, but that gateway serves only the other data plane's port {has}",
    mechanism: "Sidecars cross networks on port 15443 with mutual TLS that the gateway passes through; ambient crosses them on \
                15008 with HBONE that the gateway terminates. A gateway set up for one of them does not answer the other: the \
                address is right, the certificates are right, and the port is simply not there. It happens when one cluster is \
                moved to ambient before the other, or a gateway is installed from the other mode's example. It looks like a \
                gateway that is down; its own health check is green.",
    remedy: "Give the gateway behind {addr} the port {port} too (both modes can share one gateway), or move both clusters to one \
             data plane mode.",
    verify: "kubectl get service -n istio-system -l istio=eastwestgateway -o wide",
    explains: &[
        ("eastwest-gateway-down", Within::Token),
        ("crossnetwork-port-blocked", Within::Token),
        ("hbone-blocked", Within::Token),
        ("upstream-not-listening", Within::Token),
        ("upstream-connect-timeout", Within::Token),
        ("tls-to-plaintext-port", Within::Token),
    ],
    hits: &[
        "gateway-serves-sidecars-only",
        "state-joined-15008-refused-sidecar-gateway",
        "state-joined-refused-ambient-gateway",
        "sidecar-sent-to-ambient-gateway",
    ],
    near_misses: &["gateway-refuses-15008", "state-joined-15008-refused-no-pod", "state-joined-refused-gateway-down"],
    rules: &[Rule::after(Kind::Connection, 5, connection), Rule::after(Kind::Request, 5, request)],
};

/// Reads a ztunnel connect to a gateway that serves sidecars only.
pub fn connection(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let (connection, what) = tunnel::outbound(event)?;
    if let ConnectionWhat::H2(fault) = what {
        return (fault.what == What::WrongProtocol).then(|| no_tunnel_there(event, connection));
    }
    let fault = tunnel::connect_fault(what)?;
    if !connection.to_gateway() || !matches!(fault, What::Refused | What::TimedOut) {
        return None;
    }
    other_mode(view, event, connection.dst.addr.as_ref()?, 15008, 15443)
}

/// Something takes the TLS connection on 15008 and answers with another protocol: a sidecar without HBONE, for one.
fn no_tunnel_there(event: &Arc<Event>, connection: &Connection) -> Verdict {
    let to = tunnel::destination(connection);
    Verdict::likely(&to)
        .says("{to} does not speak HBONE on {addr}: what listens there belongs to another data plane mode")
        .slot("to", &to)
        .slot("addr", tunnel::dialled_port(connection))
        .slot("port", 15008)
        .slot("has", "(no HBONE)")
        .token(tunnel::dialled(connection))
        .token(&to)
        .because(event, "TLS works, and then the answer is not HTTP/2")
        .settle_by(format!(
            "kubectl get pod -n {} {} -o yaml | grep -i -A1 hbone",
            connection.dst.namespace, connection.dst.workload
        ))
}

/// Reads an Envoy request to a gateway that serves ambient only.
pub fn request(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Request(request) = &event.fact else { return None };
    let request: &Request = request;
    let addr = request.upstream.as_ref().filter(|_| request.is_failure())?;
    match addr.port {
        15443 => other_mode(view, event, addr, 15443, 15008),
        15008 => ambient_gateway(view, event, addr),
        _ => None,
    }
}

/// The class of gateways between the networks of an ambient mesh.
const EAST_WEST_CLASS: &str = "istio-east-west";

/// A sidecar was sent to the HBONE port of an east-west gateway, which has no port for sidecars.
fn ambient_gateway(view: &View<'_>, event: &Arc<Event>, addr: &Addr) -> Option<Verdict> {
    let of_ambient = view.states().find_map(|(event, state)| match state {
        State::Gateway { class, address, .. } if &**class == EAST_WEST_CLASS && **address == *addr.host => Some(event),
        _ => None,
    });
    if let Some(document) = of_ambient.filter(|_| matches!(&event.fact, Fact::Request(request) if !request.tunnelled)) {
        return Some(
            Verdict::certain(&format!("gateway at {}", addr.host))
                .says("a sidecar is sent to {addr} on port {has}: that gateway serves ambient only")
                .because(event, "a sidecar dials the gateway's HBONE port")
                .because(document, "a Gateway of this class speaks HBONE and nothing else")
                .slot("addr", &addr.host)
                .slot("port", 15443)
                .slot("has", 15008)
                .token(&addr.host)
                .token(addr),
        );
    }
    let gateways = saved::gateways(view);
    let gateway = gateways
        .iter()
        .find(|gateway| gateway.address() == Some(&addr.host) && gateway.offers(15008) && !gateway.offers(15443))?;
    Some(
        Verdict::likely(&format!("gateway at {}", addr.host))
            .says("a sidecar is sent to {addr} on port {has}: that gateway serves ambient only, port {port} for sidecars is not there")
            .because(event, "a sidecar dials the gateway's HBONE port")
            .because(gateway.event, "the gateway's Service offers no port for sidecars")
            .slot("addr", &addr.host)
            .slot("port", 15443)
            .slot("has", 15008)
            .token(&addr.host)
            .token(addr),
    )
}

/// A Service with that external address has the other mode's port and not this one.
fn other_mode(view: &View<'_>, event: &Arc<Event>, addr: &Addr, wanted: u16, other: u16) -> Option<Verdict> {
    let (document, _) = view.states().find(|(_, state)| match state {
        State::Service { external, ports, .. } => {
            external.split(',').any(|address| *address == *addr.host) && has(ports, other) && !has(ports, wanted)
        }
        _ => false,
    })?;
    Some(
        Verdict::certain(&format!("gateway at {}", addr.host))
            .because(event, "the gateway does not take the connection")
            .because(document, "its Service has the other mode's port only")
            .slot("addr", &addr.host)
            .slot("port", wanted)
            .slot("has", other)
            .token(&addr.host),
    )
}

/// Whether `15021:32650/TCP,15443:31116/TCP` lists a port.
fn has(ports: &str, port: u16) -> bool {
    ports
        .split(',')
        .any(|entry| entry.split([':', '/']).next().and_then(|number| number.trim().parse().ok()) == Some(port))
}
