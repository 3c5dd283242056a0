//! Two owners of one port, or a port that the mesh keeps for itself.

use std::sync::Arc;

use meshwhy_parsers::event::{Config, ConfigWhat, Event, Fact, Kind, Process};
use meshwhy_parsers::state::State;

use super::{ambient_path, xds_rejected};
use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::view::View;

/// The page.
pub static CAUSE: Cause = Cause {
    slug: "port-conflict",
    severity: Severity::Error,
    summary: "{port} has two owners: {why}",
    mechanism: "A proxy listens on ports of its own (15000, 15001, 15006, 15008, 15020, 15021, 15053, 15090), and istiod builds a \
                listener for every port a Service opens. A Service on one of these ports, or two on one port with \
                protocols that do not go together, makes istiod push a listener that already exists. Envoy rejects the \
                whole update, so unrelated changes do not arrive either, and a new proxy never gets ready. On a host \
                network the same happens with any process of the node.",
    remedy: "Give the Service or the process another port than {port}; ports 15000 to 15090 belong to the proxy.",
    verify: "kubectl get svc -A | grep -w {number}",
    explains: &[
        ("xds-rejected", Within::Mesh),
        ("config-invalid", Within::Mesh),
        ("known-bug", Within::File),
        ("ztunnel-not-ready", Within::File),
    ],
    hits: &["service-on-reserved-port", "port-taken-on-host"],
    near_misses: &["listener-rejected-for-its-filter"],
    rules: &[
        Rule::on(Kind::Nack, rejected),
        Rule::on(Kind::Config, conflicting),
        Rule::on(Kind::Process, taken),
        Rule::Mesh(not_scheduled),
        Rule::Mesh(in_dumps),
        Rule::after(Kind::Connection, 5, ambient_path::own_port_dialled),
        Rule::on(Kind::Cni, ambient_path::pod_port_taken),
    ],
};

/// Ports a sidecar, gateway, agent or ztunnel listens on itself.
const RESERVED: [u16; 12] = [15000, 15001, 15002, 15004, 15006, 15008, 15009, 15020, 15021, 15053, 15080, 15090];

/// The last port that a text names: `0.0.0.0:15090`, `0.0.0.0_15090`, `port 15021`.
fn port_of(text: &str) -> Option<u16> {
    let numbers = text.split(|c: char| !c.is_ascii_digit()).filter(|part| (2..=5).contains(&part.len()));
    let ports: Vec<u16> = numbers.filter_map(|part| part.parse().ok()).collect();
    // Addresses are numbers too: the biggest is the port in all forms seen.
    ports.iter().copied().filter(|port| RESERVED.contains(port)).max().or(ports.into_iter().max())
}

fn verdict(verdict: Verdict, port: Option<u16>) -> Verdict {
    match port {
        Some(port) => verdict.slot("port", format!("port {port}")).slot("number", port).token(port),
        None => verdict.slot("port", "a port"),
    }
}

fn subject(port: Option<u16>) -> String {
    port.map_or("port".to_string(), |port| format!("port {port}"))
}

fn rejected(_: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Nack(nack) = &event.fact else { return None };
    let second = second_owner(nack.resource.as_deref().unwrap_or(""), &nack.reason)?;
    Some(second.because(event, "the proxy rejects the second listener"))
}

/// What a proxy's dump keeps of a listener that it rejected.
fn in_dumps(view: &View<'_>) -> Vec<Verdict> {
    let verdicts = xds_rejected::refused(view).filter_map(|(_, event, one)| {
        let quote = format!("{} {} refused: {}", one.kind, one.name, one.details.lines().next().unwrap_or(""));
        let second = second_owner(&one.name, &one.details)?;
        Some(second.because_quote(event, &quote, "the proxy rejected the second listener"))
    });
    verdicts.collect()
}

/// A listener that was rejected because there is another one of its address.
fn second_owner(listener: &str, reason: &str) -> Option<Verdict> {
    let lower = reason.to_ascii_lowercase();
    let is_conflict = ["duplicate address", "address already in use", "duplicate listener", "has duplicate"]
        .iter()
        .any(|mark| lower.contains(mark));
    if !is_conflict {
        return None;
    }
    let port = port_of(listener).or_else(|| port_of(reason));
    let why = match port {
        Some(port) if RESERVED.contains(&port) => {
            "it belongs to the proxy itself, and a Service or ServiceEntry opens it too"
        }
        _ => "a listener for it exists already",
    };
    Some(verdict(Verdict::certain(&subject(port)), port).slot("why", why))
}

fn conflicting(_: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Config(Config { what: ConfigWhat::PortConflict, reason, resource }) = &event.fact else { return None };
    let port = port_of(resource).or_else(|| port_of(reason));
    Some(verdict(Verdict::certain(&subject(port)), port).slot("why", reason).because(event, "the conflict is named"))
}

fn taken(_: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Process(Process::PortTaken(reason)) = &event.fact else { return None };
    let port = port_of(reason);
    let why = "another process listens on it";
    Some(verdict(Verdict::certain(&subject(port)), port).slot("why", why).because(event, "the program cannot listen"))
}

fn not_scheduled(view: &View<'_>) -> Vec<Verdict> {
    let waits = view.states().find(|(_, state)| match state {
        State::KubeEvent { message, .. } => message.contains("didn't have free ports"),
        _ => false,
    });
    let Some((event, _)) = waits else { return Vec::new() };
    let why = "the pod asks for a host port that is taken on every node";
    vec![verdict(Verdict::certain("host port"), None).slot("why", why).because(event, "no node has the port free")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_told_from_the_address() {
        assert_eq!(port_of("listener '0.0.0.0_15090' has duplicate address '0.0.0.0:15090'"), Some(15090));
        assert_eq!(port_of("cannot bind '10.244.100.200:9080': Address already in use"), Some(9080));
        assert_eq!(port_of("no number"), None);
    }
}
