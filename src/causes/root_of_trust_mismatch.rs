//! Two sides do not share a root: a certificate chain ends in an authority that the other side does not hold.

use std::sync::Arc;

use meshwhy_parsers::errors::{Fault, What, meaning};
use meshwhy_parsers::event::{Event, Fact, Kind, Side};
use meshwhy_parsers::origin::Role;

use super::{ambient_path, control_link, policy, requests};
use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::view::View;

/// See the mechanism.
pub static CAUSE: Cause = Cause {
    slug: "root-of-trust-mismatch",
    severity: Severity::Critical,
    summary: "{who} and {other} do not share a root of trust: {reason}",
    mechanism: "Every workload certificate and istiod's own are signed by a CA, and each side checks the other's chain against the \
                root it was given. Two control planes that made their own self-signed roots (one per cluster, or an add-on beside \
                a self-installed one), a plugged-in CA in only one cluster, or a root that was changed without restarting \
                everything leave sides that are both valid and do not know each other. The roots often carry the same name, so \
                the text speaks of a verification error of a candidate and looks like damage. One side alone prints the reason; \
                the other sees an alert or a cut connection.",
    remedy: "Compare the root certificates of {who} and {other}; give all clusters intermediates of one common root (secret cacerts), \
             then restart istiod and the workloads that still hold the old one.",
    verify: "kubectl -n istio-system get configmap istio-ca-root-cert -o jsonpath='{.data.root-cert\\.pem}' | openssl x509 -noout -fingerprint -sha256",
    explains: &[
        ("istiod-unreachable", Within::File),
        ("ca-provider-unavailable", Within::File),
        ("sds-secret-missing", Within::File),
        ("ztunnel-not-ready", Within::File),
        ("jwt-invalid", Within::File),
        ("app-error", Within::Token),
        ("upstream-closed-connection", Within::Token),
        ("no-healthy-upstream", Within::Token),
        ("outlier-ejected", Within::Token),
    ],
    hits: &["second-control-plane-with-its-own-root", "ambient-roots-differ", "roots-differ"],
    near_misses: &[
        "gateway-refuses-a-client-certificate",
        "outside-server-wants-client-cert",
        "expired-workload-certificate",
    ],
    rules: &[
        Rule::after(Kind::Stream, 5, control_plane),
        Rule::after(Kind::Certificate, 5, control_plane),
        Rule::after(Kind::Handshake, 5, handshake),
        Rule::after(Kind::Connection, 5, ambient_path::roots_differ),
        Rule::on(Kind::Request, |view, event| requests::judge(view, event, policy::roots_differ)),
        Rule::Mesh(|view| requests::judge_sentences(view, policy::roots_differ)),
    ],
};

/// Reads a failure on a proxy's way to its control plane.
fn control_plane(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    // Where a line only says that the connection failed, another one of the same log may name the reason.
    let told = control_link::told_better(view, event).unwrap_or(event);
    let (way, fault) = control_link::failure(told)?;
    let verdict = by_fault(fault, told, "istiod", control_link::cluster_of(event))?;
    let address = control_link::control_plane(view, told);
    let (who, other) = match event.signature.is_some_and(|name| name.starts_with("ztunnel-")) {
        true if way == control_link::Way::Signing => {
            (format!("ztunnel of {}", control_link::cluster_of(event)), "the CA it asks".to_string())
        }
        true => (format!("ztunnel of {}", control_link::cluster_of(event)), format!("istiod at {address}")),
        false => (control_link::speaker(event).to_string(), format!("istiod at {address}")),
    };
    Some(verdict.slot("who", who).slot("other", other).token(address))
}

/// Reads a TLS error of a sidecar; at a gateway the other end is no member of the mesh.
fn handshake(_: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Handshake(handshake) = &event.fact else { return None };
    if handshake.side == Side::Server && event.origin.role != Role::Sidecar {
        return None;
    }
    let verdict = by_fault(&handshake.fault, event, "its peer", control_link::speaker(event))?;
    let peer = handshake.peer.as_ref().map_or("its peer".to_string(), ToString::to_string);
    Some(verdict.slot("who", control_link::speaker(event)).slot("other", &peer).token(peer))
}

fn by_fault(fault: &Fault, event: &Arc<Event>, other: &str, subject: &str) -> Option<Verdict> {
    let verdict = match (&fault.what, fault.by_peer) {
        (What::SameNameOtherKey, _) => {
            Verdict::certain(subject).because(event, "the trusted root has the same name, but another key")
        }
        (What::UnknownAuthority, false) => Verdict::certain(subject)
            .because(event, &format!("the certificate of {other} ends in a root that is not trusted here")),
        (What::UnknownAuthority, true) => Verdict::certain(subject)
            .because(event, &format!("{other} says that it does not know the authority of our certificate")),
        _ => return None,
    };
    Some(verdict.slot("reason", meaning(&fault.what)))
}
