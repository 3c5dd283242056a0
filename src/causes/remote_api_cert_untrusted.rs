//! istiod does not trust the remote API server's certificate.

use std::sync::Arc;

use meshwhy_parsers::errors::What;
use meshwhy_parsers::event::{Event, Kind};

use super::remote_api::{asked, told};
use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::view::View;

/// The cause.
pub static CAUSE: Cause = Cause {
    slug: "remote-api-cert-untrusted",
    severity: Severity::Critical,
    summary: "istiod of {local} does not trust the certificate of the API server of {remote}: {reason}",
    mechanism: "The kubeconfig in a remote secret carries the CA of the remote API server. It fails when it was made from a kubeconfig that skipped \
                verification, when the API server's CA was rotated, or when the address is none of the names in the certificate. \
                The texts speak of x509 and unknown authorities, as a mesh root mismatch does; but here the two ends are istiod \
                and kube-apiserver, and the mesh's own roots play no part.",
    remedy: "Recreate {secret} in {local} with the CA that signed the certificate at {address}, and with a server name that the certificate carries (tls-server-name where the address differs). First compare: openssl s_client -connect {address} -showcerts.",
    verify: "istioctl remote-clusters --context {local}",
    explains: &[
        ("remote-cluster-dark", Within::Token),
        ("stale-endpoint", Within::Token),
        ("no-healthy-upstream", Within::Token),
        ("istiod-replicas-diverged", Within::Token),
        ("jwt-invalid", Within::Token),
    ],
    hits: &["remote-api-ca-not-in-secret", "state-joined-api-ca-of-before"],
    near_misses: &["peer-unknown-authority", "state-joined-api-ca-corrected"],
    rules: &[Rule::on(Kind::Remote, judge), Rule::on(Kind::ClientRefused, judge)],
};

fn judge(view: &View<'_>, trigger: &Arc<Event>) -> Option<Verdict> {
    let asked = asked(view, trigger)?;
    let untrusted = matches!(
        asked.fault.what,
        What::UnknownAuthority
            | What::SameNameOtherKey
            | What::Expired
            | What::NotYetValid
            | What::WrongName { .. }
            | What::BadCertificate
            | What::Malformed
            | What::TlsPolicy
            | What::Tls
    );
    // An alert received is the API server's word about our certificate: its answer to a credential.
    (untrusted && !asked.fault.by_peer)
        .then(|| told(Verdict::certain(&format!("{} -> {}", asked.local, asked.remote)), view, trigger, &asked))
}
