//! Same root, but different trust domains without an alias.

use std::sync::Arc;

use meshwhy_parsers::errors::What;
use meshwhy_parsers::event::{Event, Fact, Kind, Trust};
use meshwhy_parsers::ztunnel::{Connection, Direction};

use super::tunnel;
use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::view::View;

/// The cause.
pub static CAUSE: Cause = Cause {
    slug: "trust-domain-mismatch",
    severity: Severity::Critical,
    summary: "the trust domains {one} and {other} differ: workloads refuse each other although they share a root",
    mechanism: "The first part of a SPIFFE identity is the trust domain. A server accepts callers of its own domain and of the \
                aliases in meshConfig.trustDomainAliases; ztunnel checks the caller's certificate during the handshake, so \
                that a caller of another domain is cut off with the alert \"certificate unknown\" although its root is \
                trusted. Policies compare principals with the domain in front, so that an allow rule for one domain does not \
                match a caller of the other. People look for a missing root; the fingerprints are equal.",
    remedy: "Give both clusters one meshConfig.trustDomain, or list each other's in trustDomainAliases, and restart the \
             proxies so that they get new certificates.",
    verify: "kubectl get configmap istio -n istio-system -o yaml | grep -A3 -i trustDomain",
    explains: &[("san-mismatch", Within::Token)],
    hits: &["ambient-trust-domains-differ", "istiod-foreign-trust-domain"],
    near_misses: &[
        "ambient-roots-differ",
        "gateway-with-another-identity",
        "peer-unknown-authority",
        "state-joined-roots-differ",
    ],
    rules: &[Rule::after(Kind::Connection, 5, connection), Rule::on(Kind::Trust, named_by_istiod)],
};

/// Reads a ztunnel handshake that failed over the trust domain, on either side.
pub fn connection(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let (connection, what) = tunnel::failed(event)?;
    let (what, by_peer) = tunnel::tls_fault(what)?;
    match what {
        What::WrongTrustDomain { ours, theirs } => Some(
            named(Verdict::certain(&tunnel::pair(ours, theirs)), ours, theirs, connection)
                .because(event, "the server refuses a caller of another trust domain"),
        ),
        What::WrongName { want, have } if differ_only_in_domain(want, have) => {
            let (ours, theirs) = (domain(want), domain(have));
            Some(
                named(Verdict::certain(&tunnel::pair(ours, theirs)), ours, theirs, connection)
                    .because(event, "namespace and account are as expected, only the trust domain differs"),
            )
        }
        What::BadCertificate if by_peer && connection.direction == Direction::Outbound => {
            refused(view, event, connection)
        }
        _ => None,
    }
}

/// The server refused our certificate without a reason: its own line or the identities tell it.
fn refused(view: &View<'_>, event: &Arc<Event>, connection: &Connection) -> Option<Verdict> {
    let far = tunnel::other_side(view, event, connection).and_then(|(far, line)| {
        let (What::WrongTrustDomain { ours, theirs }, _) = tunnel::tls_fault(&line.error.as_ref()?.what)? else {
            return None;
        };
        Some((far, &**ours, &**theirs))
    });
    if let Some((far, ours, theirs)) = far {
        return Some(
            named(Verdict::certain(&tunnel::pair(ours, theirs)), ours, theirs, connection)
                .because(event, "the server refused the caller's certificate")
                .because(far, "the server names the trust domain as the reason"),
        );
    }
    let (ours, theirs) = (domain(&connection.src.identity), domain(&connection.dst.identity));
    (!ours.is_empty() && !theirs.is_empty() && ours != theirs).then(|| {
        named(Verdict::likely(&tunnel::pair(ours, theirs)), ours, theirs, connection)
            .because(
                event,
                "the server refused the caller's certificate, and the two identities are of different trust domains",
            )
            .settle_by("kubectl logs -n istio-system ds/ztunnel --context <remote> | grep SanTrustDomainError")
    })
}

/// istiod: a client whose chain verifies and whose domain does not, or a policy that names a foreign domain.
fn named_by_istiod(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Trust(Trust::ForeignDomain { domain, who }) = &event.fact else { return None };
    let ours = view.events(Kind::Trust).find_map(|other| match &other.fact {
        Fact::Trust(Trust::Domain { domain: ours }) if other.origin.file == event.origin.file && ours != domain => {
            Some((other, &**ours))
        }
        _ => None,
    });
    let local = ours.map_or("the mesh", |(_, ours)| ours);
    // A policy may name a domain that no workload has; a client that was refused is really there.
    let is_client = event.text.contains("Could not verify certificate");
    let subject = tunnel::pair(local, domain);
    let verdict = if is_client { Verdict::certain(&subject) } else { Verdict::likely(&subject) };
    let says = if is_client {
        "istiod refuses clients of the trust domain {other}: its own is {one}, and {other} is no alias of it"
    } else {
        "a policy names {who} of the trust domain {other}, which is neither {one} nor an alias of it, so it matches nobody"
    };
    let verdict = verdict
        .says(says)
        .slot("one", local)
        .slot("other", domain)
        .slot("who", who)
        .token(domain)
        .because(event, "istiod meets a trust domain that is not its own");
    Some(match ours {
        Some((event, _)) => verdict.because(event, "its own trust domain is another"),
        None => verdict,
    })
}

fn named(verdict: Verdict, ours: &str, theirs: &str, connection: &Connection) -> Verdict {
    verdict.slot("one", ours).slot("other", theirs).token(ours).token(theirs).token(tunnel::dialled(connection))
}

/// The trust domain of a SPIFFE identity; empty where there is none.
pub fn domain(identity: &str) -> &str {
    let rest = identity.split_once("spiffe://").map_or("", |(_, rest)| rest);
    rest.split('/').next().unwrap_or("")
}

/// Whether two lists of identities differ in the trust domain only.
pub fn differ_only_in_domain(want: &str, have: &str) -> bool {
    let path = |identity: &str| {
        let rest = identity.split_once("spiffe://")?.1;
        let rest = rest.split_once('/')?.1;
        Some(rest.trim_end_matches([')', ']', '"', ' ']).to_string())
    };
    let (one, other) = (domain(want), domain(have));
    !one.is_empty() && !other.is_empty() && one != other && path(want) == path(have)
}
