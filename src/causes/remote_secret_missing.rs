//! istiod has no remote secret for a cluster: never made, in the wrong namespace, not labelled.

use std::collections::BTreeSet;
use std::sync::Arc;

use meshwhy_parsers::event::{ClientRefused, Config, ConfigWhat, Event, Fact, Kind, Push, RefusedWhy, RemoteWhat};
use meshwhy_parsers::origin::UNNAMED;
use meshwhy_parsers::state::State;
use meshwhy_parsers::table::label;

use super::saved;
use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::mesh::SECRET_PREFIX;
use crate::engine::view::View;

/// The page.
pub static CAUSE: Cause = Cause {
    slug: "remote-secret-missing",
    severity: Severity::Critical,
    summary: "istiod has no remote secret for cluster {remote}: {why}",
    mechanism: "istiod finds another cluster through one Secret: in its own namespace, with the label \
                `istio/multiCluster=true`, made by `istioctl create-remote-secret`. A Secret elsewhere or without the \
                label is no error to anyone: istiod sees an ordinary object change, pushes configuration and never \
                speaks of the cluster. The mesh then works as a single cluster: only local endpoints, no failing call, \
                no line that says why. What is missing is the pair `processing secret event` and `Add cluster`.",
    remedy: "Apply the secret of {remote} in istiod's namespace: `istioctl create-remote-secret --context=<ctx of \
             {remote}> --name={remote} | kubectl apply -n istio-system -f -`, and look at the label `istio/multiCluster=true`.",
    verify: "istioctl remote-clusters",
    explains: &[("locality-lb", Within::Mesh), ("jwt-invalid", Within::Mesh)],
    hits: &[
        "remote-secret-in-other-namespace",
        "remote-secret-without-label",
        "create-remote-secret-fails",
        "secret-in-one-direction-only",
        "state-joined-no-endpoint-no-secret",
    ],
    near_misses: &[
        "remote-secrets-both-taken-up",
        "only-local-answers-by-locality",
        "state-joined-no-endpoint-hidden",
        "state-joined-no-endpoint-not-ready",
        "state-joined-no-endpoint-other-port",
        "state-joined-tunnel-service-not-global",
        "state-joined-tunnel-service-not-ready",
    ],
    rules: &[
        Rule::on(Kind::Config, not_created),
        Rule::on(Kind::ClientRefused, client_of_unknown_cluster),
        Rule::Mesh(secret_never_processed),
        Rule::Mesh(listed_without),
    ],
};

/// Label by which istiod finds them.
const LABEL: &str = "istio/multiCluster";

fn of(verdict: Verdict, remote: &str, why: &str) -> Verdict {
    let verdict = verdict.slot("why", why);
    match remote {
        "" => verdict.slot("remote", "<remote>"),
        named => verdict.slot("remote", named).token(named),
    }
}

/// Clusters and secrets that any istiod of this input has taken up.
struct TakenUp<'w> {
    clusters: BTreeSet<&'w str>,
    secrets: BTreeSet<&'w str>,
}

impl TakenUp<'_> {
    /// Whether some istiod knows this cluster, by its own log or by a table.
    fn has(&self, remote: &str) -> bool {
        let suffix = format!("{SECRET_PREFIX}{remote}");
        self.clusters.contains(remote) || self.secrets.iter().any(|secret| secret.ends_with(&suffix))
    }
}

fn taken_up<'w>(view: &View<'w>) -> TakenUp<'w> {
    let mut found = TakenUp { clusters: BTreeSet::new(), secrets: BTreeSet::new() };
    for event in view.events(Kind::Remote) {
        let Fact::Remote(remote) = &event.fact else { continue };
        // A cluster a client claims to be in is not one istiod knows.
        if !matches!(remote.what, RemoteWhat::UnknownToUs { .. } | RemoteWhat::ControllerStarted | RemoteWhat::Count(_))
        {
            found.clusters.insert(&remote.cluster);
            found.secrets.extend(remote.secret.as_deref());
        }
    }
    for (_, state) in view.states() {
        let State::RemoteCluster { name, secret, .. } = state else { continue };
        if !secret.is_empty() {
            found.clusters.insert(name);
            found.secrets.insert(secret);
        }
    }
    found
}

fn not_created(_: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Config(Config { resource, what: ConfigWhat::ToolFailed, reason }) = &event.fact else { return None };
    if !resource.contains("remote-secret") {
        return None;
    }
    let why = if reason.contains("no secret found in the service account") {
        "istioctl could not make it; Kubernetes 1.24 and later give a service account no token Secret, which this old istioctl expects"
    } else {
        "istioctl could not make it"
    };
    // The context of the command names the cluster whose secret was wanted.
    let remote = &*event.origin.cluster;
    let verdict = of(Verdict::certain("create-remote-secret"), if remote == UNNAMED { "" } else { remote }, why);
    let verdict = if remote == UNNAMED { verdict.says("no remote secret was made: {why}") } else { verdict };
    Some(verdict.because(event, "the command that makes the secret failed"))
}

/// A proxy of a cluster that istiod has never heard of, where it has heard of none at all.
fn client_of_unknown_cluster(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::ClientRefused(ClientRefused { cluster, why: RefusedWhy::UnknownCluster { known }, .. }) = &event.fact
    else {
        return None;
    };
    let claimed = cluster.as_deref()?;
    // The default name is what an unset cluster ID leaves behind, not another cluster.
    if known.len() > 1 || claimed == "Kubernetes" || taken_up(view).has(claimed) {
        return None;
    }
    Some(
        of(Verdict::likely(claimed), claimed, "its proxies come to istiod, which knows no remote cluster at all")
            .because(event, "istiod lists the clusters it knows: only its own")
            .settle_by("istioctl remote-clusters"),
    )
}

/// istiod saw the secret as an ordinary config change and never took it up.
fn secret_never_processed(view: &View<'_>) -> Vec<Verdict> {
    let taken = taken_up(view);
    let mut verdicts = Vec::new();
    for known in view.known(Kind::Push) {
        let Fact::Push(Push::ConfigChanged(config)) = &known.first.fact else { continue };
        let secret = config.split_whitespace().find_map(|word| {
            let mut parts = word.trim_end_matches([',', ':']).splitn(3, '/');
            (parts.next()? == "Secret").then_some(())?;
            Some((parts.next()?, parts.next()?))
        });
        let Some((namespace, name)) = secret else { continue };
        let Some(remote) = name.strip_prefix(SECRET_PREFIX) else { continue };
        if taken.has(remote) || remote == &*known.first.origin.cluster {
            continue;
        }
        // istiod takes a secret up at once; a log that ends with the change has not had the time.
        let went_on = view.ended() && goes_on_after(view, &known.first);
        if !went_on {
            continue;
        }
        let why = format!("the Secret {namespace}/{name} was applied, but istiod never took it up");
        let is_elsewhere = !taken.secrets.iter().any(|secret| secret.starts_with(&format!("{namespace}/")))
            && namespace != "istio-system";
        let listed = listed_secret(view, name).filter(|(_, of, labels)| {
            *of != "istio-system" || (!labels.is_empty() && label(labels, LABEL) != Some("true"))
        });
        let verdict = match (listed.is_some(), is_elsewhere) {
            (true, _) => Verdict::certain(remote),
            (false, true) => Verdict::likely(remote),
            (false, false) => Verdict::possible(remote),
        };
        let mut verdict = of(verdict, remote, &why)
            .because(&known.first, "istiod pushes for the Secret as for any object, without `processing secret event`")
            .settle_by("kubectl get secrets -A -l istio/multiCluster=true --show-labels");
        if let Some((row, _, _)) = listed {
            verdict = verdict.because(row, "the Secret is where istiod does not look, or lacks the label");
        }
        if let Some(alone) = alone(view) {
            verdict = verdict.because(alone, "istiod lists only its own cluster");
        }
        verdicts.push(verdict);
    }
    verdicts
}

/// Whether istiod said anything some seconds later in the same file.
fn goes_on_after(view: &View<'_>, event: &Arc<Event>) -> bool {
    const SETTLED: std::time::Duration = std::time::Duration::from_secs(2);
    let Some(at) = event.at else { return true };
    view.covers(&event.origin.cluster, at, at.plus(SETTLED))
}

/// The row of a Secret: row, namespace, labels.
fn listed_secret<'w>(view: &View<'w>, wanted: &str) -> Option<(&'w Arc<Event>, &'w str, &'w str)> {
    view.states().find_map(|(event, state)| match state {
        State::Secret { namespace, name, labels } if &**name == wanted => Some((event, &**namespace, &**labels)),
        _ => None,
    })
}

/// The row of an istiod that lists its own cluster and no other.
fn alone<'w>(view: &View<'w>) -> Option<&'w Arc<Event>> {
    let rows: Vec<_> = view
        .states()
        .filter_map(|(event, state)| match state {
            State::RemoteCluster { secret, istiod, .. } => Some((event, secret, istiod)),
            _ => None,
        })
        .collect();
    let lists_another = |of: &str| rows.iter().any(|(_, secret, istiod)| &***istiod == of && !secret.is_empty());
    rows.iter().find(|(_, secret, istiod)| secret.is_empty() && !lists_another(istiod)).map(|(event, _, _)| *event)
}

/// A list of remote secrets is empty, or one istiod of several lists only itself.
fn listed_without(view: &View<'_>) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    let alone = alone(view);
    let missing = view.states().find(|(_, state)| match state {
        State::Missing { kind, name, .. } => {
            kind.starts_with("secret") && (name.contains("multiCluster") || name.starts_with(SECRET_PREFIX))
        }
        _ => false,
    });
    if let Some((event, State::Missing { name, .. })) = missing {
        let remote = name.strip_prefix(SECRET_PREFIX).unwrap_or("");
        let knows_some = !taken_up(view).secrets.is_empty() && remote.is_empty();
        // In a cluster whose istiod is elsewhere there is nothing to find.
        let has_istiod =
            saved::pods(view).iter().any(|pod| saved::is_istiod(pod.name)) || alone.is_some() || !remote.is_empty();
        if !knows_some && !taken_up(view).has(remote) {
            let verdict = if has_istiod { Verdict::likely("no secret") } else { Verdict::possible("no secret") };
            let mut verdict =
                of(verdict, remote, "there is no such Secret").because(event, "the list of remote secrets is empty");
            if let Some(alone) = alone {
                verdict = verdict.because(alone, "and istiod lists only its own cluster");
            }
            verdicts.push(verdict);
        }
    }
    verdicts
}
