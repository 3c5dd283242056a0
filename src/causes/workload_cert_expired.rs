//! A workload or gateway certificate is past its validity.

use std::sync::Arc;

use meshwhy_parsers::errors::What;
use meshwhy_parsers::event::{Event, Fact, Kind};
use meshwhy_parsers::ztunnel::{Connection, Direction};

use super::{control_link, policy, requests, tables, tunnel};
use crate::engine::cause::{Cause, Rule, Severity, Verdict};
use crate::engine::view::View;

/// The cause.
pub static CAUSE: Cause = Cause {
    slug: "workload-cert-expired",
    severity: Severity::Critical,
    summary: "the certificate of {who} has expired",
    mechanism: "Workload certificates live for a day and are renewed at half of that. If the renewal fails (the CA is down, the \
                machine slept, the proxy lost its stream), nothing happens for half a day, and then every new connection \
                fails at once, while open ones go on. The client says \"certificate expired\" with both times; the server \
                only sees the client's alert. An alert \"certificate expired\" is also sent for a certificate that is not \
                valid yet, and a wrong clock on either side looks the same, so compare the times in the line.",
    remedy: "Renew: restart the pod or ztunnel that holds the certificate of {who}, then find out why the renewal failed \
             (its CA lines of the last day).",
    verify: "istioctl ztunnel-config certificates | grep {who}",
    explains: &[],
    hits: &["ambient-certificate-expired", "expired-workload-certificate"],
    near_misses: &[
        "ambient-clock-behind",
        "ambient-roots-differ",
        "machine-clock-behind",
        "state-joined-signing-certificate-ended",
        "state-joined-signing-certificate-renewed",
    ],
    rules: &[
        Rule::Mesh(tables::workload_certificate),
        Rule::after(Kind::Connection, 5, connection),
        Rule::after(Kind::Stream, 5, control_plane),
        Rule::after(Kind::Certificate, 5, control_plane),
        Rule::after(Kind::Handshake, 5, handshake),
        Rule::on(Kind::Request, |view, event| requests::judge(view, event, policy::certificate_expired)),
        Rule::Mesh(|view| requests::judge_sentences(view, policy::certificate_expired)),
    ],
};

/// Reads a ztunnel handshake that failed over an expired certificate, on either side.
pub fn connection(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let (connection, what) = tunnel::failed(event)?;
    let (What::Expired, by_peer) = tunnel::tls_fault(what)? else { return None };
    let far = tunnel::other_side(view, event, connection);
    // The alert is the same for a certificate that is not valid yet; only the side that checked knows.
    let far_fault = far.and_then(|(_, line)| tunnel::tls_fault(&line.error.as_ref()?.what));
    if by_peer && matches!(far_fault, Some((What::NotYetValid, _))) {
        return None;
    }
    let server = match (connection.direction, far) {
        _ if connection.to_gateway() => tunnel::gateway_subject(connection).unwrap_or_default(),
        (Direction::Outbound, _) => tunnel::destination(connection),
        (Direction::Inbound, Some((_, far))) => tunnel::destination(far),
        (Direction::Inbound, None) => tunnel::dialled_port(connection),
    };
    let client = match (connection.direction, far) {
        (Direction::Inbound, Some((_, far))) => tunnel::source(far),
        _ => tunnel::source(connection),
    };
    let refused_by_client = (connection.direction == Direction::Outbound) != by_peer;
    let who = if refused_by_client { server } else { client };
    let mut verdict = Verdict::certain(&who).because(
        event,
        if by_peer {
            "the other side says that the certificate has expired"
        } else {
            "the certificate is past its end"
        },
    );
    if let Some((far, _)) = far {
        verdict = verdict.because(far, "the other end of the same connection");
    }
    if let Some((document, certificate)) = expired_in_dump(view, event, connection, refused_by_client) {
        verdict = verdict.because_quote(document, &certificate, "the dump shows its validity");
    }
    Some(verdict.slot("who", &who).token(&who).token(tunnel::dialled(connection)))
}

/// The certificate in question in a dump, as a quotation.
fn expired_in_dump<'w>(
    view: &View<'w>,
    event: &Arc<Event>,
    connection: &Connection,
    servers: bool,
) -> Option<(&'w Arc<Event>, String)> {
    let identity = if servers { &connection.dst.identity } else { &connection.src.identity };
    if identity.is_empty() {
        return None;
    }
    view.dumps().find_map(|(document, dump)| {
        let certificate = dump.certificates.iter().find(|known| known.identity == *identity)?;
        let (from, to) = certificate.valid?;
        (to < event.at?).then(|| (document, format!("certificate {identity} valid {from} to {to}")))
    })
}

/// Reads a proxy whose control plane, or which itself, shows an expired certificate.
fn control_plane(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let (_, fault) = control_link::failure(event)?;
    if fault.what != What::Expired {
        return None;
    }
    let address = control_link::control_plane(view, event);
    let verdict = match fault.by_peer {
        true => {
            let who = control_link::speaker(event);
            Verdict::certain(who)
                .slot("who", who)
                .because(event, "istiod says that this proxy's certificate has expired")
        }
        // The chain is checked as a whole: it may also be the CA's certificate in it.
        false => Verdict::possible(&address)
            .slot("who", format!("istiod at {address}"))
            .because(event, "a certificate in istiod's chain has expired")
            .settle_by(format!("openssl s_client -connect {address} -showcerts </dev/null")),
    };
    Some(verdict.token(address))
}

/// Reads a TLS error in Envoy's own log.
fn handshake(_: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Handshake(handshake) = &event.fact else { return None };
    if handshake.fault.what != What::Expired {
        return None;
    }
    let peer = handshake.peer.as_ref().map_or("the peer".to_string(), ToString::to_string);
    let (who, shows) = match handshake.fault.by_peer {
        true => (control_link::speaker(event).to_string(), "the other side says that the certificate has expired"),
        false => (peer, "the peer's certificate is past its end"),
    };
    Some(Verdict::certain(&who).slot("who", &who).token(&who).because(event, shows))
}
