//! A NetworkPolicy or packet filter refuses a connection of the mesh, other than HBONE.

use std::sync::Arc;

use meshwhy_parsers::event::Event;
use meshwhy_parsers::state::State;

use super::saved;
use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::view::View;

/// The page.
pub static CAUSE: Cause = Cause {
    slug: "networkpolicy-blocked",
    severity: Severity::Error,
    summary: "a NetworkPolicy refuses the connection: {what}",
    mechanism: "A NetworkPolicy is enforced by the node's network, below the mesh: it sees addresses and ports, not \
                services and identities. It drops a packet without an answer, so the caller's proxy reports a connect \
                time-out as if the pod were gone. A policy that was written before the mesh came knows neither 15012 \
                towards istiod, nor 15017 from the API server, nor the gateway's 15443, and a default-deny refuses \
                them all. An AuthorizationPolicy looks different: it answers 403, or ztunnel names it.",
    remedy: "Allow the mesh's ports in the policy of the destination's namespace, for ingress and egress: 15012 and \
             15010 to istiod, 15017 to istiod from the API server, 15443 to the east-west gateway, the application's \
             own ports.",
    verify: "kubectl get networkpolicy -A",
    explains: &[("upstream-connect-timeout", Within::Mesh), ("istiod-unreachable", Within::Mesh)],
    hits: &["default-deny-drops-mesh-port"],
    near_misses: &["packet-filter-listed-and-healthy", "app-listens-on-loopback", "hbone-dropped-by-policy"],
    rules: &[Rule::Mesh(denied_by_policy), Rule::Mesh(policy_beside_timeout)],
};

/// Port of HBONE, which has its own page.
const HBONE_PORT: u16 = 15008;

/// Drops that the network plugin itself attributes to a policy.
fn denied_by_policy(view: &View<'_>) -> Vec<Verdict> {
    let names_policy = |rule: &str| {
        let lower = rule.to_ascii_lowercase();
        ["policy denied", "policy-verdict:none", "drop if no policies passed", "kube-nwplcy", "default deny"]
            .iter()
            .any(|mark| lower.contains(mark))
    };
    let dropped = view.states().find_map(|(event, state)| match state {
        State::PacketFilter { rule, packets } if names_policy(rule) && *packets != Some(0) => {
            Some((event, rule, *packets))
        }
        _ => None,
    });
    let Some((event, rule, packets)) = dropped else { return Vec::new() };
    if rule.contains(":15008") {
        return Vec::new();
    }
    let is_one_packet = rule.to_ascii_lowercase().contains("policy denied");
    let failure = timed_out(view);
    let verdict = match (is_one_packet, failure, packets) {
        (true, _, _) => Verdict::certain("packet filter"),
        (false, Some(_), Some(_)) => Verdict::likely("packet filter"),
        (false, Some(_), None) => Verdict::possible("packet filter"),
        (false, None, _) => return Vec::new(),
    };
    let mut verdict = verdict
        .slot("what", "the network plugin says that a policy dropped it")
        .because(event, "packets were dropped by policy");
    if let Some((failure, _)) = failure {
        verdict = verdict.because(failure, "and this connection got no answer");
    }
    vec![verdict]
}

/// A NetworkPolicy was listed where a connection gets no answer: a hint.
fn policy_beside_timeout(view: &View<'_>) -> Vec<Verdict> {
    let listed = view.states().find_map(|(event, state)| match state {
        State::NetworkPolicy { namespace, name, .. } => Some((event, namespace, name)),
        _ => None,
    });
    let (Some((event, namespace, name)), Some((failure, port))) = (listed, timed_out(view)) else { return Vec::new() };
    if port == HBONE_PORT {
        return Vec::new();
    }
    let verdict = Verdict::possible("listed policy")
        .says("the NetworkPolicy {policy} may refuse the connection that gets no answer")
        .slot("policy", format!("{namespace}/{name}"))
        .because(failure, "this connection gets no answer")
        .because(event, "and this policy selects pods there")
        .settle_by(format!("kubectl -n {namespace} describe networkpolicy {name}"));
    vec![verdict]
}

/// The first dial that got no answer, and its port.
fn timed_out<'w>(view: &View<'w>) -> Option<(&'w Arc<Event>, u16)> {
    let silent = |text: &str| ["timed out", "timeout", "TimedOut"].iter().any(|part| text.contains(part));
    saved::failed_dials(view).into_iter().find(|(event, _)| silent(&event.text)).map(|(event, addr)| (event, addr.port))
}
