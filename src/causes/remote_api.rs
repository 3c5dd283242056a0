//! What the causes about a remote API server ask alike: which cluster, for what reason, and whether it is over.

use std::sync::Arc;

use meshwhy_parsers::errors::{Fault, What};
use meshwhy_parsers::event::{Event, Fact, Kind, RefusedWhy, Remote, RemoteWhat};

use crate::engine::cause::{Confidence, Verdict};
use crate::engine::view::View;

/// A request of istiod to a remote API server that failed, with the reason.
pub struct Asked<'w> {
    /// The remote cluster's ID.
    pub remote: &'w str,
    /// istiod's own cluster ID, or the name of its input.
    pub local: String,
    /// The line that names the reason.
    pub line: &'w Arc<Event>,
    /// The reason.
    pub fault: &'w Fault,
}

/// The reason why istiod cannot read a remote cluster, where the trigger is about that and it is not over.
pub fn asked<'w>(view: &View<'w>, trigger: &'w Arc<Event>) -> Option<Asked<'w>> {
    let local = view.own_id(trigger).unwrap_or(&trigger.origin.cluster).to_string();
    match &trigger.fact {
        Fact::Remote(Remote { cluster, what, .. }) if !view.is_own(trigger, cluster) => match what {
            RemoteWhat::Watch { fault, .. } => {
                let known = view.repeats(trigger);
                let synced = synced_before(view, trigger, cluster);
                if synced && known.is_some_and(|known| view.stopped(known)) {
                    return None;
                }
                Some(Asked { remote: cluster, local, line: trigger, fault })
            }
            RemoteWhat::SyncTimedOut | RemoteWhat::Omitted if is_removed(view, trigger, cluster) => None,
            RemoteWhat::SyncTimedOut | RemoteWhat::Omitted => reason(view, trigger, cluster, local),
            // Up to 1.9 a cluster was asked when its secret was taken up, and its answer stands in this line.
            RemoteWhat::Rejected(fault) if is_told_by_server(&fault.what) => {
                Some(Asked { remote: cluster, local, line: trigger, fault })
            }
            RemoteWhat::TokenReviewFailed(fault) => Some(Asked { remote: cluster, local, line: trigger, fault }),
            _ => None,
        },
        // The API server of a client's cluster is asked whether the client's token is good.
        Fact::ClientRefused(refused) => match (&refused.cluster, &refused.why) {
            (Some(cluster), RefusedWhy::ReviewFailed(fault)) if !view.is_own(trigger, cluster) => {
                Some(Asked { remote: cluster, local, line: trigger, fault })
            }
            // Only another cluster is asked as the reader.
            (None, RefusedWhy::ReviewFailed(fault)) if is_reader(&fault.what) => {
                Some(Asked { remote: "the client's cluster", local, line: trigger, fault })
            }
            _ => None,
        },
        _ => None,
    }
}

/// Whether the refused account is the one that `istioctl create-remote-secret` makes.
fn is_reader(what: &What) -> bool {
    matches!(what, What::Forbidden { user, .. } if user.contains(":istio-reader"))
}

/// Whether a reason comes from the way to the API server or from its answer, not from the kubeconfig itself.
pub fn is_told_by_server(what: &What) -> bool {
    let refused = matches!(
        what,
        What::Unauthorized
            | What::Forbidden { .. }
            | What::UnknownAuthority
            | What::SameNameOtherKey
            | What::Expired
            | What::WrongName { .. }
    );
    refused || what.is_unreached()
}

/// Whether the cluster was taken away: its timer for the first sync still runs out.
pub fn is_removed(view: &View<'_>, trigger: &Arc<Event>, remote: &str) -> bool {
    let last = |of: fn(&RemoteWhat) -> bool| {
        let said = view.remote(&trigger.origin.cluster, remote).filter(|(_, said)| of(&said.what));
        said.map(|(known, _)| known.last_ordinal).max()
    };
    let taken_up = last(|what| matches!(what, RemoteWhat::Added | RemoteWhat::Updated));
    last(|what| *what == RemoteWhat::Deleted).is_some_and(|deleted| taken_up.is_none_or(|added| added < deleted))
}

/// The reason most often given for this remote cluster by the same cluster's istiod.
fn reason<'w>(view: &View<'w>, trigger: &Arc<Event>, remote: &'w str, local: String) -> Option<Asked<'w>> {
    let errors = view.remote(&trigger.origin.cluster, remote).filter_map(|(known, said)| match &said.what {
        RemoteWhat::Watch { fault, .. } if fault.what != What::Benign => Some((known, fault)),
        _ => None,
    });
    let (known, fault) = errors.max_by_key(|(known, _)| known.count)?;
    Some(Asked { remote, local, line: &known.first, fault })
}

/// Whether any reason is shown for this remote cluster.
pub fn reason_is_shown(view: &View<'_>, trigger: &Arc<Event>, remote: &str) -> bool {
    view.remote(&trigger.origin.cluster, remote)
        .any(|(_, said)| matches!(&said.what, RemoteWhat::Watch { fault, .. } if fault.what != What::Benign))
}

/// Whether istiod had read the remote cluster before this line: its endpoints are then stale, not missing.
fn synced_before(view: &View<'_>, trigger: &Arc<Event>, remote: &str) -> bool {
    view.remote(&trigger.origin.cluster, remote).any(|(known, said)| {
        let before = match (known.first.at, trigger.at) {
            (Some(synced), Some(failed)) => synced <= failed,
            _ => known.first.seq < trigger.seq,
        };
        said.what == RemoteWhat::Synced && known.first.origin.file == trigger.origin.file && before
    })
}

/// Whether the log shows the cluster being taken up and not read to the end.
pub fn is_first_read(view: &View<'_>, trigger: &Event, remote: &str) -> bool {
    let said = || view.remote(&trigger.origin.cluster, remote).map(|(_, said)| &said.what);
    said().any(|what| matches!(what, RemoteWhat::Added | RemoteWhat::Updated | RemoteWhat::Rejected(_)))
        && !said().any(|what| *what == RemoteWhat::Synced)
}

/// How often a failing list is said within seconds, since each of a dozen types is asked again and again.
const OUTAGE_LINES_MIN: u64 = 3;

/// Adds what every verdict about a remote API server says.
pub fn told(mut verdict: Verdict, view: &View<'_>, trigger: &Arc<Event>, asked: &Asked<'_>) -> Verdict {
    let count = view.repeats(asked.line).map_or(1, |known| known.count);
    if count < OUTAGE_LINES_MIN && synced_before(view, asked.line, asked.remote) {
        // A cluster that is read well and fails once or twice may only see its API server restart.
        verdict.confidence = Confidence::Possible;
        verdict = verdict.settle_by(format!(
            "kubectl --context {} -n istio-system logs deploy/istiod --since=10m | grep 'watch error in cluster {}'",
            asked.local, asked.remote
        ));
    }
    let secret = secret_of(view, trigger, asked.remote);
    let address = asked.fault.address.as_ref().map_or_else(|| "its API server".to_string(), ToString::to_string);
    let mut verdict = verdict
        .slot("remote", asked.remote)
        .slot("local", &asked.local)
        .slot("address", address)
        .slot("secret", secret)
        .slot("reason", shortened(&asked.fault.text))
        .token(asked.remote)
        .cluster(asked.remote)
        .because(asked.line, "istiod says why it cannot read the cluster");
    if !Arc::ptr_eq(asked.line, trigger) {
        verdict = verdict.because(trigger, "so it serves without that cluster");
    }
    let rows = view.mesh().clusters().flat_map(|cluster| cluster.istiods()).flat_map(|istiod| istiod.clusters());
    let lies = rows
        .into_iter()
        .find(|(_, row)| *row.id == *asked.remote && !row.secret.is_empty() && &*row.status == "synced");
    // Where the log shows that it was not synced yet, it has been since.
    let was_read = synced_before(view, asked.line, asked.remote) || !is_first_read(view, trigger, asked.remote);
    if let Some((event, row)) = lies.filter(|_| was_read) {
        let quote = format!("cluster {} of secret {}: {}", row.id, row.secret, row.status);
        verdict =
            verdict.because_said(event, &quote, "the status still says synced: it never changes after the first sync");
    } else if synced_before(view, asked.line, asked.remote) {
        verdict = verdict.says("{local} can no longer read {remote} and serves its last known endpoints: {reason}");
    }
    verdict
}

/// The remote secret of a cluster as istiod named it, else the name istioctl gives it.
pub fn secret_of(view: &View<'_>, trigger: &Event, remote: &str) -> String {
    let named = view.events(Kind::Remote).find_map(|event| match &event.fact {
        Fact::Remote(said) if *said.cluster == *remote && event.origin.cluster == trigger.origin.cluster => {
            said.secret.as_deref()
        }
        _ => None,
    });
    named.map_or_else(|| format!("istio-system/istio-remote-secret-{remote}"), ToString::to_string)
}

/// An error text, short enough for a sentence.
pub fn shortened(text: &str) -> String {
    const SENTENCE_MAX: usize = 200;
    let line = text.lines().next().unwrap_or("");
    if line.len() <= SENTENCE_MAX {
        return line.to_string();
    }
    format!("{}…", &line[..line.floor_char_boundary(SENTENCE_MAX)])
}
