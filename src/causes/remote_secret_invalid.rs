//! A remote secret exists, but the kubeconfig in it cannot be used.

use std::sync::Arc;

use meshwhy_parsers::errors::What;
use meshwhy_parsers::event::{Event, Fact, Kind, Remote, RemoteWhat};

use super::remote_api::{is_told_by_server, shortened};
use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::view::View;

/// The cause.
pub static CAUSE: Cause = Cause {
    slug: "remote-secret-invalid",
    severity: Severity::Critical,
    summary: "istiod of {local} refuses the kubeconfig in {secret} and never reads {remote}: {reason}",
    mechanism: "istiod parses the kubeconfig of every labelled remote secret once, when the secret changes. It refuses credential plugins (`exec`), \
                auth providers, client certificates and token files, because they would run or read things inside its own \
                container; and it refuses what is empty or not a kubeconfig. It then prints one error and does not try again, so \
                later the log is silent, the secret lies there looking right, and the cluster's services simply have no remote endpoints.",
    remedy: "Recreate {secret} in {local} with a plain service-account token: {advice}.",
    verify: "istioctl remote-clusters --context {local}",
    explains: &[
        ("remote-secret-missing", Within::Token),
        ("no-healthy-upstream", Within::Token),
        ("cluster-id-conflict", Within::Token),
        ("jwt-invalid", Within::Token),
    ],
    hits: &["remote-secret-with-exec", "state-joined-secret-with-exec"],
    near_misses: &["remote-token-revoked", "state-joined-secret-with-token"],
    rules: &[Rule::on(Kind::Remote, judge)],
};

fn judge(view: &View<'_>, trigger: &Arc<Event>) -> Option<Verdict> {
    let Fact::Remote(Remote { cluster, secret, what: RemoteWhat::Rejected(fault) }) = &trigger.fact else {
        return None;
    };
    if is_told_by_server(&fault.what) {
        return None;
    }
    let local = view.own_id(trigger).unwrap_or(&trigger.origin.cluster);
    let remote = match &**cluster {
        "" => named_for(view, secret.as_deref())
            .unwrap_or_else(|| secret.as_deref().unwrap_or("a remote cluster").to_string()),
        named => named.to_string(),
    };
    let reason = match &fault.what {
        What::Kubeconfig(reason) => shortened(reason),
        _ => shortened(&fault.text),
    };
    let advice = if reason.contains("is not allowed") {
        "istioctl create-remote-secret --name {remote} makes one; plugins such as exec need a binary that istiod does not have"
    } else {
        "istioctl create-remote-secret --name {remote} makes one; the data key must be the cluster ID of {remote}"
    };
    let verdict = Verdict::certain(&format!("{local} -> {remote}"))
        .slot("advice", advice.replace("{remote}", &remote))
        .slot("local", local)
        .slot("secret", secret.clone().unwrap_or_else(|| format!("istio-system/istio-remote-secret-{remote}").into()))
        .slot("reason", reason)
        .because(trigger, "istiod refuses the kubeconfig and does not try again until the secret changes")
        .cluster(&remote)
        .token(&remote)
        .slot("remote", remote);
    Some(verdict)
}

/// The cluster ID that another line gives for the same secret.
fn named_for(view: &View<'_>, secret: Option<&str>) -> Option<String> {
    let secret = secret?;
    view.events(Kind::Remote).find_map(|event| match &event.fact {
        Fact::Remote(said) if said.secret.as_deref() == Some(secret) && !said.cluster.is_empty() => {
            Some(said.cluster.to_string())
        }
        _ => None,
    })
}
