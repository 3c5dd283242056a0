//! A certificate is on the revocation list that the peer holds.

use std::sync::Arc;

use meshwhy_parsers::errors::What;
use meshwhy_parsers::event::{Event, Kind};
use meshwhy_parsers::ztunnel::{ConnectionWhat, Direction};

use super::tunnel;
use crate::engine::cause::{Cause, Rule, Severity, Verdict};
use crate::engine::view::View;

/// The cause.
pub static CAUSE: Cause = Cause {
    slug: "cert-revoked",
    severity: Severity::Error,
    summary: "the certificate of {who} is on the revocation list its peer holds",
    mechanism: "If a revocation list is configured (CRL_PATH of ztunnel, or a plugged-in CA with ca-crl.pem), every handshake \
                compares the peer's chain with it, and since 1.31 live connections are cut when a new list arrives. A revoked \
                intermediate takes down every workload that istiod signed with it, which looks like a root that does not \
                fit; only the word \"revoked\" tells it. A list that was rolled out to one cluster only makes the fault \
                one-sided.",
    remedy: "Find the revoked serial in the list (`openssl crl -text`): a leaf means that pod needs a new certificate, an \
             intermediate means a new signing certificate for istiod.",
    verify: "kubectl get configmap istio-ca-crl -n istio-system -o jsonpath='{.data.ca-crl\\.pem}' | openssl crl -noout -text",
    explains: &[],
    hits: &["ambient-certificate-revoked"],
    near_misses: &["ambient-roots-differ"],
    rules: &[Rule::on(Kind::Connection, connection)],
};

/// Reads a ztunnel connection that a revocation list ended.
pub fn connection(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let (connection, what) = tunnel::failed(event)?;
    let by_peer = match (what, tunnel::tls_fault(what)) {
        (ConnectionWhat::Revoked, _) => false,
        (_, Some((What::Revoked, by_peer))) => by_peer,
        _ => return None,
    };
    let far = tunnel::other_side(view, event, connection).map(|(_, far)| far);
    let servers = (connection.direction == Direction::Outbound) != by_peer;
    let line = far.filter(|far| far.direction == Direction::Outbound).unwrap_or(connection);
    let who = if servers { tunnel::destination(line) } else { tunnel::source(line) };
    Some(Verdict::certain(&who).slot("who", &who).token(&who).because(event, "the peer's certificate is revoked"))
}
