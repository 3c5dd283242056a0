//! A proxy's packets do not get to its control plane, and nothing shown is wrong with that control plane itself.

use std::sync::Arc;

use meshwhy_parsers::errors::{What, meaning};
use meshwhy_parsers::event::{Event, Fact, Kind, Stream, StreamWhat};

use super::control_link::{self, Way};
use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::view::View;

/// See the mechanism.
pub static CAUSE: Cause = Cause {
    slug: "istiod-unreachable",
    severity: Severity::Critical,
    summary: "proxies of {cluster} do not get through to the control plane at {address}: {reason}",
    mechanism: "A proxy needs istiod for two things: its certificate, and its configuration, both on port 15012 (15010 without \
                TLS). When packets do not get there, the agent repeats its certificate request, Envoy reports that the stream \
                was closed, and readiness says that no configuration was received. A time-out means that something on the way \
                drops packets, a refusal that a host answered which does not listen there, `no route` that the network has no \
                way. The readiness text asks whether istiod is running, which sends people to istiod's own log; that log is \
                quiet, because nothing reached it. A proxy that was connected once keeps serving with its old configuration, \
                so only new pods and certificates near their end show the damage at first.",
    remedy: "From a pod of {cluster}, open TCP to {address}. Check NetworkPolicy, security groups and firewalls for port 15012 on \
             that way, then the route itself.",
    verify: "kubectl exec <pod> -c istio-proxy -- curl -sv --max-time 5 telnet://{address}",
    explains: &[
        ("sds-secret-missing", Within::File),
        ("eastwest-gateway-down", Within::File),
        // A gateway that gets no configuration never becomes ready.
        ("eastwest-gateway-down", Within::Token),
        ("ca-provider-unavailable", Within::File),
        ("ztunnel-not-ready", Within::Cluster),
        ("probe-blocked", Within::File),
    ],
    hits: &["control-plane-port-dropped", "state-joined-control-plane-filtered", "state-joined-control-plane-refuses"],
    near_misses: &["control-plane-comes-late", "control-plane-crashed", "rpfilter-drops-ztunnel"],
    rules: &[
        Rule::after(Kind::Stream, 5, judge_link),
        Rule::after(Kind::Certificate, 5, judge_link),
        Rule::after(Kind::Stream, 5, judge_waiting),
    ],
};

/// A failure on the way that names the network as its reason, or no reason at all.
fn judge_link(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let (way, fault) = control_link::failure(event)?;
    let cluster = control_link::cluster_of(event);
    if control_link::answered(fault)
        || control_link::told_better(view, event).is_some()
        || control_link::seen_down(view, &event.origin.cluster).is_some()
        || way == Way::Signing && control_link::configuration_works(view, event).is_some()
    {
        return None;
    }
    let dialled = control_link::dialled(event);
    if dialled.as_ref().is_some_and(|address| address.is_loopback()) {
        return None;
    }
    let address = control_link::control_plane(view, event);
    let subject = format!("{address} from {cluster}");
    let verdict = match &fault.what {
        What::TimedOut | What::NoRoute | What::NetworkUnreachable | What::HandshakeTimedOut | What::ViaProxy => {
            match control_link::seen_serving(view) {
                Some((serving, shows)) if dialled.is_some() => {
                    Verdict::certain(&subject).because(event, "the way to it fails").because(serving, shows)
                }
                _ => Verdict::likely(&subject).because(event, "the way to the control plane fails"),
            }
        }
        What::Refused => Verdict::likely(&subject).because(event, "something refuses the connection on the way"),
        What::Unreachable => Verdict::likely(&subject).because(event, "the connection fails"),
        What::Cut if way == Way::Signing || !is_passing(view, event) => {
            Verdict::possible(&subject).because(event, "the connection is cut before it is of use")
        }
        _ => return None,
    };
    let verdict = verdict
        .slot("cluster", cluster)
        .slot("address", &address)
        .slot("reason", meaning(&fault.what))
        .token(&address)
        .token(&event.origin.pod)
        .settle_by("kubectl -n istio-system get pods,endpoints -l app=istiod");
    Some(verdict)
}

/// A stream that was up breaks now and then: istiod restarts, load balancers cut.
fn is_passing(view: &View<'_>, event: &Arc<Event>) -> bool {
    const BREAKS_MIN: u64 = 3;
    if let Fact::Stream(Stream { what: StreamWhat::Refused(_), .. }) = &event.fact {
        return false;
    }
    let count =
        view.known(event.fact.kind()).find(|known| Arc::ptr_eq(&known.first, event)).map_or(1, |known| known.count);
    count < BREAKS_MIN
}

/// A proxy that waits for its configuration and does not say why.
fn judge_waiting(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Stream(stream) = &event.fact else { return None };
    let StreamWhat::NotReady { rejected: 0 } = stream.what else { return None };
    let same_client = |known: &&Arc<Event>| known.origin.file == event.origin.file;
    let mut reasons = view.events(Kind::Stream).chain(view.events(Kind::Certificate)).filter(same_client);
    let told = reasons.any(|known| control_link::failure(known).is_some());
    let was_up = view.events(Kind::Stream).filter(same_client).any(|known| match &known.fact {
        Fact::Stream(stream) => matches!(stream.what, StreamWhat::Opened | StreamWhat::Ready),
        _ => false,
    });
    let cluster = &event.origin.cluster;
    if told || was_up || control_link::seen_down(view, cluster).is_some() {
        return None;
    }
    let address = control_link::control_plane(view, event);
    let cluster = control_link::cluster_of(event);
    let verdict = Verdict::possible(&format!("{address} from {cluster}"))
        .slot("cluster", cluster)
        .slot("address", &address)
        .slot("reason", "no configuration arrived, and the proxy does not say why")
        .because(event, "the proxy has received no configuration")
        .token(&address)
        .settle_by("kubectl -n istio-system get pods,endpoints -l app=istiod");
    Some(verdict)
}
