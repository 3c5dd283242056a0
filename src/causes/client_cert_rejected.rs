//! A server wants a client certificate and got none, or one it does not accept.

use std::sync::Arc;

use meshwhy_parsers::errors::{What, meaning};
use meshwhy_parsers::event::{Event, Fact, Kind, Side};
use meshwhy_parsers::origin::Role;

use super::{control_link, policy, requests};
use crate::engine::cause::{Cause, Rule, Severity, Verdict};
use crate::engine::view::View;

/// See the mechanism.
pub static CAUSE: Cause = Cause {
    slug: "client-cert-rejected",
    severity: Severity::Error,
    summary: "{who} refuses a client: {reason}",
    mechanism: "A gateway in mode MUTUAL asks every client for a certificate and checks it against the CA in its secret. A client \
                that sends none, or one of another authority, is cut in the handshake, before any request: nothing stands in the \
                access log, and the client sees a TLS alert or a reset. Only Envoy's own log at debug level names the reason, so \
                the gateway looks idle while clients complain.",
    remedy: "Give the client a certificate of the CA in {who}'s secret (key ca.crt), or correct that CA; mode SIMPLE asks for none.",
    verify: "openssl s_client -connect <gateway>:443 -cert client.crt -key client.key -servername <host>",
    explains: &[],
    hits: &["gateway-refuses-a-client-certificate", "outside-server-wants-client-cert"],
    near_misses: &["second-control-plane-with-its-own-root", "roots-differ"],
    rules: &[
        Rule::after(Kind::Handshake, 5, handshake),
        Rule::on(Kind::Request, |view, event| requests::judge(view, event, policy::client_certificate)),
        Rule::Mesh(|view| requests::judge_sentences(view, policy::client_certificate)),
    ],
};

/// Reads a handshake that a gateway, or a server that asked for a certificate, broke off.
fn handshake(_: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Handshake(handshake) = &event.fact else { return None };
    // Members of the mesh know each other's root; at a sidecar an unknown one is a matter of trust, not of clients.
    let at_sidecar = event.origin.role == Role::Sidecar;
    let shows = match (handshake.side, &handshake.fault.what, handshake.fault.by_peer) {
        (Side::Server, What::NoCertificate, false) => "the client sent no certificate although one is required",
        (Side::Server, What::UnknownAuthority | What::BadCertificate, false) if !at_sidecar => {
            "the client's certificate does not verify against the CA of this server"
        }
        (Side::Client, What::NoCertificate, true) => "the server says that it wants a certificate",
        _ => return None,
    };
    let who = control_link::speaker(event);
    let verdict =
        Verdict::certain(who).slot("who", who).slot("reason", meaning(&handshake.fault.what)).because(event, shows);
    Some(verdict)
}
