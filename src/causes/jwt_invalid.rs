//! The service-account token that a proxy presents to istiod is refused.

use std::sync::Arc;

use meshwhy_parsers::errors::What;
use meshwhy_parsers::event::{Event, Fact, Kind, Process, RefusedWhy};

use super::control_link;
use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::view::View;

/// See the mechanism.
pub static CAUSE: Cause = Cause {
    slug: "jwt-invalid",
    severity: Severity::Critical,
    summary: "istiod refuses the service-account token of {who}: {reason}",
    mechanism: "A proxy shows istiod a service-account token, and istiod asks the API server whether it is good. The proxy is only \
                told that authentication failed; the reason (expired, another audience, signed by a key that the API server no \
                longer has, service account made anew) stands in istiod's log. A token on a virtual machine, or a Secret that \
                was copied once, expires quietly; pods get theirs renewed, so one that keeps failing usually has a kubelet or a \
                clock in trouble, or a cluster whose signing key was changed. It looks like a network fault, because the stream \
                comes up and breaks again at once.",
    remedy: "Read istiod's reason for {who}, then renew the token: restart the pod, or generate the virtual machine's files anew. \
             Check the API server's issuer and audience settings where every proxy is refused.",
    verify: "kubectl -n istio-system logs deploy/istiod | grep 'Failed to authenticate client'",
    explains: &[
        ("ca-provider-unavailable", Within::File),
        ("sds-secret-missing", Within::File),
        ("eastwest-gateway-down", Within::File),
        // A gateway that gets no configuration never becomes ready.
        ("eastwest-gateway-down", Within::Token),
        ("istiod-unreachable", Within::File),
        ("ztunnel-not-ready", Within::File),
    ],
    hits: &["token-of-a-machine-expired", "gateway-waits-since-its-token-is-refused"],
    near_misses: &["token-volume-cannot-be-mounted", "reader-may-not-review-tokens"],
    rules: &[
        Rule::after(Kind::Stream, 5, judge_client),
        Rule::after(Kind::Certificate, 5, judge_client),
        Rule::after(Kind::ClientRefused, 5, judge_server),
    ],
};

/// The proxy's side: it is only told that it was refused.
fn judge_client(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let (_, fault) = control_link::failure(event)?;
    // `request impersonation authentication failure`: the token is good, ztunnel may only not speak for the pod.
    let own_token = !fault.text.contains("impersonation");
    if fault.what != What::Unauthorized || !own_token || unknown_cluster(view) || token_missing(view, event) {
        return None;
    }
    let who = control_link::speaker(event);
    let refusal = view.events(Kind::ClientRefused).find_map(|known| match &known.fact {
        Fact::ClientRefused(refused) => match &refused.why {
            RefusedWhy::Token(reason) => Some((known, reason)),
            _ => None,
        },
        _ => None,
    });
    let (verdict, reason) = match refusal {
        Some((known, reason)) => {
            let verdict = Verdict::certain(who)
                .because(event, "the proxy is told that authentication failed")
                .because(known, "istiod says why");
            (verdict, reason.lines().next().unwrap_or(""))
        }
        None => {
            let verdict = Verdict::likely(who)
                .because(event, "the proxy is told that authentication failed")
                .settle_by("kubectl -n istio-system logs deploy/istiod | grep 'Failed to authenticate client'");
            (verdict, "authentication failed, the reason stands in istiod's log")
        }
    };
    Some(verdict.slot("who", who).slot("reason", reason).token(&event.origin.pod))
}

/// istiod's side: it names the reason.
fn judge_server(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::ClientRefused(refused) = &event.fact else { return None };
    let RefusedWhy::Token(reason) = &refused.why else { return None };
    if unknown_cluster(view) {
        return None;
    }
    let who = refused.peer.as_ref().map_or("a proxy", |peer| &peer.host);
    let reason = reason.lines().next().unwrap_or("");
    let cluster = control_link::cluster_of(event);
    let verdict = Verdict::likely(cluster)
        .slot("who", who)
        .slot("reason", reason)
        .because(event, "the API server does not accept the token");
    Some(verdict)
}

/// A proxy of a cluster that istiod does not know is refused in the same words; its token is good.
fn unknown_cluster(view: &View<'_>) -> bool {
    view.events(Kind::ClientRefused).any(|known| match &known.fact {
        Fact::ClientRefused(refused) => matches!(refused.why, RefusedWhy::UnknownCluster { .. }),
        _ => false,
    })
}

/// Without a token there is nothing to refuse.
fn token_missing(view: &View<'_>, event: &Event) -> bool {
    view.events(Kind::Process).any(|known| {
        known.origin.file == event.origin.file && matches!(known.fact, Fact::Process(Process::TokenUnsupported(_)))
    })
}
