//! A webhook configuration of a revision that is gone, or of another control plane.

use std::sync::Arc;

use meshwhy_parsers::errors::What;
use meshwhy_parsers::event::{Event, Kind};

use super::saved;
use super::webhook_unreachable::{istio_call, service_of};
use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::view::View;

/// The page.
pub static CAUSE: Cause = Cause {
    slug: "webhook-stale",
    severity: Severity::Error,
    summary: "the webhook {webhook} still points to the Service {service}, which is gone",
    mechanism: "Each revision of istiod brings its own webhook configurations, which are objects of the whole cluster \
                and no part of istiod's namespace. Removing a revision by deleting its Deployment or namespace leaves \
                them behind: the API server goes on calling a Service that no longer exists, and refuses every object \
                the configuration covers, while the revision in use is healthy. It looks like a broken control plane, \
                and a restart of istiod changes nothing.",
    remedy: "Delete the webhook configurations that name {service}, or point the revision tag to a revision that runs.",
    verify: "kubectl get mutatingwebhookconfigurations,validatingwebhookconfigurations -o custom-columns=NAME:.metadata.name,SERVICE:.webhooks[0].clientConfig.service.name",
    explains: &[("webhook-unreachable", Within::Token)],
    hits: &["webhook-of-removed-revision"],
    near_misses: &["webhook-port-firewalled"],
    rules: &[Rule::on(Kind::Webhook, call_failed)],
};

fn call_failed(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let (name, url, fault) = istio_call(event)?;
    let called = service_of(url);
    let named = match &fault.what {
        What::NoSuchObject(object) => object.split('"').nth(1).unwrap_or(called),
        // An istiod of another age answers, without this path.
        What::NoSuchType(_) | What::Status(404) => called,
        _ if fault.text.contains("could not find the requested resource") => called,
        _ => return None,
    };
    let service = if named.is_empty() { called } else { named };
    let verdict = |verdict: Verdict| {
        verdict
            .slot("webhook", name)
            .slot("service", service)
            .token(name)
            .token(service)
            .because(event, "the API server calls a Service that does not exist")
    };
    let pods = saved::pods(view);
    let other = pods.iter().find(|pod| saved::is_istiod(pod.name) && pod.is_ready() && !of_service(pod.name, service));
    if let Some(other) = other {
        return Some(
            verdict(Verdict::certain(service))
                .because(other.event, "while the istiod that runs belongs to another revision"),
        );
    }
    if !matches!(fault.what, What::NoSuchObject(_)) {
        return Some(
            verdict(Verdict::likely(service))
                .says("the webhook {webhook} meets something at {service} that does not know its path: an istiod of another age, or no istiod"),
        );
    }
    let is_revision = service.starts_with("istiod-") && service != "istiod-remote";
    Some(if is_revision { verdict(Verdict::certain(service)) } else { verdict(Verdict::possible(service)) })
}

/// Whether a pod is one of the Deployment that a Service of this name leads to: `istiod-1-20-7c9d-x2l` of `istiod-1-20`.
fn of_service(pod: &str, service: &str) -> bool {
    let mut parts = pod.rsplitn(3, '-');
    parts.next();
    parts.next();
    parts.next() == Some(service)
}
