//! Names do not resolve: the cluster's DNS server fails, cannot be reached, or does not know the name.

use std::sync::Arc;

use meshwhy_parsers::errors::{Fault, What};
use meshwhy_parsers::event::{Event, Fact, Kind};

use super::{ambient_path, control_link, data_path, requests};
use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::view::View;

/// See the mechanism.
pub static CAUSE: Cause = Cause {
    slug: "dns-failure",
    severity: Severity::Error,
    summary: "{who} cannot resolve {host}: {reason}",
    mechanism: "Before anything connects, a name is looked up. In a pod that goes to the cluster's DNS service, or to the proxy's own \
                DNS server, which asks the cluster's for what it does not know. When that server is down, or packets to port 53 \
                are dropped, every connection by name fails in the same moment, istiod's first. A server that answers `no such \
                host` is healthy: then the name is wrong, or the service does not exist. The two are told apart by who answered.",
    remedy: "Look up {host} from a pod of {who} and from one without a sidecar. Check the cluster's DNS pods and what filters port \
             53; where the server answers that the name does not exist, check the service's name and namespace.",
    verify: "kubectl exec <pod> -c istio-proxy -- getent hosts {host}",
    explains: &[
        ("istiod-unreachable", Within::File),
        ("ca-provider-unavailable", Within::File),
        ("sds-secret-missing", Within::File),
    ],
    hits: &["cluster-dns-does-not-answer", "ambient-gateway-name-unresolved", "state-joined-control-plane-no-name"],
    near_misses: &[
        "control-plane-comes-late",
        "remote-cluster-without-control-plane-service",
        "host-without-route",
        "rpfilter-drops-ztunnel",
        "state-joined-control-plane-no-service",
    ],
    rules: &[
        Rule::after(Kind::Stream, 5, control_plane),
        Rule::after(Kind::Certificate, 5, control_plane),
        Rule::after(Kind::Dns, 5, lookup),
        Rule::after(Kind::Connection, 5, ambient_path::name_unresolved),
        Rule::on(Kind::Request, |view, event| requests::judge(view, event, data_path::name_unresolved)),
        Rule::Mesh(|view| requests::judge_sentences(view, data_path::name_unresolved)),
    ],
};

/// Reads a proxy's lookup of its control plane.
fn control_plane(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let (_, fault) = control_link::failure(event)?;
    let address = control_link::control_plane(view, event);
    Some(by_fault(fault, event)?.token(address))
}

/// Reads a lookup that failed, whoever asked.
fn lookup(_: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Dns(dns) = &event.fact else { return None };
    if let Some(verdict) = by_fault(&dns.fault, event) {
        return Some(verdict);
    }
    let host = if dns.host.is_empty() { "names outside the mesh" } else { &dns.host };
    let verdict = Verdict::likely(host)
        .slot("who", control_link::speaker(event))
        .slot("host", host)
        .slot("reason", "the DNS server asked did not answer with an address")
        .token(host)
        .because(event, "the lookup failed");
    Some(verdict)
}

fn by_fault(fault: &Fault, event: &Arc<Event>) -> Option<Verdict> {
    let (host, reason, shows) = match &fault.what {
        What::NameLookupFailed(host) => {
            (host, "the DNS server failed or could not be reached", "the lookup got no answer")
        }
        What::NameUnknown(host) => {
            (host, "the DNS server says that there is no such name", "the lookup was answered in the negative")
        }
        _ => return None,
    };
    let host = if host.is_empty() { "names" } else { host };
    let verdict = Verdict::likely(host)
        .slot("who", control_link::speaker(event))
        .slot("host", host)
        .slot("reason", reason)
        .token(host)
        .because(event, shows);
    Some(verdict)
}
