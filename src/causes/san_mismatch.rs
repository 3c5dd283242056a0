//! The certificate is trusted but carries another identity than the one expected.

use std::sync::Arc;

use meshwhy_parsers::errors::{Fault, What};
use meshwhy_parsers::event::{Event, Fact, Kind, RefusedWhy};

use super::{control_link, policy, requests, trust_domain_mismatch, tunnel};
use crate::engine::cause::{Cause, Rule, Severity, Verdict};
use crate::engine::view::View;

/// The cause.
pub static CAUSE: Cause = Cause {
    slug: "san-mismatch",
    severity: Severity::Error,
    summary: "{addr} presents the identity {have}, but {want} is expected there",
    mechanism: "Both sides trust the same root, so the handshake gets as far as the name: the client compares the identity in \
                the server's certificate with the one istiod told it to expect. They differ where the address belongs to \
                another workload than the entry says: another backend behind a gateway's load balancer, a pod address that \
                was given to another pod, a service account that was renamed while an old entry lives on. For a service \
                called across networks the accepted identities come from the service itself; if that list is empty, no \
                certificate can ever match. It is a TLS error, but changing roots or certificates does not mend it.",
    remedy: "Find out who owns {addr}, and which service account its pods run with; correct the gateway's Service, the entry \
             or the service account so that it is {want}.",
    verify: "istioctl ztunnel-config certificates; istioctl ztunnel-config service | grep <service>",
    explains: &[],
    hits: &["envoy-finds-another-identity", "gateway-with-another-identity", "proxy-claims-another-account"],
    near_misses: &[
        "envoy-roots-of-one-name",
        "ambient-trust-domains-differ",
        "ambient-roots-differ",
        "roots-differ",
        "state-joined-roots-differ",
    ],
    rules: &[
        Rule::after(Kind::Connection, 5, connection),
        Rule::after(Kind::Stream, 5, control_plane),
        Rule::on(Kind::ClientRefused, claimed_identity),
        Rule::after(Kind::Certificate, 5, control_plane),
        Rule::after(Kind::Handshake, 5, handshake),
        Rule::on(Kind::Request, |view, event| requests::judge(view, event, policy::wrong_identity)),
        Rule::Mesh(|view| requests::judge_sentences(view, policy::wrong_identity)),
    ],
};

/// Reads a ztunnel handshake that failed over the peer's name.
pub fn connection(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let (connection, what) = tunnel::outbound(event)?;
    let (What::WrongName { want, have }, _) = tunnel::tls_fault(what)? else { return None };
    if trust_domain_mismatch::differ_only_in_domain(want, have) {
        return None;
    }
    let subject = tunnel::gateway_subject(connection).unwrap_or_else(|| tunnel::destination(connection));
    let mut verdict = Verdict::certain(&subject).because(event, "the peer's certificate carries another identity");
    let expects_nothing = want.trim_matches(['(', ')', '[', ']', ' ']).is_empty();
    if expects_nothing {
        verdict = verdict.says("no identity is accepted for {service}: the service carries no subjectAltNames, so that {have} cannot match");
    }
    let owner = view.dump_for(event).and_then(|(document, dump)| {
        let owner = dump.workloads.iter().find(|workload| {
            !workload.service_account.is_empty()
                && have.contains(&format!("/ns/{}/sa/{}", workload.namespace, workload.service_account))
        })?;
        Some((document, owner))
    });
    if let Some((document, owner)) = owner {
        verdict =
            verdict.because_quote(document, &tunnel::quote(owner), "a workload with the identity that was presented");
    }
    Some(
        verdict
            .slot("addr", tunnel::dialled_port(connection))
            .slot(
                "service",
                if connection.service.is_empty() {
                    tunnel::destination(connection)
                } else {
                    connection.service.to_string()
                },
            )
            .slot("want", want)
            .slot("have", have)
            .token(tunnel::dialled(connection))
            .token(&connection.service),
    )
}

/// Reads a proxy that does not find the control plane's name in its certificate.
fn control_plane(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let (_, fault) = control_link::failure(event)?;
    if fault.text.contains("authorization failed: no identities") {
        return Some(claimed(event, control_link::speaker(event), &fault.text));
    }
    by_fault(fault, event, &control_link::control_plane(view, event))
}

/// The proxy's side of a refused identity: the credential is good, but not for what the proxy claims to be.
fn claimed(event: &Arc<Event>, who: &str, reason: &str) -> Verdict {
    let (have, want) = reason.split_once(" matched ").unwrap_or((reason, "what it claims to be"));
    let have = have.split_once("no identities ").map_or(have, |(_, have)| have);
    Verdict::certain(who)
        .says("{addr} claims to be {want}, but its identity is {have}: istiod refuses it")
        .slot("addr", who)
        .slot("want", want.lines().next().unwrap_or(""))
        .slot("have", have.trim_matches(['(', ')', '[', ']', ' ']))
        .because(event, "the identity is trusted, but it is another than the client claims")
}

/// Reads a TLS error in Envoy's own log.
fn handshake(_: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Handshake(handshake) = &event.fact else { return None };
    let peer = handshake.peer.as_ref().map_or("its peer".to_string(), ToString::to_string);
    by_fault(&handshake.fault, event, &peer)
}

/// istiod refuses a stream: the credential is of another account than the proxy's own description.
fn claimed_identity(_: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::ClientRefused(refused) = &event.fact else { return None };
    let RefusedWhy::Identity(reason) = &refused.why else { return None };
    let addr = refused.peer.as_ref().map_or("a proxy".to_string(), ToString::to_string);
    Some(
        Verdict::certain(&addr)
            .says("istiod refuses {addr}: the identity in its credential is not the one it claims ({reason})")
            .slot("addr", addr)
            .slot("want", "the account the proxy runs with")
            .slot("reason", reason)
            .because(event, "the credential and the proxy's own description name different accounts"),
    )
}

fn by_fault(fault: &Fault, event: &Arc<Event>, addr: &str) -> Option<Verdict> {
    let What::WrongName { want, have } = &fault.what else { return None };
    if trust_domain_mismatch::differ_only_in_domain(want, have) {
        return None;
    }
    let or_unknown = |name: &str| if name.is_empty() { "(not named)".to_string() } else { name.to_string() };
    let verdict = Verdict::certain(addr)
        .slot("addr", addr)
        .slot("want", or_unknown(want))
        .slot("have", or_unknown(have))
        .token(addr)
        .because(event, "the certificate is trusted, but carries other names");
    Some(verdict)
}
