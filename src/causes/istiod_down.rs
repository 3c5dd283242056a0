//! istiod itself is not serving: crashed, evicted, hung, without endpoints.

use std::sync::Arc;

use meshwhy_parsers::errors::{What, meaning};
use meshwhy_parsers::event::{Event, Fact, Kind, Process};
use meshwhy_parsers::origin::Role;
use meshwhy_parsers::state::State;

use super::{control_link, saved, tables};
use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::view::View;

/// See the mechanism.
pub static CAUSE: Cause = Cause {
    slug: "istiod-down",
    severity: Severity::Critical,
    summary: "istiod of {cluster} is not serving: {reason}",
    mechanism: "When istiod crashes, is evicted, is not scheduled or hangs, everything that asks it fails at once: certificate \
                requests and configuration streams on 15012, the injection webhook and validation on 443. That several unlike \
                callers fail in the same way is what tells it from a blocked way. Kubernetes refuses connections to a service \
                without endpoints, so the callers print `connection refused` or `no healthy upstream`. Proxies that have their \
                configuration go on serving, and a pod whose node is overloaded may still be shown as Running, so the mesh \
                looks half alive: only new pods, changed configuration and expiring certificates fail.",
    remedy: "Look at istiod's pods of {cluster}: status, restarts, last termination, memory limit, the node they are on; then its \
             previous log.",
    verify: "kubectl -n istio-system get pods,endpoints -l app=istiod -o wide",
    explains: &[
        ("istiod-unreachable", Within::Mesh),
        ("istiod-remote-missing", Within::Mesh),
        ("webhook-unreachable", Within::Cluster),
        ("ca-provider-unavailable", Within::Mesh),
        ("sds-secret-missing", Within::Mesh),
        ("eastwest-gateway-down", Within::Cluster),
        ("ztunnel-not-ready", Within::Mesh),
        ("dns-failure", Within::Token),
    ],
    hits: &["control-plane-crashed", "istiod-pods-crash", "state-joined-control-plane-killed"],
    near_misses: &[
        "control-plane-port-dropped",
        "control-plane-comes-late",
        "old-replica-sets-listed",
        "state-joined-control-plane-address-old",
        "state-joined-control-plane-filtered",
        "state-joined-control-plane-refuses",
    ],
    rules: &[
        Rule::Mesh(|view| tables::failed_check(view, "(istiod)")),
        Rule::after(Kind::Stream, 5, judge_link),
        Rule::after(Kind::Certificate, 5, judge_link),
        Rule::on(Kind::Process, judge_death),
        Rule::on(Kind::Webhook, judge_webhook),
        Rule::Mesh(judge_pods),
    ],
};

/// A client is turned away, and something else shows that istiod is down; or the words themselves say so.
fn judge_link(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let (_, fault) = control_link::failure(event)?;
    let by_network = matches!(
        fault.what,
        What::Refused
            | What::TimedOut
            | What::NoRoute
            | What::Unreachable
            | What::Cut
            | What::HandshakeTimedOut
            | What::ServerUnavailable
            | What::Other
    );
    if !by_network
        || control_link::answered(fault)
        || control_link::dialled(event).is_some_and(|address| address.is_loopback())
    {
        return None;
    }
    let cluster = control_link::cluster_of(event);
    let verdict = match control_link::seen_down(view, &event.origin.cluster) {
        Some((down, shows)) => {
            Verdict::certain(cluster).because(event, "a proxy cannot get what it asks istiod for").because(down, shows)
        }
        None if fault.what == What::ServerUnavailable => {
            Verdict::likely(cluster).because(event, "istiod's service has no endpoint that serves")
        }
        None if fault.what == What::Refused && control_link::seen_serving(view).is_none() => {
            Verdict::possible(cluster).because(event, "a service without ready endpoints refuses like this")
        }
        None => return None,
    };
    let verdict = verdict
        .slot("cluster", cluster)
        .slot("reason", meaning(&fault.what))
        .token(control_link::control_plane(view, event))
        .settle_by("kubectl -n istio-system get pods,endpoints -l app=istiod -o wide");
    Some(verdict)
}

/// istiod's own log ends in its death, and nothing shows it up again.
fn judge_death(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Process(Process::Died(reason)) = &event.fact else { return None };
    if event.origin.role != Role::Istiod {
        return None;
    }
    let cluster = control_link::cluster_of(event);
    let looping = view.states().find(|(_, state)| match state {
        State::Pod { name, status, .. } => control_link::is_istiod(name) && &**status != "Running",
        _ => false,
    });
    let verdict = match looping {
        Some((row, _)) => {
            Verdict::certain(cluster).because(event, "istiod dies").because(row, "and its pod does not come up")
        }
        None => Verdict::likely(cluster).because(event, "istiod dies"),
    };
    let reason = reason.lines().next().unwrap_or("");
    Some(verdict.slot("cluster", cluster).slot("reason", reason).token("istiod"))
}

/// The API server finds nobody behind the webhook, and the same address refuses proxies too.
fn judge_webhook(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let (name, _, fault) = super::webhook_unreachable::istio_call(event)?;
    let cluster = control_link::cluster_of(event);
    let verdict = if fault.text.contains("no endpoints available") {
        // A cluster that another one's istiod serves has no istiod to be down.
        if control_link::is_remote(view, &event.origin.cluster) {
            return None;
        }
        Verdict::likely(cluster).because(event, "the API server finds no ready istiod behind the webhook's Service")
    } else {
        let refused = fault.address.as_ref().filter(|_| fault.what == What::Refused)?;
        let links = view.events(Kind::Stream).chain(view.events(Kind::Certificate));
        let same = |link: &&Arc<Event>| {
            control_link::failure(link).is_some_and(|(_, fault)| {
                fault.what == What::Refused
                    && fault.address.as_ref().is_some_and(|address| address.host == refused.host)
            })
        };
        let link = links.into_iter().find(same)?;
        Verdict::likely(cluster)
            .because(event, "istiod's Service refuses the API server")
            .because(link, "and refuses proxies as well: nobody serves behind it")
    };
    let verdict =
        verdict.slot("cluster", cluster).slot("reason", "its Service has no ready pod").token(name).token("istiod");
    Some(verdict.settle_by("kubectl -n istio-system get pods,endpoints -l app=istiod -o wide"))
}

/// Tables show that no istiod pod of a cluster is ready.
fn judge_pods(view: &View<'_>) -> Vec<Verdict> {
    let mut verdicts: Vec<Verdict> = Vec::new();
    let pods = saved::pods(view);
    let istiods = || pods.iter().filter(|pod| saved::is_istiod(pod.name) && !pod.is_over());
    let mut say = |cluster: &str, reason: String, event: &Arc<Event>, shows: &str| {
        let subject = if cluster.is_empty() { "istiod" } else { cluster };
        if verdicts.iter().all(|known| known.subject != subject) {
            let verdict = Verdict::certain(subject).slot("cluster", subject).slot("reason", reason).token("istiod");
            verdicts.push(verdict.because(event, shows));
        }
    };
    for pod in istiods() {
        let cluster = &pod.event.origin.cluster;
        let serves = istiods().any(|other| other.event.origin.cluster == *cluster && other.is_ready());
        let is_starting = matches!(pod.status, "ContainerCreating" | "PodInitializing");
        if !serves && !is_starting {
            let reason = format!(
                "its pod {} is {} with {} of {} containers ready",
                pod.name, pod.status, pod.ready, pod.containers
            );
            say(cluster, reason, pod.event, "no istiod pod of the cluster is ready");
        }
    }
    for (event, state) in view.states() {
        let State::Replicas { name, ready: 0, wanted, .. } = state else { continue };
        if saved::is_istiod(name) && istiods().all(|pod| !pod.is_ready()) {
            let reason = if *wanted == 0 { "it is scaled to zero" } else { "none of its pods is ready" };
            say(&event.origin.cluster, reason.to_string(), event, "the Deployment has no ready pod");
        }
    }
    verdicts
}
