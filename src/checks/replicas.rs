//! Replicas: what those of one istiod know, and what the proxies of one workload hold, against each other.
//!
//! Each replica reads every cluster for itself, so one may lack what its sisters know; a proxy has the view of the replica
//! that it happens to be connected to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use meshwhy_parsers::event::Event;
use meshwhy_parsers::state::istiod::Said;

use crate::engine::cause::Verdict;
use crate::engine::check::{Check, Item};
use crate::engine::mesh::{Cluster, Istiod, Mesh, Proxy};
use crate::engine::view::View;

/// See the title.
pub static CHECK: Check =
    Check { id: "replicas", title: "Replicas of istiod and proxies of a workload agree", before_linking: false, run };

const SLUG: &str = "istiod-replicas-diverged";

/// How long a replica may take to read all clusters after its start.
const READ_WITHIN: Duration = Duration::from_secs(120);

fn run(view: &View<'_>) -> Vec<Item> {
    let mut items = Vec::new();
    for cluster in view.mesh().clusters() {
        for replicas in replicas(cluster) {
            items.extend(compare(view, cluster, &replicas));
        }
        items.extend(proxies_apart(view.mesh(), cluster));
    }
    items
}

/// The replicas of each istiod of a cluster that say something, by revision.
fn replicas(cluster: &Cluster) -> Vec<Vec<&Istiod>> {
    let mut by_revision: BTreeMap<String, Vec<&Istiod>> = BTreeMap::new();
    for istiod in cluster.istiods().filter(|istiod| !istiod.pod.is_empty()) {
        let pod = cluster.istiod_pods().find(|(object, _)| object.name == istiod.pod).map(|(object, _)| object);
        // A document of a pod that is gone tells of an earlier time.
        if pod.is_none() && cluster.knows_all("Pod", cluster.system_namespace()) {
            continue;
        }
        let revision =
            pod.and_then(|object| object.label("istio.io/rev")).map_or_else(|| workload_of(&istiod.pod), String::from);
        by_revision.entry(revision).or_default().push(istiod);
    }
    by_revision.into_values().filter(|replicas| 1 < replicas.len()).collect()
}

/// The workload of a pod by its name: `web` of `web-7c9f5b6d8-2kq4z`, `db` of `db-0`.
fn workload_of(pod: &str) -> String {
    let parts: Vec<&str> = pod.split('-').collect();
    let is_ordinal = parts.last().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    let kept = parts.len().saturating_sub(if is_ordinal { 1 } else { 2 }).max(1);
    parts.iter().take(kept).copied().collect::<Vec<_>>().join("-")
}

/// What a replica knows of one thing, and where it says so.
struct Known<'m> {
    event: &'m Arc<Event>,
    quote: String,
    /// Whether it has it whole.
    is_whole: bool,
}

/// What a replica says of clusters and networks in one kind of document, by their names.
struct Sight<'m> {
    event: &'m Arc<Event>,
    /// What it has not, for a sentence: `endpoints of cluster`.
    of: &'static str,
    known: BTreeMap<&'m str, Known<'m>>,
}

/// What a replica knows, by kind of document. The kinds are in the order of a chain: who is not read has no endpoints.
fn sights(istiod: &Istiod) -> [Option<Sight<'_>>; 4] {
    let rows = istiod.clusters();
    let clusters = rows.first().map(|(event, _)| Sight {
        event,
        of: "cluster",
        known: rows
            .iter()
            .map(|(event, row)| {
                let quote = format!("cluster {}: {}", row.id, row.status);
                (&*row.id, Known { event, quote, is_whole: &*row.status == "synced" || row.secret.is_empty() })
            })
            .collect(),
    });
    let (mut shards_of, mut services_of, mut gateways_of) = (None, None, None);
    for document in istiod.documents() {
        let event = &document.event;
        let known = |quote| Known { event, quote, is_whole: true };
        match &document.said {
            Said::Shards(shards) => {
                let seen = shards.iter().filter(|shard| !shard.cluster.is_empty() && !shard.endpoints.is_empty());
                let known = seen.map(|shard| {
                    (&*shard.cluster, known(format!("endpoints of {} in cluster {}", shard.host, shard.cluster)))
                });
                shards_of = Some(Sight { event, of: "endpoints of cluster", known: known.collect() });
            }
            Said::Services(services) => {
                let seen =
                    services.iter().flat_map(|service| service.vips.iter().map(move |(cluster, _)| (service, cluster)));
                let known = seen.map(|(service, cluster)| {
                    (&**cluster, known(format!("service {} in cluster {cluster}", service.host)))
                });
                services_of = Some(Sight { event, of: "services of cluster", known: known.collect() });
            }
            Said::NetworkGateways(gateways) => {
                let known = gateways.iter().map(|gateway| {
                    (&*gateway.network, known(format!("gateway {} of network {}", gateway.address, gateway.network)))
                });
                gateways_of = Some(Sight { event, of: "a gateway of network", known: known.collect() });
            }
            _ => {}
        }
    }
    [clusters, shards_of, services_of, gateways_of]
}

/// Holds the replicas of one istiod against each other: one item for each that lacks something.
fn compare(view: &View<'_>, cluster: &Cluster, replicas: &[&Istiod]) -> Vec<Item> {
    let all: Vec<(&Istiod, [Option<Sight<'_>>; 4])> = replicas.iter().map(|istiod| (*istiod, sights(istiod))).collect();
    let mut items = Vec::new();
    let mut compared = BTreeSet::new();
    for (istiod, own) in &all {
        let mut lacks: Vec<Lack<'_>> = Vec::new();
        for (kind, sight) in own.iter().enumerate() {
            let Some(sight) = sight else { continue };
            let others = || {
                let of_others = all.iter().filter(|(other, _)| other.pod != istiod.pod);
                of_others.filter_map(move |(other, sights)| Some((*other, sights.get(kind)?.as_ref()?)))
            };
            if others().next().is_some() {
                compared.insert(kind);
            }
            let names: BTreeSet<&str> = others().flat_map(|(_, other)| other.known.keys().copied()).collect();
            for name in names {
                let own = sight.known.get(name);
                let theirs = others()
                    .find_map(|(other, sight)| Some((other, sight.known.get(name).filter(|known| known.is_whole)?)));
                if let (false, Some((other, theirs))) = (own.is_some_and(|known| known.is_whole), theirs) {
                    lacks.push(Lack { sight, name, own, other, theirs });
                }
            }
        }
        items.extend(lacking(view, cluster, istiod, &lacks));
    }
    if items.is_empty() && !compared.is_empty() {
        let object = format!("istiod ({} replicas)", replicas.len());
        let pass = Item::pass(&cluster.name, object, "they know the same clusters");
        let first = all.iter().find_map(|(_, own)| own.iter().flatten().next());
        items.push(match first.and_then(|sight| Some((sight.event, sight.known.values().next()?))) {
            Some((event, known)) => pass.refuting(SLUG, event, &known.quote, "all replicas say the same"),
            None => pass,
        });
    }
    items
}

/// Something that a replica has not and another has.
struct Lack<'m> {
    sight: &'m Sight<'m>,
    name: &'m str,
    own: Option<&'m Known<'m>>,
    other: &'m Istiod,
    theirs: &'m Known<'m>,
}

fn lacking(view: &View<'_>, cluster: &Cluster, istiod: &Istiod, lacks: &[Lack<'_>]) -> Option<Item> {
    let first = lacks.first()?;
    let replica = &*istiod.pod;
    let what = match (first.sight.of, first.own) {
        ("cluster", Some(_)) => format!("does not have {} synced, another replica has", first.name),
        ("cluster", None) => format!("does not know {}, another replica has it synced", first.name),
        (of, _) => format!("has no {of} {}, another replica has", first.name),
    };
    let reason = format!("{replica} {what}");
    let object = format!("istiod {replica}");
    let pod = cluster.istiod_pods().find(|(object, _)| *object.name == *replica).map(|(object, _)| object);
    let is_young = pod
        .and_then(|object| object.created)
        .zip(view.latest(cluster))
        .is_some_and(|(created, now)| now < created.plus(READ_WITHIN));
    if is_young {
        let remedy = format!("It has just started: look again: istioctl --context {} remote-clusters.", cluster.name);
        return Some(Item::warn(&cluster.name, object, reason, remedy));
    }
    let verdict = Verdict::certain(&format!("{}: {replica}", cluster.name))
        .slot("cluster", &cluster.name)
        .slot("reason", &reason)
        .slot("replica", replica);
    let mut seen = BTreeSet::new();
    let told = |verdict: Verdict, event: &Arc<Event>, quote: &str, shows: &str| match event.is_document() {
        true => verdict.because_quote(event, quote, shows),
        false => verdict.because(event, shows),
    };
    let verdict = lacks.iter().filter(|lack| seen.insert(lack.sight.of)).fold(verdict, |verdict, lack| {
        let has = format!("replica {} has it", lack.other.pod);
        let verdict = told(verdict, lack.theirs.event, &lack.theirs.quote, &has);
        let quote = lack.own.map_or_else(|| format!("no {} {}", lack.sight.of, lack.name), |own| own.quote.clone());
        let event = lack.own.map_or(lack.sight.event, |own| own.event);
        told(verdict, event, &quote, &format!("replica {replica} has not"))
    });
    let names: BTreeSet<&str> = lacks.iter().map(|lack| lack.name).collect();
    let verdict = names.into_iter().fold(verdict, |verdict, name| verdict.token(name));
    Some(Item::fail(&cluster.name, object, reason, SLUG, verdict))
}

/// Proxies of one workload of which one reaches another cluster for a service and one does not: one item a workload.
fn proxies_apart(mesh: &Mesh, cluster: &Cluster) -> Vec<Item> {
    let mut by_workload: BTreeMap<(&str, String), Vec<&Proxy>> = BTreeMap::new();
    for proxy in cluster.proxies() {
        let Some((pod, namespace)) = proxy.name.split_once('.') else { continue };
        by_workload.entry((namespace, workload_of(pod))).or_default().push(proxy);
    }
    by_workload
        .into_iter()
        .filter(|(_, proxies)| 1 < proxies.len())
        .filter_map(|((namespace, workload), proxies)| {
            let reached: Vec<(&Proxy, BTreeSet<(String, String)>)> =
                proxies.into_iter().filter_map(|proxy| Some((proxy, reached(mesh, cluster, proxy)?))).collect();
            let mut all = reached.iter().flat_map(|(proxy, reached)| reached.iter().map(move |one| (*proxy, one)));
            let (has, one, lacks) = all.find_map(|(proxy, one)| {
                let (lacks, _) = reached.iter().find(|(_, reached)| !reached.contains(one))?;
                Some((proxy, one, *lacks))
            })?;
            let reason =
                format!("{} holds endpoints of {} in {}, {} holds none", has.name, one.0, one.1, lacks.name);
            let remedy = format!(
                "Compare the replicas of istiod that serve them: istioctl --context {} proxy-status and remote-clusters.",
                cluster.name
            );
            Some(Item::warn(&cluster.name, format!("proxies of {namespace}/{workload}"), reason, remedy))
        })
        .collect()
}

/// The services and other clusters for which a proxy holds endpoints. `None` where nothing shows its endpoints whole.
fn reached(mesh: &Mesh, cluster: &Cluster, proxy: &Proxy) -> Option<BTreeSet<(String, String)>> {
    if proxy.documents().any(|document| document.is_cut) {
        return None;
    }
    let held = mesh.held_by_host(cluster, proxy)?;
    let remote = held.into_iter().flat_map(|(host, endpoints)| {
        let remote = endpoints.into_iter().filter(|endpoint| endpoint.is_remote() && !endpoint.leads_to().is_empty());
        remote.map(move |endpoint| (host.clone(), endpoint.leads_to().to_string())).collect::<Vec<_>>()
    });
    Some(remote.collect())
}

#[cfg(test)]
mod tests {
    use super::CHECK;
    use crate::checks::testing::{failed, told};

    fn clusterz(status: &str) -> String {
        format!(
            r#"[{{"id":"west","secretName":"","syncStatus":"synced"}},
                {{"id":"east","secretName":"istio-system/istio-remote-secret-east","syncStatus":"{status}"}}]"#
        )
    }

    #[test]
    fn a_replica_that_has_not_read_what_its_sister_has_fails() {
        let told = |status: &str| {
            let files = [
                ("west", "istio-system/istiod-5c9d-aaaaa/debug/clusterz.json", &*clusterz("synced")),
                ("west", "istio-system/istiod-5c9d-bbbbb/debug/clusterz.json", &*clusterz(status)),
            ];
            told(&CHECK, &files)
        };
        assert_eq!(
            told("timeout"),
            ["fail west istiod istiod-5c9d-bbbbb: istiod-5c9d-bbbbb does not have east synced, another replica has \
              [istiod-replicas-diverged: west: istiod-5c9d-bbbbb]"]
        );
        assert_eq!(told("synced"), ["pass west istiod (2 replicas): they know the same clusters"]);
    }

    #[test]
    fn istiods_of_two_clusters_or_revisions_are_no_replicas_of_each_other() {
        let files = [
            ("west", "istio-system/istiod-5c9d-aaaaa/debug/clusterz.json", &*clusterz("synced")),
            ("north", "istio-system/istiod-5c9d-bbbbb/debug/clusterz.json", &*clusterz("timeout")),
            ("west", "istio-system/istiod-1-28-5c9d-bbbbb/debug/clusterz.json", &*clusterz("timeout")),
        ];
        assert_eq!(told(&CHECK, &files), [""; 0]);
    }

    #[test]
    fn a_replica_that_has_just_started_is_only_warned_of() {
        let pods = |created: &str| {
            format!(
                "apiVersion: v1\nkind: Pod\nmetadata: {{name: istiod-5c9d-bbbbb, namespace: istio-system, creationTimestamp: \
                 \"{created}\", labels: {{app: istiod}}}}\nspec: {{containers: [{{name: discovery, image: \"pilot:1.28.1\"}}]}}\n\
                 status: {{phase: Running, conditions: [{{type: Ready, status: \"False\", lastTransitionTime: \
                 \"2026-01-05T10:00:30Z\"}}]}}\n"
            )
        };
        let told = |created: &str| {
            let files = [
                ("west", "pods.yaml", &*pods(created)),
                ("west", "istio-system/istiod-5c9d-aaaaa/debug/clusterz.json", &*clusterz("synced")),
                ("west", "istio-system/istiod-5c9d-bbbbb/debug/clusterz.json", &*clusterz("syncing")),
            ];
            told(&CHECK, &files).concat()
        };
        assert!(told("2026-01-05T10:00:00Z").starts_with("warn west"), "{}", told("2026-01-05T10:00:00Z"));
        assert!(told("2026-01-04T10:00:00Z").starts_with("fail west"), "{}", told("2026-01-04T10:00:00Z"));
    }

    #[test]
    fn endpoints_that_only_one_replica_has_are_told_by_cluster_and_a_pod_more_is_nothing() {
        let shard = |cluster: &str, endpoints: &str| format!(r#""Kubernetes/{cluster}":[{endpoints}]"#);
        let one = r#"{"Addresses":["10.0.0.1"],"EndpointPort":80,"HealthStatus":1}"#;
        let two = format!(r#"{one},{{"Addresses":["10.0.0.2"],"EndpointPort":80,"HealthStatus":1}}"#);
        let shards = |shards: &[String]| {
            format!(
                r#"{{"web.shop.svc.cluster.local":{{"shop":{{"Shards":{{{}}},"ServiceAccounts":{{}}}}}}}}"#,
                shards.join(",")
            )
        };
        let both = shards(&[shard("west", one), shard("east", one)]);
        let failed = |other: &str| {
            let files = [
                ("west", "istio-system/istiod-5c9d-aaaaa/debug/endpointShardz.json", &*both),
                ("west", "istio-system/istiod-5c9d-bbbbb/debug/endpointShardz.json", other),
            ];
            failed(&CHECK, &files)
        };
        assert_eq!(failed(&shards(&[shard("west", one)])), ["istiod-replicas-diverged"]);
        assert_eq!(failed(&shards(&[shard("west", &two), shard("east", one)])), [""; 0]);
    }

    #[test]
    fn proxies_of_one_workload_must_reach_the_same_clusters() {
        let clusters = |endpoints: &[(&str, u16)]| {
            let hosts: Vec<String> = endpoints
                .iter()
                .map(|(address, port)| {
                    format!(
                        r#"{{"address":{{"socket_address":{{"address":"{address}","port_value":{port}}}}},
                            "health_status":{{"eds_health_status":"HEALTHY"}}}}"#
                    )
                })
                .collect();
            format!(
                r#"{{"cluster_statuses":[{{"name":"outbound|80||web.shop.svc.cluster.local","added_via_api":true,
                    "host_statuses":[{}]}}]}}"#,
                hosts.join(",")
            )
        };
        let gateway = "apiVersion: v1\nkind: Service\nmetadata: {name: istio-eastwestgateway, namespace: istio-system, labels: \
            {topology.istio.io/network: n2}}\nspec: {type: LoadBalancer, ports: [{port: 15443}]}\nstatus: {loadBalancer: \
            {ingress: [{ip: 192.0.2.7}]}}\n";
        let both = clusters(&[("10.0.0.1", 80), ("192.0.2.7", 15443)]);
        let told = |pod: &str, held: &str| {
            let path = format!("proxies/shop/{pod}/clusters.json");
            let files = [
                ("east", "gateway.yaml", gateway),
                ("west", "proxies/shop/cart-7f6d-aaaaa/clusters.json", &*both),
                ("west", &*path, held),
            ];
            told(&CHECK, &files)
        };
        let alone = clusters(&[("10.0.0.1", 80)]);
        assert_eq!(
            told("cart-7f6d-bbbbb", &alone),
            [
                "warn west proxies of shop/cart: cart-7f6d-aaaaa.shop holds endpoints of web.shop.svc.cluster.local in east, \
              cart-7f6d-bbbbb.shop holds none"
            ]
        );
        assert_eq!(told("cart-7f6d-bbbbb", &both), [""; 0]);
        assert_eq!(told("other-7f6d-bbbbb", &alone), [""; 0], "another workload may have a Sidecar of its own");
    }
}
