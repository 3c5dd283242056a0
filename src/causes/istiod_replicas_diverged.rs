//! Replicas of one istiod hold different state.

use std::collections::BTreeMap;

use meshwhy_parsers::event::{Fact, Kind, Remote, RemoteWhat};

use crate::engine::cause::{Cause, Rule, Severity, Verdict, Within};
use crate::engine::view::View;
use crate::engine::world::Known;

/// The cause.
pub static CAUSE: Cause = Cause {
    slug: "istiod-replicas-diverged",
    severity: Severity::Error,
    summary: "the istiod replicas of {cluster} differ: {reason}",
    mechanism: "Every istiod replica reads all clusters for itself. One whose informer hangs, that started while a remote API server was away, or that \
                missed a secret, serves other endpoints than its sisters; a proxy gets the view of the replica it happens to be connected \
                to. So some pods of one deployment reach the other cluster and some do not, and a restart of a pod seems to \
                cure or break it. A single look at one replica shows nothing wrong.",
    remedy: "Restart the replica that differs ({replica}) and compare again; first look at its log for `watch error` and `failed to sync`.",
    verify: "istioctl remote-clusters",
    explains: &[("no-healthy-upstream", Within::Cluster), ("stale-endpoint", Within::Cluster)],
    hits: &["one-replica-without-the-remote"],
    near_misses: &["remote-token-revoked", "secret-in-one-direction-only"],
    rules: &[Rule::Mesh(by_count)],
};

/// The last `Number of remote clusters` of two replicas of one istiod.
fn by_count(view: &View<'_>) -> Vec<Verdict> {
    let mut last: BTreeMap<(&str, &str), (&Known, u32)> = BTreeMap::new();
    for known in view.known(Kind::Remote) {
        let Fact::Remote(Remote { what: RemoteWhat::Count(count), .. }) = &known.first.fact else { continue };
        let origin = &known.first.origin;
        // Without pod names two files may be two logs of one replica.
        if origin.pod.is_empty() {
            continue;
        }
        let entry = last.entry((&origin.cluster, &origin.pod)).or_insert((known, *count));
        if known.last_ordinal >= entry.0.last_ordinal {
            *entry = (known, *count);
        }
    }
    let mut verdicts = Vec::new();
    for ((cluster, pod), (known, count)) in &last {
        let more = last.iter().find(|((of, other), (_, theirs))| of == cluster && other != pod && theirs > count);
        let Some((_, (fuller, theirs))) = more else { continue };
        // The fuller one may only be newer: a replica that still ran while its sister took a secret up is behind.
        let (Some(said), Some(then)) = (known.last.at, fuller.last.at) else { continue };
        if !view.covers(cluster, said.max(then), said.max(then).plus(std::time::Duration::from_secs(30))) {
            continue;
        }
        let verdict = Verdict::likely(&format!("{cluster}: {pod}"))
            .slot("cluster", cluster)
            .slot("reason", format!("{pod} has {count} remote clusters, another replica {theirs}"))
            .slot("replica", pod)
            .because(&known.last, "one replica counts fewer remote clusters")
            .because(&fuller.last, "than another of the same istiod");
        verdicts.push(verdict);
    }
    verdicts
}
