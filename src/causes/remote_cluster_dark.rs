//! istiod serves a remote cluster it can no longer read, and its log does not show why.

use std::sync::Arc;

use meshwhy_parsers::errors::What;
use meshwhy_parsers::event::{Event, Fact, Kind, Remote, RemoteWhat};

use super::remote_api::{asked, is_removed, reason_is_shown, secret_of, told};
use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::view::View;

/// The cause.
pub static CAUSE: Cause = Cause {
    slug: "remote-cluster-dark",
    severity: Severity::Critical,
    summary: "istiod of {local} does not read {remote}, and its log does not say why",
    mechanism: "istiod says `synced` of a remote cluster for ever after the first listing. When its watches die later, it keeps serving the \
                endpoints it knew, and only the repeated `watch error` lines tell. Where those lines name a reason, that reason is the cause; \
                where the log is cut, filtered or names nothing, all that can be said is that the cluster is dark.",
    remedy: "Look for `watch error in cluster {remote}` in the log of every istiod replica in {local}; the text behind it is the cause. Until then check the address and the token in {secret}.",
    verify: "istioctl remote-clusters --context {local}",
    explains: &[("stale-endpoint", Within::Token), ("no-healthy-upstream", Within::Token)],
    hits: &["remote-watch-unknown-reason"],
    near_misses: &["remote-sync-without-reason", "remote-token-revoked", "removed-before-first-sync"],
    rules: &[Rule::on(Kind::Remote, judge)],
};

fn judge(view: &View<'_>, trigger: &Arc<Event>) -> Option<Verdict> {
    // A watch error whose words nobody knows: the cluster is dark, the reason is for a person to read.
    if let Some(asked) = asked(view, trigger) {
        let subject = format!("{} -> {}", asked.local, asked.remote);
        let unknown = asked.fault.what == What::Other;
        return unknown.then(|| told(Verdict::likely(&subject), view, trigger, &asked));
    }
    without_reason(view, trigger)
}

/// `failed to sync after 30s` alone: the API server is out of reach, or something else keeps the first listing from ending.
pub fn without_reason(view: &View<'_>, trigger: &Arc<Event>) -> Option<Verdict> {
    let Fact::Remote(Remote { cluster, what: RemoteWhat::SyncTimedOut | RemoteWhat::Omitted, .. }) = &trigger.fact
    else {
        return None;
    };
    if view.is_own(trigger, cluster) || reason_is_shown(view, trigger, cluster) || is_removed(view, trigger, cluster) {
        return None;
    }
    let local = view.own_id(trigger).unwrap_or(&trigger.origin.cluster);
    let verdict = Verdict::possible(&format!("{local} -> {cluster}"))
        .slot("remote", cluster)
        .slot("local", local)
        .slot("address", "the address in its kubeconfig")
        .slot("reason", "the first listing did not end in time")
        .slot("secret", secret_of(view, trigger, cluster))
        .token(cluster)
        .cluster(cluster)
        .because(trigger, "the first listing of the cluster did not end, and no line says why")
        .settle_by(format!(
            "kubectl --context {local} -n istio-system logs deploy/istiod | grep 'watch error in cluster {cluster}'"
        ));
    Some(verdict)
}

/// The same lines, as `remote-api-unreachable` reads them: the most frequent reason.
pub fn unreachable_perhaps(view: &View<'_>, trigger: &Arc<Event>) -> Option<Verdict> {
    let verdict = without_reason(view, trigger)?;
    Some(verdict.says("istiod of {local} could not list {remote} in time: perhaps its API server is out of reach"))
}
