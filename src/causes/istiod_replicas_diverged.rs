//! Replicas of one istiod hold different state.

use std::collections::BTreeMap;
use std::sync::Arc;

use meshwhy_parsers::event::{Event, Fact, Kind, Remote, RemoteWhat};
use meshwhy_parsers::state::State;

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
    rules: &[Rule::Mesh(by_table), Rule::Mesh(by_count)],
};

/// `istioctl remote-clusters`: one replica has a cluster synced, another has it not.
fn by_table(view: &View<'_>) -> Vec<Verdict> {
    type Row<'w> = (&'w Arc<Event>, &'w str, &'w str);
    type Table<'w> = (&'w str, &'w str);
    type Replica<'w> = (&'w Arc<Event>, &'w str);
    // The istiods of two clusters are no replicas of each other, though their tables may lie in one file.
    let mut tables: BTreeMap<(Table<'_>, &str), Vec<Row<'_>>> = BTreeMap::new();
    let mut replicas: BTreeMap<Table<'_>, Vec<Replica<'_>>> = BTreeMap::new();
    for (event, state) in view.states() {
        let State::RemoteCluster { name, status, istiod, .. } = state else { continue };
        if istiod.is_empty() {
            continue;
        }
        let file = (&*event.origin.file, &*event.origin.cluster);
        tables.entry((file, name)).or_default().push((event, istiod, status));
        replicas.entry(file).or_default().push((event, istiod));
    }
    let mut verdicts = Vec::new();
    for ((file, name), rows) in &tables {
        let Some((good, _, _)) = rows.iter().find(|(_, _, status)| *status == "synced") else { continue };
        let other = rows.iter().find(|(_, _, status)| *status != "synced").map(|(event, istiod, _)| (*event, *istiod));
        let absent =
            replicas.get(file).into_iter().flatten().find(|(_, istiod)| rows.iter().all(|(_, of, _)| of != istiod));
        let (shows, (event, replica)) = match (other, absent) {
            (Some(other), _) => ("another has not", other),
            (None, Some(absent)) => ("another lists other clusters, but not this one", *absent),
            (None, None) => continue,
        };
        let cluster = &event.origin.cluster;
        let verdict = Verdict::certain(&format!("{cluster}: {replica}"))
            .slot("cluster", cluster)
            .slot("reason", format!("{replica} does not have {name} synced, another replica has"))
            .slot("replica", replica)
            .token(name)
            .because(good, "one replica has the remote cluster synced")
            .because(event, shows);
        verdicts.push(verdict);
    }
    verdicts
}

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
