//! Two sides do not share a root: a certificate chain ends in an authority that the other side does not hold.

use std::collections::BTreeSet;
use std::sync::Arc;

use meshwhy_parsers::errors::{Fault, What, meaning};
use meshwhy_parsers::event::{Event, Fact, Kind, PeerWhat, Remote, RemoteWhat, Side, Trust};
use meshwhy_parsers::origin::Role;

use super::peering_disconnected::peer_cluster;
use super::remote_api::shortened;
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
    verify: "for c in <contexts>; do kubectl --context $c -n istio-system get configmap istio-ca-root-cert -o jsonpath='{.data.root-cert\\.pem}' | openssl x509 -noout -fingerprint -sha256; done",
    explains: &[
        ("istiod-unreachable", Within::File),
        ("ca-provider-unavailable", Within::File),
        ("sds-secret-missing", Within::File),
        ("ztunnel-not-ready", Within::File),
        ("jwt-invalid", Within::File),
        ("peering-disconnected", Within::Token),
        ("san-mismatch", Within::Token),
        ("client-cert-rejected", Within::Token),
        ("app-error", Within::Token),
        ("upstream-closed-connection", Within::Token),
        ("no-healthy-upstream", Within::Token),
        ("outlier-ejected", Within::Token),
    ],
    hits: &[
        "envoy-roots-of-one-name",
        "second-control-plane-with-its-own-root",
        "ambient-roots-differ",
        "roots-differ",
        "peer-unknown-authority",
        "two-self-signed-clusters",
        "new-root-ignored",
        "state-joined-roots-differ",
    ],
    near_misses: &[
        "envoy-finds-another-identity",
        "gateway-refuses-a-client-certificate",
        "outside-server-wants-client-cert",
        "expired-workload-certificate",
        "remote-api-ca-not-in-secret",
        "two-plugged-in-clusters",
        "state-joined-plain-answer-filtered",
        "state-joined-plain-answer-terminated",
        "state-joined-roots-agree",
        "old-ztunnel-refuses-by-policy",
    ],
    rules: &[
        Rule::after(Kind::Stream, 5, control_plane),
        Rule::after(Kind::Certificate, 5, control_plane),
        Rule::after(Kind::Handshake, 5, handshake),
        Rule::after(Kind::Connection, 5, ambient_path::roots_differ),
        Rule::Mesh(ambient_path::roots_in_dumps),
        Rule::on(Kind::Request, |view, event| requests::judge(view, event, policy::roots_differ)),
        Rule::Mesh(|view| requests::judge_sentences(view, policy::roots_differ)),
        Rule::after(Kind::Peer, 5, peer_link),
        Rule::Mesh(roots),
        Rule::Mesh(compared),
        Rule::on(Kind::Trust, root_ignored),
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

/// istiod goes on with the old root, while others may have the new one already.
fn root_ignored(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Trust(trust) = &event.fact else { return None };
    let (says, shows) = match trust {
        Trust::RootIgnored => (
            "istiod of {who} ignores the new root in its Secret until it is restarted, so it signs under another root than {other}",
            "a new root was put in, and this istiod keeps the old one",
        ),
        Trust::BundleUnreachable(_) => (
            "istiod of {who} cannot fetch the roots of {other}: {reason}",
            "the roots of another trust domain are not known here",
        ),
        _ => return None,
    };
    let local = view.own_id(event).unwrap_or(&event.origin.cluster);
    let verdict = if *trust == Trust::RootIgnored { Verdict::likely(local) } else { Verdict::possible(local) };
    Some(
        verdict
            .says(says)
            .slot("who", local)
            .slot("other", "the rest of the mesh")
            .slot("reason", shortened(&event.text))
            .because(event, shows)
            .settle_by("kubectl -n istio-system get secret cacerts -o jsonpath='{.data.root-cert\\.pem}' | base64 -d | openssl x509 -noout -fingerprint -sha256"),
    )
}

/// The link between control planes: `remote error: tls: unknown certificate authority`.
fn peer_link(view: &View<'_>, trigger: &Arc<Event>) -> Option<Verdict> {
    let Fact::Peer(peer) = &trigger.fact else { return None };
    let PeerWhat::Disconnected(fault) = &peer.what else { return None };
    // A Go peer says `bad certificate` of every fault: another trust domain fits as well as another root.
    let vague = fault.what == What::BadCertificate;
    if !matches!(fault.what, What::UnknownAuthority | What::SameNameOtherKey) && !vague {
        return None;
    }
    let local = view.own_id(trigger).unwrap_or(&trigger.origin.cluster);
    let other = peer_cluster(&peer.target);
    let shows = match fault.by_peer {
        true => "the peer refuses our certificate: it does not know the authority that signed it",
        false => "we refuse the peer's certificate: we do not know the authority that signed it",
    };
    let subject = pair(local, other);
    let mut verdict = if vague { Verdict::likely(&subject) } else { Verdict::certain(&subject) };
    verdict = verdict
        .slot("who", local)
        .slot("other", other)
        .slot("reason", shortened(&fault.text))
        .token(other)
        .cluster(other)
        .because(trigger, shows);
    for digest in different_digests(view) {
        verdict = verdict.because(digest, "the SHA-256 sums of the two roots differ");
    }
    Some(verdict)
}

/// The same name for both directions.
fn pair(a: &str, b: &str) -> String {
    if a <= b { format!("{a} and {b}") } else { format!("{b} and {a}") }
}

/// The roots of two clusters as tools printed them, where they differ.
fn different_digests<'w>(view: &View<'w>) -> Vec<&'w Arc<Event>> {
    let digests: Vec<(&Arc<Event>, &str, &str)> = view
        .events(Kind::Trust)
        .filter_map(|event| match &event.fact {
            Fact::Trust(Trust::RootDigest { cluster, digest }) => Some((event, &**cluster, &**digest)),
            _ => None,
        })
        .collect();
    let Some((first, cluster, digest)) = digests.first() else { return Vec::new() };
    // One command in a loop over clusters prints a sum for each, under all their names.
    let other = digests.iter().find(|(_, of, sum)| (of != cluster || of.contains(", ")) && sum != digest);
    other.map_or_else(Vec::new, |(second, _, _)| vec![*first, *second])
}

/// Roots that somebody compared and found to differ. Files that differ may hold a root in common, so it is a hint.
fn compared(view: &View<'_>) -> Vec<Verdict> {
    let differing = view.events(Kind::Trust).filter_map(|event| match &event.fact {
        Fact::Trust(Trust::RootsCompared { one, other, same: false }) => Some((event, &**one, &**other)),
        _ => None,
    });
    let mut seen = BTreeSet::new();
    let verdicts = differing.filter(|(_, one, other)| seen.insert(pair(one, other))).map(|(event, one, other)| {
        // istioctl compares what two proxies hold; of files nobody knows where they came from.
        let is_held = event.signature == Some("roots-compared");
        let are_clusters = || view.mesh().cluster(one).is_some() && view.mesh().cluster(other).is_some();
        let subject = pair(one, other);
        let verdict = if is_held || are_clusters() { Verdict::likely(&subject) } else { Verdict::possible(&subject) };
        verdict
            .slot("who", one)
            .slot("other", other)
            .slot("reason", "somebody compared their roots, and they differ")
            .token(one)
            .token(other)
            .because(event, "the roots were compared and are not the same")
            .settle_by("kubectl -n istio-system get configmap istio-ca-root-cert -o jsonpath='{.data.root-cert\\.pem}' | openssl x509 -noout -fingerprint -sha256, for each")
    });
    verdicts.collect()
}

/// Roots that cannot be one: two sums that differ, or two clusters of one mesh that each made a root of their own.
fn roots(view: &View<'_>) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    if let [first, second] = different_digests(view)[..]
        && let (Fact::Trust(Trust::RootDigest { cluster: a, .. }), Fact::Trust(Trust::RootDigest { cluster: b, .. })) =
            (&first.fact, &second.fact)
    {
        let (a, b) = a.split_once(", ").filter(|_| a == b).unwrap_or((a, b));
        let verdict = Verdict::certain(&pair(a, b))
            .slot("who", a)
            .slot("other", b)
            .slot("reason", "the SHA-256 sums of their roots differ")
            .token(a)
            .token(b)
            .because(first, "the root of one cluster")
            .because(second, "the root of the other is not the same");
        verdicts.push(verdict);
    }
    let own_roots: Vec<(&Arc<Event>, String)> = view
        .events(Kind::Trust)
        .filter(|event| event.fact == Fact::Trust(Trust::SelfSigned))
        .map(|event| (event, view.own_id(event).unwrap_or(&event.origin.cluster).to_string()))
        .collect();
    for (first, a) in &own_roots {
        let Some((second, b)) = own_roots.iter().find(|(_, b)| b > a) else { continue };
        // Two meshes side by side may well have a root each; two that read each other's endpoints may not.
        let joined = view.events(Kind::Remote).find(|event| match &event.fact {
            Fact::Remote(Remote { cluster, what: RemoteWhat::Added | RemoteWhat::Synced, .. }) => {
                let local = view.own_id(event).unwrap_or(&event.origin.cluster);
                (local == a && **cluster == **b) || (local == b && **cluster == **a)
            }
            _ => false,
        });
        let Some(joined) = joined else { continue };
        let verdict = Verdict::likely(&pair(a, b))
            .slot("who", a)
            .slot("other", b)
            .slot("reason", "each istiod signs with a root it made itself")
            .token(a)
            .token(b)
            .because(first, "one istiod signs with a root of its own")
            .because(second, "and so does the other")
            .because(joined, "though one reads the other's endpoints, so their workloads will meet");
        verdicts.push(verdict);
        break;
    }
    verdicts
}
