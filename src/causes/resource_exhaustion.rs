//! Memory, disk, file descriptors or inotify watches ran out.

use std::sync::Arc;

use meshwhy_parsers::event::{Event, Fact, Kind, Process};
use meshwhy_parsers::state::State;

use super::{control_link, data_path, requests};
use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::view::View;

/// See the mechanism.
pub static CAUSE: Cause = Cause {
    slug: "resource-exhaustion",
    severity: Severity::Error,
    summary: "{who} ran out of {what}: {reason}",
    mechanism: "Programs print this in the words of whatever they tried at that moment: a certificate watcher that cannot start, a \
                listener that cannot accept, a pod that is killed without a word. Inotify limits count per user and node, not per \
                pod, so a new sidecar fails although it is small and healthy everywhere else; `too many open files` is printed for \
                them as well, while the limit of open files is far away. Memory limits end a process with signal 9: its log just \
                stops.",
    remedy: "Raise the limit that was hit: for watches fs.inotify.max_user_instances and max_user_watches on the node, for memory \
             the container's limit, for disk free the node. Then look at what used it up.",
    verify: "kubectl describe pod {who}",
    explains: &[
        ("istiod-unreachable", Within::File),
        ("sds-secret-missing", Within::File),
        ("upstream-closed-connection", Within::File),
        ("cni-failure", Within::File),
        ("istiod-down", Within::Token),
    ],
    hits: &["node-out-of-inotify-instances", "state-gateway-has-no-ready-pod", "proxy-out-of-file-descriptors"],
    near_misses: &["control-plane-port-dropped"],
    rules: &[
        Rule::on(Kind::Exhausted, judge),
        Rule::on(Kind::Process, judge_killed),
        Rule::Mesh(judge_pods),
        Rule::on(Kind::Request, |view, event| requests::judge(view, event, data_path::overloaded)),
    ],
};

fn judge(_: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Exhausted(exhausted) = &event.fact else { return None };
    // The connection table has a cause of its own.
    if exhausted.what.contains("connection tracking") {
        return None;
    }
    let who = control_link::speaker(event);
    let verdict = Verdict::certain(&format!("{} of {who}", exhausted.what))
        .slot("who", who)
        .slot("what", &exhausted.what)
        .slot("reason", exhausted.reason.lines().next().unwrap_or(""))
        .because(event, "it says what ran out");
    Some(verdict)
}

/// Signal 9 that nobody sent by hand is the kernel's, for memory.
fn judge_killed(_: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Process(Process::Died(reason)) = &event.fact else { return None };
    if !reason.contains("signal: killed") && !reason.contains("OOMKilled") {
        return None;
    }
    let who = control_link::speaker(event);
    let verdict = Verdict::likely(&format!("memory of {who}"))
        .slot("who", who)
        .slot("what", "memory")
        .slot("reason", "it was killed, which the kernel does when a memory limit is hit")
        .because(event, "it was killed by signal 9")
        .settle_by(format!("kubectl describe pod {who}"));
    Some(verdict)
}

/// Pods that Kubernetes shows as killed or evicted.
fn judge_pods(view: &View<'_>) -> Vec<Verdict> {
    let pods = view.states().filter_map(|(event, state)| match state {
        State::Pod { name, status, .. } => {
            let what = match &**status {
                "OOMKilled" => "memory",
                "Evicted" => "a node's resources",
                _ => return None,
            };
            Some((event, name, what, status))
        }
        _ => None,
    });
    let verdict = |(event, name, what, status): (
        &Arc<Event>,
        &meshwhy_parsers::event::Text,
        &str,
        &meshwhy_parsers::event::Text,
    )| {
        let verdict = Verdict::certain(&format!("{what} of {name}"))
            .slot("who", name)
            .slot("what", what)
            .slot("reason", format!("Kubernetes shows it as {status}"))
            .because(event, "its state says so");
        if control_link::is_istiod(name) { verdict.token("istiod") } else { verdict }
    };
    pods.map(verdict).collect()
}
