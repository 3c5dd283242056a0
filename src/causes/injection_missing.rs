//! A pod has no sidecar although the call needs one.

use std::sync::Arc;

use meshwhy_parsers::state::State;

use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::view::View;

/// See the mechanism.
pub static CAUSE: Cause = Cause {
    slug: "injection-missing",
    severity: Severity::Error,
    summary: "{who} has no sidecar: {reason}",
    mechanism: "A sidecar is added when a pod is made, if the namespace or the pod carries the injection label of a revision that \
                exists. Pods made before the label, with hostNetwork, with a label of a removed revision, or with the opt-out \
                annotation stay without one, and they run well on their own. What fails is a call that needs mutual TLS, or a \
                policy that should apply, so the fault shows at the other end.",
    remedy: "Label the namespace for the revision in use, then restart {who}.",
    verify: "istioctl analyze --all-namespaces",
    explains: &[("plaintext-to-mtls-strict", Within::Token)],
    hits: &["namespace-is-not-labelled"],
    near_misses: &["control-plane-port-dropped"],
    rules: &[Rule::Mesh(judge)],
};

fn judge(view: &View<'_>) -> Vec<Verdict> {
    let hints = view.states().filter_map(|(event, state)| match state {
        State::Check { passed: false, text, .. } => hint(text).map(|reason| (event, text, reason)),
        _ => None,
    });
    let verdict = |(event, text, reason): (&Arc<_>, &meshwhy_parsers::event::Text, &str)| {
        let of_analysis = text.split_once('(').and_then(|(_, left)| left.split_once(')')).map(|(name, _)| name);
        let of_kubectl = text.split_once(" is not valid for pod ").map(|(_, pod)| pod.trim());
        let who = of_kubectl.or(of_analysis).unwrap_or("the pod");
        Verdict::likely(who)
            .slot("who", who)
            .slot("reason", reason)
            .token(who)
            .because(event, "a tool finds it without a sidecar")
    };
    hints.map(verdict).collect()
}

/// What `istioctl analyze` says about pods and namespaces outside the mesh.
fn hint(text: &str) -> Option<&'static str> {
    const HINTS: [(&str, &str); 4] = [
        ("container istio-proxy is not valid for pod", "kubectl finds no container istio-proxy in it"),
        ("is missing the Istio proxy", "istioctl analyze finds the pod without it"),
        ("is not enabled for Istio injection", "its namespace carries no injection label"),
        ("injection label that does not match", "the injection label names no revision that exists"),
    ];
    HINTS.iter().find(|(words, _)| text.contains(words)).map(|(_, reason)| *reason)
}
