//! The rules that capture a pod's traffic cannot be installed.

use std::sync::Arc;

use meshwhy_parsers::event::{Cni, Event, Fact, Kind};
use meshwhy_parsers::state::State;

use super::{control_link, tables};
use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::view::View;

/// See the mechanism.
pub static CAUSE: Cause = Cause {
    slug: "iptables-failure",
    severity: Severity::Error,
    summary: "the traffic of {who} is not captured, because its rules cannot be installed: {reason}",
    mechanism: "An init container, or the CNI plugin in its place, installs packet-filter rules in the pod before anything else \
                starts. It needs NET_ADMIN and NET_RAW, a kernel with the tables it asks for (nat, and raw or mangle for some \
                modes), and an iptables of the same kind (legacy or nft) as the node uses. Where one of these is missing the init \
                container crashes in a loop and the pod never starts; behind the CNI plugin the validation container says that \
                the rules are not there. Its lines print the whole rule set first, so the one that matters is easily overlooked.",
    remedy: "Load the kernel modules the message names (ip_tables, iptable_nat, xt_REDIRECT, ...), allow NET_ADMIN and NET_RAW for the \
             init container or install istio-cni, and check that the node's iptables kind fits.",
    verify: "kubectl logs {who} -c istio-init",
    explains: &[("cni-failure", Within::File), ("ambient-capture-missing", Within::File)],
    hits: &["init-container-lacks-kernel-module"],
    near_misses: &["clean-up-of-old-rules", "node-agent-may-not-bind-its-socket"],
    rules: &[Rule::on(Kind::Cni, judge), Rule::Mesh(judge_events), Rule::Mesh(tables::init_fails)],
};

fn judge(_: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Cni(Cni::RulesFailed(reason)) = &event.fact else { return None };
    // The node agent's own rules are a matter of istio-cni.
    if event.signature != Some("agent-iptables-failed") {
        return None;
    }
    let who = control_link::speaker(event);
    let reason = reason.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("");
    let verdict = Verdict::certain(who)
        .slot("who", who)
        .slot("reason", reason)
        .because(event, "the rules could not be installed");
    Some(verdict)
}

/// Pods that are not admitted because of what the init container needs.
fn judge_events(view: &View<'_>) -> Vec<Verdict> {
    const REFUSALS: [&str; 4] =
        ["capability may not be added", "violates PodSecurity", "unable to validate against any", "forbidden"];
    let events = view.states().filter_map(|(event, state)| match state {
        State::KubeEvent { message, object, .. } if message.contains("NET_ADMIN") => {
            REFUSALS.iter().any(|words| message.contains(words)).then_some((event, object, message))
        }
        _ => None,
    });
    let verdict =
        |(event, object, message): (&Arc<Event>, &meshwhy_parsers::event::Text, &meshwhy_parsers::event::Text)| {
            let who = if object.is_empty() { "the pod" } else { object };
            Verdict::likely(who)
                .slot("who", who)
                .slot("reason", message.lines().next().unwrap_or(""))
                .because(event, "the pod may not have the right its init container needs")
        };
    events.map(verdict).collect()
}
