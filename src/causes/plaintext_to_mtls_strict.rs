//! A caller without the mesh's mTLS meets STRICT.

use std::sync::Arc;

use meshwhy_parsers::event::{Event, Fact, Kind, PolicyWhat, Push};
use meshwhy_parsers::ztunnel::ConnectionWhat;

use super::{policy, probe_blocked, requests, tunnel};
use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::view::View;

/// The cause.
pub static CAUSE: Cause = Cause {
    slug: "plaintext-to-mtls-strict",
    severity: Severity::Error,
    summary: "{from} calls {to} in plain text, and {policy} accepts mTLS only",
    mechanism: "A PeerAuthentication with mode STRICT refuses every caller that does not come through the mesh: pods without a \
                sidecar or outside ambient, jobs, scrapers that dial pod addresses, probes from the node. In ambient mode \
                istiod turns it into a policy named istio_converted_static_strict (or converted_peer_authentication_<name>), \
                so that ztunnel's line reads like an AuthorizationPolicy that nobody wrote. The caller sees a reset right \
                after connecting. The kubelet's own probes are exempt only while they arrive from the address that istio-cni \
                gave them.",
    remedy: "Bring {from} into the mesh, or set PERMISSIVE for {to} (or for that port) until it is.",
    verify: "kubectl get peerauthentication -A",
    explains: &[
        ("authz-denied", Within::Token),
        ("upstream-closed-connection", Within::Token),
        ("app-error", Within::Token),
    ],
    hits: &[
        "ambient-strict-refuses-plaintext",
        "plaintext-meets-strict",
        "scraper-calls-pod-address",
        "lines-quoted-in-notes",
    ],
    near_misses: &[
        "ambient-policy-denies",
        "gateway-without-that-host",
        "app-closes-connection",
        "lines-of-others-quoted-in-notes",
    ],
    rules: &[
        Rule::after(Kind::Connection, 5, connection),
        Rule::on(Kind::Request, |view, event| requests::judge(view, event, policy::plain_to_strict)),
        Rule::Mesh(|view| requests::judge_sentences(view, policy::plain_to_strict)),
        Rule::after(Kind::Policy, 5, decision),
    ],
};

/// Whether a policy key is one that istiod makes out of a PeerAuthentication.
pub fn is_strict(policy: &str) -> bool {
    let name = policy.rsplit('/').next().unwrap_or(policy);
    name == "istio_converted_static_strict" || name.starts_with("converted_peer_authentication_")
}

/// Reads an inbound ztunnel connection that STRICT refused.
pub fn connection(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let (connection, what) = tunnel::inbound(event)?;
    let ConnectionWhat::PolicyDenied { policy } = what else { return None };
    // A probe that is refused is no caller to bring into the mesh.
    if probe_blocked::connection(view, event).is_some() {
        return None;
    }
    let to = tunnel::destination(connection);
    let verdict = match policy {
        Some(policy) if is_strict(policy) => Verdict::certain(policy)
            .slot("policy", format!("STRICT (policy {policy})"))
            .because(event, "the policy is the one istiod makes out of a STRICT PeerAuthentication"),
        None if connection.src.identity.is_empty() && connection.hbone.is_none() => {
            let (evidence, quote) = strict_is_set(view, event)?;
            Verdict::likely(&to)
                .slot("policy", "STRICT")
                .because(event, "the caller came in plain text, and nothing allowed it")
                .because_quote(evidence, &quote, "STRICT is in force")
        }
        _ => return None,
    };
    Some(verdict.slot("from", tunnel::source(connection)).slot("to", &to).token(&to))
}

/// Reads a decision line of ztunnel's RBAC that names a STRICT policy.
pub fn decision(_: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Policy(policy) = &event.fact else { return None };
    let name = policy.policy.as_deref().filter(|name| is_strict(name) && policy.what == PolicyWhat::Denied)?;
    let pod = match tunnel::span_pod(&event.text) {
        "" => "its pods",
        pod => pod,
    };
    Some(
        Verdict::certain(name)
            .slot("policy", format!("STRICT (policy {name})"))
            .slot("from", "a caller")
            .slot("to", pod)
            .token(pod)
            .because(event, "ztunnel's decision"),
    )
}

/// What shows that STRICT is in force: a converted policy in the dump, or a pushed PeerAuthentication.
fn strict_is_set<'w>(view: &View<'w>, event: &Arc<Event>) -> Option<(&'w Arc<Event>, String)> {
    let in_dump = view.dump_for(event).and_then(|(document, dump)| {
        let (key, action, scope) = dump.policies.iter().find(|(key, _, _)| is_strict(key))?;
        Some((document, format!("policy {key} {action} {scope}")))
    });
    in_dump.or_else(|| {
        view.events(Kind::Push).find_map(|event| match &event.fact {
            Fact::Push(Push::ConfigChanged(config)) if config.starts_with("PeerAuthentication/") => {
                Some((event, config.to_string()))
            }
            _ => None,
        })
    })
}
