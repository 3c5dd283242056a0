//! Remote clusters: what istiod says of those it reads, against what its lines and counters say.
//!
//! `synced` only tells that the first listing of a cluster once ended; it is never taken back (`istio/istio:
//! pkg/kube/multicluster/cluster.go`). Whether a cluster is still read, watch errors tell.

use std::collections::BTreeSet;
use std::sync::Arc;

use meshwhy_parsers::event::{Event, Fact, Kind, RemoteWhat};
use meshwhy_parsers::state::istiod::{RemoteRow, Said};

use super::remote_secrets;
use crate::causes::{self, remote_api};
use crate::engine::cause::{Confidence, Rule, Verdict};
use crate::engine::check::{Check, Item, Outcome};
use crate::engine::mesh::{Cluster, Istiod};
use crate::engine::view::View;

/// The check.
pub static CHECK: Check = Check {
    id: "remote-clusters",
    title: "istiod reads the clusters of which it has a secret",
    before_linking: false,
    run,
};

/// The causes whose rules read a line of istiod about a remote cluster.
const TOLD_BY_LINES: [&str; 6] = [
    "remote-secret-invalid",
    "remote-api-unauthorized",
    "remote-api-forbidden",
    "remote-api-cert-untrusted",
    "remote-api-unreachable",
    "remote-cluster-dark",
];

/// From how many failed lists and watches on it is worth a warning: a restart of an API server costs some dozens.
const ERRORS_MANY: f64 = 100.0;

fn run(view: &View<'_>) -> Vec<Item> {
    let planes: Vec<Plane<'_>> = view.mesh().clusters().flat_map(|cluster| planes(view, cluster)).collect();
    let mut items = Vec::new();
    for plane in &planes {
        items.extend(plane.read().into_iter().filter_map(|id| plane.judge(view, id)));
        items.extend(plane.not_taken_up());
        items.extend(planes.iter().filter_map(|other| plane.one_way(other)));
    }
    items
}

/// The istiods that serve one cluster, of one input.
struct Plane<'w> {
    cluster: &'w Cluster,
    /// The ID of their own cluster; the name of their input where none tells it.
    id: &'w str,
    istiods: Vec<&'w Istiod>,
    /// What is said of the cluster's remote secrets, by remote cluster.
    secrets: Vec<(String, Item)>,
    /// Remote clusters of which lines tell.
    told: BTreeSet<&'w str>,
}

/// The control planes of a cluster. A table saved without its cluster's name may show those of several.
fn planes<'w>(view: &View<'w>, cluster: &'w Cluster) -> Vec<Plane<'w>> {
    let mut planes: Vec<Plane<'w>> = Vec::new();
    for istiod in cluster.istiods() {
        let own = istiod.clusters().into_iter().find(|(_, row)| row.secret.is_empty() && !row.id.is_empty());
        let id = own.map_or_else(|| cluster.title(), |(_, row)| &row.id);
        match planes.iter_mut().find(|plane| plane.id == id) {
            Some(plane) => plane.istiods.push(istiod),
            None => {
                planes.push(Plane { cluster, id, istiods: vec![istiod], secrets: Vec::new(), told: BTreeSet::new() })
            }
        }
    }
    if planes.is_empty() && view.asks_state() {
        let id = cluster.title();
        planes.push(Plane { cluster, id, istiods: Vec::new(), secrets: Vec::new(), told: BTreeSet::new() });
    }
    // Lines tell of their own when a person asks about state alone; else each has its finding.
    let lines = view.events(Kind::Remote).filter(|line| view.asks_state() && line.origin.cluster == cluster.name);
    let told: BTreeSet<&str> = lines
        .filter_map(|line| match &line.fact {
            Fact::Remote(remote) if !view.is_own(line, &remote.cluster) => Some(&*remote.cluster),
            _ => None,
        })
        .collect();
    for plane in &mut planes {
        plane.secrets = remote_secrets::judged(view, cluster);
        plane.told = told.clone();
    }
    planes
}

impl<'w> Plane<'w> {
    fn rows(&self) -> impl Iterator<Item = (&'w Arc<Event>, &'w RemoteRow)> {
        self.istiods.iter().flat_map(|istiod| istiod.clusters())
    }

    fn knows_clusters(&self) -> bool {
        self.istiods.iter().any(|istiod| istiod.knows_clusters())
    }

    /// The remote clusters that it reads, or should.
    fn read(&self) -> BTreeSet<&'w str> {
        let listed = self.rows().filter(|(_, row)| !row.secret.is_empty()).map(|(_, row)| &*row.id);
        let counted = self.istiods.iter().flat_map(|istiod| counts(istiod)).map(|count| count.cluster);
        let told = self.told.iter().copied();
        let known = listed.chain(counted.filter(|id| *id != self.id)).chain(told);
        known.filter(|id| !id.is_empty()).collect()
    }

    fn has_failed(&self, id: &str) -> bool {
        self.secrets.iter().any(|(of, item)| of == id && item.outcome == Outcome::Fail)
    }

    fn judge(&self, view: &View<'_>, id: &str) -> Option<Item> {
        let row = self.rows().filter(|(_, row)| *row.id == *id && !row.secret.is_empty());
        let row = row.min_by_key(|(_, row)| &*row.status == "synced");
        if let Some((event, row)) = row.filter(|_| id == self.id) {
            return self.own_again(event, row);
        }
        // Why it cannot be read is said of its secret already.
        if self.has_failed(id) {
            return None;
        }
        let by_lines = || told_by_lines(view, self.cluster, id);
        let Some((event, row)) = row else {
            let told = by_lines().filter(|_| view.asks_state());
            return match told {
                Some((slug, verdict)) => Some(self.failing(id, slug, verdict, None)),
                None => self.counted(id),
            };
        };
        // What one replica reads and another does not is no fault of the way there.
        let is_read_by_another = self.rows().any(|(_, other)| *other.id == *id && &*other.status == "synced");
        let item = match &*row.status {
            "synced" if self.is_read_since(view, id) => self.read_since(event, row),
            "timeout" => match by_lines() {
                Some((slug, verdict)) => self.failing(id, slug, verdict, Some((event, row))),
                None if is_read_by_another => return None,
                None => self.timed_out(event, row),
            },
            status => match by_lines().filter(|_| view.asks_state()) {
                Some((slug, verdict)) => self.failing(id, slug, verdict, Some((event, row))),
                None if is_read_by_another && status != "synced" => return None,
                None => self.as_listed(id, status),
            },
        };
        Some(item)
    }

    /// Nothing but its status is known.
    fn as_listed(&self, id: &str, status: &str) -> Item {
        let object = self.object(id);
        match status {
            "synced" => {
                self.counted(id).unwrap_or_else(|| Item::pass(self.id, object, "synced, no failing watch known"))
            }
            "syncing" => {
                let advice = "ask again after half a minute: then it says synced or timeout";
                Item::warn(self.id, object, "its first listing has not ended", advice)
            }
            other => {
                let advice = "look for this cluster in istiod's log: its secret was changed or deleted";
                Item::warn(self.id, object, format!("istiod says {other}"), advice)
            }
        }
    }

    /// Whether a cluster that is synced was not when lines last told of a failure, so that it was read after them.
    fn is_read_since(&self, view: &View<'_>, id: &str) -> bool {
        let failures = view.remote(&self.cluster.name, id).filter(|(_, said)| is_failure(&said.what));
        let Some((last, _)) = failures.max_by_key(|(known, _)| known.last.at) else { return false };
        let failed = last.last.at;
        // A new secret makes istiod read the cluster anew, and the status with it.
        let is_new_secret = self.cluster.remote_secrets().iter().any(|found| {
            found.id() == id && failed.is_some_and(|failed| found.secret.created.is_some_and(|made| failed < made))
        });
        // What was saved before those lines tells nothing of what came after.
        let is_later = !matches!((failed, self.cluster.latest), (Some(failed), Some(latest)) if latest < failed);
        is_later && (is_new_secret || remote_api::is_first_read(view, &last.last, id))
    }

    /// It was read after what lines tell.
    fn read_since(&self, event: &Arc<Event>, row: &RemoteRow) -> Item {
        let shows = "the cluster was not read when the lines were written, and has been since";
        let mut item = Item::pass(self.id, self.object(&row.id), "synced since its log told of failures");
        for slug in TOLD_BY_LINES {
            item = item.disproving(&row.id, slug, event, &quoted(row), shows);
        }
        item
    }

    fn object(&self, id: &str) -> String {
        format!("remote cluster {id}")
    }

    /// Lines say why it cannot be read.
    fn failing(&self, id: &str, slug: &'static str, verdict: Verdict, row: Option<(&Arc<Event>, &RemoteRow)>) -> Item {
        let said = verdict.slots.iter().find(|(name, _)| *name == "reason").map(|(_, reason)| reason.as_str());
        let reason = match (row.map(|(_, row)| &*row.status), said) {
            (Some("synced"), Some(reason)) => format!("it says synced, but {reason}"),
            (_, Some(reason)) => reason.to_string(),
            (Some(status), None) => format!("istiod says {status}, and its lines say why"),
            (None, None) => "istiod's lines say why it is not read".to_string(),
        };
        let verdict = match row {
            Some((event, row)) => verdict.because_said(event, &quoted(row), shown(row)),
            None => verdict,
        };
        Item::fail(self.id, self.object(id), reason, slug, verdict)
    }

    /// The first sync timed out, and nothing tells why.
    fn timed_out(&self, event: &Arc<Event>, row: &RemoteRow) -> Item {
        let id = &*row.id;
        let config = self.cluster.remote_secrets().into_iter().find(|found| found.id() == id);
        let config = config.and_then(|found| found.config);
        // Where all else that can fail is seen to be in order, the way is left.
        let is_sound = self.secrets.iter().any(|(of, item)| of == id && item.outcome == Outcome::Pass);
        let subject = format!("{} -> {id}", self.id);
        let verdict = match is_sound && config.is_some() {
            true => Verdict::likely(&subject),
            false => Verdict::possible(&subject),
        };
        let address = config.map_or("<API server>", |config| config.server.trim_start_matches("https://"));
        let verdict = verdict
            .says("istiod of {local} could not list {remote} in time: perhaps its API server is out of reach")
            .slot("local", self.id)
            .slot("remote", id)
            .slot("address", address)
            .slot("secret", &row.secret)
            .slot("reason", "the first sync timed out")
            .token(id)
            .cluster(id)
            .because_said(event, &quoted(row), "istiod gave up waiting for the first listing of the cluster")
            .settle_by(format!("kubectl -n istio-system logs deploy/istiod | grep 'watch error in cluster {id}'"));
        let reason = "its first sync timed out, and no line says why";
        Item::fail(self.id, self.object(id), reason, "remote-api-unreachable", verdict)
    }

    /// istiod lists its own ID a second time.
    fn own_again(&self, event: &Arc<Event>, row: &RemoteRow) -> Option<Item> {
        let (own, local) = self.rows().find(|(_, local)| local.secret.is_empty() && local.id == row.id)?;
        let reason = format!("the remote secret {} carries the ID of istiod's own cluster", row.secret);
        let verdict = Verdict::certain(&row.id)
            .says("the remote secret {secret} carries the cluster ID {local}, which is istiod's own")
            .slot("secret", &row.secret)
            .slot("local", &row.id)
            .slot("reason", &reason)
            .token(&row.id)
            .because_said(event, &quoted(row), "the remote secret names this cluster")
            .because_said(own, &quoted(local), "which is the local one");
        Some(Item::fail(self.id, self.object(&row.id), reason, "cluster-id-conflict", verdict))
    }

    /// How often lists and watches of it failed.
    fn counted(&self, id: &str) -> Option<Item> {
        let counts: Vec<Count<'_>> = self.istiods.iter().flat_map(|istiod| counts(istiod)).collect();
        let of = counts.iter().filter(|count| count.cluster == id);
        let worst = of.max_by(|a, b| a.errors.total_cmp(&b.errors))?;
        let told = format!("controller_sync_errors_total{{cluster=\"{id}\"}} {}", worst.errors);
        let before = counts.iter().find(|count| {
            count.cluster == id
                && count.istiod == worst.istiod
                && count.errors < worst.errors
                && matches!((count.uptime, worst.uptime), (Some(before), Some(after)) if before < after)
        });
        if let Some(before) = before {
            let reason = format!("its failed lists and watches grew from {} to {}", before.errors, worst.errors);
            let verdict = Verdict::likely(&format!("{} -> {id}", self.id))
                .slot("local", self.id)
                .slot("remote", id)
                .slot("secret", format!("istio-system/istio-remote-secret-{id}"))
                .slot("reason", &reason)
                .token(id)
                .cluster(id)
                .because_quote(
                    before.event,
                    &format!("controller_sync_errors_total{{cluster=\"{id}\"}} {}", before.errors),
                    "how often lists and watches of the cluster had failed",
                )
                .because_quote(worst.event, &told, "and later, in the same istiod: they still fail")
                .settle_by(format!("kubectl -n istio-system logs deploy/istiod | grep 'watch error in cluster {id}'"));
            return Some(Item::fail(self.id, self.object(id), reason, "remote-cluster-dark", verdict));
        }
        (ERRORS_MANY <= worst.errors).then(|| {
            let reason = format!("{} lists and watches of it have failed since istiod started", worst.errors);
            let advice = format!(
                "look for `watch error in cluster {id}` in istiod's log, or read controller_sync_errors_total again: \
                 while it grows, the cluster is not read"
            );
            Item::warn(self.id, self.object(id), reason, advice)
        })
    }

    /// A secret in order from which istiod has taken nothing up.
    fn not_taken_up(&self) -> Vec<Item> {
        let is_in_order = |id: &str, item: &Item| item.outcome == Outcome::Pass && id != self.id && !id.is_empty();
        let listed = self.read();
        let left: BTreeSet<&str> = self
            .secrets
            .iter()
            .filter(|(id, item)| self.knows_clusters() && is_in_order(id, item) && !listed.contains(id.as_str()))
            .map(|(id, _)| id.as_str())
            .collect();
        let advice = "look for `create remote cluster failed` in istiod's log, or for a list older than the secret";
        let warn =
            |id| Item::warn(self.id, self.object(id), "istiod does not list it, though its secret is there", advice);
        left.into_iter().map(warn).collect()
    }

    /// The other control plane reads this one's cluster, and this one not the other's.
    fn one_way(&self, other: &Plane<'_>) -> Option<Item> {
        let reads = |plane: &Plane<'w>, id: &str| plane.rows().find(|(_, row)| *row.id == *id);
        let (known, row) = other.rows().find(|(_, row)| *row.id == *self.id && !row.secret.is_empty())?;
        let names_it = |item: &Item| {
            item.cause.as_ref().is_some_and(|(_, verdict)| verdict.tokens.iter().any(|token| token == other.id))
        };
        let is_told = self.secrets.iter().any(|(id, item)| id == other.id || names_it(item));
        if other.id == self.id || !self.knows_clusters() || reads(self, other.id).is_some() || is_told {
            return None;
        }
        let why = "only the other direction is set up";
        let verdict = Verdict::likely(other.id)
            .says("istiod of {local} has no remote secret for cluster {remote}: {why}")
            .slot("local", self.id)
            .slot("remote", other.id)
            .slot("why", why)
            .token(other.id);
        let verdict = match self.rows().next() {
            Some((event, _)) => {
                let ids: Vec<&str> = self.rows().map(|(_, row)| &*row.id).collect();
                let shows = "this istiod does not list the cluster";
                verdict.because_said(event, &format!("clusters: {}", ids.join(", ")), shows)
            }
            None => verdict,
        };
        let verdict = verdict.because_said(known, &quoted(row), "while the istiod there lists this one");
        Some(Item::fail(self.id, self.object(other.id), why, "remote-secret-missing", verdict))
    }
}

/// What istiod's lines say of a remote cluster, as far as it is not over: the surest cause, of the line said most often.
fn told_by_lines(view: &View<'_>, cluster: &Cluster, id: &str) -> Option<(&'static str, Verdict)> {
    let causes = TOLD_BY_LINES.iter().filter_map(|slug| causes::find(slug));
    let judges: Vec<_> = causes
        .flat_map(|cause| cause.rules.iter().map(move |rule| (cause.slug, rule)))
        .filter_map(|(slug, rule)| match rule {
            Rule::Symptom { trigger: Kind::Remote, judge, .. } => Some((slug, judge)),
            Rule::Symptom { .. } | Rule::Named { .. } | Rule::Mesh(_) => None,
        })
        .collect();
    let found = view.remote(&cluster.name, id).flat_map(|(known, _)| {
        let verdicts = judges.iter().filter_map(|(slug, judge)| Some((*slug, judge(view, &known.first)?)));
        verdicts.map(|(slug, verdict)| (known.count, slug, verdict)).collect::<Vec<_>>()
    });
    let firm = found.filter(|(_, _, verdict)| Confidence::Possible < verdict.confidence);
    firm.max_by_key(|(count, _, verdict)| (verdict.confidence, *count)).map(|(_, slug, verdict)| (slug, verdict))
}

/// How often lists and watches of a cluster have failed, as one document of an istiod counts.
struct Count<'w> {
    event: &'w Arc<Event>,
    istiod: &'w str,
    cluster: &'w str,
    errors: f64,
    /// How many seconds the istiod had been running: it puts its documents into order.
    uptime: Option<f64>,
}

fn counts(istiod: &Istiod) -> Vec<Count<'_>> {
    let mut found = Vec::new();
    for document in istiod.documents() {
        let Said::Metrics(stats) = &document.said else { continue };
        let uptime = stats.iter().find(|stat| &*stat.name == "istiod_uptime_seconds").map(|stat| stat.value);
        found.extend(stats.iter().filter(|stat| &*stat.name == "controller_sync_errors_total").filter_map(|stat| {
            let (_, cluster) = stat.labels.iter().find(|(key, _)| &**key == "cluster")?;
            Some(Count { event: &document.event, istiod: &istiod.pod, cluster, errors: stat.value, uptime })
        }));
    }
    found
}

/// Whether a line tells that a cluster is not read.
fn is_failure(what: &RemoteWhat) -> bool {
    matches!(
        what,
        RemoteWhat::Watch { .. }
            | RemoteWhat::SyncTimedOut
            | RemoteWhat::Omitted
            | RemoteWhat::Rejected(_)
            | RemoteWhat::TokenReviewFailed(_)
    )
}

fn quoted(row: &RemoteRow) -> String {
    match &*row.secret {
        "" => format!("cluster {}, the local one: {}", row.id, row.status),
        secret => format!("cluster {} of secret {secret}: {}", row.id, row.status),
    }
}

fn shown(row: &RemoteRow) -> &'static str {
    match &*row.status {
        "synced" => "the status still says synced: it never changes after the first sync",
        "timeout" => "istiod gave up waiting for the first listing of the cluster",
        _ => "what istiod says of the cluster",
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Saved, asked, told};
    use super::*;

    const LISTED: &str = "istio-system/istiod-7d8f-x2v/debug/clusterz.json";
    const LOG: &str = "istio-system/istiod-7d8f-x2v/discovery.log";

    fn clusterz(status: &str) -> String {
        format!(
            r#"[{{"id":"east","secretName":"","syncStatus":"synced"}},
                {{"id":"west","secretName":"istio-system/istio-remote-secret-west","syncStatus":"{status}"}}]"#
        )
    }

    /// What is said of a status beside the lines of istiod's log, where a person asks how the state is.
    fn said(status: &str, log: &str) -> Vec<String> {
        let listed = clusterz(status);
        let files: [Saved<'_>; 2] = [("east", LISTED, &listed), ("east", LOG, log)];
        asked(&CHECK, if log.is_empty() { &files[..1] } else { &files })
    }

    const READ: &str = "2026-03-02T07:00:02.000000Z\tinfo\tkube\tkube controller for west synced after 1.204s\n";
    const ADDED: &str =
        "2026-03-02T07:00:00.000000Z\tinfo\tAdd cluster\tcluster=west secret=istio-system/istio-remote-secret-west\n";
    const REFUSED: &str =
        "2026-03-02T08:00:00.000000Z\terror\twatch error in cluster west: failed to list *v1.Pod: Unauthorized\n";
    const DROPPED: &str = "2026-03-02T07:00:02.000000Z\terror\twatch error in cluster west: failed to list *v1.Pod: \
        Get \"https://34.97.3.18/api/v1/pods?limit=500&resourceVersion=0\": dial tcp 34.97.3.18:443: i/o timeout\n";

    #[test]
    fn a_synced_cluster_without_watch_errors_passes() {
        assert_eq!(said("synced", READ), ["pass east remote cluster west: synced, no failing watch known"]);
    }

    #[test]
    fn a_synced_cluster_whose_watches_fail_is_not_read_for_the_reason_they_give() {
        let said = said("synced", &[READ, &REFUSED.repeat(4)].concat());
        let [only] = said.as_slice() else { panic!("{said:?}") };
        assert_eq!(
            only,
            "fail east remote cluster west: it says synced, but Unauthorized [remote-api-unauthorized: east -> west]"
        );
    }

    #[test]
    fn a_cluster_that_was_not_read_when_its_lines_failed_and_is_synced_now_is_read_since() {
        let log = [ADDED, &REFUSED.repeat(4)].concat();
        assert_eq!(said("synced", &log), ["pass east remote cluster west: synced since its log told of failures"]);
        let listed = clusterz("synced");
        let items = super::super::testing::run(&CHECK, &[("east", LISTED, &listed), ("east", LOG, &log)]);
        let weights: Vec<_> = items[0].weighs.iter().map(|weight| (weight.slug, weight.token.as_str())).collect();
        assert!(weights.contains(&("remote-api-unauthorized", "west")), "{weights:?}");
    }

    #[test]
    fn a_log_that_begins_with_the_failures_does_not_tell_that_the_cluster_was_not_read_before() {
        let said = said("synced", &REFUSED.repeat(4));
        assert!(said[0].ends_with("[remote-api-unauthorized: east -> west]"), "{said:?}");
    }

    #[test]
    fn a_first_listing_that_timed_out_fails_for_the_reason_of_the_lines_else_the_api_server_may_be_out_of_reach() {
        let bare = said("timeout", "");
        assert!(bare[0].ends_with("no line says why [remote-api-unreachable: east -> west]"), "{bare:?}");
        assert!(said("timeout", DROPPED)[0].contains("i/o timeout [remote-api-unreachable: east -> west]"));
        assert!(said("timeout", REFUSED)[0].contains("Unauthorized [remote-api-unauthorized: east -> west]"));
    }

    #[test]
    fn a_first_listing_that_still_runs_is_only_warned_of() {
        let said = said("syncing", "");
        assert_eq!(said, ["warn east remote cluster west: its first listing has not ended"]);
    }

    #[test]
    fn a_row_of_a_table_says_the_same_as_its_document() {
        let table = "$ istioctl --context east remote-clusters\n\
            NAME     SECRET                                      STATUS      ISTIOD\n\
            east                                                 synced      istiod-7d8f-x2v\n\
            west     istio-system/istio-remote-secret-west       timeout     istiod-7d8f-x2v\n";
        let said = told(&CHECK, &[("east", "remote-clusters.txt", table)]);
        let [only] = said.as_slice() else { panic!("{said:?}") };
        assert!(only.starts_with("fail east") && only.ends_with("[remote-api-unreachable: east -> west]"), "{said:?}");
    }

    #[test]
    fn an_istiod_that_lists_its_own_id_again_is_in_conflict() {
        let listed = clusterz("synced").replace("\"west\"", "\"east\"");
        let said = told(&CHECK, &[("east", LISTED, &listed)]);
        assert!(said[0].ends_with("the ID of istiod's own cluster [cluster-id-conflict: east]"), "{said:?}");
    }

    #[test]
    fn of_two_control_planes_of_which_one_reads_the_other_the_second_lacks_a_secret() {
        let table = "$ istioctl --context east remote-clusters\n\
            NAME     SECRET                                      STATUS      ISTIOD\n\
            east                                                 synced      istiod-7d8f-x2v\n\
            west     istio-system/istio-remote-secret-west       synced      istiod-7d8f-x2v\n\
            west                                                 synced      istiod-5c6b-k9j\n";
        let said = told(&CHECK, &[("", "remote-clusters.txt", table)]);
        let lacks = "remote cluster east: only the other direction is set up [remote-secret-missing: east]";
        assert!(said.iter().any(|line| line.starts_with("fail") && line.ends_with(lacks)), "{said:?}");
        // A replica that lists it is another matter.
        let row = "east     istio-system/istio-remote-secret-east       synced      istiod-5c6b-l7m\n";
        let of_replica = "west                                                 synced      istiod-5c6b-l7m\n";
        let said = told(&CHECK, &[("", "remote-clusters.txt", &[table, of_replica, row].concat())]);
        assert!(said.iter().all(|line| line.starts_with("pass")), "{said:?}");
    }

    fn metrics(uptime: u32, errors: u32) -> String {
        format!(
            "# TYPE controller_sync_errors_total counter\ncontroller_sync_errors_total{{cluster=\"west\"}} {errors}\n\
             # TYPE istiod_managed_clusters gauge\nistiod_managed_clusters{{cluster_type=\"local\"}} 1\n\
             istiod_managed_clusters{{cluster_type=\"remote\"}} 1\n\
             # TYPE istiod_uptime_seconds gauge\nistiod_uptime_seconds {uptime}\n"
        )
    }

    fn counted(documents: &[(u32, u32)]) -> Vec<String> {
        let listed = clusterz("synced");
        let texts: Vec<(String, String)> = documents
            .iter()
            .map(|(uptime, errors)| {
                (format!("istio-system/istiod-7d8f-x2v/metrics-{uptime}.txt"), metrics(*uptime, *errors))
            })
            .collect();
        let mut files: Vec<Saved<'_>> = vec![("east", LISTED, &listed)];
        files.extend(texts.iter().map(|(path, text)| ("east", path.as_str(), text.as_str())));
        told(&CHECK, &files)
    }

    #[test]
    fn failed_watches_that_grow_in_number_show_a_cluster_that_is_dark() {
        let said = counted(&[(86_400, 40), (86_460, 52)]);
        assert!(said[0].ends_with("grew from 40 to 52 [remote-cluster-dark: east -> west]"), "{said:?}");
    }

    #[test]
    fn failed_watches_of_once_pass_and_many_are_warned_of() {
        assert!(counted(&[(86_400, 40)])[0].starts_with("pass"));
        assert!(counted(&[(86_400, 40), (86_460, 40)])[0].starts_with("pass"));
        assert!(counted(&[(86_400, 4_000)])[0].starts_with("warn"));
    }

    #[test]
    fn one_cluster_alone_is_asked_nothing() {
        let alone = r#"[{"id":"east","secretName":"","syncStatus":"synced"}]"#;
        assert_eq!(asked(&CHECK, &[("east", LISTED, alone)]), [""; 0]);
    }
}
