//! What logs say of the call: whether it failed or worked, and why by the rules of the catalogue.

use std::sync::Arc;

use meshwhy_parsers::access::ClusterName;
use meshwhy_parsers::event::{Addr, Event, Fact, Kind, Text};
use meshwhy_parsers::state::State;

use super::call::Call;
use super::far;
use super::hops::Step;
use super::service;
use crate::causes;
use crate::engine::cause::{Cause, Rule, Verdict};
use crate::engine::finding;
use crate::engine::mesh::Cluster;
use crate::engine::world::Known;

/// What lines and probes show of the call; `None` where nothing speaks of it.
pub(super) fn traffic(call: &Call<'_>) -> Option<Step> {
    let mut failed: Vec<&Known> = Vec::new();
    let mut worked: Option<&Known> = None;
    for kind in [Kind::Request, Kind::Connection] {
        for known in call.view.known(kind).filter(|known| is_of(call, &known.first)) {
            if known.first.about().failed.is_some() {
                failed.push(known);
            } else if worked.is_none_or(|of| of.last_ordinal < known.last_ordinal) {
                worked = Some(known);
            }
        }
    }
    let last = failed.iter().map(|known| known.last_ordinal).max();
    let place = "as logged";
    let Some(last) = last else {
        if let Some(step) = probed(call, place) {
            return Some(step);
        }
        let worked = worked?;
        return Some(Step::pass("traffic", place, "calls were answered").told(&worked.last, &worked.last.text));
    };
    let count: u64 = failed.iter().map(|known| known.count).sum();
    let times = if count == 1 { "one call".to_string() } else { format!("{count} calls") };
    if let Some(worked) = worked.filter(|of| last < of.last_ordinal) {
        return Some(
            Step::warn("traffic", place, format!("{times} failed, later ones were answered"))
                .told(&worked.last, &worked.last.text),
        );
    }
    let judged = failed.iter().filter_map(|known| Some((known, judge(call, &known.first)?)));
    let best = judged.max_by_key(|(known, (cause, verdict))| (verdict.confidence, cause.severity, known.count));
    let Some((known, (cause, verdict))) = best else {
        let first = failed.first()?;
        return Some(Step::stop("traffic", place, format!("{times} failed")).told(&first.first, &first.first.text));
    };
    let says = format!("{times} failed: {}", finding::summary(cause, &verdict));
    if cause.slug == "waypoint-unavailable"
        && let Some(object) = far::waypoint_object(call, call.near)
        && known.last.at.is_some_and(|last| object.created.is_some_and(|created| last < created))
    {
        let says = format!("{times} failed for want of the waypoint, which was made since");
        return Some(Step::warn("traffic", place, says).told(&known.last, &known.last.text));
    }
    if let Some(item) = call.refuting(cause.slug) {
        let says = format!("{times} failed ({}), but what was saved speaks against it: {}", cause.slug, item.reason);
        return Some(Step::warn("traffic", place, says).told(&known.first, &known.first.text));
    }
    Some(Step::fail("traffic", place, says, cause.slug, verdict).told(&known.first, &known.first.text))
}

/// What an istiod's lines say of why it cannot read another cluster.
pub(super) fn of_remote(call: &Call<'_>, control: &Cluster, far: &Cluster) -> Option<(&'static Cause, Verdict)> {
    let known = call.view.known(Kind::Remote).filter(|known| {
        let is_of = matches!(&known.first.fact, Fact::Remote(remote) if far.is_called(&remote.cluster));
        is_of && *known.first.origin.cluster == *control.name && known.first.about().failed.is_some()
    });
    let judged = known.filter_map(|known| judge(call, &known.first));
    judged.max_by_key(|(cause, verdict)| (verdict.confidence, cause.severity))
}

/// Whether a line of a sidecar or of ztunnel is about the call.
fn is_of(call: &Call<'_>, event: &Event) -> bool {
    if *event.origin.cluster != *call.near.name {
        return false;
    }
    let called = &call.service;
    match &event.fact {
        Fact::Request(request) => {
            let is_to = match &request.cluster {
                ClusterName::Outbound { port, host, .. } => **host == *called.host && *port == called.port,
                _ => request.service() == called.host,
            };
            is_to && *event.origin.pod == *call.name
        }
        Fact::Connection(connection) => {
            let is_at = |addr: &Option<Addr>, ips: &[Text]| addr.as_ref().is_some_and(|addr| ips.contains(&addr.host));
            let by_name = *connection.src.workload == *call.name && *connection.src.namespace == *call.namespace;
            let by_address = call.pod.is_some_and(|(_, pod)| is_at(&connection.src.addr, &pod.ips));
            let is_to = match &*connection.service {
                // What ztunnel gives up before it knows the destination carries the dialled address alone.
                "" => {
                    service::object(call, call.near).is_some_and(|(_, of)| is_at(&connection.dst.addr, &of.cluster_ips))
                }
                host => host == called.host,
            };
            (by_name || by_address) && is_to
        }
        _ => false,
    }
}

/// What the rules of the catalogue make of a failing line, the surest first.
fn judge(call: &Call<'_>, event: &Arc<Event>) -> Option<(&'static Cause, Verdict)> {
    let kind = event.fact.kind();
    let rules = causes::ALL.iter().flat_map(|cause| cause.rules.iter().map(move |rule| (*cause, rule)));
    let verdicts = rules.filter_map(|(cause, rule)| match rule {
        Rule::Symptom { trigger, judge, .. } if *trigger == kind => Some((cause, judge(call.view, event)?)),
        _ => None,
    });
    // The first of equals, as the catalogue lists them.
    verdicts.reduce(|best, other| {
        let rank = |of: &(&Cause, Verdict)| (of.1.confidence, of.0.severity);
        if rank(&best) < rank(&other) { other } else { best }
    })
}

/// Connections by hand to an address that the caller's proxy dials.
fn probed(call: &Call<'_>, place: &str) -> Option<Step> {
    let held = call.held()?;
    let (event, addr) = call.view.states().find_map(|(event, state)| match state {
        State::Probe { addr, fault: Some(_) } if held.iter().any(|of| *of.address == *addr.host) => Some((event, addr)),
        _ => None,
    })?;
    let rules = causes::ALL.iter().flat_map(|cause| cause.rules.iter().map(move |rule| (*cause, rule)));
    let verdicts = rules.filter_map(|(cause, rule)| match rule {
        Rule::Mesh(judge) if cause.slug == "crossnetwork-port-blocked" => Some((cause, judge(call.view))),
        _ => None,
    });
    let mut of_addr = verdicts.flat_map(|(cause, verdicts)| verdicts.into_iter().map(move |verdict| (cause, verdict)));
    let (cause, verdict) = of_addr.find(|(_, verdict)| verdict.tokens.iter().any(|token| **token == *addr.host))?;
    let says = finding::summary(cause, &verdict);
    Some(Step::fail("traffic", place, says, cause.slug, verdict).told(event, &event.text))
}
