//! The remote API server refuses istiod's credential: 401.

use std::sync::Arc;

use meshwhy_parsers::errors::What;
use meshwhy_parsers::event::{Event, Kind};

use super::remote_api::{asked, told};
use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::view::View;

/// The cause.
pub static CAUSE: Cause = Cause {
    slug: "remote-api-unauthorized",
    severity: Severity::Critical,
    summary: "the API server of {remote} refuses the credential that istiod of {local} holds: {reason}",
    mechanism: "A remote secret carries a token of a service account in the remote cluster. When the account is recreated, the token expires or is \
                revoked, or the secret is copied from another cluster, the API server answers 401 to every list and watch. istiod never \
                gives up and keeps the endpoints it knew; istioctl remote-clusters goes on saying `synced`, because that word \
                only tells that the first listing once succeeded. It is easily taken for a network fault or for a mesh \
                certificate fault, though neither plays a part.",
    remedy: "Renew the secret {secret} in {local}: istioctl create-remote-secret --context <context of {remote}> --name {remote}, and apply it. First check that the token in it is one of {remote} and not expired.",
    verify: "istioctl remote-clusters --context {local}",
    explains: &[
        ("remote-cluster-dark", Within::Token),
        ("stale-endpoint", Within::Token),
        ("no-healthy-upstream", Within::Token),
        ("istiod-replicas-diverged", Within::Token),
        ("jwt-invalid", Within::Token),
    ],
    hits: &["remote-token-revoked", "state-joined-token-ended"],
    near_misses: &["remote-reader-without-role", "remote-api-restarted", "state-joined-token-renewed"],
    rules: &[Rule::on(Kind::Remote, judge), Rule::on(Kind::ClientRefused, judge)],
};

fn judge(view: &View<'_>, trigger: &Arc<Event>) -> Option<Verdict> {
    let asked = asked(view, trigger)?;
    let refused = asked.fault.what == What::Unauthorized
        || asked.fault.by_peer
            && matches!(asked.fault.what, What::BadCertificate | What::UnknownAuthority | What::Expired);
    refused.then(|| told(Verdict::certain(&format!("{} -> {}", asked.local, asked.remote)), view, trigger, &asked))
}
