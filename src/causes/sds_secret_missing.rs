//! A proxy has no certificate where it needs one: SDS never delivered it, or the Secret is not there.

use std::sync::Arc;

use meshwhy_parsers::event::{CertificateWhat, Event, Fact, Kind, Process};
use meshwhy_parsers::state::State;

use super::{control_link, policy, requests};
use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::view::View;

/// See the mechanism.
pub static CAUSE: Cause = Cause {
    slug: "sds-secret-missing",
    severity: Severity::Error,
    summary: "{who} waits for a certificate that never comes: {what}",
    mechanism: "Envoy keeps a listener or cluster warming until its secret arrives, without a time limit. Where the Secret of a \
                gateway's credentialName is missing, has other keys, or lies in another namespace than the gateway's pod, \
                istiod sends nothing, and the listener never opens: connections are reset or the port seems closed, while the \
                configuration looks right. In a sidecar the same happens when its root certificate (the config map \
                istio-ca-root-cert) or a mounted file is not there, and the pod stays unready.",
    remedy: "Make {what} exist in the namespace of {who}, with the keys tls.crt and tls.key (and ca.crt for mutual TLS).",
    verify: "istioctl proxy-config secret {who}",
    explains: &[("istiod-unreachable", Within::File), ("upstream-not-listening", Within::File)],
    hits: &["gateway-credential-not-there"],
    near_misses: &["control-plane-port-dropped", "control-plane-comes-late"],
    rules: &[
        Rule::after(Kind::Certificate, 5, judge_missing),
        Rule::after(Kind::Process, 5, judge_waiting),
        Rule::Mesh(judge_mounts),
        Rule::on(Kind::Request, |view, event| requests::judge(view, event, policy::no_secret)),
    ],
};

fn judge_missing(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Certificate(certificate) = &event.fact else { return None };
    let CertificateWhat::Missing(text) = &certificate.what else { return None };
    let who = control_link::speaker(event);
    let reason = text.lines().next().unwrap_or("");
    let what = certificate.identity.as_deref().unwrap_or(reason);
    let verdict = match link_fails(view, event) {
        // The agent has nothing to hand out because it gets nothing itself.
        Some(failing) => Verdict::possible(what)
            .because(event, "a certificate is missing")
            .against(failing, "the proxy cannot reach or convince its control plane either"),
        None => Verdict::certain(what).because(event, "the proxy asks for a certificate and there is none"),
    };
    Some(verdict.slot("who", who).slot("what", what).token(what))
}

/// Envoy is up, has its configuration, and waits.
fn judge_waiting(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Process(Process::NotReady(pending)) = &event.fact else { return None };
    let warming = pending.contains("INITIALIZING") || pending.contains("workers have not yet started");
    if !warming || link_fails(view, event).is_some() {
        return None;
    }
    let who = control_link::speaker(event);
    let verdict = Verdict::possible(who)
        .slot("who", who)
        .slot("what", "the secret it waits for")
        .because(event, "Envoy waits for something in its configuration, most often a certificate")
        .settle_by(format!("istioctl proxy-config secret {who}"));
    Some(verdict)
}

/// A failure of the same client on its way to the control plane.
fn link_fails<'v>(view: &View<'v>, event: &Event) -> Option<&'v Arc<Event>> {
    let same_client = |known: &&Arc<Event>| known.origin.file == event.origin.file;
    view.events(Kind::Stream)
        .chain(view.events(Kind::Certificate))
        .filter(same_client)
        .find(|known| control_link::failure(known).is_some())
}

/// Pods that cannot start because a volume of the mesh's own is missing.
fn judge_mounts(view: &View<'_>) -> Vec<Verdict> {
    const OBJECTS: [&str; 2] = ["istio-ca-root-cert", "cacerts"];
    let events = view.states().filter_map(|(event, state)| match state {
        State::KubeEvent { kind, message, object, .. } if &**kind != "Normal" && message.contains("not found") => {
            let what = OBJECTS.iter().find(|name| message.contains(*name))?;
            Some((event, *what, object))
        }
        _ => None,
    });
    let verdict = |(event, what, object): (&Arc<Event>, &str, &meshwhy_parsers::event::Text)| {
        let who = if object.is_empty() { "the pod" } else { object };
        Verdict::likely(what)
            .slot("who", who)
            .slot("what", what)
            .token(what)
            .because(event, "the pod cannot mount it")
            .settle_by("kubectl get configmap istio-ca-root-cert -A")
    };
    events.map(verdict).collect()
}
