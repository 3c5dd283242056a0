//! The service or endpoint that should lead a remote cluster to the control plane does not exist or is empty.

use std::sync::Arc;

use meshwhy_parsers::errors::What;
use meshwhy_parsers::event::{Event, Kind};
use meshwhy_parsers::state::State;

use super::control_link;
use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::view::View;

/// See the mechanism.
pub static CAUSE: Cause = Cause {
    slug: "istiod-remote-missing",
    severity: Severity::Critical,
    summary: "{cluster} has no way to its control plane: {reason}",
    mechanism: "Proxies look for istiod by the name of a service in their own cluster. In a cluster without a control plane \
                that service has to be made, and its endpoint has to hold the address of the primary's gateway. Where the \
                installation left it out, or a clean-up removed it, the name does not resolve or the service has no endpoints. \
                It reads like a DNS fault; but the DNS server answers, and what it says is that there is no such service.",
    remedy: "Make the service istiod and its endpoint in istio-system of {cluster} (install it with remotePilotAddress set to the \
             primary's gateway).",
    verify: "kubectl -n istio-system get service,endpoints istiod",
    explains: &[
        ("istiod-unreachable", Within::Cluster),
        ("dns-failure", Within::Token),
        ("webhook-unreachable", Within::Cluster),
        ("ca-provider-unavailable", Within::File),
    ],
    hits: &["remote-cluster-without-control-plane-service", "state-joined-control-plane-no-service"],
    near_misses: &[
        "cluster-dns-does-not-answer",
        "state-joined-control-plane-filtered",
        "state-joined-control-plane-killed",
        "state-joined-control-plane-no-name",
        "state-joined-control-plane-refuses",
    ],
    rules: &[
        Rule::after(Kind::Stream, 5, judge_link),
        Rule::after(Kind::Certificate, 5, judge_link),
        Rule::after(Kind::Webhook, 5, judge_webhook),
    ],
};

/// The API server of a cluster without a control plane finds nothing behind the injector's Service.
fn judge_webhook(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let (name, _, fault) = super::webhook_unreachable::istio_call(event)?;
    let cluster = &*event.origin.cluster;
    if !fault.text.contains("no endpoints available") || !control_link::is_remote(view, cluster) {
        return None;
    }
    Some(
        Verdict::likely(cluster)
            .slot("cluster", cluster)
            .slot("reason", "the injector's Service has no endpoint")
            .token(name)
            .because(event, "the API server finds no endpoint behind the webhook's Service")
            .settle_by("kubectl -n istio-system get service,endpoints istiod istio-sidecar-injector"),
    )
}

fn judge_link(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let (_, fault) = control_link::failure(event)?;
    let cluster = &*event.origin.cluster;
    let empty = view.states().find(|(row, state)| {
        *row.origin.cluster == *cluster
            && match state {
                State::Endpoints { name, addresses, .. } => control_link::is_istiod(name) && addresses.is_empty(),
                State::Missing { kind, name, .. } => {
                    control_link::is_istiod(name) && (kind.starts_with("service") || kind.starts_with("endpoint"))
                }
                _ => false,
            }
    });
    let unknown = match &fault.what {
        // Where the Service is there all the same, it is the name server that fails.
        What::NameUnknown(host) if control_link::is_istiod(host) && !exists(view, cluster, host) => Some(host),
        What::NameUnknown(_) | What::Refused | What::ServerUnavailable | What::TimedOut | What::NameLookupFailed(_) => {
            None
        }
        _ => return None,
    };
    let is_remote = control_link::is_remote(view, cluster);
    let subject = control_link::cluster_of(event);
    let (verdict, reason) = match (unknown, empty) {
        (_, Some((row, _))) if is_remote => {
            let verdict = Verdict::certain(subject)
                .because(event, "a proxy finds no control plane")
                .because(row, "the service that should lead there has no endpoint");
            (verdict, "the istiod service has no endpoint".to_string())
        }
        (Some(host), _) if is_remote => {
            let verdict = Verdict::likely(subject).because(event, "the DNS server answers that there is no such name");
            (verdict, format!("no service {host}"))
        }
        (Some(host), _) => {
            let verdict =
                Verdict::possible(subject).because(event, "the DNS server answers that there is no such name");
            (verdict, format!("no service {host}"))
        }
        _ => return None,
    };
    let verdict = verdict
        .slot("cluster", subject)
        .slot("reason", reason)
        .token(control_link::control_plane(view, event))
        .settle_by("kubectl -n istio-system get service,endpoints istiod");
    Some(verdict)
}

/// Whether the Service of this name (`istiod.istio-system.svc`) is among what was saved of a cluster.
fn exists(view: &View<'_>, cluster: &str, host: &str) -> bool {
    let mut parts = host.split('.');
    let (name, namespace) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    view.mesh().cluster(cluster).is_some_and(|cluster| cluster.object("Service", namespace, name).is_some())
}
