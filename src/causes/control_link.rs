//! The way from a proxy to its control plane: what failed on it, and what else is known about that control plane.
//! Shared by the causes that tell the reasons of such a failure apart.

use std::sync::Arc;

use meshwhy_parsers::errors::{Fault, What};
use meshwhy_parsers::event::{Addr, CertificateWhat, Event, Fact, Kind, Process, Side, StreamWhat, Webhook};
use meshwhy_parsers::origin::Role;
use meshwhy_parsers::state::State;

use crate::engine::view::View;

/// What a client was doing when the way failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Asking for its configuration.
    Configuration,
    /// Asking for its certificate.
    Signing,
}

/// A failure of a client on its way to the control plane, as the client itself tells it.
pub(super) fn failure(event: &Event) -> Option<(Way, &Fault)> {
    match &event.fact {
        Fact::Stream(stream) if stream.side == Side::Client => match &stream.what {
            StreamWhat::Refused(fault) | StreamWhat::Closed(fault) => Some((Way::Configuration, fault)),
            StreamWhat::Opened | StreamWhat::Ended | StreamWhat::NotReady { .. } | StreamWhat::Ready => None,
        },
        Fact::Certificate(certificate) if certificate.side == Side::Client => match &certificate.what {
            CertificateWhat::Failed(fault) | CertificateWhat::RenewalFailed(fault) => Some((Way::Signing, fault)),
            CertificateWhat::Issued
            | CertificateWhat::Unusable(_)
            | CertificateWhat::Refused(_)
            | CertificateWhat::Missing(_) => None,
        },
        _ => None,
    }
}

/// The address dialled: from the error, else from the line.
pub(super) fn dialled(event: &Event) -> Option<Addr> {
    let (_, fault) = failure(event)?;
    let of_line = match &event.fact {
        Fact::Stream(stream) => stream.address.clone(),
        _ => None,
    };
    fault.address.clone().or(of_line)
}

/// The control plane as its proxies name it at start; empty where they do not.
pub(super) fn configured(view: &View<'_>, event: &Event) -> String {
    let of_file = |known: &&Arc<Event>| known.origin.file == event.origin.file;
    let address = view.events(Kind::Process).filter(of_file).find_map(|known| match &known.fact {
        Fact::Process(Process::Identity { xds_address, .. }) if !xds_address.is_empty() => Some(xds_address),
        _ => None,
    });
    let address = address.map_or("", |address| address);
    address.trim_start_matches("https://").to_string()
}

/// How findings name the control plane of an event: the address dialled, else the configured one.
pub(super) fn control_plane(view: &View<'_>, event: &Event) -> String {
    match dialled(event) {
        Some(address) => address.to_string(),
        None => match configured(view, event) {
            name if name.is_empty() => "istiod".to_string(),
            name => name,
        },
    }
}

/// The cluster of an event as people read it.
pub(super) fn cluster_of(event: &Event) -> &str {
    if event.origin.cluster.is_empty() { "this cluster" } else { &event.origin.cluster }
}

/// Who speaks: the pod where known, else the file.
pub(super) fn speaker(event: &Event) -> &str {
    if event.origin.pod.is_empty() { &event.origin.file } else { &event.origin.pod }
}

/// Whether a fault says only that it failed, not why.
pub(super) fn is_vague(fault: &Fault) -> bool {
    matches!(fault.what, What::Unreachable | What::Cut | What::Other | What::ServerError | What::TimedOut)
        && fault.address.is_none()
}

/// Whether the control plane itself answered, so that the way to it is open.
pub(super) fn answered(fault: &Fault) -> bool {
    const CODES: [&str; 9] = [
        "Internal",
        "Unauthenticated",
        "PermissionDenied",
        "InvalidArgument",
        "NotFound",
        "FailedPrecondition",
        "Unimplemented",
        "ResourceExhausted",
        "Aborted",
    ];
    fault.address.is_none() && fault.code.as_deref().is_some_and(|code| CODES.contains(&code))
}

/// A failure of the same client that names its reason, where this one does not.
pub(super) fn told_better<'v>(view: &View<'v>, event: &Event) -> Option<&'v Arc<Event>> {
    let (_, fault) = failure(event)?;
    if !is_vague(fault) {
        return None;
    }
    let same_client = |known: &&Arc<Event>| known.origin.file == event.origin.file;
    view.events(Kind::Stream)
        .chain(view.events(Kind::Certificate))
        .filter(same_client)
        .find(|known| failure(known).is_some_and(|(_, fault)| !is_vague(fault)))
}

/// Whether this client's stream for configuration worked in the same log, and never failed for the same reason.
pub(super) fn configuration_works<'v>(view: &View<'v>, event: &Event) -> Option<&'v Arc<Event>> {
    let same_client = |known: &&Arc<Event>| known.origin.file == event.origin.file;
    let mut up = None;
    for known in view.events(Kind::Stream).filter(same_client) {
        let Fact::Stream(stream) = &known.fact else { continue };
        match stream.what {
            StreamWhat::Opened | StreamWhat::Ready => up = up.or(Some(known)),
            StreamWhat::Refused(_) | StreamWhat::Closed(_) => return None,
            StreamWhat::Ended | StreamWhat::NotReady { .. } => {}
        }
    }
    up
}

/// Whether a name or an object's name is istiod's: `istiod`, `istiod-1-20`, `istiod.istio-system.svc`.
pub(super) fn is_istiod(name: &str) -> bool {
    let first = name.split(['.', ':']).next().unwrap_or("");
    let first = first.rsplit('/').next().unwrap_or("");
    first == "istiod" || first.starts_with("istiod-") || first == "istio-pilot"
}

/// Proof that istiod was not serving.
pub(super) fn seen_down<'v>(view: &View<'v>, cluster: &str) -> Option<(&'v Arc<Event>, &'static str)> {
    let here = |event: &&Arc<Event>| *event.origin.cluster == *cluster;
    let state = view.states().filter(|(event, _)| here(event)).find_map(|(event, state)| match state {
        State::Pod { name, ready, containers, status, .. } if is_istiod(name) => {
            let is_down = ready < containers || !matches!(&**status, "Running" | "Completed");
            is_down.then_some((event, "istiod's pod is not ready"))
        }
        State::Replicas { name, ready: 0, wanted, .. } if is_istiod(name) && *wanted > 0 => {
            Some((event, "no replica of istiod is ready"))
        }
        State::KubeEvent { object, reason, .. } if is_istiod(object) => {
            let reasons = ["BackOff", "Evicted", "Unhealthy", "FailedScheduling", "OOMKilling", "Failed"];
            reasons.contains(&&**reason).then_some((event, "Kubernetes reports istiod's pod as failing"))
        }
        _ => None,
    });
    let webhook = || {
        view.events(Kind::Webhook).filter(here).find_map(|event| match &event.fact {
            Fact::Webhook(Webhook::CallFailed { url, fault, .. }) if url.contains("istiod") => match fault.what {
                What::Refused => Some((event, "the API server's call to istiod's webhook is refused as well")),
                What::ServerUnavailable => Some((event, "istiod's service has no endpoint for its webhook either")),
                _ => None,
            },
            _ => None,
        })
    };
    let died = || {
        let of_istiod = |event: &&Arc<Event>| event.origin.role == Role::Istiod && here(event);
        view.events(Kind::Process).filter(of_istiod).find_map(|event| match &event.fact {
            Fact::Process(Process::Died(_)) => Some((event, "istiod died")),
            _ => None,
        })
    };
    state.or_else(webhook).or_else(died)
}

/// Proof that an istiod of this input was serving: the first line or row that shows it.
pub(super) fn seen_serving<'v>(view: &View<'v>) -> Option<(&'v Arc<Event>, &'static str)> {
    let row = view.states().find_map(|(event, state)| match state {
        State::Pod { name, ready, containers, status, .. } if is_istiod(name) => {
            let serves = ready == containers && *containers > 0 && &**status == "Running";
            serves.then_some((event, "istiod's pod is ready"))
        }
        _ => None,
    });
    let served = || {
        view.events(Kind::Stream).find_map(|event| match &event.fact {
            Fact::Stream(stream) if stream.side == Side::Server && stream.what == StreamWhat::Opened => {
                Some((event, "istiod serves other proxies"))
            }
            _ => None,
        })
    };
    row.or_else(served)
}

/// Whether this cluster runs an istiod of its own, as far as the input shows.
pub(super) fn has_istiod(view: &View<'_>, cluster: &str) -> bool {
    let row = view.states().any(|(event, state)| {
        *event.origin.cluster == *cluster && matches!(state, State::Pod { name, .. } if is_istiod(name))
    });
    let kinds = [Kind::Process, Kind::Stream, Kind::Push, Kind::Remote, Kind::Webhook, Kind::Trust, Kind::Network];
    row || kinds
        .into_iter()
        .flat_map(|kind| view.events(kind))
        .any(|event| event.origin.role == Role::Istiod && *event.origin.cluster == *cluster)
}

/// Whether another cluster of this input runs an istiod and this one does not.
pub(super) fn is_remote(view: &View<'_>, cluster: &str) -> bool {
    let mut clusters: Vec<&str> = view.states().map(|(event, _)| &*event.origin.cluster).collect();
    for kind in [Kind::Process, Kind::Stream, Kind::Remote, Kind::Push] {
        clusters.extend(view.events(kind).map(|event| &*event.origin.cluster));
    }
    clusters.sort_unstable();
    clusters.dedup();
    !has_istiod(view, cluster) && clusters.iter().any(|other| *other != cluster && has_istiod(view, other))
}
