//! The node's own network drops what the mesh sends.

use std::sync::Arc;

use meshwhy_parsers::errors::What;
use meshwhy_parsers::event::{Event, Fact, Kind, RemoteWhat, StreamWhat};
use meshwhy_parsers::state::State;

use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::view::View;

/// The page.
pub static CAUSE: Cause = Cause {
    slug: "node-network-broken",
    severity: Severity::Critical,
    summary: "the node's packet filter drops mesh traffic: {rule}",
    mechanism: "Below the mesh stands the node's network: routes between nodes, the CNI's packet filter, the kernel's \
                reverse-path check. ztunnel sends with the pod's address from its own place on the node, which a strict \
                reverse-path filter takes for a forged packet and drops without a word. What the mesh prints is the \
                last thing it noticed: a DNS time-out, an xDS connection that never opens, a pod that cannot be \
                reached. The same symptom on every destination of one node, and on none of the others, is the mark.",
    remedy: "Take the rule off the mesh's path: for Calico set the reverse-path filter (`FELIX_...`, \
             `allowedSourcePrefixes`, loose mode) as the platform notes of ambient mode ask, then retry from that node.",
    verify: "iptables -t raw -L -v -n | grep -i rpfilter",
    explains: &[
        ("dns-failure", Within::Mesh),
        ("istiod-unreachable", Within::Mesh),
        ("hbone-blocked", Within::Mesh),
        ("upstream-connect-timeout", Within::Mesh),
        ("ztunnel-not-ready", Within::Mesh),
    ],
    hits: &["rpfilter-drops-ztunnel"],
    near_misses: &["packet-filter-listed-and-healthy"],
    rules: &[Rule::Mesh(reverse_path_filter)],
};

/// A rule that drops by reverse path, and something that could not connect or resolve.
fn reverse_path_filter(view: &View<'_>) -> Vec<Verdict> {
    let rule = view.states().find_map(|(event, state)| match state {
        State::PacketFilter { rule, packets } if rule.contains("rpfilter") && *packets != Some(0) => {
            Some((event, rule))
        }
        _ => None,
    });
    let Some((event, rule)) = rule else { return Vec::new() };
    let Some(failure) = unconnected(view) else { return Vec::new() };
    let place = rule.split_whitespace().find(|word| word.starts_with("cali")).unwrap_or("the reverse-path filter");
    let dns = view.events(Kind::Dns).next();
    let mut verdict = Verdict::likely("reverse-path filter")
        .slot("rule", format!("{place} drops by reverse path"))
        .because(event, "this rule drops packets whose way back leads elsewhere")
        .because(failure, "and this connection gets nowhere");
    if let Some(dns) = dns {
        verdict = verdict.because(dns, "and a name gets no answer");
    }
    vec![verdict]
}

/// The first thing that could not connect or resolve.
pub(super) fn unconnected<'w>(view: &View<'w>) -> Option<&'w Arc<Event>> {
    let is_lost = |what: &What| {
        matches!(
            what,
            What::TimedOut
                | What::NoRoute
                | What::NetworkUnreachable
                | What::HandshakeTimedOut
                | What::Unreachable
                | What::NameLookupFailed(_)
                | What::NameUnknown(_)
        )
    };
    let kinds = [
        Kind::Stream,
        Kind::Connection,
        Kind::Request,
        Kind::Dns,
        Kind::Certificate,
        Kind::Remote,
        Kind::Webhook,
        Kind::State,
    ];
    let fits = |event: &&Arc<Event>| match &event.fact {
        Fact::Stream(stream) => match &stream.what {
            StreamWhat::Refused(fault) | StreamWhat::Closed(fault) => is_lost(&fault.what),
            _ => false,
        },
        Fact::Connection(connection) => connection.error.as_ref().is_some_and(|error| {
            ["imed out", "timeout", "oute to host", "unreachable"].iter().any(|part| error.text.contains(part))
        }),
        Fact::Request(request) => {
            request.reset() == "connection_timeout"
                || request.transport.as_ref().is_some_and(|fault| is_lost(&fault.what))
        }
        Fact::Dns(dns) => is_lost(&dns.fault.what),
        Fact::Certificate(certificate) => match &certificate.what {
            meshwhy_parsers::event::CertificateWhat::Failed(fault) => is_lost(&fault.what),
            _ => false,
        },
        Fact::Remote(remote) => match &remote.what {
            RemoteWhat::Watch { fault, .. } => is_lost(&fault.what),
            _ => false,
        },
        Fact::State(state) => match &**state {
            State::Probe { fault: Some(fault), .. } | State::CallFailed { fault, .. } => is_lost(&fault.what),
            _ => false,
        },
        _ => false,
    };
    kinds.into_iter().find_map(|kind| view.events(kind).find(fits))
}
