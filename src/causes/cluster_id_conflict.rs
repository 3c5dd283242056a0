//! Two clusters use one cluster ID, or the ID in the secret is not the one the proxies report.

use std::collections::BTreeSet;
use std::sync::Arc;

use meshwhy_parsers::event::{Event, Fact, Kind, RefusedWhy, Remote, RemoteWhat};

use super::remote_api::secret_of;
use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::mesh::SECRET_PREFIX;
use crate::engine::view::View;

/// The cause.
pub static CAUSE: Cause = Cause {
    slug: "cluster-id-conflict",
    severity: Severity::Critical,
    summary: "cluster IDs do not fit in {local}: {reason}",
    mechanism: "A cluster has one ID, written in three places: clusterName of its installation (which its proxies report), the data key of its \
                remote secret (which names it to other istiods), and CLUSTER_ID of its istiod. Nothing keeps them equal. Where the key \
                differs from what the proxies report, istiod reads the cluster's endpoints well and refuses its proxies, since it asks \
                that cluster's API server about their tokens and knows none of that name. Where two clusters share an ID, one of them is \
                silently ignored. Proxies only see `authentication failure`, which reads like a bad token.",
    remedy: "Give every cluster one ID everywhere. First compare the data key of {secret} with CLUSTER_ID in the proxies' and istiod's environment of that cluster; then recreate the secret with istioctl create-remote-secret --name <clusterName>.",
    verify: "istioctl remote-clusters",
    explains: &[
        ("jwt-invalid", Within::Mesh),
        ("ca-provider-unavailable", Within::Mesh),
        ("istiod-unreachable", Within::Mesh),
        ("sds-secret-missing", Within::Token),
        ("remote-secret-missing", Within::Token),
        ("ztunnel-not-ready", Within::Token),
    ],
    hits: &["secret-key-is-not-the-cluster-id", "two-secrets-one-id"],
    near_misses: &["proxies-before-their-secret", "remote-token-revoked"],
    rules: &[
        Rule::after(Kind::ClientRefused, 10, unknown_cluster),
        Rule::on(Kind::Remote, by_registry),
        Rule::Mesh(overwrites_local),
    ],
};

/// A client names a cluster that istiod does not know.
fn unknown_cluster(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::ClientRefused(refused) = &event.fact else { return None };
    let RefusedWhy::UnknownCluster { known } = &refused.why else { return None };
    let claimed = refused.cluster.as_deref().filter(|id| !id.is_empty())?;
    let own = view.own_id(event).or_else(|| known.first().map(|id| &**id));
    let local = own.unwrap_or(&event.origin.cluster);
    let (registered, came_later, rejected) = registered(view, event, claimed);
    // Proxies of a new cluster may come before its secret; and a secret that istiod refuses is its own cause.
    if came_later || rejected {
        return None;
    }
    let ids: BTreeSet<&str> = known.iter().map(|id| &**id).chain(registered).chain(own).collect();
    let alike = ids.iter().find(|id| is_alike(id, claimed));
    // `Kubernetes` is what a proxy reports where its installation names no cluster.
    let unset = claimed == "Kubernetes";
    let has_remotes = ids.iter().any(|id| *id != local);
    let subject = format!("{local}: {claimed}");
    let verdict = match alike {
        Some(_) => Verdict::likely(&subject),
        None if unset => Verdict::likely(&subject),
        None if has_remotes => Verdict::possible(&subject),
        None => return None,
    };
    let list = ids.iter().copied().collect::<Vec<_>>().join(", ");
    let other = alike.copied().or_else(|| ids.iter().copied().find(|id| *id != local)).unwrap_or(local);
    let verdict = verdict
        .slot("local", local)
        .slot("reason", format!("its proxies report {claimed}, but istiod knows only {list}"))
        .slot("secret", if other == local { "the remote secret".to_string() } else { secret_of(view, event, other) })
        .token(claimed)
        .token(other)
        .because(event, "istiod refuses a proxy because it knows no cluster of the name it gives")
        .settle_by(format!(
            "kubectl -n istio-system get secrets -l istio/multiCluster=true -o json | grep -o '\"{claimed}\"'"
        ));
    let added = view.remote(&event.origin.cluster, other).find(|(_, said)| said.what == RemoteWhat::Added);
    Some(match added {
        Some((known, _)) => verdict.because(&known.first, "the name under which the cluster was registered is another"),
        None => verdict,
    })
}

/// The cluster IDs registered in the same file; whether the claimed one came after the refusals; whether it was rejected.
fn registered<'w>(view: &View<'w>, refusal: &Arc<Event>, claimed: &str) -> (Vec<&'w str>, bool, bool) {
    let last_refusal = view.repeats(refusal).map_or(0, |known| known.last_ordinal);
    let mut ids = Vec::new();
    let (mut came_later, mut rejected) = (false, false);
    for known in view.known(Kind::Remote) {
        let Fact::Remote(Remote { cluster, what, .. }) = &known.first.fact else { continue };
        if known.first.origin.cluster != refusal.origin.cluster || cluster.is_empty() {
            continue;
        }
        let taken_up = matches!(what, RemoteWhat::Added | RemoteWhat::Updated | RemoteWhat::Synced);
        match **cluster == *claimed {
            true if taken_up && known.last_ordinal > last_refusal => came_later = true,
            true if matches!(what, RemoteWhat::Rejected(_)) => rejected = true,
            true => {}
            false if taken_up => ids.push(&**cluster),
            false => {}
        }
    }
    (ids, came_later, rejected)
}

/// Whether two names are one name written in two ways: `south` and `mesh-south`, `eu_west` and `eu-west`.
pub fn is_alike(a: &str, b: &str) -> bool {
    const NAME_MIN: usize = 3;
    let plain = |name: &str| name.to_ascii_lowercase().replace(['-', '_', '.'], "");
    let (a, b) = (plain(a), plain(b));
    let shorter = a.len().min(b.len());
    shorter >= NAME_MIN && (a.contains(&b) || b.contains(&a))
}

/// istiod: a second secret with one ID, or a proxy found by the registry of another cluster.
fn by_registry(view: &View<'_>, event: &Arc<Event>) -> Option<Verdict> {
    let Fact::Remote(Remote { cluster, secret, what }) = &event.fact else { return None };
    let local = view.own_id(event).unwrap_or(&event.origin.cluster);
    let told = |reason: String, shows: &str| {
        Verdict::certain(&format!("{local}: {cluster}"))
            .slot("local", local)
            .slot("reason", reason)
            .slot("secret", secret.as_deref().map_or_else(|| secret_of(view, event, cluster), ToString::to_string))
            .token(cluster)
            .because(event, shows)
    };
    match what {
        RemoteWhat::Duplicate => {
            let verdict = told(
                format!("a second remote secret carries the ID {cluster}"),
                "istiod ignores the second secret because the ID is taken",
            );
            let first = view.remote(&event.origin.cluster, cluster).find(|(_, said)| said.what == RemoteWhat::Added);
            Some(match first {
                Some((known, _)) => verdict.because(&known.first, "the secret that took the ID first"),
                None => verdict,
            })
        }
        RemoteWhat::UnknownToUs { known } => {
            let ours = known.first().map_or("another", |id| &**id);
            Some(told(
                format!("a proxy says it is in {cluster}, but its pod was found in the cluster registered as {ours}"),
                "the proxy's cluster ID is not the one its cluster is registered under",
            ))
        }
        _ => None,
    }
}

/// A secret made for another cluster carries istiod's own ID: istiod ignores it, and that cluster is missing.
fn overwrites_local(view: &View<'_>) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for event in view.events(Kind::Remote) {
        let Fact::Remote(Remote { cluster, secret: Some(secret), what: RemoteWhat::OverwritesLocal }) = &event.fact
        else {
            continue;
        };
        // One set of secrets for all clusters holds one's own too; only a secret named for another cluster is wrong.
        let named = secret.rsplit('/').next().unwrap_or("").strip_prefix(SECRET_PREFIX).unwrap_or(cluster);
        if named == &**cluster || is_alike(named, cluster) {
            continue;
        }
        let verdict = Verdict::likely(&format!("{cluster}: {named}"))
            .slot("local", cluster)
            .slot("reason", format!("the secret made for {named} carries the ID of {cluster} itself, so it is ignored"))
            .slot("secret", secret)
            .token(named)
            .because(event, "istiod ignores a secret that names its own cluster ID");
        verdicts.push(verdict);
    }
    verdicts
}
