//! istio-cni, or the node's CNI, did not set a pod up.

use std::sync::Arc;

use meshwhy_parsers::event::{Cni, Event, Fact, Kind};
use meshwhy_parsers::state::State;

use super::tables;
use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::view::View;

/// The cause.
pub static CAUSE: Cause = Cause {
    slug: "cni-failure",
    severity: Severity::Error,
    summary: "istio-cni of {cluster} does not set pods up: {reason}",
    mechanism: "istio-cni does three things on every node: its plugin is called for each new pod, its agent installs the \
                redirection inside the pod, and it hands the pod's network namespace to ztunnel over a socket on the node. \
                If the socket is gone, ztunnel keeps serving the pods it has and hears of no new ones; if the plugin cannot \
                reach the agent, new pods stay in ContainerCreating; if ztunnel does not take a pod, the pod runs outside \
                the mesh and strict peers refuse it. Running pods are well, so that the fault is noticed hours later, at \
                the next rollout, and is searched for in the application.",
    remedy: "Look at the istio-cni-node pod of that node: is it running, what does it log, does /var/run/ztunnel/ztunnel.sock \
             exist? Restart it, then the affected pods.",
    verify: "kubectl get pods -n istio-system -l k8s-app=istio-cni-node -o wide",
    explains: &[
        ("ambient-capture-missing", Within::Cluster),
        ("ztunnel-not-ready", Within::File),
        ("iptables-failure", Within::File),
    ],
    hits: &["cni-socket-gone", "cni-plugin-cannot-reach-agent", "node-agent-may-not-bind-its-socket"],
    near_misses: &["cni-socket-late-at-start", "ambient-pod-not-captured", "node-agent-stops-as-planned"],
    rules: &[
        Rule::Mesh(tables::cni_pods),
        Rule::on(Kind::Cni, cni),
        Rule::on(Kind::State, pod_event),
        Rule::Mesh(sandbox_events),
    ],
};

/// Reads what istio-cni and ztunnel say about each other.
pub fn cni(_: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Cni(cni) = &event.fact else { return None };
    let cluster = &event.origin.cluster;
    let (subject, says, reason, shows): (String, &'static str, &str, &str) = match cni {
        Cni::AgentUnreachable(reason) if event.signature == Some("cni-ztunnel-link-lost") => (
            format!("node agent of {cluster}"),
            "no ztunnel is connected to the istio-cni agent of {cluster}, so that pods cannot be handed over: {reason}",
            reason,
            "the agent has nobody to hand the pod to",
        ),
        Cni::AgentUnreachable(reason) => (
            format!("node agent of {cluster}"),
            "ztunnel of {cluster} cannot reach the istio-cni agent of its node: {reason}",
            reason,
            "ztunnel retries and hears of no new pods",
        ),
        Cni::PodFailed { reason, .. } if !reason.contains("AddrInUse") => (
            format!("pods of {cluster}"),
            "ztunnel of {cluster} could not start the proxy of a pod: {reason}",
            reason,
            "the pod's proxy did not start",
        ),
        Cni::SetupFailed { fault, .. } if event.signature == Some("cni-agent-not-installed") => (
            format!("node agent of {cluster}"),
            "the istio-cni agent of {cluster} cannot install itself on a node: {reason}",
            &fault.text,
            "the agent stops before it has served a pod",
        ),
        Cni::SetupFailed { pod, fault } => (
            pod.as_ref().map_or_else(|| format!("node agent of {cluster}"), ToString::to_string),
            "a pod could not be added to the mesh by istio-cni of {cluster}: {reason}",
            &fault.text,
            "the pod was not set up",
        ),
        // What an init container prints about its own pod is no fault of the node agent.
        Cni::RulesFailed(_) if event.signature == Some("agent-iptables-failed") => return None,
        Cni::RulesFailed(reason) => (
            format!("node agent of {cluster}"),
            "istio-cni of {cluster} could not install the redirection rules: {reason}",
            reason,
            "the rules were not installed",
        ),
        Cni::PodFailed { .. } | Cni::AgentConnected | Cni::PodReceived { .. } | Cni::NotRedirected(_) => return None,
    };
    Some(
        Verdict::certain(&subject)
            .says(says)
            .slot("cluster", cluster)
            .slot("reason", reason)
            .token(&subject)
            .because(event, shows),
    )
}

/// Kubernetes says that the sandbox of a pod could not be made because of istio-cni.
fn pod_event(_: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::State(state) = &event.fact else { return None };
    sandbox(event, state)
}

fn sandbox_events(view: &View<'_>) -> Vec<Verdict> {
    view.states().filter_map(|(event, state)| sandbox(event, state)).collect()
}

fn sandbox(event: &Arc<Event>, state: &State) -> Option<Verdict> {
    let State::KubeEvent { reason, object, message, .. } = state else { return None };
    let ours = message.contains("istio-cni") || message.contains("type=\"istio-cni\"");
    (&**reason == "FailedCreatePodSandBox" && ours).then(|| {
        Verdict::certain(object)
            .says("{pod} cannot be created: the istio-cni plugin fails on its node")
            .slot("pod", object)
            .slot("cluster", &event.origin.cluster)
            .slot("reason", message)
            .token(object)
            .because(event, "the kubelet could not set the pod's network up")
    })
}
