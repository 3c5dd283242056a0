//! The API server reaches istiod's webhook, but does not accept its certificate.

use std::net::IpAddr;
use std::sync::Arc;

use meshwhy_parsers::errors::What;
use meshwhy_parsers::event::{Event, Fact, Kind, Webhook};

use super::webhook_unreachable::{is_about_certificate, istio_call};
use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::view::View;

/// The page.
pub static CAUSE: Cause = Cause {
    slug: "webhook-cert-untrusted",
    severity: Severity::Error,
    summary: "the API server does not accept the certificate of the webhook {webhook}: {why}",
    mechanism: "The API server trusts a webhook by the `caBundle` of its configuration alone. istiod writes its own CA \
                there and renews it when the CA changes. Where something else owns the configuration (a GitOps tool \
                that puts an old value back, a second control plane of the same name, a hand-made copy), the bundle \
                and the certificate drift apart, and every call fails in the handshake. istiod sees only `remote error: \
                tls: bad certificate` on 15017, which a scanner can cause as well; the sentence of the API server names \
                the reason.",
    remedy: "Compare the caBundle of {webhook}'s configuration with the root that istiod uses, find who else writes \
             that configuration, and let istiod patch it again (restart it).",
    verify: "kubectl get mutatingwebhookconfigurations,validatingwebhookconfigurations -o custom-columns=NAME:.metadata.name,CA:.webhooks[0].clientConfig.caBundle",
    explains: &[("injection-missing", Within::Mesh)],
    hits: &["webhook-ca-bundle-old"],
    near_misses: &["webhook-port-firewalled", "scanner-on-webhook-port"],
    rules: &[
        Rule::on(Kind::Webhook, call_failed),
        Rule::on(Kind::Webhook, patch_failed),
        Rule::Mesh(refused_at_istiod),
    ],
};

fn call_failed(_: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let (name, _, fault) = istio_call(event)?;
    is_about_certificate(&fault.what).then_some(())?;
    let why = match &fault.what {
        What::UnknownAuthority | What::SameNameOtherKey => {
            "its caBundle does not contain the CA that signed it".to_string()
        }
        What::Expired => "it has expired".to_string(),
        What::NotYetValid => "it is not valid yet".to_string(),
        What::WrongName { want, have } => format!("it is made out for {have}, not for {want}"),
        _ => fault.text.to_string(),
    };
    Some(
        Verdict::certain(name)
            .slot("webhook", name)
            .slot("why", why)
            .token(name)
            .because(event, "the API server names what it refuses"),
    )
}

fn patch_failed(_: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Webhook(Webhook::PatchFailed(what)) = &event.fact else { return None };
    // Two writers at once: istiod tries again and wins.
    if what.contains("object has been modified") || what.contains("not found") {
        return None;
    }
    Some(
        Verdict::possible("caBundle")
            .says("istiod could not write its CA into a webhook configuration")
            .slot("webhook", "istiod")
            .because(event, "istiod could not patch the configuration")
            .settle_by("kubectl get mutatingwebhookconfigurations -o yaml"),
    )
}

/// How many handshakes a caller must refuse before it is taken for the API server: a scanner tries a few times.
const REFUSALS_MIN: u64 = 3;

/// Whether the caller has a public address: an API server calls its webhooks from inside, a scanner from anywhere.
fn is_from_outside(event: &Event) -> bool {
    let Fact::Webhook(Webhook::ServerHandshake { peer, .. }) = &event.fact else { return false };
    match peer.ip() {
        Some(IpAddr::V4(ip)) => {
            let carrier_grade = ip.octets()[0] == 100 && (64..128).contains(&ip.octets()[1]);
            !(ip.is_private() || ip.is_loopback() || ip.is_link_local() || carrier_grade)
        }
        _ => false,
    }
}

/// A Go client that refuses istiod's certificate again and again, and no injection that worked afterwards.
fn refused_at_istiod(view: &View<'_>) -> Vec<Verdict> {
    let refusals: Vec<_> = view
        .known(Kind::Webhook)
        .filter(|known| match &known.first.fact {
            Fact::Webhook(Webhook::ServerHandshake { fault, .. }) => fault.by_peer && is_about_certificate(&fault.what),
            _ => false,
        })
        .collect();
    let worked = view.known(Kind::Webhook).filter(|known| matches!(known.first.fact, Fact::Webhook(Webhook::Injected)));
    let worked_last = worked.map(|known| known.last_ordinal).max().unwrap_or(0);
    let after: Vec<_> =
        refusals.iter().filter(|known| known.last_ordinal > worked_last && !is_from_outside(&known.first)).collect();
    let count: u64 = after.iter().map(|known| known.count).sum();
    let Some(first) = after.first().filter(|_| count >= REFUSALS_MIN) else { return Vec::new() };
    vec![
        Verdict::likely("istiod")
            .says("callers of istiod's webhook port refuse its certificate")
            .slot("webhook", "istiod")
            .because(&first.first, "the caller refused istiod's certificate")
            .settle_by("kubectl get events -A --field-selector reason=FailedCreate"),
    ]
}
