//! The API server cannot reach istiod's injection or validation webhook.

use std::sync::Arc;

use meshwhy_parsers::errors::{Fault, What};
use meshwhy_parsers::event::{Event, Fact, Kind, Webhook};

use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::view::View;

/// The page.
pub static CAUSE: Cause = Cause {
    slug: "webhook-unreachable",
    severity: Severity::Error,
    summary: "the API server cannot reach the webhook {webhook}: {why}",
    mechanism: "Pods are injected and Istio objects are validated by a call from the API server to istiod. The API \
                server is not in the mesh: it runs on another network than the nodes, follows its own proxy settings, \
                and reaches the Service `istiod` on port 443, which leads to port 15017 of istiod's pods. A firewall \
                that opens 443 only, a proxy variable in the API server's environment, or a Service without pods \
                breaks the call while istiod itself looks healthy and proxies stay connected on 15012. With the \
                failure policy `Fail` no new pod starts; with `Ignore` pods start without a sidecar, which shows much \
                later and somewhere else.",
    remedy: "Open port 15017 from the API server to the nodes that run istiod, keep `.svc` out of the API server's \
             proxy settings, and check that Service and webhook configuration name the istiod that runs.",
    verify: "kubectl run webhook-check --image=busybox --dry-run=server",
    explains: &[("injection-missing", Within::Mesh), ("cni-failure", Within::File)],
    hits: &["webhook-port-firewalled", "webhook-through-http-proxy"],
    near_misses: &[
        "webhook-of-another-product",
        "webhook-ca-bundle-old",
        "webhook-of-removed-revision",
        "istiod-pods-crash",
    ],
    rules: &[Rule::on(Kind::Webhook, call_failed)],
};

/// A call of one of Istio's webhooks that failed: the name, the URL, why.
pub(super) fn istio_call(event: &Event) -> Option<(&str, &str, &Fault)> {
    let Fact::Webhook(Webhook::CallFailed { name, url, fault }) = &event.fact else { return None };
    let is_istio =
        name.ends_with("istio.io") || name.contains("istio") || url.contains("//istiod") || url.contains(".istio-");
    is_istio.then_some((&**name, &**url, fault))
}

/// Whether the call met a certificate that the API server does not accept.
pub(super) fn is_about_certificate(what: &What) -> bool {
    matches!(
        what,
        What::UnknownAuthority
            | What::SameNameOtherKey
            | What::Expired
            | What::NotYetValid
            | What::WrongName { .. }
            | What::WrongTrustDomain { .. }
            | What::BadCertificate
            | What::Malformed
    )
}

/// The Service a webhook's URL names: `istiod-1-20` of `https://istiod-1-20.istio-system.svc:443/...`.
pub(super) fn service_of(url: &str) -> &str {
    let host = url.split_once("//").map_or(url, |(_, rest)| rest);
    host.split(['.', ':', '/']).next().unwrap_or("")
}

fn call_failed(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let (name, url, fault) = istio_call(event)?;
    if is_about_certificate(&fault.what) {
        return None;
    }
    let nobody_serves = fault.text.contains("no endpoints available");
    let why = match &fault.what {
        _ if nobody_serves => "its Service has no ready istiod pod",
        What::TimedOut => "its packets to istiod (Service port 443, pod port 15017) get no answer",
        What::HandshakeTimedOut => "the connection opens, but the TLS handshake gets no answer",
        What::Refused => "the connection is refused",
        What::NoRoute | What::NetworkUnreachable => "there is no route to istiod",
        What::Cut => {
            "the connection is cut before an answer: something in between takes the call, an HTTP proxy most often"
        }
        What::ViaProxy => "the call goes to an HTTP proxy, which fails it",
        What::NameUnknown(_) | What::NameLookupFailed(_) => "its host name does not resolve",
        What::NoSuchObject(_) => "the Service it names does not exist",
        What::Status(_) | What::Forbidden { .. } | What::Unauthorized | What::NoSuchType(_) => {
            "something else than istiod answers there"
        }
        _ => "the call fails",
    };
    let verdict = match &fault.what {
        _ if nobody_serves => Verdict::possible(name),
        _ if fault.text.contains("could not find the requested resource") => Verdict::possible(name),
        // Nobody listening, or no Service: the webhook is the messenger, istiod or its configuration the cause.
        What::Refused | What::NoSuchObject(_) | What::ServerUnavailable | What::Other => Verdict::likely(name),
        _ => Verdict::certain(name),
    };
    let mut verdict = verdict
        .slot("webhook", name)
        .slot("why", why)
        .token(name)
        .token(service_of(url))
        .because(event, "the API server's call and how it ended")
        .settle_by("kubectl -n istio-system get endpointslices -l kubernetes.io/service-name=istiod");
    let answered = view.events(Kind::Webhook).find(|other| {
        matches!(other.fact, Fact::Webhook(Webhook::Injected)) && other.origin.cluster == event.origin.cluster
    });
    if let Some(answered) = answered {
        verdict = verdict.against(answered, "istiod answered another call");
    }
    Some(verdict)
}
