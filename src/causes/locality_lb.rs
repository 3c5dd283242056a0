//! Traffic stays in its own region, or does not fail over, because locality settings say so.

use meshwhy_parsers::event::{Fact, Kind};
use meshwhy_parsers::state::State;

use super::saved;
use crate::engine::cause::{Cause, Rule, Severity, Verdict};
use crate::engine::view::View;

/// The page.
pub static CAUSE: Cause = Cause {
    slug: "locality-lb",
    severity: Severity::Info,
    summary: "calls of {service} stay local by design: {why}",
    mechanism: "Where a pod's node has a region and the service has endpoints in several, istiod gives endpoints a \
                priority: same region first, others only when those are unhealthy. A test that calls the service in a \
                loop and sees one cluster alone therefore proves nothing against the mesh: the other cluster's gateway \
                is in the list, with a higher number. Fail-over needs outlier detection, for without it no endpoint is \
                ever taken for unhealthy; that is the one part worth a look.",
    remedy: "Where calls of {service} shall stay near and fail over, its DestinationRule needs an `outlierDetection`. Else \
             nothing is to be repaired: to see the other cluster answer, scale the local deployment to zero, or set \
             `localityLbSetting.enabled: false` for the service.",
    verify: "istioctl proxy-config endpoint <pod> --cluster '<cluster>' -o json | jq '.[].hostStatuses[] | [.address.socketAddress.address, .locality.region, .priority]'",
    explains: &[],
    hits: &["only-local-answers-by-locality"],
    near_misses: &["remote-secret-in-other-namespace"],
    rules: &[Rule::Mesh(local_by_priority)],
};

fn local_by_priority(view: &View<'_>) -> Vec<Verdict> {
    let held = saved::held(view);
    let far = |held: &&saved::Held<'_>| held.priority.is_some_and(|priority| priority > 0);
    let Some(remote) = held.iter().find(far).or_else(|| held.iter().find(|held| held.is_gateway())) else {
        return Vec::new();
    };
    let Some(local) =
        held.iter().find(|other| other.host == remote.host && other.priority.unwrap_or(0) == 0 && !other.is_gateway())
    else {
        return Vec::new();
    };
    let setting = view.states().find_map(|(event, state)| match state {
        State::LocalityLb { enabled, outlier_detection } => Some((event, *enabled, *outlier_detection)),
        _ => None,
    });
    let is_off = setting.is_some_and(|(_, enabled, _)| !enabled);
    // Someone looked into it: a priority or a setting was asked for. A list of endpoints alone is just a list.
    let looked_into = setting.is_some() || held.iter().any(|held| held.priority.is_some());
    let unsynced =
        view.states().any(|(_, state)| matches!(state, State::RemoteCluster { status, .. } if &**status != "synced"));
    if is_off || !looked_into || unsynced || remote.status == "UNHEALTHY" || answers(view) > 1 || has_failures(view) {
        return Vec::new();
    }
    let why = match setting {
        Some((_, _, false)) => {
            "the other region has a lower priority; without outlier detection it takes over only when no local endpoint is left"
        }
        _ => "the other region has a lower priority while the local endpoints are healthy",
    };
    let mut verdict = Verdict::certain(remote.host)
        .slot("service", remote.host)
        .slot("why", why)
        .because(remote.event, "the other cluster is among the endpoints, behind the local one")
        .because(local.event, "the local endpoint comes first");
    if let Some((event, _, _)) = setting {
        verdict = verdict.because(event, "the locality setting of the service");
    }
    vec![verdict]
}

/// How many different instances answered calls by hand.
fn answers(view: &View<'_>) -> usize {
    let answered = view.states().filter_map(|(_, state)| match state {
        State::Answered { by, .. } => Some(by),
        _ => None,
    });
    answered.collect::<std::collections::BTreeSet<_>>().len()
}

/// Whether any call failed.
fn has_failures(view: &View<'_>) -> bool {
    let failed = |event: &std::sync::Arc<meshwhy_parsers::event::Event>| match &event.fact {
        Fact::Request(request) => request.is_failure(),
        Fact::Connection(connection) => connection.error.is_some(),
        _ => false,
    };
    view.events(Kind::Request).any(failed)
        || view.events(Kind::Connection).any(failed)
        || view
            .states()
            .any(|(_, state)| matches!(state, State::CallFailed { .. } | State::Probe { fault: Some(_), .. }))
}
