//! Big packets vanish on the way; small ones arrive.

use std::sync::Arc;

use meshwhy_parsers::errors::What;
use meshwhy_parsers::event::{Event, Fact, Kind, PeerWhat, RemoteWhat, StreamWhat};
use meshwhy_parsers::state::State;

use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::view::View;

/// The page.
pub static CAUSE: Cause = Cause {
    slug: "mtu-blackhole",
    severity: Severity::Error,
    summary: "packets above {mtu} bytes do not get through: connections open, then hang",
    mechanism: "Where two clusters meet over a VPN or an overlay, the path carries smaller packets than the pods send. \
                A TCP connect and a small request fit; the certificates of a TLS handshake or a big answer do not, and \
                where the ICMP message that should say so is filtered, nobody learns it. So ports look open, `nc` \
                succeeds, and the mesh reports a handshake or request time-out that reads like a firewall or a slow \
                server.",
    remedy: "Lower the MTU of the pod network below that of the path, or clamp the TCP segment size on the tunnel \
             (`--clamp-mss-to-pmtu`), and let ICMP `fragmentation needed` through.",
    verify: "ping -M do -s 1472 -c 3 <address of the other side>",
    explains: &[
        ("remote-api-unreachable", Within::Mesh),
        ("upstream-connect-timeout", Within::Mesh),
        ("upstream-timeout", Within::Mesh),
        ("istiod-unreachable", Within::Mesh),
        ("crossnetwork-port-blocked", Within::Mesh),
    ],
    hits: &["tunnel-mtu-too-small"],
    near_misses: &["crossnetwork-port-filtered"],
    rules: &[
        Rule::Mesh(packet_too_big),
        Rule::on(Kind::Remote, handshake_hangs),
        Rule::on(Kind::Stream, handshake_hangs),
        Rule::on(Kind::Peer, handshake_hangs),
    ],
};

/// The error text of a failure that a path with a small MTU can cause.
fn hangs(event: &Event) -> bool {
    let fault = match &event.fact {
        Fact::Remote(remote) => match &remote.what {
            RemoteWhat::Watch { fault, .. } => fault,
            _ => return false,
        },
        Fact::Stream(stream) => match &stream.what {
            StreamWhat::Refused(fault) | StreamWhat::Closed(fault) => fault,
            _ => return false,
        },
        Fact::Peer(peer) => match &peer.what {
            PeerWhat::Disconnected(fault) => fault,
            _ => return false,
        },
        Fact::State(state) => match &**state {
            State::CallFailed { fault, .. } => return matches!(fault.what, What::HandshakeTimedOut | What::TimedOut),
            _ => return false,
        },
        Fact::Request(request) => {
            return request.upstream.is_some() && request.upstream_time.is_none() && request.is_failure();
        }
        _ => return false,
    };
    fault.what == What::HandshakeTimedOut
}

/// A path that refused a packet for its size, beside something that hangs.
fn packet_too_big(view: &View<'_>) -> Vec<Verdict> {
    let measured = view.states().find_map(|(event, state)| match state {
        State::PathMtu { mtu } => Some((event, *mtu)),
        _ => None,
    });
    let Some((event, mtu)) = measured else { return Vec::new() };
    let kinds = [Kind::Remote, Kind::Stream, Kind::Peer, Kind::State, Kind::Request];
    let Some(failure) = kinds.into_iter().find_map(|kind| view.events(kind).find(|event| hangs(event))) else {
        return Vec::new();
    };
    let mtu = if mtu == 0 { "the path's MTU".to_string() } else { mtu.to_string() };
    vec![
        Verdict::likely("path MTU")
            .slot("mtu", mtu)
            .because(event, "the path refused a packet for its size")
            .because(failure, "and this connection hangs after it opened"),
    ]
}

/// TCP works, TLS does not answer: one of several reasons.
fn handshake_hangs(_: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    hangs(event).then(|| {
        Verdict::possible("path MTU")
            .slot("mtu", "the path's MTU")
            .because(event, "the connection opens, but the handshake's bigger packets get no answer")
            .settle_by("ping -M do -s 1472 -c 3 <address of the other side>")
    })
}
