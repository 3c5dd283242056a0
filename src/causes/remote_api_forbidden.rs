//! The remote API server accepts the credential but allows too little: 403.

use std::sync::Arc;

use meshwhy_parsers::errors::What;
use meshwhy_parsers::event::{Event, Kind};

use super::remote_api::{asked, told};
use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::view::View;

/// The cause.
pub static CAUSE: Cause = Cause {
    slug: "remote-api-forbidden",
    severity: Severity::Critical,
    summary: "the API server of {remote} knows the account that istiod of {local} uses ({user}) but does not let it read {resource}",
    mechanism: "istiod reads a remote cluster as a service account of that cluster, which needs the reader cluster role. Where the role or its \
                binding is missing, or was bound in another namespace or cut down, every list is answered 403. The credential itself is good, so a new \
                token changes nothing. As long as one type cannot be listed, the cluster does not sync, even if all the others can.",
    remedy: "In {remote}, restore the reader cluster role and its binding for {user}: install the base or reader chart there, then check with kubectl auth can-i list {resource} --as {user}.",
    verify: "istioctl remote-clusters --context {local}",
    explains: &[
        ("remote-cluster-dark", Within::Token),
        ("stale-endpoint", Within::Token),
        ("no-healthy-upstream", Within::Token),
        ("istiod-replicas-diverged", Within::Token),
        ("jwt-invalid", Within::Token),
    ],
    hits: &["remote-reader-without-role", "state-joined-reader-not-bound", "reader-may-not-review-tokens"],
    near_misses: &["remote-token-revoked", "istiod-without-role", "state-joined-reader-bound-again"],
    rules: &[Rule::on(Kind::Remote, judge), Rule::on(Kind::ClientRefused, judge)],
};

fn judge(view: &View<'_>, trigger: &Arc<Event>) -> Option<Verdict> {
    let asked = asked(view, trigger)?;
    let What::Forbidden { user, resource } = &asked.fault.what else { return None };
    // Where istiod's own cluster ID is not shown, its own account tells that the cluster is its own.
    if user.contains(":istiod") && view.own_id(trigger).is_none() {
        return None;
    }
    let named = |text: &str, other: &str| if text.is_empty() { other.to_string() } else { text.to_string() };
    let verdict = Verdict::certain(&format!("{} -> {}", asked.local, asked.remote))
        .slot("user", named(user, "the reader account"))
        .slot("resource", named(resource, "its objects"));
    Some(told(verdict, view, trigger, &asked))
}
